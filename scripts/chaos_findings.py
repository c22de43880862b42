"""What scripts/chaos found, by class; the end of the story that chaos.py began.

A class counts against leased unless nobody but the issuer could do better. A request whose caller has gone is canceled by OpenBao wherever
it stands. At COMMIT, it leaves a database role that it doesn't know; so does OpenBao's own end. Between its record of the lease and the
index of the token's leases, it drops the role again, but the record stays; where OpenBao itself is killed there, both stay: no token's end
takes that with it. All are told, and found by OpenBao's own trail: a request that was canceled, failed or never answered, and whose token
leased has revoked.
"""
import collections
import datetime
import json
import re
import sys

REFUSALS = ("password authentication failed", "is not permitted to log in", "does not exist", "terminating connection due to administrator",
            "was not found", "no pg_hba.conf entry")
# Why a grant may end though its holder lives.
GRANT_ENDS_ASKED_FOR = ("released", "duration")
ENDED = ("revoked", "expired", "unconfirmed", "failed")
LEASE_ENDS = ("lease.revoked", "lease.expired", "lease.failed")
# What a client may be told while leased or OpenBao are away.
CODES_OF_FAULTS = ("issuer_unavailable", "busy", "degraded")
EXITS_OF_FAULTS = ("exit 5", "exit 7", "exit 125")
# A kill this long after OpenBao answered may have come before leased had the answer in its ledger.
ANSWER_UNDER_WAY_MS = 250
# What OpenBao says of a request that was canceled at COMMIT, and of one canceled in the middle of its record of the lease.
CANCELED, HALF_RECORDED = re.compile(r"occurred:\s+\* context canceled\s*$"), re.compile(r"\* internal error\s*$")
CHILD_LIFE_S = 60
# How far the time in a database role's name, in seconds, may be from that of its request.
NAME_SLACK_MS = 2000

CLASSES = {
    "handed_dead": "a client was handed a credential that PostgreSQL refused, and its grant hadn't ended",
    "died": "a credential died under a client that lives and holds it",
    "ended_alive": "leased ended a grant whose holder lives and didn't ask for it",
    "replaced": "a client that lives was given another lease than it held",
    "minted": "a lease was issued though its holder, or those who share it, had one that lived",
    "changed": "a lease came back with another credential or version",
    "unrecorded": "a credential was handed out that the trail doesn't know",
    "left_role": "a database role is left that is of no lease, for no reason that the trails tell",
    "left_lease": "a lease is left at OpenBao, for no reason that the trails tell",
    "left_revoking": "a lease is left at OpenBao that leased knows and hasn't revoked yet",
    "left_ledger": "the ledger holds a lease of which OpenBao knows nothing any more",
    "left_listed": "leased lists a lease as live that nobody holds",
    "left_token": "a child token is left that lives longer than the minute it was made for",
    "lost_by_kill": "a lease is left at OpenBao whose answer was lost when leased was killed",
    "lost_by_outage": "a lease is left at OpenBao whose answer was lost in an outage of it",
    "no_end": "a lease or grant has no end on record",
    "two_ends": "a lease or grant has more than one end, or beginning, on record",
    "trail": "`lease audit verify` failed",
    "ended_by_itself": "leased ended without a signal of ours",
    "bad_stop": "leased didn't stop well",
    "odd_answer": "a client got an answer that no fault explains",
    "odd_login": "a login failed in another way than by a dead credential",
    "broken_client": "a client failed",
    "issuer_lost": "(the issuer's own) a database role that OpenBao made and forgot, because it or its caller ended in between",
    "issuer_half": "(the issuer's own) a lease that OpenBao took back when its caller ended, but for its entry in the list",
    "issuer_unindexed": "(the issuer's own) a lease that OpenBao recorded but didn't find by its token, because it was killed in between",
}


def ms_of(text):
    """Unix ms of an RFC 3339 time with any number of digits."""
    whole, fraction = re.match(r"([^.Z]+)(?:\.(\d+))?", text).groups()
    seconds = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc).timestamp()
    return int(seconds * 1000) + int((fraction or "0")[:3].ljust(3, "0"))


class Trail:
    """leased's records, by what they are about."""

    def __init__(self, records):
        self.by_event = collections.Counter(r["event"] for r in records)
        self.grant_ends, self.grants, self.by_reason = {}, {}, {}
        self.leases = collections.defaultdict(list)
        self.grant_events = collections.defaultdict(list)
        for record in records:
            record["ms"] = ms_of(record["time"])
            grant, lease, event = record.get("grant"), record.get("lease"), record["event"]
            if lease:
                self.leases[lease].append(record)
            if grant:
                self.grant_events[grant].append(event)
            if event == "grant.created":
                self.grants[grant] = record
                self.by_reason[record.get("reason")] = record
            elif event == "grant.ended":
                self.grant_ends.setdefault(grant, record)

    def events(self, lease):
        return [r["event"] for r in self.leases[lease]]


