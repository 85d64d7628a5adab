#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "chain.h"
#include "source.h"

// The most flat_maps in a chain: while the items of one go on, its calls stay on the C stack.
#define MOST_FLAT_MAPS 64

typedef struct kind_name {
    const char *name;
    bw_stage_kind kind;
    Py_ssize_t argument_count;
} kind_name;

static const kind_name KINDS[] = {
    {"partitioned_input", BW_STAGE_PARTITIONED_INPUT, 2},
    {"dynamic_input", BW_STAGE_DYNAMIC_INPUT, 2},
    {"map", BW_STAGE_MAP, 1},
    {"filter_map", BW_STAGE_FILTER_MAP, 1},
    {"flat_map", BW_STAGE_FLAT_MAP, 1},
    {"filter", BW_STAGE_FILTER, 1},
    {"inspect", BW_STAGE_INSPECT, 1},
    {"inspect_epoch", BW_STAGE_INSPECT_EPOCH, 1},
    {"reduce", BW_STAGE_REDUCE, 2},
    {"stateful_map", BW_STAGE_STATEFUL_MAP, 2},
    {"partitioned_output", BW_STAGE_PARTITIONED_OUTPUT, 2},
    {"dynamic_output", BW_STAGE_DYNAMIC_OUTPUT, 2},
    {"dynamic_output_epoch", BW_STAGE_DYNAMIC_OUTPUT_EPOCH, 2},
};

static const kind_name *
find_kind(PyObject *name)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (PyUnicode_CompareWithASCIIString(name, KINDS[i].name) == 0) return &KINDS[i];
    }
    return NULL;
}

static int
read_stage(PyObject *tuple, bw_stage_spec *out)
{
    if (!PyTuple_CheckExact(tuple) || PyTuple_GET_SIZE(tuple) < 4) {
        PyErr_Format(PyExc_TypeError, "a step must be a tuple (kind, step_id, label, ...); got %R",
                     tuple);
        return -1;
    }
    for (Py_ssize_t i = 0; i < 3; i++) {
        if (PyUnicode_Check(PyTuple_GET_ITEM(tuple, i))) continue;
        PyErr_Format(PyExc_TypeError, "kind, step_id and label of a step must be str; got %R", tuple);
        return -1;
    }
    const kind_name *kind = find_kind(PyTuple_GET_ITEM(tuple, 0));
    if (kind == NULL || PyTuple_GET_SIZE(tuple) != 3 + kind->argument_count) {
        PyErr_Format(PyExc_ValueError, "unknown kind of step, or wrong number of its arguments: %R",
                     tuple);
        return -1;
    }
    *out = (bw_stage_spec){
        .kind = kind->kind,
        .step_id = PyTuple_GET_ITEM(tuple, 1),
        .label = PyTuple_GET_ITEM(tuple, 2),
        .first = PyTuple_GET_ITEM(tuple, 3),
        .second = kind->argument_count > 1 ? PyTuple_GET_ITEM(tuple, 4) : NULL,
    };
    return 0;
}

static int
read_stages(bw_plan *plan)
{
    Py_ssize_t count = PyList_GET_SIZE(plan->list);
    plan->stages = calloc((size_t)count + 1, sizeof *plan->stages);
    plan->segments = calloc((size_t)count + 1, sizeof *plan->segments);
    plan->current = calloc(plan->worker_count, sizeof *plan->current);
    if (plan->stages == NULL || plan->segments == NULL || plan->current == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (read_stage(PyList_GET_ITEM(plan->list, i), &plan->stages[i]) != 0) return -1;
        plan->stage_count++;
    }
    return 0;
}

// ---- lowering

static bool
is_input(const bw_stage_spec *stage)
{
    return stage->kind == BW_STAGE_PARTITIONED_INPUT || stage->kind == BW_STAGE_DYNAMIC_INPUT;
}

/// How items must be routed on their way into a step.
static bw_route
route_into(const bw_stage_spec *stage)
{
    switch (stage->kind) {
    case BW_STAGE_REDUCE:
    case BW_STAGE_STATEFUL_MAP:
        return BW_ROUTE_KEY;
    case BW_STAGE_PARTITIONED_OUTPUT:
        return BW_ROUTE_PART;
    case BW_STAGE_PARTITIONED_INPUT:
    case BW_STAGE_DYNAMIC_INPUT:
    case BW_STAGE_MAP:
    case BW_STAGE_FILTER_MAP:
    case BW_STAGE_FLAT_MAP:
    case BW_STAGE_FILTER:
    case BW_STAGE_INSPECT:
    case BW_STAGE_INSPECT_EPOCH:
    case BW_STAGE_DYNAMIC_OUTPUT:
    case BW_STAGE_DYNAMIC_OUTPUT_EPOCH:
        return BW_ROUTE_LOCAL;
    }
    return BW_ROUTE_LOCAL;
}

/// One past the last step that may share a chain with step `first`: with several workers a step that
/// needs an exchange begins a chain of its own, and so does a flat_map after very many of them.
static uint32_t
chain_end(const bw_plan *plan, uint32_t first)
{
    uint32_t end = first, flat_map_count = 0;
    for (; end < plan->stage_count && !is_input(&plan->stages[end]); end++) {
        const bw_stage_spec *stage = &plan->stages[end];
        bool crosses = plan->worker_count > 1 && route_into(stage) != BW_ROUTE_LOCAL;
        if (crosses && end > first) break;
        if (stage->kind == BW_STAGE_FLAT_MAP && ++flat_map_count > MOST_FLAT_MAPS) break;
    }
    return end;
}

