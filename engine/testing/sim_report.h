// sim_report.h - what a simulation says when something does not hold: what, and how to replay it.
#ifndef BW_TESTING_SIM_REPORT_H
#define BW_TESTING_SIM_REPORT_H

#include <stdint.h>

/// Notes which seed runs from here on, and catches the engine's own assertions.
void sim_report_seed(uint64_t seed);

/// Prints what is wrong, and how to replay it; exits.
_Noreturn void sim_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define SIM_CHECK(condition, ...) ((condition) ? (void)0 : sim_violation(__VA_ARGS__))

#endif
