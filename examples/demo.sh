#!/usr/bin/env bash
# Installs what is missing, builds, and shows a failover: `redis-keeper demo`. With --full: on ZooKeeper, three keepers, and
# HAProxy in front. Debian's own services are not started.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh

needed=(redis-server)
if [ -n "$(command -v valkey-server)" ]; then
    needed=()
fi
case "$*" in
    "") ;;
    --full) needed+=(haproxy zookeeper) ;;
    *) echo "Usage: $0 [--full]" >&2 && exit 64 ;;
esac
ensure_installed "${needed[@]}"
cargo build --profile demo --locked --bins
exec "${CARGO_TARGET_DIR:-target}/demo/redis-keeper" demo "$@"
