#!/usr/bin/env bats
# dpl-log

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	op=$(dpl-create)
	export DPL_OPERATION=$op
}

# messages: those of the log, one a line.
messages() {
	dpl-log -q "$@"
}

@test "the words are one entry, joined by blanks" {
	expect 0 dpl-log disk is '91 %' full
	silent
	is "$(last_entry "$op" '[.event, .by, .level, .message] | @csv')" '"log","me","info","disk is 91 % full"'
	expect 0 dpl-log
	[[ $output =~ ^[0-9-]{10}T[0-9:]{8}\.[0-9]{3}Z\ info\ \ \ \ me:\ disk\ is\ 91\ %\ full$ ]]
	expect 0 dpl-log -q
	is "$output" 'disk is 91 % full'
	expect 0 dpl-log --json
	is "$output" "$(tail -n 1 "$(journal "$op")")"
}

@test "nothing logged: nothing read" {
	expect 0 dpl-log
	silent
	expect 0 dpl-log --json
	silent
}

@test "an empty message, one that begins with a dash, one that is -" {
	expect 0 dpl-log ''
	is "$(last_entry "$op" .message)" ''
	expect 0 dpl-log -- -l
	is "$(last_entry "$op" .message)" -l
	expect 0 dpl-log - - </dev/null
	is "$(last_entry "$op" .message)" '- -'
	expect 0 dpl-log -- - < <(echo 'from stdin')
	is "$(last_entry "$op" .message)" 'from stdin'
}

@test "-l sets the level" {
	for level in debug info warning error; do
		expect 0 dpl-log -l $level "a $level"
		is "$(last_entry "$op" .level)" $level
	done
	expect 0 dpl-show --json
	holds '.logCounts == {all: 4, warning: 1, error: 1}'
	for level in '' INFO warn x 3; do
		expect 2 dpl-log -l "$level" x
		refused dpl-log -l
		expect 2 dpl-log -l "$level"
	done
}

@test "- writes each line of stdin, the last one too without its newline" {
	expect 0 dpl-log - < <(printf 'one\n\ntwo\r\nthree')
	silent
	is "$(entries "$op" | grep -c log)" 4
	is "$(jq -sc '[.[] | select(.event == "log").message]' <(journal_text "$op"))" '["one","","two\r","three"]'
	expect 0 dpl-log - </dev/null
	expect 0 dpl-log -l error --json - < <(printf 'a\nb\n')
	holds '.ok and .success and .seq >= 6'
	is "$(wc -l <out)" 2
	is "$(last_entry "$op" .level)" error
}

@test "- writes a line when it comes, not at the end" {
	mkfifo pipe
	exec 4<>pipe
	in_background dpl-log - <pipe 4>&-
	writer=$pid
	echo early >&4
	wait_for '[ "$(dpl-log -q)" = early ]'
	echo late >&4
	wait_for '[ "$(dpl-log -q | tail -n 1)" = late ]'
	exec 4>&-
	ended "$writer"
	is "$status" 0
}

@test "what is not UTF-8, and NUL, become U+FFFD" {
	expect 0 dpl-log - < <(printf 'a\xffb\nc\0d\n\xc0\xaf\n\xed\xa0\x80\n')
	messages >got
	printf 'a\xef\xbf\xbdb\nc\xef\xbf\xbdd\n\xef\xbf\xbd\xef\xbf\xbd\n\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n' >want
	cmp got want
	expect 0 dpl-log "$(printf 'x\xffy')"
	is "$(messages | tail -n 1)" $'x\xef\xbf\xbdy'
}

@test "a newline in a message forges no line" {
	expect 0 dpl-log $'innocent\n2026-01-01T00:00:00.000Z error   root: forged\r\x1b[2J\x08\xe2\x80\xae'
	expect 0 dpl-log
	is "$(wc -l <out)" 1
	plain
	has "$output" 'innocent\n2026' '\r\x1b[2J\x08\u202e'
	expect 0 dpl-log -q
	is "$(wc -l <out)" 1
	plain
	expect 0 dpl-log --json
	is "$(wc -l <out)" 1
	no_controls
	expect 0 dpl-show --trail
	is "$(wc -l <out)" 2
	plain
	dpl-complete -q
	is "$(wc -l <"$ledger/backup/$op/operation.log")" 4
	cp "$ledger/backup/$op/operation.log" out
	plain
}

