#!/usr/bin/env bats
# Calls in the background: spawn, what is kept of them, results, hooks, cancel and kill

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # $ that does not expand; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	# Marks every process of the test: what is spawned is nobody's child.
	export MARK=$BATS_TEST_TMPDIR
	# shellcheck disable=SC2046 # words
	op=$(dpl-create --window 2s $(mortal))
	export DPL_OPERATION=$op
}

teardown() {
	end_background
	end_marked
	cd /
	! mountpoint -q "$BATS_TEST_TMPDIR/disk" || umount -l "$BATS_TEST_TMPDIR/disk"
}

# of CALL FILTER: from its object in the list.
of() {
	dpl-call list -aj -o "$op" | jq -r --arg id "$1" ".calls[] | select(.callId == \$id) | $2"
}

@test "spawn prints the id, and returns while the command runs; all is in the ledger when it has ended" {
	mkfifo gate
	expect 0 dpl-call spawn -d 'a task' --result-from stdout -- sh -c 'read -r x <gate; echo "out $x"; echo err >&2; exit 0'
	call=$output
	silent_err
	is "$(dpl-call list -q)" "$call"
	is "$(of "$call" '[.state, .spawned, .description] | @csv')" '"running",true,"a task"'
	is "$(dpl-call list | wc -l)" 1
	echo 7 >gate
	expect 0 dpl-call wait "$call"
	is "$output$stderr" ''
	expect 0 dpl-call result "$call"
	is "$output" 'out 7'
	if by_server; then
		expect 3 dpl-call output "$call"
		has "$stderr" 'kept in ledgers that are folders'
	else
		expect 0 dpl-call output "$call"
		is "$output" 'out 7'
		expect 0 dpl-call output --err "$call"
		is "$output" err
	fi
	is "$(of "$call" '[.state, .status, .exitStatus, has("maxRssKib"), has("userMs")] | @csv')" '"ended",0,0,true,true'
	[ "$(of "$call" .durationMs)" -gt 0 ]
}

# Nothing on stderr.
silent_err() {
	is "$stderr" ''
}

@test "spawn detaches: a session of its own, and nothing of the caller's is held" {
	mkfifo gate pipe
	# Who waits for the end of the caller's pipes does not wait for the call.
	exec 5<>pipe
	call=$(dpl-call spawn -- sh -c 'ls -l /proc/self/fd >fds; read -r x <gate' 3>&-)
	[ -n "$call" ]
	exec 5>&-
	wait_for '[ -s fds ]'
	pid=$(of "$call" .pid)
	supervisor=$(jq -r 'select(.event == "call.started").supervisorPid' <(journal_text "$op"))
	is "$(ps -o sid= -p "$supervisor" | tr -d ' ')" "$supervisor"
	is "$(ps -o tty= -p "$supervisor" | tr -d ' ')" '?'
	run ! grep -E "pipe$|/5 " fds
	[[ $(readlink "/proc/$pid/fd/0") == /dev/null ]]
	for fd in 0 1 2; do
		is "$(readlink "/proc/$supervisor/fd/$fd")" /dev/null
	done
	run ! grep -F "$BATS_TEST_TMPDIR/pipe" <(ls -l "/proc/$supervisor/fd")
	echo >gate
	expect 0 dpl-call wait "$call"
}

@test "its id cannot be written: that is said, with its name, and the call runs on" {
	[ -c /dev/full ] || skip 'no /dev/full'
	mkfifo gate.full gate.closed gate.object gate.unread pipe
	spawn() {
		dpl-call spawn --id "$@" -- sh -c 'read -r x <"gate.$DPL_CALL"; echo "$x"'
	}
	full() {
		spawn "$@" >/dev/full
	}
	closed() {
		spawn "$@" >&-
	}
	unread() {
		spawn "$@" >&7
	}
	expect 125 full full
	is "$stderr" "dpl-call: write standard output: No space left on device; call full of $op goes on"
	expect 125 full object --json
	is "$stderr" "dpl-call: write standard output: No space left on device; call object of $op goes on"
	expect 125 closed closed
	is "$stderr" "dpl-call: write standard output: Bad file descriptor; call closed of $op goes on"
	# A pipe whose reader has gone: a quiet end.
	exec 6<>pipe
	exec 7>pipe
	exec 6>&-
	expect 0 unread unread
	silent
	exec 7>&-
	is "$(dpl-call list -q | sort | paste -sd ' ')" 'closed full object unread'
	for call in full closed object unread; do
		echo "for $call" >"gate.$call"
		expect 0 dpl-call wait "$call"
		by_server || is "$(dpl-call output "$call")" "for $call"
	done
	expect 0 dpl-beat
	is "$(count '.event == "call.crashed"')" 0
}

