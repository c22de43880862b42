"""Job tokens: what an issuer vouches for decides, and the usual attacks on JWTs are refused with a reason on record."""
import base64
import hashlib
import hmac
import http.server
import json
import subprocess
import threading
import time

import jwt
import pytest
from conftest import CONSUMER
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from servers import clean_environment, until


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).rstrip(b"=").decode()


class Issuer:
    """An OIDC issuer on loopback: a discovery document, keys, and GitHub's way to give a job its token."""

    def __init__(self):
        self.keys, self.asked, self.is_down, self.is_slow, self.padding = {}, [], False, threading.Event(), ""
        self.closed = threading.Event()
        self.add_key("k1")
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked.append((self.path, self.headers.get("Authorization")))
                if issuer.is_slow.is_set():
                    issuer.closed.wait()
                    return  # without an answer
                answer = None if issuer.is_down else issuer.answer(self.path, self.headers)
                body = json.dumps(answer or {}).encode()
                self.send_response(200 if answer else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add_key(self, kid):
        self.keys[kid] = rsa.generate_private_key(65537, 2048)

    def jwks(self):
        keys = [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": kid, "use": "sig", "alg": "RS256"}
                for kid, key in self.keys.items()]
        return {"keys": keys, "padding": self.padding}

    def answer(self, path, headers):
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            return self.jwks()
        if path.startswith("/github?") and headers.get("Authorization") == "Bearer of-the-job":
            assert path == "/github?api-version=2.0&audience=leased"
            return {"value": self.token(), "count": 1}
        return None

    def claims(self, **more):
        now = int(time.time())
        return {"iss": self.url, "sub": "project_path:acme/shop", "aud": "leased", "iat": now, "exp": now + 300, "job_id": "4711",
                "user_login": "ann", "project_path": "acme/shop", "ref_protected": "true", **more}

    def token(self, kid="k1", key=None, headers=None, **claims):
        return jwt.encode(self.claims(**claims), key or self.keys[kid], "RS256", {"kid": kid, **(headers or {})})

    def public_pem(self):
        return self.keys["k1"].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def issuer():
    it = Issuer()
    yield it
    it.closed.set()
    it.server.shutdown()
    it.server.server_close()


@pytest.fixture
def jobs(orders, issuer):
    """A leased whose one rule asks for a job of acme's on a protected branch."""
    rule = {"name": "deploys", "subjects": [{"user": CONSUMER, "jwt": {"issuer": "gitlab", "claims": {
        "project_path": "acme/*", "ref_protected": True}}}], "roles": ["*"], "limits": {"binding": ["none"]}}
    return orders(rules=[rule], config={"issuers": {"gitlab": {
        "url": issuer.url, "audience": "leased", "session": "job_id", "person": "user_login"}}})


def get(made, token, *words, **env):
    return made.daemon.lease(CONSUMER, "get", made.role, "--bind", "none", "-o", "json", *words, env={"LEASED_TOKEN": token, **env})


def test_a_job_gets_its_credential_and_the_trail_names_job_and_person(jobs, issuer):
    done = get(jobs, issuer.token())
    assert done.returncode == 0, done.stderr
    assert jobs.logs_in(json.loads(done.stdout))
    created = jobs.events("grant.created")[-1]
    assert created["identity"]["jwt"] == {"iss": issuer.url, "sub": "project_path:acme/shop", "session": "4711", "person": "ann"}
    assert created["policy"]["rule"] == "deploys"
    assert "eyJ" not in jobs.daemon.log_lines()


def test_two_jobs_of_one_user_share_nothing(jobs, issuer):
    one, again, other = (json.loads(get(jobs, issuer.token(job_id=job)).stdout) for job in ("1", "1", "2"))
    assert one["grant"] == again["grant"] != other["grant"]
    assert one["credential"]["username"] != other["credential"]["username"]


def test_a_job_keeps_its_credential_over_kill_9(jobs, issuer):
    before = json.loads(get(jobs, issuer.token()).stdout)
    jobs.daemon.config["state"] = {"ledger": {"sqlite": f"{jobs.daemon.folder}/ledger.db"}}
    assert jobs.daemon.stop() == 0
    jobs.daemon.start()
    held = json.loads(get(jobs, issuer.token()).stdout)
    assert held["grant"] != before["grant"]
    jobs.daemon.process.kill()
    jobs.daemon.process.wait()
    jobs.daemon.start()
    assert json.loads(get(jobs, issuer.token()).stdout)["grant"] == held["grant"]


def test_without_a_token_or_with_other_claims_the_rule_does_not_fit(jobs, issuer):
    for token in ("", issuer.token(ref_protected="false"), issuer.token(project_path="evil/acme")):
        done = get(jobs, token)
        assert done.returncode == 3, done.stderr
    explained = jobs.daemon.lease(CONSUMER, "explain", jobs.role, env={"LEASED_TOKEN": issuer.token(ref_protected="false")})
    assert "job token" in explained.stdout, explained.stdout


def attacks(issuer):
    stranger = rsa.generate_private_key(65537, 2048)
    good = issuer.token()
    header, payload, signature = good.split(".")
    own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key()))
    now = int(time.time())

    def mac(text, key):
        return f"{text}.{b64(hmac.new(key, text.encode(), hashlib.sha256).digest())}"

    def part(**members):
        return b64(json.dumps(members))

    claims, doubled = part(**issuer.claims(user_login="admin")), b64('{"sub":"a","sub":"b"}')
    return {
        "alg none": (f"{part(alg='none')}.{claims}.", "algorithm"),
        "alg None with a signature": (f"{part(alg='None')}.{claims}.{signature}", "algorithm"),
        "HS256 with the public key": (mac(f"{part(alg='HS256', kid='k1')}.{claims}", issuer.public_pem()), "algorithm"),
        "another algorithm than allowed": (jwt.encode(issuer.claims(), issuer.keys["k1"], "PS256", {"kid": "k1"}), "algorithm"),
        "changed payload": (f"{header}.{claims}.{signature}", "signature"),
        "wrong kid": (issuer.token(kid="k9", key=stranger), "no key"),
        "somebody else's key": (issuer.token(key=stranger), "signature"),
        "embedded jwk": (issuer.token(key=stranger, headers={"jwk": own}), "a key of its own (jwk)"),
        "jku and x5u": (issuer.token(kid="k9", key=stranger, headers={"jku": f"{issuer.url}/evil", "x5u": f"{issuer.url}/evil"}), "a key of its own (jku)"),
        "expired": (issuer.token(iat=now - 900, exp=now - 300), "expired"),
        "never expires": (jwt.encode({k: v for k, v in issuer.claims().items() if k != "exp"}, issuer.keys["k1"], "RS256", {"kid": "k1"}),
                          "never expires"),
        "lives for years": (issuer.token(exp=now + 10 ** 8), "24 hours"),
        "future nbf": (issuer.token(nbf=now + 600), "nbf"),
        "future iat": (issuer.token(iat=now + 600, exp=now + 900), "iat"),
        "wrong aud": (issuer.token(aud="vault"), "aud"),
        "wrong iss": (issuer.token(iss="https://gitlab.com"), "iss"),
        "iss with a slash": (issuer.token(iss=f"{issuer.url}/"), "iss"),
        "doubled claims": (f"{header}.{doubled}.{signature}", "twice"),
        "critical extension": (issuer.token(headers={"crit": ["exp"], "exp": now}), "critical"),
        "no session": (jwt.encode({k: v for k, v in issuer.claims().items() if k != "job_id"}, issuer.keys["k1"], "RS256", {"kid": "k1"}),
                       "job_id"),
        "person with a line break": (issuer.token(user_login="ann\nroot"), "user_login"),
        "huge": (issuer.token(padding="x" * 9000), None),
        "garbage": ("not-a-token", "parts"),
    }


