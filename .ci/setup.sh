#!/bin/sh
# Set up this clone, then run a command inside its environment:  .ci/setup.sh [COMMAND…]
#
# Finds Python 3.11+ and Java 17+ (Java is installed through apt where that is possible), and makes .venv
# (.ci/environment.py). When all that is done already it costs less than a second.
#   PYTHON       the Python to use instead of the first fitting one on the PATH
#   AVLIB_CACHE  where the dependencies go, shared by all clones (default ~/.cache/avlib)
set -eu
cd "$(dirname "$0")/.."

fail() {
    printf 'set-up: %s\n' "$@" >&2
    exit 1
}

# apt_install PACKAGE…: false where there is no apt or no right to use it.
apt_install() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -eq 0 ]; then as_root=env
    elif sudo -n true 2>/dev/null; then as_root='sudo -n env'
    else return 1
    fi
    echo "set-up: apt-get install $*" >&2
    $as_root DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null >&2 || true # a stale list may still do
    $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
}

is_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if is_python "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# The major version of a java command; 1.8 counts as 1. 0 where it does not run.
java_major() {
    major=$("$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    echo "${major:-0}"
}

# Prints the home of a Java 17+ that is not the one Spark would take by itself (JAVA_HOME, else PATH);
# nothing where that one is good.
find_java() {
    if [ "$(java_major "${JAVA_HOME:+$JAVA_HOME/bin/}java")" -ge 17 ]; then return; fi
    for candidate in "$(command -v java || true)" /usr/lib/jvm/*/bin/java \
        /Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java /opt/homebrew/opt/openjdk*/bin/java; do
        if [ -x "$candidate" ] && [ "$(java_major "$candidate")" -ge 17 ]; then
            real=$(readlink -f "$candidate")
            echo "${real%/bin/java}"
            return
        fi
    done
    return 1
}

python=$(find_python) || fail "${PYTHON:+$PYTHON is not Python 3.11 or newer. }avlib needs Python 3.11 or newer:" \
    "    sudo apt-get install -y python3 python3-venv      (Debian 12, Ubuntu 24.04 or newer)" \
    "    brew install python@3.12                          (macOS)" \
    "or name one that is not on the PATH:  make demo PYTHON=/path/to/python3.12"

"$python" -c 'import venv, ensurepip' 2>/dev/null || apt_install python3-venv ||
    fail "$python cannot make virtual environments; type:" "    sudo apt-get install -y python3-venv"

java_home=$(find_java) || {
    apt_install openjdk-17-jre-headless || apt_install openjdk-21-jre-headless || true
    java_home=$(find_java)
} || fail "Spark needs Java 17 or newer and none was found; type:" \
    "    sudo apt-get install -y openjdk-17-jre-headless   (Debian 12, Ubuntu; openjdk-21-jre-headless on Debian 13)" \
    "    brew install openjdk@17                           (macOS)" \
    "or point JAVA_HOME to one."
if [ -n "$java_home" ]; then export JAVA_HOME="$java_home"; fi

"$python" .ci/environment.py install

PATH="$PWD/.venv/bin:$PATH"
export PATH
[ $# -eq 0 ] || exec "$@"
