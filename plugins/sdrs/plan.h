/*
 * What an execution would move, a row for each rule and bucket.
 */
#ifndef SDRS_PLAN_H
#define SDRS_PLAN_H

#include "run.h"

struct sdrs_plan_row {
    const struct sdrs_bucket_work *bucket;
    const struct sdrs_rule *rule;
    size_t prefixes;
    bool is_weighed;
    struct sdrs_weight weight;
    bool has_level; /* times are those of paths, down to this level */
    enum sdrs_level level;
    bool failed;
    char *message; /* why nothing is moved, what is wrong, or that it would be refused; or NULL */
};

struct sdrs_plan {
    struct sdrs_plan_row *rows;
    size_t count;
    size_t buckets;
};

/* Shows the rows in their order, says what they come to, and counts. */
void sdrs_plan_show(struct rc_job *job, const struct sdrs_plan *plan);

#endif
