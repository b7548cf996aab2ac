#!/usr/bin/env bats
# ledgers that a helper program dpl-remote-SCHEME serves

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

# helper NAME: standard input becomes the program dpl-remote-NAME on PATH.
helper() {
	(echo '#!/bin/sh' && cat) >"$BATS_TEST_TMPDIR/bin/dpl-remote-$1"
	chmod +x "$BATS_TEST_TMPDIR/bin/dpl-remote-$1"
}

setup() {
	fresh_ledger
	mkdir bin
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
	helper test <<-'END'
		exec dpl-batch -C "${1#test://}"
	END
	export DPL_LEDGER=test://$ledger
}

@test "an operation's life through a helper" {
	expect 0 dpl-create -d 'far away'
	is "$stderr" ''
	op=$output
	[ -d "$ledger/$op" ]
	export DPL_OPERATION=$op
	expect 0 dpl-join -p worker
	is "$output" 2
	expect 0 dpl-call start -p worker -d x
	call=$output
	expect 0 dpl-log hello
	expect 0 dpl-log - < <(printf 'a\nb\n')
	expect 0 dpl-log -q
	is "$output" $'hello\na\nb'
	expect 0 dpl-call list -q
	is "$output" "$call"
	expect 6 dpl-complete
	refused dpl-complete "$call"
	expect 0 dpl-call end "$call" --result r
	expect 6 dpl-call end "$call"
	expect 3 dpl-call end nope
	expect 0 dpl-abort -m why
	expect 0 dpl-abort --check
	is "$output" why
	expect 4 dpl-call start
	expect 0 dpl-abort --clear
	expect 1 dpl-abort --clear
	expect 0 dpl-leave -p worker
	expect 6 dpl-complete -p worker
	expect 0 dpl-show
	has "$output" 'far away'
	expect 0 dpl-show --trail
	is "$(wc -l <out)" 10
	expect 0 dpl-complete
	is "$output" completed
	expect 6 dpl-complete
	refused dpl-complete ended
	expect 0 dpl-show -aq
	is "$output" "$op"
	whole "$op"
}

@test "names, json, exports and errors are those of a folder" {
	expect 3 dpl-show
	refused dpl-show "no ledger at $ledger"
	eval "$(dpl-create --export -p "it's me")"
	is "$DPL_LEDGER" "test://$ledger"
	is "$DPL_PARTICIPANT" "it's me"
	expect 0 dpl-log -v x
	is "$stderr" "dpl-log: entry 2 of $DPL_OPERATION in test://$ledger"
	for name in @ @@ it_s; do
		expect 0 dpl-show -o "$name" -q
		is "$output" "$DPL_OPERATION"
	done
	expect 3 dpl-show nope
	expect 3 dpl-show --json nope
	json_error operation-not-found
	dpl-create -q
	expect 2 dpl-show --json it_s
	json_error ambiguous-operation
	expect 2 dpl-log -p .. x
	expect 0 dpl-show --json
	holds '.ok and .seq == 2'
}

