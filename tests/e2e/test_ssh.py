"""`lease ssh`: a real ssh logs in to a real sshd with a certificate that no file ever held."""
import os
import signal
import struct
import subprocess

import pytest
from conftest import CONSUMER, STRANGER, needs_root
from servers import IS_ROOT, as_user, clean_environment, until
from test_localca import SSH_USER, ca, run, sshd, write  # noqa: F401  pylint: disable=unused-import

pytestmark = needs_root  # sshd logs in another user


def ssh_words(port, command="id -un"):
    return ["ssh", "-F", "none", "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
            "-o", "IdentityFile=none", "-o", "LogLevel=ERROR", f"{SSH_USER}@127.0.0.1", command]


def lease_ssh(it, role, *words, user=CONSUMER, **environment):
    """`lease ssh` to its end."""
    return subprocess.run([*as_user(user), it.daemon.world.program("lease"), "ssh", "--socket", it.daemon.socket, role, *words], text=True,
                          capture_output=True, check=False, timeout=60, cwd="/", stdin=subprocess.DEVNULL,
                          env=clean_environment(HOME="/nonexistent", **environment))


def is_revoked(it, certificate):
    path = write(it.path(f"seen-{abs(hash(certificate))}.pub"), certificate, 0o644)
    return "REVOKED" in run("ssh-keygen", "-Q", "-f", it.path("ssh.krl"), path).stdout


