#!/usr/bin/env bats
# dpl-watch --file: waiting for files

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

# watching ARGUMENT ...: dpl-watch in the background, its pid in $watcher; it writes to watched and said.  It has watches when this
# comes back.
watching() {
	: >watched
	in_background dpl-watch "$@" >watched 2>said
	watcher=$pid
	wait_for "[ ! -d /proc/$watcher ] || cat /proc/$watcher/fdinfo/* 2>/dev/null | grep -q '^inotify wd'"
}

# finished STATUS [LINE ...]: wait for the watcher, which has printed these lines.
finished() {
	local want=$1
	shift
	ended "$watcher"
	[ "$status" -eq "$want" ] && is "$(cat watched)" "$(printf '%s\n' "$@")" && return
	echo "exit $status instead of $want"
	cat watched said
	return 1
}

# watching_as_other ARGUMENT ...: the same as another user.
watching_as_other() {
	: >watched
	in_background setpriv --reuid 54321 --regid 54321 --clear-groups "$BUILD/bin/dpl-watch" "$@" >watched 2>said
	watcher=$pid
	wait_for "cat /proc/$watcher/fdinfo/* 2>/dev/null | grep -q '^inotify wd'"
}

# marked: all that was told before this has been taken in: a file that comes after it is printed.  Has to be among the awaited.
marked() {
	marks=$((${marks:-0} + 1))
	echo x >new && mv new "mark$marks"
	wait_for "grep -qx mark$marks watched"
}

# over_looks N: it has looked N times more.  A look every two seconds is all there is without events.
over_looks() {
	local begun=$SECONDS
	wait_for "[ \$((SECONDS - begun)) -gt $((2 * $1)) ]" 20
}

@test "files that are there: in the order in which they are named, without a ledger or a wait" {
	local_only 'no ledger in it'
	ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # which does not go with ptrace
	echo 1 >one
	echo 2 >two
	expect 0 dpl-watch --file two --file ./one --file "$PWD/two" -t 0
	is "$output" "two
./one
$PWD/two"
	is "$stderr" ''
	by_server || [ ! -e "$ledger" ]
	strace -o trace dpl-watch --file two -C nowhere >out
	is "$(grep -c 'inotify\|POLLIN\|^\(open\|stat\|mkdir\|access\).*nowhere' trace)" 0
}

@test "files that come: moved in, closed, in the order in which they come" {
	local_only 'no ledger in it'
	echo 2 >two
	watching --file one --file two --file three --file four
	is "$(cat watched)" two
	echo 4 >four
	wait_for 'grep -q four watched'
	echo 3 >new
	mv new three
	wait_for 'grep -q three watched'
	[ -d "/proc/$watcher" ]
	echo 1 >one
	finished 0 two four three one
	is "$(cat said)" ''
}

@test "one that is being written is not taken, neither when it is told nor at looks" {
	local_only 'no ledger in it'
	watching --file one --file mark1 --file mark2 --count 3
	exec 7>one
	echo half >&7
	marked
	over_looks 2
	marked
	is "$(cat watched)" $'mark1\nmark2'
	exec 7>&-
	finished 0 mark1 mark2 one
}

@test "one that is empty at first, and written then" {
	local_only 'no ledger in it'
	: >one
	watching --file one --file mark1 --file mark2
	exec 7>>one
	echo half >&7
	marked
	over_looks 1
	marked
	exec 7>&-
	finished 0 mark1 mark2 one
}

@test "renamed or closed by one while another has it open: the last close counts" {
	local_only 'no ledger in it'
	watching --file one --file mark1 --file two --file mark2
	exec 7>new 8>two
	echo half >&7
	mv new one
	echo half >&8
	: >>two
	marked
	marked
	is "$(cat watched)" $'mark1\nmark2'
	exec 7>&-
	wait_for 'grep -qx one watched'
	exec 8>&-
	finished 0 mark1 mark2 one two
}

@test "made by one, written by another: what has been closed empty is not taken half written" {
	local_only 'no ledger in it'
	for i in $(seq 30); do
		watching --file "one$i" --file mark
		mkfifo "fifo$i"
		in_background bash -c ': >one$1; exec 7>one$1; echo half >&7; read -r <fifo$1; echo whole >&7' - "$i"
		writer=$pid
		wait_for "[ -s one$i ]"
		echo x >new && mv new mark
		wait_for 'grep -qx mark watched'
		is "$(cat watched)" mark
		echo go >"fifo$i"
		ended "$writer"
		finished 0 mark "one$i"
		rm mark
	done
}

