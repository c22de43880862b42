"""The password works, and stops working when it should."""
import json
import os
import signal
import subprocess
import time

import psycopg2
import pytest
from conftest import CONSUMER, needs_root
from servers import as_user, clean_environment, until


def test_the_password_works_and_is_refused_after_release(orders, shell):
    made = orders()
    script = shell(made.daemon)
    credential = script.get(made.role)
    assert made.logs_in(credential)
    code, output = script.run(f"lease revoke {credential['lease']}")
    assert (code, output) == (0, f"{credential['lease']} ended\n")
    assert made.is_dead(credential), "the issuer had confirmed when revoke returned"


def test_an_open_session_ends_with_the_credential(orders, shell):
    made = orders()
    script = shell(made.daemon)
    fields = script.get(made.role)["credential"]
    session = psycopg2.connect(host="127.0.0.1", port=made.world.postgres.port, dbname="postgres", user=fields["username"],
                               password=fields["password"])
    with session.cursor() as cursor:
        cursor.execute("SELECT 1")
        script.end()
        made.await_dead(fields)
        with pytest.raises(psycopg2.Error):
            cursor.execute("SELECT 1")


def test_asking_again_gives_the_same_credential(orders, shell):
    made = orders()
    script = shell(made.daemon)
    first, second = script.get(made.role), script.get(made.role)
    assert first["credential"] == second["credential"]
    assert first["grant"] == second["grant"]
    assert made.world.bao.requests(made.path) == 1


def test_two_scripts_have_credentials_of_their_own(orders, shell):
    made = orders()
    first, second = shell(made.daemon), shell(made.daemon)
    one, other = first.get(made.role), second.get(made.role)
    assert one["credential"]["username"] != other["credential"]["username"]
    first.end()
    until(lambda: not made.logs_in(one), "the first script's credential is dead")
    assert made.logs_in(other)


def test_the_end_of_the_parent_ends_the_credential(orders, shell):
    made = orders()
    script = shell(made.daemon)
    code, password = script.run(f"X=$(lease get {made.role} -o field=password | cat); echo $X")
    assert code == 0
    fields = script.get(made.role)["credential"]
    assert fields["password"] == password.strip(), "a subshell is not the parent: the grant is the script's"
    assert made.logs_in(fields)
    script.end()
    made.await_dead(fields, 2)


def test_the_end_of_the_process_ends_the_credential(orders, shell):
    made = orders(linger="0s")
    credential = shell(made.daemon).get(made.role, "--bind process")
    made.await_dead(credential, 2)


def test_the_duration_ends_the_credential_though_the_holder_lives(orders, shell):
    made = orders()
    script = shell(made.daemon)
    begin = time.monotonic()
    credential = script.get(made.role, "--for 3s")
    assert made.logs_in(credential)
    made.await_dead(credential)
    assert 2.5 <= time.monotonic() - begin <= 5
    assert made.events("grant.ended")[0]["grant"] == credential["grant"]


CONNECTION = r"""
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(("GET /leased/v1/credentials/%s?binding=connection HTTP/1.1\r\nHost: localhost\r\nX-Leased-Request: 1\r\n\r\n" % sys.argv[2]).encode())
answer = b""
while b"\r\n\r\n" not in answer or not answer.rstrip().endswith(b"}"):
    answer += s.recv(65536)
print(answer.split(b"\r\n\r\n", 1)[1].decode().replace("\n", ""), flush=True)
sys.stdin.readline()
s.close()
print("closed", flush=True)
sys.stdin.readline()
"""


def test_the_end_of_the_connection_ends_the_credential_though_the_process_lives(orders):
    made = orders(rules=[{"name": "all", "subjects": [{"user": CONSUMER}], "roles": ["*"],
                          "limits": {"binding": ["process", "connection"]}}])
    with subprocess.Popen([*as_user(CONSUMER), "/usr/bin/python3", "-c", CONNECTION, made.daemon.socket, made.role],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment(), cwd="/") as client:
        credential = json.loads(client.stdout.readline())
        assert made.logs_in(credential)
        client.stdin.write("\n")
        client.stdin.flush()
        assert client.stdout.readline() == "closed\n"
        made.await_dead(credential, 2)
        assert client.poll() is None
        client.stdin.close()


