#!/usr/bin/env bats
# dpl-temp: make, add, remove, list

# shellcheck disable=SC1003,SC2016,SC2030,SC2031,SC2103,SC2154,SC2209 # backslashes at ends; jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	unset TMPDIR
	op=$(dpl-create)
	export DPL_OPERATION=$op
	here=$(pwd -P)
	# What is never removed because the ledger is in it, or it is the ledger's.
	ledgers=("$ledger" "$ledger/$op")
	[ -z "${BACKEND:-}" ] || ledgers=()
}

# registered: what is, one a line.
registered() {
	dpl-temp list -q
}

# events: those of temp resources, on one line.
events() {
	entries "$op" | grep -E '^resource\.' | paste -sd ' '
}

# entry FILTER: of the last entry about a temp resource.
entry() {
	jq -c 'select(.event | startswith("resource."))' <(journal_text "$op") | tail -n 1 | jq -r "$1"
}

# append EVENT MEMBERS: what another process did.
append() {
	local seq
	seq=$(last_entry "$op" .seq)
	printf '{"seq":%d,"at":"2026-11-22T14:30:45.123Z","by":"me","event":"%s"%s}\n' $((seq + 1)) "$1" "$2" >>"$(journal "$op")"
}

# batch PATH MEMBERS: a raw request; $output is its reply.
batch() {
	expect 0 dpl-batch < <(printf '{"path":"%s","body":{"operationId":"%s","participantId":"me"%s}}\n' "$1" "$op" "$2")
}

# code CODE: what the raw request gave.
code() {
	holds '.body.code == $code' --arg code "$1"
}

# removers: how many have the file open by which one removes at a time.
removers() {
	find /proc/[0-9]*/fd \( -lname "*/$op/coordinator" -o -lname "$XDG_STATE_HOME/*/removing" \) 2>/dev/null | wc -l
}

# --- make ---

@test "make: an empty file of its own, registered before it is there, and its path" {
	expect 0 dpl-temp make
	is "$stderr" ''
	[[ $output =~ ^/tmp/tmp\.[0-9A-Za-z]{10}$ ]]
	is "$(stat -c '%a %s %F' "$output")" '600 0 regular empty file'
	is "$(events)" 'resource.added resource.made'
	is "$(jq -c 'select(.event == "resource.added") | [.by, .resourceId, .kind, .path, .made, .sessionId, has("inode"), has("callId")]' <(journal_text "$op"))" \
		"[\"me\",1,\"path\",\"$output\",true,1,false,false]"
	is "$(jq -c 'select(.event == "resource.added") | [.host, .bootId, (.mountNs | type), (.pidNs | type), (.timeNs | type)]' <(journal_text "$op"))" \
		"[\"$(uname -n)\",\"$(cat /proc/sys/kernel/random/boot_id)\",\"number\",\"number\",\"number\"]"
	is "$(entry '[.resourceId, .type, .device, .inode] | @csv')" "1,\"file\",$(stat -c '%d,%i' "$output")"
	# The birth time, where the filesystem has one.
	birth=$(stat -c %.9W "$output")
	[ "${birth%.*}" -le 0 ] || is "$(entry .birth)" "$birth"
	rm "$output"
}

@test "make -d: a folder, whatever the umask" {
	umask 000
	expect 0 dpl-temp make -d --tmpdir .
	is "$(stat -c '%a %F' "$output")" '700 directory'
	is "$(entry .type)" folder
	expect 0 dpl-temp make --tmpdir .
	is "$(stat -c %a "$output")" 600
	umask 777
	expect 0 dpl-temp make --directory --tmpdir "$here"
	is "$(stat -c %a "$output")" 700
}

@test "make: where, and of what name" {
	mkdir a 'b c' $'n\nl'
	ln -s a link
	expect 0 dpl-temp make build.XXXXXX
	[[ $output =~ ^"$here"/build\.[0-9A-Za-z]{6}$ ]]
	expect 0 dpl-temp make XXX
	[[ $output =~ ^"$here"/[0-9A-Za-z]{3}$ ]]
	# All of the X at the end are replaced, others are not.
	expect 0 dpl-temp make aXXXXbXXXX --suffix X.txt
	[[ $output =~ ^"$here"/aXXXXb[0-9A-Za-z]{4}X\.txt$ ]]
	expect 0 dpl-temp make --tmpdir a
	[[ $output =~ ^"$here"/a/tmp\.[0-9A-Za-z]{10}$ ]]
	expect 0 dpl-temp make --tmpdir 'b c' xXXX
	[[ $output =~ ^"$here"/b\ c/x[0-9A-Za-z]{3}$ ]]
	expect 0 dpl-temp make "$here/a/xXXX"
	[[ $output =~ ^"$here"/a/x[0-9A-Za-z]{3}$ ]]
	# Parents are what they really are: nothing is removed through a link.
	for line in 'link/xXXX' "$here/link/xXXX" '--tmpdir=link xXXX' './a//./xXXX' 'b c/../a/xXXX' '--tmpdir=./link/../a/. xXXX'; do
		case $line in
		--*) expect 0 dpl-temp make "${line% *}" "${line##* }" ;;
		*) expect 0 dpl-temp make "$line" ;;
		esac
		[[ $output =~ ^"$here"/a/x[0-9A-Za-z]{3}$ ]]
		[ -f "$output" ]
	done
	cd link
	expect 0 dpl-temp make xXXX
	[[ $output =~ ^"$here"/a/x[0-9A-Za-z]{3}$ ]]
	cd ..
	TMPDIR=link expect 0 dpl-temp make
	[[ $output =~ ^"$here"/a/tmp\. ]]
	TMPDIR=$here/a expect 0 dpl-temp make xXXX
	[[ $output =~ ^"$here"/x[0-9A-Za-z]{3}$ ]]
	TMPDIR='' expect 0 dpl-temp make
	[[ $output =~ ^/tmp/tmp\. ]]
	rm "$output"
	expect 0 dpl-temp make --tmpdir $'n\nl' $'a \t"\\XXX'
	[[ $output =~ ^"$here"/$'n\nl'/$'a \t"\\'[0-9A-Za-z]{3}$ ]]
	[ -f "$output" ]
	is "$(entry .inode)" "$(stat -c %i "$output")"
	is "$(jq -r 'select(.event == "resource.added") | .path' <(journal_text "$op") | tail -n 2)" "$output"
}

@test "make --json, -q, -v" {
	expect 0 dpl-temp make --json xXXX
	holds '.ok and .operationId == $op and .resourceId == 1 and .seq == 3 and (.path | startswith($here))' --arg op "$op" --arg here "$here/x"
	[ -f "$(json .path)" ]
	expect 0 dpl-temp make -q xXXX
	silent
	is "$(registered | wc -l)" 2
	expect 0 dpl-temp make -v xXXX
	is "$stderr" "dpl-temp: entry 7 of $op in $DPL_LEDGER"
	[ -f "$output" ]
}

