#!/usr/bin/env bats
# What follows a death: the phases, contained crashes, coordinators that die or sleep, sweeps, hooks

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # $ that does not expand; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	op=$(dpl-create --window 2s --beat 900ms --jitter 0s --stale 2s)
	export DPL_OPERATION=$op
	mkdir tmp
	outer=${TMPDIR:-/tmp}
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
}

archived() {
	[ ! -e "$ledger/$op" ] && [ -e "$ledger/backup/$op" ]
}

# supervised COMMAND...: in the background until its call has started; $pid is the supervisor.
supervised() {
	local before
	before=$(count '.event == "call.started"')
	in_background "$@"
	wait_for "[ \"\$(count '.event == \"call.started\"')\" -gt $before ]"
}

# killed PID: a process of in_background, by SIGKILL, and gone.
killed() {
	kill -KILL "$1"
	ended "$1"
}

# --- one dies, others live ---

@test "a supervisor is killed: the others stop, what was registered goes, the operation failed and is archived" {
	dpl-join -qp worker
	dpl-join -qp other
	supervised dpl-call -p other -- sh -c 'dpl-temp make >>made; : >other.ready; sleep 60'
	other=$pid
	supervised dpl-call -p worker -- sh -c 'dpl-temp make -d >>made; dpl-temp make >>made; : >ready; sleep 60'
	wait_for '[ -e ready ] && [ -e other.ready ]'
	is "$(wc -l <made)" 3
	while read -r path; do
		[ -e "$path" ]
	done <made
	killed "$pid"
	ended "$other"
	is "$status" 123
	wait_for archived
	while read -r path; do
		[ ! -e "$path" ]
	done <made
	is "$(count '.event == "crash.detected" and .participantId == "worker"')" 1
	is "$(count '.event == "cleanup.started" and .epoch == 1')" 1
	is "$(count '.event == "resource.removed" and .result == "removed"')" 3
	is "$(tail -n 3 <(journal_text "$op") | jq -r .event)" $'cleanup.done\noperation.failed\noperation.archived'
	output=$(tail -n 2 "$(journal "$op")" | head -n 1)
	holds '.reason | startswith("worker (call_worker_2_")'
	expect 5 dpl-beat
	has "$stderr" "operation $op has failed: worker ("
}

@test "nobody is left: a sweep does all of it, once" {
	supervised dpl-call -- sh -c 'dpl-temp make >made; dpl-temp add -q --command "echo undone >>$PWD/undone"; : >ready; exec sleep 60'
	wait_for '[ -e ready ]'
	killed "$pid"
	expect 0 dpl-cleanup --sweep
	has "$output" "$op failed"
	archived
	[ ! -e "$(<made)" ]
	is "$(<undone)" undone
	expect 0 dpl-cleanup --sweep
	is "$output" ''
}

@test "many sweeps at once: one winner, each undo command runs once" {
	local i pids=()
	supervised dpl-call -- sh -c 'for i in 1 2 3; do dpl-temp add -q --command "echo $i >>$PWD/undone; sleep 0.1"; done; : >ready; exec sleep 60'
	wait_for '[ -e ready ]'
	killed "$pid"
	for i in 1 2 3 4 5 6 7 8; do
		in_background dpl-cleanup --sweep -q
		pids+=("$pid")
	done
	for pid in "${pids[@]}"; do
		ended "$pid"
		is "$status" 0
	done
	archived
	is "$(<undone)" $'3\n2\n1'
	is "$(count '.event == "operation.failed"')" 1
	is "$(count '.event == "cleanup.started"')" 1
}

@test "two who see a death at the same moment: it is recorded once" {
	local one two
	supervised dpl-call -- sleep 60
	killed "$pid"
	exec 8<>"$ledger/$op/journal.jsonl"
	flock 8
	in_background dpl-cleanup -t 20s 8>&-
	one=$pid
	in_background dpl-cleanup -t 20s 8>&-
	two=$pid
	# Both have judged it, and wait to write.
	wait_for 'grep -q -- "-> FLOCK .* $one " /proc/locks && grep -q -- "-> FLOCK .* $two " /proc/locks'
	exec 8>&-
	for pid in "$one" "$two"; do
		ended "$pid"
		is "$status" 0
	done
	archived
	is "$(count '.event == "crash.detected"')" 1
	is "$(count '.event == "call.crashed"')" 1
}

@test "a sweep leaves healthy operations alone, whoever works there" {
	supervised dpl-call -- sleep 60
	dpl-temp make >made
	before=$(cksum <"$(journal "$op")")
	expect 0 dpl-cleanup --sweep
	is "$output" ''
	expect 0 dpl-cleanup --sweep -v
	has "$output" "$op running"
	expect 0 dpl-cleanup
	is "$(cksum <"$(journal "$op")")" "$before"
	[ -e "$(<made)" ]
}

@test "-n: who would be declared dead and by what, what would go; nothing is changed" {
	supervised dpl-call -- sh -c 'dpl-temp make >made; : >ready; exec sleep 60'
	wait_for '[ -e ready ]'
	killed "$pid"
	before=$(cksum <"$(journal "$op")")
	expect 1 dpl-cleanup -n
	has "$output" "died" "me, call_me_1_" "remove" "$(<made)"
	expect 1 dpl-cleanup -n --sweep --json
	holds '.dead[0].liveness == "dead" and .resources[0].decision == "remove" and .done == false'
	is "$(cksum <"$(journal "$op")")" "$before"
	[ -e "$(<made)" ]
	expect 0 dpl-cleanup
	[ ! -e "$(<made)" ]
}

# --- contained ---

@test "a contained crash: its frame, its resources, its fallback; the operation goes on" {
	dpl-temp make >mine
	supervised dpl-call --fallback 'nothing found' -d search -- sh -c 'dpl-temp make >made; : >ready; exec sleep 60'
	wait_for '[ -e ready ]'
	killed "$pid"
	wait_for '! [ -e "$(<made)" ] || { dpl-beat -v >/dev/null && false; }'
	[ -e "$(<mine)" ]
	is "$(count '.event == "crash.detected"')" 0
	is "$(jq -r 'select(.event == "call.crashed") | .result' <(journal_text "$op"))" 'nothing found'
	expect 0 dpl-beat
	expect 0 dpl-call -- true
	expect 0 dpl-complete
	[ ! -e "$(<mine)" ]
}

