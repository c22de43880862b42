"""`demo --aws`: a role of AWS for a job. The story is told while it is checked; scripts/demo has set up and built before."""
import json
import os
import signal
import subprocess
import sys
import time

from demo import CONSUMER, TOP, check, paint, say, show, stop  # also finds tests/e2e
from aws import REGION, Aws, allow, arn, python_with_boto3
from botocore.exceptions import ClientError
from servers import Failed, World, clean_environment, until

REASON = "CHG-7: roll out the shop"
JOB = """
import boto3, json, os, sys
def client(service): return boto3.client(service, endpoint_url=sys.argv[1])
print(client("sts").get_caller_identity()["Arn"])
print([user["UserName"] for user in client("iam").list_users()["Users"]])
print(json.dumps({key: os.environ["AWS_" + key.upper()] for key in ("access_key_id", "secret_access_key", "session_token")}), flush=True)
sys.stdin.read()
"""
TAGGED = {"session_name": "${identity.user}-${reason}", "source_identity": "${identity.user}",
          "tags": {"user": "${identity.user}", "reason": "${reason}"}, "transitive_tags": ["user"]}


def start(world):
    say("1. An AWS that checks signatures, trust and permissions, and leased beside it")
    aws = Aws(world.folder).start()
    world.daemons.append(aws)
    aws.role("deploy", allow("iam:ListUsers"))
    aws.role("backup", allow("iam:ListUsers"), principal=arn("nobody"))
    aws.check_signatures()
    show(f"moto on {aws.address}; leased signs with the keys of user leased, whom {arn('deploy')} trusts")
    roles = {"deploy": {"backend": "aws", "role_arn": arn("deploy"), "revoke": "deny-older", **TAGGED},
             "backup": {"backend": "aws", "role_arn": arn("backup")}}
    daemon = world.daemon(roles, [{"name": "ci-may-deploy", "subjects": [{"user": CONSUMER}], "roles": ["*"]}], backends={"aws": aws.backend()})
    daemon.start(wait=False)
    daemon.await_ready(lambda: daemon.lease("root", "status", "--ready").returncode == 0)
    check(True, "leased is ready")
    return aws, daemon


class Job:
    """`lease exec` with a program that uses boto3, says what it got, and stays until it is ended."""

    def __init__(self, world, aws, daemon):
        python, more = python_with_boto3(CONSUMER, world.folder)
        self.process = subprocess.Popen(
            daemon.command(CONSUMER, "exec", "deploy", "--reason", REASON, "--", python, "-c", JOB, aws.address), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, cwd="/", start_new_session=True, env=clean_environment(AWS_DEFAULT_REGION=REGION, **more))
        self.arn, self.users = self.process.stdout.readline().strip(), self.process.stdout.readline().strip()
        if not self.users:
            raise Failed(f"lease exec ended with {self.process.wait()}:\n{daemon.log_lines()[-2000:]}")
        self.fields = json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def use(aws, job):
    say("2. A job has a role of AWS for as long as it lives")
    show(f"$ lease exec deploy --reason '{REASON}' -- python job.py      # boto3 reads AWS_ACCESS_KEY_ID and so on")
    show(f"{job.arn}\n{job.users}")
    check("assumed-role/deploy/" in job.arn, "boto3 is the role")
    try:
        aws.client("iam", job.fields).list_roles()
        raise Failed("the role could do what it may not")
    except ClientError as error:
        show(str(error))
    check(True, "what the role's policy doesn't have is refused")


def read_trail(aws):
    say("3. AWS's own trail has who it was, and why")
    call = aws.calls("AssumeRole")[-1]
    tags = {call[f"Tags.member.{i}.Key"]: call[f"Tags.member.{i}.Value"] for i in (1, 2)}
    show(json.dumps({"event": "AssumeRole", "signedBy": call["signed_by"], "roleArn": call["RoleArn"], "sessionName": call["RoleSessionName"],
                     "sourceIdentity": call["SourceIdentity"], "tags": tags, "transitive": call["TransitiveTagKeys.member.1"]}))
    check(call["RoleSessionName"] == f"{CONSUMER}-{REASON}".replace(":", "-").replace(" ", "-"), "the session's name carries caller and reason")
    check(tags == {"user": CONSUMER, "reason": REASON} and call["SourceIdentity"] == CONSUMER, "so do its tags, and its source identity")


def end(aws, daemon, job):
    say("4. The job ends. AWS can't take one session back, so leased denies the role's older ones (revoke: deny-older)")
    job.end()
    until(lambda: [r for r in daemon.records() if r["event"] == "lease.revoked"], "it is revoked", 10)
    show(aws.calls("PutRolePolicy")[-1]["PolicyDocument"])
    try:
        aws.client("iam", job.fields).list_users()
        raise Failed("the session still works")
    except ClientError as error:
        show(str(error))
    check(True, "the job's keys are refused")


def be_refused(daemon):
    say("5. A role that doesn't trust leased")
    show("$ lease get backup")
    done = daemon.lease(CONSUMER, "get", "backup", "--bind", "process")
    show(done.stderr.rstrip())
    check("AccessDenied" in done.stderr, "refused, in AWS's own words")


def read_audit(daemon):
    say("6. Who had what, when and why")
    for record in daemon.records():
        who = record.get("identity", {}).get("user", "")
        what = " ".join(str(record[key]) for key in ("role", "reason", "error") if record.get(key))
        show(f"{record['seq']:>3} {record['time'][11:23]} {record['event']:<16} {record.get('outcome', ''):<7} {who:<10} {what}".rstrip())
    created = [r for r in daemon.records() if r["event"] == "grant.created" and r["role"] == "deploy"]
    check(created and created[0]["reason"] == REASON and created[0]["identity"]["user"] == CONSUMER, "leased's trail says the same")
    done = daemon.lease("leased", "audit", "verify", daemon.audit_path)
    show((done.stdout + done.stderr).rstrip())
    check(done.returncode == 0, "the chain of records is unbroken")


def story(world):
    aws, daemon = start(world)
    job = Job(world, aws, daemon)
    try:
        use(aws, job)
        read_trail(aws)
    except BaseException:
        job.end()
        raise
    end(aws, daemon, job)
    be_refused(daemon)
    read_audit(daemon)
    took = time.time() - float(os.environ.get("DEMO_BEGIN", time.time()))
    print(f"\n{paint(32, 'All of it held.')} {took:.1f} seconds.", flush=True)
    check(daemon.stop() == 0, "leased has ended")


def main():
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    world = World(os.path.abspath(os.environ.get("LEASED_BUILD", "build")), f"{TOP}/.venv/bin/bao", "leased-demo-")
    try:
        story(world)
        return 0
    except Failed as failed:
        print(f"\ndemo: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: ended", file=sys.stderr)
        return 130
    finally:
        world.close()


if __name__ == "__main__":
    sys.exit(main())
