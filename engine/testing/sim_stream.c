#include "testing/sim_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

void
sim_stream_init(sim_stream *stream, random_state *random, uint64_t delay_ns, uint64_t jitter_ns,
                uint32_t room)
{
    *stream = (sim_stream){.fin_ns = BW_TIME_NEVER, .flip_at = SIZE_MAX};
    stream->delay_ns = 1000 + random_next(random) % delay_ns;
    stream->jitter_ns = 1 + random_next(random) % jitter_ns;
    stream->room = random_between(random, room / 2 + 1, room);
}

void
sim_stream_fini(sim_stream *stream)
{
    free(stream->bytes);
    free(stream->segments);
}

void
sim_stream_append(sim_stream *stream, const void *bytes, size_t size)
{
    if (size > stream->capacity - stream->size) {
        while (size > stream->capacity - stream->size) {
            stream->capacity = stream->capacity == 0 ? 512 : stream->capacity * 2;
        }
        stream->bytes = realloc(stream->bytes, stream->capacity);
        BW_ASSERT(stream->bytes != NULL);
    }
    memcpy(stream->bytes + stream->size, bytes, size);
    stream->size += size;
}

uint64_t
sim_stream_next_arrival(sim_stream *stream, random_state *random, uint64_t now_ns)
{
    uint64_t at_ns = now_ns + stream->delay_ns + random_next(random) % stream->jitter_ns;
    if (at_ns < stream->last_arrival_ns) at_ns = stream->last_arrival_ns;
    return stream->last_arrival_ns = at_ns;
}

static void
add_segment(sim_stream *stream, uint64_t arrival_ns)
{
    if (stream->segment_count == stream->segment_capacity) {
        stream->segment_capacity = stream->segment_capacity * 2 + 16;
        stream->segments =
            realloc(stream->segments, stream->segment_capacity * sizeof *stream->segments);
        BW_ASSERT(stream->segments != NULL);
    }
    stream->segments[stream->segment_count++] =
        (sim_segment){.end = stream->sent, .arrival_ns = arrival_ns};
}

bool
sim_stream_send(sim_stream *stream, random_state *random, size_t size, uint64_t arrival_ns)
{
    BW_ASSERT(size <= stream->size - stream->sent);
    bool flips = stream->flip_at < stream->sent + size;
    if (flips) {
        size_t at = stream->flip_at < stream->sent ? stream->sent : stream->flip_at;
        stream->bytes[at] ^= (uint8_t)(1u << random_below(random, 8));
        stream->flip_at = SIZE_MAX;
    }
    stream->sent += size;
    add_segment(stream, arrival_ns);
    return flips;
}

size_t
sim_stream_arrived(sim_stream *stream, uint64_t now_ns)
{
    size_t end = stream->got;
    for (size_t i = stream->segment_first; i < stream->segment_count; i++) {
        const sim_segment *segment = &stream->segments[i];
        if (segment->arrival_ns > now_ns) break;
        if (segment->end <= stream->got) stream->segment_first = i + 1;
        if (segment->end > end) end = segment->end;
    }
    return end - stream->got;
}

uint64_t
sim_stream_readable_ns(const sim_stream *stream)
{
    for (size_t i = stream->segment_first; i < stream->segment_count; i++) {
        if (stream->segments[i].end > stream->got) return stream->segments[i].arrival_ns;
    }
    return BW_TIME_NEVER;
}

uint64_t
sim_stream_ended_ns(const sim_stream *stream)
{
    return stream->got == stream->size ? stream->fin_ns : BW_TIME_NEVER;
}
