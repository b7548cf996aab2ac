#!/usr/bin/env bats
# dpl-beat once, and leases: what counts as a beat, who is judged how, and what is recorded

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper
load tools/beat.bash

setup() {
	fresh_ledger
	quick_operation
}

# --- what it prints, how it exits ---

@test "beat prints the state, and exits by it" {
	expect 0 dpl-beat
	is "$output" running
	is "$stderr" ''
	expect 0 dpl-beat -q
	silent
	dpl-abort -m 'wrong branch'
	expect 4 dpl-beat
	is "$output" 'running, aborted: wrong branch'
	expect 4 dpl-beat -q
	silent
	dpl-abort --clear
	dpl-abort
	expect 4 dpl-beat
	is "$output" 'running, aborted'
	dpl-abort --clear
	expect 0 dpl-beat
	is "$output" running
}

@test "what an abort says reaches no terminal as it is" {
	dpl-abort -m $'a\e[2Jb\u202ec\nd'
	expect 4 dpl-beat
	plain
	is "$(wc -l <out)" 1
}

@test "not joined: 3; ended: 6; no such operation or ledger: 3; none named: 2" {
	expect 3 dpl-beat -p w
	refused dpl-beat 'w has not joined' "$op" "dpl-join -o $op -p w"
	expect 3 dpl-beat -p w --json
	json_error participant-not-found
	holds '.error.next == ["dpl-join", "--operation", $op]' --arg op "$op"
	dpl-join -qp w
	expect 0 dpl-beat -p w
	dpl-leave -qp w
	expect 3 dpl-beat -p w
	expect 3 dpl-beat -o 20260101T000000.000Z-me-0000000a
	refused dpl-beat 20260101T000000.000Z-me-0000000a
	expect 3 dpl-beat -C "$ledger.not"
	refused dpl-beat "$ledger.not"
	dpl-complete -q
	expect 6 dpl-beat
	refused dpl-beat "$op" 'has ended (completed)'
	expect 6 dpl-beat --json -v
	json_error operation-ended
	unset DPL_OPERATION
	expect 2 dpl-beat
	refused dpl-beat -o DPL_OPERATION
}

@test "misuse" {
	local words
	while read -r words; do
		# shellcheck disable=SC2086 # words
		expect 2 dpl-beat $words
		refused dpl-beat
	done <<-END
		x
		-Z
		--every
		--every 1ms
		--every soon
		--keep
		--pid $$
		--keep --pid 0
		--keep --pid -1
		--keep --pid x
		--keep --pid 99999999999
		--grace 1s
		--session 1
		--jitter 1s
		--on-error true
		--on-success true
		--every 1s -m x
		--every 1s --progress 1
		--keep --pid $$ --progress 1
		--keep --pid $$ --call c
		--keep --pid $$ --session 0
		--call c
		--call ../x -m y
		--progress x
		--progress -1
		--progress 1/
		--progress /1
		--progress 1/0
		--progress 0/0
		--progress 2/1
		--progress 1/2/3
		--progress 1.5
		--progress 99999999999999999999
		-p ..
		-o ../x
	END
	expect 2 dpl-beat -m $'\xff'
	refused dpl-beat UTF-8
	expect 2 dpl-beat --progress ''
	DPL_CALL=../x expect 2 dpl-beat -m x
	refused dpl-beat DPL_CALL ../x
	is "$(entries "$op" | wc -l)" 1
}

@test "beat -v: counts, everybody with age and liveness, before and after" {
	dpl-join -qp w --ttl 20s
	expect 0 dpl-beat
	expect 0 dpl-beat -v
	is "$stderr" ''
	is "$(head -n 1 out)" running
	has "$(sed -n 2p out)" before running '2 participants' '0 calls' 'entry 2'
	has "$(sed -n 3p out)" now running '2 participants' '0 calls' 'entry 2'
	has "$(grep ' me ' out)" alive leased ago 'its lease is not over'
	has "$(grep ' w ' out)" alive leased ago
	over w
	# It finds that, and nobody has to be waited for.
	expect 5 dpl-beat -v
	has "$(head -n 1 out)" 'failed, w died: no sign of it for 30.' 'longer than 20.0 s'
	has "$(grep ' w ' out)" dead
	has "$(sed -n 2p out)" before running '2 participants' 'entry 2'
	has "$(sed -n 3p out)" now failed '1 participant,' 'entry 7'
	plain
	settled
	expect 5 dpl-beat -v
	refused dpl-beat "operation $op has failed: w died: no sign of it for 30." "dpl-show --why $op"
	expect 5 dpl-beat --json
	json_error operation-failed
}

