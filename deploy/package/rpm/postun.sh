#!/bin/sh
# %postun: $1 is how many versions are left. Of an upgrade this comes last, with
# the new files in place: what runs is restarted, but for a pass that is under
# way. Removed, it exports nothing more. A .rpm knows no purge: the counters in
# /var/lib/haproxy-reaper stay, and a changed configuration as .rpmsave.

if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    if [ "$1" -ge 1 ]; then
        systemctl try-restart haproxy-reaper.timer haproxy-reaper-serve.socket haproxy-reaper-serve.service >/dev/null 2>&1 || :
    else
        systemctl reset-failed 'haproxy-reaper*' >/dev/null 2>&1 || :
    fi
fi
if [ "$1" -eq 0 ]; then
    rm -f /var/lib/prometheus/node-exporter/haproxy-reaper.prom
    rm -rf /run/haproxy-reaper
fi
