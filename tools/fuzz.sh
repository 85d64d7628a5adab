#!/bin/sh
# Fuzzes what parses bytes from outside: fuzz.sh BIN BUILD_DIR SECONDS [NAME...]. Each tests/fuzz/fuzz_NAME.c runs under
# libFuzzer, ASan and UBSan for so long, from tests/fuzz/corpus/NAME; what it learns stays in BUILD_DIR. A find lies in
# BUILD_DIR/NAME.find-*: reduce it (`-minimize_crash=1`) and add it to the corpus, which `make test` replays.
set -eu
bin=$1 build=$2 seconds=$3
shift 3

if ! command -v clang-14 >/dev/null || ! ls "$(clang-14 -print-resource-dir)"/lib/linux/libclang_rt.fuzzer-* >/dev/null 2>&1; then
    install="apt-get install -y --no-install-recommends clang-14 libclang-rt-14-dev llvm-14"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "clang 14 is missing. On Debian or Ubuntu install it by:" >&2
        echo "    sudo $install" >&2
        exit 1
    fi
    echo "installing: clang-14 libclang-rt-14-dev llvm-14"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    $install -qq >/dev/null
fi

CC=clang-14 tools/build.sh "$bin" "$build" -Dpython=auto -Dfuzz=true -Dwerror=false -Dbuildtype=debugoptimized \
    -Db_sanitize=address,undefined -Db_lundef=false -Dc_args='-fsanitize=fuzzer-no-link -w'

export ASAN_OPTIONS="allocator_may_return_null=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:${UBSAN_OPTIONS:-}"
found=0 ran=0
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c | cut -c 6-)
    [ $# = 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
    program=$build/tests/fuzz/fuzz_$name
    if [ ! -x "$program" ]; then
        echo "fuzz $name: not built (it needs a Python with a library to link)"
        continue
    fi
    mkdir -p "$build/corpus/$name"
    ran=$((ran + 1))
    leaks=1
    [ "$name" != codec ] || leaks=0
    if ASAN_OPTIONS="detect_leaks=$leaks:$ASAN_OPTIONS" "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$build/$name.find-" \
        "$build/corpus/$name" "tests/fuzz/corpus/$name" >"$build/$name.log" 2>&1; then
        echo "fuzz $name: nothing found in $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$name.log") runs," \
            "$(grep -o 'cov: [0-9]*' "$build/$name.log" | tail -1)"
    else
        tail -60 "$build/$name.log"
        echo "fuzz $name: FAILED; see $build/$name.log"
        found=1
    fi
done
[ "$ran" -gt 0 ] || { echo "fuzz: there is no such target" >&2; exit 1; }
exit $found
