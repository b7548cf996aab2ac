#!/usr/bin/env bats
# An operation that fails: supervisors within supervisors, work that undoes something, suspended ones, waits, many requests at once

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # $ that does not expand; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	# Who does not answer in time would be waited for so long.
	op=$(dpl-create --window 20s)
	export DPL_OPERATION=$op
	mkdir tmp
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
}

# supervised COMMAND...: in the background until its call has started; $pid is the supervisor.
supervised() {
	local before
	before=$(count '.event == "call.started"')
	in_background "$@"
	wait_for "[ \"\$(count '.event == \"call.started\"')\" -gt $before ]"
}

# victim: a supervisor that can be killed, in $victim.
victim() {
	dpl-join -qp victim
	supervised dpl-call -p victim -- sleep 60
	victim=$pid
}

settled() {
	[ ! -e "$ledger/$op" ] && [ "$(last_entry "$op" .event)" = operation.archived ] && [ "$(count '.event == "operation.failed"')" = 1 ]
}

now_ms() {
	echo $((${EPOCHREALTIME/[!0-9]/} / 1000))
}

# --- supervisors within supervisors ---

@test "a supervisor within a supervisor leaves the rest to the outer one, which waits for it" {
	victim
	supervised dpl-call --id outer -- dpl-call --id inner -- dpl-call --id innermost -- sh -c 'dpl-temp make >made; : >ready; exec sleep 60'
	outer=$pid
	wait_for '[ -e ready ]'
	kill -KILL "$victim"
	start=$(now_ms)
	ended "$outer"
	is "$status" 123
	# None of them waited for another until the window was over, and none was killed for it.
	[ $(($(now_ms) - start)) -lt 15000 ]
	settled
	[ ! -e "$(<made)" ]
	is "$(count '.event == "crash.detected"')" 1
	for call in outer inner innermost; do
		is "$(count ".event == \"call.cancelled\" and .callId == \"$call\" and (.reason | startswith(\"somebody died\"))")" 1
	done
}

@test "a supervisor within another that hears of the death first: that stopped both" {
	victim
	supervised dpl-call --id outer -- dpl-call --id inner -- sh -c ': >ready; exec sleep 60'
	outer=$pid
	wait_for '[ -e ready ]'
	inner=$(jq 'select(.callId == "outer" and .event == "call.started").pid' <(journal_text "$op"))
	kill -STOP "$outer"
	kill -KILL "$victim"
	wait_for "gone $inner"
	kill -CONT "$outer"
	ended "$outer"
	is "$status" 123
	settled
	for call in outer inner; do
		is "$(count ".event == \"call.cancelled\" and .callId == \"$call\" and (.reason | startswith(\"somebody died\"))")" 1
	done
}

@test "a signal that comes before the word of an abort is not what ended the command" {
	unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances' 2>/dev/null || skip 'no namespace to take the instances away in'
	# Nothing is pushed to it: it hears of the abort when it looks, every two seconds.
	supervised unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances; exec dpl-call --id told -- sh -c ": >ready; exec sleep 60"'
	wait_for '[ -e ready ]'
	dpl-abort -q -m enough
	kill -TERM "$pid" || gone "$pid" # it has just looked
	ended "$pid"
	is "$status" 122
	is "$(count '.event == "call.cancelled" and .callId == "told" and .reason == "aborted: enough"')" 1
}

@test "the same where it goes to the command, as the supervisor of a call around this one sends it" {
	unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances' 2>/dev/null || skip 'no namespace to take the instances away in'
	supervised unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances; exec dpl-call --id told -- sh -c "echo \$\$ >it; exec sleep 60"'
	wait_for '[ -s it ]'
	dpl-abort -q -m enough
	kill -TERM "$(<it)" || gone "$(<it)"
	ended "$pid"
	is "$status" 122
	is "$(count '.event == "call.cancelled" and .callId == "told" and .reason == "aborted: enough"')" 1
	# Nobody's but its own: that is a failure.
	dpl-abort -q --clear
	supervised dpl-call --id own -- sh -c 'kill -TERM $$'
	ended "$pid"
	is "$status" 143
	is "$(count '.event == "call.failed" and .callId == "own" and .signal == 15')" 1
}

