/* What a subject asks of the caller's token. */
#include "access/subject.h"

#include "access/policy_config.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_TEXT_BYTES 24
#define POINTER_DEPTH_MAX 8

/* --- compiling --- */

/* The text that a scalar is compared as; NULL: it is none. */
static const char *scalar_text(const json_t *value, char number[NUMBER_TEXT_BYTES])
{
    if (json_is_integer(value)) {
        (void)snprintf(number, NUMBER_TEXT_BYTES, "%" JSON_INTEGER_FORMAT,
                       json_integer_value(value));
        return number;
    }
    if (json_is_boolean(value)) {
        return json_is_true(value) ? "true" : "false";
    }
    return json_string_value(value);
}

static size_t value_count(const json_t *value)
{
    return json_is_array(value) ? json_array_size(value) : 1;
}

static const json_t *value_at(const json_t *value, size_t index)
{
    return json_is_array(value) ? json_array_get(value, index) : value;
}

/* ERR_INVALID: it is neither a scalar nor a list of scalars, or empty. */
static int claim_compile(const char *name, const json_t *value, struct access_claim_rule *claim)
{
    char number[NUMBER_TEXT_BYTES];
    size_t i;

    claim->name = mem_strdup(name);
    claim->patterns = mem_calloc(value_count(value) + 1, sizeof(*claim->patterns));
    if (claim->name == NULL || claim->patterns == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < value_count(value); i++) {
        const char *text = scalar_text(value_at(value, i), number);

        if (text == NULL || text[0] == '\0') {
            return ERR_INVALID;
        }
        if (access_pattern_copy(text, &claim->patterns[i]) != 0) {
            return ERR_NOMEM;
        }
        claim->pattern_count++;
    }
    return claim->pattern_count > 0 ? 0 : ERR_INVALID;
}

static int claims_compile(json_t *claims, const struct yaml_node *node,
                          struct access_token_rule *rule, struct yaml_errors *errors)
{
    const char *name;
    json_t *value;

    rule->claims = mem_calloc(json_object_size(claims) + 1, sizeof(*rule->claims));
    if (rule->claims == NULL) {
        return ERR_NOMEM;
    }
    json_object_foreach (claims, name, value) {
        int r = claim_compile(name, value, &rule->claims[rule->claim_count++]);

        if (r == ERR_NOMEM) {
            return r;
        }
        if (r != 0) {
            yaml_error_at(errors, yaml_get(node, name),
                          "expected a text, a number, a boolean or a list of these");
        }
    }
    return 0;
}

/* No caller will ever show a token of an issuer that isn't configured. */
static void issuer_check(const struct access_jwt_config *config, const struct access_parser *parser)
{
    const struct yaml_node *node = yaml_get(config->node, "issuer");
    const char *close;
    size_t i;

    for (i = 0; config->issuer != NULL && parser->issuers[i] != NULL; i++) {
        if (str_glob(str_of(config->issuer), str_of(parser->issuers[i]))) {
            return;
        }
    }
    if (config->issuer == NULL) {
        return; /* reported already */
    }
    close = schema_suggest(str_of(config->issuer), parser->issuers);
    if (close != NULL) {
        yaml_error_at(parser->unknown, node, "there is no issuer `%s`: did you mean `%s`?",
                      config->issuer, close);
    } else {
        yaml_error_at(parser->unknown, node, "there is no issuer `%s`", config->issuer);
    }
}

int access_token_compile(const struct access_jwt_config *config, struct access_token_rule *ret_rule,
                         const struct access_parser *parser)
{
    const struct yaml_node *node = yaml_get(config->node, "claims");
    json_t *claims = NULL;
    int r;

    ret_rule->is_set = true;
    issuer_check(config, parser);
    r = access_pattern_copy(config->issuer, &ret_rule->issuer);
    if (r != 0 || config->claims_json == NULL) {
        return r;
    }
    claims = json_loads(config->claims_json, 0, NULL);
    if (!json_is_object(claims)) {
        yaml_error_at(parser->errors, node, "expected a mapping from claims to what they must be");
    } else if (json_object_size(claims) > ACCESS_SUBJECT_CLAIMS_MAX) {
        yaml_error_at(parser->errors, node, "at most %d claims are possible",
                      ACCESS_SUBJECT_CLAIMS_MAX);
    } else {
        r = claims_compile(claims, node, ret_rule, parser->errors);
    }
    json_decref(claims);
    return r;
}

static void claim_fini(struct access_claim_rule *claim)
{
    size_t i;

    /* One that was refused may have more than it counts: each is NULL then. */
    for (i = 0; i < claim->pattern_count; i++) {
        mem_free(claim->patterns[i].text);
    }
    mem_free(claim->patterns);
    mem_free(claim->name);
}

void access_token_fini(struct access_token_rule *rule)
{
    size_t i;

    for (i = 0; i < rule->claim_count; i++) {
        claim_fini(&rule->claims[i]);
    }
    mem_free(rule->claims);
    mem_free(rule->issuer.text);
    *rule = (struct access_token_rule){0};
}

/* --- matching --- */

/* A claim by its name; by the way to it (RFC 6901, without its escapes) where the name begins with
 * "/". */
static const json_t *claim_find(const json_t *claims, const char *name)
{
    struct str rest = str_of(name);
    size_t depth;

    if (name[0] != '/') {
        return json_object_get(claims, name);
    }
    (void)str_cut(&rest, '/');
    for (depth = 0; rest.ptr != NULL && depth < POINTER_DEPTH_MAX; depth++) {
        struct str part = str_cut(&rest, '/');

        claims = json_object_getn(claims, part.ptr, part.len);
    }
    return claims;
}

void access_claim_each(const struct access_claims *claims, const char *name,
                       void (*fn)(void *user, const char *name, struct str value), void *user)
{
    const json_t *value = claim_find(claims->all, name);
    char number[NUMBER_TEXT_BYTES];
    size_t i;

    for (i = 0; value != NULL && i < value_count(value); i++) {
        const char *text = scalar_text(value_at(value, i), number);

        if (text != NULL) {
            fn(user, name, str_of(text));
        }
    }
}

static bool value_fits(const struct access_claim_rule *rule, const json_t *value)
{
    char number[NUMBER_TEXT_BYTES];
    const char *text = scalar_text(value, number);
    size_t i;

    for (i = 0; text != NULL && i < rule->pattern_count; i++) {
        if (access_pattern_fits(&rule->patterns[i], str_of(text))) {
            return true;
        }
    }
    return false;
}

/* Of a claim that is a list, one member is enough. */
static bool claim_fits(const struct access_claim_rule *rule, const json_t *claims)
{
    const json_t *value = claim_find(claims, rule->name);
    size_t i;

    for (i = 0; value != NULL && i < value_count(value); i++) {
        if (value_fits(rule, value_at(value, i))) {
            return true;
        }
    }
    return false;
}

const char *access_token_mismatch(const struct access_token_rule *rule,
                                  const struct access_claims *claims)
{
    size_t i;

    if (!rule->is_set) {
        return NULL;
    }
    if (claims == NULL) {
        return "none";
    }
    if (!access_pattern_fits(&rule->issuer, str_of(claims->issuer))) {
        return "issuer";
    }
    for (i = 0; i < rule->claim_count; i++) {
        if (!claim_fits(&rule->claims[i], claims->all)) {
            return rule->claims[i].name;
        }
    }
    return NULL;
}