@test "make: misuse, and nothing is made or registered" {
	before=$(names .)
	for line in '' X XX build foo.XXX.txt 'a/' XXX/ 'aXXX bXXX' '--suffix a/b aXXX' "--tmpdir . $here/aXXX" '--by me aXXX' '--keep aXXX' '-a aXXX' \
		'--by-name aXXX' '--process 1 aXXX' '--command x aXXX' '--key k aXXX' '--nonsense' '--call ../x aXXX' '--call=a/b aXXX'; do
		if [ -n "$line" ]; then
			# shellcheck disable=SC2086
			expect 2 dpl-temp make $line
		else
			expect 2 dpl-temp make ''
		fi
		refused dpl-temp
	done
	expect 2 dpl-temp make foo.XXX.txt
	refused dpl-temp "'foo.XXX.txt' does not end in XXX" --suffix
	expect 2 dpl-temp make $'\xff\xfeXXX'
	refused dpl-temp UTF-8
	expect 2 dpl-temp make "$(printf '%0300d' 0)XXX"
	refused dpl-temp 'too long'
	expect 2 dpl-temp make "$(printf '%05000d' 0)/XXX"
	refused dpl-temp
	expect 2 dpl-temp make --json foo
	json_error bad-usage
	rm -f out err
	is "$(names .)" "$before"
	is "$(events)" ''
}

@test "make: where nothing can be made" {
	touch file
	for line in nowhere/aXXX file/aXXX '--tmpdir nowhere' '--tmpdir=file aXXX'; do
		# shellcheck disable=SC2086
		expect 3 dpl-temp make $line
		refused dpl-temp
	done
	TMPDIR=$here/nowhere expect 3 dpl-temp make --json
	json_error no-such-file
	ln -s loop loop
	expect 2 dpl-temp make loop/aXXX
	refused dpl-temp loop
	# Where it would never be removed, it is not made.
	for folder in "${ledgers[@]}" /proc /proc/self /sys /dev; do
		expect 8 dpl-temp make --tmpdir "$folder"
		refused dpl-temp
	done
	expect 8 dpl-temp make --json --tmpdir /proc
	json_error protected-path
	is "$(events)" ''
}

@test "make: a name that is taken is not taken again" {
	need_strace
	expect 0 strace -qq -o trace -e trace=mkdirat -e inject=mkdirat:error=EEXIST:when=1..2 dpl-temp make -d xXXX
	is "$(grep -c INJECTED trace)" 2
	is "$(events)" 'resource.added resource.removed resource.added resource.removed resource.added resource.made'
	is "$(dpl-temp list --all --json | jq -c '[.resources[] | .result]')" '["gone","gone",null]'
	made=$output
	is "$(registered)" "$made"
	[ -d "$made" ]
	expect 9 strace -qq -o trace -e trace=mkdirat -e inject=mkdirat:error=EEXIST dpl-temp make -d xXXX
	refused dpl-temp 'all of 100 names are taken'
	is "$(grep -c INJECTED trace)" 100
	is "$(registered)" "$made"
	# One that is there is seen before it is registered.
	[ -z "${SANITIZED:-}" ] || return 0 # the loader asks that way, too
	before=$(events)
	expect 9 strace -qq -o trace -e trace=newfstatat,fstatat64 -e inject=newfstatat,fstatat64:retval=0 dpl-temp make xXXX
	refused dpl-temp 'all of 100 names are taken'
	is "$(events)" "$before"
}

@test "make: what cannot be made is forgotten" {
	need_strace
	expect 9 strace -qq -o trace -e trace=mkdirat -e inject=mkdirat:error=ENOSPC dpl-temp make -d xXXX
	refused dpl-temp "make $here/x" 'No space left'
	expect 9 strace -qq -o trace -e trace=mkdirat -e inject=mkdirat:error=EIO dpl-temp make -d --json xXXX
	json_error io-error
	expect 8 strace -qq -o trace -e trace=mkdirat -e inject=mkdirat:error=EACCES dpl-temp make -d xXXX
	refused dpl-temp 'Permission denied'
	expect 8 strace -qq -o trace -e trace=mkdirat -e inject=mkdirat:error=EROFS dpl-temp make -d xXXX
	is "$(registered)" ''
	is "$(find . -name 'x*')" ''
	is "$(dpl-temp list --all --json | jq -c '[.resources[] | .result]')" '["gone","gone","gone","gone"]'
}

@test "make: what is made when its operation has ended, and nobody waits for it any more, does not stay, nor does its registration" {
	need_strace
	[ -z "${SANITIZED:-}" ] || skip 'strace and the sanitizers'
	dpl-temp remove -q "$(dpl-temp make)" # what it makes for itself, it makes once
	in_background strace -qq -o /dev/null -e trace=mkdirat -e inject=mkdirat:delay_enter=5000000 dpl-temp make -d xXXX 2>late
	wait_for '[ "$(registered)" ]'
	expect 0 dpl-complete
	has "$stderr" 'is just making it'
	[ -e "$ledger/$op" ]
	ended "$pid"
	is "$status" 6
	has "$(<late)" ' has ended (completed)'
	lacks "$(<late)" registered
	is "$(find . -name 'x*')" ''
	[ ! -e "$ledger/$op" ]
	is "$(last_entry "$op" .event)" operation.archived
	is "$(jq -r 'select(.event == "resource.removed" and .resourceId == 2) | .result' <(journal_text "$op"))" gone
}

@test "make: what cannot be recorded is taken away again" {
	local_only "system calls of one process"
	need_strace
	# The second entry cannot be written, the third can.
	expect 9 strace -qq -o trace -e trace=write -P "$(journal "$op")" -e inject=write:error=EIO:when=2 dpl-temp make xXXX
	grep -q INJECTED trace
	refused dpl-temp journal.jsonl
	is "$(find . -name 'x*')" ''
	is "$(registered)" ''
	# Nor the third: it says what stays.
	expect 9 strace -qq -o trace -e trace=write -P "$(journal "$op")" -e inject=write:error=EIO:when=2+ dpl-temp make -d xXXX
	refused dpl-temp 'stays registered as resource 2'
	is "$(find . -name 'x*')" ''
	[[ $(registered) == "$here"/x??? ]]
	expect 0 dpl-temp remove 2
	is "$(entry .result)" gone
	# Nor the first: nothing was begun.
	before=$(sum)
	expect 9 strace -qq -o trace -e trace=write -P "$(journal "$op")" -e inject=write:error=EIO:when=1 dpl-temp make xXXX
	is "$(find . -name 'x*')" ''
	is "$(sum | tail -n 1)" "$(tail -n 1 <<<"$before")"
}

