// outbox.h - blocks of frames that wait for the I/O thread to send them to one process.
#ifndef BW_NET_OUTBOX_H
#define BW_NET_OUTBOX_H

#include <pthread.h>
#include <stdint.h>

#include "base/block.h"
#include "base/status.h"

typedef struct bw_outbox {
    pthread_mutex_t lock;  // guards what follows, but `wake`
    bw_block *first, *last;
    void (*wake)(void *self);  // any thread: has the I/O thread look; NULL in tests
    void *wake_self;
} bw_outbox;

BW_NODISCARD bw_status bw_outbox_init(bw_outbox *outbox, void (*wake)(void *), void *wake_self);
void bw_outbox_fini(bw_outbox *outbox);

/// Any thread. Appends a chain of blocks of whole frames, which is taken over, and wakes the I/O thread.
void bw_outbox_push(bw_outbox *outbox, bw_block *first);

/// I/O thread. Takes blocks from the front: as many as hold about `bytes`, at least one if there is any.
bw_block *bw_outbox_take(bw_outbox *outbox, uint64_t bytes);

/// I/O thread. Drops all that waits.
void bw_outbox_clear(bw_outbox *outbox);

#endif
