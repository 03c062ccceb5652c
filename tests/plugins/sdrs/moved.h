/*
 * For tests of what follows a move: jobs that have moved something, as the state and the shadow
 * have them, on the host of the tests.
 */
#ifndef MOVED_H
#define MOVED_H

#include <run-core/fake_host.h>

#include <state/jobs.h>

/* The bucket "s3://NAME/" and its shadow "s3://NAMEshadow/" exist from now on. */
void moved_bucket(struct rc_fake_host *host, const char *name);

/* Texts are borrowed; one of a bucket is its name alone. */
struct moved {
    const char *bucket, *batch, *prefix;
    const char *excludes; /* of sts, a prefix; or NULL */
    int64_t rule;
    bool by_service; /* as Storage Transfer Service does it: without a manifest */
};
/* Moves what is there now; the job's id. */
int64_t moved_job(struct rc_fake_host *host, const struct moved *moved);

/* The jobs of the state, "ID TYPE STATUS OBJECTS/FAILED\n" each; the caller frees it. */
char *moved_jobs(struct rc_fake_host *host);

#endif
