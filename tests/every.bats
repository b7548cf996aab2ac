#!/usr/bin/env bats
# dpl-beat --every, and the commands after a beat, also of a keeper

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
}

# --- again and again ---

@test "every: a line when something changes, until the operation ends" {
	in_background dpl-beat --every 50ms >said
	wait_for '[ -s said ]'
	call=$(dpl-call start)
	# It goes on in silence.
	aged me 30000
	wait_for '[ "$(beatfile "$ops/beats/p-me" | sed "s/.*monoAge=\(-*[0-9]*\).*/\1/")" -lt 10000 ]'
	is "$(<said)" running
	dpl-call end "$call"
	dpl-complete -q
	ended "$pid"
	is "$status" 0
	is "$(paste -sd ' ' said)" 'running completed'
}

@test "every: failed 5, aborted 4, a crash 5, left 3, dead 5, gone 3" {
	quick_operation
	in_background dpl-beat --every 50ms >said
	wait_for '[ -s said ]'
	dpl-complete -q --failed
	ended "$pid"
	is "$status $(paste -sd ' ' said)" '5 running failed'
	quick_operation
	in_background dpl-beat --every 50ms >said
	wait_for '[ -s said ]'
	dpl-abort -m stop
	ended "$pid"
	is "$status $(paste -sd '|' said)" '4 running|running, aborted: stop'
	quick_operation
	dpl-join -qp w --ttl 20s
	in_background dpl-beat --every 50ms >said
	wait_for '[ -s said ]'
	over w
	ended "$pid"
	is "$status" 5
	has "$(tail -n 1 said)" 'running, w died: no sign of it'
	is "$(deaths)" 1
	quick_operation
	dpl-join -qp w
	in_background dpl-beat --every 50ms -p w >said
	wait_for '[ -s said ]'
	dpl-leave -qp w
	ended "$pid"
	is "$status" 3
	has "$(tail -n 1 said)" 'w has not joined'
	quick_operation
	in_background dpl-beat --every 50ms >said
	wait_for '[ -s said ]'
	# Who beats may make its file in a folder that is being emptied.
	wait_for 'rm -rf "$ledger" 2>/dev/null; [ ! -e "$ledger" ]'
	ended "$pid"
	is "$status" 3
}

@test "every: who is late by more than its pace, but by little as silence is told, sees who is silent" {
	quick_operation --stale 60s
	dpl-join -qp w --ttl 20s
	in_background dpl-beat --every 50ms >said
	wait_for '[ -s said ]'
	kill -STOP "$pid"
	wait_for 'grep -q "^State:.T" "/proc/$pid/status"'
	sleep 0.3 # six times its pace
	over w
	kill -CONT "$pid"
	ended "$pid"
	is "$status" 5
	# Not as if it had begun to look only then, for which the lease of w is over 20 s later.
	has "$(tail -n 1 said)" 'no sign of it for 3' ' s, longer than 20.0 s'
}

@test "every --json: an object a beat; -v: the whole for people; -q: nothing" {
	in_background dpl-beat --every 30ms --json >said
	wait_for '[ "$(wc -l <said)" -ge 3 ]'
	dpl-abort
	ended "$pid"
	is "$status" 4
	output=$(<said)
	holds '.ok and .operationId == $op and (.people | length) == 1 and .after.state == "running"' --arg op "$op"
	is "$(jq -s 'map(.aborted) | [first, last] == [false, true]' said)" true
	dpl-abort --clear
	in_background dpl-beat --every 30ms -v >said
	wait_for '[ "$(grep -c "^running" said)" -ge 3 ]'
	dpl-abort
	ended "$pid"
	has "$(<said)" 'now ' ' me ' 'running, aborted'
	dpl-abort --clear
	in_background dpl-beat --every 30ms -q >said
	t=$(date +%s%3N)
	wait_for '[ "$(date +%s%3N)" -gt $((t + 100)) ]'
	dpl-complete -q
	ended "$pid"
	is "$status$(<said)" 0
}

@test "every: a signal ends it as it would end anything" {
	for signal in TERM INT HUP; do
		in_background bash -c 'trap - INT; exec dpl-beat --every 50ms >said'
		wait_for '[ -s said ]'
		rm said
		kill -"$signal" "$pid"
		ended "$pid"
		is "$status" $((128 + $(kill -l "$signal")))
	done
	is "$(life me)" alive
}

@test "every: not joined 3, ended 6, at once" {
	expect 3 timeout 20 dpl-beat --every 1s -p w
	refused dpl-beat 'w has not joined'
	dpl-complete -q
	expect 6 timeout 20 dpl-beat --every 1s
	refused dpl-beat ended
}

@test "every: --jitter spreads the beats, and they come about as often as asked" {
	local_only 'by a server each beat takes its time'
	[ -z "${SANITIZED:-}" ] || skip 'a matter of time'
	in_background dpl-beat --every 40ms --jitter 40ms --json >said
	wait_for '[ "$(wc -l <said)" -ge 21 ]'
	kill "$pid"
	ended "$pid"
	# Between a beat and the next lie 40 to 80 ms, and not the same each time.
	jq -s '[.[1:21][].heartbeatAgeMs] | (min >= 38) and (add / length < 160) and (max - min >= 5)' said >fits
	is "$(<fits)" true
}

