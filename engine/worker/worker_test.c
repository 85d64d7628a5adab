#include "worker/worker.h"

#include <stdarg.h>

#include "base/hash.h"
#include "testing/check.h"

#define MS BW_NS_PER_MS
#define AT_START (100 * BW_NS_PER_S)

enum { MOST_WORKERS = 2, MOST_POLLS = 8 };

// ---- a source that does as it is told, a kernel that writes down what it sees

typedef enum answer { GIVE = BW_OK, REST = BW_EMPTY, END = BW_CLOSED, FAIL = BW_EHOST } answer;

/// What one poll does; the last of a script is done again for ever.
typedef struct poll {
    answer answer;
    uint32_t count;     // items, beside whatever answer but FAIL
    uint64_t awake_ns;  // BW_AWAKE_SOON or a moment
    uint64_t takes_ns;
} poll;

typedef struct script {
    const char *name;     // in the trace
    uint32_t poll_count;  // 0: this source has no part
    poll polls[MOST_POLLS];
    bool may_block;
} script;

/// The scripts of a source on each worker.
typedef struct source_spec {
    script scripts[MOST_WORKERS];
} source_spec;

typedef struct kernel_spec {
    const char *name;
    uint32_t copies;      // of each item that it pushes on
    uint32_t fails_at;    // the n-th batch; 0: none
    uint32_t not_yet;     // so many closes answer so
    uint64_t item_count;  // seen, on all workers
    bool flushes;
} kernel_spec;

// What happened, in order; and the clock.
static char trace[4096];
static uint64_t now_ns = AT_START;

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void
note(const char *format, ...)
{
    size_t size = strlen(trace);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(trace + size, sizeof trace - size, format, arguments);
    va_end(arguments);
    strncat(trace, " ", sizeof trace - strlen(trace) - 1);
}

#define CHECK_TRACE(wanted) check_trace(wanted, __LINE__)

/// Compares with what happened since the last time.
static void
check_trace(const char *wanted, int line)
{
    size_t size = strlen(trace);
    if (size > 0) trace[size - 1] = '\0';
    if (strcmp(trace, wanted) != 0) {
        fprintf(stderr, "%s:%d: \"%s\" is not \"%s\"\n", __FILE__, line, trace, wanted);
        exit(1);
    }
    trace[0] = '\0';
}

typedef struct source {
    script *script;
    uint32_t next;
} source;

static bw_status
source_open(void *spec, const bw_place *place, bw_names *names, void **out)
{
    (void)names;
    source *source = calloc(1, sizeof *source);
    source->script = &((source_spec *)spec)->scripts[place->worker_index];
    *out = source;
    return BW_OK;
}

static size_t
source_part_count(void *self)
{
    return ((source *)self)->script->poll_count > 0 ? 1 : 0;
}

static bool
source_may_block(void *self, size_t part)
{
    (void)part;
    return ((source *)self)->script->may_block;
}

static bw_status
source_poll(void *self, size_t part, size_t limit, bw_batch *batch, uint64_t *awake_ns)
{
    (void)part;
    source *source = self;
    const poll *poll = &source->script->polls[source->next];
    if (source->next + 1 < source->script->poll_count) source->next++;
    note("%s.poll", source->script->name);
    now_ns += poll->takes_ns;
    CHECK(poll->count <= limit);
    for (uint32_t i = 0; i < poll->count; i++) bw_batch_push(batch, source->script);
    *awake_ns = poll->awake_ns;
    return (bw_status)poll->answer;
}

static bw_status
source_snapshot(void *self, size_t part, bw_epoch epoch)
{
    (void)part;
    note("%s.snapshot%d", ((source *)self)->script->name, (int)epoch);
    return BW_OK;
}

static bw_status
source_close(void *self, size_t part)
{
    (void)part;
    note("%s.close", ((source *)self)->script->name);
    return BW_OK;
}

static const bw_source_ops SOURCE = {
    .open = source_open,
    .part_count = source_part_count,
    .may_block = source_may_block,
    .poll = source_poll,
    .snapshot = source_snapshot,
    .close = source_close,
    .drop = free,
};

typedef struct kernel {
    kernel_spec *spec;
} kernel;

