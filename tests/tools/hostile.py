#!/usr/bin/env python3
"""hostile - bad input for a server of a ledger over raw sockets, numbers 71 to 105 of the list of bad inputs

    hostile.py [-v] --ledger DIR --pid PID [--token-file FILE] URL GROUP

Runs one group of rows against a running dpl-serve; -v names each. What is wrong is one line a row on standard output, and the
exit status is 1 then. A row is what is sent, perhaps in pieces, and which statuses may come back. After each:

- what came back is well-formed HTTP/1.1, its body one JSON object, of an error with `error` and a `code` that belongs to the status;
- the connection is closed behind it where its framing was broken, else it goes on, and the answer says which;
- GET /health is answered within 100 ms on another connection;
- nothing in the ledger has changed, but where the row says that it may.

At the end of a group the server has given back its connections, and is smaller than 40 MB.
"""
import gzip
import hashlib
import json
import os
import random
import re
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
from oldclient import RETRY_WORDS, Cut, Malformed, Reader, authority, connect, strict_json  # noqa: E402

CUT = 0  # among the statuses: closed without an answer
HERE = os.path.dirname(os.path.abspath(__file__))
SLACK = 1.5  # seconds that a busy machine may add to a deadline


# --- what is known of the server ---


def codes():
    """The statuses that go with each code: the library's table, and what only HTTP has."""
    with open(os.path.join(HERE, "../../lib/err.c"), encoding="utf-8") as file:
        table = {name: {int(status)} for name, status in re.findall(r'\{"([a-z-]+)", (\d+), EXIT', file.read())}
    table["too-large"] |= {414, 431}
    table["timed-out"] |= {408}
    table.update({
        "bad-http": {400, 408, 411, 417, 501, 505},
        "unauthorized": {401},
        "forbidden": {403},
        "unsupported-media-type": {415},
        "misdirected": {421},
        "too-many-requests": {429},
    })
    return table


