#!/usr/bin/env bats
# crash.bats - kill every changing command at every system call
#
# After each kill: the journal is read at once, what was acknowledged before is there, the killed
# change has no effect or the whole, and the next command succeeds.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # each test is a subshell; journal.bash sets what is read

load tools/journal.bash

setup() {
	journal_setup
	command -v killat >/dev/null || skip "killat is not built (make test-tools)"
	killat 0 true >/dev/null 2>&1 || skip "ptrace is not allowed here"
	template=$BATS_TEST_TMPDIR/template
	# Only what is killed need flush: no power is lost here.
	export DPL_SYNC=off
	stop=0
	# Under a sanitizer a command makes many more calls: some of them will do.
	step=1
	[ -z "${SANITIZED:-}" ] || step=9
}

# The ledger of the test, as it was before.
again() {
	rm -rf "$DPL_LEDGER"
	if [ -d "$template" ]; then
		cp -a "$template" "$DPL_LEDGER"
	fi
}

# Keep the ledger as what each kill begins with.
keep() {
	rm -rf "$template"
	cp -a "$DPL_LEDGER" "$template"
	mapfile -t before <"$template/$op/journal.jsonl"
}

# sweep CHECK COMMAND...: kill the command at each stop, on a fresh ledger each time, and check.
sweep() {
	local check=$1
	shift
	unwatched
	for ((stop = 1; stop < 20000; stop += step)); do
		again
		status=0
		DPL_SYNC=on killat "$stop" "$@" >"$BATS_TEST_TMPDIR/.out" 2>"$BATS_TEST_TMPDIR/.err" 3>&- || status=$?
		if [ "$status" -ne 137 ]; then
			break
		fi
		"$check"
	done
	[ "$status" -eq 0 ] || fail "'$*' gave $status: $(cat "$BATS_TEST_TMPDIR/.err")"
	# Fewer would mean that nothing was tried.
	[ "$stop" -gt 40 ] || fail "only $stop stops"
	[ "$untouched" -gt 0 ] || fail "without effect $untouched times, with $changed"
	[ "$changed" -gt 0 ] || fail "without effect $untouched times, with $changed"
	echo "# $stop stops: without effect $untouched, with $changed" >&3
}

untouched=0
changed=0

# What to type to see it again.
teardown() {
	if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ "${stop:-0}" -gt 0 ]; then
		echo "at stop $stop"
	fi
}

