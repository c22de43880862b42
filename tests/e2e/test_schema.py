"""`leased --schema`: a real validator agrees with leased about what is a configuration."""
import copy
import json
import os
import subprocess

import jsonschema
import pytest
import yaml
from conftest import CONSUMER
from servers import clean_environment

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# One of each object that the configuration knows, with all containers in it.
WHOLE = {
    "listeners": [{"unix": "/run/leased/leased.sock"}],
    "backends": {"v": {"plugin": "vault", "address": "https://v", "auth": {"method": "token", "token_env": "T"}, "limits": {}}},
    "roles": {"r": {"backend": "v", "path": "a/b", "budget": {}}},
    "policies": {
        "rules": [{"subjects": [{"user": "bob"}], "roles": ["r"], "limits": {}, "require": {}}],
        "admins": [{"subjects": [{"user": "root"}]}],
    },
    "audit": [{"sink": "stdout"}],
    "plugins": {},
    "limits": {},
    "log": {},
}


@pytest.fixture(scope="module")
def schema(world):
    def load(option):
        done = subprocess.run([world.program("leased"), option], capture_output=True, text=True, check=True, env=clean_environment(), cwd="/")
        it = json.loads(done.stdout)
        jsonschema.Draft202012Validator.check_schema(it)
        return it
    return {"config": load("--schema"), "policy": load("--schema=policy")}


def is_valid(schema, instance):
    return jsonschema.Draft202012Validator(schema).is_valid(instance)


def check(world, tmp_path, config):
    """What leased itself says of a configuration."""
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    return subprocess.run([world.program("leased"), "--check", "--config", str(path)], capture_output=True, text=True, check=False,
                          env=clean_environment(), cwd="/", timeout=30)


def objects_of(schema, instance, path=()):
    """(path, schema) of each object of the instance that has a schema of its own."""
    if "anyOf" in schema:
        schema = next((one for one in schema["anyOf"] if is_valid(one, instance)), {})
    if isinstance(instance, dict):
        if "properties" in schema:
            yield path, schema
        for key, value in instance.items():
            below = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if isinstance(below, dict):
                yield from objects_of(below, value, (*path, key))
    elif isinstance(instance, list) and isinstance(schema.get("items"), dict):
        for i, value in enumerate(instance):
            yield from objects_of(schema["items"], value, (*path, i))


def put(at, key, value):
    at[key] = value


def changed(path, change):
    config = copy.deepcopy(WHOLE)
    at = config
    for step in path:
        at = at[step]
    change(at)
    return config


def test_the_shipped_example_is_valid(schema):
    with open(f"{TREE}/config/leased.yaml", encoding="utf-8") as f:
        jsonschema.validate(yaml.safe_load(f), schema["config"], jsonschema.Draft202012Validator)


def test_the_demo_s_configuration_is_valid(schema, world):
    daemon = world.daemon({"orders-db": {"backend": "bao", "path": "database/creds/orders", "ttl": 20, "renew_at": "50%"}},
                          [{"name": "consumers", "subjects": [{"user": CONSUMER}], "roles": ["*"], "limits": {"duration": "10m"}}])
    jsonschema.validate(daemon.config, schema["config"], jsonschema.Draft202012Validator)


def test_a_policy_file_is_valid_against_its_own_schema(schema):
    assert is_valid(schema["policy"], WHOLE["policies"])
    assert is_valid(schema["policy"], {"admins": [{"user": "root"}]})
    assert not is_valid(schema["policy"], {"ruls": []})


def test_each_key_misspelt_is_invalid_for_the_schema_and_for_leased(schema, world, tmp_path):
    seen = set()
    assert is_valid(schema["config"], WHOLE)
    for path, table in objects_of(schema["config"], WHOLE):
        if table.get("additionalProperties", True) is not False:
            continue  # shared with a plugin, which checks its own
        for key in table["properties"]:
            config = changed(path, lambda at, key=key: at.update({key + "x": at.pop(key, 1)}))
            assert not is_valid(schema["config"], config), (path, key)
            seen.add((table["properties"].keys().__str__(), key))
    assert len(seen) > 50
    config = changed(("limits",), lambda at: at.update({"clientsx": 1}))
    assert "did you mean" in check(world, tmp_path, config).stderr


