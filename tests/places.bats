#!/usr/bin/env bats
# Who is alive: clocks that are set, other boots, other namespaces, full and read-only disks, and what the kernel does not give

# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # jq's $ and conditions of wait_for; each test is a subshell; helper.bash sets them

load helper
load tools/beat.bash

setup() {
	fresh_ledger
	quick_operation
}

# mounted COMMAND ...: in a mount namespace of its own.
mounted() {
	unshare -m --propagation private "$@"
}

# --- clocks, boots, namespaces ---

@test "a wall clock that was set kills nobody, and keeps nobody alive" {
	idler
	dpl-join -qp w --ttl 1h --pid "$pid"
	for shift in 3600000 -3600000 31536000000 -31536000000; do
		beatfile "$ops/beats/p-w" "wall=$shift"
		expect 0 dpl-beat --json
		holds '.people[1] | .liveness == "alive" and .beatAgeMs < 60000'
	done
	# By the monotonic clock it is over, whatever the other says.
	dpl-join -qp v --ttl 20s --pid "$pid"
	for shift in 3600000 -3600000; do
		beatfile "$ops/beats/p-v" mono=30000 "wall=$shift"
		is "$(life v)" stale
	done
}

@test "leases across boots go by the wall clock" {
	idler
	dpl-join -qp w --ttl 1h --pid "$pid"
	other=00000000-1111-2222-3333-444444444444
	# The same machine or another is the same for a lease.
	for machine in '' 0123456789abcdef0123456789abcdef; do
		beatfile "$ops/beats/p-w" age=0 bootId=$other mono=-5000000000 ${machine:+machineId=$machine}
		is "$(life w)" alive
		beatfile "$ops/beats/p-w" wall=-3600000
		is "$(life w)" alive
		expect 0 dpl-beat -q
		# Also where the other boot's clock happens to be like ours.
		beatfile "$ops/beats/p-w" age=0 wall=3500000
		is "$(life w)" alive
		dpl-join -qp w --ttl 1h --pid "$pid"
	done
	# The journal's last word of it is older than its file, as after a night.
	sed -i 's/\("at":"\)20[0-9]*-/\12001-/' "$ops/journal.jsonl"
	beatfile "$ops/beats/p-w" bootId=$other mono=0 wall=3700000
	is "$(life w)" stale
	has "$(evidence w)" 'no sign of it for 370'
	expect 5 dpl-beat -q -v
	is "$(deaths w)" 1
}

@test "another time namespace: nobody who lives is declared dead, and a dead one is" {
	need_unshare -T --monotonic 100000
	idler
	dpl-join -qp default --pid "$pid"
	short_lease 300
	dpl-join -qp given --ttl 20s --pid "$pid"
	dpl-join -qp inside --ttl 1h --pid "$pid"
	wait_for '[ "$(life default)" = suspect ]'
	for offset in 100000 -60; do
		unshare -T --monotonic "$offset" --boottime "$offset" true 2>/dev/null || continue
		expect 0 unshare -T --monotonic "$offset" --boottime "$offset" dpl-beat -qp inside
		# Each is looked at from the other's clock.
		is "$(life inside)" alive
		is "$(life default)" suspect
		expect 0 unshare -T --monotonic "$offset" --boottime "$offset" dpl-beat --json -p given
		holds '.crashed == false and (.people[1:] | map(.liveness) == ["suspect", "alive", "alive"])'
		holds '.heartbeatAgeMs < 20000'
	done
	# The journal's last word of it is as old as its file.
	sed -i '/"given"/s/\("at":"\)20[0-9]*-/\12001-/' "$ops/journal.jsonl"
	over given
	kill -9 "$pid"
	ended "$pid"
	expect 5 unshare -T --monotonic 100000 --boottime 100000 dpl-beat --json -p inside
	# With that it has ended: of those who lived nobody says so any more.
	holds '.state == "failed" and .staleParticipants == ["default", "given"]'
	holds '.people[1:] | map(.liveness) == ["dead", "dead", null]'
	is "$(jq -r 'select(.event == "crash.detected") | .participantId' <(journal_text "$op") | paste -sd ' ')" 'default given'
	settled
}

