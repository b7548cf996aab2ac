#!/usr/bin/env bats
# a ledger on another machine: what is registered here is removed here, by whoever has registered it

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	need_built dpl-serve dpl-remote-http
	[ "$(id -u)" = 0 ] || skip 'only root makes a machine of its own'
	fresh_ledger
	# A machine of its own, as far as one can tell: other ids, another name, another user's state.
	mkdir its
	echo 11111111-2222-3333-4444-555555555555 >its/boot
	echo 0123456789abcdef0123456789abcdef >its/machine
	cat >its/enter <<-'END'
		mount --bind its/boot /proc/sys/kernel/random/boot_id && mount --bind its/machine /etc/machine-id && hostname server || exit 99
		DPL_LEDGER=$ledger XDG_STATE_HOME=$PWD/its exec "$@"
	END
	export ledger
	there true || skip 'no namespaces to be had'
	serve
}

teardown() {
	end_background
}

# there COMMAND ...: on the machine of the ledger, which is a folder there.
there() {
	unshare -m -u sh its/enter "$@"
}

serve() {
	: >said
	in_background unshare -m -u sh its/enter "${clock[@]}" dpl-serve -C "$ledger" -P "${port:-0}" >said 2>serve.err
	wait_for '[ -s said ]'
	server=$pid
	DPL_LEDGER=$(<said)
	export DPL_LEDGER
	port=${DPL_LEDGER##*:}
}

# an operation in which this machine takes part, and nobody of that one
begin() {
	op=$(dpl-create "$@")
	export DPL_OPERATION=$op
}

# ended: its state, and whether it is in backup/.
ended() {
	jq -r 'select(.event | test("^operation.(completed|failed|archived)")) | .event' <(journal_text "$op") | paste -sd ' '
}

removed() {
	jq -rs '[.[] | select(.event == "resource.removed") | .result] | join(" ")' <(journal_text "$op")
}

@test "complete: here it is removed, there it is not" {
	begin
	file=$(dpl-temp make)
	dpl-temp add -q --command 'echo "$DPL_LEDGER $DPL_OPERATION $DPL_PARTICIPANT" >>undone'
	sleep 60 &
	dpl-temp add -q --process $!
	expect 0 dpl-complete -v
	has "$stderr" 'dpl-complete: removed 3 temp resources'
	[ ! -e "$file" ]
	is "$(<undone)" "$DPL_LEDGER $op me"
	run wait "$!"
	is "$status" 143
	is "$(removed)" 'removed removed removed'
	is "$(ended)" 'operation.completed operation.archived'
}

@test "completed there: what is here waits for the next command from here" {
	begin
	file=$(dpl-temp make)
	expect 0 there dpl-complete "-o$op"
	has "$stderr" "$file was not removed: it is on another host"
	[ -e "$file" ]
	expect 1 there dpl-cleanup "$op"
	has "$output" "elsewhere $file: it is on another host"
	# Whatever hears that it has ended.
	expect 6 dpl-log more
	[ ! -e "$file" ]
	is "$(ended)" 'operation.completed operation.archived'
	expect 0 there dpl-cleanup "$op"
}

@test "kill -9: the server finds the death, the sweep of each machine removes its own" {
	begin --beat 200ms --jitter 0ms --stale "$(silence)" --window 1s
	in_background dpl-call -- sh -c 'dpl-temp make >file; dpl-temp add -q --command "echo x >>undone"; setsid sh -c "trap \"\" TERM; echo \$\$ >inner; while :; do sleep 1; done" & : >ready; exec sleep 60'
	wait_for '[ -e ready ] && [ -s inner ]'
	file=$(<file)
	kill -KILL "$pid"
	wait_for 'there dpl-cleanup -q --sweep; [ "$(ended)" = operation.failed ]'
	[ -e "$file" ]
	[ ! -e undone ]
	expect 1 there dpl-cleanup --sweep
	# What the dead one left running is for this machine as well.
	run ! gone "$(<inner)"
	# Of many who sweep here, one does it, and once.
	for _ in 1 2 3 4 5 6; do
		in_background dpl-cleanup -q --sweep
	done
	for one in "${background[@]:(-6)}"; do
		wait "$one" || true
	done
	is "$(wc -l <undone)" 1
	[ ! -e "$file" ]
	gone "$(<inner)"
	is "$(ended)" 'operation.failed operation.archived'
	is "$(removed)" 'removed removed removed'
	expect 0 dpl-cleanup --sweep
	expect 0 there dpl-cleanup --sweep
}

@test "dry run, what cannot be removed, and forgetting" {
	begin
	file=$(dpl-temp make) folder=$(dpl-temp make -d)
	mkdir "$folder/in"
	mount -t tmpfs none "$folder/in" || skip 'nothing can be mounted'
	there dpl-complete -q "-o$op"
	expect 1 dpl-cleanup -n "$op"
	has "$output" "remove    $file" "$folder"
	[ -e "$file" ]
	expect 1 dpl-cleanup -v "$op"
	has "$output" "removed   $file" "$folder: "
	[ ! -e "$file" ]
	is "$(ended)" operation.completed
	expect 1 dpl-cleanup -j "$op"
	holds '[.resources[] | .resourceId] == [2]'
	umount "$folder/in"
	expect 0 dpl-cleanup "$op"
	[ ! -e "$folder" ]
	is "$(ended)" 'operation.completed operation.archived'
	begin
	file=$(dpl-temp make)
	there dpl-complete -q "-o$op"
	# What is here is done before it is given up.
	expect 0 dpl-cleanup --forget "$op"
	[ ! -e "$file" ]
	is "$(removed)" removed
	begin
	file=$(dpl-temp make)
	there dpl-complete -q "-o$op"
	expect 0 there dpl-cleanup --forget "$op"
	[ -e "$file" ]
	is "$(removed)" forgotten
	rm "$file"
}

@test "dry run of a contained crash: of what is here only what was its call's" {
	begin --beat 200ms --jitter 0ms --stale "$(silence)"
	mine=$(dpl-temp make)
	in_background dpl-call --no-fail-on-crash -- sh -c 'dpl-temp make >file; : >ready; exec sleep 60'
	wait_for '[ -e ready ]'
	kill -KILL "$pid"
	wait_for '! output=$(dpl-cleanup -n "$op")'
	has "$output" "$op running" 'died      me, call_me_' "remove    $(<file)"
	lacks "$output" "$mine"
	[ -e "$(<file)" ]
	wait_for 'dpl-cleanup -q "$op"'
	[ ! -e "$(<file)" ]
	[ -e "$mine" ]
	rm "$mine"
}

@test "what others have written into the ledger is not done here" {
	begin
	machine=$(</etc/machine-id) boot=$(</proc/sys/kernel/random/boot_id)
	echo mine >mine
	place="\"machineId\":\"$machine\",\"bootId\":\"$boot\",\"host\":\"$(hostname)\""
	add() { # MEMBERS
		curl -sS -d "{\"operationId\":\"$op\",$place,$1}" "$DPL_LEDGER/temp/add" | jq -r '.resourceId // .code'
	}
	is "$(add "\"kind\":\"command\",\"command\":\": >$PWD/run\",\"folder\":\"/\"")" 1
	is "$(add "\"kind\":\"path\",\"path\":\"$PWD/mine\",\"seal\":\"0123456789abcdef\",\"byName\":true")" 2
	is "$(add '"kind":"path","path":"/x/y","seal":"x"')" bad-request
	# Sealed for another operation, or for another command.
	dpl-temp add -q --command 'true'
	seal=$(jq -r 'select(.resourceId == 3) | .seal' <(journal_text "$op"))
	is "${#seal}" 16
	is "$(add "\"kind\":\"command\",\"command\":\": >$PWD/run\",\"folder\":\"$PWD\",\"seal\":\"$seal\"")" 4
	first=$op
	begin
	is "$(add "\"kind\":\"command\",\"command\":\"true\",\"folder\":\"$PWD\",\"seal\":\"$seal\"")" 1
	there dpl-complete -q "-o$first"
	expect 1 dpl-cleanup "$first"
	is "$(grep -c 'nobody of .* has registered it: it has no seal' <<<"$output")" 1
	is "$(grep -c 'another user of .* has registered it by a server, or one with another key' <<<"$output")" 2
	expect 0 dpl-complete
	has "$stderr" 'another user of'
	[ ! -e run ]
	[ -e mine ]
	# Another user's key is none, and without any key nothing is asked for.
	begin
	file=$(dpl-temp make)
	there dpl-complete -q "-o$op"
	XDG_STATE_HOME=$PWD/other expect 1 dpl-cleanup "$op"
	[ -e "$file" ]
	[ ! -e other ]
	expect 0 dpl-cleanup "$op"
	[ ! -e "$file" ]
}