@test "beat -v while the operation is failing" {
	local_only 'who is stopped is dead by a server, and holds nothing up'
	quick_operation --window 1h
	hold_up
	dpl-join -qp w --ttl 20s
	over w
	expect 5 dpl-beat -v
	has "$(head -n 1 out)" 'running, w died: no sign of it for 30.'
	has "$(grep ' w ' out)" dead
	has "$(grep ' mute ' out)" 'held'
	expect 5 dpl-beat --json
	holds '.state == "running" and .crashedParticipantId == "w" and .participants == ["me", "mute"] and (.staleParticipants | index("w"))'
	let_go
}

@test "beat --json: every member, before and after" {
	dpl-join -qp w
	dpl-beat -q
	# What comes later than the beat is not part of before.
	t=$(date +%s%3N)
	wait_for '[ "$(date +%s%3N)" -gt $((t + 1)) ]'
	call=$(dpl-call start -p w)
	dpl-abort -p w -m why
	aged me 5000
	t=$(date +%s%3N)
	expect 4 dpl-beat --json
	is "$stderr" ''
	is "$(wc -l <out)" 1
	holds '.ok and .success and .operationId == $op and .seq == 4 and .aborted and .abortReason == "why"' --arg op "$op"
	holds '.abortFlag and .state == "running" and .callFrameCount == 1 and .tempResourceCount == 0'
	holds '.heartbeatAgeMs >= 5000 and .heartbeatAgeMs < 9000'
	holds '.isStale == false and .participants == ["me", "w"] and .staleParticipants == []'
	holds '.crashed == false and .crashedParticipantId == null and .crashedCallId == null and .crashEvidence == null and .crashedAt == null'
	holds '.people | map(.participantId) == ["me", "w"]'
	holds '.people[0] | .isInitiator and .sessions == 1 and .callsRunning == 0 and .liveness == "alive" and .mode == "leased" and .beatAgeMs < 3000'
	holds '.people[1] | .isInitiator == false and .callsRunning == 1 and .callsStarted == 1 and .evidence == "its lease is not over" and .progress == null'
	# As it was five seconds ago, when the operation did not exist.
	holds '.before == null'
	holds '.after | .state == "running" and .aborted and .callFrameCount == 1 and .participantCount == 2 and .seq == 4 and (.changedAt | endswith("Z"))'
	dpl-call end -p w "$call"
	expect 4 dpl-beat --json
	holds '.before | .seq == 4 and .callFrameCount == 1 and .aborted'
	holds '.after | .seq == 5 and .callFrameCount == 0 and .aborted'
}

@test "who is stale: suspect ones too, but not oneself" {
	idler
	dpl-join -qp w --pid "$pid"
	short_lease 1000
	aged w 5000
	aged me 5000
	expect 0 dpl-beat --json
	holds '.isStale and .staleParticipants == ["w"] and (.people | map(.liveness) == ["alive", "suspect"])'
	expect 0 dpl-beat --json -p w
	holds '.isStale == false and .staleParticipants == []'
}

# --- progress ---

