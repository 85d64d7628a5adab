// simulator.h - a cluster of workers in one thread: each step is one turn of a worker drawn by chance,
// on a virtual clock that jumps when all sleep. The same seed gives the same run.
#ifndef BW_TESTING_SIMULATOR_H
#define BW_TESTING_SIMULATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "testing/random.h"
#include "testing/sim_clock.h"
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
    sim_clock *clock;
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

/// Makes the workers. All that is pointed to is borrowed; `clock` is that of the execution.
BW_NODISCARD bw_status simulator_init(simulator *simulator, const bw_execution *execution,
                                      uint32_t worker_count, random_state *random, sim_clock *clock);

/// Frees the workers and drops what is on its way between them.
void simulator_fini(simulator *simulator, const bw_execution *execution);

/// One turn of one worker. A failure stops the others, as a cluster does.
simulator_step simulator_run_turn(simulator *simulator);

/// Only with work for it at once: mail, a passed deadline, or more to do.
bool simulated_can_run(const simulated *one, uint64_t now_ns);

static inline bool
simulated_has_ended(const simulated *one)
{
    return one->turn == BW_TURN_DONE || one->turn == BW_TURN_STOPPED || one->turn == BW_TURN_FAILED;
}

#endif
