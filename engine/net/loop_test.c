// Whole meshes over loopback: the loops of several processes in this one.
#define _GNU_SOURCE  // getrandom

#include "net/loop.h"

#include <poll.h>
#include <pthread.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "net/address.h"
#include "testing/certificates.h"
#include "testing/check.h"
#include "testing/loopback.h"

#define TIMEOUT_S 20
#define NODES 3

typedef struct node {
    bw_net_settings settings;
    char cert[128], key[128], ca[128];
    bw_loop *loop;
    pthread_mutex_t lock;  // guards what follows
    pthread_cond_t changed;
    bool is_connected, has_ended;
    char failed[200], broken[480], said[20][480];
    uint32_t said_count;
    uint32_t frame_count[NODES];
    uint64_t byte_count[NODES], sum[NODES];  // by sender
    void (*job)(struct node *node, uint64_t now_ns);
} node;

typedef struct cluster {
    uint32_t count;
    char text[NODES][BW_LOOPBACK_TEXT];
    const char *addresses[NODES];
    int fds[NODES];
    node nodes[NODES];
} cluster;

static void
enter(node *node)
{
    pthread_mutex_lock(&node->lock);
}

static void
leave(node *node)
{
    pthread_cond_broadcast(&node->changed);
    pthread_mutex_unlock(&node->lock);
}

static void
wait_for_change(node *node, const char *condition, int line)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += TIMEOUT_S;
    if (pthread_cond_timedwait(&node->changed, &node->lock, &deadline) == 0) return;
    fprintf(stderr, "line %d: %s does not come true; process %u: broken: %s; failed: %s; said %u: %s\n",
            line, condition, node->settings.process_index, node->broken, node->failed, node->said_count,
            node->said_count == 0 ? "" : node->said[node->said_count - 1]);
    exit(1);
}

#define WAIT(node, condition) \
    do { \
        enter(node); \
        while (!(condition)) wait_for_change(node, #condition, __LINE__); \
        pthread_mutex_unlock(&(node)->lock); \
    } while (0)

// ---- what a mesh tells

static void
on_connected(void *self)
{
    enter(self);
    ((node *)self)->is_connected = true;
    leave(self);
}

static uint64_t
sum_of(const uint8_t *bytes, size_t size, uint64_t sum)
{
    for (size_t i = 0; i < size; i += 61) sum = sum * 31 + bytes[i];
    return sum;
}

static bw_status
on_frame(void *self, uint32_t process, const bw_frame *frame)
{
    node *node = self;
    enter(node);
    CHECK(frame->kind == BW_FRAME_DATA);
    node->frame_count[process]++;
    node->byte_count[process] += frame->size;
    node->sum[process] = sum_of(frame->payload, frame->size, node->sum[process]);
    leave(node);
    return BW_OK;
}

static void
on_failed(void *self, uint32_t process, const uint8_t *payload, uint32_t size)
{
    node *node = self;
    enter(node);
    snprintf(node->failed, sizeof node->failed, "%u: %.*s", process, (int)size, (const char *)payload);
    leave(node);
}

static void
on_broken(void *self, const bw_error *error)
{
    node *node = self;
    enter(node);
    snprintf(node->broken, sizeof node->broken, "%s", error->text);
    leave(node);
}

static void
on_ended(void *self)
{
    enter(self);
    ((node *)self)->has_ended = true;
    leave(self);
}

static void
on_say(void *self, const char *line)
{
    node *node = self;
    enter(node);
    if (node->said_count < 20)
        snprintf(node->said[node->said_count++], sizeof node->said[0], "%s", line);
    leave(node);
}

static void
do_job(void *self, uint64_t now_ns)
{
    node *node = self;
    enter(node);
    void (*job)(struct node *node, uint64_t now_ns) = node->job;
    pthread_mutex_unlock(&node->lock);  // the mesh may tell something within the job
    if (job != NULL) job(node, now_ns);
    enter(node);
    if (node->job == job) node->job = NULL;
    leave(node);
}

static void
command(node *node, void (*job)(struct node *node, uint64_t now_ns))
{
    enter(node);
    node->job = job;
    leave(node);
    bw_loop_wake(node->loop);
    WAIT(node, node->job == NULL);
}

// ---- clusters

/// Ports for `count` processes, all of which listen from now on; `secret` may be NULL.
static void
prepare(cluster *cluster, uint32_t count, const char *secret)
{
    memset(cluster, 0, sizeof *cluster);
    cluster->count = count;
    for (uint32_t i = 0; i < count; i++) {
        cluster->fds[i] = bw_loopback_listen(cluster->text[i]);
        cluster->addresses[i] = cluster->text[i];
        cluster->nodes[i].settings = (bw_net_settings){
            .process_index = i,
            .process_count = count,
            .workers_per_process = 1,
            .addresses = cluster->addresses,
            .listen_fd = cluster->fds[i],
            .secret = (const uint8_t *)secret,
            .secret_size = secret == NULL ? 0 : strlen(secret),
            .connect_timeout_ns = TIMEOUT_S * BW_NS_PER_S,
            .silence_timeout_ns = 10 * BW_NS_PER_S,
            .graph_hash = 42,
            .step_count = 3,
        };
    }
}

/// A port on which nobody listens, for the process to bind when it starts.
static void
listen_later(cluster *cluster, uint32_t index)
{
    close(cluster->fds[index]);
    cluster->nodes[index].settings.listen_fd = -1;
}

static void
start(cluster *cluster, uint32_t index)
{
    node *node = &cluster->nodes[index];
    pthread_mutex_init(&node->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&node->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    bw_mesh_events events = {.connected = on_connected,
                             .frame = on_frame,
                             .failed = on_failed,
                             .broken = on_broken,
                             .ended = on_ended,
                             .say = on_say,
                             .self = node};
    bw_loop_hook hook = {.poll = do_job, .self = node};
    bw_error error;
    if (bw_loop_new(&node->settings, &events, &hook, &node->loop, &error) != BW_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    CHECK_EQ(bw_loop_start(node->loop), BW_OK);
}

static void
stop(node *node)
{
    bw_loop_stop(node->loop);
    bw_loop_free(node->loop);
    node->loop = NULL;
}

static void
stop_all(cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].loop != NULL) stop(&cluster->nodes[i]);
    }
}