@test "hard links and symbolic links are taken at once, also a link whose file is elsewhere and late" {
	local_only 'no ledger in it'
	mkdir elsewhere
	echo 1 >elsewhere/one
	watching --file hard --file soft --file dangling -t 20
	begun=$SECONDS
	ln elsewhere/one hard
	wait_for 'grep -qx hard watched'
	ln -s elsewhere/one soft
	wait_for 'grep -qx soft watched'
	[ $((SECONDS - begun)) -lt 2 ]
	ln -s elsewhere/two dangling
	over_looks 1
	is "$(cat watched)" $'hard\nsoft'
	exec 7>elsewhere/two
	echo half >&7
	over_looks 2
	is "$(cat watched)" $'hard\nsoft'
	exec 7>&-
	finished 0 hard soft dangling
	ln -sf nowhere dangling
	expect 124 dpl-watch --file dangling -t 0
	is "$stderr" 'dpl-watch: dangling is a link that leads to nothing'
}

@test "empty files: not, but with --empty-ok, and then not one that has just been made" {
	local_only 'no ledger in it'
	: >one
	expect 124 dpl-watch --file one -t 0
	is "$output$stderr" 'dpl-watch: one is empty'
	expect 0 dpl-watch --file one -t 0 --empty-ok
	is "$output" one
	watching --empty-ok --file two --file mark1
	exec 7>two
	marked
	is "$(cat watched)" mark1
	exec 7>&-
	finished 0 mark1 two
	watching --file two --file mark2
	: >>two
	marked
	is "$(cat watched)" mark2
	echo x >>two
	finished 0 mark2 two
}

@test "folders that do not exist yet, one by one and all at once" {
	local_only 'no ledger in it'
	for i in $(seq 20); do
		watching --file "a$i/b/c/one" --file "$PWD/a$i//b/./two"
		mkdir -p "a$i/b/c"
		echo 2 >"a$i/b/two"
		wait_for 'grep -q two watched'
		echo 1 >"a$i/b/c/one"
		finished 0 "$PWD/a$i//b/./two" "a$i/b/c/one"
		# A whole tree that is moved in.
		watching --file "b$i/b/c/one"
		mv "a$i" "b$i"
		finished 0 "b$i/b/c/one"
	done
}

@test "the folder is removed, or moved away, while it is waited, and made again" {
	local_only 'no ledger in it'
	for i in 1 2 3 4 5; do
		mkdir -p a/b
		watching --file a/b/one -t 20
		begun=${EPOCHREALTIME/./}
		rm -r a
		mkdir -p a/b
		echo 1 >a/b/one
		finished 0 a/b/one
		timed "$begun"
		rm a/b/one
	done
	quick
	begun=$SECONDS
	watching --file a/b/one --file a/b/two -t 20
	mv a/b gone
	mkdir a/b
	echo 1 >a/b/one
	wait_for 'grep -q one watched'
	# That it stands elsewhere, of a folder above, is seen at a look.
	mv a gone/a
	mkdir -p a/b
	echo 2 >a/b/two
	finished 0 a/b/one a/b/two
	[ $((SECONDS - begun)) -lt 5 ]
	rm -r a
	echo x >a
	expect 124 dpl-watch --file a/b/one -t 0
	is "$stderr" 'dpl-watch: a/b/one is not there'
	watching --file a/b/one -t 20
	rm a
	mkdir -p a/b
	echo 1 >a/b/one
	finished 0 a/b/one
}

@test "a folder, a pipe, a device at the path: said once, and waited" {
	local_only 'no ledger in it'
	mkdir one
	mkfifo two
	for i in 1 2; do
		expect 124 dpl-watch --file one --file two --file /dev/null -t 0.1
		is "$stderr" 'dpl-watch: one is a folder: waiting for a file
dpl-watch: two is no regular file: waiting for a file
dpl-watch: /dev/null is no regular file: waiting for a file
dpl-watch: one is a folder
dpl-watch: two is no regular file
dpl-watch: /dev/null is no regular file'
	done
	expect 124 dpl-watch -q --file one -t 0
	refused dpl-watch 'one is a folder'
	watching --file one
	rmdir one
	echo 1 >one
	finished 0 one
	is "$(wc -l <said)" 1
	expect 0 dpl-watch --file one -t 0
}

