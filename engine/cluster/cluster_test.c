#include "cluster/cluster.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "testing/check.h"

// Items are numbers in disguise, which own nothing.
static void
ignore(void *self, void *const *items, size_t count)
{
    (void)self;
    (void)items;
    (void)count;
}

// ---- a source that gives `left` items on each worker and then does as it is told, and a kernel that
// counts them

typedef enum ending {
    END,
    WAIT,
    FAIL
} ending;  // what worker 1 does; the others wait if it does not end

typedef struct script {
    ending ending;
    uint64_t left;       // items on each worker
    atomic_int waiting;  // workers that have nothing more to do
    atomic_ulong counted;
    atomic_int dropped;        // instances
    atomic_bool held, let_go;  // a poll waits in between
    bool hold;
} script;

typedef struct part {
    script *script;
    uint32_t worker;
    uint64_t left;
} part;

static bw_status
open_part(void *spec, const bw_place *place, bw_names *names, void **out)
{
    (void)names;
    part *part = malloc(sizeof *part);
    CHECK(part != NULL);
    *part = (struct part){.script = spec, .worker = place->worker_index};
    part->left = part->script->left;
    *out = part;
    return BW_OK;
}

static void
drop_part(void *instance)
{
    part *part = instance;
    atomic_fetch_add(&part->script->dropped, 1);
    free(part);
}

static size_t
one(void *source)
{
    (void)source;
    return 1;
}

static bool
never(void *source, size_t index)
{
    (void)source;
    (void)index;
    return false;
}

static bw_status
poll_part(void *source, size_t index, size_t limit, bw_batch *batch, uint64_t *awake_ns)
{
    (void)index;
    part *part = source;
    script *script = part->script;
    for (size_t i = 0; i < limit && part->left > 0; i++, part->left--) bw_batch_push(batch, NULL);
    if (part->left > 0) return BW_OK;
    if (script->hold) {
        atomic_store(&script->held, true);
        while (!atomic_load(&script->let_go)) sched_yield();
    }
    if (script->ending == END) return BW_CLOSED;
    if (script->ending == FAIL && part->worker == 1) return BW_EHOST;
    atomic_fetch_add(&script->waiting, 1);
    *awake_ns = BW_TIME_NEVER;
    return BW_EMPTY;
}

static const bw_source_ops SOURCE = {
    .open = open_part, .part_count = one, .may_block = never, .poll = poll_part, .drop = drop_part};

static bw_status
count_batch(void *kernel, bw_batch **batch, bw_output *output)
{
    (void)output;
    atomic_fetch_add(&((part *)kernel)->script->counted, (*batch)->count);
    return BW_OK;
}

static const bw_kernel_ops KERNEL = {.open = open_part, .on_batch = count_batch, .drop = drop_part};

typedef struct fixture {
    script script;
    bw_graph *graph;
    bw_cluster *cluster;
} fixture;

static void
set_up(fixture *fixture, uint32_t worker_count)
{
    uint32_t source, sink;
    CHECK_EQ(bw_graph_new(&fixture->graph), BW_OK);
    const bw_step in = {.step_id = "in", .source = &SOURCE, .spec = &fixture->script};
    CHECK_EQ(bw_graph_add(fixture->graph, &in, &source), BW_OK);
    const bw_step out = {.step_id = "out",
                         .kernel = &KERNEL,
                         .spec = &fixture->script,
                         .ups = &source,
                         .up_count = 1,
                         .route = BW_ROUTE_DEAL};
    CHECK_EQ(bw_graph_add(fixture->graph, &out, &sink), BW_OK);
    const bw_execution execution = {.graph = fixture->graph,
                                    .items = {.retain = ignore, .release = ignore},
                                    .clock = bw_clock_real(),
                                    .epoch_interval_ns = BW_NS_PER_S,
                                    .window_items = BW_WINDOW_ITEMS};
    CHECK_EQ(bw_cluster_new(&execution, worker_count, NULL, &fixture->cluster), BW_OK);
}

static void
tear_down(fixture *fixture)
{
    bw_cluster_free(fixture->cluster);
    bw_graph_free(fixture->graph);
}

static void
all_workers_run_to_the_end_of_their_sources(void)
{
    for (uint32_t workers = 1; workers <= 6; workers++) {
        fixture fixture = {.script = {.left = 20000}};
        set_up(&fixture, workers);
        CHECK_EQ(bw_cluster_run_all(fixture.cluster), BW_OK);
        CHECK_EQ(fixture.script.counted, 20000ul * workers);
        CHECK_EQ(fixture.script.dropped, 2 * (int)workers);
        CHECK_EQ(bw_cluster_failure(fixture.cluster).status, BW_OK);
        tear_down(&fixture);
    }
}

