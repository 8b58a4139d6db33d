#!/bin/sh
# %post: $1 is how many versions are installed now. The first installation does
# as the presets say; ours enables the timer, and one in /etc has the last word.

if ! getent passwd haproxy >/dev/null; then
    if SYSTEMD_LOG_LEVEL=warning systemd-sysusers haproxy-reaper.conf; then
        echo "haproxy-reaper: there was no user haproxy, and now there is: where HAProxy's workers run as another one, see /usr/share/haproxy-reaper/systemd/other-user.conf"
    fi
fi
systemd-tmpfiles --create haproxy-reaper.conf || :

if [ "$1" -eq 1 ]; then
    systemctl --no-reload preset haproxy-reaper.timer >/dev/null 2>&1 || :
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload || :
        if systemctl --quiet is-enabled haproxy-reaper.timer; then
            systemctl start haproxy-reaper.timer || :
        fi
    fi
fi
