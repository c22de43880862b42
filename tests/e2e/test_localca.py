"""The local CA: OpenSSL, Python's TLS and a real sshd judge what it issues and revokes. And `leased --dev`, as an ordinary user."""
import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest
from conftest import CONSUMER, needs_root
from servers import Server, accepts, as_user, clean_environment, free_port, give_to, tail, until

SSH_USER = "ci-ssh"
ROLES = {
    "client": {"type": "x509", "common_name": "${identity.user}", "uri": "spiffe://example/${identity.user}", "ttl": "10m"},
    "server": {"type": "x509", "dns": ["localhost"], "ip": "127.0.0.1", "usage": "server", "key": "ed25519", "ttl": "10m"},
    "ssh": {"type": "ssh", "principals": [SSH_USER], "ttl": "10m"},
    "ssh-short": {"type": "ssh", "principals": [SSH_USER], "ttl": "4s"},
    "ssh-other": {"type": "ssh", "principals": ["root"], "ttl": "10m"},
    "ssh-forced": {"type": "ssh", "principals": [SSH_USER], "ttl": "10m",
                   "critical_options": {"force-command": "echo forced", "source-address": "127.0.0.0/8"}, "extensions": []},
    "free": {"type": "x509", "uri": "spiffe://example/job/${reason}", "ttl": "10m"},
}


def run(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.DEVNULL, **options)


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, mode)) as f:
        f.write(text)
    return path


class CA:
    """Keys in a folder of the daemon's, and the daemon that uses them."""

    def __init__(self, world, start):
        self.folder = tempfile.mkdtemp(prefix="ca-", dir=world.folder)
        os.chmod(self.folder, 0o755)
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=e2e CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.path("ca.key"), "-out", self.path("ca.pem"))
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path("ssh"))
        for name in ("", "ca.key", "ssh"):
            give_to(self.path(name), "leased")
        os.chmod(self.path("ca.pem"), 0o644)
        backend = {"plugin": "localca", "ca_key_file": self.path("ca.key"), "ca_cert_file": self.path("ca.pem"),
                   "ssh_ca_key_file": self.path("ssh"), "crl_file": self.path("ca.crl"), "krl_file": self.path("ssh.krl"), "health_interval": "1s"}
        roles = {name: {"backend": "local", **role} for name, role in ROLES.items()}
        self.daemon = start(roles, backends={"local": backend}, state={"ledger": {"sqlite": self.path("ledger.db")}},
                            limits={"stop_timeout": "10s", "acquire_timeout": "2s"},
                            policies={"rules": [{"name": "consumers", "subjects": [{"user": CONSUMER}], "roles": ["*"]}],
                                      "admins": [{"subjects": [{"user": "root"}]}]})

    def path(self, name):
        return f"{self.folder}/{name}"

    def verify(self, certificate, *options):
        return run("openssl", "verify", "-CAfile", self.path("ca.pem"), *options, certificate)

    def save(self, name, fields):
        """Certificate and key as files."""
        return write(self.path(f"{name}.pem"), fields["certificate"], 0o644), write(self.path(f"{name}.key"), fields["private_key"])


@pytest.fixture
def ca(world, start):
    return CA(world, start)


# --- X.509 ------------------------------------------------------------------------------------------------------------


def test_openssl_verifies_what_it_issues_for_what_it_is_meant_for(ca, shell):
    credential = shell(ca.daemon).get("client")
    fields = credential["credential"]
    certificate, key = ca.save("client", fields)
    assert (credential["renewable"], credential["revocable"]) == (False, True)
    assert ca.verify(certificate, "-x509_strict", "-purpose", "sslclient").returncode == 0
    assert ca.verify(certificate, "-purpose", "sslserver").returncode != 0
    text = run("openssl", "x509", "-in", certificate, "-noout", "-subject", "-serial", "-ext", "subjectAltName").stdout
    assert f"CN = {CONSUMER}" in text and f"URI:spiffe://example/{CONSUMER}" in text and f"serial={fields['serial']}" in text
    publics = [run("openssl", *words).stdout for words in (("x509", "-in", certificate, "-noout", "-pubkey"), ("pkey", "-in", key, "-pubout"))]
    assert publics[0] == publics[1] != ""
    assert fields["ca_chain"].strip() == open(ca.path("ca.pem"), encoding="utf-8").read().strip()
    assert credential["expires_at"][:16] <= fields["expiration"][:16]


