/*
 * 'run-core next' without a schedule: the jobs of the configuration in the order in which they are
 * due. What is paused, only the daemon knows.
 */
#include <cli/next.h>

#include <cli/arguments.h>
#include <cli/output.h>
#include <cli/plugins.h>
#include <os/clock.h>
#include <runtime/job_schedule.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_COUNT = 10, MOST_UNCOUNTED = 100, TIME_WIDTH = 25 };

/* A job with when it is due. */
struct timed_job {
    const struct core_job_settings *job;
    struct core_schedule *schedule; /* NULL: on demand, or its mistake was reported */
    const struct core_time_zone *zone;
    int64_t slot_unix_ms; /* the next one */
    bool is_due;          /* there is one */
    bool is_told;         /* one is in the answer */
};

struct chronology {
    struct core_config *config;
    struct core_time_zones *zones;
    struct timed_job *jobs; /* as many as the configuration has, in its order */
    size_t name_width;      /* of the longest */
    int64_t from_unix_ms, count;
    bool is_counted; /* by --count: so many and no more */
};

/* ---- times ----------------------------------------------------------------------------------- */

static void advance(struct timed_job *timed, int64_t after_unix_ms)
{
    timed->is_due =
        timed->schedule && core_schedule_next(timed->schedule, after_unix_ms, &timed->slot_unix_ms);
}

static void load(struct chronology *chronology, const char *path, struct core_problems *problems)
{
    struct core_config *config = core_config_load(path, problems);

    core_job_schedule_check(config, problems);
    chronology->config = config;
    chronology->zones = core_time_zones_new();
    chronology->jobs = rc_calloc(config->job_count + 1, sizeof(*chronology->jobs));
    for (size_t i = 0; i < config->job_count; i++) {
        struct timed_job *timed = &chronology->jobs[i];
        struct rc_error reported = RC_ERROR_INIT;
        size_t width = strlen(config->jobs[i].name);

        chronology->name_width = width > chronology->name_width ? width : chronology->name_width;
        timed->job = &config->jobs[i];
        if (core_time_zones_get(chronology->zones, timed->job->time_zone, &timed->zone,
                                &reported) ||
            core_job_schedule_make(timed->job, chronology->zones, &timed->schedule, &reported))
            continue;
        advance(timed, chronology->from_unix_ms);
    }
}

static void clear(struct chronology *chronology)
{
    for (size_t i = 0; chronology->jobs && i < chronology->config->job_count; i++)
        core_schedule_free(chronology->jobs[i].schedule);
    free(chronology->jobs);
    core_time_zones_free(chronology->zones);
    core_config_free(chronology->config);
}

/* The job that is due first; of several, the one that the configuration has first. NULL: none. */
static struct timed_job *first(const struct chronology *chronology, bool only_untold)
{
    struct timed_job *found = NULL;

    for (size_t i = 0; i < chronology->config->job_count; i++) {
        struct timed_job *timed = &chronology->jobs[i];

        if (timed->is_due && !(only_untold && timed->is_told) &&
            (!found || timed->slot_unix_ms < found->slot_unix_ms))
            found = timed;
    }
    return found;
}

/*
 * What is told behind so many others. One that is due each hour would hide what the night brings,
 * so each job is told of once at least, unless there are very many.
 */
static struct timed_job *following(const struct chronology *chronology, int64_t told)
{
    struct timed_job *timed = NULL;

    if (told < chronology->count)
        timed = first(chronology, /* only_untold = */ false);
    else if (!chronology->is_counted && told < MOST_UNCOUNTED)
        timed = first(chronology, /* only_untold = */ true);
    if (timed)
        timed->is_told = true;
    return timed;
}

static bool is_startup(const struct timed_job *timed)
{
    return timed->schedule && core_schedule_kind(timed->schedule) == CORE_SCHEDULE_STARTUP;
}

