#include "worker/worker.h"

#include "base/assert.h"
#include "worker/node.h"

// ---- messages

/// The process of a message's sender did what it may not.
static bw_status
blame(bw_worker *worker, const bw_message *message, const char *what)
{
    bw_worker_fail(worker, NULL, BW_ECORRUPT);
    bw_error_set(&worker->failure.error, "process %u breaks the protocol: its worker %u %s",
                 (unsigned)bw_board_process_of(worker->board, message->sender),
                 (unsigned)message->sender, what);
    return BW_ECORRUPT;
}

/// Takes a batch from another process, to be decoded when its turn comes.
static bw_status
take_encoded(bw_worker *worker, bw_exchange *exchange, bw_message *message)
{
    const char *what;
    bw_status status = bw_exchange_admit(exchange, &worker->host, message, &what);
    if (status != BW_OK) return blame(worker, message, what);
    bw_batch *batch =
        bw_batch_new_encoded(message->epoch, message->shape, (uint32_t)message->count, message->encoded);
    if (batch == NULL) return BW_ENOMEM;
    message->encoded = NULL;
    batch->sender = message->sender;
    batch->exchange = message->exchange;
    batch->half = message->half;
    bw_batch_list_insert(&worker->inbox[exchange->step], batch);
    return BW_OK;
}

static bw_status
dispatch(bw_worker *worker, bw_message *message)
{
    if (message->exchange >= worker->exchange_count || message->sender >= worker->place.worker_count) {
        return blame(worker, message, "named a stream that is not there");
    }
    bw_exchange *exchange = &worker->exchanges[message->exchange];
    switch (message->kind) {
    case BW_MESSAGE_DATA:
        if (message->encoded != NULL) return take_encoded(worker, exchange, message);
        bw_batch_list_insert(&worker->inbox[exchange->step], message->batch);
        message->batch = NULL;
        return BW_OK;
    case BW_MESSAGE_MARK: {
        bw_node *node = &worker->nodes[exchange->step];
        if (message->epoch == BW_EPOCH_NONE && message->last > node->last) {
            node->last = message->last;
        }
        if (bw_exchange_hear(exchange, message->sender, message->epoch) == BW_OK) return BW_OK;
        return blame(worker, message, "went back to an epoch that it had left");
    }
    case BW_MESSAGE_CREDIT: {
        const bw_amount amount = {.items = message->count, .bytes = message->bytes};
        if (bw_exchange_credit(exchange, message->sender, message->half, amount) == BW_OK) return BW_OK;
        return blame(worker, message, "gave more room back than was taken");
    }
    }
    return BW_ECORRUPT;
}

static bw_status
take_mail(bw_worker *worker)
{
    if (bw_queue_is_empty(bw_board_queue(worker->board, worker->place.worker_index))) return BW_OK;
    bw_queue_take(bw_board_queue(worker->board, worker->place.worker_index), &worker->mail);
    for (size_t i = 0; i < worker->mail.count; i++) {
        bw_status status = dispatch(worker, &worker->mail.messages[i]);
        if (status != BW_OK) return status;
    }
    worker->busy = worker->busy || worker->mail.count > 0;
    worker->mail.count = 0;
    return BW_OK;
}

// ---- rounds

static bool
is_done(const bw_worker *worker)
{
    if (worker->published != BW_EPOCH_NONE) return false;
    for (uint32_t i = 0; i < worker->exchange_count; i++) {
        if (!worker->exchanges[i].crosses) continue;
        if (!bw_exchange_is_done(&worker->exchanges[i], worker->place.worker_count)) return false;
    }
    return true;
}

/// When the worker has something to do by itself, if nobody wakes it before.
static uint64_t
next_deadline(const bw_worker *worker)
{
    uint64_t deadline_ns = BW_TIME_NEVER, interval_ns = worker->execution->epoch_interval_ns;
    bool live = false, ahead = bw_worker_is_ahead(worker);
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        const bw_node *node = &worker->nodes[i];
        for (size_t k = 0; node->live_count > 0 && k < node->part_count; k++) {
            const bw_part *part = &node->parts[k];
            if (part->ended) continue;
            live = true;
            // One that is due waits for room, which comes by message, or for an epoch to close, or it became
            // so in this round.
            bool due = part->awake_ns <= worker->now_ns;
            if (due && !bw_worker_has_room(worker, node, worker->epoch)) continue;
            if (due && interval_ns == 0 && ahead) continue;
            if (part->awake_ns < deadline_ns) deadline_ns = part->awake_ns;
        }
    }
    if (live && interval_ns > 0 && !ahead) {
        // Strictly later than the interval: the epoch is over when more than that has passed.
        uint64_t over_ns = bw_time_after(bw_time_after(worker->epoch_start_ns, interval_ns), 1);
        if (over_ns < deadline_ns) deadline_ns = over_ns;
    }
    return deadline_ns;
}

