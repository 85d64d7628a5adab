// sim_clock.h - the clock of a simulation: it stands until somebody moves it.
#ifndef BW_TESTING_SIM_CLOCK_H
#define BW_TESTING_SIM_CLOCK_H

#include <stdint.h>

#include "base/clock.h"

typedef struct sim_clock {
    uint64_t now_ns;
} sim_clock;

static inline uint64_t
sim_clock_now_ns(void *self)
{
    return ((sim_clock *)self)->now_ns;
}

/// The engine's table over it.
static inline bw_clock
sim_clock_table(sim_clock *clock)
{
    return (bw_clock){.now_ns = sim_clock_now_ns, .self = clock};
}

#endif
