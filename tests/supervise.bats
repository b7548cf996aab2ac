#!/usr/bin/env bats
# supervise.bats - dpl-call -- COMMAND, used with ill will

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	PATH=$PATH:$BUILD/tools
	# Marks every process of the test, so that none can hide.
	export MARK=$BATS_TEST_TMPDIR
	# How long what is at once may take on a machine that has much else to do: less than between two looks of one that is not told.
	soon=1500
	# shellcheck disable=SC2046 # words
	op=$(dpl-create $(mortal))
	export DPL_OPERATION=$op
}

teardown() {
	end_background
	end_marked
	cd / || return
	! mountpoint -q "$BATS_TEST_TMPDIR/disk" || umount "$BATS_TEST_TMPDIR/disk" || umount -l "$BATS_TEST_TMPDIR/disk"
	[ -z "${public:-}" ] || rm -rf "$public"
}

# state PID: R, S, T …
state() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	stat=${stat##*) }
	echo "${stat%% *}"
}

# nobody_left [PATTERN]: none of the test's processes is there any more.
nobody_left() {
	local pid
	wait_for "[ -z \"\$(marked '${1:-.}')\" ]" 5 && return
	for pid in $(marked "${1:-.}"); do
		echo "left: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")"
	done
	return 1
}

# entry FILTER [JQ-OPTION ...]: true for exactly one entry of the journal.
entry() {
	local filter=$1 n
	shift
	n=$(jq -s "$@" "map(select($filter)) | length" <(journal_text "$op"))
	[ "$n" = 1 ] && return
	echo "$n entries hold: $filter"
	tail -n 5 "$(journal "$op")"
	return 1
}

# supervised COMMAND...: in the background until it runs; $pid is the supervisor, $child the command.
supervised() {
	local before file
	file=$(folder)/$DPL_OPERATION/journal.jsonl
	before=$(grep -c '"call.started"' "$file" || true)
	in_background "$@"
	wait_for "[ \"\$(grep -c '\"call.started\"' \"$file\")\" -gt $before ]"
	child=$(grep '"call.started"' "$file" | tail -n 1 | jq .pid)
}

# settled: the operation has failed, and is in backup/.
settled() {
	[ ! -e "$ledger/$op" ] && [ "$(last_entry "$op" .event)" = operation.archived ] && entry '.event == "operation.failed"'
}

# noticed: somebody looks, until it has been recorded that somebody died; on a folder the first who looks does that.
noticed() {
	! by_server || wait_for 'expect_any dpl-beat -q; grep -q crash.detected "$(journal "$op")"'
}

now_ms() {
	echo $((${EPOCHREALTIME/[!0-9]/} / 1000))
}

# --- exit statuses ---

@test "the exit status is the command's own, every one of them" {
	local n step=1
	[ -z "${SANITIZED:-}" ] && ! by_server || step=15
	for ((n = 0; n < 256; n += step)); do
		status=0
		dpl-call -- sh -c "exit $n" >>out 2>&1 3>&- || status=$?
		is "$status" "$n"
	done
	is "$(<out)" ''
	is "$(entries "$op" | sort | uniq -c | tr -s ' \n' ' ')" " 1 call.ended $((n / step - 1)) call.failed $((n / step)) call.started 1 operation.created "
	entry '.event == "call.ended" and .exitStatus == 0 and (has("error") | not)'
	entry '.event == "call.failed" and .exitStatus == 15 and .error == "exit status 15"'
	whole "$op"
}

@test "126 and 127: what cannot be run" {
	printf 'echo run $1 "$2"\n' >script
	# Nothing is started for what is not there to begin with.
	expect 127 dpl-call -- no-such-command
	refused dpl-call 'no-such-command: command not found'
	expect 127 dpl-call -- ./no/such
	refused dpl-call ./no/such 'No such file'
	expect 127 dpl-call -- ./script/x
	expect 126 dpl-call -- ./script
	refused dpl-call ./script 'Permission denied'
	expect 127 dpl-call -- .
	expect 126 dpl-call -- ./
	refused dpl-call 'Is a directory'
	PATH=. expect 126 "$BUILD/bin/dpl-call" -- script
	PATH='' expect 127 "$BUILD/bin/dpl-call" -- ls
	PATH=/no:/such expect 127 "$BUILD/bin/dpl-call" -- ls
	expect 127 dpl-call --json -- no-such-command
	is "$(json '[.ok, (.error.message | length > 0)] | @csv')" false,true
	is "$(entries "$op")" operation.created
	# The first in PATH that can be run, as a shell finds it.
	mkdir a b
	cp script a/thing
	printf '#!/bin/sh\necho b\n' >b/thing
	chmod 755 b/thing script
	PATH=a:b:$PATH expect 0 dpl-call -- thing
	is "$output" b
	# A script without #! is run by sh, with its arguments.
	expect 0 dpl-call -- ./script one 'two  three'
	is "$output" 'run one two  three'
	# Found, but its interpreter is not: only exec knows.
	printf '#!/no/such/interpreter\n' >script
	expect 127 dpl-call -- ./script
	refused dpl-call ./script 'No such file'
	is "$(last_entry "$op" '[.event, .exitStatus, .error] | @csv')" '"call.failed",127,"cannot execute: No such file or directory"'
	cp "$(command -v sleep)" busy
	exec 4>>busy
	expect 126 dpl-call -- ./busy 0
	exec 4>&-
	refused dpl-call ./busy 'Text file busy'
	is "$(last_entry "$op" '[.event, .exitStatus] | @csv')" '"call.failed",126'
	nobody_left
}

@test "125: dpl-call's own failures, and nothing was run" {
	for line in '--no-such -- touch ran' '-x -- touch ran' '--grace 1x -- touch ran' '--timeout 0 -- touch ran' '--watchdog 0s -- touch ran' \
		'--id ../x -- touch ran' '--parent none -- touch ran' '--session 99 -- touch ran' '--session x -- touch ran' '--key k -- touch ran' '--pid 1 -- touch ran' \
		'-p stranger -- touch ran' '-o 20010101T000000.000Z-x-12345678 -- touch ran' '-o nothing -- touch ran' "-C $MARK/none -- touch ran" \
		'run touch ran -- x' '--' 'run --' '-- ' run 'run touch ran' spawn 'spawn touch ran' '--grace 1s touch ran' '-d x' -q; do
		# shellcheck disable=SC2086
		expect 125 dpl-call $line
		refused dpl-call
	done
	expect 125 dpl-call -- ''
	# What is none of its words is no command to run, and an ordinary misuse.
	expect 2 dpl-call touch ran
	expect 2 dpl-call touch -- ran
	expect 125 dpl-call --json -p stranger -- touch ran
	json_error participant-not-found
	DPL_OPERATION='' expect 125 dpl-call -- touch ran
	for variable in DPL_SYNC=perhaps DPL_TIMEOUT=soon DPL_SESSION=none DPL_CALL=../x; do
		for word in '' run spawn; do
			# shellcheck disable=SC2086
			expect 125 env "$variable" dpl-call $word -- touch ran
			refused dpl-call
		done
	done
	DPL_TIMEOUT=soon expect 125 dpl-call --json -- touch ran
	json_error bad-usage
	DPL_TIMEOUT=soon expect 2 dpl-call wait x
	expect 0 dpl-call --id twice -- true
	expect 125 dpl-call --id twice -- touch ran
	refused dpl-call twice
	is "$(entries "$op" | wc -l)" 3
	# A server waits for a lock as long as it sees fit.
	if ! by_server; then
		exec 4<"$(journal "$op")"
		flock 4
		expect 125 dpl-call -t 50ms -- touch ran
		exec 4<&-
		has "$stderr" 'not locked within 50 ms'
	fi
	dpl-complete -q
	expect 125 dpl-call -- touch ran
	refused dpl-call 'has ended'
	[ ! -e ran ]
	is "$(names "$ledger/backup/$op/beats" 2>/dev/null)" ''
	nobody_left
}

@test "an aborted operation starts nothing: 122, but with --aborted-ok; one that failed because somebody crashed: 123" {
	dpl-abort -m 'wrong branch'
	expect 122 dpl-call -- touch ran
	refused dpl-call aborted --aborted-ok
	expect 122 dpl-call --json -- touch ran
	json_error operation-aborted
	expect 0 dpl-call --aborted-ok -- sh -c 'sleep 0.1; dpl-abort --check -q; test $? = 0 || exit 9'
	dpl-abort --clear
	supervised dpl-call -- sleep 60
	kill -KILL "$pid"
	ended "$pid"
	noticed
	expect 5 dpl-beat -v
	for option in -q --aborted-ok; do
		expect 123 dpl-call $option -- touch ran
		refused dpl-call "$op has failed: me (call_me_" "$(fallen)" "dpl-show --why $op"
		expect 123 dpl-call $option --json -- touch ran
		json_error operation-failed
	done
	[ ! -e ran ]
	settled
	nobody_left
}

