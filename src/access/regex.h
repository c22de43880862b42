/* A regular expression as an automaton, to see whether matching it can explode. Internal to
 * access/: regex_check.h is what others use.
 *
 * The states are the expression's characters (Glushkov's construction). Unlike there, the ways
 * from one to the next are counted, because a backtracking matcher tries each of them: in (a+)+
 * there are two from `a` to `a`. */
#ifndef LEASED_ACCESS_REGEX_H
#define LEASED_ACCESS_REGEX_H

#include "base/err.h"
#include "base/str.h"

#define REGEX_STATES_MAX 256

/* Characters: ASCII, and one bit for all others together. */
#define REGEX_OTHERS 128U
#define REGEX_CLASS_WORDS 3

struct regex_class {
    uint64_t bits[REGEX_CLASS_WORDS];
};

struct regex_state {
    struct regex_class class;
    uint32_t offset; /* in the pattern, from 0 */
};

struct regex {
    struct regex_state states[REGEX_STATES_MAX];
    size_t state_count;
    uint8_t ways[REGEX_STATES_MAX][REGEX_STATES_MAX]; /* from, to: none, one, or 2 for several */
    bool begins_anchored;
    bool ends_anchored;
    const char *unknown; /* what of it isn't understood, for people; NULL: nothing */
};

/* Takes a pattern that PCRE2 compiles; of others something comes out, too. Conservative: what
 * restricts a match (assertions, atomic groups) is taken for nothing, and many repetitions for
 * endless ones. The regex is zeroed by the caller. */
void regex_parse(struct str pattern, struct regex *regex);

/* --- classes: regex_class.c --- */

void regex_class_add(struct regex_class *class, uint32_t code_point, bool ignores_case);
void regex_class_add_range(struct regex_class *class, uint32_t first, uint32_t last,
                           bool ignores_case);
/* All but `without`. */
void regex_class_add_all_but(struct regex_class *class, const struct regex_class *without);
bool regex_class_meets(const struct regex_class *a, const struct regex_class *b);

/* What \d, \w, … stand for is added. False: it is no such letter. */
bool regex_class_add_letter(struct regex_class *class, char letter);

/* Reads a class in brackets, from behind its [; returns what follows its ]. */
struct str regex_class_read(struct str text, bool ignores_case, struct regex_class *class);

/* Reads one character, escaped (from behind the backslash) or not. */
uint32_t regex_read_escaped(struct str *text);
uint32_t regex_read_char(struct str *text);

#endif
