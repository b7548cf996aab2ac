#!/usr/bin/env bats
# make install, uninstall and dist; the library as another program sees it

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # scripts in quotes; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	stage=$BATS_FILE_TMPDIR/stage
	copy=$BATS_FILE_TMPDIR/source
	export CC=${CC:-cc}
}

# make, as somebody calls it who is not inside of another make
mk() {
	env -u BUILD -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s "$@" 3>&-
}

# In a copy of the tree, so that the build which other tests run is left alone.  What is built is
# taken along, but for that with sanitizers: `make`, then `make install PREFIX=/usr`.
setup_file() {
	local build=${BUILD:-build}
	cd "$BATS_TEST_DIRNAME/.." || return
	mkdir "$BATS_FILE_TMPDIR/source"
	tar -c --exclude=./build --exclude='./build-*' --exclude=./.git . | tar -x -C "$BATS_FILE_TMPDIR/source"
	[ -n "${SANITIZED:-}" ] || cp -a "$build" "$BATS_FILE_TMPDIR/source/build"
	cd "$BATS_FILE_TMPDIR/source" || return
	{
		mk -j2 all && mk install PREFIX=/usr DESTDIR="$BATS_FILE_TMPDIR/stage"
		echo $? >"$BATS_FILE_TMPDIR/install.status"
	} >"$BATS_FILE_TMPDIR/install.log" 2>&1
}

package() {
	PKG_CONFIG_SYSROOT_DIR=$stage PKG_CONFIG_LIBDIR=$stage/usr/lib/pkgconfig pkg-config "$@" dpl
}

@test "make install puts every file in its place, and nothing else" {
	is "$(cat "$BATS_FILE_TMPDIR/install.status")" 0 || { cat "$BATS_FILE_TMPDIR/install.log"; return 1; }
	{
		for tool in "$copy"/cmd/*.c; do
			tool=$(basename "$tool" .c)
			# A helper needs a library that may not be here, and nobody types it.
			if [[ $tool == dpl-remote-* ]]; then
				[ ! -e "$copy/build/bin/$tool" ] || echo "755 f usr/bin/$tool"
				continue
			fi
			echo "755 f usr/bin/$tool"
			# bash and fish look for a file by the name of the command.
			if [ "$tool" = dpl ]; then
				echo '644 f usr/share/bash-completion/completions/dpl'
				echo '644 f usr/share/fish/vendor_completions.d/dpl.fish'
			else
				echo "777 l usr/share/bash-completion/completions/$tool"
				echo "777 l usr/share/fish/vendor_completions.d/$tool.fish"
			fi
		done
		for page in "$copy"/man/*.[1-9]; do
			echo "644 f usr/share/man/man${page##*.}/${page##*/}"
		done
		for doc in README.md NEWS.md LICENSE agents.txt dpl-cleanup.cron; do
			echo "644 f usr/share/doc/dpl/$doc"
		done
		for unit in dpl-cleanup@.service dpl-cleanup@.timer; do
			echo "644 f usr/lib/systemd/system/$unit"
			echo "644 f usr/lib/systemd/user/$unit"
		done
		echo '644 f usr/lib/systemd/system/dpl-serve@.service'
		echo '644 f usr/lib/libdpl.a'
		echo '644 f usr/lib/pkgconfig/dpl.pc'
		echo '644 f usr/include/dpl.h'
		echo '644 f usr/share/zsh/site-functions/_dpl'
	} | sort >wanted
	(cd "$stage" && find . ! -type d -printf '%m %y %P\n') | sort >got
	diff wanted got
	# The links lead to the file that serves all.
	for link in bash-completion/completions/dpl-show fish/vendor_completions.d/dpl-show.fish; do
		is "$(readlink -e "$stage/usr/share/$link")" "$(readlink -e "$stage")/usr/share/${link/-show}"
	done
}

@test "there is a page for every command, and mandoc finds it" {
	command -v mandoc >/dev/null || skip 'no mandoc'
	for tool in "$stage"/usr/bin/*; do
		expect 0 mandoc -T ascii "$stage/usr/share/man/man1/${tool##*/}.1"
		has "${output//?$'\b'/}" "${tool##*/}"
	done
	expect 0 mandoc -T ascii "$stage/usr/share/man/man3/libdpl.3"
	has "${output//?$'\b'/}" dpl_open dpl_fold_feed
}

