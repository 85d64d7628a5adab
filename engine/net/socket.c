#define _GNU_SOURCE  // what uv.h needs beyond C17

#include "net/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "net/socket_state.h"

// The mesh pings more often; this is for a process that was stopped and forgotten.
#define KEEP_ALIVE_S 15

// ---- birth and death

bw_status
bw_socket_new(bw_socket_home *home, bw_socket_state state, bw_socket **out)
{
    bw_socket *socket = calloc(1, sizeof *socket);
    if (socket == NULL) return BW_ENOMEM;
    socket->home = home;
    socket->state = state;
    socket->is_dialled = state == BW_SOCKET_DIALING;
    socket->is_held = true;
    uv_timer_init(home->uv, &socket->timer);
    socket->timer.data = socket;
    socket->handle_count = 1;
    socket->next = home->first;
    if (home->first != NULL) home->first->previous = socket;
    home->first = socket;
    *out = socket;
    return BW_OK;
}

void
bw_socket_free_if_done(bw_socket *socket)
{
    if (socket->state != BW_SOCKET_CLOSED || socket->is_held || socket->is_sent ||
        socket->handle_count > 0)
        return;
    if (socket->previous != NULL) {
        socket->previous->next = socket->next;
    } else {
        socket->home->first = socket->next;
    }
    if (socket->next != NULL) socket->next->previous = socket->previous;
    free(socket);
}

static void
on_connection_closed(uv_handle_t *handle)
{
    bw_socket *socket = handle->data;
    free((bw_connection *)handle);  // its first member
    socket->handle_count--;
    bw_socket_free_if_done(socket);
}

static void
on_timer_closed(uv_handle_t *handle)
{
    bw_socket *socket = handle->data;
    socket->handle_count--;
    bw_socket_free_if_done(socket);
}

void
bw_socket_drop_connection(bw_socket *socket)
{
    if (socket->connection == NULL) return;
    // A process that the user's code forked may have a copy of it, which close() alone would leave open.
    uv_os_fd_t fd = -1;
    uv_fileno((uv_handle_t *)&socket->connection->tcp, &fd);
    if (fd >= 0) shutdown(fd, SHUT_RDWR);
    uv_close((uv_handle_t *)&socket->connection->tcp, on_connection_closed);
    socket->connection = NULL;
    bw_tls_stream_free(socket->tls);
    socket->tls = NULL;
}

void
bw_socket_abandon(bw_socket *socket)
{
    if (socket->state == BW_SOCKET_CLOSED) return;
    socket->state = BW_SOCKET_CLOSED;
    bw_socket_end_dialing(socket);
    bw_socket_drop_connection(socket);
    uv_close((uv_handle_t *)&socket->timer, on_timer_closed);
}

// ---- closing

static void
abandon_if_finished(bw_socket *socket)
{
    if (socket->state == BW_SOCKET_CLOSING && socket->is_at_end &&
        (socket->is_shut || socket->is_unwritable)) {
        bw_socket_abandon(socket);
    }
}

static void
on_shut(uv_shutdown_t *request, int status)
{
    bw_socket *socket = request->handle->data;
    if (status == UV_ECANCELED) return;
    socket->is_shut = true;
    abandon_if_finished(socket);
}

/// Lets out what was written, says that nothing follows, and reads until the peer says so too: closed
/// with something unread, the system would reset the connection, and what is on its way be lost.
static void
flush(bw_socket *socket)
{
    socket->session = NULL;
    if (socket->state == BW_SOCKET_CLOSING || socket->state == BW_SOCKET_CLOSED) return;
    if (socket->state != BW_SOCKET_OPEN || socket->is_unwritable) {
        bw_socket_abandon(socket);
        return;
    }
    socket->state = BW_SOCKET_CLOSING;
    if (socket->tls != NULL) {
        bw_tls_stream_close(socket->tls);
        bw_socket_send_sealed(socket, 0);
    }
    bw_connection *connection = socket->connection;
    int status = uv_shutdown(&connection->shutdown, (uv_stream_t *)&connection->tcp, on_shut);
    if (status != 0) {
        bw_socket_abandon(socket);
        return;
    }
    bw_socket_set_timer(socket, BW_SOCKET_CLOSING_MS);
}

