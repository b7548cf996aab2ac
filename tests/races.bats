#!/usr/bin/env bats
# many processes on one ledger

# shellcheck disable=SC2016,SC2030,SC2031,SC2154,SC2317 # jq's $; each test is a subshell; helper.bash sets them

load helper

# Under the sanitizers a process takes ten times as long.
rounds=${SANITIZED:+20}
rounds=${rounds:-200}

setup() {
	fresh_ledger
	op=$(dpl-create)
	export DPL_OPERATION=$op
}

# Take the lock of the journal as flock(1) would; in fd 8, until let_go.
hold() {
	exec 8<"$(journal "$op")"
	flock 8
}

let_go() {
	exec 8<&-
}

# Another program holds the lock, as an operator's copy would; its pid is in $holder.
foreign() {
	in_background flock --no-fork "$@" "$(journal "$op")" sleep 60
	holder=$pid
	wait_for '! flock -n "$(journal "$op")" true'
}

# How many wait for the lock that hold took.
waiting() {
	grep -c -- "-> FLOCK .*:$(stat -c %i "$(journal "$op")") " /proc/locks
}

# together NUMBER COMMAND ...: start that many with $i in the environment, all of them at the lock before
# the first gets it; their outputs are out.I, err.I, and statuses says how many exited how.
together() {
	local i n=$1 pids=()
	shift
	hold
	for ((i = 1; i <= n; i++)); do
		i=$i in_background "$@" 8<&- >"out.$i" 2>"err.$i"
		pids+=("$pid")
	done
	wait_for "[ \$(waiting) -ge $n ]"
	let_go
	: >status
	for pid in "${pids[@]}"; do
		ended "$pid"
		echo "$status" >>status
	done
	statuses=$(sort -n status | uniq -c | awk '{printf "%s%s x %s", sep, $1, $2; sep = ", "}')
}

# all_done PID ...: each of them ends with 0.
all_done() {
	local p
	for p in "$@"; do
		ended "$p"
		is "$status" 0
	done
}

@test "32 processes, 200 changes each: nothing is lost, seq has no gaps" {
	cat >writer <<-'END'
		w=$1 i=0
		dpl-join -qp "w$w" || exit
		while [ $((i = i + 4)) -lt "$2" ]; do
			call=$(dpl-call start -p "w$w" -d "$w.$i") || exit
			dpl-log -p "w$w" "$w.$i" || exit
			dpl-call end -p "w$w" --result "$w.$i" "$call" || exit
			dpl-log -p "w$w" "$w.$i" || exit
		done
		dpl-leave -p "w$w"
	END
	for w in $(seq 32); do
		in_background sh writer "$w" "$rounds"
		pids+=("$pid")
	done
	all_done "${pids[@]}"
	whole "$op"
	n=$((32 * ((rounds - 1) / 4)))
	is "$(entries "$op" | sort | uniq -c | awk '{print $1, $2}' | paste -sd ,)" \
		"$n call.ended,$n call.started,$((2 * n)) log,1 operation.created,32 participant.joined,32 participant.left"
	# Each call was started and ended by its own, in this order, and every id is another.
	is "$(jq -rs '[.[] | select(.event == "call.started").callId] | length == (unique | length)' <(journal_text "$op"))" true
	is "$(jq -rs '[.[] | select(.event == "call.started") | [.callId, .description]] | sort' <(journal_text "$op") | cksum)" \
		"$(jq -rs '[.[] | select(.event == "call.ended") | [.callId, .result]] | sort' <(journal_text "$op") | cksum)"
	expect 0 dpl-call list
	silent
	expect 0 dpl-complete
}

@test "32 batches, 200 requests each, with flushes" {
	export DPL_SYNC=on
	for w in $(seq 32); do
		for i in $(seq "$rounds"); do
			echo "{\"path\":\"/operation/log\",\"body\":{\"operationId\":\"$op\",\"participantId\":\"w$w\",\"message\":\"$i\"}}"
		done >"in.$w"
		in_background dpl-batch <"in.$w" >"out.$w"
		pids+=("$pid")
	done
	all_done "${pids[@]}"
	whole "$op"
	is "$(cat out.* | jq .status | sort | uniq -c | tr -s ' ')" " $((32 * rounds)) 200"
	# No two were told the same number, and each one's lines are in its order.
	is "$(cat out.* | jq .body.seq | sort -un | wc -l)" $((32 * rounds))
	is "$(jq -r 'select(.by == "w7").message' <(journal_text "$op"))" "$(seq "$rounds")"
	expect 0 dpl-show --json
	holds ".logCounts.all == $((32 * rounds))"
}

