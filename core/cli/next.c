/*
 * 'run-core next': when a schedule is due, for people, for programs, and for many schedules
 * at once from stdin. All jobs of a configuration are left to next_jobs.c.
 */
#include <cli/next.h>

#include <cli/arguments.h>
#include <cli/output.h>

#include <base/nearest.h>
#include <os/clock.h>
#include <os/path.h>
#include <runtime/job_schedule.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_COUNT = 3, MOST_COUNT = 10000, LONGEST_ROW = 64 * 1024 };

/* ---- words of the command line and of rows --------------------------------------------------- */

static bool parse_from(const char *text, int64_t *unix_ms)
{
    int64_t unix_s = 0;

    if (rc_parse_time(text, unix_ms))
        return true;
    return rc_parse_int(text, &unix_s) && !__builtin_mul_overflow(unix_s, 1000, unix_ms);
}

enum rc_code core_next_read_from(const char *text, int64_t *unix_ms, struct rc_error *err)
{
    if (parse_from(text, unix_ms))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "'%s' is no time to start from; write it as in RFC 3339, such as "
                   "2026-01-31T02:00:00Z, or as seconds since 1970",
                   text);
}

enum rc_code core_next_read_count(const char *text, int64_t *count, struct rc_error *err)
{
    if (rc_parse_int(text, count) && *count >= 1 && *count <= MOST_COUNT)
        return RC_OK;
    return rc_fail(err, RC_INVALID, "'%s' is no count; it is a number from 1 to %d", text,
                   (int)MOST_COUNT);
}

void core_next_add_local(struct rc_buf *out, int64_t unix_ms, const char *zone_name,
                         const struct core_time_zone *zone)
{
    char text[RC_TIME_TEXT];
    int32_t offset_s = core_time_zone_offset_s(zone, unix_ms / 1000);

    if (offset_s % 60 != 0 || strcmp(zone_name, "UTC") == 0) {
        rc_buf_adds(out, rc_format_time(unix_ms, text));
        return;
    }
    (void)rc_format_time(unix_ms + offset_s * INT64_C(1000), text);
    rc_buf_add(out, text, strlen(text) - 1); /* without the Z */
    rc_buf_addf(out, "%c%02d:%02d", offset_s < 0 ? '-' : '+', abs(offset_s) / 3600,
                abs(offset_s) / 60 % 60);
}

/* ---- one schedule ---------------------------------------------------------------------------- */

/* What is asked for, and the schedule that answers it. */
struct question {
    struct core_config *config; /* when the schedule is that of a job; else NULL */
    struct core_time_zones *zones;
    struct core_schedule *schedule;
    const char *text, *zone_name;
    const struct core_time_zone *zone;
    int64_t from_unix_ms, count;
};

static void clear(struct question *question)
{
    core_schedule_free(question->schedule);
    core_time_zones_free(question->zones);
    core_config_free(question->config);
}

static void add_text(const struct question *question, bool explain, struct rc_buf *out)
{
    int64_t slot = question->from_unix_ms;

    if (explain) {
        core_schedule_explain(question->schedule, out);
        rc_buf_addc(out, '\n');
    }
    for (int64_t i = 0; i < question->count; i++) {
        RC_BUF_AUTO(why, 512);

        if (!core_schedule_next(question->schedule, slot, &slot))
            break;
        core_next_add_local(out, slot, question->zone_name, question->zone);
        if (explain)
            core_schedule_explain_slot(question->schedule, slot, &why);
        rc_buf_addf(out, "%s%s\n", why.len ? "  " : "", why.data);
    }
}

static void add_json(const struct question *question, bool explain, struct rc_buf *out)
{
    char time[RC_TIME_TEXT];
    int64_t slot = question->from_unix_ms;
    RC_BUF_AUTO(reasons, CORE_CLI_OUTPUT_BYTES);
    RC_BUF_AUTO(words, 8192);

    rc_buf_adds(out, "{\"schedule\":");
    core_cli_add_json(out, question->text);
    rc_buf_adds(out, ",\"time_zone\":");
    core_cli_add_json(out, question->zone_name);
    rc_buf_addf(out, ",\"from\":\"%s\",\"next\":[", rc_format_time(question->from_unix_ms, time));
    for (int64_t i = 0; i < question->count; i++) {
        RC_BUF_AUTO(why, 512);

        if (!core_schedule_next(question->schedule, slot, &slot))
            break;
        rc_buf_addf(out, "%s\"%s\"", i ? "," : "", rc_format_time(slot, time));
        core_schedule_explain_slot(question->schedule, slot, &why);
        rc_buf_adds(&reasons, i ? "," : "");
        core_cli_add_json(&reasons, why.len ? why.data : NULL);
    }
    rc_buf_addc(out, ']');
    if (explain) {
        core_schedule_explain(question->schedule, &words);
        rc_buf_adds(out, ",\"explanation\":");
        core_cli_add_json(out, words.data);
        rc_buf_addf(out, ",\"reasons\":[%s]", reasons.data);
    }
    rc_buf_adds(out, "}\n");
}