static bw_status
kernel_open(void *spec, const bw_place *place, bw_names *names, void **out)
{
    (void)place;
    (void)names;
    kernel *kernel = calloc(1, sizeof *kernel);
    kernel->spec = spec;
    *out = kernel;
    return BW_OK;
}

static bw_status
kernel_on_batch(void *self, bw_batch **batch, bw_output *output)
{
    kernel_spec *spec = ((kernel *)self)->spec;
    note("%s.items%dx%u", spec->name, (int)(*batch)->epoch, (*batch)->count);
    spec->item_count += (*batch)->count;
    if (spec->fails_at > 0 && --spec->fails_at == 0) return BW_EHOST;
    for (uint32_t i = 0; i < spec->copies * (*batch)->count && output->wanted; i++) {
        CHECK_EQ(bw_output_push(output, (*batch)->items[0]), BW_OK);
    }
    return BW_OK;
}

static bw_status
kernel_on_close(void *self, bw_epoch epoch, bool ended, bw_output *output)
{
    (void)output;
    kernel_spec *spec = ((kernel *)self)->spec;
    if (spec->not_yet > 0) {
        spec->not_yet--;
        return BW_FULL;
    }
    note("%s.%s%d", spec->name, ended ? "end" : "close", (int)epoch);
    return BW_OK;
}

static bw_status
kernel_flush(void *self)
{
    const kernel_spec *spec = ((kernel *)self)->spec;
    if (spec->flushes) note("%s.flush", spec->name);
    return BW_OK;
}

static const bw_kernel_ops KERNEL = {
    .open = kernel_open,
    .on_batch = kernel_on_batch,
    .on_close = kernel_on_close,
    .flush = kernel_flush,
    .drop = free,
};

static void
touch_nothing(void *self, void *const *items, size_t count)
{
    (void)self;
    (void)items;
    (void)count;
}

/// All items have one key, which worker 1 of two owns.
static bw_status
split(void *self, void **items, size_t count, void **keys, uint64_t *hashes, size_t *done)
{
    (void)self;
    (void)items;
    for (size_t i = 0; i < count; i++) {
        keys[i] = NULL;
        hashes[i] = UINT64_MAX;
    }
    *done = count;
    return BW_OK;
}

static uint64_t
test_now_ns(void *self)
{
    (void)self;
    return now_ns;
}

// ---- workers whose turns the test takes by hand

typedef struct fixture {
    bw_graph *graph;
    bw_execution execution;
    bw_board board;
    uint32_t worker_count;
    bw_worker *workers[MOST_WORKERS];
    uint64_t deadline_ns;  // of the last turn
} fixture;

static void
set_up(fixture *fixture, uint64_t interval_ns, uint64_t window)
{
    memset(fixture, 0, sizeof *fixture);
    CHECK_EQ(bw_graph_new(&fixture->graph), BW_OK);
    fixture->execution = (bw_execution){
        .graph = fixture->graph,
        .items = {.retain = touch_nothing, .release = touch_nothing, .split = split},
        .clock = {.now_ns = test_now_ns},
        .epoch_interval_ns = interval_ns,
        .window_items = window,
    };
}

static uint32_t
add_source(fixture *fixture, source_spec *spec)
{
    uint32_t index;
    bw_step step = {.step_id = "source", .source = &SOURCE, .spec = spec};
    CHECK_EQ(bw_graph_add(fixture->graph, &step, &index), BW_OK);
    return index;
}

/// A step behind one other; behind a key exchange it is aligned.
static uint32_t
add_kernel(fixture *fixture, kernel_spec *spec, uint32_t up, bw_route route, bool aligned)
{
    uint32_t index;
    bw_step step = {.step_id = "kernel",
                    .kernel = &KERNEL,
                    .spec = spec,
                    .ups = &up,
                    .up_count = 1,
                    .route = route,
                    .aligned = aligned};
    CHECK_EQ(bw_graph_add(fixture->graph, &step, &index), BW_OK);
    return index;
}

