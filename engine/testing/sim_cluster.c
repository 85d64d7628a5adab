#include "testing/sim_cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "worker/node.h"

#define LONGEST_TURN_NS 50000                // what a turn of a worker itself takes
#define LONGEST_POLL_NS 5000                 // what all else takes
#define LONGEST_WAIT_NS (10 * BW_NS_PER_MS)  // of network and I/O threads while workers run
#define CATCH_UP_NS 20000                    // for each thing that was not done while a worker was slow
#define SLOW_NS 100000   // most that a batch takes where the silence time-out is short
#define WIDE_ROOM 16000  // of sockets through which much goes
#define NET_WEIGHT 20    // of each thing that the network can do
#define MAIN_WEIGHT 10   // of each main thread that has something to do

const char *
sim_trouble_name(sim_trouble trouble)
{
    static const char *const NAMES[SIM_TROUBLE_COUNT] = {
        [SIM_NO_TROUBLE] = "none",
        [SIM_STALL] = "stall",
        [SIM_PAUSE] = "pause",
        [SIM_SLEEP] = "sleep",
        [SIM_TWIN] = "twin",
        [SIM_KILL] = "kill",
        [SIM_RESET] = "reset",
        [SIM_CUT] = "cut",
        [SIM_CUT_ONE] = "cut in one direction",
        [SIM_ISOLATE] = "isolation",
        [SIM_FREEZE] = "freeze",
        [SIM_FLIP] = "flip",
        [SIM_STOP] = "stop",
        [SIM_FAILURE] = "failure",
        [SIM_WRONG_SECRET] = "wrong secret",
        [SIM_WRONG_GRAPH] = "wrong graph",
        [SIM_WRONG_COUNT] = "wrong count",
        [SIM_WRONG_ADDRESS] = "wrong address",
        [SIM_MISSING] = "missing",
    };
    return NAMES[trouble];
}

// ---- drawing

/// Takes from a flow what would take a cluster too long.
static void
calm(sim_flow *flow, sim_net *net, uint64_t silence_ns)
{
    for (uint32_t i = 0; i < flow->step_count; i++) {
        sim_step *step = &flow->steps[i];
        // All share one clock: who is slow makes everybody late.
        if (silence_ns < BW_NS_PER_S && step->slow_ns > SLOW_NS) step->slow_ns = SLOW_NS;
        // While it is slow, no more than the room of its sockets gets through.
        if (step->slow_ns > SLOW_NS && net->room < WIDE_ROOM) net->room = WIDE_ROOM;
        // A source rests some milliseconds now and then, in which many epochs may pass.
        uint32_t most = flow->execution.window_items > 2 ? 100 * step->burst : 100;
        if (step->kind == SIM_SOURCE && step->part_items > most) step->part_items = most;
    }
}

static void
draw_settings(sim_cluster *cluster)
{
    static const uint64_t SILENCES_NS[] = {400 * BW_NS_PER_MS, 2 * BW_NS_PER_S, 10 * BW_NS_PER_S};
    random_state *random = &cluster->random;
    bool has_secret = !random_one_in(random, 4);
    bool for_ever = random_one_in(random, 4);
    for (uint32_t i = 0; i < sizeof cluster->secret; i++) {
        cluster->secret[i] = (uint8_t)random_next(random);
    }
    uint64_t silence_ns = SILENCES_NS[random_below(random, 3)];
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        bw_net_settings *settings = &cluster->processes[i].settings;
        settings->secret = cluster->secret;
        settings->secret_size = has_secret ? sizeof cluster->secret : 0;
        settings->connect_timeout_ns = for_ever ? 0 : 30 * BW_NS_PER_S;
        settings->silence_timeout_ns = silence_ns;
        settings->graph_hash = cluster->seed;
    }
    calm(cluster->flow, &cluster->net, silence_ns);
}

static void
draw_moment(sim_cluster *cluster)
{
    random_state *random = &cluster->random;
    switch (random_below(random, 8)) {
    case 0:
    case 1:
        // While they connect, mostly.
        cluster->trouble_ns =
            cluster->flow->clock.now_ns + random_below(random, 1u << random_between(random, 12, 31));
        return;
    case 2:
        cluster->trouble_turn = UINT64_MAX;
        return;
    default:
        cluster->trouble_turn = 1 + random_below(random, 1u << random_between(random, 3, 12));
    }
}

