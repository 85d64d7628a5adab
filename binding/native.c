#include "native.h"

#include "native_object.h"

const bw_native_source *
bw_native_source_of(bw_engine_state *state, PyObject *object)
{
    if (Py_IS_TYPE(object, state->IterSource)) return &bw_iter_source_face;
    if (Py_IS_TYPE(object, state->LineSource)) return &bw_line_source_face;
    if (Py_IS_TYPE(object, state->CsvSource)) return &bw_csv_source_face;
    return NULL;
}

const bw_native_sink *
bw_native_sink_of(bw_engine_state *state, PyObject *object)
{
    if (Py_IS_TYPE(object, state->ListSink)) return &bw_list_sink_face;
    if (Py_IS_TYPE(object, state->PrintSink)) return &bw_print_sink_face;
    if (Py_IS_TYPE(object, state->FileSink)) return &bw_file_sink_face;
    return NULL;
}

bool
bw_native_enter(PyObject *op, bool *busy)
{
    if (*busy) {
        PyErr_Format(PyExc_RuntimeError, "%s called while another call of it is running",
                     Py_TYPE(op)->tp_name);
        return false;
    }
    *busy = true;
    return true;
}

int
bw_native_resume_state(PyObject *resume_state, long long least, long long *out)
{
    *out = least;
    if (resume_state == Py_None) return 0;
    if (!PyLong_Check(resume_state)) {
        PyErr_Format(PyExc_TypeError, "resume_state must be an int or None; got %R", resume_state);
        return -1;
    }
    long long value = PyLong_AsLongLong(resume_state);
    if (value == -1 && PyErr_Occurred()) return -1;
    if (value < least) {
        PyErr_Format(PyExc_ValueError, "resume_state must be at least %lld; got %lld", least, value);
        return -1;
    }
    *out = value;
    return 0;
}

PyObject *
bw_native_nothing(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(unused))
{
    Py_RETURN_NONE;
}

static int
add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **out)
{
    *out = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (*out == NULL) return -1;
    return PyModule_AddType(module, *out);
}

int
bw_native_exec(PyObject *module, bw_engine_state *state)
{
    if (add_type(module, &bw_iter_source_spec, &state->IterSource) < 0) return -1;
    if (add_type(module, &bw_line_source_spec, &state->LineSource) < 0) return -1;
    if (add_type(module, &bw_csv_source_spec, &state->CsvSource) < 0) return -1;
    if (add_type(module, &bw_list_sink_spec, &state->ListSink) < 0) return -1;
    if (add_type(module, &bw_print_sink_spec, &state->PrintSink) < 0) return -1;
    return add_type(module, &bw_file_sink_spec, &state->FileSink);
}
