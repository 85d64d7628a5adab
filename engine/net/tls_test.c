#define _GNU_SOURCE  // memmem

#include "net/tls.h"

#include "testing/certificates.h"
#include "testing/check.h"

static const char *
path_in(const char *folder, const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", folder, name);
    return out;
}

static bw_tls *
load(const char *folder, const char *name, const char *authority)
{
    char file[64], cert[128], key[128], ca[128];
    snprintf(file, sizeof file, "%s.pem", name);
    path_in(folder, file, cert);
    snprintf(file, sizeof file, "%s.key", name);
    path_in(folder, file, key);
    snprintf(file, sizeof file, "%s.pem", authority);
    path_in(folder, file, ca);
    bw_tls *tls;
    bw_error error;
    if (bw_tls_new(cert, key, ca, &tls, &error) != BW_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return tls;
}

typedef struct side {
    bw_tls *tls;
    bw_tls_stream *stream;
    bw_status status;
    bw_error error;
} side;

/// Carries what `from` has to say to `to`. Returns how much.
static size_t
carry(side *from, side *to)
{
    bw_block *block;
    CHECK_EQ(bw_tls_stream_take(from->stream, &block), BW_OK);
    if (block == NULL) return 0;
    size_t size = block->size;
    // In two parts: what a socket gives ends anywhere.
    CHECK_EQ(bw_tls_stream_feed(to->stream, block->bytes, size / 2), BW_OK);
    if (to->status == BW_EMPTY) to->status = bw_tls_stream_handshake(to->stream, &to->error);
    CHECK_EQ(bw_tls_stream_feed(to->stream, block->bytes + size / 2, size - size / 2), BW_OK);
    bw_block_free(block);
    return size;
}

static void
open_side(side *side, const char *folder, const char *name, const char *authority, bool dials)
{
    side->tls = load(folder, name, authority);
    CHECK_EQ(bw_tls_stream_new(side->tls, dials, &side->stream), BW_OK);
    side->status = bw_tls_stream_handshake(side->stream, &side->error);
    CHECK_EQ(side->status, BW_EMPTY);
}

static void
close_side(side *side)
{
    bw_tls_stream_free(side->stream);
    bw_tls_free(side->tls);
}

static void
shake_hands(side *dialer, side *acceptor)
{
    for (int i = 0; i < 10; i++) {
        carry(dialer, acceptor);
        if (acceptor->status == BW_EMPTY) {
            acceptor->status = bw_tls_stream_handshake(acceptor->stream, &acceptor->error);
        }
        carry(acceptor, dialer);
        if (dialer->status == BW_EMPTY) {
            dialer->status = bw_tls_stream_handshake(dialer->stream, &dialer->error);
        }
    }
}

static void
expect(side *side, const uint8_t *bytes, size_t size)
{
    uint8_t *got = malloc(size + 1);
    size_t count = 0, part;
    bw_error error;
    while (count < size) {
        CHECK_EQ(bw_tls_stream_read(side->stream, got + count, size + 1 - count, &part, &error), BW_OK);
        count += part;
    }
    CHECK_EQ(count, size);
    CHECK(memcmp(got, bytes, size) == 0);
    CHECK_EQ(bw_tls_stream_read(side->stream, got, 1, &part, &error), BW_EMPTY);
    free(got);
}

static void
both_ends_of_a_connection_know_what_no_other_does(void)
{
    char folder[64];
    bw_certificates_make(folder);
    uint8_t bindings[2][2][BW_BINDING_BYTES];
    for (int i = 0; i < 2; i++) {
        side dialer, acceptor;
        open_side(&dialer, folder, "one", "ca", true);
        open_side(&acceptor, folder, "two", "ca", false);
        shake_hands(&dialer, &acceptor);
        CHECK_EQ(bw_tls_stream_binding(dialer.stream, bindings[i][0]), BW_OK);
        CHECK_EQ(bw_tls_stream_binding(acceptor.stream, bindings[i][1]), BW_OK);
        CHECK(memcmp(bindings[i][0], bindings[i][1], BW_BINDING_BYTES) == 0);
        close_side(&dialer);
        close_side(&acceptor);
    }
    CHECK(memcmp(bindings[0][0], bindings[1][0], BW_BINDING_BYTES) != 0);
    bw_certificates_remove(folder);
}

static void
bytes_pass_both_ways_and_none_in_clear(void)
{
    char folder[64];
    bw_certificates_make(folder);
    side one, two;
    open_side(&one, folder, "one", "ca", true);
    open_side(&two, folder, "two", "ca", false);
    shake_hands(&one, &two);
    CHECK_EQ(one.status, BW_OK);
    CHECK_EQ(two.status, BW_OK);

    size_t size = 1 << 20;
    uint8_t *bytes = malloc(size);
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(i * 7 + i / 251);
    memcpy(bytes, "the item in clear", sizeof "the item in clear");
    CHECK_EQ(bw_tls_stream_write(one.stream, bytes, size), BW_OK);
    bw_block *block;
    CHECK_EQ(bw_tls_stream_take(one.stream, &block), BW_OK);
    CHECK(block != NULL && block->size > size);
    CHECK(memmem(block->bytes, block->size, "the item", 8) == NULL);
    CHECK_EQ(bw_tls_stream_feed(two.stream, block->bytes, block->size), BW_OK);
    bw_block_free(block);
    expect(&two, bytes, size);

    CHECK_EQ(bw_tls_stream_write(two.stream, bytes, 100), BW_OK);
    CHECK(carry(&two, &one) > 100);
    expect(&one, bytes, 100);
    free(bytes);
    close_side(&one);
    close_side(&two);
    bw_certificates_remove(folder);
}

static void
keys_may_change(void)
{
    char folder[64];
    bw_certificates_make(folder);
    side one, two;
    open_side(&one, folder, "one", "ca", true);
    open_side(&two, folder, "two", "ca", false);
    shake_hands(&one, &two);
    for (uint8_t i = 0; i < 3; i++) {
        CHECK_EQ(bw_tls_stream_rekey(one.stream), BW_OK);
        CHECK_EQ(bw_tls_stream_write(one.stream, &i, 1), BW_OK);
        carry(&one, &two);
        expect(&two, &i, 1);
        CHECK_EQ(bw_tls_stream_write(two.stream, &i, 1), BW_OK);
        carry(&two, &one);
        expect(&one, &i, 1);
    }
    close_side(&one);
    close_side(&two);
    bw_certificates_remove(folder);
}

static void
who_closes_is_heard(void)
{
    char folder[64];
    bw_certificates_make(folder);
    side one, two;
    open_side(&one, folder, "one", "ca", true);
    open_side(&two, folder, "two", "ca", false);
    shake_hands(&one, &two);
    CHECK_EQ(bw_tls_stream_write(one.stream, "last", 4), BW_OK);
    bw_tls_stream_close(one.stream);
    carry(&one, &two);
    uint8_t bytes[16];
    size_t got;
    CHECK_EQ(bw_tls_stream_read(two.stream, bytes, sizeof bytes, &got, &two.error), BW_OK);
    CHECK_EQ(got, 4);
    CHECK_EQ(bw_tls_stream_read(two.stream, bytes, sizeof bytes, &got, &two.error), BW_CLOSED);
    close_side(&one);
    close_side(&two);
    bw_certificates_remove(folder);
}

static void
a_changed_byte_is_noticed(void)
{
    char folder[64];
    bw_certificates_make(folder);
    side one, two;
    open_side(&one, folder, "one", "ca", true);
    open_side(&two, folder, "two", "ca", false);
    shake_hands(&one, &two);
    CHECK_EQ(bw_tls_stream_write(one.stream, "good", 4), BW_OK);
    carry(&one, &two);
    CHECK_EQ(bw_tls_stream_write(one.stream, "bad", 3), BW_OK);
    bw_block *block;
    CHECK_EQ(bw_tls_stream_take(one.stream, &block), BW_OK);
    block->bytes[block->size - 1] ^= 1;
    CHECK_EQ(bw_tls_stream_feed(two.stream, block->bytes, block->size), BW_OK);
    bw_block_free(block);
    uint8_t bytes[16];
    size_t got;
    CHECK_EQ(bw_tls_stream_read(two.stream, bytes, sizeof bytes, &got, &two.error), BW_OK);
    CHECK_EQ(got, 4);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(bw_tls_stream_read(two.stream, bytes, sizeof bytes, &got, &two.error), BW_ECORRUPT);
        CHECK(strcmp(two.error.text, "TLS: decryption failed or bad record mac") == 0);
    }
    close_side(&one);
    close_side(&two);
    bw_certificates_remove(folder);
}

