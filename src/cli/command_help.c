/* What `lease COMMAND --help` tells beyond its options. */
#include "cli/command_help.h"

const char help_get[] =
    "FORMATS: table (the default, on a terminal and in a pipe alike), json (the API's whole object),\n"
    "env (NAME=value lines), shell (export lines for eval), dotenv, systemd (EnvironmentFile=), docker\n"
    "(--env-file), pgpass and pgservice (libpq's PGPASSFILE and PGSERVICEFILE), aws (a shared\n"
    "credentials file), raw (the secret alone), field=NAME (one value), template=FILE. Variables are\n"
    "named ROLE_FIELD, AWS's credentials AWS_ACCESS_KEY_ID and so on, or as the role's `env` or --map\n"
    "says. What a format can't hold is refused.\n\n"
    "A template has ${field}, ${role.field} (the role is leased, too) and ${field|json}, |shell or |url\n"
    "where the value has to be quoted; $${ is the text ${.\n\n"
    "The grant is bound to the program that called lease (a script, a login shell): the credential is\n"
    "revoked when that ends. Asking again gives the same credential.\n\n"
    "  lease get orders-db\n"
    "  PGPASSWORD=$(lease get orders-db -o field=password) psql …\n"
    "  eval \"$(lease get orders-db -o shell)\"";

const char help_exec[] =
    "The credentials' fields are the program's environment variables: ROLE_FIELD in capitals (AWS's\n"
    "credentials: AWS_ACCESS_KEY_ID and so on; what conflicts with them is removed), or as the role's\n"
    "`env` or --map says. They never stand in an argument list. With several roles the program has all\n"
    "credentials or isn't run. It gets its signals, its exit code becomes that of lease, and when it\n"
    "ends, or lease does, or the terminal, however that happens, the credentials are revoked.\n\n"
    "--file password=NAME puts a field, --file :FORMAT=NAME (ROLE:FORMAT=NAME of several) what\n"
    "`lease get -o FORMAT` prints into a file, and its path into the variable NAME; what is in a file\n"
    "isn't in the environment, unless --map wants it there. The file is memory that lease holds open,\n"
    "under a path in /proc for processes of its user, and gone with lease, whatever kills it.\n\n"
    "--file :template=FILE=NAME fills in a text of your own.\n\n"
    "--aws endpoint gives AWS's SDKs an address of leased's and a token of the grant instead of keys, so\n"
    "that they fetch, and fetch anew, by themselves; --aws process a configuration that has them run\n"
    "`lease aws-credentials`. --vault (VAULT_ADDR, VAULT_TOKEN, and as BAO_),\n"
    "--gcp (GCE_METADATA_HOST) and --azure (IDENTITY_ENDPOINT, IDENTITY_HEADER) do so for others. leased\n"
    "must serve that on loopback TCP. What conflicts with it is removed.\n\n"
    "--watch starts the program again when a credential rotates: SIGTERM, SIGKILL ten seconds later.\n"
    "--signal HUP instead renews the files under their paths and sends the signal. A program that ends\n"
    "by itself isn't started again.\n\n"
    "  lease exec orders-db -- ./migrate\n"
    "  lease exec orders-db --map username=PGUSER --map password=PGPASSWORD -- psql -h db\n"
    "  lease exec orders-db --file :dotenv=ENV_FILE --signal HUP -- ./server";

const char help_ssh[] =
    "The role gives a certificate with its private key, which stay in the memory of lease: the program\n"
    "has them signed with over SSH_AUTH_SOCK, as of ssh-agent. Asked anew, it has what leased has by\n"
    "then, so a certificate is replaced before its end. Keys can't be added or taken out, and other\n"
    "users aren't answered. When the program ends, or lease does, the certificate is revoked.\n\n"
    "  lease ssh ops -- ssh db.example\n"
    "  lease ssh ops -- git pull\n"
    "  lease ssh ops --agent $XDG_RUNTIME_DIR/ops.agent &      # IdentityAgent in ~/.ssh/config";

