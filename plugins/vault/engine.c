/* The table of engines. The first rule that recognises the answer decides; the last one takes
 * whatever is left, as a secret that may change at any time.
 *
 * Two things are told apart that leases hide: when a credential ends, and when its issuer may have
 * another one (refresh). A certificate ends; a KV secret doesn't, but may change; a static password
 * does both at its rotation. */
#include "engine.h"

#include "sshcert.h"
#include "common/when.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNIX_MAX_S INT64_C(253402300799) /* the year 9999 */
#define ROTATION_LATE_S 5                /* Vault usually rotates within this */
#define ROTATION_POLL_MAX_S 30
#define SERIAL_MAX_BYTES 128U

/* --- the answer's parts ----------------------------------------------------------------------- */

/* A moment in unix seconds; -1: there is none. */
static int64_t moment_of(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    json_int_t moment_s = json_integer_value(value);

    return json_is_integer(value) && moment_s >= 0 && moment_s <= UNIX_MAX_S ? moment_s : -1;
}

/* Refuses an end that has come, or is absurdly far away. */
static int32_t end_at(const struct vault_answer *answer, int64_t end_s, struct vault_life *life,
                      struct plugin_text *detail)
{
    if (end_s <= answer->now_s) {
        plugin_text_set(detail, "the credential's end has passed already; compare the clocks");
        return LEASED_INVALID;
    }
    life->seconds = end_s - answer->now_s;
    if (life->seconds > VAULT_SECONDS_MAX) {
        life->seconds = VAULT_SECONDS_MAX;
    }
    return LEASED_OK;
}

static int64_t wanted_or(const struct vault_answer *answer, int64_t default_s)
{
    uint64_t wanted_s = vault_op_wanted_s(answer->op);

    return wanted_s > 0 ? (int64_t)wanted_s : default_s;
}

static int32_t end_of(const struct vault_answer *answer, const char *key, struct vault_life *life,
                      struct plugin_text *detail)
{
    int64_t end_s = moment_of(answer->reply->data, key);

    if (end_s < 0) {
        plugin_text_set(detail, "the credential's end can't be read: %s is no unix time", key);
        return LEASED_INVALID;
    }
    return end_at(answer, end_s, life, detail);
}

/* --- leases ----------------------------------------------------------------------------------- */

static bool is_lease(const struct vault_answer *answer)
{
    return answer->reply->lease_id.len > 0;
}

/* Keys of STS can't be taken back: revoking their lease only makes Vault forget it. */
static bool is_sts(json_t *data)
{
    return vault_reply_text(data, "access_key").len > 0 &&
           (vault_reply_text(data, "security_token").len > 0 ||
            vault_reply_text(data, "session_token").len > 0);
}

static int32_t lease_life(const struct vault_answer *answer, struct vault_life *life,
                          struct plugin_text *detail)
{
    const struct vault_reply *reply = answer->reply;

    if (reply->lease_duration_s == 0) {
        plugin_text_set(detail, "the lease has no lease_duration");
        return LEASED_INVALID;
    }
    life->seconds = vault_aged_s(reply->lease_duration_s, answer->age_s);
    if (life->seconds == 0) {
        plugin_text_set(detail, "the answer is so old that its lease has ended");
        return LEASED_RETRY;
    }
    life->is_renewable = reply->is_renewable && !is_sts(reply->data);
    life->is_revocable = !is_sts(reply->data);
    return LEASED_OK;
}

/* --- durations without a lease ---------------------------------------------------------------- */

/* KV's lease_duration is a hint when to look again, and the mount's default (a month) says nothing.
 * It is given for a `ttl` (`lease`, formerly) that can't be read, too: only one that can was chosen
 * by the secret. */
static int64_t chosen_seconds(json_t *data)
{
    const char *key = json_object_get(data, "ttl") != NULL ? "ttl" : "lease";
    int64_t seconds = 0;

    if (json_is_string(json_object_get(data, key))) {
        seconds = plugin_when_duration(vault_reply_text(data, key));
    } else {
        (void)vault_reply_seconds(data, key, &seconds);
    }
    return seconds;
}

/* Only KV gives a duration without a lease, and never says that it can be renewed. Where leases are
 * expected it is KV's if the secret chose it, or if it is longer than a secret is kept anyway. */
static bool is_unnamed(const struct vault_answer *answer)
{
    const struct vault_reply *reply = answer->reply;

    if (reply->lease_duration_s == 0 || reply->is_renewable) {
        return reply->lease_duration_s > 0;
    }
    return answer->op->shape.kind == VAULT_SHAPE_LEASED &&
           reply->lease_duration_s < VAULT_SECRET_LIFE_S && chosen_seconds(reply->data) <= 0;
}

