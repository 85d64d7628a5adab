// status.h - what an engine function answers: 0 is success, above it are outcomes, below it failures.
#ifndef BW_BASE_STATUS_H
#define BW_BASE_STATUS_H

#define BW_NODISCARD __attribute__((warn_unused_result))

typedef enum bw_status {
    BW_OK = 0,
    BW_FULL = 1,    // no room: try again when some was given back
    BW_EMPTY = 2,   // nothing now
    BW_CLOSED = 3,  // nothing ever again
    BW_ENOMEM = -1,
    BW_EIO = -2,
    BW_ECORRUPT = -3,  // what came from outside breaks the protocol
    BW_EHOST = -4,     // the host has the details (a Python exception is pending, a C callback failed)
    BW_EINVAL = -5,    // the caller's arguments don't fit
} bw_status;

/// A short English name, such as "out of memory". Never NULL, never freed.
const char *bw_status_text(bw_status status);

#endif
