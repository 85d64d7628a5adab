// Clusters of several processes over loopback: as several bw_clusters of one program, each with its threads and its
// connections, and where one must die as a process of its own.
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "cluster/cluster.h"
#include "testing/check.h"
#include "testing/loopback.h"
#include "testing/number_flow.h"

enum { MOST_PROCESSES = 3, WORKERS = 2 };

static const uint8_t SECRET[] = "a secret of some length, for all";

typedef struct process {
    number_flow flow;
    bw_net_settings settings;
    bw_cluster *cluster;
    bw_waker waker;
    pthread_t thread;
    bw_status status;      // of its workers
    atomic_bool has_left;  // its workers ended well
    atomic_bool *may_leave;
} process;

typedef struct fixture {
    uint32_t count;
    char texts[MOST_PROCESSES][BW_LOOPBACK_TEXT];
    const char *addresses[MOST_PROCESSES];
    int fds[MOST_PROCESSES];
    process processes[MOST_PROCESSES];
} fixture;

static void
set_up_process(fixture *fixture, uint32_t index, const number_flow *like, bool secret)
{
    process *process = &fixture->processes[index];
    memcpy(&process->flow, like, sizeof *like);
    number_flow_init(&process->flow);
    process->settings = (bw_net_settings){.process_index = index,
                                          .process_count = fixture->count,
                                          .workers_per_process = WORKERS,
                                          .addresses = fixture->addresses,
                                          .listen_fd = fixture->fds[index],
                                          .secret = secret ? SECRET : NULL,
                                          .secret_size = secret ? sizeof SECRET : 0,
                                          .connect_timeout_ns = 20 * BW_NS_PER_S,
                                          .silence_timeout_ns = 10 * BW_NS_PER_S,
                                          .graph_hash = 42,
                                          .step_count = process->flow.graph->count};
    const bw_execution execution = number_flow_execution(&process->flow);
    CHECK_EQ(bw_cluster_new(&execution, WORKERS, &process->settings, &process->cluster), BW_OK);
    CHECK_EQ(bw_waker_init(&process->waker), BW_OK);
}

static void
listen_all(fixture *fixture, uint32_t count)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->count = count;
    for (uint32_t i = 0; i < count; i++) {
        fixture->fds[i] = bw_loopback_listen(fixture->texts[i]);
        fixture->addresses[i] = fixture->texts[i];
    }
}

static void
set_up(fixture *fixture, uint32_t count, const number_flow *like, bool secret)
{
    listen_all(fixture, count);
    for (uint32_t i = 0; i < count; i++) set_up_process(fixture, i, like, secret);
}

static void
tear_down_process(process *process)
{
    bw_cluster_free(process->cluster);
    bw_waker_fini(&process->waker);
    CHECK_EQ(process->flow.live, 0);
    number_flow_fini(&process->flow);
}

static void
tear_down(fixture *fixture)
{
    for (uint32_t i = 0; i < fixture->count; i++) tear_down_process(&fixture->processes[i]);
}

static void
wait_while(process *process, bw_link_state state)
{
    bw_link *link = bw_cluster_link(process->cluster);
    while (bw_link_state_of(link) == state) {
        bw_waker_arm(&process->waker);
        if (bw_link_state_of(link) == state) {
            bw_waker_wait(&process->waker, BW_TIME_NEVER, NULL, 0);
        } else {
            bw_waker_disarm(&process->waker);
        }
    }
}

/// The life of a process.
static void *
live(void *argument)
{
    process *process = argument;
    bw_error error;
    CHECK_EQ(bw_cluster_connect(process->cluster, &process->waker, &error), BW_OK);
    bw_link *link = bw_cluster_link(process->cluster);
    wait_while(process, BW_LINK_CONNECTING);
    if (bw_link_state_of(link) == BW_LINK_CONNECTED) {
        process->status = bw_cluster_run_all(process->cluster);
        while (process->may_leave != NULL && !atomic_load(process->may_leave)) sched_yield();
        if (bw_link_state_of(link) == BW_LINK_CONNECTED) {
            bw_link_leave(link);
            atomic_store(&process->has_left, true);
        }
        wait_while(process, BW_LINK_CONNECTED);
    }
    bw_cluster_disconnect(process->cluster);
    return NULL;
}

static void
begin(process *process)
{
    CHECK_EQ(pthread_create(&process->thread, NULL, live, process), 0);
}

static void
begin_all(fixture *fixture)
{
    for (uint32_t i = 0; i < fixture->count; i++) begin(&fixture->processes[i]);
}

static void
join_all(fixture *fixture)
{
    for (uint32_t i = 0; i < fixture->count; i++) pthread_join(fixture->processes[i].thread, NULL);
}

static void
wait_until_sources_rest(const fixture *fixture)
{
    for (uint32_t i = 0; i < fixture->count; i++) {
        while (atomic_load(&fixture->processes[i].flow.waiting) < WORKERS) sched_yield();
    }
}

