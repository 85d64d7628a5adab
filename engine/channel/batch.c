#include "channel/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// Enough for what is under way between steps in the steady state; a burst goes back to malloc.
#define POOL_BATCHES 32
#define FEW_ITEMS (BW_BATCH_ITEMS / 8)

void
bw_batch_pool_init(bw_batch_pool *pool)
{
    pool->first = NULL;
    pool->count = 0;
}

void
bw_batch_pool_fini(bw_batch_pool *pool)
{
    while (pool->first != NULL) {
        bw_batch *batch = pool->first;
        pool->first = batch->next;
        free(batch);
    }
    pool->count = 0;
}

/// One block: the batch, then its three arrays. NULL if there is no memory.
static bw_batch *
new_batch(uint32_t capacity)
{
    static_assert(sizeof(void *) <= sizeof(uint64_t), "a pointer fits a column");
    const size_t column = capacity * sizeof(uint64_t);
    bw_batch *batch = malloc(sizeof *batch + 3 * column);
    if (batch == NULL) return NULL;
    char *columns = (char *)(batch + 1);
    batch->count = 0;
    batch->encoded = NULL;
    batch->hashes = (uint64_t *)(void *)columns;
    batch->items = (void **)(void *)(columns + column);
    batch->keys = (void **)(void *)(columns + 2 * column);
    batch->capacity = capacity;
    return batch;
}

bw_batch *
bw_batch_pool_get(bw_batch_pool *pool, bw_epoch epoch)
{
    bw_batch *batch = pool->first;
    if (batch != NULL) {
        pool->first = batch->next;
        pool->count--;
    } else {
        batch = new_batch(BW_BATCH_ITEMS);
        if (batch == NULL) return NULL;
    }
    batch->next = NULL;
    batch->epoch = epoch;
    batch->shape = BW_SHAPE_PLAIN;
    batch->count = 0;
    batch->sender = UINT32_MAX;
    return batch;
}

bw_batch *
bw_batch_new_encoded(bw_epoch epoch, bw_shape shape, uint32_t count, bw_block *encoded)
{
    bw_batch *batch = malloc(sizeof *batch);
    if (batch == NULL) return NULL;
    *batch = (bw_batch){.epoch = epoch,
                        .shape = shape,
                        .count = count,
                        .sender = UINT32_MAX,
                        .bytes = encoded->size,
                        .encoded = encoded};
    return batch;
}

void
bw_batch_pool_put(bw_batch_pool *pool, bw_batch *batch)
{
    if (pool->count == POOL_BATCHES || batch->capacity != BW_BATCH_ITEMS) {
        free(batch);
        return;
    }
    batch->next = pool->first;
    pool->first = batch;
    pool->count++;
}

bw_batch *
bw_batch_pool_trim(bw_batch_pool *pool, bw_batch *batch)
{
    if (batch->count > FEW_ITEMS || batch->capacity != BW_BATCH_ITEMS) return batch;
    bw_batch *small = new_batch(batch->count);
    if (small == NULL) return batch;  // a large block does as well
    small->next = NULL;
    small->epoch = batch->epoch;
    small->sender = batch->sender;
    small->exchange = batch->exchange;
    small->half = batch->half;
    bw_batch_copy(small, batch);
    bw_batch_pool_put(pool, batch);
    return small;
}

void
bw_batch_copy(bw_batch *to, const bw_batch *from)
{
    BW_ASSERT(to->count == 0 && from->count <= to->capacity);
    to->shape = from->shape;
    to->count = from->count;
    memcpy(to->items, from->items, from->count * sizeof *from->items);
    if (from->shape == BW_SHAPE_PLAIN) return;
    memcpy(to->keys, from->keys, from->count * sizeof *from->keys);
    memcpy(to->hashes, from->hashes, from->count * sizeof *from->hashes);
}

void
bw_batch_clear(bw_batch *batch, const bw_item_ops *items)
{
    if (batch->encoded != NULL) {
        bw_block_free(batch->encoded);
        batch->encoded = NULL;
        batch->count = 0;
        return;
    }
    if (batch->shape != BW_SHAPE_PLAIN) items->release(items->self, batch->keys, batch->count);
    items->release(items->self, batch->items, batch->count);
    batch->count = 0;
}

void
bw_batch_drop(bw_batch *batch, const bw_item_ops *items)
{
    bw_batch_clear(batch, items);
    free(batch);
}

void
bw_batch_list_insert(bw_batch_list *list, bw_batch *batch)
{
    if (list->first == NULL) {
        batch->next = NULL;
        list->first = list->last = batch;
    } else if (batch->epoch >= list->last->epoch) {  // nearly always
        batch->next = NULL;
        list->last = list->last->next = batch;
    } else {
        bw_batch **at = &list->first;
        while ((*at)->epoch <= batch->epoch) at = &(*at)->next;
        batch->next = *at;
        *at = batch;
    }
}

bw_batch *
bw_batch_list_take(bw_batch_list *list)
{
    bw_batch *batch = list->first;
    if (batch == NULL) return NULL;
    list->first = batch->next;
    if (list->first == NULL) list->last = NULL;
    batch->next = NULL;
    return batch;
}

void
bw_batch_list_drop(bw_batch_list *list, const bw_item_ops *items)
{
    bw_batch *batch;
    while ((batch = bw_batch_list_take(list)) != NULL) bw_batch_drop(batch, items);
}
