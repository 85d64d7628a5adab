// ideal.c - bench_ideal: the least that a C engine can do. Each function calls the user's functions once
// per item by vectorcall, keeps state in a dict, and appends what comes out to a list: nothing else.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdio.h>

#define STAGES_MAX 8

/// New reference, or NULL.
static PyObject *
call_one(PyObject *function, PyObject *argument)
{
    PyObject *args[2] = {NULL, argument};
    return PyObject_Vectorcall(function, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

/// Sends an item (stolen) through the stages and the predicate into `out`. 0, or -1.
static int
run_chain(PyObject *item, PyObject *const *stages, Py_ssize_t stage_count, PyObject *predicate,
          PyObject *out)
{
    for (Py_ssize_t i = 0; i < stage_count; i++) {
        PyObject *result = call_one(stages[i], item);
        Py_DECREF(item);
        if (result == NULL) return -1;
        item = result;
    }
    PyObject *keep = call_one(predicate, item);
    int error = keep == NULL ? -1 : keep == Py_True ? PyList_Append(out, item) : 0;
    Py_XDECREF(keep);
    Py_DECREF(item);
    return error;
}

static PyObject *
chain(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *data, *stages, *predicate, *out;  // borrowed from args
    if (!PyArg_ParseTuple(args, "OO!OO!:chain", &data, &PyTuple_Type, &stages, &predicate, &PyList_Type,
                          &out)) {
        return NULL;
    }
    PyObject *iterator = PyObject_GetIter(data);
    if (iterator == NULL) return NULL;
    PyObject *const *stage = &PyTuple_GET_ITEM(stages, 0);
    PyObject *item;
    int error = 0;
    while (!error && (item = PyIter_Next(iterator)) != NULL) {
        error = run_chain(item, stage, PyTuple_GET_SIZE(stages), predicate, out);
    }
    Py_DECREF(iterator);
    if (error || PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyObject *
source(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *next, *stages, *predicate, *out;  // borrowed from args
    if (!PyArg_ParseTuple(args, "OO!OO!:source", &next, &PyTuple_Type, &stages, &predicate, &PyList_Type,
                          &out)) {
        return NULL;
    }
    PyObject *const *stage = &PyTuple_GET_ITEM(stages, 0);
    for (;;) {
        PyObject *spare[1];
        PyObject *item = PyObject_Vectorcall(next, spare + 1, 0 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        if (item == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return NULL;
            PyErr_Clear();
            Py_RETURN_NONE;
        }
        if (run_chain(item, stage, PyTuple_GET_SIZE(stages), predicate, out)) return NULL;
    }
}

/// Updates the state of `key` with `value`, and appends (key, result) to `out` unless it is NULL. 0, or -1.
static int
update(PyObject *states, PyObject *key, PyObject *value, PyObject *builder, PyObject *mapper,
       PyObject *out)
{
    PyObject *state = PyDict_GetItemWithError(states, key);
    if (state != NULL)
        Py_INCREF(state);
    else if (PyErr_Occurred())
        return -1;
    else if ((state = PyObject_CallNoArgs(builder)) == NULL)
        return -1;
    PyObject *args[3] = {NULL, state, value};
    PyObject *both = PyObject_Vectorcall(mapper, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(state);
    if (both == NULL) return -1;
    int error = PyDict_SetItem(states, key, PyTuple_GET_ITEM(both, 0));
    if (!error && out != NULL) {
        PyObject *result = PyTuple_Pack(2, key, PyTuple_GET_ITEM(both, 1));
        error = result == NULL ? -1 : PyList_Append(out, result);
        Py_XDECREF(result);
    }
    Py_DECREF(both);
    return error;
}

static PyObject *
keyed_map(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *data, *builder, *mapper, *out;  // borrowed from args
    if (!PyArg_ParseTuple(args, "OOOO:keyed_map", &data, &builder, &mapper, &out)) return NULL;
    PyObject *iterator = PyObject_GetIter(data);
    PyObject *states = PyDict_New();
    PyObject *item;
    int error = iterator == NULL || states == NULL ? -1 : 0;
    while (!error && (item = PyIter_Next(iterator)) != NULL) {
        error = update(states, PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1), builder, mapper,
                       out == Py_None ? NULL : out);
        Py_DECREF(item);
    }
    Py_XDECREF(states);
    Py_XDECREF(iterator);
    if (error || PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

typedef struct {
    PyObject *split, *pair, *builder, *mapper, *out, *states;  // borrowed from word_count()
} counter;

/// Counts each word of a line. 0, or -1.
static int
count_line(const counter *self, const char *line, Py_ssize_t length)
{
    PyObject *text = PyUnicode_DecodeUTF8(line, length, NULL);
    if (text == NULL) return -1;
    PyObject *words = call_one(self->split, text);
    Py_DECREF(text);
    if (words == NULL) return -1;
    int error = 0;
    for (Py_ssize_t i = 0; !error && i < PyList_GET_SIZE(words); i++) {
        PyObject *keyed = call_one(self->pair, PyList_GET_ITEM(words, i));
        if (keyed == NULL)
            error = -1;
        else
            error = update(self->states, PyTuple_GET_ITEM(keyed, 0), PyTuple_GET_ITEM(keyed, 1),
                           self->builder, self->mapper, self->out);
        Py_XDECREF(keyed);
    }
    Py_DECREF(words);
    return error;
}

static PyObject *
word_count(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *path;
    counter self;
    if (!PyArg_ParseTuple(args, "sOOOOO!:word_count", &path, &self.split, &self.pair, &self.builder,
                          &self.mapper, &PyList_Type, &self.out)) {
        return NULL;
    }
    FILE *file = fopen(path, "r");
    if (file == NULL) return PyErr_SetFromErrnoWithFilename(PyExc_OSError, path);
    self.states = PyDict_New();
    int error = self.states == NULL ? -1 : 0;
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while (!error && (length = getline(&line, &room, file)) > 0) {
        error = count_line(&self, line, line[length - 1] == '\n' ? length - 1 : length);
    }
    free(line);
    fclose(file);
    Py_XDECREF(self.states);
    if (error) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"chain", chain, METH_VARARGS, PyDoc_STR("chain(data, stages, predicate, out)")},
    {"source", source, METH_VARARGS, PyDoc_STR("source(next, stages, predicate, out)")},
    {"keyed_map", keyed_map, METH_VARARGS, PyDoc_STR("keyed_map(data, builder, mapper, out)")},
    {"word_count", word_count, METH_VARARGS,
     PyDoc_STR("word_count(path, split, pair, builder, mapper, out)")},
    {NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "bench_ideal",
                                    .m_methods = methods};

PyMODINIT_FUNC
PyInit_bench_ideal(void)
{
    return PyModuleDef_Init(&module);
}
