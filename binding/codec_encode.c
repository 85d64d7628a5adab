// Encoding. Values that the codec knows are written straight into the block. All others of a batch are
// collected and pickled in one call at its end, so that what pickle costs per call is paid once.
//
// Sharing: a container that only its holder refers to can't be met twice. Others are noted; an item in which
// one is met again is taken back and pickled as a whole. So is one that has both a container which others
// refer to and a value that is pickled, as that may refer to the container.
//
// Whatever is not a plain leaf may run the program's code (an import, the garbage collector, str() of a
// Decimal), which may change every list, dict and set there is. So each container is held while it is
// written, nothing read from one is used after such a call, and one that changed is left to pickle.
#include "codec.h"

#include <stdlib.h>

#include "codec_format.h"
#include "key.h"

// Room that encode_value() has at `at`: what the longest value without a part of variable size takes, a short
// str, and what stands before that in an entry.
#define RESERVE 96
#define FEW_SEEN 8
#define LARGE 1024

typedef enum why {
    WHY_HOST,    // an exception is pending
    WHY_MEMORY,  // of the blocks
    WHY_WHOLE,   // the item must be pickled as a whole
} why;

typedef struct encoder {
    bw_engine_state *state;
    bw_writer *writer;
    const uint8_t *end;  // of the present block
    PyObject *tools;     // borrowed from the state; NULL until they are needed
    PyDateTime_CAPI *datetime;
    PyObject *collected;  // owned list of what is pickled at the end; NULL without
    bool alone;           // each item is pickled by itself
    why why;              // the last one ended that did
    // Of the present item:
    bool is_shared;  // it has containers that others refer to
    uint32_t depth;
    size_t seen_count;
    PyObject *seen[FEW_SEEN];  // borrowed, and never looked into
    PyObject **table;          // of those for which seen[] has no room: open addressing
    size_t table_size;         // a power of two, or 0
} encoder;

static uint8_t *encode_value(encoder *self, uint8_t *at, PyObject *value);

static uint8_t *
fail(encoder *self, why why)
{
    self->why = why;
    return NULL;
}

// ---- bytes

static uint8_t *
grow(encoder *self, uint8_t *at)
{
    self->writer->at = at;
    if (bw_writer_grow(self->writer) != BW_OK) return fail(self, WHY_MEMORY);
    self->end = self->writer->end;
    return self->writer->at;
}

static inline uint8_t *
reserve(encoder *self, uint8_t *at)
{
    return self->end - at >= RESERVE ? at : grow(self, at);
}

static inline uint8_t *
put(encoder *self, uint8_t *at, const void *data, size_t size)
{
    if ((size_t)(self->end - at) >= size) {
        memcpy(at, data, size);
        return at + size;
    }
    self->writer->at = at;
    bw_status status = bw_writer_put_across(self->writer, data, size);
    self->end = self->writer->end;
    return status == BW_OK ? self->writer->at : fail(self, WHY_MEMORY);
}

static inline uint8_t *
put_varint(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *
put_sized(encoder *self, uint8_t *at, uint8_t tag, const void *data, size_t size)
{
    *at++ = tag;
    at = put_varint(at, size);
    return put(self, at, data, size);
}

// ---- what was met before

/// Where `value` is in the table, or the empty cell where it belongs.
static PyObject **
table_cell(const encoder *self, PyObject *value)
{
    uint64_t hash = bw_hash_mix((uintptr_t)value, 0x9e3779b97f4a7c15);
    for (size_t i = (size_t)hash;; i++) {
        PyObject **cell = &self->table[i & (self->table_size - 1)];
        if (*cell == NULL || *cell == value) return cell;
    }
}

static bool
table_grow(encoder *self)
{
    PyObject **old = self->table;
    size_t old_size = self->table_size, size = old_size == 0 ? 64 : 2 * old_size;
    PyObject **table = calloc(size, sizeof(PyObject *));
    if (table == NULL) return false;
    self->table = table;
    self->table_size = size;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i] != NULL) *table_cell(self, old[i]) = old[i];
    }
    free(old);
    return true;
}

static void
table_free(encoder *self)
{
    free(self->table);
    self->table = NULL;
    self->table_size = 0;
}

