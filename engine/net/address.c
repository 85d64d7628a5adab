#define _GNU_SOURCE  // SOCK_CLOEXEC

#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool
is_port(const char *text)
{
    size_t size = strlen(text);
    if (size == 0 || size > 5 || strspn(text, "0123456789") != size) return false;
    unsigned number = 0;
    for (const char *at = text; *at != 0; at++) number = number * 10 + (unsigned)(*at - '0');
    return number <= UINT16_MAX;
}

bw_status
bw_address_parse(const char *text, bw_address *out, bw_error *error)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !is_port(colon + 1)) goto invalid;
    const char *host = text;
    size_t size = (size_t)(colon - text);
    if (size >= 2 && host[0] == '[' && host[size - 1] == ']') {
        host++;
        size -= 2;
    }
    if (size == 0 || size >= sizeof out->host) goto invalid;
    memcpy(out->host, host, size);
    out->host[size] = 0;
    memcpy(out->port, colon + 1, strlen(colon + 1) + 1);
    return BW_OK;

invalid:
    bw_error_set(error, "invalid socket address: expected 'host:port'; got '%.300s'", text);
    return BW_EINVAL;
}

bw_status
bw_address_look_up(const bw_address *address, int flags, struct addrinfo **out, bw_error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    int failure = getaddrinfo(address->host, address->port, &hints, out);
    if (failure == 0) return BW_OK;
    bw_error reason;
    if (failure == EAI_SYSTEM) {
        bw_error_set_errno(&reason, errno);
    } else {
        bw_error_set(&reason, "%s", gai_strerror(failure));
    }
    bw_error_set(error, "failed to lookup address information: %.200s", reason.text);
    return BW_EIO;
}

/// Returns a descriptor, or -1 and errno.
static int
listen_on(const struct addrinfo *info)
{
    int fd =
        socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol);
    if (fd < 0) return -1;
    // Lets the next run bind the port while connections of the last one linger, not while it runs.
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int number = errno;
    close(fd);
    errno = number;
    return -1;
}

bw_status
bw_address_listen(const char *text, int *out, bw_error *error)
{
    bw_address address;
    struct addrinfo *found = NULL;
    bw_error reason;
    bw_status status = bw_address_parse(text, &address, &reason);
    if (status == BW_OK) status = bw_address_look_up(&address, AI_PASSIVE, &found, &reason);
    if (status != BW_OK) goto failed;

    // The next one only where the machine doesn't have this one: a name that stands for ::1 and 127.0.0.1 must
    // not evade to the second where the first is in use, since the others would find who uses it.
    int fd = -1, number = EADDRNOTAVAIL;
    for (const struct addrinfo *info = found; info != NULL && fd < 0; info = info->ai_next) {
        fd = listen_on(info);
        if (fd >= 0) break;
        number = errno;
        if (number != EADDRNOTAVAIL && number != EAFNOSUPPORT) break;
    }
    freeaddrinfo(found);
    if (fd >= 0) {
        *out = fd;
        return BW_OK;
    }
    bw_error_set_errno(&reason, number);
    status = BW_EIO;

failed:
    bw_error_set(error, "can't listen on '%.100s': %.340s", text, reason.text);
    return status;
}

void
bw_address_format(const struct sockaddr *address, char out[BW_ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, BW_ADDRESS_TEXT, "%s:%u", host, ntohs(v4->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(out, BW_ADDRESS_TEXT, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        snprintf(out, BW_ADDRESS_TEXT, "an unknown address");
    }
}
