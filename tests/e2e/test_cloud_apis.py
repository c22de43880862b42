"""What the SDKs of AWS, Google Cloud and Azure get from leased: real clients, two users on one port, and grant tokens."""
import http.client
import json
import os
import pwd
import subprocess
import sys
import threading
import time
import unittest.mock

import google.auth.transport.requests
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential
from conftest import CONSUMER, STRANGER, needs_root
from aws import REGION, Aws, allow, arn, python_with_boto3
from google.auth import identity_pool, pluggable
from servers import as_user, clean_environment, free_port, until
from token_services import Google, Key

THIRD = "ci-third"
ME = pwd.getpwuid(os.getuid()).pw_name  # who runs the tests, and the SDKs that aren't run as somebody else
RESOURCE = "https://vault.example"
ROLES = {
    "mine": {"backend": "aws", "role_arn": arn("mine"), "ttl": "1h", "binding": "none"},
    "theirs": {"backend": "aws", "role_arn": arn("theirs"), "ttl": "1h", "binding": "none"},
    "bound": {"backend": "aws", "role_arn": arn("mine"), "ttl": "15m", "overlap": "1h"},
    "access": {"backend": "access", "binding": "none"},
    "jwt": {"backend": "jwt", "binding": "none"},
    "azure": {"backend": "azure", "binding": "none"},
}
RULES = [
    {"name": "mine", "subjects": [{"user": CONSUMER}], "roles": ["mine", "bound"], "limits": {"binding": ["none", "process", "parent"]}},
    {"name": "theirs", "subjects": [{"user": STRANGER or ME}], "roles": ["theirs"]},
    {"name": "me", "subjects": [{"user": ME}], "roles": ["access", "jwt", "azure", "mine"], "limits": {"binding": ["none", "process", "parent"]}},
]
WHO = """
import boto3, sys
print(boto3.client("sts", endpoint_url=sys.argv[1]).get_caller_identity()["Arn"])
"""
# Says which key each call was made with, and how often one failed.
LOOP = """
import boto3, sys
session = boto3.Session()
iam = session.client("iam", endpoint_url=sys.argv[1])
before, failed = None, 0
for line in sys.stdin:
    try:
        iam.list_users()
    except Exception as error:
        failed += 1
        print("failed", error, flush=True)
    key = session.get_credentials().get_frozen_credentials().access_key
    print("key", key, failed, flush=True)
"""


@pytest.fixture(scope="module")
def aws(world):
    it = Aws(world.folder)
    try:
        it.start()
        for name in ("mine", "theirs"):
            it.role(name, allow("iam:ListUsers"))
        it.check_signatures()
        yield it
    finally:
        it.stop()


def printing(world, name, **fields):
    """A backend that gives these fields."""
    path = f"{world.folder}/cloud-{name}.json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"fields": fields, "ttl": 3600}, f)
    os.chmod(path, 0o644)
    return {"plugin": "exec", "command": ["/bin/cat", path]}


@pytest.fixture(scope="module")
def issuer():
    service = Google()
    yield service
    service.close()


@pytest.fixture(scope="module")
def daemon(world, aws, issuer):
    jwt = issuer.other_issuer.sign(3600, iss="https://cluster.example", sub="runner", aud="https:" + issuer.provider)
    backends = {
        "aws": aws.backend(),
        "access": printing(world, "access", access_token="ya29.access"),
        "jwt": printing(world, "jwt", id_token=jwt),
        "azure": printing(world, "azure", access_token=Key("azure").sign(3600, aud=RESOURCE)),
    }
    port = free_port()
    listener = {"name": "clouds", "tcp": f"127.0.0.1:{port}", "serve": ["aws", "gcp", "azure", "native"], "gcp": {"role": "access"},
                "azure": {"role": "azure"}}
    it = world.daemon(ROLES, RULES, more_listeners=[listener], backends=backends)
    it.port, it.base, it.jwt = port, f"http://127.0.0.1:{port}", jwt
    it.start(wait=False)
    it.await_ready(lambda: it.lease(CONSUMER, "ls").returncode == 0)
    yield it
    assert it.stop() == 0, it.log_lines()[-3000:]


