#!/usr/bin/env bats
# dpl-remote-http: ledgers that a server has, asked against canned answers and against a real ledger

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	need_built dpl-remote-http
	command -v python3 >/dev/null || skip 'no python3'
	unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY no_proxy NO_PROXY
	export DPL_RETRY_MS=10
}

# behave LINE ...: what the server does with one request after the other.
behave() {
	printf '%s\n' "$@" >script
	rm -f log
	: >log
}

# serve [OPTION ...]: start the server; $port is where, $url how to ask it.
serve() {
	rm -f port
	in_background "$root/tests/tools/answer.py" "$@" script log >port
	server=$pid
	wait_for '[ -s port ]'
	port=$(<port)
	url=http://127.0.0.1:$port
}

# stop: end the server.
stop() {
	kill "$server"
	ended "$server"
}

# asking [OPTION ...] URL: the helper, with the requests from the file asked.
asking() {
	dpl-remote-http "$@" <asked
}

# ask PATH [BODY [KEY]]: a request.
ask() {
	jq -cn --arg path "$1" --argjson body "${2:-null}" --arg key "${3:-}" '{path: $path, body: $body} + if $key == "" then {} else {key: $key} end'
}

# requests: how many came.
requests() {
	wc -l <log
}

list='{"status":200,"body":{"operations":[]}}'

# --- requests and replies ---

@test "a request is a POST with a body, its answer a line" {
	behave '{"body":{"a":1}}' '{"body":{"b":[2,"x"]}}' '{"status":409,"body":{"error":"no","code":"call-ended","more":1}}'
	serve
	{ ask /operation/show '{"operationId":"é","x":null}' && ask /operation/list && ask /call/end '{"callId":"c"}'; } >asked
	expect 0 asking "$url"
	is "$output" '{"status":200,"body":{"a": 1}}
{"status":200,"body":{"b": [2, "x"]}}
{"status":409,"body":{"error": "no", "code": "call-ended", "more": 1}}'
	is "$stderr" ''
	is "$(jq -r '.method + " " + .path + " " + .body' log)" 'POST /operation/show {"operationId":"é","x":null}
POST /operation/list {}
POST /call/end {"callId":"c"}'
	is "$(jq -s -c 'map(.headers["content-type"]) | unique' log)" '["application/json"]'
	is "$(jq -s -c 'map(.headers | has("expect") or has("authorization") or has("transfer-encoding")) | unique' log)" '[false]'
	is "$(jq -s -c 'map(.headers | has("idempotency-key"))' log)" '[false,false,true]'
	has "$(jq -r '.headers["user-agent"]' log)" dpl-remote-http/
}

@test "one connection for many requests; another where the server has closed it" {
	behave "$list"
	serve
	for _ in {1..50}; do ask /operation/list; done >asked
	expect 0 asking "$url"
	is "$(grep -c '"status":200' out)" 50
	is "$(jq -s 'map(.connection) | max' log)" 1
	behave '{"do":"last"}' '{"headers":{"Connection":"close"},"do":"last"}' "$list"
	stop
	serve
	expect 0 asking "$url"
	is "$(grep -c '"status":200' out)" 50
	is "$(requests)" 50
	is "$(jq -s 'map(.connection) | max' log)" 3
}

@test "a prefix, the port of http, a proxy of the environment, and none for this machine" {
	behave "$list"
	serve
	ask /operation/list >asked
	expect 0 asking "$url/a/b/"
	is "$(tail -n 1 log | jq -r .path)" /a/b/operation/list
	export http_proxy=$url
	expect 0 asking http://ledger.invalid
	is "$(tail -n 1 log | jq -r .path)" http://ledger.invalid:19880/operation/list
	expect 0 asking http://ledger.invalid:81/x
	is "$(tail -n 1 log | jq -r .path)" http://ledger.invalid:81/x/operation/list
	expect 0 asking "http://localhost:$port"
	is "$(tail -n 1 log | jq -r .path)" /operation/list
	no_proxy=ledger.invalid expect 0 asking --no-retry http://ledger.invalid
	is "$(json .body.code)" unreachable
}

