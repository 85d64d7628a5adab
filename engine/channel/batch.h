// batch.h - items of one epoch on their way to one step, owned by exactly one holder.
#ifndef BW_CHANNEL_BATCH_H
#define BW_CHANNEL_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/status.h"
#include "channel/item.h"
#include "progress/frontier.h"

#define BW_BATCH_ITEMS 1024  // how many items a batch that the engine makes can hold

typedef enum bw_shape {
    BW_SHAPE_PLAIN,  // items[]
    BW_SHAPE_KEYED,  // keys[], hashes[] and values, which are items[]
    BW_SHAPE_PART,   // keys[], values, and in hashes[] the index of the partition each goes to
} bw_shape;

typedef struct bw_batch {
    struct bw_batch *next;  // in whichever list its holder keeps it
    bw_epoch epoch;
    bw_shape shape;
    uint32_t count;
    uint32_t capacity;
    // Where it came from, so that its room there can be given back; of use to worker/exchange.h alone.
    uint32_t sender, exchange, half;
    uint32_t bytes;  // that it had on its way from another process; 0 if it comes from this one
    // Owned. Not NULL: it came from another process and was not decoded yet. Then there are no items, no
    // columns and no capacity, but `count` says how many there will be.
    bw_block *encoded;
    void **items;
    void **keys;       // set in the shapes that have keys
    uint64_t *hashes;  // likewise
} bw_batch;

/// Batches that one worker made and will use again. Its worker is its only user.
typedef struct bw_batch_pool {
    bw_batch *first;
    uint32_t count;
} bw_batch_pool;

void bw_batch_pool_init(bw_batch_pool *pool);
void bw_batch_pool_fini(bw_batch_pool *pool);

/// An empty plain batch with room for BW_BATCH_ITEMS items, NULL if there is no memory.
bw_batch *bw_batch_pool_get(bw_batch_pool *pool, bw_epoch epoch);

/// A batch of `count` items that are encoded still: takes the block over. NULL if there is no memory.
bw_batch *bw_batch_new_encoded(bw_epoch epoch, bw_shape shape, uint32_t count, bw_block *encoded);

/// Takes back a batch (of whatever pool) whose items are gone.
void bw_batch_pool_put(bw_batch_pool *pool, bw_batch *batch);

/// Before a batch leaves its worker: the same batch, or the same items in a block of their size if they
/// are few. So what waits elsewhere takes the room of its items, and large blocks stay with their pool.
bw_batch *bw_batch_pool_trim(bw_batch_pool *pool, bw_batch *batch);

/// Makes `to`, empty and with room, hold what `from` holds. References are neither taken nor given.
void bw_batch_copy(bw_batch *to, const bw_batch *from);

/// Releases what the batch holds, decoded or not: it is empty then.
void bw_batch_clear(bw_batch *batch, const bw_item_ops *items);

/// Releases what the batch holds and frees it.
void bw_batch_drop(bw_batch *batch, const bw_item_ops *items);

/// Batches in the order in which they shall be taken: by epoch, those of one epoch as they came.
typedef struct bw_batch_list {
    bw_batch *first, *last;
} bw_batch_list;

void bw_batch_list_insert(bw_batch_list *list, bw_batch *batch);
bw_batch *bw_batch_list_take(bw_batch_list *list);  // NULL if empty
void bw_batch_list_drop(bw_batch_list *list, const bw_item_ops *items);

static inline bool
bw_batch_is_full(const bw_batch *batch)
{
    return batch->count == batch->capacity;
}

static inline void
bw_batch_push(bw_batch *batch, void *item)
{
    BW_ASSERT_SLOW(batch->count < batch->capacity);
    batch->items[batch->count++] = item;
}

static inline void
bw_batch_push_keyed(bw_batch *batch, void *key, uint64_t hash, void *value)
{
    BW_ASSERT_SLOW(batch->count < batch->capacity);
    batch->keys[batch->count] = key;
    batch->hashes[batch->count] = hash;
    batch->items[batch->count++] = value;
}

#endif