@test "nobody takes its id for long: the call does not wait for that" {
	mkfifo pipe
	exec 7<>pipe
	run dd if=/dev/zero of=pipe oflag=nonblock bs=4096
	has "$output" 'temporarily unavailable'
	in_background dpl-call spawn --id slow -- true >&7
	wait_for '[ "$(of slow .state)" = ended ]'
	run ! gone "$pid"
	exec 7>&-
}

@test "its caller dies at once, or is killed with its group: the call goes on" {
	mkfifo gate
	cat >caller <<-'END'
		dpl-call spawn -- sh -c 'read -r x <gate; echo "$x" >./done' >id
		kill -KILL 0
	END
	setsid bash caller 3>&- || true
	call=$(<id)
	is "$(of "$call" .state)" running
	echo yes >gate
	expect 0 dpl-call wait "$call"
	is "$(<./done)" yes
}

@test "a command that cannot be had: no call, and the status of dpl-call" {
	expect 127 dpl-call spawn -- no-such-command
	is "$output" ''
	has "$stderr" 'command not found'
	expect 127 dpl-call spawn --json -- no-such-command
	holds '.ok == false'
	: >plain
	expect 126 dpl-call spawn -- ./plain
	expect 125 dpl-call spawn -o nonesuch -- true
	expect 125 dpl-call spawn -p nobody -- true
	has "$stderr" 'has not joined'
	expect 125 dpl-call spawn true
	expect 125 dpl-call spawn --
	expect 125 dpl-call spawn --output-max 1k -- true
	has "$stderr" 'less than 64k'
	expect 125 dpl-call spawn --output-max much -- true
	expect 125 dpl-call spawn --result-json -- true
	expect 125 dpl-call spawn --fallback a --fallback-command b -- true
	expect 125 dpl-call spawn --fallback-command '' -- true
	has "$stderr" '--fallback-command is empty'
	is "$(count '.event == "call.started"')" 0
	dpl-abort -q -m no
	expect 122 dpl-call spawn -- true
	is "$output" ''
	has "$stderr" aborted
}

@test "wait gives the status that the foreground would have" {
	is "$(status_after sh -c 'exit 3')" 3
	is "$(status_after sh -c 'kill -KILL $$')" 137
	is "$(status_after --timeout 100ms -- sleep 60)" 124
	is "$(status_after --result-from missing -- true)" 125
	is "$(status_after true)" 0
}

# status_after [OPTION ... --] COMMAND ...
status_after() {
	local call status=0
	[[ " $* " == *' -- '* ]] || set -- -- "$@"
	call=$(dpl-call spawn "$@")
	dpl-call wait -q "$call" >/dev/null 2>&1 || status=$?
	echo "$status"
}

@test "wait says what went wrong, and --json has it" {
	call=$(dpl-call spawn -- sh -c 'exit 3')
	expect 3 dpl-call wait "$call"
	is "$stderr" "dpl-call: call $call failed: exit status 3"
	expect 3 dpl-call wait --json "$call"
	holds '.callId == $call and .state == "failed" and .status == 3 and .error == "exit status 3"' --arg call "$call"
	expect 3 dpl-call wait nonesuch
	has "$stderr" 'no call nonesuch'
	call=$(dpl-call start)
	expect 124 dpl-call wait -t 200ms "$call"
	has "$stderr" "$call" running
	dpl-call fail -m 'did not work' "$call"
	expect 1 dpl-call wait "$call"
	has "$stderr" 'did not work'
}

