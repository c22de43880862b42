/* A hierarchical timing wheel.
 *
 * A deadline is read as eleven digits of six bits. Its level is the highest digit in which it
 * differs from `now`, its slot is its digit at that level. So all entries of a lower level are due
 * before those of a higher one, slots of a level are in order, and within a level only digits above
 * now's are used. Comparing two places therefore compares times, and finding the next slot is
 * finding the lowest bit of the lowest level's bitmap.
 *
 * When time reaches the start of a slot, its entries are placed anew, lower down; at level 0 a slot
 * is one millisecond. An entry's slot never starts after its deadline; it may start before (a
 * deadline that was moved out). */
#include "lease/wheel.h"

#define WHEEL_BITS 6
#define WHEEL_DUE 0

static_assert(WHEEL_LEVELS * WHEEL_BITS >= 64, "the levels cover all of a deadline");
static_assert(sizeof(struct wheel_entry) == 32, "two entries fit in a cache line");

void wheel_init(struct wheel *wheel, uint64_t now_ms,
                void (*fire)(struct wheel *wheel, struct wheel_entry *entry))
{
    *wheel = (struct wheel){.now_ms = now_ms, .horizon_ms = now_ms, .fire = fire};
}

static unsigned place_level(unsigned place)
{
    return (place - 1) / WHEEL_SLOTS;
}

static unsigned place_slot(unsigned place)
{
    return (place - 1) % WHEEL_SLOTS;
}

/* Where a deadline after now belongs. */
static unsigned place_of(uint64_t now_ms, uint64_t when_ms)
{
    /* The highest bit that differs, at least one of level 0's. */
    unsigned bit = 63U - (unsigned)__builtin_clzll((now_ms ^ when_ms) | (WHEEL_SLOTS - 1));
    unsigned level = bit / WHEEL_BITS;
    unsigned slot = (unsigned)(when_ms >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1);

    return 1 + level * WHEEL_SLOTS + slot;
}

/* The first millisecond of a slot: now's digits above the level, the slot's digit, zeros. */
static uint64_t place_start_ms(uint64_t now_ms, unsigned place)
{
    unsigned shift = place_level(place) * WHEEL_BITS;
    unsigned shift_above = shift + WHEEL_BITS;
    uint64_t above = shift_above < 64 ? now_ms >> shift_above << shift_above : 0;

    return above | (uint64_t)place_slot(place) << shift;
}

static void wheel_link(struct wheel *wheel, struct wheel_entry *entry, unsigned place)
{
    struct wheel_entry **head = &wheel->slots[place];

    entry->place = (uint16_t)place;
    entry->next = *head;
    entry->link = head;
    if (entry->next != NULL) {
        entry->next->link = &entry->next;
    }
    *head = entry;
    if (place != WHEEL_DUE) {
        wheel->occupied[place_level(place)] |= 1ULL << place_slot(place);
    }
}

static void wheel_unlink(struct wheel *wheel, struct wheel_entry *entry)
{
    unsigned place = entry->place;

    *entry->link = entry->next;
    if (entry->next != NULL) {
        entry->next->link = entry->link;
    }
    entry->link = NULL;
    /* Also right for an entry in `firing`: its slot was emptied, or holds what was armed since. */
    if (place != WHEEL_DUE && wheel->slots[place] == NULL) {
        wheel->occupied[place_level(place)] &= ~(1ULL << place_slot(place));
    }
}

static unsigned wheel_place(const struct wheel *wheel, uint64_t when_ms)
{
    return when_ms <= wheel->horizon_ms ? WHEEL_DUE : place_of(wheel->now_ms, when_ms);
}

void wheel_arm(struct wheel *wheel, struct wheel_entry *entry, uint64_t when_ms)
{
    unsigned place = wheel_place(wheel, when_ms);

    entry->when_ms = when_ms;
    if (entry->link == NULL) {
        wheel->count++;
    } else if (entry->place != WHEEL_DUE && place >= entry->place) {
        return; /* its old place comes up in time */
    } else {
        wheel_unlink(wheel, entry);
    }
    wheel_link(wheel, entry, place);
}

