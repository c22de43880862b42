"""Cgroups of jobs, as a service manager or a CI runner makes them: for root, where cgroup v2 is mounted."""
import contextlib
import os
import tempfile

MOUNTS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")


def mount():
    """Where cgroups can be made; None: nowhere."""
    return next((it for it in MOUNTS if os.access(f"{it}/cgroup.procs", os.W_OK) and os.path.exists(f"{it}/cgroup.subtree_control")), None)


class Cgroup:
    def __init__(self, name="job", parent=None, is_exact=False):
        if is_exact:
            self.path = f"{parent}/{name}"
            os.mkdir(self.path, 0o755)
            return
        self.path = tempfile.mkdtemp(prefix="leased-e2e-", suffix=f"-{name}", dir=parent or mount())
        os.chmod(self.path, 0o755)  # as the kernel makes them

    def enter(self):
        """What to put before a command so that it runs in here."""
        return ["sh", "-c", f'echo $$ >{self.path}/cgroup.procs && exec "$@"', "enter"]

    def pids(self):
        with open(f"{self.path}/cgroup.procs", encoding="utf-8") as f:
            return [int(line) for line in f]

    def kill(self):
        """All of it, at once, as a service manager ends what doesn't end by itself."""
        with open(f"{self.path}/cgroup.kill", "w", encoding="utf-8") as f:
            f.write("1")

    def remove(self):
        with contextlib.suppress(FileNotFoundError):
            self.kill()
            while self.pids():
                pass
            os.rmdir(self.path)
