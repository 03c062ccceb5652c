/*
 * The outbox. Who is told, and how, is in deliver.c.
 *
 * The JSON is that of the older system's Avro records, in Avro's own encoding: a union says the
 * type of its value, {"string": "..."}, or is null.
 */
#include "outbox.h"

#include "internal.h"

#include <run-core/str.h>
#include <run-core/time.h>

#include <inttypes.h>
#include <stdlib.h>

enum {
    JSON_LIMIT = 1 << 20,
    CLAIM_MS = 60 * 1000,
    FIRST_PAUSE_MS = 30 * 1000,
    LONGEST_PAUSE_MS = 3600 * 1000,
    DOUBLINGS = 7, /* from the first pause to the longest one */
};

static const char version[] = "1.0"; /* of the records and of their context */

static const struct {
    const char *name, *at;
} kinds[] = {
    [SDRS_EVENT_INACTIVE] = { "InactiveDatasetNotificationEvent", "inactiveAt" },
    [SDRS_EVENT_DELETED] = { "SuccessDeleteNotificationEvent", "deletedAt" },
};

bool sdrs_events_wanted(const struct sdrs_config *config)
{
    return (config->topic && *config->topic) || (config->webhook_url && *config->webhook_url);
}

void sdrs_message_clear(struct sdrs_message *message)
{
    free(message->uuid);
    free(message->json);
    *message = (struct sdrs_message){ 0 };
}

/* ---- making one ------------------------------------------------------------------------------ */

static void add_member(struct rc_buf *out, const char *name, const char *text, size_t len)
{
    rc_buf_addf(out, ",\"%s\":", name);
    rc_buf_add_json(out, text, len);
}

static void add_text(struct rc_buf *out, const char *name, const char *text)
{
    add_member(out, name, text ? text : "", text ? strlen(text) : 0);
}

/* "events" of "gs://events/" and of "file:///srv/lake/events/". */
static void add_bucket(struct rc_buf *out, const char *bucket)
{
    const char *end, *start;

    bucket = bucket ? bucket : "";
    end = bucket + strlen(bucket);
    while (end > bucket && end[-1] == '/')
        end--;
    for (start = end; start > bucket && start[-1] != '/';)
        start--;
    add_member(out, "bucket", start, (size_t)(end - start));
}

static void make_json(const struct sdrs_event *event, const char *uuid, int64_t now_unix_ms,
                      struct rc_buf *out)
{
    char at[RC_TIME_TEXT];

    rc_buf_addf(out, "{\"context\":{\"uuid\":\"%s\",\"name\":\"%s\",\"correlationID\":", uuid,
                kinds[event->kind].name);
    if (event->batch) {
        rc_buf_adds(out, "{\"string\":");
        rc_buf_add_json(out, event->batch, strlen(event->batch));
        rc_buf_addc(out, '}');
    } else {
        rc_buf_adds(out, "null");
    }
    rc_buf_addf(out,
                ",\"timestamp\":%" PRId64 ",\"version\":\"%s\",\"group\":null,\"attributes\":null}",
                now_unix_ms, version);
    add_text(out, "version", version);
    add_text(out, "projectId", event->project);
    add_bucket(out, event->bucket);
    add_text(out, "directory", event->directory);
    add_text(out, "trigger", event->trigger);
    add_text(out, kinds[event->kind].at, rc_format_time(event->at_unix_ms, at));
    rc_buf_addc(out, '}');
}

/* How many keys there are of that name, 0 or 1; if there is one, somebody asks for it now. */
static enum rc_code ask(struct sdrs_state *state, const char *key, int64_t now_unix_ms,
                        int64_t *found, struct rc_error *err)
{
    const struct rc_value values[] = { sdrs_bytes(key), rc_value_int(now_unix_ms) };

    *found = 0;
    return sdrs_state_exec(state, "UPDATE outbox_once SET asked_unix_ms = $2 WHERE key = $1",
                           values, RC_ARRAY_LEN(values), found, err);
}

/* Whether the event of that key was made before; from now on it was. */
static enum rc_code was_made(struct sdrs_state *state, const char *key, int64_t now_unix_ms,
                             bool *made, struct rc_error *err)
{
    const struct rc_value values[] = { sdrs_bytes(key), rc_value_int(now_unix_ms) };
    int64_t found;

    if (ask(state, key, now_unix_ms, &found, err))
        return err->code;
    *made = found > 0;
    if (*made)
        return RC_OK;
    return sdrs_state_exec(state, "INSERT INTO outbox_once (key, asked_unix_ms) VALUES ($1, $2)",
                           values, RC_ARRAY_LEN(values), NULL, err);
}

static enum rc_code add(struct sdrs_state *state, void *context, struct rc_error *err)
{
    const struct sdrs_event *event = context;
    int64_t now_unix_ms = sdrs_now_unix_ms(state->job), id;
    char uuid[SDRS_UUID_TEXT];
    bool made = false;
    RC_BUF_AUTO(json, JSON_LIMIT);

    if (event->once && was_made(state, event->once, now_unix_ms, &made, err))
        return err->code;
    if (made)
        return RC_OK;
    if (sdrs_uuid_make(uuid, err) || sdrs_state_number(state, "outbox", &id, err))
        return err->code;
    make_json(event, uuid, now_unix_ms, &json);
    if (rc_buf_check(&json, err))
        return err->code;
    const struct rc_value values[] = {
        rc_value_int(id),
        rc_value_text(uuid),
        rc_value_text(json.data),
        rc_value_int(now_unix_ms),
    };

