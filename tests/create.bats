#!/usr/bin/env bats
# dpl-create

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

@test "create prints the id alone, and the ledger is there" {
	expect 0 dpl-create -d 'nightly build'
	is "$stderr" ''
	[[ $output =~ ^[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-me-[0-9a-f]{8}$ ]]
	is "$(stat -c %a "$ledger" "$ledger/$output" "$ledger/backup" "$ledger/keys" "$ledger/$output/journal.jsonl" | tr '\n' ' ')" '700 700 700 700 600 '
	is "$(entries "$output")" operation.created
	is "$(last_entry "$output" '[.seq, .by, .description, .operationId, .sessionId, .format] | @csv')" "1,\"me\",\"nightly build\",\"$output\",1,1"
}

@test "create --json: ok, the id, the initiator, session 1" {
	expect 0 dpl-create --json
	is "$stderr" ''
	holds '.ok and .isInitiator and .participantId == "me" and .sessionId == 1 and .seq == 1 and .aborted == false and .abortReason == null'
	holds '.startTime | test("^[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z$")'
	is "$(json .operationId)" "$(dpl-show -q)"
}

@test "create records the caller: pid, start, boot and host; --pid names another" {
	self=$BASHPID
	expect 0 dpl-create
	op=$output
	is "$(last_entry "$op" .pid)" "$self"
	is "$(last_entry "$op" .pidStart)" "$(sed 's/.*) //' "/proc/$self/stat" | cut -d' ' -f20)"
	is "$(last_entry "$op" .bootId)" "$(cat /proc/sys/kernel/random/boot_id)"
	is "$(last_entry "$op" .host)" "$(uname -n)"
	op=$(dpl-create --pid 1)
	is "$(last_entry "$op" .pid)" 1
	for pid in 0 -1 x 1.5 2147483648 '' 01; do
		expect 2 dpl-create --pid "$pid"
		refused dpl-create --pid
	done
}

@test "create: the settings, and their defaults" {
	op=$(dpl-create)
	is "$(last_entry "$op" '[.beatMs, .jitterMs, .staleMs, .ttlMs, .windowMs] | @csv')" 4500,500,10000,900000,9000
	op=$(dpl-create --beat 250ms --jitter 0 --stale 1.5s --ttl 1h30m --window 2)
	is "$(last_entry "$op" '[.beatMs, .jitterMs, .staleMs, .ttlMs, .windowMs] | @csv')" 250,0,1500,5400000,2000
	expect 0 dpl-show --json "$op"
	holds '.settings == {beatMs: 250, jitterMs: 0, staleMs: 1500, ttlMs: 5400000, windowMs: 2000}'
	op=$(dpl-create --beat 1s)
	is "$(last_entry "$op" .windowMs)" 2000
}

@test "create: a stale time within a beat is refused, and no ledger is made" {
	local_only 'a server has made it'
	expect 2 dpl-create --beat 10s --stale 10s
	refused dpl-create stale
	expect 2 dpl-create --beat 9.6s
	refused dpl-create stale
	expect 2 dpl-create --json --beat 10s --stale 10s
	json_error bad-request
	[ ! -e "$ledger" ]
}

@test "create: durations are strict" {
	for d in '' x -1 1e3 5x 30s1m 1m1m ' 5s' '5s ' 5.s .5s 1.2345 11y 4000d 99999999999999999999 0x10 '1 s' 5S; do
		expect 2 dpl-create --ttl "$d"
		refused dpl-create --ttl 'no duration'
	done
	for d in 5s 1m30s 2h 250ms 1d 90 1.5 1d2h3m4s5ms 0.25s; do
		expect 0 dpl-create --beat 10ms --jitter 0 --ttl "$d"
	done
	op=$(dpl-create --ttl 1d2h3m4s5ms)
	is "$(last_entry "$op" .ttlMs)" 93784005
}

@test "create --export: eval sets the environment, whatever has to be quoted" {
	DPL_LEDGER="$BATS_TEST_TMPDIR/it's a \$(touch x) \"ledger\"; \`id\`"
	name="o'brien \"x\" \$HOME \`id\` \\ é"
	expect 0 dpl-create --export -p "$name"
	is "$(wc -l <out)" 4
	is "$(cut -d= -f1 out | tr '\n' ' ')" 'export DPL_LEDGER export DPL_OPERATION export DPL_PARTICIPANT export DPL_SESSION '
	want=$DPL_LEDGER
	unset "${!DPL_@}"
	eval "$output"
	is "$DPL_LEDGER" "$want"
	is "$DPL_PARTICIPANT" "$name"
	is "$DPL_SESSION" 1
	[ ! -e x ]
	expect 0 env dpl-log 'exported: a child needs no option'
	expect 0 dpl-complete
	is "$output" completed
}

@test "create: the name of a relative ledger is exported as an absolute one" {
	mkdir sub
	cd sub
	eval "$(DPL_LEDGER=./here/ dpl-create --export)"
	is "$DPL_LEDGER" "$BATS_TEST_TMPDIR/sub/here"
	cd /
	expect 0 dpl-show
}

@test "create -q prints nothing, -v says on stderr which entry it wrote" {
	expect 0 dpl-create -q
	silent
	expect 0 dpl-create -v
	is "$stderr" "dpl-create: entry 1 of $output in $DPL_LEDGER"
	expect 0 dpl-create -qj
	holds .ok
}

@test "create --key: the same key gives the same operation" {
	expect 0 dpl-create --key nightly-1 -d build
	op=$output
	expect 0 dpl-create --key nightly-1 -d build
	is "$output" "$op"
	expect 0 dpl-create --json --key nightly-1 -d build
	holds '.ok and .replayed and .operationId == $op and .seq == 1 and .sessionId == 1' --arg op "$op"
	is "$(dpl-show -q)" "$op"
	is "$(entries "$op" | wc -l)" 1
}

@test "create --key: another request with it is refused" {
	op=$(dpl-create --key k -d build)
	expect 6 dpl-create --key k -d other
	refused dpl-create k "$op"
	expect 6 dpl-create --key k -d build -p you
	expect 6 dpl-create --key k -d build --ttl 1m
	expect 6 dpl-create --json --key k
	json_error key-reused
	holds '.error.retryable == false'
	is "$(dpl-show -q)" "$op"
}

@test "create --key: the same answer after the end, from backup" {
	op=$(dpl-create --key k)
	dpl-complete -o "$op"
	expect 0 dpl-create --key k
	is "$output" "$op"
	expect 6 dpl-create --key k -d other
	expect 0 dpl-show -q
	is "$output" ''
}

@test "create --key: a maker that died before the operation was there is taken over" {
	op=$(dpl-create --key k)
	rm -r "${ledger:?}/$op"
	expect 0 dpl-create --key k
	is "$output" "$op"
	is "$(last_entry "$op" .operationId)" "$op"
}

# One that has ended, whose key is k, and nothing else.
ended_with_key() {
	op=$(dpl-create --key k)
	dpl-complete -q -o "$op"
}

# sole ID: the key gives this one, and no other operation is live.
sole() {
	is "$(dpl-create --key k)" "$1"
	is "$(dpl-show -q)" "$1"
}

@test "create --key: who deletes the operation that it made is killed in the midst of that; what it makes next keeps it" {
	local_only 'the process that deletes'
	local cut=0
	need_strace
	for call in flock renameat,renameat2 readlink,readlinkat unlink,unlinkat rmdir; do
		for when in 1 2 3; do
			rm -rf "$ledger"
			ended_with_key
			status=0
			strace -qq -o /dev/null -e trace="$call" -e inject="$call:signal=KILL:when=$when" dpl-cleanup --prune --keep 0 >/dev/null 2>&1 || status=$?
			[ "$status" -le 128 ] || cut=$((cut + 1))
			next=$(dpl-create --key k)
			dpl-cleanup -q --prune --keep 0
			if [ "$next" = "$op" ]; then # it was in the ledger still
				next=$(dpl-create --key k)
			fi
			[ "$next" != "$op" ] || { echo "$call $when" && return 1; }
			sole "$next" || { echo "$call $when" && return 1; }
			# What is still of the first goes with the next that ends, the key of the second with that.
			dpl-complete -q -o "$next"
			is "$(find "$ledger" -name "*$op*")" ''
			is "$(dpl-create --key k)" "$next"
			dpl-cleanup -q --prune --keep 0
			is "$(names "$ledger/keys")$(names "$ledger/backup")" ''
		done
	done
	[ "$cut" -ge 5 ] || { echo "it was killed $cut times" && return 1; }
}

@test "create --key: the operation is deleted while it is asked for" {
	local_only 'the process that deletes'
	need_strace
	ended_with_key
	in_background strace -qq -o trace -e trace=readlinkat -e inject=readlinkat:signal=STOP dpl-create --key k >asked
	creator=$pid
	wait_for 'grep -q "stopped by SIGSTOP" trace'
	in_background dpl-cleanup -q --prune --keep 0 -t 60s
	pruner=$pid
	wait_for 'gone "$pruner" || grep -q -- "-> FLOCK .* $pruner " /proc/locks'
	wait_for 'kill -CONT "$(pgrep -P "$creator")" 2>/dev/null; gone "$creator"'
	ended "$creator"
	is "$status" 0
	ended "$pruner"
	is "$status" 0
	next=$(dpl-create --key k)
	[ "$(<asked)" = "$op" ] || is "$next" "$(<asked)"
	sole "$next"
	dpl-complete -q -o "$next"
	is "$(dpl-create --key k)" "$next"
}

@test "create: 200 keys, 200 operations" {
	for i in $(seq 200); do
		echo "{\"path\":\"/operation/create\",\"body\":{\"participantId\":\"me\"},\"key\":\"k.$i\"}"
	done >requests
	dpl-batch <requests >first
	dpl-batch <requests >second
	is "$(jq -r .body.operationId first | sort -u | wc -l)" 200
	is "$(jq -r .body.operationId second)" "$(jq -r .body.operationId first)"
	is "$(dpl-show -q | wc -l)" 200
}

@test "create takes no operand and no -o" {
	local_only 'a server has made it'
	expect 2 dpl-create me
	refused dpl-create "'me'" --help
	expect 2 dpl-create -o x
	refused dpl-create -o
	[ ! -e "$ledger" ]
}

@test "create: a long name makes a long id that can be used" {
	name=$(printf 'x%.0s' {1..64})
	expect 0 dpl-create -p "$name"
	has "$output" "-$name-"
	expect 0 dpl-log -o "$output" -p "$name" hello
	expect 2 dpl-create -p "x$name"
	refused dpl-create 'longer than 64'
}

@test "create: what is no description" {
	local_only 'a server has made it'
	expect 2 dpl-create -d "$(printf 'a\xffb')"
	refused dpl-create -d UTF-8
	expect 2 dpl-create -d "$(head -c 65536 /dev/zero | tr '\0' x)"
	refused dpl-create -d
	expect 2 dpl-create --json -d "$(head -c 65400 /dev/zero | tr '\0' x)"
	json_error too-large
	[ ! -e "$ledger" ]
	expect 0 dpl-create -d ''
	expect 0 dpl-create -d "$(printf 'line\n\ttab \x1b[31m "q" \\ \u202e é')"
	expect 0 dpl-show "$output"
	plain
	has "$output" 'line\n\ttab \x1b[31m "q" \ \u202e é'
}

@test "create: a ledger that cannot be made" {
	touch file
	expect 9 dpl-create -C file
	refused dpl-create "$BATS_TEST_TMPDIR/file"
	expect 9 dpl-create -C file/below
	refused dpl-create "$BATS_TEST_TMPDIR/file/below"
	expect 9 dpl-create --json -C file/below
	json_error io-error
	expect 2 dpl-create -C ''
	refused dpl-create ledger empty
}

@test "create with flushes on, and DPL_SYNC is on or off" {
	DPL_SYNC=on expect 0 dpl-create
	DPL_SYNC='' expect 0 dpl-create
	unset DPL_SYNC
	expect 0 dpl-create --key k
	expect 0 dpl-create --key k
	DPL_SYNC=yes expect 2 dpl-create
	refused dpl-create DPL_SYNC "'yes'"
}

@test "an option that is given twice: the last one counts" {
	expect 0 dpl-create -d a -d b --window 1s --window 3s --ttl 1m --ttl 2m --json
	second=$(jq -r .operationId <<<"$output")
	expect 0 dpl-show --json "$second"
	holds '.description == "b" and .settings.windowMs == 3000 and .settings.ttlMs == 120000'
	expect 0 dpl-join -o "$second" -p other --ttl 1m --ttl 2m
	expect 0 dpl-call start -o "$second" -p other -d a -d b --id x --id y --fallback 1 --fallback 2 --no-fail-on-crash --no-fail-on-crash
	is "$output" y
	expect 2 dpl-create --window
}
