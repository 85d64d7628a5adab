#define _POSIX_C_SOURCE 200809L

#include "cluster/flow_step.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "keyed/keyed.h"

// ---- items

// How many keys are asked for at a time: they stand on the stack.
#define KEY_CHUNK 256

/// What a row of items becomes without the empty entries at its start. A key's column is all empty, as
/// the items hold their keys: so the user's functions never see one.
static void *const *
skip_empty(void *const *items, size_t *count)
{
    while (*count > 0 && *items == NULL) {
        items++;
        (*count)--;
    }
    return items;
}

static void
retain_items(void *self, void *const *items, size_t count)
{
    const bw_flow_items *user = &((bw_flow_execution *)self)->user_items;
    if (user->retain == NULL) return;
    items = skip_empty(items, &count);
    if (count > 0) user->retain(user->user, items, count);
}

static void
release_items(void *self, void *const *items, size_t count)
{
    const bw_flow_items *user = &((bw_flow_execution *)self)->user_items;
    if (user->release == NULL) return;
    items = skip_empty(items, &count);
    if (count > 0) user->release(user->user, items, count);
}

/// A keyed item is the item itself as the value, and no key: its bytes lie in the value.
static bw_status
split_items(void *self, void **items, size_t count, void **keys, uint64_t *hashes, size_t *done)
{
    const bw_flow_items *user = &((bw_flow_execution *)self)->user_items;
    bw_flow_key chunk[KEY_CHUNK];
    for (size_t start = 0; start < count; start += KEY_CHUNK) {
        size_t length = count - start < KEY_CHUNK ? count - start : KEY_CHUNK;
        user->keys(user->user, items + start, length, chunk);
        for (size_t i = 0; i < length; i++) {
            hashes[start + i] = bw_hash(chunk[i].data, chunk[i].size);
            keys[start + i] = NULL;
        }
    }
    *done = count;
    return BW_OK;
}

static void
key_bytes(void *self, void *const *keys, void *const *values, size_t count, bw_bytes *out)
{
    (void)keys;
    const bw_flow_items *user = &((bw_flow_execution *)self)->user_items;
    bw_flow_key chunk[KEY_CHUNK];
    for (size_t start = 0; start < count; start += KEY_CHUNK) {
        size_t length = count - start < KEY_CHUNK ? count - start : KEY_CHUNK;
        user->keys(user->user, values + start, length, chunk);
        for (size_t i = 0; i < length; i++) {
            out[start + i] = (bw_bytes){.data = chunk[i].data, .size = chunk[i].size};
        }
    }
}

static void *
own_key(void *self, void *key, bw_bytes *bytes)
{
    (void)self;
    BW_ASSERT(key == NULL);
    char *copy = malloc(bytes->size + 1);  // never of 0 bytes
    if (copy == NULL) return NULL;
    if (bytes->size > 0) memcpy(copy, bytes->data, bytes->size);
    bytes->data = copy;
    return copy;
}

static void
drop_key(void *self, void *owned_key)
{
    (void)self;
    free(owned_key);
}

bw_item_ops
bw_flow_item_ops(bw_flow_execution *run)
{
    return (bw_item_ops){.retain = retain_items,
                         .release = release_items,
                         .split = split_items,
                         .key_bytes = key_bytes,
                         .own_key = own_key,
                         .drop_key = drop_key,
                         .self = run};
}

// ---- instances, and what the user's functions answer

/// A step on a worker.
typedef struct instance {
    const bw_flow_stream *step;
    bw_flow_execution *run;
    bw_flow_worker *worker;
    void *state;  // of a source or sink: what open() made
    bool is_open;
    bw_keyed *keyed;  // of a keyed step
} instance;

int
bw_flow_fail(bw_flow_context *context, const char *format, ...)
{
    bw_flow_worker *worker = (bw_flow_worker *)context;
    // What is said after the first failure, when all is being ended, tells nothing new.
    if (!worker->failed) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(worker->text, sizeof worker->text, format, arguments);
        va_end(arguments);
    }
    return BW_FLOW_EUSER;
}

