/* Policy files as one piece. What comes from elsewhere is bounded before a tree is made of it, and
 * names can't lead out of a folder that somebody writes them to. */
#include "wire/policy_bundle.h"

#include "base/mem.h"
#include "wire/json_bounds.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* An object, its list, the files' objects; two bundles, and what requests have beside them. */
#define DEPTH_MAX 4U
#define VALUES_MAX (8U * POLICY_BUNDLE_FILES_MAX + 64U)
#define DIGEST_HEAD "leased-bundle-v1"

/* --- one file --- */

static bool part_is_valid(struct str part)
{
    size_t i;

    for (i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.ptr[i];

        if (c < 0x20 || c == 0x7f || c == '\\') {
            return false;
        }
    }
    return part.len > 0 && part.ptr[0] != '.';
}

static bool name_is_valid(struct str name)
{
    struct str rest = name;

    if (name.len == 0 || name.len > POLICY_BUNDLE_NAME_MAX_BYTES ||
        memchr(name.ptr, '\0', name.len) != NULL) {
        return false;
    }
    while (rest.ptr != NULL) {
        if (!part_is_valid(str_cut(&rest, '/'))) {
            return false;
        }
    }
    return true;
}

static int name_compare(const char *name, struct str other)
{
    size_t len = strlen(name);
    size_t common = len < other.len ? len : other.len;
    int r = memcmp(name, other.ptr, common);

    return r != 0 || len == other.len ? r : (len < other.len ? -1 : 1);
}

/* Where a file of this name belongs; the first whose name doesn't come before it. */
static size_t place_find(const struct policy_bundle *bundle, struct str name)
{
    size_t i = bundle->file_count;

    while (i > 0 && name_compare(bundle->files[i - 1].name, name) >= 0) {
        i--;
    }
    return i;
}

bool policy_bundle_has(const struct policy_bundle *bundle, struct str name)
{
    size_t i = place_find(bundle, name);

    return i < bundle->file_count && name_compare(bundle->files[i].name, name) == 0;
}

static int file_check(const struct policy_bundle *bundle, struct str name, struct str text,
                      struct err *e)
{
    if (!name_is_valid(name)) {
        return err_set(e, ERR_INVALID,
                       "\"%.*s\" is no name of a policy file: a path below the folder, of at most "
                       "%u bytes, whose parts don't begin with a dot",
                       name.len < 80 ? (int)name.len : 80, name.ptr != NULL ? name.ptr : "",
                       POLICY_BUNDLE_NAME_MAX_BYTES);
    }
    if (policy_bundle_has(bundle, name)) {
        return err_set(e, ERR_INVALID, "the file %.*s is there twice", STR_ARG(name));
    }
    if (bundle->file_count == POLICY_BUNDLE_FILES_MAX) {
        return err_set(e, ERR_LIMIT, "there are more than %u policy files",
                       POLICY_BUNDLE_FILES_MAX);
    }
    if (text.len > POLICY_BUNDLE_TEXT_MAX_BYTES - bundle->text_bytes) {
        return err_set(e, ERR_LIMIT, "the policy files have more than %u bytes",
                       POLICY_BUNDLE_TEXT_MAX_BYTES);
    }
    return 0;
}

