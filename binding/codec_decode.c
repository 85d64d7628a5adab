// Decoding. Every read is checked against what is left, every number of elements too before anything is made of
// that size, and how deep values nest: bytes that encode() never writes give BW_ECORRUPT. The pickled part is
// loaded first, as the values refer to its elements.
#include "codec.h"

#include <stdlib.h>

#include "codec_format.h"
#include "key.h"

#define NAMES 64

typedef struct decoder {
    bw_engine_state *state;
    PyObject *loads;  // borrowed; NULL: that of pickle
    const uint8_t *end;
    PyObject *tools;  // borrowed from the state; NULL until they are needed
    PyDateTime_CAPI *datetime;
    PyObject *pickled;  // owned list; NULL without
    Py_ssize_t next;    // the element of it that comes next
    uint32_t depth;
    size_t owed;  // elements still to come of the lists and tuples around this place
    bool has_names;
    PyObject
        *names[NAMES];  // owned: keys of dicts, each where its hash puts it, the last one stays; or NULL
    bool is_corrupt;    // what the last failure was: else an exception is pending
} decoder;

static const uint8_t *decode_value(decoder *self, const uint8_t *at, PyObject **out);

static const uint8_t *
corrupt(decoder *self)
{
    PyErr_Clear();
    self->is_corrupt = true;
    return NULL;
}

/// After a call that is refused for the bytes it was given, or for want of memory.
static const uint8_t *
refused(decoder *self)
{
    return PyErr_ExceptionMatches(PyExc_MemoryError) || !bw_codec_is_failure() ? NULL : corrupt(self);
}

/// After a key or a member was not taken: it can't be hashed, which the sender's could be, or its own code failed.
static const uint8_t *
refused_member(decoder *self)
{
    return self->pickled == NULL ? refused(self) : NULL;
}

static inline size_t
left(const decoder *self, const uint8_t *at)
{
    return (size_t)(self->end - at);
}

static const uint8_t *
get_varint(decoder *self, const uint8_t *at, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at < self->end; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1) break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return at;
        }
    }
    return corrupt(self);
}

/// A number of things of which each takes a byte or more.
static inline const uint8_t *
get_size(decoder *self, const uint8_t *at, size_t *out)
{
    if (at < self->end && *at < 0x80) {
        *out = *at++;
    } else {
        uint64_t size;
        at = get_varint(self, at, &size);
        if (at == NULL) return NULL;
        if (size > left(self, at)) return corrupt(self);
        *out = (size_t)size;
    }
    return *out <= left(self, at) ? at : corrupt(self);
}

// ---- leaves

/// Copies, and tells whether all of it is ASCII.
static inline bool
copy_ascii(uint8_t *to, const uint8_t *from, size_t size)
{
    uint64_t all = 0, word;
    size_t i = 0;
    if (size >= 8) {
        for (; i + 8 < size; i += 8) {
            memcpy(&word, from + i, 8);
            memcpy(to + i, &word, 8);
            all |= word;
        }
        memcpy(&word, from + size - 8, 8);
        memcpy(to + size - 8, &word, 8);
        all |= word;
    } else if (size >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + size - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + size - 4, &last, 4);
        all = first | last;
    } else {
        for (; i < size; i++) {
            to[i] = from[i];
            all |= from[i];
        }
    }
    return (all & 0x8080808080808080u) == 0;
}

static inline const uint8_t *
decode_ascii(decoder *self, const uint8_t *at, size_t size, PyObject **out)
{
    if (size > left(self, at)) return corrupt(self);
    if (size < 2) {  // there is one of each
        if (size == 1 && *at >= 0x80) return corrupt(self);
        *out = PyUnicode_FromStringAndSize((const char *)at, (Py_ssize_t)size);
        return *out == NULL ? NULL : at + size;
    }
    PyObject *value = PyUnicode_New((Py_ssize_t)size, 127);
    if (value == NULL) return NULL;
    if (!copy_ascii(PyUnicode_DATA(value), at, size)) {
        // It is a str that breaks its own promise: nobody may look at it.
        memset(PyUnicode_DATA(value), '?', size);
        Py_DECREF(value);
        return corrupt(self);
    }
    *out = value;
    return at + size;
}

static const uint8_t *
decode_utf8(decoder *self, const uint8_t *at, PyObject **out)
{
    size_t size;
    at = get_size(self, at, &size);
    if (at == NULL) return NULL;
    *out = PyUnicode_DecodeUTF8((const char *)at, (Py_ssize_t)size, "surrogatepass");
    return *out == NULL ? refused(self) : at + size;
}

