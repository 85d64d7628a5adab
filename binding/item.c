#include "item.h"

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

const bw_item_ops bw_python_items = {.retain = retain, .release = release};