const char help_git[] =
    "The role is what leased's configuration has for the URL (`clients: {git: {\"github.com/acme/*\":\n"
    "gh-acme}}`), or --role. Patterns with a path need git's credential.useHttpPath. User and password\n"
    "are the fields username and password, or x-access-token and the token. No role for the URL: no\n"
    "answer, and git goes on. Denied: git is told to quit. A password that the server refused is\n"
    "replaced. Nothing goes over plain http, but to loopback.\n\n"
    "  git config --global credential.helper leased       # git-credential-leased is a link to lease\n"
    "  git config --global credential.useHttpPath true";

const char help_docker[] =
    "For docker's credHelpers: {\"ghcr.io\": \"leased\"}, which runs docker-credential-leased, a link to\n"
    "lease. The role is what leased's configuration has for the registry (`clients: {docker: {ghcr.io:\n"
    "gh-acme}}`), or --role. Messages go to stdout, where docker looks for them.";

const char help_kube[] =
    "In a kubeconfig's user:\n\n"
    "  exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: lease,\n"
    "         args: [kube-credential, ROLE]}\n\n"
    "The credential's token, or its certificate and private_key.";

const char help_terraform[] =
    "The credential's fields are the data source's result, which lands in the state file: `lease exec\n"
    "ROLE -- terraform apply` keeps it out of there. ROLE may stand in the query.\n\n"
    "  data \"external\" \"db\" { program = [\"lease\", \"terraform\", \"orders-db\"] }";

const char help_aws_credentials[] =
    "For AWS's SDKs and command line, in ~/.aws/config:\n"
    "  [profile deploy]\n"
    "  credential_process = lease aws-credentials deploy\n\n"
    "Prints one JSON object of version 1. The grant is bound to the program whose SDK runs it. For\n"
    "roles of the aws plugin, or of Vault's aws engine.";

const char help_gcp_credentials[] =
    "For Google's libraries: `credential_source.executable.command` of external-account credentials,\n"
    "with GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1. Prints one JSON object of version 1 with the\n"
    "role's ID token (or JWT, or saml_response), which they exchange at their token_url, and keeps it\n"
    "in their output_file, if there is one. Run by a library it fails in that object alone, and exits\n"
    "with 0. Roles that give access tokens are for GCE_METADATA_HOST.";

const char help_explain[] =
    "Asks what `lease get` with these options would be answered, without getting anything: which rule\n"
    "decides, what keeps each other one from it, the limits, what would be issued and by whom. Exits\n"
    "with 3 when it would be denied. Requests of yours that wait or are approved don't count here, nor\n"
    "does what limits.issue has left.";

const char help_request[] =
    "Somebody whom the rule names has to approve exactly this: the role, for how long, why. Until then\n"
    "the exit code is 6; 3 when it was denied or has run out. Then `lease get ROLE` or `lease exec` of\n"
    "the same user gives it, once, for as long as the approval may be used; what they leave unsaid is\n"
    "what was asked for here. With --wait it comes back when somebody has decided.\n\n"
    "  lease request prod-db --for 30m --reason 'slow query' --ticket OPS-7 --wait && lease get prod-db\n"
    "  lease request prod-db --break-glass --reason 'pager'";

const char help_approve[] =
    "For whom the rule names, never for who has asked, nor for another user of the same person. Each\n"
    "person counts once. `lease requests` lists what there is to approve.\n\n"
    "  lease approve q-0123456789abcdef0123456789abcdef --comment 'go on'";

const char help_watch[] =
    "Prints an event a line, until it is interrupted, and comes back by itself while leased restarts:\n"
    "  credential   a version is there to be read (lease get)\n"
    "  superseded   the old credential ends then at the latest\n"
    "  ending       the grant, or a credential that can't be replaced, ends then\n"
    "  gone         the grant has ended, and why\n"
    "-o json prints one JSON object a line. While you watch, the old credential lives on after you have\n"
    "read the new one, until `lease ack`, at most for the role's overlap.\n\n"
    "  lease watch orders-db -o json | while read -r event; do …; done";

