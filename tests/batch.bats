#!/usr/bin/env bats
# dpl-batch: the verbs, and one request a line

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

# ask PATH BODY [KEY]: one request; its reply is in $output.
ask() {
	expect 0 dpl-batch < <(jq -cn --arg p "$1" --argjson b "${2:-{\}}" --arg k "${3:-}" '{path: $p, body: $b} + (if $k == "" then {} else {key: $k} end)') &&
		is "$stderr" '' && is "$(wc -l <"$BATS_TEST_TMPDIR/out")" 1
}

# answers STATUS [FILTER]: what the last one said.
answers() {
	holds ".status == $1 and (.body | ${2:-true})"
}

# fails STATUS CODE: it was an error.
fails() {
	holds '.status == $s and .body.code == $c and (.body.error | length > 0)' --argjson s "$1" --arg c "$2"
}

# An operation and a body that names it.
operation() {
	op=$(dpl-create)
	o="\"operationId\":\"$op\""
}

@test "requests and replies, in the same order, ids given back as they came" {
	operation
	expect 0 dpl-batch <<-END
		{"path":"/operation/log","body":{$o,"message":"a"},"id":1}
		{"path":"/operation/log","body":{$o,"message":"b"},"id":"two"}
		{"id":{"n":[3,null]},"path":"/operation/log","body":{$o,"message":"c"}}
		{"path":"/operation/log","body":{$o,"message":"d"},"id":null}
		{"path":"/operation/log","body":{$o,"message":"e"}}
		{"path":"/nope","id":"q\\"\\u0041"}
	END
	is "$stderr" ''
	is "$(jq -c .status out | paste -sd ,)" 200,200,200,200,200,404
	is "$(sed -n 1,5p out | jq -c .id | paste -sd ,)" '1,"two",{"n":[3,null]},null,null'
	is "$(sed -n 5p out | jq -c 'has("id")')" false
	has "$(sed -n 6p out)" '"id":"q\"\u0041"'
	is "$(jq -c .body.seq out | paste -sd ,)" 2,3,4,5,6,null
}

@test "an interactive partner gets each reply before the next request" {
	operation
	coproc dpl-batch 3>&-
	pid=$COPROC_PID
	background+=("$pid")
	for i in 1 2 3; do
		echo "{\"path\":\"/operation/log\",\"body\":{$o,\"message\":\"$i\"},\"id\":$i}" >&"${COPROC[1]}"
		read -r -t 10 line <&"${COPROC[0]}"
		is "$(jq -c '[.id, .status]' <<<"$line")" "[$i,200]"
	done
	eval "exec ${COPROC[1]}>&-"
	ended "$pid"
	is "$status" 0
}

@test "blank lines are passed over, a last line needs no newline" {
	operation
	expect 0 dpl-batch < <(printf '\n \t\r\n{"path":"/operation/list"}\r\n\n{"path":"/operation/list"}')
	is "$(wc -l <out)" 2
	expect 0 dpl-batch </dev/null
	silent
	expect 0 dpl-batch < <(printf '\n\n')
	silent
}

@test "bad lines are answered, and the next one is carried out" {
	operation
	expect 0 dpl-batch <<-END
		rubbish
		{}
		[]
		5
		null
		"x"
		{"path":5}
		{"path":null}
		{"path":"/operation/list","body":[]}
		{"path":"/operation/list","body":"x"}
		{"path":"/operation/list","body":5}
		{"path":"/operation/list","body":{},"key":5}
		{"path":"/operation/list","body":{},"key":"a b"}
		{"path":"/operation/list","path":"/operation/list"}
		{"path":"/operation/state","body":{$o,$o}}
		{"path":"/operation/list"} x
		{'path':'/operation/list'}
		{"path":"/operation/list",}
		{"path":"/operation/list","body":{"ended":"true"}}
		{"path":"/operation/list/"}
		{"path":"/operation/list","id":01}
		{"path":"/operation/list","body":{"ended":tru}}
		{"path":"/operation/list"}
	END
	is "$(wc -l <out)" 23
	is "$(tail -n 1 out | jq .status)" 200
	is "$(head -n 22 out | jq -r '.status' | sort -u | paste -sd ,)" 400,404
	is "$(head -n 22 out | jq -r 'select(.body.code == null or .body.error == null)')" ''
	is "$(sed -n 1p out | jq -r .body.code)" bad-json
	is "$(sed -n 9p out | jq -r .body.code)" bad-json
	is "$(sed -n 12,13p out | jq -r .body.code | sort -u)" bad-id
	is "$(sed -n 19p out | jq -r .body.code)" bad-request
	is "$(sed -n 20p out | jq -r .body.code)" no-such-path
}

@test "no body, null and {} are the same" {
	mkdir "$ledger"
	expect 0 dpl-batch < <(printf '%s\n' '{"path":"/operation/list"}' '{"path":"/operation/list","body":{}}')
	is "$(sort -u out | wc -l)" 1
	ask /operation/state null
	holds '.status == 400'
}

@test "bytes that are no text" {
	operation
	expect 0 dpl-batch < <(
		printf '{"path":"/operation/log","body":{%s,"message":"\xff"}}\n' "$o"
		printf '{"path":"/operation/log","body":{%s,"message":"a\0b"}}\n' "$o"
		printf '{"path":"/operation/log","body":{%s,"message":"\\u0000"}}\n' "$o"
		printf '{"path":"/operation/log","body":{%s,"message":"\\ud800"}}\n' "$o"
		printf '\xef\xbb\xbf{"path":"/operation/list"}\n'
		printf '{"path":"/operation/log","body":{%s,"message":"\xc0\xaf"}}\n' "$o"
		head -c 256 /dev/urandom | tr -d '\n'
		echo
	)
	is "$(wc -l <out)" 7
	is "$(jq .status out | sort -u)" 400
	is "$(entries "$op" | wc -l)" 1
	no_controls
}

@test "numbers are integers within bounds, and types are strict" {
	operation
	for value in 0 -1 1.5 '"1"' 1e3 1e999 9007199254740992 99999999999999999999 true '[]' '{}' 01; do
		printf '{"path":"/operation/show","body":{%s,"atSeq":%s}}\n' "$o" "$value"
	done >requests
	for value in 1 0 '"true"' '[]'; do
		printf '{"path":"/operation/abort","body":{%s,"value":%s}}\n' "$o" "$value"
	done >>requests
	for value in 1 true '[]' '{}'; do
		printf '{"path":"/operation/log","body":{%s,"message":%s}}\n' "$o" "$value"
		printf '{"path":"/operation/log","body":{"operationId":%s,"message":"x"}}\n' "$value"
	done >>requests
	expect 0 dpl-batch <requests
	is "$(jq .status out | sort -u)" 400
	is "$(wc -l <out)" "$(wc -l <requests)"
	is "$(entries "$op" | wc -l)" 1
}

@test "deep and wide JSON" {
	mkdir "$ledger"
	deep() {
		printf '{"path":"/operation/list","body":{"x":%s1%s}}\n' "$(printf '[%.0s' $(seq "$1"))" "$(printf ']%.0s' $(seq "$1"))"
	}
	expect 0 dpl-batch < <(
		deep 25
		deep 100
		printf '{"path":"/operation/list","body":{"x":%s\n' "$(head -c 100000 /dev/zero | tr '\0' '[')"
		printf '{"path":"/operation/list","body":{"x":[0%s]}}\n' "$(printf ',0%.0s' $(seq 50000))"
		printf '{"path":"/operation/list","body":{"%s":1}}\n' "$(head -c 900000 /dev/zero | tr '\0' k)"
		printf '{"path":"/operation/list","body":{"x":%s}}\n' "$(head -c 900000 /dev/zero | tr '\0' 9)"
		printf '{"path":"/operation/list"}\n'
	)
	is "$(wc -l <out)" 7
	is "$(sed -n 2,3p out | jq .status | paste -sd ,)" 400,400
	is "$(sed -n 1p out | jq .status)" 200
	is "$(sed -n 7p out | jq .status)" 200
}

@test "unknown members are passed over" {
	operation
	ask /operation/log "{$o,\"message\":\"x\",\"__proto__\":{\"a\":1},\"colour\":\"red\"}"
	answers 200
	is "$(last_entry "$op" 'keys | sort | join(",")')" at,by,event,level,message,seq
}

@test "a line of more than 1 MiB ends it: 2; what came before was answered" {
	operation
	expect 2 dpl-batch < <(
		printf '{"path":"/operation/log","body":{%s,"message":"x"}}\n' "$o"
		head -c 1200000 /dev/zero | tr '\0' x
	)
	has "$stderr" 'dpl-batch: ' 1048576
	is "$(jq .status out)" 200
	expect 0 dpl-batch < <(printf '{"path":"/operation/log","body":{%s,"message":"%s"}}\n' "$o" "$(head -c 1000000 /dev/zero | tr '\0' x)")
	fails 413 too-large
	is "$(entries "$op" | wc -l)" 2
}

@test "no reply before what it says is flushed, whatever ends the input" {
	command -v strace >/dev/null || skip 'no strace(1)'
	strace -o trace true 2>/dev/null || skip 'strace may not trace here'
	operation
	export DPL_SYNC=on ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
	request="{\"path\":\"/call/start\",\"body\":{$o}}"
	# Each kind of end: nothing more, a line that is too long, a read that fails.
	for kind in end long; do
		case $kind in
		end) printf '%s\n%s\n' "$request" "$request" >in ;;
		long) (echo "$request" && head -c 1200000 /dev/zero | tr '\0' x) >in ;;
		esac
		run strace -f -e trace=write,fdatasync,fsync -o trace dpl-batch <in
		awk '/write\([0-9]+, "\{\\"seq/ { dirty = 1 } /fdatasync|fsync/ { dirty = 0 } /write\(1, / { if (dirty) bad = 1; n++ } END { exit !(n && !bad) }' trace || {
			echo "$kind: a reply came before the flush"
			cat trace
			return 1
		}
	done
}