@test "two that complete at once: one wins, the other gets 6" {
	for round in 1 2 3 4 5; do
		together 2 dpl-complete
		is "$statuses" '1 x 0, 1 x 6'
		is "$(cat out.1 out.2)" completed
		has "$(cat err.1 err.2)" 'has ended (completed)'
		is "$(entries "$op" | paste -sd ' ')" 'operation.created operation.completed operation.archived'
		[ -e "$ledger/backup/$op/operation.json" ]
		op=$(dpl-create -d "$round")
		DPL_OPERATION=$op
	done
}

@test "eight that complete at once, with and without one key" {
	together 8 dpl-complete
	is "$statuses" '1 x 0, 7 x 6'
	op=$(dpl-create)
	DPL_OPERATION=$op
	together 8 dpl-complete --key end
	is "$statuses" '8 x 0'
	is "$(sort -u out.*)" completed
	is "$(entries "$op" | wc -l)" 3
}

@test "complete against changes: each is before the end, or gets 6" {
	together 8 bash -c 'if [ "$i" = 4 ]; then exec dpl-complete; else exec dpl-log "by $i"; fi'
	is "$(grep -vx '0\|6' status)" ''
	is "$(cat out.4)" completed
	is "$(entries "$op" | tail -n 2 | paste -sd ' ')" 'operation.completed operation.archived'
	is "$(entries "$op" | grep -c log)" "$(($(grep -c '^0$' status) - 1))"
	whole "$op"
	[ ! -e "$ledger/$op" ]
}

@test "writers go on until the end: what was acknowledged is there, nothing follows the end" {
	writer() {
		local n=0 status=0
		while dpl-log -qp "w$1" x 2>/dev/null || {
			status=$?
			false
		}; do
			n=$((n + 1))
		done
		echo "$status $n" >"count.$1"
	}
	for w in 1 2 3 4; do
		in_background writer "$w"
		pids+=("$pid")
	done
	wait_for '[ "$(entries "$op" | wc -l)" -ge 50 ]'
	dpl-complete -q
	all_done "${pids[@]}"
	is "$(awk '{print $1}' count.* | sort -u)" 6
	is "$(awk '{n += $2} END {print n}' count.*)" "$(entries "$op" | grep -c log)"
	is "$(entries "$op" | tail -n 1)" operation.archived
	whole "$op"
	is "$(wc -l <"$ledger/backup/$op/operation.log")" "$(entries "$op" | wc -l)"
}

@test "eight that abort at once: one reason stands" {
	together 8 bash -c 'exec dpl-abort -m "reason $i"'
	is "$statuses" '8 x 0'
	is "$(entries "$op" | grep -c abort.set)" 1
	has "$(dpl-abort --check)" 'reason '
	together 8 dpl-abort --clear
	is "$statuses" '1 x 0, 7 x 1'
}

@test "eight callers with one key: one entry, one answer" {
	together 8 dpl-call start --key k
	is "$statuses" '8 x 0'
	is "$(sort -u out.* | wc -l)" 1
	is "$(entries "$op" | grep -c call.started)" 1
	together 8 dpl-call end --key e "$(cat out.1)"
	is "$statuses" '8 x 0'
	together 8 dpl-call start --id same
	is "$statuses" '1 x 0, 7 x 6'
	together 8 dpl-call end same
	is "$statuses" '1 x 0, 7 x 6'
	whole "$op"
}

@test "eight creators with one key: one operation" {
	for round in $(seq 8); do
		pids=()
		for i in $(seq 8); do
			in_background dpl-create --key "round-$round" >"out.$i"
			pids+=("$pid")
		done
		all_done "${pids[@]}"
		is "$(sort -u out.* | wc -l)" 1
		is "$(entries "$(cat out.1)" | wc -l)" 1
	done
	unset DPL_OPERATION
	is "$(dpl-show -q | wc -l)" 9
	is "$(find "$ledger" -name '.new-*')" ''
	is "$(names "$ledger/keys" | wc -w)" 8
}

