/*
 * 'run-core runs': what ran, what did not, and why, from the ledger itself, with or without a
 * daemon. As JSON the rows go out as they are read, so that any number of them takes little memory.
 */
#include <cli/arguments.h>
#include <cli/log_view.h>
#include <cli/output.h>

#include <base/nearest.h>
#include <config/json.h>
#include <db/ledger.h>
#include <os/clock.h>
#include <os/path.h>
#include <runtime/output.h>
#include <runtime/run.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_LIMIT = 20, ROW_LIMIT = 4 * 1024 * 1024, FLUSH_BYTES = 64 * 1024, WHY_BYTES = 72 };

/* ---- JSON ----------------------------------------------------------------------------------- */

static void add_key(struct rc_buf *out, const char *key, const char *text)
{
    rc_buf_addf(out, "\"%s\":", key);
    core_cli_add_json(out, text);
    rc_buf_addc(out, ',');
}

static void add_time(struct rc_buf *out, const char *key, bool known, int64_t unix_ms)
{
    char text[RC_TIME_TEXT];

    add_key(out, key, known ? rc_format_time(unix_ms, text) : NULL);
}

/* The number of an exit status, or null. */
static void add_exit_status(struct rc_buf *out, int64_t exit_status)
{
    if (exit_status < 0)
        rc_buf_adds(out, "\"exit_status\":null");
    else
        rc_buf_addf(out, "\"exit_status\":%lld", (long long)exit_status);
}

/* The members of a run's object, without its braces. */
static void add_run(struct rc_buf *out, const struct core_run_record *run)
{
    add_key(out, "id", run->id);
    add_key(out, "job", run->job);
    add_key(out, "plugin", run->plugin);
    add_key(out, "action", run->action);
    add_key(out, "trigger", run->trigger);
    add_time(out, "slot", run->has_slot, run->slot_unix_ms);
    add_time(out, "due", true, run->due_unix_ms);
    add_key(out, "status", core_run_status_name(run->status));
    add_key(out, "reason", run->reason);
    rc_buf_addf(out, "\"attempt\":%lld,", (long long)run->attempt);
    add_time(out, "started", run->started_unix_ms > 0, run->started_unix_ms);
    add_time(out, "finished", run->finished_unix_ms > 0, run->finished_unix_ms);
    add_exit_status(out, run->exit_status);
    rc_buf_addf(out, ",\"counters\":%s", run->counters ? run->counters : "{}");
}

/* Rows on their way to stdout. */
struct stream {
    struct rc_buf buf;
    bool any;
    int failed; /* why stdout takes no more; 0: it does */
};

static void flush(struct stream *stream)
{
    if (!stream->failed)
        stream->failed = core_fd_write(STDOUT_FILENO, stream->buf.data, stream->buf.len);
    rc_buf_reset(&stream->buf);
}

static void stream_run(void *context, const struct core_run_record *run)
{
    struct stream *stream = context;

    if (stream->failed)
        return;
    rc_buf_adds(&stream->buf, stream->any ? ",\n{" : "[{");
    add_run(&stream->buf, run);
    rc_buf_addc(&stream->buf, '}');
    stream->any = true;
    if (stream->buf.len >= FLUSH_BYTES)
        flush(stream);
}

static int end_stream(struct stream *stream, int status)
{
    rc_buf_adds(&stream->buf, stream->any ? "]\n" : "[]\n");
    flush(stream);
    rc_buf_clear(&stream->buf);
    if (!stream->failed || stream->failed == EPIPE) /* a reader that goes has read enough */
        return status;
    (void)fprintf(stderr, "run-core: cannot write the result to stdout: %s\n",
                  strerror(stream->failed));
    return CORE_EXIT_FAILED;
}

/* ---- text ----------------------------------------------------------------------------------- */

/* Cells of a table that grows by rows. */
struct table {
    char **cells;
    size_t count;
};

static void add_cell(struct table *table, char *text)
{
    /* Grown when the number is a power of two. */
    if ((table->count & (table->count - 1)) == 0) {
        char **cells = rc_malloc((table->count ? 2 * table->count : 1) * sizeof(*cells));

        if (table->count)
            memcpy(cells, table->cells, table->count * sizeof(*cells));
        free(table->cells);
        table->cells = cells;
    }
    table->cells[table->count++] = text;
}

static void clear_table(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){ 0 };
}

