// board.h - what the workers of a cluster show each other: epochs as atomics, and while it starts the
// partitions that each of them lists. Everything else they say by messages (channel/queue.h).
#ifndef BW_WORKER_BOARD_H
#define BW_WORKER_BOARD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel/queue.h"
#include "graph/names.h"
#include "progress/frontier.h"

typedef struct bw_board {
    uint32_t worker_count, step_count;
    bw_queue *queues;  // by worker

    atomic_bool stopped;      // no worker starts anything any more
    atomic_uint changes;      // counts all that happens to what follows: news, for who is about to sleep
    _Atomic(bw_epoch) begun;  // the highest epoch that any worker is in
    _Atomic(bw_epoch) *closed;  // by worker: before this one all its steps have closed every epoch
    _Atomic(bw_epoch) oldest;   // the least of closed[]: the oldest epoch open anywhere

    pthread_mutex_t lock;  // guards parts[] until all have listed; then they are immutable
    bw_names *parts;       // by step: every partition that a worker listed, at last sorted
    atomic_uint listed;    // workers that have listed their partitions
    atomic_uint built;     // workers that have built their steps: only then is a source polled
} bw_board;

/// Opens the queues with `wakers` (by worker; NULL in the simulator).
BW_NODISCARD bw_status bw_board_init(bw_board *board, uint32_t worker_count, uint32_t step_count,
                                     bw_epoch resume_epoch, bw_waker *wakers);
void bw_board_fini(bw_board *board, const bw_item_ops *items);

/// Any thread. Ends the run: every worker returns after the activation it is in.
void bw_board_stop(bw_board *board);

/// Worker thread. Adds what a worker lists for a step.
BW_NODISCARD bw_status bw_board_list(bw_board *board, uint32_t step, const bw_names *names);

/// Worker thread. This worker has listed (built) everything; the last one wakes all.
void bw_board_count_listed(bw_board *board);
void bw_board_count_built(bw_board *board);

/// Worker thread. It is in `epoch` now: others follow.
void bw_board_begin(bw_board *board, bw_epoch epoch);

/// Worker thread. All its steps have closed what is before `epoch`.
void bw_board_close(bw_board *board, uint32_t worker, bw_epoch epoch);

#endif
