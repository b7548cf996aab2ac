#!/usr/bin/env bats
# journal.bats - torn and damaged journals, checkpoints, flushes, archive and retention

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # each test is a subshell; journal.bash sets what is read

load tools/journal.bash

setup() {
	journal_setup
}

# An operation with some entries: $op, and its journal $j.
some_operation() {
	op=$(dpl-create -d some)
	dpl-call start -q -o "$op" --id one
	dpl-log -o "$op" hello
	j=$DPL_LEDGER/$op/journal.jsonl
}

sum() {
	sha256sum <"$1"
}

seq_of() {
	jq .seq <(dpl-show -j "$1")
}

# entry SEQ EVENT [MEMBERS]: a line of the journal.
entry() {
	printf '{"seq":%d,"at":"2026-11-22T14:30:45.123Z","by":"alice","event":"%s"%s}\n' "$1" "$2" "${3:+,$3}"
}

nuls() {
	head -c "$1" /dev/zero
}

# --- torn ends ---

@test "a torn last line is ignored by readers and cut by the next writer, who says so" {
	some_operation
	whole=$(sum "$j")
	entry 4 log '"message":"torn"' | head -c 60 >>"$j"
	torn=$(sum "$j")
	expect 0 dpl-show -j "$op"
	[[ $out == *'"seq":3,'* && -z $err ]]
	expect 0 dpl-log -q -o "$op"
	[ "$out" = hello ]
	[ -z "$err" ]
	[ "$(sum "$j")" = "$torn" ]
	expect 0 dpl-log -o "$op" next
	[ "$(wc -l <<<"$err")" -eq 1 ]
	[[ $err == "dpl-log: $j: cut 60 torn bytes after line 3"* ]]
	[ "$(wc -l <"$j")" -eq 4 ]
	[[ $(tail -n 1 "$j") == '{"seq":4,'*'"message":"next"}' ]]
	[ "$(head -n 3 "$j" | sha256sum)" = "$whole" ]
	expect 0 dpl-log -o "$op" again
	[ -z "$err" ]
}

@test "a torn line of every length" {
	some_operation
	cp "$j" whole
	entry 4 call.started '"callId":"two","sessionId":1' >line
	length=$(wc -c <line)
	unwatched
	for ((n = 1; n < length; n++)); do
		cat whole >"$j"
		head -c "$n" line >>"$j"
		expect 0 dpl-call start -o "$op" --id two
		[[ $err == *": cut $n torn bytes after line 3"* ]] || fail "$n: $err"
		[ "$(wc -l <"$j")" -eq 4 ] || fail "$n"
	done
	# The newline was there too: the entry counts.
	cat whole line >"$j"
	expect 6 dpl-call start -o "$op" --id two
}

@test "zeros at the end are a torn end" {
	some_operation
	cp "$j" whole
	nuls 100 >tail.1
	{ nuls 100; echo; } >tail.2
	{ nuls 5000; echo; entry 4 log '"message":"kept by chance"'; } >tail.3
	{ entry 4 log | head -c 30; nuls 70; echo; entry 5 progress; entry 6 log; } >tail.4
	{ nuls 100; entry 4 log | tail -c 20; entry 5 log; entry 6 log | head -c 10; } >tail.5
	{ nuls 100; echo; nuls 50; echo; entry 7 log; } >tail.6
	{ nuls 900000; } >tail.7
	for tail in tail.*; do
		cat whole "$tail" >"$j"
		before=$(sum "$j")
		expect 0 dpl-show -j "$op"
		[[ $out == *'"seq":3,'* ]] || fail "$tail: $out"
		[ "$(sum "$j")" = "$before" ] || fail "$tail: a reader wrote"
		expect 0 dpl-log -o "$op" next
		[[ $err == *"cut $(wc -c <"$tail") torn bytes after line 3"* ]] || fail "$tail: $err"
		[[ $(tail -n 1 "$j") == '{"seq":4,'*'"message":"next"}' ]] || fail "$tail"
		[ "$(head -n 3 "$j" | sha256sum)" = "$(sum whole)" ] || fail "$tail"
	done
}

