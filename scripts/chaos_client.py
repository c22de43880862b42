"""One client of scripts/chaos, as the user that it runs as: asks for credentials in its own way until it is killed, logs in to
PostgreSQL at once with each that it gets, and writes what happened as JSON lines to standard output. Python's own library and libpq.

Kinds: `exec` runs commands under `lease exec`, `get` is a script that calls `lease get`, `hold` is a service that reads again and again
over the socket, `loose` makes grants that hang on nothing but their duration.
"""
import ctypes
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

HTTP_TIMEOUT_S = 20
LEASE_TIMEOUT_S = 40
LOOSE_DURATION_S = 6
LIBPQ_OK = 0
EXEC_SCRIPT = 'said=$(psql --no-psqlrc -w -qAtc "SELECT 1" 2>&1); echo "$? $$ $PGUSER" $said; exec sleep "$NAP"'


def now_ms():
    return time.time_ns() // 1_000_000


def write(kind, **more):
    os.write(1, (json.dumps({"kind": kind, "at": now_ms(), **more}) + "\n").encode())


class Database:
    """Logins by libpq: no process for each."""

    def __init__(self, port):
        self.port, self.pq = port, ctypes.CDLL("libpq.so.5")
        self.pq.PQconnectdbParams.restype = ctypes.c_void_p
        self.pq.PQconnectdbParams.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(ctypes.c_char_p), ctypes.c_int]
        self.pq.PQerrorMessage.restype = ctypes.c_char_p
        for function in (self.pq.PQstatus, self.pq.PQerrorMessage, self.pq.PQfinish):
            function.argtypes = [ctypes.c_void_p]

    def login(self, user, password):
        """"" or what PostgreSQL said."""
        settings = {"host": "127.0.0.1", "port": str(self.port), "dbname": "postgres", "user": user, "password": password,
                    "connect_timeout": "10", "sslmode": "disable", "gssencmode": "disable"}
        keys = (ctypes.c_char_p * (len(settings) + 1))(*(key.encode() for key in settings), None)
        values = (ctypes.c_char_p * (len(settings) + 1))(*(value.encode() for value in settings.values()), None)
        connection = self.pq.PQconnectdbParams(keys, values, 0)
        try:
            return "" if self.pq.PQstatus(connection) == LIBPQ_OK else self.pq.PQerrorMessage(connection).decode().strip()
        finally:
            self.pq.PQfinish(connection)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=HTTP_TIMEOUT_S)
        self.unix_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.unix_path)


