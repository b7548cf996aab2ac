#!/usr/bin/env bats
# disk.bats - full and read-only disks, and file size limits
#
# Filesystems of its own, so only root can; they are taken away again in any case.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # each test is a subshell; journal.bash sets what is read

load tools/journal.bash

setup() {
	journal_setup
	[ "$(id -u)" -eq 0 ] || skip "only root can mount"
	[ -z "${SANITIZED:-}" ] || skip "slow, and the same code"
	mnt=$BATS_TEST_TMPDIR/mnt
	image=$BATS_TEST_TMPDIR/image
	mkdir "$mnt"
}

teardown() {
	cd / || return
	while [ -n "${mnt:-}" ] && mountpoint -q "$mnt"; do
		umount "$mnt" || umount -l "$mnt" || break
	done
}

# with_disk KIND KIB: a new filesystem at $mnt with the ledger on it.
with_disk() {
	case $1 in
	tmpfs)
		mount -t tmpfs -o "size=$2k" tmpfs "$mnt" 2>/dev/null || skip "tmpfs cannot be mounted here"
		;;
	*)
		need_tool "mkfs.$1"
		case $1 in
		ext4)
			truncate -s "$2k" "$image"
			mkfs.ext4 -q -m 0 "$image" >/dev/null 2>&1 || skip "mkfs.ext4 failed"
			;;
		xfs)
			truncate -s 310M "$image"
			mkfs.xfs -q "$image" || skip "mkfs.xfs failed"
			;;
		btrfs)
			truncate -s 120M "$image"
			mkfs.btrfs -q "$image" || skip "mkfs.btrfs failed"
			;;
		esac
		mount -o loop "$image" "$mnt" 2>/dev/null || skip "loop devices cannot be mounted here"
		;;
	esac
	export DPL_LEDGER=$mnt/ledger
}

# An operation with calls one … nine, on that disk.
with_operation() {
	local i
	op=$(dpl-create -d full)
	for i in one two three four five; do
		dpl-call start -q -o "$op" --id "$i"
	done
	j=$DPL_LEDGER/$op/journal.jsonl
}

# Use up the last byte, in large pieces and in small ones.
fill() {
	local size
	for size in 1M 64k 4k 512 1; do
		dd if=/dev/zero of="$mnt/fill.$size" bs="$size" 2>/dev/null || :
	done
	sync -f "$mnt"
	dd if=/dev/zero of="$mnt/fill.last" bs=4k 2>/dev/null || :
	! dd if=/dev/zero of="$mnt/fill.proof" bs=4k count=1 2>/dev/null || fail "the disk is not full"
}

full_disk() {
	with_disk "$1" 8192
	with_operation
	dpl-log -o "$op" before
	fill
	entries=$(wc -l <"$j")
	# What is not vital uses up what is free of the reserve at most, then is refused, and leaves nothing half written.
	for ((i = 0; i < 200; i++)); do
		try dpl-log -o "$op" "ordinary $i"
		[ "$status" -eq 0 ] || break
		entries=$((entries + 1))
	done
	[ "$status" -eq 9 ] || fail "the log never ended: $status"
	[[ $err == *"No space left on device"* ]] || fail "$err"
	expect 9 dpl-call start -j -o "$op"
	[ "$(jq -r .error.code <<<"$out")" = disk-full ] || fail "$out"
	expect 9 dpl-join -o "$op" -p bob
	expect 9 dpl-create
	[ "$(find "$DPL_LEDGER" -maxdepth 1 -name '.new-*' | wc -l)" -eq 0 ]
	[ "$(wc -l <"$j")" -eq "$entries" ] || fail "half written"
	[ -z "$(tail -c 1 "$j" | tr -d '\n')" ] || fail "half written"
	# What stops and ends an operation goes through.
	expect 0 dpl-show -q "$op"
	expect 0 dpl-abort -o "$op" -m full
	[ -z "$err" ] || fail "$err"
	expect 0 dpl-abort --check -o "$op"
	[ "$out" = full ]
	expect 0 dpl-call end -o "$op" one
	expect 0 dpl-call fail -o "$op" two -m full
	expect 0 dpl-leave -o "$op" --cancel
	expect 0 dpl-complete -o "$op" -m full
	[ "$out" = "completed, aborted" ] || fail "$out"
	[ -d "$DPL_LEDGER/backup/$op" ] || fail "not archived"
	[ ! -e "$DPL_LEDGER/$op" ] || fail "not archived"
	[ "$(wc -l <"$DPL_LEDGER/backup/$op/journal.jsonl")" -eq $((entries + 9)) ] || fail "$(tail -n 12 "$DPL_LEDGER/backup/$op/journal.jsonl")"
	expect 0 dpl-show "$op"
	# With room again the papers are made.
	rm "$mnt"/fill.*
	expect 0 dpl-show -q "$op"
	[ -s "$DPL_LEDGER/backup/$op/operation.json" ] || fail "no papers"
	[ -s "$DPL_LEDGER/backup/$op/operation.log" ] || fail "no papers"
	jq -e '.state == "completed" and .aborted' "$DPL_LEDGER/backup/$op/operation.json" >jq.out
	[ "$(wc -l <"$DPL_LEDGER/backup/$op/operation.log")" -eq $((entries + 9)) ] || fail "half a log"
	expect 0 dpl-create
}

