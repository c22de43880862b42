"""leased doesn't come back: an operator ends at bao what its ledger lists."""
import json
import signal

from servers import ROOT_TOKEN, until
from test_ledger import GRANTS, get, left_in, rows_in, take, with_ledger  # noqa: F401 (a fixture)


def several(made, count):
    """Credentials of as many leases."""
    return [get(made)] + [take(made) for _ in range(count - 1)]


def kill(daemon):
    """For good, unless it is started again."""
    daemon.exit_code = -signal.SIGKILL
    daemon.stop(signal.SIGKILL)


def sweep(made, *words, **variables):
    return made.daemon.lease("leased", "ledger", "sweep", made.ledger, *words,
                             env={"BAO_ADDR": made.world.bao.address, "BAO_TOKEN": ROOT_TOKEN, **variables})


def test_what_a_dead_daemon_had_issued_is_dead_after_a_sweep(with_ledger):  # noqa: F811
    made = with_ledger()
    credentials = several(made, 4)
    kill(made.daemon)
    planned = sweep(made)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.count(f"revoke database/creds/{made.role}/") == 4
    assert all(made.logs_in(c) for c in credentials), "nothing was done yet"
    done = sweep(made, "--yes", "-o", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["ended"], told["left"]) == (4, 0)
    assert {it["lease"] for it in told["leases"]} == {c["lease"] for c in credentials}
    assert not any(made.logs_in(c) for c in credentials)
    assert made.lease_ids() == []
    assert left_in(made) == [] and rows_in(made, GRANTS) == []
    assert sweep(made, "--yes").returncode == 0, "once more does nothing"
    made.daemon.start().exit_code = 0
    assert made.logs_in(get(made)), "the ledger is as good as before"


def test_a_ledger_in_use_is_not_swept(with_ledger):  # noqa: F811
    made = with_ledger()
    credential = get(made)
    done = sweep(made, "--yes")
    assert done.returncode == 1 and "a leased has" in done.stderr
    assert made.logs_in(credential)


def test_an_issuer_that_refuses_or_is_another_confirms_nothing(with_ledger, world):  # noqa: F811
    made = with_ledger()
    credential = get(made)
    kill(made.daemon)
    world.bao.call("POST", "sys/namespaces/elsewhere")
    for variables in {"BAO_NAMESPACE": "elsewhere"}, {"BAO_TOKEN": "no-token"}, {"BAO_ADDR": "http://127.0.0.1:1"}:
        done = sweep(made, "--yes", **variables)
        assert done.returncode == 1, (variables, done.stdout, done.stderr)
        assert len(left_in(made)) == 1 and made.logs_in(credential)
    assert sweep(made, "--yes").returncode == 0
    assert made.is_dead(credential)


def test_a_database_that_is_away_keeps_the_record(with_ledger, world):  # noqa: F811
    made = with_ledger(issuer={"revocation_statements": ["SELECT 1 FROM nowhere"]})
    credential = get(made)
    kill(made.daemon)
    done = sweep(made, "--yes")
    assert done.returncode == 1 and "stays: sys/leases/revoke: failed to revoke" in done.stderr
    assert len(left_in(made)) == 1
    world.bao.database_role(made.role)
    until(lambda: sweep(made, "--yes").returncode == 0, "the second sweep works")
    assert made.is_dead(credential) and left_in(made) == []


def test_isolated_leases_go_with_the_token_that_they_were_issued_under(with_ledger, world):  # noqa: F811
    world.bao.call("PUT", "sys/policies/acl/isolated", {"policy": '''
path "auth/token/create" { capabilities = ["update"] }
path "auth/token/renew-accessor" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }
'''})
    world.bao.call("POST", "auth/approle/role/leased", {"token_policies": ["leased", "isolated"], "token_period": "1h"})
    try:
        made = with_ledger()
        credentials = several(made, 2)
        kill(made.daemon)
        dumped = made.daemon.lease("leased", "ledger", "dump", made.ledger, "-o", "json")
        accessors = [record["issuer_ref"].split("\n")[1] for record in json.loads(dumped.stdout)]
        assert set(accessors) <= set(world.bao.call("LIST", "auth/token/accessors")["data"]["keys"])
        done = sweep(made, "--yes")
        assert done.returncode == 0, done.stderr
        assert not any(made.logs_in(c) for c in credentials) and left_in(made) == []
        assert not set(accessors) & set(world.bao.call("LIST", "auth/token/accessors")["data"]["keys"])
    finally:
        world.bao.call("POST", "auth/approle/role/leased", {"token_policies": ["leased"], "token_period": "1h"})
