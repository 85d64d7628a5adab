#define _GNU_SOURCE  // what uv.h and netdb.h need beyond C17

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "net/socket_state.h"

#define ATTEMPT_MS 3000    // for one address to answer
#define HANDSHAKE_MS 5000  // for TLS with it

void
bw_socket_end_dialing(bw_socket *socket)
{
    bw_socket_dialing *dial = &socket->dial;
    if (dial->lookup != NULL) {
        bw_lookup_leave(dial->lookup);
        socket->home->lookup_count--;
    }
    if (dial->found != NULL) freeaddrinfo(dial->found);
    *dial = (bw_socket_dialing){0};
}

// ---- one address after the other

/// Whether the connection leads to itself: two SYNs that cross on one port are a connection to TCP, and a process that dials a port
/// of its own machine on which nobody listens yet may be given that very port for its own end.
static bool
is_own_echo(bw_socket *socket)
{
    struct sockaddr_storage here = {0}, there = {0};
    int here_size = sizeof here, there_size = sizeof there;
    uv_tcp_t *tcp = &socket->connection->tcp;
    return uv_tcp_getsockname(tcp, (struct sockaddr *)&here, &here_size) == 0 &&
           uv_tcp_getpeername(tcp, (struct sockaddr *)&there, &there_size) == 0 &&
           here_size == there_size && memcmp(&here, &there, (size_t)here_size) == 0;
}

void
bw_socket_fail_attempt(bw_socket *socket)
{
    bw_socket_drop_connection(socket);
    socket->dial.is_connecting = false;
    bw_socket_try_next(socket);
}

static void
on_connected(uv_connect_t *request, int status)
{
    bw_socket *socket = request->handle->data;
    if (status == UV_ECANCELED) return;
    if (status == 0 && is_own_echo(socket)) status = UV_ECONNREFUSED;
    if (status == 0) status = bw_socket_start_reading(socket);
    if (status != 0) {
        bw_error_set_errno(&socket->reason, -status);
        bw_socket_fail_attempt(socket);
        return;
    }
    bw_socket_set_options(socket);
    if (socket->tls == NULL) {
        bw_socket_become_open(socket);
        return;
    }
    bw_socket_set_timer(socket, HANDSHAKE_MS);
    bw_socket_agree(socket);  // says hello
}

void
bw_socket_try_next(bw_socket *socket)
{
    bw_socket_dialing *dial = &socket->dial;
    while (dial->next != NULL) {
        const struct addrinfo *info = dial->next;
        dial->next = info->ai_next;
        int status = bw_socket_new_connection(socket);
        if (status == 0) {
            status = uv_tcp_connect(&socket->connection->connect, &socket->connection->tcp,
                                    info->ai_addr, on_connected);
        }
        if (status == 0) {
            dial->is_connecting = true;
            bw_socket_set_timer(socket, ATTEMPT_MS);
            return;
        }
        bw_error_set_errno(&socket->reason, -status);
        bw_socket_drop_connection(socket);
    }
    bw_socket_tell_closed(socket);
    bw_socket_abandon(socket);
}

// ---- host names

/// Found, or not: goes on.
static void
end_lookup(bw_socket *socket)
{
    bw_socket_dialing *dial = &socket->dial;
    bw_status status = bw_lookup_result(dial->lookup, &dial->found, &socket->reason);
    if (status == BW_EMPTY) return;
    bw_lookup_leave(dial->lookup);
    dial->lookup = NULL;
    socket->home->lookup_count--;
    dial->next = dial->found;
    bw_socket_try_next(socket);
}

void
bw_socket_home_look(bw_socket_home *home)
{
    if (home->lookup_count == 0) return;
    bw_socket *next;
    for (bw_socket *socket = home->first; socket != NULL; socket = next) {
        next = socket->next;  // none is freed within this: libuv still has its timer
        if (socket->dial.lookup != NULL) end_lookup(socket);
    }
}

bw_status
bw_socket_dial(bw_socket_home *home, const bw_address *address, bw_session *session, bw_socket **out)
{
    bw_socket *socket;
    bw_status status = bw_socket_new(home, BW_SOCKET_DIALING, &socket);
    if (status != BW_OK) return status;
    socket->session = session;
    bw_socket_dialing *dial = &socket->dial;
    bw_error ignored;
    if (bw_address_look_up(address, AI_NUMERICHOST, &dial->found, &ignored) == BW_OK) {
        dial->next = dial->found;
        bw_socket_set_timer(socket, 0);  // not from within this call
    } else if (bw_lookup_new(address, home->wake, home->wake_self, &dial->lookup) == BW_OK) {
        home->lookup_count++;
    } else {
        bw_error_set_errno(&socket->reason, ENOMEM);
        bw_socket_set_timer(socket, 0);
    }
    *out = socket;
    return BW_OK;
}
