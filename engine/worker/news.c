// news.c - what a worker tells others: items, how far it is, room that it gives back, epochs closed.
#include "worker/node.h"

bw_status
bw_worker_send(bw_worker *worker)
{
    for (uint32_t i = 0; i < worker->exchange_count; i++) {
        bw_exchange *exchange = &worker->exchanges[i];
        if (!exchange->crosses) continue;
        const bw_node *up = &worker->nodes[exchange->up];
        bw_status status = bw_exchange_flush(exchange, &worker->host);
        if (status == BW_OK) {
            status = bw_exchange_announce(exchange, &worker->host, up->open, up->last);
        }
        if (status == BW_OK) status = bw_exchange_pay(exchange, &worker->host);
        if (status != BW_OK) return bw_worker_fail(worker, NULL, status);
    }
    return BW_OK;
}

void
bw_worker_publish(bw_worker *worker)
{
    bw_epoch closed = BW_EPOCH_NONE;
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        if (worker->nodes[i].open < closed) closed = worker->nodes[i].open;
    }
    if (closed == worker->published) return;
    worker->published = closed;
    bw_board_close(worker->board, worker->place.worker_index, closed);
}

bw_status
bw_worker_flush_all(bw_worker *worker)
{
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        bw_node *node = &worker->nodes[i];
        if (node->step->kernel == NULL || node->step->kernel->flush == NULL) continue;
        bw_worker_enter(worker, node);
        bw_status status = node->step->kernel->flush(node->instance);
        if (status != BW_OK) return bw_worker_fail(worker, node, status);
    }
    bw_status status = bw_worker_send(worker);
    if (status == BW_OK) bw_worker_publish(worker);
    return status;
}
