# shellcheck shell=bash
# Debian packages: install what is missing, and touch apt only then.

export DEBIAN_FRONTEND=noninteractive
PATH=$PATH:/usr/sbin:/sbin # a plain su leaves them out

# A machine that has just been started may still be at its own updates.
apt=(apt-get -qq -o DPkg::Lock::Timeout=300)

# install_missing FILE=PACKAGE...: installs each package whose file is not
# there. A file is asked for, not the package, so that a tool that came here in
# another way will do. A name without a slash is looked up in PATH.
install_missing() {
    local pair file packages=()
    for pair in "$@"; do
        file=${pair%%=*}
        case $file in
        */*) [[ -e $file ]] ;;
        *) command -v "$file" >/dev/null ;;
        esac || packages+=("${pair#*=}")
    done
    ((${#packages[@]})) || return 0

    echo "installing: ${packages[*]}"
    "${apt[@]}" update
    without_starting_services "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null

    # Debian would start its own HAProxy at the next boot.
    if [[ " ${packages[*]} " == *" haproxy "* && -d /run/systemd/system ]]; then
        systemctl --quiet disable haproxy.service
    fi
}

# without_starting_services COMMAND...: runs COMMAND while packages may not
# start what they install; a test run must leave no service behind. A policy
# that the machine already has stays in force.
without_starting_services() {
    local policy=/usr/sbin/policy-rc.d status=0
    if [[ -e $policy ]]; then
        "$@"
        return
    fi
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    "$@" || status=$?
    rm -f "$policy"
    trap - EXIT
    return "$status"
}
