# shellcheck shell=bash
# Where Debian's packages come from: the same archives as this machine's apt,
# so that a machine with a mirror of its own needs no second one.

# mirrors SUITE [SUFFIX...]: prints a source line for each archive of Debian's
# that apt knows, with the host's release name changed to SUITE. With SUFFIXes
# only the archives whose name has one of them after the release ("" is the
# main archive); without, all that the host has (-security, -updates).
mirrors() {
    local suite=$1 host
    shift
    host=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016 # apt expands these
    apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
        awk -v host="$host" -v suite="$suite" -v all="$#" -v wanted=" $(printf '<%s> ' "$@")" '
            $1 == "Debian" && $2 == "main" && index($4, host) == 1 {
                suffix = substr($4, length(host) + 1)
                if (all == 0 || index(wanted, "<" suffix ">"))
                    print "deb", $3, suite suffix, "main"
            }' | sort -u
}

# need_mirrors: stops where apt knows no archive of Debian's.
need_mirrors() {
    [[ -n $(mirrors any) ]] || fail "apt knows no archive of Debian's; is this a Debian machine?"
}
