/* Moments as AWS writes them, in UTC. */
#ifndef AWS_MOMENT_H
#define AWS_MOMENT_H

#include <stdint.h>

#define AWS_MOMENT_BASIC_BYTES sizeof("20260102T030405Z")
#define AWS_MOMENT_ISO_BYTES sizeof("2026-01-02T03:04:05Z")

/* Unix seconds from 1970 to 9999; what lies outside becomes the nearest of them. */
void aws_moment_basic(int64_t when_s, char out[AWS_MOMENT_BASIC_BYTES]);
void aws_moment_iso(int64_t when_s, char out[AWS_MOMENT_ISO_BYTES]);

#endif
