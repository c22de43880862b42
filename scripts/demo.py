"""The demo's story, told while it is checked; scripts/demo has set up and built before. Every line with a tick was seen to hold."""
import os
import pwd
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, f"{TOP}/tests/e2e")
from servers import IS_ROOT, Failed, World, as_user, clean_environment, until  # noqa: E402

CONSUMER = "ci-runner" if IS_ROOT else pwd.getpwuid(os.getuid()).pw_name
STRANGER = "ci-stranger"
ROLE = "orders-db"
# Renewed after three of six seconds, so that a demo can show it.
ISSUER_TTL = "6s"
COLORS = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLORS else text


def say(text):
    print(f"\n{paint(1, text)}", flush=True)


def show(text):
    print("  " + text.replace("\n", "\n  "), flush=True)


def check(holds, text):
    if not holds:
        raise Failed(f"this should hold: {text}")
    print(f"  {paint(32, '✓')} {text}", flush=True)


class Consumer:
    """`lease exec` with a program that says who it is at the database, and stays."""

    SCRIPT = ('echo "$$ $PGUSER $PGPASSWORD"; psql --no-psqlrc -qAt -c "SELECT current_user"; exec sleep 3600')

    def __init__(self, daemon, postgres):
        self.process = subprocess.Popen(
            daemon.command(CONSUMER, "exec", ROLE, "--reason", "DEMO-1: look at the orders", "--", "sh", "-c", self.SCRIPT),
            stdout=subprocess.PIPE, text=True, cwd="/", start_new_session=True,
            env=clean_environment(PGHOST="127.0.0.1", PGPORT=str(postgres.port), PGDATABASE="postgres"))
        pid, self.user, self.password = (self.process.stdout.readline().split() + ["", "", ""])[:3]
        if not pid:
            raise Failed(f"lease exec ended with {self.process.wait()}:\n{daemon.log_lines()[-2000:]}")
        self.pid, self.logged_in_as = int(pid), self.process.stdout.readline().strip()

    def end(self):
        for pid in (self.process.pid, self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process.stdout.close()


def start(world):
    say("1. A real OpenBao and a real PostgreSQL, and leased between them")
    world.start()
    world.bao.database_role("orders", ttl=ISSUER_TTL, max_ttl="1h")
    show(f"OpenBao on {world.bao.address}, PostgreSQL on port {world.postgres.port}, all in {world.folder}")
    role = {"backend": "bao", "path": "database/creds/orders", "min_remaining": "1s",
            "env": {"username": "PGUSER", "password": "PGPASSWORD"}}
    rules = [{"name": "ci-may-read-orders", "subjects": [{"user": CONSUMER}], "roles": [ROLE]}]
    daemon = world.daemon({ROLE: role}, rules)
    daemon.config["state"] = {"ledger": {"sqlite": f"{daemon.folder}/ledger/ledger.db"}}
    daemon.start()
    runs_as = pwd.getpwuid(os.stat(f"/proc/{daemon.process.pid}").st_uid).pw_name
    show(f"leased runs as user {runs_as}; its rule lets user {CONSUMER} have {ROLE}")
    check(daemon.lease(CONSUMER, "status", "--ready").returncode == 0, "leased is ready")
    return daemon


def lease_one(world, daemon):
    say("2. A program gets a database login for as long as it lives")
    show(f"$ lease exec {ROLE} --reason 'DEMO-1: look at the orders' -- sh -c 'psql -c \"SELECT current_user\"; sleep 3600'")
    consumer = Consumer(daemon, world.postgres)
    show(consumer.logged_in_as)
    check(consumer.logged_in_as == consumer.user, "psql logged in as a user that did not exist a second ago")
    check(len(world.bao.lease_ids("orders")) == 1, "OpenBao lists one lease")
    show(daemon.lease(CONSUMER, "ls").stdout.rstrip())
    return consumer


def watch_renewal(world, consumer):
    say(f"3. leased keeps it alive: OpenBao gave it {ISSUER_TTL} only")
    first = world.postgres.valid_until(consumer.user)
    moved = until(lambda: (now := world.postgres.valid_until(consumer.user)) != first and now, "VALID UNTIL moves", 10)
    check(float(moved) > float(first), f"renewed: PostgreSQL's VALID UNTIL moved by {float(moved) - float(first):.1f} s")
    check(world.postgres.psql("SELECT 1", consumer.user, consumer.password)[0], "the password still works")


def kill_daemon(world, daemon, consumer):
    say("4. leased itself is killed, and started again")
    before = world.bao.requests("database/creds/orders")
    show(f"$ kill -9 {daemon.process.pid}")
    daemon.process.kill()
    daemon.process.wait()
    begin = time.monotonic()
    daemon.start()
    show(daemon.lease(CONSUMER, "ls").stdout.rstrip())
    check(world.postgres.psql("SELECT 1", consumer.user, consumer.password)[0],
          f"the program keeps its login; leased serves again {(time.monotonic() - begin) * 1000:.0f} ms later")
    first = world.postgres.valid_until(consumer.user)
    until(lambda: world.postgres.valid_until(consumer.user) != first, "the new leased renews it", 10)
    check(True, "the new leased renews it")
    check(world.bao.requests("database/creds/orders") == before, "OpenBao was asked for no other")


def kill_consumer(world, consumer):
    say("5. The program is killed, so that it can't clean up")
    show(f"$ kill -9 {consumer.pid}")
    begin = time.monotonic()
    os.kill(consumer.pid, signal.SIGKILL)

    def refused():
        worked, output = world.postgres.psql("SELECT 1", consumer.user, consumer.password)
        return None if worked else output

    output = until(refused, "the login is refused", 10)
    took = time.monotonic() - begin
    show(output.splitlines()[-1])
    check(took <= 1, f"the login is refused {took * 1000:.0f} ms later")
    until(lambda: not world.bao.lease_ids("orders"), "OpenBao lists no lease", 10)
    check(True, "OpenBao lists no lease any more")


def ask_as_stranger(world, daemon):
    if not IS_ROOT:
        return
    say("6. Somebody whom no rule allows asks too")
    show(f"$ lease get {ROLE}      # as user {STRANGER}")
    before = world.bao.requests("database/creds/orders")
    done = daemon.lease(STRANGER, "get", ROLE)
    show(done.stderr.rstrip())
    check(done.returncode == 3, "denied, exit code 3")
    check(world.bao.requests("database/creds/orders") == before, "OpenBao was not even asked")
    until(lambda: any(record["event"] == "grant.denied" for record in daemon.records()), "the refusal is on record")


def read_audit(daemon):
    say(f"{7 if IS_ROOT else 6}. Who had what, when and why")
    for record in daemon.records():
        who = record.get("identity", {}).get("user", "")
        what = " ".join(str(record[key]) for key in ("role", "reason", "error") if record.get(key))
        show(f"{record['seq']:>3} {record['time'][11:23]} {record['event']:<16} {record.get('outcome', ''):<7} {who:<10} {what}".rstrip())
    events = [record["event"] for record in daemon.records()]
    wanted = ["lease.issued", "grant.created", "lease.renewed", "grant.ended", "lease.revoked"]
    check(all(event in events for event in wanted), "the whole life of the credential is on record")
    show(f"$ lease audit verify {daemon.audit_path}")
    done = daemon.lease("leased", "audit", "verify", daemon.audit_path)
    show((done.stdout + done.stderr).rstrip())
    check(done.returncode == 0, "the chain of records is unbroken")
    changed = f"{daemon.folder}/changed.jsonl"
    with open(daemon.audit_path, encoding="utf-8") as f, open(changed, "w", encoding="utf-8") as g:
        g.write(f.read().replace("DEMO-1", "DEMO-2"))
    done = daemon.lease("leased", "audit", "verify", changed)
    check(done.returncode == 1, "a copy with another reason in it is found out")


def keep(world, daemon):
    say("It goes on running; Ctrl-C ends it. To play with it:")
    shell = " ".join(as_user(CONSUMER)) + " " if IS_ROOT else ""
    show(f"{shell}env LEASED_ADDR=unix://{daemon.socket} PATH={world.folder}/bin:$PATH bash\n"
         f"lease get {ROLE}; lease ls; lease exec {ROLE} -- psql -h 127.0.0.1 -p {world.postgres.port} postgres")
    show(f"configuration {daemon.config_path}\naudit trail   {daemon.audit_path}")
    while True:
        signal.pause()


def story(world, keeps):
    daemon, consumer = start(world), None
    try:
        consumer = lease_one(world, daemon)
        watch_renewal(world, consumer)
        kill_daemon(world, daemon, consumer)
        kill_consumer(world, consumer)
    finally:
        if consumer:
            consumer.end()
    ask_as_stranger(world, daemon)
    read_audit(daemon)
    took = time.time() - float(os.environ.get("DEMO_BEGIN", time.time()))
    print(f"\n{paint(32, 'All of it held.')} {took:.1f} seconds.", flush=True)
    if keeps:
        keep(world, daemon)
    check(daemon.stop() == 0, "leased has ended, and left nothing behind")


def stop(number, _frame):
    raise KeyboardInterrupt(number)


def main():
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    world = World(os.path.abspath(os.environ.get("LEASED_BUILD", "build")), f"{TOP}/.venv/bin/bao", "leased-demo-")
    try:
        story(world, "--keep" in sys.argv[1:])
        return 0
    except Failed as failed:
        print(f"\ndemo: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: ended", file=sys.stderr)
        return 0 if "--keep" in sys.argv[1:] else 130
    finally:
        world.close()


if __name__ == "__main__":
    sys.exit(main())
