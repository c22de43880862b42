"""Who may have what, and what others are told."""
import json
import subprocess

from conftest import CONSUMER, STRANGER, needs_root
from servers import as_user, clean_environment, ensure_user, until


@needs_root
def test_a_denied_user_gets_exit_3_one_record_and_nothing_reaches_the_issuer(orders, shell):
    made = orders()
    code, output = shell(made.daemon, STRANGER).run(f"lease get {made.role}")
    assert code == 3
    assert output.startswith(f"lease: could not get {made.role}: denied: no rule allows ")
    denied = until(lambda: made.events("grant.denied"), "it is on record")
    assert len(denied) == 1
    assert denied[0]["identity"]["user"] == STRANGER
    assert denied[0]["role"] == made.role
    assert made.world.bao.requests(made.path) == 0


@needs_root
def test_a_denied_user_is_answered_403_with_a_problem_document(orders, shell):
    made = orders()
    code, output = shell(made.daemon, STRANGER).run(
        f"curl -s -w '\\n%{{http_code}}' --unix-socket {made.daemon.socket} -H 'X-Leased-Request: 1' "
        f"http://localhost/leased/v1/credentials/{made.role}?binding=parent")
    assert code == 0
    body, status = output.rstrip().rsplit("\n", 1)
    assert status == "403"
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (403, "denied")


def test_what_is_sent_again_with_its_key_issues_nothing_again(orders, shell):
    made = orders()
    script = shell(made.daemon)

    def ask(key):
        code, output = script.run(
            f"curl --unix-socket {made.daemon.socket} -sfH 'X-Leased-Request: 1' -H 'Idempotency-Key: {key}' "
            f"""-d '{{"role": "{made.role}", "binding": "parent"}}' http://localhost/leased/v1/leases""")
        assert code == 0, output
        return json.loads(output)
    first = ask("one")
    assert ask("one") == first
    assert ask("two")["grant"] != first["grant"]
    assert made.world.bao.requests(made.path) == 2


def test_curl_gets_a_credential_that_ends_with_its_script(orders, shell):
    made = orders()
    script = shell(made.daemon)
    code, output = script.run(
        f"curl --unix-socket {made.daemon.socket} -sH 'X-Leased-Request: 1' "
        f"http://localhost/leased/v1/credentials/{made.role}?binding=parent")
    assert code == 0 and made.logs_in(json.loads(output)), output
    script.end()
    made.await_dead(json.loads(output))


def test_without_the_guard_header_nothing_is_served(orders, shell):
    made = orders()
    code, output = shell(made.daemon).run(
        f"curl -s -o /dev/null -w '%{{http_code}}' --unix-socket {made.daemon.socket} "
        f"http://localhost/leased/v1/credentials/{made.role}; echo")
    assert (code, output) == (0, "403\n")
    assert made.world.bao.requests(made.path) == 0


def test_an_unknown_role_is_exit_4(orders, shell):
    made = orders()
    code, output = shell(made.daemon).run("lease get no-such-role")
    assert code == 4
    assert "unknown_role" in output


def test_more_than_the_limit_allows_names_the_maximum(orders, shell):
    made = orders(rules=[{"name": "short", "subjects": [{"user": CONSUMER}], "roles": ["*"], "limits": {"duration": "10m"}}])
    code, output = shell(made.daemon).run(f"lease get {made.role} --for 1h")
    assert code == 3
    assert "limit_exceeded" in output and "10m" in output
    assert made.world.bao.requests(made.path) == 0


def test_a_deny_rule_wins(orders, shell):
    made = orders(rules=[
        {"name": "everybody", "subjects": [{"user": "*"}], "roles": ["*"]},
        {"name": "not-ci", "subjects": [{"user": CONSUMER}], "roles": ["*"], "effect": "deny"},
    ])
    code, output = shell(made.daemon).run(f"lease get {made.role}")
    assert code == 3
    assert "not-ci" in output


@needs_root
def test_a_caller_sees_and_ends_its_own_grants_only(orders, shell):
    made = orders()
    credential = shell(made.daemon).get(made.role)
    other = shell(made.daemon, STRANGER)
    assert other.run("lease ls -o json") == (0, "[]\n")
    assert other.run(f"lease show {credential['lease']}")[0] == 4
    assert other.run(f"lease revoke {credential['grant']}")[0] == 4
    assert made.logs_in(credential)


@needs_root
def test_an_admin_sees_and_ends_what_others_hold(orders, shell):
    rules = [{"name": "ci", "subjects": [{"user": CONSUMER}], "roles": ["*"]}]
    made = orders(config={"policies": {"rules": rules, "admins": [{"subjects": [{"user": STRANGER}]}]}})
    credential = shell(made.daemon).get(made.role)
    admin = shell(made.daemon, STRANGER)
    code, output = admin.run("lease ls -o json")
    assert code == 0
    assert [lease["id"] for lease in json.loads(output)] == [credential["lease"]]
    assert admin.run(f"lease revoke {credential['lease']}")[0] == 0
    assert made.is_dead(credential)


