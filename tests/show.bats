#!/usr/bin/env bats
# dpl-show

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

# The same operation for all: entries 1 to 12, live.
setup() {
	fresh_ledger
	op=$(dpl-create -d 'nightly build')
	export DPL_OPERATION=$op
	dpl-join -qp worker                                  # 2
	dpl-call start -q --id build -d 'make all'           # 3
	dpl-call start -qp worker --id compile --parent build # 4
	dpl-call start -qp worker --id link --parent build   # 5
	dpl-call end compile                                 # 6
	dpl-log -qp worker -l warning 'slow disk'            # 7
	dpl-call fail link -m 'no such symbol'               # 8
	dpl-abort -m 'link failed'                           # 9
	dpl-leave -p worker                                  # 10
	dpl-abort --clear                                    # 11
	dpl-call start -q --id package --parent build        # 12
}

@test "show: the operation, who takes part, and the running calls" {
	expect 0 dpl-show
	is "$stderr" ''
	plain
	has "$output" "operation    $op" 'description  nightly build' 'state        running' 'initiator    me' \
		'calls        2 running, 1 ended, 1 failed' 'log          1 entry, 1 warning' 'running calls'
	is "$(grep -c '^  build \|^  package ' out)" 2
	lacks "$output" compile
	lacks "$output" aborted
	lacks "$output" worker
	is "$(grep -n ' $' out)" ''
}

@test "show names it by operand, -o or DPL_OPERATION" {
	other=$(dpl-create -d other)
	for line in "$other" "-o $other" "--operation=$other" "${other##*-}"; do
		# shellcheck disable=SC2086
		expect 0 dpl-show --json $line
		holds '.description == "other"'
	done
	expect 2 dpl-show -o "$op" "$other"
	refused dpl-show -o operand
	expect 2 dpl-show "$op" "$other"
	refused dpl-show "'$other'"
}

@test "show --json: everything" {
	expect 0 dpl-show --json
	is "$stderr" ''
	is "$(wc -l <out)" 1
	holds '.ok and .operationId == $op and .description == "nightly build" and .initiatorId == "me" and .state == "running"' --arg op "$op"
	holds '.aborted == false and .abortReason == null and .endTime == null and .endReason == null and .ended == false and .seq == 12 and .format == 1'
	holds '.callCounts == {started: 4, running: 2, ended: 1, failed: 1, crashed: 0, cancelled: 0}'
	holds '.logCounts == {all: 1, warning: 1, error: 0}'
	holds '[.calls[] | [.callId, .parentId, .state]] == [["build", null, "running"], ["compile", "build", "ended"],
		["link", "build", "failed"], ["package", "build", "running"]]'
	holds '.calls[2].error == "no such symbol"'
	holds '.participants | map([.participantId, .sessions, .callsStarted]) == [["me", 1, 2], ["worker", 0, 2]]'
	holds '.sessions | map([.sessionId, .participantId, (.leftAt == null)]) == [[1, "me", true], [2, "worker", false]]'
	holds '.durationMs >= 0 and (.startTime < .changedAt or .startTime == .changedAt)'
}

@test "show --tree: parents before children, with their lines" {
	dpl-call start -q --id sign --parent package
	dpl-call start -q --id other
	expect 0 dpl-show --tree
	plain
	is "$(sed 's/  *\(me\|worker\) .*//' out | paste -sd ,)" 'build,├─ compile,├─ link,└─ package,   └─ sign,other'
	has "$output" 'no such symbol' 'make all'
	expect 0 dpl-show --tree --json
	holds '.calls | length == 6'
}

@test "show --trail: who did what, when, and how long" {
	expect 0 dpl-show --trail
	plain
	is "$(wc -l <out)" 12
	has "$output" 'created the operation: nightly build' 'joined, session 2' 'started build: make all' 'ended compile' 'slow disk' \
		'failed link: no such symbol' 'aborted the operation: link failed' 'left, session 2' 'cleared the abort'
	is "$(awk '{print $1}' out | paste -sd ,)" 1,2,3,4,5,6,7,8,9,10,11,12
	[[ $(sed -n 6p out) =~ [0-9]\ s$ ]]
	dpl-complete -q --cancel
	expect 0 dpl-show --trail --json
	is "$output" "$(cat "$(journal "$op")")"
	expect 0 dpl-show --trail
	has "$output" 'cancelled build' 'completed the operation' archived
}