class Issuer:
    """OpenBao's trail of what was asked for at database/creds."""

    def __init__(self, records):
        self.asks, self.by_lease, self.ended_tokens = {}, {}, set()
        for record in records:
            request = record.get("request", {})
            path = request.get("path", "")
            if path == "auth/token/revoke-accessor" and record["type"] == "response" and not record.get("error"):
                self.ended_tokens.add(request["data"]["accessor"])
            if not path.startswith("database/creds/"):
                continue
            ask = self.asks.setdefault(request["id"], {"role": path.rsplit("/", 1)[1], "asked": None, "answered": None, "lease": None, "error": "",
                                                      "token": (record.get("auth") or {}).get("accessor")})
            if record["type"] == "request":
                ask["asked"] = ms_of(record["time"])
                continue
            ask["answered"], ask["error"] = ms_of(record["time"]), record.get("error", "")
            ask["lease"] = ((record.get("response") or {}).get("secret") or {}).get("lease_id")
            if ask["lease"]:
                self.by_lease[ask["lease"]] = ask

    def ask_of(self, lease):
        """The request that a lease (an id, or its end) was the answer to; None if it never was an answer."""
        return next((ask for full, ask in self.by_lease.items() if full == lease or full.endswith(f"/{lease}")), None)

    def is_ended(self, ask):
        """Has leased ended what it asked with? So its part is done."""
        return ask["token"] in self.ended_tokens

    def is_half_recorded(self, left):
        issued_ms = ms_of(left["issued"])
        return any(self.is_ended(ask) and ask["role"] == left["role"] and HALF_RECORDED.search(ask["error"]) and ask["asked"] <= issued_ms <= ask["answered"] + 1
                   for ask in self.asks.values() if ask["lease"] is None and ask["asked"] and ask["answered"])

    def is_unanswered(self, left, kills_of_issuer):
        """OpenBao was killed after it had made the lease, and before it had said so."""
        issued_ms = ms_of(left["issued"])
        return any(self.is_ended(ask) and ask["role"] == left["role"] and ask["answered"] is None and ask["asked"] <= issued_ms <= killed + 1
                   for ask in self.asks.values() if ask["asked"] for killed in kills_of_issuer if ask["asked"] <= killed)

    def lost_roles(self, names):
        """Those of the database roles that OpenBao made and forgot: each has a request of its own that brought no lease."""
        without = [ask for ask in self.asks.values() if ask["lease"] is None and ask["asked"] is not None and
                   (ask["answered"] is None or CANCELED.search(ask["error"]))]
        lost = {}
        for name in sorted(names):
            made_ms, role = int(name.rsplit("-", 1)[1]) * 1000, name.split("-")[2]
            fits = [ask for ask in without if ask["role"].startswith(role) and ask["asked"] - NAME_SLACK_MS <= made_ms <=
                    (ask["answered"] or ask["asked"] + 60000) + NAME_SLACK_MS]
            if fits:
                ask = min(fits, key=lambda each: abs(each["asked"] - made_ms))
                without.remove(ask)
                lost[name] = ask["error"].replace("\n\t", " ").strip() or "never answered"
        return lost


