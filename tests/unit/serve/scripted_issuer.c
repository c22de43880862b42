/* An issuer by script. What a call asks for takes effect when it is answered; a lost answer had its
 * effect too. */
#include "unit/serve/scripted_issuer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scripted_call {
    struct list node;
    struct env_deferred deferred;
    struct scripted_issuer *issuer;
    struct lease_call *call;
    bool is_canceled;
    char ref[32];
    char password[160];
    struct lease_field fields[2];
};

static struct scripted_issuer *issuer_of(struct lease_issuer *issuer)
{
    return CONTAINER_OF(issuer, struct scripted_issuer, issuer);
}

static void issue(struct scripted_call *s, struct lease_result *result)
{
    size_t index = s->issuer->issued_count++;

    CHECK(index < SCRIPTED_LEASES_MAX);
    (void)snprintf(s->ref, sizeof(s->ref), "ref/%zu", index);
    (void)snprintf(s->password, sizeof(s->password), SCRIPTED_MARKER "%zu%s", index,
                   s->issuer->password_end != NULL ? s->issuer->password_end : "");
    s->fields[0] = (struct lease_field){.name = STR("username"), .value = STR("v-orders")};
    s->fields[1] = (struct lease_field){.name = STR("password"),
                                        .value = str_of(s->password),
                                        .is_secret = true};
    result->fields = s->fields;
    result->field_count = ARRAY_LEN(s->fields);
    result->issuer_ref = str_of(s->ref);
}

static void revoke(struct scripted_call *s)
{
    struct str ref = s->call->issuer_ref;
    uint64_t index = 0;

    CHECK(str_starts_with(ref, "ref/"));
    CHECK(str_parse_u64((struct str){.ptr = ref.ptr + 4, .len = ref.len - 4}, &index) == 0);
    CHECK(index < s->issuer->issued_count);
    s->issuer->is_revoked[index] = true;
}

static struct lease_result run(struct scripted_call *s)
{
    const struct scripted_issuer *issuer = s->issuer;
    enum lease_outcome outcome = issuer->outcomes[s->call->kind];
    struct lease_result result = {.outcome = outcome,
                                  .retry_after_ms = issuer->retry_after_ms,
                                  .lifetime_ms = issuer->lifetime_ms,
                                  .answered_ms = issuer->fake->now_ms,
                                  .is_renewable = issuer->is_renewable,
                                  .is_revocable = issuer->is_revocable};

    if (s->is_canceled && s->call->kind == LEASE_CALL_RENEW) {
        outcome = LEASE_OUTCOME_CANCELED;
    }
    if (outcome == LEASE_OUTCOME_OK || outcome == LEASE_OUTCOME_LOST) {
        if (s->call->kind == LEASE_CALL_ISSUE) {
            issue(s, &result);
        } else if (s->call->kind == LEASE_CALL_REVOKE) {
            revoke(s);
        }
    }
    if (outcome != LEASE_OUTCOME_OK) {
        result = (struct lease_result){.outcome = outcome,
                                       .retry_after_ms = issuer->retry_after_ms,
                                       .detail = "the script says so"};
    }
    return result;
}

static void answer(struct env_deferred *deferred)
{
    struct scripted_call *s = deferred->user;
    struct lease_result result = run(s);

    list_remove(&s->node);
    s->call->fn(s->call, &result);
    free(s);
}

static int call_start(struct lease_issuer *lease_issuer, struct lease_call *call)
{
    struct scripted_issuer *issuer = issuer_of(lease_issuer);
    struct scripted_call *s = calloc(1, sizeof(*s));

    CHECK(s != NULL);
    issuer->call_counts[call->kind]++;
    if (call->kind == LEASE_CALL_ISSUE) {
        (void)snprintf(issuer->last_reason, sizeof(issuer->last_reason), "%s",
                       call->caller.reason != NULL ? call->caller.reason : "");
    }
    s->issuer = issuer;
    s->call = call;
    s->deferred = (struct env_deferred){.fn = answer, .user = s};
    call->impl = s;
    list_push_back(&issuer->calls, &s->node);
    if (!issuer->is_held[call->kind]) {
        env_defer(&issuer->fake->env, &s->deferred);
    }
    return 0;
}

static void call_cancel(struct lease_issuer *lease_issuer, struct lease_call *call)
{
    struct scripted_call *s = call->impl;

    s->is_canceled = true;
    env_defer(&issuer_of(lease_issuer)->fake->env, &s->deferred);
}

static const struct lease_issuer_ops scripted_ops = {
    .call_start = call_start,
    .call_cancel = call_cancel,
};

void scripted_init(struct scripted_issuer *issuer, struct fake_env *fake)
{
    *issuer = (struct scripted_issuer){
        .issuer = {.name = "vault-prod", .ops = &scripted_ops, .limits = {.in_flight = 8}},
        .fake = fake,
        .lifetime_ms = 3600000,
        .is_renewable = true,
        .is_revocable = true,
    };
    list_init(&issuer->calls);
}

void scripted_fini(struct scripted_issuer *issuer)
{
    CHECK(list_is_empty(&issuer->calls));
}

void scripted_release(struct scripted_issuer *issuer)
{
    struct list *node;
    struct list *following;

    memset(issuer->is_held, 0, sizeof(issuer->is_held));
    LIST_EACH (&issuer->calls, node, following) {
        env_defer(&issuer->fake->env, &LIST_ENTRY(node, struct scripted_call, node)->deferred);
    }
}

size_t scripted_live_count(const struct scripted_issuer *issuer)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < issuer->issued_count; i++) {
        count += !issuer->is_revoked[i];
    }
    return count;
}
