// simulator.h - a cluster of workers in one thread: each step is one turn of a worker drawn by chance,
// on a virtual clock that jumps when all sleep. The same seed gives the same run.
#ifndef BW_TESTING_SIMULATOR_H
#define BW_TESTING_SIMULATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "testing/random.h"
#include "worker/board.h"
#include "worker/worker.h"

typedef struct simulated {
    bw_worker *worker;
    bw_turn turn;          // what its last turn answered
    uint64_t deadline_ns;  // of BW_TURN_PARK
    uint32_t weight;       // how often it is drawn, to make some slower than others
} simulated;

typedef struct simulator {
    random_state *random;
    uint64_t now_ns;
    uint64_t turn_count;
    bw_board board;
    uint32_t worker_count;
    simulated *workers;
} simulator;

typedef enum simulator_step {
    SIMULATOR_RAN,
    SIMULATOR_ENDED,     // every worker has
    SIMULATOR_DEADLOCK,  // all sleep, and nothing would ever wake one
} simulator_step;

/// Makes the workers and sets the execution's clock, which must outlive the simulator as what it
/// points to must.
BW_NODISCARD bw_status simulator_init(simulator *simulator, bw_execution *execution,
                                      uint32_t worker_count, random_state *random);

/// Frees the workers and drops what is on its way between them.
void simulator_fini(simulator *simulator, const bw_execution *execution);

/// One turn of one worker. A failure stops the others, as a cluster does.
simulator_step simulator_run_turn(simulator *simulator);

/// Only with work for it at once: mail, a passed deadline, or more to do.
bool simulator_can_run(const simulator *simulator, uint32_t index);

static inline bool
simulator_has_ended(const simulated *one)
{
    return one->turn == BW_TURN_DONE || one->turn == BW_TURN_STOPPED || one->turn == BW_TURN_FAILED;
}

#endif
