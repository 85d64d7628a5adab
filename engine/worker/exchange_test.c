#include "worker/exchange.h"

#include "base/hash.h"
#include "net/frame.h"
#include "testing/check.h"

enum { WORKERS = 3, WINDOW = 10 };

/// Worker 0 at one end of an exchange of three; items are numbers, never 0.
typedef struct fixture {
    bw_board board;
    bw_batch_pool pool;
    bw_batch_list inbox;
    bool news;
    bw_exchange exchange;
    bw_exchange_host host;
} fixture;

static size_t released;

static void
count_released(void *self, void *const *items, size_t count)
{
    (void)self;
    for (size_t i = 0; i < count; i++) released += items[i] != NULL;
}

static const bw_item_ops ITEMS = {.release = count_released};

static void
set_up(fixture *fixture, bw_route route)
{
    memset(fixture, 0, sizeof *fixture);
    released = 0;
    CHECK_EQ(bw_board_init(&fixture->board, bw_layout_alone(WORKERS), 1, 0, NULL), BW_OK);
    bw_batch_pool_init(&fixture->pool);
    CHECK_EQ(bw_exchange_init(&fixture->exchange, WORKERS, 0), BW_OK);
    fixture->exchange.route = route;
    fixture->host = (bw_exchange_host){.board = &fixture->board,
                                       .pool = &fixture->pool,
                                       .items = &ITEMS,
                                       .worker = 0,
                                       .window = {.items = WINDOW, .bytes = UINT64_MAX},
                                       .inbox = &fixture->inbox,
                                       .news = &fixture->news};
}

static void
tear_down(fixture *fixture)
{
    bw_exchange_fini(&fixture->exchange, &ITEMS);
    bw_batch_list_drop(&fixture->inbox, &ITEMS);
    bw_batch_pool_fini(&fixture->pool);
    bw_board_fini(&fixture->board, &ITEMS);
}

/// Puts `count` items of an epoch in, all for `worker`.
static void
put(fixture *fixture, uint32_t worker, bw_epoch epoch, uint32_t count)
{
    static const uint32_t OWNERS[WORKERS] = {0, 1, 2};
    fixture->exchange.owners = OWNERS;
    bw_batch *batch = bw_batch_pool_get(&fixture->pool, epoch);
    batch->shape = BW_SHAPE_PART;
    for (uintptr_t i = 1; i <= count; i++) {
        bw_batch_push_keyed(batch, NULL, worker, (void *)i);
    }
    CHECK_EQ(bw_exchange_put(&fixture->exchange, &fixture->host, batch), BW_OK);
}

static void
flush(fixture *fixture)
{
    CHECK_EQ(bw_exchange_flush(&fixture->exchange, &fixture->host), BW_OK);
}

static bool
has_room(const fixture *fixture, bw_epoch epoch)
{
    return bw_exchange_has_room(&fixture->exchange, &fixture->host, epoch);
}

/// What has come to a worker, in order: "d2x5" for five items of epoch 2, "m3" for a mark, "c0x5" for
/// room of half 0. Empties the queue.
static const char *
take(fixture *fixture, uint32_t worker)
{
    static char text[256];
    size_t size = 0;
    bw_message_array array = {0};
    text[0] = '\0';
    bw_queue_take(&fixture->board.queues[worker], &array);
    for (size_t i = 0; i < array.count; i++) {
        bw_message *message = &array.messages[i];
        char *at = text + size;
        size_t left = sizeof text - size;
        int written = 0;
        switch (message->kind) {
        case BW_MESSAGE_DATA:
            written = snprintf(at, left, "d%dx%u ", (int)message->epoch, message->batch->count);
            bw_batch_drop(message->batch, &ITEMS);
            break;
        case BW_MESSAGE_MARK:
            written = message->epoch == BW_EPOCH_NONE ? snprintf(at, left, "end%d ", (int)message->last)
                                                      : snprintf(at, left, "m%d ", (int)message->epoch);
            break;
        case BW_MESSAGE_CREDIT:
            written = snprintf(at, left, "c%ux%d ", message->half, (int)message->count);
            break;
        }
        size += (size_t)written;
    }
    free(array.messages);
    return text;
}

