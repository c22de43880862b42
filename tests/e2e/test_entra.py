"""Tokens of Microsoft Entra, from a strict stand-in of its endpoints: by each proof, and on its bad days."""
import json
import os
import time
import unittest.mock

import jwt
import pytest
from azure.identity import ManagedIdentityCredential
from msal.oauth2cli.assertion import JwtAssertionCreator
from servers import until
from token_services import Entra, Files, Key, on_bad_days

RESOURCE = "https://vault.example"
ROLES = {"app": {"backend": "entra", "scope": f"{RESOURCE}/.default"}}


@pytest.fixture
def entra():
    service = Entra()
    yield service
    service.close()


class Proofs(Files):
    def __init__(self, world, service):
        super().__init__(world)
        self.service = service
        self.write("secret", service.secret)
        self.write("key.pem", service.application.pem())
        self.write("certificate.pem", service.application.certificate_pem())
        self.write_token()

    def write_token(self, lifetime_s=600, **changes):
        claims = {"iss": "https://cluster.example", "sub": self.service.federated_subject, "aud": self.service.federated_audience}
        self.token = self.write("token", self.service.other_issuer.sign(lifetime_s, **{**claims, **changes}))

    def auth(self, method):
        return {"secret": {"method": method, "client_secret_file": f"{self.folder}/secret"},
                "certificate": {"method": method, "key_file": f"{self.folder}/key.pem",
                                "certificate_file": f"{self.folder}/certificate.pem"},
                "federated": {"method": method, "token_file": f"{self.folder}/token"}}[method]


@pytest.fixture
def proofs(world, entra):
    return Proofs(world, entra)


@pytest.fixture
def leased(start, entra, proofs):
    """leased(method, **backend): a running leased whose backend proves itself so."""
    def maker(method, **changes):
        backend = {"plugin": "entra", "tenant": entra.tenant, "client_id": entra.client_id, "authority": entra.address,
                   "auth": proofs.auth(method) if isinstance(method, str) else method, **changes}
        return start(ROLES, backends={"entra": {key: value for key, value in backend.items() if value is not None}})
    return maker


def says(script, *words):
    """A refusal is remembered for a moment, so that another reason takes its time."""
    def said():
        code, output = script.run("lease get app 2>&1")
        return code != 0 and all(word in output for word in words)
    until(said, f"lease says {words}", 15, 0.2)


def comes(script):
    """The same of a credential."""
    until(lambda: script.run("lease get app")[0] == 0, "there is a credential", 15, 0.2)
    return script.get("app")


def check(credential, entra):
    """Is it a token of this application for the resource, and does leased say truly how long it lives?"""
    fields = credential["credential"]
    claims = jwt.decode(fields["access_token"], entra.signer.key.public_key(), ["RS256"], audience=RESOURCE)
    assert claims["appid"] == entra.client_id
    assert fields["token_type"] == "Bearer"
    assert abs(int(fields["expires_on"]) - claims["exp"]) <= 2
    assert not credential["renewable"] and not credential["revocable"]
    assert not entra.complaints


@pytest.mark.parametrize("method", ["secret", "certificate", "federated"])
def test_each_proof_gets_a_token(leased, shell, entra, method):
    check(shell(leased(method)).get("app"), entra)


def test_a_machines_identity_gets_a_token(leased, shell, entra):
    auth = {"method": "managed_identity", "endpoint": entra.address}
    check(shell(leased(auth, tenant=None, authority=None)).get("app"), entra)


def test_app_services_identity_gets_a_token(start, shell, entra):
    backend = {"plugin": "entra", "auth": {"method": "managed_identity", "service": "app_service", "endpoint_env": "IDENTITY_ENDPOINT",
                                            "header_env": "IDENTITY_HEADER"}}
    daemon = start(ROLES, environment={"IDENTITY_ENDPOINT": f"{entra.address}/msi/token", "IDENTITY_HEADER": entra.identity_header},
                   backends={"entra": backend})
    check(shell(daemon).get("app"), entra)


