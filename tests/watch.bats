#!/usr/bin/env bats
# dpl-watch

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	op=$(dpl-create -d 'nightly build')
	export DPL_OPERATION=$op
}

# watching ARGUMENT ...: dpl-watch in the background, its pid in $pid and $watcher; it writes to watched and said.
watching() {
	: >watched
	in_background dpl-watch "$@" >watched 2>said
	watcher=$pid
}

# heard: what it said, but for whom it waits for, which it says when it has waited for a second.
heard() {
	grep -v '^dpl-watch: waiting for ' said || true
}

# finished STATUS: wait for the watcher.
finished() {
	ended "$watcher"
	[ "$status" -eq "$1" ] && return
	echo "exit $status instead of $1"
	cat watched said
	return 1
}

# append OPERATION MEMBERS: an entry by hand, as another program would; MEMBERS begin with "by".
append() {
	local file
	file=$(journal "$1")
	(
		flock 9
		printf '{"seq":%d,"at":"%s",%s}\n' $(($(wc -l <"$file") + 1)) "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" "$2" >>"$file"
	) 9<"$file"
}

crash() {
	append "$1" '"by":"judge","event":"crash.detected","participantId":"'"$2"'","evidence":"its lock has fallen"'
}

# --- following ---

@test "follows from an entry on, as text, until the operation completes" {
	watching --from 1
	call=$(dpl-call start -d 'make all')
	dpl-log -q hello
	dpl-call end "$call" --result 'all well'
	dpl-complete -q -m 'good night'
	finished 0
	is "$(cat said)" ''
	is "$(wc -l <watched)" 6
	[[ $(head -n 1 watched) =~ ^1\ [0-9-]{10}T[0-9:]{8}\.[0-9]{3}Z\ me\ created\ the\ operation:\ nightly\ build$ ]]
	is "$(cut -d' ' -f 1,3- watched | sed -n 2,5p)" "2 me started $call: make all
3 me hello
4 me ended $call, result all well
5 me completed the operation: good night"
}

@test "--json: the entries as they stand in the journal" {
	watching --from 1 --json
	dpl-log -q $'a\tb "c" \e[31m é'
	dpl-complete -q
	finished 0
	cmp watched "$(journal "$op")"
}

@test "without --from: the next one that is written" {
	dpl-log -q before
	watching --json
	wait_for 'dpl-log -q tick; [ -s watched ]'
	dpl-complete -q
	finished 0
	[ "$(head -n 1 watched | jq .seq)" -gt 2 ]
	# from the first one on, all
	cmp watched <(tail -n "$(wc -l <watched)" "$(journal "$op")")
}

@test "--from: what is before it is not printed; one that is not there yet is waited for" {
	dpl-log -q two
	dpl-log -q three
	expect 124 dpl-watch --from 3 --json -t 0
	is "$(jq .seq <<<"$output")" 3
	watching --from 6 --json
	waits "$watcher"
	for i in 4 5 6 7; do
		dpl-log -q "$i"
	done
	wait_for '[ "$(wc -l <watched)" = 2 ]'
	is "$(jq .seq watched | paste -sd ' ')" '6 7'
	dpl-complete -q
	finished 0
	expect 0 dpl-watch --from 8 --json
	is "$(json .seq | paste -sd ' ')" '8 9'
	expect 0 dpl-watch --from 1000
	silent
}

@test "taken up again and again by the last seq: no entry twice, none lost" {
	local n=60
	! by_server || n=20
	for i in 1 2 3 4; do
		in_background bash -c 'for i in $(seq "$2"); do dpl-log -q "$1 $i"; done' - "$i" "$n"
	done
	: >all
	next=1 rounds=0
	writers=("${background[@]}")
	until [ "$next" -gt $((4 * n + 1)) ]; do
		rounds=$((rounds + 1))
		watching --from "$next" --json
		wait_for '[ -s watched ]'
		kill -KILL "$watcher"
		ended "$watcher"
		# A line that was being written is not counted.
		if [ "$(tail -c 1 watched | od -An -tx1)" != ' 0a' ]; then
			sed -i '$d' watched
		fi
		cat watched >>all
		next=$(($(wc -l <all) + 1))
	done
	for pid in "${writers[@]}"; do
		ended "$pid"
	done
	[ "$rounds" -gt 1 ]
	cmp all "$(journal "$op")"
}

@test "eight writers at once: all of it, in order" {
	watching --from 1 --json
	local n=40
	! by_server || n=10
	for i in $(seq 8); do
		in_background bash -c 'for i in $(seq "$2"); do dpl-log -q "$1 $i"; done' - "$i" "$n"
		writers+=("$pid")
	done
	for pid in "${writers[@]}"; do
		ended "$pid"
	done
	dpl-complete -q
	finished 0
	cmp watched "$(journal "$op")"
	is "$(wc -l <watched)" $((8 * n + 3))
}

