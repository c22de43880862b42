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
    (("limits",), "stop_timeout", ["90s", "15m", "1h", "1s500ms", 30, "30"], ["soon", "5", "-3s", "1m1h", "s", 0, 99999]),
    (("limits",), "request_body", ["64KiB", "1MiB", 2048, "100kB"], ["64 KiB", "1XiB", 1, 99999999]),
    (("limits",), "clients", [1, 16000], [0, 16001, "many", True]),
    (("roles", "r"), "renew_at", ["10%", "90%"], ["half", 50]),
    (("roles", "r", "budget"), "issue", ["10/m", "1/s", "5/d"], ["10", "ten/m", "10/y"]),
    (("roles", "r"), "share", ["none", "role"], ["everybody"]),
    (("roles", "r"), "attributes", [{"host": "h", "port": 5432, "tls": True}, {}], [["h"], "h"]),
    (("listeners", 0), "mode", ["0600", "0660"], ["rw", "99"]),
    (("listeners", 0), "serve", ["native", ["native", "metrics"]], ["nativ", ["vault"], []]),
    (("listeners", 0), "tls", [], [{}, {"cert_file": "/c"}]),
    (("log",), "level", ["debug"], ["loud", 3]),
    (("audit", 0), "required", [True, False], ["yes", 1]),
]


@pytest.mark.parametrize("path, key, good, bad", VALUES, ids=[v[1] for v in VALUES])
def test_schema_and_leased_agree_about_values(schema, world, tmp_path, path, key, good, bad):
    for value in good:
        config = changed(path, lambda at, value=value: at.update({key: value}))
        assert is_valid(schema["config"], config), value
        assert check(world, tmp_path, config).returncode == 0, value
    for value in bad:
        config = changed(path, lambda at, value=value: at.update({key: value}))
        if not is_valid(schema["config"], config):
            assert check(world, tmp_path, config).returncode == 78, value


@pytest.mark.parametrize("path, key, value", [
    (("limits",), "clients", 16001), (("limits",), "stop_timeout", "soon"), (("roles", "r"), "share", "everybody"),
    (("roles", "r", "budget"), "issue", "10"), (("listeners", 0), "serve", ["nativ"])])
def test_a_wrong_value_is_invalid_for_both(schema, world, tmp_path, path, key, value):
    config = changed(path, lambda at: at.update({key: value}))
    assert not is_valid(schema["config"], config)
    assert check(world, tmp_path, config).returncode == 78
