#!/usr/bin/env bats
# dpl-call start, end, fail, list

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	op=$(dpl-create)
	export DPL_OPERATION=$op
}

@test "start prints the call's id, end ends it" {
	expect 0 dpl-call start -d 'compress a.txt'
	is "$stderr" ''
	[[ $output =~ ^call_me_1_[0-9a-f]{4}$ ]]
	call=$output
	is "$(last_entry "$op" '[.event, .by, .callId, .description, .sessionId] | @csv')" "\"call.started\",\"me\",\"$call\",\"compress a.txt\",1"
	expect 0 dpl-call end "$call"
	silent
	is "$(last_entry "$op" '[.event, .callId] | @csv')" "\"call.ended\",\"$call\""
	is "$(last_entry "$op" 'has("result")')" false
}

@test "start and end --json" {
	expect 0 dpl-call start --json
	holds '.ok and .operationId == $op and .sessionId == 1 and .seq == 2 and .aborted == false and (.startedAt | endswith("Z"))' --arg op "$op"
	call=$(json .callId)
	expect 0 dpl-call end --json "$call"
	holds '.ok and .success and .seq == 3 and .durationMs >= 0'
	call=$(dpl-call start)
	expect 0 dpl-call fail --json "$call" -m 'no space'
	holds '.ok and .success and .seq == 5'
}

@test "calls are numbered, and each is its own" {
	first=$(dpl-call start)
	second=$(dpl-call start)
	has "$first" call_me_1_
	has "$second" call_me_2_
	dpl-call end "$first"
	third=$(dpl-call start)
	has "$third" call_me_3_
	is "$(dpl-call list -q | tr '\n' ' ')" "$second $third "
}

@test "end --result: a text, or standard input" {
	call=$(dpl-call start)
	dpl-call end --result 'a "b" \ é' "$call"
	is "$(last_entry "$op" .result)" 'a "b" \ é'
	call=$(dpl-call start)
	printf 'two\nlines\n' | dpl-call end --result - "$call"
	is "$(last_entry "$op" .result)" $'two\nlines'
	is "$(last_entry "$op" '.result | length')" 10
	call=$(dpl-call start)
	dpl-call end --result '' "$call"
	is "$(last_entry "$op" .result)" ''
	expect 0 dpl-show --json
	holds '.calls | map(.result) == ["a \"b\" \\ é", "two\nlines\n", ""]'
}

@test "end --result -: what is no text is refused, and the call goes on" {
	call=$(dpl-call start)
	expect 2 dpl-call end --result - "$call" < <(printf 'a\0b')
	refused dpl-call NUL
	expect 2 dpl-call end --result - "$call" < <(printf 'a\xffb')
	refused dpl-call UTF-8
	expect 2 dpl-call end --result - "$call" < <(head -c 70000 /dev/zero | tr '\0' x)
	refused dpl-call 'longer than 65536'
	expect 2 dpl-call end --result - "$call" < <(head -c 65530 /dev/zero | tr '\0' x)
	refused dpl-call 'longer than 65536'
	expect 9 dpl-call end --result - "$call" </
	refused dpl-call 'standard input'
	expect 9 dpl-call end --result - "$call" <&-
	refused dpl-call 'standard input'
	is "$(dpl-call list -q)" "$call"
	expect 0 dpl-call end --result - "$call" < <(head -c 60000 /dev/zero | tr '\0' x)
	is "$(last_entry "$op" '.result | length')" 60000
	expect 0 dpl-show --json
	holds '.calls[0].result | length == 60000'
}

@test "fail needs an error, and records it" {
	call=$(dpl-call start)
	expect 2 dpl-call fail "$call"
	refused dpl-call -m
	expect 0 dpl-call fail -m 'exit status 2' "$call"
	silent
	is "$(last_entry "$op" '[.event, .error] | @csv')" '"call.failed","exit status 2"'
	expect 0 dpl-show
	has "$output" '1 failed'
}

