/* Happy path: an OK with a lifetime and clean fields becomes LEASE_OUTCOME_OK.
 *
 * An issue that reports OK but breaks a rule (no lifetime, field names that don't fit, too much) is
 * refused as a whole; what it created is named as an orphan, so that it gets revoked instead of
 * forgotten. */
#include "backend/result.h"

#include "backend/host.h"

#include <stdio.h>
#include <string.h>

#define REF_MAX_BYTES ((size_t)LEASE_ISSUER_REF_MAX_BYTES)

struct lease_result result_of(enum lease_outcome outcome, const char *detail)
{
    return (struct lease_result){.outcome = outcome, .detail = detail};
}

static enum lease_outcome outcome_of(enum op_kind kind, int32_t status)
{
    bool creates = kind == OP_ISSUE || kind == OP_CALL;

    switch (status) {
    case LEASED_OK:
        return LEASE_OUTCOME_OK;
    case LEASED_RETRY:
    case LEASED_RETRY_AFTER:
        return LEASE_OUTCOME_RETRY;
    case LEASED_DENIED:
        return LEASE_OUTCOME_DENIED;
    case LEASED_GONE:
        /* There is nothing that these could find gone. */
        return creates ? LEASE_OUTCOME_INVALID : LEASE_OUTCOME_GONE;
    case LEASED_INVALID:
        return LEASE_OUTCOME_INVALID;
    case LEASED_SEALED:
        return LEASE_OUTCOME_SEALED;
    case LEASED_CANCELED:
        return LEASE_OUTCOME_CANCELED;
    default:
        /* LEASED_LOST, and classes of a newer ABI. Renewals and revocations can be repeated. */
        return creates ? LEASE_OUTCOME_LOST : LEASE_OUTCOME_RETRY;
    }
}

/* The part of the plugin's struct that its `size` reaches; the rest is zero. */
static struct leased_result known_part(const struct leased_result *result)
{
    struct leased_result known = {0};
    size_t size = result != NULL ? result->size : 0;

    if (size > sizeof(known)) {
        size = sizeof(known);
    }
    if (size > 0) {
        memcpy(&known, result, size);
    }
    return known;
}

static bool is_field_name(struct str name)
{
    if (name.len == 0 || name.len > RESULT_FIELD_NAME_MAX_BYTES) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '.' || c == '-')) {
            return false;
        }
    }
    return true;
}

