"""Tokens of Google Cloud, from a strict stand-in of its services: each source, impersonation, and bad days."""
import json
import unittest.mock

import google.auth.transport.requests
import google.oauth2.id_token
import pytest
from google.auth import compute_engine, identity_pool
from google.auth.compute_engine import _metadata
from google.oauth2 import service_account
from servers import until
from token_services import Files, Google, on_bad_days

AUDIENCE = "https://service.example"
ROLES = {
    "token": {"backend": "gcp", "scopes": ["https://www.googleapis.com/auth/devstorage.read_only"]},
    "id": {"backend": "gcp", "type": "id_token", "audience": AUDIENCE},
    "target": {"backend": "gcp", "impersonate": Google.target, "delegates": [Google.delegate], "ttl": "10m"},
    "target-id": {"backend": "gcp", "impersonate": Google.target, "type": "id_token", "audience": AUDIENCE},
    "stranger": {"backend": "gcp", "impersonate": "stranger@p.iam.gserviceaccount.com"},
    "long": {"backend": "gcp", "impersonate": Google.target, "ttl": "2h"},
}


@pytest.fixture
def google_cloud():
    service = Google()
    yield service
    service.close()


class Proofs(Files):
    def __init__(self, world, service):
        super().__init__(world)
        self.service = service
        self.key = self.write("key.json", service.key_file())
        self.token = self.write_token()

    def write_token(self, lifetime_s=600):
        return self.write("token", self.service.other_issuer.sign(lifetime_s, iss="https://cluster.example", sub="runner",
                                                                  aud="https:" + self.service.provider))

    def auth(self, method):
        return {"federated": {"method": method, "token_file": self.token, "audience": self.service.provider},
                "service_account_key": {"method": method, "key_file": self.key},
                "metadata": {"method": method}}[method]


@pytest.fixture
def proofs(world, google_cloud):
    return Proofs(world, google_cloud)


@pytest.fixture
def leased(start, google_cloud, proofs):
    """leased(method, address=…, **backend): a running leased that gets its tokens from there."""
    def maker(method, address=None, **changes):
        endpoints = {name: address or google_cloud.address for name in ("sts", "iamcredentials", "token", "metadata")}
        return start(ROLES, backends={"gcp": {"plugin": "gcp", "auth": proofs.auth(method), "endpoints": endpoints, **changes}})
    return maker


def check(credential, service, who, scopes, life_s=3599):
    """Is it a token that was given to `who`, and does leased say truly how long it lives?"""
    fields = credential["credential"]
    given, given_scopes, end = service.given[fields["access_token"]]
    assert (given, given_scopes) == (who, scopes)
    assert abs(int(fields["expires_on"]) - end) <= 2 and abs(end - service.now() - life_s) < 30
    assert not credential["renewable"] and not credential["revocable"]
    assert not service.complaints


def check_id(credential, service, who):
    """google-auth accepts it."""
    claims = google.oauth2.id_token.verify_token(credential["credential"]["id_token"], google.auth.transport.requests.Request(),
                                                 audience=AUDIENCE, certs_url=f"{service.address}/certs")
    assert claims["email"] == who and credential["credential"]["expires_on"] == str(claims["exp"])
    assert not service.complaints


@pytest.mark.parametrize("method, who", [("federated", "federated"), ("service_account_key", Google.account), ("metadata", Google.account)])
def test_each_source_gets_tokens_and_impersonates(leased, shell, google_cloud, method, who):
    script = shell(leased(method))
    check(script.get("token"), google_cloud, who, ROLES["token"]["scopes"])
    check(script.get("target"), google_cloud, Google.target, [Google.platform], 600)
    check_id(script.get("target-id"), google_cloud, Google.target)
    if method == "federated":
        code, output = script.run("lease get id 2>&1")
        assert code != 0 and "ID tokens for service accounts only" in output
    else:
        check_id(script.get("id"), google_cloud, Google.account)


def test_what_google_denies_is_said(leased, shell, google_cloud):
    script = shell(leased("service_account_key"))
    code, output = script.run("lease get stranger 2>&1")
    assert code != 0 and "PERMISSION_DENIED" in output and "roles/iam.serviceAccountTokenCreator" in output
    code, output = script.run("lease get long 2>&1")
    assert code != 0 and "The lifetime is too long" in output
    assert not any(token in output for token in google_cloud.given)


def test_a_clock_ten_minutes_off_is_corrected(leased, shell, google_cloud):
    google_cloud.ahead_s = -600
    script = shell(leased("service_account_key"))
    credential = script.get("token")
    assert google_cloud.complaints == ["the clock"] and len(google_cloud.calls) == 2
    google_cloud.complaints.clear()
    check(credential, google_cloud, Google.account, ROLES["token"]["scopes"])


def test_an_expired_subject_token_is_refused_and_a_new_one_counts_at_once(leased, shell, google_cloud, proofs):
    proofs.write_token(-60)
    script = shell(leased("federated"))
    code, output = script.run("lease get token 2>&1")
    assert code != 0 and "invalid_grant" in output and "expired" in output
    proofs.write_token()
    google_cloud.complaints.clear()
    until(lambda: script.run("lease get token")[0] == 0, "there is a credential", 15, 0.2)
    check(script.get("token"), google_cloud, "federated", ROLES["token"]["scopes"])


def test_bad_days_pass(leased, shell, proofs):
    output = on_bad_days(Google, lambda address: leased("federated", address, limits={"timeout": "1s"}), shell, "token")
    with open(proofs.token, encoding="utf-8") as f:
        assert f.read() not in output


def test_nothing_secret_is_logged(leased, shell, google_cloud):
    daemon = leased("service_account_key")
    shell(daemon).get("target")
    text = daemon.log_lines() + json.dumps(daemon.records())
    assert len(google_cloud.given) == 2 and not any(token in text for token in google_cloud.given)
    assert "PRIVATE KEY" not in text


def test_google_auth_passes_the_same_checks(google_cloud, proofs):
    """What Google's own library sends is what is demanded here."""
    request = google.auth.transport.requests.Request()
    account = service_account.Credentials.from_service_account_info(
        json.loads(google_cloud.key_file()), scopes=[google_cloud.iam])
    account._token_uri = f"{google_cloud.address}/token"  # the assertion's audience stays Google's
    pool = identity_pool.Credentials(
        audience=google_cloud.provider, subject_token_type=google_cloud.kind + "jwt", token_url=f"{google_cloud.address}/v1/token",
        credential_source={"file": proofs.token}, scopes=[google_cloud.platform],
        service_account_impersonation_url=f"{google_cloud.address}/v1/projects/-/serviceAccounts/{google_cloud.target}:generateAccessToken")
    machine = compute_engine.Credentials()
    with unittest.mock.patch.object(_metadata, "_GCE_METADATA_HOST", google_cloud.address.removeprefix("http://")):
        for credentials in (account, pool, machine):
            credentials.refresh(request)
            assert credentials.token in google_cloud.given
    assert google_cloud.given[pool.token][:2] == (google_cloud.target, [google_cloud.platform])
    assert not google_cloud.complaints
