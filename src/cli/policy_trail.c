/* Reads a trail line by line. A line that is no record (one that a crash has cut off, for instance)
 * is counted and passed over: whether the trail is whole is for `lease audit verify` to say. */
#include "cli/policy_trail.h"

#include "access/partial.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/clock.h"
#include "cli/policy_folder.h"
#include "wire/audit_record.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define KEY_MAX_BYTES 1536

struct reading {
    struct policy_trail *trail;
    int64_t since_wall_ms;
    size_t known_count; /* records of the file, whenever they were written */
};

void policy_trail_init(struct policy_trail *trail)
{
    memset(trail, 0, sizeof(*trail));
    trail->is_whole = true;
    local_groups_init(&trail->groups);
    /* Whoever can choose keys has been let in by a policy and stands in the trail. */
    map_init(&trail->uses, 1);
    map_init(&trail->roles, 1);
    map_init(&trail->differences, 1);
}

static void notes_free(struct map *notes)
{
    struct map_entry *entry;

    while ((entry = map_first(notes)) != NULL) {
        map_remove(notes, entry);
        mem_free(MAP_ENTRY(entry, struct policy_note, entry));
    }
    map_fini(notes);
}

void policy_trail_fini(struct policy_trail *trail)
{
    struct map_entry *entry;

    while ((entry = map_first(&trail->uses)) != NULL) {
        map_remove(&trail->uses, entry);
        mem_free(MAP_ENTRY(entry, struct policy_use, entry));
    }
    map_fini(&trail->uses);
    notes_free(&trail->roles);
    notes_free(&trail->differences);
}

/* --- one record --- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

/* Who it was, for people. Returns `out`. */
static const char *who_of(const json_t *identity, char out[KEY_MAX_BYTES])
{
    const json_t *jwt = json_object_get(identity, "jwt");
    const char *user = text_of(identity, "user");
    const char *sub =
        text_of(jwt, "person")[0] != '\0' ? text_of(jwt, "person") : text_of(jwt, "sub");

    if (user[0] == '\0' && text_of(identity, "san")[0] != '\0') {
        user = text_of(identity, "san");
    }
    if (user[0] != '\0') {
        (void)snprintf(out, KEY_MAX_BYTES, "%s%s%s%s", user, sub[0] != '\0' ? " (" : "", sub,
                       sub[0] != '\0' ? ")" : "");
    } else {
        (void)snprintf(out, KEY_MAX_BYTES, "uid %lld",
                       (long long)json_integer_value(json_object_get(identity, "uid")));
    }
    return out;
}

/* In a container it may be in other groups, and its image stands in the trail only if it was known.
 */
uint32_t policy_trail_complete(struct local_groups *groups, const char *node, bool has_token,
                               struct access_identity *identity)
{
    uint32_t unknown = has_token ? ACCESS_PART_CLAIMS : 0;

    if (identity->container[0] != '\0') {
        return unknown | ACCESS_PART_GROUPS |
               (identity->image[0] == '\0' ? (uint32_t)ACCESS_PART_IMAGE : 0);
    }
    if (identity->kind != ENV_PEER_TLS && !local_groups_fill(groups, node, identity)) {
        unknown |= ACCESS_PART_GROUPS;
    }
    return unknown;
}

static void use_fill(struct policy_trail *trail, const json_t *record, struct policy_use *use)
{
    const json_t *identity = json_object_get(record, "identity");
    const json_t *uid = json_object_get(identity, "uid");
    struct access_identity *out = &use->identity;

    (void)snprintf(use->listener, sizeof(use->listener), "%s", text_of(record, "listener"));
    out->listener = use->listener;
    out->uid = uid != NULL ? (uint32_t)json_integer_value(uid) : ENV_NO_ID;
    (void)snprintf(out->user, sizeof(out->user), "%s", text_of(identity, "user"));
    (void)snprintf(out->unit, sizeof(out->unit), "%s", text_of(identity, "unit"));
    (void)snprintf(out->container, sizeof(out->container), "%s", text_of(identity, "container"));
    (void)snprintf(out->sans, sizeof(out->sans), "%s", text_of(identity, "san"));
    out->kind = out->sans[0] != '\0' ? ENV_PEER_TLS : ENV_PEER_UNIX;
    out->is_foreign = out->container[0] != '\0';
    use->unknown = policy_trail_complete(&trail->groups, text_of(record, "node"),
                                         json_object_get(identity, "jwt") != NULL, out);
}