/// Has `dialer` and `acceptor` meet; what each says must hold the texts, "" for who notices nothing within
/// its handshake.
static void
meet(const char *folder, const char *dialer, const char *authority, const char *acceptor,
     const char *dialer_error, const char *acceptor_error)
{
    side one, two;
    open_side(&one, folder, dialer, authority, true);
    open_side(&two, folder, acceptor, "ca", false);
    shake_hands(&one, &two);
    if (dialer_error[0] != 0) {
        CHECK_EQ(one.status, BW_ECORRUPT);
        CHECK(strstr(one.error.text, dialer_error) != NULL);
    }
    CHECK_EQ(two.status, BW_ECORRUPT);
    CHECK(strstr(two.error.text, acceptor_error) != NULL);
    if (one.status ==
        BW_OK) {  // by TLS 1.3 it is through before the other has looked at its certificate
        uint8_t byte;
        size_t got;
        CHECK_EQ(bw_tls_stream_read(one.stream, &byte, 1, &got, &one.error), BW_ECORRUPT);
        CHECK(strstr(one.error.text, "alert") != NULL);
    }
    close_side(&one);
    close_side(&two);
}

static void
only_certificates_of_the_authority_are_let_in(void)
{
    char folder[64];
    bw_certificates_make(folder);
    meet(folder, "foreign", "ca", "two", "",
         "certificate verify failed: unable to get local issuer certificate");
    meet(folder, "old", "ca", "two", "", "certificate verify failed: certificate has expired");
    meet(folder, "one", "other", "two", "unable to get local issuer certificate", "alert unknown ca");
    meet(folder, "one", "ca", "old", "certificate has expired", "alert certificate expired");
    bw_certificates_remove(folder);
}

