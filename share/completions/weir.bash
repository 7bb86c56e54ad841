# bash completion for weir(1)
_weir()
{
    local word=$2 before=$3
    case $before in
    --io) mapfile -t COMPREPLY < <(compgen -W 'auto uring epoll' -- "$word") && return ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W 'error warning info debug' -- "$word") && return ;;
    --config) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
    --data) mapfile -t COMPREPLY < <(compgen -d -- "$word") && return ;;
    --cores | --redis-port | --listen | --io-level) COMPREPLY=() && return ;;
    esac
    local words='serve trace --help --version'
    case ${COMP_WORDS[1]} in
    serve) words='--cores --data --redis-port --listen --config --io --io-level --insecure --log-level --help --version' ;;
    trace) words='--help' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o filenames -F _weir weir