static int use_add(struct policy_trail *trail, const json_t *record, const char *rule)
{
    const json_t *identity = json_object_get(record, "identity");
    const json_t *uid = json_object_get(identity, "uid");
    char key[KEY_MAX_BYTES];
    struct policy_use *use;
    size_t size;

    size = (size_t)snprintf(key, sizeof(key), "%s\n%s\n%lld\n%s\n%s\n%s\n%s\n%d", rule,
                            text_of(identity, "user"),
                            uid != NULL ? (long long)json_integer_value(uid) : -1,
                            text_of(identity, "unit"), text_of(identity, "container"),
                            text_of(record, "listener"), text_of(identity, "san"),
                            json_object_get(identity, "jwt") != NULL) +
           1;
    size = size < sizeof(key) ? size : sizeof(key);
    if (map_find(&trail->uses, str_of(key)) != NULL) {
        return 0;
    }
    if (map_count(&trail->uses) == POLICY_TRAIL_ENTRIES_MAX) {
        trail->is_whole = false;
        return 0;
    }
    use = mem_calloc(1, sizeof(*use) + size);
    if (use == NULL) {
        return ERR_NOMEM;
    }
    memcpy(use + 1, key, size);
    (void)snprintf(use->rule, sizeof(use->rule), "%s", rule);
    use_fill(trail, record, use);
    return map_add(&trail->uses, &use->entry, str_of((const char *)(use + 1)));
}

/* A note without its count; its texts are copied. */
static int note_add(struct policy_trail *trail, struct map *notes, const struct policy_note *from,
                    uint64_t count)
{
    char key[2 * KEY_MAX_BYTES];
    struct policy_note *note;
    struct map_entry *entry;
    const char **parts[6];
    char *at;
    size_t i;

    (void)snprintf(key, sizeof(key), "%.64s\n%.64s\n%.1000s\n%.64s\n%.64s\n%.400s", from->role,
                   from->backend, from->who, from->decided, from->observed, from->limits);
    entry = map_find(notes, str_of(key));
    if (entry != NULL) {
        MAP_ENTRY(entry, struct policy_note, entry)->count += count;
        return 0;
    }
    if (map_count(notes) == POLICY_TRAIL_ENTRIES_MAX) {
        trail->is_whole = false;
        return 0;
    }
    note = mem_calloc(1, sizeof(*note) + 2 * (strlen(key) + 1));
    if (note == NULL) {
        return ERR_NOMEM;
    }
    at = (char *)(note + 1);
    memcpy(at, key, strlen(key) + 1);
    note->count = count;
    if (map_add(notes, &note->entry, str_of(at)) != 0) {
        mem_free(note);
        return ERR_NOMEM;
    }
    /* The texts are a second copy, cut where the lines of the key end. */
    at += strlen(key) + 1;
    memcpy(at, key, strlen(key) + 1);
    parts[0] = &note->role;
    parts[1] = &note->backend;
    parts[2] = &note->who;
    parts[3] = &note->decided;
    parts[4] = &note->observed;
    parts[5] = &note->limits;
    for (i = 0; i < ARRAY_LEN(parts); i++) {
        *parts[i] = at;
        at += strcspn(at, "\n");
        if (*at != '\0') {
            *at++ = '\0';
        }
    }
    return 0;
}

static int role_add(struct policy_trail *trail, const json_t *record)
{
    const struct policy_note role = {.role = text_of(record, "role"),
                                     .backend = "",
                                     .who = "",
                                     .decided = "",
                                     .observed = "",
                                     .limits = ""};

    return note_add(trail, &trail->roles, &role, 1);
}

static int difference_add(struct policy_trail *trail, const json_t *record)
{
    const json_t *observed = json_object_get(record, "observed");
    const char *role = text_of(record, "role");
    char who[KEY_MAX_BYTES];
    const struct policy_note difference = {
        .role = role,
        .backend = role[0] == '\0' ? text_of(record, "backend") : "",
        .who = who_of(json_object_get(record, "identity"), who),
        .decided = text_of(record, "outcome"),
        .observed = text_of(observed, "outcome"),
        .limits = text_of(observed, "limits"),
    };
    json_int_t count = json_integer_value(json_object_get(record, "count"));

    return note_add(trail, &trail->differences, &difference, 1 + (count > 0 ? (uint64_t)count : 0));
}

