#!/usr/bin/python3
"""answer - an HTTP server for tests, which answers as it is told

answer.py [--unix PATH | --host HOST] [--tls CERT KEY [--clients CA] [--old]]
          [--ledger LEDGER] SCRIPT LOG

Prints the port that it listens on (127.0.0.1, any), or the path.  Each line of SCRIPT is an object that says what is done
with one request, in the order in which they come; the last one is for all that follow.  Its members:

  status, body, headers   the answer; a body that is a text is sent as it is, anything else as JSON
  pad                     the body is an object with a text of so many bytes
  chunked                 in chunks of so many bytes, without a length
  raw                     these bytes instead of an answer, then the connection is closed
  wait                    so many seconds before all of that
  refuse                  for so many seconds after it there is no listener
  do                      close: without an answer; reset: likewise, by RST; hang: none at all;
                          half: the head of an answer, half of its body, the end; last: close after the answer

With --old nothing newer than TLS 1.1 is spoken.  With --ledger the script is not read: dpl-batch answers, one for each connection.

LOG gets a line for each request when it was read: connection (counted from 1), method, path, headers (names in small
letters), body.
"""
import argparse
import json
import socket
import ssl
import struct
import subprocess
import threading
import time
import warnings

options = argparse.ArgumentParser()
options.add_argument('--unix')
options.add_argument('--host', default='127.0.0.1')
options.add_argument('--tls', nargs=2)
options.add_argument('--clients')
options.add_argument('--old', action='store_true')
options.add_argument('--ledger')
options.add_argument('script')
options.add_argument('log')
options = options.parse_args()

lock = threading.Lock()
served = 0
closed_until = 0


def next_behaviour():
    """What to do with this request; the script may have grown meanwhile."""
    global served
    with open(options.script, encoding='utf-8') as file:
        lines = file.read().splitlines()
    served += 1
    return json.loads(lines[min(served, len(lines)) - 1])


class Connection:
    def __init__(self, sock, number):
        self.sock, self.number, self.pending, self.batch = sock, number, b'', None

    def ask(self, request):
        """What dpl-batch answers."""
        if not self.batch:
            self.batch = subprocess.Popen(['dpl-batch', '-q', '-C', options.ledger], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = {'path': request['path'], 'body': json.loads(request['body'])}
        if 'idempotency-key' in request['headers']:
            line['key'] = request['headers']['idempotency-key']
        self.batch.stdin.write(json.dumps(line).encode() + b'\n')
        self.batch.stdin.flush()
        return json.loads(self.batch.stdout.readline())

    def more(self):
        chunk = self.sock.recv(1 << 20)
        if not chunk:
            raise EOFError
        self.pending += chunk

    def request(self):
        while b'\r\n\r\n' not in self.pending:
            self.more()
        head, self.pending = self.pending.split(b'\r\n\r\n', 1)
        first, *rest = head.decode('latin-1').split('\r\n')
        headers = {}
        for line in rest:
            name, value = line.split(':', 1)
            headers[name.lower()] = value.strip()
        length = int(headers.get('content-length', 0))
        while len(self.pending) < length:
            self.more()
        body, self.pending = self.pending[:length], self.pending[length:]
        method, path, _ = first.split(' ')
        return {'connection': self.number, 'method': method, 'path': path, 'headers': headers, 'body': body.decode()}

    def answer(self, how):
        body = how.get('body', {})
        if 'pad' in how:
            body = {'success': True, 'text': 'x' * how['pad']}
        if not isinstance(body, str):
            body = json.dumps(body)
        body = body.encode()
        headers = {'Content-Type': 'application/json', **how.get('headers', {})}
        size = how.get('chunked')
        if size:
            headers['Transfer-Encoding'] = 'chunked'
        else:
            headers['Content-Length'] = len(body)
        head = 'HTTP/1.1 %d x\r\n' % how.get('status', 200) + ''.join('%s: %s\r\n' % h for h in headers.items()) + '\r\n'
        self.sock.sendall(head.encode())
        if how.get('do') == 'half':
            body = body[:len(body) // 2]
        if not size:
            self.sock.sendall(body)
            return
        for at in range(0, len(body), size):
            piece = body[at:at + size]
            self.sock.sendall(b'%x\r\n%s\r\n' % (len(piece), piece))
        self.sock.sendall(b'0\r\n\r\n')

    def one(self):
        """Serve one request; False where the connection ends with it."""
        global closed_until
        request = self.request()
        with lock:
            how = {} if options.ledger else next_behaviour()
            with open(options.log, 'a', encoding='utf-8') as log:
                log.write(json.dumps(request) + '\n')
            if 'refuse' in how:
                closed_until = time.monotonic() + how['refuse']
                listener.shutdown(socket.SHUT_RDWR)
        if options.ledger:
            how = self.ask(request)
        what = how.get('do')
        time.sleep(how.get('wait', 0))
        if what == 'hang':
            time.sleep(3600)
        if what == 'reset':
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        if what in ('close', 'reset'):
            return False
        if 'raw' in how:
            self.sock.sendall(how['raw'].encode('latin-1'))
            return False
        self.answer(how)
        return what not in ('half', 'last') and 'refuse' not in how

    def serve(self):
        try:
            if options.tls:
                self.sock = context.wrap_socket(self.sock, server_side=True)
            while self.one():
                pass
        except (EOFError, OSError):
            pass
        if self.batch:
            self.batch.stdin.close()
            self.batch.wait()
        if options.tls and isinstance(self.sock, ssl.SSLSocket):
            try:
                self.sock.unwrap()
            except OSError:
                pass
        self.sock.close()


def listen(port):
    if options.unix:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(options.unix)
    else:
        sock = socket.socket(socket.AF_INET6 if ':' in options.host else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((options.host, port))
    sock.listen(16)
    return sock


if options.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*options.tls)
    if options.old:
        warnings.simplefilter('ignore', DeprecationWarning)
        context.set_ciphers('ALL:@SECLEVEL=0')
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    if options.clients:
        context.load_verify_locations(options.clients)
        context.verify_mode = ssl.CERT_REQUIRED

listener = listen(0)
address = options.unix or listener.getsockname()[1]
print(address, flush=True)
connections = 0
while True:
    try:
        accepted, _ = listener.accept()
    except OSError:
        listener.close()
        time.sleep(max(0, closed_until - time.monotonic()))
        listener = listen(address)
        continue
    connections += 1
    if not options.unix:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=Connection(accepted, connections).serve, daemon=True).start()
