#!/usr/bin/env bats
# power.bats - what a power cut leaves: an image of the filesystem at one instant, while processes change the ledgers on it
#
# The image lies on an xfs, which clones it at once; what the filesystem in it has not yet written is not in the clone.  What the disk was given
# it keeps here: that flushes reach it is the filesystem's.  POWER_CUTS is how many for each filesystem, POWER_SEED repeats the choices.
#
# Not beside tests that make mount namespaces, and so only where POWER_CUTS is set (make power): such a namespace has the mount as well, until some
# time after its end, and what is still written back then goes into the next cut.

# shellcheck disable=SC2154 # helper.bash sets them

load helper

setup() {
	fresh_ledger
	unset DPL_SYNC DPL_LEDGER DPL_PARTICIPANT
	[ "$(id -u)" -eq 0 ] || skip 'only root can mount'
	[ -z "${SANITIZED:-}" ] || skip 'slow, and the same code'
	power=$BUILD/tools/power
	[ -x "$power" ] || skip 'power is not built (make test-tools)'
	seed=${POWER_SEED:-$RANDOM}
	cuts=${POWER_CUTS:-}
	[ -n "$cuts" ] || skip 'POWER_CUTS says how many'
	mkdir outer inner seen
	command -v mkfs.xfs >/dev/null || skip 'mkfs.xfs is not installed'
	# Sparse; a cut takes what is written until the next.
	truncate -s 64G disk
	mkfs.xfs -q -m reflink=1 disk >mkfs.out 2>&1 || skip 'mkfs.xfs makes no reflinks'
	mount -o loop,discard disk outer 2>/dev/null || skip 'loop devices cannot be mounted here'
}

teardown() {
	local mnt
	end_background
	cd / || return
	for mnt in "$BATS_TEST_TMPDIR/inner" "$BATS_TEST_TMPDIR/outer"; do
		while mountpoint -q "$mnt"; do
			umount "$mnt" || umount -l "$mnt" || break
		done
		[ -z "${loop:-}" ] || losetup -d "$loop" || :
		loop=
	done
}

# put_in KIB: a filesystem of $kind there, with its defaults.
put_in() {
	command -v "mkfs.$kind" >/dev/null || skip "mkfs.$kind is not installed"
	truncate -s "$1k" outer/image
	"mkfs.$kind" -q outer/image >mkfs.out 2>&1 || skip "mkfs.$kind failed"
	loop=$(losetup --find --show outer/image) || skip 'no loop device is free'
	mount "$loop" inner 2>/dev/null || skip "$kind cannot be mounted here"
}

# put_back N: the cut N, at the same place and on the same device, since the boot is the same.
put_back() {
	cp --reflink=always "outer/image.$1" outer/image && rm "outer/image.$1"
	# btrfs takes no older image of what it has seen.
	[ "$kind" != btrfs ] || btrfs device scan --forget >forget.out 2>&1
	# What is kept of the image before, where somebody else has the device open at this moment.
	blockdev --flushbufs "$loop"
	mount "$loop" inner
}

# run_and_cut CUTS MS: work on it, and cut it, MS apart and more.
run_and_cut() {
	expect 0 "$power" run -r "$seed" -n "$1" -w "$2" inner outer/image seen
	echo "# $kind, seed $seed: $output" >&3
	umount inner
}

# check N: the cut N, its journal replayed by the mount.  btrfs has a bug there: a folder that was moved gets two links, which it refuses.
check() {
	status=0
	if ! put_back "$1" 2>seen/wrong; then
		refused=$((refused + 1))
		[ "$kind" = btrfs ] || status=32
		return 0
	fi
	"$power" check inner seen "$1" >seen/said 2>seen/wrong 3>&- || status=$?
	umount inner
	cat seen/said >>seen/all
}

survives() {
	local i failed=0 refused=0
	run_and_cut "$cuts" "$1"
	for ((i = 1; i <= cuts; i++)); do
		check "$i"
		[ "$status" -ne 0 ] || continue
		echo "cut $i: exit $status"
		head -n 20 seen/wrong
		failed=1
	done
	echo "# $(awk '{a += $1; t += $9; c += $11; u += $13} END {
		printf "%d cuts, %d changes acknowledged before the last, %d in all; %d torn ends, %d checkpoints, %d unflushed entries lost",
			NR, $1, a, t, c, u}' seen/all); $refused not mounted" >&3
	# So that the last of them had something to lose.
	[ "$(tail -n 1 seen/all | cut -d ' ' -f 1)" -gt 50 ] && [ "$((refused * 4))" -le "$cuts" ] && [ "$failed" -eq 0 ]
}

@test "power cuts on ext4" {
	kind=ext4
	put_in 131072
	survives 40
}

@test "power cuts on xfs" {
	kind=xfs
	put_in 327680
	survives 40
}

@test "power cuts on btrfs" {
	kind=btrfs
	put_in 262144
	survives 90 # slower, and it has as much to lose
}

# Nothing but its own flush takes a name off a btrfs before 30 s are over.
@test "what was recorded as removed does not come back with a power cut" {
	local a op
	kind=btrfs
	put_in 262144
	export DPL_LEDGER=$PWD/inner/ledger
	op=$(dpl-create)
	export DPL_OPERATION=$op
	mkdir inner/one inner/two
	a=$(dpl-temp make --tmpdir "$PWD/inner/one")
	dpl-temp make -d --tmpdir "$PWD/inner/two" >made
	dpl-temp make --tmpdir "$PWD/inner/two" >made
	sync -f inner
	expect 0 dpl-temp remove "$a"
	cp --reflink=always outer/image outer/image.1
	expect 0 dpl-complete
	cp --reflink=always outer/image outer/image.2
	umount inner
	for i in 1 2; do
		put_back "$i"
		[ ! -e "$a" ] || { echo "$a is back after cut $i"; return 1; }
		[ "$i" -eq 1 ] || is "$(names inner/two)" ''
		is "$(grep -c '"result":"removed"' "$(ledger=$DPL_LEDGER journal "$op")")" $((i * 2 - 1))
		umount inner
	done
}

@test "without flushes a power cut loses what was acknowledged, and that is seen" {
	kind=ext4
	put_in 131072
	DPL_SYNC=off run_and_cut 3 40
	check 3
	is "$status" 1
	has "$(cat seen/wrong)" 'there is no operation'
}
