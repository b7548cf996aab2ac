#!/usr/bin/env python3
"""oldclient - the two clients of the old ledger protocol, as a server sees them

    oldclient.py discover URL ...                       the first that is a ledger server, by each client's probe
    oldclient.py request dart|node|undici URL METHOD PATH [BODY]
                                                        one request as that client sends it; its answer as one line
                                                        of JSON: status, headers, body
    oldclient.py session dart|node|undici URL NAME [OPERATION]
                                                        create or join; then a command a line on standard input:
                                                        start [DESCRIPTION], end CALL, fail CALL TEXT, log LEVEL TEXT,
                                                        abort, clear, check, state, beat, leave, complete; each answered
                                                        by one line of JSON; beats in between are lines, too

Dart: chunked bodies, header names in lower case, head and body in segments of their own, a connection that is kept.
It decodes the body before it looks at the status, and the type of each member that it reads must be exact.
TypeScript: Content-Length; `node` is node-fetch (Connection: close), `undici` the fetch of Node itself, which keeps the
connection. It looks at the status of few answers, believes isInitiator, and numbers its second joins itself.

Both retry what looks like a broken network after 2, 4, 8, 16 and 32 seconds; `wait_scale` makes that shorter.
"""
import json
import os
import random
import re
import socket
import sys
import threading
import time
from datetime import datetime, timezone
from urllib.parse import quote, urlsplit

# What makes the TypeScript client take an error for a broken network, and try again for 62 s.
RETRY_WORDS = ("network", "connection", "timeout", "socket", "econnrefused", "econnreset", "etimedout", "enotfound")
RETRY_WAITS = (2, 4, 8, 16, 32)


# --- HTTP, as strict as a test must be ---


class Malformed(Exception):
    """What came is no HTTP/1.1 response, or its body no JSON."""


class Cut(OSError):
    """The connection ended within an answer, or before it."""


def strict_json(data):
    """Bytes to a value: strict UTF-8, no member twice, no NaN, no lone surrogate."""

    def pairs(items):
        if len({name for name, _ in items}) != len(items):
            raise Malformed("a member twice: %r" % data[:200])
        return dict(items)

    def constant(name):
        raise Malformed("%s in JSON" % name)

    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except ValueError as error:
        raise Malformed("no JSON (%s): %r" % (error, data[:200])) from None


class Answer:
    def __init__(self, status, fields, body):
        self.status = status
        self.fields = fields  # (name as sent, value)
        self.body = body

    def header(self, name):
        """The value of the header that must not be there twice; None where it is not there."""
        found = [value for n, value in self.fields if n.lower() == name.lower()]
        if len(found) > 1:
            raise Malformed("%s twice: %r" % (name, found))
        return found[0] if found else None

    def json(self):
        return strict_json(self.body)

    def closes(self):
        return "close" in (self.header("Connection") or "").lower()


class Reader:
    """Takes responses off a socket, one after the other."""

    def __init__(self, sock):
        self.sock = sock
        self.held = b""
        self.ended = False

    def more(self):
        if self.ended:
            return False
        data = self.sock.recv(65536)
        self.ended = not data
        self.held += data
        return bool(data)

    def upto(self, mark):
        while mark not in self.held:
            if len(self.held) > 1 << 20:
                raise Malformed("a line or a head that does not end")
            if not self.more():
                if self.held:
                    raise Cut("cut off after %r" % self.held[:200])
                return None
        part, self.held = self.held.split(mark, 1)
        return part

    def exactly(self, n):
        while len(self.held) < n:
            if not self.more():
                raise Cut("%d of %d bytes of a body" % (len(self.held), n))
        part, self.held = self.held[:n], self.held[n:]
        return part

    def chunks(self):
        body = b""
        while True:
            size = self.upto(b"\r\n")
            if size is None or not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size):
                raise Malformed("a chunk's size: %r" % size)
            part = self.exactly(int(size, 16))
            if self.exactly(2) != b"\r\n":
                raise Malformed("a chunk that is longer than its size")
            if not part:
                return body
            body += part

    def answer(self, head=False):
        """The next response, None where the server has closed instead. An interim one (100) comes as it is.
        With head it is one to HEAD, which has no body."""
        block = self.upto(b"\r\n\r\n")
        if block is None:
            return None
        lines = block.split(b"\r\n")
        first = re.fullmatch(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]*", lines[0])
        if not first:
            raise Malformed("a status line: %r" % lines[0][:200])
        fields = []
        for line in lines[1:]:
            field = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ -~\t]*?)[ \t]*", line)
            if not field:
                raise Malformed("a header: %r" % line[:200])
            fields.append((field.group(1).decode(), field.group(2).decode()))
        answer = Answer(int(first.group(1)), fields, b"")
        length, coding = answer.header("Content-Length"), answer.header("Transfer-Encoding")
        if length is not None and (coding is not None or not re.fullmatch("[0-9]{1,9}", length)):
            raise Malformed("Content-Length %r, Transfer-Encoding %r" % (length, coding))
        if head or answer.status < 200 or answer.status in (204, 304):
            return answer
        if coding is not None:
            if coding.lower() != "chunked":
                raise Malformed("Transfer-Encoding: %s" % coding)
            answer.body = self.chunks()
        elif length is not None:
            answer.body = self.exactly(int(length))
        else:
            while self.more():
                pass
            answer.body, self.held = self.held, b""
        return answer