@test "zeros in front of what was acknowledged are damage" {
	some_operation
	cp "$j" whole
	{ nuls 100; echo; entry 5 call.started '"callId":"two"'; } >tail.1
	{ nuls 100; echo; entry 5 log; entry 6 abort.set; entry 7 log; } >tail.2
	{ nuls 100; echo; entry 5 weather.changed; } >tail.3 # of a newer dpl: flushed, for all we know
	{ nuls 100; echo; echo garbage; entry 6 log; } >tail.4
	{ nuls 100; entry 5 call.started '"callId":"two"'; } >tail.5 # the line end in front of it is lost too
	{ nuls 2000000; } >tail.6 # no crash leaves as many
	for tail in tail.*; do
		cat whole "$tail" >"$j"
		before=$(sum "$j")
		for command in "dpl-log -o $op next" "dpl-show $op" "dpl-abort -o $op" "dpl-complete -o $op --cancel"; do
			# shellcheck disable=SC2086 # words
			expect 9 $command
			[[ $err == *"$j:4: "* ]] || fail "$tail: $err"
			[ "$(sum "$j")" = "$before" ] || fail "$tail: $command changed it"
		done
	done
}

@test "a whole line that is wrong is damage: exit 9, file and line, nothing rewritten" {
	some_operation
	cp "$j" whole
	{ echo; } >bad.1
	{ echo garbage; } >bad.2
	{ entry 5 log; } >bad.3 # a gap
	{ entry 3 log; } >bad.4 # twice
	{ entry 4 log | tr -d '}'; } >bad.5
	{ entry 4 operation.created '"format":1'; } >bad.6
	{ entry 4 log '"message":"'"$(nuls 70000 | tr '\0' m)"'"'; } >bad.7
	{ entry 4 log '"message":5'; } >bad.8
	{ printf '%s\r\n' '{"seq":4,"at":"2026-11-22T14:30:45.123Z","event":"log"}x'; } >bad.9
	for bad in bad.*; do
		for behind in 0 1; do
			cat whole "$bad" >"$j"
			[ "$behind" -eq 0 ] || entry 5 log >>"$j"
			before=$(sum "$j")
			for command in "dpl-log -o $op next" "dpl-show $op" "dpl-log -o $op" "dpl-call end -o $op one" "dpl-join -o $op"; do
				[ "$behind" -eq 0 ] || [[ $command == *next || $command == dpl-show* ]] || continue
				# shellcheck disable=SC2086 # words
				expect 9 $command
				[[ $err == *"$j:4: "* ]] || fail "$bad: $err"
				[ "$(sum "$j")" = "$before" ] || fail "$bad: $command changed it"
			done
			expect 9 dpl-show -j "$op"
			[ "$(jq -r .error.code <<<"$out")" = damaged-journal ] || fail "$out"
		done
	done
	[ "$(ls -A "$DPL_LEDGER/$op")" = $'beats\nbell\ncalls\ncoordinator\njournal.jsonl' ]
}

@test "a damaged operation does not hide the others" {
	some_operation
	sed -i 2d "$j"
	other=$(dpl-create)
	expect 0 dpl-show -q
	[ "$out" = "$(printf '%s\n' "$op" "$other" | sort)" ]
	expect 0 dpl-show
	[[ $out == *damaged-journal* && $out == *running* ]]
	expect 0 dpl-complete -o "$other"
}

@test "an empty, a torn and a missing journal" {
	some_operation
	: >"$j"
	expect 9 dpl-show "$op"
	[[ $err == *"$j:1: the file is empty"* ]]
	printf '{"seq":1,' >"$j"
	expect 9 dpl-log -o "$op" x
	[[ $err == *"$j:1: the first line is torn"* ]]
	[ "$(cat "$j")" = '{"seq":1,' ]
	nuls 50 >"$j"
	expect 9 dpl-show "$op"
	rm "$j"
	expect 9 dpl-log -o "$op" x
	[[ $err == *"$j:1: the file is missing"* ]]
	[ ! -e "$j" ]
}

@test "something else in the journal's place is refused, at once" {
	some_operation
	for kind in folder link fifo device; do
		rm -rf "$j"
		case $kind in
		folder) mkdir "$j" ;;
		link) ln -s /etc/passwd "$j" ;;
		fifo) mkfifo "$j" ;;
		device) [ "$(id -u)" -eq 0 ] && mknod "$j" c 1 3 || continue ;;
		esac
		expect 9 timeout 5 dpl-show "$op"
		[[ $err == *"not a regular file"* ]] || fail "$kind: $err"
		expect 9 timeout 5 dpl-log -o "$op" x
	done
}

