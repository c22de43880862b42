"""The daemon dies: what it had issued is ended by the one that starts next."""
import contextlib
import glob
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time

import pytest
from conftest import CONSUMER, needs_root
from servers import as_user, give_to, until

LEASES, OUTBOX = 1, 4
EVERYBODY = [{"name": "all", "subjects": [{"user": "*"}], "roles": ["*"], "limits": {"binding": ["none", "parent", "process"]}}]


@pytest.fixture
def with_ledger(orders, world):
    """with_ledger(**orders' own): an Orders whose leased has a ledger."""
    def maker(config=None, **more):
        folder = tempfile.mkdtemp(prefix="ledger-", dir=world.folder)
        give_to(folder, "leased")
        made = orders(rules=EVERYBODY, binding="none", config={"state": {"ledger": {"sqlite": f"{folder}/ledger.db"}}, **(config or {})}, **more)
        made.ledger = f"{folder}/ledger.db"
        return made
    return maker


def get(made):
    done = made.daemon.lease(CONSUMER, "get", made.role, "-o", "json", "--bind", "none")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kill(daemon):
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait()


def rows_in(made, kind):
    """What a ledger that nobody has open holds; read from a copy, because to look is to touch."""
    with tempfile.TemporaryDirectory() as folder:
        for path in glob.glob(made.ledger + "*"):
            shutil.copy(path, folder)
        with contextlib.closing(sqlite3.connect(f"{folder}/ledger.db")) as db:
            bodies = [body for (body,) in db.execute("SELECT body FROM record WHERE kind = ? ORDER BY id", (kind,))]
    return [(json.loads(body) if kind == OUTBOX else {}) | {"raw": body.decode("latin-1")} for body in bodies]


def left_in(made):
    return rows_in(made, LEASES)


