#include "progress/frontier.h"  // own header first: proves that it stands alone

#include <stdlib.h>

#include "base/assert.h"

struct bw_frontier {
    bw_epoch oldest;  // the least of epochs[]; kept because it is read far more often than it moves
    size_t sender_count;
    bw_epoch epochs[];  // by sender; each of them only grows
};

bw_status
bw_frontier_new(size_t sender_count, bw_epoch start, bw_frontier **out)
{
    BW_ASSERT(sender_count > 0);
    *out = calloc(1, sizeof **out + sender_count * sizeof(bw_epoch));
    if (*out == NULL) return BW_ENOMEM;
    (*out)->sender_count = sender_count;
    (*out)->oldest = start;
    for (size_t i = 0; i < sender_count; i++) (*out)->epochs[i] = start;
    return BW_OK;
}

void
bw_frontier_free(bw_frontier *frontier)
{
    free(frontier);
}

bw_status
bw_frontier_advance(bw_frontier *frontier, size_t sender, bw_epoch epoch)
{
    // Both values came off the wire: a wrong one is the peer's error, not a bug to assert on.
    if (sender >= frontier->sender_count) return BW_ECORRUPT;
    if (epoch < frontier->epochs[sender]) return BW_ECORRUPT;
    frontier->epochs[sender] = epoch;
    bw_epoch oldest = epoch;
    for (size_t i = 0; i < frontier->sender_count; i++) {
        if (frontier->epochs[i] < oldest) oldest = frontier->epochs[i];
    }
    BW_ASSERT(oldest >= frontier->oldest);  // follows from the check above; snapshots rely on it
    frontier->oldest = oldest;
    return BW_OK;
}

bw_epoch
bw_frontier_epoch(const bw_frontier *frontier)
{
    return frontier->oldest;
}

size_t
bw_frontier_sender_count(const bw_frontier *frontier)
{
    return frontier->sender_count;
}
