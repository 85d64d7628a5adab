// PrintSink - print(item), in one write: lines of several workers never mix.
#include "compat.h"

#include "native_object.h"

// Immutable after tp_new: needs no lock, and no tp_clear for the reason that tuple has none.
typedef struct {
    PyObject_HEAD
    PyObject *sys;          // owned, module
    PyObject *stdout_name;  // owned, str, as the next two
    PyObject *write_name;
    PyObject *newline;
} PrintSink;

static PyObject *
PrintSink_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":PrintSink", keywords)) return NULL;
    PrintSink *self = (PrintSink *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->sys = PyImport_ImportModule("sys");
    self->stdout_name = PyUnicode_InternFromString("stdout");
    self->write_name = PyUnicode_InternFromString("write");
    self->newline = PyUnicode_InternFromString("\n");
    if (self->sys == NULL || self->stdout_name == NULL || self->write_name == NULL ||
        self->newline == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
PrintSink_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((PrintSink *)op)->sys);
    return 0;
}

static void
PrintSink_dealloc(PyObject *op)
{
    PrintSink *self = (PrintSink *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_XDECREF(self->sys);
    Py_XDECREF(self->stdout_name);
    Py_XDECREF(self->write_name);
    Py_XDECREF(self->newline);
    type->tp_free(op);
    Py_DECREF(type);
}

/// The sys.stdout of this moment: contextlib.redirect_stdout and pytest change it. New reference, or
/// NULL with the RuntimeError of print().
static PyObject *
current_stdout(PrintSink *self)
{
    PyObject *file = PyObject_GetAttr(self->sys, self->stdout_name);
    if (file == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_SetString(PyExc_RuntimeError, "lost sys.stdout");
    }
    return file;
}

static int
write_text(PrintSink *self, PyObject *file, PyObject *item)
{
    PyObject *text = PyObject_Str(item);
    if (text == NULL) return -1;
    PyObject *line = PyUnicode_Concat(text, self->newline);
    Py_DECREF(text);
    if (line == NULL) return -1;
    PyObject *result = PyObject_CallMethodOneArg(file, self->write_name, line);
    Py_DECREF(line);
    if (result == NULL) return -1;
    Py_DECREF(result);
    return 0;
}

static int
write_item(PyObject *op, PyObject *item)
{
    PrintSink *self = (PrintSink *)op;
    PyObject *file = current_stdout(self);
    if (file == NULL) return -1;
    int error = 0;
    if (file != Py_None) {
        error = write_text(self, file, item);  // None: a process without standard output
    }
    Py_DECREF(file);
    return error;
}

const bw_native_sink bw_print_sink_face = {.write = write_item, .flush = NULL};

static PyObject *
PrintSink_write(PyObject *op, PyObject *item)
{
    if (write_item(op, item) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef PrintSink_methods[] = {
    {"write", PrintSink_write, METH_O, PyDoc_STR("write($self, item, /)\n--\n\nPrint an item.")},
    BW_NATIVE_UNBUFFERED_METHODS,
    {NULL},
};

static PyType_Slot PrintSink_slots[] = {
    {Py_tp_doc, PyDoc_STR("PrintSink()\n--\n\nSink that prints each item to the current sys.stdout.")},
    {Py_tp_new, PrintSink_new},
    {Py_tp_dealloc, PrintSink_dealloc},
    {Py_tp_traverse, PrintSink_traverse},
    {Py_tp_methods, PrintSink_methods},
    {0, NULL},
};

PyType_Spec bw_print_sink_spec = {
    .name = "bytewax._engine.PrintSink",
    .basicsize = sizeof(PrintSink),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = PrintSink_slots,
};
