// worker.h - one worker: every step of the dataflow, run in rounds by one thread.
//
// Life:   OPEN -> LISTED -> BUILT -> RUNNING -> DONE     any state -> FAILED, STOPPED
//         OPEN      makes its instance of each step and lists partitions
//         LISTED    waits until all have; then owners are known, and it builds
//         BUILT     waits until all have
//         RUNNING   a round a turn: what came in; each due source once; marks; then what must be sent
#ifndef BW_WORKER_WORKER_H
#define BW_WORKER_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/status.h"
#include "graph/graph.h"
#include "worker/board.h"

typedef struct bw_worker bw_worker;

/// What all workers of an execution are given alike.
typedef struct bw_execution {
    const bw_graph *graph;
    bw_item_ops items;
    bw_clock clock;
    uint64_t epoch_interval_ns;  // 0: every round that polls is an epoch
    uint64_t window_items;       // room in each half of an exchange's window, > 0
    uint64_t window_bytes;       // likewise, where items go to another process; 0: BW_WINDOW_BYTES
    bw_epoch resume_epoch;
} bw_execution;

// The window of an ordinary run. With 4,096 two workers of a word count in C sleep five times as often.
#define BW_WINDOW_ITEMS 16384

// Some large batches, so that one is on its way while another is processed.
#define BW_WINDOW_BYTES (8u << 20)

typedef enum bw_turn {
    BW_TURN_AGAIN,    // there is more to do at once
    BW_TURN_PARK,     // nothing to do before the deadline or a wake-up
    BW_TURN_DONE,     // all is over and sent
    BW_TURN_STOPPED,  // the board was stopped
    BW_TURN_FAILED,   // see bw_worker_failure()
} bw_turn;

typedef struct bw_failure {
    bw_status status;
    uint32_t worker_index;  // through the whole cluster
    uint32_t step_index;    // UINT32_MAX: in none
    bw_error error;         // what the engine knows of it beyond the status; "" if nothing
} bw_failure;

/// The board and what `execution` points to are borrowed. `index`: through the whole cluster. BW_ENOMEM leaves `*out` NULL.
BW_NODISCARD bw_status bw_worker_new(const bw_execution *execution, bw_board *board, uint32_t index,
                                     bw_worker **out);

/// Worker thread, attached: drops the instances of its steps. NULL is allowed.
void bw_worker_free(bw_worker *worker);

/// Worker thread, attached. One round. After BW_TURN_PARK `*deadline_ns` says when to come back.
bw_turn bw_worker_turn(bw_worker *worker, uint64_t *deadline_ns);

/// Worker thread. True if a message waits or the board has changed since the last turn began: the last
/// look before going to sleep.
bool bw_worker_has_mail(const bw_worker *worker);

/// Worker thread, attached, after the last turn: makes sinks write what they hold back. Goes on after
/// a failure, which it returns.
BW_NODISCARD bw_status bw_worker_flush(bw_worker *worker);

/// Worker thread. The clock as the last turn read it.
uint64_t bw_worker_now_ns(const bw_worker *worker);

/// Worker thread, after BW_TURN_FAILED.
bw_failure bw_worker_failure(const bw_worker *worker);

/// Worker thread. The items that its steps hold and that are not yet in a store of state: for tests
/// of the bound on memory.
uint64_t bw_worker_held_items(const bw_worker *worker);

/// Any thread. Index of the step whose code the worker is in, UINT32_MAX if in none.
uint32_t bw_worker_busy_step(const bw_worker *worker);

#endif
