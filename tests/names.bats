#!/usr/bin/env bats
# how an operation, a ledger and a participant are named: options, environment, defaults

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

# described ARGUMENT ...: the description of the operation that dpl-show finds.
described() {
	dpl-show --json "$@" | jq -r .description
}

@test "an operation by its full id and by any unique part" {
	a=$(dpl-create -p alice -d a)
	b=$(dpl-create -p bob -d b)
	for part in "$a" alice "${a##*-}" "Z-alice-${a##*-}" "${a#????}"; do
		is "$(described "$part")" a
		is "$(described -o "$part")" a
		is "$(DPL_OPERATION=$part described)" a
	done
	is "$(described bob)" b
	expect 0 dpl-log -o "${b##*-}" hello
	is "$(last_entry "$b" .message)" hello
}

@test "an ambiguous part: 2, with the candidates" {
	a=$(dpl-create)
	b=$(dpl-create)
	before=$(sum)
	expect 2 dpl-show -- -me-
	refused dpl-show "'-me-'" '2 operations' "$a" "$b"
	expect 2 dpl-log -o Z-me x
	refused dpl-log "$a" "$b"
	expect 2 dpl-complete --json -o Z-me
	json_error ambiguous-operation
	has "$(json .error.message)" "$a" "$b"
	holds '.error.next == ["dpl-show", "--all"]'
	is "$(sum)" "$before"
	for d in 1 2 3 4 5 6; do
		dpl-create -qd "$d"
	done
	expect 2 dpl-show Z-me
	refused dpl-show '8 operations' '…'
}

@test "a part that fits nothing: 3, and which there are" {
	mkdir "$ledger"
	expect 3 dpl-show nope
	refused dpl-show "'nope'" "no operation is live in $ledger"
	a=$(dpl-create)
	expect 3 dpl-show nope
	refused dpl-show "'nope'" "$a"
	b=$(dpl-create)
	expect 3 dpl-log -o nope x
	refused dpl-log "'nope'" '2 are live' "$b" dpl-show
	expect 3 dpl-log --json -o nope x
	json_error operation-not-found
	expect 3 dpl-show "${a%?}x"
	expect 3 dpl-show 20200101T000000.000Z-me-00000000
	refused dpl-show 20200101T000000.000Z-me-00000000
}

@test "readers look among live ones first, then among ended ones; changes only among live ones" {
	a=$(dpl-create -p alice -d ended)
	dpl-complete -qo "$a" -p alice
	is "$(described alice)" ended
	expect 6 dpl-log -o alice x
	refused dpl-log "$a" ended
	b=$(dpl-create -p alice -d live)
	is "$(described alice)" live
	expect 0 dpl-log -o alice x
	is "$(last_entry "$b" .message)" x
	is "$(described "$a")" ended
}

@test "@@ is the newest of all, @ the newest that I joined" {
	a=$(dpl-create -p alice -d a)
	b=$(dpl-create -p bob -d b)
	c=$(dpl-create -p bob -d c)
	is "$(described @@)" c
	is "$(described -p alice @)" a
	is "$(DPL_PARTICIPANT=bob described @)" c
	is "$(DPL_PARTICIPANT=bob DPL_OPERATION=@ described)" c
	dpl-join -qp alice -o "$b"
	is "$(described -p alice @)" b
	# Who has left has joined once.
	dpl-leave -p alice -o "$b"
	is "$(described -p alice @)" b
	expect 0 dpl-log -p alice -o @ hello
	is "$(last_entry "$b" .message)" hello
	expect 3 dpl-show -p carol @
	refused dpl-show 'carol has joined no operation' "$ledger"
	# Ended ones are found by readers, when no live one is there.
	dpl-complete -q -p bob -o "$c"
	is "$(described @@)" b
	dpl-complete -q -p bob -o "$b"
	dpl-complete -q -p alice -o "$a"
	is "$(described @@)" c
	is "$(described -p alice @)" b
	expect 3 dpl-log -o @@ x
	refused dpl-log 'no live operation'
	expect 3 dpl-log -o @ -p alice x
	refused dpl-log 'alice has joined no live operation'
	expect 3 dpl-log --json -o @@ x
	json_error operation-not-found
}

@test "no operation is named: 2, and how to name one" {
	mkdir "$ledger"
	for line in 'dpl-join' 'dpl-leave' 'dpl-complete' 'dpl-abort' 'dpl-abort --check' 'dpl-log x' 'dpl-log' 'dpl-call start' 'dpl-call end x' 'dpl-call list'; do
		# shellcheck disable=SC2086
		expect 2 $line
		refused "${line%% *}" 'no operation' -o DPL_OPERATION
		# shellcheck disable=SC2086
		DPL_OPERATION='' expect 2 $line --json
		json_error bad-usage
	done
}

