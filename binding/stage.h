// stage.h - one step within a chain on one worker: what it calls, and the state or sinks it owns.
#ifndef BW_BINDING_STAGE_H
#define BW_BINDING_STAGE_H

#include "compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "graph/names.h"
#include "graph/operator.h"
#include "keyed/table.h"
#include "native.h"
#include "plan.h"

/// A sink that this worker built.
typedef struct bw_sink {
    PyObject *object;              // owned; NULL where another worker owns the partition
    PyObject *write;               // owned, bound method; NULL if native
    const bw_native_sink *native;  // NULL if the sink is the user's
} bw_sink;

typedef struct bw_stage {
    bw_stage_kind kind;
    const bw_stage_spec *spec;
    const bw_plan *plan;
    PyObject *function;  // borrowed: spec->first
    PyObject *label;     // borrowed
    PyObject **buffer;   // of a flat_map: BW_STAGE_BUFFER items on their way to the next stage
    bw_table table;      // of a keyed one: key -> PyObject *, owned
    bw_sink *sinks;      // of an output: by partition; a dynamic one has one
    size_t sink_count;
    bw_names names;     // of a partitioned output's partitions
    PyObject *indices;  // owned: dict from the name of a partition to its index
    PyObject *assign;   // owned: assign_part
    bool touched;       // of a partitioned output: items came in the present epoch
} bw_stage;

#define BW_STAGE_BUFFER 1024

/// What became of an item.
typedef enum bw_outcome {
    BW_FAILED = -1,  // an exception is pending
    BW_DROPPED = 0,  // it is gone
    BW_GOES_ON = 1,
} bw_outcome;

/// Calls with `count` arguments; the cell before them is free for the callee. A plain function, what users
/// pass most, is entered at once: the checks on the way in and out of C code can't find anything there.
static inline PyObject *
bw_call(PyObject *function, PyObject *const *arguments, size_t count)
{
    if (PyFunction_Check(function)) {
        vectorcallfunc entry = ((PyFunctionObject *)function)->vectorcall;
        return entry(function, arguments, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    return PyObject_Vectorcall(function, arguments, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static inline PyObject *
bw_call1(PyObject *function, PyObject *argument)
{
    PyObject *arguments[2] = {NULL, argument};
    return bw_call(function, arguments + 1, 1);
}

static inline PyObject *
bw_call2(PyObject *function, PyObject *first, PyObject *second)
{
    PyObject *arguments[3] = {NULL, first, second};
    return bw_call(function, arguments + 1, 2);
}

// ---- stage_keyed.c: reduce and stateful_map

/// One value of one key (all borrowed). `*out` is a new `(key, value)` if it goes on.
bw_outcome bw_stage_on_value(bw_stage *stage, PyObject *key, bw_bytes bytes, uint64_t hash,
                             PyObject *value, PyObject **out);
/// Releases all keys and their state.
void bw_stage_drop_state(bw_stage *stage);

// ---- stage_sink.c: outputs

/// Calls list_parts() of a partitioned output; the names stay, sorted, in the stage.
int bw_stage_list_sinks(bw_stage *stage);
/// Builds the sinks that worker `place` owns. `names` and `owners` are by partition; owners NULL: all.
int bw_stage_build_sinks(bw_stage *stage, const bw_place *place, const bw_names *names,
                         const uint32_t *owners);
/// The index of the partition that a key belongs to, -1 with an exception.
Py_ssize_t bw_stage_assign(bw_stage *stage, PyObject *key);
/// Writes a value to a partition.
int bw_stage_write_part(bw_stage *stage, size_t index, PyObject *key, PyObject *value);
/// Writes an item to the sink of a dynamic output.
int bw_stage_write(bw_stage *stage, bw_epoch epoch, PyObject *item);
int bw_stage_flush_sinks(bw_stage *stage);
int bw_stage_close_epoch(bw_stage *stage);
int bw_stage_close_sinks(bw_stage *stage);
void bw_stage_drop_sinks(bw_stage *stage);

#endif