static void
wait_until_connected(cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        node *node = &cluster->nodes[i];
        WAIT(node, node->is_connected);
    }
}

static void
leave_job(node *node, uint64_t now_ns)
{
    bw_mesh_leave(bw_loop_mesh(node->loop), now_ns);
}

static void
fail_job(node *node, uint64_t now_ns)
{
    bw_mesh_fail(bw_loop_mesh(node->loop), (const uint8_t *)"step fell over", 14, now_ns);
}

/// All leave, and hear it of each other.
static void
end(cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++) command(&cluster->nodes[i], leave_job);
    for (uint32_t i = 0; i < cluster->count; i++) {
        node *node = &cluster->nodes[i];
        WAIT(node, node->has_ended);
        CHECK(node->broken[0] == 0);
        CHECK(node->failed[0] == 0);
    }
    stop_all(cluster);
}

/// Pushes a block of one DATA frame; adds its payload to `*sum`.
static void
send_block(node *node, uint32_t process, uint32_t size, uint32_t number, uint64_t *sum)
{
    bw_block *block = bw_block_new(BW_FRAME_HEAD + size);
    bw_frame_put_head(block->bytes, BW_FRAME_DATA, 0, size);
    for (uint32_t i = 0; i < size; i++) block->bytes[BW_FRAME_HEAD + i] = (uint8_t)(i * 3 + number);
    block->size = BW_FRAME_HEAD + size;
    *sum = sum_of(block->bytes + BW_FRAME_HEAD, size, *sum);
    bw_outbox_push(bw_mesh_outbox(bw_loop_mesh(node->loop), process), block);
}

static void
use_tls(node *node, const char *folder, const char *name)
{
    snprintf(node->cert, sizeof node->cert, "%s/%s.pem", folder, name);
    snprintf(node->key, sizeof node->key, "%s/%s.key", folder, name);
    snprintf(node->ca, sizeof node->ca, "%s/ca.pem", folder);
    node->settings.tls_cert = node->cert;
    node->settings.tls_key = node->key;
    node->settings.tls_ca = node->ca;
}

// ---- tests