@test "results: from stdout, from a file that goes, that stays, and what is none" {
	call=$(dpl-call spawn --result-from answer -- sh -c 'echo 42 >answer; echo noise')
	expect 0 dpl-call wait "$call"
	is "$(dpl-call result "$call")" 42
	wait_for '[ ! -e answer ]' # behind the end: it is lost to nobody who reads it there
	by_server || is "$(dpl-call output "$call")" noise
	call=$(dpl-call spawn --result-from answer --keep-result -- sh -c 'echo 43 >answer')
	expect 0 dpl-call wait "$call"
	is "$(dpl-call result "$call")" 43
	is "$(<answer)" 43
	# It was there before: that is no result of this command.
	call=$(dpl-call spawn --result-from answer -- true)
	expect 125 dpl-call wait "$call"
	has "$stderr" 'was there before'
	is "$(<answer)" 43
	expect 6 dpl-call result "$call"
	has "$stderr" 'has no result' failed
	expect 0 dpl-call result --or none "$call"
	is "$output" none
	# In the foreground, too.
	expect 0 dpl-call --id fore --result-from answer -- sh -c 'echo 44 >answer'
	[ ! -e answer ]
	is "$(dpl-call result fore)" 44
	call=$(dpl-call spawn -- true)
	expect 0 dpl-call wait "$call"
	expect 1 dpl-call result "$call"
	is "$output" ''
	mkfifo gate
	call=$(dpl-call spawn --result-from stdout -- cat gate)
	expect 6 dpl-call result "$call"
	has "$stderr" 'no result yet' "dpl-call wait -o $op $call"
	expect 6 dpl-call result --json "$call"
	json_error no-result
	echo x >gate
	expect 0 dpl-call wait "$call"
	expect 0 dpl-call result --json "$call"
	holds '.ok and .result == "x"'
	expect 3 dpl-call result nonesuch
}

@test "--result-json: what is JSON and what is not" {
	local text
	for text in '{"a":[1,2]}' '[]' '"x"' 42 true null ' {"a":1} '; do
		expect 0 dpl-call -q --result-from stdout --result-json -- printf %s "$text"
		is "$(tail -n 1 <(journal_text "$op") | jq -r .result)" "$text"
	done
	for text in '' '{' 'no' '{"a":1,"a":2}' '1 2' '1,2' $'"\xff"' '[1' '],['; do
		expect 125 dpl-call -q --result-from stdout --result-json -- printf %s "$text"
		has "$stderr" 'no JSON'
		is "$(tail -n 1 <(journal_text "$op") | jq -r .event)" call.failed
	done
	expect 125 dpl-call --result-from stdout --result-json -- sh -c 'head -c 40000 /dev/zero | tr "\0" 1'
	has "$stderr" 'longer than'
}

@test "--result-json: what stands in for the result is JSON, too" {
	expect 125 dpl-call --result-json --result-from stdout --fallback 'not json' -- touch ran
	refused dpl-call '--fallback: ' 'no JSON: not json'
	expect 125 dpl-call spawn --fallback '' --result-json --result-from stdout -- touch ran
	refused dpl-call 'no JSON'
	[ ! -e ran ]
	is "$(count '.event == "call.started"')" 0
	expect 125 dpl-call -q --id text --result-json --result-from stdout --fallback '{"a":1}' -- echo '{'
	is "$(dpl-call result text)" '{"a":1}'
	for word in run spawn; do
		dpl-call "$word" -q --id "good-$word" --result-json --result-from stdout --fallback-command 'echo "[1]"' -- echo '{' || is $? 125
		expect 125 dpl-call wait "good-$word"
		is "$(dpl-call result "good-$word")" '[1]'
		dpl-call "$word" -q --id "bad-$word" --result-json --result-from stdout --fallback-command 'echo no' -- sh -c 'exit 3' || is $? 3
		expect 3 dpl-call wait -q "bad-$word"
		expect 6 dpl-call result "bad-$word"
		is "$(of "bad-$word" '[.state, .error, has("result")] | @csv')" '"failed","exit status 3",false'
		is "$(count ".level == \"warning\" and .callId == \"bad-$word\" and .message == \"--fallback-command: the result is no JSON: no\"")" 1
	done
}

@test "a result that is too long is not kept, and the file that holds it stays" {
	call=$(dpl-call spawn --result-from big -- sh -c 'head -c 40000 /dev/zero | tr "\0" x >big')
	expect 0 dpl-call wait "$call"
	is "$(stat -c %s big)" 40000
	expect 1 dpl-call result "$call"
	is "$(count '.event == "log" and .level == "warning" and (.message | contains("not kept"))')" 1
	call=$(dpl-call spawn --result-from stdout -- sh -c 'head -c 40000 /dev/zero | tr "\0" x')
	expect 0 dpl-call wait "$call"
	expect 1 dpl-call result "$call"
	by_server || is "$(dpl-call output "$call" | wc -c)" 40000
}

