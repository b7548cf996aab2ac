#!/usr/bin/env bats
# bad inputs and bad surroundings: a right exit status, one clear line, and nothing changed

# shellcheck disable=SC2016,SC2030,SC2031,SC2154,SC2317 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	op=$(dpl-create -d victim)
	id=$op
	export DPL_OPERATION=$op
}

# harmless STATUSES COMMAND ...: it exits with one of these, says one line, prints nothing.  With a time
# in $soon it also comes back by itself.
harmless() {
	local lines allowed=$1
	shift
	${soon:+timeout "$soon"} "$@" >out 2>err </dev/null && status=0 || status=$?
	mapfile -t lines <err
	if [[ ! " $allowed " == *" $status "* ]] || [ -s out ] || [ "${#lines[@]}" -ne 1 ] || [[ "${lines[0]}" != "${1##*/}: "* ]]; then
		printf 'exit %s, not one of %s:' "$status" "$allowed"
		printf ' %q' "${@:0:12}" | cut -c 1-300
		echo
		head -c 1000 out err | cat -v
		return 1
	fi
	cat err >>all-err
}

# The lines that harmless saw had nothing in them that a terminal obeys.
all_plain() {
	: >out
	mv all-err err
	plain
}

# What stands where a name is wanted: numbers 1 to 36 of the list of bad inputs.
bad_names() {
	mapfile -d '' -t bad < <(
		printf '%s\0' . .. ../x a/../../etc/passwd /etc/passwd a/b %2e%2e%2fx ..%2f ..%252f a%00b -rf --help - \
			"$(head -c 255 /dev/zero | tr '\0' x)" "$(head -c 256 /dev/zero | tr '\0' x)" "$(head -c 5000 /dev/zero | tr '\0' x)" \
			"$(head -c 130000 /dev/zero | tr '\0' x)" $'a\nb' $'a\rb' $'\e[2J\e]0;x\a' $'\xff' $'\xc0\xaf' $'a\u202eb' $'a\u200bb' $'e\u0301' é \
			🙂 ' a' 'a ' '~' '$HOME' '$(touch x)' '`touch x`' ';rm -rf /' '*' '?' '[a' con x:y backup keys live x_trail x.lock x.json \
			.new-x .old-x journal.jsonl %s%n%s "$id/" "$id/journal.jsonl" "../ledger/$id" "./$id" "${id}x" "$id.lock"
	)
}

@test "names where an operation is wanted" {
	bad_names
	before=$(sum)
	for name in "${bad[@]}"; do
		[ "$name" != - ] || continue # part of every id
		for line in dpl-show 'dpl-show --tree' dpl-join dpl-leave dpl-complete dpl-abort 'dpl-abort --check' 'dpl-log x' 'dpl-log' 'dpl-call start' \
			'dpl-call end x' 'dpl-call list'; do
			# shellcheck disable=SC2086
			harmless '2 3' $line -o "$name"
		done
		harmless '2 3' dpl-show -- "$name"
		DPL_OPERATION=$name harmless '2 3' dpl-log x
	done
	harmless 2 dpl-log -o '' x
	harmless 2 dpl-show ''
	is "$(sum)" "$before"
	all_plain
	[ ! -e x ]
	is "$(names "$BATS_TEST_TMPDIR" | tr ' ' '\n' | grep -vx 'bad\|out\|err\|ledger' | paste -sd ' ')" ''
}

@test "names where a call is wanted" {
	bad_names
	before=$(sum)
	for name in "${bad[@]}" ''; do
		# As a call's id some are fine: there just is no such call.
		harmless '2 3' dpl-call end -- "$name"
		harmless '2 3' dpl-call fail -m x -- "$name"
		harmless '2 3' dpl-call start --parent="$name"
	done
	for name in "${bad[@]}"; do
		case $name in
		-rf | --help | - | live | backup | keys | x_trail | x.* | con | x:y | journal.jsonl | "${id}x" | "$id.lock") continue ;;
		esac
		harmless 2 dpl-call start --id="$name"
		DPL_CALL=$name harmless 2 dpl-call start
	done
	is "$(sum)" "$before"
	all_plain
	[ ! -e x ]
}

