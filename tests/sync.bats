#!/usr/bin/env bats
# Waiting for calls: sync; and slots, by which they wait for each other

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # $ that does not expand; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	export MARK=$BATS_TEST_TMPDIR
	# shellcheck disable=SC2046 # words
	op=$(dpl-create --window 2s $(mortal))
	export DPL_OPERATION=$op
}

teardown() {
	end_background
	end_marked
}

state_of() {
	dpl-call list -aj -o "$op" | jq -r --arg id "$1" '.calls[] | select(.callId == $id).state'
}

# supervisor_of CALL: of one that was queued or started.
supervisor_of() {
	jq -r --arg id "$1" 'select(.callId == $id and (.event == "call.queued" or .event == "call.started")).supervisorPid' <(journal_text "$op") | head -n 1
}

@test "sync: all that were spawned in the session, which succeeded and which failed" {
	one=$(dpl-call spawn --result-from stdout -- echo 42)
	two=$(dpl-call spawn -- sh -c 'exit 3')
	three=$(dpl-call spawn -- true)
	dpl-call start -q # not spawned: nobody waits for it
	expect 5 dpl-call sync
	is "$(sort <<<"$output")" "$(printf '%s\n' "failed    $two exit status 3" "succeeded $one 42" "succeeded $three")"
	# Again, by another process, in another folder.
	cd /
	expect 5 dpl-call sync --json
	holds '.ok and (.met | not) and ([.succeeded[].callId] | sort) == ([$one, $three] | sort) and (.failed | length) == 1 and .failed[0].error == "exit status 3" and .failed[0].status == 3 and .unknown == []' \
		--arg one "$one" --arg three "$three"
	holds '[.succeeded[] | select(has("result"))] == [{"callId":$one,"state":"ended","status":0,"result":"42"}]' --arg one "$one"
	expect 0 dpl-call sync "$one" "$three" "$one"
	is "$(wc -l <<<"$output")" 2
	expect 5 dpl-call sync -q "$two"
	is "$output" ''
}

@test "sync: nothing to wait for is 1, what never was is 3 and named" {
	expect 1 dpl-call sync
	has "$stderr" 'nothing to wait for'
	expect 1 dpl-call sync --json
	holds '.ok and .succeeded == [] and .failed == [] and .unknown == []'
	expect 1 dpl-call sync --group g
	one=$(dpl-call spawn -- true)
	expect 3 dpl-call sync "$one" nonesuch
	has "$output" 'unknown   nonesuch' "$one"
	expect 3 dpl-call sync --json nonesuch
	holds '.unknown == [{"callId":"nonesuch","state":"unknown"}]'
	runs=$(dpl-call spawn -- sleep 60)
	expect 3 dpl-call sync "$runs" nonesuch
	has "$output" 'unknown   nonesuch' "$runs running"
	expect 0 dpl-call cancel "$runs"
	expect 2 dpl-call sync --any --all "$one"
	expect 2 dpl-call sync --count 2 "$one"
	expect 2 dpl-call sync --count 0 "$one"
	expect 2 dpl-call sync --group g "$one"
	expect 2 dpl-call sync '../x'
	expect 3 dpl-call sync -o nonesuch
}

@test "sync waits, says whom for, and uses no processor" {
	mkfifo gate
	one=$(dpl-call spawn -- cat gate)
	in_background bash -c 'exec dpl-call sync >out.sync 2>err.sync'
	wait_for '[ -s err.sync ]'
	has "$(<err.sync)" "waiting for $one (running)"
	read -r _ _ _ _ _ _ _ _ _ _ _ _ _ user system _ <"/proc/$pid/stat"
	before=$((user + system))
	sleep 1
	read -r _ _ _ _ _ _ _ _ _ _ _ _ _ user system _ <"/proc/$pid/stat"
	[ $((user + system - before)) -le 1 ]
	: >gate
	ended "$pid"
	is "$status" 0
	has "$(<out.sync)" "succeeded $one"
}

@test "--any, --count, --first-fail" {
	mkfifo gate
	slow=$(dpl-call spawn -- cat gate)
	good=$(dpl-call spawn -- true)
	bad=$(dpl-call spawn -- false)
	expect 0 dpl-call sync --any
	expect 0 dpl-call sync --any "$slow" "$good"
	expect 0 dpl-call sync --count 1 "$slow" "$good"
	# It can no longer come true.
	expect 5 dpl-call sync --count 2 "$good" "$bad"
	expect 5 dpl-call sync --count 3
	expect 5 dpl-call sync --first-fail
	has "$output" "unknown   $slow running" "failed    $bad"
	expect 5 dpl-call sync --any "$bad"
	in_background dpl-call sync --count 2 "$slow" "$good" "$bad"
	: >gate
	ended "$pid"
	is "$status" 0
	expect 0 dpl-call sync --first-fail "$slow" "$good"
}