@test "--fallback: for a command that fails by itself; what it was taken instead of is told" {
	call=$(dpl-call spawn --fallback none --result-from stdout -- sh -c 'echo half; exit 3')
	expect 3 dpl-call wait "$call"
	is "$(dpl-call result "$call")" none
	is "$(of "$call" '[.state, .result, .error, .exitStatus] | @csv')" '"ended","none","exit status 3",3'
	call=$(dpl-call spawn --fallback none --result-from stdout -- echo well)
	expect 0 dpl-call wait "$call"
	is "$(dpl-call result "$call")" well
	call=$(dpl-call spawn --fallback-command 'echo "instead: $DPL_EXIT, $DPL_REASON"; echo talk >&2' -- sh -c 'kill -SEGV $$')
	expect 139 dpl-call wait "$call"
	has "$(dpl-call result "$call")" 'instead: 139, signal 11'
	is "$(count '.event == "log" and (.message | contains("talk"))')" 1
	call=$(dpl-call spawn --fallback-command 'echo no; exit 1' -- false)
	expect 1 dpl-call wait -q "$call"
	is "$(of "$call" '[.state, has("result")] | @csv')" '"failed",false'
	# One that was stopped has none.
	call=$(dpl-call spawn --fallback none -- sleep 60)
	dpl-call cancel "$call"
	expect 122 dpl-call wait -q "$call"
	is "$(of "$call" '[.state, has("result")] | @csv')" '"cancelled",false'
	# Its supervisor dies: the value, and the operation goes on.
	call=$(dpl-call spawn --fallback none -- sleep 60)
	kill -KILL "$(jq -r 'select(.event == "call.started").supervisorPid' <(journal_text "$op") | tail -n 1)"
	expect 123 dpl-call wait -q "$call"
	is "$(dpl-call result "$call")" none
	expect 0 dpl-call sync "$call"
	is "$(dpl-show --json | jq -r .state)" running
}

@test "--fallback-command in a folder whose name is not UTF-8: that is said, and nothing is run" {
	mkdir $'f\xff'
	cd $'f\xff'
	for word in run spawn; do
		expect 125 dpl-call $word --fallback-command 'echo x' -- touch ran
		refused dpl-call 'the working folder is not UTF-8'
	done
	[ ! -e ran ]
	expect 0 dpl-call --fallback x -- true
}

# lost: what is said of one whose supervisor was killed.
lost() {
	by_server && echo 'it beats by a server, and there was no beat' || echo "its supervisor's lock has fallen"
}

# orphan OPTION...: a call in the background whose supervisor was killed; its id goes to $call
orphan() {
	call=$(dpl-call spawn "$@" -- sleep 60)
	supervisor=$(jq -r 'select(.event == "call.started").supervisorPid' <(journal_text "$op") | tail -n 1)
	kill -KILL "$supervisor"
	wait_for "gone $supervisor"
}

@test "--fallback-command of two calls of one who dies: each is run, and gives its own result" {
	op=$(dpl-create)
	export DPL_OPERATION=$op
	in_background sleep 60
	dpl-join -q -p w --keep="$pid"
	for call in a b; do
		expect 0 dpl-batch < <(printf '{"path":"/call/start","body":{"operationId":"%s","participantId":"w","callId":"%s","fallbackCommand":"echo for %s","folder":"/"}}\n' "$op" "$call" "$call")
	done
	kill "$pid"
	wait_for '[ -e "$ledger/backup/$op" ]'
	is "$(jq -r 'select(.event == "resource.added") | .resourceId' <(journal_text "$op") | paste -sd ' ')" '1 2'
	is "$(jq -r 'select(.event == "resource.removed") | "\(.callId) \(.callResult)"' <(journal_text "$op"))" $'b for b\na for a'
}

@test "--fallback-command where the supervisor dies: run by who looks next, once, and its output is the result" {
	mkdir here
	pushd here >/dev/null
	orphan --fallback-command 'echo "$DPL_CALL ${DPL_EXIT-none} $PWD: $DPL_REASON"; echo talk >&2; echo run >>runs'
	popd >/dev/null
	expect 0 dpl-call sync "$call"
	has "$output" "succeeded $call $call none $PWD/here: $(lost)"
	has "$(dpl-call result "$call")" "$call none $PWD/here: $(lost)"
	expect 123 dpl-call wait -q "$call"
	is "$(<here/runs)" run
	is "$(of "$call" '[.state, .failOnCrash, has("fallbackPending")] | @csv')" '"crashed",false,false'
	has "$(dpl-show --why "$call")" 'contained, its fallback was taken: call_'
	is "$(dpl-show --json | jq -r .state)" running
	# It fails, says too much, or takes too long to say anything: no result, once and for all.
	orphan --fallback-command 'echo half; echo sorry >&2; exit 3'
	expect 5 dpl-call sync "$call"
	has "$output" "failed    $call $(lost)"
	is "$(of "$call" '[.state, has("result"), .fallbackError] | @csv')" '"crashed",false,"exit status 3: sorry"'
	has "$(dpl-show --why "$call")" 'its fallback command failed: exit status 3: sorry'
	expect 6 dpl-call result "$call"
	orphan --fallback-command 'head -c 33000 /dev/zero | tr "\\0" x'
	expect 5 dpl-call sync "$call"
	has "$(of "$call" .fallbackError)" 'too long for a result'
	# Where the result must be JSON so must this.
	orphan --result-from stdout --result-json --fallback-command 'echo no'
	expect 5 dpl-call sync "$call"
	is "$(of "$call" '[.state, has("result"), .fallbackError] | @csv')" '"crashed",false,"the result is no JSON: no"'
	orphan --result-from stdout --result-json --fallback-command 'echo "[1]"'
	expect 0 dpl-call sync "$call"
	is "$(dpl-call result "$call")" '[1]'
	# With nobody there a sweep runs it.
	orphan --fallback-command 'echo swept'
	wait_for 'dpl-cleanup -q --sweep; [ "$(dpl-call result "$call" 2>/dev/null)" = swept ]'
}