/// Notes a container or a large value that others refer to. False: it was met before, or there is no memory
/// to tell.
static bool
note(encoder *self, PyObject *value)
{
    size_t few = self->seen_count < FEW_SEEN ? self->seen_count : FEW_SEEN;
    for (size_t i = 0; i < few; i++) {
        if (self->seen[i] == value) return false;
    }
    if (self->seen_count < FEW_SEEN) {
        self->seen[self->seen_count++] = value;
        return true;
    }
    if (2 * (self->seen_count - FEW_SEEN) >= self->table_size && !table_grow(self)) return false;
    PyObject **cell = table_cell(self, value);
    if (*cell == value) return false;
    *cell = value;
    self->seen_count++;
    return true;
}

static inline void
forget_seen(encoder *self)
{
    if (self->table != NULL) table_free(self);
    self->seen_count = 0;
}

/// True of a str or bytes that must be noted: written each time it is met, an item of a few of them could
/// become larger than memory.
static inline bool
is_large(PyObject *value, Py_ssize_t size)
{
    return size >= LARGE && !bw_is_unique(value);
}

// ---- leaves

static uint8_t *
encode_utf8(encoder *self, uint8_t *at, PyObject *value)
{
    // A new object, not what PyUnicode_AsUTF8() would leave in the str for as long as that lives.
    PyObject *bytes = PyUnicode_AsUTF8String(value);
    if (bytes == NULL && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        PyErr_Clear();
        bytes = PyUnicode_AsEncodedString(value, "utf-8", "surrogatepass");
    }
    if (bytes == NULL) return fail(self, WHY_HOST);
    at = put_sized(self, at, BW_TAG_UTF8, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return at;
}

/// Copies a few bytes without a call.
static inline uint8_t *
put_short(uint8_t *at, const uint8_t *data, size_t size)
{
    if (size >= 8) {
        size_t i = 0;
        for (; i + 8 < size; i += 8) memcpy(at + i, data + i, 8);
        memcpy(at + size - 8, data + size - 8, 8);
    } else if (size >= 4) {
        memcpy(at, data, 4);
        memcpy(at + size - 4, data + size - 4, 4);
    } else {
        for (size_t i = 0; i < size; i++) at[i] = data[i];
    }
    return at + size;
}

static inline uint8_t *
encode_str(encoder *self, uint8_t *at, PyObject *value)
{
    if (!PyUnicode_IS_COMPACT_ASCII(value)) return encode_utf8(self, at, value);
    size_t size = (size_t)PyUnicode_GET_LENGTH(value);
    const uint8_t *data = PyUnicode_DATA(value);
    if (size > BW_SHORT_STR_MAX) return put_sized(self, at, BW_TAG_ASCII, data, size);
    *at++ = (uint8_t)(BW_TAG_SHORT_STR + size);
    return put_short(at, data, size);
}

static uint8_t *
encode_long(encoder *self, uint8_t *at, PyObject *value)
{
    size_t size = bw_long_size(value);
    if (size == (size_t)-1) return fail(self, WHY_HOST);
    uint8_t few[64];
    uint8_t *bytes = size <= sizeof few ? few : malloc(size);
    if (bytes == NULL) return fail(self, WHY_MEMORY);
    if (bw_long_to_bytes(value, bytes, size, true) != 0) {
        at = fail(self, WHY_HOST);
    } else {
        at = put_sized(self, at, BW_TAG_INT, bytes, size);
    }
    if (bytes != few) free(bytes);
    return at;
}

static inline uint8_t *
encode_int(encoder *self, uint8_t *at, PyObject *value)
{
    int overflow;
    long long number = bw_long_as_longlong(value, &overflow);
    if (overflow != 0) return encode_long(self, at, value);
    if (number >= BW_SMALL_INT_MIN && number <= BW_SMALL_INT_MAX) {
        *at++ = (uint8_t)(BW_TAG_SMALL_INT + number - BW_SMALL_INT_MIN);
    } else if (number == (int8_t)number) {
        *at++ = BW_TAG_INT8;
        *at++ = (uint8_t)number;
    } else if (number == (int16_t)number) {
        *at++ = BW_TAG_INT16;
        at = bw_put16(at, (uint16_t)number);
    } else if (number == (int32_t)number) {
        *at++ = BW_TAG_INT32;
        at = bw_put32(at, (uint32_t)number);
    } else {
        *at++ = BW_TAG_INT64;
        at = bw_put64(at, (uint64_t)number);
    }
    return at;
}

static inline uint8_t *
encode_float(uint8_t *at, PyObject *value)
{
    double number = PyFloat_AS_DOUBLE(value);
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    *at++ = BW_TAG_FLOAT;
    return bw_put64(at, bits);
}

// ---- containers

/// Before a container's elements. False: the item must be pickled as a whole.
static inline bool
enter(encoder *self, PyObject *container)
{
    if (!bw_is_unique(container)) {
        self->is_shared = true;
        if (!note(self, container)) return false;
    }
    if (self->depth == BW_CODEC_DEPTH) return false;
    self->depth++;
    Py_INCREF(container);
    return true;
}

static inline void
leave(encoder *self, PyObject *container)
{
    self->depth--;
    Py_DECREF(container);
}

static uint8_t *
encode_tuple(encoder *self, uint8_t *at, PyObject *tuple)
{
    Py_ssize_t size = PyTuple_GET_SIZE(tuple);
    if (size == 0) {
        *at++ = BW_TAG_SHORT_TUPLE;
        return at;
    }
    if (!enter(self, tuple)) return fail(self, WHY_WHOLE);
    if (size <= BW_SHORT_TUPLE_MAX) {
        *at++ = (uint8_t)(BW_TAG_SHORT_TUPLE + size);
    } else {
        *at++ = BW_TAG_TUPLE;
        at = put_varint(at, (uint64_t)size);
    }
    for (Py_ssize_t i = 0; i < size && at != NULL; i++) {
        at = encode_value(self, at, PyTuple_GET_ITEM(tuple, i));
    }
    leave(self, tuple);
    return at;
}

/// The elements of a list that is locked.
static uint8_t *
encode_elements(encoder *self, uint8_t *at, PyObject *list)
{
    Py_ssize_t size = PyList_GET_SIZE(list), i = 0;
    *at++ = BW_TAG_LIST;
    at = put_varint(at, (uint64_t)size);
    for (; i < size && i < PyList_GET_SIZE(list) && at != NULL; i++) {
        at = encode_value(self, at, PyList_GET_ITEM(list, i));
    }
    if (at != NULL && (i < size || PyList_GET_SIZE(list) != size)) return fail(self, WHY_WHOLE);
    return at;
}

static uint8_t *
encode_list(encoder *self, uint8_t *at, PyObject *list)
{
    if (!enter(self, list)) return fail(self, WHY_WHOLE);
    Py_BEGIN_CRITICAL_SECTION(list);
    at = encode_elements(self, at, list);
    Py_END_CRITICAL_SECTION();
    leave(self, list);
    return at;
}

/// The pairs of a dict that is locked.
static uint8_t *
encode_pairs(encoder *self, uint8_t *at, PyObject *dict)
{
    Py_ssize_t size = PyDict_GET_SIZE(dict), count = 0, position = 0;
    *at++ = BW_TAG_DICT;
    at = put_varint(at, (uint64_t)size);
    PyObject *key, *value;
    while (at != NULL && PyDict_Next(dict, &position, &key, &value)) {
        if (count++ == size) break;
        if (PyUnicode_CheckExact(key) || PyLong_CheckExact(key)) {
            at = encode_value(self, at, key);
            if (at != NULL) at = encode_value(self, at, value);
        } else {  // encoding the key may take the value away
            Py_INCREF(value);
            at = encode_value(self, at, key);
            if (at != NULL) at = encode_value(self, at, value);
            Py_DECREF(value);
        }
    }
    if (at != NULL && (count != size || PyDict_GET_SIZE(dict) != size)) return fail(self, WHY_WHOLE);
    return at;
}

static uint8_t *
encode_dict(encoder *self, uint8_t *at, PyObject *dict)
{
    if (!enter(self, dict)) return fail(self, WHY_WHOLE);
    Py_BEGIN_CRITICAL_SECTION(dict);
    at = encode_pairs(self, at, dict);
    Py_END_CRITICAL_SECTION();
    leave(self, dict);
    return at;
}

/// The elements of a set in any order, by an iterator: it sees to changes itself.
static uint8_t *
encode_members(encoder *self, uint8_t *at, PyObject *set, uint8_t tag)
{
    Py_ssize_t size = PySet_GET_SIZE(set), count = 0;
    PyObject *iterator = PyObject_GetIter(set);
    if (iterator == NULL) return fail(self, WHY_HOST);
    *at++ = tag;
    at = put_varint(at, (uint64_t)size);
    PyObject *member;
    while (at != NULL && (member = PyIter_Next(iterator)) != NULL) {
        count++;
        at = encode_value(self, at, member);
        Py_DECREF(member);
    }
    Py_DECREF(iterator);
    if (at == NULL) return NULL;
    if (PyErr_Occurred()) {  // it changed meanwhile
        if (!bw_codec_is_failure()) return fail(self, WHY_HOST);
        PyErr_Clear();
        return fail(self, WHY_WHOLE);
    }
    return count == size ? at : fail(self, WHY_WHOLE);
}

static uint8_t *
encode_set(encoder *self, uint8_t *at, PyObject *set, uint8_t tag)
{
    if (!enter(self, set)) return fail(self, WHY_WHOLE);
    at = encode_members(self, at, set, tag);
    leave(self, set);
    return at;
}

// ---- what takes a closer look

/// Leaves a value (borrowed) to pickle.
static uint8_t *
collect(encoder *self, uint8_t *at, PyObject *value)
{
    if (self->alone) return fail(self, WHY_WHOLE);
    if (self->collected == NULL) {
        self->collected = PyList_New(0);
        if (self->collected == NULL) return fail(self, WHY_HOST);
    }
    if (PyList_Append(self->collected, value) != 0) return fail(self, WHY_HOST);
    *at++ = BW_TAG_PICKLED;
    return at;
}

static uint8_t *
encode_datetime(encoder *self, uint8_t *at, PyObject *value)
{
    const PyDateTime_DateTime *time = (const PyDateTime_DateTime *)value;
    uint8_t flags = time->fold != 0 ? BW_DATETIME_FOLD : 0;
    if (time->hastzinfo) {
        if (time->tzinfo != self->datetime->TimeZone_UTC) return collect(self, at, value);
        flags |= BW_DATETIME_UTC;
    }
    *at++ = BW_TAG_DATETIME;
    *at++ = flags;
    at = bw_put16(at, (uint16_t)PyDateTime_GET_YEAR(value));
    *at++ = (uint8_t)PyDateTime_GET_MONTH(value);
    *at++ = (uint8_t)PyDateTime_GET_DAY(value);
    *at++ = (uint8_t)PyDateTime_DATE_GET_HOUR(value);
    *at++ = (uint8_t)PyDateTime_DATE_GET_MINUTE(value);
    *at++ = (uint8_t)PyDateTime_DATE_GET_SECOND(value);
    return bw_put32(at, (uint32_t)PyDateTime_DATE_GET_MICROSECOND(value));
}

static uint8_t *
encode_date(uint8_t *at, PyObject *value)
{
    *at++ = BW_TAG_DATE;
    at = bw_put16(at, (uint16_t)PyDateTime_GET_YEAR(value));
    *at++ = (uint8_t)PyDateTime_GET_MONTH(value);
    *at++ = (uint8_t)PyDateTime_GET_DAY(value);
    return at;
}

static uint8_t *
encode_timedelta(uint8_t *at, PyObject *value)
{
    *at++ = BW_TAG_TIMEDELTA;
    at = bw_put32(at, (uint32_t)PyDateTime_DELTA_GET_DAYS(value));
    at = bw_put32(at, (uint32_t)PyDateTime_DELTA_GET_SECONDS(value));
    return bw_put32(at, (uint32_t)PyDateTime_DELTA_GET_MICROSECONDS(value));
}

static uint8_t *
encode_decimal(encoder *self, uint8_t *at, PyObject *value)
{
    PyObject *text = PyObject_Str(value);
    if (text == NULL) return fail(self, WHY_HOST);
    if (PyUnicode_CheckExact(text) && PyUnicode_IS_COMPACT_ASCII(text)) {
        at = put_sized(self, at, BW_TAG_DECIMAL, PyUnicode_DATA(text),
                       (size_t)PyUnicode_GET_LENGTH(text));
    } else {
        at = collect(self, at, value);
    }
    Py_DECREF(text);
    return at;
}

static uint8_t *
encode_uuid(encoder *self, uint8_t *at, PyObject *value)
{
    PyObject *number = PyObject_GenericGetAttr(value, bw_codec_tool_at(self->tools, BW_TOOL_NAME_INT));
    PyObject *is_safe =
        PyObject_GenericGetAttr(value, bw_codec_tool_at(self->tools, BW_TOOL_NAME_IS_SAFE));
    if (number != NULL && PyLong_CheckExact(number) &&
        is_safe == bw_codec_tool_at(self->tools, BW_TOOL_UUID_UNKNOWN) &&
        bw_long_to_bytes(number, at + 1, 16, false) == 0) {
        *at = BW_TAG_UUID;
        at += 17;
    } else {  // as nobody makes them but by hand
        PyErr_Clear();
        at = collect(self, at, value);
    }
    Py_XDECREF(number);
    Py_XDECREF(is_safe);
    return at;
}

static uint8_t *
encode_held(encoder *self, uint8_t *at, PyObject *value)
{
    if (self->tools == NULL) {
        PyObject *tools = bw_codec_tools(self->state);
        if (tools == NULL) return fail(self, WHY_HOST);
        self->datetime = bw_codec_datetime(tools);
        if (self->datetime == NULL) return fail(self, WHY_HOST);
        self->tools = tools;
    }
    const PyObject *type = (PyObject *)Py_TYPE(value);
    const PyDateTime_CAPI *datetime = self->datetime;
    if (type == (PyObject *)datetime->DateTimeType) return encode_datetime(self, at, value);
    if (type == (PyObject *)datetime->DateType) return encode_date(at, value);
    if (type == (PyObject *)datetime->DeltaType) return encode_timedelta(at, value);
    if (type == bw_codec_tool_at(self->tools, BW_TOOL_DECIMAL)) return encode_decimal(self, at, value);
    if (type == bw_codec_tool_at(self->tools, BW_TOOL_UUID)) return encode_uuid(self, at, value);
    return collect(self, at, value);
}

static uint8_t *
encode_other(encoder *self, uint8_t *at, PyObject *value)
{
    Py_INCREF(value);
    at = encode_held(self, at, value);
    Py_DECREF(value);
    return at;
}

/// Writes a borrowed value at `at`. Returns the place behind it, or NULL and why.
static uint8_t *
encode_value(encoder *self, uint8_t *at, PyObject *value)
{
    at = reserve(self, at);
    if (at == NULL) return NULL;
    const PyTypeObject *type = Py_TYPE(value);
    if (type == &PyUnicode_Type) {
        if (is_large(value, PyUnicode_GET_LENGTH(value)) && !note(self, value))
            return fail(self, WHY_WHOLE);
        return encode_str(self, at, value);
    }
    if (type == &PyLong_Type) return encode_int(self, at, value);
    if (type == &PyTuple_Type) return encode_tuple(self, at, value);
    if (type == &PyFloat_Type) return encode_float(at, value);
    if (type == &PyBytes_Type) {
        if (is_large(value, PyBytes_GET_SIZE(value)) && !note(self, value)) return fail(self, WHY_WHOLE);
        return put_sized(self, at, BW_TAG_BYTES, PyBytes_AS_STRING(value),
                         (size_t)PyBytes_GET_SIZE(value));
    }
    if (value == Py_None || type == &PyBool_Type) {
        *at++ = value == Py_None ? BW_TAG_NONE : value == Py_True ? BW_TAG_TRUE : BW_TAG_FALSE;
        return at;
    }
    if (type == &PyDict_Type) return encode_dict(self, at, value);
    if (type == &PyList_Type) return encode_list(self, at, value);
    if (type == &PySet_Type) return encode_set(self, at, value, BW_TAG_SET);
    if (type == &PyFrozenSet_Type) return encode_set(self, at, value, BW_TAG_FROZENSET);
    return encode_other(self, at, value);
}

// ---- items and batches

/// An item that is pickled as a whole.
static uint8_t *
encode_whole(encoder *self, uint8_t *at, PyObject *item)
{
    at = reserve(self, at);
    if (at == NULL || !self->alone) return at == NULL ? NULL : collect(self, at, item);
    PyObject *tools = bw_codec_tools(self->state);
    if (tools == NULL) return fail(self, WHY_HOST);
    bw_pickler pickler;
    PyObject *pickled = bw_codec_dumps_item(self->state, tools, item, &pickler);
    if (pickled == NULL) return fail(self, WHY_HOST);
    *at++ = BW_TAG_ALONE;
    at = put_sized(self, at, (uint8_t)pickler, PyBytes_AS_STRING(pickled),
                   (size_t)PyBytes_GET_SIZE(pickled));
    Py_DECREF(pickled);
    return at;
}

static inline Py_ssize_t
collected_count(const encoder *self)
{
    return self->collected == NULL ? 0 : PyList_GET_SIZE(self->collected);
}

static inline uint8_t *
encode_item(encoder *self, uint8_t *at, PyObject *item)
{
    self->writer->at = at;
    bw_writer_mark mark = bw_writer_tell(self->writer);
    Py_ssize_t before = collected_count(self);
    self->is_shared = false;
    uint8_t *behind = encode_value(self, at, item);
    if (self->seen_count > 0) forget_seen(self);
    if (behind != NULL && !(self->is_shared && collected_count(self) > before)) return behind;
    if (behind == NULL && self->why != WHY_WHOLE) return NULL;
    bw_writer_rewind(self->writer, mark);
    self->end = self->writer->end;
    if (collected_count(self) > before &&
        PyList_SetSlice(self->collected, before, PY_SSIZE_T_MAX, NULL) != 0) {
        return fail(self, WHY_HOST);
    }
    return encode_whole(self, self->writer->at, item);
}

static uint8_t *
encode_key(encoder *self, uint8_t *at, PyObject *key)
{
    BW_ASSERT(PyUnicode_CheckExact(key));  // whoever splits pairs sees to it
    at = reserve(self, at);
    return at == NULL ? NULL : encode_str(self, at, key);
}

static uint8_t *
encode_entries(encoder *self, uint8_t *at, const bw_batch *batch)
{
    for (uint32_t i = 0; i < batch->count && at != NULL; i++) {
        if (batch->shape != BW_SHAPE_PLAIN) {
            if (batch->shape == BW_SHAPE_PART) {
                at = reserve(self, at);
                if (at == NULL) return NULL;
                at = put_varint(at, batch->hashes[i]);
            }
            at = encode_key(self, at, batch->keys[i]);
            if (at == NULL) return NULL;
        }
        at = encode_item(self, at, batch->items[i]);
    }
    return at;
}

static uint8_t *
encode_trailer(encoder *self, uint8_t *at)
{
    if (collected_count(self) == 0) {
        at = reserve(self, at);
        if (at != NULL) *at++ = 0;
        return at;
    }
    PyObject *tools = bw_codec_tools(self->state);
    if (tools == NULL) return fail(self, WHY_HOST);
    PyObject *pickled = bw_codec_dumps(tools, self->collected);
    if (pickled == NULL) return fail(self, bw_codec_is_failure() ? WHY_WHOLE : WHY_HOST);
    at = put(self, at, PyBytes_AS_STRING(pickled), (size_t)PyBytes_GET_SIZE(pickled));
    if (at != NULL) at = reserve(self, at);
    if (at != NULL) {
        at = bw_put64(at, (uint64_t)PyBytes_GET_SIZE(pickled));
        *at++ = 1;
    }
    Py_DECREF(pickled);
    return at;
}

/// The batch from the writer's place on. Returns where it ends.
static uint8_t *
encode_batch(encoder *self, const bw_batch *batch)
{
    uint8_t *at = reserve(self, self->writer->at);
    if (at != NULL) at = encode_entries(self, at, batch);
    if (at != NULL) at = encode_trailer(self, at);
    Py_CLEAR(self->collected);
    return at;
}

bw_status
bw_codec_encode(bw_engine_state *state, const bw_batch *batch, bw_writer *writer)
{
    encoder self = {.state = state, .writer = writer, .end = writer->end};
    bw_writer_mark mark = bw_writer_tell(writer);
    uint8_t *at = encode_batch(&self, batch);
    if (at == NULL && self.why == WHY_WHOLE) {
        // Something can't be pickled by pickle: find out what, and whether another can.
        PyErr_Clear();
        bw_writer_rewind(writer, mark);
        self.end = writer->end;
        self.alone = true;
        at = encode_batch(&self, batch);
    }
    table_free(&self);
    if (at != NULL) {
        writer->at = at;
        return BW_OK;
    }
    return self.why == WHY_MEMORY ? BW_ENOMEM : BW_EHOST;
}
