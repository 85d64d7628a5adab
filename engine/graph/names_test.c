#include "graph/names.h"

#include "testing/check.h"

static void
sorting_drops_doubles_and_orders_by_bytes(void)
{
    bw_names names;
    bw_names_init(&names);
    const char *given[] = {"b", "a", "part_10", "b", "", "part_1", "\xc3\xa9"};
    for (size_t i = 0; i < 7; i++) CHECK_EQ(bw_names_add(&names, given[i], strlen(given[i])), BW_OK);
    bw_names_sort(&names);
    const char *sorted[] = {"", "a", "b", "part_1", "part_10", "\xc3\xa9"};
    CHECK_EQ(names.count, 6);
    for (size_t i = 0; i < 6; i++) {
        CHECK(strcmp(names.names[i].data, sorted[i]) == 0);
        CHECK_EQ(bw_names_find(&names, sorted[i], strlen(sorted[i])), i);
    }
    CHECK(bw_names_find(&names, "c", 1) == SIZE_MAX);
    bw_names_fini(&names);
}

TEST_MAIN(TEST(sorting_drops_doubles_and_orders_by_bytes))
