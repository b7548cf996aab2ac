# fish completion for dpl and the dpl-* commands
#
# The options and what they take come from a command's own --help, so that nothing here has to follow
# them; the ids come from the ledger that the line names.

# Letter, long option, metavariable and description of each option, between bars.
function __dpl_options -a tool verb
    command -q $tool; or return
    command $tool --help 2>/dev/null | awk -v tool=$tool -v verb=$verb '
        { line = $0; sub(/^usage:/, "      ", line); split(line, word, " ") }
        /^(usage:|      )/ && word[1] == tool { gsub(/[][]/, "", word[2]); inside = word[2] == verb || (verb == "spawn" && word[2] == "run") }
        /^$/ { inside = 0 }
        inside { synopsis = synopsis line " " }
        /^  (-., |    )--/ {
            letter = substr($0, 3, 1) == "-" ? substr($0, 4, 1) : ""
            option = substr($0, 9) # behind the --
            long = option; sub(/[= ].*/, "", long)
            value = option; if (!sub("^" long "=", "", value)) value = ""; sub(/ .*/, "", value)
            about = option; sub(/^[^ ]* */, "", about)
            if (verb == "" || long ~ /^(help|version)$/ || index(synopsis, "[--" long "]") || index(synopsis, "[--" long " ") || index(synopsis, " --" long " ") ||
                letter != "" && match(synopsis, "[[ ]-[a-zA-Z]*" letter "[a-zA-Z]*[] ]"))
                print letter "|" long "|" value "|" about
        }'
end

# What a command prints, asked of the ledger and the operation that the line names.
function __dpl_ids
    command -q $argv[1]; or return
    set -l options
    set -l tokens (commandline -opc)
    for i in (seq (count $tokens))
        set -l value $tokens[(math $i + 1)]
        switch "$tokens[$i]"
            case -C --ledger
                set -a options -C (string replace -r '^~/' "$HOME/" -- $value)
            case '--ledger=*'
                set -a options -C (string replace -r '^--ledger=' '' -- $tokens[$i])
            case -o --operation
                contains $argv[1] dpl-call dpl-temp; and set -a options -o $value
            case '--operation=*'
                contains $argv[1] dpl-call dpl-temp; and set -a options -o (string replace -r '^--operation=' '' -- $tokens[$i])
        end
    end
    command $argv $options 2>/dev/null
end

function __dpl_operations -a which
    printf '%s\n' @ @@
    __dpl_ids dpl-show $which
end

# The paths among the temp resources; commands are removed by their number.
function __dpl_resources
    __dpl_ids dpl-temp list -q | string match -r '^/.*'
end

# What dpl-show is about: with --why a call, where the line has the operation already.
function __dpl_shown
    set -l tokens (commandline -opc)
    if contains -- --why $tokens; and string match -qr -- '^(-o|--operation(=.*)?)$' $tokens
        __dpl_ids dpl-call list -aq
    else
        __dpl_operations -aq
    end
end

# The subcommand of dpl-call, dpl-temp or dpl-sim that the line has, or none; options alone are those of run.
function __dpl_call_is
    set -l tokens (commandline -opc)
    set -l verb "$tokens[2]"
    string match -q -- '-*' $verb; and set verb run
    contains -- "$verb" $argv
end

# What follows a -- is a command line of its own.
function __dpl_has_command
    contains -- -- (commandline -opc)[2..]
end

function __dpl_command
    set -l tokens (commandline -opc)
    set -l at (contains -i -- -- $tokens)
    set -l line ''
    test $at -eq (count $tokens); or set line (string escape -- $tokens[(math $at + 1)..])' '
    complete -C "$line"(commandline -ct)
end

function __dpl_commands
    command -q dpl; or return
    command dpl 2>/dev/null | string replace -rf '^dpl-(\S+)\s+(.*)$' '$1\t$2'
end

# The rest of `dpl X …` is completed as that of `dpl-X …`.
function __dpl_delegate
    set -l tokens (commandline -opc)
    set -l line dpl-(string escape -- $tokens[2])
    test (count $tokens) -lt 3; or set line $line (string escape -- $tokens[3..])
    complete -C "$line "(commandline -ct)
end

