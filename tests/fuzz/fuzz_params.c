/* Parameters of a request, in a query string or a JSON body: what is accepted lies within the
 * limits that the handlers rely on, and every refusal says why in one printable line. The first
 * byte chooses the form and what is allowed. */
#include "base/mem.h"
#include "fuzz/input.h"
#include "serve/params.h"

#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_text(const char *text, size_t size)
{
    size_t i;

    CHECK(strnlen(text, size) < size);
    for (i = 0; text[i] != '\0'; i++) {
        CHECK((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
    }
}

static void check_bindings(const struct serve_params *params)
{
    char text[ACCESS_BINDING_TEXT_MAX_BYTES];
    struct access_binding_spec again;
    size_t i;

    CHECK(params->binding_count <= ACCESS_BINDINGS_MAX);
    for (i = 0; i < params->binding_count; i++) {
        (void)access_binding_format(&params->bindings[i], text);
        CHECK(access_binding_parse(str_of(text), &again) == 0);
        CHECK(again.kind == params->bindings[i].kind);
    }
}

/* What is kept of it reads as the same again. */
static void check_match(const struct access_match *match)
{
    json_t *json = json_loads(access_match_text(match), JSON_REJECT_DUPLICATES, NULL);
    struct access_match *again = NULL;

    CHECK(access_match_new(json, &again, NULL) == 0);
    CHECK(strcmp(access_match_text(again), access_match_text(match)) == 0);
    access_match_free(again);
    json_decref(json);
}

static void check_params(const struct serve_params *params)
{
    check_text(params->role, sizeof(params->role));
    check_text(params->reason, sizeof(params->reason));
    check_text(params->ticket, sizeof(params->ticket));
    check_text(params->cursor, sizeof(params->cursor));
    CHECK(params->wait_ms <= PARAMS_WAIT_MAX_MS);
    CHECK(params->limit >= 1 && params->limit <= PARAMS_LIST_MAX);
    check_bindings(params);
    if (params->match != NULL) {
        check_match(params->match);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    uint8_t choice = input_u8(&input);
    uint32_t allowed = (choice & 2) != 0 ? UINT32_MAX : (uint32_t)choice << 1;
    size_t bytes_before = mem_in_use_bytes();
    struct serve_params params;
    struct err e = {0};
    int r;

    json_set_alloc_funcs(mem_alloc, mem_free);
    params_init(&params);
    if ((choice & 1) != 0) {
        r = params_parse_json(input_rest(&input), allowed, &params, &e);
    } else {
        r = params_parse_query(input_rest(&input), allowed, &params, &e);
    }
    CHECK(r == 0 || (r == ERR_INVALID && e.code == r && e.text[0] != '\0'));
    if (r == 0) {
        check_params(&params);
    }
    params_fini(&params);
    CHECK(mem_in_use_bytes() == bytes_before);
    return 0;
}
