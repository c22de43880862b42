"""config/kubernetes/sidecar.yaml: what it says holds together, and leased takes its configuration."""
import os
import subprocess

import pytest
import yaml
from servers import clean_environment

SIDECAR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../config/kubernetes/sidecar.yaml")


@pytest.fixture(name="documents")
def read_documents():
    with open(SIDECAR, encoding="utf-8") as f:
        return {it["kind"]: it for it in yaml.safe_load_all(f)}


def test_the_configuration_in_it_is_one_that_leased_takes(documents, world, tmp_path):
    path = tmp_path / "leased.yaml"
    path.write_text(documents["ConfigMap"]["data"]["leased.yaml"], encoding="utf-8")
    os.chmod(path, 0o644)
    done = subprocess.run([world.program("leased"), "--check", "--config", str(path)], capture_output=True, text=True, check=False,
                          env=clean_environment(), timeout=60)
    # Its files come with the volumes.
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "warning: there is no f" not in line], done.stderr


def test_leased_is_a_sidecar_whose_socket_the_application_cannot_replace(documents):
    spec, config = documents["Pod"]["spec"], yaml.safe_load(documents["ConfigMap"]["data"]["leased.yaml"])
    sidecar, application = spec["initContainers"][0], spec["containers"][0]
    listener, role = config["listeners"][0], config["roles"]["orders-db"]
    socket = listener["unix"]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["startupProbe"]["exec"]["command"] == ["lease", "status", "--ready", "--socket", socket]
    assert listener["peers"] == "foreign" and role["on_stop"] == "revoke"
    assert not spec.get("shareProcessNamespace")
    # The directory of the socket is leased's own, below the volume.
    ours, theirs = (next(m for m in it["volumeMounts"] if m["name"] == "leased-socket") for it in (sidecar, application))
    assert theirs["readOnly"] and not ours.get("readOnly")
    assert os.path.dirname(os.path.dirname(socket)) == ours["mountPath"] == theirs["mountPath"]
    assert {"name": "LEASED_ADDR", "value": f"unix://{socket}"} in application["env"]
    assert sidecar["securityContext"]["runAsGroup"] == spec["securityContext"]["fsGroup"]
    subject = config["policies"]["rules"][0]["subjects"][0]
    assert subject == {"uid": application["securityContext"]["runAsUser"], "listener": listener["name"]}
    assert int(config["limits"]["stop_timeout"].rstrip("s")) < spec["terminationGracePeriodSeconds"]