@test "names where a key, a number, a time or a level is wanted" {
	bad_names
	before=$(sum)
	for name in "${bad[@]}" ''; do
		harmless 2 dpl-log -t "$name" x
		harmless 2 dpl-log -l "$name" x
		harmless 2 dpl-leave --session="$name"
		harmless 2 dpl-join --pid="$name"
		harmless 2 dpl-join --ttl="$name"
		harmless 2 dpl-log --since="$name"
		harmless 2 dpl-log --tail="$name"
		harmless 2 dpl-show --at="$name"
		harmless 2 dpl-show --color="$name"
		harmless 2 dpl-create --beat="$name"
		DPL_TIMEOUT=${name:-x} harmless 2 dpl-log x
		DPL_SYNC=${name:-x} harmless 2 dpl-log x
		case $name in
		[a-zA-Z0-9]*[!a-zA-Z0-9._:-]* | [!a-zA-Z0-9._:-]* | '') harmless 2 dpl-log --key="$name" x ;;
		esac
	done
	is "$(sum)" "$before"
	all_plain
	[ ! -e x ]
}

@test "names where a ledger is wanted" {
	bad_names
	mkdir elsewhere
	cd elsewhere
	for name in "${bad[@]}"; do
		case $name in
		. | .. | - | '~' | /etc/passwd) continue ;;
		esac
		timeout 10 dpl-show -C "$name" >../out 2>../err && status=0 || status=$?
		case $status in
		2 | 3 | 9) ;;
		*)
			printf 'exit %s: %q\n' "$status" "$name"
			return 1
			;;
		esac
		is "$(wc -l <../err)" 1
		cat ../err >>../all-err
	done
	cd "$BATS_TEST_TMPDIR"
	is "$(names elsewhere)" ''
	all_plain
	harmless 2 dpl-show -C ''
	# A folder that is no ledger: nothing in it is ours, nothing is made by looking.
	mkdir empty
	touch empty/20260101T000000.000Z-me-0000000a empty/file
	before=$(sum empty)
	expect 0 dpl-show -a -C empty -v
	is "$output" ''
	harmless 3 dpl-log -C empty x
	harmless 3 dpl-log -C empty -o 20260101T000000.000Z-me-0000000a x
	is "$(sum empty)" "$before"
	harmless '3 9' dpl-show -C /etc/passwd
	harmless '3 9' dpl-log -C /dev/null x
}

@test "texts: what goes in comes out, and reaches no terminal raw" {
	for text in '' ' ' $'a\nb' $'\r' $'\t' $'\e[2J\e]0;x\a' $'\x7f\x01\x1f' $'\xc2\x9b2J' $'a\u202eb' $'\u200b\ufeff' '"' \\ '\u001b' '%s%n' \
		'{"seq":99,"event":"operation.failed"}' $'\n{"seq":99}' '</script>' é 🙂 $'e\u0301' "$(head -c 60000 /dev/zero | tr '\0' x)"; do
		expect 0 dpl-log -- "$text"
		is "$(last_entry "$op" -j; echo .)" "$(last_entry "$op" -j; echo .)"
		is "$(last_entry "$op" .message)" "$(printf '%s' "$text" | jq -Rsr .)"
		call=$(dpl-call start -d "$text")
		dpl-call fail -m "$text" "$call"
		other=$(dpl-create -d "$text")
		dpl-abort -o "$other" -m "$text"
		dpl-complete -qo "$other" -m "$text"
		for line in "dpl-show $other" "dpl-show --trail $other" "dpl-abort --check -o $other"; do
			# shellcheck disable=SC2086
			expect 0 $line
			plain
		done
	done
	for line in 'dpl-show' 'dpl-show --tree' 'dpl-show --trail' 'dpl-show -a' 'dpl-log' 'dpl-log -q' 'dpl-call list -a'; do
		# shellcheck disable=SC2086
		expect 0 $line
		plain
		# shellcheck disable=SC2086
		expect 0 $line --json
		no_controls
	done
	whole "$op"
}

@test "journal.jsonl is a folder, a link, a FIFO, a device, or is not there" {
	file=$(journal "$op")
	cp "$file" saved
	spoil() {
		rm -rf "$file"
		case $1 in
		folder) mkdir "$file" ;;
		link) ln -s /etc/passwd "$file" ;;
		link-to-journal) ln -s "$BATS_TEST_TMPDIR/saved" "$file" ;;
		loop) ln -s journal.jsonl "$file" ;;
		fifo) mkfifo "$file" ;;
		device) mknod "$file" c 1 3 ;;
		zero) mknod "$file" c 1 5 ;;
		socket) perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "s", Listen => 1)' && mv s "$file" ;;
		missing) ;;
		esac
	}
	soon=10
	for kind in folder link link-to-journal loop fifo device zero socket missing; do
		spoil "$kind" || continue
		before=$(sum "$ledger/$op")
		for line in dpl-show 'dpl-show --json' 'dpl-show --trail' 'dpl-log' 'dpl-log x' 'dpl-log --key k x' dpl-join dpl-complete dpl-abort \
			'dpl-abort --check' 'dpl-call start' 'dpl-call list'; do
			case $line in
			*--json) continue ;;
			esac
			# shellcheck disable=SC2086
			harmless 9 $line
			grep -q "$op" err
		done
		expect 9 dpl-show --json
		json_error damaged-journal
		is "$(sum "$ledger/$op")" "$before"
		expect 0 env -u DPL_OPERATION dpl-show -a
		has "$output" "$op" damaged-journal
	done
	is "$(wc -l <saved)" 1
}