@test "make: kill -9 at any moment leaves no file that is not registered" {
	local_only "system calls of one process"
	command -v "$BUILD/tools/faultat" >/dev/null || skip 'faultat is not built (make test-tools)'
	faultat=$BUILD/tools/faultat
	[ -z "${SANITIZED:-}" ] || export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
	"$faultat" -l calls true >/dev/null 2>&1 || skip 'ptrace is not allowed here'
	export DPL_SYNC=on
	"$faultat" -l calls dpl-temp make killed.XXXXXX 2>err 3>&- >out
	all=$((2 * $(wc -l <calls) - 2))
	[ "$all" -gt 50 ]
	dpl-temp remove -a
	step=1
	[ -z "${SANITIZED:-}" ] || step=7
	found=''
	for ((stop = 1; stop <= all; stop += step)); do
		status=0
		"$faultat" -k "$stop" dpl-temp make killed.XXXXXX >out 2>err 3>&- || status=$?
		[ "$status" -eq 137 ] || { echo "stop $stop of $all gave $status"; return 1; }
		there=$(find "$here" -name 'killed.*')
		case $there/$(registered) in
		/) found+=nothing ;;                        # neither
		/"$here"/killed.*) found+=' registered ' ;; # registered, not yet made
		"$there/$there") found+=' made ' ;;
		*) echo "at stop $stop of $all: '$there', registered: $(registered)"; return 1 ;;
		esac
		# Whoever comes next can remove it, and does not need its identity.
		[ -z "$(registered)" ] || dpl-temp remove "$(registered)" || { echo "after stop $stop of $all"; return 1; }
		is "$(find "$here" -name 'killed.*')$(registered)" ''
	done
	has "$found" nothing ' registered ' ' made '
	whole "$op"
}

@test "make: a standard output that is full is no success, and what was made is registered" {
	expect 9 sh -c 'dpl-temp make xXXX >/dev/full'
	is "$(registered)" "$(find "$here" -name 'x*')"
}

@test "many at once: each its own" {
	local pids=()
	for i in 1 2 3 4 5 6 7 8; do
		in_background sh -c 'for i in 1 2 3 4 5; do dpl-temp make xXXXXX || exit; done' >"made.$i"
		pids+=("$pid")
	done
	for i in "${pids[@]}"; do
		ended "$i"
		is "$status" 0
	done
	whole "$op"
	is "$(cat made.* | sort -u | wc -l)" 40
	is "$(cat made.* | sort)" "$(registered | sort)"
	while IFS= read -r file; do [ -f "$file" ]; done < <(cat made.*)
	is "$(dpl-temp list --json | jq -c '[.resources[].resourceId] == [range(1; 41)]')" true
}

# --- add ---

@test "add: what stands there, and its number" {
	touch file
	mkdir folder
	ln -s nowhere link
	mkfifo fifo
	expect 0 dpl-temp add "$here/file" "$here/folder" "$here/link" "$here/fifo"
	is "$output" $'1\n2\n3\n4'
	is "$stderr" ''
	is "$(jq -c 'select(.event == "resource.added") | [.resourceId, .path, .type, .device, .inode, has("made"), has("byName")]' <(journal_text "$op"))" \
		"$(n=0; for f in file:file folder:folder link:link fifo:other; do n=$((n + 1)); stat -c "[$n,\"$here/${f%:*}\",\"${f#*:}\",%d,%i,false,false]" "${f%:*}"; done)"
	expect 0 dpl-temp list
	is "$(wc -l <out)" 4
	has "$output" '1  added  path  me  ' "$here/fifo"
}

@test "add: names of any bytes that are text" {
	files=($'a b' $'n\nl' $'\t' $'\e[2J' '"\' "'" '*' '$(x)' é 🙂 -rf --help $'\u202e' %s%n)
	for f in "${files[@]}"; do
		touch -- "$f"
		expect 0 dpl-temp add "$here/$f"
		is "$(entry .path)" "$here/$f"
		is "$(entry .inode)" "$(stat -c %i -- "$f")"
	done
	expect 0 dpl-temp list
	is "$(wc -l <out)" "${#files[@]}"
	plain
	expect 0 dpl-temp list -q
	is "$(wc -l <out)" "${#files[@]}"
	plain
	expect 0 dpl-temp list --json
	is "$(json '.resources[].path')" "$(printf "$here/%s\n" "${files[@]}")"
	expect 0 dpl-show
	plain
	expect 0 dpl-show --trail
	plain
	for f in "${files[@]}"; do
		expect 0 dpl-temp remove "$here/$f"
		[ ! -e "$f" ]
	done
	is "$(registered)" ''
}

@test "add: again by the same is the same; what took its place is meant then" {
	touch a
	expect 0 dpl-temp add "$here/a"
	is "$output" 1
	expect 0 dpl-temp add "$here/a"
	is "$output" 1
	is "$(events)" resource.added
	expect 0 dpl-temp add --json "$here/a"
	holds '.ok and .already and .resourceId == 1 and (.addedAt | endswith("Z"))'
	touch b
	mv b a
	expect 0 dpl-temp add "$here/a"
	is "$output" 1
	is "$(events)" 'resource.added resource.made'
	is "$(entry '[.resourceId, .inode] | @csv')" "1,$(stat -c %i a)"
	expect 0 dpl-temp add "$here/a"
	is "$(events)" 'resource.added resource.made'
	expect 0 dpl-temp remove "$here/a"
	[ ! -e a ]
	# It is no more: a new one.
	touch a
	expect 0 dpl-temp add "$here/a"
	is "$output" 2
}

@test "add: what another registered, or the same for another owner" {
	touch a
	dpl-join -qp worker
	dpl-temp add -q -p worker "$here/a"
	expect 6 dpl-temp add "$here/a"
	refused dpl-temp "$here/a is registered in $op by worker (resource 1)"
	expect 6 dpl-temp add --json "$here/a"
	json_error registered
	holds '.error.next == ["dpl-temp", "list", "--all", "--operation", $op]' --arg op "$op"
	touch b
	call=$(dpl-call start)
	DPL_CALL=$call expect 0 dpl-temp add "$here/b"
	DPL_CALL=$call expect 0 dpl-temp add "$here/b"
	expect 6 dpl-temp add "$here/b"
	refused dpl-temp 'by me, for another call (resource 2)' 'remove --keep'
	expect 6 dpl-temp add --call "$(dpl-call start)" "$here/b"
	touch c
	dpl-temp add -q "$here/c"
	expect 6 dpl-temp add --by-name "$here/c"
	refused dpl-temp --by-name 'resource 3'
	expect 0 dpl-temp remove --keep "$here/c"
	expect 0 dpl-temp add --by-name "$here/c"
	# In another operation it is another's affair.
	expect 0 dpl-temp add -o "$(dpl-create)" "$here/a"
}

@test "add: who comes first has it" {
	touch a
	dpl-join -qp worker
	for i in 1 2 3 4 5; do
		in_background dpl-temp add "$here/a" >mine 2>&1
		one=$pid
		in_background dpl-temp add -p worker "$here/a" >theirs 2>&1
		two=$pid
		ended "$one"
		first=$status
		ended "$two"
		case $first/$status in
		0/6) winner=me ;;
		6/0) winner=worker ;;
		*) echo "both: $first/$status"; return 1 ;;
		esac
		has "$(cat mine theirs)" "by $winner (resource $i)"
		dpl-temp remove --keep -p "$winner" "$here/a"
	done
	for i in 1 2 3 4 5 6; do
		in_background dpl-temp add "$here/a" >"n.$i"
	done
	wait_for '[ "$(cat n.* | wc -l)" -eq 6 ]'
	is "$(cat n.* | sort -u)" 6
}

