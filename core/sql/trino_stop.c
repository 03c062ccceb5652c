/*
 * Statements that a session has left running which is over: Trino goes on for minutes with what a
 * killed run has begun, and may make a table when nobody looks after it any more.
 */
#include <sql/trino_text.h>

#include <run-core/str.h>

#include <string.h>
#include <time.h>

enum { TEXT_BYTES = 16 * 1024, LIST_BYTES = 1 << 20, LOOK_MS = 500, LOOKS = 60 };

/* The ids of the statements that name the session, one after the other: "id\0id\0". */
static enum rc_code find_running(struct core_presto *session, const char *over, struct rc_buf *out,
                                 struct rc_error *err)
{
    const struct rc_value *row = NULL;
    RC_BUF_AUTO(text, TEXT_BYTES);
    RC_ROWS_AUTO(rows);
    enum rc_code code;

    rc_buf_reset(out);
    /* The name is put together there, so that this very statement does not hold it. */
    rc_buf_adds(&text, "SELECT query_id FROM system.runtime.queries WHERE state NOT IN "
                       "('FINISHED', 'FAILED') AND strpos(query, concat('rc_', ");
    rc_buf_add_literal(&text, over + strlen("rc_"));
    rc_buf_adds(&text, ")) > 0");
    if (core_presto_ask(session, &text, &rows, err))
        return err->code;
    while (!(code = rc_rows_next(rows, &row, err)) && row)
        if (row[0].type == RC_VALUE_TEXT)
            rc_buf_add(out, row[0].text, strlen(row[0].text) + 1);
    return code ? code : rc_buf_check(out, err);
}

/* One that has just ended cannot be ended, which is no mistake; the next look tells. */
static enum rc_code end_query(struct core_presto *session, const char *id, struct rc_error *err)
{
    struct rc_error ignored = RC_ERROR_INIT;
    RC_BUF_AUTO(text, TEXT_BYTES);

    rc_buf_adds(&text, "CALL system.runtime.kill_query(query_id => ");
    rc_buf_add_literal(&text, id);
    rc_buf_adds(&text, ", message => 'the run that began it is over')");
    if (core_presto_run(session, CORE_PRESTO_DDL, &text, NULL, &ignored) == RC_DENIED)
        return rc_fail(err, RC_DENIED, "end the statement %s: %s%s%s", id, ignored.context,
                       *ignored.context ? ": " : "", ignored.cause);
    return RC_OK;
}

enum rc_code core_trino_stop_session(struct core_presto *session, const char *over,
                                     struct rc_error *err)
{
    const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
    RC_BUF_AUTO(ids, LIST_BYTES);

    for (int i = 0; i < LOOKS; i++) {
        if (core_presto_check(session, err) || find_running(session, over, &ids, err))
            return err->code;
        if (ids.len == 0)
            return RC_OK;
        for (const char *at = ids.data; at < ids.data + ids.len; at += strlen(at) + 1)
            if (end_query(session, at, err))
                return err->code;
        (void)nanosleep(&pause, NULL);
    }
    return rc_fail(err, RC_UNAVAILABLE, "the statement %s does not end", ids.data);
}
