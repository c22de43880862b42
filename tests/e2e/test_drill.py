"""The leak drill and blocks: what somebody has ever read dies, who shares it goes on, and he gets nothing anew."""
import json
import os
import signal
import subprocess
import tempfile

import pytest
from conftest import CONSUMER, STRANGER, needs_root
from servers import as_user, give_to, until
from test_outage import Forwarder

pytestmark = needs_root
RULES = [{"name": "all", "subjects": [{"user": "*"}], "roles": ["*"], "limits": {"binding": ["none"]},
          "paths": [{"path": "database/config", "capabilities": ["list"]}]}]
ADMINS = [{"subjects": [{"user": "root"}]}]


@pytest.fixture
def drilled(orders, world):
    """drilled(config={...}, **orders' own): an Orders with a ledger, an admin, and Vault's API on its socket."""
    def maker(config=None, **role):
        folder = tempfile.mkdtemp(prefix="ledger-", dir=world.folder)
        give_to(folder, "leased")
        changes = {"state": {"ledger": {"sqlite": f"{folder}/ledger.db"}}, "policies": {"rules": RULES, "admins": ADMINS}, **(config or {})}
        made = orders(binding="none", config=changes, **role)
        return made
    return maker


@pytest.fixture
def road(world):
    it = Forwarder(world.bao.port)
    it.open()
    yield it
    it.close()


def by(road, world):
    """The backend on that road."""
    return {"backends": {"bao": {"plugin": "vault", "address": f"http://127.0.0.1:{road.port}", "health_interval": "1s", "auth": {
        "method": "approle", "role_id_file": world.bao.role_id_file, "secret_id_file": world.bao.secret_id_file}}}}


def get(made, user, role=None):
    done = made.daemon.lease(user, "get", role or made.role, "-o", "json", "--bind", "none")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def admin(made, *words):
    return made.daemon.lease("root", *words)