@test "a journal of a newer format is left alone" {
	some_operation
	sed -i '1s/"format":1/"format":2/' "$j"
	before=$(sum "$j")
	for command in "dpl-log -o $op next" "dpl-show $op" "dpl-complete -o $op --cancel"; do
		# shellcheck disable=SC2086 # words
		expect 9 $command
		[[ $err == *"newer dpl"* ]] || fail "$err"
	done
	expect 9 dpl-abort -j -o "$op"
	[ "$(jq -r .error.code <<<"$out")" = unsupported-format ]
	[ "$(sum "$j")" = "$before" ]
}

@test "entries that a newer dpl wrote are kept and passed over" {
	some_operation
	entry 4 weather.changed '"to":{"sun":[1,2]}' >>"$j"
	entry 5 call.moved '"callId":"one"' >>"$j"
	before=$(sum "$j")
	expect 0 dpl-log -o "$op" next
	[ "$(head -n 5 "$j" | sha256sum)" = "$before" ]
	expect 0 dpl-call list -q -o "$op"
	[ "$out" = one ]
	expect 0 dpl-complete -o "$op" --cancel
	[ "$(head -n 5 "$DPL_LEDGER/backup/$op/journal.jsonl" | sha256sum)" = "$before" ]
	[ "$(wc -l <"$DPL_LEDGER/backup/$op/operation.log")" -eq 9 ]
}

# --- the lock ---

@test "a change waits for flock(1), says for whom, and gives up in time" {
	need_tool flock
	some_operation
	mkfifo go
	flock "$j" sh -c 'echo locked; read -r x <go' >locked 3>&- &
	holder=$!
	wait_until grep -q locked locked
	expect 124 dpl-log -o "$op" -t 0 x
	expect 124 dpl-log -o "$op" -t 1200ms x
	[[ $err == *"waiting for the lock on $j, held by pid "*"not locked within 1200 ms, held by pid "* ]] || fail "$err"
	expect 0 dpl-show -q "$op"
	expect 0 dpl-log -q -o "$op"
	dpl-log -o "$op" patient 3>&- &
	waiter=$!
	echo >go
	wait "$waiter"
	wait "$holder"
	[[ $(tail -n 1 "$j") == *'"message":"patient"}' ]]
}

@test "the lock is held while a change writes" {
	need_strace
	need_tool flock
	some_operation
	# Stopped at its write: a foreign witness does not get the lock then, and does after.
	strace -qq -o trace -e trace=write -e inject=write:delay_enter=1500000:when=1 dpl-log -o "$op" slow 3>&- &
	tracer=$!
	wait_until eval '! flock -n "$j" true'
	wait "$tracer"
	expect 0 flock -n "$j" true
	[[ $(tail -n 1 "$j") == *'"message":"slow"}' ]]
}

# --- checkpoints ---

# A long journal with a checkpoint: $op, $j, $c.
long_operation() {
	op=$(dpl-create)
	j=$DPL_LEDGER/$op/journal.jsonl
	c=$DPL_LEDGER/$op/checkpoint
	many_lines "$j" "${1:-2000}"
	dpl-call start -q -o "$op" --id last
	[ -s "$c" ]
}

still() {
	sed -E 's/"durationMs":[0-9]+//g; s/"shownAt":"[^"]*"//g; s/"beatAgeMs":[0-9]+//g'
}

# What there is to see of the live state, without times that go on.
state_of() {
	{
		dpl-call list -j -o "$1"
		printf '{"path":"/operation/show","body":{"operationId":"%s","calls":"running"}}\n' "$1" | dpl-batch
		dpl-show -j
	} | still
}

@test "a checkpoint is used: the journal is not read from its beginning" {
	need_strace
	long_operation
	size=$(wc -c <"$j")
	[ "$size" -gt 100000 ]
	strace -qq -y -o trace -e trace=pread64,read,mmap dpl-call list -q -o "$op" >/dev/null
	awk -v file="$j" 'index($0, "<" file ">") && /^pread64/ { n = split($0, part, ", "); sub(/\).*/, "", part[n]); if (part[n] + 0 == 0) exit 1 }' trace || fail "$(cat trace)"
	grep -qF "<$c>" trace
	rm "$c"
	strace -qq -y -o trace -e trace=pread64,read dpl-call list -q -o "$op" >/dev/null
	grep -F "<$j>" trace | grep -q ', 0) = ' || fail "$(cat trace)"
}