@test "-t: 124, with what is known; interrupted and asked again nothing is lost" {
	mkfifo gate
	slow=$(dpl-call spawn --result-from stdout -- cat gate)
	good=$(dpl-call spawn --result-from stdout -- echo x)
	dpl-call wait "$good"
	expect 124 dpl-call sync -t 200ms
	has "$output" "succeeded $good x" "unknown   $slow running"
	expect 124 dpl-call sync -t 0
	in_background env --default-signal=INT dpl-call sync
	wait_for '[ "$(cat "/proc/$pid/comm")" = dpl-call ]' # until then it ignores SIGINT, as what a shell runs with & does
	kill -INT "$pid"
	ended "$pid"
	is "$status" 130
	expect 124 dpl-call sync --json -t 1ms
	holds '.timedOut and .unknown[0].state == "running"'
	echo y >gate
	expect 0 dpl-call sync
	has "$output" "succeeded $slow y" "succeeded $good x"
}

@test "two syncs at once give the same" {
	mkfifo gate
	one=$(dpl-call spawn --result-from stdout -- cat gate)
	in_background bash -c 'exec dpl-call sync >a'
	a=$pid
	in_background bash -c 'exec dpl-call sync >b'
	b=$pid
	echo z >gate
	ended "$a"
	is "$status" 0
	ended "$b"
	is "$status" 0
	is "$(<a)" "succeeded $one z"
	cmp a b
}

@test "sync ends when the operation is aborted, fails, or ends" {
	one=$(dpl-call spawn --aborted-ok -- sleep 60)
	in_background bash -c 'exec dpl-call sync >out.sync'
	waits "$pid"
	dpl-abort -q -m stop
	ended "$pid"
	is "$status" 4
	has "$(<out.sync)" "unknown   $one"
	dpl-call kill -s KILL "$one"
	dpl-complete -q --force 2>/dev/null || dpl-complete -q || true

	# shellcheck disable=SC2046 # words
	op=$(dpl-create --window 2s $(mortal))
	DPL_OPERATION=$op
	one=$(dpl-call spawn -- sh -c 'trap "" TERM; sleep 60')
	two=$(dpl-call spawn -- sleep 60)
	in_background bash -c 'exec dpl-call sync'
	waits "$pid"
	kill -KILL "$(supervisor_of "$two")"
	ended "$pid"
	is "$status" 5
}

@test "a sync alone notices that a supervisor died" {
	one=$(dpl-call spawn --no-fail-on-crash -- sleep 60)
	in_background bash -c 'exec dpl-call sync >out.sync'
	kill -KILL "$(supervisor_of "$one")"
	ended "$pid"
	is "$status" 5
	has "$(<out.sync)" "failed    $one" "$(fallen)"
}

@test "sync by session and by group; a session of its own sees its own" {
	one=$(dpl-call spawn --group g -- true)
	eval "$(dpl-join --export -p other)"
	two=$(dpl-call spawn -- true)
	expect 0 dpl-call sync
	is "$output" "succeeded $two"
	expect 0 dpl-call sync --group g
	is "$output" "succeeded $one"
	expect 0 dpl-call sync --session 1
	is "$output" "succeeded $one"
	unset DPL_SESSION
	expect 0 dpl-call sync
	is "$output" "succeeded $two"
	expect 0 dpl-call sync "$one" "$two"
}

@test "sync and results when the operation has ended" {
	one=$(dpl-call spawn --result-from stdout -- echo 1)
	expect 0 dpl-call sync
	dpl-complete -q
	expect 0 dpl-call sync -o "$op"
	is "$output" "succeeded $one 1"
	is "$(dpl-call result -o "$op" "$one")" 1
	expect 0 dpl-call wait -o "$op" "$one"
}

# --- slots ---

