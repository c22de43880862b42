"""Credentials as files: kept fresh for their holders by a real leased and its helper process."""
import json
import os
import pwd
import re
import signal
import stat
import subprocess
import tempfile

import pytest
from conftest import CONSUMER, Orders, needs_root
from servers import IS_ROOT, as_user, give_to, until

RIGHTS = ("chown", "fowner", "dac_override", "kill")
ADMINS = [{"user": "root" if IS_ROOT else CONSUMER}]
OPERATOR = "root" if IS_ROOT else CONSUMER


class Kept:
    """An Orders whose credential is kept in files below `folder`, which belongs to the holder."""

    def __init__(self, orders, folder):
        self.orders, self.daemon, self.folder, self.role = orders, orders.daemon, folder, orders.role

    def path(self, name="db.env"):
        return f"{self.folder}/{name}"

    def text(self, name="db.env"):
        try:
            with open(self.path(name), encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def fields(self, name="db.env"):
        """What a dotenv file says, without the role's name."""
        prefix = self.role.upper().replace("-", "_") + "_"
        return {k.removeprefix(prefix).lower(): v for k, v in re.findall(r"""^(\w+)=["']?(.*?)["']?$""", self.text(name), re.M)}

    def await_file(self, name="db.env", other_than=None):
        return until(lambda: self.fields(name) != other_than and self.fields(name), f"{name} is written")

    def await_none(self, name="db.env", timeout_s=10):
        until(lambda: not os.path.lexists(self.path(name)), f"{name} is gone", timeout_s)

    def shown(self):
        done = self.daemon.lease(OPERATOR, "status", "-o", "json")
        return json.loads(done.stdout)["files"]

    def held(self):
        """The grants that files have now."""
        done = self.daemon.lease(OPERATOR, "ls", "--grants", "-o", "json")
        return [g for g in json.loads(done.stdout) if g["state"] == "held"]

    def rotate(self):
        lease = self.held()[0]["lease"]
        done = self.daemon.lease(OPERATOR, "rotate", lease)
        assert done.returncode == 0, done.stderr

    def configure(self, **changes):
        self.daemon.config.update(changes)
        with open(self.daemon.config_path, "w", encoding="utf-8") as f:
            json.dump(self.daemon.config, f)
        return self.daemon.lease(OPERATOR, "reload")


@pytest.fixture
def kept(world, start, request):
    """kept({…}, …, rights=…, rules=…, **role): a Kept. Entries of `files` get role, holder and path where they have none."""
    def maker(*files, rights=RIGHTS, wait=True, rules=None, folder=None, issuer=None, **role):
        maker.count += 1
        name = f"f{abs(hash(request.node.nodeid)) % 10**8}-{maker.count}"
        world.bao.database_role(name, **(issuer or {}))
        if folder is None:
            folder = tempfile.mkdtemp(prefix="kept-", dir=world.folder)
            os.chmod(folder, 0o755)
            give_to(folder, CONSUMER)
        state = tempfile.mkdtemp(prefix="ledger-", dir=world.folder)
        give_to(state, "leased")
        rules = rules or [{"name": "files", "subjects": [{"user": CONSUMER}], "roles": ["*"]}]
        entries = [{"role": name, "holder": {"user": CONSUMER}, "path": f"{folder}/db.env", **f} for f in files or ({},)]
        settings = {"backend": "bao", "path": f"database/creds/{name}", **role}
        daemon = start({name: settings}, wait=wait, policies={"rules": rules, "admins": ADMINS}, files=entries,
                       rights=rights if IS_ROOT else (), state={"ledger": {"sqlite": f"{state}/ledger.db"}})
        return Kept(Orders(world, name, daemon), folder)
    maker.count = 0
    return maker


def owner_of(path):
    facts = os.stat(path)
    return pwd.getpwuid(facts.st_uid).pw_name, stat.S_IMODE(facts.st_mode)


def test_a_file_is_kept_fresh_for_another_user(kept):
    it = kept({"user": CONSUMER, "mode": "0400"})
    first = it.await_file()
    assert owner_of(it.path()) == (CONSUMER, 0o400)
    assert it.orders.logs_in(first)
    for _ in range(3):
        it.rotate()
        second = it.await_file(other_than=first)
        assert owner_of(it.path()) == (CONSUMER, 0o400) and it.orders.logs_in(second)
        first = second
    assert [f["state"] for f in it.shown()] == ["written"]
    assert os.listdir(it.folder) == ["db.env"]


def script(it_folder, name, text):
    path = f"{it_folder}/{name}"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o755)
    return path


