#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "worker/node.h"

// ---- making and freeing

/// Exchanges are the edges with a route, numbered in recording order; one worker has none.
static bool
crosses(const bw_step *step, uint32_t worker_count)
{
    return worker_count > 1 && step->route != BW_ROUTE_LOCAL;
}

static bw_status
init_exchanges(bw_worker *worker)
{
    const bw_graph *graph = worker->execution->graph;
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->count; i++) {
        if (crosses(&graph->steps[i], worker->place.worker_count)) count += graph->steps[i].up_count;
    }
    worker->exchanges = calloc(count + 1u, sizeof *worker->exchanges);
    if (worker->exchanges == NULL) return BW_ENOMEM;
    for (uint32_t i = 0; i < graph->count; i++) {
        const bw_step *step = &graph->steps[i];
        if (!crosses(step, worker->place.worker_count)) continue;
        for (uint32_t k = 0; k < step->up_count; k++) {
            bw_exchange *exchange = &worker->exchanges[worker->exchange_count];
            bw_status status = bw_exchange_init(exchange, worker->place.worker_count, worker->epoch);
            if (status != BW_OK) return status;
            exchange->index = worker->exchange_count++;
            exchange->step = i;
            exchange->up = step->ups[k];
            exchange->route = step->route;
        }
    }
    return BW_OK;
}

static bw_status
init_node(bw_worker *worker, uint32_t index, uint32_t *next_exchange)
{
    const bw_step *step = &worker->execution->graph->steps[index];
    bw_node *node = &worker->nodes[index];
    node->step = step;
    node->open = node->last = worker->epoch;
    node->ups = calloc(step->up_count + 1u, sizeof *node->ups);
    node->downs = calloc(step->down_count + 1u, sizeof *node->downs);
    node->reach = calloc(worker->exchange_count + 1u, sizeof(bw_exchange *));
    node->nexts = calloc(worker->execution->graph->count, sizeof *node->nexts);
    if (node->ups == NULL || node->downs == NULL || node->reach == NULL || node->nexts == NULL) {
        return BW_ENOMEM;
    }
    for (uint32_t k = 0; k < step->up_count; k++) {
        if (crosses(step, worker->place.worker_count)) {
            node->ups[k] = &worker->exchanges[(*next_exchange)++];
        }
        bw_node *up = &worker->nodes[step->ups[k]];
        up->downs[up->down_count++] = (bw_down){.step = index, .exchange = node->ups[k]};
    }
    return BW_OK;
}

static void
add_reach(bw_node *node, bw_exchange *exchange)
{
    for (uint32_t i = 0; i < node->reach_count; i++) {
        if (node->reach[i] == exchange) return;
    }
    node->reach[node->reach_count++] = exchange;
}

static void
add_next(bw_node *node, uint32_t step)
{
    for (uint32_t i = 0; i < node->next_count; i++) {
        if (node->nexts[i] == step) return;
    }
    node->nexts[node->next_count++] = step;
}

/// From the last step to the first, since a step's reach is made of those of the steps after it.
static void
find_reach(bw_worker *worker)
{
    for (uint32_t i = worker->execution->graph->count; i-- > 0;) {
        bw_node *node = &worker->nodes[i];
        node->reach_count = node->next_count = 0;
        for (uint32_t k = 0; k < node->down_count; k++) {
            const bw_down *down = &node->downs[k];
            if (down->exchange != NULL && down->exchange->crosses) {
                add_reach(node, down->exchange);
                continue;
            }
            const bw_node *next = &worker->nodes[down->step];
            add_next(node, down->step);
            for (uint32_t r = 0; r < next->reach_count; r++) add_reach(node, next->reach[r]);
            for (uint32_t r = 0; r < next->next_count; r++) add_next(node, next->nexts[r]);
        }
    }
}

