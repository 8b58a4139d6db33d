#!/bin/sh
# %preun: $1 is how many versions will be left. The removal of the last stops and
# disables all units, whoever enabled them.

if [ "$1" -eq 0 ]; then
    for file in /usr/lib/systemd/system/haproxy-reaper*; do
        set -- "$@" "${file##*/}"
    done
    shift
    if [ -d /run/systemd/system ]; then
        systemctl stop "$@" >/dev/null 2>&1 || :
    fi
    systemctl --quiet --no-reload disable "$@" >/dev/null 2>&1 || :
fi