def test_a_clock_ten_minutes_off_is_corrected(leased, shell, entra):
    entra.ahead_s = -600
    credential = shell(leased("certificate")).get("app")
    assert entra.complaints == ["Client assertion is not within its valid time range."] and len(entra.calls) == 2
    jwt.decode(credential["credential"]["access_token"], entra.signer.key.public_key(), ["RS256"], audience=RESOURCE)


def test_a_proof_that_has_changed_counts_at_once(leased, shell, entra, proofs):
    proofs.write("secret", "an old one")
    script = shell(leased("secret"))
    code, output = script.run("lease get app 2>&1")
    assert code != 0 and "AADSTS7000215" in output and "not its id" in output and "an old one" not in output
    proofs.write("secret", entra.secret)
    entra.complaints.clear()
    check(comes(script), entra)


def test_an_expired_or_strange_token_is_refused_and_said_so(leased, shell, entra, proofs):
    proofs.write_token(-60)
    script = shell(leased("federated"))
    code, output = script.run("lease get app 2>&1")
    assert code != 0 and "700024" in output and "end of the token that is presented" in output
    proofs.write_token(sub="system:serviceaccount:team:other")
    says(script, "another subject")
    proofs.write_token()
    entra.complaints.clear()
    check(comes(script), entra)


def test_a_certificate_that_is_not_registered_is_refused(leased, shell, proofs):
    other = Key("other")
    proofs.write("key.pem", other.pem())
    script = shell(leased("certificate"))
    code, output = script.run("lease get app 2>&1")
    assert code != 0 and "the certificate is not of the key" in output
    proofs.write("certificate.pem", other.certificate_pem())
    says(script, "700027", "isn't (or is no longer) one of the application's")


def test_bad_days_pass(leased, shell, entra):
    output = on_bad_days(Entra, lambda address: leased("secret", authority=address, limits={"timeout": "1s"}), shell, "app")
    assert entra.secret not in output


def test_azure_identity_passes_the_same_checks(entra):
    """What Microsoft's own library sends is what is demanded here: App Service's shape, and MSAL's assertion."""
    places = {"IDENTITY_ENDPOINT": f"{entra.address}/msi/token", "IDENTITY_HEADER": entra.identity_header}
    with unittest.mock.patch.dict(os.environ, places):
        token = ManagedIdentityCredential().get_token(f"{RESOURCE}/.default")
    assert abs(token.expires_on - time.time() - 3599) < 5
    audience = f"{entra.address}/{entra.tenant}/oauth2/v2.0/token"
    maker = JwtAssertionCreator(entra.application.pem(), algorithm="PS256", headers={"x5t#S256": entra.application.thumbprint})
    assertion = maker.create_normal_assertion(audience=audience, issuer=entra.client_id, subject=entra.client_id, not_before=time.time())
    header, claims = jwt.get_unverified_header(assertion), jwt.decode(assertion, options={"verify_signature": False})
    assert header == {"alg": "PS256", "typ": "JWT", "x5t#S256": entra.application.thumbprint}
    jwt.decode(assertion, entra.application.key.public_key(), ["PS256"], audience=audience)
    assert {"aud", "iss", "sub", "jti", "exp", "iat"} <= set(claims)
    assert not entra.complaints


def test_nothing_secret_is_logged(leased, shell, entra):
    daemon = leased("secret")
    credential = shell(daemon).get("app")
    for text in (daemon.log_lines(), json.dumps(daemon.records())):
        assert entra.secret not in text and credential["credential"]["access_token"] not in text


def test_a_proof_that_is_gone_is_seen_before_somebody_asks(leased, entra, proofs):
    daemon = leased("federated", health_interval="1s")

    def backend():
        return json.loads(daemon.lease("root", "status", "-o", "json").stdout)["backends"][0]

    until(lambda: backend()["up"], "the backend is up")
    os.unlink(proofs.token)
    until(lambda: not backend()["up"], "the backend is down")
    proofs.write_token()
    until(lambda: backend()["up"], "the backend is up again")
    assert not entra.calls