static bw_status
init_plan(bw_worker *worker)
{
    const bw_graph *graph = worker->execution->graph;
    worker->nodes = calloc(graph->count + 1u, sizeof *worker->nodes);
    worker->inbox = calloc(graph->count + 1u, sizeof *worker->inbox);
    if (worker->nodes == NULL || worker->inbox == NULL) return BW_ENOMEM;
    bw_status status = init_exchanges(worker);
    if (status != BW_OK) return status;
    uint32_t next_exchange = 0;
    for (uint32_t i = 0; i < graph->count; i++) {
        status = init_node(worker, i, &next_exchange);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

static bw_amount
window_of(const bw_execution *execution)
{
    uint64_t bytes = execution->window_bytes;
    return (bw_amount){.items = execution->window_items, .bytes = bytes > 0 ? bytes : BW_WINDOW_BYTES};
}

/// What is written for each other process.
static bw_status
init_outlets(bw_worker *worker)
{
    const bw_board *board = worker->board;
    BW_ASSERT(board->layout.process_count == 1 || board->outboxes != NULL);
    if (board->outboxes == NULL) return BW_OK;
    worker->outlets = calloc(board->layout.process_count, sizeof *worker->outlets);
    if (worker->outlets == NULL) return BW_ENOMEM;
    worker->outlet_count = board->layout.process_count;
    for (uint32_t i = 0; i < worker->outlet_count; i++) {
        bw_outlet_init(&worker->outlets[i], board->outboxes[i]);
        worker->outlets[i].writer.pool = &worker->board->blocks;
    }
    return BW_OK;
}

bw_status
bw_worker_new(const bw_execution *execution, bw_board *board, uint32_t index, bw_worker **out)
{
    *out = NULL;
    BW_ASSERT(execution->window_items > 0 && bw_board_is_local(board, index));
    bw_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) return BW_ENOMEM;
    worker->execution = execution;
    worker->board = board;
    worker->place = (bw_place){.worker_index = index,
                               .worker_count = board->worker_count,
                               .local_index = index - board->first_worker};
    worker->epoch = worker->published = execution->resume_epoch;
    worker->poll_limit = 1;
    atomic_init(&worker->busy_step, UINT32_MAX);
    bw_batch_pool_init(&worker->pool);
    bw_status status = init_plan(worker);
    if (status == BW_OK) status = init_outlets(worker);
    if (status != BW_OK) {
        bw_worker_free(worker);
        return status;
    }
    worker->host = (bw_exchange_host){.board = board,
                                      .pool = &worker->pool,
                                      .items = &execution->items,
                                      .worker = index,
                                      .window = window_of(execution),
                                      .inbox = worker->inbox,
                                      .news = &worker->busy,
                                      .outlets = worker->outlets};
    *out = worker;
    return BW_OK;
}

static void
free_node(bw_node *node)
{
    if (node->instance != NULL) {
        if (node->step->source != NULL) {
            node->step->source->drop(node->instance);
        } else {
            node->step->kernel->drop(node->instance);
        }
    }
    free(node->ups);
    free(node->downs);
    free((void *)node->reach);
    free(node->nexts);
    free(node->owners);
    free(node->parts);
}

void
bw_worker_free(bw_worker *worker)
{
    if (worker == NULL) return;
    const bw_item_ops *items = &worker->execution->items;
    uint32_t step_count = worker->execution->graph->count;
    for (uint32_t i = 0; worker->inbox != NULL && i < step_count; i++) {
        bw_batch_list_drop(&worker->inbox[i], items);
    }
    // Left over where dispatching failed half-way.
    for (size_t i = 0; i < worker->mail.count; i++) bw_message_drop(&worker->mail.messages[i], items);
    for (uint32_t i = 0; i < worker->exchange_count; i++) {
        bw_exchange_fini(&worker->exchanges[i], items);
    }
    for (uint32_t i = 0; worker->nodes != NULL && i < step_count; i++) free_node(&worker->nodes[i]);
    for (uint32_t i = 0; i < worker->outlet_count; i++) bw_outlet_fini(&worker->outlets[i]);
    free(worker->outlets);
    free(worker->exchanges);
    free(worker->nodes);
    free(worker->inbox);
    free(worker->mail.messages);
    bw_batch_pool_fini(&worker->pool);
    free(worker);
}

// ---- start

static bw_status
open_node(bw_worker *worker, uint32_t index)
{
    bw_node *node = &worker->nodes[index];
    bw_names names;
    bw_names_init(&names);
    bw_status status;
    bw_worker_enter(worker, node);
    if (node->step->source != NULL) {
        status = node->step->source->open(node->step->spec, &worker->place, &names, &node->instance);
    } else {
        status = node->step->kernel->open(node->step->spec, &worker->place, &names, &node->instance);
    }
    if (status == BW_OK && node->step->has_parts) {
        status = bw_board_list(worker->board, index, &names);
        if (status == BW_OK) status = bw_worker_tell_parts(worker, index, &names);
    }
    bw_names_fini(&names);
    if (status == BW_OK || worker->failure.status != BW_OK) return status;
    return bw_worker_fail(worker, node, status);
}

static bw_status
open_all(bw_worker *worker)
{
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        bw_status status = open_node(worker, i);
        if (status != BW_OK) return status;
    }
    bw_board_count_listed(worker->board);
    return bw_worker_tell_ready(worker, BW_READY_LISTED);
}