@test "creators and enders at once: nothing is left over, the newest stay" {
	life() {
		local i id
		for i in 1 2 3 4 5 6; do
			id=$(dpl-create -d "$1.$i") && dpl-log -o "$id" x && dpl-complete -qo "$id" || return
		done
	}
	for w in $(seq 8); do
		in_background life "$w" 2>"err.$w"
		pids+=("$pid")
	done
	all_done "${pids[@]}"
	is "$(cat err.*)" ''
	unset DPL_OPERATION
	is "$(dpl-show -q)" "$op"
	is "$(find "$ledger" -name '.new-*' -o -name '.old-*')" ''
	# The two that come last may each see the other's as not there yet.
	kept=$(names "$ledger/backup" | wc -w)
	[ "$kept" -ge 20 ]
	[ "$kept" -le 28 ]
	dpl-complete -qo "$op"
	is "$(names "$ledger/backup" | wc -w)" 20
}

@test "a storm of joins and leaves: each session is one, and all are gone at the end" {
	guest() {
		local i session
		for ((i = 0; i < rounds / 10; i++)); do
			session=$(dpl-join -p "g$(($1 % 4))") || return
			echo "$session" >>"sessions.$1"
			dpl-leave -p "g$(($1 % 4))" --session "$session" || return
		done
	}
	for w in $(seq 16); do
		in_background guest "$w"
		pids+=("$pid")
	done
	all_done "${pids[@]}"
	whole "$op"
	is "$(sort -n sessions.* | paste -sd ' ')" "$(seq -s ' ' 2 $((16 * (rounds / 10) + 1)))"
	expect 0 dpl-show --json
	holds '[.sessions[] | select(.leftAt == null).sessionId] == [1]'
}

@test "eight that join --export without a name: eight names" {
	unset DPL_PARTICIPANT
	together 8 dpl-join --export
	is "$statuses" '8 x 0'
	is "$(cat out.* | grep DPL_PARTICIPANT | sort -u | wc -l)" 8
}

@test "readers never fail while others write" {
	touch go
	reader() {
		while [ -e go ]; do
			dpl-show --json >"show.$1" || return
			jq -e .ok "show.$1" >/dev/null || return
			dpl-log --json >"log.$1" || return
			jq -es 'map(.seq) == (map(.seq) | sort)' "log.$1" >/dev/null || return
			dpl-show -a >/dev/null || return
			dpl-show --trail >/dev/null || return
		done
	}
	for w in 1 2; do
		in_background reader "$w" 2>"err.$w"
		readers+=("$pid")
	done
	for w in 1 2; do
		for i in $(seq "$rounds"); do
			echo "{\"path\":\"/call/start\",\"body\":{\"operationId\":\"$op\",\"callId\":\"c$w.$i\",\"description\":\"$(printf 'x%.0s' {1..80})\"}}"
			echo "{\"path\":\"/operation/log\",\"body\":{\"operationId\":\"$op\",\"message\":\"$i\"}}"
			echo "{\"path\":\"/call/end\",\"body\":{\"operationId\":\"$op\",\"callId\":\"c$w.$i\"}}"
		done >"in.$w"
		in_background dpl-batch <"in.$w" >"out.$w"
		pids+=("$pid")
	done
	all_done "${pids[@]}"
	dpl-complete -q
	wait_for '[ "$(jq .ended show.1)" = true ]'
	rm go
	all_done "${readers[@]}"
	is "$(cat err.*)" ''
	is "$(cat out.* | grep -vc '"status":200')" 0
	whole "$op"
}

@test "a follower sees every line once, in order, while eight write" {
	in_background dpl-log -fq >followed
	follower=$pid
	for w in $(seq 8); do
		in_background dpl-log -p "w$w" - < <(seq -f "$w.%g" "$rounds")
		pids+=("$pid")
	done
	all_done "${pids[@]}"
	dpl-complete -q
	ended "$follower"
	is "$status" 0
	is "$(wc -l <followed)" $((8 * rounds))
	is "$(cksum <followed)" "$(jq -r 'select(.event == "log").message' <(journal_text "$op") | cksum)"
}

@test "flock(1) excludes us: -t gives 124, and who holds it" {
	foreign
	before=$(sum)
	begin=${EPOCHREALTIME/./}
	expect 124 dpl-log -t 300ms x
	took=$((${EPOCHREALTIME/./} - begin))
	[ "$took" -ge 290000 ]
	[ "$took" -lt 3000000 ]
	refused dpl-log "$(journal "$op")" '300 ms' "held by pid $holder (sleep 60)"
	expect 124 dpl-call start --json -t 100ms
	json_error timed-out
	holds '.error.retryable and (.error.message | contains("held by pid"))'
	DPL_TIMEOUT=0.1 expect 124 dpl-abort
	DPL_TIMEOUT=1h expect 124 dpl-complete -t 0
	expect 0 dpl-batch -t 50ms < <(echo "{\"path\":\"/operation/log\",\"body\":{\"operationId\":\"$op\",\"message\":\"x\"}}")
	holds '.status == 503 and .body.code == "timed-out"'
	# Who only reads does not wait.
	expect 0 dpl-show -o "$op"
	expect 0 dpl-log
	expect 1 dpl-abort --check
	is "$(sum)" "$before"
	end_background
	expect 0 dpl-log -t 300ms x
}

