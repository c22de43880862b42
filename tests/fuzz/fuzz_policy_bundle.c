/* Bundles of policy files: what is read is written as the same again, and no name leads out of a
 * folder. Up to a newline: what a git folder says. */
#include "base/check.h"
#include "wire/git_revision.h"
#include "wire/policy_copy.h"

#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void names_check(const struct policy_bundle *bundle)
{
    size_t i;

    for (i = 0; i < bundle->file_count; i++) {
        const char *name = bundle->files[i].name;

        CHECK(name[0] != '/' && name[0] != '.' && strstr(name, "/.") == NULL);
        CHECK(i == 0 || strcmp(bundle->files[i - 1].name, name) < 0);
    }
}

static void written_check(const struct policy_bundle *bundle)
{
    struct policy_bundle *again;
    struct json_out json;
    struct json_t *object;
    char digests[2][POLICY_BUNDLE_DIGEST_BYTES + 1];
    BUF_AUTO text;

    buf_init(&text, 16U * POLICY_BUNDLE_JSON_MAX_BYTES);
    json_out_init(&json, &text);
    json_out_object_open(&json, NULL);
    policy_bundle_write(bundle, &json);
    json_out_object_close(&json);
    CHECK(buf_status(&text) == 0);
    CHECK(policy_bundle_load(buf_str(&text), &object, NULL) == 0);
    CHECK(policy_bundle_read(object, &again, NULL) == 0);
    json_decref(object);
    CHECK(policy_bundle_digest(bundle, digests[0]) == 0);
    CHECK(policy_bundle_digest(again, digests[1]) == 0);
    CHECK(strcmp(bundle->revision, again->revision) == 0);
    CHECK(strcmp(digests[0], digests[1]) == 0);
    policy_bundle_free(again);
}

/* Every file of the folder holds the same. */
static int git_read(void *user, const char *path, struct buf *out)
{
    (void)path;
    buf_add_str(out, *(struct str *)user);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str rest = {.ptr = (const char *)bytes, .len = size};
    struct str git = str_cut(&rest, '\n');
    const struct git_reader reader = {.read = git_read, .user = &git};
    char revision[GIT_REVISION_MAX_BYTES + 1];
    struct policy_bundle *bundle;
    struct policy_copy *copy;
    struct json_t *object;

    if (git_revision_find(&reader, "/a/b", revision)) {
        CHECK(strlen(revision) == 40 || strlen(revision) == 64);
    }
    if (policy_copy_read(rest, &copy, NULL) == 0) {
        CHECK(copy->is_seed == (copy->bundle == NULL));
        policy_copy_free(copy);
    }
    if (policy_bundle_load(rest, &object, NULL) != 0) {
        return 0;
    }
    if (policy_bundle_read(object, &bundle, NULL) == 0) {
        names_check(bundle);
        written_check(bundle);
        policy_bundle_free(bundle);
    }
    json_decref(object);
    return 0;
}
