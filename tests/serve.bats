#!/usr/bin/env bats
# dpl-serve: what goes beyond the old protocol, and the server as a process

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	need_built dpl-serve
	fresh_ledger
	python=$(type -P /usr/bin/python3 || type -P python3)
}

teardown() {
	[ -z "${server:-}" ] || kill -TERM "$server" 2>/dev/null || true
	end_background
}

# serve [OPTION ...]: dpl-serve on this ledger; its URL is in $url, its pid in $server.
serve() {
	: >said
	in_background dpl-serve -C "$ledger" -P 0 "$@" >said 2>serve.err
	server=$pid
	wait_for '[ -s said ] || gone "$server"'
	read -r url <said || { cat serve.err && return 1; }
}

# ask PATH [BODY [CURL OPTION ...]]: its answer.
ask() {
	local path=$1 body=${2:-}
	shift $(($# < 2 ? $# : 2))
	curl -sS --max-time 20 ${body:+-d "$body"} "$@" "$url$path"
}

# member NAME: of the JSON object on standard input.
member() {
	jq -r ".$1"
}

# an operation, in $op
create() {
	op=$(ask /operation/create '{"participantId":"me"}' | member operationId)
	[ -d "$ledger/$op" ]
}

# --- what it is asked ---

@test "its answers are what /openapi.json says, which names every path" {
	serve
	"$python" "$BATS_TEST_DIRNAME/tools/schema.py" "$url" >said.wrong || { cat said.wrong && return 1; }
	paths=$(sed -nE 's/^\tVERB\("(\/[a-z\/]+)", verb_.*/\1/p' "$BATS_TEST_DIRNAME/../lib/verb.c"; printf '%s\n' / /health /metrics /openapi.json /status)
	is "$(ask /openapi.json | jq -r '.paths | keys[]')" "$(LC_ALL=C sort <<<"$paths")"
	is "$(ask /openapi.json | member openapi)" 3.1.0
}

@test "an event stream: what is there, what comes, where it was cut off, and the end" {
	serve
	create
	in_background curl -sSN "$url/operation/events?operationId=$op" >stream
	wait_for 'grep -q operation.created stream'
	has "$(<stream)" $'id: 1\nevent: operation.created\ndata: {"seq":1,'
	dpl-log -C "$ledger" -o "$op" $'two lines\nand \e[31mred'
	wait_for 'grep -q "^event: log" stream'
	# Nothing in an entry can look like another event.
	is "$(grep -c '^data:' stream)" 2
	is "$(sed -n 's/^data: //p' stream | tail -n 1 | member message)" $'two lines\nand \e[31mred'
	ask /call/start "{\"operationId\":\"$op\"}" >/dev/null
	wait_for 'grep -q "^event: call.started" stream'
	in_background curl -sSN -H 'Last-Event-ID: 2' "$url/operation/events?operationId=$op&from=1" >later
	second=$pid
	wait_for 'grep -q "^event: call.started" later'
	is "$(grep -c '^id:' later)" 1
	ask /operation/complete "{\"operationId\":\"$op\"}" >/dev/null
	wait_for 'grep -q "^event: end" stream'
	ended "$second"
	is "$status" 0
	is "$(tail -n 3 later)" $'event: end\ndata: {"state":"completed"}'
	is "$(sed -n 's/^id: //p' stream | paste -sd ' ')" "$(seq -s ' ' "$(grep -c '^id:' stream)")"
	# Of what has ended there is all, at once.
	is "$(ask "/operation/events?operationId=$op" | grep -c '^id:')" "$(grep -c '^id:' stream)"
	is "$(ask "/operation/events?operationId=none" | member code)" operation-not-found
}

@test "a stream of what must be acted on, of the log, of one level" {
	serve
	create
	in_background curl -sSN "$url/operation/events?operationId=$op&bell=true" >bell
	in_background curl -sSN "$url/operation/events?operationId=$op&logOnly=true&level=error" >errors
	dpl-log -C "$ledger" -o "$op" one
	dpl-log -C "$ledger" -o "$op" -l error two
	dpl-abort -q -C "$ledger" -o "$op" -m why
	wait_for 'grep -q "^event: abort.set" bell && grep -q "^event: log" errors'
	is "$(grep -c '^id:' bell)" 1
	is "$(grep -c '^id:' errors)" 1
	has "$(<errors)" '"message":"two"'
}

@test "who waits is told when there is something, and when the time is over" {
	serve
	create
	start=${EPOCHREALTIME/[!0-9]/}
	is "$(ask /operation/events "{\"operationId\":\"$op\",\"from\":2,\"waitMs\":300}" | jq -c '[.entries, .next]')" '[[],2]'
	took=$(((${EPOCHREALTIME/[!0-9]/} - start) / 1000))
	[ "$took" -ge 290 ] && [ "$took" -lt 20000 ]
	in_background curl -sS -d "{\"operationId\":\"$op\",\"from\":2,\"waitMs\":60000}" "$url/operation/events" >found
	first=$pid
	in_background curl -sS -d "{\"operationId\":\"$op\",\"from\":2,\"waitMs\":60000,\"bell\":true}" "$url/operation/events" >acted
	second=$pid
	dpl-log -C "$ledger" -o "$op" hello
	ended "$first"
	is "$(jq -r '.entries[0].message' found)" hello
	[ ! -s acted ]
	dpl-abort -q -C "$ledger" -o "$op"
	ended "$second"
	is "$(jq -r '.entries[].event' acted)" abort.set
	next=$(ask /operation/changes '{}' | member next)
	in_background curl -sS -d "{\"after\":$next,\"waitMs\":60000}" "$url/operation/changes" >changed
	first=$pid
	dpl-create -q -C "$ledger" -p other
	ended "$first"
	[ "$(jq '.operations | length' changed)" -ge 1 ]
	is "$(ask /operation/events "{\"operationId\":\"$op\",\"waitMs\":3600001}" | member code)" bad-request
}

@test "who waits and says that it sends no more is answered then, and its connection ends" {
	serve
	create
	cat >waits.py <<-'END'
		import socket, sys, time
		host, port = sys.argv[1][7:].split(":")
		body = b'{"operationId":"%s","from":2,"waitMs":3600000}' % sys.argv[2].encode()
		s = socket.create_connection((host, int(port)))
		s.settimeout(5)
		s.sendall(b"POST /operation/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
		if sys.argv[3] == "later":
		    time.sleep(0.2)
		s.shutdown(socket.SHUT_WR)
		answer = b""
		while True:
		    part = s.recv(65536)
		    if not part:
		        break
		    answer += part
		assert answer.startswith(b"HTTP/1.1 200 ") and b'"entries":[]' in answer, answer
	END
	"$python" waits.py "$url" "$op" later
	"$python" waits.py "$url" "$op" with-it
}

@test "a hundred streams on one operation, and as many that nobody reads" {
	[ -z "${SANITIZED:-}" ] || skip 'slow'
	serve
	create
	for i in {1..100}; do
		in_background curl -sSN "$url/operation/events?operationId=$op" >"stream.$i"
	done
	wait_for '[ "$(cat stream.* | grep -c "^event: operation.created")" = 100 ]'
	"$python" - "$url" "$op" <<-'END' &
		import socket, sys, time
		host, port = sys.argv[1][7:].split(":")
		socks = []
		for _ in range(100):
		    s = socket.create_connection((host, int(port)))
		    s.sendall(b"GET /operation/events?operationId=%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % sys.argv[2].encode())
		    socks.append(s)
		time.sleep(3)
	END
	for i in {1..20}; do
		dpl-log -q -C "$ledger" -o "$op" "$i"
	done
	wait_for '[ "$(cat stream.* | grep -c "^event: log")" = 2000 ]'
	is "$(ask /health | member status)" ok
	wait "$!"
}

@test "what is carried out by children: nobody waits for it who asks for something else" {
	serve
	create
	dpl-temp add -q -C "$ledger" -o "$op" -p me --command 'sleep 6; : >undone' >/dev/null
	in_background curl -sS -d "{\"operationId\":\"$op\"}" "$url/operation/complete" >completed
	completing=$pid
	wait_for 'pgrep -P "$server" >/dev/null'
	start=${EPOCHREALTIME/[!0-9]/}
	create
	[ $((${EPOCHREALTIME/[!0-9]/} - start)) -lt 5000000 ]
	ended "$completing"
	is "$(jq -r '[.success, .state, .leftOver] | join(" ")' completed)" 'true completed 0'
	[ -e undone ]
	# One that is killed, in the midst of it, takes nobody with it.
	dpl-temp add -q -C "$ledger" -o "$op" -p me --command ': >doing; sleep 6' >/dev/null
	in_background curl -sS -d "{\"operationId\":\"$op\"}" "$url/operation/complete" >killed
	wait_for '[ -e doing ]'
	pkill -KILL -P "$server"
	is "$(ask /operation/list '{}' | jq '.operations | length')" 1
}

@test "who beats does not wait for what is removed in other operations" {
	serve
	export DPL_LEDGER=$url
	# More than all that the server has for such work; each lasts as long as the server.
	stale=3
	for ((i = 0; i < 32; i++)); do
		other=$(dpl-create -C "$ledger" -p me)
		dpl-temp add -q -C "$ledger" -o "$other" -p me --command ": >undoing.$i; while kill -0 $server; do sleep 0.1; done" >/dev/null
		others+=("$other")
	done
	# One that has a temp resource, and beats by the server, as a call of it.
	op=$(dpl-create -p me --beat 500ms --jitter 0s --stale ${stale}s)
	dpl-temp make -C "$ledger" -o "$op" -p me "$BATS_TEST_TMPDIR/made.XXXXXX" >/dev/null
	dpl-join -q -o "$op" -p worker
	in_background dpl-call -q -o "$op" -p worker --id part -- sleep 1000
	part=$pid
	wait_for '[ "$(count '\''.event == "call.started"'\'')" = 1 ]'
	for other in "${others[@]}"; do
		in_background curl -sS -d "{\"operationId\":\"$other\"}" "$url/operation/complete" >>completed
	done
	wait_for '[ "$(find . -name "undoing.*" | wc -l)" -ge 12 ]'
	sleep $((stale + 2))
	# A client of the old protocol hears at once how things are.
	is "$(ask /operation/heartbeat "{\"operationId\":\"$op\"}" --max-time 5 | member state)" running
	expect 0 dpl-cleanup -q -C "$ledger" -o "$op"
	is "$(count '.event == "crash.detected"') $(count '.event == "call.crashed"')" '0 0'
	kill -TERM "$part"
}

@test "supervisors that more coordinators wait for than the server has children for that do answer" {
	serve
	coordinating=()
	for ((i = 0; i < 16; i++)); do
		op=$(dpl-create -C "$ledger" --window 60s --beat 500ms --jitter 0s --stale 60s)
		ops+=("$op")
		in_background dpl-call -q -C "$url" -o "$op" --id part --grace 60s -- bash -c '
			trap "while [ ! -e go ] && kill -0 $1; do sleep 0.05; done; exit 1" TERM
			: >"$0"; while kill -0 "$1"; do sleep 0.05; done' "up.$i" "$server"
		in_background dpl-call -q -C "$ledger" -o "$op" --id dies -- sleep 1000
		dies+=("$pid")
	done
	wait_for '[ "$(find . -name "up.*" | wc -l)" = 16 ] && [ "$(cat "$ledger"/*/journal.jsonl | grep -c "\"event\":\"call.started\"")" = 32 ]'
	kill -KILL "${dies[@]}"
	for pid in "${dies[@]}"; do
		ended "$pid"
	done
	for op in "${ops[@]}"; do
		in_background dpl-cleanup -q -C "$url" -t 120s "$op"
		coordinating+=("$pid")
	done
	# So many as the server lets wait: each for a call that ends when all of them do.
	wait_for '[ "$(cat "$ledger"/*/journal.jsonl | grep -c "\"event\":\"cleanup.started\"")" -ge 12 ]'
	: >go
	for pid in "${coordinating[@]}"; do
		ended "$pid"
		is "$status" 0
	done
	for op in "${ops[@]}"; do
		is "$(count '.event == "call.crashed" and .callId == "part"') $(count '.event == "call.crashed" and .callId == "dies"')" '0 1'
		is "$(count '.event == "operation.failed"')" 1
	done
}

@test "who waits for a child of the server is alive as it comes" {
	# Children that take requests, and answer none.
	mkdir bin
	cp "$BUILD/bin/dpl-serve" bin
	printf '#!/bin/sh\nexec sleep 1000\n' >bin/dpl-batch
	chmod +x bin/dpl-batch
	: >said
	in_background bin/dpl-serve -C "$ledger" -P 0 >said 2>serve.err
	server=$pid
	wait_for '[ -s said ]'
	read -r url <said
	op=$(dpl-create -C "$ledger" --window 600s --beat 200ms --jitter 0s --stale 600s)
	lasting='trap "" TERM; : >$0; while kill -0 $1 2>/dev/null; do sleep 0.1; done'
	in_background dpl-call -q -C "$url" -o "$op" --id part --grace 600s -- bash -c "$lasting" up "$server"
	part=$pid
	in_background dpl-call -q -C "$ledger" -o "$op" --id dies -- bash -c "$lasting" there "$server"
	dying=$pid
	wait_for '[ -e up ] && [ -e there ]'
	beaten() {
		stat -c '%.9Y' "$ledger/$op/beats/c-part"
	}
	# From a death on its beats are for children, for there may be much to do.
	kill -KILL "$dying"
	ended "$dying"
	expect 1 dpl-cleanup -q -C "$ledger" -t 0 "$op"
	wait_for 'pgrep -P "$server" >/dev/null'
	last=$(beaten)
	wait_for '[ "$(beaten)" != "$last" ]'
	# And so is who has it ended.
	kill -STOP "$part"
	wait_for 'grep -q "^State:.T" "/proc/$part/status"'
	# shellcheck disable=SC2034 # read in wait_for
	last=$(beaten)
	in_background curl -sS -d "{\"operationId\":\"$op\",\"callId\":\"part\"}" "$url/call/fail"
	wait_for '[ "$(beaten)" != "$last" ]'
	kill -KILL "$part"
	pkill -KILL -P "$server"
}

@test "one who is stopped in the middle of a change keeps the others waiting for that operation only" {
	serve
	create
	victim=$op
	create
	in_background flock "$ledger/$victim/journal.jsonl" sleep 6
	wait_for '! flock -n "$ledger/$victim/journal.jsonl" true'
	in_background curl -sS -d "{\"operationId\":\"$victim\",\"message\":\"x\"}" "$url/operation/log" >late
	late=$pid
	start=${EPOCHREALTIME/[!0-9]/}
	is "$(ask /operation/log "{\"operationId\":\"$op\",\"message\":\"x\"}" | member success)" true
	[ $((${EPOCHREALTIME/[!0-9]/} - start)) -lt 5000000 ]
	ended "$late"
	is "$(member success <late)" true
}

@test "32 clients, and a server that is killed again and again: nothing acknowledged is lost, nothing is done twice" {
	expect 0 env DPL_SYNC=on "$python" "$BATS_TEST_DIRNAME/tools/storm.py" "$ledger" 32 "${STORM_CALLS:-100}" "${STORM_KILLS:-4}" || { cat out && return 1; }
	echo "# $output" >&3
}

@test "by TCP nothing is run, removed or signalled on the server's machine; by the unix socket it is" {
	serve --unix ./socket
	wait_for 'grep -q http said'
	url=$(grep http said)
	create
	refused() { # PATH BODY: by TCP
		is "$(ask "$1" "$2" -o answer -w "%{http_code}")" 403 || { cat answer && return 1; }
		is "$(jq -r '"\(.code) \(.error)"' answer | grep -c "^permission-denied .*server's own machine")" 1
	}
	mine() { # PATH BODY: by the socket
		is "$(curl -sS --unix-socket socket -d "$2" "http://localhost$1" -o answer -w '%{http_code}')" 200 || { cat answer && return 1; }
	}
	boot=$(</proc/sys/kernel/random/boot_id) machine=$(</etc/machine-id)
	other=00000000-1111-2222-3333-444444444444
	for where in '' ",\"machineId\":\"$machine\",\"bootId\":\"$other\"" ",\"machineId\":\"${other//-/}\",\"bootId\":\"$boot\"" ",\"machineId\":\"\""; do
		refused /temp/add "{\"operationId\":\"$op\",\"kind\":\"command\",\"command\":\": >ran\",\"folder\":\"$PWD\"$where}"
		refused /temp/add "{\"operationId\":\"$op\",\"kind\":\"path\",\"path\":\"$PWD/kept\"$where}"
		refused /call/start "{\"operationId\":\"$op\",\"fallbackCommand\":\": >ran\",\"folder\":\"$PWD\"$where}"
	done
	in_background dpl-call -C "$ledger" -o "$op" -p me --id c -- sleep 60
	supervisor=$pid
	wait_for 'dpl-call list -C "$ledger" -o "$op" | grep -qw c'
	refused /call/kill "{\"operationId\":\"$op\",\"callId\":\"c\"}"
	refused /call/kill "{\"operationId\":\"$op\",\"callId\":\"c\",\"machineId\":\"${other//-/}\",\"bootId\":\"$other\"}"
	is "$(ask /temp/list "{\"operationId\":\"$op\"}" | jq -c .resources)" '[]'
	is "$(ask /temp/add "{\"operationId\":\"$op\",\"kind\":\"command\",\"command\":\"true\",\"folder\":\"/\",\"machineId\":\"${other//-/}\",\"bootId\":\"$other\"}" | member resourceId)" 1
	: >kept
	run ! gone "$supervisor"
	mine /temp/add "{\"operationId\":\"$op\",\"kind\":\"command\",\"command\":\": >ran\",\"folder\":\"$PWD\"}"
	mine /call/kill "{\"operationId\":\"$op\",\"callId\":\"c\"}"
	ended "$supervisor"
	is "$status" 143
	[ ! -e ran ]
	ask /operation/complete "{\"operationId\":\"$op\"}" >/dev/null
	[ -e ran ]
	[ -e kept ]
}

# --- who is alive ---

@test "an old client that stops beating is dead after staleMs; one that never beat is not" {
	serve
	op=$(ask /operation/create '{"participantId":"me","beatMs":300,"jitterMs":0,"staleMs":700}' | member operationId)
	ask /operation/join "{\"operationId\":\"$op\",\"participantId\":\"quiet\"}" >/dev/null
	sleep 1
	is "$(dpl-show -j -C "$ledger" "$op" | jq -r '[.participants[].liveness] | unique | join(" ")')" alive
	is "$(ask /operation/heartbeat "{\"operationId\":\"$op\"}" | member isStale)" false
	is "$(dpl-show -j -C "$ledger" "$op" | jq -r '[.participants[].mode] | unique | join(" ")')" remote
	wait_for '[ "$(dpl-show -j -C "$ledger" "$op" | jq -r "[.participants[].liveness] | unique | join(\" \")")" = stale ]'
	dpl-cleanup -q -C "$ledger" "$op"
	is "$(dpl-show -j -C "$ledger" "$op" | member state)" failed
}

@test "nobody is dead for the time in which there was no server, or it was stopped" {
	serve -P 0
	port=${url##*:}
	op=$(ask /operation/create '{"participantId":"me","beatMs":300,"jitterMs":0,"staleMs":1500}' | member operationId)
	ask /operation/heartbeat "{\"operationId\":\"$op\"}" >/dev/null
	kill -KILL "$server"
	wait_for 'gone "$server"'
	sleep 2
	is "$(dpl-show -j -C "$ledger" "$op" | jq -r '.participants[].liveness')" suspect
	expect 0 dpl-cleanup -C "$ledger" "$op"
	is "$(dpl-show -j -C "$ledger" "$op" | member state)" running
	serve -P "$port"
	is "$(dpl-show -j -C "$ledger" "$op" | jq -r '.participants[].liveness')" alive
	is "$(ask /operation/heartbeat "{\"operationId\":\"$op\"}" | member state)" running
	kill -STOP "$server"
	sleep 2
	is "$(dpl-show -j -C "$ledger" "$op" | jq -r '.participants[].liveness')" suspect
	kill -CONT "$server"
	is "$(ask /operation/heartbeat "{\"operationId\":\"$op\"}" | member state)" running
}

@test "--sweep: what died is cleaned up without anybody who asks" {
	serve --sweep 300ms
	op=$(ask /operation/create '{"participantId":"me","beatMs":100,"jitterMs":0,"staleMs":300}' | member operationId)
	ask /operation/heartbeat "{\"operationId\":\"$op\"}" >/dev/null
	wait_for '[ -d "$ledger/backup/$op" ]'
	is "$(ask /operation/show "{\"operationId\":\"$op\"}" | member state)" failed
}

# undoing OPERATION: what is to be undone in it waits for the file `go`, and says when it begins and when it is done.
undoing() {
	dpl-temp add -q -C "$ledger" -o "$1" -p me --command 'echo begun >>begun; until [ -e go ]; do sleep 0.05; done; echo undone >>undone' >/dev/null
}

@test "it stops within its ten seconds while a sweep undoes something, which is done once; nobody is dead for that time" {
	serve --sweep 300ms
	op=$(ask /operation/create '{"participantId":"me","beatMs":100,"jitterMs":0,"staleMs":300}' | member operationId)
	undoing "$op"
	ask /operation/heartbeat "{\"operationId\":\"$op\"}" >/dev/null
	wait_for '[ -s begun ]'
	living=$(ask /operation/create '{"participantId":"me","beatMs":300,"jitterMs":0,"staleMs":4000}' | member operationId)
	ask /operation/heartbeat "{\"operationId\":\"$living\"}" >/dev/null
	kill -TERM "$server"
	life() {
		dpl-show -j -C "$ledger" "$living" | jq -r '.participants[].liveness'
	}
	wait_for '[ "$(life)" != alive ]'
	is "$(life)" suspect
	ended "$server"
	is "$status" 0
	[ ! -e undone ]
	: >go
	wait_for '[ -d "$ledger/backup/$op" ]'
	is "$(cat begun undone)" $'begun\nundone'
}

@test "a second signal ends it at once, and what a child undoes then is done once all the same" {
	serve
	create
	undoing "$op"
	in_background curl -sS -d "{\"operationId\":\"$op\"}" "$url/operation/complete" >/dev/null 2>&1
	wait_for '[ -s begun ]'
	kill -TERM "$server"
	wait_for '! curl -s "$url/health" >/dev/null'
	start=${EPOCHREALTIME/[!0-9]/}
	kill -TERM "$server"
	ended "$server"
	[ $((${EPOCHREALTIME/[!0-9]/} - start)) -lt 5000000 ]
	is "$status" 0
	[ ! -e undone ]
	: >go
	wait_for '[ -d "$ledger/backup/$op" ]'
	is "$(cat begun undone)" $'begun\nundone'
}

@test "a child that does not answer keeps nobody waiting when it is sent home" {
	serve
	create
	ask /operation/list '{}' >/dev/null
	child=$(pgrep -P "$server")
	background+=("$child")
	kill -STOP "$child"
	kill -TERM "$server"
	wait_for 'gone "$server"'
	ended "$server"
	is "$status" 0
}

# --- ways to it ---

@test "the ledger auto: DPL_SERVER, else the server of this machine, which gets no token, else the folder" {
	serve
	create
	expect 0 env -u DPL_LEDGER DPL_SERVER="$url" dpl-show -q -C auto
	is "$output" "$op"
	unshare -rn ip link set lo up 2>/dev/null || skip 'no network namespace to be had'
	mkdir -p here/_ai other
	cd here
	mkdir _ai/operation_ledger
	(umask 077 && echo aaaaaaaaaaaaaaaaaaaaaaaa >token)
	cat >inside <<-'END'
		ip link set lo up
		unset DPL_LEDGER
		dpl-create -q -C auto -p folder
		dpl-show -C auto --json | jq -r '.operations[].initiatorId'
		"$1" - <<-'PYTHON' &
			import http.server, sys
			class Other(http.server.BaseHTTPRequestHandler):
			    def do_GET(self):
			        print(self.headers, file=open("headers", "a"))
			        self.send_response(200)
			        self.end_headers()
			        self.wfile.write(b"hello")
			    do_POST = do_GET
			server = http.server.HTTPServer(("127.0.0.1", 19880), Other)
			for _ in range(2):
			    server.handle_request()
		PYTHON
		other=$!
		until [ "$(ss -Htln sport = :19880)" ]; do sleep 0.05; done
		DPL_TOKEN_FILE=$PWD/token dpl-show -C auto --json | jq -r '.operations[].initiatorId'
		dpl-show -C auto --json | jq -r '.operations[].initiatorId'
		wait "$other"
		dpl-serve -q -C "$PWD/../other" >served &
		server=$!
		until curl -s http://127.0.0.1:19880/health >/dev/null; do sleep 0.05; done
		dpl-create -q -C auto -p served
		dpl-show -C auto --json | jq -r '.operations[].initiatorId'
		kill "$server"
	END
	unshare -rn bash inside "$python" >said 2>err || { cat err && return 1; }
	is "$(paste -sd ' ' said)" 'folder folder folder served'
	lacks "$(<headers)" aaaaaaaa
	lacks "$(<headers)" uthorization
}

@test "a token: from the file, read anew at SIGHUP; in no line of the log" {
	(umask 077 && echo aaaaaaaaaaaaaaaaaaaaaaaa >token)
	serve --token-file token -v
	is "$(ask /status | member service)" tom_dist_ledger
	is "$(ask /operation/list '{}' -o answer -w '%{http_code}')" 401
	is "$(member code <answer)" unauthorized
	is "$(ask /operation/list '{}' -H 'Authorization: Bearer aaaaaaaaaaaaaaaaaaaaaaaa' -o answer -w '%{http_code}')" 200
	is "$(ask /operation/list '{}' -H 'X-Auth-Token: aaaaaaaaaaaaaaaaaaaaaaaa' -o answer -w '%{http_code}')" 200
	echo bbbbbbbbbbbbbbbbbbbbbbbb >token
	kill -HUP "$server"
	wait_for '[ "$(ask /operation/list "{}" -H "Authorization: Bearer bbbbbbbbbbbbbbbbbbbbbbbb" -o answer -w "%{http_code}")" = 200 ]'
	is "$(ask /operation/list '{}' -H 'Authorization: Bearer aaaaaaaaaaaaaaaaaaaaaaaa' -o answer -w '%{http_code}')" 401
	echo short >token
	kill -HUP "$server"
	wait_for 'grep -q "stays what it was" serve.err'
	is "$(ask /operation/list '{}' -H 'Authorization: Bearer bbbbbbbbbbbbbbbbbbbbbbbb' -o answer -w '%{http_code}')" 200
	[ "$(grep -c '"status"' serve.err)" -ge 7 ]
	run ! grep -E 'aaaaaaaa|bbbbbbbb' serve.err
}

@test "any name is taken with --allow-host '*', but a page that has got itself one is not ours" {
	(umask 077 && echo 0123456789abcdef >token)
	expect 2 dpl-serve -C "$ledger" -P 0 --allow-host '*'
	has "$stderr" --token-file
	serve --allow-host '*' --token-file token
	op=$(dpl-create -p boss)
	page() {
		curl -sS -o answer -w '%{http_code}' -H "Host: $1" -H "Origin: http://$1" -H 'X-Auth-Token: 0123456789abcdef' -H 'Sec-Fetch-Site: same-origin' -H 'Content-Type: application/json' \
			"$url/operation/abort" -d "{\"operationId\":\"$op\"}"
	}
	is "$(page evil.example)" 403
	is "$(page "evil.example:${url##*:}")" 403
	run ! dpl-abort -q --check -o "$op"
	is "$(curl -sS -o answer -w '%{http_code}' -H 'Host: evil.example' "$url/")" 200
	is "$(page "localhost:${url##*:}")" 200
	dpl-abort -q --check -o "$op"
}

@test "TLS: the certificate, its change at SIGHUP, and certificates of clients" {
	command -v openssl >/dev/null || skip 'no openssl(1)'
	certificate() { # NAME: a key and a certificate for localhost
		openssl req -x509 -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.pem" -days 2 -subj "/CN=$1" -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' 2>/dev/null
	}
	certificate one
	certificate two
	certificate client
	cp one.pem cert.pem
	cp one.key key.pem
	serve --tls-cert cert.pem --tls-key key.pem
	has "$url" https://127.0.0.1:
	is "$(ask /health '' --cacert one.pem | member status)" ok
	run ! ask /health '' --cacert two.pem
	# A request of many records, and an answer of many.
	op=$(ask /operation/create '{"participantId":"me"}' --cacert one.pem | member operationId)
	long=$(printf '%060000d' 0)
	is "$(ask /operation/log "{\"operationId\":\"$op\",\"message\":\"$long\"}" --cacert one.pem | member success)" true
	is "$(ask /operation/events "{\"operationId\":\"$op\"}" --cacert one.pem | jq -r '.entries[1].message' | wc -c)" 60001
	cp two.pem cert.pem
	cp two.key key.pem
	kill -HUP "$server"
	wait_for 'ask /health "" --cacert two.pem >/dev/null 2>&1'
	# No HTTP, and what is no TLS.
	run ! curl -sS --max-time 5 "http://${url#https://}/health" 2>/dev/null
	kill "$server"
	ended "$server"
	serve --tls-cert cert.pem --tls-key key.pem --tls-client-ca client.pem
	run ! ask /health '' --cacert two.pem
	is "$(ask /health '' --cacert two.pem --cert client.pem --key client.key | member status)" ok
	expect 2 dpl-serve -C "$ledger" -P 0 --tls-cert cert.pem --tls-key one.key
	expect 2 dpl-serve -C "$ledger" -P 0 --tls-cert none.pem --tls-key one.key
	expect 2 dpl-serve -C "$ledger" -P 0 --tls-cert cert.pem
}

@test "a unix socket: its owner's, taken over from a dead server, not from a living one" {
	: >said
	in_background dpl-serve -C "$ledger" --unix ./socket >said 2>serve.err
	server=$pid
	wait_for '[ -s said ]'
	is "$(<said)" unix:./socket
	is "$(stat -c %a socket)" 600
	is "$(curl -sS --unix-socket socket http://any.name/health | member status)" ok
	expect 7 dpl-serve -C "$ledger" --unix ./socket
	kill -KILL "$server"
	wait_for 'gone "$server"'
	[ -S socket ]
	: >said
	in_background dpl-serve -C "$ledger" --unix ./socket >said 2>serve.err
	server=$pid
	wait_for '[ -s said ]'
	is "$(curl -sS --unix-socket socket http://localhost/health | member status)" ok
	kill "$server"
	ended "$server"
	is "$status" 0
	[ ! -e socket ]
	server=
	echo mine >file
	expect 2 dpl-serve -C "$ledger" --unix ./file
	is "$(<file)" mine
}

@test "sockets from systemd, and what it is told" {
	"$python" - "$ledger" >said <<-'END'
		import os, signal, socket, subprocess, sys, time, urllib.request
		tell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		tell.bind("notify")
		tell.settimeout(10)
		s = socket.socket()
		s.bind(("127.0.0.1", 0))
		s.listen()
		def child():
		    os.dup2(s.fileno(), 3)
		    os.set_inheritable(3, True)
		    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), NOTIFY_SOCKET=os.path.abspath("notify"))
		    os.execvp("dpl-serve", ["dpl-serve", "-C", sys.argv[1]])
		pid = os.fork()
		if pid == 0:
		    child()
		print(tell.recv(100).decode())
		print(urllib.request.urlopen("http://127.0.0.1:%d/health" % s.getsockname()[1]).read().decode())
		os.kill(pid, signal.SIGTERM)
		print(tell.recv(100).decode())
		print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	END
	has "$(<said)" READY=1 '{"status":"ok"}' STOPPING=1
	is "$(tail -n 1 said)" 0
}

@test "a server that is killed while it starts a child: the next one has its port and its socket all the same" {
	local place
	strace -qq -o /dev/null true 2>/dev/null || skip 'no strace here'
	[ -z "${SANITIZED:-}" ] || skip 'strace and the sanitizers'
	for place in port socket; do
		# Its child has all that it has, until it has become dpl-batch: that takes most of a second here.
		: >said
		in_background strace -D -f -qq -o /dev/null -P "$(command -v dpl-batch)" -e trace=execve -e inject=execve:delay_enter=700000 \
			dpl-serve -C "$ledger" -P 0 --unix socket >said
		server=$pid
		wait_for 'grep -q ^http said'
		url=$(grep ^http said)
		create
		made=$(dpl-temp make -C "$ledger" -o "$op" -p me "$BATS_TEST_TMPDIR/made.XXXXXX")
		in_background ask /operation/complete "{\"operationId\":\"$op\"}" 2>cut.off
		wait_for 'pgrep -P "$server" >child'
		kill -KILL "$server"
		ended "$server"
		if [ "$place" = port ]; then
			before=$url
			serve -P "${url##*:}"
		else
			before=unix:socket
			serve --unix socket
			url=unix:$PWD/socket
		fi
		has "$(<said)" "$before"
		dpl-complete -q -C "$url" -o "$op" -p me
		is "$(dpl-show -j -C "$url" "$op" | member state)" completed
		[ ! -e "$made" ]
		kill "$server"
		ended "$server"
	done
}

@test "what cannot be: a port in use, an address that lets all in, a ledger that is a URL, options that do not go together" {
	serve
	expect 7 dpl-serve -C "$ledger" -P "${url##*:}"
	has "$stderr" 'in use'
	expect 2 dpl-serve -C "$ledger" -P 0 -l 0.0.0.0
	has "$stderr" --token-file --insecure
	expect 2 dpl-serve -C http://localhost:1 -P 0
	expect 2 dpl-serve -C "$ledger" -P 65536
	expect 2 dpl-serve -C "$ledger" -P 0 -l no.such.name.invalid
	expect 2 dpl-serve -C "$ledger" -P 0 operand
	: >file
	expect 9 dpl-serve -C file -P 0
}

@test "what it counts" {
	export DPL_SYNC=on
	serve
	create
	ask /nope >/dev/null
	ask /metrics >metrics
	is "$(tail -n 1 metrics)" '# EOF'
	is "$(sed -n 's/^dpl_requests_total{status="4xx"} //p' metrics)" 1
	[ "$(sed -n 's/^dpl_flushes_total //p' metrics)" -ge 1 ]
	# What is counted ends in _total, and each family is named once.
	is "$(grep '^# TYPE' metrics | awk '{ print $3 }' | sort | uniq -d)" ''
	[ "$(grep -c '^# TYPE .* counter$' metrics)" -ge 5 ]
}

# at_once FILE: start a call in each operation of $ops, all at the same time; the answers go to FILE.N
at_once() {
	local i pids=()
	for i in "${!ops[@]}"; do
		curl -sS --max-time 20 -d "{\"operationId\":\"${ops[i]}\"}" "$url/call/start" >"$1.$i" 3>&- &
		pids+=("$!")
	done
	wait "${pids[@]}"
}

# slowly_served EXPRESSION: serve, with strace's injection into fdatasync
slowly_served() {
	: >said
	in_background strace -D -f -qq -o trace -e trace=fdatasync -e inject="fdatasync:$1" dpl-serve -C "$ledger" -P 0 >said 2>serve.err
	server=$pid
	wait_for '[ -s said ] || gone "$server"'
	read -r url <said || { cat serve.err && return 1; }
}

@test "changes of many operations are flushed at the same time; where that fails, none is acknowledged" {
	local i ops=()
	for i in 1 2 3 4 5 6 7 8; do
		ops+=("$(dpl-create)")
	done
	export DPL_SYNC=on
	# While the first is flushed the others come, and are flushed together.
	slowly_served delay_enter=500000
	at_once answer
	is "$(cat answer.* | jq -r 'has("callId")' | sort | uniq -c | xargs)" '8 true'
	is "$(grep -c 'fdatasync.*= 0' trace)" 8
	[ "$(awk '{ print $1 }' trace | sort -u | wc -l)" -gt 1 ]
	kill -TERM "$server"
	wait_for 'gone "$server"'
	slowly_served error=EIO:delay_enter=500000
	at_once answer
	is "$(cat answer.* | jq -r .code | sort | uniq -c | xargs)" '8 not-durable'
	[ "$(awk '{ print $1 }' trace | sort -u | wc -l)" -gt 1 ]
	# Not on that descriptor, ever again.
	at_once answer
	is "$(cat answer.* | jq -r .code | sort | uniq -c | xargs)" '8 not-durable'
}

@test "an idle server sleeps" {
	serve
	create
	curl -sSN "$url/operation/events?operationId=$op" >stream 2>/dev/null 3>&- &
	wait_for '[ -s stream ]'
	before=$(awk '{ print $14 + $15 }' "/proc/$server/stat")
	switches=$(awk '/^voluntary/ { print $2 }' "/proc/$server/status")
	sleep 3
	[ $(($(awk '{ print $14 + $15 }' "/proc/$server/stat") - before)) -le 1 ]
	[ $(($(awk '/^voluntary/ { print $2 }' "/proc/$server/status") - switches)) -le 6 ]
	kill "$!"
}

# --- the commands ---

# behind: the commands work against this server.
behind() {
	serve
	export DPL_LEDGER=$url
	port=${url##*:}
}

@test "a supervisor goes on without its server, and with it when it is there again; or stops" {
	behind
	op=$(dpl-create --beat 200ms --jitter 0s --stale "$(silence)")
	export DPL_OPERATION=$op
	in_background dpl-call --id stays -- sh -c ': >ready; until [ -e go ]; do sleep 0.05; done' 2>err
	stays=$pid
	in_background dpl-call --id stops --on-lost stop -- sleep 60 2>stopped
	stops=$pid
	wait_for '[ -e ready ] && [ "$(dpl-call list -q | wc -l)" = 2 ]'
	kill -KILL "$server"
	wait_for 'gone "$server"'
	ended "$stops"
	is "$status" 123
	has "$(<stopped)" 'could not be reached'
	has "$(<err)" 'the command goes on'
	is "$(dpl-show -j -C "$ledger" "$op" | member state)" running
	serve -P "$port"
	wait_for 'grep -q "is there again" err'
	: >go
	ended "$stays"
	is "$status" 0
	is "$(dpl-call list -a -j | jq -r '.calls[] | select(.callId == "stays") | .state')" ended
}

@test "a supervisor is killed: its call has crashed when its beats have stayed away; an abort reaches one at once" {
	behind
	op=$(dpl-create --beat 200ms --jitter 0s --stale "$(silence)")
	export DPL_OPERATION=$op
	in_background dpl-call --id killed -- sleep 60
	killed=$pid
	in_background dpl-call --id told -- sleep 60
	told=$pid
	wait_for '[ "$(dpl-call list -j | jq "[.calls[] | select(.liveness == \"alive\" and .mode == \"remote\")] | length")" = 2 ]'
	kill -KILL "$killed"
	ended "$told"
	is "$status" 123
	is "$(jq -r 'select(.event == "crash.detected") | .callId' <(journal_text "$op"))" killed
	op=$(dpl-create)
	DPL_OPERATION=$op
	in_background dpl-call -- sh -c ': >running; exec sleep 60'
	wait_for '[ -e running ]'
	wait_for '[ "$(pgrep -c -P "$pid" dpl-remote-http)" = 2 ]' # the second one listens
	start=${EPOCHREALTIME/[!0-9]/}
	dpl-abort -q
	ended "$pid"
	is "$status" 122
	[ $((${EPOCHREALTIME/[!0-9]/} - start)) -lt 5000000 ]
}

@test "a keeper by a server: one a name, a lease again when it goes, a death when it is killed" {
	behind
	op=$(dpl-create --beat 200ms --jitter 0s --stale "$(silence)")
	export DPL_OPERATION=$op
	in_background sleep 60
	kept=$pid
	dpl-join -q -p w
	keeper=$(dpl-beat --keep --pid "$kept" -p w)
	is "$(dpl-show -j | jq -r '.participants[] | select(.participantId == "w") | .mode + " " + .liveness')" 'remote alive'
	expect 6 dpl-beat --keep --pid "$kept" -p w
	has "$stderr" "held in $op by pid $keeper"
	kill -TERM "$keeper"
	wait_for '[ "$(dpl-show -j | jq -r ".participants[] | select(.participantId == \"w\") | .mode")" = leased ]'
	keeper=$(dpl-beat --keep --pid "$kept" -p w)
	kill -KILL "$keeper" "$kept"
	wait_for '[ "$(dpl-show -j | jq -r ".participants[] | select(.participantId == \"w\") | .liveness")" = stale ]'
	expect 5 dpl-beat -v
}
