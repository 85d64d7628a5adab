// dataflow_test.c - runs random dataflows, one for each seed, on the simulator, and checks what must
// hold in all of them. Without arguments: seeds 1 to 1000.
//
//     sim-dataflow_test --seeds FIRST LAST    the first failure is printed and ends it
//     sim-dataflow_test --seeds N N -v        one seed, with what each turn did
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/sim_flow.h"
#include "testing/simulator.h"

#define MOST_TURNS 5000000  // far more than any of them takes

static void
print_flow(const sim_flow *flow)
{
    static const char *const KINDS[] = {"source", "forward", "push", "flat", "filter", "swallow"};
    static const char *const ROUTES[] = {"local", "key", "part", "deal"};
    printf("%u workers, window %llu, interval %llu ns, failure %d at step %u\n", flow->worker_count,
           (unsigned long long)flow->execution.window_items,
           (unsigned long long)flow->execution.epoch_interval_ns, (int)flow->fail_site, flow->fail_step);
    for (uint32_t i = 0; i < flow->step_count; i++) {
        const sim_step *step = &flow->steps[i];
        printf("%2u %s %s%s, %u names, from", i, KINDS[step->kind], ROUTES[step->route],
               step->aligned ? " aligned" : "", step->name_count);
        for (uint32_t k = 0; k < step->up_count; k++) printf(" %u", step->ups[k]);
        printf("\n");
    }
}

static void
print_turn(const sim_flow *flow, const simulator *simulator)
{
    static const char TURNS[] = "APDSF";
    printf("%llu ns:", (unsigned long long)flow->clock.now_ns);
    for (uint32_t i = 0; i < flow->worker_count; i++) {
        const simulated *one = &simulator->workers[i];
        printf(" %c/%llu", TURNS[one->turn], (unsigned long long)bw_worker_held_items(one->worker));
    }
    printf(" oldest %llu\n", (unsigned long long)simulator->board.oldest);
}

static void
check_turn(const sim_flow *flow, const simulator *simulator, bw_epoch *oldest)
{
    bw_epoch now_oldest = atomic_load(&simulator->board.oldest);
    SIM_CHECK(now_oldest >= *oldest, "the oldest epoch went back");
    *oldest = now_oldest;
    SIM_CHECK(flow->ledger.items <= sim_flow_bound(flow), "%llu items live, %llu may",
              (unsigned long long)flow->ledger.items, (unsigned long long)sim_flow_bound(flow));
    SIM_CHECK(simulator->turn_count < MOST_TURNS, "it does not end");
}

static void
run_turns(sim_flow *flow, simulator *simulator, bool verbose)
{
    bw_epoch oldest = 0;
    for (;;) {
        if (simulator->turn_count + 1 == flow->stop_at_turn) bw_board_stop(&simulator->board);
        simulator_step step = simulator_run_turn(simulator);
        if (verbose) print_turn(flow, simulator);
        if (step == SIMULATOR_ENDED) return;
        SIM_CHECK(step != SIMULATOR_DEADLOCK, "deadlock: all workers sleep for ever");
        check_turn(flow, simulator, &oldest);
    }
}

/// After a run in which nothing failed and nobody stopped it.
static void
check_success(const sim_flow *flow, const simulator *simulator)
{
    for (uint32_t i = 0; i < flow->worker_count; i++) {
        SIM_CHECK(simulator->workers[i].turn == BW_TURN_DONE, "worker %u did not finish", i);
        SIM_CHECK(bw_worker_held_items(simulator->workers[i].worker) == 0,
                  "worker %u finished with items", i);
    }
    SIM_CHECK(flow->ledger.items == 0 && flow->ledger.keys == 0, "items live after the end");
    for (uint32_t i = 0; i < flow->step_count; i++) {
        const sim_step *step = &flow->steps[i];
        if (step->kind == SIM_SOURCE) continue;
        SIM_CHECK(step->got.count == step->expected.count, "step %u got %llu items, not %llu", i,
                  (unsigned long long)step->got.count, (unsigned long long)step->expected.count);
        SIM_CHECK(step->got.sum == step->expected.sum, "step %u got other items", i);
        SIM_CHECK(step->ended_count == flow->worker_count, "step %u ended on %u workers", i,
                  step->ended_count);
    }
}

/// After a run with a planned failure: exactly one worker tells it, and where it was.
static void
check_failure(const sim_flow *flow, const simulator *simulator)
{
    uint32_t failed_count = 0;
    for (uint32_t i = 0; i < flow->worker_count; i++) {
        if (simulator->workers[i].turn != BW_TURN_FAILED) continue;
        failed_count++;
        bw_failure failure = bw_worker_failure(simulator->workers[i].worker);
        SIM_CHECK(failure.status == BW_EHOST, "a failure of status %d", (int)failure.status);
        SIM_CHECK(failure.worker_index == i, "a failure of another worker");
        SIM_CHECK(!flow->failed || failure.step_index == flow->fail_step,
                  "step %u failed, but step %u is named", flow->fail_step, failure.step_index);
    }
    SIM_CHECK(failed_count == 1, "%u workers failed", failed_count);
}

static void
run_seed(uint64_t seed, bool verbose)
{
    sim_report_seed(seed);
    sim_flow *flow = sim_flow_new(seed, 0);
    simulator simulator;
    bw_status status =
        simulator_init(&simulator, &flow->execution, flow->worker_count, &flow->random, &flow->clock);
    SIM_CHECK(status == BW_OK, "no memory");
    bool may_split_fail = flow->ledger.split_fails_in > 0;
    if (verbose) print_flow(flow);
    run_turns(flow, &simulator, verbose);
    bool split_failed = may_split_fail && flow->ledger.split_fails_in == 0;
    if (flow->failed || split_failed) {
        check_failure(flow, &simulator);
    } else if (!atomic_load(&simulator.board.stopped)) {
        check_success(flow, &simulator);
    }
    simulator_fini(&simulator, &flow->execution);
    SIM_CHECK(flow->ledger.items == 0, "%llu items leaked", (unsigned long long)flow->ledger.items);
    SIM_CHECK(flow->ledger.keys == 0, "%llu keys leaked", (unsigned long long)flow->ledger.keys);
    SIM_CHECK(flow->instances == 0, "%llu steps leaked", (unsigned long long)flow->instances);
    sim_flow_free(flow);
}

int
main(int argc, char **argv)
{
    uint64_t first = 1, last = 1000;
    bool asked = argc >= 4 && strcmp(argv[1], "--seeds") == 0;
    if (argc > 1 && !asked) {
        fprintf(stderr, "usage: %s [--seeds FIRST LAST [-v]]\n", argv[0]);
        return 2;
    }
    if (asked) {
        first = strtoull(argv[2], NULL, 10);
        last = strtoull(argv[3], NULL, 10);
    }
    bool verbose = argc > 4 && strcmp(argv[4], "-v") == 0;
    for (uint64_t seed = first; seed <= last; seed++) run_seed(seed, verbose);
    printf("%llu seeds passed\n", (unsigned long long)(last - first + 1));
    return 0;
}
