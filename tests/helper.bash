# helper - what the test files share; `load helper` in each
#
# A test runs in $BATS_TEST_TMPDIR with a ledger of its own that is not there yet, as participant
# `me`, without flushes.  Everything else of the environment that dpl reads is unset.
# shellcheck shell=bash disable=SC2016,SC2034,SC2119,SC2120 # jq's $; what a test reads is set here

# It does the same, and starts ten times as fast: a test asks it again and again.  The members of an object come sorted.
if command -v gojq >/dev/null; then
	jq() {
		gojq "$@"
	}
fi

bats_require_minimum_version 1.5.0

root=$(cd "${BATS_TEST_DIRNAME:?}/.." && pwd)
case ${BUILD:=build} in
/*) ;;
*) BUILD=$root/$BUILD ;;
esac
PATH=$BUILD/bin:$PATH
# A finding of the sanitizers never looks like an answer of ours.
ASAN_OPTIONS=exitcode=99:detect_stack_use_after_return=1
LSAN_OPTIONS=exitcode=99
UBSAN_OPTIONS=exitcode=99:halt_on_error=1:print_stacktrace=1
# For bash's own $'\u202e'; dpl itself knows only UTF-8.
LC_ALL=C.UTF-8
export BUILD PATH ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS LC_ALL

fresh_ledger() {
	unset "${!DPL_@}" NO_COLOR CLICOLOR_FORCE MAKEFLAGS MFLAGS MAKELEVEL
	ledger=$BATS_TEST_TMPDIR/ledger
	background=() server_behind=
	cd "$BATS_TEST_TMPDIR" || return
	export DPL_LEDGER=$ledger DPL_PARTICIPANT=me DPL_SYNC=off XDG_STATE_HOME=$BATS_TEST_TMPDIR/state
	! by_server || serve_ledger
}

# With BACKEND=http the same tests go through dpl-serve and dpl-remote-http; $ledger is the folder behind them.  With BACKEND=far the server is
# another user's, as it were: it removes nothing that is ours.
serve_ledger() {
	: >"$BATS_TEST_TMPDIR/server.url"
	if [ "$BACKEND" = far ]; then
		XDG_STATE_HOME="$BATS_TEST_TMPDIR/its" dpl-serve -C "$ledger" -P 0 >"$BATS_TEST_TMPDIR/server.url" <&0 3>&- &
		server_behind=$!
		wait_for '[ -s "$BATS_TEST_TMPDIR/server.url" ]'
		DPL_LEDGER=$(<"$BATS_TEST_TMPDIR/server.url")
		export DPL_LEDGER
		return
	fi
	# The socket is there a moment before somebody listens on it; what it says comes behind that.
	dpl-serve -C "$ledger" --unix "$BATS_TEST_TMPDIR/socket" >"$BATS_TEST_TMPDIR/server.url" <&0 3>&- &
	server_behind=$!
	export DPL_LEDGER=unix:$BATS_TEST_TMPDIR/socket
	wait_for '[ -s "$BATS_TEST_TMPDIR/server.url" ]'
}

# serve_again: another server instead of the one that there is, which is killed.
serve_again() {
	kill -KILL "$server_behind"
	wait "$server_behind" 2>/dev/null || true
	rm "$BATS_TEST_TMPDIR/socket"
	serve_ledger
}

# by_server: whether the commands go through a server.
by_server() {
	[ -n "${BACKEND:-}" ]
}

# folder: where the ledger of $DPL_LEDGER lies.
folder() {
	case $DPL_LEDGER in
	unix:* | http:*) echo "$ledger" ;;
	*) echo "$DPL_LEDGER" ;;
	esac
}

# silence: after how long one that beats by a server is dead: short, but the living do beat within it on a busy machine.
silence() {
	[ -n "${SANITIZED:-}" ] && echo 8s || echo 3s
}

# mortal: options of dpl-create.  Of one that beats by a server a death shows as silence, which is to be noticed soon; on a folder a lock falls
# at once.
mortal() {
	! by_server || echo "--beat 200ms --jitter 20ms --stale $(silence)"
}

# fallen: what the evidence of such a death says.
fallen() {
	by_server && echo 'there was no beat for' || echo 'lock has fallen'
}

# waits PID: wait until it waits for the next entry, so that it has looked at what there was before; by a server, until that waits for
# somebody.
waits() {
	local waiter=$1
	! by_server || waiter=$server_behind
	wait_for "cat /proc/$waiter/fdinfo/* 2>/dev/null | grep -q '^inotify wd'"
}

# What is about the folder itself, or about what a server has done already.
local_only() {
	! by_server || skip "${1:-of a folder}"
}

# need_strace: where a test makes one system call fail.
need_strace() {
	command -v strace >/dev/null || skip 'no strace'
	strace -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	# LeakSanitizer cannot work under ptrace.
	export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
}

# need_built TOOL ...: those that are left out where their libraries are not installed.
need_built() {
	local tool
	for tool in "$@"; do
		[ -x "$BUILD/bin/$tool" ] || skip "$tool is not built"
	done
}

# What asks for things without a seal, which by TCP is refused.
by_owner() {
	[ "${BACKEND:-}" != far ] || skip 'requests of the ledger'\''s owner'
}

# End what a test started, and the server behind it.
end_background() {
	end_started
	[ -z "$server_behind" ] || background=("$server_behind")
	server_behind=
	end_started
}

end_started() {
	local pid
	for pid in "${background[@]}"; do
		kill -CONT "$pid" 2>/dev/null && kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null || true
	done
	background=()
}

setup() {
	fresh_ledger
}

teardown() {
	end_background
	[ -z "${public:-}" ] || rm -rf "$public"
}

# A folder $public that every user can come into and write in; skips where there are no other users.
public_folder() {
	[ "$(id -u)" -eq 0 ] || skip 'only root can become another user'
	command -v setpriv >/dev/null || skip 'no setpriv(1)'
	public=$(mktemp -d -p "${BATS_RUN_TMPDIR%/*}") # which they can reach, whatever TMPDIR a test has
	chmod 777 "$public"
	as_other test -w "$public" || skip "$public cannot be reached by other users"
	as_other test -x "$BUILD/bin/dpl-show" || skip "$BUILD cannot be reached by other users"
}

# as_other COMMAND ...: as another user.
as_other() {
	setpriv --reuid 54321 --regid 54321 --clear-groups "$@"
}

# --- running ---

# in_background COMMAND [ARG ...]: its pid is in $pid.  fd 3 is closed, for bats waits for it.
in_background() {
	"$@" <&0 3>&- &
	pid=$!
	background+=("$pid")
}

# ended PID: wait for a process of in_background; its exit status is in $status.
ended() {
	local p left=()
	status=0
	wait "$1" || status=$?
	for p in "${background[@]}"; do
		[ "$p" = "$1" ] || left+=("$p")
	done
	background=("${left[@]}")
}

# wait_for CONDITION [SECONDS]: a shell condition, looked at every 10 ms for at most 30 seconds: a machine may be busy.
wait_for() {
	local end=$((SECONDS + ${2:-30}))
	local pause=10
	until eval "$1"; do
		if [ "$SECONDS" -gt "$end" ]; then
			echo "not within ${2:-30} s: $1" >&2
			return 1
		fi
		sleep "0.0$pause"
		[ "$pause" -ge 50 ] || pause=$((pause + 2))
	done
}

# timed BEGIN: note whether what began then ($EPOCHREALTIME without its point) took less than a second.
timed() {
	took+=($((${EPOCHREALTIME/./} - $1 < 1000000)))
}

# quick: at least two in three of those did, since the last time: what looks every two seconds does not, what is told does also where the machine stalls
# once.
quick() {
	local sum=0 one
	for one in "${took[@]}"; do
		sum=$((sum + one))
	done
	[ $((sum * 3)) -ge $((${#took[@]} * 2)) ]
	took=()
}

# expect STATUS COMMAND [ARG ...]: run it, and fail unless it exits so.  What it wrote is in $output
# and $stderr (without the newlines at the end) and in the files out and err of $BATS_TEST_TMPDIR.
expect() {
	local want=$1 out=$BATS_TEST_TMPDIR/out err=$BATS_TEST_TMPDIR/err
	shift
	status=0
	"$@" >"$out" 2>"$err" 3>&- || status=$?
	# bash leaves NULs out, and says so
	{ output=$(<"$out") stderr=$(<"$err"); } 2>/dev/null
	[ "$status" -eq "$want" ] && return
	echo "exit $status instead of $want: $*"
	printf 'stdout: %s\nstderr: %s\n' "$output" "$stderr"
	return 1
} 2>&1

# --- looking ---

# gone PID: it has ended, reaped or not.
gone() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	stat=${stat##*) }
	[ "${stat%% *}" = Z ] || [ "${stat%% *}" = X ]
}

# marked [PATTERN]: with MARK=$BATS_TEST_TMPDIR in the environment, the processes of this test, but for its shell's own, whose command line matches.
marked() {
	local file pid
	for file in $(env -u MARK grep -lzxF "MARK=$BATS_TEST_TMPDIR" /proc/[0-9]*/environ 2>/dev/null); do
		pid=${file//[!0-9]/}
		! gone "$pid" && [[ $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) =~ ${1:-.} ]] && echo "$pid"
	done
	return 0
} 2>/dev/null

