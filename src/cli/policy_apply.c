/* `lease policy apply DIR`: plans, shows, and applies just that; with --digest only what was
 * planned before. `lease policy export [DIR]`: the policy that counts, as files. */
#include "cli/policy.h"

#include "base/mem.h"
#include "cli/api.h"
#include "cli/policy_bring.h"
#include "cli/show.h"
#include "wire/format.h"
#include "wire/json_out.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- apply ---------------------------------------------------------------------- */

struct applying {
    struct cli *cli;
    struct policy_folder folder;
    json_t *plan;
    uint64_t drain_ms;
    uint64_t max_ended;
    bool has_max_ended;
};

static int limits_read(struct applying *it)
{
    const struct options *options = &it->cli->options;
    const char *max_ended = options_get(options, OPTION_MAX_ENDED);
    struct err e = {.code = 0};

    it->has_max_ended = max_ended != NULL;
    if (options_get_duration(options, OPTION_DRAIN, 0, &it->drain_ms, &e) != 0) {
        return cli_usage_error(it->cli, "%s", e.text);
    }
    if (max_ended != NULL && str_parse_u64(str_of(max_ended), &it->max_ended) != 0) {
        return cli_usage_error(it->cli, "--max-ended is no number: \"%s\"", max_ended);
    }
    return CLI_OK;
}

/* NULL: none is wanted. */
static const char *path_of(struct cli *cli)
{
    return cli->options.arg_count > 0 ? cli->options.args[0] : NULL;
}

static int usage_check(struct cli *cli)
{
    bool is_observed = cli->options.values[OPTION_OBSERVE].count > 0;
    bool is_none = cli->options.values[OPTION_NONE].count > 0;

    if (is_none && (!is_observed || path_of(cli) != NULL)) {
        return cli_usage_error(cli, "--none goes with --observe and without a folder");
    }
    if (!is_none && path_of(cli) == NULL) {
        return cli_usage_error(cli, "which policy? Name its folder");
    }
    return CLI_OK;
}

static int apply_send(struct applying *it, json_t **ret_applied)
{
    const char *digest = json_string_value(json_object_get(it->plan, "digest"));
    const struct api_request request = {.method = "POST",
                                        .path = API_ROOT "/policy/apply",
                                        .action = "apply"};
    struct api_request sent = request;
    struct json_out json;
    BUF_AUTO body;

    buf_init(&body, POLICY_BUNDLE_BODY_MAX_BYTES);
    json_out_init(&json, &body);
    json_out_object_open(&json, NULL);
    policy_bring_write(it->cli, &it->folder, &json);
    json_out_string_c(&json, "digest", digest);
    json_out_u64(&json, "drain", it->drain_ms / 1000);
    if (it->has_max_ended) {
        json_out_u64(&json, "max_ended", it->max_ended);
    }
    json_out_object_close(&json);
    if (buf_status(&body) != 0) {
        cli_message(it->cli, "could not send the policy: %s", err_str(buf_status(&body)));
        return CLI_FAILED;
    }
    sent.body = buf_str(&body).ptr;
    return api_call_json(it->cli, &sent, NULL, ret_applied);
}

static void applied_show(struct cli *cli, const json_t *applied)
{
    static const struct {
        const char *key;
        const char *what;
    } counts[] = {{"grants_ended", "ended"},
                  {"grants_draining", "drain"},
                  {"grants_reduced", "got shorter"}};
    const char *digest = json_string_value(json_object_get(applied, "digest"));
    size_t i;

    buf_printf(&cli->out, "%s: policy %.12s counts",
               cli->options.values[OPTION_OBSERVE].count > 0 ? "observed as asked" : "applied",
               digest != NULL ? digest : "-");
    for (i = 0; i < ARRAY_LEN(counts); i++) {
        json_int_t count = json_integer_value(json_object_get(applied, counts[i].key));

        if (count > 0) {
            buf_printf(&cli->out, "; %lld grants %s", (long long)count, counts[i].what);
        }
    }
    buf_add_char(&cli->out, '\n');
}

/* What was planned before is what is planned now, or nothing is applied. */
static int digest_check(const struct applying *it)
{
    const char *wanted = options_get(&it->cli->options, OPTION_DIGEST);
    const char *planned = json_string_value(json_object_get(it->plan, "digest"));

    if (wanted == NULL || (planned != NULL && strcmp(wanted, planned) == 0)) {
        return CLI_OK;
    }
    cli_message(it->cli,
                "this isn't what was planned: the policy that counts, or these files, are others "
                "now. Plan again (lease policy plan), look at it, and apply that");
    return CLI_FAILED;
}

