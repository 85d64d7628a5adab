// operator.h - the two kinds of node that a dataflow consists of, each a table of functions: sources,
// which are polled, and kernels, which are given batches (stateless chains, keyed state, sinks).
#ifndef BW_GRAPH_OPERATOR_H
#define BW_GRAPH_OPERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "channel/batch.h"
#include "graph/names.h"
#include "progress/frontier.h"

/// Where an instance of an operator runs.
typedef struct bw_place {
    uint32_t worker_index, worker_count;  // through the whole cluster
    uint32_t local_index;                 // in its process
} bw_place;

/// What a kernel makes: batches of the epoch of its activation. Valid during the call it is given to.
typedef struct bw_output {
    bw_batch_pool *pool;
    bw_epoch epoch;
    bw_batch *open;  // the one that is being filled, the last of `made`; NULL: start one
    bw_batch_list made;
    bool wanted;  // false if no step takes the items: then nothing may be pushed
} bw_output;

/// Start a batch of this shape; cold path of the two below. BW_ENOMEM.
BW_NODISCARD bw_status bw_output_start(bw_output *output, bw_shape shape);

/// Hands on a whole batch, which is taken over.
void bw_output_forward(bw_output *output, bw_batch *batch);

/// Hands on one item: a reference, taken over unless this fails (BW_ENOMEM).
static inline BW_NODISCARD bw_status
bw_output_push(bw_output *output, void *item)
{
    if (output->open == NULL || bw_batch_is_full(output->open)) {
        bw_status status = bw_output_start(output, BW_SHAPE_PLAIN);
        if (status != BW_OK) return status;
    }
    bw_batch_push(output->open, item);
    return BW_OK;
}

/// Hands on one item that a step with BW_ROUTE_KEY takes, split already: references as above. All items of
/// an activation go out by this function or none.
static inline BW_NODISCARD bw_status
bw_output_push_keyed(bw_output *output, void *key, uint64_t hash, void *value)
{
    if (output->open == NULL || bw_batch_is_full(output->open)) {
        bw_status status = bw_output_start(output, BW_SHAPE_KEYED);
        if (status != BW_OK) return status;
    }
    bw_batch_push_keyed(output->open, key, hash, value);
    return BW_OK;
}

/// All functions run on the worker's thread, attached. One that may be NULL says so.
typedef struct bw_kernel_ops {
    /// Makes this worker's instance. A kernel with partitions adds their names to `names`.
    bw_status (*open)(void *spec, const bw_place *place, bw_names *names, void **out);
    /// NULL: nothing to do. `names` are all partitions, sorted; owners[i] is the worker of names[i].
    bw_status (*build)(void *kernel, const bw_names *names, const uint32_t *owners);
    /// On the sender, for the instance there of the step that will get the items: makes keys[], values
    /// and hashes[], which with BW_ROUTE_PART are indices of partitions. NULL: bw_item_ops.split does,
    /// by key. On failure items[*done] and what follows are still whole items.
    bw_status (*route)(void *kernel, void **items, size_t count, void **keys, uint64_t *hashes,
                       size_t *done);
    /// Takes a batch: sets `(*batch)->count` to 0 when its items are gone, or hands it on and sets
    /// `*batch` to NULL. On failure, count is the number of items (from the start) still held.
    bw_status (*on_batch)(void *kernel, bw_batch **batch, bw_output *output);
    /// NULL: nothing to do. Every item up to `epoch` has been here; `ended`: none will ever follow.
    /// BW_FULL: not yet; asked again in the next round, perhaps for a later epoch too, and until then
    /// an aligned step holds later items back.
    bw_status (*on_close)(void *kernel, bw_epoch epoch, bool ended, bw_output *output);
    /// NULL: nothing held back. The worker is about to wait or to call code that may block.
    bw_status (*flush)(void *kernel);
    void (*drop)(void *kernel);  // frees it, whatever state it is in
} bw_kernel_ops;

#define BW_AWAKE_SOON 0  // a source that does not know when to come back

typedef struct bw_source_ops {
    /// As of a kernel. Without names the source has exactly one part on every worker.
    bw_status (*open)(void *spec, const bw_place *place, bw_names *names, void **out);
    bw_status (*build)(void *source, const bw_names *names, const uint32_t *owners);
    /// Number of parts on this worker, after build. They are polled by index.
    size_t (*part_count)(void *source);
    /// True if poll may block: the worker sends and flushes first what it holds.
    bool (*may_block)(void *source, size_t part);
    /// Adds at most `limit` (<= BW_BATCH_ITEMS) items to an empty plain batch. BW_OK: there may be
    /// more at once. BW_EMPTY: nothing now, ask again at `*awake_ns` (of the engine's clock; comes as
    /// BW_AWAKE_SOON). BW_CLOSED: that was all.
    bw_status (*poll)(void *source, size_t part, size_t limit, bw_batch *batch, uint64_t *awake_ns);
    /// NULL: nothing to do. The part gave items in `epoch`, which is over, or came to its end.
    bw_status (*snapshot)(void *source, size_t part, bw_epoch epoch);
    /// NULL: nothing to do. The part came to its end.
    bw_status (*close)(void *source, size_t part);
    void (*drop)(void *source);
} bw_source_ops;

#endif