/// Makes a status of what a user's function (`name`) returned: up to `highest` it is a success.
static bw_status
judge(instance *instance, const char *name, int answer, int highest)
{
    bw_flow_worker *worker = instance->worker;
    if (worker->failed) return BW_EHOST;
    if (answer >= 0 && answer <= highest) {
        worker->text[0] = '\0';  // said, but not meant
        return BW_OK;
    }
    if (answer > highest) {
        bw_flow_fail(&worker->context, "%s returned %d, but must return %s or a negative number", name,
                     answer, highest == 0 ? "0" : "a BW_FLOW_ constant");
    } else if (worker->text[0] == '\0') {
        bw_flow_fail(&worker->context, "%s failed: it returned %d", name, answer);
    }
    worker->failed = true;
    worker->step = instance->step->name;
    return BW_EHOST;
}

static bw_status
new_instance(void *spec, const bw_place *place, instance **out)
{
    const bw_flow_spec *of = spec;
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return BW_ENOMEM;
    (*out)->step = of->step;
    (*out)->run = of->run;
    (*out)->worker = &of->run->workers[place->local_index];
    (*out)->state = of->step->user;
    return BW_OK;
}

// ---- emitters

/// `face` fills the engine's own batch, or, where no step takes the items, a row to be released.
typedef struct emitter {
    bw_flow_emitter face;  // first: the user's functions are given its address
    instance *instance;
    bw_output *output;
    bw_batch *batch;  // being filled; NULL: none yet
    size_t limit;     // how many it may hold, if the user was told one; else 0
    void *unwanted[64];
} emitter;

static void
fill_batch(emitter *emitter, bw_batch *batch)
{
    emitter->batch = batch;
    emitter->face.items = batch->items;
    emitter->face.count = batch->count;
    emitter->face.capacity = batch->capacity;
}

static void
begin_emitting(emitter *emitter, instance *instance, bw_output *output)
{
    emitter->face.context = &instance->worker->context;
    emitter->face.items = emitter->unwanted;
    emitter->face.count = 0;
    emitter->face.capacity = output->wanted ? 0 : sizeof emitter->unwanted / sizeof(void *);
    emitter->instance = instance;
    emitter->output = output;
    emitter->batch = NULL;
    emitter->limit = 0;
    if (output->wanted && output->open != NULL) fill_batch(emitter, output->open);
}

static void
release_one(instance *instance, void *item)
{
    release_items(instance->run, &item, 1);
}

/// Lets go of what is in the face, which may then be filled anew.
static void
end_emitting(emitter *emitter)
{
    if (emitter->batch != NULL) {
        emitter->batch->count = (uint32_t)emitter->face.count;
        return;
    }
    release_items(emitter->instance->run, emitter->face.items, emitter->face.count);
    emitter->face.count = 0;
}

static bw_status
make_room(emitter *emitter)
{
    end_emitting(emitter);
    if (!emitter->output->wanted) return BW_OK;
    bw_status status = bw_output_start(emitter->output, BW_SHAPE_PLAIN);
    if (status == BW_OK) fill_batch(emitter, emitter->output->open);
    return status;
}

int
bw_flow_emit_slowly(bw_flow_emitter *face, void *item)
{
    emitter *emitter = (struct emitter *)face;
    if (emitter->limit > 0) {
        release_one(emitter->instance, item);
        return bw_flow_fail(face->context, "poll emitted more than its limit of %zu items",
                            emitter->limit);
    }
    if (make_room(emitter) != BW_OK) {
        release_one(emitter->instance, item);
        bw_flow_fail(face->context, "out of memory");
        return BW_FLOW_ENOMEM;
    }
    return bw_flow_emit(face, item);
}

// ---- kernels

static bw_status
open_kernel(void *spec, const bw_place *place, bw_names *names, void **out)
{
    (void)names;
    instance *made;
    bw_status status = new_instance(spec, place, &made);
    if (status == BW_OK) *out = made;
    return status;
}