@test "big bodies, big answers, chunked answers, answers of several lines" {
	behave '{"pad":10000000}' '{"pad":10000000,"chunked":70000}' '{"body":"{\n\r \"a\" :\r\n[1,\n\"\\n\"]}\n","chunked":1}' "$list"
	serve
	{ ask /operation/events && ask /operation/events && ask /operation/list; } >asked
	head -c 3000000 /dev/zero | tr '\0' x >text
	jq -cn --rawfile text text '{path: "/operation/log", body: {message: $text}}' >>asked
	expect 0 asking "$url"
	is "$(wc -l <out)" 4
	is "$(head -n 2 out | jq -c '[.status, (.body.text | length)]' | paste -sd ' ')" '[200,10000000] [200,10000000]'
	is "$(sed -n 3p out | jq -c .body)" '{"a":[1,"\n"]}'
	is "$(tail -n 1 log | jq -r '.body | fromjson.message | length')" 3000000
	is "$(jq -s -c '[last | .headers | has("expect"), (.["content-length"] | tonumber > 3000000)]' log)" '[false,true]'
}

@test "lines that are no requests are answered, and the next one is carried out" {
	behave "$list"
	serve
	printf '%s\n' rubbish '[]' '{}' '{"path":7}' '{"path":"/x","body":[]}' '{"path":"/x","key":7}' '{"path":"/x","key":"a\r\nX: y"}' '{"path":"/x","path":"/y"}' \
		'' '  ' '{"path":"x"}' '{"path":"/a b"}' '{"path":"/a/../b"}' '{"path":"/a?b"}' '{"path":"/%2e"}' '{"path":"@host/"}' $'\xff' >asked
	{
		head -c 70000000 /dev/zero | tr '\0' ' '
		echo '{}'
		ask /operation/list | tr -d '\n'
	} >>asked
	expect 0 asking "$url"
	is "$(jq -s -c 'map(.status) | .[:-2]' out)" '[400,400,400,400,400,400,400,400,404,404,404,404,404,404,400]'
	is "$(tail -n 2 out | jq -c '[.status, .body.code]' | paste -sd ' ')" '[413,"too-large"] [200,null]'
	is "$(head -n -1 out | jq -s 'all(.body.code and .body.error)')" true
	is "$(requests)" 1
	expect 0 dpl-remote-http "$url" </dev/null
	silent
}

@test "errors: a code where there is none, all else as it came" {
	behave '{"status":404,"body":{"error":"Operation not found"}}' '{"status":400,"body":{"error":"Missing x","hint":"h","more":[1]}}' \
		'{"status":418,"body":{}}' '{"status":500,"body":{"error":"e"}}' '{"status":507,"body":{"error":"e","code":"disk-full"}}' \
		'{"status":422,"body":{"code":null,"error":7}}' '{"status":409,"body":{"error":"e","code":"code-of-tomorrow"}}'
	serve
	for _ in {1..7}; do ask /call/start; done >asked
	expect 0 asking "$url"
	is "$(jq -c '[.status, .body.code]' out | paste -sd ' ')" '[404,"operation-not-found"] [400,"bad-request"] [418,"bad-request"] [500,"unreachable"] [507,"disk-full"] [422,"bad-request"] [409,"code-of-tomorrow"]'
	is "$(sed -n 2p out | jq -c '.body | [.error, .hint, .more]')" '["Missing x","h",[1]]'
	is "$(sed -n 3p out | jq -r '.body.error')" "$url: it answered with status 418"
	is "$(sed -n 6p out)" '{"status":422,"body":{"error":"'"$url"': it answered with status 422","code":"bad-request"}}'
	# None of them is tried again.
	is "$(requests)" 7
}

