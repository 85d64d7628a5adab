// Bytes at random as what a connection carries: records, frames in them, messages in these. The first says in which
// pieces they come. What is read must not depend on that.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "net/message.h"
#include "net/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/// What came out: how it ended, and a sum over all that was read.
typedef struct outcome {
    bw_status status;
    uint64_t frames, sum;
} outcome;

static void
must(int condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "fuzz_record: %s\n", what);
    abort();
}

/// What can be read can be written, and gives the same bytes.
static void
check_message(const bw_frame *frame)
{
    bw_writer writer;
    bw_writer_init(&writer, 0);
    uint32_t number, batch_size;
    bw_message message;
    bw_ready ready;
    bw_progress progress;
    bw_epoch epoch;
    bw_bytes name;
    bw_status status = BW_EMPTY;
    switch (frame->kind) {
    case BW_FRAME_MARK:
    case BW_FRAME_CREDIT:
    case BW_FRAME_DATA:
        if (bw_message_read(frame, &number, &batch_size, &message) != BW_OK) break;
        if (frame->kind != BW_FRAME_DATA) status = bw_message_put(&writer, number, &message);
        break;
    case BW_FRAME_MORE:
        if (bw_more_read(frame, &number) == BW_OK) must(frame->size >= BW_MORE_HEAD, "no head");
        break;
    case BW_FRAME_READY:
        if (bw_ready_read(frame, &number, &ready) == BW_OK)
            status = bw_ready_put(&writer, number, ready);
        break;
    case BW_FRAME_PROGRESS:
        if (bw_progress_read(frame, &number, &progress, &epoch) != BW_OK) break;
        status = bw_progress_put(&writer, number, progress, epoch);
        break;
    case BW_FRAME_ASSIGN:
        if (bw_assign_read(frame, &number, &name) != BW_OK) break;
        status = bw_assign_put(&writer, number, name);
        break;
    default:
        break;
    }
    must(status >= BW_OK, "what was read can't be written");
    bw_block *block = bw_writer_take(&writer);
    if (status == BW_OK) {
        must(block != NULL && block->size == BW_FRAME_HEAD + frame->size, "another size");
        must(memcmp(block->bytes + BW_FRAME_HEAD, frame->payload, frame->size) == 0, "other bytes");
    }
    bw_block_free_all(block);
}

static outcome
read_all(const uint8_t *data, size_t size, size_t piece)
{
    outcome outcome = {.status = BW_EMPTY};
    bw_record_reader reader;
    bw_record_reader_init(&reader, BW_RECORD_BYTES);
    for (size_t at = 0; at < size && outcome.status == BW_EMPTY; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        uint8_t *copy = malloc(part);  // of its size: a read behind it shows
        must(copy != NULL, "no memory");
        memcpy(copy, data + at, part);
        bw_record_feed(&reader, copy, part);
        const uint8_t *first, *end;
        const char *why;
        while ((outcome.status = bw_record_next(&reader, &first, &end, &why)) == BW_OK) {
            bw_frame frame;
            while ((outcome.status = bw_frame_next(&first, end, &frame)) == BW_OK) {
                outcome.frames++;
                outcome.sum = 31 * outcome.sum + frame.kind + bw_hash(frame.payload, frame.size);
                check_message(&frame);
            }
            if (outcome.status != BW_EMPTY) break;
        }
        free(copy);
    }
    bw_record_reader_fini(&reader);
    return outcome;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    size_t piece = 1 + data[0];
    outcome whole = read_all(data + 1, size - 1, size - 1);
    outcome pieces = read_all(data + 1, size - 1, piece);
    must(whole.status == pieces.status && whole.frames == pieces.frames && whole.sum == pieces.sum,
         "pieces change what is read");
    return 0;
}
