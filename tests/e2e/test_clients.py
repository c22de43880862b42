"""Programs that ask a helper for their credentials: git, docker, kubectl and Terraform, each in its own protocol."""
import base64
import functools
import http.server
import json
import os
import shutil
import subprocess
import threading

import pytest
from conftest import CONSUMER, STRANGER, needs_root
from docker_api import DockerApi
from servers import as_user, clean_environment, give_to, until
from test_kubernetes import Cluster, cluster, keys, needs_kubectl  # noqa: F401  pylint: disable=unused-import

# Prints another token each time.
MINT = """#!/bin/sh
n=$(cat {count} 2>/dev/null || echo 0); n=$((n + 1)); echo $n >{count}
echo '{"fields": {"token": "canary-token-'$n'"}, "ttl": 900}'
"""


class GitServer(http.server.ThreadingHTTPServer):
    """A bare repository over git's dumb protocol, for who shows one of `passwords`."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):  # pylint: disable=arguments-differ
            pass

        def do_GET(self):
            kind, _, login = self.headers.get("Authorization", "").partition(" ")
            user, _, password = base64.b64decode(login).decode().partition(":")
            self.server.seen.append((user, password))
            if kind == "Basic" and user == "x-access-token" and password in self.server.passwords:
                super().do_GET()
            else:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()

    def __init__(self, root):
        super().__init__(("127.0.0.1", 0), functools.partial(self.Handler, directory=root))
        self.passwords, self.seen, self.host = set(), [], f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Clients:
    """A leased whose role `gh-acme` mints tokens, and a home for programs that use it."""

    def __init__(self, world, start, request):
        self.world, self.folder = world, f"{world.folder}/clients-{abs(hash(request.node.nodeid)) % 10**8}"
        self.bin, self.home = f"{self.folder}/bin", f"{self.folder}/home"
        for path in (self.folder, self.bin, self.home, f"{self.folder}/mint"):
            os.mkdir(path)
        give_to(self.home, CONSUMER)
        give_to(f"{self.folder}/mint", "leased")
        for name in ("lease", "git-credential-leased", "docker-credential-leased"):
            os.symlink(world.program("lease"), f"{self.bin}/{name}")
        script = f"{self.folder}/mint/print"
        with open(script, "w", encoding="utf-8") as f:
            f.write(MINT.replace("{count}", f"{self.folder}/mint/count"))
        os.chmod(script, 0o755)
        self.start, self.script, self.daemon = start, script, None

    def serve(self, clients, **role):
        self.daemon = self.start({"gh-acme": {"backend": "forge", "share": "identity", "linger": "5m", **role}}, clients=clients,
                                 backends={"forge": {"plugin": "exec", "command": [self.script]}})
        return self

    def run(self, *words, user=CONSUMER, stdin="", **environment):
        """As a program of the user's would: there is one for the grant to be bound to."""
        return subprocess.run([*as_user(user), "sh", "-c", '"$@"; exit $?', "sh", *words], input=stdin, capture_output=True, text=True, check=False, timeout=60, cwd=self.home,
                              env=clean_environment(HOME=self.home, PATH=f"{self.bin}:{os.environ['PATH']}", GIT_TERMINAL_PROMPT="0",
                                                    LEASED_ADDR=f"unix://{self.daemon.socket}", **environment))

    def helper(self, *words, stdin="", user=CONSUMER):
        done = self.run(*words, stdin=stdin, user=user)
        return done.returncode, done.stdout, done.stderr

    def git(self, *words, **options):
        return self.run("git", "-c", "credential.helper=leased", "-c", "credential.useHttpPath=true", *words, **options)


@pytest.fixture
def clients(world, start, request):
    it = Clients(world, start, request)
    yield it
    shutil.rmtree(it.folder)


