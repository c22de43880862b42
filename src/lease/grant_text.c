/* A grant's memory: one block with what it is bound to and what was said about it. */
#include "base/mem.h"
#include "lease/approval.h"
#include "lease/core_internal.h"

#include <stdio.h>
#include <string.h>

#define GRANT_BREAK_GLASS "break-glass"
#define GRANT_APPROVAL_MAX_BYTES (LEASE_ID_BYTES + 1 + LEASE_DIGEST_BYTES)

static size_t text_len(const char *text, size_t max_bytes)
{
    return text != NULL ? strnlen(text, max_bytes) : 0;
}

static uint16_t put_text(char *texts, size_t at, const char *text, size_t len)
{
    if (len > 0) {
        memcpy(texts + at, text, len);
    }
    return (uint16_t)(at + len + 1); /* the block is zeroed, so the NUL is there */
}

static size_t texts_offset(const struct grant *grant)
{
    return sizeof(*grant) + grant->binding_count * sizeof(struct binding) +
           (grant->has_connection ? sizeof(struct binding_connection) : 0);
}

/* What it stands on, of the ledger or of who asks. Returns `out`. */
static const char *approval_text(const struct grant_making *making,
                                 char out[GRANT_APPROVAL_MAX_BYTES + 1])
{
    const struct lease_approval *approval = making->acquire->approval;

    if (making->approval != NULL) {
        (void)snprintf(out, GRANT_APPROVAL_MAX_BYTES + 1, "%s", making->approval);
    } else if (approval != NULL) {
        (void)snprintf(out, GRANT_APPROVAL_MAX_BYTES + 1, "%s %s", approval->id,
                       approval->is_break_glass ? GRANT_BREAK_GLASS : approval->rule_digest);
    } else {
        out[0] = '\0';
    }
    return out;
}

/* One block: the grant, its bindings, its texts. */
struct grant *grant_alloc(const struct grant_making *making)
{
    const struct lease_acquire *acquire = making->acquire;
    const struct binding_found *found = making->found;
    char approval[GRANT_APPROVAL_MAX_BYTES + 1];
    size_t approval_len = strlen(approval_text(making, approval));
    size_t reason_len = text_len(acquire->reason, LEASE_REASON_MAX_BYTES);
    size_t ticket_len = text_len(acquire->ticket, LEASE_TICKET_MAX_BYTES);
    size_t bindings_len = strlen(found->text);
    const struct grant head = {
        .binding_count = (uint8_t)binding_set_watched(&found->set),
        .has_connection = binding_set_watched(&found->set) < found->set.count,
    };
    struct grant *grant = mem_calloc(1, texts_offset(&head) + reason_len + ticket_len +
                                            bindings_len + approval_len + 4);
    char *texts;

    if (grant == NULL) {
        return NULL;
    }
    *grant = head;
    texts = (char *)grant + texts_offset(grant);
    grant->ticket_at = put_text(texts, 0, acquire->reason, reason_len);
    grant->bindings_at = put_text(texts, grant->ticket_at, acquire->ticket, ticket_len);
    grant->approval_at = put_text(texts, grant->bindings_at, found->text, bindings_len);
    (void)put_text(texts, grant->approval_at, approval, approval_len);
    return grant;
}

const char *grant_reason(const struct grant *grant)
{
    return (const char *)grant + texts_offset(grant);
}

const char *grant_ticket(const struct grant *grant)
{
    return grant_reason(grant) + grant->ticket_at;
}

const char *grant_bindings_text(const struct grant *grant)
{
    return grant_reason(grant) + grant->bindings_at;
}

const char *grant_approval(const struct grant *grant)
{
    return grant_reason(grant) + grant->approval_at;
}

bool grant_is_break_glass(const struct grant *grant)
{
    const char *what = strchr(grant_approval(grant), ' ');

    return what != NULL && strcmp(what + 1, GRANT_BREAK_GLASS) == 0;
}

const char *grant_approved_rule(const struct grant *grant)
{
    const char *what = strchr(grant_approval(grant), ' ');

    return what != NULL && !grant_is_break_glass(grant) ? what + 1 : NULL;
}

struct binding_connection *grant_connection(struct grant *grant)
{
    return grant->has_connection
               ? (struct binding_connection *)(void *)&grant->bindings[grant->binding_count]
               : NULL;
}
