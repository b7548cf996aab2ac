#!/usr/bin/env bats
# faults.bats - every system call of every changing command goes wrong, in each state of an operation
#
# A part of the points, chosen by FAULTS_SEED; `make faults` tries all of them.  What each is checked for stands in
# tools/faults.c; a point that is not right is a line that says how to see it again.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154,SC2317 # each test is a subshell; journal.bash sets what is read

load tools/journal.bash

setup() {
	journal_setup
	need_tool faultat
	faultat -l calls true >/dev/null 2>&1 || skip "ptrace is not allowed here"
	export DPL_SYNC=off
}

# some ONE_IN MODE...: that many of the points.
some() {
	local mode modes=() one_in=$1
	shift
	# A command under a sanitizer makes many more calls, and is slow.
	[ -z "${SANITIZED:-}" ] || one_in=$((one_in * 8))
	for mode; do
		modes+=(-m "$mode")
	done
	expect 0 faults -f "$one_in" -r "${FAULTS_SEED:-1}" "${modes[@]}"
	printf "# %s\n" "${out//$'\n'/$'\n'# }" >&3
}

@test "a fault is what was asked for" {
	op=$(dpl-create)
	j=$DPL_LEDGER/$op/journal.jsonl
	before=$(wc -c <"$j")
	expect 9 faultat -e 0.write=EIO dpl-log -o "$op" two
	[[ $err == *"I/O error"* ]] || fail "$err"
	expect 137 faultat -k 0.write dpl-log -o "$op" two
	[ "$(wc -c <"$j")" -eq "$before" ]
	expect 0 faultat -s 0.write:7 dpl-log -o "$op" two # the rest is written after it
	[ "$(tail -n 1 "$j" | jq -r .message)" = two ]
	before=$(wc -c <"$j")
	expect 137 faultat -t 0.write:7 dpl-log -o "$op" three
	[ "$(wc -c <"$j")" -eq $((before + 7)) ]
	expect 0 dpl-log -o "$op" three
	[[ $err == *"cut 7 torn bytes"* ]] || fail "$err"
	faultat -l calls dpl-log -o "$op" four
	before=$(wc -c <"$j")
	expect 137 faultat -k "$(awk '$2 == "exit_group" {print $1}' calls)" dpl-log -o "$op" four
	[ "$(wc -c <"$j")" -gt "$before" ]
	expect 125 faultat -e 0.9999=EIO dpl-log -o "$op" five
	[[ $err == *"no such point"* ]] || fail "$err"
	expect 9 faultat -e 0.write=ENOSPC+ dpl-log -o "$op" six # for ever, so nothing can be said either
	[ -z "$err" ]
}

@test "what is acknowledged was flushed, what is made was registered before" {
	some 1 order
}

@test "kill -9 at the entry and the exit of a call" {
	some 20 kill
}

@test "a call that fails with ENOSPC, EIO, EINTR, EMFILE, EDQUOT, EROFS, ENOMEM or EACCES" {
	some 150 error
}

@test "a call that fails so from then on" {
	some 300 errors
}

@test "a read or write of half the bytes" {
	some 6 short
}

@test "a write that is cut, and the writer killed" {
	some 3 torn
}