    return sdrs_state_exec(state,
                           "INSERT INTO outbox (id, uuid, json, attempts, due_unix_ms,"
                           " created_unix_ms) VALUES ($1, $2, $3, 0, $4, $4)",
                           values, RC_ARRAY_LEN(values), NULL, err);
}

enum rc_code sdrs_outbox_add(struct sdrs_state *state, const struct sdrs_event *event,
                             struct rc_error *err)
{
    if (sdrs_state_transact(state, add, (void *)event, err))
        return rc_context(err, "put a notification about '%s' into the outbox", event->directory);
    return RC_OK;
}

/* ---- delivering ------------------------------------------------------------------------------ */

static void take_message(void *context, const struct rc_value *row)
{
    struct sdrs_message *message = context;

    message->id = row[0].integer;
    message->uuid = sdrs_owned(&row[1]);
    message->json = sdrs_owned(&row[2]);
    message->attempts = row[3].integer + 1;
}

/*
 * No pause and no claim is longer than the longest pause: what lies further ahead was written by a
 * clock that was wrong, or by a run with another time.
 */
static enum rc_code take(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct sdrs_message *message = context;
    int64_t now_unix_ms = sdrs_now_unix_ms(state->job);
    const struct rc_value times[] = { rc_value_int(now_unix_ms),
                                      rc_value_int(now_unix_ms + LONGEST_PAUSE_MS) };
    struct rc_value claim[] = { rc_value_null(), rc_value_int(now_unix_ms + CLAIM_MS) };

    sdrs_message_clear(message);
    if (sdrs_state_rows(state,
                        "SELECT id, uuid, json, attempts FROM outbox WHERE due_unix_ms <= $1"
                        " OR due_unix_ms > $2 ORDER BY id LIMIT 1",
                        times, RC_ARRAY_LEN(times), take_message, message, err))
        return err->code;
    if (message->id == 0)
        return RC_OK;
    claim[0] = rc_value_int(message->id);
    return sdrs_state_exec(state,
                           "UPDATE outbox SET attempts = attempts + 1, due_unix_ms = $2"
                           " WHERE id = $1",
                           claim, RC_ARRAY_LEN(claim), NULL, err);
}

enum rc_code sdrs_outbox_take(struct sdrs_state *state, struct sdrs_message *out,
                              struct rc_error *err)
{
    *out = (struct sdrs_message){ 0 };
    if (state->job->dry_run)
        return RC_OK;
    if (sdrs_state_transact(state, take, out, err)) {
        sdrs_message_clear(out);
        return rc_context(err, "take a notification from the outbox");
    }
    return RC_OK;
}

enum rc_code sdrs_outbox_delivered(struct sdrs_state *state, int64_t id, struct rc_error *err)
{
    const struct rc_value value = rc_value_int(id);

    if (sdrs_state_exec(state, "DELETE FROM outbox WHERE id = $1", &value, 1, NULL, err))
        return rc_context(err, "note that the notification %" PRId64 " is delivered", id);
    return RC_OK;
}

static enum rc_code postpone(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct rc_value *values = context; /* id, message, and when it is due again */
    int64_t attempts, pause_ms = LONGEST_PAUSE_MS;

    if (sdrs_state_count(state, "SELECT attempts FROM outbox WHERE id = $1", values, 1, &attempts,
                         err))
        return err->code;
    if (attempts >= 1 && attempts <= DOUBLINGS)
        pause_ms = (int64_t)FIRST_PAUSE_MS << (attempts - 1);
    values[2] = rc_value_int(sdrs_now_unix_ms(state->job) + pause_ms);
    return sdrs_state_exec(state, "UPDATE outbox SET message = $2, due_unix_ms = $3 WHERE id = $1",
                           values, 3, NULL, err);
}

enum rc_code sdrs_outbox_failed(struct sdrs_state *state, int64_t id, const char *message,
                                struct rc_error *err)
{
    struct rc_value values[] = { rc_value_int(id), sdrs_bytes(message), rc_value_null() };

    if (sdrs_state_transact(state, postpone, values, err))
        return rc_context(err, "put off the notification %" PRId64, id);
    return RC_OK;
}

enum rc_code sdrs_outbox_waiting(struct sdrs_state *state, int64_t *count, struct rc_error *err)
{
    if (sdrs_state_count(state, "SELECT count(*) FROM outbox", NULL, 0, count, err))
        return rc_context(err, "count the notifications in the outbox");
    return RC_OK;
}

enum rc_code sdrs_outbox_remember(struct sdrs_state *state, const char *key, struct rc_error *err)
{
    int64_t found;

    if (ask(state, key, sdrs_now_unix_ms(state->job), &found, err))
        return rc_context(err, "remember whether '%s' was told", key);
    return RC_OK;
}

enum rc_code sdrs_outbox_forget(struct sdrs_state *state, int64_t asked_before_unix_ms,
                                int64_t *forgotten, struct rc_error *err)
{
    const struct rc_value value = rc_value_int(asked_before_unix_ms);

    *forgotten = 0;
    if (sdrs_state_exec(state, "DELETE FROM outbox_once WHERE asked_unix_ms < $1", &value, 1,
                        forgotten, err))
        return rc_context(err, "forget which notifications were made long ago");
    return RC_OK;
}
