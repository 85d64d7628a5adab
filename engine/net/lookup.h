// lookup.h - finds the addresses of a host name in a thread of its own, since the system may take half a minute
// over it and cannot be interrupted: who no longer wants to know just leaves.
#ifndef BW_NET_LOOKUP_H
#define BW_NET_LOOKUP_H

#include "base/error.h"
#include "base/status.h"
#include "net/address.h"

typedef struct bw_lookup bw_lookup;

/// Begins. `wake` is called once, in the other thread, when the result is there; never after bw_lookup_leave()
/// has returned. BW_ENOMEM: no thread.
BW_NODISCARD bw_status bw_lookup_new(const bw_address *address, void (*wake)(void *self), void *self,
                                     bw_lookup **out);

/// BW_EMPTY: not yet. BW_OK: `*out` has them, to be freed by freeaddrinfo(). BW_EIO: `*error` says why not.
/// After anything but BW_EMPTY the lookup can only be left.
BW_NODISCARD bw_status bw_lookup_result(bw_lookup *lookup, struct addrinfo **out, bw_error *error);

/// Lets go of it, whether it is done or not. It ends by itself.
void bw_lookup_leave(bw_lookup *lookup);

#endif