@test "without the checkpoint, and in a copy of the folder, the state is the same" {
	long_operation
	want=$(state_of "$op")
	rm "$c"
	[ "$(state_of "$op")" = "$want" ]
	expect 0 dpl-log -o "$op" x
	[ -s "$c" ]
	cp -a "$DPL_LEDGER" copy
	want=$(state_of "$op")
	DPL_LEDGER=$PWD/copy expect 0 dpl-log -o "$op" elsewhere
	[ "$(DPL_LEDGER=$PWD/copy dpl-call list -q -o "$op" | sha256sum)" = "$(dpl-call list -q -o "$op" | sha256sum)" ]
	[ "$(state_of "$op")" = "$want" ]
}

@test "a checkpoint with any byte changed is not believed" {
	command -v flip >/dev/null || skip "flip is not built (make test-tools)"
	long_operation 1000
	printf '{"path":"/operation/state","body":{"operationId":"%s"}}\n{"path":"/operation/show","body":{"operationId":"%s","calls":"running"}}\n' "$op" "$op" >look
	size=$(wc -c <"$c")
	mv "$c" aside
	want=$(dpl-batch <look | still)
	[[ $want == *'"callId":"last"'* ]]
	mv aside "$c"
	unwatched
	# Every byte of the head, and some of the records.
	for ((i = 0; i < size; i += i < 900 ? 1 : 17)); do
		flip "$c" "$i"
		[ "$(dpl-batch <look | still)" = "$want" ] || fail "byte $i of $size"
		flip "$c" "$i"
	done
}

@test "a checkpoint that is cut, empty, grown, or something else is not believed" {
	long_operation 1000
	want=$(state_of "$op")
	cp "$c" good
	size=$(wc -c <good)
	for n in 0 1 7 8 64 100 $((size / 2)) $((size - 1)); do
		head -c "$n" good >"$c"
		[ "$(state_of "$op")" = "$want" ] || fail "cut to $n"
	done
	cat good good >"$c"
	[ "$(state_of "$op")" = "$want" ]
	nuls "$size" >"$c"
	[ "$(state_of "$op")" = "$want" ]
	truncate -s 2G "$c"
	[ "$(state_of "$op")" = "$want" ]
	for kind in folder link fifo; do
		rm -rf "$c"
		case $kind in
		folder) mkdir "$c" ;;
		link) ln -s "$PWD/good" "$c" ;;
		fifo) mkfifo "$c" ;;
		esac
		[ "$(state_of "$op")" = "$want" ] || fail "$kind"
		expect 0 timeout 5 dpl-log -o "$op" x
		want=$(state_of "$op")
	done
}

@test "a checkpoint of another operation, of another time or of another journal is not believed" {
	long_operation
	first=$op
	cp "$c" of-first
	want=$(state_of "$first")
	long_operation 1500
	want=$(state_of "$op")
	cp of-first "$c" # another inode
	[ "$(state_of "$op")" = "$want" ]
	# The same inode, other content: restored from a backup in place.
	dpl-log -o "$op" one
	dpl-call start -q -o "$op" --id more
	cp "$j" longer
	head -n 700 longer >"$j"
	want=$(dpl-call list -q -o "$op" | sha256sum)
	rm -f "$c"
	[ "$(dpl-call list -q -o "$op" | sha256sum)" = "$want" ]
	# The line before the offset differs, the length does not.
	cat longer >"$j"
	rm -f "$c"
	dpl-log -o "$op" again
	[ -s "$c" ]
	last=$(wc -l <"$j")
	sed -i "${last}s/again/AGAIN/" "$j" # sed -i makes a new inode …
	cat "$j" >changed
	expect 0 dpl-show -q "$op"
	expect 0 dpl-log -o "$op" next
	[ "$(head -n "$last" "$j" | sha256sum)" = "$(sum changed)" ]
}

@test "a checkpoint of another file that ends with the same line is not believed" {
	long_operation
	id=$(dpl-call list -q -o "$op" | head -n 1)
	[[ $id == call_alice_*_aaaa ]]
	inode=$(stat -c %i "$j")
	sed -i "s/$id/${id%aaaa}bbbb/" "$j"
	[ "$(stat -c %i "$j")" != "$inode" ]
	expect 0 dpl-call list -q -o "$op"
	[ "$(head -n 1 <<<"$out")" = "${id%aaaa}bbbb" ] || fail "$out"
}