@test "a shared flock(1), for a consistent copy, excludes changes too" {
	foreign --shared
	expect 124 dpl-log -t 50ms x
	refused dpl-log "held by pid $holder"
	end_background
	expect 0 dpl-log x
}

@test "a lock that a shell took by flock(1) and keeps: the message names who has it" {
	hold
	expect 124 dpl-log -t 50ms x
	refused dpl-log 'held by pid ' 'flock'
	lacks "$stderr" '(?)'
	let_go
}

@test "creating under a key waits for another such create, no longer than -t" {
	dpl-create -q --key k
	in_background flock --no-fork "$ledger/keys" sleep 60
	wait_for '! flock -n "$ledger/keys" true'
	before=$(sum)
	expect 124 dpl-create --key k -t 100ms
	refused dpl-create "$ledger/keys" '100 ms'
	is "$(sum)" "$before"
	expect 0 dpl-create
	expect 0 dpl-call start --key k
	end_background
	expect 0 dpl-create --key k -t 5s
}

@test "the lock is got as soon as it is let go, and a waiting one can be stopped" {
	hold
	in_background dpl-log -t 30s x 8<&-
	first=$pid
	in_background dpl-log -t 30s y 8<&-
	second=$pid
	wait_for '[ "$(waiting)" -ge 2 ]'
	kill "$second"
	ended "$second"
	is "$status" 143
	begin=${EPOCHREALTIME/./}
	let_go
	ended "$first"
	is "$status" 0
	[ $((${EPOCHREALTIME/./} - begin)) -lt 5000000 ]
	is "$(dpl-log -q)" x
}

@test "without -t it waits ten seconds, says for whom after one, then 7" {
	foreign
	begin=${EPOCHREALTIME/./}
	expect 7 dpl-log x
	took=$((${EPOCHREALTIME/./} - begin))
	[ "$took" -ge 9900000 ]
	[ "$took" -lt 15000000 ]
	is "$output" ''
	is "$(wc -l <err)" 2
	has "$(head -n 1 err)" 'waiting for the lock' "held by pid $holder"
	has "$(tail -n 1 err)" '10000 ms' "held by pid $holder" -t
}

@test "a process killed while it holds the lock lets it go" {
	command -v strace >/dev/null || skip 'no strace(1)'
	strace -o trace true 2>/dev/null || skip 'strace may not trace here'
	# Killed as it enters write(2), under the lock.
	run strace -f -o trace -e trace=write -e inject=write:signal=KILL:when=1 dpl-call start
	[ "$status" -ne 0 ]
	expect 0 dpl-log -t 1s 'still here'
	whole "$op"
}

@test "a supervisor that is just beginning is not taken for a dead one" {
	id=call_me_1_beef
	file=$ledger/$op/beats/c-$id
	in_background env DPL_CALL="$id" DPL_OPERATION="$op" sleep 60
	# As a supervisor does it, but slowly: under the lock the file is made, then the call's first entry.
	hold
	: >"$file"
	in_background dpl-beat -qv
	wait_for '[ "$(waiting)" -eq 1 ]'
	jq -nc '{seq: 2, at: "2026-11-22T14:30:45.123Z", by: "me", event: "call.started", callId: $id, sessionId: 1}' --arg id "$id" >>"$(journal "$op")"
	let_go
	ended "$pid"
	is "$status" 0
	[ -e "$file" ]
	[ "$(stat -c %a "$file")" != 400 ]
	kill -0 "${background[0]}"
	# Without a call of this name it is what one left that died before it had begun.
	mv "$file" "$ledger/$op/beats/c-call_me_2_beef"
	in_background env DPL_CALL=call_me_2_beef DPL_OPERATION="$op" sleep 60
	wait_for '[ "$(cat "/proc/$pid/comm")" = sleep ]'
	expect 0 dpl-beat -q --json
	ended "$pid"
	is "$status" 143
	[ ! -e "$ledger/$op/beats/c-call_me_2_beef" ]
	kill -0 "${background[0]}"
}