class Target:
    """The server, its ledger, and one operation in it that nothing bad may happen to."""

    def __init__(self, url, ledger, pid, token):
        self.url = url
        self.ledger = ledger
        self.pid = pid
        self.token = token
        self.codes = codes()
        self.host = authority(url)
        self.op = ""
        self.base = {}

    def head(self, method="POST", path="/operation/create", fields=(), host=None, version="HTTP/1.1"):
        """A head up to its last CRLF, so that fields can be put behind it. host: "" for no such field."""
        lines = ["%s %s %s" % (method, path, version)]
        if host != "":
            lines.append("Host: " + (host or self.host))
        if self.token and not any(f.lower().startswith(("authorization", "x-auth-token")) for f in fields):
            lines.append("Authorization: Bearer " + self.token)
        return "\r\n".join(lines + list(fields) + [""]).encode("latin-1")

    def request(self, body=None, method="POST", path="/operation/create", fields=(), host=None, version="HTTP/1.1"):
        """A whole request; a body that is a value becomes JSON."""
        if body is None:
            return self.head(method, path, fields, host, version) + b"\r\n"
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return self.head(method, path, list(fields) + ["Content-Length: %d" % len(body)], host, version) + b"\r\n" + body

    def chunked(self, data, body_path="/operation/create", fields=()):
        """A request whose body is sent as the bytes in data, which are chunks or should be."""
        return self.head("POST", body_path, list(fields) + ["Transfer-Encoding: chunked"]) + b"\r\n" + data

    def ask(self, path, body, fields=(), method="POST"):
        """A good request by a connection of its own: its status and its object."""
        with connect(self.url) as sock:
            sock.sendall(self.request(body, method, path, list(fields) + ["Connection: close"]))
            answer = Reader(sock).answer()
            if answer is None:
                raise Cut("%s: no answer" % path)
            return answer.status, answer.json()

    def tree(self):
        """A hash of all names, modes, sizes and contents of the ledger."""
        total = hashlib.sha256()
        for folder, folders, files in os.walk(self.ledger):
            folders.sort()
            for name in sorted(files) + folders:
                path = os.path.join(folder, name)
                try:
                    stat = os.lstat(path)
                    total.update(("%s %o %d\n" % (os.path.relpath(path, self.ledger), stat.st_mode, stat.st_size if name in files else 0)).encode("utf-8", "replace"))
                    if name in files:
                        with open(path, "rb") as file:
                            total.update(file.read())
                except FileNotFoundError:
                    pass
        return total.hexdigest()

    def events(self, event, member):
        """That member of all such entries of the operation."""
        with open(os.path.join(self.ledger, self.op, "journal.jsonl"), encoding="utf-8") as file:
            return [entry.get(member) for entry in map(json.loads, file) if entry["event"] == event]

    def family(self):
        """The server and what it has forked."""
        found, parents = {self.pid}, {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % name, encoding="latin-1") as file:
                    parents[int(name)] = int(file.read().rpartition(") ")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                pass
        for _ in range(4):
            found |= {pid for pid, parent in parents.items() if parent in found}
        return found

    def resident(self):
        """Bytes of memory of the server and its children."""
        total = 0
        for pid in self.family():
            try:
                with open("/proc/%d/status" % pid, encoding="utf-8") as file:
                    total += sum(1024 * int(kib) for kib in re.findall(r"VmRSS:\s+(\d+) kB", file.read()))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total

    def descriptors(self):
        """What the server holds open, as the kernel names it, numbers left out."""
        found = []
        for name in os.listdir("/proc/%d/fd" % self.pid):
            try:
                found.append(re.sub(r"\d+", "N", os.readlink("/proc/%d/fd/%s" % (self.pid, name))))
            except FileNotFoundError:
                pass
        return found

    def sockets(self):
        return sum(name.startswith("socket:") for name in self.descriptors())

    def health(self):
        """What is wrong with GET /health, or "". The best of three counts: the machine may be busy, a server that is kept
        from its work is slow each time."""
        fields = ["Connection: close"]
        best = 99.0
        for _ in range(3):
            begun = time.monotonic()
            try:
                with connect(self.url, 5) as sock:
                    sock.sendall(self.request(None, "GET", "/health", fields))
                    answer = Reader(sock).answer()
                    if answer is None or answer.status != 200 or answer.json().get("status") != "ok":
                        return "GET /health: " + brief(answer)
            except (OSError, Malformed) as error:
                return "GET /health: %r" % error
            best = min(best, time.monotonic() - begun)
            if best < 0.1:
                return ""
        return "GET /health took %d ms" % (best * 1000)

    def misformed(self, answer, body=True):
        """What is wrong with an answer as such, or ""."""
        kind, length = answer.header("Content-Type"), answer.header("Content-Length")
        if answer.status == 200 and body and not answer.body:
            return "200 without a body"
        if not body:
            return "" if not answer.body else "a body"
        page = answer.header("Content-Security-Policy") is not None
        if kind != ("text/html; charset=utf-8" if page else "application/json; charset=utf-8"):
            return "Content-Type %r" % kind
        if length != str(len(answer.body)):
            return "Content-Length %r" % length
        if page:
            return "the ledger is in the page" if self.op.encode() in answer.body else ""
        value = answer.json()
        if type(value) is not dict:
            return "no object: %r" % (value,)
        if answer.status == 200:
            return "an error in a 200: %r" % value if "error" in value else ""
        error, code = value.get("error"), value.get("code")
        if type(error) is not str or not error or answer.status not in self.codes.get(code, ()):
            return "error %r, code %r" % (error, code)
        if answer.status >= 500 and any(word in error.lower() for word in RETRY_WORDS):
            return "a word of a broken network: %r" % error
        if self.token and self.token.encode() in answer.body:
            return "the token is in the answer"
        return ""


# --- rows ---


class Row:
    """One bad input.

    send      bytes, or a list of bytes and of seconds to wait
    statuses  which may come back; CUT for none
    closes    True: the connection is closed behind it; False: it goes on; None: either, as the answer says
    changes   whether the ledger may change: it was carried out
    error     the text that must be in the answer
    code      the code that must be
    half      close our side for writing behind it
    bodiless  a 200 has no body (OPTIONS)
    head      no answer has one (HEAD)
    many      how many answers there are at most; each must be of the statuses
    has       a header that the answer must have, with its value or True
    lacks     a header that it must not have
    """

    def __init__(self, number, name, send, statuses, closes=None, changes=False, error=None, code=None, half=False, bodiless=False, head=False, many=1, has=None, lacks=None, within=4):
        self.name = "%s %s" % (number, name)
        self.send = send if isinstance(send, list) else [send]
        self.statuses = statuses if isinstance(statuses, (set, tuple)) else {statuses}
        self.closes = closes
        self.changes = changes
        self.error = error
        self.code = code
        self.half = half
        self.bodiless = bodiless
        self.head = head
        self.many = many
        self.has = has or {}
        self.lacks = lacks
        self.within = within


def send_all(sock, pieces, half=False):
    """In a thread, since a server may answer before it has read everything; what it does not want any more is lost."""

    def run():
        try:
            for piece in pieces:
                if isinstance(piece, bytes):
                    sock.sendall(piece)
                else:
                    time.sleep(piece)
            if half:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def closed(sock, reader):
    """Whether nothing follows but the end of the connection; None where it does not come."""
    try:
        return not reader.held and not reader.more()
    except socket.timeout:
        return None
    except OSError:
        return True


def goes_on(target, sock, reader):
    """What is wrong with the next answer on this connection, or ""."""
    try:
        sock.sendall(target.request(None, "GET", "/health"))
        answer = reader.answer()
    except (OSError, Malformed) as error:
        return "the next request on this connection: %r" % error
    if answer is None:
        return "the next request on this connection has no answer"
    if answer.status != 200 or answer.json().get("status") != "ok":
        return "the next request on this connection: %d %r" % (answer.status, answer.body[:200])
    return ""


def dialogue(target, row, sock):
    """What is wrong with what comes back, or ""."""
    reader = Reader(sock)
    sender = send_all(sock, row.send, row.half)
    answers = []
    try:
        while len(answers) < row.many:
            answer = reader.answer(row.head)
            if answer is None:
                break
            if answer.status == 100:
                return "100 Continue, which nobody waits for"
            answers.append(answer)
            if answer.closes():
                break
    except socket.timeout:
        if not answers:
            return "no answer within %s s" % row.within
    except ConnectionResetError:
        if not answers:
            # What was sent is not read, and so the answer lost, if there was one.
            return "" if CUT in row.statuses else "reset before the answer could be read"
    if not answers:
        return "" if CUT in row.statuses else "closed without an answer"
    for answer in answers:
        what = "%d %r" % (answer.status, answer.body[:300])
        if answer.status not in row.statuses:
            return what
        wrong = target.misformed(answer, not row.head and not (row.bodiless and answer.status == 200))
        if wrong:
            return "%s: %s" % (what, wrong)
        if answer.status != 200 and not row.head:
            value = answer.json()
            if row.error is not None and value["error"] != row.error:
                return "%s, not %r" % (what, row.error)
            if row.code is not None and value["code"] != row.code:
                return "%s, not %s" % (what, row.code)
        for name, wanted in row.has.items():
            got = answer.header(name)
            if got is None or wanted is not True and got != wanted:
                return "%s: %s is %r" % (what, name, got)
        if row.lacks and answer.header(row.lacks) is not None:
            return "%s: %s is there: %r" % (what, row.lacks, answer.header(row.lacks))
    says = answers[-1].closes()
    if row.closes is True or says:
        if row.closes is False:
            return what + ": says that it closes the connection"
        if not says:
            return what + ": closes without having said so" if closed(sock, reader) else what + ": leaves the connection open"
        end = closed(sock, reader)
        if end is None:
            return what + ": says that it closes, and does not"
        return "" if end else "%s, and behind it %r" % (what, reader.held[:200])
    sender.join(row.within)
    if row.half:
        return "" if closed(sock, reader) else "%s, and behind it %r" % (what, reader.held[:200])
    wrong = goes_on(target, sock, reader)
    return "%s, but %s" % (what, wrong) if wrong else ""


def run_row(target, row):
    before = target.tree()
    try:
        sock = connect(target.url, row.within)
    except OSError as error:
        return "no connection: %r" % error
    with sock:
        try:
            wrong = dialogue(target, row, sock)
        except (Malformed, Cut) as error:
            wrong = repr(error)
        except socket.timeout:
            wrong = "stalls"
        except OSError as error:
            wrong = repr(error)
        # Also while this connection is there.
        wrong = wrong or target.health()
    if not wrong and not row.changes and target.tree() != before:
        wrong = "the ledger has changed"
    return wrong


# --- 71 to 83: JSON ---

ME = b'"participantId":"x"'


def json_rows(t):
    def create(number, name, body, statuses=400, error="Invalid JSON body", **more):
        fields = more.pop("fields", ())
        return Row(number, name, t.request(body, fields=fields), statuses, closes=more.pop("closes", False), error=error if statuses == 400 else None, **more)

    def bad(number, name, body, **more):
        return create(number, name, body, code="bad-json", **more)

    empty = dict(statuses=400, closes=False, error="Missing participantId", code="bad-request")
    yield Row("71", "empty body, Content-Length 0", t.request(b""), **empty)
    yield Row("71", "empty body, chunked", t.chunked(b"0\r\n\r\n"), **empty)
    yield Row("71", "no body and no word of one", t.request(), **empty)
    yield bad("72", "one blank", b" ")
    yield bad("72", "blanks, tabs and newlines", b" \t\r\n" * 100)
    for body in (b"null", b"[]", b"5", b'"x"', b"true", b"-0", b'["participantId","x"]', b"[{%s}]" % ME):
        yield bad("73", body.decode(), body)

    syntax = {
        "a member twice": b'{%s,"participantId":"y"}' % ME,
        "a member twice, one escaped": b'{%s,"participant\\u0049d":"y"}' % ME,
        "a member twice inside": b'{%s,"z":{"a":1,"a":2}}' % ME,
        "NaN": b'{%s,"z":NaN}' % ME,
        "Infinity": b'{%s,"z":Infinity}' % ME,
        "-Infinity": b'{%s,"z":-Infinity}' % ME,
        "1.": b'{%s,"z":1.}' % ME,
        ".5": b'{%s,"z":.5}' % ME,
        "+1": b'{%s,"z":+1}' % ME,
        "01": b'{%s,"z":01}' % ME,
        "-": b'{%s,"z":-}' % ME,
        "-01": b'{%s,"z":-01}' % ME,
        "0x10": b'{%s,"z":0x10}' % ME,
        "1e": b'{%s,"z":1e}' % ME,
        "1e+": b'{%s,"z":1e+}' % ME,
        "single quotes": b"{'participantId':'x'}",
        "a name without quotes": b'{participantId:"x"}',
        "a comma at the end of an object": b"{%s,}" % ME,
        "a comma at the end of an array": b'{%s,"z":[1,]}' % ME,
        "two commas": b'{%s,,"z":1}' % ME,
        "a comma in front": b"{,%s}" % ME,
        "no comma": b'{%s "z":1}' % ME,
        "no colon": b'{"participantId" "x"}',
        "two colons": b'{"participantId"::"x"}',
        "a comment": b"{%s/* */}" % ME,
        "a comment in a line": b"{%s}//\n" % ME,
        "rubbish behind": b"{%s} x" % ME,
        "two objects": b"{%s}{}" % ME,
        "a brace too many": b"{%s}}" % ME,
        "a NUL behind": b"{%s}\0" % ME,
        "a NUL in front": b"\0{%s}" % ME,
        "a newline in a text": b'{"participantId":"x\n"}',
        "a tab in a text": b'{"participantId":"x\t"}',
        "a NUL in a text": b'{"participantId":"x\0y"}',
        "byte 1F in a text": b'{"participantId":"x\x1f"}',
        "\\x41": b'{"participantId":"\\x41"}',
        "\\u12": b'{"participantId":"\\u12"}',
        "\\u12zz": b'{"participantId":"\\u12zz"}',
        "\\'": b'{"participantId":"\\\'"}',
        "a text without end": b'{"participantId":"x',
        "a text that ends in a backslash": b'{"participantId":"x\\"}',
        "an object without end": b"{%s" % ME,
        "an array that an object ends": b'{%s,"z":[}' % ME,
        "True": b'{%s,"z":True}' % ME,
        "nul": b'{%s,"z":nul}' % ME,
        "truefalse": b'{%s,"z":truefalse}' % ME,
        "a form feed as a blank": b"{\f%s}" % ME,
        "a no-break space as a blank": b"{\xc2\xa0%s}" % ME,
        "a number as a name": b"{%s,1:2}" % ME,
        "a name alone": b'{%s,"z"}' % ME,
        "nothing for a value": b'{%s,"z":}' % ME,
        "lone byte FF": b'{"participantId":"\xff"}',
        "lone byte 80": b'{"participantId":"\x80"}',
        "overlong C0 AF": b'{"participantId":"\xc0\xaf"}',
        "overlong E0 80 AF": b'{"participantId":"\xe0\x80\xaf"}',
        "a surrogate in UTF-8": b'{"participantId":"\xed\xa0\x80"}',
        "beyond U+10FFFF": b'{"participantId":"\xf4\x90\x80\x80"}',
        "half a character at the end": b'{"participantId":"\xe2\x82',
        "half a character in a text": b'{"participantId":"\xe2\x82"}',
        "no UTF-8 in a name": b'{%s,"\xff":1}' % ME,
        "no UTF-8 behind": b"{%s}\xff" % ME,
    }
    for name, body in syntax.items():
        yield bad("74", name, body)
    # Well-formed, but not to be had.
    for name, text in {"\\u0000": "x\\u0000y", "a lone high surrogate": "\\ud800", "a lone low surrogate": "\\udc00", "surrogates the wrong way round": "\\udc00\\ud800"}.items():
        yield create("74", name, b'{"participantId":"%s"}' % text.encode(), error=None)
    for number in ("1e999", "-1e999", "1.0", "1e0", "18446744073709551616", "9007199254740993", "-9007199254740993"):
        yield create("74", "a pid of " + number, b'{%s,"participantPid":%s}' % (ME, number.encode()), error=None)

    def deep(n):
        return b'{%s,"z":%s1%s}' % (ME, b"[" * n, b"]" * n)

    yield create("75", "31 deep", deep(30), statuses=200, changes=True)
    yield create("75", "33 deep and more", deep(33), error=None)
    yield create("75", "30,000 deep", deep(30000), error=None)
    yield bad("75", "60,000 without end", b'{"z":' + b"[" * 60000)
    yield bad("75", "9,000 objects without end", b'{"z":' * 9000)
    yield create("75", "100,000 without end", b"[" * 100000, statuses=413, closes=True)
    many = b",".join(b'"%d":0' % i for i in range(2000))
    yield create("76", "1,000 members", b'{%s,"z":{%s}}' % (ME, many[: many.index(b',"1000"')]), statuses=200, changes=True)
    yield create("76", "2,000 members", b"{%s,%s}" % (ME, many), statuses=(400, 413))
    yield create("76", "100,000 members", b"{%s,%s}" % (ME, b",".join(b'"%d":0' % i for i in range(100000))), statuses=413, closes=True)
    yield create("77", "a name of 60,000 bytes", b'{%s,"%s":1}' % (ME, b"k" * 60000), statuses=(200, 400), changes=True)
    yield create("77", "a name of 1 MiB", b'{%s,"%s":1}' % (ME, b"k" * (1 << 20)), statuses=413, closes=True)
    yield create("78", "a number of 60,000 digits", b'{%s,"participantPid":%s}' % (ME, b"1" * 60000), error=None)
    yield create("78", "a number of 1 MiB", b'{%s,"participantPid":%s}' % (ME, b"1" * (1 << 20)), statuses=413, closes=True)
    for pid, status in (("-1", 200), ("0", 200), ("1", 200), ("2147483647", 200), ("2147483648", 400), ("-2", 400), ("4.5", 400), ('"1"', 400), ("true", 400), ("[1]", 400)):
        yield create("79", "a pid of " + pid, b'{%s,"participantPid":%s}' % (ME, pid.encode()), statuses=status, changes=status == 200, error=None)

    def asked(number, name, path, members, statuses=400, **more):
        body = ('{"operationId":"%s",%s}' % (t.op, members)).encode("utf-8", "surrogatepass")
        return Row(number, name, t.request(body, path=path), statuses, closes=False, **more)

    for value in ('"false"', '"true"', "0", "1", "[]", "{}", '""'):
        yield asked("80", "abort with a value of " + value, "/operation/abort", '"value":' + value, code="bad-request")
    for value in ("0", "-1", "NaN", "1e308", "9", "10.5", '"10"'):
        yield create("81", "a ttl of " + value, b'{%s,"ttlMs":%s}' % (ME, value.encode()), error=None)
        yield asked("81", "joining with a ttl of " + value, "/operation/join", '"participantId":"x","ttlMs":' + value)
    for value in ("-1", "NaN", "1e308", "3600001", '"1"'):
        yield asked("81", "a wait of " + value, "/operation/events", '"from":99,"waitMs":' + value)
    yield create("82", "__proto__ instead of an object's members", b'{"__proto__":{%s},"constructor":{"prototype":{%s}}}' % (ME, ME), error="Missing participantId")
    yield create("82", "__proto__ as a member and as a name", b'{"participantId":"__proto__","__proto__":null}', statuses=200, changes=True)
    yield Row("82", "/__proto__", t.request(b"{}", path="/__proto__"), 404, closes=False, error="Not found: /__proto__")
    text = ("{%s}" % ME.decode())
    for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"):
        yield bad("83", coding, text.encode(coding))
    yield create("83", "gzip that says so", gzip.compress(text.encode()), statuses=(400, 415), fields=["Content-Encoding: gzip"], closes=None)
    yield bad("83", "gzip that does not", gzip.compress(text.encode()))
    yield create("83", "gzip that is none", text.encode(), statuses=(400, 415), fields=["Content-Encoding: gzip"], closes=None)


def big_rows(t):
    """With --max-body 1048576."""

    def create(number, name, body, statuses=400, **more):
        return Row(number, name, t.request(body), statuses, closes=more.pop("closes", False), within=3, **more)

    yield create("75", "100,000 without end", b'{"z":' + b"[" * 100000)
    yield create("75", "500,000 deep", b'{%s,"z":%s%s}' % (ME, b"[" * 500000, b"]" * 500000))
    yield create("75", "150,000 objects deep", b'{"a":' * 150000)
    yield create("76", "100,000 members", b"{%s,%s}" % (ME, b",".join(b'"%x":0' % i for i in range(100000))), (400, 413))
    yield create("76", "120,000 elements", b'{%s,"z":[%s]}' % (ME, b",".join([b"1"] * 120000)), (200, 400), changes=True)
    yield create("77", "a name of almost 1 MiB", b'{%s,"%s":1}' % (ME, b"k" * 1048000), (200, 400), changes=True)
    yield create("77", "a name of almost 1 MiB, twice", b'{"%s":1,"%s":2}' % (b"k" * 500000, b"k" * 500000))
    yield create("78", "a number of almost 1 MiB", b'{%s,"participantPid":%s}' % (ME, b"1" * 1048000))
    yield create("78", "a fraction of almost 1 MiB", b'{%s,"participantPid":0.%s}' % (ME, b"1" * 1048000))
    yield create("78", "an exponent of almost 1 MiB", b'{%s,"participantPid":1e%s}' % (ME, b"0" * 1048000))
    yield create("78", "a participant's name of almost 1 MiB", b'{"participantId":"%s"}' % (b"x" * 1048000))
    yield create("78", "escapes of almost 1 MiB", b'{"participantId":"%s"}' % (b"\\u0041" * 170000))
    yield create("78", "a description that no entry holds", b'{%s,"description":"%s"}' % (ME, b"x" * 1000000), 413, code="too-large", closes=None)
    body = b"{%s}" % ME
    yield create("98", "a body of just 1 MiB", body + b" " * ((1 << 20) - len(body)), 200, changes=True)
    yield create("98", "a body of 1 MiB and one byte", body + b" " * ((1 << 20) + 1 - len(body)), 413, code="too-large", closes=True)


# --- 84 to 89: framing ---


def framing_rows(t):
    hidden = t.request({"participantId": "x", "description": "SMUGGLED"})
    body = b"{%s}" % ME
    good = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    line = {"operationId": t.op, "message": "fine"}
    log = json.dumps(line).encode()
    log_chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(log), log)

    def broken(number, name, send, statuses=400, **more):
        return Row(number, name, send, statuses, closes=True, **more)

    def with_fields(*fields):
        return t.head(fields=fields) + b"\r\n"

    # 84: what one sees as the end of the request is the beginning of another for the other.
    rest = b"0\r\n\r\n" + hidden
    yield broken("84", "CL and TE, another request behind the last chunk", with_fields("Content-Length: %d" % len(rest), "Transfer-Encoding: chunked") + rest)
    yield broken("84", "TE and CL, another request behind the length", with_fields("Transfer-Encoding: chunked", "Content-Length: 4") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden))
    yield broken("84", "CL and TE, a good body", with_fields("Content-Length: %d" % len(good), "Transfer-Encoding: chunked") + good)
    yield broken("84", "CL 0 and TE", with_fields("Content-Length: 0", "Transfer-Encoding: chunked") + good)
    for te in ("Transfer-Encoding: CHUNKED", "Transfer-Encoding:\tchunked", "transfer-encoding:chunked", "Transfer-Encoding: identity", "Transfer-Encoding: xchunked",
               "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked;q=1", "Transfer-Encoding:", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
               "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked",
               "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked", "X: y\r\n Transfer-Encoding: chunked", "Transfer-Encoding: \x0bchunked",
               "Transfer-Encoding: chunked\0", "Transfer-Encoding: ch\xfcnked"):
        yield broken("84", "CL and %r" % te, with_fields("Content-Length: %d" % len(rest), te) + rest, (400, 501))
        if "chunked" in te.lower() and te not in ("Transfer-Encoding: CHUNKED", "Transfer-Encoding:\tchunked", "transfer-encoding:chunked"):
            yield broken("84", "%r alone" % te, with_fields(te) + rest, (400, 501))
    yield broken("84", "TE in HTTP/1.0", t.head(fields=["Transfer-Encoding: chunked"], version="HTTP/1.0") + b"\r\n" + good, (400, 501))
    # A body where none is expected is passed over, or the connection closed: it is no request.
    for method in ("GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE", "get"):
        statuses = (200, 400, 501)
        for path in ("/health", "/operation/create"):
            named = dict(bodiless=method == "OPTIONS", head=method == "HEAD")
            yield Row("84", "a request as the body of %s %s" % (method, path), t.request(hidden, method, path), statuses, **named)
            yield Row("84", "a request as the chunked body of %s %s" % (method, path),
                      t.head(method, path, ["Transfer-Encoding: chunked"]) + b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden), statuses, **named)
    yield Row("84", "a request as the body for a path that is not there", t.request(hidden, path="/nope"), (400, 404))
    yield Row("84", "a request as the body for another host", t.request(hidden, host="evil.com"), 421)
    yield Row("84", "a request as the body from another origin", t.request(hidden, fields=["Origin: https://evil.example"]), 403)
    yield Row("84", "a request as a text from a page", t.request(hidden, fields=["Sec-Fetch-Site: cross-site", "Content-Type: text/plain"]), 415)
    yield Row("84", "a request as a body that is too long", t.request(hidden + b" " * 70000), 413, closes=True)
    yield Row("84", "a request as a body, with Upgrade", t.request(hidden, fields=["Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"]), (400, 501))
    yield Row("84", "a request as a body, with Upgrade, to another host", t.request(hidden, fields=["Connection: Upgrade", "Upgrade: websocket"], host="evil.com"), 421)
    yield Row("84", "a request as a body that is not to be expected", t.request(hidden, fields=["Expect: the worst"]), (400, 417))
    yield Row("84", "a request as a chunk's extension", t.chunked(b"2;x=\"\r\n%s\r\n0\r\n\r\n" % hidden), 400, closes=True)
    yield Row("84", "a request as trailers", t.chunked(b"0\r\n" + hidden), (400, 431), closes=None, many=2)

    # 85, 86
    n = len(body)
    yield broken("85", "two lengths, the first right", with_fields("Content-Length: %d" % n, "Content-Length: %d" % (n + 3)) + body + b"   ")
    yield broken("85", "two lengths, the second right", with_fields("Content-Length: %d" % (n + 3), "Content-Length: %d" % n) + body + b"   ")
    yield broken("85", "the same length twice", with_fields("Content-Length: %d" % n, "content-length: %d" % n) + body)
    yield broken("85", "two lengths, a request between them", with_fields("Content-Length: 0", "Content-Length: %d" % len(hidden)) + hidden)
    large = (400, 413)
    for value, statuses in (("-1", 400), ("+%d" % n, 400), ("0x%x" % n, 400), ("%d,%d" % (n, n), 400), ("%d, %d" % (n, n), 400), ("%d %d" % (n, n), 400), ("%d;" % n, 400), ("%d.0" % n, 400),
                            ("2e1", 400), ("", 400), ("x", 400), ("\"%d\"" % n, 400), ("%d\0" % n, 400), ("\xb2", 400), ("-0", 400), ("1_0", 400),
                            ("4294967296", large), ("4294967316", large), ("9223372036854775807", large), ("9223372036854775808", large), ("18446744073709551615", large),
                            ("18446744073709551616", large), ("18446744073709551637", large), ("9" * 1000, large), ("99999999999999999999999999999999", large)):
        shown = value if len(value) < 40 else value[:9] + "…"
        yield broken("86", "a length of %r" % shown, with_fields("Content-Length: " + value) + body, statuses)
    yield Row("86", "a length with zeros in front", with_fields("Content-Length: 000%d" % len(log)).replace(b"/operation/create", b"/operation/log") + log, (200, 400), changes=True)
    # 87
    yield broken("87", "longer than the body, then our end", with_fields("Content-Length: %d" % (n + 5)) + body, (CUT, 400, 408), half=True)
    yield broken("87", "longer than the body by one, then our end", with_fields("Content-Length: %d" % (n + 1)) + body, (CUT, 400, 408), half=True)
    yield broken("87", "chunks without the last one, then our end", t.chunked(good[:-5]), (CUT, 400, 408), half=True)
    yield broken("87", "a last chunk without its last line, then our end", t.chunked(good[:-2]), (CUT, 400, 408), half=True)
    yield broken("87", "half a head, then our end", t.head(), (CUT, 400, 408), half=True)
    yield broken("87", "nothing at all, then our end", b"", (CUT, 400, 408), half=True)
    yield Row("87", "shorter than the body: the rest is no request", with_fields("Content-Length: %d" % (n - 1)) + body + b"\r\n\r\n", 400, closes=True, many=2)

    # 88
    for te in ("xchunked", "identity, chunked", "chunked, identity", "chunked, chunked", "gzip, chunked", "gzip", "identity", "chunked;x", "chunke", "chunkedd", "chun ked", ", chunked", "chunked,"):
        yield broken("88", "coding %r" % te, with_fields("Transfer-Encoding: " + te) + good, (400, 501))
    for size in (b"0x%x" % n, b"-%x" % n, b"+%x" % n, b" %x" % n, b"%x " % n, b"%x\t" % n, b"", b"g", b"%x,%x" % (n, n), b"%x\0" % n, b"%x." % n, b"\xb2"):
        yield broken("88", "a chunk's size %r" % size, t.chunked(size + b"\r\n" + body + b"\r\n0\r\n\r\n"))
    for size in (b"FFFFFFFFFFFFFFFFF", b"FFFFFFFFFFFFFFFF", b"FFFFFFFFFFFFFFFE", b"8000000000000000", b"7FFFFFFFFFFFFFFF", b"100000000", b"1" + b"0" * 15 + b"%x" % n, b"10001", b"F" * 1000):
        yield broken("88", "a chunk of %s" % (size if len(size) < 40 else b"F\xe2\x80\xa6").decode(), t.chunked(size + b"\r\n" + body + b"\r\n0\r\n\r\n"), large)
    yield broken("88", "a chunk that is longer than its size", t.chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (n - 1, body)))
    yield broken("88", "a chunk that is shorter than its size", t.chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (n + 1, body)))
    yield broken("88", "a chunk's size that ends in LF", t.chunked(good.replace(b"\r\n", b"\n", 1)))
    yield broken("88", "a chunk that ends in LF", t.chunked(b"%x\r\n%s\n0\r\n\r\n" % (n, body)))
    yield broken("88", "a chunk that ends in two letters", t.chunked(b"%x\r\n%sxx0\r\n\r\n" % (n, body)))
    yield broken("88", "a last chunk that ends in LF", t.chunked(b"%x\r\n%s\r\n0\n\n" % (n, body)))
    yield broken("88", "a chunk's size that ends in CR", t.chunked(b"%x\r%s\r\n0\r\n\r\n" % (n, body)))
    yield broken("88", "a control byte in a chunk's extension", t.chunked(b"%x;a=\x01\r\n%s\r\n0\r\n\r\n" % (n, body)))
    yield broken("88", "a chunk's extension of 1 MiB", t.chunked(b"%x;%s\r\n%s\r\n0\r\n\r\n" % (n, b"e" * (1 << 20), body)), (400, 413, 431))
    yield broken("88", "extensions of 500 chunks, 1 MiB together", t.chunked(b"".join(b"1;%s\r\n \r\n" % (b"e" * 2000) for _ in range(500)) + good), (400, 413, 431))
    yield broken("88", "trailers of 1 MiB", t.chunked(good[:-2] + b"X-A: %s\r\n\r\n" % (b"t" * (1 << 20))), (400, 413, 431))
    yield broken("88", "5,000 trailers", t.chunked(good[:-2] + b"X: y\r\n" * 5000 + b"\r\n"), (400, 413, 431))
    yield broken("88", "a trailer that is none", t.chunked(good[:-2] + b"no colon\r\n\r\n"))
    yield broken("88", "a trailer that ends in LF", t.chunked(good[:-2] + b"X: y\n\r\n"))
    yield broken("88", "chunks of 64 KiB and more together", t.chunked(b"1000\r\n%s\r\n" % (b" " * 4096) * 17 + good), 413)
    carried = dict(statuses=200, closes=False, changes=True)
    for name, data in {
        "upper case and zeros in front": b"00%X\r\n%s\r\n0\r\n\r\n" % (len(log), log),
        "a last chunk of many zeros": log_chunks.replace(b"\r\n0\r\n", b"\r\n0000\r\n"),
        "an extension": b"%x;a=b;c=\"d;e\";f\r\n%s\r\n0;g\r\n\r\n" % (len(log), log),
        "trailers": log_chunks[:-2] + b"X-Sum: abc\r\nY: z\r\n\r\n",
        "trailers that look like a head's": log_chunks[:-2] + b"Content-Length: 5\r\nHost: evil.com\r\nTransfer-Encoding: gzip\r\n\r\n",
        "a byte each": b"".join(b"1\r\n%c\r\n" % byte for byte in log) + b"0\r\n\r\n",
    }.items():
        yield Row("88", "right: " + name, t.chunked(data, "/operation/log"), **carried)
    yield Row("88", "right: in pieces of one byte", [t.chunked(log_chunks, "/operation/log")[i : i + 1] for i in range(len(t.chunked(log_chunks, "/operation/log")))], **carried)

    # 89
    lf = t.request(body).replace(b"\r\n", b"\n")
    yield broken("89", "LF alone everywhere", lf)
    yield broken("89", "LF alone behind the first line", t.request(body).replace(b"\r\n", b"\n", 1))
    yield broken("89", "LF alone before the body", t.request(body).replace(b"\r\n\r\n", b"\r\n\n"))
    yield broken("89", "LF LF before the body", t.request(body).replace(b"\r\n\r\n", b"\n\n"))
    yield broken("89", "CR alone behind a field", t.request(body).replace(b"\r\nHost", b"\rHost"), half=True, statuses=(400, CUT))
    for field in ("X: a\rb", "X: a\nb", "X: a\0b", "X: \x01", "X: \x7f", "X: \x1b[2J", "X\0: a", "X\x7f: a", "X : a", "X\t: a", "Host : x", ": a", "X", "X Y: a", "X(Y): a", "\"X\": a", "X\xe9: a",
                  "X: a\r\n b", "X: a\r\n\tb", "\r\r\nX: a"):
        yield broken("89", "field %r" % field, t.request(body, fields=[field]))
    yield broken("89", "a blank before the first field", b"POST /operation/create HTTP/1.1\r\n Host: localhost\r\nContent-Length: %d\r\n\r\n%s" % (n, body))
    yield broken("89", "blanks alone as a field", t.request(body, fields=["  "]))
    yield Row("89", "bytes above 7F in a value", t.request(log, path="/operation/log", fields=["X: \xe9\xff"]), (200, 400), changes=True)
    yield Row("89", "right: blanks around a value, none behind the colon, none at all", t.request(log, path="/operation/log", fields=["X: \t a \t ", "Y:b", "Z:", "z: "]), **carried)
    yield Row("89", "right: names in any case", t.request(log, path="/operation/log").replace(b"Host", b"HOST").replace(b"Content-Length", b"cOnTeNt-LeNgTh"), **carried)


