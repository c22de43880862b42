"""The audit trail: whole, found out when changed, rotated, and a condition for handing out."""
import json
import os
import signal
import subprocess
import tempfile

import pytest
from conftest import needs_root
from servers import give_to, until


def verify(daemon, *files):
    return daemon.lease("leased", "audit", "verify", *files)  # its files are its own


def write(path, lines):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(lines)
    return path


@pytest.fixture
def trail(orders, shell):
    """(orders, lines) after some work, with the daemon ended."""
    made = orders()
    for _ in range(3):
        script = shell(made.daemon)
        script.get(made.role, "--reason 'OPS-1: look'")
        script.end()
    until(lambda: len(made.events("lease.revoked")) == 3, "all is revoked")
    made.daemon.stop()
    with open(made.daemon.audit_path, encoding="utf-8") as f:
        return made, f.readlines()


def test_a_whole_trail_verifies(trail):
    made, lines = trail
    done = verify(made.daemon, made.daemon.audit_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"ok: {len(lines)} records, 1 to {len(lines)}\n")


def test_an_edit_a_gap_and_a_reordering_are_found(trail):
    made, lines = trail
    path = f"{made.world.folder}/changed.jsonl"
    changed = [line.replace("OPS-1", "OPS-2") for line in lines]
    swapped = [*lines[:4], lines[5], lines[4], *lines[6:]]
    for wrong, what in ((changed, "was changed"), (lines[:4] + lines[5:], "record 5 is missing"), (swapped, "order was changed")):
        done = verify(made.daemon, write(path, wrong))
        assert done.returncode == 1
        assert what in done.stderr


def test_the_life_of_a_credential_is_told_in_order_with_its_reason(trail):
    made, _ = trail
    issued = made.events("lease.issued")[0]
    told = [r["event"] for r in made.daemon.records() if r.get("lease") == issued["lease"]]
    wanted = ["lease.issued", "grant.created", "credential.read", "grant.ended", "lease.revoking", "lease.revoked"]
    assert [event for event in told if event in wanted] == wanted
    record = next(r for r in made.events("grant.created") if r["lease"] == issued["lease"])
    assert record["reason"] == "OPS-1: look"
    assert record["policy"]["rule"] == "consumers"
    assert record["role"] == made.role


def test_rotation_with_sigusr1_goes_on_in_a_new_file_and_the_chain_holds(orders, shell):
    made = orders()
    shell(made.daemon).get(made.role)
    old, new = f"{made.daemon.audit_path}.1", made.daemon.audit_path
    os.rename(new, old)
    made.daemon.send(signal.SIGUSR1)
    until(lambda: os.path.exists(new), "the file is opened anew")
    shell(made.daemon).get(made.role)
    made.daemon.stop()
    done = verify(made.daemon, new, old)
    assert done.returncode == 0, done.stderr
    with open(old, encoding="utf-8") as f, open(new, encoding="utf-8") as g:
        assert json.loads(f.readlines()[-1])["hash"] == json.loads(g.readline())["prev"]


def test_the_chain_goes_on_after_a_restart(orders, shell):
    made = orders()
    shell(made.daemon).get(made.role)
    made.daemon.stop()
    made.daemon.start()
    shell(made.daemon).get(made.role)
    made.daemon.stop()
    done = verify(made.daemon, made.daemon.audit_path)
    assert done.returncode == 0, done.stderr
    assert len(made.events("daemon.started")) == 2


@pytest.fixture
def small_disk(world):
    """A folder of 256 KiB that user leased owns."""
    path = f"{world.folder}/small"
    os.makedirs(path, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0755", "tmpfs", path], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("can't mount a tmpfs here")
    give_to(path, "leased")
    yield path
    subprocess.run(["umount", "--lazy", path], check=False)


@needs_root
@pytest.mark.parametrize(("reserve", "has_ledger"), [("0", False), ("128KiB", False), ("0", True), ("128KiB", True)])
def test_a_required_sink_that_is_full_stops_hand_outs_until_there_is_room(orders, shell, small_disk, reserve, has_ledger):
    config = {"audit": [{"sink": "file", "path": f"{small_disk}/audit.jsonl", "required": True}],
              "limits": {"stop_timeout": "10s", "audit_reserve": reserve}}
    if has_ledger:  # on another disk, which has room
        folder = tempfile.mkdtemp(prefix="ledger-", dir=os.path.dirname(small_disk))
        give_to(folder, "leased")
        config["state"] = {"ledger": {"sqlite": f"{folder}/ledger.db"}}
    made = orders(config=config)
    made.daemon.audit_path = f"{small_disk}/audit.jsonl"
    script, other = shell(made.daemon), shell(made.daemon)
    held = script.get(made.role)
    with open(f"{small_disk}/filler", "wb", buffering=0) as f:
        try:
            while f.write(b"x" * 4096):
                pass
        except OSError:
            pass
    # What fits into the last page, or was reserved, may still be written; then it stops, also for what is held already.
    until(lambda: shell(made.daemon).run(f"lease get {made.role}")[0] == 7, "hand-outs have stopped", 30)
    issued = made.world.bao.requests(made.path)
    code, output = other.run(f"lease get {made.role}")
    assert code == 7
    assert "degraded" in output
    assert "a required audit sink fails" in output
    assert made.world.bao.requests(made.path) == issued, "no record, no call at the issuer"
    until(lambda: script.run(f"lease get {made.role}")[0] == 7, "re-reads have stopped")
    assert made.daemon.lease("root", "status", "--ready").returncode == 7
    script.end()
    until(lambda: not made.logs_in(held), "what has ended is revoked all the same")
    if reserve != "0":
        until(lambda: held["lease"] in [r["lease"] for r in made.events("lease.revoked")], "and is on record, though the disk is full")
    os.unlink(f"{small_disk}/filler")
    until(lambda: made.daemon.lease("root", "status", "--ready").returncode == 0, "it has recovered", 30)
    assert made.logs_in(shell(made.daemon).get(made.role))
    made.daemon.stop()
    done = verify(made.daemon, made.daemon.audit_path)
    assert done.returncode == 0, done.stderr
