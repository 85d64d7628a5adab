#include "testing/sim_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "testing/sim_report.h"
#include "testing/sim_stream.h"

// What a mesh may have with its transport, by its contract, and one record more.
#define MOST_WAITING (BW_RECORD_BYTES + BW_RECORD_BYTES / 8)
#define LINGER_NS BW_NS_PER_S              // what a close with a flush may take
#define LOST_CONNECT_NS (5 * BW_NS_PER_S)  // after which a transport gives up a connect without answer
#define MOST_READ 65536u

typedef enum end_state {
    END_AWAY,        // of the one who is dialled, before he hears of it
    END_CONNECTING,  // of the one who dials, until he hears what came of it
    END_ACCEPTING,   // in the system's hands, not yet in the process's
    END_OPEN,
    END_LINGERING,  // closed by its mesh: what was written still goes out
    END_CLOSED,
} end_state;

typedef struct sim_end {
    sim_conn *conn;
    uint32_t host;
    end_state state;
    bw_session *session;
    uint64_t due_ns;    // of the states that end by themselves
    uint64_t reset_ns;  // when a reset reaches it; BW_TIME_NEVER: none
    bool lost;          // what it dialled never answers
    sim_stream out;
} sim_end;

struct sim_conn {
    sim_conn *next;
    sim_net *net;
    uint32_t number;
    sim_stranger kind;  // of a stranger's
    bool changed;       // what it repeats
    sim_end ends[2];    // who dialled, who was dialled
};

static sim_end *
other(const sim_end *end)
{
    return &end->conn->ends[end == &end->conn->ends[0] ? 1 : 0];
}

static bool
is_silent(const sim_net *net, const sim_end *from)
{
    uint32_t a = from->host, b = other(from)->host;
    return a != SIM_STRANGER && b != SIM_STRANGER && net->silent[a][b];
}

static bool
is_frozen(const sim_net *net, const sim_end *end)
{
    return end->host != SIM_STRANGER && net->hosts[end->host].frozen;
}

/// When what leaves now arrives; BW_TIME_NEVER: never.
static uint64_t
next_arrival(sim_end *from)
{
    sim_net *net = from->conn->net;
    if (is_silent(net, from)) return BW_TIME_NEVER;
    return sim_stream_next_arrival(&from->out, &net->random, net->clock->now_ns);
}

static size_t
draw_size(sim_net *net, size_t most)
{
    if (net->bite > 0 && random_one_in(&net->random, net->bite)) {
        size_t few = random_between(&net->random, 1, 5);
        return few < most ? few : most;
    }
    if (random_one_in(&net->random, 2)) return most;
    return 1 + random_next(&net->random) % most;
}

// ---- ends of connections

static void
reset_at(sim_end *end, uint64_t at_ns)
{
    if (at_ns < end->reset_ns) end->reset_ns = at_ns;
}

/// The other side learns that this one is gone without a proper end.
static void
send_reset(sim_end *end)
{
    sim_end *peer = other(end);
    if (peer->state == END_CLOSED || peer->state == END_AWAY) return;
    reset_at(peer, next_arrival(end));
}

/// What is with the system still arrives, what is not never will.
static void
send_end(sim_end *end)
{
    if (end->out.fin_ns != BW_TIME_NEVER) return;
    end->out.size = end->out.sent;
    end->out.fin_ns = next_arrival(end);
}

static void
close_end(sim_end *end)
{
    const sim_stream *in = &other(end)->out;
    bool unread = in->sent > in->got;
    end->state = END_CLOSED;
    end->session = NULL;
    send_end(end);
    if (unread) send_reset(end);  // as systems do when a process closes what it has not read to its end
}

/// Tells the mesh, which forgets the session.
static void
tell_closed(sim_end *end, const char *reason)
{
    sim_net *net = end->conn->net;
    bw_session *session = end->session;
    bool known = end->state == END_CONNECTING || end->state == END_OPEN;
    close_end(end);
    if (end->host == SIM_STRANGER || !known) return;
    sim_host *host = &net->hosts[end->host];
    host->touched = true;
    bw_mesh_closed(session, reason, sim_host_now_ns(host));
}

