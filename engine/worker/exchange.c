#include "worker/exchange.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"

bw_status
bw_exchange_init(bw_exchange *exchange, uint32_t worker_count, bw_epoch epoch)
{
    exchange->owners = NULL;
    exchange->crosses = true;
    exchange->next_dealt = worker_count > 1 ? 1 : 0;
    exchange->owes = false;
    exchange->peers = calloc(worker_count, sizeof *exchange->peers);
    if (exchange->peers == NULL) return BW_ENOMEM;
    for (uint32_t i = 0; i < worker_count; i++) exchange->peers[i].announced = epoch;
    bw_status status = bw_frontier_new(worker_count, epoch, &exchange->frontier);
    if (status != BW_OK) free(exchange->peers);
    return status;
}

void
bw_exchange_fini(bw_exchange *exchange, const bw_item_ops *items)
{
    // The frontier knows how many peers there are; nobody else needs to.
    size_t worker_count = bw_frontier_sender_count(exchange->frontier);
    for (size_t i = 0; i < worker_count; i++) {
        bw_batch_list_drop(&exchange->peers[i].pending, items);
    }
    bw_frontier_free(exchange->frontier);
    free(exchange->peers);
}

uint32_t
bw_exchange_half(const bw_exchange_host *host, bw_epoch epoch)
{
    return epoch <= atomic_load_explicit(&host->board->oldest, memory_order_acquire) ? 0 : 1;
}

static bw_status
send_batch(bw_exchange *exchange, const bw_exchange_host *host, uint32_t worker, uint32_t half)
{
    bw_peer *peer = &exchange->peers[worker];
    bw_batch *batch = bw_batch_pool_trim(host->pool, bw_batch_list_take(&peer->pending));
    batch->sender = host->worker;
    batch->exchange = exchange->index;
    batch->half = half;
    peer->unacked[half] += batch->count;
    if (worker == host->worker) {
        *host->news = true;
        bw_batch_list_insert(&host->inbox[exchange->step], batch);
        return BW_OK;
    }
    bw_message message = {.kind = BW_MESSAGE_DATA,
                          .sender = host->worker,
                          .exchange = exchange->index,
                          .half = half,
                          .epoch = batch->epoch,
                          .batch = batch};
    bw_status status = bw_queue_push(&host->board->queues[worker], &message);
    if (status != BW_OK) bw_batch_drop(batch, host->items);
    return status;
}

