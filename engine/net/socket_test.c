// Sockets and the loop under a mesh of this file: it only notes what it is told, and does what the test says. (The
// one of the engine stays out of this program, since a library gives only what is missing.)
#define _GNU_SOURCE

#include "net/socket.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "net/loop.h"
#include "testing/certificates.h"
#include "testing/check.h"
#include "testing/loopback.h"

#define TIMEOUT_S 20
#define MANY 600  // sessions that a mesh can have

// ---- a mesh that notes

struct bw_session {
    bw_mesh *mesh;
    void *socket;
    bool is_opened, is_closed;
    char reason[480];
    uint64_t received, written;
    uint64_t sum;  // of the bytes that were received
};

struct bw_mesh {
    bw_transport transport;
    pthread_mutex_t lock;  // guards what follows
    pthread_cond_t changed;
    bw_session sessions[MANY];
    uint32_t count;
    uint32_t poll_count;
    pthread_t thread;                            // of the loop; known after the first poll
    void (*job)(bw_mesh *mesh, void *argument);  // to be done within a poll
    void *argument;
    bool answers;     // sends "answer" to whoever says something
    bool turns_away;  // whoever connects
};

static uint64_t
sum_of(const uint8_t *bytes, size_t size, uint64_t start)
{
    uint64_t sum = start;
    for (size_t i = 0; i < size; i++) sum = sum * 31 + bytes[i];
    return sum;
}

