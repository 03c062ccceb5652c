/*
 * Makes records, and answers as the service does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sts_world.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 4 << 20 };

/* ---- records --------------------------------------------------------------------------------- */

void moving_clear(struct moving *moving)
{
    sdrs_prefixes_clear(&moving->includes);
    sdrs_prefixes_clear(&moving->excludes);
    sdrs_record_clear(&moving->record);
}

void make(struct google_world *world, struct moving *out, const char *type, const char *includes,
          const char *excludes)
{
    struct rc_error err = RC_ERROR_INIT;
    bool user = strcmp(type, "USER") == 0;

    sdrs_prefixes_read(includes, &out->includes);
    sdrs_prefixes_read(excludes, &out->excludes);
    sdrs_prefixes_merge(&out->excludes);
    out->record = (struct sdrs_record){
        .batch = rc_strdup("batch-1"),
        .type = rc_strdup(type),
        .rule = user ? 0 : 7,
        .rule_version = user ? 0 : 2,
        .project = rc_strdup("analytics"),
        .bucket = rc_strdup("gs://events/"),
        .shadow = rc_strdup("gs://eventsshadow/"),
        .prefixes = rc_strdup(includes),
        .excludes = rc_strdup(excludes),
        .mover = SDRS_MOVER_STS,
        .status = SDRS_JOB_RUNNING,
    };
    expect_ok(sdrs_jobs_add(&world->state, &out->record, &err));
    out->move = (struct sdrs_move){ .state = &world->state,
                                    .config = &world->config,
                                    .includes = &out->includes,
                                    .excludes = &out->excludes,
                                    .record = &out->record };
}

void move(struct google_world *world, struct moving *moving)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(sdrs_move_sts(world->job, &moving->move, &err));
}

char *numbered(int count)
{
    RC_BUF_AUTO(text, TEXT_BYTES);

    for (int i = 0; i < count; i++)
        rc_buf_addf(&text, "p%04d/\n", i);
    return rc_buf_take(&text);
}

json_t *condition(struct google_world *world, size_t request, const char *name)
{
    SDRS_JSON_AUTO body = google_asked_body(world, request);
    const json_t *job = json_object_get(body, "transferJob");
    const json_t *spec = json_object_get(job ? job : body, "transferSpec");

    return json_incref(json_object_get(json_object_get(spec, "objectConditions"), name));
}

size_t condition_count(struct google_world *world, size_t request, const char *name)
{
    SDRS_JSON_AUTO found = condition(world, request, name);

    return json_array_size(found);
}

void expect_error(struct google_world *world, struct moving *moving, const char *message)
{
    move(world, moving);
    assert_int_equal(moving->record.status, SDRS_JOB_ERROR);
    expect_in(moving->record.message, message);
}

bool find_running(struct google_world *world, struct sdrs_record *out)
{
    const struct sdrs_jobs_query query = { .statuses = "running" };
    struct sdrs_records found = { .items = NULL };
    struct rc_error err = RC_ERROR_INIT;
    bool is_found;

    expect_ok(sdrs_jobs_list(&world->state, &query, &found, &err));
    is_found = found.count == 1;
    if (is_found) {
        *out = found.items[0];
        found.count = 0;
    }
    sdrs_records_clear(&found);
    return is_found;
}

/* ---- the service's side ---------------------------------------------------------------------- */

void answer_job(struct google_world *world, const char *name, const char *status,
                const char *changed, const char *operation, const char *conditions)
{
    RC_STR_AUTO text = rc_strf("GET https://storagetransfer.googleapis.com/v1/%s?", name);
    RC_STR_AUTO body =
        rc_strf("{\"name\":\"%s\",\"status\":\"%s\",\"lastModificationTime\":\"%s\","
                "\"latestOperationName\":\"%s\",\"transferSpec\":{\"gcsDataSource\":{"
                "\"bucketName\":\"events\"},\"gcsDataSink\":{\"bucketName\":\"eventsshadow\"},"
                "\"objectConditions\":%s}}",
                name, status, changed, operation, conditions);

    google_answer(world, text, 1, 200, body);
}

void answer_operation(struct google_world *world, const char *start, const char *includes)
{
    RC_STR_AUTO body = rc_strf("{\"name\":\"transferOperations/1\",\"metadata\":{\"startTime\":"
                               "\"%s\",\"transferSpec\":{\"objectConditions\":{"
                               "\"includePrefixes\":%s}}}}",
                               start, includes);

    google_answer(world, "/v1/transferOperations/1", 1, 200, body);
}
