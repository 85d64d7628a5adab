#define _POSIX_C_SOURCE 200809L

#include "bytewax.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "testing/check.h"

// ---- items: counted numbers with a key. Where a test ends, none may be left.

typedef struct item {
    atomic_int references;
    unsigned char key[4];  // big-endian: order of bytes is order of numbers
    uint64_t value;
} item;

static atomic_long live, most_live;

static item *
new_item(uint32_t key, uint64_t value)
{
    item *made = malloc(sizeof *made);
    CHECK(made != NULL);
    atomic_init(&made->references, 1);
    for (int i = 0; i < 4; i++) made->key[i] = (unsigned char)(key >> (24 - 8 * i));
    made->value = value;
    long now = atomic_fetch_add(&live, 1) + 1;
    long most = atomic_load(&most_live);
    while (now > most && !atomic_compare_exchange_weak(&most_live, &most, now)) continue;
    return made;
}

static void
retain(void *user, void *const *items, size_t count)
{
    (void)user;
    for (size_t i = 0; i < count; i++) {
        if (items[i] != NULL) atomic_fetch_add(&((item *)items[i])->references, 1);
    }
}

static void
release(void *user, void *const *items, size_t count)
{
    (void)user;
    for (size_t i = 0; i < count; i++) {
        if (items[i] == NULL || atomic_fetch_sub(&((item *)items[i])->references, 1) > 1) continue;
        free(items[i]);
        atomic_fetch_sub(&live, 1);
    }
}

static void
keys(void *user, void *const *items, size_t count, bw_flow_key *out)
{
    (void)user;
    for (size_t i = 0; i < count; i++) {
        out[i] = (bw_flow_key){.data = ((item *)items[i])->key, .size = 4};
    }
}

static const bw_flow_items ITEMS = {.retain = retain, .release = release, .keys = keys};

// ---- what can be made to fail

typedef enum place {
    NOWHERE,
    SOURCE_OPEN,
    POLL,
    MAP,
    FILTER,
    FLAT_MAP,
    ON_ITEMS,
    ON_EOF,
    SINK_OPEN,
    WRITE,
    FLUSH,
    SINK_CLOSE,
    SOURCE_CLOSE,
    PLACES
} place;

static place failing;
static bool with_text;
static atomic_int opened, closed;

static int
maybe_fail(place here, bw_flow_context *context)
{
    if (here != failing) return 0;
    return with_text ? bw_flow_fail(context, "no luck at place %d", (int)here) : -7;
}

// ---- a source of the numbers from 0 to COUNT, each worker with its share, and the other steps

enum { COUNT = 30000, KEYS = 100 };

typedef struct counter {
    uint64_t next;
    uint64_t stride;
} counter;

static int
open_counter(void *user, bw_flow_context *context, void **state)
{
    (void)user;
    int failed = maybe_fail(SOURCE_OPEN, context);
    if (failed) return failed;
    counter *counter = malloc(sizeof *counter);
    CHECK(counter != NULL);
    counter->next = context->worker_index;
    counter->stride = context->worker_count;
    *state = counter;
    atomic_fetch_add(&opened, 1);
    return 0;
}

static int
poll_counter(void *state, bw_flow_emitter *out, size_t limit, uint64_t *again_ns)
{
    (void)again_ns;
    counter *counter = state;
    for (size_t i = 0; i < limit && counter->next < COUNT; i++, counter->next += counter->stride) {
        int failed = bw_flow_emit(out, new_item((uint32_t)(counter->next % KEYS), counter->next));
        if (failed) return failed;
    }
    int failed = maybe_fail(POLL, out->context);
    if (failed) return failed;
    return counter->next < COUNT ? BW_FLOW_MORE : BW_FLOW_END;
}

static int
close_counter(void *state, bw_flow_context *context)
{
    free(state);
    atomic_fetch_add(&closed, 1);
    return maybe_fail(SOURCE_CLOSE, context);
}

