/* Assumed identities: a mapping is decoded by its table, checked for what no caller could be, and
 * filled in as access_identity_init would have done it.
 *
 * Rules ask for groups by name and by number, callers have numbers that the env knows names for. A
 * group that is assumed by its name gets a number that no group has, and an env of its own that
 * knows it. */
#include "access/assumed_config.h"

#include "access/policy_config.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* Numbers of groups known by name: counted down from here, below ENV_NO_ID. */
#define NAMED_GID 0xfffffff0U
/* Of who is in no group; it has no name. */
#define NO_GROUP_GID (NAMED_GID + 1)

struct access_assumed {
    struct access_identity identity;
    char listener[ENV_NAME_MAX_BYTES];
    struct access_claims *claims;
    struct env env;
    char group_names[ENV_GROUPS_MAX][ENV_NAME_MAX_BYTES];
    size_t group_name_count;
};

/* --- the table --- */

#define JWT(key, type, member) key, type, offsetof(struct access_assumed_jwt_config, member)
#define FIELD(key, type, member) key, type, offsetof(struct access_assumed_config, member)

static const struct schema_field jwt_fields[] = {
    {JWT("issuer", SCHEMA_STRING, issuer), .flags = SCHEMA_REQUIRED, .max = ENV_NAME_MAX_BYTES - 1,
     .doc = "the name of one of `issuers`"},
    {JWT("sub", SCHEMA_STRING, sub), .max = ACCESS_CLAIM_MAX_BYTES - 1, .doc = "the claim sub"},
    {JWT("session", SCHEMA_STRING, session), .max = ACCESS_CLAIM_MAX_BYTES - 1,
     .doc = "one job, as the issuer's `session` would find it"},
    {JWT("person", SCHEMA_STRING, person), .max = ACCESS_CLAIM_MAX_BYTES - 1,
     .doc = "who is behind it, as the issuer's `person` would find them"},
    {JWT("claims", SCHEMA_JSON, claims_json), .doc = "what else the token claims: a mapping"},
    {0},
};

static const struct schema_object jwt_table = {
    .name = "jwt",
    .size = sizeof(struct access_assumed_jwt_config),
    .fields = jwt_fields,
};

static const struct schema_field tls_fields[] = {
    {"san", SCHEMA_STRINGS, offsetof(struct access_assumed_tls_config, sans),
     .flags = SCHEMA_REQUIRED, .max = ENV_PEER_SAN_MAX_BYTES - 1,
     .doc = "names in the client's certificate"},
    {0},
};

static const struct schema_object tls_table = {
    .name = "tls",
    .size = sizeof(struct access_assumed_tls_config),
    .fields = tls_fields,
};

static const struct schema_enum_value kind_values[] = {
    {"unix", ENV_PEER_UNIX},
    {"loopback", ENV_PEER_LOOPBACK},
    {"tls", ENV_PEER_TLS},
    {"foreign", ENV_PEER_FOREIGN},
    {0},
};

static const struct schema_field assumed_fields[] = {
    {FIELD("user", SCHEMA_STRING, user), .max = ENV_NAME_MAX_BYTES - 1,
     .doc = "the name behind the uid"},
    {FIELD("uid", SCHEMA_UINT, uid), .max = UINT32_MAX - 1,
     .doc = "the uid; 0 for the user root, else none that a rule could name"},
    {FIELD("group", SCHEMA_STRINGS, groups), .max = ENV_NAME_MAX_BYTES - 1,
     .doc = "names of groups that the caller is in"},
    {FIELD("gid", SCHEMA_STRINGS, gids), .pattern = "^[0-9]+$",
     .doc = "numbers of groups that the caller is in"},
    {FIELD("unit", SCHEMA_STRING, unit), .max = ACCESS_UNIT_MAX_BYTES - 1,
     .doc = "the systemd unit"},
    {FIELD("container", SCHEMA_STRING, container), .max = ACCESS_CONTAINER_MAX_BYTES - 1,
     .doc = "the id of a container that isn't the daemon's own"},
    {FIELD("image", SCHEMA_STRING, image), .max = ACCESS_IMAGE_MAX_BYTES - 1,
     .doc = "what that container was made from"},
    {FIELD("listener", SCHEMA_STRING, listener), .max = ENV_NAME_MAX_BYTES - 1,
     .doc = "the listener that the caller came by"},
    {FIELD("kind", SCHEMA_ENUM, kind), .default_text = "unix", .values = kind_values,
     .doc = "how the caller came: unix, loopback, tls (as with a san), foreign (by a listener with "
            "`peers: foreign`)"},
    {FIELD("san", SCHEMA_STRINGS, sans), .max = ENV_PEER_SAN_MAX_BYTES - 1,
     .doc = "names in the client's certificate"},
    {FIELD("tls", SCHEMA_OBJECT, tls), .object = &tls_table, .doc = "the same, as rules write it"},
    {FIELD("jwt", SCHEMA_OBJECT, jwt), .object = &jwt_table, .doc = "the caller's job token"},
    {0},
};