@test "an entry wakes at once, and the one after it" {
	watching --json
	wait_for 'dpl-log -q ready; [ -s watched ]'
	for i in $(seq 20); do
		begin=${EPOCHREALTIME/./}
		dpl-log -q "line $i"
		wait_for "grep -q '\"line $i\"' watched"
		timed "$begin"
	done
	quick
}

@test "it sleeps while nothing happens, and does not fold from the start again" {
	local_only 'of system calls on a folder'
	for i in $(seq 300); do
		echo "$i"
	done | dpl-log -
	in_background strace -f -o trace dpl-watch --json
	wait_for 'grep -q "poll(.*POLLIN" trace'
	for i in 1 2 3; do
		dpl-log -q "new $i"
		wait_for "[ \"\$(grep -c 'write(1, ' trace)\" = $i ]"
	done
	end_started
	is "$(grep -c 'openat(.*journal.jsonl' trace)" 1
	# two reads of one line for each entry
	sed '0,/poll(/d' trace >after
	[ "$(grep -c 'pread64.*seq' after)" -le 9 ]
	[ "$(wc -l <after)" -lt 120 ]
}

@test "the end: 0 completed, 4 completed aborted, 5 failed; also of one that has ended" {
	watching
	waits "$watcher"
	dpl-abort -q -m why
	dpl-complete -q
	finished 4
	expect 4 dpl-watch "$op"
	silent
	op=$(dpl-create)
	watching -o "$op"
	waits "$watcher"
	dpl-complete -q -o "$op" --failed
	finished 5
	expect 5 dpl-watch -o "$op"
	silent
	op=$(dpl-create)
	dpl-complete -q -o "$op"
	expect 0 dpl-watch "$op"
	silent
	expect 0 dpl-watch --from 1 @@
	is "$(wc -l <out)" 3
}

@test "-t: 124 when the time is over" {
	dpl-log -q x
	expect 124 dpl-watch -t 150ms
	silent
	expect 124 dpl-watch --from 1 -t 0
	is "$(wc -l <out)" 2
	DPL_TIMEOUT=0.1 expect 124 dpl-watch --json
	silent
	DPL_TIMEOUT=1h expect 124 dpl-watch -t 0.1
	expect 2 dpl-watch -t never
	refused dpl-watch -t
}

@test "an operation whose folder is deleted: 3" {
	watching
	waits "$watcher"
	rm -r "${ledger:?}/$op"
	finished 3
	has "$(cat said)" "$op" deleted
}

@test "hostile texts" {
	dpl-join -q -p $'wörker "x" \\'
	dpl-call start -q -p $'wörker "x" \\' -d $'in\nno\x1b[2Jcent\r\x08\xe2\x80\xae'
	dpl-log -q $'a\n7 2026-01-01T00:00:00.000Z root forged\x1b]0;title\x07'
	append "$op" '"by":"\u001b[31m\u202ered","event":"odd.\u0007event","callId":"\u001b[2J"'
	expect 124 dpl-watch --from 1 -t 0
	is "$(wc -l <out)" 5
	plain
	has "$output" '\x1b[2Jcent' 'a\n7 2026' '\x1b[31m\u202ered'
	expect 124 dpl-watch --from 1 --all -t 0 2>/dev/null || expect 124 dpl-watch --from 1 --json -t 0
	no_controls
	expect 0 dpl-watch --until participant=$'wörker "x" \\' --json
	holds '.condition == "participant=wörker \"x\" \\"'
}

# --- signals, pipes ---

@test "SIGINT and SIGTERM end it by the signal itself" {
	for signal in INT TERM HUP; do
		for how in '' '--until idle' --all; do
			dpl-call start -q
			# shellcheck disable=SC2086 # words
			in_background env --default-signal=INT dpl-watch $how
			wait_for '[ "$(cat "/proc/$pid/comm")" = dpl-watch ]' # until then it ignores SIGINT
			waits "$pid"
			kill -"$signal" "$pid"
			ended "$pid"
			is "$signal $status" "$signal $((128 + $(kill -l $signal)))"
		done
		[ "$signal" = HUP ] || unset DPL_OPERATION
		op=$(dpl-create)
		export DPL_OPERATION=$op
	done
}

@test "a reader that has seen enough: a quiet end" {
	in_background bash -c 'dpl-watch --from 1 2>said | head -n 1 >first; echo "${PIPESTATUS[0]}" >status'
	reader=$pid
	wait_for '[ -s first ]'
	dpl-log -q one
	dpl-log -q two
	ended "$reader"
	is "$(cat status)" 0
	is "$(cat said)" ''
}

