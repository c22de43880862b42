#!/usr/bin/env python3
"""From the start of the daemon to its first database credential, beside the same two calls (log in, read) made with curl.

Each round starts a new daemon and asks as soon as its socket answers; the time ends when the credential has been read.
"""
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time

import peers
from peers import servers

ROUNDS = 9
ROLE = "first-db"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.unix_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.unix_path)


def ask(path):
    """The answer, or None while nobody listens."""
    connection = UnixConnection(path)
    try:
        connection.request("GET", f"/leased/v1/credentials/{ROLE}", headers={"X-Leased-Request": "1"})
        return connection.getresponse()
    except OSError:
        return None


def time_leased(world):
    daemon = world.daemon({ROLE: {"backend": "bao", "path": f"database/creds/{ROLE}", "ttl": "1h"}},
                          [{"name": "first", "subjects": [{"user": "*"}], "roles": [ROLE]}], log={"level": "warn"})
    begin = time.monotonic()
    daemon.start(wait=False)
    while (answer := ask(daemon.socket)) is None:
        time.sleep(0.0005)
    body = answer.read()
    took = time.monotonic() - begin
    if answer.status != 200:
        raise servers.Failed(f"leased: {answer.status} {body}")
    daemon.stop()
    return took * 1e3


def time_curl(world):
    def curl(*words):
        return json.loads(subprocess.run(["curl", "-sSf", *words], capture_output=True, check=True).stdout)

    def content(path):
        with open(path, encoding="utf-8") as f:
            return f.read().strip()

    begin = time.monotonic()
    login = {"role_id": content(world.bao.role_id_file), "secret_id": content(world.bao.secret_id_file)}
    token = curl("-d", json.dumps(login), f"{world.bao.address}/v1/auth/approle/login")["auth"]["client_token"]
    curl("-H", f"X-Vault-Token: {token}", f"{world.bao.address}/v1/database/creds/{ROLE}")
    return (time.monotonic() - begin) * 1e3


def main():
    world = servers.World(os.environ["LEASED_BUILD"], peers.find_bao(), "leased-bench-")
    try:
        world.start()
        world.bao.database_role(ROLE)
        times = [(time_leased(world), time_curl(world)) for _ in range(ROUNDS)]
    finally:
        world.close()
    leased, curl = (statistics.median(column) for column in zip(*times))
    print(f"first_credential.leased {leased:.1f} ms")
    print(f"first_credential.curl {curl:.1f} ms")
    print(f"first_credential.leased_more_than_curl {leased - curl:.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
