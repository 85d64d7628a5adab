#include "net/handshake.h"

#include <openssl/evp.h>

#include "testing/check.h"

static const uint8_t SECRET[] = "one secret", OTHER_SECRET[] = "another secret";

typedef struct pair {
    bw_net_settings dialer_settings, acceptor_settings;
    bw_handshake dialer, acceptor;
    bw_handshake_step dialer_step, acceptor_step;
    uint32_t dials;  // index that the dialer believes to dial
} pair;

static void
init(pair *pair, bool has_secret)
{
    static const char *const ADDRESSES[] = {"alpha:1", "beta:2", "gamma:3"};
    *pair = (struct pair){.dials = 0};
    pair->acceptor_settings = (bw_net_settings){.process_index = 0,
                                                .process_count = 3,
                                                .workers_per_process = 2,
                                                .addresses = ADDRESSES,
                                                .graph_hash = 0xabc,
                                                .step_count = 7};
    if (has_secret) {
        pair->acceptor_settings.secret = SECRET;
        pair->acceptor_settings.secret_size = sizeof SECRET;
    }
    pair->dialer_settings = pair->acceptor_settings;
    pair->dialer_settings.process_index = 1;
}

/// Gives each frame of `blocks`, which are freed, to a handshake; returns what it answers.
static bw_block *
give(bw_handshake *handshake, bw_block *blocks, bw_handshake_step *step)
{
    bw_block *answer = NULL;
    for (const bw_block *block = blocks; block != NULL; block = block->next) {
        if (handshake->state == BW_HANDSHAKE_OVER) break;
        const uint8_t *at = block->bytes;
        bw_frame frame;
        CHECK_EQ(bw_frame_next(&at, block->bytes + block->size, &frame), BW_OK);
        CHECK(at == block->bytes + block->size);
        bw_block *reply;
        *step = bw_handshake_take(handshake, &frame, &reply);
        if (*step == BW_HANDSHAKE_ASKS) {
            reply = bw_handshake_accept(handshake);
            *step = BW_HANDSHAKE_DONE;
        }
        if (reply != NULL) {
            CHECK(answer == NULL);
            answer = reply;
        }
    }
    bw_block_free_all(blocks);
    return answer;
}

static void
begin(pair *pair)
{
    const uint8_t dialer_nonce[BW_NONCE_BYTES] = {1}, acceptor_nonce[BW_NONCE_BYTES] = {2};
    pair->dialer_step = pair->acceptor_step = BW_HANDSHAKE_WAITS;
    bw_handshake_init(&pair->dialer, &pair->dialer_settings, pair->dials, dialer_nonce);
    bw_handshake_init(&pair->acceptor, &pair->acceptor_settings, BW_PROCESS_NONE, acceptor_nonce);
}

static void
go_on(pair *pair)
{
    bw_block *blocks = bw_handshake_start(&pair->dialer);
    CHECK(blocks != NULL);
    while (blocks != NULL) {
        blocks = give(&pair->acceptor, blocks, &pair->acceptor_step);
        if (blocks != NULL) blocks = give(&pair->dialer, blocks, &pair->dialer_step);
    }
}

static void
shake(pair *pair)
{
    begin(pair);
    go_on(pair);
}

static void
check_why(const bw_handshake *handshake, const char *text)
{
    if (strstr(handshake->why.text, text) != NULL) return;
    fprintf(stderr, "\"%s\" does not say \"%s\"\n", handshake->why.text, text);
    exit(1);
}

static void
both_learn_whom_they_met(void)
{
    for (int has_secret = 0; has_secret < 2; has_secret++) {
        pair pair;
        init(&pair, has_secret);
        shake(&pair);
        CHECK_EQ(pair.dialer_step, BW_HANDSHAKE_DONE);
        CHECK_EQ(pair.acceptor_step, BW_HANDSHAKE_DONE);
        CHECK_EQ(pair.dialer.process, 0);
        CHECK_EQ(pair.acceptor.process, 1);
        CHECK_EQ(bw_handshake_has_keys(&pair.dialer), has_secret);
    }
}