@test "a reader that goes while nothing happens is noticed" {
	local_only 'by a server it is noticed with the next entry'
	dpl-log -q one
	for what in "$op" --all; do
		mkfifo fifo
		in_background bash -c "exec dpl-watch --lines $what >fifo 2>said"
		watcher=$pid
		exec 4<fifo
		waits "$watcher"
		exec 4<&-
		ended "$watcher"
		is "$what $status $(cat said)" "$what 0 "
		rm fifo
	done
}

@test "stdout is full, or closed" {
	status=0
	dpl-watch --from 1 -t 0 2>err >/dev/full || status=$?
	is "$status" 9
	has "$(cat err)" 'dpl-watch: write standard output: No space left'
	status=0
	dpl-watch --from 1 -t 0 2>err >&- || status=$?
	is "$status" 9
	# It has nothing to print.
	status=0
	dpl-watch --until idle >&- || status=$?
	is "$status" 0
}

@test "--passive: it only reads; without it who died is found" {
	local_only 'a server looks by itself'
	op=$(dpl-create --beat 100ms --jitter 0 --stale 500ms)
	in_background sleep 60
	kept=$pid
	dpl-join -qp w -o "$op"
	keeper=$(dpl-beat --keep --pid "$kept" -p w -o "$op")
	kill -KILL "$keeper" "$kept"
	wait_for 'gone "$keeper"'
	expect 124 dpl-watch --passive -o "$op" --from 1 -t 1s
	expect 124 dpl-watch --passive -o "$op" --until left=w -t 500ms
	expect 124 dpl-watch --passive -o "$op" --file none -t 500ms
	is "$(entries "$op" | grep -c crash.detected)" 0
	in_background dpl-watch "$op"
	wait_for 'grep -q crash.detected "$(journal "$op")"'
	expect 2 dpl-watch --all --passive
}

# --- waiting for a condition ---

# becomes STATUS CONDITION COMMAND ...: not so yet; the command makes it so.
becomes() {
	local want=$1 condition=$2
	shift 2
	watching --until "$condition" "$op"
	waits "$watcher"
	"$@"
	finished "$want"
	is "$(cat watched)" ''
}

@test "--until completed" {
	expect 124 dpl-watch --until completed -t 50ms
	becomes 0 completed dpl-complete -q
	expect 0 dpl-watch --until completed
	silent
	op=$(dpl-create)
	dpl-abort -q -o "$op"
	becomes 4 completed dpl-complete -q -o "$op"
	has "$(cat said)" "$op has ended: completed, aborted"
	op=$(dpl-create)
	becomes 5 completed dpl-complete -q -o "$op" --failed
	has "$(cat said)" "$op has ended: failed"
	expect 5 dpl-watch -q --until completed "$op"
	silent
}

@test "--until failed" {
	becomes 1 failed dpl-complete -q
	has "$(cat said)" "$op has ended: completed"
	expect 1 dpl-watch --until failed
	refused dpl-watch "$op has ended: completed"
	op=$(dpl-create)
	becomes 0 failed dpl-complete -q -o "$op" --failed
	expect 0 dpl-watch --until failed "$op"
	silent
}

@test "--until aborted: also where it is cleared at once; by the mode bit; never" {
	becomes 0 aborted dpl-abort -q -m stop
	expect 0 dpl-watch --until aborted
	dpl-abort -q --clear
	expect 124 dpl-watch --until aborted -t 50ms
	becomes 0 aborted dpl-batch <<<'{"path":"/operation/abort","body":{"operationId":"'"$op"'"}}
{"path":"/operation/abort","body":{"operationId":"'"$op"'","value":false}}' >/dev/null
	op=$(dpl-create)
	becomes 0 aborted chmod 0700 "$(journal "$op")"
	op=$(dpl-create)
	becomes 1 aborted dpl-complete -q -o "$op"
	expect 1 dpl-watch -q --until aborted "$op"
	silent
}

@test "--until idle" {
	expect 0 dpl-watch --until idle
	silent
	one=$(dpl-call start)
	two=$(dpl-call start)
	expect 124 dpl-watch --until idle -t 50ms
	watching --until idle
	waits "$watcher"
	dpl-call end "$one"
	dpl-call fail "$two" -m why
	finished 0
	is "$(heard)" ''
	dpl-call start -q
	becomes 0 idle dpl-complete -q --cancel
	expect 0 dpl-watch --until idle
}

