/* Bindings: how they are written, and which of two lets a grant live longer. */
#include "access/rules.h"

#include "base/str.h"
#include "env/process.h"

#include <stdio.h>
#include <string.h>

/* How long a grant with this binding can live. `parent` counts as `process`. Ancestors (pid, comm)
 * may outlive even the unit, so only `none` surely outlives them. */
enum life {
    LIFE_CONNECTION,
    LIFE_PROCESS,
    LIFE_SESSION,
    LIFE_UNIT,
    LIFE_ANCESTOR,
    LIFE_NONE,
};

struct binding_word {
    const char *name;
    enum access_binding kind;
    enum life life;
};

static const struct binding_word words[] = {
    {"process", ACCESS_BINDING_PROCESS, LIFE_PROCESS},
    {"parent", ACCESS_BINDING_PARENT, LIFE_PROCESS},
    {"session", ACCESS_BINDING_SESSION, LIFE_SESSION},
    {"unit", ACCESS_BINDING_UNIT, LIFE_UNIT},
    {"connection", ACCESS_BINDING_CONNECTION, LIFE_CONNECTION},
    {"none", ACCESS_BINDING_NONE, LIFE_NONE},
    {"pid:", ACCESS_BINDING_PID, LIFE_ANCESTOR},
    {"comm:", ACCESS_BINDING_COMM, LIFE_ANCESTOR},
    {"file", ACCESS_BINDING_FILE, LIFE_NONE}, /* the last: nobody can ask for it */
};

static const struct binding_word *word_of(enum access_binding kind)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(words); i++) {
        if (words[i].kind == kind) {
            return &words[i];
        }
    }
    return NULL;
}

static int pid_parse(struct str text, struct access_binding_spec *ret_spec)
{
    uint64_t pid;

    if (str_parse_u64(text, &pid) != 0 || pid == 0 || pid > INT32_MAX) {
        return ERR_INVALID;
    }
    *ret_spec = (struct access_binding_spec){.kind = ACCESS_BINDING_PID, .pid = (int32_t)pid};
    return 0;
}

static int comm_parse(struct str text, struct access_binding_spec *ret_spec)
{
    struct access_binding_spec spec = {.kind = ACCESS_BINDING_COMM};
    size_t i;

    /* The kernel cuts names at 15 bytes: a longer one would never be found. */
    if (text.len == 0 || text.len >= ENV_PROCESS_NAME_MAX_BYTES) {
        return ERR_INVALID;
    }
    for (i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) {
            return ERR_INVALID;
        }
    }
    memcpy(spec.name, text.ptr, text.len);
    *ret_spec = spec;
    return 0;
}

int access_binding_parse(struct str text, struct access_binding_spec *ret_spec)
{
    struct str rest = text;
    size_t i;

    for (i = 0; i + 1 < ARRAY_LEN(words); i++) {
        if (str_eq_c(text, words[i].name) && words[i].life != LIFE_ANCESTOR) {
            *ret_spec = (struct access_binding_spec){.kind = words[i].kind};
            return 0;
        }
    }
    if (str_starts_with(text, "pid:")) {
        (void)str_cut(&rest, ':');
        return pid_parse(rest, ret_spec);
    }
    if (str_starts_with(text, "comm:")) {
        (void)str_cut(&rest, ':');
        return comm_parse(rest, ret_spec);
    }
    return ERR_INVALID;
}

const char *access_binding_format(const struct access_binding_spec *spec,
                                  char out[ACCESS_BINDING_TEXT_MAX_BYTES])
{
    const struct binding_word *word = word_of(spec->kind);

    out[0] = '\0';
    if (spec->kind == ACCESS_BINDING_PID) {
        (void)snprintf(out, ACCESS_BINDING_TEXT_MAX_BYTES, "pid:%d", spec->pid);
    } else if (word != NULL) {
        (void)snprintf(out, ACCESS_BINDING_TEXT_MAX_BYTES, "%s%s", word->name, spec->name);
    }
    return out;
}

bool access_bindings_are_equal(const struct access_binding_spec *a, size_t a_count,
                               const struct access_binding_spec *b, size_t b_count)
{
    char text_a[ACCESS_BINDING_TEXT_MAX_BYTES];
    char text_b[ACCESS_BINDING_TEXT_MAX_BYTES];
    size_t i;

    for (i = 0; i < a_count && i < b_count; i++) {
        if (strcmp(access_binding_format(&a[i], text_a), access_binding_format(&b[i], text_b)) !=
            0) {
            return false;
        }
    }
    return a_count == b_count;
}

bool access_binding_is_within(enum access_binding asked, enum access_binding role)
{
    const struct binding_word *a = word_of(asked);
    const struct binding_word *b = word_of(role);

    return a != NULL && b != NULL && a->life <= b->life;
}

int access_binding_rule_parse(struct str text, struct access_binding_spec *ret_spec)
{
    if (str_eq_c(text, "pid:*")) {
        *ret_spec = (struct access_binding_spec){.kind = ACCESS_BINDING_PID};
        return 0;
    }
    return access_binding_parse(text, ret_spec);
}

bool access_binding_is_listed(const struct access_binding_spec *listed,
                              const struct access_binding_spec *asked)
{
    if (listed->kind != asked->kind) {
        return false;
    }
    switch (asked->kind) {
    case ACCESS_BINDING_PID:
        return listed->pid == 0 || listed->pid == asked->pid;
    case ACCESS_BINDING_COMM:
        return str_glob(str_of(listed->name), str_of(asked->name));
    default:
        return true;
    }
}