/* The schedule of the job that --job names, with its zone and its rules for clock changes. */
static enum rc_code take_job(const struct core_arguments *arguments, struct question *question,
                             struct rc_error *err)
{
    CORE_PROBLEMS_AUTO(ignored); /* those of other jobs are for 'check' */
    const struct core_job_settings *job;

    question->config = core_config_load(core_arguments_config_path(arguments), &ignored);
    job = core_config_job(question->config, arguments->job);
    if (!job) {
        const char **names = rc_calloc(question->config->job_count + 1, sizeof(*names));
        const char *nearest;

        for (size_t i = 0; i < question->config->job_count; i++)
            names[i] = question->config->jobs[i].name;
        nearest = core_nearest(arguments->job, names, question->config->job_count);
        free((void *)names);
        return rc_fail(err, RC_NOT_FOUND, "there is no job '%s' in the configuration%s%s%s",
                       arguments->job, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                       nearest ? "'?" : "");
    }
    if (!job->schedule)
        return rc_fail(err, RC_INVALID, "job '%s' has no schedule: it runs on demand only",
                       arguments->job);
    question->text = job->schedule;
    if (!arguments->time_zone) {
        question->zone_name = job->time_zone ? job->time_zone : "UTC";
        return core_job_schedule_make(job, question->zones, &question->schedule, err);
    }

    struct core_job_settings moved = *job;
    moved.time_zone = arguments->time_zone;
    return core_job_schedule_make(&moved, question->zones, &question->schedule, err);
}

static enum rc_code take_expression(const struct core_arguments *arguments,
                                    struct question *question, struct rc_error *err)
{
    struct core_schedule_options options = { .name = arguments->job, .zone = question->zone };

    question->text = arguments->words[0];
    if (!core_schedule_parse(question->text, &options, &question->schedule, err))
        return RC_OK;
    /* A word alone is rather the name of a job. */
    if (question->text[0] && !strpbrk(question->text, " \t@"))
        return rc_fail(err, RC_INVALID,
                       "'%s' is no schedule such as '30 2 * * *' in quotes; of a job, give its "
                       "name as --job %s",
                       question->text, question->text);
    return err->code;
}

static enum rc_code ask(const struct core_arguments *arguments, struct question *question,
                        struct rc_error *err)
{
    question->zones = core_time_zones_new();
    question->zone_name = arguments->time_zone ? arguments->time_zone : "UTC";
    question->from_unix_ms = core_clock_now_unix_ms();
    question->count = DEFAULT_COUNT;
    if (arguments->from && core_next_read_from(arguments->from, &question->from_unix_ms, err))
        return err->code;
    if (arguments->count && core_next_read_count(arguments->count, &question->count, err))
        return err->code;
    if (core_time_zones_get(question->zones, question->zone_name, &question->zone, err))
        return err->code;
    if (arguments->word_count == 1)
        return take_expression(arguments, question, err);
    if (take_job(arguments, question, err))
        return err->code;
    return core_time_zones_get(question->zones, question->zone_name, &question->zone, err);
}

/* ---- many, from stdin ------------------------------------------------------------------------ */

/* Cuts the row at its tabs. Returns the number of columns; a fifth and more are not kept. */
static size_t split(char *row, const char *columns[4])
{
    size_t count = 0;

    for (char *at = row; at; count++) {
        char *tab = strchr(at, '\t');

        if (tab)
            *tab++ = '\0';
        if (count < 4)
            columns[count] = at;
        at = tab;
    }
    return count;
}

static enum rc_code answer(char *row, const char *name, struct core_time_zones *zones,
                           struct rc_buf *out, struct rc_error *err)
{
    struct core_schedule_options options = { .name = name };
    struct core_schedule *schedule = NULL;
    const char *columns[4] = { NULL };
    size_t width = split(row, columns);
    int64_t slot = 0;
    int64_t count = DEFAULT_COUNT;

    if (width < 3 || width > 4)
        return rc_fail(err, RC_INVALID,
                       "a row has 3 or 4 columns with tabs between them (expression, time zone, "
                       "from, count), not %zu",
                       width);
    if (core_time_zones_get(zones, columns[1], &options.zone, err) ||
        core_next_read_from(columns[2], &slot, err) ||
        (width == 4 && core_next_read_count(columns[3], &count, err)) ||
        core_schedule_parse(columns[0], &options, &schedule, err))
        return err->code;
    for (int64_t i = 0; i < count && core_schedule_next(schedule, slot, &slot); i++)
        rc_buf_addf(out, "%s%lld", i ? "," : "", (long long)(slot / 1000));
    core_schedule_free(schedule);
    return RC_OK;
}

static void answer_line(char *row, const char *name, struct core_time_zones *zones,
                        struct rc_buf *out)
{
    struct rc_error err = RC_ERROR_INIT;
    size_t len = strlen(row);

