"""Service accounts' tokens against a strict API server, used by kubectl: whose they are, how they end, and what goes wrong."""
import base64
import calendar
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

import pytest
from conftest import CONSUMER
from cryptography.hazmat.primitives.asymmetric import rsa
from logins import Pki
from servers import clean_environment, give_to, until
from strict_kubernetes import Kubernetes
from test_ledger import kill

OWN_TOKEN = "own-token-of-leased"
RUNNER = {"namespace": "team-a", "service_account": "runner"}
ROLES = {
    "plain": {**RUNNER, "ttl": "15m"},
    "for-vault": {**RUNNER, "audiences": ["vault"]},
    "pod": {**RUNNER, "bound_object": {"kind": "Pod", "name": "web-0", "uid": "pod-uid"}},
    "other-pod": {**RUNNER, "bound_object": {"kind": "Pod", "name": "web-0", "uid": "another"}},
    "revocable": {**RUNNER, "revoke": "bound-secret"},
    "missing": {"namespace": "team-a", "service_account": "nobody"},
    "elsewhere": {"namespace": "team-b", "service_account": "runner"},
}
FAULTS = [
    {"status": 201, "body": b"<html>"}, {"status": 201, "body": b'{"status":{"token":"x"'}, {"status": 200, "body": b"[" * 100000},
    {"status": 403, "body": b"<html>log in first</html>"}, {"status": 500, "body": b""}, {"pause_s": 3},
]
ROLES |= {f"fault-{i}": RUNNER for i in range(len(FAULTS))}
RULES = [{"subjects": [{"user": CONSUMER}], "roles": ["*"], "limits": {"binding": ["none", "parent", "process"]}}]
needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is missing: run scripts/setup --test")


class Cluster:
    """The API server, and a leased with a role for each of ROLES."""

    def __init__(self, start, keys, login=None, config=None, **limits):
        self.pki, key = keys
        self.folder = self.pki.folder
        self.server = Kubernetes(self.pki, key, OWN_TOKEN)
        self.token_file = f"{self.folder}/token"
        self.write_token(OWN_TOKEN)
        if login == "certificate":
            login = {"auth": "certificate", "cert_file": self.pki.client, "key_file": self.pki.client_key}
        backend = {"plugin": "kubernetes", "address": self.server.address, "ca_file": self.pki.ca, "health_interval": "1h",
                   "limits": {"timeout": "2s", **limits}, **(login or {"token_file": self.token_file})}
        roles = {name: {"backend": "cluster", "binding": "none", **role} for name, role in ROLES.items()}
        self.daemon = start(roles, RULES, backends={"cluster": backend}, **(config or {}))

    def write_token(self, text):
        """As the kubelet does: another file in its place."""
        with open(f"{self.token_file}.new", "w", encoding="utf-8") as f:
            f.write(f"{text}\n")
        os.chmod(f"{self.token_file}.new", 0o400)
        give_to(f"{self.token_file}.new", "leased")
        os.rename(f"{self.token_file}.new", self.token_file)

    def ask(self, role, *options):
        return self.daemon.lease(CONSUMER, "get", role, "-o", "json", "--bind", "none", *options)

    def get(self, role):
        done = self.ask(role, "--wait", "20s")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def kubectl(self, credential, *words):
        """(whether it went well, what it said)"""
        path = f"{self.folder}/kubeconfig"
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "c", "preferences": {},
                  "clusters": [{"name": "c", "cluster": {"server": self.server.address, "certificate-authority": self.pki.ca}}],
                  "users": [{"name": "u", "user": {"token": credential["credential"]["token"]}}],
                  "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}]}
        with open(path, "w", encoding="utf-8") as f:
            json.dump(config, f)
        done = subprocess.run(["kubectl", *words], capture_output=True, text=True, check=False, timeout=60,
                              env={**clean_environment(), "HOME": self.folder, "KUBECONFIG": path})
        return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def keys(world):
    """A CA with its certificates, and the key that tokens are signed with."""
    folder = tempfile.mkdtemp(prefix="kubernetes-", dir=world.folder)
    os.chmod(folder, 0o755)
    return Pki(folder), rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def cluster(keys, start):
    """cluster(login, config, **limits): a Cluster; ends with the test."""
    made = []

    def maker(*args, **options):
        made.append(Cluster(start, keys, *args, **options))
        return made[-1]

    yield maker
    for it in made:
        it.server.close()


