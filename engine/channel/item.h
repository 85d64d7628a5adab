// item.h - what the engine must be able to do with items: a table, filled by Python or a C program.
#ifndef BW_CHANNEL_ITEM_H
#define BW_CHANNEL_ITEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/status.h"

struct bw_batch;

/// Bytes of a key (UTF-8 where Python made it); they live as long as the key does.
typedef struct bw_bytes {
    const char *data;
    size_t size;
} bw_bytes;

/// Worker thread, attached. Items and keys are opaque pointers; a key, or its value, may be NULL. What
/// no step of a dataflow needs may be NULL: split to drop_key without keyed steps.
typedef struct bw_item_ops {
    /// One more reference to each.
    void (*retain)(void *self, void *const *items, size_t count);
    /// One reference less to each; NULL entries are passed over.
    void (*release)(void *self, void *const *items, size_t count);
    /// Splits items into key and value, in place: items[i] (a reference, taken over) becomes the
    /// value, keys[i] the key, hashes[i] = bw_hash() of its bytes. On failure items[*done] and all
    /// after it are still whole items, and BW_EHOST says that the host knows why.
    bw_status (*split)(void *self, void **items, size_t count, void **keys, uint64_t *hashes,
                       size_t *done);
    /// The bytes of each key, which some hosts keep in the key, others in the value.
    void (*key_bytes)(void *self, void *const *keys, void *const *values, size_t count, bw_bytes *out);
    /// Turns a key (a reference, taken over) into one that a table of state can keep: the bytes, which
    /// it may move, live as long as what it returns. NULL: no memory, and the reference is gone.
    void *(*own_key)(void *self, void *key, bw_bytes *bytes);
    /// Ends what own_key() began.
    void (*drop_key)(void *self, void *owned_key);
    /// Appends a batch, whose references it leaves alone, for a worker of another process. BW_EHOST: an item
    /// can't be encoded, and the host knows which and why; what was appended is of no use. NULL with
    /// decode: the dataflow runs in one process only.
    bw_status (*encode)(void *self, const struct bw_batch *batch, bw_writer *writer);
    /// Fills a batch that is empty and has its shape and room for `count`, from what encode() wrote for a
    /// batch of that shape and count: items[], and with them keys[] and hashes[]. On failure it holds
    /// nothing: BW_ECORRUPT (bytes that encode() never writes) or BW_EHOST (the host's own code failed).
    bw_status (*decode)(void *self, const uint8_t *bytes, size_t size, uint32_t count,
                        struct bw_batch *batch);
    void *self;
} bw_item_ops;

#endif
