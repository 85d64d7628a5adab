// queue.h - what workers send each other. With base/waker.h the only thing that crosses threads.
#ifndef BW_CHANNEL_QUEUE_H
#define BW_CHANNEL_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/waker.h"
#include "channel/batch.h"
#include "progress/frontier.h"

typedef enum bw_message_kind {
    BW_MESSAGE_DATA,    // `batch` or `encoded`, for the step behind `exchange`
    BW_MESSAGE_MARK,    // on `exchange` nothing older than `epoch` will follow from `sender`
    BW_MESSAGE_CREDIT,  // `count` items that went out on `exchange`, from `half`, were processed
} bw_message_kind;

typedef struct bw_message {
    bw_message_kind kind;
    uint32_t sender;    // index of the worker
    uint32_t exchange;  // index in the plan
    uint32_t half;
    uint64_t count;  // of items: of a credit, or of what is encoded
    uint64_t bytes;  // of a credit: that those items had on their way from another process
    bw_epoch epoch;  // of a mark or of items; BW_EPOCH_NONE: the sender's end
    bw_epoch last;   // of a mark at the end: the sender's last epoch
    // Of items, one of both; owned by who has the message.
    bw_batch *batch;    // from a worker of this process
    bw_block *encoded;  // from another process: what bw_item_ops.encode wrote, in a row
    bw_shape shape;     // of what is encoded
} bw_message;

/// Frees what a message owns.
void bw_message_drop(bw_message *message, const bw_item_ops *items);

typedef struct bw_message_array {
    bw_message *messages;
    size_t count, capacity;
} bw_message_array;

typedef struct bw_queue {
    pthread_mutex_t lock;  // guards `inbox`
    bw_message_array inbox;
    atomic_size_t count;  // of inbox, so that an empty queue costs its receiver no lock
    bw_waker *waker;      // the receiver's; NULL in the simulator, which needs none
} bw_queue;

BW_NODISCARD bw_status bw_queue_init(bw_queue *queue, bw_waker *waker);
void bw_queue_fini(bw_queue *queue, const bw_item_ops *items);

/// Any thread. FIFO for each sender and exchange; a mark may take the place of one just before it. With BW_ENOMEM what the
/// message owns stays the caller's.
BW_NODISCARD bw_status bw_queue_push(bw_queue *queue, const bw_message *message);

/// The same without a word to the receiver: who appends several messages calls bw_queue_wake() behind the last.
BW_NODISCARD bw_status bw_queue_append(bw_queue *queue, const bw_message *message);
void bw_queue_wake(bw_queue *queue);

/// Receiver only. Exchanges what has come for `*out`, an array whose messages were dealt with.
void bw_queue_take(bw_queue *queue, bw_message_array *out);

static inline bool
bw_queue_is_empty(const bw_queue *queue)
{
    return atomic_load(&queue->count) == 0;
}

#endif
