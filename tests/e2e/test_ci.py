"""config/ci: each policy is one that leased takes, each job asks for what its policy allows; and a job that is cancelled as its CI
cancels it has no credential a second later. The process trees are the runners': same names, sessions, groups and cgroups."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest
import yaml
from cgroups import Cgroup, mount
from conftest import needs_root
from servers import as_user, clean_environment, ensure_user, until

CI = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../config/ci")
JOBS = {"gitlab": "gitlab-ci.yml", "github": "github-workflow.yml", "jenkins": "Jenkinsfile", "buildkite": "buildkite-pipeline.yml"}
RUNNERS = {"gitlab": "gitlab-runner", "github": "github-runner", "jenkins": "jenkins", "buildkite": "buildkite-agent"}
DEAD_WITHIN_S = 1.0
LEFT_BEHIND = "setsid sleep 300 </dev/null >/dev/null 2>&1 &"  # what no job's end takes along
CONTAINER = "4f2a" * 16


def read(name):
    with open(f"{CI}/{name}", encoding="utf-8") as f:
        return f.read()


@pytest.mark.parametrize("ci", JOBS)
def test_a_job_asks_for_what_its_policy_lists(ci):
    rules = yaml.safe_load(read(f"{ci}.policy.yaml"))["rules"]
    job = read(JOBS[ci])
    if JOBS[ci].endswith(".yml"):
        assert yaml.safe_load(job)
    listed = {it for rule in rules for it in rule["limits"].get("binding", [])}
    assert re.findall(r"lease (?:get|exec) (\S+)", job) and set(re.findall(r"lease (?:get|exec) (\S+)", job)) == {"ci-db"}
    assert set(re.findall(r"--bind (\S+?)[)\s]", job)) <= listed
    assert all(rule["roles"] == ["ci-db"] for rule in rules)


class Job:
    """A job of a runner's: the process that the CI ends, and what it was given."""

    def __init__(self, daemon, user, program, script, prefix=(), **variables):
        path = f"{daemon.world.folder}/bin:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            [*prefix, *(as_user(user) if user else []), program, "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            start_new_session=True, cwd="/", env=clean_environment(LEASED_ADDR=f"unix://{daemon.socket}", PATH=path, **variables))
        self.credential = json.loads(self.process.stdout.readline())

    def signal_group(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def end(self):
        self.signal_group(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


def end_by_group(job):
    job.signal_group(signal.SIGTERM)
    job.signal_group(signal.SIGKILL)


def end_by_process(job):
    job.process.send_signal(signal.SIGTERM)
    job.process.kill()


def end_by_cookie(job):
    """Whoever has the job's cookie in its environment."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as f:
                if b"JENKINS_SERVER_COOKIE=leased-e2e" in f.read():
                    os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def place(world):
    """A folder that everybody can look into."""
    it = tempfile.mkdtemp(prefix="ci-", dir=world.folder)
    os.chmod(it, 0o755)
    return it


@pytest.fixture
def runner(world, start, place):
    """runner(ci): leased with that CI's policy, as it stands in config/ci."""
    def maker(ci):
        world.bao.database_role("ci-db")
        folder = f"{place}/policies"
        os.mkdir(folder, 0o755)
        shutil.copy(f"{CI}/{ci}.policy.yaml", folder)
        ensure_user(RUNNERS[ci])
        return start({"ci-db": {"backend": "bao", "path": "database/creds/ci-db"}}, policies={"path": folder})
    return maker


def named(place, name):
    """A shell that goes by this name."""
    return shutil.copy("/bin/bash", f"{place}/{name}")


def check(daemon, job, cancel):
    world, fields = daemon.world, job.credential["credential"]

    def logs_in():
        return world.postgres.psql("SELECT 1", fields["username"], fields["password"])[0]

    try:
        assert logs_in()
        assert not [r for r in daemon.records() if r["event"] == "grant.ended"]
        cancelled = time.monotonic()
        cancel(job)
        until(lambda: [r for r in daemon.records() if r["event"] == "lease.revoked"], "it is revoked", timeout_s=10)
        assert time.monotonic() - cancelled < DEAD_WITHIN_S
        assert not logs_in()
    finally:
        job.end()


pytestmark = needs_root


def test_gitlabs_shell_ends_with_its_process_group(runner):
    daemon = runner("gitlab")
    check(daemon, Job(daemon, "gitlab-runner", "bash", f"trap '' TERM; {LEFT_BEHIND} echo $(lease get ci-db -o json); sleep 300 & wait"),
          end_by_group)


def test_gitlabs_lease_exec_ends_with_its_process_group(runner):
    daemon = runner("gitlab")
    script = f"""{LEFT_BEHIND} lease exec ci-db -- sh -c 'echo "{{\\"credential\\":{{\\"username\\":\\"$CI_DB_USERNAME\\",\\"password\\":\\"$CI_DB_PASSWORD\\"}}}}"; sleep 300'"""
    check(daemon, Job(daemon, "gitlab-runner", "bash", script), end_by_group)


def test_githubs_worker_ends_with_all_its_steps(runner, place):
    daemon = runner("github")
    job = Job(daemon, "github-runner", named(place, "Runner.Worker"),
              f"setsid sh -c 'echo $(lease get ci-db -o json --bind comm:Runner.Worker)'; {LEFT_BEHIND} sleep 300 & wait")
    check(daemon, job, end_by_process)


def test_jenkins_step_ends_by_its_cookie(runner):
    daemon = runner("jenkins")
    job = Job(daemon, "jenkins", "sh", "sh -c 'echo $(lease get ci-db -o json --bind session); sleep 300'; true", JENKINS_SERVER_COOKIE="leased-e2e")
    check(daemon, job, end_by_cookie)


@pytest.mark.parametrize("binding", ["session", "comm:buildkite-agent"])
def test_buildkites_bootstrap_ends_with_its_group(runner, place, binding):
    daemon = runner("buildkite")
    job = Job(daemon, "buildkite-agent", named(place, "buildkite-agent"),
              f"sh -c 'echo $(lease get ci-db -o json --bind {binding})'; {LEFT_BEHIND} sleep 300 & wait")
    check(daemon, job, end_by_group)


@pytest.mark.skipif(mount() is None, reason="needs root and cgroup v2")
def test_gitlabs_container_ends_with_its_cgroup(runner):
    daemon = runner("gitlab")
    slice_ = Cgroup("system.slice")
    container = Cgroup(f"docker-{CONTAINER}.scope", parent=slice_.path, is_exact=True)
    inside = ["setpriv", "--reuid=10010", "--regid=10010", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"]
    try:
        job = Job(daemon, None, "sh", f"{LEFT_BEHIND} sh -c 'echo $(lease get ci-db -o json --bind unit)'; sleep 300",
                  prefix=[*container.enter(), "unshare", "--pid", "--fork", "--mount-proc", *inside])
        check(daemon, job, lambda _: container.kill())
    finally:
        container.remove()
        slice_.remove()
