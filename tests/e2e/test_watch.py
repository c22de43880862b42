"""Rotation that consumers follow without asking again and again."""
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import CONSUMER
from servers import as_user, clean_environment, until

CLIENT = f"{__file__.rsplit('/', 1)[0]}/watching_client.py"
LOGINS_PER_S = 50


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Lines:
    """What a program prints, as it prints it: JSON objects, one a line."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env=environment, cwd="/")
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def has(self, **what):
        return next((line for line in self.lines if "failed" not in line and all(line.get(key) == value for key, value in what.items())), None)

    def end(self, number=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(20)
        self.reader.join(20)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
        return code


@pytest.fixture
def lines():
    """lines(command, **environment): a program of CONSUMER's; ends with the test."""
    running = []

    def opener(command, **environment):
        running.append(Lines([*as_user(CONSUMER), *command], clean_environment(**environment)))
        return running[-1]

    yield opener
    for it in running:
        if it.process.returncode is None:
            it.end()


@pytest.fixture
def consumer(lines):
    """consumer(made): a client that logs in LOGINS_PER_S times a second and watches."""
    def opener(made):
        it = lines([sys.executable, CLIENT, made.daemon.socket, made.role, str(made.world.postgres.port), str(LOGINS_PER_S)])
        until(lambda: it.has(version=1), "the client has its first credential")
        return it
    return opener


def finish(it, what, measured):
    """Closes its stdin; its counts, shown."""
    it.process.stdin.close()
    counts = until(lambda: next((line for line in it.lines if "logins" in line), None), "the client has counted")
    measured(f"{what}: {counts['logins']} logins in {counts['seconds']} s, {counts['failed']} failed")
    assert it.process.wait(20) == 0
    assert counts["failed"] == 0, it.lines
    assert counts["logins"] >= 0.5 * LOGINS_PER_S * counts["seconds"]
    return counts


def test_no_login_fails_over_twenty_rotations(orders, consumer, measured):
    made = orders(overlap="60s")
    it = consumer(made)
    for version in range(1, 21):
        lease, due = it.has(version=version)["lease"], time.monotonic() + 0.3
        assert made.daemon.lease(CONSUMER, "rotate", lease).returncode == 0
        until(lambda: it.has(version=version + 1), f"the client has moved over to version {version + 1}")
        until(lambda: time.monotonic() > due, "the client has logged in a few times")
    until(lambda: len(made.lease_ids()) == 1, "each old credential is revoked, long before its overlap is over")
    finish(it, "20 rotations asked for", measured)
    made.await_dead({"username": "nobody", "password": "-"})


def test_no_login_fails_over_planned_rotations(orders, consumer, measured):
    made = orders(issuer={"default_ttl": "4s", "max_ttl": "6s"}, max_ttl="6s", min_remaining="1s", overlap="60s",
                  rules=[{"name": "consumers", "subjects": [{"user": CONSUMER}], "roles": ["*"], "limits": {"duration": "1h"}}])
    it = consumer(made)
    until(lambda: it.has(version=5) or it.process.poll() is not None, "four successors came by themselves", 40)
    finish(it, "4 planned rotations", measured)


def test_who_watches_and_says_nothing_has_the_overlap(orders, shell, lines):
    made = orders(overlap="2s")
    script = shell(made.daemon)
    watch = lines([made.world.program("lease"), "watch", "-o", "json"], LEASED_ADDR=f"unix://{made.daemon.socket}")
    old = script.get(made.role)
    until(lambda: watch.has(event="credential", version=1), "the first one is heard of")
    begin = time.monotonic()
    assert script.run(f"lease rotate {old['lease']}")[0] == 0
    until(lambda: watch.has(event="superseded", lease=old["lease"], reason="asked_for"), "the rotation is heard of")
    new = script.get(made.role)
    assert made.logs_in(new) and made.logs_in(old), "it has read the successor, and has moved over when it says so"
    until(lambda: not made.logs_in(old), "the old password is refused")
    assert 1.5 <= time.monotonic() - begin <= 5
    assert made.logs_in(new)


def test_an_acknowledgement_ends_the_overlap(orders, shell, lines):
    made = orders(overlap="60s")
    script = shell(made.daemon)
    watch = lines([made.world.program("lease"), "watch", made.role, "-o", "json"], LEASED_ADDR=f"unix://{made.daemon.socket}")
    old = script.get(made.role)
    until(lambda: watch.has(event="credential", version=1), "the first one is heard of")
    assert script.run(f"lease rotate {old['lease']}")[0] == 0
    code, output = script.run(f"lease ack {old['lease']}")
    assert code == 1 and "read the successor" in output
    new = script.get(made.role)
    assert made.logs_in(old)
    assert script.run(f"lease ack {new['lease']}")[0] == 0
    until(lambda: not made.logs_in(old), "the old password is refused")
    assert script.run(f"lease ack {new['lease']}")[0] == 0
    assert made.logs_in(new)
    script.end()
    until(lambda: watch.has(event="gone", grant=new["grant"], reason="binding"), "the end is heard of")
    assert watch.end(signal.SIGINT) == 0


def test_a_watch_goes_on_over_a_reload_and_a_restart(orders, shell, lines):
    made = orders()
    script = shell(made.daemon)
    watch = lines([made.world.program("lease"), "watch", "-o", "json"], LEASED_ADDR=f"unix://{made.daemon.socket}")
    first = script.get(made.role)
    until(lambda: watch.has(event="credential", lease=first["lease"]), "the first one is heard of")
    made.daemon.send(signal.SIGHUP)
    until(lambda: "config.reloaded" in made.daemon.log_lines(), "it has reloaded")
    assert script.run(f"lease rotate {first['lease']}")[0] == 0
    until(lambda: watch.has(event="credential", version=2), "the rotation is heard of on the next stream")
    assert made.daemon.stop() == 0
    until(lambda: watch.has(event="gone", grant=first["grant"], reason="stopping"), "the stop is heard of")
    made.daemon.start()
    second = script.get(made.role)
    until(lambda: watch.has(event="credential", lease=second["lease"]), "the next daemon is heard")
    assert watch.end(signal.SIGINT) == 0


def test_watchers_cost_nothing_while_nothing_happens(orders, shell, lines):
    made = orders()
    script = shell(made.daemon)
    watchers = [lines([made.world.program("lease"), "watch", "-o", "json"], LEASED_ADDR=f"unix://{made.daemon.socket}") for _ in range(8)]
    lease = script.get(made.role)["lease"]
    until(lambda: all(watch.has(lease=lease) for watch in watchers), "all of them have heard of it")
    before = cpu_seconds(made.daemon.process.pid)
    end = time.monotonic() + 2  # a stretch in which there is nothing to do
    until(lambda: time.monotonic() > end, "two seconds are over")
    assert cpu_seconds(made.daemon.process.pid) - before < 0.1
    assert all(watch.end(signal.SIGINT) == 0 for watch in watchers)


def test_a_watch_of_nobody_is_unreachable(world, lines):
    watch = lines([world.program("lease"), "watch"], LEASED_ADDR="unix:///nowhere/leased.sock")
    assert watch.process.wait(20) == 5
