#!/usr/bin/env bats
# dpl, and what all commands do the same way

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

tools='dpl-abort dpl-batch dpl-beat dpl-call dpl-cleanup dpl-complete dpl-create dpl-discover dpl-join dpl-leave dpl-log dpl-serve dpl-show dpl-sim dpl-temp dpl-watch'

@test "every command of the build is known here" {
	for file in "$BUILD"/bin/*; do
		case " dpl $tools dpl-remote-http dpl-remote-test " in
		*" ${file##*/} "*) ;;
		*)
			echo "no test here runs ${file##*/}"
			return 1
			;;
		esac
	done
}

@test "dpl lists the commands" {
	expect 0 dpl
	is "$stderr" ''
	for tool in $tools; do
		has "$output" "$tool "
	done
	has "$output" 'dpl help COMMAND' 'dpl help agents'
	[ ! -e _ai ]
}

@test "dpl X runs dpl-X, with its arguments, output and exit status" {
	expect 0 dpl create -d 'two words' --ttl 1m
	op=$output
	is "$(last_entry "$op" '[.description, .ttlMs] | @csv')" '"two words",60000'
	expect 0 dpl log -o "$op" -- -x 'y  z'
	is "$(last_entry "$op" .message)" '-x y  z'
	expect 1 dpl abort --check -o "$op"
	expect 2 dpl call begin
	has "$stderr" 'dpl-call: ' "'begin'"
	expect 0 dpl show --json "$op"
	holds .ok
	expect 0 dpl log -o "$op" - < <(echo from stdin)
	is "$(last_entry "$op" .message)" 'from stdin'
}

@test "dpl finds commands beside itself first, and on PATH" {
	mkdir bin
	printf '#!/bin/sh\necho mine "$@"\nexit 5\n' >bin/dpl-mine
	printf '#!/bin/sh\necho wrong\n' >bin/dpl-show
	chmod +x bin/dpl-mine bin/dpl-show
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
	expect 5 dpl mine a 'b c'
	is "$output" 'mine a b c'
	mkdir -p "$ledger"
	expect 0 dpl show
	is "$output" ''
	expect 0 env PATH=/nonexistent "$BUILD/bin/dpl" show
	is "$output" ''
}

@test "unknown commands" {
	for word in nope dpl-show ../dpl-show /bin/ls '' 'a b' $'a\nb' "$(printf 'x%.0s' {1..5000})"; do
		expect 2 dpl "$word"
		refused dpl
	done
	expect 2 dpl nope
	refused dpl dpl-nope "'dpl'"
	expect 2 dpl help nope
	refused dpl dpl-nope
	expect 2 dpl --nonsense
	refused dpl "'--nonsense'"
}

@test "a command that cannot be run" {
	mkdir bin
	echo 'not a program' >bin/dpl-plain
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
	run dpl plain
	[ "$status" -eq 8 ] || [ "$status" -eq 2 ]
	has "$output" dpl-plain
}

@test "dpl help, dpl help X, dpl help agents" {
	expect 0 dpl help
	has "$output" 'usage: dpl '
	expect 0 dpl --help
	has "$output" 'usage: dpl '
	for tool in $tools; do
		expect 0 dpl help "${tool#dpl-}"
		is "$output" "$("$tool" --help)"
		expect 0 dpl help "$tool"
		is "$output" "$("$tool" -h)"
	done
	expect 0 dpl help agents
	is "$output" "$(cat "$root/man/agents.txt")"
	is "$stderr" ''
}

@test "-h and --help: usage on stdout, with examples, and nothing is looked at" {
	export DPL_LEDGER=/nonexistent/x DPL_PARTICIPANT=.. DPL_SYNC=maybe
	for tool in dpl $tools; do
		expect 0 "$tool" -h
		is "$stderr" ''
		has "$output" "usage: $tool " 'Examples:'
		is "$(LC_ALL=C.UTF-8 grep -c '.\{101\}' out)" 0
		help=$output
		expect 0 "$tool" --help
		is "$output" "$help"
	done
	# What stands before counts, what stands behind does not.
	expect 2 dpl-show --nonsense --help
	expect 0 dpl-show --help --nonsense
	expect 2 dpl-create --ttl x -h
}

