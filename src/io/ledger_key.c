/* Sealed: the key's name (4 bytes) | the run's salt (16) | as seal.c: counter, ciphertext, tag.
 *
 * A key outlives the process, a counter doesn't. So each run of the daemon seals under a key of its
 * own, drawn from the ledger's by HKDF-SHA256 (RFC 5869) with a random salt, and no nonce is used
 * twice. What earlier runs have sealed is opened under theirs; a few of those are kept, because a
 * start opens many values of few runs.
 *
 * Failure paths: no key where none was named and the ledger has something sealed: a warning, a new
 * one is drawn, and what the old one had sealed can't be opened any more, which its owner is told.
 * It is only made with the first group of changes, so that a start that is refused makes none. A
 * key that is named and can't be read, or that others can: the start is refused. */
#include "io/ledger_key.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "io/alloc.h"
#include "io/io_internal.h"
#include "io/safe_dir.h"
#include "io/seal.h"
#include "io/source.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define KEY_BYTES ENV_LEDGER_KEY_BYTES
#define KEY_HEX_BYTES (2U * KEY_BYTES)
#define ID_BYTES 4U
#define SALT_BYTES 16U
#define HEAD_BYTES (ID_BYTES + SALT_BYTES)
#define RUNS_MAX 16U

static_assert(KEY_BYTES == IO_SEAL_KEY_BYTES, "a run's key is as long");
static_assert(HEAD_BYTES + ENV_SEAL_BYTES == ENV_LEDGER_SEAL_BYTES, "what sealing adds");

/* The key of one run, under one of the keys. */
struct run {
    char head[HEAD_BYTES];
    struct io_seal *seal; /* NULL: free */
};

struct ledger_keys {
    unsigned char *bytes; /* count times KEY_BYTES, in secret memory */
    size_t count;
    char ids[ENV_LEDGER_KEYS_MAX][ID_BYTES];
    struct run own;
    struct run earlier[RUNS_MAX];
    size_t next;           /* place in `earlier` that is used next */
    char *path;            /* beside the ledger; NULL: it was named */
    struct secret unsaved; /* the text of one that isn't in its file yet */
};

/* --- drawing keys ----------------------------------------------------------------------------- */

static int derive(const unsigned char *key, struct str salt, const char *purpose,
                  unsigned char *out, size_t size)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key, KEY_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)purpose,
                                          strlen(purpose)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.ptr,
                                          salt.len),
        OSSL_PARAM_construct_end(),
    };
    int r = context != NULL && EVP_KDF_derive(context, out, size, params) == 1 ? 0 : ERR_NOMEM;

    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return r;
}

static int run_open(const struct ledger_keys *keys, size_t index, const char head[HEAD_BYTES],
                    struct run *run)
{
    const struct str salt = {.ptr = head + ID_BYTES, .len = SALT_BYTES};
    unsigned char *key = secret_alloc(KEY_BYTES);
    struct io_seal *seal = NULL;
    bool was_secret = io_crypto_in_secret_memory(true);
    int r = ERR_NOMEM;

    if (key != NULL) {
        r = derive(keys->bytes + index * KEY_BYTES, salt, "leased ledger run", key, KEY_BYTES);
    }
    (void)io_crypto_in_secret_memory(was_secret);
    if (r == 0) {
        r = io_seal_new_with(key, IO_SEALS_MAX, &seal);
    }
    secret_free(key);
    if (r == 0) {
        io_seal_free(run->seal);
        run->seal = seal;
        memcpy(run->head, head, HEAD_BYTES);
    }
    return r;
}

static int draw_runs(struct ledger_keys *keys)
{
    const struct str no_salt = STR("leased");
    char head[HEAD_BYTES];
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < keys->count; i++) {
        r = derive(keys->bytes + i * KEY_BYTES, no_salt, "leased ledger key name",
                   (unsigned char *)keys->ids[i], ID_BYTES);
    }
    CHECK(getrandom(head + ID_BYTES, SALT_BYTES, 0) == (ssize_t)SALT_BYTES);
    memcpy(head, keys->ids[0], ID_BYTES);
    return r != 0 ? r : run_open(keys, 0, head, &keys->own);
}

