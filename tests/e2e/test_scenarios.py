"""The issuer misbehaves: frozen, stopped, sealed, throttling, its policy or mount or leased's token taken away, another time of day.
Each with what the client is told, what is shown, and how it ends by itself."""
import concurrent.futures
import datetime
import json
import signal
import subprocess
import time

import pytest
from servers import DurableBao, MINIMAL_POLICY, until

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
RULES = [{"name": "all", "subjects": [{"user": "*"}], "roles": ["*"], "limits": {"binding": ["none", "parent"]}}]


@pytest.fixture(scope="module")
def issuer(world):
    """A bao of these tests' own, on the same PostgreSQL."""
    it = DurableBao(f"{world.folder}/durable", world.bao.program)
    try:
        it.start()
        it.set_up(world.postgres)
        yield it
    finally:
        it.stop()


class Site:
    """A leased on that bao, and an HTTP client that sees status and headers."""

    def __init__(self, daemon, issuer):
        self.daemon, self.issuer = daemon, issuer

    def ask(self, role, **query):
        """(status, headers, body) of GET /credentials, and how long it took."""
        words = "&".join(f"{key}={value}" for key, value in query.items())
        begin = time.monotonic()
        done = subprocess.run(["curl", "-sS", "-i", "--max-time", "60", "--unix-socket", self.daemon.socket, "-H", "X-Leased-Request: 1",
                               f"http://localhost/leased/v1/credentials/{role}?{words}"], capture_output=True, check=True)
        head, _, body = done.stdout.decode().partition("\r\n\r\n")
        lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return int(lines[0].split()[1]), headers, json.loads(body), time.monotonic() - begin

    def get(self, role, **query):
        status, _, body, _ = self.ask(role, **query)
        assert status == 200, body
        return body

    def status(self):
        """The backend's part of `lease status`."""
        done = self.daemon.lease("root", "status", "-o", "json")
        return json.loads(done.stdout)["backends"][0]

    def events(self, event):
        return [r for r in self.daemon.records() if r["event"] == event]

    def recovers(self, role, timeout_s=40):
        """A new credential is to be had again; how long it took."""
        begin = time.monotonic()
        until(lambda: self.ask(role)[0] == 200, f"{role} is issued again", timeout_s, 0.2)
        return time.monotonic() - begin


@pytest.fixture
def site(issuer, start, request):
    """site(count, at_issuer={...}, backend={...}, config={...}, environment={...}, **role): a Site with roles PREFIX-0 … PREFIX-(count-1)."""
    def maker(count, at_issuer=None, backend=None, config=None, environment=None, **role):
        roles = {}
        for i in range(count):
            name = f"s{abs(hash(request.node.nodeid)) % 10**8}-{i}"
            issuer.database_role(name, **(at_issuer or {}))
            roles[name] = {"backend": "bao", "path": f"database/creds/{name}", "binding": "none", **role}
        backends = {"bao": {"plugin": "vault", "address": issuer.address, "health_interval": "1s", "auth": {
            "method": "approle", "role_id_file": issuer.role_id_file, "secret_id_file": issuer.secret_id_file}, **(backend or {})}}
        policies = {"rules": RULES, "admins": [{"subjects": [{"user": "root"}]}]}
        made = Site(start(roles, RULES, backends=backends, policies=policies, environment=environment, **(config or {})), issuer)
        made.roles = list(roles)
        return made
    return maker


def issues(issuer, since=0):
    """The times of requests for credentials, by bao's own audit trail."""
    with open(issuer.audit_path, encoding="utf-8") as f:
        records = [json.loads(line) for line in f if line.endswith("\n")]
    return [r["time"] for r in records if r["type"] == "request" and r["request"]["path"].startswith("database/creds/")][since:]


