"""Real servers on loopback for tests/e2e and scripts/demo: OpenBao, PostgreSQL, leased. Python's own library only.

Everything lives in one folder below /tmp and on ports that the kernel chose; World.close() ends and removes all of it. As
root, each server runs as a user of its own; otherwise all run as the caller.
"""
import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

START_TIMEOUT_S = 30
ROOT_TOKEN = "root-token-of-the-tests"
ADMIN_PASSWORD = "admin-of-the-tests"
IS_ROOT = os.geteuid() == 0
USERS_LOCK = "/run/leased-tests-users.lock"
PASS_SOCKETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pass_sockets.py")

# What leased may do at the issuer: issue, look after its leases and its own token, nothing else.
MINIMAL_POLICY = """
path "database/creds/*"      { capabilities = ["read"] }
path "sys/leases/renew"      { capabilities = ["update"] }
path "sys/leases/revoke"     { capabilities = ["update"] }
path "sys/leases/lookup"     { capabilities = ["update"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
"""

CREATE = ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"]
RENEW = ["ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'"]
# No new sessions first, then the open ones end, then the role goes: a session could otherwise start in between.
REVOKE = [
    'ALTER ROLE "{{name}}" NOLOGIN',
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'",
    'DROP ROLE IF EXISTS "{{name}}"',
]


class Failed(Exception):
    """A server that didn't do as it should; the text says what and shows its log's end."""


def until(condition, what, timeout_s=30.0, pause_s=0.01):
    """Polls until `condition()` is true and returns what it returned; Failed after timeout_s, which is patient: the machine may be busy."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Failed(f"not within {timeout_s:g} s: {what}")
        time.sleep(pause_s)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False


def tail(path, lines=20):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except OSError:
        return ""


def ensure_user(name):
    """The user, made if it is missing (root only). Without root everybody is the caller."""
    if not IS_ROOT:
        return pwd.getpwuid(os.getuid())
    with open(USERS_LOCK, "w", encoding="utf-8") as lock:  # tests run in several processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return pwd.getpwnam(name)
        except KeyError:
            # It stays after the tests, so it is one that nobody can log in to; as_user needs no shell of it.
            subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell",
                            "/usr/sbin/nologin", name], check=True, capture_output=True)
            return pwd.getpwnam(name)


def as_user(name, rights=()):
    """What to put before a command so that it runs as this user, with these capabilities and without ways to get others."""
    if not IS_ROOT:
        return []
    user = ensure_user(name)
    caps = ",".join(["-all", *(f"+{right}" for right in rights)])
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", f"--inh-caps={caps}",
            *([f"--ambient-caps={caps}"] if rights else []), f"--bounding-set={caps}", "--no-new-privs", "--"]


def give_to(path, name):
    if IS_ROOT:
        user = ensure_user(name)
        os.chown(path, user.pw_uid, user.pw_gid)


def clean_environment(**more):
    """For programs under test: nothing of the caller's that could change what they do."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "TERM", "ASAN_OPTIONS", "UBSAN_OPTIONS", "NO_COLOR") if key in os.environ}
    return {**kept, "HOME": "/nonexistent", **more}