static inline const uint8_t *
decode_fixed_int(decoder *self, const uint8_t *at, uint8_t tag, PyObject **out)
{
    size_t size = (size_t)1 << (tag - BW_TAG_INT8);
    if (left(self, at) < size) return corrupt(self);
    long long number;
    switch (size) {
    case 1:
        number = (*at ^ 0x80) - 0x80;  // the upper half is negative
        break;
    case 2:
        number = (int16_t)bw_load16(at);
        break;
    case 4:
        number = (int32_t)bw_load32(at);
        break;
    default:
        number = (int64_t)bw_load64(at);
    }
    *out = PyLong_FromLongLong(number);
    return *out == NULL ? NULL : at + size;
}

static const uint8_t *
decode_long(decoder *self, const uint8_t *at, PyObject **out)
{
    size_t size;
    at = get_size(self, at, &size);
    if (at == NULL) return NULL;
    if (size == 0) return corrupt(self);
    *out = bw_long_from_bytes(at, size, true);
    return *out == NULL ? refused(self) : at + size;
}

static inline const uint8_t *
decode_float(decoder *self, const uint8_t *at, PyObject **out)
{
    if (left(self, at) < 8) return corrupt(self);
    uint64_t bits = bw_load64(at);
    double number;
    memcpy(&number, &bits, sizeof number);
    *out = PyFloat_FromDouble(number);
    return *out == NULL ? NULL : at + 8;
}

static inline const uint8_t *
decode_bytes(decoder *self, const uint8_t *at, PyObject **out)
{
    size_t size;
    at = get_size(self, at, &size);
    if (at == NULL) return NULL;
    *out = PyBytes_FromStringAndSize((const char *)at, (Py_ssize_t)size);
    return *out == NULL ? NULL : at + size;
}

// ---- containers

/// Before a list or tuple is made: false if so many elements can't follow, a byte or more each, with those that the
/// ones around it wait for. Else lists in lists that each claim all that is left would take memory without bounds.
static inline bool
owe(decoder *self, const uint8_t *at, size_t size)
{
    if (left(self, at) < self->owed || left(self, at) - self->owed < size) return false;
    self->owed += size;
    return true;
}

/// True if the garbage collector need not look at the value for the sake of a tuple that holds it: as it
/// finds out itself, later.
static inline bool
is_untracked(PyObject *value)
{
    if (!PyType_IS_GC(Py_TYPE(value))) return true;
    return PyTuple_CheckExact(value) && !PyObject_GC_IsTracked(value);
}

static const uint8_t *
decode_tuple(decoder *self, const uint8_t *at, size_t size, PyObject **out)
{
    if (self->depth == BW_CODEC_DEPTH || !owe(self, at, size)) return corrupt(self);
    PyObject *tuple = PyTuple_New((Py_ssize_t)size);
    if (tuple == NULL) return NULL;
    self->depth++;
    bool untracked = size > 0;
    for (size_t i = 0; i < size; i++) {
        PyObject *value;
        self->owed--;
        at = decode_value(self, at, &value);
        if (at == NULL) break;
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, value);
        untracked = untracked && is_untracked(value);
    }
    self->depth--;
    if (at == NULL) {
        Py_DECREF(tuple);
        return NULL;
    }
    if (untracked) PyObject_GC_UnTrack(tuple);
    *out = tuple;
    return at;
}

static const uint8_t *
decode_list(decoder *self, const uint8_t *at, size_t size, PyObject **out)
{
    if (!owe(self, at, size)) return corrupt(self);
    PyObject *list = PyList_New((Py_ssize_t)size);
    if (list == NULL) return NULL;
    for (size_t i = 0; i < size && at != NULL; i++) {
        PyObject *value;
        self->owed--;
        at = decode_value(self, at, &value);
        if (at != NULL) PyList_SET_ITEM(list, (Py_ssize_t)i, value);
    }
    *out = list;
    return at;
}

/// A key of a dict. Short ones come again and again: one that is still there saves making it and, as it knows its
/// hash, hashing it.
static inline const uint8_t *
decode_name(decoder *self, const uint8_t *at, PyObject **out)
{
    size_t size = at < self->end ? *at : 0;
    if (size < 2 || size > BW_SHORT_STR_MAX || size >= left(self, at))
        return decode_value(self, at, out);
    at++;
    PyObject **name = &self->names[bw_hash(at, size) % NAMES];
    if (*name != NULL && (size_t)PyUnicode_GET_LENGTH(*name) == size &&
        memcmp(PyUnicode_DATA(*name), at, size) == 0) {
        *out = Py_NewRef(*name);
        return at + size;
    }
    at = decode_ascii(self, at, size, out);
    if (at == NULL) return NULL;
    Py_XSETREF(*name, Py_NewRef(*out));
    self->has_names = true;
    return at;
}

