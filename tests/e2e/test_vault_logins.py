"""Each way to log in, against the real server; and files that appear, change, or hold what they shouldn't."""
import json
import os
import pwd

import pytest
from conftest import CONSUMER, Shell
from logins import FakeVault, LoginBao
from servers import Failed, give_to, until

METHODS = ("jwt", "batch", "kubernetes", "cert", "userpass", "wrapped")
POLICIES = {"rules": [{"name": "consumers", "subjects": [{"user": CONSUMER}], "roles": ["*"]}],
            "admins": [{"subjects": [{"user": pwd.getpwuid(os.getuid()).pw_name}]}]}


@pytest.fixture(scope="module")
def issuer(world):
    it = LoginBao(f"{world.folder}/logins", world.bao.program)
    try:
        it.start()
        it.await_ready(it.ready)
        it.set_up(world.postgres)
        it.set_up_logins()
        it.database_role("orders")
        yield it
    finally:
        it.stop()


def put(issuer, name, text, mode=0o400):
    """A file that leased can read, in one step."""
    path = f"{issuer.folder}/{name}"
    with open(os.open(f"{path}.new", os.O_CREAT | os.O_WRONLY, mode), "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(f"{path}.new", mode)
    give_to(f"{path}.new", "leased")
    os.rename(f"{path}.new", path)
    return path


def launch(world, issuer, auths, **more):
    """A leased with a backend for each login, and a role for each backend."""
    backends = {name: {"plugin": "vault", "address": issuer.address, "health_interval": "1s", "auth": auth, **more.get(name, {})}
                for name, auth in auths.items()}
    roles = {name: {"backend": name, "path": "database/creds/orders"} for name in auths}
    return world.daemon(roles, [], backends=backends, policies=POLICIES).start(wait=False)


def backends_of(daemon):
    """Name → its line of the status; empty until leased is there."""
    answer = daemon.lease("root", "status", "-o", "json")
    return {line["name"]: line for line in json.loads(answer.stdout)["backends"]} if answer.stdout.startswith("{") else {}


def await_up(daemon, names, timeout_s=20):
    def up():
        status = backends_of(daemon)
        return status and all(status[name]["up"] for name in names)
    await_status(daemon, up, timeout_s)


def await_status(daemon, condition, timeout_s):
    try:
        until(condition, "the backends are as they should be", timeout_s, 0.1)
    except Failed as failed:
        raise AssertionError(json.dumps(backends_of(daemon), indent=1)) from failed


def events(daemon, event, backend):
    lines = [json.loads(line) for line in daemon.log_lines().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event and line.get("backend") == backend]


def stop(daemon):
    assert daemon.stop() == 0, f"leased ended badly:\n{daemon.log_lines()[-4000:]}"


@pytest.fixture(scope="module")
def daemon(world, issuer):
    approle = {"method": "approle", "role_id_file": issuer.role_id_file}
    it = launch(world, issuer, {
        "jwt": {"method": "jwt", "role": "leased", "jwt_file": put(issuer, "job.jwt", issuer.jwt.token())},
        "batch": {"method": "jwt", "role": "batch", "jwt_file": f"{issuer.folder}/job.jwt"},
        # The kubelet's mode.
        "kubernetes": {"method": "kubernetes", "role": "leased", "jwt_file": put(issuer, "account", issuer.jwt.service_account(), 0o644)},
        "cert": {"method": "cert", "name": "leased"},
        "userpass": {"method": "userpass", "username": "leased", "password_file": put(issuer, "password", "correct horse\n")},
        "wrapped": {**approle, "secret_id_wrapping_token_file": put(issuer, "wrapped", issuer.wrapped())},
    }, cert={"address": issuer.tls_address, "ca_file": issuer.pki.ca, "cert_file": issuer.pki.client, "key_file": issuer.pki.client_key})
    await_up(it, METHODS)
    yield it
    stop(it)


@pytest.mark.parametrize("method", METHODS)
def test_a_login_gives_credentials_that_work(world, issuer, daemon, shell, method):
    script = shell(daemon)
    fields = script.get(method)["credential"]
    assert world.postgres.psql("SELECT 1", fields["username"], fields["password"])[0]
    script.end()
    until(lambda: not world.postgres.psql("SELECT 1", fields["username"], fields["password"])[0], "the credential is dead")
    if method == "kubernetes":
        assert len(issuer.reviews.reviewed) == 1


def test_a_certificates_token_is_renewed_over_the_same_certificate(issuer, daemon):
    before = issuer.requests("auth/token/renew-self")
    until(lambda: issuer.requests("auth/token/renew-self") >= before + 2, "the token, which lives for 3 s, was renewed twice", 15, 0.1)
    assert not events(daemon, "vault.token.renew.failed", "cert")
    assert len(events(daemon, "vault.login.done", "cert")) == 1
    assert backends_of(daemon)["cert"]["up"]


def test_what_a_login_made_is_ended_with_the_daemon(world, issuer):
    before = issuer.requests("auth/token/revoke-self")
    it = launch(world, issuer, {"userpass": {"method": "userpass", "username": "leased",
                                             "password_file": put(issuer, "password", "correct horse")}})
    await_up(it, ["userpass"])
    stop(it)
    assert issuer.requests("auth/token/revoke-self") == before + 1


def test_a_wrapped_secret_id_of_a_namespace(world, issuer):
    issuer.call("POST", "sys/namespaces/team")
    issuer.call("POST", "team/sys/auth/approle", {"type": "approle"})
    issuer.call("POST", "team/auth/approle/role/leased", {"token_ttl": "1h"})
    role_id = issuer.call("GET", "team/auth/approle/role/leased/role-id")["data"]["role_id"]
    wrapped = put(issuer, "wrapped-team", issuer.wrapped(namespace="team"))
    it = launch(world, issuer, {"team": {"method": "approle", "role_id": role_id, "secret_id_wrapping_token_file": wrapped}},
                team={"namespace": "team"})
    await_up(it, ["team"])
    stop(it)


def test_ldap_asks_and_is_told_as_vault_does_it(world, issuer):
    peer = FakeVault("/v1/auth/ad/login/leased%40corp", "correct horse")
    auth = {"method": "ldap", "mount": "ad", "username": "leased@corp", "password_file": put(issuer, "ldap-password", "wrong")}
    try:
        it = launch(world, issuer, {"ad": auth}, ad={"address": peer.address})
        until(lambda: "failed to bind as user" in str(backends_of(it).get("ad", {}).get("last_error")), "the refusal is told", 10, 0.1)
        put(issuer, "ldap-password", "correct horse")
        await_up(it, ["ad"])
        assert peer.logins[-1] == {"password": "correct horse"}
        stop(it)
    finally:
        peer.close()


# --- files ---

REASONS = {
    "expired": "(jwt at auth/jwt): error validating token: invalid expiration time (exp) claim: token is expired",
    "unknown-role": '(jwt at auth/jwt): role "nobody" could not be found',
    "few-uses": "token_num_uses: 0",
    "missing": "/missing: No such file or directory",
    "empty": "/empty is empty",
    "open": "/open is accessible to others (mode 0644)",
    "dead": "(token): permission denied",
    "substituted": "was made at auth/approle/role/other/secret-id instead of auth/approle/role/leased/secret-id",
    "spent": "wrapping token is not valid or does not exist (HTTP status 400). It was unwrapped already, perhaps by an earlier start of leased: deliver a new one",
}
NOT_REPAIRED = ("unknown-role", "few-uses")


def own_token(issuer):
    return issuer.call("POST", "auth/token/create-orphan", {"policies": ["leased"], "ttl": "1h"})["auth"]["client_token"]


class Wrong:
    """A leased whose logins find what they shouldn't, and one that is fine (`token`)."""

    def __init__(self, world, issuer):
        self.issuer, folder = issuer, issuer.folder
        issuer.call("POST", "auth/approle/role/other", {"token_policies": ["leased"]})
        self.good, self.old, self.new = issuer.jwt.token(), own_token(issuer), own_token(issuer)
        self.substitute, spent = issuer.wrapped("auth/approle/role/other/secret-id"), issuer.wrapped()
        issuer.unwrap(spent)
        jwt, user = {"method": "jwt", "role": "leased"}, {"method": "userpass", "username": "leased"}
        approle = {"method": "approle", "role_id_file": issuer.role_id_file}
        self.daemon = launch(world, issuer, {
            "token": {"method": "token", "token_file": put(issuer, "token", self.old)},
            "expired": {**jwt, "jwt_file": put(issuer, "expired", issuer.jwt.token(lifetime_s=-600))},
            "unknown-role": {"method": "jwt", "role": "nobody", "jwt_file": put(issuer, "good", self.good)},
            "few-uses": {"method": "jwt", "role": "few-uses", "jwt_file": f"{folder}/good"},
            "missing": {"method": "token", "token_file": f"{folder}/missing"},
            "empty": {**user, "password_file": put(issuer, "empty", "")},
            "open": {**user, "password_file": put(issuer, "open", "correct horse", 0o644)},
            "dead": {"method": "token", "token_file": put(issuer, "dead", "s.nobodysNobodysNobodys1")},
            "substituted": {**approle, "secret_id_wrapping_token_file": put(issuer, "substituted", self.substitute),
                            "secret_id_wrapping_path": "auth/approle/role/leased/secret-id"},
            "spent": {**approle, "secret_id_wrapping_token_file": put(issuer, "spent", spent)},
        })
        await_up(self.daemon, ["token"])
        self.script = Shell(self.daemon, CONSUMER)
        self.first = self.script.get("token")["credential"]

    def mend(self):
        """All at once, because a look at the files comes every 10 s only."""
        for name, text in (("expired", self.good), ("missing", own_token(self.issuer)), ("empty", "correct horse"), ("open", "correct horse"),
                           ("dead", own_token(self.issuer)), ("substituted", self.issuer.wrapped()), ("spent", self.issuer.wrapped()),
                           ("token", self.new)):
            put(self.issuer, name, text)
        await_up(self.daemon, [name for name in REASONS if name not in NOT_REPAIRED], 15)
        until(lambda: len(events(self.daemon, "vault.login.done", "token")) == 2, "the new token is in use", 15, 0.1)

    def close(self):
        self.script.end()
        stop(self.daemon)


@pytest.fixture(scope="module")
def wrong(world, issuer):
    it = Wrong(world, issuer)
    yield it
    it.close()


@pytest.fixture(scope="module")
def mended(wrong):
    wrong.mend()
    return wrong


def test_what_is_wrong_is_told(wrong):
    def told():
        status = backends_of(wrong.daemon)
        return all(reason in (status[name]["last_error"] or "") for name, reason in REASONS.items())
    await_status(wrong.daemon, told, 10)
    code, output = wrong.script.run("lease get missing")
    assert code == 7 and REASONS["missing"] in output, (code, output)


def test_a_wrapping_token_that_was_made_elsewhere_is_not_unwrapped(issuer, wrong):
    await_status(wrong.daemon, lambda: events(wrong.daemon, "vault.unwrap.substituted", "substituted"), 10)
    assert not events(wrong.daemon, "vault.unwrap.refused", "substituted")
    assert issuer.unwrap(wrong.substitute)["secret_id"], "it was still whole"


def test_a_wrapping_token_that_is_spent_is_an_event_and_not_tried_again(wrong):
    await_status(wrong.daemon, lambda: events(wrong.daemon, "vault.unwrap.refused", "spent"), 10)
    until(lambda: len(events(wrong.daemon, "vault.login.failed", "expired")) > 1, "others were tried again")
    assert len(events(wrong.daemon, "vault.unwrap.refused", "spent")) == 1
    assert not events(wrong.daemon, "vault.login.failed", "spent")


def test_what_is_mended_works_without_a_restart(mended):
    for name in REASONS:
        if name not in NOT_REPAIRED:
            assert mended.script.get(name)["credential"]["username"]


def test_another_token_is_taken_up_and_the_old_one_keeps_its_leases(world, issuer, mended):
    def works(fields):
        return world.postgres.psql("SELECT 1", fields["username"], fields["password"])[0]
    other = Shell(mended.daemon, CONSUMER)
    second = other.get("token")["credential"]
    assert works(mended.first) and works(second)
    issuer.call("POST", "auth/token/revoke", {"token": mended.old})
    until(lambda: not works(mended.first), "what was issued under the old token died with it")
    assert works(second), "it was issued under the new one"
    other.end()
    # It is the operator's.
    assert issuer.call("POST", "auth/token/lookup", {"token": mended.new})["data"]["ttl"] > 0
