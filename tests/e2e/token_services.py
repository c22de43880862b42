"""Microsoft Entra and Google Cloud as strict local services: each checks every parameter, header, claim and signature of what it is sent.

What isn't exactly as their documentation has it is refused and stands in `complaints`. Signatures are checked by PyJWT and cryptography.
Each has keys of its own, signs the tokens that it gives, and can be told to fail (`mode`) or to have another clock (`ahead_s`).
"""
import base64
import concurrent.futures
import datetime
import email.utils
import http.server
import json
import os
import tempfile
import threading
import time
import urllib.parse
import uuid

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from servers import free_port, give_to

FORM = "application/x-www-form-urlencoded"
SLOW_S = 3


def url64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Key:
    """An RSA key with a certificate of its own."""

    def __init__(self, name):
        self.id = uuid.uuid4().hex
        self.key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        self.certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(self.key.public_key())
                            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                            .not_valid_after(now + datetime.timedelta(days=1)).sign(self.key, hashes.SHA256()))
        self.thumbprint = url64(self.certificate.fingerprint(hashes.SHA256()))

    def pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()

    def certificate_pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, lifetime_s=3600, **claims):
        now = int(time.time())
        return jwt.encode({"iat": now, "exp": now + lifetime_s, **claims}, self.key, "RS256", {"kid": self.id})


def on_bad_days(service_of, leased, shell, role):
    """What `lease get` says while the service is as the words' keys say, all at once: each takes a few seconds of trying again."""
    words = {"throttled": "429", "garbage": "can't be used", "slow": "", "down": "issuer_unavailable"}
    services = {mode: service_of() for mode in words if mode != "down"}
    for mode, service in services.items():
        service.mode = mode
    scripts = [shell(leased(services[mode].address if mode in services else f"http://127.0.0.1:{free_port()}")) for mode in words]
    with concurrent.futures.ThreadPoolExecutor(len(words)) as pool:
        said = list(pool.map(lambda script: script.run(f"lease get {role} 2>&1"), scripts))
    for service in services.values():
        service.close()
    for (code, output), (mode, word) in zip(said, words.items()):
        assert code == 7 and word in output, (mode, code, output)
    return "".join(output for _, output in said)


class Files:
    """What leased proves itself with, in files that only it can read."""

    def __init__(self, world):
        self.folder = tempfile.mkdtemp(prefix="proofs-", dir=world.folder)
        os.chmod(self.folder, 0o755)

    def write(self, name, text):
        path = f"{self.folder}/{name}"
        with open(os.open(path + ".new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o400), "w", encoding="utf-8") as f:
            f.write(text)
        give_to(path + ".new", "leased")
        os.rename(path + ".new", path)
        return path


class Wrong(Exception):
    """A request that isn't as it should be: refused with this status and body."""

    def __init__(self, why, status=400, **body):
        super().__init__(why)
        self.status, self.body = status, body


def need(condition, why, status=400, **body):
    if not condition:
        raise Wrong(why, status, **body)


class Request:
    def __init__(self, handler):
        self.method, self.headers = handler.command, handler.headers
        self.path, _, query = handler.path.partition("?")
        self.query = self.pairs(query)
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))

    @staticmethod
    def pairs(text):
        """Name and value once each."""
        found = urllib.parse.parse_qsl(text, keep_blank_values=True, strict_parsing=True) if text else []
        need(len(dict(found)) == len(found), "a parameter stands twice")
        return dict(found)

    def form(self):
        need(self.method == "POST", "not POST")
        need(self.headers["Content-Type"] == FORM, f"content-type is {self.headers['Content-Type']}")
        need(not self.query, "a query beside a form")
        return self.pairs(self.body.decode("ascii"))

    def json(self):
        need(self.method == "POST", "not POST")
        need(self.headers["Content-Type"].split(";")[0] == "application/json", f"content-type is {self.headers['Content-Type']}")
        need(not self.query, "a query beside JSON")
        return json.loads(self.body)