@test "progress: of a call by --call or DPL_CALL, else the participant's own" {
	call=$(dpl-call start)
	expect 0 dpl-beat --progress 40/100 -m 'read 40 files' --call "$call"
	is "$output" running
	is "$(last_entry "$op" '[.event, .by, .callId, .done, .total, .message] | @csv')" "\"progress\",\"me\",\"$call\",40,100,\"read 40 files\""
	expect 0 dpl-show --json
	holds '.calls[0].progress | .done == 40 and .total == 100 and .message == "read 40 files" and (.at | endswith("Z"))'
	holds '.participants[0].progress == null'
	DPL_CALL=$call expect 0 dpl-beat -q --progress 41
	silent
	is "$(last_entry "$op" '[.callId, .done, has("total"), has("message")] | @csv')" "\"$call\",41,false,false"
	expect 0 dpl-beat -m 'nearly there'
	is "$(last_entry "$op" '[has("callId"), has("done"), .message] | @csv')" 'false,false,"nearly there"'
	expect 0 dpl-show --json
	holds '.calls[0].progress.done == 41 and .participants[0].progress.message == "nearly there"'
	expect 0 dpl-beat --progress 0/1
	expect 0 dpl-beat --progress 1/1
	# Without a progress the call of the environment is nothing to it.
	DPL_CALL=never expect 0 dpl-beat
	is "$(entries "$op" | grep -c progress)" 5
	# Another participant's call, and an environment that is another's.
	dpl-join -qp w
	expect 0 dpl-beat -p w --progress 2 --call "$call"
	is "$(last_entry "$op" '[.by, .callId] | @csv')" "\"w\",\"$call\""
	DPL_CALL=$call expect 0 dpl-beat -p w --progress 3
	is "$(last_entry "$op" '[.by, has("callId")] | @csv')" '"w",false'
}

@test "progress of what does not run, or by who takes no part, is refused and not recorded" {
	call=$(dpl-call start)
	dpl-call end "$call"
	for c in "$call" never; do
		expect 3 dpl-beat --progress 1 --call "$c"
		refused dpl-beat "$c" "$op"
		expect 3 dpl-beat -m x --call "$c" --json
		json_error call-not-found
	done
	call=$(dpl-call start)
	before=$(sum)
	expect 3 dpl-beat -p stranger --progress 1/2
	refused dpl-beat 'stranger has not joined'
	expect 3 dpl-beat -p stranger -m x --call "$call"
	is "$(sum)" "$before"
	dpl-join -qp w
	dpl-leave -qp w
	expect 3 dpl-beat -p w -m x --json
	json_error participant-not-found
	is "$(entries "$op" | grep -c progress)" 0
	dpl-complete -q --cancel
	expect 6 dpl-beat -m x
}

@test "a beat and a progress are not flushed" {
	local_only 'of the system calls on a folder'
	command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null || skip 'strace cannot trace here'
	[ -z "${SANITIZED:-}" ] || skip 'the same system calls'
	export DPL_SYNC=on
	strace -f -qq -e trace=fsync,fdatasync,sync_file_range -o trace dpl-beat -v >/dev/null
	strace -f -qq -e trace=fsync,fdatasync,sync_file_range -o trace dpl-beat --progress 1/2 -m x >/dev/null
	is "$(cat trace)" ''
	strace -f -qq -e trace=fsync,fdatasync -o trace dpl-join -qp w
	has "$(cat trace)" fdatasync
}

@test "a beat while the operation ends: its end is said, and no file is made anew" {
	local_only 'of the system calls on a folder'
	command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null || skip 'strace cannot trace here'
	[ -z "${SANITIZED:-}" ] || skip 'strace and the sanitizers'
	# It has read the journal, and looked at its file; before it touches that, the operation ends.
	in_background strace -qq -o trace -e trace=openat,utimensat -e inject=utimensat:delay_enter=1500000:when=1 dpl-beat -v
	wait_for 'grep -qs "\"beats/p-me\".*= [0-9]" trace'
	dpl-complete -q
	ended "$pid"
	is "$status" 6
	has "$(grep utimensat trace)" ENOENT
	is "$(find "$ledger" -name 'p-me')" ''
}

# --- what counts as a beat ---

