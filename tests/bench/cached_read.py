#!/usr/bin/env python3
"""A credential that is there already, read again and again: leased beside `bao agent` (its cache) and nginx (the same bytes as a
static file), all three over unix sockets, by the same load generator, in turns within one run.

leased identifies its caller, asks the policy and counts the read each time. `bao agent` does none of it.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import servers  # noqa: E402

ROUNDS = 3
SECONDS = "2"
ROLE = "bench-db"


class Nginx(servers.Server):
    """Serves one file on a unix socket."""

    def __init__(self, folder, body):
        super().__init__("nginx", f"{folder}/nginx.log")
        self.socket = f"{folder}/nginx.sock"
        self.config = f"{folder}/nginx.conf"
        os.mkdir(f"{folder}/www", 0o755)
        with open(f"{folder}/www/credential", "wb") as f:
            f.write(body)
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f"""
daemon off; worker_processes 1; error_log stderr; pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type application/json; open_file_cache max=10;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen unix:{self.socket}; root {folder}/www; }}
}}
""")

    def start(self):
        self.spawn([shutil.which("nginx") or "/usr/sbin/nginx", "-c", self.config])
        self.await_ready(lambda: os.path.exists(self.socket))


class Agent(servers.Server):
    """`bao agent` as a cache: logs in by itself and answers clients on a unix socket."""

    def __init__(self, world):
        super().__init__("bao agent", f"{world.folder}/agent.log")
        self.world, self.socket, self.config = world, f"{world.folder}/agent.sock", f"{world.folder}/agent.hcl"
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f"""
vault {{ address = "{world.bao.address}" }}
auto_auth {{ method "approle" {{ config = {{
  role_id_file_path = "{world.bao.role_id_file}", secret_id_file_path = "{world.bao.secret_id_file}",
  remove_secret_id_file_after_reading = false }} }} }}
api_proxy {{ use_auto_auth_token = true }}
cache {{ }}
listener "unix" {{ address = "{self.socket}", tls_disable = true }}
""")

    def start(self):
        self.spawn([self.world.bao.program, "agent", f"-config={self.config}"],
                   env=servers.clean_environment(HOME=self.world.folder))
        self.await_ready(lambda: os.path.exists(self.socket))


def load(build, socket, path, connections, *headers):
    run = subprocess.run([f"{build}/bench/http_load", f"unix:{socket}", path, str(connections), SECONDS, *headers],
                         capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise servers.Failed(f"http_load {socket}: {run.stdout}{run.stderr}")
    return json.loads(run.stdout)


def anonymous_kib(process):
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon"))


def measure(build, targets):
    """{(name, connections): [result of each round]}; the targets take turns."""
    results = {}
    for connections in (16, 1):
        for _ in range(ROUNDS):
            for name, socket, path, headers in targets:
                results.setdefault((name, connections), []).append(load(build, socket, path, connections, *headers))
    return results


def report(results, memory):
    def median(name, connections, what):
        return statistics.median(r[what] for r in results[name, connections])

    names = sorted({name for name, _ in results}, key=lambda n: n != "leased")
    print(f"{'cached read, unix socket':<28}{'16 conn. req/s':>16}{'p99 us':>10}{'1 conn. req/s':>16}{'p99 us':>10}{'RssAnon KiB':>14}")
    for name in names:
        print(f"{name:<28}{median(name, 16, 'requests_per_s'):>16,.0f}{median(name, 16, 'p99_us'):>10,.0f}"
              f"{median(name, 1, 'requests_per_s'):>16,.0f}{median(name, 1, 'p99_us'):>10,.0f}{memory[name]:>14,}")
        key = name.replace(" ", "_")
        for connections in (16, 1):
            record = {what: median(name, connections, what) for what in ("requests_per_s", "p50_us", "p99_us")}
            print(json.dumps({"bench": f"cached_read.{key}.{connections}", **record}))
    for peer in names[1:]:
        ratio = median("leased", 16, "requests_per_s") / median(peer, 16, "requests_per_s")
        print(f"cached_read.leased_to_{peer.replace(' ', '_')} {ratio:.2f} x")


def main():
    build = os.environ["LEASED_BUILD"]
    bao = shutil.which("bao") or os.path.join(HERE, "..", "..", ".venv", "bin", "bao")
    if not (os.path.exists(bao) and (shutil.which("nginx") or os.path.exists("/usr/sbin/nginx"))):
        sys.exit("bao or nginx is missing: scripts/setup --test --bench")
    world = servers.World(build, bao, "leased-bench-")
    try:
        world.start()
        world.bao.database_role(ROLE)
        daemon = world.daemon({ROLE: {"backend": "bao", "path": f"database/creds/{ROLE}", "ttl": "1h", "share": "role",
                                      "binding": "none"}},
                              [{"name": "bench", "subjects": [{"user": "*"}], "roles": [ROLE]}],
                              log={"level": "warn", "format": "json"}).start()
        path, guard = f"/leased/v1/credentials/{ROLE}", "X-Leased-Request: 1"
        body = subprocess.run(["curl", "-sSf", "--unix-socket", daemon.socket, "-H", guard, f"http://localhost{path}"],
                              capture_output=True, check=True).stdout
        nginx, agent = Nginx(world.folder, body), Agent(world)
        world.daemons += [nginx, agent]
        nginx.start()
        agent.start()
        load(build, agent.socket, f"/v1/database/creds/{ROLE}", 1)
        results = measure(build, [
            ("leased", daemon.socket, path, [guard]),
            ("nginx", nginx.socket, "/credential", []),
            ("bao agent", agent.socket, f"/v1/database/creds/{ROLE}", ["X-Vault-Request: true"]),
        ])
        report(results, {s.name: anonymous_kib(s.process) for s in (daemon, nginx, agent)})
    finally:
        world.close()


if __name__ == "__main__":
    main()