static bw_status
flush_peer(bw_exchange *exchange, const bw_exchange_host *host, uint32_t worker)
{
    bw_peer *peer = &exchange->peers[worker];
    while (peer->pending.first != NULL) {
        uint32_t half = bw_exchange_half(host, peer->pending.first->epoch);
        uint64_t unacked = peer->unacked[half];
        // A batch larger than the half goes alone.
        if (unacked > 0 && unacked + peer->pending.first->count > host->window) return BW_OK;
        bw_status status = send_batch(exchange, host, worker, half);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

bw_status
bw_exchange_flush(bw_exchange *exchange, const bw_exchange_host *host)
{
    for (uint32_t i = 0; i < host->board->worker_count; i++) {
        if (exchange->peers[i].pending.first == NULL) continue;
        bw_status status = flush_peer(exchange, host, i);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

/// The last pending batch of `epoch`, NULL if there is none.
static bw_batch *
last_of_epoch(const bw_batch_list *pending, bw_epoch epoch)
{
    bw_batch *last = pending->last;
    if (last != NULL && last->epoch > epoch) {  // it is behind what waits for later epochs
        bw_batch *batch = pending->first;
        for (last = NULL; batch->epoch <= epoch; batch = batch->next) last = batch;
    }
    return last != NULL && last->epoch == epoch ? last : NULL;
}

/// The batch that takes the next item of `epoch` for a peer, with room for one. NULL: no memory.
static bw_batch *
pending_batch(bw_peer *peer, bw_batch_pool *pool, bw_epoch epoch, bw_shape shape)
{
    bw_batch *last = last_of_epoch(&peer->pending, epoch);
    if (last != NULL && last->shape == shape && !bw_batch_is_full(last)) return last;
    bw_batch *batch = bw_batch_pool_get(pool, epoch);
    if (batch == NULL) return NULL;
    batch->shape = shape;
    bw_batch_list_insert(&peer->pending, batch);
    return batch;
}

static uint32_t
destination(bw_exchange *exchange, uint32_t worker_count, const bw_batch *batch, uint32_t i)
{
    switch (exchange->route) {
    case BW_ROUTE_KEY:
        return bw_hash_owner(batch->hashes[i], worker_count);
    case BW_ROUTE_PART:
        return exchange->owners[batch->hashes[i]];
    case BW_ROUTE_DEAL:
        break;
    case BW_ROUTE_LOCAL:
        BW_ASSERT(false);
    }
    uint32_t worker = exchange->next_dealt;
    exchange->next_dealt = worker + 1 == worker_count ? 0 : worker + 1;
    return worker;
}

bw_status
bw_exchange_put(bw_exchange *exchange, const bw_exchange_host *host, bw_batch *batch)
{
    bool keyed = batch->shape != BW_SHAPE_PLAIN;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t worker = destination(exchange, host->board->worker_count, batch, i);
        bw_peer *peer = &exchange->peers[worker];
        bw_batch *pending = pending_batch(peer, host->pool, batch->epoch, batch->shape);
        if (pending == NULL) {
            host->items->release(host->items->self, batch->items + i, batch->count - i);
            if (keyed) host->items->release(host->items->self, batch->keys + i, batch->count - i);
            bw_batch_pool_put(host->pool, batch);
            return BW_ENOMEM;
        }
        if (keyed) {
            bw_batch_push_keyed(pending, batch->keys[i], batch->hashes[i], batch->items[i]);
        } else {
            bw_batch_push(pending, batch->items[i]);
        }
    }
    bw_batch_pool_put(host->pool, batch);
    for (uint32_t i = 0; i < host->board->worker_count; i++) {
        bw_batch *first = exchange->peers[i].pending.first;
        if (first == NULL || !bw_batch_is_full(first)) continue;
        bw_status status = flush_peer(exchange, host, i);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

static bw_status
send_mark(bw_exchange *exchange, const bw_exchange_host *host, uint32_t worker, bw_epoch epoch,
          bw_epoch last)
{
    exchange->peers[worker].announced = epoch;
    if (worker == host->worker) {
        *host->news = true;
        return bw_frontier_advance(exchange->frontier, host->worker, epoch);
    }
    bw_message message = {.kind = BW_MESSAGE_MARK,
                          .sender = host->worker,
                          .exchange = exchange->index,
                          .epoch = epoch,
                          .last = last};
    return bw_queue_push(&host->board->queues[worker], &message);
}

bw_status
bw_exchange_announce(bw_exchange *exchange, const bw_exchange_host *host, bw_epoch frontier,
                     bw_epoch last)
{
    for (uint32_t i = 0; i < host->board->worker_count; i++) {
        bw_peer *peer = &exchange->peers[i];
        if (peer->announced == frontier) continue;
        bw_epoch epoch = frontier;
        if (peer->pending.first != NULL && peer->pending.first->epoch < epoch) {
            epoch = peer->pending.first->epoch;
        }
        if (epoch == peer->announced) continue;
        bw_status status = send_mark(exchange, host, i, epoch, last);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

bool
bw_exchange_is_done(const bw_exchange *exchange, uint32_t worker_count)
{
    for (uint32_t i = 0; i < worker_count; i++) {
        if (exchange->peers[i].announced != BW_EPOCH_NONE) return false;
    }
    return true;
}

bool
bw_exchange_has_room(const bw_exchange *exchange, const bw_exchange_host *host, bw_epoch epoch)
{
    uint32_t half = bw_exchange_half(host, epoch);
    for (uint32_t i = 0; i < host->board->worker_count; i++) {
        const bw_peer *peer = &exchange->peers[i];
        uint64_t used = peer->unacked[half];
        for (const bw_batch *batch = peer->pending.first; batch != NULL; batch = batch->next) {
            if (bw_exchange_half(host, batch->epoch) == half) used += batch->count;
        }
        if (used >= host->window) return false;
    }
    return true;
}

void
bw_exchange_owe(bw_exchange *exchange, uint32_t sender, uint32_t half, uint64_t count)
{
    exchange->peers[sender].owed[half] += count;
    exchange->owes = true;
}

static bw_status
pay_half(bw_exchange *exchange, const bw_exchange_host *host, uint32_t worker, uint32_t half)
{
    uint64_t count = exchange->peers[worker].owed[half];
    if (count == 0) return BW_OK;
    exchange->peers[worker].owed[half] = 0;
    if (worker == host->worker) return bw_exchange_credit(exchange, worker, half, count);
    bw_message message = {.kind = BW_MESSAGE_CREDIT,
                          .sender = host->worker,
                          .exchange = exchange->index,
                          .half = half,
                          .count = count};
    return bw_queue_push(&host->board->queues[worker], &message);
}

bw_status
bw_exchange_pay(bw_exchange *exchange, const bw_exchange_host *host)
{
    if (!exchange->owes) return BW_OK;
    exchange->owes = false;
    for (uint32_t i = 0; i < host->board->worker_count; i++) {
        for (uint32_t half = 0; half < 2; half++) {
            bw_status status = pay_half(exchange, host, i, half);
            if (status != BW_OK) return status;
        }
    }
    return BW_OK;
}

bw_status
bw_exchange_credit(bw_exchange *exchange, uint32_t peer, uint32_t half, uint64_t count)
{
    if (half > 1 || count > exchange->peers[peer].unacked[half]) return BW_ECORRUPT;
    exchange->peers[peer].unacked[half] -= count;
    return BW_OK;
}
