/* What all implementations of the server share. */
#include "env/server.h"

#include <strings.h>

struct str env_request_header(const struct env_request *request, const char *name)
{
    struct str wanted = str_of(name);
    size_t i;

    for (i = 0; i < request->header_count; i++) {
        struct str have = request->headers[i].name;

        if (have.len == wanted.len && strncasecmp(have.ptr, wanted.ptr, have.len) == 0) {
            return request->headers[i].value;
        }
    }
    return (struct str){.ptr = NULL, .len = 0};
}