static void print_table(struct rc_buf *out, const struct table *table, const char *const *columns,
                        size_t column_count)
{
    const struct rc_table shown = {
        .columns = columns,
        .column_count = column_count,
        .cells = (const char *const *)table->cells,
        .row_count = table->count / column_count,
    };

    core_output_table_text(out, &shown);
}

/* Whole seconds from a minute on: nobody counts the milliseconds of an hour. */
static char *duration_text(int64_t ms)
{
    char text[RC_AMOUNT_TEXT];

    if (ms < 0)
        return NULL;
    if (ms < 1000)
        return rc_strf("%lldms", (long long)ms);
    if (ms < 60000)
        return rc_strf("%lld.%llds", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    return rc_strdup(rc_format_duration(ms / 1000 * 1000, text));
}

static char *took_text(int64_t started_unix_ms, int64_t finished_unix_ms)
{
    return started_unix_ms > 0 && finished_unix_ms > 0
               ? duration_text(finished_unix_ms - started_unix_ms)
               : NULL;
}

static char *time_text(int64_t unix_ms)
{
    char text[RC_TIME_TEXT];

    return unix_ms > 0 ? rc_strdup(rc_format_time(unix_ms, text)) : NULL;
}

/* The message of an end that went wrong, cut to a line's rest; else the word for it. */
static char *why_text(const char *reason, const char *message)
{
    const char *text = message ? message : reason;
    size_t len = text ? strcspn(text, "\n") : 0;

    if (!text)
        return NULL;
    if (len <= WHY_BYTES)
        return rc_strndup(text, len);
    len = WHY_BYTES - 3;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--; /* not within a character */
    RC_STR_AUTO start = rc_strndup(text, len);
    return rc_strf("%s...", start);
}

static const char *const run_columns[] = {
    "run", "job", "trigger", "due", "status", ">late", ">took", "why",
};

static void tabulate_run(void *context, const struct core_run_record *run)
{
    struct table *table = context;
    bool first = run->has_slot && run->attempt == 1; /* a later attempt is late by its own rule */
    bool runs = run->status == CORE_RUN_STARTED;

    add_cell(table, rc_strdup(run->id));
    add_cell(table, rc_strdup(run->job));
    add_cell(table, rc_strdup(run->trigger));
    /* By hand nobody means a millisecond. */
    add_cell(table, time_text(run->has_slot ? run->slot_unix_ms : run->due_unix_ms / 1000 * 1000));
    add_cell(table, run->attempt > 1
                        ? rc_strf("%s (attempt %lld)", core_run_status_name(run->status),
                                  (long long)run->attempt)
                        : rc_strdup(core_run_status_name(run->status)));
    add_cell(table, first ? duration_text(run->started_unix_ms - run->slot_unix_ms) : NULL);
    add_cell(table, took_text(run->started_unix_ms,
                              runs ? core_clock_now_unix_ms() : run->finished_unix_ms));
    add_cell(table, why_text(run->reason, run->message));
}

/* ---- one run -------------------------------------------------------------------------------- */

static void add_line(struct rc_buf *out, const char *key, const char *format, ...) RC_PRINTF(3, 4);

static void add_line(struct rc_buf *out, const char *key, const char *format, ...)
{
    RC_BUF_AUTO(text, ROW_LIMIT);
    va_list arguments;

    va_start(arguments, format);
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);
    rc_buf_addf(out, "%-10s ", key);
    core_log_add_printable(out, text.data, text.len);
    rc_buf_addc(out, '\n');
}

/* Only the names: which of the values are secrets, the plugin alone could tell. */
static void add_set(struct rc_buf *out, const char *set)
{
    struct core_arena arena = CORE_ARENA_INIT;
    CORE_PROBLEMS_AUTO(ignored);
    RC_BUF_AUTO(names, ROW_LIMIT);
    const struct core_node *map = core_json_read(&arena, "set", set, strlen(set), &ignored);

    for (size_t i = 0; map && map->kind == CORE_NODE_MAP && i < map->len; i++)
        rc_buf_addf(&names, "%s%s", i > 0 ? ", " : "", map->entries[i].key);
    if (names.len > 0)
        add_line(out, "set", "%s", names.data);
    core_arena_clear(&arena);
}

