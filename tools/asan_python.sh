#!/bin/sh
# Runs a Python of the environment on an extension built under ASan: asan_python.sh PYTHON BUILD_DIR ARGUMENT...
# Leaks are not looked for: the interpreter has too many of its own. The C tests look for them.
set -eu
python=$1 build=$2
shift 2
export LD_PRELOAD="$(cc -print-file-name=libasan.so)"
export ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:${UBSAN_OPTIONS:-}"
export PYTHONMALLOC=malloc  # else the interpreter's arenas hide what is read after it was freed
export PYTHONPATH="$PWD/python:$PWD/$build/python"
export BYTEWAX_NO_REBUILD=1
export BYTEWAX_SANITIZED=1  # tests that measure skip themselves
exec "$python" "$@"
