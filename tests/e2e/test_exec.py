"""Credentials that a configured program prints, run by the helper process of a real leased."""
import json
import os
import pwd
import signal
import subprocess
import time

import pytest
from conftest import CONSUMER, needs_root
from servers import IS_ROOT, give_to, until

CANARY = "canary-7f3a9c"

PRINT = f"""#!/bin/sh
echo '{{"fields": {{"username": "u7", "password": "{CANARY}"}}, "ttl": 900}}'
"""

# Prints what it finds around it as the credential.
LOOK = r"""#!/usr/bin/python3 -I
import json, os
def status(key):
    return next(line.split()[1] for line in open("/proc/self/status") if line.startswith(key + ":"))
def is_open(number):
    try:
        return os.fstat(number) is not None
    except OSError:
        return False
seen = {"environment": dict(os.environ), "descriptors": [n for n in range(256) if is_open(n)], "stdin": os.readlink("/proc/self/fd/0"),
        "uid": os.getuid(), "groups": os.getgroups(), "cwd": os.getcwd(), "argv": open("/proc/self/cmdline").read().split("\0")[1:-1],
        "leads_group": os.getpgrp() == os.getpid(), "leads_session": os.getsid(0) == os.getpid(), "caps": status("CapEff"),
        "ambient": status("CapAmb"), "no_new_privs": status("NoNewPrivs"), "dumpable_core": status("CoreDumping")}
print(json.dumps({"fields": {"seen": json.dumps(seen)}, "secret": [], "ttl": 900}))
"""


@pytest.fixture
def tool(start, world, request):
    """tool(scripts={name: text}, **keys): a leased with one backend `tool` whose keys may name {folder}; .get(…) leases from it."""
    def maker(command, revoke=None, changes=None, environment=None, **keys):
        maker.count += 1
        folder = f"{world.folder}/exec-{abs(hash(request.node.nodeid)) % 10**8}-{maker.count}"
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        state = f"{folder}/state"
        os.mkdir(state)
        os.chmod(state, 0o777)

        def script(name, text):
            with open(f"{folder}/{name}", "w", encoding="utf-8") as f:
                f.write(text.replace("{state}", state))
            os.chmod(f.name, 0o755)
            return f.name
        backend = {"plugin": "exec", "command": [script("print", command), "fixed", "$(id) 'x"], **keys}
        if revoke:
            backend["revoke_command"] = [script("revoke", revoke)]
        daemon = start({"tool": {"backend": "tool", "binding": "none"}}, backends={"tool": backend}, environment=environment, **(changes or {}))
        daemon.state = state
        return daemon
    maker.count = 0
    return maker


def get(daemon, *options):
    return daemon.lease(CONSUMER, "get", "tool", "--bind", "none", "-o", "json", *options)


