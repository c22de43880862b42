"""A consumer that follows its credential: logs in to PostgreSQL again and again, from several threads, while another one watches
and takes over each new version. Prints a JSON object a line: each version that it has moved over to, and at its end (stdin is
closed) how often it has logged in and how often that failed.

    watching_client.py SOCKET ROLE POSTGRES_PORT LOGINS_PER_S
"""
import http.client
import json
import socket
import sys
import threading
import time

import psycopg2

SOCKET, ROLE, PORT, RATE = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
THREADS = 3


class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def call(method, path):
    connection = Unix("localhost")
    connection.request(method, f"/leased/v1{path}", headers={"X-Leased-Request": "1"})
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    if answer.status != 200:
        raise OSError(f"{method} {path}: {body}")
    return body


def say(**what):
    print(json.dumps(what), flush=True)


class Consumer:
    def __init__(self):
        self.current = call("GET", f"/credentials/{ROLE}")
        self.locks = [threading.Lock() for _ in range(THREADS)]
        self.logins = self.failed = 0
        self.count = threading.Lock()
        self.is_over = False
        self.last_id = ""
        self.said = self.current["version"]  # the version that it has moved over to

    def log_in(self):
        fields = self.current["credential"]
        try:
            psycopg2.connect(host="127.0.0.1", port=PORT, dbname="postgres", user=fields["username"],
                             password=fields["password"]).close()
            return True
        except psycopg2.Error as e:
            say(failed=fields["username"], version=self.current["version"], why=str(e))
            return False

    def work(self, lock):
        due = time.monotonic()
        while not self.is_over:
            with lock:
                is_in = self.log_in()
            with self.count:
                self.logins += 1
                self.failed += not is_in
            due += THREADS / RATE
            time.sleep(max(0, due - time.monotonic()))

    def take_over(self, version):
        if version > self.current["version"]:
            self.current = call("GET", f"/credentials/{ROLE}")
        if self.current["version"] == self.said:
            return
        for lock in self.locks:  # who began with the old one has ended
            with lock:
                pass
        call("POST", f"/leases/{self.current['lease']}/ack?grant={self.current['grant']}")
        self.said = self.current["version"]
        say(version=self.current["version"], lease=self.current["lease"])

    def watch(self):
        connection = Unix("localhost")
        connection.request("GET", f"/leased/v1/watch?role={ROLE}", headers={"X-Leased-Request": "1", "Last-Event-ID": self.last_id})
        event = data = last_id = ""
        for line in connection.getresponse():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                last_id = value
            elif name == "event":
                event = value
            elif name == "data":
                data = value
            elif not name and not value:
                if event == "credential":
                    self.take_over(json.loads(data)["version"])
                event, self.last_id = "", last_id or self.last_id  # what has failed is heard of again

    def follow(self):
        while True:
            try:
                self.watch()
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)


def main():
    it = Consumer()
    threading.Thread(target=it.follow, daemon=True).start()
    workers = [threading.Thread(target=it.work, args=(lock,)) for lock in it.locks]
    begin = time.monotonic()
    for worker in workers:
        worker.start()
    say(version=it.current["version"], lease=it.current["lease"])
    sys.stdin.read()
    it.is_over = True
    for worker in workers:
        worker.join()
    say(logins=it.logins, failed=it.failed, seconds=round(time.monotonic() - begin, 1))


main()