# --- 90 to 92: Host, Origin, Content-Type ---


def host_rows(t):
    body = b"{%s}" % ME
    log = json.dumps({"operationId": t.op, "message": "fine"}).encode()
    port = t.host.rsplit(":", 1)[1]

    def page(*fields):
        return t.request(body, fields=fields)

    def fine(*fields, **more):
        return t.request(log, path="/operation/log", fields=fields, **more)

    done = dict(statuses=200, closes=False, changes=True)
    yield Row("90", "no Host", t.request(body, host=""), 400, closes=None, code="bad-http")
    yield Row("90", "no Host, GET", t.request(None, "GET", "/health", host=""), 400, closes=None, code="bad-http")
    yield Row("90", "two Hosts, the same", page("Host: " + t.host), 400, closes=True, code="bad-http")
    yield Row("90", "two Hosts, another one behind", page("Host: evil.com"), 400, closes=True, code="bad-http")
    yield Row("90", "two Hosts, another one in front", t.request(body, host="evil.com", fields=["Host: " + t.host]), 400, closes=True, code="bad-http")
    for host in ("evil.com", "evil.com:" + port, "127.0.0.1.evil.com", "localhost.evil.com", "evillocalhost", "127.0.0.2", "127.1", "0", "0.0.0.0", "2130706433", "0x7f.1", "[::2]", "[::ffff:127.0.0.1]", "::1",
                 "127.0.0.1.", "metadata.internal"):
        yield Row("90", "Host: " + host, t.request(body, host=host), 421 if host != "::1" else (400, 421), closes=False if host != "::1" else None, code="misdirected" if host != "::1" else None)
        yield Row("90", "Host: %s, GET" % host, t.request(None, "GET", "/status", host=host), 421 if host != "::1" else (400, 421))
    for host in ("127.0.0.1@evil", "evil@127.0.0.1", "127.0.0.1:x", "127.0.0.1:80:80", "127.0.0.1:-1", "127.0.0.1/evil", "127.0.0.1#", "127.0.0.1 evil", "127.0.0.1, evil.com", "[::1", "[::1]x", "::1]", "[]",
                 "%31%32%37.0.0.1", "\xe9vil", "a" * 5000, "http://127.0.0.1", "127.0.0.1\\evil", "localhost%00.evil.com"):
        yield Row("90", "Host: " + host[:40], t.request(body, host=host), (400, 421))
    yield Row("90", "an empty Host", t.head(host="").replace(b"\r\n", b"\r\nHost:\r\n", 1) + b"Content-Length: %d\r\n\r\n%s" % (len(body), body), (400, 421))
    for host in ("localhost", "localhost:1", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:" + port, "LocalHost:" + port):
        yield Row("90", "right: Host: " + host, fine(host=host), **done)

    for origin in ("https://evil.example", "null", "http://localhost.evil.com", "http://evil.com:" + port, "file://", "", "x", "http://127.0.0.1@evil", "chrome-extension://abc", "https://evil.example\xe9", "o" * 5000):
        yield Row("91", "Origin: " + origin[:40], page("Origin: " + origin), 403, closes=False, code="forbidden", lacks="Access-Control-Allow-Origin")
        yield Row("91", "Origin: %s, a GET" % origin[:40], t.request(None, "GET", "/status", fields=["Origin: " + origin]), 403, closes=False, lacks="Access-Control-Allow-Origin")
    yield Row("91", "two Origins", page("Origin: https://evil.example", "Origin: null"), (400, 403), lacks="Access-Control-Allow-Origin")
    yield Row("91", "Origin and another Host", t.request(body, host="evil.com", fields=["Origin: http://evil.com"]), (403, 421))
    preflight = ["Origin: https://evil.example", "Access-Control-Request-Method: POST"]
    yield Row("91", "a preflight from another origin", t.request(None, "OPTIONS", fields=preflight), (200, 403), bodiless=True, lacks="Access-Control-Allow-Origin")
    yield Row("91", "a preflight for another Host", t.request(None, "OPTIONS", host="evil.com"), 421, bodiless=True)

    simple = ("text/plain", "text/plain;charset=UTF-8", "TEXT/PLAIN", "text/html", "text/x", "application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8", "multipart/form-data; boundary=x", "multipart/mixed",
              " \ttext/plain")
    for kind in simple:
        for site in ("Sec-Fetch-Site: cross-site", "sec-fetch-site: same-site", "Sec-Fetch-Site: none", "Sec-Fetch-Site:"):
            yield Row("92", "%s with %s" % (kind.strip(), site), page("Content-Type: " + kind, site), 415, closes=False, code="unsupported-media-type")
        yield Row("92", "%s with an Origin" % kind.strip(), page("Content-Type: " + kind, "Origin: https://evil.example"), (403, 415), closes=False)
        yield Row("92", "right: %s from no page" % kind.strip(), fine("Content-Type: " + kind), **done)
        yield Row("92", "right: %s with Sec-Fetch-Mode alone" % kind.strip(), fine("Content-Type: " + kind, "Sec-Fetch-Mode: cors"), **done)
    yield Row("92", "text/plain, chunked, from a page", t.chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), fields=["Content-Type: text/plain", "Sec-Fetch-Site: cross-site"]), 415, closes=False)
    yield Row("92", "two types, one a text, from a page", page("Content-Type: application/json", "Content-Type: text/plain", "Sec-Fetch-Site: cross-site"), (400, 415))
    yield Row("92", "two types, the first a text, from a page", page("Content-Type: text/plain", "Content-Type: application/json", "Sec-Fetch-Site: cross-site"), (400, 415))
    yield Row("92", "two types from no page", fine("Content-Type: application/json", "Content-Type: text/plain"), (200, 400), changes=True)
    yield Row("92", "right: no type", fine(), **done)
    yield Row("92", "right: JSON from a page of our own", fine("Content-Type: application/json; charset=utf-8", "Sec-Fetch-Site: same-origin"), **done)
    own = ["Content-Type: application/json", "Sec-Fetch-Site: same-origin"]
    for origin in ("http://" + t.host, "https://" + t.host, "HTTP://" + t.host):
        yield Row("91", "right: our own page, " + origin.split(":")[0], fine("Origin: " + origin, *own), lacks="Access-Control-Allow-Origin", **done)
    for origin in ("http://localhost:" + port, "http://127.0.0.1", "http://" + t.host + "0", "ftp://" + t.host, t.host, "http://" + t.host + "/"):
        yield Row("91", "Origin: %s, which is not the name that it was sent to" % origin, page("Origin: " + origin, *own), 403, closes=False, code="forbidden", lacks="Access-Control-Allow-Origin")
    yield Row("92", "a form from our own page", page("Origin: http://" + t.host, "Sec-Fetch-Site: same-origin", "Content-Type: text/plain"), 415, closes=False)
    link = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]
    policy = {"Content-Security-Policy": True}
    yield Row("91", "right: a link to the page", t.request(None, "GET", "/", fields=link), 200, closes=False, has=policy)
    yield Row("91", "right: its head", t.request(None, "HEAD", "/", fields=link), 200, closes=False, has=policy, head=True)
    yield Row("91", "the page by another name", t.request(None, "GET", "/", host="evil.com"), 421, closes=False, lacks="Content-Security-Policy")
    yield Row("91", "the page for a script of another page", t.request(None, "GET", "/", fields=["Origin: https://evil.example"]), 403, closes=False, lacks="Content-Security-Policy")
    yield Row("91", "a link to what reads", t.request(None, "GET", "/operation/list", fields=link), 403, closes=False)
    yield Row("91", "a link to what is not the page", t.request(None, "GET", "//", fields=link), 403, closes=False)
    yield Row("92", "a form to the page", t.request(b"x=1", path="/", fields=link + ["Content-Type: application/x-www-form-urlencoded"]), 415, closes=False)
    yield Row("93", "POST to the page", t.request(body, path="/"), 404, closes=False)
    for kind in ("application/json", "nonsense", "", "application/json;charset=\"\xe9\""):
        yield Row("92", "right: type %r" % kind, fine("Content-Type: " + kind), **done)