@test "add: paths that are not as they must be" {
	mkdir -p real/sub
	touch real/file
	ln -s real link
	for path in real/file ./real ../x . .. '' real/.. "$here/." "$here/real/../real/file" "$here//real/file" "$here/./real" "$here/real/" "$here/link/file" \
		"$here/link/" "$here/link/sub/../file"; do
		expect 2 dpl-temp add "$path"
		refused dpl-temp
	done
	expect 2 dpl-temp add real/file
	refused dpl-temp "'real/file' is relative; its real path is $here/real/file"
	expect 2 dpl-temp add "$here/link/file"
	refused dpl-temp link "its real path is $here/real/file"
	expect 2 dpl-temp add "$here/real/sub/../file"
	refused dpl-temp "its real path is $here/real/file"
	expect 2 dpl-temp add --json link
	json_error bad-usage
	is "$(json .error.hint)" "its real path is $here/link"
	expect 2 dpl-temp add "$here/$(printf '%05000d' 0)"
	refused dpl-temp
	expect 2 dpl-temp add "$here/$(printf '%0256d' 0)"
	refused dpl-temp 'holds a name that is too long'
	expect 2 dpl-temp add --by-name "$here/$(printf '%0256d' 0)"
	touch $'\xff'
	expect 2 dpl-temp add "$here"/$'\xff'
	refused dpl-temp UTF-8
	# The link itself is a thing as any other.
	expect 0 dpl-temp add "$here/link"
	is "$(entry .type)" link
	is "$(events)" resource.added
}

@test "add: what is not there" {
	touch file
	expect 3 dpl-temp add "$here/nowhere"
	refused dpl-temp "$here/nowhere" --by-name
	expect 3 dpl-temp add "$here/file/x"
	refused dpl-temp "$here/file/x"
	expect 3 dpl-temp add --json "$here/no/where"
	json_error no-such-file
	is "$(events)" ''
	expect 0 dpl-temp add --by-name "$here/nowhere" "$here/file"
	is "$(jq -c 'select(.event == "resource.added") | [.byName, has("inode")]' <(journal_text "$op"))" $'[true,false]\n[true,true]'
	# All are looked at before one is registered.
	expect 3 dpl-temp add "$here/err" "$here/missing" "$here/out"
	expect 2 dpl-temp add "$here/err" relative
	is "$(registered)" "$(printf '%s\n' "$here/nowhere" "$here/file")"
}

@test "add: what is never removed" {
	mkdir -p home/me
	[ -n "${BACKEND:-}" ] || ledgers+=("$here" "${here%/*}" "$ledger/$op/journal.jsonl")
	for path in / "${ledgers[@]}" /proc /proc/1 /sys /sys/kernel /dev /dev/null /tmp /root /home /usr; do
		[ -e "$path" ] || continue
		case $path in
		/usr | /home | /root) [ "$path" = /root ] && [ "$HOME" = /root ] || continue ;;
		esac
		expect 8 dpl-temp add "$path"
		refused dpl-temp "$path"
		expect 8 dpl-temp add --by-name "$path"
	done
	HOME=$here/home/me expect 8 dpl-temp add "$here/home/me"
	HOME=$here/home/me expect 8 dpl-temp add "$here/home"
	expect 8 dpl-temp add --json /
	json_error protected-path
	touch b
	expect 8 dpl-temp add "$here/b" /
	is "$(events)" ''
	HOME=$here/home/me expect 0 dpl-temp add "$here/b"
}

@test "add --process" {
	sleep 100 3>&- &
	pid=$!
	background+=("$pid")
	expect 0 dpl-temp add --process "$pid"
	is "$output" 1
	is "$(entry '[.kind, .pid, .pidStart, .pidNs] | @csv')" "\"process\",$pid,$(awk '{ print $22 }' "/proc/$pid/stat"),$(stat -Lc %i /proc/self/ns/pid)"
	expect 0 dpl-temp add --process "$pid"
	is "$output" 1
	dpl-join -qp worker
	expect 6 dpl-temp add -p worker --process "$pid"
	refused dpl-temp "process $pid is registered in $op by me (resource 1)"
	expect 0 dpl-temp list -q
	is "$output" "$pid"
	expect 0 dpl-temp list
	has "$output" 'added  process  me' "$pid"
	for bad in 0 -1 x '' 1.5 4294967296 "$pid x"; do
		expect 2 dpl-temp add --process "$bad"
		refused dpl-temp --process
	done
	expect 8 dpl-temp add --process 1
	refused dpl-temp 'process 1'
	expect 3 dpl-temp add --process 4194304
	refused dpl-temp 4194304
	expect 3 dpl-temp add --json --process 4194304
	json_error process-not-found
	expect 0 dpl-temp remove 1
	is "$(entry '[.result, .pid] | @csv')" "\"removed\",$pid"
	wait_for 'gone "$pid"'
	sleep 100 3>&- &
	pid=$!
	background+=("$pid")
	dpl-temp add -q --process "$pid"
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null || :
	expect 0 dpl-temp remove 2
	is "$(entry .result)" gone
}

@test "add --process: another user's is refused" {
	public_folder
	sleep 100 3>&- &
	pid=$!
	background+=("$pid")
	cp "$BUILD/bin/dpl-create" "$BUILD/bin/dpl-temp" "$public"
	other=$(DPL_LEDGER=$public/ledger as_other "$public/dpl-create")
	DPL_LEDGER=$public/ledger expect 8 as_other "$public/dpl-temp" add -o "$other" --process "$pid"
	refused dpl-temp "another user's"
}

@test "add --command" {
	mkdir 'work here'
	cd 'work here'
	expect 0 dpl-temp add --command $'echo "a  b" >../said; pwd >>../said'
	cd ..
	is "$output" 1
	is "$(entry '[.kind, .command, .folder] | @csv')" "\"command\",\"echo \"\"a  b\"\" >../said; pwd >>../said\",\"$here/work here\""
	expect 0 dpl-temp list -q
	is "$output" 'echo "a  b" >../said; pwd >>../said'
	expect 0 dpl-temp remove 1
	is "$(<said)" $'a  b\n'"$here/work here"
	is "$(entry '[.result, (.command | length)] | @csv')" '"removed",35'
	# The same again is the same, elsewhere it is another, and for another too.
	expect 0 dpl-temp add --command true
	expect 0 dpl-temp add --command true
	is "$output" 2
	cd 'work here'
	expect 0 dpl-temp add --command true
	is "$output" 3
	dpl-join -qp worker
	expect 0 dpl-temp add -p worker --command true
	is "$output" 4
	expect 2 dpl-temp add --command ''
	refused dpl-temp --command
	expect 2 dpl-temp add --command $'\xff'
	refused dpl-temp UTF-8
	expect 2 dpl-temp add --command "$(head -c 70000 /dev/zero | tr '\0' x)"
	refused dpl-temp 'longer than 65536'
	expect 2 dpl-temp add --command "$(head -c 65500 /dev/zero | tr '\0' x)"
	refused dpl-temp
	rmdir "$PWD"
	expect 9 dpl-temp add --command false
	refused dpl-temp 'working folder'
}

@test "add: options that do not go together" {
	touch a
	for line in '' "--process 1 $here/a" "--command x $here/a" '--process 1 --command x' '--by-name' '--by-name --command x' '-d /x' "-a $here/a" "--keep $here/a" \
		"--suffix x $here/a" "--tmpdir x $here/a" "--by me $here/a" "--key k $here/a $here/b" "--call ../x $here/a" "--key ../k $here/a"; do
		# shellcheck disable=SC2086
		expect 2 dpl-temp add $line
		refused dpl-temp
	done
	is "$(events)" ''
}

