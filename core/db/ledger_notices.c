/*
 * The outbox: notifications that are written with the end of a run, in its transaction, and go out
 * afterwards, by whoever has them.
 */
#include <db/ledger_internal.h>

static enum rc_code next_number(struct core_ledger *ledger, int64_t *out, struct rc_error *err)
{
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session,
                           "UPDATE numbers SET latest = latest + 1 WHERE name = 'notices' "
                           "RETURNING latest",
                           NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    if (!row)
        return rc_fail(err, RC_CORRUPT, "the state database has lost its row of 'numbers'");
    *out = row[0].integer;
    return RC_OK;
}

enum rc_code core_ledger_add_notice(struct core_ledger *ledger, const struct core_notice *notice,
                                    struct rc_error *err)
{
    int64_t number = 0;

    if (next_number(ledger, &number, err))
        return err->code;

    const struct rc_value params[] = {
        rc_value_int(number),         rc_value_text(ledger->self.id),
        rc_value_text(notice->job),   rc_value_text(notice->run),
        rc_value_text(notice->event), rc_value_int(notice->item),
        rc_value_text(notice->body),  rc_value_int(notice->not_before_unix_ms),
    };
    return core_ledger_exec(ledger,
                            "INSERT INTO notices (id, executor, job, run, event, item, body, "
                            "attempts, not_before_unix_ms) "
                            "VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8) ON CONFLICT DO NOTHING",
                            params, RC_ARRAY_LEN(params), NULL, err);
}

enum rc_code core_ledger_notices(struct core_ledger *ledger, int64_t now_unix_ms, int64_t limit,
                                 core_notice_fn *fn, void *context, struct rc_error *err)
{
    const struct rc_value params[] = {
        rc_value_text(ledger->self.id),
        rc_value_int(now_unix_ms),
        rc_value_int(limit),
    };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session,
                           "SELECT id, job, run, event, item, body, attempts, not_before_unix_ms "
                           "FROM notices WHERE executor = $1 AND not_before_unix_ms <= $2 "
                           "ORDER BY not_before_unix_ms, id LIMIT $3",
                           params, RC_ARRAY_LEN(params), &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;

        const struct core_notice notice = {
            .id = row[0].integer,
            .job = core_ledger_text(&row[1]),
            .run = core_ledger_text(&row[2]),
            .event = core_ledger_text(&row[3]),
            .item = row[4].integer,
            .body = core_ledger_text(&row[5]),
            .attempts = row[6].integer,
            .not_before_unix_ms = row[7].integer,
        };
        fn(context, &notice);
    }
}

enum rc_code core_ledger_put_off_notice(struct core_ledger *ledger, int64_t id,
                                        int64_t not_before_unix_ms, struct rc_error *err)
{
    const struct rc_value params[] = {
        rc_value_int(id),
        rc_value_text(ledger->self.id),
        rc_value_int(not_before_unix_ms),
    };

    if (not_before_unix_ms == 0)
        return core_ledger_exec(ledger, "DELETE FROM notices WHERE id = $1 AND executor = $2",
                                params, 2, NULL, err);
    return core_ledger_exec(ledger,
                            "UPDATE notices SET attempts = attempts + 1, not_before_unix_ms = $3 "
                            "WHERE id = $1 AND executor = $2",
                            params, RC_ARRAY_LEN(params), NULL, err);
}
