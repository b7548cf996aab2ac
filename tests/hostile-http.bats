#!/usr/bin/env bats
# dpl-serve: bad input over HTTP, numbers 71 to 105 of the list of bad inputs (tests/tools/hostile.py)

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # each test is a subshell; helper.bash sets them

load helper

# What is slow waits for the deadlines of the server, beside all other tests and with a server of its own.
setup_file() {
	set_python
	cd "$BATS_FILE_TMPDIR" || return
	slow_ledger=$BATS_FILE_TMPDIR/ledger
	unset "${!DPL_@}"
	DPL_SYNC=off dpl-serve -C "$slow_ledger" -P 0 >said 2>err 3>&- &
	slow_server=$!
	wait_for '[ -s said ] || gone "$slow_server"'
	read -r url <said
	"$python" "$root/tests/tools/hostile.py" --ledger "$slow_ledger" --pid "$slow_server" "$url" slow >rows 2>&1 3>&- &
	slow_rows=$!
	export slow_server slow_rows
}

teardown_file() {
	kill "$slow_server" "$slow_rows" 2>/dev/null || true
	wait
}

set_python() {
	python=$(type -P /usr/bin/python3 || type -P python3)
}

setup() {
	need_built dpl-serve
	fresh_ledger
	set_python
}

# against [OPTION ...] -- GROUP: the rows of a group, against a server with these options, which ends well behind them.
against() {
	local options=() more=()
	while [ "$1" != -- ]; do
		[ "$1" != --token-file ] || more=("$1" "$2")
		options+=("$1")
		shift
	done
	# The rows know of bodies of 64 KiB where nothing else is said.
	in_background dpl-serve -C "$ledger" -P 0 --max-body 65536 "${options[@]}" >said 2>serve.err
	wait_for '[ -s said ] || gone "$pid"'
	expect 0 "$python" "$root/tests/tools/hostile.py" --ledger "$ledger" --pid "$pid" "${more[@]}" "$(cat said)" "$2" || {
		cat serve.err
		return 1
	}
	kill -TERM "$pid"
	wait_for 'gone "$pid"'
	ended "$pid"
	is "$status" 0
}

@test "71 to 83: JSON" {
	against -- json
}

@test "75 to 78: JSON where bodies may be 1 MiB" {
	against --max-body 1048576 -- big
}

@test "84 to 89: framing: no request is hidden in another one" {
	against -- framing
}

@test "90 to 92: Host, Origin, Content-Type" {
	against -- host
}

@test "90 to 92: a host and an origin that are allowed" {
	against --allow-origin https://good.example --allow-host my.example -- origin
}

@test "93 to 95, 98, 104: methods, paths, versions, sizes, upgrades" {
	against -- request
}

@test "96, 99, 100: pipelines, expectations, resets, half-closed connections" {
	against -- pipeline
}

@test "101: 10,000 connections without data" {
	against -- connects
}

@test "102, 103: the client is gone before the answer; one key twice" {
	against -- keys
}

@test "105: tokens" {
	(umask 077 && echo s3cret-T0ken.of-32.bytes.0123456 >token)
	against --token-file "$PWD/token" -- token
}

# refuses OPTION ...: it does not serve, says why, and exits with 2, 3, 8 or 9.
refuses() {
	status=0
	timeout 5 dpl-serve -C "$ledger" -P 0 "$@" >out 2>err 3>&- </dev/null || status=$?
	[[ $status =~ ^[2389]$ ]] && [ ! -s out ] && [[ $(head -n 1 err) = dpl-serve:* ]] && return
	echo "exit $status: $*"
	cat out err
	return 1
}

@test "105: a token that others can read, that is not there or empty; an address that is not loopback without one" {
	echo x >token
	for mode in 644 640 604 620; do
		chmod "$mode" token
		refuses --token-file token
	done
	chmod 600 token
	: >token
	refuses --token-file token
	echo >token
	refuses --token-file token
	refuses --token-file none
	refuses --token-file .
	refuses -l 0.0.0.0
	refuses -l ::
}

@test "what is refused at the start leaves no ledger behind" {
	: >empty
	chmod 600 empty
	made=()
	for option in '--max-body 0' '--max-body -1' '--max-body 1e9' '-P 65536' '-P -1' '-P x' '-l nonsense.invalid' '-l 0.0.0.0' '--token-file none' '--token-file empty' '--token-file .' '--unix empty'; do
		# shellcheck disable=SC2086
		refuses $option
		[ ! -e "$ledger" ] || made+=("$option")
		rm -rf "$ledger"
	done
	is "${made[*]}" ''
}

@test "names where an operation or a call is wanted" {
	against -- names
}

@test "97: what is slow is cut when its time is over, and keeps nobody else waiting" {
	cd "$BATS_FILE_TMPDIR"
	wait_for 'gone "$slow_rows"' 58
	cat rows err
	[[ $(tail -n 1 rows) =~ ^slow:\ [0-9]+\ rows,\ 0\ wrong$ ]]
	kill -TERM "$slow_server"
	wait_for 'gone "$slow_server"'
}
