#!/usr/bin/env bats
# Keepers: dpl-beat --keep, dpl-create --keep and dpl-join --keep

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper
load tools/beat.bash

setup() {
	fresh_ledger
	quick_operation
	keepers=()
}

teardown() {
	end_background
	end_keepers
	[ -z "${public:-}" ] || rm -rf "$public"
}

# kept [OPTION ...]: a process in $pid, and w, who joined for it, kept by $keeper.
kept() {
	idler
	dpl-join -qp w --pid "$pid"
	keeper=$(dpl-beat --keep --pid "$pid" -p w "$@")
	keepers+=("$keeper")
}

# stop_at_rest PID: stop it while it waits, and for no answer: a request of its own would be carried out all the same.  In the midst of a read(2) or
# write(2) the first argument is a descriptor, while poll(2) has an address there, and outside of a system call the second number is the stack.
stop_at_rest() {
	local call first
	[ -r "/proc/$1/syscall" ] || skip 'the kernel does not tell system calls'
	for _ in {1..1000}; do
		kill -STOP "$1" || return
		wait_for 'grep -q "^State:.T" "/proc/'"$1"'/status"' || return
		read -r call first _ <"/proc/$1/syscall"
		[ "$call" = -1 ] || [ $((first)) -lt 65536 ] || return 0
		kill -CONT "$1"
	done
	echo "$1 is never at rest: $call $first"
	return 1
}

# --- a keeper begins ---

@test "keep prints the keeper's pid once the name is held" {
	kept
	is_keeper "$keeper"
	is "$(life w)" alive
	held_by w "$keeper"
	has "$(beatfile "$ops/beats/p-w")" known=1 "watchedPid=$pid"
	expect 0 dpl-show --json
	holds '.participants[1] | .mode == $mode and (.evidence == "its lock is held" or .evidence == "it beats by a server") and .beatAgeMs < 5000' --arg mode "$(mode_of_keepers)"
	# It beats: more than its hanging takes goes by.
	t=$(date +%s%3N)
	wait_for '[ "$(date +%s%3N)" -gt $((t + stale + 300)) ]'
	is "$(life w)" alive
	idler
	dpl-join -qp v --pid "$pid"
	expect 0 dpl-beat --keep --pid "$pid" -p v --json
	keepers+=("$(json .keeperPid)")
	is_keeper "$(json .keeperPid)"
	holds '.ok and .operationId == $op and .participantId == "v"' --arg op "$op"
	expect 0 dpl-beat -q --keep --pid "$$" -p me
	silent
	keepers+=("$(beatfile "$ops/beats/p-me" | sed 's/.* pid=\([0-9]*\) .*/\1/')")
}

@test "a second keeper for a live name: 6, and who has it" {
	kept
	before=$(cksum "$ops/journal.jsonl")
	expect 6 dpl-beat --keep --pid "$pid" -p w
	refused dpl-beat "w is held in $op by pid $keeper $(by_server && echo on || echo '(dpl-beat --keep')"
	expect 6 dpl-beat --keep --pid "$$" -p w --json
	json_error name-held
	expect 6 dpl-join --keep="$$" -p w
	refused dpl-join "w is held in $op by pid $keeper"
	expect 6 dpl-join --keep="$$" -p w --json
	json_error name-held
	is "$(cksum "$ops/journal.jsonl")" "$before"
	# Without one it may join: another session.
	expect 0 dpl-join -p w
	held_by w "$keeper"
}

@test "of many that begin at once for one name, one has it" {
	idler
	dpl-join -qp w --pid "$pid"
	sleeper=$pid
	for i in {1..12}; do
		in_background dpl-beat --keep --pid "$sleeper" -p w >"out.$i" 2>/dev/null
		tries[i]=$pid
	done
	won=0
	for i in {1..12}; do
		ended "${tries[i]}"
		[ "$status" -eq 0 ] || is "$status" 6
		if [ "$status" -eq 0 ]; then
			won=$((won + 1))
			keepers+=("$(<"out.$i")")
		fi
	done
	is "$won" 1
	is_keeper "${keepers[0]}"
}

