// names.h - a set of partition names.
#ifndef BW_GRAPH_NAMES_H
#define BW_GRAPH_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct bw_name {
    char *data;  // UTF-8, may hold NUL
    size_t size;
} bw_name;

typedef struct bw_names {
    bw_name *names;
    size_t count, capacity;
} bw_names;

void bw_names_init(bw_names *names);
void bw_names_fini(bw_names *names);

/// Copies a name to the end.
BW_NODISCARD bw_status bw_names_add(bw_names *names, const char *data, size_t size);

/// Sorts by bytes (so by code point) and drops doubles.
void bw_names_sort(bw_names *names);

/// Index in sorted names, or SIZE_MAX.
size_t bw_names_find(const bw_names *names, const char *data, size_t size);

#endif
