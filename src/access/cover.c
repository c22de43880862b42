/* Compares subjects, condition by condition. A pattern covers another one when its stars take what
 * the other has, stars included: whatever those stand for, they take that too. */
#include "access/cover.h"

#include <string.h>

/* More numbers than any range that is meant for some. */
#define RANGE_BROAD 100000U

static bool pattern_covers(const struct access_pattern *wide, const struct access_pattern *narrow)
{
    if (wide->text == NULL) {
        return true;
    }
    return narrow->text != NULL && str_glob(str_of(wide->text), str_of(narrow->text));
}

static bool range_covers(bool has_wide, const struct schema_range *wide, bool has_narrow,
                         const struct schema_range *narrow)
{
    return !has_wide || (has_narrow && wide->first <= narrow->first && narrow->last <= wide->last);
}

/* Each text that `narrow` takes, `wide` takes too. */
static bool claim_covers(const struct access_claim_rule *wide,
                         const struct access_claim_rule *narrow)
{
    size_t i;
    size_t k;

    if (strcmp(wide->name, narrow->name) != 0) {
        return false;
    }
    for (i = 0; i < narrow->pattern_count; i++) {
        bool is_covered = false;

        for (k = 0; k < wide->pattern_count; k++) {
            is_covered = is_covered || pattern_covers(&wide->patterns[k], &narrow->patterns[i]);
        }
        if (!is_covered) {
            return false;
        }
    }
    return true;
}

static bool token_covers(const struct access_token_rule *wide,
                         const struct access_token_rule *narrow)
{
    size_t i;
    size_t k;

    if (!wide->is_set) {
        return true;
    }
    if (!narrow->is_set || !pattern_covers(&wide->issuer, &narrow->issuer)) {
        return false;
    }
    for (i = 0; i < wide->claim_count; i++) {
        bool is_covered = false;

        for (k = 0; k < narrow->claim_count; k++) {
            is_covered = is_covered || claim_covers(&wide->claims[i], &narrow->claims[k]);
        }
        if (!is_covered) {
            return false;
        }
    }
    return true;
}

static bool names_somebody_here(const struct access_subject *subject)
{
    return subject->has_uid || subject->has_gid || subject->user.text != NULL ||
           subject->group.text != NULL || subject->unit.text != NULL ||
           subject->container.text != NULL || subject->image.text != NULL;
}

/* Callers with a certificate are only those of subjects that name one; a rule that denies means
 * them also where it names nothing but their listener. */
static bool certificate_covers(const struct access_subject *wide,
                               const struct access_subject *narrow, bool is_denial)
{
    if (narrow->san.text == NULL) {
        return wide->san.text == NULL;
    }
    return wide->san.text != NULL ? pattern_covers(&wide->san, &narrow->san)
                                  : is_denial && !names_somebody_here(wide);
}

/* Callers in containers, and those of other pid namespaces, are only those of subjects that name
 * what such callers have. A rule that denies means them all the same. */
static bool foreign_covers(const struct access_subject *wide, const struct access_subject *narrow,
                           bool is_denial)
{
    bool may_be_foreign = narrow->container.text != NULL || narrow->listener.text != NULL;

    return is_denial || !may_be_foreign || wide->container.text != NULL ||
           (narrow->container.text == NULL && wide->listener.text != NULL);
}

bool access_subject_covers(const struct access_subject *wide, const struct access_subject *narrow,
                           bool is_denial)
{
    return certificate_covers(wide, narrow, is_denial) && foreign_covers(wide, narrow, is_denial) &&
           range_covers(wide->has_uid, &wide->uid, narrow->has_uid, &narrow->uid) &&
           range_covers(wide->has_gid, &wide->gid, narrow->has_gid, &narrow->gid) &&
           pattern_covers(&wide->user, &narrow->user) &&
           pattern_covers(&wide->group, &narrow->group) &&
           pattern_covers(&wide->unit, &narrow->unit) &&
           pattern_covers(&wide->container, &narrow->container) &&
           pattern_covers(&wide->image, &narrow->image) &&
           pattern_covers(&wide->listener, &narrow->listener) &&
           token_covers(&wide->token, &narrow->token);
}

bool access_subjects_cover(const struct access_subjects *wide, const struct access_subject *narrow,
                           bool is_denial)
{
    size_t i;

    for (i = 0; i < wide->count; i++) {
        if (access_subject_covers(&wide->items[i], narrow, is_denial)) {
            return true;
        }
    }
    return false;
}

/* --- how many are meant --- */

static bool narrows(const struct access_pattern *pattern)
{
    return pattern->text != NULL && strspn(pattern->text, "*") != pattern->len;
}

static bool claims_narrow(const struct access_token_rule *token)
{
    size_t i;

    for (i = 0; i < token->claim_count; i++) {
        if (token->claims[i].pattern_count > 0 && narrows(&token->claims[i].patterns[0])) {
            return true;
        }
    }
    return false;
}

static bool range_narrows(bool has_range, const struct schema_range *range)
{
    return has_range && range->last - range->first < RANGE_BROAD;
}

static bool is_root(const struct access_subject *subject)
{
    return (subject->has_uid && subject->uid.first == 0 && subject->uid.last < RANGE_BROAD) ||
           (subject->user.text != NULL && strcmp(subject->user.text, "root") == 0);
}

const char *access_subject_breadth(const struct access_subject *subject, bool is_of_operators)
{
    bool has_place =
        narrows(&subject->unit) || narrows(&subject->container) || narrows(&subject->image);
    bool has_user = narrows(&subject->user) || narrows(&subject->group) ||
                    range_narrows(subject->has_uid, &subject->uid) ||
                    range_narrows(subject->has_gid, &subject->gid);

    if (has_place || claims_narrow(&subject->token)) {
        return NULL;
    }
    if (subject->token.is_set && !has_user) {
        return "is every job that this issuer vouches for: name its claims";
    }
    if (is_root(subject)) {
        return is_of_operators ? NULL : "is every process of root: name a `unit` beside it";
    }
    if (has_user || narrows(&subject->san)) {
        return NULL;
    }
    if (subject->san.text != NULL) {
        return "is everybody with a certificate of the listener's authority";
    }
    return subject->listener.text != NULL && subject->user.text == NULL &&
                   subject->group.text == NULL && !subject->has_uid && !subject->has_gid
               ? "is everybody who reaches this listener: name a `user`, a `uid` or a `group` "
                 "beside it"
               : "is everybody on this machine";
}