void
bw_socket_close(bw_socket *socket, bool flushes)
{
    socket->session = NULL;
    socket->is_held = false;
    if (flushes) {
        flush(socket);
    } else {
        bw_socket_abandon(socket);
    }
    bw_socket_free_if_done(socket);
}

void
bw_socket_home_close(bw_socket_home *home)
{
    bw_socket *next;
    for (bw_socket *socket = home->first_sent; socket != NULL; socket = next) {
        next = socket->next_sent;
        socket->is_sent = false;
        bw_socket_free_if_done(socket);
    }
    home->first_sent = NULL;
    for (bw_socket *socket = home->first; socket != NULL; socket = next) {
        next = socket->next;  // none is freed here: libuv still has its timer
        flush(socket);
    }
}

void
bw_socket_tell_closed(bw_socket *socket)
{
    bw_session *session = socket->session;
    socket->session = NULL;
    if (session == NULL) return;
    socket->is_held = false;
    socket->home->is_touched = true;
    bw_mesh_closed(session, socket->reason.text, bw_socket_now_ns(socket));
}

/// The peer has closed (status UV_EOF), or the connection broke.
static void
lose(bw_socket *socket, int status)
{
    if (socket->reason.text[0] != 0) {
        // A write failed before.
    } else if (status == UV_EOF) {
        bw_error_set(&socket->reason, "connection closed");
    } else {
        bw_error_set_errno(&socket->reason, -status);
    }
    bw_socket_tell_closed(socket);
    bw_socket_abandon(socket);
}

// ---- reading

static void
on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
    (void)size;
    bw_socket *socket = handle->data;
    *out = uv_buf_init((char *)socket->home->received, BW_SOCKET_BUFFER);
}

static void
receive(bw_socket *socket, const uint8_t *bytes, size_t size)
{
    socket->home->is_touched = true;
    bw_mesh_received(socket->session, bytes, size, bw_socket_now_ns(socket));
}

void
bw_socket_become_open(bw_socket *socket)
{
    bw_socket_end_dialing(socket);
    if (!socket->is_unwritable) uv_timer_stop(&socket->timer);
    socket->state = BW_SOCKET_OPEN;
    socket->home->is_touched = true;
    bw_mesh_opened(socket->session, bw_socket_now_ns(socket));
}

/// TLS with the peer failed: the alert that says so goes out.
static void
fail_tls(bw_socket *socket, const bw_error *error)
{
    socket->reason = *error;
    if (socket->state == BW_SOCKET_DIALING) {
        bw_socket_send_sealed(socket, 0);
        bw_socket_fail_attempt(socket);
        return;
    }
    bw_socket_tell_closed(socket);
    bw_socket_send_sealed(socket, 0);
    flush(socket);
}

bool
bw_socket_agree(bw_socket *socket)
{
    bw_error error;
    bw_status status = bw_tls_stream_handshake(socket->tls, &error);
    if (status == BW_ECORRUPT) {
        fail_tls(socket, &error);
        return false;
    }
    bw_socket_send_sealed(socket, 0);
    if (status != BW_OK) return false;
    socket->is_agreed = true;
    if (socket->state == BW_SOCKET_DIALING) bw_socket_become_open(socket);
    return true;
}

static void
receive_sealed(bw_socket *socket, const void *bytes, size_t size)
{
    if (bw_tls_stream_feed(socket->tls, bytes, size) != BW_OK) {
        lose(socket, UV_ENOMEM);
        return;
    }
    // That something came counts, even if it makes no whole record yet, or is none of TLS.
    if (socket->state == BW_SOCKET_OPEN) receive(socket, socket->home->decrypted, 0);
    if (!socket->is_agreed && !bw_socket_agree(socket)) return;
    while (socket->session != NULL) {
        size_t got;
        bw_error error;
        bw_status status =
            bw_tls_stream_read(socket->tls, socket->home->decrypted, BW_SOCKET_BUFFER, &got, &error);
        switch (status) {
        case BW_OK:
            receive(socket, socket->home->decrypted, got);
            continue;
        case BW_CLOSED:
            lose(socket, UV_EOF);
            return;
        case BW_ECORRUPT:
            fail_tls(socket, &error);
            return;
        default:
            bw_socket_send_sealed(socket, 0);  // an answer to a change of keys, say
            return;
        }
    }
}