@test "a checkpoint whose last line reads otherwise in the same file is not believed" {
	long_operation
	cp "$j" before
	# In place: the line that the checkpoint ends with starts another call.
	sed '$s/"last"/"LAST"/' before | dd of="$j" conv=notrunc status=none
	expect 0 dpl-call list -q -o "$op"
	grep -qx LAST <<<"$out"
	if grep -qx last <<<"$out"; then
		fail "$out"
	fi
}

@test "a hundred thousand lines, with and without a checkpoint" {
	long_operation 100000
	want=$(state_of "$op")
	with=$(dpl-show -j "$op" | still | sha256sum)
	rm "$c"
	[ "$(state_of "$op")" = "$want" ]
	[ "$(dpl-show -j "$op" | still | sha256sum)" = "$with" ]
	[ "$(jq .seq <(dpl-show -j "$op"))" -eq 100001 ]
}

@test "a change on a hundred thousand lines takes at most 8 MiB" {
	[ -z "${SANITIZED:-}" ] || skip "a sanitizer takes its own"
	command -v peak >/dev/null || skip "peak is not built (make test-tools)"
	long_operation 100000
	for with in checkpoint nothing; do
		[ "$with" = checkpoint ] || rm "$c"
		expect 0 peak kib dpl-log -o "$op" "with $with"
		[ "$(cat kib)" -le 8192 ] || fail "with $with: $(cat kib) KiB"
	done
	rm -f "$c"
	expect 0 peak kib dpl-call start -o "$op" --key k1
	[ "$(cat kib)" -le 8192 ] || fail "with a key: $(cat kib) KiB"
	rm -f "$c"
	expect 0 peak kib dpl-complete --cancel -o "$op"
	[ "$(cat kib)" -le 32768 ] || fail "complete: $(cat kib) KiB"
}

@test "a checkpoint that cannot be written delays and fails nothing" {
	need_strace
	op=$(dpl-create)
	many_lines "$DPL_LEDGER/$op/journal.jsonl" 1000
	expect 0 strace -qq -o trace -e trace=renameat,renameat2,rename -e inject=renameat,renameat2,rename:error=EIO dpl-call start -o "$op"
	grep -q checkpoint trace
	[ ! -e "$DPL_LEDGER/$op/checkpoint" ]
	[ -z "$(find "$DPL_LEDGER/$op" -name '.checkpoint*')" ]
	[ -z "$err" ]
}

# --- flushes.  A trace is one line a call, with the paths of its descriptors. ---

traced() {
	strace -qq -y -s 1000 -o trace -e trace=write,writev,pwrite64,flock,close,fdatasync,fsync,rename,renameat,renameat2,symlinkat,mkdirat,openat,ftruncate "$@" >out 3>&-
}

# line_of PATTERN: the number of its first line in the trace, 0 for none.
line_of() {
	awk -v p="$1" '$0 ~ p { print NR; found = 1; exit } END { if (!found) print 0 }' trace
}

# in_order PATTERN...: each is in the trace, behind the one before.
in_order() {
	awk 'BEGIN { n = ARGC - 1; for (i = 1; i <= n; i++) { p[i] = ARGV[i]; delete ARGV[i] }; at = 1; ARGV[1] = "trace"; ARGC = 2 }
		at <= n && $0 ~ p[at] { at++ }
		END { if (at <= n) { print "not in order: " p[at] > "/dev/stderr"; exit 1 } }' "$@" || fail "$(grep -vE '^(openat|close)' trace | cut -c1-300)"
}

@test "a change is flushed once, after unlocking" {
	need_strace
	some_operation
	traced dpl-call start -o "$op" --id two
	[ "$(grep -cE '^f(data)?sync' trace)" -eq 1 ] || fail "$(cat trace)"
	in_order '^flock.*LOCK_EX' '^write\(.*journal.jsonl.*call.started' '^flock.*LOCK_UN|^close.*journal.jsonl' '^fdatasync\(.*journal.jsonl.* = 0' '^write\(1'
	[ "$(grep -c '^write(.*journal.jsonl' trace)" -eq 1 ]
}

@test "several entries are one write and one flush" {
	need_strace
	some_operation
	dpl-call start -q -o "$op" --id two
	traced dpl-leave -o "$op" --cancel
	[ "$(grep -c '^write(.*journal.jsonl' trace)" -eq 1 ] || fail "$(cat trace)"
	[ "$(grep -cE '^f(data)?sync' trace)" -eq 1 ]
}

