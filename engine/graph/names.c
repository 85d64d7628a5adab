#include "graph/names.h"

#include <stdlib.h>
#include <string.h>

void
bw_names_init(bw_names *names)
{
    *names = (bw_names){0};
}

void
bw_names_fini(bw_names *names)
{
    for (size_t i = 0; i < names->count; i++) free(names->names[i].data);
    free(names->names);
    *names = (bw_names){0};
}

bw_status
bw_names_add(bw_names *names, const char *data, size_t size)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity == 0 ? 8 : 2 * names->capacity;
        bw_name *grown = realloc(names->names, capacity * sizeof *grown);
        if (grown == NULL) return BW_ENOMEM;
        names->names = grown;
        names->capacity = capacity;
    }
    char *copy = malloc(size + 1);  // never of 0 bytes
    if (copy == NULL) return BW_ENOMEM;
    if (size > 0) memcpy(copy, data, size);
    copy[size] = '\0';
    names->names[names->count++] = (bw_name){.data = copy, .size = size};
    return BW_OK;
}

static int
compare_names(const void *a, const void *b)
{
    const bw_name *left = a, *right = b;
    size_t shorter = left->size < right->size ? left->size : right->size;
    int order = shorter == 0 ? 0 : memcmp(left->data, right->data, shorter);
    if (order != 0) return order;
    return (left->size > right->size) - (left->size < right->size);
}

void
bw_names_sort(bw_names *names)
{
    if (names->count == 0) return;
    qsort(names->names, names->count, sizeof *names->names, compare_names);
    size_t kept = 1;
    for (size_t i = 1; i < names->count; i++) {
        if (compare_names(&names->names[i], &names->names[kept - 1]) == 0) {
            free(names->names[i].data);
        } else {
            names->names[kept++] = names->names[i];
        }
    }
    names->count = kept;
}

size_t
bw_names_find(const bw_names *names, const char *data, size_t size)
{
    const bw_name wanted = {.data = (char *)data, .size = size};
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_names(&wanted, &names->names[middle]);
        if (order == 0) return middle;
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return SIZE_MAX;
}
