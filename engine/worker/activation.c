// activation.c - batches run through the steps of a worker, and epochs are closed behind them.
#include "base/assert.h"
#include "base/hash.h"
#include "worker/node.h"

/// How many items wait at a step that were made on this worker, of the same half as `epoch`.
static uint64_t
waiting_items(const bw_worker *worker, uint32_t step, bw_epoch epoch)
{
    uint64_t count = 0;
    for (const bw_batch *batch = worker->inbox[step].first; batch != NULL; batch = batch->next) {
        if (batch->sender != UINT32_MAX) continue;  // took room in its exchange
        bool same =
            bw_exchange_half(&worker->host, batch->epoch) == bw_exchange_half(&worker->host, epoch);
        if (same) count += batch->count;
    }
    return count;
}

bool
bw_worker_has_room(const bw_worker *worker, const bw_node *node, bw_epoch epoch)
{
    for (uint32_t i = 0; i < node->reach_count; i++) {
        if (!bw_exchange_has_room(node->reach[i], &worker->host, epoch)) return false;
    }
    for (uint32_t i = 0; i < node->next_count; i++) {
        if (worker->inbox[node->nexts[i]].first == NULL) continue;
        if (waiting_items(worker, node->nexts[i], epoch) >= worker->execution->window_items) {
            return false;
        }
    }
    return true;
}

/// Brings a batch into the shape in which the route of `into` takes it. On failure it is gone.
static bw_status
shape(bw_worker *worker, bw_node *into, bw_batch *batch)
{
    bw_shape wanted = bw_route_shape(into->step->route);
    if (wanted == BW_SHAPE_PLAIN || batch->shape == wanted) return BW_OK;
    BW_ASSERT(batch->shape == BW_SHAPE_PLAIN);
    const bw_item_ops *items = &worker->execution->items;
    size_t done = 0;
    bw_status status;
    bw_worker_enter(worker, into);
    if (into->step->kernel->route == NULL) {
        status =
            items->split(items->self, batch->items, batch->count, batch->keys, batch->hashes, &done);
    } else {
        status = into->step->kernel->route(into->instance, batch->items, batch->count, batch->keys,
                                           batch->hashes, &done);
    }
    if (status == BW_OK) {
        batch->shape = wanted;
        return BW_OK;
    }
    items->release(items->self, batch->keys, done);
    items->release(items->self, batch->items, batch->count);
    bw_batch_pool_put(&worker->pool, batch);
    return bw_worker_fail(worker, into, status);
}

/// A batch of the same items for one more taker.
static bw_batch *
copy(bw_worker *worker, const bw_batch *batch)
{
    bw_batch *twin = bw_batch_pool_get(&worker->pool, batch->epoch);
    if (twin == NULL) return NULL;
    const bw_item_ops *items = &worker->execution->items;
    items->retain(items->self, batch->items, batch->count);
    if (batch->shape != BW_SHAPE_PLAIN) items->retain(items->self, batch->keys, batch->count);
    bw_batch_copy(twin, batch);
    return twin;
}

/// Gives a batch, which is taken over, to one taker.
static bw_status
give(bw_worker *worker, const bw_down *down, bw_batch *batch)
{
    bw_status status = shape(worker, &worker->nodes[down->step], batch);
    if (status != BW_OK) return status;
    if (down->exchange == NULL || !down->exchange->crosses) {
        bw_batch_list_insert(&worker->inbox[down->step], batch);
        return BW_OK;
    }
    status = bw_exchange_put(down->exchange, &worker->host, batch);
    return status == BW_OK ? BW_OK : bw_worker_fail_sending(worker, down->step, status);
}

bw_status
bw_worker_deliver(bw_worker *worker, const bw_node *node, bw_batch *batch)
{
    for (uint32_t i = 0; i + 1 < node->down_count; i++) {
        bw_batch *twin = copy(worker, batch);
        bw_status status = twin == NULL ? BW_ENOMEM : give(worker, &node->downs[i], twin);
        if (status != BW_OK) {
            bw_batch_drop(batch, &worker->execution->items);
            return status;
        }
    }
    BW_ASSERT(node->down_count > 0);
    return give(worker, &node->downs[node->down_count - 1], batch);
}