#define CHECK_TEXT(got, wanted) check_text(got, wanted, __LINE__)

static void
check_text(const char *got, const char *wanted, int line)
{
    if (strcmp(got, wanted) == 0) return;
    fprintf(stderr, "%s:%d: \"%s\" is not \"%s\"\n", __FILE__, line, got, wanted);
    exit(1);
}

// ---- credit

static void
items_beyond_the_window_wait_until_room_comes_back(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    put(&fixture, 1, 0, 6);
    flush(&fixture);
    CHECK(has_room(&fixture, 0));
    put(&fixture, 1, 0, 5);
    flush(&fixture);
    CHECK_TEXT(take(&fixture, 1), "d0x6 ");  // 5 more would be 11
    CHECK(!has_room(&fixture, 0));           // but they count
    CHECK_EQ(bw_exchange_credit(&fixture.exchange, 1, 0, (bw_amount){.items = 1}), BW_OK);
    flush(&fixture);
    CHECK_TEXT(take(&fixture, 1), "d0x5 ");
    CHECK(!has_room(&fixture, 0));
    CHECK_EQ(bw_exchange_credit(&fixture.exchange, 1, 0, (bw_amount){.items = 10}), BW_OK);
    CHECK(has_room(&fixture, 0));
    tear_down(&fixture);
}

static void
one_full_peer_is_enough_to_have_no_room(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    put(&fixture, 2, 0, WINDOW);
    flush(&fixture);
    CHECK(!has_room(&fixture, 0));
    tear_down(&fixture);
}

static void
later_epochs_do_not_take_the_room_of_the_oldest(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    put(&fixture, 1, 1, WINDOW);
    put(&fixture, 1, 2, 3);
    flush(&fixture);
    CHECK_TEXT(take(&fixture, 1), "d1x10 ");
    CHECK(!has_room(&fixture, 1));
    CHECK(has_room(&fixture, 0));
    put(&fixture, 1, 0, 4);
    flush(&fixture);
    CHECK_TEXT(take(&fixture, 1), "d0x4 ");
    tear_down(&fixture);
}

static void
half_follows_the_oldest_epoch_and_room_returns_to_where_it_was_taken(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    put(&fixture, 1, 1, WINDOW);
    flush(&fixture);
    for (uint32_t i = 0; i < WORKERS; i++) bw_board_close(&fixture.board, i, 1);
    CHECK(has_room(&fixture, 1));  // epoch 1 is the oldest now, and has a half for itself
    put(&fixture, 1, 1, WINDOW);
    flush(&fixture);
    CHECK_TEXT(take(&fixture, 1), "d1x10 d1x10 ");
    CHECK(!has_room(&fixture, 1) && !has_room(&fixture, 2));
    CHECK_EQ(bw_exchange_credit(&fixture.exchange, 1, 1, (bw_amount){.items = WINDOW}), BW_OK);
    CHECK(!has_room(&fixture, 1) && has_room(&fixture, 2));
    tear_down(&fixture);
}

static void
batch_larger_than_the_half_goes_alone(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    put(&fixture, 1, 0, 25);
    flush(&fixture);
    CHECK_TEXT(take(&fixture, 1), "d0x25 ");
    put(&fixture, 1, 0, 1);
    flush(&fixture);
    CHECK_TEXT(take(&fixture, 1), "");
    CHECK_EQ(bw_exchange_credit(&fixture.exchange, 1, 0, (bw_amount){.items = 25}), BW_OK);
    flush(&fixture);
    CHECK_TEXT(take(&fixture, 1), "d0x1 ");
    tear_down(&fixture);
}

static void
window_of_one_sends_one_by_one(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    fixture.host.window.items = 1;
    put(&fixture, 1, 0, 1);
    flush(&fixture);
    put(&fixture, 1, 0, 1);
    flush(&fixture);
    CHECK_TEXT(take(&fixture, 1), "d0x1 ");
    CHECK(!has_room(&fixture, 0) && has_room(&fixture, 1));
    CHECK_EQ(bw_exchange_credit(&fixture.exchange, 1, 0, (bw_amount){.items = 1}), BW_OK);
    flush(&fixture);
    CHECK_TEXT(take(&fixture, 1), "d0x1 ");
    tear_down(&fixture);
}

