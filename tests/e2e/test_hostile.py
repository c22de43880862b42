"""Hostile clients, and an issuer over HTTP/2, against the whole daemon."""
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from conftest import CONSUMER, STRANGER, needs_root
from servers import Bao, Failed, as_user, clean_environment, until

CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile_client.py")
EVERYBODY = [{"name": "everybody", "subjects": [{"user": "*"}], "roles": ["*"], "limits": {"binding": ["connection", "none"]}}]


@pytest.fixture
def client(world):
    """client(daemon, user, act, *arguments): a hostile_client.py that is still running. The tree may lie where users can't go."""
    program = shutil.copy(CLIENT, f"{world.folder}/bin/hostile_client.py")
    os.chmod(program, 0o755)
    started = []

    def starter(daemon, user, act, *arguments):
        started.append(subprocess.Popen([*as_user(user), "python3", program, act, daemon.socket, *map(str, arguments)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment(), cwd="/"))
        return started[-1]

    yield starter
    for it in started:
        it.kill()
        it.wait()
        for pipe in (it.stdin, it.stdout):
            pipe.close()


def asked_paths(world, offset):
    """What bao was asked for since its audit trail had `offset` bytes."""
    with open(world.bao.audit_path, encoding="utf-8") as f:
        f.seek(offset)
        return {json.loads(line)["request"]["path"] for line in f}


def tricks(role):
    """Targets that somebody between client and issuer might understand as another path."""
    below = ["../../sys/raw", "..%2f..%2fsys%2fraw", "%2e%2e/%2e%2e/sys/raw", "%252e%252e/sys/raw", "..;/sys/raw", "..\\..\\sys\\raw",
             "./..//../sys/raw", "....//....//sys/raw", "%c0%ae%c0%ae/sys/raw", "\xc0\xae\xc0\xae/sys/raw", "\xef\xbc\x8e\xef\xbc\x8e/sys/raw",
             "\xe2\x80\xae/sys/raw", f"{role}%00", f"{role}%00/../../sys/raw", f"{role}%0d%0aX-Vault-Token:%20x", f"{role}/", f"{role}//",
             f"{role}/.", f"{role}/..", f"{role}/../{role}", f"/{role}", f"{role};x=y", f"{role}%3fa=b", f"{role}#x", f"{role}%23", f"{role}.",
             f"{role} ", f"{role}%20", f"{role}\t", role.upper(), f"{role}*", f"{role}?reason=../../sys/raw&wait=0&role=x", "*", "%2a", "sys/raw",
             "v1/sys/raw", "${reason}", "a" * 900, "\xff\xfe", "\x01", "%", "%zz", "%u002e%u002e"]
    return [f"/leased/v1/credentials/{it}" for it in below] + [
        f"//leased/v1/credentials/{role}", f"/leased//v1/credentials/{role}", f"/leased/v1/../v1/credentials/{role}", f"/LEASED/v1/credentials/{role}",
        f"http://localhost/leased/v1/credentials/{role}", f"/leased/v1/credentials\\{role}", f"\\leased\\v1\\credentials\\{role}",
        f"/leased/v1%2fcredentials%2f{role}", f"/v1/database/creds/{role}", "/v1/sys/raw", f"leased/v1/credentials/{role}", "*", ""]


def test_tricks_with_paths_reach_configured_paths_only(orders, world, client):
    made = orders(rules=EVERYBODY, binding="none")
    offset = os.path.getsize(world.bao.audit_path)
    corpus = tricks(made.role)
    it = client(made.daemon, CONSUMER, "targets")
    answers = json.loads(it.communicate(json.dumps(corpus), timeout=60)[0])
    assert len(answers) == len(corpus) > 50
    for target, (status, body) in zip(corpus, answers):
        assert status in (0, 400, 403, 404, 414), (target, status)
        assert "password" not in body, target
    allowed = {made.path, "auth/approle/login", "auth/token/lookup-self", "auth/token/renew-self", "sys/capabilities-self", "sys/health", "sys/leases/renew",
               "sys/leases/revoke", "sys/leases/lookup", f"sys/leases/lookup/{made.path}"}
    assert asked_paths(world, offset) <= allowed
    assert made.world.bao.requests(made.path) == 0


def without_ids(answer, identifier):
    """Head and problem document, byte for byte but for what can't be the same twice."""
    head, body = answer.replace("\r", "").split("\n\n", 1)
    lines = [line for line in head.split("\n") if not line.lower().startswith(("date:", "content-length:"))]
    return "\n".join([*lines, body]).replace(json.loads(body)["request"], "REQUEST").replace(identifier, "ID")


@needs_root
def test_an_id_of_somebody_else_is_as_good_as_none(orders, shell):
    made = orders(rules=EVERYBODY)
    mine = shell(made.daemon).get(made.role)
    other = shell(made.daemon, STRANGER)

    def ask(method, path):
        code, output = other.run(f"curl -si -w '\\n%{{http_code}}' -X {method} --unix-socket {made.daemon.socket} -H 'X-Leased-Request: 1' "
                                 f"http://localhost/leased/v1/{path}; echo")
        assert code == 0
        return output.rstrip().rsplit("\n", 1)

    for kind, methods in (("lease", ("GET leases/{}", "DELETE leases/{}", "POST leases/{}/renew", "POST leases/{}/rotate")),
                          ("grant", ("GET grants/{}", "DELETE grants/{}"))):
        known, unknown = mine[kind], f"{mine[kind][:-4]}0000"
        assert known != unknown
        for line in methods:
            method, path = line.split()
            theirs, none = ask(method, path.format(known)), ask(method, path.format(unknown))
            assert (theirs[1], none[1]) == ("404", "404"), line
            assert without_ids(theirs[0], known) == without_ids(none[0], unknown), line
    assert made.logs_in(mine)


@needs_root
def test_two_users_of_a_role_share_a_credential_only_where_it_says_so(orders, shell):
    own, shared = orders(rules=EVERYBODY, share="identity"), orders(rules=EVERYBODY, share="role")
    passwords = {made.role: {shell(made.daemon, user).get(made.role)["credential"]["password"] for user in (CONSUMER, STRANGER)}
                 for made in (own, shared)}
    assert len(passwords[own.role]) == 2
    assert len(passwords[shared.role]) == 1


def test_credentials_whose_answers_find_nobody_are_revoked(orders, world, client):
    made = orders(rules=EVERYBODY, binding="none")
    world.bao.send(signal.SIGSTOP)  # so that they are asked for before they can be answered
    try:
        it = client(made.daemon, CONSUMER, "walk-away", f"/leased/v1/credentials/{made.role}", 8)
        assert json.loads(it.communicate(timeout=60)[0]) == 8
    finally:
        world.bao.send(signal.SIGCONT)
    until(lambda: made.daemon.lease("root", "status", "--ready").returncode == 0, "leased is ready")
    # Whether each was still asked for or given up before: nothing of it lives on.
    until(lambda: len(made.events("lease.issued")) == len(made.events("lease.revoked")) and not made.lease_ids(), "nothing lives on", 30)
    created, ended = made.events("grant.created"), made.events("grant.ended")
    assert {r["grant"] for r in created} == {r["grant"] for r in ended}


def test_a_credential_that_nobody_reads_is_revoked(orders, client):
    made = orders(rules=EVERYBODY, binding="none", config={"limits": {"stop_timeout": "10s", "write_timeout": "1s"}})
    it = client(made.daemon, CONSUMER, "stop-reading", f"/leased/v1/credentials/{made.role}")
    fitting, came, answers = json.loads(it.communicate(timeout=120)[0])
    assert came == fitting and "password" not in answers
    until(lambda: made.events("lease.revoked") and not made.lease_ids(), "the credential is revoked")
    issued, ended = made.events("lease.issued"), made.events("grant.ended")
    assert len(issued) == len(ended) == 1 and ended[0]["outcome"] == "undelivered"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_few_descriptors_make_nobody_spin_and_service_comes_back(orders, client):
    made = orders(rules=EVERYBODY, binding="none", config={"prefix": ["prlimit", "--nofile=64"]})
    pid = made.daemon.process.pid
    it = client(made.daemon, CONSUMER, "hold", 200)
    assert int(it.stdout.readline()) > 0
    before = cpu_seconds(pid)
    end = time.monotonic() + 2  # a stretch in which it has nothing to do
    until(lambda: time.monotonic() > end, "two seconds are over")
    assert cpu_seconds(pid) - before < 0.1
    it.stdin.close()
    it.wait(60)
    until(lambda: made.daemon.lease(CONSUMER, "get", made.role, "--bind", "none").returncode == 0, "service is back", 20)


def test_as_many_descriptors_as_it_may_have_are_had(orders):
    made = orders(rules=EVERYBODY, binding="none", config={"prefix": ["prlimit", "--nofile=64:16384"], "limits": {"clients": 200}})
    with open(f"/proc/{made.daemon.process.pid}/limits", encoding="utf-8") as f:
        limit = next(line.split() for line in f if line.startswith("Max open files"))
    assert int(limit[3]) > 400 and int(limit[4]) == 16384
    assert "listener.clients.reduced" not in made.daemon.log_lines()


@needs_root
def test_few_descriptors_are_not_one_users_alone(orders, client):
    made = orders(rules=EVERYBODY, binding="none", config={"prefix": ["prlimit", "--nofile=256"]})
    assert "listener.clients.reduced" in made.daemon.log_lines()
    it = client(made.daemon, STRANGER, "hold", 250)
    assert int(it.stdout.readline()) > 0
    until(lambda: made.daemon.lease(CONSUMER, "get", made.role, "--bind", "none").returncode == 0, "another user is served")
    assert made.daemon.lease("root", "status").returncode == 0


@needs_root
def test_a_flood_of_connections_leaves_the_others_served(orders, client):
    # Thousands of connects by one user, which come back as fast as they are refused; meanwhile another asks again and again.
    made = orders(rules=EVERYBODY, binding="none")
    it = client(made.daemon, STRANGER, "flood", 5000)
    assert it.stdout.readline() == "begun\n"
    served = 0
    while it.poll() is None or served < 3:
        assert made.daemon.lease(CONSUMER, "get", made.role, "--bind", "none").returncode == 0
        served += 1
    refused, held = json.loads(it.stdout.readline())
    assert held == 256 and refused == 5000 - held


@needs_root
def test_a_flood_for_leases_leaves_the_others_their_share(start, world, client):
    # One user asks for a hundred while bao is frozen, then nine others for one each; two can be under way at once.
    world.bao.database_role("flood")
    backend = {"plugin": "vault", "address": world.bao.address, "limits": {"in_flight": 2}, "auth": {
        "method": "approle", "role_id_file": world.bao.role_id_file, "secret_id_file": world.bao.secret_id_file}}
    daemon = start({"flood": {"backend": "bao", "path": "database/creds/flood"}}, EVERYBODY, backends={"bao": backend})
    target = "/leased/v1/credentials/flood?binding=connection"
    world.bao.send(signal.SIGSTOP)
    try:
        asking = [client(daemon, STRANGER, "burst", target, 100)]
        assert asking[0].stdout.readline() == "sent\n"
        asking += [client(daemon, f"ci-honest-{i}", "burst", target, 1) for i in range(9)]
        for it in asking[1:]:
            assert it.stdout.readline() == "sent\n"
        assert daemon.lease("root", "status").returncode == 0  # what came before it was read before it
    finally:
        world.bao.send(signal.SIGCONT)
    for it in asking[1:]:
        assert json.loads(it.stdout.readline()) == {"200": 1}
    assert sum(json.loads(asking[0].stdout.readline()).values()) == 100
    users = [r["identity"]["user"] for r in daemon.records() if r["event"] == "credential.read"]
    last = max(i for i, user in enumerate(users) if user != STRANGER)
    assert last < 40, users
    for it in asking:
        it.stdin.close()
    until(lambda: not world.bao.lease_ids("flood"), "everything is revoked", 60)


class TlsBao(Bao):
    """A server with a certificate of its own, which speaks HTTP/2."""

    def __init__(self, folder, program):
        os.mkdir(folder, 0o755)
        super().__init__(folder, program)
        self.address = f"https://127.0.0.1:{self.port}"
        self.ca_file = f"{folder}/vault-ca.pem"

    def spawn(self, command, **options):
        super().spawn([*command, "-dev-tls", f"-dev-tls-cert-dir={self.folder}"], **options)

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"{self.address}/v1/{path}", method=method, headers={"X-Vault-Token": self.root_token},
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=60, context=ssl.create_default_context(cafile=self.ca_file)) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            if error.code == 404 and method == "LIST":
                return {"data": {"keys": []}}
            raise Failed(f"bao: {method} {path}: {error.code} {error.read().decode()}") from None

    def ports(self, path):
        """The callers' ports of the requests for a path."""
        with open(self.audit_path, encoding="utf-8") as f:
            records = [json.loads(line) for line in f]
        return [r["request"]["remote_port"] for r in records if r["type"] == "request" and r["request"]["path"] == path]


