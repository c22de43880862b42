"""A team's access as code, and README's way into it: policy in git, a merge request's pipeline, an apply, a request that a second person approves, a psql session that
dies with it, a trail that tells all of it, and a change of policy that ends what somebody holds."""
import json
import os
import re
import shutil
import subprocess
import tempfile

import pytest
from conftest import CONSUMER as DEVELOPER, needs_root
from servers import as_user, clean_environment, ensure_user, give_to, until

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DBA, DEPLOY = "ci-dba", "ci-deploy"
ADMINS = [{"subjects": [{"user": "root"}]}, {"subjects": [{"user": DEPLOY}], "may": ["policy", "read"]}]
LASTS = "4s"

pytestmark = needs_root


class Team:
    """A leased with a ledger, a repository with its policy, and who works with them."""

    def __init__(self, world, made):
        self.world, self.made, self.daemon, self.role = world, made, made.daemon, made.role
        self.repository = tempfile.mkdtemp(prefix="repository-", dir=world.folder)
        os.chmod(self.repository, 0o755)
        shutil.copy(f"{TREE}/config/ci/policy.sh", self.repository)
        self.git("init", "-q", "-b", "main")
        self.write("policies/roles.json", {"roles": {self.role: {"max_ttl": "1h"}}})
        os.mkdir(f"{self.repository}/policy-out")
        give_to(f"{self.repository}/policy-out", DEPLOY)

    def git(self, *words):
        return subprocess.run(["git", "-C", self.repository, "-c", "user.name=dev", "-c", "user.email=dev@example", *words], check=True,
                              capture_output=True, text=True, env=clean_environment()).stdout.strip()

    def write(self, name, content):
        path = f"{self.repository}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(content, f, indent=1)

    def commit(self, message):
        self.git("add", "policies", "policy.sh")
        self.git("commit", "-q", "-m", message)

    def pipeline(self, step, code=0, **environment):
        """A job of the pipeline, on a runner on this machine."""
        done = subprocess.run([*as_user(DEPLOY), "./policy.sh", step], cwd=self.repository, capture_output=True, text=True, check=False,
                              timeout=60, env=clean_environment(PATH=f"{self.world.folder}/bin:{os.environ['PATH']}",
                                                                LEASED_ADDR=f"unix://{self.daemon.socket}", **environment))
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def request(self, ticket, lasts):
        """What the developer asks for, and the second person approves."""
        asked = ["--reason", "fix the orders", "--ticket", ticket, "--for", lasts]
        done = self.daemon.lease(DEVELOPER, "request", self.role, *asked, "-o", "json")
        assert done.returncode == 6, done.stderr
        request = json.loads(done.stdout)["id"]
        assert self.daemon.lease(DEVELOPER, "approve", request).returncode == 3
        done = self.daemon.lease(DBA, "approve", request, "--comment", "go ahead")
        assert done.returncode == 0, done.stderr
        return request

    def psql(self, credential):
        """A session that stays open."""
        fields = credential["credential"]
        return subprocess.Popen(["psql", "--no-psqlrc", "-qAt", "-h", "127.0.0.1", "-p", str(self.world.postgres.port), "-U", fields["username"],
                                 "-d", "postgres"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=clean_environment(PGPASSWORD=fields["password"]))

    def events(self, event):
        return [r for r in self.daemon.records() if r["event"] == event]


def rule(role):
    return {"name": "prod-dba", "subjects": [{"user": DEVELOPER}], "roles": [role], "limits": {"duration": "1m"},
            "require": {"ticket": "^OPS-[0-9]+$", "approval": {"from": [{"group": DBA}], "count": 1}}}


def cases(role):
    asked = {"role": role, "ticket": "OPS-1"}
    return {"defaults": {"subject": {"user": DEVELOPER}}, "tests": [
        {"name": "a ticket is needed", "request": {"role": role}, "expect": {"decision": "reason_required", "limit": "ticket"}},
        {"name": "somebody else agrees", "request": asked, "expect": {"decision": "approval", "rule": "prod-dba"}},
        {"name": "then it is had", "request": {**asked, "approved": True}, "expect": {"decision": "allow", "duration": "1m"}}]}


@pytest.fixture
def team(world, orders):
    for user in (DBA, DEPLOY):
        ensure_user(user)
    folder = tempfile.mkdtemp(prefix="team-", dir=world.folder)
    give_to(folder, "leased")
    return Team(world, orders(binding="none", config={"policies": {"admins": ADMINS},
                                                      "state": {"ledger": {"sqlite": f"{folder}/ledger.db"}}}))


def test_a_team_s_access_as_code(team, shell):
    role, daemon = team.role, team.daemon
    team.write("policies/admins.yaml", {"admins": ADMINS})
    team.commit("who may administer")
    developer = shell(daemon)
    assert developer.run(f"lease get {role}")[0] == 3

    # A merge request: its pipeline finds a typo, then shows what would change.
    team.git("checkout", "-q", "-b", "production")
    team.write("policies/production.yaml", {"rules": [{**rule(role), "roles": [role + "x"]}]})
    team.write("policies/production_test.yaml", cases(role))
    assert f"did you mean `{role}`?" in team.pipeline("verify", code=1)
    team.write("policies/production.yaml", {"rules": [rule(role)]})
    team.commit("production with a ticket and an approval")
    assert "3 passed, 0 failed" in team.pipeline("verify")
    assert role in team.pipeline("plan")
    assert developer.run(f"lease get {role}")[0] == 3

    # It is merged; what was planned is applied.
    team.git("checkout", "-q", "main")
    team.git("merge", "-q", "--no-ff", "-m", "merge production", "production")
    team.pipeline("plan")
    team.pipeline("apply")
    applied = team.events("policy.applied")[-1]["policy"]
    assert applied["revision"] == team.git("rev-parse", "HEAD")

    # A ticket and a second person, then psql works, for a while.
    request = team.request("OPS-7", LASTS)
    credential = developer.get(role, f"--reason 'fix the orders' --ticket OPS-7 --for {LASTS}")
    session = team.psql(credential)
    session.stdin.write("SELECT 'here';\n")
    session.stdin.flush()
    assert session.stdout.readline() == "here\n"
    team.made.await_dead(credential, 20)
    session.stdin.write("SELECT 'still here';\n")
    assert session.communicate(timeout=20)[0] == ""
    assert session.returncode != 0

    # The trail tells the whole story.
    created = team.events("grant.created")[-1]
    assert (created["role"], created["reason"], created["ticket"], created["approvers"], created["approval"]) == (
        role, "fix the orders", "OPS-7", [DBA], request)
    assert created["identity"]["user"] == DEVELOPER
    assert created["policy"] == {**applied, "rule": "prod-dba"}
    story = [r["event"] for r in daemon.records() if r.get("grant") == created["grant"] or r.get("request") == request]
    for event in ("request.created", "request.approved", "grant.created", "grant.ended"):
        assert event in story, story
    done = daemon.lease("leased", "audit", "verify", daemon.audit_path)
    assert done.returncode == 0, done.stderr

    # A change of policy ends what somebody holds, within a second.
    team.request("OPS-8", "1m")
    credential = developer.get(role, "--reason 'fix the orders' --ticket OPS-8 --for 1m")
    assert team.made.logs_in(credential)
    team.git("rm", "-q", "policies/production.yaml", "policies/production_test.yaml")
    team.commit("no more production")
    team.pipeline("plan")
    team.pipeline("apply", code=1)  # POLICY_MAX_ENDED is 0
    assert team.made.logs_in(credential)
    team.pipeline("apply", POLICY_MAX_ENDED="1")
    until(lambda: not team.made.logs_in(credential), "the login is refused", 1)
    assert team.events("grant.ended")[-1]["outcome"] == "policy"
    assert developer.run(f"lease get {role}")[0] == 3


def test_readme_s_path_holds_command_by_command(world, start, tmp_path):
    with open(f"{TREE}/README.md", encoding="utf-8") as f:
        part = f.read().split("\n## Access as code\n")[1].split("\n## ")[0]
    files = re.findall(r"`(policies/\S+)`:\n\n```yaml\n(.*?)```", part, re.S)
    commands = [line.split("#")[0].strip() for block in re.findall(r"```sh\n(.*?)```", part, re.S) for line in block.splitlines()]
    assert (len(files), len(commands)) == (2, 4)
    state = tempfile.mkdtemp(prefix="path-", dir=world.folder)
    give_to(state, "leased")
    daemon = start({"orders-db": {"backend": "bao", "path": "database/creds/orders"}}, policies={"admins": [{"user": "root"}]},
                   state={"ledger": {"sqlite": f"{state}/ledger.db"}})
    (tmp_path / "policies").mkdir()
    for name, text in files:
        (tmp_path / name).write_text(text, encoding="utf-8")
    said = []
    for command in commands:
        done = subprocess.run(command.removeprefix("sudo ").split(), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
                              env=clean_environment(PATH=f"{world.folder}/bin:{os.environ['PATH']}", LEASED_ADDR=f"unix://{daemon.socket}",
                                                    LEASED_CONFIG=daemon.config_path))
        assert done.returncode == (2 if " plan " in command else 0), (command, done.stdout, done.stderr)
        said.append(done.stdout)
    assert said[0] == "ok: 1 rules, 2 tests, 0 mistakes, 0 warnings\n"
    assert "2 passed, 0 failed" in said[1] and "1 of 1 rules, 100 %" in said[1]
    applied = [r for r in daemon.records() if r["event"] == "policy.applied"]
    assert len(applied) == 1 and applied[0]["outcome"] == "ok"
