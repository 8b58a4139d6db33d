# shellcheck shell=bash
# Things that take long to make and stay the same are made once and kept in the
# folder $cache. Remove it to start afresh.

# find_cache says which folder that is, and makes it.
find_cache() {
    cache=${HAPROXY_REAPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/haproxy-reaper}
    mkdir -p "$cache"
}

# cached NAME [ARG...]: prints the folder that scripts/recipes/NAME filled, which
# gets the folder and the ARGs. It is filled anew when the recipe or an ARG
# changes; what was half made is never used. Fails when the recipe does.
cached() {
    local recipe=scripts/recipes/$1 key dir
    key=$({ cat "$recipe" && echo "${@:2}"; } | sha256sum | cut -c 1-12)
    dir=$cache/$1-$key
    if [[ ! -d $dir ]]; then
        echo "making $dir" >&2
        rm -rf "$dir.part"
        mkdir -p "$dir.part"
        "$recipe" "$dir.part" "${@:2}" >&2 || return 1
        mv -T "$dir.part" "$dir"
    fi
    echo "$dir"
}

# need NAME [ARG...]: the same, and the end where it cannot be had.
need() { cached "$@" || fail "scripts/recipes/$* failed"; }
