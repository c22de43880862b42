"""Under sockets that the service manager has made, leased is exchanged while its clients go on."""
import os
import signal
import socket
import sys

import pytest

from conftest import CONSUMER
from servers import free_port, until
from test_ledger import with_ledger  # noqa: F401 (a fixture)
from test_watch import lines  # noqa: F401 (a fixture)

CLIENT = f"{os.path.dirname(os.path.abspath(__file__))}/reading_client.py"
ROUNDS = 10
READS_PER_ROUND = 30


@pytest.fixture
def activated(with_ledger):  # noqa: F811
    """An Orders whose leased gets its sockets as systemd passes them, and the TCP one's port."""
    port = free_port()
    made = with_ledger({"more_listeners": [{"name": "tcp", "tcp": f"127.0.0.1:{port}"}]})
    assert made.daemon.stop() == 0
    unix, tcp = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET)
    unix.bind(made.daemon.socket)
    os.chmod(made.daemon.socket, 0o666)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind(("127.0.0.1", port))
    for listening in (unix, tcp):
        listening.listen(1024)
    made.daemon.passed = [("local", unix), ("tcp", tcp)]
    made.daemon.start()
    yield made, port
    assert made.daemon.stop() == 0
    unix.close()
    tcp.close()


def reads(it):
    return max((line["least"] for line in it.lines if "least" in line), default=0)


def exchange(made, port, lines, number, measured):  # noqa: F811
    """What the clients counted while leased was exchanged ROUNDS times."""
    it = lines([sys.executable, CLIENT, made.daemon.socket, str(port), made.role])
    until(lambda: reads(it) >= READS_PER_ROUND, "each client reads")
    issues, leases = made.world.bao.requests(made.path), sorted(made.lease_ids())
    for _ in range(ROUNDS):
        before = reads(it)
        made.daemon.send(number)
        code = made.daemon.process.wait(30)
        assert code == (0 if number == signal.SIGTERM else -number)
        made.daemon.start()
        until(lambda n=before: reads(it) >= n + READS_PER_ROUND, "each client reads again")
    it.process.stdin.close()
    counts = until(lambda: next((line for line in it.lines if "done" in line), None), "the clients have counted")
    errors = [line for line in it.lines if "error" in line]
    measured(f"{ROUNDS} times {signal.Signals(number).name}: {counts['reads']} reads, {counts['failed']} failed, {counts['refused']} refused, "
             f"{counts['reopened']} connections opened anew")
    assert counts["refused"] == 0, errors
    assert made.world.bao.requests(made.path) == issues, "nothing was issued"
    assert sorted(made.lease_ids()) == leases
    assert {version for _, version in counts["versions"]} == {1} and len(counts["versions"]) == len(leases), counts
    return counts, errors


def test_an_upgrade_refuses_no_connection_and_fails_no_read(activated, lines, measured):  # noqa: F811
    made, port = activated
    counts, errors = exchange(made, port, lines, signal.SIGTERM, measured)
    assert counts["failed"] == 0, errors
    assert made.daemon.stop() == 0
    verified = made.daemon.lease("leased", "audit", "verify", made.daemon.audit_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert sum(record["count"] for record in made.events("credential.read")) >= counts["reads"], "each read is on record"


def test_after_a_kill_no_connection_is_refused_and_nothing_is_minted(activated, lines, measured):  # noqa: F811
    made, port = activated
    counts, errors = exchange(made, port, lines, signal.SIGKILL, measured)
    # A request that was under way is lost with the daemon: at most one of each client, each time.
    assert counts["failed"] <= 4 * ROUNDS, errors
