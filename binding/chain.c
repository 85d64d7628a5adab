#include "chain.h"

#include "stage.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "key.h"
#include "raise.h"

// After how many items within one activation signals and other threads get their turn: a millisecond's
// work of the fastest functions. Slower ones are in Python, which sees to it itself.
#define BREATH_ITEMS 16384

typedef struct chain {
    const bw_plan *plan;
    bw_place place;
    bw_stage *stages;
    uint32_t count;
    const bw_stage_spec *keyed;    // the step to which the items go by key; NULL: to none
    _Atomic(PyObject *) *current;  // this worker's entry in plan->current
    bw_epoch epoch;                // of the present activation
    bw_output *output;             // likewise
    uint32_t unbreathed;           // items since the last look at the clock
    uint64_t breathed_ns;          // when others last got their turn
} chain;

// ---- one item through one step

/// Every user function of this file is called between these words, so that a worker which does not
/// come back can be asked where it is.
static inline void
enter(const chain *self, const bw_stage *stage)
{
    atomic_store_explicit(self->current, stage->label, memory_order_relaxed);
}

/// Replaces the item by the function's result.
static inline bw_outcome
map(const bw_stage *stage, PyObject **item)
{
    PyObject *result = bw_call1(stage->function, *item);
    Py_DECREF(*item);
    *item = result;
    if (result != NULL) return BW_GOES_ON;
    bw_raise_user(stage->plan->state, "error calling `map` mapper", stage->label);
    return BW_FAILED;
}

static inline bw_outcome
filter_map(const bw_stage *stage, PyObject **item)
{
    bw_outcome outcome = map(stage, item);
    if (outcome != BW_GOES_ON || *item != Py_None) return outcome;
    Py_DECREF(*item);
    return BW_DROPPED;
}

static inline bw_outcome
filter(const bw_stage *stage, PyObject **item)
{
    PyObject *result = bw_call1(stage->function, *item);
    if (result == Py_True) {
        Py_DECREF(result);
        return BW_GOES_ON;
    }
    bw_outcome outcome = BW_DROPPED;
    if (result == NULL) {
        bw_note_user(stage->label);
        outcome = BW_FAILED;
    } else if (result != Py_False) {
        bw_raise_about(PyExc_TypeError,
                       "return value of `predicate` in filter operator must be a bool; got `%U` instead "
                       "in step %R",
                       result, stage->label);
        outcome = BW_FAILED;
    }
    Py_XDECREF(result);
    Py_DECREF(*item);
    return outcome;
}

static bw_outcome
inspect(const chain *self, const bw_stage *stage, PyObject **item)
{
    PyObject *result;
    const char *phrase = "error calling `inspect` inspector";
    if (stage->kind == BW_STAGE_INSPECT) {
        result = bw_call1(stage->function, *item);
    } else {
        phrase = "error calling `inspect_epoch` inspector";
        PyObject *epoch = PyLong_FromUnsignedLongLong(self->epoch);
        result = epoch == NULL ? NULL : bw_call2(stage->function, epoch, *item);
        Py_XDECREF(epoch);
    }
    if (result != NULL) {
        Py_DECREF(result);
        return BW_GOES_ON;
    }
    bw_raise_user(stage->plan->state, phrase, stage->label);
    Py_DECREF(*item);
    return BW_FAILED;
}

/// A pair that reached a keyed step without an exchange.
static inline bw_outcome
on_pair(bw_stage *stage, PyObject **item)
{
    PyObject *key, *value, *pair = *item;
    bw_bytes bytes;
    bw_outcome outcome = BW_FAILED;
    if (bw_key_split(pair, stage->label, &key, &value, &bytes) == 0) {
        outcome = bw_stage_on_value(stage, key, bytes, bw_hash(bytes.data, bytes.size), value, item);
    }
    Py_DECREF(pair);
    return outcome;
}

/// A fresh pair with a plain key: the item itself if it is that already.
static PyObject *
plain_pair(PyObject *item, PyObject *key, PyObject *value)
{
    if (PyTuple_CheckExact(item) && PyUnicode_CheckExact(key)) return Py_NewRef(item);
    PyObject *plain = bw_key_plain(key);
    if (plain == NULL) return NULL;
    PyObject *pair = PyTuple_Pack(2, plain, value);
    Py_DECREF(plain);
    return pair;
}