@test "dpl-temp remove: here, with its result; --keep; what is not here" {
	begin
	file=$(dpl-temp make) folder=$(dpl-temp make -d)
	expect 0 dpl-temp remove -v "$file"
	is "$stderr" "dpl-temp: $file: removed
dpl-temp: ledger $DPL_LEDGER"
	[ ! -e "$file" ]
	mv "$folder" "$folder.old"
	mkdir "$folder"
	expect 1 dpl-temp remove "$folder"
	has "$stderr" "$folder was left alone"
	[ -d "$folder" ]
	rmdir "$folder" "$folder.old"
	touch kept
	dpl-temp add -q "$PWD/kept"
	expect 0 dpl-temp remove --keep --json "$PWD/kept"
	holds '.result == "kept"'
	[ -e kept ]
	expect 0 dpl-temp remove --json "$(dpl-temp make xXXX)"
	holds '.ok and .result == "removed" and .resourceId == 4'
	expect 3 dpl-temp remove "$PWD/kept"
	echo 31111111-2222-3333-4444-555555555555 >its/boot
	echo 3123456789abcdef0123456789abcdef >its/machine
	sed 's/^\tDPL_LEDGER=[^ ]* /\t/; s/hostname server/hostname third/' its/enter >its/third
	unshare -m -u sh its/third dpl-temp add -q "$PWD/kept"
	number=$(dpl-temp list -j | jq '.resources[0].resourceId')
	expect 6 dpl-temp remove "$number"
	has "$stderr" 'on another host'
}

