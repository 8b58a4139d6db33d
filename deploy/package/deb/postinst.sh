#!/bin/sh
# postinst: the first installation enables and starts the timer, as debhelper's
# own scripts do; an upgrade leaves enabled what was, and restarts what runs.
set -e

case $1 in
configure | abort-upgrade | abort-deconfigure | abort-remove) ;;
*) exit 0 ;;
esac

if ! getent passwd haproxy >/dev/null; then
    SYSTEMD_LOG_LEVEL=warning systemd-sysusers haproxy-reaper.conf
    echo "haproxy-reaper: there was no user haproxy, and now there is: where HAProxy's workers run as another one, see /usr/share/haproxy-reaper/systemd/other-user.conf"
fi
systemd-tmpfiles --create haproxy-reaper.conf || true

# Nothing is remembered of the timer: the first installation, or the first since
# a removal, for which dpkg names a version in $2 too.
first=no
deb-systemd-helper debian-installed haproxy-reaper.timer || first=yes

deb-systemd-helper unmask haproxy-reaper.timer >/dev/null || true
# It was, too, when nobody has decided yet.
if deb-systemd-helper --quiet was-enabled haproxy-reaper.timer; then
    deb-systemd-helper enable haproxy-reaper.timer >/dev/null || true
else
    deb-systemd-helper update-state haproxy-reaper.timer >/dev/null || true
fi

[ -d /run/systemd/system ] || exit 0
systemctl --system daemon-reload >/dev/null || true
if [ $first = yes ]; then
    deb-systemd-invoke start haproxy-reaper.timer >/dev/null || true
else
    # A pass that is under way ends by itself.
    systemctl try-restart haproxy-reaper.timer >/dev/null || true
    for unit in haproxy-reaper-serve.socket haproxy-reaper-serve.service; do
        if [ -e "/usr/lib/systemd/system/$unit" ]; then
            systemctl try-restart "$unit" >/dev/null || true
        fi
    done
fi