# need_nothing_above NAME ...: skips the test where the folder of the tests itself has one of these above it.
need_nothing_above() {
	local up=$BATS_TEST_TMPDIR name
	while [ "$up" != / ]; do
		up=$(dirname "$up")
		for name; do
			[ ! -e "$up/$name" ] || skip "there is one in $up"
		done
	done
}

@test "option before environment before default" {
	a=$(dpl-create -d a)
	b=$(dpl-create -d b)
	is "$(DPL_OPERATION=$a described "$b")" b
	is "$(DPL_OPERATION=$a described -o "$b")" b
	is "$(DPL_OPERATION=$a dpl-show --json --at 1 | jq -r .description)" a
	# the ledger
	other=$(dpl-create -C other -d c)
	is "$(described -C other)" null
	is "$(described -C other "$other")" c
	is "$(DPL_LEDGER=other described "$other")" c
	is "$(DPL_LEDGER=nowhere described -C other "$other")" c
	# the participant
	DPL_PARTICIPANT=environment dpl-log -qo "$a" x
	is "$(last_entry "$a" .by)" environment
	DPL_PARTICIPANT=environment dpl-log -qo "$a" -p opt x
	is "$(last_entry "$a" .by)" opt
	DPL_PARTICIPANT='' dpl-log -qo "$a" x
	is "$(last_entry "$a" .by)" "$(id -un)"
	env -u DPL_PARTICIPANT dpl-log -qo "$a" x
	is "$(last_entry "$a" .by)" "$(id -un)"
	# the time
	DPL_TIMEOUT=nonsense expect 2 dpl-show
	refused dpl-show DPL_TIMEOUT "'nonsense'"
	DPL_TIMEOUT='' expect 0 dpl-show
	DPL_TIMEOUT=0.1 expect 124 dpl-log -f -o "$a"
}

@test "the default ledger: the nearest above, else beside .git, else here" {
	unset DPL_LEDGER
	need_nothing_above _ai/operation_ledger
	DPL_LEDGER='' expect 3 dpl-show
	refused dpl-show "$PWD/_ai/operation_ledger"
	mkdir -p repo/.git repo/src/deep
	cd repo/src/deep
	expect 3 dpl-show
	refused dpl-show "$BATS_TEST_TMPDIR/repo/_ai/operation_ledger"
	op=$(dpl-create)
	[ -d "$BATS_TEST_TMPDIR/repo/_ai/operation_ledger/$op" ]
	is "$(dpl-show -q)" "$op"
	cd "$BATS_TEST_TMPDIR/repo"
	is "$(dpl-show -q)" "$op"
	mkdir -p src/deep/_ai/operation_ledger
	cd src/deep
	is "$(dpl-show -q)" ''
	near=$(dpl-create)
	is "$(dpl-show -q)" "$near"
	DPL_SERVER="$PWD/none" expect 3 dpl-show -q -C auto
	cd "$BATS_TEST_TMPDIR/repo/src"
	is "$(dpl-show -q)" "$op"
	# A .git that is a file (a worktree) counts too.
	mkdir -p "$BATS_TEST_TMPDIR/tree/sub"
	echo 'gitdir: elsewhere' >"$BATS_TEST_TMPDIR/tree/.git"
	cd "$BATS_TEST_TMPDIR/tree/sub"
	eval "$(dpl-create --export)"
	is "$DPL_LEDGER" "$BATS_TEST_TMPDIR/tree/_ai/operation_ledger"
	is "$(stat -c %a "$DPL_LEDGER")" 700
}

@test "the default ledger is here where nothing is above" {
	unset DPL_LEDGER
	need_nothing_above .git _ai/operation_ledger
	mkdir lonely
	cd lonely
	dpl-create -q
	[ -d "$BATS_TEST_TMPDIR/lonely/_ai/operation_ledger/backup" ]
}

@test "names of participants: what is allowed" {
	op=$(dpl-create)
	for name in a worker-1 'a b' é 日本 🙂 "it's" 'a"b' 'a/b' '~' '$HOME' '$(touch x)' '*' '?' '[a' con x:y a.b ... _ "$(printf 'é%.0s' {1..32})" 'C:\x' '%s%n' '@' '@@' 100; do
		expect 0 dpl-join -o "$op" -p "$name"
		is "$(last_entry "$op" .by)" "$name"
		call=$(dpl-call start -o "$op" -p "$name")
		expect 0 dpl-call end -o "$op" -p "$name" "$call"
		expect 0 dpl-log -o "$op" --by "$name"
		expect 0 dpl-leave -o "$op" -p "$name"
		expect 0 dpl-create -p "$name"
		expect 0 dpl-show "$output"
	done
	[ ! -e x ]
	whole "$op"
}

@test "names of participants: NFC and NFD are two names" {
	op=$(dpl-create -p $'\u00e9')
	expect 6 dpl-complete -o "$op" -p $'e\u0301'
	expect 0 dpl-complete -o "$op" -p $'\u00e9'
}

