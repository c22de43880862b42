"""Where secrets are not: in memory after their end, outside the arena while they live, in cores, logs, the audit trail or /proc."""
import base64
import binascii
import json
import os
import re
import resource
import signal
import subprocess
import time
import urllib.parse

import pytest
from conftest import CONSUMER, needs_root
from servers import as_user, until

pytestmark = needs_root
MAX_READ = 1 << 22


def forms(secret):
    """The ways in which a secret might be written down."""
    raw = secret.encode()
    found = {raw, binascii.hexlify(raw), binascii.hexlify(raw).upper(), raw[::-1], urllib.parse.quote(secret, safe="").encode()}
    for shift in range(3):  # as a part of something longer, at each offset; the ends depend on what is beside it
        found.add(base64.b64encode(b"\0" * shift + raw)[(0, 4, 4)[shift]:-4])
    return {form for form in found if len(form) >= 12}


def regions(pid):
    """(start, end, line) of each mapping that can be read."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        for line in f:
            start, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....)", line).groups()
            if rights[0] == "r" and "[vvar]" not in line and "[vsyscall]" not in line:
                yield int(start, 16), int(end, 16), line.strip()


def scan(pid, secrets):
    """[(name, mapping)] of the secrets found in a live process's memory."""
    wanted = [(name, form) for name, secret in secrets.items() for form in forms(secret)]
    hits = set()
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
                hits.update((name, line) for name, form in wanted if form in text)
                rest, at = text[-200:], at + len(piece)
    return sorted(hits)


def test_the_scanner_finds_what_is_there():
    planted = "canary-0123456789-abcdef"
    process = subprocess.Popen(["python3", "-c", f"import base64, sys\nx = base64.b64encode(b'zz' + {planted!r}.encode())\ny = {planted!r}.encode()\n"
                                "print(1, flush=True)\nsys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        assert scan(process.pid, {"planted": planted})
        assert not scan(process.pid, {"other": planted.replace("0", "9")})
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class Holder:
    """A leased under load, and everything secret that passed through it."""

    def __init__(self, world, orders, shell):
        bao, token_file = world.bao, f"{world.folder}/token-{time.monotonic_ns()}"
        token = bao.call("POST", "auth/token/create", {"policies": ["leased"], "period": "1h"})["auth"]["client_token"]
        bao.write_login("token", token_file, {"data": {"token": token}})
        by_token = {"plugin": "vault", "address": bao.address, "auth": {"method": "token", "token_file": token_file}}
        by_approle = {**by_token, "auth": {"method": "approle", "role_id_file": bao.role_id_file, "secret_id_file": bao.secret_id_file}}
        self.made = orders(rules=[{"name": "all", "subjects": [{"user": "*"}], "roles": ["*"], "limits": {"binding": ["none", "parent"]}}],
                           config={"log": {"level": "debug", "format": "json"}, "backends": {"bao": by_token, "other": by_approle}})
        self.daemon, self.pid = self.made.daemon, self.made.daemon.process.pid
        self.live, self.released = {"token": token}, {}
        script = shell(self.daemon)
        kept = self.issue("--bind", "none")
        for _ in range(20):
            script.get(self.made.role)
        self.released["released"] = script.get(self.made.role)["credential"]["password"]
        script.end()
        for n in range(5):
            script = shell(self.daemon)
            self.released[f"released {n}"] = script.get(self.made.role)["credential"]["password"]
            script.end()
        self.live["live"] = kept["credential"]["password"]
        with open(self.made.world.bao.secret_id_file, encoding="utf-8") as f:
            self.live["secret_id"] = f.read().strip()
        assert self.made.daemon.lease(CONSUMER, "get", self.made.role, "--bind", "none").returncode == 0

    def issue(self, *options):
        done = self.daemon.lease(CONSUMER, "get", self.made.role, "-o", "json", *options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def all(self):
        return {**self.live, **self.released}


@pytest.fixture
def holder(world, orders, shell):
    return Holder(world, orders, shell)


def test_no_secret_stands_in_memory_that_can_be_read(holder):
    until(lambda: len(holder.made.events("lease.revoked")) == len(holder.released), "the released ones are revoked", 20)
    time.sleep(0.5)
    assert scan(holder.pid, {"socket": holder.daemon.socket}), "the scan reaches the daemon's memory"
    assert scan(holder.pid, holder.all) == []


def test_no_secret_stands_in_files_answers_or_proc(holder):
    texts = {"log": holder.daemon.log_lines().encode()}
    for name, path in (("audit", holder.daemon.audit_path), ("environ", f"/proc/{holder.pid}/environ"), ("cmdline", f"/proc/{holder.pid}/cmdline")):
        with open(path, "rb") as f:
            texts[name] = f.read()
    for path in ("/metrics", "/leased/v1/status", "/leased/v1/leases", "/leased/v1/grants"):
        texts[path] = subprocess.run(["curl", "-s", "--unix-socket", holder.daemon.socket, "-H", "X-Leased-Request: 1", f"http://localhost{path}"],
                                     capture_output=True, check=True).stdout
    for where, text in texts.items():
        for name, secret in holder.all.items():
            assert not any(form in text for form in forms(secret)), f"{name} stands in {where}"


def test_the_daemon_cannot_be_read_by_its_own_user_and_leaves_no_core(world):
    daemon = world.daemon({}, []).start()
    pid = daemon.process.pid
    for name in ("mem", "environ", "maps"):
        done = subprocess.run([*as_user("leased"), "head", "-c", "1", f"/proc/{pid}/{name}"], capture_output=True, text=True, check=False)
        assert done.returncode != 0 and "Permission denied" in done.stderr, name
    with open(f"/proc/{pid}/limits", encoding="utf-8") as f:
        assert re.search(r"Max core file size\s+0\s+0", f.read())
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
        assert not [name for name in os.listdir(folder) if name.startswith("core") and os.path.isfile(f"{folder}/{name}")
                    and time.time() - os.path.getmtime(f"{folder}/{name}") < 20]
