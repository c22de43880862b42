"""A start doesn't find the backend of a lease that an earlier leased has left: that the credential lives without a holder is seen."""
import json

from servers import until
from test_ledger import EVERYBODY, get, kill, with_ledger  # noqa: F401 (a fixture)
from test_reload import reload

ADMINS = [{"subjects": [{"user": "root"}]}]


def status(made):
    done = made.daemon.lease("root", "status", "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def warnings(made):
    return [w for w in status(made)["warnings"] if "left in the ledger" in w]


def test_a_lease_whose_backend_was_renamed_is_seen_until_a_restart_takes_it_up(with_ledger):  # noqa: F811
    made = with_ledger({"policies": {"rules": EVERYBODY, "admins": ADMINS}})
    assert made.daemon.metric("leased_ledger_left") == 0 and warnings(made) == [] and status(made)["ledger"]["left"] == 0
    credential = get(made)
    kill(made.daemon)
    config = made.daemon.config
    before = dict(config)
    config.update(backends={"other": before["backends"]["bao"]}, roles={}, policies={"rules": [], "admins": ADMINS})
    made.daemon.start()
    assert made.logs_in(credential), "nobody has revoked it"
    assert made.daemon.metric("leased_ledger_left") == 1 and status(made)["ledger"]["left"] == 1
    (warning,) = warnings(made)
    assert warning.startswith("1 lease of backend bao left in the ledger") and "restart" in warning and "lease ledger sweep" in warning
    assert "left in the ledger" in made.daemon.lease("root", "status").stdout
    until(lambda: made.events("daemon.recovered"), "the trail has it")
    assert "1 are left in the ledger" in made.events("daemon.recovered")[-1]["reason"]

    config.update(before)
    done = reload(made.daemon, config)
    assert done.returncode == 0, done.stderr
    assert "is configured again" in warnings(made)[0], "a reload that brings it back tells that it takes a restart"
    assert "a reload doesn't take them up: restart leased" in made.daemon.log_lines()
    assert made.daemon.metric("leased_ledger_left") == 1 and made.logs_in(credential), "nothing else has changed"

    assert made.daemon.stop() == 0
    made.daemon.start()
    assert made.daemon.metric("leased_ledger_left") == 0 and warnings(made) == [] and status(made)["ledger"]["left"] == 0
    assert "0 are left in the ledger" in made.events("daemon.recovered")[-1]["reason"]
