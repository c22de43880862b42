"""Each engine's credentials by its own rule: what they hold, how long they live, what ends them. One bao, one leased for all."""
import datetime
import json
import re
import subprocess
import time

import pytest
from conftest import CONSUMER, Shell
from fake_apis import Kubernetes, RabbitMq
from servers import ADMIN_PASSWORD, CREATE, REVOKE, Failed, give_to, until

POLICY = """
path "engines-*"              { capabilities = ["read", "create", "update"] }
path "identity/oidc/token/*"  { capabilities = ["read"] }
path "sys/leases/renew"       { capabilities = ["update"] }
path "sys/leases/revoke"      { capabilities = ["update"] }
path "sys/leases/lookup"      { capabilities = ["update"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
"""
MOUNTS = {"db": "database", "pki": "pki", "ssh": "ssh", "otp": "ssh", "kv1": "kv", "kv2": "kv", "totp": "totp", "transit": "transit",
          "mq": "rabbitmq", "kube": "kubernetes"}
ROTATION_S = 7
ROLES = {
    "db": {"path": "engines-db/creds/app"},
    "static": {"path": "engines-db/static-creds/app-static", "share": "role"},
    "web": {"path": "engines-pki/issue/web", "params": {"common_name": "${identity.user}.x"}, "ttl": "10m"},
    "web-leased": {"path": "engines-pki/issue/leased", "params": {"common_name": "a.x"}},
    "web-unstored": {"path": "engines-pki/issue/unstored", "params": {"common_name": "a.x"}, "revoke": False},
    "ssh": {"path": "engines-ssh/sign/user", "ttl": "5m"},
    **{f"ssh-{kind}": {"path": "engines-ssh/issue/user", "params": {"key_type": kind, "valid_principals": "a"}} for kind in ("rsa", "ec", "ed25519")},
    "otp": {"path": "engines-otp/creds/user", "params": {"ip": "10.0.0.1"}},
    "kv1": {"path": "engines-kv1/app"},
    "kv1-hint": {"path": "engines-kv1/hint"},
    "kv2": {"path": "engines-kv2/data/app", "refresh": "1s", "share": "role"},
    "kv2-deleted": {"path": "engines-kv2/data/deleted"},
    "kv2-path": {"path": "engines-kv2/app"},
    "kv2-missing": {"path": "engines-kv2/data/missing"},
    "code": {"path": "engines-totp/code/key"},
    "key": {"path": "engines-transit/datakey/plaintext/key"},
    "mq": {"path": "engines-mq/creds/app"},
    "kube": {"path": "engines-kube/creds/app", "params": {"kubernetes_namespace": "team"}, "ttl": "15m"},
    "oidc": {"path": "identity/oidc/token/engines"},
    "unmounted": {"path": "nothing/here"},
    "method": {"path": "engines-pki/issue/web", "method": "get", "params": {"common_name": "a.x"}},
}


