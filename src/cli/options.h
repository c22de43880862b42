/* The command line as tables: every option and every command of `lease` once. Parsing, help and
 * shell completion are made from them. */
#ifndef LEASED_CLI_OPTIONS_H
#define LEASED_CLI_OPTIONS_H

#include "base/err.h"
#include "base/str.h"

/* X(id, long name, short name or 0, argument or NULL, may repeat, explanation) */
#define OPTIONS_TABLE(X)                                                                           \
    X(OPTION_OUTPUT, "output", 'o', "FORMAT", false, "how to print: see FORMATS, or table, json")  \
    X(OPTION_FOR, "for", 0, "DURATION", false, "how long the grant may live at most (30m, 4h)")    \
    X(OPTION_REASON, "reason", 0, "TEXT", false,                                                   \
      "why; goes on record. Default: LEASED_REASON, else the CI job's URL")                        \
    X(OPTION_TICKET, "ticket", 0, "ID", false, "the ticket that this is for; goes on record")      \
    X(OPTION_BIND, "bind", 0, "BINDING", true,                                                     \
      "what the grant ends with: process, parent, session, unit, connection, none, pid:N, "        \
      "comm:NAME")                                                                                 \
    X(OPTION_MAP, "map", 0, "[ROLE.]FIELD=NAME", true, "the variable for a field")                 \
    X(OPTION_FILE, "file", 0, "[ROLE.]FIELD=NAME", true,                                           \
      "put a field, or [ROLE]:FORMAT, into a file and its path into the variable")                 \
    X(OPTION_AWS, "aws", 0, "HOW", false,                                                          \
      "how AWS's credentials are given: env (default), endpoint, or process")                      \
    X(OPTION_VAULT, "vault", 0, NULL, false,                                                       \
      "let Vault's clients find leased: VAULT_ADDR and so on")                                     \
    X(OPTION_GCP, "gcp", 0, NULL, false, "let Google's SDKs find leased: GCE_METADATA_HOST")       \
    X(OPTION_AZURE, "azure", 0, NULL, false, "let Azure's SDKs find leased: IDENTITY_ENDPOINT")    \
    X(OPTION_WATCH, "watch", 0, NULL, false, "start the program again when a credential rotates")  \
    X(OPTION_SIGNAL, "signal", 0, "SIGNAL", false,                                                 \
      "instead renew the files under their paths and send this (HUP)")                             \
    X(OPTION_AGENT, "agent", 'a', "PATH", false,                                                   \
      "serve at this socket until a signal comes, instead of running a program")                   \
    X(OPTION_ROLE, "role", 0, "ROLE", false,                                                       \
      "the role to lease, instead of the one that the configuration has for this client")          \
    X(OPTION_WAIT, "wait", 0, "DURATION", false,                                                   \
      "go on trying this long while leased or the issuer is unavailable; wait for an approval")    \
    X(OPTION_CONFIRM, "wait", 0, "DURATION", false,                                                \
      "how long to wait for the issuer's confirmation; default 30s, 0 doesn't wait")               \
    X(OPTION_PATIENCE, "wait", 0, "DURATION", false, "how long at most. Default: until it is so")  \
    X(OPTION_PATH, "file", 0, "PATH", false, "until this file is there, and not empty")            \
    X(OPTION_DECISION, "wait", 0, "[DURATION]", false, "until it is decided, at most this long")   \
    X(OPTION_BREAK_GLASS, "break-glass", 0, NULL, false,                                           \
      "by a break-glass rule: at once, loudly, and to be reviewed")                                \
    X(OPTION_COMMENT, "comment", 0, "TEXT", false, "what you have to say to it; goes on record")   \
    X(OPTION_REVIEW, "review", 0, NULL, false, "only broken glass that nobody has reviewed yet")   \
    X(OPTION_GRANTS, "grants", 0, NULL, false, "grants instead of leases")                         \
    X(OPTION_READY, "ready", 0, NULL, false, "only tell by the exit code whether leased is ready") \
    X(OPTION_ADDRESS, "address", 0, "ADDRESS", false,                                              \
      "where Vault or OpenBao is: https://HOST:PORT. Default: BAO_ADDR, else VAULT_ADDR")          \
    X(OPTION_TOKEN_FILE, "token-file", 0, "FILE", false,                                           \
      "where the token for it is. Default: BAO_TOKEN, else VAULT_TOKEN")                           \
    X(OPTION_BACKEND, "backend", 0, "NAME", false, "only the leases of this backend")              \
    X(OPTION_LOGINS, "logins", 0, NULL, false, "end logins of leased, too, with all under them")   \
    X(OPTION_YES, "yes", 0, NULL, false, "do it; without, it is only told what would be done")     \
    X(OPTION_SUBJECT, "subject", 0, "KEY=VALUE", true,                                             \
      "whose: user, uid, group, unit, container, listener, issuer, sub, session, person, san; "    \
      "globs with *, and several must all hold")                                                   \
    X(OPTION_OF_ROLE, "role", 0, "ROLE", false, "of which role; globs with *")                     \
    X(OPTION_IDENTIFIER, "identifier", 0, "NAME", false,                                           \
      "which credential: the user name, key id or serial that was issued, or identifier_ref of "   \
      "the audit trail")                                                                           \
    X(OPTION_ALL, "all", 0, NULL, false, "everything of everybody")                                \
    X(OPTION_BLOCK, "block", 0, "DURATION", false, "and give them nothing for so long (24h)")      \
    X(OPTION_SURE, "yes", 0, NULL, false, "don't ask whether --all is meant")                      \
    X(OPTION_CONFIG, "config", 0, "PATH", false,                                                   \
      "leased's configuration, for its roles and issuers. Default: LEASED_CONFIG, else "           \
      "/etc/leased/leased.yaml")                                                                   \
    X(OPTION_AUDIT, "audit", 0, "FILE", true,                                                      \
      "the audit trail, for what was used; more of its files may follow as arguments")             \
    X(OPTION_SINCE, "since", 0, "DURATION", false, "only the trail's last (24h)")                  \
    X(OPTION_STRICT, "strict", 0, NULL, false, "warnings are mistakes, too")                       \
    X(OPTION_TESTS, "tests", 0, NULL, false, "of files with tests, *_test.yaml")                   \
    X(OPTION_JUNIT, "junit", 0, "FILE", false, "also write the results there, as JUnit's XML")     \
    X(OPTION_COVERAGE, "coverage", 0, NULL, false, "tell which rules no test has touched")         \
    X(OPTION_COVERAGE_MIN, "coverage-min", 0, "PERCENT", false,                                    \
      "fail when fewer of the rules are touched")                                                  \
    X(OPTION_BASE, "base", 0, "DIR", false, "without leased: compare with this policy")            \
    X(OPTION_DIGEST, "digest", 0, "DIGEST", false, "apply only if this is what would be planned")  \
    X(OPTION_MAX_ENDED, "max-ended", 0, "N", false, "refuse when more live grants would end")      \
    X(OPTION_DRAIN, "drain", 0, "DURATION", false,                                                 \
      "how long grants that it ends may live on (10m). Default: they end at once")                 \
    X(OPTION_OBSERVE, "observe", 0, NULL, false,                                                   \
      "only observe: what it would decide otherwise goes on record, and nothing changes")          \
    X(OPTION_NONE, "none", 0, NULL, false, "with --observe: nothing is observed any more")         \
    X(OPTION_WHO, "subject", 0, "KEY=VALUE", true,                                                 \
      "who would ask, instead of you: user, uid, group, gid, unit, container, listener, san, "     \
      "issuer, sub, claims.NAME")                                                                  \
    X(OPTION_ADDR, "addr", 0, "ADDRESS", false,                                                    \
      "where leased listens: unix:///PATH, https://HOST:PORT or http://127.0.0.1:PORT. Default: "  \
      "LEASED_ADDR, else /run/leased/leased.sock")                                                 \
    X(OPTION_SOCKET, "socket", 0, "PATH", false, "short for --addr unix://PATH")                   \
    X(OPTION_TOKEN_ENV, "token-env", 0, "NAME", false,                                             \
      "the variable that has the job's token (JWT). Default: LEASED_TOKEN, LEASED_TOKEN_FILE, "    \
      "else what GitHub offers the job")                                                           \
    X(OPTION_HELP, "help", 'h', NULL, false, "this text")

