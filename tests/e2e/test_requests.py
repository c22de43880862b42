"""Just-in-time requests: somebody else approves exactly what was asked, it is used once, and everything survives a kill."""
import hashlib
import hmac
import http.server
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

import pytest
from conftest import CONSUMER, needs_root
from servers import ensure_user, give_to, until

DBA, OTHER_DBA, ALT = "ci-dba", "ci-dba2", "ci-alt"
PERSONS = {"carla": [{"user": CONSUMER}, {"user": ALT}]}

pytestmark = needs_root


def rule(name="prod", count=1, duration="10m", **more):
    approval = {"from": [{"user": DBA}, {"user": OTHER_DBA}, {"user": ALT}], "count": count, "decide_within": "30m", "use_within": "15m"}
    return {"name": name, "subjects": [{"user": CONSUMER}], "roles": ["*"], "limits": {"duration": duration},
            "require": {"reason": "^fix", "approval": approval}, **more}


class Approvals:
    """An Orders whose leased has a ledger, and a policy in a folder."""

    def __init__(self, world, orders, rules, **config):
        for user in (DBA, OTHER_DBA, ALT):
            ensure_user(user)
        self.folder = tempfile.mkdtemp(prefix="requests-", dir=world.folder)
        self.policy = f"{self.folder}/policy.yaml"
        self.write(rules)
        give_to(self.folder, "leased")
        self.made = orders(binding="none", config={"policies": {"path": self.policy},
                                                   "state": {"ledger": {"sqlite": f"{self.folder}/ledger.db"}}, **config})
        self.daemon, self.role = self.made.daemon, self.made.role

    def write(self, rules):
        with open(self.policy, "w", encoding="utf-8") as f:
            json.dump({"persons": PERSONS, "rules": rules, "admins": [{"user": "root"}]}, f)

    def lease(self, user, *words):
        return self.daemon.lease(user, *words)

    def ask(self, *options, reason="fix it", code=6):
        done = self.lease(CONSUMER, "request", self.role, "--reason", reason, "-o", "json", *options)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def say(self, user, verb, request, code=0):
        done = self.lease(user, verb, request, "--comment", f"says {user}")
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def show(self, request):
        return json.loads(self.lease("root", "show", request, "-o", "json").stdout)

    def events(self, name):
        return [r for r in self.daemon.records() if r["event"] == name]

    def kill(self):
        self.daemon.process.send_signal(signal.SIGKILL)
        self.daemon.process.wait()
        self.daemon.start()


@pytest.fixture
def approvals(world, orders):
    return lambda rules, **config: Approvals(world, orders, rules, **config)


def test_somebody_else_approves_it_and_it_is_used_once(approvals, shell):
    it = approvals([rule()])
    script = shell(it.daemon)
    assert script.run(f"lease get {it.role} --reason 'fix it'")[0] == 6
    request = it.ask("--ticket", "OPS-7", "--for", "5m")
    assert (request["state"], request["needed"], request["duration"]) == ("approval_pending", 1, 300)
    assert it.ask("--ticket", "OPS-7", "--for", "5m")["id"] == request["id"]
    assert it.daemon.metric("leased_requests_pending") == 1
    assert script.run(f"lease get {it.role} --reason 'fix it'")[0] == 6
    again = it.lease(CONSUMER, "get", it.role)  # what was asked needn't be said again
    assert (again.returncode, request["id"] in again.stderr) == (6, True), again.stderr
    it.kill()
    it.say(CONSUMER, "approve", request["id"], 3)
    assert "same person" in it.say(ALT, "approve", request["id"], 3)
    it.say("root", "approve", request["id"], 3)
    assert "may_approve\": true" in it.lease(DBA, "requests", "-o", "json").stdout
    it.say(DBA, "approve", request["id"])
    it.kill()
    credential = script.get(it.role)
    assert it.made.logs_in(credential)
    assert script.get(it.role)["grant"] == credential["grant"]
    created = it.events("grant.created")
    assert [(r["reason"], r["ticket"], r["approvers"], r["approval"], r["policy"]["rule"]) for r in created] == [
        ("fix it", "OPS-7", [DBA], request["id"], "prod")]
    assert it.show(request["id"])["state"] == "used"
    # What was approved was one grant: another process gets none by it.
    assert shell(it.daemon).run(f"lease get {it.role} --reason 'fix it'")[0] == 6
    it.kill()
    assert script.get(it.role)["grant"] == credential["grant"]
    script.end()
    it.made.await_dead(credential)
    assert [r["event"] for r in it.daemon.records() if r["event"].startswith("request.")] == [
        "request.created", *3 * ["request.refused"], "request.approved"]


