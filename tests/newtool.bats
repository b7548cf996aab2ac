#!/usr/bin/env bats
# scripts/new-tool: what it stamps builds and passes; what it refuses

# shellcheck disable=SC2030,SC2031,SC2154 # each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	tree=$BATS_TEST_TMPDIR/tree
	mkdir "$tree"
	tar -c -C "$root" --exclude=./build --exclude='./build-*' --exclude=./.git . | tar -x -C "$tree"
	before=$(cd "$tree" && find . | sort)
}

unchanged() {
	is "$(cd "$tree" && find . | sort)" "$before"
}

@test "new-tool: the stamped command builds, its test passes, its page is clean" {
	expect 0 "$tree/scripts/new-tool" dpl-frob-it
	is "$output" $'cmd/dpl-frob-it.c\nman/dpl-frob-it.1\ntests/frob-it.bats'
	has "$stderr" 'tests/run tests/frob-it.bats'
	cd "$tree"
	! grep -i template cmd/dpl-frob-it.c man/dpl-frob-it.1 tests/frob-it.bats || false
	expect 0 mandoc -Tlint -Wwarning man/dpl-frob-it.1
	silent
	# What is built is taken along, so that only the new command is compiled.
	[ -n "${SANITIZED:-}" ] || cp -a "$BUILD" build
	env -u BUILD -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s -j2 all >make.log 2>&1 3>&- || { cat make.log; return 1; }
	# Through dpl, and in its list.
	is "$(build/bin/dpl frob-it --version)" "dpl-frob-it (dpl) $(sed -n 's/.*define DPL_VERSION "\(.*\)"/\1/p' lib/version.h)"
	has "$(build/bin/dpl)" 'dpl-frob-it '
	expect 0 env BUILD="$tree/build" bats --tap tests/frob-it.bats
	has "$output" '1..5'
	lacks "$output" 'not ok'
	expect 0 env BUILD="$tree/build" bats --tap -f 'clean|SYNOPSIS|options|option of|NAME|sections|has its page' tests/manual.bats
	lacks "$output" 'not ok'
	if [ -x scripts/check-layers ]; then
		expect 0 scripts/check-layers
	fi
	# It is there now.
	expect 2 scripts/new-tool dpl-frob-it
	refused new-tool 'cmd/dpl-frob-it.c is there already'
}

@test "new-tool refuses bad names, and changes nothing" {
	for name in '' frob dpl- dpl--x dpl-x- dpl-x--y dpl-X dpl-x1 dpl-x.y dpl-x/y 'dpl-x y' dpl-../x dpl-help dpl-agents dpl-template "dpl-$(printf '%031d' 0 | tr 0 x)"; do
		expect 2 "$tree/scripts/new-tool" "$name"
		is "$output" ''
		is "$(wc -l <err)" 1
		has "$stderr" 'new-tool: '
	done
	expect 2 "$tree/scripts/new-tool"
	expect 2 "$tree/scripts/new-tool" dpl-x dpl-y
	unchanged
}

@test "new-tool refuses what is there, page and test too" {
	expect 2 "$tree/scripts/new-tool" dpl-show
	refused new-tool cmd/dpl-show.c
	touch "$tree/man/dpl-x.1"
	expect 2 "$tree/scripts/new-tool" dpl-x
	refused new-tool man/dpl-x.1
	[ ! -e "$tree/cmd/dpl-x.c" ]
	rm "$tree/man/dpl-x.1"
	touch "$tree/tests/y.bats"
	expect 2 "$tree/scripts/new-tool" dpl-y
	refused new-tool tests/y.bats
	rm "$tree/tests/y.bats"
	unchanged
}
