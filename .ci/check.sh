#!/bin/sh
# Lint, types and layers; then, with arguments, pytest with them. Called by make, inside the environment.
#
# All parts run even where one fails, and each prints its time. pytest comes last and lists all times again, so that
# its summary closes the output. The exit code is 0 only if every part passed.
set -u

failed=''
times=''

part() {
    name=$1
    shift
    echo "── $name"
    started=$(date +%s)
    if "$@"; then result=ok; else result=FAILED failed="$failed $name"; fi
    seconds=$(($(date +%s) - started))
    echo "── $name: $result, $seconds s"
    times="$times$name=$result=$seconds "
}

part ruff python -m ruff check .
part format python -m ruff format --check .
part mypy python -m mypy
part layers python -c 'from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_logo=True))'
[ -z "$failed" ] || echo "── failed before the tests:$failed"

if [ $# -gt 0 ]; then
    echo "── tests"
    # Jobs of tests last seconds: their JVMs compile once, quickly, and collect garbage on one thread.
    export SPARK_SUBMIT_OPTS="${SPARK_SUBMIT_OPTS:--XX:TieredStopAtLevel=1 -XX:+UseSerialGC}"
    # Two files at a time, as Spark leaves half a core or more idle, the long ones first; ARGS=-n0 for one.
    AVLIB_CHECKED=$times python -m pytest -p tests.times -n 2 --dist loadfile --no-loadscope-reorder "$@" || exit
fi
[ -z "$failed" ]
