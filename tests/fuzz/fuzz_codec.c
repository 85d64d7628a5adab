// Bytes at random as batches of Python items. The first says which shape the batch has, the next two how many
// items; the rest is what came over the wire. What can be read must be written again, and read again. Nothing is
// unpickled: a pickle at random may do anything.
#include "codec.h"

#include <stdio.h>
#include <stdlib.h>

#define HEAD_BYTES 3

PyMODINIT_FUNC PyInit__engine(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(int condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "fuzz_codec: %s\n", what);
    if (PyErr_Occurred()) PyErr_Print();
    abort();
}

/// Stands in for pickle.loads(): some elements, by the number of bytes.
static PyObject *
refuse(PyObject *self, PyObject *view)
{
    (void)self;
    Py_ssize_t size = PyObject_Size(view);
    if (size % 7 == 6) {
        PyErr_SetString(PyExc_ValueError, "it can't be had");
        return NULL;
    }
    PyObject *list = PyList_New(size % 7);
    for (Py_ssize_t i = 0; list != NULL && i < size % 7; i++)
        PyList_SET_ITEM(list, i, Py_NewRef(Py_None));
    return list;
}

static PyMethodDef refuse_def = {"refuse", refuse, METH_O, NULL};

static bw_engine_state *
start(PyObject **loads)
{
    must(PyImport_AppendInittab("_engine", PyInit__engine) == 0, "no room for the module");
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    must(!PyStatus_Exception(Py_InitializeFromConfig(&config)), "no interpreter");
    PyConfig_Clear(&config);
    PyObject *module = PyImport_ImportModule("_engine");  // kept: the state is its
    must(module != NULL, "no module");
    *loads = PyCFunction_New(&refuse_def, NULL);
    must(*loads != NULL, "no function");
    return bw_state_of_module(module);
}

static void
clear(bw_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->shape != BW_SHAPE_PLAIN) Py_DECREF((PyObject *)batch->keys[i]);
        Py_DECREF((PyObject *)batch->items[i]);
    }
    batch->count = 0;
}

/// The bytes of a chain of blocks in a row, at their exact size: a read behind them shows under ASan.
static uint8_t *
join(const bw_block *first, size_t *size)
{
    *size = 0;
    for (const bw_block *block = first; block != NULL; block = block->next) *size += block->size;
    uint8_t *bytes = malloc(*size), *at = bytes;
    must(bytes != NULL, "no memory");
    for (const bw_block *block = first; block != NULL; block = block->next) {
        memcpy(at, block->bytes, block->size);
        at += block->size;
    }
    return bytes;
}

/// Writes what was read, and reads it again.
static void
again(bw_engine_state *state, PyObject *loads, bw_batch *batch)
{
    uint32_t count = batch->count;
    bw_writer writer;
    bw_writer_init(&writer, 0);
    must(bw_codec_encode(state, batch, &writer) == BW_OK, "what was read can't be written");
    clear(batch);
    bw_block *first = bw_writer_take(&writer);
    size_t size;
    uint8_t *bytes = join(first, &size);
    bw_block_free_all(first);
    must(bw_codec_decode(state, loads, bytes, size, count, batch) == BW_OK,
         "what was written can't be read");
    must(batch->count == count, "not as many items");
    free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bw_engine_state *state;
    static PyObject *loads;
    static bw_batch_pool pool;
    if (state == NULL) state = start(&loads);
    if (size < HEAD_BYTES) return 0;
    bw_batch *batch = bw_batch_pool_get(&pool, 0);
    must(batch != NULL, "no memory");
    batch->shape = (bw_shape)(data[0] % 3);
    uint32_t count = (uint32_t)(data[1] | data[2] << 8) % (BW_BATCH_ITEMS + 1);
    bw_status status = bw_codec_decode(state, loads, data + HEAD_BYTES, size - HEAD_BYTES, count, batch);
    if (status == BW_OK) {
        must(batch->count == count, "not as many items as there should be");
        again(state, loads, batch);
    } else {
        must(batch->count == 0, "it failed, and holds items");
        must(status == BW_EHOST || status == BW_ECORRUPT, "no such failure");
        must((status == BW_EHOST) == (PyErr_Occurred() != NULL),
             "an exception where none should be, or none");
    }
    PyErr_Clear();
    clear(batch);
    bw_batch_pool_put(&pool, batch);
    return 0;
}
