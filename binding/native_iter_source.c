// Position: the index of the element read last; -1 before the first. A None counts as one.
//
// kind       | element by                     | fill takes
// -----------|--------------------------------|------------------------------------------
// SEQUENCE   | index into the list or tuple   | all there are, up to the limit
// ITERATOR   | next() of a built-in iterator  | likewise: no code of the user's runs in it
// FOREIGN    | next() of any other            | one: the next might block for long
#include "compat.h"

#include <stdbool.h>

#include "native_object.h"

enum kind { SEQUENCE, ITERATOR, FOREIGN };

typedef struct {
    PyObject_HEAD
    PyObject *origin;  // owned, exact list or tuple, or an iterator; NULL once it has ended
    PyObject *error;   // owned, exception that waits until the items before it are away; NULL if none
    Py_ssize_t position;
    enum kind kind;  // constant
    bool busy;
} IterSource;

static bool
is_builtin_iterator(PyObject *iterator)
{
    return Py_IS_TYPE(iterator, &PyListIter_Type) || Py_IS_TYPE(iterator, &PyTupleIter_Type) ||
           Py_IS_TYPE(iterator, &PyRangeIter_Type) || Py_IS_TYPE(iterator, &PyLongRangeIter_Type);
}

static int
open_origin(IterSource *self, PyObject *iterable)
{
    if (PyList_CheckExact(iterable) || PyTuple_CheckExact(iterable)) {
        self->kind = SEQUENCE;
        self->origin = Py_NewRef(iterable);
        return 0;
    }
    self->origin = PyObject_GetIter(iterable);
    if (self->origin == NULL) return -1;
    self->kind = is_builtin_iterator(self->origin) ? ITERATOR : FOREIGN;
    return 0;
}

/// Moves past the first `count` elements. StopIteration if there are fewer.
static int
skip(IterSource *self, Py_ssize_t count)
{
    if (self->kind == SEQUENCE) {
        Py_ssize_t size = PySequence_Size(self->origin);
        if (size < 0) return -1;
        if (count > size) goto too_few;
    } else {
        for (Py_ssize_t i = 0; i < count; i++) {
            if (i % 65536 == 65535 && PyErr_CheckSignals() < 0) return -1;
            PyObject *item = PyIter_Next(self->origin);
            if (item == NULL && PyErr_Occurred()) return -1;
            if (item == NULL) goto too_few;
            Py_DECREF(item);
        }
    }
    self->position = count - 1;
    return 0;

too_few:
    PyErr_SetNone(PyExc_StopIteration);
    return -1;
}

static PyObject *
IterSource_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"iterable", "resume_state", NULL};
    PyObject *iterable, *resume_state;  // borrowed from args
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:IterSource", keywords, &iterable,
                                     &resume_state)) {
        return NULL;
    }
    long long position;
    if (bw_native_resume_state(resume_state, -1, &position) < 0) return NULL;
    if (position >= PY_SSIZE_T_MAX) {
        return PyErr_Format(PyExc_OverflowError, "resume_state is too large: %lld", position);
    }
    IterSource *self = (IterSource *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->position = -1;
    if (open_origin(self, iterable) < 0 || skip(self, (Py_ssize_t)position + 1) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
IterSource_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((IterSource *)op)->origin);
    Py_VISIT(((IterSource *)op)->error);
    return 0;
}

static int
IterSource_clear(PyObject *op)
{
    Py_CLEAR(((IterSource *)op)->origin);
    Py_CLEAR(((IterSource *)op)->error);
    return 0;
}

static void
IterSource_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)IterSource_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

/// Copies elements, None excepted, until `limit` or the end. Nobody runs or can change the sequence
/// meanwhile; but between two calls a list may have become longer or shorter, as for Python's own
/// iterator: so only a call that finds nothing is the end. Where one element is asked for, a None is
/// that one: each poll is an epoch there, also one that has nothing.
static Py_ssize_t
fill_from_sequence(IterSource *self, PyObject **items, Py_ssize_t limit)
{
    Py_ssize_t count = 0;
    Py_ssize_t index = self->position + 1;
    Py_BEGIN_CRITICAL_SECTION(self->origin);
    PyObject **elements = PySequence_Fast_ITEMS(self->origin);
    Py_ssize_t size = PySequence_Fast_GET_SIZE(self->origin);
    while (count < limit && index < size) {
        PyObject *element = elements[index++];
        if (element != Py_None) {
            items[count++] = Py_NewRef(element);
        } else if (limit == 1) {
            break;
        }
    }
    Py_END_CRITICAL_SECTION();
    self->position = index - 1;
    return count;
}

/// Takes elements, None excepted, until `limit`, the end or an error, whose exception is then set.
static Py_ssize_t
fill_from_iterator(IterSource *self, PyObject **items, Py_ssize_t limit, bool *out_ended)
{
    Py_ssize_t count = 0;
    while (count < limit) {
        PyObject *item = PyIter_Next(self->origin);
        if (item == NULL) {
            *out_ended = !PyErr_Occurred();
            break;
        }
        self->position++;
        if (item == Py_None) {
            Py_DECREF(item);
            if (self->kind == FOREIGN || limit == 1) break;  // it has nothing now
        } else {
            items[count++] = item;
            if (self->kind == FOREIGN) break;
        }
    }
    return count;
}

