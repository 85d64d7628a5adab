#include "testing/simulator.h"

#include <stdlib.h>

#define LONGEST_TURN_NS 50000  // what a turn itself takes; steps that are slow move the clock themselves

bw_status
simulator_init(simulator *simulator, const bw_execution *execution, uint32_t worker_count,
               random_state *random, sim_clock *clock)
{
    simulator->random = random;
    simulator->clock = clock;
    simulator->turn_count = 0;
    simulator->worker_count = worker_count;
    bw_status status = bw_board_init(&simulator->board, bw_layout_alone(worker_count),
                                     execution->graph->count, execution->resume_epoch, NULL);
    if (status != BW_OK) return status;
    simulator->workers = calloc(worker_count, sizeof *simulator->workers);
    if (simulator->workers == NULL) goto fini_board;
    for (uint32_t i = 0; i < worker_count; i++) {
        simulated *one = &simulator->workers[i];
        one->weight = random_one_in(random, 3) ? 1 : 40;
        status = bw_worker_new(execution, &simulator->board, i, &one->worker);
        if (status != BW_OK) goto free_workers;
    }
    return BW_OK;

free_workers:
    for (uint32_t i = 0; i < worker_count; i++) bw_worker_free(simulator->workers[i].worker);
    free(simulator->workers);
fini_board:
    bw_board_fini(&simulator->board, &execution->items);
    return status;
}

void
simulator_fini(simulator *simulator, const bw_execution *execution)
{
    for (uint32_t i = 0; i < simulator->worker_count; i++) {
        bw_worker_free(simulator->workers[i].worker);
    }
    free(simulator->workers);
    bw_board_fini(&simulator->board, &execution->items);
}

bool
simulated_can_run(const simulated *one, uint64_t now_ns)
{
    if (simulated_has_ended(one)) return false;
    if (one->turn == BW_TURN_AGAIN) return true;
    return one->deadline_ns <= now_ns || bw_worker_has_mail(one->worker);
}

/// The least deadline of those that sleep.
static uint64_t
next_deadline(const simulator *simulator)
{
    uint64_t least_ns = BW_TIME_NEVER;
    for (uint32_t i = 0; i < simulator->worker_count; i++) {
        const simulated *one = &simulator->workers[i];
        if (one->turn == BW_TURN_PARK && one->deadline_ns < least_ns) least_ns = one->deadline_ns;
    }
    return least_ns;
}

/// One of those that can run, by weight; NULL if none can.
static simulated *
draw(simulator *simulator)
{
    uint64_t now_ns = simulator->clock->now_ns;
    uint32_t total = 0;
    for (uint32_t i = 0; i < simulator->worker_count; i++) {
        if (simulated_can_run(&simulator->workers[i], now_ns)) total += simulator->workers[i].weight;
    }
    if (total == 0) return NULL;
    uint32_t left = random_below(simulator->random, total);
    for (uint32_t i = 0;; i++) {
        if (!simulated_can_run(&simulator->workers[i], now_ns)) continue;
        if (left < simulator->workers[i].weight) return &simulator->workers[i];
        left -= simulator->workers[i].weight;
    }
}

static bool
all_have_ended(const simulator *simulator)
{
    for (uint32_t i = 0; i < simulator->worker_count; i++) {
        if (!simulated_has_ended(&simulator->workers[i])) return false;
    }
    return true;
}

simulator_step
simulator_run_turn(simulator *simulator)
{
    if (all_have_ended(simulator)) return SIMULATOR_ENDED;
    simulated *one = draw(simulator);
    if (one == NULL) {
        uint64_t deadline_ns = next_deadline(simulator);
        if (deadline_ns == BW_TIME_NEVER) return SIMULATOR_DEADLOCK;
        simulator->clock->now_ns = deadline_ns;
        one = draw(simulator);
    }
    simulator->clock->now_ns += random_below(simulator->random, LONGEST_TURN_NS);
    simulator->turn_count++;
    one->turn = bw_worker_turn(one->worker, &one->deadline_ns);
    if (one->turn == BW_TURN_FAILED) bw_board_stop(&simulator->board);
    return SIMULATOR_RAN;
}