static void
each_direction_has_a_key_that_both_know(void)
{
    pair pair;
    init(&pair, true);
    shake(&pair);
    uint8_t to[BW_KEY_BYTES], fro[BW_KEY_BYTES], their_to[BW_KEY_BYTES], their_fro[BW_KEY_BYTES];
    CHECK_EQ(bw_handshake_keys(&pair.dialer, to, fro), BW_OK);
    CHECK_EQ(bw_handshake_keys(&pair.acceptor, their_to, their_fro), BW_OK);
    CHECK(bw_crypto_equal(to, their_fro, BW_KEY_BYTES));
    CHECK(bw_crypto_equal(fro, their_to, BW_KEY_BYTES));
    CHECK(!bw_crypto_equal(to, fro, BW_KEY_BYTES));
    // Another connection of the same two has other ones.
    pair.dialer.own[BW_HELLO_BYTES - 1] ^= 1;
    CHECK_EQ(bw_handshake_keys(&pair.dialer, their_to, their_fro), BW_OK);
    CHECK(!bw_crypto_equal(to, their_to, BW_KEY_BYTES));
}

static void
tls_alone_needs_neither_proof_nor_keys(void)
{
    pair pair;
    init(&pair, true);
    pair.dialer_settings.tls_cert = pair.acceptor_settings.tls_cert = "cert.pem";
    shake(&pair);
    CHECK_EQ(pair.acceptor_step, BW_HANDSHAKE_DONE);
    CHECK(!bw_handshake_has_keys(&pair.dialer));
}

/// Both know what differs, by a text that has all of `texts`.
static void
check_mismatch(pair *pair, const char *a, const char *b)
{
    shake(pair);
    CHECK_EQ(pair->dialer_step, BW_HANDSHAKE_FAILED);
    CHECK_EQ(pair->acceptor_step, BW_HANDSHAKE_FAILED);
    check_why(&pair->dialer, a);
    check_why(&pair->dialer, b);
    check_why(&pair->acceptor, a);
    check_why(&pair->acceptor, b);
}

static void
mismatch_is_told_on_both_sides_with_both_values(void)
{
    for (int has_secret = 0; has_secret < 2; has_secret++) {
        pair pair;
        init(&pair, has_secret);
        pair.dialer_settings.process_count = 4;
        check_mismatch(&pair, "process 0 knows of 3", "process 1 of 4");
        init(&pair, has_secret);
        pair.dialer_settings.workers_per_process = 5;
        check_mismatch(&pair, "process 0 runs 2", "process 1 runs 5");
        init(&pair, has_secret);
        pair.dialer_settings.graph_hash = 0xdef;
        check_mismatch(&pair, "process 0 has 7 steps (hash 0000000000000abc)",
                       "process 1 has 7 (hash 0000000000000def)");
        init(&pair, has_secret);
        pair.dialer_settings.step_count = 8;
        check_mismatch(&pair, "process 0 has 7 steps", "process 1 has 8");
        init(&pair, has_secret);
        pair.dials = 2;  // and is to dial it: two lists of addresses
        pair.dialer_settings.process_index = 1;
        check_mismatch(&pair, "process 1 dialled process 2", "reached process 0");
        init(&pair, has_secret);
        pair.dialer_settings.process_index = 0;
        check_mismatch(&pair, "two processes with index 0", "");
        init(&pair, has_secret);
        pair.dialer_settings.process_index = 9;
        check_mismatch(&pair, "there is no process 9 among 3", "");
        init(&pair, has_secret);
        pair.acceptor_settings.process_index = 2;
        pair.dials = 2;
        check_mismatch(&pair, "process 1 dialled process 2, which should dial it", "");
        init(&pair, has_secret);
        pair.dialer_settings.process_count = 2;
        pair.dialer_settings.workers_per_process = 3;
        check_mismatch(&pair, "the process counts differ", "the worker counts differ");
    }
}