@test "a process that was registered in another time namespace is left to those in there" {
	local there=(unshare -T --monotonic 100000 --boottime 100000)
	need_unshare "${there[@]:1}"
	idler
	kept=$pid
	in_background "${there[@]}" bash -c "dpl-temp add -q --process $kept; touch added; until [ -e go ]; do sleep 0.05; done; dpl-cleanup -q \$DPL_OPERATION"
	inside=$pid
	wait_for '[ -e added ]'
	is "$(last_entry "$op" '[.event, .pid, .timeNs] | @csv')" "\"resource.added\",$kept,$(stat -Lc %i "/proc/$inside/ns/time_for_children")"
	dpl-complete -q
	expect 1 dpl-cleanup "$op"
	has "$output" elsewhere "process $kept" 'it is in another time namespace'
	expect 1 "${there[@]}" dpl-cleanup "$op" # a third one
	kill -0 "$kept"
	is "$(count '.event == "resource.removed"')" 0
	touch go
	ended "$inside"
	is "$status" 0
	wait_for 'gone "$kept"'
	is "$(jq -r 'select(.event == "resource.removed").result' <(journal_text "$op"))" removed
	# And the other way round.
	quick_operation
	idler
	dpl-temp add -q --process "$pid"
	"${there[@]}" dpl-complete -q
	kill -0 "$pid"
	expect 0 dpl-cleanup "$op"
	wait_for 'gone "$pid"'
}

@test "what is just being made in another time namespace does not stay" {
	need_strace
	need_unshare -T --boottime 100000
	mkdir tmp
	in_background env TMPDIR="$PWD/tmp" unshare -T --boottime 100000 \
		strace -D -qq -o trace -e trace=utimensat -e inject=utimensat:signal=STOP:when=1 dpl-temp make -d
	wait_for 'grep -q "stopped by SIGSTOP" trace'
	maker=$(last_entry "$op" .pid)
	is "$(names tmp)" ''
	expect 0 dpl-complete
	has "$stderr" "process $maker is just making it"
	kill -CONT "$maker"
	ended "$pid"
	dpl-cleanup -q "$op"
	is "$(names tmp)" ''
	[ -e "$ledger/backup/$op" ]
}

@test "another PID namespace: a lease goes by its time alone" {
	need_unshare -pf --mount-proc
	idler
	dpl-join -qp outside --ttl 20s --pid "$pid"
	unshare -pf --mount-proc dpl-join -qp inside --ttl 1h
	expect 0 dpl-beat --json
	holds '.people | map(.liveness) == ["alive", "alive", "alive"]'
	expect 0 unshare -pf --mount-proc dpl-beat --json -p inside
	holds '.people | map(.liveness) == ["alive", "alive", "alive"]'
	over outside
	expect 5 unshare -pf --mount-proc dpl-beat -p inside
	is "$(deaths outside)" 1
	is "$(deaths)" 1
}

@test "a pid that was given to another process is not taken for the one that joined" {
	need_unshare -pf --mount-proc
	[ -w /proc/sys/kernel/ns_last_pid ] || skip 'the next pid cannot be chosen here'
	short_lease 300
	cat >reuse <<-'END'
		sleep 1000 &
		first=$!
		dpl-join -qp w --pid "$first"
		# The clock of start times ticks 100 times a second.
		start() { cut -d' ' -f22 "/proc/$1/stat"; }
		began=$(start "$first")
		kill -9 "$first"
		wait "$first" 2>/dev/null
		for try in 1 2 3 4 5 6 7 8 9 10; do
			until [ "$(sh -c 'cut -d" " -f22 /proc/$$/stat')" -gt $((began + 2)) ]; do :; done
			echo $((first - 1)) >/proc/sys/kernel/ns_last_pid
			sleep 1000 &
			[ $! = "$first" ] && break
			kill -9 $!
		done
		[ $! = "$first" ] || exit 77
		beatfile "$1" age=5000
		dpl-show --json | jq -r '.participants[1] | .liveness, .evidence'
		dpl-beat -q -v >/dev/null
		echo $?
		kill -0 "$first" && echo "it lives"
	END
	expect 0 unshare -pf --mount-proc --kill-child bash reuse "$ops/beats/p-w" || { [ "$status" -eq 77 ] && skip 'no pid came round'; }
	is "$(sed -n 1p out)" stale
	has "$(sed -n 2p out)" 'the process that joined is gone'
	is "$(sed -n 3,4p out | paste -sd ' ')" '5 it lives'
}

