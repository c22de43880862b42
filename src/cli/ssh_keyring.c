/* leased is asked for the certificate each time that somebody wants to know what there is: what it
 * then gives lives for as long as the role's `min_remaining` says, and what was rotated or denied
 * meanwhile is heard of. While leased can't be reached the old one goes on to its end. */
#include "cli/ssh_keyring.h"

#include "base/units.h"
#include "cli/clock.h"
#include "cli/credential.h"
#include "cli/exec_internal.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define ASK_EVERY_MS 1000U
#define END_WAIT_MS 5000U
#define EXPIRY_MARGIN_S 1 /* a login takes a moment */
/* Private keys in memory that is never swapped or dumped; OpenSSL takes theirs from here. */
#define KEY_MEMORY_BYTES 65536U
#define KEY_MEMORY_LEAST_BYTES 64U

static const struct format_field *field_of(const struct format_credential *credential,
                                           const char *name, const char *other)
{
    const struct format_field *field = format_credential_field(credential, str_of(name));

    return field != NULL ? field : format_credential_field(credential, str_of(other));
}

static int read_identity(const struct format_credential *credential, struct ssh_identity *ret,
                         struct err *e)
{
    const struct format_field *certificate = field_of(credential, "certificate", "signed_key");
    const struct format_field *key = field_of(credential, "private_key", "private_key");

    if (certificate == NULL || key == NULL) {
        return err_set(e, ERR_INVALID,
                       "%s gives no certificate with its private_key; of Vault, a path ssh/issue/… "
                       "does",
                       credential->role);
    }
    return ssh_identity_read(secret_view(&certificate->value), secret_view(&key->value), ret, e);
}

static void take(struct ssh_keyring *keyring, struct ssh_identity *identity)
{
    struct str blob = {.ptr = identity->blob, .len = identity->blob_len};

    if (ssh_identity_is(&keyring->items[0], blob)) {
        ssh_identity_fini(identity);
        return;
    }
    ssh_identity_fini(&keyring->items[1]);
    keyring->items[1] = keyring->items[0];
    keyring->items[0] = *identity;
}

static int ask(struct ssh_keyring *keyring)
{
    struct format_credential credential = {0};
    struct ssh_identity identity = {.key = NULL};
    struct err e = {0};
    int exit_code = credential_fetch_held(keyring->cli, keyring->role, "process", &credential);

    keyring->asked_ms = clock_now_ms();
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    (void)snprintf(keyring->grant, sizeof(keyring->grant), "%s", credential.grant);
    if (read_identity(&credential, &identity, &e) == 0) {
        take(keyring, &identity);
    } else {
        cli_message(keyring->cli, "%s", e.text);
        exit_code = CLI_FAILED;
    }
    format_credential_fini(&credential);
    return exit_code;
}

static void forget(struct ssh_keyring *keyring)
{
    ssh_identity_fini(&keyring->items[0]);
    ssh_identity_fini(&keyring->items[1]);
}

static void refresh(struct ssh_keyring *keyring)
{
    if (clock_now_ms() - keyring->asked_ms < ASK_EVERY_MS) {
        return;
    }
    switch (ask(keyring)) {
    case CLI_DENIED:
    case CLI_NOT_FOUND:
        forget(keyring);
        break;
    default:
        break; /* a new one, or the old one to its end */
    }
}

static bool is_alive(const struct ssh_identity *identity)
{
    return identity->key != NULL &&
           clock_wall_ms() / 1000 < identity->valid_before_s - EXPIRY_MARGIN_S;
}

static void list(struct ssh_keyring *keyring, struct buf *out)
{
    const struct ssh_identity *identity = &keyring->items[0];
    struct str blob = STR("");

    refresh(keyring);
    if (is_alive(identity)) {
        blob = (struct str){.ptr = identity->blob, .len = identity->blob_len};
    }
    ssh_agent_write_identity(out, blob, str_of(keyring->role));
}

static void sign(const struct ssh_keyring *keyring, const struct ssh_agent_request *request,
                 struct buf *out)
{
    BUF_AUTO signature;
    int status = ERR_NOT_FOUND;
    size_t i;

    buf_init(&signature, SSH_AGENT_FRAME_MAX_BYTES);
    for (i = 0; status == ERR_NOT_FOUND && i < ARRAY_LEN(keyring->items); i++) {
        if (is_alive(&keyring->items[i]) && ssh_identity_is(&keyring->items[i], request->blob)) {
            status =
                ssh_identity_sign(&keyring->items[i], request->data, request->flags, &signature);
        }
    }
    if (status == 0) {
        ssh_agent_write_signature(out, buf_str(&signature));
    } else {
        ssh_agent_write_failure(out);
    }
}

int ssh_keyring_open(struct ssh_keyring *keyring, struct cli *cli, const char *role)
{
    *keyring = (struct ssh_keyring){.cli = cli, .role = role};
    /* Where memory can't be locked, OpenSSL uses its heap, and the keys are still on no disk but
     * swap. */
    (void)CRYPTO_secure_malloc_init(KEY_MEMORY_BYTES, KEY_MEMORY_LEAST_BYTES);
    return ask(keyring);
}

void ssh_keyring_answer(struct ssh_keyring *keyring, const struct ssh_agent_request *request,
                        struct buf *out)
{
    switch (request->kind) {
    case SSH_AGENT_LIST:
        list(keyring, out);
        break;
    case SSH_AGENT_SIGN:
        sign(keyring, request, out);
        break;
    default:
        ssh_agent_write_failure(out);
        break;
    }
}

void ssh_keyring_close(struct ssh_keyring *keyring)
{
    forget(keyring);
    if (keyring->grant[0] != '\0') {
        exec_end_grant(keyring->cli, keyring->grant, END_WAIT_MS);
    }
    (void)CRYPTO_secure_malloc_done();
}
