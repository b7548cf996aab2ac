# bash completion for dpl and the dpl-* commands
#
# The options and what they take come from a command's own --help, so that nothing here has to follow
# them; the ids come from the ledger that the line names.
# shellcheck shell=bash

# _dpl_options TOOL [SUBCOMMAND]: lines of `-x --long VALUE`, with - where there is none
_dpl_options() {
	local line letter='' long value tool=$1 synopsis='' known='' in=
	[[ ${2:-} ]] || known=all
	while IFS= read -r line; do
		# The synopsis of the subcommand, to know which options it takes.
		if [[ $line =~ ^(usage:|\ {6})\ $tool\ \[?([a-z]+) ]]; then
			in=
			[[ ${BASH_REMATCH[2]} != "${2:-}" && ${2:-}-${BASH_REMATCH[2]} != spawn-run ]] || in=1
		elif [[ ! $line ]]; then
			in=
		fi
		[[ ! $in ]] || synopsis+=" $line "
		[[ $line =~ ^\ \ (-(.), |\ {4})--([a-z-]+)(=([A-Z]+))? ]] || continue
		letter=${BASH_REMATCH[2]} long=${BASH_REMATCH[3]} value=${BASH_REMATCH[5]}
		# In the synopsis it stands as [--long], or among [-jqv], or as [-C ledger].
		if [[ $known || $long == help || $long == version || $synopsis == *[[\ ]"--$long"[]\ ]* ||
			($letter && $synopsis =~ [[\ ]-[a-zA-Z]*"$letter"[a-zA-Z]*[]\ ]) ]]; then
			printf '%s %s %s\n' "${letter:+-}${letter:--}" "--$long" "${value:--}"
		fi
	done < <(command "$tool" --help 2>/dev/null)
}

# _dpl_ids TOOL ARG...: what that prints, asked of the ledger and the operation that the line names
_dpl_ids() {
	local i value options=()
	for ((i = first; i < COMP_CWORD; i++)); do
		value=${words[i + 1]}
		[[ $value != = ]] || value=${words[i + 2]:-}
		case ${words[i]} in
		-C | --ledger)
			[[ ${value:0:2} != \~/ ]] || value=$HOME/${value:2}
			options+=(-C "$value")
			;;
		-o | --operation) [[ $1 != dpl-call && $1 != dpl-temp ]] || options+=(-o "$value") ;;
		esac
	done
	command "$@" "${options[@]}" 2>/dev/null
}

# _dpl_has WORD...: whether the line has one of them
_dpl_has() {
	local word
	for word; do
		[[ " ${words[*]:first} " != *" $word "* ]] || return 0
	done
	return 1
}

# _dpl_offer WORD...: those that begin with what is typed
_dpl_offer() {
	local word typed=$cur skip=''
	# Where readline breaks words at colons, only what follows the last one is replaced.
	if [[ $COMP_WORDBREAKS == *:* && $line_word == *:* ]]; then
		typed=$line_word skip=${line_word%"${line_word##*:}"}
		[[ $typed != --*=* ]] || typed=${typed#*=} skip=${skip#*=}
	fi
	for word; do
		[[ $word != "$typed"* ]] || COMPREPLY+=("${word#"$skip"}")
	done
}

# _dpl_value METAVARIABLE: values of an option
_dpl_value() {
	local ids
	case $1 in
	LEDGER | FOLDER)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		;;
	FILE | PATH)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	OPERATION)
		if [[ $tool == dpl-show ]]; then
			mapfile -t ids < <(_dpl_ids dpl-show -aq)
		else
			mapfile -t ids < <(_dpl_ids dpl-show -q)
		fi
		_dpl_offer @ @@ "${ids[@]}"
		;;
	CALL)
		# --id makes a new one.
		[[ $2 != --id ]] || return
		mapfile -t ids < <(_dpl_ids dpl-call list -q)
		_dpl_offer "${ids[@]}"
		;;
	RESOURCE)
		# The paths among them; commands are removed by their number.
		mapfile -t ids < <(_dpl_ids dpl-temp list -q | grep '^/')
		_dpl_offer "${ids[@]}"
		;;
	LEVEL) _dpl_offer debug info warning error ;;
	WHEN) _dpl_offer auto always never ;;
	CONDITION)
		_dpl_offer completed failed aborted idle call= participant= left=
		[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
		;;
	esac
}

# _dpl_commands: the X of each dpl-X
_dpl_commands() {
	command dpl 2>/dev/null | sed -n 's/^dpl-\([^ ]*\) .*/\1/p'
}