class Service:
    """`answer(request)` -> an object, a text, or a Wrong; in modes other than "good" what a bad day brings."""

    extra_headers = ()

    def __init__(self):
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_any(self):
                try:
                    request = Request(self)
                    service.calls.append(request)
                    status, body, headers = service.respond(request)
                except Wrong as wrong:
                    service.complaints.append(str(wrong))
                    status, body, headers = wrong.status, json.dumps(wrong.body), {}
                payload = body.encode()
                self.send_response_only(status)
                self.send_header("Date", email.utils.formatdate(service.now(), usegmt=True))
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(payload)),
                                    **dict(service.extra_headers), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_any

            def log_message(self, *_):
                pass

        self.signer, self.mode, self.ahead_s, self.calls, self.complaints, self.seen = Key("issuer"), "good", 0, [], [], set()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a client that has given up
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def now(self):
        return time.time() + self.ahead_s

    def respond(self, request):
        if self.mode == "slow":
            time.sleep(SLOW_S)
        if self.mode == "throttled":
            return 429, '{"error":"temporarily_unavailable"}', {"Retry-After": "30"}
        if self.mode == "garbage":
            return 200, "<html>please sign in</html>", {}
        answer = self.answer(request)
        return 200, answer if isinstance(answer, str) else json.dumps(answer), {}

    def answer(self, request):
        raise NotImplementedError

    def fresh(self, claims, life_s, leeway_s):
        """Are the signed times right by this service's clock, and the life no longer than allowed?"""
        need(isinstance(claims["iat"], int) and isinstance(claims["exp"], int), "times aren't integers")
        need(claims["exp"] - claims["iat"] <= life_s, "it lives too long")
        return claims["iat"] <= self.now() + leeway_s and claims["exp"] >= self.now() - leeway_s

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Entra(Service):
    """One application of one tenant, with a secret, a certificate and a federated credential; and a machine's identity endpoints."""

    tenant, client_id, secret = "contoso.example", "0f3c1f7e-aaaa-bbbb-cccc-000000000001", "p&ss+w=rd% ~é"
    federated_subject, federated_audience = "system:serviceaccount:team:runner", "api://AzureADTokenExchange"
    identity_header = "3c9a-identity-header"
    jwt_bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

    def __init__(self):
        super().__init__()
        self.application, self.other_issuer = Key("application"), Key("cluster")

    def refuse(self, why, error, code, status=401):
        raise Wrong(why, status, error=error, error_description=f"AADSTS{code}: {why} Trace ID: 1", error_codes=[code],
                    timestamp="2026-01-01 00:00:00Z", trace_id=str(uuid.uuid4()), correlation_id=str(uuid.uuid4()))

    def answer(self, request):
        if request.path == "/metadata/identity/oauth2/token":
            return self.imds(request)
        if request.path == "/msi/token":
            return self.app_service(request)
        if request.path != f"/{self.tenant}/oauth2/v2.0/token":
            self.refuse(f"no such tenant: {request.path}", "invalid_request", 90002, 400)
        return self.client_credentials(request)

    def client_credentials(self, request):
        form = request.form()
        common = {"grant_type", "client_id", "scope"}
        need(form.get("grant_type") == "client_credentials", "another grant")
        if form.get("client_id") != self.client_id:
            self.refuse("no such application", "unauthorized_client", 700016, 400)
        resource, _, rest = form["scope"].rpartition("/")
        if rest != ".default" or not resource or " " in resource:
            self.refuse("the scope is wrong", "invalid_scope", 70011, 400)
        if "client_secret" in form:
            need(set(form) == common | {"client_secret"}, f"parameters are {sorted(form)}")
            if form["client_secret"] != self.secret:
                self.refuse("Invalid client secret provided.", "invalid_client", 7000215)
        else:
            need(set(form) == common | {"client_assertion_type", "client_assertion"}, f"parameters are {sorted(form)}")
            need(form["client_assertion_type"] == self.jwt_bearer, "another type of assertion")
            self.check_assertion(form["client_assertion"], self.address + request.path)
        return {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": self.token(resource)}

    def token(self, resource, lifetime_s=3599):
        return self.signer.sign(lifetime_s, aud=resource, appid=self.client_id, iss=f"https://sts.windows.net/{self.tenant}/")

    def check_assertion(self, assertion, audience):
        header = jwt.get_unverified_header(assertion)
        claims = jwt.decode(assertion, options={"verify_signature": False})
        if header.get("kid") == self.other_issuer.id:
            self.check_federated(assertion)
            return
        need(header == {"alg": "PS256", "typ": "JWT", "x5t#S256": header.get("x5t#S256")}, f"the header is {header}")
        if header["x5t#S256"] != self.application.thumbprint:
            self.refuse("the certificate is unknown", "invalid_client", 700027)
        need(set(claims) == {"aud", "iss", "sub", "jti", "iat", "nbf", "exp"}, f"the claims are {sorted(claims)}")
        jwt.decode(assertion, self.application.key.public_key(), ["PS256"], audience=audience, issuer=self.client_id,
                   subject=self.client_id, options={"verify_exp": False, "verify_nbf": False, "verify_iat": False})
        need(claims["nbf"] == claims["iat"] and len(claims["jti"]) >= 16 and claims["jti"] not in self.seen, "jti or nbf")
        self.seen.add(claims["jti"])
        if not self.fresh(claims, 600, 300):
            self.refuse("Client assertion is not within its valid time range.", "invalid_client", 700024)

    def check_federated(self, assertion):
        try:
            jwt.decode(assertion, self.other_issuer.key.public_key(), ["RS256"], audience=self.federated_audience,
                       subject=self.federated_subject, issuer="https://cluster.example")
        except jwt.ExpiredSignatureError:
            self.refuse("Client assertion is not within its valid time range.", "invalid_client", 700024)
        except jwt.InvalidTokenError as error:
            self.refuse(f"no federated credential matches: {error}", "invalid_client", 700213)

    def check_managed(self, request, version):
        need(request.method == "GET" and not request.body, "not a plain GET")
        need(request.headers["Metadata"] == "true" and "X-Forwarded-For" not in request.headers, "no header Metadata: true")
        need(set(request.query) - {"client_id"} == {"api-version", "resource"}, f"parameters are {sorted(request.query)}")
        need(request.query["api-version"] == version, "another version")
        need(not request.query["resource"].endswith("/.default"), "a scope instead of a resource")
        need(request.query.get("client_id", self.client_id) == self.client_id, "Identity not found", 400, error="invalid_request",
             error_description="Identity not found")
        return request.query["resource"]

    def imds(self, request):
        resource = self.check_managed(request, "2018-02-01")
        return {"access_token": self.token(resource), "client_id": self.client_id, "expires_in": "3599", "ext_expires_in": "3599",
                "expires_on": str(int(self.now()) + 3599), "not_before": str(int(self.now())), "resource": resource, "token_type": "Bearer"}

    def app_service(self, request):
        resource = self.check_managed(request, "2019-08-01")
        need(request.headers["X-IDENTITY-HEADER"] == self.identity_header, "the header is wrong", 401, statusCode=401, message="who?")
        return {"access_token": self.token(resource), "expires_on": str(int(self.now()) + 3599), "resource": resource,
                "token_type": "Bearer", "client_id": self.client_id}


class Google(Service):
    """sts, iamcredentials, oauth2 and the metadata service, at one address."""

    provider = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/cluster"
    account, target = "source@p.iam.gserviceaccount.com", "target@p.iam.gserviceaccount.com"
    delegate = "between@p.iam.gserviceaccount.com"
    token_uri = "https://oauth2.googleapis.com/token"
    platform, iam = "https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/iam"
    grant, kind = "urn:ietf:params:oauth:grant-type:", "urn:ietf:params:oauth:token-type:"
    extra_headers = (("Metadata-Flavor", "Google"),)

    def __init__(self):
        super().__init__()
        self.key, self.other_issuer, self.given = Key("account"), Key("cluster"), {}

    def key_file(self, **changes):
        return json.dumps({"type": "service_account", "project_id": "p", "private_key_id": self.key.id, "private_key": self.key.pem(),
                           "client_email": self.account, "client_id": "1", "token_uri": self.token_uri,
                           "universe_domain": "googleapis.com", **changes})

    def give(self, who, scopes, lifetime_s=3599):
        token = f"ya29.{uuid.uuid4().hex}"
        self.given[token] = (who, scopes, self.now() + lifetime_s)
        return token

    def id_token(self, who, audience):
        return self.signer.sign(aud=audience, iss="https://accounts.google.com", sub="1", email=who, email_verified=True)

    def answer(self, request):
        base = "/computeMetadata/v1/instance/service-accounts/default/"
        if request.path == "/v1/token":
            return self.exchange(request.form())
        if request.path == "/token":
            return self.jwt_bearer(request.form())
        if request.path.startswith(base):
            return self.metadata(request, request.path[len(base):])
        if request.path == "/certs":
            return {self.signer.id: self.signer.certificate_pem()}
        return self.impersonate(request)

    def exchange(self, form):
        known = {"grant_type", "audience", "scope", "requested_token_type", "subject_token", "subject_token_type"}
        need(set(form) == known, f"parameters are {sorted(form)}", error="invalid_request")
        need(form["grant_type"] == self.grant + "token-exchange" and form["requested_token_type"] == self.kind + "access_token" and
             form["subject_token_type"] == self.kind + "jwt", "another grant", error="invalid_request")
        need(form["audience"] == self.provider, "no such provider", error="invalid_target", error_description="Invalid value for audience")
        try:
            jwt.decode(form["subject_token"], self.other_issuer.key.public_key(), ["RS256"], audience="https:" + self.provider,
                       issuer="https://cluster.example")
        except jwt.InvalidTokenError as error:
            raise Wrong(f"the subject token: {error}", 400, error="invalid_grant", error_description=str(error)) from None
        return {"access_token": self.give("federated", form["scope"].split(" ")), "issued_token_type": self.kind + "access_token",
                "token_type": "Bearer", "expires_in": 3599}

    def jwt_bearer(self, form):
        need(set(form) == {"grant_type", "assertion"} and form["grant_type"] == self.grant + "jwt-bearer", f"parameters are {sorted(form)}")
        header = jwt.get_unverified_header(form["assertion"])
        need(header == {"alg": "RS256", "typ": "JWT", "kid": self.key.id}, f"the header is {header}")
        claims = jwt.decode(form["assertion"], self.key.key.public_key(), ["RS256"], audience=self.token_uri, issuer=self.account,
                            options={"verify_exp": False, "verify_iat": False})
        purpose = set(claims) - {"iss", "aud", "iat", "exp", "sub"}
        need(purpose in ({"scope"}, {"target_audience"}), f"the claims are {sorted(claims)}")
        if not self.fresh(claims, 3600, 60):
            raise Wrong("the clock", 400, error="invalid_grant", error_description="Invalid JWT: Token must be a short-lived token (60 "
                        "minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.")
        if "target_audience" in claims:
            return {"id_token": self.id_token(self.account, claims["target_audience"])}
        return {"access_token": self.give(self.account, claims["scope"].split(" ")), "expires_in": 3599, "token_type": "Bearer"}

    def metadata(self, request, what):
        need(request.method == "GET" and request.headers["Metadata-Flavor"] == "Google" and "X-Forwarded-For" not in request.headers,
             "no header Metadata-Flavor: Google", 403)
        if what == "identity":
            need(set(request.query) == {"audience", "format"} and request.query["format"] == "full", "the query of identity")
            return self.id_token(self.account, request.query["audience"])
        if what == "" and request.query == {"recursive": "true"}:
            return {"aliases": ["default"], "email": self.account, "scopes": [self.platform]}
        need(what == "token" and set(request.query) <= {"scopes"}, f"{what} isn't there", 404)
        scopes = request.query.get("scopes", self.platform).split(",")
        return {"access_token": self.give(self.account, scopes), "expires_in": 3599, "token_type": "Bearer"}

    def impersonate(self, request):
        body = request.json()
        account, _, verb = request.path.removeprefix("/v1/projects/-/serviceAccounts/").rpartition(":")
        account = urllib.parse.unquote(account)
        scheme, _, token = (request.headers["Authorization"] or "").partition(" ")
        who, scopes, end = self.given.get(token, (None, [], 0))
        denied = {"error": {"code": 403, "message": "Permission 'iam.serviceAccounts.getAccessToken' denied", "status": "PERMISSION_DENIED"}}
        need(scheme == "Bearer" and who and end > self.now(), "no valid token", 401,
             error={"code": 401, "message": "Request had invalid authentication credentials.", "status": "UNAUTHENTICATED"})
        need({self.iam, self.platform} & set(scopes), f"the scopes {scopes} don't reach", 403, **denied)
        need(account == self.target, f"{who} may not impersonate {account}", 403, **denied)
        need(body["delegates"] in (None, [], [f"projects/-/serviceAccounts/{self.delegate}"]), f"delegates are {body['delegates']}")
        if verb == "generateIdToken":
            need(set(body) == {"audience", "includeEmail", "delegates"} and body["includeEmail"] is True, f"the body is {body}")
            return {"token": self.id_token(account, body["audience"])}
        need(verb == "generateAccessToken" and set(body) - {"lifetime"} == {"scope", "delegates"}, f"{verb} with {sorted(body)}")
        lifetime = body.get("lifetime", "3600s")
        need(isinstance(body["scope"], list) and lifetime.endswith("s") and 0 < int(lifetime[:-1]) <= 3600, f"the lifetime is {lifetime}",
             error={"code": 400, "message": "The lifetime is too long", "status": "INVALID_ARGUMENT"})
        end = datetime.datetime.fromtimestamp(self.now() + int(lifetime[:-1]), datetime.timezone.utc)
        return {"accessToken": self.give(account, body["scope"], int(lifetime[:-1])), "expireTime": end.strftime("%Y-%m-%dT%H:%M:%SZ")}
