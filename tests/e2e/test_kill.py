"""The point of it all: whatever is killed with SIGKILL, the credential is dead at the issuer a second later."""
import os
import signal
import subprocess
import time

import pytest
from conftest import CONSUMER
from servers import clean_environment, until

LIMIT_S = 1.0


class Run:
    """`lease exec` with a consumer that tells its credential and sleeps."""

    def __init__(self, orders):
        script = 'echo "$$ $DB_USER $DB_PASSWORD"; exec sleep 600'
        self.lease = subprocess.Popen(
            orders.daemon.command(CONSUMER, "exec", orders.role, "--map", "username=DB_USER", "--map", "password=DB_PASSWORD", "--",
                                  "sh", "-c", script),
            stdout=subprocess.PIPE, text=True, env=clean_environment(), cwd="/", start_new_session=True)
        pid, user, password = self.lease.stdout.readline().split()
        self.pid, self.credential = int(pid), {"username": user, "password": password}

    def end(self):
        for pid in (self.lease.pid, self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.lease.wait()
        self.lease.stdout.close()


def kill_and_measure(orders, run, pids, what, measured):
    assert orders.logs_in(run.credential), "the password works while the consumer lives"
    assert len(orders.lease_ids()) == 1
    begin, took = time.monotonic(), {}
    for pid in pids:
        os.kill(pid, signal.SIGKILL)

    def is_dead():
        if "login" not in took and not orders.logs_in(run.credential):
            took["login"] = time.monotonic() - begin
        if "bao" not in took and not orders.lease_ids():
            took["bao"] = time.monotonic() - begin
        return len(took) == 2

    until(is_dead, f"{what} was killed: the credential is dead", 10)
    measured(f"kill -9 of {what}: login refused within {took['login'] * 1000:.0f} ms, "
             f"lease gone from bao within {took['bao'] * 1000:.0f} ms")
    assert took["login"] <= LIMIT_S
    assert took["bao"] <= LIMIT_S


@pytest.fixture
def run(orders):
    runs = []

    def starter():
        made = orders()
        runs.append(Run(made))
        return made, runs[-1]

    yield starter
    for it in runs:
        it.end()


def test_kill_9_of_the_consumer_ends_the_credential(run, measured):
    orders, it = run()
    kill_and_measure(orders, it, [it.pid], "the consumer", measured)
    assert it.lease.wait(10) == 128 + 9


def test_kill_9_of_lease_ends_the_credential_though_the_consumer_lives(run, measured):
    orders, it = run()
    kill_and_measure(orders, it, [it.lease.pid], "lease", measured)
    os.kill(it.pid, 0)


def test_kill_9_of_both_ends_the_credential(run, measured):
    orders, it = run()
    kill_and_measure(orders, it, [it.lease.pid, it.pid], "both", measured)


def test_a_consumer_that_ends_by_itself_leaves_nothing_when_lease_returns(orders):
    made = orders()
    done = made.daemon.lease(CONSUMER, "exec", made.role, "--map", "username=U", "--map", "password=P", "--", "sh", "-c",
                             'echo "$U $P"; exit 7')
    assert done.returncode == 7, done.stderr
    username, password = done.stdout.split()
    assert made.is_dead({"username": username, "password": password})
    assert [r["outcome"] for r in made.events("lease.revoked")] == ["ok"]


def test_a_term_to_lease_reaches_the_consumer_and_ends_the_credential(run):
    orders, it = run()
    it.lease.send_signal(signal.SIGTERM)
    assert it.lease.wait(10) == 128 + 15
    assert orders.is_dead(it.credential)


def test_an_issuer_that_hangs_delays_the_end_but_does_not_lose_it(run):
    orders, it = run()
    orders.world.bao.send(signal.SIGSTOP)
    try:
        os.kill(it.pid, signal.SIGKILL)
        until(lambda: orders.events("lease.revoking"), "leased has begun to revoke")
        assert orders.logs_in(it.credential), "bao does nothing while it is stopped"
    finally:
        orders.world.bao.send(signal.SIGCONT)
    orders.await_dead(it.credential, 30)
