"""What users of other tools complain about, by band and row of the list of peers' issues: none of it could be filed against leased.

A: leases that are not revoked, orphaned or minted without end. D: herds, throttling, back-off. F: local permissions and sharing.
"""
import concurrent.futures
import grp
import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest
from conftest import CONSUMER, STRANGER, needs_root
from servers import MINIMAL_POLICY, Bao, Daemon, as_user, clean_environment, free_port, until

EVERYBODY = [{"name": "all", "subjects": [{"user": "*"}], "roles": ["*"], "limits": {"binding": ["none", "parent", "process"]}}]


def approle(world, name, policy):
    """An AppRole with a policy of its own and no other; the backend's configuration for it."""
    bao, files = world.bao, {}
    bao.call("PUT", f"sys/policies/acl/{name}", {"policy": policy})
    bao.call("POST", f"auth/approle/role/{name}", {"token_policies": [name], "token_period": "1h", "token_no_default_policy": True})
    for key, answer in (("role_id", bao.call("GET", f"auth/approle/role/{name}/role-id")),
                        ("secret_id", bao.call("POST", f"auth/approle/role/{name}/secret-id"))):
        files[f"{key}_file"] = f"{world.folder}/{name}-{key}"
        Bao.write_login(key, files[f"{key}_file"], answer)
    return {"plugin": "vault", "address": bao.address, "health_interval": "1s", "auth": {"method": "approle", **files}}


def audited(world, word):
    """bao's own records of requests whose path begins so."""
    with open(world.bao.audit_path, encoding="utf-8") as f:
        records = [json.loads(line) for line in f if line.endswith("\n")]
    return [r for r in records if r["type"] == "request" and r["request"]["path"].startswith(word)]


