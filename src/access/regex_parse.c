/* From the text of a regular expression to its automaton, in one pass: each piece of the text
 * becomes a fragment, which knows by which states it is entered and left, and pieces are joined.
 * What is repeated a few times is read as many times, so no tree is needed. */
#include "access/regex.h"

#include "base/check.h"

#include <string.h>

#define DEPTH_MAX 32U
/* From so many optional repetitions on they count as endless. */
#define OPTIONAL_MAX 16U
#define ENDLESS UINT32_MAX
#define NUMBER_MAX 65535U

/* Counts are 0, 1 or 2 for more. */
struct fragment {
    uint8_t first[REGEX_STATES_MAX]; /* ways into each state */
    uint8_t last[REGEX_STATES_MAX];  /* ways out of it */
    uint8_t empty;                   /* ways to match nothing */
    bool has_states;
    bool begins_anchored;
    bool ends_anchored;
};

struct parser {
    struct regex *regex;
    const char *start;
    struct str rest;
    bool ignores_case;
    bool is_multiline;
    uint32_t depth;
};

struct repeat {
    uint32_t min;
    uint32_t max;
};

static void parse_alternatives(struct parser *parser, struct fragment *ret_fragment);

static void give_up(struct parser *parser, const char *what)
{
    if (parser->regex->unknown == NULL) {
        parser->regex->unknown = what;
    }
    parser->rest.len = 0;
}

static bool next_is(const struct parser *parser, const char *text)
{
    return str_starts_with(parser->rest, text);
}

static void skip(struct parser *parser, size_t count)
{
    count = count < parser->rest.len ? count : parser->rest.len;
    parser->rest.ptr += count;
    parser->rest.len -= count;
}

static bool accept(struct parser *parser, const char *text)
{
    if (!next_is(parser, text)) {
        return false;
    }
    skip(parser, strlen(text));
    return true;
}

/* --- fragments --- */

static uint8_t some(unsigned ways)
{
    return (uint8_t)(ways < 2 ? ways : 2);
}

static void fragment_void(struct fragment *fragment)
{
    memset(fragment, 0, sizeof(*fragment));
    fragment->empty = 1;
}

static void connect(struct regex *regex, const uint8_t *from, const uint8_t *to)
{
    size_t i;
    size_t k;

    for (i = 0; i < regex->state_count; i++) {
        for (k = 0; from[i] > 0 && k < regex->state_count; k++) {
            regex->ways[i][k] = some(regex->ways[i][k] + (unsigned)from[i] * to[k]);
        }
    }
}

/* `fragment` followed by `next`. */
static void fragment_append(struct regex *regex, struct fragment *fragment,
                            const struct fragment *next)
{
    size_t i;

    connect(regex, fragment->last, next->first);
    for (i = 0; i < regex->state_count; i++) {
        fragment->first[i] = some(fragment->first[i] + (unsigned)fragment->empty * next->first[i]);
        fragment->last[i] = some(next->last[i] + (unsigned)next->empty * fragment->last[i]);
    }
    fragment->begins_anchored =
        fragment->begins_anchored || (!fragment->has_states && next->begins_anchored);
    fragment->ends_anchored = next->ends_anchored || (!next->has_states && fragment->ends_anchored);
    fragment->empty = some((unsigned)fragment->empty * next->empty);
    fragment->has_states = fragment->has_states || next->has_states;
}

static void fragment_or(struct regex *regex, struct fragment *fragment,
                        const struct fragment *other)
{
    size_t i;

    for (i = 0; i < regex->state_count; i++) {
        fragment->first[i] = some((unsigned)fragment->first[i] + other->first[i]);
        fragment->last[i] = some((unsigned)fragment->last[i] + other->last[i]);
    }
    fragment->empty = some((unsigned)fragment->empty + other->empty);
    fragment->has_states = fragment->has_states || other->has_states;
    fragment->begins_anchored = fragment->begins_anchored && other->begins_anchored;
    fragment->ends_anchored = fragment->ends_anchored && other->ends_anchored;
}

static void fragment_optional(struct fragment *fragment)
{
    fragment->empty = some(fragment->empty + 1U);
    fragment->begins_anchored = false;
    fragment->ends_anchored = false;
}

