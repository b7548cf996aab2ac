#!/usr/bin/env bats
# dpl-show --why: what an operation or a call died of, whom that stopped, what was removed and what was not

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq's $; each test is a subshell; helper.bash sets them

load helper

setup() {
	fresh_ledger
}

# --- journals by hand: alice makes the operation at 14:30:00, entries are a second apart ---

begin() {
	local id=20261122T143000.000Z-alice-${1:-0123abcd}
	dpl-create -q # so that there is a ledger
	op=$id
	file=$ledger/$id/journal.jsonl
	mkdir -m 700 "$ledger/$id" "$ledger/$id/beats"
	n=0
	say alice operation.created "\"operationId\":\"$id\",\"format\":1,\"description\":\"nightly build\",\"sessionId\":1,\"beatMs\":4500,\"jitterMs\":500,\"staleMs\":10000,\"ttlMs\":900000,\"windowMs\":9000"
}

# say BY EVENT [MEMBERS]
say() {
	printf '{"seq":%d,"at":"2026-11-22T14:%02d:%02d.000Z","by":"%s","event":"%s"%s}\n' $((n + 1)) $((30 + n / 60)) $((n % 60)) "$1" "$2" "${3:+,$3}" >>"$file"
	n=$((n + 1))
}

# added ID BY MEMBERS: a resource of this machine
added() {
	say "$2" resource.added "\"resourceId\":$1,$3,\"machineId\":\"$(cat /etc/machine-id 2>/dev/null)\",\"host\":\"$(uname -n)\""
}

# A worker is killed, another is stopped, and the initiator cleans up.
died() {
	begin
	say worker participant.joined '"sessionId":2'
	say bob participant.joined '"sessionId":3'
	say worker call.started '"callId":"call_worker_1_aaaa","sessionId":2,"held":true,"description":"compress b.txt","pid":4711'
	say bob call.started '"callId":"call_bob_2_bbbb","sessionId":3,"held":true,"description":"compress c.txt"'
	added 1 worker '"kind":"path","path":"/tmp/b.gz","made":true,"callId":"call_worker_1_aaaa"'
	say worker resource.made '"resourceId":1,"type":"file","device":1,"inode":2'
	added 2 worker '"kind":"path","path":"/srv/cache","type":"folder"'
	added 3 bob '"kind":"process","pid":99,"pidStart":7'
	say bob resource.added '"resourceId":4,"kind":"path","path":"/scratch/x","machineId":"another","host":"node7"'
	added 5 bob '"kind":"command","command":"docker rm -f x","folder":"/"'
	say worker log '"level":"warning","message":"disk is slow","callId":"call_worker_1_aaaa"'
	say alice call.crashed '"callId":"call_worker_1_aaaa","participantId":"worker","evidence":"its supervisor'\''s lock has fallen (pid 4710 on box)","durationMs":9000'
	say alice crash.detected '"participantId":"worker","callId":"call_worker_1_aaaa","evidence":"its supervisor'\''s lock has fallen (pid 4710 on box)"'
	say bob call.cancelled '"callId":"call_bob_2_bbbb","reason":"somebody died: worker"'
	say alice cleanup.started '"epoch":1,"pid":50,"host":"box","reason":"call_worker_1_aaaa crashed"'
	say bob cleanup.acknowledged '"participantId":"bob","epoch":1'
	say carol cleanup.started '"epoch":2,"pid":60,"host":"box","reason":"the coordinator was gone"'
	say carol resource.removed '"resourceId":5,"command":"docker rm -f x","result":"failed","reason":"exit status 1","epoch":2'
	say carol resource.removed '"resourceId":3,"pid":99,"result":"gone","epoch":2'
	say carol resource.removed '"resourceId":2,"path":"/srv/cache","result":"left","reason":"it is not what was registered","epoch":2'
	say carol resource.removed '"resourceId":1,"path":"/tmp/b.gz","result":"removed","entries":17,"epoch":2'
	say carol cleanup.done '"epoch":2,"removed":1,"gone":1,"left":1,"failed":1'
	say carol operation.failed '"reason":"call_worker_1_aaaa of worker died","leftResources":1'
}

