// sources.c - the sources of a worker: when they are polled, and the epoch in which they emit.
#include "worker/node.h"

// How long a source that knows no better is left alone when it had nothing, at first and later.
#define IDLE_NS BW_NS_PER_MS
#define LONG_IDLE_NS (10 * BW_NS_PER_MS)
#define LONG_IDLE_AFTER_NS BW_NS_PER_S

// A poll takes as many items as run through their steps in about this time: so rounds stay short,
// whatever the user's code costs, and one clock reading is shared by many items.
#define POLL_NS (BW_NS_PER_MS / 2)

/// When a part that had nothing shall be asked again.
static void
put_to_sleep(bw_worker *worker, bw_part *part, uint64_t awake_ns)
{
    uint64_t now_ns = bw_worker_read_clock(worker);
    if (awake_ns != BW_AWAKE_SOON) {
        part->awake_ns = awake_ns;
        return;
    }
    if (part->idle_since_ns == BW_TIME_NEVER) part->idle_since_ns = now_ns;
    bool long_idle = now_ns - part->idle_since_ns >= LONG_IDLE_AFTER_NS;
    part->awake_ns = now_ns + (long_idle ? LONG_IDLE_NS : IDLE_NS);
}

static bw_status
snapshot_part(bw_worker *worker, bw_node *node, size_t index)
{
    bw_part *part = &node->parts[index];
    bool due = part->emitted || part->ended;
    part->emitted = false;
    if (!due || node->step->source->snapshot == NULL) return BW_OK;
    return node->step->source->snapshot(node->instance, index, worker->epoch);
}

static bw_status
end_part(bw_worker *worker, bw_node *node, size_t index)
{
    node->parts[index].ended = true;
    node->live_count--;
    node->last = worker->epoch;
    bw_status status = snapshot_part(worker, node, index);
    if (status == BW_OK && node->step->source->close != NULL) {
        status = node->step->source->close(node->instance, index);
    }
    return status;
}

/// One poll, and what the part's snapshot and end make necessary before its items reach a step.
static bw_status
poll_part(bw_worker *worker, bw_node *node, size_t index, bool last, bw_batch *batch)
{
    const bw_source_ops *ops = node->step->source;
    bw_part *part = &node->parts[index];
    uint64_t awake_ns = BW_AWAKE_SOON;
    size_t limit = worker->execution->epoch_interval_ns == 0 ? 1 : worker->poll_limit;
    bw_status status = ops->poll(node->instance, index, limit, batch, &awake_ns);
    if (status < 0) return status;
    if (batch->count > 0) {
        part->emitted = true;
        part->idle_since_ns = BW_TIME_NEVER;
        worker->busy = true;
    }
    if (status == BW_CLOSED) return end_part(worker, node, index);
    if (status == BW_EMPTY) {
        put_to_sleep(worker, part, awake_ns);
    } else {
        part->awake_ns = 0;
        worker->busy = true;
    }
    return last ? snapshot_part(worker, node, index) : BW_OK;
}

/// Adapts how much a poll takes to how long the last `count` items took.
static void
adapt_poll_limit(bw_worker *worker, uint64_t start_ns, uint32_t count)
{
    if (count < worker->poll_limit && count < 2) return;  // one at a time is all there is
    uint64_t took_ns = bw_worker_read_clock(worker) - start_ns;
    if (took_ns > 2 * POLL_NS) {
        worker->poll_limit = worker->poll_limit > 1 ? worker->poll_limit / 2 : 1;
    } else if (took_ns < POLL_NS && count == worker->poll_limit && worker->poll_limit < BW_BATCH_ITEMS) {
        worker->poll_limit *= 2;
    }
}

