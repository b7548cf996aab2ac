#!/usr/bin/env bats
# What may go wrong while somebody cleans up: who removes is ended, is below an undo command, is root, or waits for requests

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # $ that does not expand; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	op=$(dpl-create --window 2s --beat 900ms --jitter 0s --stale 2s)
	export DPL_OPERATION=$op
	mkdir tmp
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
}

# Whether at most so many milliseconds have passed since $begun.
within() {
	local now=${EPOCHREALTIME/[.,]/}
	[ $((now - ${begun/[.,]/})) -le $(($1 * 1000)) ] && return
	echo "more than $1 ms"
	return 1
}

# The result of resource $1.
result() {
	jq -r --argjson id "$1" 'select(.event == "resource.removed" and .resourceId == $id) | .result' <(journal_text "$op")
}

# --- who runs an undo command ---

@test "an undo command that fails has failed, also where who runs it was started with SIGCHLD ignored" {
	dpl-temp add -q --command 'exit 3'
	expect 9 perl -e '$SIG{CHLD} = "IGNORE"; exec @ARGV' dpl-temp remove 1
	has "$stderr" 'exit status 3'
	is "$(result 1)" failed
}

@test "SIGTERM, SIGINT and SIGHUP to who runs an undo command: it is run to its end, recorded, and not run again" {
	local sig n=0
	for sig in TERM HUP INT; do
		n=$((n + 1))
		dpl-temp add -q --command "echo begun $sig >>ran; sleep 0.5; echo done $sig >>ran"
		in_background env --default-signal=INT dpl-temp remove $n
		wait_for "grep -q 'begun $sig' ran"
		kill "-$sig" "$pid"
		dpl-temp list >listed
		ended "$pid"
		[ "$status" -gt 128 ]
		is "$(result $n)" removed
	done
	dpl-complete -q
	is "$(wc -l <ran)" 6
}

@test "SIGKILL to who runs an undo command: what that had started is ended before it is run again" {
	dpl-temp add -q --command 'sh -c "echo begun \$\$ >>ran; until [ -e go ]; do sleep 0.02; done; echo done \$\$ >>ran"; true'
	in_background dpl-complete
	wait_for 'grep -q begun ran'
	kill -KILL "$pid"
	ended "$pid"
	in_background dpl-cleanup
	wait_for '[ "$(grep -c begun ran)" = 2 ]'
	gone "$(sed -n '1s/begun //p' ran)"
	: >go
	ended "$pid"
	is "$status" 0
	is "$(sed -n 3p ran)" "done $(sed -n '2s/begun //p' ran)"
	is "$(wc -l <ran)" 3
}

@test "what an undo command has left running stays, also while others run" {
	dpl-temp add -q --command 'echo last'
	dpl-temp add -q --command 'sleep 1000 >/dev/null 2>&1 & echo $! >daemon'
	expect 0 dpl-temp remove 2
	daemon=$(<daemon)
	background+=("$daemon")
	expect 0 dpl-temp remove 1
	! gone "$daemon" || return
	inner=$(dpl-create -p inner)
	dpl-temp add -q --command "export DPL_OPERATION=$inner DPL_PARTICIPANT=inner; dpl-temp add -q --command true; { dpl-complete; echo behind it; } | tee said"
	expect 0 dpl-complete
	has "$(<said)" 'behind it'
	! gone "$daemon" || return
	kill "$daemon"
}

@test "an undo command of what came by a server is run once, whoever of this machine removes" {
	need_built dpl-serve dpl-remote-http
	in_background dpl-serve -C "$ledger" -P 0 >url
	server=$pid
	wait_for '[ -s url ]'
	DPL_LEDGER=$(<url)
	# The server, behind the end of the call, on its folder; and by the server whoever asks it for something.
	in_background dpl-call -- dpl-temp add -q --command 'echo begun >>ran; until [ -e go ]; do sleep 0.02; done; echo done >>ran'
	wait_for 'grep -q begun ran'
	caller=$pid
	in_background dpl-log -q hello
	wait_for '! kill -0 "$pid" 2>/dev/null || [ "$(grep -c begun ran)" -gt 1 ]'
	: >go
	ended "$pid"
	ended "$caller"
	is "$status" 0
	wait_for 'grep -q done ran'
	dpl-complete -q
	is "$(paste -sd ' ' ran)" 'begun done'
	kill "$server"
	is "$(result 1)" removed
}

@test "SIGKILL to who runs an undo command ends that too, and the next runs it again" {
	dpl-temp add -q --command 'echo begun >>ran; sleep 1; echo done >>ran'
	in_background dpl-complete
	wait_for 'grep -q begun ran'
	kill -KILL "$pid"
	ended "$pid"
	dpl-cleanup -q
	sleep 0.5
	is "$(paste -sd ' ' ran)" 'begun begun done'
}

