// A block holds a piece of the file. Lines are cut off its front; when no whole one is left, what
// remains moves to the front and more is read behind it:
//
//     | delivered | a line\n | another\r\n | a piece of a li | free        |
//     0           start    next_lf     next_cr              end           capacity
//
// next_lf and next_cr are found once for all lines before them, so that a file without \r, or without
// \n, is not searched again and again for what it doesn't have.
#include "attribute.h"
#include "native_line_source.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "native_file.h"
#include "native_object.h"

#define BLOCK_BYTES ((size_t)256 * 1024)

typedef struct {
    PyObject_HEAD
    PyObject *name;             // owned, str or bytes: the file, in errors
    PyObject *encoding;         // owned, str; NULL: UTF-8, of which ASCII is a part
    const char *encoding_name;  // borrowed from encoding; NULL as that is
    char *block;                // owned; NULL until something is read, and after the end
    size_t start, end, capacity;
    size_t next_lf, next_cr;  // the first of its kind at or after start, or end if there is none
    long long position;       // of block[start] in the file
    int descriptor;           // -1 once closed
    bool may_block;           // constant: no regular file
    bool keep_ends;           // constant
    bool at_end;              // read() has said so
    bool busy;
} LineSource;

/// NULL as *out for what PyUnicode_DecodeUTF8() reads. 0 or -1.
static int
choose_encoding(PyObject **out)
{
    *out = NULL;
    PyObject *encoding = bw_file_encoding();
    if (encoding == NULL) return -1;
    if (PyUnicode_CompareWithASCIIString(encoding, "utf-8") == 0) {
        Py_DECREF(encoding);
    } else {
        *out = encoding;
    }
    return 0;
}

