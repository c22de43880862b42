/* Who may approve, and what becomes of a request by it.
 *
 * Never the one who asks: not the same user, certificate or job, nor another user of the same
 * person where the policy or an issuer names one. Whoever the rule names now, each, by the same
 * measure, once; nobody by a way that yields no more than a uid, as admin rights aren't given
 * there.
 */
#include "base/mem.h"
#include "base/mutant.h"
#include "request/request_internal.h"

#include <stdio.h>

#define MARK_PERSON "person"
#define MARK_SUBJECT "jwt"
#define OWN_TEXT "it is your own request: somebody else has to look at it"

/* --- who --- */

/* Copies what fits, in whole characters. */
static void put_cut(char *out, size_t size, const char *text)
{
    *str_put(out, str_shorten(str_of(text), size - 1)) = '\0';
}

const char *decide_who(const struct access_identity *identity, char out[REQUEST_WHO_MAX_BYTES + 1])
{
    char uid[ACCESS_UID_TEXT_MAX_BYTES] = "";
    const struct access_claims *claims = identity->claims;

    put_cut(out, REQUEST_WHO_MAX_BYTES + 1,
            claims != NULL && claims->person[0] != '\0' ? claims->person
                                                        : access_identity_name(identity, uid));
    return out;
}

bool request_is_own(const struct request *request, const struct access_identity *identity)
{
    char key[ACCESS_KEY_MAX_BYTES];

    /* Another user behind the same uid is somebody else. */
    return strcmp(request->key, access_identity_key(identity, key)) == 0 &&
           strcmp(request->identity.user, identity->user) == 0;
}

static void mark_add(char marks[REQUEST_MARKS_MAX_BYTES + 1], const char *kind, const char *text)
{
    size_t used = strlen(marks);

    (void)snprintf(marks + used, REQUEST_MARKS_MAX_BYTES + 1 - used, "%s%s:%.*s",
                   used > 0 ? "\n" : "", kind, REQUEST_MARK_MAX_BYTES, text);
}

/* What somebody is known by, a line each: whoever has one of them in common is the same. Neither a
 * token nor a listener makes somebody else of a user or of a certificate. Returns `out`.
 *
 * The subject of a job's token may be a whole project's, as GitLab's is: between two of whom it is
 * known who is behind them it says nothing. */
static const char *marks_of(const struct requests *requests, const struct access_identity *identity,
                            char out[REQUEST_MARKS_MAX_BYTES + 1])
{
    const char *person = access_policy_mapped_person(requests->options.policy, identity);
    const struct access_claims *claims = identity->claims;
    char text[REQUEST_MARK_MAX_BYTES + 1];

    out[0] = '\0';
    if (identity->uid != ENV_NO_ID) {
        (void)snprintf(text, sizeof(text), "%u", identity->uid);
        mark_add(out, "uid", text);
    }
    if (identity->sans[0] != '\0') {
        mark_add(out, "tls", identity->sans);
    }
    if (claims != NULL) {
        (void)snprintf(text, sizeof(text), "%s %s", claims->iss, claims->sub);
        mark_add(out, MARK_SUBJECT, text);
    }
    if (claims != NULL && claims->person[0] != '\0') {
        mark_add(out, MARK_PERSON, claims->person);
    }
    if (person != NULL && !MUTATED(35)) {
        mark_add(out, MARK_PERSON, person);
    }
    return out;
}

static bool has_mark(const char *marks, struct str mark)
{
    struct str rest = str_of(marks);

    while (rest.ptr != NULL) {
        if (str_eq(mark, str_cut(&rest, '\n'))) {
            return true;
        }
    }
    return false;
}

static bool names_person(const char *marks)
{
    struct str rest = str_of(marks);

    while (rest.ptr != NULL) {
        if (str_starts_with(str_cut(&rest, '\n'), MARK_PERSON ":")) {
            return true;
        }
    }
    return false;
}

/* The first that both have; ptr NULL: there is none. */
static struct str mark_shared(const char *marks, const char *others)
{
    bool are_known = names_person(marks) && names_person(others);
    struct str rest = str_of(marks);

    while (rest.ptr != NULL) {
        struct str mark = str_cut(&rest, '\n');

        if (has_mark(others, mark) && !(are_known && str_starts_with(mark, MARK_SUBJECT ":"))) {
            return mark;
        }
    }
    return (struct str){.ptr = NULL};
}