@test "the operation's folder is a link, a file or not ours" {
	mv "$ledger/$op" elsewhere
	before=$(sum elsewhere)
	ln -s "$BATS_TEST_TMPDIR/elsewhere" "$ledger/$op"
	for line in dpl-show 'dpl-log x' dpl-complete; do
		# shellcheck disable=SC2086
		harmless '3 9' $line
	done
	rm "$ledger/$op"
	echo file >"$ledger/$op"
	harmless 3 dpl-log x
	rm "$ledger/$op"
	mkdir "$ledger/$op"
	harmless 9 dpl-log x
	harmless 9 dpl-show
	is "$(sum elsewhere)" "$before"
	is "$(names "$ledger/$op")" ''
}

@test "a journal cut at every byte" {
	dpl-log -q 'the last line'
	cp "$(journal "$op")" saved
	size=$(stat -c %s saved) first=$(head -n 1 saved | wc -c)
	# cut PART: every eighth byte, in a ledger of its own.  Readers look at a damaged file for some
	# milliseconds, so the eight go side by side.
	cut_part() {
		local file n lines text read wrote
		cp -r "$ledger" "ledger.$1"
		export DPL_LEDGER=$BATS_TEST_TMPDIR/ledger.$1
		file=$DPL_LEDGER/$op/journal.jsonl
		for ((n = $1; n < size; n += 8 * (${SANITIZED:+3} + 1))); do
			head -c "$n" saved >"$file"
			dpl-show -q >/dev/null 2>&1 && read=0 || read=$?
			dpl-log -q 'after it' 2>/dev/null && wrote=0 || wrote=$?
			mapfile -t lines <"$file"
			text=${lines[*]}
			if [ "$n" -lt "$first" ]; then
				is "$n: $read $wrote ${#text}" "$n: 9 9 $n" || return
			else
				is "$n: $read $wrote ${#lines[@]} ${lines[1]##*:}" "$n: 0 0 2 \"after it\"}" || return
			fi
		done
		echo "part $1"
	}
	for part in 0 1 2 3 4 5 6 7; do
		in_background cut_part "$part" >"cut.$part" 2>&1
		parts+=("$pid")
	done
	for part in "${parts[@]}"; do
		ended "$part"
	done
	is "$(cat cut.*)" "$(printf 'part %s\n' 0 1 2 3 4 5 6 7)"
	# The cut is said, once.
	head -c $((size - 3)) saved >"$(journal "$op")"
	expect 0 dpl-log x
	has "$stderr" "$(journal "$op")" "cut $((size - 3 - first)) torn bytes"
	expect 0 dpl-log y
	silent
	whole "$op"
}

@test "a journal that is whole but wrong: 9 with file and line, and nothing is rewritten" {
	dpl-log -q two
	dpl-log -q three
	file=$(journal "$op")
	cp "$file" saved
	# line NUMBER TEXT: that line instead of the right one.
	line() {
		awk -v n="$1" -v t="$2" 'NR == n { print t; next } { print }' saved >"$file"
	}
	at='"at":"2026-01-01T00:00:00.000Z","by":"me","event":"log","level":"info","message":"x"'
	wrong=(rubbish '{}' '[]' '' ' ' '{"seq":2}' "{\"seq\":3,$at}" "{\"seq\":1,$at}" "{\"seq\":\"2\",$at}" "{\"seq\":1.5,$at}" "{\"seq\":null,$at}" "{\"seq\":-1,$at}"
		"{\"seq\":9007199254740992,$at}" "{\"seq\":2,\"at\":\"yesterday\",\"by\":\"me\",\"event\":\"log\"}" "{\"seq\":2,$at} x" "{\"seq\":2,$at"
		"{\"seq\":2,$at,\"message\":5}" "{\"seq\":2,${at/event/happening}}" $'{"seq":2,\xff'"$at}")
	for text in "${wrong[@]}"; do
		line 2 "$text"
		before=$(sum)
		harmless 9 dpl-show
		has "$(cat err)" "$file:2: "
		harmless 9 dpl-log x
		has "$(cat err)" "$file:2: "
		expect 9 dpl-complete --json
		json_error damaged-journal
		is "$(sum)" "$before"
	done
	for text in rubbish "{\"seq\":1,$at}" "$(head -n 1 saved | sed 's/"format":1/"format":"1"/')" "$(head -n 1 saved | sed 's/"seq":1/"seq":2/')"; do
		line 1 "$text"
		before=$(sum)
		harmless 9 dpl-show
		has "$(cat err)" "$file:1: "
		harmless 9 dpl-log x
		is "$(sum)" "$before"
	done
	line 2 "{\"seq\":2,\"callId\":\"$(head -c 70000 /dev/zero | tr '\0' x)\",$at}"
	harmless 9 dpl-log x
	cp saved "$file"
	expect 0 dpl-log four
	whole "$op"
}

