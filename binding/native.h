// native.h - our own sources and sinks: Python objects with a C face, by which the engine moves whole batches.
#ifndef BW_BINDING_NATIVE_H
#define BW_BINDING_NATIVE_H

#include "compat.h"

#include <stdbool.h>

#include "state.h"

typedef struct bw_native_source {
    /// Worker thread, attached. Stores up to `limit` (>= 1) new references in items[], None never among
    /// them. Returns how many, or -1 with an exception set and nothing stored; what was read before an
    /// error is returned first, the error by the next call. `*out_ended` is true when nothing will follow
    /// (items may come with it). 0 and not ended: nothing now.
    Py_ssize_t (*fill)(PyObject *source, PyObject **items, Py_ssize_t limit, bool *out_ended);

    /// Worker thread. True if fill() may block, in user code or in a pipe: who calls it then sends on
    /// first what it holds. Such a fill() returns as soon as it has something.
    bool (*may_block)(PyObject *source);
} bw_native_source;

typedef struct bw_native_sink {
    /// Worker thread, attached. 0, or -1 with an exception set.
    int (*write)(PyObject *sink, PyObject *item);

    /// Worker thread, attached. Passes on what the sink holds back; 0, or -1 with an exception set.
    /// NULL if it holds nothing back.
    int (*flush)(PyObject *sink);
} bw_native_sink;

/// The C face of an object of exactly one of our types, else NULL. Any thread, attached.
const bw_native_source *bw_native_source_of(bw_engine_state *state, PyObject *object);
const bw_native_sink *bw_native_sink_of(bw_engine_state *state, PyObject *object);

/// Makes the types and adds them to the module: part of its exec. 0, or -1 with an exception set.
int bw_native_exec(PyObject *module, bw_engine_state *state);

#endif
