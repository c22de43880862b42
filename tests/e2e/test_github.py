"""A GitHub App's tokens for the time of a job, against a strict verifier of GitHub's API: scopes, ends, and what goes wrong."""
import base64
import calendar
import glob
import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest
from conftest import CONSUMER
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from servers import as_user, give_to, until
from strict_github import GitHub
from test_ledger import kill

APP_ID = 4711
ROLES = {
    "app": {"owner": "acme", "repositories": ["app"], "permissions": {"contents": "read"}},
    "by-repository": {"owner": "acme/app", "repository_ids": [2]},
    "everything": {"installation_id": 42},
    "too-much": {"installation_id": 42, "permissions": {"contents": "admin"}},
    "elsewhere": {"installation_id": 42, "repositories": ["${identity.user}"]},
    "unknown": {"owner": "nobody"},
    "suspended": {"installation_id": 43},
}
GARBAGE = [b"<html>", b'{"token":"x"', b'{"token":17}', b"[" * 100000, b""]
ROLES |= {f"garbage-{i}": ROLES["app"] for i in range(len(GARBAGE))}
INSTALLATIONS = {
    42: {"owner": "acme", "repositories": {"app": 1, "lib": 2}, "permissions": {"contents": "write", "issues": "read"}},
    43: {"owner": "beta", "repositories": {}, "permissions": {}, "suspended": "2026-01-01T00:00:00Z"},
}
KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