@test "what a dead supervisor left is seen to its end: one that heeds no SIGTERM gets SIGKILL, and nothing is done before that" {
	local sweep
	for sweep in '' --sweep; do
		supervised dpl-call --no-fail-on-crash -- sh -c 'trap "" TERM; echo $$ >heedless; while :; do sleep 0.1; done'
		wait_for '[ -s heedless ]'
		killed "$pid"
		# It gets its SIGTERM by the first, which waits for nobody.
		expect 1 dpl-cleanup $sweep --json -t 0
		holds '.endingProcesses > 0 and .done == false'
		expect 1 dpl-cleanup $sweep -n
		has "$output" 'still to end'
		expect 0 dpl-cleanup $sweep --json
		holds '.endingProcesses == 0 and .done'
		gone "$(<heedless)"
		is "$(find "$ledger/$op/beats" -name 'c-*')" ''
		rm heedless
	done
}

@test "-n: a contained crash: what would go is what was its call's; where nothing was, the death is to be recorded" {
	local sweep option before
	dpl-temp make >mine
	for sweep in '' --sweep; do
		for option in --no-fail-on-crash --fallback=nothing --fallback-command=true; do
			supervised dpl-call "$option" -- sh -c 'dpl-temp make >made; : >ready; exec sleep 60'
			wait_for '[ -e ready ]'
			killed "$pid"
			before=$(cksum <"$(journal "$op")")
			expect 1 dpl-cleanup -n $sweep
			has "$output" "$op running" 'died      me, call_me_' "remove    $(<made)"
			lacks "$output" "$(<mine)"
			expect 1 dpl-cleanup -n $sweep --json
			holds '(.resources | map(.decision)) == ["remove"] and .done == false'
			is "$(cksum <"$(journal "$op")")" "$before"
			expect 0 dpl-cleanup
			[ ! -e "$(<made)" ]
			rm ready
		done
	done
	supervised dpl-call --no-fail-on-crash -- sleep 60
	killed "$pid"
	expect 1 dpl-cleanup -n
	expect 0 dpl-cleanup
	expect 0 dpl-cleanup -n
	[ -e "$(<mine)" ]
}

@test "-n: one that is killed while it is queued takes nothing with it" {
	dpl-temp make >mine
	supervised dpl-call --slots 1 --group one -- sleep 60
	first=$pid
	in_background dpl-call --slots 1 --group one -- sleep 60
	wait_for "[ \"\$(count '.event == \"call.queued\"')\" = 1 ]"
	# The command that was to run has its lock, too, for as long as it is there.
	wait_for '[ -z "$(</proc/$pid/task/$pid/children)" ]'
	# It would record the death at once.
	kill -STOP "$first"
	killed "$pid"
	expect 1 dpl-cleanup -n
	has "$output" 'died      me, call_me_'
	lacks "$output" remove
	expect 0 dpl-cleanup
	is "$(count '.event == "crash.detected"')" 0
}

# --- the ordinary ends ---

@test "a call's own resources go when it ends, well or not; the participant's when it leaves; all when it completes" {
	dpl-temp make >mine
	expect 0 dpl-call -- sh -c 'dpl-temp make >made; dpl-temp make -d >folder; touch "$(cat folder)/x"'
	[ ! -e "$(<made)" ] && [ ! -e "$(<folder)" ]
	expect 3 dpl-call -- sh -c 'dpl-temp make >made; exit 3'
	[ ! -e "$(<made)" ]
	call=$(dpl-call start)
	DPL_CALL=$call dpl-temp make >made
	[ -e "$(<made)" ]
	dpl-call end "$call"
	[ ! -e "$(<made)" ]
	dpl-join -qp guest
	dpl-temp make -p guest >made
	[ -e "$(<made)" ]
	dpl-leave -p guest
	[ ! -e "$(<made)" ]
	[ -e "$(<mine)" ]
	dpl-temp add -q --command "echo undone >>$PWD/undone"
	expect 0 dpl-complete
	is "$(<undone)" undone
	[ ! -e "$(<mine)" ]
	archived
}

@test "what cannot be removed keeps the operation in sight until it can" {
	[ "$(id -u)" -eq 0 ] || skip 'only root can make a file immutable'
	dpl-temp make >made
	chattr +i "$(<made)" 2>/dev/null || skip 'no immutable files on this filesystem'
	expect 0 dpl-complete
	has "$stderr" "$(<made)"
	[ -e "$ledger/$op" ]
	expect 6 dpl-call -- true || is "$status" 125
	expect 1 dpl-cleanup
	has "$output" "failed" "$(<made)"
	chattr -i "$(<made)"
	expect 0 dpl-cleanup --sweep
	[ ! -e "$(<made)" ]
	archived
}

@test "what a dpl-complete that was killed had still to remove is named by who removes it" {
	local option
	for option in '' --sweep --json; do
		op=$(dpl-create)
		export DPL_OPERATION=$op
		dpl-temp make >made
		dpl-temp add -q --command ': >running; while [ ! -e free ]; do sleep 0.01; done'
		in_background dpl-complete -q
		wait_for '[ -e running ]'
		killed "$pid"
		: >free
		expect 0 dpl-cleanup -v ${option:+"$option"}
		if [ "$option" = --json ]; then
			holds '.state == "completed" and .done and .archived and (.resources | map(.kind + " " + .decision)) == ["command removed", "path removed"]'
		else
			has "$output" "$op completed" "  removed   : >running" "  removed   $(<made)"
		fi
		archived
		rm running free
	done
}

@test "-q: what could not be removed is an error, on standard error; the rest is not told" {
	local sweep
	dpl-temp add -q --command 'echo no; exit 3'
	expect 0 dpl-complete -q
	for sweep in '' --sweep; do
		expect 1 dpl-cleanup $sweep -q
		refused dpl-cleanup 'echo no; exit 3 was not removed: exit status 3: no'
	done
	expect 0 dpl-cleanup -q --forget
	silent
	op=$(dpl-create)
	export DPL_OPERATION=$op
	supervised dpl-call -- sleep 60
	killed "$pid"
	expect 1 dpl-cleanup -q -n
	silent
	expect 0 dpl-cleanup -q
	silent
}

