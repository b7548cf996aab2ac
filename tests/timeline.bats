#!/usr/bin/env bats
# dpl-show --timeline and --svg: when the calls of an operation ran

# shellcheck disable=SC2016,SC2030,SC2031,SC2046,SC2154 # jq's $; each test is a subshell; words of mortal; helper.bash sets them

load helper

setup() {
	fresh_ledger
	unset COLUMNS
	op=$(dpl-create -d 'nightly build' $(mortal))
	export DPL_OPERATION=$op MARK=$BATS_TEST_TMPDIR
}

teardown() {
	end_marked
	end_background
	[ -z "${public:-}" ] || rm -rf "$public"
}

# retimed MS ...: the entries of $op behind the first happened so many milliseconds after it, the rest with the last of these; and all so much
# earlier than they did.
retimed() {
	python3 - "$(journal "$op")" "$@" <<-'END'
		import datetime, re, sys
		path, times = sys.argv[1], [0, *map(int, sys.argv[2:])]
		with open(path) as file:
		    lines = file.read().splitlines()
		first = datetime.datetime.fromisoformat(re.search('"at":"([^"]*)Z"', lines[0]).group(1))
		first -= datetime.timedelta(milliseconds=times[-1])
		for i, line in enumerate(lines):
		    at = first + datetime.timedelta(milliseconds=times[min(i, len(times) - 1)])
		    lines[i] = re.sub('"at":"[^"]*"', f'"at":"{at.isoformat(timespec="milliseconds")}Z"', line, count=1)
		with open(path, "w") as file:
		    file.write("".join(line + "\n" for line in lines))
	END
}

# A past one: what happened, and when, is the same for all tests.
past() {
	dpl-join -qp ann                                     # 2: 100
	dpl-call start -q --id build -d 'build it all'       # 3: 1000
	dpl-call start -qp ann --id compile --parent build   # 4: 2000
	dpl-call end compile                                 # 5: 9000
	dpl-call start -qp ann --id link --parent build      # 6: 9500
	dpl-call end link                                    # 7: 9500
	dpl-call end build                                   # 8: 10000
	dpl-call start -qp ann --id tests                    # 9: 10000
	dpl-call start -q --id units -d 'unit tests' --parent tests # 10: 11000
	dpl-call fail units -m '3 of <40> failed & "more"'   # 11: 16000
	dpl-abort -m 'tests failed'                          # 12: 17000
	dpl-complete -q --cancel --failed -m 'no release'    # 13 …: 20000
	retimed 100 1000 2000 9000 9500 9500 10000 10000 11000 16000 17000 20000
}

# drawn [OPTION ...]: the lines of the calls, as they are drawn.
drawn() {
	dpl-show --timeline "$@" | sed '1,/┬/d' | grep -v ▾
}

# svg OPTION ...: what the picture shows, in $output for holds and json.
svg() {
	expect 0 dpl-show --svg picture.svg "$@"
	silent
	output=$("$root/tests/tools/svg.py" picture.svg)
}

# --- the terminal ---

@test "timeline: each call in its place, below what it is part of" {
	past
	COLUMNS=80 expect 0 dpl-show --timeline
	is "$stderr" ''
	plain
	is "$(sed -n 1p out)" 'nightly build'
	has "$(sed -n 2p out)" 'failed, aborted  20.0 s  since ' "$(jq -rs '.[0].at' <(journal_text "$op"))  ${op:0:20}"
	has "$(sed -n 3p out)" 'aborted by me, ' ' ago: tests failed'
	is "$(sed 1,3d out)" "$(cat <<-'END'
		failed: no release
		                  0         5 s        10 s       15 s      20 s
		                  ┬─────────┬──────────┬──────────┬─────────┬
		                                              aborted ▾
		                                                     failed ▾
		build it all  me  ┊ ███████████████████▌          ┊   ╎     ╎    9.0 s
		├─ compile    ann ┊   ███████████████▍ ┊          ┊   ╎     ╎    7.0 s
		└─ link       ann ┊         ┊         ┃┊          ┊   ╎     ╎  0.000 s
		tests         ann ┊         ┊          ▐█████████████████████   10.0 s cancelled
		└─ unit tests me  ┊         ┊          ┊ ▐██████████▌ ╎     ╎    5.0 s failed
	END
	)"
	is "$(dpl-show --timeline -q)" "$op"
	expect 0 dpl-show --timeline --json
	holds '.operationId == $op and [.calls[].callId] == ["build", "compile", "link", "tests", "units"]' --arg op "$op"
}

