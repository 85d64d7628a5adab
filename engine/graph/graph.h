// graph.h - the plan of a dataflow: steps in recording order and the streams between them. Built once,
// then immutable and shared by all workers.
#ifndef BW_GRAPH_GRAPH_H
#define BW_GRAPH_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "graph/operator.h"

typedef enum bw_route {
    BW_ROUTE_LOCAL,  // items stay on their worker
    BW_ROUTE_KEY,    // to the worker that owns the key
    BW_ROUTE_PART,   // to the owner of the partition that the kernel names
    BW_ROUTE_DEAL,   // one by one to all workers in turn, the second first, if the source of the
                     // stream has fewer partitions than there are workers; else they stay
} bw_route;

typedef struct bw_step {
    const char *step_id;          // for messages; may repeat: a step is told by its index
    const bw_source_ops *source;  // of a source, else NULL
    const bw_kernel_ops *kernel;  // of a kernel, else NULL
    void *spec;                   // borrowed: what open() is given
    uint32_t *ups;                // of a kernel: indices of the steps it takes items from
    uint32_t up_count;
    bw_route route;       // on the way into it
    bool has_parts;       // it lists partitions, each owned by one worker
    bool aligned;         // holds items of a later epoch back until the earlier one has closed
    uint32_t down_count;  // how many steps take its items
} bw_step;

typedef struct bw_graph {
    bw_step *steps;
    uint32_t count, capacity;
} bw_graph;

BW_NODISCARD bw_status bw_graph_new(bw_graph **out);
void bw_graph_free(bw_graph *graph);  // NULL is allowed

/// Adds a step; what the description points to but `ups` and `step_id` must outlive the graph.
/// BW_EINVAL: `ups` names a step that is not there yet. `*out` is the new step's index.
BW_NODISCARD bw_status bw_graph_add(bw_graph *graph, const bw_step *step, uint32_t *out);

#endif