static void
who_does_not_know_the_secret_is_a_stranger(void)
{
    pair pair;
    init(&pair, true);
    pair.dialer_settings.secret = OTHER_SECRET;
    pair.dialer_settings.secret_size = sizeof OTHER_SECRET;
    pair.dialer_settings.process_count = 77;  // nothing of which is compared
    shake(&pair);
    CHECK_EQ(pair.acceptor_step, BW_HANDSHAKE_STRANGER);
    check_why(&pair.acceptor, "process 1 does not know that of process 0");
    CHECK_EQ(pair.dialer_step, BW_HANDSHAKE_FAILED);
    check_why(&pair.dialer, "refused this process: the secrets of the cluster differ");
}

/// HMAC fills a short key up with zeros, and hashes a long one.
static void
secrets_that_are_one_key_to_hmac_are_two(void)
{
    uint8_t zeros[70] = {'k', 'e', 'y'}, hash[BW_KEY_BYTES];
    static const struct {
        size_t a, b;
    } SIZES[] = {{3, 4}, {3, 64}, {63, 64}};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        pair pair;
        init(&pair, true);
        pair.acceptor_settings.secret = pair.dialer_settings.secret = zeros;
        pair.acceptor_settings.secret_size = SIZES[i].a;
        pair.dialer_settings.secret_size = SIZES[i].b;
        shake(&pair);
        CHECK_EQ(pair.acceptor_step, BW_HANDSHAKE_STRANGER);
    }
    pair pair;
    init(&pair, true);
    CHECK(EVP_Digest(zeros, sizeof zeros, hash, NULL, EVP_sha256(), NULL) == 1);
    pair.acceptor_settings.secret = zeros;
    pair.acceptor_settings.secret_size = sizeof zeros;
    pair.dialer_settings.secret = hash;
    pair.dialer_settings.secret_size = sizeof hash;
    shake(&pair);
    CHECK_EQ(pair.acceptor_step, BW_HANDSHAKE_STRANGER);
}

/// As if somebody with a certificate sat between them and passed on what they say.
static void
proof_under_tls_is_good_for_its_connection_alone(void)
{
    for (int same = 0; same < 2; same++) {
        pair pair;
        init(&pair, true);
        pair.dialer_settings.tls_cert = pair.acceptor_settings.tls_cert = "cert.pem";
        begin(&pair);
        pair.dialer.binding[31] = 1;
        pair.acceptor.binding[31] = same ? 1 : 2;
        go_on(&pair);
        CHECK_EQ(pair.acceptor_step, same ? BW_HANDSHAKE_DONE : BW_HANDSHAKE_STRANGER);
        CHECK_EQ(pair.dialer_step, same ? BW_HANDSHAKE_DONE : BW_HANDSHAKE_FAILED);
    }
}

static void
acceptor_must_know_the_secret_too(void)
{
    pair pair;
    init(&pair, true);
    begin(&pair);
    bw_block *blocks = bw_handshake_start(&pair.dialer);
    blocks = give(&pair.acceptor, blocks, &pair.acceptor_step);
    blocks = give(&pair.dialer, blocks, &pair.dialer_step);
    blocks = give(&pair.acceptor, blocks, &pair.acceptor_step);
    blocks->bytes[BW_FRAME_HEAD + 5] ^= 1;
    CHECK(give(&pair.dialer, blocks, &pair.dialer_step) == NULL);
    CHECK_EQ(pair.dialer_step, BW_HANDSHAKE_FAILED);
    check_why(&pair.dialer, "process 0 does not know that of process 1");
}

static void
proof_sent_back_is_none(void)
{
    pair pair;
    init(&pair, true);
    begin(&pair);
    bw_block *blocks = bw_handshake_start(&pair.dialer);
    blocks = give(&pair.acceptor, blocks, &pair.acceptor_step);
    blocks = give(&pair.dialer, blocks, &pair.dialer_step);  // the dialer's proof
    CHECK(give(&pair.dialer, blocks, &pair.dialer_step) == NULL);
    CHECK_EQ(pair.dialer_step, BW_HANDSHAKE_FAILED);
}

