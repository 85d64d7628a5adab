// source.h - an input step on one worker: the partitions it built, polled by the engine.
#ifndef BW_BINDING_SOURCE_H
#define BW_BINDING_SOURCE_H

#include "graph/operator.h"

/// The spec is a bw_segment of one step, a partitioned or a dynamic input.
extern const bw_source_ops bw_python_source_ops;

#endif
