#!/usr/bin/env bats
# The wall clock is set forward and back in the middle of things: of the commands alone (tests/tools/stepped.c), never the machine's

# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # jq's $ and conditions of wait_for; each test is a subshell; helper.bash sets them

load helper
load tools/beat.bash

steps='86400 -86400 3600 -3600'
few='86400 -3600' # where each takes its time

setup() {
	fresh_ledger
	PATH=$BUILD/tools/stepped:$PATH
	export DPL_TEST_CLOCK=$BATS_TEST_TMPDIR/clock
	mkdir tmp
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
	# In one rename: nobody reads half of it.
	cat >step <<-'END'
		#!/bin/sh
		echo "$1" >"${0%/*}/clock.$$" && mv "${0%/*}/clock.$$" "${0%/*}/clock"
	END
	chmod 755 step
	./step 0
}

teardown() {
	end_background
	# let_go looks for those of $BUILD/bin.
	[ "$(readlink "/proc/${mute:-none}/exe")" != "$BUILD/tools/stepped/dpl-beat" ] || kill -9 "$mute"
}

# An operation whose window is so long, with somebody of whom nobody knows but by a lease.
operation() {
	./step 0
	quick_operation --window "${1:-2s}"
	idler
	dpl-join -qp given --ttl 20s --pid "$pid"
	dpl-join -qp default --pid "$pid"
}

# worker: its supervised call owns a file, a folder and two undo commands, and runs; $pid is the supervisor.
worker() {
	rm -f ran ready
	dpl-join -qp w
	in_background dpl-call -p w -- sh -c 'dpl-temp make -q && dpl-temp make -q -d && dpl-temp add -q --command "${1:-true}; echo one >>ran" &&
		dpl-temp add -q --command "${2:-true}; echo two >>ran" && : >ready && exec sleep 1000' worker "$@"
	wait_for '[ -e ready ]'
}

# It failed once, by the death of w alone, and all that was registered went, each once.
all_went_once() {
	settled && whole "$op" &&
		is "$(jq -r 'select(.event == "crash.detected") | .participantId' <(journal_text "$op"))" w &&
		is "$(entries "$op" | grep -cx operation.failed)" 1 &&
		is "$(jq -r 'select(.event == "resource.removed") | "\(.resourceId) \(.result)"' <(journal_text "$op") | sort | paste -sd ,)" '1 removed,2 removed,3 removed,4 removed' &&
		is "$(paste -sd ' ' ran)" 'two one' && is "$(names tmp)" ''
}

# How far the times of the journal go forward and back from line to line, in whole hours.
jumps() {
	jq -rs '[.[].at | sub("\\.[0-9]*Z"; "Z") | fromdate] | [.[1:], .[:-1]] | transpose | map(((.[0] - .[1]) / 3600) | round | select(. != 0)) | map(tostring) | join(" ")' <(journal_text "$op")
}

milliseconds() {
	echo $((${EPOCHREALTIME/[!0-9]/} / 1000))
}

# Whether between so many and so many milliseconds have passed since $begun, by the machine's clock.
took() {
	local ms=$(($(milliseconds) - begun))
	[ "$ms" -ge "$1" ] && [ "$ms" -le "$2" ] && return
	echo "$ms ms, not $1 to $2"
	return 1
}

@test "the clock that these tests set: all follow it at once, in both ways of reading it" {
	local n=0
	op=$(dpl-create)
	export DPL_OPERATION=$op
	for offset in $steps; do
		./step "$offset"
		dpl-log x
	done
	# One that runs, and has read it more often than the first few times.
	./step 0
	mkfifo requests
	in_background sh -c 'exec dpl-batch <requests >answers'
	exec 5>requests
	for offset in 0 0 0 0 0 0 0 0 0 0 86400 -86400; do
		./step "$offset"
		echo "{\"path\":\"/operation/log\",\"body\":{\"operationId\":\"$op\",\"participantId\":\"me\",\"message\":\"x\"}}" >&5
		n=$((n + 1))
		wait_for '[ "$(wc -l <answers)" -eq $n ]'
	done
	exec 5>&-
	ended "$pid"
	is "$(jumps)" '24 -48 25 -2 1 24 -48'
}