/* A state of its own that takes these characters. */
static void fragment_of_class(struct parser *parser, const struct regex_class *class,
                              const char *at, struct fragment *ret_fragment)
{
    struct regex *regex = parser->regex;
    size_t state = regex->state_count;

    fragment_void(ret_fragment);
    if (state == REGEX_STATES_MAX) {
        give_up(parser, "it is too large");
        return;
    }
    regex->states[state].class = *class;
    regex->states[state].offset = (uint32_t)(at - parser->start);
    regex->state_count++;
    ret_fragment->first[state] = 1;
    ret_fragment->last[state] = 1;
    ret_fragment->empty = 0;
    ret_fragment->has_states = true;
}

/* --- atoms --- */

/* (?i) and (?i:…): from behind the question mark. False: these are no flags. */
static bool parse_flags(struct parser *parser)
{
    bool is_on = true;
    size_t i;

    for (i = 0; i < parser->rest.len && strchr("^-imnsxJU", parser->rest.ptr[i]) != NULL; i++) {
        char c = parser->rest.ptr[i];

        is_on = c != '-' && is_on;
        parser->ignores_case = c == 'i' ? is_on : parser->ignores_case && c != '^';
        parser->is_multiline = c == 'm' ? is_on : parser->is_multiline && c != '^';
        if (c == 'x' && is_on) {
            give_up(parser, "it has the flag x");
            return true;
        }
    }
    if (i == parser->rest.len || (parser->rest.ptr[i] != ')' && parser->rest.ptr[i] != ':')) {
        return false;
    }
    skip(parser, i);
    return true;
}

/* A name up to its end. */
static void skip_name(struct parser *parser, char end)
{
    while (parser->rest.len > 0 && parser->rest.ptr[0] != end) {
        skip(parser, 1);
    }
    skip(parser, 1);
}

static void parse_inside(struct parser *parser, struct fragment *ret_fragment)
{
    bool ignores_case = parser->ignores_case;
    bool is_multiline = parser->is_multiline;

    parse_alternatives(parser, ret_fragment);
    skip(parser, 1);
    parser->ignores_case = ignores_case;
    parser->is_multiline = is_multiline;
}

/* (?i:…) is a group with flags of its own; (?i) changes them for what follows. */
static void parse_flagged(struct parser *parser, struct fragment *ret_fragment)
{
    bool ignores_case = parser->ignores_case;
    bool is_multiline = parser->is_multiline;

    fragment_void(ret_fragment);
    if (!parse_flags(parser)) {
        give_up(parser, "it has a group of a kind that isn't looked into");
    } else if (accept(parser, ":")) {
        parse_inside(parser, ret_fragment);
        parser->ignores_case = ignores_case;
        parser->is_multiline = is_multiline;
    } else {
        skip(parser, 1);
    }
}

/* From behind its (. What looks around takes no text: it only has states of its own. */
static void parse_group(struct parser *parser, struct fragment *ret_fragment)
{
    static const char *const looks[] = {"?=", "?!", "?<=", "?<!"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(looks); i++) {
        if (accept(parser, looks[i])) {
            parse_inside(parser, ret_fragment);
            fragment_void(ret_fragment);
            return;
        }
    }
    if (accept(parser, "?#")) {
        skip_name(parser, ')');
        fragment_void(ret_fragment);
    } else if (accept(parser, "?<") || accept(parser, "?P<")) {
        skip_name(parser, '>');
        parse_inside(parser, ret_fragment);
    } else if (accept(parser, "?'")) {
        skip_name(parser, '\'');
        parse_inside(parser, ret_fragment);
    } else if (accept(parser, "?:") || accept(parser, "?>") || accept(parser, "?|")) {
        parse_inside(parser, ret_fragment);
    } else if (accept(parser, "?")) {
        parse_flagged(parser, ret_fragment);
    } else if (next_is(parser, "*")) {
        fragment_void(ret_fragment);
        give_up(parser, "it has a verb, (*…)");
    } else {
        parse_inside(parser, ret_fragment);
    }
}

