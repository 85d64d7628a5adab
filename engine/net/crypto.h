// crypto.h - what we use of OpenSSL to know whom we speak to: HMAC-SHA-256 for proofs and keys, AES-256-GMAC for
// the tags of records.
#ifndef BW_NET_CRYPTO_H
#define BW_NET_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define BW_HMAC_BYTES 32
#define BW_KEY_BYTES 32
#define BW_TAG_BYTES 16
#define BW_BINDING_BYTES 32  // of a secret that the two ends of one connection share by TLS

/// A key from a secret of any length; to be cleansed. As a key by itself HMAC would take a secret for the same one with
/// zeros behind it, and a long one for its hash. BW_ENOMEM, BW_EIO: OpenSSL can't.
BW_NODISCARD bw_status bw_crypto_key(const uint8_t *secret, size_t size, uint8_t out[BW_KEY_BYTES]);

/// HMAC-SHA-256 of `data` under `key` (not empty). BW_EIO: OpenSSL can't.
BW_NODISCARD bw_status bw_crypto_hmac(const uint8_t *key, size_t key_size, const uint8_t *data,
                                      size_t size, uint8_t out[BW_HMAC_BYTES]);

/// Takes the same time wherever they differ.
bool bw_crypto_equal(const uint8_t *a, const uint8_t *b, size_t size);

/// Overwrites what was secret, in a way that no compiler leaves out.
void bw_crypto_cleanse(void *bytes, size_t size);

/// Makes tags under one key. Without a key ({0}) there are none.
typedef struct bw_mac {
    void *context;  // EVP_CIPHER_CTX with the key in it; NULL: no key
} bw_mac;

/// BW_ENOMEM, BW_EIO (OpenSSL has no such cipher) leave it without a key.
BW_NODISCARD bw_status bw_mac_init(bw_mac *mac, const uint8_t key[BW_KEY_BYTES]);
void bw_mac_fini(bw_mac *mac);

/// The tag of `bytes` as number `number`. No two texts may have the same number under one key. BW_EIO.
BW_NODISCARD bw_status bw_mac_tag(bw_mac *mac, uint64_t number, const uint8_t *bytes, size_t size,
                                  uint8_t out[BW_TAG_BYTES]);

static inline bool
bw_mac_has_key(const bw_mac *mac)
{
    return mac->context != NULL;
}

/// Bytes of a tag: none without a key.
static inline uint32_t
bw_mac_tag_bytes(const bw_mac *mac)
{
    return bw_mac_has_key(mac) ? BW_TAG_BYTES : 0;
}

#endif
