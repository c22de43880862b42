/* Tokens taken apart. Everything that is odd is refused before a key is looked for. */
#include "access/jwt.h"

#include "access/base64url.h"
#include "wire/json_bounds.h"

#include <string.h>

#define DEPTH_MAX 8U
#define VALUES_MAX 1024U

uint32_t access_jwt_algorithm(struct str name)
{
    static const struct {
        const char *name;
        enum access_jwt_algorithm bit;
    } table[] = {
        {"RS256", ACCESS_JWT_RS256}, {"RS384", ACCESS_JWT_RS384}, {"RS512", ACCESS_JWT_RS512},
        {"PS256", ACCESS_JWT_PS256}, {"PS384", ACCESS_JWT_PS384}, {"PS512", ACCESS_JWT_PS512},
        {"ES256", ACCESS_JWT_ES256}, {"ES384", ACCESS_JWT_ES384}, {"ES512", ACCESS_JWT_ES512},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(table); i++) {
        if (str_eq_c(name, table[i].name)) {
            return table[i].bit;
        }
    }
    return 0;
}

/* The JSON object in one part. The decoded bytes are public: a signature hides nothing. */
static int part_object(struct str part, const char *what, json_t **ret_object, struct err *e)
{
    unsigned char bytes[ACCESS_JWT_MAX_BYTES];
    json_error_t why = {.text = ""};
    struct str text = {.ptr = (const char *)bytes};
    json_t *object;

    if (base64url_decode(part, bytes, sizeof(bytes), &text.len) != 0 || text.len == 0) {
        return err_set(e, ERR_DENIED, "its %s isn't base64url", what);
    }
    if (!json_bounds_hold(text, DEPTH_MAX, VALUES_MAX)) {
        return err_set(e, ERR_DENIED, "its %s is nested too deep, or has too many members", what);
    }
    object = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &why);
    if (object == NULL && json_error_code(&why) == json_error_out_of_memory) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    if (!json_is_object(object)) {
        json_decref(object);
        return err_set(e, ERR_DENIED, "its %s is no JSON object, or names a member twice", what);
    }
    *ret_object = object;
    return 0;
}

static int header_check(struct access_jwt *jwt, struct err *e)
{
    static const char *const carried[] = {"jwk", "jku", "x5u", "x5c"};
    const json_t *algorithm = json_object_get(jwt->header, "alg");
    const json_t *kid = json_object_get(jwt->header, "kid");
    size_t i;

    jwt->algorithm = access_jwt_algorithm(str_of(json_string_value(algorithm)));
    jwt->kid = json_string_value(kid);
    if (jwt->algorithm == 0) {
        return err_set(e, ERR_DENIED,
                       "its algorithm is none that a public key verifies (RS, PS, ES)");
    }
    if (kid != NULL && jwt->kid == NULL) {
        return err_set(e, ERR_DENIED, "its kid is no text");
    }
    for (i = 0; i < ARRAY_LEN(carried); i++) {
        if (json_object_get(jwt->header, carried[i]) != NULL) {
            return err_set(e, ERR_DENIED, "it brings a key of its own (%s)", carried[i]);
        }
    }
    /* RFC 7515, 4.1.11: what it calls critical must be understood, and nothing is. */
    if (json_object_get(jwt->header, "crit") != NULL) {
        return err_set(e, ERR_DENIED, "it has a critical extension");
    }
    return 0;
}

/* A header is a JSON object, and '{"' begins so in base64url. */
bool access_jwt_is_one(struct str text)
{
    return str_starts_with(text, "eyJ") && memchr(text.ptr, '.', text.len) != NULL;
}

int access_jwt_parse(struct str text, struct access_jwt *ret_jwt, struct err *e)
{
    struct access_jwt jwt = {0};
    struct str rest = text;
    struct str header;
    struct str payload;
    int r;

    if (text.len > ACCESS_JWT_MAX_BYTES) {
        return err_set(e, ERR_DENIED, "it is longer than %u bytes", ACCESS_JWT_MAX_BYTES);
    }
    header = str_cut(&rest, '.');
    payload = str_cut(&rest, '.');
    jwt.signature = rest;
    jwt.signed_part = (struct str){.ptr = text.ptr, .len = text.len - rest.len - 1};
    if (rest.ptr == NULL || memchr(rest.ptr, '.', rest.len) != NULL) {
        return err_set(e, ERR_DENIED, "it isn't of three parts: header.payload.signature");
    }
    r = part_object(header, "header", &jwt.header, e);
    if (r == 0) {
        r = header_check(&jwt, e);
    }
    if (r == 0 && jwt.signature.len == 0) {
        r = err_set(e, ERR_DENIED, "it isn't signed");
    }
    if (r == 0) {
        r = part_object(payload, "payload", &jwt.claims, e);
    }
    if (r != 0) {
        access_jwt_fini(&jwt);
        return r;
    }
    *ret_jwt = jwt;
    return 0;
}

void access_jwt_fini(struct access_jwt *jwt)
{
    json_decref(jwt->header);
    json_decref(jwt->claims);
    *jwt = (struct access_jwt){0};
}