# --- deaths and cleanups ---

@test "a step between a death and its cleanup" {
	for offset in $few; do
		operation
		worker
		kill -9 "$pid"
		ended "$pid"
		./step "$offset"
		expect 0 dpl-cleanup
		all_went_once
		is "$(jumps)" "$((offset / 3600))"
		is "$(grep -c cleanup.started "$(journal "$op")")" 1
	done
}

@test "steps in undo commands, of which others look on" {
	for offset in $few; do
		operation
		# A supervisor and a keeper, who would take over from a coordinator that they hold for dead.
		worker "./step 0; sleep 0.15" "./step $offset; sleep 0.15"
		dying=$pid
		in_background dpl-call -p given -- sleep 1000
		other=$pid
		idler
		dpl-join -qp kept --keep="$pid"
		kill -9 "$dying"
		ended "$dying"
		expect 0 dpl-cleanup
		ended "$other"
		is "$status" 123
		all_went_once
		# Who coordinates is not held for silent.
		is "$(grep -c cleanup.started "$(journal "$op")")" 1
		has " $(jumps) " " $((offset / 3600)) " " $((-offset / 3600)) "
	done
}

@test "steps between the phases of a cleanup" {
	for offset in $few; do
		operation
		worker
		dying=$pid
		# The coordinator is one of these, and waits for the other.
		in_background dpl-call -p given --on-cleanup "./step $offset; sleep 0.2" -- sleep 1000
		first=$pid
		in_background dpl-call -p default --on-failure "until grep -Eq 'call.(failed|cancelled)' '$ops/journal.jsonl'; do sleep 0.01; done; ./step 0" -- sleep 1000
		second=$pid
		wait_for '[ "$(grep -c call.started "$(journal "$op")")" -eq 3 ]'
		kill -9 "$dying"
		ended "$first"
		is "$status" 123
		ended "$second"
		is "$status" 123
		wait_for settled
		all_went_once
		is "$(jumps)" "$((offset / 3600)) $((-offset / 3600))"
	done
}

@test "a coordinator that is killed after a step is replaced at once, and what it has done is not done again" {
	for offset in $few; do
		operation
		worker 'while [ -e hold ]; do sleep 0.01; done'
		kill -9 "$pid"
		ended "$pid"
		: >hold
		in_background dpl-cleanup
		wait_for 'grep -q two ran 2>/dev/null && grep -q "resource.removed.*:4," "$(journal "$op")"'
		./step "$offset"
		kill -9 "$pid"
		ended "$pid"
		rm hold
		begun=$(milliseconds)
		expect 0 dpl-cleanup
		took 0 5000
		all_went_once
		is "$(grep -c cleanup.started "$(journal "$op")")" 2
	done
}

# --- who is alive ---

@test "leases: a step makes nobody dead, and keeps nobody alive" {
	operation
	dpl-join -qp brief --ttl 5s
	for offset in $steps; do
		# A beat by the one clock, looked at by the other.
		for looks in "$offset 0" "0 $offset"; do
			./step "${looks% *}"
			expect 0 dpl-beat -qp given
			expect 0 dpl-beat -qp brief
			./step "${looks#* }"
			expect 0 dpl-beat --json
			holds '.people | map(.liveness) == ["alive", "alive", "alive", "alive"] and all(.[]; .beatAgeMs < 15000)'
		done
	done
	for offset in $few; do
		operation
		dpl-join -qp brief --ttl 300ms
		./step "$offset"
		wait_for '[ "$(life brief)" = stale ]' 3
		is "$(life given)" alive
		expect 5 dpl-beat -q
		is "$(deaths)" 1
		is "$(deaths brief)" 1
	done
}

