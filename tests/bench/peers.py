"""What leased is measured beside, and what loads them: nginx, `bao agent`, the bare HTTP server of io/; wrk, hey and http_load."""
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import servers  # noqa: E402

MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6}


def find(name, *places):
    """The path of a program that `scripts/setup --test --bench` installs."""
    path = shutil.which(name) or next((p for p in places if os.path.exists(p)), None)
    if path is None:
        sys.exit(f"{name} is missing: scripts/setup --test --bench")
    return path


def find_bao():
    return find("bao", os.path.join(HERE, "..", "..", ".venv", "bin", "bao"))


class Target:
    """One server under load: where it listens and what to ask it for."""

    def __init__(self, name, server, socket, port, path, *headers):
        self.name, self.server, self.socket, self.port, self.path, self.headers = name, server, socket, port, path, headers

    def anonymous_kib(self):
        with open(f"/proc/{self.server.process.pid}/status", encoding="utf-8") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("RssAnon"))


class Nginx(servers.Server):
    """Serves one file, with Debian's settings of sendfile and tcp_nopush."""

    def __init__(self, folder, body):
        super().__init__("nginx", f"{folder}/nginx.log")
        self.socket, self.port, self.config = f"{folder}/nginx.sock", servers.free_port(), f"{folder}/nginx.conf"
        os.mkdir(f"{folder}/www", 0o755)
        with open(f"{folder}/www/credential", "wb") as f:
            f.write(body)
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f"""
daemon off; master_process off; worker_processes 1; error_log stderr; pid {folder}/nginx.pid;
events {{ worker_connections 768; }}
http {{
  sendfile on; tcp_nopush on; access_log off; keepalive_requests 1000000000; default_type application/json;
  open_file_cache max=10; add_header Cache-Control no-store;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen unix:{self.socket}; listen 127.0.0.1:{self.port}; root {folder}/www; }}
}}
""")

    def start(self):
        self.spawn([find("nginx", "/usr/sbin/nginx"), "-c", self.config])
        self.await_ready(lambda: servers.accepts(self.port))


class Agent(servers.Server):
    """`bao agent` as a cache: logs in by itself and answers clients."""

    def __init__(self, world):
        super().__init__("bao agent", f"{world.folder}/agent.log")
        self.world, self.config = world, f"{world.folder}/agent.hcl"
        self.socket, self.port = f"{world.folder}/agent.sock", servers.free_port()
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f"""
vault {{ address = "{world.bao.address}" }}
auto_auth {{ method "approle" {{ config = {{
  role_id_file_path = "{world.bao.role_id_file}", secret_id_file_path = "{world.bao.secret_id_file}",
  remove_secret_id_file_after_reading = false }} }} }}
api_proxy {{ use_auto_auth_token = true }}
cache {{ }}
listener "unix" {{ address = "{self.socket}", tls_disable = true }}
listener "tcp" {{ address = "127.0.0.1:{self.port}", tls_disable = true }}
""")

    def start(self):
        self.spawn([self.world.bao.program, "agent", f"-config={self.config}"],
                   env=servers.clean_environment(HOME=self.world.folder))
        self.await_ready(lambda: os.path.exists(self.socket) and servers.accepts(self.port))


class Bare(servers.Server):
    """io/'s HTTP server with a handler that answers at once, on TCP: what is left is the work behind it."""

    def __init__(self, build, folder):
        super().__init__("bare server", f"{folder}/bare.log")
        self.program, self.port = f"{build}/bench/bench_server", servers.free_port()

    def start(self):
        self.spawn([self.program, f"127.0.0.1:{self.port}"])
        self.await_ready(lambda: servers.accepts(self.port))


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise servers.Failed(f"{command[0]}: {done.stdout}{done.stderr}")
    return done.stdout


def load_wrk(target, connections, seconds):
    headers = [word for header in target.headers for word in ("-H", header)]
    out = run(find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *headers,
              f"http://127.0.0.1:{target.port}{target.path}")
    if "Non-2xx" in out:
        raise servers.Failed(f"{target.name}: {out}")
    amount, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    return {"requests_per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), "p99_us": float(amount) * MICROSECONDS[unit]}


def load_hey(target, connections, seconds):
    headers = [word for header in target.headers for word in ("-H", header)]
    out = run(find("hey"), "-z", f"{seconds}s", "-c", str(connections), *headers, f"http://127.0.0.1:{target.port}{target.path}")
    if not re.search(r"\[200\]\s+\d+ responses\s*(\n\s*)*$", out):
        raise servers.Failed(f"{target.name}: {out}")
    return {"requests_per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
            "p99_us": float(re.search(r"99% in ([\d.]+) secs", out)[1]) * 1e6}


def load_unix(build):
    def load(target, connections, seconds):
        record = json.loads(run(f"{build}/bench/http_load", f"unix:{target.socket}", target.path, str(connections),
                                str(seconds), *target.headers))
        if record["not_200"] > 0:
            raise servers.Failed(f"{target.name}: {record}")
        return record
    return load