/// A pair that reached a partitioned output without an exchange.
static bw_outcome
write_pair(bw_stage *stage, PyObject **item)
{
    PyObject *key, *value, *pair = *item;
    bw_bytes bytes;
    *item = NULL;
    if (bw_key_split(pair, stage->label, &key, &value, &bytes) == 0) {
        Py_ssize_t index = bw_stage_assign(stage, key);
        if (index >= 0 && bw_stage_write_part(stage, (size_t)index, key, value) == 0) {
            *item = plain_pair(pair, key, value);
        }
    }
    Py_DECREF(pair);
    return *item == NULL ? BW_FAILED : BW_GOES_ON;
}

static inline bw_outcome
write_item(const chain *self, bw_stage *stage, PyObject **item)
{
    if (bw_stage_write(stage, self->epoch, *item) == 0) return BW_GOES_ON;
    Py_DECREF(*item);
    return BW_FAILED;
}

/// Every step but flat_map. The item is the caller's again only if it goes on.
static inline bw_outcome
step(const chain *self, bw_stage *stage, PyObject **item)
{
    enter(self, stage);
    switch (stage->kind) {
    case BW_STAGE_MAP:
        return map(stage, item);
    case BW_STAGE_FILTER_MAP:
        return filter_map(stage, item);
    case BW_STAGE_FILTER:
        return filter(stage, item);
    case BW_STAGE_INSPECT:
    case BW_STAGE_INSPECT_EPOCH:
        return inspect(self, stage, item);
    case BW_STAGE_REDUCE:
    case BW_STAGE_STATEFUL_MAP:
        return on_pair(stage, item);
    case BW_STAGE_PARTITIONED_OUTPUT:
        return write_pair(stage, item);
    case BW_STAGE_DYNAMIC_OUTPUT:
    case BW_STAGE_DYNAMIC_OUTPUT_EPOCH:
        return write_item(self, stage, item);
    case BW_STAGE_FLAT_MAP:
    case BW_STAGE_PARTITIONED_INPUT:
    case BW_STAGE_DYNAMIC_INPUT:
        break;
    }
    Py_UNREACHABLE();
}

// ---- items through the rest of the chain

static void
release(PyObject **items, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) Py_DECREF(items[i]);
}

/// Hands on a pair that goes to another worker by its key: split at once, so that no tuple waits for the
/// end of the activation, where the garbage collector would walk over it.
static int
emit_pair(const chain *self, PyObject *pair)
{
    PyObject *key, *value, *plain = NULL;
    bw_bytes bytes;
    if (bw_key_split(pair, self->keyed->label, &key, &value, &bytes) == 0) plain = bw_key_plain(key);
    int error = -1;
    if (plain != NULL) {
        uint64_t hash = bw_hash(bytes.data, bytes.size);
        Py_INCREF(value);
        if (bw_output_push_keyed(self->output, plain, hash, value) == BW_OK) {
            error = 0;
        } else {
            Py_DECREF(plain);
            Py_DECREF(value);
            PyErr_NoMemory();
        }
    }
    Py_DECREF(pair);
    return error;
}

/// Hands an item (a reference, taken over) on to the next step of the graph. 0 or -1.
static inline int
emit(const chain *self, PyObject *item)
{
    if (!self->output->wanted) {
        Py_DECREF(item);
        return 0;
    }
    if (self->keyed != NULL) return emit_pair(self, item);
    if (bw_output_push(self->output, item) == BW_OK) return 0;
    Py_DECREF(item);
    PyErr_NoMemory();
    return -1;
}

/// Lets signals and other threads in after items that may have met nothing but functions in C, which
/// don't. 0, or -1 with an exception.
static int
breathe(chain *self, Py_ssize_t count)
{
    self->unbreathed += (uint32_t)count;
    if (self->unbreathed < BREATH_ITEMS) return 0;
    self->unbreathed = 0;
    const bw_clock clock = bw_clock_real();
    uint64_t now_ns = bw_clock_now_ns(&clock);
    if (now_ns - self->breathed_ns >= BW_BREATH_NS) {
        self->breathed_ns = now_ns;
        bw_breathe();
    }
    if (!atomic_load_explicit(&self->plan->broken_off, memory_order_relaxed)) {
        return PyErr_CheckSignals();
    }
    PyErr_SetNone(self->plan->state->WorkerStop);
    return -1;
}

