// flow_step.h - one step of the C API's dataflow (bytewax.h): as it was recorded, and as an operator of
// the engine that calls the user's functions.
#ifndef BW_CLUSTER_FLOW_STEP_H
#define BW_CLUSTER_FLOW_STEP_H

#include <stddef.h>
#include <stdint.h>

#include "bytewax.h"
#include "channel/item.h"
#include "graph/graph.h"

typedef enum bw_flow_kind {
    BW_FLOW_SOURCE,
    BW_FLOW_MAP,
    BW_FLOW_FILTER,
    BW_FLOW_FLAT_MAP,
    BW_FLOW_KEYED,
    BW_FLOW_REDISTRIBUTE,
    BW_FLOW_MERGE,
    BW_FLOW_SINK,
} bw_flow_kind;

/// A step, which users know as the stream that it gives.
struct bw_flow_stream {
    bw_flow *flow;  // that owns it
    bw_flow_kind kind;
    uint32_t index;
    char *name;  // owned
    void *user;
    union {
        bw_flow_source_ops source;
        bw_flow_map_fn *map;
        bw_flow_filter_fn *filter;
        bw_flow_flat_map_fn *flat_map;
        bw_flow_keyed_ops keyed;
        bw_flow_sink_ops sink;
    } ops;
    uint32_t *ups;  // owned: indices of the steps it takes items from
    uint32_t up_count, down_count;
};

/// A worker, as its functions see it, and what went wrong there first. It outlives the worker.
typedef struct bw_flow_worker {
    bw_flow_context context;  // first: the user's functions are given its address
    bool failed;
    const char *step;  // where it failed; borrowed from the flow
    char text[256];    // what the user's function said last
} bw_flow_worker;

/// What the steps of one run have in common.
typedef struct bw_flow_execution {
    bw_item_ops items;
    bw_flow_items user_items;
    bw_flow_worker *workers;  // by index
} bw_flow_execution;

/// A step in a run: what the engine is given as `spec`.
typedef struct bw_flow_spec {
    const bw_flow_stream *step;
    bw_flow_execution *run;
} bw_flow_spec;

/// The engine's table over the user's; `user_items` must be set.
bw_item_ops bw_flow_item_ops(bw_flow_execution *run);

/// How the engine runs the step.
bw_step bw_flow_describe(bw_flow_spec *spec);

#endif
