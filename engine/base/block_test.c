#include "base/block.h"

#include "testing/check.h"

enum { SKIP = 12 };

/// What a chain holds, in a row, without the `skip` bytes that start all blocks but the first.
static size_t
gather(const bw_block *first, uint32_t skip, uint8_t *to)
{
    size_t size = 0;
    for (const bw_block *block = first; block != NULL; block = block->next) {
        uint32_t from = block == first ? 0 : skip;
        memcpy(to + size, block->bytes + from, block->size - from);
        size += block->size - from;
    }
    return size;
}

static void
fill(uint8_t *bytes, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

static void
bytes_come_out_as_they_went_in_across_blocks(void)
{
    static uint8_t in[300000], out[sizeof in];
    fill(in, sizeof in, 1);
    for (size_t part = 1; part < sizeof in; part = part * 3 + 1) {
        bw_writer writer;
        bw_writer_init(&writer, SKIP);
        CHECK_EQ(bw_writer_start_block(&writer, 1), BW_OK);
        for (size_t at = 0; at < sizeof in; at += part) {
            size_t size = sizeof in - at < part ? sizeof in - at : part;
            CHECK_EQ(bw_writer_put(&writer, in + at, size), BW_OK);
        }
        bw_block *first = bw_writer_take(&writer);
        CHECK_EQ(gather(first, SKIP, out), sizeof in);
        CHECK(memcmp(in, out, sizeof in) == 0);
        CHECK(writer.first == NULL && writer.at == NULL && writer.skip == SKIP);
        for (const bw_block *block = first; block->next != NULL; block = block->next) {
            CHECK_EQ(block->size, block->capacity);
        }
        bw_block_free_all(first);
    }
}

static void
what_is_reserved_lies_in_a_row(void)
{
    bw_writer writer;
    bw_writer_init(&writer, SKIP);
    for (uint32_t i = 0; i < 2000; i++) {
        CHECK_EQ(bw_writer_reserve(&writer, BW_WRITER_RESERVE), BW_OK);
        memset(writer.at, (int)i, BW_WRITER_RESERVE);  // ASan sees what does not fit
        writer.at += 100 + i % 100;
    }
    bw_block *first = bw_writer_take(&writer);
    size_t size = 0;
    for (const bw_block *block = first; block != NULL; block = block->next) {
        CHECK(block->size <= block->capacity);
        size += block->size - SKIP;
    }
    CHECK_EQ(size, 2000 * 100 + 20 * 4950);
    bw_block_free_all(first);
}

static void
first_block_is_as_large_as_its_owner_expects(void)
{
    bw_writer writer;
    bw_writer_init(&writer, 0);
    writer.first_bytes = 1000;
    CHECK_EQ(bw_writer_put(&writer, "x", 1), BW_OK);
    CHECK_EQ(writer.last->capacity, 1000);
    CHECK_EQ(bw_writer_start_block(&writer, 1), BW_OK);
    CHECK_EQ(writer.last->capacity, BW_BLOCK_BYTES);
    CHECK_EQ(bw_writer_start_block(&writer, 1 << 20), BW_OK);
    CHECK_EQ(writer.last->capacity, 1 << 20);
    bw_block_free_all(bw_writer_take(&writer));
    CHECK_EQ(writer.first_bytes, 1000);
    writer.first_bytes = 1;  // too small for what reserve() promises
    CHECK_EQ(bw_writer_reserve(&writer, BW_WRITER_RESERVE), BW_OK);
    CHECK(writer.end - writer.at >= BW_WRITER_RESERVE);
    bw_writer_fini(&writer);
}

static void
rewind_takes_back_what_came_after_the_mark(void)
{
    static uint8_t in[200000], out[sizeof in];
    fill(in, sizeof in, 5);
    // Where the mark is, in bytes: nowhere yet, in the first block, at the end of one, in a later one.
    const size_t before[] = {0, 10, BW_BLOCK_BYTES, BW_BLOCK_BYTES + 1, 150000};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        bw_writer writer;
        bw_writer_init(&writer, 0);
        CHECK_EQ(bw_writer_put(&writer, in, before[i]), BW_OK);
        bw_writer_mark mark = bw_writer_tell(&writer);
        CHECK_EQ(bw_writer_put(&writer, in, sizeof in), BW_OK);
        bw_writer_rewind(&writer, mark);
        CHECK_EQ(bw_writer_put(&writer, in + before[i], sizeof in - before[i]), BW_OK);
        bw_block *first = bw_writer_take(&writer);
        CHECK_EQ(gather(first, 0, out), sizeof in);
        CHECK(memcmp(in, out, sizeof in) == 0);
        bw_block_free_all(first);
    }
}

