#define _GNU_SOURCE  // accept4, pthread_setname_np

#include "net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/assert.h"
#include "base/clock.h"
#include "net/address.h"
#include "net/socket.h"
#include "net/tls.h"

#define ACCEPTS_PER_TURN 32  // so that a storm of newcomers leaves time for those who are in
#define TELLS_PER_TURN 4     // likewise for the peer that takes whatever we send at once
#define ACCEPT_AGAIN_MS 200  // after one failed, for want of descriptors say

// Who wants the loop to look, as bw_loop_wake() and the loop see it. Only ASLEEP -> WOKEN costs a system call.
enum { AWAKE, ASLEEP, WOKEN };

struct bw_loop {
    const bw_net_settings *settings;
    bw_mesh_events events;
    bw_loop_hook hook;
    bw_clock clock;
    bw_address *addresses;  // by process
    bw_tls *tls;            // NULL: none
    bw_mesh *mesh;

    uv_loop_t uv;
    bw_socket_home home;
    uv_prepare_t
        prepare;       // the end of each turn: all that was told is dealt with in one poll of the mesh
    uv_timer_t timer;  // when the mesh wants to be polled at the latest
    bool is_due;
    // Ours and not libuv's, since whoever wakes may come late: it lives as long as the loop does.
    int wake_fd;
    uv_poll_t wake;
    int listen_fd;        // -1: closed
    bool is_listen_ours;  // nobody else has it, but a process that was forked
    uv_poll_t listen;
    uv_timer_t accept_again;
    bool has_said_accept;  // the last accept() failed, and the operator was told

    pthread_t thread;
    bool is_started;  // and not joined yet
    atomic_int state;
    atomic_bool is_stopping;
    bool has_stopped;  // its handles are closed
};

// ---- accepting

static void
say(bw_loop *loop, const char *line)
{
    loop->events.say(loop->events.self, line);
}

static void on_listen(uv_poll_t *poll, int status, int events);

static void
on_accept_again(uv_timer_t *timer)
{
    bw_loop *loop = timer->data;
    uv_poll_start(&loop->listen, UV_READABLE, on_listen);
}

/// accept() failed, and would at once again: who waits stays in the system's queue for a while.
static void
pause_accepting(bw_loop *loop, int number)
{
    uv_poll_stop(&loop->listen);
    uv_update_time(&loop->uv);
    uv_timer_start(&loop->accept_again, on_accept_again, ACCEPT_AGAIN_MS, 0);
    if (loop->has_said_accept) return;
    loop->has_said_accept = true;
    bw_error reason, line;
    bw_error_set_errno(&reason, number);
    bw_error_set(&line, "can't accept connections now: %s", reason.text);
    say(loop, line.text);
}

static void
welcome(bw_loop *loop, int fd, const struct sockaddr *from)
{
    bw_socket *socket;
    if (bw_socket_adopt(&loop->home, fd, &socket) != BW_OK) return;
    char text[BW_ADDRESS_TEXT];
    bw_address_format(from, text);
    loop->home.is_touched = true;
    bw_session *session = bw_mesh_accept(loop->mesh, socket, text, bw_clock_now_ns(&loop->clock));
    if (session == NULL) {
        bw_socket_close(socket, false);
    } else {
        bw_socket_start(socket, session);
    }
}

static void
on_listen(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;  // accept() knows better
    bw_loop *loop = poll->data;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof from;
        int fd = accept4(loop->listen_fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            loop->has_said_accept = false;
            welcome(loop, fd, (struct sockaddr *)&from);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;  // of this one alone
        pause_accepting(loop, errno);
        return;
    }
}

// ---- what the mesh asks for

static bw_status
transport_connect(void *self, uint32_t process, bw_session *session, void **socket)
{
    bw_loop *loop = self;
    bw_socket *dialled;
    bw_status status = bw_socket_dial(&loop->home, &loop->addresses[process], session, &dialled);
    if (status == BW_OK) *socket = dialled;
    return status;
}

static void
transport_write(void *self, void *socket, bw_block *first, uint32_t tail_size)
{
    (void)self;
    bw_socket_write(socket, first, tail_size);
}

static void
transport_close(void *self, void *socket, bool flush)
{
    (void)self;
    bw_socket_close(socket, flush);
}

static bw_status
transport_binding(void *self, void *socket, uint8_t out[BW_BINDING_BYTES])
{
    (void)self;
    return bw_socket_binding(socket, out);
}

