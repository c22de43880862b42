/* An instance, its operations, and how they ask the API server. */
#ifndef KUBERNETES_SERVER_H
#define KUBERNETES_SERVER_H

#include "config.h"
#include "params.h"
#include "common/work.h"

#define KUBERNETES_REF_MAX_BYTES 512

struct leased_instance {
    struct plugin_works works;
    struct kubernetes_config config;
};

struct kubernetes_work;

typedef void (*kubernetes_heard_fn)(struct kubernetes_work *work,
                                    const struct leased_http_reply *reply);

struct kubernetes_work {
    struct plugin_work work; /* first */
    struct leased_instance *kubernetes;
    struct kubernetes_params params;
    uint64_t ttl_ms;
    json_t *annotations; /* owned: who asked, for the Secret that is made; NULL: none is */
    /* The Secret that is made, "NAMESPACE/secrets/NAME", and, once it may exist, what the work's
     * end names to be revoked. */
    char ref[KUBERNETES_REF_MAX_BYTES];
    bool is_left;
    kubernetes_heard_fn heard;
};

struct kubernetes_request {
    const char *method;
    const char *path;
    const json_t *body; /* NULL: none */
    kubernetes_heard_fn heard;
    bool is_creating;
};

/* A work of this instance; NULL when out of memory. */
struct kubernetes_work *kubernetes_work_new(struct leased_instance *kubernetes, leased_op *op);

/* Sends it; `heard` has the answer, whatever it says; what has none ends the work. 0, or a LEASED_*
 * status with the reason: it couldn't be sent. */
int32_t kubernetes_send(struct kubernetes_work *work, const struct kubernetes_request *request,
                        struct plugin_text *ret_detail);

/* The same; what can't be sent ends the work. Never inside a start function. */
void kubernetes_ask(struct kubernetes_work *work, const struct kubernetes_request *request);

/* Ends the work; what is left at the API server is named. retry_after_ms counts with
 * LEASED_RETRY_AFTER. */
void kubernetes_fail(struct kubernetes_work *work, int32_t status, uint64_t retry_after_ms,
                     const char *detail);

/* The same by an answer that isn't what was asked for (explain.c). `creates`: the request may have
 * been executed all the same. */
void kubernetes_explain(struct kubernetes_work *work, const struct leased_http_reply *reply,
                        bool creates);

/* Is it the API server's own word (a Status object), not that of something in between? */
bool kubernetes_is_word(const struct leased_http_reply *reply);

#endif
