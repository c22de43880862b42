/* Exponential ambiguity of an automaton: a state from which the same text leads back to it on two
 * different ways. Then n repetitions of that text can be taken in 2^n ways, and a matcher that has
 * to fail tries all of them.
 *
 * States that reach each other have it together or not at all, so for each such group one state is
 * looked at: pairs of states go along the same characters, from (q, q) to a pair of different
 * states and back to (q, q). Several ways between the same two states are the short form of it. */
#include "access/regex_check.h"

#include "access/regex.h"
#include "base/mem.h"

#include <string.h>

#define NO_STATE SIZE_MAX
/* Steps over pairs: far more than what people write takes. */
#define STEPS_MAX 20000000U

#define REACHED 1U /* from (q, q) */
#define RETURNS 2U /* to (q, q) */

struct checking {
    struct regex regex;
    bool reaches[REGEX_STATES_MAX][REGEX_STATES_MAX]; /* by one way or more */
    bool meets[REGEX_STATES_MAX][REGEX_STATES_MAX];   /* some character is in both */
    uint8_t pairs[REGEX_STATES_MAX][REGEX_STATES_MAX];
    uint16_t queue[(size_t)REGEX_STATES_MAX * REGEX_STATES_MAX];
    size_t members[REGEX_STATES_MAX]; /* of the group that is looked at */
    size_t member_count;
    size_t steps;
};

static void close_reaches(struct checking *it)
{
    size_t count = it->regex.state_count;
    size_t via;
    size_t from;
    size_t to;

    for (from = 0; from < count; from++) {
        for (to = 0; to < count; to++) {
            it->reaches[from][to] = it->regex.ways[from][to] > 0;
            it->meets[from][to] =
                regex_class_meets(&it->regex.states[from].class, &it->regex.states[to].class);
        }
    }
    for (via = 0; via < count; via++) {
        for (from = 0; from < count; from++) {
            for (to = 0; it->reaches[from][via] && to < count; to++) {
                it->reaches[from][to] = it->reaches[from][to] || it->reaches[via][to];
            }
        }
    }
}

/* The states that q reaches and that reach q. */
static void group_collect(struct checking *it, size_t q)
{
    size_t i;

    it->member_count = 0;
    for (i = 0; i < it->regex.state_count; i++) {
        if (it->reaches[q][i] && it->reaches[i][q]) {
            it->members[it->member_count++] = i;
        }
    }
}

/* A step of two states along one character, forwards or backwards. */
static bool is_step(const struct checking *it, const size_t from[2], const size_t to[2],
                    unsigned mark)
{
    if (mark == RETURNS) {
        return it->regex.ways[to[0]][from[0]] > 0 && it->regex.ways[to[1]][from[1]] > 0;
    }
    return it->regex.ways[from[0]][to[0]] > 0 && it->regex.ways[from[1]][to[1]] > 0;
}

static size_t steps_take(struct checking *it, size_t pair, unsigned mark, size_t *queue_end)
{
    const size_t from[2] = {pair / REGEX_STATES_MAX, pair % REGEX_STATES_MAX};
    size_t i;
    size_t k;

    for (i = 0; i < it->member_count; i++) {
        for (k = 0; k < it->member_count; k++) {
            const size_t to[2] = {it->members[i], it->members[k]};

            if (it->meets[to[0]][to[1]] && (it->pairs[to[0]][to[1]] & mark) == 0 &&
                is_step(it, from, to, mark)) {
                it->pairs[to[0]][to[1]] |= (uint8_t)mark;
                it->queue[(*queue_end)++] = (uint16_t)(to[0] * REGEX_STATES_MAX + to[1]);
            }
        }
    }
    return it->member_count * it->member_count;
}

/* Marks every pair that can be had from (q, q). */
static void pairs_walk(struct checking *it, size_t q, unsigned mark)
{
    size_t end = 0;
    size_t at;

    it->pairs[q][q] |= (uint8_t)mark;
    it->queue[end++] = (uint16_t)(q * REGEX_STATES_MAX + q);
    for (at = 0; at < end && it->steps < STEPS_MAX; at++) {
        it->steps += steps_take(it, it->queue[at], mark, &end);
    }
}

/* A state of the group that the same text leads to on two ways; NO_STATE: there is none. */
static size_t group_check(struct checking *it, size_t q)
{
    size_t i;
    size_t k;

    group_collect(it, q);
    for (i = 0; i < it->member_count; i++) {
        for (k = 0; k < it->member_count; k++) {
            if (it->regex.ways[it->members[i]][it->members[k]] > 1) {
                return it->members[k];
            }
        }
    }
    memset(it->pairs, 0, sizeof(it->pairs));
    pairs_walk(it, q, REACHED);
    pairs_walk(it, q, RETURNS);
    for (i = 0; i < it->member_count; i++) {
        for (k = 0; k < i; k++) {
            if (it->pairs[it->members[i]][it->members[k]] == (REACHED | RETURNS)) {
                return it->members[k];
            }
        }
    }
    return NO_STATE;
}

/* Is q the first state of its group? */
static bool begins_group(const struct checking *it, size_t q)
{
    size_t i;

    for (i = 0; i < q; i++) {
        if (it->reaches[q][i] && it->reaches[i][q]) {
            return false;
        }
    }
    return it->reaches[q][q];
}

static size_t ambiguous_state(struct checking *it)
{
    size_t found = NO_STATE;
    size_t q;

    close_reaches(it);
    for (q = 0; found == NO_STATE && q < it->regex.state_count; q++) {
        if (begins_group(it, q)) {
            found = group_check(it, q);
        }
    }
    return found;
}

/* Characters up to here; of UTF-8 the first byte of each counts. */
static size_t character_at(struct str pattern, size_t offset)
{
    size_t count = 1;
    size_t i;

    for (i = 0; i < offset; i++) {
        count += ((unsigned char)pattern.ptr[i] & 0xc0U) != 0x80 ? 1 : 0;
    }
    return count;
}

int access_regex_check(struct str pattern, struct access_regex_report *ret_report)
{
    struct checking *it = mem_calloc(1, sizeof(*it));
    struct access_regex_report report = {.verdict = ACCESS_REGEX_SAFE};
    size_t state;

    if (it == NULL) {
        return ERR_NOMEM;
    }
    regex_parse(pattern, &it->regex);
    state = ambiguous_state(it);
    report.begins_anchored = it->regex.begins_anchored;
    report.ends_anchored = it->regex.ends_anchored;
    report.unknown = it->regex.unknown;
    if (state != NO_STATE) {
        report.verdict = ACCESS_REGEX_EXPLODES;
        report.at = character_at(pattern, it->regex.states[state].offset);
    } else if (report.unknown != NULL || it->steps >= STEPS_MAX) {
        report.verdict = ACCESS_REGEX_UNKNOWN;
        report.unknown = report.unknown != NULL ? report.unknown : "it is too large";
    }
    mem_free(it);
    *ret_report = report;
    return 0;
}
