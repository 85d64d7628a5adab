// cluster_test.c - runs random dataflows on simulated clusters of several processes, with random trouble, one
// for each seed, and checks what must hold in all of them. Without arguments: seeds 1 to 2000, under
// sanitizers fewer.
//
//     sim-cluster_test --seeds FIRST LAST    the first failure is printed and ends it
//     sim-cluster_test --seeds N N -v        one seed, with what happened
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/sim_cluster.h"
#include "testing/sim_report.h"
#include "worker/node.h"

#define MOST_STEPS 10000000  // far more than any of them takes
#if defined(__SANITIZE_ADDRESS__)
#define SEEDS 300
#elif defined(__SANITIZE_THREAD__)
#define SEEDS 50  // all of it is one thread
#else
#define SEEDS 2000
#endif
#define SECOND_RUN 50  // one in so many seeds runs twice, to see that it does the same

static void
print_flow(const sim_flow *flow)
{
    static const char *const KINDS[] = {"source", "forward", "push", "flat", "filter", "swallow"};
    static const char *const ROUTES[] = {"local", "key", "part", "deal"};
    printf("window %llu, interval %llu ns, failure %d at step %u\n",
           (unsigned long long)flow->execution.window_items,
           (unsigned long long)flow->execution.epoch_interval_ns, (int)flow->fail_site, flow->fail_step);
    for (uint32_t i = 0; i < flow->step_count; i++) {
        const sim_step *step = &flow->steps[i];
        printf("%2u %s %s%s, %u names, from", i, KINDS[step->kind], ROUTES[step->route],
               step->aligned ? " aligned" : "", step->name_count);
        for (uint32_t k = 0; k < step->up_count; k++) printf(" %u", step->ups[k]);
        printf("\n");
    }
}

static void
print_cluster(const sim_cluster *cluster)
{
    const bw_net_settings *settings = &cluster->processes[0].settings;
    printf("%u processes of %u workers, %s, silence %llu ms, connect %llu s\n", cluster->process_count,
           cluster->local_count, settings->secret_size > 0 ? "a secret" : "no secret",
           (unsigned long long)(settings->silence_timeout_ns / BW_NS_PER_MS),
           (unsigned long long)(settings->connect_timeout_ns / BW_NS_PER_S));
    printf("network: delay %llu + %llu ns, one bite in %u, room %u\n",
           (unsigned long long)cluster->net.delay_ns, (unsigned long long)cluster->net.jitter_ns,
           cluster->net.bite, cluster->net.room);
    if (cluster->more != SIM_NO_TROUBLE) printf("and %s\n", sim_trouble_name(cluster->more));
    printf("trouble: %s, of process %u and %u, at %llu ns or turn %lld; %u strangers\n",
           sim_trouble_name(cluster->trouble), cluster->victim, cluster->other,
           (unsigned long long)cluster->trouble_ns, (long long)cluster->trouble_turn,
           cluster->visits_left);
    print_flow(cluster->flow);
}

static void
print_step(const sim_cluster *cluster)
{
    static const char TURNS[] = "APDSF", PHASES[] = "-crwxg", OUTCOMES[] = " +!k";
    printf("%llu ns:", (unsigned long long)cluster->flow->clock.now_ns);
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        const sim_process *process = &cluster->processes[i];
        printf("  %c%c%c", PHASES[process->phase], OUTCOMES[process->outcome],
               cluster->net.hosts[i].frozen ? 'z' : ' ');
        for (uint32_t k = 0; k < cluster->local_count; k++) {
            const simulated *one = &process->locals[k].one;
            if (one->worker == NULL) continue;
            printf(" %c/%llu", TURNS[one->turn], (unsigned long long)bw_worker_held_items(one->worker));
        }
        if (sim_process_runs(process)) {
            printf(" oldest %llu", (unsigned long long)atomic_load(&process->board.oldest));
        }
    }
    printf(", %llu bytes\n", (unsigned long long)cluster->net.byte_count);
}

// ---- at each step

/// No worker runs ahead of the others without end.
static void
check_begun(const sim_cluster *cluster)
{
    bw_epoch least = BW_EPOCH_NONE, most = 0;
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        const sim_process *process = &cluster->processes[i];
        if (!sim_process_runs(process)) continue;
        bw_epoch begun = atomic_load(&process->board.begun);
        if (begun > most) most = begun;
        for (uint32_t k = 0; k < cluster->local_count; k++) {
            bw_epoch closed = atomic_load(&process->board.closed[process->board.first_worker + k]);
            if (closed < least) least = closed;
        }
    }
    SIM_CHECK(most <= least || most - least <= BW_EPOCHS_AHEAD, "epochs %llu to %llu are open",
              (unsigned long long)least, (unsigned long long)most);
}