@test "the call is DPL_CALL where none is named" {
	DPL_CALL=$(dpl-call start)
	export DPL_CALL
	other=$(dpl-call start)
	is "$(last_entry "$op" .parentId)" "$DPL_CALL"
	expect 0 dpl-call end "$other"
	is "$(last_entry "$op" .callId)" "$other"
	expect 0 dpl-call end
	is "$(last_entry "$op" .callId)" "$DPL_CALL"
	expect 6 dpl-call fail -m late
	unset DPL_CALL
	expect 2 dpl-call end
	refused dpl-call DPL_CALL
	DPL_CALL='' expect 2 dpl-call end
	DPL_CALL=../x expect 2 dpl-call end
	refused dpl-call DPL_CALL ../x
	DPL_CALL=../x expect 2 dpl-call start
	refused dpl-call ../x
}

@test "the call and the session of the environment are those of their operation and participant only" {
	other=$(dpl-create)
	dpl-join -q -o "$other"
	dpl-join -q -p worker
	DPL_CALL=$(dpl-call start)
	export DPL_CALL DPL_SESSION=1
	dpl-call start -q
	is "$(last_entry "$op" '[.parentId, .sessionId] | @csv')" "\"$DPL_CALL\",1"
	dpl-call start -q -o "$other"
	is "$(last_entry "$other" '[.parentId, .sessionId] | @csv')" ,2
	dpl-call start -q -p worker
	is "$(last_entry "$op" '[.parentId, .sessionId] | @csv')" ,2
	dpl-log -q -o "$other" x
	is "$(last_entry "$other" .callId)" null
	dpl-log -q x
	is "$(last_entry "$op" .callId)" "$DPL_CALL"
}

@test "end twice: 6; what never was: 3; and both name the call" {
	call=$(dpl-call start)
	dpl-call end "$call"
	before=$(sum)
	expect 6 dpl-call end "$call"
	refused dpl-call "$call" "$op"
	expect 6 dpl-call fail -m x "$call"
	expect 6 dpl-call end --json "$call"
	json_error call-ended
	holds '.error.next == ["dpl-call", "list", "--all", "--operation", $op] or .error.next == ["dpl-call", "list", "--operation", $op, "--all"]' --arg op "$op"
	expect 3 dpl-call end nope
	refused dpl-call nope "$op"
	expect 3 dpl-call fail -m x nope
	expect 3 dpl-call end --json nope
	json_error call-not-found
	# What names the call elsewhere is no such call.
	dpl-log -q "callId" "\"callId\":\"nope\""
	dpl-call start -q --parent "$call" -d '"callId":"nope"'
	expect 3 dpl-call end nope
	is "$(sum | wc -l)" "$(wc -l <<<"$before")"
}

@test "--id gives the id, once" {
	expect 0 dpl-call start --id build:x86_64-1.2
	is "$output" build:x86_64-1.2
	expect 6 dpl-call start --id build:x86_64-1.2
	refused dpl-call build:x86_64-1.2 "$op"
	dpl-call end build:x86_64-1.2
	expect 6 dpl-call start --id build:x86_64-1.2 --json
	json_error call-exists
	expect 0 dpl-call start --id "$(printf 'x%.0s' {1..64})"
	# A number that was given by hand is stepped over.
	dpl-call start -q --id call_me_4_0000
	expect 0 dpl-call start
	[ "$output" != call_me_4_0000 ]
}

@test "--id: what is no call id" {
	for id in '' . .. ../x a/b -x :x .x 'a b' a..b é $'a\nb' "$(printf 'x%.0s' {1..65})"; do
		expect 2 dpl-call start --id "$id"
		refused dpl-call --id
		expect 2 dpl-call end -- "$id"
	done
	is "$(entries "$op" | wc -l)" 1
}

@test "--parent must be a call that was; DPL_CALL need not" {
	parent=$(dpl-call start)
	child=$(dpl-call start --parent "$parent")
	is "$(last_entry "$op" .parentId)" "$parent"
	dpl-call end "$parent"
	expect 0 dpl-call start --parent "$parent"
	expect 3 dpl-call start --parent nope
	refused dpl-call nope "$op"
	expect 3 dpl-call start --json --parent nope
	json_error call-not-found
	expect 2 dpl-call start --parent ../x
	refused dpl-call ../x
	DPL_CALL=of-another-operation expect 0 dpl-call start
	is "$(last_entry "$op" .parentId)" of-another-operation
	DPL_CALL=nope expect 0 dpl-call start --parent "$child"
	is "$(last_entry "$op" .parentId)" "$child"
}