def get(daemon, role, user=CONSUMER, query=""):
    """(status, object) over the socket, as a user."""
    done = subprocess.run([*as_user(user), "curl", "-s", "-w", "\n%{http_code}", "--unix-socket", daemon.socket, "-H", "X-Leased-Request: 1",
                           f"http://localhost/leased/v1/credentials/{role}?{query}"], capture_output=True, text=True, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def test_A01_A06_stopping_the_agent_revokes_what_it_holds(orders, shell):
    made = orders()
    credential = shell(made.daemon).get(made.role)
    assert made.daemon.stop() == 0
    assert made.is_dead(credential)


def test_A03_a_renewal_that_fails_at_the_database_does_not_mint_without_end(orders, world):
    made = orders(issuer={"default_ttl": "6s", "max_ttl": "60s", "renew_statements": ["ALTER ROLE \"no-such-role\" VALID UNTIL '{{expiration}}'"]},
                  rules=EVERYBODY, binding="none", min_remaining="1s")
    assert get(made.daemon, made.role)[0] == 200
    until(lambda: made.events("lease.issued")[1:] or made.events("lease.failed"), "the lease was replaced", 20, 0.1)
    begin = len(audited(world, made.path))
    time.sleep(8)
    assert len(audited(world, made.path)) - begin <= 4, "one successor for each life, not one for each failure"


def test_A04_leases_of_a_dead_login_are_not_renewed_for_ever(orders, world):
    backend = approle(world, "dies", MINIMAL_POLICY)
    made = orders(config={"backends": {"bao": backend}}, issuer={"default_ttl": "6s", "max_ttl": "60s"}, rules=EVERYBODY, binding="none",
                  min_remaining="1s")
    assert get(made.daemon, made.role)[0] == 200
    lease = made.lease_ids()[0]
    world.bao.revoke_tokens(lambda token: token["policies"] == ["dies"])
    begin = len(audited(world, "sys/leases/renew"))
    time.sleep(7)
    renewals = [r for r in audited(world, "sys/leases/renew")[begin:] if lease in json.dumps(r)]
    assert len(renewals) <= 2
    until(lambda: get(made.daemon, made.role)[0] == 200, "a new login serves the role", 15, 0.2)


def test_A07_a_consumer_that_fails_at_once_again_and_again_leaves_nothing(orders, world):
    made = orders()
    tokens = len(world.bao.call("LIST", "auth/token/accessors")["data"]["keys"])
    for _ in range(15):
        assert made.daemon.lease(CONSUMER, "exec", made.role, "--", "false").returncode == 1
    until(lambda: not made.lease_ids(), "nothing is left", 10)
    assert len(world.bao.call("LIST", "auth/token/accessors")["data"]["keys"]) <= tokens + 1


def test_A13_fifty_requests_cost_one_login(orders, world):
    logins = len(audited(world, "auth/approle/login"))
    made = orders(rules=EVERYBODY, binding="none")
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert {status for status, _ in pool.map(lambda _: get(made.daemon, made.role), range(50))} == {200}
    assert len(audited(world, "auth/approle/login")) == logins + 1


def test_A15_A16_without_permission_to_renew_there_is_no_storm(orders, world):
    policy = MINIMAL_POLICY.replace('path "sys/leases/renew"      { capabilities = ["update"] }', "")
    assert "leases/renew" not in policy
    made = orders(config={"backends": {"bao": approle(world, "norenew", policy)}}, issuer={"default_ttl": "6s", "max_ttl": "60s"},
                  rules=EVERYBODY, binding="none", min_remaining="1s")
    first = get(made.daemon, made.role)[1]
    begin, issued = len(audited(world, "sys/leases/renew")), len(audited(world, made.path))
    time.sleep(10)
    renewed = [r["request"]["data"]["lease_id"] for r in audited(world, "sys/leases/renew")[begin:]]
    assert len(set(renewed)) == len(renewed), "a refused renewal isn't asked for again"
    assert len(audited(world, made.path)) - issued <= 4
    assert get(made.daemon, made.role)[1]["lease"] != first["lease"], "it was replaced before its end"


class Refuser:
    """Takes connections and closes them at once; counts them."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.count = self.listener.getsockname()[1], 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.count += 1
            connection.close()


def test_D42_D43_an_issuer_that_fails_each_call_is_not_asked_in_a_loop(orders, world):
    refuser = Refuser()
    made = orders(config={"backends": {"bao": {"plugin": "vault", "address": f"http://127.0.0.1:{refuser.port}", "auth": {
        "method": "approle", "role_id_file": world.bao.role_id_file, "secret_id_file": world.bao.secret_id_file}}}}, rules=EVERYBODY)
    begin = time.monotonic()
    while time.monotonic() - begin < 6:
        assert get(made.daemon, made.role)[0] == 503
    refuser.listener.close()
    assert refuser.count <= 25, "back-off with jitter, whatever the clients do"


def test_D45_a_job_that_meets_a_rate_limit_waits_and_goes_on(orders, world):
    made = orders()
    world.bao.call("POST", "sys/quotas/rate-limit/d45", {"path": "database/", "rate": 1, "interval": "3s"})
    try:
        jobs = [subprocess.Popen(made.daemon.command(CONSUMER, "exec", made.role, "--wait", "40s", "--", "true"), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True, env=clean_environment(), cwd="/") for _ in range(3)]
        ends = [(job.communicate(timeout=60)[1], job.returncode) for job in jobs]
        assert all(code == 0 for _, code in ends), ends
    finally:
        world.bao.call("DELETE", "sys/quotas/rate-limit/d45")


def test_D46_a_client_is_told_when_to_come_again(orders, world):
    made = orders(config={"backends": {"bao": {"plugin": "vault", "address": f"http://127.0.0.1:{free_port()}", "auth": {
        "method": "approle", "role_id_file": world.bao.role_id_file, "secret_id_file": world.bao.secret_id_file}}}}, rules=EVERYBODY)
    head = subprocess.run(["curl", "-s", "-i", "--unix-socket", made.daemon.socket, "-H", "X-Leased-Request: 1",
                           f"http://localhost/leased/v1/credentials/{made.role}"], capture_output=True, text=True, check=True).stdout.lower()
    assert head.startswith("http/1.1 503") and "retry-after: " in head


def test_D47_D48_leases_that_were_issued_together_are_not_renewed_together(orders, world):
    made = orders(issuer={"default_ttl": "30s", "max_ttl": "300s"}, rules=EVERYBODY, share="none", binding="none", renew_at="30%",
                  config={"limits": {"grants_per_uid": "100/s", "stop_timeout": "10s"}})
    for _ in range(20):
        done = subprocess.run(["curl", "-sSf", "--unix-socket", made.daemon.socket, "-H", "X-Leased-Request: 1", "-d", json.dumps({"role": made.role}),
                               "http://localhost/leased/v1/leases"], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["lease"]
    until(lambda: len({r["lease"] for r in made.events("lease.renewed")}) == 20, "all are renewed", 20, 0.2)
    tenths = [r["time"][:21] for r in made.events("lease.renewed")]
    assert max(tenths.count(tenth) for tenth in tenths) <= 8, "they are spread, even in a life as short as this"


@pytest.mark.parametrize("options, mode, group", [
    ({"mode": "0640"}, 0o640, "leased"), ({"group": "leased"}, 0o660, "leased"), ({}, 0o600, "leased")])
def test_F70_F71_mode_and_group_of_the_socket_work_each_alone(world, options, mode, group):
    daemon = Daemon(world, {}, [])
    world.daemons.append(daemon)
    daemon.config["listeners"] = [{"name": "local", "unix": daemon.socket, **options}]
    daemon.start(wait=False)
    daemon.await_ready(lambda: os.path.exists(daemon.socket) and stat.S_IMODE(os.stat(daemon.socket).st_mode) == mode)
    assert grp.getgrgid(os.stat(daemon.socket).st_gid).gr_name == group
    assert daemon.stop() == 0


@needs_root
def test_F72_F74_two_users_of_one_agent_get_what_the_policy_gives_each(orders):
    made = orders(rules=[{"name": "mine", "subjects": [{"user": CONSUMER}, {"user": "root"}], "roles": ["*"]}], binding="none")
    status, mine = get(made.daemon, made.role)
    assert status == 200
    assert get(made.daemon, made.role, STRANGER)[0] == 403
    status, others = get(made.daemon, made.role, "root")
    assert status == 200 and others["credential"]["username"] != mine["credential"]["username"]


@needs_root
def test_F80_one_user_s_flood_does_not_keep_others_out(orders):
    made = orders(config={"limits": {"clients": 300, "clients_per_uid": 100, "stop_timeout": "10s"}}, rules=EVERYBODY, binding="none")
    assert get(made.daemon, made.role)[0] == 200
    flood = subprocess.Popen([*as_user(STRANGER), "python3", "-c", f"""
import socket, time
held = []
end = time.monotonic() + 20
while time.monotonic() < end:
    try:
        it = socket.socket(socket.AF_UNIX)
        it.settimeout(1)
        it.connect({made.daemon.socket!r})
        held.append(it)
    except OSError:
        time.sleep(0.01)
    if len(held) > 900:
        held = held[450:]
"""], stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        for _ in range(50):
            done = made.daemon.lease(CONSUMER, "get", made.role, "--bind", "none", "-o", "json")
            assert done.returncode == 0, done.stderr
    finally:
        flood.send_signal(signal.SIGKILL)
        flood.wait()
