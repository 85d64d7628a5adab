// link.h - what ties the workers of one process to the connections of the process: frames that came become
// messages, news of the board and failures; a failure or the end of the workers here goes out.
//
//     CONNECTING -> CONNECTED -> ENDED      both of the first -> FAILED, for whatever reason, and then for good
//
// Threads: the events and bw_link_poll() are for the I/O thread; the rest says who may call. What several
// threads use is guarded by one lock, which is held for moments and with no other.
#ifndef BW_CLUSTER_LINK_H
#define BW_CLUSTER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/status.h"
#include "base/waker.h"
#include "net/mesh.h"
#include "worker/board.h"

typedef enum bw_link_state {
    BW_LINK_CONNECTING,  // not all peers are there
    BW_LINK_CONNECTED,   // workers may run
    BW_LINK_ENDED,       // all workers of all processes ended well
    BW_LINK_FAILED,      // see bw_link_failure_of()
} bw_link_state;

/// Why the run ended badly.
typedef struct bw_link_failure {
    bool
        reported;  // a process, this one too, reported that something failed in it; else the connections did
    uint32_t process;  // which one reported it
    uint32_t worker;   // of the whole cluster; UINT32_MAX: not in a worker
    const char *step;  // label of the step; "" if in none. Owned by the link
    const char
        *text;  // the traceback, or what is wrong with the connections. Owned by the link; as `step`
                // UTF-8 if the one who reported it is honest
} bw_link_failure;

typedef struct bw_link bw_link;

/// The board is borrowed, of the settings nothing is kept. BW_ENOMEM leaves `*out` NULL. Before the mesh, whose
/// events it takes.
BW_NODISCARD bw_status bw_link_new(bw_board *board, const bw_net_settings *settings, bw_link **out);
void bw_link_free(bw_link *link);  // after the mesh; NULL is allowed

/// The table that the mesh is made with. `say` writes to stderr.
bw_mesh_events bw_link_events(bw_link *link);

/// The mesh that bw_link_poll() speaks to, and who has the loop call bw_link_poll() soon, from any thread. Before
/// the loop runs.
void bw_link_attach_mesh(bw_link *link, bw_mesh *mesh, void (*wake)(void *self), void *wake_self);

/// I/O thread, each time before bw_mesh_poll(): passes on to the mesh that this process leaves or has failed.
void bw_link_poll(bw_link *link, uint64_t now_ns);

/// Any thread. Who is woken at each change of the state; NULL: nobody any more.
void bw_link_set_waiter(bw_link *link, bw_waker *waiter);

/// Any thread.
bw_link_state bw_link_state_of(bw_link *link);
const bw_link_failure *bw_link_failure_of(bw_link *link);  // after BW_LINK_FAILED, immutable then

/// Any thread; the first call counts. All workers of this process ended well: says so to the others, and the state
/// becomes BW_LINK_ENDED when all have.
void bw_link_leave(bw_link *link);

/// Any thread; the first call counts, and only if nothing has failed elsewhere before: the state becomes
/// BW_LINK_FAILED at once, the board is stopped, and the others are told. `worker`: of the whole cluster, or
/// UINT32_MAX; `step`, `text`: UTF-8, copied, cut in the middle where they are too long; NULL is "".
void bw_link_fail(bw_link *link, uint32_t worker, const char *step, const char *text);

#endif
