"""AWS by moto with IAM's checks on: a wrong signature is refused, trust and permissions matter; boto3 uses what leased issued."""
import json

import pytest
from botocore.exceptions import ClientError
from conftest import CONSUMER
from aws import REGION, Aws, allow, arn, python_with_boto3
from fake_apis import FakeApi
from servers import free_port, until
from test_scenarios import FAKETIME

TAGGED = {"session_name": "${identity.user}-${reason}", "source_identity": "${identity.user}",
          "tags": {"user": "${identity.user}", "reason": "${reason}"}, "transitive_tags": ["user"]}
ROLES = {
    "deploy": {"backend": "aws", "role_arn": arn("deploy"), "ttl": "30m", **TAGGED},
    "denying": {"backend": "aws", "role_arn": arn("denying"), "revoke": "deny-older"},
    "untrusting": {"backend": "aws", "role_arn": arn("untrusting")},
    "powerless": {"backend": "aws", "role_arn": arn("powerless")},
    "session": {"backend": "aws", "action": "get_session_token"},
    "federated": {"backend": "aws", "action": "get_federation_token", "policy": {"Version": "2012-10-17", "Statement": []}},
    "web": {"backend": "web", "action": "assume_role_with_web_identity", "role_arn": arn("deploy")},
    "web-wrong": {"backend": "web-wrong", "action": "assume_role_with_web_identity", "role_arn": arn("deploy")},
    "hop": {"backend": "chained", "role_arn": arn("hopped"), "ttl": "2h"},
    "contained": {"backend": "contained", "role_arn": arn("hopped")},
    "contained-too": {"backend": "contained", "role_arn": arn("hopped")},
    "forged": {"backend": "forged", "role_arn": arn("deploy")},
    "down": {"backend": "down", "role_arn": arn("deploy")},
}


