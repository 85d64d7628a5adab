#include "worker/board.h"

#include <stdlib.h>

#include "base/assert.h"

static bw_status
init_queues(bw_board *board, bw_waker *wakers)
{
    for (uint32_t i = 0; i < board->layout.local_count; i++) {
        bw_status status = bw_queue_init(&board->queues[i], wakers == NULL ? NULL : &wakers[i]);
        if (status == BW_OK) continue;
        while (i-- > 0) bw_queue_fini(&board->queues[i], NULL);
        return status;
    }
    return BW_OK;
}

bw_status
bw_board_init(bw_board *board, bw_layout layout, uint32_t step_count, bw_epoch resume_epoch,
              bw_waker *wakers)
{
    BW_ASSERT(layout.process_index < layout.process_count && layout.local_count > 0);
    const uint32_t worker_count = layout.process_count * layout.local_count;
    board->layout = layout;
    board->worker_count = worker_count;
    board->first_worker = layout.process_index * layout.local_count;
    board->step_count = step_count;
    board->outboxes = NULL;
    atomic_init(&board->stopped, false);
    atomic_init(&board->changes, 0);
    atomic_init(&board->begun, resume_epoch);
    atomic_init(&board->oldest, resume_epoch);
    atomic_init(&board->listed, 0);
    atomic_init(&board->built, 0);
    bw_status status = BW_ENOMEM;
    board->closed = malloc(worker_count * sizeof *board->closed);
    if (board->closed == NULL) return status;
    for (uint32_t i = 0; i < worker_count; i++) atomic_init(&board->closed[i], resume_epoch);
    board->told = calloc(worker_count, sizeof *board->told);
    if (board->told == NULL) goto free_closed;
    board->parts = calloc(step_count + 1u, sizeof *board->parts);
    if (board->parts == NULL) goto free_told;
    if (pthread_mutex_init(&board->lock, NULL) != 0) goto free_parts;
    status = bw_block_pool_init(&board->blocks);
    if (status != BW_OK) goto destroy_lock;
    status = BW_ENOMEM;
    board->queues = calloc(layout.local_count, sizeof *board->queues);
    if (board->queues == NULL) goto fini_blocks;
    status = init_queues(board, wakers);
    if (status != BW_OK) goto free_queues;
    return BW_OK;

free_queues:
    free(board->queues);
fini_blocks:
    bw_block_pool_fini(&board->blocks);
destroy_lock:
    pthread_mutex_destroy(&board->lock);
free_parts:
    free(board->parts);
free_told:
    free(board->told);
free_closed:
    free(board->closed);
    return status;
}

void
bw_board_fini(bw_board *board, const bw_item_ops *items)
{
    for (uint32_t i = 0; i < board->layout.local_count; i++) bw_queue_fini(&board->queues[i], items);
    free(board->queues);
    bw_block_pool_fini(&board->blocks);
    pthread_mutex_destroy(&board->lock);
    for (uint32_t i = 0; i < board->step_count; i++) bw_names_fini(&board->parts[i]);
    free(board->parts);
    free(board->told);
    free(board->closed);
}

/// After a change: nobody sleeps through it, since who is about to sleep looks at `changes` again.
static void
wake_all(bw_board *board)
{
    atomic_fetch_add(&board->changes, 1);
    for (uint32_t i = 0; i < board->layout.local_count; i++) {
        if (board->queues[i].waker != NULL) bw_waker_wake(board->queues[i].waker);
    }
}

void
bw_board_stop(bw_board *board)
{
    atomic_store(&board->stopped, true);
    wake_all(board);
}

bw_status
bw_board_list(bw_board *board, uint32_t step, const bw_names *names)
{
    pthread_mutex_lock(&board->lock);
    bw_status status = BW_OK;
    for (size_t i = 0; i < names->count && status == BW_OK; i++) {
        const bw_name *name = &names->names[i];
        status = bw_names_add(&board->parts[step], name->data, name->size);
    }
    pthread_mutex_unlock(&board->lock);
    return status;
}