bw_status
bw_mesh_new(const bw_net_settings *settings, const bw_transport *transport, const bw_mesh_events *events,
            void (*wake)(void *), void *wake_self, bw_mesh **out)
{
    (void)settings, (void)events, (void)wake, (void)wake_self;
    *out = calloc(1, sizeof **out);
    (*out)->transport = *transport;
    pthread_mutex_init(&(*out)->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&(*out)->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return BW_OK;
}

static void
close_session(bw_session *session, bool flush)
{
    if (session->is_closed) return;
    session->is_closed = true;
    session->mesh->transport.close(session->mesh->transport.self, session->socket, flush);
}

void
bw_mesh_free(bw_mesh *mesh)
{
    if (mesh == NULL) return;
    for (uint32_t i = 0; i < mesh->count; i++) close_session(&mesh->sessions[i], false);
    pthread_mutex_destroy(&mesh->lock);
    pthread_cond_destroy(&mesh->changed);
    free(mesh);
}

void
bw_mesh_start(bw_mesh *mesh, uint64_t now_ns)
{
    (void)mesh, (void)now_ns;
}

static void
enter(bw_mesh *mesh)
{
    pthread_mutex_lock(&mesh->lock);
}

static void
leave(bw_mesh *mesh)
{
    pthread_cond_broadcast(&mesh->changed);
    pthread_mutex_unlock(&mesh->lock);
}

uint64_t
bw_mesh_poll(bw_mesh *mesh, uint64_t now_ns)
{
    (void)now_ns;
    enter(mesh);
    mesh->poll_count++;
    mesh->thread = pthread_self();
    if (mesh->job != NULL) mesh->job(mesh, mesh->argument);
    mesh->job = NULL;
    leave(mesh);
    return BW_TIME_NEVER;
}

static bw_session *
new_session(bw_mesh *mesh)
{
    CHECK(mesh->count < MANY);
    bw_session *session = &mesh->sessions[mesh->count++];
    session->mesh = mesh;
    return session;
}

bw_session *
bw_mesh_accept(bw_mesh *mesh, void *socket, const char *from, uint64_t now_ns)
{
    (void)now_ns;
    CHECK(strstr(from, "127.0.0.1:") == from);
    if (mesh->turns_away) return NULL;
    enter(mesh);
    bw_session *session = new_session(mesh);
    session->socket = socket;
    leave(mesh);
    return session;
}

void
bw_mesh_opened(bw_session *session, uint64_t now_ns)
{
    (void)now_ns;
    enter(session->mesh);
    session->is_opened = true;
    leave(session->mesh);
}

static void
send_text(bw_session *session, const char *text)
{
    bw_block *block = bw_block_new(strlen(text));
    memcpy(block->bytes, text, strlen(text));
    block->size = (uint32_t)strlen(text);
    bw_put_u32(block->head + BW_BLOCK_HEAD - 4, block->size);
    session->mesh->transport.write(session->mesh->transport.self, session->socket, block, 0);
}

void
bw_mesh_received(bw_session *session, const uint8_t *bytes, size_t size, uint64_t now_ns)
{
    (void)now_ns;
    CHECK(!session->is_closed);
    enter(session->mesh);
    session->received += size;
    session->sum = sum_of(bytes, size, session->sum);
    if (session->mesh->answers && size > 0) send_text(session, "answer");
    leave(session->mesh);
}

void
bw_mesh_written(bw_session *session, size_t size, uint64_t now_ns)
{
    (void)now_ns;
    CHECK(!session->is_closed);
    enter(session->mesh);
    session->written += size;
    leave(session->mesh);
}

void
bw_mesh_closed(bw_session *session, const char *reason, uint64_t now_ns)
{
    (void)now_ns;
    CHECK(!session->is_closed);
    enter(session->mesh);
    session->is_closed = true;
    snprintf(session->reason, sizeof session->reason, "%s", reason);
    leave(session->mesh);
}

// ---- what the tests share

typedef struct side {
    char address[BW_LOOPBACK_TEXT];
    const char *addresses[2];  // of this process and of the one that it dials
    bw_net_settings settings;
    bw_loop *loop;
    bw_mesh *mesh;
    uint32_t hook_count;
    char said[200];
    uint32_t said_count;
} side;

static void
count_poll(void *self, uint64_t now_ns)
{
    (void)now_ns;
    ((side *)self)->hook_count++;
}

static void
note_line(void *self, const char *line)
{
    side *side = self;
    enter(side->mesh);
    side->said_count++;
    snprintf(side->said, sizeof side->said, "%s", line);
    leave(side->mesh);
}

/// Listens on a free port of 127.0.0.1; `folder`: of certificates, NULL: no TLS. `peer`: where dial() leads.
static void
open_side(side *side, const char *folder, const char *peer)
{
    static char cert[128], key[128], ca[128];
    memset(side, 0, sizeof *side);
    int fd = bw_loopback_listen(side->address);
    side->addresses[0] = side->address;
    side->addresses[1] = peer != NULL ? peer : side->address;
    side->settings = (bw_net_settings){
        .process_index = 0, .process_count = 2, .addresses = side->addresses, .listen_fd = fd};
    if (folder != NULL) {
        snprintf(cert, sizeof cert, "%s/one.pem", folder);
        snprintf(key, sizeof key, "%s/one.key", folder);
        snprintf(ca, sizeof ca, "%s/ca.pem", folder);
        side->settings.tls_cert = cert;
        side->settings.tls_key = key;
        side->settings.tls_ca = ca;
    }
    bw_mesh_events events = {.say = note_line, .self = side};
    bw_loop_hook hook = {.poll = count_poll, .self = side};
    bw_error error;
    CHECK_EQ(bw_loop_new(&side->settings, &events, &hook, &side->loop, &error), BW_OK);
    side->mesh = bw_loop_mesh(side->loop);
    CHECK_EQ(bw_loop_start(side->loop), BW_OK);
}

static void
close_side(side *side)
{
    bw_loop_stop(side->loop);
    bw_loop_free(side->loop);
}

/// With the lock held: waits for the next change. Fails the test when nothing changes any more.
static void
wait_for_change(bw_mesh *mesh)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += TIMEOUT_S;
    CHECK_EQ(pthread_cond_timedwait(&mesh->changed, &mesh->lock, &deadline), 0);
}

#define WAIT(mesh, condition) \
    do { \
        enter(mesh); \
        while (!(condition)) wait_for_change(mesh); \
        pthread_mutex_unlock(&(mesh)->lock); \
    } while (0)

/// Has the loop's thread do something.
static void
command(side *side, void (*job)(bw_mesh *mesh, void *argument), void *argument)
{
    enter(side->mesh);
    side->mesh->job = job;
    side->mesh->argument = argument;
    leave(side->mesh);
    bw_loop_wake(side->loop);
    WAIT(side->mesh, side->mesh->job == NULL);
}

static void
dial_job(bw_mesh *mesh, void *argument)
{
    bw_session *session = new_session(mesh);
    *(bw_session **)argument = session;
    CHECK_EQ(mesh->transport.connect(mesh->transport.self, 1, session, &session->socket), BW_OK);
}

