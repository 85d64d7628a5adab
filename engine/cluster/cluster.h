// cluster.h - the workers of one process: made, run each on a thread of the caller's, stopped together.
#ifndef BW_CLUSTER_CLUSTER_H
#define BW_CLUSTER_CLUSTER_H

#include <stdint.h>

#include "base/status.h"
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
    /// Attached, at once after a failure of this worker, before anything of the host's is touched.
    void (*failed)(void *self, const bw_failure *failure);
    void *self;
} bw_host_ops;

/// `execution` is copied; what it points to is borrowed. BW_ENOMEM or BW_EIO (no descriptors) leave
/// `*out` NULL.
BW_NODISCARD bw_status bw_cluster_new(const bw_execution *execution, uint32_t worker_count,
                                      bw_cluster **out);

/// When no thread is in it any more. NULL is allowed.
void bw_cluster_free(bw_cluster *cluster);

/// Worker thread, attached; once for each worker. Runs it until the dataflow is over: BW_OK; until
/// another one failed or the cluster was stopped: BW_CLOSED; else its own failure, which stops all.
BW_NODISCARD bw_status bw_cluster_run(bw_cluster *cluster, uint32_t worker_index,
                                      const bw_host_ops *host);

/// Any thread.
void bw_cluster_stop(bw_cluster *cluster);

/// Any thread. The first failure, after which all workers ended; its status is BW_OK if there is none.
bw_failure bw_cluster_failure(bw_cluster *cluster);

/// Any thread. Index of the step whose code a worker is in; UINT32_MAX if in none, or not running.
uint32_t bw_cluster_busy_step(bw_cluster *cluster, uint32_t worker_index);

/// The write end of the pipe on which a worker sleeps: a signal handler may write the number to it.
int bw_cluster_wake_fd(const bw_cluster *cluster, uint32_t worker_index);

/// Runs all workers, each on a pthread of its own but the first, which is the caller's.
BW_NODISCARD bw_status bw_cluster_run_all(bw_cluster *cluster);

#endif