static void
drop_kernel(void *kernel)
{
    free(kernel);
}

/// Hands the batch on, if anybody takes it; else the engine releases its items.
static void
forward(bw_batch **batch, bw_output *output)
{
    if (!output->wanted || (*batch)->count == 0) return;
    bw_output_forward(output, *batch);
    *batch = NULL;
}

static bw_status
map_batch(void *kernel, bw_batch **batch, bw_output *output)
{
    instance *me = kernel;
    int answer =
        me->step->ops.map(me->step->user, &me->worker->context, (*batch)->items, (*batch)->count);
    bw_status status = judge(me, "map", answer, 0);
    if (status == BW_OK) forward(batch, output);
    return status;
}

/// Moves the items that are kept to the front, in order, and releases the others.
static void
keep_items(instance *instance, bw_batch *batch, const bool *keep)
{
    void *dropped[BW_BATCH_ITEMS];
    uint32_t kept = 0, dropped_count = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        void *item = batch->items[i];
        // Both are stored and one is counted: no branch for the processor to guess.
        batch->items[kept] = item;
        dropped[dropped_count] = item;
        kept += keep[i];
        dropped_count += !keep[i];
    }
    batch->count = kept;
    release_items(instance->run, dropped, dropped_count);
}

static bw_status
filter_batch(void *kernel, bw_batch **batch, bw_output *output)
{
    instance *me = kernel;
    bool keep[BW_BATCH_ITEMS + 1] = {false};
    BW_ASSERT((*batch)->count <= BW_BATCH_ITEMS);
    int answer = me->step->ops.filter(me->step->user, &me->worker->context, (*batch)->items,
                                      (*batch)->count, keep);
    bw_status status = judge(me, "filter", answer, 0);
    if (status != BW_OK) return status;
    keep_items(me, *batch, keep);
    forward(batch, output);
    return BW_OK;
}

static bw_status
flat_map_batch(void *kernel, bw_batch **batch, bw_output *output)
{
    instance *me = kernel;
    emitter out;
    begin_emitting(&out, me, output);
    int answer = me->step->ops.flat_map(me->step->user, &out.face, (*batch)->items, (*batch)->count);
    end_emitting(&out);
    return judge(me, "flat_map", answer, 0);
}

static bw_status
forward_batch(void *kernel, bw_batch **batch, bw_output *output)
{
    (void)kernel;
    forward(batch, output);
    return BW_OK;
}

static const bw_kernel_ops MAP = {.open = open_kernel, .on_batch = map_batch, .drop = drop_kernel};
static const bw_kernel_ops FILTER = {.open = open_kernel, .on_batch = filter_batch, .drop = drop_kernel};
static const bw_kernel_ops FLAT_MAP = {
    .open = open_kernel, .on_batch = flat_map_batch, .drop = drop_kernel};
static const bw_kernel_ops FORWARD = {
    .open = open_kernel, .on_batch = forward_batch, .drop = drop_kernel};

// ---- keyed state

static bw_status
keyed_on_items(void *logic, bw_keyed *keyed, void *const *slots, void **values, size_t count,
               bw_output *output)
{
    (void)keyed;
    instance *me = logic;
    emitter out;
    begin_emitting(&out, me, output);
    int answer = me->step->ops.keyed.on_items(me->step->user, &out.face, slots, values, count);
    end_emitting(&out);
    return judge(me, "on_items", answer, 0);
}

static bw_status
keyed_on_eof(void *logic, bw_keyed *keyed, void *slot, bw_output *output)
{
    (void)keyed;
    instance *me = logic;
    if (me->step->ops.keyed.on_eof == NULL) return BW_OK;
    emitter out;
    begin_emitting(&out, me, output);
    int answer = me->step->ops.keyed.on_eof(me->step->user, &out.face, bw_flow_slot_key(slot), slot);
    end_emitting(&out);
    return judge(me, "on_eof", answer, 0);
}

