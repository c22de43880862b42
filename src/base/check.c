/* Assertion failures: said on stderr with nothing allocated, then abort(). */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_failed(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "leased: bug: CHECK(%s) failed at %s:%d\n", condition, file, line);
    abort();
}

void *check_magic(const char *file, int line, void *object, uint32_t magic)
{
    uint32_t found;

    if (object == NULL) {
        check_failed(file, line, "object != NULL");
    }
    memcpy(&found, object, sizeof(found));
    if (found != magic) {
        check_failed(file, line, "object->magic matches its type");
    }
    return object;
}