/* \Q…\E, from behind the Q. */
static void parse_quoted(struct parser *parser, struct fragment *ret_fragment)
{
    fragment_void(ret_fragment);
    while (parser->rest.len > 0 && !next_is(parser, "\\E")) {
        const char *at = parser->rest.ptr;
        struct regex_class class = {{0, 0, 0}};
        struct fragment one;

        regex_class_add(&class, regex_read_char(&parser->rest), parser->ignores_case);
        fragment_of_class(parser, &class, at, &one);
        fragment_append(parser->regex, ret_fragment, &one);
    }
    skip(parser, 2);
}

static void parse_property(struct parser *parser, struct regex_class *class)
{
    const struct regex_class nothing = {{0, 0, 0}};

    regex_class_add_all_but(class, &nothing);
    if (accept(parser, "{")) {
        skip_name(parser, '}');
    } else {
        skip(parser, 1);
    }
}

/* From behind its backslash. */
static void parse_escape(struct parser *parser, const char *at, struct fragment *ret_fragment)
{
    struct regex_class class = {{0, 0, 0}};
    char c = parser->rest.len > 0 ? parser->rest.ptr[0] : '\\';

    fragment_void(ret_fragment);
    if (c != '\0' && strchr("AbBGKEzZ", c) != NULL) {
        ret_fragment->begins_anchored = c == 'A';
        ret_fragment->ends_anchored = c == 'z' || c == 'Z';
        skip(parser, 1);
    } else if (c == 'Q') {
        skip(parser, 1);
        parse_quoted(parser, ret_fragment);
    } else if ((c >= '1' && c <= '9') || c == 'g' || c == 'k') {
        give_up(parser, "it refers back to what a group has matched");
    } else {
        if (c == 'p' || c == 'P' || c == 'R' || c == 'X') {
            skip(parser, c == 'R' || c == 'X' ? 0 : 1);
            parse_property(parser, &class);
        } else if (regex_class_add_letter(&class, c)) {
            skip(parser, 1);
        } else {
            regex_class_add(&class, regex_read_escaped(&parser->rest), parser->ignores_case);
        }
        fragment_of_class(parser, &class, at, ret_fragment);
    }
}

static void parse_plain(struct parser *parser, struct fragment *ret_fragment)
{
    const char *at = parser->rest.ptr;
    struct regex_class class = {{0, 0, 0}};

    if (accept(parser, "[")) {
        parser->rest = regex_class_read(parser->rest, parser->ignores_case, &class);
    } else if (accept(parser, ".")) {
        (void)regex_class_add_letter(&class, 'N');
    } else {
        regex_class_add(&class, regex_read_char(&parser->rest), parser->ignores_case);
    }
    fragment_of_class(parser, &class, at, ret_fragment);
}

static void parse_atom(struct parser *parser, struct fragment *ret_fragment)
{
    const char *at = parser->rest.ptr;

    fragment_void(ret_fragment);
    if (parser->depth == DEPTH_MAX) {
        give_up(parser, "it is nested too deeply");
        return;
    }
    parser->depth++;
    if (accept(parser, "(")) {
        parse_group(parser, ret_fragment);
    } else if (accept(parser, "\\")) {
        parse_escape(parser, at, ret_fragment);
    } else if (accept(parser, "^")) {
        ret_fragment->begins_anchored = !parser->is_multiline;
    } else if (accept(parser, "$")) {
        ret_fragment->ends_anchored = !parser->is_multiline;
    } else {
        parse_plain(parser, ret_fragment);
    }
    parser->depth--;
}

/* --- repetition --- */

static bool parse_number(struct str *text, uint32_t *ret_number)
{
    uint32_t number = 0;
    size_t digits = 0;

    while (text->len > 0 && text->ptr[0] >= '0' && text->ptr[0] <= '9') {
        number = number * 10 + (uint32_t)(text->ptr[0] - '0');
        number = number < NUMBER_MAX ? number : NUMBER_MAX;
        text->ptr++;
        text->len--;
        digits++;
    }
    *ret_number = number;
    return digits > 0;
}

