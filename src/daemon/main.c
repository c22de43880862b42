/* leased: reads its command line and configuration, gives up what it doesn't need, and runs the
 * daemon.
 *
 * The order matters: the environment is scrubbed before a library can read it, the allocator is in
 * place before one allocates, the helper process is forked before there is a thread or a secret,
 * and the process is closed to others before the first secret is read. */
#include "base/mem.h"
#include "base/secret.h"
#include "daemon/builtins.h"
#include "daemon/config_internal.h"
#include "daemon/daemon.h"
#include "daemon/dev.h"
#include "daemon/files_known.h"
#include "daemon/harden.h"
#include "daemon/log_sink.h"
#include "daemon/options.h"
#include "daemon/programs.h"
#include "helper/helper.h"
#include "io/alloc.h"
#include "io/passed.h"
#include "io/run.h"
#include "io/scrub.h"
#include "io/secret_memory.h"
#include "wire/file_record.h"
#include "wire/schema_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define OUTPUT_MAX_BYTES 65536U
#define SCHEMA_MAX_BYTES (1024U * 1024U)

extern char **environ;

/* What a run is made of, in the order in which it comes to be. */
struct run {
    struct options options;
    const char *config_path;
    struct dev dev; /* with --dev */
    struct log_sink sink;
    struct io_environment *environment;
    struct io *io;
    struct backend_registry *registry;
    struct config *config;
    struct helper_programs programs;
    struct helper helper; /* fd -1: there is none */
    char *files_record;   /* NULL: none */
    struct buf files_known;
};

static int complain(const char *text, int exit_code)
{
    (void)fprintf(stderr, "leased: %s\n", text);
    return exit_code;
}

static int out_print(const struct buf *text)
{
    struct str s = buf_str(text);

    if (buf_status(text) != 0 || fwrite(s.ptr, 1, s.len, stdout) != s.len || fflush(stdout) != 0) {
        return complain("could not write the answer", EX_IOERR);
    }
    return EX_OK;
}

static int help_print(void)
{
    BUF_AUTO text;

    buf_init(&text, OUTPUT_MAX_BYTES);
    options_help(&text);
    return out_print(&text);
}

static int version_print(void)
{
    BUF_AUTO text;

    buf_init(&text, OUTPUT_MAX_BYTES);
    buf_printf(&text, "leased %s\n", LEASED_VERSION);
    return out_print(&text);
}

static int schema_print(const struct schema_object *table, const char *title)
{
    BUF_AUTO text;

    buf_init(&text, SCHEMA_MAX_BYTES);
    schema_json_write(table, title, &text);
    return out_print(&text);
}

/* Before any library runs. */
static int process_prepare(struct run *run)
{
    struct err e = {0};

    if (harden_files(&e) != 0) {
        return complain(e.text, EX_OSERR);
    }
    log_sink_init(&run->sink, STDERR_FILENO);
    if (io_scrub_environment(environ, &run->environment) != 0 || io_use_allocator() != 0) {
        return complain("could not start: out of memory", EX_OSERR);
    }
    return EX_OK;
}

static int plugins_open(struct run *run)
{
    struct err e = {0};

    if (backend_registry_new(&run->registry) != 0) {
        return complain("could not start: out of memory", EX_OSERR);
    }
    return builtins_add(run->registry, &e) == 0 ? EX_OK : complain(e.text, EX_SOFTWARE);
}

static void print_mistakes(const struct yaml_errors *errors)
{
    struct str text = buf_str(&errors->text);

    (void)fwrite(text.ptr, 1, text.len, stderr);
    if (errors->count > YAML_ERRORS_MAX) {
        (void)fprintf(stderr, "… and %zu more\n", errors->count - YAML_ERRORS_MAX);
    }
}

/* Prints every mistake on a line of its own: they are for people and editors, also when a log is
 * JSON. */
static int config_open(struct run *run)
{
    struct yaml_errors errors;
    struct yaml_errors warnings;
    struct config_options options = {.path = run->config_path, .registry = run->registry};
    int r;

    yaml_errors_init(&errors);
    yaml_errors_init(&warnings);
    options.warnings = run->options.action == OPTIONS_CHECK ? &warnings : NULL;
    r = config_load(&options, &run->config, &errors);
    print_mistakes(&warnings);
    print_mistakes(&errors);
    if (errors.count > 1) {
        (void)fprintf(stderr, "leased: %zu mistakes in the configuration\n", errors.count);
    }
    yaml_errors_fini(&errors);
    yaml_errors_fini(&warnings);
    switch (r) {
    case 0:
        CHECK(run->config != NULL);
        return EX_OK;
    case ERR_NOT_FOUND:
        return EX_NOINPUT;
    case ERR_NOMEM:
        return complain("could not read the configuration: out of memory", EX_OSERR);
    default:
        return EX_CONFIG;
    }
}

