// key.h - the `(key, value)` pairs that keyed steps take, and the bytes of a key.
#ifndef BW_BINDING_KEY_H
#define BW_BINDING_KEY_H

#include "compat.h"

#include <stdint.h>

#include "channel/item.h"

/// Borrows key and value of an item that a keyed step was given, and the key's UTF-8 bytes, which live
/// as long as it. 0, or -1 and TypeError that names the step. Attached.
int bw_key_split(PyObject *item, PyObject *label, PyObject **key, PyObject **value, bw_bytes *bytes);

/// UTF-8 of a str that was a key before, so that it can't fail but for memory.
int bw_key_bytes(PyObject *key, bw_bytes *bytes);

/// New reference: `key` itself, or an equal plain str if it is of a subclass.
static inline PyObject *
bw_key_plain(PyObject *key)
{
    return PyUnicode_CheckExact(key) ? Py_NewRef(key) : PyUnicode_FromObject(key);
}

#endif
