// clock.h - time as the engine sees it: a table, which the simulator fills with a virtual one.
#ifndef BW_BASE_CLOCK_H
#define BW_BASE_CLOCK_H

#include <stdint.h>

#define BW_TIME_NEVER UINT64_MAX
#define BW_NS_PER_MS 1000000ull
#define BW_NS_PER_S 1000000000ull

typedef struct bw_clock {
    uint64_t (*now_ns)(void *self);  // monotonic, in ns since an arbitrary moment. Any thread
    void *self;
} bw_clock;

/// The machine's monotonic clock.
bw_clock bw_clock_real(void);

static inline uint64_t
bw_clock_now_ns(const bw_clock *clock)
{
    return clock->now_ns(clock->self);
}

/// start_ns + duration_ns; BW_TIME_NEVER if that is out of range.
static inline uint64_t
bw_time_after(uint64_t start_ns, uint64_t duration_ns)
{
    return duration_ns > BW_TIME_NEVER - start_ns ? BW_TIME_NEVER : start_ns + duration_ns;
}

#endif