@test "--forget gives up what cannot be removed, and nothing else" {
	[ "$(id -u)" -eq 0 ] || skip 'only root can make a file immutable'
	dpl-temp make >made
	chattr +i "$(<made)" 2>/dev/null || skip 'no immutable files on this filesystem'
	dpl-temp make >other
	dpl-temp add -q --command 'echo undone >>undone'
	supervised dpl-call -- sleep 60
	killed "$pid"
	expect 0 dpl-cleanup --forget "$op"
	chattr -i "$(<made)"
	archived
	[ ! -e "$(<other)" ]
	is "$(<undone)" undone
	is "$(jq -r 'select(.event == "resource.removed") | .result' <(journal_text "$op"))" $'removed\nremoved\nforgotten'
}

@test "what belongs to another host waits for it, and --forget gives it up" {
	dpl-temp make >made
	sed -i 's/"machineId":"[^"]*","host":"[^"]*"/"machineId":"00000000000000000000000000000000","host":"elsewhere"/; s/"bootId":"[^"]*"/"bootId":"x"/' "$ledger/$op/journal.jsonl"
	rm -f "$ledger/$op/checkpoint"
	expect 0 dpl-complete
	[ -e "$(<made)" ]
	expect 1 dpl-cleanup "$op"
	has "$output" elsewhere "it is on another host, elsewhere"
	expect 0 dpl-cleanup --forget "$op"
	archived
	[ -e "$(<made)" ]
}

# --- coordinators ---

# a_hung_one: a supervisor that is stopped, so that a coordinator has to wait for it
a_hung_one() {
	dpl-join -qp hung
	supervised dpl-call -p hung -- sh -c 'dpl-temp make >hung.made; : >hung.ready; exec sleep 60'
	wait_for '[ -e hung.ready ]'
	hung=$pid
	kill -STOP "$hung"
}

@test "a hung supervisor is waited for until the window is over, then it is killed" {
	supervised dpl-call -- sleep 60
	victim=$pid
	a_hung_one
	dpl-join -qp third
	supervised dpl-call -p third -- sleep 60
	third=$pid
	killed "$victim"
	start=$SECONDS
	ended "$third"
	is "$status" 123
	wait_for archived
	[ $((SECONDS - start)) -ge 1 ]
	[ ! -e "$(<hung.made)" ]
	wait "$hung" || true
}

@test "the coordinator is killed: the next who looks takes over with a new epoch" {
	supervised dpl-call -- sleep 60
	victim=$pid
	a_hung_one
	killed "$victim"
	in_background dpl-cleanup -t 20s
	wait_for "[ \"\$(count '.event == \"cleanup.started\"')\" = 1 ]"
	killed "$pid"
	expect 0 dpl-cleanup -t 20s
	is "$(jq -c 'select(.event == "cleanup.started") | .epoch' <(journal_text "$op"))" $'1\n2'
	is "$(count '.event == "operation.failed"')" 1
	archived
	[ ! -e "$(<hung.made)" ]
	kill -KILL "$hung" 2>/dev/null || true
}

@test "the coordinator sleeps: it is replaced, and does nothing any more when it wakes" {
	dpl-temp add -q --command "echo undone >>$PWD/undone"
	supervised dpl-call -- sleep 60
	victim=$pid
	a_hung_one
	killed "$victim"
	in_background dpl-cleanup -t 20s
	first=$pid
	wait_for "[ \"\$(count '.event == \"cleanup.started\"')\" = 1 ]"
	stop_unlocked "$first"
	# As stale as the operation says.
	wait_for 'dpl-cleanup -q -t 5s' 20
	archived
	is "$(jq -c 'select(.event == "cleanup.started") | .epoch' <(journal_text "$op"))" $'1\n2'
	before=$(cksum <"$(journal "$op")")
	kill -CONT "$first"
	ended "$first"
	is "$status" 0
	is "$(cksum <"$(journal "$op")")" "$before"
	is "$(<undone)" undone
	kill -KILL "$hung" 2>/dev/null || true
}

@test "a coordinator that is at an undo command for long is not replaced" {
	mkfifo go
	dpl-temp add -q --command 'echo undone >>undone; read -r _ <go'
	supervised dpl-call -- sleep 60
	killed "$pid"
	in_background dpl-cleanup -t 30s
	wait_for '[ -s undone ]'
	# Longer than what is stale.
	expect 1 dpl-cleanup -t 3s
	has "$output" 'another cleans up'
	timeout 20 sh -c 'echo >go'
	ended "$pid"
	is "$status" 0
	is "$(<undone)" undone
	is "$(count '.event == "cleanup.started"')" 1
}

# stopped PID: by SIGSTOP, which comes when it likes.
stopped() {
	kill -STOP "$1"
	wait_for "[[ \$(sed 's/.*) //' /proc/$1/stat) == [Tt]* ]]"
}

# replaced PID: a coordinator, by $second.
replaced() {
	stopped "$1"
	in_background dpl-cleanup -t 30s
	second=$pid
	wait_for "[ \"\$(count '.event == \"cleanup.started\" and .epoch == 2')\" = 1 ]"
}

# Which coordinators did what, in the order of the journal.
epochs() {
	jq -r 'select(.epoch) | "\(.event) \(.epoch)"' <(journal_text "$op")
}

@test "replaced while it runs an undo command: what has run is recorded, and nothing more is run or ended" {
	local first older
	mkfifo go
	for older in yes no; do
		rm -f ran free
		op=$(dpl-create --window 2s --beat 900ms --jitter 0s --stale 2s)
		DPL_OPERATION=$op
		# Behind the last one comes the end, without another look at the journal.
		[ "$older" = no ] || dpl-temp add -q --command 'echo older $PPID >>ran'
		dpl-temp add -q --command 'echo newer $PPID >>ran; [ -e free ] || read -r _ <go'
		supervised dpl-call -- sleep 60
		killed "$pid"
		in_background dpl-cleanup -t 30s
		first=$pid
		wait_for '[ -s ran ]'
		replaced "$first"
		: >free
		kill -CONT "$first"
		timeout 20 sh -c 'echo >go'
		ended "$first"
		ended "$second"
		is "$status" 0
		archived
		if [ "$older" = yes ]; then
			is "$(<ran)" "newer $first"$'\n'"older $second"
			is "$(epochs)" $'cleanup.started 1\ncleanup.started 2\nresource.removed 1\nresource.removed 2\ncleanup.done 2'
		else
			is "$(<ran)" "newer $first"
			is "$(epochs)" $'cleanup.started 1\ncleanup.started 2\nresource.removed 1\ncleanup.done 2'
		fi
		is "$(count '.event == "operation.failed"')" 1
	done
}

