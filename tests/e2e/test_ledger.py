"""The daemon dies or is stopped: the one that starts next goes on with what is still held, and ends the rest."""
import contextlib
import glob
import json
import os
import re
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

LEASES, GRANTS, OUTBOX = 1, 2, 4
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
    return [row_of(body.decode("latin-1")) for body in bodies]


def row_of(raw):
    """Records of the outbox are JSON; of the others, which are binary, a lease's id is what stands there as such."""
    if raw.startswith("{"):
        return json.JSONDecoder().raw_decode(raw)[0] | {"raw": raw}
    return {"raw": raw, "lease": next(iter(re.findall("l-[0-9a-f]{32}", raw)), "")}


def left_in(made):
    return rows_in(made, LEASES)


def take(made):
    """A credential of a grant and a lease of its own, bound to nothing."""
    done = subprocess.run([*as_user(CONSUMER), "curl", "-sSf", "--unix-socket", made.daemon.socket, "-H", "X-Leased-Request: 1", "-d",
                           json.dumps({"role": made.role, "binding": "none"}), "http://localhost/leased/v1/leases"], capture_output=True, check=True)
    return json.loads(done.stdout)


def is_same(one, other):
    return all(one[key] == other[key] for key in ("lease", "grant", "version", "credential"))


def verify(made):
    verified = made.daemon.lease("leased", "audit", "verify", made.daemon.audit_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def issues(made):
    return made.world.bao.requests(made.path)


def test_holders_that_live_keep_their_credential_over_a_kill(with_ledger, shell):
    made = with_ledger()
    consumer = shell(made.daemon)
    before = consumer.get(made.role, "--bind parent")
    kill(made.daemon)
    left = left_in(made)
    dumped = made.daemon.lease("leased", "ledger", "dump", made.ledger, "-o", "json")
    assert dumped.returncode == 0, dumped.stderr
    assert {f["lease"] for f in json.loads(dumped.stdout)} == {before["lease"]}
    assert [before["lease"] in it["raw"] for it in rows_in(made, GRANTS)] == [True]
    with open(made.ledger, "rb") as f, open(f"{made.ledger}-wal", "rb") as wal:
        assert before["credential"]["password"].encode() not in f.read() + wal.read(), "no secret in the ledger"
    assert len(left) == 1 and made.logs_in(before)
    made.daemon.start()
    assert "a leased has" in made.daemon.lease("leased", "ledger", "check", made.ledger).stderr
    assert is_same(consumer.get(made.role, "--bind parent"), before)
    assert made.logs_in(before) and len(made.lease_ids()) == 1 and issues(made) == 1
    until(lambda: [r["lease"] for r in made.events("lease.adopted")] == [before["lease"]], "it is on record")
    consumer.end()
    made.await_dead(before)
    verify(made)
    assert made.daemon.stop() == 0
    assert left_in(made) == [] and rows_in(made, GRANTS) == [] and rows_in(made, OUTBOX) == []


def test_holders_that_are_gone_are_found_out_after_a_kill(with_ledger, shell):
    made = with_ledger()
    living, dying = shell(made.daemon), shell(made.daemon)
    kept = living.get(made.role, "--bind parent")
    lost = dying.get(made.role, "--bind parent")
    kill(made.daemon)
    dying.end()
    assert made.logs_in(lost), "nobody has ended it yet"
    made.daemon.start()
    until(lambda: [r for r in made.events("grant.ended") if r["grant"] == lost["grant"]], "the dead one's grant ends")
    if lost["lease"] != kept["lease"]:
        until(lambda: not made.logs_in(lost), "and its credential with it")
    assert is_same(living.get(made.role, "--bind parent"), kept) and made.logs_in(kept)
    living.end()
    until(lambda: not made.lease_ids(), "the other's ends with its own holder")
    verify(made)


def test_what_is_bound_to_a_duration_lives_exactly_as_long_over_a_kill(with_ledger):
    made = with_ledger()
    done = made.daemon.lease(CONSUMER, "get", made.role, "-o", "json", "--bind", "none", "--for", "8s")
    assert done.returncode == 0, done.stderr
    begin, short = time.monotonic(), json.loads(done.stdout)
    kill(made.daemon)
    made.daemon.start()
    assert made.logs_in(short), "its time isn't over"
    made.await_dead(short, 20)
    assert 6 < time.monotonic() - begin < 16
    assert [r["reason"] for r in made.events("grant.ended") if "reason" in r][-1:] != ["stopping"]


def test_several_grants_bound_to_nothing_go_on_over_a_kill(with_ledger):
    made = with_ledger()
    credentials = [get(made)] + [take(made) for _ in range(4)]
    assert all(made.logs_in(c) for c in credentials) and len(made.lease_ids()) == 5
    kill(made.daemon)
    made.daemon.start()
    until(lambda: {r["lease"] for r in made.events("lease.adopted")} == {c["lease"] for c in credentials}, "each is on record")
    again = get(made)
    assert any(is_same(again, c) for c in credentials) and all(made.logs_in(c) for c in credentials)
    assert issues(made) == 5
    ended = made.daemon.lease(CONSUMER, "revoke", *(c["grant"] for c in credentials))
    assert ended.returncode == 0, ended.stderr
    assert not any(made.logs_in(c) for c in credentials) and made.lease_ids() == []
    verify(made)


def test_a_replaced_key_revokes_everything(with_ledger):
    made = with_ledger()
    before = get(made)
    kill(made.daemon)
    with open(f"{made.ledger}.key", "w", encoding="utf-8") as f:
        f.write(f"{os.urandom(32).hex()}\n")
    made.daemon.start()
    until(lambda: not made.logs_in(before), "what can't be opened any more is revoked")
    until(lambda: before["lease"] in {r["lease"] for r in made.events("lease.revoked")}, "and on record")
    after = get(made)
    assert after["lease"] != before["lease"] and made.logs_in(after)
    verify(made)


def test_a_new_key_before_the_old_one_changes_nothing(with_ledger):
    made = with_ledger()
    before = get(made)
    kill(made.daemon)
    with open(f"{made.ledger}.key", encoding="utf-8") as f:
        old = f.read()
    with open(f"{made.ledger}.key", "w", encoding="utf-8") as f:
        f.write(f"{os.urandom(32).hex()}\n{old}")
    made.daemon.start()
    assert is_same(get(made), before) and made.logs_in(before) and issues(made) == 1


def test_a_stop_keeps_what_the_next_start_goes_on_with(with_ledger, shell):
    made = with_ledger()
    consumer = shell(made.daemon)
    before = consumer.get(made.role, "--bind parent")
    assert made.daemon.stop() == 0
    assert made.logs_in(before) and len(left_in(made)) == 1
    made.daemon.start()
    assert is_same(consumer.get(made.role, "--bind parent"), before) and issues(made) == 1
    verify(made)


def test_a_stop_after_which_nobody_follows_revokes_everything(with_ledger):
    made = with_ledger()
    before = get(made)
    made.daemon.send(signal.SIGUSR2)
    until(lambda: "daemon.final" in made.daemon.log_lines(), "it has heard")
    assert made.logs_in(before), "it goes on until it is stopped"
    assert made.daemon.stop() == 0
    assert made.is_dead(before) and left_in(made) == [] and rows_in(made, GRANTS) == []
    made.daemon.start()
    after = get(made)
    assert made.daemon.stop() == 0
    assert made.logs_in(after), "a start has forgotten it"
    made.daemon.start()


def test_a_stop_in_a_pod_revokes_everything(with_ledger):
    made = with_ledger()
    assert made.daemon.stop() == 0
    made.daemon.environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    made.daemon.start()
    before = get(made)
    assert made.daemon.stop() == 0
    assert made.is_dead(before) and left_in(made) == []


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


def test_an_older_copy_of_the_ledger_is_refused(with_ledger):
    made = with_ledger()
    kept = get(made)
    assert made.daemon.stop() == 0
    old = f"{made.ledger}.old"
    shutil.copy2(made.ledger, old)
    made.daemon.start()
    made.daemon.lease(CONSUMER, "revoke", kept["lease"])
    until(lambda: not made.logs_in(kept), "it is revoked")
    kill(made.daemon)
    newer = f"{made.ledger}.newer"
    for suffix in ("", "-wal"):
        if os.path.exists(made.ledger + suffix):
            os.rename(made.ledger + suffix, newer + suffix)
    with contextlib.suppress(FileNotFoundError):
        os.remove(f"{made.ledger}-shm")
    shutil.copy2(old, made.ledger)
    give_to(made.ledger, "leased")
    made.daemon.exit_code = 74
    made.daemon.start(wait=False)
    assert made.daemon.process.wait(timeout=30) == 74
    assert "the ledger is an older copy" in made.daemon.log_lines()
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(made.ledger + suffix)
    for suffix in ("", "-wal"):
        if os.path.exists(newer + suffix):
            os.rename(newer + suffix, made.ledger + suffix)
    made.daemon.exit_code = 0
    made.daemon.start()
    verify(made)


def test_it_waits_for_an_issuer_that_is_away(with_ledger, shell, world):
    made = with_ledger()
    living, dying = shell(made.daemon), shell(made.daemon)
    kept = living.get(made.role, "--bind parent")
    lost = dying.get(made.role, "--bind parent")
    kill(made.daemon)
    dying.end()
    world.bao.send(signal.SIGSTOP)
    try:
        made.daemon.start(wait=False)
        until(lambda: made.daemon.lease("root", "status").returncode == 0, "it answers meanwhile")
        assert is_same(living.get(made.role, "--bind parent"), kept), "and serves what it has"
    finally:
        world.bao.send(signal.SIGCONT)
    until(lambda: not made.logs_in(lost), "what nobody holds is dead", 60)
    assert made.logs_in(kept) and issues(made) == 2


def test_killed_again_and_again_nothing_is_forgotten(with_ledger, shell):
    made = with_ledger()
    kept, credentials = get(made), []
    for _ in range(6):
        consumer = shell(made.daemon)
        credentials.append(consumer.get(made.role, "--bind parent"))
        kill(made.daemon)
        consumer.end()
        made.daemon.start()
        assert is_same(get(made), kept)
    until(lambda: len(made.lease_ids()) == 1, "only what is held is left at bao")
    assert made.logs_in(kept) and not any(made.logs_in(c) for c in credentials)
    verify(made)


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
    assert len(left_in(made)) == len(rows_in(made, GRANTS)) == 1 and made.logs_in(credential)
    config["backends"], config["roles"], config["policies"] = backends, roles, {"rules": EVERYBODY}
    made.daemon.start()
    assert is_same(get(made), credential) and made.logs_in(credential), "its backend is back: it goes on with its holder"
    assert len(made.lease_ids()) == 1 and issues(made) == 1
    verify(made)


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
        held = get(made)
        assert made.logs_in(held)
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
        assert is_same(get(made), held)
        kill(made.daemon)
        made.daemon.start()
        assert is_same(get(made), held) and made.logs_in(held), "the ledger was never behind"
        until(lambda: len(made.lease_ids()) == 1, "what was issued without a record is revoked")
        assert made.daemon.stop() == 0
    finally:
        made.daemon.stop()
        subprocess.run(["umount", "-l", folder], check=True)
