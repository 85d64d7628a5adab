// sim_source.c - the sources of simulated dataflows: bursts, rests and ends drawn by chance.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "testing/sim_flow.h"

typedef struct sim_part {
    uint32_t left;           // items
    uint64_t not_before_ns;  // what it told the engine
    bool closed, snapshotted_end, ended;
    bool polled;
    uint32_t unsaved;  // items since the last snapshot
    bw_epoch epoch;    // of the last poll
} sim_part;

typedef struct sim_source {
    sim_step *step;
    uint32_t worker;
    size_t part_count;
    uint64_t stamp;
    sim_part parts[MAX_PARTS];
} sim_source;

static bw_status
source_open(void *spec, const bw_place *place, bw_names *names, void **out)
{
    sim_step *step = spec;
    if (sim_fails(step->flow, step->index, SIM_OPEN)) return BW_EHOST;
    sim_source *source = calloc(1, sizeof *source);
    BW_ASSERT(source != NULL);
    *out = source;
    step->flow->instances++;
    source->step = step;
    source->worker = place->worker_index;
    source->part_count = step->has_parts ? 0 : 1;
    // All list all, or each some: only together do they know.
    for (uint32_t i = 0; i < step->name_count; i++) {
        if (i % place->worker_count != place->worker_index && step->burst > 4) continue;
        bw_status status = sim_step_add_name(step, i, names);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

static bw_status
source_build(void *self, const bw_names *names, const uint32_t *owners)
{
    sim_source *source = self;
    sim_flow *flow = source->step->flow;
    if (sim_fails(flow, source->step->index, SIM_BUILD)) return BW_EHOST;
    SIM_CHECK(names->count == source->step->name_count, "%zu partitions, not %u", names->count,
              source->step->name_count);
    for (size_t i = 0; i < names->count; i++) source->part_count += owners[i] == source->worker;
    for (size_t i = 0; i < source->part_count; i++) {
        uint32_t most = source->step->part_items;
        source->parts[i].left =
            random_one_in(&flow->random, 8) ? 0 : random_below(&flow->random, most + 1);
    }
    return BW_OK;
}

static size_t
source_part_count(void *self)
{
    return ((sim_source *)self)->part_count;
}

static bool
source_may_block(void *self, size_t part)
{
    sim_source *source = self;
    return (source->step->index + part) % 2 == 0;
}

static void
check_poll(const sim_source *source, const sim_part *part, size_t limit, const bw_batch *batch)
{
    const sim_flow *flow = source->step->flow;
    uint32_t step = source->step->index;
    SIM_CHECK(!part->ended, "source %u was polled after its end", step);
    SIM_CHECK(flow->clock.now_ns >= part->not_before_ns, "source %u was polled too early", step);
    SIM_CHECK(batch->count == 0 && batch->shape == BW_SHAPE_PLAIN, "a poll got a used batch");
    SIM_CHECK(part->unsaved == 0 || batch->epoch == part->epoch, "source %u: no snapshot in epoch %llu",
              step, (unsigned long long)part->epoch);
    SIM_CHECK(batch->epoch >= flow->source_epochs[source->worker], "epochs of sources went back");
    if (flow->execution.epoch_interval_ns > 0) return;
    SIM_CHECK(limit == 1, "interval 0, but a poll of %zu items", limit);
    SIM_CHECK(!part->polled || batch->epoch > part->epoch, "interval 0, but two polls in an epoch");
}

static void
emit(sim_source *source, sim_part *part, size_t count, bw_batch *batch)
{
    sim_flow *flow = source->step->flow;
    for (size_t i = 0; i < count; i++) {
        sim_item like = {.id = flow->next_id++,
                         .epoch = batch->epoch,
                         .step = source->step->index,
                         .worker = source->worker,
                         .stamp = source->stamp++};
        bw_batch_push(batch, sim_item_new(&flow->ledger, &like));
        sim_flow_expect(flow, source->step->index, like.id);
    }
    part->left -= (uint32_t)count;
    part->unsaved += (uint32_t)count;
    if (count > flow->most_made) flow->most_made = count;
}

/// When to come back, as a source without news may or may not know.
static void
draw_rest(sim_flow *flow, sim_part *part, uint64_t *awake_ns)
{
    uint64_t now_ns = flow->clock.now_ns;
    switch (random_below(&flow->random, 4)) {
    case 0:
        *awake_ns = now_ns + random_below(&flow->random, 8000000);
        part->not_before_ns = *awake_ns;
        return;
    case 1:
        *awake_ns = now_ns - random_below(&flow->random, 1000);  // long since
        return;
    default:
        part->not_before_ns = now_ns + BW_NS_PER_MS;
    }
}

static bw_status
source_poll(void *self, size_t index, size_t limit, bw_batch *batch, uint64_t *awake_ns)
{
    sim_source *source = self;
    sim_flow *flow = source->step->flow;
    sim_part *part = &source->parts[index];
    check_poll(source, part, limit, batch);
    part->polled = true;
    part->epoch = flow->source_epochs[source->worker] = batch->epoch;
    bool fails = sim_fails(flow, source->step->index, SIM_POLL);
    if (fails && random_one_in(&flow->random, 2)) return BW_EHOST;
    size_t most = limit < source->step->burst ? limit : source->step->burst;
    size_t count = 1 + random_below(&flow->random, (uint32_t)most);
    if (random_one_in(&flow->random, source->step->rest)) count = 0;
    if (count > part->left) count = part->left;
    emit(source, part, count, batch);
    if (fails) return BW_EHOST;
    if (part->left == 0 && (count == 0 || random_one_in(&flow->random, 2))) {
        part->ended = true;
        return BW_CLOSED;
    }
    if (count == 0 || random_one_in(&flow->random, 10)) {
        draw_rest(flow, part, awake_ns);
        return BW_EMPTY;
    }
    return BW_OK;
}

static bw_status
source_snapshot(void *self, size_t index, bw_epoch epoch)
{
    sim_source *source = self;
    sim_part *part = &source->parts[index];
    if (sim_fails(source->step->flow, source->step->index, SIM_SNAPSHOT)) return BW_EHOST;
    SIM_CHECK(part->unsaved > 0 || part->ended, "a snapshot of source %u for nothing",
              source->step->index);
    SIM_CHECK(part->unsaved == 0 || epoch == part->epoch, "a snapshot of the wrong epoch");
    SIM_CHECK(!part->snapshotted_end, "a snapshot after the last one");
    part->unsaved = 0;
    part->snapshotted_end = part->ended;
    return BW_OK;
}

static bw_status
source_close(void *self, size_t index)
{
    sim_source *source = self;
    sim_part *part = &source->parts[index];
    if (sim_fails(source->step->flow, source->step->index, SIM_CLOSE_PART)) return BW_EHOST;
    SIM_CHECK(part->snapshotted_end && !part->closed, "source %u was closed at the wrong time",
              source->step->index);
    part->closed = true;
    return BW_OK;
}

static void
source_drop(void *self)
{
    ((sim_source *)self)->step->flow->instances--;
    free(self);
}

const bw_source_ops SIM_SOURCE_OPS = {
    .open = source_open,
    .build = source_build,
    .part_count = source_part_count,
    .may_block = source_may_block,
    .poll = source_poll,
    .snapshot = source_snapshot,
    .close = source_close,
    .drop = source_drop,
};
