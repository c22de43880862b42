"""Small stand-ins for what Vault's engines speak to: RabbitMQ's management API and a Kubernetes API server."""
import base64
import http.server
import json
import threading
import time


class FakeApi:
    """Answers by `handle(method, path, body, headers)` -> (status, object); remembers who exists in `users`, and the calls."""

    def __init__(self):
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = api.handle(self.command, self.path, body, self.headers)
                payload = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.users, self.calls = {}, []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def handle(self, method, path, body, headers):
        raise NotImplementedError

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class RabbitMq(FakeApi):
    def handle(self, method, path, body, headers):
        self.calls.append((method, path))
        name = path.rsplit("/", 1)[-1]
        if path.startswith("/api/users/") and method == "PUT":
            self.users[name] = json.loads(body)
            return 201, None
        if path.startswith("/api/users/") and method == "DELETE":
            return (204, None) if self.users.pop(name, None) else (404, {"error": "Object Not Found"})
        return (201, None) if method == "PUT" else (200, [])


def unchecked_jwt(lifetime_s):
    def part(value):
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    now = int(time.time())
    return ".".join((part(b'{"alg":"RS256"}'), part(json.dumps({"iat": now, "exp": now + lifetime_s}).encode()), part(b"none")))


class Kubernetes(FakeApi):
    """Grants tokens for service accounts: POST …/namespaces/NS/serviceaccounts/NAME/token (asked for in protobuf, which isn't read)."""

    lifetime_s = 900

    def handle(self, method, path, body, headers):
        self.calls.append((method, path))
        if method != "POST" or not path.endswith("/token"):
            return 404, {"kind": "Status", "code": 404}
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.lifetime_s))
        return 201, {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
                     "status": {"token": unchecked_jwt(self.lifetime_s), "expirationTimestamp": end}}
