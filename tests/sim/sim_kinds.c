/* All kinds of issuers, for seeds to choose from. */
#include "sim_issuer.h"

const struct sim_issuer_kind *const sim_issuer_kinds[] = {NULL};
