#!/usr/bin/env bash
# run-tests.sh - run test programs in parallel, as calls of one operation
#
#	run-tests.sh [-j N] [-f] [-t TIME] PROGRAM ...
#
# Each program is a test that passes with exit status 0.  At most N run at a time (as many as there are processors), the rest
# is queued; a test that takes longer than TIME (1m) fails.  With -f the first failure stops all others.  The report names each
# test, and shows the end of the output of those that failed; the exit status is 0 when all passed.  Ctrl-C leaves nothing behind:
# neither processes nor files.  Afterwards `dpl-show --trail ID` tells what ran when, in the ledger DPL_LEDGER, else in ./test-ledger.
set -euo pipefail

slots=$(nproc) limit=1m first_fail=()
while getopts j:ft: option; do
	case $option in
	j) slots=$OPTARG ;;
	f) first_fail=(--first-fail) ;;
	t) limit=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || {
	echo 'usage: run-tests.sh [-j N] [-f] [-t TIME] PROGRAM ...' >&2
	exit 2
}

export DPL_LEDGER=${DPL_LEDGER:-$PWD/test-ledger}
# The keeper of this shell sees to it that the operation ends with it, in whatever way that is.
eval "$(dpl-create --export -d "tests: $#" --keep $$)"

declare -A name=()
for program; do
	call=$(dpl-call spawn --slots "$slots" --timeout "$limit" -d "${program##*/}" -- "$program")
	name[$call]=$program
done

# One line a test, whatever became of it.
report=$(dpl-call sync "${first_fail[@]}") || true
if [ "${#first_fail[@]}" -gt 0 ] && grep -q ^failed <<<"$report"; then
	awk '$1 == "unknown" { print $2 }' <<<"$report" | while read -r call; do
		dpl-call cancel -q -m 'another test failed' "$call" 2>/dev/null || true # it may have just ended
		dpl-call wait -q "$call" || true
	done
fi

failed=0 passed=0 stopped=0
while read -r what call why; do
	case $what in
	succeeded)
		passed=$((passed + 1))
		echo "ok   ${name[$call]}"
		;;
	failed)
		failed=$((failed + 1))
		echo "FAIL ${name[$call]}: $why"
		{ dpl-call output --tail 2000 "$call" && dpl-call output --err --tail 2000 "$call"; } 2>&1 | sed 's/^/     /' || true # a server keeps none
		;;
	*)
		stopped=$((stopped + 1))
		echo "-    ${name[$call]}: stopped"
		;;
	esac
done <<<"$report"
echo "$passed passed, $failed failed, $stopped stopped ($DPL_OPERATION)"
if [ "$failed" -eq 0 ] && [ "$stopped" -eq 0 ]; then
	dpl-complete -q
else
	dpl-complete -q --failed -m "$failed tests failed"
	exit 1
fi