static bw_session *
dial(side *side)
{
    bw_session *session;
    command(side, dial_job, &session);
    return session;
}

/// Dials, and waits until both ends are there. `*out`: the accepted one.
static bw_session *
connect_sides(side *from, side *to, bw_session **out)
{
    bw_session *session = dial(from);
    WAIT(from->mesh, session->is_opened);
    WAIT(to->mesh, to->mesh->count == 1);
    *out = &to->mesh->sessions[0];
    return session;
}

typedef struct load {
    bw_session *session;
    uint32_t block_count, block_size, tail_size;
    uint64_t sum, size;  // of what goes over the wire
} load;

static void
send_job(bw_mesh *mesh, void *argument)
{
    load *load = argument;
    bw_block *first = NULL, **end = &first;
    load->sum = load->size = 0;
    for (uint32_t i = 0; i < load->block_count; i++) {
        bw_block *block = bw_block_new(load->block_size);
        block->size = load->block_size - i % 7;
        bw_put_u32(block->head + BW_BLOCK_HEAD - 4, block->size);
        for (uint32_t k = 0; k < block->size + load->tail_size; k++) block->bytes[k] = (uint8_t)(i + k);
        size_t size = 4 + block->size + load->tail_size;
        load->sum = sum_of(block->head + BW_BLOCK_HEAD - 4, size, load->sum);
        load->size += size;
        *end = block;
        end = &block->next;
    }
    mesh->transport.write(mesh->transport.self, load->session->socket, first, load->tail_size);
}

typedef struct closing {
    bw_session *session;
    bool flush;
} closing;

static void
close_job(bw_mesh *mesh, void *argument)
{
    (void)mesh;
    closing *closing = argument;
    close_session(closing->session, closing->flush);
}

static void
text_job(bw_mesh *mesh, void *argument)
{
    (void)mesh;
    send_text(argument, "hello");
}

static uint32_t
count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder != NULL);
    uint32_t count = 0;
    while (readdir(folder) != NULL) count++;
    closedir(folder);
    return count;
}

static uint64_t
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/// A folder with an authority "ca" and its certificate "one".
// ---- tests

static void
pass_blocks(const char *folder)
{
    side one, two;
    open_side(&two, folder, NULL);
    open_side(&one, folder, two.address);
    bw_session *there, *here = connect_sides(&one, &two, &there);
    // Many small ones, some large ones, one with nothing in it.
    load loads[] = {{.block_count = 500, .block_size = 20, .tail_size = 16},
                    {.block_count = 40, .block_size = 65000, .tail_size = 16},
                    {.block_count = 3, .block_size = 1000000},
                    {.block_count = 1, .block_size = 0}};
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        load *back = &loads[i], load = *back;
        there->received = there->sum = here->written = 0;
        load.session = here;
        command(&one, send_job, &load);
        WAIT(two.mesh, there->received == load.size);
        CHECK(there->sum == load.sum);
        WAIT(one.mesh, here->written == load.size);
        here->received = here->sum = there->written = 0;
        back->session = there;
        command(&two, send_job, back);
        WAIT(one.mesh, here->received == back->size);
        CHECK(here->sum == back->sum);
        WAIT(two.mesh, there->written == back->size);
    }
    close_side(&one);
    WAIT(two.mesh, there->is_closed);
    CHECK(strcmp(there->reason, "connection closed") == 0);
    close_side(&two);
}

static void
blocks_pass_both_ways(void)
{
    pass_blocks(NULL);
}

static void
blocks_pass_both_ways_under_tls(void)
{
    char folder[64];
    bw_certificates_make(folder);
    pass_blocks(folder);
    bw_certificates_remove(folder);
}

static void
fail_to_dial(const char *address, const char *reason)
{
    side one;
    open_side(&one, NULL, address);
    bw_session *session = dial(&one);
    WAIT(one.mesh, session->is_closed);
    if (strstr(session->reason, reason) != session->reason) {
        fprintf(stderr, "%s: %s\n", address, session->reason);
        exit(1);
    }
    CHECK(!session->is_opened);
    close_side(&one);
}

