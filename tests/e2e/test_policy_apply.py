"""Policies that are applied to a running daemon: planned, kept, on record, and felt by live grants at once."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import CONSUMER, STRANGER, needs_root
from servers import as_user, clean_environment, give_to, until

ADMINS = [{"subjects": [{"user": "root"}]}]
pytestmark = needs_root


def rule(name, user, roles="*", **more):
    return {"name": name, "subjects": [{"user": user}], "roles": [roles], **more}


class Operator:
    """A leased with a role for database credentials, and a folder of policies for it."""

    def __init__(self, world, name, daemon):
        self.world, self.role, self.daemon = world, name, daemon
        self.folder = f"{daemon.folder}/policies"
        os.mkdir(self.folder)

    def write(self, *rules, admins=ADMINS, name="main.yaml", folder=None, **more):
        folder = folder or self.folder
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/{name}", "w", encoding="utf-8") as f:
            json.dump({"rules": list(rules), "admins": admins, **more}, f)
        return folder

    def policy(self, *words, code=0, user="root"):
        done = self.daemon.lease(user, "policy", *words)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def plan(self, code=2):
        return json.loads(self.policy("plan", self.folder, "-o", "json", code=code))

    def shown(self):
        """What the status says of the policy, and the warnings."""
        done = self.daemon.lease("root", "status", "-o", "json")
        assert done.returncode == 0, done.stderr
        status = json.loads(done.stdout)
        return status["policy"], status["warnings"]

    def live(self):
        return self.shown_status()["grants"]

    def shown_status(self):
        return json.loads(self.daemon.lease("root", "status", "-o", "json").stdout)

    def kill(self):
        self.daemon.process.send_signal(signal.SIGKILL)
        self.daemon.process.wait()

    def events(self, event):
        return [r for r in self.daemon.records() if r["event"] == event]


@pytest.fixture
def operator(world, start, request):
    name = f"t{abs(hash(request.node.nodeid)) % 10**8}"
    world.bao.database_role(name)
    daemon = world.daemon({name: {"backend": "bao", "path": f"database/creds/{name}"}}, None)
    daemon.config["policies"] = {"rules": [rule("consumers", CONSUMER)], "admins": ADMINS}
    daemon.config["state"] = {"ledger": {"sqlite": f"{daemon.folder}/ledger.db"}}
    daemon.start()
    yield Operator(world, name, daemon)
    assert daemon.stop() == daemon.exit_code, f"leased ended badly:\n{daemon.log_lines()[-4000:]}"


def git(folder, *words):
    subprocess.run(["git", "-C", folder, "-c", "user.name=o", "-c", "user.email=o@example", *words], check=True, capture_output=True)


def test_of_one_file_only_that_and_what_it_includes_is_applied(operator):
    operator.write(rule("consumers", CONSUMER), include="teams/*.yaml")
    operator.write(rule("team", "team"), admins=[], folder=f"{operator.folder}/teams")
    operator.write(rule("beside", STRANGER), name="another.yaml")
    file = f"{operator.folder}/main.yaml"
    assert "(2 rules)" in operator.policy("apply", file).splitlines()[0]
    assert operator.daemon.lease(STRANGER, "get", operator.role, "--bind", "none").returncode == 3
    exported = json.loads(operator.policy("export", "-o", "json"))
    assert (exported["main"], [it["name"] for it in exported["files"]]) == ("main.yaml", ["main.yaml", "teams/main.yaml"])
    operator.kill()
    operator.daemon.start()
    assert operator.shown()[0]["rules"] == 2
    assert "no change" in operator.policy("plan", file, code=0)


def test_a_policy_is_planned_applied_felt_and_kept(operator, shell, tmp_path):
    consumer = shell(operator.daemon)
    credential = consumer.get(operator.role)
    assert operator.shown()[0]["source"] == "seed"

    operator.write(rule("consumers", CONSUMER))
    assert "no change" in operator.policy("plan", operator.folder, code=0)

    operator.write(rule("strangers", STRANGER))
    git(operator.folder, "init", "-q")
    git(operator.folder, "add", ".")
    git(operator.folder, "commit", "-q", "-m", "strangers alone")
    revision = subprocess.run(["git", "-C", operator.folder, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    text = operator.policy("plan", operator.folder, code=2)
    assert re.search(rf"- {CONSUMER} .*{operator.role}: allow by consumers .*-> denied", text) and "1 would end" in text, text
    plan = operator.plan()
    assert plan["grants_ending"] == 1 and plan["after"]["revision"] == revision

    begun = time.monotonic()
    text = operator.policy("apply", operator.folder, "--digest", plan["digest"])
    assert "1 grants ended" in text
    assert operator.live() == 0
    assert time.monotonic() - begun < 1.0 * float(os.environ.get("TEST_SLOWDOWN", "1"))
    until(lambda: operator.world.postgres.psql("SELECT 1", credential["credential"]["username"], credential["credential"]["password"])[0] != "1",
          "the credential is dead")
    assert consumer.run(f"lease get {operator.role}")[0] == 3
    applied = operator.events("policy.applied")
    assert len(applied) == 1 and applied[0]["identity"]["user"] == "root"
    assert applied[0]["policy"] == {"digest": plan["after"]["digest"], "revision": revision}
    for command in ([], as_user("leased")):  # root isn't who the applied copy is of
        checked = subprocess.run([*command, operator.daemon.world.program("leased"), "--check", "--config", operator.daemon.config_path],
                                 capture_output=True, text=True, check=False, env=clean_environment(), cwd="/")
        assert checked.returncode == 0, checked.stderr
    ended = operator.events("grant.ended")[-1]
    assert ended["outcome"] == "policy" and ended["policy"]["revision"] == revision
    kept = f"{operator.daemon.folder}/ledger.db.policies/{plan['after']['digest']}.json"
    with open(kept, encoding="utf-8") as f:
        assert json.load(f)["revision"] == revision
    assert os.stat(kept).st_mode & 0o777 == 0o600

    operator.kill()
    operator.daemon.start()
    policy, warnings = operator.shown()
    assert policy["source"] == "applied" and policy["digest"] == plan["after"]["digest"] and policy["revision"] == revision
    assert any("differs from what `policies` says" in w for w in warnings)
    assert operator.daemon.lease("root", "reload").returncode == 0
    assert operator.shown()[0]["digest"] == plan["after"]["digest"]

    exported = f"{tmp_path}/exported"
    operator.policy("export", exported)
    with open(f"{exported}/main.yaml", encoding="utf-8") as f, open(f"{operator.folder}/main.yaml", encoding="utf-8") as g:
        assert f.read() == g.read()


def test_only_what_was_planned_is_applied(operator):
    operator.write(rule("strangers", STRANGER))
    digest = operator.plan()["digest"]
    operator.write(rule("strangers", STRANGER), rule("more", CONSUMER))
    assert "isn't what was planned" in operator.policy("apply", operator.folder, "--digest", digest, code=1)
    digest = operator.plan()["digest"]
    operator.policy("apply", operator.write(rule("others", STRANGER), folder=f"{operator.folder}-2"))
    assert "isn't what was planned" in operator.policy("apply", operator.folder, "--digest", digest, code=1)
    assert len(operator.events("policy.applied")) == 1


def test_no_more_grants_end_than_was_allowed(operator, shell):
    shell(operator.daemon).get(operator.role)
    operator.write(rule("strangers", STRANGER))
    assert "more than the 0 allowed" in operator.policy("apply", operator.folder, "--max-ended", "0", code=1)
    until(lambda: operator.events("policy.rejected"), "policy.rejected is on record")
    assert operator.live() == 1 and operator.shown()[0]["source"] == "seed"
    operator.policy("apply", operator.folder, "--max-ended", "1")
    assert operator.live() == 0


def test_what_drains_lives_on_for_that_long(operator, shell):
    consumer = shell(operator.daemon)
    consumer.get(operator.role)
    operator.write(rule("strangers", STRANGER))
    assert "1 grants drain" in operator.policy("apply", operator.folder, "--drain", "2s")
    assert consumer.run(f"lease get {operator.role}")[0] == 3, "nobody gets it any more"
    assert operator.events("grant.reduced")
    assert operator.daemon.lease("root", "reload").returncode == 0
    until(lambda: operator.events("grant.ended"), "it has ended")
    assert operator.events("grant.ended")[-1]["outcome"] == "duration" and operator.live() == 0


def test_an_admin_remains(operator):
    operator.write(rule("consumers", CONSUMER), admins=[{"subjects": [{"user": "root"}], "may": ["read"]}])
    assert "no admin would remain" in operator.policy("plan", operator.folder, code=2)
    assert "no admin would remain" in operator.policy("apply", operator.folder, code=1)
    assert "only an admin" in operator.policy("plan", operator.folder, code=3, user=CONSUMER)
    assert operator.shown()[0]["source"] == "seed"


def test_mistakes_are_told_with_their_places(operator):
    operator.write(rule("consumers", CONSUMER, roles="nope"), name="teams.yaml")
    assert re.search(r"teams\.yaml:1:\d+: .*nope", operator.policy("apply", operator.folder, code=1))


def test_killed_at_any_point_it_is_the_old_policy_or_the_new_one(operator):
    """kill -9 while applies run one after the other: what counts then is whole, kept, and what the trail says last."""
    seen = set()
    for turn in range(6):
        folders = [operator.write(rule(f"r{turn}{i}", STRANGER), folder=f"{operator.folder}-{turn}{i}") for i in range(2)]
        runs = subprocess.Popen(["sh", "-c", " ; ".join(f"{operator.world.program('lease')} policy apply --socket {operator.daemon.socket} {f}"
                                                        for f in folders * 8)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        count = len(operator.events("policy.applied"))
        until(lambda: len(operator.events("policy.applied")) > count + turn % 3, "some were applied", 30)
        time.sleep(0.003 * turn)  # style-ok: sleep: another moment in each turn
        operator.kill()
        runs.wait()
        operator.daemon.start()
        until(lambda: operator.events("daemon.started"), "it is up")
        policy, _ = operator.shown()
        assert policy["source"] == "applied"
        assert operator.events("policy.applied")[-1]["policy"]["digest"] == policy["digest"]
        seen.add(policy["digest"])
    assert len(seen) > 3


def test_a_damaged_copy_is_no_reason_to_go_back(operator):
    operator.write(rule("strangers", STRANGER))
    operator.policy("apply", operator.folder)
    operator.kill()
    copy = f"{operator.daemon.folder}/ledger.db.policy.json"
    with open(copy, "r+b") as f:
        f.seek(-40, os.SEEK_END)
        f.truncate()
    operator.daemon.start(wait=False)
    assert operator.daemon.process.wait(timeout=30) == 78
    assert "the applied policy can't be used" in operator.daemon.log_lines()
    os.rename(f"{operator.daemon.folder}/ledger.db.policy-next.json", copy)
    operator.daemon.start()
    assert operator.shown()[0]["source"] == "applied"


@pytest.fixture
def small_disk(operator):
    """The operator's state is on a disk of its own, of 1 MiB."""
    path = f"{operator.daemon.folder}/state"
    os.mkdir(path)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", path], capture_output=True, check=False).returncode != 0:
        pytest.skip("can't mount a tmpfs here")
    give_to(path, "leased")
    operator.daemon.stop()
    operator.daemon.config["state"] = {"ledger": {"sqlite": f"{path}/ledger.db"}}
    operator.daemon.start()
    yield path
    subprocess.run(["umount", "--lazy", path], check=False)


