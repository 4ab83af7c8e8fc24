# shellcheck shell=bash
# Installs servers that the tests and the demo start by themselves. Source this file, then call:
# ensure_installed redis-server …
#
# The function skips programs that are installed already. Debian starts a service when its package is installed. These
# services must not run, so the function denies the start during the installation.

# Debian keeps daemons out of the path of ordinary users.
export PATH="$PATH:/usr/sbin:/sbin"

# is_installed NAME: redis-server, haproxy, zookeeper, prometheus, iproute2, nftables or python3-pip
is_installed() {
    case $1 in
        zookeeper) command -v java >/dev/null && [ -e /usr/share/java/zookeeper.jar ] ;;
        # The tests use only the tool promtool, which checks alarms; no Prometheus server runs.
        prometheus) command -v promtool >/dev/null ;;
        iproute2) command -v ip >/dev/null ;;
        nftables) command -v nft >/dev/null ;;
        python3-pip) python3 -m pip --version >/dev/null 2>&1 ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# ensure_installed NAME...
ensure_installed() {
    local name
    local packages=()
    for name in "$@"; do
        is_installed "$name" && continue
        case $name in
            # The server is a jar. Another package only adds a service to the jar, and is not needed.
            zookeeper) packages+=(libzookeeper-java default-jre-headless) ;;
            *) packages+=("$name") ;;
        esac
    done
    [ ${#packages[@]} -gt 0 ] || return 0

    local as_root=()
    if ! command -v apt-get >/dev/null; then
        echo "Missing: ${packages[*]} (names of Debian packages). Install them, then run this again." >&2
        return 1
    elif [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Missing: ${packages[*]}. As root, run: apt-get install ${packages[*]}; then run this again." >&2
            return 1
        fi
        as_root=(sudo)
    fi
    echo "Installing ${packages[*]}" >&2
    "${as_root[@]}" bash -s -- "${packages[@]}" <<'AS_ROOT'
set -euo pipefail
deny=/usr/sbin/policy-rc.d
if [ ! -e "$deny" ]; then
    trap 'rm -f "$deny"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$deny"
    chmod 755 "$deny"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null
apt-get install -y -qq --no-install-recommends "$@" </dev/null
AS_ROOT
}