def test_two_approve_or_nobody_has(approvals, shell):
    it = approvals([rule(count=2)])
    waiting = subprocess.Popen(it.daemon.command(CONSUMER, "request", it.role, "--reason", "fix it", "--wait", "1m"), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    request = until(lambda: json.loads(it.lease(DBA, "requests", "-o", "json").stdout), "it is there")[0]["id"]
    it.say(DBA, "approve", request)
    it.say(DBA, "approve", request)  # its answer was lost
    assert len(it.show(request)["approvals"]) == 1
    it.kill()
    it.say(OTHER_DBA, "approve", request)
    assert waiting.wait(60) == 0, waiting.stderr.read()
    assert waiting.stdout.read() == f"{request} approved\n"
    assert it.events("request.approved")[-1]["approvers"] == [DBA, OTHER_DBA]
    waiting.stdout.close(), waiting.stderr.close()
    assert it.made.logs_in(shell(it.daemon).get(it.role))


def test_exec_waits_for_the_approval(approvals):
    it = approvals([rule()])
    program = subprocess.Popen(it.daemon.command(CONSUMER, "exec", it.role, "--reason", "fix it", "--wait", "1m", "--", "env"),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    request = until(lambda: json.loads(it.lease(DBA, "requests", "-o", "json").stdout), "it is there")[0]["id"]
    it.say(DBA, "approve", request)
    output, errors = program.communicate(timeout=60)
    assert program.returncode == 0, errors
    assert "_PASSWORD=" in output


def test_denied_withdrawn_and_out_of_time(approvals):
    short = rule()
    short["require"]["approval"] |= {"decide_within": "2s"}
    it = approvals([rule()])
    denied = it.ask()["id"]
    it.say(DBA, "deny", denied)
    assert it.show(denied)["why"] == f"denied by {DBA}: says {DBA}"
    withdrawn = it.ask()["id"]
    it.say(CONSUMER, "withdraw", withdrawn)
    it.say(DBA, "approve", withdrawn, 1)
    it.write([short])
    it.daemon.send(signal.SIGHUP)
    until(lambda: it.events("config.reloaded"), "the policy is there")
    done = it.lease(CONSUMER, "request", it.role, "--reason", "fix it", "--wait")
    assert (done.returncode, "expired: nobody decided in time" in done.stdout) == (3, True), done
    until(lambda: [len(it.events(f"request.{event}")) for event in ("denied", "withdrawn", "expired")] == [1, 1, 1], "all are on record")


def test_a_changed_rule_takes_the_approval_and_what_was_made_of_it(approvals, shell):
    it = approvals([rule()])
    script = shell(it.daemon)
    used = it.ask()["id"]
    it.say(DBA, "approve", used)
    credential = script.get(it.role)
    approved = it.ask(reason="fix another")["id"]
    it.say(DBA, "approve", approved)
    it.write([rule(duration="9m")])
    it.daemon.send(signal.SIGHUP)
    until(lambda: it.show(approved)["state"] == "stale", "the approval is for another rule")
    it.made.await_dead(credential)
    assert it.events("grant.ended")[-1]["outcome"] == "policy"
    assert script.run(f"lease get {it.role} --reason 'fix another'")[0] == 6


class Hook:
    """Receives what leased tells, and fails as often as it is told to."""

    def __init__(self, failures=0):
        self.got, self.failures = [], failures
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.failures -= 1
                self.send_response(503 if hook.failures >= 0 else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if hook.failures < 0:
                    hook.got.append((body, self.headers["X-Leased-Signature"]))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self):
        return [json.loads(body)["event"] for body, _ in self.got]


def test_broken_glass_is_told_at_once_and_reviewed(approvals, shell, world):
    hook = Hook(failures=1)
    folder = tempfile.mkdtemp(prefix="notify-", dir=world.folder)
    with open(f"{folder}/key", "w", encoding="utf-8") as f:
        f.write("of-the-hook\n")
    os.chmod(f"{folder}/key", 0o600)
    give_to(f"{folder}/key", "leased")
    give_to(folder, "leased")
    glass = rule("glass", break_glass=True)
    it = approvals([glass], notify=[
        {"url": hook.url, "events": ["request.*"], "hmac_key_file": f"{folder}/key"},
        {"exec": ["/bin/sh", "-c", f"cat >>{folder}/told"], "events": ["request.created"]}])
    script = shell(it.daemon)
    denied = it.lease(CONSUMER, "get", it.role, "--reason", "fix it")
    assert (denied.returncode, "--break-glass" in denied.stderr) == (3, True), denied.stderr
    assert "--break-glass" in it.lease(CONSUMER, "explain", it.role).stdout
    assert "--break-glass" not in it.lease(ALT, "get", it.role).stderr
    credential = script.get(it.role, "--reason 'fix it' --break-glass")
    assert it.made.logs_in(credential)
    until(lambda: hook.events() == ["request.created"], "it is told, at the second try")
    body, signature = hook.got[0]
    parts = dict(part.split("=", 1) for part in signature.split(","))
    assert parts["v1"] == hmac.new(b"of-the-hook", parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert abs(time.time() - int(parts["t"])) < 60
    told = json.loads(body)
    assert (told["outcome"], told["role"], told["identity"]["user"]) == ("break-glass", it.role, CONSUMER)
    until(lambda: json.loads(open(f"{folder}/told", encoding="utf-8").read())["request"] == told["request"], "the program is told")
    it.kill()
    assert [r["id"] for r in json.loads(it.lease(DBA, "requests", "--review", "-o", "json").stdout)] == [told["request"]]
    assert script.get(it.role)["grant"] == credential["grant"]
    it.say(CONSUMER, "approve", told["request"], 3)
    it.say(DBA, "deny", told["request"])
    it.made.await_dead(credential)
    assert json.loads(it.lease(DBA, "requests", "--review", "-o", "json").stdout) == []
    until(lambda: hook.events() == ["request.created", "request.refused", "request.denied"], "that, too")