def test_on_a_full_disk_the_policy_before_rules_and_the_answer_says_so(operator, small_disk):
    operator.write(rule("strangers", STRANGER))
    with open(f"{small_disk}/filler", "wb", buffering=0) as f:
        try:
            while f.write(b"x" * 4096):
                pass
        except OSError:
            pass
    assert "No space left" in operator.policy("apply", operator.folder, code=7)
    assert operator.shown()[0]["source"] == "seed"
    operator.kill()
    os.unlink(f"{small_disk}/filler")
    operator.daemon.start()
    assert operator.shown()[0]["source"] == "seed"
    operator.policy("apply", operator.folder)
    operator.kill()
    operator.daemon.start()
    assert operator.shown()[0]["source"] == "applied"


def test_a_role_may_go_before_the_rules_that_name_it(operator):
    operator.write(rule("strangers", STRANGER, roles=operator.role), rule("consumers", CONSUMER))
    operator.policy("apply", operator.folder)
    operator.kill()
    operator.daemon.config["roles"] = {"other": {"backend": "bao", "path": f"database/creds/{operator.role}"}}
    operator.daemon.start()
    policy, warnings = operator.shown()
    assert policy["source"] == "applied" and any(f"unknown role `{operator.role}`" in w for w in warnings), warnings


def test_a_policy_is_observed_beside_the_one_that_counts(operator, shell):
    consumer = shell(operator.daemon)
    operator.write(rule("strangers", STRANGER))
    operator.policy("apply", operator.folder, "--observe")
    consumer.get(operator.role)
    consumer.get(operator.role)
    assert operator.shown()[0]["observed"]["what"] == "policy"
    until(lambda: operator.events("observe.differs"), "the difference is on record")
    differs = operator.events("observe.differs")
    assert len(differs) == 1 and differs[0]["outcome"] == "allow" and differs[0]["role"] == operator.role
    assert differs[0]["policy"]["rule"] == "consumers" and differs[0]["observed"]["outcome"] == "denied"
    # As root that may read the trail, which is leased's own.
    summed_up = subprocess.run([operator.daemon.world.program("lease"), "policy", "diff", "--since", "1h", "--socket", operator.daemon.socket],
                               capture_output=True, text=True, check=True, env=clean_environment())
    assert summed_up.stdout.startswith(f"1 caller would lose {operator.role}: {CONSUMER} (denied, now allow, "), summed_up.stderr
    operator.kill()
    operator.daemon.start()
    policy, _ = operator.shown()
    assert policy["source"] == "seed" and policy["observed"]["what"] == "policy", "it outlives a restart"
    operator.policy("apply", "--observe", "--none")
    assert operator.shown()[0]["observed"] is None

    operator.write(rule("consumers", CONSUMER), rule("soon-not", CONSUMER, effect="deny", mode="observe"))
    operator.policy("apply", operator.folder)
    assert operator.shown()[0]["observed"]["what"] == "rules"
    consumer.get(operator.role)
    until(lambda: operator.events("observe.differs")[-1].get("observed", {}).get("rule") == "soon-not", "the rule is on record")


