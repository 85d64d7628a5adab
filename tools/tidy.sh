#!/bin/sh
# clang-tidy over the engine and the binding, two files at a time: tidy.sh BIN BUILD_DIR.
set -eu
bin=$1 build=$2
find engine binding -name '*.c' -print0 | xargs -0 -n 1 -P 2 "$bin/clang-tidy" --quiet -p "$build"
