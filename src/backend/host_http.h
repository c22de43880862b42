/* One exchange of a plugin with the issuer, between host_http.c (how it is sent) and host_reply.c
 * (what became of it). It may take several tries, at an address each; together they have the time
 * of one. */
#ifndef LEASED_BACKEND_HOST_HTTP_H
#define LEASED_BACKEND_HOST_HTTP_H

#include "backend/host.h"
#include "base/buf.h"

#define HTTP_MAGIC 0x68687470U
#define HTTP_REDIRECTS_MAX 2U

struct host_http {
    uint32_t magic;
    struct leased_host_context *context;
    void *handle;
    struct env_http http;
    struct env_http_header headers[ENV_HTTP_HEADERS_MAX];
    size_t address_index; /* of the try under way */
    uint32_t tried;       /* a bit for each address */
    uint32_t redirect_count;
    uint64_t deadline_ms;
    bool is_pinned; /* a probe of this one address */
    bool is_canceled;
    bool is_movable; /* a redirect proves that it wasn't executed, though it creates something */
    char method[8];
    char *path;        /* owned */
    char *url;         /* owned */
    char *elsewhere;   /* owned; where it goes instead of to the backend's addresses, or NULL */
    char *unix_socket; /* owned, or NULL */
    struct buf bytes;  /* headers and body, one after the other */
    leased_http_fn fn;
    void *user;
};

/* Sends it to an address. 0: http_done will run. */
int http_try(struct host_http *exchange, size_t address, struct err *e) ATTR_MUST_USE;

void http_done(struct env_http *http, int status, const struct env_http_reply *reply,
               const char *detail);

void http_free(struct host_http *exchange);

#endif