/// What may become of items on their way between processes.
static void
draw_codec(sim_cluster *cluster)
{
    random_state *random = &cluster->random;
    sim_ledger *ledger = &cluster->flow->ledger;
    if (random_one_in(random, 6)) {
        // Through a narrow network much would take for ever.
        bool wide = cluster->net.room >= WIDE_ROOM;
        ledger->padding = random_one_in(random, 3) && wide ? 3000 : 200;
    }
    if (cluster->flow->fail_site != SIM_NOWHERE || !random_one_in(random, 30)) return;
    uint32_t *fails_in = random_one_in(random, 2) ? &ledger->encode_fails_in : &ledger->decode_fails_in;
    *fails_in = random_between(random, 1, 60);
}

static void
draw_trouble(sim_cluster *cluster)
{
    random_state *random = &cluster->random;
    sim_flow *flow = cluster->flow;
    bool has_secret = cluster->processes[0].settings.secret_size > 0;
    cluster->victim = random_below(random, cluster->process_count);
    cluster->other = (cluster->victim + random_between(random, 1, cluster->process_count - 1)) %
                     cluster->process_count;
    const sim_ledger *ledger = &flow->ledger;
    const bool fails[] = {flow->fail_site != SIM_NOWHERE, ledger->split_fails_in > 0,
                          ledger->encode_fails_in > 0, ledger->decode_fails_in > 0};
    for (size_t i = 0; i < sizeof fails / sizeof *fails; i++) cluster->planned_failures += fails[i];
    if (cluster->planned_failures > 0) {
        cluster->trouble = SIM_FAILURE;
    } else if (flow->stop_at_turn > 0) {
        cluster->trouble = SIM_STOP;
        cluster->trouble_turn = flow->stop_at_turn;
        if (random_one_in(random, 3)) draw_moment(cluster);
    } else if (random_one_in(random, 20)) {
        cluster->trouble = (sim_trouble)random_between(random, SIM_WRONG_SECRET, SIM_MISSING);
        if (!has_secret && cluster->trouble == SIM_WRONG_SECRET) cluster->trouble = SIM_WRONG_GRAPH;
    } else if (random_one_in(random, 2)) {
        cluster->trouble = (sim_trouble)random_between(random, SIM_STALL, SIM_FLIP);
        if (random_one_in(random, 5)) cluster->trouble = SIM_FLIP;
        if (!has_secret && cluster->trouble == SIM_FLIP) cluster->trouble = SIM_KILL;
        draw_moment(cluster);
    }
    if (sim_trouble_is_harmless(cluster->trouble) || cluster->trouble == SIM_FAILURE) return;
    if (cluster->trouble <= SIM_STOP && random_one_in(random, 8)) {
        cluster->more = (sim_trouble)random_between(random, SIM_KILL, SIM_ISOLATE);
        cluster->more_turns = random_below(random, 1u << random_between(random, 0, 10));
    }
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        cluster->processes[i].settings.connect_timeout_ns = 30 * BW_NS_PER_S;
    }
}

/// What is wrong from the beginning.
static void
spoil(sim_cluster *cluster)
{
    static const uint8_t OTHER_SECRET[16] = "another secret";
    sim_process *victim = &cluster->processes[cluster->victim];
    if (cluster->trouble == SIM_WRONG_SECRET) {
        victim->settings.secret = OTHER_SECRET;
        victim->settings.secret_size = random_one_in(&cluster->random, 3) ? 0 : sizeof OTHER_SECRET;
    } else if (cluster->trouble == SIM_WRONG_GRAPH) {
        victim->settings.graph_hash ^= 1;
    } else if (cluster->trouble == SIM_WRONG_COUNT) {
        victim->settings.workers_per_process++;
    } else if (cluster->trouble == SIM_WRONG_ADDRESS) {
        cluster->net.routes[cluster->victim] = cluster->other;
        cluster->net.routes[cluster->other] = cluster->victim;
    } else if (cluster->trouble == SIM_MISSING) {
        victim->phase = SIM_GONE;
        victim->outcome = SIM_KILLED;
    }
}