PyObject *
bw_line_source_new(PyTypeObject *type, PyObject *path, bool keep_ends)
{
    LineSource *self = (LineSource *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->descriptor = -1;
    self->keep_ends = keep_ends;
    struct stat status;
    self->descriptor = bw_file_open(path, false, &self->name, &status);
    if (self->descriptor < 0) goto drop_self;
    self->may_block = !S_ISREG(status.st_mode);
    if (choose_encoding(&self->encoding) < 0) goto drop_self;
    if (self->encoding != NULL) {
        self->encoding_name = PyUnicode_AsUTF8(self->encoding);
        if (self->encoding_name == NULL) goto drop_self;
    }
    return (PyObject *)self;

drop_self:
    Py_DECREF(self);
    return NULL;
}

static PyObject *
LineSource_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"path", "resume_state", NULL};
    PyObject *path, *resume_state;  // borrowed from args
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:LineSource", keywords, &path, &resume_state)) {
        return NULL;
    }
    long long position;
    if (bw_native_resume_state(resume_state, 0, &position) < 0) return NULL;
    PyObject *self = bw_line_source_new(type, path, false);
    if (self == NULL) return NULL;
    if (bw_line_source_seek(self, position) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

static void
close_file(LineSource *self)
{
    if (self->descriptor >= 0) close(self->descriptor);
    self->descriptor = -1;
    PyMem_Free(self->block);
    self->block = NULL;
    self->start = self->end = self->capacity = self->next_lf = self->next_cr = 0;
}

static void
LineSource_dealloc(PyObject *op)
{
    LineSource *self = (LineSource *)op;
    PyTypeObject *type = Py_TYPE(op);
    close_file(self);
    Py_XDECREF(self->name);
    Py_XDECREF(self->encoding);
    type->tp_free(op);
    Py_DECREF(type);
}

int
bw_line_source_seek(PyObject *op, long long position)
{
    LineSource *self = (LineSource *)op;
    if (position == self->position) return 0;  // so that a pipe can be read from its start
    // A \n after the \r that ended the last line belongs to that line, even if it was not yet there
    // when the position was taken.
    char around[2];
    if (position > 0 && pread(self->descriptor, around, 2, position - 1) == 2 && around[0] == '\r' &&
        around[1] == '\n') {
        position++;
    }
    if (lseek(self->descriptor, position, SEEK_SET) < 0) return bw_file_error(errno, self->name);
    self->position = position;
    self->start = self->end = self->next_lf = self->next_cr = 0;
    self->at_end = false;
    return 0;
}

long long
bw_line_source_position(PyObject *op)
{
    long long position;
    Py_BEGIN_CRITICAL_SECTION(op);
    position = ((LineSource *)op)->position;
    Py_END_CRITICAL_SECTION();
    return position;
}

bool
bw_line_source_may_block(PyObject *op)
{
    return ((LineSource *)op)->may_block;
}

/// Index of `byte` in block[from, end), or end.
static size_t
find(const LineSource *self, char byte, size_t from)
{
    if (from == self->end) return self->end;
    const char *found = memchr(self->block + from, byte, self->end - from);
    return found == NULL ? self->end : (size_t)(found - self->block);
}

/// Moves what remains to the front, and gives it a larger block if it fills this one.
static int
make_room(LineSource *self)
{
    if (self->start > 0) {
        memmove(self->block, self->block + self->start, self->end - self->start);
        self->next_lf -= self->start;
        self->next_cr -= self->start;
        self->end -= self->start;
        self->start = 0;
    }
    if (self->end < self->capacity) return 0;
    size_t capacity = self->capacity == 0 ? BLOCK_BYTES : 2 * self->capacity;
    char *block = capacity > PY_SSIZE_T_MAX ? NULL : PyMem_Realloc(self->block, capacity);
    if (block == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->block = block;
    self->capacity = capacity;
    return 0;
}

/// Reads behind what the block holds; sets at_end if nothing is left. 0, or -1 with an exception set
/// and nothing changed: another try may follow. Busy, since it lets go of the GIL.
static int
read_more(LineSource *self)
{
    if (make_room(self) < 0) return -1;
    ssize_t size;
    for (;;) {
        int error_number;
        Py_BEGIN_ALLOW_THREADS
        size = read(self->descriptor, self->block + self->end, self->capacity - self->end);
        error_number = errno;
        Py_END_ALLOW_THREADS
        if (size >= 0) break;
        if (error_number != EINTR) return bw_file_error(error_number, self->name);
        if (PyErr_CheckSignals() < 0) return -1;
    }
    size_t old_end = self->end;
    bool no_lf = self->next_lf == old_end;
    bool no_cr = self->next_cr == old_end;
    self->end += (size_t)size;
    if (no_lf) self->next_lf = find(self, '\n', old_end);
    if (no_cr) self->next_cr = find(self, '\r', old_end);
    self->at_end = size == 0;
    return 0;
}

/// Measures the first line of the block: `*out_length` without its end, `*out_size` with it. False if
/// it is not known to be whole.
static bool
measure_line(const LineSource *self, size_t *out_length, size_t *out_size)
{
    size_t line_end = self->next_lf < self->next_cr ? self->next_lf : self->next_cr;
    *out_length = line_end - self->start;
    if (line_end == self->end) {  // a last line may go without
        *out_size = *out_length;
        return self->at_end && *out_length > 0;
    }
    *out_size = *out_length + 1;
    if (line_end == self->next_lf) return true;
    if (line_end + 1 == self->end) return self->at_end;  // after a \r, a \n may still come
    if (self->block[line_end + 1] == '\n') ++*out_size;
    return true;
}

/// Adds to the pending exception in which line of which file it came up, if it can (CPython 3.11).
static void
note_position(LineSource *self)
{
    PyObject *error = PyErr_GetRaisedException();
    if (error == NULL) return;
    PyObject *note =
        PyUnicode_FromFormat("in file %R, in the line at byte %lld", self->name, self->position);
    PyObject *add_note = note == NULL ? NULL : bw_attribute(error, "add_note");
    PyObject *result = add_note == NULL ? NULL : PyObject_CallOneArg(add_note, note);
    Py_XDECREF(result);
    Py_XDECREF(add_note);
    Py_XDECREF(note);
    PyErr_Clear();  // whatever failed here matters less
    PyErr_SetRaisedException(error);
}

static bool
is_ascii(const char *text, size_t size)
{
    uint64_t bits = 0, word;
    if (size < sizeof word) {
        while (size > 0) bits |= (unsigned char)text[--size];
    } else {
        for (size_t i = 0; i < size - sizeof word; i += sizeof word) {
            memcpy(&word, text + i, sizeof word);
            bits |= word;
        }
        memcpy(&word, text + size - sizeof word, sizeof word);  // overlaps the one before
        bits |= word;
    }
    return (bits & 0x8080808080808080u) == 0;
}

/// PyUnicode_DecodeUTF8() for text that is mostly ASCII: takes a quarter off what such a line costs in all.
static PyObject *
decode_utf8(const char *text, size_t size)
{
    if (size < 2 || !is_ascii(text, size)) return PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "strict");
    PyObject *line = PyUnicode_New((Py_ssize_t)size, 127);
    if (line != NULL) memcpy(PyUnicode_DATA(line), text, size);
    return line;
}

/// Cuts the first line off the block. NULL without an exception if there is no whole one; with one if
/// it can't be decoded, and then it stays.
static PyObject *
cut_line(LineSource *self)
{
    size_t length, size;
    if (!measure_line(self, &length, &size)) return NULL;
    const char *text = self->block + self->start;
    size_t text_size = self->keep_ends ? size : length;
    PyObject *line = self->encoding == NULL
                         ? decode_utf8(text, text_size)
                         : PyUnicode_Decode(text, (Py_ssize_t)text_size, self->encoding_name, "strict");
    if (line == NULL) {
        note_position(self);
        return NULL;
    }
    self->start += size;
    self->position += (long long)size;
    if (self->next_lf < self->start) self->next_lf = find(self, '\n', self->start);
    if (self->next_cr < self->start) self->next_cr = find(self, '\r', self->start);
    return line;
}

/// Up to `limit` lines, all of them from the block if it holds a whole one. Busy.
static Py_ssize_t
cut_lines(LineSource *self, PyObject **lines, Py_ssize_t limit, bool *out_ended)
{
    Py_ssize_t count = 0;
    for (;;) {
        while (count < limit) {
            PyObject *line = cut_line(self);
            if (line == NULL) break;
            lines[count++] = line;
        }
        if (PyErr_Occurred()) {
            if (count == 0) return -1;
            PyErr_Clear();  // the line is still there: the next call fails of the same
            return count;
        }
        if (count > 0) return count;  // rather than wait for more
        if (self->at_end) {
            *out_ended = true;
            return 0;
        }
        if (read_more(self) < 0) return -1;
    }
}

static Py_ssize_t
LineSource_fill(PyObject *op, PyObject **items, Py_ssize_t limit, bool *out_ended)
{
    LineSource *self = (LineSource *)op;
    Py_ssize_t count = -1;
    *out_ended = false;
    Py_BEGIN_CRITICAL_SECTION(op);
    if (bw_native_enter(op, &self->busy)) {
        if (self->descriptor < 0) {
            PyErr_Format(PyExc_ValueError, "read from a closed source, of file %R", self->name);
        } else {
            count = cut_lines(self, items, limit, out_ended);
        }
        bw_native_leave(&self->busy);
    }
    Py_END_CRITICAL_SECTION();
    return count;
}

const bw_native_source bw_line_source_face = {.fill = LineSource_fill,
                                              .may_block = bw_line_source_may_block};

PyObject *
bw_line_source_next(PyObject *op)
{
    PyObject *line;
    bool ended;
    return LineSource_fill(op, &line, 1, &ended) == 1 ? line : NULL;
}

static PyObject *
LineSource_next(PyObject *op, PyObject *Py_UNUSED(unused))
{
    PyObject *line = bw_line_source_next(op);
    if (line == NULL && !PyErr_Occurred()) PyErr_SetNone(PyExc_StopIteration);
    return line;
}

static PyObject *
LineSource_snapshot(PyObject *op, PyObject *Py_UNUSED(unused))
{
    return PyLong_FromLongLong(bw_line_source_position(op));
}

int
bw_line_source_close(PyObject *op)
{
    LineSource *self = (LineSource *)op;
    int error = -1;
    Py_BEGIN_CRITICAL_SECTION(op);
    if (bw_native_enter(op, &self->busy)) {
        close_file(self);
        error = 0;
        bw_native_leave(&self->busy);
    }
    Py_END_CRITICAL_SECTION();
    return error;
}

static PyObject *
LineSource_close(PyObject *op, PyObject *Py_UNUSED(unused))
{
    if (bw_line_source_close(op) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef LineSource_methods[] = {
    {"next", LineSource_next, METH_NOARGS,
     PyDoc_STR("next($self, /)\n--\n\nReturn the next line, without its end.")},
    {"snapshot", LineSource_snapshot, METH_NOARGS,
     PyDoc_STR("snapshot($self, /)\n--\n\nReturn how many bytes the lines returned so far take.")},
    {"close", LineSource_close, METH_NOARGS, PyDoc_STR("close($self, /)\n--\n\nClose the file.")},
    {NULL},
};

static PyType_Slot LineSource_slots[] = {
    {Py_tp_doc,
     PyDoc_STR("LineSource(path, resume_state)\n--\n\n"
               "Source of the lines of a text file, from after the first resume_state bytes.")},
    {Py_tp_new, LineSource_new},
    {Py_tp_dealloc, LineSource_dealloc},
    {Py_tp_methods, LineSource_methods},
    {0, NULL},
};

PyType_Spec bw_line_source_spec = {
    .name = "bytewax._engine.LineSource",
    .basicsize = sizeof(LineSource),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = LineSource_slots,
};
