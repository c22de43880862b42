/* AWS's credentials file: profiles in brackets, keys below them. */
#ifndef AWS_PROFILE_H
#define AWS_PROFILE_H

#include "keys.h"

/* The keys of that profile, as slices of the file: [NAME], or [profile NAME] as ~/.aws/config
 * writes it; the last one of a key counts. False: there is no such profile. */
bool aws_profile_find(struct leased_str file, const char *name, struct aws_keys_parts *ret_parts);

#endif
