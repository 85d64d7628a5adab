#include "item.h"

#include "codec.h"
#include "compat.h"

static void
retain(void *self, void *const *items, size_t count)
{
    (void)self;
    for (size_t i = 0; i < count; i++) Py_XINCREF((PyObject *)items[i]);
}

static void
release(void *self, void *const *items, size_t count)
{
    (void)self;
    for (size_t i = 0; i < count; i++) Py_XDECREF((PyObject *)items[i]);
}

static bw_status
encode(void *self, const bw_batch *batch, bw_writer *writer)
{
    return bw_codec_encode(self, batch, writer);
}

static bw_status
decode(void *self, const uint8_t *bytes, size_t size, uint32_t count, bw_batch *batch)
{
    return bw_codec_decode(self, NULL, bytes, size, count, batch);
}

const bw_item_ops bw_python_items = {
    .retain = retain,
    .release = release,
    .encode = encode,
    .decode = decode,
};