# Somebody is told to stop by the end of what it takes part in, while it has an undo command of another operation run.  A blocked SIGTERM says so.
lets_it_end() {
	wait_for 'grep -qs begun ran'
	dpl-abort -q
	# shellcheck disable=SC2034 # conditions of wait_for
	runner=$(pgrep -x -f "dpl-complete -q -o $other -p in")
	wait_for 'grep -q "^ShdPnd:.*[4567c-f]...$" "/proc/$runner/status"'
	: >go
	ended "$pid"
	wait_for 'gone "$runner"'
	dpl-cleanup -q -o "$other"
	is "$(paste -sd ' ' ran)" 'begun done'
	is "$(jq -r 'select(.event == "resource.removed").result' "$ledger/backup/$other/journal.jsonl")" removed
}

@test "a call that is stopped lets an undo command of another operation that runs in it end, and it is run once" {
	other=$(dpl-create -p in)
	dpl-temp add -q -o "$other" -p in --command 'echo begun >>ran; until [ -e go ]; do sleep 0.02; done; echo done >>ran'
	in_background dpl-call --grace 60s -- dpl-complete -q -o "$other" -p in
	lets_it_end
	is "$status" 122
}

@test "a keeper that stops whom it keeps lets an undo command of another operation end, too" {
	other=$(dpl-create -p in)
	dpl-temp add -q -o "$other" -p in --command 'echo begun >>ran; until [ -e go ]; do sleep 0.02; done; echo done >>ran'
	in_background sh -c "until [ -e kept ]; do sleep 0.02; done; dpl-complete -q -o $other -p in; :"
	dpl-join -qp k --keep="$pid" --grace 60s
	: >kept
	lets_it_end
}

@test "what an undo command has left running gets SIGTERM as all else of a call that is stopped" {
	other=$(dpl-create -p in)
	dpl-temp add -q -o "$other" -p in --command 'sh -c "trap \"echo told >told; exit\" TERM; echo >daemon; while :; do sleep 0.05; done" >/dev/null 2>&1 &
		until [ -s daemon ]; do sleep 0.02; done'
	in_background dpl-call --grace 60s -- sh -c "dpl-complete -q -o $other -p in; : >done; exec sleep 1000"
	wait_for '[ -e done ]'
	dpl-abort -q
	ended "$pid"
	is "$status" 122
	is "$(cat told)" told
}

@test "an undo command finds nothing of the session of who runs it" {
	dpl-join -qp other
	dpl-temp add -q --command 'dpl-call -- true && env | grep -c DPL_SESSION >>ran; :'
	expect 0 env DPL_PARTICIPANT=other DPL_SESSION=2 dpl-temp remove -p me 1
	is "$(result 1)" removed
	is "$(cat ran)" 0
}

# --- commands below an undo command ---

@test "commands of dpl in an undo command do not wait for who runs it" {
	local path begun=$EPOCHREALTIME
	path=$(dpl-temp make)
	dpl-temp add -q --command "dpl-log hello; echo log \$? >>ran
		dpl-temp remove $path 2>>said; echo remove \$? >>ran
		dpl-cleanup; echo cleanup \$? >>ran
		dpl-complete -q; echo complete \$? >>ran"
	dpl-temp remove 2
	within 5000
	is "$(paste -sd ' ' ran)" 'log 0 remove 7 cleanup 0 complete 0'
	has "$(cat said)" 'the undo command that this is part of'
	dpl-cleanup -q
	[ ! -e "$path" ]
	[ -e "$ledger/backup/$op" ]
}

@test "calls in an undo command, and commands below them, do not wait for who runs it" {
	dpl-join -qp other
	# For what is due others are waited for, ten seconds in the end of a call.  An undo command has thirty.
	dpl-call -- dpl-temp add -q --command 'timeout 8 dpl-call -- true; echo call $? >>ran'
	dpl-call -- dpl-temp add -q --command "timeout 8 dpl-call -- sh -c 'dpl-call end \$(dpl-call start)'; echo below \$? >>ran"
	dpl-call -- dpl-temp add -q --command "timeout 8 dpl-call -- dpl-leave -qp other; echo leave \$? >>ran"
	dpl-call -- dpl-temp add -q --command "dpl-call -- sh -c 'env | grep -c ^DPL_RESOURCE= >>ran; dpl-call -- dpl-call -- true'"
	is "$(paste -sd ' ' ran)" 'call 0 below 0 leave 0 0'
	is "$(result 1) $(result 2) $(result 3) $(result 4)" 'removed removed removed removed'
}

