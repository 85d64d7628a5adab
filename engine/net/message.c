#include "net/message.h"

#include "base/assert.h"

#define READY_BYTES 5
#define MARK_BYTES 28
#define CREDIT_BYTES 29
#define PROGRESS_BYTES 13
#define ASSIGN_HEAD 4

bw_status
bw_message_reserve(bw_writer *writer, size_t size)
{
    // What bw_writer_grow() leaves free is for a batch that goes on, not for a frame that begins.
    return (size_t)(writer->end - writer->at) >= size ? BW_OK : bw_writer_start_block(writer, size);
}

/// Appends a header and moves behind it, with room for the payload. NULL: no memory.
static uint8_t *
begin(bw_writer *writer, bw_frame_kind kind, uint32_t size)
{
    if (bw_message_reserve(writer, BW_FRAME_HEAD + size) != BW_OK) return NULL;
    bw_frame_put_head(writer->at, kind, 0, size);
    uint8_t *payload = writer->at + BW_FRAME_HEAD;
    writer->at = payload + size;
    return payload;
}

static void
put_route(uint8_t *at, uint32_t receiver, const bw_message *message)
{
    bw_put_u32(at, message->sender);
    bw_put_u32(at + 4, receiver);
    bw_put_u32(at + 8, message->exchange);
}

bw_status
bw_message_put(bw_writer *writer, uint32_t receiver, const bw_message *message)
{
    bool mark = message->kind == BW_MESSAGE_MARK;
    BW_ASSERT(mark || message->kind == BW_MESSAGE_CREDIT);
    uint8_t *at =
        begin(writer, mark ? BW_FRAME_MARK : BW_FRAME_CREDIT, mark ? MARK_BYTES : CREDIT_BYTES);
    if (at == NULL) return BW_ENOMEM;
    put_route(at, receiver, message);
    if (mark) {
        bw_put_u64(at + 12, message->epoch);
        bw_put_u64(at + 20, message->last);
    } else {
        at[12] = (uint8_t)message->half;
        bw_put_u64(at + 13, message->count);
        bw_put_u64(at + 21, message->bytes);
    }
    return BW_OK;
}

bw_status
bw_ready_put(bw_writer *writer, uint32_t worker, bw_ready what)
{
    uint8_t *at = begin(writer, BW_FRAME_READY, READY_BYTES);
    if (at == NULL) return BW_ENOMEM;
    bw_put_u32(at, worker);
    at[4] = (uint8_t)what;
    return BW_OK;
}

bw_status
bw_progress_put(bw_writer *writer, uint32_t worker, bw_progress what, bw_epoch epoch)
{
    uint8_t *at = begin(writer, BW_FRAME_PROGRESS, PROGRESS_BYTES);
    if (at == NULL) return BW_ENOMEM;
    bw_put_u32(at, worker);
    at[4] = (uint8_t)what;
    bw_put_u64(at + 5, epoch);
    return BW_OK;
}

bw_status
bw_assign_put(bw_writer *writer, uint32_t step, bw_bytes name)
{
    if (name.size > BW_ASSIGN_NAME_BYTES) return BW_EINVAL;
    uint32_t size = ASSIGN_HEAD + (uint32_t)name.size;
    uint8_t *at = begin(writer, BW_FRAME_ASSIGN, size);
    if (at == NULL) return BW_ENOMEM;
    bw_put_u32(at, step);
    if (name.size > 0) memcpy(at + ASSIGN_HEAD, name.data, name.size);
    return BW_OK;
}

void
bw_data_put_head(uint8_t *at, uint32_t receiver, const bw_message *message, uint32_t size)
{
    BW_ASSERT(message->count > 0 && message->count <= BW_BATCH_ITEMS);
    put_route(at, receiver, message);
    bw_put_u64(at + 12, message->epoch);
    bw_put_u32(at + 20, size);
    at[24] = (uint8_t)message->count;
    at[25] = (uint8_t)(message->count >> 8);
    at[26] = (uint8_t)message->half;
    at[27] = (uint8_t)message->shape;
}

void
bw_more_put_head(uint8_t *at, uint32_t sender)
{
    bw_put_u32(at, sender);
}

// ---- reading

/// DATA and MORE alone may say that more follows; nothing else is said by flags.
static bool
has_form(const bw_frame *frame, uint8_t flags, size_t least, size_t most)
{
    return (frame->flags & ~flags) == 0 && frame->size >= least && frame->size <= most;
}