static void
check_sums(const fixture *fixture)
{
    uint64_t counts[3] = {0}, sums[3] = {0}, keyed[NUMBER_KEYS] = {0}, decoded = 0;
    const number_flow *any = &fixture->processes[0].flow;
    uint32_t workers = fixture->count * WORKERS;
    for (uint32_t i = 0; i < fixture->count; i++) {
        const number_flow *flow = &fixture->processes[i].flow;
        const number_tally *tallies[] = {&flow->dealt, &flow->keyed, &flow->parted};
        CHECK(!flow->misled);
        for (int k = 0; k < 3; k++) {
            counts[k] += tallies[k]->count;
            sums[k] += tallies[k]->sum;
        }
        for (int k = 0; k < NUMBER_KEYS; k++) keyed[k] += flow->by_key[k];
        decoded += flow->decoded;
    }
    for (int k = 0; k < 3; k++) {
        CHECK_EQ(counts[k], number_flow_count(any, workers));
        CHECK_EQ(sums[k], number_flow_sum(any, workers));
    }
    uint64_t wanted[NUMBER_KEYS] = {0};
    for (uint64_t n = 1; n <= number_flow_count(any, workers); n++) wanted[n % NUMBER_KEYS] += n;
    for (int k = 0; k < NUMBER_KEYS; k++) CHECK_EQ(keyed[k], wanted[k]);
    CHECK(decoded > number_flow_count(any, workers));
}

static void
check_flow(uint32_t processes, uint64_t items, uint32_t padding, bool secret)
{
    static fixture fixture;
    const number_flow like = {.per_worker = items, .padding = padding};
    set_up(&fixture, processes, &like, secret);
    begin_all(&fixture);
    join_all(&fixture);
    for (uint32_t i = 0; i < processes; i++) {
        process *process = &fixture.processes[i];
        if (bw_link_state_of(bw_cluster_link(process->cluster)) == BW_LINK_FAILED) {
            fprintf(stderr, "%s\n", bw_link_failure_of(bw_cluster_link(process->cluster))->text);
        }
        CHECK_EQ(bw_link_state_of(bw_cluster_link(process->cluster)), BW_LINK_ENDED);
        CHECK_EQ(process->status, BW_OK);
        CHECK_EQ(bw_cluster_failure(process->cluster).status, BW_OK);
    }
    check_sums(&fixture);
    tear_down(&fixture);
}

static void
processes_give_what_one_gives(void)
{
    check_flow(2, 100000, 0, false);
    check_flow(2, 100000, 0, true);
    check_flow(3, 30000, 40, true);
}

static void
large_items_pass(void)
{
    check_flow(2, 2000, 20000, true);
    check_flow(3, 5, 3000000, false);
}

static void
process_without_others_runs_too(void)
{
    static fixture fixture;
    const number_flow like = {.per_worker = 1000};
    set_up(&fixture, 1, &like, true);
    begin_all(&fixture);
    join_all(&fixture);
    CHECK_EQ(bw_link_state_of(bw_cluster_link(fixture.processes[0].cluster)), BW_LINK_ENDED);
    CHECK_EQ(fixture.processes[0].flow.parted.count, 2000);
    tear_down(&fixture);
}

// ---- failures

static const bw_link_failure *
failure_in(const fixture *fixture, uint32_t index)
{
    return bw_link_failure_of(bw_cluster_link(fixture->processes[index].cluster));
}

/// That all end with the failure of a worker whose step and text these are.
static void
check_failed_flow(uint32_t processes, const number_flow *like, const char *step, bw_status status)
{
    static fixture fixture;
    set_up(&fixture, processes, like, true);
    begin_all(&fixture);
    join_all(&fixture);
    const bw_link_failure *first = failure_in(&fixture, 0);
    for (uint32_t i = 0; i < processes; i++) {
        const bw_link_failure *failure = failure_in(&fixture, i);
        CHECK(failure->reported);
        CHECK_EQ(failure->process, first->process);
        CHECK_EQ(failure->worker, first->worker);
        CHECK_EQ(failure->worker / WORKERS, failure->process);
        CHECK_EQ(strcmp(failure->step, step), 0);
        CHECK_EQ(strcmp(failure->text, bw_status_text(status)), 0);
        bw_failure own = bw_cluster_failure(fixture.processes[i].cluster);
        CHECK_EQ(own.status, i == failure->process ? status : BW_OK);
        CHECK_EQ(fixture.processes[i].status, i == failure->process ? status : BW_OK);
        CHECK(!fixture.processes[i].has_left);
    }
    tear_down(&fixture);
}

static void
failure_of_a_worker_ends_all(void)
{
    const number_flow keyed = {.per_worker = 10000, .waits = true, .keyed_fails_at = 777};
    check_failed_flow(2, &keyed, "keyed", BW_EHOST);
    check_failed_flow(3, &keyed, "keyed", BW_EHOST);
    // The second number of worker 0 is dealt to worker 2, of another process.
    const number_flow encode = {.per_worker = 10000, .waits = true, .encode_fails_at = 2};
    check_failed_flow(2, &encode, "dealt", BW_EHOST);
}

