/* The policies that leased keeps. Whatever isn't as it was written is damaged: texts have their
 * digest beside them. */
#include "wire/policy_copy.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define COPY_VERSION 1

struct policy_copy *policy_copy_new(struct policy_bundle *bundle)
{
    struct policy_copy *copy = mem_calloc(1, sizeof(*copy));

    if (copy != NULL) {
        copy->bundle = bundle;
    }
    return copy;
}

void policy_copy_free(struct policy_copy *copy)
{
    if (copy != NULL) {
        policy_bundle_free(copy->bundle);
        policy_bundle_free(copy->observed);
        mem_free(copy);
    }
}

/* --- writing --- */

static int bundle_write(const struct policy_bundle *bundle, struct json_out *json)
{
    char digest[POLICY_BUNDLE_DIGEST_BYTES + 1];
    int r = policy_bundle_digest(bundle, digest);

    if (r == 0) {
        json_out_string_c(json, "texts", digest);
        policy_bundle_write(bundle, json);
    }
    return r;
}

static int observed_write(const struct policy_bundle *bundle, struct json_out *json)
{
    int r;

    if (bundle == NULL) {
        json_out_string_c(json, "observed", NULL);
        return 0;
    }
    json_out_object_open(json, "observed");
    r = bundle_write(bundle, json);
    json_out_object_close(json);
    return r;
}

int policy_copy_write(const struct policy_copy *copy, struct buf *out)
{
    struct json_out json;
    int r;

    json_out_init(&json, out);
    json_out_object_open(&json, NULL);
    json_out_u64(&json, "v", COPY_VERSION);
    json_out_string_c(&json, "id", copy->id);
    json_out_i64(&json, "applied_at_ms", copy->applied_wall_ms);
    json_out_string_c(&json, "applied_by", copy->applied_by);
    r = copy->is_seed ? 0 : bundle_write(copy->bundle, &json);
    if (r == 0) {
        r = observed_write(copy->observed, &json);
    }
    json_out_object_close(&json);
    buf_add_char(out, '\n');
    return r == 0 ? buf_status(out) : r;
}

/* --- reading --- */

static int bundle_read(const json_t *object, struct policy_bundle **ret_bundle, struct err *e)
{
    const char *texts = json_string_value(json_object_get(object, "texts"));
    char digest[POLICY_BUNDLE_DIGEST_BYTES + 1];
    struct policy_bundle *bundle = NULL;
    int r = policy_bundle_read(object, &bundle, e);

    if (r != 0) {
        return r == ERR_NOMEM ? r : ERR_INVALID;
    }
    r = policy_bundle_digest(bundle, digest);
    if (r != 0) {
        (void)err_set(e, r, "%s", err_str(r));
    } else if (texts == NULL || strcmp(texts, digest) != 0) {
        r = err_set(e, ERR_INVALID, "its texts aren't those that were written");
    }
    if (r != 0) {
        policy_bundle_free(bundle);
        return r;
    }
    *ret_bundle = bundle;
    return 0;
}

/* Copies a text that fits. */
static bool text_take(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));

    if (text == NULL || strlen(text) >= size) {
        return false;
    }
    (void)snprintf(out, size, "%s", text);
    return true;
}

static int head_read(const json_t *object, struct policy_copy *copy, struct err *e)
{
    const json_t *at = json_object_get(object, "applied_at_ms");

    if (json_integer_value(json_object_get(object, "v")) != COPY_VERSION) {
        return err_set(e, ERR_INVALID, "it isn't of version %d", COPY_VERSION);
    }
    if (!text_take(object, "id", copy->id, sizeof(copy->id)) ||
        !text_take(object, "applied_by", copy->applied_by, sizeof(copy->applied_by)) ||
        !json_is_integer(at)) {
        return err_set(e, ERR_INVALID, "it doesn't say who applied it, and when");
    }
    copy->applied_wall_ms = json_integer_value(at);
    return 0;
}

static int copy_read(const json_t *object, struct policy_copy *copy, struct err *e)
{
    const json_t *observed = json_object_get(object, "observed");
    int r = head_read(object, copy, e);

    copy->is_seed = json_object_get(object, "files") == NULL;
    if (r == 0 && !copy->is_seed) {
        r = bundle_read(object, &copy->bundle, e);
    }
    if (r == 0 && observed != NULL && !json_is_null(observed)) {
        r = bundle_read(observed, &copy->observed, e);
    }
    return r;
}

int policy_copy_read(struct str text, struct policy_copy **ret_copy, struct err *e)
{
    struct policy_copy *copy;
    json_t *object;
    int r = policy_bundle_load(text, &object, e);

    if (r != 0) {
        return r;
    }
    copy = policy_copy_new(NULL);
    r = copy != NULL ? copy_read(object, copy, e) : err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    json_decref(object);
    if (r != 0) {
        policy_copy_free(copy);
        return r;
    }
    *ret_copy = copy;
    return 0;
}