@test "one flush for many requests" {
	command -v strace >/dev/null || skip 'no strace(1)'
	strace -o trace true 2>/dev/null || skip 'strace may not trace here'
	operation
	export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
	for i in $(seq 200); do
		echo "{\"path\":\"/call/start\",\"body\":{$o}}"
	done >in
	DPL_SYNC=on strace -f -e trace=fdatasync -o trace dpl-batch <in >replies
	is "$(grep -c '"status":200' replies)" 200
	[ "$(grep -c fdatasync trace)" -lt 20 ]
	[ "$(grep -c fdatasync trace)" -ge 1 ]
}

@test "create, join, leave" {
	ask /operation/create '{"participantId":"me","description":"d","participantPid":7,"settings":{"beatMs":1}}'
	answers 200 '.participantId == "me" and .isInitiator and .sessionId == 1 and .aborted == false'
	op=$(json .body.operationId) o="\"operationId\":\"$op\""
	is "$(last_entry "$op" .pid)" 7
	ask /operation/create '{"participantId":"me","beatMs":20,"jitterMs":1,"staleMs":50,"ttlMs":100,"windowMs":30}'
	answers 200
	ask /operation/create '{}'
	fails 400 bad-request
	ask /operation/create '{"participantId":"../x"}'
	answers 200
	ask /operation/create '{"participantId":""}'
	fails 400 bad-id
	ask /operation/create '{"participantId":"me","ttlMs":1}'
	fails 400 bad-request
	ask /operation/join "{$o,\"participantId\":\"w\"}"
	answers 200 '.sessionId == 2 and .isInitiator == false'
	ask /operation/join "{$o,\"participantId\":\"w\",\"mint\":true}"
	answers 200 '.participantId == "w-2" and .sessionId == 3'
	ask /operation/join "{$o}"
	fails 400 bad-request
	ask /operation/leave "{$o,\"participantId\":\"w\",\"sessionId\":2}"
	answers 200 '.success and .cancelledCalls == 0 and .sessionId == 2'
	ask /operation/leave "{$o,\"participantId\":\"w\",\"sessionId\":2}"
	answers 200 '.success and .unknownSession'
	ask /operation/leave "{$o,\"sessionId\":99}"
	answers 200 '.success and .unknownSession'
}

