// sim_item.h - the items of simulated dataflows, and a ledger of those that live.
#ifndef BW_TESTING_SIM_ITEM_H
#define BW_TESTING_SIM_ITEM_H

#include <stdint.h>

#include "channel/item.h"
#include "progress/frontier.h"
#include "testing/random.h"

/// An item, or the key of one. Never changes once made, since several steps may hold it.
typedef struct sim_item {
    uint32_t refs;
    bool is_key;
    uint64_t id;
    bw_epoch epoch;
    uint32_t step, worker;  // which made it
    uint64_t stamp;         // counts what that step made on that worker
} sim_item;

/// How many live. `split_fails_in` and its like: the n-th call from now fails; 0: none.
typedef struct sim_ledger {
    uint64_t items, keys;
    uint64_t encoded;  // items that are bytes now: encoded, not yet decoded
    uint32_t key_count;
    uint32_t split_fails_in, encode_fails_in, decode_fails_in;
    uint32_t padding;  // bytes that each encoded item has more, so that a batch takes several blocks
} sim_ledger;

sim_item *sim_item_new(sim_ledger *ledger, const sim_item *like);
sim_item *sim_key_new(sim_ledger *ledger, const sim_item *item);

/// The key of an item: few are frequent, many are rare.
static inline uint32_t
sim_key_of(const sim_ledger *ledger, uint64_t id)
{
    uint64_t bits = random_mix(id);
    uint32_t limit = bits % 3 == 0 ? 1 : ledger->key_count;
    return (uint32_t)(bits >> 32) % limit;
}

uint64_t sim_key_hash(uint32_t key);

bw_item_ops sim_item_ops(sim_ledger *ledger);

#endif