@test "what is no reply of a ledger: 503, once asked for" {
	behave '{"body":"<html>hello</html>","headers":{"Content-Type":"text/html"}}' '{"body":""}' '{"body":"[]"}' '{"body":"{\"a\":1"}' '{"body":"\"text\""}' \
		'{"body":"{\"a\":1}x"}' '{"body":"{\"a\":01}"}' '{"status":204,"body":""}' '{"status":201}' '{"status":302,"headers":{"Location":"/x"}}' \
		'{"status":404,"body":"<html>"}' '{"status":502,"body":"<html>"}' '{"raw":"rubbish\r\n\r\n"}' '{"raw":"SSH-2.0-OpenSSH\r\n"}' '{"pad":67108900}' "$list"
	serve
	for _ in {1..16}; do ask /operation/create; done >asked
	expect 0 asking "$url"
	is "$(jq -s -c 'map(.status) | group_by(.) | map([.[0], length])' out)" '[[200,1],[503,15]]'
	is "$(jq -s -c '.[:15] | map(.body.code) | unique' out)" '["unreachable"]'
	is "$(grep -c 'it answered something that is no reply of a ledger' out)" 15
	has "$(sed -n 11p out)" 'status 404'
	has "$(sed -n 15p out)" 'more than 64 MiB'
	is "$(requests)" 16
}

# --- trying again ---

@test "what was lost is sent again with one key, of its own or the caller's; the next request has another" {
	behave '{"do":"close"}' '{"do":"reset"}' '{"do":"half"}' "$list" '{"do":"close"}' "$list" "$list"
	serve
	{ ask /operation/create && ask /call/start null mine:1 && ask /operation/log; } >asked
	expect 0 asking "$url"
	is "$(jq -s -c 'map(.status)' out)" '[200,200,200]'
	jq -r '.headers["idempotency-key"]' log >keys
	is "$(head -n 4 keys | sort -u | grep -cxE 'h-[0-9a-f]{32}')" 1
	is "$(sed -n 5,6p keys | sort -u)" mine:1
	sed -n 7p keys | grep -qxE 'h-[0-9a-f]{32}'
	is "$(sort -u keys | wc -l)" 3
}

@test "every path of the table has its way of being sent twice" {
	# Those that make an entry get a key; those that only read, beat or sweep need none; a signal and a removal are sent once.
	behave '{"do":"close"}'
	serve
	paths=$(sed -nE 's/^\tVERB\("(\/[a-z\/]+)", verb_.*/\1/p' "$root/lib/verb.c")
	DPL_RETRY_MS=1
	for path in $paths /operation/tomorrow; do
		: >log
		ask "$path" >asked
		expect 0 asking -q "$url"
		is "$(json .body.code)" unreachable
		case $path in
		/call/kill | /temp/remove | /operation/tomorrow) wanted='1 null' ;;
		/operation/heartbeat | /operation/look | /operation/cleanup | /operation/prune) wanted='6 null' ;;
		/operation/changes | /operation/events | /operation/list | /operation/resolve | /operation/show | /operation/state | /operation/why) wanted='6 null' ;;
		/call/list | /temp/due | /temp/list | /temp/removed) wanted='6 null' ;;
		*) wanted='6 h-' ;;
		esac
		is "$path $(jq -s -r '"\(length) \(map(.headers["idempotency-key"] | if . then .[:2] else . end) | unique[])"' log)" "$path $wanted"
	done
}

@test "what is not safe twice is sent once, also on a connection that was kept" {
	behave "$list" '{"do":"close"}' "$list" '{"do":"reset"}'
	serve
	{ ask /operation/list && ask /call/kill && ask /operation/list && ask /temp/remove; } >asked
	expect 0 asking "$url"
	is "$(jq -s -c 'map(.status)' out)" '[200,503,200,503]'
	has "$(sed -n 2p out | jq -r '.body | .error, .hint')" "$url: " 'whether the request was carried out is not known'
	is "$(requests)" 4
	is "$stderr" ''
	# With a key it is the caller's word that it may.
	behave '{"do":"close"}' "$list"
	stop
	serve
	ask /call/kill null k >asked
	expect 0 asking -q "$url"
	is "$(json .status)" 200
}

