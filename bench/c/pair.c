// pair.c - what two processes move over loopback at best: pair ITEMS ITEM_SIZE WRITE_SIZE. A child writes as many bytes,
// WRITE_SIZE at a time, and its parent reads them; nobody looks at them.
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static double
wall_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double
cpu_ns(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static char *
buffer_of(size_t size)
{
    char *buffer = malloc(size);
    if (buffer == NULL) die("malloc");
    memset(buffer, 'x', size);  // so that its pages are there
    return buffer;
}

static void
write_all(uint64_t bytes, size_t write_size, const struct sockaddr_in *address)
{
    char *buffer = buffer_of(write_size);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) != 0) die("connect");
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) die("setsockopt");
    while (bytes > 0) {
        ssize_t written = write(fd, buffer, bytes < write_size ? (size_t)bytes : write_size);
        if (written < 0) die("write");
        bytes -= (uint64_t)written;
    }
    close(fd);
    free(buffer);
}

static uint64_t
read_all(int listener, size_t read_size)
{
    char *buffer = buffer_of(read_size);
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) die("accept");
    uint64_t bytes = 0;
    for (;;) {
        ssize_t got = read(fd, buffer, read_size);
        if (got < 0) die("read");
        if (got == 0) break;
        bytes += (uint64_t)got;
    }
    close(fd);
    free(buffer);
    return bytes;
}

int
main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: pair ITEMS ITEM_SIZE WRITE_SIZE\n");
        return 2;
    }
    uint64_t items = strtoull(argv[1], NULL, 10), bytes = items * strtoull(argv[2], NULL, 10);
    size_t write_size = (size_t)strtoull(argv[3], NULL, 10);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &address_size) != 0)
        die("listen");

    double wall = wall_ns();
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        write_all(bytes, write_size, &address);
        return EXIT_SUCCESS;
    }
    if (read_all(listener, write_size) != bytes) die("some bytes are missing");
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) die("the child failed");
    wall = wall_ns() - wall;
    double cpu = cpu_ns(RUSAGE_SELF) + cpu_ns(RUSAGE_CHILDREN);
    printf("{\"cpu\": %.2f, \"wall\": %.2f}\n", cpu / (double)items, wall / (double)items);
    return EXIT_SUCCESS;
}
