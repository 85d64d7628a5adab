// sim_process.h - one process of a simulated cluster: board, link, mesh and workers, and what its main and
// I/O threads do, a piece at a time.
#ifndef BW_TESTING_SIM_PROCESS_H
#define BW_TESTING_SIM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster/link.h"
#include "testing/sim_flow.h"
#include "testing/sim_net.h"
#include "testing/simulator.h"

enum { SIM_MAX_LOCAL = 2 };

typedef enum sim_phase {
    SIM_ABSENT,
    SIM_CONNECTING,
    SIM_RUNNING,  // until all its workers have ended
    SIM_WAITING,  // for what becomes of the others
    SIM_CLOSING,  // to tell what was said last, and to end
    SIM_GONE,
} sim_phase;

typedef enum sim_outcome {
    SIM_UNDECIDED,
    SIM_WELL,
    SIM_ERROR,
    SIM_KILLED,
} sim_outcome;

typedef struct sim_local {
    simulated one;        // its worker is NULL before it runs and after it ended
    uint64_t stalled_ns;  // in code of the user's until then
    uint64_t held;        // items that it held at its end
} sim_local;

typedef struct sim_process {
    sim_flow *flow;
    sim_net *net;
    uint32_t host;  // of the network; its index, but for one that says it is another
    uint32_t index, count;
    bw_net_settings settings;
    const char *addresses[SIM_MAX_HOSTS];
    bw_board board;
    bw_link *link;
    bw_mesh *mesh;
    bw_outbox *outboxes[SIM_MAX_HOSTS];
    bw_mesh_events inner;  // the link's
    sim_local locals[SIM_MAX_LOCAL];
    uint32_t local_count;
    sim_phase phase;
    sim_outcome outcome;
    uint64_t start_ns;       // when it starts
    uint64_t poll_ns;        // when its mesh has to be polled again
    uint64_t polled_ns;      // when it was last
    uint64_t decided_ns;     // when it knew how the run ended for it
    uint64_t waiting_bytes;  // in its outboxes, before it was last polled
    bool verbose;
    // what its mesh and its workers told
    bool was_connected, left, was_stopped;
    bool failed;         // a worker of this process did
    uint64_t failed_ns;  // when, or when it was stopped
    bw_failure failure;
    bool broken;
    bw_error error;          // of broken
    bool told;               // a peer reported a failure
    bw_link_failure report;  // what the link made of it; its texts live as long as the link
    char report_text[64], report_step[64];
} sim_process;

/// The settings but for addresses are the caller's to fill in; all that is pointed to is borrowed.
void sim_process_init(sim_process *process, sim_flow *flow, sim_net *net, uint32_t host, uint32_t index,
                      uint32_t count, uint32_t local_count);

/// Frees all that it has, however far it is.
void sim_process_fini(sim_process *process);

/// Its main thread has something to do: to start, to run workers, to leave, to close, to end.
bool sim_process_has_news(const sim_process *process);
void sim_process_run_main(sim_process *process);

/// Its I/O thread has.
bool sim_process_can_poll(const sim_process *process);
void sim_process_poll(sim_process *process);

bool sim_process_can_turn(const sim_process *process, uint32_t local);
void sim_process_turn(sim_process *process, uint32_t local);

/// The user ends the run here.
void sim_process_stop(sim_process *process);

/// All at once, and nothing is told to anybody.
void sim_process_kill(sim_process *process);

/// When one of its threads has something to do by itself.
uint64_t sim_process_next_ns(const sim_process *process);

static inline bool
sim_process_runs(const sim_process *process)
{
    return process->phase != SIM_ABSENT && process->phase != SIM_GONE;
}

#endif
