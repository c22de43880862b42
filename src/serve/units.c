/* A unit's credential, asked for before the unit runs.
 *
 * Happy path: the service manager asks (its socket's name says for which unit) → policy judges root
 * with that unit → the credential goes out → from then on its unit is looked at: once it has run,
 * the grant ends with its last process.
 *
 * Failure paths: the name counts as much as its owner: of anybody but root, or of root in a
 * container, it is denied and on record. A unit that doesn't come up within the time that systemd
 * gives it by default has its grant ended. What a crash has left is looked at again at the next
 * start. Whether a unit runs can't be found out: nothing changes. */
#include "serve/units.h"

#include "base/log.h"
#include "base/mem.h"
#include "env/unit.h"
#include "serve/acquire.h"

#include <stdio.h>
#include <string.h>

/* systemd's DefaultTimeoutStartSec. */
#define GRACE_MS 90000U
#define LOOK_MS 500U

struct unit_grant {
    struct list node;
    char grant[LEASE_ID_BYTES + 1];
    char unit[ACCESS_UNIT_MAX_BYTES];
    uint64_t until_ms; /* it need not run before */
    bool has_run;
};

/* ---- what a grant hangs on --------------------------------------------------- */

static void arm(struct units *units)
{
    struct env *env = units->serve->options.env;

    if (!list_is_empty(&units->list) && units->timer.heap_index == 0) {
        env_timer_arm(env, &units->timer, env_now_ms(env) + LOOK_MS);
    }
}

/* True: it is over. */
static bool look_at(const struct units *units, struct unit_grant *it)
{
    struct lease_core *core = units->serve->options.core;
    struct env *env = units->serve->options.env;
    struct grant *grant = lease_core_find_grant(core, str_of(it->grant));
    struct grant_view view;
    int r;

    if (grant == NULL) {
        return true;
    }
    grant_view(grant, &view);
    if (view.state == GRANT_STATE_ENDED) {
        return true;
    }
    r = env_unit_is_running(env, it->unit);
    it->has_run = it->has_run || r > 0;
    if (r != 0 || (!it->has_run && env_now_ms(env) < it->until_ms)) {
        return false;
    }
    lease_end_grant(core, grant, GRANT_END_BINDING, NULL);
    return true;
}

static void look(struct env_timer *timer)
{
    struct units *units = timer->user;
    struct list *node;
    struct list *following;

    LIST_EACH (&units->list, node, following) {
        struct unit_grant *it = LIST_ENTRY(node, struct unit_grant, node);

        if (look_at(units, it)) {
            list_remove(&it->node);
            mem_free(it);
        }
    }
    arm(units);
}

/* ERR_NOMEM; fine on one that is looked at already. */
static int track(struct units *units, const char *grant, const char *unit, uint64_t grace_ms)
{
    struct unit_grant *it;
    struct list *node;
    struct list *following;

    LIST_EACH (&units->list, node, following) {
        if (strcmp(LIST_ENTRY(node, struct unit_grant, node)->grant, grant) == 0) {
            return 0;
        }
    }
    it = mem_calloc(1, sizeof(*it));
    if (it == NULL) {
        return ERR_NOMEM;
    }
    (void)snprintf(it->grant, sizeof(it->grant), "%s", grant);
    (void)snprintf(it->unit, sizeof(it->unit), "%s", unit);
    it->until_ms = env_now_ms(units->serve->options.env) + grace_ms;
    list_push_back(&units->list, &it->node);
    arm(units);
    return 0;
}

void units_init(struct units *units, struct serve *serve)
{
    *units = (struct units){.serve = serve, .timer = {.fn = look}};
    units->timer.user = units;
    list_init(&units->list);
}

void units_fini(struct units *units)
{
    struct list *node;

    env_timer_disarm(units->serve->options.env, &units->timer);
    while ((node = list_pop_front(&units->list)) != NULL) {
        mem_free(LIST_ENTRY(node, struct unit_grant, node));
    }
}

static bool is_a_units(const struct grant_view *view)
{
    return view->state != GRANT_STATE_ENDED && view->unit != NULL && view->unit[0] != '\0' &&
           strcmp(view->bindings, "file") == 0 &&
           !str_starts_with(str_of(view->identity_key), FILES_LISTENER "/");
}

void units_start(struct units *units)
{
    struct lease_core *core = units->serve->options.core;
    struct grant *grant = NULL;
    struct grant_view view;

    while ((grant = lease_core_next_grant(core, grant)) != NULL) {
        grant_view(grant, &view);
        if (is_a_units(&view) && track(units, view.id, view.unit, 0) != 0) {
            log_event(LOG_LEVEL_ERROR, "unit.lost", "grant", view.id, "err", err_str(ERR_NOMEM),
                      "detail", "it lives to the end of its duration", NULL);
        }
    }
}

