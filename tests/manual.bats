#!/usr/bin/env bats
# manual - the manual pages say what the commands do, and their examples run

# shellcheck disable=SC2154 # helper.bash sets root and output

load helper

setup() {
	fresh_ledger
	# The examples begin in a shell that knows of no ledger.
	unset "${!DPL_@}"
	man=$root/man
}

# --- reading the pages ---

sources() {
	local f
	for f in "$root"/cmd/*.c; do
		f=${f##*/}
		echo "${f%.c}"
	done
}

# Those that are built.
tools() {
	local f
	for f in $(sources); do
		# What needs a library that is not here was not built.
		[[ $f == dpl-remote-* && ! -x $BUILD/bin/$f ]] || echo "$f"
	done
}

# Each run of blanks becomes one.
squeeze() {
	tr -s ' \t\n\240' ' ' | sed 's/^ //; s/ $//'
}

# section PAGE NAME: the source lines of a section.
section() {
	awk -v want="$2" '/^\.Sh / { in_it = (substr($0, 5) == want); next } in_it' "$1"
}

# synopsis PAGE: as it is printed, on one line.
synopsis() {
	mandoc -Tascii -O width=1000 "$1" | sed 's/.\x08//g' |
		awk '/^[A-Z]/ { in_it = ($0 == "SYNOPSIS"); next } in_it' | squeeze
}

# usage TOOL: the usage lines of its help, on one line, without the word.
usage() {
	"$1" -h | sed -n '1,/^$/p' | sed 's/^usage://' | squeeze
}

# help_options TOOL, page_options PAGE: one option a line, `-C --ledger=` with `=` where it takes a value.
help_options() {
	"$1" -h | sed -nE 's/^  (-[a-zA-Z]), (--[a-z-]+=?).*/\1 \2/p; s/^      (--[a-z-]+=?).*/\1/p' | sort
}

page_options() {
	section "$1" DESCRIPTION | sed -nE \
		-e 's/^\.It Fl ([a-zA-Z]) Ar [a-z]+ , Fl (-[a-z-]+) Ns = Ns Ar [a-z]+$/-\1 -\2=/p' \
		-e 's/^\.It Fl ([a-zA-Z]) , Fl (-[a-z-]+)$/-\1 -\2/p' \
		-e 's/^\.It Fl (-[a-z-]+) Ns = Ns Ar [a-z/]+$/-\1=/p' \
		-e 's/^\.It Fl (-[a-z-]+)$/-\1/p' | sort
}

# blocks PAGE FOLDER [SECTION]: write each literal block of the section to FOLDER/1, FOLDER/2 and so on.
blocks() {
	mkdir -p "$2"
	section "$1" "${3:-EXAMPLES}" | awk -v folder="$2" '
		/^\.Bd -literal/ { n++; in_it = 1; next }
		/^\.Ed/ { in_it = 0; next }
		in_it {
			gsub(/\\e/, "\\")
			gsub(/\\&/, "")
			print > (folder "/" n)
		}'
}

# prepared FOLDER: what the examples take for granted: some files, a Makefile, and an operation in $op.
prepared() {
	mkdir -p "$1" && cd "$1" || return
	printf 'one\ntwo\n' >a.txt
	printf 'three\n' >b.txt
	printf 'all:\n\t@echo made\n' >Makefile
	mkdir -p _ai/operation_ledger # so that none further up is taken
	op=$(dpl-create -d 'an example')
	export op
}

# run_blocks PAGE LEAST [SECTION]: run its blocks, of which there are at least so many; each exits 0.
run_blocks() {
	local name=${1##*/} least=$2 n=0 block
	blocks "$1" "$BATS_TEST_TMPDIR/$name.blocks" "${3:-EXAMPLES}"
	for block in "$BATS_TEST_TMPDIR/$name.blocks"/*; do
		n=$((n + 1))
		(
			prepared "$BATS_TEST_TMPDIR/$name.$n" || exit
			status=0
			bash -eu "$block" >out 2>err </dev/null 3>&- || status=$?
			[ "$status" -eq 0 ] && [ ! -s err ] && exit
			echo "$name, example ${block##*/}: exit $status"
			cat -- "$block" out err
			exit 1
		) || return
	done
	if [ "$n" -lt "$least" ]; then
		echo "$name: $n examples, not $least"
		return 1
	fi
}

# --- the pages and the commands ---

@test "every command and file has its page, and no page is without" {
	wanted=$(sources | sed 's/$/.1/'; printf '%s\n' dpl.7 dpl-guarantees.7 dpl-http.7 dpl-remote-helpers.7 dpl-ledger.5 dpl-scenario.5 libdpl.3)
	is "$(cd "$man" && printf '%s\n' *.[1-9] | sort)" "$(sort <<<"$wanted")"
}

