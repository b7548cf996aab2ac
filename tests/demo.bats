#!/usr/bin/env bats
# The examples, run for real: build-farm.sh on small trees, who-is-alive.sh, after-a-crash.sh

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # $ that does not expand; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	unset DPL_LEDGER DPL_PARTICIPANT
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
	mkdir tree tmp shadow
	demo=$root/examples/build-farm.sh
}

# shadow_gzip: a gzip that comes before the real one; its body is on standard input, $real is the real one
shadow_gzip() {
	{
		printf '#!/bin/bash\nreal=%q\n' "$(command -v gzip)"
		cat
	} >shadow/gzip
	chmod +x shadow/gzip
	PATH=$BATS_TEST_TMPDIR/shadow:$PATH
}

some_files() {
	local i
	for ((i = 0; i < $1; i++)); do
		echo "file $i" >"tree/$i"
	done
}

@test "the demonstration: files of any name, every one compressed and checked" {
	local name n=0
	for name in plain 'with blanks' "a 'quote'" 'double "quote"' $'new\nline' -dash '--' '$(touch oops)' $'caf\xc3\xa9' $'not utf-8 \xff' \
		'back\slash' '*' 'sub/folder/deep' $'bell\a' '%s' '{}'; do
		mkdir -p "tree/$(dirname -- "$name")"
		printf 'content of %q\n' "$name" >"tree/$name"
		n=$((n + 1))
	done
	: >tree/empty
	head -c 200000 /dev/zero >tree/zeros
	n=$((n + 2))
	KEEP=1 expect 0 "$demo" tree
	is "$stderr" ''
	has "$output" "$n files of tree, 4 workers" 'the operation completed; 0 problems' 'all files are right'
	[ ! -e oops ]
	kept=$(sed -n 's/^kept: //p' <<<"$output")
	is "$(find "$kept/out" -name '*.gz' | wc -l)" "$n"
	# What went in is what comes out, each once.
	is "$(for f in "$kept"/out/*.gz; do gzip -dc "$f" | cksum; done | sort)" "$(find tree -type f -exec sh -c 'cksum <"$1"' - {} \; | sort)"
	expect 0 dpl-show --all --quiet -C "$kept/ledger"
	op=$output
	expect 0 dpl-show --json -C "$kept/ledger" "$op"
	holds ".state == \"completed\" and .callCounts.ended == $n and .callCounts.started == $n"
	holds '[.participants[].participantId] | sort == ["initiator","worker-1","worker-2","worker-3","worker-4"]'
}

@test "without KEEP nothing is left behind" {
	some_files 3
	expect 0 "$demo" tree
	is "$(names tmp)" ''
}

@test "FILES and WORKERS; the summary adds up" {
	some_files 9
	FILES=7 WORKERS=3 expect 0 "$demo" tree
	has "$output" '7 files of tree, 3 workers'
	is "$(awk '/^worker-[0-9]/ && NF == 5 { files += $2; bytes += $3; who++ } END { print who, files, bytes }' out)" '3 7 49'
}

@test "a tree whose name begins with a dash, and one without files" {
	mkdir -- -tree
	echo x >-tree/-x
	expect 0 "$demo" -tree
	has "$output" '0 problems'
	rm -- -tree/-x
	expect 1 "$demo" -tree
	is "$stderr" 'build-farm: no files in ./-tree'
	is "$(names tmp)" ''
}

@test "an output that is damaged: not 0, the file is named, the operation failed" {
	some_files 6
	echo 'spoil this' >'tree/bad one'
	shadow_gzip <<-'END'
		[ "$1" = -nc ] || exec "$real" "$@"
		text=$(cat; echo .)
		[ "$text" != $'spoil this\n.' ] || text=$'spoilt\n.'
		printf %s "${text%.}" | "$real" -nc
	END
	expect 1 "$demo" tree
	has "$stderr" 'does not unpack to what went in' "tree/bad one"
	has "$output" '; 1 problems' 'the operation failed'
}

@test "an output that is gone: not 0" {
	some_files 4
	# The workers unpack nothing: the first one to do so is the check.
	shadow_gzip <<-'END'
		[ "$1" = -nc ] || rm -f "$2"
		exec "$real" "$@"
	END
	expect 1 "$demo" tree
	has "$output" '; 4 problems'
}

@test "a compression that fails: the call fails, not 0" {
	some_files 6
	echo 'refuse this' >tree/bad
	shadow_gzip <<-'END'
		[ "$1" = -nc ] || exec "$real" "$@"
		text=$(cat)
		[ "$text" != 'refuse this' ] || exit 1
		echo "$text" | "$real" -nc
	END
	expect 1 "$demo" tree
	has "$stderr" 'build-farm: no result of file-6'
	has "$output" "failed file-6: gzip 'bad' failed" '; 1 problems' 'the operation failed'
}

