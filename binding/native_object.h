// native_object.h - what the files of our sources and sinks share, and what native.c needs of each.
//
// A source or sink belongs to one worker, but Python code can get hold of it and call it from another
// thread, or from within itself (a generator that asks its own source). So every method takes the
// object's critical section, which a free-threaded build needs, and a method that calls out, to user
// code or to a system call that may block, is `busy` meanwhile and refuses a second caller: both the
// critical section and the GIL are let go there.
#ifndef BW_BINDING_NATIVE_OBJECT_H
#define BW_BINDING_NATIVE_OBJECT_H

#include "compat.h"

#include <stdbool.h>

#include "native.h"

extern PyType_Spec bw_iter_source_spec;
extern PyType_Spec bw_line_source_spec;
extern PyType_Spec bw_csv_source_spec;
extern PyType_Spec bw_list_sink_spec;
extern PyType_Spec bw_print_sink_spec;
extern PyType_Spec bw_file_sink_spec;

extern const bw_native_source bw_iter_source_face;
extern const bw_native_source bw_line_source_face;
extern const bw_native_source bw_csv_source_face;
extern const bw_native_sink bw_list_sink_face;
extern const bw_native_sink bw_print_sink_face;
extern const bw_native_sink bw_file_sink_face;

/// Marks `op` as busy; true. If it is already: RuntimeError and false. In op's critical section.
bool bw_native_enter(PyObject *op, bool *busy);

/// The end of what bw_native_enter() began; also with an exception set.
static inline void
bw_native_leave(bool *busy)
{
    *busy = false;
}

/// Reads a resume state: None stands for `least`, anything else must be an int of at least that.
/// 0, or -1 with TypeError, ValueError or OverflowError.
int bw_native_resume_state(PyObject *resume_state, long long least, long long *out);

/// A method that takes nothing and returns None.
PyObject *bw_native_nothing(PyObject *op, PyObject *unused);

/// The methods of a sink that passes each item on at once: entries of its PyMethodDef table.
#define BW_NATIVE_UNBUFFERED_METHODS \
    {"flush", bw_native_nothing, METH_NOARGS, \
     PyDoc_STR("flush($self, /)\n--\n\nDo nothing: it holds nothing back.")}, \
        {"snapshot", bw_native_nothing, METH_NOARGS, \
         PyDoc_STR("snapshot($self, /)\n--\n\nReturn None: it has no position.")}, \
    { \
        "close", bw_native_nothing, METH_NOARGS, PyDoc_STR("close($self, /)\n--\n\nDo nothing.") \
    }

#endif
