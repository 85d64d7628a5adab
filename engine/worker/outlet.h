// outlet.h - what one worker writes for the workers of one other process, until it is sent as a whole.
//
// Frames lie one behind the other in blocks; only those of a batch go on in the next block, by MORE.
// On the wire everything of one worker for one process keeps its order.
#ifndef BW_WORKER_OUTLET_H
#define BW_WORKER_OUTLET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/block.h"
#include "base/status.h"
#include "channel/batch.h"
#include "channel/queue.h"
#include "net/outbox.h"

/// One for each process and worker. Its worker is its only user.
typedef struct bw_outlet {
    bw_writer writer;
    bw_outbox *outbox;  // borrowed; NULL for this very process
} bw_outlet;

void bw_outlet_init(bw_outlet *outlet, bw_outbox *outbox);
void bw_outlet_fini(bw_outlet *outlet);

/// Appends a batch, of which `message` says all but what it owns: its items stay the caller's. A failure, of
/// memory or of bw_item_ops.encode, leaves the outlet as it was. BW_EINVAL: of 4 GiB or more. `*size`: the bytes of
/// its items.
BW_NODISCARD bw_status bw_outlet_put_batch(bw_outlet *outlet, uint32_t receiver,
                                           const bw_message *message, const bw_batch *batch,
                                           const bw_item_ops *items, uint32_t *size);

/// Gives what was written to the outbox, if anything was.
void bw_outlet_push(bw_outlet *outlet);

/// True if it has a block to which nothing can be added: that need not wait.
static inline bool
bw_outlet_is_full(const bw_outlet *outlet)
{
    return outlet->writer.first != outlet->writer.last;
}

#endif
