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

TEST_MAIN(TEST(sleeping_receiver_gets_all_in_each_senders_order))