@test "--until call=ID: before, now and later" {
	call=$(dpl-call start)
	becomes 0 "call=$call" dpl-call end "$call"
	expect 0 dpl-watch --until "call=$call"
	silent
	call=$(dpl-call start)
	becomes 5 "call=$call" dpl-call fail "$call" -m why
	is "$(heard)" "dpl-watch: call $call failed"
	expect 5 dpl-watch -q --until "call=$call"
	silent
	call=$(dpl-call start)
	becomes 5 "call=$call" append "$op" '"by":"judge","event":"call.crashed","callId":"'"$call"'","participantId":"me"'
	expect 5 dpl-watch -q --until "call=$call"
	# One that is not there yet.
	later() {
		dpl-call start -q --id later
		dpl-call end later
	}
	becomes 0 call=later later
	call=$(dpl-call start)
	becomes 4 "call=$call" dpl-complete -q --cancel
	is "$(heard)" "dpl-watch: call $call was cancelled"
	expect 4 dpl-watch -q --until "call=$call"
	expect 0 dpl-watch -q --until call=later
}

@test "--until call=ID: none such" {
	expect 124 dpl-watch --until call=nope -t 50ms
	becomes 3 call=nope dpl-complete -q
	is "$(heard)" "dpl-watch: no call 'nope' in $op, which has ended"
	expect 3 dpl-watch --until call=nope
	refused dpl-watch nope "$op"
	expect 3 dpl-watch --until call=nope --json
	json_error call-not-found
}

@test "--until participant=NAME: now or before" {
	expect 0 dpl-watch --until participant=me
	silent
	becomes 0 participant=worker dpl-join -q -p worker
	dpl-leave -q -p worker
	expect 0 dpl-watch --until participant=worker
	becomes 1 participant=nobody dpl-complete -q
	expect 1 dpl-watch -q --until participant=nobody
	expect 0 dpl-watch --until participant=worker
}

@test "--until left=NAME: no live session" {
	expect 0 dpl-watch --until left=nobody
	dpl-join -q -p worker
	dpl-join -q -p worker
	watching --until left=worker
	waits "$watcher"
	dpl-leave -q -p worker
	wait_for 'dpl-log -q x; [ -d /proc/$watcher ]'
	dpl-leave -q -p worker
	finished 0
	expect 0 dpl-watch --until left=worker
	becomes 0 left=me dpl-complete -q
}

@test "a crash ends every wait but those for aborted and failed, and says who" {
	dpl-call start -q --id work
	for condition in completed idle call=work participant=nobody left=me; do
		op=$(dpl-create)
		dpl-call start -q -o "$op" --id work
		becomes 5 "$condition" crash "$op" 'wor\u001bker'
		is "$(heard)" 'dpl-watch: wor\x1bker crashed: its lock has fallen'
	done
	for condition in aborted failed; do
		op=$(dpl-create)
		watching --until "$condition" "$op"
		waits "$watcher"
		crash "$op" worker
		# Whoever writes next ends it: one who is aborted was so before that.
		dpl-abort -q -o "$op"
		finished 0
		wait_for '[ -e "$ledger/backup/$op" ]'
	done
	watching --until idle --json
	waits "$watcher"
	crash "$DPL_OPERATION" worker
	finished 5
	output=$(cat watched)
	holds '.ok and .met == false and .crashed and .crashedParticipantId == "worker" and .state == "running"'
}

@test "a crash that is in the journal already ends a wait" {
	dpl-show --json | jq -e 'has("crashed")' >/dev/null || skip 'dpl-show does not tell'
	dpl-call start -q --id work
	crash "$op" worker
	for condition in completed idle call=work participant=nobody; do
		expect 5 dpl-watch --until "$condition"
		refused dpl-watch worker
	done
	expect 0 dpl-watch --until participant=me
	expect 0 dpl-watch --until failed
	expect 1 dpl-watch --until aborted
	refused dpl-watch "$op has ended: failed"
}

@test "a crash that is contained ends only the wait for its call" {
	dpl-call start -q --id work
	dpl-call start -q --id other --no-fail-on-crash
	watching --until call=work
	waits "$watcher"
	append "$op" '"by":"judge","event":"call.crashed","callId":"other","participantId":"me"'
	dpl-call end work
	finished 0
}

@test "--until: after a second it says whom it waits for, once" {
	dpl-join -q -p worker
	for i in 1 2 3 4 5; do
		dpl-call start -q -p worker --id "work-$i"
	done
	watching --until idle
	wait_for '[ -s said ]'
	has "$(cat said)" "dpl-watch: waiting for idle of $op, which is running" 'work-1 (worker, ' work-3 ' and 2 more' 'me (' 'worker (' ' ago)'
	lacks "$(cat said)" work-4
	dpl-complete -q --cancel
	finished 0
	is "$(wc -l <said)" 1
	op=$(dpl-create)
	expect 124 dpl-watch -q --until completed -t 1.2 "$op"
	silent
	expect 124 dpl-watch --until completed -t 1.2 "$op"
	refused dpl-watch 'no call runs'
}

