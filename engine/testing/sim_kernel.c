// sim_kernel.c - the kernels of simulated dataflows, which check all that the engine promises them.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "testing/sim_flow.h"

enum { REMEMBERED_EPOCHS = 64 };

/// The last item of an epoch that came from one step of one worker.
typedef struct sim_seen {
    bw_epoch epoch;
    uint64_t stamp;
    bool any;
} sim_seen;

typedef struct sim_kernel {
    sim_step *step;
    uint32_t worker;
    const uint32_t *owners;
    bw_epoch open, highest, asked;
    bool ended;
    uint64_t stamp;
    uint64_t made;  // in the present activation
    sim_seen seen[MAX_UPS][MAX_WORKERS][REMEMBERED_EPOCHS];
} sim_kernel;

static bw_status
kernel_open(void *spec, const bw_place *place, bw_names *names, void **out)
{
    sim_step *step = spec;
    if (sim_fails(step->flow, step->index, SIM_OPEN)) return BW_EHOST;
    sim_kernel *kernel = calloc(1, sizeof *kernel);
    BW_ASSERT(kernel != NULL);
    *out = kernel;
    step->flow->instances++;
    kernel->step = step;
    kernel->worker = place->worker_index;
    kernel->open = step->flow->execution.resume_epoch;
    for (uint32_t i = 0; i < step->name_count; i++) {
        bw_status status = sim_step_add_name(step, i, names);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

static bw_status
kernel_build(void *self, const bw_names *names, const uint32_t *owners)
{
    sim_kernel *kernel = self;
    if (sim_fails(kernel->step->flow, kernel->step->index, SIM_BUILD)) return BW_EHOST;
    SIM_CHECK(names->count == kernel->step->name_count, "%zu partitions, not %u", names->count,
              kernel->step->name_count);
    kernel->owners = owners;
    return BW_OK;
}

static uint64_t
part_of(const sim_step *step, uint64_t id)
{
    return random_mix(id ^ 0xabcdef) % step->name_count;
}

static bw_status
kernel_route(void *self, void **items, size_t count, void **keys, uint64_t *hashes, size_t *done)
{
    sim_kernel *kernel = self;
    sim_flow *flow = kernel->step->flow;
    bool fails = sim_fails(flow, kernel->step->index, SIM_ROUTE);
    size_t good = fails ? count / 2 : count;
    for (size_t i = 0; i < good; i++) {
        const sim_item *item = items[i];
        keys[i] = sim_key_new(&flow->ledger, item);
        hashes[i] = part_of(kernel->step, item->id);
    }
    *done = good;
    return fails ? BW_EHOST : BW_OK;
}

// ---- what comes in

/// Items of one epoch from one step of one worker come in the order in which they were made.
static void
check_order(sim_kernel *kernel, const sim_item *item)
{
    const sim_step *step = kernel->step;
    if (step->doubled) return;
    uint32_t up = 0;
    while (up < step->up_count && step->ups[up] != item->step) up++;
    SIM_CHECK(up < step->up_count, "step %u got an item of step %u", step->index, item->step);
    sim_seen *seen = &kernel->seen[up][item->worker][item->epoch % REMEMBERED_EPOCHS];
    SIM_CHECK(!seen->any || seen->epoch != item->epoch || seen->stamp < item->stamp,
              "step %u got items of step %u, worker %u, epoch %llu out of order", step->index,
              item->step, item->worker, (unsigned long long)item->epoch);
    if (!seen->any || seen->epoch <= item->epoch) {
        *seen = (sim_seen){.epoch = item->epoch, .stamp = item->stamp, .any = true};
    }
}

static void
check_place(const sim_kernel *kernel, const bw_batch *batch, uint32_t i)
{
    const sim_step *step = kernel->step;
    const sim_item *item = batch->items[i];
    uint32_t index = step->index, workers = step->flow->worker_count;
    const sim_step *from = &step->flow->steps[item->step];
    switch (step->route) {
    case BW_ROUTE_LOCAL:
        SIM_CHECK(item->worker == kernel->worker, "an item left its worker before step %u", index);
        return;
    case BW_ROUTE_KEY: {
        uint32_t key = sim_key_of(&step->flow->ledger, item->id);
        SIM_CHECK(batch->shape == BW_SHAPE_KEYED, "step %u got a batch without keys", index);
        SIM_CHECK(((sim_item *)batch->keys[i])->id == key, "step %u got a wrong key", index);
        SIM_CHECK(batch->hashes[i] == sim_key_hash(key), "step %u got a wrong hash", index);
        SIM_CHECK(bw_hash_owner(sim_key_hash(key), workers) == kernel->worker,
                  "step %u got a key that another worker owns", index);
        return;
    }
    case BW_ROUTE_PART:
        SIM_CHECK(batch->shape == BW_SHAPE_PART, "step %u got a batch without partitions", index);
        SIM_CHECK(batch->hashes[i] == part_of(step, item->id), "step %u got a wrong partition", index);
        SIM_CHECK(kernel->owners[batch->hashes[i]] == kernel->worker,
                  "step %u got an item for a partition of another worker", index);
        return;
    case BW_ROUTE_DEAL: {
        bool stays = from->kind == SIM_SOURCE && from->name_count >= workers;
        SIM_CHECK(!stays || item->worker == kernel->worker, "step %u: dealt in vain", index);
        return;
    }
    }
}

static void
check_batch(sim_kernel *kernel, const bw_batch *batch)
{
    sim_step *step = kernel->step;
    unsigned long long epoch = batch->epoch, open = kernel->open;
    SIM_CHECK(!kernel->ended, "step %u got items after its end", step->index);
    SIM_CHECK(epoch >= open, "step %u got items of epoch %llu, closed up to %llu", step->index, epoch,
              open);
    SIM_CHECK(!step->aligned || epoch == open, "step %u got items of epoch %llu while %llu is open",
              step->index, epoch, open);
    if (batch->epoch > kernel->highest) kernel->highest = batch->epoch;
    for (uint32_t i = 0; i < batch->count; i++) {
        const sim_item *item = batch->items[i];
        SIM_CHECK(item->epoch == batch->epoch, "an item of epoch %llu came in one of %llu",
                  (unsigned long long)item->epoch, epoch);
        check_order(kernel, item);
        check_place(kernel, batch, i);
        sim_tally_add(&step->got, item->id);
    }
}

// ---- what goes out

static sim_item *
make_item(sim_kernel *kernel, uint64_t id, bw_epoch epoch)
{
    sim_item like = {.id = id,
                     .epoch = epoch,
                     .step = kernel->step->index,
                     .worker = kernel->worker,
                     .stamp = kernel->stamp++};
    sim_flow *flow = kernel->step->flow;
    if (++kernel->made > flow->most_made) flow->most_made = kernel->made;
    return sim_item_new(&flow->ledger, &like);
}

static void
release_all(sim_kernel *kernel, void **items, uint32_t count)
{
    const bw_item_ops *ops = &kernel->step->flow->execution.items;
    ops->release(ops->self, items, count);
}

static void
forward(sim_kernel *kernel, bw_batch **batch, bw_output *output)
{
    bw_batch *mine = *batch;
    bool keeps = mine->shape == BW_SHAPE_KEYED && kernel->step->keeps_keys;
    if (!keeps && mine->shape != BW_SHAPE_PLAIN) {
        release_all(kernel, mine->keys, mine->count);
        mine->shape = BW_SHAPE_PLAIN;
    }
    for (uint32_t i = 0; i < mine->count; i++) {
        const sim_item *old = mine->items[i];
        uint64_t id = sim_step_child(kernel->step, old->id, 0);
        sim_item *made = make_item(kernel, id, mine->epoch);
        release_all(kernel, &mine->items[i], 1);
        mine->items[i] = made;
        if (!keeps) continue;
        // Its key has to be that of the new item.
        release_all(kernel, &mine->keys[i], 1);
        sim_item *key = sim_key_new(&kernel->step->flow->ledger, made);
        mine->keys[i] = key;
        mine->hashes[i] = sim_key_hash((uint32_t)key->id);
    }
    bw_output_forward(output, mine);
    *batch = NULL;
}

static bw_status
push(sim_kernel *kernel, uint64_t id, bw_output *output)
{
    void *made = make_item(kernel, id, output->epoch);
    bw_status status = bw_output_push(output, made);
    if (status != BW_OK) release_all(kernel, &made, 1);
    return status;
}

static bw_status
push_children(sim_kernel *kernel, const sim_item *item, bw_output *output)
{
    uint32_t count = sim_step_child_count(kernel->step, item->id);
    bw_status status = BW_OK;
    for (uint32_t k = 0; k < count && status == BW_OK; k++) {
        status = push(kernel, sim_step_child(kernel->step, item->id, k), output);
    }
    return status;
}

static void
spend_time(sim_kernel *kernel)
{
    sim_flow *flow = kernel->step->flow;
    uint32_t slow_ns = kernel->step->slow_ns;
    if (slow_ns > 0) flow->clock.now_ns += random_below(&flow->random, slow_ns);
}

static bw_status
kernel_on_batch(void *self, bw_batch **batch, bw_output *output)
{
    sim_kernel *kernel = self;
    sim_flow *flow = kernel->step->flow;
    bw_batch *mine = *batch;
    kernel->made = 0;
    check_batch(kernel, mine);
    spend_time(kernel);
    bool fails = sim_fails(flow, kernel->step->index, SIM_BATCH);
    if (kernel->step->kind == SIM_FORWARD && output->wanted && !fails) {
        forward(kernel, batch, output);
        return BW_OK;
    }
    uint32_t good = fails ? random_below(&flow->random, mine->count + 1) : mine->count;
    bw_status status = BW_OK;
    for (uint32_t i = 0; output->wanted && i < good && status == BW_OK; i++) {
        status = push_children(kernel, mine->items[i], output);
    }
    if (random_one_in(&flow->random, 2)) {  // else the engine releases them
        uint32_t kept = random_below(&flow->random, mine->count + 1);
        release_all(kernel, mine->items + kept, mine->count - kept);
        if (mine->shape != BW_SHAPE_PLAIN) {
            release_all(kernel, mine->keys + kept, mine->count - kept);
        }
        mine->count = kept;
    }
    return fails ? BW_EHOST : status;
}

// ---- epochs

static bw_status
make_at_close(sim_kernel *kernel, bw_output *output)
{
    sim_flow *flow = kernel->step->flow;
    if (!output->wanted || kernel->step->closes_left == 0) return BW_OK;
    kernel->step->closes_left--;
    for (uint32_t i = 0; i < kernel->step->close_items; i++) {
        uint64_t id = flow->next_id++;
        bw_status status = push(kernel, id, output);
        if (status != BW_OK) return status;
        sim_flow_expect(flow, kernel->step->index, id);
    }
    return BW_OK;
}

static void
note_end(sim_kernel *kernel, bw_epoch epoch)
{
    sim_step *step = kernel->step;
    kernel->ended = true;
    step->ended_count++;
    SIM_CHECK(epoch >= kernel->highest, "step %u ended in epoch %llu after items of %llu", step->index,
              (unsigned long long)epoch, (unsigned long long)kernel->highest);
    if (step->route != BW_ROUTE_KEY && step->route != BW_ROUTE_PART) return;
    SIM_CHECK(step->ended_epoch == BW_EPOCH_NONE || step->ended_epoch == epoch,
              "step %u ended in epochs %llu and %llu", step->index, (unsigned long long)epoch,
              (unsigned long long)step->ended_epoch);
    step->ended_epoch = epoch;
}

static bw_status
kernel_on_close(void *self, bw_epoch epoch, bool ended, bw_output *output)
{
    sim_kernel *kernel = self;
    const sim_step *step = kernel->step;
    sim_flow *flow = step->flow;
    kernel->made = 0;
    if (sim_fails(flow, step->index, SIM_CLOSE)) return BW_EHOST;
    SIM_CHECK(!kernel->ended, "step %u was closed after its end", step->index);
    SIM_CHECK(epoch >= kernel->open && epoch >= kernel->asked && epoch == output->epoch,
              "step %u closes epoch %llu, %llu is open", step->index, (unsigned long long)epoch,
              (unsigned long long)kernel->open);
    kernel->asked = epoch;
    bw_status status = make_at_close(kernel, output);
    if (status != BW_OK) return status;
    if (step->not_yet > 0 && random_one_in(&flow->random, step->not_yet)) return BW_FULL;
    kernel->open = epoch + 1;
    if (ended) note_end(kernel, epoch);
    return BW_OK;
}

static bw_status
kernel_flush(void *self)
{
    const sim_kernel *kernel = self;
    bool fails = sim_fails(kernel->step->flow, kernel->step->index, SIM_FLUSH);
    return fails ? BW_EHOST : BW_OK;
}

static void
kernel_drop(void *self)
{
    ((sim_kernel *)self)->step->flow->instances--;
    free(self);
}

const bw_kernel_ops SIM_KERNEL = {
    .open = kernel_open,
    .build = kernel_build,
    .on_batch = kernel_on_batch,
    .on_close = kernel_on_close,
    .flush = kernel_flush,
    .drop = kernel_drop,
};

const bw_kernel_ops SIM_PARTED_KERNEL = {
    .open = kernel_open,
    .build = kernel_build,
    .route = kernel_route,
    .on_batch = kernel_on_batch,
    .on_close = kernel_on_close,
    .flush = kernel_flush,
    .drop = kernel_drop,
};