@test "an undo command of another mount or PID namespace is not run here, where it would mean other files and processes" {
	need_unshare -m
	mkdir host other
	echo host >host/data
	echo other >other/data
	in_background unshare -m --propagation private sh -c 'mount --bind other host && dpl-temp add -q --command "rm $PWD/host/data" && exec tail -f /dev/null'
	inside=$pid
	wait_for '[ "$(count ".event == \"resource.added\"")" = 1 ]'
	expect 0 dpl-complete
	has "$stderr" 'another mount namespace'
	is "$(cat host/data)" host
	expect 1 dpl-cleanup "$op"
	expect 0 nsenter -m -t "$inside" sh -c "cd '$PWD' && exec dpl-cleanup '$op'"
	is "$(cat host/data)" host
	[ ! -e other/data ]
	need_unshare -pf --mount-proc
	op=$(dpl-create)
	unshare -pf dpl-temp add -q -o "$op" --command 'echo run >>ran'
	expect 0 dpl-complete -o "$op"
	has "$stderr" 'another PID namespace'
	[ ! -e ran ]
}

@test "an observer and a keeper whose wall clocks are wrong by an hour" {
	[ -z "${SANITIZED:-}" ] || skip 'libfaketime and the sanitizers exclude each other'
	lib=$(find /usr/lib* -name libfaketime.so.1 2>/dev/null | head -n 1)
	[ -n "$lib" ] || skip 'libfaketime is not installed'
	# It works on programs that are linked dynamically, and there from the ninth reading of a clock on.
	make -s -C "$root" BUILD="$BATS_TEST_TMPDIR/dynamic" CMD_CC="${CC:-cc}" CMD_CFLAGS=-O0 CMD_LDFLAGS='' CMD_HEAP='' \
		"$BATS_TEST_TMPDIR/dynamic/bin/dpl-beat" >/dev/null
	wrong() {
		LD_PRELOAD=$lib FAKETIME=$1 FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 "${@:2}"
	}
	idler
	dpl-join -qp given --ttl 20s --pid "$pid"
	dpl-join -qp default --pid "$pid"
	dpl-join -qp kept --pid "$pid"
	keeper=$(wrong +1h dynamic/bin/dpl-beat --keep --pid "$pid" -p kept --every 50ms)
	wait_for '[ "$(beatfile "$ops/beats/p-kept" | sed "s/.*wallAge=\(-*[0-9]*\).*/\1/")" -lt -3000000 ]'
	for shift in +1h -1h; do
		in_background wrong "$shift" dynamic/bin/dpl-beat --every 30ms --json >said
		# Its clock is wrong, and it goes on looking.
		wait_for '[ "$(beatfile "$ops/beats/p-me" | sed "s/.*wallAge=\(-*[0-9]*\).*/\1/;s/-//")" -gt 3000000 ]'
		n=$(wc -l <said)
		wait_for '[ "$(wc -l <said)" -gt $((n + 5)) ]'
		output=$(tail -n 1 said)
		holds '.crashed == false and (.people | map(.liveness) == ["alive", "alive", "alive", "alive"])'
		expect 0 dpl-beat --json
		holds '.people | map(.liveness) == ["alive", "alive", "alive", "alive"]'
		kill "$pid"
		ended "$pid"
	done
	in_background wrong -1h dynamic/bin/dpl-beat --every 30ms -q
	over given
	ended "$pid"
	is "$status" 5
	# The keeper goes on to the end.
	wait_for settled
	is "$(deaths given)" 1
	is "$(deaths)" 1
	wait_for 'gone "$keeper"'
}