def ask(daemon, path, **headers):
    """(status, object or text, headers) as the user who runs the tests."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(text) if text.startswith("{") else text, answer.headers


def curl(daemon, user, path, *headers):
    """(status, object) as this user."""
    words = [word for header in headers for word in ("-H", header)]
    done = subprocess.run([*as_user(user), "curl", "-sS", "-w", "\n%{http_code}", *words, daemon.base + path], capture_output=True,
                          text=True, check=True, env=clean_environment(), cwd="/", timeout=30)
    text, status = done.stdout.rsplit("\n", 1)
    return int(status), json.loads(text)


def boto(world, user, daemon, role, token, script, *arguments, **options):
    python, environment = python_with_boto3(user, world.folder)
    variables = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{daemon.base}/aws/credentials/{role}", "AWS_DEFAULT_REGION": REGION,
                 "AWS_CONTAINER_AUTHORIZATION_TOKEN": token, "AWS_EC2_METADATA_DISABLED": "true", **environment}
    return [*as_user(user), python, "-c", script, *arguments], {"env": clean_environment(**variables), "cwd": "/", "text": True, **options}


def who_is(world, user, daemon, aws, role, token="leased"):
    command, options = boto(world, user, daemon, role, token, WHO, aws.address, capture_output=True, timeout=60)
    return subprocess.run(command, check=False, **options)


@needs_root
def test_two_users_on_one_port_get_their_own_and_a_third_nothing(world, daemon, aws):
    for user, role in ((CONSUMER, "mine"), (STRANGER, "theirs")):
        done = who_is(world, user, daemon, aws, role)
        assert done.returncode == 0, done.stderr
        assert f":assumed-role/{role}/" in done.stdout
    for user, role in ((CONSUMER, "theirs"), (STRANGER, "mine"), (THIRD, "mine")):
        status, answer = curl(daemon, user, f"/aws/credentials/{role}", "Authorization: leased")
        assert status == 403 and answer["code"] == "denied" and answer["message"]
    uids = {user: pwd.getpwnam(user).pw_uid for user in (CONSUMER, STRANGER, THIRD)}
    def on_record(event):
        return {(r["identity"]["uid"], r["role"], r["api"]) for r in daemon.records()
                if r["event"] == event and r.get("listener") == "clouds" and "role" in r}

    assert {(uids[CONSUMER], "mine", "aws"), (uids[STRANGER], "theirs", "aws")} <= on_record("grant.created")
    denied = {(uids[CONSUMER], "theirs", "aws"), (uids[STRANGER], "mine", "aws"), (uids[THIRD], "mine", "aws")}
    until(lambda: denied <= on_record("grant.denied"), "the denials are on record")


def held(shell, daemon, role, user=CONSUMER):
    """A consumer's shell, a grant that hangs on it, and its token."""
    it = shell(daemon, user)
    code, text = it.run(f"curl -sS --unix-socket {daemon.socket} -H X-Leased-Request:1 -d "
                        f"'{{\"role\":\"{role}\",\"binding\":\"parent\",\"token\":true}}' http://localhost/leased/v1/leases")
    assert code == 0, text
    answer = json.loads(text)
    assert "token" in answer, answer
    return it, answer