/// Polls one part and runs its items through all steps of this worker.
static bw_status
run_part(bw_worker *worker, bw_node *node, size_t index, bool last)
{
    if (node->step->source->may_block(node->instance, index)) {
        bw_status status = bw_worker_flush_all(worker);
        if (status != BW_OK) return status;
    }
    bw_batch *batch = bw_batch_pool_get(&worker->pool, worker->epoch);
    if (batch == NULL) return bw_worker_fail(worker, node, BW_ENOMEM);
    uint64_t start_ns = worker->now_ns;
    bw_worker_enter(worker, node);
    bw_status status = poll_part(worker, node, index, last, batch);
    bw_worker_enter(worker, NULL);
    if (status != BW_OK) {
        // What came with the end still counts where only closing the part failed; here all is over.
        bw_batch_drop(batch, &worker->execution->items);
        return bw_worker_fail(worker, node, status);
    }
    uint32_t count = batch->count;
    if (count == 0 || node->down_count == 0) {
        bw_batch_clear(batch, &worker->execution->items);
        bw_batch_pool_put(&worker->pool, batch);
        return BW_OK;
    }
    status = bw_worker_deliver(worker, node, batch);
    if (status == BW_OK) {
        status = bw_worker_run_steps(worker, (uint32_t)(node - worker->nodes) + 1, false);
    }
    adapt_poll_limit(worker, start_ns, count);
    return status;
}

/// Polls every due part of every source once, if what it makes has room. `*polled`: any was.
static bw_status
poll_sources(bw_worker *worker, bool last, bool *polled)
{
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        bw_node *node = &worker->nodes[i];
        if (node->step->source == NULL || node->live_count == 0) continue;
        for (size_t k = 0; k < node->part_count; k++) {
            bw_part *part = &node->parts[k];
            if (part->ended || part->awake_ns > worker->now_ns) continue;
            if (!bw_worker_has_room(worker, node, worker->epoch)) break;
            if (bw_worker_is_stopped(worker)) return BW_OK;
            *polled = true;
            bw_status status = run_part(worker, node, k, last);
            if (status != BW_OK) return status;
        }
    }
    return BW_OK;
}

/// Ends the epoch: parts that were not polled in its last round are snapshotted now.
static bw_status
next_epoch(bw_worker *worker)
{
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        bw_node *node = &worker->nodes[i];
        for (size_t k = 0; node->live_count > 0 && k < node->part_count; k++) {
            if (node->parts[k].ended) continue;
            bw_status status = snapshot_part(worker, node, k);
            if (status != BW_OK) return bw_worker_fail(worker, node, status);
        }
    }
    bw_epoch begun = atomic_load(&worker->board->begun);
    worker->epoch = begun > worker->epoch ? begun : worker->epoch + 1;
    worker->epoch_start_ns = worker->now_ns;
    if (!bw_board_begin(worker->board, worker->epoch)) return BW_OK;
    return bw_worker_tell_begun(worker, worker->epoch);
}

static bool
has_live_source(const bw_worker *worker)
{
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        if (worker->nodes[i].live_count > 0) return true;
    }
    return false;
}

bw_status
bw_worker_run_sources(bw_worker *worker)
{
    if (!has_live_source(worker)) return BW_OK;
    uint64_t interval_ns = worker->execution->epoch_interval_ns;
    bool follow = atomic_load(&worker->board->begun) > worker->epoch;
    bool ahead = bw_worker_is_ahead(worker) && !follow;
    bool over = worker->now_ns - worker->epoch_start_ns > interval_ns && !ahead;
    bool polled = false;
    if (ahead && interval_ns == 0) return BW_OK;  // each poll is an epoch
    bw_status status = poll_sources(worker, interval_ns == 0 || over || follow, &polled);
    if (status != BW_OK) return status;
    if (bw_worker_is_stopped(worker) || !has_live_source(worker)) return BW_OK;
    return (interval_ns == 0 ? polled : over) || follow ? next_epoch(worker) : BW_OK;
}

void
bw_worker_move_sources(bw_worker *worker)
{
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        bw_node *node = &worker->nodes[i];
        if (node->step->source == NULL || node->open == BW_EPOCH_NONE) continue;
        if (node->live_count > 0) {
            node->open = node->last = worker->epoch;
        } else {
            node->open = BW_EPOCH_NONE;  // its last epoch is the one in which it ended
        }
    }
}