@test "add --key: carried out once" {
	touch a b
	expect 0 dpl-temp add --key k "$here/a"
	expect 0 dpl-temp remove --keep 1
	expect 0 dpl-temp add --key k "$here/a"
	is "$output" 1
	expect 0 dpl-temp add --json --key k "$here/a"
	holds '.replayed and .resourceId == 1'
	expect 6 dpl-temp add --key k "$here/b"
	refused dpl-temp k
	is "$(registered)" ''
	expect 0 dpl-temp add --key c --command true
	expect 0 dpl-temp add --key c --command true
	is "$output" 2
}

@test "add --key: the first answer each time, whatever has become of the thing and the operation since" {
	touch a b c
	mkdir folder
	touch folder/d
	in_background sleep 60
	expect 0 dpl-temp add --key a "$here/a"
	expect 0 dpl-temp add --key b "$here/b"
	expect 0 dpl-temp add --key c "$here/c"
	expect 0 dpl-temp add --key d "$here/folder/d"
	expect 0 dpl-temp add --key p --process "$pid"
	# again NUMBER KEY THING ...: it is answered by that number.
	again() {
		expect 0 dpl-temp add -o "$op" --json --key "$2" "${@:3}"
		holds '.replayed and .resourceId == $n' --argjson n "$1"
	}
	all_again() {
		again 1 a "$here/a"
		again 2 b "$here/b"
		again 3 c "$here/c"
		again 4 d "$here/folder/d"
		again 5 p --process "$pid"
	}
	all_again
	dpl-temp remove "$here/a"
	rm b c
	mkdir c
	mv folder moved
	ln -s moved folder
	kill "$pid"
	ended "$pid"
	all_again
	# What it has not done is not done now.
	expect 3 dpl-temp add --key other "$here/a"
	refused dpl-temp "$here/a" --by-name
	expect 3 dpl-temp add --key other --process "$pid"
	refused dpl-temp "there is no process $pid"
	expect 6 dpl-temp add --key a "$here/b"
	refused dpl-temp 'key a was used for another request'
	is "$(entries "$op" | grep -c resource.added)" 5
	dpl-complete -q
	all_again
}

@test "requests: what is only a repetition is answered by its key, and never carried out" {
	by_owner
	expect 0 dpl-batch < <(printf '{"path":"/temp/add","key":"%s","body":{"operationId":"%s","participantId":"me","kind":"path","path":"/x/y"%s}}\n' \
		k "$op" ',"type":"file","device":1,"inode":2' k "$op" ',"repeat":true' k2 "$op" ',"repeat":true')
	is "$(json '[.status, .body.resourceId // .body.code] | join(" ")')" $'200 1\n200 1\n404 no-such-resource'
	# The helper gives each a key.
	by_server || {
		batch /temp/add ',"kind":"path","path":"/x/y","repeat":true'
		code bad-request
	}
	is "$(events)" resource.added
}

# --- whose it is ---

@test "the owner is the call in DPL_CALL, --call, else the participant" {
	touch a b c d
	call=$(dpl-call start)
	other=$(dpl-call start)
	DPL_CALL=$call expect 0 dpl-temp add "$here/a"
	is "$(entry '[.by, .callId] | @csv')" "\"me\",\"$call\""
	DPL_CALL=$call expect 0 dpl-temp add --call "$other" "$here/b"
	is "$(entry .callId)" "$other"
	DPL_CALL='' expect 0 dpl-temp add "$here/c"
	is "$(entry 'has("callId")')" false
	DPL_CALL=$call expect 0 dpl-temp make xXXX
	is "$(dpl-temp list --json | jq -r '.resources[3].callId')" "$call"
	# A call of another operation is none of this.
	DPL_CALL=$call expect 0 dpl-temp add -o "$(dpl-create)" "$here/d"
	DPL_CALL=../x expect 2 dpl-temp add "$here/d"
	refused dpl-temp DPL_CALL ../x
	expect 0 dpl-temp list
	has "$output" "$call" "$other"
	expect 0 dpl-temp list -q --call "$other"
	is "$output" "$here/b"
	expect 3 dpl-temp list --call nope
	refused dpl-temp nope
	expect 3 dpl-temp add --call nope "$here/d"
	refused dpl-temp 'no call nope runs'
	expect 3 dpl-temp make --json --call nope xXXX
	json_error call-not-found
	dpl-temp remove --keep "$here/b"
	dpl-call end "$other"
	expect 3 dpl-temp add --call "$other" "$here/d"
	refused dpl-temp "no call $other runs"
}

@test "what a call, a participant and the operation have goes with them" {
	dpl-join -qp worker
	call=$(dpl-call start)
	mine=$(dpl-temp make xXXX)
	theirs=$(dpl-temp make -p worker xXXX)
	calls=$(DPL_CALL=$call dpl-temp make -d xXXX)
	touch "$calls/a"
	dpl-call start -q --id second
	DPL_CALL=second dpl-temp add -q --command 'echo "$DPL_CALL" >>said'
	dpl-call end "$call"
	[ ! -e "$calls" ]
	is "$(registered)" "$(printf '%s\n' "$mine" "$theirs" 'echo "$DPL_CALL" >>said')"
	dpl-call fail -m x second
	is "$(<said)" second
	dpl-leave -qp worker
	[ ! -e "$theirs" ]
	is "$(registered)" "$mine"
	file=$(dpl-call -- dpl-temp make xXXX)
	[[ $file == "$here"/x??? ]] && [ ! -e "$file" ]
	dpl-complete -q
	[ ! -e "$mine" ]
	is "$(dpl-temp list --all --json | jq -c '[.resources[].result] | unique')" '["removed"]'
}

@test "who does not take part registers nothing" {
	touch a
	expect 3 dpl-temp add -p worker "$here/a"
	refused dpl-temp "worker has not joined $op" 'dpl-join'
	expect 3 dpl-temp make --json -p worker xXXX
	json_error participant-not-found
	dpl-join -qp worker
	append crash.detected ',"participantId":"worker","evidence":"it was killed"'
	expect 5 dpl-temp make -p worker xXXX
	refused dpl-temp 'worker was declared dead' 'it was killed'
	expect 5 dpl-temp add --json -p worker "$here/a"
	json_error participant-dead
	is "$(find . -name 'x*')" ''
	is "$(events)" ''
}

@test "aborted: goes on; in a cleanup: 5; ended: 6; no operation: 3" {
	touch a
	dpl-abort -q -m x
	expect 0 dpl-temp make xXXX
	expect 0 dpl-temp add "$here/a"
	expect 0 dpl-temp remove "$output"
	[ ! -e a ]
	ended=$(dpl-create)
	dpl-complete -q -o "$ended"
	expect 6 dpl-temp make -o "$ended" xXXX
	refused dpl-temp "$ended has ended"
	expect 6 dpl-temp add --json -o "$ended" "$here/err"
	json_error operation-ended
	expect 6 dpl-temp remove -o "$ended" 1
	expect 0 dpl-temp list -o "$ended"
	silent
	expect 3 dpl-temp make -o nonesuch xXXX
	refused dpl-temp nonesuch
	expect 3 dpl-temp list -o nonesuch --json
	json_error operation-not-found
	unset DPL_OPERATION
	for verb in 'make xXXX' "add $here/err" 'remove 1' list; do
		# shellcheck disable=SC2086
		expect 2 dpl-temp $verb
		refused dpl-temp -o DPL_OPERATION
	done
	expect 3 dpl-temp make -C "$here/none" -o "$op" xXXX
	refused dpl-temp
	is "$(find . -name 'x*' | wc -l)" 1
}

