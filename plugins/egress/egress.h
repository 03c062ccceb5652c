/*
 * The actions, each in the file of its name.
 */
#ifndef EGRESS_EGRESS_H
#define EGRESS_EGRESS_H

#include "config.h"

/* Of 'verify'. */
enum egress_verify_at { EGRESS_AT_OUTPUT, EGRESS_AT_SOURCE, EGRESS_AT_TARGET };
struct egress_verify_params {
    int at;             /* enum egress_verify_at */
    const char *folder; /* NULL: that of the run's date */
    int32_t date;
    bool deep; /* expand and count rows, too */
};
extern const struct rc_option egress_verify_options[];

enum rc_code egress_dump(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code egress_sync(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code egress_setup(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code egress_verify(struct rc_job *job, const void *config, struct rc_error *err);

/*
 * What does not comply with the rules for a bucket that holds dumps: one line each, to 'tell'. A
 * bucket that cannot say is told as such, but counted apart.
 */
struct egress_findings {
    unsigned broken, unknown;
};
RC_MUST_CHECK enum rc_code
egress_inspect_bucket(struct rc_job *job, const struct egress_config *config,
                      void (*tell)(void *context, bool is_broken, const char *line), void *context,
                      struct egress_findings *out, struct rc_error *err);

#endif
