"""A new credential is tried out before anybody gets it: against PostgreSQL itself, and an HTTP server that logs in there with it."""
import base64
import json
import os
import tempfile
import threading

import pytest

from conftest import CONSUMER
from fake_apis import FakeApi
from servers import free_port, until
from test_left import ADMINS
from test_ledger import EVERYBODY, get, kill, with_ledger  # noqa: F401 (a fixture)
from test_reload import changed, reload


class Gate(FakeApi):
    """Says 204 to who can log in at PostgreSQL, but not before it has been asked `late` times, and never while it is shut."""

    def __init__(self, postgres):
        super().__init__()
        self.postgres, self.late, self.is_shut, self.asked, self.names = postgres, 0, False, 0, []

    def authorize(self, headers):
        kind, _, value = headers.get("Authorization", "").partition(" ")
        name, _, password = base64.b64decode(value).decode().partition(":")
        self.asked += 1
        self.names.append(name)
        if self.is_shut or self.asked <= self.late or kind != "Basic":
            return False
        return self.postgres.psql("SELECT 1", name, password)[0]

    def handle(self, method, path, body, headers):
        return (204, None) if self.authorize(headers) else (401, {"error": "not known (yet)"})


@pytest.fixture
def gate(world):
    it = Gate(world.postgres)
    yield it
    it.close()


def by(gate, **more):
    return {"http": f"{gate.address}/login", "basic_auth": "${username}:${password}", **more}


def ask(made, *options):
    return made.daemon.lease(CONSUMER, "get", made.role, "-o", "json", "--bind", "none", *options)


def test_where_somebody_listens_it_is_handed_out(with_ledger, world):  # noqa: F811
    made = with_ledger(verify={"tcp": f"127.0.0.1:{world.postgres.port}"})
    assert made.logs_in(get(made))
    assert made.daemon.metric("leased_verify_total") == 1
    assert made.daemon.metric("leased_verify_failed_total") == 0


def test_where_nobody_listens_it_is_revoked_and_the_error_says_so(with_ledger):  # noqa: F811
    port = free_port()
    made = with_ledger(verify={"tcp": f"127.0.0.1:{port}", "timeout": "2s"})
    done = ask(made)
    assert done.returncode == 7, done.stderr
    assert f"could not be verified: 127.0.0.1:{port}: " in done.stderr
    until(lambda: not made.lease_ids(), "bao has no lease")
    assert made.daemon.metric("leased_verify_failed_total") == 1
    before = made.world.bao.requests(made.path)
    assert ask(made).returncode == 7
    assert made.world.bao.requests(made.path) == before, "it isn't issued anew at once"


def test_one_that_is_not_known_yet_comes_when_it_works(with_ledger, gate):  # noqa: F811
    gate.late = 3
    made = with_ledger(verify=by(gate))
    assert made.logs_in(get(made))
    assert gate.asked == 4 and len(set(gate.names)) == 1
    assert len(made.lease_ids()) == 1
    assert made.events("lease.revoking") == []


def test_a_successor_that_does_not_work_takes_nothing_away(with_ledger, gate):  # noqa: F811
    made = with_ledger(verify=by(gate, timeout="2s"))
    old = get(made)
    gate.is_shut = True
    done = made.daemon.lease(CONSUMER, "rotate", old["lease"])
    assert done.returncode != 0
    assert "could not be verified" in done.stderr
    until(lambda: len(made.lease_ids()) == 1, "the successor is revoked")
    assert get(made)["credential"] == old["credential"] and made.logs_in(old)
    gate.is_shut = False
    done = made.daemon.lease(CONSUMER, "rotate", old["lease"])
    assert done.returncode == 0, done.stderr
    new = get(made)
    assert new["credential"] != old["credential"] and made.logs_in(new)
    until(lambda: not made.logs_in(old), "the old one is dead")


def test_a_kill_in_between_leaves_nothing(with_ledger, gate):  # noqa: F811
    gate.is_shut = True
    made = with_ledger(verify=by(gate, timeout="30s"))
    waiting = threading.Thread(target=ask, args=(made,))
    waiting.start()
    until(lambda: gate.asked > 0, "it is tried out")
    kill(made.daemon)
    waiting.join()
    assert len(made.lease_ids()) == 1
    gate.is_shut = False
    made.daemon.start()
    until(lambda: not made.lease_ids(), "the next start has revoked it")
    assert made.logs_in(get(made))


def test_no_password_is_told_and_a_missing_field_is(with_ledger, gate):  # noqa: F811
    made = with_ledger(verify={"http": f"{gate.address}/", "headers": {"X-Token": "${token}"}, "timeout": "1s"})
    done = ask(made)
    assert done.returncode == 7
    assert "the credential has no field `token`" in done.stderr
    assert gate.asked == 0
    gate.is_shut = True
    other = with_ledger(verify=by(gate, timeout="1s"))
    done = ask(other)
    assert "answered 401" in done.stderr
    told = done.stderr + json.dumps(other.daemon.records()) + json.dumps(list(other.daemon.log_lines()))
    assert gate.names[0] not in done.stderr
    assert "Basic " not in told


LOGIN = """#!/usr/bin/python3
import json, os, subprocess, sys
fields = json.load(sys.stdin)
done = subprocess.run(["psql", "--no-psqlrc", "--no-password", "-qAt", "-h", "127.0.0.1", "-p", sys.argv[1], "-U", fields["username"], "-d", "postgres",
                       "-c", "SELECT 1"], env={"PGPASSWORD": fields["password"], "PATH": os.environ["PATH"]}, capture_output=True, text=True)
print(os.environ["LEASED_ROLE"], done.stdout)
sys.exit("refused" if os.path.exists(sys.argv[2]) else done.returncode)
"""


@pytest.fixture
def login(world):
    """A program that logs in with what it gets, and a file that has it refuse."""
    folder = tempfile.mkdtemp(prefix="verify-", dir=world.folder)
    os.chmod(folder, 0o755)
    path = f"{folder}/login"
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o755), "w", encoding="utf-8") as f:
        f.write(LOGIN)
    return [path, str(world.postgres.port), f"{folder}/shut"]


def test_a_program_tries_it_out(with_ledger, login):  # noqa: F811
    made = with_ledger(verify={"exec": login, "timeout": "3s"})
    old = get(made)
    assert made.logs_in(old) and made.daemon.metric("leased_verify_total") == 1
    with open(login[2], "w", encoding="utf-8"):
        pass
    done = made.daemon.lease(CONSUMER, "rotate", old["lease"])
    assert done.returncode != 0 and "the program exited with 1" in done.stderr and "refused" not in done.stderr
    assert get(made)["credential"] == old["credential"] and made.logs_in(old)
    os.unlink(login[2])
    until(lambda: get(made)["credential"] != old["credential"], "it was asked for, so it is tried again")
    until(lambda: not made.logs_in(old), "the old one is dead")


def test_another_program_needs_a_restart(with_ledger, login):  # noqa: F811
    made = with_ledger({"policies": {"rules": EVERYBODY, "admins": ADMINS}}, verify={"exec": login})
    done = reload(made.daemon, changed(made, lambda c: c["roles"][made.role].update(verify={"exec": ["/bin/true"]})))
    assert done.returncode != 0 and "can't be added or changed without a restart" in done.stdout + done.stderr
    assert made.logs_in(get(made))