static Py_ssize_t
fill_locked(IterSource *self, PyObject **items, Py_ssize_t limit, bool *out_ended)
{
    if (self->error != NULL) {
        PyErr_SetRaisedException(self->error);  // takes the reference
        self->error = NULL;
        return -1;
    }
    *out_ended = self->origin == NULL;
    if (*out_ended) return 0;
    if (!bw_native_enter((PyObject *)self, &self->busy)) return -1;
    Py_ssize_t count;
    if (self->kind == SEQUENCE) {
        Py_ssize_t before = self->position;
        count = fill_from_sequence(self, items, limit);
        *out_ended = self->position == before;
    } else {
        count = fill_from_iterator(self, items, limit, out_ended);
        if (PyErr_Occurred()) {
            if (count == 0) {
                count = -1;
            } else {
                self->error = PyErr_GetRaisedException();
            }
        }
    }
    bw_native_leave(&self->busy);
    if (*out_ended) Py_CLEAR(self->origin);
    return count;
}

static Py_ssize_t
IterSource_fill(PyObject *op, PyObject **items, Py_ssize_t limit, bool *out_ended)
{
    Py_ssize_t count;
    *out_ended = false;
    Py_BEGIN_CRITICAL_SECTION(op);
    count = fill_locked((IterSource *)op, items, limit, out_ended);
    Py_END_CRITICAL_SECTION();
    return count;
}

static bool
IterSource_may_block(PyObject *op)
{
    return ((IterSource *)op)->kind == FOREIGN;
}

const bw_native_source bw_iter_source_face = {.fill = IterSource_fill,
                                              .may_block = IterSource_may_block};

/// The next element, None included, or NULL: at the end without an exception.
static PyObject *
next_element(IterSource *self)
{
    if (self->kind != SEQUENCE) return PyIter_Next(self->origin);
    if (PyTuple_CheckExact(self->origin)) {
        if (self->position + 1 >= PyTuple_GET_SIZE(self->origin)) return NULL;
        return Py_NewRef(PyTuple_GET_ITEM(self->origin, self->position + 1));
    }
    PyObject *element = PyList_GetItemRef(self->origin, self->position + 1);
    if (element == NULL && PyErr_ExceptionMatches(PyExc_IndexError)) PyErr_Clear();
    return element;
}

static PyObject *
next_locked(IterSource *self)
{
    if (self->error != NULL) {
        PyErr_SetRaisedException(self->error);
        self->error = NULL;
        return NULL;
    }
    if (self->origin == NULL) {
        PyErr_SetNone(PyExc_StopIteration);
        return NULL;
    }
    if (!bw_native_enter((PyObject *)self, &self->busy)) return NULL;
    PyObject *element = next_element(self);
    bw_native_leave(&self->busy);
    if (element != NULL) {
        self->position++;
    } else if (!PyErr_Occurred()) {
        Py_CLEAR(self->origin);
        PyErr_SetNone(PyExc_StopIteration);
    }
    return element;
}

static PyObject *
IterSource_next(PyObject *op, PyObject *Py_UNUSED(unused))
{
    PyObject *element;
    Py_BEGIN_CRITICAL_SECTION(op);
    element = next_locked((IterSource *)op);
    Py_END_CRITICAL_SECTION();
    return element;
}

static PyObject *
IterSource_snapshot(PyObject *op, PyObject *Py_UNUSED(unused))
{
    Py_ssize_t position;
    Py_BEGIN_CRITICAL_SECTION(op);
    position = ((IterSource *)op)->position;
    Py_END_CRITICAL_SECTION();
    return PyLong_FromSsize_t(position);
}

static PyObject *
IterSource_close(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(unused))
{
    Py_RETURN_NONE;
}

static PyMethodDef IterSource_methods[] = {
    {"next", IterSource_next, METH_NOARGS,
     PyDoc_STR("next($self, /)\n--\n\nReturn the next element; None stands for nothing now.")},
    {"snapshot", IterSource_snapshot, METH_NOARGS,
     PyDoc_STR("snapshot($self, /)\n--\n\nReturn the index of the last element read, -1 before any.")},
    {"close", IterSource_close, METH_NOARGS, PyDoc_STR("close($self, /)\n--\n\nDo nothing.")},
    {NULL},
};

static PyType_Slot IterSource_slots[] = {
    {Py_tp_doc,
     PyDoc_STR("IterSource(iterable, resume_state)\n--\n\n"
               "Source of the elements of an iterable, from after the one that resume_state counts.")},
    {Py_tp_new, IterSource_new},
    {Py_tp_dealloc, IterSource_dealloc},
    {Py_tp_traverse, IterSource_traverse},
    {Py_tp_clear, IterSource_clear},
    {Py_tp_methods, IterSource_methods},
    {0, NULL},
};

PyType_Spec bw_iter_source_spec = {
    .name = "bytewax._engine.IterSource",
    .basicsize = sizeof(IterSource),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = IterSource_slots,
};
