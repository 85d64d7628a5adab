#include "progress/frontier.h"

#include "testing/check.h"

static void
slowest_sender_holds_the_frontier(void)
{
    bw_frontier *frontier;
    CHECK_EQ(bw_frontier_new(2, 5, &frontier), BW_OK);
    CHECK_EQ(bw_frontier_advance(frontier, 0, BW_EPOCH_NONE), BW_OK);
    CHECK_EQ(bw_frontier_epoch(frontier), 5);
    CHECK_EQ(bw_frontier_advance(frontier, 1, 6), BW_OK);
    CHECK_EQ(bw_frontier_epoch(frontier), 6);
    bw_frontier_free(frontier);
}

static void
sender_that_goes_back_or_does_not_exist_is_refused_and_changes_nothing(void)
{
    bw_frontier *frontier;
    CHECK_EQ(bw_frontier_new(2, 5, &frontier), BW_OK);
    CHECK_EQ(bw_frontier_advance(frontier, 0, 8), BW_OK);
    CHECK_EQ(bw_frontier_advance(frontier, 0, 7), BW_ECORRUPT);
    CHECK_EQ(bw_frontier_advance(frontier, 1, 4), BW_ECORRUPT);
    CHECK_EQ(bw_frontier_advance(frontier, 2, 9), BW_ECORRUPT);
    CHECK_EQ(bw_frontier_epoch(frontier), 5);
    CHECK_EQ(bw_frontier_advance(frontier, 1, 9), BW_OK);
    CHECK_EQ(bw_frontier_epoch(frontier), 8);  // not 7
    bw_frontier_free(frontier);
}

static void
frontier_is_empty_when_every_sender_has_ended(void)
{
    bw_frontier *frontier;
    CHECK_EQ(bw_frontier_new(3, 0, &frontier), BW_OK);
    CHECK_EQ(bw_frontier_sender_count(frontier), 3);
    for (size_t i = 0; i < 3; i++) {
        CHECK(bw_frontier_epoch(frontier) != BW_EPOCH_NONE);
        CHECK_EQ(bw_frontier_advance(frontier, i, BW_EPOCH_NONE), BW_OK);
    }
    CHECK(bw_frontier_epoch(frontier) == BW_EPOCH_NONE);
    CHECK_EQ(bw_frontier_advance(frontier, 1, 0), BW_ECORRUPT);
    bw_frontier_free(frontier);
    bw_frontier_free(NULL);
}

TEST_MAIN(TEST(slowest_sender_holds_the_frontier),
          TEST(sender_that_goes_back_or_does_not_exist_is_refused_and_changes_nothing),
          TEST(frontier_is_empty_when_every_sender_has_ended))