int policy_bundle_add(struct policy_bundle *bundle, struct str name, struct str text, struct err *e)
{
    int r = file_check(bundle, name, text, e);
    struct policy_file file;
    size_t i;

    if (r != 0) {
        return r;
    }
    file.name = mem_strndup(name.ptr, name.len);
    file.text.ptr = mem_strndup(text.len > 0 ? text.ptr : "", text.len);
    file.text.len = text.len;
    if (file.name == NULL || file.text.ptr == NULL) {
        mem_free(file.name);
        mem_free((void *)(uintptr_t)file.text.ptr);
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    i = place_find(bundle, name);
    memmove(&bundle->files[i + 1], &bundle->files[i],
            (bundle->file_count - i) * sizeof(bundle->files[0]));
    bundle->files[i] = file;
    bundle->file_count++;
    bundle->text_bytes += text.len;
    return 0;
}

/* --- the whole --- */

struct policy_bundle *policy_bundle_new(void)
{
    return mem_calloc(1, sizeof(struct policy_bundle));
}

void policy_bundle_free(struct policy_bundle *bundle)
{
    size_t i;

    for (i = 0; bundle != NULL && i < bundle->file_count; i++) {
        mem_free(bundle->files[i].name);
        mem_free((void *)(uintptr_t)bundle->files[i].text.ptr);
    }
    mem_free(bundle);
}

struct policy_bundle *policy_bundle_dup(const struct policy_bundle *bundle)
{
    struct policy_bundle *copy = policy_bundle_new();
    size_t i;

    for (i = 0; copy != NULL && i < bundle->file_count; i++) {
        if (policy_bundle_add(copy, str_of(bundle->files[i].name), bundle->files[i].text, NULL) !=
            0) {
            policy_bundle_free(copy);
            copy = NULL;
        }
    }
    if (copy != NULL) {
        memcpy(copy->main, bundle->main, sizeof(copy->main));
        memcpy(copy->revision, bundle->revision, sizeof(copy->revision));
    }
    return copy;
}

int policy_bundle_set_main(struct policy_bundle *bundle, struct str name, struct err *e)
{
    if (!policy_bundle_has(bundle, name)) {
        return err_set(e, ERR_INVALID, "there is no file \"%.*s\" in it",
                       name.len < 80 ? (int)name.len : 80, name.ptr != NULL ? name.ptr : "");
    }
    memcpy(bundle->main, name.ptr, name.len);
    bundle->main[name.len] = '\0';
    return 0;
}

static bool is_revision_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("./+_-", c) != NULL);
}

int policy_bundle_set_revision(struct policy_bundle *bundle, struct str revision, struct err *e)
{
    bool is_valid = revision.len <= POLICY_BUNDLE_REVISION_MAX_BYTES;
    size_t i;

    for (i = 0; is_valid && i < revision.len; i++) {
        is_valid = is_revision_char(revision.ptr[i]);
    }
    if (!is_valid) {
        return err_set(e, ERR_INVALID,
                       "a revision has at most %u letters, digits and ./+_- and nothing else",
                       POLICY_BUNDLE_REVISION_MAX_BYTES);
    }
    memcpy(bundle->revision, revision.len > 0 ? revision.ptr : "", revision.len);
    bundle->revision[revision.len] = '\0';
    return 0;
}

/* --- JSON --- */

int policy_bundle_load(struct str text, struct json_t **ret_object, struct err *e)
{
    json_error_t why = {.text = ""};
    json_t *root;

    if (text.len > POLICY_BUNDLE_JSON_MAX_BYTES || !json_bounds_hold(text, DEPTH_MAX, VALUES_MAX)) {
        return err_set(e, ERR_INVALID, "it has more than %u bytes, %u values or %u levels",
                       POLICY_BUNDLE_JSON_MAX_BYTES, VALUES_MAX, DEPTH_MAX);
    }
    root = json_loadb(text.ptr != NULL ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL &&
        (why.text[0] == '\0' || json_error_code(&why) == json_error_out_of_memory)) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(e, ERR_INVALID, "it is no JSON object%s%.200s", root == NULL ? ": " : "",
                       root == NULL ? why.text : "");
    }
    *ret_object = root;
    return 0;
}

static struct str text_of(const json_t *value)
{
    return (struct str){.ptr = json_string_value(value), .len = json_string_length(value)};
}

static int file_read(struct policy_bundle *bundle, const json_t *file, struct err *e)
{
    const json_t *name = json_object_get(file, "name");
    const json_t *text = json_object_get(file, "text");

    if (!json_is_string(name) || !json_is_string(text) || json_object_size(file) != 2) {
        return err_set(e, ERR_INVALID, "each of `files` has a name and a text, and nothing else");
    }
    return policy_bundle_add(bundle, text_of(name), text_of(text), e);
}

