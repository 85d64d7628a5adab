// native_line_source.h - the lines of a file, for who reads more out of them than a str each.
#ifndef BW_BINDING_NATIVE_LINE_SOURCE_H
#define BW_BINDING_NATIVE_LINE_SOURCE_H

#include "compat.h"

#include <stdbool.h>

/// New LineSource at the start of `path`, or NULL with an exception set. `keep_ends`: each line keeps
/// its end, as it stands in the file.
PyObject *bw_line_source_new(PyTypeObject *type, PyObject *path, bool keep_ends);

/// Goes on after the first `position` bytes of the file. 0, or -1 with an exception set.
int bw_line_source_seek(PyObject *op, long long position);

/// How many bytes the lines delivered so far take.
long long bw_line_source_position(PyObject *op);

/// The next line, or NULL: at the end without an exception.
PyObject *bw_line_source_next(PyObject *op);

/// True unless it is a regular file.
bool bw_line_source_may_block(PyObject *op);

/// 0, or -1 with RuntimeError: another call is running.
int bw_line_source_close(PyObject *op);

#endif