function __dpl_register -a tool verb
    set -l where
    test -z "$verb"; or set where -n "__dpl_call_is $verb"
    for option in (__dpl_options $tool $verb)
        set -l part (string split '|' -- $option)
        set -l spec -l $part[2] -d "$part[4]"
        test -z "$part[1]"; or set -a spec -s $part[1]
        test -z "$part[3]"; or set -a spec -x
        switch "$part[2]-$part[3]"
            case 'id-*'
            case '*-LEDGER' '*-FOLDER'
                set -a spec -a '(__fish_complete_directories)'
            case '*-FILE' '*-PATH'
                set -a spec -a '(__fish_complete_path)'
            case '*-OPERATION'
                set -l which -q
                test $tool = dpl-show; and set which -aq
                set -a spec -a "(__dpl_operations $which)"
            case '*-CALL'
                set -a spec -a '(__dpl_ids dpl-call list -q)'
            case '*-LEVEL'
                set -a spec -a 'debug info warning error'
            case '*-WHEN'
                set -a spec -a 'auto always never'
            case '*-CONDITION'
                set -a spec -a 'completed failed aborted idle call= participant= left='
        end
        complete -c $tool $where $spec
    end
end

complete -c dpl -f
complete -c dpl -n 'test (count (commandline -opc)) = 1' -a '(__dpl_commands)'
complete -c dpl -n 'test (count (commandline -opc)) = 1' -a help -d 'show how a command is used'
complete -c dpl -n 'test (count (commandline -opc)) = 1' -s h -l help -d 'print how it is used'
complete -c dpl -n 'test (count (commandline -opc)) = 1' -s V -l version -d 'print the version'
complete -c dpl -n 'test (count (commandline -opc)) = 2; and __dpl_call_is help' -a '(__dpl_commands)'
complete -c dpl -n 'test (count (commandline -opc)) = 2; and __dpl_call_is help' -a agents -d 'a short guide for AI agents'
complete -c dpl -n 'test (count (commandline -opc)) -gt 1; and not __dpl_call_is help' -a '(__dpl_delegate)'

for tool in abort batch beat cleanup complete create discover join leave log serve show watch
    complete -c dpl-$tool -f
    __dpl_register dpl-$tool ''
end
complete -c dpl-show -a '(__dpl_shown)'
complete -c dpl-watch -a '(__dpl_operations -q)'
complete -c dpl-cleanup -a '(__dpl_operations -q)'

complete -c dpl-call -f
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a run -d 'run a command as a call'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a spawn -d 'run it in the background'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a start -d 'begin a call and print its id'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a end -d 'end a call'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a fail -d 'end a call that failed'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a sync -d 'wait for calls'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a wait -d 'wait for one, and end with its status'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a result -d 'print the result of a call'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a output -d 'print what its command has printed'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a cancel -d 'ask for its end'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a cancelled -d 'whether that was asked for'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a kill -d 'send a signal to its command'
complete -c dpl-call -n 'test (count (commandline -opc)) = 1' -a list -d 'show those that run'
for verb in run spawn start end fail sync wait result output cancel cancelled kill list
    __dpl_register dpl-call $verb
end
complete -c dpl-call -n '__dpl_call_is run spawn; and __dpl_has_command' -a '(__dpl_command)'
complete -c dpl-call -n '__dpl_call_is end fail sync wait cancel kill' -a '(__dpl_ids dpl-call list -q)'
complete -c dpl-call -n '__dpl_call_is result output cancelled' -a '(__dpl_ids dpl-call list -aq)'

complete -c dpl-temp -f
complete -c dpl-temp -n 'test (count (commandline -opc)) = 1' -a make -d 'make a file and print its path'
complete -c dpl-temp -n 'test (count (commandline -opc)) = 1' -a add -d 'register what is there'
complete -c dpl-temp -n 'test (count (commandline -opc)) = 1' -a remove -d 'do away with it now'
complete -c dpl-temp -n 'test (count (commandline -opc)) = 1' -a list -d 'show what is registered'
for verb in make add remove list
    __dpl_register dpl-temp $verb
end
complete -c dpl-temp -n '__dpl_call_is add' -F
complete -c dpl-temp -n '__dpl_call_is remove' -a '(__dpl_resources)'

complete -c dpl-sim -f
complete -c dpl-sim -n 'test (count (commandline -opc)) = 1' -a list -d 'name the scenarios'
complete -c dpl-sim -n 'test (count (commandline -opc)) = 1' -a show -d 'print one of them'
complete -c dpl-sim -n 'test (count (commandline -opc)) = 1' -a run -d 'play some, and tell what happens'
complete -c dpl-sim -n 'test (count (commandline -opc)) = 1' -a check -d 'play all, and tell what came of it'
for verb in list show run check
    __dpl_register dpl-sim $verb
end
complete -c dpl-sim -n '__dpl_call_is show run check' -a '(__dpl_ids dpl-sim list -q)' -F