static bw_status
deliver_all(bw_worker *worker, const bw_node *node, bw_output *output)
{
    bw_batch *batch;
    while ((batch = bw_batch_list_take(&output->made)) != NULL) {
        bw_status status = bw_worker_deliver(worker, node, batch);
        if (status == BW_OK) continue;
        bw_batch_list_drop(&output->made, &worker->execution->items);
        return status;
    }
    return BW_OK;
}

/// Releases what an activation left of its batch, and gives back the room it took on its way here.
static void
finish_batch(bw_worker *worker, const bw_batch *origin, bw_batch *batch, uint32_t count)
{
    if (origin->sender != UINT32_MAX) {
        bw_exchange_owe(&worker->exchanges[origin->exchange], origin->sender, origin->half,
                        (bw_amount){.items = count, .bytes = origin->bytes});
    }
    if (batch == NULL) return;
    bw_batch_clear(batch, &worker->execution->items);
    bw_batch_pool_put(&worker->pool, batch);
}

static bw_status
activate(bw_worker *worker, bw_node *node, bw_batch *batch)
{
    bw_output output = {.pool = &worker->pool, .epoch = batch->epoch, .wanted = node->down_count > 0};
    bw_batch origin = *batch;  // the kernel may hand the batch itself on
    if (batch->epoch > node->last) node->last = batch->epoch;
    bw_worker_enter(worker, node);
    bw_status status = node->step->kernel->on_batch(node->instance, &batch, &output);
    finish_batch(worker, &origin, batch, origin.count);
    worker->busy = true;
    if (status != BW_OK) {
        bw_batch_list_drop(&output.made, &worker->execution->items);
        return bw_worker_fail(worker, node, status);
    }
    return deliver_all(worker, node, &output);
}

/// True if each item of a batch that came from another process belongs on this worker.
static bool
belongs_here(const bw_worker *worker, const bw_node *node, const bw_batch *batch)
{
    uint32_t here = worker->place.worker_index;
    switch (batch->shape) {
    case BW_SHAPE_PLAIN:
        break;
    case BW_SHAPE_KEYED:
        for (uint32_t i = 0; i < batch->count; i++) {
            if (bw_hash_owner(batch->hashes[i], worker->place.worker_count) != here) return false;
        }
        break;
    case BW_SHAPE_PART: {
        size_t part_count = worker->board->parts[node - worker->nodes].count;
        for (uint32_t i = 0; i < batch->count; i++) {
            if (batch->hashes[i] >= part_count || node->owners[batch->hashes[i]] != here) return false;
        }
        break;
    }
    }
    return true;
}

static bw_status
fill(bw_worker *worker, const bw_node *node, const bw_batch *from, bw_batch *batch)
{
    const bw_item_ops *items = &worker->execution->items;
    batch->shape = from->shape;
    batch->sender = from->sender;
    batch->exchange = from->exchange;
    batch->half = from->half;
    batch->bytes = from->bytes;
    bw_status status =
        items->decode(items->self, from->encoded->bytes, from->encoded->size, from->count, batch);
    if (status != BW_OK) {
        BW_ASSERT(batch->count == 0);
        return status;
    }
    BW_ASSERT(batch->count == from->count);
    if (belongs_here(worker, node, batch)) return BW_OK;
    bw_batch_clear(batch, items);
    return BW_ECORRUPT;
}

/// Decodes a batch, at the last moment: its items are hot then and gone soon. The encoded one is gone,
/// whatever comes of it.
static bw_status
decode(bw_worker *worker, bw_node *node, bw_batch **batch)
{
    bw_batch *encoded = *batch;
    bw_batch *decoded = bw_batch_pool_get(&worker->pool, encoded->epoch);
    bw_status status = BW_ENOMEM;
    bw_worker_enter(worker, node);
    if (decoded != NULL) status = fill(worker, node, encoded, decoded);
    *batch = decoded;
    uint32_t sender = encoded->sender;
    bw_batch_drop(encoded, &worker->execution->items);
    if (status == BW_OK) return BW_OK;
    if (decoded != NULL) bw_batch_pool_put(&worker->pool, decoded);
    bw_worker_fail(worker, node, status);
    if (status == BW_ECORRUPT) {
        bw_error_set(
            &worker->failure.error,
            "process %u breaks the protocol: its worker %u sent items that nobody can have sent",
            (unsigned)bw_board_process_of(worker->board, sender), (unsigned)sender);
    }
    return status;
}