static const bw_flow_source_ops COUNTER = {
    .open = open_counter, .poll = poll_counter, .close = close_counter};

/// Replaces every second item, and changes the others where they are.
static int
twice(void *user, bw_flow_context *context, void **items, size_t count)
{
    (void)user;
    for (size_t i = 0; i < count; i++) {
        item *old = items[i];
        if (old->value % 2 == 0) {
            old->value *= 2;
            continue;
        }
        items[i] = new_item((uint32_t)(old->value % KEYS), 2 * old->value);
        release(NULL, (void *const[]){old}, 1);
        if (i == count / 2 && maybe_fail(MAP, context)) return maybe_fail(MAP, context);
    }
    return maybe_fail(MAP, context);
}

static int
keep_multiples_of_three(void *user, bw_flow_context *context, void *const *items, size_t count,
                        bool *keep)
{
    (void)user;
    for (size_t i = 0; i < count; i++) {
        CHECK(!keep[i]);
        keep[i] = ((item *)items[i])->value % 3 == 0;
    }
    return maybe_fail(FILTER, context);
}

/// Passes each item on, and one more like it.
static int
double_up(void *user, bw_flow_emitter *out, void **items, size_t count)
{
    (void)user;
    for (size_t i = 0; i < count; i++) {
        item *given = items[i];
        items[i] = NULL;
        item *more = new_item((uint32_t)(given->value / 2 % KEYS), given->value);
        int failed = bw_flow_emit(out, given);
        if (!failed) {
            failed = bw_flow_emit(out, more);
        } else
            release(NULL, (void *const[]){more}, 1);
        if (failed) return failed;
    }
    return maybe_fail(FLAT_MAP, out->context);
}

typedef struct total {
    uint64_t count;
    item *last;
} total;

static int
add_up(void *user, bw_flow_emitter *out, void *const *slots, void **items, size_t count)
{
    (void)user;
    for (size_t i = 0; i < count; i++) {
        total *total = slots[i];
        bw_flow_key key = bw_flow_slot_key(slots[i]);
        CHECK(key.size == 4 && memcmp(key.data, ((item *)items[i])->key, 4) == 0);
        total->count++;
        if (total->last != NULL) release(NULL, (void *const[]){total->last}, 1);
        total->last = items[i];
        items[i] = NULL;
    }
    return maybe_fail(ON_ITEMS, out->context);
}

static int
emit_total(void *user, bw_flow_emitter *out, bw_flow_key key, void *slot)
{
    (void)user;
    const total *total = slot;
    const unsigned char *bytes = key.data;
    int failed = bw_flow_emit(out, new_item(bytes[3], total->count));
    return failed ? failed : maybe_fail(ON_EOF, out->context);
}

static void
clear_total(void *user, void *slot)
{
    (void)user;
    total *total = slot;
    release(NULL, (void *const[]){total->last}, 1);
}

static const bw_flow_keyed_ops TOTALS = {
    .slot_size = sizeof(total), .on_items = add_up, .on_eof = emit_total, .clear = clear_total};

/// What reached the sinks.
typedef struct seen {
    atomic_ulong count, sum;
    atomic_ulong by_worker[8], by_key[256];
    bool ascending;  // check that keys are, on each worker
    int last_key[8];
} seen;

static int
open_sink(void *user, bw_flow_context *context, void **state)
{
    int failed = maybe_fail(SINK_OPEN, context);
    if (failed) return failed;
    *state = user;
    atomic_fetch_add(&opened, 1);
    return 0;
}

static int
see(void *state, bw_flow_context *context, void **items, size_t count)
{
    seen *seen = state;
    for (size_t i = 0; i < count; i++) {
        const item *item = items[i];
        atomic_fetch_add(&seen->count, 1);
        atomic_fetch_add(&seen->sum, item->value);
        atomic_fetch_add(&seen->by_worker[context->worker_index], 1);
        atomic_fetch_add(&seen->by_key[item->key[3]], item->value);
        if (!seen->ascending) continue;
        CHECK(item->key[3] >= seen->last_key[context->worker_index]);
        seen->last_key[context->worker_index] = item->key[3];
    }
    return maybe_fail(WRITE, context);
}