static void
secret_on_one_side_only_is_told(void)
{
    pair pair;
    init(&pair, true);
    pair.dialer_settings.secret_size = 0;
    shake(&pair);
    CHECK_EQ(pair.acceptor_step, BW_HANDSHAKE_STRANGER);
    CHECK_EQ(pair.dialer_step, BW_HANDSHAKE_FAILED);
    check_why(&pair.dialer, "process 1 is set up with neither secret nor TLS, process 0 with a secret");

    init(&pair, false);
    pair.dialer_settings.secret = SECRET;
    pair.dialer_settings.secret_size = sizeof SECRET;
    shake(&pair);
    CHECK_EQ(pair.acceptor_step, BW_HANDSHAKE_FAILED);  // over loopback it is one of ours
    CHECK_EQ(pair.dialer_step, BW_HANDSHAKE_FAILED);
    check_why(&pair.dialer, "process 1 is set up with a secret, process 0 with neither");
}

/// The version that a HELLO names becomes `version`, its size `size`.
static void
change_version(bw_block *hello, uint32_t version, uint32_t size)
{
    bw_put_u32(hello->bytes + BW_FRAME_HEAD + 8, version);
    bw_frame_put_head(hello->bytes, BW_FRAME_HELLO, 0, size);
    hello->size = BW_FRAME_HEAD + size;
}

static void
other_version_is_told_whatever_else_it_says(void)
{
    static const uint32_t HELLO_SIZES[] = {12, 40, BW_HELLO_BYTES};
    for (int has_secret = 0; has_secret < 2; has_secret++) {
        for (int i = 0; i < 3; i++) {
            pair pair;
            init(&pair, has_secret);
            begin(&pair);
            bw_block *blocks = bw_handshake_start(&pair.dialer);
            change_version(blocks, 2, HELLO_SIZES[i]);
            blocks = give(&pair.acceptor, blocks, &pair.acceptor_step);
            CHECK_EQ(pair.acceptor_step, has_secret ? BW_HANDSHAKE_STRANGER : BW_HANDSHAKE_FAILED);
            check_why(&pair.acceptor, "process 0 speaks 1, the one it met speaks 2");
            CHECK(blocks != NULL);  // so that the dialer sees ours
            change_version(blocks, 3, HELLO_SIZES[i]);
            bw_block_free_all(blocks->next);
            blocks->next = NULL;
            CHECK(give(&pair.dialer, blocks, &pair.dialer_step) == NULL);
            CHECK_EQ(pair.dialer_step, BW_HANDSHAKE_FAILED);
            check_why(&pair.dialer, "process 1 speaks 1, the one it met speaks 3");
        }
    }
}

static bw_handshake_step
give_frame(bw_handshake *handshake, bw_frame_kind kind, uint8_t flags, const void *payload,
           uint32_t size)
{
    const bw_frame frame = {.kind = (uint8_t)kind, .flags = flags, .size = size, .payload = payload};
    bw_block *reply;
    bw_handshake_step step = bw_handshake_take(handshake, &frame, &reply);
    CHECK(reply == NULL);  // nothing is said to who does not begin as one should
    return step;
}

