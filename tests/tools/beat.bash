# shellcheck shell=bash
# beat.bash - what the tests of beats, keepers and liveness share; loaded after helper.bash
# shellcheck disable=SC2016,SC2034,SC2154 # jq's $; the tests read what is set here, and helper.bash sets the rest

PATH=$PATH:$BUILD/tools # behind: one of them is called rm

# quick_operation [OPTION ...]: an operation of this shell that beats every 100 ms, whose held ones hang after $stale, 1000; those who beat by a
# server are dead then, and have more time.
quick_operation() {
	local shell=$BASHPID
	stale=1000
	! by_server || stale=$([ -n "${SANITIZED:-}" ] && echo 6000 || echo 2000)
	op=$(dpl-create --beat 100ms --jitter 20ms --stale "${stale}ms" --pid "$shell" "$@") || return
	export DPL_OPERATION=$op
	ops=$ledger/$op
}

# hold_up: a keeper of `mute` holds its name and is stopped, and the window is an hour: the operation cannot end, whoever dies.
# The test's operation must be one of `quick_operation --window 1h`.
hold_up() {
	in_background sleep 1000
	dpl-join -qp mute --keep="$pid" || return
	mute=$(beatfile "$ops/beats/p-mute" | sed 's/.* pid=\([0-9]*\) .*/\1/')
	kill -STOP "$mute"
	wait_for 'grep -q "^State:.T" "/proc/$mute/status"'
}

# let_go: it may end; mute is no more.
let_go() {
	! is_keeper "$mute" || kill -9 "$mute"
}

# settled: the operation has failed, and is in backup/.
settled() {
	[ ! -e "$ledger/$op" ] && [ "$(last_entry "$op" .event)" = operation.archived ]
}

# held_by NAME PID: a keeper of that pid holds it; by a server it beats.
held_by() {
	local file
	file=$(beatfile "$ops/beats/p-$1" 2>/dev/null) || return
	case $file in
	*"locked=1 "*" mode=held pid=$2 "*) ! by_server ;;
	*" mode=remote pid=$2 "*) by_server ;;
	*) return 1 ;;
	esac
}

# mode_of_keepers: what dpl-show says of them.
mode_of_keepers() {
	by_server && echo remote || echo held
}

# short_lease MS: the ttl that nobody asked for, which is 15 minutes, ends after so much.
short_lease() {
	sed -i "1s/\"ttlMs\":900000/\"ttlMs\":$1/" "$ops/journal.jsonl"
	! by_server || serve_again # which has read it
}

# aged NAME MS: its last beat was so long ago, by both clocks.
aged() {
	beatfile "$ops/beats/p-$1" "age=$2"
}

# life NAME: what dpl-show says of it, which acts on nothing.
life() {
	dpl-show --json | jq -r --arg p "$1" '.participants[] | select(.participantId == $p) | .liveness'
}

evidence() {
	dpl-show --json | jq -r --arg p "$1" '.participants[] | select(.participantId == $p) | .evidence'
}

# deaths [NAME]: how many were recorded.
deaths() {
	jq -r --arg p "${1:-}" 'select(.event == "crash.detected" and ($p == "" or .participantId == $p)) | .participantId' <(journal_text "$op") | wc -l
}

# A process to join for, in $pid; it does nothing until it is killed.
idler() {
	in_background sleep 1000
}

# is_keeper PID: one of ours runs under that number.
is_keeper() {
	[ "$(readlink "/proc/$1/exe" 2>/dev/null)" = "$BUILD/bin/dpl-beat" ]
}

# End those whose pids are in `keepers`; the others end with the processes that they keep.
end_keepers() {
	local k
	for k in "${keepers[@]}"; do
		! is_keeper "$k" || kill -9 "$k"
	done
}

# gone PID: it has ended; a zombie that nobody waits for counts.
gone() {
	local state
	state=$(sed -n 's/^State:[[:space:]]*\([A-Z]\).*/\1/p' "/proc/$1/status" 2>/dev/null)
	[ -z "$state" ] || [ "$state" = Z ] || [ "$state" = X ]
}

# group_of PID: the processes of the group that it led.
group_of() {
	awk -v group="$1" '{ pid = $1; sub(/.*\) /, ""); if ($3 == group) print pid }' /proc/[0-9]*/stat 2>/dev/null || true
}

# over NAME: the lease of its, given as 20s, ends long ago.  Less than this and a machine that has just booted has no such time.
over() {
	aged "$1" 30000
}

# The turn to look at the others is the next one's who beats: a time that is in the future is of another boot.
turn_is_due() {
	touch "$ops/coordinator"
}

# Whether unshare(1) with these options works here; skips the test where not.
need_unshare() {
	command -v unshare >/dev/null || skip 'no unshare(1)'
	unshare "$@" true 2>/dev/null || skip "unshare $* is not allowed here"
}

# ended PID: as in helper.bash, but what does not end within 60 seconds fails the test instead of hanging it.
ended() {
	local p left=()
	status=0
	wait_for "gone $1" 60 || return
	wait "$1" || status=$?
	for p in "${background[@]}"; do
		[ "$p" = "$1" ] || left+=("$p")
	done
	background=("${left[@]}")
}