static void
who_speaks_no_tls_is_noticed(void)
{
    char folder[64];
    bw_certificates_make(folder);
    side two;
    open_side(&two, folder, "two", "ca", false);
    CHECK_EQ(bw_tls_stream_feed(two.stream, "GET / HTTP/1.1\r\n\r\n", 18), BW_OK);
    CHECK_EQ(bw_tls_stream_handshake(two.stream, &two.error), BW_ECORRUPT);
    CHECK(strcmp(two.error.text, "TLS: http request") == 0);
    close_side(&two);
    bw_certificates_remove(folder);
}

static void
refuse(const char *cert, const char *key, const char *ca, const char *text)
{
    bw_tls *tls;
    bw_error error = {""};
    CHECK_EQ(bw_tls_new(cert, key, ca, &tls, &error), BW_EINVAL);
    if (strstr(error.text, text) == NULL) {
        fprintf(stderr, "got: %s\nnot: %s\n", error.text, text);
        exit(1);
    }
}

static void
files_that_dont_fit_are_named(void)
{
    char folder[64], cert[128], key[128], ca[128], other[128], none[128];
    bw_certificates_make(folder);
    path_in(folder, "one.pem", cert);
    path_in(folder, "one.key", key);
    path_in(folder, "two.key", other);
    path_in(folder, "ca.pem", ca);
    path_in(folder, "none", none);
    char text[400];
    snprintf(text, sizeof text, "can't read the TLS certificate '%s': No such file or directory", none);
    refuse(none, key, ca, text);
    snprintf(text, sizeof text, "can't read the TLS key '%s': No such file or directory", none);
    refuse(cert, none, ca, text);
    snprintf(text, sizeof text, "can't read the TLS CA '%s': Is a directory", folder);
    refuse(cert, key, folder, text);
    snprintf(text, sizeof text, "can't use '%s' as the TLS certificate, in PEM form: no start line",
             key);
    refuse(key, key, ca, text);
    snprintf(text, sizeof text,
             "can't use '%s' as the TLS key (without a passphrase), in PEM form: ", cert);
    refuse(cert, cert, ca, text);
    snprintf(text, sizeof text, "can't use '%s' as the TLS CA, in PEM form: ", key);
    refuse(cert, key, key, text);
    snprintf(text, sizeof text, "the TLS key '%s' is not that of the certificate '%s'", other, cert);
    refuse(cert, other, ca, text);
    refuse(cert, key, "/dev/null", "can't use '/dev/null' as the TLS CA, in PEM form: ");
    bw_certificates_remove(folder);
}

TEST_MAIN(TEST(both_ends_of_a_connection_know_what_no_other_does),
          TEST(bytes_pass_both_ways_and_none_in_clear), TEST(keys_may_change), TEST(who_closes_is_heard),
          TEST(a_changed_byte_is_noticed), TEST(only_certificates_of_the_authority_are_let_in),
          TEST(who_speaks_no_tls_is_noticed), TEST(files_that_dont_fit_are_named))
