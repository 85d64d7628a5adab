#include "testing/sim_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "net/session.h"

static sim_host *
host_of(const sim_process *process)
{
    return &process->net->hosts[process->host];
}

static uint64_t
now_of(const sim_process *process)
{
    return process->flow->clock.now_ns;
}

// ---- what the mesh tells: noted, then passed on to the link

static void
on_connected(void *self)
{
    sim_process *process = self;
    SIM_CHECK(!process->was_connected, "process %u: connected twice", process->index);
    process->was_connected = true;
    process->inner.connected(process->inner.self);
}

static bw_status
on_frame(void *self, uint32_t peer, const bw_frame *frame)
{
    sim_process *process = self;
    SIM_CHECK(peer < process->count && peer != process->index, "process %u: a frame of process %u",
              process->index, peer);
    sim_net_note(process->net, frame->kind * 16777216ull + frame->size * 8 + process->host);
    return process->inner.frame(process->inner.self, peer, frame);
}

static void
on_failed(void *self, uint32_t peer, const uint8_t *payload, uint32_t size)
{
    sim_process *process = self;
    SIM_CHECK(!process->told && !process->broken, "process %u: failed after its end", process->index);
    process->told = true;
    process->inner.failed(process->inner.self, peer, payload, size);
}

static void
on_broken(void *self, const bw_error *error)
{
    sim_process *process = self;
    SIM_CHECK(!process->told && !process->broken, "process %u: broken after its end", process->index);
    process->broken = true;
    process->error = *error;
    if (process->verbose) printf("process %u is cut off: %s\n", process->index, error->text);
    process->inner.broken(process->inner.self, error);
}

static void
on_ended(void *self)
{
    sim_process *process = self;
    SIM_CHECK(process->left, "process %u: ended before it left", process->index);
    process->inner.ended(process->inner.self);
}

static void
on_say(void *self, const char *line)
{
    sim_process *process = self;
    if (process->verbose) printf("process %u says: %s\n", process->index, line);
}

// ---- life

void
sim_process_init(sim_process *process, sim_flow *flow, sim_net *net, uint32_t host, uint32_t index,
                 uint32_t count, uint32_t local_count)
{
    static const char *const ADDRESSES[SIM_MAX_HOSTS] = {"127.0.0.1:1000", "127.0.0.1:1001",
                                                         "127.0.0.1:1002", "127.0.0.1:1003"};
    *process = (sim_process){.flow = flow,
                             .net = net,
                             .host = host,
                             .index = index,
                             .count = count,
                             .local_count = local_count,
                             .poll_ns = BW_TIME_NEVER,
                             .decided_ns = BW_TIME_NEVER};
    memcpy(process->addresses, ADDRESSES, sizeof ADDRESSES);
    process->settings = (bw_net_settings){.process_index = index,
                                          .process_count = count,
                                          .workers_per_process = local_count,
                                          .addresses = process->addresses,
                                          .listen_fd = -1,
                                          .step_count = flow->step_count};
}

static void
wake(void *self)
{
    ((sim_host *)self)->touched = true;
}

static void
start(sim_process *process)
{
    const bw_execution *execution = &process->flow->execution;
    bw_layout layout = {.process_count = process->count,
                        .process_index = process->index,
                        .local_count = process->local_count};
    bw_status status =
        bw_board_init(&process->board, layout, execution->graph->count, execution->resume_epoch, NULL);
    SIM_CHECK(status == BW_OK, "no memory");
    status = bw_link_new(&process->board, &process->settings, &process->link);
    SIM_CHECK(status == BW_OK, "no memory");
    process->inner = bw_link_events(process->link);
    bw_mesh_events events = {.connected = on_connected,
                             .frame = on_frame,
                             .failed = on_failed,
                             .broken = on_broken,
                             .ended = on_ended,
                             .say = on_say,
                             .self = process};
    bw_transport transport = sim_net_transport(process->net, process->host);
    sim_host *host = host_of(process);
    status = bw_mesh_new(&process->settings, &transport, &events, wake, host, &process->mesh);
    SIM_CHECK(status == BW_OK, "no mesh");
    bw_link_attach_mesh(process->link, process->mesh, wake, host);
    for (uint32_t i = 0; i < process->count; i++) {
        process->outboxes[i] = i == process->index ? NULL : bw_mesh_outbox(process->mesh, i);
    }
    process->board.outboxes = process->outboxes;
    sim_net_listen(process->net, process->host, process->mesh);
    bw_mesh_start(process->mesh, sim_host_now_ns(host));
    host->touched = true;
    process->phase = SIM_CONNECTING;
}

