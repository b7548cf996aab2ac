#!/usr/bin/env bats
# A disk that hangs for a while, as where a virtual machine is saved, and a server whose ledger is on it: nobody can beat by that meanwhile,
# and nobody dies of it.

# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # each test is a subshell; wait_for reads what it is given; helper.bash sets them

load helper

setup() {
	need_built dpl-serve
	fresh_ledger
	[ "$(id -u)" -eq 0 ] || skip 'only root can mount'
	for tool in fsfreeze mkfs.ext4; do
		command -v "$tool" >/dev/null || skip "no $tool"
	done
	disk=$BATS_TEST_TMPDIR/disk
	mkdir "$disk"
	truncate -s 32M image
	mkfs.ext4 -q image
	mount -o loop image "$disk" 2>/dev/null || skip 'loop devices cannot be mounted here'
	ledger=$disk/ledger
	in_background dpl-serve -C "$ledger" -P 0 >said 2>serve.err
	server=$pid
	wait_for '[ -s said ] || gone "$server"'
	read -r url <said
	export DPL_LEDGER=$url
	stale=3
	op=$(dpl-create -p main --beat 500ms --jitter 0s --stale ${stale}s)
	dpl-join -q -o "$op" -p worker
	in_background sleep 1000
	work=$pid
	keeper=$(dpl-beat -o "$op" -p worker --keep --pid "$work")
}

teardown() {
	[ -z "${disk:-}" ] || fsfreeze -u "$disk" 2>/dev/null || true
	[ -z "${keeper:-}" ] || kill -CONT "$keeper" 2>/dev/null || true
	end_background
	[ -z "${keeper:-}" ] || wait_for 'gone "$keeper"'
	while [ -n "${disk:-}" ] && mountpoint -q "$disk"; do
		umount "$disk" 2>/dev/null || umount -l "$disk" || break
	done
}

# request PATH BODY: as it goes over the wire.
request() {
	printf 'POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' "$1" "${#2}" "$2"
}

# The server begins to carry out what is on standard input, and the disk hangs; who would beat meanwhile waits for it.  The answers
# come from $connection.
hang() {
	kill -STOP "$keeper"
	fsfreeze -f "$disk"
	exec {connection}<>"/dev/tcp/127.0.0.1/${url##*:}"
	cat >&"$connection"
	wait_for 'cat "/proc/$server/task/"*/stat | grep -q "^[0-9]* (.*) D "'
	kill -CONT "$keeper"
	sleep $((stale + 2))
}

deaths() {
	count '.event == "crash.detected"'
}

# A death is found still, once the disk is there.
mortal_still() {
	kill -KILL "$keeper" "$work"
	wait_for 'dpl-cleanup -q -o "$op" >&2 || true; [ "$(deaths)" = 1 ]'
}

@test "who looks behind a change that took long, before the beats are read, takes nobody for dead" {
	# One behind the other, on one connection: both are read before the disk hangs, and the beats are not.
	hang < <(request /operation/log "{\"operationId\":\"$op\",\"participantId\":\"main\",\"message\":\"hello\"}" &&
		request /operation/heartbeat "{\"operationId\":\"$op\",\"participantId\":\"main\",\"look\":true}")
	fsfreeze -u "$disk"
	while read -r -t 10 -u "$connection" line && [[ $line != *'"staleParticipants"'* ]]; do
		:
	done
	has "$line" '"crashed":false'
	is "$(deaths)" 0
	expect 0 dpl-log -o "$op" -p main again
	mortal_still
}

@test "who looks in the folder while the server waits for the disk takes nobody for dead" {
	other=$(dpl-create -p main)
	hang < <(request /operation/log "{\"operationId\":\"$other\",\"participantId\":\"main\",\"message\":\"hello\"}")
	in_background dpl-cleanup -C "$ledger" -o "$op"
	sweeper=$pid
	# It has looked, or waits for the disk to record what it saw.
	wait_for 'gone "$sweeper" || grep -q "^[0-9]* (.*) D " "/proc/$sweeper/stat"'
	fsfreeze -u "$disk"
	ended "$sweeper"
	is "$status $(deaths)" '0 0'
	expect 0 dpl-log -o "$op" -p main again
	mortal_still
}
