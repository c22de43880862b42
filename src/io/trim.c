/* glibc keeps what is freed below a block that is still in use, and after a flood there always is
 * one: a thousand connections of 14 KiB each would stay in the process for ever. */
#include "io/trim.h"

#include <malloc.h>

bool trim_is_due(uint32_t *peak, uint32_t count)
{
    if (count >= *peak) {
        *peak = count;
        return false;
    }
    if (*peak < TRIM_PEAK_LEAST || count > *peak / TRIM_PART) {
        return false;
    }
    *peak = count;
    return true;
}

void trim_now(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}
