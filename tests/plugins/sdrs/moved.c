/*
 * Jobs that have moved something.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "moved.h"

#include <mover/mover.h>

#include <stdlib.h>

enum { JOBS_LIMIT = 1 << 20 };

static void must(enum rc_code code, const struct rc_error *err)
{
    if (code)
        fail_msg("%s: %s", err->context, err->cause);
}

void moved_bucket(struct rc_fake_host *host, const char *name)
{
    RC_STR_AUTO bucket = rc_strf("s3://%s/", name);
    RC_STR_AUTO shadow = rc_strf("s3://%sshadow/", name);

    rc_fake_host_bucket(host, bucket)->exists = RC_ANSWER_YES;
    rc_fake_host_bucket(host, shadow)->exists = RC_ANSWER_YES;
}

static char *lines(const char *prefix)
{
    return prefix ? rc_strf("%s\n", prefix) : NULL;
}

/* The service copies everything below the prefix, and removes it. */
static void serve(struct rc_fake_host *host, const struct sdrs_record *record,
                  const struct moved *moved)
{
    RC_STR_AUTO from = rc_strf("%s%s", record->bucket, moved->prefix);
    RC_STR_AUTO uris = rc_strdup(rc_fake_host_objects(host, from));
    char *at = uris;

    for (char *end = strchr(at, '\n'); end; at = end + 1, end = strchr(at, '\n')) {
        const char *key = at + strlen(record->bucket), *data;
        size_t len;

        *end = '\0';
        if (moved->excludes && rc_str_starts(key, moved->excludes))
            continue;
        RC_STR_AUTO target = rc_strf("%s%s", record->shadow, key);
        data = rc_fake_host_object(host, at, &len);
        rc_fake_host_put(host, target, data, len);
        rc_fake_host_remove(host, at);
    }
}

static void move_directly(struct rc_fake_host *host, struct sdrs_record *record,
                          struct sdrs_state *state, const char *prefix)
{
    const struct sdrs_config config = { .collision = SDRS_COLLISION_OVERWRITE };
    struct sdrs_prefixes includes = { 0 }, none = { 0 };
    const struct sdrs_move move = {
        .state = state,
        .config = &config,
        .includes = &includes,
        .excludes = &none,
        .datasets = &none,
        .record = record,
    };
    struct rc_error err = RC_ERROR_INIT;

    sdrs_prefixes_add(&includes, prefix);
    must(sdrs_move_direct(rc_fake_host_job(host), &move, &err), &err);
    assert_null(record->message);
    sdrs_prefixes_clear(&includes);
}

int64_t moved_job(struct rc_fake_host *host, const struct moved *moved)
{
    RC_CLEANUP(sdrs_state_close) struct sdrs_state state = { 0 };
    RC_CLEANUP(sdrs_record_clear)
    struct sdrs_record record = {
        .batch = rc_strdup(moved->batch),
        .type = rc_strdup("DATASET"),
        .rule = moved->rule,
        .rule_version = 1,
        .project = rc_strdup("p"),
        .bucket = rc_strf("s3://%s/", moved->bucket),
        .shadow = rc_strf("s3://%sshadow/", moved->bucket),
        .prefixes = lines(moved->prefix),
        .excludes = lines(moved->excludes),
        .mover = moved->by_service ? SDRS_MOVER_STS : SDRS_MOVER_DIRECT,
        .status = SDRS_JOB_RUNNING,
    };
    struct rc_error err = RC_ERROR_INIT;

    must(sdrs_state_open(rc_fake_host_job(host), &state, &err), &err);
    must(sdrs_jobs_add(&state, &record, &err), &err);
    if (moved->by_service)
        serve(host, &record, moved);
    else
        move_directly(host, &record, &state, moved->prefix);
    record.status = SDRS_JOB_SUCCESS;
    must(sdrs_jobs_keep(&state, &record, &err), &err);
    return record.id;
}

char *moved_jobs(struct rc_fake_host *host)
{
    RC_CLEANUP(sdrs_state_close) struct sdrs_state state = { 0 };
    struct sdrs_records records = { 0 };
    const struct sdrs_jobs_query query = { .rule = 0 };
    RC_BUF_AUTO(out, JOBS_LIMIT);
    struct rc_error err = RC_ERROR_INIT;

    must(sdrs_state_open(rc_fake_host_job(host), &state, &err), &err);
    must(sdrs_jobs_list(&state, &query, &records, &err), &err);
    for (size_t i = 0; i < records.count; i++) {
        const struct sdrs_record *record = &records.items[i];

        rc_buf_addf(&out, "%lld %s %s %lld/%lld\n", (long long)record->id, record->type,
                    sdrs_job_status_name(record->status), (long long)record->objects,
                    (long long)record->failed);
    }
    sdrs_records_clear(&records);
    return rc_buf_take(&out);
}