def test_a_boto3_program_sees_ten_rotations_and_no_error(world, daemon, aws, shell):
    _, grant = held(shell, daemon, "bound")
    assert grant["endpoints"]["aws"] == f"{daemon.base}/aws/credentials/bound"
    command, options = boto(world, CONSUMER, daemon, "bound", grant["token"], LOOP, aws.address, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with subprocess.Popen(command, **options) as program:
        watchdog = threading.Timer(120, program.kill)
        watchdog.start()

        def key():
            program.stdin.write("go\n")
            program.stdin.flush()
            words = program.stdout.readline().split()
            assert words and words[0] == "key" and words[2] == "0", words + [program.stdout.read()]
            return words[1]

        keys, lease = [key()], grant["lease"]
        for _ in range(10):
            done = daemon.lease(CONSUMER, "rotate", lease, "-o", "json")
            assert done.returncode == 0, done.stderr
            until(lambda: key() != keys[-1], "the program has another key")
            aws.expire(keys[-1])
            keys.append(key())
            lease = next(row["id"] for row in json.loads(daemon.lease(CONSUMER, "ls", "-o", "json").stdout)
                         if row["role"] == "bound" and row["state"] == "active")
        program.stdin.close()
        assert program.wait(30) == 0
        watchdog.cancel()
    assert len(set(keys)) == 11
    reads = [r for r in daemon.records() if r["event"] == "credential.read" and r.get("grant") == grant["grant"]]
    assert len(reads) >= 11


@needs_root
def test_a_grant_token_is_good_for_its_user_and_its_grants_life(daemon, shell):
    script, grant = held(shell, daemon, "bound")
    path, header = "/aws/credentials/bound", f"Authorization: {grant['token']}"
    status, answer = curl(daemon, CONSUMER, path, "Authorization: leased")
    assert status == 409 and answer["code"] == "binding_unavailable"  # no process is known here
    status, answer = curl(daemon, CONSUMER, path, header)
    assert status == 200 and answer["AccessKeyId"] == grant["credential"]["access_key_id"]
    for user in (STRANGER, THIRD, "root"):
        status, answer = curl(daemon, user, path, header)
        assert status == 403 and "another user" in answer["message"]

    def denied():
        return {r["identity"]["user"] for r in daemon.records() if r["event"] == "grant.denied" and r.get("grant") == grant["grant"]}

    until(lambda: denied() == {STRANGER, THIRD, "root"}, "the denials are on record")
    # Another role of the same user hangs on what the named grant hangs on.
    status, _ = curl(daemon, CONSUMER, "/leased/v1/credentials/mine?binding=process", "X-Leased-Request: 1", f"X-Leased-Grant: {grant['token']}")
    assert status == 200
    made = [r for r in daemon.records() if r["event"] == "grant.created"][-1]
    assert made["binding"] == f"process,grant:{grant['grant']}" and made["listener"] == "clouds"
    script.end()
    until(lambda: curl(daemon, CONSUMER, path, header)[0] == 403, "the token is dead")
    until(lambda: any(r["event"] == "grant.ended" and r["grant"] == made["grant"] for r in daemon.records()), "so is what hung on it")
    with open(daemon.log, encoding="utf-8") as log, open(daemon.audit_path, encoding="utf-8") as trail:
        assert grant["token"] not in log.read() + trail.read()


def test_aws_sdks_and_command_line_run_the_process(world, daemon, aws):
    python, environment = python_with_boto3(CONSUMER, world.folder)
    profile = f"{world.folder}/aws-config"
    with open(profile, "w", encoding="utf-8") as f:
        f.write(f"[default]\nregion = {REGION}\ncredential_process = {world.program('lease')} aws-credentials mine --socket {daemon.socket} --bind none\n")
    variables = {"AWS_CONFIG_FILE": profile, "AWS_EC2_METADATA_DISABLED": "true", **environment}
    done = subprocess.run([*as_user(CONSUMER), python, "-c", WHO, aws.address], capture_output=True, text=True, check=False, timeout=60,
                          env=clean_environment(**variables), cwd="/")
    assert done.returncode == 0, done.stderr
    assert ":assumed-role/mine/" in done.stdout
    endpoint = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{daemon.base}/aws/credentials/mine", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "leased"}
    for variables in ({"AWS_CONFIG_FILE": profile}, {"AWS_DEFAULT_REGION": REGION, **endpoint}):
        done = aws_cli(aws, **variables)
        assert done.returncode == 0, done.stderr
        assert ":assumed-role/mine/" in json.loads(done.stdout)["Arn"]


def aws_cli(aws, **variables):
    """The AWS CLI, as the user who runs the tests."""
    environment = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": aws.address, **variables}
    return subprocess.run([sys.executable, "-m", "awscli", "sts", "get-caller-identity"], capture_output=True, text=True, check=False,
                          timeout=60, env=clean_environment(**environment), cwd="/")


def test_a_refusal_is_on_stderr_alone(daemon):
    done = daemon.lease(CONSUMER, "aws-credentials", "theirs" if STRANGER else "none")
    assert done.returncode in (3, 4) and not done.stdout and "could not get" in done.stderr


# --- guards ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("path, header, missing", [
    ("/aws/credentials/mine", {"Authorization": "leased"}, 401),
    ("/gcp/token/access", {"Metadata-Flavor": "Google"}, 403),
    ("/computeMetadata/v1/instance/service-accounts/default/token", {"Metadata-Flavor": "Google"}, 403),
    ("/azure/token?api-version=2019-08-01&resource=x", {"X-IDENTITY-HEADER": "leased"}, 401),
    ("/metadata/identity/oauth2/token?api-version=2018-02-01&resource=x", {"Metadata": "true"}, 400)])