@test "an undo command that cleans up, run by the end of the operation, does not wait for itself" {
	local begun=$EPOCHREALTIME
	dpl-temp add -q --command 'dpl-cleanup >>said; echo $? >>ran'
	dpl-complete -q
	within 5000
	is "$(cat ran)" 1
	has "$(cat said)" 'another cleans up'
	is "$(result 1)" removed
	[ -e "$ledger/backup/$op" ]
}

@test "a command of --on-cleanup that cleans up does not wait for its own supervisor" {
	local begun watched
	op=$(dpl-create --window 20s)
	DPL_OPERATION=$op
	dpl-join -qp dies
	in_background dpl-call --on-cleanup 'dpl-cleanup >>said; echo $? >>ran' -- sleep 60
	watched=$pid
	wait_for '[ "$(grep -c call.started "$(journal "$op")")" -eq 1 ]'
	in_background dpl-call -p dies -- sleep 60
	wait_for '[ "$(grep -c call.started "$(journal "$op")")" -eq 2 ]'
	begun=$EPOCHREALTIME
	kill -KILL "$pid"
	ended "$pid"
	ended "$watched"
	is "$status" 123
	within 10000
	is "$(cat ran)" 1
	has "$(cat said)" 'another cleans up'
	wait_for '[ -e "$ledger/backup/$op" ]'
	is "$(last_entry "$op" .event)" operation.archived
}

@test "a command of --on-cleanup of a keeper that cleans up does not wait for that keeper" {
	local begun
	op=$(dpl-create --window 20s)
	DPL_OPERATION=$op
	dpl-join -qp dies
	in_background sleep 60
	dpl-beat --keep --pid "$pid" --on-cleanup 'dpl-cleanup >>said; echo $? >>ran' >keeper
	in_background dpl-call -p dies -- sleep 60
	wait_for 'grep -q call.started "$(journal "$op")"'
	begun=$EPOCHREALTIME
	kill -KILL "$pid"
	ended "$pid"
	wait_for '[ -e "$ledger/backup/$op" ]'
	within 10000
	is "$(cat ran)" 1
}

@test "dpl-temp remove -t: the time holds for who removes already, too" {
	local path
	path=$(dpl-temp make)
	dpl-temp add -q --command ': >begun; sleep 2'
	in_background dpl-temp remove 2
	wait_for '[ -e begun ]'
	expect 124 dpl-temp remove -t 300ms "$path"
	refused dpl-temp 'another removes'
	[ -e "$path" ]
	ended "$pid"
	is "$status" 0
	dpl-temp remove "$path"
}

# --- who removes ---

@test "a supervisor that is registered as a temp resource does not kill itself over it" {
	expect 0 dpl-call -- sh -c 'dpl-temp add -q --process $PPID; dpl-temp make >made'
	[ ! -e "$(cat made)" ]
	is "$(result 1)" left
	is "$(result 2)" removed
}

@test "dpl-batch does not stay the coordinator between two requests" {
	dpl-join -qp hangs
	dpl-join -qp dies
	in_background dpl-call -p hangs -- sleep 60
	wait_for '[ "$(grep -c call.started "$(journal "$op")")" -eq 1 ]'
	kill -STOP "$pid"
	in_background dpl-call -p dies -- sleep 60
	wait_for '[ "$(grep -c call.started "$(journal "$op")")" -eq 2 ]'
	kill -KILL "$pid"
	ended "$pid"
	mkfifo requests
	in_background sh -c 'exec dpl-batch <requests >replies'
	exec {to}>requests
	echo '{"path":"/operation/cleanup","body":{"operationId":"'"$op"'","drive":true,"look":true,"patienceMs":0}}' >&"$to"
	wait_for '[ -s replies ]'
	is "$(jq -r .body.state replies)" cleanup
	expect 0 dpl-cleanup -t 15s
	has "$output" "$op failed"
	exec {to}>&-
}

@test "dpl-batch keeps others from removing only while it removes" {
	local call to
	dpl-temp make >mine
	dpl-temp make >other
	call=$(dpl-call start)
	DPL_CALL=$call dpl-temp make >made
	mkfifo requests
	in_background sh -c 'exec dpl-batch <requests >replies'
	exec {to}>requests
	echo '{"path":"/call/end","body":{"operationId":"'"$op"'","callId":"'"$call"'"}}' >&"$to"
	wait_for '[ "$(wc -l <replies)" = 1 ]'
	is "$(jq .status replies)" 200
	wait_for '[ ! -e "$(cat made)" ]'
	expect 0 dpl-temp remove -t 300ms "$(cat mine)"
	echo '{"path":"/temp/remove","body":{"operationId":"'"$op"'","participantId":"me","path":"'"$(cat other)"'"}}' >&"$to"
	wait_for '[ "$(wc -l <replies)" = 2 ]'
	[ ! -e "$(cat other)" ]
	dpl-temp make >mine
	expect 0 dpl-temp remove -t 300ms "$(cat mine)"
	exec {to}>&-
	ended "$pid"
	is "$status" 0
}