enum option_id {
#define X(id, name, short_name, argument, repeats, text) id,
    OPTIONS_TABLE(X)
#undef X
        OPTION_COUNT,
};

#define OPTION_BIT(id) (UINT64_C(1) << (id))
/* Taken by every command. */
#define OPTIONS_COMMON                                                                             \
    (OPTION_BIT(OPTION_ADDR) | OPTION_BIT(OPTION_SOCKET) | OPTION_BIT(OPTION_TOKEN_ENV) |          \
     OPTION_BIT(OPTION_HELP))

struct option_spec {
    const char *name;
    char short_name;
    const char *argument; /* NULL: a flag; "[…]": may be left out, and begins with a digit */
    bool repeats;
    const char *text;
};

extern const struct option_spec option_specs[OPTION_COUNT];

struct cli;

struct command {
    const char *name;    /* one word, or two: "audit verify" */
    const char *usage;   /* arguments */
    const char *summary; /* one line */
    const char *help;    /* more, or "" */
    uint64_t options;    /* OPTION_BIT()s, without the common ones */
    size_t args_min;
    size_t args_max;
    bool takes_program; /* `-- PROGRAM ARG…` */
    bool may_lack_program;
    bool takes_formats; /* all formats of credentials, not only table and json */
    int (*run)(struct cli *cli);
};

/* Ended by a NULL name. */
extern const struct command commands[];

#define OPTION_VALUES_MAX 64
#define OPTION_ARGS_MAX 1024

struct option_values {
    const char *items[OPTION_VALUES_MAX];
    size_t count;
};

/* What the command line says; pointers into argv. */
struct options {
    struct option_values values[OPTION_COUNT];
    const char *args[OPTION_ARGS_MAX];
    size_t arg_count;
    char **program; /* what follows `--`, NULL-ended; NULL without `--` */
};

/* The command that argv (without the program's name) asks for, and of how many words its name is;
 * NULL when there is none. Options may stand before it and between its words. */
const struct command *options_find_command(char **argv, size_t *ret_words);

/* The first word that is no option, or NULL. */
const char *options_first_argument(char **argv);

/* The command whose name is closest, for "did you mean", or NULL. */
const char *options_suggest_command(const char *word);

/* Reads options and arguments; the first `words` arguments are the command's name. Options may
 * stand between arguments; `--` ends them. 0, or ERR_INVALID with a text for people. */
int options_parse(const struct command *command, size_t words, char **argv,
                  struct options *ret_options, struct err *e) ATTR_MUST_USE;

/* The last value of an option, or NULL ("" for a flag that was given). */
const char *options_get(const struct options *options, enum option_id id);

/* A duration, `fallback_ms` when the option wasn't given. 0 or ERR_INVALID with a text. */
int options_get_duration(const struct options *options, enum option_id id, uint64_t fallback_ms,
                         uint64_t *ret_ms, struct err *e) ATTR_MUST_USE;

#endif