class Judge:
    def __init__(self, found):
        self.found, self.trail, self.issuer = found, Trail(found["trail"]), Issuer(found["issuer_trail"])
        self.findings = collections.defaultdict(list)
        self.held, self.credentials = {}, {}
        self.notes = collections.Counter()

    def add(self, name, text):
        self.findings[name].append(text)

    # --- what clients saw ---

    def login(self, record):
        """A login at once after the hand-out (`login`), or with what is held (`again`)."""
        if not record["said"]:
            return
        what = f"{record['client']} {record['role']} {record['user']}"
        if not any(text in record["said"] for text in REFUSALS):
            self.add("odd_login", f"{what} at {record['at']}: {record['said'][-200:]}")
            return
        created = self.trail.by_reason.get(record.get("reason"), {})
        grant, lease = record["grant"] or created.get("grant"), record["lease"] or created.get("lease")
        ended = self.trail.grant_ends.get(grant)
        what += f" {lease} {grant} at {record['at']}"
        name = "handed_dead" if record["kind"] == "login" else "died"
        if ended and ended["ms"] <= record["at"]:
            if ended["outcome"] in GRANT_ENDS_ASKED_FOR:
                self.notes["refused, their grant had ended"] += 1
            else:
                self.add("ended_alive", f"{what}: grant.ended {ended['outcome']} at {ended['ms']}")
        else:
            self.add(name, f"{what}: {', '.join(self.trail.events(lease)) if lease else 'not on record'}")

    def replaced(self, record):
        ended = self.trail.grant_ends.get(record["grant"])
        events = self.trail.events(record["lease"])
        what = f"{record['client']} {record['role']} {record['grant']}: {record['lease']} by {record['now']} at {record['at']}"
        if any(event in ("lease.rotated", "lease.superseded") for event in events):
            self.notes["replaced by a rotation"] += 1
        elif ended and ended["outcome"] in GRANT_ENDS_ASKED_FOR:
            self.notes["replaced, their grant had ended"] += 1
        elif ended and ended["ms"] <= record["at"]:
            self.add("ended_alive", f"{what}: grant.ended {ended['outcome']} at {ended['ms']}")
        else:
            self.add("replaced", f"{what}: {', '.join(events)}")

    def handed(self, record):
        """Is it what the client had already? `exec` and `loose` ask for one of their own each time."""
        lease, client = record["lease"], (record["client"], record["role"])
        if lease is None:
            return
        what = f"{record['client']} {record['role']} {lease} at {record['at']}"
        credential = (record["user"], record["version"])
        if self.credentials.setdefault(lease, credential) != credential:
            self.add("changed", f"{what}: {credential} after {self.credentials[lease]}")
        if record["asker"] in ("exec", "loose"):
            return
        before = self.held.get(client)
        self.held[client] = record
        if before is None:
            return
        ended = self.trail.grant_ends.get(before["grant"])
        is_after_kill = any(before["at"] <= kill <= record["asked"] for kill in self.found["kills"])
        if before["lease"] == lease:
            self.notes["read again, and the same" + (" after a kill" if is_after_kill else "")] += 1
        elif ended is None or ended["ms"] > record["at"]:
            self.add("minted", f"{what}, which had {before['lease']} {before['grant']}: {', '.join(self.trail.events(before['lease']))}")

    def shared(self):
        """One lease at a time for those who share it."""
        living = {}
        for record in self.found["trail"]:
            event, lease = record["event"], record.get("lease")
            if event == "lease.issued" and record["outcome"] == "ok" and record["role"] in self.found["shares"]:
                key = (record["role"], record["identity"]["user"] if self.found["shares"][record["role"]] == "identity" else None)
                if key in living:
                    self.add("minted", f"{record['role']} {lease} at {record['ms']}, though there is {living[key]}")
                living[key] = lease
            elif event == "lease.revoking" or event in LEASE_ENDS:
                living = {key: each for key, each in living.items() if each != lease}

    def refused(self, record):
        status, code = record["status"], record["code"]
        is_fault = status == 0 or status in EXITS_OF_FAULTS or code in CODES_OF_FAULTS
        if is_fault:
            self.notes[f"refused: {code or status}"] += 1
        else:
            self.add("odd_answer", f"{record['client']}: {status} {code} {record['said'][-160:]}")

    def clients(self):
        for record in self.found["clients"]:
            kind = record["kind"]
            if kind in ("login", "again"):
                self.login(record)
            elif kind == "handed":
                self.handed(record)
                if not (record["grant"] in self.trail.grants or record["reason"] in self.trail.by_reason):
                    self.add("unrecorded", f"{record['client']} {record['role']} {record['lease']} {record['grant']} {record['reason']}")
            elif kind == "replaced":
                self.replaced(record)
            elif kind == "refused":
                self.refused(record)
            elif kind == "broken":
                self.add("broken_client", f"{record['client']}: {record['said']}")

    # --- what is left ---

    def leases_left(self):
        known = {entry["issuer_ref"]: entry for entry in self.found["ledger"]}
        for left in self.found["leases"]:
            lease, ask = left["lease"], self.issuer.ask_of(left["lease"])
            what = f"{lease} issued {left['issued'][11:23]}, with database roles {left['database_roles']}"
            if any(ref.split("\n")[0] == lease for ref in known):
                self.add("left_revoking", what)
            elif ask:
                self.add(self.cause(ask), f"{what}: asked {ask['asked']}, answered {ask['answered']}")
            elif self.issuer.is_unanswered(left, [begin for kind, begin, _ in self.found["outages"] if kind == "killed"]):
                self.add("issuer_unindexed", f"{what}: never answered")
            elif self.issuer.is_half_recorded(left) and not left["database_roles"]:
                self.add("issuer_half", what)
            else:
                self.add("left_lease", f"{what}: OpenBao's trail has no answer with it")
        for accessor, ttl_s in self.found["children"].items():
            if ttl_s > CHILD_LIFE_S:
                self.add("left_token", f"{accessor}, for {ttl_s} s")
        at_issuer = {left["lease"] for left in self.found["leases"]}
        for ref, entry in known.items():
            if ref.split("\n")[0] not in at_issuer:
                self.add("left_ledger", f"{entry['lease']} {ref}")
        for entry in self.found["listed"]:
            if entry["state"] not in ENDED:
                self.add("left_listed", f"{entry['id']} {entry['state']} {entry['last_error']}")

    def cause(self, ask):
        if any(ask["asked"] <= kill <= ask["answered"] + ANSWER_UNDER_WAY_MS for kill in self.found["kills"]):
            return "lost_by_kill"
        if any(begin <= ask["answered"] and ask["asked"] <= end for _, begin, end in self.found["outages"]):
            return "lost_by_outage"
        return "left_lease"

    def roles_left(self):
        """Those that went with no lease."""
        lost = self.issuer.lost_roles(self.found["roles"])
        for name in self.found["roles"]:
            self.add("issuer_lost" if name in lost else "left_role", f"{name}: {lost.get(name)}")

    # --- the trail ---

    def trail_whole(self):
        if self.found["verify_code"] != 0:
            self.add("trail", self.found["verify_said"][-500:])
        for lease, records in self.trail.leases.items():
            events = [r["event"] for r in records]
            if "lease.issued" not in events and "lease.adopted" not in events:
                continue
            ends = [event for event in events if event in LEASE_ENDS]
            if not ends:
                self.add("no_end", f"{lease}: {', '.join(events)}")
            if len(ends) > 1 or events.count("lease.issued") > 1:
                self.add("two_ends", f"{lease}: {', '.join(events)}")
        for grant, events in self.trail.grant_events.items():
            ends = events.count("grant.ended")
            if "grant.created" not in events:
                continue
            if not ends:
                self.add("no_end", f"{grant}: {', '.join(events)}")
            if ends > 1 or events.count("grant.created") > 1:
                self.add("two_ends", f"{grant}: {', '.join(events)}")

    def daemon(self):
        for end in self.found["ended_by_itself"]:
            self.add("ended_by_itself", f"code {end['code']} at start {end['start']}: {end['log']}")
        if self.found["stop_code"] != 0:
            self.add("bad_stop", f"exit code {self.found['stop_code']}")

    def all(self):
        self.clients()
        self.shared()
        self.leases_left()
        self.roles_left()
        self.trail_whole()
        self.daemon()

    def counts(self, name):
        return not name.startswith("issuer_")


