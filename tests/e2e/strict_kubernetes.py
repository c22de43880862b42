"""A Kubernetes API server, as far as service accounts' tokens go: by the OpenAPI of TokenRequest, strictly; with the discovery that
kubectl needs, pods to be read with a token, and the Secrets that tokens are bound to."""
import datetime
import json
import re
import uuid

import jwt

from strict_api import Refused, StrictApi, tls_context

LEAST_S, MOST_S = 600, 2**32
AUDIENCE, ISSUER = "https://kubernetes.default.svc.cluster.local", "https://kubernetes.default.svc.cluster.local"
# Of authentication.k8s.io/v1 and core/v1, what is written in requests.
REFERENCE = {"kind": str, "apiVersion": str, "name": str, "uid": str}
TOKEN_REQUEST = {"apiVersion": str, "kind": str, "metadata": {}, "spec": {
    "audiences": [str], "expirationSeconds": int, "boundObjectRef": REFERENCE}}
SECRET = {"apiVersion": str, "kind": str, "type": str, "immutable": bool, "data": {}, "metadata": {
    "name": str, "namespace": str, "labels": {"*": str}, "annotations": {"*": str}}}
QUALIFIED_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
PODS = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [
    {"metadata": {"name": "web-0", "namespace": "team-a", "creationTimestamp": "2026-01-01T00:00:00Z"},
     "spec": {"containers": [{"name": "web"}]}, "status": {"phase": "Running"}}]}
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [
        {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"], "shortNames": ["po"]}]},
    "/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.4"},
}


def refused(status, reason, message):
    return Refused(status, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                            "reason": reason, "code": status})


