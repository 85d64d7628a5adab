#include "base/hash.h"

#include "testing/check.h"

static void
hash_is_the_same_for_ever(void)
{
    // A release that changes one of these sends keys to other workers, whose processes may be older.
    static const struct {
        const char *key;
        uint64_t hash;
    } known[] = {
        {"", 0x1eb244682e62ca05},
        {"a", 0xcf28954c4baffff5},
        {"ab", 0xb55573f768959467},
        {"abc", 0x2eb4bd7999db6ae4},
        {"abcd", 0xf49a27aa66be90a2},
        {"abcdefg", 0x08c116bd59ef7af3},
        {"abcdefgh", 0x5b9bfe96e47f49c0},
        {"abcdefghijklmno", 0x0c28d77e332d1f59},
        {"abcdefghijklmnop", 0x8e8721e2b80c9e5b},
        {"abcdefghijklmnopq", 0x6fa82d7d0f98ed9c},
        {"The quick brown fox jumps over the lazy dog", 0x4c4acb73d7be72f3},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        CHECK(bw_hash(known[i].key, strlen(known[i].key)) == known[i].hash);
    }
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
