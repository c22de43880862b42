"""config/migrate.md, run: each configuration in it is checked and served, each template filled in, each command run against real servers.

Every section with an example of ours has a case below, and a case has to run all commands of its section, so the page says nothing that wasn't seen.
README's table of clients is held against the tests that it names."""
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading

import pytest
import yaml
from aws import REGION, Aws, allow
from conftest import CONSUMER
from servers import IS_ROOT, MINIMAL_POLICY, as_user, clean_environment, ensure_user, free_port, give_to, until
from test_files import ADMINS, OPERATOR, RIGHTS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
THEIRS, OURS = {"hcl", "ini"}, {"yaml", "text", "console"}
COLOUR = "canary-green"
TOOLS = ("Vault Agent", "consul-template", "envconsul", "aws-vault")
POLICY = MINIMAL_POLICY + 'path "secret/data/orders/*" { capabilities = ["read"] }\n'

# A program that tells what it has been given, and once more for each HUP.
SERVER = """#!/bin/sh
tell() { echo "$$ ${PGUSER-$(cat "$USER_FILE")} ${PGPASSWORD-$(cat "$PASSWORD_FILE")}"; }
trap tell HUP; tell; while :; do sleep 600 & wait $!; kill $!; done
"""


def page(name):
    with open(f"{ROOT}/{name}", encoding="utf-8") as f:
        return f.read()


def sections():
    """{tool: {section: [(info, text), …]}}; what stands before a tool's first section has the name ""."""
    found = {}
    for part in page("config/migrate.md").split("\n## From ")[1:]:
        title, _, text = part.partition("\n")
        names = re.split(r"^### (.*)$", f"### \n{text}", flags=re.M)[1:]
        found[title] = {name: re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S) for name, text in zip(names[::2], names[1::2])}
    return found


PAGE = sections()
EXAMPLES = [(tool, name) for tool in PAGE for name, blocks in PAGE[tool].items() if any(info in OURS for info, _ in blocks)]


def merged(into, more):
    """As a folder of configurations is: lists append, the same key twice is an error."""
    for key, value in more.items():
        if isinstance(value, dict):
            merged(into.setdefault(key, {}), value)
        elif isinstance(value, list):
            into.setdefault(key, []).extend(value)
        else:
            assert key not in into, f"{key} stands twice"
            into[key] = value
    return into