static void
drop_names(decoder *self)
{
    if (!self->has_names) return;
    for (size_t i = 0; i < NAMES; i++) Py_CLEAR(self->names[i]);
}

static const uint8_t *
decode_dict(decoder *self, const uint8_t *at, size_t size, PyObject **out)
{
    PyObject *dict = PyDict_New();
    if (dict == NULL) return NULL;
    for (size_t i = 0; i < size && at != NULL; i++) {
        PyObject *key, *value;
        at = decode_name(self, at, &key);
        if (at == NULL) break;
        at = decode_value(self, at, &value);
        if (at != NULL) {
            if (PyDict_SetItem(dict, key, value) != 0) at = refused_member(self);
            Py_DECREF(value);
        }
        Py_DECREF(key);
    }
    *out = dict;
    return at;
}

static const uint8_t *
decode_set(decoder *self, const uint8_t *at, size_t size, PyObject *set, PyObject **out)
{
    if (set == NULL) return NULL;
    for (size_t i = 0; i < size && at != NULL; i++) {
        PyObject *member;
        at = decode_value(self, at, &member);
        if (at == NULL) break;
        if (PySet_Add(set, member) != 0) at = refused_member(self);
        Py_DECREF(member);
    }
    *out = set;
    return at;
}

/// A container whose size stands before its elements. On failure it is gone.
static const uint8_t *
decode_sized(decoder *self, const uint8_t *at, uint8_t tag, PyObject **out)
{
    size_t size;
    at = get_size(self, at, &size);
    if (at == NULL) return NULL;
    if (tag == BW_TAG_TUPLE) return decode_tuple(self, at, size, out);
    if (self->depth == BW_CODEC_DEPTH) return corrupt(self);
    *out = NULL;
    self->depth++;
    if (tag == BW_TAG_LIST) {
        at = decode_list(self, at, size, out);
    } else if (tag == BW_TAG_DICT) {
        at = decode_dict(self, at, size, out);
    } else {
        PyObject *set = tag == BW_TAG_SET ? PySet_New(NULL) : PyFrozenSet_New(NULL);
        at = decode_set(self, at, size, set, out);
    }
    self->depth--;
    if (at == NULL) Py_CLEAR(*out);
    return at;
}

// ---- what takes the standard library

static int
need_tools(decoder *self)
{
    if (self->tools != NULL) return 0;
    PyObject *tools = bw_codec_tools(self->state);
    if (tools == NULL) return -1;
    self->datetime = bw_codec_datetime(tools);
    if (self->datetime == NULL) return -1;
    self->tools = tools;
    return 0;
}

static const uint8_t *
decode_date(decoder *self, const uint8_t *at, PyObject **out)
{
    if (left(self, at) < 4) return corrupt(self);
    *out = self->datetime->Date_FromDate(bw_load16(at), at[2], at[3], self->datetime->DateType);
    return *out == NULL ? refused(self) : at + 4;
}

static const uint8_t *
decode_datetime(decoder *self, const uint8_t *at, PyObject **out)
{
    if (left(self, at) < 12 || (at[0] & ~(BW_DATETIME_FOLD | BW_DATETIME_UTC)) != 0)
        return corrupt(self);
    uint32_t microsecond = bw_load32(at + 8);
    if (microsecond >= 1000000) return corrupt(self);
    PyObject *zone = (at[0] & BW_DATETIME_UTC) != 0 ? self->datetime->TimeZone_UTC : Py_None;
    *out = self->datetime->DateTime_FromDateAndTimeAndFold(
        bw_load16(at + 1), at[3], at[4], at[5], at[6], at[7], (int)microsecond, zone,
        (at[0] & BW_DATETIME_FOLD) != 0, self->datetime->DateTimeType);
    return *out == NULL ? refused(self) : at + 12;
}

static const uint8_t *
decode_timedelta(decoder *self, const uint8_t *at, PyObject **out)
{
    if (left(self, at) < 12) return corrupt(self);
    int32_t days = (int32_t)bw_load32(at);
    uint32_t seconds = bw_load32(at + 4), microseconds = bw_load32(at + 8);
    if (seconds >= 86400 || microseconds >= 1000000) return corrupt(self);
    *out = self->datetime->Delta_FromDelta(days, (int)seconds, (int)microseconds, 0,
                                           self->datetime->DeltaType);
    return *out == NULL ? refused(self) : at + 12;
}

