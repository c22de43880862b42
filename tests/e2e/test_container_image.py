"""What a container was made from decides: by a file that its runtime leaves, for processes in its cgroup."""
import json
import os
import subprocess

import pytest
from cgroups import Cgroup, mount
from conftest import CONSUMER
from servers import clean_environment, give_to, until

pytestmark = pytest.mark.skipif(mount() is None, reason="needs root and cgroup v2")
ANNOTATION = "io.kubernetes.cri.image-name"
RULE = {"name": "shop", "subjects": [{"user": CONSUMER, "image": "ghcr.io/acme/*"}], "roles": ["*"], "limits": {"binding": ["none"]}}


class Container:
    """A cgroup as a runtime makes it, and the runtime's file."""

    def __init__(self, folder, number):
        self.id = f"{number:064x}"
        self.cgroup = Cgroup(f"docker-{self.id}.scope", mount(), is_exact=True)
        self.folder, self.file = f"{folder}/{self.id}", f"{folder}/{self.id}/config.json"
        os.mkdir(self.folder, 0o755)

    def is_made_from(self, image, path=None):
        with open(path or self.file, "w", encoding="utf-8") as f:
            json.dump({"ociVersion": "1.0.2", "annotations": {ANNOTATION: image}}, f)
        os.chmod(path or self.file, 0o644)

    def get(self, made):
        return self.lease(made, "get", made.role, "--bind", "none", "-o", "json")

    def lease(self, made, *words):
        command = [*self.cgroup.enter(), *made.daemon.command(CONSUMER, *words)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=60, env=clean_environment())


@pytest.fixture
def runtime(world, request):
    """runtime(number): a Container below runtime.folder; ends with the test."""
    made = []

    def maker():
        made.append(Container(maker.folder, abs(hash(request.node.nodeid)) * 16 + len(made)))
        return made[-1]

    maker.folder = f"{world.folder}/runtime-{abs(hash(request.node.nodeid)) % 10**8}"
    os.mkdir(maker.folder, 0o755)
    yield maker
    for container in made:
        container.cgroup.remove()


def config(runtime):
    return {"containers": [{"file": f"{runtime.folder}/${{container}}/config.json", "image": f"/annotations/{ANNOTATION}"}]}


def test_only_containers_of_the_image_get_it(orders, runtime):
    made = orders(rules=[RULE], config=config(runtime))
    good, other, nameless, linked, open_to_all = (runtime() for _ in range(5))
    good.is_made_from("ghcr.io/acme/shop:1")
    other.is_made_from("docker.io/evil/shop:1")
    linked.is_made_from("ghcr.io/acme/shop:1", f"{linked.folder}/elsewhere.json")
    os.symlink("elsewhere.json", linked.file)
    open_to_all.is_made_from("ghcr.io/acme/shop:1")
    give_to(open_to_all.file, CONSUMER)
    done = good.get(made)
    assert done.returncode == 0, done.stderr
    assert made.logs_in(json.loads(done.stdout))
    for container in (other, nameless, linked, open_to_all):
        done = container.get(made)
        assert done.returncode == 3, done.stderr
    assert made.daemon.lease(CONSUMER, "get", made.role).returncode == 3, "outside of any container there is no image"
    # The trail says what each was made from, where that is known.
    denied = [r["identity"] for r in made.daemon.records() if r["event"] == "grant.denied" and "container" in r["identity"]]
    assert {r["container"]: r.get("image") for r in denied} == {other.id: "docker.io/evil/shop:1", nameless.id: None, linked.id: None,
                                                               open_to_all.id: None}
    held = next(r["identity"] for r in made.daemon.records() if r["event"] == "grant.created")
    assert (held["container"], held["image"]) == (good.id, "ghcr.io/acme/shop:1")
    # A plan that is made from it knows, too.
    folder = f"{made.daemon.folder}/plan"
    for name, rules in (("before", [RULE]), ("after", [dict(RULE, name="none", subjects=[{"user": "nobody"}])])):
        os.makedirs(f"{folder}/{name}")
        with open(f"{folder}/{name}/rules.yaml", "w", encoding="utf-8") as f:
            json.dump({"rules": rules}, f)
    with open(f"{folder}/audit.jsonl", "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r) + "\n" for r in made.daemon.records())
    planned = made.daemon.lease("root", "policy", "plan", f"{folder}/after", "--base", f"{folder}/before", "--audit", f"{folder}/audit.jsonl",
                                "--config", made.daemon.config_path)
    assert planned.returncode == 2, planned.stdout + planned.stderr
    assert "allow by shop" in planned.stdout
    # What wasn't known is asked again after a while.
    nameless.is_made_from("ghcr.io/acme/shop:2")
    until(lambda: nameless.get(made).returncode == 0, "its image is known", 20, 0.5)


def test_the_image_stays_with_the_grant_over_kill_9(orders, runtime):
    made = orders(rules=[RULE], config=config(runtime))
    made.daemon.config["state"] = {"ledger": {"sqlite": f"{made.daemon.folder}/ledger.db"}}
    made.daemon.config["policies"]["admins"] = [{"user": "root"}, {"user": CONSUMER, "image": "ghcr.io/*"}]
    assert made.daemon.stop() == 0
    made.daemon.start()
    container = runtime()
    container.is_made_from("ghcr.io/acme/shop:1")
    held = json.loads(container.get(made).stdout)
    done = container.lease(made, "reload")
    assert done.returncode == 0, done.stderr
    reloaded = until(lambda: [r["identity"] for r in made.daemon.records() if r["event"] == "config.reloaded"], "it is on record")[0]
    assert (reloaded["user"], reloaded["container"], reloaded["image"]) == (CONSUMER, container.id, "ghcr.io/acme/shop:1")
    os.unlink(container.file)
    made.daemon.process.kill()
    made.daemon.process.wait()
    made.daemon.start()
    done = subprocess.run(["curl", "-sS", "-H", "X-Leased-Request: 1", "--unix-socket", made.daemon.socket,
                           "http://localhost/leased/v1/grants"], capture_output=True, text=True, check=True)
    grant = next(it for it in json.loads(done.stdout)["items"] if it["id"] == held["grant"])
    assert (grant["state"], grant["identity"]["container"], grant["identity"]["image"]) == ("held", container.id, "ghcr.io/acme/shop:1")
    # Rules judge it by the image that it had: another one takes it away.
    made.daemon.config["policies"]["rules"][0] = dict(RULE, subjects=[{"user": CONSUMER, "image": "docker.io/*"}])
    with open(made.daemon.config_path, "w", encoding="utf-8") as f:
        json.dump(made.daemon.config, f)
    assert made.daemon.lease("root", "reload").returncode == 0
    made.await_dead(held)
