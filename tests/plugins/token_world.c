#include "plugins/token_world.h"

#include "base/mem.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define FAILURES_MAX 5000U

void token_set_secret(struct plugin_world *world, const char *source, const char *value)
{
    for (size_t i = 0; i < world->fake.secret_count; i++) {
        if (strcmp(world->fake.secrets[i].source, source) == 0) {
            world->fake.secrets[i].value = value;
            world->fake.secrets[i].source = value != NULL ? source : "file:/gone";
            return;
        }
    }
    fake_env_add_secret(&world->fake, source, value);
}

/* --- what was sent ---------------------------------------------------------------------------- */

const char *token_form_field(struct plugin_world *world, const char *name)
{
    static char value[16384];

    (void)token_form_value(str_of(plugin_world_body(world)), name, value, sizeof(value));
    return value;
}

void token_verify(const char *jwt, const char *alg, const struct token_pair *pair,
                  json_t **ret_header, json_t **ret_claims)
{
    assert_int_equal(token_open(jwt, alg, pair, ret_header, ret_claims), 0);
}

static void to_url(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (char)(*text == '+' ? '-' : *text == '/' ? '_' : *text == '=' ? '\0' : *text);
    }
}

const char *token_jwt(int64_t exp_s)
{
    static char jwt[256];
    char claims[64];
    char encoded[128];

    (void)snprintf(claims, sizeof(claims), "{\"exp\":%lld}", (long long)exp_s);
    (void)EVP_EncodeBlock((unsigned char *)encoded, (unsigned char *)claims, (int)strlen(claims));
    to_url(encoded);
    (void)snprintf(jwt, sizeof(jwt), "e30.%s.c2ln", encoded);
    return jwt;
}

/* --- allocations that fail -------------------------------------------------------------------- */

static size_t failing; /* the how manieth */
static size_t counted;
static bool is_counting;

static int fail_one(size_t size)
{
    (void)size;
    if (!is_counting) {
        return 0;
    }
    counted++;
    return counted == failing;
}

void token_fail_begin(void)
{
    is_counting = true;
}

void token_fail_end(void)
{
    is_counting = false;
}

void token_fail_each(void (*live)(void))
{
    /* jansson 2.14 reads past the end of a text whose buffer couldn't grow: its memory is there. */
    mem_set_fail_hook(fail_one);
    for (failing = 1; failing < FAILURES_MAX; failing++) {
        size_t before = mem_in_use_bytes();

        counted = 0;
        live();
        is_counting = false;
        assert_int_equal(mem_in_use_bytes(), before);
        if (counted < failing) {
            break;
        }
    }
    mem_set_fail_hook(NULL);
    assert_true(failing > 10 && failing < FAILURES_MAX);
}
