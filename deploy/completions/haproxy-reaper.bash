# shellcheck shell=bash
# Completion of haproxy-reaper in bash. Made from haproxy-reaper.bash.tmpl and the tables of
# --help: go test ./cmd/haproxy-reaper/agent -run AsPublished -update

_haproxy_reaper() {
    local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} command="" given
    # bash takes --option=word apart at the =.
    if [[ $word == = ]]; then
        word=""
    elif [[ $option == = ]]; then
        option=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for given in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $given in
        status | reap | serve | check | version) command=$given ;;
        esac
    done

    COMPREPLY=()
    case $option in
    --deadline) return ;;
    --deadline-for) return ;;
    --deadline-jitter) return ;;
    --hard-deadline) return ;;
    --active-within) return ;;
    --empty-after) return ;;
    --idle-after) return ;;
    --max-residual) return ;;
    --min-available-memory) return ;;
    --drain-rate) return ;;
    --drain-timeout) return ;;
    --kill-after) return ;;
    --max-terminations) return ;;
    --settle) return ;;
    --pass-timeout) return ;;
    --instance) return ;;
    --exe) return ;;
    --config)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --from)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    -o | --output)
        mapfile -t COMPREPLY < <(compgen -W 'text json none' -- "$word")
        return
        ;;
    --textfile)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --state-dir)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
        ;;
    --master-socket)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --log.level)
        mapfile -t COMPREPLY < <(compgen -W 'debug info warn error' -- "$word")
        return
        ;;
    --log.format)
        mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$word")
        return
        ;;
    --interval) return ;;
    --web.listen-address) return ;;
    --web.config.file)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac

    if [[ $word == -* ]]; then
        local options="-n --dry-run -y --yes --deadline --deadline-for --deadline-jitter --hard-deadline --active-within --empty-after --idle-after --max-residual --min-available-memory --drain-rate --drain-timeout --kill-after --max-terminations --settle --pass-timeout --instance --exe --config --clients --from -o --output --textfile --state-dir --master-socket --log.level --log.format -h --help"
        if [[ $command == serve ]]; then
            options+=" --interval --web.listen-address --web.config.file --web.systemd-socket"
        fi
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'status reap serve check version' -- "$word")
    fi
}

complete -F _haproxy_reaper haproxy-reaper
