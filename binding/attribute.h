// attribute.h - attributes and methods by name, the names interned: a fresh string for each look-up would
// leave a fresh entry in CPython's cache of types.
#ifndef BW_BINDING_ATTRIBUTE_H
#define BW_BINDING_ATTRIBUTE_H

#include "compat.h"

/// getattr(object, name): new reference, or NULL with an exception.
PyObject *bw_attribute(PyObject *object, const char *name);

/// object.name(first, second): the arguments end at the first NULL. New reference, or NULL with an
/// exception.
PyObject *bw_call_method(PyObject *object, const char *name, PyObject *first, PyObject *second);

#endif