def handshake(ca, server_files, client_files, crl=False):
    """(the client's names as the server saw them, None), or (None, the server's error)."""
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca.path("ca.pem"))
    server_side.verify_mode = ssl.CERT_REQUIRED
    server_side.load_cert_chain(*server_files)
    if crl:
        server_side.load_verify_locations(ca.path("ca.crl"))
        server_side.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    client_side = ssl.create_default_context(cafile=ca.path("ca.pem"))
    client_side.load_cert_chain(*client_files)
    seen = []

    def serve(connection):
        try:
            with server_side.wrap_socket(connection, server_side=True) as tls:
                seen.append((tls.getpeercert()["subjectAltName"], None))
                tls.sendall(b"hello")
        except ssl.SSLError as error:
            seen.append((None, str(error)))

    ends = socket.socketpair()
    for end in ends:
        end.settimeout(10)
    thread = threading.Thread(target=serve, args=(ends[0],))
    thread.start()
    try:
        with client_side.wrap_socket(ends[1], server_hostname="localhost") as tls:
            tls.recv(5)
    except (ssl.SSLError, OSError):
        pass  # the server tells why
    thread.join()
    return seen[0]


def test_both_sides_of_a_handshake_until_the_client_is_revoked(ca, shell):
    server, client = shell(ca.daemon), shell(ca.daemon)
    server_files, client_files = ca.save("server", server.get("server")["credential"]), ca.save("client", client.get("client")["credential"])
    assert handshake(ca, server_files, client_files, crl=True) == ((("URI", f"spiffe://example/{CONSUMER}"),), None)
    client.end()
    until(lambda: ca.verify(client_files[0], "-crl_check", "-CRLfile", ca.path("ca.crl")).returncode != 0, "it is in the CRL", 10)
    names, error = handshake(ca, server_files, client_files, crl=True)
    assert names is None and "revoked" in error
    assert "certificate revoked" in ca.verify(client_files[0], "-crl_check", "-CRLfile", ca.path("ca.crl")).stderr
    assert ca.verify(server_files[0], "-crl_check", "-CRLfile", ca.path("ca.crl")).returncode == 0
    checked = run("openssl", "crl", "-in", ca.path("ca.crl"), "-CAfile", ca.path("ca.pem"), "-verify", "-noout", "-text")
    assert "verify OK" in checked.stderr and "Version 2" in checked.stdout and "Next Update" in checked.stdout, checked


def test_a_callers_own_words_dont_reach_further(ca, shell):
    job = shell(ca.daemon)
    assert job.run("lease get free --reason build-7")[0] == 0
    code, output = shell(ca.daemon).run("lease get free --reason 'build-7/admin'")
    assert code != 0 and "uri: the caller's reason stands in it" in output, output


def test_a_missing_key_is_told_and_one_that_comes_back_is_used(ca, shell):
    job = shell(ca.daemon)
    os.rename(ca.path("ca.key"), ca.path("aside"))
    code, output = job.run("lease get client")
    assert code != 0 and "issuer_unavailable" in output, output
    until(lambda: ca.path("ca.key") in ca.daemon.lease("root", "status", "-o", "json").stdout, "the status says why", 10)
    os.rename(ca.path("aside"), ca.path("ca.key"))
    until(lambda: job.run("lease get client")[0] == 0, "it is issued again", 20)


# --- SSH --------------------------------------------------------------------------------------------------------------