# end_marked: kill them, as what is spawned is nobody's child.
end_marked() {
	local pid
	for pid in $(marked); do
		kill -KILL "$pid" 2>/dev/null || true
	done
}

# is GOT WANTED
is() {
	[ "$1" = "$2" ] && return
	printf 'got:    %s\nwanted: %s\n' "$1" "$2"
	return 1
}

# has TEXT PART ...: every part is in the text.
has() {
	local text=$1 part
	shift
	for part in "$@"; do
		case $text in
		*"$part"*) ;;
		*)
			printf 'not there: %s\nin: %s\n' "$part" "$text"
			return 1
			;;
		esac
	done
}

# lacks TEXT PART
lacks() {
	case $1 in
	*"$2"*) ;;
	*) return 0 ;;
	esac
	printf 'there: %s\nin: %s\n' "$2" "$1"
	return 1
}

# silent: nothing on stdout, nothing on stderr.
silent() {
	is "$output$stderr" ''
}

# refused TOOL PART ...: one line on stderr, from TOOL, with these parts; nothing on stdout.
refused() {
	local lines tool=$1
	shift
	mapfile lines <"$BATS_TEST_TMPDIR/err"
	is "$output" '' && is "${#lines[@]}${lines[0]##*[!$'\n']}" $'1\n' && has "$stderr" "$tool: " "$@" && plain
}