static void
start(fixture *fixture, uint32_t worker_count)
{
    fixture->worker_count = worker_count;
    CHECK_EQ(
        bw_board_init(&fixture->board, bw_layout_alone(worker_count), fixture->graph->count, 0, NULL),
        BW_OK);
    for (uint32_t i = 0; i < worker_count; i++) {
        CHECK_EQ(bw_worker_new(&fixture->execution, &fixture->board, i, &fixture->workers[i]), BW_OK);
    }
}

static void
tear_down(fixture *fixture)
{
    for (uint32_t i = 0; i < fixture->worker_count; i++) bw_worker_free(fixture->workers[i]);
    bw_board_fini(&fixture->board, &fixture->execution.items);
    bw_graph_free(fixture->graph);
}

static bw_turn
turn(fixture *fixture, uint32_t worker)
{
    return bw_worker_turn(fixture->workers[worker], &fixture->deadline_ns);
}

/// Turns of one worker until it sleeps or ends.
static bw_turn
run(fixture *fixture, uint32_t worker)
{
    bw_turn answer;
    do answer = turn(fixture, worker);
    while (answer == BW_TURN_AGAIN);
    return answer;
}

/// Turns of all workers until there is nothing to do at this moment.
static void
run_all(fixture *fixture)
{
    bool again;
    do {
        again = false;
        for (uint32_t i = 0; i < fixture->worker_count; i++) {
            bw_turn answer = run(fixture, i);
            CHECK(answer == BW_TURN_PARK || answer == BW_TURN_DONE);
        }
        for (uint32_t i = 0; i < fixture->worker_count; i++) {
            again |= bw_worker_has_mail(fixture->workers[i]);
        }
    } while (again);
}

// ---- order of calls

