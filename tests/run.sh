#!/usr/bin/env bash
# Installs what the tests need, then runs every test. Arguments go to `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh

ensure_installed redis-server haproxy zookeeper prometheus iproute2 nftables
exec cargo test --locked "$@"