def test_who_uses_it_is_told_and_then_the_one_before_ends(kept, world):
    place = tempfile.mkdtemp(prefix="told-", dir=world.folder)
    os.chmod(place, 0o777)
    told = script(place, "told", f"#!/bin/sh\necho \"$LEASED_ROLE $LEASED_FILE\" >> {place}/log\ntest ! -e {place}/fails\n")
    it = kept({"user": CONSUMER, "on_change": {"exec": [told], "settle": "100ms"}}, overlap="1h")
    first = it.await_file()
    log = f"{place}/log"
    assert open(log, encoding="utf-8").read() == f"{it.role} {it.path()}\n"
    open(f"{place}/fails", "w", encoding="utf-8").close()
    it.rotate()
    second = it.await_file(other_than=first)
    until(lambda: len(open(log, encoding="utf-8").readlines()) >= 3, "it is told again after a failure")
    assert it.orders.logs_in(first) and it.orders.logs_in(second), "nobody has said that it has moved over"
    os.unlink(f"{place}/fails")
    until(lambda: not it.orders.logs_in(first), "the one before is revoked, long before the overlap ends")
    assert it.orders.logs_in(second)


def unit_folder(name):
    root = "/sys/fs/cgroup/unified" if os.path.isdir("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"
    return f"{root}/system.slice/{name}"


@pytest.fixture
def unit():
    """unit(name): the folder of a unit's cgroup."""
    made = []

    def maker(name):
        try:
            os.makedirs(unit_folder(name))
        except OSError as error:
            pytest.skip(f"no cgroup can be made here: {error}")
        made.append(unit_folder(name))
        return made[-1]
    yield maker
    for folder in made:
        until(lambda folder=folder: not open(f"{folder}/cgroup.procs", encoding="utf-8").read(), "the unit is empty")
        os.rmdir(folder)


# Says each SIGHUP that it gets, beside its child, which none may reach.
SERVICE = """
import os, signal, subprocess, sys, time
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]))
child = subprocess.Popen(["sleep", "600"])
signal.signal(signal.SIGHUP, lambda *_: print("HUP", "alone" if child.poll() is None else "with its child", flush=True))
print("up", flush=True)
while True:
    time.sleep(600)
"""


@needs_root
def test_a_unit_has_its_file_while_it_runs_and_is_signaled(kept, unit):
    name = f"leased-test-{os.getpid()}.service"
    holder = {"user": CONSUMER, "unit": name}
    it = kept({"holder": holder, "user": CONSUMER, "on_change": {"signal": {"unit": name, "signal": "HUP"}, "settle": "50ms"}},
              rules=[{"name": "unit", "subjects": [{"user": CONSUMER, "unit": name}], "roles": ["*"]}])
    # Ready, because nobody is there to need it; and it says so.
    assert [f["state"] for f in it.shown()] == ["waiting_for_holder"]
    assert not it.held() and not it.text()
    status = it.daemon.lease("root", "status", "-o", "json")
    assert any("waits for " + name in w for w in json.loads(status.stdout)["warnings"])
    user = pwd.getpwnam(CONSUMER)
    service = subprocess.Popen(["python3", "-c", SERVICE, unit(name), str(user.pw_uid), str(user.pw_gid)], stdout=subprocess.PIPE,
                               text=True, start_new_session=True)
    try:
        first = it.await_file()
        assert service.stdout.readline() == "up\n" and service.stdout.readline() == "HUP alone\n"
        it.rotate()
        second = it.await_file(other_than=first)
        assert service.stdout.readline() == "HUP alone\n"
        until(lambda: not it.orders.logs_in(first), "the one before is revoked")
        created = [r for r in it.daemon.records() if r["event"] == "grant.created"][0]
        assert (created["listener"], created["identity"]["unit"], created["binding"]) == ("files", name, "file")
    finally:
        os.killpg(service.pid, signal.SIGKILL)
        service.wait()
        service.stdout.close()
    it.await_none()
    it.orders.await_dead(second)


def test_files_of_one_holder_share_a_grant_in_all_formats(kept, world):
    folder = tempfile.mkdtemp(prefix="kept-", dir=world.folder)
    os.chmod(folder, 0o755)
    give_to(folder, CONSUMER)
    it = kept({"user": CONSUMER}, {"user": CONSUMER, "format": "json", "path": f"{folder}/db.json", "mode": "0440"},
              {"user": CONSUMER, "format": "field=password", "path": f"{folder}/password", "mode": "0600"}, folder=folder)
    fields = it.await_file()
    until(lambda: it.text("password"), "the last one is written")
    assert json.loads(it.text("db.json"))["credential"] == {**fields} and it.text("password") == fields["password"]
    assert owner_of(it.path("db.json"))[1] == 0o440 and owner_of(it.path("password"))[1] == 0o600
    assert len(it.held()) == 1 and len(it.orders.lease_ids()) == 1


def test_an_entry_that_a_reload_takes_out_is_removed_and_none_is_added(kept):
    it = kept({"user": CONSUMER})
    fields = it.await_file()
    entry = it.daemon.config["files"][0]
    refused = it.configure(files=[entry, {**entry, "path": it.path("other")}])
    assert refused.returncode != 0 and "without a restart" in refused.stderr and it.fields() == fields
    refused = it.configure(files=[{**entry, "mode": "0444"}])
    assert refused.returncode != 0 and owner_of(it.path())[1] == 0o400
    assert it.configure(files=[]).returncode == 0
    it.await_none()
    it.orders.await_dead(fields)


def test_what_policy_takes_away_is_removed(kept):
    it = kept({"user": CONSUMER})
    fields = it.await_file()
    assert it.configure(policies={"rules": [{"name": "none", "subjects": [{"uid": 4242}], "roles": ["*"]}],
                                  "admins": ADMINS}).returncode == 0
    it.await_none()
    it.orders.await_dead(fields)
    denied = until(lambda: [r for r in it.daemon.records() if r["event"] == "grant.denied"], "it is on record")
    assert denied[0]["api"] == "file" and denied[0]["identity"]["user"] == CONSUMER
    assert it.configure(policies={"rules": [{"name": "files", "subjects": [{"user": CONSUMER}], "roles": ["*"]}],
                                  "admins": ADMINS}).returncode == 0
    assert it.orders.logs_in(it.await_file())


def test_a_revocation_removes_the_file(kept):
    it = kept({"user": CONSUMER})
    fields = it.await_file()
    assert it.daemon.lease(OPERATOR, "revoke", it.held()[0]["lease"]).returncode == 0
    it.await_none()
    it.orders.await_dead(fields)


def restart(it, number, **changes):
    it.daemon.exit_code = -number if number == signal.SIGKILL else 0
    it.daemon.stop(number)
    it.daemon.config.update(changes)
    it.daemon.exit_code = 0
    it.daemon.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_goes_on_with_what_is_there(kept, number):
    it = kept({"user": CONSUMER})
    fields = it.await_file()
    before = os.stat(it.path())
    restart(it, number)
    until(lambda: [f["state"] for f in it.shown()] == ["written"], "it is taken up again")
    after = os.stat(it.path())
    assert it.fields() == fields and it.orders.logs_in(fields)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns), "unchanged content isn't written again"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_is_not_configured_any_more_is_removed_at_the_start(kept, number):
    it = kept({"user": CONSUMER})
    fields = it.await_file()
    restart(it, number, files=[])
    it.await_none()
    it.orders.await_dead(fields)


