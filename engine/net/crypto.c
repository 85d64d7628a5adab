#include "net/crypto.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

#define NONCE_BYTES 12

/// OpenSSL keeps what went wrong for the thread, where the next caller would take it for its own.
static bw_status
fail(void)
{
    ERR_clear_error();
    return BW_EIO;
}

bw_status
bw_crypto_key(const uint8_t *secret, size_t size, uint8_t out[BW_KEY_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL) return BW_ENOMEM;
    const uint64_t length = BW_LITTLE64((uint64_t)size);
    unsigned int written = 0;
    bool is_done = EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                   EVP_DigestUpdate(context, &length, sizeof length) == 1 &&
                   EVP_DigestUpdate(context, secret, size) == 1 &&
                   EVP_DigestFinal_ex(context, out, &written) == 1;
    EVP_MD_CTX_free(context);  // which overwrites what is left in it
    return is_done && written == BW_KEY_BYTES ? BW_OK : fail();
}

bw_status
bw_crypto_hmac(const uint8_t *key, size_t key_size, const uint8_t *data, size_t size,
               uint8_t out[BW_HMAC_BYTES])
{
    BW_ASSERT(key_size > 0 && key_size <= INT_MAX);
    unsigned int written = 0;
    if (HMAC(EVP_sha256(), key, (int)key_size, data, size, out, &written) == NULL) return fail();
    return written == BW_HMAC_BYTES ? BW_OK : BW_EIO;
}

bool
bw_crypto_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

void
bw_crypto_cleanse(void *bytes, size_t size)
{
    OPENSSL_cleanse(bytes, size);
}

bw_status
bw_mac_init(bw_mac *mac, const uint8_t key[BW_KEY_BYTES])
{
    mac->context = NULL;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (context == NULL) return BW_ENOMEM;
    // The default nonce of GCM is NONCE_BYTES long.
    if (EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, NULL) != 1) {
        EVP_CIPHER_CTX_free(context);
        return fail();
    }
    mac->context = context;
    return BW_OK;
}

void
bw_mac_fini(bw_mac *mac)
{
    EVP_CIPHER_CTX_free(mac->context);  // which overwrites the key
    mac->context = NULL;
}

/// GMAC is GCM with nothing to encrypt: all is "additional data".
bw_status
bw_mac_tag(bw_mac *mac, uint64_t number, const uint8_t *bytes, size_t size, uint8_t out[BW_TAG_BYTES])
{
    BW_ASSERT(bw_mac_has_key(mac) && size <= INT_MAX);
    EVP_CIPHER_CTX *context = mac->context;
    uint8_t nonce[NONCE_BYTES] = {0}, nothing[BW_TAG_BYTES];
    uint64_t little = BW_LITTLE64(number);
    memcpy(nonce, &little, sizeof little);
    int count = 0;
    if (EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) != 1) return fail();
    if (EVP_EncryptUpdate(context, NULL, &count, bytes, (int)size) != 1) return fail();
    if (EVP_EncryptFinal_ex(context, nothing, &count) != 1) return fail();
    if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, BW_TAG_BYTES, out) != 1) return fail();
    return BW_OK;
}