static void
processes_meet_in_any_order(void)
{
    static const uint32_t ORDERS[6][NODES] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                              {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int i = 0; i < 6; i++) {
        cluster cluster;
        prepare(&cluster, NODES, i % 2 == 0 ? "secret" : NULL);
        for (int k = 0; k < NODES; k++) start(&cluster, ORDERS[i][k]);
        wait_until_connected(&cluster);
        end(&cluster);
    }
}

/// A port that nobody has, of "[::1]" or "localhost"; false: this machine has no such address.
static bool
find_port(const char *host, char text[BW_LOOPBACK_TEXT])
{
    char any[64];
    int fd;
    bw_error error;
    snprintf(any, sizeof any, "%s:0", host);
    if (bw_address_listen(any, &fd, &error) != BW_OK) return false;
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    char number[BW_ADDRESS_TEXT];
    bw_address_format((struct sockaddr *)&address, number);
    snprintf(text, BW_LOOPBACK_TEXT, "%s%s", host, strrchr(number, ':'));
    close(fd);
    return true;
}

static void
numbers_of_both_families_and_names_are_addresses(void)
{
    static const char *const HOSTS[NODES] = {"[::1]", "localhost", "127.0.0.1"};
    cluster cluster;
    prepare(&cluster, NODES, "secret");
    for (uint32_t i = 0; i < NODES; i++) {
        char text[BW_LOOPBACK_TEXT];
        if (!find_port(HOSTS[i], text)) continue;  // it keeps the port that it has
        listen_later(&cluster, i);
        memcpy(cluster.text[i], text, sizeof text);
    }
    for (uint32_t i = 0; i < NODES; i++) start(&cluster, i);
    wait_until_connected(&cluster);
    end(&cluster);
}

static void
who_starts_late_is_waited_for(void)
{
    cluster cluster;
    prepare(&cluster, 2, "secret");
    start(&cluster, 1);
    // It has dialled in vain once somebody else has answered there, and gone.
    int fd = accept(cluster.fds[0], NULL, NULL);
    CHECK(fd >= 0);
    close(fd);
    listen_later(&cluster, 0);
    start(&cluster, 0);
    wait_until_connected(&cluster);
    end(&cluster);
}

static void
send_much(cluster *cluster, uint32_t mib)
{
    for (uint32_t i = 0; i < cluster->count; i++) start(cluster, i);
    wait_until_connected(cluster);
    uint64_t sums[2] = {0, 0};
    uint32_t count = mib * 16;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < 2; k++) {
            send_block(&cluster->nodes[k], 1 - k, 64 * 1024 - 200 - i % 100, i, &sums[k]);
        }
    }
    for (uint32_t k = 0; k < 2; k++) {
        node *node = &cluster->nodes[k];
        WAIT(node, node->frame_count[1 - k] == count);
        CHECK(node->sum[1 - k] == sums[1 - k]);
    }
    end(cluster);
}

static void
much_passes_in_clear(void)
{
    cluster cluster;
    prepare(&cluster, 2, NULL);
    send_much(&cluster, 100);
}

static void
much_passes_with_a_secret(void)
{
    cluster cluster;
    prepare(&cluster, 2, "secret");
    send_much(&cluster, 100);
}

static void
much_passes_under_tls(void)
{
    char folder[64];
    bw_certificates_make(folder);
    for (int has_secret = 0; has_secret < 2; has_secret++) {
        cluster cluster;
        prepare(&cluster, 2, has_secret ? "secret" : NULL);
        use_tls(&cluster.nodes[0], folder, "one");
        use_tls(&cluster.nodes[1], folder, "two");
        send_much(&cluster, 100);
    }
    bw_certificates_remove(folder);
}

static void
what_was_pushed_arrives_before_the_end(void)
{
    cluster cluster;
    prepare(&cluster, 2, "secret");
    for (uint32_t i = 0; i < 2; i++) start(&cluster, i);
    wait_until_connected(&cluster);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 300; i++) send_block(&cluster.nodes[1], 0, 60000, i, &sum);
    end(&cluster);
    CHECK_EQ(cluster.nodes[0].frame_count[1], 300);
    CHECK(cluster.nodes[0].sum[1] == sum);
}

