#include "net/handshake.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define MAGIC "bytewax\n"
#define MAGIC_BYTES 8
#define VERSION_BYTES 12  // magic and version, which no version may move

// The two halves of `security` in a HELLO.
#define SECURITY_SECRET 1u
#define SECURITY_TLS 2u

// ---- HELLO

typedef struct hello {
    uint32_t version, security, process, peer, processes, workers, steps;
    uint64_t graph_hash;
} hello;

static uint32_t
own_security(const bw_net_settings *settings)
{
    return (settings->secret_size > 0 ? SECURITY_SECRET : 0) |
           (settings->tls_cert != NULL ? SECURITY_TLS : 0);
}

static void
write_hello(const bw_net_settings *settings, uint32_t peer, uint8_t *at)
{
    memcpy(at, MAGIC, MAGIC_BYTES);
    bw_put_u32(at + 8, BW_PROTOCOL_VERSION);
    bw_put_u32(at + 12, own_security(settings));
    bw_put_u32(at + 16, settings->process_index);
    bw_put_u32(at + 20, peer);
    bw_put_u32(at + 24, settings->process_count);
    bw_put_u32(at + 28, settings->workers_per_process);
    bw_put_u32(at + 32, settings->step_count);
    bw_put_u64(at + 36, settings->graph_hash);
    // The nonce follows; bw_handshake_init() has put it there.
}

#define NONCE_AT (BW_HELLO_BYTES - BW_NONCE_BYTES)

static hello
read_hello(const uint8_t *at)
{
    return (hello){.version = bw_get_u32(at + 8),
                   .security = bw_get_u32(at + 12),
                   .process = bw_get_u32(at + 16),
                   .peer = bw_get_u32(at + 20),
                   .processes = bw_get_u32(at + 24),
                   .workers = bw_get_u32(at + 28),
                   .steps = bw_get_u32(at + 32),
                   .graph_hash = bw_get_u64(at + 36)};
}

// ---- blocks to send

static bw_block *
make_frame(bw_frame_kind kind, const void *payload, size_t size)
{
    bw_block *block = bw_block_new(BW_FRAME_HEAD + size);
    if (block == NULL) return NULL;
    bw_frame_put_head(block->bytes, kind, 0, (uint32_t)size);
    if (size > 0) memcpy(block->bytes + BW_FRAME_HEAD, payload, size);
    block->size = (uint32_t)(BW_FRAME_HEAD + size);
    return block;
}

static void
append(bw_block **chain, bw_block *block)
{
    while (*chain != NULL) chain = &(*chain)->next;
    *chain = block;
}

// ---- proofs and keys

/// What a proof or a key holds for: its purpose, all that both have said of themselves, and the connection under it. Each is
/// of one size, so nothing different gives the same bytes.
typedef struct scope {
    char purpose[32];
    uint8_t dialer[BW_HELLO_BYTES], acceptor[BW_HELLO_BYTES];
    uint8_t binding[BW_BINDING_BYTES];
} scope;
static_assert(sizeof(scope) == 32 + 2 * BW_HELLO_BYTES + BW_BINDING_BYTES, "bytes of no meaning");

/// HMAC under the secret.
static bw_status
derive(const bw_handshake *handshake, const char *purpose, uint8_t out[BW_HMAC_BYTES])
{
    scope scope = {.purpose = ""};
    BW_ASSERT(strlen(purpose) < sizeof scope.purpose);
    memcpy(scope.purpose, purpose, strlen(purpose));
    memcpy(scope.dialer, handshake->dials ? handshake->own : handshake->theirs, BW_HELLO_BYTES);
    memcpy(scope.acceptor, handshake->dials ? handshake->theirs : handshake->own, BW_HELLO_BYTES);
    memcpy(scope.binding, handshake->binding, BW_BINDING_BYTES);
    uint8_t key[BW_KEY_BYTES];
    const bw_net_settings *settings = handshake->settings;
    bw_status status = bw_crypto_key(settings->secret, settings->secret_size, key);
    if (status == BW_OK) {
        status = bw_crypto_hmac(key, sizeof key, (const uint8_t *)&scope, sizeof scope, out);
    }
    bw_crypto_cleanse(key, sizeof key);
    return status;
}

static bw_status
derive_proof(const bw_handshake *handshake, bool of_dialer, uint8_t out[BW_HMAC_BYTES])
{
    return derive(handshake, of_dialer ? "bytewax 1 proof dialer" : "bytewax 1 proof acceptor", out);
}

