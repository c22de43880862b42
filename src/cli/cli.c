/* From argv to a command and back to an exit code. */
#include "cli/cli.h"

#include "base/mem.h"
#include "cli/adapter.h"
#include "cli/help.h"
#include "cli/job_token.h"
#include "wire/format.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLI_MESSAGE_MAX_BYTES 65536U

static int write_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return -errno;
        }
        bytes.ptr += written;
        bytes.len -= (size_t)written;
    }
    return 0;
}

int cli_flush(struct cli *cli)
{
    int status = buf_status(&cli->out);

    if (status == 0) {
        status = write_all(cli->out_fd, buf_str(&cli->out));
    }
    buf_reset(&cli->out);
    if (status == 0) {
        return CLI_OK;
    }
    /* A reader that has seen enough (`lease ls | head`) needs no telling. */
    if (status != -EPIPE) {
        cli_message(cli, "could not write the output: %s", err_str(status));
    }
    return CLI_FAILED;
}

static void message(struct cli *cli, const char *format, va_list args)
{
    BUF_AUTO line;
    char text[CLI_MESSAGE_MAX_BYTES];
    int len = vsnprintf(text, sizeof(text), format, args);

    buf_init(&line, (size_t)CLI_MESSAGE_MAX_BYTES * 5);
    buf_add_c(&line, "lease: ");
    if (len > 0) {
        format_add_visible(&line, str_of(text));
    }
    buf_add_char(&line, '\n');
    (void)write_all(cli->err_fd, buf_str(&line));
}

void cli_message(struct cli *cli, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    message(cli, format, args);
    va_end(args);
}

static bool is_exec(const struct cli *cli)
{
    return cli->command != NULL && cli->command->takes_program && !cli->command->may_lack_program;
}

int cli_usage_error(struct cli *cli, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    message(cli, format, args);
    va_end(args);
    cli_message(cli, "see `lease %s%s--help`", cli->command != NULL ? cli->command->name : "",
                cli->command != NULL ? " " : "");
    return is_exec(cli) ? CLI_EXEC_FAILED : CLI_USAGE;
}

bool cli_wants_json(const struct cli *cli)
{
    const char *format = options_get(&cli->options, OPTION_OUTPUT);

    return format != NULL && strcmp(format, "json") == 0;
}

/* An empty variable is none. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static int find_daemon(struct cli *cli)
{
    const char *address = options_get(&cli->options, OPTION_ADDR);
    const char *path = options_get(&cli->options, OPTION_SOCKET);
    struct client_options options = {.ca_file = variable("LEASED_CACERT"),
                                     .cert_file = variable("LEASED_CLIENT_CERT"),
                                     .key_file = variable("LEASED_CLIENT_KEY")};
    char from_path[CLIENT_SOCKET_MAX_BYTES + sizeof("unix://")];
    struct err e = {0};

    if (address != NULL && path != NULL) {
        return cli_usage_error(cli, "--addr and --socket exclude each other");
    }
    if (path != NULL) {
        (void)snprintf(from_path, sizeof(from_path), "unix://%s", path);
        address = from_path;
    }
    options.address = address != NULL && address[0] != '\0' ? address : variable("LEASED_ADDR");
    if (client_init(&cli->client, &options, &e) != 0) {
        return cli_usage_error(cli, "%s", e.text);
    }
    return CLI_OK;
}

static int run_command(struct cli *cli, size_t words, char **argv)
{
    struct err e = {0};
    const char *format;
    int exit_code;

    if (options_parse(cli->command, words, argv, &cli->options, &e) != 0) {
        return cli_usage_error(cli, "%s", e.text);
    }
    if (options_get(&cli->options, OPTION_HELP) != NULL) {
        help_command(&cli->out, cli->command);
        return CLI_OK;
    }
    format = options_get(&cli->options, OPTION_OUTPUT);
    if (format != NULL && !cli->command->takes_formats && strcmp(format, "table") != 0 &&
        strcmp(format, "json") != 0) {
        return cli_usage_error(cli, "unknown format '%s'; known here: table, json", format);
    }
    exit_code = find_daemon(cli);
    if (exit_code == CLI_OK) {
        exit_code = job_token_find(cli, &cli->job_token);
        exit_code = exit_code != CLI_OK && is_exec(cli) ? CLI_EXEC_FAILED : exit_code;
        cli->client.job_token = &cli->job_token;
    }
    return exit_code == CLI_OK ? cli->command->run(cli) : exit_code;
}

static bool is_help(const char *word)
{
    return word != NULL && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0);
}

/* What begins with a word that isn't a command by itself. */
static int run_unknown(struct cli *cli, const char *word, char **argv)
{
    const char *suggestion = options_suggest_command(word);
    BUF_AUTO group;

    buf_init(&group, CLI_OUTPUT_MAX_BYTES);
    while (*argv != NULL && !is_help(*argv)) {
        argv++;
    }
    if (help_group(&group, word)) {
        if (*argv == NULL) {
            return cli_usage_error(cli, "'%s' is several commands: see `lease help %s`", word,
                                   word);
        }
        buf_add(&cli->out, group.bytes, group.len);
        return CLI_OK;
    }
    return suggestion != NULL
               ? cli_usage_error(cli, "unknown command '%s'; did you mean '%s'?", word, suggestion)
               : cli_usage_error(cli, "unknown command '%s'", word);
}

