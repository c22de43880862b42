/* Does one thing that rules say hold for every caller that another one holds for? Internal to
 * access/. Never says yes where it isn't so. */
#ifndef LEASED_ACCESS_COVER_H
#define LEASED_ACCESS_COVER_H

#include "access/subject.h"

/* Does `wide` match every caller that `narrow`, in a rule that allows, matches? `is_denial`: `wide`
 * stands in a rule that denies. */
bool access_subject_covers(const struct access_subject *wide, const struct access_subject *narrow,
                           bool is_denial);

/* Does one of them? */
bool access_subjects_cover(const struct access_subjects *wide, const struct access_subject *narrow,
                           bool is_denial);

/* What makes a subject mean too many, for people: "is everybody on this machine"; NULL: nothing.
 * Root is no mistake where others than callers are meant, who own the machine (`is_of_operators`).
 */
const char *access_subject_breadth(const struct access_subject *subject, bool is_of_operators);

#endif