/// True of what breaks a run off (KeyboardInterrupt, SystemExit, ...): items under way are given up.
static bool
breaks_off(PyObject *exception)
{
    return !PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_Exception);
}

static int expand(chain *self, uint32_t at, PyObject *item);

/// Items through one step, in place. Returns how many went on. If one fails, those before it do (unless
/// the run is broken off), the rest is gone, and `*failure` becomes the exception, in place of an older
/// one of a later item.
static Py_ssize_t
step_all(const chain *self, bw_stage *stage, PyObject **items, Py_ssize_t count, PyObject **failure)
{
    Py_ssize_t kept = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = items[i];
        bw_outcome outcome = step(self, stage, &item);
        if (outcome == BW_GOES_ON) {
            items[kept++] = item;
        } else if (outcome == BW_FAILED) {
            Py_XSETREF(*failure, PyErr_GetRaisedException());
            release(items + i + 1, count - i - 1);
            if (!breaks_off(*failure)) break;
            release(items, kept);
            return 0;
        }
    }
    return kept;
}

/// What one item has become goes on step by step, all of it through one before the next, as upstream's
/// programs see it. If one fails, those before it still reach the end. Takes the items over. 0 or -1.
static int
run_items(chain *self, uint32_t at, PyObject **items, Py_ssize_t count)
{
    PyObject *failure = NULL;  // owned
    for (; at < self->count && self->stages[at].kind != BW_STAGE_FLAT_MAP; at++) {
        count = step_all(self, &self->stages[at], items, count, &failure);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        int error = at < self->count ? expand(self, at, items[i]) : emit(self, items[i]);
        if (error == 0) continue;
        Py_XSETREF(failure, PyErr_GetRaisedException());
        release(items + i + 1, count - i - 1);
        break;
    }
    if (failure == NULL) return 0;
    PyErr_SetRaisedException(failure);
    return -1;
}

/// An item (a reference, taken over) through all steps from `at` on. 0 or -1.
static inline int
run_item(chain *self, uint32_t at, PyObject *item)
{
    for (; at < self->count; at++) {
        bw_stage *stage = &self->stages[at];
        if (stage->kind == BW_STAGE_FLAT_MAP) return expand(self, at, item);
        bw_outcome outcome = step(self, stage, &item);
        if (outcome != BW_GOES_ON) return outcome == BW_DROPPED ? 0 : -1;
    }
    return emit(self, item);
}

static int
expand_list(chain *self, uint32_t at, PyObject *list)
{
    PyObject **buffer = self->stages[at].buffer;
    for (Py_ssize_t i = 0;;) {
        Py_ssize_t count = bw_list_copy(list, i, buffer, BW_STAGE_BUFFER);
        if (count == 0) return 0;
        i += count;
        if (run_items(self, at + 1, buffer, count) != 0 || breathe(self, count) != 0) return -1;
    }
}

static int
expand_iterator(chain *self, uint32_t at, PyObject *iterator)
{
    PyObject **buffer = self->stages[at].buffer;
    for (;;) {
        Py_ssize_t count = 0;
        PyObject *item = NULL;
        while (count < BW_STAGE_BUFFER && (item = PyIter_Next(iterator)) != NULL) {
            buffer[count++] = item;
        }
        if (item == NULL && PyErr_Occurred()) {
            bw_note_user(self->stages[at].label);
            release(buffer, count);  // the item that failed: nothing of it goes on
            return -1;
        }
        if (run_items(self, at + 1, buffer, count) != 0 || breathe(self, count) != 0) return -1;
        if (item == NULL) return 0;
        enter(self, &self->stages[at]);
    }
}

static int
expand_iterable(chain *self, uint32_t at, PyObject *iterable)
{
    PyObject *iterator = PyObject_GetIter(iterable);
    if (iterator == NULL) {
        bw_note_user(self->stages[at].label);
        return -1;
    }
    int error = expand_iterator(self, at, iterator);
    Py_DECREF(iterator);
    return error;
}