@test "call/start, end, fail, list" {
	operation
	ask /call/start "{$o,\"participantId\":\"me\",\"callId\":\"a\",\"description\":\"d\",\"failOnCrash\":false}"
	answers 200 '.callId == "a" and (.startedAt | length == 24) and .sessionId == 1'
	ask /call/start "{$o,\"participantId\":\"me\",\"callId\":\"a\"}"
	fails 409 call-exists
	ask /call/start "{$o,\"participantId\":\"you\"}"
	fails 404 participant-not-found
	ask /call/start "{$o}"
	answers 200 '.callId | startswith("call_me_2_")'
	ask /call/start "{$o,\"sessionId\":99}"
	answers 200
	ask /call/list "{$o}"
	answers 200 '.calls | length == 3'
	ask /call/end "{$o,\"callId\":\"a\",\"result\":\"r\"}"
	answers 200 '.success and .durationMs >= 0'
	ask /call/end "{$o,\"callId\":\"a\"}"
	answers 200 '.success and .alreadyEnded'
	ask /call/end "{$o,\"callId\":\"nope\"}"
	answers 200 '.success and .unknownCall'
	ask /call/end "{$o}"
	fails 400 bad-request
	ask /call/end "{$o,\"callId\":\"../x\"}"
	fails 400 bad-id
	ask /call/start "{$o,\"participantId\":\"me\",\"callId\":\"b\"}"
	ask /call/fail "{$o,\"callId\":\"b\",\"error\":\"e\"}"
	answers 200 .success
	ask /call/list "{$o,\"all\":true,\"participantId\":\"me\"}"
	answers 200 '[.calls[] | .state] == ["ended", "running", "running", "failed"]'
	ask /operation/abort "{$o}"
	ask /call/start "{$o,\"unlessAborted\":true}"
	fails 409 operation-aborted
	ask /call/start "{$o}"
	answers 200 .aborted
}

