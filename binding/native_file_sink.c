// FileSink - text appended to a file, in large writes. No item is split over two of them, unless it is
// larger than the buffer: after a failed write the file ends with a whole one.
#include "compat.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "native_file.h"
#include "native_object.h"

#define BUFFER_BYTES ((size_t)64 * 1024)

typedef struct {
    PyObject_HEAD
    PyObject *name;             // owned, str or bytes: the file, in errors
    PyObject *encoding;         // owned, str; NULL: UTF-8
    const char *encoding_name;  // borrowed from encoding; NULL as that is
    PyObject *end;              // owned, bytes: what follows each item, encoded
    char *buffer;               // owned, BUFFER_BYTES
    size_t used;                // of them, not written yet
    long long position;         // in the file, of what follows the buffer's content
    int descriptor;             // -1 once closed
    bool failed;                // the last write(2) did
    bool busy;
} FileSink;

/// Cuts off what was written after the snapshot that is resumed from; all of it, if from none. What
/// can't be cut, such as a terminal, a pipe or /dev/null, is written to from the start.
static int
truncate_file(FileSink *self, const struct stat *status, long long position)
{
    if (!S_ISREG(status->st_mode) && position == 0) return 0;
    if (position > status->st_size && S_ISREG(status->st_mode)) {
        // Going on would leave a hole of zeros where what had been written is gone.
        PyErr_Format(PyExc_ValueError, "can't resume writing to %R at byte %lld: it has only %lld",
                     self->name, position, (long long)status->st_size);
        return -1;
    }
    for (;;) {
        int result, error_number;
        Py_BEGIN_ALLOW_THREADS
        result = ftruncate(self->descriptor, position);
        error_number = errno;
        Py_END_ALLOW_THREADS
        if (result == 0) break;
        if (error_number != EINTR) return bw_file_error(error_number, self->name);
        if (PyErr_CheckSignals() < 0) return -1;
    }
    self->position = position;
    return 0;
}

/// New reference to bytes, or NULL with an exception set.
static PyObject *
encode(const FileSink *self, PyObject *text)
{
    if (self->encoding == NULL) return PyUnicode_AsUTF8String(text);
    return PyUnicode_AsEncodedString(text, self->encoding_name, "strict");
}

static int
prepare_text(FileSink *self, PyObject *end)
{
    PyObject *encoding = bw_file_encoding();
    if (encoding == NULL) return -1;
    if (PyUnicode_CompareWithASCIIString(encoding, "utf-8") == 0) {
        Py_DECREF(encoding);
    } else {
        self->encoding = encoding;
        self->encoding_name = PyUnicode_AsUTF8(encoding);
        if (self->encoding_name == NULL) return -1;
    }
    self->end = encode(self, end);
    return self->end == NULL ? -1 : 0;
}

static PyObject *
FileSink_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"path", "end", "resume_state", NULL};
    PyObject *path, *end, *resume_state;  // borrowed from args
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OUO:FileSink", keywords, &path, &end,
                                     &resume_state)) {
        return NULL;
    }
    long long position;
    if (bw_native_resume_state(resume_state, 0, &position) < 0) return NULL;
    FileSink *self = (FileSink *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->descriptor = -1;
    if (prepare_text(self, end) < 0) goto drop_self;
    self->buffer = PyMem_Malloc(BUFFER_BYTES);
    if (self->buffer == NULL) {
        PyErr_NoMemory();
        goto drop_self;
    }
    struct stat status;
    self->descriptor = bw_file_open(path, true, &self->name, &status);
    if (self->descriptor < 0) goto drop_self;
    if (truncate_file(self, &status, position) < 0) goto drop_self;
    return (PyObject *)self;

drop_self:
    Py_DECREF(self);
    return NULL;
}

static int
check_open(const FileSink *self)
{
    if (self->descriptor >= 0) return 0;
    PyErr_Format(PyExc_ValueError, "write to a closed sink, of file %R", self->name);
    return -1;
}

/// Writes the whole buffer. On failure what was not written stays. Busy, since it lets go of the GIL.
static int
flush_buffer(FileSink *self)
{
    size_t written = 0;
    while (written < self->used) {
        ssize_t size;
        int error_number;
        Py_BEGIN_ALLOW_THREADS
        size = write(self->descriptor, self->buffer + written, self->used - written);
        error_number = errno;
        Py_END_ALLOW_THREADS
        self->failed = size < 0 && error_number != EINTR;
        if (size >= 0) {
            written += (size_t)size;
        } else if (self->failed) {
            bw_file_error(error_number, self->name);
            break;
        } else if (PyErr_CheckSignals() < 0) {
            break;
        }
    }
    self->used -= written;
    if (written > 0) memmove(self->buffer, self->buffer + written, self->used);
    return self->used == 0 ? 0 : -1;
}

static int
append(FileSink *self, const char *bytes, size_t size)
{
    while (size > 0) {
        if (self->used == BUFFER_BYTES && flush_buffer(self) < 0) return -1;
        size_t room = BUFFER_BYTES - self->used;
        size_t part = size < room ? size : room;
        memcpy(self->buffer + self->used, bytes, part);
        self->used += part;
        self->position += (long long)part;
        bytes += part;
        size -= part;
    }
    return 0;
}

static int
append_item(FileSink *self, const char *text, size_t text_size)
{
    size_t end_size = (size_t)PyBytes_GET_SIZE(self->end);
    if (text_size + end_size > BUFFER_BYTES - self->used && flush_buffer(self) < 0) return -1;
    if (append(self, text, text_size) < 0) return -1;
    return append(self, PyBytes_AS_STRING(self->end), end_size);
}

