"""config/openapi.yaml is one that readers of YAML and JSON Schema take, and real answers are as it says: all of their members stand in it."""
import json
import os
import subprocess

import jsonschema
import yaml
from conftest import CONSUMER, needs_root
from servers import as_user, give_to

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

pytestmark = needs_root


def description():
    with open(f"{TREE}/config/openapi.yaml", encoding="utf-8") as f:
        return yaml.safe_load(f)


def holds(api, name, answer):
    schema = {"$ref": f"#/components/schemas/{name}", "components": api["components"]}
    mistakes = [(list(error.path), error.message) for error in jsonschema.Draft202012Validator(schema).iter_errors(answer)]
    assert not mistakes, (name, mistakes)
    unknown = set(answer) - set(api["components"]["schemas"][name]["properties"])
    assert not unknown, (name, unknown)


def test_real_answers_are_as_described(orders, world):
    policy = f"{world.folder}/openapi-policies"
    os.mkdir(policy)
    text = json.dumps({"rules": [{"name": "all", "subjects": [{"user": CONSUMER}], "roles": ["*"], "limits": {"binding": ["none"]},
                                  "require": {"reason": "^fix"}}],
                       "admins": [{"user": "root"}]})
    with open(f"{policy}/a.yaml", "w", encoding="utf-8") as f:
        f.write(text)
    give_to(policy, "leased")
    made = orders(binding="none", config={"policies": {"path": policy}})
    api = description()

    def ask(user, method, path, body=None):
        done = subprocess.run([*as_user(user), "curl", "-sS", "-X", method, "--unix-socket", made.daemon.socket, "-H", "X-Leased-Request: 1",
                               *(["-d", json.dumps(body)] if body is not None else []), f"http://localhost/leased/v1{path}"],
                              capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    files = [{"name": "a.yaml", "text": text}]
    others = [{"name": "a.yaml", "text": text.replace("^fix", "^mend")}]
    holds(api, "Problem", ask(CONSUMER, "GET", f"/credentials/{made.role}"))
    holds(api, "Credential", ask(CONSUMER, "GET", f"/credentials/{made.role}?reason=fix"))
    for name, path in (("Lease", "/leases"), ("Grant", "/grants")):
        holds(api, name, ask(CONSUMER, "GET", path)["items"][0])
    holds(api, "Explanation", ask(CONSUMER, "POST", "/policy/explain", {"role": made.role}))
    holds(api, "Explanation", ask("root", "POST", "/policy/explain", {"role": made.role, "reason": "fix", "subject": {"user": CONSUMER}}))
    block = ask("root", "POST", "/blocks", {"match": {"subject": {"user": CONSUMER}}, "block": 60})
    holds(api, "Block", block)
    holds(api, "Block", ask("root", "GET", "/blocks?limit=1")["items"][0])
    holds(api, "Problem", ask(CONSUMER, "GET", f"/credentials/{made.role}?reason=fix"))
    holds(api, "Explanation", ask(CONSUMER, "POST", "/policy/explain", {"role": made.role, "reason": "fix"}))
    holds(api, "Block", ask("root", "DELETE", f"/blocks/{block['id']}"))
    holds(api, "Policy", ask("root", "GET", "/policy"))
    holds(api, "PolicyFiles", ask("root", "GET", "/policy/export"))
    holds(api, "PolicyPlan", ask("root", "POST", "/policy/plan", {"files": files}))
    plan = ask("root", "POST", "/policy/plan", {"files": others})
    holds(api, "PolicyPlan", plan)
    holds(api, "PolicyDecision", plan["decisions"][0]["after"] if plan["decisions"] else {})
    holds(api, "Problem", ask("root", "POST", "/policy/apply", {"files": files, "digest": plan["digest"]}))
    holds(api, "Changes", ask("root", "POST", "/reload"))
    for user in (CONSUMER, "root"):
        holds(api, "Status", ask(user, "GET", "/status"))