# --- git --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def forge(world, clients):
    root = f"{clients.folder}/repositories"
    for words in (["init", "-q", "-b", "main", f"{root}/acme/app"],
                  ["-C", f"{root}/acme/app", "-c", "user.name=t", "-c", "user.email=t@e", "commit", "-q", "--allow-empty", "-m", "first"],
                  ["clone", "-q", "--bare", f"{root}/acme/app", f"{root}/acme/app.git"],
                  ["-C", f"{root}/acme/app.git", "update-server-info"]):
        subprocess.run(["git", *words], check=True, capture_output=True, env=clean_environment(HOME=root))
    server = GitServer(root)
    yield server
    server.shutdown()


def test_git_clones_with_a_leased_token(clients, forge):
    clients.serve({"git": {f"{forge.host}/acme/*": "gh-acme"}})
    forge.passwords = {"canary-token-1"}
    done = clients.git("clone", f"http://{forge.host}/acme/app.git", "copy")
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout + done.stderr
    assert [r["role"] for r in clients.daemon.records() if r["event"] == "grant.created"] == ["gh-acme"]
    # What isn't acme's gets nothing, and no prompt hangs.
    done = clients.git("clone", f"http://{forge.host}/other/app.git", "other")
    assert done.returncode != 0 and "terminal prompts disabled" in done.stderr


def test_git_gets_another_token_after_the_server_has_refused_one(clients, forge):
    clients.serve({"git": {f"{forge.host}/acme/*": "gh-acme"}})
    forge.passwords = {"canary-token-2"}
    url = f"http://{forge.host}/acme/app.git"
    done = clients.git("clone", url, "copy")
    assert done.returncode != 0 and ("", "canary-token-1") not in forge.seen

    def works():
        shutil.rmtree(f"{clients.home}/copy", ignore_errors=True)
        return clients.git("clone", url, "copy").returncode == 0
    until(works, "git has the token that took the place of the refused one")
    assert [r["event"] for r in clients.daemon.records()].count("lease.rotated") == 1
    # What was rejected long ago doesn't cost the token that works.
    old = f"protocol=http\nhost={forge.host}\npath=acme/app.git\nusername=x-access-token\npassword=canary-token-1\n\n"
    assert clients.helper("lease", "git-credential", "erase", stdin=old)[0] == 0
    assert works() and [r["event"] for r in clients.daemon.records()].count("lease.rotated") == 1


def test_gits_protocol(clients):
    clients.serve({"git": {"github.com/acme/*": "gh-acme"}})
    ask = "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=github.com\npath=acme/app.git\n\n"
    code, out, err = clients.helper("git-credential-leased", "get", stdin=ask)
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == ["username=x-access-token", "password=canary-token-1"]
    assert int(out.splitlines()[2].removeprefix("password_expiry_utc=")) > 1e9
    for other in ("protocol=https\nhost=github.com\n", "protocol=https\nhost=evil.com\npath=github.com/acme/x\n",
                  "protocol=ssh\nhost=github.com\npath=acme/app.git\n", "protocol=https\nhost=github.com\npath=acme/../evil/x\n", ""):
        assert clients.helper("lease", "git-credential", "get", stdin=other) == (0, "", "")
    code, out, err = clients.helper("lease", "git-credential", "get", stdin=ask.replace("https", "http"))
    assert (code, out) == (0, "") and "plain http" in err
    code, out, err = clients.helper("lease", "git-credential", "get", stdin=ask.replace("host=", "username=bob\nhost="))
    assert (code, out) == (0, "") and "asks for user bob" in err
    assert clients.helper("lease", "git-credential", "store", stdin=ask) == (0, "", "")
    assert clients.helper("lease", "git-credential", "new-in-git-3", stdin=ask) == (0, "", "")
    code, out, _ = clients.helper("lease", "git-credential", "get", "--role", "gh-acme", stdin="protocol=https\nhost=anywhere\n")
    assert code == 0 and "password=canary-token-1" in out
    assert clients.helper("lease", "git-credential", "get", stdin="rubbish\n")[0] == 64


