/* Which revision of a work tree each of the last policies came from. */
#include "audit/audit_internal.h"

#include <stdio.h>
#include <string.h>

static size_t revision_find(const struct audit *audit, const char *digest)
{
    size_t i = 0;

    while (i < AUDIT_REVISIONS_MAX && strcmp(audit->revisions[i].digest, digest) != 0) {
        i++;
    }
    return i;
}

void audit_set_revision(struct audit *audit, const char *digest, const char *revision)
{
    size_t i = revision_find(audit, digest);
    struct audit_revision *entry;

    if (i == AUDIT_REVISIONS_MAX) {
        i = audit->revision_next;
        audit->revision_next = (i + 1) % AUDIT_REVISIONS_MAX;
    }
    entry = &audit->revisions[i];
    (void)snprintf(entry->digest, sizeof(entry->digest), "%s", digest);
    (void)snprintf(entry->revision, sizeof(entry->revision), "%s", revision);
}

const char *audit_revision(const struct audit *audit, const char *digest)
{
    size_t i =
        digest != NULL && digest[0] != '\0' ? revision_find(audit, digest) : AUDIT_REVISIONS_MAX;

    return i < AUDIT_REVISIONS_MAX ? str_or_null(audit->revisions[i].revision) : NULL;
}