/// What a process believes of the epochs of others is never ahead of what they know themselves.
static void
check_epochs(const sim_cluster *cluster, bw_epoch *oldest)
{
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        const sim_process *process = &cluster->processes[i];
        if (!sim_process_runs(process)) continue;
        bw_epoch now_oldest = atomic_load(&process->board.oldest);
        SIM_CHECK(now_oldest >= oldest[i], "process %u: the oldest epoch went back", i);
        oldest[i] = now_oldest;
        for (uint32_t w = 0; w < process->board.worker_count; w++) {
            const sim_process *home = &cluster->processes[w / cluster->local_count];
            bw_epoch closed = atomic_load(&process->board.closed[w]);
            SIM_CHECK(now_oldest <= closed, "process %u: worker %u is behind the oldest epoch", i, w);
            if (!sim_process_runs(home)) continue;
            SIM_CHECK(closed <= atomic_load(&home->board.closed[w]),
                      "process %u believes that worker %u has closed more than it has", i, w);
        }
    }
}

/// When something failed in a process, or its user stopped it; BW_TIME_NEVER: nothing has.
static uint64_t
failed_ns(const sim_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        const sim_process *process = &cluster->processes[i];
        if (process->failed || process->was_stopped) return process->failed_ns;
    }
    return BW_TIME_NEVER;
}

/// When a process that lives must know at the latest how the run ended; BW_TIME_NEVER: who knows.
static uint64_t
deadline(const sim_cluster *cluster, uint32_t index)
{
    const sim_process *process = &cluster->processes[index];
    uint64_t silence_ns = process->settings.silence_timeout_ns;
    uint64_t connect_ns = process->settings.connect_timeout_ns;
    bool struck = cluster->struck && cluster->effective;
    uint64_t soon_ns = cluster->struck_ns + BW_NS_PER_S;
    if (!cluster->all_connected) soon_ns += connect_ns + 5 * BW_NS_PER_S;
    if (cluster->more_struck) return soon_ns + connect_ns + 5 * (silence_ns + BW_NS_PER_S);
    switch (cluster->trouble) {
    case SIM_NO_TROUBLE:
    case SIM_STALL:
    case SIM_PAUSE:
    case SIM_SLEEP:
    case SIM_TWIN:
    case SIM_TROUBLE_COUNT:
        break;
    case SIM_KILL:
    case SIM_RESET:
        return struck ? soon_ns : BW_TIME_NEVER;
    case SIM_CUT:
    case SIM_CUT_ONE:
    case SIM_ISOLATE:
        return struck ? soon_ns + silence_ns * 3 / 2 : BW_TIME_NEVER;
    case SIM_FLIP:
        // Maybe long after it was planned.
        if (!cluster->net.flipped) return BW_TIME_NEVER;
        return soon_ns - cluster->struck_ns + cluster->net.flipped_ns + silence_ns * 3 / 2;
    case SIM_FREEZE:
        if (!struck || !cluster->all_connected) return BW_TIME_NEVER;
        if (index != cluster->victim) return soon_ns + silence_ns * 3 / 2;
        return cluster->thawed_ns == 0 ? BW_TIME_NEVER : cluster->thawed_ns + BW_NS_PER_S;
    case SIM_STOP:
    case SIM_FAILURE: {
        uint64_t wait_ns = BW_NS_PER_S + (process->was_connected ? 0 : connect_ns);
        return bw_time_after(failed_ns(cluster), wait_ns);
    }
    case SIM_WRONG_GRAPH:
    case SIM_WRONG_COUNT:
        // All have started by then. A third one may find that both others have met and are gone.
        return cluster->process_count == 2 ? 15 * BW_NS_PER_S : connect_ns + 8 * BW_NS_PER_S;
    case SIM_WRONG_SECRET:
    case SIM_WRONG_ADDRESS:
    case SIM_MISSING:
        return connect_ns + 8 * BW_NS_PER_S;
    }
    return BW_TIME_NEVER;
}

static void
check_step(const sim_cluster *cluster, bw_epoch *oldest)
{
    const sim_flow *flow = cluster->flow;
    uint64_t live = flow->ledger.items + flow->ledger.encoded;
    check_epochs(cluster, oldest);
    check_begun(cluster);
    SIM_CHECK(live <= sim_flow_bound(flow), "%llu items live, %llu may", (unsigned long long)live,
              (unsigned long long)sim_flow_bound(flow));
    SIM_CHECK(cluster->step_count < MOST_STEPS, "it does not end");
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        uint64_t waiting = cluster->processes[i].waiting_bytes;
        SIM_CHECK(waiting <= sim_cluster_bound(cluster), "process %u: %llu bytes wait, %llu may", i,
                  (unsigned long long)waiting, (unsigned long long)sim_cluster_bound(cluster));
        if (cluster->processes[i].outcome != SIM_UNDECIDED) continue;
        uint64_t deadline_ns = deadline(cluster, i);
        SIM_CHECK(flow->clock.now_ns <= deadline_ns, "%s: process %u does not know of it in time",
                  sim_trouble_name(cluster->trouble), i);
    }
}