def connect(url, timeout=30):
    """A socket to http://HOST:PORT or unix:PATH, which sends at once what it is given."""
    if url.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(url[5:])
        return sock
    parts = urlsplit(url)
    sock = socket.create_connection((parts.hostname, parts.port or 80), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def authority(url):
    return "localhost" if url.startswith("unix:") else urlsplit(url).netloc


# --- how each of them sends ---


class Transport:
    """One request and its answer; connections that are kept are used again, as many as there are requests at once."""

    timeout = None
    keeps = True

    def __init__(self, url):
        self.url = url
        self.idle = []
        self.lock = threading.Lock()
        self.connections = 0  # that were made, for who wants to know whether they are kept

    def segments(self, method, path, body):
        raise NotImplementedError

    def exchange(self, method, path, body=None):
        """body: a value that becomes JSON, or bytes, or None for none."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=False).encode("utf-8")
        with self.lock:
            held = self.idle.pop() if self.idle else None
        if held and self.went(held[0]):
            held[0].close()
            held = None
        if not held:
            sock = connect(self.url, self.timeout)
            held = sock, Reader(sock)
            self.connections += 1
        sock, reader = held
        kept = False
        try:
            for segment in self.segments(method, path, body):
                sock.sendall(segment)
            answer = reader.answer(method == "HEAD")
            if answer is None:
                raise Cut("Connection closed before full header was received")
            if answer.header("Content-Encoding"):
                raise Malformed("a coding that was not needed")
            kept = self.keeps and not answer.closes()
            return answer
        finally:
            if kept:
                with self.lock:
                    self.idle.append(held)
            else:
                sock.close()

    def went(self, sock):
        """Whether the server has closed a connection that was not in use: both clients see that, and take another."""
        sock.setblocking(False)
        try:
            return sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            sock.settimeout(self.timeout)

    def close(self):
        for sock, _ in self.idle:
            sock.close()
        self.idle = []


class DartTransport(Transport):
    def segments(self, method, path, body):
        head = "%s %s HTTP/1.1\r\nuser-agent: Dart/3.5 (dart:io)\r\n" % (method, path)
        if body is None:
            length = "content-length: 0\r\n" if method in ("GET", "HEAD") else "transfer-encoding: chunked\r\n"
        else:
            length = "content-type: application/json; charset=utf-8\r\ntransfer-encoding: chunked\r\n"
        head += "accept-encoding: gzip\r\n" + length + "host: %s\r\n\r\n" % authority(self.url)
        yield head.encode()
        if "chunked" in length:
            yield (b"%X\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"


class NodeTransport(Transport):
    """node-fetch: one connection a request."""

    timeout = 30
    keeps = False
    head = (
        "{method} {path} HTTP/1.1\r\n{content}Accept: */*\r\nUser-Agent: node-fetch/1.0 (+https://github.com/bitinn/node-fetch)\r\n"
        "Accept-Encoding: gzip,deflate\r\nConnection: close\r\nHost: {host}\r\n\r\n"
    )

    def segments(self, method, path, body):
        content = "Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body) if body is not None else ""
        if body is None and method in ("POST", "PUT"):
            content = "Content-Length: 0\r\n"
        head = self.head.format(method=method, path=path, content=content, host=authority(self.url))
        yield head.encode() + (body or b"")


class UndiciTransport(NodeTransport):
    """The fetch that Node brings. It says Sec-Fetch-Mode as a browser does, but no Sec-Fetch-Site and no Origin."""

    keeps = True
    head = (
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: keep-alive\r\n{content}accept: */*\r\naccept-language: *\r\n"
        "sec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: gzip, deflate\r\n\r\n"
    )


TRANSPORTS = {"dart": DartTransport, "node": NodeTransport, "undici": UndiciTransport}


# --- what both do ---


class LedgerError(Exception):
    """The server said no."""

    def __init__(self, text, status):
        super().__init__("%s (%d)" % (text, status))
        self.text = text
        self.status = status


class RetryExhausted(Exception):
    pass


class Refused(Exception):
    """The client itself said no, and sent nothing."""


class TypeFault(Exception):
    """A member is not there, or not of the type that the client casts it to."""


def moment(text):
    """DateTime.parse: with Z it is UTC, bare it is local time."""
    found = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(Z?)", text)
    if not found:
        raise TypeFault("no time: %r" % text)
    parts = [int(n) for n in found.groups()[:6]] + [int((found.group(7) or "0").ljust(6, "0"))]
    if found.group(8):
        return datetime(*parts, tzinfo=timezone.utc)
    return datetime(*parts).astimezone()


class Client:
    """What is alike in both: retries, beats."""

    transport = None
    beat_every = None

    def __init__(self, url, name, transport=None, wait_scale=1.0, beat_every=None, jitter=0.499, beats=True):
        self.url = url
        self.name = name
        self.wire = (transport or self.transport)(url)
        self.wait_scale = wait_scale
        self.every = self.beat_every if beat_every is None else beat_every
        self.jitter = jitter
        self.beats = beats
        self.retries = 0
        self.closing = threading.Event()

    def retried(self, attempt):
        """What attempt gives, tried again while `worth_retrying` says so."""
        for wait in RETRY_WAITS + (None,):
            try:
                return attempt()
            except (OSError, LedgerError, TypeFault, Malformed) as error:
                if not self.worth_retrying(error):
                    raise
                if wait is None:
                    raise RetryExhausted("6 attempts: %s" % error) from None
            self.retries += 1
            if self.closing.wait(wait * self.wait_scale):
                raise RetryExhausted("closed meanwhile")

    def close(self):
        self.closing.set()
        self.wire.close()


class Beats:
    """The heartbeats of one operation in a thread. results: each as (kind, answer or error)."""

    def __init__(self, operation, every, jitter, told=None):
        self.operation = operation
        self.every = every
        self.jitter = jitter
        self.told = told
        self.results = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.wait(self.every + random.random() * self.jitter):
            try:
                kind, answer = self.operation.heartbeat()
            except Exception as error:  # pylint: disable=broad-except
                kind, answer = "error", error
            if self.over.is_set():
                return
            self.results.append((kind, answer))
            if self.told:
                self.told(kind, answer)
            if kind == "aborted":
                self.over.set()

    def stop(self):
        self.over.set()
        if threading.current_thread() is not self.thread:
            self.thread.join(5)

    def kinds(self):
        return [kind for kind, _ in self.results]


def verdict(answer):
    """What a client makes of a heartbeat's answer, in this order."""
    if answer.get("success") is not True:
        return "ledgerNotFound"
    if answer["abortFlag"]:
        return "aborted"
    if answer["staleParticipants"]:
        return "heartbeatStale"
    return "success"


class Operation:
    """What is alike in both of one operation that a client takes part in."""

    def __init__(self, client, operation_id, session, initiator, answer):
        self.client = client
        self.id = operation_id
        self.session = session
        self.initiator = initiator
        self.answer = answer
        self.pending = {}
        self.beats = None

    def start_beats(self, told=None):
        if self.client.beats and not self.beats:
            self.beats = Beats(self, self.client.every, self.client.jitter, told)

    def stop_beats(self):
        if self.beats:
            self.beats.stop()

    def spawn(self, work, description=None, fail_on_crash=True):
        """call/start, work in a thread, call/end or call/fail with the error's text. Returns the thread; the call
        is its `.call`."""
        call = self.start_call(description, fail_on_crash)

        def run():
            try:
                work(call)
            except Exception as error:  # pylint: disable=broad-except
                call.fail(str(error))
            else:
                call.end()

        thread = threading.Thread(target=run, daemon=True)
        thread.call = call
        thread.start()
        return thread

    def may_leave(self, cancel):
        if self.pending and not cancel:
            raise Refused("%d calls are pending" % len(self.pending))

    def may_complete(self):
        if not self.initiator:
            raise Refused("only the initiator completes an operation")


class Call:
    def __init__(self, operation, call_id, started):
        self.operation = operation
        self.id = call_id
        self.started = started

    def end(self):
        answer = self.operation.end_call(self.id)
        self.operation.pending.pop(self.id, None)
        return answer

    def fail(self, error):
        answer = self.operation.fail_call(self.id, error)
        self.operation.pending.pop(self.id, None)
        return answer


# --- Dart ---


def a(value, kind, *names):
    """value[name] cast as Dart casts it: an int is not a bool and not a float, and nothing is null."""
    for name in names:
        if name not in value:
            raise TypeFault("%s is not there: %r" % (name, value))
        got = value[name]
        if kind == "strings":
            fine = type(got) is list and all(type(item) is str for item in got)
        elif kind == "time":
            fine = type(got) is str and moment(got)
        else:
            fine = type(got) is kind
        if not fine:
            raise TypeFault("%s is no %s: %r" % (name, getattr(kind, "__name__", kind), got))


def maybe(value, kind, *names):
    for name in names:
        if name not in value:
            raise TypeFault("%s is not there: %r" % (name, value))
        if value[name] is not None:
            a(value, kind, name)


def one_of(value, name, names):
    a(value, str, name)
    if value[name] not in names:
        raise TypeFault("%s: there is no %r" % (name, value[name]))


def ledger_data(data):
    """LedgerData.fromJson. Names of enums that it does not know make it throw, and so does null for what must be."""
    if type(data) is not dict:
        raise TypeFault("no ledger data: %r" % (data,))
    a(data, str, "operationId", "initiatorId")
    a(data, "time", "startTime", "lastHeartbeat")
    one_of(data, "operationState", ("running", "cleanup", "failed", "completed"))
    a(data, bool, "aborted")
    a(data, list, "callFrames", "tempResources")
    maybe(data, "time", "detectionTimestamp", "removalTimestamp")
    for frame in data["callFrames"]:
        a(frame, str, "participantId", "callId")
        a(frame, int, "pid")
        a(frame, "time", "startTime", "lastHeartbeat")
        one_of(frame, "state", ("active", "crashed", "cleaningUp", "cleanedUp"))
        maybe(frame, str, "description")
        a(frame, "strings", "resources")
        a(frame, bool, "failOnCrash")
    for resource in data["tempResources"]:
        a(resource, str, "path")
        a(resource, int, "owner")
        a(resource, "time", "registeredAt")
    return data


def maybe_data(answer):
    if answer.get("data") is not None:
        ledger_data(answer["data"])


def heartbeat_answer(answer):
    a(answer, bool, "success")
    if answer["success"]:
        a(answer, bool, "abortFlag", "isStale")
        a(answer, int, "callFrameCount", "tempResourceCount", "heartbeatAgeMs")
        a(answer, "strings", "participants", "staleParticipants")
    return answer


class DartClient(Client):
    """RemoteLedgerClient."""

    transport = DartTransport
    beat_every = 5.0

    @classmethod
    def discover(cls, urls):
        """The first URL that answers GET /status in half a second, as a ledger server does."""
        for url in urls:
            wire = cls.transport(url)
            wire.timeout = 0.5
            try:
                answer = wire.exchange("GET", "/status")
                if answer.status == 200 and answer.json().get("service") == "tom_dist_ledger":
                    return url
            except (OSError, Malformed):
                pass
            finally:
                wire.close()
        return None

    def worth_retrying(self, error):
        return isinstance(error, OSError)

    def post(self, path, **members):
        def attempt():
            answer = self.wire.exchange("POST", path, members)
            value = answer.json()  # before the status: what is no JSON is a FormatException
            if type(value) is not dict:
                raise TypeFault("no Map: %r" % (value,))
            if answer.status != 200:
                raise LedgerError(value.get("error"), answer.status)
            return value

        return self.retried(attempt)

    def create(self, description=None, pid=None):
        answer = self.post("/operation/create", participantId=self.name, participantPid=os.getpid() if pid is None else pid, description=description)
        return self.begun(answer, True)

    def join(self, operation_id, pid=None):
        if not re.fullmatch(r"[A-Za-z0-9_:.-]+", operation_id) or ".." in operation_id:
            raise Refused("a bad id: %r" % operation_id)
        answer = self.post("/operation/join", operationId=operation_id, participantId=self.name, participantPid=os.getpid() if pid is None else pid)
        return self.begun(answer, False)

    def begun(self, answer, initiator):
        a(answer, str, "operationId")
        a(answer, int, "sessionId")
        a(answer, "time", "startTime")
        operation = DartOperation(self, answer["operationId"], answer["sessionId"], initiator, answer)
        operation.start_beats()
        return operation


class DartOperation(Operation):
    def post(self, path, **members):
        return self.client.post(path, operationId=self.id, **members)

    def succeeds(self, path, **members):
        answer = self.post(path, **members)
        a(answer, bool, "success")
        return answer

    def start_call(self, description=None, fail_on_crash=True):
        answer = self.post("/call/start", sessionId=self.session, description=description, failOnCrash=fail_on_crash)
        a(answer, str, "callId")
        a(answer, "time", "startedAt")
        call = Call(self, answer["callId"], moment(answer["startedAt"]))
        self.pending[call.id] = call
        return call

    def end_call(self, call_id):
        return self.succeeds("/call/end", callId=call_id)

    def fail_call(self, call_id, error):
        return self.succeeds("/call/fail", callId=call_id, error=error)

    def heartbeat(self):
        answer = heartbeat_answer(self.post("/operation/heartbeat"))
        return verdict(answer), answer

    def state(self):
        answer = self.post("/operation/state")
        a(answer, str, "operationId")
        one_of(answer, "state", ("running", "cleanup", "failed", "completed"))
        a(answer, bool, "aborted")
        a(answer, int, "callFrameCount")
        a(answer, "strings", "participants")
        return answer

    def check_abort(self):
        return self.state()["aborted"]

    def log(self, message, level="INFO"):
        return self.succeeds("/operation/log", message=message, level=level)

    def abort(self, value=True):
        answer = self.succeeds("/operation/abort", value=value)
        self.stop_beats()
        return answer

    def leave(self, cancel=False):
        self.may_leave(cancel)
        answer = self.succeeds("/operation/leave", sessionId=self.session, cancelPendingCalls=cancel)
        self.stop_beats()
        self.pending.clear()
        return answer

    def complete(self):
        self.may_complete()
        self.stop_beats()
        return self.succeeds("/operation/complete")

    def create_frame(self, call_id):
        """The data in the answer may be null."""
        answer = self.succeeds("/callframe/create", callId=call_id, participantId=self.client.name)
        a(answer, str, "callId")
        maybe_data(answer)
        return answer

    def delete_frame(self, call_id):
        answer = self.succeeds("/callframe/delete", callId=call_id)
        maybe_data(answer)
        return answer


# --- TypeScript ---


class TypeScriptClient(Client):
    """LedgerClient."""

    transport = NodeTransport
    beat_every = 4.5

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.joined = {}

    @classmethod
    def discover(cls, urls):
        """The first URL where GET /health gives any 2xx in five seconds. There is an exception where there is none."""
        for url in urls:
            wire = cls.transport(url)
            wire.timeout = 5
            try:
                if 200 <= wire.exchange("GET", "/health").status < 300:
                    return url
            except (OSError, Malformed):
                pass
        raise LookupError("DiscoveryFailedException")

    def worth_retrying(self, error):
        if isinstance(error, OSError):
            return not isinstance(error, socket.timeout)
        if isinstance(error, LedgerError):
            return (error.status >= 500 or error.status in (408, 429)) and any(word in error.text.lower() for word in RETRY_WORDS)
        return False

    def send(self, path, looks, **members):
        """With looks a status that is no 2xx is an exception; without, nobody looks at it."""

        def attempt():
            answer = self.wire.exchange("POST", path, members)
            if looks and not 200 <= answer.status < 300:
                raise LedgerError(answer.body.decode("utf-8", "replace"), answer.status)
            return answer.json()

        return self.retried(attempt)

    # The low level looks at every status, and knows of no sessions.

    def start_call(self, operation_id, description=None):
        members = {} if description is None else {"description": description}
        return self.send("/call/start", True, operationId=operation_id, **members)

    def leave(self, operation_id):
        return self.send("/operation/leave", True, operationId=operation_id)

    def heartbeat(self, operation_id):
        return self.send("/operation/heartbeat", True, operationId=operation_id)

    def state(self, operation_id):
        return self.send("/operation/state", True, operationId=operation_id)

    def create(self, description=None, pid=None):
        members = {"participantId": self.name, "participantPid": os.getpid() if pid is None else pid}
        if description is not None:
            members["description"] = description
        return self.begun(self.send("/operation/create", True, **members))

    def join(self, operation_id, pid=None):
        """The second time nothing is sent: the session's number is the last one and one more."""
        last = self.joined.get(operation_id)
        if last:
            operation = TypeScriptOperation(self, operation_id, last.session + 1, last.initiator, last.answer)
            self.joined[operation_id] = operation
            return operation
        members = {"participantId": self.name, "participantPid": os.getpid() if pid is None else pid}
        return self.begun(self.send("/operation/join", True, operationId=operation_id, **members))

    def begun(self, answer):
        operation = TypeScriptOperation(self, answer["operationId"], answer["sessionId"], answer["isInitiator"], answer)
        operation.started = moment(answer["startTime"])
        self.joined[operation.id] = operation
        operation.start_beats()
        return operation


class TypeScriptOperation(Operation):
    def send(self, path, looks=False, **members):
        return self.client.send(path, looks, operationId=self.id, **members)

    def start_call(self, description=None, fail_on_crash=True):
        members = {} if description is None else {"description": description}
        answer = self.send("/call/start", True, sessionId=self.session, failOnCrash=fail_on_crash, **members)
        call = Call(self, answer["callId"], moment(answer["startedAt"]))
        self.pending[call.id] = call
        return call

    def end_call(self, call_id):
        return self.send("/call/end", callId=call_id)

    def fail_call(self, call_id, error):
        return self.send("/call/fail", callId=call_id, error=error)

    def heartbeat(self):
        answer = self.client.heartbeat(self.id)
        return verdict(answer), answer

    def state(self):
        return self.client.state(self.id)

    def check_abort(self):
        return self.state()["aborted"]

    def log(self, message, level="info"):
        return self.send("/operation/log", message=message, level=level)

    def abort(self, value=True):
        answer = self.send("/operation/abort", value=value)
        self.stop_beats()
        return answer

    def leave(self, cancel=False):
        self.may_leave(cancel)
        answer = self.send("/operation/leave", sessionId=self.session, cancelPendingCalls=cancel)
        self.stop_beats()
        self.pending.clear()
        return answer

    def complete(self):
        self.may_complete()
        self.stop_beats()
        return self.send("/operation/complete")


def client(way, url, name, **options):
    """A client by the name of its transport."""
    kind = DartClient if way == "dart" else TypeScriptClient
    return kind(url, name, transport=TRANSPORTS[way], **options)


# --- the command ---


def say(value):
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def discover(urls):
    say({"dart": DartClient.discover(urls)})
    try:
        say({"typescript": TypeScriptClient.discover(urls)})
    except LookupError as error:
        say({"typescript": None, "error": str(error)})


def request(way, url, method, path, body=None):
    answer = TRANSPORTS[way](url).exchange(method, path, None if body is None else os.fsencode(body))
    say({"status": answer.status, "headers": {name.lower(): value for name, value in answer.fields}, "body": answer.json() if answer.body else None})


def session(way, url, name, operation_id=None):
    me = client(way, url, name)
    me.beats = False
    taken = me.join(operation_id) if operation_id else me.create()
    me.beats = True
    say(taken.answer)
    taken.start_beats(lambda kind, answer: say({"beat": kind, "answer": answer}))
    commands = {
        "start": lambda text: {"callId": taken.start_call(text or None).id},
        "end": taken.end_call,
        "fail": lambda text: taken.fail_call(*text.split(" ", 1)),
        "log": lambda text: taken.log(*reversed(text.split(" ", 1))),
        "abort": lambda _: taken.abort(),
        "clear": lambda _: taken.abort(False),
        "check": lambda _: {"aborted": taken.check_abort()},
        "state": lambda _: taken.state(),
        "beat": lambda _: taken.heartbeat()[1],
        "leave": lambda _: taken.leave(True),
        "complete": lambda _: taken.complete(),
    }
    for line in sys.stdin:
        verb, _, rest = line.rstrip("\n").partition(" ")
        try:
            say(commands[verb](rest) if verb in commands else {"error": "no such command: " + verb})
        except (LedgerError, RetryExhausted, Refused, TypeFault, Malformed, TypeError) as error:
            say({"error": str(error), "kind": type(error).__name__})
    taken.stop_beats()
    me.close()


def main(arguments):
    verbs = {"discover": (discover, 1, 99), "request": (request, 4, 5), "session": (session, 3, 4)}
    verb = verbs.get(arguments[0] if arguments else None)
    if not verb or not verb[1] <= len(arguments) - 1 <= verb[2]:
        sys.stderr.write(__doc__)
        return 2
    if arguments[0] == "discover":
        discover(arguments[1:])
    elif arguments[1] not in TRANSPORTS:
        sys.stderr.write(__doc__)
        return 2
    else:
        verb[0](*arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