def figures(found, judge):
    kinds = collections.Counter(record["kind"] for record in found["clients"])
    logins = [record for record in found["clients"] if record["kind"] in ("login", "again")]
    outages = collections.Counter(kind for kind, _, _ in found["outages"])
    yield "kills of leased", f"{len(found['kills'])}, {found['stops']} of them during or after a stop"
    yield "starts of leased", found["starts"] + 1
    yield "reboots", found["reboots"]
    yield "outages of OpenBao", f"{outages['stopped']} stopped, {outages['killed']} killed"
    yield "hand-outs", kinds["handed"]
    yield "logins", f"{sum(not r['said'] for r in logins)} worked, {sum(bool(r['said']) for r in logins)} refused"
    issued = collections.Counter(record["outcome"] for record in found["trail"] if record["event"] == "lease.issued")
    yield "leases issued", f"{issued['ok']}, and {issued['lost']} of which the answer was lost"
    yield "minted because of a restart", sum(len(judge.findings.get(name, ())) for name in ("minted", "replaced"))
    yield "adopted over restarts", judge.trail.by_event["lease.adopted"]
    yield "renewed", judge.trail.by_event["lease.renewed"]
    yield "audit records", f"{len(found['trail'])}; a kill cut off {found['torn_count']} more, which stand there again"
    yield "left after quiet time", (f"{found['roles_count']} database roles, {len(found['leases'])} leases at OpenBao, "
                                    f"{len(found['ledger'])} in the ledger; {found['quiet_s']:.1f} s")
    yield "child tokens left at OpenBao", f"{len(found['children'])}, for {max(found['children'].values(), default=0)} s at most"
    for name, count in sorted(judge.notes.items()):
        yield f"  {name}", count


def report(found, took_s, examples=3):
    """Prints it; whether all held."""
    judge = Judge(found)
    judge.all()
    print()
    for name, value in figures(found, judge):
        print(f"{name:<44} {value}")
    counting = 0
    for name in sorted(judge.findings, key=lambda each: (not judge.counts(each), each)):
        texts = judge.findings[name]
        counts = judge.counts(name)
        counting += len(texts) if counts else 0
        print(f"\n{'FOUND' if counts else 'seen '} {len(texts):>4} {name}: {CLASSES[name]}")
        for text in texts[:examples if counts else 1]:
            print(f"           {text}")
    print(f"\n{'All of it held' if not counting else f'{counting} findings'}; {took_s:.0f} s.")
    print(f"chaos: {0 if counting else 1} passed, {1 if counting else 0} failed", flush=True)
    return not counting


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as kept:
        sys.exit(0 if report(json.load(kept), 0, 1000) else 1)