static void
keyed_clear(void *logic, void *slot)
{
    instance *me = logic;
    if (me->step->ops.keyed.clear != NULL) me->step->ops.keyed.clear(me->step->user, slot);
}

static const bw_keyed_ops KEYED_LOGIC = {
    .on_items = keyed_on_items, .on_eof = keyed_on_eof, .clear = keyed_clear};

void
bw_flow_discard(bw_flow_emitter *out, void *slot)
{
    bw_keyed_discard(((emitter *)out)->instance->keyed, slot);
}

bw_flow_key
bw_flow_slot_key(void *slot)
{
    bw_bytes bytes = bw_keyed_key(slot);
    return (bw_flow_key){.data = bytes.data, .size = bytes.size};
}

static bw_status
open_keyed(void *spec, const bw_place *place, bw_names *names, void **out)
{
    (void)names;
    instance *made;
    bw_status status = new_instance(spec, place, &made);
    if (status != BW_OK) return status;
    status = bw_keyed_new(&KEYED_LOGIC, made, made->step->ops.keyed.slot_size, &made->run->items,
                          &made->keyed);
    if (status != BW_OK) {
        free(made);
        return status;
    }
    *out = made;
    return BW_OK;
}

static bw_status
keyed_batch(void *kernel, bw_batch **batch, bw_output *output)
{
    return bw_keyed_on_batch(((instance *)kernel)->keyed, *batch, output);
}

static bw_status
close_keyed(void *kernel, bw_epoch epoch, bool ended, bw_output *output)
{
    (void)epoch;
    return bw_keyed_on_close(((instance *)kernel)->keyed, ended, output);
}

static void
drop_keyed(void *kernel)
{
    bw_keyed_free(((instance *)kernel)->keyed);
    free(kernel);
}

static const bw_kernel_ops KEYED = {
    .open = open_keyed, .on_batch = keyed_batch, .on_close = close_keyed, .drop = drop_keyed};

// ---- sources and sinks: what has a state of its own on each worker

typedef int open_fn(void *user, bw_flow_context *context, void **state);
typedef int close_fn(void *state, bw_flow_context *context);

static bw_status
open_stateful(void *spec, const bw_place *place, open_fn *open, void **out)
{
    instance *made;
    bw_status status = new_instance(spec, place, &made);
    if (status != BW_OK) return status;
    if (open != NULL) {
        int answer = open(made->step->user, &made->worker->context, &made->state);
        status = judge(made, "open", answer, 0);
    }
    if (status != BW_OK) {
        free(made);
        return status;
    }
    made->is_open = true;
    *out = made;
    return BW_OK;
}

static bw_status
close_stateful(instance *instance, close_fn *close)
{
    if (!instance->is_open) return BW_OK;
    instance->is_open = false;
    if (close == NULL) return BW_OK;
    return judge(instance, "close", close(instance->state, &instance->worker->context), 0);
}

/// After a failure: there is nobody left to tell if closing fails too.
static void
drop_stateful(instance *instance, close_fn *close)
{
    bw_status status = close_stateful(instance, close);
    (void)status;
    free(instance);
}

static bw_status
open_source(void *spec, const bw_place *place, bw_names *names, void **out)
{
    (void)names;
    return open_stateful(spec, place, ((bw_flow_spec *)spec)->step->ops.source.open, out);
}

static size_t
count_parts(void *source)
{
    (void)source;
    return 1;
}

static bool
source_may_block(void *source, size_t part)
{
    (void)part;
    return ((instance *)source)->step->ops.source.may_block;
}