@test "nothing is registered in an operation that is being cleaned up" {
	by_owner
	append cleanup.started ',"epoch":1,"reason":"w died"'
	touch a
	before=$(events)
	batch /temp/add ',"kind":"path","path":"/x/y","byName":true'
	code operation-failed
	is "$(events)" "$before"
}

# --- remove ---

@test "remove: by path, by number; newest first with --all" {
	touch a
	mkdir -p b/c
	touch b/c/d
	dpl-temp add -q "$here/a" "$here/b"
	expect 0 dpl-temp remove "$here/a"
	silent
	[ ! -e a ]
	is "$(entry '[.by, .resourceId, .path, .result] | @csv')" "\"me\",1,\"$here/a\",\"removed\""
	expect 0 dpl-temp remove --json 2
	holds '.ok and .resourceId == 2 and .result == "removed"'
	[ ! -e b ]
	for i in 1 2 3; do dpl-temp make -q xXXX; done
	expect 0 dpl-temp remove --all
	silent
	is "$(jq -c 'select(.event == "resource.removed") | .resourceId' <(journal_text "$op") | paste -sd ' ')" '1 2 5 4 3'
	is "$(find . -name 'x*')" ''
	expect 0 dpl-temp remove -a
	silent
	expect 0 dpl-temp remove -a --json
	silent
}

@test "remove: several, each is tried, the first error decides" {
	touch a b c
	dpl-join -qp worker
	dpl-temp add -q "$here/a" "$here/b"
	dpl-temp add -qp worker "$here/c"
	expect 3 dpl-temp remove "$here/a" "$here/nowhere" "$here/c" 99 "$here/b"
	is "$(wc -l <err)" 3
	has "$stderr" "$here/nowhere is not registered" "resource 3 of $op is registered by worker" 'no resource 99'
	[ ! -e a ] && [ ! -e b ] && [ -e c ]
	expect 6 dpl-temp remove --json "$here/c" 99
	is "$(json .error.code)" $'registered\nno-such-resource'
	expect 3 dpl-temp remove --json "$here/a"
	json_error no-such-resource
	expect 0 dpl-temp remove -p worker 3
	[ ! -e c ]
}

@test "remove: what is gone, replaced, or cannot be removed" {
	touch a b
	dpl-temp add -q "$here/a" "$here/b"
	rm a
	expect 0 dpl-temp remove "$here/a"
	silent
	is "$(entry .result)" gone
	echo other >new
	mv new b
	expect 1 dpl-temp remove "$here/b"
	refused dpl-temp "$here/b was left alone: "
	is "$(<b)" other
	is "$(entry .result)" left
	# It is final.
	expect 3 dpl-temp remove "$here/b"
	dpl-temp add -q "$here/b"
	echo another >new
	mv new b
	expect 1 dpl-temp remove --json "$here/b"
	holds '.ok and .result == "left" and (.reason | length > 0)'
	# With --by-name the newer one is it.
	dpl-temp add -q --by-name "$here/b"
	echo third >new
	mv new b
	expect 0 dpl-temp remove "$here/b"
	[ ! -e b ]
	is "$(dpl-temp list --all | awk '{ print $2 }' | paste -sd ' ')" 'gone left left removed'
}

@test "remove: what fails is tried again" {
	command -v chattr >/dev/null || skip 'no chattr'
	touch a
	chattr +i a 2>/dev/null || skip 'chattr does not work here'
	dpl-temp add -q "$here/a"
	expect 9 dpl-temp remove "$here/a" || { chattr -i a; return 1; }
	chattr -i a
	refused dpl-temp "$here/a could not be removed: "
	expect 0 dpl-temp list
	has "$output" 'failed  path' "$here/a: "
	is "$(registered)" "$here/a"
	expect 0 dpl-temp remove 1
	[ ! -e a ]
	is "$(jq -r 'select(.event == "resource.removed") | .result' <(journal_text "$op") | paste -sd ' ')" 'failed removed'
}

@test "remove --keep: forgotten, and it stays" {
	file=$(dpl-temp make xXXX)
	expect 0 dpl-temp remove --keep "$file"
	silent
	[ -f "$file" ]
	is "$(entry .result)" kept
	is "$(registered)" ''
	dpl-temp add -q --command 'touch ran'
	expect 0 dpl-temp remove --keep --all
	[ ! -e ran ]
	is "$(registered)" ''
}

@test "remove --all: what has the same owner" {
	call=$(dpl-call start)
	dpl-join -qp worker
	mine=$(dpl-temp make xXXX)
	theirs=$(dpl-temp make -p worker xXXX)
	calls=$(DPL_CALL=$call dpl-temp make xXXX)
	DPL_CALL=$call expect 0 dpl-temp remove --all
	is "$(registered)" "$mine"$'\n'"$theirs"
	[ ! -e "$calls" ]
	calls=$(dpl-temp make --call "$call" xXXX)
	expect 0 dpl-temp remove -a
	is "$(registered)" "$theirs"$'\n'"$calls"
	expect 0 dpl-temp remove --all --call "$call"
	is "$(registered)" "$theirs"
	[ -e "$theirs" ] && [ ! -e "$mine" ] && [ ! -e "$calls" ]
}

@test "remove --all: what another has removed meanwhile is gone all the same" {
	dpl-temp make -q xXXX
	dpl-temp add -q --command ': >running; while [ ! -e on ]; do sleep 0.01; done'
	in_background dpl-temp remove -a
	first=$pid
	wait_for '[ -e running ]'
	in_background dpl-temp remove -a >second.out 2>&1
	second=$pid
	# It has asked what there is, and waits for its turn.
	wait_for '[ "$(removers)" -ge 2 ]'
	: >on
	ended "$first"
	is "$status" 0
	ended "$second"
	is "$status" 0
	is "$(<second.out)" ''
	is "$(registered)" ''
	expect 3 dpl-temp remove 1
}

@test "remove: misuse" {
	touch a
	dpl-temp add -q "$here/a"
	for line in '' a ./a 0 -- '-a 1' '--call x 1' '--key k 1' '--by me 1' '--by-name 1' '-d 1' '--process 1' '--tmpdir x 1' 01x "$here/" "1 a" "$here//a"; do
		# shellcheck disable=SC2086
		expect 2 dpl-temp remove $line
		refused dpl-temp
	done
	expect 2 dpl-temp remove a
	refused dpl-temp "its real path is $here/a"
	expect 2 dpl-temp remove ''
	refused dpl-temp
	expect 2 dpl-temp remove 99999999999999999
	refused dpl-temp 'no whole number'
	expect 3 dpl-temp remove 9007199254740991
	is "$(events)" resource.added
	[ -e a ]
}

# --- list, and what others show ---