_dpl() {
	local cur prev word tool sub='' first=1 i letter long value ids line_word ended=
	local words=("${COMP_WORDS[@]}") options=()
	COMPREPLY=()
	cur=${words[COMP_CWORD]} prev=${words[COMP_CWORD - 1]}
	line_word=${COMP_LINE:0:COMP_POINT}
	line_word=${line_word##*[[:space:]]}
	# --option=value is three words here.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${words[COMP_CWORD - 2]}
	fi

	tool=${words[0]##*/}
	if [[ $tool == dpl ]]; then
		if [[ $COMP_CWORD == 1 || ($COMP_CWORD == 2 && ${words[1]} == help) ]]; then
			mapfile -t ids < <(_dpl_commands)
			if [[ $COMP_CWORD == 1 ]]; then
				ids+=(help --help --version)
			else
				ids+=(agents)
			fi
			_dpl_offer "${ids[@]}"
			return
		fi
		tool=dpl-${words[1]} first=2
	fi
	if [[ $tool == dpl-call || $tool == dpl-temp || $tool == dpl-sim ]]; then
		if [[ $COMP_CWORD == "$first" && ($cur != -* || $tool != dpl-call) ]]; then
			case $tool in
			dpl-call) _dpl_offer run spawn start end fail sync wait result output cancel cancelled kill list -- --help --version ;;
			dpl-temp) _dpl_offer make add remove list --help --version ;;
			dpl-sim) _dpl_offer list show run check --help --version ;;
			esac
			return
		fi
		# Options alone are those of run.
		case ${words[first]} in
		-*) sub=run ;;
		*) sub=${words[first]} first=$((first + 1)) ;;
		esac
	fi
	mapfile -t options < <(_dpl_options "$tool" "$sub")

	# The value of an option?
	for word in "${options[@]}"; do
		read -r letter long value <<<"$word"
		[[ $value != - ]] || continue
		if [[ $prev == "$long" || ($letter != - && $prev == -[!-]* && $prev == *"${letter#-}") ]]; then
			_dpl_value "$value" "$long"
			return
		fi
	done

	# --until call=ID: what is behind the = is a word here, whatever is before it.
	if [[ $tool == dpl-watch && $prev == call ]]; then
		_dpl_value CALL ''
		return
	fi

	# An operand, or a word behind --?
	for ((i = first; i < COMP_CWORD; i++)); do
		[[ $ended || ${words[i]} != -- ]] || ended=$((i + 1))
	done
	if [[ $ended && ($sub == run || $sub == spawn) ]]; then
		# A command line of its own: bash-completion knows how, else its first word is a command.
		if declare -F _command_offset >/dev/null; then
			_command_offset "$ended"
		elif ((COMP_CWORD == ended)); then
			mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		else
			compopt -o default 2>/dev/null
		fi
		return
	fi
	if [[ $cur == -* && ! $ended ]]; then
		for word in "${options[@]}"; do
			read -r letter long value <<<"$word"
			[[ $letter == - ]] || _dpl_offer "$letter"
			if [[ $value == - ]]; then
				_dpl_offer "$long"
			else
				_dpl_offer "$long="
			fi
		done
		[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
		return
	fi
	case $tool-$sub in
	dpl-show-)
		# A call, where --why has its operation already.
		if _dpl_has --why && _dpl_has -o --operation; then
			mapfile -t ids < <(_dpl_ids dpl-call list -aq)
			_dpl_offer "${ids[@]}"
		else
			_dpl_value OPERATION ''
		fi
		;;
	dpl-watch-) _dpl_value OPERATION '' ;;
	dpl-cleanup-) _dpl_value OPERATION '' ;;
	dpl-call-end | dpl-call-fail | dpl-call-sync | dpl-call-wait | dpl-call-cancel | dpl-call-kill) _dpl_value CALL '' ;;
	dpl-call-result | dpl-call-output | dpl-call-cancelled)
		mapfile -t ids < <(_dpl_ids dpl-call list -aq)
		_dpl_offer "${ids[@]}"
		;;
	dpl-temp-add)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	dpl-temp-remove) _dpl_value RESOURCE '' ;;
	dpl-sim-show | dpl-sim-run | dpl-sim-check)
		# Ours, and files.
		mapfile -t ids < <(command dpl-sim list -q 2>/dev/null)
		[[ $cur == */* ]] || _dpl_offer "${ids[@]}"
		if ((${#COMPREPLY[@]} == 0)); then
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		fi
		;;
	esac
}

complete -F _dpl dpl dpl-abort dpl-batch dpl-beat dpl-call dpl-cleanup dpl-complete dpl-create dpl-discover dpl-join dpl-leave dpl-log dpl-serve dpl-show dpl-sim dpl-temp dpl-watch
