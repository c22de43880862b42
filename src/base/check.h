/* Assertions that stay on in release builds, and the only compiler attributes that the project
 * uses.
 *
 * CHECK states a fact about our own code. It never tests input, allocation or I/O. */
#ifndef LEASED_BASE_CHECK_H
#define LEASED_BASE_CHECK_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define ATTR_PRINTF(format_index, first_arg)                                                       \
    __attribute__((format(printf, format_index, first_arg)))
#define ATTR_MUST_USE __attribute__((warn_unused_result))
#define ATTR_NORETURN __attribute__((noreturn))
#define ATTR_CLEANUP(fn) __attribute__((cleanup(fn)))
#define ATTR_MALLOC __attribute__((malloc))

/* Prints the place and the condition to stderr and aborts. Never returns. */
ATTR_NORETURN void check_failed(const char *file, int line, const char *condition);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            check_failed(__FILE__, __LINE__, #condition);                                          \
        }                                                                                          \
    } while (0)

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Objects that travel through `void *` start with `uint32_t magic`, set to <TYPE>_MAGIC. OBJ_CAST
 * takes such a pointer back and checks it. */
void *check_magic(const char *file, int line, void *object, uint32_t magic);

#define OBJ_CAST(ptr, type, magic_value)                                                           \
    ((type *)check_magic(__FILE__, __LINE__, (ptr), (magic_value)))

#endif
