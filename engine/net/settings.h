// settings.h - what a process must be told to find the others of its cluster.
#ifndef BW_NET_SETTINGS_H
#define BW_NET_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

/// All that is pointed to is borrowed and must outlive the mesh.
typedef struct bw_net_settings {
    uint32_t process_index, process_count;
    uint32_t workers_per_process;
    const char *const *addresses;  // "host:port" by process; "[v6]:port"
    int listen_fd;  // a socket that is bound and listens, taken over; -1: bind addresses[process_index]
    const uint8_t *secret;                    // of the cluster
    size_t secret_size;                       // 0: none
    const char *tls_cert, *tls_key, *tls_ca;  // PEM files; all NULL: no TLS
    uint64_t connect_timeout_ns;              // until all are there; 0: for ever
    uint64_t silence_timeout_ns;              // a peer from which nothing came for so long is gone
    uint64_t graph_hash;                      // of the dataflow's steps
    uint32_t step_count;
} bw_net_settings;

#endif
