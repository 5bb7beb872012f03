/* Time for the benchmarks: cycles of the time stamp counter on x86-64, nanoseconds elsewhere. */
#ifndef TRUNKLINE_TIMER_H
#define TRUNKLINE_TIMER_H

#include <stdint.h>

#if defined(__x86_64__)
#include <x86intrin.h>

#define TIMER_UNIT "cycle"

static inline uint64_t timer_now(void)
{
    return __rdtsc();
}
#else
#include <time.h>

#define TIMER_UNIT "ns"

static inline uint64_t timer_now(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
#endif

#endif
