// native_file.h - files as open() knows them: path-like names, audit event, default encoding.
#ifndef BW_BINDING_NATIVE_FILE_H
#define BW_BINDING_NATIVE_FILE_H

#include "compat.h"

#include <stdbool.h>
#include <sys/stat.h>

/// Opens a file: to read it, or to append to it, and then makes it if need be. Close-on-exec. Returns
/// its descriptor, or -1 with an OSError that names it (or the exception of the path, of an audit hook
/// or of a signal handler). A directory is an error. `*out_name`: new reference to an exact str or
/// bytes, for later errors; `*out_status`: what fstat() says.
int bw_file_open(PyObject *path, bool append, PyObject **out_name, struct stat *out_status);

/// The encoding that open() takes when none is given, in the spelling of the codec ("utf-8", "ascii",
/// "iso8859-1"). New reference to a str, or NULL with an exception set. All that a POSIX locale can
/// name encode ASCII as itself where it matters to us: no other character contains a line end.
PyObject *bw_file_encoding(void);

/// OSError for `error_number` that names the file. Always -1.
int bw_file_error(int error_number, PyObject *name);

#endif
