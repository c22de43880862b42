"""Isolation against a real bao: a child token for each credential, where it comes from, what it outlives, what ends it."""
import json

import pytest
from conftest import CONSUMER
from servers import MINIMAL_POLICY, until

TOKEN_ROLE = "leased-children"
MAKES_CHILDREN = """
path "auth/token/create/%s"       { capabilities = ["update"] }
path "auth/token/create"          { capabilities = ["update"] }
path "auth/token/renew-accessor"  { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }
""" % TOKEN_ROLE
# Root sees the warnings.
POLICIES = {"policies": {"rules": [{"subjects": [{"user": CONSUMER}], "roles": ["*"]}],
                         "admins": [{"subjects": [{"user": "root"}], "may": ["read"]}]}}
ISSUES = 'path "database/creds/*" { capabilities = ["read"] }'


class Isolating:
    """What an operator sets up at the issuer: a token role whose orphans may issue, and a login that may make them."""

    def __init__(self, world):
        self.bao, self.folder = world.bao, world.folder
        self.bao.call("PUT", "sys/policies/acl/issues", {"policy": ISSUES})
        self.bao.call("PUT", "sys/policies/acl/isolating", {"policy": MINIMAL_POLICY + MAKES_CHILDREN})
        self.bao.call("POST", f"auth/token/roles/{TOKEN_ROLE}", {"orphan": True, "allowed_policies": ["issues"], "token_no_default_policy": True})
        for name, settings in {"isolating": {"token_period": "1h"}, "isolating-bounded": {"token_ttl": "1h", "token_max_ttl": "2h"}}.items():
            self.bao.call("POST", f"auth/approle/role/{name}", {"token_policies": ["isolating"], **settings})
            self.bao.write_login("role_id", f"{self.folder}/{name}-role", self.bao.call("GET", f"auth/approle/role/{name}/role-id"))
            self.bao.write_login("secret_id", f"{self.folder}/{name}-secret", self.bao.call("POST", f"auth/approle/role/{name}/secret-id"))

    def backend(self, login="isolating", **more):
        return {**POLICIES, "backends": {"bao": {"plugin": "vault", "address": self.bao.address, "health_interval": "1s", **more, "auth": {
            "method": "approle", "role_id_file": f"{self.folder}/{login}-role", "secret_id_file": f"{self.folder}/{login}-secret"}}}}

    def children(self, role):
        """What look-ups say of the living tokens that were made for this role of leased."""
        found = []
        for accessor in self.bao.call("LIST", "auth/token/accessors")["data"]["keys"]:
            try:
                data = self.bao.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})["data"]
            except Exception:  # it has ended meanwhile
                continue
            if (data["meta"] or {}).get("role") == role:
                found.append(data)
        return found


@pytest.fixture(scope="module")
def isolating(world):
    return Isolating(world)


def warnings(daemon):
    status = json.loads(daemon.lease("root", "status", "-o", "json").stdout)
    return status["backends"][0]["warnings"]


def test_each_credential_has_an_orphan_that_lives_and_ends_with_it(orders, shell, isolating):
    it = orders(config=isolating.backend(token_role=TOKEN_ROLE), binding="process", ttl="30m")
    holder = shell(it.daemon)
    credential = holder.get(it.role, "--reason OPS-1")
    assert it.logs_in(credential)
    (child,) = isolating.children(it.role)
    assert child["orphan"] and child["policies"] == ["issues"] and child["num_uses"] == 1
    assert child["meta"]["user"] == CONSUMER and child["meta"]["reason"] == "OPS-1" and child["meta"]["role"] == it.role
    assert 1800 < child["ttl"] <= 1860  # it outlives the lease, and not by much
    assert not [text for text in warnings(it.daemon) if "isolat" in text]
    holder.end()
    it.await_dead(credential)
    until(lambda: not isolating.children(it.role), "its token is gone, too", 10)


def test_an_isolated_credential_outlives_leaseds_own_login(orders, shell, isolating):
    it = orders(config=isolating.backend(token_role=TOKEN_ROLE), binding="process")
    holder = shell(it.daemon)
    credential = holder.get(it.role)
    isolating.bao.revoke_tokens(lambda token: token["path"] == "auth/approle/login" and "isolating" in token["policies"])
    assert it.logs_in(credential) and it.lease_ids()
    until(lambda: "vault.token.lost" in it.daemon.log_lines(), "leased has noticed")
    assert holder.get(it.role)["lease"] == credential["lease"]  # nothing is replaced
    holder.end()
    it.await_dead(credential)


def test_the_issuers_own_audit_names_the_caller(orders, shell, isolating):
    it = orders(config=isolating.backend(token_role=TOKEN_ROLE))
    holder = shell(it.daemon)
    holder.get(it.role, "--reason OPS-7")
    with open(isolating.bao.audit_path, encoding="utf-8") as f:
        records = [record for record in map(json.loads, f) if record["type"] == "response" and record["request"]["path"] == it.path]
    assert len(records) == 1
    assert records[0]["auth"]["metadata"]["user"] == CONSUMER and records[0]["auth"]["metadata"]["reason"] == "OPS-7"


def test_a_renewal_takes_the_child_along(orders, shell, isolating):
    it = orders(issuer={"ttl": "6s", "max_ttl": "1h"}, config=isolating.backend(token_role=TOKEN_ROLE), min_remaining="1s")
    holder = shell(it.daemon)
    credential = holder.get(it.role)
    until(lambda: it.events("lease.renewed"), "it was renewed")
    (child,) = isolating.children(it.role)
    assert child["ttl"] > 60 and it.logs_in(credential)


def test_without_a_token_role_children_hang_on_a_bounded_login_and_it_is_said(orders, shell, isolating):
    it = orders(config=isolating.backend("isolating-bounded"))
    shell(it.daemon).get(it.role)
    (child,) = isolating.children(it.role)
    assert not child["orphan"]
    assert any("token_role" in text for text in warnings(it.daemon))


def test_where_no_child_may_be_made_it_goes_on_without_and_warns(orders, shell, isolating):
    it = orders(config=POLICIES)  # with the minimal policy
    holder = shell(it.daemon)
    credential = holder.get(it.role)
    assert it.logs_in(credential) and not isolating.children(it.role)
    until(lambda: any("lacks update on auth/token/create" in text for text in warnings(it.daemon)), "it is warned of")
    assert "vault.isolate.off" in it.daemon.log_lines()
    status = json.loads(it.daemon.lease("root", "status", "-o", "json").stdout)
    assert any("lacks update on auth/token/create" in text for text in status["warnings"]) and status["status"] == "ok"


def test_a_role_that_insists_is_told_what_is_missing(orders, shell, isolating):
    it = orders(isolate=True)
    code, output = shell(it.daemon).run(f"lease get {it.role} 2>&1")
    assert code != 0 and "isolate: true" in output and "auth/token/create" in output


def test_a_role_may_do_without(orders, shell, isolating):
    it = orders(config=isolating.backend(token_role=TOKEN_ROLE), isolate=False)
    credential = shell(it.daemon).get(it.role)
    assert it.logs_in(credential) and not isolating.children(it.role)