def origin_rows(t):
    """With --allow-origin https://good.example --allow-host my.example."""
    body = b"{%s}" % ME
    log = json.dumps({"operationId": t.op, "message": "fine"}).encode()

    def page(origin, *fields, **more):
        return t.request(more.pop("body", body), fields=["Origin: " + origin] + list(fields), **more)

    allow = "Access-Control-Allow-Origin"
    good = "https://good.example"
    yield Row("91", "right: the origin that is allowed", page(good, "Content-Type: application/json", body=log, path="/operation/log"), 200, closes=False, changes=True, has={allow: good, "Vary": True})
    yield Row("91", "right: its errors, too", page(good, path="/nope"), 404, closes=False, has={allow: good})
    yield Row("91", "right: its preflight", t.request(None, "OPTIONS", fields=["Origin: " + good, "Access-Control-Request-Method: POST"]), 200, closes=False, bodiless=True, has={allow: good, "Access-Control-Allow-Methods": True, "Access-Control-Allow-Headers": True})
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"):
        yield Row("92", "%s from the origin that is allowed" % kind, page(good, "Content-Type: " + kind), 415, closes=False, code="unsupported-media-type")
    for origin in (good + ".evil.com", good + ":444", "http://good.example", "https://evil.example", "null", good + "/", "*", good + " " + good, good + "," + good):
        yield Row("91", "Origin: " + origin, page(origin), 403, closes=False, code="forbidden", lacks=allow)
    yield Row("91", "two origins, one allowed", page(good, "Origin: https://evil.example"), (400, 403))
    yield Row("91", "two origins, the second allowed", page("https://evil.example", "Origin: " + good), (400, 403))
    for host in ("my.example", "my.example:99", "MY.example", "localhost"):
        yield Row("90", "right: Host: " + host, t.request(log, path="/operation/log", host=host), 200, closes=False, changes=True)
    for host in ("xmy.example", "my.example.evil.com", "my.exampl", "example", "evil.com", "my.example@evil.com"):
        yield Row("90", "Host: " + host, t.request(body, host=host), (400, 421))


