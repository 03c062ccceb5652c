/*
 * What the files of google/ share.
 */
#ifndef SDRS_GOOGLE_INTERNAL_H
#define SDRS_GOOGLE_INTERNAL_H

#include "../prefixes.h"

#include <jansson.h>

/* Adds a list of prefixes of a transfer's conditions, and merges. */
void sdrs_transfer_read_prefixes(const json_t *conditions, const char *name,
                                 struct sdrs_prefixes *out);

#endif
