// idle.c - what a worker does whose source has named the time when it will have something: idle SECONDS.
#define _GNU_SOURCE  // RUSAGE_THREAD

#include <bytewax.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

typedef struct probe {
    double seconds;
    int poll_count;
    double start, cpu;
    long switches;
} probe;

static double
now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static long
switches(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
}

/// The first time: nothing before so many seconds. The second time: how the worker spent them.
static int
poll_probe(void *state, bw_flow_emitter *out, size_t limit, uint64_t *again_ns)
{
    (void)out;
    (void)limit;
    probe *probe = state;
    double start = now(CLOCK_MONOTONIC);
    if (probe->poll_count++ == 0) {
        probe->start = start;
        probe->cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        probe->switches = switches();
        *again_ns = (uint64_t)(probe->seconds * 1e9);
        return BW_FLOW_IDLE;
    }
    if (start - probe->start < probe->seconds * 0.99)
        return bw_flow_fail(out->context, "asked too early");
    double seconds = start - probe->start;
    printf("{\"wakeups_per_s\": %.3f, \"cpu_ms_per_s\": %.3f}\n",
           (double)(switches() - probe->switches) / seconds,
           (now(CLOCK_PROCESS_CPUTIME_ID) - probe->cpu) * 1e3 / seconds);
    return BW_FLOW_END;
}

static int
write_nothing(void *state, bw_flow_context *context, void **items, size_t count)
{
    (void)state;
    (void)context;
    (void)items;
    (void)count;
    return 0;
}

int
main(int argc, char **argv)
{
    static const bw_flow_items ITEMS = {0};
    static const bw_flow_source_ops PROBE = {.poll = poll_probe};
    static const bw_flow_sink_ops NOTHING = {.write = write_nothing};
    if (argc != 2) return 2;
    probe probe = {.seconds = strtod(argv[1], NULL)};
    bw_flow *flow = bw_flow_new(&ITEMS);
    bw_flow_sink(flow, "nothing", bw_flow_source(flow, "probe", &PROBE, &probe), &NOTHING, NULL);
    bw_flow_error error;
    int status = bw_flow_run(flow, NULL, &error);
    if (status != 0) fprintf(stderr, "idle: %s\n", error.text);
    bw_flow_free(flow);
    return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