@test "held ones after a reboot of this machine, and on another machine" {
	op=$(dpl-create --pid $$)
	export DPL_OPERATION=$op
	ops=$ledger/$op
	idler
	dpl-join -qp w --pid "$pid"
	keeper=$(dpl-beat --keep --pid "$pid" -p w)
	# Held now: whatever else the file says.
	beatfile "$ops/beats/p-w" bootId=00000000-1111-2222-3333-444444444444 wall=3600000 mono=3600000
	[ "$(life w)" != dead ]
	expect 0 dpl-beat -v
	kill -9 "$keeper"
	wait_for 'gone "$keeper"'
	# The process of that number is another one.
	is "$(life w)" dead
	is "$(evidence w)" 'its machine has booted since'
	beatfile "$ops/beats/p-w" machineId=0123456789abcdef0123456789abcdef age=0
	is "$(life w)" suspect
	has "$(evidence w)" 'another machine'
	expect 0 dpl-beat -v
	beatfile "$ops/beats/p-w" wall=30000
	is "$(life w)" stale
	expect 5 dpl-beat -v
	is "$(deaths w)" 1
}

@test "a keeper in another time namespace" {
	need_unshare -T --monotonic 100000
	idler
	dpl-join -qp w --pid "$pid"
	keeper=$(unshare -T --monotonic 100000 --boottime 100000 dpl-beat --keep --pid "$pid" -p w)
	t=$(date +%s%3N)
	wait_for '[ "$(date +%s%3N)" -gt $((t + stale + 200)) ]'
	is "$(life w)" alive
	expect 0 dpl-beat -v
	kill -9 "$keeper"
	wait_for 'gone "$keeper"'
	is "$(life w)" suspect
	expect 0 dpl-beat -v
	kill -9 "$pid"
	ended "$pid"
	expect 5 dpl-beat -v
	is "$(deaths)" 1
	# And the other way round.
	quick_operation
	idler
	dpl-join -qp v --pid "$pid"
	keeper=$(dpl-beat --keep --pid "$pid" -p v)
	expect 0 unshare -T --monotonic 100000 --boottime 100000 dpl-beat --json
	holds '.people[-1] | .participantId == "v" and .liveness == "alive" and .beatAgeMs < 5000'
	kill -9 "$pid"
	wait_for '[ "$(deaths v)" = 1 ]'
	wait_for settled
}

@test "a keeper in another PID namespace: its lock is seen, and its death" {
	need_unshare -pf --mount-proc
	cat >inside <<-'END'
		sleep 1000 &
		dpl-join -qp w --keep=$!
		echo $! >kept
		touch ready
		sleep 1000
	END
	in_background unshare -pf --mount-proc --kill-child bash inside
	wait_for '[ -e ready ]'
	is "$(life w)" alive
	expect 0 dpl-beat --json
	holds '.people[1] | .mode == "held" and .liveness == "alive"'
	# A second one from here is refused, and not by a number that means another process here.
	idler
	expect 6 dpl-beat --keep --pid "$pid" -p w
	refused dpl-beat 'of another PID namespace or host'
	# All of the namespace goes.
	outer=${background[0]}
	kill -9 "$outer"
	ended "$outer"
	wait_for '[ "$(life w)" = dead ]'
	expect 5 dpl-beat -v
	is "$(deaths)" 1
}