@test "names that stand twice in a line" {
	file=$(journal "$op")
	sed -i 's/"by":"me"/"by":"me","by":"you"/' "$file"
	before=$(sum)
	run dpl-show
	[ "$status" -eq 9 ] || [ "$status" -eq 0 ]
	is "$(sum)" "$before"
}

@test "a journal of a newer format: 9, and it says so" {
	file=$(journal "$op")
	sed -i 's/"format":1/"format":2/' "$file"
	before=$(sum)
	for line in dpl-show 'dpl-log x' dpl-complete 'dpl-call start'; do
		# shellcheck disable=SC2086
		harmless 9 $line
		has "$(cat err)" "$file" newer
		# shellcheck disable=SC2086
		expect 9 $line --json
		json_error unsupported-format
	done
	is "$(sum)" "$before"
	expect 0 dpl-show -aj
	holds '.operations[0].code == "unsupported-format"'
}

@test "events and members of a later release are kept and passed over" {
	file=$(journal "$op")
	echo '{"seq":2,"at":"2026-01-01T00:00:00.000Z","by":"me","event":"moon.phase","callId":"x","colour":{"a":[1,2]}}' >>"$file"
	expect 0 dpl-log -q after
	expect 0 dpl-show --trail
	has "$output" moon.phase
	expect 0 dpl-show --json
	holds '.seq == 3'
	is "$(sed -n 2p "$file" | jq -c .colour)" '{"a":[1,2]}'
	whole "$op"
}

@test "a sparse journal of 2 GiB" {
	file=$(journal "$op")
	cp "$file" saved
	truncate -s 2G "$file"
	for line in dpl-show 'dpl-log x'; do
		# shellcheck disable=SC2086
		harmless 9 $line
	done
	is "$(stat -c %s "$file")" 2147483648
	cp saved "$file"
	expect 0 dpl-log x
}

@test "checkpoint, bell, keys and the rest are rubbish: the journal alone counts" {
	for i in 1 2 3 4; do
		dpl-log -q "$(head -c 15000 /dev/zero | tr '\0' "$i")"
	done
	checkpoint=$ledger/$op/checkpoint
	[ -e "$checkpoint" ]
	cp "$checkpoint" saved
	size=$(stat -c %s saved)
	spoiled() {
		expect 0 dpl-log -q x
		silent
		expect 0 dpl-show --json
		holds '.state == "running" and .initiatorId == "me" and .description == "victim"'
	}
	for kind in empty half zero random longer folder link fifo; do
		rm -rf "$checkpoint"
		case $kind in
		empty) : >"$checkpoint" ;;
		half) head -c $((size / 2)) saved >"$checkpoint" ;;
		zero) head -c "$size" /dev/zero >"$checkpoint" ;;
		random) head -c "$size" /dev/urandom >"$checkpoint" ;;
		longer) (cat saved && echo more) >"$checkpoint" ;;
		folder) mkdir "$checkpoint" ;;
		link) ln -s /etc/passwd "$checkpoint" ;;
		fifo) mkfifo "$checkpoint" ;;
		esac
		spoiled
	done
	rm -rf "$checkpoint"
	for ((n = 0; n < size; n += size / 40 + 1)); do
		cp saved "$checkpoint"
		printf '\xa5' | dd of="$checkpoint" bs=1 seek="$n" conv=notrunc status=none
		expect 0 dpl-show --json
		holds '.state == "running" and .initiatorId == "me" and .logCounts.all >= 4'
	done
	rm -rf "$checkpoint" "$ledger/$op/bell" "$ledger/$op/coordinator" "$ledger/$op/beats" "$ledger/$op/calls"
	spoiled
	expect 0 dpl-abort
	expect 0 dpl-complete
	whole "$op"
}