def test_frozen_then_stopped_for_30_s_during_renewals_and_200_requests(site, issuer, measured):
    """Held credentials are served at once, new ones get a clear 503 in bounded time, everything is renewed afterwards, and the
    server never sees more than the configured rate."""
    rate = 5
    made = site(30, at_issuer={"default_ttl": "120s", "max_ttl": "600s"}, backend={"limits": {"issue_rate": f"{rate}/s", "timeout": "2s"}},
                config={"limits": {"acquire_timeout": "5s", "stop_timeout": "10s"}}, renew_at="25%")
    held, new = made.roles[:10], made.roles[10:]
    before = {role: made.get(role) for role in held}
    begin = time.monotonic()
    issuer.send(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        asked = list(pool.map(lambda i: (i, made.ask(held[i % 10] if i % 2 else new[i % 20])), range(200)))
    took = {"held": [], "new": []}
    for i, (status, headers, body, seconds) in asked:
        took["held" if i % 2 else "new"].append(seconds)
        if i % 2:
            assert status == 200 and body["credential"] == before[held[i % 10]]["credential"]
        else:
            assert status == 503 and body["code"] == "issuer_unavailable" and int(headers["retry-after"]) >= 1, body
    assert max(took["held"]) < 3 and max(took["new"]) < 20
    issuer.send(signal.SIGKILL)
    issuer.process.wait()
    while time.monotonic() - begin < 36:
        assert made.get(held[0])["credential"] == before[held[0]]["credential"]
        status, headers, body, seconds = made.ask(new[0])
        assert status == 503 and "retry-after" in headers and seconds < 10, (seconds, body)
        time.sleep(1)
    seen = len(issues(issuer))
    issuer.start()
    recovered = made.recovers(new[0])

    def all_renewed():
        renewed = {r["lease"] for r in made.events("lease.renewed")}
        return all(before[role]["lease"] in renewed for role in held)
    until(all_renewed, "everything is renewed after it", 40, 0.5)
    for role in held:
        assert made.get(role)["credential"] == before[role]["credential"]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(made.ask, new))
    times = [float(t[17:-1].rstrip("Z")) + 60 * int(t[14:16]) for t in issues(issuer, seen)]
    for at in times:
        assert sum(at <= other < at + 1 for other in times) <= 2 * rate  # a bucket of one second's worth, and its refill
    measured(f"frozen: held served within {max(took['held']) * 1e3:.0f} ms, 503 within {max(took['new']):.1f} s; back {recovered:.1f} s after")


def test_a_sealed_issuer_is_named_and_held_credentials_are_served(site, issuer, request):
    made = site(2)
    held = made.get(made.roles[0])
    issuer.seal()
    request.addfinalizer(issuer.unseal)
    status, headers, body, seconds = made.ask(made.roles[1])
    assert status == 503 and body["code"] == "issuer_unavailable" and "seal" in body["detail"].lower(), body
    assert int(headers["retry-after"]) >= 1 and seconds < 15
    assert made.get(made.roles[0])["credential"] == held["credential"]
    until(lambda: not made.status()["up"] and "seal" in made.status().get("last_error", "").lower(), "status says why", 10, 0.2)
    issuer.unseal()
    made.recovers(made.roles[1])
    until(lambda: made.status()["up"], "status says that it is up", 20, 0.2)


def test_a_throttling_issuer_is_asked_no_more_than_it_says(site, issuer):
    made = site(6)
    made.get(made.roles[0])
    issuer.call("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": True})
    issuer.call("POST", "sys/quotas/rate-limit/few", {"path": "database/", "rate": 1, "interval": "4s"})
    try:
        seen = len(issues(issuer))
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(made.ask, made.roles[1:]))
        refused = [a for a in answers if a[0] != 200]
        assert refused and all(a[0] == 503 and int(a[1]["retry-after"]) >= 1 for a in refused), answers
        while time.monotonic() - begin < 6:
            made.ask(made.roles[5])
            time.sleep(0.1)
        assert len(issues(issuer)) - seen <= 10, "clients that ask all the time don't reach the issuer each time"
    finally:
        issuer.call("DELETE", "sys/quotas/rate-limit/few")
    for role in made.roles[1:]:
        made.recovers(role)