static void
a_socket_that_was_given_goes_on_listening_for_others(void)
{
    cluster cluster;
    prepare(&cluster, 2, "secret");
    int other = dup(cluster.fds[0]);
    start(&cluster, 0);
    cluster.nodes[0].settings.listen_fd = -1;  // it is the loop's now
    stop_all(&cluster);
    int listens = 0;
    socklen_t size = sizeof listens;
    CHECK_EQ(getsockopt(other, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size), 0);
    CHECK(listens);
    close(other);
    close(cluster.fds[1]);
}

static void
a_wrong_secret_fails_who_dials_and_no_one_else(void)
{
    cluster cluster;
    prepare(&cluster, 2, "secret");
    node *zero = &cluster.nodes[0], *one = &cluster.nodes[1];
    one->settings.secret = (const uint8_t *)"guess";
    one->settings.secret_size = 5;
    start(&cluster, 0);
    start(&cluster, 1);
    WAIT(one, one->broken[0] != 0);
    WAIT(zero, zero->said_count > 0);
    stop(one);
    enter(zero);
    CHECK(zero->broken[0] == 0);
    leave(zero);
    // The right one may still come.
    one->settings.secret = (const uint8_t *)"secret";
    one->settings.secret_size = 6;
    one->settings.listen_fd = -1;
    one->broken[0] = 0;
    start(&cluster, 1);
    wait_until_connected(&cluster);
    end(&cluster);
}

static void
a_foreign_certificate_is_a_stranger(void)
{
    char folder[64];
    bw_certificates_make(folder);
    cluster cluster;
    prepare(&cluster, 2, NULL);
    node *zero = &cluster.nodes[0], *one = &cluster.nodes[1];
    use_tls(zero, folder, "one");
    use_tls(one, folder, "foreign");
    zero->settings.connect_timeout_ns = one->settings.connect_timeout_ns = BW_NS_PER_S;
    start(&cluster, 0);
    start(&cluster, 1);
    WAIT(one, one->broken[0] != 0);
    WAIT(zero, zero->broken[0] != 0);
    enter(zero);
    CHECK(strstr(zero->said[0], "turned away a connection from 127.0.0.1:") == zero->said[0]);
    CHECK(strstr(zero->said[0], "certificate verify failed") != NULL);
    CHECK(strstr(zero->broken, "it has not connected yet; turned away: 127.0.0.1:") != NULL);
    CHECK(strstr(zero->broken, "certificate verify failed") != NULL);
    leave(zero);
    stop_all(&cluster);
    bw_certificates_remove(folder);
}

static void
who_speaks_in_clear_is_hung_up_on(void)
{
    char folder[64];
    bw_certificates_make(folder);
    cluster cluster;
    prepare(&cluster, 2, NULL);
    node *zero = &cluster.nodes[0], *one = &cluster.nodes[1];
    use_tls(zero, folder, "one");
    one->settings.connect_timeout_ns = BW_NS_PER_S;
    start(&cluster, 0);
    start(&cluster, 1);
    WAIT(one, one->broken[0] != 0);
    CHECK(strstr(one->broken, "connection closed before it said anything") != NULL);
    WAIT(zero, zero->said_count > 0);
    CHECK(zero->broken[0] == 0);
    stop_all(&cluster);
    bw_certificates_remove(folder);
}

static void
who_is_missing_is_named_after_the_time(void)
{
    cluster cluster;
    prepare(&cluster, 3, "secret");
    listen_later(&cluster, 0);
    cluster.addresses[1] = "no-such-host.invalid:1";
    cluster.nodes[2].settings.connect_timeout_ns = BW_NS_PER_S;
    close(cluster.fds[1]);
    start(&cluster, 2);
    node *two = &cluster.nodes[2];
    WAIT(two, two->broken[0] != 0);
    CHECK(strstr(two->broken, cluster.text[0]) != NULL);
    CHECK(strstr(two->broken, "Connection refused") != NULL);
    CHECK(strstr(two->broken, "no-such-host.invalid:1") != NULL);
    CHECK(strstr(two->broken, "failed to lookup address information") != NULL);
    stop_all(&cluster);
}

