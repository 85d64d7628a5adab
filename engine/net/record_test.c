#include "net/record.h"

#include "testing/check.h"

enum { ROOM = 200000 };

static const uint8_t KEY[BW_KEY_BYTES] = {42}, OTHER_KEY[BW_KEY_BYTES] = {43};

/// Bytes on their way.
typedef struct pipe_bytes {
    uint8_t bytes[ROOM];
    size_t size;
} pipe_bytes;

static bw_block *
make_block(uint32_t size, uint8_t first)
{
    bw_block *block = bw_block_new(size);
    CHECK(block != NULL);
    for (uint32_t i = 0; i < size; i++) block->bytes[i] = (uint8_t)(first + i);
    block->size = size;
    return block;
}

static void
put(bw_record_writer *writer, pipe_bytes *pipe, uint32_t size, uint8_t first)
{
    bw_block *block = make_block(size, first);
    CHECK_EQ(bw_record_seal(writer, block), BW_OK);
    size_t all = bw_record_bytes(writer, block);
    CHECK(pipe->size + all <= ROOM);
    memcpy(pipe->bytes + pipe->size, bw_record_start(block), all);
    pipe->size += all;
    bw_block_free(block);
}

static void
init(bw_record_writer *writer, bw_record_reader *reader, const uint8_t *key)
{
    *writer = (bw_record_writer){0};
    bw_record_reader_init(reader, BW_RECORD_BYTES);
    if (key == NULL) return;
    CHECK_EQ(bw_mac_init(&writer->mac, key), BW_OK);
    CHECK_EQ(bw_mac_init(&reader->mac, key), BW_OK);
}

static void
fini(bw_record_writer *writer, bw_record_reader *reader)
{
    bw_record_writer_fini(writer);
    bw_record_reader_fini(reader);
}

static const uint32_t SIZES[] = {8, 1, 100, 5000, 17, 70000, 3};
#define SIZE_COUNT (sizeof SIZES / sizeof SIZES[0])

/// Feeds all in pieces of `piece` bytes, each in memory of its own; every record must come out as it went in.
static void
check_in_pieces(const pipe_bytes *pipe, bw_record_reader *reader, size_t piece)
{
    size_t count = 0;
    for (size_t at = 0; at < pipe->size; at += piece) {
        size_t size = pipe->size - at < piece ? pipe->size - at : piece;
        uint8_t *copy = malloc(size);
        CHECK(copy != NULL);
        memcpy(copy, pipe->bytes + at, size);
        bw_record_feed(reader, copy, size);
        const uint8_t *first, *end;
        const char *why;
        bw_status status;
        while ((status = bw_record_next(reader, &first, &end, &why)) == BW_OK) {
            CHECK(count < SIZE_COUNT);
            CHECK_EQ(end - first, SIZES[count]);
            for (uint32_t i = 0; i < SIZES[count]; i++) CHECK(first[i] == (uint8_t)(count + i));
            count++;
        }
        CHECK_EQ(status, BW_EMPTY);
        free(copy);
    }
    CHECK_EQ(count, SIZE_COUNT);
    CHECK(!bw_record_is_under_way(reader));
}

static void
records_survive_any_pieces(void)
{
    static pipe_bytes pipe;
    for (int tagged = 0; tagged < 2; tagged++) {
        for (size_t piece = 1; piece < 300; piece++) {
            bw_record_writer writer;
            bw_record_reader reader;
            init(&writer, &reader, tagged ? KEY : NULL);
            pipe.size = 0;
            for (size_t i = 0; i < SIZE_COUNT; i++) put(&writer, &pipe, SIZES[i], (uint8_t)i);
            check_in_pieces(&pipe, &reader, piece);
            fini(&writer, &reader);
        }
    }
}

static void
records_survive_a_cut_at_each_byte(void)
{
    static pipe_bytes pipe;
    bw_record_writer writer = {0};
    CHECK_EQ(bw_mac_init(&writer.mac, KEY), BW_OK);
    put(&writer, &pipe, 30, 0);
    put(&writer, &pipe, 40, 1);
    for (size_t cut = 1; cut < pipe.size; cut++) {
        bw_record_reader reader;
        bw_record_reader_init(&reader, BW_RECORD_BYTES);
        CHECK_EQ(bw_mac_init(&reader.mac, KEY), BW_OK);
        const uint8_t *first, *end;
        const char *why;
        int count = 0;
        for (int part = 0; part < 2; part++) {
            bw_record_feed(&reader, part == 0 ? pipe.bytes : pipe.bytes + cut,
                           part == 0 ? cut : pipe.size - cut);
            bw_status status;
            while ((status = bw_record_next(&reader, &first, &end, &why)) == BW_OK) count++;
            CHECK_EQ(status, BW_EMPTY);
        }
        CHECK_EQ(count, 2);
        bw_record_reader_fini(&reader);
    }
    bw_record_writer_fini(&writer);
}

static void
complete_record_is_not_copied(void)
{
    static pipe_bytes pipe;
    bw_record_writer writer;
    bw_record_reader reader;
    init(&writer, &reader, KEY);
    put(&writer, &pipe, 1000, 0);
    put(&writer, &pipe, 1000, 0);
    bw_record_feed(&reader, pipe.bytes, pipe.size);
    const uint8_t *first, *end;
    const char *why;
    CHECK_EQ(bw_record_next(&reader, &first, &end, &why), BW_OK);
    CHECK(first == pipe.bytes + BW_RECORD_HEAD);
    CHECK_EQ(bw_record_next(&reader, &first, &end, &why), BW_OK);
    CHECK(end == pipe.bytes + pipe.size - BW_TAG_BYTES);
    CHECK(reader.carry == NULL);
    fini(&writer, &reader);
}

