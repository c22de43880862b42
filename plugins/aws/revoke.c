/* Happy path: is it denied already? → source's credentials → GetCallerIdentity → PutRolePolicy →
 * all other leases of the role are told dead.
 *
 * IAM finds a role by its name, in the account of whoever asks: so that account is looked at first,
 * or a role of the same name in another one would be shut.
 *
 * Where it isn't known whether the policy is there (the answer was lost, or is none of AWS's), they
 * are told dead, too, and it is put again.
 *
 * The policy has one moment, which must never go back: what is put for one lease at a time is
 * waited for by the others, and covers them, too. AWS tells a session's moment in whole seconds, so
 * the second in which this happens is denied with the rest, and no session is issued in it
 * (issue.c). */
#include "revoke.h"

#include "query.h"
#include "request.h"
#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AGAIN_MS 100U
#define ACCOUNT_BYTES 12U
#define NO_PLACE "too many roles' sessions are being denied"

/* --- what was denied -------------------------------------------------------------------------- */

static const struct aws_denial *find(const struct leased_instance *aws, uint64_t role)
{
    for (size_t i = 0; i < AWS_DENIALS_MAX; i++) {
        if (aws->denials[i].role == role) {
            return &aws->denials[i];
        }
    }
    return NULL;
}

int64_t aws_denied_before_s(const struct leased_instance *aws, const char *role_arn)
{
    const struct aws_denial *denial = find(aws, aws_role_anchor(plugin_str(role_arn)));

    return denial != NULL ? denial->wanted_s : 0;
}

bool aws_denial_is_busy(const struct leased_instance *aws, const char *role_arn)
{
    const struct aws_denial *denial = find(aws, aws_role_anchor(plugin_str(role_arn)));

    return denial != NULL && denial->is_busy;
}

/* The role's place, or a free one, or that of the oldest; NULL: all are busy. */
static struct aws_denial *place_of(struct leased_instance *aws, uint64_t role)
{
    struct aws_denial *best = NULL;

    for (size_t i = 0; i < AWS_DENIALS_MAX; i++) {
        struct aws_denial *denial = &aws->denials[i];

        if (denial->role == role) {
            return denial;
        }
        if (!denial->is_busy && (best == NULL || denial->wanted_s < best->wanted_s)) {
            best = denial;
        }
    }
    if (best != NULL) {
        *best = (struct aws_denial){.role = role};
    }
    return best;
}

/* --- putting the policy ----------------------------------------------------------------------- */

/* All of them are dead; those of later are other leases. */
static void tell(struct aws_op *op, const char *reason)
{
    const struct leased_host *host = op->aws->works.host;
    leased_host_context *context = op->aws->works.context;
    uint64_t role = op->denial->role;

    op->may_be_put = false;
#if defined(MUTANT) && MUTANT == 26 /* see src/base/mutant.h */
    return;
#endif
    host->anchor_ends(context, role, 0, plugin_str(reason));
    host->anchor_ends(context, role, UINT64_MAX, PLUGIN_STR("newer sessions aren't denied"));
}

void aws_revoke_fini(struct aws_op *op)
{
    if (op->may_be_put) {
        tell(op, "the role's older sessions are denied, or may be");
    }
    if (op->denial != NULL) {
        op->denial->is_busy = false;
    }
}

static void put(struct aws_op *op, const struct aws_answer *answer)
{
    char id[128];

    if (strcmp(answer->code, "NoSuchEntity") == 0) {
        plugin_work_fail(&op->work, LEASED_GONE, "the role is gone, and its sessions with it");
        return;
    }
    if (!aws_answer_is_ok(answer)) {
        aws_request_refused(op, answer);
        return;
    }
    if (!aws_answer_text(answer, "PutRolePolicyResponse/ResponseMetadata/RequestId", id,
                         sizeof(id))) {
        plugin_work_fail(&op->work, LEASED_RETRY, "PutRolePolicy: it is no answer of IAM");
        return;
    }
    op->denial->done_s = op->cutoff_s;
    tell(op, "the role's older sessions are denied");
    plugin_work_end(&op->work, LEASED_OK, NULL);
}

/* What was wanted before and may be there is put again as it was: so it ends nothing that has been
 * issued since. */
