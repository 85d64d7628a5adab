#include "net/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define CARRY_LEAST 4096

// ---- writing

void
bw_record_writer_fini(bw_record_writer *writer)
{
    bw_mac_fini(&writer->mac);
}

bw_status
bw_record_seal(bw_record_writer *writer, bw_block *block)
{
    BW_ASSERT(block->size > 0 && block->size <= BW_RECORD_BYTES && block->size <= block->capacity);
    static_assert(BW_BLOCK_HEAD >= BW_RECORD_HEAD && BW_BLOCK_TAIL >= BW_TAG_BYTES, "no room");
    bw_put_u32(block->head + BW_BLOCK_HEAD - BW_RECORD_HEAD, block->size);
    if (!bw_mac_has_key(&writer->mac)) return BW_OK;
    return bw_mac_tag(&writer->mac, writer->number++, bw_record_start(block),
                      (size_t)BW_RECORD_HEAD + block->size, block->bytes + block->size);
}

// ---- reading

void
bw_record_reader_init(bw_record_reader *reader, uint32_t limit)
{
    BW_ASSERT(limit <= BW_RECORD_BYTES);
    *reader = (bw_record_reader){.limit = limit};
}

void
bw_record_reader_fini(bw_record_reader *reader)
{
    bw_mac_fini(&reader->mac);
    free(reader->carry);
}

void
bw_record_feed(bw_record_reader *reader, const uint8_t *bytes, size_t size)
{
    BW_ASSERT(reader->at == reader->end);
    reader->at = bytes;
    reader->end = bytes + size;
}

/// Moves what was fed to the carry, until that holds `wanted` bytes or nothing is left. The carry grows with
/// what came, never with what a length announces.
static bw_status
carry(bw_record_reader *reader, size_t wanted)
{
    size_t there = (size_t)(reader->end - reader->at);
    size_t missing = wanted - reader->carried;
    size_t part = there < missing ? there : missing;
    size_t needed = reader->carried + part;
    if (needed > reader->capacity) {
        size_t capacity = reader->capacity == 0 ? CARRY_LEAST : 2 * reader->capacity;
        size_t most = BW_RECORD_HEAD + reader->limit + BW_TAG_BYTES;
        if (capacity > most) capacity = most;
        if (capacity < needed) capacity = needed;
        uint8_t *larger = realloc(reader->carry, capacity);
        if (larger == NULL) return BW_ENOMEM;
        reader->carry = larger;
        reader->capacity = capacity;
    }
    if (part > 0) memcpy(reader->carry + reader->carried, reader->at, part);
    reader->carried = needed;
    reader->at += part;
    return BW_OK;
}

/// Bytes of the whole record that begins at `head`.
static bw_status
read_head(const bw_record_reader *reader, const uint8_t *head, size_t *out, const char **why)
{
    uint32_t size = bw_get_u32(head);
    if (size == 0 || size > reader->limit) {
        *why = size == 0 ? "an empty record" : "a record that is too long";
        return BW_ECORRUPT;
    }
    *out = (size_t)BW_RECORD_HEAD + size + bw_mac_tag_bytes(&reader->mac);
    return BW_OK;
}

static bw_status
check(bw_record_reader *reader, const uint8_t *record, size_t size, const char **why)
{
    if (!bw_mac_has_key(&reader->mac)) return BW_OK;
    uint8_t tag[BW_TAG_BYTES];
    size_t tagged = size - BW_TAG_BYTES;
    bw_status status = bw_mac_tag(&reader->mac, reader->number++, record, tagged, tag);
    if (status != BW_OK || bw_crypto_equal(tag, record + tagged, BW_TAG_BYTES)) return status;
    *why = "a record whose tag is wrong";
    return BW_ECORRUPT;
}

/// Where the next record is, `*size` bytes with head and tag: in what was fed if it is complete there, else in the carry.
static bw_status
find(bw_record_reader *reader, const uint8_t **record, size_t *size, const char **why)
{
    size_t there = (size_t)(reader->end - reader->at);
    if (reader->carried == 0) {
        if (there == 0) return BW_EMPTY;
        if (there >= BW_RECORD_HEAD) {
            bw_status status = read_head(reader, reader->at, size, why);
            if (status != BW_OK) return status;
            if (there >= *size) {
                *record = reader->at;
                reader->at += *size;
                return BW_OK;
            }
        }
    }
    bw_status status = reader->carried < BW_RECORD_HEAD ? carry(reader, BW_RECORD_HEAD) : BW_OK;
    if (status != BW_OK) return status;
    if (reader->carried < BW_RECORD_HEAD) return BW_EMPTY;
    status = read_head(reader, reader->carry, size, why);
    if (status == BW_OK) status = carry(reader, *size);
    if (status != BW_OK) return status;
    if (reader->carried < *size) return BW_EMPTY;
    *record = reader->carry;
    reader->carried = 0;  // its bytes stay until more are carried
    return BW_OK;
}

bw_status
bw_record_next(bw_record_reader *reader, const uint8_t **first, const uint8_t **end, const char **why)
{
    const uint8_t *record;
    size_t size;
    bw_status status = find(reader, &record, &size, why);
    if (status == BW_OK) status = check(reader, record, size, why);
    if (status != BW_OK) return status;
    *first = record + BW_RECORD_HEAD;
    *end = record + size - bw_mac_tag_bytes(&reader->mac);
    return BW_OK;
}
