"""Callers in other pid namespaces, as a pod's containers are: over a socket that is shared with them, by user and listener."""
import contextlib
import json
import os
import subprocess
import sys

import pytest
from conftest import CONSUMER, STRANGER, needs_root
from servers import as_user, clean_environment, ensure_user, until

ELSEWHERE = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "in_pid_namespace.py")]
RULES = [{"name": "pod", "subjects": [{"uid": ensure_user(CONSUMER).pw_uid, "listener": "local"}], "roles": ["*"],
          "limits": {"binding": ["none"]}}]

pytestmark = needs_root


@pytest.fixture
def pod(orders):
    """pod(peers, rules=RULES, **role): an Orders whose leased runs in a pid namespace of its own, as a sidecar does: the callers are
    outside of it."""
    def maker(peers="foreign", rules=None, **role):
        made = orders(rules=rules or RULES, **role)
        made.daemon.stop()
        made.daemon.config["listeners"][0].update({"peers": peers} if peers else {})
        made.daemon.before = ELSEWHERE
        made.daemon.start()
        return made
    return maker


def ask(made, user=CONSUMER, binding="none", prefix=()):
    return subprocess.run([*prefix, *made.daemon.command(user, "get", made.role, "-o", "json", "--bind", binding)], capture_output=True,
                          text=True, check=False, timeout=60, env=clean_environment(), cwd="/", stdin=subprocess.DEVNULL)


class Reader:
    """A process that reads a credential over a connection of its own, and keeps both."""

    def __init__(self, made, binding, prefix=()):
        program = (
            "import http.client, json, socket, sys\n"
            "path, target = sys.argv[1:]\n"
            "c = http.client.HTTPConnection('localhost')\n"
            "c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(path)\n"
            "c.request('GET', target, headers={'X-Leased-Request': '1'})\n"
            "print(c.getresponse().read().decode(), flush=True)\n"
            "sys.stdin.read()\n")
        self.process = subprocess.Popen(
            [*prefix, *as_user(CONSUMER), "python3", "-c", program, made.daemon.socket,
             f"/leased/v1/credentials/{made.role}?binding={binding}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=clean_environment(), cwd="/")
        self.answer = json.loads(self.process.stdout.readline())

    def end(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def test_a_caller_outside_is_known_by_uid_and_listener(pod):
    made = pod()
    done = ask(made)
    assert done.returncode == 0, done.stderr
    assert made.logs_in(json.loads(done.stdout))
    created = until(lambda: made.events("grant.created"), "it is on record")[0]
    assert created["identity"]["uid"] == ensure_user(CONSUMER).pw_uid
    assert created["identity"].get("pid") in (None, 0)
    denied = ask(made, STRANGER)
    assert denied.returncode == 3
    assert "a rule must name its listener" in denied.stderr


def test_a_rule_without_the_listener_is_not_about_it(pod):
    made = pod(rules=[{"name": "all", "subjects": [{"user": "*"}], "roles": ["*"]}])
    done = ask(made)
    assert done.returncode == 3
    assert "a rule must name its listener" in done.stderr
    assert made.world.bao.requests(made.path) == 0


def test_without_peers_foreign_it_is_denied_with_the_reason(pod):
    made = pod(peers=None)
    done = ask(made)
    assert done.returncode == 3
    assert "outside the daemon's pid namespace" in done.stderr and "peers: foreign" in done.stderr
    assert made.world.bao.requests(made.path) == 0


@pytest.mark.parametrize("binding", ["connection", "process"])
def test_what_a_caller_outside_holds_ends_with_it(pod, binding):
    made = pod()
    reader = Reader(made, binding, prefix=ELSEWHERE)
    try:
        if binding == "process" and reader.answer.get("code") == "binding_unavailable":
            pytest.skip("this kernel gives no pidfd for such a caller")
        assert made.logs_in(reader.answer), reader.answer
    finally:
        reader.end()
    made.await_dead(reader.answer)


def test_what_needs_sight_of_the_process_is_unavailable(pod):
    made = pod()
    for binding in ("parent", "pid:1"):
        done = ask(made, binding=f"{binding}")
        assert "binding_unavailable" in done.stderr or "limit_exceeded" in done.stderr, done.stderr
    assert "the caller's process isn't known" in ask(made, binding="parent").stderr


def test_a_caller_in_sight_of_such_a_listener_is_known_as_ever(orders, shell):
    made = orders(rules=[{"name": "all", "subjects": [{"user": CONSUMER}], "roles": ["*"]}])
    made.daemon.stop()
    made.daemon.config["listeners"][0]["peers"] = "foreign"
    made.daemon.start()
    credential = shell(made.daemon).get(made.role)
    assert made.logs_in(credential)
    created = until(lambda: made.events("grant.created"), "it is on record")[0]
    assert created["identity"]["pid"] > 0
