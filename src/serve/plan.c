/* What another policy would change.
 *
 * Each identity that has asked for something is tried with each role, by the policy that counts and
 * by the new one: as it asked for it the last time, else without saying more; and with each path
 * that it has called. Where the answers differ, both are told. Each live grant is judged as after
 * an apply. Nothing is changed by it. */
#include "serve/plan.h"

#include "access/compare.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

struct planning {
    const struct plan *plan;
    struct json_out *json;
    size_t tried_count;
    size_t listed_count; /* of the list that is being written */
    size_t more_count;   /* likewise */
    size_t list_begin;   /* in the answer, likewise */
    uint32_t ending_count;
    uint32_t shrinking_count;
};

const char *plan_outcome(enum access_outcome outcome)
{
    static const char *const outcomes[] = {
        [ACCESS_ALLOW] = "allow",
        [ACCESS_DENY] = "denied",
        [ACCESS_LIMIT_EXCEEDED] = "limit_exceeded",
        [ACCESS_REASON_REQUIRED] = "reason_required",
        [ACCESS_APPROVAL_REQUIRED] = "approval_required",
        [ACCESS_BLOCKED] = "blocked",
    };

    return outcomes[outcome];
}

static const struct access_policy *base_of(const struct plan *plan)
{
    return plan->x->serve->options.policy;
}

bool plan_has_admin(const struct plan *plan)
{
    return plan->is_observed || access_policy_has_admin(plan->policy, ACCESS_ADMIN_POLICY);
}

/* ---- decisions ---------------------------------------------------------------- */

static void seconds_write(struct json_out *json, const char *key, uint64_t ms)
{
    if (ms > 0) {
        json_out_u64(json, key, ms / 1000);
    }
}

static void decision_write(struct json_out *json, const char *key,
                           const struct access_decision *decision)
{
    json_out_object_open(json, key);
    json_out_string_c(json, "decision", plan_outcome(decision->outcome));
    json_out_string_c(json, "rule", decision->rule);
    seconds_write(json, "duration", decision->duration_ms);
    seconds_write(json, "ttl", decision->ttl_ms);
    if (decision->until_wall_ms != 0) {
        json_out_time(json, "until", decision->until_wall_ms);
    }
    json_out_string_c(json, "detail", str_or_null(decision->detail));
    json_out_object_close(json);
}

/* False: it is counted instead. */
static bool is_listed(struct planning *it)
{
    size_t size = it->plan->x->serve->body.len - it->list_begin;

    if (it->listed_count == PLAN_LISTED_MAX || size > PLAN_LIST_MAX_BYTES) {
        it->more_count++;
        return false;
    }
    it->listed_count++;
    return true;
}

static void change_open(struct planning *it, const struct seen_identity *seen)
{
    char uid[ACCESS_UID_TEXT_MAX_BYTES];

    json_out_object_open(it->json, NULL);
    json_out_string_c(it->json, "identity", seen->key);
    json_out_string_c(it->json, "name", access_identity_name(&seen->identity, uid));
}

static void change_close(struct planning *it, const struct access_decision *before,
                         const struct access_decision *after)
{
    decision_write(it->json, "before", before);
    decision_write(it->json, "after", after);
    json_out_object_close(it->json);
}

static void pair_try(struct planning *it, const struct seen_identity *seen,
                     const struct lease_role *role)
{
    const struct seen_ask *asked = seen_role(seen, role->name);
    struct access_request request = {.role = role->name};
    struct access_decision before;
    struct access_decision after;
    char limits[ACCESS_DIFFERENCE_MAX_BYTES];

    if (asked != NULL) {
        request = asked->role;
    }
    request.role_binding = role->binding;
    request.role_max_ttl_ms = role->max_ttl_ms;
    request.wall_ms = env_wall_ms(it->plan->x->serve->options.env);
    it->tried_count++;
    access_policy_decide(base_of(it->plan), &seen->identity, &request, &before);
    access_policy_decide(it->plan->policy, &seen->identity, &request, &after);
    if (access_decisions_are_equal(&before, &after) || !is_listed(it)) {
        return;
    }
    change_open(it, seen);
    json_out_string_c(it->json, "role", role->name);
    json_out_string_c(it->json, "reason", request.reason);
    json_out_string_c(it->json, "ticket", request.ticket);
    json_out_string_c(it->json, "limits",
                      str_or_null(access_decisions_difference(&before, &after, limits)));
    change_close(it, &before, &after);
}