@test "any command of a participant counts as its beat, also one that is refused" {
	local_only 'a server sets the time of a client that sends much once in a while'
	local command
	dpl-join -qp w
	call=$(dpl-call start)
	while read -r command; do
		aged me 60000
		aged w 60000
		# shellcheck disable=SC2086 # words
		$command >/dev/null 2>&1 || true
		age=$(beatfile "$ops/beats/p-me" | sed 's/.*monoAge=\(-*[0-9]*\).*/\1/')
		wall=$(beatfile "$ops/beats/p-me" | sed 's/.*wallAge=\(-*[0-9]*\).*/\1/')
		if [ "$age" -gt 30000 ] || [ "$wall" -gt 30000 ]; then
			echo "no beat: $command"
			return 1
		fi
		# It is nobody else's.
		[ "$(beatfile "$ops/beats/p-w" | sed 's/.*monoAge=\(-*[0-9]*\).*/\1/')" -ge 60000 ]
	done <<-END
		dpl-beat
		dpl-beat -q
		dpl-beat --json
		dpl-beat --progress 1
		dpl-beat --progress 1 --call never
		dpl-log x
		dpl-call start --id c2
		dpl-call start --id c2
		dpl-call end c2
		dpl-call end c2
		dpl-call fail -m x never
		dpl-join
		dpl-leave
		dpl-leave --session 99
		dpl-abort
		dpl-abort
		dpl-abort --check
		dpl-abort --clear
		dpl-abort --clear
		dpl-abort --check
		dpl-complete
		dpl-call -- true
	END
	# An answer from a key is one too.
	dpl-log --key k x
	aged me 60000
	dpl-log --key k x
	[ "$(beatfile "$ops/beats/p-me" | sed 's/.*monoAge=\(-*[0-9]*\).*/\1/')" -lt 30000 ]
}

@test "looking is no beat" {
	local command
	while read -r command; do
		aged me 60000
		# shellcheck disable=SC2086 # words
		$command >/dev/null 2>&1
		[ "$(beatfile "$ops/beats/p-me" | sed 's/.*monoAge=\(-*[0-9]*\).*/\1/')" -ge 60000 ]
		[ "$(beatfile "$ops/beats/p-me" | sed 's/.*wallAge=\(-*[0-9]*\).*/\1/')" -ge 60000 ]
	done <<-END
		dpl-show
		dpl-show --json
		dpl-show --all
		dpl-log --tail 1
		dpl-call list
	END
}

@test "clients of the old protocol name nobody: the initiator's beat, and the whole answer" {
	local_only 'by a server such a beat is of all its old clients: see wire.bats'
	expect 0 dpl-batch <<<"{\"path\":\"/operation/heartbeat\",\"body\":{\"operationId\":\"$op\"}}"
	holds '.status == 200 and (.body | .success and .abortFlag == false and .callFrameCount == 0 and .participants == ["me"])'
	aged me 60000
	dpl-batch <<<"{\"path\":\"/operation/heartbeat\",\"body\":{\"operationId\":\"$op\"}}" >/dev/null
	[ "$(beatfile "$ops/beats/p-me" | sed 's/.*monoAge=\(-*[0-9]*\).*/\1/')" -lt 30000 ]
	# They go on asking when the initiator has left.
	dpl-join -qp w
	dpl-leave
	expect 0 dpl-batch <<<"{\"path\":\"/operation/heartbeat\",\"body\":{\"operationId\":\"$op\"}}"
	holds '.status == 200 and .body.participants == ["w"]'
	[ ! -e "$ops/beats/p-me" ]
}

# --- leases ---

@test "an explicit ttl that is over is a death, recorded once however many look" {
	idler
	dpl-join -qp w --ttl 3s --pid "$pid"
	is "$(life w)" alive
	wait_for '[ "$(life w)" = stale ]'
	has "$(evidence w)" 'no sign of it for' 'longer than 3.0 s'
	# Nobody has looked who acts on it.
	is "$(deaths)" 0
	looks=()
	# Nobody joins any more once that is known.
	for i in {1..10}; do
		dpl-join -qp "o$i"
	done
	for i in {1..20}; do
		if [ $((i % 2)) -eq 0 ]; then
			in_background dpl-beat -q -v
		else
			in_background dpl-beat --json
		fi >/dev/null 2>&1
		looks+=("$pid")
	done
	for p in "${looks[@]}"; do
		ended "$p"
		is "$status" 5
	done
	is "$(deaths)" 1
	is "$(jq -r 'select(.event == "crash.detected") | [.participantId, has("callId")] | @csv' <(journal_text "$op"))" '"w",false'
	has "$(jq -r 'select(.event == "crash.detected") | .evidence' <(journal_text "$op"))" 'no sign of it for' 'longer than 3.0 s' '(pid '
	wait_for settled
	is "$(entries "$op" | tail -n 5 | paste -sd ' ')" 'crash.detected cleanup.started cleanup.done operation.failed operation.archived'
	is "$(jq -r 'select(.event == "operation.failed") | .reason' <(journal_text "$op") | cut -c 1-26)" 'w died: no sign of it for '
	is "$(life w)" dead
	whole "$op"
	expect 0 dpl-show --json
	holds '.crashed and .crashedParticipantId == "w" and .crashedCallId == null and (.crashEvidence | test("no sign of it")) and (.crashedAt | endswith("Z"))'
	holds '.state == "failed" and (.sessions | map(select(.participantId == "w" and .leftAt == null)) == [])'
}