static sim_conn *
add_conn(sim_net *net, uint32_t from, uint32_t to)
{
    sim_conn *conn = calloc(1, sizeof *conn);
    BW_ASSERT(conn != NULL);
    conn->net = net;
    conn->number = net->conn_count++;
    conn->next = net->conns;
    net->conns = conn;
    for (int i = 0; i < 2; i++) {
        sim_end *end = &conn->ends[i];
        end->conn = conn;
        end->host = i == 0 ? from : to;
        end->state = i == 0 ? END_CONNECTING : END_AWAY;
        end->reset_ns = BW_TIME_NEVER;
        sim_stream_init(&end->out, &net->random, net->delay_ns, net->jitter_ns, net->room);
    }
    sim_end *dialler = &conn->ends[0];
    dialler->due_ns = net->clock->now_ns + 2 * dialler->out.delay_ns;
    if (from == SIM_STRANGER) return conn;
    if (net->slow_connects > 0 && random_one_in(&net->random, net->slow_connects)) {
        dialler->due_ns += random_next(&net->random) % (2 * BW_NS_PER_S);
    }
    return conn;
}

// ---- what happens to an end

static void
connect_end(sim_end *end)
{
    sim_net *net = end->conn->net;
    sim_end *peer = other(end);
    bool known = peer->host < net->host_count;
    bool away = !known || net->hosts[peer->host].mesh == NULL;
    bool turned = end->host != SIM_STRANGER && net->turned_connects > 0 &&
                  random_one_in(&net->random, net->turned_connects);
    if (end->host != SIM_STRANGER && known) {
        bool lost = is_silent(net, end) || is_silent(net, peer);
        if (lost && !end->lost) {
            end->lost = true;
            end->due_ns = net->clock->now_ns + LOST_CONNECT_NS;
            return;
        }
    }
    if (end->lost) {
        tell_closed(end, "connection timed out");
        return;
    }
    if (away || turned) {
        tell_closed(end, "connection refused");
        return;
    }
    end->state = END_OPEN;
    peer->state = END_ACCEPTING;
    peer->due_ns = net->clock->now_ns + random_next(&net->random) % net->jitter_ns;
    if (end->host == SIM_STRANGER) {
        end->due_ns = net->clock->now_ns + random_next(&net->random) % (30 * BW_NS_PER_S);
        return;
    }
    sim_host *host = &net->hosts[end->host];
    host->touched = true;
    bw_mesh_opened(end->session, sim_host_now_ns(host));
}

static void
accept_end(sim_end *end)
{
    sim_net *net = end->conn->net;
    sim_host *host = &net->hosts[end->host];
    char from[32];
    if (host->mesh == NULL) {
        close_end(end);
        send_reset(end);
        return;
    }
    snprintf(from, sizeof from, "127.0.0.1:%u", 40000 + end->conn->number);
    host->touched = true;
    end->state = END_OPEN;
    end->session = bw_mesh_accept(host->mesh, end, from, sim_host_now_ns(host));
    if (end->session != NULL) return;
    close_end(end);
    send_reset(end);
}

static bool
can_send(const sim_end *end)
{
    if (end->state != END_OPEN && end->state != END_LINGERING) return false;
    const sim_stream *out = &end->out;
    return out->sent < out->size && out->sent - out->got < out->room;
}

static void
send_some(sim_end *end)
{
    sim_net *net = end->conn->net;
    sim_stream *out = &end->out;
    size_t room = out->room - (out->sent - out->got), waits = out->size - out->sent;
    size_t size = draw_size(net, waits < room ? waits : room);
    uint64_t arrival_ns = next_arrival(end);
    if (sim_stream_send(out, &net->random, size, arrival_ns)) {
        net->flipped = true;
        net->flipped_ns = net->clock->now_ns;
    }
    if (other(end)->state == END_CLOSED && arrival_ns != BW_TIME_NEVER) {
        if (!is_silent(net, other(end))) reset_at(end, arrival_ns + other(end)->out.delay_ns);
    }
    if (end->state != END_OPEN || end->host == SIM_STRANGER) return;
    sim_host *host = &net->hosts[end->host];
    host->touched = true;
    bw_mesh_written(end->session, size, sim_host_now_ns(host));
}