@test "--until --json: one object" {
	expect 0 dpl-watch --until idle --json
	is "$(wc -l <out)" 1
	holds '. == {ok: true, met: true, condition: "idle", operationId: $op, state: "running", aborted: false, crashed: false, crashedParticipantId: null}' \
		--arg op "$op"
	expect 124 dpl-watch --until completed --json -v -t 0
	holds '.ok and (.met | not) and .condition == "completed"'
	dpl-abort -q
	dpl-complete -q
	expect 4 dpl-watch --until completed --json
	holds '.met and .state == "completed" and .aborted'
	expect 1 dpl-watch --until failed --json
	is "$stderr" ''
	holds '.met == false and .state == "completed"'
}

@test "--until -v prints the entries too" {
	call=$(dpl-call start)
	: >watched
	in_background dpl-watch -v --until "call=$call" >watched 2>said
	watcher=$pid
	waits "$watcher"
	dpl-log -q hello
	dpl-call end "$call"
	finished 0
	is "$(cut -d' ' -f 1,3- watched)" $'3 me hello\n4 me ended '"$call"
	expect 0 dpl-watch -v --from 1 --until idle
	is "$(wc -l <out)" 4
}

@test "an operation that has ended is found, by a part of its id, @ and @@" {
	call=$(dpl-call start)
	dpl-call end "$call"
	dpl-complete -q
	[ -d "$ledger/backup/$op" ]
	unset DPL_OPERATION
	for name in "$op" "${op:(-8)}" @ @@; do
		expect 0 dpl-watch --until "call=$call" "$name"
		expect 0 dpl-watch --until completed -o "$name"
		expect 0 dpl-watch --from 1 "$name"
		is "$(wc -l <out)" 5
	done
	expect 3 dpl-watch nope
	refused dpl-watch nope
	expect 3 dpl-watch --json nope
	json_error operation-not-found
}

@test "misuse" {
	for line in '--until' '--until x' '--until complete' '--until call' '--until call=' '--until call=a/b' '--until participant=' '--until left=..' \
		'--from 0' '--from x' '--from -1' '--color blue' '--all -o x' '--all x' '--all -p me' '--all --from 1' '--all --until idle' "-o x y" 'x y' \
		'-f' '--nope' '-t' '-t x'; do
		# shellcheck disable=SC2086 # words
		expect 2 dpl-watch $line
		refused dpl-watch
		# shellcheck disable=SC2086
		expect 2 dpl-watch --json $line
	done
	unset DPL_OPERATION
	expect 2 dpl-watch
	refused dpl-watch 'no operation' @@
	expect 3 dpl-watch --all -C nowhere
	refused dpl-watch nowhere
}

@test "--color, NO_COLOR" {
	expect 124 dpl-watch --from 1 -t 0
	without '\x1b'
	expect 124 dpl-watch --from 1 -t 0 --color=always
	has "$output" $'\e[1mme\e[0m'
	CLICOLOR_FORCE=1 expect 124 dpl-watch --from 1 -t 0
	has "$output" $'\e['
	NO_COLOR=1 CLICOLOR_FORCE=1 expect 124 dpl-watch --from 1 -t 0
	without '\x1b'
}

# --- all operations ---

@test "--all: those that are live, and those that come; all of it, nothing twice" {
	dpl-log -q before
	watching --all --json
	wait_for 'dpl-log -q tick; [ -s watched ]'
	for i in $(seq 12); do
		in_background bash -c 'export DPL_OPERATION=$(dpl-create)
			for i in $(seq 5); do dpl-log -q "$i"; done
			dpl-join -q -p worker
			dpl-complete -q'
		makers+=("$pid")
	done
	for pid in "${makers[@]}"; do
		ended "$pid"
	done
	dpl-complete -q
	wait_for '[ "$(grep -c operation.archived watched)" = 13 ]'
	kill "$watcher"
	finished 143
	is "$(cat said)" ''
	is "$(grep -c '^{"operationId":"[^"]*","seq":' watched)" "$(wc -l <watched)"
	is "$(grep -c 'operationId.*operationId' watched)" 0
	for id in $(names "$ledger/backup"); do
		if [ "$id" = "$op" ]; then
			# from the next entry on
			n=$(grep -c "\"$op\"" watched)
			[ "$(grep "\"$op\"" watched | head -n 1 | jq .seq)" -gt 2 ]
			is "$(grep "\"$op\"" watched | jq .seq | paste -sd ' ')" "$(jq .seq <(journal_text "$op") | tail -n "$n" | paste -sd ' ')"
		else
			is "$(grep "\"$id\"" watched | jq -cS .)" "$(jq -cS --arg id "$id" '.operationId = $id' <(journal_text "$id"))"
		fi
	done
}