@test "beats, keepers and supervisors go on through steps, and nobody is hung" {
	op=$(dpl-create --beat 100ms --jitter 20ms --stale 1s --pid $$)
	export DPL_OPERATION=$op
	ops=$ledger/$op
	dpl-join -qp given --ttl 20s
	idler
	dpl-join -qp default --pid "$pid"
	keeper=$(dpl-beat --keep --pid "$pid" -p default)
	in_background dpl-beat --every 30ms --json -p given >said
	in_background dpl-call -- sleep 1000
	wait_for 'grep -q call.started "$ops/journal.jsonl"'
	for offset in $steps 0; do
		./step "$offset"
		# At once, before anybody beats by the new time, and after longer than what makes one hung.
		for more in 0 36; do
			n=$(wc -l <said)
			wait_for '[ "$(wc -l <said)" -ge $((n + more)) ]'
			is "$(dpl-show --json | jq -r '[.participants[], .calls[]] | map(.liveness) | unique | join(" ")')" alive
		done
	done
	is "$(deaths)" 0
	kill -0 "$keeper"
}

# --- waits ---

@test "waits end in their time, whatever the clock does meanwhile" {
	local n=0 waits=()
	operation
	# Started together; each says how long it took.
	timed() {
		local begun status=0
		begun=$(milliseconds)
		"$@" >/dev/null 2>&1 || status=$?
		echo "$status $(($(milliseconds) - begun)) $*" >>took
	}
	# One of them is for a lock.
	in_background flock --no-fork "$ops/journal.jsonl" sleep 1000
	wait_for '! flock -n "$ops/journal.jsonl" true'
	for wait in 'dpl-watch --until failed -t 1s' 'dpl-watch --all -t 1s' 'dpl-watch --from 1 -t 1s' 'dpl-log -f -t 1s' 'dpl-log -t 1s x'; do
		# shellcheck disable=SC2086 # words
		in_background timed $wait
		waits+=("$pid")
	done
	for ((n = 0; n < 20; n++)); do
		for offset in $steps; do
			./step "$offset"
			sleep 0.01
		done
	done
	for pid in "${waits[@]}"; do
		ended "$pid"
	done
	cat took
	is "$(wc -l <took)" ${#waits[@]}
	# A watch of all ends well.
	awk '$1 != (/--all/ ? 0 : 124) || $2 < 950 || $2 > 9000 { exit 1 }' took
}

@test "--timeout, --grace and --watchdog are of the machine's time" {
	operation
	for offset in $few; do
		begun=$(milliseconds)
		expect 124 dpl-call --timeout 1s --grace 300ms -- bash -c 'trap "" TERM; ./step "$1"; while :; do sleep 0.05; done' x "$offset"
		took 1250 4000
		begun=$(milliseconds)
		expect 124 dpl-call --watchdog 300ms -- sh -c './step 0; exec sleep 1000'
		took 250 3000
	done
}

@test "the window of a cleanup is of the machine's time, for who is waited for and for who undoes something" {
	operation 5s
	hold_up
	worker
	begun=$(milliseconds)
	kill -9 "$pid"
	ended "$pid"
	in_background dpl-cleanup
	cleaner=$pid
	wait_for 'grep -q cleanup.started "$ops/journal.jsonl"'
	for offset in 3600 -3600; do
		./step "$offset"
		expect 0 dpl-call --aborted-ok -- true
	done
	ended "$cleaner"
	is "$status" 0
	took 4900 9500
	all_went_once
}

@test "dpl-cleanup -t: its time is over when it is over" {
	operation 1h
	hold_up
	worker
	kill -9 "$pid"
	ended "$pid"
	for offset in $few; do
		in_background dpl-cleanup -t 600ms
		begun=$(milliseconds)
		sleep 0.1
		./step "$offset"
		ended "$pid"
		is "$status" 1
		took 400 3000
	done
	[ -d "$ops" ]
}

# --- the journal ---

@test "a journal whose times go back: all is in the order of seq, and no time is less than none" {
	op=$(dpl-create)
	export DPL_OPERATION=$op
	in_background dpl-watch --from 1 --json >watched
	call=$(dpl-call start)
	for n in 1 2 3 4 5 6 7 8; do
		./step "$((n % 2 ? -n * 3600 : n * 3600))"
		dpl-log "entry $n"
	done
	./step -86400
	dpl-call end -q "$call"
	{ dpl-show && dpl-show --tree && dpl-show --trail && dpl-call list -a && dpl-show --why; } >shown
	is "$(grep -E '[ .]-[0-9]' shown)" ''
	is "$(dpl-log -q | paste -sd ,)" "$(seq -f 'entry %g' -s , 8)"
	is "$(dpl-log -q --tail 2 | paste -sd ,)" 'entry 7,entry 8'
	is "$(dpl-show --trail --json | jq -s 'map(.seq) == [range(1; 12)]')" true
	expect 0 dpl-show --json
	holds '[.durationMs, .calls[].durationMs] == [0, 0]'
	# By number it is shown as it was, at any entry.
	for n in 3 7 11; do
		expect 0 dpl-show --json --at "$n"
		holds ".seq == $n"
	done
	dpl-complete -q
	wait_for 'gone "$pid"'
	is "$(jq -s 'map(.seq) == [range(1; length + 1)] and length > 11' watched)" true
	dpl-show --trail >/dev/null
	whole "$op"
}

# --- temp resources ---

@test "what was registered before a step goes after it" {
	mkdir data
	for offset in $few; do
		for way in remove leave complete; do
			operation
			file=$(dpl-temp make -p given)
			folder=$(dpl-temp make -d -p given)
			: >data/added
			dpl-temp add -q -p given "$PWD/data/added"
			dpl-temp add -q -p given --command 'echo undone >>ran'
			rm -f ran
			./step "$offset"
			case $way in
			remove) dpl-temp remove -qap given ;;
			leave) dpl-leave -qp given ;;
			complete) dpl-complete -q ;;
			esac
			is "$(jq -r 'select(.event == "resource.removed") | .result' <(journal_text "$op") | paste -sd ' ')" 'removed removed removed removed'
			is "$(names data)$(names tmp)" ''
			is "$(<ran)" undone
		done
	done
}