def test_an_admin_asks_what_somebody_else_would_get(operator):
    asked = json.loads(operator.policy("explain", operator.role, "--subject", f"user={CONSUMER}", "-o", "json"))
    assert asked["decision"] == "allow" and asked["rule"] == "consumers"
    asked = json.loads(operator.policy("explain", operator.role, "--subject", f"user={STRANGER}", "-o", "json", code=3))
    assert asked["decision"] == "denied"
    assert "only an admin" in operator.policy("explain", operator.role, "--subject", "user=root", user=STRANGER, code=3)


def test_ten_thousand_rules_are_planned_applied_and_kept(operator, tmp_path):
    for part in range(10):
        rules = []
        for i in range(part * 1000, (part + 1) * 1000):
            team = rule(f"team-{i:05}-payments-api-prod", f"ci-{i:05}", limits={"duration": "30m", "ttl": "1h", "live": 3})
            team["subjects"].append({"group": f"team-{i:05}-oncall", "unit": f"payments-{i:05}.service"})
            team["require"] = {"reason": "^[A-Z]+-[0-9]+", "approval": {"from": [{"group": f"team-{i:05}-leads"}], "count": 1}}
            rules.append(team)
        operator.write(*rules, rule(f"consumers-{part}", CONSUMER), admins=ADMINS if part == 0 else [], name=f"{part}.yaml")
    assert sum(os.path.getsize(f"{operator.folder}/{name}") for name in os.listdir(operator.folder)) > 3 << 20
    assert "(10010 rules)" in operator.policy("apply", operator.folder).splitlines()[0]
    operator.kill()
    operator.daemon.start()
    assert operator.shown()[0]["rules"] == 10010
    operator.policy("export", f"{tmp_path}/exported")
    assert len(os.listdir(f"{tmp_path}/exported")) == 10