@test "replaced while it deletes a folder: no more of it is deleted, and nothing is forgotten" {
	strace -qq -o /dev/null true 2>/dev/null || skip 'no strace here'
	[ -z "${SANITIZED:-}" ] || skip 'strace and the sanitizers'
	local first tracer made
	# The next one waits for who may be at an undo command, so that nobody else deletes meanwhile.
	dpl-temp add -q --command 'echo $PPID >>ran'
	made=$(dpl-temp make -d)
	mkdir "$made"/{a,b,c}
	touch "$made"/{a,b,c}/file
	supervised dpl-call -- sleep 60
	killed "$pid"
	in_background strace -qq -o /dev/null -P "$made/a" -P "$made/b" -P "$made/c" -e trace=unlinkat -e inject=unlinkat:signal=STOP:when=1 dpl-cleanup --forget -t 30s
	tracer=$pid
	wait_for '[ "$(find "$made" -name file | wc -l)" = 2 ]'
	first=$(jq 'select(.event == "cleanup.started") | .pid' <(journal_text "$op"))
	replaced "$first"
	stopped "$second"
	kill -CONT "$first"
	ended "$tracer"
	is "$(find "$made" -name file | wc -l)" 2
	is "$(count '.event == "resource.removed"')" 0
	kill -CONT "$second"
	ended "$second"
	is "$status" 0
	archived
	[ ! -e "$made" ]
	is "$(<ran)" "$second"
	is "$(epochs)" $'cleanup.started 1\ncleanup.started 2\nresource.removed 2\nresource.removed 2\ncleanup.done 2'
}

@test "replaced while it looks who lives: nothing is removed by it in the name of its old epoch" {
	local first lock
	mkfifo go
	dpl-temp add -q --command 'echo $PPID >>ran; [ -e free ] || read -r _ <go'
	supervised dpl-call -- sleep 60
	victim=$pid
	a_hung_one
	killed "$victim"
	in_background dpl-cleanup -t 30s
	first=$pid
	wait_for "[ \"\$(count '.event == \"cleanup.started\"')\" = 1 ]"
	# A death that it sees and cannot record holds it up behind its last look at the journal.
	exec {lock}<>"$ledger/$op/journal.jsonl"
	flock "$lock"
	kill -KILL "$hung"
	wait_for 'grep -q -- "-> FLOCK .* $first " /proc/locks'
	stopped "$first"
	exec {lock}>&-
	replaced "$first"
	wait_for '[ -s ran ]'
	killed "$second"
	: >free
	kill -CONT "$first"
	ended "$first"
	is "$(epochs)" $'cleanup.started 1\ncleanup.started 2\ncleanup.started 3\nresource.removed 3\ncleanup.done 3'
	is "$status" 0
	archived
	is "$(<ran)" "$second"$'\n'"$first"
	wait "$hung" || true
}

@test "who is slow to become the coordinator does not when all is over" {
	strace -qq -o /dev/null true 2>/dev/null || skip 'no strace here'
	[ -z "${SANITIZED:-}" ] || skip 'strace and the sanitizers'
	local slow
	supervised dpl-call -- sleep 60
	killed "$pid"
	# The death alone is recorded.
	printf '{"path":"/operation/look","body":{"operationId":"%s","settle":false}}\n' "$op" >request
	dpl-batch <request >reply
	: >trace
	in_background strace -f -qq -o trace -e trace=flock -e inject=flock:error=EINTR:signal=STOP:when=1 dpl-cleanup -t 30s
	slow=$pid
	wait_for 'grep -q "stopped by SIGSTOP" trace'
	expect 0 dpl-cleanup -t 20s
	archived
	before=$(cksum <"$(journal "$op")")
	kill -CONT "$(sed 's/ .*//;q' trace)"
	ended "$slow"
	is "$(cksum <"$(journal "$op")")" "$before"
}

@test "a one-shot command does not drive while a keeper lives, who does" {
	in_background sleep 60
	kept=$pid
	dpl-join -qp kept --keep "$kept"
	supervised dpl-call -- sh -c 'dpl-temp make >made; : >ready; exec sleep 60'
	wait_for '[ -e ready ]'
	killed "$pid"
	wait_for archived
	[ ! -e "$(<made)" ]
	is "$(jq -r 'select(.event == "cleanup.started") | .by' <(journal_text "$op"))" kept
	kill -0 "$kept"
}

@test "two keepers: one drives, the other answers when its hooks have run" {
	in_background sleep 60
	first=$pid
	in_background sleep 60
	second=$pid
	dpl-join -qp first --keep "$first" --on-cleanup "sleep 0.5; echo first >>$PWD/hook"
	dpl-join -qp second --keep "$second" --on-cleanup "sleep 0.5; echo second >>$PWD/hook"
	supervised dpl-call -- sleep 60
	killed "$pid"
	wait_for archived
	is "$(sort hook)" $'first\nsecond'
	[ "$(count '.event == "cleanup.acknowledged"')" -ge 1 ]
}

# --- a script with a keeper ---

@test "a kept script is cleaned up in whatever way it ends" {
	local how
	for how in 'exit 0' 'exit 3' 'kill -KILL $$' 'kill -TERM $$' 'kill -INT $$' 'kill -HUP $$' 'exec false'; do
		rm -f made undone
		op=$(dpl-create)
		status=0
		DPL_OPERATION=$op bash -c 'eval "$(dpl-join -p script --export --keep=$$)"; dpl-temp make >made; dpl-temp add -q --command "echo 1 >>'"$PWD"'/undone"
			dpl-temp add -q --command "echo 2 >>'"$PWD"'/undone"; : >ready; '"$how" >/dev/null 2>&1 3>&- || status=$?
		wait_for archived
		[ ! -e "$(<made)" ]
		is "$(<undone)" $'2\n1'
	done
}