@pytest.fixture
def tls_bao(world):
    it = TlsBao(f"{world.folder}/tls-bao", world.bao.program)
    it.start()
    try:
        it.await_ready(it.ready)
        it.set_up(world.postgres)
        yield it
    finally:
        it.stop()
        shutil.rmtree(it.folder)


def test_over_http_2_what_is_created_has_connections_of_its_own(tls_bao, start, client):
    tls_bao.database_role("orders")
    daemon = start({"orders": {"backend": "tls", "path": "database/creds/orders"}}, EVERYBODY, backends={
        "tls": {"plugin": "vault", "address": tls_bao.address, "ca_file": tls_bao.ca_file, "health_interval": "1s", "auth": {
            "method": "approle", "role_id_file": tls_bao.role_id_file, "secret_id_file": tls_bao.secret_id_file}}})
    it = client(daemon, CONSUMER, "burst", "/leased/v1/credentials/orders?binding=connection", 8)
    assert it.stdout.readline() == "sent\n"
    assert json.loads(it.stdout.readline()) == {"200": 8}
    leases = [r["lease"] for r in daemon.records() if r["event"] == "lease.issued"]
    for lease in leases:
        assert daemon.lease(CONSUMER, "renew", lease).returncode == 0
    created, renewed = tls_bao.ports("database/creds/orders"), tls_bao.ports("sys/leases/renew")
    assert len(created) == len(set(created)) == len(leases) == 8
    assert len(renewed) == 8 and len(set(renewed)) == 1
    assert not set(created) & set(renewed)
    it.stdin.close()
    until(lambda: not tls_bao.lease_ids("orders"), "everything is revoked")