@test "a death, told from its evidence to what is left to do" {
	died
	expect 0 dpl-show --why "$op"
	is "$stderr" ''
	plain
	has "$output" "operation    $op" 'description  nightly build' 'state        failed, not archived' \
		"why          call_worker_1_aaaa of worker died: its supervisor's lock has fallen (pid 4710 on box)" \
		'died first   call_worker_1_aaaa of worker (compress b.txt)' \
		'found by     alice, at 2026-11-22T14:30:13.000Z, 13.0 s after the start' \
		'stopped      1 call: 1 after a death' \
		'  call_bob_2_bbbb  bob  after 14.0 s  somebody died: worker (compress c.txt)' \
		'cleanup      epoch 1 by alice (pid 50 on box): call_worker_1_aaaa crashed; taken over: epoch 2 by carol (pid 60 on box): the coordinator was gone; answered: bob' \
		'resources    1 removed (17 names in all), 1 gone before, 1 still there, 1 failed to be removed, 1 left alone, of 5' \
		'  2  /srv/cache  of worker  left: it is not what was registered' \
		"pending      dpl-cleanup $op tries again" '  4  /scratch/x               of bob  elsewhere: it is on another host, node7' \
		'  5  command: docker rm -f x  of bob  failed: exit status 1' \
		'ended        2026-11-22T14:30:23.000Z, after 23.0 s, by carol: call_worker_1_aaaa of worker died' \
		'log          the last 1 of 1' '  2026-11-22T14:30:11.000Z [warning] worker: disk is slow'
	lacks "$output" 'failed       ' # the crashed call is told once
	lacks "$output" 'not done'
	[ "$(wc -l <out)" -lt 32 ]
	is "$(grep -n ' $' out)" ''
}

@test "--json: the answer of /operation/why, and the same from dpl-batch" {
	died
	expect 0 dpl-show --why --json "$op"
	is "$stderr" ''
	is "$(wc -l <out)" 1
	holds '.ok and .verdict == "crashed" and .first == "crash" and .operationId == $op and .state == "failed" and .ended == false' --arg op "$op"
	holds '.crashes.count == 1 and (.crashes.list[0] | .callId == "call_worker_1_aaaa" and .participantId == "worker" and .by == "alice"
		and .at == "2026-11-22T14:30:13.000Z" and .description == "compress b.txt" and (.evidence | startswith("its supervisor")))'
	holds '.failedCalls == {count: 0, list: []} and .stoppedCalls.count == 1 and .stoppedAfterCrash == 1 and .stoppedAfterAbort == 0'
	holds '.stoppedCalls.list[0] | .callId == "call_bob_2_bbbb" and .after == "crash" and .state == "cancelled"'
	holds '.coordinators.list | map([.by, .epoch, .pid]) == [["alice", 1, 50], ["carol", 2, 60]]'
	holds '.answers.count == 1 and .answers.list[0].participantId == "bob" and .waitingFor == []'
	holds '.cleanupDone | .epoch == 2 and .removed == 1 and .failed == 1'
	holds '.resources == {registered: 5, here: 1, removed: 1, gone: 1, kept: 0, left: 1, forgotten: 0, failed: 1, entriesRemoved: 17}'
	holds '.left.count == 1 and (.left.list[0] | .resourceId == 2 and .path == "/srv/cache" and .state == "left")'
	holds '.pending.list | map([.resourceId, .state, .tries]) == [[4, "elsewhere", null], [5, "failed", 1]]'
	holds '.end | .by == "carol" and .leftResources == 1 and .event == "operation.failed"'
	json 'del(.ok, .shownAt)' | command jq -S . >one
	printf '{"path":"/operation/why","body":{"operationId":"%s"}}\n' "$op" | dpl-batch >answer
	command jq -S '.body | del(.shownAt)' answer >two
	diff one two
	expect 0 dpl-show --why -q "$op"
	is "$output" crashed
}

@test "a call: how it ended, who found it, what was its own" {
	died
	expect 0 dpl-show --why -o "$op" call_worker_1_aaaa
	plain
	has "$output" 'call         call_worker_1_aaaa' 'description  compress b.txt' 'participant  worker, pid 4711' 'state        crashed' \
		"why          its supervisor's lock has fallen" 'found by     alice' 'ended        2026-11-22T14:30:12.000Z, after 9.0 s' \
		'resources    1 removed, of 1' "operation    $op, failed" 'worker: disk is slow'
	DPL_OPERATION=$op expect 0 dpl-show --why call_bob_2_bbbb
	has "$output" 'state        cancelled' 'why          somebody died: worker' \
		'after        the death of call_worker_1_aaaa of worker, at 2026-11-22T14:30:13.000Z, 13.0 s after the start'
	lacks "$output" 'disk is slow'
	expect 0 dpl-show --why --json -o "$op" call_bob_2_bbbb
	holds '.verdict == "cancelled" and .call.callId == "call_bob_2_bbbb" and .stoppedAfter.event == "crash.detected" and .callEndedBy == "bob"'
	holds '.crashes.count == 0 and .log.count == 0 and .resources.registered == 0'
	expect 3 dpl-show --why -o "$op" call_none
	refused dpl-show call_none
	expect 2 dpl-show --why call_bob_2_bbbb
	refused dpl-show
}