def test_a_killed_daemon_s_credentials_are_dead_once_it_has_started_again(with_ledger):
    made = with_ledger()
    credentials = [get(made)]
    for _ in range(4):  # of other grants
        done = subprocess.run([*as_user(CONSUMER), "curl", "-sSf", "--unix-socket", made.daemon.socket, "-H", "X-Leased-Request: 1", "-d",
                               json.dumps({"role": made.role, "binding": "none"}), "http://localhost/leased/v1/leases"], capture_output=True, check=True)
        credentials.append(json.loads(done.stdout))
    assert all(made.logs_in(c) for c in credentials) and len(made.lease_ids()) == 5
    kill(made.daemon)
    left = left_in(made)
    dumped = made.daemon.lease("leased", "ledger", "dump", made.ledger, "-o", "json")
    assert dumped.returncode == 0, dumped.stderr
    assert {f["lease"] for f in json.loads(dumped.stdout)} == {c["lease"] for c in credentials}
    assert len({f["issuer_ref"] for f in json.loads(dumped.stdout)}) == 5
    assert not any(c["credential"]["password"] in "".join(record["raw"] for record in left) for c in credentials), "no secret in the ledger"
    assert all(made.logs_in(c) for c in credentials), "nobody has ended them yet"
    made.daemon.start()
    until(lambda: not made.lease_ids(), "bao lists no lease of the dead daemon")
    assert "a leased has" in made.daemon.lease("leased", "ledger", "check", made.ledger).stderr
    assert not any(made.logs_in(c) for c in credentials)
    until(lambda: len(made.events("lease.revoked")) == 5, "each end is on record")
    assert {r["lease"] for r in made.events("lease.adopted")} == {c["lease"] for c in credentials}
    verified = made.daemon.lease("leased", "audit", "verify", made.daemon.audit_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert made.logs_in(get(made))
    assert made.daemon.stop() == 0
    assert left_in(made) == [] and rows_in(made, OUTBOX) == []


class Takers:
    """Consumers that ask for credentials of their own, over and over, and note which they got."""

    def __init__(self, made, count):
        self.got = []
        self.is_over = False
        command = [*as_user(CONSUMER), "curl", "-sSf", "--unix-socket", made.daemon.socket, "-H", "X-Leased-Request: 1", "-d",
                   json.dumps({"role": made.role, "binding": "none"}), "http://localhost/leased/v1/leases"]
        self.threads = [threading.Thread(target=self.take, args=(command,)) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def take(self, command):
        while not self.is_over:
            done = subprocess.run(command, capture_output=True, check=False)
            if done.returncode == 0:
                self.got.append(json.loads(done.stdout)["lease"])
            else:
                time.sleep(0.02)

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()
        return self.got


def test_killed_in_the_middle_of_hand_outs_each_of_them_is_on_record(with_ledger):
    made = with_ledger()
    takers = Takers(made, 4)
    try:
        for round_number in range(1, 6):
            until(lambda n=round_number: len(takers.got) >= 8 * n, "credentials are handed out", 60)
            kill(made.daemon)
            made.daemon.start()
    finally:
        got = takers.end()
    until(lambda: made.daemon.lease("root", "status", "--ready").returncode == 0, "it is ready")
    assert made.daemon.stop() == 0
    verified = made.daemon.lease("leased", "audit", "verify", made.daemon.audit_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    for event in "lease.issued", "grant.created", "credential.read":
        assert set(got) <= {r["lease"] for r in made.events(event)}, event


def test_what_only_the_ledger_has_of_the_trail_is_in_the_file_after_the_next_start(with_ledger):
    made = with_ledger()
    get(made)
    kill(made.daemon)
    with open(made.daemon.audit_path, "rb") as f:
        whole = f.read()
    outbox = rows_in(made, OUTBOX)
    assert outbox, "the last second's records are still in the ledger"
    # As if the machine had gone down before the file's last records were written, and one of them by half.
    cut = whole[:whole.rindex(b"\n", 0, len(whole) - 1) + 100]
    with open(made.daemon.audit_path, "wb") as f:
        f.write(cut)
    made.daemon.start()
    assert made.daemon.stop() == 0
    verified = made.daemon.lease("leased", "audit", "verify", made.daemon.audit_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "1 lines were cut off by a crash" in verified.stdout
    with open(made.daemon.audit_path, "rb") as f:
        assert whole.splitlines()[-1] in f.read().splitlines()


def test_a_changed_outbox_is_refused_and_the_trail_left_as_it_is(with_ledger):
    made = with_ledger()
    get(made)
    kill(made.daemon)
    assert rows_in(made, OUTBOX)
    with open(made.daemon.audit_path, "rb") as f:
        whole = f.read()
    with contextlib.closing(sqlite3.connect(made.ledger)) as db:
        db.execute("UPDATE record SET body = CAST(replace(CAST(body AS TEXT), 'credential', 'Credential') AS BLOB) WHERE kind = 4")
        db.commit()
    give_to(made.ledger, "leased")
    made.daemon.exit_code = 74
    made.daemon.start(wait=False)
    assert made.daemon.process.wait(timeout=30) == 74
    assert "DELETE FROM record WHERE kind = 4" in made.daemon.log_lines()
    with open(made.daemon.audit_path, "rb") as f:
        assert f.read() == whole


def test_it_waits_for_an_issuer_that_is_away(with_ledger, world):
    made = with_ledger()
    credential = get(made)
    kill(made.daemon)
    world.bao.send(signal.SIGSTOP)
    try:
        made.daemon.start(wait=False)
        until(lambda: made.daemon.lease("root", "status").returncode == 0, "it answers meanwhile")
    finally:
        world.bao.send(signal.SIGCONT)
    made.await_dead(credential, 60)


def test_killed_again_and_again_nothing_is_forgotten(with_ledger):
    made = with_ledger()
    credentials = []
    for _ in range(6):
        credentials.append(get(made))
        kill(made.daemon)
        made.daemon.start()
    until(lambda: not made.lease_ids(), "nothing is left at bao")
    assert not any(made.logs_in(c) for c in credentials)


def test_what_only_an_unknown_backend_could_revoke_is_kept_and_told(with_ledger):
    made = with_ledger()
    credential = get(made)
    kill(made.daemon)
    config = made.daemon.config
    backends, roles = config["backends"], config["roles"]
    config["backends"], config["roles"], config["policies"] = {"other": backends["bao"]}, {}, {"rules": []}
    made.daemon.start(wait=False)
    until(lambda: "ledger.left" in made.daemon.log_lines(), "it is told")
    assert "bao isn't configured any more" in made.daemon.log_lines()
    kill(made.daemon)
    assert len(left_in(made)) == 1 and made.logs_in(credential)
    config["backends"], config["roles"], config["policies"] = backends, roles, {"rules": EVERYBODY}
    made.daemon.start()
    made.await_dead(credential, 30)


def test_a_second_daemon_on_the_same_ledger_is_refused(with_ledger, world, start):
    made = with_ledger()
    second = world.daemon({}, [], state={"ledger": {"sqlite": made.ledger}})
    second.exit_code = 73
    second.start(wait=False)
    assert second.process.wait(timeout=30) == 73
    assert "in use by another process" in second.log_lines()
    assert made.logs_in(get(made))


@needs_root
def test_a_full_disk_lets_no_credential_out_and_heals(with_ledger, world):
    made = with_ledger()
    folder = os.path.dirname(made.ledger)
    assert made.daemon.stop() == 0
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", folder], check=True)
    try:
        give_to(folder, "leased")
        made.daemon.start()
        assert made.logs_in(get(made))
        ballast = os.open(f"{folder}/ballast", os.O_CREAT | os.O_WRONLY, 0o600)
        with contextlib.suppress(OSError):
            while os.write(ballast, b"x" * 4096):
                pass
        os.close(ballast)

        def refused():
            done = made.daemon.lease(CONSUMER, "exec", made.role, "--", "true")
            return done.returncode != 0 and "could not write the ledger" in done.stderr
        until(refused, "no credential leaves", 30, 0.2)
        os.remove(f"{folder}/ballast")
        until(lambda: made.daemon.lease(CONSUMER, "exec", made.role, "--", "true").returncode == 0, "it goes on by itself", 30, 0.2)
        assert made.daemon.stop() == 0
    finally:
        made.daemon.stop()
        subprocess.run(["umount", "-l", folder], check=True)
