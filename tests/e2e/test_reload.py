"""A new configuration for a daemon that runs: all or nothing, and nobody notices but those whom it is about."""
import collections
import copy
import http.client
import json
import os
import signal
import socket
import threading
import time

import pytest
from conftest import CONSUMER
from servers import until

HEADERS = {"Host": "localhost", "X-Leased-Request": "1"}


class Connection(http.client.HTTPConnection):
    """A kept connection to the unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def call(self, method, target, body=None):
        self.request(method, target, body=None if body is None else json.dumps(body), headers=HEADERS)
        answer = self.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else None


def write(daemon, text):
    """At once, as an editor or a configuration manager does it."""
    path = daemon.config_path
    with open(f"{path}.new", "w", encoding="utf-8") as f:
        f.write(text if isinstance(text, str) else json.dumps(text))
    os.rename(f"{path}.new", path)


def reload(daemon, config, user="root"):
    write(daemon, config)
    return daemon.lease(user, "reload", "-o", "json")


def get(made, role, *options):
    """Bound to the process that asks, so gone at once."""
    return made.daemon.lease(CONSUMER, "get", role, "--bind", "process", *options)


RULES = [{"name": "consumers", "subjects": [{"user": CONSUMER}, {"user": "root"}], "roles": ["*"]}]
POLICIES = {"rules": RULES, "admins": [{"subjects": [{"user": "root"}]}]}


@pytest.fixture
def made(orders):
    return orders(config={"policies": POLICIES})


def changed(made, change):
    config = copy.deepcopy(made.daemon.config)
    change(config)
    return config


def test_what_has_changed_is_told_and_takes_effect(made):
    made.world.bao.database_role("second")

    def change(config):
        config["roles"]["second"] = {"backend": "bao", "path": "database/creds/second"}
        config["roles"][made.role]["max_ttl"] = "2h"
        config["listeners"].append({"name": "other", "unix": f"{made.daemon.folder}/run/other.sock", "mode": "0666"})
        config["limits"]["request_body"] = "8KiB"
    done = reload(made.daemon, changed(made, change))
    assert done.returncode == 0, done.stderr
    it = json.loads(done.stdout)
    assert it["roles"] == {"added": ["second"], "removed": [], "changed": [made.role]}
    assert it["listeners"] == {"added": ["other"], "removed": [], "changed": ["local"]}
    assert it["limits_changed"] and not it["log_changed"] and it["grants_ended"] == 0
    assert get(made, "second").returncode == 0
    got = get(made, made.role, "--for", "3h")
    assert got.returncode == 3 and "2h" in got.stderr
    assert Connection(f"{made.daemon.folder}/run/other.sock").call("GET", "/leased/v1/status")[0] == 200
    again = made.daemon.lease("root", "reload")
    assert again.returncode == 0 and "nothing has changed" in again.stdout
    records = until(lambda: len(made.events("config.reloaded")) == 2 and made.events("config.reloaded"), "both are on record")
    assert records[0]["reason"].startswith("config sha256:") and records[0]["identity"]["user"] == "root"


def test_all_mistakes_are_told_with_their_places_and_the_old_configuration_stays(made, shell):
    held = shell(made.daemon).get(made.role)
    before = made.daemon.config
    bad = changed(made, lambda c: (c["roles"][made.role].update({"ttll": "1h"}), c["limits"].update({"clients": 99999}),
                                   c["roles"].update({"new": {"backend": "nowhere", "path": "a"}})))
    write(made.daemon, json.dumps(bad, indent=1))
    done = made.daemon.lease("root", "reload")
    assert done.returncode == 1
    for part in ("3 mistakes", "`ttll`: did you mean `ttl`?", "from 1 to 16000", "there is no backend `nowhere`", "leased.yaml:"):
        assert part in done.stderr, done.stderr
    assert made.daemon.log_lines().count('"event":"config.mistake"') == 3
    until(lambda: len(made.events("config.rejected")) == 1, "the refusal is on record")
    assert get(made, "new").returncode == 4
    assert made.logs_in(held)
    assert reload(made.daemon, before).returncode == 0
    assert made.logs_in(held)


def test_a_role_that_is_removed_ends_its_grants_and_its_credentials(made, shell):
    held = shell(made.daemon).get(made.role)
    done = reload(made.daemon, changed(made, lambda c: (c.update(roles={}), c.update(policies={"admins": POLICIES["admins"]}))))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["grants_ended"] == 1
    made.await_dead(held)
    assert get(made, made.role).returncode == 4


def test_a_policy_that_takes_access_away_ends_the_grants_that_it_forbids(made, shell):
    held = shell(made.daemon).get(made.role)
    kept = shell(made.daemon, "root").get(made.role)
    rules = [{"name": "operators", "subjects": [{"user": "root"}], "roles": ["*"]}]
    done = reload(made.daemon, changed(made, lambda c: c["policies"].update(rules=rules)))
    assert done.returncode == 0, done.stderr
    it = json.loads(done.stdout)
    assert it["grants_ended"] == 1 and it["policy"]["changed"]
    until(lambda: not made.logs_in(held), "the forbidden credential is dead")
    assert made.logs_in(kept)
    assert get(made, made.role).returncode == 3


def test_a_changed_backend_is_opened_beside_the_old_one_which_is_logged_out_when_nobody_needs_it(made, shell):
    consumer = shell(made.daemon)
    held = consumer.get(made.role)
    logins = made.world.bao.requests("auth/approle/login")
    done = reload(made.daemon, changed(made, lambda c: c["backends"]["bao"].update(server_name="bao.example")))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["backends"]["changed"] == ["bao"]
    until(lambda: made.world.bao.requests("auth/approle/login") == logins + 1, "the new backend has logged in")
    assert made.logs_in(held)

    def successor():
        now = consumer.get(made.role)
        return now if now["credential"] != held["credential"] else None
    assert made.logs_in(until(successor, "the new backend has issued a successor"))
    assert reload(made.daemon, changed(made, lambda c: (c.update(roles={}), c.update(policies={"admins": POLICIES["admins"]})))).returncode == 0
    until(lambda: '"event":"backend.retired"' in made.daemon.log_lines(), "the old backend is closed")
    until(lambda: made.world.bao.requests("auth/token/revoke-self") >= 1, "and logged out")


def test_limits_of_a_backend_change_without_a_new_login(made, shell):
    held = shell(made.daemon).get(made.role)
    logins = made.world.bao.requests("auth/approle/login")
    done = reload(made.daemon, changed(made, lambda c: c["backends"]["bao"].update(limits={"issue_rate": "20/s", "in_flight": 8})))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["backends"]["changed"] == ["bao"]
    assert made.world.bao.requests("auth/approle/login") == logins
    assert json.loads(made.daemon.lease(CONSUMER, "show", held["lease"], "-o", "json").stdout)["state"] == "active"


@pytest.mark.parametrize("change, key", [
    (lambda c: c["audit"].append({"sink": "stdout"}), "audit"),
    (lambda c: c["limits"].update(leases=5), "leases"),
    (lambda c: c["listeners"][0].update(mode="0660"), "mode"),
    (lambda c: c.update(plugins={"path": "/nonexistent"}), "plugins"),
], ids=["audit", "leases", "mode", "plugins"])
def test_what_needs_a_restart_is_refused_by_its_name_and_nothing_else_is_applied(made, change, key):
    def both(config):
        change(config)
        config["roles"] = {"else": {"backend": "bao", "path": "database/creds/x"}}
        config["policies"] = {"admins": POLICIES["admins"]}
    done = reload(made.daemon, changed(made, both))
    assert done.returncode == 1
    assert f"`{key}`" in done.stderr and "restart" in done.stderr, done.stderr
    assert get(made, made.role).returncode == 0


def test_an_address_that_cannot_be_bound_refuses_the_whole(made):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = reload(made.daemon, changed(made, lambda c: c["listeners"].extend(
            [{"name": "good", "unix": f"{made.daemon.folder}/run/good.sock"}, {"name": "bad", "tcp": address}])))
    assert done.returncode == 1 and "could not open listener bad" in done.stderr, done.stderr
    until(lambda: not os.path.exists(f"{made.daemon.folder}/run/good.sock"), "what was opened for it is gone")
    assert get(made, made.role).returncode == 0


@pytest.mark.parametrize("change", [
    lambda c: c["limits"].update(request_body="8KiB", idle_timeout="50s"),
    lambda c: c["limits"].update(request_head="16KiB", clients=2000),
    lambda c: c["listeners"][0].update(name="renamed"),
], ids=["in place", "limits of a new listener", "name"])
def test_what_is_bound_to_a_connection_outlives_its_listener(orders, change):
    rules = [{**RULES[0], "limits": {"binding": ["connection"]}}]
    made = orders(config={"policies": {**POLICIES, "rules": rules}})
    connection = Connection(made.daemon.socket)
    target = f"/leased/v1/credentials/{made.role}?binding=connection"
    status, held = connection.call("GET", target)
    assert status == 200
    done = reload(made.daemon, changed(made, change))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["grants_ended"] == 0
    for _ in range(3):
        status, again = connection.call("GET", target)
        assert (status, again["grant"]) == (200, held["grant"])
    assert made.logs_in(held)
    done = reload(made.daemon, changed(made, lambda c: (change(c), c["listeners"][0].update(serve=["metrics"]))))
    assert done.returncode == 0 and connection.call("GET", target)[0] == 404
    assert made.logs_in(held)
    connection.close()
    made.await_dead(held)


def test_a_kept_connection_is_served_what_the_listener_serves_now(made):
    kept = Connection(made.daemon.socket)
    assert kept.call("GET", "/leased/v1/status")[0] == 200
    other = {"name": "other", "unix": f"{made.daemon.folder}/run/other.sock", "mode": "0666"}
    done = reload(made.daemon, changed(made, lambda c: (c["listeners"][0].update(serve=["metrics"]), c["listeners"].append(other))))
    assert done.returncode == 0, done.stderr
    assert kept.call("GET", "/leased/v1/status")[0] == 404


def test_only_who_may_reload_can(made):
    done = made.daemon.lease(CONSUMER, "reload")
    assert done.returncode == 3 and "may reload" in done.stderr


class Load:
    """Clients that read and acquire in loops; what should have worked and didn't is kept."""

    def __init__(self, daemon, role, coming):
        self.daemon, self.role, self.coming = daemon, role, coming
        self.failures, self.counts, self.ended = [], collections.Counter(), threading.Event()
        self.threads = [threading.Thread(target=self.guard, args=(work,)) for work in
                        (self.read, self.read, self.read_anew, self.acquire, self.watch_coming)]

    def guard(self, work):
        try:
            while not self.ended.is_set():
                work()
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append((work.__name__, repr(error)))

    def expect(self, what, answer, allowed):
        self.counts[what] += 1
        if answer[0] not in allowed:
            self.failures.append((what, answer[0], (answer[1] or {}).get("detail")))

    def read(self):
        """On one connection for as long as the server keeps it."""
        connection = Connection(self.daemon.socket)
        for _ in range(200):
            self.expect("read", connection.call("GET", f"/leased/v1/credentials/{self.role}"), (200, 201))
            if connection.sock is None or self.ended.is_set():
                break
        connection.close()

    def read_anew(self):
        connection = Connection(self.daemon.socket)
        self.expect("read_anew", connection.call("GET", f"/leased/v1/credentials/{self.role}"), (200, 201))
        connection.close()

    def acquire(self):
        connection = Connection(self.daemon.socket)
        status, body = connection.call("POST", "/leased/v1/leases", {"role": self.role, "binding": "none"})
        self.expect("acquire", (status, body), (201,))
        if connection.sock is None:
            connection = Connection(self.daemon.socket)
        if status == 201:
            self.expect("end", connection.call("DELETE", f"/leased/v1/grants/{body['grant']}"), (200, 202))
        connection.close()

    def watch_coming(self):
        connection = Connection(self.daemon.socket)
        answer = connection.call("GET", f"/leased/v1/credentials/{self.coming}")
        self.expect("coming", answer, (200, 201, 403, 404))
        connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def test_no_request_fails_through_120_reloads_under_load(world, orders):
    world.bao.database_role("coming")
    rules = [{"name": "clients", "subjects": [{"user": "root"}], "roles": ["*"], "limits": {"binding": ["none"]}}]
    made = orders(rules=rules, config={"policies": {"rules": rules, "admins": [{"subjects": [{"user": "root"}]}]},
                                       "limits": {"stop_timeout": "10s", "grants_per_uid": "1000/s"},
                                       "log": {"level": "warn", "format": "json"}}, share="role", linger="1h")
    daemon, steady = made.daemon, made.daemon.config
    with_role = changed(made, lambda c: c["roles"].update(coming={"backend": "bao", "path": "database/creds/coming", "share": "role"}))
    denying = copy.deepcopy(with_role)
    denying["policies"]["rules"] = [{"name": "no", "subjects": [{"user": "root"}], "roles": ["coming"], "effect": "deny"}, *rules]
    limits = copy.deepcopy(steady)
    limits["limits"]["clients"] = 900
    tuned = changed(made, lambda c: c["backends"]["bao"].update(limits={"renew_rate": "150/s"}))
    broken = [json.dumps(steady)[:-20], json.dumps(changed(made, lambda c: c["roles"][made.role].update(pth="x"))), "", "roles: [",
              json.dumps(changed(made, lambda c: c["policies"]["rules"][0].update(roles=["nobody"]))),
              json.dumps(changed(made, lambda c: c["backends"].clear()))]
    good = [steady, with_role, denying, limits, tuned]
    with Load(daemon, made.role, "coming") as load:
        until(lambda: load.counts["read"] > 100 and load.counts["acquire"] > 3, "the load runs", 30)
        for i in range(120):
            if i % 4 == 3:
                write(daemon, broken[i // 4 % len(broken)])
                expected = 1
            else:
                write(daemon, json.dumps(good[i % len(good)]))
                expected = 0
            if i % 3 == 0:
                seen = len(made.events("config.reloaded")) + len(made.events("config.rejected"))
                daemon.send(signal.SIGHUP)
                until(lambda seen=seen: len(made.events("config.reloaded")) + len(made.events("config.rejected")) > seen, "reloaded")
            else:
                done = daemon.lease("root", "reload")
                assert done.returncode == expected, (i, done.stderr)
            time.sleep(0.01)  # so that the load meets each configuration
    assert not load.failures, (load.failures[:5], [r.get("error") for r in made.events("grant.denied") if r.get("role") != "coming"][:5])
    until(lambda: len(made.events("config.rejected")) == 30 and len(made.events("config.reloaded")) == 90, "each is on record")
    assert min(load.counts.values()) > 20, load.counts
    whole = daemon.lease("leased", "audit", "verify", daemon.audit_path)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert reload(daemon, steady).returncode == 0
