#!/usr/bin/env bats
# dpl-abort

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	op=$(dpl-create)
	export DPL_OPERATION=$op
}

@test "abort sets the flag, --check tells it: 0 and the reason, or 1" {
	expect 1 dpl-abort --check
	silent
	expect 0 dpl-abort -m 'wrong branch'
	silent
	is "$(last_entry "$op" '[.event, .by, .reason] | @csv')" '"abort.set","me","wrong branch"'
	expect 0 dpl-abort --check
	is "$output" 'wrong branch'
	is "$stderr" ''
	expect 0 dpl-abort --check -q
	silent
}

@test "abort without a reason" {
	expect 0 dpl-abort
	expect 0 dpl-abort --check
	is "$output" ''
	expect 0 dpl-abort --check --json
	holds '.ok and .aborted and .abortReason == null'
}

@test "abort --json, and every answer carries the flag" {
	expect 0 dpl-abort --json -m 'stop'
	holds '.ok and .success and .aborted and .abortReason == "stop" and .seq == 2 and (has("alreadySet") | not)'
	for line in 'dpl-join' 'dpl-log x' 'dpl-call start --aborted-ok' 'dpl-call list' 'dpl-show' 'dpl-abort --check' 'dpl-leave --cancel' 'dpl-complete --cancel'; do
		# shellcheck disable=SC2086
		expect 0 $line --json
		holds '.ok and .aborted and .abortReason == "stop"'
	done
}

@test "--check --json" {
	expect 1 dpl-abort --check --json
	holds '.ok and .aborted == false and .operationId == $op' --arg op "$op"
	is "$stderr" ''
}

@test "set twice: 0, the first reason stands, nothing is written" {
	dpl-abort -m first
	before=$(sum)
	expect 0 dpl-abort -m second
	silent
	expect 0 dpl-abort --json -m third -p worker
	holds '.success and .alreadySet and .abortReason == "first"'
	is "$(dpl-abort --check)" first
	is "$(sum)" "$before"
}

@test "--clear: 0 when it was set, 1 when not" {
	expect 1 dpl-abort --clear
	refused dpl-abort "$op" 'not aborted'
	expect 1 dpl-abort --clear --json
	json_error not-aborted
	dpl-abort -m x
	expect 0 dpl-abort --clear --json
	holds '.success and .aborted == false and .abortReason == null'
	is "$(last_entry "$op" .event)" abort.cleared
	expect 1 dpl-abort --check
	expect 1 dpl-abort --clear
	dpl-abort -m again
	is "$(dpl-abort --check)" again
	expect 0 dpl-complete
	is "$output" 'completed, aborted'
}

@test "cleared before the end: completed" {
	dpl-abort
	dpl-abort --clear
	expect 0 dpl-complete
	is "$output" completed
}

@test "anyone may abort, joined or not" {
	expect 0 dpl-abort -p watchdog -m 'disk is full'
	expect 0 dpl-show
	has "$output" 'aborted by' watchdog 'disk is full'
}

@test "abort --key: carried out once" {
	expect 0 dpl-abort --key a -m x
	dpl-abort --clear
	expect 0 dpl-abort --key a -m x --json
	holds '.replayed and .success'
	expect 1 dpl-abort --check
	expect 6 dpl-abort --key a -m y
	refused dpl-abort a
	dpl-complete -q
	expect 0 dpl-abort --key a -m x
	expect 6 dpl-abort --key b -m x
}

@test "the check goes on after the end" {
	dpl-abort -m why
	dpl-complete -q
	expect 0 dpl-abort --check
	is "$output" why
	expect 6 dpl-abort
	expect 6 dpl-abort --clear
}

@test "the bell is touched by what must be acted on, and by nothing else" {
	bell=$ledger/$op/bell
	# rings WANTED COMMAND ...
	rings() {
		touch -d @0 "$bell"
		"${@:2}" >/dev/null
		is "$2: $([ "$(stat -c %Y "$bell")" = 0 ] && echo no || echo yes)" "$2: $1"
	}
	call=$(dpl-call start)
	rings no dpl-log x
	rings no dpl-join -p w
	rings no dpl-call start --id two
	rings no dpl-call end two
	rings no dpl-show
	rings yes dpl-abort
	rings no dpl-abort
	rings yes dpl-abort --clear
	dpl-call end "$call"
	dpl-call start -q -p w
	rings yes dpl-leave -p w --cancel
}

@test "what excludes each other" {
	expect 2 dpl-abort --check --clear
	refused dpl-abort exclude
	expect 2 dpl-abort --check -m x
	refused dpl-abort -m
	expect 2 dpl-abort --clear -m x
	refused dpl-abort -m
	expect 2 dpl-abort --check --key k
	refused dpl-abort --key
	expect 2 dpl-abort now
	refused dpl-abort "'now'"
	expect 2 dpl-abort -m "$(printf '\xff')"
	refused dpl-abort -m UTF-8
	is "$(entries "$op" | wc -l)" 1
}

@test "a reason is shown, never obeyed, by the terminal" {
	dpl-abort -m "$(printf 'a\nb\x1b[2J\x1b]0;x\a \u202ex \u200b c')"
	for line in 'dpl-abort --check' dpl-show 'dpl-show --trail' 'dpl-show --tree'; do
		# shellcheck disable=SC2086
		expect 0 $line
		plain
	done
	expect 0 dpl-abort --check
	is "$output" 'a\nb\x1b[2J\x1b]0;x\x07 \u202ex \u200b c'
	is "$(wc -l <out)" 1
	expect 0 dpl-abort --check --json
	no_controls
}

@test "an abort whose entry cannot be written, or that is killed before, is none" {
	local_only 'it is the server that writes'
	local faultat=$BUILD/tools/faultat
	"$faultat" -l calls true >/dev/null 2>&1 || skip 'no faultat, or ptrace is not allowed here'
	[ -z "${SANITIZED:-}" ] || export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
	expect 9 "$faultat" -e 0.write=EIO dpl-abort -m x
	expect 137 "$faultat" -k 0.write dpl-abort -m x
	expect 1 dpl-abort --check
	is "$(stat -c %a "$(journal "$op")")" 600
	is "$(entries "$op" | wc -l)" 1
	expect 0 dpl-abort -m x
	is "$(stat -c %a "$(journal "$op")")" 600
}

@test "an abort without a byte of room: the mode of the journal carries the flag" {
	local_only 'of a folder'
	# Fill it up to 20 bytes below a multiple of 1024, then let no file grow beyond that.
	empty=$(stat -c %s "$(journal "$op")")
	dpl-log -q x
	size=$(stat -c %s "$(journal "$op")")
	room=$((4096 - 20 - size - (size - empty - 1)))
	dpl-log -q "$(head -c "$room" /dev/zero | tr '\0' x)"
	is "$(stat -c %s "$(journal "$op")")" 4076
	full() (
		ulimit -f 4 && exec "$@"
	)
	expect 9 full dpl-log y
	refused dpl-log "$op" 'File too large'
	expect 9 full dpl-log y --json
	json_error disk-full
	expect 0 full dpl-abort -m 'no room for this'
	has "$stderr" 'the reason is lost'
	is "$(stat -c '%s %a' "$(journal "$op")")" '4076 700'
	expect 0 dpl-abort --check
	is "$output" ''
	expect 4 dpl-call start
	expect 0 dpl-show
	has "$output" 'running, aborted'
	expect 0 dpl-abort --clear
	is "$(stat -c %a "$(journal "$op")")" 600
	expect 1 dpl-abort --check
	whole "$op"
}