def test_what_somebody_else_has_put_there_stays(kept):
    it = kept({"user": CONSUMER})
    it.await_file()
    it.daemon.stop(signal.SIGKILL)
    os.unlink(it.path())
    with open(it.path(), "w", encoding="utf-8") as f:
        f.write("mine")
    it.daemon.config["files"] = []
    it.daemon.start()
    until(lambda: not it.orders.lease_ids(), "its grant has ended")
    assert it.text() == "mine"


def test_a_link_or_a_strangers_folder_is_no_place_for_it(kept, world):
    target = tempfile.mkdtemp(prefix="elsewhere-", dir=world.folder)
    give_to(target, CONSUMER)
    folder = tempfile.mkdtemp(prefix="kept-", dir=world.folder)
    os.chmod(folder, 0o755)
    give_to(folder, CONSUMER)
    os.symlink(target, f"{folder}/link")
    os.mkdir(f"{folder}/open")
    os.chmod(f"{folder}/open", 0o777)
    os.symlink(f"{target}/file", f"{folder}/name")
    it = kept({"user": CONSUMER, "path": f"{folder}/link/db.env"}, {"user": CONSUMER, "path": f"{folder}/open/db.env"},
              {"user": CONSUMER, "path": f"{folder}/name"}, wait=False)
    it.daemon.await_ready(lambda: it.daemon.lease("root", "status").returncode == 0)
    until(lambda: all(f["state"] == "failed" for f in it.shown()), "all fail")
    errors = {f["path"].rsplit("/", 2)[-2] + "/" + os.path.basename(f["path"]): f["error"] for f in it.shown()}
    assert "links aren't followed" in errors["link/db.env"] and "can be written by others" in errors["open/db.env"]
    assert "a symbolic link" in errors[f"{os.path.basename(folder)}/name"]
    assert not os.listdir(target) and not os.listdir(f"{folder}/open")
    ready = it.daemon.lease("root", "status", "--ready")
    assert ready.returncode != 0
    # Nothing was issued for files that can't be written.
    assert not it.orders.lease_ids()
    assert it.daemon.metric('leased_files{state="failed"}') == 3


