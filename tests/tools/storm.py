#!/usr/bin/env python3
"""storm.py LEDGER CLIENTS CALLS KILLS - many clients, and a server that is killed and started again and again

Each client starts and ends that many calls in one operation, each request with a key of its own, and sends it again until
it has an answer.  The server is killed (-9) so often meanwhile, at random moments, and started again on the same port.  Then the journal must
have each call that was acknowledged, exactly once, with its end, and no other."""
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

ledger, clients, calls, kills = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
free = socket.socket()
free.bind(("127.0.0.1", 0))
port = free.getsockname()[1]
free.close()
server = None


def start():
    global server
    server = subprocess.Popen(["dpl-serve", "-q", "-C", ledger, "-l", "127.0.0.1", "-P", str(port)])
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.005)


class Client:
    def __init__(self):
        self.wire = None
        self.again = 0

    def ask(self, path, body, key):
        """Until it is answered."""
        for _ in range(10000):
            try:
                if not self.wire:
                    self.wire = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                self.wire.request("POST", path, json.dumps(body), {"Content-Type": "application/json", "Idempotency-Key": key})
                answer = self.wire.getresponse()
                text = answer.read()
                if answer.status == 200:
                    return json.loads(text)
                if answer.status != 503:
                    raise SystemExit("%s: %d %s" % (path, answer.status, text))
            except (OSError, http.client.HTTPException):
                self.wire = None
                self.again += 1
                time.sleep(0.01)
        raise SystemExit("%s: no answer" % path)


start()
op = Client().ask("/operation/create", {"participantId": "storm"}, "create")["operationId"]
acknowledged, repeated, done = [], [0], [0]
lock = threading.Lock()


def run(number):
    client, mine = Client(), []
    name = "w%d" % number
    client.ask("/operation/join", {"operationId": op, "participantId": name}, "join-%d" % number)
    for i in range(calls):
        key = "%d-%d" % (number, i)
        call = client.ask("/call/start", {"operationId": op, "participantId": name, "description": key}, "start-" + key)["callId"]
        client.ask("/call/end", {"operationId": op, "participantId": name, "callId": call, "result": key}, "end-" + key)
        mine.append((call, key))
        with lock:
            done[0] += 1
    with lock:
        acknowledged.extend(mine)
        repeated[0] += client.again


threads = [threading.Thread(target=run, args=(i,)) for i in range(clients)]
for thread in threads:
    thread.start()
killed = 0
for at in sorted(random.sample(range(clients * calls * 9 // 10), kills)):  # a kill after so many calls
    while done[0] < at and any(thread.is_alive() for thread in threads):
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.01))
    server.send_signal(signal.SIGKILL)
    server.wait()
    killed += 1
    start()
for thread in threads:
    thread.join()
Client().ask("/operation/state", {"operationId": op}, "last")  # one that was begun just now listens
server.terminate()
status = server.wait()

wrong = []
started, ended = {}, {}
seq = 0
with open(os.path.join(ledger, op, "journal.jsonl")) as journal:
    for line in journal:
        entry = json.loads(line)
        seq += 1
        if entry["seq"] != seq:
            wrong.append("entry %d is numbered %d" % (seq, entry["seq"]))
        if entry["event"] == "call.started":
            started.setdefault(entry["description"], []).append(entry["callId"])
        elif entry["event"] == "call.ended":
            ended.setdefault(entry["callId"], []).append(entry["result"])
for call, key in acknowledged:
    if started.get(key) != [call]:
        wrong.append("%s was told %s; in the journal: %s" % (key, call, started.get(key)))
    if ended.get(call) != [key]:
        wrong.append("the end of %s: %s" % (key, ended.get(call)))
if len(acknowledged) != clients * calls or len(started) != clients * calls or sum(map(len, ended.values())) != clients * calls:
    wrong.append("%d acknowledged, %d started, %d ended of %d" % (len(acknowledged), len(started), len(ended), clients * calls))
if status != 0:
    wrong.append("the server ended with %d" % status)
print("\n".join(wrong[:20]), end="\n" if wrong else "")
print("%d calls of %d clients, %d kills, %d requests sent again, %d entries: %d wrong" % (len(acknowledged), clients, killed, repeated[0], seq, len(wrong)))
sys.exit(1 if wrong else 0)
