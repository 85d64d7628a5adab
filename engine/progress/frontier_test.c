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

TEST_MAIN(TEST(slowest_sender_holds_the_frontier))  // each test in its own child: a crash is one failure