/* It ends with its duration, and nothing can be done about that. */
static int32_t unnamed_life(const struct vault_answer *answer, struct vault_life *life,
                            struct plugin_text *detail)
{
    life->seconds = vault_aged_s(answer->reply->lease_duration_s, answer->age_s);
    if (life->seconds == 0) {
        plugin_text_set(detail, "the answer is so old that the credential has ended");
        return LEASED_RETRY;
    }
    life->warning = "the issuer gave a lease_duration without a lease_id: the credential can "
                    "neither be renewed nor revoked";
    return LEASED_OK;
}

/* --- certificates ----------------------------------------------------------------------------- */

/* What a secret's keys are called is its author's affair: KV's answers have a duration, which no
 * other answer without a lease has. */
static bool is_secret(const struct vault_answer *answer)
{
    return answer->reply->lease_duration_s > 0 && !answer->op->is_post;
}

static bool is_certificate(const struct vault_answer *answer)
{
    const struct vault_op *op = answer->op;
    json_t *data = answer->reply->data;
    bool is_asked = op->is_post && op->shape.kind == VAULT_SHAPE_CERTIFICATE;

    return !is_secret(answer) && vault_reply_text(data, "certificate").len > 0 &&
           (json_is_integer(json_object_get(data, "expiration")) ||
            (is_asked && json_object_get(data, "expiration") != NULL));
}

static bool is_serial(struct leased_str serial)
{
    for (size_t i = 0; i < serial.len; i++) {
        if (strchr("0123456789abcdefABCDEF:-", serial.ptr[i]) == NULL || serial.ptr[i] == '\0') {
            return false;
        }
    }
    return serial.len > 0 && serial.len <= SERIAL_MAX_BYTES;
}

static int32_t certificate_life(const struct vault_answer *answer, struct vault_life *life,
                                struct plugin_text *detail)
{
    const struct vault_op *op = answer->op;
    struct leased_str serial = vault_reply_text(answer->reply->data, "serial_number");

    if (op->shape.kind == VAULT_SHAPE_CERTIFICATE && !op->is_unrevoked && is_serial(serial)) {
        life->is_revocable = true;
        (void)snprintf(life->ref, sizeof(life->ref), VAULT_REF_CERTIFICATE "%.*s %.*s",
                       (int)op->shape.mount_len, op->path, (int)serial.len, serial.ptr);
    }
    return end_of(answer, "expiration", life, detail);
}

static bool is_ssh_certificate(const struct vault_answer *answer)
{
    return !is_secret(answer) && vault_reply_text(answer->reply->data, "signed_key").len > 0;
}

static int32_t ssh_certificate_life(const struct vault_answer *answer, struct vault_life *life,
                                    struct plugin_text *detail)
{
    uint64_t before_s;

    if (vault_sshcert_valid_before(answer->op->vault->host,
                                   vault_reply_text(answer->reply->data, "signed_key"),
                                   &before_s) != 0) {
        plugin_text_set(detail, "the signed key is no OpenSSH certificate whose end can be read");
        return LEASED_INVALID;
    }
    return end_at(answer, before_s > (uint64_t)UNIX_MAX_S ? UNIX_MAX_S : (int64_t)before_s, life,
                  detail);
}

/* --- static passwords ------------------------------------------------------------------------- */

static bool is_static(const struct vault_answer *answer)
{
    json_t *data = answer->reply->data;

    return !is_secret(answer) && json_is_integer(json_object_get(data, "ttl")) &&
           (answer->op->shape.kind == VAULT_SHAPE_STATIC ||
            json_object_get(data, "last_vault_rotation") != NULL);
}

/* For how long the rotation has been due; a rotation by a calendar doesn't tell. */
static int64_t late_seconds(const struct vault_answer *answer)
{
    json_t *data = answer->reply->data;
    int64_t last_s = plugin_when_rfc3339(vault_reply_text(data, "last_vault_rotation"));
    int64_t period_s = 0;

    if (last_s < 0 || vault_reply_seconds(data, "rotation_period", &period_s) != 1) {
        return ROTATION_LATE_S;
    }
    return answer->now_s - last_s - period_s;
}

