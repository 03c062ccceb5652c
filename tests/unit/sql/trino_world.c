#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <trino_world.h>

#include <run-core/str.h>

#include <stdio.h>
#include <string.h>

static void hear_said(void *context, enum rc_log_level level, const char *text)
{
    struct world *w = context;
    size_t len = strlen(w->said);

    (void)snprintf(w->said + len, sizeof(w->said) - len, "%d %s\n", (int)level, text);
}

static void hear_scanned(void *context, int64_t bytes, int64_t cost_micros)
{
    struct world *w = context;

    w->scanned_bytes += bytes;
    assert_int_equal(cost_micros, 0);
}

static void hear_progress(void *context, double fraction)
{
    ((struct world *)context)->progress = fraction;
}

void begin(struct world *w, const struct script_line *lines, size_t count)
{
    scripted_start(&w->server, lines, count);
    w->settings.url = w->server.listener.url;
    w->limits.backoff_ms = 1;
    if (!w->limits.patience_ms)
        w->limits.patience_ms = 5000;
    w->session.context = (struct core_sql_context){
        .settings = &w->settings,
        .session = "rc_test_1",
        .say = hear_said,
        .say_context = w,
        .on_scanned = hear_scanned,
        .scanned_context = w,
        .on_progress = hear_progress,
        .progress_context = w,
    };
    w->session.stop = (struct core_cancel){ .parent = &w->run };
    w->err = (struct rc_error)RC_ERROR_INIT;
    if (core_trino_client_new(&w->session, &w->limits, &w->client, &w->err))
        fail_msg("%s", w->err.cause);
}

void end(struct world *w)
{
    core_trino_client_free(w->client);
    scripted_stop(&w->server);
}

enum rc_code ask(struct world *w, const char *text, struct rc_buf *out)
{
    struct core_trino_statement *statement = NULL;
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);
    enum rc_code code;

    if (core_trino_start(w->client, text, &statement, &w->err) ||
        core_trino_rows(statement, &rows, &w->err))
        return w->err.code;
    while (!(code = rc_rows_next(rows, &row, &w->err)) && row)
        for (size_t i = 0; i < rc_rows_columns(rows, NULL); i++) {
            if (row[i].type == RC_VALUE_INT)
                rc_buf_addf(out, "%lld", (long long)row[i].integer);
            else
                rc_buf_adds(out, row[i].type == RC_VALUE_NULL ? "-" : row[i].text);
            rc_buf_adds(out, i + 1 < rc_rows_columns(rows, NULL) ? "|" : ";");
        }
    return code;
}

void asks_and_gets(struct world *w, const char *expected)
{
    RC_BUF_AUTO(got, 64 * 1024);

    if (ask(w, "SELECT 1", &got))
        fail_msg("%s: %s", w->err.context, w->err.cause);
    assert_string_equal(got.data, expected);
}

void asks_and_fails(struct world *w, enum rc_code code, const char *words)
{
    RC_BUF_AUTO(got, 64 * 1024);

    assert_string_equal(rc_code_name(ask(w, "SELECT 1", &got)), rc_code_name(code));
    if (!strstr(w->err.cause, words))
        fail_msg("'%s' is not in: %s", words, w->err.cause);
}

size_t heard(struct world *w)
{
    return atomic_load(&w->server.heard_count);
}
