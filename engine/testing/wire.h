// wire.h - meshes of one test, joined by queues of bytes in memory, on a clock that the test moves. Nothing happens by
// chance: what the test does not disturb arrives at once and whole. All that ever passed is kept.
#ifndef BW_TESTING_WIRE_H
#define BW_TESTING_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/mesh.h"

#define WIRE_HOSTS 4
#define WIRE_LINKS 256

typedef struct wire wire;

/// What one side of a connection sent.
typedef struct wire_stream {
    uint8_t *bytes;  // owned; all of it
    size_t size, capacity;
    size_t taken;    // that arrived
    size_t unacked;  // that are not reported as written yet
    bool is_closed;  // nothing will follow
} wire_stream;

typedef struct wire_end {
    int host;             // -1: the test plays it
    bw_session *session;  // NULL: not open, or the mesh knows it no more
    bool is_opening;      // dialled, and not told that it is open
    bool is_flushed;      // closed so that what it said arrives
    wire_stream sent;
} wire_end;

typedef struct wire_link {
    wire_end ends[2];  // who dialled, who was dialled
    bool is_cut;       // nothing arrives
    bool is_mute;      // nothing does once they are connected
    bool is_reset;     // both sides are to be told that it broke
} wire_link;

typedef struct wire_host {
    wire *wire;
    int index;
    bw_net_settings settings;  // may be changed before wire_start()
    bw_mesh *mesh;             // NULL: not started; nobody listens
    bool is_frozen;            // stands still
    uint64_t poll_ns;

    // What the mesh told.
    unsigned connected_count, ended_count, failed_count, broken_count, line_count, frame_count;
    char broken[512], lines[16384];
    uint32_t failed_by;
    uint8_t failed[128];
    uint32_t failed_size;
    uint8_t *received;  // owned; payloads of frames, one behind the other
    size_t received_size;
    bw_status answer;   // to frames
    bool fails_to_say;  // a line for the operator ends the mesh
} wire_host;

struct wire {
    uint64_t now_ns;
    const char *addresses[WIRE_HOSTS];  // by process
    uint32_t host_count;
    wire_host hosts[WIRE_HOSTS];
    uint32_t link_count;
    wire_link links[WIRE_LINKS];
    const char *stranger;  // where wire_knock() comes from
    size_t piece;          // most bytes that arrive at a time
    bool holds_ack;        // nothing is reported as written
    uint64_t random;
    // The byte at `flip_at` of what end `flip_end` of link `flip_link` sends arrives changed.
    int flip_link, flip_end;
    size_t flip_at;
};

void wire_init(wire *wire, uint32_t host_count);
void wire_fini(wire *wire);

/// Makes the mesh of a host and starts it.
void wire_start(wire *wire, uint32_t host);
void wire_start_all(wire *wire);

/// As if its process were killed.
void wire_kill(wire *wire, uint32_t host);

/// Lets all arrive that can, at this moment.
void wire_settle(wire *wire);

/// Lets time pass, with all that happens in it.
void wire_pass(wire *wire, uint64_t ns);

/// The test connects to a host; NULL: turned away. What it has sent arrives by wire_settle().
wire_link *wire_knock(wire *wire, uint32_t host);
void wire_say(wire_link *link, const uint8_t *bytes, size_t size);

/// Puts a frame for a worker into an outbox.
void wire_send(wire *wire, uint32_t from, uint32_t to, const void *payload, uint32_t size);

bool wire_has_said(const wire_host *host, const char *text);

#endif