class Client:
    def __init__(self, options):
        self.kind, self.name, self.roles = options["kind"], options["name"], options["roles"]
        self.socket, self.lease, self.port = options["socket"], options["lease"], options["port"]
        self.chance, self.pace_s = random.Random(options["seed"]), options["pace_s"]
        self.database, self.asked = Database(self.port), 0
        self.held = None

    def reason(self):
        """On record with the grant: by it a grant is found whose answer never came."""
        self.asked += 1
        return f"{self.name}/{self.asked}"

    def pause(self):
        time.sleep(min(self.chance.expovariate(1 / self.pace_s), 5 * self.pace_s))

    def call(self, method, path, body=None):
        """(status, answer); status 0 and a text when there was no whole answer."""
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, f"/leased/v1/{path}", None if body is None else json.dumps(body), {"X-Leased-Request": "1"})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return 0, type(error).__name__
        finally:
            connection.close()

    def handed(self, answer, asked_ms, reason):
        names = {"role": answer["role"], "lease": answer["lease"], "grant": answer["grant"], "reason": reason,
                 "user": answer["credential"]["username"]}
        write("handed", asker=self.kind, version=answer["version"], asked=asked_ms, expires=answer.get("expires_at"), **names)
        said = self.database.login(names["user"], answer["credential"]["password"])
        write("login", said=said, **names)

    def refused(self, status, answer):
        code = answer.get("code", "") if isinstance(answer, dict) else answer
        write("refused", status=status, code=code, said=answer.get("detail", "") if isinstance(answer, dict) else "")

    # --- the kinds ---

    def hold(self):
        """A service: the same role for as long as it lives, its last credential used again before it is read again."""
        role, reason = self.chance.choice(self.roles), self.reason()
        while True:
            if self.held and self.chance.random() < 0.5:
                fields = self.held["credential"]
                said = self.database.login(fields["username"], fields["password"])
                write("again", said=said, role=role, lease=self.held["lease"], grant=self.held["grant"], user=fields["username"])
            asked_ms = now_ms()
            status, answer = self.call("GET", f"credentials/{role}?reason={reason}")
            if status == 200:
                if self.held and self.held["lease"] != answer["lease"]:
                    write("replaced", role=role, lease=self.held["lease"], grant=self.held["grant"], now=answer["lease"])
                self.held = answer
                self.handed(answer, asked_ms, reason)
            else:
                self.refused(status, answer)
            if self.held and self.chance.random() < 0.1:
                status, answer = self.call("DELETE", f"grants/{self.held['grant']}")
                write("ended", status=status, grant=self.held["grant"])
                self.held, role, reason = None, self.chance.choice(self.roles), self.reason()
            self.pause()

    def loose(self):
        while True:
            asked_ms, reason = now_ms(), self.reason()
            status, answer = self.call("POST", "leases", {"role": self.chance.choice(self.roles), "binding": "none", "reason": reason,
                                                          "duration": LOOSE_DURATION_S})
            if status == 201:
                self.handed(answer, asked_ms, reason)
            else:
                self.refused(status, answer)
            self.pause()

    def get(self):
        while True:
            asked_ms, reason = now_ms(), self.reason()
            done = subprocess.run([self.lease, "get", self.chance.choice(self.roles), "--socket", self.socket, "--reason", reason, "-o", "json"],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LEASE_TIMEOUT_S, check=False)
            if done.returncode == 0:
                answer = json.loads(done.stdout)
                self.handed(answer, asked_ms, reason)
                if self.chance.random() < 0.3:
                    status, _ = self.call("DELETE", f"grants/{answer['grant']}")
                    write("ended", status=status, grant=answer["grant"])
            else:
                write("refused", status=f"exit {done.returncode}", code="", said=done.stderr.strip())
            self.pause()

    def exec(self):
        while True:
            self.exec_once(self.chance.choice(self.roles), self.reason())
            self.pause()

    def exec_once(self, role, reason):
        nap, asked_ms = self.chance.choice([0, 0.2, 1, 2]), now_ms()
        process = subprocess.Popen(
            [self.lease, "exec", role, "--socket", self.socket, "--reason", reason, "--map", "username=PGUSER", "--map",
             "password=PGPASSWORD", "--", "sh", "-c", EXEC_SCRIPT], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGDATABASE": "postgres", "NAP": str(nap),
                            "PGCONNECT_TIMEOUT": "10", "PGSSLMODE": "disable"})
        line = process.stdout.readline().split(maxsplit=3)
        if len(line) >= 3:
            names = {"role": role, "lease": None, "grant": None, "reason": reason, "user": line[2]}
            write("handed", asked=asked_ms, **names)
            write("login", said="" if line[0] == "0" else " ".join(line[3:]), **names)
            if self.chance.random() < 0.4:
                time.sleep(self.chance.random() * nap)
                self.kill(int(line[1]) if self.chance.random() < 0.5 else process.pid)
        _, said = process.communicate(timeout=LEASE_TIMEOUT_S)
        if len(line) < 3:
            write("refused", status=f"exit {process.returncode}", code="", said=said.strip())

    @staticmethod
    def kill(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def main():
    client = Client(json.loads(sys.argv[1]))
    try:
        getattr(client, client.kind)()
    except Exception as error:  # noqa: BLE001: whatever it is, it is told
        write("broken", said=f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