def test_a_policy_that_was_taken_away_is_told_and_noticed_when_it_is_back(site, issuer):
    made = site(2)
    held = made.get(made.roles[0])
    issuer.call("PUT", "sys/policies/acl/leased", {"policy": MINIMAL_POLICY.replace("database/creds/*", "database/nothing/*")})
    try:
        seen = len(issues(issuer))
        status, _, body, _ = made.ask(made.roles[1])
        assert status in (502, 503) and body["code"] == "issuer_unavailable" and "permission denied" in body["detail"], body
        for _ in range(20):
            assert made.ask(made.roles[1])[0] in (502, 503)
        assert len(issues(issuer)) - seen <= 3, "a refusal is remembered for a while"
        assert made.get(made.roles[0])["credential"] == held["credential"]
        assert made.status()["up"], "leased's own login is fine"
    finally:
        issuer.call("PUT", "sys/policies/acl/leased", {"policy": MINIMAL_POLICY})
    made.recovers(made.roles[1])


def test_a_revoked_token_is_noticed_and_its_leases_are_replaced(site, issuer, world):
    made = site(1)
    held = made.get(made.roles[0])["credential"]
    issuer.revoke_tokens(lambda token: token["path"] == "auth/approle/login")
    until(lambda: not world.postgres.psql("SELECT 1", held["username"], held["password"])[0], "bao has ended the login's credentials")

    def replaced():
        status, _, body, _ = made.ask(made.roles[0])
        return status == 200 and body["credential"]["username"] != held["username"] and body
    new = until(replaced, "the holder is given a credential that works", 40, 0.2)["credential"]
    assert world.postgres.psql("SELECT 1", new["username"], new["password"])[0]
    assert made.status()["up"]


def test_a_mount_that_was_moved_is_named_and_found_again(site, issuer):
    made = site(1)
    issuer.call("POST", "sys/remount", {"from": "database", "to": "database-moved"})
    try:
        status, _, body, _ = made.ask(made.roles[0])
        assert status in (500, 502, 503) and "database/creds" in body["detail"] + body.get("hint", ""), body
        assert "no handler for route" in body["detail"] or "not found" in body["detail"], body
        assert made.status()["up"]
    finally:
        until(lambda: moved_back(issuer), "the mount is back", 20, 0.3)
    made.recovers(made.roles[0])


@pytest.mark.parametrize("minutes", [10, -10])
def test_a_clock_that_is_10_minutes_off_is_named_and_ends_no_credential(site, issuer, world, minutes):
    made = site(1, at_issuer={"default_ttl": "20s", "max_ttl": "10m"}, min_remaining="5s", environment={
        "LD_PRELOAD": FAKETIME, "FAKETIME": f"{minutes * 60:+d}s", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    held = made.get(made.roles[0])
    assert abs(iso_seconds(held["issued_at"]) - time.time() - minutes * 60) < 30, "leased's clock is off"
    assert 15 <= iso_seconds(held["expires_at"]) - iso_seconds(held["issued_at"]) <= 21
    assert world.postgres.psql("SELECT 1", held["credential"]["username"], held["credential"]["password"])[0]
    until(lambda: abs(made.status().get("clock_skew_seconds", 0) + minutes * 60) < 5, "status tells by how much", 15, 0.2)
    warnings = json.loads(made.daemon.lease("root", "status", "-o", "json").stdout)["warnings"]
    assert any("clock" in warning and "bao" in warning for warning in warnings), warnings
    until(lambda: made.events("lease.renewed"), "it is renewed in time", 30, 0.2)
    assert made.get(made.roles[0])["credential"] == held["credential"]


def iso_seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def moved_back(issuer):
    if "database-moved/" not in issuer.call("GET", "sys/mounts")["data"]:
        return True
    try:
        issuer.call("POST", "sys/remount", {"from": "database-moved", "to": "database"})
    except Exception:  # a remount runs in the background and refuses a second one meanwhile
        return False
    return False
