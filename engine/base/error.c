#define _GNU_SOURCE  // strerror_r that returns the text

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
bw_error_set(bw_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
}

void
bw_error_set_errno(bw_error *error, int number)
{
    char buffer[128];
    bw_error_set(error, "%s", strerror_r(number, buffer, sizeof buffer));
}
