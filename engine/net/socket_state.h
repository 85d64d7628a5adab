// socket_state.h - a socket as its own files see it; nobody else includes this.
//
//     socket.c     its life, what comes in, its end
//     dialling.c   finds the addresses of a peer, and one that answers
//     sending.c    what goes out
//
// Who includes it defines _GNU_SOURCE, as with net/socket.h.
#ifndef BW_NET_SOCKET_STATE_H
#define BW_NET_SOCKET_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/block.h"
#include "base/error.h"
#include "base/status.h"
#include "net/lookup.h"
#include "net/socket.h"
#include "net/tls.h"

#define BW_SOCKET_CLOSING_MS 1000  // for what was written to leave

typedef enum bw_socket_state {
    BW_SOCKET_DIALING,
    BW_SOCKET_OPEN,
    BW_SOCKET_CLOSING,  // nobody listens; bytes may still leave
    BW_SOCKET_CLOSED,   // libuv gives its handles back
} bw_socket_state;

/// A connection of libuv. One that failed cannot be used for the next address: each has its own, on the heap,
/// freed when libuv is done with it.
typedef struct bw_connection {
    uv_tcp_t tcp;  // `data`: the socket
    uv_connect_t connect;
    uv_shutdown_t shutdown;
} bw_connection;

/// What a socket must know while it dials.
typedef struct bw_socket_dialing {
    bw_lookup *lookup;              // while it runs
    struct addrinfo *found, *next;  // all, and the one to be tried next; `found` NULL: not known yet
    bool is_connecting;             // to the one before `next`
} bw_socket_dialing;

struct bw_socket {
    bw_socket_home *home;
    bw_socket *previous, *next;
    bw_socket_state state;
    bw_session *session;        // who is told; NULL: nobody any more
    bool is_held;               // the mesh has a pointer to it
    bw_connection *connection;  // NULL: none
    uv_timer_t timer;
    uint32_t handle_count;  // of libuv, which point to this
    bool is_sent;           // it is in the list of home->first_sent
    bw_socket *next_sent;
    size_t sent_bytes;  // of which the mesh is not told yet
    bw_socket_dialing dial;
    bw_tls_stream *tls;  // NULL: in clear, or not connected yet
    bool is_agreed;      // TLS is; true in clear
    bool is_dialled;
    bool is_unwritable;       // a write failed
    bool is_shut, is_at_end;  // while CLOSING: all has left; the peer has closed
    bw_error reason;          // of the failure of late; "" without
};

static inline uint64_t
bw_socket_now_ns(const bw_socket *socket)
{
    return bw_clock_now_ns(&socket->home->clock);
}

// ---- socket.c

/// One that has a timer, and no connection yet. BW_ENOMEM.
BW_NODISCARD bw_status bw_socket_new(bw_socket_home *home, bw_socket_state state, bw_socket **out);
void bw_socket_free_if_done(bw_socket *socket);

/// Gives it a connection. Returns an error of libuv's, or 0.
int bw_socket_new_connection(bw_socket *socket);
void bw_socket_drop_connection(bw_socket *socket);
void bw_socket_set_options(bw_socket *socket);

/// Gives all back to libuv, at once.
void bw_socket_abandon(bw_socket *socket);

/// The session is told that its connection is gone, for `socket->reason`. Within this the socket stays.
void bw_socket_tell_closed(bw_socket *socket);

/// Returns an error of libuv's, or 0.
int bw_socket_start_reading(bw_socket *socket);

/// Dialling has come to its end: the connection is there.
void bw_socket_become_open(bw_socket *socket);

/// Goes on with the handshake of TLS. Returns whether there may be something to read.
bool bw_socket_agree(bw_socket *socket);

/// What happens when the time is over depends on the state.
void bw_socket_set_timer(bw_socket *socket, uint64_t ms);

// ---- dialling.c

/// What dialling one address came to nothing for is in `reason`: goes on with the next.
void bw_socket_fail_attempt(bw_socket *socket);

/// Tries the addresses one after the other; when none is left, the session is told why the last one failed.
void bw_socket_try_next(bw_socket *socket);

/// Lets go of what dialling takes.
void bw_socket_end_dialing(bw_socket *socket);

// ---- sending.c

/// A broken connection is read to its end before that is told, since what the peer said last may be why.
void bw_socket_note_unwritable(bw_socket *socket, int status);

/// Sends what TLS has made; `size`: what that is to the mesh.
void bw_socket_send_sealed(bw_socket *socket, size_t size);

#endif