@test "start: whose it is" {
	expect 3 dpl-call start -p worker
	refused dpl-call 'worker has not joined' "$op" "dpl-join -o $op -p worker"
	expect 3 dpl-call start -p worker --json
	json_error participant-not-found
	dpl-join -qp worker
	dpl-join -qp worker
	expect 0 dpl-call start -p worker
	has "$output" call_worker_1_
	is "$(last_entry "$op" '[.by, .sessionId] | @csv')" '"worker",3'
	DPL_PARTICIPANT=worker DPL_SESSION=2 expect 0 dpl-call start
	is "$(last_entry "$op" .sessionId)" 2
	DPL_SESSION=2 expect 0 dpl-call start -p worker --session 3
	is "$(last_entry "$op" .sessionId)" 3
	expect 3 dpl-call start --session 3
	refused dpl-call 'me has no live session 3'
	expect 3 dpl-call start --session 99 --json
	json_error session-not-found
	expect 2 dpl-call start --session x
	refused dpl-call x
	# Anyone may end a call: the one who cleans up is seldom the one who began.
	expect 0 dpl-call end -p helper "$(dpl-call list -q --by worker | head -n 1)"
	is "$(last_entry "$op" .by)" helper
}

@test "start --pid and --no-fail-on-crash are recorded" {
	dpl-call start -q --pid 1 --no-fail-on-crash
	is "$(last_entry "$op" '[.pid, .failOnCrash] | @csv')" 1,false
	dpl-call start -q
	is "$(last_entry "$op" 'has("failOnCrash")')" false
	expect 0 dpl-show --json
	holds '.calls | map(.failOnCrash) == [false, true]'
	expect 2 dpl-call start --pid 0
	refused dpl-call --pid
	dpl-call start -q --pid $$
	is "$(last_entry "$op" '[.pid, .pidStart, .bootId, .host, .pidNs] | map(tostring) | join(" ")')" \
		"$$ $(sed 's/.*) //' "/proc/$$/stat" | cut -d' ' -f20) $(</proc/sys/kernel/random/boot_id) $(uname -n) $(stat -Lc %i /proc/self/ns/pid)"
}

@test "an aborted operation: 4, unless --aborted-ok" {
	dpl-abort -m 'wrong branch'
	expect 4 dpl-call start
	refused dpl-call "$op" aborted --aborted-ok
	expect 4 dpl-call start --json
	json_error operation-aborted
	holds '.error.next == ["dpl-show", $op]' --arg op "$op"
	expect 0 dpl-call start --aborted-ok --json
	holds '.aborted and .abortReason == "wrong branch"'
	expect 0 dpl-call end "$(json .callId)"
	dpl-abort --clear
	expect 0 dpl-call start
}

@test "start --key, end --key, fail --key: carried out once" {
	call=$(dpl-call start --key s -d x)
	is "$(dpl-call start --key s -d x)" "$call"
	expect 0 dpl-call start --key s -d x --json
	holds '.replayed and .callId == $c and .seq == 2' --arg c "$call"
	expect 6 dpl-call start --key s -d y
	refused dpl-call s "$op"
	expect 0 dpl-call end --key e "$call" --result r
	expect 0 dpl-call end --key e "$call" --result r
	expect 0 dpl-call end --key e "$call" --result r --json
	holds '.replayed and .success and .seq == 3'
	expect 6 dpl-call end --key e "$call" --result q
	expect 6 dpl-call fail --key e "$call" -m r --json
	json_error key-reused
	expect 6 dpl-call end "$call" --result r
	call=$(dpl-call start)
	expect 0 dpl-call fail --key f -m bad "$call"
	expect 0 dpl-call fail --key f -m bad "$call"
	is "$(entries "$op" | wc -l)" 5
	dpl-complete -q
	is "$(dpl-call start --key s -d x)" "${call/_2_*/}$(sed -n 2p <(journal_text "$op") | jq -r '.callId[7:]')"
	expect 0 dpl-call end --key e "$(sed -n 2p <(journal_text "$op") | jq -r .callId)" --result r
	expect 6 dpl-call start --key new
	refused dpl-call 'has ended'
}