const char help_revoke[] =
    "Of a lease it ends your grant; the lease itself ends when nobody else holds it. An admin\n"
    "ends the lease; of another one's grant on a shared lease it replaces the lease for the others.\n\n"
    "Without ids it is the leak drill, for admins that may revoke: every lease ends that somebody who\n"
    "matches has ever read, also where his grant has ended. Who shares it gets a successor; the old\n"
    "credential dies when that is there, at most after the role's overlap. All that is named must hold.\n"
    "With --block nobody who matches gets anything anew for so long. A line tells of each lease (-o json:\n"
    "an object); leased goes on by itself, also after a restart. Exits with 8 when something lives on: what\n"
    "its issuer can't revoke says until when.\n\n"
    "  lease revoke --subject person=alice --block 24h --reason 'laptop stolen'\n"
    "  lease revoke --identifier v-approle-orders-x7y        # a user name seen where it shouldn't be\n"
    "  lease revoke --role 'orders-*' --backend vault-prod";

const char help_block[] =
    "For admins that may revoke. Whoever matches gets nothing by any API until then, not even what he\n"
    "holds: his grants end. Rights of admins aren't touched. To end also what he has read before and may\n"
    "still have, use lease revoke --block.\n\n"
    "  lease block 24h --subject user=alice --reason OPS-17\n"
    "  lease block 1h --role prod-db";

const char help_ledger[] =
    "For a ledger that no leased has open: after a crash, or of a backend that isn't configured any\n"
    "more. REFERENCE is what the issuer calls the lease; with it what leased can't revoke can be\n"
    "revoked by hand (bao lease revoke REFERENCE). Nothing is written.";

const char help_ledger_sweep[] =
    "For a ledger whose leased doesn't come back (the host is given up, the backend is no longer\n"
    "configured): revokes at Vault or OpenBao what it lists. Without --yes it only tells, and asks\n"
    "nobody. The token needs update on sys/leases/lookup and revoke, auth/token/lookup-accessor and\n"
    "revoke-accessor, and of certificates MOUNT/revoke; it never stands in an argument.\n\n"
    "A record leaves the ledger once the issuer has confirmed its end. What the issuer doesn't know\n"
    "is over when its time is, or when it has known another lease of this ledger; else it stays,\n"
    "because it may be the wrong address or namespace. Logins that leased has made are left alone\n"
    "without --logins. Exits with 8 when something is left, with 1 when nothing was revoked.\n\n"
    "  lease ledger sweep /var/lib/leased/ledger.db\n"
    "  VAULT_ADDR=https://vault:8200 lease ledger sweep FILE --token-file ~/.vault-token --yes";

const char help_policy_check[] =
    "Needs no daemon. Mistakes: what leased would refuse (syntax, keys, unknown roles), rules that are\n"
    "never reached, expressions that can take exponential time, windows that never open, mistakes in\n"
    "tests. Warnings: subjects that mean everybody, expressions that aren't anchored, windows that\n"
    "overlap, roles that nobody may have; with --audit also rules, subjects and roles that the trail\n"
    "never saw used. Exits with 1 when there is a mistake, with --strict also for\n"
    "a warning.\n\n"
    "Of leased's configuration only the names under `roles` and `issuers` count, and of roles max_ttl,\n"
    "binding and share, so that a file with these is enough.";

const char help_policy_test[] =
    "Tests are in the policy's folder, in files that end in _test.yaml: who asks for what at which\n"
    "time, and what must come of it. They are judged by what leased itself decides with, without a\n"
    "daemon. Of a FILE_test.yaml only that one is run. Exits with 1 when a test fails.\n\n"
    "  tests:\n"
    "    - name: developers read orders\n"
    "      subject: {user: anna, group: [dev]}\n"
    "      request: {role: orders-ro, duration: 1h}\n"
    "      expect: {decision: allow, rule: dev-read}\n\n"
    "A rule is covered when it has decided a test. The format stands in policies.md.";

