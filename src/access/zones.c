/* Zones are asked for while policies are compiled; a name that is known nowhere is compared with
 * those in the database's own list, which has them as "Z NAME …" and "L TARGET NAME". */
#include "access/zones.h"

#include "base/mem.h"

#include <string.h>

#define LIST_FILE "tzdata.zi"
#define LIST_MAX_BYTES (1024U * 1024U)
#define GUESS_DISTANCE_MAX 3U

void access_zones_init(struct access_zones *zones, access_zone_read_fn read, void *user)
{
    *zones = (struct access_zones){.read = read, .user = user};
}

static void zone_free(struct access_zone *zone)
{
    if (zone != NULL) {
        tzif_free(zone->tzif);
        mem_free(zone->name);
        mem_free(zone);
    }
}

void access_zones_fini(struct access_zones *zones)
{
    size_t i;

    for (i = 0; i < zones->count; i++) {
        zone_free(zones->items[i]);
    }
    mem_free(zones->items);
    *zones = (struct access_zones){0};
}

/* Segments of letters, digits and _ + -, so that a name can't lead out of the database. */
static bool name_is_sound(struct str name)
{
    size_t i;

    if (name.len == 0 || name.len >= ACCESS_ZONE_NAME_MAX_BYTES || name.ptr[0] == '/' ||
        name.ptr[name.len - 1] == '/') {
        return false;
    }
    for (i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!is_word && c != '_' && c != '+' && c != '-' && (c != '/' || name.ptr[i - 1] == '/')) {
            return false;
        }
    }
    return true;
}

/* --- guessing --- */

struct guess {
    struct str name;
    size_t distance;
};

static void guess_try(struct guess *guess, struct str wanted, struct str name)
{
    struct str tail = name;
    size_t distance = str_distance(wanted, name, GUESS_DISTANCE_MAX);

    /* "Berlin" alone is as good as a typing error. */
    if (wanted.len + 1 < name.len) {
        tail.ptr = name.ptr + (name.len - wanted.len - 1);
        tail.len = wanted.len;
        if (*tail.ptr == '/' && memcmp(tail.ptr + 1, wanted.ptr, wanted.len) == 0) {
            distance = 1;
        }
    }
    if (distance < guess->distance) {
        *guess = (struct guess){name, distance};
    }
}

static struct str guess_in(struct str list, struct str wanted)
{
    struct guess guess = {.distance = GUESS_DISTANCE_MAX + 1};

    while (list.len > 0) {
        struct str line = str_cut(&list, '\n');
        struct str word = str_cut(&line, ' ');

        if (str_eq_c(word, "L")) {
            (void)str_cut(&line, ' ');
        }
        if (str_eq_c(word, "L") || str_eq_c(word, "Z")) {
            guess_try(&guess, wanted, str_cut(&line, ' '));
        }
    }
    return guess.name;
}

static int unknown(const struct access_zones *zones, const char *name, struct err *e)
{
    struct str guess;
    BUF_AUTO list;

    buf_init(&list, LIST_MAX_BYTES);
    if (zones->read == NULL || zones->read(zones->user, LIST_FILE, &list) != 0) {
        return err_set(e, ERR_NOT_FOUND,
                       "unknown time zone `%s`; is the package tzdata installed here?", name);
    }
    guess = guess_in(buf_str(&list), str_of(name));
    if (guess.len == 0) {
        return err_set(e, ERR_NOT_FOUND, "unknown time zone `%s`", name);
    }
    return err_set(e, ERR_NOT_FOUND, "unknown time zone `%s`: did you mean `%.*s`?", name,
                   STR_ARG(guess));
}

/* --- reading --- */

static int zone_read(const struct access_zones *zones, const char *name, struct tzif **ret_tzif,
                     struct err *e)
{
    int r = ERR_NOT_FOUND;
    struct err why = {0};
    BUF_AUTO bytes;

    buf_init(&bytes, TZIF_MAX_BYTES);
    if (strcmp(name, "UTC") == 0) {
        *ret_tzif = NULL;
        return 0;
    }
    if (zones->read != NULL) {
        r = zones->read(zones->user, name, &bytes);
    }
    if (r == ERR_NOT_FOUND) {
        return unknown(zones, name, e);
    }
    if (r != 0) {
        return r == ERR_NOMEM
                   ? r
                   : err_set(e, r, "could not read time zone `%s`: %s", name, err_str(r));
    }
    r = tzif_parse(buf_str(&bytes), ret_tzif, &why);
    return r == 0 || r == ERR_NOMEM
               ? r
               : err_set(e, r, "time zone `%s` can't be used: %s", name, why.text);
}

static int zone_add(struct access_zones *zones, const char *name, struct access_zone **ret_zone,
                    struct err *e)
{
    struct access_zone **items;
    struct access_zone *zone;
    int r;

    if (zones->count == ACCESS_ZONES_MAX) {
        return err_set(e, ERR_LIMIT, "over %u time zones", ACCESS_ZONES_MAX);
    }
    items = mem_realloc(zones->items, (zones->count + 1) * sizeof(struct access_zone *));
    if (items == NULL) {
        return ERR_NOMEM;
    }
    zones->items = items;
    zone = mem_calloc(1, sizeof(*zone));
    if (zone == NULL) {
        return ERR_NOMEM;
    }
    zone->name = mem_strdup(name);
    r = zone->name != NULL ? zone_read(zones, name, &zone->tzif, e) : ERR_NOMEM;
    if (r != 0) {
        zone_free(zone);
        return r;
    }
    zones->items[zones->count++] = zone;
    *ret_zone = zone;
    return 0;
}

int access_zones_get(struct access_zones *zones, const char *name,
                     const struct access_zone **ret_zone, struct err *e)
{
    struct access_zone *zone = NULL;
    size_t i;
    int r;

    if (!name_is_sound(str_of(name))) {
        return err_set(e, ERR_INVALID, "this is no name of a time zone, such as Europe/Berlin");
    }
    for (i = 0; i < zones->count; i++) {
        if (strcmp(zones->items[i]->name, name) == 0) {
            *ret_zone = zones->items[i];
            return 0;
        }
    }
    r = zone_add(zones, name, &zone, e);
    if (r == 0) {
        *ret_zone = zone;
    }
    return r;
}
