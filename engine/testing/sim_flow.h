// sim_flow.h - a random dataflow: what its steps do, drawn from a seed, and what was seen while it ran.
#ifndef BW_TESTING_SIM_FLOW_H
#define BW_TESTING_SIM_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/graph.h"
#include "testing/sim_clock.h"
#include "testing/sim_item.h"
#include "testing/sim_report.h"
#include "worker/worker.h"

enum { MAX_NAME_BYTES = 20000 };
enum { MAX_STEPS = 12, MAX_WORKERS = 6, MAX_UPS = 3, MAX_PARTS = 6 };

typedef enum sim_kind {
    SIM_SOURCE,
    SIM_FORWARD,  // rewrites its batch in place and hands it on
    SIM_PUSH,     // makes a new item of each
    SIM_FLAT,     // of each item none to three
    SIM_FILTER,   // drops half of them
    SIM_SWALLOW,  // drops all
} sim_kind;

/// Where user code may fail.
typedef enum sim_site {
    SIM_NOWHERE,
    SIM_OPEN,
    SIM_BUILD,
    SIM_POLL,
    SIM_SNAPSHOT,
    SIM_CLOSE_PART,
    SIM_ROUTE,
    SIM_BATCH,
    SIM_CLOSE,
    SIM_FLUSH,
    SIM_SITE_COUNT,
} sim_site;

/// How many items, and the sum of their mixed ids: equal for equal bags of items.
typedef struct sim_tally {
    uint64_t count, sum;
} sim_tally;

typedef struct sim_flow sim_flow;

typedef struct sim_step {
    sim_flow *flow;
    uint32_t index;
    sim_kind kind;
    bw_route route;
    bool aligned, has_parts;
    uint32_t ups[MAX_UPS], up_count;
    uint32_t downs[MAX_STEPS * MAX_UPS], down_count;
    bool doubled;          // it takes the items of a step twice
    bool keeps_keys;       // hands a keyed batch on as one
    uint32_t close_items;  // made in each activation that closes, until `closes_left` is 0: else epochs
    uint32_t closes_left;  // could make more than a slow worker takes, and sources would never end
    uint32_t not_yet;      // one in so many closes answers "not yet"; 0: none
    uint32_t slow_ns;      // what a batch takes at most
    // of a source
    uint32_t burst, rest, part_items;  // most items a poll; one in `rest` polls is empty
    // of partitions: names "0", "1", ..., each lengthened to so many bytes
    uint32_t name_count, name_bytes;
    // seen
    sim_tally expected, got;
    uint32_t ended_count;
    bw_epoch ended_epoch;
} sim_step;

struct sim_flow {
    random_state random;
    sim_clock clock;
    sim_ledger ledger;
    bw_execution execution;
    bw_graph *graph;
    uint32_t worker_count;
    uint32_t step_count;
    sim_step steps[MAX_STEPS];
    uint64_t next_id;
    uint64_t instances;                   // of steps, that live
    uint64_t most_made;                   // by one activation, of all so far
    bw_epoch source_epochs[MAX_WORKERS];  // by worker: the latest in which a source emitted
    // planned trouble
    sim_site fail_site;
    uint32_t fail_step, fail_in;  // at the n-th pass
    bool failed;
    uint64_t stop_at_turn;  // 0: never
};

/// Draws a flow for so many workers; 0: for some. `seed` decides all.
sim_flow *sim_flow_new(uint64_t seed, uint32_t worker_count);
void sim_flow_free(sim_flow *flow);

/// Adds the name of a partition.
bw_status sim_step_add_name(const sim_step *step, uint32_t index, bw_names *names);

/// Counts an item that no other item was the cause of, and all that will become of it.
void sim_flow_expect(sim_flow *flow, uint32_t step, uint64_t id);

/// How many items a step makes of one, and which.
uint32_t sim_step_child_count(const sim_step *step, uint64_t id);
uint64_t sim_step_child(const sim_step *step, uint64_t id, uint32_t k);

/// An upper bound on the items that may live, from what activations made so far.
uint64_t sim_flow_bound(const sim_flow *flow);

static inline void
sim_tally_add(sim_tally *tally, uint64_t id)
{
    tally->count++;
    tally->sum += random_mix(id ^ 0x5bd1e995);
}

/// True if the planned failure is due here and now.
static inline bool
sim_fails(sim_flow *flow, uint32_t step, sim_site site)
{
    if (flow->fail_site != site || flow->fail_step != step || flow->fail_in == 0) return false;
    if (--flow->fail_in > 0) return false;
    return flow->failed = true;
}

extern const bw_kernel_ops SIM_KERNEL, SIM_PARTED_KERNEL;
extern const bw_source_ops SIM_SOURCE_OPS;

#endif