@test "log entries are not flushed, nor anything with DPL_SYNC=off" {
	need_strace
	some_operation
	traced dpl-log -o "$op" x
	[ "$(line_of '^f(data)?sync')" -eq 0 ] || fail "$(cat trace)"
	export DPL_SYNC=off
	traced dpl-create
	[ "$(line_of '^f(data)?sync')" -eq 0 ] || fail "$(cat trace)"
	traced dpl-complete -o "$op" --cancel
	[ "$(line_of '^f(data)?sync')" -eq 0 ] || fail "$(cat trace)"
}

@test "readers flush nothing and write nothing" {
	need_strace
	some_operation
	for command in "dpl-show $op" "dpl-log -o $op" "dpl-call list -o $op" "dpl-show -a"; do
		# shellcheck disable=SC2086 # words
		traced $command
		[ "$(line_of '^f(data)?sync|^write.*journal|^rename|^mkdir|^flock')" -eq 0 ] || fail "$(cat trace)"
	done
}

@test "a flush that fails is said, and not tried again" {
	need_strace
	some_operation
	for error in EIO ENOSPC; do
		seq=$(($(wc -l <"$j") + 1))
		expect 9 strace -qq -o trace -e trace=fdatasync,fsync -e inject=fdatasync:error=$error dpl-call start -j -o "$op"
		[ "$(grep -cE '^f(data)?sync' trace)" -eq 1 ] || fail "$(cat trace)"
		[ "$(jq -r .error.code <<<"$out")" = not-durable ] || fail "$out"
		[[ $out == *"entry $seq is visible, may not survive power loss"* ]] || fail "$out"
		[ "$(wc -l <"$j")" -eq "$seq" ]
	done
	expect 0 dpl-call start -o "$op"
}

@test "a flush that fails in create leaves no operation" {
	need_strace
	dpl-create -q
	before=$(ls -A "$DPL_LEDGER")
	expect 9 strace -qq -o trace -e trace=fdatasync -e inject=fdatasync:error=EIO dpl-create
	[ "$(ls -A "$DPL_LEDGER")" = "$before" ]
	expect 9 strace -qq -o trace -e trace=fsync -e inject=fsync:error=EIO:when=1 dpl-create
	[ "$(ls -A "$DPL_LEDGER")" = "$before" ]
}

@test "create flushes the file, the folder, renames, flushes the ledger" {
	need_strace
	dpl-create -q
	traced dpl-create
	id=$(cat out)
	in_order '^write.*journal.jsonl>.*operation.created' '^fdatasync\(.*/\.new-.*journal.jsonl' '^fsync\(.*/\.new-' '^renameat2?\(.*\.new-.*'"$id" "^fsync\\([0-9]+<$DPL_LEDGER>\\)" '^write\(1'
}

@test "a new ledger is flushed too, up to the folder that was there" {
	need_strace
	mkdir there
	DPL_LEDGER=$PWD/there/a/b traced dpl-create
	id=$(cat out)
	in_order '^renameat2?\(.*\.new-' "^fsync\\([0-9]+<$PWD/there/a/b>\\)" '^write\(1'
	# A power cut must not lose the ledger's own name with all that was acknowledged in it.
	in_order "^fsync\\([0-9]+<$PWD/there/a>\\)" '^write\(1'
	in_order "^fsync\\([0-9]+<$PWD/there>\\)" '^write\(1'
}

@test "a key is flushed before the operation that it makes" {
	need_strace
	dpl-create -q
	traced dpl-create --key k1
	in_order '^symlinkat' '^fsync\(.*/keys>' '^renameat2?\(.*\.new-' '^write\(1'
}

@test "the end is flushed before the rename, both parents after it" {
	need_strace
	some_operation
	traced dpl-complete -o "$op" --cancel
	in_order '^write\(.*journal.jsonl.*operation\.archived' '^flock.*LOCK_UN' '^fdatasync\(.*journal.jsonl.* = 0' "^renameat2?\\(.*backup/$op" '^f(data)?sync\(.*(/backup|ledger)>' '^write\(1'
	in_order "^renameat2?\\(.*backup/$op" "^fsync\\([0-9]+<$DPL_LEDGER/backup>\\)" '^write\(1'
	in_order "^renameat2?\\(.*backup/$op" "^fsync\\([0-9]+<$DPL_LEDGER>\\)" '^write\(1'
}

# The ended operation in the live place, as one leaves it who died before the rename.
ended_in_the_live_place() {
	some_operation
	dpl-complete -q -o "$op" --cancel
	mv "$DPL_LEDGER/backup/$op" "$DPL_LEDGER/$op"
	rm "$DPL_LEDGER/$op"/operation.*
}