// ---- at the end

/// All items came to where they should, once, and nothing is left.
static void
check_items(const sim_cluster *cluster)
{
    const sim_flow *flow = cluster->flow;
    for (uint32_t i = 0; i < flow->step_count; i++) {
        const sim_step *step = &flow->steps[i];
        if (step->kind == SIM_SOURCE) continue;
        SIM_CHECK(step->got.count == step->expected.count, "step %u got %llu items, not %llu", i,
                  (unsigned long long)step->got.count, (unsigned long long)step->expected.count);
        SIM_CHECK(step->got.sum == step->expected.sum, "step %u got other items", i);
        SIM_CHECK(step->ended_count == flow->worker_count, "step %u ended on %u workers", i,
                  step->ended_count);
    }
}

static uint32_t
count_outcome(const sim_cluster *cluster, sim_outcome outcome)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        count += cluster->processes[i].outcome == outcome;
    }
    return count;
}

static void
check_success(const sim_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        const sim_process *process = &cluster->processes[i];
        SIM_CHECK(process->outcome == SIM_WELL, "process %u did not end well: %s", i,
                  process->broken ? process->error.text : process->report_text);
        for (uint32_t k = 0; k < cluster->local_count; k++) {
            SIM_CHECK(process->locals[k].one.turn == BW_TURN_DONE, "process %u: a worker did not finish",
                      i);
            SIM_CHECK(process->locals[k].held == 0, "process %u: a worker finished with items", i);
        }
    }
    check_items(cluster);
    const sim_ledger *ledger = &cluster->flow->ledger;
    SIM_CHECK(ledger->items == 0 && ledger->keys == 0 && ledger->encoded == 0,
              "items live after the end");
}

static void
check_origin(const sim_cluster *cluster, const sim_process *process)
{
    const bw_failure *failure = &process->failure;
    bool named = cluster->flow->failed && cluster->flow->fail_site != SIM_FLUSH;
    SIM_CHECK(failure->status == BW_EHOST, "a failure of status %d", (int)failure->status);
    SIM_CHECK(!named || failure->step_index == cluster->flow->fail_step,
              "step %u failed, but step %u is named", cluster->flow->fail_step, failure->step_index);
}

/// It names one of those where something failed, and what.
static void
check_report(const sim_cluster *cluster, const sim_process *process)
{
    const bw_link_failure *report = &process->report;
    SIM_CHECK(report->reported && report->process < cluster->process_count &&
                  cluster->processes[report->process].failed,
              "process %u blames process %u", process->index, report->process);
    const bw_failure *failure = &cluster->processes[report->process].failure;
    SIM_CHECK(report->worker == failure->worker_index, "process %u blames worker %u", process->index,
              report->worker);
    char step[16] = "";
    if (failure->step_index != UINT32_MAX) snprintf(step, sizeof step, "step %u", failure->step_index);
    SIM_CHECK(strcmp(process->report_step, step) == 0, "process %u: a failure in '%s'", process->index,
              process->report_step);
}

/// A failure of the flow: one process has it (two, if two were planned), the others were told where it was.
static void
check_failure(const sim_cluster *cluster)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        const sim_process *process = &cluster->processes[i];
        SIM_CHECK(process->outcome == SIM_ERROR, "process %u did not hear of the failure", i);
        SIM_CHECK(!process->broken, "process %u: %s", i, process->error.text);
        check_report(cluster, process);
        if (!process->failed) continue;
        check_origin(cluster, process);
        count++;
    }
    SIM_CHECK(count >= 1 && count <= cluster->planned_failures, "%u processes failed", count);
}

/// One that the user stopped: the others are told.
static void
check_stop(const sim_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        const sim_process *process = &cluster->processes[i];
        if (process->outcome == SIM_WELL) continue;
        SIM_CHECK(!process->broken || !cluster->all_connected, "process %u: %s", i, process->error.text);
        if (i == cluster->victim || process->broken) continue;
        SIM_CHECK(process->report.reported && process->report.process == cluster->victim,
                  "process %u: process %u is blamed", i, process->report.process);
        SIM_CHECK(strstr(process->report_text, "interrupted") != NULL, "process %u: %s", i,
                  process->report_text);
    }
}

