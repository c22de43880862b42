/* The files of what is revoked.
 *
 * Happy path: a list changes → it is made and written whole → when it is durable, those who wait
 * for it are ended. What changes meanwhile goes into the next one. At the beginning both are
 * written, because sshd refuses everybody whose RevokedKeys file isn't there; a CRL again at half
 * of its life.
 *
 * Failure paths: a list that can't be made or written ends those who wait for it with LEASED_RETRY,
 * is a standing warning, and is tried again each minute. */
#include "instance.h"
#include "lists.h"

#include <openssl/x509v3.h>

#define AGAIN_MS 60000U

static const char *const keys[] = {[LOCALCA_X509] = "crl", [LOCALCA_SSH] = "krl"};
static const char *const what[] = {[LOCALCA_X509] = "the CRL", [LOCALCA_SSH] = "the KRL"};

static void arm(leased_instance *ca);
static void write_list(leased_instance *ca, enum localca_type type);

const char *localca_list_path(const leased_instance *ca, enum localca_type type)
{
    return type == LOCALCA_X509 ? ca->config.crl_file : ca->config.krl_file;
}

/* --- those who wait --------------------------------------------------------------------------- */

static void end_waiting(leased_instance *ca, enum localca_type type, uint64_t until,
                        const char *problem)
{
    struct plugin_work *following;

    for (struct plugin_work *each = ca->works.first; each != NULL; each = following) {
        const struct localca_work *work = (struct localca_work *)(void *)each;

        following = each->next;
        if (work->until == 0 || work->until > until || work->entry.type != type) {
            continue;
        }
        if (problem == NULL) {
            plugin_work_end(each, LEASED_OK, NULL);
        } else {
            plugin_work_fail(each, LEASED_RETRY, problem);
        }
    }
}

/* --- writing ---------------------------------------------------------------------------------- */

static void failed(leased_instance *ca, enum localca_type type, const char *problem)
{
    struct localca_list *list = &ca->lists[type];
    struct plugin_text text;

    plugin_text_set(&text, "%s can't be written, so revocations wait: %s", what[type], problem);
    if (!list->is_failing) {
        localca_log(ca, LEASED_LOG_WARN, "localca.publish.failed", text.bytes);
    }
    list->is_failing = true;
    list->due_ms = ca->host->now_ms(ca->context) + AGAIN_MS;
    localca_warn(ca, keys[type], text.bytes);
    end_waiting(ca, type, list->wanted, text.bytes);
}

static void succeeded(leased_instance *ca, enum localca_type type)
{
    struct localca_list *list = &ca->lists[type];

    if (list->is_failing) {
        localca_log(ca, LEASED_LOG_INFO, "localca.publish.works", what[type]);
        localca_warn(ca, keys[type], "");
    }
    list->is_failing = false;
    list->due_ms = UINT64_MAX;
    if (type == LOCALCA_X509) {
        list->due_ms = ca->host->now_ms(ca->context) + ca->config.crl_lifetime_s * 1000 / 2;
    }
    end_waiting(ca, type, list->written, NULL);
}

static void written(leased_instance *ca, enum localca_type type, int32_t status,
                    struct leased_str detail)
{
    struct localca_list *list = &ca->lists[type];
    uint64_t so_far = list->writing;
    struct plugin_text problem;

    list->writing = 0;
    if (ca->is_closing) {
        return;
    }
    if (status == 0) {
        list->written = so_far;
        succeeded(ca, type);
    } else {
        plugin_text_set(&problem, "%.*s", (int)detail.len, detail.ptr);
        failed(ca, type, problem.bytes);
    }
    if (status == 0 && list->wanted > list->written) {
        write_list(ca, type);
    }
    arm(ca);
}

static void crl_written(void *user, int32_t status, struct leased_str detail)
{
    written(user, LOCALCA_X509, status, detail);
}

static void krl_written(void *user, int32_t status, struct leased_str detail)
{
    written(user, LOCALCA_SSH, status, detail);
}

/* Its bytes. 0, or -1 with the reason. */
static int make_list(leased_instance *ca, enum localca_type type, struct plugin_form *out,
                     struct plugin_text *problem)
{
    int64_t now_s = ca->host->wall_ms(ca->context) / 1000;
    struct localca_ca keys_now = {.key = NULL};
    int rc = -1;

