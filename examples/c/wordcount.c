// wordcount.c - counts the words of a text file on any number of workers: wordcount FILE [WORKERS [TOP]]
//
//     read   each worker the lines that begin in its part of the file
//     split  lines into words
//     count  words by key: each word on the worker that owns it; the totals come at the end
//     rank   all totals have one key, so that one worker sees them all, and sorts them
//     print  the most frequent ones, one a line, after the number of lines and words
//
// A word is a run of ASCII letters, digits and bytes of other characters; upper case counts as lower.
#define _POSIX_C_SOURCE 200809L

#include <bytewax.h>
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- items

typedef struct page page;

/// A line, a word or a total: some bytes and a number. Items lie one behind the other in pages, so that
/// a word costs no malloc().
typedef struct item {
    page *page;
    uint64_t count;  // how often it was seen
    size_t size;
    bool is_total;
    char bytes[];
} item;

/// A page is freed when its last item is released, whichever worker does that.
struct page {
    atomic_size_t references;
    alignas(item) char bytes[];
};

#define PAGE_SIZE ((size_t)65536)
#define PAGE_OPEN (SIZE_MAX / 2)  // what an open page has in references beside its items'

/// Makes items. Belongs to one call of a function, so that no worker shares one.
typedef struct maker {
    size_t page_size;  // at least; 0: a page for each item, since it will be kept for long
    page *page;
    size_t room, used, made;
} maker;

static void
close_page(maker *maker)
{
    if (maker->page == NULL) return;
    size_t extra = PAGE_OPEN - maker->made;
    if (atomic_fetch_sub(&maker->page->references, extra) == extra) free(maker->page);
    *maker = (struct maker){.page_size = maker->page_size};
}

static int
open_page(maker *maker, size_t size)
{
    close_page(maker);
    size_t room = size > maker->page_size ? size : maker->page_size;
    maker->page = malloc(sizeof *maker->page + room);
    if (maker->page == NULL) return -1;
    maker->room = room;
    atomic_init(&maker->page->references, PAGE_OPEN);
    return 0;
}

/// An item with room for `size` bytes. NULL: no memory.
static item *
make_item(maker *maker, size_t size, uint64_t count)
{
    size_t needed = (sizeof(item) + size + alignof(item) - 1) / alignof(item) * alignof(item);
    if (maker->used + needed > maker->room && open_page(maker, needed) != 0) return NULL;
    item *made = (item *)(void *)(maker->page->bytes + maker->used);
    maker->used += needed;
    maker->made++;
    made->page = maker->page;
    made->count = count;
    made->size = size;
    made->is_total = false;
    return made;
}

/// Neighbours mostly lie in one page: one atomic operation for all of them.
static void
release_items(void *user, void *const *items, size_t count)
{
    (void)user;
    for (size_t i = 0, next; i < count; i = next) {
        next = i + 1;
        if (items[i] == NULL) continue;
        page *page = ((item *)items[i])->page;
        while (next < count && items[next] != NULL && ((item *)items[next])->page == page) next++;
        if (atomic_fetch_sub(&page->references, next - i) == next - i) free(page);
    }
}

/// The key of a word is the word, that of all totals is empty.
static void
find_keys(void *user, void *const *items, size_t count, bw_flow_key *out)
{
    (void)user;
    for (size_t i = 0; i < count; i++) {
        const item *item = items[i];
        out[i] = (bw_flow_key){.data = item->bytes, .size = item->is_total ? 0 : item->size};
    }
}

// ---- read

typedef struct reader {
    FILE *file;
    long next, end;  // it reads the lines that begin before `end`
    char *line;      // getline()'s
    size_t capacity;
} reader;

static int
close_reader(void *state, bw_flow_context *context)
{
    (void)context;
    reader *reader = state;
    if (reader->file != NULL) fclose(reader->file);
    free(reader->line);
    free(reader);
    return 0;
}

static int
find_share(reader *reader, const char *path, const bw_flow_context *context)
{
    reader->file = fopen(path, "rb");
    if (reader->file == NULL || fseek(reader->file, 0, SEEK_END) != 0) return -1;
    long size = ftell(reader->file);
    if (size < 0) return -1;
    long share = size / (long)context->worker_count;
    bool is_last = context->worker_index + 1 == context->worker_count;
    long start = share * (long)context->worker_index;
    reader->end = is_last ? size : start + share;
    if (start == 0) return fseek(reader->file, 0, SEEK_SET);
    // The line that the byte before `start` is in began in the share before, or ends there.
    if (fseek(reader->file, start - 1, SEEK_SET) != 0) return -1;
    ssize_t length = getline(&reader->line, &reader->capacity, reader->file);
    reader->next = length < 0 ? size : start - 1 + length;
    return 0;
}

