#include "testing/number_flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "net/frame.h"

static uint64_t
number_of(const void *item)
{
    return (uint64_t)(uintptr_t)item;
}

static void *
item_of(uint64_t number)
{
    return (void *)(uintptr_t)number;
}

/// Keys are numbers too, from 1 on.
static uint64_t
key_of(uint64_t number)
{
    return number % NUMBER_KEYS + 1;
}

static uint64_t
hash_of(uint64_t key)
{
    return bw_hash(&key, sizeof key);
}

// ---- items

static void
ignore(void *self, void *const *items, size_t count)
{
    (void)self;
    (void)items;
    (void)count;
}

static bw_status
split(void *self, void **items, size_t count, void **keys, uint64_t *hashes, size_t *done)
{
    (void)self;
    for (size_t i = 0; i < count; i++) {
        uint64_t key = key_of(number_of(items[i]));
        keys[i] = item_of(key);
        hashes[i] = hash_of(key);
    }
    *done = count;
    return BW_OK;
}

// As bytes: for each item a number and the padding. What else there is follows from the number.

static bw_status
encode(void *self, const bw_batch *batch, bw_writer *writer)
{
    const number_flow *flow = self;
    static const uint8_t PADDING[100];
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t number = number_of(batch->items[i]);
        if (number == flow->encode_fails_at) return BW_EHOST;
        bw_status status = bw_writer_reserve(writer, 8);
        if (status != BW_OK) return status;
        bw_put_u64(writer->at, number);
        writer->at += 8;
        for (uint32_t left = flow->padding; left > 0 && status == BW_OK;) {
            uint32_t part = left < sizeof PADDING ? left : (uint32_t)sizeof PADDING;
            status = bw_writer_put(writer, PADDING, part);
            left -= part;
        }
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

static bw_status
decode(void *self, const uint8_t *bytes, size_t size, uint32_t count, bw_batch *batch)
{
    number_flow *flow = self;
    if (size != (size_t)count * (8u + flow->padding)) return BW_ECORRUPT;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = bw_get_u64(bytes + i * (8u + (size_t)flow->padding));
        if (number == flow->decode_fails_at) {
            batch->count = 0;
            return BW_EHOST;
        }
        if (batch->shape == BW_SHAPE_PLAIN) {
            bw_batch_push(batch, item_of(number));
        } else if (batch->shape == BW_SHAPE_KEYED) {
            uint64_t key = key_of(number);
            bw_batch_push_keyed(batch, item_of(key), hash_of(key), item_of(number));
        } else {
            bw_batch_push_keyed(batch, NULL, number % NUMBER_PARTS, item_of(number));
        }
    }
    atomic_fetch_add(&flow->decoded, count);
    return BW_OK;
}

// ---- steps

typedef struct instance {
    number_flow *flow;
    uint32_t worker;
    uint64_t next, left;     // of a source
    const uint32_t *owners;  // of a sink
} instance;

static bw_status
open_any(void *spec, const bw_place *place, bw_names *names, void **out)
{
    (void)names;
    number_flow *flow = spec;
    instance *instance = calloc(1, sizeof *instance);
    if (instance == NULL) return BW_ENOMEM;
    instance->flow = flow;
    instance->worker = place->worker_index;
    instance->left = flow->per_worker;
    instance->next = place->worker_index * flow->per_worker + 1;
    atomic_fetch_add(&flow->live, 1);
    *out = instance;
    return BW_OK;
}

static void
drop(void *self)
{
    instance *instance = self;
    atomic_fetch_sub(&instance->flow->live, 1);
    free(instance);
}

static size_t
one_part(void *source)
{
    (void)source;
    return 1;
}

static bool
never(void *source, size_t part)
{
    (void)source;
    (void)part;
    return false;
}

static bw_status
poll_numbers(void *self, size_t part, size_t limit, bw_batch *batch, uint64_t *awake_ns)
{
    (void)part;
    instance *instance = self;
    for (size_t i = 0; i < limit && instance->left > 0; i++, instance->left--) {
        bw_batch_push(batch, item_of(instance->next++));
    }
    if (instance->left > 0) return BW_OK;
    if (!instance->flow->waits) return BW_CLOSED;
    atomic_fetch_add(&instance->flow->waiting, 1);
    *awake_ns = BW_TIME_NEVER;
    return BW_EMPTY;
}

static void
count(number_tally *tally, const bw_batch *batch)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < batch->count; i++) sum += number_of(batch->items[i]);
    atomic_fetch_add(&tally->count, batch->count);
    atomic_fetch_add(&tally->sum, sum);
}

static bw_status
pass_on(void *self, bw_batch **batch, bw_output *output)
{
    instance *instance = self;
    if ((*batch)->shape != BW_SHAPE_PLAIN) atomic_store(&instance->flow->misled, true);
    count(&instance->flow->dealt, *batch);
    bw_output_forward(output, *batch);
    *batch = NULL;
    return BW_OK;
}

