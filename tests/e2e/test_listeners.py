"""Callers over TCP: who they are, and what they may be given."""
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile

import pytest

from conftest import CONSUMER, STRANGER, needs_root
from servers import free_port, give_to, until


def tcp_daemon(orders, config=None, **role):
    """(Orders, port): a leased with a listener on loopback TCP beside its socket."""
    port = free_port()
    listener = {"name": "tcp", "tcp": f"127.0.0.1:{port}"}
    return orders(config={"more_listeners": [listener], **(config or {})}, **role), port


def ask(shell, port, path, options=""):
    """(status, JSON) of what curl gets over loopback TCP."""
    code, output = shell.run(f"curl -s -w '\\n%{{http_code}}' -H 'X-Leased-Request: 1' {options} "
                             f"'http://127.0.0.1:{port}/leased/v1/{path}'; echo")
    assert code == 0
    body, status = output.rstrip().rsplit("\n", 1)
    return int(status), json.loads(body)


def test_a_caller_on_loopback_tcp_is_known_by_its_uid(orders, shell):
    made, port = tcp_daemon(orders, binding="none")
    status, answer = ask(shell(made.daemon), port, f"credentials/{made.role}")
    assert status == 200, answer
    assert made.logs_in(answer)
    created = made.events("grant.created")[0]
    assert created["listener"] == "tcp"
    assert created["identity"]["user"] == CONSUMER
    assert "pid" not in created["identity"] and "unit" not in created["identity"]


@needs_root
def test_another_user_on_loopback_tcp_is_denied(orders, shell):
    made, port = tcp_daemon(orders, binding="none")
    status, answer = ask(shell(made.daemon, STRANGER), port, f"credentials/{made.role}")
    assert (status, answer["code"]) == (403, "denied")
    assert STRANGER in answer["detail"]
    denied = until(lambda: made.events("grant.denied"), "it is on record")
    assert denied[0]["identity"]["user"] == STRANGER
    assert made.world.bao.requests(made.path) == 0


def test_over_tcp_no_process_can_be_bound_to_but_the_connection(orders, shell):
    made, port = tcp_daemon(orders)
    caller = shell(made.daemon)
    status, answer = ask(caller, port, f"credentials/{made.role}")
    assert (status, answer["code"]) == (409, "binding_unavailable")
    assert "binding=connection" in answer["hint"]
    assert made.world.bao.requests(made.path) == 0
    status, answer = ask(caller, port, f"credentials/{made.role}?binding=none")
    assert (status, answer["code"]) == (403, "limit_exceeded")
    status, answer = ask(caller, port, f"credentials/{made.role}?binding=connection")
    assert status == 200
    made.await_dead(answer)


def test_two_jobs_of_one_user_over_tcp_end_their_own_credentials_alone(orders, shell):
    made, port = tcp_daemon(orders, binding="none")
    caller = shell(made.daemon)
    run = f"LEASED_ADDR=http://127.0.0.1:{port} lease exec {made.role} --map username=U --map password=P -- sh -c"
    fifo = f"{made.world.folder}/{made.role}"
    os.mkfifo(fifo)
    give_to(fifo, CONSUMER)
    code, output = caller.run(f"{run} 'echo $U $P; exec sleep 600' > {fifo} & head -n 1 {fifo}")
    first = dict(zip(("username", "password"), output.split()))
    assert code == 0 and made.logs_in(first)
    assert caller.run(f"{run} true") == (0, "")
    until(lambda: made.events("grant.ended"), "the second's grant has ended")
    assert made.logs_in(first)
    caller.run("kill $!")
    made.await_dead(first)


@needs_root
def test_an_admin_is_none_over_loopback_tcp(orders, shell):
    rules = [{"name": "ci", "subjects": [{"user": CONSUMER}], "roles": ["*"]}]
    made, port = tcp_daemon(orders, {"policies": {"rules": rules, "admins": [{"subjects": [{"user": STRANGER}]}]}}, binding="none")
    status, answer = ask(shell(made.daemon), port, f"credentials/{made.role}")
    assert status == 200
    admin = shell(made.daemon, STRANGER)
    assert admin.run(f"lease show {answer['lease']}")[0] == 0
    assert ask(admin, port, f"leases/{answer['lease']}")[0] == 404


class Authority:
    """A certificate authority in a folder of its own; what it issues is readable by one user each."""

    def __init__(self, folder):
        self.folder, self.path, self.count = folder, f"{folder}/ca.pem", 0
        os.chmod(folder, 0o755)
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test CA",
                     "-days", "2", "-keyout", f"{self.folder}/ca.key", "-out", self.path)

    @staticmethod
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    def issue(self, names, usage, user, days=1):
        """(certificate, key): paths of files that `user` can read."""
        self.count += 1
        base = f"{self.folder}/{self.count}"
        with open(f"{base}.ext", "w", encoding="utf-8") as f:
            f.write(f"subjectAltName={names}\nextendedKeyUsage={usage}\n")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=issued",
                     "-keyout", f"{base}.key", "-out", f"{base}.csr")
        self.openssl("x509", "-req", "-in", f"{base}.csr", "-CA", self.path, "-CAkey", f"{self.folder}/ca.key", "-CAcreateserial",
                     "-days", str(days), "-extfile", f"{base}.ext", "-out", f"{base}.pem")
        give_to(f"{base}.key", user)
        os.chmod(f"{base}.key", 0o600)
        return f"{base}.pem", f"{base}.key"


