// frontier.h - the oldest epoch that an input can still receive, over all workers that send to it.
#ifndef BW_PROGRESS_FRONTIER_H
#define BW_PROGRESS_FRONTIER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef uint64_t bw_epoch;
#define BW_EPOCH_NONE UINT64_MAX  // the empty frontier: end of input
#define BW_EPOCH_LAST \
    (UINT64_MAX / 2)  // no run comes so far: a higher one that came over the wire is none

typedef struct bw_frontier bw_frontier;

/// Makes a frontier over `sender_count` (> 0) senders, all at `start`; free it with
/// bw_frontier_free(). BW_ENOMEM leaves `*out` NULL. The worker that made it is its only user.
BW_NODISCARD bw_status bw_frontier_new(size_t sender_count, bw_epoch start, bw_frontier **out);
void bw_frontier_free(bw_frontier *frontier);  // NULL is allowed

/// Notes that `sender` will send nothing older than `epoch`. BW_ECORRUPT, with nothing changed: no
/// such sender, or it went back in time.
BW_NODISCARD bw_status bw_frontier_advance(bw_frontier *frontier, size_t sender, bw_epoch epoch);

/// Every epoch before this one is closed. Never goes back.
bw_epoch bw_frontier_epoch(const bw_frontier *frontier);

size_t bw_frontier_sender_count(const bw_frontier *frontier);

#endif
