"""Policies without a daemon: the shipped example, the pipeline's script, mistakes with their places, readers of what comes out."""
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import warnings

import jsonschema
import pytest
import yaml
from junitparser import Failure, JUnitXml
from servers import clean_environment

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLE = f"{TREE}/config/policies.example"
BUILD = os.path.abspath(os.environ.get("LEASED_BUILD", f"{TREE}/build"))

# One mistake of each kind that a policy can have although each key is known, by the line that it is on.
MISTAKES = """\
rules:
  - {name: all, subjects: [{user: "*"}], roles: [staging-db]}
  - {name: behind, subjects: [{user: anna}], roles: [staging-db]}
  - {name: no-one, subjects: [{group: dev}], roles: [staging-cache], effect: deny}
  - {name: denied, subjects: [{group: dev}], roles: [staging-cache]}
  - {name: boom, subjects: [{group: dba}], roles: [prod-db], require: {reason: "^(a+)+$", window: {hours: "08:00-12:00"}}}
  - {name: loose, subjects: [{group: dba}], roles: [prod-db], require: {ticket: "OPS-[0-9]+", window: {hours: "11:00-13:00"}}}
  - {name: past, subjects: [{group: old}], roles: [prod-db], require: {window: {dates: ["2020-01-01"]}}}
"""
FOUND = [(2, "warning", "everybody on this machine"), (3, "error", "never reached: rule all"), (5, "error", "rule no-one"),
         (6, "error", "exponential time"), (7, "warning", "isn't anchored"), (7, "warning", "overlaps that of rule boom"),
         (8, "error", "never opens")]


def lease(*words, cwd="/", **environment):
    return subprocess.run([f"{BUILD}/lease", *words], capture_output=True, text=True, check=False, timeout=60, cwd=cwd,
                          env=clean_environment(**environment))


class Loader(yaml.SafeLoader):
    """Times stay texts, as they are for leased."""