static void
partition_is_snapshotted_and_closed_at_its_end(void)
{
    fixture fixture;
    set_up(&fixture, 10 * BW_NS_PER_S, 100);
    source_spec spec = {{{"s", 3, {{GIVE, 1, 0, 0}, {GIVE, 1, 0, 0}, {END, 0, 0, 0}}, false}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_LOCAL, false);
    start(&fixture, 1);
    CHECK_EQ(run(&fixture, 0), BW_TURN_DONE);
    CHECK_TRACE("s.poll k.items0x1 s.poll k.items0x1 s.poll s.snapshot0 s.close k.end0");
    tear_down(&fixture);
}

static void
with_interval_0_each_poll_is_an_epoch_snapshotted_before_its_items_move(void)
{
    fixture fixture;
    set_up(&fixture, 0, 100);
    source_spec spec = {
        {{"s", 4, {{GIVE, 1, 0, 0}, {REST, 0, AT_START, 0}, {GIVE, 1, 0, 0}, {END, 0, 0, 0}}, false}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_LOCAL, true);
    start(&fixture, 1);
    CHECK_EQ(run(&fixture, 0), BW_TURN_DONE);
    CHECK_TRACE("s.poll s.snapshot0 k.items0x1 k.close0 "
                "s.poll k.close1 "
                "s.poll s.snapshot2 k.items2x1 k.close2 "
                "s.poll s.snapshot3 s.close k.end3");
    tear_down(&fixture);
}

static void
items_that_come_with_the_end_follow_the_last_snapshot(void)
{
    fixture fixture;
    set_up(&fixture, 0, 100);
    source_spec spec = {{{"s", 1, {{END, 1, 0, 0}}, false}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_LOCAL, true);
    start(&fixture, 1);
    CHECK_EQ(run(&fixture, 0), BW_TURN_DONE);
    CHECK_TRACE("s.poll s.snapshot0 s.close k.items0x1 k.end0");
    tear_down(&fixture);
}

static void
each_source_is_polled_once_a_round_and_its_items_run_through_first(void)
{
    fixture fixture;
    set_up(&fixture, 10 * BW_NS_PER_S, 100);
    source_spec a = {{{"a", 2, {{GIVE, 1, 0, 0}, {END, 0, 0, 0}}, false}}};
    source_spec b = {{{"b", 2, {{GIVE, 1, 0, 0}, {END, 0, 0, 0}}, false}}};
    kernel_spec k = {.name = "k", .copies = 1}, l = {.name = "l"};
    uint32_t first = add_source(&fixture, &a), second = add_source(&fixture, &b), merged;
    bw_step merge = {.step_id = "merge",
                     .kernel = &KERNEL,
                     .spec = &k,
                     .ups = (uint32_t[]){first, second},
                     .up_count = 2};
    CHECK_EQ(bw_graph_add(fixture.graph, &merge, &merged), BW_OK);
    add_kernel(&fixture, &l, merged, BW_ROUTE_LOCAL, false);
    start(&fixture, 1);
    CHECK_EQ(turn(&fixture, 0), BW_TURN_AGAIN);
    CHECK_TRACE("a.poll k.items0x1 l.items0x1 b.poll k.items0x1 l.items0x1");
    CHECK_EQ(run(&fixture, 0), BW_TURN_DONE);
    CHECK_TRACE("a.poll a.snapshot0 a.close b.poll b.snapshot0 b.close k.end0 l.end0");
    tear_down(&fixture);
}

static void
sinks_are_flushed_before_a_poll_that_may_block_and_before_sleep(void)
{
    fixture fixture;
    set_up(&fixture, 10 * BW_NS_PER_S, 100);
    source_spec spec = {{{"s", 2, {{GIVE, 1, 0, 0}, {REST, 0, 0, 0}}, true}}};
    kernel_spec kernel = {.name = "k", .flushes = true};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_LOCAL, false);
    start(&fixture, 1);
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    CHECK_TRACE("k.flush s.poll k.items0x1 k.flush s.poll k.flush");
    tear_down(&fixture);
}

// ---- time

static void
empty_source_is_asked_after_1_ms_and_after_a_second_every_10(void)
{
    fixture fixture;
    set_up(&fixture, 3600 * BW_NS_PER_S, 100);
    source_spec spec = {{{"s", 1, {{REST, 0, BW_AWAKE_SOON, 0}}, false}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_LOCAL, false);
    start(&fixture, 1);
    uint64_t polls = 0;
    while (now_ns < AT_START + 2 * BW_NS_PER_S) {
        CHECK_EQ(turn(&fixture, 0), BW_TURN_PARK);
        CHECK_TRACE("s.poll");
        bool soon = now_ns < AT_START + BW_NS_PER_S;
        CHECK_EQ(fixture.deadline_ns - now_ns, soon ? MS : 10 * MS);
        CHECK_EQ(turn(&fixture, 0), BW_TURN_PARK);  // too early: nothing is polled
        CHECK_TRACE("");
        now_ns = fixture.deadline_ns;
        polls++;
    }
    CHECK_EQ(polls, 1000 + 100);
    tear_down(&fixture);
}

static void
items_end_the_long_rests(void)
{
    fixture fixture;
    set_up(&fixture, 3600 * BW_NS_PER_S, 100);
    source_spec spec = {
        {{"s", 4, {{REST, 0, 0, 0}, {REST, 0, 0, 0}, {REST, 1, 0, 0}, {REST, 0, 0, 0}}, false}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_LOCAL, false);
    start(&fixture, 1);
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    now_ns += 2 * BW_NS_PER_S;
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    CHECK_EQ(fixture.deadline_ns - now_ns, 10 * MS);
    now_ns += 10 * MS;
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);  // an item came
    CHECK_EQ(fixture.deadline_ns - now_ns, MS);
    tear_down(&fixture);
}

static void
worker_sleeps_until_the_time_a_source_names(void)
{
    fixture fixture;
    set_up(&fixture, 3600 * BW_NS_PER_S, 100);
    uint64_t later_ns = AT_START + 77 * BW_NS_PER_S;
    source_spec spec = {{{"s", 2, {{REST, 1, later_ns, 0}, {END, 0, 0, 0}}, false}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_LOCAL, false);
    start(&fixture, 1);
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    CHECK_EQ(fixture.deadline_ns, later_ns);
    now_ns = later_ns - 1;
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    CHECK_TRACE("s.poll k.items0x1");
    now_ns = later_ns;
    CHECK_EQ(run(&fixture, 0), BW_TURN_DONE);
    tear_down(&fixture);
}

static void
source_that_falls_due_while_another_is_polled_is_not_forgotten(void)
{
    fixture fixture;
    set_up(&fixture, 3600 * BW_NS_PER_S, 100);
    source_spec a = {{{"a", 2, {{REST, 0, AT_START + 5 * MS, 0}, {END, 0, 0, 0}}, false}}};
    source_spec b = {{{"b", 1, {{REST, 0, AT_START + 900 * MS, 20 * MS}}, false}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &a), BW_ROUTE_LOCAL, false);
    add_source(&fixture, &b);
    start(&fixture, 1);
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    CHECK_TRACE("a.poll b.poll");
    CHECK_EQ(fixture.deadline_ns, AT_START + 5 * MS);  // long past: at once
    tear_down(&fixture);
}

static void
epoch_ends_when_more_than_its_interval_has_passed(void)
{
    fixture fixture;
    set_up(&fixture, 10 * MS, 100);
    source_spec spec = {
        {{"s", 2, {{REST, 1, AT_START + 11 * MS, 0}, {REST, 1, AT_START + BW_NS_PER_S, 0}}, false}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_LOCAL, true);
    start(&fixture, 1);
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    CHECK_TRACE("s.poll k.items0x1");
    CHECK_EQ(fixture.deadline_ns, AT_START + 10 * MS + 1);
    now_ns = AT_START + 10 * MS;
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    CHECK_TRACE("");
    now_ns++;
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);  // the source sleeps, and holds no epoch open
    CHECK_TRACE("s.snapshot0 k.close0");
    now_ns = AT_START + 11 * MS;
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    CHECK_TRACE("s.poll k.items1x1");
    CHECK_EQ(fixture.deadline_ns, AT_START + 20 * MS + 2);
    tear_down(&fixture);
}

static void
worker_without_live_sources_sleeps_with_no_deadline(void)
{
    fixture fixture;
    set_up(&fixture, 10 * MS, 100);
    source_spec spec = {{{"s", 1, {{REST, 0, AT_START + BW_NS_PER_S, 0}}, false}, {0}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_KEY, true);
    start(&fixture, 2);
    run_all(&fixture);
    CHECK_EQ(run(&fixture, 1), BW_TURN_PARK);
    CHECK_EQ(fixture.deadline_ns, BW_TIME_NEVER);
    CHECK(!bw_worker_has_mail(fixture.workers[1]));
    tear_down(&fixture);
}

// ---- several workers

static void
no_source_is_polled_before_all_workers_have_built(void)
{
    fixture fixture;
    set_up(&fixture, 10 * MS, 100);
    source_spec spec = {{{"s", 1, {{END, 0, 0, 0}}, false}, {0}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_LOCAL, false);
    start(&fixture, 2);
    CHECK_EQ(turn(&fixture, 0), BW_TURN_PARK);  // has listed
    CHECK(!bw_worker_has_mail(fixture.workers[0]));
    CHECK_EQ(turn(&fixture, 1), BW_TURN_PARK);  // was the last to list, and has built
    CHECK(bw_worker_has_mail(fixture.workers[0]));
    CHECK_TRACE("");
    CHECK_EQ(run(&fixture, 0), BW_TURN_DONE);
    CHECK_TRACE("s.poll s.snapshot0 s.close k.end0");
    tear_down(&fixture);
}

static void
end_without_items_reaches_the_step_behind_an_exchange(void)
{
    fixture fixture;
    set_up(&fixture, BW_NS_PER_S, 100);
    source_spec spec = {{{"s", 1, {{END, 0, 0, 0}}, false}, {"t", 1, {{END, 0, 0, 0}}, false}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_KEY, true);
    start(&fixture, 2);
    run_all(&fixture);
    CHECK_EQ(run(&fixture, 0), BW_TURN_DONE);
    CHECK_EQ(run(&fixture, 1), BW_TURN_DONE);
    tear_down(&fixture);
}

static void
idle_worker_follows_the_epoch_of_another(void)
{
    fixture fixture;
    set_up(&fixture, 10 * MS, 100);
    source_spec spec = {{{"s", 1, {{REST, 1, AT_START + BW_NS_PER_S, 0}}, false},
                         {"t", 1, {{REST, 0, AT_START + BW_NS_PER_S, 0}}, false}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_KEY, true);
    start(&fixture, 2);
    CHECK_EQ(turn(&fixture, 0), BW_TURN_PARK);
    CHECK_EQ(turn(&fixture, 1), BW_TURN_PARK);
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    now_ns += 5 * MS;  // worker 1 begins later, so its own epoch would last longer
    run_all(&fixture);
    CHECK_TRACE("s.poll k.items0x1 t.poll");
    now_ns = AT_START + 10 * MS;
    run_all(&fixture);
    CHECK_TRACE("");
    now_ns++;
    run_all(&fixture);
    CHECK_EQ(fixture.board.oldest, 1);
    CHECK(strstr(trace, "k.close0") != NULL);
    tear_down(&fixture);
}

static void
source_is_not_polled_while_an_exchange_ahead_is_full(void)
{
    fixture fixture;
    set_up(&fixture, BW_NS_PER_S, 3);
    source_spec spec = {{{"s", 1, {{GIVE, 1, 0, 0}}, false}, {0}}};
    kernel_spec k = {.name = "k", .copies = 2}, l = {.name = "l"};
    uint32_t first = add_kernel(&fixture, &k, add_source(&fixture, &spec), BW_ROUTE_LOCAL, false);
    add_kernel(&fixture, &l, first, BW_ROUTE_KEY, true);
    start(&fixture, 2);
    CHECK_EQ(turn(&fixture, 0), BW_TURN_PARK);
    CHECK_EQ(turn(&fixture, 1), BW_TURN_PARK);
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    CHECK_EQ(k.item_count, 2);  // 4 items on their way are more than 3
    CHECK_EQ(fixture.deadline_ns, AT_START + BW_NS_PER_S + 1);
    CHECK(!bw_worker_has_mail(fixture.workers[0]));
    CHECK_EQ(run(&fixture, 1), BW_TURN_PARK);
    CHECK(bw_worker_has_mail(fixture.workers[0]));
    CHECK_EQ(run(&fixture, 0), BW_TURN_PARK);
    CHECK_EQ(l.item_count, 2);
    CHECK(k.item_count > 2);
    tear_down(&fixture);
}

/// From worker to worker and there through local steps that make many of one: each takes in no more
/// than it gets rid of.
static void
items_do_not_pile_up_between_local_steps(void)
{
    fixture fixture;
    set_up(&fixture, BW_NS_PER_S, 4);
    source_spec spec = {{{"s", 1, {{GIVE, 1, 0, 0}}, false}, {0}}};
    kernel_spec a = {.name = "a", .copies = 3000}, b = {.name = "b", .copies = 1}, c = {.name = "c"};
    uint32_t up = add_kernel(&fixture, &a, add_source(&fixture, &spec), BW_ROUTE_KEY, false);
    up = add_kernel(&fixture, &b, up, BW_ROUTE_LOCAL, false);
    add_kernel(&fixture, &c, up, BW_ROUTE_DEAL, false);
    start(&fixture, 2);
    for (int i = 0; i < 200; i++) {
        turn(&fixture, (uint32_t)i % 2);
        trace[0] = '\0';
        CHECK(bw_worker_held_items(fixture.workers[1]) <= 2 * 3000 + 3 * 4);
    }
    CHECK(c.item_count > 3000);
    tear_down(&fixture);
}

// ---- steps that are not ready, failures, stops

static void
step_that_cannot_close_yet_holds_later_epochs_back(void)
{
    fixture fixture;
    set_up(&fixture, 0, 3);
    source_spec spec = {{{"s", 1, {{GIVE, 1, 0, 0}}, false}}};
    kernel_spec kernel = {.name = "k", .not_yet = 20};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_LOCAL, true);
    start(&fixture, 1);
    for (int i = 0; i < 20; i++) CHECK_EQ(turn(&fixture, 0), BW_TURN_AGAIN);
    CHECK_EQ(kernel.item_count, 1);
    CHECK_EQ(bw_worker_held_items(fixture.workers[0]), 3);  // then the source waits
    trace[0] = '\0';
    CHECK_EQ(turn(&fixture, 0), BW_TURN_AGAIN);
    CHECK_TRACE("k.close0 k.items1x1 k.close1 k.items2x1 k.close2 k.items3x1 k.close3");
    tear_down(&fixture);
}

static void
failure_names_the_step(void)
{
    fixture fixture;
    set_up(&fixture, BW_NS_PER_S, 100);
    source_spec spec = {{{"s", 1, {{GIVE, 1, 0, 0}}, false}}};
    kernel_spec k = {.name = "k", .copies = 1}, l = {.name = "l", .fails_at = 2};
    uint32_t first = add_kernel(&fixture, &k, add_source(&fixture, &spec), BW_ROUTE_LOCAL, false);
    uint32_t second = add_kernel(&fixture, &l, first, BW_ROUTE_LOCAL, false);
    start(&fixture, 1);
    CHECK_EQ(run(&fixture, 0), BW_TURN_FAILED);
    bw_failure failure = bw_worker_failure(fixture.workers[0]);
    CHECK_EQ(failure.status, BW_EHOST);
    CHECK_EQ(failure.step_index, second);
    CHECK_EQ(failure.worker_index, 0);
    CHECK_EQ(l.item_count, 2);
    tear_down(&fixture);
}

static void
failing_poll_names_the_source(void)
{
    fixture fixture;
    set_up(&fixture, BW_NS_PER_S, 100);
    source_spec spec = {{{"s", 2, {{GIVE, 1, 0, 0}, {FAIL, 0, 0, 0}}, false}}};
    kernel_spec kernel = {.name = "k"};
    uint32_t index = add_source(&fixture, &spec);
    add_kernel(&fixture, &kernel, index, BW_ROUTE_LOCAL, false);
    start(&fixture, 1);
    CHECK_EQ(run(&fixture, 0), BW_TURN_FAILED);
    CHECK_EQ(bw_worker_failure(fixture.workers[0]).step_index, index);
    CHECK_TRACE("s.poll k.items0x1 s.poll");  // no snapshot, no close
    tear_down(&fixture);
}

static void
stopped_worker_calls_nothing_more(void)
{
    fixture fixture;
    set_up(&fixture, 0, 100);
    source_spec spec = {{{"s", 1, {{GIVE, 1, 0, 0}}, false}}};
    kernel_spec kernel = {.name = "k"};
    add_kernel(&fixture, &kernel, add_source(&fixture, &spec), BW_ROUTE_LOCAL, false);
    start(&fixture, 1);
    CHECK_EQ(turn(&fixture, 0), BW_TURN_AGAIN);
    CHECK_TRACE("s.poll s.snapshot0 k.items0x1 k.close0");
    bw_board_stop(&fixture.board);
    CHECK(bw_worker_has_mail(fixture.workers[0]));
    CHECK_EQ(turn(&fixture, 0), BW_TURN_STOPPED);
    CHECK_TRACE("");
    tear_down(&fixture);
}

TEST_MAIN(TEST(partition_is_snapshotted_and_closed_at_its_end),
          TEST(with_interval_0_each_poll_is_an_epoch_snapshotted_before_its_items_move),
          TEST(items_that_come_with_the_end_follow_the_last_snapshot),
          TEST(each_source_is_polled_once_a_round_and_its_items_run_through_first),
          TEST(sinks_are_flushed_before_a_poll_that_may_block_and_before_sleep),
          TEST(empty_source_is_asked_after_1_ms_and_after_a_second_every_10),
          TEST(items_end_the_long_rests), TEST(worker_sleeps_until_the_time_a_source_names),
          TEST(source_that_falls_due_while_another_is_polled_is_not_forgotten),
          TEST(epoch_ends_when_more_than_its_interval_has_passed),
          TEST(worker_without_live_sources_sleeps_with_no_deadline),
          TEST(no_source_is_polled_before_all_workers_have_built),
          TEST(end_without_items_reaches_the_step_behind_an_exchange),
          TEST(idle_worker_follows_the_epoch_of_another),
          TEST(source_is_not_polled_while_an_exchange_ahead_is_full),
          TEST(items_do_not_pile_up_between_local_steps),
          TEST(step_that_cannot_close_yet_holds_later_epochs_back), TEST(failure_names_the_step),
          TEST(failing_poll_names_the_source), TEST(stopped_worker_calls_nothing_more))