static void
on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    bw_socket *socket = stream->data;
    if (socket->connection == NULL || stream != (uv_stream_t *)&socket->connection->tcp) return;
    if (size == 0) return;
    if (socket->state == BW_SOCKET_CLOSING) {
        if (size > 0) return;  // nobody wants to know
        socket->is_at_end = true;
        if (size != UV_EOF) socket->is_unwritable = true;
        abandon_if_finished(socket);
    } else if (size > 0 && socket->tls != NULL) {
        receive_sealed(socket, buffer->base, (size_t)size);
    } else if (size > 0) {
        receive(socket, (const uint8_t *)buffer->base, (size_t)size);
    } else if (socket->state == BW_SOCKET_DIALING) {  // within TLS
        bw_error_set(&socket->reason, "TLS: connection closed");
        bw_socket_fail_attempt(socket);
    } else {
        lose(socket, (int)size);
    }
}

int
bw_socket_start_reading(bw_socket *socket)
{
    return uv_read_start((uv_stream_t *)&socket->connection->tcp, on_alloc, on_read);
}

// ---- connections

int
bw_socket_new_connection(bw_socket *socket)
{
    bw_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) return UV_ENOMEM;
    int status = uv_tcp_init(socket->home->uv, &connection->tcp);
    if (status != 0) {
        free(connection);
        return status;
    }
    connection->tcp.data = socket;
    socket->connection = connection;
    socket->handle_count++;
    socket->is_unwritable = false;
    socket->is_agreed = socket->home->tls == NULL;
    if (socket->is_agreed) return 0;
    return bw_tls_stream_new(socket->home->tls, socket->is_dialled, &socket->tls) == BW_OK ? 0
                                                                                           : UV_ENOMEM;
}

void
bw_socket_set_options(bw_socket *socket)
{
    // Neither can fail on a connection that is there, or it will soon say so itself.
    uv_tcp_nodelay(&socket->connection->tcp, 1);
    uv_tcp_keepalive(&socket->connection->tcp, 1, KEEP_ALIVE_S);
}

bw_status
bw_socket_adopt(bw_socket_home *home, int fd, bw_socket **out)
{
    bw_socket *socket;
    bw_status status = bw_socket_new(home, BW_SOCKET_OPEN, &socket);
    if (status != BW_OK) {
        close(fd);
        return status;
    }
    int failure = bw_socket_new_connection(socket);
    if (failure == 0) failure = uv_tcp_open(&socket->connection->tcp, fd);
    if (failure != 0) {
        close(fd);
        bw_socket_close(socket, false);
        return failure == UV_ENOMEM ? BW_ENOMEM : BW_EIO;
    }
    bw_socket_set_options(socket);
    *out = socket;
    return BW_OK;
}

void
bw_socket_start(bw_socket *socket, bw_session *session)
{
    socket->session = session;
    int status = bw_socket_start_reading(socket);
    if (status != 0) lose(socket, status);
}

bw_status
bw_socket_binding(bw_socket *socket, uint8_t out[BW_BINDING_BYTES])
{
    BW_ASSERT(socket->tls != NULL && socket->is_agreed);
    return bw_tls_stream_binding(socket->tls, out);
}

// ---- time

static void
on_timer(uv_timer_t *timer)
{
    bw_socket *socket = timer->data;
    switch (socket->state) {
    case BW_SOCKET_DIALING:
        if (socket->dial.is_connecting) {
            if (!socket->is_unwritable) bw_error_set_errno(&socket->reason, ETIMEDOUT);
            bw_socket_fail_attempt(socket);
        } else {
            bw_socket_try_next(socket);
        }
        break;
    case BW_SOCKET_OPEN:  // a write failed, and the end of what can be read doesn't come
        lose(socket, UV_ETIMEDOUT);
        break;
    case BW_SOCKET_CLOSING:
        bw_socket_abandon(socket);
        break;
    case BW_SOCKET_CLOSED:
        break;
    }
}

void
bw_socket_set_timer(bw_socket *socket, uint64_t ms)
{
    uv_update_time(socket->home->uv);
    uv_timer_start(&socket->timer, on_timer, ms, 0);
}
