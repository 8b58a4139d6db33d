#!/bin/sh
# prerm: a removal stops and disables all units, whoever enabled them.
set -e

[ "$1" = remove ] || exit 0
for file in /usr/lib/systemd/system/haproxy-reaper*; do
    set -- "$@" "${file##*/}"
done
shift
if [ -d /run/systemd/system ]; then
    systemctl stop "$@" >/dev/null || true
fi
systemctl --quiet --no-reload disable "$@" >/dev/null 2>&1 || true