static int
write_bytes(FileSink *self, const char *text, size_t text_size)
{
    int error = -1;
    Py_BEGIN_CRITICAL_SECTION((PyObject *)self);
    if (check_open(self) == 0 && bw_native_enter((PyObject *)self, &self->busy)) {
        error = append_item(self, text, text_size);
        bw_native_leave(&self->busy);
    }
    Py_END_CRITICAL_SECTION();
    return error;
}

static int
write_item(PyObject *op, PyObject *item)
{
    FileSink *self = (FileSink *)op;
    if (!PyUnicode_Check(item)) {
        PyErr_Format(PyExc_TypeError, "value written to a file must be a str; got %R (%.200s) instead",
                     item, Py_TYPE(item)->tp_name);
        return -1;
    }
    if (self->encoding == NULL) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(item, &size);
        return text == NULL ? -1 : write_bytes(self, text, (size_t)size);
    }
    PyObject *encoded = encode(self, item);
    if (encoded == NULL) return -1;
    int error = write_bytes(self, PyBytes_AS_STRING(encoded), (size_t)PyBytes_GET_SIZE(encoded));
    Py_DECREF(encoded);
    return error;
}

/// Nothing to do after close(), which has flushed.
static int
flush(PyObject *op)
{
    FileSink *self = (FileSink *)op;
    int error = -1;
    Py_BEGIN_CRITICAL_SECTION(op);
    if (bw_native_enter(op, &self->busy)) {
        error = flush_buffer(self);
        bw_native_leave(&self->busy);
    }
    Py_END_CRITICAL_SECTION();
    return error;
}

const bw_native_sink bw_file_sink_face = {.write = write_item, .flush = flush};

/// Flushes, and closes in any case: what could not be written is lost, and the error says so.
static int
close_file(FileSink *self)
{
    int error = flush_buffer(self);
    self->used = 0;
    int descriptor = self->descriptor;
    self->descriptor = -1;
    int result, error_number;
    Py_BEGIN_ALLOW_THREADS  // a network file system writes here
    result = close(descriptor);
    error_number = errno;
    Py_END_ALLOW_THREADS
    // After EINTR it is closed nevertheless, on Linux at least.
    if (error == 0 && result < 0 && error_number != EINTR) {
        return bw_file_error(error_number, self->name);
    }
    return error;
}

/// Nobody closes the sinks of a run that fails: what they hold goes to the file here.
static void
FileSink_finalize(PyObject *op)
{
    FileSink *self = (FileSink *)op;
    if (self->descriptor < 0) return;
    PyObject *pending = PyErr_GetRaisedException();
    if (self->failed) self->used = 0;  // that was reported when it happened
    if (close_file(self) < 0) PyErr_WriteUnraisable(op);
    if (pending != NULL) PyErr_SetRaisedException(pending);
}

static void
FileSink_dealloc(PyObject *op)
{
    FileSink *self = (FileSink *)op;
    if (PyObject_CallFinalizerFromDealloc(op) < 0) return;  // an unraisable hook has kept it
    PyTypeObject *type = Py_TYPE(op);
    PyMem_Free(self->buffer);
    Py_XDECREF(self->name);
    Py_XDECREF(self->encoding);
    Py_XDECREF(self->end);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
FileSink_write(PyObject *op, PyObject *item)
{
    if (write_item(op, item) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *
FileSink_flush(PyObject *op, PyObject *Py_UNUSED(unused))
{
    if (flush(op) < 0) return NULL;
    Py_RETURN_NONE;
}

/// The buffer goes to the file first, so that the position means bytes that are there.
static PyObject *
FileSink_snapshot(PyObject *op, PyObject *Py_UNUSED(unused))
{
    FileSink *self = (FileSink *)op;
    PyObject *snapshot = NULL;
    Py_BEGIN_CRITICAL_SECTION(op);
    if (check_open(self) == 0 && bw_native_enter(op, &self->busy)) {
        if (flush_buffer(self) == 0) snapshot = PyLong_FromLongLong(self->position);
        bw_native_leave(&self->busy);
    }
    Py_END_CRITICAL_SECTION();
    return snapshot;
}

static PyObject *
FileSink_close(PyObject *op, PyObject *Py_UNUSED(unused))
{
    FileSink *self = (FileSink *)op;
    int error = -1;
    Py_BEGIN_CRITICAL_SECTION(op);
    if (bw_native_enter(op, &self->busy)) {
        error = self->descriptor < 0 ? 0 : close_file(self);
        bw_native_leave(&self->busy);
    }
    Py_END_CRITICAL_SECTION();
    if (error < 0) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef FileSink_methods[] = {
    {"write", FileSink_write, METH_O,
     PyDoc_STR("write($self, item, /)\n--\n\nAppend a str and what ends it.")},
    {"flush", FileSink_flush, METH_NOARGS,
     PyDoc_STR("flush($self, /)\n--\n\nWrite to the file what is held back.")},
    {"snapshot", FileSink_snapshot, METH_NOARGS,
     PyDoc_STR("snapshot($self, /)\n--\n\nFlush, and return the length of the file in bytes.")},
    {"close", FileSink_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\nFlush, and close the file.")},
    {NULL},
};

static PyType_Slot FileSink_slots[] = {
    {Py_tp_doc,
     PyDoc_STR("FileSink(path, end, resume_state)\n--\n\n"
               "Sink that appends each str, and end, to a file, cut to resume_state bytes before.")},
    {Py_tp_new, FileSink_new},
    {Py_tp_dealloc, FileSink_dealloc},
    {Py_tp_finalize, FileSink_finalize},
    {Py_tp_methods, FileSink_methods},
    {0, NULL},
};

PyType_Spec bw_file_sink_spec = {
    .name = "bytewax._engine.FileSink",
    .basicsize = sizeof(FileSink),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = FileSink_slots,
};