@needs_root
def test_git_is_told_to_quit_where_policy_denies(clients):
    clients.serve({"git": {"github.com/acme/*": "gh-acme"}})
    ask = "protocol=https\nhost=github.com\npath=acme/app.git\n\n"
    code, out, err = clients.helper("lease", "git-credential", "get", stdin=ask, user=STRANGER)
    assert (code, out) == (3, "quit=1\n") and "denied" in err


# --- docker -----------------------------------------------------------------------------------------------------------


def test_dockers_protocol(clients):
    clients.serve({"docker": {"ghcr.io": "gh-acme", "docker.io": "gh-acme", "*.pkg.dev": "gh-acme"}})
    code, out, _ = clients.helper("docker-credential-leased", "get", stdin="ghcr.io\n")
    assert code == 0 and json.loads(out) == {"ServerURL": "ghcr.io", "Username": "x-access-token", "Secret": "canary-token-1"}
    code, out, _ = clients.helper("docker-credential-leased", "get", stdin="https://index.docker.io/v1/")
    assert code == 0 and json.loads(out)["ServerURL"] == "https://index.docker.io/v1/"
    assert clients.helper("docker-credential-leased", "get", stdin="quay.io") == (1, "credentials not found in native keychain\n", "")
    assert clients.helper("docker-credential-leased", "get", stdin="a.pkg.dev")[0] == 0
    code, out, _ = clients.helper("docker-credential-leased", "list")
    assert code == 0 and json.loads(out) == {"ghcr.io": "gh-acme", "docker.io": "gh-acme"}
    store = {"ServerURL": "ghcr.io", "Username": "x-access-token", "Secret": "canary-token-1"}
    assert clients.helper("docker-credential-leased", "store", stdin=json.dumps(store)) == (0, "", "")
    code, out, err = clients.helper("docker-credential-leased", "store", stdin=json.dumps(store | {"ServerURL": "quay.io"}))
    assert code == 1 and "keeps no passwords" in out and "canary" not in out + err
    assert clients.helper("docker-credential-leased", "erase", stdin="ghcr.io") == (0, "", "")
    assert clients.helper("docker-credential-leased", "version")[1].startswith("docker-credential-leased ")
    code, out, err = clients.helper("docker-credential-leased", "get", stdin="http://ghcr.io")
    assert (code, err) == (1, "") and "plain http" in out


@needs_root
def test_docker_is_told_on_stdout_what_is_wrong(clients):
    clients.serve({"docker": {"ghcr.io": "gh-acme"}})
    code, out, err = clients.helper("docker-credential-leased", "get", stdin="ghcr.io", user=STRANGER)
    assert (code, err) == (3, "") and "denied" in out and "native keychain" not in out


@pytest.mark.skipif(not shutil.which("docker"), reason="docker isn't installed")
def test_docker_pulls_with_a_leased_token(clients):
    clients.serve({"docker": {"ghcr.io": "gh-acme"}})
    os.mkdir(f"{clients.home}/.docker")
    with open(f"{clients.home}/.docker/config.json", "w", encoding="utf-8") as f:
        json.dump({"credHelpers": {"ghcr.io": "leased", "quay.io": "leased"}}, f)
    os.chmod(f.name, 0o644)
    api = DockerApi(f"{clients.folder}/docker.sock")
    for image in ("ghcr.io/acme/app", "quay.io/acme/app"):
        done = clients.run("docker", "-H", f"unix://{clients.folder}/docker.sock", "pull", image)
        assert done.returncode == 0, done.stderr
    api.close()
    assert (api.logins[0]["username"], api.logins[0]["password"]) == ("x-access-token", "canary-token-1")
    assert not (api.logins[1] or {}).get("password")


# --- kubectl and Terraform --------------------------------------------------------------------------------------------


