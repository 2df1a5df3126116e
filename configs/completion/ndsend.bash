# shellcheck shell=bash
# Completion of ndsend(8) for bash; needs no bash-completion.
# Names of interfaces and namespaces are never expanded: they may hold anything.

# _ndsend_offer CURRENT: of the lines of standard input, those that begin so.
_ndsend_offer() {
    local name
    while IFS= read -r name; do
        if [[ -n $name && $name == "$1"* ]]; then
            [[ $name == *[!A-Za-z0-9_.,+:@-]* ]] && printf -v name %q "$name"
            COMPREPLY+=("$name")
        fi
    done
}

# _ndsend_interfaces NAMESPACE: of that one (a name or a path), or of this one.
_ndsend_interfaces() {
    local command=(ip)
    case $1 in
        '') ;;
        */*) command=(nsenter "--net=$1" ip) ;;
        *) command=(ip -n "$1") ;;
    esac
    "${command[@]}" -o link show 2>/dev/null | LC_ALL=C sed -nE 's/^[0-9]+: ([^ ]+): .*/\1/; t name; d; :name; s/@[^@]*$//; p'
}

_ndsend_namespaces() {
    local path
    for path in /run/netns/*; do
        [[ -e $path ]] && printf '%s\n' "${path##*/}"
    done
}

# _ndsend_trim CURRENT: bash puts an answer in the place of what it takes for the
# last word, and that begins behind a colon or = in CURRENT, or with an @.
_ndsend_trim() {
    local break before prefix=''
    for break in : = @; do
        [[ $COMP_WORDBREAKS == *"$break"* && $1 == *"$break"* ]] || continue
        before=${1%"$break"*}
        [[ $break == @ ]] || before+=$break
        ((${#before} > ${#prefix})) && prefix=$before
    done
    [[ -z $prefix ]] || COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}

_ndsend() {
    COMPREPLY=()
    # Our own words: those of bash are cut at the colons of an address.
    local line=${COMP_LINE:0:COMP_POINT} words=() current='' netns='' option='' given=0 word
    read -ra words <<<"$line"
    if [[ $line != *[[:space:]] ]]; then
        current=${words[-1]}
        unset 'words[-1]'
    fi
    for word in "${words[@]:1}"; do
        if [[ -n $option ]]; then # the value of the one before
            [[ $option == netns ]] && netns=$word
            option=''
            continue
        fi
        case $word in
            -n | --netns) option=netns ;;
            --netns=*) netns=${word#*=} ;;
            -n?*) netns=${word#-n} ;;
            -f | --flags) option=flags ;;
            -[cirs] | --count | --interval | --rate | --source) option=other ;;
            -?*) ;;
            *) given=$((given + 1)) ;;
        esac
    done
    case $current in
        --netns=* | --flags=*) option=${current%%=*} option=${option#--} current=${current#*=} ;;
    esac
    case $option in
        netns)
            if [[ $current == */* ]]; then
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -f -- "$current")
            else
                _ndsend_offer "$current" < <(_ndsend_namespaces)
            fi
            _ndsend_trim "$current"
            return
            ;;
        flags)
            _ndsend_offer "$current" <<<$'override\nrouter\noverride,router\nnone'
            return
            ;;
        other) return ;;
    esac
    if [[ $current == -?* ]]; then
        _ndsend_offer "$current" <<<$'--netns\n--count\n--interval\n--rate\n--source\n--flags\n--dry-run\n--verify\n--json\n--help\n--version\n-n\n-c\n-i\n-r\n-s\n-f\n-h'
    elif ((given > 0)); then
        _ndsend_offer "$current" < <(_ndsend_interfaces "$netns")
        _ndsend_trim "$current"
    fi
}

complete -F _ndsend ndsend
