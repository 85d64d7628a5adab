#define _POSIX_C_SOURCE 200809L

#include "bytewax.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "cluster/cluster.h"
#include "cluster/flow_step.h"

static_assert((int)BW_FLOW_ENOMEM == (int)BW_ENOMEM && (int)BW_FLOW_EIO == (int)BW_EIO &&
                  (int)BW_FLOW_EUSER == (int)BW_EHOST && (int)BW_FLOW_EINVAL == (int)BW_EINVAL,
              "the public numbers are the engine's");

struct bw_flow {
    bw_flow_items items;
    bw_flow_stream **steps;  // owned
    uint32_t count, capacity;
    bw_flow_error error;  // the first mistake made while recording
};

// ---- recording

bw_flow *
bw_flow_new(const bw_flow_items *items)
{
    bw_flow *flow = calloc(1, sizeof *flow);
    if (flow != NULL && items != NULL) flow->items = *items;
    return flow;
}

static void
free_step(bw_flow_stream *step)
{
    free(step->name);
    free(step->ups);
    free(step);
}

void
bw_flow_free(bw_flow *flow)
{
    if (flow == NULL) return;
    for (uint32_t i = 0; i < flow->count; i++) free_step(flow->steps[i]);
    free((void *)flow->steps);
    free(flow);
}

__attribute__((format(printf, 4, 5))) static void
set_error(bw_flow_error *error, int status, const char *step, const char *format, ...)
{
    *error = (bw_flow_error){.status = status, .worker_index = BW_FLOW_NO_WORKER};
    int length = 0;
    if (step != NULL) {
        snprintf(error->step, sizeof error->step, "%s", step);
        length = snprintf(error->text, sizeof error->text, "step \"%s\": ", error->step);
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text + length, sizeof error->text - (size_t)length, format, arguments);
    va_end(arguments);
}

/// Notes the first mistake: what follows from it would only confuse. Returns NULL, as a step's maker does.
static bw_flow_stream *
refuse(bw_flow *flow, int status, const char *step, const char *what)
{
    if (flow != NULL && flow->error.status == 0) {
        set_error(&flow->error, status, step, "%s", what);
    }
    return NULL;
}

static bw_status
append(bw_flow *flow, bw_flow_stream *step)
{
    if (flow->count == flow->capacity) {
        uint32_t capacity = flow->capacity == 0 ? 8 : 2 * flow->capacity;
        bw_flow_stream **steps = realloc((void *)flow->steps, capacity * sizeof(bw_flow_stream *));
        if (steps == NULL) return BW_ENOMEM;
        flow->steps = steps;
        flow->capacity = capacity;
    }
    step->index = flow->count;
    flow->steps[flow->count++] = step;
    return BW_OK;
}

static bw_flow_stream *
new_step(const char *name, size_t up_count)
{
    bw_flow_stream *step = calloc(1, sizeof *step);
    if (step == NULL) return NULL;
    step->name = strdup(name);
    step->ups = calloc(up_count + 1, sizeof *step->ups);  // never of 0 bytes
    if (step->name == NULL || step->ups == NULL) {
        free_step(step);
        return NULL;
    }
    return step;
}

/// What is wrong with the streams that a step takes; NULL if nothing is.
static const char *
check_ups(const bw_flow *flow, bw_flow_stream *const *ups, size_t up_count)
{
    if (up_count > UINT16_MAX) return "takes too many streams";
    for (size_t i = 0; i < up_count; i++) {
        if (ups[i] == NULL) return "the stream it takes is NULL";
        if (ups[i]->flow != flow) return "the stream it takes belongs to another flow";
    }
    return NULL;
}

/// Adds a step; its table is for the caller to set. NULL if the flow has an error.
static bw_flow_stream *
add(bw_flow *flow, bw_flow_kind kind, const char *name, bw_flow_stream *const *ups, size_t up_count,
    void *user)
{
    if (flow == NULL || flow->error.status != 0) return NULL;
    if (name == NULL || *name == '\0') return refuse(flow, BW_EINVAL, NULL, "a step needs a name");
    const char *mistake = check_ups(flow, ups, up_count);
    if (mistake != NULL) return refuse(flow, BW_EINVAL, name, mistake);
    bw_flow_stream *step = new_step(name, up_count);
    if (step == NULL) return refuse(flow, BW_ENOMEM, name, "out of memory");
    step->flow = flow;
    step->kind = kind;
    step->user = user;
    step->up_count = (uint32_t)up_count;
    for (size_t i = 0; i < up_count; i++) step->ups[i] = ups[i]->index;
    if (append(flow, step) != BW_OK) {
        free_step(step);
        return refuse(flow, BW_ENOMEM, name, "out of memory");
    }
    for (size_t i = 0; i < up_count; i++) ups[i]->down_count++;
    return step;
}

