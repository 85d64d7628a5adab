#include "worker/board.h"

#include <pthread.h>

#include "testing/check.h"

enum { WORKERS = 3, STEPS = 2 };

static const bw_item_ops NO_ITEMS = {0};

static unsigned
changes(bw_board *board)
{
    return atomic_load(&board->changes);
}

static void
oldest_epoch_is_the_least_that_any_worker_has_open(void)
{
    bw_board board;
    CHECK_EQ(bw_board_init(&board, bw_layout_alone(WORKERS), STEPS, 4, NULL), BW_OK);
    CHECK_EQ(board.oldest, 4);
    bw_board_close(&board, 0, 6);
    bw_board_close(&board, 1, BW_EPOCH_NONE);
    CHECK_EQ(board.oldest, 4);
    CHECK_EQ(changes(&board), 0);  // nothing of use to anybody yet
    bw_board_close(&board, 2, 5);
    CHECK_EQ(board.oldest, 5);
    CHECK_EQ(changes(&board), 1);
    bw_board_close(&board, 2, 9);
    CHECK_EQ(board.oldest, 6);
    bw_board_fini(&board, &NO_ITEMS);
}

static void
begun_is_the_highest_epoch_and_only_a_higher_one_is_news(void)
{
    bw_board board;
    CHECK_EQ(bw_board_init(&board, bw_layout_alone(WORKERS), STEPS, 0, NULL), BW_OK);
    bw_board_begin(&board, 3);
    bw_board_begin(&board, 2);
    bw_board_begin(&board, 3);
    CHECK_EQ(board.begun, 3);
    CHECK_EQ(changes(&board), 1);
    bw_board_fini(&board, &NO_ITEMS);
}

static void
list(bw_board *board, uint32_t step, const char *name)
{
    bw_names names;
    bw_names_init(&names);
    CHECK_EQ(bw_names_add(&names, name, strlen(name)), BW_OK);
    CHECK_EQ(bw_board_list(board, step, &names), BW_OK);
    bw_names_fini(&names);
}

static void
last_to_list_sorts_what_all_have_listed(void)
{
    bw_board board;
    CHECK_EQ(bw_board_init(&board, bw_layout_alone(WORKERS), STEPS, 0, NULL), BW_OK);
    list(&board, 1, "b");
    bw_board_count_listed(&board);
    list(&board, 1, "c");
    list(&board, 1, "a");
    bw_board_count_listed(&board);
    CHECK_EQ(changes(&board), 0);
    list(&board, 1, "b");
    bw_board_count_listed(&board);
    CHECK_EQ(changes(&board), 1);
    CHECK_EQ(board.listed, WORKERS);
    CHECK_EQ(board.parts[0].count, 0);
    CHECK_EQ(board.parts[1].count, 3);
    CHECK_EQ(bw_names_find(&board.parts[1], "a", 1), 0);
    CHECK_EQ(bw_names_find(&board.parts[1], "c", 1), 2);
    bw_board_fini(&board, &NO_ITEMS);
}

static void
stop_wakes_a_sleeping_worker(void)
{
    bw_waker wakers[WORKERS];
    for (int i = 0; i < WORKERS; i++) CHECK_EQ(bw_waker_init(&wakers[i]), BW_OK);
    bw_board board;
    CHECK_EQ(bw_board_init(&board, bw_layout_alone(WORKERS), STEPS, 0, wakers), BW_OK);
    bw_waker_arm(&wakers[1]);
    bw_board_stop(&board);
    bw_waker_wait(&wakers[1], BW_TIME_NEVER, NULL, 0);  // else it hangs here
    CHECK(board.stopped);
    CHECK_EQ(changes(&board), 1);
    bw_board_fini(&board, &NO_ITEMS);
    for (int i = 0; i < WORKERS; i++) bw_waker_fini(&wakers[i]);
}

// ---- by threads

enum { CLOSES = 20000 };

typedef struct closer {
    bw_board *board;
    uint32_t worker;
} closer;

static void *
close_all(void *argument)
{
    const closer *me = argument;
    bw_epoch before = 0;
    for (bw_epoch epoch = 1; epoch <= CLOSES; epoch++) {
        bw_board_begin(me->board, epoch);
        bw_board_close(me->board, me->worker, epoch);
        bw_epoch oldest = atomic_load(&me->board->oldest);
        if (oldest < before || oldest > epoch) exit(1);  // never back, never beyond one of them
        before = oldest;
    }
    return NULL;
}

static void
oldest_never_goes_back_nor_is_left_behind_whoever_closes_last(void)
{
    bw_board board;
    CHECK_EQ(bw_board_init(&board, bw_layout_alone(WORKERS), STEPS, 0, NULL), BW_OK);
    pthread_t threads[WORKERS];
    closer closers[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++) {
        closers[i] = (closer){.board = &board, .worker = i};
        CHECK_EQ(pthread_create(&threads[i], NULL, close_all, &closers[i]), 0);
    }
    for (uint32_t i = 0; i < WORKERS; i++) pthread_join(threads[i], NULL);
    CHECK_EQ(board.oldest, CLOSES);
    CHECK_EQ(board.begun, CLOSES);
    bw_board_fini(&board, &NO_ITEMS);
}

TEST_MAIN(TEST(oldest_epoch_is_the_least_that_any_worker_has_open),
          TEST(begun_is_the_highest_epoch_and_only_a_higher_one_is_news),
          TEST(last_to_list_sorts_what_all_have_listed), TEST(stop_wakes_a_sleeping_worker),
          TEST(oldest_never_goes_back_nor_is_left_behind_whoever_closes_last))
