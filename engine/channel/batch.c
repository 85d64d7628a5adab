#include "channel/batch.h"

#include <assert.h>
#include <stdlib.h>

// Enough for what is under way between steps in the steady state; a burst goes back to malloc.
#define POOL_BATCHES 32

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

bw_batch *
bw_batch_pool_get(bw_batch_pool *pool, bw_epoch epoch)
{
    bw_batch *batch = pool->first;
    if (batch != NULL) {
        pool->first = batch->next;
        pool->count--;
    } else {
        // One block: the batch, then its three arrays.
        const size_t column = BW_BATCH_ITEMS * sizeof(uint64_t);
        static_assert(sizeof(void *) <= sizeof(uint64_t), "a pointer fits a column");
        batch = malloc(sizeof *batch + 3 * column);
        if (batch == NULL) return NULL;
        char *columns = (char *)(batch + 1);
        batch->hashes = (uint64_t *)(void *)columns;
        batch->items = (void **)(void *)(columns + column);
        batch->keys = (void **)(void *)(columns + 2 * column);
        batch->capacity = BW_BATCH_ITEMS;
    }
    batch->next = NULL;
    batch->epoch = epoch;
    batch->shape = BW_SHAPE_PLAIN;
    batch->count = 0;
    batch->sender = UINT32_MAX;
    return batch;
}

void
bw_batch_pool_put(bw_batch_pool *pool, bw_batch *batch)
{
    if (pool->count == POOL_BATCHES) {
        free(batch);
        return;
    }
    batch->next = pool->first;
    pool->first = batch;
    pool->count++;
}

void
bw_batch_drop(bw_batch *batch, const bw_item_ops *items)
{
    if (batch->shape != BW_SHAPE_PLAIN) items->release(items->self, batch->keys, batch->count);
    items->release(items->self, batch->items, batch->count);
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
