#include "net/message.h"

#include "testing/check.h"

/// A frame whose payload is cut to `size` bytes and ends where its memory does: so ASan sees who reads on.
typedef struct copy {
    uint8_t *bytes;
    bw_frame frame;
} copy;

static copy
cut(const bw_frame *frame, uint32_t size)
{
    copy copy = {.bytes = malloc(size + 1u), .frame = *frame};
    CHECK(copy.bytes != NULL);
    if (size > 0) memcpy(copy.bytes + 1, frame->payload, size);
    copy.frame.payload = copy.bytes + 1;
    copy.frame.size = size;
    return copy;
}

static bw_frame
only_frame(const bw_writer *writer)
{
    bw_frame frame;
    const uint8_t *at = writer->first->bytes;
    CHECK_EQ(bw_frame_next(&at, writer->at, &frame), BW_OK);
    CHECK(at == writer->at);
    CHECK_EQ(frame.flags, 0);
    return frame;
}

/// True if any reader takes it.
static bool
is_read(const bw_frame *frame)
{
    uint32_t number, size;
    bw_message message;
    bw_ready ready;
    bw_progress progress;
    bw_epoch epoch;
    bw_bytes name;
    return bw_message_read(frame, &number, &size, &message) == BW_OK ||
           bw_more_read(frame, &number) == BW_OK || bw_ready_read(frame, &number, &ready) == BW_OK ||
           bw_progress_read(frame, &number, &progress, &epoch) == BW_OK ||
           bw_assign_read(frame, &number, &name) == BW_OK;
}

/// Neither shorter (by any number of bytes, below `least`), nor longer if it has one size, nor with flags
/// that it has not, nor under another kind is it taken.
static void
check_form(const bw_frame *frame, uint32_t least, bool open_end, uint8_t flags)
{
    CHECK(is_read(frame));
    for (uint32_t size = 0; size <= frame->size; size++) {
        copy shorter = cut(frame, size);
        CHECK_EQ(is_read(&shorter.frame), size >= least);
        free(shorter.bytes);
    }
    uint8_t *longer = calloc(1, frame->size + 1u);
    CHECK(longer != NULL);
    memcpy(longer, frame->payload, frame->size);
    bw_frame changed = {.kind = frame->kind, .size = frame->size + 1, .payload = longer};
    CHECK_EQ(is_read(&changed), open_end);
    free(longer);
    for (unsigned value = 0; value < 256; value++) {
        changed = *frame;
        changed.flags = (uint8_t)value;
        CHECK_EQ(is_read(&changed), (value & ~flags) == 0);
    }
}

static void
marks_and_credits_come_back(void)
{
    const bw_message mark = {
        .kind = BW_MESSAGE_MARK, .sender = 3, .exchange = 70000, .epoch = 1ull << 40, .last = 6};
    const bw_message end = {.kind = BW_MESSAGE_MARK, .epoch = BW_EPOCH_NONE, .last = BW_EPOCH_LAST};
    const bw_message credit = {.kind = BW_MESSAGE_CREDIT,
                               .sender = UINT32_MAX,
                               .exchange = 2,
                               .half = 1,
                               .count = 1ull << 33,
                               .bytes = 1ull << 34};
    const bw_message *messages[] = {&mark, &end, &credit};
    for (int i = 0; i < 3; i++) {
        bw_writer writer;
        bw_writer_init(&writer, 12);
        CHECK_EQ(bw_message_put(&writer, 9, messages[i]), BW_OK);
        bw_frame frame = only_frame(&writer);
        uint32_t receiver, unused;
        bw_message got;
        CHECK_EQ(bw_message_read(&frame, &receiver, &unused, &got), BW_OK);
        CHECK_EQ(receiver, 9);
        CHECK_EQ(got.kind, messages[i]->kind);
        CHECK_EQ(got.sender, messages[i]->sender);
        CHECK_EQ(got.exchange, messages[i]->exchange);
        CHECK_EQ(got.half, messages[i]->half);
        CHECK_EQ(got.count, messages[i]->count);
        CHECK_EQ(got.bytes, messages[i]->bytes);
        CHECK_EQ(got.epoch, messages[i]->epoch);
        CHECK_EQ(got.last, messages[i]->last);
        CHECK(got.batch == NULL && got.encoded == NULL);
        check_form(&frame, frame.size, false, 0);
        bw_writer_fini(&writer);
    }
}

