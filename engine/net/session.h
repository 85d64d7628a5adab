// session.h - one connection: what comes in as frames, what goes out as records, and since when nothing did.
//
//     DIALING ── opened ──▶ SHAKING ── both have proven themselves ──▶ OPEN ──▶ CLOSED
//                 accepted ──▲
//
// What frames mean, and what becomes of a session, is the mesh's to say (net/mesh_state.h).
#ifndef BW_NET_SESSION_H
#define BW_NET_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/status.h"
#include "net/frame.h"
#include "net/handshake.h"
#include "net/mesh.h"
#include "net/outbox.h"
#include "net/record.h"

// Most that is with the transport before more is taken from the outbox, where what is urgent can still overtake.
#define BW_SESSION_IN_FLIGHT (1u << 20)

#define BW_SESSION_FROM 80  // of the address that somebody connected from, the NUL included

typedef enum bw_session_state {
    BW_SESSION_DIALING,  // the network has not answered yet
    BW_SESSION_SHAKING,  // net/handshake.h
    BW_SESSION_OPEN,
    BW_SESSION_CLOSED,  // the transport knows it no more
} bw_session_state;

struct bw_session {
    bw_session *previous, *next;  // in the mesh's list
    bw_mesh *mesh;
    const bw_transport *transport;  // borrowed
    void *socket;                   // the transport's
    bw_session_state state;
    uint32_t process;  // of the peer: whom we dialled, or who has proven itself; else BW_PROCESS_NONE
    char from[BW_SESSION_FROM];  // "" if we dialled
    bw_handshake handshake;
    bw_record_reader reader;
    const uint8_t *frame, *frames_end;  // what is left of the last record that was read
    bw_record_writer writer;
    uint64_t in_flight;   // bytes with the transport
    uint64_t started_ns;  // of dialling, then of the handshake
    uint64_t heard_ns;    // when something came last
    uint64_t record_ns;  // since when a record is under way that is not complete; BW_TIME_NEVER: none is
    uint64_t sent_ns;    // when something was sent, or left the transport, last
    bool has_heard, has_sent;  // anything
    bool has_sent_bye, has_got_bye;
};

/// NULL: no memory.
bw_session *bw_session_new(bw_mesh *mesh, const bw_transport *transport, uint64_t now_ns);

/// Does not close the socket.
void bw_session_free(bw_session *session);

/// Sends a chain of blocks, which is taken over whatever happens. BW_EIO: no tag can be made.
BW_NODISCARD bw_status bw_session_write(bw_session *session, bw_block *first, uint64_t now_ns);

/// Sends a frame of these parts at once, before all that waits in the outbox. BW_ENOMEM, BW_EIO.
BW_NODISCARD bw_status bw_session_send(bw_session *session, bw_frame_kind kind, uint8_t flags,
                                       const uint8_t *payload, uint32_t size, uint64_t now_ns);

/// Sends what waits in the outbox, as far as there is room. `*is_empty`: nothing is left there. BW_EIO.
BW_NODISCARD bw_status bw_session_drain(bw_session *session, bw_outbox *outbox, uint64_t now_ns,
                                        bool *is_empty);

/// `size` bytes of what was sent have left the transport.
void bw_session_written(bw_session *session, uint64_t size, uint64_t now_ns);

/// Bytes came, not none, borrowed until bw_session_next() says BW_EMPTY.
void bw_session_feed(bw_session *session, const uint8_t *bytes, size_t size, uint64_t now_ns);

/// The next frame, which lasts until the next call. BW_EMPTY: no other is complete. BW_ENOMEM, BW_EIO.
/// BW_ECORRUPT: `*why` says what is wrong with what came.
BW_NODISCARD bw_status bw_session_next(bw_session *session, bw_frame *out, const char **why);

/// The handshake is done: records get tags if they shall have some. BW_ENOMEM, BW_EIO.
BW_NODISCARD bw_status bw_session_open(bw_session *session, uint64_t now_ns);

/// Both sides have said all, and it is with the system.
static inline bool
bw_session_has_ended(const bw_session *session)
{
    return session->has_sent_bye && session->has_got_bye && session->in_flight == 0;
}

#endif