def test_sigterm_revokes_everything_before_the_daemon_ends(orders, shell):
    made = orders()
    credentials = [shell(made.daemon).get(made.role) for _ in range(5)]
    assert len(made.lease_ids()) == 5
    assert made.daemon.stop(signal.SIGTERM) == 0
    assert made.lease_ids() == []
    assert not any(made.logs_in(c) for c in credentials)
    assert not os.path.exists(made.daemon.socket)
    assert [r["event"] for r in made.daemon.records()][-1] == "daemon.stopped"


def test_a_renewal_moves_valid_until_and_the_password_stays(orders, shell, measured):
    made = orders(issuer={"default_ttl": "6s", "max_ttl": "1h"}, min_remaining="1s")
    credential = shell(made.daemon).get(made.role)
    username = credential["credential"]["username"]
    first = made.world.postgres.valid_until(username)
    begin = time.monotonic()
    moved = until(lambda: (now := made.world.postgres.valid_until(username)) != first and now, "VALID UNTIL has moved")
    measured(f"renewed after {time.monotonic() - begin:.1f} s of 6 s: VALID UNTIL moved by {float(moved) - float(first):.1f} s")
    assert float(moved) > float(first)
    until(lambda: time.time() > float(first) + 0.5, "the first life is over", 20)
    assert made.logs_in(credential)
    assert len(made.events("lease.renewed")) >= 1


def test_max_ttl_brings_a_successor_and_the_old_password_ends(orders, shell):
    made = orders(issuer={"default_ttl": "4s", "max_ttl": "8s"}, max_ttl="8s", min_remaining="1s")
    script = shell(made.daemon)
    old = script.get(made.role)
    new = until(lambda: (now := script.get(made.role))["credential"] != old["credential"] and now, "a successor is handed out", 20, 0.1)
    assert made.logs_in(new)
    assert new["grant"] == old["grant"], "the consumer's hold is the same"
    until(lambda: not made.logs_in(old), "the old password is refused", 20, 0.1)
    assert made.logs_in(script.get(made.role))


def test_a_rotated_credential_lives_until_its_holder_has_read_the_successor(orders, shell):
    made = orders(overlap="60s")
    script = shell(made.daemon)
    old = script.get(made.role)
    code, output = script.run(f"lease rotate {old['lease']}")
    assert code == 0, output
    assert made.logs_in(old), "nobody has picked up the successor yet"
    new = script.get(made.role)
    assert new["credential"]["username"] != old["credential"]["username"]
    until(lambda: not made.logs_in(old), "the old password is refused")
    assert made.logs_in(new)


def test_a_rotated_credential_that_nobody_reads_ends_with_the_overlap(orders, shell):
    made = orders(overlap="2s")
    script = shell(made.daemon)
    old = script.get(made.role)
    begin = time.monotonic()
    assert script.run(f"lease rotate {old['lease']}")[0] == 0
    until(lambda: not made.logs_in(old), "the old password is refused")
    assert 1.5 <= time.monotonic() - begin <= 5


def test_renew_on_request_moves_the_expiry(orders, shell):
    made = orders(issuer={"default_ttl": "30s", "max_ttl": "1h"}, min_remaining="1s")
    script = shell(made.daemon)
    credential = script.get(made.role)
    username = credential["credential"]["username"]
    first = made.world.postgres.valid_until(username)
    until(lambda: int(time.time()) > int(float(first)) - 35 + 1, "a second has passed")
    code, output = script.run(f"lease renew {credential['lease']}")
    assert code == 0, output
    assert float(made.world.postgres.valid_until(username)) > float(first)


@needs_root
def test_the_daemon_runs_without_capabilities_and_cannot_get_any(orders):
    made = orders()
    with open(f"/proc/{made.daemon.process.pid}/status", encoding="utf-8") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    assert {status[key] for key in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Uid"].split()[0] != "0"
