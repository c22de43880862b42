/* How patient a test must be, and how much of a volume it can afford, in a build that runs slowly.
 */
#ifndef LEASED_TESTS_SUPPORT_SLOWDOWN_H
#define LEASED_TESTS_SUPPORT_SLOWDOWN_H

#include <stdlib.h>

/* By how many times this build is slower than a release (TEST_SLOWDOWN): 1 to 999. */
static inline unsigned slowdown(void)
{
    const char *text = getenv("TEST_SLOWDOWN");
    unsigned long value = text != NULL ? strtoul(text, NULL, 10) : 1;

    return value > 0 && value < 1000 ? (unsigned)value : 1;
}

/* How often to repeat what a release repeats `count` times; at least once. */
static inline unsigned slowed(unsigned count)
{
    unsigned rounds = count / slowdown();

    return rounds > 0 ? rounds : 1;
}

#endif