@test "--all as text: each line begins with the id" {
	watching --all
	wait_for 'dpl-log -q tick; [ -s watched ]'
	other=$(dpl-create -d other)
	wait_for 'grep -q other watched'
	is "$(cut -d' ' -f 1 watched | sort -u | paste -sd ' ')" "$op $other"
	is "$(grep "^$other" watched | cut -d' ' -f 2,4-)" '1 me created the operation: other'
}

@test "--all: -t ends it with 0; one inotify instance for all" {
	local_only 'of inotify'
	expect 0 dpl-watch --all -t 100ms
	silent
	expect 0 dpl-watch --all -t 0
	for i in 1 2 3 4 5 6 7 8 9 10; do
		dpl-create >/dev/null
	done
	watching --all
	# the folder of the ledger and eleven journals
	wait_for '[ "$(cat /proc/$watcher/fdinfo/* | grep -c "^inotify wd")" = 12 ]'
	is "$(find "/proc/$watcher/fd" -lname '*inotify*' | wc -l)" 1
}

@test "--all: more operations than are kept open, turn by turn" {
	watching --all --json
	wait_for 'dpl-log -q tick; [ -s watched ]' # what is there before it looks for the first time is not new
	ops=("$op")
	for i in $(seq 12); do
		ops+=("$(dpl-create)")
	done
	wait_for '[ "$(grep -c operation.created watched)" = 12 ]' 30
	for round in 1 2 3; do
		for id in "${ops[@]}"; do
			dpl-log -q -o "$id" "round $round"
		done
	done
	wait_for '[ "$(grep -c "round [123]" watched)" = 39 ]'
	for id in "${ops[@]:1}"; do
		is "$(grep "\"$id\"" watched | jq .seq | paste -sd ' ')" '1 2 3 4'
	done
}

@test "--all: a damaged operation is said once, the others go on" {
	other=$(dpl-create)
	echo 'no entry' >>"$ledger/$other/journal.jsonl"
	watching --all
	wait_for 'dpl-log -q tick; [ -s watched ]'
	echo 'nor this' >>"$ledger/$other/journal.jsonl"
	third=$(dpl-create)
	wait_for "grep -q '^$third' watched"
	is "$(wc -l <said)" 1
	has "$(cat said)" "$other/journal.jsonl:2"
	rm -r "${ledger:?}/$other"
	dpl-log -q last
	wait_for 'grep -q last watched'
	is "$(wc -l <said)" 1
}

# --- ledgers behind a helper ---

# helper NAME: standard input becomes the program dpl-remote-NAME on PATH.
helper() {
	mkdir -p bin
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
	(echo '#!/bin/bash' && cat) >"bin/dpl-remote-$1"
	chmod +x "bin/dpl-remote-$1"
}

@test "through a helper: following, waiting, all" {
	helper test <<-'END'
		exec dpl-batch -C "${1#test://}"
	END
	call=$(dpl-call start)
	watching -C "test://$ledger" --from 1 --json
	in_background dpl-watch -C "test://$ledger" --until "call=$call"
	waiter=$pid
	in_background dpl-watch -C "test://$ledger" --all --json >all
	other=$pid
	wait_for 'dpl-log -q tick; [ -s all ]'
	dpl-call end "$call"
	ended "$waiter"
	is "$status" 0
	dpl-complete -q
	finished 0
	cmp watched "$(journal "$op")"
	wait_for 'grep -q operation.archived all'
	kill "$other"
	ended "$other"
}

@test "--all of a server that cannot tell what changes: it is asked every two seconds" {
	local_only 'the same whatever the ledger is'
	helper old <<-'END'
		sed -u 's|/operation/changes|/unknown|' | dpl-batch -C "${1#old://}"
	END
	watching -C "old://$ledger" --all --json
	wait_for 'dpl-log -q tick; [ -s watched ]'
	other=$(dpl-create)
	wait_for 'grep -q "$other" watched'
	dpl-complete -q -o "$other"
	dpl-complete -q
	wait_for '[ "$(grep -c operation.archived watched)" = 2 ]'
	is "$(grep "$other" watched | jq .seq | paste -sd ' ')" '1 2 3'
}

@test "without inotify instances it looks every two seconds, and says so with -v" {
	local_only 'of inotify'
	command -v unshare >/dev/null || skip 'no unshare(1)'
	unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances' 2>/dev/null || skip 'no namespace to take the instances away in'
	in_background unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances; exec dpl-watch -v --json' >watched 2>said
	watcher=$pid
	wait_for 'dpl-log -q tick; [ -s watched ]'
	dpl-complete -q
	finished 0
	has "$(cat said)" 'every two seconds'
	is "$(jq -s 'map(.seq) == [range(.[0].seq; .[-1].seq + 1)]' watched)" true
}

# --- the table ---