static void path_try(struct planning *it, const struct seen_identity *seen,
                     const struct seen_ask *asked)
{
    struct access_path_request request = asked->path;
    struct access_decision before;
    struct access_decision after;
    uint32_t bit;

    request.wall_ms = env_wall_ms(it->plan->x->serve->options.env);
    it->tried_count++;
    access_policy_decide_path(base_of(it->plan), &seen->identity, &request, &before);
    access_policy_decide_path(it->plan->policy, &seen->identity, &request, &after);
    if (access_decisions_are_equal(&before, &after) || !is_listed(it)) {
        return;
    }
    change_open(it, seen);
    json_out_string_c(it->json, "backend", request.backend);
    json_out_string(it->json, "path", request.path);
    json_out_array_open(it->json, "capabilities");
    for (bit = 1; bit <= ACCESS_CAN_SCAN; bit *= 2) {
        if ((request.needs & bit) != 0) {
            json_out_string_c(it->json, NULL, access_capability_word(bit));
        }
    }
    json_out_array_close(it->json);
    change_close(it, &before, &after);
}

/* Of one identity, all. */
static void roles_try(struct planning *it, const struct seen_identity *seen)
{
    const struct lease_role *role = NULL;

    while ((role = lease_core_next_role(it->plan->x->serve->options.core, role)) != NULL) {
        pair_try(it, seen, role);
    }
}

static void paths_try(struct planning *it, const struct seen_identity *seen)
{
    const struct seen_ask *asked = NULL;

    while ((asked = seen_next_path(seen, asked)) != NULL) {
        path_try(it, seen, asked);
    }
}

/* Writes what changes as a list. Returns how many identities were left out. */
static size_t changes_write(struct planning *it, const char *list, const char *more,
                            void (*try)(struct planning *it, const struct seen_identity *seen))
{
    const struct seen *all = &it->plan->x->serve->seen;
    const struct seen_identity *seen = NULL;
    size_t left_count = seen_count(all);

    it->tried_count = 0;
    it->listed_count = 0;
    it->more_count = 0;
    json_out_array_open(it->json, list);
    it->list_begin = it->plan->x->serve->body.len;
    while (it->tried_count < PLAN_TRIES_MAX && (seen = seen_next(all, seen)) != NULL) {
        try(it, seen);
        left_count--;
    }
    json_out_array_close(it->json);
    json_out_u64(it->json, more, it->more_count);
    return left_count;
}

static void decisions_write(struct planning *it)
{
    size_t left_count = changes_write(it, "decisions", "more_decisions", roles_try);

    json_out_u64(it->json, "identities", seen_count(&it->plan->x->serve->seen) - left_count);
    json_out_u64(it->json, "identities_left_out", left_count);
    (void)changes_write(it, "paths", "more_paths", paths_try);
    json_out_u64(it->json, "paths_tried", it->tried_count);
}

/* ---- grants ------------------------------------------------------------------- */

static void judge(void *user, const struct access_identity *identity,
                  const struct access_request *request, struct access_decision *ret_decision)
{
    access_policy_decide(user, identity, request, ret_decision);
}

static void grants_preview(const struct plan *plan,
                           void (*fn)(void *user, const struct lease_preview *preview), void *user)
{
    const struct lease_recheck recheck = {.policy_digest = access_policy_digest(plan->policy),
                                          .judge = judge,
                                          .user = (void *)(uintptr_t)plan->policy};

    if (!plan->is_observed) {
        lease_core_preview(plan->x->serve->options.core, &recheck, fn, user);
    }
}

static void ending_count(void *user, const struct lease_preview *preview)
{
    *(uint32_t *)user += preview->ends ? 1 : 0;
}

uint32_t plan_count_ending(const struct plan *plan)
{
    uint32_t count = 0;

    grants_preview(plan, ending_count, &count);
    return count;
}