    plugin_text_set(problem, "out of memory");
    if (type == LOCALCA_SSH) {
        return localca_krl_make(&ca->revoked, now_s, out);
    }
    if (localca_ca_read(ca->host, ca->context, &ca->config, &keys_now, problem) != LEASED_OK) {
        rc = -1;
    } else if ((X509_get_key_usage(keys_now.certificate) & KU_CRL_SIGN) == 0) {
        plugin_text_set(problem,
                        "ca_cert_file: its keyUsage lacks cRLSign, so nobody would believe "
                        "its CRL");
    } else {
        rc = localca_crl_make(&keys_now, &ca->revoked, now_s, ca->config.crl_lifetime_s, out);
    }
    localca_ca_fini(ca->host, &keys_now);
    return rc;
}

/* Each list has a greater number than the last one. */
static void next_number(leased_instance *ca)
{
    uint64_t now_s = (uint64_t)(ca->host->wall_ms(ca->context) / 1000);

    ca->revoked.number = ca->revoked.number < now_s ? now_s : ca->revoked.number + 1;
}

/* So that the next run goes on with it. Not waited for: it is stored before the end of a revocation
 * is, and without that the host revokes again. */
static void keep(leased_instance *ca)
{
    char *state = plugin_alloc(ca->host, LOCALCA_STATE_MAX_BYTES);
    int32_t status = -LEASED_RETRY;

    if (state != NULL) {
        size_t len = localca_revoked_encode(&ca->revoked, state);

        status = ca->host->state_put(ca->context, (struct leased_str){state, len});
    }
    ca->host->secret_free(state);
    localca_warn(ca, "state",
                 status < 0 ? "what is revoked can't be kept, so a restart forgets it: the lists "
                              "are written anew without it (state.ledger and its seal key)"
                            : "");
}

static void write_list(leased_instance *ca, enum localca_type type)
{
    struct localca_list *list = &ca->lists[type];
    struct plugin_form bytes = {.host = ca->host};
    struct plugin_text problem;

    (void)localca_revoked_drop_expired(&ca->revoked,
                                       (uint64_t)(ca->host->wall_ms(ca->context) / 1000));
    next_number(ca);
    keep(ca);
    if (make_list(ca, type, &bytes, &problem) != 0) {
        failed(ca, type, problem.bytes);
    } else if (ca->host->file_put(ca->context, plugin_str(localca_list_path(ca, type)),
                                  plugin_form_str(&bytes),
                                  type == LOCALCA_X509 ? crl_written : krl_written, ca) != 0) {
        failed(ca, type, "out of memory");
    } else {
        list->writing = list->wanted;
    }
    plugin_form_fini(&bytes);
}

/* --- when ------------------------------------------------------------------------------------- */

/* One at a time: the next one has a turn of its own. */
static void due(void *user)
{
    leased_instance *ca = user;
    uint64_t now_ms = ca->host->now_ms(ca->context);
    bool has_written = false;

    ca->timer = NULL;
    for (int type = LOCALCA_X509; !has_written && type <= LOCALCA_SSH; type++) {
        struct localca_list *list = &ca->lists[type];

        if (list->due_ms <= now_ms && list->writing == 0) {
            list->wanted++;
            write_list(ca, (enum localca_type)type);
            has_written = true;
        }
    }
    arm(ca);
}

static void arm(leased_instance *ca)
{
    uint64_t now_ms = ca->host->now_ms(ca->context);
    uint64_t next_ms = UINT64_MAX;

    if (ca->timer != NULL) {
        ca->host->timer_stop(ca->context, ca->timer);
        ca->timer = NULL;
    }
    for (int type = LOCALCA_X509; type <= LOCALCA_SSH; type++) {
        if (ca->lists[type].writing == 0 && ca->lists[type].due_ms < next_ms) {
            next_ms = ca->lists[type].due_ms;
        }
    }
    if (next_ms != UINT64_MAX) {
        /* Without memory for a timer it waits for the next revocation. */
        ca->timer =
            ca->host->timer_start(ca->context, next_ms > now_ms ? next_ms - now_ms : 0, due, ca);
    }
}

int localca_publish_begin(leased_instance *ca)
{
    bool has_any = false;

    for (int type = LOCALCA_X509; type <= LOCALCA_SSH; type++) {
        bool is_there = localca_list_path(ca, (enum localca_type)type)[0] != '\0';

        ca->lists[type].due_ms = is_there ? 0 : UINT64_MAX;
        has_any = has_any || is_there;
    }
    arm(ca);
    return has_any && ca->timer == NULL ? -1 : 0;
}

void localca_publish(leased_instance *ca, enum localca_type type)
{
    struct localca_list *list = &ca->lists[type];

    if (list->writing == 0) {
        write_list(ca, type);
        arm(ca);
    }
}

void localca_publish_stop(leased_instance *ca)
{
    ca->is_closing = true;
    if (ca->timer != NULL) {
        ca->host->timer_stop(ca->context, ca->timer);
        ca->timer = NULL;
    }
}
