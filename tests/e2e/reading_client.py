"""Consumers that read their credential all the time, over a unix socket and loopback TCP, with a connection kept and with one for
each request. Prints a JSON object a line: each failure, every half second the counts, and at its end (stdin is closed) the sums.

    reading_client.py SOCKET PORT ROLE

A kept connection that the daemon closes between two requests is opened anew, as any client does. Refused: no connection. Failed: a
request that was sent and not answered, or not with the credential.
"""
import json
import socket
import sys
import threading
import time

SOCKET, PORT, ROLE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
REQUEST = f"GET /leased/v1/credentials/{ROLE}?binding=none HTTP/1.1\r\nHost: localhost\r\nX-Leased-Request: 1\r\n".encode()
TIMEOUT_S = 30
REOPENED = object()


class Client(threading.Thread):
    def __init__(self, is_unix, is_kept):
        super().__init__()
        self.is_unix, self.is_kept = is_unix, is_kept
        self.name = f"{'unix' if is_unix else 'tcp'}-{'kept' if is_kept else 'fresh'}"
        self.connection, self.reads, self.refused, self.failed, self.reopened, self.versions = None, 0, 0, 0, 0, set()

    def connect(self):
        self.connection = socket.socket(socket.AF_UNIX if self.is_unix else socket.AF_INET)
        self.connection.settimeout(TIMEOUT_S)
        self.connection.connect(SOCKET if self.is_unix else ("127.0.0.1", PORT))

    def close(self):
        self.connection.close()
        self.connection = None

    def ask(self):
        """(status, headers, body), or REOPENED when the connection was closed before the request was sent."""
        is_first = self.connection is None
        if is_first:
            self.connect()
        try:
            self.connection.sendall(REQUEST + (b"\r\n" if self.is_kept else b"Connection: close\r\n\r\n"))
        except (BrokenPipeError, ConnectionResetError):
            if is_first:
                raise
            return REOPENED
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = self.connection.recv(65536)
            if not piece:
                raise ConnectionError(f"closed after {len(answer)} bytes of an answer, {'first' if is_first else 'later'} request")
            answer += piece
        head, body = answer.split(b"\r\n\r\n", 1)
        headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
        while len(body) < int(headers["content-length"]):
            piece = self.connection.recv(65536)
            if not piece:
                raise ConnectionError("closed in the middle of an answer")
            body += piece
        return int(head.split()[1]), headers, body

    def is_closed_already(self):
        """Has the daemon ended it while we had nothing to ask?"""
        self.connection.setblocking(False)
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.connection.settimeout(TIMEOUT_S)

    def step(self):
        if self.connection is not None and self.is_closed_already():
            self.reopened += 1
            self.close()
        answer = self.ask()
        if answer is REOPENED:
            self.reopened += 1
            self.close()
            return
        status, headers, body = answer
        if status != 200:
            raise ConnectionError(f"{status} {body.decode()}")
        read = json.loads(body)
        self.versions.add((read["lease"], read["version"]))
        self.reads += 1
        if not self.is_kept or headers.get("connection") == "close":
            self.close()

    def run(self):
        while not is_over.is_set():
            try:
                self.step()
            except OSError as error:
                is_refused = isinstance(error, (ConnectionRefusedError, FileNotFoundError, BlockingIOError))
                self.refused += is_refused
                self.failed += not is_refused
                say({"client": self.name, "error": f"{type(error).__name__}: {error}"})
                self.close()
            if self.reads % 3 == 0:
                time.sleep(0.001)


def say(line):
    with lock:
        print(json.dumps(line), flush=True)


def sums(**more):
    return {key: sum(getattr(c, key) for c in clients) for key in ("reads", "refused", "failed", "reopened")} | more


lock, is_over = threading.Lock(), threading.Event()
clients = [Client(is_unix, is_kept) for is_unix in (True, False) for is_kept in (True, False)]
for client in clients:
    client.start()


def tick():
    while not is_over.wait(0.1):
        say({"least": min(c.reads for c in clients)})


ticker = threading.Thread(target=tick)
ticker.start()
sys.stdin.read()
is_over.set()
for thread in (*clients, ticker):
    thread.join()
say(sums(versions=sorted({version for c in clients for version in c.versions}), done=True))