/// With the lock held, so that the worker which counts last sorts after all have added. True for the last.
static bool
count_listed(bw_board *board)
{
    bool last = atomic_load(&board->listed) + 1 == board->worker_count;
    if (last) {
        for (uint32_t i = 0; i < board->step_count; i++) bw_names_sort(&board->parts[i]);
    }
    atomic_fetch_add(&board->listed, 1);
    return last;
}

void
bw_board_count_listed(bw_board *board)
{
    pthread_mutex_lock(&board->lock);
    bool last = count_listed(board);
    pthread_mutex_unlock(&board->lock);
    if (last) wake_all(board);
}

void
bw_board_count_built(bw_board *board)
{
    if (atomic_fetch_add(&board->built, 1) + 1 == board->worker_count) wake_all(board);
}

/// Raises `*value` to at least `epoch`. True if that changed it.
static bool
raise_to(_Atomic(bw_epoch) *value, bw_epoch epoch)
{
    bw_epoch seen = atomic_load(value);
    while (seen < epoch) {
        if (atomic_compare_exchange_weak(value, &seen, epoch)) return true;
    }
    return false;
}

bool
bw_board_begin(bw_board *board, bw_epoch epoch)
{
    if (!raise_to(&board->begun, epoch)) return false;
    if (board->worker_count > 1) wake_all(board);
    return true;
}

void
bw_board_close(bw_board *board, uint32_t worker, bw_epoch epoch)
{
    BW_ASSERT(epoch >= atomic_load(&board->closed[worker]));
    atomic_store(&board->closed[worker], epoch);
    bw_epoch oldest = epoch;
    for (uint32_t i = 0; i < board->worker_count; i++) {
        bw_epoch closed = atomic_load(&board->closed[i]);
        if (closed < oldest) oldest = closed;
    }
    // Which epoch is oldest decides from which half of its windows a worker sends: all look again.
    if (raise_to(&board->oldest, oldest) && board->worker_count > 1) wake_all(board);
}

// ---- news from afar

enum { TOLD_LISTED = 1, TOLD_BUILT = 2 };

bw_status
bw_board_list_from_afar(bw_board *board, uint32_t step, bw_bytes name)
{
    if (step >= board->step_count) return BW_ECORRUPT;
    pthread_mutex_lock(&board->lock);
    bool late = atomic_load(&board->listed) == board->worker_count;  // workers read parts[] by now
    bw_status status = late ? BW_ECORRUPT : bw_names_add(&board->parts[step], name.data, name.size);
    pthread_mutex_unlock(&board->lock);
    return status;
}

bw_status
bw_board_count_listed_from_afar(bw_board *board, uint32_t worker)
{
    pthread_mutex_lock(&board->lock);
    bool known = board->told[worker] == 0;
    bool last = known && count_listed(board);
    board->told[worker] |= TOLD_LISTED;
    pthread_mutex_unlock(&board->lock);
    if (last) wake_all(board);
    return known ? BW_OK : BW_ECORRUPT;
}

bw_status
bw_board_count_built_from_afar(bw_board *board, uint32_t worker)
{
    // That all have listed it may have heard before this process does: on other connections.
    pthread_mutex_lock(&board->lock);
    bool known = board->told[worker] == TOLD_LISTED;
    board->told[worker] |= TOLD_BUILT;
    pthread_mutex_unlock(&board->lock);
    if (!known) return BW_ECORRUPT;
    bw_board_count_built(board);
    return BW_OK;
}

bw_status
bw_board_begin_from_afar(bw_board *board, bw_epoch epoch)
{
    if (epoch > BW_EPOCH_LAST) return BW_ECORRUPT;
    bw_board_begin(board, epoch);
    return BW_OK;
}

bw_status
bw_board_close_from_afar(bw_board *board, uint32_t worker, bw_epoch epoch)
{
    if (epoch < atomic_load(&board->closed[worker])) return BW_ECORRUPT;
    if (epoch > BW_EPOCH_LAST && epoch != BW_EPOCH_NONE) return BW_ECORRUPT;
    bw_board_close(board, worker, epoch);
    return BW_OK;
}
