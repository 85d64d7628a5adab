#include "testing/sim_flow.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

uint32_t
sim_step_child_count(const sim_step *step, uint64_t id)
{
    uint64_t bits = random_mix(id + step->index * 1000003ull);
    switch (step->kind) {
    case SIM_SOURCE:
    case SIM_FORWARD:
    case SIM_PUSH:
        return 1;
    case SIM_FLAT:
        return (uint32_t)(bits % 4);
    case SIM_FILTER:
        return (uint32_t)(bits % 2);
    case SIM_SWALLOW:
        return 0;
    }
    return 0;
}

uint64_t
sim_step_child(const sim_step *step, uint64_t id, uint32_t k)
{
    if (step->kind == SIM_SOURCE) return id;
    return random_mix(id * 8 + k + step->index * 7919ull);
}

bw_status
sim_step_add_name(const sim_step *step, uint32_t index, bw_names *names)
{
    char name[MAX_NAME_BYTES];
    BW_ASSERT(step->name_bytes <= sizeof name);
    memset(name, 'x', step->name_bytes);
    name[0] = (char)('0' + index);
    return bw_names_add(names, name, step->name_bytes);
}

static void
expect_arrival(sim_flow *flow, uint32_t index, uint64_t id)
{
    sim_step *step = &flow->steps[index];
    sim_tally_add(&step->expected, id);
    uint32_t count = sim_step_child_count(step, id);
    for (uint32_t k = 0; k < count; k++) sim_flow_expect(flow, index, sim_step_child(step, id, k));
}

void
sim_flow_expect(sim_flow *flow, uint32_t step, uint64_t id)
{
    const sim_step *from = &flow->steps[step];
    for (uint32_t i = 0; i < from->down_count; i++) expect_arrival(flow, from->downs[i], id);
}

uint64_t
sim_flow_bound(const sim_flow *flow)
{
    uint64_t workers = flow->worker_count, window = flow->execution.window_items;
    uint64_t most = flow->most_made, bound = 0;
    for (uint32_t i = 0; i < flow->step_count; i++) {
        const sim_step *step = &flow->steps[i];
        // Two halves, each filled and then overfilled by a step and by a close before it.
        bound += workers * 2 * (window + 2 * most) * (step->up_count + 1);
        if (step->kind == SIM_SOURCE || step->route == BW_ROUTE_LOCAL) continue;
        bound += step->up_count * workers * workers * 2 * (window + 2 * most);
    }
    return bound;
}

// ---- drawing

static bw_route
draw_route(random_state *random)
{
    static const bw_route ROUTES[] = {BW_ROUTE_LOCAL, BW_ROUTE_LOCAL, BW_ROUTE_KEY,
                                      BW_ROUTE_KEY,   BW_ROUTE_PART,  BW_ROUTE_DEAL};
    return ROUTES[random_below(random, 6)];
}

static void
draw_source(sim_step *step, random_state *random)
{
    step->kind = SIM_SOURCE;
    step->has_parts = !random_one_in(random, 3);
    step->name_count = step->has_parts ? random_below(random, MAX_PARTS) : 0;
    step->burst = 1u << random_below(random, 8);
    step->rest = random_one_in(random, 3) ? 2 : 20;
}

static void
draw_ups(sim_step *step, random_state *random)
{
    step->up_count = random_one_in(random, 4) ? random_between(random, 1, MAX_UPS) : 1;
    for (uint32_t i = 0; i < step->up_count; i++) {
        uint32_t back = random_one_in(random, 3) ? step->index : step->index > 2 ? 2 : step->index;
        step->ups[i] = step->index - 1 - random_below(random, back);
        for (uint32_t k = 0; k < i; k++) step->doubled |= step->ups[k] == step->ups[i];
    }
}

static void
draw_kernel(sim_step *step, random_state *random)
{
    static const sim_kind KINDS[] = {SIM_FORWARD, SIM_FORWARD, SIM_PUSH,   SIM_PUSH,
                                     SIM_FLAT,    SIM_FLAT,    SIM_FILTER, SIM_SWALLOW};
    step->kind = KINDS[random_below(random, 8)];
    step->route = draw_route(random);
    step->aligned = random_one_in(random, 2);
    step->has_parts = step->route == BW_ROUTE_PART;
    step->name_count = step->has_parts ? random_between(random, 1, MAX_PARTS) : 0;
    step->close_items = random_one_in(random, 3) ? random_below(random, 5) : 0;
    step->closes_left = 200;
    step->not_yet = random_one_in(random, 4) ? random_between(random, 2, 4) : 0;
    step->slow_ns = random_one_in(random, 4) ? 1u << random_between(random, 10, 22) : 0;
    draw_ups(step, random);
}

static void
draw_step(sim_flow *flow, uint32_t index)
{
    random_state *random = &flow->random;
    sim_step *step = &flow->steps[index];
    step->flow = flow;
    step->index = index;
    step->ended_epoch = BW_EPOCH_NONE;
    step->name_bytes = random_one_in(random, 20) ? random_between(random, 1, MAX_NAME_BYTES) : 1;
    if (index == 0 || random_one_in(random, 5)) {
        draw_source(step, random);
        return;
    }
    draw_kernel(step, random);
    for (uint32_t i = 0; i < step->up_count; i++) {
        sim_step *up = &flow->steps[step->ups[i]];
        up->downs[up->down_count++] = index;
    }
}

