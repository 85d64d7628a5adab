// keyed.h - the harness under a stateful operator: it finds the slots of a batch's keys, makes one call
// for all of them, and sees to order, discard and the end. What the slots hold is the logic's.
#ifndef BW_KEYED_KEYED_H
#define BW_KEYED_KEYED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "graph/operator.h"
#include "keyed/table.h"

typedef struct bw_keyed bw_keyed;

/// The logic of one stateful operator. Worker thread, attached.
typedef struct bw_keyed_ops {
    /// A batch in order of arrival: values[i] (owned by the harness; NULL it to keep it) belongs to
    /// slots[i], which is all zero for a key that is new or was discarded. Slots repeat.
    bw_status (*on_items)(void *logic, bw_keyed *keyed, void *const *slots, void **values, size_t count,
                          bw_output *output);
    /// NULL: nothing to do. No item will follow; called once for each key, ascending by bytes.
    bw_status (*on_eof)(void *logic, bw_keyed *keyed, void *slot, bw_output *output);
    /// NULL: slots own nothing. Releases what a slot holds; it will be forgotten or zeroed.
    void (*clear)(void *logic, void *slot);
} bw_keyed_ops;

/// `items` and `logic` are borrowed. BW_ENOMEM leaves `*out` NULL.
BW_NODISCARD bw_status bw_keyed_new(const bw_keyed_ops *ops, void *logic, size_t slot_size,
                                    const bw_item_ops *items, bw_keyed **out);
void bw_keyed_free(bw_keyed *keyed);  // NULL is allowed

/// on_batch and on_close of a kernel that is this operator.
BW_NODISCARD bw_status bw_keyed_on_batch(bw_keyed *keyed, bw_batch *batch, bw_output *output);
BW_NODISCARD bw_status bw_keyed_on_close(bw_keyed *keyed, bool ended, bw_output *output);

/// From the logic: the key of a slot is forgotten at the end of this activation, unless a later item
/// of the batch brings it back. The slot is cleared and zeroed at once.
void bw_keyed_discard(bw_keyed *keyed, void *slot);

/// From the logic: the bytes of a slot's key.
bw_bytes bw_keyed_key(void *slot);

uint32_t bw_keyed_count(const bw_keyed *keyed);

#endif