@test "a full disk: 125 where it cannot be started, and a command that fills it ends all the same" {
	local_only 'of a folder that is full'
	[ "$(id -u)" -eq 0 ] || skip 'only root can mount'
	mkdir disk
	mount -t tmpfs -o size=512k tmpfs disk 2>/dev/null || skip 'tmpfs cannot be mounted here'
	export DPL_LEDGER=$MARK/disk/ledger
	DPL_OPERATION=$(dpl-create)
	expect 1 dpl-call -- sh -c 'cat /dev/zero >disk/fill'
	is "$(tail -n 1 "disk/ledger/$DPL_OPERATION/journal.jsonl" | jq -r '[.event, .exitStatus] | @csv')" '"call.failed",1'
	# There is a little room left for that, and then there is none.
	status=0
	for ((i = 0; i < 100 && status == 0; i++)); do
		dpl-call -- true >out 2>err 3>&- || status=$?
	done
	is "$status" 125
	has "$(<err)" 'No space left'
	is "$(names "disk/ledger/$DPL_OPERATION/beats")" p-me
	rm disk/fill
	expect 0 dpl-call -- true
	expect 0 dpl-beat
	umount disk
}

# --- what the command is given, and what is recorded ---

@test "the environment: everything that dpl needs, and the rest untouched" {
	expect 0 env A='x  y' DPL_CALL=stale DPL_SESSION=77 DPL_WATCHDOG=1 dpl-call --session 1 --id one -- sh -c 'env | grep -E "^(A|DPL_[^S]*|DPL_SESSION)=" | sort'
	is "$output" "A=x  y
DPL_CALL=one
DPL_LEDGER=$DPL_LEDGER
DPL_OPERATION=$op
DPL_PARTICIPANT=me
DPL_SESSION=1"
	# A ledger that is named relatively, a part of the id and another participant are said in full.
	dpl-join -qp worker
	mkdir deep
	expect 0 env -u DPL_LEDGER -u DPL_OPERATION -u DPL_PARTICIPANT dpl-call -C ./ledger/ -o @@ -p worker -- sh -c 'cd deep && dpl-call -d inner -- env'
	has "$output" "DPL_LEDGER=$ledger" "DPL_OPERATION=$op" DPL_PARTICIPANT=worker DPL_SESSION=2 DPL_CALL=call_worker_3_
	lacks "$output" DPL_WATCHDOG
	entry '.event == "call.started" and .description == "inner" and (.parentId | startswith("call_worker_2_")) and .sessionId == 2'
	expect 0 dpl-call --watchdog 1m -- sh -c 'echo $DPL_WATCHDOG; dpl-call -- sh -c "echo \"<\$DPL_WATCHDOG>\""'
	# By a server it is a file of its supervisor's.
	by_server && [[ $output == /proc/*/fd/*$'\n<>' ]] || is "$output" $'1\n<>'
}

@test "the frame: who runs it, how it ended, what it used" {
	# 0, and then not recorded, where the session began outside of the PID namespace.
	local session
	session=$(cut -d ' ' -f 6 /proc/self/stat)
	expect 3 dpl-call run --no-fail-on-crash -d 'some work' -- sh -c 'echo $$ $PPID; i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; exit 3'
	read -r child supervisor <<<"$output"
	tail -n 2 "$(journal "$op")" >two
	output=$(head -n 1 two)
	holds '.event == "call.started" and .held == true and .pid == ($c | tonumber) and .processGroup == .pid and .supervisorPid == ($s | tonumber)
		and (.processSession // 0) == ($session | tonumber) and .pidStart > 0 and .failOnCrash == false and .description == "some work" and (.bootId | length) == 36' \
		--arg c "$child" --arg s "$supervisor" --arg session "$session"
	output=$(tail -n 1 two)
	holds '.event == "call.failed" and .exitStatus == 3 and (has("signal") | not) and .error == "exit status 3"
		and .userMs > 0 and .systemMs >= 0 and .maxRssKib > 100 and .durationMs >= .userMs'
	expect 137 dpl-call -- sh -c 'kill -KILL $$'
	holds_last '.event == "call.failed" and .signal == 9 and (has("exitStatus") | not) and (.error | test("^signal 9 \\(Killed"))'
	expect 0 dpl-call -- true
	holds_last '.event == "call.ended" and .exitStatus == 0 and (has("error") | not) and (has("result") | not)'
	expect 0 dpl-show --json
	holds '.calls | map([.held, .exitStatus, .signal, .liveness]) == [[true, 3, null, null], [true, null, 9, null], [true, 0, null, null]]'
	holds '.calls[0] | .userMs > 0 and .maxRssKib > 100 and .systemMs >= 0'
	# Without a description it is the command line, cut, and made text.
	expect 0 dpl-call -- true "$(printf 'é%.0s' {1..200})" $'\xff'
	is "$(jq -r 'select(.event == "call.started").description | "\(.[:7]) \(length > 90) \(.[-1:])"' <(journal_text "$op") | tail -n 1)" 'true éé true …'
	is "$(names "$ledger/$op/beats")" p-me
}

# holds_last FILTER: of the last entry.
holds_last() {
	output=$(last_entry "$op")
	holds "$1"
}

@test "while it runs: held and alive" {
	supervised dpl-call --id one -- sleep 60
	is "$(names "$ledger/$op/beats")" 'c-one p-me'
	expect 0 dpl-show --json
	holds '.calls[0] | .held and .liveness == "alive" and .state == "running" and .beatAgeMs >= 0 and .beatAgeMs < 10000 and .exitStatus == null'
	run ! flock -n "$(journal "$op")" false
	kill "$pid"
	ended "$pid"
	is "$status" 143
	is "$(names "$ledger/$op/beats")" p-me
}

@test "stdin is the command's, all of it and nothing else" {
	head -c 200000 /dev/urandom >bytes
	expect 0 dpl-call -- cat <bytes
	cmp bytes out
	head -c 200000 bytes | dpl-call -- sh -c 'cat >copy' 3>&-
	cmp bytes copy
	# What it leaves unread is there for the next.
	printf 'one\ntwo\n' | { dpl-call -- head -c 4; cat; } >out 3>&-
	is "$(<out)" $'one\ntwo'
	expect 0 dpl-call -- sh -c 'read x || echo nothing' </dev/null
	is "$output" nothing
}

@test "stdout and stderr are the command's, byte by byte" {
	head -c 200000 /dev/urandom >bytes
	expect 0 dpl-call -v -- sh -c 'cat bytes; cat bytes >&2'
	cmp bytes out
	head -c 200000 err | cmp bytes
	is "$(tail -c +200001 err | grep -c '^dpl-call: call .*status 0')" 1
	expect 0 dpl-call --json -q -- echo '{}'
	is "$output$stderr" '{}'
}

# --- signals ---

@test "HUP INT QUIT TERM USR1 USR2 are passed on, and dpl-call ends as the command does" {
	local sig number
	ulimit -c unlimited
	for sig in HUP INT QUIT TERM USR1 USR2; do
		number=$(kill -l "$sig")
		rm -f ready
		# It is heeded, and the work goes on.
		supervised env --default-signal=INT,QUIT dpl-call -- sh -c "trap 'echo $sig >>got' $sig; touch ready; until [ -e got ]; do sleep 0.01; done; exit 5"
		wait_for '[ -e ready ]'
		kill "-$sig" "$pid"
		ended "$pid"
		is "$status $(<got)" "5 $sig"
		rm got
		# It is not, and all die of it.
		supervised env --default-signal=INT,QUIT how dpl-call -- sh -c 'ulimit -c 0; exec sleep 60' >ending
		kill "-$sig" "$(jq -s '.[-1].supervisorPid' <(journal_text "$op"))"
		ended "$pid"
		case $sig in
		USR*) is "$(<ending)" "exit $((128 + number))" ;;
		*) is "$(<ending)" "signal $number" ;; # without a core of dpl-call's
		esac
		is "$(last_entry "$op" '[.event, .signal] | @csv')" "\"call.failed\",$number"
	done
	nobody_left
}

@test "signals while the tree is being ended: those that would end the command end the wait, USR1 and USR2 nothing" {
	local sig
	# It has a second's work, once it is told to.
	cat >tidy <<-'END'
		trap 'touch "$1.term"; until [ -e "$1.go" ]; do sleep 0.01; done; sleep 1; touch "$1.done"; exit' TERM
		touch "$1.ready"
		while :; do sleep 0.01; done
	END
	for sig in 'USR1 USR2' TERM; do
		supervised dpl-call --grace 60s -- sh -c "sh tidy '$sig' & until [ -e '$sig.ready' ]; do sleep 0.01; done"
		wait_for '[ -e "$sig.term" ]'
		for sent in $sig; do
			kill "-$sent" "$pid"
		done
		wait_for '! grep -q "^ShdPnd:.*[1-9a-f]" "/proc/$pid/status" 2>/dev/null'
		[ "$sig" = TERM ] || touch "$sig.go"
		ended "$pid"
		is "$status" 0
	done
	[ -e 'USR1 USR2.done' ]
	[ ! -e TERM.done ]
	nobody_left
}

@test "signals reach the command's whole group where there is no terminal, and wake what is stopped" {
	supervised setsid -w dpl-call -- sh -c 'sleep 60 & sleep 61 & trap "" USR1; wait; wait'
	wait_for '[ "$(marked "^sleep" | wc -l)" -eq 2 ]'
	kill -USR1 "$(marked '^dpl-call')"
	wait_for '[ -z "$(marked "^sleep")" ]'
	ended "$pid"
	supervised dpl-call -- sleep 60
	kill -STOP "$child"
	wait_for '[ "$(state $child)" = T ]'
	dpl-abort
	ended "$pid"
	is "$status" 122
	is "$(last_entry "$op" .signal)" 15
}

# --- time ---

@test "--timeout: stopped, 124" {
	expect 124 dpl-call --timeout 100ms -- sleep 60
	is "$(last_entry "$op" '[.event, .signal, .error] | @csv')" '"call.failed",15,"timeout: not done after 0.100 s"'
	start=$(now_ms)
	expect 124 dpl-call --timeout 1s --grace 200ms -- sh -c "$stubborn"
	[ $(($(now_ms) - start)) -ge 1200 ]
	is "$(last_entry "$op" .signal)" 9
	# What it does to its status then is its own affair.
	expect 124 dpl-call --timeout 1s -- sh -c 'trap "exit 0" TERM; while :; do sleep 0.01; done'
	is "$(last_entry "$op" '[.event, .exitStatus] | @csv')" '"call.failed",0'
	expect 0 dpl-call --timeout 60s -- true
	expect 0 dpl-call --timeout 3650d -- sleep 0.02
	# A hook works here as well, and time in which it is suspended does not count.
	expect 124 dpl-call --timeout 100ms --on-abort 'echo "$DPL_ABORT_REASON"; kill $DPL_CALL_PID' -- sleep 60
	is "$output" 'timeout: not done after 0.100 s'
	expect 0 dpl-beat
	nobody_left
}

@test "--timeout stops what supervisors below it run as well, and none of them has crashed" {
	# One that heeds SIGTERM, one that does not, and one left behind by a parent that has ended.
	expect 124 dpl-call --timeout 4s --grace 300ms -- sh -c '
		dpl-call --id a -- sleep 60 &
		dpl-call --id b -- dpl-call --id c -- sh -c "trap \"\" TERM; while :; do sleep 60; done" &
		sh -c "setsid dpl-call --id d -- sleep 61 &"
		wait; sleep 62'
	nobody_left
	expect 0 dpl-beat
	is "$output" running
	is "$(dpl-call list -aj | jq -c '.calls | map([.callId, .signal, .exitStatus]) | sort' | sed 's/call_me_[^"]*/first/')" \
		'[["a",15,null],["b",null,137],["c",9,null],["first",15,null],["d",15,null]]'
}

@test "--watchdog: a command that stops to beat is stopped, 124" {
	expect 124 dpl-call --watchdog 100ms -- sleep 60
	is "$(last_entry "$op" '[.event, .error] | @csv')" '"call.failed","watchdog: no beat of its own for 0.100 s"'
	# It beats for longer than that, and then hangs.
	expect 124 dpl-call --watchdog 2s -- sh -c 'end=$(($(date +%s%N) / 1000000 + 2500)); while [ $(($(date +%s%N) / 1000000)) -lt $end ]; do dpl-beat -q; sleep 0.05; done; touch hangs; sleep 60'
	[ -e hangs ]
	holds_last '.durationMs > 4000'
	# Beats of others do not count: of the participant outside, of a call of its own below.
	expect 124 dpl-call --watchdog 200ms -- sh -c 'env -u DPL_CALL dpl-beat --every 20ms & dpl-call -- sh -c "while :; do dpl-beat -q; sleep 0.02; done"'
	expect 0 dpl-call --watchdog 60s -- sleep 0.05
	nobody_left
	is "$(names "$ledger/$op/beats")" p-me
}

@test "a suspended command has time: neither --timeout nor --watchdog counts" {
	# It suspends its supervisor, and so itself, as soon as it runs, for longer than it has in all.
	mkfifo go
	exec 4<>go
	supervised dpl-call --timeout 2s --watchdog 2s -- sh -c 'kill -TSTP $PPID; read -r word <go' 4>&-
	wait_for '[ "$(state $pid)$(state $child)" = TT ]'
	is "$(liveness)" suspended
	sleep 2.2
	echo go >&4
	kill -CONT "$pid"
	ended "$pid"
	is "$status" 0
	is "$(jq -r 'select(.event == "log").message' <(journal_text "$op"))" $'suspended\nresumed'
	# An abort meets it when it wakes.
	supervised dpl-call -- sh -c ': >runs; exec sleep 60'
	wait_for '[ -e runs ]'
	kill -TSTP "$pid"
	wait_for '[ "$(state $pid)$(state $child)" = TT ]'
	dpl-abort
	is "$(liveness)" suspended
	kill -CONT "$pid"
	ended "$pid"
	is "$status" 122
}

# --- as if it ran alone ---

# alike COMMAND...: behind COMMAND (env, sh -c …) a program finds the same with the supervisor between and without.
alike() {
	"$@" found "$MARK/alone" 3>&-
	"$@" dpl-call -- found "$MARK/supervised" 3>&-
	diff alone supervised
}

@test "the command finds all as if it ran alone: umask, signals, descriptors, folder, limits" {
	alike env
	alike sh -c 'umask 027; cd /; "$@"' sh
	alike env --ignore-signal=PIPE,XFSZ,CHLD,INT,QUIT,TERM,HUP,TSTP,USR1
	alike env --default-signal=PIPE,XFSZ,CHLD,INT,QUIT,TERM,HUP,TSTP,USR1
	alike env --block-signal=CHLD,TERM,USR2,ALRM
	alike sh -c 'exec 5</dev/null 7>/dev/null; "$@"' sh
	alike sh -c 'exec 0<&-; "$@"' sh
	alike sh -c 'exec 1>&-; "$@"' sh
	alike sh -c 'exec 2>&-; "$@"' sh
	alike sh -c 'exec 0<&- 1>&- 2>&-; "$@"' sh
	alike nice -n 3
	grep -q '^descriptor 2: ' alone
}

@test "root runs a command in another user's ledger as root" {
	local_only 'of a folder of another user'
	public_folder
	DPL_OPERATION=$(as_other dpl-create -C "$public/ledger")
	export DPL_LEDGER=$public/ledger DPL_OPERATION
	mkdir -m 700 mine
	printf '#!/bin/sh\nid -u; exec found "$MARK/mine/supervised"\n' >mine/script
	chmod 700 mine/script
	found mine/alone
	# `@@` is looked up in the ledger first, so that from then on root acts as its owner.
	for operation in "$DPL_OPERATION" @@; do
		expect 0 dpl-call -o "$operation" -- mine/script
		is "$output" 0
		diff <(grep -v '^descriptor' mine/alone) <(grep -v '^descriptor' mine/supervised)
		expect 0 sh -c 'cd mine; umask 077; dpl-call -o "$1" --result-from result -- sh -c "echo 42 >result"' sh "$operation"
		expect 0 dpl-call list -o "$operation" -aj
		is "$(json '.calls[-1] | [.state, .result] | @csv')" '"ended","42"'
		supervised dpl-call -o "$operation" --on-abort 'id -u >mine/hook; kill -TERM $DPL_CALL_PID' -- sleep 60
		dpl-abort
		ended "$pid"
		is "$status" 122
		is "$(<mine/hook)" 0
		dpl-abort --clear
	done
	is "$(find "$public/ledger" -uid 0)" ''
}

@test "SIGCHLD is ignored when it starts: the status is the command's all the same" {
	expect 3 timeout -k 1 20 env --ignore-signal=CHLD dpl-call -- sh -c 'exit 3'
	is "$(last_entry "$op" .exitStatus)" 3
	expect 143 timeout -k 1 20 env --ignore-signal=CHLD dpl-call -- sh -c 'sleep 60 & kill -TERM $$'
	nobody_left sleep
}

# --- stopping ---

@test "an abort arrives at once: SIGTERM, the reason recorded, 122" {
	supervised dpl-call -- sleep 60
	start=$(now_ms)
	dpl-abort -m 'wrong branch'
	ended "$pid"
	[ $(($(now_ms) - start)) -lt "$soon" ]
	is "$status" 122
	is "$(last_entry "$op" '[.event, .by, .signal, .reason] | @csv')" '"call.cancelled","me",15,"aborted: wrong branch"'
	dpl-abort --clear
	# What it does then is recorded; the status says that it was stopped.
	supervised dpl-call -- sh -c 'trap "exit 0" TERM; touch ready; while :; do sleep 0.01; done'
	wait_for '[ -e ready ]'
	dpl-abort
	ended "$pid"
	is "$status" 122
	is "$(last_entry "$op" '[.event, .exitStatus, .reason] | @csv')" '"call.cancelled",0,"aborted"'
	expect 4 dpl-beat
	nobody_left
}

@test "an abort that comes just as it starts is not missed" {
	local i
	for ((i = 0; i < 20; i++)); do
		in_background dpl-call --id "c$i" -- sleep 60
		# Before, while and after it is written that it has started, and before it listens.
		[ $((i % 4)) -eq 0 ] || wait_for "grep -q '\"callId\":\"c$i\"' \"$ledger/$op/journal.jsonl\""
		dpl-abort
		ended "$pid"
		is "$status" 122
		dpl-abort --clear
	done
	nobody_left
}

@test "one that ignores SIGTERM gets SIGKILL after the grace, not before" {
	supervised dpl-call --grace 500ms -- sh -c "$stubborn"
	wait_for '[ -e ready ]'
	start=$(now_ms)
	dpl-abort
	ended "$pid"
	is "$status" 122
	[ $(($(now_ms) - start)) -ge 500 ]
	is "$(last_entry "$op" .signal)" 9
	nobody_left
	dpl-abort --clear
	rm ready
	supervised dpl-call --grace 0 -- sh -c "$stubborn"
	wait_for '[ -e ready ]'
	dpl-abort
	ended "$pid"
	is "$status" 122
	nobody_left
}

@test "--aborted-ok: not stopped by an abort, nor by somebody's crash" {
	# shellcheck disable=SC2046 # words
	DPL_OPERATION=$(dpl-create $(mortal) --window 60s)
	op=$DPL_OPERATION
	supervised dpl-call --aborted-ok -- sh -c 'until [ -e end ]; do sleep 0.01; done'
	undo=$pid
	dpl-abort
	dpl-abort --clear
	supervised dpl-call -- sleep 60
	kill -KILL "$pid"
	ended "$pid"
	wait_for 'grep -q crash.detected "$(journal "$op")"'
	touch end
	ended "$undo"
	is "$status" 0
	nobody_left
}

@test "dpl-complete --cancel while it runs: 122; and all that is left is in backup" {
	supervised dpl-call --id one -- sh -c 'trap "exit 0" TERM; sleep 60 & wait'
	expect 6 dpl-complete
	dpl-complete -q --cancel
	ended "$pid"
	is "$status" 122
	is "$(jq -r 'select(.callId == "one").event' <(journal_text "$op") | tr '\n' ' ')" 'call.started call.cancelled '
	expect 0 dpl-show -j "$op"
	holds '.state == "completed" and .calls[0].state == "cancelled"'
	is "$(names "$ledger/backup/$op/beats")" ''
	nobody_left
	whole "$op"
}

@test "the operation ends just as the command does: the status is the command's" {
	local i
	supervised dpl-call -- sh -c ': >begun; until [ -e end ]; do sleep 0.01; done; exit 3' 2>err
	wait_for '[ -e begun ]'
	kill -STOP "$pid"
	touch end
	wait_for 'gone $child'
	dpl-complete -q --cancel
	kill -CONT "$pid"
	ended "$pid"
	is "$status $(<err)" '3 '
	for ((i = 0; i < 10; i++)); do
		op=$(dpl-create)
		DPL_OPERATION=$op
		in_background dpl-call --id c -- sh -c 'touch ran' 2>err
		wait_for '[ -e ran ]'
		dpl-complete -q --cancel
		ended "$pid"
		[ "$status" -eq 0 ] || [ "$status" -eq 122 ]
		is "$(<err)" ''
		rm ran
	done
}

@test "the lock is not had when the command has ended: the end is tried again" {
	local_only 'a server waits for a lock itself'
	exec 4<"$(journal "$op")"
	supervised dpl-call -t 50ms -- sh -c 'until [ -e end ]; do sleep 0.01; done; exit 3' 2>err 4<&-
	flock 4
	touch end
	wait_for 'grep -q "trying again" err'
	flock -u 4
	exec 4<&-
	ended "$pid"
	is "$status" 3
	is "$(last_entry "$op" '[.event, .exitStatus] | @csv')" '"call.failed",3'
	expect 0 dpl-beat -v
}

@test "dpl-complete --failed while it runs: 123" {
	supervised dpl-call -- sleep 60
	expect 0 dpl-complete -q --cancel --failed
	ended "$pid"
	is "$status" 123
	nobody_left
}

@test "its session leaves and cancels its calls: 122" {
	dpl-join -qp worker
	supervised dpl-call -p worker -- sleep 60
	expect 6 dpl-leave -p worker
	expect 0 dpl-leave -q -p worker --cancel
	ended "$pid"
	is "$status" 122
	nobody_left
	is "$(entries "$op" | tail -n 2 | tr '\n' ' ')" 'call.cancelled participant.left '
}

@test "somebody else ends the call, or the command itself does: it goes on, and that end stands" {
	supervised dpl-call --id one -- sh -c 'until [ -e end ]; do sleep 0.01; done; exit 7'
	expect 0 dpl-call end --result theirs one
	case $(state "$child") in Z | X | "") false ;; esac
	touch end
	ended "$pid"
	is "$status" 7
	is "$(last_entry "$op" '[.event, .result] | @csv')" '"call.ended","theirs"'
	expect 0 dpl-call --id two --result-from stdout -- sh -c 'echo mine; dpl-call end --result "of $DPL_CALL"'
	is "$output" mine
	is "$(last_entry "$op" '[.event, .callId, .result] | @csv')" '"call.ended","two","of two"'
	expect 3 dpl-call --id three -- sh -c 'dpl-call fail -m "no space"; exit 3'
	is "$(last_entry "$op" '[.event, .error] | @csv')" '"call.failed","no space"'
	is "$(names "$ledger/$op/beats")" p-me
	expect 0 dpl-beat
}

@test "the ledger is deleted while it runs: the command goes on, and 125 instead of 0" {
	local_only 'a server whose folder is deleted'
	for status_wanted in 0:125 3:3; do
		supervised dpl-call -- sh -c "until [ -e end ]; do sleep 0.01; done; exit ${status_wanted%:*}" 2>err
		rm -rf "$ledger"
		touch end
		ended "$pid"
		is "$status" "${status_wanted#*:}"
		has "$(<err)" 'was deleted'
		rm end
		op=$(dpl-create)
		DPL_OPERATION=$op
	done
	nobody_left
}

@test "a command that had ended by itself when the abort was seen has ended by itself" {
	supervised dpl-call -- sh -c 'until [ -e end ]; do sleep 0.01; done; exit 3'
	kill -STOP "$pid"
	touch end
	wait_for 'gone $child'
	dpl-abort
	kill -CONT "$pid"
	ended "$pid"
	is "$status" 3
	is "$(last_entry "$op" '[.event, .exitStatus] | @csv')" '"call.failed",3'
}

@test "a supervisor within another that hears of the abort first: both were stopped by it" {
	supervised dpl-call --id outer -- dpl-call --id inner -- sleep 60
	wait_for '[ "$(dpl-call list -q | wc -l)" = 2 ]'
	inner=$(grep '"callId":"outer"' "$(journal "$op")" | jq .pid)
	kill -STOP "$pid"
	dpl-abort -m enough
	wait_for "gone $inner"
	kill -CONT "$pid"
	ended "$pid"
	is "$status" 122
	for call in outer inner; do
		entry ".event == \"call.cancelled\" and .callId == \"$call\" and .reason == \"aborted: enough\""
	done
	dpl-abort --clear
	# 122 for a reason of its own.
	expect 122 dpl-call -- sh -c 'exit 122'
	is "$(last_entry "$op" '[.event, .exitStatus] | @csv')" '"call.failed",122'
}

@test "--on-abort runs instead of SIGTERM, to its end, at most for the grace" {
	supervised dpl-call --on-abort 'env >hook; kill -USR1 $DPL_CALL_PID; sleep 0.3; echo cleaned' -- \
		sh -c 'trap "echo term; exit 1" TERM; trap "echo usr1; exit 0" USR1; touch ready; while :; do sleep 0.02; done' >output
	wait_for '[ -e ready ]'
	dpl-abort -m 'wrong branch'
	ended "$pid"
	is "$status" 122
	is "$(<output)" $'usr1\ncleaned'
	entry '.event == "call.cancelled" and .exitStatus == 0 and .reason == "aborted: wrong branch"'
	has "$(<hook)" "DPL_CALL_PID=$child" 'DPL_ABORT_REASON=wrong branch' "DPL_OPERATION=$op" "DPL_LEDGER=$DPL_LEDGER" DPL_PARTICIPANT=me DPL_CALL=call_me_1
	nobody_left
	dpl-abort --clear
	# It hangs: SIGKILL for all after the grace, although the command has ended long ago.
	start=$(now_ms)
	supervised dpl-call --grace 400ms --on-abort 'kill -KILL $DPL_CALL_PID; sleep 60' -- sleep 61
	dpl-abort
	ended "$pid"
	is "$status" 122
	[ $(($(now_ms) - start)) -ge 400 ]
	nobody_left
	dpl-abort --clear
	# It does nothing, or the command does not heed it.
	supervised dpl-call --grace 200ms --on-abort true -- sleep 60
	dpl-abort
	ended "$pid"
	is "$status" 122
	is "$(last_entry "$op" '[.event, .signal] | @csv')" '"call.cancelled",9'
	nobody_left
}

@test "--on-abort that fails: SIGTERM all the same" {
	for hook in false /no/such 'kill -KILL $$'; do
		supervised dpl-call --on-abort "$hook" -- sleep 60
		dpl-abort
		ended "$pid"
		is "$status" 122
		is "$(last_entry "$op" '[.event, .signal] | @csv')" '"call.cancelled",15'
		dpl-abort --clear
	done
}

# A command that ignores SIGTERM, told by its number of seconds.
stubborn='trap "" TERM; touch ready; while :; do sleep 60; done'

@test "a command that is a supervisor itself: what that runs is killed after the grace, and nobody has crashed" {
	for grace in 300ms 60s; do
		rm -f ready
		supervised dpl-call --grace 300ms -- dpl-call --grace "$grace" -- dpl-call --grace "$grace" -- sh -c "$stubborn"
		wait_for '[ -e ready ]'
		dpl-abort
		ended "$pid"
		is "$status" 122
		expect 4 dpl-beat
		is "$output" 'running, aborted'
		expect 0 dpl-call list -aj
		holds '.calls[-3:] | map(.state) == ["cancelled", "cancelled", "cancelled"]'
		nobody_left
		dpl-abort --clear
	done
	rm -f ready
	expect 124 dpl-call --grace 300ms --timeout 3s -- dpl-call -- sh -c "$stubborn"
	[ -e ready ]
	expect 0 dpl-beat
	is "$output" running
	expect 0 dpl-call list -aj
	holds '.calls[-2:] | map([.state, .signal, .exitStatus]) == [["failed", null, 137], ["failed", 9, null]]'
	nobody_left
}

# --- the tree ---

@test "the tree ends with its command: other sessions, orphans, what ignores signals, a cleared environment" {
	unseen=63.$$
	expect 3 dpl-call --grace 300ms -- sh -c '
		setsid sleep 60 &
		(setsid sh -c "sleep 61 & exit" &)
		nohup sleep 62 >/dev/null 2>&1 &
		(env -i setsid sleep "$1" &)
		sh -c "trap \"\" TERM; touch heedless; while :; do sleep 64; done" &
		(setsid sh -c "trap \"\" TERM HUP INT; kill -STOP \$\$; sleep 65" &)
		until [ -e heedless ]; do sleep 0.01; done
		exit 3' sh "$unseen"
	nobody_left
	is "$(last_entry "$op" '[.event, .exitStatus] | @csv')" '"call.failed",3'
	# The environment of one is not seen by this test.
	is "$(pgrep -fx "sleep $unseen")" ''
	is "$(names "$ledger/$op/beats")" p-me
	# What heeds SIGTERM is not waited for any longer.
	start=$(now_ms)
	expect 0 dpl-call -- sh -c 'sleep 60 & setsid sleep 61 & (setsid sleep 62 &) ; sleep 0.05'
	[ $(($(now_ms) - start)) -lt 3000 ]
	nobody_left
}

@test "the tree ends with its command: 200 processes" {
	local_only 'of processes, and no ledger in it'
	expect 0 dpl-call -- sh -c 'i=0; while [ $i -lt 100 ]; do sleep 60 & setsid sleep 60 & i=$((i + 1)); done'
	nobody_left
	supervised dpl-call -- sh -c 'i=0; while [ $i -lt 200 ]; do sleep 60 & i=$((i + 1)); done; wait'
	wait_for '[ "$(marked "^sleep" | wc -l)" -eq 200 ]'
	dpl-abort
	ended "$pid"
	is "$status" 122
	nobody_left
}

@test "the tree ends with its command: one that forks on and on, and one that is never there for long" {
	local_only 'of processes, and no ledger in it'
	local how
	expect 0 dpl-call --grace 200ms -- sh -c '
		setsid sh -c "trap \"\" TERM; i=0; while [ \$i -lt 500 ]; do sleep 60 & i=\$((i + 1)); sleep 0.002; done" & sleep 0.1'
	nobody_left
	for how in 10000 1000 0 '-s 1000' '-s 0'; do
		expect 3 dpl-call --grace 100ms -- sh -c "hop $how 20 & sleep 0.05; exit 3"
		is "$stderr" ''
		nobody_left
	done
}

@test "--leave-orphans: they are named, and live" {
	expect 3 dpl-call --leave-orphans -- sh -c 'sleep 60 & setsid sleep 61 & until [ "$(pgrep -cxP $$ sleep)" = 2 ]; do sleep 0.01; done; exit 3'
	has "$stderr" 'dpl-call: left running: ' "$(marked '^sleep 60') (sleep 60)" "$(marked '^sleep 61') (sleep 61)"
	entry '.event == "log" and .level == "warning" and (.message | startswith("left running: "))'
	is "$(marked '^sleep' | wc -l)" 2
	expect 0 dpl-call --leave-orphans -- true
	is "$stderr" ''
	# One that still writes to it does not keep it.
	expect 0 timeout -k 1 20 dpl-call --leave-orphans --result-from stdout -- sh -c 'yes & sleep 0.1' >/dev/null
}

@test "with few descriptors it fails, or ends the tree, or says that it cannot" {
	local_only 'a helper needs some itself'
	local n started=0
	for n in 6 8 9 10 11 12 13 14; do
		status=0
		(ulimit -n "$n" && exec dpl-call --grace 50ms -- sh -c 'sleep 60 & exit 4') >out 2>err 3>&- || status=$?
		case $status in
		125) [ -s err ] ;;
		4)
			started=$((started + 1))
			[ -s err ] || nobody_left
			;;
		*) false ;;
		esac
		for pid in $(marked); do
			kill -KILL "$pid"
		done
	done
	[ "$started" -gt 0 ] || [ -n "${SANITIZED:-}" ]
	expect 0 dpl-beat -v
}