static void
a_failed_dial_is_told_in_the_words_of_the_system(void)
{
    side two;
    open_side(&two, NULL, NULL);
    char address[BW_LOOPBACK_TEXT];
    memcpy(address, two.address, sizeof address);
    close_side(&two);
    fail_to_dial(address, "Connection refused");
    fail_to_dial("no-such-host.invalid:1", "failed to lookup address information: ");
    fail_to_dial("255.255.255.255:1", "Network is unreachable");
}

static void
all_addresses_of_a_name_are_tried(void)
{
    side one, two;
    open_side(&two, NULL, NULL);
    char address[BW_LOOPBACK_TEXT];
    snprintf(address, sizeof address, "localhost:%s", strrchr(two.address, ':') + 1);
    open_side(&one, NULL, address);  // ::1 comes first where the name has both
    bw_session *there;
    connect_sides(&one, &two, &there);
    close_side(&one);
    close_side(&two);
}

static void
close_with_flush(const char *folder)
{
    side one, two;
    open_side(&two, folder, NULL);
    open_side(&one, folder, two.address);
    bw_session *there, *here = connect_sides(&one, &two, &there);
    two.mesh->answers = true;  // so that there is something unread where it closes
    load load = {.session = here, .block_count = 60, .block_size = 65000};
    command(&one, send_job, &load);
    closing closing = {.session = here, .flush = true};
    command(&one, close_job, &closing);
    WAIT(two.mesh, there->is_closed);
    CHECK_EQ(there->received, load.size);
    CHECK(there->sum == load.sum);
    CHECK(strcmp(there->reason, "connection closed") == 0);
    close_side(&one);
    close_side(&two);
}

static void
what_was_written_leaves_before_the_end(void)
{
    close_with_flush(NULL);
}

static void
what_was_written_leaves_before_the_end_under_tls(void)
{
    char folder[64];
    bw_certificates_make(folder);
    close_with_flush(folder);
    bw_certificates_remove(folder);
}

static void
stop_lets_out_what_was_written(void)
{
    side one, two;
    open_side(&two, NULL, NULL);
    open_side(&one, NULL, two.address);
    bw_session *there, *here = connect_sides(&one, &two, &there);
    load load = {.session = here, .block_count = 60, .block_size = 65000};
    command(&one, send_job, &load);
    close_side(&one);
    WAIT(two.mesh, there->is_closed);
    CHECK_EQ(there->received, load.size);
    close_side(&two);
}

static void
stop_takes_a_second_where_nobody_reads(void)
{
    char address[BW_LOOPBACK_TEXT];
    int fd = bw_loopback_listen(address);
    side one;
    open_side(&one, NULL, address);
    bw_session *here = dial(&one);
    WAIT(one.mesh, here->is_opened);
    load load = {.session = here, .block_count = 200, .block_size = 65000};
    command(&one, send_job, &load);
    uint64_t start = now_ms();
    close_side(&one);
    uint64_t took = now_ms() - start;
    CHECK(took >= 900 && took < 5000);
    close(fd);
}

/// An address that never answers: its queue of connections is full.
static int
listen_deafly(char address[BW_LOOPBACK_TEXT], int fillers[3])
{
    int fd = bw_loopback_listen(address);
    CHECK_EQ(listen(fd, 0), 0);
    struct sockaddr_in found;
    socklen_t size = sizeof found;
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&found, &size), 0);
    for (int i = 0; i < 3; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK(fillers[i] >= 0);
        int result = connect(fillers[i], (struct sockaddr *)&found, size);
        CHECK(result == 0 || errno == EINPROGRESS);
    }
    return fd;
}

static void
stop_waits_for_no_answer(void)
{
    char address[BW_LOOPBACK_TEXT];
    int fillers[3], fd = listen_deafly(address, fillers);
    side one, two;
    open_side(&one, NULL, address);
    open_side(&two, NULL, "name-to-be-looked-up.invalid:1");
    dial(&one);
    dial(&two);
    uint64_t start = now_ms();
    close_side(&one);
    close_side(&two);
    CHECK(now_ms() - start < 900);
    for (int i = 0; i < 3; i++) close(fillers[i]);
    close(fd);
}

static void
who_does_not_answer_is_given_up(void)
{
    char address[BW_LOOPBACK_TEXT];
    int fillers[3], fd = listen_deafly(address, fillers);
    fail_to_dial(address, "Connection timed out");
    for (int i = 0; i < 3; i++) close(fillers[i]);
    close(fd);
}

