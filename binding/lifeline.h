// lifeline.h - a process that must not outlive another: it holds the read end of a pipe whose write end
// nobody but the other has.
#ifndef BW_BINDING_LIFELINE_H
#define BW_BINDING_LIFELINE_H

#include "compat.h"

/// `_engine._die_with(fd)`, see _engine.pyi.
PyObject *bw_die_with(PyObject *module, PyObject *argument);

#endif
