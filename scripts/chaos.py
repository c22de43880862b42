"""Kills leased again and again while clients go on, and looks for what was lost or left behind; scripts/chaos has set up and built before.

The faults: SIGKILL of leased at random moments, a while after a request of it reached OpenBao, within the first milliseconds after its
start, and while it stops because of a SIGTERM; OpenBao stopped for seconds, or killed and started again; clients killed, also while leased is down. With --reboots (root),
everything on the machine dies and leased finds another boot id. Then the faults stop, the clients end, and within QUIET_S nothing may be
left: no database role, no lease at OpenBao, no record in the ledger. No client may have been handed a credential that was dead, or have
lost one that it still held; the trail must verify, and tell each lease's whole life. chaos_findings.py says what counts as what.

leased issues under child tokens, so no answer is lost; and it adopts its leases at each start, so nothing is minted because it was killed.
"""
import argparse
import json
import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [f"{TOP}/tests/e2e", f"{TOP}/scripts"]
import chaos_findings  # noqa: E402
from servers import (IS_ROOT, MINIMAL_POLICY, REVOKE, Daemon, DurableBao, Failed, World, as_user, clean_environment, ensure_user,  # noqa: E402
                     give_to, until)

USERS = ("ci-runner", "ci-stranger") if IS_ROOT else (pwd.getpwuid(os.getuid()).pw_name,)
ADMIN = "root" if IS_ROOT else USERS[0]
QUIET_S = 75  # a child token whose end OpenBao was killed over lives on for a minute
STOP_TIMEOUT_S = 20
STOP_CODES = (0, 75, -signal.SIGTERM)  # all that was to be revoked is; not yet; it was only starting
BOOT_ID = "/proc/sys/kernel/random/boot_id"
# Each has a role of its own at OpenBao, where credentials outlive the run: what is left doesn't go by itself. But for those of
# `short`, which are renewed every few seconds.
ISSUER_TTL = {"short": "100s"}
ROLES = {
    "own": {"share": "none"},
    "identity": {"share": "identity"},
    "shared": {"share": "role"},
    "short": {"share": "none", "renew_at": "10%"},
}
KINDS = ("exec", "exec", "exec", "get", "get", "hold", "hold", "hold", "hold", "loose")
# OpenBao may be stopped after the role has gone and before it has noted that; then it revokes again, and must not fail.
REVOKE_TWICE = [
    """DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{{name}}') THEN ALTER ROLE "{{name}}" NOLOGIN; END IF; END $$""",
    *REVOKE[1:],
]
TOKEN_ROLE = "leased-children"
MAKES_CHILDREN = """
path "auth/token/create/%s"       { capabilities = ["update"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }
path "auth/token/renew-accessor"  { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
""" % TOKEN_ROLE
ISSUES = 'path "database/creds/*" { capabilities = ["read"] }'


def now_ms():
    return time.time_ns() // 1_000_000


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class ChaosDaemon(Daemon):
    """leased, with a boot id that can be another one at each start."""

    boot_file = None

    def spawn(self, command, **options):
        if self.boot_file:
            bind = f'mount --bind "$1" {BOOT_ID} && shift && exec "$@"'
            command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", bind, "sh", self.boot_file, *command]
        super().spawn(command, **options)