def events_of(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_who_leaks_a_shared_credential_loses_it_and_the_other_goes_on(drilled):
    made = drilled(share="role")
    old = get(made, CONSUMER)
    assert get(made, STRANGER)["credential"] == old["credential"]
    done = admin(made, "revoke", "--subject", f"user={CONSUMER}", "--block", "1h", "--reason", "laptop stolen", "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = events_of(done)
    assert [told[0]["event"], told[0]["leases"], told[-1]["event"], told[-1]["revoked"]] == ["found", 1, "summary", 1]
    assert [e["lease"] for e in told if e["event"] == "revoked"] == [old["lease"]]
    assert not made.logs_in(old)
    new = get(made, STRANGER)
    assert new["lease"] != old["lease"] and made.logs_in(new)
    refused = made.daemon.lease(CONSUMER, "get", made.role)
    assert refused.returncode == 3 and "blocked until" in refused.stderr
    assert "blocked" in made.daemon.lease(CONSUMER, "explain", made.role).stdout
    (requested,), (created,) = made.events("revoke.requested"), made.events("block.created")
    assert requested["match"] == created["match"] == {"subject": {"user": CONSUMER}} and requested["drill"] == told[0]["drill"]
    assert requested["reason"] == created["reason"] == "laptop stolen" and requested["block"] == created["block"] == told[0]["block"]
    assert requested["identity"]["user"] == "root" and created["until"] == told[0]["until"]
    assert made.events("grant.denied")[-1]["error"] == told[0]["block"]


def test_a_block_refuses_every_api_until_it_ends(drilled):
    made = drilled()
    made.daemon.stop()
    made.daemon.config["listeners"] = [{"name": "local", "unix": made.daemon.socket, "mode": "0666", "serve": ["native", "vault", "metrics"],
                                        "vault": {"backend": "bao"}}]
    made.daemon.start()
    held = get(made, CONSUMER)
    done = admin(made, "block", "1h", "--subject", f"user={CONSUMER}", "--reason", "leak")
    assert done.returncode == 0, done.stderr
    made.await_dead(held)
    assert made.daemon.lease(CONSUMER, "get", made.role).returncode == 3

    def vault(path, method="GET"):
        command = [*as_user(CONSUMER), "curl", "-sS", "-X", method, "--unix-socket", made.daemon.socket, "-H", "X-Vault-Request: true",
                   f"http://localhost/v1/{path}"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for answer in (vault(made.path), vault("database/config", "LIST")):
        assert answer["errors"][0].startswith("permission denied: blocked until"), answer
        assert "unblock" in answer["errors"][1], answer
    listed = json.loads(admin(made, "blocks", "-o", "json").stdout)
    assert [(b["match"], b["reason"], b["by"]) for b in listed] == [({"subject": {"user": CONSUMER}}, "leak", "root")]
    assert CONSUMER in admin(made, "blocks").stdout
    made.daemon.process.send_signal(signal.SIGKILL)
    made.daemon.process.wait()
    made.daemon.start()
    assert made.daemon.lease(CONSUMER, "get", made.role).returncode == 3
    assert admin(made, "unblock", listed[0]["id"]).returncode == 0
    assert made.logs_in(vault(made.path)["data"]) and "blocked" not in json.dumps(vault("database/config", "LIST"))


def test_a_block_ends_by_itself(drilled):
    made = drilled()
    assert admin(made, "block", "1s", "--role", made.role[:4] + "*").returncode == 0
    until(lambda: made.daemon.lease(CONSUMER, "get", made.role, "--bind", "none").returncode == 0, "it is over")
    assert [r["outcome"] for r in made.events("block.ended")] == ["expired"]


def test_what_lingers_is_found_by_its_user_name(drilled):
    made = drilled(linger="10m")
    old, kept = get(made, CONSUMER), get(made, STRANGER)
    assert made.daemon.lease(CONSUMER, "revoke", old["grant"]).returncode == 0
    assert made.logs_in(old), "it lingers"
    done = admin(made, "revoke", "--identifier", old["credential"]["username"])
    assert done.returncode == 0 and "1 revoked" in done.stdout, done.stdout + done.stderr
    assert not made.logs_in(old) and made.logs_in(kept)
    read = next(r for r in made.events("credential.read") if r["lease"] == kept["lease"])
    assert admin(made, "revoke", "--identifier", read["identifier_ref"]).returncode == 0
    assert made.is_dead(kept)
    trail = open(made.daemon.audit_path, encoding="utf-8").read()
    assert old["credential"]["username"] not in trail


def test_what_cannot_be_revoked_says_until_when_it_lives(drilled, world):
    made = drilled()
    path = f"{world.folder}/unrevocable.json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"fields": {"token": "t0k3n"}, "ttl": 3600}, f)
    os.chmod(path, 0o644)
    made.daemon.stop()
    made.daemon.config["backends"]["tool"] = {"plugin": "exec", "command": ["/bin/cat", path]}
    made.daemon.config["roles"]["tool"] = {"backend": "tool", "binding": "none"}
    made.daemon.start()
    revocable = get(made, CONSUMER)
    get(made, CONSUMER, "tool")
    assert admin(made, "revoke", "--all").returncode == 64, "nobody to ask"
    done = admin(made, "revoke", "--all", "--yes")
    assert done.returncode == 8, done.stdout + done.stderr
    assert "1 revoked, 1 can't be revoked and live until 20" in done.stdout and "unrevocable" in done.stdout
    assert not made.logs_in(revocable)


def test_during_an_outage_it_is_pending_and_a_kill_does_not_end_it(drilled, road, world):
    made = drilled(config=by(road, world), share="role")
    old = get(made, CONSUMER)
    get(made, STRANGER)
    road.close()
    done = admin(made, "revoke", "--subject", f"user={CONSUMER}", "--block", "1h", "--wait", "1s")
    assert done.returncode == 8, done.stdout + done.stderr
    assert "1 pending: leased goes on trying" in done.stdout and made.logs_in(old)
    made.daemon.process.send_signal(signal.SIGKILL)
    made.daemon.process.wait()
    road.open()
    made.daemon.start()
    until(lambda: not made.logs_in(old), "the old one is dead", 30, 0.1)
    assert made.logs_in(get(made, STRANGER))
    assert made.daemon.lease(CONSUMER, "get", made.role).returncode == 3