Loader.yaml_implicit_resolvers = {first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
                                  for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def load(path):
    with open(path, encoding="utf-8") as f:
        return yaml.load(f, Loader)


@pytest.fixture
def policy(tmp_path):
    return shutil.copytree(EXAMPLE, tmp_path / "policies")


def test_the_example_has_no_mistake_and_its_tests_pass_and_cover_it():
    done = lease("policy", "check", EXAMPLE, "--config", f"{EXAMPLE}/roles.json", "--strict")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    done = lease("policy", "test", EXAMPLE, "--config", f"{EXAMPLE}/roles.json", "--coverage-min", "100")
    assert done.returncode == 0, done.stdout
    assert " 0 failed" in done.stdout


def test_mistakes_that_compile_are_found_with_their_places(policy):
    (policy / "rules.yaml").write_text(MISTAKES, encoding="utf-8")
    for other in ("production.yaml", "rules_test.yaml"):
        (policy / other).unlink()
    done = lease("policy", "check", str(policy), "--config", str(policy / "roles.json"), "-o", "json")
    assert done.returncode == 1
    findings = json.loads(done.stdout)["findings"]
    for line, level, text in FOUND:
        assert any(f["line"] == line and f["level"] == level and text in f["message"] and f["column"] > 1 for f in findings), (line, text, findings)
    assert not [f for f in findings if (f["line"], f["level"]) not in {(line, level) for line, level, _ in FOUND}], findings


@pytest.mark.parametrize("old, new, place, guess", [
    ("roles: [\"staging-*\"]", "role: [\"staging-*\"]", "rules.yaml:11:5", "`roles`"),
    ("roles: [staging-db]", "roles: [stagin-db]", "rules.yaml:19:13", "`staging-db`"),
    ("issuer: gitlab", "issuer: gitlb", "rules.yaml:18:23", "`gitlab`"),
    ("[{group: dev}, ", "[{grup: dev}, ", "rules.yaml:10:17", "`group`"),
    ("duration: 8h", "duration: 8 hours", "rules.yaml:12:24", "8 hours"),
    ("effect: deny", "effect: denied", "rules.yaml:7:13", "denied"),
    ("subjects: [{group: interns}]", "subjects: [{group: interns}", "rules.yaml:6", ""),
])
def test_a_typo_is_told_with_its_place_and_what_was_meant(policy, old, new, place, guess):
    text = (policy / "rules.yaml").read_text(encoding="utf-8")
    assert text.count(old) >= 1
    (policy / "rules.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    done = lease("policy", "check", "policies", "--config", "policies/roles.json", cwd=policy.parent)
    assert done.returncode == 1
    assert any(line.startswith(f"policies/{place}") and guess in line for line in done.stdout.splitlines()), done.stdout


def test_a_failure_has_its_place_both_values_and_what_each_rule_says(policy):
    text = (policy / "rules_test.yaml").read_text(encoding="utf-8")
    (policy / "rules_test.yaml").write_text(text.replace("rule: prod-dba, duration: 1h", "rule: prod-dba, duration: 2h"), encoding="utf-8")
    done = lease("policy", "test", "policies", "--config", "policies/roles.json", "--junit", "junit.xml", cwd=policy.parent)
    assert done.returncode == 1
    assert "FAIL  policies/rules_test.yaml:" in done.stdout
    assert "expected duration 2h, got 1h" in done.stdout
    assert "rule prod-dba" in done.stdout
    report = JUnitXml.fromfile(str(policy.parent / "junit.xml"))
    suites = list(report)
    assert (report.tests, report.failures) == (21, 1)
    assert [suite.name for suite in suites] == ["policies/rules_test.yaml"]
    failed = [case for case in suites[0] if case.result]
    assert [isinstance(case.result[0], Failure) for case in failed] == [True]
    assert failed[0].result[0].message == "expected duration 2h, got 1h"


@pytest.fixture(scope="module")
def schemas():
    loaded = {}
    for kind, options in (("policy", []), ("tests", ["--tests"])):
        loaded[kind] = jsonschema.Draft202012Validator(json.loads(lease("policy", "schema", *options).stdout))
        loaded[kind].check_schema(loaded[kind].schema)
    return loaded


def test_a_real_validator_takes_the_example(schemas):
    for name in ("rules.yaml", "production.yaml"):
        schemas["policy"].validate(load(f"{EXAMPLE}/{name}"))
    schemas["tests"].validate(load(f"{EXAMPLE}/rules_test.yaml"))


@pytest.mark.parametrize("text", [
    "testss: []",
    "tests: [{name: a, expect: {decision: maybe}}]",
    "tests: [{expect: {decision: allow}}]",
    "tests: [{name: a, subject: {usr: a}, expect: {decision: allow}}]",
    "tests: [{name: a, request: {live: many}, expect: {decision: allow}}]",
    "tables: [{name: t, roles: [], expect: {}}]",
])
def test_what_the_schema_refuses_in_tests_check_refuses_too(schemas, policy, text):
    assert not schemas["tests"].is_valid(yaml.load(text, Loader))
    (policy / "rules_test.yaml").write_text(text, encoding="utf-8")
    done = lease("policy", "check", str(policy), "--config", str(policy / "roles.json"))
    assert done.returncode == 1
    assert "rules_test.yaml:1:" in done.stdout


def test_drift_is_told_of_the_trail_s_last_time_only(policy):
    record = {"v": 1, "seq": 1, "time": "2020-01-01T00:00:00.000Z", "event": "grant.created", "identity": {"uid": 1, "user": "anna"},
              "role": "staging-db", "policy": {"rule": "dev-staging"}}
    (policy.parent / "audit.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    words = ["policy", "diff", "policies", "--config", "policies/roles.json", "--audit", "audit.jsonl"]
    assert "rule dev-staging was" not in lease(*words, cwd=policy.parent).stdout
    assert "rule dev-staging was not used" in lease(*words, "--since", "24h", cwd=policy.parent).stdout


def test_the_pipeline_s_script_verifies(policy):
    def verify():
        return subprocess.run([f"{TREE}/config/ci/policy.sh", "verify"], cwd=policy.parent, capture_output=True, text=True, check=False, timeout=60,
                              env=clean_environment(PATH=f"{BUILD}:{os.environ['PATH']}"))
    done = verify()
    assert done.returncode == 0, done.stdout + done.stderr
    assert JUnitXml.fromfile(str(policy.parent / "policy-out/junit.xml")).tests == 21
    (policy / "rules_test.yaml").unlink()
    done = verify()
    assert done.returncode == 1
    assert "less than 80 %" in done.stdout


def test_the_pipelines_of_the_ci_systems_call_that_script():
    for name in ("policy.gitlab-ci.yml", "policy.github-workflow.yml"):
        text = json.dumps(load(f"{TREE}/config/ci/{name}"))
        for step in ("verify", "plan", "apply"):
            assert f"./policy.sh {step}" in text, name


def expression(chance, depth):
    """A random regular expression over a few letters."""
    kind = chance.random()
    if depth == 0 or kind < 0.25:
        return chance.choice(["a", "b", "[ab]", "c"])
    if kind < 0.5:
        return expression(chance, depth - 1) + expression(chance, depth - 1)
    if kind < 0.7:
        return f"(?:{expression(chance, depth - 1)}|{expression(chance, depth - 1)})"
    return f"(?:{expression(chance, depth - 1)})" + chance.choice(["*", "+", "?", "{1,2}", "*", "+"])


class TooLong(Exception):
    pass


def takes_long(pattern):
    """Does a real backtracking matcher need more than a second of the processor for one of many short texts?"""
    def stop(*_):
        raise TooLong
    before = signal.signal(signal.SIGVTALRM, stop)
    compiled = re.compile(pattern)
    try:
        for word in ("".join(letters) for count in (1, 2, 3) for letters in itertools.product("abc", repeat=count)):
            signal.setitimer(signal.ITIMER_VIRTUAL, 1)
            compiled.match(word * (36 // len(word)) + "!")
    except TooLong:
        return True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return False


def test_no_random_expression_that_explodes_is_let_through(tmp_path):
    chance = random.Random(8)
    patterns = list(dict.fromkeys(f"^{expression(chance, 4)}$" for _ in range(600)))
    rules = [{"name": f"r{i}", "subjects": [{"user": f"u{i}"}], "roles": ["r"], "require": {"reason": pattern}} for i, pattern in enumerate(patterns)]
    # A rule a line, so that its line tells which it is.
    (tmp_path / "rules.yaml").write_text('{"rules": [\n' + ",\n".join(json.dumps(rule) for rule in rules) + "\n]}\n", encoding="utf-8")
    findings = json.loads(lease("policy", "check", str(tmp_path), "-o", "json").stdout)["findings"]
    explode = {patterns[f["line"] - 2] for f in findings if "exponential time: what" in f["message"]}
    assert 50 < len(explode) < len(patterns) - 50
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not [pattern for pattern in patterns if pattern not in explode and takes_long(pattern)]
