"""Where secrets are not: in memory after their end, outside the arena while they live, in cores, logs, the audit trail or /proc."""
import base64
import binascii
import glob
import json
import os
import re
import resource
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import pytest
from conftest import CONSUMER, Shell, needs_root
from logins import LoginBao
from servers import as_user, free_port, give_to, until
from test_listeners import Authority

pytestmark = needs_root
MAX_READ = 1 << 22
OVERLAP = 400  # longer than any form of a secret

FORMS = {
    "raw": lambda raw: [raw],
    "hex": lambda raw: [binascii.hexlify(raw), binascii.hexlify(raw).upper()],
    "backwards": lambda raw: [raw[::-1]],
    "url": lambda raw: [urllib.parse.quote(raw, safe="").encode(), b"".join(b"%%%02X" % byte for byte in raw)],
    # As a part of something longer, at each offset; the ends depend on what is beside it.
    "base64": lambda raw: [base64.b64encode(b"\0" * shift + raw)[(0, 4, 4)[shift]:-4] for shift in range(3)],
    "wide": lambda raw: [raw.decode().encode("utf-16-le")],
}


def forms(secret):
    """The ways in which a secret might be written down."""
    raw = secret.encode()
    assert len(raw) >= 16, "what is short may stand there by chance"
    return {form for make in FORMS.values() for form in make(raw)}


class Needles:
    """Finds secrets in bytes, all at once: a search for each of some hundred forms would take too long."""

    def __init__(self, secrets_by_name):
        self.names = {form: name for name, secret in secrets_by_name.items() for form in forms(secret)}
        self.pattern = re.compile(b"|".join(re.escape(form) for form in sorted(self.names, key=len, reverse=True)))

    def find(self, text):
        return {self.names[match.group()] for match in self.pattern.finditer(text)}


def regions(pid):
    """(start, end, line) of each mapping that can be read."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        for line in f:
            start, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....)", line).groups()
            if rights[0] == "r" and "[vvar" not in line and "[vsyscall]" not in line:
                yield int(start, 16), int(end, 16), line.strip()


def scan(pid, secrets_by_name):
    """[(name, mapping)] of the secrets found in a live process's memory."""
    needles, hits = Needles(secrets_by_name), set()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, line in regions(pid):
            at, rest = start, b""
            while at < end:
                memory.seek(at)
                try:
                    piece = memory.read(min(MAX_READ, end - at))
                except OSError:  # secret memory, or gone
                    break
                if not piece:
                    break
                text = rest + piece
                hits.update((name, line) for name in needles.find(text))
                rest, at = text[-OVERLAP:], at + len(piece)
    return sorted(hits)


def scan_file(path, secrets_by_name):
    needles = Needles(secrets_by_name)
    with open(path, "rb") as f:
        return sorted(needles.find(f.read()))