/// What the first record that is refused is refused for.
static bw_status
read_all(bw_record_reader *reader, const uint8_t *bytes, size_t size, int *count, const char **why)
{
    bw_record_feed(reader, bytes, size);
    const uint8_t *first, *end;
    bw_status status;
    for (*count = 0; (status = bw_record_next(reader, &first, &end, why)) == BW_OK;) ++*count;
    return status;
}

static void
changed_byte_anywhere_is_noticed(void)
{
    static pipe_bytes pipe;
    bw_record_writer writer;
    bw_record_reader reader;
    init(&writer, &reader, KEY);
    put(&writer, &pipe, 64, 0);
    for (size_t i = 0; i < pipe.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bw_record_reader fresh;
            bw_record_reader_init(&fresh, BW_RECORD_BYTES);
            CHECK_EQ(bw_mac_init(&fresh.mac, KEY), BW_OK);
            pipe.bytes[i] ^= (uint8_t)(1 << bit);
            int count;
            const char *why;
            bw_status status = read_all(&fresh, pipe.bytes, pipe.size, &count, &why);
            CHECK_EQ(count, 0);
            // A longer length waits for the rest, and is refused when that has come.
            CHECK(status == BW_ECORRUPT || (status == BW_EMPTY && i < BW_RECORD_HEAD));
            pipe.bytes[i] ^= (uint8_t)(1 << bit);
            bw_record_reader_fini(&fresh);
        }
    }
    fini(&writer, &reader);
}

static void
record_that_is_repeated_left_out_or_sent_back_is_noticed(void)
{
    static pipe_bytes pipe;
    bw_record_writer writer;
    bw_record_reader reader;
    int count;
    const char *why;
    const size_t size = 50 + BW_RECORD_HEAD + BW_TAG_BYTES;

    init(&writer, &reader, KEY);
    put(&writer, &pipe, 50, 0);
    put(&writer, &pipe, 50, 1);
    CHECK_EQ(read_all(&reader, pipe.bytes, size, &count, &why), BW_EMPTY);
    CHECK_EQ(count, 1);
    CHECK_EQ(read_all(&reader, pipe.bytes, size, &count, &why), BW_ECORRUPT);
    CHECK(strcmp(why, "a record whose tag is wrong") == 0);
    fini(&writer, &reader);

    init(&writer, &reader, KEY);
    CHECK_EQ(read_all(&reader, pipe.bytes + size, size, &count, &why), BW_ECORRUPT);
    fini(&writer, &reader);

    init(&writer, &reader, OTHER_KEY);  // as the other direction has
    CHECK_EQ(read_all(&reader, pipe.bytes, size, &count, &why), BW_ECORRUPT);
    fini(&writer, &reader);
}

static void
impossible_length_is_refused_before_anything_is_allocated(void)
{
    static const uint32_t LENGTHS[] = {0, BW_RECORD_BYTES + 1, 0x7fffffff, UINT32_MAX};
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        bw_record_reader reader;
        bw_record_reader_init(&reader, BW_RECORD_BYTES);
        uint8_t head[BW_RECORD_HEAD];
        bw_put_u32(head, LENGTHS[i]);
        int count;
        const char *why;
        CHECK_EQ(read_all(&reader, head, sizeof head, &count, &why), BW_ECORRUPT);
        CHECK(strcmp(why, i == 0 ? "an empty record" : "a record that is too long") == 0);
        CHECK(reader.carry == NULL);
        bw_record_reader_fini(&reader);
    }
}

static void
carry_grows_with_what_came_not_with_what_was_announced(void)
{
    bw_record_reader reader;
    bw_record_reader_init(&reader, BW_RECORD_BYTES);
    uint8_t bytes[1000] = {0};
    bw_put_u32(bytes, BW_RECORD_BYTES);
    int count;
    const char *why;
    CHECK_EQ(read_all(&reader, bytes, sizeof bytes, &count, &why), BW_EMPTY);
    CHECK(bw_record_is_under_way(&reader));
    CHECK(reader.capacity < 10000);
    // And ends where the longest record does.
    size_t fed = sizeof bytes;
    while (fed < BW_RECORD_HEAD + BW_RECORD_BYTES) {
        size_t left = BW_RECORD_HEAD + BW_RECORD_BYTES - fed;
        size_t size = left < sizeof bytes ? left : sizeof bytes;
        bw_status status = read_all(&reader, bytes, size, &count, &why);
        CHECK_EQ(status, BW_EMPTY);
        fed += size;
        CHECK_EQ(count, fed == BW_RECORD_HEAD + BW_RECORD_BYTES);
    }
    CHECK(reader.capacity <= BW_RECORD_HEAD + BW_RECORD_BYTES + BW_TAG_BYTES);
    bw_record_reader_fini(&reader);
}

TEST_MAIN(TEST(records_survive_any_pieces), TEST(records_survive_a_cut_at_each_byte),
          TEST(complete_record_is_not_copied), TEST(changed_byte_anywhere_is_noticed),
          TEST(record_that_is_repeated_left_out_or_sent_back_is_noticed),
          TEST(impossible_length_is_refused_before_anything_is_allocated),
          TEST(carry_grows_with_what_came_not_with_what_was_announced))
