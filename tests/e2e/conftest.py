"""Fixtures: one world of real servers for the whole run; daemons, roles and consumers for each test."""
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from servers import IS_ROOT, World, as_user, clean_environment, ensure_user, until  # noqa: E402

CONSUMER, STRANGER = ("ci-runner", "ci-stranger") if IS_ROOT else (ensure_user("").pw_name, None)


def pytest_configure():
    """A run that is ended from outside ends its servers too."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", 143))
    # Programs inherit what is ignored under nohup or in a background job, and no shell can trap that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ignored in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_DFL)


def pytest_terminal_summary(terminalreporter):
    """What the tests have measured, whichever process ran them."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties if report.when == "call" else ():
            if name == "measured":
                terminalreporter.write_line(f"  {text}")


@pytest.fixture
def measured(record_property):
    """measured(text): a figure for the end of the run's output."""
    return lambda text: record_property("measured", text)


@pytest.fixture(scope="session")
def world():
    build, bao = os.environ.get("LEASED_BUILD", "build"), shutil.which("bao")
    assert os.access(f"{build}/leased", os.X_OK), f"{build}/leased is missing: run make, or set LEASED_BUILD"
    assert bao, "bao is missing: run scripts/setup --test"
    it = World(os.path.abspath(build), bao)
    try:
        yield it.start()
    finally:
        it.close()


@pytest.fixture
def start(world):
    """start(roles, rules, environment={...}, **changes): a running leased; ends with the test."""
    started = []

    def starter(roles, rules=None, wait=True, environment=None, **changes):
        daemon = world.daemon(roles, rules or [{"name": "consumers", "subjects": [{"user": CONSUMER}], "roles": ["*"]}], **changes)
        daemon.environment = environment or {}
        started.append(daemon)
        return daemon.start(wait)

    yield starter
    for daemon in started:
        assert daemon.stop() == daemon.exit_code, f"leased ended badly:\n{daemon.log_lines()[-4000:]}"


class Shell:
    """A consumer's script: a shell of its own that runs lines until it is ended. Grants bound to `parent` live as long."""

    def __init__(self, daemon, user, prefix=()):
        self.process = subprocess.Popen([*prefix, *as_user(user), "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, start_new_session=True, cwd="/",
                                        env=clean_environment(LEASED_ADDR=f"unix://{daemon.socket}",
                                                              PATH=f"{daemon.world.folder}/bin:{os.environ['PATH']}"))

    def run(self, line):
        """(exit code, output) of one line."""
        self.process.stdin.write(f"{line}\nprintf '\\n-- %d\\n' $?\n")
        self.process.stdin.flush()
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        output = ""
        try:
            for text in self.process.stdout:
                if text.startswith("-- "):
                    return int(text[3:]), output[:-1]  # without the line break that printf began with
                output += text
        finally:
            watchdog.cancel()
        raise AssertionError(f"the shell has ended: {output}")

    def get(self, role, options=""):
        """The whole credential object."""
        code, output = self.run(f"lease get {role} -o json {options}")
        assert code == 0, output
        return json.loads(output)

    def end(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass


@pytest.fixture
def shell():
    """shell(daemon, user=CONSUMER, prefix=()): a Shell, run by the command `prefix`; ends with the test."""
    shells = []

    def opener(daemon, user=CONSUMER, prefix=()):
        shells.append(Shell(daemon, user, prefix))
        return shells[-1]

    yield opener
    for it in shells:
        it.end()


class Orders:
    """A leased with one role for database credentials, under a name of its own at the issuer."""

    def __init__(self, world, name, daemon):
        self.world, self.role, self.daemon = world, name, daemon
        self.path = f"database/creds/{name}"

    def logs_in(self, credential):
        fields = credential["credential"] if "credential" in credential else credential
        return self.world.postgres.psql("SELECT current_user", fields["username"], fields["password"])[0]

    def lease_ids(self):
        return self.world.bao.lease_ids(self.role)

    def is_dead(self, credential):
        """Refused by PostgreSQL, and no longer listed by bao."""
        return not self.logs_in(credential) and not self.lease_ids()

    def await_dead(self, credential, timeout_s=10):
        until(lambda: self.is_dead(credential), "the credential is dead", timeout_s)

    def events(self, event):
        return [r for r in self.daemon.records() if r["event"] == event]


@pytest.fixture
def orders(world, start, request):
    """orders(issuer={...}, rules=[...], config={...}, **role): an Orders. issuer: of the role at bao; role: of the role in leased."""
    def maker(issuer=None, rules=None, config=None, **role):
        maker.count += 1
        name = f"t{abs(hash(request.node.nodeid)) % 10**8}-{maker.count}"
        world.bao.database_role(name, **(issuer or {}))
        settings = {"backend": "bao", "path": f"database/creds/{name}", **role}
        return Orders(world, name, start({name: settings}, rules, **(config or {})))
    maker.count = 0
    return maker


needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs several users: run it as root")
