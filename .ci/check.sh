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
    AVLIB_CHECKED=$times python -m pytest -p tests.times "$@" || exit
fi
[ -z "$failed" ]