class World:
    """The verifier, the app's private key in a file, and a leased with a role for each of ROLES."""

    def __init__(self, world, start, config=None, **limits):
        self.path = f"{world.folder}/github-{id(self)}.pem"
        self.write_key(KEY)
        self.github = GitHub(APP_ID, KEY.public_key(), INSTALLATIONS)
        backend = {"plugin": "github", "address": self.github.address, "app_id": APP_ID, "private_key_file": self.path,
                   "health_interval": "1h", "limits": {"timeout": "2s", **limits}}
        self.daemon = start({name: {"backend": "github", **role} for name, role in ROLES.items()}, backends={"github": backend},
                            **(config or {}))

    def write_key(self, key):
        with open(self.path, "wb") as f:
            f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                      serialization.NoEncryption()))
        give_to(self.path, "leased")
        os.chmod(self.path, 0o400)

    def get(self, role, *options):
        return self.daemon.lease(CONSUMER, "get", role, "-o", "json", "--bind", "none", *options)

    def token(self, role):
        """One of a grant of its own; `lease get` gives a caller what he has already."""
        done = subprocess.run([*as_user(CONSUMER), "curl", "-sSf", "--unix-socket", self.daemon.socket, "-H", "X-Leased-Request: 1", "-d",
                               json.dumps({"role": role, "binding": "none"}), "http://localhost/leased/v1/leases"],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["credential"]["token"]

    def reads(self, token, repository, kind="Bearer"):
        """The status that reading a repository's contents has with this token."""
        value = token if kind == "Bearer" else base64.b64encode(f"x-access-token:{token}".encode()).decode()
        request = urllib.request.Request(f"{self.github.address}/repos/{repository}/contents",
                                         headers={"Authorization": f"{kind} {value}", "User-Agent": "job"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture
def made(world, start):
    """made(**limits): a World; ends with the test."""
    worlds = []

    def maker(**options):
        rules = [{"subjects": [{"user": CONSUMER}], "roles": ["*"], "limits": {"binding": ["none", "parent", "process"]}}]
        worlds.append(World(world, lambda roles, **changes: start(roles, rules, **changes), **options))
        return worlds[-1]

    yield maker
    for it in worlds:
        it.github.close()


def test_a_job_gets_what_its_role_says_and_its_token_dies_with_it(made, shell):
    it = made()
    job = shell(it.daemon)
    credential = job.get("app")
    token = credential["credential"]["token"]
    assert credential["credential"]["username"] == "x-access-token"
    assert len(token) > 400, "GitHub's longer form"
    assert credential["revocable"] and not credential["renewable"]
    assert it.reads(token, "acme/app") == 200
    assert it.reads(token, "acme/app", "Basic") == 200, "as git uses it"
    assert it.reads(token, "acme/lib") == 404, "only what the role names"
    assert it.github.tokens[token]["permissions"] == {"metadata": "read", "contents": "read"}
    job.end()
    until(lambda: it.reads(token, "acme/app") == 401, "the token is refused")
    assert it.github.revoked == [token]
    until(lambda: any(record["event"] == "lease.revoked" for record in it.daemon.records()), "it is on record")
    assert token not in json.dumps(it.daemon.records()) + it.daemon.log_lines()


def test_a_token_outlives_a_kill_sealed_and_is_revoked_after_it(made, world):
    folder = tempfile.mkdtemp(prefix="ledger-", dir=world.folder)
    give_to(folder, "leased")
    it = made(config={"state": {"ledger": {"sqlite": f"{folder}/ledger.db"}}})
    done = it.get("app")
    assert done.returncode == 0, done.stderr
    credential = json.loads(done.stdout)
    token = credential["credential"]["token"]
    kill(it.daemon)
    held = b"".join(open(path, "rb").read() for path in glob.glob(f"{folder}/*"))
    assert b"#github 42/" in held and token.encode() not in held
    dumped = it.daemon.lease("leased", "ledger", "dump", f"{folder}/ledger.db", "-o", "json")
    assert credential["lease"] in dumped.stdout and token not in dumped.stdout
    it.daemon.start()
    assert it.reads(token, "acme/app") == 200
    done = it.daemon.lease(CONSUMER, "revoke", credential["lease"])
    assert done.returncode == 0, done.stderr
    assert it.reads(token, "acme/app") == 401


def test_installations_are_found_by_their_owner_once(made):
    it = made()
    for _ in range(3):
        assert it.reads(it.token("app"), "acme/app") == 200
    assert it.reads(it.token("by-repository"), "acme/lib") == 200
    assert it.reads(it.token("everything"), "acme/lib") == 200
    assert it.github.count("GET", "/api/v3/users/acme/installation") == 1
    assert it.github.count("GET", "/api/v3/repos/acme/app/installation") == 1
    assert len(set(it.github.minted)) == 5


def test_what_github_refuses_is_explained(made):
    it = made()
    for role, code, words in (
            ("too-much", 1, "The permissions requested are not granted to this installation. (a token can't have more"),
            ("elsewhere", 1, "There is at least one repository that does not exist"),
            ("unknown", 1, "Not Found (is the app installed there"),
            ("suspended", 7, "This installation has been suspended")):
        done = it.get(role)
        assert words in done.stderr
        assert done.returncode == code
    assert not it.github.minted


def test_a_key_of_another_app_is_refused_and_a_new_file_counts_at_once(made):
    it = made()
    it.write_key(OTHER_KEY)
    done = it.get("app")
    assert done.returncode == 7 and "is the private key one of this app_id's app?" in done.stderr
    it.write_key(KEY)
    done = it.get("app", "--wait", "30s")
    assert done.returncode == 0, done.stderr


def test_a_clock_that_is_ten_minutes_off_is_corrected(made):
    it = made()
    for role, off_s in {"app": -600, "everything": 600}.items():
        it.github.clock_off_s = off_s
        done = it.get(role)
        assert done.returncode == 0, done.stderr
        credential = json.loads(done.stdout)
        left_s = calendar.timegm(time.strptime(credential["expires_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.time()
        assert 3500 < left_s <= 3600, "an hour from now by our clock, too"
        assert it.reads(credential["credential"]["token"], "acme/app") == 200


def test_who_is_throttled_waits(made):
    it = made()
    it.github.faults.append({"on": "access_tokens", "status": 403, "headers": {"Retry-After": "2"},
                             "body": b'{"message":"You have exceeded a secondary rate limit."}'})
    began = time.monotonic()
    done = it.get("app", "--wait", "30s")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began >= 2


def test_garbage_is_no_token(made):
    it = made()
    for i, body in enumerate(GARBAGE):
        it.github.faults.append({"on": "access_tokens", "status": 201, "body": body})
        done = it.get(f"garbage-{i}")
        assert done.returncode == 7 and "holds no token" in done.stderr, done.stderr
    assert it.reads(it.token("app"), "acme/app") == 200


def test_what_is_slow_is_given_up_and_not_asked_for_twice(made):
    it = made(timeout="1s")
    it.github.faults.append({"on": "access_tokens", "pause_s": 3})
    done = it.get("app")
    assert done.returncode == 7 and "a credential may have been issued" in done.stderr
    until(lambda: len(it.github.minted) == 1, "the slow answer was made")
    assert it.reads(it.token("app"), "acme/app") == 200


def test_while_github_is_down_nothing_hangs(made):
    it = made()
    it.github.close()
    began = time.monotonic()
    done = it.get("app")
    assert done.returncode == 7, done.stderr
    assert time.monotonic() - began < 15
    assert "connect" in done.stderr
