#include "net/tls.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "base/assert.h"

// One key of AES-GCM is good for 2^24.5 records of TLS (RFC 8446, 5.5), 380 GB in full ones: far less here.
#define REKEY_BYTES (UINT64_C(32) << 30)

struct bw_tls {
    SSL_CTX *context;
};

struct bw_tls_stream {
    SSL *ssl;
    BIO *in, *out;           // owned by `ssl`
    uint64_t written_bytes;  // under the present key
    bool is_broken;          // by the peer, for the reason in `error`
    bw_error error;
};

// ---- certificates

/// The reason that OpenSSL gives for what failed last; its queue is empty then.
static void
set_reason(bw_error *error, const char *otherwise)
{
    unsigned long code = ERR_get_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    bw_error_set(error, "%s", reason != NULL ? reason : otherwise);
    ERR_clear_error();
}

/// Sees that a file can be read at all, for a message of the system: OpenSSL's speaks of its own routines.
static bw_status
check_readable(const char *what, const char *path, bw_error *error)
{
    int number = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        number = errno;
    } else {
        if (fgetc(file) == EOF && ferror(file)) number = errno;
        fclose(file);
    }
    if (number == 0) return BW_OK;
    bw_error reason;
    bw_error_set_errno(&reason, number);
    bw_error_set(error, "can't read the TLS %s '%.300s': %.120s", what, path, reason.text);
    return BW_EINVAL;
}

static bw_status
misfit(const char *what, const char *path, bw_error *error)
{
    bw_error reason;
    set_reason(&reason, "it is something else");
    bw_error_set(error, "can't use '%.260s' as the TLS %s, in PEM form: %.120s", path, what,
                 reason.text);
    return BW_EINVAL;
}

/// A key under a passphrase is refused: by default OpenSSL would ask for it on the terminal.
static int
no_passphrase(char *buffer, int size, int for_writing, void *user)
{
    (void)buffer, (void)size, (void)for_writing, (void)user;
    return -1;
}

static bw_status
load_files(SSL_CTX *context, const char *cert, const char *key, const char *ca, bw_error *error)
{
    bw_status status = check_readable("certificate", cert, error);
    if (status == BW_OK) status = check_readable("key", key, error);
    if (status == BW_OK) status = check_readable("CA", ca, error);
    if (status != BW_OK) return status;
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1)
        return misfit("certificate", cert, error);
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        // It compares the two at once: which is a fault of neither alone.
        if (ERR_GET_REASON(ERR_peek_error()) != X509_R_KEY_VALUES_MISMATCH &&
            ERR_GET_REASON(ERR_peek_error()) != X509_R_KEY_TYPE_MISMATCH)
            return misfit("key (without a passphrase)", key, error);
        ERR_clear_error();
        bw_error_set(error, "the TLS key '%.200s' is not that of the certificate '%.200s'", key, cert);
        return BW_EINVAL;
    }
    if (SSL_CTX_load_verify_locations(context, ca, NULL) != 1) return misfit("CA", ca, error);
    return BW_OK;
}

bw_status
bw_tls_new(const char *cert, const char *key, const char *ca, bw_tls **out, bw_error *error)
{
    *out = NULL;
    ERR_clear_error();
    bw_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) goto no_memory;
    tls->context = SSL_CTX_new(TLS_method());
    if (tls->context == NULL) goto no_memory;
    SSL_CTX_set_min_proto_version(tls->context, TLS1_3_VERSION);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    // No connection is resumed: each proves itself anew, and nobody needs tickets.
    SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(tls->context, 0);
    SSL_CTX_set_mode(tls->context, SSL_MODE_NO_AUTO_CHAIN);  // the peer has the CA
    SSL_CTX_set_default_passwd_cb(tls->context, no_passphrase);
    bw_status status = load_files(tls->context, cert, key, ca, error);
    if (status != BW_OK) {
        bw_tls_free(tls);
        return status;
    }
    *out = tls;
    return BW_OK;

no_memory:
    bw_tls_free(tls);
    bw_error_set(error, "%s", bw_status_text(BW_ENOMEM));
    return BW_ENOMEM;
}

void
bw_tls_free(bw_tls *tls)
{
    if (tls == NULL) return;
    SSL_CTX_free(tls->context);
    free(tls);
}

// ---- one connection

bw_status
bw_tls_stream_new(bw_tls *tls, bool dials, bw_tls_stream **out)
{
    *out = NULL;
    bw_tls_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) return BW_ENOMEM;
    stream->ssl = SSL_new(tls->context);
    if (stream->ssl == NULL) goto free_stream;
    stream->in = BIO_new(BIO_s_mem());
    stream->out = BIO_new(BIO_s_mem());
    if (stream->in == NULL || stream->out == NULL) goto free_bios;
    SSL_set_bio(stream->ssl, stream->in, stream->out);
    if (dials) {
        SSL_set_connect_state(stream->ssl);
    } else {
        SSL_set_accept_state(stream->ssl);
    }
    *out = stream;
    return BW_OK;

