// waker.h - how a thread sleeps until another wakes it, a signal comes or a deadline is over.
#ifndef BW_BASE_WAKER_H
#define BW_BASE_WAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"

/// A pipe, and not a condition variable: it can be Python's wake-up descriptor for signals too.
typedef struct bw_waker {
    int read_fd;
    int write_fd;
    atomic_bool armed;  // the owner sleeps or is about to: only then does a wake-up cost a system call
} bw_waker;

/// Opens the pipe, close-on-exec and non-blocking. BW_EIO leaves errno.
BW_NODISCARD bw_status bw_waker_init(bw_waker *waker);
void bw_waker_fini(bw_waker *waker);

/// Makes the owner's next (or present) wait return. Any thread, also in a signal handler.
void bw_waker_wake(bw_waker *waker);

/// Owner only. First half of going to sleep: after it, every wake-up is seen by bw_waker_wait(). The
/// owner arms, looks once more for work, and then waits or disarms: so no wake-up is lost.
void bw_waker_arm(bw_waker *waker);
void bw_waker_disarm(bw_waker *waker);

/// Owner only, armed. Sleeps until `deadline_ns` of the real clock, a wake-up, a byte written to
/// write_fd by somebody else, or a signal. Disarms. The bytes that others wrote (signal numbers) are
/// left in `bytes`, at most `size`; returns how many.
uint32_t bw_waker_wait(bw_waker *waker, uint64_t deadline_ns, uint8_t *bytes, uint32_t size);

#endif
