/*
 * The table of jobs. What a mover makes of one is in mover/.
 */
#include "jobs.h"

#include "internal.h"

#include "../config.h"

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>

enum { QUERY_BYTES = 4096, QUERY_VALUES = 16 };

static const char *const status_names[] = {
    [SDRS_JOB_RUNNING] = "running",
    [SDRS_JOB_PENDING] = "pending",
    [SDRS_JOB_SUCCESS] = "success",
    [SDRS_JOB_ERROR] = "error",
};

static const char *const mover_names[] = {
    [SDRS_MOVER_AUTO] = "auto",
    [SDRS_MOVER_DIRECT] = "direct",
    [SDRS_MOVER_STS] = "sts",
};

const char *sdrs_job_status_name(enum sdrs_job_status status)
{
    return status_names[status];
}

const char *sdrs_mover_name(int mover)
{
    return mover_names[mover];
}

void sdrs_record_clear(struct sdrs_record *record)
{
    free(record->execution);
    free(record->batch);
    free(record->type);
    free(record->project);
    free(record->bucket);
    free(record->shadow);
    free(record->prefixes);
    free(record->excludes);
    free(record->transfers);
    free(record->message);
    *record = (struct sdrs_record){ 0 };
}

void sdrs_records_clear(struct sdrs_records *records)
{
    for (size_t i = 0; i < records->count; i++)
        sdrs_record_clear(&records->items[i]);
    free(records->items);
    *records = (struct sdrs_records){ 0 };
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum rc_code insert(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct sdrs_record *record = context;

    record->created_unix_ms = record->changed_unix_ms = sdrs_now_unix_ms(state->job);
    if (sdrs_state_number(state, "jobs", &record->id, err))
        return err->code;
    const struct rc_value values[] = {
        rc_value_int(record->id),
        rc_value_text(record->execution),
        rc_value_text(record->batch),
        rc_value_text(record->type),
        rc_value_int(record->rule),
        rc_value_int(record->rule_version),
        rc_value_text(record->project),
        sdrs_bytes(record->bucket),
        sdrs_bytes(record->shadow),
        sdrs_bytes(record->prefixes),
        sdrs_bytes(record->excludes),
        rc_value_int(record->modified_before_unix_ms),
        rc_value_text(mover_names[record->mover]),
        rc_value_text(status_names[record->status]),
        sdrs_bytes(record->transfers),
        rc_value_int(record->objects),
        rc_value_int(record->bytes),
        rc_value_int(record->failed),
        sdrs_bytes(record->message),
        rc_value_int(record->created_unix_ms),
    };

    return sdrs_state_exec(
        state,
        "INSERT INTO jobs (id, execution, batch, type, rule, rule_version, project, bucket, shadow,"
        " prefixes, excludes, modified_before_unix_ms, mover, status, transfers, objects, bytes,"
        " failed, message, created_unix_ms, changed_unix_ms) VALUES ($1, $2, $3, $4, $5, $6, $7,"
        " $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20)",
        values, RC_ARRAY_LEN(values), NULL, err);
}

enum rc_code sdrs_jobs_add(struct sdrs_state *state, struct sdrs_record *record,
                           struct rc_error *err)
{
    if (sdrs_state_transact(state, insert, record, err))
        return rc_context(err, "record a job of the bucket '%s'", record->bucket);
    return RC_OK;
}

enum rc_code sdrs_jobs_keep(struct sdrs_state *state, const struct sdrs_record *record,
                            struct rc_error *err)
{
    const struct rc_value values[] = {
        rc_value_int(record->id),      rc_value_text(status_names[record->status]),
        sdrs_bytes(record->transfers), rc_value_int(record->objects),
        rc_value_int(record->bytes),   rc_value_int(record->failed),
        sdrs_bytes(record->message),   rc_value_int(sdrs_now_unix_ms(state->job)),
    };
    int64_t changed = 0;

    if (sdrs_state_exec(state,
                        "UPDATE jobs SET status = $2, transfers = $3, objects = $4, bytes = $5,"
                        " failed = $6, message = $7, changed_unix_ms = $8 WHERE id = $1",
                        values, RC_ARRAY_LEN(values), &changed, err))
        return rc_context(err, "note that the job %" PRId64 " is '%s'", record->id,
                          status_names[record->status]);
    if (changed == 0 && !state->job->dry_run)
        return rc_fail(err, RC_NOT_FOUND, "No job exists with ID: %" PRId64, record->id);
    return RC_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A condition that grows, with its values. */
struct condition {
    struct rc_buf sql;
    struct rc_value values[QUERY_VALUES];
    size_t count;
};

static void narrow(struct condition *condition, const char *to, struct rc_value value)
{
    RC_ASSERT(condition->count < QUERY_VALUES);
    condition->values[condition->count++] = value;
    rc_buf_addf(&condition->sql, " AND %s $%zu", to, condition->count);
}

/* Of a list such as "running,pending" the names that there are; any other fits no job. */
static void narrow_status(struct condition *condition, const char *list)
{
    rc_buf_adds(&condition->sql, " AND status IN ('?'");
    for (size_t len; *list; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        for (size_t i = 0; i < RC_ARRAY_LEN(status_names); i++)
            if (strlen(status_names[i]) == len && strncmp(status_names[i], list, len) == 0)
                rc_buf_addf(&condition->sql, ", '%s'", status_names[i]);
    }
    rc_buf_addc(&condition->sql, ')');
}

static void make_condition(const struct sdrs_jobs_query *query, struct condition *out)
{
    if (query->execution)
        narrow(out, "execution =", rc_value_text(query->execution));
    if (query->batch)
        narrow(out, "batch =", rc_value_text(query->batch));
    if (query->bucket)
        narrow(out, "bucket =", sdrs_bytes(query->bucket));
    if (query->rule)
        narrow(out, "rule =", rc_value_int(query->rule));
    if (query->statuses)
        narrow_status(out, query->statuses);
    if (query->after)
        narrow(out, "id >", rc_value_int(query->after));
    rc_buf_adds(&out->sql, " ORDER BY id");
    if (query->limit)
        rc_buf_addf(&out->sql, " LIMIT %zu", query->limit);
}

static void take_record(void *context, const struct rc_value *row)
{
    struct sdrs_records *records = context;
    struct sdrs_record *record;

    records->items = sdrs_grown(records->items, records->count, sizeof(*records->items));
    record = &records->items[records->count++];
    record->id = row[0].integer;
    record->execution = sdrs_owned(&row[1]);
    record->batch = sdrs_owned(&row[2]);
    record->type = sdrs_owned(&row[3]);
    record->rule = row[4].integer;
    record->rule_version = row[5].integer;
    record->project = sdrs_owned(&row[6]);
    record->bucket = sdrs_owned(&row[7]);
    record->shadow = sdrs_owned(&row[8]);
    record->prefixes = sdrs_owned(&row[9]);
    record->excludes = sdrs_owned(&row[10]);
    record->modified_before_unix_ms = row[11].integer;
    record->mover = (int)sdrs_place_of(mover_names, RC_ARRAY_LEN(mover_names), row[12].text);
    record->status =
        (enum sdrs_job_status)sdrs_place_of(status_names, RC_ARRAY_LEN(status_names), row[13].text);
    record->transfers = sdrs_owned(&row[14]);
    record->objects = row[15].integer;
    record->bytes = row[16].integer;
    record->failed = row[17].integer;
    record->message = sdrs_owned(&row[18]);
    record->created_unix_ms = row[19].integer;
    record->changed_unix_ms = row[20].integer;
}

enum rc_code sdrs_jobs_list(struct sdrs_state *state, const struct sdrs_jobs_query *query,
                            struct sdrs_records *out, struct rc_error *err)
{
    struct condition condition = { .sql = RC_BUF_INIT(QUERY_BYTES) };
    enum rc_code code;

    *out = (struct sdrs_records){ 0 };
    rc_buf_adds(&condition.sql,
                "SELECT id, execution, batch, type, rule, rule_version, project, bucket, shadow,"
                " prefixes, excludes, modified_before_unix_ms, mover, status, transfers, objects,"
                " bytes, failed, message, created_unix_ms, changed_unix_ms FROM jobs WHERE 1 = 1");
    make_condition(query, &condition);
    code = rc_buf_check(&condition.sql, err);
    if (!code)
        code = sdrs_state_rows(state, condition.sql.data, condition.values, condition.count,
                               take_record, out, err);
    rc_buf_clear(&condition.sql);
    if (!code)
        return RC_OK;
    sdrs_records_clear(out);
    return rc_context(err, "read the jobs");
}

enum rc_code sdrs_jobs_find(struct sdrs_state *state, int64_t id, struct sdrs_record *out,
                            struct rc_error *err)
{
    const struct sdrs_jobs_query query = { .after = id - 1, .limit = 1 };
    struct sdrs_records found = { 0 };

    *out = (struct sdrs_record){ 0 };
    if (sdrs_jobs_list(state, &query, &found, err))
        return err->code;
    if (found.count > 0 && found.items[0].id == id) {
        *out = found.items[0];
        found.items[0] = (struct sdrs_record){ 0 };
    }
    sdrs_records_clear(&found);
    return out->id ? RC_OK : rc_fail(err, RC_NOT_FOUND, "No job exists with ID: %" PRId64, id);
}

enum rc_code sdrs_jobs_forget(struct sdrs_state *state, int64_t ended_before_unix_ms,
                              int64_t *forgotten, struct rc_error *err)
{
    const struct rc_value value = rc_value_int(ended_before_unix_ms);

    *forgotten = 0;
    if (sdrs_state_exec(state,
                        "DELETE FROM jobs WHERE status IN ('success', 'error')"
                        " AND changed_unix_ms < $1",
                        &value, 1, forgotten, err))
        return rc_context(err, "forget old jobs");
    return RC_OK;
}
