#!/usr/bin/env bats
# remove.bats - hostile paths and trees: what may never be deleted, and what is deleted wherever it leads

# shellcheck disable=SC2016,SC2154 # scripts of another shell; helper.bash sets them

load helper

setup() {
	fresh_ledger
	rm=$BUILD/tools/removing
	here=$(pwd -P)
	export rm here
}

# in_mounts SCRIPT: run it by bash as root in a mount namespace of its own, in $here; it exits with 77 where it cannot mount.
in_mounts() {
	[ "$(id -u)" -eq 0 ] || skip 'only root can mount'
	printf '%s\n' 'set -eu' 'mount --make-rprivate / || exit 77' "$1" >inside
	status=0
	unshare -m bash inside >out 2>err 3>&- || status=$?
	[ "$status" -ne 77 ] || skip 'nothing can be mounted here'
	output=$(<out)
	[ "$status" -eq 0 ] && return
	cat inside out err
	return 1
}

# ends RESULT PATH [OPTION ...]: how removing it ends; what it said is in $output.
ends() {
	local results=(removed gone left failed stopped) want=$1 path=$2 i
	shift 2
	for i in "${!results[@]}"; do
		[ "${results[$i]}" != "$want" ] || expect "$i" "$rm" remove "$@" "$path" || return
	done
	[[ $output = "$want "* ]] && plain
}

# --- never (49-57, 65, 70) ---

@test "root, the system's folders and what is no path of a file are refused" {
	for path in / // /// /. /.. /tmp /tmp/ /tmp/. /var /var/tmp /proc /proc/self /proc/1/root/tmp /sys /sys/kernel /dev /dev/null /dev/fd/0 /dev/shm /run /run/user /run/user/1000 /run/user/0 \
		"$HOME" /root '' . .. a ./a "$here/../x" "$here//x" "$here/x/" "$here/./x"; do
		expect 8 "$rm" refused "$path"
		[ -n "$output" ]
	done
	for path in /proc/self/fd/0 /dev/fd/0 "/dev/fd/0/../x"; do
		ends left "$path"
	done
	# As an order, whatever identity it has.
	mkdir victim
	touch victim/kept
	for path in "$here/victim/." "$here/victim/" "$here//victim" "$here/victim/../victim" victim ./victim ''; do
		ends left "$path"
		ends left "$path" -i "$("$rm" identify "$here/victim")"
	done
	[ -e victim/kept ]
}

@test "homes of the password file, also under another name, and your own" {
	in_mounts '
		mkdir -p homes/anna homes/real "it s"
		ln -s real homes/link
		{ cat /etc/passwd; echo "a:x:1:1::$here/homes/anna:/bin/sh"; echo "b:x:2:2:,,,:$here/homes/link:"; echo "c:x"; echo; echo "d:x:3:3::$here/it s/sub/"; printf "e:x:4:4::$here/last"; } >passwd
		mount --bind passwd /etc/passwd || exit 77
		for path in homes homes/anna homes/real "it s" "it s/sub" last; do
			$rm refused "$here/$path" >said && exit 1
			grep "somebody.s home" said
			[ -e "$here/$path" ] || continue
			$rm remove "$here/$path" >said && exit 1
			grep "^left 0 .*home" said
		done
		$rm refused "$here/homes/anna/x"
		$rm refused "$here/homes/ann"
		HOME=$here/homes/ann $rm refused "$here/homes/ann" && exit 1
		mkdir homes/ann
		HOME=$here/homes/ann $rm remove "$here/homes/ann" && exit 1
		HOME=/nowhere $rm remove "$here/homes/ann"
		[ -d homes/real ]
	'
}

@test "the ledger, what is in it and what holds it" {
	mkdir -p a/ledger/op b
	for path in a a/ledger a/ledger/op; do
		expect 8 "$rm" refused -l "$here/a/ledger" "$here/$path"
		ends left "$here/$path" -l "$here/a/ledger"
	done
	mv a/ledger b/hidden
	ln -s ../b/hidden a/ledger
	touch b/x
	ends failed "$here/b" -l "$here/a/ledger"
	has "$output" "b/hidden: it is the ledger"
	[ -d b/hidden/op ] && [ ! -e b/x ]
}

@test "the working folder and its parents may not be registered, but go when they are what was" {
	mkdir -p a/b/c
	cd a/b
	"$rm" refused "$here/a" && return 1
	ends removed "$here/a/b/c"
	ends failed "$here/a" -m -i - -a 0
	ends removed "$here/a"
	cd "$here"
}

@test "the home of the environment goes where dpl-temp made it" {
	mkdir -p a/home
	HOME=$here/a/home ends failed "$here/a"
	HOME=$here/a/home ends removed "$here/a" -m
}