class Agent:
    """A long-running one."""

    def __init__(self, it, role, user=CONSUMER):
        self.folder = it.path(f"agent-{role}")
        os.mkdir(self.folder)
        os.chmod(self.folder, 0o777)
        self.path, self.user = f"{self.folder}/socket", user
        self.process = subprocess.Popen([*as_user(user), it.daemon.world.program("lease"), "ssh", "--socket", it.daemon.socket, role, "--agent",
                                         self.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/", env=clean_environment())
        assert self.process.stdout.readline() == f"SSH_AUTH_SOCK={self.path}; export SSH_AUTH_SOCK;\n", self.process.stderr.read()

    def run(self, *words, user=None):
        done = subprocess.run([*as_user(user or self.user), *words], capture_output=True, text=True, check=False, timeout=60, cwd="/",
                              stdin=subprocess.DEVNULL, env=clean_environment(SSH_AUTH_SOCK=self.path, HOME="/nonexistent"))
        return done.returncode, done.stdout.strip(), done.stderr

    def certificate(self):
        return self.run("ssh-add", "-L")[1]

    def end(self, number=signal.SIGTERM):
        # setpriv has become lease, so this is its pid.
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@pytest.fixture
def agent(ca):  # noqa: F811  pylint: disable=redefined-outer-name
    started = []

    def starter(role):
        started.append(Agent(ca, role))
        return started[-1]
    yield starter
    for it in started:
        if it.process.poll() is None:
            it.end(signal.SIGKILL)


def test_ssh_logs_in_and_the_certificate_ends_with_it(ca, sshd):  # noqa: F811  pylint: disable=redefined-outer-name
    server = sshd(f"RevokedKeys {ca.path('ssh.krl')}")
    runtime = ca.path("runtime")
    os.mkdir(runtime)
    os.chmod(runtime, 0o777)
    done = lease_ssh(ca, "ssh", "--", *ssh_words(server.port), XDG_RUNTIME_DIR=runtime)
    assert (done.returncode, done.stdout) == (0, f"{SSH_USER}\n"), done.stderr
    done = lease_ssh(ca, "ssh", "--", "ssh-add", "-L", XDG_RUNTIME_DIR=runtime)
    assert done.returncode == 0 and done.stdout.startswith("ssh-ed25519-cert-v01@openssh.com "), done.stderr
    assert is_revoked(ca, done.stdout)
    assert os.listdir(runtime) == []
    assert lease_ssh(ca, "ssh", "--", *ssh_words(server.port, "exit 7")).returncode == 7


def test_its_exit_codes_and_mistakes(ca):  # noqa: F811  pylint: disable=redefined-outer-name
    assert lease_ssh(ca, "nobody", "--", "true").returncode == 4
    assert lease_ssh(ca, "ssh", "--", "true", user=STRANGER).returncode == 3
    done = lease_ssh(ca, "client", "--", "true")
    assert done.returncode == 1 and "certificate" in done.stderr
    assert lease_ssh(ca, "ssh", "--", "/nonexistent").returncode == 127
    assert lease_ssh(ca, "ssh", "--", "sh", "-c", "kill -TERM $$").returncode == 143
    assert lease_ssh(ca, "ssh").returncode == 64
    assert lease_ssh(ca, "ssh", "--agent", "relative").returncode == 64


def test_an_agent_serves_until_it_is_told_to_end(ca, sshd, agent):  # noqa: F811  pylint: disable=redefined-outer-name
    server, it = sshd(f"RevokedKeys {ca.path('ssh.krl')}"), agent("ssh")
    assert it.run(*ssh_words(server.port))[:2] == (0, SSH_USER)
    certificate = it.certificate()
    assert it.end() == 0 and not os.path.exists(it.path)
    assert is_revoked(ca, certificate)


def test_the_certificate_of_a_killed_agent_is_revoked(ca, agent):  # noqa: F811  pylint: disable=redefined-outer-name
    it = agent("ssh")
    certificate = it.certificate()
    it.end(signal.SIGKILL)
    until(lambda: is_revoked(ca, certificate), "it is in the KRL", 10)
    # Its socket, which answers nobody, is no obstacle.
    os.rename(it.folder, f"{it.folder}-old")
    again = agent("ssh")
    again.end(signal.SIGKILL)
    os.rename(f"{it.folder}-old/socket", f"{it.folder}/socket")
    done = subprocess.Popen([*as_user(CONSUMER), ca.daemon.world.program("lease"), "ssh", "--socket", ca.daemon.socket, "ssh", "--agent", it.path],
                            stdout=subprocess.PIPE, text=True, cwd="/", env=clean_environment())
    assert done.stdout.readline().startswith("SSH_AUTH_SOCK=")
    done.terminate()
    assert done.wait(timeout=30) == 0
    done.stdout.close()


def test_a_certificate_is_replaced_before_its_end(ca, sshd, agent):  # noqa: F811  pylint: disable=redefined-outer-name
    server, it = sshd(), agent("ssh-short")

    def logs_in():  # where it takes long, a certificate of four seconds may end on the way
        return it.run(*ssh_words(server.port))[:2] == (0, SSH_USER)
    first = it.certificate()
    until(logs_in, "the first login", 30)
    until(lambda: it.certificate() not in ("", first), "another one is there", 30)
    until(logs_in, "a login with it", 30)


def test_nothing_can_be_put_in_and_nobody_else_asks(ca, agent):  # noqa: F811  pylint: disable=redefined-outer-name
    it = agent("ssh")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{it.folder}/k")
    os.chown(f"{it.folder}/k", int(run("id", "-u", CONSUMER).stdout), -1)
    certificate = it.certificate()
    for words in (["ssh-add", f"{it.folder}/k"], ["ssh-add", "-D"], ["ssh-add", "-d", f"{it.folder}/k.pub"]):
        assert it.run(*words)[0] != 0
    assert it.certificate() == certificate
    assert it.run("ssh-add", "-L", user=STRANGER)[0] != 0  # by the mode
    assert IS_ROOT and it.run("ssh-add", "-L", user="root")[0] != 0  # by the uid
    assert it.certificate() == certificate


LIST = struct.pack(">IB", 1, 11)


def talk(it, *pieces):
    """Runs as the agent's user; what comes back until the agent hangs up or has answered a final question."""
    code = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(20)\ns.connect(sys.argv[1])\n"
            "for p in sys.argv[2:]:\n try:\n  s.sendall(bytes.fromhex(p))\n except OSError: break\ns.shutdown(1)\nout=b''\n"
            "while True:\n try: b=s.recv(65536)\n except OSError: break\n if not b: break\n out+=b\nprint(out.hex())")
    done = it.run("python3", "-c", code, it.path, *[p.hex() for p in pieces])
    assert done[0] == 0, done[2]
    return bytes.fromhex(done[1])


def test_hostile_clients_are_hung_up_on_and_others_served(ca, agent):  # noqa: F811  pylint: disable=redefined-outer-name
    it = agent("ssh")
    whole = talk(it, LIST)
    assert talk(it, *[LIST[i:i + 1] for i in range(len(LIST))]) == whole
    assert talk(it, LIST * 3) == whole * 3
    assert talk(it, struct.pack(">I", 0)) == b"" and talk(it, struct.pack(">I", 2**31)) == b""
    assert talk(it, struct.pack(">IB", 1, 99) + LIST) == struct.pack(">IB", 1, 5) + whole
    wrong = struct.pack(">IB", 1 + 4 + 3 + 4 + 1 + 4, 13) + struct.pack(">I", 3) + b"key" + struct.pack(">I", 1) + b"x" + struct.pack(">I", 0)
    assert talk(it, wrong) == struct.pack(">IB", 1, 5)
    assert talk(it, struct.pack(">IB", 50000, 13) + b"\xff" * 49999) == struct.pack(">IB", 1, 5)
    assert it.certificate().startswith("ssh-ed25519-cert")
