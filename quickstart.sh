#!/usr/bin/env bash
# The whole pipeline, small, on photographs that come with the dependencies: four GANs, the two
# classifiers that tell their images apart, an attack, an unknown source, and a page that shows it.
# Makes its own virtual environment (.venv).
#   bash quickstart.sh [--fast] [OUTPUT_FOLDER]     default: quickstart_output
# About a quarter of an hour on two CPU cores, with --fast about five minutes, of which one or two
# go into the installation. After an interruption the same command goes on where it was.
set -eu
project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fast='' out=''
for argument in "$@"; do
    case $argument in
        -h | --help) sed -n '2,7s|^# ||p' "${BASH_SOURCE[0]}"; exit ;;
        --fast) fast=--fast ;;
        -*) echo "quickstart.sh: unknown option $argument; see --help" >&2; exit 2 ;;
        *) [ -z "$out" ] || { echo "quickstart.sh: one folder, not two; see --help" >&2; exit 2; }
            out=$argument ;;
    esac
done
source "$project/.ci/setup_venv.sh"
out=${out:-quickstart_output}
mkdir -p "$out" || fail "$out: cannot be made"
out=$(cd "$out" && pwd)
setup_venv "$project" requirements.txt
exec "$python" "$project/experiments/quickstart.py" "$out" $fast