# on_terminal ROWS COLUMNS ARGUMENT ...: dpl-watch on a terminal of that size, in the background; what it writes goes to
# the file screen, its own pid to the file pid.
on_terminal() {
	command -v script >/dev/null || skip 'no script(1)'
	local size="rows $1 cols $2"
	shift 2
	rm -f pid screen
	in_background env --default-signal=INT TERM="${terminal-xterm}" script -qefc "stty $size; tty >tty; echo \$\$ >pid; exec dpl-watch $*" screen >/dev/null </dev/null
	watcher=$pid
	wait_for '[ -s pid ] && [ -s screen ]'
}

# frames: how many pictures were drawn.
frames() {
	LC_ALL=C grep -o $'\e\[H' screen | wc -l
}

# picture: the last one, without colours and controls, a line each.
picture() {
	sed -n '/\x1b\[H/h; /\x1b\[H/!H; ${x;p}' screen | grep -v '^Script' |
		sed 's/.*\x1b\[H//; s/\x1b\[J.*//; s/\x1b\[[0-9;?]*[A-Za-z]//g; s/\r//g' | sed '$d'
}

@test "on a terminal: a table that lives, and stays" {
	outer=$(dpl-call start -d 'make all')
	inner=$(dpl-call start --parent "$outer" -d 'cc main.c')
	dpl-join -q -p worker
	on_terminal 24 100
	wait_for 'picture | grep -q worker'
	has "$(picture)" "$op  running  " '2 running  nightly build' '  me      joined  ' "  $outer " "  └─ $inner " 'cc main.c'
	dpl-call fail "$inner" -m 'no such file'
	wait_for 'picture | grep -q "failed.*no such file"'
	dpl-abort -q -m enough
	wait_for 'picture | grep -q "aborted by me.*: enough"'
	dpl-complete -q --cancel
	finished 4
	has "$(picture)" 'completed, aborted' 'aborted by me' cancelled 'failed  ' 
	has "$(tail -n 2 screen)" $'\e[?25h'
	# each picture in one piece: from home to what is below
	is "$(frames)" "$(grep -c $'\e\[J' screen)"
}

@test "the table: ages grow, drawn each second; at most ten times a second" {
	local_only 'the same whatever the ledger is'
	on_terminal 24 80
	dpl-log -q x
	wait_for '[ "$(frames)" -ge 3 ]'
	count=$(frames)
	begin=${EPOCHREALTIME/./}
	seq 2000 | dpl-log -
	for i in $(seq 200); do
		dpl-log -q "$i"
	done
	took=$((${EPOCHREALTIME/./} - begin))
	dpl-complete -q
	finished 0
	[ $(($(frames) - count)) -le $((took / 100000 + 3)) ]
}

@test "the table: SIGINT and SIGTERM put the cursor back, and end it" {
	for signal in INT TERM; do
		on_terminal 24 80
		wait_for 'picture | grep -q nightly'
		kill -"$signal" "$(cat pid)"
		finished $((128 + $(kill -l $signal)))
		has "$(tail -c 100 screen)" $'\e[?7h\e[?25h'
		has "$(picture)" nightly
	done
}

@test "the table: any size, also a new one" {
	local_only 'the same whatever the ledger is'
	for i in $(seq 30); do
		dpl-call start -q -d "a long description of the call number $i, longer than the screen"
	done
	for size in '1 1' '2 5' '3 10' '10 40' '33 20' '200 200'; do
		# shellcheck disable=SC2086 # two words
		on_terminal $size
		wait_for '[ -n "$(picture)" ]'
		kill -TERM "$(cat pid)"
		finished 143
		[ "$(picture | wc -l)" -le "${size% *}" ]
		while IFS= read -r line; do
			[ "${#line}" -le "${size#* }" ]
		done < <(picture)
	done
	on_terminal 10 40
	wait_for 'picture | grep -qx "… 24 more lines"'
	begin=${EPOCHREALTIME/./}
	stty -F "$(cat tty)" rows 20 cols 60
	wait_for 'picture | grep -qx "… 14 more lines"'
	kill -TERM "$(cat pid)"
	finished 143
}

@test "the table: too high, calls that have ended give way" {
	local_only 'the same whatever the ledger is'
	for i in $(seq 8); do
		dpl-call end "$(dpl-call start -d "over $i")"
	done
	call=$(dpl-call start -d 'goes on')
	on_terminal 30 80
	wait_for 'picture | grep -q "goes on"'
	has "$(picture)" 'over 1' 'over 8'
	stty -F "$(cat tty)" rows 8 cols 80
	wait_for '! picture | grep -q "over"'
	has "$(picture)" "$call" 'goes on'
	kill -TERM "$(cat pid)"
	finished 143
}