static int
flush_sink(void *state, bw_flow_context *context)
{
    (void)state;
    return maybe_fail(FLUSH, context);
}

static int
close_sink(void *state, bw_flow_context *context)
{
    (void)state;
    atomic_fetch_add(&closed, 1);
    return maybe_fail(SINK_CLOSE, context);
}

static const bw_flow_sink_ops SEE = {
    .open = open_sink, .write = see, .flush = flush_sink, .close = close_sink};

static int
run(const bw_flow *flow, uint32_t worker_count, bw_flow_error *error)
{
    const bw_flow_options options = {.worker_count = worker_count, .epoch_interval_ns = 1000000};
    return bw_flow_run(flow, &options, error);
}

static void
check_runs(const bw_flow *flow, uint32_t worker_count)
{
    bw_flow_error error;
    int status = run(flow, worker_count, &error);
    if (status != 0) fprintf(stderr, "%s\n", error.text);
    CHECK_EQ(status, 0);
    CHECK_EQ(error.status, 0);
    CHECK_EQ(atomic_load(&live), 0);
    CHECK_EQ(atomic_load(&opened), atomic_load(&closed));
}

// ---- tests

static void
stateless_steps_give_the_same_on_any_number_of_workers(void)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < COUNT; i += 3) sum += 4 * i;  // twice as much, two times
    for (uint32_t workers = 1; workers <= 5; workers++) {
        seen seen = {0};
        bw_flow *flow = bw_flow_new(&ITEMS);
        bw_flow_stream *stream = bw_flow_source(flow, "count", &COUNTER, NULL);
        stream = bw_flow_map(flow, "twice", stream, twice, NULL);
        stream = bw_flow_filter(flow, "thirds", stream, keep_multiples_of_three, NULL);
        stream = bw_flow_flat_map(flow, "double", stream, double_up, NULL);
        bw_flow_sink(flow, "see", stream, &SEE, &seen);
        check_runs(flow, workers);
        CHECK_EQ(seen.count, 2 * COUNT / 3);
        CHECK_EQ(seen.sum, sum);
        bw_flow_free(flow);
    }
}

static void
keyed_state_is_one_over_all_workers_and_eof_is_in_order(void)
{
    for (uint32_t workers = 1; workers <= 4; workers++) {
        seen seen = {.ascending = true};
        bw_flow *flow = bw_flow_new(&ITEMS);
        bw_flow_stream *stream = bw_flow_source(flow, "count", &COUNTER, NULL);
        stream = bw_flow_keyed(flow, "total", stream, &TOTALS, NULL);
        bw_flow_sink(flow, "see", stream, &SEE, &seen);
        check_runs(flow, workers);
        CHECK_EQ(seen.count, KEYS);
        for (int i = 0; i < KEYS; i++) CHECK_EQ(seen.by_key[i], COUNT / KEYS);
        memset(seen.last_key, 0, sizeof seen.last_key);
        check_runs(flow, workers == 4 ? 3 : workers);  // the flow is as it was
        CHECK_EQ(seen.count, 2 * KEYS);
        bw_flow_free(flow);
    }
}

static void
redistribute_deals_to_all_workers_alike(void)
{
    seen seen = {0};
    bw_flow *flow = bw_flow_new(&ITEMS);
    bw_flow_stream *stream = bw_flow_source(flow, "count", &COUNTER, NULL);
    stream = bw_flow_redistribute(flow, "deal", stream);
    bw_flow_sink(flow, "see", stream, &SEE, &seen);
    check_runs(flow, 3);
    // Each worker deals for itself, so that each may have one more to give to some than to others.
    for (int i = 0; i < 3; i++) CHECK(labs((long)seen.by_worker[i] - COUNT / 3) <= 3);
    bw_flow_free(flow);
}

