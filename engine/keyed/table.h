// table.h - from the bytes of a key to a slot of state: an open-addressing index over entries in chunks
// that never move, so that a slot's address holds while its key lives.
#ifndef BW_KEYED_TABLE_H
#define BW_KEYED_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"
#include "channel/item.h"

#define BW_TABLE_CHUNK 256u  // entries that are allocated together

typedef struct bw_entry {
    uint64_t hash;
    void *key;          // owned by whoever inserted it; the table only keeps it
    const char *bytes;  // of the key
    uint32_t size;
    uint32_t id;  // its place, from 1 on; in a free entry the next free one
    // the slot follows
} bw_entry;

/// One worker's; no lock. Linear probing: a cell holds the low 32 bits of a hash (its home among them)
/// and the id of an entry, 0 if it is free. (The high bits chose the worker: they are alike here.)
typedef struct bw_table {
    uint64_t *cells;
    uint64_t mask;  // cell count - 1; with cells == NULL there are none
    char **chunks;
    uint32_t chunk_count, chunk_capacity;
    uint32_t free_id;  // first of the free entries, 0 if none
    uint32_t next_id;  // first id never used
    uint32_t count;
    size_t entry_size;
} bw_table;

/// `slot_size`: bytes of state that each key has.
void bw_table_init(bw_table *table, size_t slot_size);

/// The keys must be gone, see bw_table_next().
void bw_table_fini(bw_table *table);

static inline bw_entry *
bw_table_entry(const bw_table *table, uint32_t id)
{
    char *chunk = table->chunks[(id - 1) / BW_TABLE_CHUNK];
    return (bw_entry *)(void *)(chunk + (id - 1) % BW_TABLE_CHUNK * table->entry_size);
}

static inline void *
bw_entry_slot(bw_entry *entry)
{
    return entry + 1;
}

static inline bw_entry *
bw_slot_entry(void *slot)
{
    return (bw_entry *)slot - 1;
}

/// The key's entry, or NULL.
static inline bw_entry *
bw_table_find(const bw_table *table, const char *bytes, size_t size, uint64_t hash)
{
    if (table->cells == NULL) return NULL;
    for (uint64_t at = hash & table->mask;; at = (at + 1) & table->mask) {
        uint64_t cell = table->cells[at];
        if (cell == 0) return NULL;
        if (cell >> 32 != (hash & UINT32_MAX)) continue;
        bw_entry *entry = bw_table_entry(table, (uint32_t)cell);
        if (entry->hash != hash || entry->size != size) continue;
        if (entry->bytes == bytes || memcmp(entry->bytes, bytes, size) == 0) return entry;
    }
}

/// Adds a key that is not there; its slot is all zero. The bytes must live as long as `key`. BW_ENOMEM;
/// BW_EINVAL: a key of 4 GiB or more, or 4 billion keys.
BW_NODISCARD bw_status bw_table_insert(bw_table *table, void *key, bw_bytes bytes, uint64_t hash,
                                       bw_entry **out);

/// Takes an entry out. The caller has taken `key` and what the slot holds. Never fails. The entry can
/// still be looked at, as a free one, until the next insert or bw_table_trim().
void bw_table_remove(bw_table *table, bw_entry *entry);

/// Gives back the memory of a table that is empty but was large.
void bw_table_trim(bw_table *table);

/// Goes over all entries: `*position` starts at 0. NULL at the end. Nothing may be inserted meanwhile.
bw_entry *bw_table_next(const bw_table *table, uint32_t *position);

/// Bytes that the table takes, keys and what slots point to not counted.
size_t bw_table_size_bytes(const bw_table *table);

#endif
