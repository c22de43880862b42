/* Identities as the trail and the ledger have them, and back from the ledger. */
#include "access/identity_record.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const callers[] = {
    [ENV_PEER_UNIX] = "unix", [ENV_PEER_LOOPBACK] = "loopback", [ENV_PEER_FOREIGN] = "foreign",
    [ENV_PEER_TLS] = "tls",   [ENV_PEER_SELF] = "self",
};

struct audit_jwt access_identity_jwt(const struct access_claims *claims)
{
    struct audit_jwt jwt = {.iss = NULL};

    if (claims != NULL) {
        jwt.iss = claims->iss;
        jwt.sub = claims->sub;
        jwt.session = str_or_null(claims->session);
        jwt.person = str_or_null(claims->person);
    }
    return jwt;
}

void access_identity_tell(const struct access_identity *identity, struct audit_record *record)
{
    record->has_identity = true;
    record->uid = identity->uid;
    record->user = str_or_null(identity->user);
    record->pid = identity->pid;
    record->unit = str_or_null(identity->unit);
    record->container = str_or_null(identity->container);
    record->san = str_or_null(identity->sans);
    record->jwt = access_identity_jwt(identity->claims);
    record->image = str_or_null(identity->image);
}

const char *access_identity_caller(enum env_peer_kind kind)
{
    return callers[kind];
}

static int caller_find(const char *name, enum env_peer_kind *ret_kind)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(callers); i++) {
        if (strcmp(callers[i], name) == 0) {
            *ret_kind = (enum env_peer_kind)i;
            return 0;
        }
    }
    return ERR_INVALID;
}

void access_identity_record(const struct access_identity *identity,
                            struct ledger_holder *ret_holder)
{
    *ret_holder = (struct ledger_holder){
        .caller = callers[identity->kind],
        .uid = identity->uid,
        .user = identity->user,
        .unit = identity->unit,
        .container = identity->container,
        .listener = identity->listener != NULL ? identity->listener : "",
        .sans = identity->sans,
        .claims = "",
        .image = identity->image,
        .is_foreign = identity->is_foreign,
    };
}

const char *access_identity_groups(const struct access_identity *identity,
                                   char out[ACCESS_GROUPS_TEXT_MAX_BYTES])
{
    size_t used = 0;
    size_t i;

    out[0] = '\0';
    for (i = 0; i < identity->group_count; i++) {
        used += (size_t)snprintf(out + used, ACCESS_GROUPS_TEXT_MAX_BYTES - used, "%s%" PRIu32,
                                 i > 0 ? "," : "", identity->groups[i]);
        CHECK(used < ACCESS_GROUPS_TEXT_MAX_BYTES);
    }
    return out;
}

static bool put_text(char *place, size_t size, const char *text)
{
    size_t len = strlen(text);

    if (len >= size) {
        return false;
    }
    memcpy(place, text, len + 1);
    return true;
}

int access_identity_recover(const struct ledger_holder *record,
                            struct access_identity *ret_identity, struct access_claims **ret_claims)
{
    enum env_peer_kind kind;
    int r = record->claims[0] != '\0' ? access_claims_read(str_of(record->claims), ret_claims, NULL)
                                      : 0;

    if (r != 0) {
        return r;
    }
    if (caller_find(record->caller, &kind) != 0) {
        return ERR_INVALID;
    }
    *ret_identity = (struct access_identity){
        .kind = kind,
        .listener = record->listener,
        .uid = record->uid,
        .gid = ENV_NO_ID,
        .is_foreign = record->is_foreign,
        .claims = *ret_claims,
    };
    return put_text(ret_identity->user, sizeof(ret_identity->user), record->user) &&
                   put_text(ret_identity->unit, sizeof(ret_identity->unit), record->unit) &&
                   put_text(ret_identity->container, sizeof(ret_identity->container),
                            record->container) &&
                   put_text(ret_identity->image, sizeof(ret_identity->image), record->image) &&
                   put_text(ret_identity->sans, sizeof(ret_identity->sans), record->sans)
               ? 0
               : ERR_INVALID;
}

int access_identity_recover_groups(struct str text, struct access_identity *identity)
{
    while (text.len > 0) {
        struct str part = str_cut(&text, ',');
        uint64_t group;

        if (identity->group_count == ENV_PEER_GROUPS_MAX || str_parse_u64(part, &group) != 0 ||
            group > UINT32_MAX) {
            return ERR_INVALID;
        }
        identity->groups[identity->group_count++] = (uint32_t)group;
    }
    return 0;
}
