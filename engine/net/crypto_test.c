#include "net/crypto.h"

#include "testing/check.h"

static void
hmac_is_that_of_rfc_4231(void)
{
    static const uint8_t WANTED[BW_HMAC_BYTES] = {
        0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
        0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    static const char TEXT[] = "what do ya want for nothing?";
    uint8_t hmac[BW_HMAC_BYTES];
    CHECK_EQ(bw_crypto_hmac((const uint8_t *)"Jefe", 4, (const uint8_t *)TEXT, sizeof TEXT - 1, hmac),
             BW_OK);
    CHECK(bw_crypto_equal(hmac, WANTED, sizeof hmac));
}

static void
tag_of_nothing_under_no_key_is_that_of_the_gcm_specification(void)
{
    static const uint8_t WANTED[BW_TAG_BYTES] = {0x53, 0x0f, 0x8a, 0xfb, 0xc7, 0x45, 0x36, 0xb9,
                                                 0xa9, 0x63, 0xb4, 0xf1, 0xc4, 0xcb, 0x73, 0x8b};
    const uint8_t key[BW_KEY_BYTES] = {0};
    uint8_t tag[BW_TAG_BYTES];
    bw_mac mac;
    CHECK_EQ(bw_mac_init(&mac, key), BW_OK);
    CHECK_EQ(bw_mac_tag(&mac, 0, key, 0, tag), BW_OK);
    CHECK(bw_crypto_equal(tag, WANTED, sizeof tag));
    bw_mac_fini(&mac);
}

static void
tag_depends_on_key_number_and_every_byte(void)
{
    uint8_t key[BW_KEY_BYTES] = {1}, text[100] = {0}, tag[BW_TAG_BYTES], other[BW_TAG_BYTES];
    bw_mac mac;
    CHECK_EQ(bw_mac_init(&mac, key), BW_OK);
    CHECK_EQ(bw_mac_tag(&mac, 7, text, sizeof text, tag), BW_OK);
    CHECK_EQ(bw_mac_tag(&mac, 8, text, sizeof text, other), BW_OK);
    CHECK(!bw_crypto_equal(tag, other, sizeof tag));
    CHECK_EQ(bw_mac_tag(&mac, 7, text, sizeof text - 1, other), BW_OK);
    CHECK(!bw_crypto_equal(tag, other, sizeof tag));
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = 1;
        CHECK_EQ(bw_mac_tag(&mac, 7, text, sizeof text, other), BW_OK);
        CHECK(!bw_crypto_equal(tag, other, sizeof tag));
        text[i] = 0;
    }
    // The context is as new for each.
    CHECK_EQ(bw_mac_tag(&mac, 7, text, sizeof text, other), BW_OK);
    CHECK(bw_crypto_equal(tag, other, sizeof tag));
    bw_mac_fini(&mac);
    key[31] = 1;
    CHECK_EQ(bw_mac_init(&mac, key), BW_OK);
    CHECK_EQ(bw_mac_tag(&mac, 7, text, sizeof text, other), BW_OK);
    CHECK(!bw_crypto_equal(tag, other, sizeof tag));
    bw_mac_fini(&mac);
}

static void
without_a_key_there_is_no_tag(void)
{
    bw_mac mac = {0};
    CHECK(!bw_mac_has_key(&mac));
    CHECK_EQ(bw_mac_tag_bytes(&mac), 0);
    bw_mac_fini(&mac);
}

static void
cleansed_bytes_are_gone(void)
{
    uint8_t bytes[3] = {1, 2, 3};
    bw_crypto_cleanse(bytes, sizeof bytes);
    CHECK(bytes[0] == 0 && bytes[1] == 0 && bytes[2] == 0);
}

TEST_MAIN(TEST(hmac_is_that_of_rfc_4231),
          TEST(tag_of_nothing_under_no_key_is_that_of_the_gcm_specification),
          TEST(tag_depends_on_key_number_and_every_byte), TEST(without_a_key_there_is_no_tag),
          TEST(cleansed_bytes_are_gone))
