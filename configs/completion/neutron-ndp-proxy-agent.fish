# Completion of neutron-ndp-proxy-agent(8) for fish. Commands and options are those that
# the program lists itself, with -h.

# What the program says of the command that stands on the line, or of itself.
function __neutron_ndp_proxy_agent_help
    set -l words (commandline -opc)
    set -l command
    if set -q words[2]; and not string match -q -- '-*' $words[2]
        set command $words[2]
    end
    $words[1] $command -h 2>&1
end

function __neutron_ndp_proxy_agent_commands
    set -l words (commandline -opc)
    test (count $words) -eq 1; or return
    __neutron_ndp_proxy_agent_help | string replace -rf '^  ([a-z][a-z-]*) +(.*)$' '$1\t$2'
end

# The name of the value that the option before the cursor takes, if it takes one.
function __neutron_ndp_proxy_agent_value
    set -l words (commandline -opc)
    set -l option (string replace -rf -- '^--?([a-z-]+)$' '$1' $words[-1]); or return 1
    __neutron_ndp_proxy_agent_help | string replace -rf -- "^  -$option ([a-z]+)\$" '$1'
end

function __neutron_ndp_proxy_agent_options
    set -l name
    for line in (__neutron_ndp_proxy_agent_help)
        if string match -qr '^  -' -- $line
            set name (string replace -r -- '^  -([a-z-]+).*' '--$1' $line)
        else if set -q name[1] # the line behind says what it does
            printf '%s\t%s\n' $name (string trim -- $line)
            set -e name[1]
        end
    end
end

function __neutron_ndp_proxy_agent_complete
    switch (__neutron_ndp_proxy_agent_value)
        case file path
            __fish_complete_path (commandline -ct)
        case directory
            __fish_complete_directories (commandline -ct)
        case namespace
            for path in /run/netns/*
                string replace -- /run/netns/ '' $path
            end
        case ''
            if string match -q -- '-*' (commandline -ct)
                __neutron_ndp_proxy_agent_options
            else
                __neutron_ndp_proxy_agent_commands
            end
    end
end

complete -c neutron-ndp-proxy-agent -f -a '(__neutron_ndp_proxy_agent_complete)'
