/* The digests of a policy and of its rules: over what they mean, not over how they are written.
 * Comments, quotes, the order of keys, names of variables and how rules are spread over files don't
 * change them; the order of rules changes the policy's, since the first one that fits decides. */
#include "access/rules.h"

#include "base/buf.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define DIGEST_INPUT_MAX_BYTES (64U * 1024U * 1024U)
#define DIGEST_BYTES 32

/* Lengths stand before the texts, so that no text can look like the end of another. */
static void text_add(struct buf *out, const char *key, const char *text)
{
    if (text != NULL) {
        struct str s = str_of(text);

        buf_printf(out, "%s %zu:", key, s.len);
        buf_add_str(out, s);
        buf_add_char(out, '\n');
    }
}

static void number_add(struct buf *out, const char *key, uint64_t value)
{
    buf_printf(out, "%s %" PRIu64 "\n", key, value);
}

static void range_add(struct buf *out, const char *key, const struct schema_range *range)
{
    buf_printf(out, "%s %" PRIu64 "-%" PRIu64 "\n", key, range->first, range->last);
}

static void token_add(struct buf *out, const struct access_token_rule *rule)
{
    size_t i;
    size_t k;

    text_add(out, "jwt.issuer", rule->issuer.text);
    for (i = 0; i < rule->claim_count; i++) {
        text_add(out, "jwt.claim", rule->claims[i].name);
        for (k = 0; k < rule->claims[i].pattern_count; k++) {
            text_add(out, "is", rule->claims[i].patterns[k].text);
        }
    }
}

static void subjects_add(struct buf *out, const struct access_subjects *subjects)
{
    size_t i;

    for (i = 0; i < subjects->count; i++) {
        const struct access_subject *subject = &subjects->items[i];

        buf_add_c(out, "subject\n");
        text_add(out, "user", subject->user.text);
        text_add(out, "group", subject->group.text);
        if (subject->has_uid) {
            range_add(out, "uid", &subject->uid);
        }
        if (subject->has_gid) {
            range_add(out, "gid", &subject->gid);
        }
        text_add(out, "unit", subject->unit.text);
        text_add(out, "container", subject->container.text);
        text_add(out, "image", subject->image.text);
        text_add(out, "listener", subject->listener.text);
        text_add(out, "tls.san", subject->san.text);
        token_add(out, &subject->token);
    }
}

static void approval_add(struct buf *out, const struct access_approval *approval)
{
    if (approval->count > 0) {
        number_add(out, "approval", approval->count);
        number_add(out, "decide_within", approval->decide_within_ms);
        number_add(out, "use_within", approval->use_within_ms);
        subjects_add(out, approval->from);
    }
}

static void requirements_add(struct buf *out, const struct access_rule *rule)
{
    if (rule->window != NULL) {
        buf_add_c(out, "window ");
        access_window_write(rule->window, out);
        buf_add_char(out, '\n');
    }
    if (rule->reason != NULL) {
        text_add(out, "reason", access_reason_pattern(rule->reason));
    }
    if (rule->ticket != NULL) {
        text_add(out, "ticket", access_reason_pattern(rule->ticket));
    }
    approval_add(out, &rule->approval);
}

static void rule_add(struct buf *out, const struct access_rule *rule)
{
    char text[ACCESS_BINDING_TEXT_MAX_BYTES];
    size_t i;

    text_add(out, "rule", rule->name);
    number_add(out, "deny", rule->is_deny ? 1 : 0);
    number_add(out, "observe", rule->is_observed ? 1 : 0);
    number_add(out, "break_glass", rule->is_break_glass ? 1 : 0);
    subjects_add(out, &rule->subjects);
    for (i = 0; i < rule->role_pattern_count; i++) {
        text_add(out, "role", rule->role_patterns[i]);
    }
    for (i = 0; i < rule->path_count; i++) {
        text_add(out, "path", rule->paths[i].pattern);
        text_add(out, "backend", rule->paths[i].backend);
        number_add(out, "may", rule->paths[i].may);
    }
    number_add(out, "duration", rule->duration_ms);
    number_add(out, "ttl", rule->ttl_ms);
    number_add(out, "live", rule->live);
    number_add(out, "issue", rule->issue.count);
    number_add(out, "per", rule->issue.per_ms);
    number_add(out, "min_remaining", rule->min_remaining_ms);
    for (i = 0; i < rule->binding_count; i++) {
        text_add(out, "binding", access_binding_format(&rule->bindings[i], text));
    }
    requirements_add(out, rule);
}

/* 0 or ERR_NOMEM, also that of the text before. */
static int text_digest(const struct buf *text, char ret_digest[ACCESS_DIGEST_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    size_t i;

    if (buf_status(text) != 0) {
        return buf_status(text);
    }
    if (EVP_Digest(buf_str(text).ptr, text->len, digest, NULL, EVP_sha256(), NULL) != 1) {
        return ERR_NOMEM;
    }
    for (i = 0; i < DIGEST_BYTES; i++) {
        (void)snprintf(ret_digest + 2 * i, 3, "%02x", digest[i]);
    }
    return 0;
}

/* The beginning of its digest is enough to tell it from others. */
static int approval_digest(struct access_approval *approval)
{
    char digest[ACCESS_DIGEST_BYTES];
    BUF_AUTO text;
    int r;

    buf_init(&text, DIGEST_INPUT_MAX_BYTES);
    approval_add(&text, approval);
    r = text_digest(&text, digest);
    if (r == 0) {
        memcpy(&approval->fingerprint, digest, sizeof(approval->fingerprint));
    }
    return r;
}

static int rule_digest(struct access_rule *rule)
{
    BUF_AUTO text;
    int r;

    buf_init(&text, DIGEST_INPUT_MAX_BYTES);
    buf_add_c(&text, "leased-rule-v1\n");
    rule_add(&text, rule);
    r = text_digest(&text, rule->digest);
    return r == 0 && rule->approval.count > 0 ? approval_digest(&rule->approval) : r;
}

int access_policy_digest_compute(struct access_policy *policy)
{
    BUF_AUTO text;
    size_t i;
    int r = 0;

    buf_init(&text, DIGEST_INPUT_MAX_BYTES);
    buf_add_c(&text, "leased-policy-v2\n");
    for (i = 0; r == 0 && i < policy->rule_count; i++) {
        r = rule_digest(&policy->rules[i]);
        text_add(&text, "rule", policy->rules[i].digest);
    }
    for (i = 0; i < policy->admin_count; i++) {
        number_add(&text, "admins", policy->admins[i].may);
        subjects_add(&text, &policy->admins[i].subjects);
    }
    for (i = 0; i < policy->person_count; i++) {
        text_add(&text, "person", policy->persons[i].name);
        subjects_add(&text, &policy->persons[i].subjects);
    }
    return r == 0 ? text_digest(&text, policy->digest) : r;
}