@test "503: anything is tried again, after Retry-After, and the last answer is the reply" {
	behave '{"status":503,"body":{"error":"busy","code":"ledger-busy"}}' '{"status":503,"headers":{"Retry-After":"1"},"body":"<html>"}' "$list"
	serve
	ask /call/kill >asked
	begin=$(date +%s%3N)
	expect 0 asking "$url"
	is "$(json .status)" 200
	[ $(($(date +%s%3N) - begin)) -ge 1000 ]
	is "$stderr" "dpl-remote-http: $url: cannot reach it (it answers that it is busy); trying again for 0.31 s"
	# The wait that it asks for is shorter than ours.
	behave '{"status":503,"headers":{"Retry-After":"0"}}' "$list"
	stop
	serve
	DPL_RETRY_MS=60000 expect 0 asking "$url"
	is "$(json .status)" 200
	behave '{"status":503,"body":{"error":"busy","code":"ledger-busy","hint":"wait"}}'
	stop
	serve
	expect 0 asking -q "$url"
	is "$output" '{"status":503,"body":{"error": "busy", "code": "ledger-busy", "hint": "wait"}}'
	is "$(requests)" 6
	# A time that is over is an answer.
	behave '{"status":503,"body":{"error":"over","code":"timed-out"}}'
	stop
	serve
	expect 0 asking "$url"
	is "$(json .body.code) $(requests)" 'timed-out 1'
}

@test "nothing listens: anything is tried again, told once, and said in the end" {
	behave '{"headers":{"Connection":"close"},"refuse":0.3}' "$list"
	serve
	{ ask /operation/list && ask /call/kill; } >asked
	DPL_RETRY_MS=100 expect 0 asking "$url"
	is "$(jq -s -c 'map(.status)' out)" '[200,200]'
	is "$stderr" "dpl-remote-http: $url: cannot reach it (Connection refused); trying again for 3.1 s"
	is "$(requests)" 2
	stop
	expect 0 asking "$url"
	is "$(tail -n 1 <<<"$output")" '{"status":503,"body":{"error":"'"$url"': Connection refused","code":"unreachable","hint":"is dpl-serve running there? (dpl-serve -C LEDGER)"}}'
	is "$stderr" "dpl-remote-http: $url: cannot reach it (Connection refused); trying again for 0.31 s"
	for way in 'env DPL_QUIET=1' env; do
		option=
		[ "$way" != env ] || option=-q
		# shellcheck disable=SC2086 # words
		expect 0 $way dpl-remote-http $option "$url" <asked
		is "$stderr" ''
	done
	DPL_RETRY_MS=1 expect 0 asking -q http://ledger.invalid
	has "$(head -n 1 out)" 'http://ledger.invalid: Could not resolve host'
}

@test "the waits are 2, 4, 8, 16 and 32 seconds, unless something else is said" {
	ask /operation/list >asked
	DPL_RETRY_MS='' in_background dpl-remote-http http://127.0.0.1:1 <asked 2>said >out
	wait_for '[ -s said ]'
	has "$(<said)" 'trying again for 62 s'
}

@test "--no-retry and DPL_NO_RETRY: once" {
	behave '{"do":"close"}' '{"status":503}' "$list"
	serve
	ask /operation/list >asked
	expect 0 asking --no-retry "$url"
	is "$(json .body.code) $(requests)" 'unreachable 1'
	DPL_NO_RETRY=1 expect 0 asking "$url"
	is "$(json .status) $(requests)" '503 2'
	is "$stderr" ''
	DPL_NO_RETRY='' expect 0 asking "$url"
	is "$(json .status) $(requests)" '200 3'
}

# --- time ---

@test "a time limit for the answer, which waitMs and patienceMs of the request are added to" {
	behave '{"wait":0.5}' '{"wait":0.5}' '{"do":"hang"}'
	serve
	{ ask /operation/events '{"waitMs":20000}' && ask /operation/cleanup '{"patienceMs":20000}' && ask /operation/list; } >asked
	expect 0 asking --no-retry --timeout 200ms "$url"
	is "$(jq -c '[.status, .body.error]' out | paste -sd ' ')" '[200,null] [200,null] [503,"'"$url"': no answer within 0.2 s"]'
	ask /operation/list >asked
	DPL_NO_RETRY=1 DPL_HTTP_TIMEOUT=100ms expect 0 asking "$url"
	has "$output" 'no answer within 0.1 s'
	# The greeting of TLS is part of the connection.
	expect 0 asking --no-retry --connect-timeout 100ms "https://127.0.0.1:$port"
	has "$output" 'no connection within 0.1 s'
}

