// What tests call: the codec on lists of items.
#include "codec.h"

#include <stdlib.h>

#include "codec_format.h"
#include "raise.h"

// What _engine._encode() returns begins with the number of items.
#define COUNT_BYTES 4

/// "plain", "keyed" or "part". -1 with an exception.
static int
parse_shape(PyObject *name)
{
    static const char *const names[] = {
        [BW_SHAPE_PLAIN] = "plain",
        [BW_SHAPE_KEYED] = "keyed",
        [BW_SHAPE_PART] = "part",
    };
    for (int shape = 0; shape < (int)Py_ARRAY_LENGTH(names); shape++) {
        if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, names[shape]) == 0)
            return shape;
    }
    PyErr_Format(PyExc_ValueError, "shape must be 'plain', 'keyed' or 'part', not %R", name);
    return -1;
}

/// An empty batch in one block. NULL with an exception.
static bw_batch *
new_batch(bw_shape shape, size_t count)
{
    if (count > UINT32_MAX / 32) {
        PyErr_SetString(PyExc_ValueError, "too many items");
        return NULL;
    }
    bw_batch *batch = calloc(1, sizeof *batch + 3 * count * sizeof(uint64_t));
    if (batch == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    batch->shape = shape;
    batch->capacity = (uint32_t)count;
    batch->hashes = (uint64_t *)(void *)(batch + 1);
    batch->items = (void **)(void *)(batch->hashes + count);
    batch->keys = batch->items + count;
    return batch;
}

/// Releases what a batch holds, and the batch. An exception that is pending stays.
static void
drop_batch(bw_batch *batch)
{
    PyObject *failure = PyErr_GetRaisedException();
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->shape != BW_SHAPE_PLAIN) Py_DECREF((PyObject *)batch->keys[i]);
        Py_DECREF((PyObject *)batch->items[i]);
    }
    free(batch);
    if (failure != NULL) PyErr_SetRaisedException(failure);
}

/// Adds an item as the tests write it: a value, (key, value) or (index, key, value). 0 or -1.
static int
push(bw_batch *batch, PyObject *item)
{
    if (batch->shape == BW_SHAPE_PLAIN) {
        bw_batch_push(batch, Py_NewRef(item));
        return 0;
    }
    unsigned long long index = 0;
    PyObject *key, *value;
    int parsed = batch->shape == BW_SHAPE_PART ? PyArg_ParseTuple(item, "KUO", &index, &key, &value)
                                               : PyArg_ParseTuple(item, "UO", &key, &value);
    if (!parsed) return -1;
    bw_batch_push_keyed(batch, Py_NewRef(key), index, Py_NewRef(value));
    return 0;
}

/// Takes the items out of an iterable, so that those which nobody else holds are the batch's alone.
static bw_batch *
batch_of_items(bw_shape shape, PyObject *items)
{
    PyObject *list = PySequence_List(items);
    bw_batch *batch = list == NULL ? NULL : new_batch(shape, (size_t)PyList_GET_SIZE(list));
    for (uint32_t i = 0; batch != NULL && i < batch->capacity; i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        PyList_SET_ITEM(list, i, Py_NewRef(Py_None));
        int error = push(batch, item);
        Py_DECREF(item);
        if (error == 0) continue;
        drop_batch(batch);
        batch = NULL;
    }
    Py_XDECREF(list);
    return batch;
}

/// The items as the tests read them; of a keyed batch (key, hash, value).
static PyObject *
list_of_batch(const bw_batch *batch)
{
    PyObject *list = PyList_New(batch->count);
    for (uint32_t i = 0; list != NULL && i < batch->count; i++) {
        PyObject *item = batch->items[i];
        if (batch->shape == BW_SHAPE_PLAIN) {
            Py_INCREF(item);
        } else if (batch->shape == BW_SHAPE_KEYED) {
            item = Py_BuildValue("OKO", batch->keys[i], (unsigned long long)batch->hashes[i], item);
        } else {
            item = Py_BuildValue("KOO", (unsigned long long)batch->hashes[i], batch->keys[i], item);
        }
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, i, item);
        }
    }
    return list;
}

static PyObject *
join(const bw_block *first, uint32_t count)
{
    size_t size = COUNT_BYTES;
    for (const bw_block *block = first; block != NULL; block = block->next) size += block->size;
    PyObject *joined = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (joined == NULL) return NULL;
    uint8_t *at = (uint8_t *)PyBytes_AS_STRING(joined);
    at = bw_put32(at, count);
    for (const bw_block *block = first; block != NULL; block = block->next) {
        memcpy(at, block->bytes, block->size);
        at += block->size;
    }
    return joined;
}

PyObject *
bw_codec_encode_list(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"items", "shape", NULL};
    PyObject *items, *shape_name = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|U:_encode", keywords, &items, &shape_name)) {
        return NULL;
    }
    int shape = shape_name == NULL ? BW_SHAPE_PLAIN : parse_shape(shape_name);
    bw_batch *batch = shape < 0 ? NULL : batch_of_items((bw_shape)shape, items);
    if (batch == NULL) return NULL;
    bw_engine_state *state = bw_state_of_module(module);
    bw_writer writer;
    bw_writer_init(&writer, 0);
    PyObject *encoded = NULL;
    bw_status status = bw_codec_encode(state, batch, &writer);
    if (status == BW_OK) {
        bw_block *first = bw_writer_take(&writer);
        encoded = join(first, batch->count);
        bw_block_free_all(first);
    } else {
        bw_raise_status(state, status, NULL, NULL);
        bw_writer_fini(&writer);
    }
    drop_batch(batch);
    return encoded;
}

PyObject *
bw_codec_decode_list(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"data", "shape", "loads", NULL};
    const char *data;
    Py_ssize_t size;
    PyObject *shape_name = NULL, *loads = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y#|UO:_decode", keywords, &data, &size, &shape_name,
                                     &loads)) {
        return NULL;
    }
    int shape = shape_name == NULL ? BW_SHAPE_PLAIN : parse_shape(shape_name);
    if (shape < 0) return NULL;
    const uint8_t *bytes = (const uint8_t *)data;
    bw_engine_state *state = bw_state_of_module(module);
    bw_status status = BW_ECORRUPT;
    bw_batch *batch = NULL;
    // As whoever reads a frame sees to: no more items than bytes.
    if (size >= COUNT_BYTES && bw_load32(bytes) <= (size_t)size) {
        uint32_t count = bw_load32(bytes);
        batch = new_batch((bw_shape)shape, count);
        if (batch == NULL) return NULL;
        status = bw_codec_decode(state, loads == Py_None ? NULL : loads, bytes + COUNT_BYTES,
                                 (size_t)size - COUNT_BYTES, count, batch);
    }
    PyObject *list = NULL;
    if (status == BW_OK) {
        list = list_of_batch(batch);
    } else {
        bw_raise_status(state, status, NULL, NULL);
    }
    if (batch != NULL) drop_batch(batch);
    return list;
}