static void
a_peer_that_breaks_off_is_told(void)
{
    char address[BW_LOOPBACK_TEXT];
    int fd = bw_loopback_listen(address);
    side one;
    open_side(&one, NULL, address);
    bw_session *here = dial(&one);
    WAIT(one.mesh, here->is_opened);
    int peer = accept(fd, NULL, NULL);
    struct linger linger = {.l_onoff = 1};
    CHECK_EQ(setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(peer);  // resets
    WAIT(one.mesh, here->is_closed);
    CHECK(strcmp(here->reason, "Connection reset by peer") == 0);
    close_side(&one);
    close(fd);
}

static void
last_words_are_read_though_nothing_can_be_sent(void)
{
    char address[BW_LOOPBACK_TEXT];
    int fd = bw_loopback_listen(address);
    side one;
    open_side(&one, NULL, address);
    bw_session *here = dial(&one);
    WAIT(one.mesh, here->is_opened);
    int peer = accept(fd, NULL, NULL);
    load load = {.session = here, .block_count = 100, .block_size = 65000};
    command(&one, send_job, &load);
    char bytes[1000] = {0};
    CHECK_EQ(read(peer, bytes, sizeof bytes), sizeof bytes);
    CHECK_EQ(write(peer, "why", 3), 3);
    close(peer);  // resets, for something is unread
    WAIT(one.mesh, here->is_closed);
    CHECK_EQ(here->received, 3);
    close_side(&one);
    close(fd);
}

static void
only_holders_of_a_certificate_get_through(void)
{
    char folder[64];
    bw_certificates_make(folder);
    side one, two;
    open_side(&two, folder, NULL);
    open_side(&one, NULL, two.address);  // speaks in clear
    bw_session *here = dial(&one);
    WAIT(one.mesh, here->is_opened);
    command(&one, text_job, here);
    WAIT(one.mesh, here->is_closed);
    WAIT(two.mesh, two.mesh->count == 1 && two.mesh->sessions[0].is_closed);
    CHECK_EQ(two.mesh->sessions[0].received, 0);
    CHECK(strstr(two.mesh->sessions[0].reason, "TLS: ") == two.mesh->sessions[0].reason);
    close_side(&one);
    close_side(&two);
    bw_certificates_remove(folder);
}

static void
who_dials_a_peer_without_tls_is_told(void)
{
    char folder[64], address[64];
    bw_certificates_make(folder);
    int fd = bw_loopback_listen(address);
    side one;
    open_side(&one, folder, address);
    bw_session *here = dial(&one);
    int peer = accept(fd, NULL, NULL);
    CHECK_EQ(write(peer, "220 mail at your service\r\n", 26), 26);
    WAIT(one.mesh, here->is_closed);
    CHECK(!here->is_opened);
    CHECK(strcmp(here->reason, "TLS: wrong version number") == 0);
    close_side(&one);
    close(peer);
    close(fd);
    bw_certificates_remove(folder);
}

static void
who_is_turned_away_is_closed(void)
{
    side one, two;
    open_side(&two, NULL, NULL);
    two.mesh->turns_away = true;
    open_side(&one, NULL, two.address);
    bw_session *here = dial(&one);
    WAIT(one.mesh, here->is_closed);
    close_side(&one);
    close_side(&two);
}

/// How long the loop's thread has computed.
static uint64_t
cpu_ms(side *side)
{
    clockid_t clock;
    enter(side->mesh);
    pthread_t thread = side->mesh->thread;
    leave(side->mesh);
    CHECK_EQ(pthread_getcpuclockid(thread, &clock), 0);
    struct timespec spent;
    CHECK_EQ(clock_gettime(clock, &spent), 0);
    return (uint64_t)spent.tv_sec * 1000 + (uint64_t)spent.tv_nsec / 1000000;
}

static void
survives_without_descriptors(void)
{
    side two;
    open_side(&two, NULL, NULL);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)strtoul(strrchr(two.address, ':') + 1, NULL, 10));
    int clients[20];
    for (int i = 0; i < 20; i++) clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    int next = dup(0);
    close(next);
    none = before;
    none.rlim_cur = (rlim_t)next + 2;  // two more are left
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(connect(clients[i], (struct sockaddr *)&address, sizeof address), 0);
    WAIT(two.mesh, two.said_count > 0);
    CHECK(strcmp(two.said, "can't accept connections now: Too many open files") == 0);
    uint64_t cpu = cpu_ms(&two);
    struct timespec while_it_lasts = {
        .tv_nsec = 700000000};  // what is tested is what happens in a span of time
    nanosleep(&while_it_lasts, NULL);
    CHECK(cpu_ms(&two) - cpu < 20);
    enter(two.mesh);
    CHECK_EQ(two.said_count, 1);
    CHECK(two.mesh->count < 20);
    leave(two.mesh);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    WAIT(two.mesh, two.mesh->count == 20);
    for (int i = 0; i < 20; i++) close(clients[i]);
    close_side(&two);
}

