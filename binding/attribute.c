#include "attribute.h"

PyObject *
bw_attribute(PyObject *object, const char *name)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    if (interned == NULL) return NULL;
    PyObject *value = PyObject_GetAttr(object, interned);
    Py_DECREF(interned);
    return value;
}

PyObject *
bw_call_method(PyObject *object, const char *name, PyObject *first, PyObject *second)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    if (interned == NULL) return NULL;
    PyObject *arguments[] = {object, first, second};
    size_t count = first == NULL ? 1 : second == NULL ? 2 : 3;
    PyObject *result = PyObject_VectorcallMethod(interned, arguments, count, NULL);
    Py_DECREF(interned);
    return result;
}