@test "a text that holds a key is not that key" {
	dpl-log -q '"key":"s","request":"0123456789abcdef"'
	dpl-log -q 'x\",\"key\":\"s\",\"'
	expect 0 dpl-call start --key s
	expect 0 dpl-call start --key s --json
	holds '.replayed and .seq == 4'
}

@test "keys: what is none" {
	for key in '' 'a b' a/b 'a"b' é $'a\n' "$(printf 'x%.0s' {1..129})"; do
		expect 2 dpl-call start --key "$key"
		refused dpl-call --key
	done
	expect 0 dpl-call start --key "$(printf 'x%.0s' {1..128})"
	expect 0 dpl-call start --key aZ0._:-
	is "$(entries "$op" | wc -l)" 3
}

@test "list: running calls as a table, all of them with --all, ids alone with -q" {
	dpl-join -qp worker
	expect 0 dpl-call list
	silent
	a=$(dpl-call start -d 'first one')
	b=$(dpl-call start -p worker)
	dpl-call end "$a"
	expect 0 dpl-call list
	is "$(wc -l <out)" 1
	has "$output" "$b" worker running
	expect 0 dpl-call list --all
	is "$(wc -l <out)" 2
	has "$output" "$a" me ended 'first one' "$b"
	is "$(dpl-call list -q)" "$b"
	is "$(dpl-call list -aq | tr '\n' ' ')" "$a $b "
	is "$(dpl-call list -aq --by me)" "$a"
	is "$(dpl-call list -q --by me)" ''
	expect 0 dpl-call list -aj
	holds '.ok and (.calls | map(.callId) == [$a, $b]) and .calls[0].state == "ended" and .calls[1].endedAt == null' --arg a "$a" --arg b "$b"
	expect 2 dpl-call list --by ' x'
	refused dpl-call --by
	dpl-complete -q --cancel
	expect 0 dpl-call list
	silent
	is "$(dpl-call list -aj | jq -c '[.calls[].state]')" '["ended","cancelled"]'
}

@test "options that do not go with the verb, and verbs there are none of" {
	expect 2 dpl-call
	refused dpl-call 'start, end, fail, sync'
	expect 2 dpl-call begin
	refused dpl-call "'begin'" 'start, end, fail, sync'
	expect 125 dpl-call --json begin
	json_error bad-usage
	holds '.error.next == ["dpl-call", "--help"]'
	for line in 'start --result x' 'start -a' 'start -m x' 'start x' 'end -d x' 'end -m x' 'end a b' 'end --pid 1' \
		'fail --result x -m x a' 'fail -m x a b' 'list --key k' 'list -p me' 'list x' 'list -t 5s' 'list -d x' 'start --cancel'; do
		# shellcheck disable=SC2086
		expect 2 dpl-call $line
		refused dpl-call
	done
	is "$(entries "$op" | wc -l)" 1
}

@test "-v says which entry was written, -q prints nothing" {
	expect 0 dpl-call start -v
	is "$stderr" "dpl-call: entry 2 of $op in $DPL_LEDGER"
	call=$output
	expect 0 dpl-call end -v "$call"
	is "$stderr" "dpl-call: entry 3 of $op in $DPL_LEDGER"
	is "$output" ''
	expect 0 dpl-call start -q
	silent
}

@test "20,000 calls: history is kept, the live state stays small" {
	[ -z "${SANITIZED:-}" ] || skip 'slow under the sanitizers'
	seq 10000 | sed "s/.*/{\"path\":\"\/call\/start\",\"body\":{\"operationId\":\"$op\",\"participantId\":\"me\",\"callId\":\"c&\"}}\n{\"path\":\"\/call\/end\",\"body\":{\"operationId\":\"$op\",\"callId\":\"c&\"}}/" >requests
	dpl-batch <requests >replies
	is "$(grep -c '"status":200' replies)" 20000
	whole "$op"
	[ "$(stat -c %s "$ledger/$op/checkpoint")" -lt 8192 ]
	expect 6 dpl-call end c1
	expect 6 dpl-call start --id c5000
	expect 3 dpl-call end c10001
	expect 0 dpl-show
	has "$output" '10000 ended'
	expect 0 dpl-complete
}
