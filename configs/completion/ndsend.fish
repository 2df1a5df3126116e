# Completion of ndsend(8) for fish.

# The namespace that the command line names.
function __ndsend_netns
    set -l words (commandline -opc)
    for i in (seq (count $words))
        switch $words[$i]
            case -n --netns
                set -q words[(math $i + 1)]; and echo $words[(math $i + 1)]
            case '--netns=*'
                string replace -- '--netns=' '' $words[$i]
            case '-n*' # after the others: the name is glued to it
                string sub -s 3 -- $words[$i]
        end
    end
end

function __ndsend_interfaces
    set -l netns (__ndsend_netns)
    set -l command ip
    if string match -q -- '*/*' $netns
        set command nsenter --net=$netns ip
    else if test -n "$netns"
        set command ip -n $netns
    end
    $command -o link show 2>/dev/null | string replace -r '^\d+: ([^ ]+): .*' '$1' | string replace -r '@[^@]*$' ''
end

function __ndsend_namespaces
    for path in /run/netns/*
        string replace -- /run/netns/ '' $path
    end
end

complete -c ndsend -f -a '(__ndsend_interfaces)' -d Interface
complete -c ndsend -s n -l netns -r -a '(__ndsend_namespaces)' -d 'Work in this network namespace'
complete -c ndsend -s c -l count -x -d 'Copies of each advertisement'
complete -c ndsend -s i -l interval -x -d 'Time between copies: seconds or a duration'
complete -c ndsend -s r -l rate -x -d 'Addresses a second, 0 for no limit'
complete -c ndsend -s s -l source -x -d 'Leave from this address of the interface'
complete -c ndsend -s f -l flags -x -a 'override router override,router none' -d 'Flags of the advertisements'
complete -c ndsend -l dry-run -d 'Send nothing; show what would leave'
complete -c ndsend -l verify -d 'Send nothing; tell whether the kernel would answer'
complete -c ndsend -l json -d 'One JSON object a line for each address'
complete -c ndsend -s h -l help -d 'Show a short help'
complete -c ndsend -l version -d 'Show the version'