static void
start_workers(sim_process *process)
{
    random_state *random = &process->flow->random;
    for (uint32_t i = 0; i < process->local_count; i++) {
        sim_local *local = &process->locals[i];
        local->one.weight = random_one_in(random, 3) ? 1 : 40;
        bw_status status = bw_worker_new(&process->flow->execution, &process->board,
                                         process->board.first_worker + i, &local->one.worker);
        SIM_CHECK(status == BW_OK, "no worker");
    }
    process->phase = SIM_RUNNING;
}

static bool
workers_have_ended(const sim_process *process)
{
    for (uint32_t i = 0; i < process->local_count; i++) {
        if (process->locals[i].one.worker != NULL) return false;
    }
    return true;
}

static void
note_end(sim_process *process, bw_link_state state)
{
    process->decided_ns = now_of(process);
    process->outcome = state == BW_LINK_ENDED ? SIM_WELL : SIM_ERROR;
    if (state != BW_LINK_FAILED) return;
    process->report = *bw_link_failure_of(process->link);
    snprintf(process->report_text, sizeof process->report_text, "%s", process->report.text);
    snprintf(process->report_step, sizeof process->report_step, "%s", process->report.step);
    if (!process->verbose) return;
    printf("process %u: reported %d by %u, worker %u, step '%s': %s\n", process->index,
           process->report.reported, process->report.process, process->report.worker,
           process->report.step, process->report.text);
}

static void
free_all(sim_process *process)
{
    for (uint32_t i = 0; i < process->local_count; i++) {
        bw_worker_free(process->locals[i].one.worker);
        process->locals[i].one.worker = NULL;
    }
    bw_mesh_free(process->mesh);
    bw_link_free(process->link);
    bw_board_fini(&process->board, &process->flow->execution.items);
    process->phase = SIM_GONE;
}

void
sim_process_fini(sim_process *process)
{
    if (!sim_process_runs(process)) return;
    sim_net_leave(process->net, process->host);
    free_all(process);
}

// ---- the I/O thread

bool
sim_process_can_poll(const sim_process *process)
{
    if (!sim_process_runs(process)) return false;
    return host_of(process)->touched || process->poll_ns <= now_of(process);
}

/// How much waits to be sent.
static uint64_t
waiting_bytes(const sim_process *process)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < process->count; i++) {
        if (process->outboxes[i] == NULL) continue;
        for (const bw_block *block = process->outboxes[i]->first; block != NULL; block = block->next) {
            bytes += block->size;
        }
    }
    return bytes;
}

void
sim_process_poll(sim_process *process)
{
    sim_host *host = host_of(process);
    host->touched = false;
    process->polled_ns = now_of(process);
    process->waiting_bytes = waiting_bytes(process);
    uint64_t now_ns = sim_host_now_ns(host);
    bw_link_poll(process->link, now_ns);
    uint64_t next_ns = bw_mesh_poll(process->mesh, now_ns);
    if (next_ns < host->skew_ns) next_ns = host->skew_ns;
    process->poll_ns = next_ns == BW_TIME_NEVER ? next_ns : next_ns - host->skew_ns;
    sim_net_note(process->net, process->poll_ns);
}

// ---- the main thread

bool
sim_process_has_news(const sim_process *process)
{
    switch (process->phase) {
    case SIM_ABSENT:
        return process->start_ns <= now_of(process);
    case SIM_CONNECTING:
        return bw_link_state_of(process->link) != BW_LINK_CONNECTING;
    case SIM_RUNNING:
        return workers_have_ended(process);
    case SIM_WAITING: {
        bw_link_state state = bw_link_state_of(process->link);
        return state == BW_LINK_ENDED || state == BW_LINK_FAILED;
    }
    case SIM_CLOSING:
        return true;
    case SIM_GONE:
        break;
    }
    return false;
}

void
sim_process_run_main(sim_process *process)
{
    switch (process->phase) {
    case SIM_ABSENT:
        start(process);
        return;
    case SIM_CONNECTING:
        if (bw_link_state_of(process->link) == BW_LINK_CONNECTED) {
            start_workers(process);
        } else {
            process->phase = SIM_WAITING;
        }
        return;
    case SIM_RUNNING:
        process->phase = SIM_WAITING;
        if (process->failed || process->was_stopped) return;
        if (bw_link_state_of(process->link) == BW_LINK_FAILED) return;
        process->left = true;
        bw_link_leave(process->link);
        return;
    case SIM_WAITING:
        note_end(process, bw_link_state_of(process->link));
        process->phase = SIM_CLOSING;
        return;
    case SIM_CLOSING:
        sim_process_poll(process);  // what was reported just now still goes out
        sim_net_leave(process->net, process->host);
        free_all(process);
        return;
    case SIM_GONE:
        break;
    }
    BW_ASSERT(false);
}

