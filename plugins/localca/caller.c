/* Templates put what the caller is called, and what he wrote as his reason, into a role's texts. A
 * value that brings a separator along would reach further than the role's author meant. Where a
 * value ends can't be seen afterwards, so a text that holds a dangerous value anywhere is refused.
 */
#include "params.h"

#include <string.h>

#define VALUE_MAX_BYTES 1024

/* Of which characters may a value be made that stands in such a text? */
#define IN_DNS "-"
#define IN_URI "-._~@:+"
#define IN_COMMAND "-._@:+=/"

static bool is_harmless(struct leased_str value, const char *more)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!is_alnum && (c == '\0' || strchr(more, c) == NULL)) {
            return false;
        }
    }
    return true;
}

/* As the host writes a reason into a text: what separates is a blank. */
static struct leased_str as_filled(struct leased_str value, char out[VALUE_MAX_BYTES])
{
    size_t len = value.len < VALUE_MAX_BYTES ? value.len : VALUE_MAX_BYTES;

    for (size_t i = 0; i < len; i++) {
        char c = value.ptr[i];

        out[i] = (unsigned char)c < 0x20 || c == 0x7f || c == ',' ? ' ' : c;
    }
    return (struct leased_str){out, len};
}

static bool holds(struct leased_str text, struct leased_str value)
{
    return value.len > 0 && text.len >= value.len &&
           memmem(text.ptr, text.len, value.ptr, value.len) != NULL;
}

static int check_text(const char *key, struct leased_str text, const char *more,
                      const struct leased_kv *said, struct plugin_text *detail)
{
    char filled[VALUE_MAX_BYTES];
    struct leased_str value = as_filled(said->value, filled);

    if (is_harmless(value, more) || !holds(text, value)) {
        return 0;
    }
    plugin_text_set(detail,
                    "%s: the caller's %.*s stands in it, and holds more than letters, digits and "
                    "%s",
                    key, (int)said->key.len, said->key.ptr, more);
    return -1;
}

int localca_params_check_caller(const struct localca_params *params,
                                const struct leased_issue *request, struct plugin_text *detail)
{
    for (size_t i = 0; i < request->caller_count; i++) {
        const struct leased_kv *said = &request->caller[i];
        bool is_free_text = plugin_str_eq(said->key, "reason");
        bool is_named = plugin_str_eq(said->key, "user") || plugin_str_eq(said->key, "unit");

        if ((is_free_text || is_named) &&
            check_text("critical_options.force-command", params->force_command, IN_COMMAND, said,
                       detail) != 0) {
            return -1;
        }
        for (size_t n = 0; is_free_text && n < params->name_count; n++) {
            const struct localca_name *name = &params->names[n];

            if (name->kind == LOCALCA_DNS &&
                check_text("dns", name->text, IN_DNS, said, detail) != 0) {
                return -1;
            }
            if (name->kind == LOCALCA_URI &&
                check_text("uri", name->text, IN_URI, said, detail) != 0) {
                return -1;
            }
        }
    }
    return 0;
}
