"""Vault's own clients against leased: hvac and the bao command line, over loopback TCP and the unix socket."""
import json
import os
import subprocess
import sys

import hvac
import pytest

from conftest import CONSUMER, STRANGER, needs_root
from servers import ADMIN_PASSWORD, CREATE, as_user, clean_environment, free_port, until

POLICY = """
path "*" { capabilities = ["create", "read", "update", "delete", "list", "patch", "sudo"] }
"""
MOUNT, OLD = "vapi", "vapi1"
OWN = {"path": f"{MOUNT}/+/team/*", "capabilities": ["create", "read", "update", "delete", "list", "patch"]}
RULES = [{"name": "consumers", "subjects": [{"user": CONSUMER}], "roles": ["*"], "limits": {"duration": "1h"}, "paths": [
    OWN,
    {"path": f"{MOUNT}/metadata/team", "capabilities": ["list"]},
    {"path": f"{OLD}/*", "capabilities": ["read", "update", "delete", "list"]},
    {"path": "sys/wrapping/*", "capabilities": ["update"]},
    {"path": "auth/approle/role/wrapped/*", "capabilities": ["update", "read"]},
    {"path": "space/kv/*", "capabilities": ["read", "update"]},
    {"path": "odd/*", "capabilities": ["read", "update"]},
]}]


@pytest.fixture(scope="module")
def engines(world):
    """KV of both versions, a namespace with one, and a policy that leaves deciding to leased."""
    bao = world.bao
    bao.call("PUT", "sys/policies/acl/leased-wide", {"policy": POLICY})
    bao.call("POST", "auth/approle/role/wide", {"token_policies": ["leased-wide"], "token_period": "1h"})
    bao.call("POST", "auth/approle/role/wrapped", {"token_policies": ["default"]})
    bao.call("POST", f"sys/mounts/{MOUNT}", {"type": "kv", "options": {"version": "2"}})
    bao.call("POST", f"sys/mounts/{OLD}", {"type": "kv", "options": {"version": "1"}})
    bao.call("POST", "sys/mounts/odd", {"type": "ssh"})
    bao.call("POST", "odd/roles/otp", {"key_type": "otp", "default_user": "ci", "cidr_list": "127.0.0.0/8"})
    bao.call("POST", "sys/mounts/deep/db", {"type": "database"})
    bao.call("POST", "deep/db/config/orders", {
        "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "username": "admin", "password": ADMIN_PASSWORD,
        "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{world.postgres.port}/postgres?sslmode=disable"})
    bao.call("POST", "sys/namespaces/space", {})
    bao.call("POST", "space/sys/mounts/kv", {"type": "kv", "options": {"version": "1"}})
    bao.call("POST", "space/kv/a", {"where": "space"})
    until(lambda: bao.call("GET", f"{MOUNT}/config"), "the mount has been upgraded")
    files = []
    for key, answer in (("role_id", bao.call("GET", "auth/approle/role/wide/role-id")),
                        ("secret_id", bao.call("POST", "auth/approle/role/wide/secret-id"))):
        files.append(f"{bao.folder}/wide-{key}")
        bao.write_login(key, files[-1], answer)
    return files


class Api:
    """A leased that serves Vault's API on its socket and on a loopback port, with one role for database credentials."""

    def __init__(self, world, name, daemon, port):
        self.world, self.role, self.daemon, self.path = world, name, daemon, f"database/creds/{name}"
        self.url, self.address = f"http://127.0.0.1:{port}", f"unix://{daemon.socket}"

    def client(self, token="any"):
        """hvac, as the user who runs the tests."""
        return hvac.Client(url=self.url, token=token)

    def curl(self, method, path, *options, user=CONSUMER):
        """(status, body as it is) over the socket."""
        done = subprocess.run([*as_user(user), "curl", "-sS", "-X", method, "-w", "\n%{http_code}", "--unix-socket", self.daemon.socket,
                               *options, f"http://localhost/v1/{path}"], capture_output=True, text=True, check=True, cwd="/",
                              env=clean_environment())
        body, status = done.stdout.rsplit("\n", 1)
        return int(status), body

    def errors(self, method, path, *options, user=CONSUMER):
        status, body = self.curl(method, path, *options, user=user)
        return status, json.loads(body)["errors"]

    def logs_in(self, data):
        return self.world.postgres.psql("SELECT current_user", data["username"], data["password"])[0]

    def await_dead(self, data):
        until(lambda: not self.logs_in(data) and not self.world.bao.lease_ids(self.role), "the credential is dead", 15)

    def events(self, event):
        return [r for r in self.daemon.records() if r["event"] == event]


