#!/usr/bin/env bats
# dpl-discover: which servers it finds, and what it takes for none.  Networks are scanned in namespaces only.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # each test is a subshell; helper.bash sets them

load helper

setup() {
	need_built dpl-serve dpl-discover
	[ "$(id -u)" = 0 ] || skip 'only root makes network namespaces'
	python=$(type -P /usr/bin/python3 || type -P python3)
	fresh_ledger
	unset DPL_LEDGER
	spaces=()
}

teardown() {
	end_background
	for space in "${spaces[@]}"; do
		ip netns del "$space" 2>/dev/null || true
	done
}

# network N: so many hosts besides this one, 10.77.9.11 and so on, on one network: ${spaces[1]} … and ${spaces[0]}, which asks.
network() {
	local i
	spaces=("dpl-d0-$$")
	ip netns add "${spaces[0]}" 2>/dev/null || { spaces=(); skip 'no network namespaces to be had'; }
	ip -n "${spaces[0]}" link add lan type bridge 2>/dev/null || skip 'no bridge to be had'
	ip -n "${spaces[0]}" address add 10.77.9.1/24 dev lan
	ip -n "${spaces[0]}" link set lo up
	ip -n "${spaces[0]}" link set lan up
	for ((i = 1; i <= $1; i++)); do
		spaces+=("dpl-d$i-$$")
		ip netns add "${spaces[i]}"
		ip link add "v$i" netns "${spaces[0]}" type veth peer name eth0 netns "${spaces[i]}"
		ip -n "${spaces[0]}" link set "v$i" master lan up
		ip -n "${spaces[i]}" address add "10.77.9.$((10 + i))/24" dev eth0
		ip -n "${spaces[i]}" link set lo up
		ip -n "${spaces[i]}" link set eth0 up
	done
}

# on N COMMAND ...: on that host.
on() {
	local space=${spaces[$1]}
	shift
	ip netns exec "$space" "$@"
}

# server N: one of dpl's, behind a token.
server() {
	(umask 077 && echo aaaaaaaaaaaaaaaaaaaaaaaa >token)
	in_background ip netns exec "${spaces[$1]}" dpl-serve -C "$ledger" -l "10.77.9.$((10 + $1))" --token-file token --allow-host "10.77.9.$((10 + $1))" >"said.$1" 2>"err.$1"
	wait_for "[ -s said.$1 ]"
}

# foreign N ANSWER: what listens there on the port and sends that, from python; headers of who asks go to asked.N.
foreign() {
	: >"asked.$1"
	in_background ip netns exec "${spaces[$1]}" "$python" -c '
import socket, sys, threading, time
s = socket.create_server(("0.0.0.0", 19880))
def serve(c):
    try:
        open(sys.argv[1], "ab").write(c.recv(65536))
        exec(sys.argv[2])
    except OSError:
        pass
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
' "asked.$1" "$2"
	wait_for "[ \"\$(ip netns exec ${spaces[$1]} ss -Htln sport = :19880)\" ]"
}

@test "on this machine: loopback, a socket, what is named; in that order" {
	network 0
	expect 7 on 0 dpl-discover
	has "$stderr" 'no server of ledgers at any of 3 addresses; --scan asks'
	expect 7 on 0 dpl-discover --json
	json_error unreachable
	expect 7 on 0 dpl-discover -v -t 1s
	has "$stderr" 'http://127.0.0.1:19880: ' 'http://10.77.9.1:19880: '
	in_background ip netns exec "${spaces[0]}" dpl-serve -C "$ledger" >said
	wait_for '[ -s said ]'
	expect 0 on 0 dpl-discover -t 5s
	has "$output" 'http://127.0.0.1:19880  tom_dist_ledger  ' '  up '
	is "$(wc -l <<<"$output")" 1
	mkdir -p run/dpl
	in_background ip netns exec "${spaces[0]}" dpl-serve -C "$ledger" --unix "$PWD/run/dpl/a.sock" >there
	wait_for '[ -s there ]'
	expect 0 on 0 env XDG_RUNTIME_DIR="$PWD/run" dpl-discover -q -t 5s
	is "$output" "unix:$PWD/run/dpl/a.sock"
	expect 0 on 0 env XDG_RUNTIME_DIR="$PWD/run" DPL_SERVER=http://localhost:19880 dpl-discover -q -t 5s
	is "$output" http://localhost:19880
	expect 0 on 0 env XDG_RUNTIME_DIR="$PWD/run" dpl-discover -aq -t 5s
	is "$(sort <<<"$output")" "$(printf '%s\n' http://127.0.0.1:19880 http://localhost:19880 "unix:$PWD/run/dpl/a.sock")"
	expect 0 on 0 dpl-discover --json -t 5s http://127.0.0.1:19880
	holds '.ok and .url == "http://127.0.0.1:19880" and .service == "tom_dist_ledger" and (.version | length) > 2 and .ageMs >= 0 and .tookMs >= 0'
	# What is found is what the others take.
	expect 0 on 0 env DPL_LEDGER="$(on 0 dpl-discover -q -t 5s)" dpl-create -q
	# A port of its own, and one on which nobody is.
	expect 7 on 0 dpl-discover -P 1
}

