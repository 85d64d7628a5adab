#include "keyed/keyed.h"

#include "base/hash.h"
#include "testing/check.h"

// Keys are counted strings, values are numbers in disguise; 0, which is NULL, is none.
typedef struct key {
    int references;
    const char *text;
} key;

static void
retain(void *self, void *const *items, size_t count)
{
    (void)self;
    (void)items;
    (void)count;
}

static int released_calls;

static void
release_keys(void *self, void *const *items, size_t count)
{
    (void)self;
    released_calls++;
    for (size_t i = 0; i < count; i++) {
        if (items[i] != NULL) ((key *)items[i])->references--;
    }
}

static void
key_bytes(void *self, void *const *keys, void *const *values, size_t count, bw_bytes *out)
{
    (void)self;
    (void)values;
    for (size_t i = 0; i < count; i++) {
        const char *text = ((key *)keys[i])->text;
        out[i] = (bw_bytes){.data = text, .size = strlen(text)};
    }
}

static bool out_of_memory;

static void *
own_key(void *self, void *given, bw_bytes *bytes)
{
    (void)self;
    (void)bytes;
    if (!out_of_memory) return given;
    ((key *)given)->references--;
    return NULL;
}

static void
drop_key(void *self, void *owned)
{
    (void)self;
    ((key *)owned)->references--;
}

static const bw_item_ops ITEMS = {.retain = retain,
                                  .release = release_keys,
                                  .key_bytes = key_bytes,
                                  .own_key = own_key,
                                  .drop_key = drop_key};

static void *
number(uintptr_t value)
{
    return (void *)value;
}

// ---- a logic that sums values by key, and discards a key at a zero

static int cleared;

static bw_status
sum_items(void *logic, bw_keyed *keyed, void *const *slots, void **values, size_t count,
          bw_output *output)
{
    (void)output;
    bw_status *answer = logic;
    for (size_t i = 0; i < count; i++) {
        if (values[i] == NULL) {
            bw_keyed_discard(keyed, slots[i]);
        } else {
            *(uint64_t *)slots[i] += (uintptr_t)values[i];
            values[i] = NULL;
        }
    }
    return *answer;
}

static void
count_cleared(void *logic, void *slot)
{
    (void)logic;
    (void)slot;
    cleared++;
}

/// Emits the first byte of the key and the sum as one number.
static bw_status
emit_sum(void *logic, bw_keyed *keyed, void *slot, bw_output *output)
{
    (void)logic;
    bw_bytes bytes = bw_keyed_key(slot);
    uintptr_t first = bytes.size == 0 ? 0 : (unsigned char)bytes.data[0];
    bw_status status = bw_output_push(output, number(first << 8 | (uintptr_t)*(uint64_t *)slot));
    bw_keyed_discard(keyed, slot);
    return status;
}

static const bw_keyed_ops SUM = {.on_items = sum_items, .on_eof = emit_sum, .clear = count_cleared};

typedef struct fixture {
    bw_status answer;
    bw_keyed *keyed;
    bw_batch_pool pool;
    bw_output output;
} fixture;

static void
set_up(fixture *fixture)
{
    fixture->answer = BW_OK;
    CHECK_EQ(bw_keyed_new(&SUM, &fixture->answer, sizeof(uint64_t), &ITEMS, &fixture->keyed), BW_OK);
    bw_batch_pool_init(&fixture->pool);
    fixture->output = (bw_output){.pool = &fixture->pool, .wanted = true};
}

static void
tear_down(fixture *fixture)
{
    bw_keyed_free(fixture->keyed);
    bw_batch *batch;
    while ((batch = bw_batch_list_take(&fixture->output.made)) != NULL) {
        bw_batch_pool_put(&fixture->pool, batch);
    }
    bw_batch_pool_fini(&fixture->pool);
}

/// Runs a batch as a worker does, which releases what is left of it.
static bw_status
run(fixture *fixture, key *const *keys, const uintptr_t *values, uint32_t count)
{
    bw_batch *batch = bw_batch_pool_get(&fixture->pool, 0);
    batch->shape = BW_SHAPE_KEYED;
    for (uint32_t i = 0; i < count; i++) {
        keys[i]->references++;
        uint64_t hash = bw_hash(keys[i]->text, strlen(keys[i]->text));
        bw_batch_push_keyed(batch, keys[i], hash, number(values[i]));
    }
    bw_status status = bw_keyed_on_batch(fixture->keyed, batch, &fixture->output);
    release_keys(NULL, batch->keys, batch->count);
    bw_batch_pool_put(&fixture->pool, batch);
    return status;
}

