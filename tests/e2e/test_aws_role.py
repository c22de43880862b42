"""AWS sessions signed with what another role gives: a Vault `aws/` role (OpenBao has no such engine, so one stands before it that makes
IAM users at moto), and a user's keys in KV. Minted once, given back last, whatever becomes of the daemon."""
import json
import signal
import urllib.error
import urllib.request

import pytest
from aws import Aws, allow, arn
from botocore.exceptions import ClientError
from conftest import CONSUMER
from fake_apis import FakeApi
from servers import Failed, free_port, until

POLICY = """
path "role-keys/data/*"       { capabilities = ["read"] }
path "sys/leases/*"           { capabilities = ["update"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
"""
RULES = [{"name": "consumers", "subjects": [{"user": CONSUMER}], "roles": ["deploy*"], "limits": {"binding": ["none", "process", "parent"]}}]
ADMINS = [{"subjects": [{"user": "root"}], "may": ["read", "revoke"]}]


class VaultAws(FakeApi):
    """Vault with an `aws/` engine: a token is bao's word, a credential an IAM user that lives until its lease is revoked."""

    def __init__(self, bao, aws):
        super().__init__()
        self.bao, self.aws, self.made = bao, aws, 0

    def pass_on(self, method, path, body, headers):
        kept = {name: headers[name] for name in ("X-Vault-Token", "Content-Type") if headers.get(name)}
        request = urllib.request.Request(self.bao.address + path, body or None, kept, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def handle(self, method, path, body, headers):
        self.calls.append((method, path))
        asked = json.loads(body or b"{}")
        if path.startswith("/v1/aws/creds/"):
            return self.issue(path, headers) if method == "GET" else (405, {"errors": ["unsupported operation"]})
        if path.startswith("/v1/sys/leases/") and str(asked.get("lease_id", "")).startswith("aws/"):
            return self.lease(path.rsplit("/", 1)[-1], asked["lease_id"])
        return self.pass_on(method, path, body, headers)

    def issue(self, path, headers):
        if self.pass_on("GET", "/v1/auth/token/lookup-self", b"", headers)[0] != 200 or not path.endswith("/signer"):
            return 403, {"errors": ["permission denied"]}
        self.made += 1
        name = f"vault-{self.made}"
        self.aws.admin.create_user(UserName=name)
        self.aws.admin.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allow("sts:*", "iam:PutRolePolicy"))
        key = self.aws.admin.create_access_key(UserName=name)["AccessKey"]
        lease_id = f"aws/creds/signer/{name}"
        self.users[lease_id] = key["AccessKeyId"]
        return 200, {"request_id": "r", "lease_id": lease_id, "renewable": True, "lease_duration": 3600, "wrap_info": None, "warnings": None,
                     "auth": None, "data": {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"], "security_token": None}}

    def lease(self, what, lease_id):
        name, key = lease_id.rsplit("/", 1)[-1], self.users.get(lease_id)
        if key is None:
            return (204, None) if what == "revoke" else (400, {"errors": ["invalid lease"]})
        if what == "revoke":
            self.aws.admin.delete_access_key(UserName=name, AccessKeyId=key)
            self.aws.admin.delete_user_policy(UserName=name, PolicyName="p")
            self.aws.admin.delete_user(UserName=name)
            del self.users[lease_id]
            return 204, None
        if what == "renew":
            return 200, {"lease_id": lease_id, "renewable": True, "lease_duration": 3600}
        return 200, {"data": {"id": lease_id, "ttl": 3600, "renewable": True}}


@pytest.fixture(scope="module")
def aws(world):
    it = Aws(world.folder)
    it.credentials_file += "-role"  # another module has an AWS of its own
    it.token_file += "-role"
    it.trail += "-role"
    vault = None
    try:
        it.start()
        for name in ("assumed", "denying"):
            it.role(name, principal="*")
        it.iam.create_user(UserName="admin")
        made = it.iam.create_access_key(UserName="admin")["AccessKey"]
        it.iam.put_user_policy(UserName="admin", PolicyName="p", PolicyDocument=allow("iam:*"))
        it.check_signatures()
        it.admin = it.client("iam", {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]})
        vault = it.vault = VaultAws(world.bao, it)
        set_up_kv(world.bao, it)
        yield it
    finally:
        if vault is not None:
            vault.close()
        it.stop()


def set_up_kv(bao, aws):
    bao.call("POST", "sys/mounts/role-keys", {"type": "kv", "options": {"version": "2"}})

    def write():
        try:
            return bao.call("POST", "role-keys/data/signer", {"data": aws.keys})
        except Failed:
            return None

    until(write, "the versioned KV engine has set itself up")
    bao.call("PUT", "sys/policies/acl/role-keys", {"policy": POLICY})
    bao.call("POST", "auth/approle/role/role-keys", {"token_policies": ["role-keys"], "token_period": "1h"})
    aws.login = {"method": "approle"}
    for key, answer in (("role_id", bao.call("GET", "auth/approle/role/role-keys/role-id")),
                        ("secret_id", bao.call("POST", "auth/approle/role/role-keys/secret-id"))):
        aws.login[f"{key}_file"] = f"{bao.folder}/role-keys-{key}"
        bao.write_login(key, aws.login[f"{key}_file"], answer)


@pytest.fixture
def daemon(world, aws):
    """A leased with a ledger; after the test nothing of Vault's is left at AWS."""
    def vault(address):
        return {"plugin": "vault", "address": address, "auth": aws.login}

    def role(name):
        return aws.backend(source={"type": "role", "role": name})

    backends = {"vault": vault(aws.vault.address), "down": vault(f"http://127.0.0.1:{free_port()}"), "aws": role("signer"), "kv": role("keys"),
                "denied": role("forbidden"), "unreachable": role("nowhere")}
    roles = {"signer": {"backend": "vault", "path": "aws/creds/signer", "on_stop": "revoke"}, "keys": {"backend": "vault", "path": "role-keys/data/signer"},
             "forbidden": {"backend": "vault", "path": "aws/creds/another"}, "nowhere": {"backend": "down", "path": "aws/creds/signer"},
             "deploy": {"backend": "aws", "role_arn": arn("assumed")}, "deploy-too": {"backend": "aws", "role_arn": arn("assumed")},
             "deploy-denying": {"backend": "aws", "role_arn": arn("denying"), "revoke": "deny-older", "on_stop": "revoke"},
             "deploy-kv": {"backend": "kv", "role_arn": arn("assumed")}, "deploy-denied": {"backend": "denied", "role_arn": arn("assumed")},
             "deploy-down": {"backend": "unreachable", "role_arn": arn("assumed")}}
    it = world.daemon(roles, RULES, backends=backends)
    it.config["policies"]["admins"] = ADMINS
    it.config["state"] = {"ledger": {"sqlite": f"{it.folder}/ledger/ledger.db"}}
    begin(it)
    yield it
    it.send(signal.SIGUSR2)  # none comes after it
    until(lambda: "daemon.final" in it.log_lines(), "it knows that it is the last one")
    assert it.stop() == 0, it.log_lines()[-3000:]
    assert not aws.vault.users


def begin(daemon):
    daemon.start(wait=False)
    daemon.await_ready(lambda: daemon.lease(CONSUMER, "ls").returncode == 0)


def get(daemon, role, *options, code=0):
    done = daemon.lease(CONSUMER, "get", role, "-o", "json", "--bind", "none", *options)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def signer(aws):
    return aws.calls("AssumeRole")[-1]["signed_by"]


def test_a_vault_aws_role_signs_is_minted_once_and_is_the_daemons_own(daemon, aws):
    before = aws.vault.made
    fields = get(daemon, "deploy", "--wait", "30s")["credential"]
    assert aws.client("sts", fields).get_caller_identity()["Arn"].endswith(f"assumed-role/assumed/{CONSUMER}")
    get(daemon, "deploy-too")
    assert aws.vault.made == before + 1 and list(aws.vault.users.values()) == [signer(aws)]
    rows = json.loads(daemon.lease("root", "ls", "-o", "json").stdout)
    assert [row["owner"]["user"] for row in rows if row["role"] == "signer"] == ["backend:aws"]
    assert "signer" not in daemon.lease(CONSUMER, "ls").stdout
    assert "denied" in daemon.lease(CONSUMER, "get", "signer").stderr  # it isn't theirs
    made = next(r for r in daemon.records() if r["event"] == "grant.created" and r["role"] == "signer")
    assert made["identity"] == {"user": "backend:aws"} and made["reason"] == "the source of backend aws" and made["binding"] == "none"
    everything = daemon.log_lines() + json.dumps(daemon.records())
    assert fields["secret_access_key"] not in everything and signer(aws) not in everything


def test_nothing_is_minted_anew_after_kill_and_nothing_is_left(daemon, aws):
    before = aws.vault.made
    get(daemon, "deploy", "--wait", "30s")
    key, asked = signer(aws), len(aws.calls("AssumeRole"))
    for _ in range(2):
        daemon.process.kill()
        daemon.process.wait()
        begin(daemon)
    get(daemon, "deploy-too", "--wait", "30s")
    assert len(aws.calls("AssumeRole")) == asked + 1
    assert signer(aws) == key and aws.vault.made == before + 1
    assert [r["event"] for r in daemon.records() if r["event"] == "lease.adopted" and r["role"] == "signer"]


def test_a_restart_revokes_it_after_what_is_revoked_with_it(daemon, aws):
    made = get(daemon, "deploy-denying", "--wait", "30s")
    key = signer(aws)
    daemon.process.kill()
    daemon.process.wait()
    begin(daemon)
    assert daemon.stop() == 0, daemon.log_lines()[-3000:]
    put = aws.calls("PutRolePolicy")[-1]
    assert put["RoleName"] == "denying" and put["signed_by"] == key and put["status"] == 200
    assert not aws.vault.users
    with pytest.raises(ClientError, match="AccessDenied"):
        aws.client("iam", made["credential"]).list_users()
    begin(daemon)  # the next one makes another, when it is asked
    get(daemon, "deploy", "--wait", "30s")
    assert signer(aws) != key


def test_keys_in_kv_sign_too(daemon, aws):
    get(daemon, "deploy-kv", "--wait", "30s")
    assert signer(aws) == aws.keys["access_key_id"]


def test_one_that_aws_calls_expired_is_replaced_once_somebody_does(daemon, aws):
    get(daemon, "deploy", "--wait", "30s")
    key = signer(aws)
    aws.expire(key)
    assert "ExpiredToken" in get(daemon, "deploy-too", code=7)  # it is too new to be replaced without a word
    row = next(row for row in json.loads(daemon.lease("root", "ls", "-o", "json").stdout) if row["role"] == "signer")
    assert daemon.lease("root", "revoke", row["id"]).returncode == 0
    get(daemon, "deploy-too", "--wait", "30s")
    assert signer(aws) != key and key not in aws.vault.users.values()


def test_a_source_that_is_denied_or_down_says_so(daemon):
    denied = get(daemon, "deploy-denied", code=7)
    assert "source: role forbidden" in denied and "permission denied" in denied
    assert "source: role nowhere" in get(daemon, "deploy-down", code=7)