static void
a_storm_of_connections_passes(void)
{
    side one, two;
    open_side(&two, NULL, NULL);
    open_side(&one, NULL, two.address);
    for (int i = 0; i < 500; i++) {
        bw_session *session = dial(&one);
        closing closing = {.session = session, .flush = i % 2 == 0};
        if (i % 3 == 0) WAIT(one.mesh, session->is_opened || session->is_closed);
        command(&one, close_job, &closing);
    }
    close_side(&one);
    close_side(&two);
}

static void *
wake_often(void *argument)
{
    for (int i = 0; i < 20000; i++) bw_loop_wake(argument);
    return NULL;
}

static void
every_wake_is_followed_by_a_poll(void)
{
    side one;
    open_side(&one, NULL, NULL);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, wake_often, one.loop), 0);
    for (int i = 0; i < 2000; i++) {
        enter(one.mesh);
        uint32_t count = one.mesh->poll_count;
        leave(one.mesh);
        bw_loop_wake(one.loop);
        WAIT(one.mesh, one.mesh->poll_count > count);
    }
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    bw_loop_stop(one.loop);
    bw_loop_wake(one.loop);  // late, and harmless
    CHECK_EQ(one.hook_count, one.mesh->poll_count);
    bw_loop_free(one.loop);
}

static void
nothing_costs_nothing(void)
{
    side one, two;
    open_side(&two, NULL, NULL);
    open_side(&one, NULL, two.address);
    bw_session *there;
    connect_sides(&one, &two, &there);
    uint64_t cpu = cpu_ms(&one);
    enter(one.mesh);
    uint32_t polls = one.mesh->poll_count;
    leave(one.mesh);
    struct timespec while_it_lasts = {.tv_nsec = 500000000};
    nanosleep(&while_it_lasts, NULL);
    enter(one.mesh);
    CHECK(one.mesh->poll_count - polls < 5);
    leave(one.mesh);
    CHECK(cpu_ms(&one) - cpu < 10);
    close_side(&one);
    close_side(&two);
}

static void
signals_go_to_other_threads(void)
{
    side one;
    open_side(&one, NULL, NULL);
    sigset_t blocked, caught;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    kill(getpid(), SIGTERM);  // would end the process, if any thread let it
    struct timespec timeout = {.tv_sec = TIMEOUT_S};
    CHECK_EQ(sigtimedwait(&blocked, NULL, &timeout), SIGTERM);
    pthread_sigmask(SIG_SETMASK, NULL, &caught);
    CHECK(!sigismember(&caught, SIGUSR1));  // the caller's own mask is as before
    close_side(&one);
}

static void
no_descriptor_leaks_and_none_is_inherited(void)
{
    for (int round = 0; round < 2;
         round++) {  // what libuv opens once for the whole process is open in the second
        uint32_t before = count_descriptors();
        bool were_there[1024];
        for (int fd = 0; fd < 1024; fd++) were_there[fd] = fcntl(fd, F_GETFD) >= 0;
        side one, two;
        open_side(&two, NULL, NULL);
        open_side(&one, NULL, two.address);
        bw_session *there;
        connect_sides(&one, &two, &there);
        for (int fd = 0; fd < 1024; fd++) {
            int flags = fcntl(fd, F_GETFD);
            CHECK(flags < 0 || were_there[fd] || flags & FD_CLOEXEC);
        }
        close_side(&one);
        close_side(&two);
        if (round == 1) CHECK_EQ(count_descriptors(), before);
    }
}

