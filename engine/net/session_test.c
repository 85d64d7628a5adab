#include "net/session.h"

#include "base/clock.h"
#include "testing/check.h"

enum { BLOCK = 60000 };

/// A transport that keeps what was written last, and how much there was in all.
typedef struct sink {
    uint64_t bytes, blocks;
    uint32_t tail_size;
    uint8_t last_kind;
} sink;

static void
do_write(void *self, void *socket, bw_block *first, uint32_t tail_size)
{
    sink *sink = self;
    CHECK(socket == sink);
    for (const bw_block *block = first; block != NULL; block = block->next) {
        sink->bytes += 4 + block->size + tail_size;
        sink->blocks++;
        sink->last_kind = block->bytes[4];
        CHECK_EQ(bw_get_u32(bw_record_start(block)), block->size);
    }
    sink->tail_size = tail_size;
    bw_block_free_all(first);
}

static const uint8_t SECRET[] = "secret";

static bw_session *
open_session(sink *sink, const bw_transport *transport, const bw_net_settings *settings)
{
    const uint8_t nonce[BW_NONCE_BYTES] = {0};
    bw_session *session = bw_session_new(NULL, transport, 100);
    CHECK(session != NULL);
    session->socket = sink;
    session->state = BW_SESSION_SHAKING;
    bw_handshake_init(&session->handshake, settings, 0, nonce);
    CHECK_EQ(bw_session_open(session, 100), BW_OK);
    CHECK_EQ(session->process, 0);
    return session;
}

static void
push(bw_outbox *outbox, uint32_t size)
{
    bw_block *block = bw_block_new(size);
    CHECK(block != NULL);
    block->size = size;
    memset(block->bytes, 0, size);
    bw_frame_put_head(block->bytes, BW_FRAME_DATA, 0, size - BW_FRAME_HEAD);
    bw_outbox_push(outbox, block);
}

static void
one_mebibyte_is_in_flight_and_what_is_urgent_overtakes_the_rest(void)
{
    sink sink = {0};
    const bw_transport transport = {.write = do_write, .self = &sink};
    const bw_net_settings settings = {.secret = SECRET, .secret_size = sizeof SECRET};
    bw_session *session = open_session(&sink, &transport, &settings);
    bw_outbox outbox;
    CHECK_EQ(bw_outbox_init(&outbox, NULL, NULL), BW_OK);
    for (int i = 0; i < 40; i++) push(&outbox, BLOCK);
    bool is_empty;
    CHECK_EQ(bw_session_drain(session, &outbox, 200, &is_empty), BW_OK);
    CHECK(!is_empty);
    CHECK_EQ(sink.blocks, 18);
    CHECK_EQ(sink.tail_size, BW_TAG_BYTES);
    CHECK_EQ(session->in_flight, sink.bytes);
    CHECK_EQ(session->sent_ns, 200);
    CHECK_EQ(bw_session_drain(session, &outbox, 300, &is_empty), BW_OK);
    CHECK_EQ(sink.blocks, 18);
    CHECK_EQ(bw_session_send(session, BW_FRAME_ERROR, 0, (const uint8_t *)"why", 3, 400), BW_OK);
    CHECK_EQ(sink.last_kind, BW_FRAME_ERROR);
    bw_session_written(session, session->in_flight, 500);
    CHECK_EQ(session->in_flight, 0);
    CHECK_EQ(session->sent_ns, 500);
    while (!is_empty) {
        CHECK_EQ(bw_session_drain(session, &outbox, 600, &is_empty), BW_OK);
        bw_session_written(session, session->in_flight, 600);
    }
    CHECK_EQ(sink.blocks, 41);
    bw_outbox_fini(&outbox);
    bw_session_free(session);
}