@test "where no process can be started: 125, and nothing is recorded" {
	local_only 'of a folder of another user'
	public_folder
	export DPL_LEDGER=$public/ledger
	DPL_OPERATION=$(as_other dpl-create)
	ledger=$DPL_LEDGER
	# LeakSanitizer starts a process of its own.
	[ -z "${SANITIZED:-}" ] || export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
	expect 125 as_other bash -c 'ulimit -u 1 && exec dpl-call -- true'
	refused dpl-call 'start a process'
	is "$(entries "$DPL_OPERATION")" operation.created
}

@test "children that the shell had before it became dpl-call are not the call's" {
	# dash does so for the last command of -c without being asked.
	expect 4 sh -c 'sh -c "sleep 60; true" & echo $! >before; exec dpl-call -- sh -c "setsid sleep 61 & exit 4"'
	nobody_left 'sleep 61'
	is "$(marked '^sleep 60' | wc -l)" 1
	is "$(state "$(<before)")" S
	in_background sh -c 'sleep 62 & exec dpl-call -- sleep 63'
	wait_for '[ -n "$(marked "^sleep 63")" ]'
	dpl-abort
	ended "$pid"
	is "$status" 122
	is "$(marked '^sleep 6[02]' | wc -l)" 2
}

@test "a keeper that the command starts stays, and so does a nested call; a loop of beats does not" {
	dpl-join -qp worker
	in_background sleep 60
	kept=$pid
	expect 0 dpl-call -- sh -c "dpl-beat --keep --pid $kept -p worker >keeper; dpl-beat --every 1s -q & dpl-call --id inner -- sleep 61 & until dpl-call list -q | grep -qx inner; do sleep 0.05; done"
	keeper=$(<keeper)
	is "$(marked '^dpl-(call|beat)' | wc -l)" 2
	run ! gone "$keeper"
	is "$(marked '^sleep 61' | wc -l)" 1
	is "$(dpl-call list -q)" inner
	expect 0 dpl-leave -p worker
	wait_for 'gone $keeper'
	dpl-abort
	wait_for 'grep -q call.cancelled "$(journal "$op")"'
	entry '.event == "call.cancelled" and .callId == "inner"'
	end_started
	nobody_left
}

