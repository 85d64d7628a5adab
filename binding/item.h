// item.h - Python objects as items of the engine.
#ifndef BW_BINDING_ITEM_H
#define BW_BINDING_ITEM_H

#include "channel/item.h"

/// Items are owned references. Keyed steps of the binding split pairs themselves (bw_kernel_ops.route).
/// Where there are other processes, `self` is the state of the module.
extern const bw_item_ops bw_python_items;

#endif
