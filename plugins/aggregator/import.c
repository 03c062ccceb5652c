/*
 * The hand-off of the CSV file to Airlock's data import: a step with a marker of its own, so
 * that a failed one is tried again by every later run, and only it.
 *
 * Before Airlock is asked the marker says that this has begun. A run that finds it so does not
 * know whether the request of the run before has arrived, and looks at Airlock's list first.
 */
#include "airlock.h"
#include "digest.h"
#include "run.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEY_TEXT = 40 };

/*
 * What is handed over, and to whom. It is the idempotency key too: the same file is imported
 * once.
 */
static enum rc_code import_inputs(struct agg_run *run, int32_t day, uint64_t *out, bool *ready,
                                  struct rc_error *err)
{
    RC_STR_AUTO csv_marker = agg_marker_uri(run->paths.daily, AGG_CSV, day);
    struct agg_marker marker;
    uint64_t digest;

    if (agg_state_read(run, csv_marker, &marker, ready, err))
        return err->code;
    if (!*ready)
        return RC_OK;
    digest = agg_digest_number(AGG_DIGEST_INIT, agg_marker_output(&marker, NULL, 0));
    agg_marker_clear(&marker);
    digest = agg_digest_text(digest, run->config->airlock_product_id);
    digest = agg_digest_text(digest, run->config->import_table);
    *out = agg_digest_number(digest, run->config->dev_users);
    return RC_OK;
}

/* What the marker says of a hand-off by these inputs. */
static enum rc_code read_marker(struct agg_run *run, const char *uri, uint64_t inputs, bool *begun,
                                bool *done, struct rc_error *err)
{
    struct agg_marker marker;
    bool found;

    *begun = *done = false;
    if (agg_state_read(run, uri, &marker, &found, err))
        return err->code;
    if (!found)
        return RC_OK;
    *begun = marker.inputs == inputs && strcmp(marker.step, AGG_IMPORT_BEGUN) == 0;
    *done = marker.inputs == inputs && !*begun;
    agg_marker_clear(&marker);
    return RC_OK;
}

enum rc_code agg_import_current(struct agg_run *run, int32_t day, bool *current,
                                struct rc_error *err)
{
    RC_STR_AUTO uri = agg_marker_uri(run->paths.daily, AGG_IMPORT, day);
    uint64_t inputs = 0;
    bool ready, begun;

    *current = false;
    if (import_inputs(run, day, &inputs, &ready, err))
        return err->code;
    return ready ? read_marker(run, uri, inputs, &begun, current, err) : RC_OK;
}

/* ---- what Airlock is asked for ---- */

static void add_column(void *context, const char *name)
{
    json_array_append_new(context, json_string(name));
}

/* The names of the aggregation, its product and its environment, as far as there are any. */
static json_t *import_name(const struct agg_config *config, int32_t day)
{
    const char *const parts[] = { config->aggregation, config->product, config->environment };
    RC_BUF_AUTO(name, 16 << 10);
    int year, month, date;

    for (size_t i = 0; i < RC_ARRAY_LEN(parts); i++)
        if (parts[i] && parts[i][0])
            rc_buf_addf(&name, "%s ", parts[i]);
    rc_day_to_date(day, &year, &month, &date);
    rc_buf_addf(&name, "%04d%02d%02d", year, month, date);
    return json_string(name.data);
}

/* Freed with free(). */
static char *import_request(const struct agg_run *run, int32_t day, const char *file,
                            const char *key)
{
    const struct agg_config *config = run->config;
    bool named = config->aggregation && config->aggregation[0];
    RC_STR_AUTO creator =
        rc_strf("%s%sAggregator", named ? config->aggregation : "", named ? " " : "");
    RC_STR_AUTO description = rc_strf("run-core %s", key);
    json_t *columns = json_array();
    json_t *root = json_object();
    char *text;

    agg_csv_columns(run, day, add_column, columns);
    json_object_set_new(root, "name", import_name(config, day));
    json_object_set_new(root, "creator", json_string(creator));
    json_object_set_new(root, "description", json_string(description));
    json_object_set_new(root, "s3File", json_string(file));
    json_object_set_new(root, "targetTable", json_string(config->import_table));
    json_object_set_new(root, "devUsers", json_boolean(config->dev_users));
    json_object_set_new(root, "overwrite", json_true());
    json_object_set_new(root, "affectedColumns", columns);
    text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    if (!text)
        rc_out_of_memory(0);
    return text;
}

/* ---- the step ---- */

static enum rc_code ask(struct agg_run *run, int32_t day, const char *file, const char *key,
                        bool may_have_arrived, struct rc_error *err)
{
    struct agg_airlock airlock = { .job = run->job, .config = run->config };
    RC_STR_AUTO body = import_request(run, day, file, key);
    bool listed = false;
    enum rc_code code = RC_OK;

    if (may_have_arrived)
        code = agg_airlock_lists(&airlock, key, &listed, err);
    if (listed)
        rc_info(run->job, "'%s' had reached Airlock already, in an earlier run", file);
    else if (!code)
        code = agg_airlock_import(&airlock, body, strlen(body), key, err);
    agg_airlock_clear(&airlock);
    if (!code)
        return RC_OK;
    return rc_context(
        err,
        "hand '%s' over to Airlock at '%s' (all else is done; the hand-off stays due, "
        "and a later run does only it)",
        file, run->config->airlock_url);
}

static enum rc_code hand_over(struct agg_run *run, int32_t day, const char *file,
                              struct rc_error *err)
{
    RC_STR_AUTO marker_uri = agg_marker_uri(run->paths.daily, AGG_IMPORT, day);
    struct agg_marker marker = { .step = AGG_IMPORT_BEGUN, .day = day };
    char key[KEY_TEXT];
    bool ready, begun, done;

    if (import_inputs(run, day, &marker.inputs, &ready, err))
        return err->code;
    if (!ready)
        return rc_fail(err, RC_CONFLICT, "the marker of '%s' has gone meanwhile", file);
    if (read_marker(run, marker_uri, marker.inputs, &begun, &done, err))
        return err->code;
    (void)snprintf(key, sizeof(key), "%016" PRIx64, marker.inputs);
    if ((!begun && agg_state_close_step(run, marker_uri, &marker, err)) ||
        ask(run, day, file, key, begun, err))
        return err->code;
    marker.step = AGG_IMPORT_DONE;
    return agg_state_close_step(run, marker_uri, &marker, err);
}

enum rc_code agg_import(struct agg_run *run, int32_t day, struct rc_error *err)
{
    RC_STR_AUTO file = agg_csv_uri(&run->paths, run->config, day);

    if (run->job->dry_run) {
        agg_say_step(run, AGG_STEP_IMPORT, NULL, "import: '%s' to '%s'", file,
                     run->config->airlock_url);
        return RC_OK;
    }
    if (hand_over(run, day, file, err))
        return rc_context(err, "import");
    rc_info(run->job, "handed '%s' over to Airlock", file);
    return RC_OK;
}