/// Processes what may be processed now of what came to a node.
static bw_status
run_node(bw_worker *worker, bw_node *node, bw_batch_list *inbox)
{
    while (inbox->first != NULL && !bw_worker_is_stopped(worker)) {
        bw_epoch epoch = inbox->first->epoch;
        if (node->step->aligned && epoch > node->open) return BW_OK;  // held back
        if (!bw_worker_has_room(worker, node, epoch)) return BW_OK;
        bw_batch *batch = bw_batch_list_take(inbox);
        bw_status status = batch->encoded == NULL ? BW_OK : decode(worker, node, &batch);
        if (status == BW_OK) status = activate(worker, node, batch);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

// ---- epochs

/// Before which epoch nothing will come to a node any more.
static bw_epoch
input_frontier(const bw_worker *worker, bw_node *node)
{
    bw_epoch frontier = BW_EPOCH_NONE;
    for (uint32_t i = 0; i < node->step->up_count; i++) {
        const bw_exchange *exchange = node->ups[i];
        const bw_node *up = &worker->nodes[node->step->ups[i]];
        bw_epoch epoch =
            exchange == NULL || !exchange->crosses ? up->open : bw_frontier_epoch(exchange->frontier);
        if (epoch < frontier) frontier = epoch;
        if (up->last > node->last) node->last = up->last;
    }
    return frontier;
}

/// Closes all epochs before `limit` in one activation, whose items belong to the last of them.
static bw_status
close_before(bw_worker *worker, bw_node *node, bw_epoch limit)
{
    bool ended = limit == BW_EPOCH_NONE;
    bw_epoch epoch = ended ? (node->last > node->open ? node->last : node->open) : limit - 1;
    bw_output output = {.pool = &worker->pool, .epoch = epoch, .wanted = node->down_count > 0};
    bw_status status = BW_OK;
    bw_worker_enter(worker, node);
    if (node->step->kernel->on_close != NULL) {
        status = node->step->kernel->on_close(node->instance, epoch, ended, &output);
    }
    if (status < 0) {
        bw_batch_list_drop(&output.made, &worker->execution->items);
        return bw_worker_fail(worker, node, status);
    }
    bw_status delivered = deliver_all(worker, node, &output);
    if (delivered != BW_OK) return delivered;
    if (status == BW_FULL) {  // not yet: it has more to do, or waits for something
        worker->busy = true;
        return BW_OK;
    }
    node->open = limit;
    if (epoch > node->last) node->last = epoch;
    worker->busy = true;
    return BW_OK;
}

/// Runs and closes a node as far as it can go.
static bw_status
run_and_close_node(bw_worker *worker, bw_node *node, bw_batch_list *inbox)
{
    for (;;) {
        bw_status status = run_node(worker, node, inbox);
        if (status != BW_OK || node->open == BW_EPOCH_NONE || bw_worker_is_stopped(worker)) {
            return status;
        }
        bw_epoch limit = input_frontier(worker, node);
        if (inbox->first != NULL && inbox->first->epoch < limit) limit = inbox->first->epoch;
        if (limit <= node->open || !bw_worker_has_room(worker, node, node->open)) return BW_OK;
        bw_epoch before = node->open;
        status = close_before(worker, node, limit);
        if (status != BW_OK || node->open == before) return status;
    }
}

bw_status
bw_worker_run_steps(bw_worker *worker, uint32_t first, bool close)
{
    uint32_t count = worker->execution->graph->count;
    for (uint32_t i = first; i < count; i++) {
        bw_node *node = &worker->nodes[i];
        if (node->step->source != NULL) continue;
        bw_status status = BW_OK;
        if (close) {
            status = run_and_close_node(worker, node, &worker->inbox[i]);
        } else if (worker->inbox[i].first != NULL) {
            status = run_node(worker, node, &worker->inbox[i]);
        }
        if (status != BW_OK) return status;
    }
    return BW_OK;
}
