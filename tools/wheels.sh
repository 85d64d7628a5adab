#!/bin/bash
# A wheel in dist/ for each CPython from 3.10 to 3.13 that is found: of pyenv, and on PATH: wheels.sh PYTHON.
# They are for machines like this one: libuv and OpenSSL are the system's.
set -eu
declare -A found
candidates=("$1")
for minor in 10 11 12 13; do
    candidates+=("python3.$minor")
done
if command -v pyenv >/dev/null; then
    candidates+=("$(pyenv root)"/versions/*/bin/python)
fi
for candidate in "${candidates[@]}"; do
    # A name on PATH may be a shim that refuses; headers and pip are needed as well.
    tag=$("$candidate" -c 'import os, pip, sys, sysconfig
assert sys.implementation.name == "cpython" and (3, 10) <= sys.version_info < (3, 14)
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
print(sys.implementation.cache_tag + getattr(sys, "abiflags", ""))' 2>/dev/null) || continue
    [ -n "${found[$tag]:-}" ] || found[$tag]=$candidate
done
[ ${#found[@]} -gt 0 ] || { echo "no CPython 3.10 to 3.13 with its headers was found" >&2; exit 1; }
mkdir -p dist
for tag in $(printf '%s\n' "${!found[@]}" | sort -V); do
    echo "$tag: ${found[$tag]}"
    "${found[$tag]}" -m pip --disable-pip-version-check wheel -q --no-deps -w dist .
done
ls -l dist/*.whl
