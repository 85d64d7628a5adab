// bytewax.h - the C API of Bytewax: a dataflow of your own C functions on one or many workers, without
// any Python. Link with libbytewax, libuv, OpenSSL and -pthread; see examples/c.
//
//     bw_flow *flow = bw_flow_new(&items);
//     bw_flow_stream *lines = bw_flow_source(flow, "read", &reader, path);
//     bw_flow_stream *words = bw_flow_flat_map(flow, "split", lines, split, NULL);
//     bw_flow_stream *totals = bw_flow_keyed(flow, "count", words, &counter, NULL);
//     bw_flow_sink(flow, "print", totals, &printer, NULL);
//     bw_flow_error error;
//     if (bw_flow_run(flow, NULL, &error) != 0) fprintf(stderr, "%s\n", error.text);
//     bw_flow_free(flow);
//
// Items are opaque pointers, of one type (a struct with a tag, say) in the whole dataflow. The engine
// moves them, your functions look into them. Every function takes an array: none is called once per item.
//
// Threads. Each worker is a thread which runs all steps, so your functions run on all of them at once.
// `user` is shared between workers; what open() makes belongs to one. `context` tells which one calls.
//
// References. An item is passed on as one reference to it. Each array below says whose its references
// are. Where a function fails (returns a negative number, see bw_flow_fail()), each entry must still be
// one reference, or NULL; the engine releases what is there, and the whole run ends.
#ifndef BYTEWAX_H
#define BYTEWAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bw_flow bw_flow;
typedef struct bw_flow_stream bw_flow_stream;  // what a step gives; owned by its flow

// ---- items

typedef struct bw_flow_key {
    const void *data;  // any bytes; inside the item, say
    size_t size;
} bw_flow_key;

/// How the engine handles items. Called on any worker, perhaps not the one that made the item.
typedef struct bw_flow_items {
    /// One more reference to each. Entries may be NULL: pass over them. May be NULL if no stream is
    /// taken by several steps.
    void (*retain)(void *user, void *const *items, size_t count);
    /// One reference less to each. Entries may be NULL: pass over them. May be NULL if items own nothing.
    void (*release)(void *user, void *const *items, size_t count);
    /// Sets out[i] to the key of items[i], which says where a keyed step has its state. The bytes must
    /// hold while the item lives. May be NULL if there is no keyed step.
    void (*keys)(void *user, void *const *items, size_t count, bw_flow_key *out);
    void *user;
} bw_flow_items;

// ---- what a function is given

typedef struct bw_flow_context {
    uint32_t worker_index;  // from 0
    uint32_t worker_count;
} bw_flow_context;

#if defined(__GNUC__)
#define BW_FLOW_PRINTF __attribute__((format(printf, 2, 3)))
#else
#define BW_FLOW_PRINTF
#endif

/// Says why the calling function fails, and returns a negative number for it to return.
int bw_flow_fail(bw_flow_context *context, const char *format, ...) BW_FLOW_PRINTF;

/// Takes what a function gives to the next steps. Valid during the call that it was passed to.
typedef struct bw_flow_emitter {
    bw_flow_context *context;
    void **items;  // this and the rest: for bw_flow_emit() alone
    size_t count, capacity;
} bw_flow_emitter;

int bw_flow_emit_slowly(bw_flow_emitter *emitter, void *item);

/// Gives one reference to the next steps. Takes it over in any case. 0, or a negative number to return.
static inline int
bw_flow_emit(bw_flow_emitter *emitter, void *item)
{
    if (emitter->count == emitter->capacity) return bw_flow_emit_slowly(emitter, item);
    emitter->items[emitter->count++] = item;
    return 0;
}

// ---- steps

#define BW_FLOW_MORE 0  // poll(): there may be more at once
#define BW_FLOW_IDLE 1  // poll(): nothing more now
#define BW_FLOW_END 2   // poll(): nothing more ever

/// Where items come from. Each worker has its own and reads its share, as the context tells.
typedef struct bw_flow_source_ops {
    /// Makes the worker's `*state`. NULL: it is `user`.
    int (*open)(void *user, bw_flow_context *context, void **state);
    /// Emits at most `limit` items and returns one of the above, or a negative number. With BW_FLOW_IDLE
    /// it may set `*again_ns`: it need not be asked for so many ns. Else the engine asks each ms or so.
    int (*poll)(void *state, bw_flow_emitter *out, size_t limit, uint64_t *again_ns);
    /// Frees the state; once, at its end or at that of a failed run. NULL: nothing to do.
    int (*close)(void *state, bw_flow_context *context);
    bool may_block;  // poll() may wait: what was emitted before gets to the sinks first
} bw_flow_source_ops;

/// Replaces items[i], in place. The references are the function's: it releases or reuses an item that
/// it replaces.
typedef int bw_flow_map_fn(void *user, bw_flow_context *context, void **items, size_t count);

/// Sets keep[i], false at first, for items[i] to go on. The references are the engine's.
typedef int
bw_flow_filter_fn(void *user, bw_flow_context *context, void *const *items, size_t count, bool *keep);

