# shellcheck shell=bash
# Completion of neutron-ndp-proxy-agent(8) for bash; needs no bash-completion.
# Commands and options are those that the program lists itself, with -h.

_neutron_ndp_proxy_agent() {
    COMPREPLY=()
    local program=$1 current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' line name value='' commands=() options=()
    [[ $current == = ]] && current='' # right behind --option=, which bash cuts in three
    [[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
    if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} != -* ]]; then
        command=${COMP_WORDS[1]}
    fi
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        case $line in
            '  -'*)
                line=${line#  -}
                name=${line%% *}
                options+=("--$name")
                [[ $previous == "--$name" || $previous == "-$name" ]] && value=${line#"$name"}
                ;;
            '  '[a-z]*)
                line=${line#  }
                commands+=("${line%% *}")
                ;;
        esac
    done < <("$program" ${command:+"$command"} -h 2>&1 </dev/null)
    case ${value# } in
        '') ;;
        file | path)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
        directory)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$current")
            return
            ;;
        namespace)
            for name in /run/netns/*; do
                name=${name##*/}
                [[ -e /run/netns/$name && $name == "$current"* ]] && printf -v name %q "$name" && COMPREPLY+=("$name")
            done
            return
            ;;
        *) return ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${options[*]}" -- "$current")
    elif ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "${commands[*]}" -- "$current")
    fi
}

complete -F _neutron_ndp_proxy_agent neutron-ndp-proxy-agent