@test "the operation's explicit ttl holds for all who join" {
	quick_operation --ttl 20s
	idler
	dpl-join -qp w --pid "$pid"
	dpl-join -qp long --pid "$pid" --ttl 1h
	over w
	over long
	expect 5 dpl-beat --json
	holds '.crashedParticipantId == "w" and .participants == ["me", "long"]'
	is "$(deaths)" 1
}

@test "without a ttl given, one whose process lives is suspect and no more" {
	idler
	dpl-join -qp w --pid "$pid"
	short_lease 300
	wait_for '[ "$(life w)" = suspect ]'
	has "$(evidence w)" 'no sign of it for' 'but the process that joined is there'
	# It may be stopped, and is there all the same.
	kill -STOP "$pid"
	for i in 1 2 3; do
		expect 0 dpl-beat --json
		holds '.people[1].liveness == "suspect" and .staleParticipants == ["w"] and .crashed == false'
	done
	is "$(deaths)" 0
	kill -CONT "$pid"
	kill -9 "$pid"
	ended "$pid"
	is "$(life w)" stale
	has "$(evidence w)" 'the process that joined is gone'
	expect 5 dpl-beat -v
	has "$output" 'failed, w died: no sign of it' 'the process that joined is gone'
	is "$(deaths w)" 1
	settled
}

@test "a zombie is no living process" {
	command -v perl >/dev/null || skip 'no perl(1)'
	# Its parent does not wait for it.
	in_background perl -e 'my $p = fork; exit 0 if !$p; print "$p\n"; close STDOUT; sleep 1000' >zombie
	wait_for '[ -s zombie ]'
	z=$(<zombie)
	wait_for 'gone "$z"'
	[ -e "/proc/$z" ]
	dpl-join -qp w --pid "$z"
	short_lease 300
	aged w 5000
	is "$(life w)" stale
}

@test "a process whose first thread has ended lives as long as another one runs, and ends as a whole" {
	command -v python3 >/dev/null || skip 'no python3(1)'
	in_background python3 -c 'import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
ctypes.CDLL(None).pthread_exit(None)'
	process=$pid
	wait_for 'grep -q "^State:.Z" "/proc/$process/status"' 20
	dpl-join -qp w --pid "$process"
	expect 0 dpl-temp add -p me --process "$process"
	short_lease 300
	aged w 5000
	is "$(life w)" suspect
	has "$(evidence w)" 'but the process that joined is there'
	[ -e "/proc/$process" ]
	expect 0 dpl-temp remove -p me "$output"
	wait_for 'gone "$process"'
	is "$(jq -r 'select(.event == "resource.removed").result' <(journal_text "$op"))" removed
	is "$(life w)" stale
}

@test "within its lease nobody looks at the process" {
	idler
	dpl-join -qp w --pid "$pid"
	kill -9 "$pid"
	ended "$pid"
	expect 0 dpl-beat --json
	holds '.people[1].liveness == "alive" and .crashed == false'
}

@test "of several sessions the longest lease counts" {
	idler
	dpl-join -qp w --ttl 4s --pid "$pid"
	dpl-join -qp w --pid "$pid"
	dpl-join -qp v --ttl 4s --pid "$pid"
	dpl-join -qp v --ttl 1h --pid "$pid"
	aged w 5000
	aged v 5000
	expect 0 dpl-beat --json
	holds '.people | map(.liveness) == ["alive", "alive", "alive"]'
	dpl-leave -qp v --session 5
	aged v 5000
	expect 5 dpl-beat --json
	holds '.crashedParticipantId == "v"'
	is "$(deaths)" 1
}