static void
a_stream_may_be_taken_twice_and_merged_again(void)
{
    seen seen = {0}, copied = {0};
    bw_flow *flow = bw_flow_new(&ITEMS);
    bw_flow_stream *stream = bw_flow_source(flow, "count", &COUNTER, NULL);
    bw_flow_stream *thirds = bw_flow_filter(flow, "thirds", stream, keep_multiples_of_three, NULL);
    bw_flow_stream *totals = bw_flow_keyed(flow, "total", stream, &TOTALS, NULL);
    bw_flow_stream *const both[] = {thirds, totals};
    bw_flow_sink(flow, "see", bw_flow_merge(flow, "both", both, 2), &SEE, &seen);
    bw_flow_sink(flow, "see all", stream, &SEE, &copied);
    check_runs(flow, 2);
    CHECK_EQ(seen.count, COUNT / 3 + KEYS);
    CHECK_EQ(copied.count, COUNT);
    bw_flow_free(flow);
}

static void
what_no_step_takes_is_released(void)
{
    seen seen = {0};
    bw_flow *flow = bw_flow_new(&ITEMS);
    bw_flow_stream *stream = bw_flow_source(flow, "count", &COUNTER, NULL);
    bw_flow_flat_map(flow, "double", stream, double_up, NULL);
    bw_flow_keyed(flow, "total", stream, &TOTALS, NULL);
    bw_flow_map(flow, "twice", bw_flow_source(flow, "again", &COUNTER, NULL), twice, NULL);
    bw_flow_source(flow, "unseen", &COUNTER, NULL);
    bw_flow_sink(flow, "see", stream, &SEE, &seen);
    check_runs(flow, 2);
    CHECK_EQ(seen.count, COUNT);
    bw_flow_free(flow);
}

/// Emits every third item of a key with how many it saw, and forgets the key.
static int
emit_thirds(void *user, bw_flow_emitter *out, void *const *slots, void **items, size_t count)
{
    (void)user;
    for (size_t i = 0; i < count; i++) {
        uint64_t *seen_items = slots[i];
        if (++*seen_items < 3) continue;
        int failed = bw_flow_emit(out, new_item(((item *)items[i])->key[3], *seen_items));
        if (failed) return failed;
        bw_flow_discard(out, slots[i]);
        CHECK_EQ(*seen_items, 0);
    }
    return 0;
}

static void
a_discarded_key_starts_from_zero(void)
{
    static const bw_flow_keyed_ops THIRDS = {.slot_size = sizeof(uint64_t), .on_items = emit_thirds};
    seen seen = {0};
    bw_flow *flow = bw_flow_new(&ITEMS);
    bw_flow_stream *stream = bw_flow_source(flow, "count", &COUNTER, NULL);
    bw_flow_sink(flow, "see", bw_flow_keyed(flow, "thirds", stream, &THIRDS, NULL), &SEE, &seen);
    check_runs(flow, 2);
    CHECK_EQ(seen.count, COUNT / 3);
    CHECK_EQ(seen.sum, COUNT);
    bw_flow_free(flow);
}

static void
an_epoch_for_each_poll_changes_nothing(void)
{
    seen seen = {0};
    bw_flow *flow = bw_flow_new(&ITEMS);
    bw_flow_stream *stream = bw_flow_source(flow, "count", &COUNTER, NULL);
    bw_flow_sink(flow, "see", bw_flow_keyed(flow, "total", stream, &TOTALS, NULL), &SEE, &seen);
    const bw_flow_options options = {.worker_count = 2, .epoch_interval_ns = 0};
    CHECK_EQ(bw_flow_run(flow, &options, NULL), 0);
    for (int i = 0; i < KEYS; i++) CHECK_EQ(seen.by_key[i], COUNT / KEYS);
    CHECK_EQ(atomic_load(&live), 0);
    bw_flow_free(flow);
}

