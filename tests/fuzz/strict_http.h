/* Requests as RFC 9112 has them and no other way: the opinion that the server's is held against. */
#ifndef LEASED_TESTS_FUZZ_STRICT_HTTP_H
#define LEASED_TESTS_FUZZ_STRICT_HTTP_H

#include "base/str.h"

#include <stddef.h>

#define STRICT_HEADERS_MAX 64

struct strict_request {
    struct str method;
    struct str path;
    struct str query;
    struct str names[STRICT_HEADERS_MAX];
    struct str values[STRICT_HEADERS_MAX];
    size_t header_count;
    struct str body;
};

/* Cuts the next whole request off `rest`. False when what stands there is none (yet): then nothing
 * behind it is one either. */
bool strict_http_next(struct str *rest, struct strict_request *ret_request);

#endif