static void
room_that_was_never_taken_is_refused(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    put(&fixture, 1, 0, 2);
    flush(&fixture);
    CHECK_EQ(bw_exchange_credit(&fixture.exchange, 1, 0, (bw_amount){.items = 3}), BW_ECORRUPT);
    CHECK_EQ(bw_exchange_credit(&fixture.exchange, 1, 1, (bw_amount){.items = 1}), BW_ECORRUPT);
    CHECK_EQ(bw_exchange_credit(&fixture.exchange, 1, 2, (bw_amount){.items = 1}), BW_ECORRUPT);
    CHECK_EQ(bw_exchange_credit(&fixture.exchange, 1, 0, (bw_amount){.items = 2}), BW_OK);
    tear_down(&fixture);
}

static void
processed_items_are_paid_for_once_by_half(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    bw_exchange_owe(&fixture.exchange, 2, 0, (bw_amount){.items = 3});
    bw_exchange_owe(&fixture.exchange, 2, 1, (bw_amount){.items = 1});
    bw_exchange_owe(&fixture.exchange, 2, 0, (bw_amount){.items = 4});
    CHECK_EQ(bw_exchange_pay(&fixture.exchange, &fixture.host), BW_OK);
    CHECK_EQ(bw_exchange_pay(&fixture.exchange, &fixture.host), BW_OK);
    CHECK_TEXT(take(&fixture, 2), "c0x7 c1x1 ");
    tear_down(&fixture);
}

static void
worker_is_its_own_peer_like_any_other(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    put(&fixture, 0, 0, WINDOW);
    flush(&fixture);
    CHECK(fixture.news && fixture.inbox.first->count == WINDOW);
    CHECK(!has_room(&fixture, 0));
    bw_exchange_owe(&fixture.exchange, 0, fixture.inbox.first->half, (bw_amount){.items = WINDOW});
    CHECK_EQ(bw_exchange_pay(&fixture.exchange, &fixture.host), BW_OK);
    CHECK(has_room(&fixture, 0));
    tear_down(&fixture);
}

// ---- order

static void
pending_items_leave_older_epochs_first(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    put(&fixture, 1, 2, 1);
    put(&fixture, 1, 0, 2);
    put(&fixture, 1, 1, 3);
    put(&fixture, 1, 0, 4);  // joins those of its epoch
    flush(&fixture);
    CHECK_TEXT(take(&fixture, 1), "d0x6 d1x3 d2x1 ");
    tear_down(&fixture);
}

static void
full_batch_leaves_at_once(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    put(&fixture, 1, 0, BW_BATCH_ITEMS - 1);
    CHECK_TEXT(take(&fixture, 1), "");
    put(&fixture, 1, 0, 1);
    CHECK_TEXT(take(&fixture, 1), "d0x1024 ");
    tear_down(&fixture);
}

static void
marks_never_overtake_pending_items(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    put(&fixture, 1, 0, WINDOW);
    flush(&fixture);
    put(&fixture, 1, 1, WINDOW);
    put(&fixture, 1, 2, 1);
    flush(&fixture);
    CHECK_EQ(bw_exchange_announce(&fixture.exchange, &fixture.host, 4, 0), BW_OK);
    CHECK_TEXT(take(&fixture, 1), "d0x10 d1x10 m2 ");  // an item of epoch 2 waits
    CHECK_TEXT(take(&fixture, 2), "m4 ");
    CHECK_EQ(bw_exchange_announce(&fixture.exchange, &fixture.host, BW_EPOCH_NONE, 4), BW_OK);
    CHECK_TEXT(take(&fixture, 1), "");
    CHECK(!bw_exchange_is_done(&fixture.exchange, WORKERS));
    CHECK_EQ(bw_exchange_credit(&fixture.exchange, 1, 1, (bw_amount){.items = WINDOW}), BW_OK);
    flush(&fixture);
    CHECK_EQ(bw_exchange_announce(&fixture.exchange, &fixture.host, BW_EPOCH_NONE, 4), BW_OK);
    CHECK_TEXT(take(&fixture, 1), "d2x1 end4 ");
    CHECK(bw_exchange_is_done(&fixture.exchange, WORKERS));
    tear_down(&fixture);
}