@test "names of participants: what is not" {
	op=$(dpl-create)
	before=$(sum)
	for name in '' . .. -x ' a' 'a ' $'a\nb' $'a\tb' $'\e[2J' $'\x7f' $'\xc2\x9b' $'\xff' $'\xc0\xaf' $'\xed\xa0\x80' \
		$'a\u202eb' $'a\u200bb' $'\ufeffa' $'a\u2066b' $'a\u00adb' "$(printf 'x%.0s' {1..65})" "$(printf 'x%.0s' {1..5000})"; do
		expect 2 dpl-log -o "$op" -p "$name" x
		refused dpl-log -p
		expect 2 dpl-create --participant="$name"
		refused dpl-create -p
		expect 2 dpl-join -o "$op" --json -p "$name"
		json_error bad-usage
		no_controls
		[ -z "$name" ] && continue
		DPL_PARTICIPANT=$name expect 2 dpl-log -o "$op" x
		refused dpl-log DPL_PARTICIPANT
	done
	is "$(sum)" "$before"
}

@test "who I am where the user has no name" {
	public_folder
	unset DPL_PARTICIPANT
	expect 0 as_other dpl-create -C "$public/ledger"
	has "$output" -uid-54321-
}

@test "a ledger through a symbolic link, and one with odd characters" {
	mkdir real
	ln -s real link
	op=$(dpl-create -C link)
	[ -d "real/$op" ]
	is "$(dpl-show -C "$BATS_TEST_TMPDIR/link" -q)" "$op"
	odd=$'new\nline "q" \\ é $HOME `id` ;x'
	op=$(dpl-create -C "$odd")
	[ -d "$odd/$op" ]
	expect 0 dpl-log -C "$odd" -o "$op" -v x
	plain
	is "$(wc -l <err)" 1
	expect 3 dpl-show -C "$odd/none"
	refused dpl-show 'new\nline'
}

@test "a ledger path that is not UTF-8 works, and is named where there is no ledger" {
	local_only 'paths of folders'
	odd=$'not\xffutf-8'
	export DPL_LEDGER=$odd
	for line in dpl-show 'dpl-log x' 'dpl-call list' dpl-beat dpl-cleanup dpl-watch; do
		# shellcheck disable=SC2086
		expect 3 $line -o 20261122T143045.123Z-me-a1b2c3d4
		refused "${line%% *}" 'no ledger at' 'not\xffutf-8'
	done
	expect 125 dpl-call -o 20261122T143045.123Z-me-a1b2c3d4 -- touch ran
	refused dpl-call 'no ledger at' 'not\xffutf-8'
	expect 3 dpl-show --json
	json_error ledger-not-found
	holds '.error.message | contains("not\\xffutf-8")'
	without '\xff'
	expect 0 dpl-batch < <(echo '{"path":"/operation/list"}')
	holds '.status == 404 and (.body.error | contains("not\\xffutf-8"))'
	without '\xff'
	[ ! -e ran ]
	DPL_OPERATION=$(dpl-create)
	export DPL_OPERATION
	expect 0 dpl-call -- sh -c 'dpl-log "in $DPL_CALL"'
	expect 127 dpl-call --json -- $'none\xff'
	holds '.error.message | contains("none\\xff")'
	without '\xff'
	expect 0 dpl-complete
	# Where a long one is cut there may be half a character.
	long=$(printf 'é%.0s' {1..100})
	for pad in '' x; do
		expect 3 dpl-show -C "$PWD/$pad$long/$long/$long/$long"
		refused dpl-show 'no ledger at'
	done
}

@test "a ledger that is no folder: there is none" {
	local_only 'paths of folders'
	touch file
	export DPL_OPERATION=20261122T143045.123Z-me-a1b2c3d4
	for path in file file/in/it /dev/null; do
		for line in dpl-show 'dpl-log x' 'dpl-call list' dpl-beat 'dpl-cleanup --sweep' dpl-watch; do
			# shellcheck disable=SC2086
			DPL_LEDGER=$path expect 3 $line
			refused "${line%% *}" 'no ledger at' "$path: Not a directory" 'name another with -C or DPL_LEDGER'
		done
		expect 3 dpl-show --json -C "$path"
		json_error ledger-not-found
		expect 125 dpl-call -C "$path" -- touch ran
		refused dpl-call 'no ledger at'
	done
	[ ! -e ran ]
	[ ! -s file ]
}

@test "a ledger path of the greatest length, and beyond" {
	deep=$BATS_TEST_TMPDIR
	while [ ${#deep} -lt 3000 ]; do
		deep=$deep/$(printf 'd%.0s' {1..200})
	done
	expect 0 dpl-create -C "$deep"
	op=$output
	expect 0 dpl-complete -C "$deep" -o "$op"
	expect 2 dpl-create -C "/$(head -c 5000 /dev/zero | tr '\0' x)"
	refused dpl-create 'too long'
}
