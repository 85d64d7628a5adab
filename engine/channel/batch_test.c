#include "channel/batch.h"

#include "testing/check.h"

static size_t released;

static void
count_released(void *self, void *const *items, size_t count)
{
    (void)self;
    for (size_t i = 0; i < count; i++) released += items[i] != NULL;
}

static const bw_item_ops ITEMS = {.release = count_released};

static void
list_gives_older_epochs_first_and_keeps_the_order_within_one(void)
{
    const bw_epoch epochs[] = {3, 5, 3, 4, 5, 1};
    const uint32_t order[] = {5, 0, 2, 3, 1, 4};  // of the above
    bw_batch_pool pool;
    bw_batch_pool_init(&pool);
    bw_batch_list list = {0};
    for (uint32_t i = 0; i < 6; i++) {
        bw_batch *batch = bw_batch_pool_get(&pool, epochs[i]);
        batch->sender = i;
        bw_batch_list_insert(&list, batch);
    }
    for (uint32_t i = 0; i < 6; i++) {
        bw_batch *batch = bw_batch_list_take(&list);
        CHECK_EQ(batch->sender, order[i]);
        bw_batch_pool_put(&pool, batch);
    }
    CHECK(bw_batch_list_take(&list) == NULL && list.last == NULL);
    bw_batch_pool_fini(&pool);
}

static void
pool_hands_out_what_was_put_back(void)
{
    bw_batch_pool pool;
    bw_batch_pool_init(&pool);
    bw_batch *batch = bw_batch_pool_get(&pool, 7);
    batch->shape = BW_SHAPE_KEYED;
    bw_batch_push_keyed(batch, NULL, 1, &pool);
    bw_batch_pool_put(&pool, batch);
    CHECK(bw_batch_pool_get(&pool, 8) == batch);
    CHECK_EQ(batch->epoch, 8);
    CHECK_EQ(batch->count, 0);
    CHECK_EQ(batch->shape, BW_SHAPE_PLAIN);
    bw_batch_pool_put(&pool, batch);
    bw_batch_pool_fini(&pool);
}

static void
drop_releases_items_and_keys(void)
{
    bw_batch_pool pool;
    bw_batch_pool_init(&pool);
    bw_batch *batch = bw_batch_pool_get(&pool, 0);
    batch->shape = BW_SHAPE_KEYED;
    int thing;
    for (int i = 0; i < 3; i++) bw_batch_push_keyed(batch, &thing, 0, i == 0 ? NULL : &thing);
    bw_batch_drop(batch, &ITEMS);
    CHECK_EQ(released, 5);
    bw_batch_pool_fini(&pool);
}

static void
few_items_are_moved_into_a_block_of_their_size_and_many_stay(void)
{
    bw_batch_pool pool;
    bw_batch_pool_init(&pool);
    int thing, key;
    bw_batch *large = bw_batch_pool_get(&pool, 7);
    large->shape = BW_SHAPE_KEYED;
    for (uint64_t i = 0; i < 3; i++) bw_batch_push_keyed(large, &key, i, &thing);
    bw_batch *small = bw_batch_pool_trim(&pool, large);
    CHECK(small != large && pool.first == large);
    CHECK_EQ(small->epoch, 7);
    CHECK_EQ(small->shape, BW_SHAPE_KEYED);
    CHECK_EQ(small->count, 3);
    CHECK_EQ(small->capacity, 3);
    CHECK(small->items[2] == &thing && small->keys[2] == &key && small->hashes[2] == 2);
    bw_batch_pool_put(&pool, small);  // is freed: the pool keeps blocks of one size
    CHECK_EQ(pool.count, 1);
    large = bw_batch_pool_get(&pool, 8);
    while (!bw_batch_is_full(large)) bw_batch_push(large, &thing);
    CHECK(bw_batch_pool_trim(&pool, large) == large);
    bw_batch_pool_put(&pool, large);
    bw_batch_pool_fini(&pool);
}

TEST_MAIN(TEST(list_gives_older_epochs_first_and_keeps_the_order_within_one),
          TEST(pool_hands_out_what_was_put_back), TEST(drop_releases_items_and_keys),
          TEST(few_items_are_moved_into_a_block_of_their_size_and_many_stay))