static void
mark_is_announced_once_and_reaches_the_worker_itself(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(bw_exchange_announce(&fixture.exchange, &fixture.host, 3, 0), BW_OK);
    }
    CHECK_TEXT(take(&fixture, 1), "m3 ");
    CHECK(fixture.news);
    CHECK_EQ(bw_frontier_advance(fixture.exchange.frontier, 1, 5), BW_OK);
    CHECK_EQ(bw_frontier_advance(fixture.exchange.frontier, 2, 5), BW_OK);
    CHECK_EQ(bw_frontier_epoch(fixture.exchange.frontier), 3);  // its own
    tear_down(&fixture);
}

// ---- routes

static void
dealing_gives_one_to_each_in_turn_worker_1_first(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_DEAL);
    bw_batch *batch = bw_batch_pool_get(&fixture.pool, 0);
    for (uintptr_t i = 1; i <= 7; i++) bw_batch_push(batch, (void *)i);
    CHECK_EQ(bw_exchange_put(&fixture.exchange, &fixture.host, batch), BW_OK);
    const uintptr_t wanted[WORKERS][4] = {{3, 6, 0}, {1, 4, 7, 0}, {2, 5, 0}};
    for (uint32_t i = 0; i < WORKERS; i++) {
        const bw_batch *pending = fixture.exchange.peers[i].pending.first;
        uint32_t count = 0;
        while (wanted[i][count] != 0) count++;
        CHECK_EQ(pending->count, count);
        for (uint32_t k = 0; k < count; k++) CHECK_EQ((uintptr_t)pending->items[k], wanted[i][k]);
    }
    tear_down(&fixture);
}

static void
keys_go_to_their_owners_with_key_hash_and_value(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_KEY);
    bw_batch *batch = bw_batch_pool_get(&fixture.pool, 0);
    batch->shape = BW_SHAPE_KEYED;
    for (uintptr_t i = 1; i <= 100; i++) {
        bw_batch_push_keyed(batch, (void *)(i + 1000), bw_hash(&i, sizeof i), (void *)i);
    }
    CHECK_EQ(bw_exchange_put(&fixture.exchange, &fixture.host, batch), BW_OK);
    size_t total = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        const bw_batch *pending = fixture.exchange.peers[i].pending.first;
        CHECK(pending->count > 10);
        total += pending->count;
        for (uint32_t k = 0; k < pending->count; k++) {
            uintptr_t value = (uintptr_t)pending->items[k];
            CHECK_EQ((uintptr_t)pending->keys[k], value + 1000);
            CHECK_EQ(pending->hashes[k], bw_hash(&value, sizeof value));
            CHECK_EQ(bw_hash_owner(pending->hashes[k], WORKERS), i);
        }
    }
    CHECK_EQ(total, 100);
    tear_down(&fixture);
}

static void
what_waits_is_released_with_the_exchange(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    put(&fixture, 0, 0, 2);
    put(&fixture, 1, 0, 3);
    flush(&fixture);
    put(&fixture, 1, 1, WINDOW);
    put(&fixture, 1, 2, 4);
    tear_down(&fixture);
    CHECK_EQ(released, 2 + 3 + WINDOW + 4);
}

static void
small_part_of_a_large_window_is_paid_with_more(void)
{
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    fixture.host.window.items = 8 * BW_BATCH_ITEMS;
    bw_exchange_owe(&fixture.exchange, 1, 0, (bw_amount){.items = BW_BATCH_ITEMS - 1});
    bw_exchange_owe(&fixture.exchange, 2, 0, (bw_amount){.items = BW_BATCH_ITEMS});
    CHECK_EQ(bw_exchange_pay(&fixture.exchange, &fixture.host), BW_OK);
    CHECK_TEXT(take(&fixture, 1), "");
    CHECK_TEXT(take(&fixture, 2), "c0x1024 ");
    bw_exchange_owe(&fixture.exchange, 1, 0, (bw_amount){.items = 1});
    CHECK_EQ(bw_exchange_pay(&fixture.exchange, &fixture.host), BW_OK);
    CHECK_TEXT(take(&fixture, 1), "c0x1024 ");
    fixture.host.window.bytes = 8000;
    bw_exchange_owe(&fixture.exchange, 1, 0, (bw_amount){.items = 1, .bytes = 1000});
    CHECK_EQ(bw_exchange_pay(&fixture.exchange, &fixture.host), BW_OK);
    CHECK_TEXT(take(&fixture, 1), "c0x1 ");
    tear_down(&fixture);
}

