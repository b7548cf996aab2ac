#!/usr/bin/env bats
# dpl-serve: the protocol of the old clients, as both of them speak it (tests/tools/oldclient.py)

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # Python's text; each test is a subshell; helper.bash sets them

load helper

setup() {
	need_built dpl-serve
	fresh_ledger
	python=$(type -P /usr/bin/python3 || type -P python3)
	# A bare time, taken for local time by a client that is elsewhere, would be hours off.
	export TZ=Asia/Tokyo
}

teardown() {
	local left=${server:-}
	[ -z "$left" ] || stop_server
	end_background
}

# serve [OPTION ...]: dpl-serve on this ledger; its URL is in $url, its pid in $server.
serve() {
	: >said
	in_background env TZ=America/New_York dpl-serve -C "$ledger" -P 0 "$@" >said 2>serve.err
	server=$pid
	wait_for '[ -s said ] || gone "$server"'
	read -r url <said || { cat serve.err && return 1; }
	export url ledger server
}

# It ends at SIGTERM, and well.
stop_server() {
	local pid=$server
	server=
	kill -TERM "$pid" 2>/dev/null || true
	wait_for 'gone "$pid"'
	ended "$pid"
	is "$status" 0 || { cat serve.err && return 1; }
}

# client: standard input is Python, behind what is here; it must end without an exception.
client() {
	cat - /dev/fd/9 9<&0 >test.py <<-'END'
		import fcntl, json, os, re, signal, subprocess, sys, threading, time
		from datetime import datetime, timezone
		sys.dont_write_bytecode = True
		sys.path.insert(0, os.environ["TOOLS"])
		from oldclient import *
		from oldclient import client as new_client

		url, ledger = os.environ["url"], os.environ["ledger"]
		started = []


		def being(way):
		    def make(name, **options):
		        options = dict(dict(wait_scale=0.02, beats=False), **options)
		        started.append(new_client(way, options.pop("at", url), name, **options))
		        return started[-1]

		    return make


		dart, node, undici = being("dart"), being("node"), being("undici")
		wires = {}


		def ask(path, body=None, method="POST", way="dart", status=200):
		    """The answer's object; what holds for all answers is looked at."""
		    if way not in wires:
		        wires[way] = TRANSPORTS[way](url)
		    answer = wires[way].exchange(method, path, body)
		    what = "%s %s %r: %d %r" % (method, path, body, answer.status, answer.body)
		    check(answer.status in (status if isinstance(status, tuple) else (status,)), what + ", not %s" % (status,))
		    equal(answer.header("Content-Type"), "application/json; charset=utf-8")
		    equal(answer.header("Content-Length"), str(len(answer.body)))
		    value = answer.json()
		    check(type(value) is dict, what)
		    if answer.status != 200:
		        check(type(value.get("error")) is str and value["error"] and re.fullmatch("[a-z-]+", value.get("code", "")), what)
		    if answer.status >= 500:
		        check(not any(word in value["error"].lower() for word in RETRY_WORDS), what)
		    return value


		def check(fine, what):
		    if not fine:
		        raise AssertionError(what)


		def equal(got, wanted):
		    check(got == wanted and type(got) is type(wanted), "got %r, wanted %r" % (got, wanted))


		def fails(kind, work, *arguments):
		    try:
		        got = work(*arguments)
		    except kind as error:
		        return error
		    raise AssertionError("no %s, but %r" % (kind.__name__, got))


		def within(seconds, condition, what="in time"):
		    end = time.monotonic() + seconds
		    while not condition():
		        check(time.monotonic() < end, "not within %s s: %s" % (seconds, what))
		        time.sleep(0.01)


		def gone(pid):
		    """It has ended, reaped or not."""
		    try:
		        with open("/proc/%d/stat" % pid, encoding="latin-1") as file:
		            return file.read().rpartition(") ")[2][0] in "ZX"
		    except (FileNotFoundError, ProcessLookupError):
		        return True


		def taken(sock):
		    """Whether the server has read all that we have sent."""
		    ends = ":%04X" % sock.getpeername()[1], ":%04X" % sock.getsockname()[1]
		    with open("/proc/net/tcp", encoding="ascii") as file:
		        found = [line.split() for line in file]
		    return any(parts[1].endswith(ends[0]) and parts[2].endswith(ends[1]) and parts[4].endswith(":00000000") for parts in found)


		def posted(path, body):
		    """A connection on which that request has come, and is worked at."""
		    sock = connect(url)
		    body = json.dumps(body).encode()
		    sock.sendall(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body))
		    within(5, lambda: taken(sock), "read")
		    return sock


		def serve(port):
		    """Another server; its URL is in `.url`."""
		    process = subprocess.Popen(["dpl-serve", "-C", ledger, "-P", str(port)], stdout=subprocess.PIPE, encoding="utf-8")
		    process.url = process.stdout.readline().rstrip("\n")
		    check(process.url, "it does not serve")
		    return process


		def restarted(pid):
		    """It is killed, and another one takes its port."""
		    os.kill(pid, signal.SIGKILL)
		    within(5, lambda: gone(pid), "its end")
		    process = serve(url.rsplit(":", 1)[1])
		    equal(process.url, url)
		    return process


		def stop(process):
		    process.terminate()
		    equal(process.wait(10), 0)


		def dpl(*words, status=0):
		    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", check=False)
		    check(done.returncode == status, "%r: exit %d, not %d: %s%s" % (words, done.returncode, status, done.stdout, done.stderr))
		    return done.stdout.rstrip("\n")


		def show(op):
		    return strict_json(dpl("dpl-show", "--json", op).encode())


		def journal(op):
		    for folder in ("", "backup"):
		        path = os.path.join(ledger, folder, op, "journal.jsonl")
		        if os.path.exists(path):
		            with open(path, "rb") as file:
		                entries = [strict_json(line) for line in file]
		            equal([entry["seq"] for entry in entries], list(range(1, len(entries) + 1)))
		            return entries
		    raise AssertionError("no journal of " + op)


		def events(op, event, *members):
		    found = [entry for entry in journal(op) if entry["event"] == event]
		    return [entry.get(members[0]) for entry in found] if members else found


		def utc(text):
		    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\d{3})?Z", text), "no time with Z: %r" % text)
		    return text


		def recent(text):
		    age = (datetime.now(timezone.utc) - moment(utc(text))).total_seconds()
		    check(-1 < age < 30, "%r is %s s ago" % (text, age))


		# The endpoints, with the fields that they need, in their order.
		NEEDS = {
		    "/operation/create": ["participantId"],
		    "/operation/join": ["operationId", "participantId"],
		    "/operation/leave": ["operationId"],
		    "/operation/complete": ["operationId"],
		    "/operation/heartbeat": ["operationId"],
		    "/operation/abort": ["operationId"],
		    "/operation/state": ["operationId"],
		    "/operation/log": ["operationId", "message"],
		    "/call/start": ["operationId"],
		    "/call/end": ["operationId", "callId"],
		    "/call/fail": ["operationId", "callId"],
		    "/callframe/create": ["operationId", "callId"],
		    "/callframe/delete": ["operationId", "callId"],
		}
		WAYS = ("dart", "node", "undici")
	END
	TOOLS=$root/tests/tools timeout 50 "$python" test.py
}