static void
state_is_by_key_and_eof_comes_in_order_of_bytes(void)
{
    fixture fixture;
    set_up(&fixture);
    key b = {0, "b"}, a = {0, "a"}, ab = {0, "ab"}, empty = {0, ""}, other_b = {0, "b"};
    key *const keys[] = {&b, &ab, &b, &empty, &a, &other_b};
    CHECK_EQ(run(&fixture, keys, (uintptr_t[]){1, 2, 3, 4, 5, 6}, 6), BW_OK);
    CHECK_EQ(bw_keyed_count(fixture.keyed), 4);
    CHECK_EQ(bw_keyed_on_close(fixture.keyed, false, &fixture.output), BW_OK);
    CHECK(fixture.output.made.first == NULL);  // an epoch is over, not the input
    CHECK_EQ(bw_keyed_on_close(fixture.keyed, true, &fixture.output), BW_OK);
    const bw_batch *made = fixture.output.made.first;
    const uintptr_t expected[] = {4, 'a' << 8 | 5, 'a' << 8 | 2, 'b' << 8 | 10};
    CHECK_EQ(made->count, 4);
    for (uint32_t i = 0; i < 4; i++) CHECK_EQ((uintptr_t)made->items[i], expected[i]);
    CHECK_EQ(bw_keyed_count(fixture.keyed), 0);
    CHECK_EQ(cleared, 4);
    tear_down(&fixture);
}

static void
a_key_is_retained_once_while_it_has_state(void)
{
    fixture fixture;
    set_up(&fixture);
    key a = {0, "a"}, same = {0, "a"};
    key *const keys[] = {&a, &a, &same, &a};
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(run(&fixture, keys, (uintptr_t[]){1, 1, 1, 1}, 4), BW_OK);
        CHECK_EQ(a.references, 1);
        CHECK_EQ(same.references, 0);
        CHECK_EQ(released_calls, i + 1);  // all of a batch in one call
    }
    CHECK_EQ(run(&fixture, keys, (uintptr_t[]){0}, 1), BW_OK);
    CHECK_EQ(a.references, 0);
    CHECK_EQ(run(&fixture, keys + 2, (uintptr_t[]){1}, 1), BW_OK);
    tear_down(&fixture);
    CHECK_EQ(same.references, 0);
}

static void
a_discarded_key_starts_from_zero_when_it_comes_back_in_the_same_batch(void)
{
    fixture fixture;
    set_up(&fixture);
    key a = {0, "a"}, b = {0, "b"};
    key *const keys[] = {&a, &b, &a, &a, &b};
    CHECK_EQ(run(&fixture, keys, (uintptr_t[]){7, 1, 0, 2, 0}, 5), BW_OK);
    CHECK_EQ(bw_keyed_count(fixture.keyed), 1);
    CHECK_EQ(bw_keyed_on_close(fixture.keyed, true, &fixture.output), BW_OK);
    CHECK_EQ((uintptr_t)fixture.output.made.first->items[0], 'a' << 8 | 2);
    tear_down(&fixture);
    CHECK_EQ(a.references + b.references, 0);
}

enum { MANY = 1000 };

static void
a_table_that_is_emptied_may_have_had_a_key_discarded_twice(void)
{
    fixture fixture;
    set_up(&fixture);
    static key many[MANY];
    static char texts[MANY][8];
    key *keys[MANY];
    uintptr_t values[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "%u", i);
        many[i].text = texts[i];
        keys[i] = &many[i];
        values[i] = 1;
    }
    CHECK_EQ(run(&fixture, keys, values, MANY), BW_OK);
    CHECK_EQ(bw_keyed_count(fixture.keyed), MANY);
    for (uint32_t i = 0; i < MANY; i++) values[i] = 0;
    CHECK_EQ(run(&fixture, keys + 1, values, MANY - 1), BW_OK);
    key *const again[] = {keys[0], keys[0], keys[0]};
    CHECK_EQ(run(&fixture, again, (uintptr_t[]){0, 1, 0}, 3), BW_OK);
    CHECK_EQ(bw_keyed_count(fixture.keyed), 0);
    CHECK_EQ(run(&fixture, keys, (uintptr_t[]){3}, 1), BW_OK);
    tear_down(&fixture);
    for (uint32_t i = 0; i < MANY; i++) CHECK_EQ(many[i].references, 0);
}

static void
failures_leave_no_key_behind(void)
{
    fixture fixture;
    set_up(&fixture);
    key a = {0, "a"}, b = {0, "b"};
    key *const keys[] = {&a, &b, &a};
    fixture.answer = BW_EHOST;
    CHECK_EQ(run(&fixture, keys, (uintptr_t[]){1, 0, 1}, 3), BW_EHOST);
    fixture.answer = BW_OK;
    out_of_memory = true;
    CHECK_EQ(run(&fixture, keys, (uintptr_t[]){1, 1, 1}, 3), BW_ENOMEM);
    out_of_memory = false;
    tear_down(&fixture);
    CHECK_EQ(a.references, 0);
    CHECK_EQ(b.references, 0);
}

TEST_MAIN(TEST(state_is_by_key_and_eof_comes_in_order_of_bytes),
          TEST(a_key_is_retained_once_while_it_has_state),
          TEST(a_discarded_key_starts_from_zero_when_it_comes_back_in_the_same_batch),
          TEST(a_table_that_is_emptied_may_have_had_a_key_discarded_twice),
          TEST(failures_leave_no_key_behind))
