/* What answers of many issuers have in common: words for people, a pause, the issuer's clock. */
#ifndef PLUGIN_COMMON_ANSWER_H
#define PLUGIN_COMMON_ANSWER_H

#include "work.h"

#include <jansson.h>

#define PLUGIN_SAID_MAX_BYTES 200

/* What an issuer said, as it may stand in an error: cut, without control bytes. */
struct plugin_said {
    char bytes[PLUGIN_SAID_MAX_BYTES + 1];
};

/* "" of what is no text (NULL: nothing is there). */
void plugin_said_read(const json_t *text, struct plugin_said *ret_said);

/* Retry-After, in seconds or as a date by the sender's own clock, at most an hour; 0: it says
 * nothing. */
uint64_t plugin_retry_after_ms(const struct leased_http_reply *reply);

/* Unix seconds by the sender's clock (Date); by ours where it doesn't say. */
int64_t plugin_answer_clock_s(const struct plugin_works *works,
                              const struct leased_http_reply *reply);

/* From the answer's moment, by its sender's clock, to `end_s`; at most `most_s`, 0: it is past. */
uint64_t plugin_life_ms(const struct plugin_works *works, const struct leased_http_reply *reply,
                        int64_t end_s, int64_t most_s);

#endif
