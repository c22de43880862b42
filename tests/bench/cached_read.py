#!/usr/bin/env python3
"""A credential that is there already, read again and again: leased beside `bao agent` (its cache) and nginx (the same bytes as a
static file), in turns within one run: over loopback TCP, loaded by wrk and once more by hey, and over unix sockets, loaded by
http_load of this folder, which wrk and hey can't.

leased identifies its caller, asks the policy and counts the read each time. `bao agent` does none of it. The bare server is what
leased's HTTP side does without the rest.
"""
import json
import os
import statistics
import subprocess
import sys

import peers
from peers import servers

ROUNDS = 5
SECONDS = 2
ROLE = "bench-db"


def measure(cases, targets):
    """{(case, connections, target's name): [result of each round]}; the targets take turns."""
    results = {}
    for case, load, connections in cases:
        for _ in range(ROUNDS):
            for target in targets:
                if case != "unix" or target.socket is not None:
                    results.setdefault((case, connections, target.name), []).append(load(target, connections, SECONDS))
    return results


def report(results, idle, targets):
    def median(key, what):
        return statistics.median(r[what] for r in results[key])

    cases = list(dict.fromkeys((case, connections) for case, connections, _ in results))
    print(f"{'cached read, req/s (p99)':<26}" + "".join(f"{f'{case}, {n} conn.':>22}" for case, n in cases) + f"{'RssAnon idle, after':>24}")
    for target in targets:
        cells = ""
        for case, n in cases:
            key = (case, n, target.name)
            cell = f"{median(key, 'requests_per_s'):,.0f} ({median(key, 'p99_us'):,.0f} us)" if key in results else "-"
            cells += f"{cell:>22}"
        print(f"{target.name:<26}{cells}{f'{idle[target.name]:,} {target.anonymous_kib():,} KiB':>24}")
    for (case, n, name), rounds in results.items():
        record = {what: statistics.median(r[what] for r in rounds) for what in ("requests_per_s", "p99_us")}
        print(json.dumps({"bench": f"cached_read.{case}.{n}.{name.replace(' ', '_')}", **record}))
    for case, n in cases:
        for name, what in (("bao agent", "requests_per_s"), ("nginx", "requests_per_s"), ("nginx", "p99_us")):
            ratio = median((case, n, "leased"), what) / median((case, n, name), what)
            print(f"cached_read.{case}.{n}.leased_to_{name.replace(' ', '_')}{'.p99' if what == 'p99_us' else ''} {ratio:.2f} x")
    for target in targets:
        print(f"rss_anon.after_load.{target.name.replace(' ', '_')} {target.anonymous_kib()} KiB")


def start(world, build):
    """All servers, and what is asked of each."""
    path, guard, port = f"/leased/v1/credentials/{ROLE}", "X-Leased-Request: 1", servers.free_port()
    world.start()
    world.bao.database_role(ROLE)
    daemon = world.daemon({ROLE: {"backend": "bao", "path": f"database/creds/{ROLE}", "ttl": "1h", "share": "role", "binding": "none"}},
                          [{"name": "bench", "subjects": [{"user": "*"}], "roles": [ROLE]}],
                          log={"level": "warn", "format": "json"})
    daemon.config["listeners"].append({"name": "loopback", "tcp": f"127.0.0.1:{port}"})
    daemon.start()
    leased = peers.Target("leased", daemon, daemon.socket, port, path, guard)
    idle = {"leased": leased.anonymous_kib()}
    body = subprocess.run(["curl", "-sSf", "-H", guard, f"http://127.0.0.1:{port}{path}"], capture_output=True, check=True).stdout
    nginx, agent, bare = peers.Nginx(world.folder, body), peers.Agent(world), peers.Bare(build, world.folder)
    others = [peers.Target("nginx", nginx, nginx.socket, nginx.port, "/credential"),
              peers.Target("bao agent", agent, agent.socket, agent.port, f"/v1/database/creds/{ROLE}", "X-Vault-Request: true"),
              peers.Target("bare server", bare, None, bare.port, "/")]
    for other in others:
        world.daemons.append(other.server)
        other.server.start()
        idle[other.name] = other.anonymous_kib()
    return [leased, *others], idle


def main():
    build = os.environ["LEASED_BUILD"]
    world = servers.World(build, peers.find_bao(), "leased-bench-")
    unix = peers.load_unix(build)
    try:
        targets, idle = start(world, build)
        for target in targets:
            peers.load_wrk(target, 1, 1)  # first reads, caches
        report(measure([("tcp", peers.load_wrk, 16), ("tcp", peers.load_wrk, 1), ("unix", unix, 16), ("unix", unix, 1),
                        ("tcp-hey", peers.load_hey, 16)], targets), idle, targets)
    finally:
        world.close()


if __name__ == "__main__":
    sys.exit(main())