static void
read_some(sim_end *end, size_t there)
{
    sim_net *net = end->conn->net;
    sim_stream *in = &other(end)->out;
    size_t size = draw_size(net, there < MOST_READ ? there : MOST_READ);
    const uint8_t *from = in->bytes + in->got;
    in->got += size;
    if (end->state != END_OPEN || end->host == SIM_STRANGER) return;
    net->byte_count += size;
    sim_host *host = &net->hosts[end->host];
    host->touched = true;
    // In a block of its size, so that a sanitizer sees who reads beyond it.
    uint8_t *bytes = malloc(size);
    BW_ASSERT(bytes != NULL);
    memcpy(bytes, from, size);
    bw_mesh_received(end->session, bytes, size, sim_host_now_ns(host));
    free(bytes);
}

/// A lingering end is over when all has gone and the other side has said that it ends too.
static void
linger(sim_end *end)
{
    sim_net *net = end->conn->net;
    sim_stream *in = &other(end)->out;
    in->got += sim_stream_arrived(in, net->clock->now_ns);
    bool over = sim_stream_ended_ns(in) <= net->clock->now_ns && end->out.fin_ns != BW_TIME_NEVER;
    if (end->due_ns > net->clock->now_ns && !over) return;
    bool late = end->out.sent < end->out.size;
    close_end(end);
    if (late) send_reset(end);
}

static void
step_established(sim_end *end)
{
    sim_net *net = end->conn->net;
    uint64_t now_ns = net->clock->now_ns;
    size_t there = sim_stream_arrived(&other(end)->out, now_ns);
    // What came before is read first.
    if (end->reset_ns <= now_ns && there == 0) {
        tell_closed(end, "connection reset by peer");
        return;
    }
    bool sends = can_send(end);
    if (sends && (there == 0 || random_one_in(&net->random, 2))) {
        send_some(end);
        if (end->state != END_LINGERING || end->out.sent < end->out.size) return;
        send_end(end);
        return;
    }
    if (end->state == END_LINGERING) {
        linger(end);
        return;
    }
    if (there > 0) {
        read_some(end, there);
        return;
    }
    if (sim_stream_ended_ns(&other(end)->out) <= now_ns) {
        tell_closed(end, "connection closed");
        return;
    }
    BW_ASSERT(end->host == SIM_STRANGER && end->due_ns <= now_ns);
    close_end(end);
}

/// When something can happen to it next.
static uint64_t
due_ns(const sim_net *net, const sim_end *end)
{
    uint64_t at_ns = BW_TIME_NEVER;
    if (is_frozen(net, end)) return at_ns;
    switch (end->state) {
    case END_AWAY:
    case END_CLOSED:
        return BW_TIME_NEVER;
    case END_CONNECTING:
    case END_ACCEPTING:
        return end->due_ns;
    case END_OPEN:
    case END_LINGERING:
        break;
    }
    if (can_send(end)) return 0;
    if (end->state == END_LINGERING || end->host == SIM_STRANGER) at_ns = end->due_ns;
    if (end->reset_ns < at_ns) at_ns = end->reset_ns;
    const sim_stream *in = &other(end)->out;
    if (sim_stream_readable_ns(in) < at_ns) at_ns = sim_stream_readable_ns(in);
    bool waits = end->state == END_OPEN || end->out.fin_ns != BW_TIME_NEVER;
    return waits && sim_stream_ended_ns(in) < at_ns ? sim_stream_ended_ns(in) : at_ns;
}

static void
step_end(sim_end *end)
{
    sim_net_note(end->conn->net, end->conn->number * 8u + (unsigned)end->state);
    sim_net_note(end->conn->net, end->out.sent ^ (other(end)->out.got << 32));
    switch (end->state) {
    case END_CONNECTING:
        connect_end(end);
        return;
    case END_ACCEPTING:
        accept_end(end);
        return;
    case END_OPEN:
    case END_LINGERING:
        step_established(end);
        return;
    case END_AWAY:
    case END_CLOSED:
        BW_ASSERT(false);
    }
}

// ---- the transport

static bw_status
transport_connect(void *self, uint32_t process, bw_session *session, void **socket)
{
    const sim_host *host = self;
    SIM_CHECK(process < host->net->host_count && process != host->index, "process %u dials %u",
              host->index, process);
    sim_conn *conn = add_conn(host->net, host->index, host->net->routes[process]);
    conn->ends[0].session = session;
    *socket = &conn->ends[0];
    return BW_OK;
}

