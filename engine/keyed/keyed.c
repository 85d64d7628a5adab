#include "keyed/keyed.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct bw_keyed {
    const bw_keyed_ops *ops;
    void *logic;
    const bw_item_ops *items;
    bw_table table;
    size_t slot_size;
    void **slots;  // of the present batch
    bw_bytes *bytes;
    uint32_t capacity;  // of both
    void **discarded;   // slots that the present activation discarded, perhaps to be used again
    size_t discarded_count, discarded_capacity;
    bw_status discard_status;
};

bw_status
bw_keyed_new(const bw_keyed_ops *ops, void *logic, size_t slot_size, const bw_item_ops *items,
             bw_keyed **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return BW_ENOMEM;
    (*out)->ops = ops;
    (*out)->logic = logic;
    (*out)->items = items;
    (*out)->slot_size = slot_size;
    bw_table_init(&(*out)->table, slot_size);
    return BW_OK;
}

static void
forget(bw_keyed *keyed, bw_entry *entry)
{
    void *key = entry->key;
    bw_table_remove(&keyed->table, entry);
    keyed->items->drop_key(keyed->items->self, key);
}

void
bw_keyed_free(bw_keyed *keyed)
{
    if (keyed == NULL) return;
    uint32_t position = 0;
    bw_entry *entry;
    while ((entry = bw_table_next(&keyed->table, &position)) != NULL) {
        if (keyed->ops->clear != NULL) keyed->ops->clear(keyed->logic, bw_entry_slot(entry));
        keyed->items->drop_key(keyed->items->self, entry->key);
    }
    bw_table_fini(&keyed->table);
    free((void *)keyed->slots);
    free(keyed->bytes);
    free((void *)keyed->discarded);
    free(keyed);
}

static bw_status
make_scratch(bw_keyed *keyed, uint32_t count)
{
    if (count <= keyed->capacity) return BW_OK;
    uint32_t capacity = count > BW_BATCH_ITEMS ? count : BW_BATCH_ITEMS;
    void **slots = realloc((void *)keyed->slots, capacity * sizeof *slots);
    if (slots == NULL) return BW_ENOMEM;
    keyed->slots = slots;
    bw_bytes *bytes = realloc(keyed->bytes, capacity * sizeof *bytes);
    if (bytes == NULL) return BW_ENOMEM;
    keyed->bytes = bytes;
    keyed->capacity = capacity;
    return BW_OK;
}

/// The slot of item i. The reference to a new key is taken over, also on failure; that to a known one
/// stays in the batch, whose keys are released all at once.
static bw_status
find_slot(bw_keyed *keyed, bw_batch *batch, uint32_t i)
{
    bw_bytes bytes = keyed->bytes[i];
    uint64_t hash = batch->hashes[i];
    bw_entry *entry = bw_table_find(&keyed->table, bytes.data, bytes.size, hash);
    if (entry == NULL) {
        void *key = batch->keys[i];
        batch->keys[i] = NULL;
        void *owned = keyed->items->own_key(keyed->items->self, key, &bytes);
        if (owned == NULL) return BW_ENOMEM;
        bw_status status = bw_table_insert(&keyed->table, owned, bytes, hash, &entry);
        if (status != BW_OK) {
            keyed->items->drop_key(keyed->items->self, owned);
            return status;
        }
    }
    keyed->slots[i] = bw_entry_slot(entry);
    return BW_OK;
}

static bool
is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) return false;
    }
    return true;
}

/// Forgets the keys that were discarded and did not come back.
static void
forget_discarded(bw_keyed *keyed)
{
    for (size_t i = 0; i < keyed->discarded_count; i++) {
        bw_entry *entry = bw_slot_entry(keyed->discarded[i]);
        // A slot discarded twice was forgotten the first time; one with state came back.
        if (entry->bytes != NULL && is_zero(keyed->discarded[i], keyed->slot_size)) {
            forget(keyed, entry);
        }
    }
    if (keyed->discarded_count > 0) bw_table_trim(&keyed->table);
    keyed->discarded_count = 0;
}

bw_status
bw_keyed_on_batch(bw_keyed *keyed, bw_batch *batch, bw_output *output)
{
    BW_ASSERT(batch->shape == BW_SHAPE_KEYED);
    bw_status status = make_scratch(keyed, batch->count);
    if (status != BW_OK) return status;
    keyed->items->key_bytes(keyed->items->self, batch->keys, batch->items, batch->count, keyed->bytes);
    for (uint32_t i = 0; i < batch->count; i++) {
        status = find_slot(keyed, batch, i);
        if (status != BW_OK) return status;
    }
    keyed->discard_status = BW_OK;
    status = keyed->ops->on_items(keyed->logic, keyed, keyed->slots, batch->items, batch->count, output);
    forget_discarded(keyed);
    return status != BW_OK ? status : keyed->discard_status;
}

static int
compare_entries(const void *a, const void *b)
{
    const bw_entry *left = *(bw_entry *const *)a, *right = *(bw_entry *const *)b;
    uint32_t shorter = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->bytes, right->bytes, shorter);
    if (order != 0) return order;
    return (left->size > right->size) - (left->size < right->size);
}

bw_status
bw_keyed_on_close(bw_keyed *keyed, bool ended, bw_output *output)
{
    uint32_t count = keyed->table.count;
    if (!ended || keyed->ops->on_eof == NULL || count == 0) return BW_OK;
    bw_entry **entries = malloc(count * sizeof *entries);
    if (entries == NULL) return BW_ENOMEM;
    uint32_t position = 0;
    for (uint32_t i = 0; i < count; i++) entries[i] = bw_table_next(&keyed->table, &position);
    qsort((void *)entries, count, sizeof *entries, compare_entries);
    bw_status status = BW_OK;
    keyed->discard_status = BW_OK;
    for (uint32_t i = 0; i < count && status == BW_OK; i++) {
        status = keyed->ops->on_eof(keyed->logic, keyed, bw_entry_slot(entries[i]), output);
    }
    forget_discarded(keyed);
    free((void *)entries);
    return status != BW_OK ? status : keyed->discard_status;
}

void
bw_keyed_discard(bw_keyed *keyed, void *slot)
{
    if (keyed->ops->clear != NULL) keyed->ops->clear(keyed->logic, slot);
    memset(slot, 0, keyed->slot_size);
    if (keyed->discarded_count == keyed->discarded_capacity) {
        size_t capacity = keyed->discarded_capacity == 0 ? 64 : 2 * keyed->discarded_capacity;
        void **grown = realloc((void *)keyed->discarded, capacity * sizeof *grown);
        if (grown == NULL) {
            keyed->discard_status = BW_ENOMEM;
            return;
        }
        keyed->discarded = grown;
        keyed->discarded_capacity = capacity;
    }
    keyed->discarded[keyed->discarded_count++] = slot;
}

bw_bytes
bw_keyed_key(void *slot)
{
    const bw_entry *entry = bw_slot_entry(slot);
    return (bw_bytes){.data = entry->bytes, .size = entry->size};
}

uint32_t
bw_keyed_count(const bw_keyed *keyed)
{
    return keyed->table.count;
}