@test "a killed command: its signal, its use, and the memory that was out" {
	begin
	say alice call.started '"callId":"call_alice_1_aaaa","sessionId":1,"description":"link all"'
	say alice call.failed '"callId":"call_alice_1_aaaa","durationMs":1000,"signal":9,"userMs":1500,"systemMs":20,"maxRssKib":9437184,"oomKilled":true,"error":"signal 9 (Killed)"'
	say alice call.started '"callId":"call_alice_2_aaaa","sessionId":1'
	say alice call.failed '"callId":"call_alice_2_aaaa","durationMs":1000,"signal":9,"userMs":1500,"systemMs":20,"maxRssKib":2048,"error":"signal 9 (Killed)"'
	say alice abort.set '"reason":"the linker died"'
	say alice operation.completed '"aborted":true'
	say alice operation.archived
	expect 0 dpl-show --why "$op"
	has "$output" 'state        completed, aborted' 'why          alice aborted it: the linker died' 'failed       2 calls' \
		'after 2.0 s  signal 9 (Killed); the kernel killed it, or a process of it, because memory was out (OOM) (link all)' \
		'after 4.0 s  signal 9 (Killed); by whom is not known, it had used 2 MiB'
	lacks "$output" 'not archived'
	expect 0 dpl-show --why -o "$op" call_alice_1_aaaa
	has "$output" 'OOM' 'used         1.5 s user, 0.020 s system, 9.0 GiB'
	expect 0 dpl-show --why --json -o "$op" call_alice_1_aaaa
	holds '.call.oomKilled and .call.signal == 9 and .call.maxRssKib == 9437184'
	expect 0 dpl-show --why --json "$op"
	holds '.verdict == "aborted" and .first == "abort" and .failedCalls.list[0].oomKilled and (.failedCalls.list[1] | has("oomKilled") | not)'
}

@test "what came first: an abort before a death, a death before an abort, an abort that was cleared" {
	begin
	say alice abort.set '"reason":"first"'
	say alice abort.cleared
	say alice abort.set '"reason":"second"'
	say alice call.started '"callId":"call_alice_1_aaaa","sessionId":1'
	say alice call.cancelled '"callId":"call_alice_1_aaaa","reason":"aborted: second"'
	say bob participant.joined '"sessionId":2'
	say alice crash.detected '"participantId":"bob","evidence":"its lease is over"'
	expect 0 dpl-show --why --json "$op"
	holds '.verdict == "crashed" and .first == "abort" and .abort.reason == "second" and .abortsCleared == 1 and .stoppedAfterAbort == 1'
	expect 0 dpl-show --why "$op"
	has "$output" 'why          alice aborted it: second; after that somebody died' 'died first   bob' 'evidence     its lease is over' \
		'aborted by   alice, at 2026-11-22T14:30:03.000Z, 3.0 s after the start: second' 'cleared      an abort was set and cleared before, 1 time' \
		'stopped      1 call: 1 after the abort'
	begin_again
	say bob participant.joined '"sessionId":2'
	say alice crash.detected '"participantId":"bob","evidence":"its lease is over"'
	say alice abort.set '"reason":"too late"'
	expect 0 dpl-show --why "$op"
	has "$output" 'why          bob died: its lease is over' 'aborted by   alice'
}

begin_again() {
	begin 0123abce
}