/// Which bit of the record that comes next, of so many bytes behind its length, will be flipped, if any.
static void
plan_flip(sim_net *net, sim_stream *stream, uint32_t size)
{
    if (stream->flip_in == 0 || --stream->flip_in > 0) return;
    bool of_length = random_one_in(&net->random, 3);
    stream->flip_at = stream->size +
                      (of_length ? random_below(&net->random, 3) : 4 + random_below(&net->random, size));
}

static void
transport_write(void *self, void *socket, bw_block *first, uint32_t tail_size)
{
    const sim_host *host = self;
    sim_end *end = socket;
    SIM_CHECK(end->host == host->index && end->state == END_OPEN,
              "process %u writes to a connection that it does not have", host->index);
    for (const bw_block *block = first; block != NULL; block = block->next) {
        SIM_CHECK(tail_size <= BW_BLOCK_TAIL, "a tail of %u bytes", tail_size);
        plan_flip(host->net, &end->out, block->size + tail_size);
        sim_stream_append(&end->out, block->bytes - 4, block->size + 4u + tail_size);
    }
    bw_block_free_all(first);
    SIM_CHECK(end->out.size - end->out.sent <= MOST_WAITING, "process %u: %zu bytes wait in a socket",
              host->index, end->out.size - end->out.sent);
}

static void
linger_from_now(sim_end *end)
{
    end->state = END_LINGERING;
    end->session = NULL;
    end->due_ns = end->conn->net->clock->now_ns + LINGER_NS;
    if (end->out.sent == end->out.size) send_end(end);
}

static void
transport_close(void *self, void *socket, bool flush)
{
    const sim_host *host = self;
    sim_end *end = socket;
    if (host->left) return;
    SIM_CHECK(end->host == host->index && (end->state == END_OPEN || end->state == END_CONNECTING),
              "process %u closes a connection that it does not have", host->index);
    sim_net_note(end->conn->net, end->conn->number * 2u + flush);
    if (end->state == END_CONNECTING) {
        end->state = END_CLOSED;
        return;
    }
    if (!flush) {
        close_end(end);
        return;
    }
    linger_from_now(end);
}

static bw_status
transport_random(void *self, uint8_t *bytes, size_t size)
{
    const sim_host *host = self;
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)random_next(&host->net->random);
    return BW_OK;
}

bw_transport
sim_net_transport(sim_net *net, uint32_t host)
{
    return (bw_transport){.connect = transport_connect,
                          .write = transport_write,
                          .close = transport_close,
                          .random = transport_random,
                          .self = &net->hosts[host]};
}

// ---- the network as a whole

void
sim_net_init(sim_net *net, uint64_t seed, const sim_clock *clock, uint32_t host_count)
{
    static const uint64_t DELAYS_NS[] = {20000, 100000, 100000, BW_NS_PER_MS, 20 * BW_NS_PER_MS};
    static const uint32_t BITES[] = {0, 30, 8, 2}, ROOMS[] = {64, 1000, 16000, 200000, 200000};
    *net = (sim_net){.random.state = random_mix(seed ^ 0x6e6574), .clock = clock};
    BW_ASSERT(host_count <= SIM_MAX_HOSTS);
    net->host_count = host_count;
    for (uint32_t i = 0; i < host_count; i++) {
        net->routes[i] = i;
        net->hosts[i] = (sim_host){.net = net, .index = i, .skew_ns = random_next(&net->random) >> 20};
    }
    net->delay_ns = DELAYS_NS[random_below(&net->random, 5)];
    net->jitter_ns = random_one_in(&net->random, 2) ? 1000 : net->delay_ns;
    net->bite = BITES[random_below(&net->random, 4)];
    net->room = ROOMS[random_below(&net->random, 5)];
    // At least 2 MB/s: what must leave within a second can.
    uint32_t least = (uint32_t)((net->delay_ns + net->jitter_ns) * 4 / 1000);
    if (net->room < least) net->room = least;
    net->slow_connects = random_one_in(&net->random, 4) ? 3 : 0;
    net->turned_connects = random_one_in(&net->random, 4) ? 3 : 0;
}

static void
free_conns(sim_conn *conn)
{
    while (conn != NULL) {
        sim_conn *next = conn->next;
        for (int i = 0; i < 2; i++) sim_stream_fini(&conn->ends[i].out);
        free(conn);
        conn = next;
    }
}