const char help_policy_diff[] =
    "Reads an audit trail: for whom a policy or rule that is only observed would have decided otherwise\n"
    "(observe.differs), by role. With a policy's folder it also names the rules and subjects that have\n"
    "decided nothing, and the roles that nobody has got. Groups aren't in the trail: of users that this\n"
    "machine has, where the trail is its own, they are looked up. Where that or a token's claims would\n"
    "have to be known, it says of how many subjects it can't be told. The files may be in any order, -\n"
    "is stdin. Without --audit it is the file that the running leased writes, which it tells admins that\n"
    "may read.\n\n"
    "  lease policy diff --since 24h\n"
    "  lease policy diff policies --audit /var/log/leased/audit.jsonl* --since 7d";

const char help_policy_plan[] =
    "Asks leased: each caller that has asked for something since its start is tried with each role, as\n"
    "it asked for it the last time, and with the paths of Vault's API that it called, by the policy that\n"
    "counts and by this one; and each live grant is judged anew. Nothing is changed. + gets something,\n"
    "- loses something, ~ gets it otherwise, ? can't be told. For admins that may change policies.\n\n"
    "Exits with 0 when nothing would change, 2 when something would, 1 when the policy has mistakes.\n\n"
    "With --base and --audit no leased is asked: whoever the trails have seen asking for a role is judged\n"
    "by both policies. Groups aren't in a trail: of users that this machine has, where the trail is its\n"
    "own, they are looked up. What hangs on other groups, on claims of a job token or on a container's\n"
    "image is told as unknown, and counts as a change. Paths are hashes there, and aren't tried.\n\n"
    "  lease policy plan policies/\n"
    "  lease policy export before/ && lease policy plan policies/ --base before/ --audit audit.jsonl*";

const char help_policy_apply[] =
    "What counts then is kept beside leased's ledger and rules from now on, also after a restart;\n"
    "`policies` in the configuration only says what counts until the first apply. On record with who\n"
    "did it, the policy's digest and the revision of its git work tree. Live grants that the policy\n"
    "doesn't allow end at once, or within --drain. Refused where no admin would remain who may change\n"
    "policies. With --digest, which `lease policy plan` prints last, only what was planned is applied:\n"
    "if another policy was applied meanwhile, or a file has changed, nothing is.\n\n"
    "--observe lets a policy decide beside the one that counts, without effect: where they differ, it\n"
    "is on record (observe.differs). --observe --none ends that, as does an apply.\n\n"
    "  lease policy apply policies/\n"
    "  lease policy apply policies/ --digest $PLANNED --max-ended 5 --drain 10m";

const char help_policy_export[] =
    "The files as they were applied, or what the configuration says. Files that are there already\n"
    "aren't replaced. For admins that may read or change policies.";

const char help_policy_explain[] =
    "As `lease explain`; with --subject about somebody else, for admins that may read or change\n"
    "policies. What isn't said of a subject isn't there: no groups, no unit.\n\n"
    "  lease policy explain orders-db --subject user=gitlab-runner --subject issuer=gitlab \\\n"
    "      --subject claims.project_path=acme/orders";

const char help_policy_schema[] =
    "For the files of a policy's folder, with --tests for its *_test.yaml. An editor with YAML's\n"
    "language server takes it from a first line:\n\n"
    "  lease policy schema > .policy.schema.json\n"
    "  # yaml-language-server: $schema=.policy.schema.json";

const char help_audit_verify[] =
    "Finds edits, gaps, changed order and lines that are no records, across rotated files, in\n"
    "whichever order they are named; - reads from stdin. Needs no daemon.";