static void describe_run(void *context, const struct core_run_record *run)
{
    struct rc_buf *out = context;
    RC_STR_AUTO due = time_text(run->due_unix_ms);
    RC_STR_AUTO slot = time_text(run->slot_unix_ms);
    RC_STR_AUTO again = time_text(run->not_before_unix_ms);

    add_line(out, "run", "%s", run->id);
    if (run->job)
        add_line(out, "job", "%s", run->job);
    add_line(out, "action", "%s %s", run->plugin ? run->plugin : "?",
             run->action ? run->action : "(its first)");
    add_line(out, "trigger", "%s at %s", run->trigger, due ? due : "?");
    if (run->has_slot && slot)
        add_line(out, "slot", "%s", slot);
    add_line(out, "status", "%s%s%s", core_run_status_name(run->status), run->reason ? ": " : "",
             run->reason ? run->reason : "");
    if (run->message)
        add_line(out, "message", "%s", run->message);
    if (run->cancel)
        add_line(out, "asked", "to stop: %s", run->cancel);
    if (again)
        add_line(out, "next", "attempt not before %s", again);
    if (run->counters && strcmp(run->counters, "{}") != 0)
        add_line(out, "counters", "%s", run->counters);
    if (run->set)
        add_set(out, run->set);
    if (run->spool)
        add_line(out, "files", "%s/runs/%s", run->spool, run->id);
}

static void tabulate_attempt(void *context, const struct core_attempt_record *attempt)
{
    struct table *table = context;

    add_cell(table, rc_strf("%lld", (long long)attempt->number));
    add_cell(table, rc_strdup(core_run_status_name(attempt->status)));
    add_cell(table, time_text(attempt->started_unix_ms));
    add_cell(table, took_text(attempt->started_unix_ms, attempt->finished_unix_ms));
    add_cell(table,
             attempt->exit_status >= 0 ? rc_strf("%lld", (long long)attempt->exit_status) : NULL);
    add_cell(table, why_text(attempt->reason, attempt->message));
}

static void add_run_object(void *context, const struct core_run_record *run)
{
    struct rc_buf *out = context;

    rc_buf_addc(out, '{');
    add_run(out, run);
    rc_buf_addc(out, ',');
    add_key(out, "message", run->message);
    rc_buf_adds(out, "\"attempts\":[");
}

static void add_attempt_object(void *context, const struct core_attempt_record *attempt)
{
    struct rc_buf *out = context;

    rc_buf_addf(out, "%s{\"attempt\":%lld,", out->data[out->len - 1] == '[' ? "" : ",",
                (long long)attempt->number);
    add_key(out, "status", core_run_status_name(attempt->status));
    add_key(out, "reason", attempt->reason);
    add_key(out, "message", attempt->message);
    add_time(out, "started", attempt->started_unix_ms > 0, attempt->started_unix_ms);
    add_time(out, "finished", attempt->finished_unix_ms > 0, attempt->finished_unix_ms);
    add_exit_status(out, attempt->exit_status);
    rc_buf_addc(out, '}');
}

static enum rc_code show_text(struct core_ledger *ledger, const char *id, struct rc_buf *out,
                              struct rc_error *err)
{
    static const char *const columns[] = {
        ">attempt", "status", "started", ">took", ">exit", "why"
    };
    RC_CLEANUP(clear_table) struct table table = { 0 };

    if (core_ledger_run(ledger, id, describe_run, out, err) ||
        core_ledger_attempts(ledger, id, tabulate_attempt, &table, err))
        return err->code;
    if (table.count > 0) {
        rc_buf_addc(out, '\n');
        print_table(out, &table, columns, RC_ARRAY_LEN(columns));
    }
    return RC_OK;
}

static enum rc_code show_json(struct core_ledger *ledger, const char *id, struct rc_buf *out,
                              struct rc_error *err)
{
    if (core_ledger_run(ledger, id, add_run_object, out, err) ||
        core_ledger_attempts(ledger, id, add_attempt_object, out, err))
        return err->code;
    rc_buf_adds(out, "]}\n");
    return RC_OK;
}

/* ---- the command ---------------------------------------------------------------------------- */

static enum rc_code read_limit(const char *text, int64_t *limit, struct rc_error *err)
{
    if (!text || (rc_parse_int(text, limit) && *limit >= 1))
        return RC_OK;
    return rc_fail(err, RC_INVALID, "'--limit %s': a limit is a whole number from 1 on", text);
}