@test "the table: hostile texts" {
	dpl-call start -q -d $'in\nno\x1b[2Jcent\r\x08\xe2\x80\xae'
	append "$op" '"by":"\u001b[31mred\u0007","event":"participant.joined","sessionId":7'
	dpl-abort -q -m $'stop\x1b]0;title\x07'
	on_terminal 24 200
	wait_for 'picture | grep -q cent'
	has "$(picture)" 'in\nno\x1b[2Jcent\r\x08\u202e' '\x1b[31mred\x07' 'stop\x1b]0;title\x07'
	kill -TERM "$(cat pid)"
	finished 143
	LC_ALL=C grep -vq $'\a\|\b' screen
}

@test "the table: NO_COLOR; a dumb terminal and --lines give lines" {
	NO_COLOR=1 on_terminal 24 80
	wait_for 'picture | grep -q nightly'
	kill -TERM "$(cat pid)"
	finished 143
	is "$(grep -c $'\e\[[0-9;]*m' screen)" 0
	terminal=dumb on_terminal 24 80 --from 1
	wait_for 'grep -q "created the operation" screen'
	kill -TERM "$(cat pid)"
	finished 143
	is "$(grep -c $'\e' screen)" 0
	on_terminal 24 80 --lines --from 1 --color never
	wait_for 'grep -q "created the operation" screen'
	kill -TERM "$(cat pid)"
	finished 143
	is "$(grep -c $'\e' screen)" 0
	on_terminal 24 80 --until idle
	finished 0
	is "$(grep -c $'\e' screen)" 0
}

@test "the table of all operations" {
	on_terminal 24 100 --all
	wait_for 'picture | grep -q nightly'
	other=$(dpl-create -d 'another one')
	wait_for 'picture | grep -q "another one"'
	call=$(dpl-call start -o "$other" -d 'some work')
	wait_for 'picture | grep -q "$call .*some work"'
	dpl-complete -q -o "$other" --cancel
	wait_for 'picture | grep -q "$other  completed"'
	wait_for '! picture | grep -q "$other"'
	has "$(picture)" "$op  running"
	kill -INT "$(cat pid)"
	finished 130
	on_terminal 24 100 --all -t 300ms
	finished 0
}

@test "the table: liveness, beats, progress and a crash, as a server tells them" {
	helper told <<-'END'
		while read -r line; do
			case $line in
			*/operation/events*) jq -c '{status: 200, body: .}' <<<'{"state": "running", "entries": [], "next": 2, "pos": 9, "more": false, "ended": true}' ;;
			*) jq -c '{status: 200, body: .}' "$BATS_TEST_TMPDIR/told" ;;
			esac
		done
	END
	cat >told <<-END
		{"operationId": "$op", "state": "running", "aborted": false, "description": "d", "durationMs": 61000, "callCounts": {"running": 4},
		 "crashed": true, "crashedParticipantId": "dead\u001bone", "crashedAt": null, "crashEvidence": "its lock has fallen",
		 "participants": [
			{"participantId": "a", "sessions": 1, "liveness": "alive", "beatAgeMs": 1234, "callsStarted": 1},
			{"participantId": "h", "sessions": 2, "liveness": "hung", "beatAgeMs": 12000, "callsStarted": 2},
			{"participantId": "l", "sessions": 0, "liveness": "left", "callsStarted": 0}],
		 "calls": [
			{"callId": "one", "participantId": "a", "state": "running", "durationMs": 1, "description": "x", "liveness": "alive",
			 "progress": {"done": 40, "total": 100, "message": "com\u0007pressing"}},
			{"callId": "two", "participantId": "h", "parentId": "one", "state": "running", "durationMs": 1, "liveness": "hung",
			 "progress": {"done": 7, "total": null, "message": null}},
			{"callId": "three", "participantId": "h", "state": "running", "durationMs": 1, "progress": {"done": 900, "total": 300}},
			{"callId": "four", "participantId": "h", "state": "running", "durationMs": 1, "progress": null},
			{"callId": "five", "participantId": "h", "state": "running", "durationMs": 1, "progress": {"done": 1, "total": 9007199254740991}}]}
	END
	on_terminal 30 120 -C told://x -o "$op"
	finished 0
	is "$(picture | sed 's/ *$//')" "$op  running  1m 1s  4 running  d
  crashed: dead\\x1bone: its lock has fallen
  a  joined            beat 1.2 s ago   1 call
  h  hung, 2 sessions  beat 12.0 s ago  2 calls
  l  left                               0 calls
  one     a  running        0.001 s  [####......] 40/100 com\\x07pressing  x
  └─ two  h  running, hung  0.001 s  7
  three   h  running        0.001 s  [##########] 900/300
  four    h  running        0.001 s
  five    h  running        0.001 s  [..........] 1/9007199254740991"
	expect 5 dpl-watch -C told://x --until idle
	refused dpl-watch 'dead\x1bone crashed: its lock has fallen'
}
