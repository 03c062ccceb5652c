/*
 * Operations of Storage Transfer Service: the runs of its jobs, and what became of them.
 */
#include "internal.h"
#include "transfer.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 50,   /* each has up to 2,000 prefixes of a kilobyte */
    SAMPLES = 3, /* errors that a message tells */
    TEXT_BYTES = 8 << 10,
};

void sdrs_operation_clear(struct sdrs_operation *operation)
{
    free(operation->name);
    free(operation->message);
    sdrs_prefixes_clear(&operation->includes);
    *operation = (struct sdrs_operation){ .name = NULL };
}

bool sdrs_transfer_covers(const struct sdrs_prefixes *includes, const struct sdrs_prefixes *others)
{
    if (includes->count == 0)
        return true;
    for (size_t i = 0; i < others->count; i++)
        if (!sdrs_prefixes_cover(includes, others->items[i]))
            return false;
    return true;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void add_part(struct rc_buf *out, const char *text)
{
    if (*text)
        rc_buf_addf(out, "%s%s", out->len > 0 ? "; " : "", text);
}

/* "PERMISSION_DENIED (2 objects): gs://b/key: why" */
static void add_breakdown(struct rc_buf *out, const json_t *breakdown)
{
    const json_t *entries = json_object_get(breakdown, "errorLogEntries"), *entry;
    size_t i;

    rc_buf_addf(out, "%s%s (%lld objects)", out->len > 0 ? "; " : "",
                sdrs_json_text(breakdown, "errorCode"),
                (long long)sdrs_json_int(breakdown, "errorCount"));
    json_array_foreach(entries, i, entry)
    {
        const json_t *details = json_object_get(entry, "errorDetails");
        const char *why = json_string_value(json_array_get(details, 0));

        if (i >= SAMPLES)
            break;
        rc_buf_addf(out, "%s %s: %s", i ? "," : ":", sdrs_json_text(entry, "url"), why ? why : "");
    }
}

static char *message_of(const json_t *operation, const json_t *about, int64_t kept)
{
    const json_t *error = json_object_get(operation, "error"), *breakdown;
    RC_BUF_AUTO(text, TEXT_BYTES);
    size_t i;

    add_part(&text, sdrs_json_text(error, "message"));
    json_array_foreach(json_object_get(about, "errorBreakdowns"), i, breakdown)
        add_breakdown(&text, breakdown);
    if (kept > 0)
        rc_buf_addf(&text,
                    "%s%lld objects stay, as the shadow bucket has others of their names, or the "
                    "same ones ('collision: keep')",
                    text.len > 0 ? "; " : "", (long long)kept);
    if (text.len == 0)
        add_part(&text, sdrs_json_text(about, "status"));
    return rc_strdup(text.data);
}

/* ---- one operation --------------------------------------------------------------------------- */

static enum sdrs_operation_state state_of(const json_t *operation, const json_t *about,
                                          int64_t kept)
{
    if (!json_is_true(json_object_get(operation, "done")))
        return SDRS_OPERATION_RUNS;
    if (!json_object_get(operation, "error") && kept == 0 &&
        strcmp(sdrs_json_text(about, "status"), "SUCCESS") == 0)
        return SDRS_OPERATION_SUCCEEDED;
    return SDRS_OPERATION_FAILED;
}

static void read_operation(const json_t *operation, struct sdrs_operation *out)
{
    const json_t *about = json_object_get(operation, "metadata");
    const json_t *counters = json_object_get(about, "counters");
    const json_t *spec = json_object_get(about, "transferSpec");
    const json_t *options = json_object_get(spec, "transferOptions");
    /* By "NEVER" nothing is deleted that the sink had already. */
    bool keeps = strcmp(sdrs_json_text(options, "overwriteWhen"), "NEVER") == 0;
    int64_t kept = keeps ? sdrs_json_int(counters, "objectsFromSourceSkippedBySync") : 0;

    *out = (struct sdrs_operation){
        .name = rc_strdup(sdrs_json_text(operation, "name")),
        .state = state_of(operation, about, kept),
        .begin_unix_ms = sdrs_json_time(about, "startTime"),
        .objects = sdrs_json_int(counters, "objectsDeletedFromSource"),
        .bytes = sdrs_json_int(counters, "bytesDeletedFromSource"),
        .failed = sdrs_json_int(counters, "objectsFromSourceFailed") + kept,
    };
    if (out->state == SDRS_OPERATION_FAILED)
        out->message = message_of(operation, about, kept);
    sdrs_transfer_read_prefixes(json_object_get(spec, "objectConditions"), "includePrefixes",
                                &out->includes);
}

enum rc_code sdrs_operation_get(const struct sdrs_google *google, const char *name,
                                struct sdrs_operation *out, struct rc_error *err)
{
    RC_BUF_AUTO(path, SIZE_MAX);
    SDRS_JSON_AUTO reply = NULL;

    sdrs_google_path(&path, name);
    if (sdrs_google_call(google, "GET", path.data, NULL, /* repeatable = */ true, &reply, err))
        return rc_context(err, "look at the transfer operation '%s'", name);
    read_operation(reply, out);
    return RC_OK;
}

/* ---- the operations of a job ----------------------------------------------------------------- */

static enum rc_code read_page(const struct sdrs_google *google, const char *filter,
                              const char *token, json_t **page, struct rc_error *err)
{
    RC_BUF_AUTO(path, SIZE_MAX);

    rc_buf_adds(&path, "v1/transferOperations?filter=");
    rc_buf_add_url(&path, filter, strlen(filter));
    rc_buf_addf(&path, "&pageSize=%d", PAGE);
    if (*token) {
        rc_buf_adds(&path, "&pageToken=");
        rc_buf_add_url(&path, token, strlen(token));
    }
    return sdrs_google_call(google, "GET", path.data, NULL, /* repeatable = */ true, page, err);
}

/* Whether 'one' is what is looked for, and earlier than what was found so far. */
static bool is_better(const struct sdrs_operation *one, const struct sdrs_operation *best,
                      int64_t since_unix_ms, const struct sdrs_prefixes *includes)
{
    return one->begin_unix_ms >= since_unix_ms &&
           (!best->name || one->begin_unix_ms < best->begin_unix_ms) &&
           sdrs_transfer_covers(&one->includes, includes);
}

static void take_page(const json_t *page, int64_t since_unix_ms,
                      const struct sdrs_prefixes *includes, struct sdrs_operation *best)
{
    const json_t *operation;
    size_t i;

    json_array_foreach(json_object_get(page, "operations"), i, operation)
    {
        struct sdrs_operation one;

        read_operation(operation, &one);
        if (is_better(&one, best, since_unix_ms, includes)) {
            sdrs_operation_clear(best);
            *best = one;
        } else {
            sdrs_operation_clear(&one);
        }
    }
}

enum rc_code sdrs_operation_since(const struct sdrs_google *google, const char *project,
                                  const char *job, int64_t since_unix_ms,
                                  const struct sdrs_prefixes *includes, bool *found,
                                  struct sdrs_operation *out, struct rc_error *err)
{
    SDRS_JSON_AUTO filter = json_pack("{s:s, s:[s]}", "projectId", project, "jobNames", job);
    RC_STR_AUTO filter_text = json_dumps(filter, JSON_COMPACT);
    RC_STR_AUTO token = rc_strdup("");

    do {
        SDRS_JSON_AUTO page = NULL;

        if (read_page(google, filter_text, token, &page, err)) {
            sdrs_operation_clear(out);
            return rc_context(err, "list the operations of the transfer job '%s'", job);
        }
        take_page(page, since_unix_ms, includes, out);
        free(token);
        token = rc_strdup(sdrs_json_text(page, "nextPageToken"));
    } while (*token);
    *found = out->name != NULL;
    return RC_OK;
}
