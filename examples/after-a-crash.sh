#!/usr/bin/env bash
# after-a-crash.sh - what is left of an operation when one of its workers dies: nothing but its record
#
# Several workers do one piece of work, each a command that dpl-call runs as a call.  Each registers temp files,
# and an undo command that takes back what it announced.  Half way the supervisor of one is killed by SIGKILL, and its
# command with it: neither can tidy up.  The others stop, everything that was registered goes, and the operation has failed.
#
#	WORKERS=4  how many workers
#
# Needs dpl on PATH, bash 5 and coreutils.  Exits 0 only when all of that was seen to happen.
set -euo pipefail
export LC_ALL=C

workers=${WORKERS:-4}
[ "$workers" -ge 2 ] || workers=2
self=$(realpath "$0")

# --- a worker: announce itself, make files, and work until something stops it ---

if [ "${1:-}" = --work ]; then
	work=$2 name=$DPL_PARTICIPANT
	# Registered before it is done: whatever happens in between, it is taken back.
	dpl-temp add -q --command "echo $name >>'$work/undone'; rm -f '$work/$name.announced'"
	touch "$work/$name.announced"
	folder=$(dpl-temp make -d --tmpdir="$work/tmp")
	for ((part = 1; part <= 3; part++)); do
		head -c 100000 /dev/urandom >"$folder/part-$part"
	done
	file=$(dpl-temp make --tmpdir="$work/tmp" "$name.XXXXXX")
	cat "$folder"/part-* >"$file"
	dpl-beat -q --progress 1/2 -m 'half way'
	echo $$ >"$work/$name.half"
	while :; do
		sort -o "$file" "$file"
	done
fi

work=$(mktemp -d)
mkdir "$work/tmp"
: >"$work/undone"
problems=0
declare -A pids=()

tidy() {
	[ "${#pids[@]}" = 0 ] || kill "${pids[@]}" 2>/dev/null || :
	wait
	rm -rf "$work"
}
trap tidy EXIT
trap 'exit 130' INT TERM

complain() {
	echo "after-a-crash: $*" >&2
	problems=$((problems + 1))
}

# until_true SECONDS COMMAND ...: until it succeeds, for at most so long
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -le "$end" ] || return 1
		sleep 0.005
	done
}

half_way() {
	local k
	for ((k = 1; k <= workers; k++)); do
		[ -s "$work/worker-$k.half" ] || return 1
	done
}

is_archived() {
	[ -d "$DPL_LEDGER/backup/$DPL_OPERATION" ]
}

gone() {
	[ ! -e "/proc/$1" ] || grep -q ') Z ' "/proc/$1/stat" 2>/dev/null
}

# since MICROSECONDS: the time since then
since() {
	local us=$((${EPOCHREALTIME/./} - $1))
	printf '%d.%03d ms' $((us / 1000)) $((us % 1000))
}

# count FILTER: how many entries of the archived journal have this text
count() {
	grep -c -e "$1" "$DPL_LEDGER/backup/$DPL_OPERATION/journal.jsonl" || :
}

# --- all at work ---

answer=$(dpl-create --export -C "$work/ledger" -p initiator --pid $$ -d 'sort, and one of us dies')
eval "$answer"
for ((k = 1; k <= workers; k++)); do
	name=worker-$k
	dpl-join -q -p "$name"
	dpl-call -q -p "$name" -d 'sort again and again' -- "$self" --work "$work" 2>"$work/$name.err" &
	pids[$name]=$!
done
until_true 20 half_way || complain 'not all workers came half way'
registered=$(dpl-temp list -q | wc -l)
files=$(find "$work/tmp" -type f | wc -l)
echo "$workers workers are half way, with $files temp files; $registered things are registered"
[ "$registered" = $((3 * workers)) ] || complain "not $((3 * workers)) things are registered"
[ "$files" = $((4 * workers)) ] || complain "there are not $((4 * workers)) temp files"

# --- one is killed ---

victim=worker-2
command=$(cat "$work/$victim.half")
died=${EPOCHREALTIME/./}
{
	kill -KILL "${pids[$victim]}" "$command"
	wait "${pids[$victim]}" || :
} 2>/dev/null # where bash would report it
unset "pids[$victim]"
echo "$victim and its supervisor were killed by SIGKILL"
until_true 30 is_archived || complain 'the operation did not come to its end'
echo "  the operation had failed, and was archived, $(since "$died") later"
for ((k = 1; k <= workers; k++)); do
	name=worker-$k
	[ "$name" != "$victim" ] || continue
	status=0
	wait "${pids[$name]}" || status=$?
	unset "pids[$name]"
	[ "$status" = 123 ] || complain "$name ended with $status, not 123"
	echo "  $name had ended with exit status $status"
done

# --- what is left ---

left=$(find "$work/tmp" -mindepth 1)
[ -z "$left" ] || complain "temp files are left: $left"
for ((k = 1; k <= workers; k++)); do
	name=worker-$k
	[ ! -e "$work/$name.announced" ] || complain "what $name announced was not taken back"
	times=$(grep -c -x "$name" "$work/undone" || :)
	[ "$times" = 1 ] || complain "the undo command of $name ran $times times, not once"
done
gone "$command" || complain "the command of $victim is still there"
[ "$(count '"event":"crash.detected"')" = 1 ] || complain 'its death was not recorded once'
[ "$(count '"event":"resource.removed"')" = "$registered" ] || complain 'not each removal was recorded'
[ "$(count '"event":"operation.failed"')" = 1 ] || complain 'it did not fail once'
echo "  all $files temp files are gone, and each of $workers undo commands ran once"
status=0
said=$(dpl-beat -p initiator 2>&1) || status=$?
[ "$status" = 5 ] || complain "dpl-beat gave $status, not 5"
echo "  ${said#dpl-beat: }"

echo
why=$(dpl-show --why "$DPL_OPERATION") || complain 'dpl-show --why does not tell'
printf '%s\n' "$why"
case $why in
*"$victim"*"lock has fallen"*) ;;
*) complain "dpl-show --why does not say that $victim died, and how that is known" ;;
esac

echo
echo "$problems problems"
[ "$problems" = 0 ]