@test "timeline --at: as it was then, what has not ended is open" {
	past
	COLUMNS=80 expect 0 dpl-show --timeline --at 6
	is "$(sed 1,2d out)" "$(cat <<-'END'
		                 0        2 s       4 s       6 s      8 s
		                 ┬────────┬─────────┬─────────┬────────┬───────
		build it all me  ┊   ▕█████████████████████████████████████████▸   8.5 s running
		├─ compile   ann ┊        ▐█████████████████████████████████▋      7.0 s
		└─ link      ann ┊        ┊         ┊         ┊        ┊      ▕▸ 0.000 s running
	END
	)"
	expect 0 dpl-show --timeline --at "$(jq -rs '.[3].at' <(journal_text "$op"))"
	is "$(grep -c '▸' out)" 2
	expect 3 dpl-show --timeline --at 1h
	refused dpl-show 'did not exist'
	svg --at 6
	holds '[.bars[] | [.id, .state, .open]] == [["build", "running", true], ["compile", "ended", false], ["link", "running", true]] and .marks == []'
}

@test "a live one: running, ended, failed, queued, crashed, and its end" {
	dpl-join -qp ann
	dpl-join -qp bob
	dpl-call start -q --id build
	dpl-call start -qp ann --id part --parent build -d 'a part'
	dpl-call end part
	in_background dpl-call -q --id first -d first --slots 1 --group g -- sleep 60
	wait_for 'dpl-call list -q | grep -qx first'
	in_background dpl-call -q --id second -d second --slots 1 --group g -- sleep 60
	wait_for 'dpl-call list | grep -q queued'
	wait_for 'dpl-show --timeline | grep "^build .*█▸"'
	expect 0 dpl-show --timeline
	is "$(grep -c '▸' out)" 3
	grep -q '^build .*▸ .*running$' out
	grep -q '^└─ a part .* s$' out
	grep -q '^first .*▸ .*running$' out
	grep -q '^second .*░▸ .*queued$' out
	lacks "$output" ▾
	svg
	holds '[.bars[] | [.id, .state, .open]] == [["build", "running", true], ["part", "ended", false], ["first", "running", true], ["second", "queued", true]]'
	holds '[.texts[] | select(test("^(running|ended|queued) [0-9]$"))] == ["running 2", "ended 1", "queued 1"]'
	in_background dpl-call -qp bob --id dies -d dies -- sleep 60
	wait_for 'dpl-call list -q | grep -qx dies'
	kill -KILL "$pid"
	wait_for 'dpl-show --json | jq -e .crashed' 20
	wait_for '[ "$(dpl-show --json | jq -r .state)" = failed ]' 20
	expect 0 dpl-show --timeline
	grep -q '^crashed: bob, .*: ' out
	grep -q '▾' out
	grep -q '^dies .* crashed$' out
	lacks "$output" '▸'
	svg
	holds '[.bars[] | select(.id == "dies").state] == ["crashed"] and any(.marks[]; .state == "crashed") and any(.texts[]; . == "crashed")'
	dpl-call list -aq >/dev/null
}

@test "no calls, one of no time, and one alone" {
	expect 0 dpl-show --timeline
	is "$output" "$op: no calls"
	svg
	holds '.bars == [] and any(.texts[]; . == "no calls")'
	dpl-call start -q --id short
	dpl-call end short
	dpl-abort
	dpl-complete -q -m 'well done'
	retimed 0
	COLUMNS=50 expect 0 dpl-show --timeline
	is "$(tail -n 1 out | tr -s ' ')" 'short me ▏ ┊ 0.000 s'
	svg
	holds '.bars == [{id: "short", state: "ended", open: false, x: .bars[0].x, y: .bars[0].y, width: 2, height: .bars[0].height, tip: .bars[0].tip}]'
	retimed 5000 5000 7000
	svg
	holds '.bars[0].width == 2 and .bars[0].x > 600 and any(.texts[]; . == "completed: well done") and [.marks[].state] == ["failed", "ended"]'
	expect 0 dpl-show --timeline --at 1
	is "$output" "$op: no calls"
	unset DPL_OPERATION
	for line in --timeline '--svg picture.svg' '--svg -'; do
		# shellcheck disable=SC2086
		expect 2 dpl-show $line
		refused dpl-show 'no operation'
	done
}

