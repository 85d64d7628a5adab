// hash.h - the hash of a key's bytes: the same on every machine, in every process and release, since
// it decides which worker owns a key. Not made to resist chosen keys.
#ifndef BW_BASE_HASH_H
#define BW_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BW_LITTLE64(value) __builtin_bswap64(value)
#define BW_LITTLE32(value) __builtin_bswap32(value)
#else
#define BW_LITTLE64(value) (value)
#define BW_LITTLE32(value) (value)
#endif

static inline uint64_t
bw_hash_load64(const unsigned char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return BW_LITTLE64(value);
}

static inline uint64_t
bw_hash_load32(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return BW_LITTLE32(value);
}

/// Folds the 128 bits of a product: each bit of the result depends on all bits of both.
static inline uint64_t
bw_hash_mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t
bw_hash(const void *bytes, size_t size)
{
    // Odd constants with about as many ones as zeros: the fractions of sqrt(2), sqrt(3) and sqrt(5).
    const uint64_t k0 = 0x6a09e667f3bcc909, k1 = 0xbb67ae8584caa73b, k2 = 0x3c6ef372fe94f82b;
    const unsigned char *at = bytes;
    uint64_t state = k0 ^ size, low, high;
    if (size >= 16) {
        const unsigned char *last = at + size - 16;  // read last, overlapping what the loop has read
        for (; at < last; at += 16) {
            state = bw_hash_mix(bw_hash_load64(at) ^ k1, bw_hash_load64(at + 8) ^ state);
        }
        low = bw_hash_load64(last);
        high = bw_hash_load64(last + 8);
    } else if (size >= 8) {
        low = bw_hash_load64(at);
        high = bw_hash_load64(at + size - 8);
    } else if (size >= 4) {
        low = bw_hash_load32(at);
        high = bw_hash_load32(at + size - 4);
    } else if (size > 0) {  // first, middle and last byte: all of up to three
        low = (uint64_t)at[0] << 16 | (uint64_t)at[size >> 1] << 8 | at[size - 1];
        high = 0;
    } else {
        low = high = 0;
    }
    return bw_hash_mix(bw_hash_mix(low ^ k1, high ^ state), k2 ^ size);
}

/// Which of `count` owners has the hash: its high half scaled to the range, without a division.
static inline uint32_t
bw_hash_owner(uint64_t hash, uint32_t count)
{
    return (uint32_t)(((hash >> 32) * count) >> 32);
}

#endif