@test "whoever finishes the move flushes the end first" {
	need_strace
	ended_in_the_live_place
	traced dpl-show -q "$op"
	in_order '^f(data)?sync\(.*journal.jsonl' "^renameat2?\\(.*backup/$op" "^fsync\\([0-9]+<$DPL_LEDGER/backup>\\)"
}

@test "a flush of the end that fails stops the move" {
	need_strace
	some_operation
	expect 9 strace -qq -o trace -e trace=fdatasync -e inject=fdatasync:error=EIO:when=1 dpl-complete -o "$op" --cancel
	[[ $err == *"may not survive power loss"* ]]
	[ -d "$DPL_LEDGER/$op" ]
	expect 0 dpl-show "$op"
	[[ $out == *completed* ]]
}

# --- archive, retention ---

@test "readers and writers finish the move" {
	for who in "0 dpl-show -q OP" "0 dpl-show -aq" "0 dpl-show -q" "6 dpl-log -o OP x" "6 dpl-complete -o OP" "6 dpl-join -o OP" "0 dpl-log -o OP" "0 dpl-call list -o OP" "1 dpl-abort --check -o OP"; do
		ended_in_the_live_place
		who=${who//OP/$op}
		# shellcheck disable=SC2086 # words
		expect $who
		[ ! -e "$DPL_LEDGER/$op" ] || fail "$who left it"
		[ -s "$DPL_LEDGER/backup/$op/operation.json" ] || fail "$who made no papers"
		[ -s "$DPL_LEDGER/backup/$op/operation.log" ] || fail "$who made no papers"
	done
}

@test "operation.json and operation.log are made again when they are missing" {
	some_operation
	dpl-complete -q -o "$op" --cancel
	b=$DPL_LEDGER/backup/$op
	json=$(sum "$b/operation.json")
	log=$(sum "$b/operation.log")
	rm "$b/operation.json" "$b/operation.log"
	expect 0 dpl-show -q "$op"
	[ "$(sum "$b/operation.json")" = "$json" ]
	[ "$(sum "$b/operation.log")" = "$log" ]
	[ "$(jq -r .state "$b/operation.json")" = completed ]
	[ "$(jq -r .callCounts.cancelled "$b/operation.json")" -eq 1 ]
	grep -q hello "$b/operation.log"
}

@test "the reserve is given back at the end" {
	some_operation
	[ "$(stat -c %b "$j")" -gt $(($(stat -c %s "$j") / 512 + 8)) ] || skip "this filesystem reserves nothing"
	dpl-complete -q -o "$op" --cancel
	[ "$(stat -c %b "$DPL_LEDGER/backup/$op/journal.jsonl")" -le 16 ]
}

# ended [OPTION...]: an operation that has ended; its id.
ended() {
	local id
	id=$(dpl-create)
	[ "${1:-}" != aborted ] || dpl-abort -q -o "$id"
	dpl-complete -q -o "$id" ${1:+$([ "$1" = failed ] && echo --failed)}
	echo "$id"
}

@test "the newest twenty stay, failed and aborted ones longer, foreign folders for ever" {
	export DPL_SYNC=off
	failed=$(ended failed)
	aborted=$(ended aborted)
	oldest=$(ended)
	mkdir "$DPL_LEDGER/backup/precious" "$DPL_LEDGER/backup/20200101T000000.000Z-other"
	echo kept >"$DPL_LEDGER/backup/precious/file"
	for ((i = 0; i < 24; i++)); do
		last=$(ended)
	done
	kept=$(ls "$DPL_LEDGER/backup")
	grep -qx "$failed" <<<"$kept"
	grep -qx "$aborted" <<<"$kept"
	grep -qx "$last" <<<"$kept"
	if grep -qx "$oldest" <<<"$kept"; then
		fail "$kept"
	fi
	[ "$(cat "$DPL_LEDGER/backup/precious/file")" = kept ]
	[ -d "$DPL_LEDGER/backup/20200101T000000.000Z-other" ]
	[ "$(grep -c -- '-alice-' <<<"$kept")" -eq 22 ] || fail "$kept"
	expect 3 dpl-show "$oldest"
	expect 0 dpl-show "$failed"
}

@test "a long reason does not make a completed operation stay longer" {
	export DPL_SYNC=off
	op=$(dpl-create)
	dpl-complete -q -o "$op" -m "$(printf '%020000d' 0)"
	for ((i = 0; i < 20; i++)); do
		ended >/dev/null
	done
	[ ! -e "$DPL_LEDGER/backup/$op" ]
}

@test "a key goes with the operation that it made" {
	export DPL_SYNC=off
	op=$(dpl-create --key nightly)
	dpl-complete -q -o "$op"
	[ "$(dpl-create --key nightly)" = "$op" ]
	for ((i = 0; i < 20; i++)); do
		ended >/dev/null
	done
	[ -z "$(ls "$DPL_LEDGER/keys")" ]
	expect 0 dpl-create --key nightly
	[ "$out" != "$op" ]
}

@test "what died while it made or deleted an operation is cleared away" {
	op=$(dpl-create)
	mkdir -p "$DPL_LEDGER/.new-$op.1/beats" "$DPL_LEDGER/.new-$op.2" "$DPL_LEDGER/backup/.old-$op/calls"
	touch -d '2 hours ago' "$DPL_LEDGER/.new-$op.1"
	expect 0 dpl-show -aq
	[ "$out" = "$op" ]
	dpl-complete -q -o "$op"
	[ ! -e "$DPL_LEDGER/.new-$op.1" ]
	[ -e "$DPL_LEDGER/.new-$op.2" ] # perhaps it is being made
	[ ! -e "$DPL_LEDGER/backup/.old-$op" ]
}

# In a container every run may have the same pid.
@test "a create with a key is finished by a process of the same pid as the dead one" {
	dpl-create -q
	hash=$(dpl-create --key k1 >first && ls "$DPL_LEDGER/keys")
	id=$(cat first)
	rm -rf "${DPL_LEDGER:?}/$id"
	[ "$(readlink "$DPL_LEDGER/keys/$hash")" = "$id" ]
	# shellcheck disable=SC2016 # of the inner shell
	expect 0 sh -c 'mkdir "$DPL_LEDGER/.new-$1.$$" && exec dpl-create --key k1' sh "$id"
	[ "$out" = "$id" ]
}

@test "an abort by the mode bit is seen, ends, and is cleared" {
	some_operation
	chmod u+x "$j"
	expect 0 dpl-abort --check -o "$op"
	expect 4 dpl-call start -o "$op"
	expect 0 dpl-abort --clear -o "$op"
	expect 1 dpl-abort --check -o "$op"
	[ ! -x "$j" ] || [ "$(stat -c %a "$j")" = 600 ]
	chmod u+x "$j"
	expect 0 dpl-complete --cancel -o "$op"
	[ "$out" = "completed, aborted" ]
	# A copy that lost its modes tells the same.
	chmod 600 "$DPL_LEDGER/backup/$op/journal.jsonl"
	expect 0 dpl-show "$op"
	[[ $out == *"completed, aborted"* ]]
}

@test "entries up to 64 KiB" {
	some_operation
	expect 0 dpl-log -o "$op" "$(printf '%065000d' 0)"
	expect 2 dpl-log -o "$op" "$(printf '%065530d' 0)"
	[ "$(wc -l <"$j")" -eq 4 ]
	# Each of these bytes takes six in the journal.
	expect 2 dpl-call end -o "$op" one --result "$(printf '%020000d' 0 | tr 0 '\001')"
	[ "$(wc -l <"$j")" -eq 4 ]
	expect 0 dpl-call end -o "$op" one
}

@test "a writer that dies inside its write leaves what the next one cuts" {
	need_strace
	some_operation
	# Half of the write is done, the rest and the cut fail.
	expect 9 strace -qq -o trace -e trace=write,ftruncate -e inject=ftruncate:error=EIO -e inject=write:error=EIO:when=1 dpl-call start -o "$op"
	[ "$(wc -l <"$j")" -eq 3 ]
	expect 0 dpl-call start -o "$op"
}

@test "an interrupted call is made again" {
	need_strace
	[ -z "${SANITIZED:-}" ] || skip "the dynamic loader does not make it again"
	some_operation
	for call in openat write pread64 read fdatasync; do
		expect 0 strace -qq -o trace -e trace=$call -e inject=$call:error=EINTR:when=1+3 dpl-log -o "$op" "in spite of EINTR in $call" || fail "$call"
		[[ $(tail -n 1 "$j") == *"EINTR in $call\"}" ]] || fail "$call"
	done
}