/* --- reading ---------------------------------------------------------------------------------- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int parse_key(struct str line, unsigned char *out)
{
    size_t i;

    if (line.len != KEY_HEX_BYTES) {
        return ERR_INVALID;
    }
    for (i = 0; i < KEY_BYTES; i++) {
        int high = digit_of(line.ptr[2 * i]);
        int low = digit_of(line.ptr[2 * i + 1]);

        if (high < 0 || low < 0) {
            return ERR_INVALID;
        }
        out[i] = (unsigned char)(high * 16 + low);
    }
    return 0;
}

static int parse_keys(struct ledger_keys *keys, struct str text)
{
    while (text.len > 0) {
        struct str line = str_cut(&text, '\n');

        if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
            line.len--;
        }
        if (keys->count == ENV_LEDGER_KEYS_MAX ||
            parse_key(line, keys->bytes + keys->count * KEY_BYTES) != 0) {
            return ERR_INVALID;
        }
        keys->count++;
    }
    return keys->count > 0 ? 0 : ERR_INVALID;
}

/* --- making ----------------------------------------------------------------------------------- */

static int write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, bytes, size);

        if (put < 0 && errno != EINTR) {
            return -errno;
        }
        bytes += put > 0 ? put : 0;
        size -= put > 0 ? (size_t)put : 0;
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

/* Content before name: a key that is only half there after a crash would be worse than none. */
static int key_write(int dir, const char *name, struct str text)
{
    char temporary[256];
    int fd;
    int r;

    (void)snprintf(temporary, sizeof(temporary), "%.200s.new", name);
    (void)unlinkat(dir, temporary, 0);
    fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    r = write_all(fd, text.ptr, text.len);
    if (r == 0) {
        r = write_all(fd, "\n", 1);
    }
    (void)close(fd);
    if (r == 0 && renameat(dir, temporary, dir, name) != 0) {
        r = -errno;
    }
    if (r != 0) {
        (void)unlinkat(dir, temporary, 0);
    }
    return r;
}

static int key_draw(struct secret *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char *key = secret_alloc(KEY_BYTES + KEY_HEX_BYTES);
    char *text;
    size_t i;
    int r;

    if (key == NULL) {
        return ERR_NOMEM;
    }
    text = (char *)key + KEY_BYTES;
    CHECK(getrandom(key, KEY_BYTES, 0) == (ssize_t)KEY_BYTES);
    for (i = 0; i < KEY_BYTES; i++) {
        text[2 * i] = digits[key[i] >> 4];
        text[2 * i + 1] = digits[key[i] & 0x0f];
    }
    r = secret_set(ret_text, (struct str){.ptr = text, .len = KEY_HEX_BYTES});
    secret_free(key);
    return r;
}

static int key_make(const char *path, struct str text, struct err *e)
{
    const char *slash = strrchr(path, '/');
    char *folder = mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    int at = -1;
    int dir = -1;
    int r = folder != NULL ? safe_dir_open(folder, NULL, &at, e)
                           : err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));

    if (r == 0) {
        dir = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = dir >= 0 ? key_write(dir, slash + 1, text) : -errno;
        if (r == 0 && fsync(dir) != 0) {
            r = -errno;
        }
        if (r != 0) {
            (void)err_set(e, r, "could not make the ledger's key %s: %s", path, err_str(r));
        }
    }
    if (dir >= 0) {
        (void)close(dir);
    }
    if (at >= 0) {
        (void)close(at);
    }
    mem_free(folder);
    return r;
}

int ledger_keys_save(struct ledger_keys *keys, struct err *e)
{
    int r;

    if (!ledger_keys_are_unsaved(keys)) {
        return 0;
    }
    r = key_make(keys->path, secret_view(&keys->unsaved), e);
    if (r == 0) {
        secret_fini(&keys->unsaved);
        secret_init(&keys->unsaved);
        log_event(LOG_LEVEL_INFO, "ledger.key.made", "path", keys->path, NULL);
    }
    return r;
}

bool ledger_keys_are_unsaved(const struct ledger_keys *keys)
{
    return secret_view(&keys->unsaved).len > 0;
}

/* `path`.key, which is drawn where there is none. */
static int read_beside(struct ledger_keys *keys, const char *path, struct secret *ret_text,
                       struct err *e)
{
    size_t size = strlen(path) + sizeof(".key");
    int r;

