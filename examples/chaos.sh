#!/usr/bin/env bash
# Installs what the chaos run needs, then runs it: examples/chaos.sh --seed 4 --minutes 10. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh

ensure_installed redis-server haproxy zookeeper iproute2 nftables
exec cargo run --locked --release --example chaos -- "$@"