def test_one_credential_serves_64_concurrent_requests_of_a_cold_shared_role(orders, shell, world, measured):
    made = orders(share="role", linger="30s", rules=[{"name": "ci", "subjects": [{"user": CONSUMER}], "roles": ["*"]}])
    # The issuer takes its time, so that all of them wait for the one issue.
    world.bao.database_role(made.role, creation_statements=["SELECT pg_sleep(1)", "CREATE ROLE \"{{name}}\" LOGIN PASSWORD "
                                                            "'{{password}}' VALID UNTIL '{{expiration}}'"])
    script = shell(made.daemon)
    code, output = script.run("for i in $(seq 64); do lease get %s --bind process -o field=username | sed 's/$/\\n/' & done; wait" % made.role)
    assert code == 0
    names = output.split()
    issued = world.bao.requests(made.path)
    measured(f"64 concurrent requests: {len(names)} answers, {len(set(names))} credential, {issued} issue at bao")
    assert (len(names), len(set(names)), issued) == (64, 1, 1), output[-600:]
    assert len(made.events("lease.issued")) == 1
    assert len({r["grant"] for r in made.events("grant.created")}) == 64


def test_no_secret_stands_in_log_audit_metrics_or_answers(orders, shell):
    made = orders()
    script = shell(made.daemon)
    password = script.get(made.role)["credential"]["password"]
    with open(made.world.bao.secret_id_file, encoding="utf-8") as f:
        secret_id = f.read()
    curl = f"curl -s --unix-socket {made.daemon.socket} -H 'X-Leased-Request: 1' http://localhost"
    script.run(f"lease get {made.role} --for 999h")
    seen = [made.daemon.log_lines(), json.dumps(made.daemon.records())]
    seen += [script.run(line)[1] for line in ("lease ls -o json", "lease ls --grants -o json", "lease status -o json", f"{curl}/metrics")]
    assert "leased_leases" in seen[-1]
    for text in seen:
        assert text
        assert password not in text
        assert secret_id not in text


def test_the_environment_of_the_caller_does_not_reach_the_daemon_or_lease(orders):
    made = orders()
    env = {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9", "VAULT_ADDR": "http://127.0.0.1:9"}
    done = made.daemon.lease(CONSUMER, "exec", made.role, "--", "true", env=env)
    assert done.returncode == 0, done.stderr
    assert clean_environment().get("VAULT_ADDR") is None


def test_explain_tells_what_get_would_answer_and_why(orders):
    made = orders(rules=[{"name": "short", "subjects": [{"user": CONSUMER}], "roles": ["*"], "limits": {"duration": "10m"}},
                         {"name": "ops", "subjects": [{"user": "root"}], "roles": ["*"], "require": {"reason": "^OPS-"}}])
    allowed = made.daemon.lease(CONSUMER, "explain", made.role, "--for", "5m", "-o", "json")
    assert allowed.returncode == 0, allowed.stderr
    it = json.loads(allowed.stdout)
    assert (it["decision"], it["rule"], it["grant"]["duration"]) == ("allow", "short", 300)
    assert it["issue"]["params"]["path"] == made.path and it["backend"] == {"name": "bao", "up": True}
    assert [(r["rule"], r["verdict"], r["condition"]) for r in it["rules"]] == [
        ("short", "decides", None), ("ops", "no_match", "subjects")]
    too_long = made.daemon.lease(CONSUMER, "explain", made.role, "--for", "1h")
    assert too_long.returncode == 3 and "10m" in too_long.stdout
    refused = made.daemon.lease(CONSUMER, "get", made.role, "--for", "1h")
    assert refused.returncode == 3 and "10m" in refused.stderr
    reason = made.daemon.lease("root", "explain", made.role, "-o", "json")
    assert reason.returncode == 3 and json.loads(reason.stdout)["decision"] == "reason_required"
    assert made.daemon.lease("root", "explain", made.role, "--reason", "OPS-7").returncode == 0
    assert not made.lease_ids()


@needs_root
def test_a_user_that_the_tests_leave_behind_has_no_home_and_no_shell():
    name = "leased-e2e-user"
    try:
        user = ensure_user(name)
        assert (user.pw_dir, user.pw_shell) == ("/nonexistent", "/usr/sbin/nologin")
        assert subprocess.run([*as_user(name), "id", "-un"], capture_output=True, text=True, check=True).stdout == f"{name}\n"
    finally:
        subprocess.run(["userdel", name], check=False, capture_output=True)
