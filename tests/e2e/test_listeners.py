"""Callers over TCP: who they are, and what they may be given."""
import json

from conftest import CONSUMER, STRANGER, needs_root
from servers import free_port


def tcp_daemon(orders, config=None, **role):
    """(Orders, port): a leased with a listener on loopback TCP beside its socket."""
    port = free_port()
    listener = {"name": "tcp", "tcp": f"127.0.0.1:{port}"}
    return orders(config={"more_listeners": [listener], **(config or {})}, **role), port


def ask(shell, port, path, options=""):
    """(status, JSON) of what curl gets over loopback TCP."""
    code, output = shell.run(f"curl -s -w '\\n%{{http_code}}' -H 'X-Leased-Request: 1' {options} "
                             f"'http://127.0.0.1:{port}/leased/v1/{path}'; echo")
    assert code == 0
    body, status = output.rstrip().rsplit("\n", 1)
    return int(status), json.loads(body)


def test_a_caller_on_loopback_tcp_is_known_by_its_uid(orders, shell):
    made, port = tcp_daemon(orders, binding="none")
    status, answer = ask(shell(made.daemon), port, f"credentials/{made.role}")
    assert status == 200, answer
    assert made.logs_in(answer)
    created = made.events("grant.created")[0]
    assert created["listener"] == "tcp"
    assert created["identity"]["user"] == CONSUMER
    assert "pid" not in created["identity"] and "unit" not in created["identity"]


@needs_root
def test_another_user_on_loopback_tcp_is_denied(orders, shell):
    made, port = tcp_daemon(orders, binding="none")
    status, answer = ask(shell(made.daemon, STRANGER), port, f"credentials/{made.role}")
    assert (status, answer["code"]) == (403, "denied")
    assert STRANGER in answer["detail"]
    assert made.events("grant.denied")[0]["identity"]["user"] == STRANGER
    assert made.world.bao.requests(made.path) == 0


def test_over_tcp_no_process_can_be_bound_to_but_the_connection(orders, shell):
    made, port = tcp_daemon(orders)
    caller = shell(made.daemon)
    status, answer = ask(caller, port, f"credentials/{made.role}")
    assert (status, answer["code"]) == (409, "binding_unavailable")
    assert "binding=connection" in answer["hint"]
    assert made.world.bao.requests(made.path) == 0
    status, answer = ask(caller, port, f"credentials/{made.role}?binding=none")
    assert (status, answer["code"]) == (403, "limit_exceeded")
    status, answer = ask(caller, port, f"credentials/{made.role}?binding=connection")
    assert status == 200
    made.await_dead(answer)


@needs_root
def test_an_admin_is_none_over_loopback_tcp(orders, shell):
    rules = [{"name": "ci", "subjects": [{"user": CONSUMER}], "roles": ["*"]}]
    made, port = tcp_daemon(orders, {"policies": {"rules": rules, "admins": [{"subjects": [{"user": STRANGER}]}]}}, binding="none")
    status, answer = ask(shell(made.daemon), port, f"credentials/{made.role}")
    assert status == 200
    admin = shell(made.daemon, STRANGER)
    assert admin.run(f"lease show {answer['lease']}")[0] == 0
    assert ask(admin, port, f"leases/{answer['lease']}")[0] == 404
