/* Policy files as one piece: what a folder of them is on the wire and in the state folder.
 *
 *   {"files": [{"name": "teams/dba.yaml", "text": "rules: …"}], "revision": "4f2a…"}
 *
 * `main` beside them is the one file that was named instead of the folder; the others are what it
 * includes. */
#ifndef LEASED_WIRE_POLICY_BUNDLE_H
#define LEASED_WIRE_POLICY_BUNDLE_H

#include "base/buf.h"
#include "base/err.h"
#include "wire/json_out.h"

#define POLICY_BUNDLE_FILES_MAX 256U
#define POLICY_BUNDLE_NAME_MAX_BYTES 255U
/* Of all files together: more than 10 000 rules of the usual kind, which take some 450 bytes. */
#define POLICY_BUNDLE_TEXT_MAX_BYTES (6U * 1024U * 1024U)
#define POLICY_BUNDLE_REVISION_MAX_BYTES 64U
#define POLICY_BUNDLE_DIGEST_BYTES 64U
/* As JSON: in a request of leased's API, which takes no more (io/listener.c), and with what may be
 * beside it in the state folder, which is another bundle. */
#define POLICY_BUNDLE_BODY_MAX_BYTES (8U * 1024U * 1024U)
#define POLICY_BUNDLE_JSON_MAX_BYTES (2U * POLICY_BUNDLE_BODY_MAX_BYTES)

struct json_t;

struct policy_file {
    char *name; /* relative to the folder */
    struct str text;
};

struct policy_bundle {
    struct policy_file files[POLICY_BUNDLE_FILES_MAX]; /* in the order of their names */
    size_t file_count;
    size_t text_bytes;
    char main[POLICY_BUNDLE_NAME_MAX_BYTES + 1];         /* "": the folder */
    char revision[POLICY_BUNDLE_REVISION_MAX_BYTES + 1]; /* "": none */
};

/* An empty one. NULL: out of memory. */
ATTR_MUST_USE struct policy_bundle *policy_bundle_new(void);

/* NULL is fine. */
void policy_bundle_free(struct policy_bundle *bundle);

/* A copy. NULL: out of memory. */
ATTR_MUST_USE struct policy_bundle *policy_bundle_dup(const struct policy_bundle *bundle);

/* Adds a file; both are copied. ERR_INVALID with a text: it is no relative path without "..", or
 * there already; ERR_LIMIT with a text: too many files, or bytes; ERR_NOMEM. */
int policy_bundle_add(struct policy_bundle *bundle, struct str name, struct str text,
                      struct err *e) ATTR_MUST_USE;

/* Is there a file of this name? */
bool policy_bundle_has(const struct policy_bundle *bundle, struct str name);

/* ERR_INVALID with a text: there is no such file. */
int policy_bundle_set_main(struct policy_bundle *bundle, struct str name,
                           struct err *e) ATTR_MUST_USE;

/* ERR_INVALID with a text: longer than POLICY_BUNDLE_REVISION_MAX_BYTES, or with other characters
 * than letters, digits and ./+_-. "" is fine. */
int policy_bundle_set_revision(struct policy_bundle *bundle, struct str revision,
                               struct err *e) ATTR_MUST_USE;

/* A JSON text that may have a bundle in it, looked at before it is parsed: an object. json_decref
 * it. ERR_INVALID with a text, ERR_NOMEM. */
int policy_bundle_load(struct str text, struct json_t **ret_object, struct err *e) ATTR_MUST_USE;

/* The bundle in the members `files`, `main` and `revision` of an object. ERR_INVALID or ERR_LIMIT
 * with a text, ERR_NOMEM. */
int policy_bundle_read(const struct json_t *object, struct policy_bundle **ret_bundle,
                       struct err *e) ATTR_MUST_USE;

/* Writes those members into an open object. */
void policy_bundle_write(const struct policy_bundle *bundle, struct json_out *json);

/* Hex SHA-256 over the names and texts, and which is `main`, byte by byte. ERR_NOMEM. */
int policy_bundle_digest(const struct policy_bundle *bundle,
                         char ret_digest[POLICY_BUNDLE_DIGEST_BYTES + 1]) ATTR_MUST_USE;

#endif