@needs_root
def test_a_full_disk_keeps_the_old_one_whole(kept, world):
    disk = tempfile.mkdtemp(prefix="disk-", dir=world.folder)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=32,mode=0755", "tmpfs", disk], capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        it = kept({"user": "root"}, folder=disk)
        first = it.await_file()
        with open(f"{disk}/ballast", "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        it.rotate()
        shown = until(lambda: [s for s in it.shown() if s["error"]], "the failure is shown")
        assert "No space left" in shown[0]["error"]
        assert it.fields() == first and it.orders.logs_in(first), "the old one is whole, and good"
        assert sorted(os.listdir(disk)) == ["ballast", "db.env"]
        os.unlink(f"{disk}/ballast")
        second = it.await_file(other_than=first)
        assert it.orders.logs_in(second)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@needs_root
def test_without_the_rights_it_says_what_is_missing(kept):
    it = kept({"user": CONSUMER}, rights=(), wait=False)
    it.daemon.await_ready(lambda: it.daemon.lease("root", "status").returncode == 0)
    shown = until(lambda: [s for s in it.shown() if s["error"]], "the failure is shown")
    assert "leased-helper.conf" in shown[0]["error"] and not it.orders.lease_ids()
    checked = subprocess.run([*as_user("leased"), it.daemon.world.program("leased"), "--check", "--config", it.daemon.config_path],
                             capture_output=True, text=True, check=False, cwd="/")
    assert checked.returncode == 0 and "leased-helper.conf" in checked.stderr


def test_its_own_user_and_group_need_no_rights(kept, world):
    folder = tempfile.mkdtemp(prefix="kept-", dir=world.folder)
    os.chmod(folder, 0o755)
    give_to(folder, "leased")
    it = kept({"mode": "0440", **({"group": "leased"} if IS_ROOT else {})}, rights=(), folder=folder)
    it.await_file()
    assert owner_of(it.path()) == ("leased" if IS_ROOT else CONSUMER, 0o440)


WATCHER = """
import os, re, stat, sys
path, mode = sys.argv[1], int(sys.argv[2], 8)
whole = re.compile(rb'\\A(\\w+=[^\\n]+\\n){2,}\\Z')
seen = set()
print("up", flush=True)
while not os.path.exists(path + ".stop"):
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        continue
    facts, text = os.fstat(fd), os.read(fd, 65536)
    os.close(fd)
    assert stat.S_IMODE(facts.st_mode) == mode and facts.st_uid == os.getuid(), facts
    assert whole.match(text), text
    seen.add(text)
    for name in os.listdir(os.path.dirname(path)):
        if name.endswith(".leased"):
            try:
                with open(os.path.join(os.path.dirname(path), name), "rb") as f:
                    f.read()
            except OSError:
                pass
print(len(seen))
"""


def test_a_reader_sees_each_version_whole_and_an_attacker_gets_nothing(kept, world):
    """A reader and an attacker who owns the folder, over rotations; benchmarks do it longer."""
    it = kept({"user": CONSUMER, "mode": "0400"})
    it.await_file()
    reader = subprocess.Popen([*as_user(CONSUMER), "python3", "-c", WATCHER, it.path(), "0400"], stdout=subprocess.PIPE, text=True, cwd="/")
    attack = f"cd {it.folder}; while [ ! -e db.env.stop ]; do ln -sf {world.folder}/victim .db.env.leased; rm -f .db.env.leased; done"
    attacker = subprocess.Popen([*as_user(CONSUMER), "sh", "-c", attack], cwd="/", stderr=subprocess.DEVNULL)
    victim = f"{world.folder}/victim"
    open(victim, "w", encoding="utf-8").close()
    os.chmod(victim, 0o666)
    assert reader.stdout.readline() == "up\n"
    last = it.fields()
    for _ in range(5):
        it.rotate()
        last = it.await_file(other_than=last)
    subprocess.run([*as_user(CONSUMER), "touch", f"{it.path()}.stop"], check=True, cwd="/")
    seen, _ = reader.communicate(timeout=30)
    attacker.wait(30)
    assert reader.returncode == 0 and int(seen) >= 2
    assert os.path.getsize(victim) == 0
    os.unlink(f"{it.path()}.stop")



def test_psql_reads_its_password_file_across_rotations(kept, world):
    folder = tempfile.mkdtemp(prefix="kept-", dir=world.folder)
    os.chmod(folder, 0o755)
    give_to(folder, CONSUMER)
    template = script(world.folder, f"service-{os.path.basename(folder)}", "[orders]\nhost=${host}\nport=${port}\ndbname=${dbname}\nuser=${username}\n")
    it = kept({"user": CONSUMER, "format": "pgpass", "path": f"{folder}/pgpass", "mode": "0600"},
              {"user": CONSUMER, "format": f"template={template}", "path": f"{folder}/service"}, folder=folder,
              attributes={"host": "127.0.0.1", "port": str(world.postgres.port), "dbname": "postgres"})
    until(lambda: it.text("service"), "both are written")
    command = [*as_user(CONSUMER), "env", f"PGPASSFILE={folder}/pgpass", f"PGSERVICEFILE={folder}/service", "psql", "-wqAt", "-c",
               "SELECT current_user", "service=orders"]
    users = set()
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr
        users.add(done.stdout)
        before = it.text("service")
        it.rotate()
        until(lambda before=before: it.text("service") != before and it.text("service").split("user=")[1].strip() in it.text("pgpass"),
              "both have the new one")
    assert len(users) == 3


def test_lease_wait_waits_for_a_file_and_for_readiness(kept, world):
    folder = tempfile.mkdtemp(prefix="kept-", dir=world.folder)
    os.rmdir(folder)
    it = kept({"user": CONSUMER}, folder=folder, wait=False)
    it.daemon.await_ready(lambda: it.daemon.lease("root", "status").returncode == 0)
    assert it.daemon.lease(CONSUMER, "wait", "--wait", "0s").returncode == 7
    assert it.daemon.lease(CONSUMER, "wait", "--file", it.path(), "--wait", "0s").returncode == 7
    waiting = subprocess.Popen(it.daemon.command(CONSUMER, "wait", "--file", it.path()), cwd="/")
    os.mkdir(folder, 0o755)
    give_to(folder, CONSUMER)
    assert waiting.wait(30) == 0 and it.fields()
    assert it.daemon.lease(CONSUMER, "wait", "--wait", "30s").returncode == 0
