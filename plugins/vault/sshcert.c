/* Happy path: the line's second word is decoded; behind the type's name, the nonce and the public
 * key, whose parts the type says, stand serial, kind, key id, principals, valid after and valid
 * before.
 *
 * Everything is bounded: the word's length, each part by what is left. A type that isn't in the
 * table is refused rather than guessed at. */
#include "sshcert.h"

#include <openssl/evp.h>
#include <string.h>

#define WORD_MAX_BYTES 32768U

/* How many strings and integers (each with its length before it) the public key has. */
static const struct {
    const char *type;
    unsigned part_count;
} types[] = {
    {"ssh-ed25519-cert-v01@openssh.com", 1},
    {"ssh-rsa-cert-v01@openssh.com", 2},
    {"rsa-sha2-256-cert-v01@openssh.com", 2},
    {"rsa-sha2-512-cert-v01@openssh.com", 2},
    {"ecdsa-sha2-nistp256-cert-v01@openssh.com", 2},
    {"ecdsa-sha2-nistp384-cert-v01@openssh.com", 2},
    {"ecdsa-sha2-nistp521-cert-v01@openssh.com", 2},
    {"sk-ssh-ed25519-cert-v01@openssh.com", 2},
    {"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", 3},
    {"ssh-dss-cert-v01@openssh.com", 4},
};

struct reader {
    const unsigned char *at;
    size_t left;
    bool is_broken;
};

static uint64_t read_number(struct reader *reader, size_t size)
{
    uint64_t value = 0;

    if (reader->left < size) {
        reader->is_broken = true;
        reader->left = 0;
        return 0;
    }
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | reader->at[i];
    }
    reader->at += size;
    reader->left -= size;
    return value;
}

static struct leased_str read_string(struct reader *reader)
{
    size_t len = (size_t)read_number(reader, 4);
    struct leased_str s = {(const char *)reader->at, len};

    if (reader->is_broken || len > reader->left) {
        reader->is_broken = true;
        reader->left = 0;
        return (struct leased_str){0};
    }
    reader->at += len;
    reader->left -= len;
    return s;
}

static int read_certificate(struct reader *reader, struct leased_str type, uint64_t *ret_before_s)
{
    struct leased_str inner = read_string(reader);
    unsigned parts = 0;
    uint64_t before_s;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        parts = plugin_str_eq(type, types[i].type) ? types[i].part_count : parts;
    }
    /* The name outside is only the line's; the one inside is signed. */
    if (parts == 0 || inner.len != type.len || memcmp(inner.ptr, type.ptr, type.len) != 0) {
        return -1;
    }
    (void)read_string(reader); /* nonce */
    for (unsigned i = 0; i < parts; i++) {
        (void)read_string(reader);
    }
    (void)read_number(reader, 8); /* serial */
    (void)read_number(reader, 4); /* user or host */
    (void)read_string(reader);    /* key id */
    (void)read_string(reader);    /* principals */
    (void)read_number(reader, 8); /* valid after */
    before_s = read_number(reader, 8);
    if (reader->is_broken) {
        return -1;
    }
    *ret_before_s = before_s;
    return 0;
}

/* Up to the next blank; what is left of `line` follows it. */
static struct leased_str cut_word(struct leased_str *line)
{
    struct leased_str word = {line->ptr, 0};

    while (word.len < line->len && strchr(" \t\r\n", line->ptr[word.len]) == NULL) {
        word.len++;
    }
    line->ptr += word.len;
    line->len -= word.len;
    while (line->len > 0 && strchr(" \t", line->ptr[0]) != NULL) {
        line->ptr++;
        line->len--;
    }
    return word;
}

int vault_sshcert_valid_before(const struct leased_host *host, struct leased_str line,
                               uint64_t *ret_before_s)
{
    struct leased_str type = cut_word(&line);
    struct leased_str word = cut_word(&line);
    struct reader reader = {0};
    unsigned char *bytes;
    int size = -1;
    int rc = -1;

    if (type.len == 0 || word.len < 4 || word.len % 4 != 0 || word.len > WORD_MAX_BYTES) {
        return -1;
    }
    bytes = plugin_alloc(host, word.len / 4 * 3);
    if (bytes != NULL) {
        size = EVP_DecodeBlock(bytes, (const unsigned char *)word.ptr, (int)word.len);
    }
    if (size > 0) {
        reader = (struct reader){.at = bytes, .left = (size_t)size};
        rc = read_certificate(&reader, type, ret_before_s);
    }
    host->secret_free(bytes);
    return rc;
}
