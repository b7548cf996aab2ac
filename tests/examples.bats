#!/usr/bin/env bats
# The examples for calls in the background, run for real (those of `make demo` are in demo.bats)

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # $ that does not expand; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	unset DPL_PARTICIPANT
	export MARK=$BATS_TEST_TMPDIR
	PATH=$root/examples:$PATH
	mkdir tests
}

# nobody_left: no process of the test is there any more.
nobody_left() {
	wait_for '[ -z "$(marked)" ]'
}

program() {
	printf '#!/bin/sh\n%s\n' "$2" >"tests/$1"
	chmod +x "tests/$1"
}

# --- run-tests.sh ---

@test "run-tests: what passed, what failed and why, never more than -j at a time" {
	for i in 1 2 3 4 5; do
		program "good$i" 'mkdir "in.$$"; ls -d in.* | wc -l >>most; sleep 0.05; rmdir "in.$$"'
	done
	expect 0 run-tests.sh -j 2 tests/*
	has "$output" '5 passed, 0 failed, 0 stopped' 'ok   tests/good3'
	[ "$(sort -n most | tail -n 1)" -le 2 ]
	program bad 'echo before; echo "line of trouble" >&2; exit 3'
	program hung 'exec sleep 60'
	expect 1 run-tests.sh -t 3s tests/*
	has "$output" '5 passed, 2 failed, 0 stopped' 'FAIL tests/bad: exit status 3' 'FAIL tests/hung: timeout'
	by_server || has "$output" '     line of trouble' # what calls print is kept in folders alone
	is "$(dpl-show --json @@ | jq -r .state)" failed
	is "$(dpl-show -q)" ''
	nobody_left
}

@test "run-tests -f: the first failure stops the rest" {
	program slow 'exec sleep 60'
	program bad 'exit 1'
	expect 1 run-tests.sh -f -j 2 tests/slow tests/bad tests/slow
	has "$output" '0 passed, 1 failed, 2 stopped' 'FAIL tests/bad' '-    tests/slow: stopped'
	nobody_left
}

@test "run-tests: Ctrl-C, and kill -9, leave no process and no live operation" {
	local sig
	for sig in INT KILL; do
		program slow 'exec sleep 60'
		# A group of its own, as from a terminal: Ctrl-C is for all of it.
		in_background setsid env --default-signal=INT run-tests.sh -j 1 tests/slow tests/slow
		wait_for '[ "$(dpl-call list -o @@ 2>/dev/null | grep -c "running\|queued")" = 2 ]'
		kill -"$sig" -- "-$pid"
		ended "$pid"
		nobody_left
		wait_for 'dpl-cleanup -q --sweep && [ -z "$(dpl-show -q)" ]'
	done
	expect 2 run-tests.sh
}

# --- nightly-backup.sh ---

@test "nightly-backup: the archive is whole, its progress is seen, nothing else is left" {
	mkdir data target
	head -c 3000000 /dev/urandom >data/a
	seq 1000 >data/b
	expect 0 nightly-backup.sh data target
	file=target/data-$(date -u +%Y%m%d).tar.gz
	mkdir there
	tar -C there -xzf "$file"
	diff -r data there/data
	is "$(cd target && ls -A)" $'.lock\n'"${file#target/}"
	is "$(dpl-show --json @@ | jq -r '.state')" completed
	[ "$(dpl-show --trail @@ | grep -c packing)" -ge 2 ]
	expect 2 nightly-backup.sh data
	expect 2 nightly-backup.sh data nowhere
}

@test "nightly-backup: a second one at a time does nothing; one that is killed leaves nothing" {
	mkdir data target shadow
	seq 1000 >data/b
	# A tar that takes its time.
	printf '#!/bin/sh\n: >begun; read -r x <gate; exec /usr/bin/env PATH="%s" tar "$@"\n' "$PATH" >shadow/tar
	chmod +x shadow/tar
	mkfifo gate
	PATH=$PWD/shadow:$PATH in_background nightly-backup.sh data target
	wait_for '[ -e begun ]'
	[ -n "$(find target -name '.data*')" ]
	expect 0 nightly-backup.sh data target
	has "$stderr" 'another one is at work'
	kill -KILL "$pid"
	ended "$pid"
	wait_for '[ -z "$(find target -name ".data*")" ]'
	nobody_left
	expect 0 nightly-backup.sh data target
	is "$(dpl-show -q)" ''
}

# --- agent-fan-out.sh ---

@test "agent-fan-out: each command in a shell of its own; what cannot be counted has its result, too" {
	echo 'one two' >a
	seq 100 >b
	expect 0 agent-fan-out.sh a b missing
	is "$output" "$(printf '%8s %s\n' 2 a 100 b null missing 102 'in all')"
	is "$(dpl-show --json @@ | jq -r '[.state, .endReason, .callCounts.ended] | @csv')" '"completed","102 words",3'
	nobody_left
	expect 2 agent-fan-out.sh
}
