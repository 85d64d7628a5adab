// handshake.h - what two processes say before all else, so that each knows whom it speaks to. No time and no network:
// frames in, blocks and verdicts out.
//
//     who dials                         who is dialled
//        HELLO  ------------------------>              who begins otherwise gets no answer
//               <------------------------  HELLO
//        AUTH   ------------------------>              proof first, then what the two HELLOs say is compared
//               <------------------------  AUTH        or REFUSE: why not
//
//     HELLO    "bytewax\n" | u32 version | u32 security | u32 process | u32 peer | u32 processes
//              | u32 workers per process | u32 steps | u64 graph hash | 32 random bytes
//     AUTH     with a secret: HMAC-SHA-256 under a key made of it, over who speaks, both HELLOs
//              and what TLS binds the connection by; else empty
//     REFUSE   text
//
// Each frame is a record of its own, without a tag. The random bytes make each proof good for one connection only.
#ifndef BW_NET_HANDSHAKE_H
#define BW_NET_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/block.h"
#include "base/error.h"
#include "base/status.h"
#include "net/crypto.h"
#include "net/frame.h"
#include "net/settings.h"

#define BW_PROTOCOL_VERSION 1
#define BW_NONCE_BYTES 32
#define BW_HELLO_BYTES 76
#define BW_HANDSHAKE_BYTES 1024  // longest record of a handshake
#define BW_PROCESS_NONE UINT32_MAX

typedef enum bw_handshake_step {
    BW_HANDSHAKE_WAITS,     // for the next frame
    BW_HANDSHAKE_ASKS,      // the peer has proven itself and fits: accept or refuse
    BW_HANDSHAKE_DONE,      // both may go on; `process` is the peer
    BW_HANDSHAKE_STRANGER,  // whoever that is has proven nothing: to be closed, no more; `why`
    BW_HANDSHAKE_FAILED,    // one of the cluster that does not fit, or refuses us: ends the run; `why`
} bw_handshake_step;

typedef enum bw_handshake_state {
    BW_HANDSHAKE_NEEDS_HELLO,
    BW_HANDSHAKE_NEEDS_AUTH,
    BW_HANDSHAKE_NEEDS_ANSWER,  // ours
    BW_HANDSHAKE_OVER,
} bw_handshake_state;

typedef struct bw_handshake {
    const bw_net_settings *settings;
    bw_handshake_state state;
    bool dials;
    // The peer: until DONE whom we dialled, or who it says it is; BW_PROCESS_NONE: it has said nothing.
    uint32_t process;
    uint8_t own[BW_HELLO_BYTES], theirs[BW_HELLO_BYTES];
    // What both ends of the connection know by TLS, to be set before a frame is taken: else who has a certificate, and sits
    // between two who have the secret, could pass their proofs on. Zeros without TLS.
    uint8_t binding[BW_BINDING_BYTES];
    bw_error why;
} bw_handshake;

/// `process`: whom we dialled; BW_PROCESS_NONE: we were dialled. `nonce`: random, never used before.
void bw_handshake_init(bw_handshake *handshake, const bw_net_settings *settings, uint32_t process,
                       const uint8_t nonce[BW_NONCE_BYTES]);

/// What who dials says first. NULL: no memory.
bw_block *bw_handshake_start(bw_handshake *handshake);

/// The next frame came. `*reply`: what to send, whatever the verdict; NULL: nothing.
BW_NODISCARD bw_handshake_step bw_handshake_take(bw_handshake *handshake, const bw_frame *frame,
                                                 bw_block **reply);

/// After BW_HANDSHAKE_ASKS: lets the peer in; what to send. NULL: it can't be made, `why`.
bw_block *bw_handshake_accept(bw_handshake *handshake);

/// Likewise: turns it away, with a text that becomes `why`. NULL: nothing to send.
bw_block *bw_handshake_refuse(bw_handshake *handshake, const char *why);

/// After BW_HANDSHAKE_DONE: true if records bear tags from now on.
bool bw_handshake_has_keys(const bw_handshake *handshake);

/// Then their keys, one for each direction; to be cleansed. BW_EIO.
BW_NODISCARD bw_status bw_handshake_keys(const bw_handshake *handshake, uint8_t send[BW_KEY_BYTES],
                                         uint8_t receive[BW_KEY_BYTES]);

#endif