/* NULL, or why the caller counts as the one who asks. */
static const char *same_as_asker(const struct request *request,
                                 const struct access_identity *identity)
{
    char marks[REQUEST_MARKS_MAX_BYTES + 1] = "";
    char asker[REQUEST_MARKS_MAX_BYTES + 1] = "";
    struct str shared = mark_shared(marks_of(request->requests, identity, marks),
                                    marks_of(request->requests, &request->identity, asker));

    if (MUTATED(34)) {
        return NULL;
    }
    if (shared.ptr == NULL) {
        return request_is_own(request, identity) ? OWN_TEXT : NULL;
    }
    return str_starts_with(shared, MARK_PERSON ":")
               ? "it is the request of the same person: somebody else has to look at it"
               : OWN_TEXT;
}

/* A rule that is gone names nobody any more; what was given by it is to be looked at all the same.
 */
static bool may_review_instead(const struct request *request,
                               const struct access_identity *identity)
{
    const struct access_policy *policy = request->requests->options.policy;

    return request->now.review != REQUEST_REVIEW_NONE &&
           !access_policy_has_rule(policy, request->rule_digest) &&
           (access_policy_admin(policy, identity) & ACCESS_ADMIN_REVOKE) != 0;
}

int request_may_decide(const struct request *request, const struct access_identity *identity,
                       struct err *e)
{
    const struct access_policy *policy = request->requests->options.policy;
    const char *why = same_as_asker(request, identity);

    if (why != NULL) {
        return err_set(e, ERR_DENIED, "%s", why);
    }
    if (identity->kind == ENV_PEER_LOOPBACK) {
        return err_set(e, ERR_DENIED,
                       "approvals aren't taken over loopback TCP, where a caller is known by its "
                       "uid alone: use the unix socket, or TLS");
    }
    if (!access_policy_may_approve(policy, request->rule_digest, identity) &&
        !may_review_instead(request, identity)) {
        return err_set(e, ERR_DENIED, "the rule %s %s", request->rule,
                       access_policy_has_rule(policy, request->rule_digest)
                           ? "doesn't name you among its approvers"
                           : "was changed or taken out, so that it names nobody any more");
    }
    return 0;
}

/* --- what is said --- */

static bool has_voted(const struct request *request, const char *marks)
{
    size_t i;

    for (i = 0; i < request->now.approval_count; i++) {
        if (mark_shared(request->votes[i]->marks, marks).ptr != NULL) {
            return true;
        }
    }
    return false;
}

static int refuse(const struct request *request, struct err *e)
{
    return err_set(e, ERR_EXISTS, "it is %s already%s%s", request_state_str(request->now.state),
                   request->now.why[0] != '\0' ? ": " : "", request->now.why);
}

/* Puts the vote where the next one belongs; it counts when it is written. */
static int vote_add(struct request *request, const struct request_voice *voice, const char *marks)
{
    struct request_vote **slot = &request->votes[request->now.approval_count];

    CHECK(request->now.approval_count < REQUEST_APPROVALS_MAX);
    if (*slot == NULL) {
        *slot = mem_calloc(1, sizeof(**slot));
    }
    if (*slot == NULL) {
        return ERR_NOMEM;
    }
    (*slot)->at_wall_ms = env_wall_ms(request->requests->options.env);
    (void)decide_who(voice->identity, (*slot)->who);
    put_cut((*slot)->marks, sizeof((*slot)->marks), marks);
    put_cut((*slot)->comment, sizeof((*slot)->comment),
            voice->comment != NULL ? voice->comment : "");
    request->next.approval_count++;
    return 0;
}

static int say_start(struct request *request, const struct request_voice *voice, const char *event,
                     const char *outcome)
{
    const struct request_event said = {.event = event,
                                       .outcome = outcome,
                                       .identity = voice->identity,
                                       .listener = voice->listener,
                                       .api = voice->api,
                                       .comment = str_or_null(voice->comment)};

    return change_start(request, &said);
}

static void approved(struct request *request)
{
    struct env *env = request->requests->options.env;
    struct request_standing *next = &request->next;

    next->state = REQUEST_APPROVED;
    next->use_by_ms = next->until_ms = env_now_ms(env) + request->use_within_ms;
    next->use_by_wall_ms = env_wall_ms(env) + (int64_t)request->use_within_ms;
}