bw_flow_stream *
bw_flow_source(bw_flow *flow, const char *name, const bw_flow_source_ops *ops, void *user)
{
    if (ops == NULL || ops->poll == NULL) {
        return refuse(flow, BW_EINVAL, name, "a source needs a poll function");
    }
    bw_flow_stream *step = add(flow, BW_FLOW_SOURCE, name, NULL, 0, user);
    if (step != NULL) step->ops.source = *ops;
    return step;
}

bw_flow_stream *
bw_flow_map(bw_flow *flow, const char *name, bw_flow_stream *up, bw_flow_map_fn *map, void *user)
{
    if (map == NULL) return refuse(flow, BW_EINVAL, name, "its map function is NULL");
    bw_flow_stream *step = add(flow, BW_FLOW_MAP, name, &up, 1, user);
    if (step != NULL) step->ops.map = map;
    return step;
}

bw_flow_stream *
bw_flow_filter(bw_flow *flow, const char *name, bw_flow_stream *up, bw_flow_filter_fn *filter,
               void *user)
{
    if (filter == NULL) return refuse(flow, BW_EINVAL, name, "its filter function is NULL");
    bw_flow_stream *step = add(flow, BW_FLOW_FILTER, name, &up, 1, user);
    if (step != NULL) step->ops.filter = filter;
    return step;
}

bw_flow_stream *
bw_flow_flat_map(bw_flow *flow, const char *name, bw_flow_stream *up, bw_flow_flat_map_fn *flat_map,
                 void *user)
{
    if (flat_map == NULL) return refuse(flow, BW_EINVAL, name, "its flat_map function is NULL");
    bw_flow_stream *step = add(flow, BW_FLOW_FLAT_MAP, name, &up, 1, user);
    if (step != NULL) step->ops.flat_map = flat_map;
    return step;
}

bw_flow_stream *
bw_flow_keyed(bw_flow *flow, const char *name, bw_flow_stream *up, const bw_flow_keyed_ops *ops,
              void *user)
{
    if (ops == NULL || ops->on_items == NULL) {
        return refuse(flow, BW_EINVAL, name, "a keyed step needs an on_items function");
    }
    if (ops->slot_size == 0) return refuse(flow, BW_EINVAL, name, "its slot_size must be at least 1");
    if (flow != NULL && flow->items.keys == NULL) {
        return refuse(flow, BW_EINVAL, name, "a keyed step needs bw_flow_items with a keys function");
    }
    bw_flow_stream *step = add(flow, BW_FLOW_KEYED, name, &up, 1, user);
    if (step != NULL) step->ops.keyed = *ops;
    return step;
}

bw_flow_stream *
bw_flow_redistribute(bw_flow *flow, const char *name, bw_flow_stream *up)
{
    return add(flow, BW_FLOW_REDISTRIBUTE, name, &up, 1, NULL);
}

bw_flow_stream *
bw_flow_merge(bw_flow *flow, const char *name, bw_flow_stream *const *ups, size_t up_count)
{
    if (ups == NULL || up_count == 0) {
        return refuse(flow, BW_EINVAL, name, "a merge needs at least one stream");
    }
    return add(flow, BW_FLOW_MERGE, name, ups, up_count, NULL);
}

void
bw_flow_sink(bw_flow *flow, const char *name, bw_flow_stream *up, const bw_flow_sink_ops *ops,
             void *user)
{
    if (ops == NULL || ops->write == NULL) {
        refuse(flow, BW_EINVAL, name, "a sink needs a write function");
        return;
    }
    bw_flow_stream *step = add(flow, BW_FLOW_SINK, name, &up, 1, user);
    if (step != NULL) step->ops.sink = *ops;
}

// ---- running

/// What can be said only when all is recorded. False: `*error` says what is wrong.
static bool
check_flow(const bw_flow *flow, const bw_flow_options *options, bw_flow_error *error)
{
    if (flow == NULL) {
        set_error(error, BW_FLOW_EINVAL, NULL, "the flow is NULL");
        return false;
    }
    if (flow->error.status != 0) {
        *error = flow->error;
        return false;
    }
    if (options->worker_count == 0) {
        set_error(error, BW_FLOW_EINVAL, NULL, "worker_count must be at least 1; got 0");
        return false;
    }
    bool has_source = false, has_sink = false;
    bool cannot_retain = flow->items.retain == NULL && flow->items.release != NULL;
    for (uint32_t i = 0; i < flow->count; i++) {
        const bw_flow_stream *step = flow->steps[i];
        has_source = has_source || step->kind == BW_FLOW_SOURCE;
        has_sink = has_sink || step->kind == BW_FLOW_SINK;
        if (cannot_retain && step->down_count > 1) {
            set_error(error, BW_FLOW_EINVAL, step->name,
                      "its stream is taken by %u steps, which needs bw_flow_items with a retain "
                      "function",
                      (unsigned)step->down_count);
            return false;
        }
    }
    if (has_source && has_sink) return true;
    set_error(error, BW_FLOW_EINVAL, NULL, "the flow has no %s", has_source ? "sink" : "source");
    return false;
}

