/* Claims that count, copied out of a token. The block holds the struct and the texts behind it. */
#include "access/claims.h"

#include "base/mem.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define ID_HASH_BYTES 16U /* as many bits as no two of a kind */

/* One claim as the text that stands for it: "" where it is missing and need not be there. */
struct claim_text {
    char text[ACCESS_CLAIM_MAX_BYTES];
};

/* What goes into keys, the trail and people's terminals. */
static bool is_name(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f) {
            return false;
        }
    }
    return len > 0;
}

static int claim_read(const json_t *claims, const char *name, struct claim_text *ret_claim,
                      struct err *e)
{
    const json_t *value = json_object_get(claims, name);
    const char *text = json_string_value(value);
    char number[24];

    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = number;
    }
    if (text == NULL) {
        return err_set(e, ERR_DENIED, "its claim %s is missing, or neither text nor number", name);
    }
    if (strlen(text) >= sizeof(ret_claim->text)) {
        return err_set(e, ERR_DENIED, "its claim %s has more than %u bytes", name,
                       ACCESS_CLAIM_MAX_BYTES - 1);
    }
    if (!is_name(text, strlen(text))) {
        return err_set(e, ERR_DENIED, "its claim %s is empty, or has blanks or unprintable bytes",
                       name);
    }
    memcpy(ret_claim->text, text, strlen(text) + 1);
    return 0;
}

/* Texts have no NUL in them, so with theirs between them they are one. */
static void id_write(const struct access_claims *texts, char out[ACCESS_CLAIMS_ID_MAX_BYTES])
{
    char named[3 * ACCESS_CLAIM_MAX_BYTES];
    unsigned char hash[EVP_MAX_MD_SIZE];
    char *at = named;
    size_t len;
    size_t i;
    int is_hashed;

    (void)str_pack(&at, texts->iss);
    (void)str_pack(&at, texts->sub);
    (void)str_pack(&at, texts->session);
    is_hashed = EVP_Q_digest(NULL, "SHA256", NULL, named, (size_t)(at - named), hash, NULL);
    CHECK(is_hashed == 1);
    len = (size_t)snprintf(out, ACCESS_CLAIMS_ID_MAX_BYTES, "%.*s+", ENV_NAME_MAX_BYTES - 1,
                           texts->issuer);
    for (i = 0; i < ID_HASH_BYTES; i++) {
        (void)snprintf(out + len + 2 * i, 3, "%02x", hash[i]);
    }
}

/* The struct and its texts in one block. NULL: out of memory. */
static struct access_claims *claims_make(const struct access_claims *texts)
{
    char id[ACCESS_CLAIMS_ID_MAX_BYTES];
    struct access_claims *claims;
    char *at;

    id_write(texts, id);
    claims = mem_alloc(sizeof(*claims) + strlen(id) + strlen(texts->issuer) + strlen(texts->iss) +
                       strlen(texts->sub) + strlen(texts->session) + strlen(texts->person) + 6);
    if (claims == NULL) {
        return NULL;
    }
    at = (char *)(claims + 1);
    claims->id = str_pack(&at, id);
    claims->issuer = str_pack(&at, texts->issuer);
    claims->iss = str_pack(&at, texts->iss);
    claims->sub = str_pack(&at, texts->sub);
    claims->session = str_pack(&at, texts->session);
    claims->person = str_pack(&at, texts->person);
    claims->all = json_incref(texts->all);
    return claims;
}

static int claims_take(const struct access_claims *texts, struct access_claims **ret_claims,
                       struct err *e)
{
    struct access_claims *claims = claims_make(texts);

    if (claims == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    *ret_claims = claims;
    return 0;
}

int access_claims_new(const struct access_claims_source *source, struct access_claims **ret_claims,
                      struct err *e)
{
    struct claim_text iss;
    struct claim_text sub;
    struct claim_text session = {.text = ""};
    struct claim_text person = {.text = ""};
    int r = claim_read(source->all, "iss", &iss, e);

    r = r == 0 ? claim_read(source->all, "sub", &sub, e) : r;
    if (r == 0 && source->session != NULL) {
        r = claim_read(source->all, source->session, &session, e);
    }
    if (r == 0 && source->person != NULL) {
        r = claim_read(source->all, source->person, &person, e);
    }
    if (r != 0) {
        return r;
    }
    return claims_take(&(struct access_claims){.issuer = source->issuer,
                                               .iss = iss.text,
                                               .sub = sub.text,
                                               .session = session.text,
                                               .person = person.text,
                                               .all = source->all},
                       ret_claims, e);
}

struct access_claims *access_claims_dup(const struct access_claims *claims)
{
    return claims_make(claims);
}

void access_claims_free(struct access_claims *claims)
{
    if (claims != NULL) {
        json_decref(claims->all);
        mem_free(claims);
    }
}

static int add_bytes(const char *bytes, size_t size, void *user)
{
    buf_add(user, bytes, size);
    return 0;
}

int access_claims_write(const struct access_claims *claims, struct buf *out)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:O}", "issuer", claims->issuer, "iss",
                               claims->iss, "sub", claims->sub, "session", claims->session,
                               "person", claims->person, "claims", claims->all);
    int r = object != NULL && json_dump_callback(object, add_bytes, out, JSON_COMPACT) == 0
                ? buf_status(out)
                : ERR_NOMEM;

    json_decref(object);
    return r;
}

static bool is_short(const char *text)
{
    return strlen(text) < ACCESS_CLAIM_MAX_BYTES;
}

int access_claims_read(struct str text, struct access_claims **ret_claims, struct err *e)
{
    json_error_t why = {.text = ""};
    json_t *object = text.len > 0 && text.len <= ACCESS_CLAIMS_TEXT_MAX_BYTES
                         ? json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &why)
                         : NULL;
    struct access_claims found = {.all = NULL};
    int r;

    if (object == NULL && json_error_code(&why) == json_error_out_of_memory) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    r = json_unpack(object, "{s:s, s:s, s:s, s:s, s:s, s:o}", "issuer", &found.issuer, "iss",
                    &found.iss, "sub", &found.sub, "session", &found.session, "person",
                    &found.person, "claims", &found.all);
    r = r == 0 && json_is_object(found.all) && is_short(found.iss) && is_short(found.sub) &&
                is_short(found.session)
            ? claims_take(&found, ret_claims, e)
            : err_set(e, ERR_INVALID, "these aren't claims as leased writes them");
    json_decref(object);
    return r;
}