@test "a mount point, and what is mounted below: the rest goes" {
	in_mounts '
		mkdir -p outside/sub tree/m/n tree/z tree/a plain
		touch outside/{1,2,sub/3} tree/{a,z}/f file of-a-file tree/file
		mount --bind outside tree/m/n || exit 77
		mount --bind file tree/file
		mount -t tmpfs none plain
		touch plain/kept
		$rm remove "$here/tree/m/n" && exit 1
		$rm remove "$here/plain" >said && exit 1
		grep "^left 0 .*mount point" said
		$rm refused "$here/plain" && exit 1
		$rm refused "$here/tree/m/n" && exit 1
		$rm remove "$here/tree" >said && exit 1
		grep "^failed 4 .*tree/.*a filesystem is mounted there" said
		[ "$(find outside -type f | wc -l)" -eq 3 ]
		[ -e plain/kept ] && [ -e file ]
		[ "$(cd tree && find . | sort | head -4 | paste -sd " ")" = ". ./file ./m ./m/n" ]
		# Another one is mounted where it was; then it is there again.
		id=$($rm identify "$here/outside")
		mount -t tmpfs none outside
		$rm remove -i "$id" "$here/outside" && exit 1
		umount outside tree/m/n tree/file
		$rm remove -i "$id" "$here/outside"
		$rm remove "$here/tree"
	'
}

@test "a bind mount of the ledger, of homes and of the working folder is known for what it is" {
	in_mounts '
		mkdir -p a/ledger a/home other seen
		mount --bind a seen || exit 77
		mkdir seen/more
		$rm refused -l "$here/a/ledger" "$here/seen/ledger" && exit 1
		HOME=$here/a/home $rm refused "$here/seen/home" && exit 1
		cd a/more
		$rm refused "$here/seen/more" && exit 1
		cd "$here"
		$rm remove "$here/seen/more"
	'
}

# --- links and races (58-59, 66) ---

@test "a link to a folder is deleted, not what it leads to; one above the path is refused" {
	mkdir real
	touch real/kept
	ln -s real link
	ln -s / root
	ln -s gone dangling
	ends left "$here/link/kept"
	has "$output" 'a symbolic link now'
	for link in link root dangling; do
		ends removed "$here/$link"
	done
	[ -e real/kept ]
}

@test "what was made again in its place stays" {
	touch it
	id=$("$rm" identify "$here/it")
	rm it
	touch it
	ends left "$here/it" -i "$id"
	has "$output" 'another file is there now (inode '
	rm it
	mkdir it
	ends left "$here/it" -i "$id"
	has "$output" 'a folder is there now, not a file'
	ln -sfn /etc it2
	ends left "$here/it2" -i "$id"
	rmdir it
	expect 1 "$rm" remove -i "$id" "$here/it"
	is "$output" 'gone 0'
	# By name it is taken where it is newer and of the same uid.
	added=$(date +%s%3N)
	touch it
	ends left "$here/it" -n -i "$id" -a $((added + 60000))
	ends left "$here/it" -n -i "$id" -a "$added" -u 12345
	ends removed "$here/it" -n -i "$id" -a "$added"
	# Without any identity, only what dpl-temp made.
	touch it
	ends left "$here/it" -i -
	ends left "$here/it" -i - -m -a $((added + 60000))
	ends left "$here/it" -i - -m -a "$added" -u 12345
	ends removed "$here/it" -i - -m -a "$added"
}

@test "what takes its place while it is found out what is protected stays" {
	strace -qq -o /dev/null true 2>/dev/null || skip 'no strace here'
	[ -z "${SANITIZED:-}" ] || skip 'strace and the sanitizers'
	touch it
	echo stays >other
	id=$("$rm" identify "$here/it")
	# It looks at what is there, and then, for two seconds, at whose home that might be.
	in_background strace -qq -o trace -P "$here" -P /etc/passwd -e trace=openat,statx -e inject=openat:delay_exit=2000000 "$rm" remove -i "$id" "$here/it" >said
	wait_for 'grep -q "^statx.*\"it\"" trace'
	mv other it
	ended "$pid"
	is "$status $(<said)" '3 failed 0 it was swapped for something else at this very moment'
	is "$(<it)" stays
}

# --- trees (60-63, 67-69) ---

@test "300 folders in each other: what can goes, and 256 go, with few descriptors too" {
	path=$here/deep
	mkdir deep
	(for ((i = 1; i < 300; i++)); do mkdir d && cd d && : >f || exit; done)
	mv d deep/d
	ends failed "$path"
	has "$output" 'it is deeper than 256 folders'
	is "$(find deep -type f | wc -l)" 44
	mkdir less
	(cd less && for ((i = 1; i < 256; i++)); do mkdir d && cd d && : >f || exit; done)
	(ulimit -n 16 && expect 0 "$rm" remove "$here/less" && is "$output" 'removed 511')
	[ ! -e less ]
	rm -r deep
}

@test "a wide folder, in little memory, and stopped on the way" {
	mkdir wide
	(cd wide && seq 8000 | xargs touch && seq 8001 8100 | xargs mkdir)
	ends stopped "$here/wide" -c 5
	has "$output" 'it was told to stop'
	ends stopped "$here/wide" -t 1
	has "$output" 'the time was over'
	[ -d wide ]
	if [ -z "${SANITIZED:-}" ]; then
		expect 0 env time -f %M "$rm" remove "$here/wide"
		[ "$stderr" -lt 8000 ]
	else
		ends removed "$here/wide"
	fi
	[ ! -e wide ]
}