@test "--fallback-command: who runs it is killed at any moment; the next gives the result" {
	local_only 'of who works on the folder'
	faultat=$BUILD/tools/faultat
	[ -z "${SANITIZED:-}" ] || skip 'slow, and the same code'
	"$faultat" -l calls true >/dev/null 2>&1 || skip 'no faultat, or ptrace is not allowed here'
	orphan --fallback-command 'echo instead'
	"$faultat" -l calls dpl-cleanup >/dev/null 3>&-
	all=$((2 * $(wc -l <calls)))
	[ "$all" -gt 40 ]
	is "$(dpl-call result "$call")" instead
	for ((stop = 1; stop <= all; stop += 23)); do
		orphan --fallback-command 'echo instead'
		status=0
		"$faultat" -k "$stop" dpl-cleanup >out 2>err 3>&- || status=$?
		[ "$status" = 137 ] || [ "$status" = 0 ]
		expect 0 dpl-cleanup
		is "$(dpl-call result "$call")" instead
		is "$(count ".event == \"call.crashed\" and .callId == \"$call\"")" 1
		is "$(count ".event == \"resource.removed\" and .callId == \"$call\"")" 1
	done
}

@test "hooks: which are run, and what they find" {
	hooks=(--on-completion 'echo "completion $DPL_CALL $DPL_RESULT $DPL_EXIT ${DPL_REASON-none}" >>hooks' --on-crash 'echo "crash $DPL_EXIT $DPL_REASON ${DPL_RESULT-none}" >>hooks'
		--on-cleanup 'echo "cleanup $DPL_EXIT" >>hooks' --on-failure 'echo failure >>hooks')
	call=$(dpl-call spawn "${hooks[@]}" --result-from stdout -- echo 42)
	expect 0 dpl-call wait "$call"
	is "$(<hooks)" "completion $call 42 0 none"
	rm hooks
	call=$(dpl-call spawn "${hooks[@]}" --fallback f -- sh -c 'exit 4')
	expect 4 dpl-call wait "$call"
	is "$(<hooks)" $'crash 4 exit status 4 none\ncleanup 4'
	rm hooks
	call=$(dpl-call spawn "${hooks[@]}" -- sleep 60)
	dpl-call cancel "$call"
	expect 122 dpl-call wait -q "$call"
	is "$(<hooks)" 'cleanup 122'
	rm hooks
	expect 0 dpl-call "${hooks[@]}" -- true
	has "$(<hooks)" completion
	# One that fails is told, and changes nothing.
	call=$(dpl-call spawn --on-completion 'echo ouch; exit 1' -- true)
	expect 0 dpl-call wait "$call"
	is "$(count '.event == "log" and .level == "warning" and (.message | contains("--on-completion") and contains("ouch"))')" 1
}

