/* `notify`: who is told of what goes on record. */
#include "audit/hooks.h"
#include "base/mem.h"
#include "daemon/config_fields.h"
#include "daemon/config_internal.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 240U
#define HASH_BYTES 8U

static const struct schema_field notify_fields[] = {
    {FIELD(config_notify, "url", SCHEMA_STRING, url),
     .pattern = "^(https://|http://(127\\.|localhost|\\[::1\\]))",
     .doc = "gets the record of an event as JSON, by POST; must answer 2xx"},
    {FIELD(config_notify, "exec", SCHEMA_STRINGS, exec), .min = 1,
     .doc = "program and arguments instead; gets it on stdin, and must exit with 0"},
    {FIELD(config_notify, "user", SCHEMA_STRING, user),
     .doc = "as whom the program runs; that of leased by default"},
    {FIELD(config_notify, "events", SCHEMA_STRINGS, events), .min = 1, .max = HOOKS_EVENTS_MAX,
     .default_text = "request.*", .doc = "of the audit trail, with *"},
    {FIELD(config_notify, "hmac_key_file", SCHEMA_STRING, hmac_key_file), ABSOLUTE,
     .doc = "signs the body: X-Leased-Signature: t=SECONDS,v1=HMAC-SHA256 of SECONDS.BODY"},
    {FIELD(config_notify, "hmac_key_env", SCHEMA_STRING, hmac_key_env),
     .doc = "the same, from a variable"},
    {FIELD(config_notify, "hmac_key_credential", SCHEMA_STRING, hmac_key_credential),
     .doc = "the same, from systemd's credentials"},
    {FIELD(config_notify, "ca_file", SCHEMA_STRING, ca_file), ABSOLUTE,
     .doc = "instead of the system's"},
    {0},
};
const struct schema_object config_notify_table =
    TABLE_WITH("a notification", config_notify, notify_fields, false,
               "\"oneOf\":[{\"required\":[\"url\"]},{\"required\":[\"exec\"]}],"
               "\"dependentRequired\":{\"user\":[\"exec\"],\"hmac_key_file\":[\"url\"],"
               "\"hmac_key_env\":[\"url\"],\"hmac_key_credential\":[\"url\"],"
               "\"ca_file\":[\"url\"]}");

/* What goes on record, so that a typo isn't silence. */
static const char *const event_names[] = {
    "block.created",
    "block.ended",
    "checkpoint",
    "config.rejected",
    "config.reloaded",
    "credential.read",
    "daemon.recovered",
    "daemon.started",
    "daemon.stopped",
    "grant.created",
    "grant.denied",
    "grant.ended",
    "grant.reduced",
    "lease.adopted",
    "lease.expired",
    "lease.failed",
    "lease.issued",
    "lease.renewed",
    "lease.revoked",
    "lease.revoking",
    "lease.rotated",
    "lease.superseded",
    "observe.differs",
    "path.called",
    "policy.applied",
    "policy.rejected",
    "request.approved",
    "request.created",
    "request.denied",
    "request.expired",
    "request.refused",
    "request.unchanged",
    "request.withdrawn",
    "revoke.requested",
    "sink.degraded",
    "sink.restored",
    NULL,
};

static void check_events(const struct config_notify *notify, struct yaml_errors *errors)
{
    const struct yaml_node *node = yaml_get(notify->node, "events");
    size_t i;

    for (i = 0; i < notify->events.count; i++) {
        struct str pattern = str_of(notify->events.items[i]);
        const char *const *name = event_names;
        const char *best = schema_suggest(pattern, event_names);

        while (*name != NULL && !str_glob(pattern, str_of(*name))) {
            name++;
        }
        if (*name == NULL) {
            yaml_error_at(errors, node, "`%.*s` is no event of the trail%s%s%s", STR_ARG(pattern),
                          best != NULL ? ": did you mean `" : "", best != NULL ? best : "",
                          best != NULL ? "`?" : "");
        }
    }
}

/* What the program is called: its path, and a hash over all of it. */
static int name_program(struct config_notify *notify)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    char name[NAME_MAX_BYTES];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_well = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    size_t used;
    size_t i;

    for (i = 0; is_well && i < notify->exec.count; i++) {
        is_well = EVP_DigestUpdate(context, notify->exec.items[i],
                                   strlen(notify->exec.items[i]) + 1) == 1;
    }
    if (is_well && notify->user != NULL) {
        is_well = EVP_DigestUpdate(context, notify->user, strlen(notify->user)) == 1;
    }
    is_well = is_well && EVP_DigestFinal_ex(context, hash, NULL) == 1;
    EVP_MD_CTX_free(context);
    if (!is_well) {
        return ERR_NOMEM;
    }
    used = (size_t)snprintf(name, sizeof(name), "%.200s#", notify->exec.items[0]);
    for (i = 0; i < HASH_BYTES; i++) {
        used += (size_t)snprintf(name + used, sizeof(name) - used, "%02x", hash[i]);
    }
    notify->name = mem_strdup(name);
    return notify->name != NULL ? 0 : ERR_NOMEM;
}

static void misplaced(const struct config_notify *notify, const char *key, const char *what,
                      struct yaml_errors *errors)
{
    if (config_is_given(notify->node, key)) {
        yaml_error_at_key(errors, yaml_get(notify->node, key), "only with `%s`", what);
    }
}

static int check_one(struct config_notify *notify, struct yaml_errors *errors)
{
    bool is_program = notify->exec.count > 0;

    check_events(notify, errors);
    config_check_url(yaml_get(notify->node, "url"), notify->url, errors);
    if ((notify->url != NULL) == is_program) {
        yaml_error_at(errors, notify->node, "expected one of `url` and `exec`");
        return 0;
    }
    if (!is_program) {
        misplaced(notify, "user", "exec", errors);
        notify->name = mem_strdup(notify->url);
        return notify->name != NULL ? 0 : ERR_NOMEM;
    }
    misplaced(notify, "hmac_key_file", "url", errors);
    misplaced(notify, "hmac_key_env", "url", errors);
    misplaced(notify, "hmac_key_credential", "url", errors);
    misplaced(notify, "ca_file", "url", errors);
    if (notify->exec.items[0][0] != '/') {
        yaml_error_at(errors, yaml_get(notify->node, "exec"),
                      "expected the absolute path of a program first");
    }
    return name_program(notify);
}

int config_check_notify(struct config_settings *settings, struct yaml_errors *errors)
{
    struct config_notify *items = settings->notify.items;
    int r = 0;
    size_t i;

    for (i = 0; r == 0 && i < settings->notify.count; i++) {
        size_t other;

        r = check_one(&items[i], errors);
        for (other = 0; r == 0 && other < i; other++) {
            if (items[i].name != NULL && items[other].name != NULL &&
                strcmp(items[i].name, items[other].name) == 0) {
                yaml_error_at(errors, items[i].node,
                              "the same as an entry before: list all its events in one");
                break;
            }
        }
    }
    return r;
}

bool config_notify_has(const struct config *config, const char *name)
{
    const struct config_notify *items = config->settings.notify.items;
    size_t i;

    for (i = 0; i < config->settings.notify.count; i++) {
        if (strcmp(items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}