@test "a ttl that does not outlast a beat is refused" {
	before=$(sum)
	for ttl in 0 0s 1ms 99ms 100ms; do
		expect 2 dpl-join -p w --ttl "$ttl"
		refused dpl-join ttl
		expect 2 dpl-join -p w --ttl "$ttl" --json
		json_error bad-request
	done
	is "$(sum)" "$before"
	expect 0 dpl-join -qp w --ttl 101ms
	for ttl in 0 4s 4500ms; do
		expect 2 dpl-create --ttl "$ttl"
		refused dpl-create ttl
	done
	expect 2 dpl-create --beat 2s --ttl 2s
	expect 2 dpl-create --beat 1s --jitter 500ms --stale 1500ms
	refused dpl-create stale
	is "$(find "$ledger" -name journal.jsonl | wc -l)" 1
}

@test "a death takes along the calls that nobody holds" {
	dpl-join -qp w --ttl 20s
	a=$(dpl-call start -p w)
	b=$(dpl-call start -p w --no-fail-on-crash)
	mine=$(dpl-call start)
	over w
	expect 5 dpl-beat -v
	# What others began, and nobody holds, goes with the operation.
	is "$(entries "$op" | tail -n 8 | paste -sd ' ')" \
		'call.crashed call.crashed crash.detected cleanup.started call.cancelled cleanup.done operation.failed operation.archived'
	is "$(jq -r 'select(.event == "call.crashed") | .callId' <(journal_text "$op") | paste -sd ' ')" "$a $b"
	has "$(jq -r 'select(.event == "call.crashed") | .evidence' <(journal_text "$op") | head -n 1)" 'its participant died: no sign of it'
	is "$(jq -r 'select(.event == "call.cancelled") | [.callId, .reason] | @csv' <(journal_text "$op"))" "\"$mine\",\"the operation failed\""
	expect 0 dpl-show --json
	holds '.callCounts.crashed == 2 and .callCounts.cancelled == 1 and .callCounts.running == 0'
	whole "$op"
}

@test "a call that is held keeps its participant alive, and dies with its supervisor" {
	local_only 'of the lock'
	dpl-join -qp w --ttl 20s
	in_background dpl-call -p w -- sleep 1000
	supervisor=$pid
	wait_for '[ -n "$(dpl-call list -q)" ]'
	# It beats for its participant too, until it is stopped.
	over w
	wait_for '[ "$(evidence w)" = "its lease is not over" ]'
	kill -STOP "$supervisor"
	wait_for 'grep -q "^State:.T" "/proc/$supervisor/status"'
	over w
	is "$(life w)" alive
	is "$(evidence w)" 'a call of it is held by a supervisor'
	expect 0 dpl-beat -v
	call=$(dpl-call list -q)
	command=$(dpl-show --json | jq '.calls[0].pid')
	kill -9 "$supervisor"
	ended "$supervisor"
	expect 5 dpl-beat --json
	holds '.crashedCallId == $c and .crashedParticipantId == "w"' --arg c "$call"
	# With its last call the participant has nothing that speaks for it.
	is "$(deaths)" 2
	# What it ran has been ended by who looked.
	gone "$command"
	settled
	is "$(names "$ledger/backup/$op/beats" 2>/dev/null)" ''
}

@test "what a dead supervisor left is seen to its end, and the answer is that of the beat" {
	local_only 'what a dead supervisor left is ended by who sees its processes'
	in_background dpl-call -- sh -c 'trap "" TERM; touch ready; while :; do sleep 0.05; done'
	wait_for '[ -e ready ]'
	command=$(dpl-show --json | jq '.calls[0].pid')
	kill -STOP "$pid"
	aged me 5000
	kill -9 "$pid"
	ended "$pid"
	expect 5 dpl-beat --json
	holds '.crashed and .heartbeatAgeMs >= 5000 and .endingProcesses > 0'
	# It heeds no SIGTERM: that took SIGKILL.
	gone "$command"
}