static bw_status
run_round(bw_worker *worker)
{
    bw_status status = take_mail(worker);
    // Marks that came go on at once, not after polls that may block.
    if (status == BW_OK) status = bw_worker_run_steps(worker, 0, worker->busy);
    if (status == BW_OK) status = bw_worker_run_sources(worker);
    if (status != BW_OK) return status;
    bw_worker_move_sources(worker);
    status = bw_worker_run_steps(worker, 0, true);
    if (status == BW_OK) status = bw_worker_send(worker);
    if (status == BW_OK) status = bw_worker_publish(worker);
    bw_worker_push(worker);
    bw_worker_enter(worker, NULL);
    return status;
}

// ---- turns

static bw_turn
turn_failed(bw_worker *worker, bw_status status)
{
    if (worker->failure.status == BW_OK) bw_worker_fail(worker, NULL, status);  // not a step's
    worker->state = BW_WORKER_FAILED;
    return BW_TURN_FAILED;
}

bw_turn
bw_worker_turn(bw_worker *worker, uint64_t *deadline_ns)
{
    *deadline_ns = BW_TIME_NEVER;
    worker->seen_changes = atomic_load(&worker->board->changes);
    if (bw_worker_is_stopped(worker)) {
        worker->state = BW_WORKER_STOPPED;
        return BW_TURN_STOPPED;
    }
    bw_status status = BW_OK;
    if (worker->state != BW_WORKER_RUNNING) {
        status = bw_worker_start(worker);
        bw_worker_enter(worker, NULL);
        if (status == BW_EMPTY) return BW_TURN_PARK;
    }
    if (status == BW_OK) {
        worker->busy = false;
        bw_worker_read_clock(worker);
        status = run_round(worker);
    }
    if (status != BW_OK) return turn_failed(worker, status);
    if (is_done(worker)) {
        worker->state = BW_WORKER_DONE;
        return BW_TURN_DONE;
    }
    if (worker->busy) return BW_TURN_AGAIN;
    status = bw_worker_flush_all(worker);
    if (status != BW_OK) return turn_failed(worker, status);
    if (worker->busy) return BW_TURN_AGAIN;
    *deadline_ns = next_deadline(worker);
    return BW_TURN_PARK;
}

bool
bw_worker_has_mail(const bw_worker *worker)
{
    const bw_board *board = worker->board;
    return atomic_load(&board->changes) != worker->seen_changes ||
           !bw_queue_is_empty(bw_board_queue(board, worker->place.worker_index));
}

bw_status
bw_worker_flush(bw_worker *worker)
{
    bw_status first = BW_OK;
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        bw_node *node = &worker->nodes[i];
        if (node->instance == NULL || node->step->kernel == NULL) continue;
        if (node->step->kernel->flush == NULL) continue;
        bw_status status = node->step->kernel->flush(node->instance);
        if (first == BW_OK) first = status;
    }
    return first;
}

uint64_t
bw_worker_now_ns(const bw_worker *worker)
{
    return worker->now_ns;
}

bw_failure
bw_worker_failure(const bw_worker *worker)
{
    BW_ASSERT(worker->state == BW_WORKER_FAILED);
    return worker->failure;
}

static uint64_t
count_items(const bw_batch_list *list)
{
    uint64_t count = 0;
    for (const bw_batch *batch = list->first; batch != NULL; batch = batch->next) {
        count += batch->count;
    }
    return count;
}

uint64_t
bw_worker_held_items(const bw_worker *worker)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        count += count_items(&worker->inbox[i]);
    }
    for (uint32_t i = 0; i < worker->exchange_count; i++) {
        for (uint32_t k = 0; k < worker->place.worker_count; k++) {
            count += count_items(&worker->exchanges[i].peers[k].pending);
        }
    }
    return count;
}

uint32_t
bw_worker_busy_step(const bw_worker *worker)
{
    return atomic_load_explicit(&worker->busy_step, memory_order_relaxed);
}