static void
check_fails(place where, uint32_t worker_count)
{
    static const char *const NAMES[PLACES] = {NULL,     "count", "count", "twice", "thirds",
                                              "double", "total", "total", "see",   "see",
                                              "see",    "see",   "count"};
    seen seen = {0};
    bw_flow *flow = bw_flow_new(&ITEMS);
    bw_flow_stream *stream = bw_flow_source(flow, "count", &COUNTER, NULL);
    stream = bw_flow_map(flow, "twice", stream, twice, NULL);
    stream = bw_flow_filter(flow, "thirds", stream, keep_multiples_of_three, NULL);
    stream = bw_flow_flat_map(flow, "double", stream, double_up, NULL);
    stream = bw_flow_keyed(flow, "total", stream, &TOTALS, NULL);
    bw_flow_sink(flow, "see", stream, &SEE, &seen);
    bw_flow_error error;
    failing = where;
    CHECK_EQ(run(flow, worker_count, &error), BW_FLOW_EUSER);
    failing = NOWHERE;
    char text[128], told[64];
    snprintf(told, sizeof told, "no luck at place %d", (int)where);
    if (strcmp(error.step, NAMES[where]) != 0) fprintf(stderr, "%s\n", error.text);
    CHECK(strcmp(error.step, NAMES[where]) == 0);
    CHECK(error.worker_index < worker_count);
    snprintf(text, sizeof text, "step \"%s\" on worker %u: ", error.step, error.worker_index);
    CHECK(strncmp(error.text, text, strlen(text)) == 0);
    CHECK(strstr(error.text, with_text ? told : "failed: it returned -7") != NULL);
    CHECK_EQ(atomic_load(&live), 0);
    CHECK_EQ(atomic_load(&opened), atomic_load(&closed));
    bw_flow_free(flow);
}

static void
a_failure_names_step_and_worker_and_leaves_nothing_behind(void)
{
    for (place where = SOURCE_OPEN; where < PLACES; where++) {
        for (uint32_t workers = 1; workers <= 3; workers++) {
            with_text = workers != 2;
            check_fails(where, workers);
        }
    }
}

static int
map_badly(void *user, bw_flow_context *context, void **items, size_t count)
{
    (void)user;
    (void)items;
    (void)count;
    bw_flow_fail(context, "not meant");
    return 1;
}

static int
poll_too_much(void *state, bw_flow_emitter *out, size_t limit, uint64_t *again_ns)
{
    (void)state;
    (void)again_ns;
    for (size_t i = 0; i < limit + 1; i++) {
        int failed = bw_flow_emit(out, new_item(0, i));
        if (failed) return failed;
    }
    return BW_FLOW_END;
}

static int
poll_badly(void *state, bw_flow_emitter *out, size_t limit, uint64_t *again_ns)
{
    (void)state;
    (void)out;
    (void)limit;
    (void)again_ns;
    return 99;
}

static void
check_says(bw_flow *flow, int status, const char *text)
{
    bw_flow_error error;
    CHECK_EQ(bw_flow_run(flow, NULL, &error), status);
    if (strcmp(error.text, text) != 0) fprintf(stderr, "got: %s\n", error.text);
    CHECK(strcmp(error.text, text) == 0);
    CHECK_EQ(atomic_load(&live), 0);
    bw_flow_free(flow);
}

/// A flow from one source to one sink, with a map between.
static bw_flow *
small_flow(bw_flow_source_ops source, bw_flow_map_fn *map)
{
    static seen seen;
    bw_flow *flow = bw_flow_new(&ITEMS);
    bw_flow_stream *stream = bw_flow_source(flow, "in", &source, NULL);
    bw_flow_sink(flow, "out", bw_flow_map(flow, "map", stream, map, NULL), &SEE, &seen);
    return flow;
}

