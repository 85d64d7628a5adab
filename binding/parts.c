#include "parts.h"

#include "attribute.h"
#include "raise.h"

static int
add_name(PyObject *item, bw_names *names)
{
    if (!PyUnicode_Check(item)) {
        bw_raise_about(PyExc_TypeError,
                       "can't convert parts to set: each name of `list_parts` must be a str; got %U",
                       item, NULL);
        return -1;
    }
    Py_ssize_t size;
    const char *data = PyUnicode_AsUTF8AndSize(item, &size);
    if (data == NULL) return -1;
    if (bw_names_add(names, data, (size_t)size) == BW_OK) return 0;
    PyErr_NoMemory();
    return -1;
}

static int
add_names(PyObject *listed, bw_names *names)
{
    PyObject *iterator = NULL;
    if (!PyUnicode_Check(listed)) iterator = PyObject_GetIter(listed);
    if (iterator == NULL) {
        // Not iterable, rather than what its own code raises.
        if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError)) return -1;
        PyErr_Clear();
        bw_raise_about(
            PyExc_TypeError,
            "can't convert parts to set: `list_parts` must return a set of str; got %U, which "
            "cannot be converted to 'PySet'",
            listed, NULL);
        return -1;
    }
    PyObject *item;
    int error = 0;
    while (error == 0 && (item = PyIter_Next(iterator)) != NULL) {
        error = add_name(item, names);
        Py_DECREF(item);
    }
    Py_DECREF(iterator);
    return error != 0 || PyErr_Occurred() ? -1 : 0;
}

int
bw_parts_list(const bw_stage_spec *spec, bw_names *names)
{
    PyObject *listed = bw_call_method(spec->first, "list_parts", NULL, NULL);
    if (listed == NULL) return -1;
    int error = add_names(listed, names);
    Py_DECREF(listed);
    return error;
}

/// What a built object must subclass, in the words of upstream's messages.
static const char *
class_words(bw_stage_kind kind)
{
    switch (kind) {
    case BW_STAGE_PARTITIONED_INPUT:
        return "stateful source must subclass `bytewax.inputs.StatefulSource`";
    case BW_STAGE_DYNAMIC_INPUT:
        return "stateless source must subclass `bytewax.inputs.StatelessSource`";
    case BW_STAGE_PARTITIONED_OUTPUT:
        return "stateful sink must subclass `bytewax.outputs.StatefulSink`";
    case BW_STAGE_DYNAMIC_OUTPUT:
    case BW_STAGE_DYNAMIC_OUTPUT_EPOCH:
        return "stateless sink must subclass `bytewax.outputs.StatelessSink`";
    case BW_STAGE_MAP:
    case BW_STAGE_FILTER_MAP:
    case BW_STAGE_FLAT_MAP:
    case BW_STAGE_FILTER:
    case BW_STAGE_INSPECT:
    case BW_STAGE_INSPECT_EPOCH:
    case BW_STAGE_REDUCE:
    case BW_STAGE_STATEFUL_MAP:
        break;
    }
    Py_UNREACHABLE();
}

/// Takes over `built`; hands it back if it is of the class the step demands, else NULL and TypeError.
static PyObject *
checked(const bw_stage_spec *spec, PyObject *built)
{
    if (built == NULL) return NULL;
    int fits = PyObject_IsInstance(built, spec->second);
    if (fits > 0) return built;
    if (fits == 0) {
        PyErr_Format(PyExc_TypeError, "%s; got an object of type %s instead", class_words(spec->kind),
                     Py_TYPE(built)->tp_name);
    }
    Py_DECREF(built);
    return NULL;
}

PyObject *
bw_parts_build(const bw_stage_spec *spec, const bw_name *name, bool none_allowed)
{
    PyObject *part = PyUnicode_DecodeUTF8(name->data, (Py_ssize_t)name->size, NULL);
    if (part == NULL) return NULL;
    PyObject *built = bw_call_method(spec->first, "build_part", part, Py_None);
    Py_DECREF(part);
    if (none_allowed && built == Py_None) {
        Py_DECREF(built);
        return NULL;
    }
    return checked(spec, built);
}

PyObject *
bw_parts_build_dynamic(const bw_stage_spec *spec, const bw_place *place)
{
    PyObject *index = PyLong_FromUnsignedLong(place->worker_index);
    PyObject *count = PyLong_FromUnsignedLong(place->worker_count);
    PyObject *built = NULL;
    if (index != NULL && count != NULL) built = bw_call_method(spec->first, "build", index, count);
    Py_XDECREF(index);
    Py_XDECREF(count);
    return checked(spec, built);
}