@test "no such process: 3; another user's: 8" {
	in_background true
	ended "$pid"
	dpl-join -qp w
	before=$(sum)
	expect 3 dpl-beat --keep --pid "$pid" -p w
	refused dpl-beat "there is no process $pid"
	expect 3 dpl-beat --keep --pid "$pid" -p w --json
	json_error process-not-found
	expect 3 dpl-join --keep="$pid" -p v
	refused dpl-join "$pid"
	expect 3 dpl-create --keep="$pid"
	refused dpl-create "$pid"
	is "$(sum)" "$before"
	# One that has ended, and nobody waits for.
	if command -v perl >/dev/null; then
		in_background perl -e 'my $p = fork; exit 0 if !$p; print "$p\n"; close STDOUT; sleep 1000' >zombie
		wait_for '[ -s zombie ] && gone "$(<zombie)"'
		expect 3 dpl-beat --keep --pid "$(<zombie)" -p w
	fi
	public_folder
	export DPL_LEDGER=$public/ledger
	idler
	op=$(as_other dpl-create --pid "$$")
	expect 8 as_other dpl-beat -o "$op" --keep --pid "$pid"
	refused dpl-beat "process $pid is another user's"
	expect 8 as_other dpl-beat -o "$op" --keep --pid "$pid" --json
	json_error permission-denied
	expect 8 as_other dpl-join -o "$op" -p v --keep="$pid"
	expect 8 as_other dpl-create --keep="$pid"
	is "$(find "$public/ledger" -name journal.jsonl -exec cat {} + | wc -l)" 1
}

@test "not joined, ended, no such operation" {
	idler
	expect 3 dpl-beat --keep --pid "$pid" -p w
	refused dpl-beat 'w has not joined' "dpl-join -o $op -p w"
	[ ! -e "$ops/beats/p-w" ]
	expect 3 dpl-beat --keep --pid "$pid" -o 20260101T000000.000Z-me-0000000a
	expect 3 dpl-beat --keep --pid "$pid" -C "$ledger.not"
	dpl-complete -q
	expect 6 dpl-beat --keep --pid "$pid"
	refused dpl-beat "$op" ended
	expect 6 dpl-beat --keep --pid "$pid" --json
	json_error operation-ended
}

@test "a beat that would hang is refused" {
	idler
	dpl-join -qp w --pid "$pid"
	expect 2 dpl-beat --keep --pid "$pid" -p w --every "${stale}ms"
	refused dpl-beat
	expect 2 dpl-beat --keep --pid "$pid" -p w --every 300ms --jitter "$((stale - 300))ms"
	keeper=$(dpl-beat --keep --pid "$pid" -p w --every 300ms)
	keepers+=("$keeper")
	is_keeper "$keeper"
}

@test "a keeper's own jitter counts, also without a pace of its own" {
	idler
	dpl-join -qp w --pid "$pid"
	expect 2 dpl-beat --keep --pid "$pid" -p w --jitter "$((stale - 100))ms"
	refused dpl-beat
	[ "$(life w)" = alive ]
}

# --- what it is ---

