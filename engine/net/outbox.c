#include "net/outbox.h"

#include <stddef.h>

bw_status
bw_outbox_init(bw_outbox *outbox, void (*wake)(void *), void *wake_self)
{
    *outbox = (bw_outbox){.wake = wake, .wake_self = wake_self};
    return pthread_mutex_init(&outbox->lock, NULL) == 0 ? BW_OK : BW_ENOMEM;
}

void
bw_outbox_fini(bw_outbox *outbox)
{
    bw_block_free_all(outbox->first);
    pthread_mutex_destroy(&outbox->lock);
}

void
bw_outbox_push(bw_outbox *outbox, bw_block *first)
{
    bw_block *last = first;
    while (last->next != NULL) last = last->next;
    pthread_mutex_lock(&outbox->lock);
    if (outbox->first == NULL) {
        outbox->first = first;
    } else {
        outbox->last->next = first;
    }
    outbox->last = last;
    pthread_mutex_unlock(&outbox->lock);
    if (outbox->wake != NULL) outbox->wake(outbox->wake_self);
}

bw_block *
bw_outbox_take(bw_outbox *outbox, uint64_t bytes)
{
    pthread_mutex_lock(&outbox->lock);
    bw_block *first = outbox->first, *last = first;
    if (first != NULL) {
        uint64_t size = first->size;
        for (; last->next != NULL && size < bytes; last = last->next) size += last->next->size;
        outbox->first = last->next;
        last->next = NULL;
    }
    pthread_mutex_unlock(&outbox->lock);
    return first;
}

void
bw_outbox_clear(bw_outbox *outbox)
{
    bw_block_free_all(bw_outbox_take(outbox, UINT64_MAX));
}
