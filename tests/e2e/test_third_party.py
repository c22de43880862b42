"""Plugins that others write: the tutorial of plugins/README.md, followed word by word with nothing but an installed leased; and the
example sink, behind a server that stores what it posts, fails, and comes back."""
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import threading

import pytest

from servers import until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("LEASED_BUILD", "build"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The root of a whole installation."""
    root = tmp_path_factory.mktemp("root")
    variant = os.path.relpath(BUILD, f"{ROOT}/build")
    variants = [] if variant == "." else [f"VARIANT={variant}"]
    subprocess.run(["make", "-s", "install", f"DESTDIR={root}", *variants], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return root


def blocks():
    """(language, text) of each code block of the tutorial, in order."""
    with open(f"{ROOT}/plugins/README.md", encoding="utf-8") as f:
        return re.findall(r"^```(\w+)\n(.*?)^```$", f.read(), re.M | re.S)


def environment(root):
    return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LEASED_ROOT": str(root)}


@pytest.fixture
def tutorial(installed, tmp_path):
    """run(to): the tutorial up to block number `to` of the shell's, in an empty folder; its output."""
    def run(to=None):
        (tmp_path / "example-backend.c").write_text(next(text for language, text in blocks() if language == "c"))
        commands = [text for language, text in blocks() if language == "sh"][:to]
        done = subprocess.run(["sh", "-eu"], input="\n".join(commands), cwd=tmp_path, env=environment(installed), text=True,
                              capture_output=True, timeout=60, check=False)
        log = tmp_path / "leased.log"
        assert done.returncode == 0, done.stdout + done.stderr + (log.read_text() if log.exists() else "")
        return done.stdout
    return run


def test_the_tutorial_gives_a_working_backend(tutorial, tmp_path):
    output = tutorial()
    assert re.search(r"^\d+ passed, 0 failed$", output, re.M)
    assert re.fullmatch(r"[0-9a-f]{32}", (tmp_path / "password").read_text())
    assert (tmp_path / "password").read_text() in output
    assert re.search(r"^l-\w+ +password +active ", output, re.M)
    events = [json.loads(line)["event"] for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert "lease.issued" in events and events[-1] == "daemon.stopped"


def check(root, folder):
    """What --check says about the tutorial's configuration."""
    done = subprocess.run([f"{root}/usr/local/sbin/leased", "--config", "leased.yaml", "--check"], cwd=folder, env=environment(root),
                          text=True, capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_plugin_that_others_could_change_is_not_loaded(tutorial, installed, tmp_path):
    tutorial(4)
    folder = installed / "usr/local/lib/leased/plugins"
    plugin = folder / "example-backend.so"
    assert check(installed, tmp_path)[0] == 0
    for path, mode, good in ((plugin, 0o666, 0o644), (folder, 0o777, 0o755), (plugin, 0o664, 0o644), (folder, 0o775, 0o755)):
        path.chmod(mode)
        code, text = check(installed, tmp_path)
        assert code == 78 and "can be written by its group or by others" in text
        path.chmod(good)
    moved = plugin.rename(tmp_path / "elsewhere.so")
    plugin.symlink_to(moved)
    code, text = check(installed, tmp_path)
    assert code == 78 and "is a symbolic link" in text
    plugin.unlink()
    code, text = check(installed, tmp_path)
    assert code == 78 and "does not exist" in text
    if os.geteuid() == 0:
        shutil.copy(moved, plugin)
        os.chown(plugin, 12345, 0)
        code, text = check(installed, tmp_path)
        assert code == 78 and "belongs to uid 12345" in text
        plugin.unlink()


def test_keys_that_the_plugin_does_not_know_are_shown_at_their_place(tutorial, installed, tmp_path):
    tutorial(4)
    text = (tmp_path / "leased.yaml").read_text()
    (tmp_path / "leased.yaml").write_text(text.replace("{plugin: example-backend}", "{plugin: example-backend, colour: red}"))
    code, output = check(installed, tmp_path)
    assert code == 78 and "example-backend has no keys of its own" in output
    (tmp_path / "leased.yaml").write_text(text.replace("load: [example-backend]", "load: []"))
    code, output = check(installed, tmp_path)
    assert code == 78 and "there is no plugin `example-backend`" in output


class Store:
    """A server that keeps the records that are posted to it; `status` is what it answers."""

    def __init__(self):
        self.status, self.bodies, self.paths, self.is_silent = 200, [], set(), False
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                store.paths.add(self.path)
                until(lambda: not store.is_silent, "it answers", 60)
                if store.status == 200:
                    store.bodies.append(body)
                self.send_response(store.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def text(self):
        return "".join(self.bodies)

    def close(self):
        self.is_silent = False
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def store():
    it = Store()
    yield it
    it.close()


class Daemon:
    """A leased with the two examples, and a ledger."""

    def __init__(self, root, folder, address, **sink):
        self.root, self.folder = root, folder
        plugins = folder / "plugins"
        plugins.mkdir(mode=0o755)
        for name in ("example-backend", "example-sink"):
            shutil.copy(f"{BUILD}/plugins/{name}.so", plugins)
            (plugins / f"{name}.so").chmod(0o644)
        (folder / "state").mkdir(mode=0o700)
        self.config = {
            "listeners": [{"unix": f"{folder}/leased.sock"}],
            "plugins": {"path": str(plugins), "load": ["example-backend", "example-sink"]},
            "backends": {"mine": {"plugin": "example-backend"}},
            "roles": {"password": {"backend": "mine", "ttl": "1m"}},
            "policies": {"rules": [{"subjects": [{"uid": os.getuid()}], "roles": ["password"]}]},
            "state": {"ledger": {"sqlite": f"{folder}/state/ledger.db"}},
            "audit": [{"sink": "file", "path": f"{folder}/audit.jsonl"},
                      {"sink": "example-sink", "address": address, "endpoint": "/audit", **sink}],
        }
        (folder / "leased.yaml").write_text(json.dumps(self.config))
        self.process = None

    def start(self):
        with open(self.folder / "leased.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([f"{self.root}/usr/local/sbin/leased", "--config", "leased.yaml"], cwd=self.folder,
                                            env=environment(self.root), stderr=log)
        until(lambda: (self.folder / "leased.sock").exists() and self.use()[0] == 0, "leased answers")

    def use(self):
        """A credential for a process that ends at once; (exit code, output)."""
        done = subprocess.run([f"{self.root}/usr/local/bin/lease", "exec", "password", "--", "true"], text=True, capture_output=True,
                              check=False, env={**environment(self.root), "LEASED_ADDR": f"unix://{self.folder}/leased.sock"})
        return done.returncode, done.stdout + done.stderr

    def trail(self):
        return (self.folder / "audit.jsonl").read_text()

    def end(self, kill=False):
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(30)
            self.process = None


@pytest.fixture
def daemon(installed, tmp_path):
    daemons = []

    def starter(address, **sink):
        daemons.append(Daemon(installed, tmp_path, address, **sink))
        daemons[-1].start()
        return daemons[-1]

    yield starter
    for it in daemons:
        it.end()


def test_the_example_sink_gets_every_record(daemon, store):
    it = daemon(store.address, required=False)
    until(lambda: it.use()[0] == 0, "a credential")
    it.end()
    assert store.text() == it.trail()
    assert store.paths == {"/audit"}


def test_a_sink_that_fails_is_on_record_and_gets_all_when_it_is_back(daemon, store):
    it = daemon(store.address, required=False)
    store.status = 503
    until(lambda: it.use()[0] == 0, "a credential, though the sink fails")
    until(lambda: "sink.degraded" in it.trail(), "the trail says so")
    assert '"reason":"example-sink"' in it.trail()
    assert "the server refuses the records" in (it.folder / "leased.log").read_text()
    store.status = 200
    until(lambda: "sink.restored" in it.trail(), "it is back")
    it.end()
    assert store.text() == it.trail()


def test_no_credential_leaves_while_a_required_sink_fails(daemon, store):
    it = daemon(store.address, required=True)
    until(lambda: it.use()[0] == 0, "a credential")
    store.status = 503
    until(lambda: it.use()[0] != 0, "it is refused")
    store.status = 200
    until(lambda: it.use()[0] == 0, "a credential again")


def test_what_a_sink_lacks_after_a_crash_it_gets_at_the_next_start(daemon, store):
    it = daemon(store.address, required=False)
    until(lambda: it.use()[0] == 0, "a credential")
    until(lambda: "lease.issued" in store.text(), "the sink has it")
    store.status = 503
    it.use()
    until(lambda: "sink.degraded" in it.trail(), "the trail says so")
    it.end(kill=True)
    lacking = set(it.trail().splitlines()) - set(store.text().splitlines())
    assert lacking
    store.status = 200
    it.start()
    until(lambda: lacking <= set(store.text().splitlines()), "it has them all")
    it.end()
    assert set(store.text().splitlines()) == set(it.trail().splitlines())


def test_a_reload_changes_no_sink_and_loads_no_plugin(daemon, store):
    it = daemon(store.address, required=False)
    it.config["audit"][1]["endpoint"] = "/elsewhere"
    it.config["plugins"]["load"] = ["example-backend"]
    (it.folder / "leased.yaml").write_text(json.dumps(it.config))
    it.process.send_signal(signal.SIGHUP)
    log = it.folder / "leased.log"
    until(lambda: "a sink's keys can't be changed without a restart" in log.read_text(), "it is refused")
    assert it.use()[0] == 0
    it.end()
    assert store.paths == {"/audit"}


def test_a_stop_is_not_kept_by_a_sink_that_says_nothing(daemon, store):
    it = daemon(store.address, required=False)
    store.is_silent = True
    assert it.use()[0] == 0
    process = it.process
    it.end()
    assert process.returncode == 0


def test_mistakes_in_a_sinks_keys_are_shown_at_their_place(daemon, store, installed):
    it = daemon(store.address, required=False)
    it.end()
    for change, said in (({"endpoint": 7}, "endpoint: expected a short text"), ({"colour": "red"}, "colour: unknown key"),
                         ({"address": None}, "address: expected a short text"), ({"path": "/x"}, "a plugin's sink has no `path`"),
                         ({"sink": "example-sin"}, "example-sin"), ({"sink": "example-backend"}, "example-backend")):
        it.config["audit"][1] = {"sink": "example-sink", "address": store.address, **change}
        (it.folder / "leased.yaml").write_text(json.dumps(it.config, indent=1))
        code, text = check(installed, it.folder)
        assert code == 78 and said in text, text
