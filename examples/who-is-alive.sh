#!/usr/bin/env bash
# who-is-alive.sh - an abort that arrives, and a death that is noticed, both timed
#
# Several workers compress files, each a command that dpl-call runs as a call.  In the first operation one of
# them aborts it: each worker notes when its SIGTERM came.  In the second the supervisor of one is killed by SIGKILL,
# which it cannot tell anybody: the others find that out, and what it left running is ended.
#
#	WORKERS=4  how many workers
#
# Needs dpl on PATH, bash 5, gzip, procps and coreutils.  Exits 0 only when all of that was seen to happen.
set -euo pipefail
export LC_ALL=C

workers=${WORKERS:-4}
self=$(realpath "$0")

# --- a worker: compress until SIGTERM comes, then note when that was ---

if [ "${1:-}" = --work ]; then
	exec 2>/dev/null # where bash would report that gzip had its SIGTERM too
	trap 'echo "${EPOCHREALTIME/./}" >"$2"; exit 0' TERM
	: >"$2.begun"
	while :; do
		gzip -c "$self" >/dev/null
	done
fi

work=$(mktemp -d)
problems=0

tidy() {
	[ "${#pids[@]}" = 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || :
	pkill -KILL -f -- "--work $work/" || : # whatever went wrong, nothing works on
	rm -rf "$work"
}
declare -A pids=()
trap tidy EXIT
trap 'exit 130' INT TERM

complain() {
	echo "who-is-alive: $*" >&2
	problems=$((problems + 1))
}

# Wait until each worker has begun, at most five seconds.
all_begun() {
	local end=$((SECONDS + 5)) k
	for ((k = 1; k <= workers; k++)); do
		until [ -e "$work/worker-$k.stopped.begun" ]; do
			[ "$SECONDS" -lt "$end" ] || return 1
			sleep 0.01
		done
	done
}

# microseconds as milliseconds
ms() {
	printf '%d.%03d ms' $(($1 / 1000)) $(($1 % 1000))
}

# begin NAME: a new operation, with all workers at work
begin() {
	local k name
	answer=$(dpl-create --export -C "$work/ledger" -p initiator --pid $$ -d "$1")
	eval "$answer"
	rm -f "$work"/*.stopped "$work"/*.begun
	for ((k = 1; k <= workers; k++)); do
		name=worker-$k
		dpl-join -q -p "$name"
		dpl-call -q -p "$name" -d 'compress again and again' -- "$self" --work "$work/$name.stopped" &
		pids[$name]=$!
	done
	all_begun || complain 'not all workers began'
	sleep 0.1 # they have been at it for a while
}

# ended NAME STATUS: wait for it; it must end so
ended() {
	local status=0
	wait "${pids[$1]}" || status=$?
	unset "pids[$1]"
	[ "$status" = "$2" ] || complain "$1 ended with $status, not $2"
}

# --- one aborts, all stop ---

begin 'a worker aborts'
before=${EPOCHREALTIME/./}
dpl-abort -p worker-1 -m 'the disk is nearly full'
after=${EPOCHREALTIME/./}
echo "worker-1 aborted $DPL_OPERATION ($(ms $((after - before))) for the command)"
for ((k = 1; k <= workers; k++)); do
	ended "worker-$k" 122
	if read -r at <"$work/worker-$k.stopped"; then
		printf '  worker-%d had its SIGTERM %12s after the command was given\n' "$k" "$(ms $((at - before)))"
	else
		complain "worker-$k had no SIGTERM"
	fi
done
[ "$(dpl-complete)" = 'completed, aborted' ] || complain 'it did not end aborted'

# --- one is killed, the others know ---

begin 'a worker is killed'
victim=worker-2
[ "$workers" -ge 2 ] || victim=worker-1
left=$(pgrep -f -- "--work $work/$victim.stopped" | grep -vx "${pids[$victim]}" || :)
before=${EPOCHREALTIME/./}
{
	kill -KILL "${pids[$victim]}"
	wait "${pids[$victim]}" || :
} 2>/dev/null # where bash would report it
unset "pids[$victim]"
echo "the supervisor of $victim was killed by SIGKILL"
for ((k = 1; k <= workers; k++)); do
	[ "worker-$k" != "$victim" ] || continue
	ended "worker-$k" 123
	if read -r at <"$work/worker-$k.stopped"; then
		printf '  worker-%d knew, and stopped, %12s later\n' "$k" "$(ms $((at - before)))"
	else
		complain "worker-$k did not hear of it"
	fi
done
# They end what the dead one left, and then the operation; who comes later is told.
status=0
said=$(dpl-beat -p initiator 2>&1) || status=$?
[ "$status" = 5 ] || complain "dpl-beat gave $status, not 5"
echo "  ${said#dpl-beat: }"
for pid in $left; do
	if [ -e "/proc/$pid/stat" ] && ! grep -q ') Z ' "/proc/$pid/stat"; then
		complain "process $pid of $victim is still there"
	fi
done
[ -d "$DPL_LEDGER/backup/$DPL_OPERATION" ] || complain 'it did not end by itself'

echo
dpl-show --trail "$DPL_OPERATION"
echo
echo "$problems problems"
[ "$problems" = 0 ]