@test "long lists and texts are cut, with how much more there is; nothing of them reaches the terminal raw" {
	local i long
	begin
	long=$(printf '%05000d' 0)
	for ((i = 1; i <= 40; i++)); do
		say alice call.started "\"callId\":\"c$i\",\"sessionId\":1,\"description\":\"\\u001b[31m\\u202e$long\""
		say alice call.failed "\"callId\":\"c$i\",\"error\":\"\\u001b]0;x\\u0007$long\""
		say alice log "\"level\":\"error\",\"message\":\"line $i\\nforged\\u001b[2J$long\""
		added "$i" alice "\"kind\":\"path\",\"path\":\"/tmp/\\u001b$i\""
		say alice resource.removed "\"resourceId\":$i,\"result\":\"left\",\"reason\":\"\\u0007$long\""
	done
	say alice operation.failed '"reason":"\u001b[2J"'
	expect 0 dpl-show --why "$op"
	plain
	has "$output" 'failed       40 calls' '  … and 36 more' '  … and 32 more' 'log          the last 10 of 40' 'line 31\nforged\x1b[2J000' 'line 40'
	lacks "$output" 'line 30'
	[ "$(wc -l <out)" -lt 45 ]
	expect 0 dpl-show --why --json "$op"
	holds '.failedCalls.count == 40 and (.failedCalls.list | length) == 10 and .left.count == 40 and (.left.list | length) == 10'
	holds '[.. | strings | utf8bytelength] | max < 1100'
	[ "$(wc -c <out)" -lt 65536 ]
	expect 0 dpl-show --why --color=always "$op"
	has "$output" $'\e[31m'
	without '\x1b\[2J|\x1b\]|\x07'
}

# --- with the commands ---

@test "a running operation in which nothing is wrong" {
	op=$(dpl-create -d work)
	dpl-call start -q -o "$op" --id build
	expect 0 dpl-show --why "$op"
	has "$output" 'state        running' 'why          nothing is wrong: it runs' 'running      1 call' '  build  me  for '
	lacks "$output" 'died first'
	lacks "$output" 'not alive'
	expect 0 dpl-show --why --json "$op"
	holds '.verdict == "healthy" and .first == null and .abort == null and .troubles.count == 0 and .running.list[0].callId == "build"'
	expect 0 dpl-show --why -o "$op" build
	has "$output" 'why          nothing is wrong: it runs' 'runs for'
	dpl-call end -q -o "$op" build
	dpl-complete -q -o "$op"
	expect 0 dpl-show --why "$op"
	has "$output" 'state        completed' 'why          nothing is wrong: me completed it'
}

@test "a call that failed, and its parts that did" {
	op=$(dpl-create)
	export DPL_OPERATION=$op
	status=0
	dpl-call --id outer -- sh -c 'dpl-call --id inner -- sh -c "exit 3" || exit 4' 2>/dev/null || status=$?
	is "$status" 4
	expect 0 dpl-show --why -o "$op" outer
	has "$output" 'state        failed' 'why          exit status 4' 'failed       1 call, part of it' '  inner  me ' 'exit status 3'
	expect 0 dpl-show --why -o "$op" inner
	has "$output" 'why          exit status 3' ', part of outer'
	expect 0 dpl-show --why
	has "$output" 'why          nothing is wrong' 'failed       2 calls'
}

@test "a supervisor that was killed: who it stopped" {
	# shellcheck disable=SC2046 # words
	op=$(dpl-create $(mortal))
	export DPL_OPERATION=$op
	dpl-join -qp worker
	in_background dpl-call -qp worker --id doomed -- sleep 1000
	doomed=$pid
	in_background dpl-call -q --id other -- sleep 1000
	other=$pid
	wait_for '[ "$(dpl-call list -q | wc -l)" = 2 ]'
	waits "$other"
	kill -KILL "$doomed"
	ended "$other"
	is "$status" 123
	expect 0 dpl-show --why
	has "$output" 'why          call doomed of worker died: ' "(pid $doomed" 'found by     me, at ' 'stopped      1 call: 1 after a death' '  other  me '
	expect 0 dpl-show --why -o "$op" other
	has "$output" 'state        cancelled' 'the death of call doomed of worker'
}

@test "an abort: by whom, why, and whom it stopped" {
	op=$(dpl-create)
	export DPL_OPERATION=$op
	in_background dpl-call -q --id work -- sleep 1000
	work=$pid
	wait_for '[ "$(dpl-call list -q | wc -l)" = 1 ]'
	dpl-abort -qp boss -m 'wrong branch'
	ended "$work"
	is "$status" 122
	expect 0 dpl-show --why
	has "$output" 'why          boss aborted it: wrong branch' 'aborted by   boss, at ' 'stopped      1 call: 1 after the abort' '  work  me '
	expect 0 dpl-show --why -o "$op" work
	has "$output" 'why          aborted: wrong branch' 'after        the abort by boss, at '
}