@pytest.mark.parametrize("form", FORMS)
def test_the_scanner_finds_each_form_in_another_process(form):
    planted = f"canary-{secrets.token_hex(12)}"
    for text in FORMS[form](planted.encode()):
        process = subprocess.Popen([sys.executable, "-c", "import sys\nx = bytearray(sys.stdin.buffer.readline())\nprint(1, flush=True)\n"
                                    "sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            process.stdin.write(b"xx" + text + b"yy\n")
            process.stdin.flush()
            process.stdout.readline()
            assert scan(process.pid, {"planted": planted}), text
            assert not scan(process.pid, {"other": f"canary-{secrets.token_hex(12)}"})
        finally:
            process.kill()
            process.communicate()


class Client:
    """An HTTP connection that stays open; what it sends and gets is known to nobody but us."""

    def __init__(self, connection):
        self.connection, self.rest = connection, b""

    def ask(self, method, path, headers=(), body=b""):
        lines = [f"{method} /leased/v1/{path} HTTP/1.1", "Host: localhost", "X-Leased-Request: 1", *headers, f"Content-Length: {len(body)}"]
        self.connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        while b"\r\n\r\n" not in self.rest:
            self.receive()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        while len(self.rest) < length:
            self.receive()
        answer, self.rest = self.rest[:length], self.rest[length:]
        return int(head.split()[1]), json.loads(answer)

    def receive(self):
        piece = self.connection.recv(65536)
        assert piece, "the connection has ended"
        self.rest += piece

    def close(self):
        self.connection.close()


class Front:
    """Before an HTTP server, with TLS (without HTTP/2) where there is a `pki`; keeps the tokens that pass. Over HTTP/2 libcurl 7.88 and nghttp2 keep what they sent and got last in their own
    memory for as long as a connection is open: the token and lease ids, but no credential, which is issued over HTTP/1.1."""

    TOKEN = re.compile(rb'(?i)\r\nx-vault-token: *([^\r\n]+)\r\n|"client_token": *"([^"]+)"')

    def __init__(self, port, pki=None):
        self.context, self.to, self.tokens = None, port, set()
        if pki is not None:
            self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.context.load_cert_chain(pki.server, pki.server_key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"{'http' if pki is None else 'https'}://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                plain = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        try:
            near = plain if self.context is None else self.context.wrap_socket(plain, server_side=True)
            with near, socket.create_connection(("127.0.0.1", self.to)) as far:
                back = threading.Thread(target=self.relay, args=(far, near), daemon=True)
                back.start()
                self.relay(near, far)
                back.join()
        except OSError:
            pass

    def relay(self, source, target):
        rest = b""
        try:
            while piece := source.recv(65536):
                rest = (rest + piece)[-65536 - 4096:]
                self.tokens.update((sent or got).decode() for sent, got in self.TOKEN.findall(rest))
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


class Holder:
    """A leased through which all kinds of secrets have gone: three ways to log in, over TLS and not, credentials over a socket and over
    TLS, issued, read, renewed, given back; and what clients sent that they shouldn't. Its connections stay open."""

    def __init__(self, world):
        self.issuer = LoginBao(tempfile.mktemp(prefix="issuer-", dir=world.folder), world.bao.program)
        self.shells, self.clients, self.daemon = [], [], None
        self.live, self.released = {}, {}
        self.issuer.start()
        self.issuer.await_ready(self.issuer.ready)
        self.issuer.set_up(world.postgres)
        self.issuer.set_up_logins()
        self.issuer.database_role("orders")
        self.front, self.plain_front = Front(self.issuer.port, self.issuer.pki), Front(self.issuer.port)
        self.authority = Authority(tempfile.mkdtemp(prefix="ca-", dir=world.folder))
        self.certificate = self.authority.issue("URI:spiffe://acme/ci/7", "clientAuth", "root")

    def launch(self, world, **more):
        bao = self.issuer
        token = bao.call("POST", "auth/token/create", {"policies": ["leased"], "period": "1h"})["auth"]["client_token"]
        password, password_file = f"password-{secrets.token_hex(12)}", f"{bao.folder}/password"
        bao.call("POST", "auth/userpass/users/leased", {"token_policies": ["leased"], "token_ttl": "1h", "password": password})
        with open(os.open(password_file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o400), "w", encoding="utf-8") as f:
            f.write(password)
        give_to(password_file, "leased")
        with open(bao.secret_id_file, encoding="utf-8") as f:
            self.live.update(token=token, password=password, secret_id=f.read().strip())
        tls = {"plugin": "vault", "address": self.front.address, "ca_file": bao.pki.ca}
        backends = {
            "token": {**tls, "auth": {"method": "token", "token_env": "LEASED_ISSUER_TOKEN"}},
            "approle": {**tls, "auth": {"method": "approle", "role_id_file": bao.role_id_file, "secret_id_file": bao.secret_id_file}},
            "userpass": {"plugin": "vault", "address": self.plain_front.address,
                         "auth": {"method": "userpass", "username": "leased", "password_file": password_file}},
        }
        self.port = free_port()
        certificate, key = self.authority.issue("DNS:localhost", "serverAuth", "leased")
        remote = {"name": "remote", "tcp": f"127.0.0.1:{self.port}",
                  "tls": {"cert_file": certificate, "key_file": key, "client_ca_file": self.authority.path}}
        limits = {"limits": {"binding": ["none", "parent", "connection"]}}
        rules = [{"name": "local", "subjects": [{"user": "*"}], "roles": ["*"], **limits},
                 {"name": "remote", "subjects": [{"tls": {"san": "spiffe://acme/ci/*"}, "listener": "remote"}], "roles": ["*"], **limits}]
        roles = {name: {"backend": name, "path": "database/creds/orders"} for name in backends}
        self.daemon = world.daemon(roles, rules, more_listeners=[remote], backends=backends, **more)
        self.daemon.environment = {"LEASED_ISSUER_TOKEN": token, "STRAY_SECRET": "stray-0123456789abcdef"}
        self.live["stray"] = "stray-0123456789abcdef"
        self.daemon.start()
        self.pid = self.daemon.process.pid

    def note(self, kind, answer):
        kind[f"password {len(kind)}"] = answer["credential"]["password"]

    def note_tokens(self):
        """Those that leased got for what it logged in with, and sends with each request."""
        known = {*self.live.values(), *self.released.values()}
        for token in sorted((self.front.tokens | self.plain_front.tokens) - known):
            self.live[f"login {len(self.live)}"] = token

    def note_references(self, kind):
        """The issuer's lease ids, of which the last part is random."""
        known = {*self.live.values(), *self.released.values()}
        for reference in self.issuer.lease_ids("orders"):
            if reference not in known:
                kind[f"reference {len(kind)}"] = reference

    def connect(self, is_tls):
        if is_tls:
            context = ssl.create_default_context(cafile=self.authority.path)
            context.load_cert_chain(*self.certificate)
            connection = context.wrap_socket(socket.create_connection(("127.0.0.1", self.port)), server_hostname="localhost")
        else:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self.daemon.socket)
        self.clients.append(Client(connection))
        return self.clients[-1]

    def use(self):
        """What is live first, so that what comes and goes afterwards lies around it."""
        for name in ("token", "approle", "userpass"):
            self.note(self.live, json.loads(self.lease("get", name, "-o", "json", "--bind", "none")))
        remote = self.connect(True)
        self.note(self.live, self.ok(remote.ask("GET", "credentials/token?binding=connection")))
        self.note_references(self.live)
        for round_number in range(4):
            self.shells = [Shell(self.daemon, CONSUMER) for _ in range(3)]
            for shell, name in zip(self.shells, ("token", "approle", "userpass")):
                self.note(self.released, shell.get(name))
                shell.run(f"lease renew {shell.get(name)['lease']}")
            passing = self.connect(True)
            self.note(self.released, self.ok(passing.ask("GET", "credentials/approle?binding=connection")))
            local = self.connect(False)
            self.note(self.released, self.ok(local.ask("GET", "credentials/approle?binding=connection")))
            for _ in range(50):
                for client in (passing, local, remote):
                    self.ok(client.ask("GET", "credentials/token?binding=connection" if client is remote else
                                       "credentials/approle?binding=connection"))
            self.note_references(self.released)
            for ending in (*self.shells, passing, local):
                (ending.end if isinstance(ending, Shell) else ending.close)()
            self.send_what_nobody_asked_for(self.connect(False), round_number)
            self.send_what_nobody_asked_for(remote, round_number)
        until(lambda: len(self.issuer.lease_ids("orders")) == 4, "what was given back is revoked", 20)
        assert self.live["token"] in self.front.tokens and self.front.tokens.isdisjoint(self.plain_front.tokens)
        assert len(self.front.tokens) >= 2 and self.plain_front.tokens, "each login's token has passed"
        self.note_tokens()
        self.shells = []

    def send_what_nobody_asked_for(self, client, number):
        sent = {kind: f"{kind}-{number}-{secrets.token_hex(12)}" for kind in ("bearer", "header", "body", "query")}
        self.released.update({f"{kind} {len(self.clients)} {number}": text for kind, text in sent.items()})
        client.ask("GET", "status", [f"Authorization: Bearer {sent['bearer']}", f"X-Vault-Token: {sent['header']}"])
        client.ask("POST", "leases", ["Content-Type: application/json"], json.dumps({"role": "token", "jwt": sent["body"]}).encode())
        client.ask("GET", f"status?token={sent['query']}")

    @staticmethod
    def ok(answer):
        assert answer[0] in (200, 201), answer
        return answer[1]

    def lease(self, *words):
        done = self.daemon.lease(CONSUMER, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def all(self):
        return {**self.live, **self.released}

    def close(self):
        for shell in self.shells:
            shell.end()
        for client in self.clients:
            client.close()
        try:
            if self.daemon is not None:
                assert self.daemon.stop() == self.daemon.exit_code, f"leased ended badly:\n{self.daemon.log_lines()[-4000:]}"
        finally:
            self.front.close()
            self.plain_front.close()
            self.issuer.stop()


@pytest.fixture(scope="module")
def holder(world):
    it = Holder(world)
    try:
        it.launch(world)
        it.use()
        time.sleep(0.3)  # what is put off for a turn
        yield it
    finally:
        it.close()


def test_no_secret_stands_in_memory_that_can_be_read(holder):
    assert scan(holder.pid, {"socket": holder.daemon.socket}), "the scan reaches the daemon's memory"
    assert scan(holder.pid, holder.all) == []


def test_a_dump_by_a_debugger_has_no_secret(holder):
    """With all that a debugger can read, what isn't for cores too."""
    path = f"{holder.daemon.folder}/dump"
    done = subprocess.run(["gdb", "-nx", "-batch", "-p", str(holder.pid), "-ex", "set use-coredump-filter off",
                           "-ex", "set dump-excluded-mappings on", "-ex", f"gcore {path}"], capture_output=True, text=True, check=False)
    assert os.path.exists(path), done.stderr
    assert scan_file(path, {"socket": holder.daemon.socket}) == ["socket"]
    assert scan_file(path, holder.all) == []


def test_no_secret_stands_in_files_answers_or_proc(holder):
    texts = {"log": holder.daemon.log_lines().encode()}
    for name, path in (("audit", holder.daemon.audit_path), ("environ", f"/proc/{holder.pid}/environ"), ("cmdline", f"/proc/{holder.pid}/cmdline")):
        with open(path, "rb") as f:
            texts[name] = f.read()
    for path in ("/metrics", "/leased/v1/status", "/leased/v1/leases", "/leased/v1/grants"):
        texts[path] = subprocess.run(["curl", "-s", "--unix-socket", holder.daemon.socket, "-H", "X-Leased-Request: 1", f"http://localhost{path}"],
                                     capture_output=True, check=True).stdout
    needles = Needles(holder.all)
    for where, text in texts.items():
        assert needles.find(text) == set(), where


def test_how_secret_memory_is_protected_is_told(holder):
    metrics = subprocess.run(["curl", "-s", "--unix-socket", holder.daemon.socket, "http://localhost/metrics"],
                             capture_output=True, text=True, check=True).stdout
    assert re.search(r'^leased_secret_memory_info{kind="(memfd_secret|mlock)"} 1$', metrics, re.M)
    used, limit = (int(re.search(f"^leased_secret_memory_{name}bytes (\\d+)$", metrics, re.M).group(1)) for name in ("", "limit_"))
    assert 0 < used < limit
    assert '"secret_memory.ready"' in holder.daemon.log_lines()


def core_files(folder):
    return glob.glob(f"{folder}/core*")


def test_the_daemon_cannot_be_read_by_its_own_user_and_leaves_no_core(world):
    daemon = world.daemon({}, []).start()
    pid = daemon.process.pid
    if is_dumpable(pid):
        daemon.stop()
        pytest.skip("a debug build may be looked at")
    for name in ("mem", "environ", "maps"):
        done = subprocess.run([*as_user("leased"), "head", "-c", "1", f"/proc/{pid}/{name}"], capture_output=True, text=True, check=False)
        assert done.returncode != 0 and "Permission denied" in done.stderr, name
    with open(f"/proc/{pid}/coredump_filter", encoding="utf-8") as f:
        assert int(f.read(), 16) == 0
    try:
        resource.prlimit(pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except PermissionError:
        pass  # not even root may, here: the limit of 0 stays
    with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as f:
        pattern = f.read().strip()
    daemon.send(signal.SIGSEGV)
    daemon.process.wait(10)
    if not pattern.startswith("|"):
        folder = os.path.dirname(pattern) if pattern.startswith("/") else "/"
        assert not [name for name in core_files(folder) if os.path.isfile(name) and time.time() - os.path.getmtime(name) < 20]


def is_dumpable(pid):
    with open(f"/proc/{pid}/limits", encoding="utf-8") as f:
        return not re.search(r"Max core file size\s+0\s+0", f.read())


@pytest.mark.skipif(os.path.basename(os.environ.get("LEASED_BUILD", "")) != "debug", reason="only a debug build leaves one: VARIANT=debug")
def test_a_core_of_a_debug_build_has_no_secret(world):
    folder = tempfile.mkdtemp(prefix="core-", dir=world.folder)
    give_to(folder, "leased")
    holder = Holder(world)
    try:
        holder.launch(world, prefix=["sh", "-c", f'cd {folder} && ulimit -c unlimited && exec "$@"', "sh"])
        assert is_dumpable(holder.pid)
        with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as f:
            if f.read()[0] in "|/":
                pytest.skip("cores go elsewhere here")
        holder.use()
        holder.daemon.exit_code = -signal.SIGSEGV
        holder.daemon.send(signal.SIGSEGV)
        holder.daemon.process.wait(20)
        core, = core_files(folder)
        assert scan_file(core, {"socket": holder.daemon.socket}) == ["socket"]
        assert scan_file(core, holder.all) == []
    finally:
        holder.close()
