// exchange.c - the words of a text, exchanged by hash and counted: exchange FILE WORKERS. The same as
// ../timely/src/main.rs: each worker reads every n-th block of lines, and counts the words that hash to it.
#define _POSIX_C_SOURCE 200809L

#include <bytewax.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINES_PER_BLOCK 256
#define PAGE_SIZE ((size_t)65536)

// ---- items: lines and totals point to bytes that stay; words lie one behind the other in pages

typedef struct page {
    atomic_size_t references;
} page;

typedef struct item {
    page *page;  // NULL: a line, which nobody owns
    const char *bytes;
    size_t size;
} item;

static void
release_items(void *user, void *const *items, size_t count)
{
    (void)user;
    for (size_t i = 0, next; i < count; i = next) {
        next = i + 1;
        if (items[i] == NULL || ((item *)items[i])->page == NULL) continue;
        page *page = ((item *)items[i])->page;
        while (next < count && items[next] != NULL && ((item *)items[next])->page == page) next++;
        if (atomic_fetch_sub(&page->references, next - i) == next - i) free(page);
    }
}

static void
find_keys(void *user, void *const *items, size_t count, bw_flow_key *out)
{
    (void)user;
    for (size_t i = 0; i < count; i++) {
        const item *item = items[i];
        out[i] = (bw_flow_key){.data = item->bytes, .size = item->size};
    }
}

// ---- read

typedef struct text {
    item *lines;
    size_t line_count;
} text;

typedef struct reader {
    const text *text;
    size_t next, block_end;  // the lines of its block that are left
    size_t skip;             // from there to its next block
} reader;

static int
open_reader(void *user, bw_flow_context *context, void **state)
{
    reader *reader = malloc(sizeof *reader);
    if (reader == NULL) return bw_flow_fail(context, "out of memory");
    size_t start = (size_t)context->worker_index * LINES_PER_BLOCK;
    *reader = (struct reader){.text = user,
                              .next = start,
                              .block_end = start + LINES_PER_BLOCK,
                              .skip = (size_t)(context->worker_count - 1) * LINES_PER_BLOCK};
    *state = reader;
    return 0;
}

static int
poll_reader(void *state, bw_flow_emitter *out, size_t limit, uint64_t *again_ns)
{
    (void)again_ns;
    reader *reader = state;
    const text *text = reader->text;
    for (size_t i = 0; i < limit && reader->next < text->line_count; i++) {
        int failed = bw_flow_emit(out, &text->lines[reader->next++]);
        if (failed) return failed;
        if (reader->next == reader->block_end) {
            reader->next += reader->skip;
            reader->block_end = reader->next + LINES_PER_BLOCK;
        }
    }
    return reader->next < text->line_count ? BW_FLOW_MORE : BW_FLOW_END;
}

static int
close_reader(void *state, bw_flow_context *context)
{
    (void)context;
    free(state);
    return 0;
}

// ---- split

typedef struct maker {
    page *page;
    char *at, *end;
    size_t made;
} maker;

#define PAGE_OPEN (SIZE_MAX / 2)  // what an open page has in references beside its items'

static void
close_page(maker *maker)
{
    if (maker->page == NULL) return;
    size_t extra = PAGE_OPEN - maker->made;
    if (atomic_fetch_sub(&maker->page->references, extra) == extra) free(maker->page);
    *maker = (struct maker){0};
}

/// A word with bytes of its own. NULL: no memory.
static item *
make_word(maker *maker, const char *bytes, size_t size)
{
    size_t needed = sizeof(item) + (size + 7) / 8 * 8;
    if (maker->page == NULL || needed > (size_t)(maker->end - maker->at)) {
        close_page(maker);
        size_t room = needed > PAGE_SIZE ? needed : PAGE_SIZE;
        maker->page = malloc(sizeof(page) + room);
        if (maker->page == NULL) return NULL;
        atomic_init(&maker->page->references, PAGE_OPEN);
        maker->at = (char *)(maker->page + 1);
        maker->end = maker->at + room;
    }
    item *word = (item *)(void *)maker->at;
    maker->at += needed;
    maker->made++;
    *word = (item){.page = maker->page, .bytes = memcpy(word + 1, bytes, size), .size = size};
    return word;
}

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int
split_line(const item *line, maker *maker, bw_flow_emitter *out)
{
    const char *at = line->bytes, *end = at + line->size;
    for (;;) {
        while (at < end && is_space(*at)) at++;
        if (at == end) return 0;
        const char *start = at;
        while (at < end && !is_space(*at)) at++;
        item *word = make_word(maker, start, (size_t)(at - start));
        if (word == NULL) return bw_flow_fail(out->context, "out of memory");
        int failed = bw_flow_emit(out, word);
        if (failed) return failed;
    }
}