@test "one that was declared dead is told so: 5 and why; nobody joins an operation that is failing" {
	local_only 'who is stopped is dead by a server, and holds nothing up'
	quick_operation --window 1h
	dpl-join -qp w --ttl 20s
	hold_up
	over w
	expect 5 dpl-beat -v
	before=$(sum)
	for command in dpl-beat 'dpl-beat -v' 'dpl-beat --progress 1' 'dpl-log x' 'dpl-call start' 'dpl-call start --aborted-ok' dpl-leave "dpl-beat --every 1s" "dpl-beat --keep --pid $$"; do
		# shellcheck disable=SC2086 # words
		DPL_PARTICIPANT=w expect 5 $command
		is "$output" ''
		has "$stderr" 'w was declared dead' "$op" 'no sign of it for' "dpl-show --why $op"
	done
	expect 125 dpl-call -p w -- true
	has "$stderr" 'w was declared dead'
	expect 5 dpl-beat -p w --json
	json_error participant-dead
	for who in w new me; do
		expect 5 dpl-join -p "$who" --ttl 20s
		refused dpl-join "$op is failing: w died: no sign of it for" "dpl-show --why $op"
		expect 5 dpl-join -p "$who" --json
		json_error operation-failed
		expect 5 dpl-join -p "$who" --keep="$$"
	done
	expect 5 dpl-call start
	refused dpl-call "$op is failing: w died" --aborted-ok
	is "$(sum)" "$before"
	# Those who take part go on looking, and writing.
	expect 0 dpl-log 'I see'
	expect 5 dpl-beat
	has "$output" 'running, w died'
	is "$(deaths w)" 1
	whole "$op"
	let_go
	wait_for '! is_keeper "$mute"'
	expect 5 dpl-beat -v
	wait_for 'dpl-cleanup -q; settled'
	for command in dpl-beat 'dpl-log x' 'dpl-call start' 'dpl-call start --aborted-ok' dpl-leave dpl-join "dpl-beat --keep --pid $$" dpl-complete dpl-abort; do
		# shellcheck disable=SC2086 # words
		DPL_PARTICIPANT=w expect 5 $command
		has "$stderr" "operation $op has failed: w died: no sign of it for" "dpl-show --why $op"
	done
}

@test "what undoes something is started while it is failing, and after the window no more" {
	local_only 'who is stopped is dead by a server, and holds nothing up'
	quick_operation --window 4s
	dpl-join -qp w --ttl 20s
	hold_up
	over w
	expect 5 dpl-beat -v
	# Somebody coordinates, who is held and waits for the one that is stopped.
	idler
	wait_for 'dpl-beat -qv >/dev/null || grep -q crash.detected "$(journal "$op")"'
	call=$(dpl-call start --aborted-ok -d undo)
	dpl-call end "$call"
	expect 0 dpl-call --aborted-ok -- sh -c 'echo undone >undone'
	is "$(<undone)" undone
	expect 123 dpl-call -- touch never
	wait_for 'grep -q "^State:.T" "/proc/$mute/status"'
	settled || wait_for 'dpl-cleanup -q; settled'
	expect 123 dpl-call --aborted-ok -- touch never
	[ ! -e never ]
	let_go
}

@test "the initiator dies too, and anybody ends the operation by looking" {
	idler
	quick_operation --pid "$pid"
	dpl-join -qp w
	short_lease 300
	wait_for '[ "$(life me)" = suspect ]'
	expect 0 dpl-beat -p w
	kill -9 "$pid"
	ended "$pid"
	is "$(life me)" stale
	expect 5 dpl-beat -p w -v
	is "$(deaths me)" 1
	settled
	expect 5 dpl-log x
	expect 5 dpl-complete --failed
	refused dpl-complete "$op has failed: me died"
}

@test "many die at once, each is recorded once" {
	for i in {1..60}; do
		echo "{\"path\":\"/operation/join\",\"body\":{\"operationId\":\"$op\",\"participantId\":\"w$i\",\"ttlMs\":20000}}"
	done | dpl-batch >/dev/null
	for f in "$ops"/beats/p-w*; do
		beatfile "$f" age=30000
	done
	for i in 1 2 3 4; do
		in_background dpl-beat -q -v
		looks[i]=$pid
	done
	for p in "${looks[@]}"; do
		ended "$p"
		is "$status" 5
	done
	is "$(deaths)" 60
	is "$(jq -r 'select(.event == "crash.detected") | .participantId' <(journal_text "$op") | sort | uniq -d)" ''
	wait_for settled
	is "$(entries "$op" | grep -c operation.failed)" 1
	whole "$op"
}