static void
ready_and_progress_come_back(void)
{
    bw_writer writer;
    uint32_t worker;
    bw_ready ready;
    bw_progress progress;
    bw_epoch epoch;
    for (int what = 0; what < 2; what++) {
        bw_writer_init(&writer, 0);
        CHECK_EQ(bw_ready_put(&writer, 77, (bw_ready)what), BW_OK);
        bw_frame frame = only_frame(&writer);
        CHECK_EQ(bw_ready_read(&frame, &worker, &ready), BW_OK);
        CHECK(worker == 77 && (int)ready == what);
        check_form(&frame, frame.size, false, 0);
        bw_writer_fini(&writer);

        bw_writer_init(&writer, 0);
        CHECK_EQ(bw_progress_put(&writer, 78, (bw_progress)what, BW_EPOCH_NONE - 1), BW_OK);
        frame = only_frame(&writer);
        CHECK_EQ(bw_progress_read(&frame, &worker, &progress, &epoch), BW_OK);
        CHECK(worker == 78 && (int)progress == what && epoch == BW_EPOCH_NONE - 1);
        check_form(&frame, frame.size, false, 0);
        bw_writer_fini(&writer);
    }
}

static void
names_of_partitions_come_back_however_long(void)
{
    char *name = malloc(BW_ASSIGN_NAME_BYTES + 1u);
    CHECK(name != NULL);
    memset(name, 'n', BW_ASSIGN_NAME_BYTES + 1u);
    const size_t sizes[] = {0, 1, 300, BW_BLOCK_BYTES + 5, BW_ASSIGN_NAME_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        bw_writer writer;
        bw_writer_init(&writer, 12);
        CHECK_EQ(bw_assign_put(&writer, 4, (bw_bytes){.data = name, .size = sizes[i]}), BW_OK);
        bw_frame frame = only_frame(&writer);
        uint32_t step;
        bw_bytes got;
        CHECK_EQ(bw_assign_read(&frame, &step, &got), BW_OK);
        CHECK_EQ(step, 4);
        CHECK_EQ(got.size, sizes[i]);
        CHECK(sizes[i] == 0 || memcmp(got.data, name, sizes[i]) == 0);
        if (sizes[i] <= 300) check_form(&frame, 4, true, 0);
        bw_writer_fini(&writer);
    }
    bw_writer writer;
    bw_writer_init(&writer, 0);
    CHECK_EQ(bw_assign_put(&writer, 4, (bw_bytes){.data = name, .size = BW_ASSIGN_NAME_BYTES + 1u}),
             BW_EINVAL);
    CHECK(writer.first == NULL);
    free(name);
}

static bw_frame
data_frame(uint8_t *payload, uint32_t size, const bw_message *message)
{
    bw_data_put_head(payload, 6, message, size - BW_DATA_HEAD);
    return (bw_frame){.kind = BW_FRAME_DATA, .size = size, .payload = payload};
}

static void
heads_of_batches_come_back(void)
{
    const bw_message message = {.kind = BW_MESSAGE_DATA,
                                .sender = 1,
                                .exchange = 2,
                                .half = 1,
                                .count = BW_BATCH_ITEMS,
                                .epoch = 5,
                                .shape = BW_SHAPE_PART};
    uint8_t payload[BW_DATA_HEAD + 3] = {0};
    bw_frame frame = data_frame(payload, sizeof payload, &message);
    uint32_t number, size;
    bw_message got;
    CHECK_EQ(bw_message_read(&frame, &number, &size, &got), BW_OK);
    CHECK(number == 6 && size == 3 && got.kind == BW_MESSAGE_DATA && got.sender == 1 &&
          got.exchange == 2);
    CHECK(got.half == 1 && got.count == BW_BATCH_ITEMS && got.epoch == 5 && got.shape == BW_SHAPE_PART);
    check_form(&frame, frame.size, false, BW_FRAME_MORE_FOLLOWS);
    // One that goes on may hold fewer of the bytes that it announces, never more.
    frame.flags = BW_FRAME_MORE_FOLLOWS;
    for (int larger = -1; larger <= 1000; larger += 1001) {
        bw_data_put_head(payload, 6, &message, (uint32_t)(3 + larger));
        CHECK_EQ(is_read(&frame), larger >= 0);
    }

    uint8_t more[BW_MORE_HEAD + 2] = {0};
    bw_more_put_head(more, 8);
    frame = (bw_frame){.kind = BW_FRAME_MORE, .size = sizeof more, .payload = more};
    CHECK_EQ(bw_more_read(&frame, &number), BW_OK);
    CHECK_EQ(number, 8);
    check_form(&frame, BW_MORE_HEAD, true, BW_FRAME_MORE_FOLLOWS);
}

