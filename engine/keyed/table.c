#include "keyed/table.h"

#include <stdlib.h>

#include "base/assert.h"

#define LEAST_CELLS 16u

void
bw_table_init(bw_table *table, size_t slot_size)
{
    *table = (bw_table){.next_id = 1};
    table->entry_size = sizeof(bw_entry) + (slot_size + 7) / 8 * 8;
}

static void
free_all(bw_table *table)
{
    for (uint32_t i = 0; i < table->chunk_count; i++) free(table->chunks[i]);
    free(table->chunks);
    free(table->cells);
    size_t entry_size = table->entry_size;
    *table = (bw_table){.next_id = 1, .entry_size = entry_size};
}

void
bw_table_fini(bw_table *table)
{
    free_all(table);
}

static void
put_cell(uint64_t *cells, uint64_t mask, uint64_t cell)
{
    uint64_t at = (cell >> 32) & mask;
    while (cells[at] != 0) at = (at + 1) & mask;
    cells[at] = cell;
}

static bw_status
resize(bw_table *table, uint64_t cell_count)
{
    uint64_t *cells = calloc(cell_count, sizeof *cells);
    if (cells == NULL) return BW_ENOMEM;
    for (uint64_t i = 0; table->cells != NULL && i <= table->mask; i++) {
        if (table->cells[i] != 0) put_cell(cells, cell_count - 1, table->cells[i]);
    }
    free(table->cells);
    table->cells = cells;
    table->mask = cell_count - 1;
    return BW_OK;
}

/// Keeps at least three cells in eight free: probes stay short.
static bw_status
make_room(bw_table *table)
{
    if (table->cells == NULL) return resize(table, LEAST_CELLS);
    if ((uint64_t)(table->count + 1) * 8 <= (table->mask + 1) * 5) return BW_OK;
    return resize(table, 2 * (table->mask + 1));
}

static bw_status
add_chunk(bw_table *table)
{
    if (table->chunk_count == table->chunk_capacity) {
        uint32_t capacity = table->chunk_capacity == 0 ? 4 : 2 * table->chunk_capacity;
        char **chunks = realloc((void *)table->chunks, capacity * sizeof *chunks);
        if (chunks == NULL) return BW_ENOMEM;
        table->chunks = chunks;
        table->chunk_capacity = capacity;
    }
    char *chunk = malloc(BW_TABLE_CHUNK * table->entry_size);
    if (chunk == NULL) return BW_ENOMEM;
    table->chunks[table->chunk_count++] = chunk;
    return BW_OK;
}

/// An entry that nothing is in, with its id set. NULL: no memory.
static bw_entry *
free_entry(bw_table *table)
{
    uint32_t id = table->free_id;
    if (id != 0) {
        bw_entry *entry = bw_table_entry(table, id);
        table->free_id = entry->id;
        entry->id = id;
        return entry;
    }
    if ((table->next_id - 1) / BW_TABLE_CHUNK == table->chunk_count && add_chunk(table) != BW_OK) {
        return NULL;
    }
    bw_entry *entry = bw_table_entry(table, table->next_id);
    entry->id = table->next_id++;
    return entry;
}

bw_status
bw_table_insert(bw_table *table, void *key, bw_bytes bytes, uint64_t hash, bw_entry **out)
{
    BW_ASSERT_SLOW(bw_table_find(table, bytes.data, bytes.size, hash) == NULL);
    if (bytes.size > UINT32_MAX || table->next_id == UINT32_MAX) return BW_EINVAL;
    bw_status status = make_room(table);
    if (status != BW_OK) return status;
    bw_entry *entry = free_entry(table);
    if (entry == NULL) return BW_ENOMEM;
    uint32_t id = entry->id;
    memset(entry, 0, table->entry_size);
    entry->id = id;
    entry->hash = hash;
    entry->key = key;
    entry->bytes = bytes.data == NULL ? "" : bytes.data;  // NULL marks a free entry
    entry->size = (uint32_t)bytes.size;
    put_cell(table->cells, table->mask, hash << 32 | entry->id);
    table->count++;
    *out = entry;
    return BW_OK;
}

/// Frees a cell and moves back those behind it that probed past it.
static void
free_cell(bw_table *table, uint64_t at)
{
    uint64_t hole = at;
    for (uint64_t next = (at + 1) & table->mask;; next = (next + 1) & table->mask) {
        uint64_t cell = table->cells[next];
        if (cell == 0) break;
        uint64_t home = (cell >> 32) & table->mask;
        // It may move into the hole unless its home lies behind the hole, on the way to where it is.
        if (((next - home) & table->mask) < ((next - hole) & table->mask)) continue;
        table->cells[hole] = cell;
        hole = next;
    }
    table->cells[hole] = 0;
}

void
bw_table_remove(bw_table *table, bw_entry *entry)
{
    uint64_t cell = entry->hash << 32 | entry->id;
    uint64_t at = entry->hash & table->mask;
    while (table->cells[at] != cell) {
        BW_ASSERT(table->cells[at] != 0);
        at = (at + 1) & table->mask;
    }
    free_cell(table, at);
    uint32_t id = entry->id;
    entry->key = NULL;
    entry->bytes = NULL;
    entry->id = table->free_id;
    table->free_id = id;
    table->count--;
    if (table->mask + 1 > LEAST_CELLS && (uint64_t)table->count * 8 < table->mask + 1) {
        // No memory for a smaller index: the large one serves as well.
        bw_status status = resize(table, (table->mask + 1) / 4);
        (void)status;
    }
}

void
bw_table_trim(bw_table *table)
{
    if (table->count == 0 && table->chunk_count > 1) free_all(table);
}

bw_entry *
bw_table_next(const bw_table *table, uint32_t *position)
{
    while (*position + 1 < table->next_id) {
        bw_entry *entry = bw_table_entry(table, ++*position);
        if (entry->bytes != NULL) return entry;
    }
    return NULL;
}

size_t
bw_table_size_bytes(const bw_table *table)
{
    size_t size = table->chunk_count * BW_TABLE_CHUNK * table->entry_size;
    size += table->chunk_capacity * sizeof *table->chunks;
    return size + (table->cells == NULL ? 0 : (table->mask + 1) * sizeof *table->cells);
}
