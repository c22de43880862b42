"""Issuers of the tests that check every part of a request by the published wire format, and refuse what isn't exactly so."""
import http.server
import json
import ssl
import threading
import time


class Refused(Exception):
    """An answer of its own: a status and what is said."""

    def __init__(self, status, body):
        super().__init__(status, body)
        self.status, self.body = status, body


class StrictApi:
    """`handle(request)` gives (status, object or None), or raises Refused. What it is to answer instead, once each, waits in `faults`:
    dictionaries with status, headers, body (bytes), pause_s, and `on`: a part of the path that it is for."""

    def __init__(self, context=None):
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                if context:
                    self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def answer(self):
                self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, payload = api.answer(self)
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(payload)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_DELETE = answer

            def date_time_string(self, timestamp=None):
                return super().date_time_string(api.now() if timestamp is None else timestamp)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """Whoever went away, or sent no TLS."""

        self.clock_off_s, self.faults, self.calls, self.lock = 0, [], [], threading.RLock()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"{'https' if context else 'http'}://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def now(self):
        return time.time() + self.clock_off_s

    def answer(self, request):
        fault = self.next_fault(request)
        if fault:
            time.sleep(fault.get("pause_s", 0))
            if "status" in fault:
                return fault["status"], fault.get("headers", {}), fault.get("body", b"")
        with self.lock:
            self.calls.append((request.command, request.path))
            try:
                status, body = self.handle(request)
            except Refused as refused:
                status, body = refused.status, refused.body
        return status, {}, b"" if body is None else json.dumps(body).encode()

    def next_fault(self, request):
        with self.lock:
            for fault in self.faults:
                if fault.get("on", "") in request.path:
                    self.faults.remove(fault)
                    return fault
        return None

    def handle(self, request):
        raise NotImplementedError

    def count(self, method, path):
        with self.lock:
            return sum(call == (method, path) for call in self.calls)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def tls_context(pki):
    """Of a server that knows clients by certificates of the same CA, where they show one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server, pki.server_key)
    context.load_verify_locations(pki.ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context