@pytest.fixture
def api(world, engines, request):
    """api(roles={...}, rules=[...], issuer={...}, **role): an Api. The database's role is bound to the connection if it doesn't say."""
    daemons = []

    def maker(issuer=None, rules=None, roles=None, **role):
        name, port = f"v{abs(hash(request.node.nodeid)) % 10**8}-{len(daemons)}", free_port()
        world.bao.database_role(name, **(issuer or {}))
        world.bao.call("POST", f"deep/db/roles/{name}", {"db_name": "orders", "creation_statements": CREATE})
        everything = {name: {"backend": "bao", "path": f"database/creds/{name}", "binding": "connection", **role}, **(roles or {})}
        daemon = world.daemon(everything, rules or [dict(RULES[0], subjects=[{"user": CONSUMER}, {"user": "root"}])])
        daemon.config["backends"]["bao"]["auth"].update(role_id_file=engines[0], secret_id_file=engines[1])
        daemon.config["policies"]["admins"] = [{"user": "root"}]
        daemon.config["listeners"][0]["serve"] = ["native", "vault", "metrics"]
        daemon.config["listeners"].append({"name": "loopback", "tcp": f"127.0.0.1:{port}", "serve": ["vault"]})
        daemons.append(daemon)
        daemon.start()
        return Api(world, name, daemon, port)

    yield maker
    for daemon in daemons:
        assert daemon.stop() == 0, f"leased ended badly:\n{daemon.log_lines()[-4000:]}"


def bao(api_, *words, user=CONSUMER, address=None, **environment):
    """The bao command line, as a user, to its end."""
    return subprocess.run([*as_user(user), api_.world.bao.program, *words], capture_output=True, text=True, check=False, timeout=60, cwd="/",
                          env=clean_environment(VAULT_ADDR=address or api_.address, HOME="/nonexistent", **environment))


# --- paths of roles ---


def test_hvac_reads_renews_and_revokes_a_database_credential(api):
    it = api()
    client = it.client()
    assert client.is_authenticated()
    read = client.secrets.database.generate_credentials(it.role)
    assert read["lease_id"].startswith("l-") and read["renewable"] and 3500 < read["lease_duration"] <= 3600
    assert set(read["data"]) == {"username", "password"} and it.logs_in(read["data"])
    again = client.read(it.path)
    assert again["lease_id"] == read["lease_id"] and again["data"] == read["data"]
    looked = client.sys.read_lease(read["lease_id"])["data"]
    assert (looked["id"], looked["path"], looked["renewable"]) == (read["lease_id"], it.path, True)
    renewed = client.sys.renew_lease(read["lease_id"], increment=60)
    assert renewed["lease_id"] == read["lease_id"] and renewed["lease_duration"] > 3500 and renewed["data"] is None
    assert client.sys.revoke_lease(read["lease_id"]).status_code == 204
    assert not it.logs_in(read["data"]) and not it.world.bao.lease_ids(it.role)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="lease not found"):
        client.sys.renew_lease(read["lease_id"])
    created = it.events("grant.created")
    assert [(r["api"], r["listener"], r["role"]) for r in created] == [("vault", "loopback", it.role)]


def test_a_client_that_goes_away_loses_its_credential(api):
    it = api()
    client = it.client()
    data = client.read(it.path)["data"]
    assert it.logs_in(data)
    client.session.close()
    it.await_dead(data)


def test_a_program_that_is_killed_loses_its_credential(api, shell):
    it = api(binding="parent")
    script = shell(it.daemon)
    code, output = script.run(f"VAULT_ADDR={it.address} HOME=/nonexistent {it.world.bao.program} read -format=json {it.path}")
    assert code == 0, output
    read = json.loads(output)
    assert it.logs_in(read["data"])
    code, output = script.run(f"VAULT_ADDR={it.address} HOME=/nonexistent {it.world.bao.program} lease renew -format=json {read['lease_id']}")
    assert code == 0 and json.loads(output)["lease_id"] == read["lease_id"], output
    script.end()
    it.await_dead(read["data"])