static void
draw_visits(sim_cluster *cluster)
{
    random_state *random = &cluster->random;
    cluster->visit_ns = BW_TIME_NEVER;
    if (!random_one_in(random, 3)) return;
    cluster->visits_left = random_one_in(random, 10) ? 150 : random_between(random, 1, 6);
    cluster->visit_ns = cluster->flow->clock.now_ns + random_below(random, 20000000);
}

static void
draw_processes(sim_cluster *cluster)
{
    random_state *random = &cluster->random;
    bool late = random_one_in(random, 3);
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        sim_process *process = &cluster->processes[i];
        sim_process_init(process, cluster->flow, &cluster->net, i, i, cluster->process_count,
                         cluster->local_count);
        uint64_t within_ns = late ? 4 * BW_NS_PER_S : BW_NS_PER_MS;
        process->start_ns = cluster->flow->clock.now_ns + random_next(random) % within_ns;
        cluster->weights[i] = random_one_in(random, 3) ? 1 : 40;
    }
    cluster->weights[cluster->process_count] = 10;
}

sim_cluster *
sim_cluster_new(uint64_t seed, bool verbose)
{
    sim_cluster *cluster = calloc(1, sizeof *cluster);
    BW_ASSERT(cluster != NULL);
    cluster->seed = seed;
    cluster->random.state = random_mix(seed ^ 0x636c7573);
    cluster->process_count = random_between(&cluster->random, 2, SIM_MAX_PROCESSES);
    cluster->local_count = random_between(&cluster->random, 1, SIM_MAX_LOCAL);
    cluster->flow = sim_flow_new(seed, cluster->process_count * cluster->local_count);
    sim_net_init(&cluster->net, seed, &cluster->flow->clock, cluster->process_count + 1);
    cluster->processes[cluster->process_count].phase = SIM_GONE;
    draw_processes(cluster);
    draw_settings(cluster);
    draw_codec(cluster);
    draw_trouble(cluster);
    draw_visits(cluster);
    for (uint32_t i = 0; i < cluster->process_count; i++) cluster->processes[i].verbose = verbose;
    spoil(cluster);
    return cluster;
}

uint64_t
sim_cluster_bound(const sim_cluster *cluster)
{
    const sim_flow *flow = cluster->flow;
    // For each item that may live: its bytes, and those that give its room back.
    uint64_t items = sim_flow_bound(flow) * (2 * sizeof(sim_item) + 100 + flow->ledger.padding);
    // For each epoch that may be open, and each pair of workers: marks and progress.
    uint64_t edges = 1;
    for (uint32_t i = 0; i < flow->step_count; i++) edges += flow->steps[i].up_count;
    return items + edges * 60 * 2 * BW_EPOCHS_AHEAD * flow->worker_count * flow->worker_count;
}

void
sim_cluster_fini(sim_cluster *cluster)
{
    for (uint32_t i = 0; i <= cluster->process_count; i++) sim_process_fini(&cluster->processes[i]);
    sim_net_fini(&cluster->net);
}

void
sim_cluster_free(sim_cluster *cluster)
{
    sim_flow_free(cluster->flow);
    free(cluster);
}

// ---- trouble

static bool
strikes_now(const sim_cluster *cluster)
{
    if (cluster->struck || cluster->trouble < SIM_STALL || cluster->trouble > SIM_STOP) return false;
    if (cluster->trouble_turn == 0) return cluster->trouble_ns <= cluster->flow->clock.now_ns;
    if (cluster->trouble_turn < UINT64_MAX) return cluster->turn_count >= cluster->trouble_turn;
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        if (cluster->processes[i].left) return true;
    }
    return false;
}

static void
isolate(sim_cluster *cluster, uint32_t process)
{
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        cluster->net.silent[i][process] = cluster->net.silent[process][i] = true;
    }
}