def kubeconfig(path, it, version, role):
    user = {"exec": {"apiVersion": version, "command": it.world.program("lease"), "interactiveMode": "Never", "provideClusterInfo": True,
                     "args": ["kube-credential", "--socket", it.daemon.socket, role]}}
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "c", "preferences": {}, "users": [{"name": "u", "user": user}],
                   "clusters": [{"name": "c", "cluster": {"server": it.server.address, "certificate-authority": it.pki.ca}}],
                   "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}]}, f)
    os.chmod(path, 0o644)


@needs_kubectl
def test_kubectl_gets_pods_with_the_exec_plugin(cluster, world):  # noqa: F811  pylint: disable=redefined-outer-name
    it = cluster()
    it.world = world
    path = f"{it.folder}/exec-kubeconfig"
    client = json.loads(subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, check=True).stdout)
    minor = int("".join(c for c in client["clientVersion"]["minor"] if c.isdigit()))
    versions = ["v1beta1", *(["v1"] if minor >= 22 else [])]  # Debian's is older
    for version in versions:
        kubeconfig(path, it, f"client.authentication.k8s.io/{version}", "plain")
        done = subprocess.run([*as_user(CONSUMER), "kubectl", "get", "pods"], capture_output=True, text=True, check=False, timeout=60, cwd="/",
                              env=clean_environment(HOME="/nonexistent", KUBECONFIG=path))
        assert done.returncode == 0 and "web-0" in done.stdout, done.stderr
    kubeconfig(path, it, "client.authentication.k8s.io/v1beta1", "missing")
    done = subprocess.run([*as_user(CONSUMER), "kubectl", "get", "pods"], capture_output=True, text=True, check=False, timeout=60, cwd="/",
                          env=clean_environment(HOME="/nonexistent", KUBECONFIG=path))
    assert done.returncode != 0 and "could not get missing" in done.stderr


def test_kubes_protocol(clients):
    clients.serve({})
    code, out, _ = clients.helper("lease", "kube-credential", "gh-acme")
    answer = json.loads(out)
    assert code == 0 and answer["apiVersion"] == "client.authentication.k8s.io/v1" and answer["kind"] == "ExecCredential"
    assert answer["status"]["token"] == "canary-token-1" and answer["status"]["expirationTimestamp"].endswith("Z")
    assert json.loads(clients.helper("lease", "kube-credential", "--role", "gh-acme")[1]) == answer
    done = clients.run("lease", "kube-credential", "gh-acme", KUBERNETES_EXEC_INFO='{"apiVersion":"client.authentication.k8s.io/v2"}')
    assert done.returncode == 64 and "v2" in done.stderr
    assert clients.helper("lease", "kube-credential", "nobody")[0] == 4


def test_terraforms_protocol(clients):
    clients.serve({}, attributes={"host": "h", "port": 5})
    for words, query in ((["gh-acme"], "{}"), ([], '{"role": "gh-acme"}'), (["--role", "gh-acme"], "")):
        code, out, err = clients.helper("lease", "terraform", *words, stdin=query)
        assert (code, err) == (0, "") and json.loads(out) == {"token": "canary-token-1", "host": "h", "port": "5"}
    for words, query, code in (([], "{}", 64), (["gh-acme"], "[]", 64), ([], '{"role": 1}', 64), ([], '{"x": "y"}', 64), (["nobody"], "{}", 4)):
        done = clients.helper("lease", "terraform", *words, stdin=query)
        assert done[0] == code and done[1] == "" and done[2]


def test_a_reload_changes_who_answers(clients):
    clients.serve({"docker": {"ghcr.io": "gh-acme"}})
    assert clients.helper("docker-credential-leased", "get", stdin="quay.io")[0] == 1
    clients.daemon.config["clients"] = {"docker": {"quay.io": "gh-acme"}}
    with open(clients.daemon.config_path, "w", encoding="utf-8") as f:
        json.dump(clients.daemon.config, f)
    clients.daemon.send(1)
    until(lambda: clients.helper("docker-credential-leased", "get", stdin="quay.io")[0] == 0, "the new map counts")
    assert clients.helper("docker-credential-leased", "get", stdin="ghcr.io")[0] == 1