static void
a_function_that_breaks_its_contract_is_told_how(void)
{
    check_says(small_flow(COUNTER, map_badly), BW_FLOW_EUSER,
               "step \"map\" on worker 0: map returned 1, but must return 0 or a negative number");
    check_says(small_flow((bw_flow_source_ops){.poll = poll_too_much}, twice), BW_FLOW_EUSER,
               "step \"in\" on worker 0: poll emitted more than its limit of 1 items");
    check_says(small_flow((bw_flow_source_ops){.poll = poll_badly}, twice), BW_FLOW_EUSER,
               "step \"in\" on worker 0: poll returned 99, but must return a BW_FLOW_ constant or a "
               "negative number");
}

static void
a_flow_that_is_wrong_is_refused_and_the_first_mistake_is_named(void)
{
    seen seen = {0};
    bw_flow_keyed_ops totals = TOTALS;

    check_says(NULL, BW_FLOW_EINVAL, "the flow is NULL");
    check_says(bw_flow_new(&ITEMS), BW_FLOW_EINVAL, "the flow has no source");

    bw_flow *flow = bw_flow_new(&ITEMS);
    bw_flow_source(flow, "in", &COUNTER, NULL);
    check_says(flow, BW_FLOW_EINVAL, "the flow has no sink");

    flow = bw_flow_new(&ITEMS);
    CHECK(bw_flow_source(flow, "in", &(bw_flow_source_ops){0}, NULL) == NULL);
    bw_flow_sink(flow, "out", NULL, &SEE, &seen);
    check_says(flow, BW_FLOW_EINVAL, "step \"in\": a source needs a poll function");

    flow = bw_flow_new(&ITEMS);
    bw_flow_map(flow, "map", bw_flow_source(flow, "in", &COUNTER, NULL), NULL, NULL);
    check_says(flow, BW_FLOW_EINVAL, "step \"map\": its map function is NULL");

    flow = bw_flow_new(&ITEMS);
    bw_flow_map(flow, "map", NULL, twice, NULL);
    check_says(flow, BW_FLOW_EINVAL, "step \"map\": the stream it takes is NULL");

    flow = bw_flow_new(&ITEMS);
    bw_flow_source(flow, "", &COUNTER, NULL);
    check_says(flow, BW_FLOW_EINVAL, "a step needs a name");

    flow = bw_flow_new(&ITEMS);
    bw_flow *other = bw_flow_new(&ITEMS);
    bw_flow_sink(flow, "out", bw_flow_source(other, "in", &COUNTER, NULL), &SEE, &seen);
    check_says(flow, BW_FLOW_EINVAL, "step \"out\": the stream it takes belongs to another flow");
    bw_flow_free(other);

    flow = bw_flow_new(&(bw_flow_items){.release = release});
    bw_flow_stream *stream = bw_flow_source(flow, "in", &COUNTER, NULL);
    bw_flow_keyed(flow, "total", stream, &totals, NULL);
    check_says(flow, BW_FLOW_EINVAL,
               "step \"total\": a keyed step needs bw_flow_items with a keys function");

    flow = bw_flow_new(&ITEMS);
    totals.slot_size = 0;
    bw_flow_keyed(flow, "total", bw_flow_source(flow, "in", &COUNTER, NULL), &totals, NULL);
    check_says(flow, BW_FLOW_EINVAL, "step \"total\": its slot_size must be at least 1");

    flow = bw_flow_new(&(bw_flow_items){.release = release});
    stream = bw_flow_source(flow, "in", &COUNTER, NULL);
    bw_flow_sink(flow, "out", stream, &SEE, &seen);
    bw_flow_sink(flow, "out 2", stream, &SEE, &seen);
    check_says(flow, BW_FLOW_EINVAL,
               "step \"in\": its stream is taken by 2 steps, which needs bw_flow_items with a retain "
               "function");

    flow = small_flow(COUNTER, twice);
    bw_flow_error error;
    CHECK_EQ(run(flow, 0, &error), BW_FLOW_EINVAL);
    CHECK(strcmp(error.text, "worker_count must be at least 1; got 0") == 0);
    CHECK_EQ(error.worker_index, BW_FLOW_NO_WORKER);
    bw_flow_free(flow);
    CHECK_EQ(seen.count, 0);
}