# --- 93 to 95, 98, 104: methods, paths, versions, sizes ---


def request_rows(t):
    body = b"{%s}" % ME
    log = json.dumps({"operationId": t.op, "message": "fine"}).encode()
    done = dict(statuses=200, closes=False, changes=True)
    missing = dict(statuses=400, closes=False, error="Missing participantId")
    for method in ("GET", "DELETE", "PATCH", "TRACE", "FOO", "PROPFIND", "M-SEARCH"):
        statuses = 400 if method in ("GET", "DELETE", "PATCH") else (400, 501)
        yield Row("93", method + " without a body", t.request(None, method), statuses, closes=False if statuses == 400 else None, error="Missing participantId" if statuses == 400 else None)
        yield Row("93", method + " with a body", t.request(body, method), statuses)
    yield Row("93", "right: PUT", t.request(log, "PUT", "/operation/log"), **done)
    yield Row("93", "HEAD has no body", t.request(None, "HEAD", "/health"), 200, closes=False, head=True)
    yield Row("93", "HEAD of an error has none either", t.request(None, "HEAD", "/nope"), 404, closes=False, head=True)
    yield Row("93", "OPTIONS has none", t.request(None, "OPTIONS"), 200, closes=False, bodiless=True, lacks="Access-Control-Allow-Origin")
    yield Row("93", "TRACE does not echo", t.request(None, "TRACE", "/health", fields=["X-Secret: s3cret"]), (200, 400, 501))
    yield Row("93", "CONNECT", t.request(None, "CONNECT", "127.0.0.1:80"), (400, 404, 421, 501))
    for method in ("post", "Post", "get"):
        yield Row("93", method + " with a body", t.request(body, method), (400, 501))
    yield Row("93", "a method of 1 MiB", b"M" * (1 << 20) + t.head()[4:] + b"\r\n", (400, 413, 414, 431, 501), closes=True)
    yield Row("93", "a method of 1,000 bytes", b"M" * 1000 + t.request(None)[4:], (400, 414, 501))
    for method in ("P(ST", "P\0ST", "PO\tST", "P\xd6ST", "\"GET\"", "GET,", "", "GET\x0b"):
        yield Row("93", "method %r" % method, method.encode("latin-1") + t.request(body)[4:], (400, 501), closes=True)

    for path in ("/operation/create/", "//operation/create", "/./operation/create", "/operation/./create", "/operation//create", "/x/../operation/create", "/operation%2fcreate", "/operation/%63reate", "/%2e/operation/create", "/operation/create;x",
                 "/OPERATION/CREATE", "/operation/create%00", "/operation/create%20", "/operation/create\\", "/" + "a" * 8000, "/", "/<script>alert(1)</script>", "/\"\\u0000", "/%ff%fe", "/'", "/%0d%0aX:y", "/../../../../etc/passwd",
                 "/..%2f..%2f..%2fetc%2fpasswd", "/%252e", "/operation/createx", "/operation", "/favicon.ico"):
        # A long one need not be said in full.
        said = "Not found: " + path if len(path) < 200 and "\\" not in path and '"' not in path and "<" not in path else None
        if "\\" in path or '"' in path or "<" in path or path.startswith("//"):
            yield Row("94", "path " + path, t.request(body, path=path), (400, 404))
        else:
            yield Row("94", "path " + path[:40], t.request(body, path=path), (404,) if len(path) < 200 else (400, 404, 414), closes=False if len(path) < 200 else None, error=said)
    for path in ("operation/create", "health", "*", "#", "?x", "\\operation\\create", "ftp://127.0.0.1/health", "http:/operation/create", "http://", "http:///health", "://x", "/a b", "/\0", "/\x01", "/\x7f"):
        for method in ("GET", "POST"):
            yield Row("94", "target %r by %s" % (path, method), t.request(body if method == "POST" else None, method, path), (400, 404, 421))
    yield Row("94", "bytes above 7F in the path", t.request(body, path="/\xe9\xff\xc0\xaf"), (400, 404))
    yield Row("94", "a fragment", t.request(body, path="/operation/create#x"), (400, 404))
    yield Row("94", "right: a query", t.request(log, path="/operation/log?x=1&y#"[:-1]), **done)
    yield Row("94", "right: an empty query", t.request(log, path="/operation/log?"), **done)
    yield Row("94", "right: a query with anything in it", t.request(log, path="/operation/log?/../%00?%zz&&=;"), **done)
    yield Row("94", "right: the absolute form", t.request(log, path="http://%s/operation/log" % t.host), **done)
    yield Row("94", "right: OPTIONS *", t.request(None, "OPTIONS", "*"), 200, closes=False, bodiless=True)
    for url in ("http://evil.com/operation/create", "http://evil.com:%s/operation/create" % t.host.rsplit(":", 1)[1], "http://127.0.0.1@evil.com/operation/create", "http://evil.com@127.0.0.1/operation/create", "http://evil.com"):
        yield Row("94", "the absolute form of another host: " + url[:30], t.request(body, path=url), (400, 421))
    yield Row("94", "the absolute form, another Host", t.request(body, path="http://%s/operation/create" % t.host, host="evil.com"), (400, 421))
    yield Row("94", "the absolute form of another host and Host", t.request(body, path="http://evil.com/operation/create", host="evil.com"), (400, 421))

    old = dict(closes=True)
    yield Row("95", "HTTP/0.9", b"GET /health\r\n", (400, CUT), half=True, **old)
    yield Row("95", "HTTP/0.9 with a body", b"POST /operation/create\r\n\r\n" + body, (400, CUT), half=True, **old)
    yield Row("95", "HTTP/1.0 POST without a length", t.head(version="HTTP/1.0") + b"\r\n", (400, 411), **old)
    yield Row("95", "HTTP/1.0 POST whose body ends with the connection", t.head(version="HTTP/1.0") + b"\r\n" + body, (400, 411), half=True, **old)
    yield Row("95", "right: HTTP/1.0 with a length", t.request(log, path="/operation/log", version="HTTP/1.0"), 200, changes=True, **old)
    yield Row("95", "right: HTTP/1.0 GET", t.request(None, "GET", "/health", version="HTTP/1.0"), 200, **old)
    yield Row("95", "HTTP/1.0 without a Host", t.request(None, "GET", "/health", version="HTTP/1.0", host=""), (200, 400), **old)
    yield Row("95", "HTTP/1.0 with another Host", t.request(body, version="HTTP/1.0", host="evil.com"), 421, **old)
    yield Row("95", "HTTP/1.0 with Expect gets no 100", t.request(log, path="/operation/log", version="HTTP/1.0", fields=["Expect: 100-continue"]), 200, changes=True, **old)
    yield Row("95", "the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), (400, 501, 505), **old)
    for version in ("HTTP/2.0", "HTTP/2", "HTTP/9.9", "HTTP/0.9", "HTTP/1", "HTTP/1.", "HTTP/1.1x", "HTTP/11.1", "HTTP/1.10", "HTTP/01.1", "http/1.1", "HTTP/1,1", "HTTP 1.1", "HTTPS/1.1", "", "x", "HTTP/1.1 x", "HTTP/-1.1"):
        yield Row("95", "version %r" % version, t.request(body, version=version), (400, 505), **old)
    yield Row("95", "version HTTP/1.2", t.request(log, path="/operation/log", version="HTTP/1.2"), (200, 400, 505), changes=True)
    hello = bytes.fromhex("16030100a5010000a10303") + bytes(range(32)) + b"\0\0\x02\x13\x01\x01\0\0\x76" + b"\0" * 118
    yield Row("95", "a TLS hello", hello, (400, 501, CUT), half=True, **old)
    dice = random.Random(95)
    for i in range(20):
        noise = bytes(dice.randrange(256) for _ in range(256))
        yield Row("95", "256 random bytes, the %d." % (i + 1), noise, (400, 501, 505, CUT), half=True, **old)
    for i in range(20):
        # One byte of a good request is another one.
        request = bytearray(t.request(body, path="/nope"))
        request[dice.randrange(len(request) - len(body))] = dice.randrange(256)
        yield Row("95", "a byte changed: %r" % bytes(request[:60]), bytes(request), (400, 404, 413, 414, 415, 421, 431, 501, 505, CUT), half=True, many=3)
    for name, junk in (("blanks", b" " * 1000), ("zeros", b"\0" * 1000), ("CRLF", b"\r\n" * 5000), ("LF", b"\n" * 1000), ("1 MiB of FF", b"\xff" * (1 << 20))):
        yield Row("95", "only " + name, junk, (400, 414, 431, CUT), half=True, **old)
    yield Row("95", "an empty line in front", b"\r\n" + t.request(log, path="/operation/log"), (200, 400), changes=True)
    yield Row("95", "a blank in front", b" " + t.request(body), 400, closes=True)
    yield Row("95", "two blanks in the first line", t.request(body).replace(b" /", b"  /", 1), 400, closes=True)
    yield Row("95", "a tab in the first line", t.request(body).replace(b" /", b"\t/", 1), 400, closes=True)
    yield Row("95", "a blank at the end of the first line", t.request(body).replace(b"\r\n", b" \r\n", 1), 400, closes=True)

    yield Row("98", "5,000 fields", t.request(body, fields=["X-%d: y" % i for i in range(5000)]), 431, closes=True, code="too-large")
    yield Row("98", "65 fields and more", t.request(body, fields=["X-%d: y" % i for i in range(65)]), 431, closes=True, code="too-large")
    yield Row("98", "a field of 60 kB", t.request(body, fields=["X: " + "y" * 60000]), 431, closes=True, code="too-large")
    yield Row("98", "a field's name of 60 kB", t.request(body, fields=["X" * 60000 + ": y"]), (400, 431), closes=True)
    yield Row("98", "a field of 60 kB that does not end", t.head(fields=["X: " + "y" * 60000]), 431, closes=True, code="too-large")
    yield Row("98", "30 fields of 1 kB", t.request(body, fields=["X: " + "y" * 1000] * 30), 431, closes=True, code="too-large")
    yield Row("98", "a target of 40 kB", t.request(body, path="/" + "a" * 40000), 414, closes=True, code="too-large")
    yield Row("98", "a query of 40 kB", t.request(body, path="/operation/create?" + "a" * 40000), 414, closes=True, code="too-large")
    yield Row("98", "a target of 1 MiB that does not end", b"GET /" + b"a" * (1 << 20), (400, 414), closes=True)
    yield Row("98", "right: 50 fields", t.request(log, path="/operation/log", fields=["X-%d: y" % i for i in range(50)]), **done)
    yield Row("98", "right: a field of 8 kB", t.request(log, path="/operation/log", fields=["X: " + "y" * 8000]), **done)
    yield Row("98", "right: a query of 7 kB", t.request(log, path="/operation/log?" + "a" * 7000), **done)
    yield Row("98", "right: a body of 64 KiB", t.request(log + b" " * (65536 - len(log)), path="/operation/log"), **done)
    yield Row("98", "a body of 64 KiB and one byte", t.request(body + b" " * (65537 - len(body))), 413, closes=True, code="too-large")
    yield Row("98", "a length of 10 GB is refused at once", t.head(fields=["Content-Length: 10000000000"]) + b"\r\n", 413, closes=True, code="too-large")
    yield Row("98", "1 MiB is refused while it comes", t.request(b" " * (1 << 20)), 413, closes=True, code="too-large")
    # A body that is just allowed, of an entry that is not: it has more members.
    line = json.dumps({"operationId": t.op, "message": ""}).encode()
    yield Row("98", "a message that no entry holds", t.request(line[:-2] + b"x" * (65536 - len(line)) + line[-2:], path="/operation/log"), 413, code="too-large")

    yield Row("104", "Upgrade: h2c", t.request(None, "GET", "/health", fields=["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]), 200, closes=False)
    yield Row("104", "Upgrade: websocket", t.request(None, "GET", "/health", fields=["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]), (200, 400))
    yield Row("104", "Upgrade of a POST", t.request(log, path="/operation/log", fields=["Connection: Upgrade", "Upgrade: TLS/1.0, HTTP/2.0"]), (200, 400), changes=True)
    yield Row("104", "Connection: close", t.request(None, "GET", "/health", fields=["Connection: x, Close"]), 200, closes=True)
    yield Row("104", "Connection: nonsense", t.request(None, "GET", "/health", fields=["Connection: content-length, host,, \"close\""]), (200, 400))


# --- 1 to 36: names, as far as they are fields of the wire ---


def name_rows(t):
    texts = ["", ".", "..", "../x", "a/../../etc/passwd", "/etc/passwd", "a/b", "%2e%2e%2fx", "..%2f", "..%252f", "a%00b", "-rf", "--help", "-", "x" * 255, "x" * 256, "x" * 5000, "a\nb", "a\rb", "\x1b[2J\x1b]0;x\x07", "a\u202eb",
             "a\u200bb", "e\u0301", "\U0001f642", " a", "a ", "~", "$HOME", "$(touch x)", "`touch x`", ";rm -rf /", "*", "?", "[a", "con", "x:y", "backup", "keys", "live", "x_trail", "x.lock", "x.json", ".new-x", ".old-x",
             "journal.jsonl", "%s%n%s", "a\0b", t.op + "/", t.op + "/journal.jsonl", "./" + t.op, t.op[:-1], t.op + "x", t.op.upper() + "X", "../" + os.path.basename(t.ledger) + "/" + t.op]
    for i, text in enumerate(texts):
        for path, more in (("/operation/state", {}), ("/operation/log", {"message": "x"}), ("/operation/join", {"participantId": "x"}), ("/operation/complete", {}), ("/call/start", {}), ("/operation/heartbeat", {}), ("/callframe/create", {"callId": "x"})):
            yield Row("1-36", "operationId %r at %s" % (text[:30], path), t.request(dict(more, operationId=text), path=path), (400, 404), closes=False)
        if i % 2 == 0:
            continue
        for path in ("/call/end", "/call/fail", "/callframe/delete"):
            yield Row("1-36", "callId %r at %s" % (text[:30], path), t.request({"operationId": t.op, "callId": text}, path=path), (200, 400), closes=False)


# --- 105: the token ---


def token_rows(t):
    body = b"{%s}" % ME
    log = json.dumps({"operationId": t.op, "message": "fine"}).encode()
    right = t.token

    def with_token(*fields, **more):
        return t.request(more.pop("body", body), fields=fields, **more)

    bare = Target.__new__(Target)
    bare.__dict__ = dict(t.__dict__, token=None)
    refused = dict(statuses=401, closes=False, code="unauthorized", has={"WWW-Authenticate": True})
    done = dict(statuses=200, closes=False, changes=True)
    yield Row("105", "no token", bare.request(body), **refused)
    yield Row("105", "no token, an operation that is there", bare.request({"operationId": t.op, "message": "x"}, path="/operation/log"), **refused)
    yield Row("105", "no token, the state by GET", bare.request(None, "GET", "/operation/state?operationId=" + t.op), **refused)
    yield Row("105", "no token, a path that is not there", bare.request(body, path="/nope"), **refused)
    wrong = {
        "wrong": "x" * len(right), "empty": "", "without its end": right[:-1], "longer": right + "x", "in another case": right.swapcase(), "a blank": " ", "of 10 kB": "x" * 10000, "itself twice": right + right, "two": right + " " + right,
        "two with a comma": right + ", " + right, "quoted": '"%s"' % right, "in base64": "dG9rZW4=", "bytes above 7F": "\xff" * len(right),
    }
    for name, token in wrong.items():
        yield Row("105", "a token that is " + name, with_token("Authorization: Bearer " + token), **refused)
        yield Row("105", "X-Auth-Token that is " + name, with_token("X-Auth-Token: " + token), **refused)
    yield Row("105", "right: the page, in which there is nothing, without a token", bare.request(None, "GET", "/"), 200, closes=False, has={"Content-Security-Policy": True})
    for field in ("Authorization: " + right, "Authorization: Basic " + right, "Authorization: Bearer", "Authorization: Bearer" + right, "Authorization: Token " + right, "Authorization: Bearer=" + right, "Authorization:", "X-Auth-Token: Bearer " + right,
                  "Authorisation: Bearer " + right, "Cookie: token=" + right, "Proxy-Authorization: Bearer " + right):
        yield Row("105", field.replace(right, "…"), bare.request(body, fields=[field]), **refused)
    yield Row("105", "the token in the query", bare.request(body, path="/operation/create?token=%s&access_token=%s" % (right, right)), **refused)
    yield Row("105", "a token of 1 MiB", with_token("Authorization: Bearer " + "x" * (1 << 20)), (401, 431), closes=None)
    yield Row("105", "a token with a NUL behind", with_token("Authorization: Bearer " + right + "\0"), (400, 401), closes=None)
    two = dict(statuses=(400, 401))
    yield Row("105", "two: right, wrong", with_token("Authorization: Bearer " + right, "Authorization: Bearer x"), **two)
    yield Row("105", "two: wrong, right", with_token("Authorization: Bearer x", "Authorization: Bearer " + right), **two)
    yield Row("105", "two X-Auth-Tokens: wrong, right", with_token("X-Auth-Token: x", "X-Auth-Token: " + right), **two)
    yield Row("105", "Authorization right, X-Auth-Token wrong", with_token("Authorization: Bearer " + right, "X-Auth-Token: x"), **two)
    yield Row("105", "Authorization wrong, X-Auth-Token right", with_token("Authorization: Bearer x", "X-Auth-Token: " + right), **two)
    for fields in (["Authorization: Bearer " + right], ["authorization: bearer " + right], ["X-Auth-Token: " + right], ["x-auth-token:" + right]):
        yield Row("105", "right: " + fields[0].replace(right, "…"), with_token(*fields, body=log, path="/operation/log"), **done)
    yield Row("105", "the right token, another Host", with_token("Authorization: Bearer " + right, host="evil.com"), 421, closes=False)
    yield Row("105", "the right token, another origin", with_token("Authorization: Bearer " + right, "Origin: https://evil.example"), 403, closes=False)


# --- 96, 99 to 103: conversations ---


def expect_that(fine, what):
    if not fine:
        raise AssertionError(what)


def brief(answer):
    return "no answer" if answer is None else "%d %r" % (answer.status, answer.body[:300])


def pipelined(t, half):
    """1,000 requests, sent without waiting; each answer names the path that was asked for."""
    with connect(t.url, 20) as sock:
        sender = send_all(sock, [b"".join(t.request(b"{%s}" % ME if i % 2 else None, "POST" if i % 2 else "GET", "/nope/%d" % i) for i in range(1000))], half)
        reader = Reader(sock)
        for i in range(1000):
            answer = reader.answer()
            expect_that(answer is not None, "no answer %d" % i)
            expect_that(answer.status == 404 and answer.json()["error"] == "Not found: /nope/%d" % i, "answer %d: %d %r" % (i, answer.status, answer.body))
            wrong = t.misformed(answer)
            expect_that(not wrong, wrong)
        sender.join(5)
        if half:
            expect_that(closed(sock, reader), "not closed behind the last")


def pipelined_writes(t):
    """The same with requests that change something: all done, in their order, and a bad one ends it there."""
    with connect(t.url, 20) as sock:
        pieces = [t.request({"operationId": t.op, "message": "line %d" % i}, path="/operation/log") for i in range(200)]
        send_all(sock, [b"".join(pieces) + b"rubbish\r\n\r\n" + t.request({"operationId": t.op, "message": "behind"}, path="/operation/log")])
        reader = Reader(sock)
        seqs = []
        for _ in range(200):
            answer = reader.answer()
            expect_that(answer is not None and answer.status == 200, brief(answer))
            seqs.append(answer.json()["seq"])
        answer = reader.answer()
        expect_that(answer is not None and answer.status == 400, brief(answer))
        expect_that(closed(sock, reader), "not closed behind rubbish")
    expect_that(seqs == list(range(seqs[0], seqs[0] + 200)), "the order: %s" % seqs[:20])
    lines = [m for m in t.events("log", "message") if m.startswith("line ") or m == "behind"]
    expect_that(lines == ["line %d" % i for i in range(200)], "%s" % lines[:20])


def expectation(t):
    """The client waits for 100 Continue before it sends its body."""
    log = json.dumps({"operationId": t.op, "message": "expected"}).encode()
    head = t.head(path="/operation/log", fields=["Expect: 100-continue", "Content-Length: %d" % len(log)]) + b"\r\n"
    with connect(t.url, 4) as sock:
        reader = Reader(sock)
        sock.sendall(head)
        answer = reader.answer()
        expect_that(answer is not None and answer.status == 100 and not answer.body, brief(answer))
        sock.sendall(log)
        answer = reader.answer()
        expect_that(answer is not None and answer.status == 200 and not t.misformed(answer), brief(answer))
        expect_that(not goes_on(t, sock, reader), "the connection does not go on")
    # One that does not wait may get the 100, but an answer in any case.
    with connect(t.url, 4) as sock:
        reader = Reader(sock)
        sock.sendall(head + log)
        answer = reader.answer()
        if answer is not None and answer.status == 100:
            answer = reader.answer()
        expect_that(answer is not None and answer.status == 200, brief(answer))


def expectation_refused(t):
    """What will not be read is not asked for: the answer comes instead of 100."""
    hidden = t.request({"participantId": "x", "description": "SMUGGLED"})
    before = t.tree()
    for name, fields, statuses, more in (
        ("too long", ["Content-Length: 10000000"], (413,), {}),
        ("broken", ["Content-Length: 5", "Content-Length: 5"], (400,), {}),
        ("another host", ["Content-Length: %d" % len(hidden)], (421,), {"host": "evil.com"}),
        ("another origin", ["Content-Length: %d" % len(hidden), "Origin: https://evil.example"], (403,), {}),
        ("another expectation", ["Content-Length: %d" % len(hidden), "Expect: 200-ok"], (400, 417), {}),
    ):
        with connect(t.url, 4) as sock:
            reader = Reader(sock)
            sock.sendall(t.head(fields=fields + (["Expect: 100-continue"] if "other exp" not in name else []), **more) + b"\r\n")
            answer = reader.answer()
            sent = answer is not None and answer.status == 100 and name.startswith("another ")
            if sent:
                # It may also be read first, and refused then.
                sock.sendall(hidden)
                answer = reader.answer()
            expect_that(answer is not None, name + ": closed without an answer")
            expect_that(answer.status in statuses, "%s: %d %r" % (name, answer.status, answer.body))
            wrong = t.misformed(answer)
            expect_that(not wrong, "%s: %s" % (name, wrong))
            # Whether the body follows all the same is not to be seen from there, so it is no request.
            try:
                if not sent:
                    sock.sendall(hidden)
                if not answer.closes():
                    wrong = goes_on(t, sock, reader)
                    expect_that(not wrong, "%s: %s" % (name, wrong))
                else:
                    expect_that(closed(sock, reader), "%s: behind it %r" % (name, reader.held[:200]))
            except OSError:
                pass
    expect_that(t.tree() == before, "the ledger has changed")


def reset(sock):
    """Close it by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def resets(t):
    """RST at every place of a request, and behind it."""
    request = t.request({"operationId": t.op, "message": "reset"}, path="/operation/log")
    for i in list(range(0, len(request), 3)) + [len(request)] * 20:
        sock = connect(t.url)
        sock.sendall(request[:i])
        reset(sock)
    for i in range(0, len(request), 3):
        sock = connect(t.url)
        sock.sendall(request[:i])
        sock.close()
    # Of answers that are not read.
    for _ in range(20):
        sock = connect(t.url)
        sock.sendall(t.request({"operationId": t.op}, path="/operation/show") * 50)
        reset(sock)
    wrong = t.health()
    expect_that(not wrong, wrong)


def half_closes(t):
    """Who has said all closes for writing, and still reads."""
    for request, status in ((t.request({"operationId": t.op, "message": "last"}, path="/operation/log"), 200), (t.request(None, "GET", "/health"), 200), (t.request(None, "GET", "/nope"), 404), (t.request(b"x"), 400),
                            (t.chunked(b"2\r\n{}\r\n0\r\n\r\n"), 400)):
        with connect(t.url, 4) as sock:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            reader = Reader(sock)
            answer = reader.answer()
            expect_that(answer is not None and answer.status == status, "%r: %s" % (request[:40], brief(answer)))
            expect_that(closed(sock, reader), "%r: not closed" % request[:40])


def no_data(t):
    """10,000 connections on which nothing is said, 200 at a time; every second one ends in a reset."""
    worst = 0.0
    for _ in range(50):
        socks = [connect(t.url) for _ in range(200)]
        begun = time.monotonic()
        wrong = t.health()
        worst = max(worst, time.monotonic() - begun)
        expect_that(not wrong, wrong)
        for i, sock in enumerate(socks):
            # Those that are closed in good order leave our port in TIME_WAIT.
            if i % 10:
                reset(sock)
            else:
                sock.close()


def key_of(t, path, body, key, then=None):
    """A request with an idempotency key: its status and object, or what `then` does with the socket."""
    sock = connect(t.url, 10)
    sock.sendall(t.request(body, path=path, fields=["Idempotency-Key: " + key]))
    if then:
        return then(sock)
    with sock:
        answer = Reader(sock).answer()
        expect_that(answer is not None, "no answer")
        wrong = t.misformed(answer)
        expect_that(not wrong, wrong)
        return answer.status, answer.json()


def gone_before_the_answer(t):
    """102: the client is gone before the answer to call/start, and asks again with its key."""
    for i in range(30):
        body = {"operationId": t.op, "description": "answer lost %d" % i}
        key_of(t, "/call/start", body, "lost-%d" % i, reset if i % 2 else lambda sock: sock.close())
        answers = [key_of(t, "/call/start", body, "lost-%d" % i) for _ in range(2)]
        expect_that([status for status, _ in answers] == [200, 200], "%s" % answers)
        expect_that(answers[0][1]["callId"] == answers[1][1]["callId"], "%s" % answers)
    started = [d for d in t.events("call.started", "description") if d and d.startswith("answer lost")]
    expect_that(sorted(started) == sorted("answer lost %d" % i for i in range(30)), "%d calls: %s" % (len(started), started))
    for i in range(10):
        key_of(t, "/operation/create", {"participantId": "lost", "description": "made %d" % i}, "made-%d" % i, reset if i % 2 else lambda sock: sock.close())
        answers = [key_of(t, "/operation/create", {"participantId": "lost", "description": "made %d" % i}, "made-%d" % i) for _ in range(2)]
        expect_that(answers[0][0] == 200 and answers[0][1]["operationId"] == answers[1][1]["operationId"], "%s" % answers)
    made = [op["description"] for op in t.ask("/operation/list", {})[1]["operations"] if (op["description"] or "").startswith("made ")]
    expect_that(sorted(made) == ["made %d" % i for i in range(10)], "%s" % made)


def at_once(count, work):
    """What work(i) gives in as many threads that begin together."""
    results = [None] * count
    gate = threading.Barrier(count)

    def run(i):
        gate.wait()
        try:
            results[i] = work(i)
        except (OSError, Malformed, AssertionError) as error:
            results[i] = 0, {"error": repr(error)}

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def one_key_in_parallel(t):
    """103"""
    for round_ in range(10):
        body = {"operationId": t.op, "description": "parallel %d" % round_}
        got = at_once(8, lambda _: key_of(t, "/call/start", body, "parallel-%d" % round_))
        expect_that({status for status, _ in got} == {200} and len({value["callId"] for _, value in got}) == 1, "%s" % got)
        got = at_once(8, lambda i: key_of(t, "/call/start", {"operationId": t.op, "description": "rivals %d %d" % (round_, i)}, "rivals-%d" % round_))
        expect_that(sorted(status for status, _ in got) == [200] + [422] * 7, "%s" % got)
        expect_that({value["code"] for status, value in got if status == 422} == {"key-reused"}, "%s" % got)
        made = at_once(4, lambda _: key_of(t, "/operation/create", {"participantId": "x", "description": "at once %d" % round_}, "create-%d" % round_))
        expect_that({status for status, _ in made} == {200} and len({value["operationId"] for _, value in made}) == 1, "%s" % made)
    started = [d for d in t.events("call.started", "description") if d]
    expect_that(sorted(d for d in started if d.startswith("parallel")) == ["parallel %d" % i for i in range(10)], "%s" % started)
    expect_that(len([d for d in started if d.startswith("rivals")]) == 10, "%s" % started)
    made = [op for op in t.ask("/operation/list", {})[1]["operations"] if (op["description"] or "").startswith("at once")]
    expect_that(len(made) == 10, "%d operations" % len(made))


def key_rows(t):
    """What is no key, and a key that is taken."""
    body = {"operationId": t.op, "description": "keyed"}
    status, first = key_of(t, "/call/start", body, "taken")
    expect_that(status == 200, "%s" % first)

    def start(*keys, **more):
        return t.request(dict(body, **more), path="/call/start", fields=["Idempotency-Key: " + key for key in keys])

    for other in ({"description": "other"}, {"failOnCrash": False}, {"sessionId": 1}):
        yield Row("103", "the same key, %s" % other, start("taken", **other), 422, closes=False, code="key-reused")
    yield Row("103", "the same key, another path", t.request({"operationId": t.op, "message": "x"}, path="/operation/log", fields=["Idempotency-Key: taken"]), 422, closes=False, code="key-reused")
    yield Row("103", "right: the same again changes nothing", start("taken"), 200, closes=False)
    for key in ("", "a b", "a/b", "../x", "\xe9", "k" * 129, "k" * 5000, "a,b", "%41"):
        yield Row("103", "a key that is none: %r" % key[:30], start(key), 400)
    yield Row("103", "two keys", start("one", "two"), 400)
    yield Row("103", "two keys, the same", start("one", "one"), (200, 400), changes=True)


# --- 97: the slow ones, all at the same time ---


class Slow:
    """Connections that are watched together in one thread each; failures are collected."""

    def __init__(self, t):
        self.t = t
        self.failures = []
        self.threads = []
        self.ends = {}

    def start(self, name, work, *arguments):
        def run():
            try:
                work(*arguments)
            except (AssertionError, OSError, Malformed) as error:
                self.failures.append("%s: %s" % (name, error if isinstance(error, AssertionError) else repr(error)))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.threads.append(thread)

    def cut_between(self, least, most, begin, drip, every=1.0):
        """Send `begin`, then `drip` byte by byte; it must be cut after so many seconds, with a 408 or without an answer."""
        with connect(self.t.url, 0.2) as sock:
            begun = time.monotonic()
            sock.sendall(begin)
            reader = Reader(sock)
            sent = 0
            while True:
                took = time.monotonic() - begun
                expect_that(took < most + SLACK, "still there after %.1f s" % took)
                try:
                    if took >= sent * every and sent < len(drip):
                        sock.sendall(drip[sent : sent + 1])
                        sent += 1
                    if not reader.more():
                        break
                except socket.timeout:
                    pass
                except OSError:
                    break
            took = time.monotonic() - begun
            expect_that(took >= least - 0.3, "cut after %.1f s" % took)
            if reader.held:
                answer = reader.answer()
                while answer and answer.status in (100, 404):  # of the request before it
                    answer = reader.answer()
                expect_that(answer is None or answer.status in (400, 408) and not self.t.misformed(answer), brief(answer))

    def patient(self, pieces, count=1):
        """What is slow, but within the deadlines, is served."""
        with connect(self.t.url, 20) as sock:
            send_all(sock, pieces)
            reader = Reader(sock)
            for i in range(count):
                answer = reader.answer()
                expect_that(answer is not None and answer.status == 200, "answer %d: %s" % (i + 1, brief(answer)))

    def idle(self, least, most):
        """A connection that is kept, until the server has enough of it."""
        with connect(self.t.url, most + SLACK + 5) as sock:
            sock.sendall(self.t.request(None, "GET", "/health"))
            reader = Reader(sock)
            answer = reader.answer()
            expect_that(answer is not None and answer.status == 200 and not answer.closes(), brief(answer))
            begun = time.monotonic()
            expect_that(closed(sock, reader), "%r" % reader.held[:200])
            took = time.monotonic() - begun
            expect_that(least - 0.3 <= took <= most + SLACK, "closed after %.1f s" % took)

    def established(self, port):
        """Whether the server's end of a connection from our port is open."""
        theirs = "%04X" % int(self.t.host.rsplit(":", 1)[1])
        with open("/proc/net/tcp", encoding="ascii") as file:
            for line in file:
                parts = line.split()
                if parts[1].endswith(":" + theirs) and parts[2].endswith(":%04X" % port):
                    return parts[3] == "01"
        return False

    def unread(self, least, most, every=None):
        """Answers of some MB that nobody reads, or a byte a second."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        host, port = self.t.host.rsplit(":", 1)
        sock.connect((host, int(port)))
        mine = sock.getsockname()[1]
        with sock:
            sock.sendall(self.t.request({"operationId": self.t.op, "limit": 100000}, path="/operation/events") * 12)
            begun = time.monotonic()
            expect_that(self.established(mine), "no such connection")
            read = 0
            while self.established(mine):
                took = time.monotonic() - begun
                expect_that(took < most + SLACK, "still there after %.1f s" % took)
                if every and took > read * every:
                    sock.recv(1)
                    read += 1
                time.sleep(0.05)
            took = time.monotonic() - begun
            expect_that(took >= least - 0.3, "cut after %.1f s" % took)


def slow_group(t):
    """97 and the deadlines: 5 s for a head, 10 s for a request, 5 s without a byte of an answer read, 30 s between requests."""
    lines = "x" * 900
    for _ in range(12):
        with connect(t.url, 20) as sock:
            send_all(sock, [t.request({"operationId": t.op, "message": lines}, path="/operation/log") * 100])
            reader = Reader(sock)
            for _ in range(100):
                answer = reader.answer()
                if answer is None or answer.status != 200:
                    return 1, ["preparing: " + brief(answer)]
    slow = Slow(t)
    request = t.request({"operationId": t.op, "message": "slow"}, path="/operation/log")
    end_of_head = request.index(b"\r\n\r\n") + 4
    head, body = request[:end_of_head], request[end_of_head:]
    slow.start("idle after an answer", slow.idle, 29, 31)
    for i in range(64):
        slow.start("1 byte/s of a head, the %d." % (i + 1), slow.cut_between, 5, 7, b"", request[:60])
    slow.start("not a byte", slow.cut_between, 5, 31, b"", b"")
    slow.start("a byte less than a head", slow.cut_between, 5, 7, head[:-1], b"")
    slow.start("a field a second", slow.cut_between, 5, 7, head[:-2], b"X: y\r\n" * 20, 0.16)
    slow.start("1 byte/s of a body", slow.cut_between, 10, 11.5, head, body[:40])
    slow.start("nothing of a body", slow.cut_between, 10, 11.5, head, b"")
    slow.start("all but a byte of a body", slow.cut_between, 10, 11.5, request[:-1], b"")
    slow.start("1 byte/s of chunks", slow.cut_between, 10, 11.5, t.chunked(b"30\r\n", "/operation/log"), b"x" * 40)
    slow.start("1 byte/s of a chunk's size", slow.cut_between, 10, 11.5, t.chunked(b"", "/operation/log"), b"00003")
    slow.start("1 byte/s of a trailer", slow.cut_between, 10, 11.5, t.chunked(b"2\r\n{}\r\n0\r\n", "/operation/log"), b"X" * 40)
    slow.start("no body after 100", slow.cut_between, 10, 11.5, head[:-2] + b"Expect: 100-continue\r\n\r\n", b"")
    slow.start("a head of the second request that stalls", slow.cut_between, 5, 9, t.request(None, "GET", "/nope") + head[:-1], b"")
    slow.start("answers that nobody reads", slow.unread, 4, 9)
    slow.start("answers read by 1 byte/s", slow.unread, 4, 12, 1.0)
    slow.start("right: a head in 3 s", slow.patient, [head[:20], 1.5, head[20:50], 1.5, request[50:]])
    slow.start("right: a body in 8 s", slow.patient, [head] + [piece for i in range(8) for piece in (1.0, body[i * len(body) // 8 : (i + 1) * len(body) // 8])])
    slow.start("right: twelve requests in 14 s on one connection", slow.patient, [piece for _ in range(12) for piece in (t.request(None, "GET", "/health"), 1.2)], 12)
    # Who comes as the 65th, and whoever comes while all of them are there.
    begun = time.monotonic()
    while any(thread.is_alive() for thread in slow.threads[1:]):
        asked = time.monotonic()
        try:
            status, value = t.ask("/operation/log", {"operationId": t.op, "message": "the 65th"})
            took = time.monotonic() - asked
            if status != 200 or took > 1:
                slow.failures.append("beside 64 slow ones, after %.1f s: %d %s in %.2f s" % (asked - begun, status, value, took))
        except (OSError, Malformed) as error:
            slow.failures.append("beside 64 slow ones, after %.1f s: %r" % (asked - begun, error))
        wrong = t.health()
        if wrong:
            slow.failures.append("beside 64 slow ones, after %.1f s: %s" % (time.monotonic() - begun, wrong))
        if time.monotonic() - begun > 60:
            slow.failures.append("it does not end")
            break
        time.sleep(0.25)
    slow.threads[0].join(45)
    if slow.threads[0].is_alive():
        slow.failures.append("an idle connection is still there after 45 s")
    return len(slow.threads), slow.failures


# --- running ---


def talk(name, work, *arguments):
    """A conversation as a row: its name, and what runs it."""

    def run(t):
        try:
            work(t, *arguments)
            return ""
        except AssertionError as error:
            return str(error)
        except (OSError, Malformed, KeyError) as error:
            return repr(error)

    return name, run


TALKS = {
    "pipeline": [
        talk("96 1,000 pipelined requests", pipelined, False),
        talk("96 1,000 pipelined requests, then our end", pipelined, True),
        talk("96 pipelined changes, in their order, up to rubbish", pipelined_writes),
        talk("99 Expect: 100-continue", expectation),
        talk("99 Expect: 100-continue of what is refused", expectation_refused),
        talk("100 RST at every place", resets),
        talk("100 half-closed after the request", half_closes),
    ],
    "connects": [talk("101 10,000 connections without data", no_data)],
    "keys": [
        talk("102 gone before the answer", gone_before_the_answer),
        talk("103 one key in parallel", one_key_in_parallel),
    ],
}

ROWS = {"json": json_rows, "big": big_rows, "framing": framing_rows, "host": host_rows, "origin": origin_rows, "request": request_rows, "names": name_rows, "keys": key_rows, "token": token_rows}


def group(t, name, tell):
    """Runs one; what is wrong comes as it is found. Returns how many rows there were and how many were wrong."""
    count = wrong = 0
    for row in ROWS[name](t) if name in ROWS else ():
        found = run_row(t, row)
        count, wrong = count + 1, wrong + bool(found)
        tell(row.name, found)
    for title, run in TALKS.get(name, ()):
        found = run(t) or t.health()
        count, wrong = count + 1, wrong + bool(found)
        tell(title, found)
    if name == "slow":
        count, found = slow_group(t)
        wrong = len(found)
        for line in found:
            tell("97 " + line.split(": ", 1)[0], line.split(": ", 1)[-1])
    return count, wrong


def after_all(t):
    """What is wrong with the server behind a group."""
    found = []
    end = time.monotonic() + 5
    while t.sockets() > t.base["sockets"] and time.monotonic() < end:
        time.sleep(0.02)
    if t.sockets() > t.base["sockets"]:
        found.append("%d sockets, %d before" % (t.sockets(), t.base["sockets"]))
    # What is kept for the next request is no leak.
    more = t.descriptors()
    if len(more) > len(t.base["all"]) + 16:
        for name in t.base["all"]:
            if name in more:
                more.remove(name)
        found.append("descriptors that are left open: %s" % more)
    if t.resident() > 40 << 20 and not os.environ.get("SANITIZED"):
        found.append("%d MB of memory" % (t.resident() >> 20))
    status, value = t.ask("/operation/list", {"ended": True})
    if status != 200 or any(op.get("description") == "SMUGGLED" for op in value["operations"]):
        found.append("a hidden request was carried out: %s" % value)
    return found


def main(arguments):
    options = {"-v": False}
    names = []
    while arguments:
        word = arguments.pop(0)
        if word == "-v":
            options[word] = True
        elif word in ("--ledger", "--pid", "--token-file") and arguments:
            options[word] = arguments.pop(0)
        else:
            names.append(word)
    if len(names) != 2 or names[1] not in list(ROWS) + list(TALKS) + ["slow"] or "--ledger" not in options or "--pid" not in options:
        sys.stderr.write(__doc__)
        return 2
    token = None
    if "--token-file" in options:
        with open(options["--token-file"], encoding="ascii") as file:
            token = file.read().strip()
    t = Target(names[0], os.path.realpath(options["--ledger"]), int(options["--pid"]), token)
    status, value = t.ask("/operation/create", {"participantId": "victim", "description": "nothing bad may happen to it"})
    if status != 200:
        print("create: %d %s" % (status, value))
        return 1
    t.op = value["operationId"]

    def tell(name, wrong):
        if wrong or options["-v"]:
            print("%s - %s%s" % ("not ok" if wrong else "ok", name, ": " + wrong if wrong else ""), flush=True)

    t.ask("/operation/log", {"operationId": t.op, "message": "begun"})  # whose journal may stay open
    time.sleep(0.1)  # for the connection of that to be gone
    t.base = {"sockets": t.sockets(), "all": t.descriptors()}
    count, wrong = group(t, names[1], tell)
    for found in after_all(t):
        tell("afterwards", found)
        wrong += 1
    print("%s: %d rows, %d wrong" % (names[1], count, wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