@test "a key's link that leads nowhere we know" {
	unset DPL_OPERATION
	keyed=$(dpl-create --key k)
	link=$(find "$ledger/keys" -type l)
	for target in ../../etc /etc/passwd backup .. x "$(head -c 3000 /dev/zero | tr '\0' x)"; do
		ln -sfn "$target" "$link"
		before=$(sum)
		harmless 9 dpl-create --key k
		is "$(sum)" "$before"
	done
	rm "$link"
	echo rubbish >"$link"
	harmless 9 dpl-create --key k
	rm "$link"
	expect 0 dpl-create --key k
	[ "$output" != "$keyed" ]
}

@test "closed stdin, stdout and stderr" {
	expect 0 dpl-log x <&-
	expect 0 dpl-show <&-
	closed() (
		local which=$1
		shift
		case $which in
		in) exec "$@" <&- ;;
		out) exec "$@" >&- ;;
		err) exec "$@" 2>&- ;;
		all) exec "$@" <&- >&- 2>&- ;;
		esac
	)
	expect 9 closed out dpl-show
	has "$stderr" 'dpl-show: ' 'standard output'
	expect 9 closed out dpl-show --json
	has "$stderr" 'dpl-show: ' 'standard output'
	expect 9 closed out dpl-show --help
	expect 9 closed out dpl-create
	expect 0 closed out dpl-log x
	expect 0 closed out dpl-create -q
	expect 0 closed err dpl-log -v x
	expect 6 closed err dpl-complete -p you
	is "$output" ''
	expect 0 closed all dpl-log x
	expect 6 closed all dpl-complete -p you
	expect 9 closed all dpl-show
	expect 9 closed in dpl-log -
	expect 9 closed in dpl-batch
	whole "$op"
	is "$(grep -c . "$(journal "$op")")" 5
}

@test "stdout is full: 9, and it says so" {
	[ -c /dev/full ] || skip 'no /dev/full'
	full() {
		"$@" >/dev/full
	}
	for line in dpl-show 'dpl-show --json' 'dpl-show --trail' dpl-join 'dpl-call start' 'dpl-call list --json' dpl-create 'dpl-create --export' 'dpl-show --help' \
		'dpl --help' dpl 'dpl-show --version' 'dpl-abort --check --json' 'dpl help agents'; do
		# shellcheck disable=SC2086
		expect 9 full $line
		has "$stderr" "${line%% *}: " 'standard output: No space left'
		is "$(wc -l <err)" 1
	done
	dpl-log -q x
	expect 9 full dpl-log
	expect 9 full dpl-log --json
	expect 9 full dpl-batch < <(echo '{"path":"/operation/list"}')
	expect 9 full dpl-complete --cancel
	# It has ended all the same: only the word of it was lost.
	expect 6 dpl-complete
	broken() {
		"$@" 2>/dev/full
	}
	expect 6 broken dpl-complete
	whole "$op"
}

@test "the reader goes away: a quiet end" {
	for i in $(seq 300); do
		echo "$i $(head -c 400 /dev/zero | tr '\0' x)"
	done | dpl-log -
	for line in dpl-log 'dpl-log --json' 'dpl-show --trail' 'dpl-show --trail --json' 'dpl-log -f'; do
		# shellcheck disable=SC2086
		bash -c "$line 2>err | head -n 1 >out; exit \${PIPESTATUS[0]}" 3>&-
		is "$(cat err)" ''
		is "$(wc -l <out)" 1
	done
	bash -c 'yes "{\"path\":\"/operation/list\"}" | timeout 10 dpl-batch 2>err | head -n 1 >out; exit "${PIPESTATUS[1]}"' 3>&-
	is "$(cat err)" ''
	# And with SIGPIPE ignored by the caller.
	bash -c 'trap "" PIPE; dpl-log 2>err | head -n 1 >out; exit "${PIPESTATUS[0]}"' 3>&-
	is "$(cat err)" ''
}