def test_the_usual_attacks_are_refused_with_the_reason_on_record(jobs, issuer):
    assert get(jobs, issuer.token()).returncode == 0
    for name, (token, why) in attacks(issuer).items():
        done = get(jobs, token, "--reason", name)
        if why is None:  # refused before it is looked at, by the size of heads
            assert done.returncode != 0, name
            continue
        assert done.returncode == 3, (name, done.stderr)
        assert "the job token is refused" in done.stderr and why in done.stderr, (name, done.stderr)
        # Whoever is denied again and again is counted instead of having a record for each.
        until(lambda why=why: any(why in record["error"] or record.get("count") for record in jobs.events("grant.denied")), f"{name} is on record")
    assert not any("evil" in path for path, _ in issuer.asked)
    assert get(jobs, issuer.token()).returncode == 0, "the good one still is"


def test_unknown_keys_do_not_have_the_issuer_flooded(jobs, issuer):
    assert get(jobs, issuer.token()).returncode == 0
    asked = len(issuer.asked)
    stranger = rsa.generate_private_key(65537, 2048)
    for number in range(20):
        assert get(jobs, issuer.token(kid=f"x{number}", key=stranger)).returncode == 3
    assert len(issuer.asked) == asked
    trail_says(jobs, "has no key for it")


def test_an_issuer_that_is_down_is_temporary_for_who_comes_first_and_nothing_for_the_others(orders, issuer):
    rule = {"name": "any", "subjects": [{"user": CONSUMER, "jwt": {"issuer": "gitlab"}}], "roles": ["*"], "limits": {"binding": ["none"]}}
    issuer.is_down = True
    made = orders(rules=[rule], config={"issuers": {"gitlab": {"url": issuer.url, "audience": ["x", "leased"]}}})
    done = get(made, issuer.token())
    assert done.returncode == 7 and "503" in done.stderr, done.stderr
    issuer.is_down = False
    until(lambda: get(made, issuer.token()).returncode == 0, "its keys are here", 20, 0.5)
    issuer.is_down = True
    assert get(made, issuer.token()).returncode == 0


