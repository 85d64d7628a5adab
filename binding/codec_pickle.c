// The codec's way into the standard library: what it imports, and pickling for what it doesn't write itself.
#include "codec_format.h"

#include "attribute.h"
#include "raise.h"
#include "stage.h"

#define REPR_CHARACTERS 120

// ---- what is imported

/// Puts module.name, or module.name.inner, into the tuple. 0 or -1.
static int
import_tool(PyObject *tools, bw_codec_tool tool, const char *module_name, const char *name,
            const char *inner)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL) return -1;
    PyObject *value = bw_attribute(module, name);
    Py_DECREF(module);
    if (value != NULL && inner != NULL) Py_SETREF(value, bw_attribute(value, inner));
    if (value == NULL) return -1;
    PyTuple_SET_ITEM(tools, tool, value);
    return 0;
}

static int
fill_tools(PyObject *tools)
{
    if (import_tool(tools, BW_TOOL_DUMPS, "pickle", "dumps", NULL) != 0) return -1;
    if (import_tool(tools, BW_TOOL_LOADS, "pickle", "loads", NULL) != 0) return -1;
    if (import_tool(tools, BW_TOOL_DATETIME, "datetime", "datetime_CAPI", NULL) != 0) return -1;
    if (import_tool(tools, BW_TOOL_DECIMAL, "decimal", "Decimal", NULL) != 0) return -1;
    if (import_tool(tools, BW_TOOL_UUID, "uuid", "UUID", NULL) != 0) return -1;
    if (import_tool(tools, BW_TOOL_UUID_UNKNOWN, "uuid", "SafeUUID", "unknown") != 0) return -1;
    PyObject *protocol = PyLong_FromLong(5);
    if (protocol == NULL) return -1;
    PyTuple_SET_ITEM(tools, BW_TOOL_PROTOCOL, protocol);
    const struct {
        bw_codec_tool tool;
        const char *text;
    } names[] = {{BW_TOOL_NAME_INT, "int"}, {BW_TOOL_NAME_IS_SAFE, "is_safe"}};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        PyObject *name = PyUnicode_InternFromString(names[i].text);
        if (name == NULL) return -1;
        PyTuple_SET_ITEM(tools, names[i].tool, name);
    }
    return 0;
}

PyObject *
bw_codec_tools(bw_engine_state *state)
{
    PyObject *tools = __atomic_load_n(&state->codec, __ATOMIC_ACQUIRE);
    if (tools != NULL) return tools;
    PyObject *made = PyTuple_New(BW_TOOL_COUNT);
    if (made == NULL) return NULL;
    if (fill_tools(made) != 0) {
        Py_DECREF(made);
        return NULL;
    }
    // Another worker may have been as fast, as imports let go of the interpreter: the first one stays.
    if (__atomic_compare_exchange_n(&state->codec, &tools, made, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
        return made;
    }
    Py_DECREF(made);
    return tools;
}

// ---- out

/// dumps(value, 5) as bytes: new reference.
static PyObject *
call_dumps(PyObject *tools, PyObject *dumps, PyObject *value)
{
    PyObject *pickled = bw_call2(dumps, value, bw_codec_tool_at(tools, BW_TOOL_PROTOCOL));
    if (pickled == NULL || PyBytes_CheckExact(pickled)) return pickled;
    PyErr_Format(PyExc_TypeError, "dumps() must return bytes, not %.200s", Py_TYPE(pickled)->tp_name);
    Py_DECREF(pickled);
    return NULL;
}

PyObject *
bw_codec_dumps(PyObject *tools, PyObject *value)
{
    return call_dumps(tools, bw_codec_tool_at(tools, BW_TOOL_DUMPS), value);
}

/// By a package that may not be installed.
static PyObject *
dumps_by(PyObject *tools, const char *module_name, PyObject *value)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL) return NULL;
    PyObject *dumps = bw_attribute(module, "dumps");
    Py_DECREF(module);
    if (dumps == NULL) return NULL;
    PyObject *pickled = call_dumps(tools, dumps, value);
    Py_DECREF(dumps);
    return pickled;
}

/// "module.qualified name" of the item's class: new reference, or NULL.
static PyObject *
type_name(PyObject *item)
{
    PyObject *type = (PyObject *)Py_TYPE(item);
    PyObject *module = bw_attribute(type, "__module__"), *name = bw_attribute(type, "__qualname__");
    PyObject *text = NULL;
    if (module != NULL && name != NULL) text = PyUnicode_FromFormat("%S.%S", module, name);
    Py_XDECREF(module);
    Py_XDECREF(name);
    return text;
}

