/* The command line of leased: few options, because the configuration says the rest. */
#include "daemon/options.h"

#include "base/log.h"
#include "base/str.h"

#include <getopt.h>

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
    {"dev", no_argument, NULL, 'd'},          {"log-level", required_argument, NULL, 'l'},
    {"schema", optional_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0},
};

static int level_parse(const char *text, struct options *options, struct err *e)
{
    int level;

    for (level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++) {
        if (str_eq_c(str_of(text), log_level_str((enum log_level)level))) {
            options->has_log_level = true;
            options->log_level = level;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "--log-level is debug, info, warn or error, not %s", text);
}

/* `--schema` is the configuration's, `--schema=policy` that of a policy file. */
static int schema_parse(const char *word, struct options *options, struct err *e)
{
    if (word != NULL && !str_eq_c(str_of(word), "config") && !str_eq_c(str_of(word), "policy")) {
        return err_set(e, ERR_INVALID, "--schema is of config or policy, not %s", word);
    }
    options->action =
        word != NULL && str_eq_c(str_of(word), "policy") ? OPTIONS_POLICY_SCHEMA : OPTIONS_SCHEMA;
    return 0;
}

/* What getopt couldn't take: optopt is the option for a missing argument, 0 for an unknown long
 * one. */
static int mistake(char **argv, struct err *e)
{
    const char *word = argv[optind - 1];

    if (optopt == 'c' || optopt == 'l') {
        return err_set(e, ERR_INVALID, "%s needs a value", word);
    }
    return err_set(e, ERR_INVALID, "unknown option %s", word);
}

int options_parse(int argc, char **argv, struct options *ret_options, struct err *e)
{
    struct options options = {.action = OPTIONS_RUN};
    int option;

    opterr = 0;
    optind = 0;
    while ((option = getopt_long(argc, argv, "+:c:hV", long_options, NULL)) != -1) {
        int r = 0;

        switch (option) {
        case 'c':
            options.config_path = optarg;
            break;
        case 'k':
            options.action = options.action == OPTIONS_RUN ? OPTIONS_CHECK : options.action;
            break;
        case 'd':
            options.is_dev = true;
            break;
        case 'l':
            r = level_parse(optarg, &options, e);
            break;
        case 's':
            r = schema_parse(optarg, &options, e);
            break;
        case 'h':
            options.action = OPTIONS_HELP;
            break;
        case 'V':
            options.action = OPTIONS_VERSION;
            break;
        default:
            r = mistake(argv, e);
            break;
        }
        if (r != 0) {
            return r;
        }
    }
    if (optind < argc) {
        return err_set(e, ERR_INVALID, "unexpected argument %s", argv[optind]);
    }
    if (options.is_dev && options.config_path != NULL) {
        return err_set(e, ERR_INVALID, "--dev has a configuration of its own: leave --config out");
    }
    *ret_options = options;
    return 0;
}

void options_help(struct buf *out)
{
    buf_add_c(
        out,
        "Usage: leased [OPTION]...\n"
        "Leases short-lived credentials to local processes.\n"
        "\n"
        "  -c, --config PATH      configuration: a file, or a folder of *.yaml;\n"
        "                         default: LEASED_CONFIG, else " LEASED_SYSCONFDIR
        "/leased/leased.yaml\n"
        "      --dev              needs no configuration: a CA of its own, for you alone, in\n"
        "                         $XDG_RUNTIME_DIR/leased (else /tmp/leased-UID)\n"
        "      --check            checks the configuration, tells all mistakes, and exits\n"
        "      --schema[=policy]  prints the JSON Schema of the configuration (or of a policy\n"
        "                         file), for editors, and exits\n"
        "      --log-level LEVEL  debug, info, warn or error, instead of log.level\n"
        "  -h, --help             this text\n"
        "  -V, --version          the version\n"
        "\n"
        "Signals: SIGTERM and SIGINT revoke everything and exit (a second one exits at once),\n"
        "SIGHUP reads the configuration anew, SIGUSR1 reopens the audit files.\n"
        "Exit codes: 0; 64 wrong usage, 66 no configuration, 78 mistakes in it, 71, 73 and 74\n"
        "when the system refuses something, 75 when it stopped and not every lease was revoked.\n");
}
