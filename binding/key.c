#include "key.h"

#include "raise.h"

int
bw_key_bytes(PyObject *key, bw_bytes *bytes)
{
    if (PyUnicode_IS_COMPACT_ASCII(key)) {
        bytes->data = PyUnicode_DATA(key);
        bytes->size = (size_t)PyUnicode_GET_LENGTH(key);
        return 0;
    }
    Py_ssize_t size;
    bytes->data = PyUnicode_AsUTF8AndSize(key, &size);
    if (bytes->data == NULL) return -1;
    bytes->size = (size_t)size;
    return 0;
}

static int
refuse_key(PyObject *key, PyObject *label)
{
    PyErr_Clear();  // of a lone surrogate
    bw_raise_about(PyExc_TypeError,
                   "Stateful logic functions must return string or integer keys in `(key, value)`; "
                   "got `%U` instead in step %R",
                   key, label);
    return -1;
}

int
bw_key_split(PyObject *item, PyObject *label, PyObject **key, PyObject **value, bw_bytes *bytes)
{
    if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
        bw_raise_about(PyExc_TypeError,
                       "Dataflow requires a `(key, value)` 2-tuple as input to every stateful operator "
                       "for routing; got `%U` instead in step %R",
                       item, label);
        return -1;
    }
    *key = PyTuple_GET_ITEM(item, 0);
    *value = PyTuple_GET_ITEM(item, 1);
    if (!PyUnicode_Check(*key) || bw_key_bytes(*key, bytes) != 0) return refuse_key(*key, label);
    return 0;
}
