/* The voices of a guarded world. One speaks once, lives for a while with what it got, and dies. */
#include "sim_asking.h"

#include "sim_rules.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_MS 1000U
#define LIFE_MAX_MS (120U * SECOND_MS)
#define ADMIN_UID SIM_UID_FIRST
#define REASONS 3
#define TARGET_MAX_BYTES 120
#define BODY_MAX_BYTES 4096

struct voice {
    struct list node;
    struct sim_asking *asking;
    struct env_connection *connection; /* NULL: it is closed */
    struct sim_event death;
    int32_t pid;
    uint32_t uid;
    const char *role; /* that it asks for; NULL: it doesn't */
    char reason[16];
    size_t policy; /* that it plans or applies */
    bool is_plan;
};

static uint64_t below(struct sim_asking *asking, uint64_t bound)
{
    return sim_random_below(&asking->world->sim.random, bound);
}

/* --- a voice's life --------------------------------------------------------------------------- */

static void voice_free(struct voice *voice)
{
    struct sim *sim = &voice->asking->world->sim;

    sim_process_kill(sim, voice->pid);
    sim_unschedule(sim, &voice->death);
    list_remove(&voice->node);
    free(voice);
}

static void voice_dies(struct sim_event *event)
{
    voice_free(CONTAINER_OF(event, struct voice, death));
}

static struct voice *voice_new(struct sim_asking *asking, uint32_t uid)
{
    struct sim *sim = &asking->world->sim;
    struct env_peer peer = {.uid = uid, .gid = uid, .group_count = 0};
    struct voice *voice = calloc(1, sizeof(*voice));

    CHECK(voice != NULL);
    voice->asking = asking;
    voice->uid = uid;
    voice->death.fn = voice_dies;
    voice->pid = sim_process_spawn(sim, uid, 1);
    peer.pid = voice->pid;
    peer.start_ticks = sim_process(sim, voice->pid)->facts.start_ticks;
    (void)snprintf(peer.cgroup, sizeof(peer.cgroup), "/");
    voice->connection = sim_connection_open(&asking->world->listener, &peer);
    list_push_back(&asking->voices, &voice->node);
    return voice;
}

