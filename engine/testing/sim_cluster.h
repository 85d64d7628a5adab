// sim_cluster.h - a whole cluster in one thread: processes, network and what goes wrong in it, all drawn
// from one seed. Each step is one thing that one thread of one process does, or that the network does.
#ifndef BW_TESTING_SIM_CLUSTER_H
#define BW_TESTING_SIM_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "testing/sim_flow.h"
#include "testing/sim_net.h"
#include "testing/sim_process.h"

enum { SIM_MAX_PROCESSES = 3 };

typedef enum sim_trouble {
    SIM_NO_TROUBLE,
    // after which the run must end well all the same
    SIM_STALL,  // a worker is in the user's code for long
    SIM_PAUSE,  // a process is stopped, for less than the silence time-out
    SIM_SLEEP,  // all are, together with their machine, for longer
    SIM_TWIN,   // a second process of an index comes
    // after which it must end with an error on all sides, unless all was done before
    SIM_KILL,     // a process is
    SIM_RESET,    // of a connection
    SIM_CUT,      // nothing passes between two processes
    SIM_CUT_ONE,  // nothing passes in one direction
    SIM_ISOLATE,  // nothing passes between a process and all others
    SIM_FREEZE,   // a process is stopped, for longer than the silence time-out
    SIM_FLIP,     // a bit is flipped on its way
    SIM_STOP,     // the user interrupts one process
    // of the flow itself: user code fails (sim_flow.h)
    SIM_FAILURE,
    // from the beginning
    SIM_WRONG_SECRET,
    SIM_WRONG_GRAPH,
    SIM_WRONG_COUNT,    // of workers a process
    SIM_WRONG_ADDRESS,  // two addresses are the wrong way round
    SIM_MISSING,        // a process never starts
    SIM_TROUBLE_COUNT,
} sim_trouble;

typedef struct sim_cluster {
    uint64_t seed;
    random_state random;
    sim_flow *flow;
    sim_net net;
    // Behind those of the cluster a twin of one, if it comes.
    sim_process processes[SIM_MAX_PROCESSES + 1];
    uint32_t process_count, local_count;
    uint8_t secret[32];
    uint32_t weights[SIM_MAX_PROCESSES + 1];  // how often an I/O thread is drawn
    uint64_t step_count, turn_count;
    uint64_t behind_ns;  // by which slow workers have moved the clock, for all others
    // planned
    sim_trouble trouble;
    uint32_t victim, other;  // processes
    // After so many turns of workers; 0: at trouble_ns; UINT64_MAX: when somebody leaves.
    uint64_t trouble_turn;
    uint64_t trouble_ns;
    sim_trouble more;  // strikes another process, more_turns turns later
    uint64_t more_turns;
    bool more_struck;
    uint32_t planned_failures;  // of the flow
    uint32_t visits_left;       // of strangers
    uint64_t visit_ns;          // of the next one
    // happened
    bool struck;
    uint64_t struck_ns;
    bool all_connected;  // when it struck
    uint64_t thaw_ns;    // when the frozen process goes on; 0: none is
    uint64_t thawed_ns;  // when it did
    bool effective;      // it changed something
} sim_cluster;

typedef enum sim_cluster_step {
    SIM_CLUSTER_RAN,
    SIM_CLUSTER_ENDED,     // every process has
    SIM_CLUSTER_DEADLOCK,  // all sleep, and nothing would ever wake one
} sim_cluster_step;

/// Draws one; `seed` decides all. Free it with sim_cluster_free().
sim_cluster *sim_cluster_new(uint64_t seed, bool verbose);

/// Frees all but the flow and what it counts.
void sim_cluster_fini(sim_cluster *cluster);
void sim_cluster_free(sim_cluster *cluster);

sim_cluster_step sim_cluster_run_step(sim_cluster *cluster);

/// An upper bound on the bytes that may wait for the network.
uint64_t sim_cluster_bound(const sim_cluster *cluster);

/// True if the run must end well in spite of it.
static inline bool
sim_trouble_is_harmless(sim_trouble trouble)
{
    return trouble < SIM_KILL;
}

/// What goes wrong, for messages.
const char *sim_trouble_name(sim_trouble trouble);

#endif
