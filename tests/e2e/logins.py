"""An OpenBao of its own with every way to log in, and what stands on the other side of each: a JWT's issuer, a Kubernetes API
server's TokenReview, a small PKI. LDAP isn't built into OpenBao: FakeVault answers as Vault does."""
import base64
import http.server
import json
import os
import subprocess
import threading
import time
import urllib.request

from servers import Bao, Failed, ROOT_TOKEN, free_port, give_to

AUDIENCE = "leased"


def openssl(*words, data=None):
    made = subprocess.run(["openssl", *words], input=data, capture_output=True, check=False)
    if made.returncode != 0:
        raise Failed(f"openssl {words[0]}: {made.stderr.decode()}")
    return made.stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Pki:
    """A CA, a server's certificate for 127.0.0.1 and a client's, below `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self.ca, self.server, self.server_key = f"{folder}/ca.pem", f"{folder}/server.pem", f"{folder}/server.key"
        self.client, self.client_key, ca_key = f"{folder}/client.pem", f"{folder}/client.key", f"{folder}/ca.key"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", ca_key, "-out", self.ca, "-days", "2", "-subj", "/CN=test CA")
        self.sign("server", self.server_key, self.server, ca_key, "extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1")
        self.sign("leased", self.client_key, self.client, ca_key, "extendedKeyUsage=clientAuth")
        give_to(self.client_key, "leased")

    def sign(self, name, key, certificate, ca_key, extensions):
        request = openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", f"/CN={name}")
        with open(f"{self.folder}/extensions", "w", encoding="utf-8") as f:
            f.write(f"basicConstraints=CA:FALSE\n{extensions}\n")
        openssl("x509", "-req", "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-extfile",
                f"{self.folder}/extensions", "-out", certificate, data=request)


class JwtIssuer:
    """Signs with RS256."""

    def __init__(self, folder):
        self.key = f"{folder}/jwt.key"
        openssl("genrsa", "-out", self.key, "2048")
        self.public = openssl("rsa", "-in", self.key, "-pubout").decode()

    def token(self, lifetime_s=600, **claims):
        now = int(time.time())
        body = {"iss": "tests", "sub": "job-1", "aud": AUDIENCE, "iat": now, "nbf": now - 60, "exp": now + lifetime_s, **claims}
        text = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, body))
        return f"{text}.{base64url(openssl('dgst', '-sha256', '-sign', self.key, data=text.encode()))}"

    def service_account(self):
        return self.token(iss="kubernetes/serviceaccount", sub="system:serviceaccount:ops:leased", aud=[AUDIENCE], **{
            "kubernetes.io": {"namespace": "ops", "serviceaccount": {"name": "leased", "uid": "u-1"}}})


class Peer:
    """A small HTTP server; `answer(method, path, body)` gives (status, dictionary)."""

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, reply = answer(self.command, self.path, json.loads(body) if body else None)
                text = json.dumps(reply).encode() if reply is not None else b""
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = handle_one

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class TokenReviews(Peer):
    """Of a Kubernetes API server, the one call that a login makes: whose token is this?"""

    def __init__(self):
        self.reviewed = []
        super().__init__(self.answer)

    def answer(self, method, path, body):
        if (method, path) != ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"):
            return 404, {"kind": "Status", "code": 404}
        self.reviewed.append(body["spec"]["token"])
        user = {"username": "system:serviceaccount:ops:leased", "uid": "u-1", "groups": ["system:serviceaccounts"]}
        return 201, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": {
            "authenticated": True, "user": user, "audiences": body["spec"].get("audiences", [])}}


class FakeVault(Peer):
    """Answers as Vault does: an LDAP login, the token's renewals, health."""

    def __init__(self, path, password):
        self.path, self.password, self.logins = path, password, []
        super().__init__(self.answer)

    def answer(self, method, path, body):
        if path.startswith("/v1/sys/health"):
            return 200, {"initialized": True, "sealed": False, "standby": False}
        if method == "POST" and path == self.path:
            self.logins.append(body)
            if body != {"password": self.password}:
                return 400, {"errors": ["ldap operation failed: failed to bind as user"]}
            return 200, {"auth": {"client_token": "hvs.made-up", "accessor": "a", "lease_duration": 3600, "renewable": True,
                                  "metadata": {"username": "leased"}, "mfa_requirement": None, "num_uses": 0}}
        if path == "/v1/auth/token/revoke-self":
            return 204, None
        return 403, {"errors": ["permission denied"]}


class LoginBao(Bao):
    """With a TLS listener beside the plain one; its methods are set up by set_up_logins."""

    def __init__(self, folder, program):
        os.mkdir(folder, 0o755)
        super().__init__(folder, program)
        self.pki, self.jwt, self.reviews = Pki(folder), JwtIssuer(folder), TokenReviews()
        self.tls_port = free_port()
        self.tls_address = f"https://127.0.0.1:{self.tls_port}"
        self.more_config = (f'listener "tcp" {{\n  address = "127.0.0.1:{self.tls_port}"\n  tls_cert_file = "{self.pki.server}"\n'
                            f'  tls_key_file = "{self.pki.server_key}"\n}}\n')

    def stop(self, *words, **options):
        self.reviews.close()
        return super().stop(*words, **options)

    def set_up_logins(self):
        token = {"token_policies": ["leased"], "token_ttl": "1h"}
        for method in ("jwt", "kubernetes", "cert", "userpass"):
            self.call("POST", f"sys/auth/{method}", {"type": method})
        self.call("POST", "auth/jwt/config", {"jwt_validation_pubkeys": [self.jwt.public]})
        job = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": [AUDIENCE]}
        self.call("POST", "auth/jwt/role/leased", {**job, **token})
        self.call("POST", "auth/jwt/role/batch", {**job, **token, "token_type": "batch"})
        self.call("POST", "auth/jwt/role/few-uses", {**job, **token, "token_num_uses": 5})
        with open(self.pki.ca, encoding="utf-8") as f:
            ca = f.read()
        self.call("POST", "auth/kubernetes/config", {"kubernetes_host": self.reviews.address, "kubernetes_ca_cert": ca,
                                                     "disable_local_ca_jwt": True, "token_reviewer_jwt": self.jwt.service_account()})
        self.call("POST", "auth/kubernetes/role/leased", {**token, "bound_service_account_names": ["leased"],
                                                          "bound_service_account_namespaces": ["ops"]})
        self.call("POST", "auth/cert/certs/leased", {**token, "token_ttl": "3s", "token_max_ttl": "1h", "certificate": ca,
                                                     "allowed_common_names": ["leased"]})
        self.call("POST", "auth/userpass/users/leased", {**token, "password": "correct horse"})

    def wrapped(self, path="auth/approle/role/leased/secret-id", namespace=None):
        """A wrapping token for what `path` makes."""
        headers = {"X-Vault-Token": ROOT_TOKEN, "X-Vault-Wrap-TTL": "120s", **({"X-Vault-Namespace": namespace} if namespace else {})}
        request = urllib.request.Request(f"{self.address}/v1/{path}", method="POST", headers=headers, data=b"{}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["wrap_info"]["token"]

    def unwrap(self, token):
        request = urllib.request.Request(f"{self.address}/v1/sys/wrapping/unwrap", method="POST", headers={"X-Vault-Token": token})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["data"]