@test "where the outer one has died, the inner one goes on with it" {
	supervised dpl-call --id outer -- dpl-call --id inner -- sh -c ': >ready; exec sleep 60'
	outer=$pid
	wait_for '[ -e ready ]'
	kill -KILL "$outer"
	start=$(now_ms)
	wait_for settled
	[ $(($(now_ms) - start)) -lt 15000 ]
	is "$(count '.event == "crash.detected" and .callId == "outer"')" 1
	is "$(count '.event == "call.cancelled" and .callId == "inner"')" 1
}

@test "where the outer one dies before the inner one has a watch, that is noticed all the same" {
	strace -qq -o /dev/null true 2>/dev/null || skip 'no strace here'
	[ -z "${SANITIZED:-}" ] || skip 'strace and the sanitizers'
	for late in poll inotify_init1; do
		rm -f ready
		op=$(dpl-create --window 20s)
		DPL_OPERATION=$op
		supervised dpl-call --id outer -- strace -D -qq -o /dev/null -e trace="$late" -e inject="$late:delay_enter=1000000:when=1" dpl-call --id inner -- sh -c ': >ready; exec sleep 60'
		wait_for '[ -e ready ]'
		kill -KILL "$pid"
		wait_for settled
		is "$(count '.event == "crash.detected" and .callId == "outer"')" 1
		is "$(count '.event == "call.cancelled" and .callId == "inner"')" 1
	done
}

@test "an outer supervisor that is stopped is not waited for beyond the window by the inner one" {
	op=$(dpl-create --window 1s --beat 300ms --jitter 0s --stale 700ms)
	DPL_OPERATION=$op
	victim
	supervised dpl-call --id outer -- dpl-call --id inner -- sh -c ': >ready; exec sleep 60'
	outer=$pid
	wait_for '[ -e ready ]'
	kill -STOP "$outer"
	# It hangs before the other dies.
	wait_for 'dpl-show --json | jq -e ".calls[] | select(.callId == \"outer\") | .liveness == \"hung\"" >/dev/null'
	kill -KILL "$victim"
	wait_for settled
	ended "$outer"
	is "$status" 137
}

@test "supervisors of two operations within each other: one fails, the other goes on" {
	victim
	other=$(dpl-create)
	supervised dpl-call -o "$op" --id outer -- sh -c 'dpl-call -o "$1" --id inner -- sh -c ": >ready; sleep 60"; echo $? >inner.status; exec sleep 60' - "$other"
	outer=$pid
	wait_for '[ -e ready ]'
	kill -KILL "$victim"
	ended "$outer"
	is "$status" 123
	settled
	# The inner one is not part of the outer tree: it has its SIGTERM from its own operation alone.
	is "$(dpl-show -j "$other" | jq -r .state)" running
	dpl-abort -q -o "$other"
	wait_for '[ -z "$(dpl-call list -q -o "$other")" ]'
}

@test "one process in two operations: both fail, each with its own coordinator" {
	second=$(dpl-create)
	dpl-join -qp w --ttl 20s
	dpl-join -qp w --ttl 20s -o "$second"
	file=$(dpl-temp make)
	for o in "$op" "$second"; do
		# Long ago, by both clocks; a machine that has just booted has no such time.
		"$BUILD/tools/beatfile" "$ledger/$o/beats/p-w" age=30000
	done
	{
		for o in "$op" "$second" "$op"; do
			echo "{\"path\":\"/operation/heartbeat\",\"body\":{\"operationId\":\"$o\",\"participantId\":\"me\",\"look\":true}}"
		done
	} | dpl-batch >replies
	is "$(jq -r .status replies | paste -sd ' ')" '200 200 409'
	is "$(jq -r '.body.state // .body.code' replies | paste -sd ' ')" 'failed failed operation-failed'
	for o in "$op" "$second"; do
		op=$o
		settled
		is "$(count '.event == "cleanup.started"')" 1
	done
	[ ! -e "$file" ]
}

