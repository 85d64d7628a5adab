// sim_stream.h - one direction of a simulated connection: bytes that keep their order and take their time.
#ifndef BW_TESTING_SIM_STREAM_H
#define BW_TESTING_SIM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "testing/random.h"

/// What is with the system up to `end`, and when it is at the other side.
typedef struct sim_segment {
    size_t end;
    uint64_t arrival_ns;
} sim_segment;

/// All its bytes are kept, for who replays them:
///     bytes[0, got) were read, [got, sent) are with the system, [sent, size) were given by the sender.
typedef struct sim_stream {
    uint8_t *bytes;
    size_t got, sent, size, capacity;
    sim_segment *segments;
    size_t segment_first, segment_count, segment_capacity;
    uint64_t delay_ns, jitter_ns, last_arrival_ns;
    size_t room;       // for what is with the system
    uint64_t fin_ns;   // when its end arrives; BW_TIME_NEVER: it was not sent
    size_t flip_at;    // a bit of this byte; SIZE_MAX: none
    uint32_t flip_in;  // of the n-th record from now on; 0: none
} sim_stream;

/// With a delay of up to `delay_ns` + `jitter_ns` and `room` at most.
void sim_stream_init(sim_stream *stream, random_state *random, uint64_t delay_ns, uint64_t jitter_ns,
                     uint32_t room);
void sim_stream_fini(sim_stream *stream);

/// Bytes of the sender.
void sim_stream_append(sim_stream *stream, const void *bytes, size_t size);

/// When what leaves now arrives: behind all that left before.
uint64_t sim_stream_next_arrival(sim_stream *stream, random_state *random, uint64_t now_ns);

/// The next `size` bytes are with the system. True: a bit of them was flipped.
bool sim_stream_send(sim_stream *stream, random_state *random, size_t size, uint64_t arrival_ns);

/// How many of the bytes on their way have arrived.
size_t sim_stream_arrived(sim_stream *stream, uint64_t now_ns);

/// When the next unread byte is there; BW_TIME_NEVER: none is on its way.
uint64_t sim_stream_readable_ns(const sim_stream *stream);

/// When its end is there, if all before it was read; else BW_TIME_NEVER.
uint64_t sim_stream_ended_ns(const sim_stream *stream);

#endif
