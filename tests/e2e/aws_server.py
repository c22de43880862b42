"""aws_server.py PORT TRAIL TOKEN_FILE: moto, with what a test needs beside it: a trail of the calls as CloudTrail has them, AWS's rule of
five minutes for signatures, and an identity provider whose only token stands in TOKEN_FILE (moto takes any, unsigned). Keys whose ids stand in TRAIL.expired have expired."""
import datetime
import io
import json
import os
import sys
import urllib.parse

from moto import settings
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

ERROR = ('<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message>'
         '</Error><RequestId>r</RequestId></ErrorResponse>')


class Server:
    def __init__(self, trail, token_file):
        self.trail, self.token_file = trail, token_file
        self.expired = f"{trail}.expired"
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        form = dict(urllib.parse.parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        status = []

        def started(line, headers, *more):
            status.append(int(line.split()[0]))
            return start_response(line, headers, *more)

        problem = self.problem(environ, form)
        if problem:
            started("403 Forbidden", [("Content-Type", "text/xml"), ("Date", self.now().strftime("%a, %d %b %Y %H:%M:%S GMT"))])
            answer = [ERROR.format(*problem).encode()]
        else:
            answer = self.pass_on(environ, form, started)
        if "Action" in form:
            self.record(environ, form, status[0])
        return answer

    def pass_on(self, environ, form, started):
        before = settings.INITIAL_NO_AUTH_ACTION_COUNT
        if form.get("Action") == "AssumeRoleWithWebIdentity":  # its token was looked at; moto asks for a signature
            settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
        try:
            return list(self.moto(environ, started))
        finally:
            if form.get("Action") == "AssumeRoleWithWebIdentity":
                settings.INITIAL_NO_AUTH_ACTION_COUNT = before

    @staticmethod
    def now():
        return datetime.datetime.now(datetime.timezone.utc)

    def problem(self, environ, form):
        """(code, message) of what AWS would refuse and moto takes."""
        signed_at = environ.get("HTTP_X_AMZ_DATE")
        if signed_at:
            moment = datetime.datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
            if abs((self.now() - moment).total_seconds()) > 300:
                return "SignatureDoesNotMatch", f"Signature expired: {signed_at} is now earlier than the rest (- 5 min.)"
        if os.path.exists(self.expired):
            with open(self.expired, encoding="utf-8") as f:
                if self.signed_by(environ) in f.read().split():
                    return "ExpiredToken", "The security token included in the request is expired"
        if form.get("Action") == "AssumeRoleWithWebIdentity":
            with open(self.token_file, encoding="utf-8") as f:
                if form.get("WebIdentityToken") != f.read() or "HTTP_AUTHORIZATION" in environ:
                    return "InvalidIdentityToken", "The web identity token that was passed could not be validated"
        return None

    @staticmethod
    def signed_by(environ):
        return environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition("/")[0]

    def record(self, environ, form, status):
        kept = {key: value for key, value in form.items() if key != "WebIdentityToken"}
        with open(self.trail, "a", encoding="utf-8") as f:
            f.write(json.dumps({"signed_by": self.signed_by(environ), "status": status, **kept}) + "\n")


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), Server(*sys.argv[2:4]), threaded=False, request_handler=MotoRequestHandler)