/// A flat_map: an item (a reference, taken over) becomes as many as its function's result has.
static int
expand(chain *self, uint32_t at, PyObject *item)
{
    const bw_stage *stage = &self->stages[at];
    enter(self, stage);
    PyObject *made = bw_call1(stage->function, item);
    Py_DECREF(item);
    if (made == NULL) {
        bw_raise_user(self->plan->state, "error calling `flat_map` mapper", stage->label);
        return -1;
    }
    int error = PyList_CheckExact(made) ? expand_list(self, at, made) : expand_iterable(self, at, made);
    Py_DECREF(made);
    return error;
}

// ---- the kernel

/// A pair that an exchange brought to the first step. Takes key and value over.
static int
run_routed(chain *self, bw_shape shape, PyObject *key, uint64_t hash, PyObject *value)
{
    bw_stage *stage = &self->stages[0];
    PyObject *item = NULL;
    bw_outcome outcome = BW_FAILED;
    enter(self, stage);
    if (shape == BW_SHAPE_KEYED) {
        bw_bytes bytes;
        if (bw_key_bytes(key, &bytes) == 0) {
            outcome = bw_stage_on_value(stage, key, bytes, hash, value, &item);
        }
    } else if (bw_stage_write_part(stage, hash, key, value) == 0) {
        outcome = BW_DROPPED;
        if (self->count > 1 || self->output->wanted) {
            item = PyTuple_Pack(2, key, value);
            outcome = item == NULL ? BW_FAILED : BW_GOES_ON;
        }
    }
    Py_DECREF(key);
    Py_DECREF(value);
    if (outcome != BW_GOES_ON) return outcome == BW_DROPPED ? 0 : -1;
    return run_item(self, 1, item);
}

static bw_status
chain_on_batch(void *kernel, bw_batch **batch_in_out, bw_output *output)
{
    chain *self = kernel;
    bw_batch *batch = *batch_in_out;
    self->epoch = batch->epoch;
    self->output = output;
    PyObject **items = (PyObject **)batch->items, **keys = (PyObject **)batch->keys;
    uint32_t count = batch->count, i = 0;
    batch->count = 0;  // all are taken over, whatever happens
    int error = 0;
    if (batch->shape == BW_SHAPE_PLAIN) {
        for (; i < count && error == 0; i++) error = run_item(self, 0, items[i]);
    } else {
        for (; i < count && error == 0; i++) {
            error = run_routed(self, batch->shape, keys[i], batch->hashes[i], items[i]);
        }
        if (error != 0) release(keys + i, count - i);
    }
    if (error == 0) return BW_OK;
    release(items + i, count - i);
    return BW_EHOST;
}

// Keys of a large data set lie anywhere in memory: each is asked for so many items before its turn comes.
#define KEYS_AHEAD 8

/// Only a hint to the processor: an item that is none with a key is refused in its turn.
static inline void
fetch_key(PyObject *item)
{
    if (PyTuple_Check(item) && PyTuple_GET_SIZE(item) > 0) __builtin_prefetch(PyTuple_GET_ITEM(item, 0));
}

static bw_status
chain_route(void *kernel, void **items, size_t count, void **keys, uint64_t *hashes, size_t *done)
{
    chain *self = kernel;
    bw_stage *stage = &self->stages[0];
    enter(self, stage);
    for (size_t i = 0; i < count; i++) {
        PyObject *item = items[i], *key, *value;
        bw_bytes bytes;
        *done = i;
        if (i + KEYS_AHEAD < count) fetch_key(items[i + KEYS_AHEAD]);
        if (bw_key_split(item, stage->label, &key, &value, &bytes) != 0) return BW_EHOST;
        if (stage->kind == BW_STAGE_PARTITIONED_OUTPUT) {
            Py_ssize_t index = bw_stage_assign(stage, key);
            if (index < 0) return BW_EHOST;
            hashes[i] = (uint64_t)index;
        } else {
            hashes[i] = bw_hash(bytes.data, bytes.size);
        }
        PyObject *plain = bw_key_plain(key);
        if (plain == NULL) return BW_EHOST;
        keys[i] = plain;
        items[i] = Py_NewRef(value);
        Py_DECREF(item);
    }
    *done = count;
    return BW_OK;
}

