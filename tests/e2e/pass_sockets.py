"""NAMES DESCRIPTOR… -- COMMAND: runs the command with these descriptors from 3 on, as systemd passes sockets."""
import fcntl
import os
import sys

split = sys.argv.index("--")
# First out of the way, so that none is overwritten before it is moved.
descriptors = [fcntl.fcntl(int(text), fcntl.F_DUPFD, 64) for text in sys.argv[2:split]]
for i, descriptor in enumerate(descriptors):
    os.dup2(descriptor, 3 + i)
    os.close(descriptor)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(descriptors)), LISTEN_FDNAMES=sys.argv[1])
os.execvp(sys.argv[split + 1], sys.argv[split + 1:])