@test "an empty environment, no HOME, odd TZ and LANG" {
	expect 0 env -i "$BUILD/bin/dpl-show" -C "$ledger" -o "$op"
	expect 0 env -i "$BUILD/bin/dpl-log" -C "$ledger" -o "$op" x
	is "$(last_entry "$op" .by)" "$(id -un)"
	mkdir here
	cd here
	expect 0 env -i "$BUILD/bin/dpl-create" -C new
	[ -d "new/$output" ]
	expect 0 env -i "$BUILD/bin/dpl" show -C new
	cd "$BATS_TEST_TMPDIR"
	for setting in HOME= HOME=/nonexistent TZ=:/etc/passwd TZ=Pacific/Kiritimati TZ=xx LANG=xx LC_ALL=tr_TR.UTF-8 LC_ALL=C TERM= PATH= USER=x LOGNAME=../x TMPDIR=/nonexistent; do
		expect 0 env "$setting" "$BUILD/bin/dpl-log" -q "$setting é"
		silent
		is "$(last_entry "$op" .message)" "$setting é"
		expect 0 env "$setting" "$BUILD/bin/dpl-show" --json
		holds '.ok and (.changedAt | endswith("Z"))'
	done
	# The time is UTC whatever TZ says.
	now=$(date -u +%s)
	TZ=Pacific/Kiritimati dpl-log -q x
	[ $(($(date -u -d "$(last_entry "$op" .at)" +%s) - now)) -lt 60 ]
}

@test "the current folder is gone" {
	mkdir gone
	cd gone
	rmdir ../gone
	expect 0 dpl-log x
	expect 0 dpl-show
	(
		unset DPL_LEDGER
		expect 9 dpl-show
		refused dpl-show 'current folder'
		expect 9 dpl-create
		expect 9 dpl-show -C relative
		refused dpl-show 'current folder'
		expect 0 dpl-show --help
	)
	cd "$BATS_TEST_TMPDIR"
}

@test "the ledger is deleted meanwhile" {
	coproc dpl-batch 3>&-
	pid=$COPROC_PID
	background+=("$pid")
	turn() {
		echo "$1" >&"${COPROC[1]}"
		read -r -t 10 line <&"${COPROC[0]}"
	}
	turn "{\"path\":\"/operation/log\",\"body\":{\"operationId\":\"$op\",\"message\":\"x\"}}"
	is "$(jq .status <<<"$line")" 200
	rm -r "$ledger"
	turn "{\"path\":\"/operation/show\",\"body\":{\"operationId\":\"$op\"}}"
	is "$(jq .status <<<"$line")" 404
	turn "{\"path\":\"/operation/list\"}"
	is "$(jq -c '.body.operations // .status' <<<"$line")" '[]'
	eval "exec ${COPROC[1]}>&-"
	ended "$pid"
	is "$status" 0
	expect 3 dpl-log x
	[ ! -e "$ledger" ]
}

@test "a follower of an operation that is deleted ends" {
	in_background dpl-log -f -t 1s
	follower=$pid
	dpl-log -q x
	rm -r "$ledger"
	ended "$follower"
	[ "$status" -eq 3 ] || [ "$status" -eq 124 ]
}

@test "an operation that is just being deleted, and has lost its journal first, is none" {
	local_only 'by a server it is that which looks'
	[ -r "/proc/$$/syscall" ] || skip 'the kernel does not tell system calls'
	for _ in {1..20}; do
		op=$(dpl-create)
		rm "$ledger/$op/journal.jsonl"
		in_background dpl-log -o "$op" x
		# Seen while it waits for the folder to go.
		while ! gone "$pid" && ! grep -q '^\(35\|230\|101\|115\) ' "/proc/$pid/syscall" 2>/dev/null; do
			:
		done
		rm -r "${ledger:?}/$op"
		ended "$pid"
		[ "$status" -ne 3 ] || return 0
		is "$status" 9
	done
	echo 'never 3'
	return 1
}

@test "umask 777 and 000" {
	for mask in 777 000; do
		masked() (
			umask "$mask" && exec "$@"
		)
		expect 0 masked dpl-create -C "l$mask"
		op=$output
		expect 0 masked dpl-log -C "l$mask" -o "$op" x
		expect 0 masked dpl-complete -C "l$mask" -o "$op"
		is "$(find "l$mask" -type d -printf '%m\n' | sort -u)" 700
		is "$(find "l$mask" -type f -printf '%m\n' | sort -u)" 600
	done
}