static int
open_reader(void *user, bw_flow_context *context, void **state)
{
    reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return bw_flow_fail(context, "out of memory");
    if (find_share(reader, user, context) == 0) {
        *state = reader;
        return 0;
    }
    int failed = bw_flow_fail(context, "can't read %s: %s", (const char *)user, strerror(errno));
    close_reader(reader, context);
    return failed;
}

static int
read_line(reader *reader, maker *maker, bw_flow_emitter *out)
{
    errno = 0;
    ssize_t length = getline(&reader->line, &reader->capacity, reader->file);
    if (length < 0) return bw_flow_fail(out->context, "reading failed: %s", strerror(errno));
    item *line = make_item(maker, (size_t)length, 1);
    if (line == NULL) return bw_flow_fail(out->context, "out of memory");
    memcpy(line->bytes, reader->line, (size_t)length);
    reader->next += length;
    return bw_flow_emit(out, line);
}

static int
poll_reader(void *state, bw_flow_emitter *out, size_t limit, uint64_t *again_ns)
{
    (void)again_ns;
    reader *reader = state;
    maker maker = {.page_size = PAGE_SIZE};
    int failed = 0;
    for (size_t i = 0; i < limit && reader->next < reader->end && failed == 0; i++) {
        failed = read_line(reader, &maker, out);
    }
    close_page(&maker);
    if (failed) return failed;
    return reader->next < reader->end ? BW_FLOW_MORE : BW_FLOW_END;
}

// ---- split

/// By byte: what it counts as in a word, 0 if it is in none.
typedef struct alphabet {
    unsigned char letters[256];
} alphabet;

static void
fill_alphabet(alphabet *alphabet)
{
    for (int byte = 0; byte < 256; byte++) {
        bool is_upper = byte >= 'A' && byte <= 'Z', is_lower = byte >= 'a' && byte <= 'z';
        bool is_digit = byte >= '0' && byte <= '9';
        bool is_letter = is_upper || is_lower || is_digit || byte >= 0x80;
        int letter = is_upper ? byte - 'A' + 'a' : byte;
        alphabet->letters[byte] = (unsigned char)(is_letter ? letter : 0);
    }
}

static int
emit_word(const alphabet *alphabet, const char *bytes, size_t size, maker *maker, bw_flow_emitter *out)
{
    item *word = make_item(maker, size, 1);
    if (word == NULL) return bw_flow_fail(out->context, "out of memory");
    for (size_t i = 0; i < size; i++) {
        word->bytes[i] = (char)alphabet->letters[(unsigned char)bytes[i]];
    }
    return bw_flow_emit(out, word);
}

static int
split_line(const alphabet *alphabet, const item *line, maker *maker, bw_flow_emitter *out)
{
    const char *at = line->bytes, *end = at + line->size;
    while (at < end) {
        const char *start = at;
        while (at < end && alphabet->letters[(unsigned char)*at] != 0) at++;
        if (at > start) {
            int failed = emit_word(alphabet, start, (size_t)(at - start), maker, out);
            if (failed) return failed;
        }
        at++;
    }
    return 0;
}

/// Emits the words, and one empty word which stands for all these lines: so lines are counted too.
static int
split(void *user, bw_flow_emitter *out, void **items, size_t count)
{
    maker maker = {.page_size = PAGE_SIZE};
    int failed = 0;
    for (size_t i = 0; i < count && failed == 0; i++) {
        failed = split_line(user, items[i], &maker, out);
    }
    item *lines = failed ? NULL : make_item(&maker, 0, count);
    if (lines != NULL) {
        failed = bw_flow_emit(out, lines);
    } else if (!failed) {
        failed = bw_flow_fail(out->context, "out of memory");
    }
    close_page(&maker);
    return failed;
}

// ---- count: a slot is a uint64_t

static int
count_words(void *user, bw_flow_emitter *out, void *const *slots, void **items, size_t count)
{
    (void)user;
    (void)out;
    for (size_t i = 0; i < count; i++) *(uint64_t *)slots[i] += ((item *)items[i])->count;
    return 0;
}

static int
emit_total(void *user, bw_flow_emitter *out, bw_flow_key key, void *slot)
{
    (void)user;
    maker maker = {0};
    item *total = make_item(&maker, key.size, *(uint64_t *)slot);
    if (total == NULL) return bw_flow_fail(out->context, "out of memory");
    memcpy(total->bytes, key.data, key.size);
    total->is_total = true;
    close_page(&maker);
    return bw_flow_emit(out, total);
}

// ---- rank: the slot of the one key is a growing row of totals

typedef struct ranking {
    void **totals;
    size_t count, capacity;
} ranking;

static void
clear_ranking(void *user, void *slot)
{
    ranking *ranking = slot;
    release_items(user, ranking->totals, ranking->count);
    free((void *)ranking->totals);
}