static bw_status
chain_on_close(void *kernel, bw_epoch epoch, bool ended, bw_output *output)
{
    (void)output;  // no step of the fluent API but a window emits when it closes
    chain *self = kernel;
    self->epoch = epoch;
    for (uint32_t i = 0; i < self->count; i++) {
        bw_stage *stage = &self->stages[i];
        enter(self, stage);
        if (bw_stage_close_epoch(stage) != 0) return BW_EHOST;
        if (ended && bw_stage_close_sinks(stage) != 0) return BW_EHOST;
    }
    return BW_OK;
}

static bw_status
chain_flush(void *kernel)
{
    chain *self = kernel;
    for (uint32_t i = 0; i < self->count; i++) {
        if (bw_stage_flush_sinks(&self->stages[i]) != 0) return BW_EHOST;
    }
    return BW_OK;
}

static bw_status
init_stage(chain *self, bw_stage *stage, const bw_stage_spec *spec)
{
    stage->kind = spec->kind;
    stage->spec = spec;
    stage->plan = self->plan;
    stage->function = spec->first;
    stage->label = spec->label;
    bw_table_init(&stage->table, sizeof(PyObject *));
    bw_names_init(&stage->names);
    if (spec->kind == BW_STAGE_FLAT_MAP) {
        stage->buffer = malloc(BW_STAGE_BUFFER * sizeof *stage->buffer);
        if (stage->buffer == NULL) return BW_ENOMEM;
    }
    if (spec->kind != BW_STAGE_PARTITIONED_OUTPUT) return BW_OK;
    enter(self, stage);
    return bw_stage_list_sinks(stage) == 0 ? BW_OK : BW_EHOST;
}

static bw_status
share_names(const bw_names *own, bw_names *all)
{
    for (size_t i = 0; i < own->count; i++) {
        bw_status status = bw_names_add(all, own->names[i].data, own->names[i].size);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

static bw_status
chain_open(void *spec, const bw_place *place, bw_names *names, void **out)
{
    const bw_segment *segment = spec;
    chain *self = calloc(1, sizeof *self);
    if (self == NULL) return BW_ENOMEM;
    self->plan = segment->plan;
    self->place = *place;
    self->keyed = segment->keyed;
    self->current = &segment->plan->current[place->worker_index];
    *out = self;  // from here on drop() frees it
    self->stages = calloc(segment->count, sizeof *self->stages);
    if (self->stages == NULL) return BW_ENOMEM;
    for (uint32_t i = 0; i < segment->count; i++) {
        self->count = i + 1;
        const bw_stage_spec *stage_spec = &segment->plan->stages[segment->first + i];
        bw_status status = init_stage(self, &self->stages[i], stage_spec);
        if (status != BW_OK) return status;
    }
    // With several workers a partitioned output is always the first step of its chain.
    return place->worker_count > 1 ? share_names(&self->stages[0].names, names) : BW_OK;
}

static bw_status
chain_build(void *kernel, const bw_names *names, const uint32_t *owners)
{
    chain *self = kernel;
    bool alone = self->place.worker_count == 1;
    for (uint32_t i = 0; i < self->count; i++) {
        bw_stage *stage = &self->stages[i];
        if (stage->kind < BW_STAGE_PARTITIONED_OUTPUT) continue;
        int error = bw_stage_build_sinks(stage, &self->place, alone ? &stage->names : names,
                                         alone ? NULL : owners);
        if (error != 0) return BW_EHOST;
    }
    return BW_OK;
}

static void
chain_drop(void *kernel)
{
    chain *self = kernel;
    for (uint32_t i = 0; i < self->count; i++) {
        bw_stage_drop_state(&self->stages[i]);
        bw_stage_drop_sinks(&self->stages[i]);
        free((void *)self->stages[i].buffer);
    }
    free(self->stages);
    free(self);
}

const bw_kernel_ops bw_chain_ops = {
    .open = chain_open,
    .build = chain_build,
    .route = chain_route,
    .on_batch = chain_on_batch,
    .on_close = chain_on_close,
    .flush = chain_flush,
    .drop = chain_drop,
};