# helper_begins [OPTION ...] URL: the helper in the background; what goes to descriptor 7 is its input.
helper_begins() {
	rm -f in out err
	mkfifo in
	dpl-remote-http "$@" <in >out 2>err 3>&- & # the child waits for a writer
	pid=$!
	background+=("$pid")
	exec 7>in
}

# input_ends: close it, and wait for its end; $took is how many ms that was.
input_ends() {
	local begin
	begin=$(date +%s%3N)
	exec 7>&-
	ended "$pid"
	took=$(($(date +%s%3N) - begin))
}

@test "the end of its input ends it at once, idle and while it waits to try again" {
	behave "$list"
	serve
	for _ in {1..5}; do
		helper_begins "$url"
		ask /operation/list >&7
		wait_for '[ -s out ]'
		input_ends
		[ "$took" -gt 100 ] || break # others compute, too
	done
	[ "$took" -le 100 ]
	is "$status" 0
	has "$(<out)" '"status":200'
	for _ in {1..5}; do
		DPL_RETRY_MS=60000 helper_begins http://127.0.0.1:1
		ask /operation/list >&7
		wait_for '[ -s err ]'
		input_ends
		[ "$took" -gt 100 ] || break
	done
	[ "$took" -le 100 ]
	is "$status" 0
	has "$(<out)" '"status":503' 'Connection refused'
	# What was sent is waited for, since somebody may read the answer.
	behave '{"wait":0.3}'
	stop
	serve
	ask /operation/list | dpl-remote-http "$url" >out
	is "$(jq .status out)" 200
}

@test "the end of who asks ends it, while it waits to try again and within a request" {
	behave '{"do":"hang"}'
	serve
	for ledger in http://127.0.0.1:1 "$url"; do
		MARK=$BATS_TEST_TMPDIR DPL_RETRY_MS=60000 in_background dpl-show -C "$ledger" 2>err
		wait_for '[ -n "$(marked dpl-remote-http)" ]'
		[ "$ledger" != "$url" ] || wait_for '[ -s log ]'
		[ "$ledger" = "$url" ] || wait_for '[ -s err ]'
		kill -KILL "$pid"
		ended "$pid"
		wait_for '[ -z "$(marked dpl-remote-http)" ]' 5
	done
}

# --- secrets ---

@test "the token comes from a file that is ours alone, and goes into the header alone" {
	behave '{"wait":0.2}'
	serve
	ask /operation/list >asked
	printf 's3cret-t0ken/+=\nsecond line\n' >token
	chmod 600 token
	MARK=$BATS_TEST_TMPDIR in_background dpl-remote-http --token-file token "$url" <asked >out 2>err
	wait_for '[ -s log ]'
	lacks "$(tr '\0' ' ' <"/proc/$pid/cmdline")" s3cret
	ended "$pid"
	is "$(jq .status out)$(<err)" 200
	is "$(jq -r .headers.authorization log)" 'Bearer s3cret-t0ken/+='
	printf 's3cret\r\n' >token
	DPL_TOKEN_FILE=token expect 0 asking "$url"
	is "$(tail -n 1 log | jq -r .headers.authorization)" 'Bearer s3cret'
	printf 's3cret' >token
	DPL_TOKEN_FILE=token expect 0 asking "$url"
	is "$(tail -n 1 log | jq -r .headers.authorization)" 'Bearer s3cret'
	count=$(requests)
	for mode in 640 604 644 620 602; do
		chmod $mode token
		expect 8 asking --token-file token "$url"
		is "$output" '{"status":403,"body":{"error":"the token file token is open to other users","code":"permission-denied","hint":"chmod 600 makes it yours alone"}}'
		is "$stderr" ''
	done
	mkdir folder
	mkfifo -m 600 fifo
	: >empty
	printf 's3cret with blanks\n' >blanks
	printf 's3cret\001\n' >control
	head -c 5000 /dev/zero | tr '\0' x >long
	chmod 600 empty blanks control long
	ln -s token link
	for file in folder fifo empty blanks control long link none; do
		expect 8 asking --token-file $file "$url"
		is "$(json '[.status, .body.code] | @csv')" '403,"permission-denied"'
		has "$(json .body.error)" "the token file $file"
		lacks "$output$stderr" s3cret
	done
	is "$(requests)" "$count"
	# A command says so.
	DPL_TOKEN_FILE=none expect 8 dpl-show -C "$url"
	refused dpl-show 'token file none' 'No such file'
}