@test "list: what is registered, and with --all what is no more" {
	expect 0 dpl-temp list
	silent
	touch a b
	dpl-join -qp worker
	dpl-temp add -q "$here/a"
	dpl-temp add -qp worker "$here/b"
	dpl-temp make -q xXXX
	dpl-temp remove "$here/a"
	expect 0 dpl-temp list
	is "$(awk '{ print $1, $2, $3, $4 }' out)" $'2 added path worker\n3 made path me'
	expect 0 dpl-temp list --by worker
	is "$(awk '{ print $1, $NF }' out)" "2 $here/b"
	expect 0 dpl-temp list -aq --by me
	is "$(wc -l <out)" 2
	expect 0 dpl-temp list --all
	is "$(awk '{ print $1, $2 }' out)" $'1 removed\n2 added\n3 made'
	expect 0 dpl-temp list --all --json
	holds '.ok and .operationId == $op and (.resources | length == 3)
		and (.resources[0] | .result == "removed" and .kind == "path" and .participantId == "me" and .path == $a and (.endedAt | endswith("Z")))
		and (.resources[1] | has("result") == false and .state == "added" and .ageMs >= 0 and .host == $host and (.addedAt | endswith("Z")))' \
		--arg op "$op" --arg a "$here/a" --arg host "$(uname -n)"
	# Also of an operation that has ended.
	dpl-complete -q
	expect 0 dpl-temp list
	silent
	expect 0 dpl-temp list -aq
	is "$(wc -l <out)" 3
	for line in x '-p me' '-t 5s' '--keep' '--key k' '-d' '--by .' '--by -x' '--call ../x' '--process 1'; do
		# shellcheck disable=SC2086
		expect 2 dpl-temp list $line
		refused dpl-temp
	done
}

@test "the trail, the log, dpl-show and the heartbeat tell of them" {
	file=$(dpl-temp make xXXX)
	touch a b
	dpl-temp add -q "$here/a" "$here/b"
	dpl-temp add -q --command 'echo hi'
	expect 0 dpl-show
	has "$output" 'resources    4 registered' 'temp resources' "$file" 'echo hi'
	expect 0 dpl-show --json
	holds '.resourceCounts == {"registered":4,"removed":0,"gone":0,"left":0} and (.resources | length == 4) and .resources[0].path == $f' --arg f "$file"
	batch /operation/heartbeat ',"whole":true'
	holds '.body.tempResourceCount == 4'
	rm a b
	touch b
	dpl-temp remove -q "$file" "$here/a" 4
	dpl-temp remove -q "$here/b" || :
	batch /operation/heartbeat ',"whole":true'
	holds '.body.tempResourceCount == 0'
	append cleanup.started ',"epoch":1,"reason":"w died"'
	append cleanup.acknowledged ',"epoch":1,"participantId":"me"'
	append cleanup.done ',"epoch":1,"removed":2,"left":1'
	expect 0 dpl-show --trail --at "$(last_entry "$op" .seq)"
	has "$output" "registered $file (resource 1)" 'made the file (resource 1)' "registered file $here/a (resource 2)" 'registered the command echo hi (resource 4)' \
		"removed $file (resource 1)" "no longer there: $here/a (resource 2)" 'ran the command echo hi (resource 4)' 'began the cleanup (epoch 1): w died' \
		'answered the cleanup (epoch 1)' 'ended the cleanup (epoch 1): 2 removed, 1 left'
	expect 0 dpl-show --json --at 5
	holds '(.resources | length == 3) and .resourceCounts.registered == 3'
}

# --- raw requests ---

@test "requests: what is missing or wrong is refused, and nothing is written" {
	by_owner
	before=$(sum)
	local -A bad=()
	while IFS='|' read -r verb members want; do
		batch "/temp/$verb" "${members:+,$members}"
		holds '.body.code == $code' --arg code "$want" || { echo "$verb $members"; return 1; }
	done <<-'END'
		add||bad-request
		add|"kind":"file","path":"/x/y"|bad-request
		add|"kind":5,"path":"/x/y"|bad-request
		add|"kind":"a-kind-that-is-too-long","path":"/x/y"|bad-request
		add|"kind":"path"|bad-request
		add|"kind":"path","path":5|bad-request
		add|"kind":"path","path":""|bad-request
		add|"kind":"path","path":"x/y"|bad-request
		add|"kind":"path","path":"/x/../y"|bad-request
		add|"kind":"path","path":"/x/./y"|bad-request
		add|"kind":"path","path":"/x//y"|bad-request
		add|"kind":"path","path":"/x/"|bad-request
		add|"kind":"path","path":"/x\u0000y"|bad-request
		add|"kind":"path","path":"/x","type":"file"|bad-request
		add|"kind":"path","path":"/x","inode":5|bad-request
		add|"kind":"path","path":"/x","type":"file","device":1,"inode":-1|bad-request
		add|"kind":"path","path":"/x","type":"dir","device":1,"inode":1|bad-request
		add|"kind":"path","path":"/x","type":"file","device":1,"inode":1,"birth":"now"|bad-request
		add|"kind":"path","path":"/x","type":"file","device":1,"inode":1,"birth":"1."|bad-request
		add|"kind":"path","path":"/x","type":"file","device":1,"inode":1,"birth":"1.1234567890"|bad-request
		add|"kind":"path","path":"/x","birth":"1.1"|bad-request
		add|"kind":"path","path":"/x","made":true,"type":"file","device":1,"inode":1|bad-request
		add|"kind":"path","path":"/x","made":"yes"|bad-request
		add|"kind":"path","path":"/x","callId":"../x"|bad-id
		add|"kind":"path","path":"/x","callId":"nope"|call-not-found
		add|"kind":"path","path":"/x","host":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"|bad-request
		add|"kind":"path","path":"/x","mountNs":-1|bad-request
		add|"kind":"process","pid":0,"pidStart":1|bad-request
		add|"kind":"process","pid":5|bad-request
		add|"kind":"process","pidStart":5|bad-request
		add|"kind":"process","pid":5,"pidStart":5,"byName":true|bad-request
		add|"kind":"command"|bad-request
		add|"kind":"command","command":""|bad-request
		add|"kind":"command","command":"x","folder":"here"|bad-request
		add|"kind":"command","command":"x","made":true|bad-request
		made||bad-request
		made|"resourceId":1|bad-request
		made|"resourceId":0,"type":"file","device":1,"inode":1|bad-request
		made|"resourceId":1,"type":"file","device":1,"inode":1|no-such-resource
		remove||bad-request
		remove|"resourceId":1,"path":"/x"|bad-request
		remove|"path":"x"|bad-request
		remove|"path":"/x"|no-such-resource
		remove|"resourceId":1|no-such-resource
		remove|"resourceId":1,"keep":"yes"|bad-request
		list|"all":"yes"|bad-request
		list|"callId":"nope"|call-not-found
		list|"callId":"../x"|bad-id
	END
	is "$(sum | tail -n 1)" "$(tail -n 1 <<<"$before")"
}