# without PATTERN: none of these bytes in what the last command wrote.
without() {
	if LC_ALL=C grep -qP "$1" "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/err"; then
		cat -v "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/err"
		return 1
	fi
}

# Nothing that a terminal would obey: control characters but for tab and newline …
no_controls() {
	without '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]'
}

# … and in text for people nothing invisible or that turns the writing direction.
plain() {
	without '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf'
}

# json FILTER [JQ-OPTION ...]: jq on $output, as text.
json() {
	local filter=$1
	shift
	jq -r "$@" "$filter" <<<"$output"
}

# holds FILTER [JQ-OPTION ...]: the filter is true for $output.
holds() {
	local filter=$1
	shift
	jq -se "$@" "all(.[]; $filter) and length > 0" <<<"$output" >/dev/null && return
	printf 'does not hold: %s\nof: %s\n' "$filter" "$output"
	return 1
}

# json_error CODE: $output is one error object of that code, and stderr is empty.
json_error() {
	is "$(wc -l <"$BATS_TEST_TMPDIR/out")" 1 && is "$stderr" '' &&
		holds '.ok == false and .error.code == $code and (.error.message | length > 0) and (.error.retryable | type) == "boolean"
			and (.error.next | type) == "array" and (.error | has("hint"))' --arg code "$1"
}

# names FOLDER: what is in it, on one line; but for what a server has there for itself.
names() {
	find "$1" -mindepth 1 -maxdepth 1 -not -name server -printf '%f\n' | LC_ALL=C sort | paste -sd ' '
}

# journal OPERATION: where its journal is.
journal() {
	if [ -e "$ledger/$1/journal.jsonl" ]; then
		echo "$ledger/$1/journal.jsonl"
	else
		echo "$ledger/backup/$1/journal.jsonl"
	fi
}

# journal_text OPERATION: what is in it, also where it is moved to backup at this moment.
journal_text() {
	cat "$ledger/$1/journal.jsonl" 2>/dev/null || cat "$ledger/backup/$1/journal.jsonl"
}

# stop_unlocked PID: stop it, but not while it has the lock on the journal of $op, which nobody else would get then.
# shellcheck disable=SC2154 # the test sets op
stop_unlocked() {
	while kill -STOP "$1"; do
		wait_for 'grep -q "^State:.T" "/proc/'"$1"'/status"' || return
		flock -n "$(journal "$op")" true && return
		kill -CONT "$1"
	done
}

# entries OPERATION: the events of its journal, one a line.
entries() {
	jq -r .event <(journal_text "$1")
}

# count FILTER: how many entries of $op match it.
count() {
	jq -s "map(select($1)) | length" <(journal_text "$op")
}

# last_entry OPERATION [FILTER]
last_entry() {
	tail -n 1 <(journal_text "$1") | jq -r "${2:-.}"
}

# whole OPERATION: seq counts from 1 without gaps.
whole() {
	jq -se 'map(.seq) == [range(1; length + 1)]' <(journal_text "$1") >/dev/null && return
	echo "seq has gaps:"
	jq -c .seq <(journal_text "$1") | head -50 | tr '\n' ' '
	return 1
}

# sum [FOLDER]: a checksum of all names, kinds, modes, sizes, links and contents in it.
sum() {
	find "${1:-$ledger}" -printf '%P %y %m %s %l\n' 2>/dev/null | LC_ALL=C sort | cksum
	find "${1:-$ledger}" -type f -size -1M -print0 2>/dev/null | LC_ALL=C sort -z | xargs -0 -r cat 2>/dev/null | cksum
}