class Clients:
    """The consumers: processes that are killed and replaced."""

    def __init__(self, world, daemon, chance, count):
        self.world, self.daemon, self.chance, self.count = world, daemon, chance, count
        self.folder, self.running, self.made = f"{world.folder}/clients", {}, 0
        os.mkdir(self.folder, 0o755)
        self.program = f"{world.folder}/bin/chaos_client.py"
        shutil.copy(f"{TOP}/scripts/chaos_client.py", self.program)
        os.chmod(self.program, 0o644)

    def start(self, slot):
        user = USERS[self.made % len(USERS)]
        name = f"c{self.made:04}"
        self.made += 1
        options = {"kind": KINDS[slot % len(KINDS)], "name": name, "roles": list(ROLES), "socket": self.daemon.socket, "pace_s": 1.2,
                   "lease": self.world.program("lease"), "port": self.world.postgres.port, "seed": self.chance.getrandbits(32)}
        python = os.path.realpath(sys.executable)  # not the tree's, which other users may not be able to reach
        with open(f"{self.folder}/{name}.jsonl", "ab") as out, open(f"{self.folder}/{name}.err", "ab") as errors:
            process = subprocess.Popen([*as_user(user), python, "-IS", self.program, json.dumps(options)], stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=errors, env=clean_environment(), cwd="/", start_new_session=True)
        self.running[slot] = process

    def start_all(self):
        for slot in range(self.count):
            self.start(slot)

    def kill(self, slot):
        """With all that it runs, as a machine's end or a job's does."""
        process = self.running.pop(slot)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def kill_some(self):
        for slot in self.chance.sample(sorted(self.running), self.chance.randint(1, 3)):
            self.kill(slot)

    def fill_up(self):
        for slot in range(self.count):
            if slot not in self.running or self.running[slot].poll() is not None:
                self.start(slot)

    def end_all(self):
        for slot in sorted(self.running):
            self.kill(slot)

    def records(self):
        found = []
        for name in sorted(os.listdir(self.folder)):
            with open(f"{self.folder}/{name}", encoding="utf-8") as f:
                text = f.read()
            if name.endswith(".err"):
                if "Traceback" in text:  # libpq writes there too
                    found.append({"kind": "broken", "client": name, "said": text.strip().splitlines()[-1]})
                continue
            found += [{**json.loads(line), "client": name[:-6]} for line in text.split("\n")[:-1]]
        return found


class Outages(threading.Thread):
    """OpenBao stopped for a while, or killed and started again."""

    def __init__(self, bao, chance, every_s):
        super().__init__(daemon=True)
        self.bao, self.chance, self.every_s, self.is_over, self.windows, self.trouble = bao, chance, every_s, threading.Event(), [], None
        self.kills = 0

    def run(self):
        try:
            while not self.is_over.wait(self.chance.uniform(0.4, 1.6) * self.every_s):
                begin = now_ms()
                if self.chance.random() < 0.7:
                    self.pause()
                    self.windows.append(("stopped", begin, now_ms()))
                else:
                    self.restart()
                    self.windows.append(("killed", begin, now_ms()))
        except (Failed, OSError) as failed:
            self.trouble = failed

    def pause(self):
        self.bao.send(signal.SIGSTOP)
        self.is_over.wait(self.chance.uniform(0.3, 5))
        self.bao.send(signal.SIGCONT)

    def restart(self):
        self.kills += 1
        self.bao.send(signal.SIGKILL)
        self.bao.process.wait()
        self.is_over.wait(self.chance.uniform(0, 2))
        self.bao.start()

    def end(self):
        self.is_over.set()
        self.join()
        if self.trouble:
            raise self.trouble


