/* Happy path: a look-up says that the issuer knows it → it is revoked → 204 (a lease, with sync) or
 * a second look-up (a token) says that it is gone.
 *
 * Failure paths: Vault answers 204 for leases that it never had, so without the first look-up a
 * wrong address or namespace would confirm everything. By accessor it says yes though a database
 * has refused to drop its role: a lease is revoked by its id before its token is. */
#include "cli/revocation.h"

#include "cli/clock.h"

#include <stdio.h>
#include <string.h>

#define LOOK_PAUSE_MS 300U
#define LOOKS_MAX 5U
#define PATH_MAX_BYTES 1100

struct revocation_target revocation_target_of(struct str reference)
{
    static const struct {
        const char *start;
        enum revocation_kind kind;
    } kinds[] = {
        {"#cert ", REVOCATION_CERTIFICATE},
        {"#child ", REVOCATION_CHILD},
        {"#login ", REVOCATION_LOGIN},
    };
    struct revocation_target target = {.kind = REVOCATION_LEASE, .name = reference};
    size_t i;

    for (i = 0; i < ARRAY_LEN(kinds); i++) {
        size_t len = strlen(kinds[i].start);

        if (reference.len > len && str_starts_with(reference, kinds[i].start)) {
            target.kind = kinds[i].kind;
            target.name = (struct str){.ptr = reference.ptr + len, .len = reference.len - len};
            return target;
        }
    }
    target.accessor = reference;
    target.name = str_cut(&target.accessor, '\n');
    if (target.name.len == 0 || target.name.ptr[0] == '#') {
        target.kind = REVOCATION_NONE;
    }
    return target;
}

void revocation_describe(const struct revocation_target *target, struct buf *out)
{
    struct str serial = target->name;
    struct str mount;

    switch (target->kind) {
    case REVOCATION_LEASE:
        buf_printf(out, "revoke %.*s", STR_ARG(target->name));
        break;
    case REVOCATION_CHILD:
        buf_printf(out, "end the child token %.*s with what it has", STR_ARG(target->name));
        break;
    case REVOCATION_LOGIN:
        buf_printf(out, "end the login %.*s with all that hangs on it", STR_ARG(target->name));
        break;
    case REVOCATION_CERTIFICATE:
        mount = str_cut(&serial, ' ');
        buf_printf(out, "revoke the certificate %.*s at %.*s", STR_ARG(serial), STR_ARG(mount));
        break;
    case REVOCATION_NONE:
    default:
        buf_add_c(out, "nothing: its issuer can't revoke it");
        break;
    }
}

/* --- asking ----------------------------------------------------------------------------------- */

/* What can be looked up and ended: a lease, or a token by its accessor. */
struct thing {
    const char *key;
    const char *look_up;
    const char *revoke;
    const char *unknown; /* what Vault says when there is none */
    bool is_sync;
};

static const struct thing lease_thing = {.key = "lease_id",
                                         .look_up = "sys/leases/lookup",
                                         .revoke = "sys/leases/revoke",
                                         .unknown = "invalid lease",
                                         .is_sync = true};
static const struct thing token_thing = {.key = "accessor",
                                         .look_up = "auth/token/lookup-accessor",
                                         .revoke = "auth/token/revoke-accessor",
                                         .unknown = "invalid accessor"};

static int ask(struct issuer *issuer, const char *path, json_t *body,
               struct issuer_reply *ret_reply, struct err *e)
{
    int r = issuer_post(issuer, path, body, ret_reply, e);

    if (r == 0 && (ret_reply->status == 503 || ret_reply->status == 501 ||
                   (ret_reply->status >= 300 && ret_reply->status < 400))) {
        r = issuer_error(ret_reply, ERR_UNAVAILABLE, issuer->address, e);
        json_decref(ret_reply->document);
    }
    return r;
}

static bool is_unknown(const struct thing *thing, const struct issuer_reply *reply)
{
    return issuer_says(reply, thing->unknown) || issuer_says(reply, "lease not found");
}

/* 0: it is there. ERR_GONE: it isn't. */
static int look(struct issuer *issuer, const struct thing *thing, struct str name, struct err *e)
{
    struct issuer_reply reply;
    int r =
        ask(issuer, thing->look_up, json_pack("{s:s%}", thing->key, name.ptr, name.len), &reply, e);

    if (r != 0) {
        return r;
    }
    if (is_unknown(thing, &reply)) {
        r = err_set(e, ERR_GONE, "the issuer doesn't know it");
    } else if (reply.status != 200 || !json_is_object(json_object_get(reply.document, "data"))) {
        r = issuer_error(&reply, ERR_DENIED, thing->look_up, e);
    }
    json_decref(reply.document);
    return r;
}

