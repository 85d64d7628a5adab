// board.h - what the workers of a cluster show each other: epochs as atomics, and while it starts the
// partitions that each of them lists. Everything else they say by messages (channel/queue.h).
//
// Each process has a board, with an entry for every worker of the cluster and queues for its own. What workers
// of other processes tell (net/message.h) the I/O thread writes to it, checked: the functions named
// ..._from_afar. What those of this process tell others goes out by their outlets (worker/news.c).
#ifndef BW_WORKER_BOARD_H
#define BW_WORKER_BOARD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel/queue.h"
#include "graph/names.h"
#include "net/outbox.h"
#include "progress/frontier.h"

/// How the workers of a cluster are spread over its processes, as many on each. They are counted through:
/// worker g is the local one `g % local_count` of process `g / local_count`.
typedef struct bw_layout {
    uint32_t process_count, process_index;
    uint32_t local_count;
} bw_layout;

static inline bw_layout
bw_layout_alone(uint32_t worker_count)
{
    return (bw_layout){.process_count = 1, .local_count = worker_count};
}

typedef struct bw_board {
    bw_layout layout;
    uint32_t worker_count;  // of the cluster
    uint32_t first_worker;  // of this process
    uint32_t step_count;
    bw_queue *queues;  // by local worker
    // By process: where what goes there is pushed, NULL for this one. The array and what it points to are
    // borrowed; set before a worker runs. NULL without other processes.
    bw_outbox *const *outboxes;
    bw_block_pool blocks;  // of what goes to other processes and comes from them

    atomic_bool stopped;      // no worker starts anything any more
    atomic_uint changes;      // counts all that happens to what follows: news, for who is about to sleep
    _Atomic(bw_epoch) begun;  // the highest epoch that any worker is in
    // By worker: before this one all its steps have closed every epoch. Only that worker, or the I/O thread
    // for one elsewhere, writes it.
    _Atomic(bw_epoch) *closed;
    _Atomic(bw_epoch) oldest;  // the least of closed[]: the oldest epoch open anywhere

    pthread_mutex_t lock;  // guards `told`, and parts[] until all have listed; then they are immutable
    uint8_t *told;         // by worker elsewhere: what it has counted, as bits
    bw_names *parts;       // by step: every partition that a worker listed, at last sorted
    atomic_uint listed;    // workers that have listed their partitions
    atomic_uint built;     // workers that have built their steps: only then is a source polled
} bw_board;

/// Opens the queues with `wakers` (by local worker; NULL in the simulator).
BW_NODISCARD bw_status bw_board_init(bw_board *board, bw_layout layout, uint32_t step_count,
                                     bw_epoch resume_epoch, bw_waker *wakers);
void bw_board_fini(bw_board *board, const bw_item_ops *items);

/// Any thread. Ends the run: every worker returns after the activation it is in.
void bw_board_stop(bw_board *board);

/// Worker thread. Adds what a worker lists for a step.
BW_NODISCARD bw_status bw_board_list(bw_board *board, uint32_t step, const bw_names *names);

/// Worker thread. This worker has listed (built) everything; the last one wakes all.
void bw_board_count_listed(bw_board *board);
void bw_board_count_built(bw_board *board);

/// Worker thread. It is in `epoch` now: others follow. True if nobody was known to be so far: then other processes
/// must hear of it.
bool bw_board_begin(bw_board *board, bw_epoch epoch);

/// Worker thread. All its steps have closed what is before `epoch`.
void bw_board_close(bw_board *board, uint32_t worker, bw_epoch epoch);

// The same, of workers of other processes: I/O thread. That a worker is one of the process that speaks, its
// caller has seen. BW_ECORRUPT, with nothing changed: it can't be.
BW_NODISCARD bw_status bw_board_list_from_afar(bw_board *board, uint32_t step, bw_bytes name);
BW_NODISCARD bw_status bw_board_count_listed_from_afar(bw_board *board, uint32_t worker);
BW_NODISCARD bw_status bw_board_count_built_from_afar(bw_board *board, uint32_t worker);
BW_NODISCARD bw_status bw_board_begin_from_afar(bw_board *board, bw_epoch epoch);
BW_NODISCARD bw_status bw_board_close_from_afar(bw_board *board, uint32_t worker, bw_epoch epoch);

static inline uint32_t
bw_board_process_of(const bw_board *board, uint32_t worker)
{
    return worker / board->layout.local_count;
}

/// True if a worker (any number, as it came) runs in this process.
static inline bool
bw_board_is_local(const bw_board *board, uint32_t worker)
{
    return worker - board->first_worker < board->layout.local_count;
}

/// The queue of a worker of this process.
static inline bw_queue *
bw_board_queue(const bw_board *board, uint32_t worker)
{
    return &board->queues[worker - board->first_worker];
}

#endif