@test "a coordinator that is stopped while it deletes a large folder is replaced, and does nothing more" {
	local folder stopped
	folder=$(dpl-temp make -d)
	perl -e 'chdir shift; for $i (1..150) { mkdir $i; for $k (1..300) { open F, ">", "$i/$k" } }' "$folder"
	dpl-join -qp dies
	in_background dpl-call -p dies -- sleep 60
	wait_for 'grep -q call.started "$(journal "$op")"'
	kill -KILL "$pid"
	ended "$pid"
	in_background dpl-cleanup
	stopped=$pid
	wait_for '[ "$(find "$folder" -maxdepth 1 | wc -l)" -lt 149 ]'
	stop_unlocked "$stopped"
	[ -e "$folder" ] || skip 'it was too quick'
	expect 0 dpl-cleanup -t 20s
	has "$output" "$op failed"
	[ ! -e "$folder" ]
	kill -CONT "$stopped"
	ended "$stopped"
	whole "$op"
	is "$(entries "$op" | grep -c operation.failed)" 1
	is "$(entries "$op" | grep -c resource.removed)" 1
}

# --- ended and not archived ---

@test "an operation that has ended with something left does not stand in the way of the live ones" {
	local old
	old=$(dpl-create)
	dpl-temp add -q -o "$old" --command false
	dpl-complete -q -o "$old" 2>err
	[ -e "$ledger/$old" ]
	unset DPL_OPERATION
	local part=${op%%T*}
	expect 0 dpl-log -o @ mine
	expect 0 dpl-log -o @@ newest
	expect 0 dpl-log -o "$part" 'a part'
	is "$(jq -r 'select(.event == "log") | .message' <(journal_text "$op") | paste -sd ,)" 'mine,newest,a part'
	expect 0 dpl-show @@
	has "$output" "$old"
	expect 2 dpl-show "$part"
	DPL_OPERATION=$op dpl-complete -q
	expect 6 dpl-log -o "$old" late
	expect 3 dpl-log -o @@ late
}

# --- root ---

@test "root removes nothing in a ledger to which others may write, sticky or not, by whatever command" {
	public_folder
	local mode
	for mode in 1777 0777; do
		rm -rf "$public/led"
		as_other mkdir -m 700 "$public/led"
		op=$(DPL_LEDGER=$public/led as_other dpl-create -p nobody --beat 200ms --jitter 0s --ttl 2s)
		DPL_LEDGER=$public/led as_other dpl-temp add -q -o "$op" -p nobody --command "touch $public/ran"
		chmod "$mode" "$public/led"
		export DPL_LEDGER=$public/led DPL_OPERATION=$op
		expect 8 dpl-temp remove -p nobody 1
		sleep 2.1
		expect 8 dpl-cleanup
		expect 8 dpl-cleanup --sweep
		expect 0 dpl-complete -p nobody
		has "$stderr" 'others may write'
		[ ! -e "$public/ran" ]
		chmod 700 "$public/led"
		expect 0 dpl-cleanup
		[ -e "$public/ran" ]
		rm -f "$public/ran"
	done
}

@test "root removes nothing of an operation that is another user's than the ledger" {
	public_folder
	touch "$public/roots"
	chmod 755 "$public"
	dpl-temp add -q "$public/roots"
	chown 54321 "$ledger/$op"
	expect 8 dpl-temp remove 1
	[ -e "$public/roots" ]
}

@test "root ends nothing of its own, whatever a ledger of another user says" {
	public_folder
	as_other mkdir -m 700 "$public/led"
	export DPL_LEDGER=$public/led
	op=$(as_other dpl-create -p nobody --window 1s --beat 300ms --jitter 0s --stale 1s)
	in_background sleep 300
	local victim=$pid start journal=$public/led/$op/journal.jsonl was
	start=$(sed 's/.*) //' "/proc/$victim/stat" | cut -d' ' -f20)
	in_background setpriv --reuid 54321 --regid 54321 --clear-groups dpl-call -o "$op" -p nobody -- sleep 60
	wait_for 'grep -q call.started "$journal"'
	kill -KILL "$pid"
	ended "$pid"
	was=$(tail -n 1 "$journal")
	jq -c --argjson pid "$victim" --argjson start "$start" 'if .event == "call.started" then .pid = $pid | .pidStart = $start else . end' "$journal" >forged
	cat forged >"$journal"
	rm -f "$public/led/$op"/checkpoint*
	[ "$was" != "$(tail -n 1 "$journal")" ]
	for _ in 1 2 3; do
		dpl-cleanup --sweep -q || true
	done
	kill -0 "$victim"
}
