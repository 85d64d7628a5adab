// loop.h - the I/O thread of a process: a libuv loop that drives the mesh. It owns every connection.
#ifndef BW_NET_LOOP_H
#define BW_NET_LOOP_H

#include <stdint.h>

#include "base/error.h"
#include "base/status.h"
#include "net/mesh.h"
#include "net/settings.h"

typedef struct bw_loop bw_loop;

/// What the loop calls on its thread before each bw_mesh_poll().
typedef struct bw_loop_hook {
    void (*poll)(void *self, uint64_t now_ns);
    void *self;
} bw_loop_hook;

/// Binds and listens (at once, so that a port in use is an error here) and makes the mesh; no thread runs yet. What is pointed to is
/// borrowed. BW_EINVAL (an address that is none), BW_EIO (in use, not known, no descriptors, TLS files): `*error` says so.
BW_NODISCARD bw_status bw_loop_new(const bw_net_settings *settings, const bw_mesh_events *events,
                                   const bw_loop_hook *hook, bw_loop **out, bw_error *error);
bw_mesh *bw_loop_mesh(bw_loop *loop);

/// Starts the thread, all signals blocked, and the mesh in it. BW_ENOMEM: no thread.
BW_NODISCARD bw_status bw_loop_start(bw_loop *loop);

/// Any thread: has the loop call hook and bw_mesh_poll() soon.
void bw_loop_wake(bw_loop *loop);

/// Closes every connection (letting out what was written, a second at most), ends the thread and joins it.
void bw_loop_stop(bw_loop *loop);
void bw_loop_free(bw_loop *loop);  // after stop, or never started; NULL is allowed

#endif