@test "a message of 64 KiB is refused whole, a smaller one kept whole" {
	before=$(sum)
	expect 2 dpl-log - < <(head -c 65536 /dev/zero | tr '\0' x)
	refused dpl-log
	expect 2 dpl-log - < <(head -c 65500 /dev/zero | tr '\0' x)
	refused dpl-log 65536
	# Each of these takes six bytes.
	expect 2 dpl-log - < <(head -c 20000 /dev/zero | tr '\0' '\1')
	refused dpl-log 65536
	is "$(sum)" "$before"
	expect 0 dpl-log - < <(head -c 65000 /dev/zero | tr '\0' x)
	is "$(messages | wc -c)" 65001
	expect 2 dpl-log --json - < <(head -c 65500 /dev/zero | tr '\0' x)
	json_error too-large
}

@test "many long lines come out as they went in" {
	for i in $(seq 40); do
		head -c $((i * 1500)) /dev/urandom | base64 -w 0
		echo
	done | cut -c 1-65000 >in
	expect 0 dpl-log - <in
	messages >got
	cmp in got
	whole "$op"
}

@test "reading: the filters" {
	dpl-log -q -l debug d
	dpl-log -q i
	dpl-log -q -l warning -p worker w
	dpl-log -q -l error e
	is "$(messages | paste -sd ,)" d,i,w,e
	is "$(messages -l debug | paste -sd ,)" d,i,w,e
	is "$(messages -l info | paste -sd ,)" i,w,e
	is "$(messages -l warning | paste -sd ,)" w,e
	is "$(messages -l error | paste -sd ,)" e
	is "$(messages --by worker | paste -sd ,)" w
	is "$(messages --by nobody)" ''
	is "$(messages --by worker -l error)" ''
	is "$(messages --tail 2 | paste -sd ,)" w,e
	is "$(messages --tail 0)" ''
	is "$(messages --tail 99 | paste -sd ,)" d,i,w,e
	is "$(messages --tail 1 -l warning --by worker)" w
	is "$(messages --json --tail 1 | jq -c '[.level, .message]')" '["error","e"]'
	# What is no log entry is not shown.
	dpl-call start -q -d 'no log line'
	is "$(messages --tail 1)" e
}

@test "reading: --since and --until" {
	dpl-log -q one
	at=$(last_entry "$op" .at)
	wait_for '[ "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" \> "$at" ]'
	dpl-log -q two
	is "$(messages --until "$at")" one
	is "$(messages --since "$(last_entry "$op" .at)")" two
	is "$(messages --since "$at" | paste -sd ,)" one,two
	is "$(messages --since 1h | paste -sd ,)" one,two
	is "$(messages --until 1h)" ''
	is "$(messages --since 0)" ''
	is "$(messages --since "${at%Z}+00:00" | paste -sd ,)" one,two
	is "$(messages --since 9999-12-31T23:59:59Z)" ''
	is "$(messages --until 1970-01-01T00:00:00Z)" ''
	for t in '' yesterday 2026-13-01T00:00:00Z 2026-02-30T00:00:00Z 2026-01-01 2026-01-01T00:00:00 2026-01-01T24:00:00Z -5s; do
		expect 2 dpl-log --since "$t"
		refused dpl-log --since
		expect 2 dpl-log --until "$t"
		refused dpl-log --until
	done
}

@test "reading: bad filters" {
	for n in -1 x 1.5 100001 ''; do
		expect 2 dpl-log --tail "$n"
		refused dpl-log --tail
	done
	for by in '' ' x' .. $'a\nb'; do
		expect 2 dpl-log --by "$by"
		refused dpl-log --by
	done
}

@test "options for reading and for writing do not mix" {
	for line in '-f x' '--by me x' '--tail 1 x' '--since 1h x' '--until 1h x' '-f -'; do
		# shellcheck disable=SC2086
		expect 2 dpl-log $line </dev/null
		refused dpl-log
	done
	expect 2 dpl-log --key k
	refused dpl-log --key
	expect 2 dpl-log -p me
	refused dpl-log -p
	expect 2 dpl-log --key k - </dev/null
	refused dpl-log --key
	is "$(entries "$op" | wc -l)" 1
}

@test "--key: one entry, also after the end" {
	expect 0 dpl-log --key k hello
	expect 0 dpl-log --key k hello
	expect 0 dpl-log --key k hello --json
	holds '.replayed and .seq == 2'
	expect 6 dpl-log --key k hello you
	expect 6 dpl-log --key k -l error hello --json
	json_error key-reused
	is "$(messages)" hello
	dpl-complete -q
	expect 0 dpl-log --key k hello
	expect 6 dpl-log --key l hello
}

