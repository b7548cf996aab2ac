#!/usr/bin/env bats
# dpl-call where a control group was delegated: cgroup v2, mounted for the test in a mount namespace of its own

# shellcheck disable=SC2016,SC2154 # scripts of another shell; helper.bash sets them

load helper

# in_group SCRIPT: run it by bash in a delegated control group of its own; needs root.
in_group() {
	[ "$(id -u)" -eq 0 ] || skip 'only root can mount'
	cat >inside <<'END'
		set -eu
		mount --make-rprivate / && mount -t tmpfs none /sys/fs && mkdir /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup || exit 77
		top=/sys/fs/cgroup/dpl-test-$$.scope
		mkdir "$top" && "$BUILD/tools/delegate" "$top" || exit 77
		echo $$ >"$top/cgroup.procs"
		ended() {
			echo $$ >/sys/fs/cgroup/cgroup.procs
			find "$top" -mindepth 1 -depth -type d -printf 'left: %p\n' -exec rmdir {} \;
			rmdir "$top"
		}
		trap ended EXIT
END
	printf '%s\n' "$1" >>inside
	status=0
	unshare -m bash inside >out 2>err 3>&- || status=$?
	[ "$status" -ne 77 ] || skip 'no cgroup v2 can be mounted here'
	output=$(<out)
	[ "$status" -eq 0 ] && return
	cat inside out err
	return 1
}

@test "the command is in a group of its own, a call within it in one below, and both are gone after it" {
	in_group '
		op=$(dpl-create)
		export DPL_OPERATION=$op
		dpl-call --id outer -- sh -c "sed -n s/^0:://p /proc/self/cgroup; dpl-call --id inner -- sed -n s/^0:://p /proc/self/cgroup"
		jq -r "select(.cgroup).cgroup" "$DPL_LEDGER/$op/journal.jsonl"
	'
	mapfile -t line <<<"$output"
	is "${#line[@]}" 4
	has "${line[0]}" .scope/dpl-outer
	is "${line[1]}" "${line[0]}/dpl-inner"
	is "${line[2]}" "${line[0]}"
	is "${line[3]}" "${line[1]}"
}

# A process that has shed every other mark: session, group, parent, environment.
escapes='(setsid env -i sh -c "sleep 1000 & exec sleep 1000" >/dev/null 2>&1 &)'

@test "a process that left every other mark ends with its call" {
	in_group '
		DPL_OPERATION=$(dpl-create)
		export DPL_OPERATION
		dpl-call -- sh -c '"'$escapes; until [ \"\$(wc -l < \"/sys/fs/cgroup/\$(sed -n s/^0:://p /proc/self/cgroup)/cgroup.procs\")\" -ge 4 ]; do sleep 0.01; done'"'
		for pid in $(cat "$top/cgroup.procs"); do
			tr "\0" "\n" 2>/dev/null <"/proc/$pid/cmdline" || : # cat itself has ended
		done 2>/dev/null
	'
	lacks "$output" sleep
}

@test "… and with the next look after its supervisor was killed" {
	in_group '
		DPL_OPERATION=$(dpl-create)
		export DPL_OPERATION
		dpl-call --id c -- sh -c '"'$escapes; exec sleep 1000'"' &
		pid=$!
		until [ "$(wc -l 2>/dev/null <"$top/dpl-c/cgroup.procs")" = 3 ]; do sleep 0.01; done
		kill -KILL $pid
		wait $pid || :
		status=0
		dpl-beat --json >/dev/null || status=$?
		[ $status = 5 ]
		[ ! -e "$top/dpl-c" ] || cat "$top/dpl-c/cgroup.procs"
	'
	is "$output" ''
}

# The kernel of the test may have no memory controller in cgroup v2: strace has the file's opening give descriptor 9.
@test "that the memory of its group was out is told with the end of a call that failed" {
	command -v strace >/dev/null || skip 'no strace(1)'
	strace -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	[ -z "${SANITIZED:-}" ] || export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
	in_group '
		DPL_OPERATION=$(dpl-create)
		export DPL_OPERATION
		counts() {
			printf "low 0\nhigh 0\nmax 3\noom 1\noom_kill %s\noom_group_kill 0\n" "$1" >events
			exec 9<events
		}
		call() {
			strace -o /dev/null -P "$top/dpl-$1/memory.events" -e trace=openat -e inject=openat:retval=9 dpl-call -q --id "$1" -- sh -c "$2" || :
		}
		counts 1 && call killed "kill -KILL \$\$"
		counts 1 && call child "exit 137"
		counts 1 && call well true
		counts 0 && call other "kill -KILL \$\$"
		jq -r "select(.event | test(\"call.(ended|failed)\")) | [.callId, .oomKilled == true] | join(\" \")" "$DPL_LEDGER/$DPL_OPERATION/journal.jsonl"
		dpl-show --why -o "$DPL_OPERATION" killed | grep ^why
	'
	is "$output" $'killed true\nchild true\nwell false\nother false
why          signal 9 (Killed); the kernel killed it, or a process of it, because memory was out (OOM)'
}
