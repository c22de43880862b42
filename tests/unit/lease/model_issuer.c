/* An issuer by script. A call takes effect when it starts; its answer comes with the next run, or
 * when the test lets it. */
#include "unit/lease/model_issuer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct model_call {
    struct list node;
    struct env_deferred deferred;
    struct model_issuer *model;
    struct lease_call *call;
    struct lease_result result;
    bool is_answered;
    char ref[32];
    char password[48];
    struct lease_field fields[LEASE_FIELDS_MAX + 1];
    uint32_t intent_number;
    struct lease_intent intent;
};

static struct model_issuer *model_of(struct lease_issuer *issuer)
{
    return (struct model_issuer *)(void *)issuer;
}

static enum lease_outcome next_outcome(struct model_issuer *model, enum lease_call_kind kind)
{
    enum lease_outcome outcome = model->outcomes[kind];

    if (model->outcome_counts[kind] > 0 && --model->outcome_counts[kind] == 0) {
        model->outcomes[kind] = LEASE_OUTCOME_OK;
    }
    return outcome;
}

static uint64_t life_ms(const struct model_issuer *model, const struct model_lease *lease,
                        uint64_t asked_ms)
{
    uint64_t life = model->honours_ttl && asked_ms > 0 ? asked_ms : model->lifetime_ms;
    uint64_t end_ms = lease->issued_ms + model->max_life_ms;

    if (model->max_life_ms > 0 && model->fake->now_ms + life > end_ms) {
        life = end_ms > model->fake->now_ms ? end_ms - model->fake->now_ms : 1;
    }
    return life;
}

static void fill_life(struct model_call *m, struct model_lease *lease)
{
    struct model_issuer *model = m->model;
    uint64_t life = life_ms(model, lease, m->call->ttl_ms);

    lease->expires_ms = model->fake->now_ms + life;
    m->result.lifetime_ms = life;
    m->result.answered_ms = model->fake->now_ms;
    m->result.is_renewable = model->is_renewable;
    m->result.is_revocable = model->is_revocable;
    m->result.is_capped = model->says_capped;
}

static void run_issue(struct model_call *m)
{
    struct model_issuer *model = m->model;
    struct model_lease *lease = &model->leases[model->lease_count];
    size_t i;

    CHECK(model->lease_count < MODEL_LEASES_MAX);
    *lease = (struct model_lease){.issued_ms = model->fake->now_ms,
                                  .is_revocable = model->is_revocable,
                                  .intent = m->intent_number,
                                  .is_lost = m->result.outcome == LEASE_OUTCOME_LOST};
    fill_life(m, lease);
    (void)snprintf(m->ref, sizeof(m->ref), "ref/%zu", model->lease_count);
    (void)snprintf(m->password, sizeof(m->password), "MARKER-password-%zu", model->lease_count);
    model->lease_count++;
    m->fields[0] = (struct lease_field){.name = STR("username"), .value = str_of(m->ref)};
    m->fields[1] = (struct lease_field){.name = STR("password"),
                                        .value = str_of(m->password),
                                        .is_secret = true};
    for (i = 0; i < model->extra_field_count; i++) {
        m->fields[2 + i] = (struct lease_field){.name = STR("more"), .value = STR("x")};
    }
    m->result.fields = m->fields;
    m->result.field_count = 2 + model->extra_field_count;
    m->result.issuer_ref = str_of(m->ref);
    m->result.anchor = model->anchor;
    m->result.refresh_ms = model->refresh_ms;
    (void)snprintf(model->last_user, sizeof(model->last_user), "%s",
                   m->call->caller.user != NULL ? m->call->caller.user : "");
    (void)snprintf(model->last_reason, sizeof(model->last_reason), "%s",
                   m->call->caller.reason != NULL ? m->call->caller.reason : "");
    (void)snprintf(model->last_params, sizeof(model->last_params), "%s", m->call->params_json);
}

/* What was made under an intent; NULL: nothing. */
static struct model_lease *find_intended(struct model_issuer *model, struct str ref)
{
    uint64_t number;
    size_t i = 0;

    CHECK(str_parse_u64((struct str){.ptr = ref.ptr + 7, .len = ref.len - 7}, &number) == 0);
    while (i < model->lease_count && model->leases[i].intent != number) {
        i++;
    }
    return i < model->lease_count ? &model->leases[i] : NULL;
}

static struct model_lease *find_lease(struct model_issuer *model, struct str ref)
{
    uint64_t index;

    if (str_starts_with(ref, "intent/")) {
        return find_intended(model, ref);
    }
    CHECK(str_starts_with(ref, "ref/"));
    CHECK(str_parse_u64((struct str){.ptr = ref.ptr + 4, .len = ref.len - 4}, &index) == 0);
    CHECK(index < model->lease_count);
    return &model->leases[index];
}

static void run_known(struct model_call *m)
{
    struct model_lease *lease = find_lease(m->model, m->call->issuer_ref);

    if (lease == NULL) {
        m->result.outcome = LEASE_OUTCOME_GONE;
    } else if (m->call->kind == LEASE_CALL_REVOKE) {
        lease->revoke_count++;
        lease->is_lost = false;
        lease->is_revoked = true;
    } else if (lease->is_revoked || lease->expires_ms <= m->model->fake->now_ms) {
        m->result.outcome = LEASE_OUTCOME_GONE;
    } else {
        lease->renew_count++;
        fill_life(m, lease);
    }
}

/* A lost answer was executed; every other failure wasn't. What the issuer says it doesn't know is
 * dead. */