@test "too few descriptors: done or refused, never half" {
	limited() (
		ulimit -n "$1" && shift && exec "$@"
	)
	[ -z "${SANITIZED:-}" ] || skip 'the sanitizers need descriptors of their own'
	for n in 3 4 5 6 7 8 9 10 12; do
		export DPL_SYNC=on
		for line in 'dpl-log x' 'dpl-show' 'dpl-call start' 'dpl-join' 'dpl-show -a' 'dpl-create' 'dpl-create --key k'; do
			# shellcheck disable=SC2086
			limited "$n" $line >out 2>err && status=0 || status=$?
			[ "$status" -eq 0 ] || [ "$status" -eq 9 ] || {
				echo "exit $status with $n descriptors: $line"
				cat err
				return 1
			}
			[ "$status" -eq 0 ] || is "$(wc -l <err)" 1
		done
		is "$(find "$ledger" -name '.new-*')" ''
		one=$(dpl-create)
		limited "$n" dpl-complete -o "$one" >out 2>err && status=0 || status=$?
		case $status in
		0) expect 6 dpl-log -o "$one" x ;;
		9) expect 0 dpl-log -o "$one" x ;;
		*) is "$status" '0 or 9' ;;
		esac
		whole "$op"
	done
	# Three is not enough for anything, twelve for all.
	expect 9 limited 3 dpl-log x
	expect 0 limited 12 dpl-log x
}

@test "no file may grow: 9, and nothing is changed" {
	small() (
		ulimit -f 0 && exec "$@"
	)
	pipe() {
		small "$@" > >(cat >out.pipe) 2> >(cat >err.pipe)
		local rc=$?
		wait_for '! pgrep -P $$ cat >/dev/null' 2 || true
		return "$rc"
	}
	before=$(sum)
	for line in 'dpl-log x' dpl-join 'dpl-call start' dpl-complete; do
		# shellcheck disable=SC2086
		pipe $line && status=0 || status=$?
		is "$status" 9
	done
	is "$(sum)" "$before"
	pipe dpl-show -q && status=0 || status=$?
	is "$status" 0
	pipe dpl-create && status=0 || status=$?
	is "$status" 9
	is "$(find "$ledger" -name '.new-*')" ''
	expect 0 dpl-log x
	expect 0 dpl-create
}

@test "50 MB of address space are enough" {
	[ -z "${SANITIZED:-}" ] || skip 'the sanitizers reserve more'
	lean() (
		ulimit -v 50000 && exec "$@"
	)
	seq 5000 | dpl-log -
	expect 0 lean dpl-log x
	expect 0 lean dpl-show --json
	expect 0 lean dpl-show --trail
	expect 0 lean dpl-log
	expect 0 lean dpl-create
	expect 0 lean dpl-complete
}

@test "too little memory: an error, no crash" {
	[ -z "${SANITIZED:-}" ] || skip 'the sanitizers reserve more'
	lean() (
		ulimit -v "$1" && shift && exec "$@"
	)
	seq 5000 | dpl-log -
	for kb in 500 700 800 900 1000 1200 1500 2000 3000; do
		for line in 'dpl-show --json' 'dpl-log x' 'dpl-show --trail' 'dpl-call start'; do
			# shellcheck disable=SC2086
			lean "$kb" $line >out 2>err && status=0 || status=$?
			# 126 and above: the kernel could not even start it.
			case $status in
			0 | 9) ;;
			*) [ "$kb" -lt 1000 ] || {
				echo "exit $status with $kb KiB: $line"
				cat err
				return 1
			} ;;
			esac
		done
	done
	whole "$op"
}

@test "started without a name, argc 0" {
	command -v perl >/dev/null || skip 'no perl(1)'
	case $(uname -m) in
	x86_64) execve=59 ;;
	aarch64) execve=221 ;;
	*) skip 'execve has another number here' ;;
	esac
	for tool in dpl dpl-show dpl-log dpl-create dpl-call dpl-batch dpl-abort dpl-join dpl-leave dpl-complete; do
		timeout 5 perl -e 'my $file = shift; my $null = pack "J", 0; syscall shift, $file, $null, $null; exit 77' \
			"$BUILD/bin/$tool" "$execve" >out 2>err </dev/null && status=0 || status=$?
		[ "$status" -lt 10 ] || {
			echo "exit $status: $tool"
			cat err
			return 1
		}
	done
}

@test "a storm of SIGSTOP, SIGCONT, SIGTSTP and SIGWINCH" {
	seq 3000 | sed "s/.*/{\"path\":\"\/operation\/log\",\"body\":{\"operationId\":\"$op\",\"message\":\"&\"}}/" >in
	export DPL_SYNC=on
	in_background dpl-batch <in >replies
	batch=$pid
	for i in $(seq 60); do
		kill -STOP "$batch" 2>/dev/null || break
		kill -CONT "$batch" 2>/dev/null || break
		kill -WINCH "$batch" 2>/dev/null || break
		kill -TSTP "$batch" 2>/dev/null || break
		kill -CONT "$batch" 2>/dev/null || break
		[ "$i" -gt 0 ]
	done
	kill -CONT "$batch" 2>/dev/null || true
	ended "$batch"
	is "$status" 0
	is "$(grep -c '"status":200' replies)" 3000
	whole "$op"
}