@test "an abort stops a kept script, and what it registered goes" {
	in_background bash -c 'eval "$(dpl-join -p script --export --keep=$$)"; dpl-temp make >made; : >ready; sleep 60; :'
	script=$pid
	wait_for '[ -e ready ]'
	dpl-abort -m enough
	ended "$script"
	wait_for '[ ! -e "$(<made)" ]'
	is "$(count '.event == "crash.detected"')" 0
	expect 0 dpl-complete
	is "$output" 'completed, aborted'
}

# --- hooks ---

@test "--on-cleanup and --on-failure of a supervisor: when they run, what they find, what is kept of them" {
	expect 0 dpl-call --on-cleanup 'echo no >>hook' --on-failure 'echo no >>hook' -- true
	[ ! -e hook ]
	expect 3 dpl-call --on-cleanup 'echo "$DPL_EXIT $DPL_REASON"; ls "$(cat made)"; exit 7' --on-failure 'echo no >>hook' -- sh -c 'dpl-temp make >made; exit 3'
	[ ! -e hook ] && [ ! -e "$(<made)" ]
	is "$(jq -r 'select(.event == "log") | .level + " " + .message' <(journal_text "$op"))" "warning --on-cleanup: exit status 7: 3 the command failed
$(<made)"
	supervised dpl-call -- sleep 60
	victim=$pid
	dpl-join -qp other
	supervised dpl-call -p other --on-cleanup 'echo "cleanup $DPL_EXIT" >>hook' --on-failure 'echo "failure $DPL_REASON" >>hook' -- sleep 60
	killed "$victim"
	ended "$pid"
	is "$status" 123
	has "$(<hook)" 'cleanup 123' 'failure somebody died: '
}

@test "a hook is bounded by the window" {
	supervised dpl-call --on-cleanup 'echo $$ >hook; sleep 60' -- sleep 60
	start=$SECONDS
	dpl-abort
	ended "$pid"
	is "$status" 122
	[ $((SECONDS - start)) -le 8 ]
	has "$(jq -r 'select(.event == "log") | .message' <(journal_text "$op"))" '--on-cleanup: it took too long and was killed'
	[ ! -e "/proc/$(<hook)" ]
}

@test "the hooks of a keeper" {
	in_background sleep 60
	kept=$pid
	dpl-join -qp kept --keep "$kept" --on-cleanup "echo cleanup >>$PWD/hook" --on-failure "echo failure >>$PWD/hook"
	supervised dpl-call -- sleep 60
	killed "$pid"
	wait_for archived
	is "$(<hook)" $'cleanup\nfailure'
}

@test "the hooks of a keeper whose process has died: whoever cleans up waits for them, and what they say is kept" {
	op=$(dpl-create --window 60s)
	DPL_OPERATION=$op
	in_background sleep 60
	kept=$pid
	dpl-join -qp kept --keep "$kept" --on-cleanup ': >begun; until [ -e "go" ]; do sleep 0.02; done; ls "$(cat made)"; exit 3' --on-failure 'echo "failure $DPL_REASON"'
	made=$(dpl-temp make -p kept)
	echo "$made" >made
	killed "$kept"
	wait_for '[ -e begun ]'
	is "$(count '.event == "crash.detected"')" 1
	in_background dpl-cleanup
	cleaner=$pid
	expect 5 dpl-beat
	wait_for '[ "$(count ".event == \"cleanup.started\"")" = 1 ]'
	: >go
	ended "$cleaner"
	is "$status" 0
	archived
	[ ! -e "$made" ]
	is "$(jq -r 'select(.event == "log") | .level + " " + .message' <(journal_text "$op"))" "warning --on-cleanup: exit status 3: $made
info --on-failure: done: failure its process $kept has ended without leaving"
	is "$(count '.event == "cleanup.acknowledged"')" 1
}

@test "a hook that takes too long behind a death is killed while its supervisor can still answer" {
	op=$(dpl-create --window 24s)
	DPL_OPERATION=$op
	supervised dpl-call --id one --on-cleanup 'echo out; sleep 60' --on-failure 'echo failure' -- sleep 60
	one=$pid
	supervised dpl-call --id two -- sleep 60
	killed "$pid"
	in_background dpl-cleanup
	ended "$pid"
	is "$status" 0
	ended "$one"
	is "$status" 123
	archived
	is "$(count '.event == "crash.detected"')" 1
	has "$(jq -r 'select(.event == "log") | .message' <(journal_text "$op"))" '--on-cleanup: it took too long and was killed: out' '--on-failure: done: failure'
}

@test "somebody dies while a hook runs: the hooks behind it are through in time, with that of --on-failure" {
	op=$(dpl-create --window 24s)
	DPL_OPERATION=$op
	supervised dpl-call --id two -- sleep 60
	two=$pid
	in_background dpl-call --id one --on-crash ': >begun; until [ -e go ]; do sleep 0.02; done' --on-cleanup 'echo out; sleep 60' --on-failure 'echo failure' -- sh -c 'exit 3'
	one=$pid
	wait_for '[ -e begun ]'
	killed "$two"
	in_background dpl-cleanup
	wait_for '[ "$(count ".event == \"cleanup.started\"")" = 1 ]'
	: >go
	ended "$pid"
	is "$status" 0
	ended "$one"
	is "$status" 3
	is "$(count '.event == "crash.detected"')" 1
	has "$(jq -r 'select(.event == "log") | .message' <(journal_text "$op"))" '--on-cleanup: it took too long and was killed: out' '--on-failure: done: failure'
}

@test "a call whose own participant died: its hooks run, and what they say is kept" {
	in_background sleep 60
	kept=$pid
	dpl-join -qp kept --keep "$kept"
	supervised dpl-call -p kept --on-cleanup 'echo "cleanup $DPL_EXIT"' --on-failure 'echo "failure $DPL_REASON"' -- sleep 60
	killed "$kept"
	ended "$pid"
	is "$status" 123
	wait_for archived
	has "$(jq -r 'select(.event == "log") | .message' <(journal_text "$op"))" '--on-cleanup: done: cleanup 123'
	# Which of the two words comes first is chance.
	jq -r 'select(.event == "log") | .message' <(journal_text "$op") | grep -Eq -- "--on-failure: done: failure (kept was declared dead|somebody died: its process $kept has ended without leaving)"
}