static void
rewind_to_the_start_leaves_nothing(void)
{
    bw_writer writer;
    bw_writer_init(&writer, SKIP);
    bw_writer_mark mark = bw_writer_tell(&writer);
    CHECK_EQ(bw_writer_reserve(&writer, 10), BW_OK);
    bw_writer_rewind(&writer, mark);
    CHECK(bw_writer_take(&writer) == NULL);
    bw_writer_fini(&writer);
}

static void
resized_block_keeps_its_bytes(void)
{
    bw_block *block = bw_block_new(100);
    CHECK(block != NULL);
    fill(block->bytes, 100, 3);
    block->size = 100;
    const size_t capacities[] = {5000, 3000000, 100};
    for (int i = 0; i < 3; i++) {
        CHECK(bw_block_resize(&block, capacities[i]));
        CHECK_EQ(block->capacity, capacities[i]);
        memset(block->bytes + 100, 7, capacities[i] - 100 + BW_BLOCK_TAIL);
        uint8_t wanted[100];
        fill(wanted, 100, 3);
        CHECK(block->size == 100 && memcmp(block->bytes, wanted, 100) == 0);
    }
    bw_block_free(block);
}

static void
pool_gives_again_what_it_got_back(void)
{
    bw_block_pool pool;
    CHECK_EQ(bw_block_pool_init(&pool), BW_OK);
    bw_block *block = bw_block_pool_get(&pool, 40000);
    CHECK_EQ(block->capacity, BW_BLOCK_BYTES);
    block->size = 7;
    bw_block_free(block);
    CHECK_EQ(pool.count, 1);
    bw_block *again = bw_block_pool_get(&pool, BW_BLOCK_BYTES);
    CHECK(again == block && again->size == 0 && again->next == NULL);
    CHECK_EQ(pool.count, 0);
    bw_block_free(again);
    const size_t others[] = {100, BW_BLOCK_BYTES + 1};
    for (int i = 0; i < 2; i++) {
        bw_block *other = bw_block_pool_get(&pool, others[i]);
        CHECK(other->capacity == others[i] && other->pool == NULL);
        bw_block_free(other);
    }
    CHECK_EQ(pool.count, 1);
    bw_block_pool_fini(&pool);
}

static void
pool_keeps_no_more_than_it_may(void)
{
    bw_block_pool pool;
    CHECK_EQ(bw_block_pool_init(&pool), BW_OK);
    bw_block *first = NULL;
    for (int i = 0; i < BW_POOL_BLOCKS + 10; i++) {
        bw_block *block = bw_block_pool_get(&pool, BW_BLOCK_BYTES);
        block->next = first;
        first = block;
    }
    bw_block_free_all(first);
    CHECK_EQ(pool.count, BW_POOL_BLOCKS);
    bw_block_pool_fini(&pool);
}

TEST_MAIN(TEST(bytes_come_out_as_they_went_in_across_blocks), TEST(what_is_reserved_lies_in_a_row),
          TEST(first_block_is_as_large_as_its_owner_expects),
          TEST(rewind_takes_back_what_came_after_the_mark), TEST(rewind_to_the_start_leaves_nothing),
          TEST(resized_block_keeps_its_bytes), TEST(pool_gives_again_what_it_got_back),
          TEST(pool_keeps_no_more_than_it_may))
