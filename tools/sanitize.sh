#!/bin/sh
# The tests under sanitizers: sanitize.sh PYTHON BUILD_DIR, where BUILD_DIR-asan and BUILD_DIR-tsan are built. The C tests run
# under ASan with UBSan, and under TSan; the Python tests of the binding under ASan. TSan's turn runs beside the Python tests.
set -eu
python=$1 build=$2
log=$build-tsan/sanitize.log

# setarch -R: TSan of this age doesn't start where addresses are too random.
"$python" tools/c_tests.py "$build-tsan" c sim --wrapper "setarch -R" >"$log" 2>&1 &
tsan=$!
status=0
"$python" tools/c_tests.py "$build-asan" c sim fuzz || status=1
tools/asan_python.sh "$python" "$build-asan" -m pytest -q -m "not slow" \
    --ignore tests/unit/test_floors.py --ignore tests/unit/test_c_example.py tests/unit tests/behaviour || status=1
wait "$tsan" || status=1
cat "$log"
exit $status
