#include "worker/exchange.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "net/message.h"

// About as much as a batch for another process has at most, if its items are as large as those before: it fits into a
// block with what comes before them. So one is on its way while the next is made, and a block is soon used again.
#define BATCH_BYTES (BW_BLOCK_BYTES / 32 * 31)

bw_status
bw_exchange_init(bw_exchange *exchange, uint32_t worker_count, bw_epoch epoch)
{
    exchange->owners = NULL;
    exchange->crosses = true;
    exchange->next_dealt = worker_count > 1 ? 1 : 0;
    exchange->owes = false;
    exchange->peers = calloc(worker_count, sizeof *exchange->peers);
    if (exchange->peers == NULL) return BW_ENOMEM;
    for (uint32_t i = 0; i < worker_count; i++) {
        exchange->peers[i].announced = exchange->peers[i].heard = epoch;
        exchange->peers[i].limit = BW_BATCH_ITEMS;
    }
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

bw_shape
bw_route_shape(bw_route route)
{
    switch (route) {
    case BW_ROUTE_KEY:
        return BW_SHAPE_KEYED;
    case BW_ROUTE_PART:
        return BW_SHAPE_PART;
    case BW_ROUTE_LOCAL:
    case BW_ROUTE_DEAL:
        break;
    }
    return BW_SHAPE_PLAIN;
}

static void
add(bw_amount *to, bw_amount amount)
{
    to->items += amount.items;
    to->bytes += amount.bytes;
}

static void
subtract(bw_amount *from, bw_amount amount)
{
    from->items -= amount.items;
    from->bytes -= amount.bytes;
}

/// True if a half that holds `used` has room for a batch. One that is larger than the half goes alone.
static bool
has_room_for(bw_amount used, bw_amount window, uint64_t items)
{
    if (used.items == 0) return true;
    return used.items + items <= window.items && used.bytes < window.bytes;
}

static bw_outlet *
outlet_to(const bw_exchange_host *host, uint32_t worker)
{
    return &host->outlets[bw_board_process_of(host->board, worker)];
}

/// How many items the next batch shall have, if they are as large as the last one's.
static uint32_t
limit_of(uint32_t count, uint32_t size)
{
    uint64_t limit = size == 0 ? BW_BATCH_ITEMS : (uint64_t)BATCH_BYTES * count / size;
    return limit > BW_BATCH_ITEMS ? BW_BATCH_ITEMS : limit > 0 ? (uint32_t)limit : 1;
}

/// To a worker of another process. The batch is gone, whatever comes of it.
static bw_status
send_encoded(bw_exchange *exchange, const bw_exchange_host *host, uint32_t worker, uint32_t half,
             bw_batch *batch)
{
    BW_ASSERT(batch->shape == bw_route_shape(exchange->route));
    const bw_message message = {.kind = BW_MESSAGE_DATA,
                                .sender = host->worker,
                                .exchange = exchange->index,
                                .half = half,
                                .count = batch->count,
                                .epoch = batch->epoch,
                                .shape = batch->shape};
    uint32_t size = 0;
    bw_status status =
        bw_outlet_put_batch(outlet_to(host, worker), worker, &message, batch, host->items, &size);
    exchange->peers[worker].unacked[half].bytes += size;
    exchange->peers[worker].limit = limit_of(batch->count, size);
    bw_batch_clear(batch, host->items);
    bw_batch_pool_put(host->pool, batch);
    bw_outlet *outlet = outlet_to(host, worker);
    if (bw_outlet_is_full(outlet)) bw_outlet_push(outlet);
    return status;
}

static bw_status
send_batch(bw_exchange *exchange, const bw_exchange_host *host, uint32_t worker, uint32_t half)
{
    bw_peer *peer = &exchange->peers[worker];
    bw_batch *batch = bw_batch_list_take(&peer->pending);
    peer->unacked[half].items += batch->count;
    if (!bw_board_is_local(host->board, worker)) {
        return send_encoded(exchange, host, worker, half, batch);
    }
    batch = bw_batch_pool_trim(host->pool, batch);
    batch->sender = host->worker;
    batch->exchange = exchange->index;
    batch->half = half;
    batch->bytes = 0;
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
    bw_status status = bw_queue_push(bw_board_queue(host->board, worker), &message);
    if (status != BW_OK) bw_batch_drop(batch, host->items);
    return status;
}

static bw_status
flush_peer(bw_exchange *exchange, const bw_exchange_host *host, uint32_t worker)
{
    bw_peer *peer = &exchange->peers[worker];
    while (peer->pending.first != NULL) {
        uint32_t half = bw_exchange_half(host, peer->pending.first->epoch);
        if (!has_room_for(peer->unacked[half], host->window, peer->pending.first->count)) return BW_OK;
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

static bool
is_full(const bw_peer *peer, const bw_batch *batch)
{
    return batch->count >= peer->limit || bw_batch_is_full(batch);
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
    if (last != NULL && last->shape == shape && !is_full(peer, last)) return last;
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
        if (first == NULL || !is_full(&exchange->peers[i], first)) continue;
        bw_status status = flush_peer(exchange, host, i);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

/// Tells another worker what is no batch.
static bw_status
tell(const bw_exchange_host *host, uint32_t worker, const bw_message *message)
{
    if (bw_board_is_local(host->board, worker)) {
        return bw_queue_push(bw_board_queue(host->board, worker), message);
    }
    return bw_message_put(&outlet_to(host, worker)->writer, worker, message);
}

static bw_status
send_mark(bw_exchange *exchange, const bw_exchange_host *host, uint32_t worker, bw_epoch epoch,
          bw_epoch last)
{
    exchange->peers[worker].announced = epoch;
    if (worker == host->worker) {
        *host->news = true;
        return bw_exchange_hear(exchange, host->worker, epoch);
    }
    bw_message message = {.kind = BW_MESSAGE_MARK,
                          .sender = host->worker,
                          .exchange = exchange->index,
                          .epoch = epoch,
                          .last = last};
    return tell(host, worker, &message);
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
        bw_amount used = peer->unacked[half];
        for (const bw_batch *batch = peer->pending.first; batch != NULL; batch = batch->next) {
            if (bw_exchange_half(host, batch->epoch) == half) used.items += batch->count;
        }
        if (used.items >= host->window.items || used.bytes >= host->window.bytes) return false;
    }
    return true;
}

void
bw_exchange_owe(bw_exchange *exchange, uint32_t sender, uint32_t half, bw_amount amount)
{
    add(&exchange->peers[sender].owed[half], amount);
    exchange->owes = true;
}

/// True if the sender has room enough for any batch without what is owed: then it is paid with more, as it costs a turn
/// of two I/O threads.
static bool
can_wait(bw_amount owed, bw_amount window)
{
    return window.items >= 8u * BW_BATCH_ITEMS && owed.items < window.items / 8 &&
           owed.bytes < window.bytes / 8;
}

static bw_status
pay_half(bw_exchange *exchange, const bw_exchange_host *host, uint32_t worker, uint32_t half)
{
    bw_peer *peer = &exchange->peers[worker];
    bw_amount owed = peer->owed[half];
    if (owed.items == 0) return BW_OK;
    if (can_wait(owed, host->window)) {
        exchange->owes = true;
        return BW_OK;
    }
    peer->owed[half] = (bw_amount){0};
    if (!bw_board_is_local(host->board, worker)) subtract(&peer->held[half], owed);
    if (worker == host->worker) return bw_exchange_credit(exchange, worker, half, owed);
    bw_message message = {.kind = BW_MESSAGE_CREDIT,
                          .sender = host->worker,
                          .exchange = exchange->index,
                          .half = half,
                          .count = owed.items,
                          .bytes = owed.bytes};
    return tell(host, worker, &message);
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
bw_exchange_admit(bw_exchange *exchange, const bw_exchange_host *host, const bw_message *message,
                  const char **what)
{
    bw_peer *peer = &exchange->peers[message->sender];
    bw_amount *held = &peer->held[message->half];
    *what = NULL;
    if (!exchange->crosses) {
        *what = "sent items that should have stayed where they were";
    } else if (message->shape != bw_route_shape(exchange->route)) {
        *what = "sent items of a shape that the step does not take";
    } else if (message->epoch < peer->heard) {
        *what = "sent items of an epoch that it had left";
    } else if (!has_room_for(*held, host->window, message->count)) {
        *what = "sent more than its window allows";
    }
    if (*what != NULL) return BW_ECORRUPT;
    add(held, (bw_amount){.items = message->count, .bytes = message->encoded->size});
    return BW_OK;
}

bw_status
bw_exchange_hear(bw_exchange *exchange, uint32_t peer, bw_epoch epoch)
{
    bw_status status = bw_frontier_advance(exchange->frontier, peer, epoch);
    if (status == BW_OK) exchange->peers[peer].heard = epoch;
    return status;
}

bw_status
bw_exchange_credit(bw_exchange *exchange, uint32_t peer, uint32_t half, bw_amount amount)
{
    if (half > 1) return BW_ECORRUPT;
    bw_amount *unacked = &exchange->peers[peer].unacked[half];
    if (amount.items > unacked->items || amount.bytes > unacked->bytes) return BW_ECORRUPT;
    subtract(unacked, amount);
    return BW_OK;
}
