#!/usr/bin/env bats
# dpl-complete, and what is so after the end

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	op=$(dpl-create)
	export DPL_OPERATION=$op
}

@test "complete prints the end, and moves the operation to backup/" {
	expect 0 dpl-complete
	is "$output" completed
	is "$stderr" ''
	[ ! -e "$ledger/$op" ]
	is "$(entries "$op" | tr '\n' ' ')" 'operation.created operation.completed operation.archived '
	for file in journal.jsonl operation.json operation.log; do
		is "$(stat -c %a "$ledger/backup/$op/$file")" 600
	done
	is "$(jq -r .state "$ledger/backup/$op/operation.json")" completed
	is "$(wc -l <"$ledger/backup/$op/operation.log")" 3
	has "$(cat "$ledger/backup/$op/operation.log")" '[INFO] me: created the operation' 'completed the operation'
	is "$(names "$ledger")" 'backup keys'
}

@test "complete --json" {
	expect 0 dpl-complete --json
	holds '.ok and .success and .state == "completed" and .aborted == false and .cancelledCalls == 0 and .seq == 2 and .operationId == $op' --arg op "$op"
}

@test "complete an aborted one: completed, aborted" {
	dpl-abort -m 'out of money'
	expect 0 dpl-complete
	is "$output" 'completed, aborted'
	is "$(jq -sr '.[-2].aborted' <(journal_text "$op"))" true
	expect 0 dpl-show --json
	holds '.state == "completed" and .aborted and .abortReason == "out of money" and .ended'
	expect 0 dpl-show
	has "$output" 'completed, aborted' 'out of money'
}

@test "complete --failed, with a reason" {
	expect 0 dpl-complete --failed -m '3 of 40 files are missing'
	is "$output" failed
	is "$(entries "$op" | tr '\n' ' ')" 'operation.created operation.failed operation.archived '
	expect 0 dpl-show --json
	holds '.state == "failed" and .endReason == "3 of 40 files are missing" and .ended'
	expect 6 dpl-log x
	refused dpl-log failed
	expect 0 dpl-show
	has "$output" '3 of 40 files are missing'
}

@test "complete --failed of an aborted one is failed" {
	dpl-abort
	expect 0 dpl-complete --failed --json
	holds '.state == "failed" and .aborted'
}

@test "only the initiator may: 6, and who it is" {
	dpl-join -qp worker
	before=$(sum)
	expect 6 dpl-complete -p worker
	refused dpl-complete 'worker is not the initiator' "$op" 'me is'
	expect 6 dpl-complete -p worker --json --cancel --failed
	json_error not-initiator
	is "$(sum)" "$before"
	expect 0 dpl-complete
}

@test "6 while calls run, --cancel cancels them" {
	one=$(dpl-call start)
	before=$(sum)
	expect 6 dpl-complete
	refused dpl-complete '1 call' "$one" --cancel
	two=$(dpl-call start)
	expect 6 dpl-complete
	refused dpl-complete '2 calls' "$one" --cancel
	expect 6 dpl-complete --json
	json_error calls-running
	holds '.error.next == ["dpl-call", "list", "--operation", $op]' --arg op "$op"
	[ "$(sum)" != "$before" ]
	expect 0 dpl-complete --cancel --json
	holds '.cancelledCalls == 2 and .state == "completed"'
	is "$(entries "$op" | tail -n 4 | tr '\n' ' ')" 'call.cancelled call.cancelled operation.completed operation.archived '
	expect 0 dpl-show --json
	holds '.callCounts.cancelled == 2 and (.calls | map(.state) | unique == ["cancelled"])'
	holds '[.calls[].callId] == [$a, $b]' --arg a "$one" --arg b "$two"
	whole "$op"
}

@test "--cancel where nothing runs" {
	expect 0 dpl-complete --cancel
	is "$output" completed
}

@test "ending twice: 6, and how it ended" {
	dpl-complete -q
	before=$(sum)
	expect 6 dpl-complete
	refused dpl-complete "$op" 'has ended (completed)' "dpl-show $op"
	expect 6 dpl-complete --json
	json_error operation-ended
	holds '.error.next == ["dpl-show", $op]' --arg op "$op"
	is "$(sum)" "$before"
}

@test "every change after the end: 6; every reader goes on" {
	call=$(dpl-call start -d x)
	dpl-call end "$call"
	dpl-log -q 'a line'
	dpl-complete -q
	before=$(sum)
	for line in 'dpl-join' 'dpl-leave' 'dpl-complete --failed' 'dpl-complete -p you' 'dpl-call start' "dpl-call end $call" \
		"dpl-call end nope" "dpl-call fail -m x $call" 'dpl-abort' 'dpl-abort --clear' 'dpl-log x'; do
		# shellcheck disable=SC2086
		expect 6 $line
		refused "${line%% *}" "$op" 'has ended'
		# shellcheck disable=SC2086
		expect 6 $line --json
		json_error operation-ended
	done
	expect 6 dpl-log - < <(echo x)
	expect 0 dpl-show
	expect 0 dpl-log
	has "$output" 'a line'
	expect 0 dpl-call list -a
	has "$output" "$call"
	expect 1 dpl-abort --check
	is "$(sum)" "$before"
}