@test "permission denied: 8" {
	local_only 'no ledger in it'
	public_folder
	mkdir -m 700 "$public/closed"
	mkdir -m 755 "$public/open"
	expect 8 as_other "$BUILD/bin/dpl-watch" --file "$public/closed/one" -t 5
	refused dpl-watch "$public/closed/one: Permission denied"
	expect 8 as_other "$BUILD/bin/dpl-watch" -j --file "$public/closed/one" -t 5
	json_error permission-denied
	# A folder that is closed while it is waited.
	watching_as_other --file "$public/open/one"
	chmod 700 "$public/open"
	echo 1 >"$public/open/one"
	finished 8
	is "$(cat said)" "dpl-watch: $public/open/one: Permission denied"
}

@test "what another user writes, and what cannot be read: taken when it is closed, not before" {
	local_only 'no ledger in it'
	public_folder
	mkdir -m 755 "$public/open"
	cd "$public/open"
	umask 077
	watching_as_other --file one --file mark1 --file mark2
	exec 7>one
	echo half >&7
	marked
	over_looks 2
	marked
	is "$(cat watched)" $'mark1\nmark2'
	exec 7>&-
	finished 0 mark1 mark2 one
}

@test "-t: 124, and each that is missing is named" {
	local_only 'no ledger in it'
	echo 1 >one
	begun=$SECONDS
	expect 124 dpl-watch --file one --file a/two --file three -t 200ms
	is "$output" one
	is "$stderr" $'dpl-watch: a/two is not there\ndpl-watch: three is not there'
	DPL_TIMEOUT=0.1 expect 124 dpl-watch --file two
	refused dpl-watch 'two is not there'
	exec 7>>one
	: >two
	watching --file two -t 1
	exec 8>two
	echo half >&8
	ended "$watcher"
	is "$status $(cat said)" '124 dpl-watch: two is being written'
	exec 7>&- 8>&-
	[ $((SECONDS - begun)) -lt 10 ]
	expect 124 dpl-watch --file $'x\e[2J\ny' -t 0
	refused dpl-watch 'x\x1b[2J\ny is not there'
}

@test "--count: so many suffice, and no more are printed" {
	local_only 'no ledger in it'
	for f in one two three; do
		echo 1 >$f
	done
	expect 0 dpl-watch --file none --file one --file two --file three --count 2 -t 0
	is "$output" $'one\ntwo'
	is "$stderr" ''
	rm two three
	watching --file one --file two --file three --count 2
	echo 3 >three
	finished 0 one three
	expect 124 dpl-watch --file one --file two --count 2 -t 0
	is "$output $stderr" 'one dpl-watch: two is not there'
	# A file that is named twice is one.
	expect 2 dpl-watch --file one --file one --count 2
	refused dpl-watch '--count: 2 is more than the 1 files'
	expect 0 dpl-watch --file one --file one
	is "$output" one
}

@test "--json: an object a file, as they come; a failure is the last line" {
	local_only 'no ledger in it'
	printf 12345 >one
	touch -d '10 seconds ago' one
	touch -d '1 hour' two
	expect 0 dpl-watch --json --file one --file two --empty-ok -q
	is "$(grep -o '"[a-zA-Z]*":' <<<"$output" | uniq | paste -sd ' ')" '"ok": "path": "size": "ageMs": "ok": "path": "size": "ageMs":'
	holds '.ok'
	is "$(json '[.path, .size] | @tsv')" $'one\t5\ntwo\t0'
	is "$(json 'if .path == "two" then .ageMs == 0 else .ageMs >= 10000 and .ageMs < 60000 end' | sort -u)" true
	expect 124 dpl-watch --json --file one --file $'x"\ny' --file two -t 0
	is "$stderr" ''
	is "$(wc -l <out)" 2
	is "$(head -n 1 out | jq -r .path)" one
	output=$(tail -n 1 out)
	holds '.ok == false and .error.code == "timed-out" and .error.retryable and .error.message == "x\"\ny is not there; two is empty"'
	watching --json --file three --file none
	echo 3 >three
	wait_for '[ -s watched ]'
	is "$(jq -r .path watched)" three
}

# --- an operation ---