@test "the installed commands work, alone and through dpl" {
	PATH=$stage/usr/bin:$PATH
	expect 0 "$stage/usr/bin/dpl-create"
	op=$output
	expect 0 "$stage/usr/bin/dpl" show -q
	is "$output" "$op"
	expect 0 "$stage/usr/bin/dpl" --version
	is "$output" "dpl (dpl) $(package --modversion)"
}

@test "commands are small, and static where musl-gcc is here" {
	[ -z "${DELAYS:-}" ] || skip 'more is linked into them'
	for tool in "$stage"/usr/bin/*; do
		size=$(stat -c %s "$tool") most=400000
		[[ ${tool##*/} != dpl-serve ]] || most=560000 # a tenth of it is the page
		[[ ${tool##*/} != dpl-sim ]] || most=420000 # and of this the scenarios
		[ "$size" -lt "$most" ] || { echo "$tool: $size bytes"; return 1; }
		# A static program names no interpreter.
		[[ ${tool##*/} == dpl-remote-* || ${tool##*/} == dpl-serve || ${tool##*/} == dpl-discover ]] || ! command -v musl-gcc >/dev/null || lacks "$(readelf -lW "$tool")" INTERP
	done
}

# swept COMMAND: what a timer would run, which cleans up after the dead one of a ledger.  The command names the ledger as /ledger.
swept() {
	local line=${1//"/ledger"/"$ledger"} path
	[ "$line" != "$1" ]
	op=$(dpl-create --ttl 5s)
	path=$(dpl-temp make -o "$op")
	in_background dpl-call -q -o "$op" -- sleep 60
	wait_for '[ -n "$(dpl-call list -q -o "$op")" ]'
	kill -KILL "$pid"
	wait "$pid" || true
	expect 0 env -u DPL_LEDGER -u DPL_OPERATION PATH="$stage/usr/bin:/usr/bin:/bin" sh -c "$line"
	has "$output" "$op failed"
	is "$stderr" ''
	[ ! -e "$path" ] && [ -d "$ledger/backup/$op" ]
	# Nothing to do, nothing said.
	expect 0 env -u DPL_LEDGER -u DPL_OPERATION PATH="$stage/usr/bin:/usr/bin:/bin" sh -c "$line"
	silent
}

@test "the line for crontab sweeps, and is the only one that is not a comment" {
	sed 's|/srv/build/_ai/operation_ledger|/ledger|' "$stage/usr/share/doc/dpl/dpl-cleanup.cron" | grep -v '^\(#\|$\|PATH=\)' >lines
	is "$(wc -l <lines)" 1
	is "$(cut -d ' ' -f 1-5 lines)" '* * * * *'
	swept "$(cut -d ' ' -f 6- lines)"
	# The other one, which is commented out.
	line=$(sed -n 's/^#@daily //p' "$stage/usr/share/doc/dpl/dpl-cleanup.cron")
	DPL_LEDGER='' PATH=$stage/usr/bin:$PATH expect 0 sh -c "${line//"/srv/build/_ai/operation_ledger"/"$ledger"}"
	silent
}

@test "the units run what is installed, and systemd takes them" {
	for kind in system user; do
		units=$stage/usr/lib/systemd/$kind
		line=$(sed -n 's/^ExecStart=//p' "$units/dpl-cleanup@.service")
		is "${line%% *}" /usr/bin/dpl-cleanup
		line=${line#/usr/bin/}
		swept "${line/"%f"/"/ledger"}"
		rm -rf "$ledger"
		# What would give it another view of the files.
		is "$(grep -E '^(Protect|Private|ReadOnly|ReadWrite|Inaccessible|Bind|Root|Temporary|Mount|Dynamic|State|Cache|Runtime|Logs)' "$units/dpl-cleanup@.service")" ''
		command -v systemd-analyze >/dev/null || continue
		mkdir -p "units.$kind"
		sed "s|^ExecStart=/usr|ExecStart=$stage/usr|" "$units/dpl-cleanup@.service" >"units.$kind/dpl-cleanup@.service"
		cp "$units/dpl-cleanup@.timer" "units.$kind"
		echo Nonesuch=1 >>"units.$kind/dpl-cleanup@.service"
		for unit in service timer; do
			XDG_RUNTIME_DIR=$PWD SYSTEMD_UNIT_PATH=$PWD/units.$kind: systemd-analyze verify --man=no "--$kind" "units.$kind/dpl-cleanup@srv-build.$unit" >said 2>&1 || true
			# Where it verifies at all, it names the one line that is planted.
			grep -q Nonesuch said || continue
			is "$(grep -F 'dpl-cleanup@' said | grep -v Nonesuch)" ''
		done
	done
}

@test "the unit of the server: what it runs is installed, and systemd takes it" {
	unit=$stage/usr/lib/systemd/system/dpl-serve@.service
	[[ "$(sed -n 's/^ExecStart=//p' "$unit")" == '/usr/bin/dpl-serve --quiet --ledger %f' ]]
	[ -x "$stage/usr/bin/dpl-serve" ]
	command -v systemd-analyze >/dev/null || skip 'no systemd-analyze(1)'
	mkdir -p units.serve
	sed "s|^ExecStart=/usr|ExecStart=$stage/usr|" "$unit" >units.serve/dpl-serve@.service
	echo Nonesuch=1 >>units.serve/dpl-serve@.service
	XDG_RUNTIME_DIR=$PWD SYSTEMD_UNIT_PATH=$PWD/units.serve: systemd-analyze verify --man=no --system units.serve/dpl-serve@srv-build.service >said 2>&1 || true
	# Where it verifies at all, it names the one line that is planted.
	grep -q Nonesuch said || skip 'systemd-analyze does not verify here'
	is "$(grep -F 'dpl-serve@' said | grep -v Nonesuch)" ''
}

@test "libdpl.a has the functions of dpl.h and no other name" {
	nm -g --defined-only "$stage/usr/lib/libdpl.a" | awk 'NF == 3 { print $3 }' | sort >got
	# Without comments, the names before a parenthesis.
	tr '\n' ' ' <"$stage/usr/include/dpl.h" | sed 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/| |g' |
		grep -o 'dpl_[a-z_]* *(' | tr -d ' (' | sort -u >wanted
	[ -s wanted ]
	diff wanted got
}

@test "dpl.h alone compiles, as C and as C++" {
	# shellcheck disable=SC2046 # options
	echo '#include <dpl.h>' | "$CC" -x c -std=c99 -Wall -Wextra -Wpedantic -Werror $(package --cflags) -fsyntax-only -
	command -v g++ >/dev/null || skip 'no g++'
	# shellcheck disable=SC2046
	printf '%s\n' '#include <dpl.h>' 'int main() { char why[99]; struct dpl *d = dpl_open(0, why, sizeof why); dpl_close(d); }' |
		g++ -x c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror $(package --cflags) - -o plusplus $(package --libs)
	DPL_LEDGER=$ledger ./plusplus
}

@test "examples/embed.c, built with pkg-config on what is installed, does what it says" {
	# shellcheck disable=SC2046 # options
	"$CC" -std=c11 -Wall -Wextra -Wpedantic -Werror -o embed "$copy/examples/embed.c" $(package --cflags --libs)
	expect 0 ./embed "$ledger"
	folded=$output
	has "$stderr" ': completed'
	holds '.state == "completed" and .callCounts == {"started":3,"running":0,"ended":2,"failed":1,"crashed":0,"cancelled":0}'
	holds '.logCounts.warning == 1 and ([.calls[].state] == ["ended","ended","failed"])'
	# What it folded is what the commands say.
	expect 0 dpl-show --json -C "$ledger" "$(jq -r .operationId <<<"$folded")"
	is "$(json '[.state, .seq, .startTime, .endTime, .callCounts, [.calls[].callId]]' -c)" \
		"$(jq -c '[.state, .seq, .startTime, .endTime, .callCounts, [.calls[].callId]]' <<<"$folded")"
	expect 2 ./embed
}

@test "make install to one prefix after another: pkg-config gives the one it is in" {
	mk -C "$copy" install PREFIX="$PWD/here" DESTDIR= >/dev/null
	is "$(PKG_CONFIG_PATH=$PWD/here/lib/pkgconfig pkg-config --variable=prefix dpl)" "$PWD/here"
	[ -x here/bin/dpl-show ]
}

@test "make uninstall leaves nothing" {
	cp -a "$stage" stage
	# A file of somebody else stays.
	touch stage/usr/bin/other
	mk -C "$copy" uninstall PREFIX=/usr DESTDIR="$PWD/stage"
	is "$(find stage ! -type d)" stage/usr/bin/other
}

@test "make dist: a tree that builds by itself" {
	[ -e "$root/.git" ] && command -v git >/dev/null || skip 'not a git repository'
	mkdir clone
	git -c safe.directory='*' -C "$root" archive --format=tar HEAD | tar -x -C clone
	# Of the commit, as an archive is; what is not committed is not in it.
	git -c init.defaultBranch=main -C clone init -q
	git -C clone add -A
	git -C clone -c user.name=x -c user.email=x@example.org commit -q -m x
	expect 0 mk -C clone dist
	archive=clone/${output##*$'\n'}
	[ -s "$archive" ]
	# Twice the same.
	cp "$archive" first.gz
	expect 0 mk -C clone dist
	cmp "$archive" first.gz
	tar -xzf "$archive"
	version=$(sed -n 's/.*define DPL_VERSION "\(.*\)"/\1/p' clone/lib/version.h)
	is "$(names .)" "clone dpl-$version err first.gz out"
	mk -j2 -C "dpl-$version" all >make.log 2>&1 || { cat make.log; return 1; }
	expect 0 "dpl-$version/build/bin/dpl" --version
	is "$output" "dpl (dpl) $version"
}

# --- scripts/need ---

# bare_system: a PATH with nothing but what a fresh Debian has, and an apt-get that notes what it is asked
# and knows every package but those in $absent.
bare_system() {
	local tool
	mkdir bare
	for tool in sh cat env printf rm ls chmod sha256sum find gzip flock ps xz id git make; do
		ln -s "$(type -P $tool)" bare/$tool
	done
	printf '%s\n' '#!/bin/sh' 'echo "$*" >>apt.log' 'case "$*" in *install*) ;; *) exit 0 ;; esac' \
		'for p; do case " $absent " in *" $p "*) exit 100 ;; esac; done' >bare/apt-get
	chmod +x bare/apt-get
	: >apt.log
	export absent=''
}

need() {
	PATH=$PWD/bare "$root/scripts/need" "$@"
}

be() {
	rm bare/id
	printf '#!/bin/sh\necho %s\n' "$1" >bare/id
	chmod +x bare/id
}

@test "need: nothing missing, nothing said" {
	expect 0 "$root/scripts/need" check
	silent
	expect 0 "$root/scripts/need" demo
	silent
	expect 2 "$root/scripts/need"
	expect 2 "$root/scripts/need" nonsense
}

@test "need: what is missing is said and installed, the lists updated first" {
	bare_system
	be 0
	expect 0 need demo
	is "$output" ''
	has "$stderr" 'need: make demo installs:' ' gcc' ' binutils' ' musl-tools'
	lacks "$stderr" bats
	is "$(sed -n 1p apt.log)" '-q -o DPkg::Lock::Timeout=300 update'
	has "$(sed -n 2p apt.log)" 'install -y --no-install-recommends gcc binutils' musl-tools
	is "$(wc -l <apt.log)" 2
	expect 0 need check
	has "$stderr" ' bats jq mandoc strace'
	expect 0 need lint
	has "$stderr" ' clang' ' shellcheck'
}

@test "need: what can be left out is left out with a line, what is needed is not" {
	bare_system
	be 0
	absent='etcd-server lockfile-progs'
	expect 0 need bench
	has "$stderr" 'need: etcd-server cannot be installed' 'need: lockfile-progs cannot be installed'
	lacks "$stderr" 'sqlite3 cannot'
	has "$(cat apt.log)" 'recommends redis-server'
	absent=gcc
	expect 1 need bench
	has "$stderr" 'could not be installed'
}

@test "need: not root: the command to type; sudo where it asks nothing" {
	bare_system
	be 1000
	expect 1 need demo
	has "$stderr" 'apt-get install -y --no-install-recommends gcc binutils'
	is "$(cat apt.log)" ''
	printf '%s\n' '#!/bin/sh' 'echo "sudo $*" >>apt.log' '[ "$1" = -n ] || exit 1' 'shift' 'exec "$@"' >bare/sudo
	ln -s "$(type -P true)" bare/true
	chmod +x bare/sudo
	expect 0 need demo
	has "$(cat apt.log)" 'sudo -n env DEBIAN_FRONTEND=noninteractive apt-get' ' update' ' install -y'
}

@test "need: no apt-get: says what is missing, and that it failed" {
	bare_system
	be 0
	rm bare/apt-get
	expect 1 need check
	has "$stderr" ' gcc' ' bats'
}