@test "cancel: a flag and SIGTERM; once and again; what has ended, what is not there" {
	call=$(dpl-call spawn -- sh -c 'trap "echo told; exit 0" TERM; : >ready; sleep 60 & wait')
	wait_for '[ -e ready ]'
	expect 1 dpl-call cancelled "$call"
	expect 0 dpl-call cancel -m enough "$call"
	expect 122 dpl-call wait -q "$call"
	by_server || is "$(dpl-call output "$call")" told
	is "$(count '.event == "call.cancelling" and .reason == "enough"')" 1
	is "$(of "$call" .state)" cancelled
	expect 0 dpl-call cancelled "$call"
	expect 6 dpl-call cancel "$call"
	expect 3 dpl-call cancel nonesuch
	# Work without a supervisor polls.
	DPL_CALL=$(dpl-call start)
	export DPL_CALL
	expect 1 dpl-call cancelled
	expect 0 dpl-call cancel
	expect 0 dpl-call cancel
	is "$(count ".event == \"call.cancelling\" and .callId == \"$DPL_CALL\"")" 1
	expect 0 dpl-call cancelled
	expect 0 dpl-call cancelled --json
	holds '.cancelled and .state == "cancelling"'
	expect 0 dpl-call end
	expect 1 dpl-call cancelled
	dpl-abort -q
	expect 0 dpl-call cancelled
	expect 3 dpl-call cancelled nonesuch
}

@test "cancel reaches a supervisor in the foreground, too" {
	in_background dpl-call --id fore -- sh -c ': >ready; exec sleep 60'
	wait_for '[ -e ready ]'
	expect 0 dpl-call cancel fore
	ended "$pid"
	is "$status" 122
}

@test "kill: a signal to the command; names and numbers; what it cannot reach" {
	call=$(dpl-call spawn -- sh -c 'trap ": >told" USR1; : >ready; while :; do sleep 0.05; done')
	wait_for '[ -e ready ]'
	expect 0 dpl-call kill -s USR1 "$call"
	wait_for '[ -e told ]'
	expect 0 dpl-call kill -s sigusr1 "$call"
	expect 0 dpl-call kill -s 0 "$call"
	expect 2 dpl-call kill -s nosuch "$call"
	expect 2 dpl-call kill --key k "$call"
	expect 0 dpl-call kill --signal 9 "$call"
	expect 137 dpl-call wait -q "$call"
	is "$(of "$call" '[.state, .signal] | @csv')" '"failed",9'
	expect 6 dpl-call kill "$call"
	expect 3 dpl-call kill nonesuch
	call=$(dpl-call start)
	expect 6 dpl-call kill "$call"
	has "$stderr" 'no process'
	expect 6 dpl-call kill --json "$call"
	json_error elsewhere
	# What has the number of a process that has ended is not signalled.
	in_background sleep 60
	call=$(dpl-batch <<<'{"path":"/call/start","body":{"operationId":"'"$op"'","participantId":"me","participantPid":'"$pid"',"participantPidStart":1,"bootId":"'"$(</proc/sys/kernel/random/boot_id)"'"}}' | jq -r .body.callId)
	expect 3 dpl-call kill -s KILL "$call"
	kill -0 "$pid"
}

@test "kill: work that is done elsewhere, whose process start --pid names" {
	in_background sh -c 'trap ": >told" USR1; : >ready; while :; do sleep 0.05; done'
	wait_for '[ -e ready ]'
	call=$(dpl-call start --pid "$pid")
	expect 0 dpl-call kill -s USR1 "$call"
	wait_for '[ -e told ]'
	expect 0 dpl-call kill -s KILL "$call"
	ended "$pid"
	is "$status" 137
	expect 3 dpl-call kill "$call"
	refused dpl-call "$call has ended"
}

@test "kill: a number that has no start time, boot or namespace, or another one, is nobody's" {
	in_background sleep 60
	boot=$(</proc/sys/kernel/random/boot_id)
	start=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20)
	is_nobody() { # MEMBERS PART: with these members the call is refused, and that says why
		call=$(dpl-batch <<<'{"path":"/call/start","body":{"operationId":"'"$op"'","participantId":"me","participantPid":'"$pid,$1"'}}' | jq -r .body.callId)
		expect 6 dpl-call kill -s KILL "$call"
		refused dpl-call "$call" "$2"
		kill -0 "$pid"
	}
	is_nobody '"description":"its number alone"' 'when process'
	is_nobody '"bootId":"'"$boot"'"' 'when process'
	is_nobody '"host":"there","participantPidStart":'"$start" 'on which boot'
	is_nobody '"bootId":"'"${boot//[0-9]/0}"'","host":"there","participantPidStart":'"$start" 'there'
	is_nobody '"bootId":"'"$boot"'","pidNs":1,"participantPidStart":'"$start" 'PID namespace'
	# A supervisor that holds nothing, of a call that is queued.
	for call in runs waits; do
		printf '{"path":"/call/start","body":{"operationId":"%s","participantId":"me","callId":"%s","group":"g","slots":1,' "$op" "$call" >request
		printf '"participantPid":%d,"supervisorPid":%d,"bootId":"%s"}}\n' "$pid" "$pid" "$boot" >>request
		dpl-batch <request >/dev/null
	done
	is "$(of waits .state)" queued
	expect 6 dpl-call kill -s KILL waits
	kill -0 "$pid"
	# An entry that has the number alone.
	! by_server || return 0 # which has read the journal
	dpl-call start -q --pid "$pid" --id old
	sed -i -E '/"callId":"old"/s/,"(pidStart|pidNs)":[0-9]+|,"(bootId|host)":"[^"]*"//g' "$(journal "$op")"
	is "$(last_entry "$op" '[.callId, .pid, .pidStart, .bootId] | map(tostring) | join(" ")')" "old $pid null null"
	expect 6 dpl-call kill -s KILL old
	refused dpl-call old 'when process' 'on which boot'
	kill -0 "$pid"
}

