#include "testing/sim_report.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// A global, since a signal handler has nothing else to read.
static volatile uint64_t present_seed;

static void
print_replay(void)
{
    unsigned long long seed = present_seed;
    fprintf(stderr, "seed %llu failed; replay it by: --seeds %llu %llu -v\n", seed, seed, seed);
}

static void
on_abort(int signal_number)
{
    (void)signal_number;
    print_replay();
    _exit(1);
}

void
sim_report_seed(uint64_t seed)
{
    present_seed = seed;
    signal(SIGABRT, on_abort);
}

_Noreturn void
sim_violation(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    print_replay();
    exit(1);
}