static bw_status
derive_key(const bw_handshake *handshake, bool of_dialer, uint8_t out[BW_KEY_BYTES])
{
    static_assert(BW_KEY_BYTES == BW_HMAC_BYTES, "an HMAC is a key");
    return derive(handshake, of_dialer ? "bytewax 1 key dialer" : "bytewax 1 key acceptor", out);
}

static bw_block *
make_auth(bw_handshake *handshake)
{
    uint8_t proof[BW_HMAC_BYTES];
    bool has_secret = handshake->settings->secret_size > 0;
    bw_status status = has_secret ? derive_proof(handshake, handshake->dials, proof) : BW_OK;
    bw_block *block =
        status == BW_OK ? make_frame(BW_FRAME_AUTH, proof, has_secret ? BW_HMAC_BYTES : 0) : NULL;
    if (block == NULL) {
        bw_error_set(&handshake->why, "%s", bw_status_text(status == BW_OK ? BW_ENOMEM : status));
    }
    return block;
}

// ---- what does not fit

static void add_reason(bw_error *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
add_reason(bw_error *why, const char *format, ...)
{
    size_t used = strlen(why->text);
    if (used > 0 && used + 2 < sizeof why->text) {
        memcpy(why->text + used, "; ", 3);
        used += 2;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why->text + used, sizeof why->text - used, format, arguments);
    va_end(arguments);
}

static const char *
security_text(uint32_t security)
{
    static const char *const TEXTS[] = {"neither secret nor TLS", "a secret", "TLS", "TLS and a secret"};
    return security < 4 ? TEXTS[security] : "something unknown";
}

/// Version and security, which decide how the rest is to be read. Sets `why` and returns false if they differ.
static bool
speaks_alike(bw_handshake *handshake, const bw_frame *frame)
{
    uint32_t own = handshake->settings->process_index;
    uint32_t version = bw_get_u32(frame->payload + MAGIC_BYTES);
    if (version != BW_PROTOCOL_VERSION) {
        // In another version the index may stand elsewhere, so the text can't name who dialled.
        bw_error_set(&handshake->why,
                     "the versions of the protocol differ: process %" PRIu32
                     " speaks %u, the one it met speaks %" PRIu32,
                     own, BW_PROTOCOL_VERSION, version);
        return false;
    }
    hello theirs = read_hello(frame->payload);
    uint32_t security = own_security(handshake->settings);
    if (theirs.security != security) {
        bw_error_set(&handshake->why,
                     "the security differs: process %" PRIu32 " is set up with %s, process %" PRIu32
                     " with %s",
                     own, security_text(security), theirs.process, security_text(theirs.security));
        return false;
    }
    return true;
}

static void
compare_indices(const bw_handshake *handshake, const hello *dialer, const hello *acceptor, bw_error *why)
{
    if (dialer->process == acceptor->process) {
        add_reason(why, "there are two processes with index %" PRIu32 ", or it dialled itself",
                   dialer->process);
    } else if (dialer->peer != acceptor->process) {
        add_reason(why,
                   "process %" PRIu32 " dialled process %" PRIu32 " and reached process %" PRIu32
                   ": their lists of addresses differ",
                   dialer->process, dialer->peer, acceptor->process);
    } else if (dialer->process < acceptor->process) {
        add_reason(why, "process %" PRIu32 " dialled process %" PRIu32 ", which should dial it",
                   dialer->process, acceptor->process);
    } else if (dialer->process >= handshake->settings->process_count) {
        add_reason(why, "there is no process %" PRIu32 " among %" PRIu32, dialer->process,
                   handshake->settings->process_count);
    }
}

/// What differs between the two HELLOs, in words that are true on either side; "" if nothing does.
static void
compare(const bw_handshake *handshake, bw_error *why)
{
    why->text[0] = '\0';
    hello a = read_hello(handshake->own), b = read_hello(handshake->theirs);
    if (a.processes != b.processes) {
        add_reason(why,
                   "the process counts differ: process %" PRIu32 " knows of %" PRIu32
                   ", process %" PRIu32 " of %" PRIu32,
                   a.process, a.processes, b.process, b.processes);
    }
    if (a.workers != b.workers) {
        add_reason(why,
                   "the worker counts differ: process %" PRIu32 " runs %" PRIu32 ", process %" PRIu32
                   " runs %" PRIu32,
                   a.process, a.workers, b.process, b.workers);
    }
    if (a.steps != b.steps || a.graph_hash != b.graph_hash) {
        add_reason(why,
                   "the dataflows differ: that of process %" PRIu32 " has %" PRIu32
                   " steps (hash %016" PRIx64 "), that of process %" PRIu32 " has %" PRIu32
                   " (hash %016" PRIx64 ")",
                   a.process, a.steps, a.graph_hash, b.process, b.steps, b.graph_hash);
    }
    compare_indices(handshake, handshake->dials ? &a : &b, handshake->dials ? &b : &a, why);
}

// ---- the states

void
bw_handshake_init(bw_handshake *handshake, const bw_net_settings *settings, uint32_t process,
                  const uint8_t nonce[BW_NONCE_BYTES])
{
    *handshake = (bw_handshake){.settings = settings,
                                .state = BW_HANDSHAKE_NEEDS_HELLO,
                                .dials = process != BW_PROCESS_NONE,
                                .process = process};
    memcpy(handshake->own + NONCE_AT, nonce, BW_NONCE_BYTES);
}

bw_block *
bw_handshake_start(bw_handshake *handshake)
{
    BW_ASSERT(handshake->dials && handshake->state == BW_HANDSHAKE_NEEDS_HELLO);
    write_hello(handshake->settings, handshake->process, handshake->own);
    return make_frame(BW_FRAME_HELLO, handshake->own, BW_HELLO_BYTES);
}

static bw_handshake_step
end(bw_handshake *handshake, bw_handshake_step verdict)
{
    handshake->state = BW_HANDSHAKE_OVER;
    return verdict;
}

static bw_handshake_step
turn_away(bw_handshake *handshake, const char *why)
{
    bw_error_set(&handshake->why, "%s", why);
    return end(handshake, BW_HANDSHAKE_STRANGER);
}

/// Says `why` to the peer, if there is memory for it.
static bw_block *
make_refuse(const bw_handshake *handshake)
{
    return make_frame(BW_FRAME_REFUSE, handshake->why.text, strlen(handshake->why.text));
}

/// The verdict on who differs in what can be seen before any proof: a stranger, where a secret is to be proven,
/// unless we chose to speak to it.
static bw_handshake_step
unproven_mismatch(const bw_handshake *handshake)
{
    bool has_secret = handshake->settings->secret_size > 0;
    return has_secret && !handshake->dials ? BW_HANDSHAKE_STRANGER : BW_HANDSHAKE_FAILED;
}

static bw_handshake_step
take_hello(bw_handshake *handshake, const bw_frame *frame, bw_block **reply)
{
    bool is_hello = frame->kind == BW_FRAME_HELLO && frame->size >= VERSION_BYTES &&
                    memcmp(frame->payload, MAGIC, MAGIC_BYTES) == 0;
    bool is_ours = is_hello && bw_get_u32(frame->payload + MAGIC_BYTES) == BW_PROTOCOL_VERSION;
    if (!is_hello || (is_ours && frame->size != BW_HELLO_BYTES)) {
        return turn_away(handshake, "it does not speak the protocol of the cluster");
    }
    uint32_t peer = handshake->process;
    if (is_ours) {
        memcpy(handshake->theirs, frame->payload, BW_HELLO_BYTES);
        if (!handshake->dials) peer = handshake->process = read_hello(handshake->theirs).process;
    }
    bool fits = speaks_alike(handshake, frame);
    if (!handshake->dials) {
        write_hello(handshake->settings, peer, handshake->own);
        append(reply, make_frame(BW_FRAME_HELLO, handshake->own, BW_HELLO_BYTES));
        if (*reply == NULL) return turn_away(handshake, bw_status_text(BW_ENOMEM));
    }
    if (!fits) {
        if (!handshake->dials) append(reply, make_refuse(handshake));
        return end(handshake, unproven_mismatch(handshake));
    }
    handshake->state = BW_HANDSHAKE_NEEDS_AUTH;
    if (handshake->dials) {
        *reply = make_auth(handshake);
        if (*reply == NULL) return end(handshake, BW_HANDSHAKE_STRANGER);
    }
    return BW_HANDSHAKE_WAITS;
}

/// What the peer says of why it turns us away: bytes from outside, shown to the user.
static bw_handshake_step
take_refuse(bw_handshake *handshake, const bw_frame *frame)
{
    char text[400];
    size_t size = frame->size < sizeof text - 1 ? frame->size : sizeof text - 1;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = frame->payload[i];
        text[i] = byte >= 0x20 && byte < 0x7f ? (char)byte : '?';
    }
    text[size] = '\0';
    bw_error_set(&handshake->why, "it refused this process: %s", text);
    return end(handshake, BW_HANDSHAKE_FAILED);
}