@test "slots: never more at a time, in order, all of them" {
	for i in 1 2 3 4 5 6 7 8 9; do
		dpl-call spawn -q --slots 2 -- sh -c 'until [ -e go ]; do sleep 0.05; done; echo "$1" >>order; mkdir "in.$1"; ls -d in.* | wc -l >>most; sleep 0.05; rmdir "in.$1"' sh "$i"
	done
	: >go
	expect 0 dpl-call sync
	is "$(wc -l <<<"$output")" 9
	[ "$(sort -n most | tail -n 1)" -le 2 ]
	# The two that run at a time may be swapped.
	is "$(sort -n order | tr '\n' ' ')" '1 2 3 4 5 6 7 8 9 '
	is "$(jq -r 'select(.event == "call.started").callId' <(journal_text "$op") | cut -d_ -f3 | tr '\n' ' ')" '1 2 3 4 5 6 7 8 9 '
	is "$(count '.event == "call.queued"')" 7
	is "$(dpl-show --json | jq -c '[.callCounts.running, .callCounts.ended]')" '[0,9]'
}

@test "a queued call is shown as such, and uses no processor" {
	mkfifo gate
	one=$(dpl-call spawn --slots 1 --group g -- cat gate)
	two=$(dpl-call spawn --slots 1 --group g -d 'the second' -- true)
	is "$(state_of "$two")" queued
	expect 0 dpl-call list
	has "$output" queued 'the second'
	pid=$(supervisor_of "$two")
	read -r _ _ _ _ _ _ _ _ _ _ _ _ _ user system _ <"/proc/$pid/stat"
	before=$((user + system))
	sleep 1
	read -r _ _ _ _ _ _ _ _ _ _ _ _ _ user system _ <"/proc/$pid/stat"
	[ $((user + system - before)) -le 1 ] # a beat is a part of a tick
	# Another group waits for nobody.
	three=$(dpl-call spawn --slots 1 --group h -- true)
	expect 0 dpl-call sync "$three"
	: >gate
	expect 0 dpl-call sync
}

@test "a queued call is killed: it crashed, never ran, and the rest go on" {
	mkfifo gate
	one=$(dpl-call spawn --slots 1 -- cat gate)
	two=$(dpl-call spawn --slots 1 -- sh -c ': >two')
	three=$(dpl-call spawn --slots 1 -- sh -c ': >three')
	kill -KILL "$(supervisor_of "$two")"
	wait_for '[ "$(state_of "$two")" = crashed ]'
	is "$(state_of "$three")" queued
	: >gate
	expect 0 dpl-call sync "$one" "$three"
	[ -e three ] && [ ! -e two ]
	expect 5 dpl-call sync "$two"
	is "$(dpl-call list -aj | jq -r --arg id "$two" '.calls[] | select(.callId == $id).neverRan')" true
	is "$(dpl-show --json | jq -r .state)" running
	is "$(count '.event == "crash.detected"')" 0
}

@test "the one that runs is killed: the next begins" {
	one=$(dpl-call spawn --slots 1 --no-fail-on-crash -- sleep 60)
	two=$(dpl-call spawn --slots 1 -- true)
	three=$(dpl-call spawn --slots 1 -- true)
	kill -KILL "$(supervisor_of "$one")"
	expect 0 dpl-call sync "$two" "$three"
	is "$(state_of "$one")" crashed
}

@test "queued ones that are cancelled, signalled, killed by name, aborted" {
	mkfifo gate
	one=$(dpl-call spawn --slots 1 -- cat gate)
	two=$(dpl-call spawn --slots 1 -- sh -c ': >ran')
	three=$(dpl-call spawn --slots 1 -- sh -c ': >ran')
	four=$(dpl-call spawn --slots 1 -- sh -c ': >ran')
	dpl-call cancel "$two"
	expect 122 dpl-call wait -q "$two"
	kill -TERM "$(supervisor_of "$three")"
	expect 143 dpl-call wait "$three"
	has "$stderr" 'while it was queued'
	dpl-call kill "$four"
	expect 143 dpl-call wait -q "$four"
	five=$(dpl-call spawn --slots 1 --on-abort ': >ran' -- sh -c ': >ran')
	dpl-abort -q -m stop
	expect 122 dpl-call wait -q "$five"
	expect 122 dpl-call wait -q "$one"
	[ ! -e ran ]
	wait_for '[ -z "$(marked)" ]'
}

