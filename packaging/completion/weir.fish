# Completion of weir's command line for fish. Commands, options and what they
# take are read from `weir -h`, names from the running weir's /metrics.
#
# SPDX-License-Identifier: MIT

# Of each command a line: its name, its arguments, what it does.
function __weir_commands
    weir -h 2>/dev/null | awk '
    function out() { if (name != "") print name "\t" args "\t" does }
    /^  weir (\[[^]]*\] )*[a-z]/ {
        out()
        sub(/^  weir (\[[^]]*\] )*/, "")
        split($0, part, /  +/)
        name = args = part[1]; does = part[2]
        sub(/ .*/, "", name); sub(/^[^ ]* ?/, "", args)
        next
    }
    /^      / && name != "" && does == "" {
        sub(/^ +/, "")
        if (/^[[]/) args = args " " $0; else does = $0
        next
    }
    { out(); name = "" }
    END { out() }'
end

# The command line up to the cursor, read: sets __weir_run (what runs weir),
# __weir_command, __weir_usage, __weir_takes (an option that wants a value) and
# __weir_plain (arguments).
function __weir_read
    set -g __weir_run weir
    set -g __weir_command
    set -g __weir_usage
    set -g __weir_takes
    set -g __weir_plain
    for word in (commandline -opc)[2..-1]
        if test -n "$__weir_takes"
            if test -z "$__weir_command"
                set -a __weir_run $__weir_takes $word
            end
            set __weir_takes
            continue
        end
        switch $word
            case -c --config --admin
                set __weir_takes $word
            case '-*'
                if __weir_value $word >/dev/null
                    set __weir_takes $word
                end
            case '*'
                if test -z "$__weir_command"
                    set __weir_command $word
                    set __weir_usage (__weir_commands |
                        awk -F '\t' -v c=$word '$1 == c { print $2 }')
                else
                    set -a __weir_plain $word
                end
        end
    end
end

# The value that an option wants by the usage, if any: is there one?
function __weir_value -a option
    string match -rq "(?:^|[ [])$option (?<value>[^][ |-][^] ]*)" \
        -- "$__weir_usage"; and echo $value
end

# Values of a label in /metrics; of that upstream only, if it is named.
function __weir_labels -a label of
    set -l where weir_endpoint_up
    if test -n "$of"
        set where "upstream=\"$of\""
    end
    $__weir_run get /metrics 2>/dev/null | grep '^weir_endpoint_up{' |
        grep -F -- $where |
        sed -n "s/.*[{,]$label=\"\([^\"]*\)\".*/\1/p" | sort -u
end

# What an argument or a value is called in the usage, turned into words.
function __weir_words
    switch "$argv[1]"
        case 'UPSTREAM*'
            __weir_labels upstream
        case ENDPOINT
            __weir_labels endpoint $__weir_plain[1]
        case ID
            $__weir_run get /connections 2>/dev/null |
                grep -o '"id": *[0-9]*' | tr -dc '0-9\n'
        case LEVEL
            printf '%s\n' error warn info debug
        case PATH
            printf '%s\n' /config /connections /dns /drift /healthz /metrics \
                /readyz /slow /stats
        case '*'
            if string match -qr '[a-z0-9]' -- "$argv[1]"
                string split '|' -- $argv[1]
            end
    end
end

function __weir_complete
    __weir_read
    if contains -- "$__weir_takes" -c --config
        __fish_complete_path (commandline -ct)
    else if test "$__weir_takes" = --admin
    else if test -n "$__weir_takes"
        __weir_words (__weir_value $__weir_takes)
    else if test -z "$__weir_command"
        __weir_commands | awk -F '\t' '{ print $1 "\t" $3 }'
        printf '%s\n' -c --config --admin -t -h --help -V --version
    else
        set -l left (string replace -ra '(^|[ [])--[a-z-]+( [^][ |-][^] ]*)?' \
            ' ' -- $__weir_usage |
            string replace -ra '[][]' '' | string match -ra '\S+')
        set -l next (math (count $__weir_plain) + 1)
        if test $next -le (count $left)
            __weir_words $left[$next]
        end
        string match -ra -- '--[a-z][a-z-]*' $__weir_usage
    end
end

complete -c weir -f -a '(__weir_complete)'