def test_an_hvac_program_runs_over_ten_rotations(api):
    """It reads its path again and logs in each time, while its credential is replaced under it; nothing it does may fail."""
    it = api(overlap="5s")
    client, held = it.client(), []
    for _ in range(11):
        read = client.read(it.path)
        held.append(read["lease_id"])
        assert it.logs_in(read["data"])
        assert client.sys.renew_lease(held[-1])["lease_duration"] > 0
        client.auth.token.renew_self()
        done = it.daemon.lease("root", "rotate", held[-1])
        assert done.returncode == 0, done.stderr
        assert it.logs_in(read["data"])
        assert client.sys.renew_lease(held[-1])["warnings"], "it has a successor"
    assert len(set(held)) == 11


def test_the_first_role_that_policy_allows_answers_for_a_path(api, world):
    name = "v-several"
    world.bao.database_role(name)
    path = f"database/creds/{name}"
    it = api(roles={"not-mine": {"backend": "bao", "path": path, "binding": "connection"},
                    "mine": {"backend": "bao", "path": path, "binding": "connection"}},
             rules=[{"name": "one", "subjects": [{"user": "root"}, {"user": CONSUMER}], "roles": ["mine"]}])
    client = it.client()
    client.read(path)
    assert [r["role"] for r in it.events("grant.created")] == ["mine"]
    with pytest.raises(hvac.exceptions.Forbidden, match="permission denied: no rule allows"):
        client.read(it.path)


def test_parameters_of_a_request_that_are_not_the_roles_are_refused(api):
    it = api()
    with pytest.raises(hvac.exceptions.InvalidRequest, match="ttl can't be chosen"):
        it.client().write(it.path, ttl="5m")
    assert it.world.bao.requests(it.path) == 0


@needs_root
def test_another_users_lease_is_refused(api):
    it = api(rules=[{"name": "all", "subjects": [{"user": "*"}], "roles": ["*"]}], binding="none")
    status, body = it.curl("GET", it.path)
    assert status == 200
    read = json.loads(body)
    body = json.dumps({"lease_id": read["lease_id"]})
    for path in ("sys/leases/lookup", "sys/leases/renew", "sys/leases/revoke"):
        assert it.errors("PUT", path, "-d", body, user=STRANGER) == (403, ["permission denied: the lease is another caller's"])
    assert it.errors("PUT", f"sys/renew/{read['lease_id']}", user=STRANGER)[0] == 403
    assert it.logs_in(read["data"])
    assert it.curl("PUT", f"sys/leases/revoke/{read['lease_id']}", "-d", '{"sync": false}') == (202, "")
    it.await_dead(read["data"])


# --- what is answered here ---


def test_tokens_and_logins_are_answered_for_the_caller(api):
    it = api()
    client = it.client(token=None)
    client.auth.approle.login(role_id="anything", secret_id="anything")
    assert client.token == "leased" and client.is_authenticated()
    found = client.auth.token.lookup_self()["data"]
    assert found["id"] == "leased" and found["renewable"] and found["ttl"] == 2764800
    assert client.auth.token.renew_self()["auth"]["lease_duration"] == 2764800
    assert client.sys.read_health_status(method="GET")["sealed"] is False
    assert client.sys.is_initialized() and not client.sys.is_sealed()
    assert client.sys.get_capabilities(paths=[it.path, f"{MOUNT}/data/team/a"])["data"][it.path] == ["read"]
    assert client.auth.token.revoke_self().status_code == 204
    done = bao(it, "status", "-format=json")
    assert done.returncode == 0 and json.loads(done.stdout)["sealed"] is False, done.stderr


