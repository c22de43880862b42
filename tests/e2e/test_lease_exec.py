"""`lease exec` in all that it is: several roles, files, rotations, signals, a container's first process, and every way to die."""
import json
import os
import signal
import subprocess
import threading
import time

import pytest
from conftest import CONSUMER, needs_root
from servers import as_user, clean_environment, free_port, until
from test_terminal import Terminal

LIMIT_S = 1.0
ROTATIONS = 10

# Tells its credential as it has it now, and then once more for each HUP.
TELL = """
tell() { echo "$$ $DB_USER ${DB_PASSWORD-$(cat $PW_FILE)} $PW_FILE"; }
"""
SLEEP = TELL + "tell; exec sleep 600"
MAPS = ("--map", "username=DB_USER", "--map", "password=DB_PASSWORD")
FILE = ("--map", "username=DB_USER", "--file", "password=PW_FILE")


class Run:
    """`lease exec` in the background; what its program says, line by line."""

    def __init__(self, made, *words, script=SLEEP, prefix=(), **options):
        self.made, self.pid, self.path, self.credential = made, 0, None, {}
        self.lease = subprocess.Popen([*prefix, *made.daemon.command(CONSUMER, "exec", made.role, *words, "--", "sh", "-c", script)],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(), cwd="/",
                                      start_new_session=True, **options)
        self.watchdog = threading.Timer(60, self.lease.kill)
        self.watchdog.start()

    def read(self):
        """The next thing that the program tells of itself."""
        line = self.lease.stdout.readline()
        assert line, f"lease has ended: {self.lease.stderr.read()}"
        pid, user, password, *path = line.split()
        self.pid, self.path = int(pid), path[0] if path else None
        self.credential = {"username": user, "password": password}
        return self

    def end(self):
        self.watchdog.cancel()
        try:
            os.killpg(self.lease.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.lease.wait()
        self.lease.stdout.close()
        self.lease.stderr.close()


@pytest.fixture
def run():
    runs = []

    def starter(made, *words, **options):
        runs.append(Run(made, *words, **options))
        return runs[-1]

    yield starter
    for it in runs:
        it.end()


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def await_end_of_all(made, it, what, begin, measured):
    """The password is refused, the lease gone, and no path leads to the credential any more, within LIMIT_S of `begin`."""
    assert it.path.startswith("/proc/"), "it has no place in any directory where it could be left"
    took = {}

    def is_dead():
        if "login" not in took and not made.logs_in(it.credential):
            took["login"] = time.monotonic() - begin
        if "file" not in took and not os.path.exists(it.path):
            took["file"] = time.monotonic() - begin
        if "bao" not in took and not made.lease_ids():
            took["bao"] = time.monotonic() - begin
        return len(took) == 3

    until(is_dead, f"{what}: the credential is dead", 10)
    measured(f"SIGKILL of {what}: login refused within {took['login'] * 1000:.0f} ms, lease gone within {took['bao'] * 1000:.0f} ms, "
             f"file gone within {took['file'] * 1000:.0f} ms")
    assert max(took.values()) <= LIMIT_S


@pytest.mark.parametrize("watch", [(), ("--watch",)], ids=["", "watch"])
@pytest.mark.parametrize("what", ["lease", "the program", "both", "the process group"])
def test_whatever_is_killed_credential_and_file_are_gone(orders, run, measured, what, watch):
    made = orders()
    it = run(made, *FILE, *watch).read()
    assert made.logs_in(it.credential)
    with open(it.path, encoding="utf-8") as f:
        assert f.read() == it.credential["password"], "any process of the user reads it under its path"
    begin = time.monotonic()
    if what == "the process group":
        os.killpg(it.lease.pid, signal.SIGKILL)
    else:
        for pid in {"lease": [it.lease.pid], "the program": [it.pid], "both": [it.lease.pid, it.pid]}[what]:
            os.kill(pid, signal.SIGKILL)
    await_end_of_all(made, it, what, begin, measured)


def cgroup_folder():
    """A cgroup (v2) of our own, or None where the machine has none to give."""
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        path = f"{root}/leased-e2e-{os.getpid()}"
        if os.path.exists(f"{root}/cgroup.procs"):
            try:
                os.mkdir(path)
            except OSError:
                continue
            if os.path.exists(f"{path}/cgroup.kill"):
                return path
            os.rmdir(path)
    return None


@needs_root
def test_a_job_whose_whole_cgroup_is_killed_leaves_nothing(orders, run, measured):
    """As a CI runner ends a cancelled job."""
    made, folder = orders(), cgroup_folder()
    if folder is None:
        pytest.skip("no cgroup v2 here: the process group's test stands for it")
    try:
        it = run(made, *FILE, "--watch",
                 prefix=["sh", "-c", f'echo $$ > {folder}/cgroup.procs; exec "$@"', "sh"]).read()
        assert made.logs_in(it.credential)
        begin = time.monotonic()
        with open(f"{folder}/cgroup.kill", "w", encoding="utf-8") as f:
            f.write("1")
        await_end_of_all(made, it, "the whole cgroup", begin, measured)
        it.lease.wait(10)
    finally:
        until(lambda: "populated 0" in open(f"{folder}/cgroup.events", encoding="utf-8").read(), "nobody is in it any more")
        os.rmdir(folder)


def test_the_grant_ends_with_the_terminal_though_the_program_ignores_it(orders, measured):
    made = orders()
    script = TELL + "trap '' HUP; tell; exec sleep 600"
    terminal = Terminal(made.daemon.command(CONSUMER, "exec", made.role, *FILE, "--", "sh", "-c", script))
    terminal.await_text("/fd/")
    terminal.await_text("\n")
    pid, user, password, path = terminal.text.split()[:4]
    try:
        assert made.logs_in({"username": user, "password": password})
        begin = time.monotonic()
        os.close(terminal.fd)
        until(lambda: not made.logs_in({"username": user, "password": password}), "the credential is dead", 10)
        took = time.monotonic() - begin
        assert lives(int(pid)), "the program lives on without it"
    finally:
        os.kill(int(pid), signal.SIGKILL)
        os.waitpid(terminal.pid, 0)
    assert not os.path.exists(path)
    measured(f"the terminal hung up: login refused within {took * 1000:.0f} ms")
    assert took <= LIMIT_S


def test_the_program_is_in_the_foreground_and_reads_its_terminal(orders):
    made = orders()
    terminal = Terminal(["bash", "--norc", "-i"])
    command = " ".join(made.daemon.command(CONSUMER, "exec", made.role))
    os.write(terminal.fd, f"{command} -- sh -c 'echo up-$((40+2)); read x; echo got-$x'\n".encode())
    terminal.await_text("up-42")
    os.write(terminal.fd, b"hello\n")
    terminal.await_text("got-hello")
    os.write(terminal.fd, b"exit\n")
    terminal.end()


def test_a_program_that_stops_itself_stops_the_job(orders):
    made = orders()
    terminal = Terminal(["bash", "--norc", "-i"])
    command = " ".join(made.daemon.command(CONSUMER, "exec", made.role))
    os.write(terminal.fd, f"{command} -- sh -c 'kill -TSTP $$; echo on-$((40+2))'\n".encode())
    terminal.await_text("Stopped")
    assert "on-42" not in terminal.text
    os.write(terminal.fd, b"fg\n")
    terminal.await_text("on-42")
    os.write(terminal.fd, b"echo code-$?; exit\n")
    text, _ = terminal.end()
    assert "code-0" in text


def rotate(made, lease=None):
    """Rotates what the consumer holds now."""
    held = json.loads(made.daemon.lease(CONSUMER, "ls", "--grants", "-o", "json").stdout)
    (grant,) = [g for g in held if g["state"] not in ("ended", "ending")]
    done = made.daemon.lease(CONSUMER, "rotate", grant["lease"])
    assert done.returncode == 0, done.stderr


def test_a_program_is_started_again_over_ten_rotations(orders, run, measured):
    made = orders(overlap="60s")
    it = run(made, *MAPS, "--watch").read()
    begin = time.monotonic()
    for _ in range(ROTATIONS):
        old, pid = it.credential, it.pid
        rotate(made)
        it.read()
        assert it.credential["username"] != old["username"] and it.pid != pid
        assert made.logs_in(it.credential)
        until(lambda old=old: not made.logs_in(old), "the old one is acknowledged, long before its overlap is over", 10)
    measured(f"{ROTATIONS} rotations with a restart: {time.monotonic() - begin:.1f} s")
    assert not lives(pid)
    it.lease.send_signal(signal.SIGTERM)
    assert it.lease.wait(10) == 128 + signal.SIGTERM
    made.await_dead(it.credential)


ON_HUP = TELL.replace("$DB_USER", "$(cat $USER_FILE)") + "trap tell HUP; tell; while :; do sleep 600 & wait $!; kill $!; done"


def test_a_program_is_told_of_ten_rotations_and_one_that_does_not_end_is_killed(orders, run, measured):
    """The first keeps running, and reads the new credential under the old path. The other one's ten seconds run meanwhile."""
    stubborn, made = orders(overlap="60s"), orders(overlap="60s")
    other = run(stubborn, *MAPS, "--watch", script=TELL + "trap '' TERM; tell; exec sleep 600").read()
    first = other.pid
    rotate(stubborn)
    it = run(made, "--file", "username=USER_FILE", "--file", "password=PW_FILE", "--signal", "HUP", script=ON_HUP).read()
    pid, path, begin, seen = it.pid, it.path, time.monotonic(), [it.credential]
    for _ in range(ROTATIONS):
        rotate(made)
        it.read()
        assert (it.pid, it.path) == (pid, path)
        assert it.credential["username"] != seen[-1]["username"]
        assert made.logs_in(it.credential)
        seen.append(it.credential)
    measured(f"{ROTATIONS} rotations with a signal: {time.monotonic() - begin:.1f} s")
    until(lambda: len(made.lease_ids()) == 1, "the last old one is acknowledged, too, long before its overlap is over", 20)
    assert made.logs_in(it.credential)
    os.kill(pid, signal.SIGKILL)
    made.await_dead(it.credential)
    other.read()
    assert other.pid != first and not lives(first) and stubborn.logs_in(other.credential)


def test_a_program_that_ends_is_not_started_again(orders, run):
    made = orders(overlap="60s")
    it = run(made, *MAPS, "--watch", script=TELL + 'tell; [ -e $FLAG ] && exit 9; : > $FLAG; exec sleep 600'.replace(
        "$FLAG", f"/tmp/leased-e2e-flag-{made.role}")).read()
    try:
        rotate(made)
        it.read()
        assert it.lease.wait(20) == 9, "what was started again and ends at once isn't started for ever"
        made.await_dead(it.credential)
    finally:
        os.unlink(f"/tmp/leased-e2e-flag-{made.role}")


def two_roles(world, start, name):
    for which in "ab":
        world.bao.database_role(f"{name}-{which}")
    roles = {f"{name}-{which}": {"backend": "bao", "path": f"database/creds/{name}-{which}"} for which in "ab"}
    rules = [{"name": "consumers", "subjects": [{"user": CONSUMER}], "roles": ["*-a", "*-b"]}]
    return start({**roles, "closed": {"backend": "bao", "path": f"database/creds/{name}-a"}}, rules)


def test_several_roles_come_together_or_not_at_all(world, start):
    daemon = two_roles(world, start, "pair")
    done = daemon.lease(CONSUMER, "exec", "pair-a", "pair-b", "--map", "pair-a.password=A", "--file", "pair-b.password=B", "--", "sh", "-c",
                        'echo "$PAIR_A_USERNAME $A $PAIR_B_USERNAME $(cat $B)"')
    assert done.returncode == 0, done.stderr
    a_user, a_password, b_user, b_password = done.stdout.split()
    assert a_user != b_user and a_password != b_password
    assert not world.postgres.psql("SELECT 1", a_user, a_password)[0], "both have ended"
    done = daemon.lease(CONSUMER, "exec", "pair-a", "closed", "pair-b", "--", "echo", "ran")
    assert done.returncode == 125 and "could not get closed: denied" in done.stderr and "ran" not in done.stdout
    assert not world.bao.lease_ids("pair-a") and not world.bao.lease_ids("pair-b"), "what was granted before is ended"
    done = daemon.lease(CONSUMER, "exec", "pair-a", "pair-b", "--map", "password=SAME", "--", "echo", "ran")
    assert done.returncode == 125 and "pair-a and pair-b both claim the variable SAME" in done.stderr


@pytest.mark.parametrize("script, code", [("exit 0", 0), ("exit 42", 42), ("kill -KILL $$", 137), ("kill -SEGV $$", 139), ("kill -INT $$", 130)])
def test_the_exit_code_is_the_programs(orders, script, code):
    assert (made := orders()).daemon.lease(CONSUMER, "exec", made.role, "--", "sh", "-c", script).returncode == code


def test_signals_reach_the_program(orders, run):
    made = orders()
    names = ["HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "URG", "WINCH", "CONT", "PWR"]
    traps = "\n".join(f"trap 'echo 1 {name} x' {name}" for name in names)
    it = run(made, script=f"{traps}\necho 1 ready x\nwhile :; do sleep 600 & wait $!; kill $!; done")
    assert it.read().credential["username"] == "ready"
    for name in names:
        it.lease.send_signal(getattr(signal, f"SIG{name}"))
        assert it.read().credential["username"] == name


@needs_root
def test_it_is_a_containers_first_process(orders, world, run):
    """It passes TERM on, reaps whoever lost their parent, and leaves with the program's code. Such a process is another container's to
    leased, so it comes over TCP, where nothing can be bound to it and `lease exec` itself ends the grant."""
    port = free_port()
    rules = [{"name": "consumers", "subjects": [{"user": CONSUMER}], "roles": ["*"], "limits": {"binding": ["process", "none"]}}]
    made = orders(rules=rules, config={"more_listeners": [{"name": "tcp", "tcp": f"127.0.0.1:{port}"}]})
    script = r"""
(sh -c 'sleep 0.1 & echo $! >/dev/null' &) ; trap 'echo "1 term $(ps -eo stat= 2>/dev/null | grep -c ^Z)"; exit 7' TERM
echo "1 $$ x"; while :; do sleep 600 & wait $!; kill $!; done
"""
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *as_user(CONSUMER), world.program("lease"), "exec", "--addr",
               f"http://127.0.0.1:{port}", made.role, "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(), cwd="/") as it:
        line = it.stdout.readline()
        assert line.split()[1] != "1", it.stderr.read()
        with open(f"/proc/{it.pid}/task/{it.pid}/children", encoding="utf-8") as f:
            first = int(f.read().split()[0])
        until(lambda: subprocess.run(["pgrep", "-P", str(first), "-r", "Z"], capture_output=True, check=False).returncode == 1, "it reaps")
        os.kill(first, signal.SIGTERM)
        assert it.stdout.readline().split() == ["1", "term", "0"]
        assert it.wait(20) == 7
    until(lambda: not made.lease_ids(), "its credential is dead")
