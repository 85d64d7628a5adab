// execution.h - one run of a dataflow: in the calling thread, or on threads of Python's that it waits for.
#ifndef BW_BINDING_EXECUTION_H
#define BW_BINDING_EXECUTION_H

#include "compat.h"

extern PyType_Spec bw_execution_spec;  // internal: keeps what worker threads use

/// `_engine.run(...)`, see _engine.pyi.
PyObject *bw_run(PyObject *module, PyObject *args, PyObject *kwargs);

#endif