static void
a_failure_on_one_worker_ends_those_that_sleep_for_ever(void)
{
    fixture fixture = {.script = {.ending = FAIL, .left = 100}};
    set_up(&fixture, 4);
    CHECK_EQ(bw_cluster_run_all(fixture.cluster), BW_EHOST);
    bw_failure failure = bw_cluster_failure(fixture.cluster);
    CHECK_EQ(failure.status, BW_EHOST);
    CHECK_EQ(failure.worker_index, 1);
    CHECK_EQ(failure.step_index, 0);
    CHECK_EQ(fixture.script.dropped, 8);
    tear_down(&fixture);
}

static void *
stop_when_all_wait(void *argument)
{
    fixture *fixture = argument;
    while (atomic_load(&fixture->script.waiting) < 3) sched_yield();
    bw_cluster_stop(fixture->cluster);
    return NULL;
}

static void
stop_from_another_thread_ends_sleeping_workers(void)
{
    fixture fixture = {.script = {.ending = WAIT, .left = 10}};
    set_up(&fixture, 3);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, stop_when_all_wait, &fixture), 0);
    CHECK_EQ(bw_cluster_run_all(fixture.cluster), BW_OK);
    pthread_join(thread, NULL);
    CHECK_EQ(bw_cluster_failure(fixture.cluster).status, BW_OK);
    CHECK_EQ(fixture.script.dropped, 6);
    tear_down(&fixture);
}

// ---- what the host is told

typedef struct host {
    int detached;  // 1 while the worker waits
    int waits;
    int failures;
    int signal;  // the last one
    fixture *fixture;
} host;

static void *
detach(void *self)
{
    host *host = self;
    CHECK_EQ(host->detached++, 0);
    host->waits++;
    return host;
}

static void
attach(void *self, void *token)
{
    host *host = self;
    CHECK(token == host);
    CHECK_EQ(host->detached--, 1);
}

static bw_status
tick(void *self, const uint8_t *signals, uint32_t count)
{
    host *host = self;
    CHECK_EQ(host->detached, 0);
    if (count == 0) return BW_OK;
    host->signal = signals[count - 1];
    return BW_EHOST;
}

static void
failed(void *self, const bw_failure *failure, char **step, char **text)
{
    (void)step;
    (void)text;
    host *host = self;
    CHECK_EQ(host->detached, 0);
    CHECK_EQ(failure->status, BW_EHOST);
    CHECK_EQ(failure->step_index, UINT32_MAX);
    host->failures++;
}

static void *
signal_when_it_waits(void *argument)
{
    fixture *fixture = argument;
    while (atomic_load(&fixture->script.waiting) < 1) sched_yield();
    const uint8_t number = 2;
    CHECK_EQ(write(bw_cluster_wake_fd(fixture->cluster, 0), &number, 1), 1);
    return NULL;
}

static void
a_signal_wakes_a_worker_and_its_host_may_end_the_run(void)
{
    fixture fixture = {.script = {.ending = WAIT, .left = 10}};
    set_up(&fixture, 1);
    host host = {.fixture = &fixture};
    const bw_host_ops ops = {
        .detach = detach, .attach = attach, .tick = tick, .failed = failed, .self = &host};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, signal_when_it_waits, &fixture), 0);
    CHECK_EQ(bw_cluster_run(fixture.cluster, 0, &ops), BW_EHOST);
    pthread_join(thread, NULL);
    CHECK_EQ(host.signal, 2);
    CHECK_EQ(host.failures, 1);
    CHECK_EQ(host.detached, 0);
    CHECK(host.waits > 0);
    CHECK_EQ(bw_cluster_failure(fixture.cluster).worker_index, 0);
    tear_down(&fixture);
}

static void *
look_at_the_busy_step(void *argument)
{
    fixture *fixture = argument;
    while (!atomic_load(&fixture->script.held)) sched_yield();
    CHECK_EQ(bw_cluster_busy_step(fixture->cluster, 0), 0);
    atomic_store(&fixture->script.let_go, true);
    return NULL;
}

static void
others_see_whose_code_a_worker_is_in(void)
{
    fixture fixture = {.script = {.left = 10, .hold = true}};
    set_up(&fixture, 1);
    CHECK_EQ(bw_cluster_busy_step(fixture.cluster, 0), UINT32_MAX);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, look_at_the_busy_step, &fixture), 0);
    CHECK_EQ(bw_cluster_run_all(fixture.cluster), BW_OK);
    pthread_join(thread, NULL);
    CHECK_EQ(bw_cluster_busy_step(fixture.cluster, 0), UINT32_MAX);
    tear_down(&fixture);
}

TEST_MAIN(TEST(all_workers_run_to_the_end_of_their_sources),
          TEST(a_failure_on_one_worker_ends_those_that_sleep_for_ever),
          TEST(stop_from_another_thread_ends_sleeping_workers),
          TEST(a_signal_wakes_a_worker_and_its_host_may_end_the_run),
          TEST(others_see_whose_code_a_worker_is_in))