@test "kill: a process that was given the number of one that has ended" {
	local_only 'a server sees no processes of another namespace'
	inside() {
		unshare --user --map-root-user --pid --fork --mount-proc "$@"
	}
	inside sh -c 'echo 100 >/proc/sys/kernel/ns_last_pid' 2>/dev/null || skip 'no namespace to choose the numbers of processes in'
	cat >within <<-'E'
		sleep 60 &
		pid=$!
		call=$(dpl-call start --pid "$pid")
		sleep 0.1 # into another tick of the clock by which its start is told
		kill "$pid"
		wait "$pid"
		until [ "$!" = "$pid" ] && [ -e /proc/$pid ]; do
			echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
			sleep 60 &
		done
		dpl-call kill -s KILL "$call"
		echo "$?" >status
		kill -0 "$pid" && : >lives
	E
	inside bash within 2>err || true
	is "$(<status)" 3
	has "$(<err)" 'has ended'
	[ -e lives ]
}

@test "output: as it comes, from an offset, its tail, and on until the end" {
	local_only 'what is printed is kept in folders alone'
	mkfifo gate gate2
	call=$(dpl-call spawn -- sh -c 'echo one; read -r x <gate; echo two; read -r x <gate2; echo three')
	wait_for '[ -n "$(dpl-call output $call)" ]'
	is "$(dpl-call output "$call")" one
	in_background dpl-call output -f "$call" >followed
	wait_for '[ -s followed ]'
	echo >gate
	wait_for '[ "$(wc -l <followed)" = 2 ]'
	expect 0 dpl-call output --json "$call"
	holds '.text == "one\ntwo\n" and .next == 8 and .first == 0 and .over == false'
	echo >gate2
	ended "$pid"
	is "$status" 0
	is "$(<followed)" $'one\ntwo\nthree'
	is "$(dpl-call output --from 4 "$call")" $'two\nthree'
	is "$(dpl-call output --tail 6 "$call")" three
	is "$(dpl-call output --tail 0 "$call")" ''
	expect 0 dpl-call output --json --from 8 "$call"
	holds '.text == "three\n" and .next == 14 and .over and .stream == "stdout"'
	expect 0 dpl-call output -v "$call"
	has "$stderr" 'the next byte is 14'
	expect 2 dpl-call output --from 1 --tail 1 "$call"
	expect 2 dpl-call output -f --json "$call"
	expect 3 dpl-call output nonesuch
	call=$(dpl-call start)
	expect 3 dpl-call output "$call"
	has "$stderr" 'is not kept'
	call=$(dpl-call spawn -- sleep 60)
	expect 124 dpl-call output -f -t 100ms "$call"
}

@test "output of any bytes comes out as it went in, and stays when the operation has ended" {
	local_only 'what is printed is kept in folders alone'
	head -c 300000 /dev/urandom >bytes
	call=$(dpl-call spawn -- cat bytes)
	expect 0 dpl-call wait "$call"
	dpl-call output "$call" | cmp - bytes
	dpl-complete -q
	dpl-call output -o "$op" "$call" | cmp - bytes
	is "$(dpl-call list -aq -o "$op")" "$call"
}