class Remote:
    """A leased that listens with TLS, and what a client of it needs."""

    def __init__(self, orders, authority, **role):
        self.authority, self.port = authority, free_port()
        self.cert, self.key = authority.issue("DNS:localhost", "serverAuth", "leased")
        listener = {"name": "remote", "tcp": f"127.0.0.1:{self.port}",
                    "tls": {"cert_file": self.cert, "key_file": self.key, "client_ca_file": authority.path}}
        rules = [{"name": "ci", "subjects": [{"tls": {"san": "spiffe://acme/ci/*"}, "listener": "remote"}], "roles": ["*"]}]
        policies = {"rules": rules, "admins": [{"subjects": [{"user": "root"}]}]}
        self.made = orders(config={"more_listeners": [listener], "policies": policies}, **role)

    def environment(self, cert, key):
        return (f"LEASED_ADDR=https://localhost:{self.port} LEASED_CACERT={self.authority.path} "
                f"LEASED_CLIENT_CERT={cert} LEASED_CLIENT_KEY={key}")

    def curl(self, shell, path, options):
        return shell.run(f"curl -sS --cacert {self.authority.path} -w '%{{http_code}}' -o /dev/null -H 'X-Leased-Request: 1' {options} "
                         f"'https://localhost:{self.port}/leased/v1/{path}' 2>&1; echo")


@pytest.fixture
def authority(world):
    return Authority(tempfile.mkdtemp(prefix="ca-", dir=world.folder))


def test_a_certificate_gets_a_credential_with_lease_and_with_curl(orders, shell, authority):
    remote = Remote(orders, authority, binding="none")
    cert, key = authority.issue("URI:spiffe://acme/ci/7,DNS:runner.example", "clientAuth", CONSUMER)
    made, caller = remote.made, shell(remote.made.daemon)
    code, output = caller.run(f"{remote.environment(cert, key)} lease get {made.role} -o json")
    assert code == 0, output
    assert made.logs_in(json.loads(output))
    created = made.events("grant.created")[0]
    assert created["listener"] == "remote"
    assert created["identity"] == {"san": "spiffe://acme/ci/7 runner.example"}
    assert remote.curl(caller, f"credentials/{made.role}", f"--cert {cert} --key {key}") == (0, "200\n")
    code, output = caller.run(f"{remote.environment(cert, key)} lease exec {made.role} -- sh -c 'echo got a password >&2'")
    assert (code, output) == (0, "got a password\n")


def test_without_a_good_certificate_nothing_is_told(orders, shell, authority):
    remote = Remote(orders, authority, binding="none")
    caller = shell(remote.made.daemon)
    role = f"credentials/{remote.made.role}"
    assert "200" not in remote.curl(caller, role, "")[1]
    server = authority.issue("URI:spiffe://acme/ci/7", "serverAuth", CONSUMER)
    assert "200" not in remote.curl(caller, role, f"--cert {server[0]} --key {server[1]}")[1]
    code, output = caller.run(f"curl -s -o /dev/null http://localhost:{remote.port}/livez")
    assert code != 0, output
    other = authority.issue("URI:spiffe://acme/prod/7", "clientAuth", CONSUMER)
    assert remote.curl(caller, role, f"--cert {other[0]} --key {other[1]}") == (0, "403\n")
    code, output = caller.run(f"{remote.environment(*other)} lease get {remote.made.role}")
    assert code == 3, output
    code, output = caller.run(f"{remote.environment(*server)} lease get {remote.made.role}")
    assert (code, "certificate" in output) == (5, True), output
    assert remote.made.world.bao.requests(remote.made.path) == 0


def test_a_reload_takes_a_new_certificate_and_disturbs_nobody(orders, shell, authority):
    remote = Remote(orders, authority, binding="none")
    cert, key = authority.issue("URI:spiffe://acme/ci/7", "clientAuth", CONSUMER)
    caller = shell(remote.made.daemon)
    options = f"--cert {cert} --key {key}"
    assert remote.curl(caller, "status", options) == (0, "200\n")
    new_cert, new_key = authority.issue("DNS:renewed.example", "serverAuth", "leased")
    os.replace(new_key, remote.key)
    os.replace(new_cert, remote.cert)
    remote.made.daemon.send(signal.SIGHUP)
    renewed = f"--resolve renewed.example:{remote.port}:127.0.0.1 https://renewed.example:{remote.port}/livez"
    until(lambda: caller.run(f"curl -s -o /dev/null --cacert {authority.path} {options} {renewed}")[0] == 0, "the new certificate")
    assert remote.curl(caller, "status", options)[1] != "200\n"


