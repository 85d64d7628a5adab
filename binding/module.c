// The module bytewax._engine: all its state is in the module object.
#include "compat.h"

#include "attribute.h"
#include "codec.h"
#include "execution.h"
#include "lifeline.h"
#include "native.h"
#include "state.h"

bw_engine_state *
bw_state_of_module(PyObject *module)
{
    return PyModule_GetState(module);
}

/// The text of a KeyError is the repr of its argument: not fit for a message of several lines.
static PyObject *
new_key_error(void)
{
    PyObject *bases = PyTuple_Pack(2, PyExc_KeyError, PyExc_RuntimeError);
    PyObject *text = bw_attribute(PyExc_RuntimeError, "__str__");
    PyObject *members = NULL, *type = NULL;
    if (bases != NULL && text != NULL) members = Py_BuildValue("{s:O}", "__str__", text);
    if (members != NULL) {
        type = PyErr_NewExceptionWithDoc(
            "bytewax.errors.UserKeyError",
            "A KeyError of user code, which 0.16 turned into a RuntimeError.", bases, members);
    }
    Py_XDECREF(bases);
    Py_XDECREF(text);
    Py_XDECREF(members);
    return type;
}

static int
add_exceptions(PyObject *module, bw_engine_state *state)
{
    state->BytewaxRuntimeError = PyErr_NewExceptionWithDoc(
        "bytewax.errors.BytewaxRuntimeError", "The run of a dataflow failed.", PyExc_RuntimeError, NULL);
    state->UserKeyError = new_key_error();
    state->WorkerStop = PyErr_NewExceptionWithDoc(
        "bytewax.errors.WorkerStop", "Raised in user code of a worker whose run was broken off.",
        PyExc_BaseException, NULL);
    if (state->BytewaxRuntimeError == NULL || state->UserKeyError == NULL || state->WorkerStop == NULL) {
        return -1;
    }
    if (PyModule_AddObjectRef(module, "UserKeyError", state->UserKeyError) != 0) return -1;
    return PyModule_AddObjectRef(module, "BytewaxRuntimeError", state->BytewaxRuntimeError);
}

static int
module_exec(PyObject *module)
{
    bw_engine_state *state = bw_state_of_module(module);
    if (add_exceptions(module, state) != 0) return -1;
    state->Execution = (PyTypeObject *)PyType_FromModuleAndSpec(module, &bw_execution_spec, NULL);
    if (state->Execution == NULL) return -1;
    return bw_native_exec(module, state);
}

static PyObject **
owned_fields(bw_engine_state *state, size_t *count)
{
    // The state is nothing but owned references.
    *count = sizeof *state / sizeof(PyObject *);
    return (PyObject **)state;
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    size_t count;
    PyObject **fields = owned_fields(bw_state_of_module(module), &count);
    for (size_t i = 0; i < count; i++) Py_VISIT(fields[i]);
    return 0;
}

static int
module_clear(PyObject *module)
{
    size_t count;
    PyObject **fields = owned_fields(bw_state_of_module(module), &count);
    for (size_t i = 0; i < count; i++) Py_CLEAR(fields[i]);
    return 0;
}

static void
module_free(void *module)
{
    module_clear(module);
}

static PyMethodDef module_methods[] = {
    {"run", (PyCFunction)(void (*)(void))bw_run, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("run($module, plan, *, worker_count, epoch_interval_us, threads, net=None)\n--\n\n"
               "Run a plan to its end.")},
    {"_die_with", bw_die_with, METH_O,
     PyDoc_STR("_die_with($module, fd, /)\n--\n\n"
               "End this process by SIGKILL as soon as nobody can write to a pipe any more.\n\n"
               "Takes over its read end, and sets it close-on-exec.")},
    {"_encode", (PyCFunction)(void (*)(void))bw_codec_encode_list, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("_encode($module, /, items, shape='plain')\n--\n\n"
               "For tests: encode items as for another process.")},
    {"_decode", (PyCFunction)(void (*)(void))bw_codec_decode_list, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("_decode($module, /, data, shape='plain', loads=None)\n--\n\n"
               "For tests: decode what _encode() made.")},
    {NULL},
};
static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};
static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "bytewax._engine",
    .m_doc = "The engine under the Python API. Private: it may change at any time.",
    .m_size = sizeof(bw_engine_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__engine(void)
{
    return PyModuleDef_Init(&module_def);
}