static void choose_cutoff(struct aws_op *op, int64_t now_s)
{
    struct aws_denial *denial = op->denial;

    if (denial->wanted_s <= op->issued_s) {
        denial->wanted_s = now_s >= op->issued_s ? now_s + 1 : op->issued_s + 1;
    }
    op->cutoff_s = denial->wanted_s;
}

static void identified(struct aws_op *op, const struct aws_answer *answer)
{
    const char *account = strstr(op->role_arn, ":iam::") + strlen(":iam::");
    char found[ACCOUNT_BYTES + 1];
    struct plugin_text text;

    if (!aws_answer_is_ok(answer)) {
        aws_request_refused(op, answer);
        return;
    }
    if (!aws_answer_text(answer, "GetCallerIdentityResponse/GetCallerIdentityResult/Account", found,
                         sizeof(found))) {
        plugin_work_fail(&op->work, LEASED_RETRY, "GetCallerIdentity: it says no account");
        return;
    }
    if (memcmp(account, found, ACCOUNT_BYTES) != 0) {
        plugin_text_set(&text,
                        "deny-older needs a source in the role's own account %.12s, not in %s",
                        account, found);
        plugin_work_fail(&op->work, LEASED_DENIED, text.bytes);
        return;
    }
    choose_cutoff(op, answer->date_s >= 0 ? answer->date_s : aws_now_s(op->aws));
    op->may_be_put = true;
    aws_query_deny(aws_request_form(op), op->role_arn, op->cutoff_s);
    aws_request_send(op, AWS_SERVICE_IAM, "PutRolePolicy (deny-older)", put);
}

static void identify(struct aws_op *op)
{
    struct plugin_form *form = aws_request_form(op);

    plugin_form_pair(form, "Action", PLUGIN_STR("GetCallerIdentity"));
    plugin_form_pair(form, "Version", PLUGIN_STR(AWS_STS_VERSION));
    aws_request_send(op, AWS_SERVICE_STS, "GetCallerIdentity", identified);
}

static void begin(struct aws_op *op);

static void begin_again(struct plugin_work *work)
{
    begin((struct aws_op *)work);
}

static void begin(struct aws_op *op)
{
    struct aws_denial *denial = op->denial;

    if (denial == NULL) {
        denial = place_of(op->aws, aws_role_anchor(plugin_str(op->role_arn)));
        if (denial == NULL) {
            plugin_work_fail(&op->work, LEASED_RETRY, NO_PLACE);
            return;
        }
        if (denial->done_s > op->issued_s) {
            plugin_work_end(&op->work, LEASED_OK, NULL);
            return;
        }
        if (denial->is_busy) {
            if (plugin_work_wait(&op->work, AGAIN_MS, begin_again) != 0) {
                plugin_work_fail(&op->work, LEASED_RETRY, "out of memory");
            }
            return;
        }
        denial->is_busy = true;
        op->denial = denial;
    }
    aws_source_get(op, identify);
}

/* "ID\nROLE_ARN ISSUED", as issue.c writes it. */
static int read_ref(struct aws_op *op, struct leased_str ref)
{
    const char *line = ref.len > 0 ? memchr(ref.ptr, '\n', ref.len) : NULL;
    struct leased_str rest;
    const char *blank;

    if (line == NULL) {
        return -1;
    }
    rest = (struct leased_str){line + 1, ref.len - (size_t)(line - ref.ptr) - 1};
    blank = memchr(rest.ptr, ' ', rest.len);
    if (blank == NULL || rest.len - (size_t)(blank - rest.ptr) > 16) {
        return -1;
    }
    for (const char *at = blank + 1; at < rest.ptr + rest.len; at++) {
        if (*at < '0' || *at > '9') {
            return -1;
        }
        op->issued_s = op->issued_s * 10 + (*at - '0');
    }
    rest.len = (size_t)(blank - rest.ptr);
    if (!aws_arn_is_role(rest)) {
        return -1;
    }
    op->role_arn = plugin_strdup(op->aws->works.host, rest);
    return 0;
}

int32_t aws_revoke(struct leased_instance *aws, const struct leased_lease_ref *lease,
                   leased_op *handle)
{
    struct aws_op *op = aws_op_new(aws, handle, begin);

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    if (read_ref(op, lease->issuer_ref) != 0) {
        return plugin_work_fail_soon(&op->work, LEASED_INVALID,
                                     "AWS can't take a single session back: it ends by itself");
    }
    return op->role_arn != NULL ? aws_op_start(op) : plugin_work_refuse(&op->work);
}