@test "timeline: as wide as COLUMNS says, else as the terminal, else 100" {
	past
	for width in 40 80 200; do
		COLUMNS=$width expect 0 dpl-show --timeline
		[ "$(wc -L <out)" -le $width ]
		# The axis, and the column for what goes on.
		axis=$(grep '┬─' out | tr -d ' ')
		[ $((2 * (${#axis} + 1))) -ge "$width" ]
		is "$(grep -c '[█▏▎▍▌▋▊▉▐▕┃]' out)" 5
	done
	wide=$(COLUMNS=100 dpl-show --timeline | grep '┬─')
	for columns in '' 0 -1 80x 99999999999999999999; do
		is "$(COLUMNS=$columns dpl-show --timeline | grep '┬─')" "$wide"
	done
	is "$(dpl-show --timeline | grep '┬─')" "$wide"
	COLUMNS=1 expect 0 dpl-show --timeline
	[ "$(wc -L <out)" -le 30 ]
	COLUMNS=12345 expect 0 dpl-show --timeline
	is "$(wc -L <out)" 1000
	script -qec true /dev/null >/dev/null 2>&1 </dev/null || skip 'no script(1), or no pseudo-terminal'
	TERM=dumb script -qec 'stty cols 66; dpl-show --timeline' /dev/null >terminal </dev/null
	is "$(grep '┬─' terminal | tr -d '\r')" "$(COLUMNS=66 dpl-show --timeline | grep '┬─')"
}

@test "timeline: what is long is cut, nested ones to their depth" {
	for i in $(seq 300); do
		echo "{\"path\":\"/call/start\",\"body\":{\"operationId\":\"$op\",\"callId\":\"d$i\",\"parentId\":\"d$((i - 1))\",\"description\":\"$(printf 'word%.0s ' {1..40})\"}}"
	done | dpl-batch | grep -vc '"status":200' && false
	COLUMNS=90 expect 0 dpl-show --timeline
	is "$(wc -l <out)" 304
	[ "$(wc -L <out)" -le 90 ]
	[ "$(grep -c '^…  *└─ wor.*… .*▸' out)" -ge 290 ]
	svg
	holds '.bars | length == 300'
	# Labels stand in no bar.
	holds '.bars[0].x < 500'
}

@test "timeline in colour: that of its state" {
	past
	expect 0 dpl-show --timeline --color always
	sed 's/\x1b\[\([0-9]*\)m/{\1}/g' out >painted
	grep -q '^build it all.*{32}[▐█]█*[^{█]*{0}' painted
	grep -q 'unit tests.*{31}[▐█]█*[^{█]*{0}.*{31}failed{0}' painted
	grep -q '^ *{31}\(aborted ▾\|▾ aborted\){0}' painted
	is "$(sed 's/\x1b\[[0-9]*m//g' out | sed 3d)" "$(dpl-show --timeline | sed 3d)"
	expect 0 dpl-show --timeline --color always --at 6
	sed 's/\x1b\[\([0-9]*\)m/{\1}/g' out | grep -q '^build it all.*{36}[▐▕█]█*▸{0}'
}

# --- the picture ---

@test "svg: each bar where it belongs, with its tooltip, marks and legend" {
	past
	svg
	holds '.title == "nightly build \($op)"' --arg op "$op"
	holds '[.bars[] | [.id, .state]] == [["build", "ended"], ["compile", "ended"], ["link", "ended"], ["tests", "cancelled"], ["units", "failed"]]'
	# 20 s are from where "build" would have begun a second earlier, to the end of "tests".
	holds '(.bars[3].x + .bars[3].width) as $right | ((.bars[3].x - .bars[0].x) / 9) as $second | (.bars[0].x - $second) as $left
		| [[.bars[] | (.x - $left) / $second], [.bars[0, 1, 3, 4] | .width / $second], [.marks[] | (.x - $left) / $second], [($right - $left) / $second]]
		| flatten | map(. * 10 | round | . / 10) == [1, 2, 9.5, 10, 11, 9, 7, 10, 5, 17, 20, 20]'
	holds '.bars[2].width == 2 and (.bars | map(.y)) == (.bars | map(.y) | sort | unique)'
	holds '[.marks[].state] == ["failed", "failed"]'
	holds '.bars[4].tip == "units: unit tests\nme, failed, 5.0 s\nstarted after 11.0 s\nerror: 3 of <40> failed & \"more\""'
	for text in 'nightly build' 'build it all me' 'compile ann' 'unit tests me' '7.0 s' '10.0 s cancelled' '5.0 s failed' 'ended 3' 'failed 1' 'cancelled 1' aborted failed \
		0 '10 s' 'failed: no release'; do
		holds 'any(.texts[]; . == $text)' --arg text "$text"
	done
	holds 'any(.texts[]; startswith("failed, aborted") and contains("20.0 s") and contains($op) and contains(" UTC"))' --arg op "$op"
	holds 'any(.texts[]; . == "aborted by me, 17.0 s after its start: tests failed")'
	is "$(dpl-show --svg -)" "$(<picture.svg)"
	is "$(dpl-show --svg more.svg --json | jq -r .calls[4].callId)" units
	is "$(dpl-show --svg quiet.svg -q)" "$op"
	cmp picture.svg more.svg
	cmp picture.svg quiet.svg
}

@test "hostile texts: XML that is whole, nothing that a terminal or a browser would obey" {
	unset DPL_OPERATION
	local bad=$'<script>alert(1)</script> ]]> <!-- &amp; "\' \u202e\u2066 \x1b[31mred \x07 \ufffe\uffff \n second \U1f600'
	op=$(dpl-create -d "$bad")
	export DPL_OPERATION=$op
	dpl-join -qp 'a<b>&"c"'
	dpl-call start -q -d "$bad"
	dpl-call start -qp 'a<b>&"c"' --id two -d "$bad"
	dpl-call fail two -m "$bad"
	dpl-call start -q --id three -d '-->'
	dpl-call end three --result "$bad"
	dpl-abort -m "$bad"
	expect 0 dpl-show --timeline
	plain
	# shellcheck disable=SC1003 # no escape
	has "$output" '<script>alert(1)</script>' '\u202e' '\x1b[31mred'
	dpl-show --svg - >out
	no_controls
	lacks "$(<out)" '<script'
	lacks "$(<out)" ']]>'
	svg
	holds '.bars | length == 3'
	holds 'any(.texts[]; startswith("<script>alert(1)</script> ]]> <!-- &amp; \"'\'' \\u202e\\u2066 \\x1b[31mred \\x07 \ufffd\ufffd \\n second"))'
	holds '.bars[1].tip | contains("\na<b>&\"c\", failed") and contains("error: <script>")'
	holds '.bars[2].tip | contains("result: <script>")'
	plain
}

@test "svg: a file is whole or not there, and takes the place of another" {
	past
	umask 027
	svg
	is "$(stat -c %a picture.svg)" 640
	umask 077
	whole=$(<picture.svg)
	mkdir elsewhere
	echo old >elsewhere/old.svg
	ln elsewhere/old.svg other-name
	ln -s elsewhere/old.svg link.svg
	expect 0 dpl-show --svg link.svg
	is "$(<elsewhere/old.svg)" "$whole"
	is "$(<other-name)" old
	is "$(readlink link.svg)" elsewhere/old.svg
	is "$(stat -c %a elsewhere/old.svg)" 600
	expect 0 dpl-show --svg "$PWD/elsewhere/new.svg"
	is "$(names elsewhere)" 'new.svg old.svg'
	# What is no file is written to.
	is "$(dpl-show --svg /dev/stdout | cat)" "$whole"
	mkfifo fifo
	cat fifo >got &
	expect 0 dpl-show --svg fifo
	wait $!
	is "$(<got)" "$whole"
	[ -p fifo ]
	expect 0 dpl-show --svg /dev/null
	[ -c /dev/null ]
}

@test "svg: what cannot be written is said, and nothing is left" {
	past
	mkdir folder
	echo old >old.svg
	before=$(names .)
	expect 2 dpl-show --svg folder
	refused dpl-show 'write folder: Is a directory'
	expect 3 dpl-show --svg missing/picture.svg
	refused dpl-show 'write missing/picture.svg: No such file or directory'
	expect 3 dpl-show --svg old.svg/picture.svg
	refused dpl-show 'write old.svg/picture.svg: Not a directory'
	expect 3 dpl-show --svg new/
	refused dpl-show 'write new/: '
	expect 3 dpl-show --svg ''
	refused dpl-show 'write : '
	expect 9 dpl-show --svg "$(printf 'x%.0s' {1..300})"
	refused dpl-show 'too long'
	expect 9 dpl-show --svg /dev/full
	refused dpl-show 'write /dev/full: No space left on device'
	expect 3 dpl-show --svg missing/picture.svg --json
	json_error no-such-file
	# A full disk in the midst of it.
	expect 9 bash -c 'ulimit -f 2; exec dpl-show --svg old.svg'
	refused dpl-show 'write old.svg: File too large'
	is "$(<old.svg)" old
	rm out err
	is "$(names .)" "$before"
	status=0
	dpl-show --svg - >/dev/full 2>err || status=$?
	is "$status" 9
	has "$(<err)" 'dpl-show: write standard output: No space left on device'
	is "$(dpl-show --svg - 2>err | head -c 9; cat err)" '<?xml ver'
}

@test "svg: where I may not write: 8" {
	local_only 'the same'
	public_folder
	past
	chmod -R a+rX "$BATS_TEST_TMPDIR"
	before=$(names "$public")
	chmod 755 "$public"
	expect 0 dpl-show --svg "$public/mine.svg"
	cp -r "$ledger" "$public/ledger"
	chmod -R a+rwX "$public/ledger"
	expect 8 as_other "$BUILD/bin/dpl-show" -C "$public/ledger" --svg "$public/theirs.svg"
	refused dpl-show 'theirs.svg: Permission denied'
	is "$(names "$public")" 'ledger mine.svg'
}

@test "10,000 calls: all are there, in rows two pixels high" {
	local_only 'the same, and slow'
	awk 'BEGIN {
		seq = 1
		for (i = 1; i <= 10000; i++) {
			entry("call.started", sprintf(",\"sessionId\":1,\"parentId\":\"c%d\"", int(i / 2)))
			if (i % 3)
				entry("call.ended", ",\"durationMs\":1")
		}
	}
	function entry(event, more) {
		printf "{\"seq\":%d,\"at\":\"2026-11-22T14:30:45.%03dZ\",\"by\":\"me\",\"event\":\"%s\",\"callId\":\"c%d\"%s}\n", ++seq, i / 10, event, i, more
	}' >>"$(journal "$op")"
	svg
	holds '(.bars | length) == 10000 and (.bars | map(.id) | unique | length) == 10000 and .height > 20000 and .height < 20400'
	holds 'all(.bars[]; .width >= 2 and .height == 2) and (.texts | map(select(startswith("c1"))) == [])'
	holds '[.bars[] | select(.state == "running")] | length == 3333'
	[ "$(stat -c %s picture.svg)" -lt 3000000 ]
	expect 0 dpl-show --timeline
	is "$(grep -c '[█▏▎▍▌▋▊▉▐▕┃]' out)" 10000
}

@test "svg: rows shrink with their number; labels go where nobody could read them" {
	started() {
		for i in $(seq "$1" "$2"); do
			echo "{\"path\":\"/call/start\",\"body\":{\"operationId\":\"$op\",\"callId\":\"c$i\"}}"
		done | dpl-batch | grep -c '"status":200'
	}
	is "$(started 1 120)" 120
	svg
	holds '.bars[0].height == 14 and any(.texts[]; startswith("c1 "))'
	is "$(started 121 200)" 80
	svg
	holds '.bars[0].height < 9 and any(.texts[]; startswith("c200 "))'
	is "$(started 201 300)" 100
	svg
	holds '.bars[0].height > 2 and .bars[0].height < 8 and all(.texts[]; startswith("c1 ") | not)'
}

# --- options ---

@test "--svg, --timeline, --trail, --tree and --why exclude each other; -a goes with none" {
	for one in --timeline --trail --tree --why '--svg x.svg'; do
		for other in --timeline --trail --tree --why '--svg x.svg'; do
			[ "$one" != "$other" ] || continue
			# shellcheck disable=SC2086
			expect 2 dpl-show $one $other
			refused dpl-show 'exclude each other'
		done
		# shellcheck disable=SC2086
		expect 2 dpl-show -a $one
		refused dpl-show
	done
	expect 2 dpl-show --svg
	refused dpl-show --svg
	for letter in -j -q; do
		expect 2 dpl-show "$letter" --svg -
		has "$output$stderr" 'standard output'
	done
	[ ! -e x.svg ] && [ ! -e - ]
}
