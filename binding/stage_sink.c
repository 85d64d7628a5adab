// Outputs of the fluent API on one worker: the sinks they built, by partition.
#include "stage.h"

#include <stdlib.h>

#include "attribute.h"
#include "parts.h"
#include "raise.h"

static bool
is_partitioned(const bw_stage *stage)
{
    return stage->kind == BW_STAGE_PARTITIONED_OUTPUT;
}

static int
failed(const bw_stage *stage, const char *phrase)
{
    bw_raise_user(stage->plan->state, phrase, stage->label);
    return -1;
}

int
bw_stage_list_sinks(bw_stage *stage)
{
    if (bw_parts_list(stage->spec, &stage->names) != 0) {
        return failed(stage, "worker error: error building Dataflow: error building PartitionedOutput: "
                             "error calling PartitionedOutput.list_parts: error converting output parts "
                             "to set");
    }
    bw_names_sort(&stage->names);
    return 0;
}

/// Takes over `built`, which may be NULL after a failure.
static int
init_sink(bw_stage *stage, bw_sink *sink, PyObject *built)
{
    if (built == NULL) return -1;
    sink->object = built;
    sink->native = bw_native_sink_of(stage->plan->state, built);
    if (sink->native != NULL) return 0;
    sink->write = bw_attribute(built, "write");
    return sink->write == NULL ? -1 : 0;
}

static int
add_index(bw_stage *stage, const bw_name *name, size_t index)
{
    PyObject *key = PyUnicode_DecodeUTF8(name->data, (Py_ssize_t)name->size, NULL);
    PyObject *value = PyLong_FromSize_t(index);
    int error = key == NULL || value == NULL ? -1 : PyDict_SetItem(stage->indices, key, value);
    Py_XDECREF(key);
    Py_XDECREF(value);
    return error;
}

static int
build_parts(bw_stage *stage, const bw_place *place, const bw_names *names, const uint32_t *owners)
{
    stage->indices = PyDict_New();
    stage->assign = bw_attribute(stage->spec->first, "assign_part");
    if (stage->indices == NULL || stage->assign == NULL) return -1;
    for (size_t i = 0; i < names->count; i++) {
        if (add_index(stage, &names->names[i], i) != 0) return -1;
        if (owners != NULL && owners[i] != place->worker_index) continue;
        PyObject *built = bw_parts_build(stage->spec, &names->names[i], false);
        if (init_sink(stage, &stage->sinks[i], built) != 0) return -1;
    }
    return 0;
}

int
bw_stage_build_sinks(bw_stage *stage, const bw_place *place, const bw_names *names,
                     const uint32_t *owners)
{
    size_t count = is_partitioned(stage) ? names->count : 1;
    stage->sinks = calloc(count + 1, sizeof *stage->sinks);
    if (stage->sinks == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    stage->sink_count = count;
    bw_plan_enter(stage->plan, place->worker_index, stage->label);
    if (is_partitioned(stage)) {
        if (build_parts(stage, place, names, owners) == 0) return 0;
        return failed(stage, "worker error: error building Dataflow: error building PartitionedOutput: "
                             "error building output parts");
    }
    if (init_sink(stage, &stage->sinks[0], bw_parts_build_dynamic(stage->spec, place)) == 0) return 0;
    return failed(stage, "worker error: error building Dataflow: error building DynamicOutput");
}

Py_ssize_t
bw_stage_assign(bw_stage *stage, PyObject *key)
{
    PyObject *part = bw_call1(stage->assign, key);
    if (part == NULL) {
        bw_note_user(stage->label);
        return -1;
    }
    Py_ssize_t index = -1;
    if (!PyUnicode_Check(part)) {
        PyErr_Format(PyExc_TypeError, "`assign_part` must return a str; got %R for key %R in step %R",
                     part, key, stage->label);
    } else {
        PyObject *found = PyDict_GetItemWithError(stage->indices, part);  // borrowed from our own dict
        if (found != NULL) {
            index = PyLong_AsSsize_t(found);
        } else if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_RuntimeError,
                         "item with key %R was assigned to partition %R, which `list_parts` does not "
                         "name; inconsistent `assign_part`? In step %R",
                         key, part, stage->label);
        }
    }
    Py_DECREF(part);
    return index;
}

static int
write_to(const bw_sink *sink, PyObject *item)
{
    if (sink->native != NULL) return sink->native->write(sink->object, item);
    PyObject *result = bw_call1(sink->write, item);
    if (result == NULL) return -1;
    Py_DECREF(result);
    return 0;
}

int
bw_stage_write_part(bw_stage *stage, size_t index, PyObject *key, PyObject *value)
{
    stage->touched = true;
    if (stage->sinks[index].object == NULL) {
        PyErr_Format(PyExc_RuntimeError,
                     "item with key %R came to a worker that does not own its partition; do the workers "
                     "list different partitions? In step %R",
                     key, stage->label);
        return -1;
    }
    if (write_to(&stage->sinks[index], value) == 0) return 0;
    return failed(stage, "error writing to output");
}

int
bw_stage_write(bw_stage *stage, bw_epoch epoch, PyObject *item)
{
    int error;
    if (stage->kind == BW_STAGE_DYNAMIC_OUTPUT) {
        error = write_to(&stage->sinks[0], item);
    } else {
        PyObject *pair = Py_BuildValue("KO", (unsigned long long)epoch, item);
        error = pair == NULL ? -1 : write_to(&stage->sinks[0], pair);
        Py_XDECREF(pair);
    }
    return error == 0 ? 0 : failed(stage, "error writing to dynamic output");
}

int
bw_stage_flush_sinks(bw_stage *stage)
{
    for (size_t i = 0; i < stage->sink_count; i++) {
        const bw_sink *sink = &stage->sinks[i];
        if (sink->object == NULL || sink->native == NULL || sink->native->flush == NULL) continue;
        if (sink->native->flush(sink->object) == 0) continue;
        return failed(stage, is_partitioned(stage) ? "error writing to output"
                                                   : "error writing to dynamic output");
    }
    return 0;
}

static int
call_method(const bw_sink *sink, const char *name)
{
    PyObject *result = bw_call_method(sink->object, name, NULL, NULL);
    if (result == NULL) return -1;
    Py_DECREF(result);
    return 0;
}

/// Without a store nothing keeps the positions, but users' sinks may count on being asked for them.
int
bw_stage_close_epoch(bw_stage *stage)
{
    if (!is_partitioned(stage) || !stage->touched) return 0;
    stage->touched = false;
    for (size_t i = 0; i < stage->sink_count; i++) {
        const bw_sink *sink = &stage->sinks[i];
        if (sink->object == NULL || sink->native != NULL) continue;
        if (call_method(sink, "snapshot") == 0) continue;
        bw_note_user(stage->label);
        return -1;
    }
    return 0;
}

int
bw_stage_close_sinks(bw_stage *stage)
{
    for (size_t i = 0; i < stage->sink_count; i++) {
        const bw_sink *sink = &stage->sinks[i];
        if (sink->object == NULL || call_method(sink, "close") == 0) continue;
        if (!is_partitioned(stage)) return failed(stage, "error closing dynamic output");
        bw_note_user(stage->label);
        return -1;
    }
    return 0;
}

void
bw_stage_drop_sinks(bw_stage *stage)
{
    for (size_t i = 0; i < stage->sink_count; i++) {
        Py_XDECREF(stage->sinks[i].write);
        Py_XDECREF(stage->sinks[i].object);
    }
    free(stage->sinks);
    Py_XDECREF(stage->indices);
    Py_XDECREF(stage->assign);
    bw_names_fini(&stage->names);
}