/// A keyed batch fits the route by key, and a step on the same worker: by partition it would be taken apart once
/// more, and by turn what comes from another process must be plain.
static void
draw_kept_keys(sim_flow *flow)
{
    for (uint32_t i = 0; i < flow->step_count; i++) {
        sim_step *step = &flow->steps[i];
        step->keeps_keys = step->route == BW_ROUTE_KEY && random_one_in(&flow->random, 2);
        for (uint32_t k = 0; k < step->down_count; k++) {
            bw_route route = flow->steps[step->downs[k]].route;
            if (route == BW_ROUTE_PART || route == BW_ROUTE_DEAL) step->keeps_keys = false;
        }
    }
}

/// About how many items reach the steps downstream for each that leaves this one.
static double
amplification(const sim_flow *flow, uint32_t index)
{
    const sim_step *step = &flow->steps[index];
    double total = 0;
    for (uint32_t i = 0; i < step->down_count; i++) {
        const sim_step *down = &flow->steps[step->downs[i]];
        double made = down->kind == SIM_FLAT ? 1.5 : down->kind == SIM_FILTER ? 0.5 : 1;
        total += 1 + made * amplification(flow, step->downs[i]);
    }
    return total;
}

static void
draw_part_items(sim_flow *flow)
{
    bool wide = flow->execution.window_items >= 64;  // through a narrow one so many would take for ever
    double budget = wide && random_one_in(&flow->random, 16) ? 40000 : 3000;
    for (uint32_t i = 0; i < flow->step_count; i++) {
        sim_step *step = &flow->steps[i];
        if (step->kind != SIM_SOURCE) continue;
        double items = budget / (1 + amplification(flow, i)) / 2;
        step->part_items = (uint32_t)items;
        if (step->part_items > 2 && random_one_in(&flow->random, 3)) step->part_items = 2;
    }
}

static void
draw_trouble(sim_flow *flow)
{
    random_state *random = &flow->random;
    if (random_one_in(random, 6)) {
        flow->fail_site = (sim_site)random_between(random, SIM_OPEN, SIM_SITE_COUNT - 1);
        flow->fail_step = random_below(random, flow->step_count);
        flow->fail_in = random_one_in(random, 2) ? 1 : random_between(random, 1, 60);
    } else if (random_one_in(random, 12)) {
        flow->stop_at_turn = random_between(random, 1, 400);
    } else if (random_one_in(random, 30)) {
        flow->ledger.split_fails_in = random_between(random, 1, 60);
    }
}

static void
draw_execution(sim_flow *flow, uint32_t worker_count)
{
    static const uint64_t INTERVALS_NS[] = {
        0, 0, 300000, BW_NS_PER_MS, 20 * BW_NS_PER_MS, 10 * BW_NS_PER_S};
    static const uint64_t WINDOWS[] = {1, 2, 7, 64, 1000, BW_WINDOW_ITEMS};
    random_state *random = &flow->random;
    flow->worker_count = worker_count > 0 ? worker_count : random_between(random, 1, 5);
    flow->ledger.key_count = random_one_in(random, 3) ? 1 : random_between(random, 1, 40);
    flow->execution = (bw_execution){
        .items = sim_item_ops(&flow->ledger),
        .epoch_interval_ns = INTERVALS_NS[random_below(random, 6)],
        .window_items = WINDOWS[random_below(random, 6)],
        .resume_epoch = random_below(random, 2),
        .clock = sim_clock_table(&flow->clock),
    };
}

static void
make_graph(sim_flow *flow)
{
    bw_status status = bw_graph_new(&flow->graph);
    for (uint32_t i = 0; i < flow->step_count && status == BW_OK; i++) {
        sim_step *step = &flow->steps[i];
        bw_step described = {.step_id = "step",
                             .spec = step,
                             .ups = step->ups,
                             .up_count = step->up_count,
                             .route = step->route,
                             .has_parts = step->has_parts,
                             .aligned = step->aligned};
        if (step->kind == SIM_SOURCE) {
            described.source = &SIM_SOURCE_OPS;
        } else {
            described.kernel = step->has_parts ? &SIM_PARTED_KERNEL : &SIM_KERNEL;
        }
        uint32_t index;
        status = bw_graph_add(flow->graph, &described, &index);
    }
    BW_ASSERT(status == BW_OK);
}

sim_flow *
sim_flow_new(uint64_t seed, uint32_t worker_count)
{
    sim_flow *flow = calloc(1, sizeof *flow);
    BW_ASSERT(flow != NULL);
    flow->random.state = random_mix(seed);
    flow->clock.now_ns = BW_NS_PER_S;
    draw_execution(flow, worker_count);
    flow->step_count = random_between(&flow->random, 2, MAX_STEPS);
    for (uint32_t i = 0; i < flow->step_count; i++) draw_step(flow, i);
    draw_kept_keys(flow);
    draw_part_items(flow);
    draw_trouble(flow);
    make_graph(flow);
    flow->execution.graph = flow->graph;
    return flow;
}

void
sim_flow_free(sim_flow *flow)
{
    bw_graph_free(flow->graph);
    free(flow);
}