static void
who_says_no_hello_gets_no_answer(void)
{
    static const char HELLO[BW_HELLO_BYTES] = "bytewax\n\1";
    pair pair;
    init(&pair, false);
    begin(&pair);
    CHECK_EQ(give_frame(&pair.acceptor, BW_FRAME_AUTH, 0, "", 0), BW_HANDSHAKE_STRANGER);
    begin(&pair);
    CHECK_EQ(give_frame(&pair.acceptor, BW_FRAME_REFUSE, 0, "no", 2), BW_HANDSHAKE_STRANGER);
    begin(&pair);
    CHECK_EQ(give_frame(&pair.acceptor, BW_FRAME_HELLO, 0, "", 0), BW_HANDSHAKE_STRANGER);
    begin(&pair);
    CHECK_EQ(give_frame(&pair.acceptor, BW_FRAME_HELLO, 0, HELLO, 11), BW_HANDSHAKE_STRANGER);
    begin(&pair);
    CHECK_EQ(give_frame(&pair.acceptor, BW_FRAME_HELLO, 0, HELLO, sizeof HELLO - 1),
             BW_HANDSHAKE_STRANGER);
    begin(&pair);
    CHECK_EQ(give_frame(&pair.acceptor, BW_FRAME_HELLO, 1, HELLO, sizeof HELLO), BW_HANDSHAKE_STRANGER);
    begin(&pair);
    CHECK_EQ(give_frame(&pair.acceptor, BW_FRAME_HELLO, 0, "Bytewax\n\1\0\0\0", 12),
             BW_HANDSHAKE_STRANGER);
    begin(&pair);
    bw_block_free(bw_handshake_start(&pair.dialer));
    CHECK_EQ(give_frame(&pair.dialer, BW_FRAME_PING, 0, "", 0), BW_HANDSHAKE_STRANGER);
}

static void
refusal_reaches_the_user_as_clean_text(void)
{
    pair pair;
    init(&pair, false);
    begin(&pair);
    bw_block *blocks = bw_handshake_start(&pair.dialer);
    blocks = give(&pair.acceptor, blocks, &pair.acceptor_step);
    bw_block_free_all(give(&pair.dialer, blocks, &pair.dialer_step));
    uint8_t text[1000];
    memset(text, 0x1b, sizeof text);
    memcpy(text, "no\n\xff", 4);
    CHECK_EQ(give_frame(&pair.dialer, BW_FRAME_REFUSE, 0, text, sizeof text), BW_HANDSHAKE_FAILED);
    check_why(&pair.dialer, "it refused this process: no???");
    for (const char *at = pair.dialer.why.text; *at != '\0'; at++) CHECK(*at >= 0x20 && *at < 0x7f);
}

static void
asked_acceptor_may_refuse(void)
{
    pair pair;
    init(&pair, true);
    begin(&pair);
    bw_block *blocks = bw_handshake_start(&pair.dialer);
    blocks = give(&pair.acceptor, blocks, &pair.acceptor_step);
    blocks = give(&pair.dialer, blocks, &pair.dialer_step);
    const uint8_t *at = blocks->bytes;
    bw_frame frame;
    bw_block *reply;
    CHECK_EQ(bw_frame_next(&at, blocks->bytes + blocks->size, &frame), BW_OK);
    CHECK_EQ(bw_handshake_take(&pair.acceptor, &frame, &reply), BW_HANDSHAKE_ASKS);
    CHECK(reply == NULL);
    bw_block_free(blocks);
    blocks = bw_handshake_refuse(&pair.acceptor, "not today");
    CHECK(give(&pair.dialer, blocks, &pair.dialer_step) == NULL);
    CHECK_EQ(pair.dialer_step, BW_HANDSHAKE_FAILED);
    check_why(&pair.dialer, "refused this process: not today");
}

TEST_MAIN(TEST(both_learn_whom_they_met), TEST(each_direction_has_a_key_that_both_know),
          TEST(tls_alone_needs_neither_proof_nor_keys),
          TEST(mismatch_is_told_on_both_sides_with_both_values),
          TEST(who_does_not_know_the_secret_is_a_stranger),
          TEST(secrets_that_are_one_key_to_hmac_are_two),
          TEST(proof_under_tls_is_good_for_its_connection_alone),
          TEST(acceptor_must_know_the_secret_too), TEST(proof_sent_back_is_none),
          TEST(secret_on_one_side_only_is_told), TEST(other_version_is_told_whatever_else_it_says),
          TEST(who_says_no_hello_gets_no_answer), TEST(refusal_reaches_the_user_as_clean_text),
          TEST(asked_acceptor_may_refuse))