static bw_status
read_data(const bw_frame *frame, uint32_t *size, bw_message *out)
{
    const uint8_t *at = frame->payload;
    out->kind = BW_MESSAGE_DATA;
    out->epoch = bw_get_u64(at + 12);
    *size = bw_get_u32(at + 20);
    out->count = at[24] | (uint64_t)at[25] << 8;
    out->half = at[26];
    if (out->count == 0 || out->count > BW_BATCH_ITEMS || out->half > 1) return BW_ECORRUPT;
    if (out->epoch > BW_EPOCH_LAST || at[27] > BW_SHAPE_PART) return BW_ECORRUPT;
    out->shape = (bw_shape)at[27];
    bool follows = (frame->flags & BW_FRAME_MORE_FOLLOWS) != 0;
    uint32_t here = frame->size - BW_DATA_HEAD;
    return here == *size || (follows && here < *size) ? BW_OK : BW_ECORRUPT;
}

static bw_status
read_mark(const bw_frame *frame, bw_message *out)
{
    out->kind = BW_MESSAGE_MARK;
    out->epoch = bw_get_u64(frame->payload + 12);
    out->last = bw_get_u64(frame->payload + 20);
    if (out->epoch > BW_EPOCH_LAST && out->epoch != BW_EPOCH_NONE) return BW_ECORRUPT;
    return out->last > BW_EPOCH_LAST ? BW_ECORRUPT : BW_OK;
}

static bw_status
read_credit(const bw_frame *frame, bw_message *out)
{
    out->kind = BW_MESSAGE_CREDIT;
    out->half = frame->payload[12];
    out->count = bw_get_u64(frame->payload + 13);
    out->bytes = bw_get_u64(frame->payload + 21);
    return out->half > 1 || out->count == 0 ? BW_ECORRUPT : BW_OK;
}

bw_status
bw_message_read(const bw_frame *frame, uint32_t *receiver, uint32_t *size, bw_message *out)
{
    bw_message message = {0};
    bw_status status = BW_ECORRUPT;
    if (frame->kind == BW_FRAME_DATA) {
        if (has_form(frame, BW_FRAME_MORE_FOLLOWS, BW_DATA_HEAD, UINT32_MAX)) {
            status = read_data(frame, size, &message);
        }
    } else if (frame->kind == BW_FRAME_MARK) {
        if (has_form(frame, 0, MARK_BYTES, MARK_BYTES)) status = read_mark(frame, &message);
    } else if (frame->kind == BW_FRAME_CREDIT) {
        if (has_form(frame, 0, CREDIT_BYTES, CREDIT_BYTES)) status = read_credit(frame, &message);
    }
    if (status != BW_OK) return status;
    message.sender = bw_get_u32(frame->payload);
    *receiver = bw_get_u32(frame->payload + 4);
    message.exchange = bw_get_u32(frame->payload + 8);
    *out = message;
    return BW_OK;
}

bw_status
bw_more_read(const bw_frame *frame, uint32_t *sender)
{
    if (frame->kind != BW_FRAME_MORE) return BW_ECORRUPT;
    if (!has_form(frame, BW_FRAME_MORE_FOLLOWS, BW_MORE_HEAD, UINT32_MAX)) return BW_ECORRUPT;
    *sender = bw_get_u32(frame->payload);
    return BW_OK;
}

bw_status
bw_ready_read(const bw_frame *frame, uint32_t *worker, bw_ready *what)
{
    if (frame->kind != BW_FRAME_READY || !has_form(frame, 0, READY_BYTES, READY_BYTES))
        return BW_ECORRUPT;
    if (frame->payload[4] > BW_READY_BUILT) return BW_ECORRUPT;
    *worker = bw_get_u32(frame->payload);
    *what = (bw_ready)frame->payload[4];
    return BW_OK;
}

bw_status
bw_progress_read(const bw_frame *frame, uint32_t *worker, bw_progress *what, bw_epoch *epoch)
{
    if (frame->kind != BW_FRAME_PROGRESS) return BW_ECORRUPT;
    if (!has_form(frame, 0, PROGRESS_BYTES, PROGRESS_BYTES)) return BW_ECORRUPT;
    if (frame->payload[4] > BW_PROGRESS_CLOSED) return BW_ECORRUPT;
    *worker = bw_get_u32(frame->payload);
    *what = (bw_progress)frame->payload[4];
    *epoch = bw_get_u64(frame->payload + 5);
    return BW_OK;
}

bw_status
bw_assign_read(const bw_frame *frame, uint32_t *step, bw_bytes *name)
{
    if (frame->kind != BW_FRAME_ASSIGN) return BW_ECORRUPT;
    if (!has_form(frame, 0, ASSIGN_HEAD, ASSIGN_HEAD + BW_ASSIGN_NAME_BYTES)) return BW_ECORRUPT;
    *step = bw_get_u32(frame->payload);
    *name = (bw_bytes){.data = (const char *)frame->payload + ASSIGN_HEAD,
                       .size = frame->size - ASSIGN_HEAD};
    return BW_OK;
}