void wheel_cancel(struct wheel *wheel, struct wheel_entry *entry)
{
    if (entry->link != NULL) {
        wheel_unlink(wheel, entry);
        wheel->count--;
    }
}

/* The first slot that holds something; 0 when the wheel is empty but for what is due. */
static unsigned wheel_first_place(const struct wheel *wheel)
{
    unsigned level;

    for (level = 0; level < WHEEL_LEVELS; level++) {
        if (wheel->occupied[level] != 0) {
            return 1 + level * WHEEL_SLOTS + (unsigned)__builtin_ctzll(wheel->occupied[level]);
        }
    }
    return 0;
}

uint64_t wheel_next_ms(const struct wheel *wheel)
{
    unsigned place;

    if (wheel->slots[WHEEL_DUE] != NULL) {
        return wheel->now_ms;
    }
    place = wheel_first_place(wheel);
    return place != 0 ? place_start_ms(wheel->now_ms, place) : WHEEL_NEVER;
}

/* Takes a slot out as a whole; its entries keep their place until each is looked at. */
static void wheel_detach(struct wheel *wheel, unsigned place)
{
    wheel->firing = wheel->slots[place];
    wheel->slots[place] = NULL;
    if (wheel->firing != NULL) {
        wheel->firing->link = &wheel->firing;
    }
    if (place != WHEEL_DUE) {
        wheel->occupied[place_level(place)] &= ~(1ULL << place_slot(place));
    }
}

/* Fires what of the detached slot is due and places the rest anew. */
static void wheel_run(struct wheel *wheel)
{
    while (wheel->firing != NULL) {
        struct wheel_entry *entry = wheel->firing;

        wheel_unlink(wheel, entry);
        if (entry->when_ms > wheel->now_ms) {
            wheel_link(wheel, entry, place_of(wheel->now_ms, entry->when_ms));
            continue;
        }
        wheel->count--;
        wheel->fire(wheel, entry); /* the entry and its owner may be gone */
    }
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms)
{
    unsigned place;

    CHECK(wheel->firing == NULL);
    if (now_ms > wheel->horizon_ms) {
        wheel->horizon_ms = now_ms;
    }
    wheel_detach(wheel, WHEEL_DUE);
    wheel_run(wheel);
    while ((place = wheel_first_place(wheel)) != 0) {
        uint64_t start_ms = place_start_ms(wheel->now_ms, place);

        if (start_ms > wheel->horizon_ms) {
            break;
        }
        wheel->now_ms = start_ms;
        wheel_detach(wheel, place);
        wheel_run(wheel);
    }
    wheel->now_ms = wheel->horizon_ms;
}

size_t wheel_count(const struct wheel *wheel)
{
    return wheel->count;
}

static size_t wheel_check_slot(const struct wheel *wheel, unsigned place)
{
    struct wheel_entry *const *link = &wheel->slots[place];
    const struct wheel_entry *entry;
    size_t count = 0;

    for (entry = *link; entry != NULL; entry = entry->next) {
        CHECK(entry->link == link);
        CHECK(entry->place == place);
        if (place != WHEEL_DUE) {
            CHECK(place_start_ms(wheel->now_ms, place) > wheel->now_ms);
            CHECK(place_start_ms(wheel->now_ms, place) <= entry->when_ms);
        }
        link = &entry->next;
        count++;
    }
    return count;
}

void wheel_check(const struct wheel *wheel)
{
    size_t count = wheel_check_slot(wheel, WHEEL_DUE);
    unsigned place;

    CHECK(wheel->firing == NULL);
    CHECK(wheel->horizon_ms == wheel->now_ms);
    for (place = 1; place <= WHEEL_LEVELS * WHEEL_SLOTS; place++) {
        uint64_t bit = 1ULL << place_slot(place);

        CHECK(((wheel->occupied[place_level(place)] & bit) != 0) == (wheel->slots[place] != NULL));
        count += wheel_check_slot(wheel, place);
    }
    CHECK(count == wheel->count);
}
