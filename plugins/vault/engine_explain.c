/* What can be said about a failure beyond its status: a method that the path doesn't have, a
 * version that was deleted, a path of a versioned engine that lacks its part. */
#include "engine.h"

#include <string.h>

/* A deleted or destroyed version answers with an envelope and 404. */
static bool explain_deleted(json_t *data, struct plugin_text *detail)
{
    json_t *metadata = json_object_get(data, "metadata");
    struct leased_str deleted = vault_reply_text(metadata, "deletion_time");
    bool is_destroyed = json_is_true(json_object_get(metadata, "destroyed"));

    if (metadata == NULL || (deleted.len == 0 && !is_destroyed)) {
        return false;
    }
    plugin_text_set(detail, "version %lld of the secret was %s%s%.*s (HTTP status 404)",
                    (long long)json_integer_value(json_object_get(metadata, "version")),
                    is_destroyed ? "destroyed" : "deleted", deleted.len > 0 ? " at " : "",
                    deleted.len < 40 ? (int)deleted.len : 0, deleted.ptr);
    return true;
}

/* KV version 2 warns when a path lacks its `data/`. */
static bool explain_unversioned(const struct vault_op *op, json_t *warnings,
                                struct plugin_text *detail)
{
    size_t mount_len = strcspn(op->path, "/");

    if (json_array_size(warnings) == 0 ||
        strstr(json_string_value(json_array_get(warnings, 0)), "versioned K/V") == NULL) {
        return false;
    }
    plugin_text_set(
        detail,
        "this is a versioned KV engine, whose paths have data/ behind the mount: did you "
        "mean \"%.*s/data%s\"? (HTTP status 404)",
        (int)mount_len, op->path, op->path + mount_len);
    return true;
}

void vault_engine_explain(const struct vault_op *op, const struct leased_http_reply *http,
                          struct vault_failure *failure)
{
    struct vault_reply reply = {0};
    struct plugin_text unused = {{0}};

    if (http->transport != LEASED_HTTP_OK || op->path == NULL) {
        return;
    }
    if (http->status == 405) {
        plugin_text_set(&failure->detail,
                        "the path doesn't support %s: set `method: %s` in the role (HTTP status "
                        "405)",
                        op->is_post ? "POST" : "GET", op->is_post ? "get" : "post");
    } else if (http->status == 404 && vault_reply_parse(http, &reply, &unused) == 0) {
        if (!explain_deleted(reply.data, &failure->detail)) {
            (void)explain_unversioned(op, reply.warnings, &failure->detail);
        }
        vault_reply_fini(&reply);
    }
}