@test "abort, log, state, show" {
	operation
	ask /operation/abort "{$o,\"value\":false}"
	answers 200 '.success and .notSet'
	ask /operation/abort "{$o,\"reason\":\"why\"}"
	answers 200 '.success and .aborted and .abortReason == "why"'
	ask /operation/abort "{$o}"
	answers 200 '.alreadySet and .abortReason == "why"'
	ask /operation/abort "{$o,\"value\":false}"
	answers 200 '.success and .aborted == false'
	ask /operation/log "{$o,\"message\":\"m\",\"level\":\"ERROR\",\"callId\":\"x\"}"
	answers 200 .success
	is "$(last_entry "$op" '[.level, .by, .callId] | @csv')" '"error","me","x"'
	ask /operation/log "{$o,\"message\":\"m\",\"level\":\"odd\"}"
	answers 200 .success
	is "$(last_entry "$op" .level)" info
	ask /operation/log "{$o}"
	fails 400 bad-request
	ask /operation/state "{$o}"
	answers 200 '.state == "running" and .callFrameCount == 0 and .participants == ["me"]'
	ask /operation/show "{$o}"
	answers 200 '.seq == 5 and .calls == []'
	ask /operation/show "{$o,\"atSeq\":2,\"calls\":\"none\"}"
	answers 200 '.aborted and (has("calls") | not)'
	ask /operation/show "{$o,\"at\":\"1970-01-01T00:00:00Z\"}"
	fails 404 operation-not-found
	ask /operation/show "{$o,\"at\":\"now\"}"
	fails 400 bad-request
	ask /operation/show "{$o,\"calls\":\"some\"}"
	fails 400 bad-request
	ask /operation/show "{$o,\"atSeq\":99}"
	fails 400 bad-request
}

@test "list, resolve" {
	operation
	two=$(dpl-create -p you)
	dpl-complete -q -p you -o "$two"
	ask /operation/list
	answers 200 ".operations | map(.operationId) == [\"$op\"]"
	ask /operation/list '{"ended":true}'
	answers 200 '.operations | length == 2'
	ask /operation/resolve '{"name":"you"}'
	answers 200 ".operationId == \"$two\""
	ask /operation/resolve '{"name":"you","live":true}'
	fails 404 operation-ended
	ask /operation/resolve '{"name":"@@"}'
	answers 200 ".operationId == \"$op\""
	ask /operation/resolve '{"name":"@"}'
	fails 400 bad-request
	ask /operation/resolve '{"name":"@","participantId":"me"}'
	answers 200 ".operationId == \"$op\""
	ask /operation/resolve '{"name":"Z"}'
	answers 200
	ask /operation/resolve '{"name":"nope"}'
	fails 404 operation-not-found
	ask /operation/resolve '{"name":"../x"}'
	fails 400 bad-id
	ask /operation/resolve '{}'
	fails 400 bad-request
	dpl-create -q
	ask /operation/resolve '{"name":"Z-me"}'
	fails 400 ambiguous-operation
}

