#include "graph/graph.h"

#include "testing/check.h"

static const bw_source_ops SOURCE = {0};
static const bw_kernel_ops KERNEL = {0};

static bw_status
add_kernel(bw_graph *graph, uint32_t *ups, uint32_t up_count, uint32_t *out)
{
    bw_step step = {.step_id = "kernel", .kernel = &KERNEL, .ups = ups, .up_count = up_count};
    return bw_graph_add(graph, &step, out);
}

static void
steps_are_numbered_as_added_and_know_how_many_take_their_items(void)
{
    bw_graph *graph;
    CHECK_EQ(bw_graph_new(&graph), BW_OK);
    char step_id[] = "in";
    uint32_t index;
    CHECK_EQ(bw_graph_add(graph, &(bw_step){.step_id = step_id, .source = &SOURCE}, &index), BW_OK);
    CHECK_EQ(index, 0);
    step_id[0] = 'x';  // it has a copy
    for (uint32_t i = 1; i < 40; i++) {
        uint32_t ups[] = {0, i - 1};
        CHECK_EQ(add_kernel(graph, ups, 2, &index), BW_OK);
        CHECK_EQ(index, i);
    }
    CHECK(strcmp(graph->steps[0].step_id, "in") == 0);
    CHECK_EQ(graph->steps[0].down_count, 40);  // the first kernel takes its items twice
    CHECK_EQ(graph->steps[7].down_count, 1);
    CHECK_EQ(graph->steps[39].down_count, 0);
    CHECK_EQ(graph->steps[39].ups[1], 38);
    bw_graph_free(graph);
}

static void
step_can_only_take_items_of_steps_before_it(void)
{
    bw_graph *graph;
    uint32_t index, none[] = {0};
    CHECK_EQ(bw_graph_new(&graph), BW_OK);
    CHECK_EQ(add_kernel(graph, none, 1, &index), BW_EINVAL);
    CHECK_EQ(graph->count, 0);
    bw_graph_free(graph);
    bw_graph_free(NULL);
}

TEST_MAIN(TEST(steps_are_numbered_as_added_and_know_how_many_take_their_items),
          TEST(step_can_only_take_items_of_steps_before_it))
