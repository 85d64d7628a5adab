// chain.h - the kernel under the fluent API: a run of steps through which each item goes alone, from
// first to last, before the next one starts; sinks and keyed state included.
#ifndef BW_BINDING_CHAIN_H
#define BW_BINDING_CHAIN_H

#include "graph/operator.h"

/// The spec is a bw_segment.
extern const bw_kernel_ops bw_chain_ops;

#endif
