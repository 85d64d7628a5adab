#define _POSIX_C_SOURCE 200809L

#include "cluster/cluster.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/waker.h"
#include "net/loop.h"

#define MAX_SIGNALS 32

struct bw_cluster {
    bw_execution execution;
    uint32_t worker_count;  // of this process
    bw_waker *wakers;       // by local index
    bw_board board;

    // NULL, all of them, without other processes. Made before any worker runs and freed when none does any more,
    // since a worker that is left behind may still push to an outbox.
    const bw_net_settings *net;  // borrowed
    bw_link *link;
    bw_loop *loop;         // NULL before it connects
    bw_outbox **outboxes;  // by process; of the loop's mesh

    pthread_mutex_t lock;  // guards what follows
    bw_worker **workers;   // by local index, NULL while it does not run
    bw_failure failure;    // the first one
};

static void
close_wakers(bw_cluster *cluster, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) bw_waker_fini(&cluster->wakers[i]);
    free(cluster->wakers);
}

static bw_status
open_wakers(bw_cluster *cluster)
{
    cluster->wakers = calloc(cluster->worker_count, sizeof *cluster->wakers);
    if (cluster->wakers == NULL) return BW_ENOMEM;
    for (uint32_t i = 0; i < cluster->worker_count; i++) {
        bw_status status = bw_waker_init(&cluster->wakers[i]);
        if (status == BW_OK) continue;
        close_wakers(cluster, i);
        return status;
    }
    return BW_OK;
}

/// What the operator is told goes to descriptor 2. Where the program has closed that, none of ours may have its number:
/// lines would go into a connection. BW_EIO and errno.
static bw_status
hold_standard_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0) return BW_EIO;
    close(fd);
    return BW_OK;
}

/// What ties it to other processes.
static bw_status
init_link(bw_cluster *cluster, const bw_net_settings *net)
{
    if (net == NULL) return BW_OK;
    cluster->outboxes = calloc(net->process_count, sizeof(bw_outbox *));
    if (cluster->outboxes == NULL) return BW_ENOMEM;
    bw_status status = bw_link_new(&cluster->board, net, &cluster->link);
    if (status == BW_OK) {
        cluster->net = net;
    } else {
        free((void *)cluster->outboxes);
    }
    return status;
}

static bw_layout
layout_of(uint32_t worker_count, const bw_net_settings *net)
{
    if (net == NULL) return bw_layout_alone(worker_count);
    BW_ASSERT(net->workers_per_process == worker_count);
    return (bw_layout){.process_count = net->process_count,
                       .process_index = net->process_index,
                       .local_count = worker_count};
}

bw_status
bw_cluster_new(const bw_execution *execution, uint32_t worker_count, const bw_net_settings *net,
               bw_cluster **out)
{
    *out = NULL;
    BW_ASSERT(worker_count > 0);
    BW_ASSERT(net == NULL || (execution->items.encode != NULL && execution->items.decode != NULL));
    bw_cluster *cluster = calloc(1, sizeof *cluster);
    if (cluster == NULL) return BW_ENOMEM;
    cluster->execution = *execution;
    cluster->worker_count = worker_count;
    bw_status status = net == NULL ? BW_OK : hold_standard_descriptors();
    if (status != BW_OK) goto free_cluster;
    status = BW_ENOMEM;
    cluster->workers = calloc(worker_count, sizeof(bw_worker *));
    if (cluster->workers == NULL) goto free_cluster;
    if (pthread_mutex_init(&cluster->lock, NULL) != 0) goto free_workers;
    status = open_wakers(cluster);
    if (status != BW_OK) goto destroy_lock;
    status = bw_board_init(&cluster->board, layout_of(worker_count, net), execution->graph->count,
                           execution->resume_epoch, cluster->wakers);
    if (status != BW_OK) goto free_wakers;
    status = init_link(cluster, net);
    if (status != BW_OK) goto fini_board;
    *out = cluster;
    return BW_OK;

fini_board:
    bw_board_fini(&cluster->board, &execution->items);
free_wakers:
    close_wakers(cluster, worker_count);
destroy_lock:
    pthread_mutex_destroy(&cluster->lock);
free_workers:
    free((void *)cluster->workers);
free_cluster:
    free(cluster);
    return status;
}

void
bw_cluster_free(bw_cluster *cluster)
{
    if (cluster == NULL) return;
    bw_loop_free(cluster->loop);
    bw_link_free(cluster->link);
    free((void *)cluster->outboxes);
    bw_board_fini(&cluster->board, &cluster->execution.items);
    close_wakers(cluster, cluster->worker_count);
    pthread_mutex_destroy(&cluster->lock);
    free((void *)cluster->workers);
    free(cluster);
}