@test "a call: what it has registered goes when it ends, however that is; a keeper's script likewise" {
	begin
	expect 0 dpl-call -- sh -c 'dpl-temp make'
	[ ! -e "$output" ]
	expect 7 dpl-call -- sh -c 'dpl-temp make >file; exit 7'
	[ ! -e "$(<file)" ]
	in_background dpl-call -- sh -c 'dpl-temp make >file2; : >ready; exec sleep 60'
	wait_for '[ -e ready ]'
	kill -TERM "$pid"
	wait "$pid" || true
	[ ! -e "$(<file2)" ]
	id=$(dpl-call start)
	file=$(dpl-temp make --call "$id")
	expect 0 dpl-call end "$id"
	[ ! -e "$file" ]
	cat >script <<-'END'
		dpl-join -q -p script --keep=$$
		DPL_PARTICIPANT=script dpl-temp make >file3
		kill -KILL $$
	END
	run bash script
	wait_for '[ ! -e "$(<file3)" ]'
	wait_for '[ "$(ended)" = "operation.failed operation.archived" ]'
}

@test "a fallback command is run here, once, and what it prints is the result" {
	begin --beat 200ms --jitter 0ms --stale "$(silence)"
	in_background dpl-call --id c --fallback-command 'echo x >>run; echo instead' -- sh -c ': >ready; exec sleep 60'
	wait_for '[ -e ready ]'
	kill -KILL "$pid"
	wait_for 'there dpl-cleanup -q "$op"; [ "$(dpl-call list -aj | jq -r ".calls[0].state")" = crashed ]'
	[ ! -e run ]
	expect 0 dpl-cleanup "$op"
	is "$(<run)" x
	is "$(dpl-call result c)" instead
	expect 0 dpl-complete
}

