#define _POSIX_C_SOURCE 200809L

#include "net/address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "testing/check.h"

static void
host_and_port_are_taken_apart(void)
{
    static const char *const CASES[][3] = {
        {"localhost:2101", "localhost", "2101"},
        {"10.0.0.1:0", "10.0.0.1", "0"},
        {"[::1]:65535", "::1", "65535"},
        {"::1:80", "::1", "80"},
        {"pod-0.flow.svc:09", "pod-0.flow.svc", "09"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        bw_address address;
        bw_error error;
        CHECK_EQ(bw_address_parse(CASES[i][0], &address, &error), BW_OK);
        CHECK(strcmp(address.host, CASES[i][1]) == 0);
        CHECK(strcmp(address.port, CASES[i][2]) == 0);
    }
}

static void
what_is_no_address_is_said(void)
{
    static const char *const CASES[] = {
        "",           ":",           "host",    "host:",    ":80",     "[]:80",
        "host:65536", "host:123456", "host:8o", "host: 80", "host:-1",
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        bw_address address;
        bw_error error;
        CHECK_EQ(bw_address_parse(CASES[i], &address, &error), BW_EINVAL);
        char expected[200];
        snprintf(expected, sizeof expected, "invalid socket address: expected 'host:port'; got '%s'",
                 CASES[i]);
        CHECK(strcmp(error.text, expected) == 0);
    }
}

static void
a_host_name_has_a_length(void)
{
    char text[300];
    bw_address address;
    bw_error error;
    memset(text, 'a', sizeof text);
    memcpy(text + 255, ":1", 3);
    CHECK_EQ(bw_address_parse(text, &address, &error), BW_OK);
    CHECK_EQ(strlen(address.host), 255);
    memcpy(text + 256, ":1", 3);
    text[255] = 'a';
    CHECK_EQ(bw_address_parse(text, &address, &error), BW_EINVAL);
}

static uint16_t
port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

static void
a_port_in_use_is_said(void)
{
    int fd, other;
    bw_error error;
    CHECK_EQ(bw_address_listen("127.0.0.1:0", &fd, &error), BW_OK);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    char text[64], expected[200];
    snprintf(text, sizeof text, "127.0.0.1:%u", port_of(fd));
    CHECK_EQ(bw_address_listen(text, &other, &error), BW_EIO);
    snprintf(expected, sizeof expected, "can't listen on '%s': Address already in use", text);
    CHECK(strcmp(error.text, expected) == 0);
    close(fd);
    CHECK_EQ(bw_address_listen(text, &fd, &error), BW_OK);
    close(fd);
}

static void
an_address_of_another_machine_is_said(void)
{
    int fd;
    bw_error error;
    CHECK_EQ(bw_address_listen("192.0.2.1:0", &fd, &error), BW_EIO);
    CHECK(strcmp(error.text, "can't listen on '192.0.2.1:0': Cannot assign requested address") == 0);
}

static void
an_unknown_name_is_said(void)
{
    int fd;
    bw_error error;
    CHECK_EQ(bw_address_listen("no-such-host.invalid:0", &fd, &error), BW_EIO);
    CHECK(strstr(error.text, "can't listen on 'no-such-host.invalid:0': "
                             "failed to lookup address information: ") == error.text);
}

static void
addresses_are_written(void)
{
    static const char *const CASES[] = {"127.0.0.1:80", "[::1]:65535"};
    for (size_t i = 0; i < 2; i++) {
        bw_address address;
        bw_error error;
        struct addrinfo *found;
        char text[BW_ADDRESS_TEXT];
        CHECK_EQ(bw_address_parse(CASES[i], &address, &error), BW_OK);
        CHECK_EQ(bw_address_look_up(&address, AI_NUMERICHOST, &found, &error), BW_OK);
        bw_address_format(found->ai_addr, text);
        CHECK(strcmp(text, CASES[i]) == 0);
        freeaddrinfo(found);
    }
}

TEST_MAIN(TEST(host_and_port_are_taken_apart), TEST(what_is_no_address_is_said),
          TEST(a_host_name_has_a_length), TEST(a_port_in_use_is_said),
          TEST(an_address_of_another_machine_is_said), TEST(an_unknown_name_is_said),
          TEST(addresses_are_written))