// ---- workers

bool
sim_process_can_turn(const sim_process *process, uint32_t local)
{
    const sim_local *at = &process->locals[local];
    if (at->one.worker == NULL || at->stalled_ns > now_of(process)) return false;
    return simulated_can_run(&at->one, now_of(process));
}

/// What is told of a failure, of some length: now and then longer than what fits.
static void
draw_text(sim_process *process, const bw_failure *failure, char *text, size_t room)
{
    static const char PADDING[] = ", and more of it";
    random_state *random = &process->flow->random;
    bool known = failure->error.text[0] != '\0';
    const char *what = known ? failure->error.text : bw_status_text(failure->status);
    size_t size = (size_t)snprintf(text, room, "%s", what);
    // Through a narrow network it would not be there in time.
    bool is_long = random_one_in(random, 4) && process->net->room >= 16000;
    size_t wanted = random_below(random, is_long ? (uint32_t)room : 200);
    for (; size < wanted; size++) text[size] = PADDING[size % (sizeof PADDING - 1)];
    text[size] = '\0';
}

static void
fail(sim_process *process, const bw_failure *failure)
{
    if (!process->failed) {
        process->failure = *failure;
        process->failed_ns = now_of(process);
    }
    process->failed = true;
    char step[16] = "";
    if (failure->step_index != UINT32_MAX) snprintf(step, sizeof step, "step %u", failure->step_index);
    char text[100000];
    draw_text(process, failure, text, sizeof text);
    bw_link_fail(process->link, failure->worker_index, step, text);
    bw_board_stop(&process->board);
}

/// What a worker has pushed the I/O thread knows of, or it waits because much is under way.
static void
check_told(const sim_process *process)
{
    if (host_of(process)->touched || bw_link_state_of(process->link) != BW_LINK_CONNECTED) return;
    if (waiting_bytes(process) == 0) return;
    SIM_CHECK(sim_net_unsent(process->net, process->host) >= BW_SESSION_IN_FLIGHT / 2,
              "process %u: what its workers say waits for nothing", process->index);
}

void
sim_process_turn(sim_process *process, uint32_t index)
{
    sim_local *local = &process->locals[index];
    local->one.turn = bw_worker_turn(local->one.worker, &local->one.deadline_ns);
    sim_net_note(process->net, process->host * 64 + index * 8 + local->one.turn);
    check_told(process);
    if (!simulated_has_ended(&local->one)) return;
    if (local->one.turn == BW_TURN_FAILED) {
        bw_failure failure = bw_worker_failure(local->one.worker);
        fail(process, &failure);
    }
    bw_status status = bw_worker_flush(local->one.worker);
    if (status != BW_OK && local->one.turn != BW_TURN_FAILED) {
        bw_failure failure = {.status = status,
                              .worker_index = process->board.first_worker + index,
                              .step_index = UINT32_MAX};
        fail(process, &failure);
    }
    local->held = bw_worker_held_items(local->one.worker);
    bw_worker_free(local->one.worker);
    local->one.worker = NULL;
}

void
sim_process_stop(sim_process *process)
{
    process->was_stopped = true;
    process->failed_ns = now_of(process);
    bw_link_fail(process->link, UINT32_MAX, "", "interrupted");
    bw_board_stop(&process->board);
    if (process->phase == SIM_CONNECTING) process->phase = SIM_WAITING;
}

void
sim_process_kill(sim_process *process)
{
    sim_net_kill(process->net, process->host);
    if (sim_process_runs(process)) free_all(process);
    process->phase = SIM_GONE;
    if (process->outcome == SIM_UNDECIDED) process->outcome = SIM_KILLED;
}

uint64_t
sim_process_next_ns(const sim_process *process)
{
    if (process->phase == SIM_ABSENT) return process->start_ns;
    if (process->phase == SIM_GONE) return BW_TIME_NEVER;
    uint64_t least_ns = process->poll_ns;
    for (uint32_t i = 0; i < process->local_count; i++) {
        const sim_local *local = &process->locals[i];
        if (local->one.worker == NULL) continue;
        uint64_t at_ns = local->one.turn == BW_TURN_PARK ? local->one.deadline_ns : 0;
        if (bw_worker_has_mail(local->one.worker)) at_ns = 0;
        if (at_ns < local->stalled_ns) at_ns = local->stalled_ns;
        if (at_ns < least_ns) least_ns = at_ns;
    }
    return least_ns;
}
