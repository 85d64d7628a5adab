#include "source.h"

#include "compat.h"

#include <stdlib.h>

#include "attribute.h"
#include "native.h"
#include "parts.h"
#include "plan.h"
#include "raise.h"

typedef struct part {
    PyObject *source;                // owned
    PyObject *next;                  // owned, bound method; NULL if native
    const bw_native_source *native;  // NULL if the source is the user's
} part;

typedef struct source {
    const bw_plan *plan;
    const bw_stage_spec *spec;
    bw_place place;
    part *parts;
    size_t part_count;
} source;

static bool
is_partitioned(const source *source)
{
    return source->spec->kind == BW_STAGE_PARTITIONED_INPUT;
}

static bw_status
failed(const source *source, const char *phrase)
{
    bw_raise_user(source->plan->state, phrase, source->spec->label);
    return BW_EHOST;
}

static bw_status
source_open(void *spec, const bw_place *place, bw_names *names, void **out)
{
    const bw_segment *segment = spec;
    source *self = calloc(1, sizeof *self);
    if (self == NULL) return BW_ENOMEM;
    self->plan = segment->plan;
    self->spec = &segment->plan->stages[segment->first];
    self->place = *place;
    *out = self;  // from here on drop() frees it
    if (!is_partitioned(self)) return BW_OK;
    bw_plan_enter(self->plan, place->worker_index, self->spec->label);
    if (bw_parts_list(self->spec, names) == 0) return BW_OK;
    return failed(self, "worker error: error building Dataflow: error building PartitionedInput: errror "
                        "in `list_parts`");
}

/// Takes over `built`.
static int
add_part(source *self, PyObject *built)
{
    part *part = &self->parts[self->part_count++];
    part->source = built;
    part->native = bw_native_source_of(self->plan->state, built);
    if (part->native != NULL) return 0;
    part->next = bw_attribute(built, "next");
    return part->next == NULL ? -1 : 0;
}

static int
build_owned(source *self, const bw_names *names, const uint32_t *owners)
{
    for (size_t i = 0; i < names->count; i++) {
        if (owners[i] != self->place.worker_index) continue;
        PyObject *built = bw_parts_build(self->spec, &names->names[i], true);
        if (built == NULL && PyErr_Occurred()) return -1;
        if (built != NULL && add_part(self, built) != 0) return -1;
    }
    return 0;
}

static bw_status
source_build(void *instance, const bw_names *names, const uint32_t *owners)
{
    source *self = instance;
    size_t capacity = is_partitioned(self) ? names->count : 1;
    self->parts = calloc(capacity + 1, sizeof *self->parts);
    if (self->parts == NULL) return BW_ENOMEM;
    bw_plan_enter(self->plan, self->place.worker_index, self->spec->label);
    if (is_partitioned(self)) {
        if (build_owned(self, names, owners) == 0) return BW_OK;
        return failed(self, "worker error: error building Dataflow: error building PartitionedInput: "
                            "error creating input source partitions");
    }
    PyObject *built = bw_parts_build_dynamic(self->spec, &self->place);
    if (built != NULL && add_part(self, built) == 0) return BW_OK;
    return failed(self, "worker error: error building Dataflow: error building DynamicInput");
}

static size_t
source_part_count(void *instance)
{
    return ((source *)instance)->part_count;
}

static bool
source_may_block(void *instance, size_t index)
{
    const part *part = &((source *)instance)->parts[index];
    return part->native == NULL || part->native->may_block(part->source);
}

static bw_status
failed_next(const source *self)
{
    return failed(self, is_partitioned(self) ? "error getting next input item from partition source"
                                             : "error getting input");
}

static bw_status
poll_native(const source *self, const part *part, size_t limit, bw_batch *batch)
{
    bool ended = false;
    Py_ssize_t count =
        part->native->fill(part->source, (PyObject **)batch->items, (Py_ssize_t)limit, &ended);
    if (count < 0) return failed_next(self);
    batch->count = (uint32_t)count;
    if (ended) return BW_CLOSED;
    return count == 0 ? BW_EMPTY : BW_OK;
}

static bw_status
source_poll(void *instance, size_t index, size_t limit, bw_batch *batch, uint64_t *awake_ns)
{
    (void)awake_ns;  // a fluent source can't say when to come back
    const source *self = instance;
    const part *part = &self->parts[index];
    bw_plan_enter(self->plan, self->place.worker_index, self->spec->label);
    if (part->native != NULL) return poll_native(self, part, limit, batch);
    PyObject *item = PyObject_CallNoArgs(part->next);
    if (item == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return failed_next(self);
        PyErr_Clear();
        return BW_CLOSED;
    }
    if (item == Py_None) {
        Py_DECREF(item);
        return BW_EMPTY;
    }
    bw_batch_push(batch, item);
    return BW_OK;
}

static bw_status
call_method(const source *self, size_t index, const char *name, const char *phrase)
{
    PyObject *result = bw_call_method(self->parts[index].source, name, NULL, NULL);
    if (result == NULL) return failed(self, phrase);
    Py_DECREF(result);
    return BW_OK;
}

/// Without a store nothing keeps the position, but users' sources may count on being asked for it.
static bw_status
source_snapshot(void *instance, size_t index, bw_epoch epoch)
{
    (void)epoch;
    const source *self = instance;
    if (!is_partitioned(self) || self->parts[index].native != NULL) return BW_OK;
    return call_method(self, index, "snapshot", "error snapshotting input part");
}

static bw_status
source_close(void *instance, size_t index)
{
    const source *self = instance;
    return call_method(self, index, "close",
                       is_partitioned(self) ? "error closing input part" : "error closing source");
}

static void
source_drop(void *instance)
{
    source *self = instance;
    for (size_t i = 0; i < self->part_count; i++) {
        Py_XDECREF(self->parts[i].next);
        Py_XDECREF(self->parts[i].source);
    }
    free(self->parts);
    free(self);
}

const bw_source_ops bw_python_source_ops = {
    .open = source_open,
    .build = source_build,
    .part_count = source_part_count,
    .may_block = source_may_block,
    .poll = source_poll,
    .snapshot = source_snapshot,
    .close = source_close,
    .drop = source_drop,
};