@test "a full tmpfs" {
	full_disk tmpfs
}

@test "a full ext4" {
	full_disk ext4
}

@test "a full xfs" {
	full_disk xfs
}

# Btrfs cannot keep the reserve: the abort is what must work.
@test "a full btrfs" {
	with_disk btrfs 0
	with_operation
	fill
	expect 0 dpl-abort -o "$op" -m full
	expect 0 dpl-abort --check -o "$op"
}

@test "an abort when no byte can be written" {
	need_strace
	with_disk tmpfs 8192
	with_operation
	entries=$(wc -l <"$j")
	# Every append fails, on any filesystem.
	expect 0 strace -qq -o trace -e trace=write,fallocate -P "$j" -e inject=write,fallocate:error=ENOSPC dpl-abort -o "$op" -m lost
	grep -q INJECTED trace
	[[ $err == *"aborted all the same, the reason is lost"* ]] || fail "$err"
	[ "$(wc -l <"$j")" -eq "$entries" ]
	[ -x "$j" ]
	expect 0 dpl-abort --check -o "$op"
	expect 4 dpl-call start -o "$op"
	expect 0 dpl-show -j "$op"
	[ "$(jq .aborted <<<"$out")" = true ]
	expect 0 dpl-abort -o "$op" -m again # it stands
	expect 0 dpl-complete --cancel -o "$op"
	[ "$out" = "completed, aborted" ]
}

# cleanup_on KIND: somebody has died, much was registered, and the disk of the ledger is full.
cleanup_on() {
	local i
	with_disk "$1" 8192
	mkdir "$BATS_TEST_TMPDIR/things"
	op=$(dpl-create -p boss)
	export DPL_OPERATION=$op
	# Its leader is killed with it.
	setsid dpl-call -p boss -- sh -c '
		for i in $(seq 60); do dpl-temp make -q --tmpdir "$1"; done
		dpl-temp add -q --command "echo undone >>$1.undone"
		: >"$1.ready"
		exec sleep 60' - "$BATS_TEST_TMPDIR/things" 3>&- &
	pid=$!
	for ((i = 0; i < 1000; i++)); do
		[ ! -e things.ready ] || break
		sleep 0.01
	done
	[ "$(find things -type f | wc -l)" -eq 60 ] || fail "not made"
	j=$DPL_LEDGER/$op/journal.jsonl
	fill
	for ((i = 0; i < 200; i++)); do
		try dpl-log "ordinary $i"
		[ "$status" -eq 0 ] || break
	done
	kill -KILL "$pid"
	wait "$pid" || :
	try dpl-cleanup
	[ "$status" -le 1 ] || fail "$status $err"
	[ "$(find things -type f | wc -l)" -eq 0 ] || fail "$(find things | wc -l) are left"
	grep -q '"event":"operation.failed"' "$DPL_LEDGER"/{,backup/}"$op/journal.jsonl" 2>/dev/null || fail "not failed"
	rm "$mnt"/fill.*
	expect 0 dpl-cleanup
	[ -d "$DPL_LEDGER/backup/$op" ] || fail "not archived"
	[ "$(cat things.undone)" = undone ] || fail "$(cat things.undone)"
	# Each has its entry in the end.
	[ "$(grep -c '"event":"resource.removed"' "$DPL_LEDGER/backup/$op/journal.jsonl")" -eq 61 ] || fail "not all recorded"
}

@test "a cleanup on a full tmpfs: all that was registered goes, and what could not be recorded is later" {
	cleanup_on tmpfs
}

@test "a cleanup on a full ext4" {
	cleanup_on ext4
}

@test "a cleanup on a full xfs" {
	cleanup_on xfs
}

