#define _POSIX_C_SOURCE 200809L

#include "graph/graph.h"

#include <stdlib.h>
#include <string.h>

bw_status
bw_graph_new(bw_graph **out)
{
    *out = calloc(1, sizeof **out);
    return *out == NULL ? BW_ENOMEM : BW_OK;
}

void
bw_graph_free(bw_graph *graph)
{
    if (graph == NULL) return;
    for (uint32_t i = 0; i < graph->count; i++) {
        free((char *)graph->steps[i].step_id);
        free(graph->steps[i].ups);
    }
    free(graph->steps);
    free(graph);
}

static bw_status
grow(bw_graph *graph)
{
    uint32_t capacity = graph->capacity == 0 ? 8 : 2 * graph->capacity;
    bw_step *steps = realloc(graph->steps, capacity * sizeof *steps);
    if (steps == NULL) return BW_ENOMEM;
    graph->steps = steps;
    graph->capacity = capacity;
    return BW_OK;
}

bw_status
bw_graph_add(bw_graph *graph, const bw_step *step, uint32_t *out)
{
    BW_ASSERT((step->source == NULL) != (step->kernel == NULL));
    for (uint32_t i = 0; i < step->up_count; i++) {
        if (step->ups[i] >= graph->count) return BW_EINVAL;
    }
    if (graph->count == graph->capacity) {
        bw_status status = grow(graph);
        if (status != BW_OK) return status;
    }
    char *step_id = strdup(step->step_id);
    uint32_t *ups = malloc((step->up_count + 1u) * sizeof *ups);  // never of 0 bytes
    if (step_id == NULL || ups == NULL) {
        free(step_id);
        free(ups);
        return BW_ENOMEM;
    }
    for (uint32_t i = 0; i < step->up_count; i++) {
        ups[i] = step->ups[i];
        graph->steps[ups[i]].down_count++;
    }
    bw_step *added = &graph->steps[graph->count];
    *added = *step;
    added->step_id = step_id;
    added->ups = ups;
    added->down_count = 0;
    *out = graph->count++;
    return BW_OK;
}
