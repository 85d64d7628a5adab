// sim_net.h - a simulated network: what the meshes of a cluster are given for a transport. A connection is
// a pair of streams of bytes; each keeps its order, but has a delay of its own, so that connections
// overtake each other. How much is taken, sent and read at once is drawn by chance, down to one byte.
//
// Each call of sim_net_step() tells one process one thing (a connection that came about, bytes, an end),
// so everything that may happen at the same time happens in every order, by seed.
#ifndef BW_TESTING_SIM_NET_H
#define BW_TESTING_SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "net/mesh.h"
#include "testing/random.h"
#include "testing/sim_clock.h"

enum { SIM_MAX_HOSTS = 4 };
#define SIM_STRANGER UINT32_MAX  // in place of a host: somebody who is not of the cluster

typedef struct sim_net sim_net;
typedef struct sim_conn sim_conn;

/// A process, as far as the network knows it.
typedef struct sim_host {
    sim_net *net;
    uint32_t index;
    bw_mesh *mesh;     // NULL: nobody listens at its address
    bool frozen;       // its system takes bytes in, but it does not run
    bool left;         // what its mesh still closes is closed already
    bool touched;      // its mesh was told something, or woken: to be polled soon
    uint64_t skew_ns;  // what its clock is ahead
} sim_host;

typedef enum sim_stranger {
    SIM_STRANGER_SILENT,   // connects and says nothing
    SIM_STRANGER_GARBAGE,  // sends bytes drawn by chance
    SIM_STRANGER_REPLAY,   // sends what a process once sent, or the beginning of it, or nearly that
    SIM_STRANGER_COUNT,
} sim_stranger;

struct sim_net {
    random_state random;
    const sim_clock *clock;
    sim_host hosts[SIM_MAX_HOSTS];
    uint32_t host_count;
    uint32_t routes[SIM_MAX_HOSTS];             // who really listens at the address of a process
    bool silent[SIM_MAX_HOSTS][SIM_MAX_HOSTS];  // [from][to]: bytes vanish on the way
    sim_conn *conns, *ended;                    // those that ended are recordings for who replays
    uint32_t conn_count;
    uint64_t trace;       // of all that happened: equal for equal runs
    uint64_t byte_count;  // that arrived at a process
    // drawn once
    uint64_t delay_ns, jitter_ns;  // at most; each stream draws its own
    uint32_t bite;                 // one in so many reads and writes is of a few bytes only; 0: none
    uint32_t room;                 // of a socket's buffers, at most
    uint32_t slow_connects;        // one in so many takes seconds; 0: none
    uint32_t turned_connects;      // one in so many is refused for no reason; 0: none
    // seen
    bool flipped;         // a bit was
    uint64_t flipped_ns;  // when
};

/// `clock` is borrowed.
void sim_net_init(sim_net *net, uint64_t seed, const sim_clock *clock, uint32_t host_count);
void sim_net_fini(sim_net *net);  // after all meshes

/// The transport of a process.
bw_transport sim_net_transport(sim_net *net, uint32_t host);

/// From here on others can connect to it.
void sim_net_listen(sim_net *net, uint32_t host, bw_mesh *mesh);

/// It closes all that it has, with a second's time for what was written; its mesh is told nothing any more.
void sim_net_leave(sim_net *net, uint32_t host);

/// Its connections are reset, as its system does when the process is killed; its mesh is not told.
void sim_net_kill(sim_net *net, uint32_t host);

/// All that is open between two processes is reset. False: nothing is.
bool sim_net_reset(sim_net *net, uint32_t a, uint32_t b);

/// A bit of what goes from one process to another soon becomes the other.
void sim_net_flip(sim_net *net, uint32_t from, uint32_t to);

/// Somebody connects to a process.
void sim_net_visit(sim_net *net, uint32_t host, sim_stranger kind);

/// Bytes that a process has written and its system has not taken yet.
uint64_t sim_net_unsent(const sim_net *net, uint32_t host);

/// When something can happen next, at once included; BW_TIME_NEVER: nothing.
uint64_t sim_net_next_ns(const sim_net *net);

/// How many things can happen now.
uint32_t sim_net_due_count(const sim_net *net);

/// One of them does, by chance.
void sim_net_step(sim_net *net);

/// Checks what strangers were told; prints and exits if that is too much.
void sim_net_check_strangers(const sim_net *net);

static inline uint64_t
sim_host_now_ns(const sim_host *host)
{
    return host->net->clock->now_ns + host->skew_ns;
}

static inline void
sim_net_note(sim_net *net, uint64_t what)
{
    net->trace = random_mix(net->trace ^ what ^ net->clock->now_ns);
}

#endif