@test "SIGTERM, SIGINT and SIGHUP end it, and the next one goes on" {
	# INT is ignored by what a shell starts in the background.
	for signal in TERM HUP; do
		in_background dpl-log -f >followed
		follower=$pid
		# It must have begun: what a shell gets between fork and exec is the shell's.
		dpl-log -q "before $signal"
		wait_for "grep -q 'before $signal' followed"
		kill -"$signal" "$follower"
		ended "$follower"
		is "$status" $((128 + $(kill -l "$signal")))
	done
	expect 0 dpl-log x
	whole "$op"
}

@test "the files of another user: 8, and nothing is changed" {
	public_folder
	export DPL_LEDGER=$public/ledger
	ledger=$DPL_LEDGER
	unset DPL_OPERATION
	as_other dpl-create -q -p them
	op=$(dpl-show -q)
	# root acts as the owner: what it writes stays theirs.
	expect 0 dpl-log -o "$op" x
	expect 0 dpl-create
	two=$output
	is "$(find "$ledger" -printf '%U\n' | sort -u)" 54321
	expect 0 dpl-complete -o "$two"
	is "$(find "$ledger" -printf '%U\n' | sort -u)" 54321
	# Without any right to the file, its owner included.
	chmod 000 "$ledger/$op/journal.jsonl"
	before=$(sum)
	for line in "dpl-show $op" "dpl-log -o $op x" "dpl-complete -o $op -p them"; do
		# shellcheck disable=SC2086
		expect 8 as_other $line
		refused "${line%% *}" "$op" 'Permission denied'
		# shellcheck disable=SC2086
		expect 8 $line
		# shellcheck disable=SC2086
		expect 8 as_other $line --json
		json_error permission-denied
	done
	is "$(sum)" "$before"
	# Readable, not writable.
	chmod 400 "$ledger/$op/journal.jsonl"
	before=$(sum)
	expect 0 as_other dpl-show "$op"
	expect 8 as_other dpl-log -o "$op" x
	refused dpl-log "$op"
	is "$(sum)" "$before"
	# A FIFO that may be read only: opening it for reading would wait for a writer.
	mv "$ledger/$op/journal.jsonl" "$public/saved"
	as_other mkfifo -m 400 "$ledger/$op/journal.jsonl"
	expect 9 timeout 10 setpriv --reuid 54321 --regid 54321 --clear-groups dpl-show "$op"
	refused dpl-show "$op" 'not a regular file'
	mv "$public/saved" "$ledger/$op/journal.jsonl"
	chmod 600 "$ledger/$op/journal.jsonl"
	# A ledger that may be read only.
	chmod 500 "$ledger"
	expect 8 as_other dpl-create
	refused dpl-create "$ledger"
	expect 0 as_other dpl-log -o "$op" x
	chmod 700 "$ledger"
	# And one that is not theirs.
	dpl-create -q -C "$public/mine"
	chmod 700 "$public/mine"
	expect 8 as_other dpl-show -C "$public/mine"
	refused dpl-show "$public/mine"
	expect 8 as_other dpl-create -C "$public/mine"
	chmod 755 "$public"
	expect 8 as_other dpl-create -C "$public/new"
	refused dpl-create "$public/new"
}

@test "a damaged ledger: backup/ and keys/ are files" {
	rm -r "$ledger/backup" "$ledger/keys"
	touch "$ledger/backup" "$ledger/keys"
	expect 0 dpl-log x
	expect 0 dpl-show
	unset DPL_OPERATION
	harmless 9 dpl-show -a
	harmless 9 dpl-create --key k
	rm "$ledger/backup" "$ledger/keys"
	expect 0 dpl-show -a
	expect 0 dpl-complete -o "$op"
	expect 0 dpl-create --key k
}

@test "10,000 arguments, and more of them than an entry holds" {
	# shellcheck disable=SC2046
	expect 0 dpl-log $(seq 10000)
	is "$(last_entry "$op" .message)" "$(seq -s ' ' 10000)"
	# shellcheck disable=SC2046
	harmless 2 dpl-log $(seq 30000)
}
