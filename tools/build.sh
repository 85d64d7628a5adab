#!/bin/sh
# Builds what has changed: build.sh BIN BUILD_DIR [OPTION...]. Configures BUILD_DIR first if it is new, if its
# options are others, or if a C file was added or removed (the lists of files are made at configure time).
set -eu
bin=$1 build=$2
shift 2
PATH="$PWD/$bin:$PATH"
mkdir -p "$build"
exec 9>"$build/.lock"
flock 9  # ninja has no lock of its own

wanted="$* $(python tools/list_sources.py all)"
if [ "$(cat "$build/.configured" 2>/dev/null)" != "$wanted" ] || [ ! -e "$build/build.ninja" ]; then
    again=
    [ ! -e "$build/build.ninja" ] || again=--reconfigure
    meson setup $again "$build" "$@" >"$build/.setup.log" 2>&1 || { tail -50 "$build/.setup.log"; exit 1; }
    printf '%s\n' "$wanted" >"$build/.configured"
fi
ninja -C "$build" --quiet