static uint64_t
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/// One item every 100 ms on worker 0, which says so; the other workers have nothing.
typedef struct slow {
    uint64_t due_ns;
    int left;
} slow;

static int
poll_slowly(void *state, bw_flow_emitter *out, size_t limit, uint64_t *again_ns)
{
    (void)limit;
    slow *slow = state;
    if (out->context->worker_index > 0) return BW_FLOW_END;
    CHECK(now_ns() >= slow->due_ns);  // never asked too early
    if (slow->left-- == 0) return BW_FLOW_END;
    int failed = bw_flow_emit(out, new_item(0, 1));
    if (failed) return failed;
    *again_ns = 100000000;
    slow->due_ns = now_ns() + *again_ns;
    return BW_FLOW_IDLE;
}

static void
workers_sleep_until_the_time_that_a_source_names(void)
{
    slow slow = {.left = 5};
    seen seen = {0};
    bw_flow *flow = bw_flow_new(&ITEMS);
    static const bw_flow_source_ops SLOW = {.poll = poll_slowly};
    bw_flow_stream *stream = bw_flow_source(flow, "slow", &SLOW, &slow);
    bw_flow_sink(flow, "see", bw_flow_keyed(flow, "total", stream, &TOTALS, NULL), &SEE, &seen);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    const bw_flow_options options = {.worker_count = 2, .epoch_interval_ns = 10000000000};
    CHECK_EQ(bw_flow_run(flow, &options, NULL), 0);
    getrusage(RUSAGE_SELF, &after);
    CHECK_EQ(seen.sum, 5);
    // 5 sleeps of the one, at most as many wake-ups of the other by its items, and what start and end
    // take: far from the 500 of a worker that asks each ms.
    CHECK(after.ru_nvcsw - before.ru_nvcsw < 60);
    bw_flow_free(flow);
}

static int
see_slowly(void *state, bw_flow_context *context, void **items, size_t count)
{
    if (context->worker_index == 1) {
        for (size_t i = 0; i < count; i += 128) {
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        }
    }
    return see(state, context, items, count);
}

static void
memory_is_bounded_however_slow_a_sink_is(void)
{
    static const bw_flow_sink_ops SLOW = {.write = see_slowly};
    seen seen = {0};
    bw_flow *flow = bw_flow_new(&ITEMS);
    enum { SOURCES = 12 };
    bw_flow_stream *sources[SOURCES];
    for (int i = 0; i < SOURCES; i++) sources[i] = bw_flow_source(flow, "count", &COUNTER, NULL);
    bw_flow_stream *stream = bw_flow_merge(flow, "merge", sources, SOURCES);
    bw_flow_sink(flow, "see", bw_flow_redistribute(flow, "deal", stream), &SLOW, &seen);
    check_runs(flow, 2);
    CHECK_EQ(seen.count, SOURCES * COUNT);
    // Half a window, since there is one epoch, for each of 4 pairs of workers; and what is in hand.
    CHECK(atomic_load(&most_live) < 80000);
    bw_flow_free(flow);
}

TEST_MAIN(TEST(stateless_steps_give_the_same_on_any_number_of_workers),
          TEST(keyed_state_is_one_over_all_workers_and_eof_is_in_order),
          TEST(redistribute_deals_to_all_workers_alike),
          TEST(a_stream_may_be_taken_twice_and_merged_again), TEST(what_no_step_takes_is_released),
          TEST(a_discarded_key_starts_from_zero), TEST(an_epoch_for_each_poll_changes_nothing),
          TEST(a_failure_names_step_and_worker_and_leaves_nothing_behind),
          TEST(a_function_that_breaks_its_contract_is_told_how),
          TEST(a_flow_that_is_wrong_is_refused_and_the_first_mistake_is_named),
          TEST(workers_sleep_until_the_time_that_a_source_names),
          TEST(memory_is_bounded_however_slow_a_sink_is))
