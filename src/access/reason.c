/* Reasons against a regular expression, with PCRE2.
 *
 * The pattern is the operator's, the text the caller's: some patterns take exponential time on some
 * texts, so steps and memory have limits. The just-in-time compiler is not used, because it needs
 * memory that is writable and executable. */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "access/reason.h"

#include "base/mem.h"

#include <pcre2.h>
#include <stdint.h>

/* About a millisecond. */
#define REASON_STEPS_MAX 20000U
#define REASON_MEMORY_MAX_KIB 256U
#define REASON_PATTERN_MAX_BYTES 1024U

struct access_reason {
    char *pattern;
    pcre2_general_context *memory;
    pcre2_code *code;
    pcre2_match_data *match; /* scratch of one match */
    pcre2_match_context *limits;
};

static void *reason_alloc(size_t size, void *user)
{
    (void)user;
    return mem_alloc(size);
}

static void reason_release(void *block, void *user)
{
    (void)user;
    mem_free(block);
}

static int reason_compile(struct access_reason *reason, struct err *e)
{
    const uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
                             PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE;
    pcre2_compile_context *context = pcre2_compile_context_create(reason->memory);
    PCRE2_UCHAR text[120] = {0};
    PCRE2_SIZE at = 0;
    int code = 0;

    if (context == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    (void)pcre2_set_max_pattern_length(context, REASON_PATTERN_MAX_BYTES);
    reason->code = pcre2_compile((PCRE2_SPTR)reason->pattern, PCRE2_ZERO_TERMINATED, options, &code,
                                 &at, context);
    pcre2_compile_context_free(context);
    if (reason->code != NULL) {
        return 0;
    }
    if (code == PCRE2_ERROR_HEAP_FAILED) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    (void)pcre2_get_error_message(code, text, sizeof(text));
    return err_set(e, ERR_INVALID, "%s, at character %zu", (const char *)text, at + 1);
}

int access_reason_new(const char *pattern, struct access_reason **ret_reason, struct err *e)
{
    struct access_reason *reason = mem_calloc(1, sizeof(*reason));
    int r = ERR_NOMEM;

    if (reason == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    reason->pattern = mem_strdup(pattern);
    reason->memory = pcre2_general_context_create(reason_alloc, reason_release, NULL);
    if (reason->pattern == NULL || reason->memory == NULL) {
        (void)err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
        goto out;
    }
    r = reason_compile(reason, e);
    if (r != 0) {
        goto out;
    }
    reason->match = pcre2_match_data_create(1, reason->memory);
    reason->limits = pcre2_match_context_create(reason->memory);
    if (reason->match == NULL || reason->limits == NULL) {
        r = err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
        goto out;
    }
    (void)pcre2_set_match_limit(reason->limits, REASON_STEPS_MAX);
    (void)pcre2_set_heap_limit(reason->limits, REASON_MEMORY_MAX_KIB);
    /* The first match allocates its working memory; here rather than in a decision. */
    (void)access_reason_matches(reason, STR("x"));
    *ret_reason = reason;
    reason = NULL;
    r = 0;
out:
    access_reason_free(reason);
    return r;
}

void access_reason_free(struct access_reason *reason)
{
    if (reason != NULL) {
        pcre2_match_context_free(reason->limits);
        pcre2_match_data_free(reason->match);
        pcre2_code_free(reason->code);
        pcre2_general_context_free(reason->memory);
        mem_free(reason->pattern);
        mem_free(reason);
    }
}

const char *access_reason_pattern(const struct access_reason *reason)
{
    return reason->pattern;
}

bool access_reason_matches(const struct access_reason *reason, struct str text)
{
    return pcre2_match(reason->code, (PCRE2_SPTR)(text.ptr != NULL ? text.ptr : ""), text.len, 0, 0,
                       reason->match, reason->limits) >= 0;
}