const struct schema_object access_assumed_table = {
    .name = "a caller",
    .size = sizeof(struct access_assumed_config),
    .fields = assumed_fields,
};

/* --- its env --- */

static int assumed_group_name(struct env *env, uint32_t gid, char ret_name[ENV_NAME_MAX_BYTES])
{
    const struct access_assumed *assumed = env->impl;

    if (gid > NAMED_GID || NAMED_GID - gid >= assumed->group_name_count) {
        return ERR_NOT_FOUND;
    }
    memcpy(ret_name, assumed->group_names[NAMED_GID - gid], ENV_NAME_MAX_BYTES);
    return 0;
}

static const struct env_ops assumed_ops = {.group_name = assumed_group_name};

/* --- from the decoded form --- */

static void text_set(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}

static void groups_fill(struct access_assumed *assumed, const struct access_assumed_config *config,
                        struct yaml_errors *errors)
{
    struct access_identity *identity = &assumed->identity;
    size_t total = config->groups.count + config->gids.count;
    size_t i;

    identity->gid = NO_GROUP_GID;
    if (total > ENV_GROUPS_MAX) {
        yaml_error_at(errors, config->node, "a caller has at most %d groups", ENV_GROUPS_MAX);
        return;
    }
    for (i = 0; i < config->groups.count; i++) {
        text_set(assumed->group_names[i], ENV_NAME_MAX_BYTES, config->groups.items[i]);
        identity->groups[identity->group_count++] = NAMED_GID - (uint32_t)i;
    }
    assumed->group_name_count = config->groups.count;
    for (i = 0; i < config->gids.count; i++) {
        uint64_t gid = 0;

        if (str_parse_u64(str_of(config->gids.items[i]), &gid) != 0 || gid >= ENV_NO_ID) {
            yaml_error_at(errors, access_item_node(config->node, "gid", i),
                          "`%s` is no gid: expected a number", config->gids.items[i]);
        } else {
            identity->groups[identity->group_count++] = (uint32_t)gid;
        }
    }
    if (identity->group_count > 0) {
        identity->gid = identity->groups[0];
    }
}

static const struct schema_strings *sans_of(const struct access_assumed_config *config)
{
    return config->sans.count > 0 ? &config->sans : &config->tls.sans;
}

/* Names of a certificate have no blanks in them, which is why blanks can stand between them. */
static void sans_fill(struct access_identity *identity, const struct access_assumed_config *config,
                      struct yaml_errors *errors)
{
    const struct schema_strings *sans = sans_of(config);
    size_t used = 0;
    size_t i;

    for (i = 0; i < sans->count; i++) {
        const char *san = sans->items[i];
        const struct yaml_node *node =
            access_item_node(sans == &config->sans ? config->node : config->tls.node, "san", i);

        if (strchr(san, ' ') != NULL) {
            yaml_error_at(errors, node, "the name in a certificate has no blanks");
        } else if (used + strlen(san) + 2 > sizeof(identity->sans)) {
            yaml_error_at(errors, node, "these names are longer than a certificate's may be");
            return;
        } else {
            used += (size_t)snprintf(identity->sans + used, sizeof(identity->sans) - used, "%s%s",
                                     used > 0 ? " " : "", san);
        }
    }
}

/* Whoever assumes what no caller can be would test nothing. */
static void check(const struct access_assumed_config *config, enum env_peer_kind kind,
                  struct yaml_errors *errors)
{
    bool has_process = config->unit != NULL || config->container != NULL;
    bool has_user = config->user != NULL || yaml_get(config->node, "uid") != NULL ||
                    config->groups.count > 0 || config->gids.count > 0;

    if (config->sans.count > 0 && config->tls.sans.count > 0) {
        yaml_error_at(errors, config->tls.node, "write `san` or `tls`, not both");
    } else if (kind == ENV_PEER_TLS) {
        if (sans_of(config)->count == 0) {
            yaml_error_at(errors, config->node, "a caller of kind tls needs a `san`");
        } else if (has_user || has_process) {
            yaml_error_at(errors, config->node,
                          "a caller with a certificate has no user, group, unit or container");
        }
    } else if (sans_of(config)->count > 0) {
        yaml_error_at(errors, config->node, "only a caller of kind tls has a `san`");
    } else if (kind == ENV_PEER_LOOPBACK && has_process) {
        yaml_error_at(errors, config->node,
                      "of a caller on loopback neither unit nor container is known");
    } else if (config->image != NULL && config->container == NULL) {
        yaml_error_at(errors, config->node, "an `image` is a container's: write a `container` too");
    } else if (config->unit != NULL && config->container != NULL) {
        yaml_error_at(errors, config->node, "a caller in another container has no unit");
    } else if (!has_user) {
        yaml_error_at(errors, config->node,
                      "this caller is nobody: write a `user`, a `uid`, a `group` or a `san`");
    }
}

