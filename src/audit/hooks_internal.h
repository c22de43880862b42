/* Between hooks.c and hook_send.c. */
#ifndef LEASED_AUDIT_HOOKS_INTERNAL_H
#define LEASED_AUDIT_HOOKS_INTERNAL_H

#include "audit/hooks.h"
#include "env/http.h"
#include "env/run.h"

#define HOOK_MAGIC 0x686f6f6bU
#define HOOK_ERROR_MAX_BYTES 200U
#define HOOK_SIGNATURE_MAX_BYTES 128U
#define HOOK_EVENT_MAX_BYTES 64U
#define HOOK_SHOWN_MAX_BYTES 160U

/* A record that waits. */
struct hook_event {
    struct list node;
    size_t size;
    char event[HOOK_EVENT_MAX_BYTES];
    char bytes[];
};

struct hook {
    uint32_t magic;
    struct hooks *hooks;
    struct list node;
    char *name;
    char shown[HOOK_SHOWN_MAX_BYTES]; /* what people are told that it is called */
    bool is_program;
    char *key_source;
    char *ca_file;
    char *events[HOOKS_EVENTS_MAX];
    size_t event_count;
    struct list queue; /* struct hook_event; the first is being sent */
    uint32_t queued_count;
    struct env_timer timer; /* the next try */
    uint32_t try_count;     /* of the first */
    bool is_sending;
    bool is_retired; /* it goes when nothing is under way */
    struct env_http http;
    struct env_http_tls tls;
    struct env_http_header headers[3];
    char signature[HOOK_SIGNATURE_MAX_BYTES];
    struct env_run run;
    char owner[HOOK_TEXT_MAX_BYTES]; /* of the program */
    uint64_t lost_count;
    char error[HOOK_ERROR_MAX_BYTES]; /* of the last try; "": it was well */
};

struct hooks {
    struct env *env;
    struct list hooks;   /* by their configuration */
    struct list retired; /* … gone, but for what is under way */
    uint64_t sent_count;
    uint64_t failed_count;
    uint64_t lost_count;
    struct env_deferred deferred; /* the end of closing */
    void (*closed)(void *user);
    void *closed_user;
};

/* Sends the first that waits, unless something is under way. */
void hook_send(struct hook *hook);

/* It is told, or isn't: what comes next. `why` NULL: told. The hook may be gone. */
void hook_sent(struct hook *hook, const char *why);

#endif
