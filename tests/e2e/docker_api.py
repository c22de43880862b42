"""As much of a docker daemon as `docker create` and `docker pull` need; keeps what they bring."""
import base64
import http.server
import json
import os
import socketserver
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "client"

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def do_GET(self):
        self.answer(200, {})
    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        login = self.headers.get("X-Registry-Auth")
        if "/images/create" in self.path:
            self.server.logins.append(json.loads(base64.urlsafe_b64decode(login)) if login else None)
            self.answer(200, {"status": "done"})
        else:
            self.server.environments.append(json.loads(body)["Env"])
            self.answer(201, {"Id": "c1", "Warnings": []})


class DockerApi(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path):
        super().__init__(path, Handler)
        os.chmod(path, 0o666)
        self.environments, self.logins = [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()
