/* A policy on its way to leased.
 *
 * The revision is read from git's own files. Whether the work tree has changes that aren't
 * committed only git knows: no program is run for that, so what was brought is told apart by its
 * digest. */
#include "cli/policy_bring.h"

#include "base/mem.h"
#include "cli/api.h"
#include "wire/git_revision.h"
#include "wire/json_out.h"

#include <limits.h>
#include <stdlib.h>

static int git_file_read(void *user, const char *path, struct buf *out)
{
    (void)user;
    return policy_file_read(path, out, NULL);
}

int policy_bring_revision(struct policy_folder *folder)
{
    const struct git_reader reader = {.read = git_file_read};
    char revision[GIT_REVISION_MAX_BYTES + 1];
    char real[PATH_MAX];

    if (realpath(folder->path[0] != '\0' ? folder->path : ".", real) == NULL ||
        !git_revision_find(&reader, real, revision)) {
        return 0;
    }
    return policy_bundle_set_revision(folder->policy, str_of(revision), NULL);
}

void policy_bring_write(const struct cli *cli, const struct policy_folder *folder,
                        struct json_out *json)
{
    if (folder->policy != NULL) {
        policy_bundle_write(folder->policy, json);
    }
    json_out_bool(json, "observe", cli->options.values[OPTION_OBSERVE].count > 0);
}

static int read_folder(struct cli *cli, const char *path, struct policy_folder *folder)
{
    struct err e = {.code = 0};
    int r;

    if (path == NULL) {
        return CLI_OK;
    }
    r = policy_folder_read(path, folder, &e);
    if (r != 0) {
        cli_message(cli, "%s", e.code != 0 ? e.text : err_str(r));
        return r == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED;
    }
    if (policy_bring_revision(folder) != 0) {
        cli_message(cli, "%s", err_str(ERR_NOMEM));
        return CLI_FAILED;
    }
    return CLI_OK;
}

int policy_bring_plan(struct cli *cli, const char *path, struct policy_folder *ret_folder,
                      json_t **ret_plan)
{
    struct api_request request = {.method = "POST",
                                  .path = API_ROOT "/policy/plan",
                                  .action = "plan"};
    struct policy_folder folder = {.path = NULL};
    struct json_out json;
    BUF_AUTO body;
    int exit_code = read_folder(cli, path, &folder);

    buf_init(&body, POLICY_BUNDLE_BODY_MAX_BYTES);
    if (exit_code != CLI_OK) {
        policy_folder_fini(&folder);
        return exit_code;
    }
    json_out_init(&json, &body);
    json_out_object_open(&json, NULL);
    policy_bring_write(cli, &folder, &json);
    json_out_object_close(&json);
    if (buf_status(&body) != 0) {
        cli_message(cli, "could not send the policy: %s", err_str(buf_status(&body)));
        policy_folder_fini(&folder);
        return CLI_FAILED;
    }
    request.body = buf_str(&body).ptr;
    exit_code = api_call_json(cli, &request, NULL, ret_plan);
    if (exit_code != CLI_OK) {
        policy_folder_fini(&folder);
        return exit_code;
    }
    *ret_folder = folder;
    return CLI_OK;
}