def claims_of(credential):
    part = credential["credential"]["token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@needs_kubectl
def test_kubectl_works_with_a_token_for_its_life(cluster):
    it = cluster()
    credential = it.get("plain")
    fields = credential["credential"]
    assert fields["namespace"] == "team-a" and fields["service_account"] == "runner"
    assert not credential["renewable"] and not credential["revocable"]
    is_good, output = it.kubectl(credential, "get", "pods")
    assert is_good and "web-0" in output, output
    is_good, output = it.kubectl(credential, "get", "--raw", "/api/v1/namespaces/team-b/pods")
    assert not is_good and "forbidden" in output.lower(), output
    claims = claims_of(credential)
    assert claims["exp"] - claims["iat"] == 900
    it.server.clock_off_s = 1000
    is_good, output = it.kubectl(credential, "get", "pods")
    assert not is_good and "Unauthorized" in output, output


@needs_kubectl
def test_a_token_that_is_bound_to_a_secret_ends_with_it(cluster):
    it = cluster()
    credential = it.get("revocable")
    assert credential["revocable"] and not credential["renewable"]
    (_, name), secret = next(iter(it.server.secrets.items()))
    assert name.startswith("leased-") and secret["labels"] == {"app.kubernetes.io/managed-by": "leased"}
    assert secret["annotations"]["leased/user"] == CONSUMER
    is_good, output = it.kubectl(credential, "get", "pods")
    assert is_good, output
    done = it.daemon.lease(CONSUMER, "revoke", credential["lease"])
    assert done.returncode == 0, done.stderr
    assert not it.server.secrets
    is_good, output = it.kubectl(credential, "get", "pods")
    assert not is_good and "Unauthorized" in output, output
    told = json.dumps(it.daemon.records()) + it.daemon.log_lines()
    assert credential["credential"]["token"] not in told and OWN_TOKEN not in told


@needs_kubectl
def test_what_a_kubeconfig_holds_can_be_taken_out_of_it(cluster):
    """The commands of the plugin's README."""
    it = cluster()
    path, raw = f"{it.folder}/admin", ["kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o"]
    environment = {**clean_environment(), "HOME": it.folder, "KUBECONFIG": path}
    for words in (["set-cluster", "c", f"--server={it.server.address}", f"--certificate-authority={it.pki.ca}", "--embed-certs"],
                  ["set-credentials", "u", f"--token={OWN_TOKEN}"], ["set-context", "c", "--cluster=c", "--user=u"], ["use-context", "c"]):
        subprocess.run(["kubectl", "config", *words], check=True, capture_output=True, env=environment)

    def taken(what):
        return subprocess.run([*raw, f"jsonpath={{{what}}}"], check=True, capture_output=True, text=True, env=environment).stdout
    assert taken(".clusters[0].cluster.server") == it.server.address
    assert taken(".users[0].user.token") == OWN_TOKEN
    with open(it.pki.ca, encoding="utf-8") as f:
        assert base64.b64decode(taken(".clusters[0].cluster.certificate-authority-data")).decode() == f.read()


def test_leased_may_be_known_by_its_certificate(cluster):
    it = cluster("certificate")
    assert claims_of(it.get("plain"))["sub"] == "system:serviceaccount:team-a:runner"


def test_audiences_and_bound_objects_are_asked_for(cluster):
    it = cluster()
    assert claims_of(it.get("for-vault"))["aud"] == ["vault"]
    assert claims_of(it.get("pod"))["kubernetes.io"]["pod"] == {"name": "web-0", "uid": "pod-uid"}


def test_a_server_that_grants_less_is_believed(cluster):
    it = cluster()
    it.server.lifetime_max_s = 700
    credential = it.get("for-vault")
    claims = claims_of(credential)
    assert claims["exp"] - claims["iat"] == 700
    assert credential["credential"]["expires_at"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claims["exp"]))


def test_what_the_server_refuses_is_explained(cluster):
    it = cluster()
    for role, words in {"missing": 'serviceaccounts "nobody" not found (are the namespace',
                        "elsewhere": 'cannot create resource "serviceaccounts/token"',
                        "other-pod": "409 Conflict: the UID in the bound object reference does not match"}.items():
        done = it.ask(role)
        assert done.returncode != 0
        assert words in done.stderr


def test_an_own_token_that_has_expired_is_read_anew(cluster):
    it = cluster()
    it.write_token("an-expired-one")
    done = it.ask("plain")
    assert done.returncode == 7 and "it doesn't accept leased's own token" in done.stderr
    it.write_token(OWN_TOKEN)
    assert it.get("plain")


def test_clocks_may_differ(cluster):
    it = cluster()
    for role, off_s in {"plain": -600, "for-vault": 600}.items():
        it.server.clock_off_s = off_s
        credential = it.get(role)
        left_s = calendar.timegm(time.strptime(credential["expires_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.time()
        claims = claims_of(credential)
        assert abs(left_s - (claims["exp"] - claims["iat"])) < 50, "by our clock, too"


def test_who_is_throttled_waits(cluster):
    it = cluster()
    it.server.faults.append({"on": "/token", "status": 429, "headers": {"Retry-After": "2"}, "body": b""})
    began = time.monotonic()
    assert it.get("plain")
    assert time.monotonic() - began >= 2


def test_faults_pass(cluster):
    it = cluster(timeout="1s")
    for i, fault in enumerate(FAULTS):
        it.server.faults.append({"on": "/token", **fault})
        assert it.get(f"fault-{i}")


def test_a_token_that_fails_takes_its_secret_along(cluster):
    it = cluster()
    it.server.faults.append({"on": "/token", "status": 403, "body": b'{"kind":"Status","reason":"Forbidden","message":"no"}'})
    assert it.ask("revocable").returncode == 7
    assert it.server.count("POST", "/api/v1/namespaces/team-a/secrets") == 1
    until(lambda: not it.server.secrets, "the Secret is deleted")


def test_while_the_server_is_down_nothing_hangs(cluster):
    it = cluster()
    it.server.close()
    began = time.monotonic()
    done = it.ask("plain")
    assert done.returncode == 7 and "connect" in done.stderr
    assert time.monotonic() - began < 15


def test_a_kill_in_between_leaves_no_secret(cluster, world):
    folder = tempfile.mkdtemp(prefix="ledger-", dir=world.folder)
    give_to(folder, "leased")
    it = cluster(config={"state": {"ledger": {"sqlite": f"{folder}/ledger.db"}}})
    it.server.faults.append({"on": "/token", "pause_s": 1.5})
    waiting = threading.Thread(target=it.ask, args=("revocable",))
    waiting.start()
    until(lambda: it.server.secrets and not it.server.faults, "the Secret is made, and the token asked for")
    kill(it.daemon)
    waiting.join()
    assert len(it.server.secrets) == 1
    it.daemon.start()
    until(lambda: not it.server.secrets, "the next start has deleted it")