/// That DATA whose byte at `offset` is `value` is refused.
static void
check_refused(uint32_t offset, uint8_t value)
{
    const bw_message message = {.kind = BW_MESSAGE_DATA, .count = 1};
    uint8_t payload[BW_DATA_HEAD];
    bw_frame frame = data_frame(payload, sizeof payload, &message);
    CHECK(is_read(&frame));
    payload[offset] = value;
    CHECK(!is_read(&frame));
}

static void
numbers_that_nobody_may_send_are_refused(void)
{
    check_refused(19, 0x80);  // an epoch that no run comes to
    check_refused(24, 0);     // no items
    check_refused(25, 5);     // more than a batch holds
    check_refused(26, 2);     // a third half
    check_refused(27, BW_SHAPE_PART + 1);

    const bw_message bad[] = {
        {.kind = BW_MESSAGE_MARK, .epoch = BW_EPOCH_LAST + 1},
        {.kind = BW_MESSAGE_MARK, .epoch = BW_EPOCH_NONE, .last = BW_EPOCH_LAST + 1},
        {.kind = BW_MESSAGE_CREDIT, .half = 2, .count = 1},
        {.kind = BW_MESSAGE_CREDIT, .half = 0, .count = 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bw_writer writer;
        bw_writer_init(&writer, 0);
        CHECK_EQ(bw_message_put(&writer, 0, &bad[i]), BW_OK);
        bw_frame frame = only_frame(&writer);
        CHECK(!is_read(&frame));
        bw_writer_fini(&writer);
    }
    for (uint8_t kind = BW_FRAME_READY; kind <= BW_FRAME_PROGRESS; kind++) {
        if (kind != BW_FRAME_READY && kind != BW_FRAME_PROGRESS) continue;
        uint8_t payload[13] = {[4] = 2};
        bw_frame frame = {.kind = kind, .size = kind == BW_FRAME_READY ? 5 : 13, .payload = payload};
        CHECK(!is_read(&frame));
        payload[4] = 1;
        CHECK(is_read(&frame));
    }
}

static void
frames_never_straddle_blocks_nor_leave_holes(void)
{
    bw_writer writer;
    bw_writer_init(&writer, 12);
    enum { COUNT = 20000 };
    for (uint32_t i = 0; i < COUNT; i++)
        CHECK_EQ(bw_progress_put(&writer, i, BW_PROGRESS_CLOSED, i), BW_OK);
    bw_block *first = bw_writer_take(&writer);
    uint32_t next = 0;
    for (const bw_block *block = first; block != NULL; block = block->next) {
        const uint8_t *at = block->bytes;
        bw_frame frame;
        while (bw_frame_next(&at, block->bytes + block->size, &frame) == BW_OK) {
            uint32_t worker;
            bw_progress what;
            bw_epoch epoch;
            CHECK_EQ(bw_progress_read(&frame, &worker, &what, &epoch), BW_OK);
            CHECK(worker == next && epoch == next);
            next++;
        }
        CHECK(at == block->bytes + block->size);
    }
    CHECK_EQ(next, COUNT);
    bw_block_free_all(first);
}

TEST_MAIN(TEST(marks_and_credits_come_back), TEST(ready_and_progress_come_back),
          TEST(names_of_partitions_come_back_however_long), TEST(heads_of_batches_come_back),
          TEST(numbers_that_nobody_may_send_are_refused),
          TEST(frames_never_straddle_blocks_nor_leave_holes))