static bw_status
poll_source(void *source, size_t part, size_t limit, bw_batch *batch, uint64_t *awake_ns)
{
    (void)part;
    instance *me = source;
    // The batch is made already: an output that cannot start another one.
    bw_output output = {.epoch = batch->epoch, .wanted = true, .open = batch};
    emitter out;
    begin_emitting(&out, me, &output);
    out.limit = out.face.capacity = limit;
    uint64_t again_ns = 0;
    int answer = me->step->ops.source.poll(me->state, &out.face, limit, &again_ns);
    end_emitting(&out);
    bw_status status = judge(me, "poll", answer, BW_FLOW_END);
    if (status != BW_OK) return status;
    if (answer == BW_FLOW_END) return BW_CLOSED;
    if (answer == BW_FLOW_MORE) return BW_OK;
    bw_clock clock = bw_clock_real();
    *awake_ns = again_ns == 0 ? BW_AWAKE_SOON : bw_time_after(bw_clock_now_ns(&clock), again_ns);
    return BW_EMPTY;
}

static bw_status
close_source(void *source, size_t part)
{
    (void)part;
    return close_stateful(source, ((instance *)source)->step->ops.source.close);
}

static void
drop_source(void *source)
{
    drop_stateful(source, ((instance *)source)->step->ops.source.close);
}

static const bw_source_ops SOURCE = {.open = open_source,
                                     .part_count = count_parts,
                                     .may_block = source_may_block,
                                     .poll = poll_source,
                                     .close = close_source,
                                     .drop = drop_source};

static bw_status
open_sink(void *spec, const bw_place *place, bw_names *names, void **out)
{
    (void)names;
    return open_stateful(spec, place, ((bw_flow_spec *)spec)->step->ops.sink.open, out);
}

static bw_status
write_batch(void *kernel, bw_batch **batch, bw_output *output)
{
    (void)output;
    instance *me = kernel;
    int answer =
        me->step->ops.sink.write(me->state, &me->worker->context, (*batch)->items, (*batch)->count);
    return judge(me, "write", answer, 0);
}

static bw_status
flush_sink(void *kernel)
{
    instance *me = kernel;
    if (!me->is_open || me->step->ops.sink.flush == NULL) return BW_OK;
    return judge(me, "flush", me->step->ops.sink.flush(me->state, &me->worker->context), 0);
}

static bw_status
close_sink(void *kernel, bw_epoch epoch, bool ended, bw_output *output)
{
    (void)epoch;
    (void)output;
    if (!ended) return BW_OK;
    bw_status status = flush_sink(kernel);
    if (status != BW_OK) return status;
    return close_stateful(kernel, ((instance *)kernel)->step->ops.sink.close);
}

static void
drop_sink(void *kernel)
{
    drop_stateful(kernel, ((instance *)kernel)->step->ops.sink.close);
}

static const bw_kernel_ops SINK = {.open = open_sink,
                                   .on_batch = write_batch,
                                   .on_close = close_sink,
                                   .flush = flush_sink,
                                   .drop = drop_sink};

// ---- descriptions

static const bw_kernel_ops *
kernel_of(bw_flow_kind kind)
{
    switch (kind) {
    case BW_FLOW_SOURCE:
        return NULL;
    case BW_FLOW_MAP:
        return &MAP;
    case BW_FLOW_FILTER:
        return &FILTER;
    case BW_FLOW_FLAT_MAP:
        return &FLAT_MAP;
    case BW_FLOW_KEYED:
        return &KEYED;
    case BW_FLOW_REDISTRIBUTE:
    case BW_FLOW_MERGE:
        return &FORWARD;
    case BW_FLOW_SINK:
        return &SINK;
    }
    return NULL;
}

bw_step
bw_flow_describe(bw_flow_spec *spec)
{
    const bw_flow_stream *step = spec->step;
    bw_route route = step->kind == BW_FLOW_KEYED          ? BW_ROUTE_KEY
                     : step->kind == BW_FLOW_REDISTRIBUTE ? BW_ROUTE_DEAL
                                                          : BW_ROUTE_LOCAL;
    return (bw_step){.step_id = step->name,
                     .source = step->kind == BW_FLOW_SOURCE ? &SOURCE : NULL,
                     .kernel = kernel_of(step->kind),
                     .spec = spec,
                     .ups = step->ups,
                     .up_count = step->up_count,
                     .route = route,
                     .aligned = step->kind == BW_FLOW_KEYED};
}
