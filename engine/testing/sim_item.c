#include "testing/sim_item.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "channel/batch.h"

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

/// Counts down to a planned failure.
static bool
fails_now(uint32_t *in)
{
    return *in > 0 && --*in == 0;
}

static bw_status
split(void *self, void **items, size_t count, void **keys, uint64_t *hashes, size_t *done)
{
    sim_ledger *ledger = self;
    bool fails = fails_now(&ledger->split_fails_in);
    size_t good = fails ? count / 2 : count;
    for (size_t i = 0; i < good; i++) {
        sim_item *key = sim_key_new(ledger, items[i]);
        keys[i] = key;
        hashes[i] = sim_key_hash((uint32_t)key->id);
    }
    *done = good;
    return fails ? BW_EHOST : BW_OK;
}

// ---- as bytes: for each item a byte of flags, in the shapes with keys the hash, what is not NULL as it is
// in memory (all of it runs in one process), then the padding

enum { HAS_ITEM = 1, HAS_KEY = 2, PAD = 0xa5 };

static bw_status
encode_one(const sim_ledger *ledger, const bw_batch *batch, uint32_t i, bw_writer *writer)
{
    static const uint8_t PADDING[8] = {PAD, PAD, PAD, PAD, PAD, PAD, PAD, PAD};
    bool has_keys = batch->shape != BW_SHAPE_PLAIN;
    const sim_item *item = batch->items[i], *key = has_keys ? batch->keys[i] : NULL;
    const uint8_t flags = (uint8_t)((item != NULL ? HAS_ITEM : 0) | (key != NULL ? HAS_KEY : 0));
    bw_status status = bw_writer_put(writer, &flags, 1);
    if (status == BW_OK && has_keys) status = bw_writer_put(writer, &batch->hashes[i], sizeof(uint64_t));
    if (status == BW_OK && item != NULL) status = bw_writer_put(writer, item, sizeof *item);
    if (status == BW_OK && key != NULL) status = bw_writer_put(writer, key, sizeof *key);
    for (uint32_t left = ledger->padding; left > 0 && status == BW_OK;) {
        uint32_t part = left < sizeof PADDING ? left : (uint32_t)sizeof PADDING;
        status = bw_writer_put(writer, PADDING, part);
        left -= part;
    }
    return status;
}

static bw_status
encode(void *self, const bw_batch *batch, bw_writer *writer)
{
    sim_ledger *ledger = self;
    uint32_t good = fails_now(&ledger->encode_fails_in) ? batch->count / 2 : UINT32_MAX;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (i == good) return BW_EHOST;
        bw_status status = encode_one(ledger, batch, i, writer);
        if (status != BW_OK) return status;
    }
    if (good != UINT32_MAX) return BW_EHOST;
    ledger->encoded += batch->count;
    return BW_OK;
}

/// Copies `size` bytes from `*at`, which it moves. False: there are not so many.
static bool
take(const uint8_t **at, const uint8_t *end, void *to, size_t size)
{
    if ((size_t)(end - *at) < size) return false;
    memcpy(to, *at, size);
    *at += size;
    return true;
}

/// The item or key at `*at`. NULL: none is there.
static sim_item *
take_item(sim_ledger *ledger, const uint8_t **at, const uint8_t *end, bool is_key)
{
    sim_item like;
    if (!take(at, end, &like, sizeof like) || like.is_key != is_key) return NULL;
    sim_item *item = sim_item_new(ledger, &like);
    if (!is_key) return item;
    item->is_key = true;
    ledger->items--;
    ledger->keys++;
    return item;
}

static bool
decode_one(sim_ledger *ledger, const uint8_t **at, const uint8_t *end, bw_batch *batch)
{
    bool has_keys = batch->shape != BW_SHAPE_PLAIN;
    uint8_t flags, pad;
    uint64_t hash = 0;
    sim_item *item = NULL, *key = NULL;
    if (!take(at, end, &flags, 1) || flags > (has_keys ? HAS_ITEM | HAS_KEY : HAS_ITEM)) return false;
    if (has_keys && !take(at, end, &hash, sizeof hash)) return false;
    if (flags & HAS_ITEM) {
        item = take_item(ledger, at, end, false);
        if (item == NULL) return false;
    }
    if (flags & HAS_KEY) key = take_item(ledger, at, end, true);
    if (has_keys) {
        bw_batch_push_keyed(batch, key, hash, item);
    } else {
        bw_batch_push(batch, item);
    }
    if (flags & HAS_KEY && key == NULL) return false;
    for (uint32_t i = 0; i < ledger->padding; i++) {
        if (!take(at, end, &pad, 1) || pad != PAD) return false;
    }
    return true;
}

static bw_status
decode(void *self, const uint8_t *bytes, size_t size, uint32_t count, bw_batch *batch)
{
    sim_ledger *ledger = self;
    const uint8_t *at = bytes, *end = bytes + size;
    bool fails = fails_now(&ledger->decode_fails_in), fits = true;
    ledger->encoded -= count;
    for (uint32_t i = 0; i < count && fits; i++) fits = decode_one(ledger, &at, end, batch);
    if (fits && at == end && !fails) return BW_OK;
    if (batch->shape != BW_SHAPE_PLAIN) release(self, batch->keys, batch->count);
    release(self, batch->items, batch->count);
    batch->count = 0;
    return fails ? BW_EHOST : BW_ECORRUPT;
}

bw_item_ops
sim_item_ops(sim_ledger *ledger)
{
    return (bw_item_ops){.retain = retain,
                         .release = release,
                         .split = split,
                         .encode = encode,
                         .decode = decode,
                         .self = ledger};
}
