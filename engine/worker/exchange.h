// exchange.h - the edge of the plan that crosses workers: where the items of a batch go, what waits for
// room to go, what has gone and was not yet processed, and how far each sender has come.
//
// Credit. Each exchange has a window of items for each pair of workers (a worker and itself included)
// in two halves: half 0 serves the oldest epoch that is open anywhere, half 1 all later ones. Items sent
// use up room; it comes back, to the half it was taken from, when they were processed. What finds no
// room waits in `pending`. Marks need no room, but never overtake pending items of their epoch.
//
// Between processes the window has a bound in bytes too: a batch goes if the half is empty, or if it has room for
// its items and holds fewer bytes than that. The receiver holds its peers to it.
#ifndef BW_WORKER_EXCHANGE_H
#define BW_WORKER_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "channel/batch.h"
#include "graph/graph.h"
#include "progress/frontier.h"
#include "worker/board.h"
#include "worker/outlet.h"

/// What takes room in a window.
typedef struct bw_amount {
    uint64_t items;
    uint64_t bytes;  // 0 within a process
} bw_amount;

/// What one worker knows of another at the far end of an exchange.
typedef struct bw_peer {
    bw_batch_list pending;  // waiting for room, older epochs first
    uint32_t limit;         // items of one of these: of one elsewhere, as many as have some BATCH_BYTES
    bw_amount unacked[2];   // sent and not yet processed, by half
    bw_amount owed[2];      // of the peer's, processed here, whose room was not yet given back
    bw_epoch announced;     // the last mark sent to it
    bw_epoch heard;         // the last mark that came from it
    bw_amount held[2];      // of one elsewhere: what came and was not yet paid for, by half
} bw_peer;

typedef struct bw_exchange {
    uint32_t index;     // in the plan, the same on all workers
    uint32_t step, up;  // its items go into this step, and come from that one
    bw_route route;
    bool crosses;            // false: a dealing one that need not deal, all items stay here
    uint32_t next_dealt;     // worker whose turn it is
    const uint32_t *owners;  // by partition, of BW_ROUTE_PART; borrowed from the node
    bw_frontier *frontier;   // over the senders
    bw_peer *peers;          // by worker, this one included
    bool owes;               // some peer has `owed`
} bw_exchange;

/// What an exchange needs of its worker, to whom it belongs.
typedef struct bw_exchange_host {
    bw_board *board;
    bw_batch_pool *pool;
    const bw_item_ops *items;
    uint32_t worker;       // this one
    bw_amount window;      // in each half
    bw_batch_list *inbox;  // by step: where batches to this very worker go
    bool *news;            // becomes true when a batch or a mark came to this very worker
    bw_outlet *outlets;    // by process: for workers elsewhere. NULL without other processes
} bw_exchange_host;

/// Which half of the windows serves items of `epoch` now.
uint32_t bw_exchange_half(const bw_exchange_host *host, bw_epoch epoch);

BW_NODISCARD bw_status bw_exchange_init(bw_exchange *exchange, uint32_t worker_count, bw_epoch epoch);
void bw_exchange_fini(bw_exchange *exchange, const bw_item_ops *items);

/// The shape in which batches go over a route.
bw_shape bw_route_shape(bw_route route);

/// Takes over a batch whose keys[] and hashes[] are set as the route needs it, and splits it by
/// destination. What is full leaves if there is room; for another process it is encoded then, by
/// bw_item_ops.encode. On failure the batch is gone all the same.
BW_NODISCARD bw_status bw_exchange_put(bw_exchange *exchange, const bw_exchange_host *host,
                                       bw_batch *batch);

/// Sends all that there is room for; see above.
BW_NODISCARD bw_status bw_exchange_flush(bw_exchange *exchange, const bw_exchange_host *host);

/// Tells every peer that from here nothing older than `frontier` will come (`last`: the sender's last
/// epoch, if frontier is its end), as far as nothing older is pending for it.
BW_NODISCARD bw_status bw_exchange_announce(bw_exchange *exchange, const bw_exchange_host *host,
                                            bw_epoch frontier, bw_epoch last);

/// True if everything was sent, the end included.
bool bw_exchange_is_done(const bw_exchange *exchange, uint32_t worker_count);

/// True if items of `epoch` may be made for it: each peer has room for more in that epoch's half.
bool bw_exchange_has_room(const bw_exchange *exchange, const bw_exchange_host *host, bw_epoch epoch);

/// Notes that a batch of this amount that came over this exchange was processed.
void bw_exchange_owe(bw_exchange *exchange, uint32_t sender, uint32_t half, bw_amount amount);

/// Gives the room back that is owed, unless it is so small a part of the window that nobody waits for it.
BW_NODISCARD bw_status bw_exchange_pay(bw_exchange *exchange, const bw_exchange_host *host);

/// A batch came over this exchange from a worker elsewhere. BW_ECORRUPT, with nothing changed: `*what` says
/// what its sender did that nobody may.
BW_NODISCARD bw_status bw_exchange_admit(bw_exchange *exchange, const bw_exchange_host *host,
                                         const bw_message *message, const char **what);

/// A mark came from a peer. BW_ECORRUPT: it went back in time.
BW_NODISCARD bw_status bw_exchange_hear(bw_exchange *exchange, uint32_t peer, bw_epoch epoch);

/// A peer gave room back. BW_ECORRUPT: more than it was sent.
BW_NODISCARD bw_status bw_exchange_credit(bw_exchange *exchange, uint32_t peer, uint32_t half,
                                          bw_amount amount);

#endif
