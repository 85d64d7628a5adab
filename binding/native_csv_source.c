// CsvSource - the rows of a CSV file. Python's csv.reader parses; it asks a LineSource for its lines,
// with their ends, since a quoted field may contain some. It reads no line beyond the row's last: so
// the position of the lines, after a row, is that of the row.
#include "compat.h"

#include <stdbool.h>

#include "attribute.h"
#include "native_line_source.h"
#include "native_object.h"

typedef struct {
    PyObject_HEAD
    PyObject *lines;     // owned, LineSource
    PyObject *reader;    // owned, iterator over rows, of csv.reader()
    PyObject *header;    // owned, tuple; NULL: the file is empty
    PyObject *error;     // owned, exception that waits until the rows before it are away; NULL if none
    long long position;  // after the last row returned
    bool busy;
} CsvSource;

/// csv.reader(iter(lines.next, None), **fmtparams): an iterator, and the only user of `lines`.
static PyObject *
make_reader(PyObject *lines, PyObject *fmtparams)
{
    PyObject *reader = NULL;
    PyObject *next_line = bw_attribute(lines, "next");
    if (next_line == NULL) return NULL;
    PyObject *iterator = PyCallIter_New(next_line, Py_None);
    Py_DECREF(next_line);
    if (iterator == NULL) return NULL;
    PyObject *module = PyImport_ImportModule("csv");
    if (module == NULL) goto drop_iterator;
    PyObject *reader_type = bw_attribute(module, "reader");
    if (reader_type == NULL) goto drop_module;
    PyObject *args = PyTuple_Pack(1, iterator);
    if (args == NULL) goto drop_reader_type;
    reader = PyObject_Call(reader_type, args, fmtparams);
    Py_DECREF(args);
    if (reader != NULL && !PyIter_Check(reader)) {
        PyErr_Format(PyExc_TypeError, "csv.reader() must return an iterator; got %R", reader);
        Py_CLEAR(reader);
    }

drop_reader_type:
    Py_DECREF(reader_type);
drop_module:
    Py_DECREF(module);
drop_iterator:
    Py_DECREF(iterator);
    return reader;
}

/// The next row, a list, or NULL: at the end without an exception.
static PyObject *
next_row(CsvSource *self)
{
    PyObject *row = PyIter_Next(self->reader);
    if (row == NULL || PyList_CheckExact(row)) return row;
    PyErr_Format(PyExc_TypeError, "csv.reader() must return rows as lists; got %R", row);
    Py_DECREF(row);
    return NULL;
}

static int
read_header(CsvSource *self)
{
    PyObject *row = next_row(self);
    if (row == NULL) return PyErr_Occurred() ? -1 : 0;
    self->header = PyList_AsTuple(row);
    Py_DECREF(row);
    return self->header == NULL ? -1 : 0;
}

static PyObject *
CsvSource_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"path", "fmtparams", "resume_state", NULL};
    PyObject *path, *fmtparams, *resume_state;  // borrowed from args
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!O:CsvSource", keywords, &path, &PyDict_Type,
                                     &fmtparams, &resume_state)) {
        return NULL;
    }
    long long position;
    if (bw_native_resume_state(resume_state, 0, &position) < 0) return NULL;
    bw_engine_state *state = PyType_GetModuleState(type);
    if (state == NULL) return NULL;
    CsvSource *self = (CsvSource *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->lines = bw_line_source_new(state->LineSource, path, true);
    if (self->lines == NULL) goto drop_self;
    self->reader = make_reader(self->lines, fmtparams);
    if (self->reader == NULL) goto drop_self;
    if (read_header(self) < 0) goto drop_self;
    // The rows begin behind the header, also for who has seen none yet.
    if (position > bw_line_source_position(self->lines)) {
        if (bw_line_source_seek(self->lines, position) < 0) goto drop_self;
    }
    self->position = position;
    return (PyObject *)self;

drop_self:
    Py_DECREF(self);
    return NULL;
}

static int
CsvSource_traverse(PyObject *op, visitproc visit, void *arg)
{
    CsvSource *self = (CsvSource *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->lines);
    Py_VISIT(self->reader);
    Py_VISIT(self->header);
    Py_VISIT(self->error);
    return 0;
}

/// What is dropped here is remade by nobody; `lines` stays, since it refers to nothing in turn.
static int
CsvSource_clear(PyObject *op)
{
    CsvSource *self = (CsvSource *)op;
    Py_CLEAR(self->reader);
    Py_CLEAR(self->header);
    Py_CLEAR(self->error);
    return 0;
}

static void
CsvSource_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)CsvSource_clear(op);
    Py_XDECREF(((CsvSource *)op)->lines);
    type->tp_free(op);
    Py_DECREF(type);
}