static int
split(void *user, bw_flow_emitter *out, void **items, size_t count)
{
    (void)user;
    maker maker = {0};
    int failed = 0;
    for (size_t i = 0; i < count && failed == 0; i++) failed = split_line(items[i], &maker, out);
    close_page(&maker);
    return failed;
}

// ---- count: a slot is a uint64_t; at the end the workers add their shares to what all have found

typedef struct found {
    atomic_ulong words, keys, squares;
} found;

static int
count_words(void *user, bw_flow_emitter *out, void *const *slots, void **items, size_t count)
{
    (void)user;
    (void)out;
    (void)items;
    for (size_t i = 0; i < count; i++) ++*(uint64_t *)slots[i];
    return 0;
}

static int
add_total(void *user, bw_flow_emitter *out, bw_flow_key key, void *slot)
{
    (void)out;
    (void)key;
    found *found = user;
    uint64_t count = *(uint64_t *)slot;
    atomic_fetch_add(&found->words, count);
    atomic_fetch_add(&found->keys, 1);
    atomic_fetch_add(&found->squares, count * count);
    return 0;
}

static int
write_nothing(void *state, bw_flow_context *context, void **items, size_t count)
{
    (void)state;
    (void)context;
    (void)items;
    (void)count;
    return 0;
}

// ---- the program

static void
die(const char *message)
{
    fprintf(stderr, "exchange: %s\n", message);
    exit(EXIT_FAILURE);
}

static double
now_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/// The whole text, in memory for the life of the process.
static text
read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) die("can't read the text");
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(size + 1);
    if (bytes == NULL || fread(bytes, 1, size, file) != size) die("can't read the text");
    fclose(file);
    text text = {0};
    for (size_t i = 0; i < size; i++) text.line_count += bytes[i] == '\n';
    text.lines = calloc(text.line_count, sizeof *text.lines);
    if (text.lines == NULL) die("out of memory");
    const char *line = bytes;
    for (size_t i = 0; i < text.line_count; i++) {
        const char *end = memchr(line, '\n', size - (size_t)(line - bytes));
        text.lines[i] = (item){.bytes = line, .size = (size_t)(end - line)};
        line = end + 1;
    }
    return text;
}

int
main(int argc, char **argv)
{
    static const bw_flow_items ITEMS = {.release = release_items, .keys = find_keys};
    static const bw_flow_source_ops READ = {
        .open = open_reader, .poll = poll_reader, .close = close_reader};
    static const bw_flow_keyed_ops COUNT = {
        .slot_size = sizeof(uint64_t), .on_items = count_words, .on_eof = add_total};
    static const bw_flow_sink_ops NOTHING = {.write = write_nothing};
    if (argc != 3) die("usage: exchange FILE WORKERS");
    text text = read_text(argv[1]);
    found found = {0};
    bw_flow_options options = BW_FLOW_OPTIONS_DEFAULT;
    options.worker_count = (uint32_t)strtoul(argv[2], NULL, 10);

    double cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID), wall = now_ns(CLOCK_MONOTONIC);
    bw_flow *flow = bw_flow_new(&ITEMS);
    bw_flow_stream *lines = bw_flow_source(flow, "read", &READ, &text);
    bw_flow_stream *words = bw_flow_flat_map(flow, "split", lines, split, NULL);
    bw_flow_stream *totals = bw_flow_keyed(flow, "count", words, &COUNT, &found);
    bw_flow_sink(flow, "nothing", totals, &NOTHING, NULL);
    bw_flow_error error;
    if (bw_flow_run(flow, &options, &error) != 0) die(error.text);
    bw_flow_free(flow);
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = now_ns(CLOCK_MONOTONIC) - wall;

    double count = (double)found.words;
    printf("{\"cpu\": %.2f, \"wall\": %.2f, \"digest\": \"%lu %lu %lu\"}\n", cpu / count, wall / count,
           found.words, found.keys, found.squares);
    return EXIT_SUCCESS;
}