@test "a keeper is a small process, apart from all else" {
	cat >script <<-'END'
		exec 7>seven 8<"$0"
		dpl-beat --keep --pid "$1" -p w
	END
	idler
	dpl-join -qp w --pid "$pid"
	keeper=$(bash script "$pid")
	keepers+=("$keeper")
	# A session of its own, one thread, nothing of the caller's open.
	read -r _ _ _ parent group session _ <"/proc/$keeper/stat"
	is "$group $session" "$keeper $keeper"
	[ "$parent" != "$$" ]
	is "$(names "/proc/$keeper/task")" "$keeper"
	for fd in 0 1 2; do
		is "$(readlink "/proc/$keeper/fd/$fd")" /dev/null
	done
	lacks "$(readlink "/proc/$keeper"/fd/*)" "$PWD/seven"
	lacks "$(readlink "/proc/$keeper"/fd/*)" "$PWD/script"
	# What it opens to read and closes again is its own: what it was given stays.
	only_its_own() {
		local link
		for link in /proc/"$keeper"/fd/*; do
			case $(readlink "$link") in
			pipe:*) by_server || return ;; # its helpers are behind them
			/dev/null | anon_inode:* | "$ledger" | "$ops" | "$ops/journal.jsonl" | "$ops/beats/p-w") ;;
			*) return 1 ;;
			esac
		done
	}
	wait_for only_its_own 5 || { ls -l "/proc/$keeper/fd" && false; }
	[ -n "${SANITIZED:-}" ] || [ "$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$keeper/status")" -le 1024 ]
}

@test "a keeper that waits takes no time of the processor" {
	local_only 'by a server it has helpers'
	[ -z "${SANITIZED:-}" ] || skip 'the same code, slower'
	op=$(dpl-create)
	export DPL_OPERATION=$op
	ops=$ledger/$op
	kept
	# Of its usual pace, 4.5 seconds: it sleeps.
	switches() { awk '/ctxt_switches/ { n += $2 } END { print n }' "/proc/$keeper/status"; }
	wait_for 'grep -q "^State:.S" "/proc/$keeper/status"'
	before=$(switches)
	dpl-log -q x
	dpl-beat -q
	dpl-show -q >/dev/null
	sleep 1
	[ $(($(switches) - before)) -le 2 ]
	read -r -a stat <"/proc/$keeper/stat"
	[ $((stat[13] + stat[14])) -le 2 ]
}

@test "who waits for the end of its output does not wait for the keeper" {
	idler
	timeout 20 bash -c 'x=$(dpl-join -p w --keep='"$pid"'); [ "$x" = 2 ]'
	timeout 20 bash -c 'dpl-join -p v --keep='"$pid"' 2>&1 | cat' >/dev/null
	timeout 20 bash -c 'dpl-beat --keep -p me --pid '"$pid"' 2>&1 | cat' >out.me
	timeout 20 bash -c 'x=$(dpl-create --keep='"$pid"' -p z 2>&1); [ -n "$x" ]'
	# Whatever else is open.
	mkfifo fifo
	in_background cat fifo
	reader=$pid
	idler
	timeout 20 bash -c 'exec 9>fifo; dpl-join -qp u --keep='"$pid"
	ended "$reader"
	is "$status" 0
	is "$(dpl-show --json | jq -c '.participants | map(.mode) | unique')" "[\"$(mode_of_keepers)\"]"
}

@test "standard descriptors that are closed" {
	idler
	dpl-join -qp w --pid "$pid"
	dpl-beat --keep --pid "$pid" -p w -q <&- >&- 2>&-
	wait_for '[ "$(dpl-show --json | jq -r ".participants[1].mode")" = "$(mode_of_keepers)" ]'
	keeper=$(beatfile "$ops/beats/p-w" | sed 's/.* pid=\([0-9]*\) .*/\1/')
	keepers+=("$keeper")
	for fd in 0 1 2; do
		is "$(readlink "/proc/$keeper/fd/$fd")" /dev/null
	done
}

# --- the process ends ---

@test "the process ends by itself: dead at once, by the keeper's word" {
	cat >script <<-'END'
		dpl-join -qp w --keep=$$
		exit 0
	END
	bash script
	wait_for settled
	is "$(deaths)" 1
	is "$(jq -r 'select(.event == "crash.detected") | [.by, .participantId] | @csv' <(journal_text "$op"))" '"w","w"'
	has "$(jq -r 'select(.event == "crash.detected") | .evidence' <(journal_text "$op"))" 'its process' 'has ended without leaving'
	is "$(jq -r 'select(.event == "operation.failed") | .by' <(journal_text "$op"))" w
	is "$(life w)" dead
	expect 5 dpl-beat
	refused dpl-beat 'has failed: w died: its process'
}

@test "the process is killed: dead at once, and its keeper ends" {
	kept
	kill -9 "$pid"
	wait_for '[ "$(deaths)" = 1 ]'
	wait_for 'gone "$keeper"'
	is "$(life w)" dead
	# Its calls that nobody holds go with it.
	whole "$op"
}

@test "a process that nobody waits for has ended all the same" {
	command -v perl >/dev/null || skip 'no perl(1)'
	in_background perl -e 'my $p = fork; if (!$p) { sleep 1000; exit } print "$p\n"; close STDOUT; sleep 1000' >child
	wait_for '[ -s child ]'
	dpl-join -qp w --keep="$(<child)"
	kill -9 "$(<child)"
	wait_for '[ "$(deaths w)" = 1 ]'
	[ -e "/proc/$(<child)" ]
	kill "$pid"
}

@test "leaving first, or completing first, is no death" {
	cat >script <<-'END'
		dpl-join -qp "$1" --keep=$$
		dpl-leave -p "$1"
	END
	for i in 1 2 3 4 5; do
		bash script "w$i"
	done
	kept
	dpl-leave -p w
	wait_for 'gone "$keeper"'
	kill -0 "$pid"
	is "$(deaths)" 0
	kept
	dpl-complete -q
	wait_for 'gone "$keeper"'
	kill -0 "$pid"
	cat >script <<-'END'
		op=$(dpl-create --keep=$$)
		dpl-complete -qo "$op"
		echo "$op"
	END
	op=$(bash script)
	is "$(deaths)" 0
	is "$(entries "$op" | paste -sd ' ')" 'operation.created operation.completed operation.archived'
}

@test "one of two sessions ends: the keeper stays" {
	kept
	dpl-join -qp w
	dpl-leave -p w
	dpl-beat -q -v -p w >/dev/null
	is_keeper "$keeper"
	dpl-leave -p w
	wait_for 'gone "$keeper"'
	is "$(deaths)" 0
}

@test "the keeper is killed, its process lives: suspect, and no more; another one can be started" {
	local_only 'a server sees the silence of a keeper, and neither lock nor process: see partition.bats'
	kept
	kill -9 "$keeper"
	wait_for 'gone "$keeper"'
	wait_for '[ "$(life w)" = suspect ]'
	is "$(evidence w)" 'its keeper is gone, but the process that it kept runs'
	for i in 1 2 3; do
		expect 0 dpl-beat --json
		holds '.crashed == false and .staleParticipants == ["w"]'
	done
	expect 0 dpl-beat -p w
	# As long as it may be silent.
	aged w 30000
	expect 0 dpl-beat -v
	is "$(life w)" suspect
	keeper=$(dpl-beat --keep --pid "$pid" -p w)
	keepers+=("$keeper")
	is "$(life w)" alive
	kill -9 "$pid"
	wait_for '[ "$(deaths)" = 1 ]'
}

@test "the keeper and its process are killed: dead at the next look" {
	local_only 'a server sees the silence of a keeper, and neither lock nor process: see partition.bats'
	kept
	kill -9 "$keeper"
	wait_for 'gone "$keeper"'
	kill -9 "$pid"
	ended "$pid"
	is "$(life w)" dead
	is "$(deaths)" 0
	expect 5 dpl-beat -v
	is "$(deaths)" 1
	has "$(jq -r 'select(.event == "crash.detected") | .evidence' <(journal_text "$op"))" "its process has ended, and its keeper's lock has fallen (pid $keeper"
	whole "$op"
}

@test "another keeper tells of it without being asked" {
	kept
	killed=$pid
	first=$keeper
	idler
	dpl-join -qp v --keep="$pid"
	# One that is stopped can record nothing any more.
	kill -STOP "$first"
	wait_for 'grep -q "^State:.T" "/proc/$first/status"'
	kill -9 "$killed"
	ended "$killed"
	kill -9 "$first"
	wait_for '[ "$(deaths w)" = 1 ]'
	# It goes on to the end, too.
	wait_for settled
	is "$(jq -r 'select(.event == "crash.detected") | .by' <(journal_text "$op"))" v
	is "$(jq -r 'select(.event == "cleanup.started") | .by' <(journal_text "$op"))" v
}

@test "a keeper that is stopped hangs, and its process is left alone" {
	local_only 'by a server silence is death'
	kept
	kill -STOP "$keeper"
	wait_for '[ "$(life w)" = hung ]'
	has "$(evidence w)" 'its lock is held, but there was no beat'
	for i in 1 2 3; do
		expect 0 dpl-beat --json
		holds '.crashed == false and .staleParticipants == ["w"]'
	done
	is "$(deaths)" 0
	kill -CONT "$keeper"
	wait_for '[ "$(life w)" = alive ]'
	# A process that is stopped is alive.
	kill -STOP "$pid"
	expect 0 dpl-beat --json
	holds '.people[1].liveness == "alive"'
	# Of one that is killed meanwhile it tells when it goes on.
	kill -STOP "$keeper"
	kill -9 "$pid"
	ended "$pid"
	is "$(deaths)" 0
	kill -CONT "$keeper"
	wait_for '[ "$(deaths w)" = 1 ]'
}

@test "SIGTERM, SIGINT, SIGHUP to the keeper give the name back to a lease" {
	for signal in TERM INT HUP; do
		kept
		kill -"$signal" "$keeper"
		wait_for 'gone "$keeper"'
		has "$(beatfile "$ops/beats/p-w")" known=1 locked=0 mode=leased "pid=$pid "
		is "$(life w)" alive
		expect 0 dpl-beat -v
		dpl-leave -qp w
	done
	kept
	kill "$keeper"
	wait_for 'gone "$keeper"'
	short_lease 300
	wait_for '[ "$(life w)" = suspect ]'
	is "$(deaths)" 0
	kill -9 "$pid"
	ended "$pid"
	expect 5 dpl-beat -v
	is "$(deaths)" 1
}

@test "given back to a lease, the process that was kept speaks for it, whoever joined" {
	idler
	other=$pid
	dpl-join -qp w --pid "$other"
	idler
	keeper=$(dpl-beat --keep --pid "$pid" -p w)
	keepers+=("$keeper")
	kill "$keeper"
	wait_for 'gone "$keeper"'
	kill -9 "$other"
	short_lease 300
	aged w 5000
	is "$(life w)" suspect
	kill -9 "$pid"
	ended "$pid"
	is "$(life w)" stale
}

# --- whose name it is ---

@test "one that left and joined again by itself is kept on" {
	kept
	stop_at_rest "$keeper"
	dpl-leave -p w
	dpl-join -qp w --pid "$pid"
	kill -CONT "$keeper"
	wait_for 'held_by w "$keeper"'
	is "$(life w)" alive
	kill -9 "$pid"
	wait_for '[ "$(deaths w)" = 1 ]'
}

@test "a file that was deleted by hand is made and held again" {
	idler
	joiner=$pid
	dpl-join -qp w --pid "$joiner"
	idler
	keeper=$(dpl-beat --keep --pid "$pid" -p w)
	keepers+=("$keeper")
	for i in 1 2; do
		rm "$ops/beats/p-w"
		wait_for '[ -e "$ops/beats/p-w" ] && held_by w "$keeper"'
	done
	is "$(life w)" alive
	kill -9 "$joiner"
	ended "$joiner"
	expect 0 dpl-beat -v
	kill -9 "$pid"
	wait_for '[ "$(deaths w)" = 1 ]'
}

@test "a name that another process has now is not this keeper's any more" {
	kept
	first=$pid
	kill -STOP "$keeper"
	dpl-leave -p w
	idler
	dpl-join -qp w --pid "$pid"
	kill -CONT "$keeper"
	wait_for 'gone "$keeper"'
	kill -9 "$first"
	expect 0 dpl-beat -v
	is "$(deaths)" 0
	is "$(life w)" alive
	# And with a keeper of its own.
	dpl-leave -p w
	kept
	first=$pid
	keeper1=$keeper
	kill -STOP "$keeper1"
	dpl-leave -p w
	kept
	kill -CONT "$keeper1"
	wait_for 'gone "$keeper1"'
	kill -9 "$first"
	expect 0 dpl-beat -v
	is "$(life w)" alive
	held_by w "$keeper"
	is "$(deaths)" 0
}

@test "a process that ends just as another joins under its name" {
	kept
	first=$pid
	kill -STOP "$keeper"
	dpl-leave -p w
	idler
	dpl-join -qp w --pid "$pid"
	kill -9 "$first"
	ended "$first"
	kill -CONT "$keeper"
	wait_for 'gone "$keeper"'
	is "$(deaths)" 0
	is "$(life w)" alive
}

@test "who leaves while its keeper begins is not joined again by that" {
	local_only 'of the lock of a folder'
	command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null || skip 'strace cannot trace here'
	[ -z "${SANITIZED:-}" ] || skip 'the same system calls'
	idler
	dpl-join -qp w --pid "$pid"
	aged w 30000
	# Between its question whether w takes part, which is a beat, and the lock.
	in_background strace -f -qq -o trace -e trace=fcntl -e inject=fcntl:delay_enter=1000000:when=1 dpl-beat --keep --pid "$pid" -p w >keeper 2>err
	tracer=$pid
	wait_for '[ "$(beatfile "$ops/beats/p-w" | sed "s/.*monoAge=\(-*[0-9]*\).*/\1/")" -lt 10000 ]'
	dpl-leave -p w
	ended "$tracer"
	if [ -s keeper ]; then
		wait_for 'gone "$(<keeper)"'
	fi
	[ ! -e "$ops/beats/p-w" ]
	expect 3 dpl-beat -p w
}

# --- an abort ---

@test "an abort ends the script: it has left, and did not crash" {
	cat >script <<-'END'
		trap 'echo term >>said; exit 3' TERM
		dpl-join -qp w --keep=$$
		echo ready >>said
		while :; do sleep 0.05; done
	END
	in_background bash script
	wait_for 'grep -q ready said'
	dpl-abort -m enough
	ended "$pid"
	is "$status" 3
	is "$(paste -sd ' ' said)" 'ready term'
	wait_for '[ "$(last_entry "$op" .event)" = participant.left ]'
	is "$(last_entry "$op" '[.by, .sessionId, .reason] | @csv')" '"w",2,"stopped by the abort"'
	is "$(deaths)" 0
	is "$(life w)" left
	expect 4 dpl-beat
}

@test "SIGKILL after the grace for one that does not heed it" {
	cat >script <<-'END'
		trap 'echo term >>said' TERM
		dpl-join -qp w --keep=$$ --grace 1s
		echo ready >>said
		while :; do sleep 0.05; done
	END
	in_background bash script
	wait_for 'grep -q ready said'
	t=$(date +%s%3N)
	dpl-abort
	ended "$pid"
	is "$status" 137
	[ $(($(date +%s%3N) - t)) -ge 990 ]
	grep -q term said
	wait_for '[ "$(last_entry "$op" .event)" = participant.left ]'
	is "$(deaths)" 0
}

@test "an abort reaches the children, and their children in other sessions" {
	cat >script <<-'END'
		dpl-join -qp w --keep=$$ --grace 300ms
		sleep 1000 &
		echo $! >>pids
		setsid sh -c 'echo $$ >>pids; sleep 1000 & echo $! >>pids; wait' &
		sh -c 'trap "" TERM; echo $$ >>pids; while :; do sleep 0.05; done' &
		until [ "$(wc -l <pids)" = 4 ]; do sleep 0.01; done
		touch ready
		wait
	END
	in_background bash script
	wait_for '[ -e ready ]'
	is "$(wc -l <pids)" 4
	dpl-abort
	ended "$pid"
	mapfile -t children <pids
	for child in "${children[@]}"; do
		wait_for "gone $child"
	done
	is "$(deaths)" 0
}

@test "an abort reaches the group that the process leads" {
	command -v setsid >/dev/null || skip 'no setsid(1)'
	cat >script <<-'END'
		dpl-join -qp w --keep=$$ --grace 300ms
		# Nobody's child any more, but of the group.
		sh -c 'sleep 1000 & echo $! >orphan'
		touch ready
		sleep 1000
	END
	in_background setsid --wait bash script
	wait_for '[ -e ready ]'
	dpl-abort
	ended "$pid"
	wait_for 'gone "$(<orphan)"'
	is "$(deaths)" 0
}

@test "an abort leaves the rest of the caller alone" {
	cat >script <<-'END'
		sleep 1000 &
		echo $! >brother
		(
			dpl-join -qp w --keep="$BASHPID"
			touch ready
			exec sleep 1000
		)
		echo "child $?" >>said
		wait
	END
	in_background bash script
	wait_for '[ -e ready ]'
	dpl-abort
	wait_for 'grep -q "child 143" said'
	kill -0 "$(<brother)"
	kill -0 "$pid"
	kill "$(<brother)"
	ended "$pid"
}

@test "a process that is stopped is ended by an abort too" {
	kept --grace 300ms
	kill -STOP "$pid"
	dpl-abort
	ended "$pid"
	[ "$status" -gt 128 ]
	wait_for '[ "$(last_entry "$op" .event)" = participant.left ]'
}

@test "an abort that was there before the keeper stops its process as well" {
	dpl-abort
	kept --grace 300ms
	ended "$pid"
	wait_for '[ "$(last_entry "$op" .event)" = participant.left ]'
	wait_for 'gone "$keeper"'
	is "$(deaths)" 0
}

@test "a supervised call below the script has a grace of its own" {
	# With a terminal the command stays in the group of the script, which leads one under job control.
	command -v script >/dev/null || skip 'no script(1)'
	cat >inner <<-'END'
		trap 'sleep 1; echo cleaned >cleaned; exit 0' TERM
		touch ready
		while :; do sleep 0.05; done
	END
	cat >outer <<-'END'
		trap : TERM
		dpl-join -qp w --keep=$$ --grace 300ms
		dpl-call -p w --grace 10s -- bash inner
	END
	cat >session <<-'END'
		set -m
		bash outer
		until [ -e cleaned ]; do sleep 0.05; done
	END
	in_background script -qec 'bash session' /dev/null </dev/null >/dev/null
	wait_for '[ -e ready ]'
	dpl-abort
	wait_for '[ -e cleaned ]'
	wait_for '[ "$(entries "$op" | grep -c call.cancelled)" = 1 ]'
	ended "$pid"
}

@test "an abort ends every session of the process, and no other's" {
	# One that joined twice.
	kept --grace 300ms
	dpl-join -qp w --pid "$pid"
	dpl-abort
	ended "$pid"
	wait_for 'gone "$keeper"'
	is "$(entries "$op" | tail -n 2 | paste -sd ' ')" 'participant.left participant.left'
	[ ! -e "$ops/beats/p-w" ]
	dpl-abort --clear
	# Another process under the same name works on.
	kept --grace 300ms
	stopped=$pid
	idler
	dpl-join -qp w --pid "$pid"
	dpl-abort
	ended "$stopped"
	wait_for 'gone "$keeper"'
	has "$(beatfile "$ops/beats/p-w")" locked=0 mode=leased
	expect 4 dpl-beat -v
	is "$(deaths)" 0
	is "$(life w)" alive
	short_lease 300
	aged w 5000
	is "$(life w)" suspect
	dpl-leave -p w
	dpl-abort --clear
	# A session that there is not is no reason for a crash.
	kept --grace 300ms --session 99
	dpl-abort
	ended "$pid"
	wait_for 'gone "$keeper"'
	is "$(last_entry "$op" '[.event, .by] | @csv')" '"participant.left","w"'
	expect 4 dpl-beat -v
	is "$(deaths)" 0
	whole "$op"
}

@test "somebody else dies: the process is left alone, its keeper answers for it and ends with the operation" {
	local_only 'who is stopped is dead by a server, and holds nothing up'
	quick_operation --window 1h
	hold_up
	kept
	dpl-join -qp v --ttl 20s
	file=$(dpl-temp make -p w)
	over v
	expect 5 dpl-beat -v
	is "$(deaths)" 1
	wait_for '[ "$(jq -r "select(.event == \"cleanup.acknowledged\") | .participantId" <(journal_text "$op"))" = w ]'
	# It has answered, and goes on holding the name while there is somebody who has not.
	dpl-beat -q -v -p w >/dev/null || true
	kill -0 "$pid"
	is_keeper "$keeper"
	is "$(life w)" alive
	[ -e "$file" ]
	let_go
	wait_for settled
	wait_for 'gone "$keeper"'
	kill -0 "$pid"
	[ ! -e "$file" ]
	is "$(jq -r 'select(.event == "crash.detected") | .participantId' <(journal_text "$op"))" v
	is "$(jq -r 'select(.event == "cleanup.acknowledged") | .participantId' <(journal_text "$op"))" w
	DPL_PARTICIPANT=w expect 5 dpl-log x
	refused dpl-log 'has failed: v died'
}

@test "while an undo command of a call runs, a death makes nobody the coordinator again and again" {
	kept
	in_background dpl-call -q -- dpl-temp add -q --command 'echo x >>first; sleep 3; echo x >>last'
	call=$pid
	dpl-join -qp v --ttl 20s
	wait_for '[ -s first ]'
	over v
	expect 5 dpl-beat -v
	for _ in {1..20}; do
		[ -e last ] || expect 5 dpl-beat -v
	done
	wait_for settled
	is "$(cat first last)" $'x\nx'
	is "$(jq -r 'select(.event == "operation.failed") | .leftResources' <(journal_text "$op"))" null
	[ "$(count '.event == "cleanup.started"')" -le 3 ]
	[ "$(count '.event == "cleanup.acknowledged" and .participantId == "w"')" -le 3 ]
	ended "$call"
	wait_for 'gone "$keeper"'
}

# --- dpl-create and dpl-join with --keep ---

@test "create --export --keep in a script: kept by the line that begins it" {
	export stale
	cat >script <<-'END'
		set -eu
		eval "$(dpl-create --export --keep=$$ -p builder --beat 100ms --jitter 20ms --stale "${stale}ms")"
		echo "$DPL_OPERATION" >op
		dpl-show --json >show
		touch ready
		exec sleep 1000
	END
	unset DPL_OPERATION
	in_background bash script
	wait_for '[ -e ready ]'
	op=$(<op)
	output=$(<show)
	holds '.participants[0] | .participantId == "builder" and .mode == $mode and .liveness == "alive"' --arg mode "$(mode_of_keepers)"
	holds '.sessions[0].pid == $pid' --argjson pid "$pid"
	dpl-join -qo "$op" -p w
	kill -9 "$pid"
	wait_for '[ "$(deaths builder)" = 1 ]'
}

@test "join --export --keep in a script: kept, and left" {
	cat >script <<-'END'
		set -eu
		eval "$(dpl-join --export --keep=$$)"
		dpl-show --json >show
		dpl-log "I am $DPL_PARTICIPANT, session $DPL_SESSION"
		dpl-leave
	END
	unset DPL_PARTICIPANT
	is "$(id -un)" "$(dpl-join --json | jq -r .participantId)"
	bash script
	output=$(<show)
	holds '.participants[2] | .participantId == $name and .mode == $mode' --arg name "$(id -un)-2" --arg mode "$(mode_of_keepers)"
	is "$(last_entry "$op" '[.event, .sessionId] | @csv')" '"participant.left",3'
	is "$(deaths)" 0
}

@test "create and join --json --keep print one object" {
	idler
	expect 0 dpl-join -p w --keep="$pid" --json
	is "$(wc -l <out)" 1
	holds '.ok and .sessionId == 2 and .participantId == "w"'
	expect 0 dpl-create --keep="$pid" --json --beat 100ms --jitter 1ms --stale "${stale}ms"
	is "$(wc -l <out)" 1
	holds '.ok and .isInitiator'
}

@test "a keeper that cannot start: the session is left again, the operation is ended" {
	# Commands without the one that keeps.
	mkdir bin
	cp "$BUILD"/bin/dpl-create "$BUILD"/bin/dpl-join bin
	! by_server || cp "$BUILD"/bin/dpl-remote-http bin
	idler
	path=$PATH
	PATH=/usr/bin:/bin
	expect 9 bin/dpl-join -p w --keep="$pid"
	refused dpl-join 'cannot start dpl-beat'
	expect 9 bin/dpl-join -p w --keep="$pid" --json
	json_error io-error
	expect 9 bin/dpl-create --keep="$pid"
	refused dpl-create 'cannot start dpl-beat'
	PATH=$path
	is "$(entries "$op" | paste -sd ' ')" 'operation.created participant.joined participant.left participant.joined participant.left'
	ended_op=$(ls "$ledger/backup")
	is "$(entries "$ended_op" | paste -sd ' ')" 'operation.created operation.failed operation.archived'
	has "$(jq -r .reason "$ledger/backup/$ended_op/journal.jsonl")" 'its keeper could not be started'
	is "$(life w)" left
}

@test "the same key again: what is there is not undone" {
	idler
	expect 0 dpl-create --key k --keep="$pid" --beat 100ms --jitter 1ms --stale "${stale}ms"
	made=$output
	expect 0 dpl-create --key k --keep="$pid" --beat 100ms --jitter 1ms --stale "${stale}ms"
	is "$output" "$made"
	[ -d "$ledger/$made" ]
	expect 0 dpl-join -o "$made" -p w --key j --keep="$pid"
	is "$output" 2
	expect 0 dpl-join -o "$made" -p w --key j --keep="$pid"
	is "$output" 2
	is "$(entries "$made" | paste -sd ' ')" 'operation.created participant.joined'
	# Another process cannot have it.
	idler
	expect 6 dpl-join -o "$made" -p w --key j --keep="$pid"
	refused dpl-beat 'w is held'
	is "$(entries "$made" | paste -sd ' ')" 'operation.created participant.joined'
}

@test "a caller that ignores SIGCHLD" {
	command -v perl >/dev/null || skip 'no perl(1)'
	cat >script.pl <<-'END'
		$SIG{CHLD} = 'IGNORE';
		exec @ARGV;
	END
	kept
	# The keeper's refusal is seen.
	idler
	expect 6 perl script.pl dpl-join -p w --keep="$pid"
	mkdir bin
	cp "$BUILD"/bin/dpl-join bin
	! by_server || cp "$BUILD"/bin/dpl-remote-http bin
	PATH=/usr/bin:/bin expect 9 perl script.pl bin/dpl-join -p v --keep="$pid"
	expect 0 perl script.pl dpl-join -p v --keep="$pid"
	# And so are the ends of the commands after a beat.
	in_background perl script.pl dpl-beat --every 50ms --on-success 'echo x >>beats'
	wait_for '[ "$(wc -l <beats)" -ge 3 ]'
	dpl-complete -q
	ended "$pid"
	is "$status" 0
}