@test "slots in the foreground, and misuse" {
	mkfifo gate
	one=$(dpl-call spawn --slots 1 --group g -- cat gate)
	in_background dpl-call --slots 1 --group g --id fore -- sh -c ': >ran; exit 3'
	wait_for '[ "$(state_of fore)" = queued ]'
	[ ! -e ran ]
	: >gate
	ended "$pid"
	is "$status" 3
	[ -e ran ]
	expect 125 dpl-call --slots 0 -- true
	expect 125 dpl-call --group .. -- true
	# Ctrl-C while it waits.
	one=$(dpl-call spawn --slots 1 --group g -- cat gate)
	in_background env --default-signal=INT dpl-call --slots 1 --group g --id again -- true
	wait_for '[ "$(state_of again)" = queued ]'
	kill -INT "$pid"
	ended "$pid"
	is "$status" 130
	is "$(state_of again)" cancelled
	: >gate
}

@test "the operation fails while some are queued: they end, and it is archived" {
	one=$(dpl-call spawn --slots 1 -- sleep 60)
	for i in 1 2 3; do
		dpl-call spawn -q --slots 1 -- sh -c ': >ran'
	done
	kill -KILL "$(supervisor_of "$one")"
	wait_for "[ -e '$ledger/backup/$op' ]"
	[ ! -e ran ]
	wait_for '[ -z "$(marked)" ]'
	is "$(dpl-show --json "$op" | jq -r .state)" failed
}

# removing: somebody removes, until there is a file `enough`: who does holds the first byte of this one.
removing() {
	in_background python3 -c '
import fcntl, os, struct, sys, time
f = open(sys.argv[1], "ab")
fcntl.fcntl(f, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)) # F_OFD_SETLK
open("holds", "x")
while not os.path.exists("enough"):
    time.sleep(0.01)
' "$ledger/$op/coordinator"
	wait_for '[ -e holds ]'
}

@test "the operation fails while one is queued, and another removes just then: it sees to the rest" {
	one=$(dpl-call spawn --slots 1 -- sleep 60)
	dpl-call spawn -q --slots 1 -- true
	# For longer than a command waits that cleans up by the way.
	removing
	kill -KILL "$(supervisor_of "$one")"
	wait_for 'grep -q call.cancelled "$ledger/$op/journal.jsonl"'
	sleep 0.5
	touch enough
	wait_for "[ -e '$ledger/backup/$op' ]"
	wait_for '[ -z "$(marked)" ]'
}

@test "somebody dies just as it is the turn of one that was queued: it sees to the rest" {
	local_only 'of system calls on a folder'
	strace -qq -o /dev/null true 2>/dev/null || skip 'no strace here'
	[ -z "${SANITIZED:-}" ] || skip 'strace and the sanitizers'
	mkfifo gate
	one=$(dpl-call spawn --slots 1 -- cat gate)
	dies=$(dpl-call spawn -- sleep 60)
	# It is stopped as it forks its command for the second time, behind its look at how things stand.
	in_background strace -qq -o trace -e trace=clone,fork,vfork -e inject=clone,fork,vfork:signal=STOP:when=2 dpl-call --slots 1 --id two -- true
	tracer=$pid
	wait_for '[ "$(state_of two)" = queued ]'
	: >gate
	wait_for 'grep -q "stopped by SIGSTOP" trace'
	removing
	kill -KILL "$(supervisor_of "$dies")"
	wait_for 'dpl-beat -q; grep -q crash.detected "$ledger/$op/journal.jsonl"'
	kill -CONT "$(supervisor_of two)"
	wait_for 'grep -q call.cancelled "$ledger/$op/journal.jsonl"'
	sleep 0.5
	touch enough
	ended "$tracer"
	wait_for "[ -e '$ledger/backup/$op' ]"
}

@test "many at once, spawned by many: each runs once, no more than the slots" {
	for i in 1 2 3 4; do
		in_background bash -c 'for k in 1 2 3 4 5 6 7 8 9 10; do dpl-call spawn -q --slots 3 -- sh -c "echo x >>ran"; done'
	done
	for pid in "${background[@]}"; do
		ended "$pid"
		is "$status" 0
	done
	expect 0 dpl-call sync -q
	is "$(wc -l <ran)" 40
	is "$(count '.event == "call.ended"')" 40
	# So many have started and not ended, at any time.
	is "$(jq -s 'reduce .[] as $e ({n: 0, most: 0};
		if $e.event == "call.started" then .n += 1 elif $e.event == "call.ended" then .n -= 1 else . end | .most = ([.most, .n] | max)) | .most <= 3' "$(journal "$op")")" true
}
