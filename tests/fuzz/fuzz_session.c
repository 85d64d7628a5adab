// Bytes at random as what somebody says who connected to a process, or whom it dialled. The first byte says how: its
// bits are secret, dialled, and (of the accepted without a secret) an honest handshake before the rest. The second
// says in which pieces they come. Whatever they are, the mesh must go on or end in order.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/handshake.h"
#include "net/mesh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct bench {
    bw_mesh *mesh;
    bw_session *session;  // NULL: closed
    size_t unacked, written;
    unsigned broken_count, failed_count;
} bench;

static void
must(int condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "fuzz_session: %s\n", what);
    abort();
}

static void
on_nothing(void *self)
{
    (void)self;
}

static bw_status
on_frame(void *self, uint32_t process, const bw_frame *frame)
{
    (void)self;
    must(process < 2 && frame->kind >= BW_FRAME_ASSIGN, "a frame that is not for workers");
    uint8_t sum = 0;
    for (uint32_t i = 0; i < frame->size; i++) sum ^= frame->payload[i];
    return sum == 0xff ? BW_ECORRUPT : BW_OK;
}

static void
on_failed(void *self, uint32_t process, const uint8_t *payload, uint32_t size)
{
    bench *bench = self;
    bench->failed_count++;
    must(process < 3 && (size == 0 || payload != NULL), "a failure of nobody");
}

static void
on_broken(void *self, const bw_error *error)
{
    bench *bench = self;
    bench->broken_count++;
    must(error->text[0] != '\0' && strlen(error->text) < sizeof error->text, "no text");
}

static void
on_say(void *self, const char *line)
{
    (void)self;
    must(line[0] != '\0' && strchr(line, '\n') == NULL, "no line");
}

static bw_status
do_connect(void *self, uint32_t process, bw_session *session, void **socket)
{
    bench *bench = self;
    if (bench->session != NULL) return BW_EIO;
    must(process == 0, "dials one that it should not");
    bench->session = session;
    *socket = bench;
    return BW_OK;
}

static void
do_write(void *self, void *socket, bw_block *first, uint32_t tail_size)
{
    bench *bench = self;
    must(socket == bench && bench->session != NULL, "writes to what is closed");
    for (const bw_block *block = first; block != NULL; block = block->next) {
        bench->unacked += 4 + block->size + tail_size;
    }
    bench->written += bench->unacked;
    bw_block_free_all(first);
}

static void
do_close(void *self, void *socket, bool flush)
{
    (void)flush;
    bench *bench = self;
    must(socket == bench && bench->session != NULL, "closes what is closed");
    bench->session = NULL;
}

static bw_status
do_random(void *self, uint8_t *bytes, size_t size)
{
    (void)self;
    memset(bytes, 7, size);
    return BW_OK;
}

static void
say(bench *bench, const uint8_t *data, size_t size, size_t piece)
{
    for (size_t at = 0; at < size && bench->session != NULL; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        uint8_t *copy = malloc(part);  // of its size: a read behind it shows
        must(copy != NULL, "no memory");
        memcpy(copy, data + at, part);
        bw_mesh_received(bench->session, copy, part, BW_NS_PER_S + at);
        free(copy);
        size_t unacked = bench->unacked;
        bench->unacked = 0;
        if (bench->session != NULL && unacked > 0) {
            bw_mesh_written(bench->session, unacked, BW_NS_PER_S + at);
        }
    }
}

static void
say_block(bench *bench, const bw_block *block)
{
    uint8_t record[4 + 128];
    must(block != NULL && block->size <= 128, "no block");
    bw_put_u32(record, block->size);
    memcpy(record + 4, block->bytes, block->size);
    say(bench, record, 4 + block->size, sizeof record);
}

/// As an honest process 1 would.
static void
shake_hands(bench *bench, const bw_net_settings *settings)
{
    bw_net_settings theirs = *settings;
    theirs.process_index = 1;
    const uint8_t nonce[BW_NONCE_BYTES] = {1};
    bw_handshake handshake;
    bw_handshake_init(&handshake, &theirs, 0, nonce);
    bw_block *block = bw_handshake_start(&handshake);
    say_block(bench, block);
    bw_frame_put_head(block->bytes, BW_FRAME_AUTH, 0, 0);
    block->size = BW_FRAME_HEAD;
    say_block(bench, block);
    bw_block_free(block);
    must(bench->session != NULL, "refuses who is honest");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const ADDRESSES[] = {"a:1", "b:2", "c:3"};
    static const uint8_t SECRET[] = "secret";
    if (size < 2) return 0;
    bool has_secret = data[0] & 1, dials = data[0] & 2, is_honest = (data[0] & 7) == 4;
    size_t piece = 1 + (size_t)data[1] * 8;
    const bw_net_settings settings = {.process_index = dials ? 1 : 0,
                                      .process_count = dials ? 2 : 3,
                                      .workers_per_process = 1,
                                      .addresses = ADDRESSES,
                                      .listen_fd = -1,
                                      .secret = SECRET,
                                      .secret_size = has_secret ? sizeof SECRET : 0,
                                      .connect_timeout_ns = 60 * BW_NS_PER_S,
                                      .silence_timeout_ns = 10 * BW_NS_PER_S};
    bench bench = {0};
    const bw_transport transport = {do_connect, do_write, do_close, do_random, NULL, &bench};
    const bw_mesh_events events = {on_nothing, on_frame,   on_nothing, on_failed,
                                   on_broken,  on_nothing, on_say,     &bench};
    must(bw_mesh_new(&settings, &transport, &events, NULL, NULL, &bench.mesh) == BW_OK, "no mesh");
    bw_mesh_start(bench.mesh, BW_NS_PER_S);
    if (dials) {
        bw_mesh_opened(bench.session, BW_NS_PER_S);
    } else {
        bench.session = bw_mesh_accept(bench.mesh, &bench, "somebody", BW_NS_PER_S);
        must(bench.session != NULL, "turned away");
        if (is_honest) shake_hands(&bench, &settings);
    }
    say(&bench, data + 2, size - 2, piece);
    if (!dials && !is_honest && has_secret) {
        must(bench.broken_count == 0, "a stranger ended the run");
        must(bench.failed_count == 0, "a stranger failed the run");
    }
    bool is_closed = bw_mesh_is_closed(bench.mesh);
    must(is_closed == (bench.broken_count + bench.failed_count == 1), "closed, or not, without a word");
    for (uint64_t at_s = 2; at_s < 80; at_s++) {
        uint64_t now_ns = at_s * BW_NS_PER_S;
        must(bw_mesh_poll(bench.mesh, now_ns) > now_ns, "never sleeps");
    }
    must(bw_mesh_is_closed(bench.mesh), "does not end");
    must(bench.broken_count + bench.failed_count == 1, "ends in two ways");
    bw_mesh_free(bench.mesh);
    must(bench.session == NULL, "leaves a connection behind");
    return 0;
}
