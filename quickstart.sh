#!/usr/bin/env bash
# The whole pipeline, small, on photographs that come with the dependencies or on yours: four GANs,
# three classifiers that tell their images apart, an attack, an unknown source, images attributed,
# and a page that shows it. Makes its own virtual environment (.venv).
#   bash quickstart.sh [--full] [--data FOLDER] [OUTPUT_FOLDER]     default: quickstart_output
#   bash quickstart.sh --version
# Five to nine minutes on two CPU cores, of which one or two go into the installation; --full
# trains three times as long or more. After an interruption the same command goes on where it was.
set -eu
project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$project/.ci/setup_venv.sh"
flags=() out=''
while [ $# -gt 0 ]; do
    case $1 in
        --version) say_version "$project" ;;
        -h | --help) sed -n '2,9s|^# ||p' "${BASH_SOURCE[0]}"; exit ;;
        --full) flags+=(--full) ;;
        --data) [ $# -gt 1 ] || { echo "quickstart.sh: --data needs a folder of photos" >&2; exit 2; }
            flags+=(--data "$(realpath -m -- "$2")") && shift ;;
        -*) echo "quickstart.sh: unknown option $1; see --help" >&2; exit 2 ;;
        *) [ -z "$out" ] || { echo "quickstart.sh: one folder, not two; see --help" >&2; exit 2; }
            out=$1 ;;
    esac
    shift
done
out=${out:-quickstart_output}
mkdir -p "$out" || fail "$out: cannot be made"
out=$(cd "$out" && pwd)
setup_venv "$project" requirements.txt
exec "$python" "$project/experiments/quickstart.py" "$out" "${flags[@]}"
