// random.h - numbers from a seed, the same on every machine. For tests.
#ifndef BW_TESTING_RANDOM_H
#define BW_TESTING_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct random_state {
    uint64_t state;
} random_state;

/// Scatters the bits of a number: neighbours become unlike each other.
static inline uint64_t
random_mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

static inline uint64_t
random_next(random_state *random)
{
    return random_mix(random->state++);
}

/// From 0 to limit - 1.
static inline uint32_t
random_below(random_state *random, uint32_t limit)
{
    return (uint32_t)(((random_next(random) >> 32) * limit) >> 32);
}

/// From least to most.
static inline uint32_t
random_between(random_state *random, uint32_t least, uint32_t most)
{
    return least + random_below(random, most - least + 1);
}

static inline bool
random_one_in(random_state *random, uint32_t count)
{
    return random_below(random, count) == 0;
}

#endif
