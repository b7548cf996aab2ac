#!/usr/bin/env bats
# scripts/completions: what bash, zsh and fish offer, asked with a live ledger

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # scripts in quotes; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	files=$root/scripts/completions
	op=$(dpl-create -d live)
	old=$(dpl-create -d ended)
	dpl-complete -q -o "$old"
	call=$(dpl-call start -o "$op" -d running)
	dpl-call start -o "$op" --id over >/dev/null
	dpl-call end -o "$op" over
	export DPL_OPERATION=$op
	tools=()
	for tool in "$BUILD"/bin/dpl-*; do
		[[ $tool == */dpl-remote-* ]] || tools+=("${tool##*/}")
	done
}

# offered LINE: what bash offers at the end of the line, sorted, on one line.  The words are cut as
# readline cuts them, at blanks, = and :
offered() {
	bash -c '
		source "$1/dpl.bash" || exit
		COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=() COMP_WORDBREAKS=$'"' \\t\\n\"\\'><=;|&(:'"'
		rest=$COMP_LINE
		while [[ $rest =~ ^(\ *)(=|:|[^\ =:]+)(.*)$ ]]; do
			COMP_WORDS+=("${BASH_REMATCH[2]}") rest=${BASH_REMATCH[3]}
		done
		# A new word begins behind a blank, and behind a colon.
		[[ $COMP_LINE != *[\ :] ]] || COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		read -ra how < <(complete -p "${COMP_WORDS[0]}") || exit
		${how[2]} "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
		((${#COMPREPLY[@]} == 0)) || printf "%s\n" "${COMPREPLY[@]}"
	' - "$files" "$1" 2>"$BATS_TEST_TMPDIR/err" | LC_ALL=C sort | paste -sd ' '
	is "$(cat "$BATS_TEST_TMPDIR/err")" ''
}

# all_options TOOL: those of its --help
all_options() {
	"$1" --help | sed -n 's/^  \(-., \|    \)\(--[a-z-]*=\?\).*/\2/p' | LC_ALL=C sort | paste -sd ' '
}

sorted() {
	printf '%s\n' "$@" | LC_ALL=C sort | paste -sd ' '
}

@test "bash: every command is completed, dpl lists them all" {
	for tool in dpl "${tools[@]}"; do
		has "$(bash -c 'source "$1/dpl.bash"; complete -p "$2"' - "$files" "$tool")" '-F _dpl'
	done
	is "$(offered 'dpl ')" "$(sorted "${tools[@]#dpl-}" help --help --version)"
	is "$(offered 'dpl sh')" show
	is "$(offered 'dpl help a')" 'abort agents'
}

@test "bash: the options of every command are those of its help" {
	for tool in "${tools[@]}"; do
		case $tool in dpl-call | dpl-temp | dpl-sim) continue ;; esac
		is "$(offered "$tool --")" "$(all_options "$tool")"
		is "$(offered "dpl ${tool#dpl-} --")" "$(all_options "$tool")"
	done
	is "$(offered 'dpl-show -')" "$(sorted -a -C -j -o -p -q -v -h -V --all --ledger= --json --operation= --participant= --quiet --verbose --at= --color= --svg= --timeline \
		--trail --tree --why --help --version)"
	is "$(offered 'dpl-show --tr')" '--trail --tree'
}

@test "bash: dpl-call has subcommands, each with its own options" {
	is "$(offered 'dpl-call ')" '-- --help --version cancel cancelled end fail kill list output result run spawn start sync wait'
	is "$(offered 'dpl-call st')" start
	is "$(offered 'dpl call fa')" fail
	is "$(offered 'dpl-call list --')" '--all --by= --group= --help --json --ledger= --operation= --quiet --session= --tree --verbose --version'
	has "$(offered 'dpl-call spawn --')" --output-max= --slots= --on-crash= --watchdog=
	has "$(offered 'dpl-call sync --')" --any --count= --group=
	is "$(offered 'dpl call fail --me')" '--message='
	is "$(offered 'dpl call end --me')" ''
	has "$(offered 'dpl-call --')" --grace= --timeout= --watchdog= --leave-orphans
	is "$(offered 'dpl-call run --wa')" '--watchdog='
	is "$(offered 'dpl-call --key')" ''
	has " $(offered 'dpl-call -d x -- dpl-cre') " ' dpl-create '
	is "$(offered 'dpl-call end --re')" '--result='
	has "$(offered 'dpl-call start --')" --aborted-ok --no-fail-on-crash --parent=
	is "$(offered 'dpl-call list --aborted')" ''
}

@test "bash: dpl-temp has subcommands, each with its own options; remove offers paths" {
	is "$(offered 'dpl-temp ')" '--help --version add list make remove'
	is "$(offered 'dpl temp re')" remove
	is "$(offered 'dpl-temp list --')" '--all --by= --call= --help --json --ledger= --operation= --quiet --verbose --version'
	is "$(offered 'dpl-temp make --s')" '--suffix='
	is "$(offered 'dpl-temp add --pr')" '--process='
	is "$(offered 'dpl temp add --by')" '--by-name'
	is "$(offered 'dpl-temp remove --by')" ''
	is "$(offered 'dpl-temp add --call ')" "$call"
	mkdir elsewhere
	touch elsefile
	is "$(offered 'dpl-temp make --tmpdir elsew')" elsewhere
	is "$(offered 'dpl-temp add else')" 'elsefile elsewhere'
	path=$(dpl-temp make)
	dpl-temp add -q --command 'true'
	is "$(offered 'dpl-temp remove ')" "$path"
	is "$(DPL_OPERATION='' offered "dpl temp remove -o $op ${path:0:6}")" "$path"
	dpl-temp remove "$path"
	is "$(offered 'dpl-temp remove ')" ''
}

@test "bash: dpl-sim has subcommands; scenarios and files" {
	is "$(offered 'dpl-sim ')" '--help --version check list run show'
	is "$(offered 'dpl sim sh')" show
	is "$(offered 'dpl-sim list --')" '--help --json --quiet --version'
	is "$(offered 'dpl-sim run --')" '--color= --help --json --ledger= --quiet --scale= --seed= --verbose --version'
	is "$(offered 'dpl-sim run happy')" happy_path
	is "$(offered 'dpl sim show ')" "$(dpl-sim list -q | LC_ALL=C sort | paste -sd ' ')"
	touch my.scenario
	is "$(offered 'dpl-sim check --scale 1 my')" my.scenario
	is "$(offered 'dpl-sim run --color ')" 'always auto never'
}

@test "bash: operations: live ones behind -o, ended ones too for dpl-show" {
	for tool in dpl-abort dpl-complete dpl-join dpl-leave dpl-log 'dpl-call end' 'dpl log'; do
		is "$(offered "$tool -o ")" "$(sorted @ @@ "$op")"
		is "$(offered "$tool --operation=")" "$(sorted @ @@ "$op")"
		is "$(offered "$tool -jo ${op:0:20}")" "$op"
	done
	is "$(offered 'dpl-show ')" "$(sorted @ @@ "$op" "$old")"
	is "$(offered 'dpl-show --trail ')" "$(sorted @ @@ "$op" "$old")"
	is "$(offered 'dpl show -o ')" "$(sorted @ @@ "$op" "$old")"
	is "$(offered "dpl-show $old")" "$old"
	is "$(offered 'dpl-show --why ')" "$(sorted @ @@ "$op" "$old")"
	is "$(offered "dpl-show --why -o $op ")" "$(sorted "$call" over)"
	is "$(offered "dpl show --operation=$op --why o")" over
	is "$(offered 'dpl-show -- -')" ''
	is "$(offered 'dpl-log ')" ''
	is "$(offered 'dpl-watch ')" "$(sorted @ @@ "$op")"
	is "$(offered 'dpl-cleanup ')" "$(sorted @ @@ "$op")"
	is "$(offered "dpl cleanup -n $op ${op:0:20}")" "$op"
	is "$(offered 'dpl-cleanup -n --sw')" '--sweep'
}

@test "bash: calls that run, of the operation that the line names" {
	is "$(offered 'dpl-call end ')" "$call"
	is "$(offered 'dpl-call wait ')" "$call"
	has "$(offered 'dpl-call result ')" "$call" over
	is "$(offered 'dpl call fail -m why ')" "$call"
	is "$(offered 'dpl-call start --parent ')" "$call"
	is "$(offered 'dpl-call start --id ')" ''
	is "$(offered 'dpl-watch --until call=')" "$call"
	is "$(offered "dpl watch --until=call=${call:0:6}")" "$call"
	is "$(offered 'dpl-call start ')" ''
	other=$(dpl-create)
	dpl-call start -o "$other" --id 'a:b:one' >/dev/null
	dpl-call start -o "$other" --id 'a:b:two' >/dev/null
	is "$(offered "dpl-call end -o $other ")" 'a:b:one a:b:two'
	is "$(offered "dpl-call end --operation=$other ")" 'a:b:one a:b:two'
	# readline replaces only what is behind the last colon.
	is "$(offered "dpl-call end -o $other a:b:")" 'one two'
	is "$(offered "dpl-call end -o $other a:b:t")" two
}

@test "bash: the ledger of the line is asked; folders behind -C; values with a closed list" {
	mkdir elsewhere
	is "$(offered 'dpl-show -C elsewh')" elsewhere
	is "$(offered 'dpl-log --ledger=elsewh')" elsewhere
	is "$(offered 'dpl-show -C elsewhere ')" '@ @@'
	unset DPL_LEDGER
	is "$(offered "dpl-show --ledger=$ledger ")" "$(sorted @ @@ "$op" "$old")"
	HOME=$BATS_TEST_TMPDIR
	is "$(offered 'dpl-log -C ~/ledger -o ')" "$(sorted @ @@ "$op")"
	is "$(offered 'dpl-log -l ')" 'debug error info warning'
	is "$(offered 'dpl-log --level=w')" warning
	is "$(offered 'dpl-show --color ')" 'always auto never'
	is "$(offered 'dpl-log -m ')" ''
	is "$(offered 'dpl-watch --until ')" 'aborted call= completed failed idle left= participant='
	is "$(offered 'dpl-watch --until=c')" 'call= completed'
	touch elsefile
	is "$(offered 'dpl-watch --file else')" 'elsefile elsewhere'
	is "$(offered 'dpl-watch --file=elsef')" elsefile
	is "$(offered 'dpl-show --svg elsef')" elsefile
}

@test "bash: without a ledger, and of an unknown command, nothing is said" {
	export DPL_LEDGER=$BATS_TEST_TMPDIR/none
	is "$(offered 'dpl-show ')" '@ @@'
	is "$(offered 'dpl-call end ')" ''
	is "$(offered 'dpl nonesuch --')" ''
	[ ! -e none ]
}

# fish_offers LINE: what fish offers, sorted, on one line
fish_offers() {
	HOME=$BATS_TEST_TMPDIR XDG_CONFIG_HOME=$BATS_TEST_TMPDIR fish --no-config -c 'source $argv[1]/dpl.fish; complete -C $argv[2]' "$files" "$1" |
		cut -f1 | LC_ALL=C sort | paste -sd ' '
}

@test "fish: commands, options, operations and calls" {
	command -v fish >/dev/null || skip 'no fish'
	fish --no-config --no-execute "$files/dpl.fish"
	is "$(fish_offers 'dpl ')" "$(sorted "${tools[@]#dpl-}" help)"
	for tool in "${tools[@]}"; do
		case $tool in dpl-call | dpl-temp | dpl-sim) continue ;; esac
		is "$(fish_offers "$tool --")" "$(all_options "$tool" | tr -d =)"
	done
	is "$(fish_offers 'dpl-show ')" "$(sorted @ @@ "$op" "$old")"
	is "$(fish_offers 'dpl show ')" "$(sorted @ @@ "$op" "$old")"
	is "$(fish_offers 'dpl-show --why ')" "$(sorted @ @@ "$op" "$old")"
	is "$(fish_offers "dpl-show --why --operation=$op ")" "$(sorted "$call" over)"
	is "$(fish_offers 'dpl-log -o ')" "$(sorted @ @@ "$op")"
	is "$(fish_offers 'dpl-show -o ')" "$(sorted @ @@ "$op" "$old")"
	is "$(fish_offers 'dpl-call ')" 'cancel cancelled end fail kill list output result run spawn start sync wait'
	is "$(fish_offers 'dpl-call end ')" "$call"
	is "$(fish_offers "dpl call fail -o $op ")" "$call"
	is "$(DPL_OPERATION='' fish_offers "dpl-call end --operation=$op ")" "$call"
	is "$(fish_offers 'dpl call list --')" '--all --by --group --help --json --ledger --operation --quiet --session --tree --verbose --version'
	is "$(fish_offers 'dpl-log -l w')" warning
	is "$(fish_offers 'dpl-watch ')" "$(sorted @ @@ "$op")"
	is "$(fish_offers 'dpl-watch --until i')" idle
	is "$(fish_offers 'dpl-cleanup ')" "$(sorted @ @@ "$op")"
	is "$(fish_offers 'dpl-temp ')" 'add list make remove'
	is "$(fish_offers 'dpl temp list --')" '--all --by --call --help --json --ledger --operation --quiet --verbose --version'
	is "$(fish_offers 'dpl-temp add --pr')" --process
	is "$(fish_offers 'dpl-temp add --call ')" "$call"
	is "$(fish_offers 'dpl-sim ')" 'check list run show'
	is "$(fish_offers 'dpl sim show happy')" happy_path
	is "$(fish_offers 'dpl-sim list --')" '--help --json --quiet --version'
	touch my.scenario
	is "$(fish_offers 'dpl-sim check my')" my.scenario
	path=$(dpl-temp make)
	is "$(fish_offers 'dpl-temp remove ')" "$path"
	dpl-temp remove "$path"
	mkdir elsewhere
	is "$(fish_offers 'dpl-show -C elsewh')" elsewhere/
	touch elsefile
	is "$(fish_offers 'dpl-watch --file elsef')" elsefile
	is "$(fish_offers 'dpl-show --svg elsef')" elsefile
	unset DPL_LEDGER
	is "$(fish_offers "dpl-show -C $ledger ")" "$(sorted @ @@ "$op" "$old")"
	is "$(PATH=$(dirname "$(command -v fish)") fish_offers 'dpl-show ' 2>&1)" '@ @@'
}

# zsh_offers LINE: what zsh offers, sorted, on one line.  A real zsh on a terminal of its own gets the
# line and a tab; each match is noted on its way into the list.
zsh_offers() {
	: >offers
	cat >zshrc <<-'END'
		PS1=
		fpath=($FILES $fpath)
		autoload -Uz compinit
		compinit -D -u
		zstyle ':completion:*' list-prompt ''
		compadd() {
			local -a hits
			[[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]] || { builtin compadd -A hits "$@"; print -rl -- $hits >>offers }
			builtin compadd "$@"
		}
		offer() {
			_main_complete
			print -r -- '#' >>offers
			compstate[insert]=
			compstate[list]=
		}
		zle -C offer complete-word offer
		bindkey '^I' offer
		print rea''dy
	END
	FILES=$files in_background zsh -f -c '
		zmodload zsh/zpty
		zpty shell zsh -f -i
		zpty -w shell "source ./zshrc"
		zpty -r -m shell text "*ready*"
		zpty -w -n shell "$1"$'"'\\t'"'
		while zpty -r shell text; do :; done
	' - "$1" >/dev/null
	wait_for 'grep -q "^#" offers'
	end_background
	grep -v '^#\?$' offers | LC_ALL=C sort -u | paste -sd ' '
}

@test "zsh: commands, options, operations and calls" {
	command -v zsh >/dev/null || skip 'no zsh'
	zsh -n "$files/_dpl"
	is "$(head -n 1 "$files/_dpl")" "#compdef dpl ${tools[*]}"
	is "$(zsh_offers 'dpl ')" "$(sorted "${tools[@]#dpl-}" help)"
	is "$(zsh_offers 'dpl-show ')" "$(sorted @ @@ "$op" "$old")"
	is "$(zsh_offers 'dpl-show --why ')" "$(sorted @ @@ "$op" "$old")"
	is "$(zsh_offers "dpl-show --why -o $op ")" "$(sorted "$call" over)"
	is "$(zsh_offers 'dpl-log -o ')" "$(sorted @ @@ "$op")"
	is "$(zsh_offers 'dpl call end ')" "$call"
	is "$(zsh_offers 'dpl-call ')" 'cancel cancelled end fail kill list output result run spawn start sync wait'
	is "$(zsh_offers 'dpl-log -l ')" 'debug error info warning'
	is "$(zsh_offers 'dpl-watch ')" "$(sorted @ @@ "$op")"
	is "$(zsh_offers 'dpl-cleanup ')" "$(sorted @ @@ "$op")"
	is "$(zsh_offers 'dpl-temp ')" 'add list make remove'
	is "$(zsh_offers 'dpl-sim ')" 'check list run show'
	is "$(zsh_offers 'dpl sim show happy')" happy_path
	touch my.scenario
	is "$(zsh_offers 'dpl-sim check my')" my.scenario
	path=$(dpl-temp make)
	is "$(zsh_offers 'dpl temp remove ')" "$path"
	dpl-temp remove "$path"
	touch elsefile
	is "$(zsh_offers 'dpl-watch --file elsef')" elsefile
	is "$(zsh_offers 'dpl-show --svg elsef')" elsefile
	is "$(zsh_offers 'dpl-watch --until ')" 'aborted call= completed failed idle left= participant='
	for tool in dpl-show dpl-log dpl-create; do
		is "$(zsh_offers "$tool --" | tr ' ' '\n' | grep '^--' | paste -sd ' ')" "$(all_options "$tool" | tr -d =)"
	done
	is "$(zsh_offers 'dpl-temp add --' | tr ' ' '\n' | grep '^--' | paste -sd ' ')" '--by-name --call --command --help --json --key --ledger --operation --participant --process --quiet --timeout --verbose --version'
	is "$(zsh_offers 'dpl-call list --' | tr ' ' '\n' | grep '^--' | paste -sd ' ')" '--all --by --group --help --json --ledger --operation --quiet --session --tree --verbose --version'
	unset DPL_LEDGER
	is "$(zsh_offers "dpl-show -C $ledger ")" "$(sorted @ @@ "$op" "$old")"
}
