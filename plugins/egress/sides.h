/*
 * The two sides of the sync: from what the options say of each to a prefix that is listed and
 * copied.
 */
#ifndef EGRESS_SIDES_H
#define EGRESS_SIDES_H

#include "config.h"

enum egress_which { EGRESS_SOURCE, EGRESS_TARGET };

struct egress_place {
    enum egress_which which;
    char *uri;       /* of the folder: ends with a slash */
    char *shown;     /* the same for people: "input/BUCKET/FOLDER/", or the URI that was given */
    char *identity;  /* which place it is, whoever comes with which keys */
    bool is_defined; /* a store that the options describe: "input" or "output" */
};

/* Whether it is a URI of a store that there is; else RC_INVALID says what may have been meant. */
RC_MUST_CHECK enum rc_code egress_uri_check(const char *uri, struct rc_error *err);

/* Rules for what is said of the sides; nothing said at all is fine, as other actions need none. */
RC_MUST_CHECK enum rc_code egress_sides_check(const struct egress_config *config,
                                              struct rc_error *err);

/*
 * Makes the side's store known to the run, if the options, which keep the rules, describe one.
 * RC_INVALID: they name no such side.
 */
RC_MUST_CHECK enum rc_code egress_place_open(struct rc_job *job, const struct egress_config *config,
                                             enum egress_which which, struct egress_place *out,
                                             struct rc_error *err);
void egress_place_clear(struct egress_place *place);

/* For people, the name of an object whose URI begins with that of the place. Freed with free(). */
char *egress_place_show(const struct egress_place *place, const char *uri);

#endif