def test_each_key_of_a_wrong_type_is_invalid(schema):
    count = 0
    for path, table in objects_of(schema["config"], WHOLE):
        for key in table["properties"]:
            config = changed(path, lambda at, key=key: at.update({key: [[]]}))
            assert not is_valid(schema["config"], config), (path, key)
            count += 1
    assert count > 80


# What leased takes, the schema takes; what the schema refuses, leased refuses.
VALUES = [
    (("limits",), "stop_timeout", ["90s", "15m", "1h", "1s500ms", "1500ms", "0030s", 30, "30"],
     ["soon", "-3s", "1m1h", "s", 0, 99999, "500ms", "0s", "61m", "2h", "3601", "1h30"]),
    (("limits",), "request_body", ["64KiB", "1MiB", 2048, "100kB"], ["64 KiB", "1XiB", 1, 99999999, "1023B", "2MiB", "1GiB"]),
    (("limits",), "clients", [1, 16000, "10", "007"], [0, 16001, "many", True, "0", "16001", "1e2", -1]),
    (("roles", "r"), "renew_at", ["10%", "90%"], ["half", 50, "99%", "9%", "100%"]),
    (("roles", "r", "budget"), "issue", ["10/m", "1/s", "5/d"], ["10", "ten/m", "10/y", "0/s"]),
    (("roles", "r", "budget"), "live", ["3", 3], ["0", "three"]),
    (("roles",), "r", [], [None, [], "r", {"path": "a/b"}]),
    (("backends",), "v", [], [None, {}, {"plugin": "vault", "auth": {"method": "token", "token_env": "T"}}]),
    (("backends", "v"), "address", ["https://v", ["https://v", "unix:///a"], "http://127.0.0.1:1"], [[], None, "v", "http://v"]),
    (("backends", "v"), "cert_file", [], ["/c", "c"]),
    (("roles", "r"), "share", ["none", "role"], ["everybody"]),
    (("roles", "r"), "attributes", [{"host": "h", "port": 5432, "tls": True}, {}], [["h"], "h"]),
    (("listeners", 0), "mode", ["0600", "0660", "660", "00660", 660], ["rw", "99", "1600", "0400", "0888", 1600, 0]),
    (("listeners", 0), "name", ["a", 123, "l-1", True], ["A", "", 1.5, -1, []]),
    (("listeners", 0), "unix", ["/a"], ["a", "", "/" + "x" * 107, 5, None]),
    (("listeners", 0), "tcp", [], ["127.0.0.1:1"]),
    (("listeners",), 0, [{"tcp": "127.0.0.1:9911"}, {"tcp": "[::1]:80"}, {"tcp": "localhost:0"}],
     [None, {}, {"tcp": "127.0.0.1"}, {"tcp": "127.0.0.1:x"}, {"tcp": "127.0.0.1:1", "mode": "0660"}, {"tcp": "127.0.0.1:1", "user": "a"},
      {"unix": "/a", "tls": {"cert_file": "/c", "key_file": "/k", "client_ca_file": "/a"}},
      {"tcp": "0.0.0.0:1", "tls": {"cert_file": "c", "key_file": "/k", "client_ca_file": "/a"}}]),
    ((), "listeners", [], [[], None, {}, [None]]),
    ((), "audit", [], [[], None, [None], [{"sink": "file"}], [{"sink": "stdout", "path": "/a"}], [{"sink": "file", "path": "a"}], [{}],
                      [{"sink": "stdout", "colour": 1}], [{"sink": "file", "path": "/a", "colour": 1}]]),
    ((), "policies", [None, {}], [{"path": "/nonexistent", "rules": []}, {"path": "/nonexistent", "admins": []}, []]),
    (("policies", "rules", 0), "subjects", [[{"uid": "5"}], [{"uid": 5}], [{"user": 5}], [{"user": "a", "unit": "b"}]],
     [[], None, [{}], [None], [{"uid": "x"}], [{"unit": "a"}], [{"container": "c", "listener": "l"}],
      [{"tls": {"san": "a"}, "user": "b"}], [{"tls": {}}]]),
    (("policies", "rules", 0), "roles", ["r", ["r", "*"]], [[], None]),
    (("policies", "rules", 0), "name", ["a"], ["A b"]),
    (("policies", "rules", 0), "require", [{}, {"reason": "x"}], [None, [], {"reason": ""}]),
    (("policies", "rules", 0), "limits", [None, {}], [[], {"live": 0}]),
    (("policies", "rules", 0, "limits"), "binding", ["process", ["none", "session", "unit", "pid:*", "pid:7", "comm:Runner.*"], []],
     ["proces", "pid:", "pid:0", "comm:", ["units"], 5]),
    (("policies", "rules", 0, "limits"), "live", ["3"], ["0"]),
    (("policies", "rules", 0, "limits"), "issue", ["20/h"], ["20", "0/h", 20]),
    (("policies", "rules", 0, "limits"), "min_remaining", ["5m", 60], ["soon", [], 0]),
    (("policies", "rules", 0), "subjects", [[{"uid": "1000-1999"}], [{"gid": 0}], [{"user": "a", "image": "b"}]],
     [[{"uid": "1-a"}], [{"gid": "-5"}], [{"image": "b"}]]),
    (("policies", "rules", 0), "mode", ["observe", "active"], ["observed", 1]),
    (("policies", "rules", 0), "break_glass", [False], ["maybe", 1]),
    (("policies", "rules", 0, "require"), "ticket", ["^OPS-"], ["", []]),
    (("policies", "rules", 0, "require"), "approval", [{"from": [{"group": "dba"}], "count": 2, "use_within": "1m"}],
     [{}, None, {"from": []}, {"from": [{"group": "dba"}], "count": 0}, {"from": [{"usr": "a"}]}]),
    (("policies", "rules", 0, "require"), "window", [{"days": ["mon-fri"], "hours": "08:00-19:00"}, {"dates": ["2026-12-24/2027-01-02"]}],
     [None, {"days": ["monday"]}, {"hours": "8-19"}, {"day": "mon"}]),
    (("policies",), "persons", [{"alice": [{"user": "alice"}]}, {"bob": {"user": "bob"}}, {}], [[], {"alice": "a"}, {"alice": [{"usr": "a"}]}]),
    (("policies",), "mode", ["observe"], ["off"]),
    (("policies", "admins", 0), "subjects", [[{"group": "wheel"}]], [[], [{}], [None]]),
    (("policies",), "admins", [[{"user": "root"}], []], [[None], [{}], ["root"]]),
    (("listeners", 0), "serve", ["native", ["native", "vault", "metrics"]], ["nativ", ["vaults"], []]),
    (("listeners", 0), "peers", ["local", "foreign"], ["container", 0]),
    (("listeners", 0), "tls", [], [{}, {"cert_file": "/c"}]),
    (("log",), "level", ["debug"], ["loud", 3]),
    (("audit", 0), "required", [True, False], ["yes", 1]),
]


