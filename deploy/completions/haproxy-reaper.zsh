#compdef haproxy-reaper
# Completion of haproxy-reaper in zsh. Made from haproxy-reaper.zsh.tmpl and the tables of
# --help: go test ./cmd/haproxy-reaper/agent -run AsPublished -update

_haproxy_reaper() {
    local -a commands options of_serve
    commands=(
        'status:inspect and print; never signals, never writes, never waits (the default)'
        'reap:one pass: inspect, decide, terminate what is due, report'
        'serve:run reap every --interval, and serve its metrics and a page over HTTP'
        'check:preflight: privileges, kernel, HAProxy'\''s configuration; changes nothing'
        'version:print the version'
    )
    options=(
        '(-n --dry-run)'{-n,--dry-run}'[decide and report as usual, signal nobody; DRYRUN=1 does the same]'
        '(-y --yes)'{-y,--yes}'[reap without asking]'
        --deadline='[time since superseded at which a residual process is terminated; 0s = at once]:deadline:'
        '*'--deadline-for='[deadline of the client connections of a local port, such as 22=24h (repeatable)]:deadline-for:'
        --deadline-jitter='[put every deadline off by a part of this, always the same on one host]:deadline-jitter:'
        --hard-deadline='[spare a process past its deadline until this, while clients are active; off = spare none]:hard-deadline:'
        --active-within='[a client is active if a byte moved on its connection within this]:active-within:'
        --empty-after='[time since superseded at which one without client connections is terminated; off = never early]:empty-after:'
        --idle-after='[time without a byte on any client connection at which one is terminated; off = never early]:idle-after:'
        --max-residual='[terminate the oldest residual processes of an instance beyond so many; 0 = no limit]:max-residual:'
        --min-available-memory='[with less, terminate the one that frees most for each client, one a pass; 0 = never]:min-available-memory:'
        --drain-rate='[before SIGTERM close the clients'\'' connections one by one, so many a second; off = do not]:drain-rate:'
        --drain-timeout='[drain for at most this long; then SIGTERM]:drain-timeout:'
        --kill-after='[SIGKILL this long after SIGTERM; 0s = never]:kill-after:'
        --max-terminations='[terminate at most so many per instance and pass; 0 = no cap]:max-terminations:'
        --settle='[how long an unclear picture may take to clear before its instance is refused]:settle:'
        --pass-timeout='[a pass looks, decides and signals within this]:pass-timeout:'
        '*'--instance='[only this instance, by the name that status prints (repeatable)]:instance:'
        '*'--exe='[base name or absolute path of HAProxy'\''s executable (repeatable)]:exe:'
        --config='[NAME=value lines, the names being those of the variables]:config:_files'
        --clients'[status lists who holds each residual process, by peer and local port]'
        --from='[status decides again what -o json saved, under these flags; - = standard input]:from:_files'
        '(-o --output)'{-o+,--output=}'[what to print on standard output]:output:(text json none)'
        --textfile='[write metrics to this .prom file for node_exporter]:textfile:_files'
        --state-dir='[counters and first-seen times; unset = $STATE_DIRECTORY, else /var/lib/haproxy-reaper]:state-dir:_files -/'
        --master-socket='[master CLI; unset = found from the master'\''s arguments, none = not used]:master-socket:_files'
        --log.level='[the least severe messages to log]:log.level:(debug info warn error)'
        --log.format='[format of the log on standard error]:log.format:(text json)'
        '(- *)'{-h,--help}'[print a short help]'
    )
    of_serve=(
        --interval='[serve runs a pass this often]:interval:'
        '*'--web.listen-address='[where serve listens (repeatable)]:web.listen-address:'
        --web.config.file='[TLS and basic auth of serve, in the format of Prometheus'\''s exporter-toolkit]:web.config.file:_files'
        --web.systemd-socket'[serve listens on the sockets that systemd hands over, instead of --web.listen-address]'
    )
    if ((${words[(Ie)serve]})); then
        options+=($of_serve)
    fi
    _arguments -s $options '1:command:{_describe command commands}'
}

_haproxy_reaper "$@"
