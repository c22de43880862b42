"""An issuer that is away: the daemon starts, says so, and serves when it is back."""
import socket
import subprocess
import tempfile
import threading
import time

import pytest
from conftest import CONSUMER
from servers import clean_environment, free_port, give_to, until


class Forwarder:
    """Lets a port lead to bao, from the moment it is opened until it is closed."""

    def __init__(self, port):
        self.port, self.target, self.listener = free_port(), port, None
        self.sockets = []

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                near = listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            self.sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        for it in self.sockets:
            try:
                it.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            it.close()
        self.sockets = []


@pytest.fixture
def road(world):
    it = Forwarder(world.bao.port)
    yield it
    it.close()


def through(orders, world, road, limits=None, **role):
    backend = {"plugin": "vault", "address": f"http://127.0.0.1:{road.port}", "health_interval": "1s", "auth": {
        "method": "approle", "role_id_file": world.bao.role_id_file, "secret_id_file": world.bao.secret_id_file}}
    config = {"backends": {"bao": backend}}
    return orders(config=config | ({"limits": limits} if limits else {}), **role)


def test_an_issuer_that_is_down_does_not_block_the_start(road, orders, world, shell):
    made = through(orders, world, road)
    script = shell(made.daemon)
    code, output = script.run(f"lease get {made.role}")
    assert code == 7
    assert "issuer_unavailable" in output
    code, output = script.run("lease status")
    assert code == 0
    assert "degraded" in output and "down" in output


def test_wait_outlasts_the_outage(road, orders, world):
    made = through(orders, world, road)
    waiting = subprocess.Popen(made.daemon.command(CONSUMER, "exec", made.role, "--wait", "40s", "--", "true"), stderr=subprocess.PIPE,
                               text=True, env=clean_environment(), cwd="/")
    assert "trying again for up to" in waiting.stderr.readline()
    road.open()
    _, errors = waiting.communicate(timeout=50)
    assert waiting.returncode == 0, errors


def test_what_ended_during_an_outage_is_revoked_after_it(road, orders, world, shell):
    road.open()
    made = through(orders, world, road)
    script = shell(made.daemon)
    credential = script.get(made.role)
    road.close()
    script.end()
    until(lambda: made.events("lease.revoking"), "leased has begun to revoke")
    assert made.logs_in(credential)
    road.open()
    made.await_dead(credential, 40)


def test_a_held_credential_is_served_during_an_outage(road, orders, world, shell):
    road.open()
    made = through(orders, world, road)
    script = shell(made.daemon)
    credential = script.get(made.role)
    road.close()
    until(lambda: "down" in script.run("lease status")[1], "leased has noticed", 20, 0.2)
    assert script.get(made.role)["credential"] == credential["credential"]
    assert made.logs_in(credential)
    road.open()


def test_a_stop_that_cannot_revoke_says_what_lives_on(road, orders, world, shell):
    road.open()
    made = through(orders, world, road, limits={"stop_timeout": "2s"})
    credential = shell(made.daemon).get(made.role)
    road.close()
    made.daemon.exit_code = 75
    assert made.daemon.stop() == 75
    assert made.logs_in(credential)
    left = [r for r in made.daemon.records() if r["event"] == "lease.revoking" and r["outcome"] == "failed"]
    assert [r["role"] for r in left] == [made.role]
    assert "lease.drain.late" in open(made.daemon.log, encoding="utf-8").read()


@pytest.mark.parametrize("has_ledger", [False, True])
def test_what_its_issuer_never_revokes_does_not_hold_a_stop(orders, shell, world, has_ledger):
    """As where revocation statements need the database role, and that has gone: 400 to each revocation, for ever."""
    config = {"limits": {"stop_timeout": "2s"}}
    if has_ledger:
        folder = tempfile.mkdtemp(prefix="ledger-", dir=world.folder)
        give_to(folder, "leased")
        config["state"] = {"ledger": {"sqlite": f"{folder}/ledger.db"}}
    made = orders(config=config, on_stop="revoke")
    credentials = [shell(made.daemon).get(made.role) for _ in range(12)]
    for credential in credentials:
        world.postgres.admin(f'DROP ROLE "{credential["credential"]["username"]}"')
    begin = time.monotonic()
    made.daemon.exit_code = 75
    assert made.daemon.stop() == 75
    assert time.monotonic() - begin < 3
    left = [r for r in made.daemon.records() if r["event"] == "lease.revoking" and r["outcome"] == "failed"]
    assert len(left) == 12