static void run(struct model_call *m)
{
    enum lease_outcome outcome = next_outcome(m->model, m->call->kind);

    m->result =
        (struct lease_result){.outcome = outcome, .retry_after_ms = m->model->retry_after_ms};
    if (outcome != LEASE_OUTCOME_OK && outcome != LEASE_OUTCOME_LOST) {
        m->result.detail = "scripted failure";
        if (outcome == LEASE_OUTCOME_GONE && m->call->kind != LEASE_CALL_ISSUE &&
            find_lease(m->model, m->call->issuer_ref) != NULL) {
            find_lease(m->model, m->call->issuer_ref)->is_revoked = true;
            find_lease(m->model, m->call->issuer_ref)->is_forgotten = true;
        }
        return;
    }
    if (m->call->kind == LEASE_CALL_ISSUE) {
        run_issue(m);
    } else {
        run_known(m);
    }
    if (outcome == LEASE_OUTCOME_LOST) {
        m->result = (struct lease_result){.outcome = LEASE_OUTCOME_LOST,
                                          .detail = "the connection was reset"};
    }
}

static void answered(struct env_deferred *deferred)
{
    struct model_call *m = deferred->user;

    list_remove(&m->node);
    m->model->in_flight--;
    m->call->fn(m->call, &m->result);
    free(m);
}

static void answer(struct model_call *m)
{
    m->is_answered = true;
    env_defer(&m->model->fake->env, &m->deferred);
}

static void go_on(struct model_call *m)
{
    run(m);
    if (!m->model->is_held[m->call->kind]) {
        answer(m);
    }
}

static void intended(struct lease_intent *intent, int status)
{
    struct model_call *m = intent->user;

    if (status != 0) {
        m->result = (struct lease_result){.outcome = LEASE_OUTCOME_RETRY, .detail = "no record"};
        answer(m);
    } else {
        go_on(m);
    }
}

static int intend(struct model_call *m)
{
    char ref[32];

    m->intent_number = ++m->model->intent_count;
    m->intent = (struct lease_intent){.fn = intended, .user = m};
    (void)snprintf(ref, sizeof(ref), "intent/%u", m->intent_number);
    return m->call->intend(m->call, str_of(ref), &m->intent);
}

static int call_start(struct lease_issuer *issuer, struct lease_call *call)
{
    struct model_issuer *model = model_of(issuer);
    struct model_call *m;

    model->call_counts[call->kind]++;
    model->last_ttl_ms = call->ttl_ms;
    if (model->start_status != 0) {
        return model->start_status;
    }
    m = calloc(1, sizeof(*m));
    CHECK(m != NULL);
    m->model = model;
    m->call = call;
    m->deferred.fn = answered;
    m->deferred.user = m;
    call->impl = m;
    list_push_back(&model->calls, &m->node);
    model->in_flight++;
    if (model->in_flight > model->in_flight_most) {
        model->in_flight_most = model->in_flight;
    }
    if (call->kind != LEASE_CALL_ISSUE || !model->uses_intents || call->intend == NULL) {
        go_on(m);
    } else if (intend(m) != 0) {
        intended(&m->intent, ERR_IO);
    }
    return 0;
}

/* What was asked for has taken effect; the answer says what happened. */
static void call_cancel(struct lease_issuer *issuer, struct lease_call *call)
{
    struct model_call *m = call->impl;

    model_of(issuer)->cancel_count++;
    if (m->intent.impl != NULL) {
        lease_intent_forget(&m->intent);
        m->result = (struct lease_result){.outcome = LEASE_OUTCOME_CANCELED};
    }
    if (!m->is_answered) {
        answer(m);
    }
}

static bool holds_anchor(struct lease_issuer *issuer, uint64_t anchor)
{
    (void)anchor;
    return !model_of(issuer)->forgets_anchors;
}

static uint64_t closed_ms(struct lease_issuer *issuer, struct err *e)
{
    if (model_of(issuer)->closed_ms > 0) {
        (void)err_set(e, ERR_UNAVAILABLE, "the model is closed");
    }
    return model_of(issuer)->closed_ms;
}

static const struct lease_issuer_ops model_ops = {
    .call_start = call_start,
    .call_cancel = call_cancel,
    .closed_ms = closed_ms,
    .holds_anchor = holds_anchor,
};

void model_init(struct model_issuer *model, struct fake_env *fake)
{
    memset(model, 0, sizeof(*model));
    model->issuer.name = "model";
    model->issuer.ops = &model_ops;
    model->issuer.limits.in_flight = 32;
    model->fake = fake;
    model->lifetime_ms = 3600000;
    model->is_renewable = true;
    model->is_revocable = true;
    model->honours_ttl = true;
    list_init(&model->calls);
}

void model_fini(struct model_issuer *model)
{
    CHECK(list_is_empty(&model->calls));
}

void model_answer(struct model_issuer *model)
{
    struct list *node;

    for (node = model->calls.next; node != &model->calls; node = node->next) {
        struct model_call *m = LIST_ENTRY(node, struct model_call, node);

        if (!m->is_answered) {
            answer(m);
            return;
        }
    }
    CHECK(!"a call that waits for its answer");
}

void model_answer_all(struct model_issuer *model)
{
    struct list *node;

    for (node = model->calls.next; node != &model->calls; node = node->next) {
        struct model_call *m = LIST_ENTRY(node, struct model_call, node);

        if (!m->is_answered) {
            answer(m);
        }
    }
}

bool model_is_live(const struct model_issuer *model, size_t index)
{
    const struct model_lease *lease = &model->leases[index];

    return !lease->is_revoked && lease->expires_ms > model->fake->now_ms;
}

size_t model_live_count(const struct model_issuer *model)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < model->lease_count; i++) {
        count += model_is_live(model, i);
    }
    return count;
}
