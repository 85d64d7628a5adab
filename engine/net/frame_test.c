#include "net/frame.h"

#include "testing/check.h"

static void
frames_come_out_as_they_went_in(void)
{
    uint8_t bytes[64] = {0};
    bw_frame_put_head(bytes, BW_FRAME_DATA, 1, 3);
    memcpy(bytes + BW_FRAME_HEAD, "abc", 3);
    bw_frame_put_head(bytes + 11, BW_FRAME_PING, 0, 0);
    const uint8_t *at = bytes, *end = bytes + 11 + BW_FRAME_HEAD;
    bw_frame frame;
    CHECK_EQ(bw_frame_next(&at, end, &frame), BW_OK);
    CHECK_EQ(frame.kind, BW_FRAME_DATA);
    CHECK_EQ(frame.flags, 1);
    CHECK_EQ(frame.size, 3);
    CHECK(memcmp(frame.payload, "abc", 3) == 0);
    CHECK_EQ(bw_frame_next(&at, end, &frame), BW_OK);
    CHECK_EQ(frame.kind, BW_FRAME_PING);
    CHECK_EQ(frame.size, 0);
    CHECK_EQ(bw_frame_next(&at, end, &frame), BW_EMPTY);
    CHECK(at == end);
}

static void
frame_that_is_cut_anywhere_is_refused(void)
{
    uint8_t bytes[BW_FRAME_HEAD + 5] = {0};
    bw_frame_put_head(bytes, BW_FRAME_MARK, 0, 5);
    for (size_t size = 1; size < sizeof bytes; size++) {
        uint8_t *copy = malloc(size);  // of its size, for the sanitizer
        CHECK(copy != NULL);
        memcpy(copy, bytes, size);
        const uint8_t *at = copy;
        bw_frame frame;
        CHECK_EQ(bw_frame_next(&at, copy + size, &frame), BW_ECORRUPT);
        CHECK(at == copy);
        free(copy);
    }
}

static void
payload_of_four_gigabytes_is_refused(void)
{
    uint8_t bytes[BW_FRAME_HEAD];
    bw_frame_put_head(bytes, BW_FRAME_DATA, 0, UINT32_MAX);
    const uint8_t *at = bytes;
    bw_frame frame;
    CHECK_EQ(bw_frame_next(&at, bytes + sizeof bytes, &frame), BW_ECORRUPT);
}

static void
bytes_kept_for_later_must_be_zero(void)
{
    for (int i = 6; i < 8; i++) {
        uint8_t bytes[BW_FRAME_HEAD];
        bw_frame_put_head(bytes, BW_FRAME_PING, 0, 0);
        bytes[i] = 1;
        const uint8_t *at = bytes;
        bw_frame frame;
        CHECK_EQ(bw_frame_next(&at, bytes + sizeof bytes, &frame), BW_ECORRUPT);
    }
}

static void
numbers_are_little_endian(void)
{
    uint8_t bytes[8];
    bw_put_u64(bytes, 0x0102030405060708);
    CHECK_EQ(bytes[0], 8);
    CHECK_EQ(bytes[7], 1);
    CHECK_EQ(bw_get_u64(bytes), 0x0102030405060708);
    bw_put_u32(bytes, 0x01020304);
    CHECK_EQ(bytes[0], 4);
    CHECK_EQ(bw_get_u32(bytes), 0x01020304);
}

TEST_MAIN(TEST(frames_come_out_as_they_went_in), TEST(frame_that_is_cut_anywhere_is_refused),
          TEST(payload_of_four_gigabytes_is_refused), TEST(bytes_kept_for_later_must_be_zero),
          TEST(numbers_are_little_endian))
