// news.c - what a worker tells others: items, how far it is, room that it gives back, epochs closed.
#include "worker/node.h"

bw_status
bw_worker_send(bw_worker *worker)
{
    for (uint32_t i = 0; i < worker->exchange_count; i++) {
        bw_exchange *exchange = &worker->exchanges[i];
        if (!exchange->crosses) continue;
        const bw_node *up = &worker->nodes[exchange->up];
        // Encoding for another process may run the user's code: for what goes into this step.
        if (worker->outlet_count > 0) bw_worker_enter(worker, &worker->nodes[exchange->step]);
        bw_status status = bw_exchange_flush(exchange, &worker->host);
        if (status != BW_OK) return bw_worker_fail_sending(worker, exchange->step, status);
        status = bw_exchange_announce(exchange, &worker->host, up->open, up->last);
        if (status == BW_OK) status = bw_exchange_pay(exchange, &worker->host);
        if (status != BW_OK) return bw_worker_fail(worker, NULL, status);
    }
    return BW_OK;
}

bw_status
bw_worker_fail_sending(bw_worker *worker, uint32_t step, bw_status status)
{
    bw_worker_fail(worker, &worker->nodes[step], status);
    if (status == BW_EINVAL) {
        bw_error_set(&worker->failure.error,
                     "a batch of 4 GiB or more can't be sent to another process");
    }
    return status;
}

// ---- other processes

bw_status
bw_worker_tell_parts(bw_worker *worker, uint32_t step, const bw_names *names)
{
    for (uint32_t i = 0; i < worker->outlet_count; i++) {
        if (worker->outlets[i].outbox == NULL) continue;
        for (size_t k = 0; k < names->count; k++) {
            const bw_bytes name = {.data = names->names[k].data, .size = names->names[k].size};
            bw_status status = bw_assign_put(&worker->outlets[i].writer, step, name);
            if (status == BW_OK) continue;
            bw_worker_fail(worker, &worker->nodes[step], status);
            if (status != BW_EINVAL) return status;
            bw_error_set(&worker->failure.error, "the name of a partition has %zu bytes, more than %u",
                         name.size, (unsigned)BW_ASSIGN_NAME_BYTES);
            return status;
        }
    }
    return BW_OK;
}

bw_status
bw_worker_tell_ready(bw_worker *worker, bw_ready what)
{
    for (uint32_t i = 0; i < worker->outlet_count; i++) {
        if (worker->outlets[i].outbox == NULL) continue;
        bw_status status = bw_ready_put(&worker->outlets[i].writer, worker->place.worker_index, what);
        if (status != BW_OK) return bw_worker_fail(worker, NULL, status);
    }
    bw_worker_push(worker);  // others wait for it
    return BW_OK;
}

static bw_status
tell_progress(bw_worker *worker, bw_progress what, bw_epoch epoch)
{
    for (uint32_t i = 0; i < worker->outlet_count; i++) {
        if (worker->outlets[i].outbox == NULL) continue;
        bw_status status =
            bw_progress_put(&worker->outlets[i].writer, worker->place.worker_index, what, epoch);
        if (status != BW_OK) return bw_worker_fail(worker, NULL, status);
    }
    return BW_OK;
}

bw_status
bw_worker_tell_begun(bw_worker *worker, bw_epoch epoch)
{
    return tell_progress(worker, BW_PROGRESS_BEGUN, epoch);
}

void
bw_worker_push(bw_worker *worker)
{
    for (uint32_t i = 0; i < worker->outlet_count; i++) bw_outlet_push(&worker->outlets[i]);
}

// ---- both

bw_status
bw_worker_publish(bw_worker *worker)
{
    bw_epoch closed = BW_EPOCH_NONE;
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        if (worker->nodes[i].open < closed) closed = worker->nodes[i].open;
    }
    if (closed == worker->published) return BW_OK;
    worker->published = closed;
    bw_board_close(worker->board, worker->place.worker_index, closed);
    return tell_progress(worker, BW_PROGRESS_CLOSED, closed);
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
    if (status == BW_OK) status = bw_worker_publish(worker);
    bw_worker_push(worker);
    return status;
}