@pytest.mark.parametrize("path, key, good, bad", VALUES, ids=[".".join(map(str, (*v[0], v[1]))) for v in VALUES])
def test_schema_and_leased_agree_about_values(schema, world, tmp_path, path, key, good, bad):
    for value in good:
        config = changed(path, lambda at, value=value: put(at, key, value))
        assert is_valid(schema["config"], config), value
        assert check(world, tmp_path, config).returncode == 0, value
    for value in bad:
        config = changed(path, lambda at, value=value: put(at, key, value))
        assert not is_valid(schema["config"], config), value
        assert check(world, tmp_path, config).returncode == 78, value


@pytest.mark.parametrize("path, change", [
    (("roles", "r"), {"max_tll": "1h"}), (("roles", "r"), {"path": None}), (("backends", "v"), {"namspace": "a"}),
    (("backends", "v"), {"auth": {"method": "tokn"}}), (("backends", "v"), {"auth": None}),
    (("roles", "r"), {"backend": "w"}), (("roles", "r"), {"ttl": "2h", "max_ttl": "1h"}), (("limits",), {"stop_timeout": "59m61s"}),
    (("policies", "rules", 0), {"roles": "nobody"})])
def test_what_only_leased_can_tell(schema, world, tmp_path, path, change):
    """The plugin's own keys, names that must exist, and sums."""
    config = changed(path, lambda at: at.update(change))
    assert check(world, tmp_path, config).returncode == 78
    assert is_valid(schema["config"], config), "then it belongs among the values above"


def test_the_schema_says_which_keys_it_does_not_know(schema):
    for key in ("roles", "backends"):
        assert "leased --check" in schema["config"]["properties"][key]["additionalProperties"]["description"]