def test_a_plan_needs_no_daemon(operator, shell, tmp_path):
    shell(operator.daemon).get(operator.role)
    operator.policy("export", f"{tmp_path}/before")
    operator.write(rule("strangers", STRANGER))
    until(lambda: operator.events("grant.created"), "it is on record")
    trail = f"{tmp_path}/audit.jsonl"
    with open(trail, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r) + "\n" for r in operator.daemon.records())
    offline = ("--base", f"{tmp_path}/before", "--audit", trail, "--config", operator.daemon.config_path)
    text = operator.policy("plan", operator.folder, *offline, code=2)
    assert re.search(rf"- {CONSUMER} .*{operator.role}: allow by consumers.* -> denied", text), text
    operator.policy("plan", f"{tmp_path}/before", *offline, code=0)


def test_the_pipeline_applies_what_it_has_planned(operator, tmp_path):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../config/ci/policy.sh")
    environment = {**os.environ, "PATH": f"{operator.world.folder}/bin:{os.environ['PATH']}", "LEASED_ADDR": f"unix://{operator.daemon.socket}"}
    operator.write(rule("strangers", STRANGER), folder=f"{tmp_path}/policies")
    for step in ("plan", "apply", "plan"):
        done = subprocess.run([script, step], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, (step, done.stdout, done.stderr)
    assert "no change" in done.stdout and operator.shown()[0]["source"] == "applied"
