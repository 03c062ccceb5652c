/*
 * The hand-off of the CSV file to Airlock's data import: a step with a marker of its own, so
 * that a failed one is tried again by every later run, and only it.
 */
#include "digest.h"
#include "run.h"

#include <inttypes.h>

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

enum rc_code agg_import_current(struct agg_run *run, int32_t day, bool *current,
                                struct rc_error *err)
{
    RC_STR_AUTO uri = agg_marker_uri(run->paths.daily, AGG_IMPORT, day);
    struct agg_marker marker;
    uint64_t inputs = 0;
    bool ready;

    *current = false;
    if (import_inputs(run, day, &inputs, &ready, err))
        return err->code;
    if (!ready)
        return RC_OK;
    if (agg_state_read(run, uri, &marker, current, err))
        return err->code;
    if (!*current)
        return RC_OK;
    *current = marker.inputs == inputs;
    agg_marker_clear(&marker);
    return RC_OK;
}

enum rc_code agg_import(struct agg_run *run, int32_t day, struct rc_error *err)
{
    RC_STR_AUTO uri = agg_csv_uri(&run->paths, run->config, day);

    if (run->job->dry_run) {
        agg_say_step(run, AGG_STEP_IMPORT, NULL, "import: '%s' to '%s'", uri,
                     run->config->airlock_url);
        return RC_OK;
    }
    return rc_fail(err, RC_UNSUPPORTED,
                   "this run-core has no HTTP client yet, so the file was not handed over to '%s'. "
                   "The CSV file is ready at '%s' and everything else is done; the hand-off stays "
                   "open, and a later run does only it. Set importToUserDb to false to do without",
                   run->config->airlock_url, uri);
}