def run(*command, text=None):
    return subprocess.run(command, input=text, text=True, capture_output=True, check=True, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"}).stdout


class Engines:
    """The mounts, and a leased with a role for each."""

    def __init__(self, world):
        self.world, self.bao = world, world.bao
        self.mq, self.kube = RabbitMq(), Kubernetes()
        for name, kind in MOUNTS.items():
            options = {"version": name[2:]} if kind == "kv" else {}
            self.bao.call("POST", f"sys/mounts/engines-{name}", {"type": kind, "options": options})
        self.set_up()
        self.set_up_fakes()
        until(self.fill_kv2, "the versioned KV engine has set itself up")
        backend = {"plugin": "vault", "address": self.bao.address, "auth": self.login()}
        self.daemon = world.daemon(self.roles(), [{"subjects": [{"user": CONSUMER}], "roles": ["*"]}], backends={"bao": backend})

    def set_up(self):
        def write(path, **body):
            self.bao.call("POST", path, body)
        address = f"127.0.0.1:{self.world.postgres.port}"
        write("engines-db/config/app", plugin_name="postgresql-database-plugin", allowed_roles="*", username="admin",
              password=ADMIN_PASSWORD, connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{address}/postgres?sslmode=disable")
        write("engines-db/roles/app", db_name="app", creation_statements=CREATE, revocation_statements=REVOKE, default_ttl="1h", max_ttl="24h")
        self.world.postgres.admin("CREATE ROLE app_static LOGIN PASSWORD 'first'")
        write("engines-pki/root/generate/internal", common_name="engines", key_type="ec")
        for name, more in {"web": {}, "leased": {"generate_lease": True}, "unstored": {"no_store": True}}.items():
            write(f"engines-pki/roles/{name}", allow_any_name=True, enforce_hostnames=False, max_ttl="1h", key_type="ec", **more)
        write("engines-ssh/config/ca", generate_signing_key=True, key_type="ed25519")
        write("engines-ssh/roles/user", key_type="ca", allow_user_certificates=True, allowed_users="*", default_user="nobody", max_ttl="1h")
        write("engines-otp/roles/user", key_type="otp", default_user="nobody", cidr_list="10.0.0.0/8")
        write("engines-kv1/app", password="one")
        write("engines-kv1/hint", password="one", ttl="2s")
        write("engines-totp/keys/key", generate=True, issuer="x", account_name="y")
        write("engines-transit/keys/key")
        write("identity/oidc/key/engines", allowed_client_ids="*")
        write("identity/oidc/role/engines", key="engines", ttl="10m")

    def set_up_fakes(self):
        anything = json.dumps({"/": {"configure": ".*", "write": ".*", "read": ".*"}})
        self.bao.call("POST", "engines-mq/config/connection",
                      {"connection_uri": self.mq.address, "username": "u", "password": "p", "verify_connection": False})
        self.bao.call("POST", "engines-mq/roles/app", {"vhosts": anything})
        self.bao.call("POST", "engines-kube/config",
                      {"kubernetes_host": self.kube.address, "service_account_jwt": "x", "disable_local_ca_jwt": True})
        self.bao.call("POST", "engines-kube/roles/app", {"allowed_kubernetes_namespaces": "*", "service_account_name": "runner"})

    def fill_kv2(self):
        try:
            self.bao.call("POST", "engines-kv2/data/app", {"data": {"password": "one"}})
        except Failed:  # it upgrades itself
            return False
        self.bao.call("POST", "engines-kv2/data/deleted", {"data": {"password": "one"}})
        self.bao.call("DELETE", "engines-kv2/data/deleted")
        return True

    def roles(self):
        key = f"{self.world.folder}/ssh-key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key)
        with open(f"{key}.pub", encoding="utf-8") as f:
            public = f.read().strip()
        roles = {name: {"backend": "bao", **role} for name, role in ROLES.items()}
        roles["ssh"]["params"] = {"public_key": public, "valid_principals": "${identity.user}"}
        return roles

    def login(self):
        self.bao.call("PUT", "sys/policies/acl/engines", {"policy": POLICY})
        self.bao.call("POST", "auth/approle/role/engines", {"token_policies": ["engines"], "token_period": "1h"})
        auth = {"method": "approle"}
        for key, method, path in (("role_id", "GET", "role-id"), ("secret_id", "POST", "secret-id")):
            auth[f"{key}_file"] = f"{self.world.folder}/engines-{key}"
            self.bao.write_login(key, auth[f"{key}_file"], self.bao.call(method, f"auth/approle/role/engines/{path}"))
            give_to(auth[f"{key}_file"], "leased")
        return auth

    def works(self, fields):
        return self.world.postgres.psql("SELECT 1", fields["username"], fields["password"])[0]

    def revocation_time(self, serial):
        return self.bao.call("GET", f"engines-pki/cert/{serial}")["data"]["revocation_time"]

    def close(self):
        code = self.daemon.stop()
        self.mq.close()
        self.kube.close()
        assert code == 0, f"leased ended badly: {self.daemon.log_lines()[-4000:]}"


def left_s(credential):
    """What is left of a credential's life."""
    return datetime.datetime.fromisoformat(credential["expires_at"].replace("Z", "+00:00")).timestamp() - time.time()


@pytest.fixture(scope="module")
def engines(world):
    it = Engines(world)
    try:
        it.daemon.start()
        yield it
    finally:
        it.close()


@pytest.fixture
def script(engines):
    it = Shell(engines.daemon, CONSUMER)
    yield it
    it.end()


def test_a_database_login_dies_with_its_holder(engines, script):
    credential = script.get("db")
    assert credential["renewable"] and credential["revocable"]
    assert engines.works(credential["credential"])
    script.end()
    until(lambda: not engines.works(credential["credential"]), "the login is dead")


def test_a_static_password_is_read_at_its_rotation_and_not_before(engines, script):
    path = "engines-db/static-creds/app-static"
    engines.bao.call("POST", "engines-db/static-roles/app-static", {"db_name": "app", "username": "app_static",
                                                             "rotation_period": f"{ROTATION_S}s"})
    first = script.get("static")
    password = first["credential"]["password"]
    assert not first["renewable"] and not first["revocable"]
    assert engines.works(first["credential"])
    reads = engines.bao.requests(path)

    def rotated():
        credential = script.get("static")
        return credential if credential["credential"]["password"] != password else None
    second = until(rotated, "the rotated password is served", ROTATION_S + 8, 0.1)
    assert engines.works(second["credential"])
    assert second["grant"] == first["grant"] and second["version"] > first["version"]
    assert engines.bao.requests(path) - reads <= 4, "not the same password again and again with less and less life"


def test_a_certificate_is_revoked_when_it_is_released(engines, script):
    credential = script.get("web")
    fields = credential["credential"]
    assert credential["revocable"] and not credential["renewable"]
    assert 500 < left_s(credential) <= 600, "the role's ttl was asked of the engine"
    assert f"{CONSUMER}.x" in run("openssl", "x509", "-noout", "-subject", text=fields["certificate"])
    assert engines.revocation_time(fields["serial_number"]) == 0
    assert script.run(f"lease revoke {credential['lease']}")[0] == 0
    assert engines.revocation_time(fields["serial_number"]) > 0, "the engine had confirmed when revoke returned"
    crl = engines.bao.call("GET", "engines-pki/cert/crl")["data"]["certificate"]
    assert fields["serial_number"].replace(":", "").upper() in run("openssl", "crl", "-noout", "-text", text=crl)


def test_a_leased_certificate_is_revoked_by_its_lease(engines, script):
    credential = script.get("web-leased")
    assert credential["revocable"]
    assert script.run(f"lease revoke {credential['lease']}")[0] == 0
    assert engines.revocation_time(credential["credential"]["serial_number"]) > 0


def test_a_certificate_that_is_not_to_be_revoked_is_let_go(engines, script):
    revocations = engines.bao.requests("engines-pki/revoke")
    credential = script.get("web-unstored")
    assert not credential["revocable"]
    script.run(f"lease revoke {credential['lease']}")
    assert engines.bao.requests("engines-pki/revoke") == revocations


def test_an_ssh_certificate_ends_when_it_says(engines, script):
    credential = script.get("ssh")
    signed = credential["credential"]["signed_key"]
    assert signed == signed.strip()
    path = f"{engines.world.folder}/signed-cert.pub"
    with open(path, "w", encoding="utf-8") as f:
        f.write(signed)
    shown = run("ssh-keygen", "-L", "-f", path)
    assert re.search(rf"Principals:\s+{CONSUMER}\s", shown)
    end = datetime.datetime.fromisoformat(re.search(r"Valid: from \S+ to (\S+)", shown).group(1) + "+00:00")
    assert abs(end.timestamp() - time.time() - left_s(credential)) < 5
    assert 200 < left_s(credential) <= 300, "the role's ttl was asked of the engine"
    assert not credential["renewable"] and not credential["revocable"]


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
def test_an_agent_signs_with_a_key_that_was_issued(script, kind):
    script.run("d=$(mktemp -d); export d; cd $d; echo x >m")
    for words in ("ssh-add -L >k.pub", "ssh-keygen -q -Y sign -f k.pub -n file m"):
        code, output = script.run(f"lease ssh ssh-{kind} -- sh -c '{words}'")
        assert code == 0, output
    code, output = script.run("cut -d@ -f1 k.pub; ssh-keygen -Y check-novalidate -n file -s m.sig <m; code=$?; rm -r $d; cd /; (exit $code)")
    assert code == 0 and "-cert-v01" in output and "Good" in output, output


def test_a_one_time_password_is_a_lease(engines, script):
    credential = script.get("otp")
    assert credential["credential"]["key_type"] == "otp" and credential["credential"]["ip"] == "10.0.0.1"
    assert not credential["renewable"] and credential["revocable"]
    assert script.run(f"lease revoke {credential['lease']}")[0] == 0
    with pytest.raises(Failed, match="OTP not found"):
        engines.bao.call("POST", "engines-otp/verify", {"otp": credential["credential"]["key"]})


def test_a_secret_of_kv_version_1_lives_on_and_its_own_hint_counts(engines, script):
    credential = script.get("kv1")
    assert credential["credential"] == {"password": "one"}
    assert 23 * 3600 < left_s(credential) <= 24 * 3600
    assert script.get("kv1-hint")["credential"]["password"] == "one"
    engines.bao.call("POST", "engines-kv1/hint", {"password": "two", "ttl": "2s"})
    until(lambda: script.get("kv1-hint")["credential"]["password"] == "two", "the new value is served")


def test_a_secret_of_kv_version_2_is_read_again(engines, script):
    first = script.get("kv2")
    assert first["credential"]["password"] == "one"
    engines.bao.call("POST", "engines-kv2/data/app", {"data": {"password": "two"}})

    def changed():
        credential = script.get("kv2")
        return credential if credential["credential"]["password"] == "two" else None
    second = until(changed, "the new value is served")
    assert int(second["credential"]["metadata.version"]) == int(first["credential"]["metadata.version"]) + 1


@pytest.mark.parametrize(("role", "words"), [
    ("kv2-deleted", ["version 1 of the secret was deleted"]),
    ("kv2-missing", ["nothing at this path"]),
    ("kv2-path", ["versioned KV", "engines-kv2/data/app"]),
    ("unmounted", ["permission denied", "policy"]),
    ("method", ["doesn't support GET", "method: post"]),
])
def test_what_is_not_there_is_explained(script, role, words):
    code, output = script.run(f"lease get {role} -o json 2>&1")
    assert code != 0
    for word in words:
        assert word in output


def test_a_one_time_code_lives_for_its_moment(engines, script):
    first = script.get("code")
    assert re.fullmatch(r"[0-9]{6}", first["credential"]["code"])
    assert 0 < left_s(first) <= 30
    period = engines.bao.call("GET", "engines-totp/code/key")["data"]
    if left_s(first) > 5:
        assert period["code"] == first["credential"]["code"]
        assert abs(period["expire_time"] - time.time() - left_s(first)) < 5


def test_a_data_key_is_handed_out_and_opens_what_it_closed(engines, script):
    fields = script.get("key")["credential"]
    opened = engines.bao.call("POST", "engines-transit/decrypt/key", {"ciphertext": fields["ciphertext"]})["data"]["plaintext"]
    assert opened == fields["plaintext"]
    assert script.get("key")["credential"] == fields


def test_a_rabbitmq_user_goes_with_its_holder(engines, script):
    fields = script.get("mq")["credential"]
    assert fields["username"] in engines.mq.users
    script.end()
    until(lambda: fields["username"] not in engines.mq.users, "the user is deleted")


def test_a_kubernetes_token_is_asked_for_the_roles_life(engines, script):
    credential = script.get("kube")
    fields = credential["credential"]
    assert fields["service_account_name"] == "runner" and fields["service_account_namespace"] == "team"
    assert len(fields["service_account_token"].split(".")) == 3
    assert not credential["renewable"]
    assert 800 < left_s(credential) <= 900
    assert engines.kube.calls == [("POST", "/api/v1/namespaces/team/serviceaccounts/runner/token")]


def test_an_identity_token_lives_as_long_as_it_says(script):
    credential = script.get("oidc")
    assert len(credential["credential"]["token"].split(".")) == 3
    assert 500 < left_s(credential) <= 600
    assert not credential["revocable"]