@test "how it begins and ends: its URL first, on loopback, 0 at SIGTERM, and no ledger is needed before" {
	serve
	[[ $url =~ ^http://127\.0\.0\.1:[0-9]+$ ]]
	client <<-'END'
		equal(ask("/operation/state", {"operationId": "20260101T000000.000Z-me-0000000a"}, status=404)["error"], "Operation not found")
		op = ask("/operation/create", {"participantId": "first"})["operationId"]
		equal(show(op)["initiatorId"], "first")
	END
	stop_server
	is "$(wc -l <said)" 1
}

@test "what discovery asks: status and health, whatever the method" {
	serve
	client <<-'END'
		port = int(url.rsplit(":", 1)[1])
		for way in WAYS:
		    for method in ("GET", "POST", "PUT", "DELETE"):
		        equal(ask("/health", method=method, way=way)["status"], "ok")
		        status = ask("/status?x=y", method=method, way=way)
		        equal((status["service"], status["status"], status["port"]), ("tom_dist_ledger", "ok", port))
		        check(type(status["port"]) is int and type(status["version"]) is str and status["version"], status)
		        equal(os.path.realpath(status["basePath"]), os.path.realpath(ledger))
		        recent(status["timestamp"])
		closed = socket.socket()
		closed.bind(("127.0.0.1", 0))
		nobody = "http://127.0.0.1:%d" % closed.getsockname()[1]
		equal(DartClient.discover([nobody, url]), url)
		equal(TypeScriptClient.discover([nobody, url]), url)
		equal(DartClient.discover([nobody]), None)
		fails(LookupError, TypeScriptClient.discover, [nobody])
	END
}

@test "paths match exactly, the query is no part of them" {
	serve
	client <<-'END'
		for way in WAYS:
		    for path in ("//", "/nope", "/operation", "/operation/", "/operation/create/", "/Operation/create", "/healthy", "/call/start/x", "/operation%2Fcreate"):
		        for query in ("", "?x=1"):
		            for method in ("POST", "GET"):
		                answer = ask(path + query, {"participantId": "x"} if method == "POST" else None, method=method, way=way, status=404)
		                equal(answer["error"], "Not found: " + path)
		                equal(answer["code"], "no-such-path")
		    equal(ask("/operation/create?participantId=query", {"participantId": "body"}, way=way)["participantId"], "body")
	END
}

@test "methods: a body is read for POST and PUT, any other is routed without one, OPTIONS is a preflight" {
	serve
	client <<-'END'
		before = sorted(os.listdir(ledger)) if os.path.isdir(ledger) else []
		for way in WAYS:
		    for path, needed in NEEDS.items():
		        for method in ("GET", "DELETE", "PATCH"):
		            equal(ask(path, method=method, way=way, status=400)["error"], "Missing " + needed[0])
		        # What came with it is passed over, and the connection goes on behind it.
		        if way != "dart":
		            equal(ask(path, {"participantId": "x", "operationId": "x"}, method="DELETE", way=way, status=400)["error"], "Missing " + needed[0])
		    for path in list(NEEDS) + ["/health", "/status", "/nope", "/"]:
		        answer = wires[way].exchange("OPTIONS", path)
		        equal((answer.status, answer.body), (200, b""))
		        check(answer.header("Access-Control-Allow-Origin") is None, answer.fields)
		equal(sorted(os.listdir(ledger)) if os.path.isdir(ledger) else [], before)
		for way in WAYS:
		    equal(ask("/operation/create", {"participantId": "put"}, method="PUT", way=way)["participantId"], "put")
		# HEAD is answered as GET, without the body.
		for way in WAYS:
		    answer = wires[way].exchange("HEAD", "/health")
		    equal((answer.status, answer.body), (200, b""))
		    equal(ask("/health", method="GET", way=way)["status"], "ok")
	END
}

@test "a needed field that is absent or null, in their order" {
	serve
	client <<-'END'
		op = ask("/operation/create", {"participantId": "me"})["operationId"]
		have = {"operationId": op, "participantId": "x", "message": "x", "callId": "x"}
		before = journal(op)
		for way in WAYS:
		    for path, needed in NEEDS.items():
		        for i, name in enumerate(needed):
		            for body in ({}, {name: None}):
		                body = dict({n: have[n] for n in needed[:i]}, **body)
		                answer = ask(path, body, way=way, status=400)
		                equal((answer["error"], answer["code"]), ("Missing " + name, "bad-request"))
		    # Without a body, with an empty one, and with an empty object it is the same.
		    for body in (None, b"", {}):
		        equal(ask("/operation/log", body, way=way, status=400)["error"], "Missing operationId")
		    equal(ask("/operation/state", method="GET", way=way, status=400)["error"], "Missing operationId")
		    equal(ask("/operation/state?operationId", method="GET", way=way, status=(400, 404))["error"] in ("Missing operationId", "Operation not found"), True)
		equal(journal(op), before)
	END
}

@test "a body that is no object is no body" {
	serve
	client <<-'END'
		op = ask("/operation/create", {"participantId": "me"})["operationId"]
		before = journal(op)
		for way in WAYS:
		    for path in NEEDS:
		        for body in (b"null", b"[]", b"5", b'"x"', b"true", b"{", b" ", b"rubbish", b"\xff", b'{"participantId":"\xff"}', b"{}{}", b"\xef\xbb\xbf{}"):
		            answer = ask(path, body, way=way, status=400)
		            equal((answer["error"], answer["code"]), ("Invalid JSON body", "bad-json"))
		equal(journal(op), before)
	END
}

@test "what is more than asked for is ignored, what is null counts as absent, what is empty is not missing" {
	serve
	client <<-'END'
		for way in WAYS:
		    more = {"futureMember": {"a": [1, None, 1.5, "x"]}, "X": True, "": 0}
		    op = ask("/operation/create", dict(more, participantId="me", participantPid=None, description=None), way=way)["operationId"]
		    o = dict(more, operationId=op)
		    equal(ask("/operation/join", dict(o, participantId="you", participantPid=None), way=way)["sessionId"], 2)
		    call = ask("/call/start", dict(o, sessionId=None, description=None, failOnCrash=None), way=way)["callId"]
		    ask("/call/fail", dict(o, callId=call, error=None), way=way)
		    ask("/operation/log", dict(o, message="", level=None), way=way)
		    equal(events(op, "log", "message"), [""])
		    ask("/operation/abort", dict(o, value=None), way=way)
		    equal(ask("/operation/state", o, way=way)["aborted"], True)
		    ask("/call/end", dict(o, callId="none"), way=way)
		    ask("/operation/leave", dict(o, sessionId=None, cancelPendingCalls=None), way=way)
		    ask("/operation/complete", o, way=way)
		    op = ask("/operation/create", {"participantId": "me", "description": ""}, way=way)["operationId"]
		    for path, needed in NEEDS.items():
		        have = {"operationId": op, "participantId": "x", "message": "x", "callId": "x"}
		        for name in needed:
		            if path == "/operation/complete" and name == "operationId":
		                continue
		            answer = ask(path, dict({n: have[n] for n in needed}, **{name: ""}), way=way, status=(200, 400, 404))
		            check(not answer.get("error", "").startswith("Missing"), answer)
	END
}

@test "a field of the wrong type is 400, and nothing is done" {
	serve
	client <<-'END'
		op = ask("/operation/create", {"participantId": "me"})["operationId"]
		call = ask("/call/start", {"operationId": op})["callId"]
		text, number, flag = (5, True, [], {}, 1.5), ("1", True, [], {}, 1.5), ("false", "true", 0, 1, [], {})
		fields = {
		    "/operation/create": {"participantId": text, "participantPid": number, "description": text},
		    "/operation/join": {"operationId": text, "participantId": text, "participantPid": number},
		    "/operation/leave": {"operationId": text, "sessionId": number, "cancelPendingCalls": flag},
		    "/operation/complete": {"operationId": text},
		    "/operation/heartbeat": {"operationId": text},
		    "/operation/abort": {"operationId": text, "value": flag},
		    "/operation/state": {"operationId": text},
		    "/operation/log": {"operationId": text, "message": text},
		    "/call/start": {"operationId": text, "sessionId": number, "description": text, "failOnCrash": flag},
		    "/call/end": {"operationId": text, "callId": text},
		    "/call/fail": {"operationId": text, "callId": text, "error": text},
		    "/callframe/create": {"operationId": text, "callId": text},
		    "/callframe/delete": {"operationId": text, "callId": text},
		}
		before = journal(op)
		have = {"operationId": op, "participantId": "x", "message": "x", "callId": call}
		for path, wrong in fields.items():
		    for name, values in wrong.items():
		        for value in values:
		            body = dict({n: have[n] for n in NEEDS[path]}, **{name: value})
		            equal(ask(path, body, status=400)["code"], "bad-request")
		equal(journal(op), before)
		equal(len(os.listdir(ledger)), len([n for n in os.listdir(ledger) if n in (op, "keys", "backup", "server")]))
	END
}

@test "unknown and completed operations are 404 Operation not found, everywhere" {
	serve
	client <<-'END'
		done = dart("me").create()
		done.complete()
		failed = dpl("dpl-create", "-p", "me")
		dpl("dpl-complete", "--failed", "-p", "me", "-o", failed)
		have = {"participantId": "x", "message": "x", "callId": "x"}
		ids = [done.id, failed, "20260101T000000.000Z-me-0000000a", "20260101T00:00:00.000-me-0000000a", "x"]
		before = {op: journal(op) for op in ids[:2]}
		for way in WAYS:
		    for op in ids:
		        for path, needed in NEEDS.items():
		            if path == "/operation/create" or path == "/operation/complete" and op in before:
		                continue
		            answer = ask(path, dict({n: have[n] for n in needed if n in have}, operationId=op), way=way, status=404)
		            equal(answer["error"], "Operation not found")
		            check(answer["code"] in ("operation-not-found", "operation-ended"), answer)
		        equal(ask("/operation/state?operationId=" + quote(op), method="GET", way=way, status=404)["error"], "Operation not found")
		equal({op: journal(op) for op in before}, before)
		equal(fails(LedgerError, dart("late").join, done.id).status, 404)
		equal(fails(LedgerError, node("late").join, done.id).status, 404)
	END
}

@test "an operation's life, Dart" {
	serve
	client <<-'END'
		me = dart("builder")
		op = me.create("nightly build")
		equal({name: op.answer[name] for name in ("operationId", "participantId", "isInitiator", "sessionId")},
		      {"operationId": op.id, "participantId": "builder", "isInitiator": True, "sessionId": 1})
		recent(op.answer["startTime"])
		check(re.fullmatch(r"[A-Za-z0-9_.-]+-builder-[0-9a-f]{8}", op.id), op.id)
		equal(show(op.id)["description"], "nightly build")
		state = op.state()
		equal({name: state[name] for name in ("operationId", "state", "aborted", "callFrameCount", "participants")},
		      {"operationId": op.id, "state": "running", "aborted": False, "callFrameCount": 0, "participants": ["builder"]})

		one = op.start_call("compile")
		check(re.fullmatch(r"call_builder_\d+_[0-9a-f]{4}", one.id), one.id)
		two = op.start_call(None, fail_on_crash=False)
		equal(op.state()["callFrameCount"], 2)
		kind, beat = op.heartbeat()
		equal((kind, beat["callFrameCount"], beat["tempResourceCount"], beat["abortFlag"], beat["isStale"], beat["staleParticipants"]), ("success", 2, 0, False, False, []))
		check(set(beat["participants"]) == {"builder"} and 0 <= beat["heartbeatAgeMs"] < 30000, beat)
		fails(Refused, op.leave)
		equal(one.end()["success"], True)
		equal(two.fail("no compiler")["success"], True)
		equal(op.state()["callFrameCount"], 0)
		fine = op.spawn(lambda call: None, "fine")
		fine.join(10)
		bad = op.spawn(lambda call: int("x"), "bad")
		bad.join(10)
		equal(events(op.id, "call.started", "description"), ["compile", None, "fine", "bad"])
		equal(events(op.id, "call.ended", "callId"), [one.id, fine.call.id])
		equal([(e["callId"], e["error"]) for e in events(op.id, "call.failed")][0], (two.id, "no compiler"))
		check("invalid literal" in events(op.id, "call.failed", "error")[1], events(op.id, "call.failed"))

		for level in ("DEBUG", "INFO", "WARNING", "ERROR"):
		    equal(op.log("at " + level, level)["success"], True)
		op.log("as it is")
		equal([(e["level"], e["message"]) for e in events(op.id, "log")], [("debug", "at DEBUG"), ("info", "at INFO"), ("warning", "at WARNING"), ("error", "at ERROR"), ("info", "as it is")])

		equal(op.check_abort(), False)
		equal(op.abort()["success"], True)
		equal(op.check_abort(), True)
		equal(op.heartbeat()[0], "aborted")
		equal(op.abort(False)["success"], True)
		equal((op.check_abort(), op.heartbeat()[0]), (False, "success"))
		equal(op.leave()["success"], True)
		equal(op.complete()["success"], True)
		equal(fails(LedgerError, op.state).args[0], "Operation not found (404)")
		equal(show(op.id)["state"], "completed")
		# In one connection, nothing tried twice.
		equal((me.wire.connections, me.retries), (1, 0))
	END
}

@test "an operation's life, TypeScript" {
	serve
	client <<-'END'
		for way in (node, undici):
		    me = way("builder")
		    op = me.create("nightly build")
		    equal((op.session, op.initiator, op.answer["participantId"]), (1, True, "builder"))
		    recent(op.answer["startTime"])
		    one = op.start_call("compile")
		    two = op.start_call(fail_on_crash=False)
		    check(re.fullmatch(r"call_builder_\d+_[0-9a-f]{4}", one.id), one.id)
		    equal(op.heartbeat()[0], "success")
		    equal(op.state()["callFrameCount"], 2)
		    equal(one.end()["success"], True)
		    equal(two.fail("no compiler")["success"], True)
		    bad = op.spawn(lambda call: int("x"), "bad")
		    bad.join(10)
		    equal(events(op.id, "call.failed", "callId"), [two.id, bad.call.id])
		    for level in ("debug", "info", "warning", "error"):
		        op.log("at " + level, level)
		    equal(events(op.id, "log", "level"), ["debug", "info", "warning", "error"])
		    op.abort()
		    equal((op.check_abort(), op.heartbeat()[0]), (True, "aborted"))
		    op.abort(False)
		    # The low level names no session.
		    low = me.start_call(op.id)
		    check(low["callId"] and recent(low["startedAt"]) is None, low)
		    equal(me.state(op.id)["callFrameCount"], 1)
		    equal(op.end_call(low["callId"])["success"], True)
		    equal(me.leave(op.id)["success"], True)
		    equal(op.complete()["success"], True)
		    equal(fails(LedgerError, me.state, op.id).status, 404)
		    # Whose status nobody looks at is not tried again either.
		    equal(op.log("late")["error"], "Operation not found")
		    equal(me.retries, 0)
		equal(me.wire.connections, 1)
	END
}

@test "both together: sessions in the order of joining, each told its own name" {
	serve
	client <<-'END'
		op = dart("anna").create()
		ben = node("ben").join(op.id)
		cora = undici("cora").join(op.id)
		dora = dart("dora").join(op.id)
		again = dart("ben").join(op.id)
		equal([o.session for o in (op, ben, cora, dora, again)], [1, 2, 3, 4, 5])
		for name, o in (("ben", ben), ("cora", cora), ("dora", dora), ("ben", again)):
		    equal((o.answer["operationId"], o.answer["participantId"], o.answer["isInitiator"]), (op.id, name, False))
		    recent(o.answer["startTime"])
		# So a joiner of either kind refuses to complete.
		fails(Refused, ben.complete)
		fails(Refused, dora.complete)
		calls = {o: o.start_call(o.client.name) for o in (op, ben, cora, dora)}
		for o, call in calls.items():
		    check(re.fullmatch(r"call_%s_\d+_[0-9a-f]{4}" % o.client.name, call.id), call.id)
		for o in (op, ben, cora, dora):
		    equal(sorted(o.state()["participants"]), ["anna", "ben", "cora", "dora"])
		    kind, beat = o.heartbeat()
		    equal((kind, sorted(set(beat["participants"])), beat["callFrameCount"]), ("success", ["anna", "ben", "cora", "dora"], 4))
		# The commands see the same.
		seen = show(op.id)
		equal([(p["participantId"], p["isInitiator"], p["sessions"], p["callsRunning"], p["liveness"]) for p in seen["participants"]],
		      [("anna", True, 1, 1, "alive"), ("ben", False, 2, 1, "alive"), ("cora", False, 1, 1, "alive"), ("dora", False, 1, 1, "alive")])
		equal([(c["callId"], c["participantId"], c["description"], c["state"]) for c in seen["calls"]],
		      [(c.id, o.client.name, o.client.name, "running") for o, c in calls.items()])
		# And the clients see what the commands do.
		equal(dpl("dpl-join", "-p", "eve", "-o", op.id), "6")
		check("eve" in op.state()["participants"] and "eve" in ben.heartbeat()[1]["participants"], op.state())
		eves = dpl("dpl-call", "start", "-p", "eve", "-o", op.id)
		equal(ben.state()["callFrameCount"], 5)
		dora.log("from dora")
		equal(dpl("dpl-log", "-q", "-o", op.id), "from dora")
		# Anybody's call is ended by anybody.
		op.end_call(eves)
		ben.end_call(calls[cora].id)
		dora.fail_call(calls[ben].id, "x")
		equal([c["callId"] for c in show(op.id)["calls"] if c["state"] == "running"], [calls[op].id, calls[dora].id])
		for o in (ben, again, cora):
		    o.leave(True)
		equal(sorted(op.state()["participants"]), ["anna", "dora", "eve"])
		# Calls that run do not keep it from being completed.
		op.complete()
		equal((show(op.id)["state"], os.path.isdir(os.path.join(ledger, "backup", op.id))), ("completed", True))
		equal(fails(LedgerError, dora.heartbeat).status, 404)
		equal([client.retries for client in started], [0] * len(started))
	END
}

@test "sessions: numbers that were never given, none at all, and those that the TypeScript client makes up" {
	serve
	client <<-'END'
		op = dart("anna").create()
		o = {"operationId": op.id}
		for way in WAYS:
		    for number in (77, 2 ** 31):
		        call = ask("/call/start", dict(o, sessionId=number), way=way)
		        equal(ask("/call/end", dict(o, callId=call["callId"]), way=way)["success"], True)
		        equal(ask("/operation/leave", dict(o, sessionId=number, cancelPendingCalls=False), way=way)["success"], True)
		equal(op.state()["participants"], ["anna"])
		# ben's second session has the number that cora was given; his leaving must not take from her what she has.
		ben = node("ben")
		first = ben.join(op.id)
		cora = dart("cora").join(op.id)
		mine = cora.start_call("cora's")
		second = ben.join(op.id)
		equal((first.session, cora.session, second.session), (2, 3, 3))
		equal(second.start_call("ben's").end()["success"], True)
		second.leave()
		equal(cora.heartbeat()[0], "success")
		equal(cora.state()["callFrameCount"], 1)
		other = cora.start_call("cora's second")
		equal((mine.end()["success"], other.end()["success"]), (True, True))
		equal([c["state"] for c in show(op.id)["calls"] if "cora" in (c["description"] or "")], ["ended", "ended"])
		equal(cora.leave()["success"], True)
		first.leave()
		# The operation outlives its last session, and its initiator's.
		op.leave()
		equal(op.heartbeat()[0], "success")
		equal(op.log("nobody is left")["success"], True)
		late = dart("late").join(op.id)
		late.start_call().end()
		equal(op.state()["state"], "running")
		equal(op.complete()["success"], True)
	END
}

@test "what is tried again has been done: end, fail, leave, abort, complete" {
	serve
	client <<-'END'
		for way in WAYS:
		    op = ask("/operation/create", {"participantId": "me"}, way=way)["operationId"]
		    o = {"operationId": op}
		    equal(ask("/operation/join", dict(o, participantId="you"), way=way)["sessionId"], 2)
		    for path in ("/call/end", "/call/fail"):
		        call = ask("/call/start", o, way=way)["callId"]
		        equal(ask(path, dict(o, callId=call, error="x"), way=way).get("alreadyEnded"), None)
		        for again in ("/call/end", "/call/fail"):
		            answer = ask(again, dict(o, callId=call, error="x"), way=way)
		            equal((answer["success"], answer["alreadyEnded"]), (True, True))
		        answer = ask(path, dict(o, callId="call_me_99_ffff"), way=way)
		        equal((answer["success"], answer["unknownCall"]), (True, True))
		    for value in (True, True, False, False):
		        equal(ask("/operation/abort", dict(o, value=value), way=way)["success"], True)
		        equal(ask("/operation/state", o, way=way)["aborted"], value)
		    for _ in range(3):
		        equal(ask("/operation/leave", dict(o, sessionId=2), way=way)["success"], True)
		    for _ in range(3):
		        equal(ask("/operation/complete", o, way=way)["success"], True)
		    kinds = [entry["event"] for entry in journal(op)]
		    equal({kind: kinds.count(kind) for kind in ("call.ended", "call.failed", "abort.set", "abort.cleared", "participant.left", "operation.completed")},
		          {"call.ended": 1, "call.failed": 1, "abort.set": 1, "abort.cleared": 1, "participant.left": 1, "operation.completed": 1})
	END
}

@test "complete: by whom is not asked of those who do not say it" {
	serve
	client <<-'END'
		op = dart("anna").create()
		ben = dart("ben").join(op.id)
		ben.start_call()
		op.abort()
		equal(ask("/operation/complete", {"operationId": op.id, "participantId": "ben"}, status=409)["code"], "not-initiator")
		equal(op.state()["state"], "running")
		equal(ask("/operation/complete", {"operationId": op.id})["success"], True)
		ended = show(op.id)
		equal((ended["state"], ended["aborted"], ended["callCounts"]["running"]), ("completed", True, 0))
	END
}

@test "callframes: their data is LedgerData, strictly" {
	serve
	client <<-'END'
		op = dart("anna").create()
		other = undici("ben").join(op.id)
		call = op.start_call("by call/start")
		made = op.create_frame("frame_1")
		equal((made["success"], made["callId"]), (True, "frame_1"))
		data = made["data"]
		equal({n: data[n] for n in ("operationId", "initiatorId", "operationState", "aborted", "tempResources", "detectionTimestamp", "removalTimestamp")},
		      {"operationId": op.id, "initiatorId": "anna", "operationState": "running", "aborted": False, "tempResources": [], "detectionTimestamp": None, "removalTimestamp": None})
		for name in ("startTime", "lastHeartbeat"):
		    recent(data[name])
		equal([(f["callId"], f["description"], f["state"], f["failOnCrash"], f["resources"]) for f in data["callFrames"]],
		      [(call.id, "by call/start", "active", True, []), ("frame_1", None, "active", True, [])])
		for frame in data["callFrames"]:
		    recent(frame["startTime"]), recent(frame["lastHeartbeat"])
		equal(op.state()["callFrameCount"], 2)
		# Of the low level of the other client, and without a name.
		made = ask("/callframe/create", {"operationId": op.id, "callId": "frame_2"}, way="undici")
		equal([f["callId"] for f in ledger_data(made["data"])["callFrames"]], [call.id, "frame_1", "frame_2"])
		# A temp resource of somebody's shows up in it.
		path = os.path.join(ledger, "..", "made")
		open(path, "w").close()
		dpl("dpl-temp", "add", "-p", "anna", "-o", op.id, os.path.realpath(path))
		gone = op.delete_frame("frame_1")
		equal([f["callId"] for f in gone["data"]["callFrames"]], [call.id, "frame_2"])
		equal([r["path"] for r in gone["data"]["tempResources"]], [os.path.realpath(path)])
		recent(gone["data"]["tempResources"][0]["registeredAt"])
		op.abort()
		equal(op.delete_frame("frame_1")["data"]["aborted"], True)
		for unknown in ("frame_1", "never"):
		    equal(op.delete_frame(unknown)["success"], True)
		# One of that name runs already: whatever it is told, it is told.
		ask("/callframe/create", {"operationId": op.id, "callId": "frame_2"}, status=(200, 409))
		call.end()
		equal([c["callId"] for c in show(op.id)["calls"] if c["state"] == "running"][0], "frame_2")
		op.complete()
	END
}

@test "the state, asked for by GET" {
	serve
	client <<-'END'
		op = dart("a b.c").create()
		op.start_call()
		for way in WAYS:
		    posted = ask("/operation/state", {"operationId": op.id}, way=way)
		    for query in (op.id, quote(op.id, safe=""), "%" + "%".join("%02X" % byte for byte in op.id.encode())):
		        for form in ("operationId=%s", "x=y&operationId=%s", "operationId=%s&x=y&z"):
		            equal(ask("/operation/state?" + form % query, method="GET", way=way), posted)
		    # A query is none of a POST.
		    equal(ask("/operation/state?operationId=" + op.id, {}, way=way, status=400)["error"], "Missing operationId")
		    for bad in ("%", "%zz", "%00", "%ff", "..%2f", "a" * 300):
		        ask("/operation/state?operationId=" + bad, method="GET", way=way, status=(400, 404))
	END
}

@test "levels of the log in both cases; an unknown one is info" {
	serve
	client <<-'END'
		op = dart("me").create()
		levels = ["DEBUG", "INFO", "WARNING", "ERROR", "debug", "info", "warning", "error", "Warning", "FATAL", "trace", "", "5"]
		for level in levels:
		    op.log(level, level)
		equal([(e["message"], e["level"]) for e in events(op.id, "log")],
		      [(level, level.lower() if level.lower() in ("debug", "info", "warning", "error") else "info") for level in levels])
		text = "two\nlines, a tab\t, \u00e9 \U0001f642 \u202e \x1b[31m and \"quotes\" \\"
		op.log(text)
		equal(events(op.id, "log", "message")[-1], text)
	END
}

@test "names with blanks, dots and other letters: ids that every client joins" {
	serve
	client <<-'END'
		names = ["Anna B. Clark", "v1.2..3", "a.b", "\u00e9t\u00e9", "\U0001f642", "a/b", "it's", "%2e", "x" * 64]
		for make in (dart, node, undici):
		    for name in names:
		        op = make(name).create()
		        check(re.fullmatch(r"[A-Za-z0-9_.-]+", op.id) and ".." not in op.id, op.id)
		        check(re.search(r"-[0-9a-f]{8}$", op.id), op.id)
		        equal(op.answer["participantId"], name)
		        joined = dart(name + "2" if len(name) < 64 else name).join(op.id)
		        for o in (op, joined):
		            call = o.start_call()
		            check(re.fullmatch(r"call_.+_\d+_[0-9a-f]{4}", call.id), call.id)
		            check(re.fullmatch(r"[A-Za-z0-9_:.-]{1,64}", call.id), call.id)
		            call.end()
		        check(name in op.heartbeat()[1]["participants"] and name in op.state()["participants"], name)
		        op.complete()
		        equal(show(op.id)["initiatorId"], name)
		# What is no name: longer than 64 bytes, or what a terminal would obey.
		for name in ("x" * 65, "\u00e9" * 33, "a\nb", "\x1b[2J", "\u202ex", ".", ".."):
		    ask("/operation/create", {"participantId": name}, status=400)
	END
}

@test "an abort by dpl-abort reaches both clients' beats, and one of theirs dpl-abort --check" {
	serve
	client <<-'END'
		quick = dict(beats=True, beat_every=0.1, jitter=0.02)
		op = dart("anna", **quick).create()
		others = [node("ben", **quick).join(op.id), undici("cora", **quick).join(op.id)]
		within(10, lambda: all(len(o.beats.results) > 2 for o in [op] + others), "beats")
		dpl("dpl-abort", "--check", "-o", op.id, status=1)
		dpl("dpl-abort", "-m", "wrong branch", "-o", op.id)
		within(5, lambda: all("aborted" in o.beats.kinds() for o in [op] + others), "aborted")
		for o in [op] + others:
		    equal(set(o.beats.kinds()[:-1]), {"success"})
		    equal((o.beats.kinds()[-1], o.check_abort(), o.beats.over.is_set()), ("aborted", True, True))
		dpl("dpl-abort", "--clear", "-o", op.id)
		equal([o.check_abort() for o in [op] + others], [False] * 3)
		for o in [op] + others:
		    o.abort()
		    dpl("dpl-abort", "--check", "-o", op.id)
		    equal([x.heartbeat()[0] for x in [op] + others], ["aborted"] * 3)
		    o.abort(False)
		    dpl("dpl-abort", "--check", "-o", op.id, status=1)
		# One who does not hear of the end gets 404 for its next beat.
		late = dart("late", **quick).join(op.id)
		dpl("dpl-complete", "-p", "anna", "-o", op.id)
		within(5, lambda: "error" in late.beats.kinds(), "404")
		equal(next(answer.status for kind, answer in late.beats.results if kind == "error"), 404)
		late.stop_beats()
		equal([client.retries for client in started], [0] * len(started))
	END
}

@test "a beat has all members; one without a name keeps all who came by the old protocol" {
	serve
	client <<-'END'
		# Sooner stale, so that the test need not wait for ten seconds.
		stale_ms = 6000 if os.environ.get("SANITIZED") else 3000
		made = ask("/operation/create", {"participantId": "anna", "beatMs": 300, "jitterMs": 0, "staleMs": stale_ms})
		op = DartOperation(dart("anna"), made["operationId"], 1, True, made)
		ben = node("ben").join(op.id)
		dpl("dpl-join", "-p", "eve", "--ttl", "1h", "-o", op.id)


		def alive():
		    return {p["participantId"]: p["liveness"] for p in show(op.id)["participants"]}


		def beats(seconds):
		    end = time.monotonic() + seconds
		    while time.monotonic() < end:
		        kind, beat = op.heartbeat()
		        equal((kind, beat["isStale"], beat["staleParticipants"], sorted(beat["participants"])), ("success", False, [], ["anna", "ben", "eve"]))
		        check(0 <= beat["heartbeatAgeMs"] < stale_ms + 2000 and beat["callFrameCount"] == 0 and beat["tempResourceCount"] == 0, beat)
		        equal(alive(), {"anna": "alive", "ben": "alive", "eve": "alive"})
		        time.sleep(0.2)


		# Who has sent no beat has promised none.
		time.sleep(stale_ms / 1000 + 0.5)
		equal(alive(), {"anna": "alive", "ben": "alive", "eve": "alive"})
		beats(stale_ms / 1000 + 0.5)
		# Another server knows them, too.
		server = restarted(int(os.environ["server"]))
		beats(stale_ms / 1000 + 0.5)
		# That they are judged by those beats is seen when there are no more.
		within(20, lambda: alive()["anna"] != "alive" and alive()["ben"] != "alive", "stale")
		equal(alive()["eve"], "alive")
		stop(server)
	END
	ended "$server"
	server=
}

@test "a beat with a name keeps that one alone, any other request that names the operation keeps all; pids are not looked for here" {
	serve
	client <<-'END'
		stale_ms = 6000 if os.environ.get("SANITIZED") else 3000
		ended = subprocess.Popen(["true"])
		ended.wait()
		innocent = subprocess.Popen(["sleep", "100"])


		def begun():
		    made = ask("/operation/create", {"participantId": "anna", "participantPid": ended.pid, "beatMs": 300, "jitterMs": 0, "staleMs": stale_ms})
		    op = DartOperation(dart("anna"), made["operationId"], 1, True, made)
		    node("ben").join(op.id, pid=innocent.pid)
		    op.heartbeat()
		    return op


		def people(op):
		    return {p["participantId"]: p["liveness"] for p in show(op.id)["participants"]}


		def for_seconds(seconds, work):
		    end = time.monotonic() + seconds
		    while time.monotonic() < end:
		        work()
		        time.sleep(0.2)


		op = begun()
		for work in (op.state, lambda: op.log("x"), lambda: op.end_call("none")):
		    for_seconds(stale_ms / 1000 + 0.6, work)
		    equal(people(op), {"anna": "alive", "ben": "alive"})
		# How old the beat before this one was.
		op.heartbeat()
		time.sleep(0.5)
		age = op.heartbeat()[1]["heartbeatAgeMs"]
		check(450 <= age < 5000, age)
		op.complete()

		op = begun()
		within(20, lambda: ask("/operation/heartbeat", {"operationId": op.id, "participantId": "anna"}, status=(200, 404, 409)) and time.sleep(0.2) is None and people(op)["ben"] == "dead", "ben's death")
		equal([e["participantId"] for e in events(op.id, "crash.detected")], ["ben"])
		equal(innocent.poll(), None)
		innocent.kill()
	END
}

@test "the server is killed and comes back, again and again: everybody goes on, nothing acknowledged is lost" {
	serve
	client <<-'END'
		server = int(os.environ["server"])
		op = dart("anna").create()
		people = [op, node("ben").join(op.id), dart("cora").join(op.id), undici("dora").join(op.id)]
		begun, ended, logged, broken = ({o: [] for o in people} for _ in range(4))
		over = threading.Event()


		def work(o):
		    try:
		        while not over.is_set():
		            call = o.start_call()
		            begun[o].append(call.id)
		            check(call.end()["success"] is True, "an end")
		            ended[o].append(call.id)
		            text = "%s %d" % (o.client.name, len(ended[o]))
		            check(o.log(text)["success"] is True, "a log")
		            logged[o].append(text)
		            check(o.heartbeat()[0] == "success", "a beat")
		    except Exception as error:
		        broken[o].append(repr(error))


		def all_have(count):
		    within(15, lambda: all(len(logged[o]) >= count or broken[o] for o in people), "%d of each" % count)
		    check(not any(broken.values()), broken)


		threads = [threading.Thread(target=work, args=(o,), daemon=True) for o in people]
		for thread in threads:
		    thread.start()
		all_have(5)
		for _ in range(4):
		    again = restarted(server)
		    server = again.pid
		    all_have(min(len(logged[o]) for o in people) + 5)
		over.set()
		for thread in threads:
		    thread.join(10)
		    check(not thread.is_alive(), "it hangs")
		equal([o.state()["callFrameCount"] >= 0 for o in people], [True] * 4)
		equal(sorted(set(op.state()["participants"])), ["anna", "ben", "cora", "dora"])
		op.complete()
		stop(again)

		check(not any(broken.values()), broken)
		check(sum(client.retries for client in started) > 0, "nobody noticed")
		kept = {kind: set(events(op.id, kind, "callId")) for kind in ("call.started", "call.ended", "call.cancelled")}
		for o in people:
		    check(set(begun[o]) <= kept["call.started"], "starts that are lost: %s" % (set(begun[o]) - kept["call.started"]))
		    check(set(ended[o]) <= kept["call.ended"], "ends that are lost: %s" % (set(ended[o]) - kept["call.ended"]))
		    check(set(logged[o]) <= set(events(op.id, "log", "message")), "lines that are lost")
		# What was asked for twice has left at most a spare, which the end of the operation has cancelled.
		equal(kept["call.started"] - kept["call.ended"], kept["call.cancelled"])
		check(len(kept["call.started"]) - len(set().union(*begun.values())) <= sum(client.retries for client in started), "spares")
	END
	ended "$server"
	server=
}

@test "who tries again with a key gets the same answer, also from the next server" {
	serve
	client <<-'END'
		def keyed(path, key, status=200, **body):
		    wire = UndiciTransport(url)
		    wire.head = wire.head.replace("accept: ", "idempotency-key: %s\r\naccept: " % key)
		    answer = wire.exchange("POST", path, body)
		    equal(answer.status, status)
		    return answer.json()


		op = keyed("/operation/create", "c:1", participantId="me")["operationId"]
		equal(keyed("/operation/create", "c:1", participantId="me")["operationId"], op)
		call = keyed("/call/start", "k.1", operationId=op)["callId"]
		again = keyed("/call/start", "k.1", operationId=op)
		equal((again["callId"], again["replayed"]), (call, True))
		equal(keyed("/call/start", "k.1", status=422, operationId=op, description="other")["code"], "key-reused")
		server = restarted(int(os.environ["server"]))
		equal(keyed("/call/start", "k.1", operationId=op)["callId"], call)
		equal(keyed("/operation/create", "c:1", participantId="me")["operationId"], op)
		equal(len(events(op, "call.started")), 1)
		stop(server)
	END
	ended "$server"
	server=
}

@test "a 5xx has none of the words that make a client try for a minute, whatever the names are" {
	ledger=$BATS_TEST_TMPDIR/network/socket.timeout/connection
	export DPL_LEDGER=$ledger
	mkdir -p "${ledger%/*}"
	serve
	client <<-'END'
		import shutil

		have = {"participantId": "x", "message": "x", "callId": "x"}


		def broken(damage):
		    made = node("econnreset.network-timeout")
		    op = made.create()
		    file = os.path.join(ledger, op.id, "journal.jsonl")
		    damage(file)
		    statuses = set()
		    for path, needed in NEEDS.items():
		        if path != "/operation/create":
		            for way in WAYS:
		                begun = time.monotonic()
		                answer = ask(path, dict({n: have[n] for n in needed if n in have}, operationId=op.id), way=way, status=(404, 500))
		                check(time.monotonic() - begun < 2, "%s took long" % path)
		                statuses.add(answer["code"])
		    # The TypeScript client gives up at once.
		    fails(LedgerError, op.start_call)
		    equal(made.retries, 0)
		    equal(ask("/operation/create", {"participantId": "others"})["sessionId"], 1)
		    return statuses


		def rewrite(text):
		    def damage(file):
		        with open(file, "wb") as out:
		            out.write(text)

		    return damage


		def instead(make):
		    def damage(file):
		        os.unlink(file)
		        make(file)

		    return damage


		equal(broken(rewrite(b"rubbish\n")), {"damaged-journal"})
		broken(rewrite(b""))
		broken(rewrite(b'{"seq":1,"at":"2026-01-01T00:00:00.000Z","by":"x","event":"operation.created","format":99,"operationId":"x"}\n'))
		broken(instead(os.mkdir))
		broken(instead(os.mkfifo))
		broken(instead(lambda file: os.symlink("/dev/zero", file)))
	END
}

@test "who waits for the lock of one operation keeps nobody else waiting, and is told that it is busy" {
	DPL_TIMEOUT=2s serve
	client <<-'END'
		held, free = dart("anna").create(), dart("ben").create()
		lock = open(os.path.join(ledger, held.id, "journal.jsonl"), "rb")
		fcntl.flock(lock, fcntl.LOCK_EX)
		waiting = [posted("/operation/log", {"operationId": held.id, "message": "waits"}) for _ in range(8)]
		for _ in range(5):
		    begun = time.monotonic()
		    ask("/health", method="GET")
		    free.start_call().end()
		    took = time.monotonic() - begun
		    check(took < 1, "the others waited %.1f s" % took)
		answers = [Reader(sock).answer() for sock in waiting]
		equal([answer.status for answer in answers], [503] * 8)
		for answer in answers:
		    value = answer.json()
		    check(value["code"] in ("ledger-busy", "timed-out") and not any(word in value["error"].lower() for word in RETRY_WORDS), value)
		    check(re.fullmatch("[0-9]+", answer.header("Retry-After") or ""), answer.fields)
		equal(len(journal(held.id)), 1)
		fcntl.flock(lock, fcntl.LOCK_UN)
		equal(held.log("goes on")["success"], True)
	END
}

@test "at SIGTERM what has come is answered before it ends with 0" {
	serve
	client <<-'END'
		op = dart("anna").create()
		idle = connect(url)
		lock = open(os.path.join(ledger, op.id, "journal.jsonl"), "rb")
		fcntl.flock(lock, fcntl.LOCK_EX)
		sock = posted("/operation/log", {"operationId": op.id, "message": "the last word"})
		server = int(os.environ["server"])
		os.kill(server, signal.SIGTERM)
		within(5, lambda: idle.recv(1) == b"", "the idle one is closed")
		fcntl.flock(lock, fcntl.LOCK_UN)
		answer = Reader(sock).answer()
		equal((answer.status, answer.json()["success"]), (200, True))
		equal(events(op.id, "log", "message"), ["the last word"])
	END
	ended "$server"
	server=
	is "$status" 0
}

@test "over a unix socket" {
	serve --unix "$PWD/socket"
	wait_for '[ -S socket ]'
	is "$(stat -c %a socket)" 600
	url=unix:$PWD/socket client <<-'END'
		equal(os.path.realpath(ask("/status", method="GET")["basePath"]), os.path.realpath(ledger))
		for make in (dart, node, undici):
		    op = make("local").create()
		    op.start_call().end()
		    op.complete()
	END
	# Only a socket that nobody listens on is replaced.
	expect 7 dpl-serve -C "$ledger" --unix socket
	kill -KILL "$server"
	ended "$server"
	[ -S socket ]
	serve --unix "$PWD/socket"
	stop_server
	[ ! -e socket ]
	echo precious >socket
	expect 2 dpl-serve -C "$ledger" --unix socket
	is "$(cat socket)" precious
}

@test "two servers on one ledger: what is done at one is seen at the other" {
	serve
	client <<-'END'
		second = serve(0)
		op = dart("anna").create()
		ben = node("ben", at=second.url).join(op.id)
		equal(ben.session, 2)
		call = op.start_call("at the first")
		equal((ben.state()["callFrameCount"], sorted(ben.state()["participants"])), (1, ["anna", "ben"]))
		ben.end_call(call.id)
		equal(op.state()["callFrameCount"], 0)
		ben.abort()
		equal(op.heartbeat()[0], "aborted")
		op.abort(False)
		equal(ben.heartbeat()[0], "success")
		key = []
		for where in (url, second.url):
		    wire = UndiciTransport(where)
		    wire.head = wire.head.replace("accept: ", "idempotency-key: both\r\naccept: ")
		    key.append(wire.exchange("POST", "/call/start", {"operationId": op.id}).json()["callId"])
		equal(key[0], key[1])
		op.complete()
		equal(fails(LedgerError, ben.heartbeat).status, 404)
		stop(second)
	END
}

@test "localhost by each of its names" {
	serve
	client <<-'END'
		port = url.rsplit(":", 1)[1]
		names = ["127.0.0.1", "localhost"]
		try:
		    socket.create_connection(("::1", int(port)), 5).close()
		    names.append("[::1]")
		except OSError:
		    # Only where there is no such address.
		    probe = socket.socket(socket.AF_INET6)
		    fails(OSError, probe.bind, ("::1", 0))
		for name in names:
		    for make in (dart, node, undici):
		        op = make("me", at="http://%s:%s" % (name, port)).create()
		        op.start_call().end()
		        op.complete()
	END
}

@test "more connections than are allowed: who comes too late tries again, and gets in" {
	serve --max-connections 8
	client <<-'END'
		held = [connect(url) for _ in range(8)]
		for sock in held:
		    sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
		    equal(Reader(sock).answer().status, 200)
		made = {}


		def create(make):
		    made[make] = make("late", wait_scale=0.1).create()


		threads = [threading.Thread(target=create, args=(make,), daemon=True) for make in (dart, node, undici)]
		for thread in threads:
		    thread.start()
		within(5, lambda: all(client.retries for client in started) and len(started) == 3, "a second attempt")
		equal(made, {})
		for sock in held[:4]:
		    sock.close()
		for thread in threads:
		    thread.join(10)
		equal(len(made), 3)
		# Nothing was done by what was turned away.
		equal(len(strict_json(dpl("dpl-show", "--json", "--all").encode())["operations"]), 3)
	END
}

@test "the clients by hand" {
	serve
	python3() {
		"$python" "$root/tests/tools/oldclient.py" "$@"
	}
	expect 0 python3 discover "$url"
	is "$(jq -r '.[]' out | paste -sd ' ')" "$url $url"
	expect 0 python3 request node "$url" POST /operation/create '{"participantId":"by hand"}'
	holds '.status == 200 and .body.participantId == "by hand" and .headers["content-type"] == "application/json; charset=utf-8"'
	op=$(json .body.operationId)
	for way in dart node undici; do
		expect 0 python3 session "$way" "$url" "$way" "$op" < <(printf '%s\n' 'start some work' 'log INFO a line' check beat abort state clear 'end none' leave complete nonsense)
		is "$(jq -c '.error // .callId // .aborted // .success' out | sed 's/_.*"/"/' | paste -sd ' ')" \
			'null "call" true null true true true true true true "only the initiator completes an operation" "no such command: nonsense"'
	done
	is "$(count '.event == "log"') $(count '.event == "call.started"')" '3 3'
	expect 2 python3 nonsense
}

@test "CORS as the reference has it, where all origins are allowed" {
	serve --allow-origin '*'
	client <<-'END'
		wire = TRANSPORTS["undici"](url)
		plain = wire.head
		op = ask("/operation/create", {"participantId": "me"})["operationId"]
		for origin in ("", "origin: https://elsewhere.example\r\n", "origin: null\r\n"):
		    wire.head = plain.replace("accept: ", origin + "accept: ")
		    for method, path, body, status in (("GET", "/status", None, 200), ("OPTIONS", "/operation/create", None, 200), ("OPTIONS", "/nope", None, 200), ("GET", "/nope", None, 404),
		                                       ("POST", "/operation/log", {"operationId": op, "message": "x"}, 200), ("POST", "/operation/log", {}, 400), ("POST", "/operation/log", b"x", 400)):
		        answer = wire.exchange(method, path, body)
		        equal(answer.status, status)
		        equal(answer.header("Access-Control-Allow-Origin"), "*")
		        for name, wanted in (("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS"), ("Access-Control-Allow-Headers", "Origin, Content-Type, X-Auth-Token, Participant-Id")):
		            have = {part.strip().lower() for part in (answer.header(name) or "").split(",")}
		            check({part.strip().lower() for part in wanted.split(",")} <= have, "%s: %s" % (name, have))
	END
}