static bool has_field(const struct result_mapped *mapped, struct str name)
{
    for (size_t i = 0; i < mapped->result.field_count; i++) {
        if (str_eq(mapped->fields[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* NULL, or why the credential is refused. */
static const char *map_fields(const struct leased_result *known, struct result_mapped *mapped)
{
    size_t bytes = 0;

    if (known->field_count > LEASE_FIELDS_MAX) {
        return "the credential has too many fields";
    }
    if (known->field_count > 0 && known->fields == NULL) {
        return "the credential has no fields";
    }
    for (size_t i = 0; i < known->field_count; i++) {
        const struct leased_kv *kv = &known->fields[i];
        struct str name = host_str(kv->key);
        struct str value = host_str(kv->value);

        if (!is_field_name(name)) {
            return "the credential has a field whose name isn't made of letters, digits and _.-";
        }
        if (has_field(mapped, name)) {
            return "the credential has two fields of the same name";
        }
        if (value.len > RESULT_FIELDS_MAX_BYTES - bytes) {
            return "the credential is too large";
        }
        bytes += value.len;
        mapped->fields[i] = (struct lease_field){.name = name,
                                                 .value = value,
                                                 .is_secret = (kv->flags & LEASED_KV_SECRET) != 0};
        mapped->result.field_count = i + 1;
    }
    mapped->result.fields = mapped->fields;
    return NULL;
}

bool result_is_ref(struct str ref)
{
    for (size_t i = 0; i < ref.len; i++) {
        if (((unsigned char)ref.ptr[i] < 0x20 && ref.ptr[i] != '\n') || ref.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* NULL, or why the issuer's reference is refused. */
static const char *check_ref(const struct leased_result *known)
{
    struct str ref = host_str(known->issuer_ref);

    if (ref.len > REF_MAX_BYTES) {
        return "the issuer's reference is too long";
    }
    if (!result_is_ref(ref)) {
        return "the issuer's reference holds control bytes";
    }
    if (ref.len == 0 && (known->flags & (LEASED_RESULT_RENEWABLE | LEASED_RESULT_REVOCABLE)) != 0) {
        return "the credential can be renewed or revoked but has no reference";
    }
    return NULL;
}

static void map_life(const struct leased_result *known, const struct result_limits *limits,
                     struct result_mapped *mapped)
{
    struct lease_result *result = &mapped->result;

    result->lifetime_ms = known->lifetime_ms;
    result->is_renewable = (known->flags & LEASED_RESULT_RENEWABLE) != 0;
    result->is_revocable = (known->flags & LEASED_RESULT_REVOCABLE) != 0;
    result->is_capped = (known->flags & LEASED_RESULT_CAPPED) != 0;
    result->anchor = known->anchor;
    result->issuer_ref = host_str(known->issuer_ref);
    result->refresh_ms = result->is_renewable ? 0 : known->refresh_ms;
    if (result->lifetime_ms > limits->lifetime_max_ms) {
        result->lifetime_ms = limits->lifetime_max_ms;
    }
    /* Only a moment within the operation can be when it was asked. */
    result->answered_ms = limits->started_ms;
    if (known->asked_ms > limits->started_ms && known->asked_ms <= limits->now_ms) {
        result->answered_ms = known->asked_ms;
    }
}

static void refuse(struct result_mapped *mapped, enum lease_outcome outcome, const char *why)
{
    (void)snprintf(mapped->detail, sizeof(mapped->detail), "the issuer's answer is refused: %s",
                   why);
    mapped->result = result_of(outcome, mapped->detail);
}

static void map_ok(enum op_kind kind, const struct leased_result *known,
                   const struct result_limits *limits, struct result_mapped *mapped)
{
    const char *why = NULL;

    if (kind == OP_CALL) {
        /* Its good end is call_done. */
        refuse(mapped, LEASE_OUTCOME_LOST, "there is none");
        return;
    }
    if (kind != OP_ISSUE && kind != OP_RENEW) {
        return;
    }
    if (known->lifetime_ms == 0) {
        why = "it gives no lifetime";
    }
    if (why == NULL && kind == OP_ISSUE) {
        why = check_ref(known);
    }
    if (why == NULL && kind == OP_ISSUE) {
        why = map_fields(known, mapped);
    }
    if (why == NULL) {
        map_life(known, limits, mapped);
        return;
    }
    refuse(mapped, kind == OP_ISSUE ? LEASE_OUTCOME_INVALID : LEASE_OUTCOME_RETRY, why);
}

void result_map(enum op_kind kind, int32_t status, const struct leased_result *result,
                const struct result_limits *limits, struct result_mapped *ret_mapped)
{
    struct leased_result known = known_part(result);
    struct lease_result *mapped = &ret_mapped->result;

    *mapped = result_of(outcome_of(kind, status), NULL);
    if (status == LEASED_OK) {
        map_ok(kind, &known, limits, ret_mapped);
    } else {
        mapped->detail = host_line(known.detail, ret_mapped->detail, sizeof(ret_mapped->detail));
        if (status == LEASED_RETRY_AFTER || status == LEASED_SEALED) {
            mapped->retry_after_ms = known.retry_after_ms;
        }
        mapped->is_login_bound = (known.flags & LEASED_RESULT_LOGIN_BOUND) != 0;
    }
    if (kind == OP_ISSUE && mapped->outcome != LEASE_OUTCOME_OK &&
        known.issuer_ref.len <= REF_MAX_BYTES) {
        mapped->orphan_ref = host_str(known.issuer_ref);
    }
}
