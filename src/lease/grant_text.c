/* A grant's memory: one block with what it is bound to and what was said about it. */
#include "base/mem.h"
#include "lease/approval.h"
#include "lease/core_internal.h"

#include <stdio.h>
#include <string.h>

#define GRANT_BREAK_GLASS "break-glass"
#define GRANT_APPROVAL_MAX_BYTES (LEASE_ID_BYTES + 1 + LEASE_DIGEST_BYTES)

static struct str text_of(const char *text, size_t max_bytes)
{
    return (struct str){.ptr = text, .len = text != NULL ? strnlen(text, max_bytes) : 0};
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
    const struct str texts[GRANT_TEXTS] = {
        [GRANT_TEXT_REASON] = text_of(acquire->reason, LEASE_REASON_MAX_BYTES),
        [GRANT_TEXT_TICKET] = text_of(acquire->ticket, LEASE_TICKET_MAX_BYTES),
        [GRANT_TEXT_BINDINGS] = str_of(found->text),
        [GRANT_TEXT_APPROVAL] = str_of(approval_text(making, approval)),
    };
    struct grant head = {
        .binding_count = binding_set_watched(&found->set) & 0xf,
        .has_connection = binding_set_watched(&found->set) < found->set.count,
    };
    size_t size = texts_offset(&head);
    struct grant *grant;
    char *at;
    size_t i;

    static_assert(ACCESS_BINDINGS_MAX <= 0xf, "their count has four bits");
    for (i = 0; i < GRANT_TEXTS; i++) {
        if (texts[i].len > 0) {
            head.texts |= (uint8_t)(1U << i);
            size += texts[i].len + 1;
        }
    }
    grant = mem_calloc(1, size);
    if (grant == NULL) {
        return NULL;
    }
    *grant = head;
    at = (char *)grant + texts_offset(grant);
    for (i = 0; i < GRANT_TEXTS; i++) {
        if (texts[i].len > 0) {
            memcpy(at, texts[i].ptr, texts[i].len);
            at += texts[i].len + 1; /* the block is zeroed, so the NUL is there */
        }
    }
    return grant;
}

static const char *grant_text(const struct grant *grant, enum grant_text which)
{
    const char *text = (const char *)grant + texts_offset(grant);
    unsigned int i;

    if ((grant->texts & 1U << which) == 0) {
        return "";
    }
    for (i = 0; i < which; i++) {
        if ((grant->texts & 1U << i) != 0) {
            text += strlen(text) + 1;
        }
    }
    return text;
}

const char *grant_reason(const struct grant *grant)
{
    return grant_text(grant, GRANT_TEXT_REASON);
}

const char *grant_ticket(const struct grant *grant)
{
    return grant_text(grant, GRANT_TEXT_TICKET);
}

const char *grant_bindings_text(const struct grant *grant)
{
    return grant_text(grant, GRANT_TEXT_BINDINGS);
}

const char *grant_approval(const struct grant *grant)
{
    return grant_text(grant, GRANT_TEXT_APPROVAL);
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