@test "a network: found with --scan alone, at once, whatever else is there, and without a token" {
	network 5
	server 1
	foreign 2 'time.sleep(30)'
	foreign 3 'c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 20000000)'
	foreign 4 'c.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://10.77.9.11:19880/status\r\nContent-Length: 0\r\n\r\n"); c.close()'
	foreign 5 'body = b"{\"service\":\"tom_dist_ledger\",\"version\":\"9\",\"status\":\"ok\"}"; time.sleep(0.3); c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body); c.close()'
	export DPL_TOKEN_FILE=$PWD/token
	expect 7 on 0 dpl-discover
	start=${EPOCHREALTIME/[!0-9]/}
	expect 0 on 0 dpl-discover --scan -aqv -t 2s
	took=$(((${EPOCHREALTIME/[!0-9]/} - start) / 1000))
	is "$output" $'http://10.77.9.11:19880\nhttp://10.77.9.15:19880'
	has "$stderr" '10.77.9.12:19880: ' '10.77.9.13:19880: it answers with more than 65536 bytes' '10.77.9.14:19880: it answers 302' '10.77.9.200:19880: '
	# The silent ones at once, not one after the other.
	[ "$took" -lt 6000 ]
	is "$(cat asked.* | grep -c '^GET /status ')" 4
	run ! grep -iq 'authorization\|aaaaaaaa' asked.2 asked.3 asked.4 asked.5
	expect 0 on 0 dpl-discover --scan -j -t 2s
	holds '.url == "http://10.77.9.11:19880"'
	# It has no age where it tells none.
	expect 0 on 0 dpl-discover -t 2s -j http://10.77.9.15:19880
	holds '.version == "9" and (has("ageMs") | not)'
}

@test "the ledger auto:scan: what is found, which gets no token; else the folder" {
	network 2
	mkdir -p here/_ai
	cd here
	mkdir _ai/operation_ledger
	expect 0 on 0 env DPL_LEDGER=auto:scan dpl-create -q -p folder
	is "$(dpl-show -C _ai/operation_ledger -j | jq -r '.operations[].initiatorId')" folder
	in_background ip netns exec "${spaces[1]}" dpl-serve -C "$ledger" -l 10.77.9.11 --insecure >said
	wait_for '[ -s said ]'
	# Again where it does not answer within the half second that it has.
	found() {
		on 0 env DPL_LEDGER=auto:scan dpl-create -q -p found && [ "$(dpl-show -C "$ledger" -j | jq -r '.operations[].initiatorId')" = found ]
	}
	wait_for found
	# auto alone asks nobody on the network.
	expect 0 on 0 env DPL_LEDGER=auto dpl-create -q -p near
	is "$(dpl-show -C "$ledger" -j | jq '.operations | length')" 1
}

@test "--wait: one that comes; no network; misuse" {
	network 0
	in_background ip netns exec "${spaces[0]}" dpl-discover -q --wait 20s >found
	waiter=$pid
	sleep 0.7
	in_background ip netns exec "${spaces[0]}" dpl-serve -q -C "$ledger"
	ended "$waiter"
	is "$status $(<found)" '0 http://127.0.0.1:19880'
	end_background
	ip -n "${spaces[0]}" link set lan down
	expect 7 on 0 dpl-discover --scan
	has "$stderr" 'no network to scan' 'no server of ledgers at any of 2 addresses'
	ip -n "${spaces[0]}" address del 10.77.9.1/24 dev lan
	ip -n "${spaces[0]}" address add 10.77.9.1/16 dev lan
	ip -n "${spaces[0]}" link set lan up
	expect 7 on 0 dpl-discover --scan -v -t 100ms
	has "$stderr" 'lan: of its network the 254 addresses around its own alone' 'at any of 256 addresses'
	for line in 'ftp://x' 'x' '-P 0' '-P 70000' '-t 0' '-t x' '--wait x' '--nonsense' 'http://a:b@c' 'unix:x'; do
		# shellcheck disable=SC2086
		expect 2 on 0 dpl-discover $line
		is "$output" ''
	done
}