static const uint8_t *
decode_decimal(decoder *self, const uint8_t *at, PyObject **out)
{
    size_t size;
    at = get_size(self, at, &size);
    if (at == NULL) return NULL;
    PyObject *text;
    at = decode_ascii(self, at, size, &text);
    if (at == NULL) return NULL;
    *out = PyObject_CallOneArg(bw_codec_tool_at(self->tools, BW_TOOL_DECIMAL), text);
    Py_DECREF(text);
    return *out == NULL ? refused(self) : at;
}

static const uint8_t *
decode_uuid(decoder *self, const uint8_t *at, PyObject **out)
{
    if (left(self, at) < 16) return corrupt(self);
    PyObject *number = bw_long_from_bytes(at, 16, false);
    if (number == NULL) return NULL;
    // As copy() makes one: its constructor looks at arguments that we don't have.
    PyTypeObject *type = (PyTypeObject *)bw_codec_tool_at(self->tools, BW_TOOL_UUID);
    PyObject *value = type->tp_alloc(type, 0);
    if (value != NULL &&
        (PyObject_GenericSetAttr(value, bw_codec_tool_at(self->tools, BW_TOOL_NAME_INT), number) != 0 ||
         PyObject_GenericSetAttr(value, bw_codec_tool_at(self->tools, BW_TOOL_NAME_IS_SAFE),
                                 bw_codec_tool_at(self->tools, BW_TOOL_UUID_UNKNOWN)) != 0)) {
        Py_CLEAR(value);
    }
    Py_DECREF(number);
    *out = value;
    return value == NULL ? NULL : at + 16;
}

static const uint8_t *
decode_by_tools(decoder *self, const uint8_t *at, uint8_t tag, PyObject **out)
{
    if (need_tools(self) != 0) return NULL;
    switch (tag) {
    case BW_TAG_DATE:
        return decode_date(self, at, out);
    case BW_TAG_DATETIME:
        return decode_datetime(self, at, out);
    case BW_TAG_TIMEDELTA:
        return decode_timedelta(self, at, out);
    case BW_TAG_DECIMAL:
        return decode_decimal(self, at, out);
    default:
        return decode_uuid(self, at, out);
    }
}

// ---- what was pickled

static const uint8_t *
decode_pickled(decoder *self, const uint8_t *at, PyObject **out)
{
    // A list that nobody else had when it was checked; its elements' own code may have found it since.
    if (self->pickled == NULL) return corrupt(self);
    *out = PyList_GetItemRef(self->pickled, self->next);
    if (*out == NULL) return corrupt(self);
    self->next++;
    return at;
}

static const uint8_t *
decode_alone(decoder *self, const uint8_t *at, PyObject **out)
{
    if (at == self->end || *at >= BW_PICKLER_COUNT) return corrupt(self);
    bw_pickler pickler = (bw_pickler)*at++;
    size_t size;
    at = get_size(self, at, &size);
    if (at == NULL) return NULL;
    *out = bw_codec_loads(self->state, self->loads, pickler, at, size);
    return *out == NULL ? NULL : at + size;
}

// ---- values

/// Reads a value. Returns the place behind it, or NULL and sets nothing.
static const uint8_t *
decode_value(decoder *self, const uint8_t *at, PyObject **out)
{
    if (at == self->end) return corrupt(self);
    uint8_t tag = *at++;
    if (tag < BW_TAG_SMALL_INT) return decode_ascii(self, at, tag, out);
    if (tag < BW_TAG_NONE) {
        *out = PyLong_FromLong(tag - BW_TAG_SMALL_INT + BW_SMALL_INT_MIN);
        return *out == NULL ? NULL : at;
    }
    if (tag >= BW_TAG_SHORT_TUPLE) {
        if (tag > BW_TAG_SHORT_TUPLE + BW_SHORT_TUPLE_MAX) return corrupt(self);
        return decode_tuple(self, at, tag - BW_TAG_SHORT_TUPLE, out);
    }
    size_t size;
    switch (tag) {
    case BW_TAG_NONE:
        *out = Py_NewRef(Py_None);
        return at;
    case BW_TAG_FALSE:
        *out = Py_NewRef(Py_False);
        return at;
    case BW_TAG_TRUE:
        *out = Py_NewRef(Py_True);
        return at;
    case BW_TAG_INT8:
    case BW_TAG_INT16:
    case BW_TAG_INT32:
    case BW_TAG_INT64:
        return decode_fixed_int(self, at, tag, out);
    case BW_TAG_INT:
        return decode_long(self, at, out);
    case BW_TAG_FLOAT:
        return decode_float(self, at, out);
    case BW_TAG_ASCII:
        at = get_size(self, at, &size);
        return at == NULL ? NULL : decode_ascii(self, at, size, out);
    case BW_TAG_UTF8:
        return decode_utf8(self, at, out);
    case BW_TAG_BYTES:
        return decode_bytes(self, at, out);
    case BW_TAG_LIST:
    case BW_TAG_DICT:
    case BW_TAG_SET:
    case BW_TAG_FROZENSET:
    case BW_TAG_TUPLE:
        return decode_sized(self, at, tag, out);
    case BW_TAG_DATE:
    case BW_TAG_DATETIME:
    case BW_TAG_TIMEDELTA:
    case BW_TAG_DECIMAL:
    case BW_TAG_UUID:
        return decode_by_tools(self, at, tag, out);
    case BW_TAG_PICKLED:
        return decode_pickled(self, at, out);
    case BW_TAG_ALONE:
        return decode_alone(self, at, out);
    default:
        return corrupt(self);
    }
}