@test "DPL_CALL is recorded; what is no call id is refused, and nothing is written" {
	DPL_CALL=build-1 expect 0 dpl-log x
	is "$(last_entry "$op" .callId)" build-1
	for bad in 'no id' a/b ../x $'\xff'; do
		DPL_CALL=$bad expect 2 dpl-log y
		refused dpl-log 'DPL_CALL: call'
		DPL_CALL=$bad expect 2 dpl-log - <<<y
		refused dpl-log 'DPL_CALL: call'
	done
	is "$(last_entry "$op" .message)" x
	# Of another operation it is not meant, and to read it is not needed.
	DPL_CALL=a/b DPL_OPERATION=$op expect 0 dpl-log -o "$(dpl-create)" y
	DPL_CALL=a/b expect 0 dpl-log
	DPL_CALL='' expect 0 dpl-log z
	is "$(last_entry "$op" 'has("callId")')" false
}

@test "anyone may write, joined or not" {
	expect 0 dpl-log -p guest hello
	is "$(last_entry "$op" .by)" guest
}

@test "-f follows until the operation ends" {
	dpl-log -q first
	in_background dpl-log -fq >followed
	follower=$pid
	wait_for 'grep -qx first followed'
	for i in 1 2 3; do
		dpl-log -q "line $i"
		wait_for "grep -qx 'line $i' followed"
	done
	dpl-call start -q
	printf 'x\ny\n' | dpl-log -
	dpl-complete -q --cancel
	ended "$follower"
	is "$status" 0
	is "$(paste -sd , followed)" 'first,line 1,line 2,line 3,x,y'
}

@test "-f wakes at once, not at the next look" {
	in_background dpl-log -fq >followed
	dpl-log -q ready
	wait_for 'grep -qx ready followed'
	for i in $(seq 10); do
		begin=${EPOCHREALTIME/./}
		dpl-log -q "line $i"
		wait_for "grep -qx 'line $i' followed"
		timed "$begin"
	done
	quick
}

@test "-f of one that has ended reads it and ends" {
	dpl-log -q x
	dpl-complete -q
	expect 0 dpl-log -f
	has "$output" 'me: x'
	expect 0 dpl-log -fj --tail 1
	holds '.message == "x"'
}

@test "-f -t: 124 when the time is over" {
	dpl-log -q x
	expect 124 dpl-log -f -t 150ms
	has "$output" 'me: x'
	is "$stderr" ''
	DPL_TIMEOUT=0.1 expect 124 dpl-log -f
	DPL_TIMEOUT=1h expect 124 dpl-log -f -t 0.1
	expect 124 dpl-log -fj -t 0
	holds '.message == "x"'
}

@test "-f --tail: the last ones, then what comes; the filters go on" {
	for i in 1 2 3; do
		dpl-log -q "$i"
	done
	in_background dpl-log -fq --tail 1 -l info >followed
	follower=$pid
	wait_for 'grep -qx 3 followed'
	dpl-log -q -l debug hidden
	dpl-log -q 4
	dpl-log -q 5
	dpl-complete -q
	ended "$follower"
	is "$(paste -sd , followed)" 3,4,5
}

@test "-f and SIGPIPE: a quiet end" {
	in_background bash -c 'dpl-log -fq 2>err.txt | head -n 1 >first; echo "${PIPESTATUS[0]}" >status'
	reader=$pid
	dpl-log -q one
	wait_for 'grep -qx one first'
	dpl-log -q two
	dpl-log -q three
	ended "$reader"
	is "$(cat status)" 0
	is "$(cat err.txt)" ''
}

@test "2,000 entries: read in pages, complete and in order" {
	seq 2000 | dpl-log -
	is "$(messages | cksum)" "$(seq 2000 | cksum)"
	is "$(messages --tail 3 | paste -sd ,)" 1998,1999,2000
	is "$(messages --tail 1500 | head -n 1)" 501
	is "$(dpl-log --json | jq -s 'map(.seq) == [range(2; 2002)]')" true
}

@test "-v says what was written; -q with a message prints nothing" {
	expect 0 dpl-log -v hello
	is "$stderr" "dpl-log: entry 2 of $op in $DPL_LEDGER"
	is "$output" ''
	expect 0 dpl-log -q hello
	silent
}
