#include "testing/sim_item.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"

sim_item *
sim_item_new(sim_ledger *ledger, const sim_item *like)
{
    sim_item *item = malloc(sizeof *item);
    BW_ASSERT(item != NULL);
    *item = *like;
    item->refs = 1;
    item->is_key = false;
    ledger->items++;
    return item;
}

sim_item *
sim_key_new(sim_ledger *ledger, const sim_item *item)
{
    sim_item *key = malloc(sizeof *key);
    BW_ASSERT(key != NULL);
    *key = (sim_item){.refs = 1, .is_key = true, .id = sim_key_of(ledger, item->id)};
    ledger->keys++;
    return key;
}

uint64_t
sim_key_hash(uint32_t key)
{
    return bw_hash(&key, sizeof key);
}

static void
retain(void *self, void *const *items, size_t count)
{
    (void)self;
    for (size_t i = 0; i < count; i++) {
        sim_item *item = items[i];
        if (item != NULL) item->refs++;
    }
}

static void
release(void *self, void *const *items, size_t count)
{
    sim_ledger *ledger = self;
    for (size_t i = 0; i < count; i++) {
        sim_item *item = items[i];
        if (item == NULL || --item->refs > 0) continue;
        *(item->is_key ? &ledger->keys : &ledger->items) -= 1;
        free(item);
    }
}

static bw_status
split(void *self, void **items, size_t count, void **keys, uint64_t *hashes, size_t *done)
{
    sim_ledger *ledger = self;
    bool fails = ledger->split_fails_in > 0 && --ledger->split_fails_in == 0;
    size_t good = fails ? count / 2 : count;
    for (size_t i = 0; i < good; i++) {
        sim_item *key = sim_key_new(ledger, items[i]);
        keys[i] = key;
        hashes[i] = sim_key_hash((uint32_t)key->id);
    }
    *done = good;
    return fails ? BW_EHOST : BW_OK;
}

bw_item_ops
sim_item_ops(sim_ledger *ledger)
{
    return (bw_item_ops){.retain = retain, .release = release, .split = split, .self = ledger};
}
