// codec_format.h - how a batch is written for another process, and what both halves of the codec know.
//
//   batch   := entry... trailer
//   entry   := value                        of a plain batch
//            | key value                    of a keyed one; the key is a str
//            | varint key value             of one for partitions: the index of the partition
//   trailer := 0                            nothing was pickled
//            | pickle size 1                one list of `size` (8 bytes) bytes; the values refer to its elements in turn
//   value   := tag and what follows it, see bw_codec_tag
//
// Numbers are little-endian, a varint has 7 bits in a byte, the lowest first. A batch is of one version of the
// program on both sides: the handshake sees to it.
#ifndef BW_BINDING_CODEC_FORMAT_H
#define BW_BINDING_CODEC_FORMAT_H

#include "compat.h"

#include <datetime.h>
#include <stdbool.h>

#include "base/hash.h"
#include "state.h"

// Deeper values are pickled, and refused when they come in.
#define BW_CODEC_DEPTH 200

enum bw_codec_tag {
    BW_TAG_SHORT_STR = 0x00,  // 0x00 to 0x3f: that many ASCII characters
    BW_TAG_SMALL_INT = 0x40,  // 0x40 to 0x7f: an int from BW_SMALL_INT_MIN on
    BW_TAG_NONE = 0x80,
    BW_TAG_FALSE = 0x81,
    BW_TAG_TRUE = 0x82,
    BW_TAG_INT8 = 0x83,
    BW_TAG_INT16 = 0x84,
    BW_TAG_INT32 = 0x85,
    BW_TAG_INT64 = 0x86,
    BW_TAG_INT = 0x87,        // varint, that many bytes in two's complement
    BW_TAG_FLOAT = 0x88,      // 8 bytes
    BW_TAG_ASCII = 0x89,      // varint, that many characters
    BW_TAG_UTF8 = 0x8a,       // varint, that many bytes, in which surrogates may stand alone
    BW_TAG_BYTES = 0x8b,      // varint, that many bytes
    BW_TAG_LIST = 0x8c,       // varint, that many values
    BW_TAG_DICT = 0x8d,       // varint, that many pairs of values
    BW_TAG_SET = 0x8e,        // varint, that many values
    BW_TAG_FROZENSET = 0x8f,  // likewise
    BW_TAG_TUPLE = 0x90,      // likewise
    BW_TAG_DATE = 0x91,       // year in 2 bytes, month, day
    BW_TAG_DATETIME = 0x92,  // 1: fold, 2: timezone.utc; year as above to second, microsecond in 4 bytes
    BW_TAG_TIMEDELTA = 0x93,    // days, seconds, microseconds in 4 bytes each
    BW_TAG_DECIMAL = 0x94,      // varint, that many characters of its str()
    BW_TAG_UUID = 0x95,         // 16 bytes
    BW_TAG_PICKLED = 0x96,      // the next element of the pickled list
    BW_TAG_ALONE = 0x97,        // which bw_pickler, varint, that many bytes: pickled by itself
    BW_TAG_SHORT_TUPLE = 0xa0,  // 0xa0 to 0xa7: a tuple of that many
};

#define BW_SHORT_STR_MAX 0x3f
#define BW_SHORT_TUPLE_MAX 7
#define BW_SMALL_INT_MIN (-8)
#define BW_SMALL_INT_MAX (BW_SMALL_INT_MIN + 0x3f)

#define BW_DATETIME_FOLD 1u
#define BW_DATETIME_UTC 2u

typedef enum bw_pickler {
    BW_PICKLER_PICKLE,
    BW_PICKLER_CLOUDPICKLE,
    BW_PICKLER_DILL,
    BW_PICKLER_COUNT,
} bw_pickler;

/// What the codec uses of the standard library, imported at the first need: the elements of state->codec.
typedef enum bw_codec_tool {
    BW_TOOL_DUMPS,
    BW_TOOL_LOADS,
    BW_TOOL_PROTOCOL,      // 5
    BW_TOOL_DATETIME,      // the capsule of its C API
    BW_TOOL_DECIMAL,       // the class
    BW_TOOL_UUID,          // the class
    BW_TOOL_UUID_UNKNOWN,  // SafeUUID.unknown
    BW_TOOL_NAME_INT,      // "int"
    BW_TOOL_NAME_IS_SAFE,  // "is_safe"
    BW_TOOL_COUNT,
} bw_codec_tool;

/// The tools: a tuple that the state owns, borrowed from it. NULL with an exception.
PyObject *bw_codec_tools(bw_engine_state *state);

static inline PyObject *
bw_codec_tool_at(PyObject *tools, bw_codec_tool tool)
{
    return PyTuple_GET_ITEM(tools, tool);
}

static inline PyDateTime_CAPI *
bw_codec_datetime(PyObject *tools)
{
    return PyCapsule_GetPointer(bw_codec_tool_at(tools, BW_TOOL_DATETIME), PyDateTime_CAPSULE_NAME);
}

/// New bytes, the pickle of `value` by pickle itself. NULL with its exception.
PyObject *bw_codec_dumps(PyObject *tools, PyObject *value);

/// New bytes, the pickle of one item by the first that can, and which it was. NULL with an exception that
/// names the item.
PyObject *
bw_codec_dumps_item(bw_engine_state *state, PyObject *tools, PyObject *item, bw_pickler *pickler);

/// What was pickled: new reference. NULL with an exception that says that it can't be had here.
PyObject *bw_codec_loads(bw_engine_state *state, PyObject *loads, bw_pickler pickler,
                         const uint8_t *bytes, size_t size);

/// True if the pending exception is a failure, not an interrupt that must pass.
static inline bool
bw_codec_is_failure(void)
{
    return PyErr_ExceptionMatches(PyExc_Exception);
}

static inline uint8_t *
bw_put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    return at + 2;
}

static inline uint8_t *
bw_put32(uint8_t *at, uint32_t value)
{
    value = BW_LITTLE32(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static inline uint8_t *
bw_put64(uint8_t *at, uint64_t value)
{
    value = BW_LITTLE64(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static inline uint16_t
bw_load16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t
bw_load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return BW_LITTLE32(value);
}

static inline uint64_t
bw_load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return BW_LITTLE64(value);
}

#endif
