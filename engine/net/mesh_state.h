// mesh_state.h - a mesh as its own files see it; nobody else includes this.
//
//     mesh.c       what the transport calls: passes on what came, and the time
//     meeting.c    until all are there: dialling, handshakes, who is missing
//     stranger.c   those who connect: who is let wait, who is turned away
//     failure.c    how it ends badly
//     ending.c     how it ends well
#ifndef BW_NET_MESH_STATE_H
#define BW_NET_MESH_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "net/mesh.h"
#include "net/outbox.h"
#include "net/session.h"
#include "net/settings.h"

#define BW_MESH_DIAL_PAUSE_NS (50 * BW_NS_PER_MS)     // before dialling again; doubles up to the most
#define BW_MESH_DIAL_PAUSE_MOST_NS (BW_NS_PER_S / 2)  // so that all meet within a second of the last one
#define BW_MESH_SAY_NS (5 * BW_NS_PER_S)              // between two lines of a kind
#define BW_MESH_FAILURE_BYTES (64u * 1024)            // most that bw_mesh_fail() is given

/// Another process. That of this process itself is not used.
typedef struct bw_mesh_peer {
    bw_outbox outbox;
    bw_session *session;  // that dials it, or is open; NULL: none
    bool is_open;         // was, at least
    bool has_all;         // it said ALL
    uint64_t dial_ns;     // when to dial next
    uint64_t pause_ns;    // after the next failure
    char attempt[160];    // why the last one failed; "" if there was none
} bw_mesh_peer;

typedef enum bw_mesh_state {
    BW_MESH_IDLE,
    BW_MESH_CONNECTING,
    BW_MESH_CONNECTED,
    BW_MESH_OVER,
} bw_mesh_state;

struct bw_mesh {
    const bw_net_settings *settings;
    bw_transport transport;
    bw_mesh_events events;
    bw_mesh_state state;
    bool is_leaving;
    // Of peers that are or were open; that have said ALL; that have ended.
    uint32_t open_count, all_count, ended_count;
    uint32_t unfinished_count;  // of those who connected to us and have not proven themselves
    uint64_t now_ns;            // when the transport last called
    uint64_t start_ns;
    uint64_t missing_ns;         // when to say next who is missing
    uint64_t turned_away_ns;     // when a line may say again who was turned away
    uint64_t turned_away_count;  // since the last such line
    char turned_away[160];       // the last one, and why; "" if there was none
    uint64_t linger_ns;          // begin of the second that linger_count counts in
    uint32_t linger_count;
    unsigned depth;        // of calls from outside, since what they tell may call again
    bw_session *sessions;  // all that are not closed
    bw_session *closed;    // freed when the outermost call returns
    bw_mesh_peer peers[];
};

static inline bool
bw_mesh_has_dialled(const bw_session *session)
{
    return session->from[0] == '\0';
}

static inline void
bw_mesh_say(const bw_mesh *mesh, const bw_error *line)
{
    mesh->events.say(mesh->events.self, line->text);
}

// ---- mesh.c: sessions

void bw_mesh_add_session(bw_mesh *mesh, bw_session *session);

/// It stays readable until the call from outside returns.
void bw_mesh_close_session(bw_mesh *mesh, bw_session *session, bool flush);

// ---- meeting.c

bool bw_mesh_is_to_dial(const bw_mesh *mesh, uint32_t process);

/// Dials all whose time has come.
void bw_mesh_dial_all(bw_mesh *mesh);

/// False: not possible.
BW_NODISCARD bool bw_mesh_begin_handshake(bw_mesh *mesh, bw_session *session);

// A frame came. The session may be closed then, or the mesh be over.
void bw_mesh_take_handshake_frame(bw_mesh *mesh, bw_session *session, const bw_frame *frame);
void bw_mesh_take_all(bw_mesh *mesh, bw_session *session);

/// Says who is missing when it is time to, and gives up when it is too late.
void bw_mesh_judge_connecting(bw_mesh *mesh);

// ---- stranger.c

/// Somebody connected. NULL: not let in.
bw_session *bw_mesh_welcome(bw_mesh *mesh, void *socket, const char *from);

/// Notes why a session ends that was never open. Who dialled tries again later. May say so, which may end the mesh.
void bw_mesh_note_attempt(bw_mesh *mesh, const bw_session *session, const char *why);

/// Closes such a session, and notes why.
void bw_mesh_turn_away(bw_mesh *mesh, bw_session *session, const char *why);

// ---- failure.c

/// Ends the mesh, unless it is over; this process and all others are told the text.
void bw_mesh_break(bw_mesh *mesh, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// The same: an open peer is in error.
void bw_mesh_blame(bw_mesh *mesh, const bw_session *session, const char *why);

/// The same: we are, with what a peer wants of us.
void bw_mesh_give_up(bw_mesh *mesh, const bw_session *session, bw_status status);

/// "process 1 (host:port)", for a message.
const char *bw_mesh_name_of(const bw_mesh *mesh, uint32_t process, bw_error *out);

/// The run failed in process `origin`: tells all that are there, as far as memory allows, and closes everything.
void bw_mesh_pass_on_failure(bw_mesh *mesh, uint32_t origin, const uint8_t *payload, uint32_t size);

/// An ERROR frame came: is it one, and then what it does.
bool bw_mesh_is_error(const bw_mesh *mesh, const bw_frame *frame);
void bw_mesh_take_error(bw_mesh *mesh, bw_session *session, const bw_frame *frame);

// ---- ending.c

/// Sends what waits for an open session, and BYE behind it once that is all. May end the session, or the mesh.
void bw_mesh_drain(bw_mesh *mesh, bw_session *session);

/// BYE came. Likewise.
void bw_mesh_take_bye(bw_mesh *mesh, bw_session *session);

/// A session over which both sides have said all is closed.
void bw_mesh_note_ended(bw_mesh *mesh);

void bw_mesh_end(bw_mesh *mesh);

#endif