static bool is_on_demand(const struct timed_job *timed)
{
    return !timed->job->schedule;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void add_line(const struct chronology *chronology, const struct timed_job *timed,
                     const char *when, struct rc_buf *out)
{
    RC_STR_AUTO action = core_cli_action_of(chronology->config, timed->job);

    rc_buf_addf(out, "%-*s  %-*s  %s %s\n", TIME_WIDTH, when, (int)chronology->name_width,
                timed->job->name, timed->job->plugin ? timed->job->plugin : "?",
                action ? action : "?");
}

static void add_others(const struct chronology *chronology, const char *when,
                       bool (*is_one)(const struct timed_job *timed), struct rc_buf *out)
{
    for (size_t i = 0; i < chronology->config->job_count; i++)
        if (is_one(&chronology->jobs[i]))
            add_line(chronology, &chronology->jobs[i], when, out);
}

static void add_text(const struct chronology *chronology, struct rc_buf *out)
{
    struct timed_job *timed;

    for (int64_t i = 0; (timed = following(chronology, i)); i++) {
        RC_BUF_AUTO(when, 64);

        core_next_add_local(&when, timed->slot_unix_ms, timed->job->time_zone, timed->zone);
        add_line(chronology, timed, when.data, out);
        advance(timed, timed->slot_unix_ms);
    }
    add_others(chronology, "@startup", is_startup, out);
    add_others(chronology, "on demand", is_on_demand, out);
    if (out->len == 0)
        rc_buf_adds(out, "No jobs.\n");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* The keys that all have, without the object's end. */
static void add_job_json(const struct chronology *chronology, const struct timed_job *timed,
                         struct rc_buf *out)
{
    RC_STR_AUTO action = core_cli_action_of(chronology->config, timed->job);

    rc_buf_adds(out, "{\"job\":");
    core_cli_add_json(out, timed->job->name);
    rc_buf_adds(out, ",\"plugin\":");
    core_cli_add_json(out, timed->job->plugin);
    rc_buf_adds(out, ",\"action\":");
    core_cli_add_json(out, action);
}

static void add_others_json(const struct chronology *chronology, const char *key,
                            bool (*is_one)(const struct timed_job *timed), struct rc_buf *out)
{
    bool begun = false;

    rc_buf_addf(out, ",\"%s\":[", key);
    for (size_t i = 0; i < chronology->config->job_count; i++) {
        if (!is_one(&chronology->jobs[i]))
            continue;
        rc_buf_adds(out, begun ? "," : "");
        add_job_json(chronology, &chronology->jobs[i], out);
        rc_buf_addc(out, '}');
        begun = true;
    }
    rc_buf_addc(out, ']');
}

static void add_json(const struct chronology *chronology, struct rc_buf *out)
{
    char time[RC_TIME_TEXT];
    struct timed_job *timed;

    rc_buf_addf(out, "{\"from\":\"%s\",\"next\":[", rc_format_time(chronology->from_unix_ms, time));
    for (int64_t i = 0; (timed = following(chronology, i)); i++) {
        rc_buf_adds(out, i ? "," : "");
        add_job_json(chronology, timed, out);
        rc_buf_addf(out,
                    ",\"time\":\"%s\",\"time_zone\":", rc_format_time(timed->slot_unix_ms, time));
        core_cli_add_json(out, timed->job->time_zone);
        rc_buf_addc(out, '}');
        advance(timed, timed->slot_unix_ms);
    }
    rc_buf_addc(out, ']');
    add_others_json(chronology, "startup", is_startup, out);
    add_others_json(chronology, "on_demand", is_on_demand, out);
    rc_buf_adds(out, "}\n");
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum rc_code read_arguments(const struct core_arguments *arguments,
                                   struct chronology *chronology, struct rc_error *err)
{
    if (!core_arguments_config_path(arguments))
        return rc_fail(err, RC_INVALID,
                       "'next' needs a schedule such as '30 2 * * *' in quotes, or the "
                       "configuration of some jobs; name it with --config FILE|DIR");
    if (arguments->time_zone || arguments->explain)
        return rc_fail(err, RC_INVALID, "--%s needs a schedule, or --job NAME",
                       arguments->time_zone ? "time-zone" : "explain");
    chronology->from_unix_ms = core_clock_now_unix_ms();
    chronology->count = DEFAULT_COUNT;
    if (arguments->from && core_next_read_from(arguments->from, &chronology->from_unix_ms, err))
        return err->code;
    chronology->is_counted = arguments->count != NULL;
    if (arguments->count && core_next_read_count(arguments->count, &chronology->count, err))
        return err->code;
    return RC_OK;
}

int core_next_of_jobs(const struct core_arguments *arguments)
{
    CORE_PROBLEMS_AUTO(problems);
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);
    struct chronology chronology = { .config = NULL };
    struct rc_error err = RC_ERROR_INIT;
    int status;

    if (read_arguments(arguments, &chronology, &err))
        return core_cli_complain(&err);
    load(&chronology, core_arguments_config_path(arguments), &problems);
    status = core_cli_report(&problems);
    (arguments->json ? add_json : add_text)(&chronology, &out);
    clear(&chronology);
    return core_cli_print(&out, status);
}