static int apply_planned(struct applying *it)
{
    struct cli *cli = it->cli;
    json_t *applied = NULL;
    int exit_code = digest_check(it);

    if (exit_code == CLI_OK && !cli_wants_json(cli)) {
        exit_code = policy_plan_show(cli, it->plan);
        if (exit_code == CLI_OK) {
            exit_code = cli_flush(cli);
        }
    }
    if (exit_code == CLI_OK) {
        exit_code = apply_send(it, &applied);
    }
    if (exit_code == CLI_OK && cli_wants_json(cli)) {
        exit_code = show_json(cli, applied);
    } else if (exit_code == CLI_OK) {
        applied_show(cli, applied);
    }
    json_decref(applied);
    return exit_code;
}

int policy_run_apply(struct cli *cli)
{
    struct applying it = {.cli = cli};
    int exit_code = usage_check(cli);

    if (exit_code == CLI_OK) {
        exit_code = limits_read(&it);
    }
    if (exit_code == CLI_OK) {
        exit_code = policy_bring_plan(cli, path_of(cli), &it.folder, &it.plan);
    }
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    exit_code = apply_planned(&it);
    json_decref(it.plan);
    policy_folder_fini(&it.folder);
    return exit_code;
}

/* ---- export --------------------------------------------------------------------- */

/* The folders of a name, below `top`; 0 or a negated errno. */
static int folders_make(const char *top, const char *name)
{
    char path[PATH_MAX];
    const char *slash = name;

    while ((slash = strchr(slash, '/')) != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%.*s", top, (int)(slash - name), name);
        if (mkdir(path, 0777) != 0 && errno != EEXIST) {
            return -errno;
        }
        slash++;
    }
    return 0;
}

static int bytes_write(int fd, struct str text)
{
    while (text.len > 0) {
        ssize_t written = write(fd, text.ptr, text.len);

        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        if (written > 0) {
            text.ptr += written;
            text.len -= (size_t)written;
        }
    }
    return 0;
}

/* What is there already is somebody's. */
static int file_write(struct cli *cli, const char *top, const struct policy_file *file)
{
    char path[PATH_MAX];
    int r = folders_make(top, file->name);
    int fd = -1;

    (void)snprintf(path, sizeof(path), "%s/%s", top, file->name);
    if (r == 0) {
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        r = fd >= 0 ? bytes_write(fd, file->text) : -errno;
    }
    if (fd >= 0 && close(fd) != 0 && r == 0) {
        r = -errno;
    }
    if (r != 0) {
        cli_message(cli, "could not write %s: %s", path, err_str(r));
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int folder_write(struct cli *cli, const char *top, const struct policy_bundle *bundle)
{
    int exit_code = CLI_OK;
    size_t i;

    if (mkdir(top, 0777) != 0 && errno != EEXIST) {
        cli_message(cli, "could not make %s: %s", top, err_str(-errno));
        return CLI_FAILED;
    }
    for (i = 0; exit_code == CLI_OK && i < bundle->file_count; i++) {
        exit_code = file_write(cli, top, &bundle->files[i]);
    }
    if (exit_code == CLI_OK) {
        buf_printf(&cli->out, "%zu files written to %s\n", bundle->file_count, top);
    }
    if (exit_code == CLI_OK && bundle->main[0] != '\0') {
        buf_printf(&cli->out, "the policy is %s/%s with what it includes\n", top, bundle->main);
    }
    return exit_code;
}

static void files_print(struct cli *cli, const struct policy_bundle *bundle)
{
    size_t i;

    for (i = 0; i < bundle->file_count; i++) {
        buf_printf(&cli->out, "# %s\n", bundle->files[i].name);
        buf_add_str(&cli->out, bundle->files[i].text);
        buf_add_c(&cli->out, str_ends_with(bundle->files[i].text, "\n") ? "" : "\n");
    }
}

static int exported_write(struct cli *cli, const json_t *document)
{
    struct policy_bundle *bundle = NULL;
    struct err e = {.code = 0};
    int exit_code = CLI_OK;

    if (json_array_size(json_object_get(document, "files")) == 0) {
        cli_message(cli, "the policy has no files: nobody may do anything");
        return CLI_NOT_FOUND;
    }
    if (policy_bundle_read(document, &bundle, &e) != 0) {
        cli_message(cli, "leased's answer can't be read: %s", e.text);
        return CLI_FAILED;
    }
    if (cli->options.arg_count > 0) {
        exit_code = folder_write(cli, cli->options.args[0], bundle);
    } else {
        files_print(cli, bundle);
    }
    policy_bundle_free(bundle);
    return exit_code;
}

int policy_run_export(struct cli *cli)
{
    const struct api_request request = {.method = "GET",
                                        .path = API_ROOT "/policy/export",
                                        .action = "export"};
    json_t *document = NULL;
    int exit_code = api_call_json(cli, &request, NULL, &document);

    if (exit_code == CLI_OK) {
        exit_code = cli_wants_json(cli) ? show_json(cli, document) : exported_write(cli, document);
    }
    json_decref(document);
    return exit_code;
}