def trail_says(made, why):
    until(lambda: any(why in record["error"] for record in made.events("grant.denied")), f"`{why}` is on record")


def test_a_key_set_that_can_not_be_had_is_temporary_with_the_reason_on_record(orders):
    """Its server refuses, floods, answers with nothing of use, speaks of another issuer, or doesn't answer at all."""
    issuers = {name: Issuer() for name in ("down", "flood", "empty", "other", "slow")}
    rule = {"name": "any", "subjects": [{"user": CONSUMER, "jwt": {"issuer": name}} for name in issuers], "roles": ["*"],
            "limits": {"binding": ["none"]}}
    issuers["down"].is_down = True
    issuers["flood"].padding = "x" * 10 ** 6
    issuers["empty"].jwks = lambda: {"keys": []}
    issuers["slow"].is_slow.set()
    try:
        made = orders(rules=[rule], config={"issuers": {
            name: {"url": it.url, "audience": "leased", **({"jwks_url": f"{it.url}/keys"} if name == "flood" else {})}
            for name, it in issuers.items()}})
        issuers["other"].url = "https://gitlab.example"
        tokens = {name: it.token(iss=f"http://127.0.0.1:{it.server.server_port}") for name, it in issuers.items()}
        runs = {name: subprocess.Popen(made.daemon.command(CONSUMER, "get", made.role, "--bind", "none"), cwd="/", text=True,
                                       stderr=subprocess.PIPE, env=clean_environment(LEASED_TOKEN=token)) for name, token in tokens.items()}
        for name, run in runs.items():
            assert "to be had" in run.communicate(timeout=60)[1], name
            assert run.returncode == 7, name
            trail_says(made, f"the keys of issuer {name} aren't to be had")
        assert not made.events("grant.created")
    finally:
        for it in issuers.values():
            it.closed.set()
            it.server.shutdown()
            it.server.server_close()


def test_tokens_are_found_where_the_ci_puts_them(jobs, issuer, tmp_path):
    def run(words=(), **env):
        return jobs.daemon.lease(CONSUMER, "get", jobs.role, "--bind", "none", "-o", "json", *words, env=env)

    file = tmp_path / "token"
    file.write_text(issuer.token() + "\n")
    tmp_path.chmod(0o755)
    file.chmod(0o644)
    for folder in tmp_path.parents:
        if str(folder).startswith("/tmp/pytest"):
            folder.chmod(0o755)
    assert run(LEASED_TOKEN_FILE=str(file)).returncode == 0
    assert run(["--token-env", "CI_TOKEN"], CI_TOKEN=issuer.token()).returncode == 0
    github = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{issuer.url}/github?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-job"}
    assert run(**github).returncode == 0
    assert run(LEASED_TOKEN="", **github).returncode == 3, "an empty one asks for none"
    done = run(["--token-env", "CI_TOKEN"])
    assert done.returncode == 1 and "there is no job token in CI_TOKEN" in done.stderr
    done = run(**{**github, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "wrong"})
    assert done.returncode == 1 and "GitHub gives no token" in done.stderr and "503" in done.stderr