static bw_status
sum_by_key(void *self, bw_batch **batch, bw_output *output)
{
    instance *instance = self;
    number_flow *flow = instance->flow;
    if ((*batch)->shape != BW_SHAPE_KEYED) atomic_store(&flow->misled, true);
    for (uint32_t i = 0; i < (*batch)->count; i++) {
        uint64_t number = number_of((*batch)->items[i]), key = number_of((*batch)->keys[i]);
        if (number == flow->keyed_fails_at) return BW_EHOST;
        if (key != key_of(number) || (*batch)->hashes[i] != hash_of(key)) {
            atomic_store(&flow->misled, true);
        }
        atomic_fetch_add(&flow->by_key[key - 1], number);
        bw_status status = bw_output_push(output, (*batch)->items[i]);
        if (status != BW_OK) return status;
    }
    count(&flow->keyed, *batch);
    (*batch)->count = 0;
    return BW_OK;
}

static bw_status
open_sink(void *spec, const bw_place *place, bw_names *names, void **out)
{
    // Each worker knows of but a few: all must hear of all.
    for (uint32_t i = place->worker_index % 2; i < NUMBER_PARTS; i += 2) {
        char name[4] = {(char)('0' + i)};
        bw_status status = bw_names_add(names, name, 1);
        if (status != BW_OK) return status;
    }
    return open_any(spec, place, names, out);
}

static bw_status
build_sink(void *self, const bw_names *names, const uint32_t *owners)
{
    instance *instance = self;
    instance->owners = owners;
    if (names->count != NUMBER_PARTS) atomic_store(&instance->flow->misled, true);
    return BW_OK;
}

static bw_status
route_to_part(void *self, void **items, size_t count, void **keys, uint64_t *hashes, size_t *done)
{
    (void)self;
    for (size_t i = 0; i < count; i++) {
        keys[i] = NULL;
        hashes[i] = number_of(items[i]) % NUMBER_PARTS;
    }
    *done = count;
    return BW_OK;
}

static bw_status
take_in(void *self, bw_batch **batch, bw_output *output)
{
    (void)output;
    instance *instance = self;
    for (uint32_t i = 0; i < (*batch)->count; i++) {
        uint64_t part = (*batch)->hashes[i];
        if (part != number_of((*batch)->items[i]) % NUMBER_PARTS ||
            instance->owners[part] != instance->worker) {
            atomic_store(&instance->flow->misled, true);
        }
    }
    count(&instance->flow->parted, *batch);
    (*batch)->count = 0;
    return BW_OK;
}

static const bw_source_ops SOURCE = {
    .open = open_any, .part_count = one_part, .may_block = never, .poll = poll_numbers, .drop = drop};
static const bw_kernel_ops PASS = {.open = open_any, .on_batch = pass_on, .drop = drop};
static const bw_kernel_ops SUM = {.open = open_any, .on_batch = sum_by_key, .drop = drop};
static const bw_kernel_ops SINK = {
    .open = open_sink, .build = build_sink, .route = route_to_part, .on_batch = take_in, .drop = drop};

static uint32_t
add(number_flow *flow, const char *label, const bw_kernel_ops *kernel, uint32_t up, bw_route route)
{
    const bw_step step = {.step_id = label,
                          .kernel = kernel,
                          .spec = flow,
                          .ups = &up,
                          .up_count = 1,
                          .route = route,
                          .aligned = route == BW_ROUTE_KEY,
                          .has_parts = route == BW_ROUTE_PART};
    uint32_t index;
    bw_status status = bw_graph_add(flow->graph, &step, &index);
    BW_ASSERT(status == BW_OK);
    return index;
}

void
number_flow_init(number_flow *flow)
{
    bw_status status = bw_graph_new(&flow->graph);
    BW_ASSERT(status == BW_OK);
    const bw_step source = {.step_id = "numbers", .source = &SOURCE, .spec = flow};
    uint32_t index;
    status = bw_graph_add(flow->graph, &source, &index);
    BW_ASSERT(status == BW_OK);
    index = add(flow, "dealt", &PASS, index, BW_ROUTE_DEAL);
    index = add(flow, "keyed", &SUM, index, BW_ROUTE_KEY);
    add(flow, "parted", &SINK, index, BW_ROUTE_PART);
}

void
number_flow_fini(number_flow *flow)
{
    bw_graph_free(flow->graph);
}

bw_execution
number_flow_execution(number_flow *flow)
{
    return (bw_execution){.graph = flow->graph,
                          .items = {.retain = ignore,
                                    .release = ignore,
                                    .split = split,
                                    .encode = encode,
                                    .decode = decode,
                                    .self = flow},
                          .clock = bw_clock_real(),
                          .epoch_interval_ns = BW_NS_PER_MS,
                          .window_items = BW_WINDOW_ITEMS};
}