/* A text that may be missing; `set` takes it. */
static int text_read(struct policy_bundle *bundle, const json_t *object, const char *key,
                     int (*set)(struct policy_bundle *bundle, struct str text, struct err *e),
                     struct err *e)
{
    const json_t *value = json_object_get(object, key);

    if (value == NULL || json_is_null(value)) {
        return 0;
    }
    return json_is_string(value) ? set(bundle, text_of(value), e)
                                 : err_set(e, ERR_INVALID, "`%s` is no text", key);
}

static int members_read(struct policy_bundle *bundle, const json_t *object, struct err *e)
{
    const json_t *files = json_object_get(object, "files");
    const json_t *file;
    size_t i;
    int r = 0;

    if (!json_is_array(files) || json_array_size(files) == 0) {
        return err_set(e, ERR_INVALID, "`files` is no list of policy files");
    }
    json_array_foreach (files, i, file) {
        r = file_read(bundle, file, e);
        if (r != 0) {
            return r;
        }
    }
    r = text_read(bundle, object, "main", policy_bundle_set_main, e);
    return r == 0 ? text_read(bundle, object, "revision", policy_bundle_set_revision, e) : r;
}

int policy_bundle_read(const struct json_t *object, struct policy_bundle **ret_bundle,
                       struct err *e)
{
    struct policy_bundle *bundle = policy_bundle_new();
    int r = bundle != NULL ? members_read(bundle, object, e)
                           : err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));

    if (r != 0) {
        policy_bundle_free(bundle);
        return r;
    }
    *ret_bundle = bundle;
    return 0;
}

void policy_bundle_write(const struct policy_bundle *bundle, struct json_out *json)
{
    size_t i;

    json_out_array_open(json, "files");
    for (i = 0; i < bundle->file_count; i++) {
        json_out_object_open(json, NULL);
        json_out_string_c(json, "name", bundle->files[i].name);
        json_out_string(json, "text", bundle->files[i].text);
        json_out_object_close(json);
    }
    json_out_array_close(json);
    /* Whoever knows no `main` understands a folder all the same. */
    if (bundle->main[0] != '\0') {
        json_out_string_c(json, "main", bundle->main);
    }
    json_out_string_c(json, "revision", str_or_null(bundle->revision));
}

/* --- digest --- */

static bool slice_add(EVP_MD_CTX *hash, struct str s)
{
    char len[STR_U64_MAX_BYTES + 2];
    int size = snprintf(len, sizeof(len), "%zu:", s.len);

    return EVP_DigestUpdate(hash, len, (size_t)size) == 1 &&
           (s.len == 0 || EVP_DigestUpdate(hash, s.ptr, s.len) == 1);
}

int policy_bundle_digest(const struct policy_bundle *bundle,
                         char ret_digest[POLICY_BUNDLE_DIGEST_BYTES + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool is_good = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
                   slice_add(hash, STR(DIGEST_HEAD));
    size_t i;

    for (i = 0; is_good && i < bundle->file_count; i++) {
        is_good = slice_add(hash, str_of(bundle->files[i].name)) &&
                  slice_add(hash, bundle->files[i].text);
    }
    if (is_good && bundle->main[0] != '\0') {
        is_good = slice_add(hash, STR("main")) && slice_add(hash, str_of(bundle->main));
        is_good = is_good && slice_add(hash, STR(""));
    }
    is_good = is_good && EVP_DigestFinal_ex(hash, digest, NULL) == 1;
    EVP_MD_CTX_free(hash);
    for (i = 0; is_good && i < POLICY_BUNDLE_DIGEST_BYTES / 2; i++) {
        (void)snprintf(ret_digest + 2 * i, 3, "%02x", digest[i]);
    }
    return is_good ? 0 : ERR_NOMEM;
}