static void grant_write(void *user, const struct lease_preview *preview)
{
    struct planning *it = user;
    const struct access_decision *decision = preview->decision;
    struct grant_view view;

    *(preview->ends ? &it->ending_count : &it->shrinking_count) += 1;
    if (it->ending_count + it->shrinking_count > PLAN_LISTED_MAX) {
        return;
    }
    grant_view(preview->grant, &view);
    json_out_object_open(it->json, NULL);
    json_out_string_c(it->json, "grant", view.id);
    json_out_string_c(it->json, "role", view.role->name);
    json_out_string_c(it->json, "identity", view.identity_key);
    json_out_string_c(it->json, "name", view.user[0] != '\0' ? view.user : view.identity_key);
    json_out_bool(it->json, "ends", preview->ends);
    json_out_time(it->json, "until", preview->ends ? 0 : preview->until_wall_ms);
    json_out_string_c(it->json, "rule", decision != NULL ? decision->rule : NULL);
    json_out_string_c(it->json, "detail",
                      decision == NULL ? "its uid has another name now"
                                       : str_or_null(decision->detail));
    json_out_object_close(it->json);
}

static void grants_write(struct planning *it)
{
    json_out_array_open(it->json, "grants");
    grants_preview(it->plan, grant_write, it);
    json_out_array_close(it->json);
    json_out_u64(it->json, "grants_ending", it->ending_count);
    json_out_u64(it->json, "grants_shrinking", it->shrinking_count);
}

/* ---- the whole ---------------------------------------------------------------- */

static bool digest_add(EVP_MD_CTX *hash, const char *text)
{
    return EVP_DigestUpdate(hash, text, strlen(text) + 1) == 1;
}

int plan_digest(const struct plan *plan, char ret_digest[PLAN_DIGEST_BYTES + 1])
{
    const struct access_policy *observed = plan->x->serve->options.observed;
    char texts[POLICY_BUNDLE_DIGEST_BYTES + 1] = "";
    unsigned char bytes[EVP_MAX_MD_SIZE] = {0};
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool is_good =
        hash != NULL && (plan->bundle == NULL || policy_bundle_digest(plan->bundle, texts) == 0) &&
        EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 && digest_add(hash, "leased-plan-v1") &&
        digest_add(hash, access_policy_digest(base_of(plan))) &&
        digest_add(hash, observed != NULL ? access_policy_digest(observed) : "") &&
        digest_add(hash, plan->is_observed ? "observe" : "apply") && digest_add(hash, texts) &&
        EVP_DigestFinal_ex(hash, bytes, NULL) == 1;
    size_t i;

    EVP_MD_CTX_free(hash);
    for (i = 0; is_good && i < PLAN_DIGEST_BYTES / 2; i++) {
        (void)snprintf(ret_digest + 2 * i, 3, "%02x", bytes[i]);
    }
    return is_good ? 0 : ERR_NOMEM;
}

static void warnings_write(const struct planning *it)
{
    const struct plan *plan = it->plan;
    bool is_admin =
        (access_policy_admin(plan->policy, &plan->x->identity) & ACCESS_ADMIN_POLICY) != 0;

    json_out_array_open(it->json, "warnings");
    if (!plan_has_admin(plan)) {
        json_out_string_c(it->json, NULL,
                          "no admin would remain who may change policies: it can't be applied");
    } else if (!plan->is_observed && !is_admin) {
        json_out_string_c(it->json, NULL,
                          "you would no longer be an admin who may change policies");
    }
    json_out_array_close(it->json);
}

static void policy_write(const struct plan *plan, struct json_out *json, const char *key,
                         const struct access_policy *policy)
{
    const struct serve_policies *now = plan->x->serve->options.policies;
    const char *revision = policy == plan->policy && plan->bundle != NULL ? plan->bundle->revision
                           : now != NULL && now->copy != NULL ? now->copy->bundle->revision
                                                              : NULL;

    json_out_object_open(json, key);
    json_out_string_c(json, "digest", access_policy_digest(policy));
    json_out_string_c(json, "revision", str_or_null(revision));
    json_out_u64(json, "rules", access_policy_rule_count(policy));
    json_out_object_close(json);
}

void plan_write(const struct plan *plan, const char *digest, struct json_out *json)
{
    struct planning it = {.plan = plan, .json = json};
    const char *before = access_policy_digest(base_of(plan));

    json_out_object_open(json, NULL);
    json_out_string_c(json, "digest", digest);
    json_out_bool(json, "changed", strcmp(before, access_policy_digest(plan->policy)) != 0);
    json_out_bool(json, "observe", plan->is_observed);
    policy_write(plan, json, "before", base_of(plan));
    policy_write(plan, json, "after", plan->policy);
    decisions_write(&it);
    grants_write(&it);
    warnings_write(&it);
    json_out_object_close(json);
}