// ---- other processes

static void
poll_link(void *self, uint64_t now_ns)
{
    bw_link_poll(self, now_ns);
}

static void
wake_loop(void *self)
{
    bw_loop_wake(self);
}

bw_status
bw_cluster_connect(bw_cluster *cluster, bw_waker *waiter, bw_error *error)
{
    BW_ASSERT(cluster->link != NULL && cluster->loop == NULL);
    const bw_mesh_events events = bw_link_events(cluster->link);
    const bw_loop_hook hook = {.poll = poll_link, .self = cluster->link};
    bw_status status = bw_loop_new(cluster->net, &events, &hook, &cluster->loop, error);
    if (status != BW_OK) return status;
    bw_mesh *mesh = bw_loop_mesh(cluster->loop);
    bw_link_attach_mesh(cluster->link, mesh, wake_loop, cluster->loop);
    bw_link_set_waiter(cluster->link, waiter);
    for (uint32_t i = 0; i < cluster->net->process_count; i++) {
        bool other = i != cluster->net->process_index;
        cluster->outboxes[i] = other ? bw_mesh_outbox(mesh, i) : NULL;
    }
    cluster->board.outboxes = cluster->outboxes;
    status = bw_loop_start(cluster->loop);
    if (status != BW_OK) bw_error_set(error, "can't start the thread for connections");
    return status;
}

bw_link *
bw_cluster_link(bw_cluster *cluster)
{
    return cluster->link;
}

void
bw_cluster_disconnect(bw_cluster *cluster)
{
    if (cluster->loop == NULL) return;
    bw_loop_stop(cluster->loop);
    bw_link_set_waiter(cluster->link, NULL);
}

// ---- workers

static void
set_worker(bw_cluster *cluster, uint32_t index, bw_worker *worker)
{
    pthread_mutex_lock(&cluster->lock);
    cluster->workers[index] = worker;
    pthread_mutex_unlock(&cluster->lock);
}

/// Tells other processes: what the host says of it, else what the engine knows.
static void
report_failure(bw_cluster *cluster, const bw_failure *failure, const char *step, const char *text)
{
    const bw_graph *graph = cluster->execution.graph;
    if (step == NULL && failure->step_index < graph->count) {
        step = graph->steps[failure->step_index].step_id;
    }
    if (text == NULL) {
        text = failure->error.text[0] != '\0' ? failure->error.text : bw_status_text(failure->status);
    }
    bw_link_fail(cluster->link, failure->worker_index, step, text);
}

static void
record_failure(bw_cluster *cluster, const bw_failure *failure, const bw_host_ops *host)
{
    // First what is the host's (a pending exception), before anything else can touch it.
    char *step = NULL, *text = NULL;
    if (host->failed != NULL) host->failed(host->self, failure, &step, &text);
    pthread_mutex_lock(&cluster->lock);
    if (cluster->failure.status == BW_OK) cluster->failure = *failure;
    pthread_mutex_unlock(&cluster->lock);
    if (cluster->link != NULL) report_failure(cluster, failure, step, text);
    free(step);
    free(text);
    bw_board_stop(&cluster->board);
}

static bw_status
tick(const bw_host_ops *host, const uint8_t *signals, uint32_t count)
{
    return host->tick == NULL ? BW_OK : host->tick(host->self, signals, count);
}

/// Sleeps until there is something to do.
static bw_status
park(bw_cluster *cluster, bw_worker *worker, uint32_t index, uint64_t deadline_ns,
     const bw_host_ops *host)
{
    bw_waker *waker = &cluster->wakers[index];
    bw_waker_arm(waker);
    if (bw_worker_has_mail(worker)) {
        bw_waker_disarm(waker);
        return BW_OK;
    }
    uint8_t signals[MAX_SIGNALS];
    void *token = host->detach == NULL ? NULL : host->detach(host->self);
    uint32_t count = bw_waker_wait(waker, deadline_ns, signals, MAX_SIGNALS);
    if (host->attach != NULL) host->attach(host->self, token);
    return tick(host, signals, count);
}

/// A failure that no step is to blame for.
static bw_failure
failure_of(const bw_cluster *cluster, uint32_t index, bw_status status)
{
    return (bw_failure){
        .status = status, .worker_index = cluster->board.first_worker + index, .step_index = UINT32_MAX};
}

