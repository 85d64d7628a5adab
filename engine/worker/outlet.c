#include "worker/outlet.h"

#include "base/assert.h"
#include "net/message.h"

// What each block that a batch goes on in has before the items.
#define MORE_ROOM (BW_FRAME_HEAD + BW_MORE_HEAD)

#define DATA_ROOM (BW_FRAME_HEAD + BW_DATA_HEAD)

// A batch begins in a block only where some of its items may follow the head.
#define START_ROOM (DATA_ROOM + BW_WRITER_RESERVE)

#define LEAST_BLOCK 1024

void
bw_outlet_init(bw_outlet *outlet, bw_outbox *outbox)
{
    bw_writer_init(&outlet->writer, MORE_ROOM);
    outlet->writer.first_bytes = LEAST_BLOCK;
    outlet->outbox = outbox;
}

void
bw_outlet_fini(bw_outlet *outlet)
{
    bw_writer_fini(&outlet->writer);
}

static uint32_t
end_of(const bw_writer *writer, const bw_block *block)
{
    return block == writer->last ? (uint32_t)(writer->at - block->bytes) : block->size;
}

/// How many bytes the items have that begin behind `head` in `block`.
static uint64_t
size_from(const bw_writer *writer, const bw_block *block, const uint8_t *head)
{
    uint64_t size = end_of(writer, block) - (uint64_t)(head - block->bytes) - DATA_ROOM;
    for (block = block->next; block != NULL; block = block->next) {
        size += end_of(writer, block) - MORE_ROOM;
    }
    return size;
}

/// Writes the headers of the frames that a batch has become: of DATA at `head` in `block`, then of each MORE.
static void
put_frame_heads(const bw_writer *writer, bw_block *block, uint8_t *head, uint32_t sender)
{
    bw_frame_kind kind = BW_FRAME_DATA;
    for (; block != NULL; block = block->next) {
        uint32_t size = end_of(writer, block) - (uint32_t)(head - block->bytes) - BW_FRAME_HEAD;
        bw_frame_put_head(head, kind, block->next != NULL ? BW_FRAME_MORE_FOLLOWS : 0, size);
        if (kind == BW_FRAME_MORE) bw_more_put_head(head + BW_FRAME_HEAD, sender);
        kind = BW_FRAME_MORE;
        if (block->next != NULL) head = block->next->bytes;
    }
}

bw_status
bw_outlet_put_batch(bw_outlet *outlet, uint32_t receiver, const bw_message *message,
                    const bw_batch *batch, const bw_item_ops *items, uint32_t *size)
{
    BW_ASSERT(outlet->outbox != NULL && message->count == batch->count);
    bw_writer *writer = &outlet->writer;
    bw_writer_mark before = bw_writer_tell(writer);
    bw_status status = bw_message_reserve(writer, START_ROOM);
    if (status != BW_OK) return status;
    bw_block *block = writer->last;
    uint8_t *head = writer->at;
    writer->at += DATA_ROOM;
    status = items->encode(items->self, batch, writer);
    uint64_t bytes = size_from(writer, block, head);
    if (status == BW_OK && bytes > UINT32_MAX) status = BW_EINVAL;
    if (status != BW_OK) {
        bw_writer_rewind(writer, before);
        return status;
    }
    *size = (uint32_t)bytes;
    bw_data_put_head(head + BW_FRAME_HEAD, receiver, message, *size);
    put_frame_heads(writer, block, head, message->sender);
    return BW_OK;
}

/// So that a few bytes now and then don't take a large block, nor much of them a small one.
static uint32_t
next_block_bytes(const bw_block *sent)
{
    if (sent->next != NULL || sent->size > BW_BLOCK_BYTES / 2) return BW_BLOCK_BYTES;
    return sent->size < LEAST_BLOCK / 2 ? LEAST_BLOCK : 2 * sent->size;
}

void
bw_outlet_push(bw_outlet *outlet)
{
    bw_block *first = bw_writer_take(&outlet->writer);
    if (first == NULL) return;
    outlet->writer.first_bytes = next_block_bytes(first);
    bw_outbox_push(outlet->outbox, first);
}
