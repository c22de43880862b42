/* What all implementations of the HTTP exchange share. */
#include "env/http.h"

struct str env_http_reply_header(const struct env_http_reply *reply, const char *name)
{
    size_t i;

    for (i = 0; i < reply->header_count; i++) {
        if (str_eq_c(reply->headers[i].name, name)) {
            return reply->headers[i].value;
        }
    }
    return (struct str){.ptr = NULL, .len = 0};
}
