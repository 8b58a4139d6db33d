#!/usr/bin/env bash
# inside.sh DIR: the demo itself. scripts/demo runs it as the first process of
# namespaces of its own, so whatever it starts ends with it.
set -euo pipefail
. scripts/lib/say.sh
cd "$1"
trap 'exit 130' INT TERM

# A host of its own: loopback, /run, the agent's lock, state and configuration.
ip link set lo up 2>/dev/null || fail "no loopback"
mount -t tmpfs tmpfs /run
mkdir state