@test "an observer that was stopped with all others gives everybody a fresh start" {
	[ -z "${SANITIZED:-}" ] || skip 'a matter of time'
	dpl-join -qp w --ttl 2s
	in_background dpl-beat --every 50ms -q -p w
	beater=$pid
	idler
	dpl-join -qp v --pid "$pid"
	keeper=$(dpl-beat --keep --pid "$pid" -p v)
	in_background dpl-beat --every 50ms >observed
	observer=$pid
	# What has only just come knows of no time before.
	wait_for '[ -s observed ] && [ "$(life v)" = alive ]'
	kill -STOP "$beater" "$keeper" "$observer"
	t=$(date +%s%3N)
	wait_for '[ "$(date +%s%3N)" -gt $((t + 3000)) ]'
	is "$(life w)" stale
	is "$(life v)" hung
	# Those who judge go on first.
	kill -CONT "$observer" "$keeper"
	t=$(date +%s%3N)
	wait_for '[ "$(date +%s%3N)" -gt $((t + 200)) ]'
	kill -CONT "$beater"
	wait_for '[ "$(life w)" = alive ]'
	t=$(date +%s%3N)
	wait_for '[ "$(date +%s%3N)" -gt $((t + 2200)) ]'
	is "$(deaths)" 0
	# One that stays away is found all the same.
	kill -9 "$beater"
	ended "$beater"
	ended "$observer"
	is "$status" 5
	is "$(deaths w)" 1
	kill "$keeper"
}

# --- disks ---

@test "a read-only ledger: a beat is refused, looking goes on" {
	need_unshare -m
	dpl-join -qp w --ttl 20s
	over w
	cat >inside <<-'END'
		mount --bind "$DPL_LEDGER" "$DPL_LEDGER" && mount -o remount,bind,ro "$DPL_LEDGER" || exit 77
		"$@"
	END
	mounted bash inside true || skip 'mount(8) is not allowed here'
	before=$(sum)
	expect 8 mounted bash inside dpl-beat
	refused dpl-beat 'Read-only file system'
	expect 8 mounted bash inside dpl-beat --json -v
	json_error permission-denied
	expect 8 mounted bash inside dpl-beat --progress 1
	expect 0 mounted bash inside dpl-show --json
	holds '.participants | map(.liveness) == ["alive", "stale"]'
	idler
	expect 8 mounted bash inside dpl-beat --keep --pid "$pid"
	is "$(sum)" "$before"
}

@test "a full disk: beats go on, a death is recorded, a progress is refused and counts as a beat" {
	need_unshare -m
	cat >inside <<-'END'
		set -eu
		mkdir disk
		mount -t tmpfs -o size=512k tmpfs disk 2>/dev/null || exit 77
		export DPL_LEDGER=$PWD/disk/ledger
		op=$(dpl-create --beat 100ms --jitter 20ms --stale 500ms)
		export DPL_OPERATION=$op
		beats=$DPL_LEDGER/$op/beats
		dpl-join -qp w --ttl 20s
		dpl-join -qp v
		dd if=/dev/zero of=disk/fill bs=4k 2>/dev/null || true
		dd if=/dev/zero of=disk/fill2 bs=1 count=4096 2>/dev/null || true
		# What may not use the reserve uses up the rest.
		for i in {1..300}; do
			dpl-log -q "$i" 2>/dev/null || break
		done
		echo "log $i"
		beatfile "$beats/p-v" age=30000
		dpl-beat -p v
		beatfile "$beats/p-v" age=30000
		status=0
		dpl-beat -p v --progress 1 2>err || status=$?
		echo "progress $status $(grep -c 'No space left' err)"
		beatfile "$beats/p-v" | grep -o 'monoAge=[0-9]*'
		status=0
		dpl-beat --keep --pid $$ >/dev/null 2>&1 || status=$?
		echo "keep $status"
		beatfile "$beats/p-w" age=30000
		status=0
		dpl-beat -v >/dev/null || status=$?
		echo "beat $status"
		# It cleans up for a tenth of a second; what it did not get done is the next beat's.
		end=$((SECONDS + 30))
		while [ -e "$DPL_LEDGER/$op" ] && [ "$SECONDS" -lt "$end" ]; do
			dpl-beat -q >/dev/null 2>&1 || true
			sleep 0.05
		done
		cat "$DPL_LEDGER"/{,backup/}"$op"/journal.jsonl 2>/dev/null | grep -o 'crash.detected\|operation.failed\|operation.archived' | paste -sd ' '
	END
	status=0
	mounted bash inside >said 2>&1 || status=$?
	[ "$status" -ne 77 ] || skip 'tmpfs cannot be mounted here'
	has "$(<said)" running 'progress 9 1' 'beat 5' 'crash.detected operation.failed operation.archived'
	[ "$(sed -n 's/^log //p' said)" -lt 300 ]
	[ "$(sed -n 's/^monoAge=//p' said)" -lt 20000 ]
	# Its file is there already and needs no more room.
	has "$(<said)" 'keep 0'
}