class Kept:
    """A client of a TLS listener that keeps its connection."""

    def __init__(self, remote, cert, key):
        context = ssl.create_default_context(cafile=remote.authority.path)
        context.load_cert_chain(cert, key)
        self.connection = http.client.HTTPSConnection("localhost", remote.port, context=context, timeout=20)

    def ask(self, path):
        self.connection.request("GET", f"/leased/v1/{path}", headers={"X-Leased-Request": "1"})
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_a_renewed_certificate_ends_no_grant_and_a_new_ca_does(orders, authority, world):
    remote = Remote(orders, authority)
    made = remote.made
    again = made.daemon.lease("root", "reload")
    assert again.returncode == 0 and "nothing has changed" in again.stdout, again.stderr
    kept = Kept(remote, *authority.issue("URI:spiffe://acme/ci/7", "clientAuth", "root"))
    role = f"credentials/{made.role}?binding=connection"
    status, held = kept.ask(role)
    assert status == 200, held
    for renewed, path in zip(authority.issue("DNS:localhost", "serverAuth", "leased"), (remote.cert, remote.key)):
        os.replace(renewed, path)
    done = made.daemon.lease("root", "reload", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["listeners"]["changed"] == ["remote"] and json.loads(done.stdout)["grants_ended"] == 0
    assert [kept.ask(role)[1].get("grant") for _ in range(3)] == [held["grant"]] * 3
    assert made.logs_in(held)
    other = Authority(tempfile.mkdtemp(prefix="ca-", dir=world.folder))
    os.replace(other.path, authority.path)
    assert made.daemon.lease("root", "reload").returncode == 0
    assert kept.ask(role)[0] == 403
    made.await_dead(held)


def test_lease_speaks_to_loopback_tcp_too(orders, shell):
    made, port = tcp_daemon(orders, binding="none")
    code, output = shell(made.daemon).run(f"LEASED_ADDR= lease get {made.role} --addr http://127.0.0.1:{port} -o json")
    assert code == 0, output
    assert made.logs_in(json.loads(output))
    assert made.events("grant.created")[0]["binding"] == "none"


def listening(family, address):
    it = socket.socket(family)
    it.bind(address)
    it.listen(16)
    return it


def test_sockets_of_the_service_manager_are_used_and_outlive_leased(orders, shell, world):
    folder = tempfile.mkdtemp(prefix="passed-", dir=world.folder)
    os.chmod(folder, 0o755)
    path = f"{folder}/passed.sock"
    with listening(socket.AF_UNIX, path) as local, listening(socket.AF_INET, ("127.0.0.1", 0)) as tcp:
        os.chmod(path, 0o666)
        port = tcp.getsockname()[1]
        made = orders(config={"passed": [("from-systemd", local), ("leased.socket", tcp)],
                              "more_listeners": [{"name": "from-systemd", "unix": "/nonexistent/l.sock"},
                                                 {"name": "tcp", "tcp": f"127.0.0.1:{port}"}]}, binding="none")
        caller = shell(made.daemon)
        code, output = caller.run(f"LEASED_ADDR=unix://{path} lease get {made.role} -o json")
        assert code == 0, output
        assert ask(caller, port, f"credentials/{made.role}")[0] == 200
        assert {record["listener"] for record in made.events("grant.created")} == {"from-systemd", "tcp"}
        assert made.daemon.stop() == 0
        assert os.path.exists(path)
        # Who comes meanwhile waits for the next one.
        waiting = subprocess.Popen(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", path,
                                    "http://localhost/livez"], stdout=subprocess.PIPE, text=True)
        made.daemon.start()
        assert waiting.communicate(timeout=20)[0] == "200"


def test_a_reload_gives_up_no_passed_socket(orders, world):
    """Its clients would wait for nobody, and leased would not start again."""
    folder = tempfile.mkdtemp(prefix="passed-", dir=world.folder)
    os.chmod(folder, 0o755)
    path = f"{folder}/passed.sock"
    with listening(socket.AF_UNIX, path) as local:
        listener = {"name": "second", "unix": path}
        policies = {"rules": [], "admins": [{"subjects": [{"user": "root"}]}]}
        made = orders(config={"passed": [("leased.socket", local)], "more_listeners": [listener], "policies": policies})

        def reload(listeners):
            with open(made.daemon.config_path, "w", encoding="utf-8") as f:
                json.dump({**made.daemon.config, "listeners": listeners}, f)
            return made.daemon.lease("root", "reload")
        first = made.daemon.config["listeners"][0]
        done = reload([first])
        assert done.returncode == 1 and "socket leased.socket" in done.stderr and "socket unit" in done.stderr, done.stderr
        assert subprocess.run(["curl", "-sf", "--max-time", "5", "--unix-socket", path, "http://localhost/livez"],
                              capture_output=True, check=False).returncode == 0
        assert reload([first, {**listener, "name": "renamed"}]).returncode == 0


def test_a_passed_socket_that_no_listener_takes_is_a_mistake(world):
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as tcp:
        daemon = world.daemon({}, [], passed=[("stray", tcp)])
        daemon.start(wait=False)
        assert daemon.process.wait(timeout=20) == 78
        assert "passed the socket stray (127.0.0.1:" in daemon.log_lines()