static bw_status
transport_random(void *self, uint8_t *bytes, size_t size)
{
    (void)self;
    while (size > 0) {
        ssize_t got = getrandom(bytes, size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return BW_EIO;
        bytes += got;
        size -= (size_t)got;
    }
    return BW_OK;
}

// ---- turns

static void
on_timer(uv_timer_t *timer)
{
    bw_loop *loop = timer->data;
    loop->is_due = true;
}

static void
set_timer(bw_loop *loop, uint64_t now_ns, uint64_t deadline_ns)
{
    if (deadline_ns == BW_TIME_NEVER) {
        uv_timer_stop(&loop->timer);
        return;
    }
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    uv_update_time(&loop->uv);
    uv_timer_start(&loop->timer, on_timer, (left_ns + BW_NS_PER_MS - 1) / BW_NS_PER_MS, 0);
}

static void
poll_mesh(bw_loop *loop)
{
    uint64_t now_ns = bw_clock_now_ns(&loop->clock);
    loop->hook.poll(loop->hook.self, now_ns);
    uint64_t deadline_ns = bw_mesh_poll(loop->mesh, now_ns);
    set_timer(loop, now_ns, deadline_ns);
}

/// Returns whether the mesh still has something to hear of.
static bool
tell_sent(bw_loop *loop)
{
    for (int i = 0; i < TELLS_PER_TURN; i++) {
        if (!bw_socket_home_tell(&loop->home)) return false;
    }
    return loop->home.first_sent != NULL;
}

/// Closes all handles but those of sockets, which have a second to end.
static void
close_handles(bw_loop *loop)
{
    loop->has_stopped = true;
    bw_socket_home_close(&loop->home);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->listen, NULL);
    uv_close((uv_handle_t *)&loop->accept_again, NULL);
    // Also for a process that the user's code forked; but one that was given to us may be somebody else's too.
    if (loop->is_listen_ours) shutdown(loop->listen_fd, SHUT_RDWR);
    close(loop->listen_fd);
    loop->listen_fd = -1;
}

/// Before the loop sleeps.
static void
on_prepare(uv_prepare_t *prepare)
{
    bw_loop *loop = prepare->data;
    bool is_stopping = atomic_load(&loop->is_stopping);
    bool is_woken = atomic_exchange(&loop->state, AWAKE) == WOKEN;
    if (is_woken || is_stopping || loop->is_due || loop->home.is_touched) {
        loop->is_due = loop->home.is_touched = false;
        bw_socket_home_look(&loop->home);
        poll_mesh(loop);  // a last time, if it stops: what was reported just now still goes out
    }
    if (is_stopping) {
        close_handles(loop);
        return;
    }
    int state = AWAKE;
    if (tell_sent(loop) || loop->home.is_touched ||
        !atomic_compare_exchange_strong(&loop->state, &state, ASLEEP)) {
        // Somebody called meanwhile. Not at once: what came in has its turn first.
        set_timer(loop, 0, 0);
    }
}

static void
on_wake(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    bw_loop *loop = poll->data;
    uint64_t count;
    ssize_t got = read(loop->wake_fd, &count, sizeof count);
    (void)got;  // nothing to read is as well
}

void
bw_loop_wake(bw_loop *loop)
{
    if (atomic_exchange(&loop->state, WOKEN) != ASLEEP) return;
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written;  // can't fail while the loop lives: it doesn't count up to 2^64
}

static void
wake_by(void *self)
{
    bw_loop_wake(self);
}

static void *
run(void *self)
{
    bw_loop *loop = self;
    pthread_setname_np(pthread_self(), "bytewax:net");
    bw_mesh_start(loop->mesh, bw_clock_now_ns(&loop->clock));
    loop->is_due = true;
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    return NULL;
}

// ---- birth and death

static bw_status
parse_addresses(bw_loop *loop, bw_error *error)
{
    uint32_t count = loop->settings->process_count;
    loop->addresses = calloc(count, sizeof *loop->addresses);
    if (loop->addresses == NULL) {
        bw_error_set_errno(error, ENOMEM);
        return BW_ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        bw_status status = bw_address_parse(loop->settings->addresses[i], &loop->addresses[i], error);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

static bw_status
load_tls(bw_loop *loop, bw_error *error)
{
    const bw_net_settings *settings = loop->settings;
    if (settings->tls_cert == NULL) return BW_OK;
    return bw_tls_new(settings->tls_cert, settings->tls_key, settings->tls_ca, &loop->tls, error);
}

static bw_status
allocate(bw_loop *loop, bw_error *error)
{
    bw_transport transport = {
        .connect = transport_connect,
        .write = transport_write,
        .close = transport_close,
        .random = transport_random,
        .binding = loop->tls == NULL ? NULL : transport_binding,
        .self = loop,
    };
    loop->home = (bw_socket_home){
        .uv = &loop->uv,
        .clock = loop->clock,
        .tls = loop->tls,
        .received = malloc(BW_SOCKET_BUFFER),
        .decrypted = loop->tls == NULL ? NULL : malloc(BW_SOCKET_BUFFER),
        .wake = wake_by,
        .wake_self = loop,
    };
    bw_status status = BW_ENOMEM;
    if (loop->home.received != NULL && (loop->home.decrypted != NULL || loop->tls == NULL)) {
        status = bw_mesh_new(loop->settings, &transport, &loop->events, wake_by, loop, &loop->mesh);
    }
    if (status != BW_OK) bw_error_set(error, "%s", bw_status_text(status));
    return status;
}

/// Fails where a loop would have too few descriptors: libuv aborts if it can't have the pipe that it makes with
/// the first one of a process. Returns an error of libuv's, or 0.
static int
check_descriptors(void)
{
    int fds[6], count = 0, status = 0;
    while (status == 0 && count < (int)(sizeof fds / sizeof fds[0])) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            status = -errno;  // which is how libuv counts errors
        } else {
            fds[count++] = fd;
        }
    }
    while (count > 0) close(fds[--count]);
    return status;
}