@test "show --at SEQ: the state then" {
	at() {
		dpl-show --json --at "$1" | jq -c "$2"
	}
	is "$(at 1 '[.seq, .callCounts.running, (.participants | length), .aborted]')" '[1,0,1,false]'
	is "$(at 5 '[.callCounts.running, (.participants | length)]')" '[3,2]'
	is "$(at 6 '[.calls[] | .state]')" '["running","ended","running"]'
	is "$(at 9 '[.aborted, .abortReason]')" '[true,"link failed"]'
	is "$(at 10 '[.aborted, (.participants[] | select(.participantId == "worker").sessions)]')" '[true,0]'
	is "$(at 12 '[.aborted, .seq]')" '[false,12]'
	expect 0 dpl-show --at 9
	has "$output" 'state        running, aborted' 'link failed' '1 running'
	expect 0 dpl-show --tree --at 4
	is "$(wc -l <out)" 2
	expect 0 dpl-show --trail --at 4
	is "$(wc -l <out)" 4
	expect 2 dpl-show --at 13
	refused dpl-show "$op" 12 13
}

@test "show --at TIME and --at DURATION" {
	at=$(last_entry "$op" .at)
	wait_for '[ "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" \> "$at" ]'
	dpl-log -q later
	is "$(dpl-show --json --at "$at" | jq .seq)" 12
	is "$(dpl-show --json --at 0s | jq .seq)" 13
	is "$(dpl-show --trail --at "$at" | wc -l)" 12
	expect 3 dpl-show --at 1h
	refused dpl-show 'did not exist'
	expect 3 dpl-show --at 1970-01-01T00:00:00Z
	is "$(dpl-show --json --at 9999-12-31T23:59:59Z | jq .seq)" 13
	for t in '' -1 now 1.5.5 2026-01-01; do
		expect 2 dpl-show --at "$t"
		refused dpl-show --at
	done
}

@test "show an ended one: the same, from backup" {
	dpl-complete -q --cancel --failed -m 'gave up'
	expect 0 dpl-show
	plain
	has "$output" 'state        failed' 'reason       gave up' 'ended ' '2 cancelled'
	lacks "$output" 'running calls'
	expect 0 dpl-show --json
	holds '.ended and .state == "failed" and .endReason == "gave up" and (.endTime | length == 24)'
	is "$(dpl-show --json --at 5 | jq -c '[.ended, .state]')" '[false,"running"]'
	expect 0 dpl-show --tree
	has "$output" cancelled
}

@test "without an operation: the live ones; with --all the ended ones too" {
	unset DPL_OPERATION
	two=$(dpl-create -d second)
	three=$(dpl-create)
	dpl-abort -o "$three"
	dpl-complete -qo "$two"
	expect 0 dpl-show
	is "$(wc -l <out)" 2
	has "$output" "$op" 'nightly build' "$three" 'running, aborted' '4 calls'
	expect 0 dpl-show --all
	is "$(wc -l <out)" 3
	has "$output" "$two" completed second
	is "$(dpl-show -q | paste -sd ,)" "$op,$three"
	is "$(dpl-show -aq | sort | paste -sd ,)" "$op,$two,$three"
	expect 0 dpl-show -aj
	holds '.ok and (.operations | length == 3) and ([.operations[] | select(.ended)] | length == 1)'
	DPL_OPERATION=$op expect 0 dpl-show --all -q
	is "$(wc -l <out)" 3
}

@test "an empty ledger lists nothing, and no ledger is 3" {
	local_only 'a server has made it'
	unset DPL_OPERATION
	rm -r "$ledger"
	expect 3 dpl-show
	refused dpl-show "no ledger at $ledger" dpl-create
	expect 3 dpl-show --json
	json_error ledger-not-found
	holds '.error.next == ["dpl-create"]'
	[ ! -e "$ledger" ]
	mkdir "$ledger"
	expect 0 dpl-show
	silent
	expect 0 dpl-show -a
	silent
	expect 0 dpl-show -aq
	silent
	expect 0 dpl-show -aj
	holds '.ok and .operations == []'
}