class Server:
    """A process with a log; ends with the world."""

    def __init__(self, name, log):
        self.name, self.log, self.process = name, log, None

    def spawn(self, command, **options):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                            start_new_session=True, **options)

    def await_ready(self, condition):
        def ready():
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}:\n{tail(self.log)}")
            return condition()
        try:
            until(ready, f"{self.name} is up", START_TIMEOUT_S)
        except Failed as failed:
            raise Failed(f"{failed}\n{tail(self.log)}") from None

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, timeout_s=30):
        """Ends it if it runs; its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failed(f"{self.name} did not end within {timeout_s} s:\n{tail(self.log)}") from None
        return self.process.returncode


class Postgres(Server):
    """A cluster of its own, made by initdb."""

    def __init__(self, folder):
        super().__init__("PostgreSQL", f"{folder}/postgres.log")
        self.data, self.port = f"{folder}/postgres", free_port()
        self.sockets = f"{folder}/postgres-sockets"
        self.bin = max((f"/usr/lib/postgresql/{v}/bin" for v in os.listdir("/usr/lib/postgresql")), key=lambda p: float(p.split("/")[4]))
        for path in (self.data, self.sockets):
            os.mkdir(path, 0o700)
            give_to(path, "postgres")
        os.close(os.open(self.log, os.O_CREAT | os.O_WRONLY, 0o644))

    def start(self):
        password = f"{self.sockets}/password"
        with open(password, "w", encoding="utf-8") as f:
            f.write(ADMIN_PASSWORD)
        give_to(password, "postgres")
        made = subprocess.run([*as_user("postgres"), f"{self.bin}/initdb", "--pgdata", self.data, "--username=admin",
                               f"--pwfile={password}", "--auth=scram-sha-256", "--no-sync", "--no-instructions", "--locale=C"],
                              capture_output=True, text=True, check=False, env=clean_environment(), cwd="/")
        os.unlink(password)
        if made.returncode != 0:
            raise Failed(f"initdb failed: {made.stderr}")
        self.spawn([*as_user("postgres"), f"{self.bin}/postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1",
                    "-k", self.sockets, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"],
                   env=clean_environment(), cwd="/")

    def psql(self, sql, user="admin", password=ADMIN_PASSWORD, database="postgres"):
        """Runs one statement on a connection of its own: (worked, output)."""
        run = subprocess.run(["psql", "--no-psqlrc", "--no-password", "-qAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p",
                              str(self.port), "-U", user, "-d", database, "-c", sql], capture_output=True, text=True, check=False,
                             env=clean_environment(PGPASSWORD=password, PGCONNECT_TIMEOUT="5"))
        return run.returncode == 0, (run.stdout if run.returncode == 0 else run.stderr).strip()

    def admin(self, sql):
        worked, output = self.psql(sql)
        if not worked:
            raise Failed(f"psql: {output}")
        return output

    def valid_until(self, user):
        return self.admin(f"SELECT extract(epoch FROM rolvaliduntil) FROM pg_roles WHERE rolname = '{user}'")

    def ready(self):
        return accepts(self.port) and self.psql("SELECT 1")[0]


class Bao(Server):
    """A development server with an audit trail, a database engine and an AppRole for leased."""

    def __init__(self, folder, program):
        super().__init__("bao", f"{folder}/bao.log")
        self.folder, self.program, self.port = folder, program, free_port()
        self.address, self.audit_path = f"http://127.0.0.1:{self.port}", f"{folder}/bao-audit.jsonl"
        self.role_id_file, self.secret_id_file = f"{folder}/role_id", f"{folder}/secret_id"
        self.root_token = ROOT_TOKEN
        self.more_config = ""

    def start(self):
        config = f"{self.folder}/bao.hcl"
        with open(config, "w", encoding="utf-8") as f:
            f.write(f'audit "file" "trail" {{\n  options {{ file_path = "{self.audit_path}" }}\n}}\n{self.more_config}')
        self.spawn([self.program, "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={ROOT_TOKEN}",
                    f"-dev-listen-address=127.0.0.1:{self.port}", f"-config={config}"], env=clean_environment(HOME=self.folder), cwd="/")

    def ready(self):
        try:
            return self.call("GET", "sys/health")["initialized"]
        except (OSError, Failed):
            return False

    def call(self, method, path, body=None):
        """The answer as a dictionary ({} when empty); Failed with what bao said."""
        request = urllib.request.Request(f"{self.address}/v1/{path}", method=method, headers={"X-Vault-Token": self.root_token},
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            if error.code == 404 and method == "LIST":
                return {"data": {"keys": []}}
            raise Failed(f"bao: {method} {path}: {error.code} {error.read().decode()}") from None

    def revoke_tokens(self, is_meant):
        """Revokes each token of which is_meant(what a look-up says) is true. One that ends meanwhile can't be looked up."""
        for accessor in self.call("LIST", "auth/token/accessors")["data"]["keys"]:
            try:
                found = self.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})["data"]
            except Failed:
                continue
            if is_meant(found):
                self.call("POST", "auth/token/revoke-accessor", {"accessor": accessor})

    def set_up(self, postgres):
        self.call("POST", "sys/mounts/database", {"type": "database"})
        self.call("POST", "database/config/orders", {
            "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "username": "admin", "password": ADMIN_PASSWORD,
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{postgres.port}/postgres?sslmode=disable"})
        self.call("POST", "sys/auth/approle", {"type": "approle"})
        self.call("PUT", "sys/policies/acl/leased", {"policy": MINIMAL_POLICY})
        self.call("POST", "auth/approle/role/leased", {"token_policies": ["leased"], "token_period": "1h"})
        self.write_login("role_id", self.role_id_file, self.call("GET", "auth/approle/role/leased/role-id"))
        self.write_login("secret_id", self.secret_id_file, self.call("POST", "auth/approle/role/leased/secret-id"))

    @staticmethod
    def write_login(key, path, answer):
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o400), "w", encoding="utf-8") as f:
            f.write(answer["data"][key])
        give_to(path, "leased")

    def database_role(self, name, ttl="1h", max_ttl="24h", **more):
        self.call("POST", f"database/roles/{name}", {
            "db_name": "orders", "creation_statements": CREATE, "renew_statements": RENEW, "revocation_statements": REVOKE,
            "default_ttl": ttl, "max_ttl": max_ttl, **more})

    def lease_ids(self, role):
        return self.call("LIST", f"sys/leases/lookup/database/creds/{role}")["data"]["keys"]

    def requests(self, path):
        """How often a path was asked for, by bao's own audit trail."""
        with open(self.audit_path, encoding="utf-8") as f:
            records = [json.loads(line) for line in f]
        return sum(r["type"] == "request" and r["request"]["path"] == path for r in records)


