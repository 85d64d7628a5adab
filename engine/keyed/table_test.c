#include "keyed/table.h"

#include "base/hash.h"
#include "testing/check.h"

enum { KEYS = 5000 };

static char names[KEYS][16];

static bw_bytes
name(uint32_t i)
{
    if (names[i][0] == '\0') snprintf(names[i], sizeof names[i], "key-%u", i);
    return (bw_bytes){.data = names[i], .size = strlen(names[i])};
}

static bw_entry *
find(bw_table *table, uint32_t i)
{
    bw_bytes bytes = name(i);
    return bw_table_find(table, bytes.data, bytes.size, bw_hash(bytes.data, bytes.size));
}

static void
insert(bw_table *table, uint32_t i)
{
    bw_bytes bytes = name(i);
    bw_entry *entry;
    uint64_t hash = bw_hash(bytes.data, bytes.size);
    CHECK_EQ(bw_table_insert(table, names[i], bytes, hash, &entry), BW_OK);
    uint64_t *slot = bw_entry_slot(entry);
    CHECK_EQ(*slot, 0);
    *slot = i + 1;
}

/// Random inserts and removals, against an array that knows what must be there.
static void
table_agrees_with_an_array_over_random_changes(void)
{
    static bool there[KEYS];
    bw_table table;
    bw_table_init(&table, sizeof(uint64_t));
    uint64_t random = 1;
    uint32_t count = 0;
    for (int round = 0; round < 200000; round++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t i = (uint32_t)(random >> 33) % KEYS;
        // Waves: mostly inserts for a while, then mostly removals, so that it grows and shrinks.
        bool grow = ((round / 20000) % 2 == 0) == ((random >> 20) % 8 != 0);
        bw_entry *entry = find(&table, i);
        CHECK_EQ(entry != NULL, there[i]);
        if (grow && entry == NULL) {
            insert(&table, i);
            there[i] = true;
            count++;
        } else if (!grow && entry != NULL) {
            CHECK_EQ(*(uint64_t *)bw_entry_slot(entry), i + 1);
            bw_table_remove(&table, entry);
            there[i] = false;
            count--;
        }
        CHECK_EQ(table.count, count);
    }
    uint32_t position = 0, seen = 0;
    while (bw_table_next(&table, &position) != NULL) seen++;
    CHECK_EQ(seen, count);
    bw_table_fini(&table);
}

static void
slots_stay_where_they_are_while_the_table_grows(void)
{
    bw_table table;
    bw_table_init(&table, sizeof(uint64_t));
    insert(&table, 0);
    void *slot = bw_entry_slot(find(&table, 0));
    for (uint32_t i = 1; i < KEYS; i++) insert(&table, i);
    CHECK(bw_entry_slot(find(&table, 0)) == slot);
    bw_table_fini(&table);
}

static void
memory_returns_when_all_keys_are_gone(void)
{
    bw_table table;
    bw_table_init(&table, sizeof(uint64_t));
    for (uint32_t i = 0; i < KEYS; i++) insert(&table, i);
    CHECK(bw_table_size_bytes(&table) < KEYS * 100u);
    for (uint32_t i = 0; i < KEYS; i++) bw_table_remove(&table, find(&table, i));
    bw_table_trim(&table);
    CHECK_EQ(bw_table_size_bytes(&table), 0);
    bw_table_fini(&table);
}

static void
empty_key_is_a_key(void)
{
    bw_table table;
    bw_table_init(&table, 0);
    bw_entry *entry;
    bw_bytes none = {.data = "", .size = 0};
    CHECK_EQ(bw_table_insert(&table, NULL, none, bw_hash("", 0), &entry), BW_OK);
    CHECK(bw_table_find(&table, "", 0, bw_hash("", 0)) == entry);
    bw_table_fini(&table);
}

TEST_MAIN(TEST(table_agrees_with_an_array_over_random_changes),
          TEST(slots_stay_where_they_are_while_the_table_grows),
          TEST(memory_returns_when_all_keys_are_gone), TEST(empty_key_is_a_key))