/// BW_EINVAL: the proof is wrong.
static bw_status
check_proof(const bw_handshake *handshake, const bw_frame *frame)
{
    if (handshake->settings->secret_size == 0) return BW_OK;
    uint8_t proof[BW_HMAC_BYTES];
    if (frame->size != BW_HMAC_BYTES) return BW_EINVAL;
    bw_status status = derive_proof(handshake, !handshake->dials, proof);
    if (status != BW_OK) return status;
    return bw_crypto_equal(proof, frame->payload, BW_HMAC_BYTES) ? BW_OK : BW_EINVAL;
}

static bw_handshake_step
take_auth(bw_handshake *handshake, const bw_frame *frame, bw_block **reply)
{
    bool has_secret = handshake->settings->secret_size > 0;
    if (frame->kind != BW_FRAME_AUTH || (!has_secret && frame->size != 0)) {
        return turn_away(handshake, "it breaks the protocol");
    }
    bw_status status = check_proof(handshake, frame);
    if (status != BW_OK && status != BW_EINVAL) return turn_away(handshake, bw_status_text(status));
    if (status == BW_EINVAL) {
        bw_error_set(&handshake->why,
                     "the secrets of the cluster differ: process %" PRIu32
                     " does not know that of process %" PRIu32,
                     handshake->process, handshake->settings->process_index);
        if (handshake->dials) return end(handshake, BW_HANDSHAKE_FAILED);
        *reply = make_refuse(handshake);
        return end(handshake, BW_HANDSHAKE_STRANGER);
    }
    compare(handshake, &handshake->why);
    if (handshake->why.text[0] != '\0') {
        if (!handshake->dials) *reply = make_refuse(handshake);
        return end(handshake, BW_HANDSHAKE_FAILED);
    }
    if (handshake->dials) return end(handshake, BW_HANDSHAKE_DONE);
    handshake->state = BW_HANDSHAKE_NEEDS_ANSWER;
    return BW_HANDSHAKE_ASKS;
}

