#!/usr/bin/env python3
"""A new credential by way of leased, with a ledger, intents and a required trail, beside the same calls made at OpenBao without them: one
after the other, and 64 at once. In turns within one run, against one OpenBao and one PostgreSQL.

"The same calls" are what leased asks of OpenBao for one credential. Isolated: a token from the token role, the credential under it, the
token's renewal by its accessor. With `isolate: false`: the credential. Both callers speak HTTP/1.1 over a connection that they keep, with
as little of their own as Python allows: the caller beside leased makes three calls where leased's makes one.
"""
import json
import os
import re
import signal
import socket
import statistics
import sys
import threading
import time

import peers
from peers import servers

ROUNDS = 7
ROLE = "issue-db"  # in OpenBao; leased has one of each mode
TOKEN_ROLE = "bench"
MODES = ("isolated", "plain")
SERIAL = 30  # credentials a round
AT_ONCE, EACH = 64, 4
GOALS = {"serial": "at most 1.3", "at_once": "at least 0.8"}
CHILD = {"ttl": "60s", "num_uses": 2, "renewable": True, "meta": {"role": ROLE, "user": "root"}}
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Caller:
    """One connection, kept. (http.client takes 0.2 ms for each call, which would be leased's gain.)"""

    def __init__(self, family, address):
        self.socket = socket.socket(family)
        self.socket.settimeout(60)
        self.socket.connect(address)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, method, path, header, body=None):
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\nContent-Length: {len(content)}\r\n\r\n"
        self.socket.sendall(head.encode() + content)
        answer, end = b"", -1
        while end < 0 or len(answer) < end:
            got = self.socket.recv(65536)
            if not got:
                raise servers.Failed(f"{method} {path}: the connection was closed")
            answer += got
            if end < 0 and (at := answer.find(b"\r\n\r\n")) >= 0:
                end = at + 4 + int(LENGTH.search(answer, 0, at)[1])
        if not answer.startswith(b"HTTP/1.1 2"):
            raise servers.Failed(f"{method} {path}: {answer[:400]}")
        return json.loads(answer[answer.index(b"\r\n\r\n"):])


class Leased(Caller):
    def __init__(self, daemon, mode):
        super().__init__(socket.AF_UNIX, daemon.socket)
        self.mode = mode

    def issue(self):
        self.call("POST", "/leased/v1/leases", "X-Leased-Request: 1", {"role": self.mode, "binding": "none"})


class Issuer(Caller):
    def __init__(self, bao, token, mode):
        super().__init__(socket.AF_INET, ("127.0.0.1", bao.port))
        self.header, self.mode = f"X-Vault-Token: {token}", mode

    def issue(self):
        if self.mode == "plain":
            self.call("GET", f"/v1/database/creds/{ROLE}", self.header)
            return
        child = self.call("POST", f"/v1/auth/token/create/{TOKEN_ROLE}", self.header, CHILD)["auth"]
        self.call("GET", f"/v1/database/creds/{ROLE}", f"X-Vault-Token: {child['client_token']}")
        self.call("POST", "/v1/auth/token/renew-accessor", self.header, {"accessor": child["accessor"], "increment": 3660})


def time_serial(*makers):
    """The median of milliseconds for one of SERIAL credentials, for each of the makers' callers, which take turns."""
    callers, times = [make() for make in makers], [[] for _ in makers]
    for _ in range(SERIAL):
        for caller, column in zip(callers, times):
            begin = time.monotonic()
            caller.issue()
            column.append((time.monotonic() - begin) * 1e3)
    return tuple(statistics.median(column) for column in times)


def rate_at_once(make):
    """Credentials a second with AT_ONCE callers."""
    gate, failures = threading.Barrier(AT_ONCE + 1), []

    def run():
        caller = make()
        gate.wait()
        try:
            for _ in range(EACH):
                caller.issue()
        except (OSError, servers.Failed) as failed:
            failures.append(failed)

    threads = [threading.Thread(target=run) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    gate.wait()
    begin = time.monotonic()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    if failures:
        raise servers.Failed(f"{len(failures)} of {AT_ONCE} failed: {failures[0]}")
    return AT_ONCE * EACH / took


def start(world):
    """The makers of callers: {mode: (leased's, the issuer's)}"""
    world.start()
    world.bao.database_role(ROLE)
    rules = [{"name": "bench", "subjects": [{"user": "*"}], "roles": list(MODES), "limits": {"binding": ["none", "process"]}}]
    path = f"database/creds/{ROLE}"
    roles = {"isolated": {"backend": "bao", "path": path, "ttl": "1h", "isolate": True},
             "plain": {"backend": "bao", "path": path, "ttl": "1h", "isolate": False}}
    daemon = world.daemon(roles, rules, log={"level": "warn"}, limits={"stop_timeout": "60s", "grants_per_uid": "100000/s"})
    daemon.config["state"] = {"ledger": {"sqlite": f"{daemon.folder}/ledger.db"}}
    daemon.config["backends"]["bao"].update(token_role=TOKEN_ROLE,
                                            limits={"in_flight": AT_ONCE, "issue_rate": "10000/s", "revoke_rate": "10000/s"})
    more = "".join(f'path "auth/token/{path}" {{ capabilities = ["update"] }}\n'
                   for path in (f"create/{TOKEN_ROLE}", "lookup-accessor", "renew-accessor", "revoke-accessor"))
    world.bao.call("PUT", "sys/policies/acl/leased", {"policy": servers.MINIMAL_POLICY + more})
    world.bao.call("POST", f"auth/token/roles/{TOKEN_ROLE}", {"orphan": True, "renewable": True, "allowed_policies": ["leased"]})
    token = world.bao.call("POST", "auth/token/create", {"policies": ["leased"], "period": "1h"})["auth"]["client_token"]
    daemon.start()
    return {mode: (lambda m=mode: Leased(daemon, m), lambda m=mode: Issuer(world.bao, token, m)) for mode in MODES}


def measure(makers):
    """{(mode, name): [(leased's, the issuer's) of each round]}"""
    results = {(mode, name): [] for mode in MODES for name in GOALS}
    for mode in MODES:
        time_serial(*makers[mode])  # all warm
    for _ in range(ROUNDS):
        for mode in MODES:
            results[mode, "serial"].append(time_serial(*makers[mode]))
            results[mode, "at_once"].append(tuple(map(rate_at_once, makers[mode])))
    return results


def main():
    world = servers.World(os.environ["LEASED_BUILD"], peers.find_bao(), "leased-bench-")
    try:
        results = measure(start(world))
        world.daemons[0].stop(signal.SIGKILL)  # what it issued goes with the servers
    finally:
        world.close()
    for (mode, name), rounds in results.items():
        unit = "ms" if name == "serial" else "/s"
        ours, theirs = (statistics.median(column) for column in zip(*rounds))
        ratio = statistics.median(a / b for a, b in rounds)
        print(f"issue_path.{mode}.{name}.leased {ours:.2f} {unit}")
        print(f"issue_path.{mode}.{name}.issuer_alone {theirs:.2f} {unit}")
        print(f"issue_path.{mode}.{name}.ratio {ratio:.2f} x")
        print(f"the goal of this ratio is {GOALS[name]}")


if __name__ == "__main__":
    sys.exit(main())