static int
add_step(bw_plan *plan, bw_step *step, uint32_t first, uint32_t count, uint32_t *out)
{
    bw_segment *segment = &plan->segments[plan->graph->count];
    *segment = (bw_segment){.plan = plan, .first = first, .count = count};
    step->spec = segment;
    step->step_id = PyUnicode_AsUTF8(plan->stages[first].label);
    if (step->step_id == NULL) return -1;
    if (bw_graph_add(plan->graph, step, out) == BW_OK) return 0;
    PyErr_NoMemory();
    return -1;
}

static int
add_source(bw_plan *plan, uint32_t stage, uint32_t *out)
{
    bw_step step = {
        .source = &bw_python_source_ops,
        .has_parts = plan->stages[stage].kind == BW_STAGE_PARTITIONED_INPUT,
    };
    return add_step(plan, &step, stage, 1, out);
}

/// Adds the chain of the steps from `first` to before `end`, after graph step `up` (UINT32_MAX: none).
static int
add_chain(bw_plan *plan, uint32_t first, uint32_t end, uint32_t up, uint32_t *out)
{
    bw_route route = plan->worker_count > 1 ? route_into(&plan->stages[first]) : BW_ROUTE_LOCAL;
    bool keyed = route != BW_ROUTE_LOCAL;
    if (!keyed && plan->worker_count > 1 && first > 0 &&
        plan->stages[first - 1].kind == BW_STAGE_PARTITIONED_INPUT) {
        route = BW_ROUTE_DEAL;
    }
    if (route == BW_ROUTE_KEY && up != UINT32_MAX) plan->segments[up].keyed = &plan->stages[first];
    bw_step step = {
        .kernel = &bw_chain_ops,
        .ups = &up,
        .up_count = up == UINT32_MAX ? 0 : 1,
        .route = route,
        .aligned = keyed,
        .has_parts = route == BW_ROUTE_PART,
    };
    return add_step(plan, &step, first, end - first, out);
}

static int
lower(bw_plan *plan)
{
    uint32_t up = UINT32_MAX;
    for (uint32_t i = 0; i < plan->stage_count;) {
        if (is_input(&plan->stages[i])) {
            if (add_source(plan, i, &up) != 0) return -1;
            i++;
            continue;
        }
        uint32_t end = chain_end(plan, i);
        if (add_chain(plan, i, end, up, &up) != 0) return -1;
        i = end;
    }
    return 0;
}

bw_plan *
bw_plan_new(bw_engine_state *state, PyObject *list, uint32_t worker_count)
{
    if (!PyList_CheckExact(list)) {
        PyErr_Format(PyExc_TypeError, "plan must be a list; got %R", list);
        return NULL;
    }
    bw_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    plan->state = state;
    plan->worker_count = worker_count;
    atomic_init(&plan->broken_off, false);
    plan->list = PyList_GetSlice(list, 0, PY_SSIZE_T_MAX);  // ours alone: nobody else can change it
    if (plan->list == NULL) goto fail;
    if (read_stages(plan) != 0) goto fail;
    if (bw_graph_new(&plan->graph) != BW_OK) {
        PyErr_NoMemory();
        goto fail;
    }
    if (lower(plan) != 0) goto fail;
    return plan;

fail:
    bw_plan_free(plan);
    return NULL;
}

void
bw_plan_free(bw_plan *plan)
{
    if (plan == NULL) return;
    bw_graph_free(plan->graph);
    free(plan->stages);
    free(plan->segments);
    free((void *)plan->current);
    Py_XDECREF(plan->list);
    free(plan);
}

/// What of a plan must be alike in all processes, a line each: new list of str, or NULL.
static PyObject *
describe(const bw_plan *plan)
{
    PyObject *lines = PyList_New(0);
    for (uint32_t i = 0; lines != NULL && i < plan->stage_count; i++) {
        const bw_stage_spec *stage = &plan->stages[i];
        // Ids in ASCII: those that are no UTF-8 pass too. Each step takes what the one before it makes, so
        // that their order says how they are connected.
        PyObject *line =
            PyUnicode_FromFormat("%U %A %A\n", PyTuple_GET_ITEM(PyList_GET_ITEM(plan->list, i), 0),
                                 stage->step_id, stage->label);
        if (line == NULL || PyList_Append(lines, line) != 0) Py_CLEAR(lines);
        Py_XDECREF(line);
    }
    if (lines == NULL) return NULL;
    PyObject *counts = PyUnicode_FromFormat("%u steps of the engine", (unsigned int)plan->graph->count);
    if (counts == NULL || PyList_Append(lines, counts) != 0) Py_CLEAR(lines);
    Py_XDECREF(counts);
    return lines;
}

int
bw_plan_hash(const bw_plan *plan, uint64_t *out)
{
    PyObject *text = NULL, *empty = PyUnicode_FromString(""), *lines = describe(plan);
    if (empty != NULL && lines != NULL) text = PyUnicode_Join(empty, lines);
    Py_XDECREF(empty);
    Py_XDECREF(lines);
    if (text == NULL) return -1;
    Py_ssize_t size;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);
    if (bytes != NULL) *out = bw_hash(bytes, (size_t)size);
    Py_DECREF(text);
    return bytes == NULL ? -1 : 0;
}

PyObject *
bw_plan_label(const bw_plan *plan, uint32_t graph_step)
{
    if (graph_step >= plan->graph->count) return NULL;
    return plan->stages[plan->segments[graph_step].first].label;
}
