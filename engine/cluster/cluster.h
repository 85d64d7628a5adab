// cluster.h - the workers of one process: made, run each on a thread of the caller's, stopped together.
#ifndef BW_CLUSTER_CLUSTER_H
#define BW_CLUSTER_CLUSTER_H

#include <stdint.h>

#include "base/error.h"
#include "base/status.h"
#include "base/waker.h"
#include "cluster/link.h"
#include "net/settings.h"
#include "worker/worker.h"

typedef struct bw_cluster bw_cluster;

/// How the engine tells its host what a worker's thread does. Each may be NULL.
typedef struct bw_host_ops {
    /// The thread will wait: lets go of what others need meanwhile. What it returns attach() is given.
    void *(*detach)(void *self);
    void (*attach)(void *self, void *token);
    /// Attached, between two rounds when `tick_interval_ns` of work are over, and after every sleep, with
    /// the signal numbers that came to the worker's waker by then. A failure ends the run.
    bw_status (*tick)(void *self, const uint8_t *signals, uint32_t count);
    uint64_t tick_interval_ns;
    /// Attached, at once after a failure of this worker, before anything of the host's is touched. It
    /// may set `*step` (label) and `*text` (what happened) for other processes: malloc()ed, freed by the engine.
    void (*failed)(void *self, const bw_failure *failure, char **step, char **text);
    void *self;
} bw_host_ops;

/// `execution` is copied; what it points to is borrowed, as `net` is (whose workers_per_process is `worker_count`).
/// `net`: NULL without other processes; with it the items must have encode and decode. BW_ENOMEM or BW_EIO (no
/// descriptors) leave `*out` NULL.
BW_NODISCARD bw_status bw_cluster_new(const bw_execution *execution, uint32_t worker_count,
                                      const bw_net_settings *net, bw_cluster **out);

// With other processes: bw_cluster_connect(); wait until bw_cluster_link() says BW_LINK_CONNECTED; run the
// workers; then bw_link_leave() or bw_link_fail(); wait until it says BW_LINK_ENDED or BW_LINK_FAILED;
// bw_cluster_disconnect(). Whoever waits may give up at any time: bw_link_fail(), bw_cluster_disconnect().

/// Listens and starts the I/O thread. BW_EIO, BW_EINVAL, BW_ENOMEM: `*error` says why. `waiter` (NULL: nobody) is woken
/// at each change of the state, until bw_cluster_disconnect(). Once, by the thread that made the cluster.
BW_NODISCARD bw_status bw_cluster_connect(bw_cluster *cluster, bw_waker *waiter, bw_error *error);

/// Any thread; NULL without other processes.
bw_link *bw_cluster_link(bw_cluster *cluster);

/// Lets go out what must (a second at most), closes all connections and joins the I/O thread. Not for a worker's thread; but
/// workers may still run: what they say then goes nowhere. More than once does no harm.
void bw_cluster_disconnect(bw_cluster *cluster);

/// When no thread is in it any more, disconnected if it was connected. NULL is allowed.
void bw_cluster_free(bw_cluster *cluster);

/// Worker thread, attached; once for each worker of this process, by its local index. Runs it until the dataflow is over: BW_OK; until
/// another one failed, in whatever process, or the cluster was stopped: BW_CLOSED; else its own failure, which stops all.
BW_NODISCARD bw_status bw_cluster_run(bw_cluster *cluster, uint32_t worker_index,
                                      const bw_host_ops *host);

/// Any thread.
void bw_cluster_stop(bw_cluster *cluster);

/// Any thread. The first failure of this process's workers, after which all workers ended; its status is BW_OK if there is none.
bw_failure bw_cluster_failure(bw_cluster *cluster);

/// Any thread. Index of the step whose code a worker (by local index, as below) is in; UINT32_MAX if in none, or not running.
uint32_t bw_cluster_busy_step(bw_cluster *cluster, uint32_t worker_index);

/// The write end of the pipe on which a worker sleeps: a signal handler may write the number to it.
int bw_cluster_wake_fd(const bw_cluster *cluster, uint32_t worker_index);

/// Runs all workers, each on a pthread of its own but the first, which is the caller's.
BW_NODISCARD bw_status bw_cluster_run_all(bw_cluster *cluster);

#endif