void
sim_net_fini(sim_net *net)
{
    free_conns(net->conns);
    free_conns(net->ended);
}

void
sim_net_listen(sim_net *net, uint32_t host, bw_mesh *mesh)
{
    net->hosts[host].mesh = mesh;
}

void
sim_net_leave(sim_net *net, uint32_t host)
{
    net->hosts[host].mesh = NULL;
    net->hosts[host].left = true;
    for (sim_conn *conn = net->conns; conn != NULL; conn = conn->next) {
        for (int i = 0; i < 2; i++) {
            sim_end *end = &conn->ends[i];
            if (end->host != host) continue;
            if (end->state == END_OPEN) linger_from_now(end);
            if (end->state == END_CONNECTING) end->state = END_CLOSED;
        }
    }
}

void
sim_net_kill(sim_net *net, uint32_t host)
{
    net->hosts[host].mesh = NULL;
    net->hosts[host].frozen = false;
    net->hosts[host].left = true;
    for (sim_conn *conn = net->conns; conn != NULL; conn = conn->next) {
        for (int i = 0; i < 2; i++) {
            sim_end *end = &conn->ends[i];
            if (end->host != host || end->state == END_CLOSED || end->state == END_AWAY) continue;
            end->state = END_CLOSED;
            end->session = NULL;
            send_end(end);
            send_reset(end);
        }
    }
}

bool
sim_net_reset(sim_net *net, uint32_t a, uint32_t b)
{
    bool any = false;
    for (sim_conn *conn = net->conns; conn != NULL; conn = conn->next) {
        sim_end *one = &conn->ends[0], *two = &conn->ends[1];
        if (!(one->host == a && two->host == b) && !(one->host == b && two->host == a)) continue;
        if (one->state != END_OPEN || two->state != END_OPEN) continue;
        any = true;
        reset_at(one, net->clock->now_ns + random_next(&net->random) % net->delay_ns);
        reset_at(two, net->clock->now_ns + random_next(&net->random) % net->delay_ns);
    }
    return any;
}

void
sim_net_flip(sim_net *net, uint32_t from, uint32_t to)
{
    for (sim_conn *conn = net->conns; conn != NULL; conn = conn->next) {
        for (int i = 0; i < 2; i++) {
            sim_end *end = &conn->ends[i];
            if (end->host != from || other(end)->host != to || end->state == END_CLOSED) continue;
            end->out.flip_in = random_between(&net->random, 1, 40);
        }
    }
}

uint64_t
sim_net_unsent(const sim_net *net, uint32_t host)
{
    uint64_t bytes = 0;
    for (const sim_conn *conn = net->conns; conn != NULL; conn = conn->next) {
        for (int i = 0; i < 2; i++) {
            const sim_end *end = &conn->ends[i];
            if (end->host == host && end->state == END_OPEN) bytes += end->out.size - end->out.sent;
        }
    }
    return bytes;
}

uint64_t
sim_net_next_ns(const sim_net *net)
{
    uint64_t least_ns = BW_TIME_NEVER;
    for (const sim_conn *conn = net->conns; conn != NULL; conn = conn->next) {
        for (int i = 0; i < 2; i++) {
            uint64_t at_ns = due_ns(net, &conn->ends[i]);
            if (at_ns < least_ns) least_ns = at_ns;
        }
    }
    return least_ns;
}

uint32_t
sim_net_due_count(const sim_net *net)
{
    uint32_t count = 0;
    for (const sim_conn *conn = net->conns; conn != NULL; conn = conn->next) {
        for (int i = 0; i < 2; i++) count += due_ns(net, &conn->ends[i]) <= net->clock->now_ns;
    }
    return count;
}

/// Puts aside those to which nothing happens any more.
static void
retire(sim_net *net)
{
    for (sim_conn **at = &net->conns; *at != NULL;) {
        sim_conn *conn = *at;
        bool dead = conn->ends[0].state == END_CLOSED &&
                    (conn->ends[1].state == END_CLOSED || conn->ends[1].state == END_AWAY);
        if (!dead) {
            at = &conn->next;
            continue;
        }
        *at = conn->next;
        conn->next = net->ended;
        net->ended = conn;
    }
}

