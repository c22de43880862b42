"""`lease exec` on a terminal: keys reach the program once, job control works, colours appear there alone."""
import os
import pty
import re
import signal

import pytest
from conftest import CONSUMER
from servers import clean_environment, until

COUNT_INTERRUPTS = """
n=0; trap 'n=$((n+1))' INT; echo ready
i=0; while [ $i -lt 40 ]; do sleep 0.05; i=$((i+1)); done
echo "interrupts: $n"
"""


class Terminal:
    """A command as the foreground job of a terminal of its own."""

    def __init__(self, command, **environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # Who runs the tests in the background, or by nohup, has these ignored.
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            os.chdir("/")
            os.execvpe(command[0], command, clean_environment(TERM="xterm", **environment))
        self.text = ""

    def read(self):
        try:
            self.text += os.read(self.fd, 65536).decode()
            return True
        except OSError:
            return False

    def await_text(self, text):
        while text not in self.text:
            assert self.read(), f"the program has ended: {self.text}"

    def end(self):
        """All output, and the exit code."""
        while self.read():
            pass
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return self.text, os.waitstatus_to_exitcode(status)


def test_ctrl_c_reaches_the_program_once(orders):
    made = orders()
    terminal = Terminal(made.daemon.command(CONSUMER, "exec", made.role, "--", "bash", "-c", COUNT_INTERRUPTS))
    terminal.await_text("ready")
    os.write(terminal.fd, b"\x03")
    text, code = terminal.end()
    assert "interrupts: 1" in text
    assert code == 0


def test_ctrl_c_that_kills_the_program_is_130_and_ends_the_credential(orders):
    made = orders()
    terminal = Terminal(made.daemon.command(CONSUMER, "exec", made.role, "--", "sh", "-c", "echo ready; exec sleep 60"))
    terminal.await_text("ready")
    os.write(terminal.fd, b"\x03")
    _, code = terminal.end()
    assert code == 128 + signal.SIGINT
    assert not made.lease_ids()


def test_ctrl_z_stops_both_and_they_go_on_together(orders):
    made = orders()
    terminal = Terminal(["bash", "--norc", "-i"])
    command = " ".join(made.daemon.command(CONSUMER, "exec", made.role))
    os.write(terminal.fd, f"{command} -- sh -c 'echo up-$((40+2)); sleep 0.2; echo on-$((40+2))'\n".encode())
    terminal.await_text("up-42")
    os.write(terminal.fd, b"\x1a")
    terminal.await_text("Stopped")
    assert "on-42" not in terminal.text
    os.write(terminal.fd, b"fg\n")
    terminal.await_text("on-42")
    os.write(terminal.fd, b"echo code-$?; exit\n")
    text, _ = terminal.end()
    assert "code-0" in text


@pytest.mark.parametrize("environment, has_color", [({}, True), ({"NO_COLOR": "1"}, False)], ids=["colour", "NO_COLOR"])
def test_colours_are_for_terminals_and_never_with_no_color(orders, shell, environment, has_color):
    made = orders()
    script = shell(made.daemon)
    script.get(made.role)
    text, code = Terminal(made.daemon.command(CONSUMER, "ls"), **environment).end()
    assert code == 0
    assert bool(re.search(r"\033\[\d+m", text)) is has_color
    assert "\033[" not in script.run("lease ls")[1]


def test_a_hang_up_of_the_terminal_ends_program_and_credential(orders):
    made = orders()
    terminal = Terminal(made.daemon.command(CONSUMER, "exec", made.role, "--", "sh", "-c", "echo ready; exec sleep 60"))
    terminal.await_text("ready")
    os.close(terminal.fd)
    until(lambda: not made.lease_ids(), "the credential is dead")
    assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) == 128 + signal.SIGHUP