/// The handles of the loop. What can fail comes first; after that bw_loop_free() knows what to do.
static bw_status
open_handles(bw_loop *loop, bw_error *error)
{
    int status = check_descriptors();
    if (status != 0) goto failed;
    status = uv_loop_init(&loop->uv);
    if (status != 0) goto failed;
    status = uv_poll_init(&loop->uv, &loop->wake, loop->wake_fd);
    if (status != 0) goto close_loop;
    status = uv_poll_init(&loop->uv, &loop->listen, loop->listen_fd);
    if (status != 0) goto close_wake;
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_timer_init(&loop->uv, &loop->timer);
    uv_timer_init(&loop->uv, &loop->accept_again);
    loop->prepare.data = loop->timer.data = loop->accept_again.data = loop;
    loop->wake.data = loop->listen.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_timer_start(&loop->timer, on_timer, 0, 0);
    uv_poll_start(&loop->wake, UV_READABLE, on_wake);
    uv_poll_start(&loop->listen, UV_READABLE, on_listen);
    return BW_OK;

close_wake:
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
close_loop:
    uv_loop_close(&loop->uv);
failed:
    bw_error_set_errno(error, -status);
    return status == UV_ENOMEM ? BW_ENOMEM : BW_EIO;
}

static bw_status
open_descriptors(bw_loop *loop, bw_error *error)
{
    const bw_net_settings *settings = loop->settings;
    if (loop->listen_fd < 0) {
        const char *address = settings->addresses[settings->process_index];
        bw_status status = bw_address_listen(address, &loop->listen_fd, error);
        if (status != BW_OK) return status;
    } else if (listen(loop->listen_fd, SOMAXCONN) != 0) {  // it does already, or is none
        bw_error reason;
        bw_error_set_errno(&reason, errno);
        bw_error_set(error, "can't listen on descriptor %d: %.200s", loop->listen_fd, reason.text);
        return BW_EIO;
    }
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd >= 0) return open_handles(loop, error);
    bw_error_set_errno(error, errno);
    return BW_EIO;
}

/// What is there without handles.
static void
free_parts(bw_loop *loop)
{
    bw_mesh_free(loop->mesh);
    free(loop->home.received);
    free(loop->home.decrypted);
    bw_tls_free(loop->tls);
    if (loop->wake_fd >= 0) close(loop->wake_fd);
    if (loop->listen_fd >= 0) close(loop->listen_fd);
    free(loop->addresses);
    free(loop);
}

bw_status
bw_loop_new(const bw_net_settings *settings, const bw_mesh_events *events, const bw_loop_hook *hook,
            bw_loop **out, bw_error *error)
{
    BW_ASSERT(settings->process_index < settings->process_count);
    *out = NULL;
    bw_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        if (settings->listen_fd >= 0) close(settings->listen_fd);
        bw_error_set_errno(error, ENOMEM);
        return BW_ENOMEM;
    }
    loop->settings = settings;
    loop->events = *events;
    loop->hook = *hook;
    loop->clock = bw_clock_real();
    loop->listen_fd = settings->listen_fd;
    loop->is_listen_ours = settings->listen_fd < 0;  // who has given it away may note so in the settings
    loop->wake_fd = -1;
    atomic_init(&loop->state, AWAKE);
    atomic_init(&loop->is_stopping, false);
    bw_status status = parse_addresses(loop, error);
    if (status == BW_OK) status = load_tls(loop, error);
    if (status == BW_OK) status = allocate(loop, error);
    if (status == BW_OK) status = open_descriptors(loop, error);
    if (status != BW_OK) {
        free_parts(loop);
        return status;
    }
    *out = loop;
    return BW_OK;
}

bw_mesh *
bw_loop_mesh(bw_loop *loop)
{
    return loop->mesh;
}

bw_status
bw_loop_start(bw_loop *loop)
{
    BW_ASSERT(!loop->is_started && !loop->has_stopped);
    // Signals are for the threads of the user. Those of a fault come from the thread itself, and whoever wants to
    // report them must be able to.
    static const int FAULTS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof FAULTS / sizeof FAULTS[0]; i++) sigdelset(&blocked, FAULTS[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failure = pthread_create(&loop->thread, NULL, run, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0) return BW_ENOMEM;
    loop->is_started = true;
    return BW_OK;
}

void
bw_loop_stop(bw_loop *loop)
{
    if (!loop->is_started) return;
    atomic_store(&loop->is_stopping, true);
    bw_loop_wake(loop);
    pthread_join(loop->thread, NULL);
    loop->is_started = false;
}

void
bw_loop_free(bw_loop *loop)
{
    if (loop == NULL) return;
    BW_ASSERT(!loop->is_started);
    if (!loop->has_stopped) {
        close_handles(loop);
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    }
    int status = uv_loop_close(&loop->uv);
    BW_ASSERT(status == 0);
    free_parts(loop);
}
