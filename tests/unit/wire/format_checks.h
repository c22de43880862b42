/* Credentials for tests, and what a format makes of them. */
#ifndef LEASED_TESTS_FORMAT_CHECKS_H
#define LEASED_TESTS_FORMAT_CHECKS_H

#include "wire/format.h"

#define DOCUMENT                                                                                   \
    "{\"role\":\"orders-db\",\"lease\":\"l-1\",\"grant\":\"g-1\",\"version\":1,"                   \
    "\"expires_at\":\"2026-11-22T20:35:00.000Z\",\"renewable\":true,"                              \
    "\"credential\":{\"username\":\"bob\",\"password\":%s,\"port\":5432}}"

/* format_credential_fini it, or hand it to one of the two below. */
struct format_credential format_parsed(const char *text);

/* DOCUMENT with this JSON text as its password. */
struct format_credential format_with_password(const char *json);

/* The credential (taken) in this format is exactly this text. */
void format_assert_renders(struct format_credential credential, const char *format,
                           const char *wanted);

/* This format refuses the credential (taken) with this code, and says so. */
void format_assert_refused(struct format_credential credential, const char *format, int code,
                           const char *part);

#endif