// ---- batches

static const uint8_t *
decode_key(decoder *self, const uint8_t *at, bw_shape shape, PyObject **key, uint64_t *hash)
{
    if (shape == BW_SHAPE_PART) at = get_varint(self, at, hash);
    if (at != NULL) at = decode_value(self, at, key);
    if (at == NULL) return NULL;
    bw_bytes bytes;
    if (!PyUnicode_CheckExact(*key) || bw_key_bytes(*key, &bytes) != 0) {
        Py_DECREF(*key);
        return PyErr_Occurred() ? refused(self) : corrupt(self);
    }
    if (shape == BW_SHAPE_KEYED) *hash = bw_hash(bytes.data, bytes.size);
    return at;
}

/// Fills the batch as far as it can be read. Returns the place behind the last item, or NULL.
static const uint8_t *
decode_entries(decoder *self, const uint8_t *at, uint32_t count, bw_batch *batch)
{
    PyObject *key = NULL, *item;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t hash = 0;
        if (batch->shape != BW_SHAPE_PLAIN) {
            at = decode_key(self, at, batch->shape, &key, &hash);
            if (at == NULL) return NULL;
        }
        at = decode_value(self, at, &item);
        if (at == NULL) {
            if (batch->shape != BW_SHAPE_PLAIN) Py_DECREF(key);
            return NULL;
        }
        if (batch->shape == BW_SHAPE_PLAIN) {
            bw_batch_push(batch, item);
        } else {
            bw_batch_push_keyed(batch, key, hash, item);
        }
    }
    return at;
}

/// Takes the trailer off the end, and loads what was pickled. 0 or -1.
static int
decode_trailer(decoder *self, const uint8_t *at)
{
    if (at == self->end || self->end[-1] > 1) goto corrupt;
    bool has_pickle = self->end[-1] == 1;
    self->end--;
    if (!has_pickle) return 0;
    if (left(self, at) < 8) goto corrupt;
    self->end -= 8;
    uint64_t size = bw_load64(self->end);
    if (size > left(self, at)) goto corrupt;
    self->end -= size;
    self->pickled = bw_codec_loads(self->state, self->loads, BW_PICKLER_PICKLE, self->end, (size_t)size);
    if (self->pickled == NULL) return -1;
    if (PyList_CheckExact(self->pickled)) return 0;

corrupt:
    corrupt(self);
    return -1;
}

/// True if all that was pickled was referred to.
static bool
is_used_up(const decoder *self)
{
    return self->pickled == NULL || self->next == PyList_GET_SIZE(self->pickled);
}

static void
clear(bw_batch *batch)
{
    uint32_t count = batch->count;
    batch->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (batch->shape != BW_SHAPE_PLAIN) Py_DECREF((PyObject *)batch->keys[i]);
        Py_DECREF((PyObject *)batch->items[i]);
    }
}

bw_status
bw_codec_decode(bw_engine_state *state, PyObject *loads, const uint8_t *bytes, size_t size,
                uint32_t count, bw_batch *batch)
{
    BW_ASSERT(batch->count == 0 && count <= batch->capacity);
    decoder self = {.state = state, .loads = loads, .end = bytes + size};
    const uint8_t *at = decode_trailer(&self, bytes) == 0 ? bytes : NULL;
    if (at != NULL) at = decode_entries(&self, at, count, batch);
    if (at != NULL && (at != self.end || !is_used_up(&self))) at = corrupt(&self);
    Py_XDECREF(self.pickled);
    drop_names(&self);
    if (at != NULL) return BW_OK;
    PyObject *failure = PyErr_GetRaisedException();
    clear(batch);
    if (failure != NULL) PyErr_SetRaisedException(failure);
    return self.is_corrupt ? BW_ECORRUPT : BW_EHOST;
}