# --- death ---

# witness: another supervisor, which looks out for deaths and goes on itself; $witness is its pid.
witness() {
	dpl-join -qp witness
	supervised dpl-call -p witness --aborted-ok -- sleep 900
	witness=$pid
	waits "$pid"
}

@test "kill -9 of the command: that is how it ended, and no crash" {
	supervised dpl-call -- sleep 60
	kill -KILL "$child"
	ended "$pid"
	is "$status" 137
	entry '.event == "call.failed" and .signal == 9'
	expect 0 dpl-beat
	is "$output" running
}

@test "kill -9 of the supervisor: another one notices at once, stops its own with 123, and ends what was left" {
	local_only 'a server does not see its processes, and knows by its silence: see partition.bats'
	dpl-join -qp worker
	supervised dpl-call -- sleep 60
	witness=$pid
	waits "$pid"
	supervised dpl-call -p worker --id one -- sh -c 'trap "" TERM; touch ready; setsid sleep 61 & while :; do sleep 62; done'
	victim=$pid
	wait_for '[ -e ready ]'
	kill -KILL "$victim"
	died=$(now_ms)
	wait_for 'grep -q crash.detected "$(journal "$op")"'
	[ $(($(now_ms) - died)) -lt "$soon" ]
	entry '.event == "call.crashed" and .callId == "one" and .participantId == "worker" and (.evidence | test("lock has fallen.*pid \($v)")) and .durationMs >= 0' --argjson v "$victim"
	entry '.event == "crash.detected" and .callId == "one" and .participantId == "worker" and .by == "me"'
	ended "$victim"
	is "$status" 137
	ended "$witness"
	is "$status" 123
	entry '.event == "call.cancelled" and (.reason | startswith("somebody died: "))'
	# It ends what is left of the victim's tree, what heeds SIGTERM and what does not, and then the operation.
	settled
	is "$(marked '^sleep|^sh|^dpl')" ''
	expect 5 dpl-beat
	refused dpl-beat "$op has failed: worker (one) died: "
	expect 0 dpl-show --json
	holds '.state == "failed" and .crashed and .crashedCallId == "one" and .crashedParticipantId == "worker"'
}