/* ---- answers ----------------------------------------------------------------- */

/* The part of the credential's id behind the role's name; ptr NULL: all of it. */
static struct str field_of(const struct exchange *x)
{
    struct str rest = x->request->credential;

    (void)str_cut(&rest, '.');
    return rest;
}

static int field_write(const struct exchange *x, const struct grant *grant, struct str field)
{
    struct lease_credential credential;
    size_t i;
    int r = lease_credential_open(x->serve->options.core, grant_lease(grant), &credential);

    if (r != 0) {
        return r;
    }
    r = ERR_UNSUPPORTED;
    for (i = 0; i < credential.field_count; i++) {
        if (str_eq(credential.fields[i].name, field)) {
            buf_add_str(&x->serve->body, credential.fields[i].value);
            r = 0;
        }
    }
    lease_credential_close(&credential);
    return r;
}

static int unit_send(struct exchange *x, uint32_t status, const struct grant *grant)
{
    struct env_reply reply = {.status = 200};
    struct str field = field_of(x);
    struct grant_view view;
    struct json_out json;
    int r;

    (void)status;
    exchange_json(x, &json);
    if (field.len > 0) {
        r = field_write(x, grant, field);
    } else {
        json_out_object_open(&json, NULL);
        r = view_write_credential(&json, x->serve->options.core, grant);
        json_out_object_close(&json);
    }
    grant_view(grant, &view);
    if (r == 0) {
        r = track(&x->serve->units, view.id, x->identity.unit, GRACE_MS);
    }
    if (r == 0) {
        exchange_send(x, &reply);
    }
    return r;
}

static int unit_send_again(struct exchange *x, const struct grant *grant)
{
    return unit_send(x, 200, grant);
}

/* Nobody reads it: io ends the connection by its status. What happened stands in the log, too. */
static void unit_problem(struct exchange *x, const struct exchange_problem *problem,
                         struct env_reply *reply)
{
    char unit[ACCESS_UNIT_MAX_BYTES];
    char credential[ACCESS_UNIT_MAX_BYTES];

    exchange_problem_write(x, problem, reply);
    (void)snprintf(unit, sizeof(unit), "%.*s", STR_ARG(x->request->unit));
    (void)snprintf(credential, sizeof(credential), "%.*s", STR_ARG(x->request->credential));
    log_event(LOG_LEVEL_WARN, "unit.refused", "peer", unit, "path", credential, "err",
              problem->detail, "listener", x->listener->name, NULL);
}

static const struct serve_form unit_form = {
    .api = "systemd",
    .is_file = true,
    .send = unit_send,
    .send_again = unit_send_again,
    .problem = unit_problem,
};

/* ---- questions --------------------------------------------------------------- */

static void refuse(struct exchange *x, uint32_t status, const char *detail)
{
    if (status == 403) {
        struct audit_record record;

        exchange_record(x, "grant.denied", "denied", &record);
        record.error = detail;
        denied_note(&x->serve->denied, x->key, &record);
        metrics_count_denial(x->serve, NULL);
    }
    exchange_fail(x, &(struct exchange_problem){
                         .status = status, .code = "denied", .detail = detail, .close = true});
}

/* Root on this machine, for one of its units. */
static void identity_take(struct exchange *x)
{
    struct str unit = x->request->unit;

    (void)snprintf(x->identity.unit, sizeof(x->identity.unit), "%.*s", STR_ARG(unit));
    x->identity.pid = 0; /* the manager's, which is none of the unit's */
    x->identity.start_ticks = 0;
    (void)access_identity_key(&x->identity, x->key);
}

void serve_unit(struct exchange *x)
{
    struct str role_name = x->request->credential;
    const struct lease_role *role;

    x->api = SERVE_API_SYSTEMD;
    x->form = &unit_form;
    if ((x->listener->apis & SERVE_API_SYSTEMD) == 0) {
        refuse(x, 404, "this listener doesn't serve systemd");
        return;
    }
    if (x->identity.uid != 0 || x->identity.is_foreign || x->identity.container[0] != '\0') {
        refuse(x, 403, "only the machine's service manager asks for units by its socket's name");
        return;
    }
    if (x->request->unit.len >= sizeof(x->identity.unit)) {
        refuse(x, 400, "the unit's name is too long");
        return;
    }
    identity_take(x);
    role_name = str_cut(&role_name, '.');
    role = lease_core_role(x->serve->options.core, role_name);
    if (role == NULL) {
        refuse(x, 404, "there is no role of the name that the credential's id begins with");
        return;
    }
    acquire_start(x, role, false);
}