@test "--output-max: the end is kept, the beginning given back, and that is said" {
	local_only 'what is printed is kept in folders alone'
	# 4 MB of numbered lines.
	call=$(dpl-call spawn --output-max 128k -- sh -c 'seq -f "%015.0f" 1 250000; seq 1 9 >&2')
	expect 0 dpl-call wait "$call"
	file=$ledger/$op/calls/$call.out
	is "$(stat -c %s "$file")" 4000000
	if [ "$(($(stat -c %b "$file") * $(stat -c %B "$file")))" -gt 1000000 ]; then
		# A filesystem that gives nothing back keeps what came first.
		expect 0 dpl-call output "$call"
		return
	fi
	expect 0 dpl-call output "$call"
	has "$stderr" 'before this are not kept'
	[ "${#output}" -ge $((128 * 1024 - 1)) ] && [ "${#output}" -lt $((256 * 1024)) ]
	is "$(tail -n 1 <<<"$output")" 000000000250000
	is "$(tr -d '\0' <"$BATS_TEST_TMPDIR/out" | wc -c)" "$(stat -c %s "$BATS_TEST_TMPDIR/out")"
	# Offsets are those of all that was printed.
	is "$(dpl-call output --from 3999984 "$call")" 000000000250000
	is "$(dpl-call output --err "$call" | tr '\n' ' ')" '1 2 3 4 5 6 7 8 9 '
}

@test "a full disk: the command goes on, and how much was lost is told" {
	local_only 'what is printed is kept in folders alone'
	[ "$(id -u)" -eq 0 ] || skip 'only root can mount'
	mkdir disk
	mount -t tmpfs -o size=2m none disk || skip 'tmpfs cannot be mounted'
	DPL_LEDGER=$BATS_TEST_TMPDIR/disk/ledger
	op=$(dpl-create)
	ledger=$DPL_LEDGER DPL_OPERATION=$op
	call=$(dpl-call spawn -- sh -c 'head -c 8000000 /dev/zero; echo well >./done')
	expect 0 dpl-call wait "$call"
	is "$(<./done)" well
	is "$(count '.event == "log" and (.message | contains("of stdout were not kept: No space left"))')" 1
	is "$(of "$call" .state)" ended
	rm "$ledger/$op/calls/$call.out"
	call=$(dpl-call spawn -- sh -c 'head -c 1900000 /dev/zero; rm -f "$1"/calls/*.out; head -c 100000 /dev/zero' sh "$ledger/$op")
	expect 0 dpl-call wait "$call"
	cd /
	# The supervisor has a moment yet, when the end is in the ledger.
	wait_for 'umount "$BATS_TEST_TMPDIR/disk" 2>/dev/null'
}

@test "spawned below a call: it is part of that, and outlives it" {
	mkfifo gate
	expect 0 dpl-call --id outer -- sh -c 'dpl-call spawn --id inner -- sh -c "read -r x <gate"'
	is "$output" inner
	is "$(of inner '[.state, .parentId] | @csv')" '"running","outer"'
	is "$(dpl-call list --tree -a | grep -c '─')" 1
	echo >gate
	expect 0 dpl-call wait inner
}

@test "an abort stops what was spawned, and a death, too" {
	call=$(dpl-call spawn -- sleep 60)
	dpl-abort -q -m stop
	expect 122 dpl-call wait -q "$call"
	is "$(of "$call" .state)" cancelled
	dpl-complete -q
	# shellcheck disable=SC2046 # words
	op=$(dpl-create --window 2s $(mortal))
	DPL_OPERATION=$op
	one=$(dpl-call spawn -- sleep 60)
	two=$(dpl-call spawn -- sleep 60)
	kill -KILL "$(jq -r --arg id "$one" 'select(.event == "call.started" and .callId == $id).supervisorPid' <(journal_text "$op"))"
	expect 123 dpl-call wait -q "$two"
	wait_for "[ -e '$ledger/backup/$op' ]"
	is "$(dpl-show --json "$op" | jq -r .state)" failed
}

@test "temp resources of a spawned call go with it" {
	mkdir tmp
	call=$(TMPDIR=$PWD/tmp dpl-call spawn --result-from stdout -- dpl-temp make)
	expect 0 dpl-call wait "$call"
	[[ $(dpl-call result "$call") == "$PWD/tmp/"* ]]
	# They are removed behind its end.
	wait_for '[ -z "$(ls tmp)" ]'
}

@test "list: filters, the tree, an exit column" {
	one=$(dpl-call spawn --group a -- true)
	two=$(dpl-call spawn --group b -- sh -c 'exit 3')
	dpl-call sync -q "$one" "$two" || true
	is "$(dpl-call list -aq --group a)" "$one"
	is "$(dpl-call list -aq --group b)" "$two"
	is "$(dpl-call list -aq --group c)" ''
	is "$(dpl-call list -aq --session 1 | wc -l)" 2
	is "$(dpl-call list -aq --session 2 | wc -l)" 0
	expect 0 dpl-call list -a
	has "$output" ended failed 'sh -c exit 3'
	expect 2 dpl-call list --group '..'
	expect 2 dpl-call list --session x
}
