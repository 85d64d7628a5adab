#include "channel/queue.h"

#include <pthread.h>

#include "testing/check.h"

enum { SENDERS = 3, EACH = 20000 };

static const bw_item_ops NO_ITEMS = {0};

typedef struct sender {
    bw_queue *queue;
    uint32_t index;
} sender;

static void *
send_all(void *argument)
{
    sender *me = argument;
    for (uint64_t i = 0; i < EACH; i++) {
        bw_message message = {.kind = BW_MESSAGE_CREDIT, .sender = me->index, .count = i};
        if (bw_queue_push(me->queue, &message) != BW_OK) exit(1);
    }
    return NULL;
}

/// Checks the order of each sender's messages; returns how many there were.
static size_t
receive(bw_queue *queue, bw_message_array *array, uint64_t next[SENDERS])
{
    bw_queue_take(queue, array);
    for (size_t i = 0; i < array->count; i++) {
        CHECK_EQ(array->messages[i].count, next[array->messages[i].sender]);
        next[array->messages[i].sender]++;
    }
    return array->count;
}

static void
sleeping_receiver_gets_all_in_each_senders_order(void)
{
    bw_waker waker;
    bw_queue queue;
    CHECK_EQ(bw_waker_init(&waker), BW_OK);
    CHECK_EQ(bw_queue_init(&queue, &waker), BW_OK);
    pthread_t threads[SENDERS];
    sender senders[SENDERS];
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (sender){.queue = &queue, .index = i};
        CHECK_EQ(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    bw_message_array array = {0};
    uint64_t next[SENDERS] = {0};
    size_t got = 0;
    while (got < (size_t)SENDERS * EACH) {
        bw_waker_arm(&waker);
        if (bw_queue_is_empty(&queue)) bw_waker_wait(&waker, BW_TIME_NEVER, NULL, 0);
        bw_waker_disarm(&waker);
        got += receive(&queue, &array, next);
    }
    for (uint32_t i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    free(array.messages);
    bw_queue_fini(&queue, &NO_ITEMS);
    bw_waker_fini(&waker);
}

static void
push(bw_queue *queue, const bw_message *message)
{
    CHECK_EQ(bw_queue_push(queue, message), BW_OK);
}

static void
mark_takes_the_place_of_the_one_before_it(void)
{
    bw_queue queue;
    CHECK_EQ(bw_queue_init(&queue, NULL), BW_OK);
    bw_message_array array = {0};
    for (bw_epoch epoch = 1; epoch <= 1000; epoch++) {
        push(&queue, &(bw_message){.kind = BW_MESSAGE_MARK, .sender = 1, .exchange = 2, .epoch = epoch});
        push(&queue, &(bw_message){.kind = BW_MESSAGE_MARK, .sender = 1, .exchange = 3, .epoch = epoch});
        push(&queue, &(bw_message){.kind = BW_MESSAGE_MARK, .sender = 0, .exchange = 2, .epoch = epoch});
    }
    push(&queue,
         &(bw_message){
             .kind = BW_MESSAGE_MARK, .sender = 1, .exchange = 3, .epoch = BW_EPOCH_NONE, .last = 7});
    bw_queue_take(&queue, &array);
    CHECK_EQ(array.count, 3);
    CHECK_EQ(array.messages[0].epoch, 1000);
    CHECK(array.messages[1].epoch == BW_EPOCH_NONE && array.messages[1].last == 7);
    CHECK_EQ(array.messages[2].epoch, 1000);
    free(array.messages);
    bw_queue_fini(&queue, &NO_ITEMS);
}

static void
mark_does_not_overtake_items_nor_give_way_to_room(void)
{
    bw_batch_pool pool;
    bw_batch_pool_init(&pool);
    bw_queue queue;
    CHECK_EQ(bw_queue_init(&queue, NULL), BW_OK);
    bw_message_array array = {0};
    bw_batch *batch = bw_batch_pool_get(&pool, 1);
    push(&queue, &(bw_message){.kind = BW_MESSAGE_MARK, .epoch = 1});
    push(&queue, &(bw_message){.kind = BW_MESSAGE_DATA, .epoch = 1, .batch = batch});
    push(&queue, &(bw_message){.kind = BW_MESSAGE_MARK, .epoch = 2});
    push(&queue, &(bw_message){.kind = BW_MESSAGE_CREDIT, .count = 5});
    push(&queue, &(bw_message){.kind = BW_MESSAGE_MARK, .epoch = 3});
    bw_queue_take(&queue, &array);
    CHECK_EQ(array.count, 4);
    CHECK_EQ(array.messages[0].epoch, 1);
    CHECK(array.messages[1].batch == batch);
    CHECK_EQ(array.messages[2].epoch, 3);
    CHECK_EQ(array.messages[3].count, 5);
    bw_batch_pool_put(&pool, batch);
    free(array.messages);
    bw_queue_fini(&queue, &NO_ITEMS);
    bw_batch_pool_fini(&pool);
}

static void
receiver_sleeps_until_it_is_woken_for_what_was_appended(void)
{
    bw_waker waker;
    CHECK_EQ(bw_waker_init(&waker), BW_OK);
    bw_queue queue;
    CHECK_EQ(bw_queue_init(&queue, &waker), BW_OK);
    const bw_message message = {.kind = BW_MESSAGE_CREDIT};
    uint8_t byte;
    bw_waker_arm(&waker);
    for (int i = 0; i < 3; i++) CHECK_EQ(bw_queue_append(&queue, &message), BW_OK);
    CHECK(read(waker.read_fd, &byte, 1) < 0);
    bw_queue_wake(&queue);
    CHECK_EQ(read(waker.read_fd, &byte, 1), 1);
    bw_message_array array = {0};
    bw_queue_take(&queue, &array);
    CHECK_EQ(array.count, 3);
    free(array.messages);
    bw_queue_fini(&queue, &NO_ITEMS);
    bw_waker_fini(&waker);
}

TEST_MAIN(TEST(sleeping_receiver_gets_all_in_each_senders_order),
          TEST(mark_takes_the_place_of_the_one_before_it),
          TEST(mark_does_not_overtake_items_nor_give_way_to_room),
          TEST(receiver_sleeps_until_it_is_woken_for_what_was_appended))