void
sim_net_step(sim_net *net)
{
    retire(net);
    uint32_t left = random_below(&net->random, sim_net_due_count(net));
    for (sim_conn *conn = net->conns; conn != NULL; conn = conn->next) {
        for (int i = 0; i < 2; i++) {
            if (due_ns(net, &conn->ends[i]) > net->clock->now_ns) continue;
            if (left-- > 0) continue;
            step_end(&conn->ends[i]);
            return;
        }
    }
}

// ---- strangers

/// Looks for what a process sent when it dialled this host.
static void
draw_recording(sim_net *net, const sim_conn *conn, uint32_t host, uint32_t *count,
               const sim_stream **found)
{
    for (; conn != NULL; conn = conn->next) {
        if (conn->ends[0].host == SIM_STRANGER || conn->ends[1].host != host) continue;
        if (conn->ends[0].out.sent == 0) continue;
        if (random_one_in(&net->random, ++*count)) *found = &conn->ends[0].out;
    }
}

void
sim_net_visit(sim_net *net, uint32_t host, sim_stranger kind)
{
    const sim_stream *recording = NULL;
    uint32_t recordings = 0;
    draw_recording(net, net->conns, host, &recordings, &recording);
    draw_recording(net, net->ended, host, &recordings, &recording);
    sim_conn *conn = add_conn(net, SIM_STRANGER, host);
    sim_end *end = &conn->ends[0];
    conn->kind = kind;
    end->due_ns = net->clock->now_ns + end->out.delay_ns;
    uint32_t count = random_below(&net->random, random_one_in(&net->random, 2) ? 10 : 3000);
    switch (kind) {
    case SIM_STRANGER_SILENT:
    case SIM_STRANGER_COUNT:
        break;
    case SIM_STRANGER_GARBAGE:
        for (uint32_t i = 0; i < count; i++) {
            uint8_t byte = (uint8_t)random_next(&net->random);
            sim_stream_append(&end->out, &byte, 1);
        }
        // Sometimes with a length before it that a record could have.
        if (count >= 4 && random_one_in(&net->random, 2)) {
            memcpy(end->out.bytes, &(uint32_t){BW_LITTLE32(random_below(&net->random, 200))}, 4);
        }
        break;
    case SIM_STRANGER_REPLAY:
        if (recording == NULL) break;
        size_t size = recording->sent < 100000 ? recording->sent : 100000;
        if (random_one_in(&net->random, 2)) size = 1 + random_next(&net->random) % size;
        sim_stream_append(&end->out, recording->bytes, size);
        conn->changed = random_one_in(&net->random, 3);
        if (conn->changed) {
            end->out.bytes[random_below(&net->random, (uint32_t)size)] ^=
                (uint8_t)(1u << random_below(&net->random, 8));
        }
        break;
    }
}

/// Who says nothing that makes sense gets no answer; who repeats what was said once, a greeting, and is told that
/// it proves nothing.
static void
check_strangers(const sim_conn *conn)
{
    static const char WRONG_SECRET[] = "the secrets of the cluster differ";
    static const char NO_SECRET[] = "the security differs";
    for (; conn != NULL; conn = conn->next) {
        const sim_stream *told = &conn->ends[1].out;
        if (conn->ends[0].host != SIM_STRANGER || told->size == 0) continue;
        SIM_CHECK(conn->kind == SIM_STRANGER_REPLAY, "process %u answered a stranger",
                  conn->ends[1].host);
        size_t greeting = 4 + bw_get_u32(told->bytes);
        if (greeting >= told->size || conn->changed) continue;
        const uint8_t *frame = told->bytes + greeting + 4;
        SIM_CHECK(frame[4] == BW_FRAME_REFUSE, "process %u took a stranger in", conn->ends[1].host);
        bool proven = memcmp(frame + BW_FRAME_HEAD, WRONG_SECRET, sizeof WRONG_SECRET - 1) != 0 &&
                      memcmp(frame + BW_FRAME_HEAD, NO_SECRET, sizeof NO_SECRET - 1) != 0;
        SIM_CHECK(!proven, "process %u told a stranger: %.50s", conn->ends[1].host,
                  frame + BW_FRAME_HEAD);
    }
}

void
sim_net_check_strangers(const sim_net *net)
{
    check_strangers(net->conns);
    check_strangers(net->ended);
}