static void
stall(sim_cluster *cluster, sim_process *process)
{
    uint64_t silence_ns = process->settings.silence_timeout_ns;
    uint64_t while_ns = silence_ns + random_next(&cluster->random) % (2 * silence_ns);
    uint32_t local = random_below(&cluster->random, cluster->local_count);
    process->locals[local].stalled_ns = cluster->flow->clock.now_ns + while_ns;
}

static void
freeze(sim_cluster *cluster, uint32_t process, uint64_t least_ns, uint64_t most_ns)
{
    cluster->net.hosts[process].frozen = true;
    cluster->thaw_ns =
        cluster->flow->clock.now_ns + least_ns + random_next(&cluster->random) % (most_ns - least_ns);
}

/// Dials whom the one dials whose index it has: the first has nobody to dial.
static bool
send_twin(sim_cluster *cluster, uint32_t index)
{
    sim_process *process = &cluster->processes[index];
    sim_process *twin = &cluster->processes[cluster->process_count];
    if (index == 0 || !cluster->all_connected || !sim_process_runs(process)) return false;
    sim_process_init(twin, cluster->flow, &cluster->net, cluster->process_count, index,
                     cluster->process_count, cluster->local_count);
    memcpy(&twin->settings, &process->settings, sizeof twin->settings);
    twin->settings.connect_timeout_ns = 5 * BW_NS_PER_S;
    twin->verbose = process->verbose;
    twin->start_ns = cluster->flow->clock.now_ns;
    return true;
}

/// False: it changed nothing.
static bool
strike_with(sim_cluster *cluster, sim_trouble trouble, uint32_t victim, uint32_t other)
{
    sim_net *net = &cluster->net;
    sim_process *process = &cluster->processes[victim];
    uint64_t silence_ns = process->settings.silence_timeout_ns;
    bool runs = sim_process_runs(process);
    sim_net_note(net, trouble);
    switch (trouble) {
    case SIM_STALL:
        stall(cluster, process);
        return true;
    case SIM_SLEEP:
        for (uint32_t i = 0; i < cluster->process_count; i++) {
            freeze(cluster, i, silence_ns, silence_ns * 3 / 2);
        }
        return true;
    case SIM_PAUSE:
        if (runs) freeze(cluster, victim, 0, silence_ns / 2);
        return runs;
    case SIM_FREEZE:
        if (runs) freeze(cluster, victim, 2 * silence_ns, 4 * silence_ns);
        return runs;
    case SIM_TWIN:
        return send_twin(cluster, victim);
    case SIM_KILL:
        if (process->phase == SIM_GONE) return false;
        sim_process_kill(process);
        return true;
    case SIM_RESET:
        return sim_net_reset(net, victim, other);
    case SIM_CUT:
        net->silent[victim][other] = net->silent[other][victim] = true;
        return true;
    case SIM_CUT_ONE:
        net->silent[victim][other] = true;
        return true;
    case SIM_ISOLATE:
        isolate(cluster, victim);
        return true;
    case SIM_FLIP:
        sim_net_flip(net, victim, other);
        return true;
    case SIM_STOP:
        if (!runs || process->outcome != SIM_UNDECIDED) return false;
        sim_process_stop(process);
        return true;
    case SIM_NO_TROUBLE:
    case SIM_FAILURE:
    case SIM_WRONG_SECRET:
    case SIM_WRONG_GRAPH:
    case SIM_WRONG_COUNT:
    case SIM_WRONG_ADDRESS:
    case SIM_MISSING:
    case SIM_TROUBLE_COUNT:
        break;
    }
    BW_ASSERT(false);
    return false;
}

static void
strike(sim_cluster *cluster)
{
    cluster->struck = true;
    cluster->struck_ns = cluster->flow->clock.now_ns;
    cluster->more_turns += cluster->turn_count;
    cluster->all_connected = true;
    for (uint32_t i = 0; i < cluster->process_count; i++) {
        cluster->all_connected = cluster->all_connected && cluster->processes[i].was_connected;
    }
    cluster->effective = strike_with(cluster, cluster->trouble, cluster->victim, cluster->other);
}

/// A second time, from the other side.
static void
strike_more(sim_cluster *cluster)
{
    cluster->more_struck = true;
    cluster->struck_ns = cluster->flow->clock.now_ns;
    strike_with(cluster, cluster->more, cluster->other, cluster->victim);
}