@test "401: the token is read anew, once; 401 and 403 say what is wrong" {
	behave "$list" '{"status":401,"body":{"error":"who?"}}' "$list" '{"status":401,"body":"<html>"}' '{"status":401,"body":{"error":"x","code":"y"}}' \
		'{"status":403,"body":{}}' '{"status":403,"body":{"error":"p","code":"protected-path"}}'
	serve
	printf 'one\n' >token
	chmod 600 token
	helper_begins --token-file token "$url"
	ask /operation/list >&7
	wait_for '[ "$(wc -l <out)" -ge 1 ]'
	printf 'two\n' >token
	ask /operation/list >&7
	wait_for '[ "$(wc -l <out)" -ge 2 ]'
	printf 'three\n' >token
	ask /operation/list >&7
	wait_for '[ "$(wc -l <out)" -ge 3 ]'
	# The same token is not sent again.
	ask /operation/list >&7
	ask /operation/list >&7
	exec 7>&-
	ended "$pid"
	is "$status$(<err)" 0
	is "$(jq -r .headers.authorization log | paste -sd ' ')" 'Bearer one Bearer one Bearer two Bearer two Bearer three Bearer three Bearer three'
	is "$(jq -c '[.status, .body.code]' out | paste -sd ' ')" '[200,null] [200,null] [401,"permission-denied"] [403,"permission-denied"] [403,"protected-path"]'
	has "$(sed -n 3p out | jq -r .body.hint)" 'is the token in token that of the server?'
	is "$(sed -n 5p out | jq -r .body.hint)" null
	behave '{"status":401,"body":{"error":"who?"}}' '{"status":401,"body":"<html>"}'
	stop
	serve
	expect 8 dpl-show -C "$url"
	is "$stderr" 'dpl-show: who?; DPL_TOKEN_FILE names the file with its token'
	ask /operation/list >asked
	expect 0 asking "$url"
	has "$output" "$url: it answered with status 401" permission-denied
}

@test "nobody is redirected, least of all with a token" {
	behave "$list"
	serve
	other=$port
	# Both note what they get in the same log.
	behave '{"status":307,"headers":{"Location":"http://127.0.0.1:'"$other"'/operation/list"}}'
	serve
	printf 'one\n' >token
	chmod 600 token
	ask /operation/list >asked
	expect 0 asking --token-file token "$url"
	has "$output" '"status":503' 'no reply of a ledger (status 307)'
	is "$(requests)" 1
}

# --- other ways to a server ---

# certificate NAME [SUBJECT-ALT-NAME]: a self-signed one, in NAME.crt and NAME.key
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" -addext "subjectAltName=${2:-IP:127.0.0.1}" \
		-keyout "$1.key" -out "$1.crt" 2>/dev/null
}

@test "TLS: who has signed the server's certificate is looked at, and whom it is for" {
	command -v openssl >/dev/null || skip 'no openssl'
	behave "$list"
	certificate server
	certificate other
	serve --tls server.crt server.key
	ask /operation/list >asked
	expect 0 asking --ca server.crt "https://127.0.0.1:$port"
	is "$(json .status)" 200
	DPL_TLS_CA=server.crt expect 0 asking "https://127.0.0.1:$port"
	is "$(json .status)" 200
	# Not tried again: that would not help.
	for ca in '' '--ca other.crt'; do
		# shellcheck disable=SC2086 # words
		DPL_RETRY_MS=60000 expect 0 asking $ca "https://127.0.0.1:$port"
		is "$(json '[.status, .body.code] | @csv')$stderr" '503,"unreachable"'
		has "$output" 'certificate' DPL_TLS_CA
	done
	DPL_RETRY_MS=60000 expect 0 asking --ca server.crt "https://localhost:$port"
	has "$output" '"status":503' localhost
	is "$(requests)" 2
	# Plain HTTP to it, and TLS to a plain one.
	DPL_RETRY_MS=1 expect 0 asking -q "http://127.0.0.1:$port"
	is "$(json .status)" 503
	expect 7 dpl-show -C "https://127.0.0.1:$port"
	refused dpl-show DPL_TLS_CA
}