class Daemon(Server):
    """leased, as user leased. `changes` are merged into the standard configuration, `more_listeners` added to its own.
    `passed`: pairs of a name and a listening socket that it gets as systemd passes them. `prefix`: a command that runs it.
    `rights`: capabilities that it gets, as a drop-in for the unit gives them."""

    def __init__(self, world, roles, rules, more_listeners=(), passed=(), prefix=(), rights=(), **changes):
        self.world, self.folder = world, tempfile.mkdtemp(prefix="leased-", dir=world.folder)
        super().__init__("leased", f"{self.folder}/leased.log")
        self.passed, self.prefix, self.rights = passed, prefix, rights
        self.before = ()  # as the prefix, with the tests' own rights
        os.chmod(self.folder, 0o755)
        give_to(self.folder, "leased")
        self.socket, self.audit_path = f"{self.folder}/run/leased.sock", f"{self.folder}/audit.jsonl"
        self.config_path = f"{self.folder}/leased.yaml"
        self.exit_code = 0  # expected at its end
        self.environment = {}  # of the daemon, beside the clean one
        self.config = {
            "listeners": [{"name": "local", "unix": self.socket, "mode": "0666"}, *more_listeners],
            "backends": {"bao": {"plugin": "vault", "address": world.bao.address, "health_interval": "1s", "auth": {
                "method": "approle", "role_id_file": world.bao.role_id_file, "secret_id_file": world.bao.secret_id_file}}},
            "roles": roles,
            "policies": {"rules": rules},
            "audit": [{"sink": "file", "path": self.audit_path, "required": True}],
            "limits": {"stop_timeout": "10s"},
            "log": {"level": "debug", "format": "json"},
            **changes,
        }

    def start(self, wait=True):
        with open(self.config_path, "w", encoding="utf-8") as f:
            json.dump(self.config, f, indent=1)
        variables = [f"{key}={value}" for key, value in self.environment.items()]  # not for the program that changes the user
        command = [*self.before, *as_user("leased", self.rights), *self.prefix, "env", *variables, self.world.program("leased"), "--config",
                   self.config_path]
        descriptors = [passed.fileno() for _, passed in self.passed]
        if descriptors:
            names = ":".join(name for name, _ in self.passed)
            command = [sys.executable, PASS_SOCKETS, names, *map(str, descriptors), "--", *command]
        self.spawn(command, env=clean_environment(), cwd="/", pass_fds=descriptors)
        if wait:
            self.await_ready(lambda: self.lease("root", "status", "--ready").returncode == 0)
        return self

    def command(self, user, *words):
        return [*as_user(user), self.world.program("lease"), *words[:1], "--socket", self.socket, *words[1:]]

    def lease(self, user, *words, **options):
        """Runs `lease` as a user to its end."""
        return subprocess.run(self.command(user, *words), capture_output=True, text=True, check=False, timeout=60,
                              env=clean_environment(**options.pop("env", {})), cwd="/", stdin=subprocess.DEVNULL, **options)

    def records(self):
        """The audit trail so far, as dictionaries; a line that is being written is left out."""
        with open(self.audit_path, encoding="utf-8") as f:
            text = f.read()  # at once: going on after half a line would give its other half as a line of its own
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def metric(self, series):
        """Its value, as /metrics has it; None: it isn't there."""
        done = subprocess.run(["curl", "-sS", "--unix-socket", self.socket, "http://localhost/metrics"], capture_output=True, text=True,
                              check=True)
        return next((float(line.rsplit(" ", 1)[1]) for line in done.stdout.splitlines() if line.startswith(series + " ")), None)

    def log_lines(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()


class DurableBao(Bao):
    """A server that keeps what it knows on disk: it can be stopped, started again, sealed and unsealed."""

    def __init__(self, folder, program):
        os.makedirs(f"{folder}/store", 0o755)
        super().__init__(folder, program)
        self.unseal_key, self.cluster_port = None, free_port()

    def start(self):
        config = f"{self.folder}/bao.hcl"
        with open(config, "w", encoding="utf-8") as f:
            f.write(f'''storage "raft" {{
  path = "{self.folder}/store"
  node_id = "one"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{self.port}"
  tls_disable = true
}}
audit "file" "trail" {{
  options {{ file_path = "{self.audit_path}" }}
}}
api_addr = "{self.address}"
cluster_addr = "http://127.0.0.1:{self.cluster_port}"
''')
        self.spawn([self.program, "server", f"-config={config}"], env=clean_environment(HOME=self.folder), cwd="/")
        self.await_ready(lambda: accepts(self.port) and self.health())
        if self.unseal_key is None:
            made = until(self.init, "bao can be initialised")
            self.unseal_key, self.root_token = made["keys"][0], made["root_token"]
        self.unseal()

    def health(self):
        """What sys/health says, whatever its status is; {} while it says nothing."""
        try:
            with urllib.request.urlopen(f"{self.address}/v1/sys/health?sealedcode=200&uninitcode=200&standbycode=200", timeout=5) as answer:
                return json.loads(answer.read())
        except OSError:
            return {}

    def init(self):
        try:
            return self.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        except Failed:
            return None

    def seal(self):
        self.call("PUT", "sys/seal")

    def unseal(self):
        self.call("PUT", "sys/unseal", {"key": self.unseal_key})
        until(lambda: self.health().get("standby") is False, "bao is active")


class World:
    """The folder, OpenBao and PostgreSQL; daemons are started in it."""

    def __init__(self, build, bao_program, prefix="leased-e2e-"):
        self.folder = tempfile.mkdtemp(prefix=prefix)
        os.chmod(self.folder, 0o755)
        self.build, self.daemons = build, []
        self.postgres, self.bao = Postgres(self.folder), Bao(self.folder, bao_program)
        os.mkdir(f"{self.folder}/bin", 0o755)
        for name in ("leased", "lease"):  # the tree may lie where other users can't go
            shutil.copy2(f"{build}/{name}", f"{self.folder}/bin/{name}")

    def program(self, name):
        return f"{self.folder}/bin/{name}"

    def start(self):
        for user in ("leased", "postgres"):
            ensure_user(user)
        starters = [threading.Thread(target=server.start) for server in (self.postgres, self.bao)]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        for server in (self.bao, self.postgres):
            if server.process is None:
                raise Failed(f"{server.name} could not be started")
            server.await_ready(server.ready)
        self.bao.set_up(self.postgres)
        return self

    def daemon(self, roles, rules, **changes):
        daemon = Daemon(self, roles, rules, **changes)
        self.daemons.append(daemon)
        return daemon

    def close(self):
        for server in (*self.daemons, self.bao, self.postgres):
            try:
                # PostgreSQL: SIGINT ends sessions instead of waiting for them.
                server.stop(signal.SIGINT if server is self.postgres else signal.SIGTERM)
            except Failed:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)