class Sshd(Server):
    """A real sshd on loopback, which trusts the CA and looks into its KRL."""

    def __init__(self, ca, lists):
        super().__init__("sshd", ca.path("sshd.log"))
        self.ca, self.port, self.lists = ca, free_port(), lists

    def start(self):
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.ca.path("host"))
        os.chown(self.ca.path("host"), 0, 0)
        write(self.ca.path("sshd_config"), "\n".join([
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.ca.path('host')}", f"TrustedUserCAKeys {self.ca.path('ssh.pub')}",
            *self.lists, "AuthorizedKeysFile none", "PasswordAuthentication no",
            "KbdInteractiveAuthentication no", "UsePAM no", "PidFile none", "LogLevel VERBOSE", ""]))
        self.spawn([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", self.ca.path("sshd_config")], env=clean_environment())
        self.await_ready(lambda: accepts(self.port))
        return self

    def login(self, fields, command="id -un"):
        """(exit code, output) of a login with this certificate and key."""
        folder = tempfile.mkdtemp(dir=self.ca.folder)
        key = write(f"{folder}/id", fields["private_key"])
        write(f"{folder}/id-cert.pub", fields["certificate"] + "\n")
        done = run("ssh", "-F", "none", "-p", str(self.port), "-i", key, "-o", f"CertificateFile={folder}/id-cert.pub", "-o",
                   "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=no", "-o",
                   "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", f"{SSH_USER}@127.0.0.1", command)
        return done.returncode, done.stdout.strip()


@pytest.fixture
def sshd(ca):
    """sshd(*lists): one that runs; `lists`: lines that name lists of revoked keys."""
    started = []

    def starter(*lists):
        started.append(Sshd(ca, lists))
        return started[-1].start()

    try:
        pwd.getpwnam(SSH_USER)
    except KeyError:  # "*": no password does, but the account isn't locked
        subprocess.run(["useradd", "--system", "--no-create-home", "--home-dir", "/", "--shell", "/bin/sh", "--password", "*", SSH_USER],
                       check=True, capture_output=True)
    try:
        yield starter
    finally:
        for it in started:
            it.stop()
        subprocess.run(["userdel", SSH_USER], check=False, capture_output=True)


def test_ssh_keygen_reads_the_certificate(ca, shell):
    fields = shell(ca.daemon).get("ssh-forced")["credential"]
    shown = run("ssh-keygen", "-L", "-f", write(ca.path("c.pub"), fields["certificate"] + "\n"))
    text = shown.stdout
    for part in ("ssh-ed25519-cert-v01@openssh.com user certificate", f'Key ID: "leased/ssh-forced/{CONSUMER}"', f"Serial: {fields['serial']}",
                 SSH_USER, "force-command echo forced", "source-address 127.0.0.0/8", "Extensions: (none)"):
        assert part in text, text
    public = run("ssh-keygen", "-y", "-f", write(ca.path("c"), fields["private_key"]))
    assert public.stdout.split()[:2] == fields["public_key"].split()[:2]


@needs_root
def test_a_login_works_and_is_refused_after_revocation(ca, sshd, shell):
    sshd = sshd(f"RevokedKeys {ca.path('ssh.krl')}")
    job = shell(ca.daemon)
    fields, forced = job.get("ssh")["credential"], job.get("ssh-forced")["credential"]
    assert sshd.login(fields) == (0, SSH_USER), tail(sshd.log)
    assert sshd.login(forced) == (0, "forced"), tail(sshd.log)
    assert sshd.login(job.get("ssh-other")["credential"])[0] == 255
    assert f'ID leased/ssh/{CONSUMER} (serial {fields["serial"]})' in open(sshd.log, encoding="utf-8").read()
    job.end()
    until(lambda: "REVOKED" in run("ssh-keygen", "-Q", "-f", ca.path("ssh.krl"), write(ca.path("r.pub"), fields["certificate"] + "\n")).stdout,
          "it is in the KRL", 10)
    assert sshd.login(fields)[0] == 255
    assert "revoked by file" in open(sshd.log, encoding="utf-8").read(), tail(sshd.log)
    assert sshd.login(shell(ca.daemon).get("ssh")["credential"]) == (0, SSH_USER), tail(sshd.log)


@needs_root
def test_a_login_is_refused_after_the_certificates_end(ca, sshd, shell):
    sshd = sshd()
    fields = shell(ca.daemon).get("ssh-short")["credential"]
    assert sshd.login(fields) == (0, SSH_USER), tail(sshd.log)
    end = time.mktime(time.strptime(fields["expiration"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    until(lambda: time.time() > end + 1, "its end", 10)
    assert sshd.login(fields)[0] == 255
    assert "expired" in open(sshd.log, encoding="utf-8").read(), tail(sshd.log)


def test_what_was_revoked_stays_so_when_the_daemon_was_killed(ca, shell):
    job = shell(ca.daemon)
    fields = job.get("ssh")["credential"]
    certificate, _ = ca.save("client", job.get("client")["credential"])
    public = write(ca.path("r.pub"), fields["certificate"] + "\n")
    job.end()

    def is_revoked():
        return ("REVOKED" in run("ssh-keygen", "-Q", "-f", ca.path("ssh.krl"), public).stdout and
                ca.verify(certificate, "-crl_check", "-CRLfile", ca.path("ca.crl")).returncode != 0)

    until(is_revoked, "both are in the lists", 10)
    until(lambda: len([r for r in ca.daemon.records() if r["event"] == "lease.revoked"]) == 2, "both are recorded as revoked", 10)
    ca.daemon.process.send_signal(signal.SIGKILL)
    ca.daemon.process.wait()
    os.remove(ca.path("ssh.krl"))
    os.remove(ca.path("ca.crl"))
    ca.daemon.start()
    until(lambda: os.path.exists(ca.path("ssh.krl")) and os.path.exists(ca.path("ca.crl")), "the lists are written anew", 10)
    assert is_revoked()


# --- --dev ------------------------------------------------------------------------------------------------------------


class Dev(Server):
    """`leased --dev` as an ordinary user with a runtime directory."""

    def __init__(self, world, user):
        self.world, self.user = world, user
        self.runtime = tempfile.mkdtemp(prefix="run-", dir=world.folder)
        give_to(self.runtime, user)
        super().__init__("leased --dev", f"{self.runtime}.log")

    def start(self):
        self.spawn([*as_user(self.user), "env", f"XDG_RUNTIME_DIR={self.runtime}", self.world.program("leased"), "--dev"], cwd="/",
                   env=clean_environment())
        self.await_ready(lambda: "export LEASED_ADDR=" in open(self.log, encoding="utf-8").read())
        printed = open(self.log, encoding="utf-8").read()
        self.address = printed.split("export LEASED_ADDR=", 1)[1].split("\n", 1)[0]
        return self

    def lease(self, *words, user=None):
        """From a shell, to whose life what it gets is bound."""
        script = shlex.join([self.world.program("lease"), *words]) + "; exit $?"
        return run(*as_user(user or self.user), "sh", "-c", script, env=clean_environment(LEASED_ADDR=self.address), cwd="/")


@pytest.fixture
def dev(world):
    it = Dev(world, CONSUMER)
    try:
        yield it.start()
    finally:
        assert it.stop() == 0, tail(it.log)


def test_dev_needs_nothing_and_serves_who_started_it(world, dev):
    assert dev.address == f"unix://{dev.runtime}/leased/leased.sock"
    done = dev.lease("get", "dev-cert", "-o", "json")
    assert done.returncode == 0, done.stderr
    certificate = write(f"{world.folder}/dev.pem", json.loads(done.stdout)["credential"]["certificate"])
    assert run("openssl", "verify", "-CAfile", f"{dev.runtime}/leased/ca.pem", "-verify_hostname", "localhost", certificate).returncode == 0
    done = dev.lease("get", "dev-ssh", "-o", "field=certificate")
    assert f"leased/dev-ssh/{CONSUMER}" in run("ssh-keygen", "-L", "-f", write(f"{world.folder}/dev.pub", done.stdout + "\n")).stdout
    assert dev.lease("status", "--ready").returncode == 0
    facts = os.stat(f"{dev.runtime}/leased")
    assert facts.st_mode & 0o777 == 0o700
    assert run(world.program("leased"), "--check", "--config", f"{dev.runtime}/leased/leased.yaml", env=clean_environment()).returncode in (0, 78)


@needs_root
def test_dev_serves_nobody_else(dev):
    assert dev.lease("get", "dev-cert", user="ci-stranger").returncode == 5


def test_dev_goes_on_with_its_ca(dev):
    before = open(f"{dev.runtime}/leased/ca.pem", encoding="utf-8").read()
    assert dev.stop() == 0
    open(dev.log, "w", encoding="utf-8").close()
    dev.start()
    assert open(f"{dev.runtime}/leased/ca.pem", encoding="utf-8").read() == before
    assert dev.lease("get", "dev-cert").returncode == 0


def test_dev_refuses_a_folder_of_somebody_elses(world):
    folder = tempfile.mkdtemp(prefix="shared-", dir=world.folder)
    os.chmod(folder, 0o777)
    done = run(*as_user(CONSUMER), "env", f"XDG_RUNTIME_DIR={folder}", world.program("leased"), "--dev", env=clean_environment(), cwd="/")
    assert done.returncode == 73 and "can be written by" in done.stderr, done.stderr
    done = run(world.program("leased"), "--dev", "--config", "/x", env=clean_environment())
    assert done.returncode == 64 and "--config" in done.stderr
