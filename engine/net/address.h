// address.h - where a process listens: "host:port" as text, and what the system makes of it.
#ifndef BW_NET_ADDRESS_H
#define BW_NET_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/status.h"

#define BW_ADDRESS_TEXT 64  // of bw_address_format(), the 0 included

typedef struct bw_address {
    char host[256];  // a name or a number; that of IPv6 without its brackets
    char port[6];    // 0 to 65535
} bw_address;

/// Takes "host:port" or "[v6]:port" apart. BW_EINVAL: it is neither; `*error` says so.
BW_NODISCARD bw_status bw_address_parse(const char *text, bw_address *out, bw_error *error);

struct addrinfo;

/// Looks a name up, which may take many seconds. `flags`: AI_NUMERICHOST, AI_PASSIVE. Free `*out` with freeaddrinfo().
/// BW_EIO: `*error` has "failed to lookup address information: " and the system's reason.
BW_NODISCARD bw_status bw_address_look_up(const bw_address *address, int flags, struct addrinfo **out,
                                          bw_error *error);

/// Binds `text` and listens; `*out` is a descriptor, non-blocking and close-on-exec. BW_EINVAL, BW_EIO: `*error` says
/// which address and why.
BW_NODISCARD bw_status bw_address_listen(const char *text, int *out, bw_error *error);

/// Writes "1.2.3.4:5", "[::1]:5", or "an unknown address".
void bw_address_format(const struct sockaddr *address, char out[BW_ADDRESS_TEXT]);

#endif