/* To be read again then, and served on when that can't be. */
static void until_rotation(const struct vault_answer *answer, int64_t poll_s,
                           struct vault_life *life)
{
    poll_s = poll_s < VAULT_SECONDS_MAX ? poll_s : VAULT_SECONDS_MAX;
    life->refresh_ms = (uint64_t)poll_s * 1000U + vault_random(answer->op->vault, 1000U);
    life->seconds = wanted_or(answer, poll_s + VAULT_SECRET_LIFE_S);
}

/* Read at its rotation and not before: until then there is only the same password with less life.
 * Vault may serve the old one for some seconds more; who asks then waits for the new one. When
 * Vault can't rotate (the database is down) the old one stays good, and the polls come less and
 * less often. While Vault is away nobody rotates: it is served on then as other secrets are. */
static int32_t static_life(const struct vault_answer *answer, struct vault_life *life,
                           struct plugin_text *detail)
{
    int64_t ttl_s = 0;
    int64_t poll_s;

    if (vault_reply_seconds(answer->reply->data, "ttl", &ttl_s) != 1) {
        plugin_text_set(detail, "ttl is not a number of seconds");
        return LEASED_INVALID;
    }
    ttl_s = vault_aged_s(ttl_s, answer->age_s);
    poll_s = ttl_s + 1;
    if (ttl_s <= 1) {
        int64_t late_s = late_seconds(answer);

        if (ttl_s == 1 || late_s < ROTATION_LATE_S) {
            life->retry_after_ms = (uint64_t)poll_s * 1000U;
            plugin_text_set(detail, "the password is about to be rotated");
            return LEASED_RETRY_AFTER;
        }
        poll_s = late_s < ROTATION_POLL_MAX_S ? late_s : ROTATION_POLL_MAX_S;
    }
    until_rotation(answer, poll_s, life);
    return LEASED_OK;
}

/* Keys of AWS tell the moment of their rotation as a text. */
static bool is_static_key(const struct vault_answer *answer)
{
    return !is_secret(answer) && answer->op->shape.kind == VAULT_SHAPE_STATIC &&
           vault_reply_text(answer->reply->data, "expiration").len > 0;
}

static int32_t static_key_life(const struct vault_answer *answer, struct vault_life *life,
                               struct plugin_text *detail)
{
    int64_t end_s = plugin_when_rfc3339(vault_reply_text(answer->reply->data, "expiration"));

    if (end_s < 0) {
        plugin_text_set(detail, "the key's rotation can't be read: expiration is no date");
        return LEASED_INVALID;
    }
    until_rotation(answer, end_s > answer->now_s ? end_s - answer->now_s + 1 : ROTATION_POLL_MAX_S,
                   life);
    return LEASED_OK;
}

/* --- for the moment --------------------------------------------------------------------------- */

static bool is_code(const struct vault_answer *answer)
{
    return !is_secret(answer) && answer->op->shape.kind == VAULT_SHAPE_CODE &&
           vault_reply_text(answer->reply->data, "code").len > 0;
}

static int32_t code_life(const struct vault_answer *answer, struct vault_life *life,
                         struct plugin_text *detail)
{
    int64_t end_s = moment_of(answer->reply->data, "expire_time");
    int64_t least_s;

    life->refresh_ms = UINT64_MAX;
    if (end_s < 0) {
        life->seconds = VAULT_CODE_LIFE_S;
        return LEASED_OK;
    }
    /* Whoever checks it takes one that has just ended, too. */
    least_s = answer->now_s + VAULT_CODE_LEAST_S;
    return end_at(answer, end_s > least_s ? end_s : least_s, life, detail);
}

static bool is_data_key(const struct vault_answer *answer)
{
    return answer->op->shape.kind == VAULT_SHAPE_DATA_KEY &&
           vault_reply_text(answer->reply->data, "ciphertext").len > 0;
}

static int32_t data_key_life(const struct vault_answer *answer, struct vault_life *life,
                             struct plugin_text *detail)
{
    (void)detail;
    life->refresh_ms = UINT64_MAX;
    life->seconds = wanted_or(answer, VAULT_DATA_KEY_LIFE_S);
    return LEASED_OK;
}

/* --- secrets ---------------------------------------------------------------------------------- */

/* Without a limit of the role's own a secret is served on while Vault is down, because it doesn't
 * die of that; with one it is never older. */
static int32_t secret_life(const struct vault_answer *answer, struct vault_life *life,
                           int64_t hint_s)
{
    int64_t refresh_s = answer->op->refresh_s > 0 ? answer->op->refresh_s : hint_s;

    life->seconds = wanted_or(answer, 0);
    if (life->seconds == 0) {
        life->seconds = refresh_s < VAULT_SECRET_LIFE_S / 2 ? VAULT_SECRET_LIFE_S : 2 * refresh_s;
        life->refresh_ms = (uint64_t)refresh_s * 1000U;
    } else if (answer->op->refresh_s > 0) {
        life->refresh_ms = (uint64_t)refresh_s * 1000U;
    }
    return LEASED_OK;
}