@test "the server goes in the middle: it is done when it is there again" {
	begin
	file=$(dpl-temp make)
	dpl-temp add -q --command 'kill -KILL $(cat server); echo x >>undone'
	there dpl-complete -q "-o$op"
	pgrep -P "$server" >/dev/null || echo "$server" >server
	[ -s server ] || pgrep -f "dpl-serve -C $ledger" >server
	DPL_NO_RETRY=1 expect 1 dpl-cleanup "$op"
	has "$stderr" 'what is left on this machine: '
	wait "$server" || true
	serve
	DPL_NO_RETRY=1 expect 0 dpl-cleanup "$op"
	[ ! -e "$file" ]
	# It could not be told that it was run; dpl-temp(1) says that it is run again then.
	is "$(wc -l <undone)" 2
	is "$(ended)" 'operation.completed operation.archived'
}

@test "without a place for the key nothing is registered" {
	begin
	touch blocked
	XDG_STATE_HOME=$PWD/blocked expect 9 dpl-temp make xXXX
	has "$stderr" blocked/dpl
	is "$(dpl-temp list -q)" ''
	mkdir -p loose/dpl
	chmod 777 loose/dpl
	XDG_STATE_HOME=$PWD/loose expect 8 dpl-temp add --command true
	has "$stderr" 'others may write to it'
	is "$(dpl-temp list -q)" ''
	expect 0 env -u XDG_STATE_HOME HOME="$PWD/home" dpl-temp add --command true
	is "$(stat -c %a home/.local/state/dpl home/.local/state/dpl/seal.key | paste -sd ' ')" '700 600'
}

@test "who waits for a slot by a server is told when it is its turn, and nobody else is" {
	begin --beat 60s --jitter 0s --stale 200s --window 200s
	for i in 1 2 3 4 5 6; do
		dpl-call spawn -q --slots 1 -- sh -c "until [ -e go ]; do sleep 0.05; done; echo $i >>order"
	done
	wait_for '[ "$(dpl-call list -j | jq "[.calls[] | select(.state == \"queued\")] | length")" = 5 ]'
	: >go
	# No beat comes in that time.
	wait_for '[ "$(wc -l <order)" = 6 ]'
	is "$(paste -sd ' ' order)" '1 2 3 4 5 6'
	expect 0 dpl-call sync
	# An abort reaches one that waits, too.
	rm go
	dpl-call spawn -q --slots 1 -- sh -c 'until [ -e go ]; do sleep 0.05; done'
	dpl-call spawn -q --slots 1 -- true
	wait_for '[ "$(dpl-call list -j | jq "[.calls[] | select(.state == \"queued\")] | length")" = 1 ]'
	expect 0 dpl-abort -q
	wait_for '[ "$(dpl-call list -j | jq ".calls | length")" = 0 ]'
}

@test "a server that lies: nothing is run, removed or ended but what this user has sealed" {
	cat >liar.py <<-'END'
		import http.server, json, socket, sys
		extra = json.loads(sys.argv[1])
		here = {"bootId": open("/proc/sys/kernel/random/boot_id").read().strip(), "machineId": open("/etc/machine-id").read().strip(), "host": socket.gethostname()}
		class Liar(http.server.BaseHTTPRequestHandler):
		    protocol_version = "HTTP/1.1"
		    def do_POST(self):
		        self.rfile.read(int(self.headers.get("Content-Length", 0)))
		        entry = {"seq": 2, "at": "2026-11-28T20:03:16.117Z", "by": "me", "event": "resource.added", "resourceId": 1, **here, **extra}
		        reply = {"operationId": "x1", "seq": 5, "aborted": False, "leftOver": 1, "success": True}
		        if self.path == "/temp/due":
		            reply["resources"] = [{"resourceId": 1, "due": True, "tries": 0, "failed": False, "added": entry}]
		            open("asked", "a").write("due\n")
		        body = json.dumps(reply, separators=(",", ":")).encode()
		        self.send_response(200)
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)
		    def log_message(self, *a):
		        pass
		server = http.server.HTTPServer(("127.0.0.1", 0), Liar)
		print("http://127.0.0.1:%d" % server.server_port, flush=True)
		server.serve_forever()
	END
	python=$(type -P /usr/bin/python3 || type -P python3)
	begin
	dpl-temp add -q --command true # so that there is a key
	mkdir mine
	in_background env DPL_OPERATION=x1 DPL_CALL=c sleep 60
	sleeper=$pid
	for members in '"kind":"command","command":": >run","folder":"/","orphans":true' '"kind":"path","path":"'"$PWD"'/mine","byName":true,"orphans":true' \
		'"kind":"process","pid":'"$sleeper"',"pidStart":1,"callId":"c","orphans":true,"supervisorPid":1,"supervisorStart":0,"seal":"0123456789abcdef"' \
		'"kind":"command","command":": >run","folder":"/"' '"kind":"path","path":"'"$PWD"'/mine","seal":"0123456789abcdef"'; do
		: >said
		rm -f asked
		in_background "$python" liar.py "{$members}" >said
		liar=$pid
		wait_for '[ -s said ]'
		DPL_OPERATION=x1 DPL_LEDGER=$(<said) expect 0 dpl-log hi
		[ -e asked ]
		kill "$liar"
	done
	[ ! -e run ] && [ ! -e /run/run ] && [ -d mine ]
	run ! gone "$sleeper"
}