static int
keep_totals(void *user, bw_flow_emitter *out, void *const *slots, void **items, size_t count)
{
    (void)user;
    for (size_t i = 0; i < count; i++) {
        ranking *ranking = slots[i];
        if (ranking->count == ranking->capacity) {
            size_t capacity = ranking->capacity == 0 ? 1024 : 2 * ranking->capacity;
            void **grown = realloc((void *)ranking->totals, capacity * sizeof *grown);
            if (grown == NULL) return bw_flow_fail(out->context, "out of memory");
            ranking->totals = grown;
            ranking->capacity = capacity;
        }
        ranking->totals[ranking->count++] = items[i];
        items[i] = NULL;  // its reference is ours now
    }
    return 0;
}

/// The lines first, then words by how often they occur, then by their bytes.
static int
compare_totals(const void *a, const void *b)
{
    const item *left = *(item *const *)a, *right = *(item *const *)b;
    if ((left->size == 0) != (right->size == 0)) return left->size == 0 ? -1 : 1;
    if (left->count != right->count) return left->count > right->count ? -1 : 1;
    size_t shorter = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->bytes, right->bytes, shorter);
    return order != 0 ? order : (left->size > right->size) - (left->size < right->size);
}

static int
emit_ranking(void *user, bw_flow_emitter *out, bw_flow_key key, void *slot)
{
    (void)user;
    (void)key;
    ranking *ranking = slot;
    qsort((void *)ranking->totals, ranking->count, sizeof *ranking->totals, compare_totals);
    for (size_t i = 0; i < ranking->count; i++) {
        void *total = ranking->totals[i];
        ranking->totals[i] = NULL;  // goes on; emit takes the reference in any case
        int failed = bw_flow_emit(out, total);
        if (failed) return failed;
    }
    return 0;
}

// ---- print: on the worker that ranks

typedef struct printer {
    uint64_t words_left;  // to print
} printer;

static int
print(void *state, bw_flow_context *context, void **items, size_t count)
{
    printer *printer = state;
    for (size_t i = 0; i < count; i++) {
        const item *total = items[i];
        if (total->size == 0) {
            printf("%llu lines\n", (unsigned long long)total->count);
        } else if (printer->words_left > 0) {
            printer->words_left--;
            printf("%llu %.*s\n", (unsigned long long)total->count, (int)total->size, total->bytes);
        }
    }
    return ferror(stdout) ? bw_flow_fail(context, "can't write: %s", strerror(errno)) : 0;
}

static int
flush_stdout(void *state, bw_flow_context *context)
{
    (void)state;
    return fflush(stdout) == 0 ? 0 : bw_flow_fail(context, "can't write: %s", strerror(errno));
}

// ---- the dataflow

static int
run(char *path, uint32_t worker_count, uint64_t top)
{
    static const bw_flow_items ITEMS = {.release = release_items, .keys = find_keys};
    static const bw_flow_source_ops READ = {
        .open = open_reader, .poll = poll_reader, .close = close_reader};
    static const bw_flow_keyed_ops COUNT = {
        .slot_size = sizeof(uint64_t), .on_items = count_words, .on_eof = emit_total};
    static const bw_flow_keyed_ops RANK = {.slot_size = sizeof(ranking),
                                           .on_items = keep_totals,
                                           .on_eof = emit_ranking,
                                           .clear = clear_ranking};
    static const bw_flow_sink_ops PRINT = {.write = print, .flush = flush_stdout};
    alphabet alphabet;
    fill_alphabet(&alphabet);
    printer printer = {.words_left = top};

    bw_flow *flow = bw_flow_new(&ITEMS);
    bw_flow_stream *lines = bw_flow_source(flow, "read", &READ, path);
    bw_flow_stream *words = bw_flow_flat_map(flow, "split", lines, split, &alphabet);
    bw_flow_stream *totals = bw_flow_keyed(flow, "count", words, &COUNT, NULL);
    bw_flow_stream *ranked = bw_flow_keyed(flow, "rank", totals, &RANK, NULL);
    bw_flow_sink(flow, "print", ranked, &PRINT, &printer);

    bw_flow_options options = BW_FLOW_OPTIONS_DEFAULT;
    options.worker_count = worker_count;
    bw_flow_error error;
    int status = bw_flow_run(flow, &options, &error);
    if (status != 0) fprintf(stderr, "wordcount: %s\n", error.text);
    bw_flow_free(flow);
    return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: %s FILE [WORKERS [TOP]]\n", argv[0]);
        return 2;
    }
    uint32_t worker_count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
    uint64_t top = argc > 3 ? strtoull(argv[3], NULL, 10) : 10;
    return run(argv[1], worker_count, top);
}