static bool is_versioned(const struct vault_answer *answer)
{
    json_t *data = answer->reply->data;

    return json_object_size(data) == 2 && json_is_object(json_object_get(data, "data")) &&
           json_is_integer(json_object_get(json_object_get(data, "metadata"), "version"));
}

static int32_t versioned_life(const struct vault_answer *answer, struct vault_life *life,
                              struct plugin_text *detail)
{
    (void)detail;
    life->fields = json_object_get(answer->reply->data, "data");
    life->metadata = json_object_get(answer->reply->data, "metadata");
    return secret_life(answer, life, VAULT_REFRESH_DEFAULT_S);
}

/* Tokens of identity/oidc and of cloud engines tell their own end. */
static bool has_own_end(const struct vault_answer *answer)
{
    json_t *data = answer->reply->data;

    return answer->reply->lease_duration_s == 0 &&
           (json_is_integer(json_object_get(data, "expiration")) ||
            json_is_integer(json_object_get(data, "expires_at_seconds")) ||
            json_is_integer(json_object_get(data, "ttl")));
}

static int32_t own_end_life(const struct vault_answer *answer, struct vault_life *life,
                            struct plugin_text *detail)
{
    json_t *data = answer->reply->data;
    const char *key =
        json_is_integer(json_object_get(data, "expiration")) ? "expiration" : "expires_at_seconds";

    if (json_is_integer(json_object_get(data, key))) {
        return end_of(answer, key, life, detail);
    }
    if (vault_reply_seconds(data, "ttl", &life->seconds) != 1 || life->seconds == 0) {
        plugin_text_set(detail, "ttl gives the credential no life");
        return LEASED_INVALID;
    }
    life->seconds = vault_aged_s(life->seconds, answer->age_s);
    if (life->seconds == 0) {
        plugin_text_set(detail, "the answer is so old that the credential has ended");
        return LEASED_RETRY;
    }
    return LEASED_OK;
}

static bool is_anything(const struct vault_answer *answer)
{
    (void)answer;
    return true;
}

static int32_t other_life(const struct vault_answer *answer, struct vault_life *life,
                          struct plugin_text *detail)
{
    const struct vault_reply *reply = answer->reply;
    bool is_chosen = reply->lease_duration_s > 0 && chosen_seconds(reply->data) > 0;

    (void)detail;
    return secret_life(answer, life, is_chosen ? reply->lease_duration_s : VAULT_REFRESH_DEFAULT_S);
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct {
    bool (*applies)(const struct vault_answer *answer);
    int32_t (*life)(const struct vault_answer *answer, struct vault_life *life,
                    struct plugin_text *detail);
} engines[] = {
    {is_lease, lease_life},                     /* database, aws, rabbitmq, ldap, kubernetes, … */
    {is_unnamed, unnamed_life},                 /* the same, whose lease isn't told */
    {is_certificate, certificate_life},         /* pki without generate_lease */
    {is_ssh_certificate, ssh_certificate_life}, /* ssh/sign, ssh/issue */
    {is_static, static_life},                   /* database/static-creds, ldap/static-cred */
    {is_static_key, static_key_life},           /* aws/static-creds */
    {is_code, code_life},                       /* totp/code */
    {is_data_key, data_key_life},               /* transit/datakey */
    {is_versioned, versioned_life},             /* kv, version 2 */
    {has_own_end, own_end_life},                /* identity/oidc/token, gcp tokens */
    {is_anything, other_life},                  /* kv, version 1; cubbyhole */
};

int32_t vault_engine_decide(const struct vault_answer *answer, struct vault_life *ret_life,
                            struct plugin_text *ret_detail)
{
    size_t i = 0;

    *ret_life = (struct vault_life){.asked_ms = answer->op->sent_ms, .fields = answer->reply->data};
    while (!engines[i].applies(answer)) {
        i++;
    }
    return engines[i].life(answer, ret_life, ret_detail);
}

int64_t vault_engine_now_s(struct leased_instance *vault, const struct leased_http_reply *http)
{
    int64_t date_s = plugin_when_http(plugin_header(http, "date"));

    return date_s >= 0 ? date_s : vault->host->wall_ms(vault->context) / 1000;
}
