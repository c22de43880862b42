"""What a rule or an operator has limited stays limited when the daemon dies: nobody gets anything anew by that."""
import contextlib
import datetime
import json
import os
import signal
import sqlite3
import struct
import subprocess
import tempfile

import pytest
from conftest import CONSUMER, STRANGER, needs_root
from servers import give_to

pytestmark = needs_root
BLOCK = 7  # the kind of its record
RULES = [{"name": "few", "subjects": [{"user": "*"}], "roles": ["*"], "limits": {"issue": "2/h", "binding": ["none"]}}]


@pytest.fixture
def limited(orders, world):
    """limited(): an Orders with a ledger, a rule that gives each caller two grants an hour, and root as admin."""
    def maker():
        folder = tempfile.mkdtemp(prefix="ledger-", dir=world.folder)
        give_to(folder, "leased")
        made = orders(binding="none", linger="0s", config={"state": {"ledger": {"sqlite": f"{folder}/ledger.db"}},
                                                           "policies": {"rules": RULES, "admins": [{"subjects": [{"user": "root"}]}]}})
        made.ledger = f"{folder}/ledger.db"
        return made
    return maker


def kill(made):
    made.daemon.process.send_signal(signal.SIGKILL)
    made.daemon.process.wait()


def get(made, user=CONSUMER):
    return made.daemon.lease(user, "get", made.role, "-o", "json", "--bind", "none")


def use_one(made):
    assert get(made).returncode == 0
    for grant in made.events("grant.created"):
        made.daemon.lease(CONSUMER, "revoke", grant["grant"])


def test_who_has_used_up_a_rules_grants_gets_no_more_by_a_kill(limited):
    made = limited()
    use_one(made)
    kill(made)
    made.daemon.start()
    use_one(made)
    kill(made)
    made.daemon.start()
    refused = get(made)
    assert refused.returncode != 0 and "2 new grants in 1h (limits.issue)" in refused.stderr, refused.stderr
    assert get(made, STRANGER).returncode == 0, "his own are there"


def damage_block(made):
    with contextlib.closing(sqlite3.connect(made.ledger)) as db, db:
        (block,), = db.execute("SELECT id FROM record WHERE kind = ?", (BLOCK,)).fetchall()
        db.execute("UPDATE record SET body = x'00' WHERE kind = ?", (BLOCK,))
    return block


def test_a_damaged_block_refuses_everybody_until_an_admin_ends_it(limited):
    made = limited()
    held = json.loads(get(made).stdout)
    assert made.daemon.lease("root", "block", "1h", "--subject", f"user={STRANGER}").returncode == 0
    kill(made)
    block = damage_block(made)
    checked = made.daemon.lease("leased", "ledger", "check", made.ledger)
    assert checked.returncode == 1 and f"the record of {block} can't be read" in checked.stderr, checked.stderr
    made.daemon.start()
    for user in (CONSUMER, STRANGER):
        refused = get(made, user)
        assert refused.returncode == 3 and f"block {block} can't be read" in refused.stderr, refused.stderr
    assert made.logs_in(held), "what lives goes on"
    status = made.daemon.lease("root", "status").stdout
    assert "degraded" in status and f"block {block} can't be read" in status
    assert block in made.daemon.lease("root", "blocks").stdout
    assert made.daemon.lease("root", "unblock", block).returncode == 0
    assert json.loads(get(made).stdout)["lease"] == held["lease"]
    assert made.daemon.stop() == 0
    made.daemon.start()
    assert get(made, STRANGER).returncode == 0


@pytest.fixture(scope="module")
def moved_clock(world):
    """moved_clock(): the variables for a daemon whose wall clock can be set, and a function that sets it, in seconds from the machine's."""
    library = f"{world.folder}/moved_clock.so"
    subprocess.run(["cc", "-O1", "-fPIC", "-shared", "-o", library, f"{os.path.dirname(__file__)}/moved_clock.c"], check=True)

    def maker():
        with tempfile.NamedTemporaryFile(prefix="clock-", dir=world.folder, delete=False) as f:
            f.write(struct.pack("q", 0))
        os.chmod(f.name, 0o644)

        def set_clock(seconds):
            with open(f.name, "r+b") as clock:
                clock.write(struct.pack("q", seconds))
        return {"LD_PRELOAD": library, "MOVED_CLOCK": f.name}, set_clock
    return maker


def in_window(limited, moved_clock, hours=2):
    """An Orders whose clock can be set, with a window from an hour ago to `hours` hours on, by UTC."""
    made = limited()
    variables, set_clock = moved_clock()
    now = datetime.datetime.now(datetime.timezone.utc)
    begin, end = (now + datetime.timedelta(hours=h) for h in (-1, hours))
    made.daemon.stop()
    made.daemon.environment = variables
    made.daemon.config["policies"]["rules"] = [{**RULES[0], "require": {"window": {"hours": f"{begin:%H:%M}-{end:%H:%M}", "zone": "UTC"}}}]
    made.daemon.start()
    return made, set_clock


def test_a_clock_that_is_put_over_the_windows_end_ends_what_was_given_in_it(limited, moved_clock):
    made, set_clock = in_window(limited, moved_clock)
    held = json.loads(get(made).stdout)
    set_clock(-3600)
    assert json.loads(get(made).stdout)["grant"] == held["grant"] and made.logs_in(held)
    set_clock(2 * 3600 + 60)
    made.await_dead(held)
    assert [(r["grant"], r["outcome"]) for r in made.events("grant.ended")] == [(held["grant"], "duration")]
    refused = get(made)
    assert refused.returncode == 3 and "window" in refused.stderr, refused.stderr


def test_a_window_that_has_closed_while_no_daemon_was_there_ends_at_the_start(limited, moved_clock):
    made, set_clock = in_window(limited, moved_clock)
    held = json.loads(get(made).stdout)
    kill(made)
    set_clock(2 * 3600 + 60)
    assert made.logs_in(held), "nobody has ended it yet"
    made.daemon.start()
    made.await_dead(held)
