// state.h - what the module bytewax._engine owns: its types and exceptions. One per module object.
#ifndef BW_BINDING_STATE_H
#define BW_BINDING_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct bw_engine_state {
    PyObject *BytewaxRuntimeError;  // owned, subclass of RuntimeError
    PyObject *UserKeyError;   // owned, subclass of KeyError and RuntimeError: both generations catch it
    PyObject *WorkerStop;     // owned, BaseException that breaks a stopping worker out of Python code
    PyTypeObject *Execution;  // owned, as all below
    PyTypeObject *IterSource;
    PyTypeObject *LineSource;
    PyTypeObject *CsvSource;
    PyTypeObject *ListSink;
    PyTypeObject *PrintSink;
    PyTypeObject *FileSink;
    PyObject *codec;  // tuple of what the codec imports (codec_format.h); NULL until it is needed
} bw_engine_state;

/// The state of the module `bytewax._engine`. Attached.
bw_engine_state *bw_state_of_module(PyObject *module);

#endif