@test "the operation ends, fails, is aborted, or somebody crashes: so does the wait" {
	echo 1 >one
	for how in 'dpl-complete -q' 'dpl-complete -q --failed' 'dpl-abort -q -m why' crash; do
		# shellcheck disable=SC2046 # words
		op=$(dpl-create $(mortal))
		watching -o "$op" --file one --file two
		case $how in
		crash)
			in_background dpl-call -q -o "$op" -- sleep 60
			wait_for '[ -n "$(dpl-call list -q -o "$op")" ]'
			kill -KILL "$pid"
			wait "$pid" || true
			;;
		*) DPL_OPERATION=$op $how ;;
		esac
		ended "$watcher"
		is "$(cat watched)" one
		is "$(wc -l <said) $(tail -n 1 said)" '2 dpl-watch: two is not there'
		said=$(head -n 1 said)
		case $how in
		*failed) is "$status $said" "5 dpl-watch: $op has ended: failed" ;;
		*complete*) is "$status $said" "1 dpl-watch: $op has ended: completed" ;;
		*abort*) is "$status $said" "4 dpl-watch: $op is aborted: why" ;;
		crash) is "$status" 5 && has "$said" "dpl-watch: me crashed in $op: " ;;
		esac
	done
}

@test "one that has ended or is aborted ends it at once, but files that are there suffice" {
	op=$(dpl-create)
	dpl-abort -q -o "$op"
	export DPL_OPERATION=$op
	expect 4 dpl-watch --file one
	has "$stderr" "$op is aborted" 'one is not there'
	expect 4 dpl-watch --json --file one
	json_error operation-aborted
	dpl-complete -q
	expect 4 dpl-watch --file one
	has "$stderr" "$op has ended: completed, aborted"
	op=$(dpl-create)
	dpl-complete -q -o "$op"
	expect 1 dpl-watch --json --file one -o "${op:(-8)}"
	json_error operation-ended
	echo 1 >one
	expect 0 dpl-watch --file one -o "$op"
	is "$output$stderr" one
	# None: the variable empty.
	expect 4 dpl-watch --file two -t 0
	DPL_OPERATION='' expect 124 dpl-watch --file two -t 0
	expect 3 dpl-watch --file one -o nope
	refused dpl-watch nope
	expect 3 dpl-watch --file one -C nowhere
	refused dpl-watch nowhere
}

@test "what was written before the operation ended is there" {
	for i in $(seq 40); do
		op=$(dpl-create)
		watching -o "$op" --file "one$i"
		# The last thing, and the end: both may be found by the same look.
		kill -STOP "$watcher"
		case $((i % 3)) in
		0) echo 1 >"one$i" ;;
		1) echo 1 >new && mv new "one$i" ;;
		2) echo 1 >new && ln new "one$i" && rm new ;;
		esac
		dpl-complete -q -o "$op"
		kill -CONT "$watcher"
		finished 0 "one$i"
	done
	# What no event tells of.
	mkdir elsewhere
	ln -s elsewhere/one link
	op=$(dpl-create)
	watching -o "$op" --file link
	echo 1 >elsewhere/one
	dpl-complete -q -o "$op"
	finished 0 link
}

@test "an abort and an end are heard at once, by the bell" {
	local_only 'by a server it asks every two seconds'
	for end in dpl-abort dpl-complete; do
		for i in 1 2 3 4 5; do
			op=$(dpl-create)
			watching -o "$op" --file one
			begun=${EPOCHREALTIME/./}
			"$end" -q -o "$op"
			ended "$watcher"
			timed "$begun"
		done
		quick
	done
}

@test "an entry of another program, without the bell, is found at a look; a deleted operation: 3" {
	op=$(dpl-create)
	watching -o "$op" --file one -t 20
	chmod 0700 "$(journal "$op")"
	ended "$watcher"
	is "$status" 4
	op=$(dpl-create)
	watching -o "$op" --file one -t 20
	mv "$ledger/$op" gone # at once, as rm does not
	ended "$watcher"
	is "$status" 3
	has "$(cat said)" "$op"
}

@test "who waits for files finds the dead as well" {
	op=$(dpl-create --beat 200ms)
	in_background sleep 60
	dpl-join -q -o "$op" -p worker --ttl 500ms
	watching -o "$op" --file one -t 20
	ended "$watcher"
	is "$status" 5
	has "$(cat said)" "worker crashed in $op: "
}

# --- the waiting itself ---