static bool
strikes_more_now(const sim_cluster *cluster)
{
    if (!cluster->struck || cluster->more == SIM_NO_TROUBLE || cluster->more_struck) return false;
    return cluster->turn_count >= cluster->more_turns;
}

static void
visit(sim_cluster *cluster)
{
    random_state *random = &cluster->random;
    bool crowd = cluster->visits_left > 6;
    cluster->visits_left--;
    cluster->visit_ns = cluster->flow->clock.now_ns + random_below(random, crowd ? 10000 : 50000000);
    if (cluster->visits_left == 0) cluster->visit_ns = BW_TIME_NEVER;
    // A cluster without a secret has nothing against who says what a process said.
    uint32_t kinds = SIM_STRANGER_COUNT;
    if (cluster->processes[0].settings.secret_size == 0) kinds = SIM_STRANGER_REPLAY;
    uint32_t host = crowd ? cluster->victim : random_below(random, cluster->process_count);
    sim_net_visit(&cluster->net, host,
                  crowd ? SIM_STRANGER_SILENT : (sim_stranger)random_below(random, kinds));
}

// ---- one step after another

static bool
has_ended(const sim_cluster *cluster)
{
    for (uint32_t i = 0; i <= cluster->process_count; i++) {
        if (cluster->processes[i].phase != SIM_GONE) return false;
    }
    return true;
}

static bool
is_frozen(const sim_cluster *cluster, uint32_t process)
{
    return cluster->net.hosts[process].frozen;
}

/// The sum of the weights of all that can happen now.
static uint32_t
total_weight(const sim_cluster *cluster)
{
    uint32_t total = NET_WEIGHT * sim_net_due_count(&cluster->net);
    for (uint32_t i = 0; i <= cluster->process_count; i++) {
        const sim_process *process = &cluster->processes[i];
        if (is_frozen(cluster, i)) continue;
        if (sim_process_has_news(process)) total += MAIN_WEIGHT;
        if (sim_process_can_poll(process)) total += cluster->weights[i];
        for (uint32_t k = 0; k < cluster->local_count; k++) {
            if (sim_process_can_turn(process, k)) total += process->locals[k].one.weight;
        }
    }
    return total;
}

static bool
takes(uint32_t *left, uint32_t weight)
{
    if (*left < weight) return true;
    *left -= weight;
    return false;
}

static void
spend(sim_cluster *cluster, uint32_t longest_ns)
{
    cluster->flow->clock.now_ns += random_below(&cluster->random, longest_ns);
}

/// What a process does if the lot falls on it.
static bool
run_process(sim_cluster *cluster, uint32_t index, uint32_t *left)
{
    sim_process *process = &cluster->processes[index];
    if (sim_process_has_news(process) && takes(left, MAIN_WEIGHT)) {
        spend(cluster, LONGEST_POLL_NS);
        sim_process_run_main(process);
        return true;
    }
    if (sim_process_can_poll(process) && takes(left, cluster->weights[index])) {
        spend(cluster, LONGEST_POLL_NS);
        sim_process_poll(process);
        return true;
    }
    for (uint32_t k = 0; k < cluster->local_count; k++) {
        if (!sim_process_can_turn(process, k)) continue;
        if (!takes(left, process->locals[k].one.weight)) continue;
        spend(cluster, LONGEST_TURN_NS);
        cluster->turn_count++;
        uint64_t start_ns = cluster->flow->clock.now_ns;
        sim_process_turn(process, k);
        cluster->behind_ns += cluster->flow->clock.now_ns - start_ns;
        return true;
    }
    return false;
}

/// An I/O thread that waits for too long: no system lets it because others are busy. True: it was run.
static bool
run_starved(sim_cluster *cluster)
{
    uint64_t now_ns = cluster->flow->clock.now_ns;
    for (uint32_t i = 0; i <= cluster->process_count; i++) {
        sim_process *process = &cluster->processes[i];
        if (is_frozen(cluster, i) || !sim_process_can_poll(process)) continue;
        if (now_ns - process->polled_ns < LONGEST_WAIT_NS) continue;
        sim_process_poll(process);
        return true;
    }
    return false;
}

