// block.h - bytes on their way to another process, and a writer of them that never moves what it wrote.
#ifndef BW_BASE_BLOCK_H
#define BW_BASE_BLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/status.h"

// Left free before and behind the bytes, for the length and the tag of the record that a block becomes.
#define BW_BLOCK_HEAD 8
#define BW_BLOCK_TAIL 16

// With malloc's own header below the 64 KiB from which a fresh block costs page faults.
#define BW_BLOCK_BYTES (64 * 1024 - 128)

// Most that bw_writer_reserve() can be asked for.
#define BW_WRITER_RESERVE 256

typedef struct bw_block_pool bw_block_pool;

typedef struct bw_block {
    struct bw_block *next;
    bw_block_pool *pool;      // borrowed: which gets it back; NULL: the system does
    uint32_t size, capacity;  // of `bytes`
    uint8_t head[BW_BLOCK_HEAD];
    uint8_t bytes[];  // behind them BW_BLOCK_TAIL bytes more
} bw_block;

/// NULL: no memory.
bw_block *bw_block_new(size_t capacity);
/// Gives a block, which may move, another capacity, not below its size. False, with the block as it was: no memory.
BW_NODISCARD bool bw_block_resize(bw_block **block, size_t capacity);
/// Any thread.
void bw_block_free(bw_block *block);      // NULL is allowed
void bw_block_free_all(bw_block *first);  // it and all that follow

// Blocks that a pool holds at most.
#define BW_POOL_BLOCKS 64

/// Blocks of BW_BLOCK_BYTES, to be used again: the system takes such memory back when it is freed, and each page costs a
/// fault when it gives it anew.
struct bw_block_pool {
    pthread_mutex_t lock;  // guards what follows
    bw_block *first;       // the one that came last: what of it is in the cache
    uint32_t count;
};

BW_NODISCARD bw_status bw_block_pool_init(bw_block_pool *pool);
void bw_block_pool_fini(bw_block_pool *pool);  // all that came from it are freed

/// Any thread. A block with room for `capacity` bytes or more: of the pool (NULL: none) if it is large enough to be
/// worth it and not too large. NULL: no memory.
bw_block *bw_block_pool_get(bw_block_pool *pool, size_t capacity);

/// Appends to a chain of blocks. Bytes are written at `at`, up to `end`.
typedef struct bw_writer {
    uint8_t *at, *end;  // room in `last`; both NULL without one
    bw_block *first, *last;
    uint32_t skip;         // bytes left for the owner at the start of each block that grow() adds
    uint32_t first_bytes;  // capacity of the first block; 0: BW_BLOCK_BYTES, as that of all others
    bw_block_pool *pool;   // borrowed: where blocks come from; NULL: from the system
} bw_writer;

typedef struct bw_writer_mark {
    bw_block *block;
    uint8_t *at;
} bw_writer_mark;

void bw_writer_init(bw_writer *writer, uint32_t skip);
void bw_writer_fini(bw_writer *writer);

/// Goes on in a block of its own. BW_ENOMEM.
BW_NODISCARD bw_status bw_writer_grow(bw_writer *writer);

/// The same with room for `size` bytes or more in a row, and nothing skipped before them. BW_ENOMEM.
BW_NODISCARD bw_status bw_writer_start_block(bw_writer *writer, size_t size);

/// Gives all blocks away, sizes set: the writer is empty. NULL if nothing was written.
bw_block *bw_writer_take(bw_writer *writer);

/// Where it is; rewind() takes back all that was written since.
static inline bw_writer_mark
bw_writer_tell(const bw_writer *writer)
{
    return (bw_writer_mark){.block = writer->last, .at = writer->at};
}
void bw_writer_rewind(bw_writer *writer, bw_writer_mark mark);

/// Makes room for `size` (<= BW_WRITER_RESERVE) bytes in a row at `at`. BW_ENOMEM.
static inline BW_NODISCARD bw_status
bw_writer_reserve(bw_writer *writer, size_t size)
{
    BW_ASSERT_SLOW(size <= BW_WRITER_RESERVE);
    return (size_t)(writer->end - writer->at) >= size ? BW_OK : bw_writer_grow(writer);
}

/// The part of put() for what does not fit into the present block.
BW_NODISCARD bw_status bw_writer_put_across(bw_writer *writer, const void *data, size_t size);

/// Appends bytes, through as many blocks as that takes. BW_ENOMEM.
static inline BW_NODISCARD bw_status
bw_writer_put(bw_writer *writer, const void *data, size_t size)
{
    if ((size_t)(writer->end - writer->at) < size) return bw_writer_put_across(writer, data, size);
    if (size > 0) memcpy(writer->at, data, size);
    writer->at += size;
    return BW_OK;
}

#endif