    keys->path = mem_alloc(size);
    if (keys->path == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    (void)snprintf(keys->path, size, "%s.key", path);
    r = io_read_secret_file(keys->path, IO_SECRET_PRIVATE, ret_text, e);
    if (r == -ENOENT) {
        r = key_draw(&keys->unsaved);
        if (r == 0) {
            r = secret_set(ret_text, secret_view(&keys->unsaved));
        }
        if (r != 0) {
            (void)err_set(e, r, "%s", err_str(r));
        }
    }
    return r;
}

/* A file must be ours alone, too; what the service manager hands over has rights of its making. */
static int read_named(struct env *env, const char *source, struct secret *ret_text, struct err *e)
{
    static const char file[] = "file:";

    return strncmp(source, file, sizeof(file) - 1) == 0
               ? io_read_secret_file(source + sizeof(file) - 1, IO_SECRET_PRIVATE, ret_text, e)
               : env_secret_read(env, str_of(source), ret_text, e);
}

static int keys_fill(struct ledger_keys *keys, struct str text, const char *where, struct err *e)
{
    int r;

    keys->bytes = secret_alloc((size_t)KEY_BYTES * ENV_LEDGER_KEYS_MAX);
    if (keys->bytes == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    if (parse_keys(keys, text) != 0) {
        return err_set(e, ERR_INVALID,
                       "%s: a key of the ledger is a line of %u hexadecimal digits, and at most %u "
                       "are possible: openssl rand -hex %u",
                       where, KEY_HEX_BYTES, ENV_LEDGER_KEYS_MAX, KEY_BYTES);
    }
    r = draw_runs(keys);
    return r == 0 ? 0 : err_set(e, r, "%s", err_str(r));
}

int ledger_keys_read(struct env *env, const struct env_ledger_options *options,
                     struct ledger_keys **ret_keys, struct err *e)
{
    struct ledger_keys *keys = mem_calloc(1, sizeof(*keys));
    const char *where = options->key_source != NULL ? options->key_source : options->path;
    struct secret text;
    int r;

    if (keys == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    secret_init(&text);
    secret_init(&keys->unsaved);
    if (options->key_source != NULL) {
        r = read_named(env, options->key_source, &text, e);
    } else {
        r = read_beside(keys, options->path, &text, e);
    }
    if (r == 0) {
        r = keys_fill(keys, secret_view(&text), where, e);
    }
    secret_fini(&text);
    if (r != 0) {
        ledger_keys_free(keys);
        return r;
    }
    *ret_keys = keys;
    return 0;
}

void ledger_keys_free(struct ledger_keys *keys)
{
    size_t i;

    if (keys == NULL) {
        return;
    }
    io_seal_free(keys->own.seal);
    for (i = 0; i < RUNS_MAX; i++) {
        io_seal_free(keys->earlier[i].seal);
    }
    secret_free(keys->bytes);
    secret_fini(&keys->unsaved);
    mem_free(keys->path);
    mem_free(keys);
}

/* --- sealing ---------------------------------------------------------------------------------- */

int ledger_keys_seal(struct ledger_keys *keys, struct str owner, struct str plain, char *ret_sealed)
{
    int r = io_seal(keys->own.seal, owner, plain, ret_sealed + HEAD_BYTES);

    memcpy(ret_sealed, keys->own.head, HEAD_BYTES);
    return r;
}

static struct io_seal *run_find(struct ledger_keys *keys, const char *head)
{
    size_t i;

    if (memcmp(keys->own.head, head, HEAD_BYTES) == 0) {
        return keys->own.seal;
    }
    for (i = 0; i < RUNS_MAX; i++) {
        if (keys->earlier[i].seal != NULL && memcmp(keys->earlier[i].head, head, HEAD_BYTES) == 0) {
            return keys->earlier[i].seal;
        }
    }
    return NULL;
}

static int run_take(struct ledger_keys *keys, const char *head, struct io_seal **ret_seal)
{
    struct run *run = &keys->earlier[keys->next];
    size_t index = 0;
    int r;

    *ret_seal = run_find(keys, head);
    if (*ret_seal != NULL) {
        return 0;
    }
    while (index < keys->count && memcmp(keys->ids[index], head, ID_BYTES) != 0) {
        index++;
    }
    if (index == keys->count) {
        return ERR_NOT_FOUND;
    }
    r = run_open(keys, index, head, run);
    if (r == 0) {
        keys->next = (keys->next + 1) % RUNS_MAX;
        *ret_seal = run->seal;
    }
    return r;
}

int ledger_keys_unseal(struct ledger_keys *keys, struct str owner, struct str sealed,
                       char *ret_plain)
{
    struct io_seal *seal;
    int r;

    if (sealed.len < ENV_LEDGER_SEAL_BYTES) {
        return ERR_INVALID;
    }
    r = run_take(keys, sealed.ptr, &seal);
    if (r != 0) {
        return r;
    }
    sealed.ptr += HEAD_BYTES;
    sealed.len -= HEAD_BYTES;
    return io_unseal(seal, owner, sealed, ret_plain);
}
