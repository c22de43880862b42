#include "lists.h"

#include "wire.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC UINT64_C(0x5353484b524c0a00) /* "SSHKRL\n\0" */
#define FORMAT_VERSION 1
#define SECTION_CERTIFICATES 1
#define SECTION_SERIAL_LIST 0x20

static int compare(const void *a, const void *b)
{
    const struct localca_serial *one = a;
    const struct localca_serial *other = b;

    return memcmp(one->bytes, other->bytes, LOCALCA_SERIAL_BYTES);
}

/* In their order, as ssh-keygen has them. */
static void put_serials(struct plugin_form *out, const struct localca_revoked *revoked)
{
    size_t count = localca_revoked_count(revoked, LOCALCA_SSH);
    struct localca_serial *serials = plugin_alloc(out->host, count * sizeof(*serials));
    struct plugin_form list = {.host = out->host};
    size_t used = 0;

    if (serials == NULL) {
        out->is_failed = true;
        return;
    }
    for (size_t i = 0; i < revoked->count; i++) {
        if (revoked->entries[i].type == LOCALCA_SSH) {
            serials[used++] = revoked->entries[i].serial;
        }
    }
    qsort(serials, used, sizeof(*serials), compare);
    for (size_t i = 0; i < used; i++) {
        const char *bytes = (const char *)serials[i].bytes;

        plugin_form_add(&list, (struct leased_str){bytes + LOCALCA_SERIAL_BYTES - 8, 8});
    }
    out->host->secret_free(serials);
    localca_put_form(out, &list);
    plugin_form_fini(&list);
}

int localca_krl_make(const struct localca_revoked *revoked, int64_t now_s, struct plugin_form *out)
{
    struct plugin_form section = {.host = out->host};

    localca_put_u64(out, MAGIC);
    localca_put_u32(out, FORMAT_VERSION);
    localca_put_u64(out, revoked->number);
    localca_put_u64(out, (uint64_t)now_s);
    localca_put_u64(out, 0);                 /* flags */
    localca_put_string(out, PLUGIN_STR("")); /* reserved */
    localca_put_string(out, PLUGIN_STR("leased"));
    if (localca_revoked_count(revoked, LOCALCA_SSH) > 0) {
        localca_put_string(&section, PLUGIN_STR("")); /* of any CA */
        localca_put_string(&section, PLUGIN_STR("")); /* reserved */
        localca_put_u8(&section, SECTION_SERIAL_LIST);
        put_serials(&section, revoked);
        localca_put_u8(out, SECTION_CERTIFICATES);
        localca_put_form(out, &section);
        plugin_form_fini(&section);
    }
    return out->is_failed ? -1 : 0;
}