@test "keys through a helper" {
	op=$(dpl-create --key k)
	is "$(dpl-create --key k)" "$op"
	expect 6 dpl-create --key k -d other
	call=$(dpl-call start -o "$op" --key c)
	is "$(dpl-call start -o "$op" --key c)" "$call"
	# The key is for the change, not for finding the operation.
	is "$(dpl-call start -o "${op##*-}" --key l)" "$(dpl-call start -o "$op" --key l)"
}

@test "dpl-log -f through a helper" {
	export DPL_OPERATION
	DPL_OPERATION=$(dpl-create)
	in_background dpl-log -fq >followed
	follower=$pid
	dpl-log -q one
	wait_for 'grep -qx one followed'
	dpl-log -q two
	dpl-complete -q
	ended "$follower"
	is "$status" 0
	is "$(paste -sd , followed)" one,two
	expect 0 dpl-log -f
	export DPL_OPERATION
	DPL_OPERATION=$(dpl-create)
	expect 124 dpl-log -f -t 100ms
}

@test "dpl-batch through a helper, and through two" {
	op=$(dpl-create)
	expect 0 dpl-batch < <(for i in 1 2 3; do echo "{\"path\":\"/operation/log\",\"body\":{\"operationId\":\"$op\",\"message\":\"$i\"},\"id\":$i}"; done)
	is "$(jq -c '[.id, .status]' out | paste -sd ,)" '[1,200],[2,200],[3,200]'
	helper twice <<-'END'
		exec dpl-batch -C "test://${1#twice://}"
	END
	expect 0 dpl-log -C "twice://$ledger" -o "$op" 4
	is "$(dpl-log -q -o "$op" -C "$ledger" | paste -sd ,)" 1,2,3,4
}

@test "the helper is found beside the command first" {
	mkdir beside
	cp "$BUILD/bin/dpl-show" beside/
	printf '#!/bin/sh\nread -r line; echo '\''{"status":200,"body":{"operations":[{"operationId":"beside"}]}}'\''\n' >beside/dpl-remote-test
	chmod +x beside/dpl-remote-test
	expect 0 beside/dpl-show -q
	is "$output" beside
	rm beside/dpl-remote-test
	mkdir -p libexec/dpl
	printf '#!/bin/sh\nread -r line; echo '\''{"status":200,"body":{"operations":[{"operationId":"libexec"}]}}'\''\n' >libexec/dpl/dpl-remote-test
	chmod +x libexec/dpl/dpl-remote-test
	expect 0 beside/dpl-show -q
	is "$output" libexec
}

@test "what the helper gets: the ledger as its operand, requests as lines, one process for all" {
	helper spy <<-'END'
		echo "$# $1" >>spied
		while read -r line; do
			echo "$line" >>spied
			echo '{"status":200,"body":{"success":true,"operationId":"x","seq":1}}'
		done
	END
	expect 0 dpl-log -C spy://host:1/a%20b -o 20260101T000000.000Z-me-0000000a - < <(printf 'one\ntwo\n')
	is "$(head -n 1 spied)" '1 spy://host:1/a%20b'
	is "$(wc -l <spied)" 3
	is "$(sed -n 2p spied | jq -c '[.path, .body.message, has("key")]')" '["/operation/log","one",false]'
	expect 0 dpl-log -C spy://h -o 20260101T000000.000Z-me-0000000a --key k x
	is "$(tail -n 1 spied | jq -r .key)" k
}

@test "http, https and unix are served by dpl-remote-http" {
	helper http <<-'END'
		read -r line
		echo '{"status":200,"body":{"operations":[]}}'
		echo "$1" >>asked
	END
	# Beside the commands of the build there is a real one.
	mkdir alone
	cp "$BUILD/bin/dpl-show" alone
	for url in http://localhost:1 https://localhost unix:/run/x.sock unix:///run/x.sock; do
		expect 0 alone/dpl-show -C "$url"
	done
	is "$(paste -sd ' ' asked)" 'http://localhost:1 https://localhost unix:/run/x.sock unix:///run/x.sock'
	# These are folders.
	for path in unix:relative http:/x x:y ./test://x '1a://x'; do
		expect 3 dpl-show -C "$path"
		refused dpl-show "no ledger at $PWD/"
	done
}

@test "no such helper: 7, and which program is missing" {
	expect 7 dpl-show -C gone://x
	refused dpl-show gone://x dpl-remote-gone
	expect 7 dpl-create --json -C gone://x
	json_error unreachable
	holds '.error.retryable'
	chmod -x bin/dpl-remote-test
	expect 7 dpl-show
	refused dpl-show dpl-remote-test
}

@test "a helper that dies: 7" {
	helper dies <<-'END'
		exit 3
	END
	expect 7 dpl-show -C dies://x
	refused dpl-show dies://x
	helper dies <<-'END'
		read -r line
		kill -9 $$
	END
	expect 7 dpl-show -C dies://x
	refused dpl-show dies://x 'without an answer'
	expect 7 dpl-show --json -C dies://x
	json_error unreachable
	helper dies <<-'END'
		read -r line
		echo '{"status":200,"body":{"success":true}}'
	END
	expect 7 dpl-log -C dies://x -o 20260101T000000.000Z-me-0000000a - < <(printf 'one\ntwo\nthree\n')
	is "$(wc -l <err)" 1
	helper dies <<-'END'
		read -r line
		printf '{"status":200,"body":{'
	END
	expect 7 dpl-show -C dies://x
}

@test "a helper that answers rubbish: 7" {
	for answer in rubbish '' '{}' '[]' '{"status":200}' '{"status":"200","body":{}}' '{"status":200,"body":[]}' '{"status":99,"body":{}}' \
		'{"status":600,"body":{}}' '{"body":{}}' '{"status":200,"body":{}} x' $'\x1b[2J'; do
		printf '%s\n' "$answer" >answer
		helper odd <<-'END'
			read -r line
			cat answer
		END
		expect 7 dpl-show -C odd://x
		refused dpl-show odd://x
		expect 7 dpl-create -C odd://x --json
		json_error unreachable
	done
}

@test "a helper's errors: ours by their code, others by their status" {
	says() {
		printf '%s\n' "$1" >answer
		helper err <<-'END'
			read -r line
			cat answer
		END
	}
	says '{"status":404,"body":{"error":"Operation not found"}}'
	expect 3 dpl-show -C err://x
	refused dpl-show 'Operation not found'
	says '{"status":400,"body":{"error":"Missing operationId"}}'
	expect 2 dpl-show -C err://x
	says '{"status":500,"body":{"error":"Internal server error"}}'
	expect 7 dpl-show -C err://x
	says '{"status":503,"body":{}}'
	expect 7 dpl-show -C err://x
	says '{"status":403,"body":{"error":"no","code":"permission-denied","hint":"ask"}}'
	expect 8 dpl-show -C err://x
	refused dpl-show 'no; ask'
	says '{"status":409,"body":{"error":"\u001b[2J\u202e","code":"operation-failed"}}'
	expect 5 dpl-show -C err://x
	refused dpl-show '\x1b[2J'
	says '{"status":400,"body":{"error":"x","code":"code-of-tomorrow"}}'
	expect 9 dpl-show -C err://x
}

@test "a helper's answer that lacks what was asked for" {
	printf '{"status":200,"body":{"seq":"x"}}\n' >answer
	helper poor <<-'END'
		while read -r line; do cat answer; done
	END
	id=20260101T000000.000Z-me-0000000a
	for line in 'dpl-show' "dpl-show $id" "dpl-show --tree $id" "dpl-call list -o $id" "dpl-abort --check -o $id" "dpl-join -o $id" \
		"dpl-log -o $id x" "dpl-log -o $id" "dpl-show --trail $id" 'dpl-create' "dpl-call start -o $id"; do
		# shellcheck disable=SC2086
		timeout 5 $line -C poor://x >out 2>err && status=0 || status=$?
		[ "$status" -lt 10 ] || {
			echo "exit $status: $line"
			return 1
		}
		no_controls
	done
	expect 2 dpl-log -C poor://x -o part x
}

@test "the helper is not left behind" {
	helper slow <<-'END'
		echo $$ >slow.pid
		while read -r line; do echo '{"status":200,"body":{"operations":[]}}'; done
		echo ended >>slow.pid
	END
	expect 0 dpl-show -C slow://x
	is "$(tail -n 1 slow.pid)" ended
	gone "$(head -n 1 slow.pid)"
}

@test "a request whose JSON goes over several lines is one line to the helper" {
	cat >many.c <<-'END'
		#include <stdio.h>
		#include "dpl.h"

		int
		main(void)
		{
			char error[200];
			struct dpl *d = dpl_open(NULL, error, sizeof error);
			if (!d)
				return 99;
			int status = dpl_request(d, "/operation/create", "{\r\n\t\"participantId\" : \"me\",\n\"description\":\n\"a\\nb\"\n}", NULL);
			if (!status)
				status = dpl_request(d, "/operation/list", "{\n}", NULL);
			puts(status ? dpl_error(d) : dpl_answer(d));
			dpl_close(d);
			return status;
		}
	END
	flags=()
	[ -z "${SANITIZED:-}" ] || flags=('-fsanitize=address,undefined')
	cc "${flags[@]}" -I"$root/lib" -o many many.c "$BUILD/libdpl.a"
	expect 0 ./many
	is "$(jq -r '.operations[0].description' <<<"$output")" $'a\nb'
	is "$(jq '.operations | length' <<<"$output")" 1
}

@test "supervised calls through a helper: the frame, the abort, the end of what was left" {
	op=$(dpl-create --beat 200ms --jitter 0 --stale "$(silence)")
	export DPL_OPERATION=$op
	expect 4 dpl-call -- sh -c 'sleep "$1" & echo out; dpl-beat --progress 1/2; exit 4' sh "10173.$$"
	is "$output" $'out\nrunning'
	has "$stderr" ''
	is "$(entries "$op" | paste -sd ' ')" 'operation.created call.started progress call.failed'
	is "$(pgrep -fx "sleep 10173.$$")" ''
	in_background dpl-call -- sh -c 'trap "echo got >got; exit 0" TERM; echo $$ >begun; while :; do sleep 0.01; done'
	wait_for '[ -s begun ]'
	dpl-abort -m stop
	ended "$pid"
	is "$status" 122
	is "$(cat got)" got
	is "$(last_entry "$op" '[.event, .reason] | @csv')" '"call.cancelled","aborted: stop"'
	expect 4 dpl-beat --json
	holds '.state == "running" and .aborted and .people[0].liveness == "alive"'
	expect 124 dpl-call --aborted-ok --watchdog 2s -- sh -c 'for i in 1 2 3 4 5; do dpl-beat -q; sleep 0.5; done; touch silent; exec sleep 60'
	[ -e silent ]
}

@test "a command that ends while it is asked how the operation stands has ended by itself" {
	op=$(dpl-create)
	export DPL_OPERATION=$op
	# The first beat of a supervisor takes until its command is no more, and finds the operation aborted.
	helper slow <<-'END'
		while read -r line; do
			case $line in
			*/operation/heartbeat*)
				: >asked
				while [ -e asked ] && [ ! -e over ]; do sleep 0.01; done # asked goes with the test
				;;
			esac
			printf '%s\n' "$line"
		done | dpl-batch -C "${1#slow://}"
	END
	in_background env DPL_LEDGER="slow://$ledger" dpl-call -- sh -c 'echo $$ >begun; until [ -e go ]; do sleep 0.01; done; exit 3'
	wait_for '[ -s begun ]'
	wait_for '[ -e asked ]'
	touch go
	wait_for 'grep -q "^State:.Z" "/proc/$(<begun)/status"'
	dpl-abort
	touch over
	ended "$pid"
	is "$status" 3
	is "$(last_entry "$op" '[.event, .exitStatus] | @csv')" '"call.failed",3'
}
