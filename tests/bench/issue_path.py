#!/usr/bin/env python3
"""A new credential by way of leased, with a ledger and a required trail, beside the same calls made at OpenBao without it: one after
the other, and 64 at once. In turns within one run, against one OpenBao and one PostgreSQL.

"The same calls" are what leased asks of OpenBao for one credential: the credential itself, and where it issues under child tokens
(`token_role`) the token before it. The caller beside leased keeps its connections and its token, and writes nothing down.
"""
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import peers
from first_credential import UnixConnection
from peers import servers

ROUNDS = 7
ROLE = "issue-db"
TOKEN_ROLE = "bench"
SERIAL = 40  # credentials a round
AT_ONCE, EACH = 64, 4
GOALS = {"serial": "at most 1.3", "at_once": "at least 0.8"}


class Caller:
    """One connection, kept."""

    def __init__(self, connection):
        self.connection = connection

    def call(self, method, path, body=None, **headers):
        self.connection.request(method, path, None if body is None else json.dumps(body), {k.replace("_", "-"): v for k, v in headers.items()})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise servers.Failed(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text)


class Leased(Caller):
    def __init__(self, daemon):
        super().__init__(UnixConnection(daemon.socket))

    def issue(self):
        self.call("POST", "/leased/v1/leases", {"role": ROLE, "binding": "none"}, X_Leased_Request="1")


class Issuer(Caller):
    def __init__(self, bao, token, is_isolated):
        super().__init__(http.client.HTTPConnection("127.0.0.1", bao.port, timeout=30))
        self.token, self.is_isolated = token, is_isolated

    def issue(self):
        token = self.token
        if self.is_isolated:
            asked = {"ttl": "60s", "num_uses": 2}
            token = self.call("POST", f"/v1/auth/token/create/{TOKEN_ROLE}", asked, X_Vault_Token=token)["auth"]["client_token"]
        self.call("GET", f"/v1/database/creds/{ROLE}", X_Vault_Token=token)


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


def knows_token_role(world, daemon):
    config, path = json.loads(json.dumps(daemon.config)), f"{daemon.folder}/probe.yaml"
    config["backends"]["bao"]["token_role"] = TOKEN_ROLE
    with open(path, "w", encoding="utf-8") as f:
        json.dump(config, f)
    return subprocess.run([world.program("leased"), "--check", "--config", path], capture_output=True, check=False).returncode == 0


def start(world):
    world.start()
    world.bao.database_role(ROLE)
    rules = [{"name": "bench", "subjects": [{"user": "*"}], "roles": [ROLE], "limits": {"binding": ["none", "process"]}}]
    daemon = world.daemon({ROLE: {"backend": "bao", "path": f"database/creds/{ROLE}", "ttl": "1h"}}, rules, log={"level": "warn"},
                          limits={"stop_timeout": "60s", "grants_per_uid": "100000/s"})
    daemon.config["state"] = {"ledger": {"sqlite": f"{daemon.folder}/ledger.db"}}
    daemon.config["backends"]["bao"]["limits"] = {"in_flight": AT_ONCE, "issue_rate": "10000/s", "revoke_rate": "10000/s"}
    is_isolated = knows_token_role(world, daemon)
    policies = ["leased"]
    if is_isolated:
        daemon.config["backends"]["bao"]["token_role"] = TOKEN_ROLE
        more = "".join(f'path "auth/token/{path}" {{ capabilities = ["update"] }}\n'
                       for path in (f"create/{TOKEN_ROLE}", "lookup-accessor", "renew-accessor", "revoke-accessor"))
        world.bao.call("PUT", "sys/policies/acl/leased", {"policy": servers.MINIMAL_POLICY + more})
        world.bao.call("POST", f"auth/token/roles/{TOKEN_ROLE}", {"orphan": True, "renewable": True, "allowed_policies": policies})
    token = world.bao.call("POST", "auth/token/create", {"policies": policies, "period": "1h"})["auth"]["client_token"]
    daemon.start()
    return (lambda: Leased(daemon)), (lambda: Issuer(world.bao, token, is_isolated)), is_isolated


def measure(leased, issuer):
    """{name: [(leased's, the issuer's) of each round]}"""
    time_serial(leased, issuer)  # both warm
    results = {"serial": [], "at_once": []}
    for _ in range(ROUNDS):
        results["serial"].append(time_serial(leased, issuer))
        results["at_once"].append((rate_at_once(leased), rate_at_once(issuer)))
    return results


def main():
    world = servers.World(os.environ["LEASED_BUILD"], peers.find_bao(), "leased-bench-")
    try:
        leased, issuer, is_isolated = start(world)
        results = measure(leased, issuer)
        world.daemons[0].stop(signal.SIGKILL)  # what it issued goes with the servers
    finally:
        world.close()
    print(f"child tokens: {'yes' if is_isolated else 'no'}; ledger and required trail: yes")
    for name, unit in (("serial", "ms"), ("at_once", "/s")):
        ours, theirs = (statistics.median(column) for column in zip(*results[name]))
        ratio = statistics.median(a / b for a, b in results[name])
        print(f"issue_path.{name}.leased {ours:.2f} {unit}")
        print(f"issue_path.{name}.issuer_alone {theirs:.2f} {unit}")
        print(f"issue_path.{name}.ratio {ratio:.2f} x")
        print(f"the goal of this ratio is {GOALS[name]}")


if __name__ == "__main__":
    sys.exit(main())