# --- who looks ---

@test "whoever beats looks at all, once in a beat interval" {
	quick_operation --beat 30s --stale 40s
	dpl-join -qp w --ttl 40s
	expect 0 dpl-beat
	aged w 60000
	expect 0 dpl-beat
	expect 0 dpl-beat
	is "$(deaths)" 0
	turn_is_due
	expect 5 dpl-beat -q
	is "$(deaths)" 1
	settled
}

@test "who takes no part does not take the turn to look" {
	local_only 'who is stopped is dead by a server, and holds nothing up'
	quick_operation --window 1h
	hold_up
	dpl-join -qp w --ttl 20s
	dpl-join -qp v --ttl 20s
	over v
	expect 5 dpl-beat -v
	sed -i '1s/"beatMs":100,/"beatMs":600000,/' "$ops/journal.jsonl"
	over w
	turn_is_due
	for i in 1 2 3; do
		expect 3 dpl-beat -p stranger
		expect 5 dpl-beat -p v
	done
	is "$(deaths w)" 0
	expect 5 dpl-beat
	is "$(deaths w)" 1
	let_go
}

# --- files by hand ---

@test "a lease's file that was lost is made again by the next beat" {
	dpl-join -qp w
	rm "$ops/beats/p-w"
	is "$(life w)" alive
	expect 0 dpl-beat -p w
	is "$output" running
	has "$(beatfile "$ops/beats/p-w")" known=1 mode=leased locked=0
	# Until then the journal tells of it.
	rm "$ops/beats/p-w"
	short_lease 300
	dpl-log -p w x
	wait_for '[ "$(life w)" != alive ]'
}

@test "a file that holds rubbish is judged by its times, and written anew by the next join" {
	dpl-join -qp w --ttl 1h
	printf 'rubbish\n' >"$ops/beats/p-w"
	dpl-beat -qp w
	is "$(life w)" alive
	printf '\0\0\0' >"$ops/beats/p-w"
	dpl-beat -qp w
	expect 0 dpl-beat --json
	holds '.people[1].liveness == "alive"'
	dpl-join -qp w --ttl 1h
	has "$(beatfile "$ops/beats/p-w")" known=1
}

@test "what does not belong in beats/ disturbs nobody" {
	mkdir "$ops/beats/p-folder" "$ops/beats/c-folder"
	mkfifo "$ops/beats/p-pipe" "$ops/beats/c-pipe"
	ln -s ../journal.jsonl "$ops/beats/p-link"
	ln -s ../journal.jsonl "$ops/beats/c-link"
	touch "$ops/beats/p-%ZZ" "$ops/beats/c-%2" "$ops/beats/c-" "$ops/beats/p-" "$ops/beats/x" "$ops/beats/"$'new\nline' "$ops/beats/c-..%2F..%2Fx"
	before=$(cksum "$ops/journal.jsonl")
	expect 0 dpl-beat --json
	holds '.people | map(.participantId) == ["me"]'
	expect 0 dpl-beat -v
	plain
	is "$(cksum "$ops/journal.jsonl")" "$before"
	# Somebody by such a name takes part as any other.
	expect 9 dpl-join -p folder
	rmdir "$ops/beats/p-folder"
	expect 0 dpl-join -p folder
	expect 0 dpl-beat -p folder
	# Its file is a link: it is not followed, and nobody is harmed.
	expect 9 dpl-join -p link
	expect 0 dpl-complete
}

@test "times that no clock gives" {
	dpl-join -qp w
	for t in 0 -1 99999999999 253402300799; do
		touch -a -d "@$t" "$ops/beats/p-w"
		touch -m -d "@$t" "$ops/beats/p-w"
		expect 0 dpl-show --json
		holds '.participants[1].beatAgeMs >= 0'
		dpl-beat -qp w
		is "$(life w)" alive
		touch -d "@$t" "$ops/coordinator"
		expect 0 dpl-beat -q
	done
	# As touch(1) leaves it: that is now.
	touch "$ops/beats/p-w"
	is "$(life w)" alive
}