@test "events: from a place on, filtered, and waiting" {
	operation
	for i in 1 2 3 4; do
		dpl-log -qo "$op" -l warning "$i"
	done
	ask /operation/events "{$o}"
	answers 200 '(.entries | map(.seq) == [1, 2, 3, 4, 5]) and .next == 6 and .more == false and .ended == false'
	pos=$(json .body.pos)
	is "$pos" "$(stat -c %s "$(journal "$op")")"
	dpl-log -qo "$op" 5
	ask /operation/events "{$o,\"from\":6,\"pos\":$pos}"
	answers 200 '.entries | map(.message) == ["5"]'
	# A place that is none is not trusted.
	ask /operation/events "{$o,\"from\":3,\"pos\":$((pos - 7))}"
	answers 200 '.entries | map(.seq) == [3, 4, 5, 6]'
	ask /operation/events "{$o,\"limit\":2}"
	answers 200 '(.entries | length == 2) and .more and .next == 3'
	ask /operation/events "{$o,\"tail\":2,\"level\":\"warning\",\"logOnly\":true}"
	answers 200 '.entries | map(.message) == ["3", "4"]'
	ask /operation/events "{$o,\"logOnly\":true}"
	answers 200 '.entries | length == 5'
	ask /operation/events "{$o,\"by\":\"you\"}"
	answers 200 '.entries == []'
	ask /operation/events "{$o,\"from\":99,\"waitMs\":50}"
	answers 200 '.entries == []'
	ask /operation/events "{$o,\"waitMs\":-1}"
	fails 400 bad-request
	dpl-complete -qo "$op"
	ask /operation/events "{$o,\"from\":7,\"waitMs\":60000}"
	answers 200 '.ended and (.entries | map(.event) == ["operation.completed", "operation.archived"])'
}

@test "complete, and what follows it in the same batch" {
	operation
	expect 0 dpl-batch <<-END
		{"path":"/call/start","body":{$o,"participantId":"me"}}
		{"path":"/operation/complete","body":{$o,"participantId":"you"}}
		{"path":"/operation/complete","body":{$o,"participantId":"me"}}
		{"path":"/operation/complete","body":{$o,"participantId":"me","cancelPendingCalls":true,"reason":"done"},"key":"c"}
		{"path":"/operation/log","body":{$o,"message":"late"}}
		{"path":"/operation/state","body":{$o}}
		{"path":"/operation/complete","body":{$o,"participantId":"me","cancelPendingCalls":true,"reason":"done"},"key":"c"}
	END
	is "$(jq -c .status out | paste -sd ,)" 200,409,409,200,404,200,200
	is "$(jq -r .body.code out | sed -n '2p;3p;5p' | paste -sd ,)" not-initiator,calls-running,operation-ended
	is "$(sed -n 4p out | jq -c '[.body.state, .body.cancelledCalls]')" '["completed",1]'
	is "$(sed -n 7p out | jq -c '[.body.state, .body.cancelledCalls, .body.replayed]')" '["completed",1,true]'
	is "$(sed -n 6p out | jq -r .body.state)" completed
}

@test "keys: the same answer, and 422 for another request" {
	operation
	body="{$o,\"participantId\":\"me\",\"description\":\"x\"}"
	ask /call/start "$body" k
	first=$(json .body.callId)
	ask /call/start "{\"description\":\"x\",\"participantId\":\"me\",$o}" k
	answers 200 ".replayed and .callId == \"$first\""
	ask /call/start "{$o,\"participantId\":\"me\"}" k
	fails 422 key-reused
	ask /operation/log "{$o,\"message\":\"x\"}" k
	fails 422 key-reused
	is "$(entries "$op" | wc -l)" 2
}

@test "operations that are not there, and ids that are none" {
	operation
	for path in /operation/join /operation/leave /operation/complete /operation/abort /operation/log /operation/state /operation/show \
		/operation/events /call/start /call/end /call/fail /call/list; do
		for id in 20260101T000000.000Z-me-0000000a nope backup keys; do
			echo "{\"path\":\"$path\",\"body\":{\"operationId\":\"$id\",\"participantId\":\"me\",\"message\":\"m\",\"callId\":\"c\"}}"
		done
		for id in '' . .. ../x a/b .new-x -x; do
			echo "{\"path\":\"$path\",\"body\":{\"operationId\":\"$id\",\"participantId\":\"me\",\"message\":\"m\",\"callId\":\"c\"}}"
		done
		echo "{\"path\":\"$path\",\"body\":{}}"
	done >requests
	before=$(sum)
	expect 0 dpl-batch <requests
	is "$(jq .status out | sort -u | paste -sd ,)" 400,404
	is "$(jq -r 'select(.status == 404).body.code' out | sort -u)" operation-not-found
	is "$(sum)" "$before"
}