static int record_add(struct reading *it, const json_t *record)
{
    struct policy_trail *trail = it->trail;
    const char *rule = text_of(json_object_get(record, "policy"), "rule");
    const char *event = text_of(record, "event");
    int64_t wall_ms = 0;
    int r = 0;

    if (units_parse_time(str_of(text_of(record, "time")), &wall_ms) != 0) {
        trail->foreign_count++;
        return 0;
    }
    it->known_count++;
    if (wall_ms < it->since_wall_ms) {
        return 0;
    }
    trail->record_count++;
    if (rule[0] != '\0') {
        r = use_add(trail, record, rule);
    }
    if (r == 0 && (strcmp(event, "grant.created") == 0 || strcmp(event, "credential.read") == 0)) {
        r = role_add(trail, record);
    }
    if (r == 0 && strcmp(event, "observe.differs") == 0) {
        r = difference_add(trail, record);
    }
    return r;
}

/* --- files --- */

static int lines_read(struct reading *it, FILE *file)
{
    char line[AUDIT_RECORD_MAX_BYTES + 2];
    bool is_rest = false; /* of a line that was too long */
    int r = 0;

    while (r == 0 && fgets(line, sizeof(line), file) != NULL) {
        bool is_end = strchr(line, '\n') != NULL;
        json_t *record = is_rest ? NULL : json_loads(line, 0, NULL);

        if (json_is_object(record)) {
            r = record_add(it, record);
        } else if (!is_rest) {
            it->trail->foreign_count++;
        }
        json_decref(record);
        is_rest = !is_end;
    }
    return r;
}

static int file_read(struct cli *cli, struct reading *it, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    uint64_t foreign_count = it->trail->foreign_count;
    int r;

    if (file == NULL) {
        cli_message(cli, "%s: could not be read: %s", path, strerror(errno));
        return CLI_FAILED;
    }
    it->known_count = 0;
    r = lines_read(it, file);
    if (r == 0 && ferror(file) != 0) {
        cli_message(cli, "%s: could not be read", path);
        r = ERR_IO;
    } else if (r != 0) {
        cli_message(cli, "%s", err_str(r));
    } else if (it->known_count == 0 && it->trail->foreign_count > foreign_count) {
        cli_message(cli, "%s: holds no audit record", path);
        r = ERR_INVALID;
    }
    if (file != stdin) {
        (void)fclose(file);
    }
    return r == 0 ? CLI_OK : CLI_FAILED;
}

bool policy_trail_is_file(const struct cli *cli, const char *argument)
{
    return cli->options.values[OPTION_AUDIT].count > 0 &&
           !str_ends_with(str_of(argument), ".yaml") && !policy_folder_is_one(argument);
}

int policy_trail_read(struct cli *cli, struct policy_trail *trail)
{
    const struct option_values *files = &cli->options.values[OPTION_AUDIT];
    struct reading it = {.trail = trail};
    uint64_t since_ms = 0;
    struct err e = {0};
    int exit_code = CLI_OK;
    size_t i;

    if (options_get_duration(&cli->options, OPTION_SINCE, 0, &since_ms, &e) != 0) {
        return cli_usage_error(cli, "%s", e.text);
    }
    it.since_wall_ms = since_ms > 0 ? clock_wall_ms() - (int64_t)since_ms : INT64_MIN;
    for (i = 0; exit_code == CLI_OK && i < files->count; i++) {
        exit_code = file_read(cli, &it, files->items[i]);
    }
    for (i = 0; exit_code == CLI_OK && i < cli->options.arg_count; i++) {
        if (policy_trail_is_file(cli, cli->options.args[i])) {
            exit_code = file_read(cli, &it, cli->options.args[i]);
        }
    }
    if (exit_code == CLI_OK && !trail->is_whole) {
        cli_message(cli, "the trail tells of more than %d rules and callers: some are left out",
                    POLICY_TRAIL_ENTRIES_MAX);
    }
    return exit_code;
}
