#define _GNU_SOURCE  // SOCK_CLOEXEC

#include "testing/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "testing/check.h"

static int
open_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    return fd;
}

int
bw_loopback_listen(char text[BW_LOOPBACK_TEXT])
{
    int fd = open_socket(), on = 1;  // for whoever binds the port after this one
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, size), 0);
    CHECK_EQ(listen(fd, 100), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(text, BW_LOOPBACK_TEXT, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    return fd;
}

int
bw_loopback_connect(const char *text)
{
    int fd = open_socket();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)strtoul(strrchr(text, ':') + 1, NULL, 10));
    CHECK_EQ(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}
