# bash completion for weir(1)
_weir()
{
    local word=$2 before=$3
    case $before in
    --io) mapfile -t COMPREPLY < <(compgen -W 'auto uring epoll' -- "$word") && return ;;
    --io-level) mapfile -t COMPREPLY < <(compgen -W '6.1' -- "$word") && return ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W 'debug info warn error' -- "$word") && return ;;
    -c | --config | --password-file) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
    -d | --data) mapfile -t COMPREPLY < <(compgen -d -- "$word") && return ;;
    -n | --cores | -p | --redis-port | --kafka-port | --advertise | -l | --listen | --spin) COMPREPLY=() && return ;;
    esac
    local words='serve trace --help --version'
    case ${COMP_WORDS[1]} in
    serve)
        words='--cores --data --redis-port --kafka-port --advertise --listen --config --password-file --insecure --io --io-level --spin
            --busy-poll --pin --no-steal --log-level --help --version'
        ;;
    trace)
        mapfile -t COMPREPLY < <(compgen -f -X '!*.trace' -- "$word")
        return
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o filenames -F _weir weir
