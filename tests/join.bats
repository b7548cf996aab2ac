#!/usr/bin/env bats
# dpl-join and dpl-leave

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	op=$(dpl-create)
	export DPL_OPERATION=$op
}

@test "join prints the session's number, a new one each time" {
	expect 0 dpl-join -p worker
	is "$output" 2
	is "$stderr" ''
	expect 0 dpl-join -p worker
	is "$output" 3
	is "$(entries "$op" | tail -n 2 | uniq -c | tr -s ' ')" ' 2 participant.joined'
	is "$(last_entry "$op" '[.by, .sessionId] | @csv')" '"worker",3'
	expect 0 dpl-show --json
	holds '.participants | map({(.participantId): .sessions}) | add == {me: 1, worker: 2}'
	holds '.participants | map({(.participantId): .isInitiator}) | add == {me: true, worker: false}'
}

@test "join --json" {
	expect 0 dpl-join --json -p worker
	holds '.ok and .isInitiator == false and .participantId == "worker" and .sessionId == 2 and .operationId == $op and .seq == 2' --arg op "$op"
	expect 0 dpl-join --json
	holds '.isInitiator and .participantId == "me" and .sessionId == 3'
}

@test "join records who calls, and its lease" {
	expect 0 dpl-join --pid 1 --ttl 2m
	is "$(last_entry "$op" '[.pid, .ttlMs] | @csv')" 1,120000
	expect 0 dpl-join
	is "$(last_entry "$op" '[.pid, .ttlMs] | @csv')" "$BASHPID,"
	expect 0 dpl-show --json
	holds '.sessions | map(.ttlMs) == [900000, 120000, 900000]'
	expect 2 dpl-join --ttl 5ms
	expect 2 dpl-join --ttl soon
	refused dpl-join --ttl soon
	expect 2 dpl-join --pid nobody
	refused dpl-join --pid nobody
}

@test "join --export: eval sets the environment" {
	expect 0 dpl-join --export -p "it's w"
	unset DPL_OPERATION DPL_PARTICIPANT DPL_LEDGER
	eval "$output"
	is "$DPL_OPERATION $DPL_PARTICIPANT $DPL_SESSION $DPL_LEDGER" "$op it's w 2 $DPL_LEDGER"
}

@test "join --export without a name mints one where the user takes part already" {
	unset DPL_PARTICIPANT
	user=$(id -un)
	is "$(dpl-join --json | jq -r .participantId)" "$user"
	for n in 2 3 4; do
		eval "$(dpl-join --export)"
		is "$DPL_PARTICIPANT" "$user-$n"
		unset DPL_PARTICIPANT
	done
	# What is given is never changed.
	is "$(dpl-join --export -p "$user" | grep -c "='$user'$")" 1
	is "$(DPL_PARTICIPANT=$user dpl-join --export | grep -c "='$user'$")" 1
	is "$(dpl-join)" 8
	is "$(last_entry "$op" .by)" "$user"
	# A name that is free again is taken again.
	dpl-leave -p "$user-3" --session 4
	is "$(dpl-join --json --export | jq -r .participantId)" "$user-3"
}

@test "join --key: the same session again" {
	expect 0 dpl-join -p w --key j1
	is "$output" 2
	expect 0 dpl-join -p w --key j1
	is "$output" 2
	expect 0 dpl-join -p w --key j1 --json
	holds '.replayed and .sessionId == 2 and .participantId == "w"'
	expect 6 dpl-join -p v --key j1
	refused dpl-join j1
	expect 6 dpl-join -p w --ttl 1h --key j1 --json
	json_error key-reused
	is "$(entries "$op" | wc -l)" 2
	dpl-complete
	expect 0 dpl-join -p w --key j1
	is "$output" 2
	expect 6 dpl-join -p w --key j2
	refused dpl-join "$op" ended
}

@test "join with a key mints the same name again" {
	unset DPL_PARTICIPANT
	dpl-join -q
	expect 0 dpl-join --export --key k
	first=$output
	expect 0 dpl-join --export --key k
	is "$output" "$first"
}

@test "join -q and -v" {
	expect 0 dpl-join -q
	silent
	expect 0 dpl-join -v
	is "$output" 3
	is "$stderr" "dpl-join: entry 3 of $op in $DPL_LEDGER"
}

@test "join what has ended, and what never was" {
	dpl-complete
	expect 6 dpl-join
	refused dpl-join "$op" 'has ended (completed)' "dpl-show $op"
	expect 6 dpl-join --json
	json_error operation-ended
	holds '.error.next == ["dpl-show", $op]' --arg op "$op"
	other=20260101T000000.000Z-me-0000000a
	expect 3 dpl-join -o "$other"
	refused dpl-join "$other"
	expect 3 dpl-join --json -o "$other"
	json_error operation-not-found
	holds '.error.next == ["dpl-show", "--all"]'
}