@test "complete --key: the same answer after the end, another request 6" {
	call=$(dpl-call start)
	expect 0 dpl-complete --key c1 --cancel
	is "$output" completed
	expect 0 dpl-complete --key c1 --cancel
	is "$output" completed
	expect 0 dpl-complete --key c1 --cancel --json
	holds '.replayed and .state == "completed" and .cancelledCalls == 1 and .seq == 4'
	expect 6 dpl-complete --key c1 --cancel --failed
	refused dpl-complete c1
	expect 6 dpl-complete --key c1 --json
	json_error key-reused
	expect 6 dpl-complete --key c2
	is "$(entries "$op" | wc -l)" 5
	[ -n "$call" ]
}

@test "a maker that died between the last line and the rename: the next reader finishes it" {
	dpl-complete -q
	mv "$ledger/backup/$op" "$ledger/$op"
	rm "$ledger/$op/operation.log" "$ledger/$op/operation.json"
	expect 6 dpl-log x
	refused dpl-log 'has ended'
	[ ! -e "$ledger/$op" ]
	[ -e "$ledger/backup/$op/operation.json" ]
	mv "$ledger/backup/$op" "$ledger/$op"
	rm "$ledger/$op/operation.log"
	expect 0 dpl-show --json
	holds '.ended and .state == "completed"'
	[ -e "$ledger/backup/$op/operation.log" ]
}

@test "the end is there while the move fails, and the next command finishes it" {
	local_only 'it is the server that says so'
	rmdir "$ledger/backup"
	touch "$ledger/backup"
	expect 0 dpl-complete
	is "$output" completed
	has "$stderr" 'dpl-complete: ' 'the next command'
	expect 6 dpl-log x
	rm "$ledger/backup"
	expect 6 dpl-log x
	[ -e "$ledger/backup/$op/operation.json" ]
}

@test "the newest 20 ended ones stay, of failed and aborted ones 100" {
	dpl-complete -q --failed
	failed=$op
	abort=$(dpl-create)
	dpl-abort -o "$abort"
	dpl-complete -qo "$abort"
	keyed=$(dpl-create --key k)
	dpl-complete -qo "$keyed"
	for i in $(seq 25); do
		id=$(dpl-create -d "$i")
		dpl-complete -qo "$id"
	done
	is "$(names "$ledger/backup" | wc -w)" 22
	[ -d "$ledger/backup/$failed" ]
	[ -d "$ledger/backup/$abort" ]
	[ ! -d "$ledger/backup/$keyed" ]
	# Each create through a helper has a key.
	[ "${BACKEND:-}" = http ] || is "$(names "$ledger/keys")" ''
	is "$(dpl-show -aq | wc -l)" 22
	# Folders that are not ours stay.
	mkdir "$ledger/backup/my notes" "$ledger/backup/2020"
	dpl-complete -qo "$(dpl-create)"
	[ -d "$ledger/backup/my notes" ]
	[ -d "$ledger/backup/2020" ]
	# The key of one that is gone makes a new operation.
	expect 0 dpl-create --key k
	[ "$output" != "$keyed" ]
}

@test "complete takes no operand; -q prints nothing, -v says what was written" {
	expect 2 dpl-complete "$op"
	refused dpl-complete "'$op'"
	expect 0 dpl-complete -v
	has "$stderr" "dpl-complete: entry 2 of $op in $DPL_LEDGER"
	op=$(dpl-create)
	expect 0 dpl-complete -qo "$op"
	silent
}

@test "with flushes on: create, call, log, abort, complete" {
	export DPL_SYNC=on
	op=$(dpl-create)
	call=$(dpl-call start -o "$op")
	expect 0 dpl-log -o "$op" hello
	expect 0 dpl-call end -o "$op" "$call"
	expect 0 dpl-abort -o "$op"
	expect 0 dpl-complete -o "$op"
	is "$output" 'completed, aborted'
	whole "$op"
}

@test "its papers are made as well where files without a name cannot be; nothing is left beside them" {
	need_strace
	local_only 'system calls of one process'
	op=$(dpl-create)
	strace -qq -o trace -e trace=open,openat dpl-complete -q -o "$op"
	at=$(grep -n O_TMPFILE trace | head -n 1 | cut -d: -f1)
	name=$(sed -n "${at}s/(.*//p" trace)
	[ -n "$at" ]
	at=$(grep -c "^$name(" <(head -n "$at" trace))
	op=$(dpl-create)
	expect 0 strace -qq -o trace -e trace=open,openat -e inject="$name:error=EOPNOTSUPP:when=$at" dpl-complete -q -o "$op"
	grep -q 'O_TMPFILE.*INJECTED' trace
	grep -q '\.operation\.json\.' trace
	is "$(jq -r .state "$ledger/backup/$op/operation.json")" completed
	[ -s "$ledger/backup/$op/operation.log" ]
	is "$(find "$ledger/backup/$op" -name '.*')" ''
	# Nor where who made them was killed before they had their name: by whoever goes on.
	op=$(dpl-create)
	expect 137 strace -qq -o trace -e trace=open,openat,renameat2 -e inject="$name:error=EOPNOTSUPP:when=$at" -e inject=renameat2:signal=KILL:when=1 dpl-complete -q -o "$op"
	has "$(ls -A "$ledger/$op")" .operation.json.
	expect 0 dpl-show -o "$op"
	whole "$op"
	is "$(find "$ledger/backup/$op" -name '.*')" ''
}