# --- what the system does not give ---

@test "an observer without descriptors declares nobody dead that it cannot see" {
	command -v prlimit >/dev/null || skip 'no prlimit(1)'
	short_lease 300
	idler
	sleeper=$pid
	dpl-join -qp default --pid "$sleeper"
	dpl-join -qp kept --ttl 20s --pid "$sleeper"
	keeper=$(dpl-beat --keep --pid "$sleeper" -p kept)
	in_background dpl-call -- sleep 1000
	wait_for '[ -n "$(dpl-call list -q)" ]'
	# A participant that lives by its call alone.
	dpl-join -qp caller --ttl 20s
	in_background dpl-call -p caller -- sleep 1000
	wait_for '[ "$(dpl-call list -q | wc -l)" = 2 ]'
	supervisor=$pid
	kill -STOP "$supervisor"
	wait_for 'grep -q "^State:.T" "/proc/$supervisor/status"'
	# The journal has not heard of them for long.
	sed 's/\("at":"\)20[0-9]*-/\12001-/' "$ops/journal.jsonl" >longago
	dd if=longago of="$ops/journal.jsonl" conv=notrunc status=none
	over caller
	aged default 5000
	beats=0
	for n in {3..16}; do
		status=0
		prlimit --nofile="$n" dpl-beat -v >out 2>err || status=$?
		[ "$status" -ne 0 ] || beats=$((beats + 1))
		is "$(deaths)" 0
	done
	[ "$beats" -gt 0 ]
	is "$(life default) $(life kept) $(life caller)" 'suspect alive alive'
	kill -CONT "$supervisor"
	kill "$keeper"
}

# --- no inotify ---

@test "without inotify a keeper looks by itself: an abort arrives, a death is told at once" {
	need_unshare -Ur
	cat >inside <<-'END'
		echo 0 >/proc/sys/user/max_inotify_instances || exit 77
		timeout 20 dpl-beat --every 50ms -v >said 2>verbose &
		dpl-join -qp w --keep=$$ --grace 300ms
		dpl-join -qp v
		touch ready
		sleep 1000
	END
	in_background unshare -Ur bash inside
	wait_for '[ -e ready ] || gone "$pid"'
	[ -e ready ] || skip 'a user namespace cannot be limited here'
	wait_for 'grep -q "no inotify to be had" verbose'
	t=$(date +%s%3N)
	dpl-abort
	ended "$pid"
	[ $(($(date +%s%3N) - t)) -lt 8000 ]
	wait_for '[ "$(entries "$op" | grep -c participant.left)" = 1 ]'
	is "$(deaths)" 0
	dpl-abort --clear
	sed -i '/every/d;s/^sleep 1000$/exit 0/' inside
	unshare -Ur bash inside
	wait_for '[ "$(deaths w)" = 1 ]'
}

@test "without inotify, one that ends because of the abort by itself has left" {
	need_unshare -Ur
	op=$(dpl-create --beat 1500ms --stale 5s)
	export DPL_OPERATION=$op
	cat >inside <<-'END'
		echo 0 >/proc/sys/user/max_inotify_instances || exit 77
		dpl-join -qp w --keep=$$
		touch ready
		until dpl-abort --check -q; do sleep 0.02; done
	END
	in_background unshare -Ur bash inside
	wait_for '[ -e ready ] || gone "$pid"'
	[ -e ready ] || skip 'a user namespace cannot be limited here'
	dpl-abort
	ended "$pid"
	wait_for '[ "$(last_entry "$op" .event)" != abort.set ]'
	is "$(last_entry "$op" .event)" participant.left
}
