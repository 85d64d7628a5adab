// node.h - a worker from inside, which the files of this folder share: a node is a step as it runs here.
//
//     start.c       makes the nodes and exchanges, opens and builds the steps
//     activation.c  runs batches and closes epochs, step by step
//     sources.c     polls, snapshots, moves to the next epoch
//     news.c        tells others: items, marks, room, epochs begun and closed
//     worker.c      takes their messages; rounds and turns
#ifndef BW_WORKER_NODE_H
#define BW_WORKER_NODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "channel/batch.h"
#include "channel/queue.h"
#include "graph/graph.h"
#include "net/message.h"
#include "worker/board.h"
#include "worker/exchange.h"
#include "worker/outlet.h"
#include "worker/worker.h"

typedef enum bw_worker_state {
    BW_WORKER_OPEN,
    BW_WORKER_LISTED,
    BW_WORKER_BUILT,
    BW_WORKER_RUNNING,
    BW_WORKER_DONE,
    BW_WORKER_STOPPED,
    BW_WORKER_FAILED,
} bw_worker_state;

/// A partition of a source (or the one part of a source without).
typedef struct bw_part {
    uint64_t awake_ns;       // not to be polled before
    uint64_t idle_since_ns;  // first of the polls that gave nothing; BW_TIME_NEVER: the last one gave
    bool ended;
    bool emitted;  // in the present epoch, so that a snapshot is due at its end
} bw_part;

/// Where a step's items go: into a step of this worker, or into an exchange.
typedef struct bw_down {
    uint32_t step;
    bw_exchange *exchange;  // NULL: local, always
} bw_down;

typedef struct bw_node {
    const bw_step *step;
    void *instance;
    bw_exchange **ups;  // by upstream: the exchange, NULL if local
    bw_down *downs;
    uint32_t down_count;
    bw_exchange **reach;  // the exchanges next downstream, through local steps alone
    uint32_t reach_count;
    uint32_t *nexts;  // the steps downstream through local steps alone that are fed locally
    uint32_t next_count;
    bw_epoch open;     // every epoch before it is closed here; BW_EPOCH_NONE: ended
    bw_epoch last;     // the highest epoch that came in
    uint32_t *owners;  // of its partitions, if it has any
    bw_part *parts;    // of a source
    size_t part_count, live_count;
} bw_node;

struct bw_worker {
    const bw_execution *execution;
    bw_board *board;
    bw_place place;
    bw_worker_state state;
    bw_failure failure;

    bw_node *nodes;        // by step
    bw_batch_list *inbox;  // by step: what it has to process
    bw_exchange *exchanges;
    uint32_t exchange_count;
    bw_exchange_host host;
    bw_batch_pool pool;
    bw_message_array mail;
    bw_outlet *outlets;  // by process; that of this one is not used. NULL without other processes
    uint32_t outlet_count;

    bw_epoch epoch;  // in which its sources emit
    uint64_t epoch_start_ns;
    bw_epoch published;  // what the board knows of closed epochs
    uint64_t now_ns;     // read at the start of each round, and after what may have taken long
    uint32_t poll_limit;
    bool busy;              // the present round has done something
    unsigned seen_changes;  // of the board, when the present round began
    _Atomic(uint32_t) busy_step;
};

/// Notes whose code runs, for those who ask from outside.
static inline void
bw_worker_enter(bw_worker *worker, const bw_node *node)
{
    uint32_t index = node == NULL ? UINT32_MAX : (uint32_t)(node - worker->nodes);
    atomic_store_explicit(&worker->busy_step, index, memory_order_relaxed);
}

static inline bw_status
bw_worker_fail(bw_worker *worker, const bw_node *node, bw_status status)
{
    worker->failure = (bw_failure){
        .status = status,
        .worker_index = worker->place.worker_index,
        .step_index = node == NULL ? UINT32_MAX : (uint32_t)(node - worker->nodes),
    };
    return status;
}

static inline bool
bw_worker_is_stopped(const bw_worker *worker)
{
    return atomic_load_explicit(&worker->board->stopped, memory_order_relaxed);
}

// How many epochs a worker may be in before the oldest that is open anywhere has closed. Marks need no room: without
// this bound, a worker that closes slowly, or is reached slowly, would be sent them without end.
#define BW_EPOCHS_AHEAD 1000

/// True if no source may begin an epoch by itself now.
static inline bool
bw_worker_is_ahead(const bw_worker *worker)
{
    bw_epoch oldest = atomic_load_explicit(&worker->board->oldest, memory_order_relaxed);
    return worker->epoch > oldest && worker->epoch - oldest >= BW_EPOCHS_AHEAD;
}

static inline uint64_t
bw_worker_read_clock(bw_worker *worker)
{
    return worker->now_ns = bw_clock_now_ns(&worker->execution->clock);
}

// All that follows: worker thread, attached. A failure was noted by bw_worker_fail() if a step is to blame.

/// Goes on with the start. BW_EMPTY: others are not as far.
BW_NODISCARD bw_status bw_worker_start(bw_worker *worker);

/// True if items of `epoch` may be made for what is downstream of a node: the exchanges have room, and
/// no local step on the way has a window's worth held back or waiting for room itself.
bool bw_worker_has_room(const bw_worker *worker, const bw_node *node, bw_epoch epoch);

/// Gives a batch, which is taken over, to all that take the node's items.
BW_NODISCARD bw_status bw_worker_deliver(bw_worker *worker, const bw_node *node, bw_batch *batch);

/// Runs the steps from `first` on, in recording order: so every step sees what those before it made.
/// `close`: closes their epochs too, as far as marks allow.
BW_NODISCARD bw_status bw_worker_run_steps(bw_worker *worker, uint32_t first, bool close);

/// Polls what is due, and ends the epoch if that is over.
BW_NODISCARD bw_status bw_worker_run_sources(bw_worker *worker);

/// Lets the steps after the sources see how far those have come.
void bw_worker_move_sources(bw_worker *worker);

/// Sends what there is room for, then how far we are, then the room that others get back.
BW_NODISCARD bw_status bw_worker_send(bw_worker *worker);

/// Shows everybody before which epoch all steps of this worker have closed.
BW_NODISCARD bw_status bw_worker_publish(bw_worker *worker);

/// Tells other processes, as the board tells those of this one: the partitions that it lists for a step, that it has
/// listed (built) all, that it has begun an epoch.
BW_NODISCARD bw_status bw_worker_tell_parts(bw_worker *worker, uint32_t step, const bw_names *names);
BW_NODISCARD bw_status bw_worker_tell_ready(bw_worker *worker, bw_ready what);
BW_NODISCARD bw_status bw_worker_tell_begun(bw_worker *worker, bw_epoch epoch);

/// Lets go to other processes what was written for them: before this thread waits, and after each round. Not
/// later, though larger pieces would cost less: the next round may call code that takes its time.
void bw_worker_push(bw_worker *worker);

/// Notes that items for the step behind an exchange could not be sent.
BW_NODISCARD bw_status bw_worker_fail_sending(bw_worker *worker, uint32_t step, bw_status status);

/// Lets nothing wait here while this thread sleeps or is in code that may block.
BW_NODISCARD bw_status bw_worker_flush_all(bw_worker *worker);

#endif
