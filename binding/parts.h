// parts.h - what partitioned inputs and outputs have in common: listing names, building what they name.
#ifndef BW_BINDING_PARTS_H
#define BW_BINDING_PARTS_H

#include "compat.h"

#include "graph/names.h"
#include "plan.h"

/// Calls list_parts() of the step's input or output and adds the names. 0, or -1 with an exception.
int bw_parts_list(const bw_stage_spec *spec, bw_names *names);

/// Calls build_part(name, None); checks the result against the step's class. New reference; NULL with
/// an exception, or NULL without if `none_allowed` and it returned None.
PyObject *bw_parts_build(const bw_stage_spec *spec, const bw_name *name, bool none_allowed);

/// Calls build(worker_index, worker_count) of a dynamic input or output. New reference or NULL.
PyObject *bw_parts_build_dynamic(const bw_stage_spec *spec, const bw_place *place);

#endif