@test "requests: made is for who registered it, and for a path" {
	dpl-join -qp worker
	dpl-temp add -qp worker --command true
	dpl-temp add -qp worker --by-name "$here/x"
	batch /temp/made ',"resourceId":2,"type":"file","device":1,"inode":1'
	code registered
	batch /temp/made ',"resourceId":1,"participantId":"worker","type":"file","device":1,"inode":1'
	[ "$(json .status)" -ne 200 ]
	expect 0 dpl-batch < <(printf '{"path":"/temp/made","body":{"operationId":"%s","participantId":"worker","resourceId":%d,"type":"file","device":1,"inode":1}}\n' "$op" 1 "$op" 2)
	is "$(json .status)" $'400\n200'
	# Who names nobody speaks for the operation.
	expect 0 dpl-batch < <(printf '{"path":"/temp/remove","body":{"operationId":"%s","resourceId":1,"keep":true}}\n' "$op")
	holds '.status == 200 and .body.result == "kept"'
	is "$(entry .by)" me
}

@test "requests: what is on another host is another thing, and is not removed here" {
	by_owner
	touch a
	dpl-temp add -q "$here/a"
	expect 0 dpl-batch < <(printf '{"path":"/temp/add","body":{"operationId":"%s","participantId":"me","kind":"path","path":"%s","host":"elsewhere"}}\n' "$op" "$here/a")
	holds '.status == 200 and .body.resourceId == 2'
	is "$(entry '[.host, has("machineId"), has("bootId")] | @csv')" '"elsewhere",false,false'
	expect 0 dpl-temp remove "$here/a"
	[ ! -e a ]
	touch a
	expect 3 dpl-temp remove "$here/a"
	dpl-temp remove -q 2 || :
	[ -e a ]
	expect 0 dpl-temp remove --keep 2
	[ -e a ]
}

@test "through a helper: the file is made here" {
	mkdir bin
	printf '#!/bin/sh\nexec dpl-batch -C "${1#test://}"\n' >bin/dpl-remote-test
	chmod +x bin/dpl-remote-test
	PATH=$here/bin:$PATH
	touch a
	export DPL_LEDGER=test://$ledger
	expect 0 dpl-temp make xXXX
	[ -f "$output" ]
	expect 0 dpl-temp add "$here/a"
	is "$output" 2
	expect 2 dpl-temp add a
	expect 8 dpl-temp add /
	expect 3 dpl-temp add "$here/nowhere"
	expect 0 dpl-temp list -q
	is "$(wc -l <out)" 2
	expect 0 dpl-temp remove --all
	is "$(find . -name 'x*' -o -name a)" ''
}

# --- disks ---

with_tmpfs() {
	[ "$(id -u)" -eq 0 ] || skip 'only root can mount'
	[ -z "${SANITIZED:-}" ] || skip 'slow, and the same code'
	mkdir disk
	mount -t tmpfs -o "$1" tmpfs disk 2>/dev/null || skip 'tmpfs cannot be mounted here'
}

teardown() {
	end_background
	cd /
	! mountpoint -q "$BATS_TEST_TMPDIR/disk" || umount -l "$BATS_TEST_TMPDIR/disk"
	[ -z "${public:-}" ] || rm -rf "$public"
}

@test "a full disk: nothing half registered, what is registered can be removed" {
	with_tmpfs size=1024k
	export DPL_LEDGER=$here/disk/ledger
	ledger=$DPL_LEDGER
	op=$(dpl-create)
	export DPL_OPERATION=$op
	touch a
	dpl-temp add -q "$here/a"
	dd if=/dev/zero of=disk/fill bs=4k 2>/dev/null || :
	for ((i = 0; i < 200; i++)); do
		dpl-temp make xXXXXX >out 2>err && continue
		break
	done
	is "$(names . | tr ' ' '\n' | grep -c '^x')" "$i"
	is "$(registered | wc -l)" $((i + 1))
	expect 9 dpl-temp make xXXXXX
	refused dpl-temp 'No space left'
	expect 9 dpl-temp add --json "$here/err"
	json_error disk-full
	is "$(names . | tr ' ' '\n' | grep -c '^x')" "$i"
	expect 0 dpl-temp remove "$here/a"
	[ ! -e a ]
	whole "$op"
}

@test "a folder without room: it is not made, and forgotten" {
	with_tmpfs nr_inodes=3
	touch disk/one
	touch disk/two 2>/dev/null || :
	expect 9 dpl-temp make --tmpdir disk
	refused dpl-temp "make $here/disk/tmp." 'No space left'
	is "$(registered)" ''
	is "$(entry .result)" gone
	mount -o remount,ro disk
	expect 8 dpl-temp make --tmpdir disk
	refused dpl-temp 'Read-only'
	is "$(registered)" ''
}

@test "a folder that is another user's" {
	public_folder
	cp "$BUILD/bin/dpl-create" "$BUILD/bin/dpl-temp" "$public"
	mkdir -m 755 "$public/closed"
	other=$(DPL_LEDGER=$public/ledger as_other "$public/dpl-create")
	export DPL_LEDGER=$public/ledger DPL_OPERATION=$other
	expect 8 as_other "$public/dpl-temp" make --tmpdir "$public/closed"
	refused dpl-temp 'Permission denied'
	expect 0 as_other "$public/dpl-temp" list
	silent
	# root acts as the owner of the ledger.
	expect 0 dpl-temp make --tmpdir "$public"
	is "$(stat -c %u "$output")" 54321
	expect 8 dpl-temp make --tmpdir "$public/closed"
	refused dpl-temp 'Permission denied'
	expect 0 dpl-temp remove -a
	is "$(find "$public" -mindepth 1 -name 'tmp.*')" ''
}

# --- the rest ---

@test "verbs there are none of; help" {
	expect 2 dpl-temp
	refused dpl-temp 'one of make, add, remove, list'
	expect 2 dpl-temp begin
	refused dpl-temp "'begin' is not one of make, add, remove, list"
	expect 2 dpl-temp --json begin
	json_error bad-usage
	expect 2 dpl-temp -q
	refused dpl-temp 'is needed'
	for line in --help -h 'make --help' 'add -h' 'remove -h' 'list --help'; do
		# shellcheck disable=SC2086
		expect 0 dpl-temp $line
		has "$output" 'usage: dpl-temp make'
	done
	expect 0 dpl-temp --version
	has "$output" 'dpl-temp (dpl)'
}

@test "500 registered: each is found, and it is quick" {
	by_owner
	for ((i = 0; i < 500; i++)); do
		printf '{"path":"/temp/add","body":{"operationId":"%s","participantId":"me","kind":"path","path":"%s/n%d","byName":true}}\n' "$op" "$here" "$i"
	done >requests
	dpl-batch <requests >replies
	is "$(grep -c '"status":200' replies)" 500
	dpl-batch <requests >again
	is "$(jq -c '[.body.resourceId, .body.already]' again)" "$(seq 500 | sed 's/.*/[&,true]/')"
	is "$(events | wc -w)" 500
	touch n250
	expect 0 dpl-temp remove "$here/n250"
	is "$(entry .resourceId)" 251
	expect 0 dpl-temp list -q
	is "$(wc -l <out)" 499
}

@test "list: an option that is given twice counts once, the last of two values" {
	dpl-temp add -q --command :
	expect 0 dpl-temp list -a -a --by nobody --by me
	has "$output" '1  added  command  me'
}