static int claim_add(json_t *all, const char *name, const char *text)
{
    return text == NULL || json_object_set_new(all, name, json_string(text)) == 0 ? 0 : ERR_NOMEM;
}

static const char *claim_text(const json_t *all, const char *name)
{
    const char *text = json_string_value(json_object_get(all, name));

    return text != NULL ? text : "";
}

static int add_bytes(const char *bytes, size_t size, void *user)
{
    buf_add(user, bytes, size);
    return 0;
}

/* The claims in the form that access_claims_read knows. */
static int claims_write(const struct access_assumed_jwt_config *config, json_t *all,
                        struct buf *out)
{
    json_t *object;
    int r = ERR_NOMEM;

    if (claim_add(all, "sub", config->sub) != 0) {
        return ERR_NOMEM;
    }
    object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:O}", "issuer", config->issuer, "iss",
                       claim_text(all, "iss"), "sub", claim_text(all, "sub"), "session",
                       config->session != NULL ? config->session : "", "person",
                       config->person != NULL ? config->person : "", "claims", all);
    if (object != NULL && json_dump_callback(object, add_bytes, out, JSON_COMPACT) == 0) {
        r = buf_status(out);
    }
    json_decref(object);
    return r;
}

static int claims_fill(struct access_assumed *assumed,
                       const struct access_assumed_jwt_config *config, struct yaml_errors *errors)
{
    const struct yaml_node *node = yaml_get(config->node, "claims");
    json_t *all =
        config->claims_json != NULL ? json_loads(config->claims_json, 0, NULL) : json_object();
    struct err e = {0};
    BUF_AUTO text;
    int r = 0;

    buf_init(&text, 2 * ACCESS_CLAIMS_TEXT_MAX_BYTES);
    if (!json_is_object(all)) {
        yaml_error_at(errors, node != NULL ? node : config->node,
                      "expected a mapping from claims to what they are");
    } else {
        r = claims_write(config, all, &text);
        r = r == 0 ? access_claims_read(buf_str(&text), &assumed->claims, &e) : r;
    }
    if (r == ERR_INVALID || r == ERR_TOO_LARGE) {
        yaml_error_at(errors, config->node, "these claims are longer than a token's may be");
        r = 0;
    }
    assumed->identity.claims = assumed->claims;
    json_decref(all);
    return r;
}

static int fill(struct access_assumed *assumed, const struct access_assumed_config *config,
                struct yaml_errors *errors)
{
    struct access_identity *identity = &assumed->identity;

    identity->kind = (enum env_peer_kind)config->kind;
    if (sans_of(config)->count > 0 && yaml_get(config->node, "kind") == NULL) {
        identity->kind = ENV_PEER_TLS;
    }
    check(config, identity->kind, errors);
    text_set(assumed->listener, sizeof(assumed->listener), config->listener);
    text_set(identity->user, sizeof(identity->user), config->user);
    text_set(identity->unit, sizeof(identity->unit), config->unit);
    text_set(identity->image, sizeof(identity->image), config->image);
    text_set(identity->container, sizeof(identity->container), config->container);
    identity->listener = assumed->listener;
    identity->is_foreign = config->container != NULL || identity->kind == ENV_PEER_FOREIGN;
    identity->uid = yaml_get(config->node, "uid") != NULL || strcmp(identity->user, "root") == 0
                        ? (uint32_t)config->uid
                        : ENV_NO_ID;
    groups_fill(assumed, config, errors);
    sans_fill(identity, config, errors);
    return config->jwt.node != NULL && config->jwt.issuer != NULL
               ? claims_fill(assumed, &config->jwt, errors)
               : 0;
}

int access_assumed_make(const struct access_assumed_config *config,
                        struct access_assumed **ret_assumed, struct yaml_errors *errors)
{
    struct access_assumed *assumed = mem_calloc(1, sizeof(*assumed));
    size_t count_before = errors->count;
    int r = ERR_NOMEM;

    if (assumed != NULL) {
        assumed->env = (struct env){.ops = &assumed_ops, .impl = assumed};
        assumed->identity.env = &assumed->env;
        r = fill(assumed, config, errors);
    }
    if (r == 0 && errors->count > count_before) {
        r = ERR_INVALID;
    }
    if (r != 0) {
        access_assumed_free(assumed);
        return r;
    }
    *ret_assumed = assumed;
    return 0;
}

int access_assumed_new(const struct yaml_node *node, struct access_assumed **ret_assumed,
                       struct yaml_errors *errors)
{
    struct access_assumed_config config = {0};
    int r = schema_decode(&access_assumed_table, node, &config, errors);

    if (r == 0) {
        r = access_assumed_make(&config, ret_assumed, errors);
    }
    schema_fini(&access_assumed_table, &config);
    return r;
}

void access_assumed_free(struct access_assumed *assumed)
{
    if (assumed != NULL) {
        access_claims_free(assumed->claims);
        mem_free(assumed);
    }
}

const struct access_identity *access_assumed_identity(const struct access_assumed *assumed)
{
    return &assumed->identity;
}
