#!/usr/bin/env bash
# Checks style, types and tests, in a virtual environment that it makes itself (.venv, or $VENV).
#   bash run_tests.sh                      the quick tests
#   bash run_tests.sh --slow               all tests
#   bash run_tests.sh -k images            any other arguments go to pytest
#   bash run_tests.sh --version            which version this is
#   PYTHON=python3.12 bash run_tests.sh    with another Python, 3.11 to 3.13
set -u
project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$project/.ci/setup_venv.sh"

tests="not slow"
case ${1:-} in
    --version) say_version "$project" ;;
    -h | --help) sed -n '2,7s|^# ||p' "$0"; exit ;;
    --slow) tests="" && shift ;;
esac

check() {
    echo "== $*"
    "$python" -m "$@" || failed+=", $*"
}

setup_venv "$project" requirements-dev.txt
cd "$project" || exit
failed=""
check ruff check
check ruff format --check
check mypy
echo "== pytest"
"$python" -m pytest -m "$tests" --numprocesses 2 --dist loadfile \
    --no-loadscope-reorder "$@"
status=$?

if [ -n "$failed" ]; then
    echo "failed: ${failed#, } (see above)"
    [ $status -ne 0 ] || status=1
fi
exit $status