static void log_set(void *user, const struct config *config)
{
    struct run *run = user;
    const struct config_log *log = &config->settings.log;
    int level = run->options.has_log_level ? run->options.log_level : log->level;

    log_sink_choose(&run->sink, log->format);
    log_set_sink(log_sink_event, &run->sink, (enum log_level)level);
}

static int secret_memory_start(const struct config_limits *limits, struct err *e)
{
    size_t size = 1;

    while (size < limits->secret_memory_bytes) {
        size *= 2;
    }
    return io_use_secret_memory(size, (enum io_lock_memory)limits->lock_memory, e);
}

static void secret_memory_log(void)
{
    struct secret_stats stats;
    bool is_locked;

    secret_memory_stats(&stats);
    is_locked = strcmp(stats.kind, "plain") != 0;
    log_event(is_locked ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "secret_memory.ready", "detail",
              stats.kind, "hint",
              is_locked ? NULL
                        : "secrets may be swapped out: raise LimitMEMLOCK or see lock_memory",
              NULL);
}

/* Somebody is waiting to be told what to type; if he doesn't read it, leased runs all the same. */
static void guide_print(void *user)
{
    const struct run *run = user;
    BUF_AUTO text;

    buf_init(&text, OUTPUT_MAX_BYTES);
    dev_guide(&run->dev, &text);
    (void)out_print(&text);
}

/* ---- the helper -------------------------------------------------------------- */

/* In the helper: it has no use for secrets of the environment. */
static void forget(void *user)
{
    struct run *run = user;

    io_environment_free(run->environment);
    config_free(run->config);
}

/* What the daemon before has written to files, while nobody could have taken this one over. */
static int files_find(struct run *run, struct err *e)
{
    int r = 0;

    buf_init(&run->files_known, FILE_RECORD_MAX_BYTES);
    run->files_record = config_files_record(run->config);
    if (run->files_record != NULL) {
        r = files_known_read(run->files_record, &run->files_known);
    }
    return r == 0 ? 0
                  : err_set(e, r, "could not read %s, the record of files: %s", run->files_record,
                            err_str(r));
}

static int helper_make(struct run *run, struct err *e)
{
    const struct helper_options options = {.programs = &run->programs,
                                           .forget = forget,
                                           .user = run};
    int r = programs_of_config(run->config, &run->programs, e);

    if (r == 0) {
        r = files_find(run, e);
    }
    if (r == 0) {
        r = programs_add_files(run->config, buf_str(&run->files_known), &run->programs, e);
    }
    if (r != 0) {
        return r;
    }
    return run->programs.count > 0 ? helper_start(&options, &run->helper, e) : 0;
}

static void helper_ended(void *user)
{
    (void)user;
    log_event(LOG_LEVEL_ERROR, "helper.ended", "detail",
              "files aren't kept fresh, and backends that run programs can't serve any more",
              "hint", "restart leased", NULL);
}

static int helper_use(struct run *run, struct err *e)
{
    const struct io_helper_options options = {.fd = run->helper.fd,
                                              .pid = run->helper.pid,
                                              .ended = helper_ended};
    int r = run->helper.fd >= 0 ? io_use_helper(run->io, &options) : 0;

    return r == 0 ? 0 : err_set(e, r, "could not speak to the helper process: %s", err_str(r));
}

/* ---- the daemon -------------------------------------------------------------- */