/// Emits any number of items. The references in `items` are the engine's, but for the entries that the
/// function sets to NULL: those it has taken over (to emit them, say).
typedef int bw_flow_flat_map_fn(void *user, bw_flow_emitter *out, void **items, size_t count);

/// State by key: a slot of memory for each key, on the worker that owns the key.
typedef struct bw_flow_keyed_ops {
    size_t slot_size;
    /// Items in order of arrival. slots[i] (aligned to 8 bytes) is the state of the key of items[i],
    /// all zero at first; slots repeat as keys do. `items` as in flat_map. Emits what it likes.
    int (*on_items)(void *user, bw_flow_emitter *out, void *const *slots, void **items, size_t count);
    /// The input has ended. Called for each key, in ascending order of its bytes on each worker. The
    /// references that a slot holds stay there, unless it is zeroed. NULL: nothing to do.
    int (*on_eof)(void *user, bw_flow_emitter *out, bw_flow_key key, void *slot);
    /// Frees what a slot holds. NULL: it owns nothing.
    void (*clear)(void *user, void *slot);
} bw_flow_keyed_ops;

/// From on_items() and on_eof(): clears and zeroes the slot. Its key is forgotten after the call, unless
/// a later item of the array fills the slot again.
void bw_flow_discard(bw_flow_emitter *out, void *slot);

/// From on_items(): the key of a slot. The bytes hold while the key has its state.
bw_flow_key bw_flow_slot_key(void *slot);

/// Where items go. Each worker has its own.
typedef struct bw_flow_sink_ops {
    /// Makes the worker's `*state`. NULL: it is `user`.
    int (*open)(void *user, bw_flow_context *context, void **state);
    /// `items` as in flat_map.
    int (*write)(void *state, bw_flow_context *context, void **items, size_t count);
    /// Writes what it holds back: the worker will wait, or is at its end. NULL: nothing is held back.
    int (*flush)(void *state, bw_flow_context *context);
    /// Frees the state; once, when all was written or the run failed. NULL: nothing to do.
    int (*close)(void *state, bw_flow_context *context);
} bw_flow_sink_ops;

// ---- a dataflow

/// Makes an empty dataflow; free it with bw_flow_free(). NULL: no memory. The table is copied, its
/// `user` borrowed.
bw_flow *bw_flow_new(const bw_flow_items *items);
void bw_flow_free(bw_flow *flow);  // NULL is allowed

/// Each adds a step. `name` (copied) says in an error which one it was, the tables are copied, `user` is
/// borrowed. If something is wrong they return NULL and bw_flow_run() will say what it was: so nothing
/// need be checked in between.
bw_flow_stream *
bw_flow_source(bw_flow *flow, const char *name, const bw_flow_source_ops *ops, void *user);
bw_flow_stream *
bw_flow_map(bw_flow *flow, const char *name, bw_flow_stream *up, bw_flow_map_fn *map, void *user);
bw_flow_stream *bw_flow_filter(bw_flow *flow, const char *name, bw_flow_stream *up,
                               bw_flow_filter_fn *filter, void *user);
bw_flow_stream *bw_flow_flat_map(bw_flow *flow, const char *name, bw_flow_stream *up,
                                 bw_flow_flat_map_fn *flat_map, void *user);
bw_flow_stream *bw_flow_keyed(bw_flow *flow, const char *name, bw_flow_stream *up,
                              const bw_flow_keyed_ops *ops, void *user);
/// Deals items to all workers in turn.
bw_flow_stream *bw_flow_redistribute(bw_flow *flow, const char *name, bw_flow_stream *up);
bw_flow_stream *
bw_flow_merge(bw_flow *flow, const char *name, bw_flow_stream *const *ups, size_t up_count);
void bw_flow_sink(bw_flow *flow, const char *name, bw_flow_stream *up, const bw_flow_sink_ops *ops,
                  void *user);

// ---- running it

typedef struct bw_flow_options {
    uint32_t worker_count;       // > 0; the first is the calling thread, the others get a thread each
    uint64_t epoch_interval_ns;  // how long an epoch lasts; 0: for one poll
} bw_flow_options;

#define BW_FLOW_OPTIONS_DEFAULT {1, 10000000000u}  // one worker, 10 s

#define BW_FLOW_ENOMEM (-1)
#define BW_FLOW_EIO (-2)
#define BW_FLOW_EUSER (-4)   // one of your functions failed
#define BW_FLOW_EINVAL (-5)  // the dataflow or the options are wrong: nothing was run

#define BW_FLOW_NO_WORKER UINT32_MAX

typedef struct bw_flow_error {
    int status;             // as returned; 0: all is well, and the texts are empty
    uint32_t worker_index;  // where it happened first; BW_FLOW_NO_WORKER: on none
    char step[64];          // its name, perhaps cut short; empty: in none
    char text[384];         // for people: where and what
} bw_flow_error;

/// Runs the dataflow to the end of its sources, and returns when all threads have ended: 0, or one of
/// the above. `options` may be NULL: the default; `error` may be NULL. May be called again, which calls
/// each open() anew.
int bw_flow_run(const bw_flow *flow, const bw_flow_options *options, bw_flow_error *error);

#ifdef __cplusplus
}
#endif

#endif