class Moved:
    """A leased with all that the page has for one tool, and its user's programs."""

    def __init__(self, world, tool, user, *changes):
        self.world, self.tool, self.user = world, tool, user
        self.folder = f"{world.folder}/migrate-{TOOLS.index(tool)}"
        self.daemon = world.daemon({}, [], rights=RIGHTS if IS_ROOT else ())
        self.changes = [("https://vault.example:8200", world.bao.address), ("/etc/leased/", f"{self.folder}/etc/"), ("/run/orders", f"{self.folder}/run"),
                        ("/run/leased/leased.sock", self.daemon.socket), ("/usr/local/bin/", f"{self.folder}/bin/"),
                        *((address, f"127.0.0.1:{free_port()}") for address in ("127.0.0.1:8100", "127.0.0.1:9911")), *changes]
        self.variables = {}
        for name in ("", "/bin", "/etc", "/etc/templates", "/run", "/home", "/told"):
            os.mkdir(f"{self.folder}{name}", 0o755)
        for name in ("run", "home"):
            give_to(f"{self.folder}/{name}", user)
        give_to(f"{self.folder}/told", "leased")
        self.write("bin/orders-server", SERVER, 0o755)
        self.write("bin/orders-reload", f'#!/bin/sh\necho "$LEASED_ROLE $LEASED_FILE" >>{self.folder}/told/log\n', 0o755)
        os.symlink(world.program("lease"), f"{self.folder}/bin/lease")
        os.symlink(world.bao.program, f"{self.folder}/bin/vault")  # the same commands, and it reads VAULT_ADDR

    def write(self, name, text, mode=0o644):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(f.name, mode)
        return f.name

    def here(self, text):
        """The page's text with this world's addresses, places and user."""
        for old, new in self.changes:
            text = text.replace(old, new)
        return re.sub(r"\buser: orders\b", f"user: {self.user}", text)

    def configure(self):
        """Takes all configurations and templates of the page for this tool."""
        whole = {}
        for blocks in PAGE[self.tool].values():
            for text in (text for info, text in blocks if info == "yaml"):
                merged(whole, yaml.safe_load(self.here(text)))
        config = self.daemon.config
        for listener in config["listeners"]:
            if listener["unix"] not in [other.get("unix") for other in whole.get("listeners", [])]:
                whole.setdefault("listeners", []).append(listener)
        config.update(whole)
        config["policies"]["admins"] = ADMINS
        for path, text in re.findall(r"`/etc/leased/(templates/\S+)`:\n\n```text\n(.*?)^```$", page("config/migrate.md"), re.M | re.S):
            self.write(f"etc/{path}", text)

    def start(self):
        path = self.write("checked.yaml", json.dumps(self.daemon.config))
        done = subprocess.run([self.world.program("leased"), "--check", "--config", path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        self.daemon.start()
        return self

    def environment(self):
        return clean_environment(HOME=f"{self.folder}/home", PATH=f"{self.folder}/bin:{os.environ['PATH']}",
                                 LEASED_ADDR=f"unix://{self.daemon.socket}", **self.variables)

    def words(self, command):
        return [*(as_user(self.user) if self.user == CONSUMER else []), "sh", "-c", f"{self.here(command)}\nexit $?"]

    def run(self, command):
        """What a command of the page prints."""
        done = subprocess.run(self.words(command), capture_output=True, text=True, check=False, timeout=60, cwd=f"{self.folder}/home",
                              env=self.environment(), stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def held(self):
        """The grants that there are now, of files too."""
        done = self.daemon.lease(OPERATOR, "ls", "--grants", "-o", "json")
        assert done.returncode == 0, done.stderr
        return [grant for grant in json.loads(done.stdout) if grant["state"] == "held"]

    def rotate(self, grant):
        done = self.daemon.lease(OPERATOR, "rotate", grant["lease"])
        assert done.returncode == 0, done.stderr

    def logs_in(self, username, password):
        return self.world.postgres.psql("SELECT current_user", username, password)[0]

    def await_dead(self, username, password):
        until(lambda: not self.logs_in(username, password), "the credential is dead", 20)


class Commands:
    """Those of a section, in order; `it` is the tool's Moved."""

    def __init__(self, it, section):
        self.it = it
        self.left = [line.removeprefix("$ ") for info, text in PAGE[it.tool][section] if info == "console"
                     for line in text.splitlines() if line.startswith("$ ")]

    def take(self):
        return self.left.pop(0)

    def run(self):
        return self.it.run(self.take())


@pytest.fixture(scope="module")
def secrets(world):
    """What the page speaks of at the issuer: a database role, a KV secret and the login."""
    bao = world.bao
    bao.database_role("orders")
    until(lambda: bao.call("POST", "secret/data/orders/app", {"data": {"colour": COLOUR}}), "the secret is there")
    bao.call("PUT", "sys/policies/acl/migrate", {"policy": POLICY})
    bao.call("POST", "auth/approle/role/migrate", {"token_policies": ["migrate"], "token_period": "1h"})

    def log_in(it):
        for key, method in (("role-id", "GET"), ("secret-id", "POST")):
            bao.write_login(key.replace("-", "_"), f"{it.folder}/etc/{key}", bao.call(method, f"auth/approle/role/migrate/{key}"))
    return log_in


@pytest.fixture(scope="module")
def cloud(world):
    it = Aws(world.folder)
    try:
        it.start()
        it.role("deploy", allow("iam:ListUsers", "sts:AssumeRole"))
        it.role("audit", principal="*")
        it.check_signatures()
        yield it
    finally:
        it.stop()


@pytest.fixture(scope="module")
def moved(world, secrets, request):
    """moved(tool): its Moved, running; one for each tool."""
    running = {}

    def maker(tool):
        if tool not in running:
            it = running[tool] = for_aws(world, request.getfixturevalue("cloud")) if tool == "aws-vault" else Moved(world, tool, CONSUMER)
            secrets(it)
            it.configure()
            it.start()
        return running[tool]

    yield maker
    for it in running.values():
        assert it.daemon.stop() == 0, it.daemon.log_lines()[-4000:]
        shutil.rmtree(it.folder)


def for_aws(world, cloud):
    """For who runs the tests, because the AWS CLI may lie where no other user can go."""
    it = Moved(world, "aws-vault", ensure_user("root").pw_name,
               (f"region: {REGION}", f"region: {REGION}\n    endpoint: {cloud.address}"))
    shutil.copy2(cloud.credentials_file, f"{it.folder}/etc/aws-credentials")
    give_to(f"{it.folder}/etc/aws-credentials", "leased")
    it.write("bin/aws", f'#!/bin/sh\nexec {sys.executable} -m awscli "$@"\n', 0o755)
    it.variables = {"AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": cloud.address, "AWS_EC2_METADATA_DISABLED": "true"}
    return it


# --- Vault Agent -----------------------------------------------------------------------------------------------------


def a_backend(it, _):
    assert it.daemon.lease("root", "status", "--ready").returncode == 0


def template_fields(text):
    user, password = re.fullmatch(r"user = (\S+)\npassword = (\S+)\n", text).groups()
    return user, json.loads(password)


def dotenv_fields(text):
    fields = dict(re.findall(r"^(\w+)='(.*)'$", text, re.M))
    return fields["ORDERS_DB_USERNAME"], fields["ORDERS_DB_PASSWORD"]


def a_kept_file(it, name, mode, fields):
    """It is there for its user, follows a rotation, and the one before ends when the program has been told."""
    path, log = f"{it.folder}/run/{name}", f"{it.folder}/told/log"

    def read():
        with open(path, encoding="utf-8") as f:
            return fields(f.read())

    until(lambda: os.path.exists(path) and os.path.exists(log), "the file is written and the program told")
    first, facts = read(), os.stat(path)
    assert (facts.st_uid, stat.S_IMODE(facts.st_mode)) == (ensure_user(it.user).pw_uid, mode)
    assert it.logs_in(*first)
    (grant,) = [g for g in it.held() if g["binding"] == "file"]
    it.rotate(grant)
    until(lambda: read() != first, "the file has the successor")
    assert it.logs_in(*read())
    it.await_dead(*first)
    with open(log, encoding="utf-8") as f:
        assert set(f.read().splitlines()) == {f"orders-db {path}"}


def agent_template(it, _):
    a_kept_file(it, "app.conf", 0o400, template_fields)


def agent_listener(it, commands):
    assert commands.run().startswith("v-"), "over the socket"
    assert commands.run() == COLOUR, "over the port, by a path that a rule opens"
    assert commands.run().startswith("v-"), "with a token of the grant"


def agent_exec(it, commands):
    restarts(it, commands.take())


def restarts(it, command):
    """Its program is started again with the successor."""
    with Server(it, command) as server:
        first, credential = server.read()
        assert it.logs_in(*credential)
        it.rotate(server.grant())
        second, successor = server.read()
        assert second != first and it.logs_in(*successor)
        it.await_dead(*credential)
    it.await_dead(*successor)


def one_shot(it, commands):
    assert not it.logs_in(*template_fields(commands.run())), "it has ended with who asked"
    assert commands.run()


# --- consul-template and envconsul ------------------------------------------------------------------------------------


def with_secret(it, commands):
    text = commands.run()
    assert re.fullmatch(rf'user = v-\S+\npassword = ".+"\ncolour = {COLOUR}\n', text), text


def a_dotenv_file(it, _):
    a_kept_file(it, "db.env", 0o440, dotenv_fields)


def a_signal(it, commands):
    """Its program goes on with new files under their old names."""
    with Server(it, commands.take()) as server:
        first, credential = server.read()
        it.rotate(server.grant())
        second, successor = server.read()
        assert second == first and successor != credential and it.logs_in(*successor)
    it.await_dead(*successor)


def variables(it, commands):
    for count in (2, 2, 3):
        words = commands.run().split()
        assert len(words) == count and words[0].startswith("v-")
        it.await_dead(*words[:2])
        assert words[2:] in ([], [COLOUR])


class Server:
    """orders-server under a command of the page."""

    def __init__(self, it, command):
        self.it, self.before = it, {grant["id"] for grant in it.held()}
        self.process = subprocess.Popen(it.words(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=it.environment(),
                                        cwd=f"{it.folder}/home", start_new_session=True)
        self.watchdog = threading.Timer(60, self.end)

    def __enter__(self):
        self.watchdog.start()
        return self

    def read(self):
        """(pid, (user, password)) as it tells."""
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        pid, *credential = line.split()
        return int(pid), tuple(credential)

    def grant(self):
        (grant,) = [g for g in self.it.held() if g["id"] not in self.before]
        return grant

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def __exit__(self, *_):
        self.watchdog.cancel()
        self.end()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


# --- aws-vault -------------------------------------------------------------------------------------------------------


def assumed(text):
    return json.loads(text)["Arn"].split("/")[-2:]


def profiles(it, _):
    with open(f"{it.folder}/checked.yaml", encoding="utf-8") as f:
        assert set(json.load(f)["roles"]) == {"deploy", "audit"}


def aws_exec(it, commands):
    assert assumed(commands.run()) == ["deploy", it.user]
    assert assumed(commands.run())[0] == "audit", "over deploy"
    for _ in ("endpoint", "process"):
        assert assumed(commands.run()) == ["deploy", it.user]


def aws_export(it, commands):
    for _ in range(3):
        assert assumed(commands.run()) == ["deploy", it.user]


CASES = {
    ("Vault Agent", "vault, auto_auth, sink"): a_backend,
    ("Vault Agent", "template"): agent_template,
    ("Vault Agent", "cache, api_proxy, listener"): agent_listener,
    ("Vault Agent", "env_template, exec"): agent_exec,
    ("Vault Agent", "exit_after_auth, one-shot"): one_shot,
    ("consul-template", ""): a_backend,
    ("consul-template", "with secret"): with_secret,
    ("consul-template", "A kept file"): a_dotenv_file,
    ("consul-template", "exec"): a_signal,
    ("envconsul", ""): a_backend,
    ("envconsul", "secret, prefix, no_prefix"): variables,
    ("envconsul", "exec, kill_signal, splay"): agent_exec,
    ("aws-vault", "Profiles"): profiles,
    ("aws-vault", "exec"): aws_exec,
    ("aws-vault", "export, credential_process"): aws_export,
}


@pytest.mark.parametrize("tool, section", EXAMPLES, ids=[f"{tool}: {section}" for tool, section in EXAMPLES])
def test_an_example_works(moved, tool, section):
    it = moved(tool)
    commands = Commands(it, section)
    assert (tool, section) in CASES, "an example that nobody tries: give it a case"
    CASES[tool, section](it, commands)
    assert not commands.left, "commands that the case doesn't run"


def test_each_block_is_theirs_or_tried():
    assert tuple(PAGE) == TOOLS and set(CASES) == set(EXAMPLES)
    text, counted = page("config/migrate.md"), [info for tool in PAGE.values() for blocks in tool.values() for info, _ in blocks]
    assert set(counted) == THEIRS | OURS
    assert 2 * len(counted) == len(re.findall(r"^```", text, re.M)), "a block outside of a section, or one that isn't closed"
    assert counted.count("text") == len(re.findall(r"`/etc/leased/templates/\S+`:\n\n```text$", text, re.M)), "a template without its path"


# --- README ----------------------------------------------------------------------------------------------------------


def clients():
    """(client, line, version, test) of README's table."""
    table = page("README.md").split("\n## Clients\n")[1].split("\n## ")[0]
    rows = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in table.splitlines() if line.startswith("|")]
    return rows[2:]


def test_each_client_in_the_readme_has_its_test_and_its_version():
    pinned = dict(line.strip().split("==") for line in page("tests/e2e/requirements.txt").splitlines() if "==" in line)
    assert len(clients()) >= 14
    for client, line, version, test in clients():
        found = re.fullmatch(r"`(test_\w+\.py)::(test_\w+)`", test)
        assert line and found, f"{client}: {test}"
        assert f"\ndef {found[2]}(" in page(f"tests/e2e/{found[1]}"), f"{client}: there is no {test}"
        for name, number in re.findall(r"([\w-]+) (\d[\w.]*)", version):
            assert pinned.get(name, number) == number, f"{client}: {name} is {pinned[name]}"