/// dict(zip(header, row)).
static PyObject *
row_as_dict(PyObject *header, PyObject *row)
{
    PyObject *fields = PyDict_New();
    if (fields == NULL) return NULL;
    Py_ssize_t column_count = PyTuple_GET_SIZE(header);
    if (PyList_GET_SIZE(row) < column_count) column_count = PyList_GET_SIZE(row);
    for (Py_ssize_t i = 0; i < column_count; i++) {
        if (PyDict_SetItem(fields, PyTuple_GET_ITEM(header, i), PyList_GET_ITEM(row, i)) < 0) {
            Py_DECREF(fields);
            return NULL;
        }
    }
    return fields;
}

/// The next row as a dict, or NULL: at the end without an exception. Busy: a codec may be Python code.
static PyObject *
next_item(CsvSource *self)
{
    if (self->reader == NULL || self->header == NULL) return NULL;
    PyObject *row = next_row(self);
    if (row == NULL) return NULL;
    PyObject *item = row_as_dict(self->header, row);
    Py_DECREF(row);
    if (item != NULL) self->position = bw_line_source_position(self->lines);
    return item;
}

/// Up to `limit` rows. One only from a pipe, whose next line may not be there yet.
static Py_ssize_t
next_items(CsvSource *self, PyObject **items, Py_ssize_t limit, bool *out_ended)
{
    if (self->error != NULL) {
        PyErr_SetRaisedException(self->error);  // takes the reference
        self->error = NULL;
        return -1;
    }
    if (bw_line_source_may_block(self->lines)) limit = 1;
    Py_ssize_t count = 0;
    while (count < limit) {
        PyObject *item = next_item(self);
        if (item == NULL) {
            *out_ended = !PyErr_Occurred();
            break;
        }
        items[count++] = item;
    }
    if (!PyErr_Occurred()) return count;
    if (count == 0) return -1;
    self->error = PyErr_GetRaisedException();
    return count;
}

static Py_ssize_t
CsvSource_fill(PyObject *op, PyObject **items, Py_ssize_t limit, bool *out_ended)
{
    CsvSource *self = (CsvSource *)op;
    Py_ssize_t count = -1;
    *out_ended = false;
    Py_BEGIN_CRITICAL_SECTION(op);
    if (bw_native_enter(op, &self->busy)) {
        count = next_items(self, items, limit, out_ended);
        bw_native_leave(&self->busy);
    }
    Py_END_CRITICAL_SECTION();
    return count;
}

static bool
CsvSource_may_block(PyObject *op)
{
    return bw_line_source_may_block(((CsvSource *)op)->lines);
}

const bw_native_source bw_csv_source_face = {.fill = CsvSource_fill, .may_block = CsvSource_may_block};

static PyObject *
CsvSource_next(PyObject *op, PyObject *Py_UNUSED(unused))
{
    PyObject *item;
    bool ended;
    Py_ssize_t count = CsvSource_fill(op, &item, 1, &ended);
    if (count == 1) return item;
    if (count == 0) PyErr_SetNone(PyExc_StopIteration);
    return NULL;
}

static PyObject *
CsvSource_snapshot(PyObject *op, PyObject *Py_UNUSED(unused))
{
    long long position;
    Py_BEGIN_CRITICAL_SECTION(op);
    position = ((CsvSource *)op)->position;
    Py_END_CRITICAL_SECTION();
    return PyLong_FromLongLong(position);
}

static PyObject *
CsvSource_close(PyObject *op, PyObject *Py_UNUSED(unused))
{
    CsvSource *self = (CsvSource *)op;
    int error = -1;
    Py_BEGIN_CRITICAL_SECTION(op);
    if (bw_native_enter(op, &self->busy)) {
        error = bw_line_source_close(self->lines);
        bw_native_leave(&self->busy);
    }
    Py_END_CRITICAL_SECTION();
    if (error < 0) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef CsvSource_methods[] = {
    {"next", CsvSource_next, METH_NOARGS,
     PyDoc_STR("next($self, /)\n--\n\nReturn the next row: a dict from header to field.")},
    {"snapshot", CsvSource_snapshot, METH_NOARGS,
     PyDoc_STR("snapshot($self, /)\n--\n\nReturn the position in the file after the last row returned, "
               "in bytes.")},
    {"close", CsvSource_close, METH_NOARGS, PyDoc_STR("close($self, /)\n--\n\nClose the file.")},
    {NULL},
};

static PyType_Slot CsvSource_slots[] = {
    {Py_tp_doc,
     PyDoc_STR(
         "CsvSource(path, fmtparams, resume_state)\n--\n\n"
         "Source of the rows of a CSV file, from after the first resume_state bytes. The first row\n"
         "is the header; fmtparams is a dict of keyword arguments to csv.reader().")},
    {Py_tp_new, CsvSource_new},
    {Py_tp_dealloc, CsvSource_dealloc},
    {Py_tp_traverse, CsvSource_traverse},
    {Py_tp_clear, CsvSource_clear},
    {Py_tp_methods, CsvSource_methods},
    {0, NULL},
};

PyType_Spec bw_csv_source_spec = {
    .name = "bytewax._engine.CsvSource",
    .basicsize = sizeof(CsvSource),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = CsvSource_slots,
};