# --- commands after a beat ---

@test "on-success: what it finds in its environment" {
	dpl-join -qp w
	dpl-call start -q
	in_background dpl-beat --every 60ms -q --on-success 'env -0 | grep -z ^DPL_ >found.tmp && mv found.tmp found'
	wait_for '[ -s found ]'
	kill "$pid"
	ended "$pid"
	value() { tr '\0' '\n' <found | sed -n "s/^$1=//p"; }
	is "$(value DPL_BEAT_STATE)" running
	is "$(value DPL_BEAT_ABORTED)" 0
	is "$(value DPL_BEAT_CALLS)" 1
	is "$(value DPL_BEAT_STALE)" ''
	is "$(value DPL_BEAT_ERROR)$(value DPL_BEAT_MESSAGE)" ''
	[[ $(value DPL_BEAT_AGE_MS) =~ ^[0-9]+$ ]]
	output=$(value DPL_BEAT_JSON)
	holds '.operationId == $op and .participants == ["me", "w"] and .callFrameCount == 1' --arg op "$op"
	is "$(value DPL_OPERATION)" "$op"
	is "$(value DPL_PARTICIPANT)" me
	is "$(value DPL_LEDGER)" "$DPL_LEDGER"
}

@test "more participants than a variable holds" {
	for i in {1..450}; do
		echo "{\"path\":\"/operation/join\",\"body\":{\"operationId\":\"$op\",\"participantId\":\"a-participant-with-a-long-name-$i\"}}"
	done | dpl-batch >/dev/null
	DPL_BEAT_ERROR=outer in_background dpl-beat --every 500ms -q --on-success 'echo "${#DPL_BEAT_JSON} ${DPL_BEAT_ERROR-unset}" >>said'
	wait_for '[ -s said ]'
	dpl-complete -q
	ended "$pid"
	is "$(head -n 1 said)" '0 unset'
}

@test "the age of the beat before, of a keeper too" {
	idler
	dpl-join -qp w --pid "$pid"
	keeper=$(dpl-beat --keep --pid "$pid" -p w --every 200ms --on-success 'echo $DPL_BEAT_AGE_MS >>ages')
	keepers+=("$keeper")
	wait_for '[ "$(wc -l <ages)" -ge 4 ]'
	# The first one is asked for at once.
	[ "$(tail -n +3 ages | sort -n | tail -n 1)" -ge 150 ]
}

@test "on-error: an abort" {
	in_background dpl-beat --every 500ms -q --on-success 'echo ok >>said' --on-error 'echo "$DPL_BEAT_ERROR|$DPL_BEAT_MESSAGE|$DPL_BEAT_ABORTED|$DPL_BEAT_STATE" >>said'
	wait_for '[ -s said ]'
	dpl-abort -m 'wrong branch'
	ended "$pid"
	is "$status" 4
	is "$(tail -n 1 said)" 'abort-flag-set|wrong branch|1|running'
	is "$(sort -u said | wc -l)" 2
}

@test "on-error: somebody is stale, which is shown only" {
	local_only 'a server sees the silence of a keeper, and no process'
	idler
	dpl-join -qp w --pid "$pid"
	dpl-join -qp "two words" --pid "$pid"
	sleeper=$pid
	in_background dpl-beat --every 60ms -q --on-success 'echo ok >>said' --on-error 'echo "$DPL_BEAT_ERROR" >>said; printf "%s" "$DPL_BEAT_STALE" >stale.new; mv stale.new stale'
	wait_for '[ -s said ]'
	is "$(sort -u said)" ok
	# A keeper that is gone while its process runs.
	k=$(dpl-beat --keep --pid "$sleeper" -p w)
	kill -9 "$k"
	k=$(dpl-beat --keep --pid "$sleeper" -p "two words")
	kill -9 "$k"
	wait_for 'grep -q "^heartbeat-stale$" said && [ "$(wc -l <stale)" = 2 ]'
	is "$(paste -sd '|' stale)" 'w|two words'
	kill -0 "$pid"
	kill "$pid"
	ended "$pid"
}

@test "on-error: the participant was declared dead, or somebody else" {
	dpl-join -qp w --ttl 20s
	in_background dpl-beat --every 500ms -q --on-error 'echo "$DPL_BEAT_ERROR|$DPL_BEAT_MESSAGE" >>said'
	dpl-join -qp v
	over w
	ended "$pid"
	is "$status" 5
	# Heard of as that, or as the failure by it where the command of a beat that saw it stale ran still then.
	has "$(tail -n 1 said)" 'heartbeat-stale|' 'no sign of it for 3' ' s, longer than 20.0 s'
}

@test "on-error: the ledger is gone" {
	in_background dpl-beat --every 500ms -q --on-success 'touch ok' --on-error 'echo "$DPL_BEAT_ERROR|$DPL_BEAT_MESSAGE" >>said'
	wait_for '[ -e ok ]'
	rm -r "$ledger"
	ended "$pid"
	is "$status" 3
	has "$(tail -n 1 said)" 'ledger-not-found|'
}

