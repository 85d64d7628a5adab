// frame.h - the unit of what processes tell each other: a header of 8 bytes and a payload.
//
//     record   u32 size | frame ... frame | tag (16 bytes, if the cluster has a secret and no TLS)
//     frame    u32 size of the payload | u8 kind | u8 flags | u16 zero | payload
//
// All numbers little-endian. A frame lies in one record as a whole; what is longer goes as DATA and then
// MORE frames, so that others pass between them.
#ifndef BW_NET_FRAME_H
#define BW_NET_FRAME_H

#include <stdint.h>

#include "base/block.h"
#include "base/hash.h"
#include "base/status.h"

#define BW_FRAME_HEAD 8
#define BW_RECORD_BYTES (1u << 20)  // most that a record may hold

typedef enum bw_frame_kind {
    // before the connection is open (net/handshake.h)
    BW_FRAME_HELLO = 1,
    BW_FRAME_AUTH = 2,
    BW_FRAME_REFUSE = 3,
    // of the connection itself (net/session.h)
    BW_FRAME_PING = 4,
    BW_FRAME_BYE = 5,    // nothing but PING will follow: all went well here
    BW_FRAME_ERROR = 6,  // the run failed, here or elsewhere: the last frame
    BW_FRAME_ALL = 7,    // all processes are connected to this one
    // of workers (net/message.h)
    BW_FRAME_ASSIGN = 16,
    BW_FRAME_READY = 17,
    BW_FRAME_DATA = 18,
    BW_FRAME_MORE = 19,
    BW_FRAME_MARK = 20,
    BW_FRAME_CREDIT = 21,
    BW_FRAME_PROGRESS = 22,
    BW_FRAME_DURABLE = 23,  // for recovery: not sent yet, refused
    BW_FRAME_STOP = 24,     // likewise
} bw_frame_kind;

typedef struct bw_frame {
    uint8_t kind, flags;
    uint32_t size;
    const uint8_t *payload;  // borrowed
} bw_frame;

/// Writes a header at `at`, which has BW_FRAME_HEAD bytes of room.
void bw_frame_put_head(uint8_t *at, bw_frame_kind kind, uint8_t flags, uint32_t size);

/// Reads the frame at `*at`, before `end`, and moves `*at` behind it. BW_EMPTY: there is none, `*at` is
/// `end`. BW_ECORRUPT: it does not fit, or its header is none.
BW_NODISCARD bw_status bw_frame_next(const uint8_t **at, const uint8_t *end, bw_frame *out);

static inline void
bw_put_u32(uint8_t *at, uint32_t value)
{
    value = BW_LITTLE32(value);
    memcpy(at, &value, sizeof value);
}

static inline void
bw_put_u64(uint8_t *at, uint64_t value)
{
    value = BW_LITTLE64(value);
    memcpy(at, &value, sizeof value);
}

static inline uint32_t
bw_get_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return BW_LITTLE32(value);
}

static inline uint64_t
bw_get_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return BW_LITTLE64(value);
}

#endif