static void voice_send(struct voice *voice, const struct sim_request_options *said)
{
    (void)sim_request_send(voice->connection, said);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void know(struct voice *voice, const char *id)
{
    struct sim_asking *asking = voice->asking;
    struct sim_known *known;

    for (size_t i = 0; i < SIM_ASKED_KEPT; i++) {
        if (strcmp(asking->known[i].id, id) == 0) {
            return;
        }
    }
    known = &asking->known[asking->known_count++ % SIM_ASKED_KEPT];
    *known = (struct sim_known){.uid = voice->uid};
    (void)snprintf(known->id, sizeof(known->id), "%s", id);
    (void)snprintf(known->role, sizeof(known->role), "%s", voice->role);
    (void)snprintf(known->reason, sizeof(known->reason), "%s", voice->reason);
}

static void operate(struct sim_asking *asking, size_t policy, const char *digest);

static void answer_read(struct voice *voice, const struct sim_request *request)
{
    json_t *answer = json_loadb(request->answer.bytes, request->answer.len, 0, NULL);
    const char *id = json_string_value(json_object_get(answer, "id"));
    const char *digest = json_string_value(json_object_get(answer, "digest"));

    if (id == NULL) {
        id = json_string_value(json_object_get(answer, "approval"));
    }
    if (voice->role != NULL && id != NULL) {
        know(voice, id);
    }
    if (voice->is_plan && request->status == 200 && digest != NULL) {
        operate(voice->asking, voice->policy, digest);
    }
    json_decref(answer);
}

static void replied(struct sim_request *request)
{
    struct voice *voice = request->user;
    struct sim_asking *asking = voice->asking;

    sim_check_replied(asking->check, request);
    if (voice->role == NULL && !voice->is_plan && voice->policy < SIM_RULES_COUNT &&
        request->status == 200) {
        sim_guard_applied(asking->check->guard, voice->policy);
    }
}

static void over(struct sim_request *request, bool is_delivered)
{
    struct voice *voice = request->user;
    struct sim *sim = &voice->asking->world->sim;

    sim_check_answered(voice->asking->check, request, is_delivered);
    if (!voice->connection->is_closing) {
        sim_connection_close(voice->connection, SECOND_MS);
    }
    voice->connection = NULL;
    sim_schedule_in(sim, &voice->death, below(voice->asking, LIFE_MAX_MS));
    if (is_delivered && request->answer.len > 0 && voice->asking->world->is_up) {
        answer_read(voice, request);
    }
}

/* --- what is said ----------------------------------------------------------------------------- */

static struct sim_known *draw_known(struct sim_asking *asking)
{
    size_t count =
        asking->known_count < SIM_ASKED_KEPT ? asking->known_count : (size_t)SIM_ASKED_KEPT;

    return count > 0 ? &asking->known[below(asking, count)] : NULL;
}

/* A request alone, a grant, or a grant that is waited for. */
static void ask(struct sim_asking *asking, struct voice *voice)
{
    struct sim_request_options said = {.replied = replied, .over = over, .user = voice};
    char target[TARGET_MAX_BYTES] = "/leased/v1/requests";
    char body[BODY_MAX_BYTES];
    uint64_t way = below(asking, 3);

    (void)snprintf(body, sizeof(body), "{\"role\":\"%s\"%s%s%s%s}", voice->role,
                   voice->reason[0] != '\0' ? ",\"reason\":\"" : "", voice->reason,
                   voice->reason[0] != '\0' ? "\"" : "",
                   below(asking, 4) == 0 ? ",\"duration\":60" : "");
    said.method = "POST";
    said.body = body;
    if (way == 1) {
        (void)snprintf(target, sizeof(target), "/leased/v1/leases%s",
                       below(asking, 2) == 0 ? "?wait=40" : "");
    } else if (way == 2 && voice->reason[0] != '\0') {
        (void)snprintf(target, sizeof(target), "/leased/v1/credentials/%s?reason=%s&wait=90",
                       voice->role, voice->reason);
        said.method = "GET";
        said.body = NULL;
    }
    said.target = target;
    voice_send(voice, &said);
}

static void ask_anew(struct sim_asking *asking)
{
    struct voice *voice = voice_new(asking, SIM_UID_FIRST + (uint32_t)below(asking, SIM_UID_COUNT));

    voice->policy = SIM_RULES_COUNT;
    voice->role = below(asking, 2) == 0 ? "none" : "other";
    (void)snprintf(voice->reason, sizeof(voice->reason), "OPS-%u",
                   (unsigned)below(asking, REASONS));
    ask(asking, voice);
}

/* Mostly as it was asked for; also with another reason, or none. */
static void use(struct sim_asking *asking)
{
    const struct sim_known *known = draw_known(asking);
    struct voice *voice;
    uint64_t way = below(asking, 10);

    if (known == NULL) {
        return;
    }
    voice = voice_new(asking, known->uid);
    voice->policy = SIM_RULES_COUNT;
    voice->role = strcmp(known->role, "none") == 0 ? "none" : "other";
    if (way < 7) {
        (void)snprintf(voice->reason, sizeof(voice->reason), "%s", known->reason);
    } else if (way < 9) {
        (void)snprintf(voice->reason, sizeof(voice->reason), "OPS-%u",
                       (unsigned)below(asking, REASONS));
    }
    ask(asking, voice);
}

/* What is given within a window alone, and hangs on nothing else. */
static void read_windowed(struct sim_asking *asking)
{
    struct voice *voice = voice_new(asking, SIM_UID_FIRST + (uint32_t)below(asking, SIM_UID_COUNT));

    voice->policy = SIM_RULES_COUNT;
    voice_send(voice,
               &(struct sim_request_options){.method = "GET",
                                             .target = "/leased/v1/credentials/common?binding=none",
                                             .replied = replied,
                                             .over = over,
                                             .user = voice});
}

static void say(struct sim_asking *asking)
{
    static const char *const verbs[] = {"approve", "approve", "approve", "approve", "approve",
                                        "approve", "approve", "approve", "deny",    "withdraw"};
    const struct sim_known *known = draw_known(asking);
    const char *verb = verbs[below(asking, ARRAY_LEN(verbs))];
    bool is_own = strcmp(verb, "withdraw") == 0 && below(asking, 2) == 0;
    struct voice *voice;
    char target[TARGET_MAX_BYTES];

    if (known == NULL) {
        return;
    }
    voice = voice_new(asking,
                      is_own ? known->uid : SIM_UID_FIRST + (uint32_t)below(asking, SIM_UID_COUNT));
    voice->policy = SIM_RULES_COUNT;
    (void)snprintf(target, sizeof(target), "/leased/v1/requests/%s/%s", known->id, verb);
    voice_send(voice, &(struct sim_request_options){.method = "POST",
                                                    .target = target,
                                                    .replied = replied,
                                                    .over = over,
                                                    .user = voice});
}

/* Plans the policy, or applies what was planned. */
static void operate(struct sim_asking *asking, size_t policy, const char *digest)
{
    struct voice *voice = voice_new(asking, ADMIN_UID);
    json_t *body =
        json_pack("{s:[{s:s, s:s}]}", "files", "name", "a.yaml", "text", sim_rules_texts[policy]);
    char *text;

    voice->policy = policy;
    voice->is_plan = digest == NULL;
    if (digest != NULL) {
        CHECK(json_object_set_new(body, "digest", json_string(digest)) == 0);
        sim_guard_applying(&asking->guard);
    }
    text = json_dumps(body, 0);
    CHECK(text != NULL);
    voice_send(voice,
               &(struct sim_request_options){.method = "POST",
                                             .target = digest == NULL ? "/leased/v1/policy/plan"
                                                                      : "/leased/v1/policy/apply",
                                             .body = text,
                                             .replied = replied,
                                             .over = over,
                                             .user = voice});
    mem_free(text);
    json_decref(body);
}

/* --- when ------------------------------------------------------------------------------------- */

static void again(struct sim_asking *asking)
{
    if (asking->every_ms > 0) {
        sim_schedule_in(&asking->world->sim, &asking->event, below(asking, 2 * asking->every_ms));
    }
}

static void act(struct sim_event *event)
{
    struct sim_asking *asking = CONTAINER_OF(event, struct sim_asking, event);
    uint64_t what = below(asking, 11);

    again(asking);
    if (!asking->world->is_up) {
        return;
    }
    if (what < 3) {
        ask_anew(asking);
    } else if (what < 7) {
        say(asking);
    } else if (what < 10) {
        use(asking);
    } else {
        read_windowed(asking);
    }
}

static void apply_again(struct sim_asking *asking)
{
    if (asking->apply_every_ms > 0) {
        sim_schedule_in(&asking->world->sim, &asking->applying,
                        below(asking, 2 * asking->apply_every_ms));
    }
}

static void apply(struct sim_event *event)
{
    struct sim_asking *asking = CONTAINER_OF(event, struct sim_asking, applying);

    apply_again(asking);
    if (asking->world->is_up) {
        operate(asking, 1 - asking->world->policy_index, NULL);
    }
}

void sim_asking_draw(struct sim_asking *asking, struct sim_random *random,
                     struct sim_world_options *options)
{
    options->is_guarded = true;
    options->policy = sim_rules_texts[0];
    options->other_policy = sim_rules_texts[1];
    asking->every_ms = 200 + sim_random_below(random, 2800);
    asking->apply_every_ms = sim_random_chance(random, 300)
                                 ? 0
                                 : 20U * SECOND_MS + sim_random_below(random, 100U * SECOND_MS);
}

void sim_asking_start(struct sim_asking *asking, struct sim_check *check)
{
    asking->world = check->world;
    asking->check = check;
    sim_guard_init(&asking->guard, check->world, &check->trail);
    check->guard = check->trail.guard = &asking->guard;
    list_init(&asking->voices);
    asking->event = (struct sim_event){.fn = act};
    asking->applying = (struct sim_event){.fn = apply};
    again(asking);
    apply_again(asking);
}

void sim_asking_stop(struct sim_asking *asking)
{
    if (asking->world != NULL) {
        asking->every_ms = asking->apply_every_ms = 0;
        sim_unschedule(&asking->world->sim, &asking->event);
        sim_unschedule(&asking->world->sim, &asking->applying);
    }
}

void sim_asking_end(struct sim_asking *asking)
{
    if (asking->world == NULL) {
        return;
    }
    while (!list_is_empty(&asking->voices)) {
        voice_free(LIST_ENTRY(asking->voices.next, struct voice, node));
    }
    sim_trail_read(&asking->check->trail);
    asking->check->guard = asking->check->trail.guard = NULL;
    sim_guard_fini(&asking->guard);
}