    if (len > 0 && row[len - 1] == '\r')
        row[len - 1] = '\0';
    if (answer(row, name, zones, out, &err))
        rc_buf_addf(out, "error: %s%s%s", err.context, err.context[0] ? ": " : "", err.cause);
    rc_buf_addc(out, '\n');
}

/* The state of reading: what has come and is not answered. */
struct rows {
    struct core_time_zones *zones;
    const char *name;
    struct rc_buf pending;
    bool too_long; /* the rest of a row that was refused is passed over */
};

/* Answers all whole rows of 'pending', or with 'last' also one without an end. */
static void answer_pending(struct rows *rows, bool last, struct rc_buf *out)
{
    size_t at = 0;

    while (at < rows->pending.len) {
        char *row = rows->pending.data + at;
        char *end = memchr(row, '\n', rows->pending.len - at);

        if (!end && !last)
            break;
        at += end ? (size_t)(end - row) + 1 : rows->pending.len - at;
        if (end)
            *end = '\0';
        if (!rows->too_long)
            answer_line(row, rows->name, rows->zones, out);
        rows->too_long = false;
    }
    memmove(rows->pending.data, rows->pending.data + at, rows->pending.len - at);
    rc_buf_truncate(&rows->pending, rows->pending.len - at);
    if (rows->pending.len >= LONGEST_ROW) {
        if (!rows->too_long)
            rc_buf_addf(out, "error: a row has more than %d bytes\n", (int)LONGEST_ROW);
        rows->too_long = true;
        rc_buf_reset(&rows->pending);
    }
}

/* Each answer is written before more rows are waited for, so that a program may ask one by one. */
static enum rc_code answer_all(struct rows *rows, struct rc_error *err)
{
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);

    for (;;) {
        char *room = rc_buf_reserve(&rows->pending, LONGEST_ROW);
        ssize_t count = read(STDIN_FILENO, room, LONGEST_ROW);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return rc_fail_errno(err, errno, "cannot read the rows from stdin");
        rc_buf_added(&rows->pending, (size_t)count);
        answer_pending(rows, count == 0, &out);
        if (rc_buf_check(&out, err))
            return err->code;
        int failed = core_fd_write(STDOUT_FILENO, out.data, out.len);
        if (failed)
            return rc_fail_errno(err, failed, "cannot write the result to stdout");
        rc_buf_reset(&out);
        if (count == 0)
            return RC_OK;
    }
}

static int run_batch(const struct core_arguments *arguments)
{
    struct rows rows = { .zones = core_time_zones_new(), .name = arguments->job };
    struct rc_error err = RC_ERROR_INIT;
    int status = CORE_EXIT_OK;

    rc_buf_init(&rows.pending, 4 * (size_t)LONGEST_ROW);
    if (answer_all(&rows, &err)) {
        (void)core_cli_complain(&err);
        status = CORE_EXIT_FAILED;
    }
    rc_buf_clear(&rows.pending);
    core_time_zones_free(rows.zones);
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int run_next(const struct core_arguments *arguments)
{
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);
    struct question question = { .config = NULL };
    struct rc_error err = RC_ERROR_INIT;
    int status;

    if (arguments->batch) {
        if (!arguments->word_count && !arguments->from && !arguments->count &&
            !arguments->time_zone && !arguments->explain && !arguments->json)
            return run_batch(arguments);
        (void)rc_fail(&err, RC_INVALID,
                      "with --batch everything but --job comes in rows from stdin: expression, "
                      "time zone, from and count, with tabs between them");
        return core_cli_complain(&err);
    }
    if (!arguments->word_count && !arguments->job)
        return core_next_of_jobs(arguments);
    if (ask(arguments, &question, &err)) {
        status = core_cli_complain(&err);
    } else {
        (arguments->json ? add_json : add_text)(&question, arguments->explain, &out);
        status = core_cli_print(&out, CORE_EXIT_OK);
    }
    clear(&question);
    return status;
}

const struct core_command core_command_next = {
    .name = "next",
    .operands = "[SCHEDULE]",
    .summary = "Shows when a schedule is due, or what all jobs do next, in the order of time.",
    .details = "SCHEDULE is a cron expression in quotes, @daily and the like, or @every DURATION; "
               "without it, that of the job which --job names. Beside a SCHEDULE, --job gives the "
               "name from which H follows. By default three times are shown, from now on. Without "
               "SCHEDULE and --job, the next ten runs of the configuration's jobs are, each in the "
               "time zone of its job, then what runs at each start of the daemon, and on demand; "
               "whether a job is paused is not asked for. --from takes seconds since 1970 too. "
               "With --batch each "
               "row of stdin is SCHEDULE, time zone, from and, if wanted, count, with tabs between "
               "them; its answer is a line with the seconds since 1970, with commas between them, "
               "or 'error: ' and what is wrong.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_JOB | CORE_FLAG_FROM | CORE_FLAG_TIME_ZONE |
             CORE_FLAG_COUNT | CORE_FLAG_EXPLAIN | CORE_FLAG_BATCH | CORE_FLAG_JSON,
    .max_words = 1,
    .run = run_next,
};