/// Who is cut off names somebody who has to do with it.
static void
check_blame(const sim_cluster *cluster)
{
    char victim[16], other[16];
    snprintf(victim, sizeof victim, "process %u", cluster->victim);
    snprintf(other, sizeof other, "process %u", cluster->other);
    bool pair = cluster->trouble == SIM_RESET || cluster->trouble == SIM_CUT ||
                cluster->trouble == SIM_CUT_ONE || cluster->trouble == SIM_FLIP;
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        const sim_process *process = &cluster->processes[i];
        if (!process->broken || (i == cluster->victim && !pair)) continue;
        bool named = strstr(process->error.text, victim) != NULL ||
                     (pair && strstr(process->error.text, other) != NULL);
        SIM_CHECK(named, "%s of %s: process %u says: %s", sim_trouble_name(cluster->trouble), victim, i,
                  process->error.text);
    }
}

/// It never comes in.
static void
check_twin(const sim_cluster *cluster)
{
    const sim_process *twin = &cluster->processes[cluster->process_count];
    if (cluster->trouble != SIM_TWIN || !cluster->effective) return;
    SIM_CHECK(!twin->was_connected && twin->outcome == SIM_ERROR && twin->broken, "a twin was let in");
    SIM_CHECK(strstr(twin->error.text, "connected already") != NULL ||
                  strstr(twin->error.text, "connection refused") != NULL,
              "a twin says: %s", twin->error.text);
}

static void
check_end(const sim_cluster *cluster)
{
    check_twin(cluster);
    uint32_t well = count_outcome(cluster, SIM_WELL);
    SIM_CHECK(count_outcome(cluster, SIM_UNDECIDED) == 0, "a process ended without an outcome");
    sim_net_check_strangers(&cluster->net);
    bool harmless = sim_trouble_is_harmless(cluster->trouble) || !cluster->effective;
    if (cluster->trouble == SIM_FLIP && !cluster->net.flipped) harmless = true;
    if (cluster->trouble == SIM_FAILURE) {
        uint32_t failed = 0;
        for (uint32_t i = 0; i < cluster->process_count; i++) failed += cluster->processes[i].failed;
        if (failed > 0) {
            check_failure(cluster);
            return;
        }
        harmless = true;
    }
    if (cluster->trouble >= SIM_WRONG_SECRET) {
        SIM_CHECK(well == 0, "%s, and yet it ended well", sim_trouble_name(cluster->trouble));
        return;
    }
    if (harmless && !cluster->more_struck) {
        check_success(cluster);
        return;
    }
    if (cluster->more_struck) {
        // Who is to blame is not to be told from one seed.
    } else if (cluster->trouble == SIM_STOP) {
        check_stop(cluster);
    } else {
        check_blame(cluster);
    }
    // Who ended well knew that all had.
    if (well > 0) check_items(cluster);
}

static uint64_t
run_once(uint64_t seed, bool verbose)
{
    sim_cluster *cluster = sim_cluster_new(seed, verbose);
    bw_epoch oldest[SIM_MAX_PROCESSES] = {0};
    if (verbose) print_cluster(cluster);
    sim_cluster_step step;
    while ((step = sim_cluster_run_step(cluster)) == SIM_CLUSTER_RAN) {
        if (verbose) print_step(cluster);
        check_step(cluster, oldest);
    }
    SIM_CHECK(step != SIM_CLUSTER_DEADLOCK, "deadlock: all sleep for ever");
    check_end(cluster);
    sim_cluster_fini(cluster);
    const sim_flow *flow = cluster->flow;
    SIM_CHECK(flow->ledger.items == 0, "%llu items leaked", (unsigned long long)flow->ledger.items);
    SIM_CHECK(flow->ledger.keys == 0, "%llu keys leaked", (unsigned long long)flow->ledger.keys);
    SIM_CHECK(flow->instances == 0, "%llu steps leaked", (unsigned long long)flow->instances);
    uint64_t trace = cluster->net.trace ^ flow->clock.now_ns;
    sim_cluster_free(cluster);
    return trace;
}

static void
run_seed(uint64_t seed, bool verbose)
{
    sim_report_seed(seed);
    uint64_t trace = run_once(seed, verbose);
    if (seed % SECOND_RUN != 0 || verbose) return;
    SIM_CHECK(run_once(seed, false) == trace, "the same seed, another run");
}

int
main(int argc, char **argv)
{
    uint64_t first = 1, last = SEEDS;
    bool asked = argc >= 4 && strcmp(argv[1], "--seeds") == 0;
    if (argc > 1 && !asked) {
        fprintf(stderr, "usage: %s [--seeds FIRST LAST [-v]]\n", argv[0]);
        return 2;
    }
    if (asked) {
        first = strtoull(argv[2], NULL, 10);
        last = strtoull(argv[3], NULL, 10);
    }
    bool verbose = argc > 4 && strcmp(argv[4], "-v") == 0;
    for (uint64_t seed = first; seed <= last; seed++) run_seed(seed, verbose);
    printf("%llu seeds passed\n", (unsigned long long)(last - first + 1));
    return 0;
}
