"""What a rule or an operator has limited stays limited when the daemon dies: nobody gets anything anew by that."""
import signal
import tempfile

import pytest
from conftest import CONSUMER, STRANGER, needs_root
from servers import give_to

pytestmark = needs_root
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
