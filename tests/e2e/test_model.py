"""The simulator's model Vault against a real server: the same requests to both, the same statuses, shapes and classes of errors back.

What differs by nature is left out: values, texts behind the class of an error, and the server's own time.
"""
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest
from servers import ROOT_TOKEN, Bao, until

# Whoever may issue any role, so that unknown roles and wrong methods get past the policy.
POLICY = """
path "database/creds/*" { capabilities = ["read", "update"] }
path "sys/leases/*"     { capabilities = ["update"] }
path "auth/token/create"          { capabilities = ["update"] }
path "auth/token/create/*"        { capabilities = ["update"] }
path "auth/token/renew-accessor"  { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }
"""
DENIED = "1 error occurred:"


class Model:
    """tests/sim/model_main.c: a JSON object a line in, one out."""

    def __init__(self, build):
        program = f"{build}/tests/sim/sim_vault_model"
        assert os.access(program, os.X_OK), f"{program} is missing: make e2e builds it"
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.root = "CANARY-root"
        self.login = {"role_id": "role-id-of-leased", "secret_id": "CANARY-secret-id"}

    def line(self, **words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        return answer

    def send(self, method, path, token="", body=None):
        answer = self.line(method=method, path=path, token=token, body=body)
        return answer["status"], answer["body"]

    def role(self, name, ttl_s, max_ttl_s):
        self.line(setup="role", name=name, default_ttl=ttl_s, max_ttl=max_ttl_s)

    def set_login(self, ttl_s, max_ttl_s):
        self.line(setup="login", ttl=ttl_s, max_ttl=max_ttl_s)

    def token(self, **options):
        return self.line(setup="token", **options)["token"]

    def token_role(self, name):
        self.line(setup="token_role", name=name)

    def expire(self, seconds, _is_gone):
        self.line(setup="wait", seconds=seconds)

    def seal(self):
        self.line(setup="seal")

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self.process.stdout.close()


class Real:
    """A bao server; its own mounts beside those of the other tests."""

    def __init__(self, bao):
        self.bao, self.root, self.login = bao, ROOT_TOKEN, None

    def send(self, method, path, token="", body=None):
        request = urllib.request.Request(f"{self.bao.address}/v1/{path}", method=method, headers={"X-Vault-Token": token} if token else {},
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        return status, json.loads(text) if text else None

    def role(self, name, ttl_s, max_ttl_s):
        self.bao.database_role(name, ttl=f"{ttl_s}s", max_ttl=f"{max_ttl_s}s")

    def set_login(self, ttl_s, max_ttl_s):
        self.bao.call("PUT", "sys/policies/acl/model", {"policy": POLICY})
        self.bao.call("POST", "auth/approle/role/model", {"token_policies": ["model"], "token_ttl": f"{ttl_s}s", "token_max_ttl": f"{max_ttl_s}s"})
        self.login = {"role_id": self.bao.call("GET", "auth/approle/role/model/role-id")["data"]["role_id"],
                      "secret_id": self.bao.call("POST", "auth/approle/role/model/secret-id")["data"]["secret_id"]}

    def token(self, ttl=0, max_ttl=0, period=0, renewable=True):
        body = {"policies": ["model"], "renewable": renewable}
        for key, value in (("ttl", ttl), ("explicit_max_ttl", max_ttl), ("period", period)):
            if value:
                body[key] = f"{value}s"
        return self.bao.call("POST", "auth/token/create", body)["auth"]["client_token"]

    def token_role(self, name):
        self.bao.call("POST", f"auth/token/roles/{name}", {"orphan": True, "renewable": True, "allowed_policies": ["model"]})

    @staticmethod
    def expire(seconds, is_gone):
        until(is_gone, "it has expired", seconds + 5)

    def seal(self):
        self.bao.call("POST", "sys/seal")


def error_class(text):
    """An error's text without what names this request: numbers, quoted words, and what follows a known beginning."""
    for beginning in ("unknown role:", "unknown role ", "Secret cannot be returned"):
        if text.startswith(beginning):
            return beginning
    return re.sub(r'"[^"]*"', '""', text)


def shape(value, path=""):
    """Keys and types; of errors the class too. What one of the servers may leave open is any."""
    if path == "/errors":
        return [error_class(text) for text in value]
    if path == "/warnings" and value:
        return [re.sub(r'"[^"]*"', '""', text) for text in value]
    if isinstance(value, dict):
        return {key: shape(item, f"{path}/{key}") for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape(item, f"{path}/*") for item in value[:1]]
    return type(value).__name__


class Pair:
    """Sends to both, compares, and gives back both bodies."""

    def __init__(self, model, real):
        self.sides = (model, real)

    def both(self, action):
        return [action(side) for side in self.sides]

    def send(self, method, path, tokens=("", ""), bodies=(None, None)):
        if not isinstance(bodies, (tuple, list)):
            bodies = (bodies, bodies)
        answers = [side.send(method, path, token, body) for side, token, body in zip(self.sides, tokens, bodies)]
        (model_status, model_body), (real_status, real_body) = answers
        assert model_status == real_status, f"{method} {path}: the model answers {answers[0]}, bao {answers[1]}"
        assert shape(model_body) == shape(real_body), f"{method} {path}"
        return model_body, real_body


@pytest.fixture
def pair(world):
    model, real = Model(world.build), Real(world.bao)
    both = Pair(model, real)
    both.both(lambda side: side.role("model", 8, 20))
    both.both(lambda side: side.set_login(60, 120))
    yield both
    model.close()


def logged_in(pair):
    bodies = pair.send("POST", "auth/approle/login", bodies=[side.login for side in pair.sides])
    return [body["auth"]["client_token"] for body in bodies]


def roots(pair):
    return [side.root for side in pair.sides]


def lease_bodies(leases, **more):
    return [{"lease_id": lease, **more} for lease in leases]


def issued(pair, tokens):
    return [body["lease_id"] for body in pair.send("GET", "database/creds/model", tokens)]


def durations(bodies, key="lease_duration"):
    """The model's and bao's seconds; a second passes while bao works."""
    model, real = (body[key] for body in bodies)
    assert abs(model - real) <= 1, f"the model says {model}, bao {real}"


def test_health_has_the_same_shape(pair):
    pair.send("GET", "sys/health")


def test_approle_logins_succeed_and_fail_alike(pair):
    real, model = pair.sides[1].login, pair.sides[0].login
    logged_in(pair)
    pair.send("POST", "auth/approle/login", bodies=[{**login, "secret_id": "wrong"} for login in (model, real)])
    pair.send("POST", "auth/approle/login", bodies=[{**login, "role_id": "wrong"} for login in (model, real)])
    pair.send("POST", "auth/approle/login", bodies=[{"role_id": login["role_id"]} for login in (model, real)])
    pair.send("POST", "auth/approle/login", bodies={})


def test_tokens_are_looked_up_renewed_and_revoked_alike(pair):
    tokens = logged_in(pair)
    pair.send("GET", "auth/token/lookup-self", tokens)
    for body in (None, {"increment": 30}, {"increment": "40s"}, {"increment": 3600}):
        answers = pair.send("POST", "auth/token/renew-self", tokens, body)
        durations([answer["auth"] for answer in answers])
    pair.send("GET", "auth/token/lookup-self", tokens)
    pair.send("POST", "auth/token/revoke-self", tokens)
    pair.send("GET", "auth/token/lookup-self", tokens)
    pair.send("POST", "auth/token/renew-self", tokens)
    pair.send("GET", "database/creds/model", tokens)
    pair.send("GET", "auth/token/lookup-self", ("no-token", "no-token"))
    pair.send("GET", "database/creds/model")


def test_root_tokens_live_for_ever_and_are_not_renewed(pair):
    pair.send("GET", "auth/token/lookup-self", roots(pair))
    pair.send("POST", "auth/token/renew-self", roots(pair))


@pytest.mark.parametrize("options", [{"period": 30}, {"ttl": 30, "max_ttl": 60}, {"ttl": 30, "renewable": False}])
def test_kinds_of_tokens_renew_alike(pair, options):
    tokens = pair.both(lambda side: side.token(**options))
    answers = pair.send("POST", "auth/token/renew-self", tokens, {"increment": 3600})
    if answers[0].get("auth"):
        durations([answer["auth"] for answer in answers])
    if "max_ttl" not in options:  # bao shows an explicit maximum with a key of its own
        pair.send("GET", "auth/token/lookup-self", tokens)


def test_leases_are_issued_renewed_and_capped_alike(pair):
    tokens = logged_in(pair)
    answers = pair.send("GET", "database/creds/model", tokens)
    durations(answers)
    leases = [answer["lease_id"] for answer in answers]
    pair.send("POST", "sys/leases/lookup", tokens, lease_bodies(leases))
    durations(pair.send("POST", "sys/leases/renew", tokens, lease_bodies(leases)))
    durations(pair.send("POST", "sys/leases/renew", tokens, lease_bodies(leases, increment=3)))
    durations(pair.send("PUT", "sys/leases/renew", tokens, lease_bodies(leases, increment=5)))
    durations(pair.send("POST", "sys/leases/renew", tokens, lease_bodies(leases, increment=600)))
    pair.send("POST", "sys/leases/lookup", tokens, lease_bodies(leases))


def test_revocations_are_confirmed_and_repeated_alike(pair):
    tokens = logged_in(pair)
    leases = issued(pair, tokens)
    for _ in range(2):
        pair.send("POST", "sys/leases/revoke", tokens, lease_bodies(leases, sync=True))
    for call in ("renew", "lookup"):
        pair.send("POST", f"sys/leases/{call}", tokens, lease_bodies(leases))
    pair.send("POST", "sys/leases/revoke", tokens, lease_bodies(issued(pair, tokens), sync=False))


@pytest.mark.parametrize("call", ["renew", "lookup", "revoke"])
def test_unknown_and_missing_leases_are_answered_alike(pair, call):
    pair.send("POST", f"sys/leases/{call}", roots(pair), {"lease_id": "database/creds/model/unknown"})
    pair.send("POST", f"sys/leases/{call}", roots(pair), {})


def test_wrong_paths_and_methods_are_answered_alike(pair):
    tokens = logged_in(pair)
    pair.send("GET", "database/creds/nobody", tokens)
    pair.send("POST", "database/creds/model", tokens, {})
    pair.send("GET", "no-such-mount/x", roots(pair))


def test_leases_die_with_their_token(pair):
    tokens = pair.both(lambda side: side.token(ttl=2))
    leases = issued(pair, tokens)
    durations(pair.send("POST", "sys/leases/renew", roots(pair), lease_bodies(leases, increment=15)))
    model, real = pair.sides
    model.expire(3, None)
    real.expire(3, lambda: real.send("POST", "sys/leases/lookup", real.root, {"lease_id": leases[1]})[0] == 400)
    pair.send("POST", "sys/leases/lookup", roots(pair), lease_bodies(leases))
    pair.send("GET", "database/creds/model", tokens)


CHILD = {"ttl": "60s", "num_uses": 2, "renewable": True, "meta": {"user": "joe", "reason": "OPS-1"}}


def made(pair, tokens, role="", body=None):
    """Children: their tokens and the bodies that name them."""
    answers = [answer["auth"] for answer in pair.send("POST", f"auth/token/create{role}", tokens, CHILD if body is None else body)]
    return [auth["client_token"] for auth in answers], [{"accessor": auth["accessor"]} for auth in answers]


@pytest.mark.parametrize("role", ["", "/leased"])
def test_children_are_made_looked_up_renewed_and_revoked_alike(pair, role):
    pair.both(lambda side: side.token_role("leased"))
    tokens = logged_in(pair)
    _, names = made(pair, tokens, role)
    for body in pair.send("POST", "auth/token/lookup-accessor", tokens, names):
        assert body["data"]["orphan"] == bool(role) and body["data"]["meta"] == CHILD["meta"] and body["data"]["num_uses"] == 2
    durations([body["auth"] for body in pair.send("POST", "auth/token/renew-accessor", tokens, [{**n, "increment": 3660} for n in names])])
    durations([body["auth"] for body in pair.send("POST", "auth/token/renew-accessor", tokens, [{**n, "increment": 10**8} for n in names])])
    for _ in range(2):
        pair.send("POST", "auth/token/revoke-accessor", tokens, names)
    for call in ("lookup", "renew"):
        pair.send("POST", f"auth/token/{call}-accessor", tokens, names)
    for call in ("lookup", "renew", "revoke"):
        pair.send("POST", f"auth/token/{call}-accessor", tokens, {})
    pair.send("POST", "auth/token/create/nobody", tokens, CHILD)


def await_gone(pair, leases):
    """With their token leases go in the background: bao answers before that."""
    real = pair.sides[1]
    until(lambda: real.send("POST", "sys/leases/lookup", real.root, {"lease_id": leases[1]})[0] == 400, "the lease is gone", 10)


def test_a_second_use_ends_what_the_first_was_given(pair):
    tokens = logged_in(pair)
    children, names = made(pair, tokens)
    leases = issued(pair, children)
    pair.send("POST", "sys/leases/lookup", tokens, lease_bodies(leases))
    pair.send("GET", "database/creds/model", children)
    await_gone(pair, leases)
    pair.send("POST", "sys/leases/lookup", tokens, lease_bodies(leases))
    pair.send("POST", "auth/token/lookup-accessor", tokens, names)
    pair.send("GET", "database/creds/model", children)


@pytest.mark.parametrize("role", ["", "/leased"])
def test_only_orphans_outlive_the_login(pair, role):
    pair.both(lambda side: side.token_role("leased"))
    tokens = logged_in(pair)
    children, names = made(pair, tokens, role)
    leases = issued(pair, children)
    pair.send("POST", "auth/token/revoke-self", tokens)
    if not role:
        await_gone(pair, leases)
    pair.send("POST", "sys/leases/lookup", roots(pair), lease_bodies(leases))
    pair.send("POST", "auth/token/lookup-accessor", roots(pair), names)
    pair.send("POST", "auth/token/revoke-accessor", roots(pair), names)


def test_a_lease_dies_with_its_childs_accessor(pair):
    tokens = logged_in(pair)
    children, names = made(pair, tokens)
    leases = issued(pair, children)
    pair.send("POST", "auth/token/revoke-accessor", tokens, names)
    await_gone(pair, leases)
    pair.send("POST", "sys/leases/lookup", tokens, lease_bodies(leases))


def test_capabilities_are_told_alike(pair):
    paths = ["sys/leases/revoke", "sys/leases/renew", "auth/token/create/leased", "auth/token/renew-accessor"]
    tokens = logged_in(pair)
    for side in (tokens, roots(pair)):
        pair.send("POST", "sys/capabilities-self", side, {"paths": paths})
        pair.send("POST", "sys/capabilities-self", side, {"paths": paths[:1]})
    model, real = pair.sides
    model.line(setup="deny", child=True)
    real.bao.call("PUT", "sys/policies/acl/model", {"policy": 'path "sys/leases/*" { capabilities = ["update"] }'})
    for body in pair.send("POST", "sys/capabilities-self", tokens, {"paths": paths}):
        assert body["data"]["auth/token/create/leased"] == ["deny"] and "update" in body["data"]["sys/leases/revoke"]
    pair.send("POST", "auth/token/create/leased", tokens, CHILD)


def test_a_denial_by_policy_differs_from_a_dead_token(pair):
    tokens = logged_in(pair)
    model, real = pair.sides
    model.line(setup="deny", issue=True)
    real.bao.call("PUT", "sys/policies/acl/model", {"policy": 'path "sys/leases/*" { capabilities = ["update"] }'})
    for body in pair.send("GET", "database/creds/model", tokens):
        assert body["errors"][0].startswith(DENIED)


def test_a_sealed_server_answers_alike(world, tmp_path):
    folder = tmp_path / "bao"
    folder.mkdir()
    server = Bao(str(folder), shutil.which("bao"))
    server.start()
    model, real = Model(world.build), Real(server)
    try:
        server.await_ready(server.ready)
        both = Pair(model, real)
        both.both(lambda side: side.seal())
        both.send("GET", "sys/health")
        both.send("GET", "database/creds/model", roots(both))
        both.send("POST", "auth/approle/login", bodies={})
    finally:
        server.stop()
        model.close()