@test "one damaged operation does not hide the others" {
	unset DPL_OPERATION
	two=$(dpl-create -d fine)
	echo rubbish >"$(journal "$op")"
	expect 0 dpl-show
	has "$output" "$op" damaged-journal "$two" fine
	expect 0 dpl-show --json
	holds '.operations | map({(.operationId): .code}) | add == {($a): "damaged-journal", ($b): null}' --arg a "$op" --arg b "$two"
	expect 9 dpl-show "$op"
	refused dpl-show "$(journal "$op"):1:"
}

@test "--all goes with no operation" {
	for line in "-a $op" "-a -o $op" '-a --tree' '-a --trail' '-a --at 1' '--tree --trail'; do
		# shellcheck disable=SC2086
		expect 2 dpl-show $line
		refused dpl-show
	done
	unset DPL_OPERATION
	for line in --tree --trail '--at 1'; do
		# shellcheck disable=SC2086
		expect 2 dpl-show $line
		refused dpl-show 'no operation'
	done
}

@test "colours: only where they are wanted" {
	esc=$'\033['
	expect 0 dpl-show --color always
	has "$output" "$esc"
	is "$(sed 's/\x1b\[[0-9]*m//g' out | head -n 3)" "$(dpl-show | head -n 3)"
	for line in 'dpl-show' 'dpl-show --color never' 'env CLICOLOR_FORCE=0 dpl-show' 'env NO_COLOR=1 CLICOLOR_FORCE=1 dpl-show'; do
		# shellcheck disable=SC2086
		expect 0 $line
		plain
	done
	CLICOLOR_FORCE=1 expect 0 dpl-show --color auto
	has "$output" "$esc"
	CLICOLOR_FORCE=1 expect 0 dpl-show --color never
	plain
	NO_COLOR=1 expect 0 dpl-show --color always
	has "$output" "$esc"
	expect 2 dpl-show --color green
	refused dpl-show --color "'green'"
	expect 2 dpl-show --color ''
	CLICOLOR_FORCE=1 expect 0 dpl-show --json
	plain
}

@test "colours on a terminal, but not where TERM is dumb" {
	script -qec true /dev/null >/dev/null 2>&1 </dev/null || skip 'no script(1), or no pseudo-terminal'
	TERM=xterm script -qec dpl-show /dev/null >terminal </dev/null
	grep -q $'\033\[' terminal
	TERM=dumb script -qec dpl-show /dev/null >terminal </dev/null
	run ! grep -q $'\033' terminal
	NO_COLOR=1 TERM=xterm script -qec dpl-show /dev/null >terminal </dev/null
	run ! grep -q $'\033' terminal
}

@test "show -q prints the id, -v says which ledger it is" {
	expect 0 dpl-show -q
	is "$output" "$op"
	expect 0 dpl-show -v
	has "$stderr" 'dpl-show: ' "$DPL_LEDGER"
	is "$(wc -l <err)" 1
	expect 0 dpl-show -v --all
	is "$stderr" "dpl-show: ledger $DPL_LEDGER"
}

@test "reading changes nothing" {
	before=$(sum)
	dpl-show >/dev/null
	dpl-show --trail >/dev/null
	dpl-show --at 3 >/dev/null
	dpl-show -a >/dev/null
	dpl-log >/dev/null
	dpl-call list >/dev/null
	run dpl-abort --check
	is "$(sum)" "$before"
}

@test "a deep tree and a wide one" {
	for i in $(seq 300); do
		echo "{\"path\":\"/call/start\",\"body\":{\"operationId\":\"$op\",\"callId\":\"d$i\",\"parentId\":\"d$((i - 1))\"}}"
	done >requests
	for i in $(seq 300); do
		echo "{\"path\":\"/call/start\",\"body\":{\"operationId\":\"$op\",\"callId\":\"w$i\",\"parentId\":\"package\"}}"
	done >>requests
	is "$(dpl-batch <requests | grep -c '"status":200')" 600
	expect 0 dpl-show --tree
	is "$(wc -l <out)" 604
	has "$output" 'd300' '└─ w300'
}