/* What was only accepted is done once it can't be found. */
static int await_end(struct issuer *issuer, const struct thing *thing, struct str name,
                     struct err *e)
{
    unsigned tries = 0;
    int r = look(issuer, thing, name, e);

    while (r == 0 && ++tries < LOOKS_MAX) {
        clock_sleep_ms(LOOK_PAUSE_MS);
        r = look(issuer, thing, name, e);
    }
    if (r == 0) {
        return err_set(e, ERR_TIMEOUT, "its revocation was accepted, but it is still there");
    }
    return r == ERR_GONE ? 0 : r;
}

static int revoke(struct issuer *issuer, const struct thing *thing, struct str name, struct err *e)
{
    json_t *body = json_pack("{s:s%}", thing->key, name.ptr, name.len);
    struct issuer_reply reply;
    int r;

    if (thing->is_sync && json_object_set_new(body, "sync", json_true()) != 0) {
        json_decref(body);
        body = NULL;
    }
    r = ask(issuer, thing->revoke, body, &reply, e);
    if (r != 0) {
        return r;
    }
    if (reply.status >= 200 && reply.status < 300) {
        bool is_done = thing->is_sync && reply.status == 204;

        r = is_done ? 0 : await_end(issuer, thing, name, e);
    } else if (!is_unknown(thing, &reply)) {
        r = issuer_error(&reply, ERR_DENIED, thing->revoke, e);
    }
    json_decref(reply.document);
    return r;
}

static int end(struct issuer *issuer, const struct thing *thing, struct str name,
               bool *ret_is_known, struct err *e)
{
    int r = look(issuer, thing, name, e);

    if (r == 0) {
        *ret_is_known = true;
        r = revoke(issuer, thing, name, e);
    }
    return r;
}

/* --- what is ended ---------------------------------------------------------------------------- */

static int end_lease(struct issuer *issuer, const struct revocation_target *target,
                     bool *ret_is_known, struct err *e)
{
    int of_lease = end(issuer, &lease_thing, target->name, ret_is_known, e);
    int of_token;

    if ((of_lease != 0 && of_lease != ERR_GONE) || target->accessor.len == 0) {
        return of_lease;
    }
    of_token = end(issuer, &token_thing, target->accessor, ret_is_known, e);
    return of_token == ERR_GONE ? of_lease : of_token;
}

/* "MOUNT SERIAL"; its revocation says when it was revoked first. */
static int end_certificate(struct issuer *issuer, struct str name, bool *ret_is_known,
                           struct err *e)
{
    struct str serial = name;
    struct str mount = str_cut(&serial, ' ');
    struct issuer_reply reply;
    char path[PATH_MAX_BYTES];
    int len = snprintf(path, sizeof(path), "%.*s/revoke", STR_ARG(mount));
    int r;

    if (serial.len == 0 || len < 0 || (size_t)len >= sizeof(path)) {
        return err_set(e, ERR_INVALID, "its reference can't be read");
    }
    r = ask(issuer, path, json_pack("{s:s%}", "serial_number", serial.ptr, serial.len), &reply, e);
    if (r != 0) {
        return r;
    }
    if (reply.status == 200 &&
        json_integer_value(
            json_object_get(json_object_get(reply.document, "data"), "revocation_time")) > 0) {
        *ret_is_known = true;
    } else {
        r = issuer_error(&reply, ERR_DENIED, path, e);
    }
    json_decref(reply.document);
    return r;
}

int revocation_run(struct issuer *issuer, const struct revocation_target *target,
                   bool *ret_is_known, struct err *e)
{
    switch (target->kind) {
    case REVOCATION_LEASE:
        return end_lease(issuer, target, ret_is_known, e);
    case REVOCATION_CERTIFICATE:
        return end_certificate(issuer, target->name, ret_is_known, e);
    case REVOCATION_CHILD:
    case REVOCATION_LOGIN:
        if (target->name.ptr[0] == '@') {
            return err_set(e, ERR_UNSUPPORTED,
                           "the login that it was asked for under has no accessor");
        }
        return end(issuer, &token_thing, target->name, ret_is_known, e);
    case REVOCATION_NONE:
    default:
        return err_set(e, ERR_UNSUPPORTED, "its issuer can't revoke it");
    }
}