@test "TLS: nothing older than 1.2" {
	command -v openssl >/dev/null || skip 'no openssl'
	behave "$list"
	certificate server
	serve --tls server.crt server.key --old
	ask /operation/list >asked
	DPL_RETRY_MS=60000 expect 0 asking --ca server.crt "https://127.0.0.1:$port"
	has "$output" '"status":503' 'protocol version'
	is "$(requests)" 0
}

@test "TLS: a certificate of our own" {
	command -v openssl >/dev/null || skip 'no openssl'
	behave "$list"
	certificate server
	certificate client
	cat client.crt client.key >both.pem
	serve --tls server.crt server.key --clients client.crt
	ask /operation/list >asked
	export DPL_TLS_CA=server.crt
	expect 0 asking --cert client.crt --key client.key "https://127.0.0.1:$port"
	is "$(json .status)" 200
	DPL_TLS_CERT=client.crt DPL_TLS_KEY=client.key expect 0 asking "https://127.0.0.1:$port"
	is "$(json .status)" 200
	expect 0 asking --cert both.pem "https://127.0.0.1:$port"
	is "$(json .status)" 200
	expect 0 asking -q "https://127.0.0.1:$port"
	is "$(json '[.status, .body.code] | @csv')" '503,"unreachable"'
	expect 0 asking -q --cert server.crt --key server.key "https://127.0.0.1:$port"
	is "$(json .status)" 503
	DPL_RETRY_MS=60000 expect 0 asking --cert client.crt --key server.key "https://127.0.0.1:$port"
	has "$output" '"status":503' DPL_TLS_KEY
	is "$(requests)" 3
}

@test "a unix socket, also one that comes later" {
	behave "$list"
	ask /operation/list >asked
	DPL_RETRY_MS=300 in_background asking "unix:$PWD/sock" >out 2>err
	helper=$pid
	wait_for '[ -s err ]'
	serve --unix "$PWD/sock"
	ended "$helper"
	is "$(jq .status out)" 200
	http_proxy=http://127.0.0.1:1 expect 0 asking "unix://$PWD/sock"
	is "$(json .status)" 200
	is "$(jq -r .path log | sort -u)" /operation/list
	expect 0 dpl-show -C "unix:$PWD/sock"
	silent
}

@test "an IPv6 literal" {
	behave "$list"
	python3 -c 'import socket; socket.socket(socket.AF_INET6).bind(("::1", 0))' 2>/dev/null || skip 'no IPv6'
	serve --host ::1
	ask /operation/list >asked
	http_proxy=http://127.0.0.1:1 expect 0 asking "http://[::1]:$port"
	is "$(json .status)" 200
}

# --- how it is called ---

@test "misuse: 2, and a line" {
	ask /operation/list >asked
	for words in '' 'http://a http://b' '--nonsense http://a' '--timeout x http://a' '--timeout 0 http://a' '--connect-timeout 0s http://a' '--key asked http://a' \
		'--ca none http://a' '--cert none http://a' '--cert asked --key none http://a' ftp://a folder http:// http:/a http:a http://a:x http://a:99999 'http://a?b' 'http://a/#b' \
		unix: unix:a unix://a "unix:/$(printf '%0200d' 0)"; do
		# shellcheck disable=SC2086 # words
		expect 2 asking $words
		refused dpl-remote-http
	done
	for setting in DPL_HTTP_TIMEOUT=x DPL_HTTP_TIMEOUT=0 DPL_RETRY_MS=0 DPL_RETRY_MS=x DPL_RETRY_MS=60001 DPL_TLS_CA=none DPL_TLS_CERT=none DPL_TLS_KEY=asked; do
		expect 2 env "$setting" dpl-remote-http http://a <asked
		refused dpl-remote-http "${setting%%=*}"
	done
	for ledger in http://me:s3cret@a http://me@a https://:s3cret@a/x 'http://s3cret@a:1/b' 'http://a@s3cret@b'; do
		expect 2 asking "$ledger"
		refused dpl-remote-http 'a user or a password'
		lacks "$stderr" s3cret
	done
	# An @ in the path is none of these.
	expect 0 asking --no-retry http://127.0.0.1:1/a@b
}

