// plan.h - the steps that Python hands over, lowered to a graph: sources, and between the exchanges
// chains that run item by item through as many steps as stay on one worker.
#ifndef BW_BINDING_PLAN_H
#define BW_BINDING_PLAN_H

#include "compat.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "graph/graph.h"
#include "state.h"

typedef enum bw_stage_kind {
    BW_STAGE_PARTITIONED_INPUT,
    BW_STAGE_DYNAMIC_INPUT,
    BW_STAGE_MAP,
    BW_STAGE_FILTER_MAP,
    BW_STAGE_FLAT_MAP,
    BW_STAGE_FILTER,
    BW_STAGE_INSPECT,
    BW_STAGE_INSPECT_EPOCH,
    BW_STAGE_REDUCE,
    BW_STAGE_STATEFUL_MAP,
    BW_STAGE_PARTITIONED_OUTPUT,
    BW_STAGE_DYNAMIC_OUTPUT,
    BW_STAGE_DYNAMIC_OUTPUT_EPOCH,
} bw_stage_kind;

/// One step as the user recorded it. References borrowed from the plan's list.
typedef struct bw_stage_spec {
    bw_stage_kind kind;
    PyObject *step_id;  // str
    PyObject *label;    // str: how messages name it
    PyObject *first;    // the function, or the input or output
    PyObject *second;   // the second function, or the class that a built part must be of
} bw_stage_spec;

typedef struct bw_plan bw_plan;

/// What open() of a source or a chain is given: a run of steps of the plan.
typedef struct bw_segment {
    bw_plan *plan;
    uint32_t first, count;       // in plan->stages
    const bw_stage_spec *keyed;  // the keyed step to which its items go by key; NULL: to none
} bw_segment;

struct bw_plan {
    bw_engine_state *state;  // borrowed from the module, which the execution keeps alive
    PyObject *list;          // owned: tuples, which keep all that the stages borrow
    bw_stage_spec *stages;
    uint32_t stage_count;
    bw_segment *segments;  // by graph step
    bw_graph *graph;
    uint32_t worker_count;  // of the whole cluster
    _Atomic(PyObject *)
        *current;            // by worker: label of the step whose user code runs, or NULL; borrowed
    atomic_bool broken_off;  // workers shall leave the user's code
};

/// Reads `list` (of tuples, see _engine.pyi) and lowers it for a cluster of `worker_count` workers. NULL and
/// an exception if it is malformed. Attached.
bw_plan *bw_plan_new(bw_engine_state *state, PyObject *list, uint32_t worker_count);
void bw_plan_free(bw_plan *plan);  // attached; NULL is allowed

/// Sets a number that is the same in two processes if their plans are: the steps' kinds, ids and order, and
/// what they were lowered to; not what the functions do. 0, or -1 with an exception. Attached.
int bw_plan_hash(const bw_plan *plan, uint64_t *out);

/// The label of a graph step's first step of the user's, borrowed; NULL if there is no such step.
PyObject *bw_plan_label(const bw_plan *plan, uint32_t graph_step);

/// Notes which user code a worker runs, for whoever has to wait for it.
static inline void
bw_plan_enter(const bw_plan *plan, uint32_t worker, PyObject *label)
{
    atomic_store_explicit(&plan->current[worker], label, memory_order_relaxed);
}

#endif
