// net_argument.h - the `net` of _engine.run(): the other processes of the cluster, as Python says it.
#ifndef BW_BINDING_NET_ARGUMENT_H
#define BW_BINDING_NET_ARGUMENT_H

#include "compat.h"

#include "net/settings.h"

typedef struct bw_net_argument {
    bw_net_settings settings;  // graph_hash and step_count are for others to fill in
    PyObject *strings;         // owned, a list: keeps what the settings point to
    const char **addresses;    // owned
} bw_net_argument;

/// Reads a dict (see _engine.pyi) for a process of `worker_count` workers. Its listen_fd is taken over: by
/// the settings if 0 is returned, else it is closed. -1 and an exception: a TypeError, KeyError or
/// ValueError. `out` is all zeros before, and for fini() after, whatever happens. Attached.
int bw_net_argument_init(bw_net_argument *out, PyObject *dict, uint32_t worker_count);

/// Closes a listen_fd that nobody took (and set to -1). Attached; all zeros are allowed.
void bw_net_argument_fini(bw_net_argument *argument);

#endif
