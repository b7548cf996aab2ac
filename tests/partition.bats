#!/usr/bin/env bats
# two hosts, a server on one and a supervisor on the other, and the network between them that goes away: two network namespaces

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # each test is a subshell; helper.bash sets them

load helper

setup() {
	need_built dpl-serve dpl-remote-http
	[ "$(id -u)" = 0 ] || skip 'only root makes network namespaces'
	fresh_ledger
	here=dpl-a-$$ there=dpl-b-$$
	ip netns add "$here" 2>/dev/null || skip 'no network namespaces to be had'
	ip netns add "$there"
	ip link add veth0 netns "$here" type veth peer name veth0 netns "$there" 2>/dev/null || skip 'no pair of links to be had'
	ip -n "$here" address add 10.77.0.1/24 dev veth0
	ip -n "$there" address add 10.77.0.2/24 dev veth0
	for space in "$here" "$there"; do
		ip -n "$space" link set lo up
		ip -n "$space" link set veth0 up
	done
	(umask 077 && echo aaaaaaaaaaaaaaaaaaaaaaaa >token)
	in_background ip netns exec "$here" dpl-serve -C "$ledger" -l 10.77.0.1 --token-file token >said 2>serve.err
	wait_for '[ -s said ]'
	url=$(<said)
	is "$url" http://10.77.0.1:19880
}

teardown() {
	end_background
	for space in "${here:-}" "${there:-}"; do
		[ -z "$space" ] || ip netns del "$space" 2>/dev/null || true
	done
}

# far COMMAND ...: on the other host.
far() {
	ip netns exec "$there" env DPL_LEDGER="$url" DPL_TOKEN_FILE="$BATS_TEST_TMPDIR/token" "$@"
}

# in_far_background COMMAND ...
in_far_background() {
	in_background ip netns exec "$there" env DPL_LEDGER="$url" DPL_TOKEN_FILE="$BATS_TEST_TMPDIR/token" "$@"
}

link() { # up or down
	ip -n "$there" link set veth0 "$1"
}

@test "without its token nothing is done, and the helper says which file it wants" {
	expect 8 ip netns exec "$there" env DPL_LEDGER="$url" dpl-create
	has "$stderr" DPL_TOKEN_FILE
	is "$(far dpl-create -p far | wc -l)" 1
}

@test "one machine has 64 connections at most; this one has what it needs" {
	ip netns exec "$there" "$(type -P /usr/bin/python3 || type -P python3)" - <<-'END'
		import socket
		socks = [socket.create_connection(("10.77.0.1", 19880)) for _ in range(64)]
		more = socket.create_connection(("10.77.0.1", 19880), 5)
		answer = b""
		while True:
		    part = more.recv(4096)
		    if not part:
		        break
		    answer += part
		assert answer.startswith(b"HTTP/1.1 429 ") and b'"code":"too-many-requests"' in answer, answer
		socks[0].close()
		socks[1].sendall(b"GET /health HTTP/1.1\r\nHost: 10.77.0.1\r\n\r\n")
		assert b" 200 " in socks[1].recv(4096)
		socket.create_connection(("10.77.0.1", 19880), 5).sendall(b"")
	END
}

@test "a partition that is shorter than what is allowed is no death" {
	op=$(far dpl-create --beat 500ms --jitter 0s --stale 8s)
	export DPL_OPERATION=$op
	in_far_background dpl-call -- sh -c ': >running; until [ -e go ]; do sleep 0.1; done'
	wait_for '[ -e running ]'
	link down
	sleep 3
	expect 0 dpl-cleanup -C "$ledger" "$op"
	link up
	# It has beaten again, so that it is there longer than it could be without.
	wait_for '[ "$(dpl-call list -C "$ledger" -j | jq ".calls[0].beatAgeMs")" -lt 600 ]' 15
	is "$(dpl-call list -C "$ledger" -j | jq -r '.calls[0].liveness')" alive
	: >go
	ended "$pid"
	is "$status" 0
	is "$(dpl-show -j -C "$ledger" "$op" | jq -r '"\(.state) \(.crashed)"')" 'running false'
}

@test "a longer one is a death, and who was cut off is told when it comes back" {
	op=$(far dpl-create --beat 500ms --jitter 0s --stale "$(silence)" --window 1s)
	export DPL_OPERATION=$op
	in_far_background dpl-call --id cut -- sh -c ': >running; exec sleep 60'
	wait_for '[ -e running ]'
	link down
	wait_for '[ "$(dpl-call list -C "$ledger" -j | jq -r ".calls[0].liveness")" = stale ]'
	dpl-cleanup -q -C "$ledger" "$op" || true
	wait_for '[ "$(dpl-show -j -C "$ledger" "$op" | jq -r .state)" = failed ]'
	# It goes on there, since nobody can tell it.
	run ! gone "$pid"
	link up
	ended "$pid"
	is "$status" 123
	expect 5 far dpl-log x
	is "$(jq -r 'select(.event == "call.crashed") | .callId' <(journal_text "$op"))" cut
}