# --- work that undoes something ---

@test "--aborted-ok: it goes on after a death, and what it does is waited for" {
	victim
	supervised dpl-call --id undo --aborted-ok -- sh -c ': >ready; until [ -e died ]; do sleep 0.02; done; sleep 0.4; echo undone >undone'
	undo=$pid
	supervised dpl-call --id other -- sleep 60
	other=$pid
	wait_for '[ -e ready ]'
	kill -KILL "$victim"
	: >died
	ended "$undo"
	is "$status" 0
	ended "$other"
	is "$status" 123
	is "$(<undone)" undone
	settled
	is "$(count '.event == "call.ended" and .callId == "undo"')" 1
	is "$(jq -r 'select(.event == "call.ended" or .event == "cleanup.done") | .event' <(journal_text "$op") | paste -sd ' ')" 'call.ended cleanup.done'
}

@test "--aborted-ok: after half of the window it is stopped, and its supervisor lives to say so" {
	# Who heeds no SIGTERM is killed at seven eighths.
	op=$(dpl-create --window 6s)
	DPL_OPERATION=$op
	victim
	supervised dpl-call --id undo --aborted-ok -- sh -c 'trap "exit 3" TERM; : >ready; while :; do sleep 0.02; done'
	undo=$pid
	supervised dpl-call --id deaf --aborted-ok -- sh -c 'trap "" TERM; : >deaf; while :; do sleep 0.02; done'
	deaf=$pid
	wait_for '[ -e ready ] && [ -e deaf ]'
	start=$(now_ms)
	kill -KILL "$victim"
	ended "$undo"
	is "$status" 123
	[ $(($(now_ms) - start)) -ge 2900 ]
	ended "$deaf"
	is "$status" 123
	settled
	is "$(count '.event == "crash.detected"')" 1
	is "$(count '.event == "call.cancelled" and (.reason | startswith("somebody died, and half of the window is over: "))')" 2
}

# --- suspended ---

@test "a supervisor that is suspended by Ctrl-Z is waited for until the window is over, then what it runs is ended" {
	op=$(dpl-create --window 3s)
	DPL_OPERATION=$op
	victim
	dpl-join -qp idle
	supervised setsid -w dpl-call --id paused -- sh -c 'dpl-temp make >made; echo $$ >running.pid; exec sleep 60'
	wait_for '[ -s running.pid ]'
	supervisor=$(ps -o ppid= -p "$(<running.pid)" | tr -d ' ')
	kill -TSTP "$supervisor"
	wait_for 'grep -q suspended "$(journal "$op")"'
	supervised dpl-call -p idle -- sleep 60
	witness=$pid
	kill -KILL "$victim"
	start=$(now_ms)
	ended "$witness"
	is "$status" 123
	[ $(($(now_ms) - start)) -ge 2900 ]
	settled
	[ ! -e "$(<made)" ]
	wait_for 'gone "$(<running.pid)"'
	wait_for 'gone "$supervisor"'
}

# --- who only looks does not stay ---

@test "a batch that looks, and then waits for its next request, keeps nobody from going on" {
	supervised dpl-call -- sh -c 'trap "" TERM; : >ready; while :; do sleep 0.05; done'
	wait_for '[ -e ready ]'
	kill -KILL "$pid"
	ended "$pid"
	mkfifo requests
	exec 7<>requests # both, so that nobody waits for the other to open it
	in_background dpl-batch <requests >replies 7>&-
	batch=$pid
	# What the dead one left heeds no SIGTERM, so that this request cannot finish it.
	echo "{\"path\":\"/operation/heartbeat\",\"body\":{\"operationId\":\"$op\",\"participantId\":\"me\",\"look\":true}}" >&7
	wait_for '[ -s replies ]'
	is "$(jq -r .body.crashed replies)" true
	kill -0 "$batch"
	expect 0 dpl-cleanup -t 20s
	settled
	echo "{\"path\":\"/operation/heartbeat\",\"body\":{\"operationId\":\"$op\",\"participantId\":\"me\"}}" >&7
	exec 7>&-
	ended "$batch"
	is "$(tail -n 1 replies | jq -r '.body.code')" operation-failed
}

