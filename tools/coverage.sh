#!/bin/sh
# Coverage of the C and the Python tests: coverage.sh BIN BUILD_DIR. Reports go to BUILD_DIR/c.html and
# BUILD_DIR/python/, sums to the terminal.
set -eu
bin=$1 build=$2
tools/build.sh "$bin" "$build" -Dpython=enabled -Dbuildtype=debugoptimized -Db_coverage=true
find "$build" -name '*.gcda' -delete
export PYTHONPATH="$PWD/python:$PWD/$build/python" BYTEWAX_NO_REBUILD=1 BYTEWAX_SANITIZED=1
status=0
"$bin/python" tools/c_tests.py "$build" c sim || status=$?
"$bin/coverage" erase
# Leaks can't be told from what coverage itself keeps.
"$bin/coverage" run -m pytest -q -m "not slow" --ignore tests/behaviour/test_leaks.py \
    tests/unit tests/behaviour tests/property tests/docs || status=$?
"$bin/coverage" combine -q
"$bin/coverage" html -q -d "$build/python-report"
"$bin/coverage" report --skip-covered
"$bin/gcovr" --root . --filter engine/ --filter binding/ --exclude '.*_test\.c' --exclude engine/testing/ \
    --html-details "$build/c.html" --txt - "$build"
exit $status
