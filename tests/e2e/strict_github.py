"""GitHub's API for Apps, as far as installation tokens go: each JWT, header, parameter and scope is checked."""
import base64
import datetime
import json
import re
import secrets

import jwt

from strict_api import Refused, StrictApi

PREFIX = "/api/v3"  # as GitHub Enterprise Server has it
LEVELS = ["read", "write", "admin"]
LIFE_S = 3600


def refused(status, message):
    return Refused(status, {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)})


class GitHub(StrictApi):
    """One app with its installations: id -> {"owner", "repositories": {name: id}, "permissions", "suspended"}."""

    def __init__(self, app_id, public_key, installations):
        super().__init__()
        self.app_id, self.public_key, self.installations = app_id, public_key, installations
        self.tokens, self.revoked, self.minted = {}, [], []
        self.address += PREFIX

    def handle(self, request):
        if not request.headers.get("User-Agent"):
            raise refused(403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header")
        if request.headers.get("X-GitHub-Api-Version", "2022-11-28") != "2022-11-28":
            raise refused(400, "the version is not supported")
        if not request.path.startswith(f"{PREFIX}/"):
            raise refused(404, "Not Found")
        path = request.path[len(PREFIX):]
        routes = [("GET", r"/app", self.show_app), ("GET", r"/users/([^/]+)/installation", self.find_by_owner),
                  ("GET", r"/repos/([^/]+)/([^/]+)/installation", self.find_by_repository),
                  ("POST", r"/app/installations/([0-9]+)/access_tokens", self.mint), ("DELETE", r"/installation/token", self.revoke),
                  ("GET", r"/repos/([^/]+)/([^/]+)/contents", self.read_contents)]
        for method, pattern, answer in routes:
            found = re.fullmatch(pattern, path)
            if found and method == request.command:
                return answer(request, *found.groups())
        raise refused(404, "Not Found")

    # --- who asks

    def check_app(self, request):
        """RFC 7519 by another library, and GitHub's own rules for the times."""
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer":
            raise refused(401, "A JSON web token could not be decoded")
        try:
            header = jwt.get_unverified_header(text)
            claims = jwt.decode(text, self.public_key, algorithms=["RS256"],
                                options={"require": ["iss", "iat", "exp"], "verify_exp": False, "verify_iat": False})
        except jwt.PyJWTError:
            raise refused(401, "A JSON web token could not be decoded") from None
        if header != {"alg": "RS256", "typ": "JWT"} or set(claims) != {"iss", "iat", "exp"} or str(claims["iss"]) != str(self.app_id):
            raise refused(401, "A JSON web token could not be decoded")
        if not isinstance(claims["iat"], int) or claims["iat"] > self.now():
            raise refused(401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
        if not isinstance(claims["exp"], int) or claims["exp"] <= self.now():
            raise refused(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the "
                               "assertion expires")
        if claims["exp"] > self.now() + 600:
            raise refused(401, "'Expiration time' claim ('exp') is too far in the future")

    def token_of(self, request):
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":  # as git does
            user, _, text = base64.b64decode(text).decode().partition(":")
            kind = "Bearer" if user == "x-access-token" else kind
        grant = self.tokens.get(text)
        if kind not in ("Bearer", "token") or grant is None or grant["ends_s"] <= self.now():
            raise refused(401, "Bad credentials")
        return text, grant

    # --- the app

    def show_app(self, request):
        self.check_app(request)
        return 200, {"id": self.app_id, "slug": "leased"}

    def find(self, is_meant):
        for number, installation in self.installations.items():
            if is_meant(installation):
                return 200, {"id": number, "account": {"login": installation["owner"]}, "suspended_at": installation.get("suspended")}
        raise refused(404, "Not Found")

    def find_by_owner(self, request, owner):
        self.check_app(request)
        return self.find(lambda it: it["owner"] == owner)

    def find_by_repository(self, request, owner, repository):
        self.check_app(request)
        return self.find(lambda it: it["owner"] == owner and repository in it["repositories"])

    def scope_of(self, request, installation):
        body = json.loads(request.body or b"{}")
        if request.body and request.headers.get("Content-Type") != "application/json":
            raise refused(400, "Problems parsing JSON")
        if not isinstance(body, dict) or not set(body) <= {"repositories", "repository_ids", "permissions"}:
            raise refused(422, "Invalid request. No such parameter")
        known = {**installation["repositories"]}
        names = set(body.get("repositories", []))
        names |= {name for name, number in known.items() if number in body.get("repository_ids", [])}
        strange = set(body.get("repository_ids", [])) - set(known.values())
        if not names <= set(known) or strange:
            raise refused(422, "There is at least one repository that does not exist or is not accessible to the parent installation.")
        permissions = body.get("permissions", installation["permissions"])
        for name, level in permissions.items():
            given = installation["permissions"].get(name)
            if level not in LEVELS or given is None or LEVELS.index(level) > LEVELS.index(given):
                raise refused(422, "The permissions requested are not granted to this installation.")
        is_narrowed = "repositories" in body or "repository_ids" in body
        return names if is_narrowed else set(known), {"metadata": "read", **permissions}

    def mint(self, request, number):
        self.check_app(request)
        installation = self.installations.get(int(number))
        if installation is None:
            raise refused(404, "Not Found")
        if installation.get("suspended"):
            raise refused(403, "This installation has been suspended")
        names, permissions = self.scope_of(request, installation)
        # The form of 2026: much longer than the 40 letters before it, with dots.
        text = f"ghs_{self.app_id}_{secrets.token_urlsafe(40)}.{secrets.token_urlsafe(250)}.{secrets.token_urlsafe(64)}"
        end_s = int(self.now()) + LIFE_S
        self.tokens[text] = {"owner": installation["owner"], "names": names, "permissions": permissions, "ends_s": end_s}
        self.minted.append(text)
        return 201, {"token": text, "permissions": permissions, "repository_selection": "selected",
                     "expires_at": datetime.datetime.fromtimestamp(end_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}

    # --- with a token

    def revoke(self, request):
        text, _ = self.token_of(request)
        del self.tokens[text]
        self.revoked.append(text)
        return 204, None

    def read_contents(self, request, owner, repository):
        _, grant = self.token_of(request)
        if grant["owner"] != owner or repository not in grant["names"]:
            raise refused(404, "Not Found")
        if "contents" not in grant["permissions"]:
            raise refused(403, "Resource not accessible by integration")
        return 200, [{"name": "README.md"}]