def credential(daemon, *options):
    done = get(daemon, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def helper_of(daemon):
    """The pid of the helper process."""
    found = subprocess.run(["pgrep", "-P", str(daemon.process.pid)], capture_output=True, text=True, check=True)
    return int(found.stdout)


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except OSError:
        return ""


def test_what_a_program_prints_is_leased(tool):
    daemon = tool(PRINT)
    made = credential(daemon)
    assert made["credential"] == {"username": "u7", "password": CANARY}
    assert made["renewable"] is False and made["revocable"] is False
    for text in (daemon.log_lines(), json.dumps(daemon.records())):
        assert CANARY not in text


def test_credential_process_of_aws_is_accepted(tool):
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    daemon = tool("#!/bin/sh\necho '" + json.dumps({"Version": 1, "AccessKeyId": "ASIAX", "SecretAccessKey": CANARY, "SessionToken": "t",
                                                    "Expiration": end}) + "'\n")
    made = credential(daemon)
    assert made["credential"] == {"access_key_id": "ASIAX", "secret_access_key": CANARY, "session_token": "t"}


def test_a_program_has_nothing_of_the_daemons(tool, world):
    daemon = tool(LOOK, env={"TOOL_ACCOUNT": "7"}, environment={"SECRET_OF_THE_DAEMON": CANARY, "LD_PRELOAD": "/nonexistent.so"})
    seen = json.loads(credential(daemon, "--reason", "deploy 7")["credential"]["seen"])
    uid = seen["environment"].pop("LEASED_UID")
    assert seen["environment"].pop("LEASED_TTL_S", "1").isdigit()
    assert seen["environment"].pop("LEASED_UNIT", "").find("\n") == -1
    assert seen["environment"] == {"PATH": "/usr/bin:/bin", "LANG": "C", "HOME": "/", "TOOL_ACCOUNT": "7", "LEASED_ROLE": "tool",
                                   "LEASED_USER": CONSUMER, "LEASED_REASON": "deploy 7"} | (
                                       {"LC_CTYPE": "C.UTF-8"} if "LC_CTYPE" in seen["environment"] else {})
    assert uid.isdigit()
    assert seen["descriptors"] == [0, 1, 2] and seen["stdin"] == "/dev/null"
    assert seen["argv"][-2:] == ["fixed", "$(id) 'x"], "arguments are passed as they are, without a shell"
    assert seen["leads_group"] and seen["leads_session"] and seen["cwd"] == "/"
    assert int(seen["caps"], 16) == 0 and int(seen["ambient"], 16) == 0 and seen["no_new_privs"] == "1"
    if IS_ROOT:
        assert seen["uid"] == os.stat(daemon.socket).st_uid != 0
    # The helper itself was forked before anything was read, and holds one socket.
    helper = helper_of(daemon)
    if not IS_ROOT:
        with pytest.raises(PermissionError):
            os.listdir(f"/proc/{helper}/fd")
        return
    with open(f"/proc/{helper}/environ", "rb") as f:
        assert CANARY.encode() not in f.read()
    links = [os.readlink(f"/proc/{helper}/fd/{n}") for n in os.listdir(f"/proc/{helper}/fd")]
    assert sorted(link.split(":")[0] for link in links if link != daemon.log) == ["/dev/null", "/dev/null", "socket"]


@pytest.mark.parametrize("reason", ["$(touch {state}/owned)", "`touch {state}/owned`", "'; touch {state}/owned; '", "\" PATH=/tmp LD_PRELOAD=x",
                                    "-rf / --", "LEASED_ROLE=admin", "%s%n", "日本 ünï"])
def test_a_reason_is_a_value_and_nothing_else(tool, reason):
    daemon = tool(LOOK)
    reason = reason.replace("{state}", daemon.state)
    seen = json.loads(credential(daemon, "--reason", reason)["credential"]["seen"])
    assert seen["environment"]["LEASED_REASON"] == reason and seen["environment"]["LEASED_ROLE"] == "tool"
    assert not os.listdir(daemon.state)


def test_a_reason_of_several_lines_runs_nothing(tool):
    daemon = tool("#!/bin/sh\ntouch {state}/ran\n" + PRINT[10:])
    done = get(daemon, "--reason", "a\nLEASED_ROLE=admin")
    assert done.returncode != 0 and not os.listdir(daemon.state)


def test_what_takes_too_long_is_killed_with_its_children(tool):
    daemon = tool("#!/bin/sh\nsleep 600 &\necho $! > {state}/child; echo $$ > {state}/own; wait\n", timeout="1s")
    began = time.monotonic()
    done = get(daemon)
    assert done.returncode != 0 and "took too long" in done.stderr + daemon.log_lines()
    assert time.monotonic() - began < 10
    for name in ("child", "own"):
        pid = int(read(f"{daemon.state}/{name}"))
        until(lambda pid=pid: not lives(pid), "its processes are gone", 5)


@pytest.mark.parametrize("script, text", [
    ("echo 'no such account' >&2; exit 77", "exit code 77: no such account"),
    ("echo oops", "is no JSON object"),
    ("yes", "printed more than 64 KiB"),
    ("kill -SEGV $$", "ended by signal 11"),
])
def test_a_failure_says_what_it_was(tool, script, text):
    done = get(tool(f"#!/bin/sh\n{script}\n"))
    assert done.returncode != 0 and text in done.stderr


def test_a_program_that_is_missing_is_told(tool):
    daemon = tool(PRINT)
    os.unlink(daemon.config["backends"]["tool"]["command"][0])
    done = get(daemon)
    assert done.returncode != 0 and "could not be run: No such file or directory" in done.stderr


REVOKE = "#!/bin/sh\necho \"$LEASED_REF\" >> {state}/revoked\n"


def test_what_is_given_back_is_revoked_under_its_name(tool):
    daemon = tool("#!/bin/sh\necho \"$LEASED_REF\" >> {state}/made\n" + PRINT[10:], REVOKE)
    made = credential(daemon)
    assert made["revocable"] is True and read(f"{daemon.state}/revoked") == ""
    assert daemon.lease(CONSUMER, "revoke", made["grant"]).returncode == 0
    until(lambda: read(f"{daemon.state}/revoked"), "it is revoked", 10)
    assert read(f"{daemon.state}/revoked") == read(f"{daemon.state}/made") and len(read(f"{daemon.state}/made")) == 33


def test_a_stop_revokes_though_the_whole_group_is_told_to_end(tool):
    daemon = tool(PRINT, REVOKE)
    credential(daemon)
    helper = helper_of(daemon)
    os.killpg(daemon.process.pid, signal.SIGTERM)
    daemon.process.wait(20)
    assert len(read(f"{daemon.state}/revoked")) == 33
    until(lambda: not lives(helper), "the helper has ended", 5)


def test_a_daemon_that_is_killed_leaves_no_program_behind(tool):
    daemon = tool("#!/bin/sh\necho $$ > {state}/own; exec sleep 600\n")
    daemon.exit_code = -signal.SIGKILL
    with subprocess.Popen(daemon.command(CONSUMER, "get", "tool", "--bind", "none"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/") as client:
        pid = int(until(lambda: read(f"{daemon.state}/own").strip(), "it runs", 10))
        helper = helper_of(daemon)
        daemon.process.kill()
        until(lambda: not lives(pid) and not lives(helper), "the program and the helper are gone", 5)
        client.wait(20)


def test_without_its_helper_a_daemon_says_so_and_serves_the_rest(tool, world):
    rules = [{"name": "all", "subjects": [{"user": CONSUMER}, {"user": "root"}], "roles": ["*"]}]
    daemon = tool(PRINT, changes={"policies": {"rules": rules, "admins": [{"subjects": [{"user": CONSUMER}]}]}})
    helper = helper_of(daemon)
    os.kill(helper, signal.SIGKILL)
    until(lambda: "helper.ended" in daemon.log_lines(), "it is in the log", 5)
    done = get(daemon)
    assert done.returncode != 0 and "the helper process that runs programs has ended: restart leased" in done.stderr
    status = json.loads(daemon.lease(CONSUMER, "status", "-o", "json").stdout)
    assert any("backend tool is down: the helper process" in warning for warning in status["warnings"])
    until(lambda: not os.path.exists(f"/proc/{helper}"), "it is reaped", 5)


def test_programs_change_with_a_restart_only(tool):
    daemon = tool(PRINT)
    path, config = daemon.config_path, json.loads(json.dumps(daemon.config))
    rules = config["policies"]["rules"]
    rules[0]["subjects"].append({"user": "root"})
    config["policies"]["admins"] = [{"subjects": [{"user": "root"}]}]

    def reload(changed):
        with open(path, "w", encoding="utf-8") as f:
            json.dump(changed, f)
        lines = len(daemon.log_lines())
        daemon.send(signal.SIGHUP)
        until(lambda: "config.re" in daemon.log_lines()[lines:], "it has read it", 10)
        return daemon.log_lines()[lines:]
    assert "config.reloaded" in reload(config)
    for key, value in (("command", ["/bin/true"]), ("env", {"A": "b"}), ("timeout", "7s"), ("revoke_command", ["/bin/true"])):
        changed = json.loads(json.dumps(config))
        changed["backends"]["tool"][key] = value
        log = reload(changed)
        assert "config.rejected" in log and "can't be changed without a restart" in log
    added = json.loads(json.dumps(config))
    added["backends"]["other"] = added["backends"]["tool"]
    assert "can't be added without a restart" in reload(added)
    limited = json.loads(json.dumps(config))
    limited["backends"]["tool"]["limits"] = {"issue_rate": "7/s"}
    assert "config.reloaded" in reload(limited)
    assert credential(daemon)["credential"]["username"] == "u7"


def test_without_programs_there_is_no_helper(start, world):
    daemon = start({"r": {"backend": "bao", "path": "database/creds/x"}})
    assert subprocess.run(["pgrep", "-P", str(daemon.process.pid)], capture_output=True, check=False).returncode == 1


class Alone:
    """A leased with the one backend `tool`, run by root under a prefix of the test's choice, its consumer root."""

    def __init__(self, world, name, script):
        self.world, self.folder = world, f"{world.folder}/exec-{name}"
        os.mkdir(self.folder)
        os.chmod(self.folder, 0o755)
        self.script = f"{self.folder}/print"
        with open(self.script, "w", encoding="utf-8") as f:
            f.write(script)
        os.chmod(self.script, 0o755)
        self.keys, self.process = {"plugin": "exec", "command": [self.script]}, None

    def command(self, **keys):
        self.keys.update(keys)
        config = {"listeners": [{"unix": f"{self.folder}/sock", "mode": "0666"}], "backends": {"tool": self.keys},
                  "roles": {"tool": {"backend": "tool"}}, "audit": [{"sink": "file", "path": f"{self.folder}/audit"}],
                  "policies": {"rules": [{"name": "all", "subjects": [{"user": "root"}], "roles": ["*"]}]}}
        with open(f"{self.folder}/c.yaml", "w", encoding="utf-8") as f:
            json.dump(config, f)
        os.chmod(f.name, 0o644)
        return [self.world.program("leased"), "--config", f"{self.folder}/c.yaml"]

    def fails(self, **keys):
        done = subprocess.run(self.command(**keys), capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 78
        return done.stderr

    def start(self, *prefix, **keys):
        if prefix:
            give_to(self.folder, "leased")
        self.process = subprocess.Popen([*prefix, *self.command(**keys)], stderr=subprocess.DEVNULL, cwd="/")
        until(lambda: os.path.exists(f"{self.folder}/sock"), "it is up", 10)
        return self

    def get(self):
        return subprocess.run([self.world.program("lease"), "get", "tool", "--socket", f"{self.folder}/sock", "-o", "json"],
                              capture_output=True, text=True, timeout=20, check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait(20)


@needs_root
def test_a_daemon_of_root_has_to_say_as_whom(world):
    """And then that is who it is."""
    with Alone(world, "root", LOOK) as daemon:
        assert "say as whom its programs run" in daemon.fails()
        assert "names nobody that this machine knows" in daemon.fails(user="nobody-here")
        seen = json.loads(json.loads(daemon.start(user=CONSUMER).get().stdout)["credential"]["seen"])
    assert seen["uid"] == pwd.getpwnam(CONSUMER).pw_uid and 0 not in seen["groups"]
    assert int(seen["caps"], 16) == 0 and seen["no_new_privs"] == "1"


DROP_IN = ["setpriv", "--reuid=leased", "--regid=leased", "--clear-groups", "--inh-caps=-all,+setuid,+setgid,+kill",
           "--ambient-caps=-all,+setuid,+setgid,+kill", "--bounding-set=-all,+setuid,+setgid,+kill", "--no-new-privs", "--"]


@needs_root
def test_with_the_drop_in_programs_run_as_others_and_only_the_helper_has_capabilities(world):
    with Alone(world, "drop-in", LOOK) as daemon:
        seen = json.loads(json.loads(daemon.start(*DROP_IN, user=CONSUMER).get().stdout)["credential"]["seen"])
        with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as f:
            own = dict(line.split(":", 1) for line in f)
        with open(f"/proc/{helper_of(daemon)}/status", encoding="utf-8") as f:
            helpers = dict(line.split(":", 1) for line in f)
    assert seen["uid"] == pwd.getpwnam(CONSUMER).pw_uid
    assert int(seen["caps"], 16) == 0 and int(seen["ambient"], 16) == 0
    assert all(int(own[key], 16) == 0 for key in ("CapEff", "CapPrm", "CapInh", "CapAmb"))
    assert int(helpers["CapEff"], 16) == 1 << 5 | 1 << 6 | 1 << 7


@needs_root
def test_with_the_drop_in_programs_of_others_are_killed_too(world):
    with Alone(world, "drop-in-slow", "#!/bin/sh\nsleep 602.5\n") as daemon:
        done = daemon.start(*DROP_IN, user=CONSUMER, timeout="1s").get()
        assert done.returncode != 0 and "took too long" in done.stderr
        until(lambda: subprocess.run(["pgrep", "-f", "sleep 602.5"], capture_output=True, check=False).returncode == 1, "it is gone", 5)
