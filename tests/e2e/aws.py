"""An AWS for tests/e2e and scripts/demo: moto with IAM's checks on, one user for leased, and roles."""
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import urllib.request

import boto3
from botocore.config import Config

from servers import Server, accepts, as_user, clean_environment, free_port, give_to

REGION, ACCOUNT = "eu-west-1", "123456789012"
USER = f"arn:aws:iam::{ACCOUNT}:user/leased"
HERE = os.path.dirname(os.path.abspath(__file__))


def arn(role):
    return f"arn:aws:iam::{ACCOUNT}:role/{role}"


def allow(*actions, resource="*"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": resource}]})


def python_with_boto3(user, folder):
    """(program, environment) for this user: the venv's, or a copy where the tree lies where he can't go."""
    if subprocess.run([*as_user(user), "test", "-r", boto3.__file__], check=False).returncode == 0:
        return sys.executable, {}
    packages, copy = sysconfig.get_path("purelib"), f"{folder}/python"
    if not os.path.isdir(copy):
        os.mkdir(copy, 0o755)
        for name in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3"):
            shutil.copytree(f"{packages}/{name}", f"{copy}/{name}")
        shutil.copy2(f"{packages}/six.py", copy)
    return "/usr/bin/python3", {"PYTHONPATH": copy}


class Aws(Server):
    """`leased` signs with the keys in `credentials_file`; `token_file` holds the one web identity token that is known."""

    def __init__(self, folder):
        super().__init__("moto", f"{folder}/moto.log")
        self.port, self.trail = free_port(), f"{folder}/aws-trail.jsonl"
        self.credentials_file, self.token_file = f"{folder}/aws-credentials", f"{folder}/aws-token"
        self.address = f"http://127.0.0.1:{self.port}"
        self.keys = {}

    def start(self):
        self.write(self.token_file, "the.web.identity", 0o444)
        self.spawn([sys.executable, f"{HERE}/aws_server.py", str(self.port), self.trail, self.token_file],
                   env=clean_environment(INITIAL_NO_AUTH_ACTION_COUNT="inf", AWS_DEFAULT_REGION=REGION, PYTHONDONTWRITEBYTECODE="1"), cwd="/")
        self.await_ready(lambda: accepts(self.port))
        iam = self.client("iam", {"access_key_id": "AKIAADMIN", "secret_access_key": "x"})
        iam.create_user(UserName="leased")
        made = iam.create_access_key(UserName="leased")["AccessKey"]
        self.keys = {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]}
        iam.put_user_policy(UserName="leased", PolicyName="p", PolicyDocument=allow("sts:*", "iam:PutRolePolicy"))
        self.iam = iam
        self.write_credentials()
        return self

    @staticmethod
    def write(path, text, mode=0o400):
        if os.path.exists(path):
            os.unlink(path)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, mode), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        give_to(path, "leased")

    def write_credentials(self, **changes):
        keys = {**self.keys, **changes}
        self.write(self.credentials_file, "[default]\n" + "".join(f"aws_{key} = {value}\n" for key, value in keys.items()))

    def role(self, name, policy=allow("iam:ListUsers"), principal=None):
        """A role that `principal` may assume; before IAM's checks are on."""
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": principal or USER}, "Action": "sts:AssumeRole"}]}
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)

    def check_signatures(self):
        """From now on every call must be signed, and allowed."""
        request = urllib.request.Request(f"{self.address}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}, method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def expire(self, access_key_id):
        with open(f"{self.trail}.expired", "a", encoding="utf-8") as f:
            f.write(f"{access_key_id}\n")

    def client(self, service, fields):
        """boto3 with what leased issued."""
        return boto3.client(service, endpoint_url=self.address, region_name=REGION, aws_access_key_id=fields["access_key_id"],
                            aws_secret_access_key=fields["secret_access_key"], aws_session_token=fields.get("session_token"),
                            config=Config(retries={"total_max_attempts": 1}))

    def backend(self, **changes):
        """leased's own keys for it."""
        source = {"type": "file", "credentials_file": self.credentials_file}
        return {"plugin": "aws", "region": REGION, "endpoint": self.address, "iam_endpoint": self.address, "source": source, **changes}

    def calls(self, action):
        """The trail: what was asked of AWS, by whom."""
        with open(self.trail, encoding="utf-8") as f:
            records = [json.loads(line) for line in f]
        return [record for record in records if record.get("Action") == action]