static void
failure_outside_of_workers_ends_all(void)
{
    static fixture fixture;
    const number_flow like = {.per_worker = 100, .waits = true};
    set_up(&fixture, 3, &like, true);
    begin_all(&fixture);
    wait_until_sources_rest(&fixture);
    bw_link_fail(bw_cluster_link(fixture.processes[1].cluster), UINT32_MAX, NULL, "interrupted");
    join_all(&fixture);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(failure_in(&fixture, i)->process, 1);
        CHECK_EQ(failure_in(&fixture, i)->worker, UINT32_MAX);
        CHECK_EQ(strcmp(failure_in(&fixture, i)->text, "interrupted"), 0);
        CHECK_EQ(fixture.processes[i].status, BW_OK);
    }
    tear_down(&fixture);
}

static void
process_that_is_killed_ends_all_and_is_named(void)
{
    static fixture fixture;
    const number_flow like = {.per_worker = 100, .waits = true};
    set_up(&fixture, 3, &like, true);
    pid_t child = fork();  // before there are threads
    CHECK(child >= 0);
    if (child == 0) {
        live(&fixture.processes[1]);
        _exit(0);
    }
    close(fixture.fds[1]);
    begin(&fixture.processes[0]);
    begin(&fixture.processes[2]);
    while (atomic_load(&fixture.processes[0].flow.waiting) < WORKERS) sched_yield();
    while (atomic_load(&fixture.processes[2].flow.waiting) < WORKERS) sched_yield();
    CHECK_EQ(kill(child, SIGKILL), 0);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    for (uint32_t i = 0; i < 3; i += 2) {
        pthread_join(fixture.processes[i].thread, NULL);
        const bw_link_failure *failure = failure_in(&fixture, i);
        CHECK(strstr(failure->text, "process 1") != NULL);
        CHECK(strstr(failure->text, fixture.addresses[1]) != NULL);
        tear_down_process(&fixture.processes[i]);
    }
}

// ---- the end

static void
nobody_ends_before_all_have_left(void)
{
    static fixture fixture;
    static atomic_bool may_leave;
    const number_flow like = {.per_worker = 1000};
    set_up(&fixture, 2, &like, false);
    fixture.processes[1].may_leave = &may_leave;
    begin_all(&fixture);
    while (!atomic_load(&fixture.processes[0].has_left)) sched_yield();
    bw_link *link = bw_cluster_link(fixture.processes[0].cluster);
    // Time enough to end wrongly.
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(bw_link_state_of(link), BW_LINK_CONNECTED);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    atomic_store(&may_leave, true);
    join_all(&fixture);
    CHECK_EQ(bw_link_state_of(link), BW_LINK_ENDED);
    check_sums(&fixture);
    tear_down(&fixture);
}

static void
one_that_left_still_hears_of_a_failure(void)
{
    static fixture fixture;
    static atomic_bool may_leave;
    const number_flow like = {.per_worker = 1000};
    set_up(&fixture, 2, &like, true);
    fixture.processes[1].may_leave = &may_leave;
    begin_all(&fixture);
    while (!atomic_load(&fixture.processes[0].has_left)) sched_yield();
    bw_link_fail(bw_cluster_link(fixture.processes[1].cluster), 3, "late", "it failed while it ended");
    atomic_store(&may_leave, true);
    join_all(&fixture);
    CHECK_EQ(failure_in(&fixture, 0)->worker, 3);
    CHECK_EQ(strcmp(failure_in(&fixture, 0)->step, "late"), 0);
    tear_down(&fixture);
}

static void
whoever_waits_may_give_up(void)
{
    static fixture fixture;
    const number_flow like = {.per_worker = 1000};
    set_up(&fixture, 2, &like, false);
    begin(&fixture.processes[0]);  // process 1 never comes
    bw_link *link = bw_cluster_link(fixture.processes[0].cluster);
    bw_link_fail(link, UINT32_MAX, NULL, "interrupted");
    pthread_join(fixture.processes[0].thread, NULL);
    CHECK_EQ(strcmp(failure_in(&fixture, 0)->text, "interrupted"), 0);
    close(fixture.fds[1]);
    tear_down(&fixture);
}

/// Else lines for the operator would go into a connection.
static void
nothing_of_ours_stands_where_stderr_was(void)
{
    static fixture fixture;
    const number_flow like = {.per_worker = 1000};
    listen_all(&fixture, 2);
    int before = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    for (uint32_t i = 0; i < 2; i++) set_up_process(&fixture, i, &like, true);
    struct stat stat;
    bool is_there = fstat(STDERR_FILENO, &stat) == 0;
    dup2(before, STDERR_FILENO);
    CHECK(is_there && S_ISCHR(stat.st_mode));
    tear_down(&fixture);
}

TEST_MAIN(TEST(processes_give_what_one_gives), TEST(large_items_pass),
          TEST(process_without_others_runs_too), TEST(failure_of_a_worker_ends_all),
          TEST(failure_outside_of_workers_ends_all), TEST(process_that_is_killed_ends_all_and_is_named),
          TEST(nobody_ends_before_all_have_left), TEST(one_that_left_still_hears_of_a_failure),
          TEST(whoever_waits_may_give_up), TEST(nothing_of_ours_stands_where_stderr_was))
