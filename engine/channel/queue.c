#include "channel/queue.h"

#include <stdlib.h>

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
    for (size_t i = 0; i < queue->inbox.count; i++) {
        bw_message *message = &queue->inbox.messages[i];
        if (message->kind == BW_MESSAGE_DATA) bw_batch_drop(message->batch, items);
    }
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

bw_status
bw_queue_push(bw_queue *queue, const bw_message *message)
{
    pthread_mutex_lock(&queue->lock);
    bw_status status = BW_OK;
    if (queue->inbox.count == queue->inbox.capacity) status = grow(&queue->inbox);
    if (status == BW_OK) {
        queue->inbox.messages[queue->inbox.count++] = *message;
        atomic_store(&queue->count, queue->inbox.count);
    }
    pthread_mutex_unlock(&queue->lock);
    if (status == BW_OK && queue->waker != NULL) bw_waker_wake(queue->waker);
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