@test "many links, huge and sparse files, open ones and a running program" {
	mkdir tree
	touch one tree/1
	(cd tree && perl -e 'for (2 .. 60000) { link("1", $_) or last }')
	links=$(stat -c %h tree/1)
	[ "$links" -ge 1000 ]
	truncate -s 100G tree/sparse
	cp "$(command -v sleep)" tree/sleep
	in_background tree/sleep 100
	exec 5>tree/open
	ends removed "$here/tree"
	is "$output" "removed $((links + 4))"
	exec 5>&-
	[ ! -e tree ]
	# One name of a file with many is as good as any other.
	ln one two
	ends removed "$here/one"
	[ -e two ]
}

@test "FIFOs, sockets and devices are not opened" {
	mkdir tree
	mkfifo fifo tree/fifo
	perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => $_, Listen => 1) or die for @ARGV' socket tree/socket
	if [ "$(id -u)" -eq 0 ]; then mknod tree/null c 1 3 2>/dev/null && mknod disk b 7 200 2>/dev/null || :; fi
	for path in fifo socket disk tree; do
		[ ! -e $path ] || expect 0 timeout 10 "$rm" remove "$here/$path"
	done
	is "$(find . -name fifo -o -name socket -o -name disk -o -name tree)" ''
}

@test "names with newlines, of 255 bytes, and that are not UTF-8" {
	long=$(printf 'x%.0s' {1..255})
	for name in $'a\nb' "$long" $'\xff\xfe' $'\e[2J' ' ' '-rf' '*' '~' $'a\u202eb' '...' '..x'; do
		mkdir -p -- "$here/tree/$name/$name"
		touch -- "$here/tree/$name/$name/$name" "$here/file-${name:0:240}"
		ends removed "$here/file-${name:0:240}"
	done
	ends removed "$here/tree"
	# Nor can they do anything in a reason.
	mkdir -p $'tree/\e[2J\n\xff'
	(cd tree/* && for ((i = 1; i < 260; i++)); do mkdir d && cd d || exit; done)
	ends failed "$here/tree"
	rm -r tree
}

@test "immutable and append-only files: the rest goes, and the reason says so" {
	in_mounts '
		truncate -s 8M image
		mkfs.ext4 -q image >/dev/null 2>&1 || exit 77
		mkdir -p disk
		mount -o loop image disk || exit 77
		mkdir -p disk/tree/{a,b,c}
		touch disk/tree/{a,b,c}/f disk/file
		chattr +i disk/tree/b/f disk/file || exit 77
		chattr +a disk/tree/c || exit 77
		chmod 755 disk disk/tree
		$rm remove "$here/disk/file" >said && exit 1
		grep "^failed 0 $here/disk/file: it or its folder is immutable (chattr +i)" said
		$rm remove "$here/disk/tree" >said && exit 1
		grep "^failed 2 $here/disk/tree/.*(chattr" said
		[ -e disk/tree/b/f ] && [ -e disk/tree/c/f ] && [ ! -e disk/tree/a ]
		chattr -i disk/tree/b/f disk/file
		chattr -a disk/tree/c
		$rm remove "$here/disk/tree"
		# A file system that is read-only.
		mount -o remount,ro disk
		$rm remove "$here/disk/file" >said && exit 1
		grep "^failed 0 .*ead-only" said
		umount disk
	'
}

@test "what is another user's stays, and folders of one's own without permission go" {
	public_folder
	as_other test -x "$rm" || skip 'the tool cannot be reached by other users'
	mkdir "$public/mixed" "$public/mixed/theirs" "$public/sticky"
	touch "$public/mixed/theirs/f" "$public/sticky/f"
	chown 54321 "$public/mixed"
	chmod 1777 "$public/sticky"
	as_other mkdir -p "$public/mixed/mine/go/mod"
	as_other touch "$public/mixed/mine/go/mod/f"
	as_other chmod 555 "$public/mixed/mine/go/mod" "$public/mixed/mine/go"
	as_other chmod 0 "$public/mixed/mine"
	expect 3 as_other "$rm" remove "$public/sticky/f"
	expect 3 as_other "$rm" remove "$public/mixed"
	has "$output" "$public/mixed/theirs/f: Permission denied"
	is "$(find "$public/mixed" | sed "s|$public/||" | sort | paste -sd ' ')" 'mixed mixed/theirs mixed/theirs/f'
}

@test "a kernel without openat2 is refused, with nothing deleted" {
	mkdir tree
	touch tree/kept file
	for path in tree file; do
		ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -f -o /dev/null -e trace=openat2 -e inject=openat2:error=ENOSYS "$rm" remove -i "$("$rm" identify "$here/$path")" "$here/$path" >said && return 1
		has "$(<said)" 'failed 0 ' 'openat2'
	done
	[ -e tree/kept ] && [ -e file ]
}