@test "on-error: the journal is damaged, or no longer allowed" {
	in_background dpl-beat --every 60ms -q --on-success 'touch ok' --on-error 'echo "$DPL_BEAT_ERROR|$DPL_BEAT_MESSAGE" >>said'
	wait_for '[ -e ok ]'
	size=$(stat -c %s "$ops/journal.jsonl")
	echo '{"seq":2,"what":"ever"}' >>"$ops/journal.jsonl"
	wait_for '[ -s said ]'
	has "$(tail -n 1 said)" "io-error|$ops/journal.jsonl:2: "
	# It is asked again, and goes on when it is right again.
	kill -0 "$pid"
	rm ok
	truncate -s "$size" "$ops/journal.jsonl"
	wait_for '[ -e ok ]'
	dpl-complete -q
	ended "$pid"
	is "$status" 0
}

@test "on-error: the lock is not to be had for what must be recorded" {
	dpl-join -qp w --ttl 20s
	in_background dpl-beat --every 60ms -t 100ms -q --on-success 'touch ok' --on-error 'echo "$DPL_BEAT_ERROR|$DPL_BEAT_MESSAGE" >>said'
	beater=$pid
	wait_for '[ -e ok ]'
	# -o: what it runs does not have the lock.
	in_background flock -o "$ops/journal.jsonl" sh -c 'touch locked; exec sleep 1000'
	holder=$pid
	wait_for '[ -e locked ]'
	over w
	wait_for 'grep -qs "^lock-failed|" said' 60
	has "$(grep lock-failed said | head -n 1)" "$ops/journal.jsonl"
	is "$(deaths)" 0
	child=$(tr -d ' ' <"/proc/$holder/task/$holder/children")
	kill "$child"
	ended "$holder"
	ended "$beater"
	is "$status" 5
	is "$(deaths)" 1
}

@test "commands after a beat: one at a time, ended with the interval, and not waited for" {
	in_background dpl-beat --every 200ms -q --on-success 'exec 9>lock; flock -n 9 || echo two at once >>wrong; echo $$ >>ran; sh -c "sleep 1000" 9>&-; echo not ended >>wrong'
	wait_for '[ -s ran ] && [ "$(wc -l <ran)" -ge 3 ]'
	t=$(date +%s%3N)
	dpl-complete -q
	ended "$pid"
	[ $(($(date +%s%3N) - t)) -lt 3000 ]
	[ ! -e wrong ]
	# With all that they started.
	mapfile -t commands <ran
	for command in "${commands[@]}"; do
		wait_for "gone $command"
		for child in $(group_of "$command"); do
			wait_for "gone $child"
		done
	done
}

@test "the last command after a beat gets the rest of its time" {
	in_background dpl-beat --every 2s -q --on-error 'sleep 0.3; echo "$DPL_BEAT_ERROR" >said'
	wait_for '[ "$(deaths)" = 0 ]'
	dpl-abort
	ended "$pid"
	is "$(<said)" abort-flag-set
}

@test "what ends it is told also where a command still runs then" {
	in_background dpl-beat --every 500ms -q --on-success 'touch ran; sleep 0.3' --on-error 'echo "$DPL_BEAT_ERROR" >said'
	wait_for '[ -e ran ]'
	dpl-abort
	ended "$pid"
	is "$status" 4
	is "$(<said)" abort-flag-set
}

@test "what the operation ended as is told to the command" {
	in_background dpl-beat --every 500ms -q --on-success 'echo "$DPL_BEAT_STATE" >>said' --on-error 'echo "$DPL_BEAT_ERROR" >>wrong'
	wait_for '[ -s said ]'
	dpl-complete -q
	ended "$pid"
	is "$status" 0
	is "$(sort -u said | paste -sd ' ')" 'completed running'
	[ ! -e wrong ]
}

@test "a command after a beat keeps neither the name nor the keeper's files" {
	idler
	dpl-join -qp w --pid "$pid"
	keeper=$(dpl-beat --keep --pid "$pid" -p w --every 400ms --on-success 'for f in /proc/self/fd/*; do readlink "$f"; done >fds; echo $$ >hook; sleep 1000')
	keepers+=("$keeper")
	wait_for '[ -s hook ]'
	lacks "$(<fds)" beats
	lacks "$(<fds)" journal
	kill -9 "$keeper"
	wait_for 'gone "$keeper"'
	has "$(beatfile "$ops/beats/p-w")" locked=0
	kill -9 -- "-$(<hook)" 2>/dev/null || true
}

@test "the command has the caller's umask and signals" {
	(
		umask 027
		in_background dpl-beat --every 60ms -q --on-success 'umask >mask; touch made; grep -E "^Sig(Blk|Ign)" /proc/self/status >signals.tmp; mv signals.tmp signals'
		wait_for '[ -e signals ]'
		kill "$pid"
		ended "$pid"
	)
	is "$(<mask)" 0027
	is "$(stat -c %a made)" 640
	has "$(<signals)" $'SigBlk:\t0000000000000000'
}