# Read the journal into `lines`; its first ones are those from before.
read_back() {
	mapfile -t lines <"$1"
	local i
	for ((i = 0; i < ${#before[@]}; i++)); do
		[ "${lines[i]}" = "${before[i]}" ] || fail "line $((i + 1)) is not what it was"
	done
}

# What most changes have in common: `entries` more lines or none, the last of them `event`.
change_is_whole_or_not_there() {
	expect 0 dpl-show -q "$op"
	read_back "$DPL_LEDGER/$op/journal.jsonl"
	case $((${#lines[@]} - ${#before[@]})) in
	0) untouched=$((untouched + 1)) ;;
	"$entries")
		changed=$((changed + 1))
		[[ ${lines[-1]} == '{"seq":'"${#lines[@]}",*'"event":"'"$event"'"'* ]] || fail "not a $event: ${lines[-1]}"
		;;
	*) fail "$((${#lines[@]} - ${#before[@]})) lines more" ;;
	esac
	expect 0 dpl-log -o "$op" next
	[ -z "$err" ] || fail "the next command said: $err"
	mapfile -t lines <"$DPL_LEDGER/$op/journal.jsonl"
	[[ ${lines[-1]} == '{"seq":'"${#lines[@]}",*'"message":"next"'* ]] || fail "the next entry: ${lines[-1]}"
}

# An operation with a guest and two calls.
busy_operation() {
	op=$(dpl-create -d busy)
	dpl-join -q -o "$op" -p bob
	dpl-call start -q -o "$op" -p bob --id one
	dpl-call start -q -o "$op" -p bob --id two --parent one
	keep
}

create_is_whole_or_not_there() {
	local id ids
	try dpl-show -aq
	[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || fail "dpl-show gave $status: $err"
	ids=$out
	if [ -z "$ids" ]; then
		untouched=$((untouched + 1))
	else
		changed=$((changed + 1))
		[ "$(wc -w <<<"$ids")" -eq 1 ] || fail "more than one: $ids"
		expect 0 dpl-show -j "$ids"
		[[ $out == *'"seq":1,'* && $out == *'"state":"running"'* ]] || fail "$out"
	fi
	expect 0 dpl-create
	id=$out
	expect 0 dpl-show -aq
	[ "$out" = "${ids:+$ids
}$id" ] || [ "$out" = "$id
$ids" ] || fail "listed: $out"
	expect 0 dpl-complete -q -o "$id"
}

@test "create" {
	sweep create_is_whole_or_not_there dpl-create -d new
}

@test "create in a ledger that is there" {
	mkdir -m 700 "$DPL_LEDGER" "$DPL_LEDGER/backup" "$DPL_LEDGER/keys"
	cp -a "$DPL_LEDGER" "$template"
	sweep create_is_whole_or_not_there dpl-create -d new
}

keyed_create_is_made_once() {
	local first
	try dpl-show -aq
	case $status$out in
	0 | 3) untouched=$((untouched + 1)) ;;
	0?*) changed=$((changed + 1)) ;;
	*) fail "dpl-show gave $status: $err" ;;
	esac
	first=$out
	expect 0 dpl-create --key nightly -d new
	[ -z "$first" ] || [ "$out" = "$first" ] || fail "the key gave $out after $first"
	first=$out
	expect 0 dpl-create --key nightly -d new
	[ "$out" = "$first" ] || fail "the key gave $out, then $first"
	expect 0 dpl-show -aq
	[ "$out" = "$first" ] || fail "there are: $out"
}

@test "create with a key" {
	sweep keyed_create_is_made_once dpl-create --key nightly -d new
}

@test "join" {
	op=$(dpl-create)
	keep
	entries=1 event=participant.joined
	sweep change_is_whole_or_not_there dpl-join -o "$op" -p carol
}

@test "leave that cancels calls" {
	busy_operation
	entries=3 event=participant.left
	sweep change_is_whole_or_not_there dpl-leave -o "$op" -p bob --cancel
}

@test "call start" {
	busy_operation
	entries=1 event=call.started
	sweep change_is_whole_or_not_there dpl-call start -o "$op" -p bob -d work
}

@test "call end" {
	busy_operation
	entries=1 event=call.ended
	sweep change_is_whole_or_not_there dpl-call end -o "$op" -p bob --result 'well done' two
}

@test "call fail" {
	busy_operation
	entries=1 event=call.failed
	sweep change_is_whole_or_not_there dpl-call fail -o "$op" -p bob -m broken two
}

@test "abort" {
	busy_operation
	entries=1 event=abort.set
	sweep change_is_whole_or_not_there dpl-abort -o "$op" -m enough
}

@test "abort --clear" {
	op=$(dpl-create)
	dpl-abort -o "$op" -m enough
	keep
	entries=1 event=abort.cleared
	sweep change_is_whole_or_not_there dpl-abort -o "$op" --clear
}

@test "log" {
	busy_operation
	entries=1 event=log
	sweep change_is_whole_or_not_there dpl-log -o "$op" one line
}

# The same key after the kill: the change is there once.
keyed_change_is_made_once() {
	read_back "$DPL_LEDGER/$op/journal.jsonl"
	if [ "${#lines[@]}" -eq "${#before[@]}" ]; then
		untouched=$((untouched + 1))
	else
		changed=$((changed + 1))
	fi
	expect 0 dpl-call start -o "$op" -p bob -d work --key k1
	mapfile -t lines <"$DPL_LEDGER/$op/journal.jsonl"
	[ $((${#lines[@]} - ${#before[@]})) -eq 1 ] || fail "$((${#lines[@]} - ${#before[@]})) entries for one key"
	[[ ${lines[-1]} == *"\"callId\":\"$out\""* ]] || fail "the key gave $out, not that of ${lines[-1]}"
}

@test "call start with a key" {
	busy_operation
	sweep keyed_change_is_made_once dpl-call start -o "$op" -p bob -d work --key k1
}

@test "a change that writes a checkpoint too" {
	op=$(dpl-create)
	many_lines "$DPL_LEDGER/$op/journal.jsonl" 400
	keep
	entries=1 event=call.started
	sweep change_is_whole_or_not_there dpl-call start -o "$op" -d work
	again
	dpl-call start -q -o "$op"
	[ -s "$DPL_LEDGER/$op/checkpoint" ] || fail "there was no checkpoint to write"
}

# An end: in the live place or in backup/, and whoever looks next finishes it.
end_is_whole_or_not_there() {
	local live=0 ended=0 name journal
	[ ! -d "$DPL_LEDGER/$op" ] || live=1
	[ ! -d "$DPL_LEDGER/backup/$op" ] || ended=1
	[ $((live + ended)) -eq 1 ] || fail "live $live, in backup $ended"
	journal=$(journal_of "$op")
	read_back "$journal"
	if [ "${#lines[@]}" -eq "${#before[@]}" ]; then
		untouched=$((untouched + 1))
		expect 0 dpl-show -q "$op"
		expect 0 "${command[@]}"
	else
		changed=$((changed + 1))
		[ $((${#lines[@]} - ${#before[@]})) -eq "$entries" ] || fail "$((${#lines[@]} - ${#before[@]})) lines more"
		[[ ${lines[-1]} == *'"event":"operation.archived"}' && ${lines[-2]} == *'"event":"operation.completed"'* ]] || fail "ends with ${lines[-1]}"
		case $((stop % 3)) in # whoever it is
		0) expect 0 dpl-show -q "$op" ;;
		1) expect 0 dpl-show -aq ;;
		2) expect 6 dpl-log -o "$op" late ;;
		esac
	fi
	[ ! -e "$DPL_LEDGER/$op" ] || fail "it is still in the live place"
	expect 0 dpl-show -j "$op"
	[[ $out == *'"state":"completed"'*'"ended":true'* ]] || fail "$out"
	mapfile -t lines <"$DPL_LEDGER/backup/$op/journal.jsonl"
	[ $((${#lines[@]} - ${#before[@]})) -eq "$entries" ] || fail "$((${#lines[@]} - ${#before[@]})) lines more"
	for name in operation.json operation.log; do
		[ -s "$DPL_LEDGER/backup/$op/$name" ] || fail "no $name"
	done
	[[ $(<"$DPL_LEDGER/backup/$op/operation.json") == '{'*'"state":"completed"'*'}' ]] || fail "operation.json: $(cat "$DPL_LEDGER/backup/$op/operation.json")"
	mapfile -t log <"$DPL_LEDGER/backup/$op/operation.log"
	[ "${#log[@]}" -eq "${#lines[@]}" ] || fail "operation.log has not a line for each entry"
	while read -r name; do
		case $name in
		beats | bell | calls | checkpoint | coordinator | journal.jsonl | operation.json | operation.log) ;;
		*) fail "left over in backup: $name" ;;
		esac
	done < <(ls -A "$DPL_LEDGER/backup/$op")
	expect 6 dpl-complete -o "$op"
}

@test "complete" {
	op=$(dpl-create)
	dpl-log -o "$op" working
	keep
	entries=2
	command=(dpl-complete -q -o "$op")
	sweep end_is_whole_or_not_there "${command[@]}"
}

@test "complete that cancels calls" {
	busy_operation
	entries=4
	command=(dpl-complete -q -o "$op" --cancel -m over)
	sweep end_is_whole_or_not_there "${command[@]}"
}

# The one who finishes a dead one's move may die as well.
@test "a look that finishes the move" {
	busy_operation
	dpl-complete -q -o "$op" --cancel
	mv "$DPL_LEDGER/backup/$op" "$DPL_LEDGER/$op"
	rm "$DPL_LEDGER/$op/operation.json" "$DPL_LEDGER/$op/operation.log"
	head -n 4 "$DPL_LEDGER/$op/journal.jsonl" >"$BATS_TEST_TMPDIR/first"
	rm -rf "$template"
	cp -a "$DPL_LEDGER" "$template"
	mapfile -t before <"$BATS_TEST_TMPDIR/first"
	entries=4
	untouched=1 # the end is there from the start
	command=(dpl-show -q "$op")
	sweep end_is_whole_or_not_there "${command[@]}"
}

# The oldest that is deleted is gone from sight at once, and wholly in the end.
deletion_goes_on() {
	local listed
	expect 0 dpl-show -aq
	listed=$out
	while read -r id; do
		# This very look may have finished the move and the deletion.
		[ "$id" = "$oldest" ] || expect 0 dpl-show -q "$id"
	done <<<"$listed"
	if [ -e "$DPL_LEDGER/backup/$oldest" ]; then
		untouched=$((untouched + 1))
	else
		changed=$((changed + 1))
	fi
	expect 0 dpl-create
	expect 0 dpl-complete -q -o "$out"
	[ ! -e "$DPL_LEDGER/backup/$oldest" ] || fail "the oldest is still there"
	if compgen -G "$DPL_LEDGER/backup/.old-*"; then
		fail "half of it is still there"
	fi
}

@test "complete that deletes the oldest" {
	for ((i = 0; i < 20; i++)); do
		dpl-complete -q -o "$(dpl-create)"
	done
	op=$(dpl-create)
	oldest=$(find "$DPL_LEDGER/backup" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | head -n 1)
	step=$((step * 6 + 1)) # many calls, and the end itself is tried above
	keep
	sweep deletion_goes_on dpl-complete -q -o "$op"
}
