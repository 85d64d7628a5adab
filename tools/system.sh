#!/bin/sh
# Makes sure of the system's part: a C compiler, pkg-config, the headers of libuv, SQLite, OpenSSL and of the
# Python that was chosen: system.sh PYTHON. Installs what is missing as root on Debian or Ubuntu; elsewhere
# it names the command and fails.
set -eu
python=$1

missing=
need() { missing="$missing $1"; }
{ command -v cc || command -v gcc; } >/dev/null || need "gcc libc6-dev"
command -v make >/dev/null || need make
command -v pkg-config >/dev/null || need pkg-config
has() { command -v pkg-config >/dev/null && pkg-config --exists "$1"; }
has libuv || need libuv1-dev
has sqlite3 || need libsqlite3-dev
has openssl || need libssl-dev
command -v "$python" >/dev/null || need python3
"$python" -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
"$python" -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null || need python3-dev

[ -n "$missing" ] || exit 0
install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    $install -qq >/dev/null
    exit 0
fi
echo "System packages are missing. On Debian or Ubuntu install them by:" >&2
echo "    sudo $install" >&2
exit 1