@test "a worker that is killed: not 0" {
	some_files 6
	shadow_gzip <<-'END'
		[ "$1" = -nc ] || exec "$real" "$@"
		text=$(cat)
		# Above us is the subshell of $(...), above that the worker.
		[ "$text" != 'file 3' ] || kill -KILL $(ps -o ppid= -p "$PPID")
		echo "$text" | "$real" -nc
	END
	expect 1 "$demo" tree
	has "$stderr" 'build-farm: worker-' ' failed' 'build-farm: no result of file-3' '1 calls have not ended'
	has "$output" 'the operation failed'
}

# The workers are held at their first file, while the test has the lock on `gate`.
held_demo() {
	some_files 20
	shadow_gzip <<-END
		[ "\$1" = -nc ] || exec "\$real" "\$@"
		flock '$BATS_TEST_TMPDIR/gate' true
		exec "\$real" "\$@"
	END
	exec 8>gate
	flock 8
	in_background "$demo" tree >demo.out 2>demo.err 8>&-
	# shellcheck disable=SC2016 # for eval
	wait_for '[ "$(cat tmp/*/ledger/2*/journal.jsonl 2>/dev/null | grep -c call.started)" = 4 ]'
	export DPL_LEDGER
	DPL_LEDGER=$(echo tmp/*/ledger)
}

@test "stopped by a signal: the workers stop after the file they are at, nothing is left" {
	held_demo
	kill -TERM "$pid"
	wait_for 'dpl-abort --check -q -o @@'
	flock -u 8
	ended "$pid"
	is "$status" 130
	is "$(names tmp)" ''
	has "$(cat demo.err)" 'stopping the workers'
}

@test "aborted by somebody else: the workers start no more calls, not 0" {
	held_demo
	dpl-abort -o @@ -p me -m 'power is short'
	flock -u 8
	ended "$pid"
	is "$status" 1
	is "$(names tmp)" ''
	is "$(grep -c 'no result of file-' demo.err)" 16
	is "$(grep -c 'worker-.* ended file-' demo.out)" 4
}

# --- examples/who-is-alive.sh ---

@test "who is alive: an abort that arrives, a death that is noticed, all of it checked" {
	WORKERS=3 expect 0 "$root/examples/who-is-alive.sh"
	has "$output" 'worker-1 aborted' 'worker-3 had its SIGTERM' 'the supervisor of worker-2 was killed' 'worker-3 knew, and stopped' \
		'has failed: worker-2 (call_worker-2_' "died: its supervisor's lock has fallen" '0 problems'
	is "$(names tmp)" ''
}

@test "who is alive: workers that do not hear of it are complained about" {
	# A dpl-call that only runs the command: no abort arrives.
	printf '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift\nexec timeout 1 "$@"\n' >shadow/dpl-call
	chmod +x shadow/dpl-call
	PATH=$BATS_TEST_TMPDIR/shadow:$PATH WORKERS=2 expect 1 "$root/examples/who-is-alive.sh"
	has "$stderr" 'worker-2 ended with' 'not 122'
	is "$(names tmp)" ''
	is "$(pgrep -f "who-is-alive.sh --work $BATS_TEST_TMPDIR")" ''
}

# --- examples/after-a-crash.sh ---

@test "after a crash: the others stop, what was registered is gone, and it is explained; all of it checked" {
	WORKERS=3 expect 0 "$root/examples/after-a-crash.sh"
	is "$stderr" ''
	has "$output" '3 workers are half way, with 12 temp files; 9 things are registered' 'worker-2 and its supervisor were killed by SIGKILL' \
		'worker-1 had ended with exit status 123' 'worker-3 had ended with exit status 123' \
		'all 12 temp files are gone, and each of 3 undo commands ran once' 'died first   call_worker-2_' '0 problems'
	[[ $output =~ was\ archived,\ [0-9]+\.[0-9]{3}\ ms\ later ]]
	is "$(names tmp)" ''
}

@test "after a crash: what is left is complained about, and so is what nobody explains" {
	# Undo commands that are registered as others, and a temp file that is not.
	cat >shadow/dpl-temp <<-'END'
		#!/bin/sh
		case $* in
		*--command*) set -- add -q --command true ;;
		*XXXXXX) exec mktemp "${2#--tmpdir=}/worker.XXXXXX" ;;
		esac
		exec "$BUILD/bin/dpl-temp" "$@"
	END
	printf '#!/bin/sh\ntest "$1" = --why && echo "it ended" || exec "%s" "$@"\n' "$BUILD/bin/dpl-show" >shadow/dpl-show
	chmod +x shadow/*
	PATH=$BATS_TEST_TMPDIR/shadow:$PATH WORKERS=2 expect 1 "$root/examples/after-a-crash.sh"
	has "$stderr" 'not 6 things are registered' 'temp files are left' 'what worker-1 announced was not taken back' \
		'the undo command of worker-2 ran 0 times, not once' 'does not say that worker-2 died'
	is "$(names tmp)" ''
}
