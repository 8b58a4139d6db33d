#!/bin/sh
# postrm: removed, it exports nothing more; purged, nothing of it is left.
set -e

case $1 in
remove | purge)
    # The metrics. dpkg removes the link to them. It removes no file of another package.
    rm -f /run/haproxy-reaper/haproxy-reaper.prom /var/lib/prometheus/node-exporter/haproxy-reaper.prom
    # Installed again, the timer is enabled as it was the first time.
    if [ -x /usr/bin/deb-systemd-helper ]; then
        deb-systemd-helper purge haproxy-reaper.timer >/dev/null || true
        deb-systemd-helper unmask haproxy-reaper.timer >/dev/null || true
    fi
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        systemctl reset-failed 'haproxy-reaper*' >/dev/null 2>&1 || true
    fi
    ;;
esac

if [ "$1" = purge ]; then
    rm -rf /etc/haproxy-reaper /var/lib/haproxy-reaper /run/haproxy-reaper
fi