@test "it sleeps while nothing happens, and other files do not wake it for long" {
	local_only 'of system calls on a folder'
	ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # which does not go with ptrace
	op=$(dpl-create)
	mkdir full
	in_background strace -f -o trace dpl-watch -o "$op" --file full/one --file two
	wait_for 'grep -q "poll(.*POLLIN" trace'
	over_looks 2
	[ "$(grep -c 'poll(.*POLLIN' trace)" -le 8 ]
	before=$(wc -l <trace)
	for i in $(seq 50); do
		echo x >"full/other$i"
	done
	echo 1 >full/one
	wait_for 'grep -q "write(1, .full/one" trace'
	end_started
	# No look at what nobody waits for.
	is "$(grep -c 'other' trace)" "$(grep -c 'read(.*other' trace)"
	# For each time that it is woken by others it reads, looks whether it is still read itself, and sleeps on.
	[ $(($(wc -l <trace) - before - 3 * $(grep -c 'read(.*other' trace))) -lt 100 ]
}

@test "without inotify: found at looks, not before it has been closed" {
	local_only 'no ledger in it'
	ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # which does not go with ptrace
	[ -x "$BUILD/tools/faultat" ]
	"$BUILD/tools/faultat" -l calls true >/dev/null 2>&1 || skip 'ptrace is not allowed here'
	: >watched
	echo 2 >two
	in_background "$BUILD/tools/faultat" -e 0.inotify_init1=EMFILE+ dpl-watch --file a/one --file two -t 20 >watched 2>said
	watcher=$pid
	wait_for 'grep -qx two watched'
	mkdir a
	exec 7>a/one
	echo half >&7
	over_looks 2
	is "$(cat watched)" two
	exec 7>&-
	finished 0 two a/one
}

@test "without inotify, the file of another user: taken when it has not changed for two seconds" {
	local_only 'no ledger in it'
	ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # which does not go with ptrace
	public_folder
	[ -x "$BUILD/tools/faultat" ]
	as_other "$BUILD/tools/faultat" -l /dev/null true >/dev/null 2>&1 || skip 'ptrace is not allowed here'
	cd "$public"
	echo 2 >two
	: >watched
	in_background setpriv --reuid 54321 --regid 54321 --clear-groups "$BUILD/tools/faultat" -e 0.inotify_init1=EMFILE+ \
		"$BUILD/bin/dpl-watch" --file one --file two -t 20 >watched 2>said
	watcher=$pid
	wait_for 'grep -qx two watched'
	echo half >one
	begun=$SECONDS
	while [ $((SECONDS - begun)) -lt 6 ]; do
		echo more >>one
		sleep 0.1
	done
	is "$(cat watched)" two
	finished 0 two one
}

@test "a reader that goes is noticed; signals end it" {
	local_only 'no ledger in it'
	mkfifo fifo
	in_background bash -c 'exec dpl-watch --file one >fifo 2>said'
	watcher=$pid
	exec 4<fifo
	wait_for "cat /proc/$watcher/fdinfo/* 2>/dev/null | grep -q '^inotify wd'"
	exec 4<&-
	ended "$watcher"
	is "$status $(cat said)" '0 '
	watching --file one
	kill -TERM "$watcher"
	ended "$watcher"
	is "$status" 143
	echo 1 >one
	status=0
	dpl-watch --file one 2>err >/dev/full || status=$?
	is "$status" 9
}

@test "a writer that comes while the lease is held waits for a moment, and nobody is hurt" {
	local_only 'no ledger in it'
	ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # which does not go with ptrace
	: >watched
	# Each fcntl(2) lasts: the writer comes in between.
	in_background strace -f -o trace -e inject=fcntl:delay_exit=1500000 dpl-watch --file one -t 20 >watched 2>said
	watcher=$pid
	wait_for 'grep -q "poll(.*POLLIN" trace'
	echo 1 >one
	wait_for 'grep -q F_SETLEASE trace'
	echo 2 >>one
	wait_for "grep -q -e '--- SIGIO' trace"
	finished 0 one
}

@test "misuse" {
	for line in '--file' '--file=' '--file a/' '--file a b' '--file a --until idle' '--file a --all' '--file a --lines' '--file a --from 1' \
		'--file a --color never' '--file a --count 0' '--file a --count 2' '--file a --count x' '--count 1' '--empty-ok' '--until idle --count 1'; do
		# shellcheck disable=SC2086 # words
		expect 2 dpl-watch $line
		refused dpl-watch
	done
	expect 2 dpl-watch --file "$(printf '%05000d' 0)"
	refused dpl-watch 'longer than'
	expect 2 dpl-watch --file "$(printf '%0300d' 0)"
	refused dpl-watch 'too long'
}