@test "who hears of the death of its own participant before anything else gives its command time to end" {
	need_strace
	in_background sleep 60
	kept=$pid
	dpl-join -qp kept
	keeper=$(dpl-beat --keep --pid "$kept" -p kept)
	echo 'trap "echo tidied >>tidied; exit 0" TERM; : >ready; while :; do sleep 0.02; done' >work
	in_background strace -D -qq -o trace -e trace=inotify_init1 -e inject=inotify_init1:signal=STOP:when=1 dpl-call -p kept -- sh work
	supervisor=$pid
	wait_for '[ -e ready ] && grep -q "stopped by SIGSTOP" trace'
	kill -KILL "$keeper"
	killed "$kept"
	wait_for 'dpl-cleanup -t 0 >/dev/null || [ "$(count ".event == \"crash.detected\"")" = 1 ]'
	kill -CONT "$supervisor"
	ended "$supervisor"
	is "$status" 123
	is "$(<tidied)" tidied
}

# --- signals ---

@test "a second Ctrl-C does not cut the cleanup short" {
	local i
	supervised env --default-signal=INT dpl-call --on-cleanup 'sleep 0.5; echo done >>hook' -- sh -c 'dpl-temp make -d >made; mkdir -p "$(cat made)/a/b/c"; exec sleep 60'
	wait_for '[ -e made ] && [ -e "$(<made)/a/b/c" ]'
	for ((i = 0; i < 20; i++)); do
		kill -INT "$pid" 2>/dev/null || break
		sleep 0.05
	done
	ended "$pid"
	is "$status" 130
	is "$(<hook)" 'done'
	[ ! -e "$(<made)" ]
	is "$(dpl-call list -q)" ''
}

@test "an undo command of --aborted-ok does not wait for a cleanup that another coordinates" {
	dpl-complete -q
	op=$(dpl-create --window 5s)
	export DPL_OPERATION=$op
	dpl-join -qp slow
	in_background sleep 60
	dpl-join -qp mute --keep="$pid"
	mute=$(jq -r .pid "$ledger/$op/beats/p-mute")
	kill -STOP "$mute"
	supervised dpl-call -- sleep 60
	killed "$pid"
	in_background dpl-cleanup
	cleaner=$pid
	wait_for 'grep -q cleanup.started "$(journal "$op")"'
	# It hears of the death while it runs.
	expect 0 dpl-call --aborted-ok -- sleep 0.5
	expect 0 dpl-call --aborted-ok -- true
	has "$(entries "$op" | paste -sd ' ')" 'call.ended call.started'
	lacks "$(entries "$op" | paste -sd ' ')" operation.failed
	kill -9 "$mute"
	ended "$cleaner"
	is "$status" 0
}

# --- misuse ---

@test "dpl-cleanup: misuse, and what there is not" {
	expect 2 dpl-cleanup --sweep "$op"
	expect 2 dpl-cleanup --sweep -o "$op"
	expect 2 dpl-cleanup --prune --sweep
	expect 2 dpl-cleanup --keep 3
	expect 2 dpl-cleanup --prune --keep x
	expect 2 dpl-cleanup -o "$op" "$op"
	expect 3 dpl-cleanup nonesuch
	expect 3 dpl-cleanup -C nowhere --sweep
	expect 0 dpl-cleanup "$op"
}

@test "dpl-cleanup BAD GOOD: the good one is cleaned up, the bad one is named" {
	supervised dpl-call -- sh -c 'dpl-temp make; exec sleep 60'
	wait_for 'compgen -G "tmp/*" >/dev/null'
	killed "$pid"
	expect 3 dpl-cleanup nonesuch "$op" 20200101-000000-0000000000
	[[ $stderr == *nonesuch* && $stderr == *20200101-000000-0000000000* ]]
	[[ $output == "$op failed"* ]]
	archived
	run ! compgen -G "tmp/*"
}

@test "--json: one object for each operation, also for one that cannot be looked at: of which, and why" {
	local good
	good=$(dpl-create)
	echo garbage >>"$ledger/$op/journal.jsonl"
	expect 9 dpl-cleanup --sweep --json
	is "$stderr" ''
	is "$(jq -r '[.ok, .operationId, .error.code // .state] | join(" ")' <<<"$output")" "false $op damaged-journal"$'\n'"true $good running"
	has "$(jq -r '.error.message // empty' <<<"$output")" "$op/journal.jsonl"
	expect 3 dpl-cleanup --json "$good" nowhere "$op"
	is "$stderr" ''
	is "$(jq -r '[.ok, .operationId // "none", .error.code // .state] | join(" ")' <<<"$output")" \
		"true $good running"$'\n'"false none operation-not-found"$'\n'"false $op damaged-journal"
}

@test "--prune: what is beyond, failed ones longer" {
	local i ids=()
	dpl-complete -q
	for ((i = 0; i < 4; i++)); do
		id=$(dpl-create)
		dpl-complete -q -o "$id"
		ids+=("$id")
	done
	failed=$(dpl-create)
	dpl-complete -q -o "$failed" --failed
	expect 0 dpl-cleanup --prune --keep 2
	is "$output" "$(printf '%s\n' "${ids[2]}" "${ids[1]}" "${ids[0]}" "$op")"
	is "$(find "$ledger/backup" -mindepth 1 -printf '%f\n' -prune | sort)" "$(printf '%s\n' "${ids[3]}" "$failed" | sort)"
	expect 0 dpl-cleanup --prune --keep 0
	[ ! -e "$ledger/backup/${ids[3]}" ]
}

