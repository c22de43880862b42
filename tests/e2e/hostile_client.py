"""A client that misbehaves, run as some user: hostile_client.py ACT SOCKET [ARGUMENTS]. Prints JSON.

  targets SOCKET           a GET for each target that comes in as a JSON list; [[status, body], …]
  walk-away SOCKET PATH N  sends N requests on connections of their own and closes them at once
  hold SOCKET N            opens up to N connections and keeps them until its stdin ends; how many it got
  flood SOCKET N           N connections, those that are served kept open; says "begun", then [refused, kept]
  stop-reading SOCKET PATH asks for PATH when no more answers fit into the socket, reads nothing until it is hung up on; what came then
  burst SOCKET PATH N      N requests, each on a connection of its own, which it keeps; says "sent", then {status: count}
"""
import collections
import json
import select
import socket
import sys

GUARD = b"Host: localhost\r\nX-Leased-Request: 1\r\n"


def connect(path):
    it = socket.socket(socket.AF_UNIX)
    it.settimeout(60)
    it.connect(path)
    return it


def answer(it):
    """(status, body); (0, "") when the server hung up."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = it.recv(65536)
        if not more:
            return 0, ""
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length and (more := it.recv(65536)):
        body += more
    return int(head.split()[1]), body.decode()


def ask(path, target):
    """`target`: a text of code points below 256, as bytes."""
    try:
        with connect(path) as it:
            it.sendall(b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\n" + GUARD + b"\r\n")
            return answer(it)
    except OSError:
        return 0, ""


def targets(path):
    return [ask(path, target) for target in json.load(sys.stdin)]


def walk_away(path, target, count):
    for _ in range(int(count)):
        with connect(path) as it:
            it.sendall(f"GET {target} HTTP/1.1\r\n".encode() + GUARD + b"\r\n")
    return int(count)


def hold(path, count):
    held = []
    for _ in range(int(count)):
        try:
            held.append(connect(path))
        except OSError:
            break
    print(len(held), flush=True)
    sys.stdin.read()
    return len(held)


def flood(path, count):
    held, refused = [], 0
    for i in range(int(count)):
        it = connect(path)
        try:
            it.sendall(b"GET /livez HTTP/1.1\r\n" + GUARD + b"\r\n")
            status = answer(it)[0]
        except OSError:  # refused and closed before all was sent
            status = 503
        if status == 200:
            held.append(it)
        else:
            refused += 1
            it.close()
        if i == 300:
            print("begun", flush=True)
    return [refused, len(held)]


def request(target):
    return f"GET {target} HTTP/1.1\r\n".encode() + GUARD + b"\r\n"


def read_late(path, requests):
    """Sends all of them and reads nothing before the server has hung up; what the socket had room for."""
    with connect(path) as it:
        it.sendall(requests)
        poll = select.poll()
        poll.register(it, 0)
        assert poll.poll(60000), "the server waits on"
        data = b""
        try:
            while more := it.recv(65536):
                data += more
        except ConnectionResetError:  # it has left requests unread; its answers come before that
            pass
    return data


def stop_reading(path, target):
    # An answer is sent when there is any room, and how many make it full is the kernel's affair: the first connection finds out.
    count = read_late(path, request("/livez") * 1000).count(b"HTTP/1.1 200")
    assert 0 < count < 1000, count
    data = read_late(path, request("/livez") * count + request(target))
    return [count, data.count(b"HTTP/1.1 200"), data.decode()]


def burst(path, target, count):
    held = [connect(path) for _ in range(int(count))]
    for it in held:
        it.sendall(f"GET {target} HTTP/1.1\r\n".encode() + GUARD + b"\r\n")
    print("sent", flush=True)
    print(json.dumps(collections.Counter(answer(it)[0] for it in held)), flush=True)
    sys.stdin.read()


ACTS = {"targets": targets, "walk-away": walk_away, "hold": hold, "flood": flood, "stop-reading": stop_reading, "burst": burst}

if __name__ == "__main__":
    result = ACTS[sys.argv[1]](*sys.argv[2:])
    if result is not None:
        print(json.dumps(result))