static int approve(struct request *request, const struct request_voice *voice, struct err *e)
{
    char marks[REQUEST_MARKS_MAX_BYTES + 1] = "";
    bool is_enough;
    int r;

    if (has_voted(request, marks_of(request->requests, voice->identity, marks))) {
        return 0;
    }
    if (request->is_break_glass ? request->now.review != REQUEST_REVIEW_PENDING
                                : request->now.state != REQUEST_PENDING) {
        return refuse(request, e);
    }
    change_begin(request);
    r = vote_add(request, voice, marks);
    if (r != 0) {
        return r;
    }
    is_enough = request->is_break_glass || MUTATED(38) ||
                request->next.approval_count >= request->needed_count;
    if (request->is_break_glass) {
        request->next.review = REQUEST_REVIEW_APPROVED;
    } else if (is_enough) {
        approved(request);
    }
    return say_start(request, voice, "request.approved", is_enough ? "ok" : "pending");
}

static void denied_why(const struct request_voice *voice, char out[REQUEST_WHY_MAX_BYTES + 1])
{
    char who[REQUEST_WHO_MAX_BYTES + 1];
    char text[REQUEST_WHY_MAX_BYTES + REQUEST_COMMENT_MAX_BYTES];

    (void)snprintf(text, sizeof(text), "denied by %s%s%s", decide_who(voice->identity, who),
                   str_or_null(voice->comment) != NULL ? ": " : "",
                   str_or_null(voice->comment) != NULL ? voice->comment : "");
    put_cut(out, REQUEST_WHY_MAX_BYTES + 1, text);
}

static int deny(struct request *request, const struct request_voice *voice, struct err *e)
{
    const struct requests_options *options = &request->requests->options;
    bool is_reviewed = request->now.review == REQUEST_REVIEW_PENDING;
    char why[REQUEST_WHY_MAX_BYTES + 1];
    int r;

    if (request->now.state == REQUEST_DENIED || request->now.review == REQUEST_REVIEW_DENIED) {
        return 0;
    }
    if (!is_reviewed && !fsm_request_is_open(request->now.state)) {
        return refuse(request, e);
    }
    change_begin(request);
    denied_why(voice, why);
    if (!MUTATED(41)) {
        change_end(request, fsm_request_is_open(request->now.state) ? REQUEST_DENIED : REQUEST_USED,
                   why);
    }
    request->next.review = is_reviewed ? REQUEST_REVIEW_DENIED : REQUEST_REVIEW_NONE;
    r = say_start(request, voice, "request.denied", "ok");
    if (r == 0 && is_reviewed && request->now.grant[0] != '\0') {
        options->grant_end(options->user, request->now.grant);
    }
    return r;
}

static int withdraw(struct request *request, const struct request_voice *voice, struct err *e)
{
    if (request->now.state == REQUEST_WITHDRAWN) {
        return 0;
    }
    if (!fsm_request_is_open(request->now.state)) {
        return refuse(request, e);
    }
    change_begin(request);
    change_end(request, REQUEST_WITHDRAWN, "withdrawn by who asked for it");
    request->next.review = REQUEST_REVIEW_NONE;
    return say_start(request, voice, "request.withdrawn", "ok");
}

int request_say(struct request *request, const struct request_voice *voice, struct err *e)
{
    int r = 0;

    if (voice->verb == REQUEST_WITHDRAW) {
        r = request_is_own(request, voice->identity)
                ? 0
                : err_set(e, ERR_DENIED, "only who has asked can withdraw it");
    } else {
        r = request_may_decide(request, voice->identity, e);
    }
    if (r == 0 && request->is_writing) {
        return err_set(e, ERR_BUSY, "something else is being written about it: try again");
    }
    if (r != 0) {
        return r;
    }
    switch (voice->verb) {
    case REQUEST_APPROVE:
        r = approve(request, voice, e);
        break;
    case REQUEST_DENY:
        r = deny(request, voice, e);
        break;
    case REQUEST_WITHDRAW:
        r = withdraw(request, voice, e);
        break;
    }
    return r == 0 || r == ERR_EXISTS ? r : err_set(e, r, "%s", err_str(r));
}