@test "kill -9 of the supervisor with nobody else there: the next dpl-beat finds it, once, and ends the whole tree" {
	local_only 'what a dead supervisor left is ended by who sees its processes'
	supervised setsid -w dpl-call --id one -- sh -c 'trap "" TERM; touch ready; setsid sh -c "trap \"\" TERM; while :; do sleep 61; done" & (setsid sleep 62 &); while :; do sleep 63; done'
	wait_for '[ -e ready ]'
	wait_for '[ "$(marked "^sleep" | wc -l)" -eq 3 ]'
	kill -KILL "$(marked '^dpl-call')"
	wait_for '[ -z "$(marked "^dpl-call")" ]'
	expect 5 dpl-beat -v
	nobody_left
	settled
	expect 5 dpl-beat -v
	is "$(entries "$op" | grep -c crash)" 2
}

@test "kill -9 of the supervisor while its --on-abort command runs: that does not hold its lock" {
	local_only 'of the lock'
	supervised dpl-call --id one --grace 60s --on-abort ': >hooked; exec sleep 64' -- sleep 61
	dpl-abort -q
	wait_for '[ -e hooked ]'
	kill -KILL "$pid"
	ended "$pid"
	wait_for 'dpl-beat -v >said 2>&1; grep -q crash.detected "$(journal "$op")"' 2
	entry '.event == "call.crashed" and .callId == "one"'
	wait_for '[ -z "$(marked "^sleep")" ]'
}

