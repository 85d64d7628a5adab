#include "channel/queue.h"

#include <stdlib.h>

void
bw_message_drop(bw_message *message, const bw_item_ops *items)
{
    if (message->batch != NULL) bw_batch_drop(message->batch, items);
    bw_block_free(message->encoded);
    message->batch = NULL;
    message->encoded = NULL;
}

bw_status
bw_queue_init(bw_queue *queue, bw_waker *waker)
{
    if (pthread_mutex_init(&queue->lock, NULL) != 0) return BW_ENOMEM;
    queue->inbox = (bw_message_array){0};
    atomic_init(&queue->count, 0);
    queue->waker = waker;
    return BW_OK;
}

void
bw_queue_fini(bw_queue *queue, const bw_item_ops *items)
{
    for (size_t i = 0; i < queue->inbox.count; i++) bw_message_drop(&queue->inbox.messages[i], items);
    free(queue->inbox.messages);
    pthread_mutex_destroy(&queue->lock);
}

static bw_status
grow(bw_message_array *array)
{
    size_t capacity = array->capacity == 0 ? 16 : 2 * array->capacity;
    bw_message *messages = realloc(array->messages, capacity * sizeof *messages);
    if (messages == NULL) return BW_ENOMEM;
    array->messages = messages;
    array->capacity = capacity;
    return BW_OK;
}

// How far back a mark looks for one that it can replace: beyond what workers and exchanges usually make
// between two of them.
#define MARK_REACH 64

/// Lets a mark replace the last one of its exchange and sender if no item came after that: so a worker
/// that is slow to read finds one mark, not one for each epoch that went by.
static bool
replace_mark(bw_message_array *inbox, const bw_message *mark)
{
    size_t stop = inbox->count > MARK_REACH ? inbox->count - MARK_REACH : 0;
    for (size_t i = inbox->count; i-- > stop;) {
        bw_message *message = &inbox->messages[i];
        if (message->sender != mark->sender || message->exchange != mark->exchange) continue;
        if (message->kind == BW_MESSAGE_CREDIT) continue;
        if (message->kind == BW_MESSAGE_DATA) return false;
        *message = *mark;
        return true;
    }
    return false;
}

static bw_status
append(bw_message_array *inbox, const bw_message *message)
{
    if (message->kind == BW_MESSAGE_MARK && replace_mark(inbox, message)) return BW_OK;
    bw_status status = inbox->count == inbox->capacity ? grow(inbox) : BW_OK;
    if (status == BW_OK) inbox->messages[inbox->count++] = *message;
    return status;
}

bw_status
bw_queue_append(bw_queue *queue, const bw_message *message)
{
    pthread_mutex_lock(&queue->lock);
    bw_status status = append(&queue->inbox, message);
    atomic_store(&queue->count, queue->inbox.count);
    pthread_mutex_unlock(&queue->lock);
    return status;
}

void
bw_queue_wake(bw_queue *queue)
{
    if (queue->waker != NULL) bw_waker_wake(queue->waker);
}

bw_status
bw_queue_push(bw_queue *queue, const bw_message *message)
{
    bw_status status = bw_queue_append(queue, message);
    if (status == BW_OK) bw_queue_wake(queue);
    return status;
}

void
bw_queue_take(bw_queue *queue, bw_message_array *out)
{
    out->count = 0;
    if (bw_queue_is_empty(queue)) return;
    pthread_mutex_lock(&queue->lock);
    bw_message_array taken = queue->inbox;
    queue->inbox = *out;
    atomic_store(&queue->count, 0);
    pthread_mutex_unlock(&queue->lock);
    *out = taken;
}