static bw_status
encode_large(void *self, const bw_batch *batch, bw_writer *writer)
{
    static const uint8_t BYTES[1000] = {0};
    (void)self;
    for (uint32_t i = 0; i < batch->count; i++)
        CHECK_EQ(bw_writer_put(writer, BYTES, sizeof BYTES), BW_OK);
    return BW_OK;
}

/// Empties an outbox whose records begin with a batch each. Returns how many batches were in it.
static uint32_t
count_batches(bw_outbox *outbox)
{
    uint32_t count = 0;
    for (bw_block *block; (block = bw_outbox_take(outbox, 1)) != NULL; bw_block_free(block)) {
        const uint8_t *at = block->bytes;
        bw_frame frame;
        while (bw_frame_next(&at, block->bytes + block->size, &frame) == BW_OK) {
            count += frame.kind == BW_FRAME_DATA;
        }
    }
    return count;
}

static void
large_items_leave_in_batches_of_a_block(void)
{
    static const bw_item_ops LARGE = {.release = count_released, .encode = encode_large};
    enum { COUNT = 600, PER_BATCH = 60 };
    fixture fixture;
    set_up(&fixture, BW_ROUTE_PART);
    bw_outbox outbox;
    CHECK_EQ(bw_outbox_init(&outbox, NULL, NULL), BW_OK);
    bw_outlet outlets[WORKERS] = {0};  // of a process for each
    for (int i = 1; i < WORKERS; i++) bw_outlet_init(&outlets[i], &outbox);
    fixture.board.layout = (bw_layout){.process_count = WORKERS, .local_count = 1};
    fixture.host.outlets = outlets;
    fixture.host.items = &LARGE;
    fixture.host.window.items = 4 * COUNT;
    put(&fixture, 1, 0, COUNT);  // how large they are, the first batch tells
    flush(&fixture);
    bw_outlet_push(&outlets[1]);
    CHECK_EQ(count_batches(&outbox), 1);
    put(&fixture, 1, 0, COUNT);
    CHECK(count_batches(&outbox) >= COUNT / PER_BATCH - 1);  // without a push from outside
    bw_outlet_push(&outlets[1]);
    CHECK(count_batches(&outbox) <= 3);
    fixture.board.layout = bw_layout_alone(WORKERS);
    bw_outbox_fini(&outbox);
    tear_down(&fixture);
}

TEST_MAIN(TEST(items_beyond_the_window_wait_until_room_comes_back),
          TEST(one_full_peer_is_enough_to_have_no_room),
          TEST(later_epochs_do_not_take_the_room_of_the_oldest),
          TEST(half_follows_the_oldest_epoch_and_room_returns_to_where_it_was_taken),
          TEST(batch_larger_than_the_half_goes_alone), TEST(window_of_one_sends_one_by_one),
          TEST(room_that_was_never_taken_is_refused), TEST(processed_items_are_paid_for_once_by_half),
          TEST(worker_is_its_own_peer_like_any_other), TEST(pending_items_leave_older_epochs_first),
          TEST(full_batch_leaves_at_once), TEST(marks_never_overtake_pending_items),
          TEST(mark_is_announced_once_and_reaches_the_worker_itself),
          TEST(dealing_gives_one_to_each_in_turn_worker_1_first),
          TEST(keys_go_to_their_owners_with_key_hash_and_value),
          TEST(what_waits_is_released_with_the_exchange), TEST(large_items_leave_in_batches_of_a_block),
          TEST(small_part_of_a_large_window_is_paid_with_more))