@test "a contained crash is no reason to worry, and its fallback was taken" {
	begin
	say alice call.started '"callId":"call_alice_1_aaaa","sessionId":1,"held":true,"failOnCrash":false,"fallback":"42"'
	say alice call.crashed '"callId":"call_alice_1_aaaa","participantId":"alice","evidence":"its lock has fallen","result":"42"'
	say alice operation.completed
	say alice operation.archived
	expect 0 dpl-show --why "$op"
	has "$output" 'why          nothing is wrong: alice completed it' 'failed       1 call' 'crashed (contained): its lock has fallen'
	lacks "$output" 'died first'
	expect 0 dpl-show --why -o "$op" call_alice_1_aaaa
	has "$output" 'state        crashed' 'why          its lock has fallen' 'fallback     contained, its fallback was taken: 42'
}

@test "a worker is killed, and dpl-cleanup does the rest" {
	local_only 'who looks cleans up: by a server that is the server'
	op=$(dpl-create)
	export DPL_OPERATION=$op
	dpl-join -qp worker
	in_background dpl-call -qp worker --id doomed -- sh -c 'dpl-temp make; dpl-temp add --command "exit 3"; touch ready; sleep 1000' >made
	wait_for '[ -e ready ]'
	kill -KILL "$pid"
	ended "$pid"
	expect 1 dpl-cleanup -q
	[ ! -e "$(head -n 1 made)" ]
	expect 0 dpl-show --why
	has "$output" 'state        failed, not archived' 'why          call doomed of worker died: ' 'cleanup      epoch 1 by me (pid ' \
		'resources    1 removed (1 name in all), 1 failed to be removed, of 2' "pending      dpl-cleanup $op tries again" \
		'  2  command: exit 3  of worker  failed: exit status 3' 'ended        '
	expect 0 dpl-show --why -o "$op" doomed
	has "$output" 'resources    1 removed, 1 failed to be removed, of 2' 'command: exit 3'
	expect 0 dpl-cleanup -q --forget
	expect 0 dpl-show --why
	has "$output" 'state        failed' 'not removed  these are left, and nobody will remove them' '  2  command: exit 3  of worker  forgotten'
	lacks "$output" 'pending  '
	lacks "$output" 'not archived'
}

@test "what nobody has recorded yet: a supervisor that hangs, one that is dead" {
	op=$(dpl-create --stale=1s --beat=300ms)
	export DPL_OPERATION=$op
	in_background dpl-call -q --id stuck -- sleep 1000
	stuck=$pid
	wait_for '[ "$(dpl-call list -q | wc -l)" = 1 ]'
	kill -STOP "$stuck"
	wait_for 'dpl-show --why -q | grep -q troubled'
	expect 0 dpl-show --why
	# A server sees its silence and nothing else.
	life=$(by_server && echo stale || echo hung)
	has "$output" "why          call stuck of me is $life: " 'not alive    1 of those who take part' "  call stuck of me  $life  beat "
	expect 0 dpl-show --why -o "$op" stuck
	has "$output" 'state        running' "why          it is $life: "
	kill -KILL "$stuck"
	by_server || wait_for 'dpl-show --why -j | jq -e ".troubles.list[0].liveness == \"dead\"" >/dev/null'
	is "$(grep -c crash "$(journal "$op")")" 0 # looking changes nothing
}

@test "--why with what it does not go with" {
	for line in '--trail' '--tree' '--at=1' '--all'; do
		expect 2 dpl-show --why "$line" @@
		refused dpl-show
	done
	op=$(dpl-create)
	expect 2 dpl-show --why -o "$op" one two
	refused dpl-show two
	expect 2 dpl-show --why -o "$op" 'no/call'
	refused dpl-show
	expect 3 dpl-show --why 20200101
	refused dpl-show
}

@test "through a helper" {
	died
	mkdir helpers
	printf '#!/bin/sh\nunset DPL_LEDGER\nexec dpl-batch -C "%s"\n' "$ledger" >helpers/dpl-remote-folder
	chmod +x helpers/dpl-remote-folder
	PATH=$PWD/helpers:$PATH expect 0 dpl-show -C folder://x --why "$op"
	has "$output" 'why          call_worker_1_aaaa of worker died'
}
