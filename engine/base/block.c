#include "base/block.h"

#include <stdlib.h>

// Below this a block is made to measure.
#define POOLED_LEAST (BW_BLOCK_BYTES / 4)

/// False: no memory could hold it, where a size has 32 bits and a peer says how large its batch is.
static bool
is_possible(size_t capacity)
{
    return capacity <= SIZE_MAX - sizeof(bw_block) - BW_BLOCK_TAIL;
}

bw_block *
bw_block_new(size_t capacity)
{
    BW_ASSERT(capacity <= UINT32_MAX);
    if (!is_possible(capacity)) return NULL;
    bw_block *block = malloc(sizeof *block + capacity + BW_BLOCK_TAIL);
    if (block == NULL) return NULL;
    block->next = NULL;
    block->pool = NULL;
    block->size = 0;
    block->capacity = (uint32_t)capacity;
    return block;
}

bool
bw_block_resize(bw_block **block, size_t capacity)
{
    BW_ASSERT(capacity >= (*block)->size && capacity <= UINT32_MAX && (*block)->pool == NULL);
    if (!is_possible(capacity)) return false;
    bw_block *moved = realloc(*block, sizeof *moved + capacity + BW_BLOCK_TAIL);
    if (moved == NULL) return false;
    moved->capacity = (uint32_t)capacity;
    *block = moved;
    return true;
}

/// False: it has enough of them.
static bool
give_back(bw_block_pool *pool, bw_block *block)
{
    pthread_mutex_lock(&pool->lock);
    bool is_wanted = pool->count < BW_POOL_BLOCKS;
    if (is_wanted) {
        block->next = pool->first;
        pool->first = block;
        pool->count++;
    }
    pthread_mutex_unlock(&pool->lock);
    return is_wanted;
}

void
bw_block_free(bw_block *block)
{
    if (block == NULL || block->pool == NULL || !give_back(block->pool, block)) free(block);
}

void
bw_block_free_all(bw_block *first)
{
    while (first != NULL) {
        bw_block *next = first->next;
        bw_block_free(first);
        first = next;
    }
}

// ---- pools

bw_status
bw_block_pool_init(bw_block_pool *pool)
{
    *pool = (bw_block_pool){0};
    return pthread_mutex_init(&pool->lock, NULL) == 0 ? BW_OK : BW_ENOMEM;
}

void
bw_block_pool_fini(bw_block_pool *pool)
{
    while (pool->first != NULL) {
        bw_block *next = pool->first->next;
        free(pool->first);
        pool->first = next;
    }
    pthread_mutex_destroy(&pool->lock);
}

/// NULL: it has none.
static bw_block *
take(bw_block_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bw_block *block = pool->first;
    if (block != NULL) {
        pool->first = block->next;
        pool->count--;
    }
    pthread_mutex_unlock(&pool->lock);
    return block;
}

bw_block *
bw_block_pool_get(bw_block_pool *pool, size_t capacity)
{
    if (pool == NULL || capacity < POOLED_LEAST || capacity > BW_BLOCK_BYTES)
        return bw_block_new(capacity);
    bw_block *block = take(pool);
    if (block == NULL) block = bw_block_new(BW_BLOCK_BYTES);
    if (block == NULL) return NULL;
    block->next = NULL;
    block->size = 0;
    block->pool = pool;
    return block;
}

// ---- writing

void
bw_writer_init(bw_writer *writer, uint32_t skip)
{
    BW_ASSERT(skip + BW_WRITER_RESERVE <= BW_BLOCK_BYTES);
    *writer = (bw_writer){.skip = skip};
}

void
bw_writer_fini(bw_writer *writer)
{
    bw_block_free_all(writer->first);
}

static void
note_size(bw_writer *writer)
{
    if (writer->last != NULL) writer->last->size = (uint32_t)(writer->at - writer->last->bytes);
}

static bw_status
add_block(bw_writer *writer, size_t least)
{
    bool first = writer->first == NULL && writer->first_bytes > 0;
    size_t capacity = first ? writer->first_bytes : BW_BLOCK_BYTES;
    if (capacity < least) capacity = least;
    bw_block *block = bw_block_pool_get(writer->pool, capacity);
    if (block == NULL) return BW_ENOMEM;
    note_size(writer);
    if (writer->last == NULL) {
        writer->first = block;
    } else {
        writer->last->next = block;
    }
    writer->last = block;
    writer->at = block->bytes;
    writer->end = block->bytes + block->capacity;
    return BW_OK;
}

bw_status
bw_writer_grow(bw_writer *writer)
{
    bw_status status = add_block(writer, writer->skip + BW_WRITER_RESERVE);
    if (status == BW_OK) writer->at += writer->skip;
    return status;
}

bw_status
bw_writer_start_block(bw_writer *writer, size_t size)
{
    return add_block(writer, size);
}

bw_block *
bw_writer_take(bw_writer *writer)
{
    note_size(writer);
    bw_block *first = writer->first;
    *writer =
        (bw_writer){.skip = writer->skip, .first_bytes = writer->first_bytes, .pool = writer->pool};
    return first;
}

void
bw_writer_rewind(bw_writer *writer, bw_writer_mark mark)
{
    if (mark.block == NULL) {
        bw_block_free_all(bw_writer_take(writer));
        return;
    }
    bw_block_free_all(mark.block->next);
    mark.block->next = NULL;
    writer->last = mark.block;
    writer->at = mark.at;
    writer->end = mark.block->bytes + mark.block->capacity;
}

bw_status
bw_writer_put_across(bw_writer *writer, const void *data, size_t size)
{
    const uint8_t *from = data;
    while (size > 0) {
        size_t room = (size_t)(writer->end - writer->at);
        if (room == 0) {
            bw_status status = bw_writer_grow(writer);
            if (status != BW_OK) return status;
            continue;
        }
        size_t part = size < room ? size : room;
        memcpy(writer->at, from, part);
        writer->at += part;
        from += part;
        size -= part;
    }
    return BW_OK;
}