@test "what goes by its name or was not yet recorded: forward it goes, back it is left, with the reason" {
	mkdir data
	for offset in $steps; do
		operation
		# The registration is by the clock before the step, the file by the one behind it, which is the kernel's.
		./step "$((-offset))"
		dpl-temp add -q --by-name "$PWD/data/later"
		file=$(dpl-temp make)
		# Its maker was killed before it could say what it made.
		sed -i '${/resource.made/d}' "$ops/journal.jsonl"
		./step 0
		: >data/later
		dpl-complete -q || true
		if [ "$offset" -gt 0 ]; then
			is "$(names data)$(names tmp)" ''
		else
			is "$(names data) $(names tmp)" "later ${file##*/}"
			is "$(jq -r 'select(.event == "resource.removed") | "\(.result): \(.reason)"' <(journal_text "$op") | sort -u)" 'left: the file that is there now is older than the registration'
			rm -r data/later tmp/*
		fi
	done
}

@test "a file that is older than a registration by name stays" {
	: >old
	for offset in 86400 3600 0; do
		operation
		./step "$offset"
		dpl-temp add -q --by-name "$PWD/data"
		./step 0
		mv old data
		dpl-complete -q
		mv data old
	done
}

# --- ids ---

@test "what ends after a step back is not the first to be pruned" {
	for step in '86400 0' '0 -86400' '3600 0' '0 -3600'; do
		rm -rf "$ledger"
		./step "${step% *}"
		before=$(dpl-create)
		for ((i = 0; i < 21; i++)); do
			dpl-create -q
			dpl-complete -qo @@
		done
		./step "${step#* }"
		# It began before the step.
		dpl-complete -qo "$before"
		[ -d "$ledger/backup/$before" ]
		for ((i = 0; i < 3; i++)); do
			id=$(dpl-create)
			dpl-complete -qo "$id"
			ids[i]=$id
		done
		for id in "${ids[@]}"; do
			[ -d "$ledger/backup/$id" ]
		done
		is "$(find "$ledger/backup" -mindepth 1 -maxdepth 1 | wc -l)" 20
		dpl-cleanup --prune --keep 3 >gone
		is "$(names "$ledger/backup")" "${ids[*]}"
	done
}
