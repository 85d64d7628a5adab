#define _POSIX_C_SOURCE 200809L

#include "base/clock.h"

#include <stddef.h>
#include <time.h>

static uint64_t
real_now_ns(void *self)
{
    (void)self;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);  // can't fail with this clock and a valid pointer
    return (uint64_t)now.tv_sec * BW_NS_PER_S + (uint64_t)now.tv_nsec;
}

bw_clock
bw_clock_real(void)
{
    return (bw_clock){.now_ns = real_now_ns, .self = NULL};
}