@test "-V and --version" {
	version=$(sed -n 's/.*DPL_VERSION "\(.*\)"/\1/p' "$root/lib/version.h")
	for tool in dpl $tools; do
		expect 0 "$tool" -V
		is "$output" "$tool (dpl) $version"
		is "$stderr" ''
		expect 0 "$tool" --version
		is "$output" "$tool (dpl) $version"
		expect 0 "$tool" -q -V 2>/dev/null || [ "$tool" = dpl ] || [ "$tool" = dpl-call ]
	done
}

@test "misuse: one line that names the bad word and how to get help; with --json an object" {
	for tool in $tools; do
		# One that runs commands: 2 would be the command's own.
		misuse=$([ "$tool" = dpl-call ] && echo 125 || echo 2)
		expect "$misuse" "$tool" --nonsense
		refused "$tool" "$tool --help"
		expect "$misuse" "$tool" -C
		refused "$tool" "$tool --help"
		[ "$tool" = dpl-call ] || has "$stderr" "'-C'"
		for json in --json -j; do
			expect "$misuse" "$tool" --nonsense $json
			json_error bad-usage
			holds '.error.next == [$tool, "--help"]' --arg tool "$tool"
		done
		# Behind -- it is no option.
		expect "$misuse" "$tool" --nonsense -- --json
		is "$output" ''
	done
	by_server || [ ! -e "$ledger" ] # a server makes it
}

@test "options: long forms, =, values that look like options, -- and bundles" {
	expect 0 dpl-create --ledger="$ledger" --description=-d --participant=me --timeout=5s --quiet --verbose
	expect 0 dpl-create -qd -x
	is "$(last_entry "$(dpl-show -q | tail -n 1)" .description)" -x
	expect 0 dpl-create -vjdtext -C"$ledger"
	holds '.ok'
	op=$(json .operationId)
	is "$(last_entry "$op" .description)" text
	expect 0 dpl-log -o "$op" -- --json
	is "$(last_entry "$op" .message)" --json
	expect 0 dpl-show --json -- "$op"
	holds .ok
	expect 2 dpl-create --quiet=yes
	refused dpl-create --quiet
	expect 0 dpl-log word -o "$op"
}

@test "durations, everywhere the same" {
	op=$(dpl-create)
	for tool in 'dpl-join' 'dpl-leave' 'dpl-complete' 'dpl-abort' 'dpl-call start' 'dpl-call end x' 'dpl-log x' 'dpl-batch' 'dpl-create' 'dpl-temp make' \
		'dpl-temp remove 1' 'dpl-cleanup' 'dpl-cleanup --sweep'; do
		# shellcheck disable=SC2086
		expect 2 $tool -t soon
		refused "${tool%% *}" -t "'soon'" 'no duration'
		# shellcheck disable=SC2086
		DPL_TIMEOUT=5x expect 2 $tool
		refused "${tool%% *}" DPL_TIMEOUT "'5x'"
	done
	for t in 0 0s 5 5s 250ms 1m30s 2h 1d 3650d; do
		expect 0 dpl-log -o "$op" -t "$t" x
	done
	expect 2 dpl-log -o "$op" -t 3651d x
}

@test "-v and -q: what is talk goes to stderr, and -q keeps it back" {
	op=$(dpl-create)
	expect 0 dpl-log -qvo "$op" x
	silent
	# A notice
	printf '{"seq":3,"torn' >>"$(journal "$op")"
	expect 0 dpl-log -qo "$op" x
	silent
	printf '{"seq":4,"torn' >>"$(journal "$op")"
	expect 0 dpl-log -o "$op" x
	by_server || has "$stderr" 'dpl-log: ' 'cut 14 torn bytes' # a server says it itself
	is "$output" ''
	whole "$op"
}