@test "--prune where nothing may be deleted: 8, and it is said" {
	local i
	public_folder
	as_other mkdir -m 700 "$public/led"
	export DPL_LEDGER=$public/led
	for ((i = 0; i < 3; i++)); do
		op=$(as_other dpl-create -p nobody)
		as_other dpl-complete -q -o "$op" -p nobody
	done
	chmod 500 "$public/led/backup"
	expect 8 as_other dpl-cleanup --prune --keep 1
	has "$stderr" 'delete 2' 'Permission denied'
	is "$output" ''
	is "$(find "$public/led/backup" -mindepth 1 -maxdepth 1 | wc -l)" 3
}

@test "root removes nothing for a ledger that others may write to" {
	[ "$(id -u)" -eq 0 ] || skip 'not root'
	chmod 777 "$ledger"
	expect 8 dpl-cleanup
	has "$stderr" 'others may write'
	chmod 700 "$ledger"
	expect 0 dpl-cleanup
}

@test "root acts as the owner of the ledger: undo commands are run as that user, and nothing goes that it could not delete" {
	TMPDIR=$outer public_folder
	export DPL_LEDGER=$public/ledger HOME=$public
	cd "$public"
	mkdir secret ours
	chmod 700 secret
	touch secret/file
	chmod 777 ours
	chown 54321 ours
	op=$(as_other dpl-create)
	export DPL_OPERATION=$op
	as_other dpl-temp add -q --command "id -u >$public/ours/who; id -G >>$public/ours/who"
	as_other sh -c "umask 0; touch $public/ours/file"
	as_other dpl-temp add -q "$public/ours/file"
	# What the owner of the ledger writes into it by hand.
	identity=$(stat -c '%Z %i' secret/file)
	printf '{"seq":%d,"at":"2026-01-01T00:00:00.000Z","by":"me","event":"resource.added","resourceId":9,"kind":"path","path":"%s","type":"file","device":%d,"inode":%d,"bootId":"%s","machineId":"","host":"%s"}\n' \
		"$(($(wc -l <"$public/ledger/$op/journal.jsonl") + 1))" "$public/secret/file" "$(stat -c %d secret/file)" "${identity#* }" "$(cat /proc/sys/kernel/random/boot_id)" "$(hostname)" >>"$public/ledger/$op/journal.jsonl"
	expect 0 dpl-complete
	[ -e secret/file ]
	[ ! -e ours/file ]
	is "$(<ours/who)" $'54321\n54321'
	has "$stderr" "$public/secret/file was not removed"
	is "$(find "$public/ledger" ! -uid 54321)" ''
}

@test "a process that was registered ends, with one that heeds no SIGTERM; another boot has ended it already" {
	in_background sh -c 'trap "" TERM; : >ready; while :; do sleep 0.1; done'
	stubborn=$pid
	wait_for '[ -e ready ]'
	in_background sleep 60
	dpl-temp add -q --process "$stubborn"
	dpl-temp add -q --process "$pid"
	expect 0 dpl-complete
	wait_for 'gone "$pid"'
	ended "$stubborn"
	is "$status" 137
}

@test "an undo command that fails is tried again, five times in all, then left and named" {
	local i
	dpl-temp add -q --command 'echo no way >&2; exit 4'
	dpl-complete -q
	for i in 2 3 4; do
		expect 1 dpl-cleanup "$op"
		has "$output" failed 'exit status 4: no way'
	done
	expect 0 dpl-cleanup "$op"
	has "$output" left 'exit status 4: no way'
	archived
	is "$(count '.event == "resource.removed"')" 5
	expect 0 dpl-show --why "$op"
	has "$output" 'exit status 4: no way, tried 5 times'
	expect 0 dpl-show --why --json "$op"
	holds '.left.list[0].tries == 5'
}

@test "an undo command that hangs is killed with all it started" {
	skip_slow=${SLOW:-}
	[ -n "$skip_slow" ] || skip 'takes 30 s; SLOW=1 runs it'
	dpl-temp add -q --command "sleep 77.$$ & sleep 77.$$"
	dpl-complete
	is "$(pgrep -x -f "sleep 77.$$")" ''
	is "$(jq -r 'select(.event == "resource.removed") | .reason' <(journal_text "$op"))" 'it took too long and was killed'
}

@test "what one cannot remove stops nothing of the rest" {
	mkdir keep
	dpl-temp make -d >first
	touch other
	dpl-temp add -q "$PWD/other"
	mv other moved
	touch other
	dpl-temp make -d >second
	dpl-temp add -q --command false
	expect 0 dpl-complete
	[ ! -e "$(<first)" ] && [ ! -e "$(<second)" ] && [ -e other ] && [ -e moved ]
	has "$stderr" "$PWD/other was not removed: " 'false was not removed: exit status 1'
}

@test "the working folder itself may be what goes" {
	dpl-temp make -d >made
	(
		cd "$(<made)"
		mkdir sub
		dpl-complete
	)
	[ ! -e "$(<"$BATS_TEST_TMPDIR/made")" ]
}

@test "what is just being made when all is removed does not stay" {
	strace -qq -o /dev/null true 2>/dev/null || skip 'no strace here'
	[ -z "${SANITIZED:-}" ] || skip 'strace and the sanitizers'
	in_background strace -qq -o /dev/null -e trace=mkdirat,mkdir -e inject=mkdirat,mkdir:delay_enter=700000 dpl-temp make -d 2>late
	wait_for "[ \"\$(count '.event == \"resource.added\"')\" = 1 ]"
	expect 0 dpl-complete
	is "$(find tmp -mindepth 1)" ''
	ended "$pid"
	is "$(find tmp -mindepth 1)" ''
	has "$(<late)" ' has ended (completed)'
	lacks "$(<late)" registered
	archived
	# Killed in that moment, too.
	op=$(dpl-create)
	DPL_OPERATION=$op
	in_background strace -qq -o /dev/null -e trace=mkdirat,mkdir -e inject=mkdirat,mkdir:delay_exit=700000 dpl-temp make -d
	wait_for '[ "$(find tmp -mindepth 1)" ]'
	pkill -KILL -P "$pid"
	expect 0 dpl-complete
	is "$(find tmp -mindepth 1)" ''
}

