#!/usr/bin/env python3
"""schema.py URL - hold a running server to its own /openapi.json

Each path is asked for at least once, and each answer must be what the description says; also what fails.  Prints what is
not, one a line, and exits 1 then."""
import json
import sys
import urllib.error
import urllib.request

url = sys.argv[1]
wrong = []
TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def send(method, path, body=None):
    request = urllib.request.Request(url + path, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def is_of(value, kind):
    if kind == "null":
        return value is None
    return isinstance(value, TYPES[kind]) and not (kind == "integer" and isinstance(value, bool))


def hold(value, schema, where):
    if "$ref" in schema:
        schema = find(schema["$ref"])
    if "const" in schema and value != schema["const"]:
        wrong.append("%s is %r, not %r" % (where, value, schema["const"]))
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(is_of(value, kind) for kind in kinds):
        wrong.append("%s is %r, no %s" % (where, value, " or ".join(kinds)))
        return
    if isinstance(value, dict):
        for name in schema.get("required", []):
            if name not in value:
                wrong.append("%s has no %s" % (where, name))
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                hold(value[name], inner, where + "." + name)
    if isinstance(value, list) and "items" in schema:
        for i, one in enumerate(value):
            hold(one, schema["items"], "%s[%d]" % (where, i))


status, text = send("GET", "/openapi.json")
described = json.loads(text)
asked = set()


def find(reference):
    value = described
    for part in reference.lstrip("#/").split("/"):
        value = value[part]
    return value


def ask(path, body=None, method=None, query="", fails=False):
    """Send it, hold the answer to the description, and give it back."""
    method = method or ("GET" if body is None else "POST")
    status, text = send(method, path + query, body)
    asked.add((method.lower(), path))
    where = "%s %s%s" % (method, path, query)
    if fails != (status != 200):
        wrong.append("%s: %d %s" % (where, status, text[:200]))
        return {}
    told = described["paths"][path][method.lower()]
    answer = told["responses"]["200" if status == 200 else "default"]
    answer = find(answer["$ref"]) if "$ref" in answer else answer
    kinds = answer["content"]
    if "application/json" not in kinds:
        return text
    value = json.loads(text)
    hold(value, kinds["application/json"]["schema"], where)
    if body:
        known = told["requestBody"]["content"]["application/json"]["schema"]["properties"]
        wrong.extend("%s: %s is not described" % (where, name) for name in body if name not in known)
    return value


op = ask("/operation/create", {"participantId": "a", "description": "d"})["operationId"]
me = {"operationId": op}
ask("/operation/create", {}, fails=True)
session = ask("/operation/join", dict(me, participantId="b"))["sessionId"]
ask("/operation/join", dict(me), fails=True)
ask("/operation/heartbeat", me)
ask("/operation/heartbeat", dict(me, participantId="b", whole=True))
ask("/operation/heartbeat", dict(me, participantId="c"), fails=True)
for body in (me, dict(me, participantId="a"), dict(me, brief=True)):
    ask("/operation/state", body)
ask("/operation/state", method="GET", query="?operationId=" + op)
ask("/operation/log", dict(me, message="m", level="warning"))
call = ask("/call/start", dict(me, participantId="a", description="x"))["callId"]
ask("/call/start", dict(me, callId=call), fails=True)
ask("/call/cancel", dict(me, callId=call))
ask("/call/list", dict(me, all=True))
ask("/call/list", method="GET", query="?all=true&operationId=" + op)
ask("/call/kill", dict(me, callId=call), fails=True)
ask("/call/fail", dict(me, callId=call, error="e"))
ask("/call/end", dict(me, callId=call))
ask("/call/end", dict(me, callId="never"))
ask("/callframe/create", dict(me, callId="frame"))
ask("/callframe/delete", dict(me, callId="frame"))
ask("/temp/list", me)
ask("/temp/list", method="GET", query="?operationId=" + op)
ask("/temp/due", dict(me, bootId="here"))
ask("/temp/due", method="GET", query="?bootId=here&operationId=" + op)
for path in ("/temp/add", "/temp/due", "/temp/made", "/temp/remove", "/temp/removed"):
    ask(path, dict(me), fails=True)
ask("/operation/abort", dict(me, value=True, reason="r"))
ask("/operation/abort", dict(me, value=True))
ask("/operation/abort", dict(me, value=False))
for query in ("", "&limit=2", "&from=3&waitMs=0"):
    ask("/operation/events", method="GET", query="?waitMs=0&operationId=" + op + query) if "waitMs" not in query else ask("/operation/events", method="GET", query="?operationId=" + op + query)
ask("/operation/events", dict(me, limit=2, tail=1))
ask("/operation/changes", {})
ask("/operation/changes", method="GET")
for path in ("/operation/show", "/operation/why"):
    ask(path, me)
    ask(path, method="GET", query="?operationId=" + op)
    ask(path, {"operationId": "none"}, fails=True)
ask("/operation/list", {"ended": True})
ask("/operation/list", method="GET", query="?idsOnly=true")
ask("/operation/resolve", {"name": "@@"})
ask("/operation/resolve", method="GET", query="?name=" + op)
ask("/operation/look", dict(me, participantId="a"))
ask("/operation/cleanup", dict(me, participantId="a"))
ask("/operation/prune", {"keep": 20})
ask("/operation/leave", dict(me, participantId="b", sessionId=session))
ask("/operation/leave", dict(me, sessionId=77))
ask("/operation/complete", me)
ask("/operation/complete", me)
ask("/operation/state", me, fails=True)
for path in ("/", "/health", "/status", "/metrics", "/openapi.json"):
    ask(path)
for path, methods in described["paths"].items():
    wrong.extend("%s %s was not asked" % (method, path) for method in methods if (method, path) not in asked)
print("\n".join(wrong), end="\n" if wrong else "")
print("%d answers" % len(asked) if not wrong else "%d wrong" % len(wrong))
sys.exit(1 if wrong else 0)
