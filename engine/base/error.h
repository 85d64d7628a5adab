// error.h - what a user must know of a failure, beyond its status: one text.
#ifndef BW_BASE_ERROR_H
#define BW_BASE_ERROR_H

typedef struct bw_error {
    char text[480];  // English, UTF-8; "" if there is nothing to say
} bw_error;

/// Sets the text, cut off where it is too long.
void bw_error_set(bw_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// Sets it to what the system calls an errno, such as "Connection refused".
void bw_error_set_errno(bw_error *error, int number);

#endif