@test "the pages are clean" {
	expect 0 mandoc -Tlint -Wwarning "$man"/*.[1-9]
	silent
}

@test "SYNOPSIS is what -h prints" {
	for tool in $(tools); do
		[ -n "$(usage "$tool")" ]
		is "$(synopsis "$man/$tool.1")" "$(usage "$tool")"
	done
}

@test "the options of a page are those of -h" {
	for tool in $(tools); do
		has "$(help_options "$tool")" '-h --help' '-V --version'
		is "$tool $(page_options "$man/$tool.1")" "$tool $(help_options "$tool")"
	done
}

@test "every option of a page is in its SYNOPSIS, and the other way round" {
	for tool in $(tools); do
		printed=$(synopsis "$man/$tool.1")
		# [-jqv] -> -j -q -v
		short=$(grep -oE '(^|[ [])-[a-zA-Z]+' <<<"$printed" | tr -d ' [' | sed 's/^-//' | grep -o . | sed 's/^/-/')
		long=$(grep -oE '(^|[ [])--[a-z-]+' <<<"$printed" | tr -d ' [')
		given=$(page_options "$man/$tool.1" | sed 's/=$//' | awk '{ print $1 }' | grep -vxE -e '-[hV]' | sort -u)
		is "$tool $(printf '%s\n' "$short" "$long" | grep . | LC_ALL=C sort -u)" "$tool $(LC_ALL=C sort -u <<<"$given" | grep . )"
	done
}

@test "NAME is the first line of the source" {
	for tool in $(tools); do
		about=$(sed -n "1s|^/\* $tool - \(.*\) \*/\$|\1|p" "$root/cmd/$tool.c")
		is "$(section "$man/$tool.1" NAME)" ".Nm $tool"$'\n'".Nd $about"
	done
	is "$(section "$man/libdpl.3" NAME | tail -n 1)" ".Nd $(sed -n '1s|^/\* dpl.h - ||p' "$root/lib/dpl.h")"
}

@test "every page of a command has its sections" {
	wanted='NAME SYNOPSIS DESCRIPTION ENVIRONMENT FILES EXIT STATUS EXAMPLES SEE ALSO CAVEATS'
	for tool in $(tools); do
		is "$tool $(sed -n 's/^\.Sh //p' "$man/$tool.1" | squeeze)" "$tool $wanted"
	done
}

@test "what a page refers to is there" {
	while read -r name number; do
		case $name in
		*dpl*) [ -e "$man/$name.$number" ] || { echo "no $name($number)"; return 1; } ;;
		esac
	done < <(sed -n 's/^\.Xr \([^ ]*\) \([1-9]\).*/\1 \2/p' "$man"/*.[1-9] | sort -u)
}

# --- the pages and the library ---

@test "dpl(7) lists every error code, as err.c has it" {
	number() {
		sed -n "s/.*$1 = \([0-9]*\),.*/\1/p" "$root/lib/err.h"
	}
	wanted=$(sed -nE 's/^\t\[ERR_[A-Z_]+\] = \{"([a-z-]+)", ([0-9]+), (EXIT_[A-Z_]+), (true|false)\},/\1 \2 \3 \4/p' "$root/lib/err.c" |
		grep -v '^ok ' | while read -r code http name later; do
		echo "$code $(number "$name") $http $([ "$later" = true ] && echo yes || echo no)"
	done)
	[ "$(wc -l <<<"$wanted")" -gt 20 ]
	is "$(sed -nE 's/^\.It ([a-z-]+) Ta ([0-9]+) Ta ([0-9]+) Ta (yes|no)$/\1 \2 \3 \4/p' "$man/dpl.7")" "$wanted"
}

@test "dpl-batch(1) describes every verb, and every member it reads" {
	paths=$(sed -nE 's/^\tVERB\("(\/[a-z\/]+)", verb_.*/\1/p' "$root/lib/verb.c" | sort)
	[ "$(wc -l <<<"$paths")" -ge 15 ]
	is "$(sed -n 's/^\.It Pa \(\/.*\)/\1/p' "$man/dpl-batch.1" | sort)" "$paths"
	# What goes into an entry alone is in dpl-ledger(5).
	words=$(cat "$man/dpl-batch.1" "$man/dpl-ledger.5" | tr -s ' ,;:.' '\n')
	for member in $(grep -ohE '(request_(int|bool|text|has|call)|put_text|read_time|json_put[a-z_]*|json_open|json_get|wire_abort_reason)\([^"()]*"[a-zA-Z]+"' \
		"$root"/lib/verb*.c "$root"/lib/request.c "$root"/lib/wire.c | grep -oE '"[a-zA-Z]+"' | tr -d '"' | sort -u); do
		grep -qx "$member" <<<"$words" || { echo "not in dpl-batch(1): $member"; return 1; }
	done
}

