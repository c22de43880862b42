"""LoadCredential= of systemd: a peer that says in its socket's name for which unit it asks, and reads to the end."""
import json
import os
import subprocess
import sys

import pytest
from conftest import CONSUMER, STRANGER, needs_root
from servers import as_user, until
from test_files import unit  # noqa: F401

UNIT = f"leased-load-{os.getpid()}.service"

# What systemd does for LoadCredential=ID:/path of a socket: binds the name, connects, reads to the end.
PEER = """
import socket, sys
name, path, first = sys.argv[1], sys.argv[2], sys.argv[3].encode()
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.bind(b"\\0" + name.encode())
s.settimeout(30)
s.connect(path)
if first:
    s.sendall(first)
data = b""
try:
    while part := s.recv(65536):
        data += part
except ConnectionResetError:
    pass
sys.stdout.buffer.write(data)
"""


def ask(daemon, credential, name=UNIT, user="root", first="", digits="adf9d86b6eda275e"):
    done = subprocess.run([*(as_user(user) if user != "root" else []), sys.executable if user == "root" else "python3", "-c", PEER,
                           f"{digits}/unit/{name}/{credential}", daemon.socket, first], capture_output=True, text=True, check=False, cwd="/",
                          timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def loaded(orders):
    def maker(listener=("native", "metrics", "systemd"), **config):
        made = orders(rules=[{"name": "load", "subjects": [{"user": "root", "unit": UNIT}], "roles": ["*"]}], config=config)
        if listener:
            made.daemon.config["listeners"][0]["serve"] = list(listener)
            with open(made.daemon.config_path, "w", encoding="utf-8") as f:
                json.dump(made.daemon.config, f)
            assert made.daemon.lease("root", "reload").returncode == 0
        return made
    return maker


ADMIN = {"policies": {"rules": [{"name": "load", "subjects": [{"user": "root", "unit": UNIT}], "roles": ["*"]}], "admins": [{"user": "root"}]}}


@needs_root
def test_a_unit_gets_its_credential_and_it_ends_with_the_unit(loaded, unit):  # noqa: F811
    made = loaded(**ADMIN)
    folder = unit(UNIT)
    username, password = ask(made.daemon, f"{made.role}.username"), ask(made.daemon, f"{made.role}.password")
    assert made.logs_in({"username": username, "password": password}), "two credentials of one unit are of one lease"
    whole = json.loads(ask(made.daemon, made.role))
    assert whole["credential"] == {"username": username, "password": password}
    service = subprocess.Popen(["sh", "-c", f"echo $$ > {folder}/cgroup.procs && exec sleep 600"])
    until(lambda: open(f"{folder}/cgroup.procs", encoding="utf-8").read(), "the unit runs")
    created = made.events("grant.created")
    assert len(created) == 1 and created[0]["binding"] == "file" and created[0]["identity"]["unit"] == UNIT
    # It has run for a moment that the daemon has seen.
    until(lambda: made.daemon.metric('leased_requests_total{api="systemd",code="200"}') == 3, "three were answered")
    subprocess.run(["sleep", "0.8"], check=True)
    assert made.logs_in({"username": username, "password": password})
    service.kill()
    service.wait()
    made.await_dead({"username": username, "password": password})
    assert made.events("grant.ended")[0]["grant"] == created[0]["grant"]


@needs_root
@pytest.mark.parametrize("user", [CONSUMER, STRANGER])
def test_a_forged_name_is_refused_and_on_record(loaded, user):
    made = loaded(**ADMIN)
    assert ask(made.daemon, f"{made.role}.password", user=user) == ""
    denied = until(lambda: made.events("grant.denied"), "it is on record")
    assert denied[0]["api"] == "systemd" and denied[0]["identity"]["user"] == user
    assert not made.lease_ids()


@needs_root
def test_other_questions_get_nothing(loaded):
    made = loaded(**ADMIN)
    assert ask(made.daemon, f"{made.role}.nonsense") == ""
    assert ask(made.daemon, "no-such-role") == ""
    assert ask(made.daemon, f"{made.role}.password", name="other.service") == "", "no rule is about this unit"
    until(lambda: not made.lease_ids(), "nothing stays issued")
    # Who speaks is no service manager; who has another name is a client like any other.
    assert "HTTP/1.1" not in ask(made.daemon, f"{made.role}.password", first="GET / HTTP/1.1\r\n\r\n")


@needs_root
def test_where_it_is_not_served_the_connection_just_ends(loaded):
    made = loaded(listener=None, **ADMIN)
    assert ask(made.daemon, f"{made.role}.password") == ""
    assert not made.lease_ids()
    assert made.daemon.lease("root", "status").returncode == 0
