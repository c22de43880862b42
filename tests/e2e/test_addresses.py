"""Several addresses of one issuer: one that is dead, sealed or killed is gone around, and come back to."""
import http.server
import json
import threading
import time

import pytest
from conftest import CONSUMER
from servers import until
from test_outage import Forwarder

SEALED = json.dumps({"errors": ["Vault is sealed"]}).encode()


class Node:
    """A node of the issuer's cluster: leads to bao, or answers everything as a sealed or a standby node does, or isn't there."""

    def __init__(self, world):
        self.road, self.world, self.server, self.count = Forwarder(world.bao.port), world, None, 0
        self.port = self.road.port

    def serve(self):
        self.stop()
        self.road.open()

    def answer(self, status, headers=(), body=SEALED):
        """Every request gets this answer; {path} in a header is the request's."""
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_any(self):
                node.count += 1
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value.format(path=self.path))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_any

            def log_message(self, *_):
                pass

        self.stop()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.road.close()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


@pytest.fixture
def nodes(world):
    both = [Node(world), Node(world)]
    yield both
    for node in both:
        node.stop()


@pytest.fixture
def cluster(nodes, orders, world):
    """cluster(**backend): an Orders whose leased knows both nodes."""
    def maker(**backend):
        settings = {"plugin": "vault", "address": [f"http://127.0.0.1:{node.port}" for node in nodes], "health_interval": "1s",
                    "auth": {"method": "approle", "role_id_file": world.bao.role_id_file,
                             "secret_id_file": world.bao.secret_id_file}, **backend}
        rules = [{"name": "consumers", "subjects": [{"user": CONSUMER}], "roles": ["*"]}]
        admins = [{"subjects": [{"user": "root"}], "may": ["read"]}]  # sees the addresses
        return orders(config={"backends": {"bao": settings}, "policies": {"rules": rules, "admins": admins}})
    return maker


def backend(made):
    return json.loads(made.daemon.lease("root", "status", "-o", "json").stdout)["backends"][0]


def test_a_dead_address_is_gone_around_and_come_back_to(nodes, cluster, shell):
    nodes[1].serve()
    made = cluster()
    until(lambda: backend(made)["up"], "leased has logged in")
    script = shell(made.daemon)
    credential = script.get(made.role)
    assert made.logs_in(credential)
    first, second = backend(made)["addresses"]
    assert not first["up"] and "connect" in first["last_error"]
    assert second["up"] and second["preferred"]
    nodes[0].serve()
    until(lambda: backend(made)["addresses"][0]["preferred"], "the first address is used again", 20, 0.1)
    nodes[1].stop()
    script.end()
    made.await_dead(credential)


def test_a_sealed_node_is_gone_around(nodes, cluster, shell):
    nodes[0].answer(503)
    nodes[1].serve()
    made = cluster()
    credential = shell(made.daemon).get(made.role, "--wait 10s 2>/dev/null")
    assert made.logs_in(credential)
    assert nodes[0].count > 0
    assert "503" in backend(made)["addresses"][0]["last_error"]


def test_a_node_that_is_killed_or_sealed_meanwhile_costs_no_request(nodes, cluster, shell):
    for node in nodes:
        node.serve()
    made = cluster()
    until(lambda: backend(made)["up"], "leased has logged in")
    script = shell(made.daemon)
    first = script.get(made.role)
    nodes[0].stop()
    second = shell(made.daemon).get(made.role)
    assert made.logs_in(second)
    nodes[0].serve()
    until(lambda: backend(made)["addresses"][0]["preferred"], "the first address is used again", 20, 0.1)
    nodes[0].answer(503)
    third = shell(made.daemon).get(made.role)
    assert made.logs_in(third)
    script.end()
    until(lambda: not made.logs_in(first), "what its holder left is revoked through the other node")
    assert made.logs_in(second)


def test_a_standby_that_names_another_address_is_believed_only_if_that_is_configured(nodes, cluster, shell):
    nodes[1].serve()
    nodes[0].answer(307, [("Location", f"http://127.0.0.1:{nodes[1].port}{{path}}")], b"")
    made = cluster()
    credential = shell(made.daemon).get(made.role, "--wait 10s 2>/dev/null")
    assert made.logs_in(credential)
    assert nodes[0].count > 0
    evil = Node(nodes[0].world)
    evil.answer(200)
    nodes[0].answer(307, [("Location", f"http://127.0.0.1:{evil.port}{{path}}")], b"")
    nodes[1].stop()
    asked = nodes[0].count
    assert shell(made.daemon).run(f"timeout 1 lease get {made.role}")[0] in (7, 124)
    assert nodes[0].count > asked and evil.count == 0
    evil.stop()
    nodes[1].serve()  # so that what was issued can be revoked
    nodes[0].stop()


def test_an_outage_opens_the_breaker_and_its_end_closes_it(nodes, cluster, shell):
    nodes[1].serve()
    made = cluster()
    until(lambda: backend(made)["up"], "leased has logged in")
    script = shell(made.daemon)
    held = script.get(made.role)
    nodes[1].stop()
    crowd = [shell(made.daemon) for _ in range(6)]
    for it in crowd:
        it.process.stdin.write(f"lease get {made.role}\n")
        it.process.stdin.flush()
    until(lambda: backend(made)["breaker"]["state"] != "closed", "the breaker is open", 15, 0.1)
    assert made.daemon.metric('leased_breaker_open{backend="bao"}') == 1
    assert made.daemon.metric('leased_backend_up{backend="bao"}') == 0
    failed, before = len(made.events("lease.failed")), time.monotonic()
    code, output = shell(made.daemon).run(f"lease get {made.role}")
    assert code == 7 and "issuer_unavailable" in output
    assert time.monotonic() - before < 0.5
    assert len(made.events("lease.failed")) <= failed + len(crowd), "what isn't tried leaves no trail"
    assert script.get(made.role)["credential"] == held["credential"]
    nodes[1].serve()
    fresh = shell(made.daemon).get(made.role, "--wait 20s 2>/dev/null")
    assert made.logs_in(fresh)
    assert backend(made)["breaker"]["state"] == "closed"
    assert made.daemon.metric('leased_breaker_open{backend="bao"}') == 0


def test_a_rate_limit_pauses_the_backend(nodes, cluster, shell):
    nodes[0].serve()
    made = cluster()
    until(lambda: backend(made)["up"], "leased has logged in")
    nodes[0].answer(429, [("Retry-After", "60")], b'{"errors":["request path: rate limit quota exceeded"]}')
    code, output = shell(made.daemon).run(f"lease get {made.role}")
    assert code == 7, output
    until(lambda: backend(made)["breaker"]["paused_until"], "the pause is shown")
    asked = nodes[0].count
    for _ in range(20):
        assert shell(made.daemon).run(f"lease get {made.role}")[0] == 7
    assert nodes[0].count - asked <= 3, "only health is asked meanwhile"
    nodes[0].serve()