/// The item's repr(), shortened also where it would be long to make: new reference, or NULL.
static PyObject *
short_repr(PyObject *item)
{
    PyObject *module = PyImport_ImportModule("reprlib");
    if (module == NULL) return NULL;
    PyObject *shortener = bw_call_method(module, "Repr", NULL, NULL),
             *limit = PyLong_FromLong(REPR_CHARACTERS);
    PyObject *text = NULL;
    Py_DECREF(module);
    if (shortener != NULL && limit != NULL &&
        PyObject_SetAttrString(shortener, "maxother", limit) == 0 &&
        PyObject_SetAttrString(shortener, "maxstring", limit) == 0) {
        text = bw_call_method(shortener, "repr", item, NULL);
    }
    Py_XDECREF(shortener);
    Py_XDECREF(limit);
    return text;
}

/// Raises that the item can't be pickled, with the cause (a reference, taken over).
static void
raise_unpicklable(bw_engine_state *state, PyObject *item, PyObject *cause)
{
    PyObject *type = type_name(item);
    PyObject *text = type == NULL ? NULL : short_repr(item);
    if (text == NULL && (!PyErr_Occurred() || bw_codec_is_failure())) {
        PyErr_Clear();
        text = PyUnicode_FromString("its repr() fails");
    }
    if (text != NULL) {
        PyErr_SetRaisedException(cause);
        bw_raise_from_pending(
            state->BytewaxRuntimeError,
            "an item of type %V can't be pickled, so it can't go to another process: %S "
            "(%s: %S)",
            type, Py_TYPE(item)->tp_name, text, Py_TYPE(cause)->tp_name, cause);
    } else {
        Py_DECREF(cause);
    }
    Py_XDECREF(type);
    Py_XDECREF(text);
}

PyObject *
bw_codec_dumps_item(bw_engine_state *state, PyObject *tools, PyObject *item, bw_pickler *pickler)
{
    static const char *const others[] = {
        [BW_PICKLER_CLOUDPICKLE] = "cloudpickle",
        [BW_PICKLER_DILL] = "dill",
    };
    *pickler = BW_PICKLER_PICKLE;
    PyObject *pickled = bw_codec_dumps(tools, item);
    if (pickled != NULL || !bw_codec_is_failure()) return pickled;
    // What pickle itself says is told, if none can.
    PyObject *cause = PyErr_GetRaisedException();
    for (*pickler = BW_PICKLER_CLOUDPICKLE; *pickler < BW_PICKLER_COUNT; ++*pickler) {
        pickled = dumps_by(tools, others[*pickler], item);
        if (pickled != NULL || !bw_codec_is_failure()) {
            Py_DECREF(cause);
            return pickled;
        }
        PyErr_Clear();
    }
    raise_unpicklable(state, item, cause);
    return NULL;
}

// ---- in

/// loads() of the pickler's own module: new reference.
static PyObject *
find_loads(bw_engine_state *state, bw_pickler pickler)
{
    if (pickler != BW_PICKLER_DILL) {  // what cloudpickle writes imports it
        PyObject *tools = bw_codec_tools(state);
        return tools == NULL ? NULL : Py_NewRef(bw_codec_tool_at(tools, BW_TOOL_LOADS));
    }
    PyObject *module = PyImport_ImportModule("dill");
    if (module == NULL) return NULL;
    PyObject *loads = bw_attribute(module, "loads");
    Py_DECREF(module);
    return loads;
}

/// Sees to it that nobody reads the bytes later on, whoever kept the view.
static void
release_view(PyObject *view)
{
    PyObject *failure = PyErr_GetRaisedException();
    PyObject *released = bw_call_method(view, "release", NULL, NULL);
    if (released == NULL) PyErr_Clear();
    Py_XDECREF(released);
    Py_DECREF(view);
    if (failure != NULL) PyErr_SetRaisedException(failure);
}

PyObject *
bw_codec_loads(bw_engine_state *state, PyObject *loads, bw_pickler pickler, const uint8_t *bytes,
               size_t size)
{
    loads = loads != NULL ? Py_NewRef(loads) : find_loads(state, pickler);
    PyObject *value = NULL;
    if (loads != NULL) {
        // Read where they are; as the view is read-only, the cast takes nothing away.
        PyObject *view = PyMemoryView_FromMemory((char *)(uintptr_t)bytes, (Py_ssize_t)size, PyBUF_READ);
        if (view != NULL) {
            value = bw_call1(loads, view);
            release_view(view);
        }
        Py_DECREF(loads);
    }
    if (value != NULL || !bw_codec_is_failure()) return value;
    PyObject *cause = PyErr_GetRaisedException();
    PyErr_SetRaisedException(Py_NewRef(cause));
    bw_raise_from_pending(state->BytewaxRuntimeError,
                          "an item from another process can't be unpickled here: %s: %S",
                          Py_TYPE(cause)->tp_name, cause);
    Py_DECREF(cause);
    return NULL;
}
