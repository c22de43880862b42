"""`lease get -o FORMAT`, read back by the program that the format is for: what arrives is what the issuer gave, or nothing does."""
import ctypes
import glob
import json
import os
import shutil
import subprocess
import sys

import dotenv
import pytest
from conftest import CONSUMER
from docker_api import DockerApi
from servers import clean_environment

# One of each thing that some reader takes for something else.
HARD = {
    "plain": "s3cret", "blanks": "  a b  ", "quotes": "it's \"so\"", "single": "it's", "double": 'say "x"',
    "dollar": "$HOME $5 $(id) `id`", "hash": "#a #b", "equals": "a=b==", "backslash": r"C:\new\table", "both": "it's \\ \"x\"",
    "ends": "x\\", "unicode": "p\u00e4ss\u2713", "glob": "* ? ~ ! ; & | < >", "lines": "-----BEGIN X-----\nab+/=\n-----END X-----\n",
    "percent": "%s %(x)s {y}", "tab": "a\tb",
}
ONE_LINE = {name: value for name, value in HARD.items() if "\n" not in value}
PASSWORD = "p:a\\s's=\"w $d#"
AWS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalr/+=K%", "session_token": "FwoG+/=="}


def variables(role, fields):
    return {f"{role}_{name}".upper(): value for name, value in fields.items()}


class Printed:
    """A leased whose roles are credentials that a program prints."""

    def __init__(self, world, start, request):
        self.world, self.folder = world, f"{world.folder}/formats-{abs(hash(request.node.nodeid)) % 10**8}"
        os.mkdir(self.folder)
        os.chmod(self.folder, 0o755)
        self.start, self.daemon = start, None

    def file(self, name, text, mode=0o600):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8", newline="") as f:
            f.write(text)
        os.chmod(f.name, mode)
        return f.name

    def serve(self, credentials, **attributes):
        backends = {name: {"plugin": "exec", "command": ["/bin/cat", self.file(f"{name}.json", json.dumps({"fields": it, "ttl": 900}), 0o644)]}
                    for name, it in credentials.items()}
        roles = {name: {"backend": name, "binding": "none", **({"attributes": attributes} if attributes else {})} for name in credentials}
        self.daemon = self.start(roles, backends=backends)
        return self

    def get(self, role, output, code=0):
        done = self.daemon.lease(CONSUMER, "get", role, "--bind", "none", "-o", output)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr


@pytest.fixture
def printed(world, start, request):
    it = Printed(world, start, request)
    yield it
    shutil.rmtree(it.folder)


@pytest.mark.parametrize("program", ["dash", "bash"])
def test_shells_evaluate_it(printed, program):
    text = printed.serve({"hard": HARD}).get("hard", "shell")
    show = "; ".join(f'printf "%s\\0" "${name}"' for name in variables("hard", HARD))
    done = subprocess.run([program, "-c", f'eval "$1"; {show}', program, text], capture_output=True, text=True, check=True)
    assert done.stdout.split("\0")[:-1] == list(HARD.values())


def test_dotenv_is_read_by_python_and_node(printed):
    path = printed.file("x.env", printed.serve({"hard": HARD}).get("hard", "dotenv"))
    assert dotenv.dotenv_values(path) == variables("hard", HARD)
    node = shutil.which("node")
    if node and subprocess.run([node, f"--env-file={path}", "-e", "0"], capture_output=True, check=False).returncode == 0:
        done = subprocess.run([node, f"--env-file={path}", "-p", "JSON.stringify(process.env)"], capture_output=True, text=True, check=True)
        seen = json.loads(done.stdout)
        common = variables("hard", {k: v for k, v in HARD.items() if k not in ("quotes", "both")})  # no form that all read alike
        assert {name: seen.get(name) for name in common} == common


def test_dotenv_refuses_what_its_readers_expand(printed):
    message = printed.serve({"bad": {"password": "canary${x}"}}).get("bad", "dotenv", 1)
    assert "the value of 'password'" in message and "canary" not in message


def systemd_reads(path):
    """What EnvironmentFile= makes of a file, by systemd's own code."""
    (library,) = glob.glob("/usr/lib/*/systemd/libsystemd-shared-*.so") or pytest.skip("systemd isn't installed")
    shared = ctypes.CDLL(library)
    found = ctypes.POINTER(ctypes.c_char_p)()
    assert shared.load_env_file(None, path.encode(), ctypes.byref(found)) == 0
    lines, i = [], 0
    while found[i] is not None:
        lines.append(found[i].decode())
        i += 1
    return dict(line.split("=", 1) for line in lines)


def test_systemd_reads_it_as_environment_file(printed):
    path = printed.file("x.env", printed.serve({"hard": HARD}).get("hard", "systemd"))
    assert systemd_reads(path) == variables("hard", HARD)


@pytest.mark.skipif(not shutil.which("docker"), reason="docker isn't installed")
def test_docker_passes_its_env_file_on(printed):
    path = printed.file("x.env", printed.serve({"hard": ONE_LINE}).get("hard", "docker"))
    api = DockerApi(f"{printed.folder}/docker.sock")
    done = subprocess.run(["docker", "-H", f"unix://{printed.folder}/docker.sock", "create", "--env-file", path, "image"],
                          capture_output=True, text=True, check=False, env=clean_environment(HOME=printed.folder), timeout=30)
    api.close()
    assert done.returncode == 0, done.stderr
    assert dict(line.split("=", 1) for line in api.environments[0]) == variables("hard", ONE_LINE)