/// While a worker was slow, network and I/O threads went on: they do now what they could have done then. False:
/// there is nothing left.
static bool
catch_up(sim_cluster *cluster)
{
    uint32_t due = NET_WEIGHT * sim_net_due_count(&cluster->net), total = due;
    for (uint32_t i = 0; i <= cluster->process_count; i++) {
        if (!is_frozen(cluster, i) && sim_process_can_poll(&cluster->processes[i])) total += NET_WEIGHT;
    }
    if (total == 0 || cluster->behind_ns < CATCH_UP_NS) {
        cluster->behind_ns = 0;
        return false;
    }
    cluster->behind_ns -= CATCH_UP_NS;
    uint32_t left = random_below(&cluster->random, total);
    if (takes(&left, due)) {
        sim_net_step(&cluster->net);
        return true;
    }
    for (uint32_t i = 0; i <= cluster->process_count; i++) {
        if (is_frozen(cluster, i) || !sim_process_can_poll(&cluster->processes[i])) continue;
        if (!takes(&left, NET_WEIGHT)) continue;
        sim_process_poll(&cluster->processes[i]);
        return true;
    }
    BW_ASSERT(false);
    return false;
}

static void
run_one(sim_cluster *cluster, uint32_t total)
{
    if (catch_up(cluster) || run_starved(cluster)) return;
    uint32_t left = random_below(&cluster->random, total);
    if (takes(&left, NET_WEIGHT * sim_net_due_count(&cluster->net))) {
        spend(cluster, LONGEST_POLL_NS);
        sim_net_step(&cluster->net);
        return;
    }
    for (uint32_t i = 0; i <= cluster->process_count; i++) {
        if (!is_frozen(cluster, i) && run_process(cluster, i, &left)) return;
    }
    BW_ASSERT(false);
}

/// When anything can happen next.
static uint64_t
next_ns(const sim_cluster *cluster)
{
    uint64_t least_ns = sim_net_next_ns(&cluster->net);
    if (cluster->visit_ns < least_ns) least_ns = cluster->visit_ns;
    if (cluster->thaw_ns > 0 && cluster->thaw_ns < least_ns) least_ns = cluster->thaw_ns;
    bool planned = !cluster->struck && cluster->trouble >= SIM_STALL && cluster->trouble <= SIM_STOP;
    if (planned && cluster->trouble_turn == 0 && cluster->trouble_ns < least_ns) {
        least_ns = cluster->trouble_ns;
    }
    for (uint32_t i = 0; i <= cluster->process_count; i++) {
        if (is_frozen(cluster, i)) continue;
        uint64_t at_ns = sim_process_next_ns(&cluster->processes[i]);
        if (at_ns < least_ns) least_ns = at_ns;
    }
    return least_ns;
}

sim_cluster_step
sim_cluster_run_step(sim_cluster *cluster)
{
    sim_clock *clock = &cluster->flow->clock;
    if (has_ended(cluster)) return SIM_CLUSTER_ENDED;
    cluster->step_count++;
    if (strikes_now(cluster)) strike(cluster);
    if (strikes_more_now(cluster)) strike_more(cluster);
    if (cluster->thaw_ns > 0 && cluster->thaw_ns <= clock->now_ns) {
        cluster->thaw_ns = 0;
        cluster->thawed_ns = clock->now_ns;
        for (uint32_t i = 0; i < cluster->process_count; i++) cluster->net.hosts[i].frozen = false;
    }
    if (cluster->visit_ns <= clock->now_ns) visit(cluster);
    uint32_t total = total_weight(cluster);
    if (total > 0) {
        run_one(cluster, total);
        return SIM_CLUSTER_RAN;
    }
    uint64_t at_ns = next_ns(cluster);
    if (at_ns == BW_TIME_NEVER) return has_ended(cluster) ? SIM_CLUSTER_ENDED : SIM_CLUSTER_DEADLOCK;
    if (at_ns > clock->now_ns) clock->now_ns = at_ns;
    return SIM_CLUSTER_RAN;
}