static bw_status
find_owners(const bw_worker *worker, const bw_names *names, uint32_t **out)
{
    *out = malloc((names->count + 1) * sizeof **out);
    if (*out == NULL) return BW_ENOMEM;
    for (size_t i = 0; i < names->count; i++) {
        uint64_t hash = bw_hash(names->names[i].data, names->names[i].size);
        (*out)[i] = bw_hash_owner(hash, worker->place.worker_count);
    }
    return BW_OK;
}

static bw_status
build_source(bw_node *node, const bw_names *names, const uint32_t *owners)
{
    const bw_source_ops *ops = node->step->source;
    bw_status status = ops->build == NULL ? BW_OK : ops->build(node->instance, names, owners);
    if (status != BW_OK) return status;
    node->part_count = node->live_count = ops->part_count(node->instance);
    node->parts = calloc(node->part_count + 1, sizeof *node->parts);
    if (node->parts == NULL) return BW_ENOMEM;
    for (size_t i = 0; i < node->part_count; i++) node->parts[i].idle_since_ns = BW_TIME_NEVER;
    return BW_OK;
}

static bw_status
build_node(bw_worker *worker, uint32_t index)
{
    bw_node *node = &worker->nodes[index];
    const bw_names *names = &worker->board->parts[index];
    bw_status status = find_owners(worker, names, &node->owners);
    if (status != BW_OK) return bw_worker_fail(worker, node, status);
    bw_worker_enter(worker, node);
    if (node->step->source != NULL) {
        status = build_source(node, names, node->owners);
    } else if (node->step->kernel->build != NULL) {
        status = node->step->kernel->build(node->instance, names, node->owners);
    }
    for (uint32_t i = 0; i < node->step->up_count; i++) {
        bw_exchange *exchange = node->ups[i];
        if (exchange == NULL) continue;
        if (node->step->route == BW_ROUTE_PART) {
            exchange->owners = node->owners;
        } else if (node->step->route == BW_ROUTE_DEAL) {
            const bw_names *dealt = &worker->board->parts[node->step->ups[i]];
            exchange->crosses = dealt->count < worker->place.worker_count;
        }
    }
    return status == BW_OK ? BW_OK : bw_worker_fail(worker, node, status);
}

static bw_status
build_all(bw_worker *worker)
{
    for (uint32_t i = 0; i < worker->execution->graph->count; i++) {
        bw_status status = build_node(worker, i);
        if (status != BW_OK) return status;
    }
    find_reach(worker);
    bw_board_count_built(worker->board);
    return bw_worker_tell_ready(worker, BW_READY_BUILT);
}

bw_status
bw_worker_start(bw_worker *worker)
{
    uint32_t all = worker->place.worker_count;
    bw_status status = BW_OK;
    if (worker->state == BW_WORKER_OPEN) {
        status = open_all(worker);
        if (status != BW_OK) return status;
        worker->state = BW_WORKER_LISTED;
    }
    if (worker->state == BW_WORKER_LISTED) {
        if (atomic_load(&worker->board->listed) < all) return BW_EMPTY;
        status = build_all(worker);
        if (status != BW_OK) return status;
        worker->state = BW_WORKER_BUILT;
    }
    if (atomic_load(&worker->board->built) < all) return BW_EMPTY;
    worker->state = BW_WORKER_RUNNING;
    worker->epoch_start_ns = bw_worker_read_clock(worker);
    return BW_OK;
}