static void
a_forked_process_holds_nothing_open(void)
{
    side one, two;
    open_side(&two, NULL, NULL);
    open_side(&one, NULL, two.address);
    bw_session *there, *here = connect_sides(&one, &two, &there);
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        pause();
        _exit(0);
    }
    closing closing = {.session = here, .flush = false};
    command(&one, close_job, &closing);
    WAIT(two.mesh, there->is_closed);
    kill(child, SIGKILL);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    close_side(&one);
    close_side(&two);
}

static void
a_loop_that_never_ran_leaves_nothing(void)
{
    uint32_t before = 0;
    for (int round = 0; round < 2; round++) {
        const char *addresses[] = {"127.0.0.1:0", "[::1]:1"};
        bw_net_settings settings = {.process_count = 2, .addresses = addresses, .listen_fd = -1};
        bw_mesh_events events = {0};
        bw_loop_hook hook = {.poll = count_poll};
        bw_loop *loop;
        bw_error error;
        if (round == 1) before = count_descriptors();
        CHECK_EQ(bw_loop_new(&settings, &events, &hook, &loop, &error), BW_OK);
        bw_loop_stop(loop);
        bw_loop_free(loop);
    }
    CHECK_EQ(count_descriptors(), before);
    bw_loop_free(NULL);
}

static void
what_is_wrong_at_the_start_is_said(void)
{
    uint32_t before = count_descriptors();
    bw_mesh_events events = {0};
    bw_loop_hook hook = {.poll = count_poll};
    bw_loop *loop;
    bw_error error;
    const char *addresses[] = {"127.0.0.1:0", "nonsense"};
    bw_net_settings settings = {.process_count = 2, .addresses = addresses, .listen_fd = -1};
    CHECK_EQ(bw_loop_new(&settings, &events, &hook, &loop, &error), BW_EINVAL);
    CHECK(strcmp(error.text, "invalid socket address: expected 'host:port'; got 'nonsense'") == 0);

    char address[BW_LOOPBACK_TEXT];
    int fd = bw_loopback_listen(address);
    addresses[0] = addresses[1] = address;
    CHECK_EQ(bw_loop_new(&settings, &events, &hook, &loop, &error), BW_EIO);
    CHECK(strstr(error.text, "Address already in use") != NULL);
    close(fd);

    settings.listen_fd = dup(0);
    CHECK_EQ(bw_loop_new(&settings, &events, &hook, &loop, &error), BW_EIO);
    CHECK(strstr(error.text, "can't listen on descriptor ") == error.text);
    settings.listen_fd = -1;

    settings.tls_cert = settings.tls_key = settings.tls_ca = "/nowhere/file.pem";
    CHECK_EQ(bw_loop_new(&settings, &events, &hook, &loop, &error), BW_EINVAL);
    CHECK(strcmp(error.text,
                 "can't read the TLS certificate '/nowhere/file.pem': No such file or directory") == 0);
    CHECK_EQ(count_descriptors(), before);
}

TEST_MAIN(TEST(blocks_pass_both_ways), TEST(blocks_pass_both_ways_under_tls),
          TEST(a_failed_dial_is_told_in_the_words_of_the_system),
          TEST(all_addresses_of_a_name_are_tried), TEST(what_was_written_leaves_before_the_end),
          TEST(what_was_written_leaves_before_the_end_under_tls), TEST(stop_lets_out_what_was_written),
          TEST(stop_takes_a_second_where_nobody_reads), TEST(stop_waits_for_no_answer),
          TEST(who_does_not_answer_is_given_up), TEST(a_peer_that_breaks_off_is_told),
          TEST(last_words_are_read_though_nothing_can_be_sent),
          TEST(only_holders_of_a_certificate_get_through), TEST(who_dials_a_peer_without_tls_is_told),
          TEST(who_is_turned_away_is_closed), TEST(survives_without_descriptors),
          TEST(a_storm_of_connections_passes), TEST(every_wake_is_followed_by_a_poll),
          TEST(nothing_costs_nothing), TEST(signals_go_to_other_threads),
          TEST(no_descriptor_leaks_and_none_is_inherited), TEST(a_forked_process_holds_nothing_open),
          TEST(a_loop_that_never_ran_leaves_nothing), TEST(what_is_wrong_at_the_start_is_said))