def test_tcp_wants_the_header_that_vaults_clients_send_and_a_socket_does_not(api):
    it = api()
    done = subprocess.run(["curl", "-sS", "-w", "%{http_code}", f"{it.url}/v1/sys/health"], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("412") and 'missing \\"X-Vault-Request\\" header' in done.stdout
    done = subprocess.run(["curl", "-sS", "-w", "%{http_code}", "-H", "X-Vault-Request: true", f"{it.url}/v1/sys/health"],
                          capture_output=True, text=True, check=True)
    assert done.stdout.endswith("200")
    assert it.curl("GET", "sys/health")[0] == 200
    assert it.curl("HEAD", "sys/health?activecode=299", "-I")[0] == 299


# --- what is passed on ---


def test_kv_version_2_goes_through_its_whole_cycle(api):
    it = api()
    kv = it.client().secrets.kv.v2
    where = {"mount_point": MOUNT, "path": "team/cycle"}
    assert kv.create_or_update_secret(secret={"a": "1", "n": 5}, **where)["data"]["version"] == 1
    assert kv.patch(secret={"b": "2"}, **where)["data"]["version"] == 2
    read = kv.read_secret_version(raise_on_deleted_version=True, **where)
    assert read["data"]["data"] == {"a": "1", "n": 5, "b": "2"} and read["lease_id"] == ""
    assert kv.read_secret_version(version=1, raise_on_deleted_version=True, **where)["data"]["data"] == {"a": "1", "n": 5}
    assert "cycle" in kv.list_secrets(path="team", mount_point=MOUNT)["data"]["keys"]
    assert set(kv.read_secret_metadata(**where)["data"]["versions"]) == {"1", "2"}
    kv.delete_latest_version_of_secret(**where)
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_version(raise_on_deleted_version=True, **where)
    kv.delete_metadata_and_all_versions(**where)
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_metadata(**where)
    called = it.events("path.called")
    assert {r["outcome"] for r in called} == {"ok"} and {"read", "update", "list", "delete"} <= {r["reason"] for r in called}
    assert all(r["issuer_ref"].startswith("hmac:") and "cycle" not in json.dumps(r) for r in called)


def test_kv_version_1_and_the_command_line(api):
    it = api()
    kv = it.client().secrets.kv.v1
    kv.create_or_update_secret(path="app", secret={"a": "1"}, mount_point=OLD)
    assert kv.read_secret(path="app", mount_point=OLD)["data"] == {"a": "1"}
    assert kv.list_secrets(path="", mount_point=OLD)["data"]["keys"] == ["app"]
    kv.delete_secret(path="app", mount_point=OLD)
    assert bao(it, "kv", "put", f"{MOUNT}/team/cli", "x=1").returncode == 0
    done = bao(it, "kv", "get", "-format=json", f"{MOUNT}/team/cli", address=it.url)
    assert done.returncode == 0 and json.loads(done.stdout)["data"]["data"] == {"x": "1"}, done.stderr
    done = bao(it, "kv", "list", "-format=json", f"{MOUNT}/team")
    assert done.returncode == 0 and "cli" in json.loads(done.stdout), done.stderr
    assert bao(it, "kv", "patch", f"{MOUNT}/team/cli", "y=2").returncode == 0
    done = bao(it, "kv", "get", "-field=y", f"{MOUNT}/team/cli")
    assert done.stdout == "2", done.stderr
    assert bao(it, "kv", "get", f"{MOUNT}/team/none").returncode == 2


def test_what_no_rule_opens_is_refused_with_a_hint(api):
    it = api()
    status, errors = it.errors("GET", f"{MOUNT}/data/other")
    assert status == 403 and errors[0].startswith("permission denied: no rule allows it") and "`paths` and read" in errors[1]
    assert it.errors("PATCH", f"{OLD}/x", "-d", "{}")[0] == 403
    assert it.errors("GET", "sys/mounts")[0] == 403
    for path in ("auth/token/create", "auth/token/create-orphan"):
        assert it.errors("POST", path)[0] == 403
    for path in (f"{MOUNT}/data/team/%2e%2e/other", f"{MOUNT}/data/team%2Fx", f"{MOUNT}//data/team/x", f"{MOUNT}/data/team/%252e"):
        assert it.curl("GET", path, "--path-as-is")[0] == 400
    assert it.curl("GET", f"{MOUNT}/data/team/../other", "--path-as-is")[0] == 400
    assert it.world.bao.requests(f"{MOUNT}/data/other") == 0


def test_a_lease_on_a_path_that_is_no_role_never_comes_out(api, world):
    """`creds` isn't even asked for; what else brings a lease, such as an engine at a deeper mount, is ended at once."""
    it = api(rules=[{"name": "wide", "subjects": [{"user": CONSUMER}], "roles": ["*"],
                     "paths": [{"path": "*", "capabilities": ["read", "update"]}]}])
    name = it.role
    status, errors = it.errors("POST", "odd/creds/otp", "-d", '{"ip": "127.0.0.1"}')
    assert status == 403 and "define a role with this path" in errors[1]
    assert world.bao.requests("odd/creds/otp") == 0
    for options in ([], ["-H", "X-Vault-Wrap-TTL: 60s"]):
        status, errors = it.errors("GET", f"deep/db/creds/{name}", *options)
        assert status == 403 and "leased has ended it" in errors[0] and "define a role with this path" in errors[1]
    assert world.bao.requests(f"deep/db/creds/{name}") == 2
    assert not world.bao.call("LIST", f"sys/leases/lookup/deep/db/creds/{name}")["data"]["keys"]
    assert it.errors("POST", "odd/sign/none", "-H", "X-Vault-Wrap-TTL: 60s")[0] == 400


def test_wrapping(api):
    it = api()
    client = it.client()
    it.world.bao.call("POST", f"{MOUNT}/data/team/wrapped", {"data": {"w": "1"}})
    wrapped = client.adapter.get(f"/v1/{MOUNT}/data/team/wrapped", wrap_ttl="60s")["wrap_info"]
    assert wrapped["creation_path"] == f"{MOUNT}/data/team/wrapped"
    assert client.sys.unwrap(wrapped["token"])["data"]["data"] == {"w": "1"}
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.sys.unwrap(wrapped["token"])
    done = bao(it, "read", "-wrap-ttl=60s", "-field=wrapping_token", f"{MOUNT}/data/team/wrapped")
    assert done.returncode == 0, done.stderr
    done = bao(it, "unwrap", "-format=json", done.stdout)
    assert json.loads(done.stdout)["data"]["data"] == {"w": "1"}, done.stderr
    done = bao(it, "write", "-f", "-wrap-ttl=60s", "-format=json", "auth/approle/role/wrapped/secret-id")
    assert done.returncode == 0, done.stderr
    token = json.loads(done.stdout)["wrap_info"]["token"]
    unwrapped = hvac.Client(url=it.url, token=token).sys.unwrap()
    assert unwrapped["data"]["secret_id"]
    with pytest.raises(hvac.exceptions.InvalidRequest, match="isn't wrapped"):
        client.adapter.get(f"/v1/{it.path}", wrap_ttl="60s")


def test_a_namespace_stands_before_the_path(api):
    it = api()
    client = hvac.Client(url=it.url, token="any", namespace="space")
    assert client.secrets.kv.v1.read_secret(path="a", mount_point="kv")["data"] == {"where": "space"}
    assert it.client().read("space/kv/a")["data"] == {"where": "space"}
    assert it.errors("GET", "kv/a")[0] == 403
    assert it.errors("GET", "kv/a", "-H", "X-Vault-Namespace: ../space")[0] == 400


def test_a_static_secret_is_cached_and_read_again(api):
    path = f"{MOUNT}/data/team/static"
    it = api(roles={"static": {"backend": "bao", "path": path, "share": "role", "refresh": "2s", "binding": "none"}})
    it.world.bao.call("POST", path, {"data": {"v": "1"}})
    client = it.client()

    def read():
        return client.secrets.kv.v2.read_secret_version(path="team/static", mount_point=MOUNT, raise_on_deleted_version=True)

    first = read()
    assert first["data"]["data"] == {"v": "1"} and first["data"]["metadata"]["version"] == 1
    assert 0 < first["lease_duration"] <= 3 and not first["renewable"]
    for _ in range(20):
        read()
    assert it.world.bao.requests(path) <= 5
    it.world.bao.call("POST", path, {"data": {"v": "2"}})
    until(lambda: read()["data"]["data"] == {"v": "2"}, "the new value is there", 15)
    done = bao(it, "kv", "get", "-field=v", f"{MOUNT}/team/static")
    assert done.stdout == "2", done.stderr


def test_a_template_reader_lives_by_what_it_is_told(api):
    """As consul-template does it: token looked up and renewed, read, renewed, and read again when lease_duration is nearly over."""
    it = api(issuer={"ttl": "3s", "max_ttl": "3s"}, ttl="3s", max_ttl="3s", min_remaining="1s", overlap="1s")
    program = """
import sys, time, hvac
client = hvac.Client(url=sys.argv[1], token="any")
client.auth.token.lookup_self()
seen = set()
end = time.monotonic() + 60
while len(seen) < 3 and time.monotonic() < end:
    assert client.auth.token.renew_self()["auth"]["renewable"]
    read = client.read(sys.argv[2])
    seen.add(read["data"]["username"])
    time.sleep(max(0.2, read["lease_duration"] * 0.7))
print(len(seen))
"""
    done = subprocess.run([*as_user(CONSUMER), sys.executable, "-c", program, it.url, it.path], capture_output=True, text=True, check=False,
                          timeout=90, cwd="/", env=clean_environment(PYTHONPATH=os.pathsep.join(sys.path)))
    assert done.stdout == "3\n", done.stderr
