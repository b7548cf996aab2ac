#!/usr/bin/env bats
# dpl-template

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	op=$(dpl-create)
	export DPL_OPERATION=$op
}

@test "dpl-template prints the state, live and ended" {
	expect 0 dpl-template
	is "$output" running
	is "$stderr" ''
	dpl-complete -q
	expect 0 dpl-template
	is "$output" completed
}

@test "dpl-template --json, --quiet" {
	expect 0 dpl-template --json
	holds '.ok and .state == "running" and .operationId == $op and .aborted == false' --arg op "$op"
	expect 0 dpl-template -q
	silent
}

@test "dpl-template names the operation: -o before DPL_OPERATION, @@, none" {
	other=$(dpl-create)
	dpl-complete -q -o "$other" --failed
	expect 0 dpl-template -o "$other"
	is "$output" failed
	expect 0 dpl-template -o @@
	expect 3 dpl-template -o nonesuch
	refused dpl-template nonesuch
	expect 3 dpl-template --json -o nonesuch
	json_error operation-not-found
}

@test "dpl-template refuses what it does not know" {
	expect 2 dpl-template --nonsense
	refused dpl-template --nonsense
	expect 2 dpl-template operand
	refused dpl-template operand
}

@test "dpl-template: a full standard output is not success" {
	expect 9 sh -c 'dpl-template >/dev/full'
}