RULES = [{"subjects": [{"user": CONSUMER}], "roles": ["*"], "limits": {"binding": ["none", "process", "parent"]}}]
TEN_MINUTES_LATE = {"LD_PRELOAD": FAKETIME, "FAKETIME": "-600s", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


class Container(FakeApi):
    """What ECS and EKS have beside a container."""

    def __init__(self):
        super().__init__()
        self.keys = None

    def handle(self, method, path, body, headers):
        self.calls.append((method, path, headers.get("Authorization")))
        return 200, self.keys

    def give(self, aws):
        made = aws.client("sts", aws.keys).assume_role(RoleArn=arn("base"), RoleSessionName="container")["Credentials"]
        self.keys = {"AccessKeyId": made["AccessKeyId"], "SecretAccessKey": made["SecretAccessKey"], "Token": made["SessionToken"],
                     "Expiration": made["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")}


@pytest.fixture(scope="module")
def aws(world):
    it = Aws(world.folder)
    it.container = Container()
    try:
        it.start()
        set_up(it)
        yield it
    finally:
        it.container.close()
        it.stop()


def set_up(aws):
    for name in ("deploy", "denying", "base", "shared"):
        aws.role(name, allow("iam:ListUsers", "sts:AssumeRole"))
    aws.role("powerless", allow("s3:GetObject"))
    aws.role("untrusting", principal=arn("nobody"))
    aws.role("hopped", principal="*")
    aws.container.give(aws)
    aws.check_signatures()


@pytest.fixture(scope="module")
def daemon(world, aws):
    forged, wrong_token = f"{world.folder}/forged", f"{world.folder}/wrong-token"
    aws.write(forged, f"[default]\naws_access_key_id={aws.keys['access_key_id']}\naws_secret_access_key={'x' * 40}\n")
    aws.write(wrong_token, "another.web.identity")
    backends = {
        "aws": aws.backend(),
        "web": aws.backend(source={"type": "web_identity", "token_file": aws.token_file}),
        "web-wrong": aws.backend(source={"type": "web_identity", "token_file": wrong_token}),
        "chained": aws.backend(assume_role={"role_arn": arn("base"), "session_name": "hop"}),
        "contained": aws.backend(source={"type": "container", "uri": f"{aws.container.address}/creds", "authorization_token_env": "THE_TOKEN"}),
        "forged": aws.backend(source={"type": "file", "credentials_file": forged}),
        "down": aws.backend(endpoint=f"http://127.0.0.1:{free_port()}"),
    }
    it = world.daemon(ROLES, RULES, backends=backends, more_listeners=[{"name": "sdks", "tcp": "127.0.0.1:0", "serve": ["aws"]}])
    it.environment = {"THE_TOKEN": "secret-of-the-container"}
    it.start(wait=False)
    it.await_ready(lambda: it.lease(CONSUMER, "ls").returncode == 0)
    yield it
    assert it.stop() == 0, it.log_lines()[-3000:]


def get(daemon, role, *options, code=0):
    done = daemon.lease(CONSUMER, "get", role, "-o", "json", "--bind", "none", *options)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def test_boto3_uses_a_role_and_aws_sees_who_asked_and_why(daemon, aws):
    made = get(daemon, "deploy", "--reason", "CHG-7: roll out & check")
    fields = made["credential"]
    assert made["renewable"] is False
    who = aws.client("sts", fields).get_caller_identity()
    assert who["Arn"].endswith(f":assumed-role/deploy/{CONSUMER}-CHG-7--roll-out---check")
    assert aws.client("iam", fields).list_users()["Users"][0]["UserName"] == "leased"
    with pytest.raises(ClientError, match="AccessDenied"):  # it isn't the role's to do
        aws.client("iam", fields).list_roles()
    call = aws.calls("AssumeRole")[-1]
    assert call["signed_by"] == aws.keys["access_key_id"]
    assert call["DurationSeconds"] == "1800" and call["SourceIdentity"] == CONSUMER
    assert call["Tags.member.1.Key"] == "user" and call["Tags.member.1.Value"] == CONSUMER
    assert call["Tags.member.2.Key"] == "reason" and call["Tags.member.2.Value"] == "CHG-7: roll out - check"
    assert call["TransitiveTagKeys.member.1"] == "user"


def test_exec_gives_a_program_what_sdks_read(world, daemon, aws):
    python, environment = python_with_boto3(CONSUMER, world.folder)
    script = "import boto3,sys; print(boto3.client('sts', endpoint_url=sys.argv[1]).get_caller_identity()['Arn'])"
    done = daemon.lease(CONSUMER, "exec", "deploy", "--reason", "r1", "--", python, "-c", script, aws.address,
                        env={"AWS_DEFAULT_REGION": REGION, "AWS_PROFILE": "not-there", "AWS_SESSION_TOKEN": "old", **environment})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(f":assumed-role/deploy/{CONSUMER}-r1")


@pytest.mark.parametrize("how, method", [("env", "env"), ("endpoint", "container-role"), ("process", "custom-process")])
def test_exec_lets_a_program_fetch_by_itself(world, daemon, aws, how, method):
    """It is the grant of lease exec that it reads: no other one is made."""
    python, environment = python_with_boto3(CONSUMER, world.folder)
    script = ("import boto3,sys; s = boto3.Session(); found = s.get_credentials()\n"
              "print(found.method, s.client('sts', endpoint_url=sys.argv[1]).get_caller_identity()['Arn'])")
    done = daemon.lease(CONSUMER, "exec", "deploy", "--aws", how, "--reason", f"by-{how}", "--", python, "-c", script, aws.address,
                        env={"AWS_DEFAULT_REGION": REGION, "AWS_PROFILE": "not-there", **environment})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == method and ":assumed-role/deploy/" in done.stdout and done.stderr == ""
    assert len([r for r in daemon.records() if r["event"] == "grant.created" and r["reason"] == f"by-{how}"]) == 1


def test_it_says_that_it_can_not_be_taken_back(daemon):
    get(daemon, "powerless")
    rows = json.loads(daemon.lease(CONSUMER, "ls", "-o", "json").stdout)
    row = next(row for row in rows if row["role"] == "powerless")
    assert row["renewable"] is False and row["revocable"] is False


def test_deny_older_ends_what_was_issued(daemon, aws):
    made = get(daemon, "denying")
    fields = made["credential"]
    assert aws.client("iam", fields).list_users()["Users"]
    done = daemon.lease(CONSUMER, "revoke", made["grant"])
    assert done.returncode == 0, done.stderr
    until(lambda: [r for r in daemon.records() if r["event"] == "lease.revoked" and r["role"] == "denying"], "it is revoked")
    with pytest.raises(ClientError, match="AccessDenied"):
        aws.client("iam", fields).list_users()
    put = aws.calls("PutRolePolicy")[-1]
    assert put["RoleName"] == "denying" and put["status"] == 200 and put["signed_by"] == aws.keys["access_key_id"]
    condition = json.loads(put["PolicyDocument"])["Statement"][0]["Condition"]
    assert list(condition) == ["DateLessThan"] and list(condition["DateLessThan"]) == ["aws:TokenIssueTime"]


def test_a_denial_after_a_crash_ends_others_too_and_they_get_new_ones(world, aws, shell):
    it = world.daemon({"shared": {"backend": "aws", "role_arn": arn("shared"), "revoke": "deny-older"}}, RULES, backends={"aws": aws.backend()})
    it.config["state"] = {"ledger": {"sqlite": f"{it.folder}/ledger/ledger.db"}}
    it.start(wait=False)
    it.await_ready(lambda: it.lease(CONSUMER, "ls").returncode == 0)
    first, second = shell(it), shell(it)
    ended, held = first.get("shared"), second.get("shared")
    assert ended["credential"]["access_key_id"] != held["credential"]["access_key_id"]
    it.process.kill()
    it.process.wait()
    it.start(wait=False)
    it.await_ready(lambda: it.lease(CONSUMER, "ls").returncode == 0)
    first.end()  # its grant ends with it, and so does what it held, and all that is older
    until(lambda: [r for r in it.records() if r["event"] == "lease.revoked"], "it is revoked")
    for made in (ended, held):
        with pytest.raises(ClientError, match="AccessDenied"):
            aws.client("iam", made["credential"]).list_users()
    new = until(lambda: (done := second.run("lease get shared -o field=access_key_id"))[0] == 0 and done[1], "the other one gets a new one", 10, 0.2)
    assert new.strip() != held["credential"]["access_key_id"]
    events = [r["event"] for r in it.records()]
    assert events.count("lease.adopted") == 2 and "lease.rotated" in events
    assert it.stop() == 0


def test_a_role_that_does_not_trust_us_is_refused(daemon):
    assert "AccessDenied" in get(daemon, "untrusting", code=7)


def test_a_wrong_signature_is_refused(daemon):
    assert "SignatureDoesNotMatch" in get(daemon, "forged", code=7)


def test_tokens_of_the_user_itself(daemon, aws):
    assert get(daemon, "session")["credential"]["session_token"]
    assert get(daemon, "federated")["credential"]["session_token"]
    assert aws.calls("GetFederationToken")[-1]["Name"] == CONSUMER
    assert aws.calls("GetSessionToken")[-1]["status"] == 200


def test_a_web_identity_is_exchanged(daemon, aws):
    fields = get(daemon, "web")["credential"]
    assert aws.client("sts", fields).get_caller_identity()["Arn"].endswith(f"assumed-role/deploy/{CONSUMER}")
    assert aws.calls("AssumeRoleWithWebIdentity")[-1]["signed_by"] == ""
    assert "InvalidIdentityToken" in get(daemon, "web-wrong", code=7)


def test_a_role_on_the_way_is_assumed_and_kept(daemon, aws):
    fields = get(daemon, "hop")["credential"]
    assert aws.client("sts", fields).get_caller_identity()["Arn"].endswith(f"assumed-role/hopped/{CONSUMER}")
    hop, last = aws.calls("AssumeRole")[-2:]
    assert hop["RoleArn"] == arn("base") and hop["RoleSessionName"] == "hop"
    assert last["signed_by"].startswith("ASIA") and last["DurationSeconds"] == "3600"  # chaining: no more


def test_a_containers_credentials_are_asked_for(daemon, aws):
    fields = get(daemon, "contained")["credential"]
    assert aws.client("sts", fields).get_caller_identity()["Arn"].endswith(f"assumed-role/hopped/{CONSUMER}")
    assert aws.container.calls[-1] == ("GET", "/creds", "secret-of-the-container")
    assert aws.calls("AssumeRole")[-1]["signed_by"] == aws.container.keys["AccessKeyId"]


def test_an_expired_source_is_asked_again(daemon, aws):
    get(daemon, "contained")
    aws.expire(aws.container.keys["AccessKeyId"])
    assert "ExpiredToken" in get(daemon, "contained-too", code=7)  # the container has nothing newer yet
    aws.container.give(aws)
    get(daemon, "contained-too", "--wait", "20s")
    assert aws.calls("AssumeRole")[-1]["signed_by"] == aws.container.keys["AccessKeyId"]


def test_an_issuer_that_is_down_is_a_passing_fault(daemon):
    get(daemon, "down", code=7)


def test_a_clock_ten_minutes_off_is_corrected(world, aws):
    it = world.daemon({"deploy": ROLES["powerless"]}, RULES, backends={"aws": aws.backend()})
    it.environment = TEN_MINUTES_LATE
    it.start(wait=False)
    it.await_ready(lambda: it.lease(CONSUMER, "ls").returncode == 0)
    fields = get(it, "deploy")["credential"]
    assert "aws.clock.corrected" in it.log_lines()
    assert aws.client("sts", fields).get_caller_identity()
    assert it.stop() == 0


def test_no_secret_is_anywhere_but_in_the_credential(daemon, aws):
    made = get(daemon, "deploy", "--reason", "again")
    everything = daemon.log_lines() + json.dumps(daemon.records())
    for secret in (made["credential"]["secret_access_key"], made["credential"]["session_token"], aws.keys["secret_access_key"],
                   aws.container.keys["SecretAccessKey"], "the.web.identity", "secret-of-the-container"):
        assert secret not in everything
