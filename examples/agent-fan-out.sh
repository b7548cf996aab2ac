#!/usr/bin/env bash
# agent-fan-out.sh - how an AI agent works with dpl: each command in a shell of its own, which ends at once
#
#	agent-fan-out.sh FILE ...
#
# Counts the words of each file, one background call a file, in separate shells that share nothing but two ids: nothing depends on a process that
# stays.  The shells are `step`s below; between them the agent may think, be stopped, or start anew.  Each wait is short, and is
# simply asked again.  Results are JSON, read from the ledger.
# shellcheck disable=SC2016 # what a step is given it expands itself
set -euo pipefail
[ $# -gt 0 ] || {
	echo 'usage: agent-fan-out.sh FILE ...' >&2
	exit 2
}
export DPL_LEDGER=${DPL_LEDGER:-$PWD/agent-ledger}

# step COMMAND [ARG ...]: a fresh shell, without anything of the one before but the ledger's name.
step() {
	env -i PATH="$PATH" DPL_LEDGER="$DPL_LEDGER" sh -ec "$@"
}

# 1. An operation of its own.  The participant is leased for an hour: every command is a sign of life.  --key: asked again, the same.
number=0
op=$(step 'dpl-create -p agent --ttl 1h --key "$1" -d "count words"' sh "fan-out-$$")

# 2. Fan out: one call a file, two at a time.  A file that cannot be counted has a result, too.
for file; do
	number=$((number + 1))
	step 'dpl-call spawn -q -o "$1" -p agent --slots 2 --id "$2" --result-from stdout --result-json --fallback null -d "count $3" -- \
		sh -c "wc -w <\"\$1\"" sh "$3"' sh "$op" "file_$number" "$(realpath -m "$file")"
done

# 3. Wait in small pieces, as one whose commands must be short does.  124: not done yet, ask again.
while :; do
	status=0
	answer=$(step 'dpl-call sync -o "$1" -p agent --json -t 2s' sh "$op") || status=$?
	[ "$status" = 124 ] || break
done
[ "$status" = 0 ] || {
	echo "agent-fan-out: $answer" >&2
	exit "$status"
}

# 4. What came of it.
number=0 words=0
for file; do
	number=$((number + 1))
	count=$(step 'dpl-call result -o "$1" "$2"' sh "$op" "file_$number")
	printf '%8s %s\n' "$count" "$file"
	[ "$count" = null ] || words=$((words + count))
done
printf '%8s in all\n' "$words"

# 5. Done.  The history stays: dpl-show --trail.
step 'dpl-complete -q -o "$1" -p agent -m "$2 words"' sh "$op" "$words"
