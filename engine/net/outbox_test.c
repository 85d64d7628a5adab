#include "net/outbox.h"

#include <stdatomic.h>

#include "base/waker.h"
#include "testing/check.h"

enum { SENDERS = 3, EACH = 20000 };

static bw_block *
make_block(uint32_t sender, uint32_t number, uint32_t size)
{
    bw_block *block = bw_block_new(size);
    CHECK(block != NULL);
    CHECK(size >= 8);
    memcpy(block->bytes, &sender, sizeof sender);
    memcpy(block->bytes + 4, &number, sizeof number);
    block->size = size;
    return block;
}

static uint32_t
number_of(const bw_block *block)
{
    uint32_t number;
    memcpy(&number, block->bytes + 4, sizeof number);
    return number;
}

typedef struct sender {
    bw_outbox *outbox;
    uint32_t index;
} sender;

/// Pushes chains of one to three blocks.
static void *
send_all(void *argument)
{
    sender *me = argument;
    for (uint32_t i = 0; i < EACH;) {
        bw_block *first = NULL, **end = &first;
        for (uint32_t k = 0; k <= i % 3 && i < EACH; k++, i++) {
            *end = make_block(me->index, i, 8);
            end = &(*end)->next;
        }
        bw_outbox_push(me->outbox, first);
    }
    return NULL;
}

static void
wake(void *self)
{
    bw_waker_wake(self);
}

static void
sleeping_receiver_gets_all_in_each_senders_order(void)
{
    bw_waker waker;
    bw_outbox outbox;
    CHECK_EQ(bw_waker_init(&waker), BW_OK);
    CHECK_EQ(bw_outbox_init(&outbox, wake, &waker), BW_OK);
    pthread_t threads[SENDERS];
    sender senders[SENDERS];
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (sender){.outbox = &outbox, .index = i};
        CHECK_EQ(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    uint32_t next[SENDERS] = {0};
    size_t got = 0;
    while (got < (size_t)SENDERS * EACH) {
        bw_waker_arm(&waker);
        bw_block *first = bw_outbox_take(&outbox, 100);
        if (first == NULL) bw_waker_wait(&waker, UINT64_MAX, NULL, 0);
        bw_waker_disarm(&waker);
        for (bw_block *block = first; block != NULL; block = block->next, got++) {
            uint32_t from;
            memcpy(&from, block->bytes, sizeof from);
            CHECK_EQ(number_of(block), next[from]);
            next[from]++;
        }
        bw_block_free_all(first);
    }
    for (uint32_t i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    CHECK(bw_outbox_take(&outbox, 1) == NULL);
    bw_outbox_fini(&outbox);
    bw_waker_fini(&waker);
}

static void
take_stops_where_enough_was_taken(void)
{
    bw_outbox outbox;
    CHECK_EQ(bw_outbox_init(&outbox, NULL, NULL), BW_OK);
    for (uint32_t i = 0; i < 5; i++) bw_outbox_push(&outbox, make_block(0, i, 100));
    bw_block *first = bw_outbox_take(&outbox, 150);  // two, the second of which crosses the line
    CHECK_EQ(number_of(first), 0);
    CHECK_EQ(number_of(first->next), 1);
    CHECK(first->next->next == NULL);
    bw_block_free_all(first);
    first = bw_outbox_take(&outbox, 0);  // one at least
    CHECK_EQ(number_of(first), 2);
    CHECK(first->next == NULL);
    bw_block_free_all(first);
    bw_outbox_push(&outbox, make_block(0, 5, 100));
    first = bw_outbox_take(&outbox, UINT64_MAX);
    CHECK_EQ(number_of(first->next->next), 5);
    bw_block_free_all(first);
    bw_outbox_fini(&outbox);
}

static void
what_nobody_takes_is_freed(void)
{
    bw_outbox outbox;
    CHECK_EQ(bw_outbox_init(&outbox, NULL, NULL), BW_OK);
    bw_outbox_clear(&outbox);
    for (uint32_t i = 0; i < 3; i++) bw_outbox_push(&outbox, make_block(0, i, 8));
    bw_outbox_clear(&outbox);
    CHECK(bw_outbox_take(&outbox, 1) == NULL);
    bw_outbox_push(&outbox, make_block(0, 3, 8));
    bw_outbox_fini(&outbox);
}

TEST_MAIN(TEST(sleeping_receiver_gets_all_in_each_senders_order),
          TEST(take_stops_where_enough_was_taken), TEST(what_nobody_takes_is_freed))