@test "kill -9 of both at once" {
	local_only 'what a dead supervisor left is ended by who sees its processes'
	supervised dpl-call --id one -- sh -c 'setsid sleep 61 & while :; do sleep 60; done'
	wait_for '[ -n "$(marked "^sleep 61")" ]'
	kill -KILL "$pid" "$child"
	ended "$pid"
	expect 5 dpl-beat -v
	entry '.event == "crash.detected" and .callId == "one"'
	nobody_left
}

@test "a supervisor within another beats as often as the operation says, from its start on" {
	op=$(dpl-create --beat 200ms --jitter 20ms --stale "$(silence)")
	DPL_OPERATION=$op
	supervised dpl-call --id outer -- dpl-call --id inner -- sleep 60
	wait_for '[ "$(dpl-call list -q | wc -l)" = 2 ]'
	# For longer than the interval of who does not know the operation's: it was hung on a folder, and dead by a server.
	local end=$((SECONDS + 6))
	while [ $SECONDS -lt $end ]; do
		is "$(dpl-show --json | jq -c '.calls | map([.callId, .liveness])')" '[["outer","alive"],["inner","alive"]]'
		sleep 0.2
	done
	dpl-abort
	ended "$pid"
	is "$status" 122
}

@test "hooks that take longer than a silence that counts as a death: who runs them beats" {
	local long
	long=$(silence)
	long=$((${long%s} + 1))
	op=$(dpl-create --beat 200ms --jitter 20ms --stale "$(silence)" --window 60s)
	DPL_OPERATION=$op
	dpl-join -q -p other
	in_background dpl-call run -p other --id one --on-crash "touch begun; sleep $long; touch over" --on-cleanup "sleep 1" -- sh -c 'exit 3'
	wait_for '[ -e begun ]'
	while [ ! -e over ]; do
		expect 0 dpl-beat -p other --json
		holds '.crashed == false and .staleParticipants == []'
		sleep 0.2
	done
	ended "$pid"
	is "$status" 3
	entry '.event == "call.failed" and .callId == "one"'
	dpl-complete -q
}

@test "a crash with --no-fail-on-crash is contained: nobody is stopped, and what it left is ended" {
	witness
	supervised dpl-call --no-fail-on-crash --id one -- sh -c 'trap "" TERM; touch ready; while :; do sleep 60; done'
	wait_for '[ -e ready ]'
	kill -KILL "$pid"
	ended "$pid"
	wait_for 'grep -q call.crashed "$(journal "$op")"'
	# A server sees none of its processes.
	by_server || wait_for '[ -z "$(marked "^sleep 60")" ]'
	kill -0 "$witness"
	is "$(entries "$op" | grep -c crash.detected || true)" 0
	expect 0 dpl-beat
	is "$output" running
	expect 0 dpl-call -- true
	dpl-complete -q --cancel
	ended "$witness"
	is "$status" 122
	by_server || nobody_left
}

@test "two calls of one participant are two lives" {
	supervised dpl-call --no-fail-on-crash --id one -- sleep 60
	one=$pid
	supervised dpl-call --id two -- sleep 61
	kill -KILL "$one"
	ended "$one"
	wait_for 'grep -q call.crashed "$(journal "$op")"'
	wait_for '[ -z "$(marked "^sleep 60")" ]'
	is "$(dpl-call list -q)" two
	expect 0 dpl-show --json
	holds '.participants[0].liveness == "alive" and (.calls | map([.callId, .state, .liveness]) == [["one", "crashed", null], ["two", "running", "alive"]])'
	kill "$pid"
	ended "$pid"
	is "$status" 143
}

@test "ten begin the same call: one runs it" {
	local i
	for ((i = 0; i < 10; i++)); do
		in_background dpl-call --id same -- sh -c 'echo ran >>ran; sleep 0.5; exit 3' 2>>err
	done
	for pid in "${background[@]}"; do
		ended "$pid"
		echo "$status" >>statuses
	done
	is "$(sort statuses | uniq -c | tr -s ' \n' ' ')" ' 9 125 1 3 '
	is "$(<ran)" ran
	is "$(names "$ledger/$op/beats")" p-me
	expect 0 dpl-beat -v
}

@test "what the command orphans is reaped while it runs" {
	supervised dpl-call -- sh -c 'i=0; while [ $i -lt 20 ]; do (sleep 0.01 &); i=$((i + 1)); done; touch ready; exec sleep 60'
	wait_for '[ -e ready ]'
	wait_for '[ "$(pgrep -P "$pid" "^sleep" | wc -l)" -eq 1 ]'
}

# crowd: of the inotify instances of a user, of which there are 128 as a rule, one crowd at a time on this machine has most.  Who gets none looks every
# two seconds, which other tests do not wait for.
crowd() {
	exec {many}</proc/sys/fs/inotify/max_user_instances && flock "$many"
}

@test "a hundred supervisors at once: one abort ends them all" {
	local i n=100 user=()
	[ -z "${SANITIZED:-}" ] && ! by_server || n=30
	crowd
	if [ "$n" -eq 100 ] && as_other test -x "$BUILD/bin/dpl-show" -a -x "${BATS_RUN_TMPDIR%/*}"; then
		# As a user of whom nothing else runs: with those of the other tests they may be more than there are instances.
		public_folder
		user=(setpriv --reuid 54323 --regid 54323 --clear-groups)
		export DPL_LEDGER=$public/ledger
		ledger=$DPL_LEDGER
	fi
	# With the usual time before silence is death: none is to die here, however busy the machine is.
	op=$("${user[@]}" dpl-create)
	DPL_OPERATION=$op
	for ((i = 0; i < n; i++)); do
		in_background "${user[@]}" dpl-call --id "c$i" -- sleep 60
	done
	wait_for '[ "$(marked "^sleep" | wc -l)" -eq '$n' ]' 30
	start=$(now_ms)
	dpl-abort
	for pid in "${background[@]}"; do
		ended "$pid"
		is "$status" 122
	done
	[ $(($(now_ms) - start)) -lt 30000 ]
	is "$(entries "$op" | grep -c call.cancelled)" "$n"
	is "$(names "$ledger/$op/beats")" p-me
	whole "$op"
	nobody_left
}

@test "forty supervisors, killed one after the other: each death is recorded once" {
	local_only 'of locks that fall'
	local i n=40 pids
	[ -z "${SANITIZED:-}" ] || n=15
	crowd
	for ((i = 0; i < n; i++)); do
		in_background dpl-call --no-fail-on-crash --id "c$i" -- sleep 60
	done
	wait_for '[ "$(marked "^sleep" | wc -l)" -eq '$n' ]' 30
	pids=("${background[@]}")
	for pid in "${pids[@]}"; do
		kill -KILL "$pid"
	done
	for pid in "${pids[@]}"; do
		ended "$pid"
	done
	expect 0 dpl-beat -v
	is "$(jq -r 'select(.event == "call.crashed").callId' <(journal_text "$op") | sort -u | wc -l)" "$n"
	is "$(entries "$op" | grep -c call.crashed)" "$n"
	nobody_left
	is "$(names "$ledger/$op/beats")" p-me
}

@test "SIGSTOP of the supervisor: hung, never dead; SIGCONT: alive" {
	local_only 'by a server silence is death: see partition.bats'
	op=$(dpl-create --beat 50ms --jitter 0 --stale 300ms)
	DPL_OPERATION=$op
	witness
	supervised dpl-call --id one -- sleep 60
	kill -STOP "$pid"
	wait_for '[ "$(liveness)" = hung ]'
	sleep 0.5
	expect 0 dpl-beat -v
	is "$(liveness)" hung
	kill -CONT "$pid"
	wait_for '[ "$(liveness)" = alive ]'
	is "$(entries "$op" | grep -c crash || true)" 0
	# What it slept through it learns when it wakes.
	kill -STOP "$pid"
	dpl-abort
	kill -CONT "$pid"
	ended "$pid"
	is "$status" 122
}

@test "the participant is declared dead by its keeper: its calls are stopped as well, 123" {
	in_background sleep 60
	kept=$pid
	dpl-join -qp worker --keep="$kept"
	supervised dpl-call -p worker -- sleep 61
	kill -KILL "$kept"
	ended "$pid"
	is "$status" 123
	entry '.event == "crash.detected" and .participantId == "worker"'
	end_started
	nobody_left
}

