# Sourced by run_tests.sh and quickstart.sh: a virtual environment with what a requirements file
# lists. $VENV names its folder (default: .venv in the project), $PYTHON the interpreter.

set -o pipefail

fail() {
    echo "error: $*" >&2
    exit 2
}

# Prints the version of the project in the folder $1, and ends.
say_version() {
    sed -n 's/^__version__ = "\(.*\)"/gan-fingerprints \1/p' "$1/gan_fingerprints/version.py"
    exit
}

# "3.12"; nothing when the interpreter $1 does not run or lacks the module $2.
python_version() {
    "$1" -c "import sys, $2; print('%d.%d' % sys.version_info[:2])" 2>/dev/null || true
}

is_supported() {
    case $1 in 3.11 | 3.12 | 3.13) true ;; *) false ;; esac
}

# Sets $base_python and $version: $PYTHON if given, else the first suitable one found.
find_python() {
    local candidates=(python3 python3.13 python3.12 python3.11) found=""
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for base_python in "${candidates[@]}"; do
        version=$(python_version "$base_python" sys)
        if is_supported "$version"; then return; fi
        found+="${version:+, $base_python is $version}"
    done
    found=${found#, }
    fail "Python 3.11, 3.12 or 3.13 is needed (tried ${candidates[*]}; found ${found:-none});" \
        "install one, or name it: PYTHON=/path/to/python3.12 bash $0"
}

# Makes $1, or makes it anew when it cannot be used. A folder that $VENV names is never emptied.
make_venv() {
    if [ -n "${VENV:-}" ] && [ -n "$(ls -A "$1" 2>/dev/null)" ]; then
        fail "VENV=$VENV holds no virtual environment with Python $version and pip:" \
            "name another folder, or remove it"
    fi
    echo "Making a virtual environment with Python $version in $1"
    "$base_python" -m venv --clear "$1" ||
        fail "no virtual environment; on Debian and Ubuntu try: apt install python3-venv"
}

# Shows pip's output on one line of a terminal, overwriting it; only errors stay.
show_progress() {
    local line
    while IFS= read -r line; do
        case $line in
            ERROR* | error*) echo "$line" >&2 ;;
            Collecting* | *Downloading* | Installing*) [ -t 1 ] && printf '\r\033[K%.78s' "$line" ;;
        esac
    done
    [ ! -t 1 ] || printf '\r\033[K'
}

# setup_venv PROJECT REQUIREMENTS: sets $python to an interpreter with PROJECT/REQUIREMENTS
# installed. Quick when that was done before and no requirements file has changed since.
setup_venv() {
    local venv=${VENV:-$1/.venv} start=$SECONDS hash
    hash=$(cat "$1"/requirements*.txt | cksum)
    version=$(python_version "$venv/bin/python" pip)
    if [ -n "${PYTHON:-}" ] || ! is_supported "$version"; then
        local existing=$version
        find_python
        [ "$version" = "$existing" ] || make_venv "$venv"
    fi
    venv=$(cd "$venv" && pwd)
    python=$venv/bin/python
    if [ "$hash" = "$(cat "$venv/.installed-$2" 2>/dev/null)" ]; then
        return
    fi
    echo "Installing $2 in $venv: 2.6 GB, a minute or more"
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$python" -m pip install -r "$1/$2" 2>&1 |
        tee "$venv/pip.log" | show_progress ||
        fail "pip could not install $2; all it said is in $venv/pip.log"
    echo "$hash" >"$venv/.installed-$2"
    echo "Installed in $((SECONDS - start)) s"
}
