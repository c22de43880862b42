/* Happy path: the serial joins those that were revoked → the list is written → the operation ends.
 * A certificate that has expired is gone. A list that is full takes no more until one of its
 * certificates has expired: a warning says so, and the revocation is asked for again then. */
#include "instance.h"
#include "issued.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define X509_PREFIX "x509 "
#define SSH_PREFIX "ssh "
#define AGAIN_LEAST_MS 60000U
#define AGAIN_MOST_MS 3600000U

/* --- references ------------------------------------------------------------------------------- */

size_t localca_ref_write(const struct localca_entry *entry, char *out)
{
    char serial[LOCALCA_SERIAL_TEXT_MAX_BYTES];

    localca_serial_text(entry->type, &entry->serial, serial);
    (void)snprintf(out, LOCALCA_REF_MAX_BYTES, "%s%s\n%" PRIu32,
                   entry->type == LOCALCA_X509 ? X509_PREFIX : SSH_PREFIX, serial,
                   entry->expires_s);
    return strlen(out);
}

/* Decimal digits and nothing else, at most `most`. */
static bool parse_number(struct leased_str text, uint64_t most, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (text.len == 0 || text.len > 20) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text.ptr[i] - '0';

        if (digit > 9 || number > (most - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

static bool parse_hex(struct leased_str text, struct localca_serial *serial)
{
    static const char digits[] = "0123456789ABCDEF";

    if (text.len != (size_t)2 * LOCALCA_SERIAL_BYTES) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = memchr(digits, text.ptr[i], sizeof(digits) - 1);
        unsigned char *byte = &serial->bytes[i / 2];

        if (digit == NULL) {
            return false;
        }
        *byte = (unsigned char)(*byte << 4 | (unsigned char)(digit - digits));
    }
    return true;
}

static bool parse_decimal(struct leased_str text, struct localca_serial *serial)
{
    uint64_t number = 0;

    if (!parse_number(text, UINT64_MAX, &number) || number == 0) {
        return false;
    }
    for (size_t i = LOCALCA_SERIAL_BYTES; number > 0; number >>= 8) {
        serial->bytes[--i] = (unsigned char)(number & 0xffU);
    }
    return true;
}

int localca_ref_parse(struct leased_str ref, struct localca_entry *ret_entry)
{
    struct localca_entry entry = {.type = LOCALCA_X509};
    const char *end = ref.len > 0 ? memchr(ref.ptr, '\n', ref.len) : NULL;
    size_t name_len = end != NULL ? (size_t)(end - ref.ptr) : 0;
    size_t prefix = 0;
    struct leased_str serial;
    uint64_t expires_s = 0;
    bool is_fine;

    if (name_len > sizeof(X509_PREFIX) - 1 && memcmp(ref.ptr, X509_PREFIX, 5) == 0) {
        prefix = sizeof(X509_PREFIX) - 1;
    } else if (name_len > sizeof(SSH_PREFIX) - 1 && memcmp(ref.ptr, SSH_PREFIX, 4) == 0) {
        entry.type = LOCALCA_SSH;
        prefix = sizeof(SSH_PREFIX) - 1;
    } else {
        return -1;
    }
    serial = (struct leased_str){ref.ptr + prefix, name_len - prefix};
    is_fine = entry.type == LOCALCA_X509 ? parse_hex(serial, &entry.serial)
                                         : parse_decimal(serial, &entry.serial);
    if (!is_fine || !parse_number((struct leased_str){end + 1, ref.len - name_len - 1}, UINT32_MAX,
                                  &expires_s)) {
        return -1;
    }
    entry.expires_s = (uint32_t)expires_s;
    *ret_entry = entry;
    return 0;
}

/* --- revoking --------------------------------------------------------------------------------- */

/* When the first of them makes room. */
static uint64_t room_in_ms(const leased_instance *ca, uint64_t now_s)
{
    uint64_t first_s = UINT64_MAX;
    uint64_t in_ms;

    for (size_t i = 0; i < ca->revoked.count; i++) {
        uint64_t gone_s = localca_revoked_gone_s(&ca->revoked.entries[i]);

        first_s = gone_s < first_s ? gone_s : first_s;
    }
    in_ms = first_s > now_s ? (first_s - now_s) * 1000 : 0;
    in_ms = in_ms < AGAIN_LEAST_MS ? AGAIN_LEAST_MS : in_ms;
    return in_ms < AGAIN_MOST_MS ? in_ms : AGAIN_MOST_MS;
}

static void refuse_full(struct localca_work *work, uint64_t now_s)
{
    leased_instance *ca = localca_of(&work->work);
    struct plugin_text text;

    plugin_text_set(&text,
                    "the list of revoked certificates is full (%zu that haven't expired): shorter "
                    "lifetimes make room",
                    ca->revoked.count);
    localca_warn(ca, "full", text.bytes);
    plugin_work_retry_after(&work->work, room_in_ms(ca, now_s), text.bytes);
}

static void revoke(struct plugin_work *plugin_work)
{
    struct localca_work *work = (struct localca_work *)(void *)plugin_work;
    leased_instance *ca = localca_of(plugin_work);
    enum localca_type type = work->entry.type;
    uint64_t now_s = (uint64_t)(ca->host->wall_ms(ca->context) / 1000);
    bool has_list = localca_list_path(ca, type)[0] != '\0';
    /* A clock that was set wrong and is set right again must not have let one go. */
    uint64_t gone_s = has_list ? localca_revoked_gone_s(&work->entry) : work->entry.expires_s;
    int rc;

    if (gone_s <= now_s) {
        plugin_work_fail(plugin_work, LEASED_GONE, "the certificate has expired");
        return;
    }
    if (!has_list) {
        plugin_work_fail(plugin_work, LEASED_INVALID,
                         type == LOCALCA_X509
                             ? "crl_file isn't configured any more, so it can't be revoked"
                             : "krl_file isn't configured any more, so it can't be revoked");
        return;
    }
    (void)localca_revoked_drop_expired(&ca->revoked, now_s);
    work->entry.revoked_s = (uint32_t)now_s;
    rc = localca_revoked_add(ca->host, &ca->revoked, &work->entry);
    if (rc == -1) {
        refuse_full(work, now_s);
        return;
    }
    if (rc != 0) {
        plugin_work_fail(plugin_work, LEASED_RETRY, "out of memory");
        return;
    }
    localca_warn(ca, "full", "");
    work->until = ++ca->lists[type].wanted;
#if defined(MUTANT) && MUTANT == 28 /* see src/base/mutant.h */
    plugin_work_end(plugin_work, LEASED_OK, NULL);
#endif
    localca_publish(ca, type); /* the work may be gone */
}

int32_t localca_revoke(leased_instance *ca, const struct leased_lease_ref *lease, leased_op *op)
{
    struct localca_work *work = plugin_work_new(&ca->works, sizeof(*work), op);

    if (work == NULL) {
        return -LEASED_RETRY;
    }
    if (localca_ref_parse(lease->issuer_ref, &work->entry) != 0) {
        return plugin_work_fail_soon(&work->work, LEASED_INVALID,
                                     "it isn't a reference to a certificate of a local CA");
    }
    return plugin_work_wait(&work->work, 0, revoke) == 0 ? 0 : plugin_work_refuse(&work->work);
}