@test "kill -9 of dpl-call at any of its system calls: the next dpl-beat leaves no process and no call" {
	local_only 'what a dead supervisor left is ended by who sees its processes'
	faultat -l calls true >/dev/null 2>&1 || skip 'ptrace is not allowed here'
	[ -z "${SANITIZED:-}" ] || export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # which cannot be under ptrace
	# Closely where it starts, in strides where it looks through /proc: how many stops that are depends on who else is there.
	local stop all held=0 kills=0 close=11 wide
	[ -z "${SANITIZED:-}" ] || close=37
	faultat -1 -l calls dpl-call --grace 100ms -- sh -c 'setsid sleep 60 & sleep 0.02' 2>err 3>&-
	all=$(wc -l <calls)
	wide=$((all / 20 > close ? all / 40 : close))
	trap - DEBUG
	for ((stop = 1; stop < 40000; stop += stop > 250 ? wide : close)); do
		kills=$((kills + 1))
		status=0
		faultat -1 -k "$stop" dpl-call --grace 100ms -- sh -c 'setsid sleep 60 & sleep 0.02' >out 2>err 3>&- || status=$?
		[ "$status" -eq 137 ] || break
		expect_any dpl-beat -v
		nobody_left || { echo "stop $stop"; false; }
		is "$(dpl-call list -q)" ''
		if [ -e "$ledger/$op" ]; then
			is "$(names "$ledger/$op/beats")" p-me
		else
			settled
		fi
		! grep -q crash.detected "$(journal "$op")" || held=$((held + 1))
		op=$(dpl-create)
		DPL_OPERATION=$op
	done
	is "$status" 0
	echo "# $stop stops, killed $((kills - 1)) times, $held crashes" >&3
	[ "$held" -gt 3 ]
}

@test "kill -9 of dpl-call as its command, which ignores SIGTERM, is about to be executed: the next dpl-beat ends that" {
	local_only 'what a dead supervisor left is ended by who sees its processes'
	local number supervisor child
	case $(uname -m) in
	x86_64) number=59 ;;
	aarch64) number=221 ;;
	*) skip 'the number of execve(2) is not known here' ;;
	esac
	[ -z "${SANITIZED:-}" ] || export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # which cannot be under ptrace
	strace -o trace true 2>/dev/null || skip 'strace may not trace here'
	# Each execve(2) waits for 3 s: it has been let go then, and is a copy of its supervisor yet.
	(
		trap '' TERM
		exec strace -f -qq -o trace -e trace=execve -e inject=execve:delay_enter=3000000 dpl-call -- sleep 60
	) 3>&- &
	wait_for 'supervisor=$(jq "select(.event == \"call.started\").supervisorPid" "$(journal "$op")") && [ -n "$supervisor" ]' 20
	child=$(jq 'select(.event == "call.started").pid' "$(journal "$op")")
	wait_for '[ "$(cut -d " " -f 1 "/proc/$child/syscall")" = '"$number"' ]' 20
	kill -KILL "$supervisor"
	wait_for '! grep -q "" "/proc/$supervisor/cmdline" 2>/dev/null'
	expect_any dpl-beat -v
	nobody_left
	entry '.event == "call.crashed"'
}

# expect_any COMMAND...: it ends with 0 or 5.
expect_any() {
	"$@" >out 2>err 3>&- || [ $? -eq 5 ]
}

# --- the supervisor itself ---