static int run_words(struct cli *cli, char **argv)
{
    const char *word = options_first_argument(argv);
    size_t words = 0;

    cli->command = options_find_command(argv, &words);
    if (cli->command != NULL) {
        return run_command(cli, words, argv);
    }
    if (word != NULL) {
        return run_unknown(cli, word, argv);
    }
    if (is_help(argv[0])) {
        help_overview(&cli->out);
        return CLI_OK;
    }
    if (argv[0] != NULL && (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "-V") == 0)) {
        help_version(&cli->out);
        return CLI_OK;
    }
    if (argv[0] != NULL) {
        return cli_usage_error(cli, "no command");
    }
    help_overview(&cli->out);
    cli->out_fd = cli->err_fd;
    return CLI_USAGE;
}

/* Under another name: `program WORD…` is `lease command WORD…`. */
static int run_as(struct cli *cli, const char *command, int argc, char **argv)
{
    char **words = mem_calloc((size_t)argc + 1, sizeof(*words));
    char *name = mem_strdup(command);
    int exit_code = CLI_FAILED;

    if (words != NULL && name != NULL) {
        memcpy(words, argv, (size_t)argc * sizeof(*words));
        words[0] = name;
        exit_code = run_words(cli, words);
    } else {
        cli_message(cli, "%s", err_str(ERR_NOMEM));
    }
    mem_free(words);
    mem_free(name);
    return exit_code;
}

int cli_run(int argc, char **argv, int out_fd, int err_fd)
{
    const char *adapter = adapter_command(argc > 0 ? argv[0] : NULL);
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    struct cli cli = {.out_fd = out_fd, .err_fd = err_fd};
    int exit_code;
    int flushed;

    buf_init(&cli.out, CLI_OUTPUT_MAX_BYTES);
    secret_init(&cli.job_token);
    process_prepare(&cli.process);
    cli.out_is_terminal = isatty(out_fd) == 1;
    cli.has_color = cli.out_is_terminal && (no_color == NULL || no_color[0] == '\0') &&
                    (terminal == NULL || strcmp(terminal, "dumb") != 0);
    if (adapter != NULL) {
        exit_code = run_as(&cli, adapter, argc, argv);
    } else {
        exit_code = run_words(&cli, argc > 0 ? argv + 1 : argv);
    }
    flushed = cli_flush(&cli);
    buf_fini(&cli.out);
    secret_fini(&cli.job_token);
    process_restore(&cli.process);
    return exit_code != CLI_OK ? exit_code : flushed;
}
