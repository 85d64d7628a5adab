// record.h - what a connection carries: records, each with its length before and its tag behind.
//
//     u32 size | frame ... frame | tag (16 bytes, once there is a key)
//
// The tag is over size and frames, numbered through the connection, with one key for each direction: a record
// that was changed, left out, repeated or sent back has a wrong one.
#ifndef BW_NET_RECORD_H
#define BW_NET_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/status.h"
#include "net/crypto.h"
#include "net/frame.h"

#define BW_RECORD_HEAD 4

/// Makes blocks records. {0}: without tags; set `mac` to have them.
typedef struct bw_record_writer {
    bw_mac mac;
    uint64_t number;  // of the next record with a tag
} bw_record_writer;

void bw_record_writer_fini(bw_record_writer *writer);

/// Writes length and tag into the room that a block has before and behind its bytes (1 to BW_RECORD_BYTES). They are to be
/// sent in the order of these calls. BW_EIO.
BW_NODISCARD bw_status bw_record_seal(bw_record_writer *writer, bw_block *block);

/// What a sealed block is on the wire, first and number of bytes.
static inline const uint8_t *
bw_record_start(const bw_block *block)
{
    return (const uint8_t *)block + offsetof(bw_block, bytes) - BW_RECORD_HEAD;
}

static inline uint64_t
bw_record_bytes(const bw_record_writer *writer, const bw_block *block)
{
    return (uint64_t)BW_RECORD_HEAD + block->size + bw_mac_tag_bytes(&writer->mac);
}

/// Takes bytes apart into records, in place; only a record that came in pieces is copied, once.
typedef struct bw_record_reader {
    bw_mac mac;
    uint64_t number;           // of the next record with a tag
    uint32_t limit;            // most that a record may hold; a longer one is refused by its length
    const uint8_t *at, *end;   // fed, not looked at; borrowed
    uint8_t *carry;            // of a record that is not complete, what came
    size_t carried, capacity;  // of `carry`
} bw_record_reader;

void bw_record_reader_init(bw_record_reader *reader, uint32_t limit);
void bw_record_reader_fini(bw_record_reader *reader);

/// `bytes` came. They are borrowed until bw_record_next() says BW_EMPTY, and all that came before must be
/// taken by then.
void bw_record_feed(bw_record_reader *reader, const uint8_t *bytes, size_t size);

/// True if a part of a record has come, after BW_EMPTY.
static inline bool
bw_record_is_under_way(const bw_record_reader *reader)
{
    return reader->carried > 0;
}

/// The frames of the next record: `*first` to `*end`, which last until the next call. BW_EMPTY: none is complete.
/// BW_ENOMEM, BW_EIO. BW_ECORRUPT: `*why` says what is wrong with it, and nothing more can be read.
BW_NODISCARD bw_status bw_record_next(bw_record_reader *reader, const uint8_t **first,
                                      const uint8_t **end, const char **why);

#endif