def test_what_an_ssrf_could_send_is_refused(daemon, path, header, missing):
    created = sum(r["event"] == "grant.created" for r in daemon.records())
    assert ask(daemon, path)[0] == missing
    for name, value in (("Host", "evil.example"), ("Host", "127.0.0.1.evil.example"), ("X-Forwarded-For", "10.0.0.1"),
                        ("Origin", "https://evil.example")):
        status, answer, _ = ask(daemon, path, **header, **{name: value})
        assert status in (400, 403, 421), (name, status, answer)
    assert sum(r["event"] == "grant.created" for r in daemon.records()) == created


# --- Google Cloud ---------------------------------------------------------------------------------

ADC = """
import google.auth, google.auth.transport.requests
credentials, _ = google.auth.default()
credentials.refresh(google.auth.transport.requests.Request())
print(type(credentials).__module__, credentials.token, credentials.valid)
"""


def test_google_auth_takes_leased_for_a_metadata_service(daemon):
    host = f"127.0.0.1:{daemon.port}"
    done = subprocess.run([sys.executable, "-c", ADC], capture_output=True, text=True, check=False, timeout=60, cwd="/",
                          env=clean_environment(GCE_METADATA_HOST=host, GCE_METADATA_IP=host))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["google.auth.compute_engine.credentials", "ya29.access", "True"]
    status, answer, headers = ask(daemon, "/computeMetadata/v1/instance/service-accounts/default/token", Metadata_Flavor="Google")
    assert status == 200 and headers["Metadata-Flavor"] == "Google" and answer["token_type"] == "Bearer"
    assert 3500 < answer["expires_in"] <= 3600


def external(issuer, source):
    return {"type": "external_account", "audience": issuer.provider, "subject_token_type": issuer.kind + "jwt",
            "token_url": f"{issuer.address}/v1/token", "credential_source": source}


def refresh(credentials, issuer):
    credentials = credentials.with_scopes([issuer.platform])
    credentials.refresh(google.auth.transport.requests.Request())
    assert issuer.given[credentials.token][0] == "federated"


def test_google_auth_gets_its_subject_token_by_url(daemon, issuer):
    for form in ({"type": "json", "subject_token_field_name": "id_token"}, {"type": "text"}):
        query = "?format=text" if form["type"] == "text" else ""
        source = {"url": f"{daemon.base}/gcp/token/jwt{query}", "headers": {"Metadata-Flavor": "Google"}, "format": form}
        refresh(identity_pool.Credentials.from_info(external(issuer, source)), issuer)


def test_google_auth_runs_lease_for_its_subject_token(world, daemon, issuer):
    output = f"{world.folder}/gcp-output-{time.monotonic_ns()}"
    command = f"{world.program('lease')} gcp-credentials jwt --socket {daemon.socket} --bind none"
    source = {"executable": {"command": command, "timeout_millis": 30000, "output_file": output}}
    with unittest.mock.patch.dict(os.environ, {"GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1"}):
        refresh(pluggable.Credentials.from_info(external(issuer, source)), issuer)
        with open(output, encoding="utf-8") as f:
            kept = json.load(f)
        assert kept["id_token"] == daemon.jwt and kept["expiration_time"] > time.time() + 3000
        assert os.stat(output).st_mode & 0o777 == 0o600
        source["executable"] = {"command": command.replace(" jwt ", " none "), "timeout_millis": 30000}
        with pytest.raises(google.auth.exceptions.RefreshError, match="Executable returned unsuccessful response: code: not_found"):
            refresh(pluggable.Credentials.from_info(external(issuer, source)), issuer)


# --- Azure ----------------------------------------------------------------------------------------

def azure(variables, resource=RESOURCE):
    with unittest.mock.patch.dict(os.environ, variables):
        credential = ManagedIdentityCredential()
        return credential.get_token(f"{resource}/.default")


def test_azure_identity_takes_leased_for_app_service(daemon):
    for path in ("/azure/token", "/azure/token/azure"):
        token = azure({"IDENTITY_ENDPOINT": daemon.base + path, "IDENTITY_HEADER": "leased"})
        assert token.token.count(".") == 2 and 3400 < token.expires_on - time.time() <= 3600
    with pytest.raises((ClientAuthenticationError, CredentialUnavailableError)):
        azure({"IDENTITY_ENDPOINT": f"{daemon.base}/azure/token/{'theirs' if STRANGER else 'none'}", "IDENTITY_HEADER": "leased"})


def test_azure_identity_takes_leased_for_imds(daemon):
    token = azure({"AZURE_POD_IDENTITY_AUTHORITY_HOST": daemon.base})
    assert token.token.count(".") == 2