static void
record_under_way_is_known_with_its_begin(void)
{
    sink sink = {0};
    const bw_transport transport = {.write = do_write, .self = &sink};
    const bw_net_settings settings = {0};
    bw_session *session = open_session(&sink, &transport, &settings);
    uint8_t bytes[24] = {0};
    for (int i = 0; i < 2; i++) {
        bw_put_u32(bytes + 12 * i, 8);
        bw_frame_put_head(bytes + 12 * i + 4, BW_FRAME_PING, 0, 0);
    }
    bw_frame frame;
    const char *why;
    bw_session_feed(session, bytes, 2, 200);
    CHECK_EQ(bw_session_next(session, &frame, &why), BW_EMPTY);
    CHECK_EQ(session->record_ns, 200);
    bw_session_feed(session, bytes + 2, 3, 300);
    CHECK_EQ(bw_session_next(session, &frame, &why), BW_EMPTY);
    CHECK_EQ(session->record_ns, 200);
    CHECK_EQ(session->heard_ns, 300);
    bw_session_feed(session, bytes + 5, 10, 400);  // its end, and the begin of the next
    CHECK_EQ(bw_session_next(session, &frame, &why), BW_OK);
    CHECK_EQ(frame.kind, BW_FRAME_PING);
    CHECK_EQ(bw_session_next(session, &frame, &why), BW_EMPTY);
    CHECK_EQ(session->record_ns, 400);
    bw_session_feed(session, bytes + 15, 9, 500);
    CHECK_EQ(bw_session_next(session, &frame, &why), BW_OK);
    CHECK_EQ(bw_session_next(session, &frame, &why), BW_EMPTY);
    CHECK_EQ(session->record_ns, BW_TIME_NEVER);
    bw_session_free(session);
}

static void
frames_of_one_record_come_one_by_one(void)
{
    sink sink = {0};
    const bw_transport transport = {.write = do_write, .self = &sink};
    const bw_net_settings settings = {0};
    bw_session *session = open_session(&sink, &transport, &settings);
    uint8_t bytes[4 + 3 * 9];
    bw_put_u32(bytes, 3 * 9);
    for (uint8_t i = 0; i < 3; i++) {
        bw_frame_put_head(bytes + 4 + 9 * i, BW_FRAME_DATA, 0, 1);
        bytes[4 + 9 * i + 8] = i;
    }
    bw_session_feed(session, bytes, sizeof bytes, 200);
    bw_frame frame;
    const char *why;
    for (uint8_t i = 0; i < 3; i++) {
        CHECK_EQ(bw_session_next(session, &frame, &why), BW_OK);
        CHECK_EQ(frame.payload[0], i);
    }
    CHECK_EQ(bw_session_next(session, &frame, &why), BW_EMPTY);
    bw_session_free(session);
}

static void
record_of_a_handshake_holds_one_frame_and_is_short(void)
{
    sink sink = {0};
    const bw_transport transport = {.write = do_write, .self = &sink};
    uint8_t bytes[4 + 16];
    bw_put_u32(bytes, 16);
    for (int i = 0; i < 2; i++) bw_frame_put_head(bytes + 4 + 8 * i, BW_FRAME_AUTH, 0, 0);
    for (int i = 0; i < 2; i++) {
        bw_session *session = bw_session_new(NULL, &transport, 100);
        CHECK(session != NULL);
        session->state = BW_SESSION_SHAKING;
        if (i == 1) bw_put_u32(bytes, BW_HANDSHAKE_BYTES + 1);
        bw_session_feed(session, bytes, sizeof bytes, 200);
        bw_frame frame;
        const char *why = NULL;
        CHECK_EQ(bw_session_next(session, &frame, &why), BW_ECORRUPT);
        CHECK(why != NULL);
        bw_session_free(session);
    }
}

TEST_MAIN(TEST(one_mebibyte_is_in_flight_and_what_is_urgent_overtakes_the_rest),
          TEST(record_under_way_is_known_with_its_begin), TEST(frames_of_one_record_come_one_by_one),
          TEST(record_of_a_handshake_holds_one_frame_and_is_short))
