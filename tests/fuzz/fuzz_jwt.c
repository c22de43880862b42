/* Job tokens and key sets: whatever the bytes are, reading ends, and nothing of a token that isn't
 * signed by a key of the set counts. */
#include "access/jwt.h"
#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A line with a token, then a key set. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str rest = {.ptr = (const char *)bytes, .len = size};
    struct str token = str_cut(&rest, '\n');
    struct access_jwks *jwks = NULL;
    struct access_jwt jwt;
    struct err e = {.code = 0};
    bool has_jwt = access_jwt_parse(token, &jwt, &e) == 0;

    CHECK(has_jwt || e.code == ERR_DENIED);
    if (access_jwks_parse(rest.ptr != NULL ? rest : STR(""), &jwks, &e) == 0) {
        CHECK(access_jwks_count(jwks) > 0 && access_jwks_count(jwks) <= ACCESS_JWKS_KEYS_MAX);
    }
    if (has_jwt) {
        CHECK(json_is_object(jwt.header) && json_is_object(jwt.claims) && jwt.algorithm != 0);
        if (jwks != NULL) {
            int r = access_jwks_verify(jwks, &jwt, &e);

            CHECK(r == 0 || r == ERR_DENIED || r == ERR_NOT_FOUND);
        }
        access_jwt_fini(&jwt);
    }
    access_jwks_free(jwks);
    return 0;
}