class Chaos:
    def __init__(self, world, options):
        self.world, self.options, self.chance = world, options, random.Random(f"{options.seed}-kills")
        self.kills, self.starts, self.ended_by_itself, self.reboots = [], 0, [], 0
        self.stops, self.is_stopping = 0, False
        self.daemon = None
        self.clients = self.outages = None

    # --- set-up ---

    def set_up(self):
        world = self.world
        for user in USERS:
            ensure_user(user)
        world.bao = DurableBao(world.folder, world.bao.program)
        world.start()
        for name in ROLES:
            world.bao.database_role(name, ttl=ISSUER_TTL.get(name, "2h"), max_ttl="24h", revocation_statements=REVOKE_TWICE)
        roles = {name: {"backend": "bao", "path": f"database/creds/{name}", "max_ttl": "24h", "binding": "process", **role}
                 for name, role in ROLES.items()}
        rules = [{"name": "clients", "subjects": [{"user": user} for user in USERS], "roles": ["*"],
                  "limits": {"binding": ["none", "parent", "process"]}}]
        daemon = ChaosDaemon(world, roles, rules, policies={"rules": rules, "admins": [{"subjects": [{"user": ADMIN}]}]},
                             log={"level": "info", "format": "json"}, limits={"stop_timeout": f"{STOP_TIMEOUT_S}s", "grants_per_uid": "1000/s"})
        daemon.config["state"] = {"ledger": {"sqlite": f"{daemon.folder}/ledger.db"}}
        daemon.config["backends"]["bao"]["limits"] = {"timeout": "3s"}  # some outages are longer
        world.daemons.append(daemon)
        self.daemon = daemon
        self.isolate()
        self.new_boot()
        self.clients = Clients(world, daemon, random.Random(f"{self.options.seed}-clients"), self.options.clients)
        self.outages = Outages(world.bao, random.Random(f"{self.options.seed}-bao"), self.options.outage_every)
        daemon.start()

    def isolate(self):
        """Child tokens that outlive leased's own login and may do nothing but issue."""
        bao = self.world.bao
        bao.call("PUT", "sys/policies/acl/leased", {"policy": MINIMAL_POLICY + MAKES_CHILDREN})
        bao.call("PUT", "sys/policies/acl/issues", {"policy": ISSUES})
        bao.call("POST", f"auth/token/roles/{TOKEN_ROLE}", {"orphan": True, "renewable": True, "allowed_policies": ["issues"],
                                                            "token_no_default_policy": True, "token_type": "service"})
        self.daemon.config["backends"]["bao"]["token_role"] = TOKEN_ROLE

    def new_boot(self):
        if self.options.reboots:
            self.daemon.boot_file = f"{self.daemon.folder}/boot-{self.reboots}"
            with open(self.daemon.boot_file, "w", encoding="utf-8") as f:
                f.write("%08x-0000-4000-8000-%012x\n" % (self.chance.getrandbits(32), self.reboots))
            os.chmod(self.daemon.boot_file, 0o444)
            give_to(self.daemon.boot_file, "leased")

    # --- faults ---

    def note_own_end(self):
        """leased may end by our signals only."""
        code = self.daemon.process.poll()
        if code is None or (self.is_stopping and code in STOP_CODES):
            return
        with open(self.daemon.log, encoding="utf-8", errors="replace") as f:
            last = [line for line in f.read().split("\n") if line][-3:]
        self.ended_by_itself.append({"code": code, "at": now_ms(), "start": self.starts, "log": last})

    def kill(self):
        self.note_own_end()
        self.daemon.send(signal.SIGKILL)
        self.kills.append(now_ms())
        self.daemon.process.wait()

    def stop_and_kill(self):
        """In the middle of its stop, or after it. What is held it leaves as it is."""
        if self.daemon.process.poll() is None:
            self.is_stopping = True
            self.daemon.send(signal.SIGTERM)
            self.stops += 1
            time.sleep(self.chance.uniform(0, 0.3))
        self.kill()

    def start(self):
        self.is_stopping = False
        self.starts += 1
        self.daemon.start(wait=False)

    def await_request(self):
        """Until leased has asked for a credential, or for its end; so the answer may be under way."""
        path, deadline = self.world.bao.audit_path, time.monotonic() + 1.5
        position = os.path.getsize(path)
        while time.monotonic() < deadline:
            with open(path, "rb") as f:
                f.seek(position)
                more = f.read()
            position += len(more)
            if b'"path":"database/creds/' in more or b'"path":"auth/token/create' in more:
                return
            time.sleep(0.001)

    def one_round(self):
        """A kill and what surrounds it. At most a dozen kills."""
        kind = self.chance.random()
        if kind < 0.4:
            time.sleep(min(self.chance.expovariate(1 / 0.9), 4))
        elif kind < 0.85:
            time.sleep(self.chance.uniform(0, 0.8))
            self.await_request()
            time.sleep(self.chance.choice([0, self.chance.uniform(0, 0.012)]))
        else:
            for _ in range(self.chance.randint(3, 10)):
                self.kill()
                self.start()
                time.sleep(self.chance.uniform(0, 0.05))
        if self.chance.random() < 0.2:
            self.clients.kill_some()
        if self.chance.random() < 0.2:
            self.stop_and_kill()
        else:
            self.kill()
        if self.chance.random() < 0.3:
            self.clients.kill_some()
            time.sleep(self.chance.uniform(0, 0.5))
        self.start()
        self.clients.fill_up()

    def reboot(self):
        self.kill()
        self.clients.end_all()
        self.reboots += 1
        self.new_boot()
        self.start()
        self.clients.start_all()

    def break_things(self):
        options = self.options
        reboots_at = sorted(self.chance.sample(range(options.kills), options.reboots))
        self.clients.start_all()
        if not options.no_outages:
            self.outages.start()
        told = 0
        while len(self.kills) < options.kills or reboots_at:
            if reboots_at and len(self.kills) >= min(reboots_at[0], options.kills):
                reboots_at.pop(0)
                self.reboot()
            self.one_round()
            if len(self.kills) - told >= 20:
                told = len(self.kills)
                say(f"{told} kills, {len(self.outages.windows)} outages")
            if len(self.ended_by_itself) >= 5:
                raise Failed(f"leased ends by itself again and again: {self.ended_by_itself[-1]}")
        if not options.no_outages:
            self.outages.end()

    # --- the end ---

    def issuer_leases(self):
        return {role: self.world.bao.lease_ids(role) for role in ROLES}

    def roles_left(self):
        """Name → unix ms of its creation, by its end."""
        rows = self.world.postgres.admin("SELECT rolname, extract(epoch FROM rolvaliduntil) FROM pg_roles WHERE rolname LIKE 'v-%'")
        return dict(row.split("|") for row in rows.splitlines())

    def listed(self):
        return json.loads(self.daemon.lease(ADMIN, "ls", "-o", "json").stdout or "[]")

    def ledger_left(self):
        done = self.daemon.lease("leased", "ledger", "dump", f"{self.daemon.folder}/ledger.db", "-o", "json")
        if done.returncode != 0:
            raise Failed(f"lease ledger dump: {done.stderr}")
        return json.loads(done.stdout)

    def settle(self):
        """Faults have stopped. Clients go on for a moment, then all end; what is left after QUIET_S is left."""
        self.daemon.await_ready(lambda: self.daemon.lease(ADMIN, "status", "--ready").returncode == 0)
        time.sleep(self.options.calm)
        self.clients.end_all()
        begin = time.monotonic()
        try:
            until(self.is_clean, "nothing is left", QUIET_S, 0.5)
        except Failed:
            pass
        return time.monotonic() - begin

    def is_clean(self):
        """Nothing is left but what OpenBao made and forgot, or half forgot."""
        if any(entry["state"] not in chaos_findings.ENDED for entry in self.listed()):
            return False
        roles, leases = self.roles_left(), [lease for leases in self.issuer_leases().values() for lease in leases]
        if not roles and not leases:
            return True
        issuer = chaos_findings.Issuer(self.issuer_trail())
        return not any(issuer.ask_of(lease) for lease in leases) and set(roles) == set(issuer.lost_roles(roles))

    def end_leases_left(self):
        """What each lease at OpenBao is, and which database roles go with it when it is revoked by hand."""
        left = []
        for role, leases in self.issuer_leases().items():
            for lease in leases:
                name = {"lease_id": f"database/creds/{role}/{lease}"}
                try:
                    issued = self.world.bao.call("PUT", "sys/leases/lookup", name)["data"]["issue_time"]
                except Failed:  # it has ended meanwhile
                    continue
                before = self.roles_left()
                try:
                    self.world.bao.call("PUT", "sys/leases/revoke", {**name, "sync": True})
                except Failed:  # its database role has gone already
                    pass
                gone = sorted(set(before) - set(self.roles_left()))
                left.append({"lease": name["lease_id"], "role": role, "issued": issued, "database_roles": gone})
        return left

    def collect(self):
        """All that there is to judge by."""
        quiet_s = self.settle()
        found = {"quiet_s": quiet_s, "roles_count": len(self.roles_left()), "listed": self.listed(),
                 "status": self.daemon.lease(ADMIN, "status").stdout}
        self.note_own_end()
        found["stop_code"] = self.daemon.stop(timeout_s=STOP_TIMEOUT_S + 15)
        found["ledger"] = self.ledger_left()
        found["leases"] = self.end_leases_left()
        found["roles"] = self.roles_left()
        verified = self.daemon.lease("leased", "audit", "verify", self.daemon.audit_path)
        found["verify_code"], found["verify_said"] = verified.returncode, (verified.stdout + verified.stderr).strip()
        found["trail"], found["torn_count"] = self.trail()
        found.update(clients=self.clients.records(), kills=self.kills, starts=self.starts,
                     outages=self.outages.windows, ended_by_itself=self.ended_by_itself, reboots=self.reboots, stops=self.stops,
                     shares={name: role["share"] for name, role in ROLES.items() if role["share"] != "none"}, issuer_trail=self.issuer_trail(),
                     children=self.children())
        return found

    def trail(self):
        """leased's records, and how many lines are none. `lease audit verify` has seen that their records follow."""
        records, torn_count = [], 0
        with open(self.daemon.audit_path, encoding="utf-8") as f:
            for line in f:
                try:
                    records.append(json.loads(line))
                except ValueError:
                    torn_count += 1
        return records, torn_count

    def children(self):
        """Accessor → seconds that are left of each child token at OpenBao."""
        bao, left = self.world.bao, {}
        for accessor in bao.call("LIST", "auth/token/accessors")["data"]["keys"]:
            try:
                data = bao.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})["data"]
            except Failed:  # it has ended meanwhile
                continue
            if (data["meta"] or {}).get("role") in ROLES:
                left[accessor] = data["ttl"]
        return left

    def issuer_trail(self):
        records = []
        with open(self.world.bao.audit_path, encoding="utf-8", errors="replace") as f:
            for line in f:
                try:
                    records.append(json.loads(line))
                except ValueError:  # OpenBao was killed in the middle of it
                    pass
        return records

    def keep(self, folder, found):
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/found.json", "w", encoding="utf-8") as f:
            json.dump(found, f)
        for path in (self.daemon.audit_path, self.daemon.log, self.daemon.config_path, self.world.bao.audit_path, self.world.bao.log,
                     self.world.postgres.log):
            shutil.copy(path, folder)
        shutil.copytree(f"{self.world.folder}/clients", f"{folder}/clients", dirs_exist_ok=True)


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None, help="of all chance; timing isn't repeated by it [by the clock]")
    parser.add_argument("--kills", type=int, default=None, help="how often leased is killed, at least [200; 100 with --short]")
    parser.add_argument("--clients", type=int, default=None, help="how many there are at a time [30; 16 with --short]")
    parser.add_argument("--short", action="store_true", help="for the test suite: about a minute")
    parser.add_argument("--no-outages", action="store_true", help="OpenBao stays up")
    parser.add_argument("--outage-every", type=float, default=8, metavar="S", help="seconds between outages, on average [%(default)s]")
    parser.add_argument("--calm", type=float, default=3, metavar="S", help="seconds that clients go on without faults at the end [%(default)s]")
    parser.add_argument("--reboots", type=int, default=None, metavar="N", help="how often the machine starts anew; needs root [0]")
    parser.add_argument("--keep", metavar="FOLDER", help="where to copy trails, logs and found.json, which scripts/chaos_findings.py judges again")
    options = parser.parse_args(arguments)
    options.seed = int(time.time()) if options.seed is None else options.seed
    options.kills = options.kills or (100 if options.short else 200)
    options.clients = options.clients or (16 if options.short else 30)
    options.reboots = options.reboots or 0
    if options.reboots and not IS_ROOT:
        parser.error("--reboots needs root")
    if options.reboots >= options.kills:
        parser.error("--reboots: fewer than --kills")
    return options


def stop(number, _frame):
    raise KeyboardInterrupt(number)


def main():
    options = options_of(sys.argv[1:])
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    world = World(os.path.abspath(os.environ.get("LEASED_BUILD", "build")), f"{TOP}/.venv/bin/bao", "leased-chaos-")
    chaos, begin = Chaos(world, options), time.monotonic()
    say(f"seed {options.seed}: {options.kills} kills, {options.clients} clients, {options.reboots} reboots")
    try:
        chaos.set_up()
        chaos.break_things()
        say(f"{len(chaos.kills)} kills; now without faults")
        found = chaos.collect()
        if options.keep:
            chaos.keep(options.keep, found)
        return 0 if chaos_findings.report(found, time.monotonic() - begin) else 1
    except Failed as failed:
        print(f"chaos: {failed}", file=sys.stderr)
        if options.keep and chaos.clients:
            chaos.keep(options.keep, {})
        return 1
    except KeyboardInterrupt:
        print("chaos: ended", file=sys.stderr)
        return 130
    finally:
        if chaos.clients:
            chaos.clients.end_all()
        if chaos.outages and chaos.outages.is_alive():
            chaos.outages.is_over.set()
            chaos.outages.join()
        world.close()


if __name__ == "__main__":
    sys.exit(main())
