#define _GNU_SOURCE  // pipe2, ppoll

#include "base/waker.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

// A wake-up of ours is a byte that is no signal number.
#define WAKE_BYTE 0

bw_status
bw_waker_init(bw_waker *waker)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return BW_EIO;
    waker->read_fd = fds[0];
    waker->write_fd = fds[1];
    atomic_init(&waker->armed, false);
    return BW_OK;
}

void
bw_waker_fini(bw_waker *waker)
{
    close(waker->read_fd);
    close(waker->write_fd);
}

void
bw_waker_wake(bw_waker *waker)
{
    if (!atomic_exchange(&waker->armed, false)) return;
    uint8_t byte = WAKE_BYTE;
    // A full pipe wakes just as well; nothing else can go wrong while the owner lives.
    ssize_t written = write(waker->write_fd, &byte, 1);
    (void)written;
}

void
bw_waker_arm(bw_waker *waker)
{
    atomic_store(&waker->armed, true);
}

void
bw_waker_disarm(bw_waker *waker)
{
    atomic_store(&waker->armed, false);
}

static void
sleep_until(bw_waker *waker, uint64_t deadline_ns)
{
    struct pollfd poll_fd = {.fd = waker->read_fd, .events = POLLIN};
    if (deadline_ns == BW_TIME_NEVER) {
        ppoll(&poll_fd, 1, NULL, NULL);
        return;
    }
    bw_clock clock = bw_clock_real();
    uint64_t now_ns = bw_clock_now_ns(&clock);
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    struct timespec left = {.tv_sec = (time_t)(left_ns / BW_NS_PER_S),
                            .tv_nsec = (long)(left_ns % BW_NS_PER_S)};
    ppoll(&poll_fd, 1, &left, NULL);
}

uint32_t
bw_waker_wait(bw_waker *waker, uint64_t deadline_ns, uint8_t *bytes, uint32_t size)
{
    sleep_until(waker, deadline_ns);
    bw_waker_disarm(waker);
    uint32_t count = 0;
    uint8_t buffer[64];
    ssize_t got;
    while ((got = read(waker->read_fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            if (buffer[i] != WAKE_BYTE && count < size) bytes[count++] = buffer[i];
        }
    }
    return count;
}
