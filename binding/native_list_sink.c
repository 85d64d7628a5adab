// ListSink - appends to a list, or to whatever else has append().
#include "compat.h"

#include "native_object.h"

// Immutable after tp_new: needs no lock, and no tp_clear for the reason that tuple has none.
typedef struct {
    PyObject_HEAD
    PyObject *list;         // owned, any object
    PyObject *append_name;  // owned, str
} ListSink;

static PyObject *
ListSink_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"ls", NULL};
    PyObject *list;  // borrowed from args
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:ListSink", keywords, &list)) return NULL;
    PyObject *append_name = PyUnicode_InternFromString("append");
    if (append_name == NULL) return NULL;
    ListSink *self = (ListSink *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_DECREF(append_name);
        return NULL;
    }
    self->list = Py_NewRef(list);
    self->append_name = append_name;
    return (PyObject *)self;
}

static int
ListSink_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((ListSink *)op)->list);
    return 0;
}

static void
ListSink_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_XDECREF(((ListSink *)op)->list);
    Py_XDECREF(((ListSink *)op)->append_name);
    type->tp_free(op);
    Py_DECREF(type);
}

static int
write_item(PyObject *op, PyObject *item)
{
    ListSink *self = (ListSink *)op;
    if (PyList_CheckExact(self->list)) return PyList_Append(self->list, item);
    PyObject *result = PyObject_CallMethodOneArg(self->list, self->append_name, item);
    if (result == NULL) return -1;
    Py_DECREF(result);
    return 0;
}

const bw_native_sink bw_list_sink_face = {.write = write_item, .flush = NULL};

static PyObject *
ListSink_write(PyObject *op, PyObject *item)
{
    if (write_item(op, item) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef ListSink_methods[] = {
    {"write", ListSink_write, METH_O, PyDoc_STR("write($self, item, /)\n--\n\nAppend an item.")},
    BW_NATIVE_UNBUFFERED_METHODS,
    {NULL},
};

static PyType_Slot ListSink_slots[] = {
    {Py_tp_doc, PyDoc_STR("ListSink(ls)\n--\n\nSink that calls ls.append() for each item.")},
    {Py_tp_new, ListSink_new},
    {Py_tp_dealloc, ListSink_dealloc},
    {Py_tp_traverse, ListSink_traverse},
    {Py_tp_methods, ListSink_methods},
    {0, NULL},
};

PyType_Spec bw_list_sink_spec = {
    .name = "bytewax._engine.ListSink",
    .basicsize = sizeof(ListSink),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = ListSink_slots,
};