/* {m}, {m,} or {m,n}; else the brace stands for itself. */
static bool parse_braces(struct parser *parser, struct repeat *ret_repeat)
{
    struct str text = {.ptr = parser->rest.ptr + 1, .len = parser->rest.len - 1};
    struct repeat repeat;

    if (!parse_number(&text, &repeat.min)) {
        return false;
    }
    repeat.max = repeat.min;
    if (text.len > 0 && text.ptr[0] == ',') {
        text.ptr++;
        text.len--;
        if (!parse_number(&text, &repeat.max)) {
            repeat.max = ENDLESS;
        }
    }
    if (text.len == 0 || text.ptr[0] != '}') {
        return false;
    }
    skip(parser, (size_t)(text.ptr + 1 - parser->rest.ptr));
    *ret_repeat = repeat;
    return true;
}

static bool parse_repeat(struct parser *parser, struct repeat *ret_repeat)
{
    if (accept(parser, "*")) {
        *ret_repeat = (struct repeat){.min = 0, .max = ENDLESS};
    } else if (accept(parser, "+")) {
        *ret_repeat = (struct repeat){.min = 1, .max = ENDLESS};
    } else if (accept(parser, "?")) {
        *ret_repeat = (struct repeat){.min = 0, .max = 1};
    } else if (!next_is(parser, "{") || !parse_braces(parser, ret_repeat)) {
        return false;
    }
    if (!accept(parser, "?")) {
        (void)accept(parser, "+");
    }
    return true;
}

/* x, then what `count` more of them may be, each only behind the one before. */
static void parse_optional(struct parser *parser, struct str atom, uint32_t count,
                           struct fragment *ret_fragment)
{
    struct fragment rest;

    fragment_void(ret_fragment);
    if (count == 0 || parser->regex->unknown != NULL) {
        return;
    }
    parser->rest = atom;
    parse_atom(parser, ret_fragment);
    parse_optional(parser, atom, count - 1, &rest);
    fragment_append(parser->regex, ret_fragment, &rest);
    fragment_optional(ret_fragment);
}

/* `fragment` is the atom read once, `atom` its text. */
static void repeat_fragment(struct parser *parser, struct str atom, struct repeat repeat,
                            struct fragment *fragment)
{
    struct str behind = parser->rest;
    bool is_endless = repeat.max == ENDLESS || repeat.max - repeat.min > OPTIONAL_MAX;
    uint32_t copies = repeat.min > 0 ? repeat.min : 1;
    struct fragment sum = *fragment;
    struct fragment one = *fragment;
    uint32_t i;

    for (i = 1; i < copies && parser->regex->unknown == NULL; i++) {
        parser->rest = atom;
        parse_atom(parser, &one);
        fragment_append(parser->regex, &sum, &one);
    }
    if (is_endless) {
        connect(parser->regex, one.last, one.first);
    } else if (repeat.max > copies) {
        parse_optional(parser, atom, repeat.max - copies, &one);
        fragment_append(parser->regex, &sum, &one);
    }
    if (repeat.max == 0) {
        fragment_void(&sum);
    } else if (repeat.min == 0) {
        fragment_optional(&sum);
    }
    *fragment = sum;
    parser->rest = parser->regex->unknown == NULL ? behind : parser->rest;
}

static void parse_sequence(struct parser *parser, struct fragment *ret_fragment)
{
    fragment_void(ret_fragment);
    while (parser->rest.len > 0 && !next_is(parser, "|") && !next_is(parser, ")")) {
        struct str atom = parser->rest;
        struct repeat repeat;
        struct fragment one;

        parse_atom(parser, &one);
        if (parse_repeat(parser, &repeat)) {
            repeat_fragment(parser, atom, repeat, &one);
        }
        fragment_append(parser->regex, ret_fragment, &one);
    }
}

static void parse_alternatives(struct parser *parser, struct fragment *ret_fragment)
{
    struct fragment other;

    parse_sequence(parser, ret_fragment);
    while (accept(parser, "|")) {
        parse_sequence(parser, &other);
        fragment_or(parser->regex, ret_fragment, &other);
    }
}

void regex_parse(struct str pattern, struct regex *regex)
{
    struct parser parser = {.regex = regex, .start = pattern.ptr, .rest = pattern};
    struct fragment whole;

    parse_alternatives(&parser, &whole);
    if (parser.rest.len > 0) {
        give_up(&parser, "it has a ) too many");
    }
    regex->begins_anchored = whole.begins_anchored;
    regex->ends_anchored = whole.ends_anchored;
}