def strictly(value, shape, where="body"):
    """As `fieldValidation=Strict`: a field that isn't in the schema, or of another type, is refused."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise refused(400, "BadRequest", f"{where}: not a list")
        for item in value:
            strictly(item, shape[0], where)
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            raise refused(400, "BadRequest", f"{where}: not an object")
        for key, item in value.items():
            if key not in shape and "*" not in shape:
                raise refused(400, "BadRequest", f'strict decoding error: unknown field "{where}.{key}"')
            if "*" in shape and not QUALIFIED_NAME.fullmatch(key):
                raise refused(422, "Invalid", f"{where}: {key} is no qualified name")
            strictly(item, shape.get(key, shape.get("*")), f"{where}.{key}")
    elif type(value) is not shape:
        raise refused(400, "BadRequest", f"{where}: not a {shape.__name__}")


class Kubernetes(StrictApi):
    """`grants`: who (as the server calls him) -> what he may, as "VERB RESOURCE" in team-a."""

    def __init__(self, pki, key, own_token):
        super().__init__(tls_context(pki))
        self.key, self.own_tokens = key, {own_token: "system:serviceaccount:ops:leased"}
        every = {"create serviceaccounts/token", "create secrets", "delete secrets"}
        self.grants = {"system:serviceaccount:ops:leased": every, "leased": every, "system:serviceaccount:team-a:runner": {"list pods"}}
        self.accounts = {("team-a", "runner"): str(uuid.uuid4())}
        self.objects = {("Pod", "team-a", "web-0"): "pod-uid"}
        self.secrets, self.lifetime_max_s = {}, 86400

    def handle(self, request):
        path = request.path.partition("?")[0]
        who = self.authenticate(request)
        if path in DISCOVERY or path == "/readyz":
            return 200, DISCOVERY.get(path, {})
        if path == "/apis/authentication.k8s.io/v1/selfsubjectreviews":
            return 201, {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "status": {"userInfo": {"username": who}}}
        routes = [("POST", r"/api/v1/namespaces/([^/]+)/serviceaccounts/([^/]+)/token", "create serviceaccounts/token", self.grant_token),
                  ("GET", r"/api/v1/namespaces/([^/]+)/pods", "list pods", lambda request, namespace: (200, PODS)),
                  ("POST", r"/api/v1/namespaces/([^/]+)/secrets", "create secrets", self.make_secret),
                  ("DELETE", r"/api/v1/namespaces/([^/]+)/secrets/([^/]+)", "delete secrets", self.delete_secret)]
        for method, pattern, right, answer in routes:
            found = re.fullmatch(pattern, path)
            if not found or method != request.command:
                continue
            if right not in self.grants.get(who, ()) or found.group(1) != "team-a":
                verb, resource = right.split()
                raise refused(403, "Forbidden", f'{resource.split("/")[0]} is forbidden: User "{who}" cannot {verb} resource "{resource}" '
                                                f'in API group "" in the namespace "{found.group(1)}"')
            return answer(request, *found.groups())
        raise refused(404, "NotFound", "the server could not find the requested resource")

    # --- who asks

    def authenticate(self, request):
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        certificate = request.connection.getpeercert()
        if not kind and certificate:
            return dict(part[0] for part in certificate["subject"])["commonName"]
        if kind == "Bearer" and text in self.own_tokens:
            return self.own_tokens[text]
        if kind == "Bearer":
            return self.subject_of(text)
        raise refused(401, "Unauthorized", "Unauthorized")

    def subject_of(self, text):
        """Of one of its own tokens, whose bound object is still there."""
        try:
            claims = jwt.decode(text, self.key.public_key(), algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER,
                                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False})
        except jwt.PyJWTError:
            raise refused(401, "Unauthorized", "Unauthorized") from None
        inner = claims["kubernetes.io"]
        secret = inner.get("secret")
        is_bound = secret is None or self.secrets.get(("team-a", secret["name"]), {}).get("uid") == secret["uid"]
        if claims["exp"] <= self.now() or not is_bound:
            raise refused(401, "Unauthorized", "Unauthorized")
        return claims["sub"]

    # --- tokens

    def body_of(self, request, shape, kind, version):
        if request.headers.get("Content-Type") != "application/json":
            raise refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        body = json.loads(request.body)
        strictly(body, shape)
        if body["kind"] != kind or body["apiVersion"] != version:
            raise refused(400, "BadRequest", f"{body['kind']} in version {body['apiVersion']} cannot be handled as a {kind}")
        return body

    def check_bound(self, namespace, reference):
        if reference.get("apiVersion") != "v1" or reference.get("kind") not in ("Pod", "Secret", "Node"):
            raise refused(400, "BadRequest", "cannot bind token to object")
        if reference["kind"] == "Secret":
            uid = self.secrets.get((namespace, reference["name"]), {}).get("uid")
        else:
            uid = self.objects.get((reference["kind"], namespace, reference["name"]))
        if uid is None:
            raise refused(404, "NotFound", f'{reference["kind"].lower()}s "{reference["name"]}" not found')
        if reference.get("uid", uid) != uid:
            raise refused(409, "Conflict", "the UID in the bound object reference does not match the UID in record")
        return {reference["kind"].lower(): {"name": reference["name"], "uid": uid}}

    def grant_token(self, request, namespace, account):
        body = self.body_of(request, TOKEN_REQUEST, "TokenRequest", "authentication.k8s.io/v1")
        spec = body.get("spec", {})
        if "audiences" not in spec:
            raise refused(422, "Invalid", "spec.audiences: Required value")
        if (namespace, account) not in self.accounts:
            raise refused(404, "NotFound", f'serviceaccounts "{account}" not found')
        seconds = spec.get("expirationSeconds", 3600)
        if seconds < LEAST_S:
            raise refused(422, "Invalid", "spec.expirationSeconds: Invalid value: may not specify a duration less than 10 minutes")
        if seconds > MOST_S:
            raise refused(422, "Invalid", "spec.expirationSeconds: Too long: may not specify a duration larger than 2^32 seconds")
        now, uid = int(self.now()), self.accounts[namespace, account]
        inner = {"namespace": namespace, "serviceaccount": {"name": account, "uid": uid}}
        if "boundObjectRef" in spec:
            inner |= self.check_bound(namespace, spec["boundObjectRef"])
        end = now + min(seconds, self.lifetime_max_s)
        token = jwt.encode({"iss": ISSUER, "sub": f"system:serviceaccount:{namespace}:{account}", "aud": spec["audiences"] or [AUDIENCE],
                            "iat": now, "nbf": now, "exp": end, "kubernetes.io": inner}, self.key, algorithm="RS256")
        return 201, {**body, "metadata": {"name": account, "namespace": namespace}, "status": {
            "token": token, "expirationTimestamp": datetime.datetime.fromtimestamp(end, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}}

    # --- Secrets

    def make_secret(self, request, namespace):
        metadata = self.body_of(request, SECRET, "Secret", "v1")["metadata"]
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", metadata["name"]):
            raise refused(422, "Invalid", "metadata.name: Invalid value")
        if (namespace, metadata["name"]) in self.secrets:
            raise refused(409, "AlreadyExists", f'secrets "{metadata["name"]}" already exists')
        self.secrets[namespace, metadata["name"]] = {**metadata, "namespace": namespace, "uid": str(uuid.uuid4())}
        return 201, {"kind": "Secret", "apiVersion": "v1", "metadata": self.secrets[namespace, metadata["name"]], "type": "Opaque"}

    def delete_secret(self, _, namespace, name):
        if self.secrets.pop((namespace, name), None) is None:
            raise refused(404, "NotFound", f'secrets "{name}" not found')
        return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