@test "no ledger: each request says so; create makes it" {
	ask /operation/list
	fails 404 ledger-not-found
	[ ! -e "$ledger" ]
	expect 0 dpl-batch <<-END
		{"path":"/operation/list"}
		{"path":"/operation/create","body":{"participantId":"me"}}
		{"path":"/operation/list"}
	END
	is "$(jq -c .status out | paste -sd ,)" 404,200,200
}

@test "more operations than it keeps open, turn by turn" {
	for i in $(seq 12); do
		ops[i]=$(dpl-create -p "p$i")
	done
	for round in $(seq 10); do
		for i in $(seq 12); do
			echo "{\"path\":\"/operation/log\",\"body\":{\"operationId\":\"${ops[i]}\",\"message\":\"$round\"}}"
		done
	done >requests
	expect 0 dpl-batch <requests
	is "$(grep -c '"status":200' out)" 120
	for i in $(seq 12); do
		is "$(entries "${ops[i]}" | wc -l)" 11
		whole "${ops[i]}"
	done
}

@test "two batches and a command on one operation see each other's changes" {
	operation
	coproc dpl-batch 3>&-
	pid=$COPROC_PID
	background+=("$pid")
	turn() {
		echo "$1" >&"${COPROC[1]}"
		read -r -t 10 line <&"${COPROC[0]}"
	}
	turn "{\"path\":\"/call/start\",\"body\":{$o,\"callId\":\"a\"}}"
	dpl-call end -o "$op" a
	turn "{\"path\":\"/call/end\",\"body\":{$o,\"callId\":\"a\"}}"
	is "$(jq -c '[.status, .body.alreadyEnded]' <<<"$line")" '[200,true]'
	dpl-abort -o "$op" -m seen
	turn "{\"path\":\"/operation/log\",\"body\":{$o,\"message\":\"x\"}}"
	is "$(jq -r .body.abortReason <<<"$line")" seen
	dpl-complete -qo "$op"
	turn "{\"path\":\"/operation/log\",\"body\":{$o,\"message\":\"x\"}}"
	is "$(jq -c '[.status, .body.code]' <<<"$line")" '[404,"operation-ended"]'
	op=$(dpl-create)
	turn "{\"path\":\"/operation/log\",\"body\":{\"operationId\":\"$op\",\"message\":\"x\"}}"
	is "$(jq -c .status <<<"$line")" 200
	whole "$op"
}

@test "a wait whose asker goes is over" {
	op=$(dpl-create)
	for ask in '{"path":"/operation/changes","body":{"after":9007199254740000,"waitMs":3600000}}' \
		'{"path":"/operation/events","body":{"operationId":"'"$op"'","from":100,"waitMs":3600000}}'; do
		mkfifo in out
		in_background bash -c 'exec dpl-batch <in >out'
		batch=$pid
		exec 4>in 5<out
		echo "$ask" >&4
		wait_for "cat /proc/$batch/fdinfo/* 2>/dev/null | grep -q '^inotify wd'"
		exec 4>&- 5<&-
		ended "$batch"
		is "$ask $status" "$ask 0"
		rm in out
	done
}

@test "options" {
	mkdir "$ledger"
	expect 0 dpl-batch -v < <(printf '{"path":"/operation/list"}\n\n{}\n')
	is "$stderr" 'dpl-batch: 2 requests'
	expect 0 dpl-batch -q < <(echo '{"path":"/operation/list"}')
	holds '.status == 200'
	expect 2 dpl-batch x
	refused dpl-batch "'x'"
	expect 2 dpl-batch -o x
	refused dpl-batch "'-o'"
	expect 2 dpl-batch --json
	json_error bad-usage
	expect 9 dpl-batch </
	refused dpl-batch 'standard input'
	expect 9 dpl-batch <&-
	refused dpl-batch 'standard input'
}
