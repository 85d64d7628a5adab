// number_flow.h - a dataflow whose items are numbers in disguise, which own nothing: so its workers may run in
// threads. Source -> by turn -> by key -> by partition; what each of the three steps sees is summed up.
#ifndef BW_TESTING_NUMBER_FLOW_H
#define BW_TESTING_NUMBER_FLOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "graph/graph.h"
#include "worker/worker.h"

enum { NUMBER_KEYS = 50, NUMBER_PARTS = 7 };

/// What a step saw, on all workers.
typedef struct number_tally {
    _Atomic(uint64_t) count, sum;
} number_tally;

typedef struct number_flow {
    // to be set before it runs
    uint64_t per_worker;  // how many numbers each source gives, from worker * per_worker on
    uint32_t padding;     // bytes that each number has more on its way to another process
    bool waits;           // sources have nothing more at last, but never end
    // Numbers at which a call fails with BW_EHOST; 0 (nobody's) for none.
    uint64_t encode_fails_at, decode_fails_at, keyed_fails_at;

    bw_graph *graph;
    number_tally dealt, keyed, parted;
    _Atomic(uint64_t) by_key[NUMBER_KEYS];
    _Atomic(uint64_t) decoded;  // numbers that came from another process
    atomic_int waiting;         // sources that have nothing more
    atomic_int live;            // instances
    atomic_bool misled;         // an item came where it does not belong
} number_flow;

/// Makes the graph. The flow is one process's; steps 0 to 3 as above.
void number_flow_init(number_flow *flow);
void number_flow_fini(number_flow *flow);

/// How to run it.
bw_execution number_flow_execution(number_flow *flow);

/// What the three tallies, summed over all flows of a cluster, must be.
static inline uint64_t
number_flow_count(const number_flow *flow, uint32_t worker_count)
{
    return flow->per_worker * worker_count;
}

static inline uint64_t
number_flow_sum(const number_flow *flow, uint32_t worker_count)
{
    uint64_t count = number_flow_count(flow, worker_count);
    return count * (count + 1) / 2;  // the numbers begin at 1
}

#endif
