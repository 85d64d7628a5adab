// mesh.h - the connections of one process to all others of its cluster, as a state machine that knows
// neither sockets nor a clock: a transport (net/loop.h: libuv; the simulator) calls it and is called.
//
// A process dials those of a lower index and is dialled by the others. Each connection proves itself
// (net/handshake.h) before anything else that it says is looked at; then it carries records until
// both sides have said BYE, one says ERROR, or it breaks.
//
// Threads: the I/O thread alone, but for bw_mesh_outbox(), whose outboxes any thread may push to.
#ifndef BW_NET_MESH_H
#define BW_NET_MESH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/error.h"
#include "base/status.h"
#include "net/crypto.h"
#include "net/frame.h"
#include "net/outbox.h"
#include "net/settings.h"

typedef struct bw_mesh bw_mesh;
typedef struct bw_session bw_session;  // one connection, from connect() or accept to close()

/// What the mesh asks of the network. Nothing here calls back into the mesh before it has returned.
typedef struct bw_transport {
    /// Begins to connect to a process (host names are looked up anew each time). What comes of it is told by
    /// bw_mesh_opened() or bw_mesh_closed(). `*socket`: what the mesh calls it by from now on. BW_ENOMEM, BW_EIO.
    bw_status (*connect)(void *self, uint32_t process, bw_session *session, void **socket);
    /// Sends a chain of blocks, taken over, each from its head's last 4 bytes (the record's length) up to
    /// `tail_size` bytes behind its bytes. Told by bw_mesh_written() when they are with the system.
    void (*write)(void *self, void *socket, bw_block *first, uint32_t tail_size);
    /// Closes it; after that nothing is told of it any more. `flush`: lets go out what was written, and drops
    /// what still comes until the peer has closed too, as far as that takes no longer than a second. (To close
    /// with bytes unread would take what was written back.)
    void (*close)(void *self, void *socket, bool flush);
    /// Fills with random bytes that nobody can guess (in the simulator: from the seed). BW_EIO.
    bw_status (*random)(void *self, uint8_t *bytes, size_t size);
    /// What only the two ends of this connection know, of which bytes have come. NULL: there is nothing of the kind.
    bw_status (*binding)(void *self, void *socket, uint8_t out[BW_BINDING_BYTES]);
    void *self;
} bw_transport;

/// What the mesh tells those above, on the I/O thread. They may push to outboxes, and call bw_mesh_fail().
typedef struct bw_mesh_events {
    /// All peers are there.
    void (*connected)(void *self);
    /// A frame of a worker kind (>= BW_FRAME_ASSIGN) came, from a peer that may be connected to all before
    /// connected() was told here. Anything but BW_OK ends the mesh: BW_ECORRUPT blames the peer.
    bw_status (*frame)(void *self, uint32_t process, const bw_frame *frame);
    /// All frames of what was read at once were told: more may be long in coming. May be NULL.
    void (*settled)(void *self);
    /// The run failed in `process`, which told us or somebody who passed it on: what bw_mesh_fail() was given
    /// there. Ends the mesh.
    void (*failed)(void *self, uint32_t process, const uint8_t *payload, uint32_t size);
    /// The mesh failed by itself: a peer vanished, is silent, breaks the protocol, refuses us, or is not there
    /// in time; or so says a peer. All peers are told the same. Told once; never after ended() or failed().
    void (*broken)(void *self, const bw_error *error);
    /// All have said BYE, this process too: nothing will come any more.
    void (*ended)(void *self);
    /// A line for the operator (no newline at its end): who is missing, who was refused.
    void (*say)(void *self, const char *line);
    void *self;
} bw_mesh_events;

/// Settings and what the tables point to are borrowed. `wake`: any thread, has the transport call bw_mesh_poll() soon.
BW_NODISCARD bw_status bw_mesh_new(const bw_net_settings *settings, const bw_transport *transport,
                                   const bw_mesh_events *events, void (*wake)(void *), void *wake_self,
                                   bw_mesh **out);
void bw_mesh_free(bw_mesh *mesh);  // its sockets closed at once; NULL is allowed

/// Where blocks of worker frames for a process go; not this one. Any thread.
bw_outbox *bw_mesh_outbox(bw_mesh *mesh, uint32_t process);

/// Begins to dial. To be called once, when this process listens.
void bw_mesh_start(bw_mesh *mesh, uint64_t now_ns);

/// Time has passed or wake() was called: dials, sends what waits in outboxes, pings, judges. Returns when to call again at
/// the latest.
uint64_t bw_mesh_poll(bw_mesh *mesh, uint64_t now_ns);

/// Somebody connected. `from`: its address, for messages. NULL: turned away, too many are (the transport closes).
bw_session *bw_mesh_accept(bw_mesh *mesh, void *socket, const char *from, uint64_t now_ns);

/// The connection that connect() began is there.
void bw_mesh_opened(bw_session *session, uint64_t now_ns);

/// Bytes came; they are borrowed. None: something came of which nothing can be read yet.
void bw_mesh_received(bw_session *session, const uint8_t *bytes, size_t size, uint64_t now_ns);

/// `size` bytes of what write() was given are with the system.
void bw_mesh_written(bw_session *session, size_t size, uint64_t now_ns);

/// The connection is gone, or never came about: `reason`, in the system's words. What had come before was to be
/// passed to bw_mesh_received() first: it may say why. The session is freed.
void bw_mesh_closed(bw_session *session, const char *reason, uint64_t now_ns);

/// All went well here: BYE goes to all, behind what waits in the outboxes now. After connected().
void bw_mesh_leave(bw_mesh *mesh, uint64_t now_ns);

/// The run failed here: ERROR with this payload (at most 64 KiB) goes to all before anything else that waits, and every
/// connection is closed behind it.
void bw_mesh_fail(bw_mesh *mesh, const uint8_t *payload, uint32_t size, uint64_t now_ns);

/// True when the mesh has ended or failed and no session is left: the transport may stop.
bool bw_mesh_is_closed(const bw_mesh *mesh);

#endif
