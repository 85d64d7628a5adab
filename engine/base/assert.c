#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void
bw_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "bytewax: internal error: %s does not hold (%s:%d); please report it\n", condition,
            file, line);
    abort();
}
