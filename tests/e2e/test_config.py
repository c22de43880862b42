"""Mistakes in the configuration: all of them, with their places, in one go."""
import re
import subprocess

import pytest
from servers import as_user, clean_environment

MISTAKES = """\
listeners:
  - unix: /run/leased/leased.sock
    mode: "0999"
    servce: [native]
backends:
  bao:
    plugin: valt
    address: http://127.0.0.1:8200
    limits: {timeout: soon}
roles:
  orders-db:
    backend: boa
    path: database/creds/orders
    renew_at: 150%
    share: everybody
    ttl: -3s
policies:
  rules:
    - {name: a, subjects: [{user: bob}], roles: [orders-bd]}
audit:
  - sink: flie
"""
# Line of each mistake, and a part of what must be said about it.
PLACES = [(3, "mode"), (4, "serve"), (7, "vault"), (9, "timeout"), (12, "bao"), (14, "renew_at"), (15, "share"), (16, "ttl"),
          (19, "orders-db"), (21, "file")]


@pytest.mark.parametrize("options", [["--check"], []], ids=["check", "start"])
def test_ten_mistakes_are_ten_errors_with_their_places_and_exit_78(world, tmp_path_factory, options):
    path = f"{world.folder}/mistakes.yaml"
    with open(path, "w", encoding="utf-8") as f:
        f.write(MISTAKES)
    done = subprocess.run([*as_user("leased"), world.program("leased"), *options, "--config", path], capture_output=True, text=True,
                          check=False, env=clean_environment(), cwd="/", timeout=30)
    assert done.returncode == 78, done.stderr
    found = re.findall(r"mistakes\.yaml:(\d+):(\d+): (.*)", done.stderr + done.stdout)
    for line, part in PLACES:
        assert any(int(l) == line and part in text for l, _, text in found), f"line {line} ({part}):\n{done.stderr}"
    assert len(found) == len(PLACES), done.stderr


def test_a_good_configuration_passes_the_check_without_a_word_of_error(world, orders):
    made = orders()
    done = subprocess.run([*as_user("leased"), world.program("leased"), "--check", "--config", made.daemon.config_path],
                          capture_output=True, text=True, check=False, env=clean_environment(), cwd="/", timeout=30)
    assert done.returncode == 0, done.stderr


def test_what_would_not_work_here_is_a_warning_with_its_place(world):
    path = f"{world.folder}/elsewhere.yaml"
    with open(path, "w", encoding="utf-8") as f:
        f.write("listeners:\n"
                "  - unix: /run/leased-nowhere/l.sock\n"
                "    group: no-such-group\n"
                "audit:\n"
                "  - {sink: file, path: /nonexistent/audit.jsonl}\n"
                "policies:\n"
                "  admins: [{user: no-such-user}]\n")
    done = subprocess.run([*as_user("leased"), world.program("leased"), "--check", "--config", path], capture_output=True, text=True,
                          check=False, env=clean_environment(), cwd="/", timeout=30)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"elsewhere\.yaml:(\d+):\d+: warning: (.*)", done.stderr)
    assert [int(line) for line, _ in found] == [7, 5, 3], done.stderr
    for (_, text), part in zip(found, ["no-such-user", "/nonexistent", "no-such-group"]):
        assert part in text, done.stderr


def test_a_missing_configuration_is_said_with_its_path(world):
    done = subprocess.run([world.program("leased"), "--config", "/nonexistent/leased.yaml"], capture_output=True, text=True,
                          check=False, env=clean_environment(), cwd="/", timeout=30)
    assert done.returncode != 0
    assert "/nonexistent/leased.yaml" in done.stderr
