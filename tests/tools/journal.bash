# shellcheck shell=bash
# journal.bash - what journal.bats, disk.bats and faults.bats share
# shellcheck disable=SC2154 # BATS_* are set by bats

root=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
build=${BUILD:-build}
case $build in
/*) ;;
*) build=$root/$build ;;
esac
PATH=$build/bin:$build/tools:$PATH
export PATH

# A ledger of its own for each test, and nothing from the caller's environment.
journal_setup() {
	unset DPL_OPERATION DPL_CALL DPL_SESSION DPL_TIMEOUT DPL_SYNC DPL_TOKEN_FILE NO_COLOR CLICOLOR_FORCE
	export LC_ALL=C DPL_PARTICIPANT=alice
	# LeakSanitizer cannot work under ptrace.
	if [ -n "${SANITIZED:-}" ]; then
		export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
	fi
	mkdir -p "$BATS_TEST_TMPDIR"
	cd "$BATS_TEST_TMPDIR" || return
	export DPL_LEDGER=$BATS_TEST_TMPDIR/ledger
}

# The test ends here: a `return 1` would be lost in every condition and loop.
fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

# bats looks at every command that runs, which triples the time of a long loop.
unwatched() {
	trap - DEBUG
	set +T
}

# Run and keep: status, out (stdout), err (stderr).
try() {
	status=0
	"$@" >"$BATS_TEST_TMPDIR/.out" 2>"$BATS_TEST_TMPDIR/.err" 3>&- || status=$?
	IFS= read -rd '' out <"$BATS_TEST_TMPDIR/.out" || :
	IFS= read -rd '' err <"$BATS_TEST_TMPDIR/.err" || :
	out=${out%$'\n'}
	err=${err%$'\n'}
}

# It must end with this status.
expect() {
	local want=$1
	shift
	try "$@"
	[ "$status" -eq "$want" ] || fail "'$*' gave $status, not $want: $out $err"
}

need_tool() {
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

need_strace() {
	need_tool strace
	strace -o /dev/null true 2>/dev/null || skip "strace may not trace here"
}

# The journal of the operation, wherever it is.
journal_of() {
	if [ -e "$DPL_LEDGER/$1/journal.jsonl" ]; then
		printf '%s\n' "$DPL_LEDGER/$1/journal.jsonl"
	else
		printf '%s\n' "$DPL_LEDGER/backup/$1/journal.jsonl"
	fi
}

# Wait until a command succeeds, at most five seconds.
wait_until() {
	local i
	for ((i = 0; i < 500; i++)); do
		if "$@" 2>/dev/null; then
			return 0
		fi
		read -rt 0.01 <> <(:) || :
	done
	fail "waited in vain for: $*"
}

# many_lines FILE N: append log entries up to seq N, and end a call here and there.
many_lines() {
	local have
	have=$(wc -l <"$1")
	awk -v from="$have" -v to="$2" 'BEGIN {
		at = "\"at\":\"2026-11-22T14:30:45.123Z\",\"by\":\"alice\""
		for (seq = from + 1; seq <= to; seq++) {
			if (seq % 10 == 3)
				printf "{\"seq\":%d,%s,\"event\":\"call.started\",\"callId\":\"call_alice_%d_aaaa\",\"sessionId\":1}\n", seq, at, seq
			else if (seq % 10 == 5 && seq - 2 > from && seq % 1000 != 5)
				printf "{\"seq\":%d,%s,\"event\":\"call.ended\",\"callId\":\"call_alice_%d_aaaa\"}\n", seq, at, seq - 2
			else
				printf "{\"seq\":%d,%s,\"event\":\"log\",\"level\":\"%s\",\"message\":\"line %d of many\"}\n", seq, at, seq % 7 ? "info" : "warning", seq
		}
	}' >>"$1"
}