/// Turn after turn, to the end.
static bw_status
run_turns(bw_cluster *cluster, bw_worker *worker, uint32_t index, const bw_host_ops *host,
          bw_failure *failure)
{
    uint64_t ticked_ns = 0;
    for (;;) {
        uint64_t deadline_ns;
        bw_status status = BW_OK;
        switch (bw_worker_turn(worker, &deadline_ns)) {
        case BW_TURN_DONE:
            return BW_OK;
        case BW_TURN_STOPPED:
            return BW_CLOSED;
        case BW_TURN_FAILED:
            *failure = bw_worker_failure(worker);
            return failure->status;
        case BW_TURN_PARK:
            status = park(cluster, worker, index, deadline_ns, host);
            break;
        case BW_TURN_AGAIN:
            if (bw_worker_now_ns(worker) - ticked_ns < host->tick_interval_ns) break;
            ticked_ns = bw_worker_now_ns(worker);
            status = tick(host, NULL, 0);
            break;
        }
        if (status == BW_OK) continue;
        *failure = failure_of(cluster, index, status);
        return status;
    }
}

bw_status
bw_cluster_run(bw_cluster *cluster, uint32_t worker_index, const bw_host_ops *host)
{
    bw_failure failure = failure_of(cluster, worker_index, BW_ENOMEM);
    bw_worker *worker;
    bw_status status = bw_worker_new(&cluster->execution, &cluster->board,
                                     cluster->board.first_worker + worker_index, &worker);
    if (status != BW_OK) {
        record_failure(cluster, &failure, host);
        return status;
    }
    set_worker(cluster, worker_index, worker);
    status = run_turns(cluster, worker, worker_index, host, &failure);
    if (status < 0) record_failure(cluster, &failure, host);
    // Whatever the end, what sinks still hold back gets out; a second failure tells nothing new.
    bw_status flushed = bw_worker_flush(worker);
    if (status >= 0 && flushed != BW_OK) {
        failure = failure_of(cluster, worker_index, flushed);
        record_failure(cluster, &failure, host);
        status = flushed;
    }
    set_worker(cluster, worker_index, NULL);
    bw_worker_free(worker);
    return status;
}

void
bw_cluster_stop(bw_cluster *cluster)
{
    bw_board_stop(&cluster->board);
}

bw_failure
bw_cluster_failure(bw_cluster *cluster)
{
    pthread_mutex_lock(&cluster->lock);
    bw_failure failure = cluster->failure;
    pthread_mutex_unlock(&cluster->lock);
    return failure;
}

uint32_t
bw_cluster_busy_step(bw_cluster *cluster, uint32_t worker_index)
{
    pthread_mutex_lock(&cluster->lock);
    const bw_worker *worker = cluster->workers[worker_index];
    uint32_t step = worker == NULL ? UINT32_MAX : bw_worker_busy_step(worker);
    pthread_mutex_unlock(&cluster->lock);
    return step;
}

int
bw_cluster_wake_fd(const bw_cluster *cluster, uint32_t worker_index)
{
    return cluster->wakers[worker_index].write_fd;
}

// ---- threads of our own, for programs in C

typedef struct runner {
    bw_cluster *cluster;
    uint32_t index;
    bw_status status;
    pthread_t thread;
} runner;

static void *
run_one(void *argument)
{
    static const bw_host_ops NOBODY = {0};
    runner *me = argument;
    me->status = bw_cluster_run(me->cluster, me->index, &NOBODY);
    return NULL;
}

/// Engine threads take no signals: those are the program's.
static int
start_thread(runner *runner)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&runner->thread, NULL, run_one, runner);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

bw_status
bw_cluster_run_all(bw_cluster *cluster)
{
    runner *runners = calloc(cluster->worker_count, sizeof *runners);
    if (runners == NULL) return BW_ENOMEM;
    bw_status status = BW_OK;
    uint32_t started = 1;
    for (uint32_t i = 0; i < cluster->worker_count; i++) {
        runners[i] = (runner){.cluster = cluster, .index = i};
    }
    for (; started < cluster->worker_count; started++) {
        if (start_thread(&runners[started]) != 0) {
            status = BW_ENOMEM;
            bw_cluster_stop(cluster);
            break;
        }
    }
    run_one(&runners[0]);
    for (uint32_t i = 1; i < started; i++) pthread_join(runners[i].thread, NULL);
    for (uint32_t i = 0; i < started && status == BW_OK; i++) {
        if (runners[i].status < 0) status = runners[i].status;
    }
    free(runners);
    return status;
}