def test_docker_and_env_refuse_a_line_break(printed):
    printed.serve({"tls": {"user": "x", "private_key": "canary\ncanary"}})
    for output in ("docker", "env"):
        message = printed.get("tls", output, 1)
        assert "the value of 'private_key' has a line break" in message and "canary" not in message


@pytest.fixture
def login(world):
    """A user of PostgreSQL whose password is hard to write down."""
    name = "fmt:user\\1"
    quoted = PASSWORD.replace("'", "''")
    world.postgres.admin(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{quoted}'")
    yield {"username": name, "password": PASSWORD}
    world.postgres.admin(f'DROP ROLE "{name}"')


def psql(*words, **environment):
    return subprocess.run(["psql", "--no-psqlrc", "--no-password", "-qAt", *words, "-c", "SELECT current_user"], capture_output=True,
                          text=True, check=False, env=clean_environment(PGCONNECT_TIMEOUT="5", **environment))


def test_psql_logs_in_with_pgpassfile_and_pgservicefile(printed, world, login):
    printed.serve({"orders": login}, host="127.0.0.1", port=world.postgres.port, dbname="postgres")
    passwords = printed.file("pgpass", printed.get("orders", "pgpass"))
    done = psql("-h", "127.0.0.1", "-p", str(world.postgres.port), "-U", login["username"], "-d", "postgres", PGPASSFILE=passwords)
    assert done.stdout.strip() == login["username"], done.stderr
    elsewhere = psql("-h", "localhost", "-p", str(world.postgres.port), "-U", login["username"], "-d", "postgres", PGPASSFILE=passwords)
    assert "no password supplied" in elsewhere.stderr
    services = printed.file("services", printed.get("orders", "pgservice"))
    done = psql("service=orders", PGSERVICEFILE=services)
    assert done.stdout.strip() == login["username"], done.stderr


def test_psql_logs_in_over_a_socket_and_without_attributes(printed, world, login):
    printed.serve({"orders": login})
    passwords = printed.file("pgpass", printed.get("orders", "pgpass"))
    done = psql("-h", world.postgres.sockets, "-p", str(world.postgres.port), "-U", login["username"], "-d", "postgres", PGPASSFILE=passwords)
    assert done.stdout.strip() == login["username"], done.stderr


def test_what_libpqs_files_cannot_hold_is_refused(printed):
    printed.serve({"blank": {"username": "u", "password": "canary "}, "lines": {"username": "u", "password": "can\nary"}, "token": {"token": "t"}})
    assert "'password' ends with a blank" in printed.get("blank", "pgservice", 1)
    assert printed.get("blank", "pgpass") == "*:*:*:u:canary \n"
    for output in ("pgpass", "pgservice"):
        assert "'password' has a line break" in printed.get("lines", output, 1)
        assert "no login of PostgreSQL" in printed.get("token", output, 1)


def test_boto3_reads_the_profile(printed):
    path = printed.file("credentials", printed.serve({"s3": AWS}).get("s3", "aws"))
    code = ("import boto3, json, sys; print(json.dumps([list(boto3.Session(profile_name=p).get_credentials().get_frozen_credentials())"
            " for p in (None, 's3')]))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env=clean_environment(AWS_SHARED_CREDENTIALS_FILE=path, AWS_CONFIG_FILE="/dev/null"))
    for seen in json.loads(done.stdout):
        assert seen[:3] == list(AWS.values())


def test_raw_and_field_are_the_bytes_themselves(printed):
    printed.serve({"hard": HARD, "token": {"token": "t\u00e4\n", "kind": "x"}})
    assert printed.get("token", "raw") == "t\u00e4\n"
    assert printed.get("hard", "field=lines") == HARD["lines"]
    assert "choose with -o field=NAME" in printed.get("hard", "raw", 1)


def test_templates_lease_what_they_name(printed):
    printed.serve({"orders": {"username": "u", "password": PASSWORD}, "gh": {"token": "canary-t"}})
    template = printed.file("app.tmpl", '{"user": ${username|json}, "password": ${orders.password|json}, "token": "${gh.token}", "x": "$${y}"}\n', 0o644)
    done = json.loads(printed.get("orders", f"template={template}"))
    assert done == {"user": "u", "password": PASSWORD, "token": "canary-t", "x": "${y}"}
    assert sorted(r["role"] for r in printed.daemon.records() if r["event"] == "grant.created") == ["gh", "orders"]


def test_a_mistake_in_a_template_has_its_place_and_prints_nothing(printed):
    printed.serve({"orders": {"username": "u", "password": "canary"}})
    template = printed.file("app.tmpl", "a ${password}\n  ${passwort}\n", 0o644)
    done = printed.daemon.lease(CONSUMER, "get", "orders", "--bind", "none", "-o", f"template={template}")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{template}:2:3: there is no 'passwort'" in done.stderr and "canary" not in done.stderr
    done = printed.daemon.lease(CONSUMER, "get", "orders", "--bind", "none", "-o", f"template={template}.missing")
    assert done.returncode == 1 and "could not read the template" in done.stderr