@test "idle it uses no processor time, and little memory" {
	local_only 'by a server it has two helpers'
	local i before after
	# Two of them: the beats of one do not wake the other.
	supervised dpl-call -- sleep 60
	supervised dpl-call -- sleep 60
	waits "$pid"
	usage_of() {
		cut -d ' ' -f 14,15 "/proc/$1/stat"
		grep ^voluntary "/proc/$1/status"
	}
	before=$(usage_of "$pid")
	sleep 3
	after=$(usage_of "$pid")
	is "${after%%$'\n'*}" "${before%%$'\n'*}"
	# A beat in 4.5 seconds.
	[ $((${after##*[!0-9]} - ${before##*[!0-9]})) -le 2 ]
	[ -n "${SANITIZED:-}" ] || [ "$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")" -le 1024 ]
}

@test "where the user has no inotify instance left it looks by itself, and says so at -v" {
	local_only 'of inotify'
	public_folder
	user=(setpriv --reuid 54322 --regid 54322 --clear-groups)
	export DPL_LEDGER=$public/ledger
	DPL_OPERATION=$("${user[@]}" dpl-create)
	supervised "${user[@]}" instances dpl-call -v -- sleep 60 2>err
	wait_for '[ -s err ]'
	has "$(<err)" 'dpl-call: no inotify to be had (' '): looking every 2 s'
	start=$(now_ms)
	"${user[@]}" dpl-abort
	ended "$pid"
	is "$status" 122
	[ $(($(now_ms) - start)) -lt $((2500 + soon)) ]
	"${user[@]}" dpl-abort --clear
	expect 3 "${user[@]}" instances dpl-call -- sh -c 'sleep 0.1; exit 3'
	is "$stderr" ''
}

# --- results ---

@test "a result that would not fit into an entry is not kept, and the call ends all the same" {
	# 32,000 bytes, but each takes six in JSON.
	expect 0 dpl-call --result-from stdout -- sh -c 'head -c 32000 /dev/zero | tr "\0" "\1"'
	is "$(stat -c %s out)" 32000
	has "$stderr" 'not kept'
	is "$(last_entry "$op" '[.event, .exitStatus, has("result")] | @csv')" '"call.ended",0,false'
	# Three each, once what is no UTF-8 was replaced.
	expect 0 dpl-call --result-from stdout -- sh -c 'head -c 32000 /dev/zero | tr "\0" "\377"'
	has "$stderr" 'not kept'
	expect 0 dpl-call --result-from stdout -- sh -c 'head -c 9000 /dev/zero | tr "\0" "\1"'
	is "$stderr" ''
	is "$(last_entry "$op" '.result | length')" 9000
	expect 0 dpl-beat
	is "$output" running
}

@test "a reason or a file name that is cut within a character, or is no UTF-8, does not lose the end" {
	supervised dpl-call -- sleep 60
	dpl-abort -m "$(printf 'é%.0s' {1..500})"
	ended "$pid"
	is "$status" 122
	is "$(last_entry "$op" '[.event, (.reason | startswith("aborted: éé"))] | @csv')" '"call.cancelled",true'
	dpl-abort --clear
	expect 125 dpl-call --result-from $'no\xffsuch' -- true
	has "$stderr" 'no\xffsuch'
	is "$(last_entry "$op" '[.event, .error] | @csv')" '"call.failed","the result in no�such: No such file or directory"'
	expect 0 dpl-beat
	is "$output" running
}

@test "--result-from stdout: passed on byte by byte, however slow the reader" {
	head -c 300000 /dev/urandom >bytes
	expect 0 dpl-call --result-from stdout -- cat bytes
	cmp bytes out
	dpl-call -q --result-from stdout -- cat bytes 3>&- | (sleep 0.2; cat >slow)
	cmp bytes slow
	dpl-call -q --result-from stdout -- cat bytes >>appended 3>&-
	dpl-call -q --result-from stdout -- echo more >>appended 3>&-
	cmp <(cat bytes; echo more) appended
	# As if it wrote there itself: the reader goes, the disk is full.
	run -141 bash -c 'dpl-call -q --result-from stdout -- yes | head -n 1; exit ${PIPESTATUS[0]}' 3>&-
	is "$output" y
	status=0
	dpl-call --result-from stdout -- echo lost >/dev/full 2>err 3>&- || status=$?
	is "$status" 125
	has "$(<err)" 'dpl-call: write standard output: '
	is "$(last_entry "$op" '[.event, .exitStatus] | @csv')" '"call.failed",0'
}

@test "--result-from stdout: a reader that takes nothing keeps no timeout away" {
	# The command and the supervisor share the pipe, and both find it full.
	mkfifo fifo
	exec 4<>fifo
	for noise in 'while :; do echo a; echo b >&2; done' 'yes & yes >&2'; do
		start=$(now_ms)
		supervised dpl-call --timeout 1s --grace 300ms --result-from stdout -- sh -c "$noise" >fifo 2>&1 4>&-
		ended "$pid"
		is "$status" 124
		[ $(($(now_ms) - start)) -lt 5000 ]
		is "$(last_entry "$op" '[.event, (.error | startswith("timeout"))] | @csv')" '"call.failed",true'
		nobody_left
	done
	# Where it is not stopped it waits for the reader, until it is told not to.
	supervised dpl-call --result-from stdout -- sh -c 'echo all; head -c 30000 /dev/zero' >fifo 4>&-
	wait_for 'grep -q call.ended "$(journal "$op")"'
	wait_for '[ "$(names "$ledger/$op/beats")" = p-me ]' # its file goes behind the entry
	kill -0 "$pid"
	kill -TERM "$pid"
	ended "$pid"
	is "$status" 143
	exec 4>&-
}

@test "--result-from stdout: the wait for a slow reader can be suspended, and no signal loses something unsaid" {
	local sig number
	mkfifo fifo
	exec 4<>fifo
	supervised dpl-call --result-from stdout -- seq 20000 >fifo 4>&-
	wait_for 'grep -q call.ended "$(journal "$op")"'
	kill -USR1 "$pid"
	kill -USR2 "$pid"
	kill -URG "$pid"
	for sig in TSTP TTIN TTOU; do
		kill "-$sig" "$pid"
		wait_for '[ "$(state $pid)" = T ]'
		kill -CONT "$pid"
		wait_for '[ "$(state $pid)" = S ]'
	done
	exec 5<fifo 4>&-
	cat <&5 >got
	exec 5<&-
	ended "$pid"
	is "$status" 0
	seq 20000 | cmp - got
	# Those that end it do, and it dies of them, however its command ended.
	exec 4<>fifo
	head -c 65536 /dev/zero >&4
	for sig in HUP INT QUIT TERM; do
		number=$(kill -l "$sig")
		supervised env --default-signal=INT,QUIT how sh -c "exec dpl-call --result-from stdout -- sh -c 'seq 5000; exit $((number % 2))' >fifo" >ending 4>&-
		wait_for '[ "$(count ".event == \"call.ended\" or .event == \"call.failed\"")" = "$(count ".event == \"call.started\"")" ]'
		is "$(last_entry "$op" .exitStatus)" $((number % 2))
		kill "-$sig" "$(jq -s 'map(select(.event == "call.started"))[-1].supervisorPid' <(journal_text "$op"))"
		ended "$pid"
		is "$(<ending)" "signal $number"
	done
	# But what the reader has room for is passed on before.
	mkfifo full
	exec 5<>full
	head -c 65536 /dev/zero >&5
	supervised dpl-call --result-from stdout --on-completion 'kill -TERM $PPID; head -c 65536 <full >/dev/null' -- echo all >full 5>&-
	ended "$pid"
	is "$status" 0
	read -rt 30 got <&5
	is "$got" all
	exec 4>&- 5>&-
}

@test "a notice that nobody reads does not keep the end back" {
	mkfifo fifo
	exec 4<>fifo
	head -c 65536 /dev/zero >&4
	supervised dpl-call --result-from stdout -- head -c 40000 /dev/zero >out 2>fifo 4<&-
	ended "$pid"
	exec 4<&-
	is "$status" 0
	is "$(stat -c %s out)" 40000
	is "$(last_entry "$op" .event)" call.ended
	entry '.event == "log" and (.message | contains("not kept"))'
}

@test "--result-from: what the result is" {
	expect 0 dpl-call --result-from stdout -- printf 'a\nb\n\n\n'
	is "$(od -An -c out | tr -d ' \n')" 'a\nb\n\n\n'
	is "$(last_entry "$op" .result)" $'a\nb'
	expect 0 dpl-call --result-from stdout -- true
	is "$(last_entry "$op" .result)" ''
	expect 0 dpl-call --result-from stdout -- printf 'a\0b\377c\tä'
	is "$(last_entry "$op" .result)" $'a\ufffdb\ufffdc\tä'
	cmp out <(printf 'a\0b\377c\tä')
	expect 0 dpl-call --result-from stdout -- sh -c 'head -c 32768 /dev/zero | tr "\0" x'
	is "$stderr" ''
	expect 0 dpl-call --result-from stdout -- sh -c 'head -c 32768 /dev/zero | tr "\0" x; echo x'
	has "$stderr" 'longer than 32768 bytes' 'not kept'
	is "$(stat -c %s out)" 32770
	is "$(last_entry "$op" '[.event, has("result")] | @csv')" '"call.ended",false'
	entry '.event == "log" and .level == "warning" and (.message | contains("not kept"))'
	# One that failed has none; what it printed is passed on.
	expect 3 dpl-call --result-from stdout -- sh -c 'echo half; exit 3'
	is "$output" half
	is "$(last_entry "$op" 'has("result")')" false
}

@test "--result-from FILE" {
	expect 0 dpl-call --result-from result -- sh -c 'echo "is $((6 * 7))" >result; echo other'
	is "$output" other
	is "$(last_entry "$op" .result)" 'is 42'
	[ ! -e result ]
	expect 125 dpl-call --result-from result -- true
	refused dpl-call 'the result in result' 'No such file'
	is "$(last_entry "$op" '[.event, .exitStatus] | @csv')" '"call.failed",0'
	expect 3 dpl-call --result-from result -- sh -c 'exit 3'
	mkfifo fifo
	echo 43 >there
	ln -s there link
	ln -s nowhere dangling
	for file in . fifo link dangling /dev/null /dev/zero; do
		expect 125 timeout -k 1 10 dpl-call --result-from "$file" -- sh -c 'echo 44 >there'
		refused dpl-call "the result in $file: it is no ordinary file"
		is "$(last_entry "$op" '[.event, .exitStatus, .error] | @csv')" "\"call.failed\",0,\"the result in $file: it is no ordinary file\""
	done
	is "$(<there)" 44
	[ -p fifo ] && [ -L link ] && [ -L dangling ]
	# Where it becomes one, it is: what was there before is no matter.
	expect 0 dpl-call --result-from link -- sh -c 'rm link; echo 45 >link'
	is "$(last_entry "$op" .result)" 45
	[ ! -e link ]
	expect 0 dpl-call --result-from result -- sh -c 'head -c 32769 /dev/zero >result'
	has "$stderr" 'not kept'
	[ -e result ]
}

# --- terminal ---

# terminal COMMAND: run it in sh on a terminal of its own; type writes what is typed, `screen` has what is seen.
terminal() {
	command -v script >/dev/null || skip 'no script(1)'
	script -qec true /dev/null >/dev/null 2>&1 </dev/null || skip 'no pseudo-terminal'
	rm -f keys screen
	mkfifo keys
	exec 4<>keys
	in_background env --default-signal=INT,QUIT,TSTP SHELL=/bin/sh TERM=dumb script -qefc "$1" screen <&4 >/dev/null 4>&-
	script=$pid
}

type() {
	printf %b "$1" >&4
}

# liveness: of the newest call.
liveness() {
	dpl-show --json | jq -r '.calls[-1].liveness'
}

# running PATTERN: wait until such a command runs; $child is its pid, $pid its supervisor's.
running() {
	wait_for "[ -n \"\$(marked '$1')\" ]"
	child=$(marked "$1")
	pid=$(jq -s 'map(select(.event == "call.started"))[-1].supervisorPid' <(journal_text "$op"))
}

@test "Ctrl-C on a terminal is for the command, and dpl-call ends as it did" {
	terminal 'how dpl-call -- sleep 60'
	running '^sleep 60'
	type '\003'
	wait_for 'grep -q "signal 2" screen'
	entry '.event == "call.failed" and .signal == 2'
	ended "$script"
	# It had it once: a second one would end it.
	terminal 'how dpl-call -- sh -c "trap \"trap - INT; echo caught\" INT; sleep 61; sleep 1; exit 7"'
	running '^sleep 61'
	type '\003'
	wait_for 'grep -q "exit 7" screen'
	grep -q caught screen
	ended "$script"
}

@test "Ctrl-Z without job control stops neither the command nor dpl-call" {
	terminal 'exec dpl-call -- sleep 60'
	running '^sleep 60'
	type '\032'
	wait_for 'grep -qF ^Z screen'
	# What it gets behind it is carried out.
	type '\003'
	ended "$script"
	is "$status" 130
	is "$(entries "$op" | grep -c log || true)" 0
	nobody_left
}

@test "Ctrl-Z with job control: suspended, never hung; fg goes on" {
	local stale=200ms
	! by_server || stale=$(silence) # after which it would be dead
	op=$(dpl-create --beat 50ms --jitter 0 --stale "$stale")
	DPL_OPERATION=$op
	terminal 'PS1="% " exec bash --norc --noprofile -i'
	type 'dpl-call --timeout 60s -- sleep 60\n'
	running '^sleep 60'
	wait_for '[ "$(liveness)" = alive ]' # a machine that is busy may keep its beats back
	type '\032'
	wait_for '[ "$(state $pid)$(state $child)" = TT ]'
	is "$(liveness)" suspended
	wait_for "[ \"\$(dpl-show --json | jq .calls[-1].beatAgeMs)\" -gt $(by_server && echo "${stale%s}200" || echo 400) ]"
	is "$(liveness)" suspended
	expect 0 dpl-beat -v
	lacks "$output" hung
	type 'fg\n'
	wait_for '[ "$(state $pid)$(state $child)" = SS ]'
	wait_for '[ "$(liveness)" = alive ]'
	wait_for 'grep -q resumed "$(journal "$op")"'
	entry '.event == "log" and .message == "suspended"'
	type '\003'
	wait_for 'grep -q call.failed "$(journal "$op")"'
	# What reads from the terminal in the background is stopped by it as well.
	type 'dpl-call -- cat &\n'
	running '^cat'
	wait_for '[ "$(state $pid)$(state $child)" = TT ]'
	is "$(liveness)" suspended
	type 'fg\n'
	wait_for '[ "$(state $pid)$(state $child)" = SS ]'
	type '\004'
	wait_for 'grep -q call.ended "$(journal "$op")"'
	type 'exit\n'
	ended "$script"
	is "$(entries "$op" | grep -c crash || true)" 0
	nobody_left
}

@test "a terminal that hangs up: the command has SIGHUP" {
	terminal 'exec dpl-call -- sleep 60'
	running '^sleep 60'
	kill -KILL "$script"
	ended "$script"
	nobody_left
	entry '.event == "call.failed" and .signal == 1'
}

@test "signals that come while the lock is waited for reach the command before it runs" {
	exec 4<"$(journal "$op")"
	flock 4
	in_background how dpl-call -- touch ran >out
	wait_for '[ "$(marked "^dpl-call" | wc -l)" -eq 2 ]' # the command, which waits as well
	dpl=$(marked '^dpl-call' | sort -n | head -n 1)
	kill -TERM "$dpl"
	flock -u 4
	exec 4<&-
	ended "$pid"
	is "$(<out)" 'signal 15'
	[ ! -e ran ]
	is "$(last_entry "$op" '[.event, .signal] | @csv')" '"call.failed",15'
}