@test "an abort when the reserve is used up too" {
	with_disk tmpfs 4096
	# All in one line of the journal's last page: an operation whose journal ends where a page ends.
	op=$(dpl-create)
	j=$DPL_LEDGER/$op/journal.jsonl
	seq=1
	while size=$(stat -c %s "$j") && [ $((4096 - size % 4096)) -gt 350 ]; do
		dpl-log -o "$op" filling up
		seq=$((seq + 1))
	done
	truncate -s "$size" "$j" # give the reserve back …
	free=$((4096 - size % 4096))
	fill # … and let something else have it
	head=$(printf '{"seq":%d,"at":"2026-11-22T14:30:45.123Z","by":"alice","event":"log","message":""}\n' $((seq + 1)) | wc -c)
	[ "$free" -gt "$head" ] || skip "the page ends badly"
	printf '{"seq":%d,"at":"2026-11-22T14:30:45.123Z","by":"alice","event":"log","message":"%s"}\n' $((seq + 1)) "$(printf "%0$((free - head))d" 0)" >>"$j"
	[ $(($(stat -c %s "$j") % 4096)) -eq 0 ]
	before=$(sha256sum <"$j")
	expect 0 dpl-abort -o "$op" -m lost
	[[ $err == *"reason is lost"* ]] || fail "$err"
	[ "$(sha256sum <"$j")" = "$before" ]
	expect 0 dpl-abort --check -o "$op"
	expect 9 dpl-complete -o "$op"
	[ "$(sha256sum <"$j")" = "$before" ]
	rm "$mnt"/fill.*
	expect 0 dpl-complete -o "$op"
	[ "$out" = "completed, aborted" ]
}

@test "a disk that is full at first and has room later" {
	with_disk tmpfs 8192
	with_operation
	fill
	for ((i = 0; i < 200; i++)); do
		try dpl-log -o "$op" "ordinary $i"
		[ "$status" -eq 0 ] || break
	done
	[ "$status" -eq 9 ]
	entries=$(wc -l <"$j")
	rm "$mnt"/fill.*
	expect 0 dpl-log -o "$op" later
	[ "$(wc -l <"$j")" -eq $((entries + 1)) ]
	[ -z "$err" ]
}

@test "a read-only disk can be read, and a change is refused" {
	with_disk tmpfs 8192
	with_operation
	dpl-log -o "$op" hello
	ended=$(dpl-create)
	dpl-complete -q -o "$ended"
	dpl-create -q
	mount -o remount,ro "$mnt"
	expect 0 dpl-show "$op"
	expect 0 dpl-show "$ended"
	expect 0 dpl-show -aq
	[ "$(wc -l <<<"$out")" -eq 3 ]
	expect 0 dpl-log -q -o "$op"
	[ "$out" = hello ]
	expect 0 dpl-call list -q -o "$op"
	expect 1 dpl-abort --check -o "$op"
	for command in "dpl-log -o $op x" "dpl-call start -o $op" "dpl-call end -o $op one" "dpl-abort -o $op" "dpl-complete -o $op --cancel" "dpl-join -o $op" "dpl-leave -o $op --cancel" dpl-create; do
		# shellcheck disable=SC2086 # words
		expect 8 $command
		[[ $err == *"Read-only file system"* ]] || fail "$command: $err"
	done
	expect 8 dpl-abort -j -o "$op"
	[ "$(jq -r .error.code <<<"$out")" = permission-denied ]
}

@test "an ended operation in the live place of a read-only disk is shown as ended" {
	with_disk tmpfs 8192
	with_operation
	dpl-complete -q -o "$op" --cancel
	mv "$DPL_LEDGER/backup/$op" "$DPL_LEDGER/$op"
	rm "$DPL_LEDGER/$op"/operation.*
	mount -o remount,ro "$mnt"
	expect 0 dpl-show "$op"
	[[ $out == *completed* ]]
	expect 6 dpl-log -o "$op" x
	expect 0 dpl-show -aq
}

@test "a limit on the size of files" {
	op=$(dpl-create)
	j=$DPL_LEDGER/$op/journal.jsonl
	dpl-log -o "$op" "$(printf '%03000d' 0)"
	before=$(sha256sum <"$j")
	# bash counts in KiB
	expect 9 bash -c 'ulimit -f 3 && exec dpl-log -o "$1" "$(printf %01000d 0)"' sh "$op"
	[[ $err == *"File too large"* ]] || fail "$err"
	[ "$(sha256sum <"$j")" = "$before" ]
	expect 9 bash -c 'ulimit -f 0 && exec dpl-create' sh
	[ "$(dpl-show -q)" = "$op" ]
	expect 0 dpl-log -o "$op" later
	[ -z "$err" ]
}