bw_handshake_step
bw_handshake_take(bw_handshake *handshake, const bw_frame *frame, bw_block **reply)
{
    *reply = NULL;
    if (frame->flags != 0) return turn_away(handshake, "it breaks the protocol");
    bool is_refused = handshake->dials && frame->kind == BW_FRAME_REFUSE;
    switch (handshake->state) {
    case BW_HANDSHAKE_NEEDS_HELLO:
        return take_hello(handshake, frame, reply);
    case BW_HANDSHAKE_NEEDS_AUTH:
        return is_refused ? take_refuse(handshake, frame) : take_auth(handshake, frame, reply);
    case BW_HANDSHAKE_NEEDS_ANSWER:
    case BW_HANDSHAKE_OVER:
        break;
    }
    BW_ASSERT(!"a frame for a handshake that waits for none");
    return BW_HANDSHAKE_STRANGER;
}

bw_block *
bw_handshake_accept(bw_handshake *handshake)
{
    BW_ASSERT(handshake->state == BW_HANDSHAKE_NEEDS_ANSWER);
    handshake->state = BW_HANDSHAKE_OVER;
    return make_auth(handshake);
}

bw_block *
bw_handshake_refuse(bw_handshake *handshake, const char *why)
{
    BW_ASSERT(handshake->state == BW_HANDSHAKE_NEEDS_ANSWER);
    handshake->state = BW_HANDSHAKE_OVER;
    bw_error_set(&handshake->why, "%s", why);
    return make_refuse(handshake);
}

bool
bw_handshake_has_keys(const bw_handshake *handshake)
{
    return own_security(handshake->settings) == SECURITY_SECRET;  // TLS protects by itself
}

bw_status
bw_handshake_keys(const bw_handshake *handshake, uint8_t send[BW_KEY_BYTES],
                  uint8_t receive[BW_KEY_BYTES])
{
    bw_status status = derive_key(handshake, handshake->dials, send);
    return status == BW_OK ? derive_key(handshake, !handshake->dials, receive) : status;
}