# --- waits ---

@test "a wait for a call that the death of another ended: 5, and who died" {
	victim
	call=$(dpl-call start -d 'nobody holds it')
	before=$(dpl-call start -d 'cancelled by somebody')
	dpl-join -qp leaver
	cancelled=$(dpl-call start -p leaver)
	dpl-leave -qp leaver --cancel
	in_background dpl-watch --until "call=$call" 2>said
	watcher=$pid
	wait_for "cat /proc/$watcher/fdinfo/* 2>/dev/null | grep -q '^inotify wd'"
	kill -KILL "$victim"
	dpl-beat -qv >/dev/null || true
	ended "$watcher"
	is "$status" 5
	has "$(<said)" 'victim crashed: '
	wait_for settled
	for c in "$call" "$before"; do
		expect 5 dpl-watch --until "call=$c"
		refused dpl-watch 'victim crashed: '
	done
	# One that was cancelled before that was cancelled.
	expect 4 dpl-watch --until "call=$cancelled"
	refused dpl-watch 'was cancelled'
	expect 5 dpl-watch --until completed
	expect 5 dpl-watch --until idle
	expect 5 dpl-watch --until left=me
	expect 5 dpl-watch --until participant=nobody
	expect 0 dpl-watch --until participant=victim
	expect 0 dpl-watch --until failed
	expect 1 dpl-watch --until aborted
}

@test "the phases, as dpl-watch tells them" {
	dpl-temp make >made
	in_background dpl-watch >watched
	watcher=$pid
	wait_for 'dpl-log -q tick; [ -s watched ]'
	dpl-join -qp one --keep=$$
	dpl-join -qp two --keep=$$
	victim
	kill -KILL "$victim"
	ended "$watcher"
	is "$status" 5
	has "$(<watched)" "victim's call died: " 'began the cleanup (epoch 1): victim (call_victim_1_' " answered the cleanup (epoch 1)" "removed $(<made) (resource 1)" \
		'the operation failed: victim (call_victim_1_' 'archived'
	wait_for settled # its move is behind its last line
}

# --- undo commands ---

@test "an undo command of a dead call is not taken for something that the call left running" {
	supervised dpl-call -- sh -c 'dpl-temp add -q --command "echo begun >>$PWD/undone; sleep 3; echo done >>$PWD/undone"
		setsid sh -c "trap : TERM; echo \$\$ >left; while :; do sleep 0.05; done" & : >ready; exec sleep 60'
	wait_for '[ -e ready ] && [ -s left ]'
	kill -KILL "$pid"
	ended "$pid"
	in_background dpl-cleanup -q -t 30s
	cleanup=$pid
	wait_for 'grep -qs begun undone'
	# Others look meanwhile, and end what it did leave, which takes SIGKILL.
	wait_for 'dpl-beat -qv >/dev/null; gone "$(<left)"'
	ended "$cleanup"
	wait_for 'dpl-cleanup -q; settled'
	is "$(<undone)" $'begun\ndone'
	is "$(count '.event == "resource.removed"')" 1
}

@test "an undo command that runs when somebody else becomes the coordinator is not run again" {
	op=$(dpl-create --window 300ms)
	DPL_OPERATION=$op
	victim
	dpl-temp add -q --command "echo old >>$PWD/undone"
	# Who looks again and again.
	dpl-join -qp kept --keep=$$
	# Its owner ends well, and has its undo command run: that takes longer than the window.
	in_background dpl-call --id owner -- dpl-temp add -q --command "echo begun >>$PWD/undone; sleep 5.5; echo done >>$PWD/undone"
	wait_for 'grep -qs begun undone'
	kill -KILL "$victim"
	wait_for settled 20
	is "$(<undone)" $'begun\ndone\nold'
	is "$(count '.event == "resource.removed" and .result == "removed"')" 2
}