free_bios:
    BIO_free(stream->in);
    BIO_free(stream->out);
    SSL_free(stream->ssl);
free_stream:
    free(stream);
    ERR_clear_error();
    return BW_ENOMEM;
}

void
bw_tls_stream_free(bw_tls_stream *stream)
{
    if (stream == NULL) return;
    SSL_free(stream->ssl);
    free(stream);
}

bw_status
bw_tls_stream_feed(bw_tls_stream *stream, const void *bytes, size_t size)
{
    BW_ASSERT(size <= INT_MAX);
    if (BIO_write(stream->in, bytes, (int)size) == (int)size) return BW_OK;
    ERR_clear_error();
    return BW_ENOMEM;
}

bw_status
bw_tls_stream_take(bw_tls_stream *stream, bw_block **out)
{
    *out = NULL;
    size_t size = BIO_ctrl_pending(stream->out);
    if (size == 0) return BW_OK;
    bw_block *block = bw_block_new(size);
    if (block == NULL) return BW_ENOMEM;
    int read = BIO_read(stream->out, block->bytes, (int)size);
    BW_ASSERT(read == (int)size);
    block->size = (uint32_t)size;
    *out = block;
    return BW_OK;
}

/// What became of a call that answered `result`. An error stays: OpenSSL tells its reason only once.
static bw_status
judge(bw_tls_stream *stream, int result)
{
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_NONE:
        return BW_OK;
    case SSL_ERROR_WANT_READ:
        return BW_EMPTY;
    case SSL_ERROR_ZERO_RETURN:
        return BW_CLOSED;
    default:
        break;
    }
    long verified = SSL_get_verify_result(stream->ssl);
    bw_error reason;
    set_reason(&reason, "protocol error");
    if (verified == X509_V_OK) {
        bw_error_set(&stream->error, "TLS: %.200s", reason.text);
    } else {
        bw_error_set(&stream->error, "TLS: %.200s: %.200s", reason.text,
                     X509_verify_cert_error_string(verified));
    }
    stream->is_broken = true;
    return BW_ECORRUPT;
}

bw_status
bw_tls_stream_handshake(bw_tls_stream *stream, bw_error *error)
{
    ERR_clear_error();
    bw_status status = judge(stream, SSL_do_handshake(stream->ssl));
    if (status == BW_CLOSED) {
        bw_error_set(&stream->error, "TLS: the peer closed within the handshake");
        status = BW_ECORRUPT;
    }
    if (status == BW_ECORRUPT) *error = stream->error;
    return status;
}

bw_status
bw_tls_stream_read(bw_tls_stream *stream, uint8_t *bytes, size_t capacity, size_t *out, bw_error *error)
{
    *out = 0;
    bw_status status = stream->is_broken ? BW_ECORRUPT : BW_OK;
    while (status == BW_OK && *out < capacity) {
        ERR_clear_error();
        size_t part = 0;
        status = judge(stream, SSL_read_ex(stream->ssl, bytes + *out, capacity - *out, &part));
        *out += part;
    }
    // What came before the end or the error is good, and the next call meets the same again.
    if (*out > 0) return BW_OK;
    if (status == BW_ECORRUPT) *error = stream->error;
    return status;
}

bw_status
bw_tls_stream_binding(bw_tls_stream *stream, uint8_t out[BW_BINDING_BYTES])
{
    static const char LABEL[] = "EXPORTER-bytewax";  // RFC 5705
    if (SSL_export_keying_material(stream->ssl, out, BW_BINDING_BYTES, LABEL, sizeof LABEL - 1, NULL, 0,
                                   0) == 1)
        return BW_OK;
    ERR_clear_error();
    return BW_EIO;
}

bw_status
bw_tls_stream_rekey(bw_tls_stream *stream)
{
    stream->written_bytes = 0;
    if (SSL_key_update(stream->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1) return BW_OK;
    ERR_clear_error();
    return BW_ENOMEM;
}

bw_status
bw_tls_stream_write(bw_tls_stream *stream, const void *bytes, size_t size)
{
    if (stream->written_bytes >= REKEY_BYTES) {
        bw_status status = bw_tls_stream_rekey(stream);
        if (status != BW_OK) return status;
    }
    if (size == 0) return BW_OK;
    ERR_clear_error();
    size_t written;
    // Into memory: it can neither block nor stop half-way.
    if (SSL_write_ex(stream->ssl, bytes, size, &written) != 1) {
        ERR_clear_error();
        return BW_ENOMEM;
    }
    BW_ASSERT(written == size);
    stream->written_bytes += size;
    return BW_OK;
}

void
bw_tls_stream_close(bw_tls_stream *stream)
{
    ERR_clear_error();
    if (SSL_is_init_finished(stream->ssl)) SSL_shutdown(stream->ssl);
    ERR_clear_error();
}