static int daemon_start(struct run *run)
{
    struct daemon_options options = {.registry = run->registry,
                                     .config_path = run->config_path,
                                     .environment = run->environment,
                                     .configured = log_set,
                                     .started = run->options.is_dev ? guide_print : NULL,
                                     .user = run};
    bool is_forced;
    struct err e = {0};
    int exit_code;

    if (helper_make(run, &e) != 0) {
        return complain(e.text, e.code == ERR_INVALID ? EX_CONFIG : EX_OSERR);
    }
    if (secret_memory_start(&run->config->settings.limits, &e) != 0 || io_new(&run->io, &e) != 0 ||
        helper_use(run, &e) != 0) {
        return complain(e.text, EX_OSERR);
    }
    log_set(run, run->config);
    secret_memory_log();
    if (io_passed_take(run->io, &e) != 0) {
        return complain(e.text, EX_CONFIG);
    }
    /* While it is there: what the configuration doesn't name is dropped. */
    options.is_in_pod =
        io_environment_find(run->environment, STR("KUBERNETES_SERVICE_HOST")) != NULL;
    io_set_environment(run->io, run->environment);
    if (io_environment_keep(run->environment, run->config->env_names,
                            run->config->env_name_count) != 0) {
        return complain("could not start: limits.secret_memory is too small for the secrets that "
                        "the environment holds",
                        EX_CONFIG);
    }
    if (harden_capabilities(&e) != 0 || harden_process(&e) != 0) {
        return complain(e.text, EX_OSERR);
    }
    options.io = run->io;
    options.files_record = run->files_record;
    options.files_known = buf_str(&run->files_known);
    options.config = run->config;
    run->config = NULL;
    exit_code = daemon_run(&options, &is_forced);
    if (is_forced) {
        _exit(exit_code);
    }
    return exit_code;
}

static int run_close(struct run *run, int exit_code)
{
    if (run->io != NULL && io_close(run->io) != 0 && exit_code == EX_OK) {
        exit_code = EX_SOFTWARE;
    }
    backend_registry_free(run->registry);
    config_free(run->config);
    dev_release(&run->dev);
    helper_programs_fini(&run->programs);
    mem_free(run->files_record);
    buf_fini(&run->files_known);
    io_environment_free(run->environment);
    io_drop_secret_memory();
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    log_sink_fini(&run->sink);
    return exit_code;
}

static int config_find(struct run *run)
{
    const char *from_environment = getenv("LEASED_CONFIG");
    const struct secret *runtime_dir =
        io_environment_find(run->environment, STR("XDG_RUNTIME_DIR"));
    struct err e = {0};

    run->config_path = run->options.config_path;
    if (run->options.is_dev) {
        if (dev_prepare(runtime_dir != NULL ? secret_view(runtime_dir) : STR(""), &run->dev, &e) !=
            0) {
            return complain(e.text, EX_CANTCREAT);
        }
        run->config_path = run->dev.config_path;
    } else if (run->config_path == NULL) {
        run->config_path = from_environment != NULL && from_environment[0] != '\0'
                               ? from_environment
                               : LEASED_SYSCONFDIR "/leased/leased.yaml";
    }
    return EX_OK;
}

static int run_with_config(struct run *run)
{
    bool touches_keys = run->options.action == OPTIONS_CHECK || run->options.is_dev;
    struct err e = {0};
    int exit_code = plugins_open(run);

    if (exit_code == EX_OK && touches_keys && harden_process(&e) != 0) {
        exit_code = complain(e.text, EX_OSERR);
    }
    if (exit_code == EX_OK) {
        exit_code = config_find(run);
    }
    if (exit_code == EX_OK) {
        exit_code = config_open(run);
    }
    if (exit_code == EX_OK && run->options.action == OPTIONS_RUN) {
        exit_code = daemon_start(run);
    }
    return exit_code;
}

static int action_run(struct run *run)
{
    switch (run->options.action) {
    case OPTIONS_HELP:
        return help_print();
    case OPTIONS_VERSION:
        return version_print();
    case OPTIONS_SCHEMA:
        return schema_print(&config_settings_table, "leased: the configuration");
    case OPTIONS_POLICY_SCHEMA:
        return schema_print(&access_policy_table, "leased: a policy file");
    default:
        return run_with_config(run);
    }
}

int main(int argc, char **argv)
{
    static struct run run = {.dev = {.lock = -1}, .helper = {.fd = -1}};
    struct err e = {0};
    int exit_code = process_prepare(&run);

    if (exit_code != EX_OK) {
        return exit_code;
    }
    if (options_parse(argc, argv, &run.options, &e) != 0) {
        (void)fprintf(stderr, "leased: %s\nTry 'leased --help'.\n", e.text);
        exit_code = EX_USAGE;
    } else {
        exit_code = action_run(&run);
    }
    return run_close(&run, exit_code);
}