@test "dpl-ledger(5) names every event and every member of an entry" {
	words=$(sed 's/\\&//g' "$man/dpl-ledger.5" | tr -s ' ,;:' '\n' | sed 's/\.$//')
	events=$(sed -nE 's/^\t\[EVENT_[A-Z_]+\] = [^"]*"([a-z.]+)".*/\1/p' "$root/lib/entry.c" | grep -v '^unknown$')
	members=$(sed -nE 's/^\tMEMBER\([A-Z]+, "([a-zA-Z]+)".*/\1/p' "$root/lib/entry.c")
	[ "$(wc -l <<<"$events")" -gt 20 ] && [ "$(wc -l <<<"$members")" -gt 20 ]
	described=$(sed -nE 's/^\.It ([a-z.]+)$/\1/p' "$man/dpl-ledger.5")
	is "$(sort <<<"$described")" "$(sort <<<"$events")"
	for word in $members bootId host; do
		grep -qx "$word" <<<"$words" || { echo "not in dpl-ledger(5): $word"; return 1; }
	done
}

@test "libdpl(3) has every function of dpl.h, as it is declared there" {
	declared=$(tr '\n' ' ' <"$root/lib/dpl.h" | sed 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/||g' |
		grep -oE '(const char \*|struct dpl[a-z_]* \*|int |void |bool |long long )dpl_[a-z_]+\([^)]*\);' | sort)
	[ "$(wc -l <<<"$declared")" -gt 20 ]
	is "$(synopsis "$man/libdpl.3" | sed 's/^#include <dpl.h> //; s/; /;\n/g' | sed 's/\* dpl_/*dpl_/' | sort)" "$declared"
}

@test "the example of libdpl(3) compiles and runs" {
	blocks "$man/libdpl.3" "$BATS_TEST_TMPDIR/c"
	mv c/1 example.c
	# shellcheck disable=SC2086 # words
	expect 0 ${CC:-cc} -Wall -Wextra -Werror -D_GNU_SOURCE ${SANITIZED:+-fsanitize=address,undefined} -I "$root/lib" -o example example.c "$BUILD/libdpl.a"
	mkdir -p _ai/operation_ledger
	expect 0 ./example
	has "$output" -builder- ' completed'
	is "$(ls _ai/operation_ledger/backup)" "${output% completed}"
}

# --- the examples ---

@test "the examples of the commands run" {
	for tool in $(tools); do
		run_blocks "$man/$tool.1" 2
	done
}

@test "the examples of dpl(7) and its session run" {
	run_blocks "$man/dpl.7" 2
	rm -rf "$BATS_TEST_TMPDIR"/dpl.7.*
	sed 's/^\.Ss A session/.Sh A session/; s/^\.Ss Which ledger/.Sh Which ledger/' "$man/dpl.7" >dpl-session.7
	run_blocks "$BATS_TEST_TMPDIR/dpl-session.7" 1 'A session'
}

@test "the examples of dpl-ledger(5) and dpl-remote-helpers(7) run" {
	run_blocks "$man/dpl-ledger.5" 2
	run_blocks "$man/dpl-remote-helpers.7" 2
}

@test "the entry and the error object that the pages show have the form of real ones" {
	op=$(dpl-create -C ledger)
	call=$(dpl-call start -C ledger -o "$op")
	shown=$(section "$man/dpl-ledger.5" DESCRIPTION | sed -n '/^{"seq":3/,/^\.Ed/p' | grep -v '^\.' | tr -d '\n')
	is "$(jq -c 'keys' <<<"$shown")" "$(tail -n 1 "ledger/$op/journal.jsonl" | jq -c keys)"
	dpl-call end -C ledger -o "$op" "$call"
	expect 6 dpl-call end -C ledger -o "$op" -j "$call"
	shown=$(section "$man/dpl.7" DESCRIPTION | sed -n '/^{"ok":false/,/^\.Ed/p' | grep -v '^\.' | tr -d '\n')
	is "$(jq -c --arg op "$op" '.error.message = "..." | .error.next[-1] |= sub($op; "ID")' <<<"$output")" "$(jq -c . <<<"$shown")"
}

# --- the guide ---

@test "dpl help agents prints the guide, which is short and narrow" {
	expect 0 dpl help agents
	is "$output" "$(cat "$man/agents.txt")"
	[ "$(wc -l <"$man/agents.txt")" -le 60 ]
	is "$(LC_ALL=C grep -nE '.{81}|[^ -~]' "$man/agents.txt")" ''
}

@test "the loop of the guide runs, and it names no command or option that is not there" {
	prepared "$BATS_TEST_TMPDIR/guide"
	sed -n '/^THE LOOP/,/^End every/p' "$man/agents.txt" | sed -n 's/^  //p' |
		sed -e 's/ && stop/ \&\& exit 4/' -e '/^dpl-call fail/d' -e '/^dpl-leave/d' >loop
	[ "$(wc -l <loop)" -eq 7 ]
	expect 0 bash -eu loop
	is "$stderr" ''
	is "$(tail -n 1 <<<"$output")" completed
	while read -r tool; do
		[ -x "$BUILD/bin/$tool" ] || { echo "no $tool"; return 1; }
	done < <(grep -oE 'dpl-[a-z]+' "$man/agents.txt" | sort -u)
	while read -r option; do
		grep -qE -e "^\.It .*Fl ${option#-}( |\$)" "$man"/*.1 || { echo "no $option"; return 1; }
	done < <(grep -oE -e '--[a-z][a-z-]*' "$man/agents.txt" | sort -u)
}