@test "what is made when nobody waits for it any more, after a crash, does not stay, nor does its registration" {
	strace -qq -o /dev/null true 2>/dev/null || skip 'no strace here'
	[ -z "${SANITIZED:-}" ] || skip 'strace and the sanitizers'
	dpl-join -qp worker
	supervised dpl-call -p worker -- sleep 60
	victim=$pid
	in_background strace -qq -o /dev/null -e trace=mkdirat,mkdir -e inject=mkdirat,mkdir:delay_enter=5000000 dpl-temp make -d 2>late
	maker=$pid
	wait_for "[ \"\$(count '.event == \"resource.added\" and .path')\" = 1 ]"
	killed "$victim"
	expect 1 dpl-cleanup
	has "$output" 'is just making it'
	[ -e "$ledger/$op" ]
	ended "$maker"
	is "$status" 5
	lacks "$(<late)" registered
	is "$(find tmp -mindepth 1)" ''
	archived
	is "$(jq -r 'select(.event == "resource.removed" and .path) | .result' <(journal_text "$op"))" gone
}

@test "a removal that was asked for is not cut short where another becomes the coordinator" {
	strace -qq -o /dev/null true 2>/dev/null || skip 'no strace here'
	[ -z "${SANITIZED:-}" ] || skip 'strace and the sanitizers'
	# The coordinator waits for it, the longer where there is an undo command; else it takes it for stopped, and both remove.
	for recorded in me other; do
		op=$(dpl-create --window 2s --beat 900ms --jitter 0s --stale 2s)
		DPL_OPERATION=$op
		[ "$recorded" = other ] || dpl-temp add -q --command true
		made=$(dpl-temp make -d)
		mkdir "$made/a" "$made/b" "$made/c"
		touch "$made"/{a,b,c}/file
		dpl-join -qp worker
		dpl-join -qp other
		supervised dpl-call -p worker -- sleep 60
		victim=$pid
		supervised dpl-call -p other -- sleep 60
		in_background strace -qq -o /dev/null -e trace=unlinkat -e inject=unlinkat:delay_exit=4000000:when=1 dpl-temp remove -q "$made"
		remover=$pid
		wait_for '[ "$(find tmp -name file | wc -l)" = 2 ]'
		killed "$victim"
		wait_for "[ \"\$(count '.event == \"cleanup.started\"')\" -gt 0 ]"
		ended "$remover"
		is "$recorded $status" "$recorded 0"
		is "$(find tmp -mindepth 1)" ''
		wait_for archived
		is "$(jq -r 'select(.event == "resource.removed" and .path) | "\(.by) \(.result)"' <(journal_text "$op"))" "$recorded removed"
		# It was in the midst of it then.
		is "$(jq -r 'select(.event == "cleanup.started" or .event == "resource.removed") | .event' <(journal_text "$op") | head -n 1)" cleanup.started
	done
}

@test "an operation that ends while something is removed: what was not due until then goes too, and the papers have all of it" {
	in_background dpl-call -- sh -c 'dpl-temp add -q --command ": >running; while [ ! -e on ]; do sleep 0.01; done"; : >ready; while [ ! -e end ]; do sleep 0.01; done'
	caller=$pid
	wait_for '[ -e ready ]'
	dpl-temp make >newer
	: >end
	wait_for '[ -e running ]'
	in_background dpl-complete -q
	completer=$pid
	wait_for "[ \"\$(count '.event == \"operation.completed\"')\" = 1 ]"
	# Who reads it now must not write down half of it as the whole.
	expect 0 dpl-show --why "$op"
	expect 0 dpl-call list -a -o "$op"
	: >on
	ended "$caller"
	is "$status" 0
	ended "$completer"
	is "$status" 0
	wait_for archived
	[ ! -e "$(<newer)" ]
	is "$(count '.event == "resource.removed" and .result == "removed"')" 2
	is "$(wc -l <"$ledger/backup/$op/operation.log")" "$(wc -l <"$(journal "$op")")"
}

@test "an operation that is failing cannot be completed any more: 5, and it fails" {
	supervised dpl-call -- sleep 60
	victim=$pid
	a_hung_one
	killed "$victim"
	wait_for '! dpl-beat -q'
	expect 5 dpl-complete --cancel
	refused dpl-complete "operation $op is failing: me (call_me_1_"
	expect 5 dpl-complete --cancel --failed
	expect 0 dpl-cleanup -q -t 20s
	archived
	is "$(count '.event == "operation.completed"')" 0
	is "$(count '.event == "operation.failed"')" 1
	kill -KILL "$hung" 2>/dev/null || true
}

@test "an undo command that has run is not run again by the next one who looks" {
	dpl-call -- dpl-temp add -q --command "echo undone >>$PWD/undone"
	is "$(<undone)" undone
	dpl-cleanup -q
	dpl-temp list -aq
	dpl-complete -q
	is "$(<undone)" undone
	is "$(count '.event == "resource.removed" and .result == "removed"')" 1
}

@test "two who remove at once: an undo command runs once" {
	dpl-call -- dpl-temp add -q --command "echo undone >>$PWD/undone; sleep 0.3" &
	first=$!
	wait_for '[ -s undone ]'
	dpl-beat -q
	dpl-cleanup -q
	dpl-complete -q
	wait "$first"
	is "$(<undone)" undone
	is "$(count '.event == "resource.removed"')" 1
}

@test "a process that ends while it is looked at is gone" {
	need_strace
	in_background sleep 60
	dpl-temp add -q --process "$pid"
	ending=$pid
	in_background strace -D -qq -o trace -P "/proc/$ending/stat" -e trace=close -e inject=close:signal=STOP:when=1 dpl-temp remove 1
	wait_for 'grep -q "stopped by SIGSTOP" trace'
	kill -KILL "$ending"
	ended "$ending"
	kill -CONT "$pid"
	ended "$pid"
	is "$status" 0
	is "$(last_entry "$op" '[.event, .result, .reason] | @csv')" '"resource.removed","gone","it had ended"'
}

@test "a pid that another process has by now is not killed" {
	in_background sleep 60
	printf '{"path":"/temp/add","body":{"operationId":"%s","participantId":"me","kind":"process","pid":%d,"pidStart":1}}\n' "$op" "$pid" >request
	expect 0 dpl-batch <request
	holds '.status == 200'
	expect 0 dpl-complete
	has "$(grep resource.removed "$(journal "$op")")" '"result":"gone"'
	kill -0 "$pid"
}