static void
a_peer_that_vanishes_is_named(void)
{
    cluster cluster;
    prepare(&cluster, 3, "secret");
    for (uint32_t i = 0; i < 3; i++) start(&cluster, i);
    wait_until_connected(&cluster);
    stop(&cluster.nodes[1]);
    for (uint32_t i = 0; i < 3; i += 2) {
        node *node = &cluster.nodes[i];
        WAIT(node, node->broken[0] != 0 || node->failed[0] != 0);
    }
    // Whoever noticed first tells the other.
    bool is_named = false;
    for (uint32_t i = 0; i < 3; i += 2) {
        enter(&cluster.nodes[i]);
        is_named |= strstr(cluster.nodes[i].broken, cluster.text[1]) != NULL;
        leave(&cluster.nodes[i]);
    }
    CHECK(is_named);
    stop_all(&cluster);
}

static void
a_failure_overtakes_what_waits(void)
{
    cluster cluster;
    prepare(&cluster, 2, "secret");
    for (uint32_t i = 0; i < 2; i++) start(&cluster, i);
    wait_until_connected(&cluster);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 500; i++) send_block(&cluster.nodes[1], 0, 60000, i, &sum);
    command(&cluster.nodes[1], fail_job);
    node *zero = &cluster.nodes[0];
    WAIT(zero, zero->failed[0] != 0);
    CHECK(strcmp(zero->failed, "1: step fell over") == 0);
    stop_all(&cluster);
}

/// Sends bytes of chance; whoever is there must close, and say nothing.
static void
scan(const char *text, int count)
{
    for (int i = 0; i < count; i++) {
        uint8_t bytes[300];
        CHECK_EQ(getrandom(bytes, sizeof bytes, 0), sizeof bytes);
        int fd = bw_loopback_connect(text);
        size_t size = 1 + bytes[0];
        if (i % 4 == 0) bw_put_u32(bytes, (uint32_t)size - 4);  // a record that might be one
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        (void)sent;
        shutdown(fd, SHUT_WR);
        while (recv(fd, bytes, sizeof bytes, 0) > 0) CHECK(!"a stranger was answered");
        close(fd);
    }
}

static void
strangers_disturb_nobody(void)
{
    cluster cluster;
    prepare(&cluster, 2, "secret");
    start(&cluster, 0);
    scan(cluster.text[0], 100);
    start(&cluster, 1);
    wait_until_connected(&cluster);
    scan(cluster.text[0], 200);
    scan(cluster.text[1], 200);
    uint64_t sum = 0;
    send_block(&cluster.nodes[0], 1, 1000, 0, &sum);
    node *one = &cluster.nodes[1];
    WAIT(one, one->frame_count[0] == 1);
    enter(&cluster.nodes[0]);
    CHECK(cluster.nodes[0].said_count < 20);
    leave(&cluster.nodes[0]);
    end(&cluster);
}

static void
strangers_who_say_nothing_take_no_room(void)
{
    cluster cluster;
    prepare(&cluster, 2, "secret");
    start(&cluster, 0);
    int fds[200];
    for (int i = 0; i < 200; i++) fds[i] = bw_loopback_connect(cluster.text[0]);
    // Too many: the first ones make room.
    uint8_t byte;
    CHECK_EQ(recv(fds[0], &byte, 1, 0), 0);
    start(&cluster, 1);
    wait_until_connected(&cluster);
    for (int i = 0; i < 200; i++) close(fds[i]);
    end(&cluster);
}

TEST_MAIN(TEST(processes_meet_in_any_order), TEST(numbers_of_both_families_and_names_are_addresses),
          TEST(who_starts_late_is_waited_for), TEST(much_passes_in_clear),
          TEST(much_passes_with_a_secret), TEST(much_passes_under_tls),
          TEST(what_was_pushed_arrives_before_the_end),
          TEST(a_socket_that_was_given_goes_on_listening_for_others),
          TEST(a_wrong_secret_fails_who_dials_and_no_one_else),
          TEST(a_foreign_certificate_is_a_stranger), TEST(who_speaks_in_clear_is_hung_up_on),
          TEST(who_is_missing_is_named_after_the_time), TEST(a_peer_that_vanishes_is_named),
          TEST(a_failure_overtakes_what_waits), TEST(strangers_disturb_nobody),
          TEST(strangers_who_say_nothing_take_no_room))