/* "failed,lost" to the bits of a filter. */
static enum rc_code read_statuses(const char *text, unsigned *statuses, struct rc_error *err)
{
    while (text && *text) {
        size_t len = strcspn(text, ",");
        RC_STR_AUTO word = rc_strndup(text, len);
        const char *names[CORE_RUN_STATUS_COUNT];
        enum core_run_status status;
        const char *nearest;

        for (int i = 0; i < CORE_RUN_STATUS_COUNT; i++)
            names[i] = core_run_status_name((enum core_run_status)i);
        nearest = core_nearest(word, names, CORE_RUN_STATUS_COUNT);
        if (!core_run_status_parse(word, &status))
            return rc_fail(err, RC_INVALID,
                           "'%s' is no status of a run%s%s%s (due, started, succeeded, failed, "
                           "timed_out, cancelled, lost, skipped)",
                           word, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                           nearest ? "'?" : "");
        *statuses |= 1u << status;
        text += len + (text[len] == ',');
    }
    return RC_OK;
}

static int list_runs(struct core_ledger *ledger, const struct core_arguments *arguments,
                     struct core_run_filter *filter, int status)
{
    struct stream stream = { .buf = RC_BUF_INIT(ROW_LIMIT) };
    RC_CLEANUP(clear_table) struct table table = { 0 };
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);
    struct rc_error err = RC_ERROR_INIT;

    if (!arguments->json && filter->limit == 0)
        filter->limit = TEXT_LIMIT;
    if (ledger && core_ledger_runs(ledger, filter, arguments->json ? stream_run : tabulate_run,
                                   arguments->json ? (void *)&stream : (void *)&table, &err)) {
        rc_buf_clear(&stream.buf);
        (void)core_cli_complain(&err);
        return CORE_EXIT_FAILED;
    }
    if (arguments->json)
        return end_stream(&stream, status);
    if (table.count == 0)
        rc_buf_adds(&out, "No runs.\n");
    else
        print_table(&out, &table, run_columns, RC_ARRAY_LEN(run_columns));
    return core_cli_print(&out, status);
}

static int show_run(struct core_ledger *ledger, const struct core_arguments *arguments, int status)
{
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    const char *id = arguments->words[0];

    if (!ledger)
        (void)rc_fail(&err, RC_NOT_FOUND, "there is no run '%s', as nothing ran yet", id);
    else if ((arguments->json ? show_json : show_text)(ledger, id, &out, &err) == RC_OK)
        return core_cli_print(&out, status);
    (void)core_cli_complain(&err);
    return CORE_EXIT_FAILED;
}

/* *out stays NULL where nothing ran yet. */
static enum rc_code open_ledger(const struct core_config *config, struct core_ledger **out,
                                struct rc_error *err)
{
    RC_STR_AUTO state = NULL;
    struct rc_error ignored = RC_ERROR_INIT;

    *out = NULL;
    if (core_state_url(config, &state, err))
        return err->code;
    if (core_ledger_open_reader(state, out, err))
        return err->code == RC_NOT_FOUND
                   ? RC_OK
                   : rc_context(err, "open the state database at '%s'", state);
    if (core_ledger_settle_foreground(*out, core_clock_now_unix_ms(), &ignored))
        return RC_OK; /* who may only read sees the rows as they are */
    return RC_OK;
}

static int run_runs(const struct core_arguments *arguments)
{
    struct core_run_filter filter = { .job = arguments->job };
    CORE_PROBLEMS_AUTO(problems);
    struct rc_error err = RC_ERROR_INIT;
    struct core_ledger *ledger;
    struct core_config *config;
    int status;

    if (read_limit(arguments->limit, &filter.limit, &err) ||
        read_statuses(arguments->status, &filter.statuses, &err))
        return core_cli_complain(&err);
    config = core_config_load(core_arguments_config_path(arguments), &problems);
    status = core_cli_report(&problems);
    if (open_ledger(config, &ledger, &err)) {
        (void)core_cli_complain(&err);
        status = CORE_EXIT_FAILED;
    } else if (arguments->word_count > 0) {
        status = show_run(ledger, arguments, status);
    } else {
        status = list_runs(ledger, arguments, &filter, status);
    }
    core_ledger_close(ledger);
    core_config_free(config);
    return status;
}

const struct core_command core_command_runs = {
    .name = "runs",
    .operands = "[RUN]",
    .summary = "Lists what ran and what was skipped, or shows one run with its attempts.",
    .details = "The newest come first: 20 of them, or as many as --limit says; with --json all "
               "unless it says so. A row stands for one slot of a schedule or one run by hand. "
               "'late' is how long after its slot it began, 'took' how long its latest attempt "
               "lasted, until now if it goes on. No daemon is needed.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_JOB | CORE_FLAG_STATUS | CORE_FLAG_LIMIT | CORE_FLAG_JSON,
    .max_words = 1,
    .run = run_runs,
};