@test "nobody reads its replies: a quiet end" {
	behave "$list"
	serve
	yes "$(ask /operation/list)" | head -n 500 >asked
	asking "$url" 2>err | head -n 1 >out
	is "$(<err)$(jq .status out)" 200
	status=0
	dpl-remote-http "$url" <asked >/dev/full 2>err || status=$?
	is "$status" 9
}

# --- real use ---

@test "dpl-show --json by canned answers" {
	behave '{"body":{"operations":[{"operationId":"x","state":"running"}]}}'
	serve
	DPL_LEDGER=$url expect 0 dpl-show --json
	holds '.ok and .operations[0].operationId == "x"'
	is "$(jq -c '[.path, .headers["content-type"]]' log)" '["/operation/list","application/json"]'
	stop
	DPL_LEDGER=$url expect 7 dpl-show
	is "$(tail -n 1 <<<"$stderr")" "dpl-show: $url: Connection refused; is dpl-serve running there? (dpl-serve -C LEDGER)"
	DPL_LEDGER=$url DPL_QUIET=1 expect 7 dpl-show --json
	json_error unreachable
	holds .error.retryable
}

@test "an operation's life over HTTP" {
	serve --ledger "$ledger"
	folder=$ledger
	export DPL_LEDGER=$url
	expect 0 dpl-create -d 'far away'
	op=$output
	export DPL_OPERATION=$op
	expect 0 dpl-join -p worker
	is "$output" 2
	expect 0 dpl-call -p worker -- sh -c 'echo out; dpl-log inside'
	is "$output" out
	expect 3 dpl-call end nope
	in_background dpl-log -fq >followed
	follower=$pid
	wait_for 'grep -qx inside followed'
	expect 0 dpl-log - < <(printf 'a\nb\n')
	expect 0 dpl-create --key k -p other
	is "$(dpl-create --key k -p other)" "$output"
	expect 0 dpl-leave -p worker
	expect 0 dpl-complete
	ended "$follower"
	is "$status $(paste -sd , followed)" '0 inside,a,b'
	expect 0 dpl-show -aq
	has "$output" "$op"
	ledger=$folder
	whole "$op"
	# Whatever made an entry had a key.
	is "$(jq -s 'map(select(.event == "log" or .event == "session.joined" or .event == "call.started") | has("key")) | unique | tostring' -r <(journal_text "$op"))" '[true]'
}

@test "conformance: dpl-remote-http, and dpl-batch behind a script" {
	serve --ledger "$ledger"
	expect 0 "$root/tests/conformance" -t 30 "$url"
	has "$output" 'ok 1 - ' '1..'
	mkdir bin
	printf '#!/bin/sh\nexec dpl-batch -C "${1#test://}"\n' >bin/dpl-remote-test
	chmod +x bin/dpl-remote-test
	PATH=$PWD/bin:$PATH expect 0 "$root/tests/conformance" -t 30 "test://$ledger"
	is "$(grep -c '^ok ' out)" "$(sed -n 's/^1\.\.//p' out)"
	is "$(dpl-show -q -C "$ledger")" ''
}

@test "conformance finds what is wrong" {
	mkdir bin
	PATH=$PWD/bin:$PATH
	expect 2 "$root/tests/conformance"
	expect 1 "$root/tests/conformance" -t 1 "odd://$ledger"
	# What it does to the lines of dpl-batch, and which rules that breaks.
	while IFS='|' read -r rules filter; do
		printf '#!/bin/sh\ndpl-batch -C "${1#odd://}" | sed -u %s\n' "$filter" >bin/dpl-remote-odd
		chmod +x bin/dpl-remote-odd
		expect 1 "$root/tests/conformance" -t 1 "odd://$ledger"
		for rule in $rules; do
			grep -q "^not ok $rule " out || { echo "rule $rule is not held to by: $filter" && cat out && return 1; }
		done
	done <<-'EOT'
		3 5 7|'s/no-such-path/not-found/; s/"code":"bad-json"/"x":0/; s/"replayed":true/"replayed":false/'
		1 2|'s/^{/{"status":200,"body":{}}\n{/'
	EOT
}