/// Makes a text of how a run failed.
static void
report(const bw_flow *flow, const bw_flow_execution *run, int status, bw_failure failure,
       bw_flow_error *error)
{
    if (failure.status == BW_OK) {  // none of the workers' own
        set_error(error, status, NULL, "could not start the workers: %s",
                  bw_status_text((bw_status)status));
        return;
    }
    const bw_flow_worker *worker = &run->workers[failure.worker_index];
    const char *step = failure.step_index < flow->count ? flow->steps[failure.step_index]->name : NULL;
    const char *text = bw_status_text(failure.status);
    if (failure.status == BW_EHOST && worker->failed) {
        step = worker->step;
        text = worker->text;
    }
    *error = (bw_flow_error){.status = failure.status, .worker_index = failure.worker_index};
    if (step == NULL) {
        snprintf(error->text, sizeof error->text, "worker %u: %s", (unsigned)failure.worker_index, text);
        return;
    }
    snprintf(error->step, sizeof error->step, "%s", step);
    snprintf(error->text, sizeof error->text, "step \"%s\" on worker %u: %s", error->step,
             (unsigned)failure.worker_index, text);
}

static bw_status
make_graph(const bw_flow *flow, bw_flow_execution *run, bw_flow_spec *specs, bw_graph **out)
{
    bw_status status = bw_graph_new(out);
    if (status != BW_OK) return status;
    for (uint32_t i = 0; i < flow->count; i++) {
        specs[i] = (bw_flow_spec){.step = flow->steps[i], .run = run};
        bw_step step = bw_flow_describe(&specs[i]);
        uint32_t index;
        status = bw_graph_add(*out, &step, &index);
        if (status == BW_OK) continue;
        bw_graph_free(*out);
        return status;
    }
    return BW_OK;
}

static bw_status
run_graph(const bw_flow *flow, const bw_flow_execution *run, const bw_graph *graph,
          const bw_flow_options *options, bw_flow_error *error)
{
    const bw_execution execution = {.graph = graph,
                                    .items = run->items,
                                    .clock = bw_clock_real(),
                                    .epoch_interval_ns = options->epoch_interval_ns,
                                    .window_items = BW_WINDOW_ITEMS};
    bw_cluster *cluster;
    bw_status status = bw_cluster_new(&execution, options->worker_count, NULL, &cluster);
    bw_failure failure = {.status = BW_OK};
    if (status == BW_OK) {
        status = bw_cluster_run_all(cluster);
        failure = bw_cluster_failure(cluster);
        bw_cluster_free(cluster);
    }
    if (status != BW_OK) report(flow, run, status, failure, error);
    return status;
}

static bw_status
run_flow(const bw_flow *flow, const bw_flow_options *options, bw_flow_error *error)
{
    bw_flow_execution run = {.user_items = flow->items};
    run.items = bw_flow_item_ops(&run);
    bw_status status = BW_ENOMEM;
    run.workers = calloc(options->worker_count, sizeof *run.workers);
    bw_flow_spec *specs = calloc(flow->count, sizeof *specs);
    bw_graph *graph;
    if (run.workers == NULL || specs == NULL) goto free_specs;
    for (uint32_t i = 0; i < options->worker_count; i++) {
        run.workers[i].context =
            (bw_flow_context){.worker_index = i, .worker_count = options->worker_count};
    }
    status = make_graph(flow, &run, specs, &graph);
    if (status != BW_OK) goto free_specs;
    status = run_graph(flow, &run, graph, options, error);
    bw_graph_free(graph);

free_specs:
    free(specs);
    free(run.workers);
    if (status != BW_OK && error->status == 0) {
        set_error(error, status, NULL, "%s", bw_status_text(status));
    }
    return status;
}

int
bw_flow_run(const bw_flow *flow, const bw_flow_options *options, bw_flow_error *error)
{
    static const bw_flow_options DEFAULT = BW_FLOW_OPTIONS_DEFAULT;
    bw_flow_error unseen;
    if (options == NULL) options = &DEFAULT;
    if (error == NULL) error = &unseen;
    *error = (bw_flow_error){.worker_index = BW_FLOW_NO_WORKER};
    if (!check_flow(flow, options, error)) return error->status;
    return run_flow(flow, options, error);
}