@test "leave ends my newest session" {
	dpl-join -qp w
	dpl-join -qp w
	expect 0 dpl-leave -p w
	silent
	is "$(last_entry "$op" '[.event, .by, .sessionId] | @csv')" '"participant.left","w",3'
	expect 0 dpl-leave -p w --json
	holds '.ok and .success and .sessionId == 2 and .cancelledCalls == 0'
	expect 3 dpl-leave -p w
	refused dpl-leave w 'no live session' "$op"
	expect 3 dpl-leave -p w --json
	json_error participant-not-found
	holds '.error.next == ["dpl-join", "--operation", $op]' --arg op "$op"
	# It may come back.
	expect 0 dpl-join -p w
	is "$output" 4
}

@test "leave --session and DPL_SESSION name the session" {
	export DPL_PARTICIPANT=w
	dpl-join -q
	dpl-join -q
	dpl-join -q
	expect 0 dpl-leave --session 3
	is "$(last_entry "$op" .sessionId)" 3
	DPL_SESSION=2 expect 0 dpl-leave
	is "$(last_entry "$op" .sessionId)" 2
	DPL_SESSION=2 expect 0 dpl-leave --session 4
	is "$(last_entry "$op" .sessionId)" 4
	expect 3 dpl-leave --session 4
	refused dpl-leave 4 "$op"
	DPL_SESSION=4 expect 3 dpl-leave
	refused dpl-leave 4 "$op"
	expect 3 dpl-leave --session 4 --json
	json_error session-not-found
	# Another's session is not mine to end.
	expect 3 dpl-leave --session 1
	expect 0 dpl-leave -p me --session 1
}

@test "the session of the environment is that of its operation and participant only" {
	dpl-join -qp w
	other=$(dpl-create)
	export DPL_SESSION=1
	expect 0 dpl-leave -p w
	is "$(last_entry "$op" '[.by, .sessionId] | @csv')" '"w",2'
	dpl-join -q -o "$other"
	expect 0 dpl-leave -o "$other"
	is "$(last_entry "$other" '[.by, .sessionId] | @csv')" '"me",2'
	expect 0 dpl-leave -o "$op" -p me
	is "$(last_entry "$op" '[.by, .sessionId] | @csv')" '"me",1'
}

@test "leave: what is no session number" {
	for n in 0 -1 x 1.5 '1 ' 99999999999999999999 01; do
		expect 2 dpl-leave --session "$n"
		refused dpl-leave --session
		DPL_SESSION=$n expect 2 dpl-leave
		refused dpl-leave DPL_SESSION
	done
	DPL_SESSION='' expect 0 dpl-leave
}

@test "leave is refused while calls of the session run; --cancel cancels them" {
	dpl-join -qp w
	mine=$(dpl-call start)
	call=$(dpl-call start -p w)
	expect 6 dpl-leave -p w
	refused dpl-leave "$call" 'session 2' --cancel
	expect 6 dpl-leave -p w --json
	json_error calls-running
	holds '.error.next == ["dpl-call", "list", "--operation", $op]' --arg op "$op"
	expect 0 dpl-leave -p w --cancel --json
	holds '.cancelledCalls == 1 and .sessionId == 2'
	is "$(entries "$op" | tail -n 2 | tr '\n' ' ')" 'call.cancelled participant.left '
	is "$(dpl-call list -q)" "$mine"
	expect 6 dpl-call end "$call" -p w
	whole "$op"
}

@test "leave: the calls of another session of the same participant do not matter" {
	call=$(dpl-call start --session 1)
	expect 0 dpl-join
	is "$output" 2
	expect 0 dpl-leave
	is "$(last_entry "$op" .sessionId)" 2
	expect 6 dpl-leave
	dpl-call end "$call"
	expect 0 dpl-leave
}

@test "leave --key: carried out once, also after the end" {
	dpl-join -qp w
	dpl-join -qp w
	expect 0 dpl-leave -p w --key l1
	expect 0 dpl-leave -p w --key l1 --json
	holds '.replayed and .sessionId == 3'
	is "$(dpl-show --json | jq '.sessions | map(select(.leftAt == null)) | length')" 2
	expect 6 dpl-leave -p w --session 2 --key l1 --json
	json_error key-reused
	dpl-complete -q
	expect 0 dpl-leave -p w --key l1
	expect 6 dpl-leave -p w --key l2
}

@test "all have left: the operation goes on, its initiator can still end it" {
	dpl-leave
	expect 3 dpl-call start
	refused dpl-call 'me has not joined' "dpl-join -o $op -p me"
	expect 0 dpl-log 'still here'
	expect 0 dpl-complete
}

@test "join and leave take no operand" {
	for tool in dpl-join dpl-leave; do
		expect 2 "$tool" x
		refused "$tool" "'x'"
		expect 2 "$tool" --nonsense
		refused "$tool" "'--nonsense'" "$tool --help"
		expect 2 "$tool" -Z
		refused "$tool" "'-Z'"
		expect 2 "$tool" -o
		refused "$tool" "'-o'" value
	done
	is "$(entries "$op" | wc -l)" 1
}
