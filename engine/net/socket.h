// socket.h - one TCP connection on the I/O thread: dialled or accepted, in clear or under TLS, between libuv and a
// session of the mesh.
//
//     dialing ──connected, TLS agreed──▶ open ◀── accepted
//        │ no address left                 │ closed or broken by the peer: bw_mesh_closed()
//        ▼                                 │ bw_socket_close()
//     bw_mesh_closed()                  closing: lets out what was written, then waits for the peer's end
//
// All of it on the I/O thread. uv.h wants more than C17: who includes this defines _GNU_SOURCE.
#ifndef BW_NET_SOCKET_H
#define BW_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/block.h"
#include "base/clock.h"
#include "base/status.h"
#include "net/address.h"
#include "net/mesh.h"
#include "net/tls.h"

#define BW_SOCKET_BUFFER ((size_t)256 * 1024)

typedef struct bw_socket bw_socket;

/// What the sockets of a loop share.
typedef struct bw_socket_home {
    uv_loop_t *uv;
    bw_clock clock;
    bw_tls *tls;         // NULL: all in clear
    uint8_t *received;   // BW_SOCKET_BUFFER bytes, used within one call
    uint8_t *decrypted;  // likewise; NULL without TLS
    bw_socket *first;
    bw_socket *first_sent;     // of those that have sent something of which the mesh is not told yet
    size_t lookup_count;       // sockets that wait for a host name
    bool is_touched;           // the mesh was told something: it wants a poll
    void (*wake)(void *self);  // any thread: a host name was found
    void *wake_self;
} bw_socket_home;

/// Begins to connect. What comes of it the session is told later, never before this returns. BW_ENOMEM.
BW_NODISCARD bw_status bw_socket_dial(bw_socket_home *home, const bw_address *address,
                                      bw_session *session, bw_socket **out);

/// Makes one of a descriptor that was accepted, and takes it over; nothing is read before
/// bw_socket_start(). BW_ENOMEM, BW_EIO: closed.
BW_NODISCARD bw_status bw_socket_adopt(bw_socket_home *home, int fd, bw_socket **out);
void bw_socket_start(bw_socket *socket, bw_session *session);

/// As bw_transport has them.
void bw_socket_write(bw_socket *socket, bw_block *first, uint32_t tail_size);
void bw_socket_close(bw_socket *socket, bool flush);
BW_NODISCARD bw_status bw_socket_binding(bw_socket *socket, uint8_t out[BW_BINDING_BYTES]);  // under TLS

/// Tells the mesh what left at once since the last call; it may write again. False: nothing did.
bool bw_socket_home_tell(bw_socket_home *home);

/// Goes on with those that wait for a host name which was found meanwhile.
void bw_socket_home_look(bw_socket_home *home);

/// Closes all as by bw_socket_close(.., true), but tells the mesh nothing and leaves it its pointers: it
/// may still close each. The loop runs out within a second.
void bw_socket_home_close(bw_socket_home *home);

#endif