@test "what a dead supervisor left is ended also where its user has registered nothing, and only by that user" {
	begin --beat 200ms --jitter 0ms --stale "$(silence)" --window 1s
	in_background dpl-call -- sh -c 'setsid sh -c "trap \"\" TERM; echo \$\$ >inner; while :; do sleep 1; done" & until [ -s inner ]; do sleep 0.1; done; : >ready; exec sleep 60'
	wait_for '[ -e ready ]'
	kill -KILL "$pid"
	wait_for 'there dpl-cleanup -q --sweep; [ "$(ended)" = operation.failed ]'
	# Neither by one with another key, nor from where it would not be seen.
	XDG_STATE_HOME=$PWD/other expect 1 dpl-cleanup "$op"
	expect 1 unshare -p -f -m --mount-proc dpl-cleanup "$op"
	has "$output" 'another PID namespace'
	run ! gone "$(<inner)"
	expect 0 dpl-cleanup "$op"
	gone "$(<inner)"
}

@test "dpl-cleanup -t: it waits so long for another who removes here, and says that it does; nothing is given up then" {
	begin
	dpl-temp add -q --command 'until [ -e go ]; do sleep 0.1; done'
	there dpl-complete -q "-o$op"
	in_background dpl-cleanup -q "$op"
	other=$pid
	wait_for 'pgrep -P "$other" sh >/dev/null'
	start=${EPOCHREALTIME/[!0-9]/}
	expect 1 dpl-cleanup -t 300ms --forget "$op"
	[ $((${EPOCHREALTIME/[!0-9]/} - start)) -lt 5000000 ]
	has "$stderr" 'another removes what'
	is "$(removed)" ''
	# By the way nobody waits at all.
	expect 6 dpl-log x
	: >go
	wait "$other"
	is "$(removed)" removed
	is "$(ended)" 'operation.completed operation.archived'
	# Many at once, quickly, and the answer counts what is left.
	begin
	mkdir many
	touch many/{1..300}
	dpl-temp add -q "$PWD"/many/*
	expect 0 dpl-complete -j
	holds '.leftOver == 0 and ([.resources[].decision] | unique) == ["removed"] and (.resources | length) == 300'
	is "$(find many -type f)" ''
}

@test "a server whose clock is wrong: what was there before is left, what was made since goes" {
	[ -z "${SANITIZED:-}" ] || skip 'libfaketime and the sanitizers exclude each other'
	lib=$(find /usr/lib* -name libfaketime.so.1 2>/dev/null | head -n 1)
	[ -n "$lib" ] || skip 'libfaketime is not installed'
	for shift in -1h +1h; do
		: >older
		kill "$server"
		wait "$server" || true
		clock=(env LD_PRELOAD="$lib" FAKETIME="$shift" FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1)
		serve
		begin
		dpl-temp add -q --by-name "$PWD/taken" "$PWD/new"
		mv older taken
		: >new
		expect 0 dpl-complete
		has "$stderr" 'older than the registration'
		[ -e taken ] && [ ! -e new ]
		rm taken
	done
}
