/*
 * What replies look like. The handlers write them; a test holds every reply against these.
 */
#include <api/call.h>

#define TEXT(name, flags, help)                                                                    \
    {                                                                                              \
        name, CORE_FIELD_TEXT, flags, help, NULL, NULL                                             \
    }
#define TIME(name, help)                                                                           \
    {                                                                                              \
        name, CORE_FIELD_TIME, CORE_FIELD_NULLABLE, help, NULL, NULL                               \
    }
#define INTEGER(name, flags, help)                                                                 \
    {                                                                                              \
        name, CORE_FIELD_INTEGER, flags, help, NULL, NULL                                          \
    }
#define BOOLEAN(name, help)                                                                        \
    {                                                                                              \
        name, CORE_FIELD_BOOLEAN, 0, help, NULL, NULL                                              \
    }
#define OBJECT(name, flags, help, schema)                                                          \
    {                                                                                              \
        name, CORE_FIELD_OBJECT, flags, help, &(schema), NULL                                      \
    }
#define CHOICE(name, flags, help, choices)                                                         \
    {                                                                                              \
        name, CORE_FIELD_TEXT, flags, help, NULL, choices                                          \
    }

enum {
    NULLABLE = CORE_FIELD_NULLABLE,
    OPTIONAL = CORE_FIELD_OPTIONAL,
    LIST = CORE_FIELD_LIST,
};

static const char *const statuses[] = { "due",       "started", "succeeded", "failed", "timed_out",
                                        "cancelled", "lost",    "skipped",   NULL };
static const char *const triggers[] = { "schedule",   "startup", "manual",
                                        "foreground", "plugin",  NULL };
static const char *const concurrencies[] = { "forbid", "allow", "replace", "queue", NULL };
static const char *const misfires[] = { "skip", "latest", "all", NULL };
static const char *const probes[] = { "ok", "not ready", NULL };

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct core_schema problem = {
    "Problem",
    "A mistake, and where it is.",
    (const struct core_field[]){
        TEXT("file", 0, "The file; or 'query', 'body', or the value such as '--set days'."),
        INTEGER("line", NULLABLE, "From 1."),
        INTEGER("column", NULLABLE, "From 1, in characters."),
        TEXT("message", 0, "What is wrong, and where known what would be right."),
        { 0 },
    },
};

const struct core_schema core_schema_error = {
    "Error",
    "Why a request did not do what it asked for.",
    (const struct core_field[]){
        TEXT("error", 0, "For people: what is wrong, and what to do."),
        TEXT("code", OPTIONAL,
             "For programs: invalid, not_found, conflict, denied, too_large, "
             "unavailable, skipped and the like."),
        OBJECT("problems", OPTIONAL | LIST, "Every mistake that was found.", problem),
        TEXT("run", OPTIONAL, "With the code 'skipped': the run that was recorded as such."),
        { 0 },
    },
};

/* ---- the daemon ------------------------------------------------------------------------------ */

const struct core_schema core_schema_health = {
    "Health",
    "The answer to a probe.",
    (const struct core_field[]){
        CHOICE("status", 0, "What the status of the reply says too: 200 or 503.", probes),
        TEXT("reason", NULLABLE, "Why it is not ready."),
        { 0 },
    },
};

const struct core_schema core_schema_status = {
    "Status",
    "The daemon as a whole.",
    (const struct core_field[]){
        TEXT("version", 0, "Of run-core."),
        INTEGER("pid", 0, "Of the daemon."),
        BOOLEAN("ready", "Whether the database answers and the schedule is kept."),
        TEXT("why_not", NULLABLE, "Why it is not ready."),
        BOOLEAN("stopping", "Whether it was asked to end, and waits for what runs."),
        TIME("started", "When the daemon began."),
        INTEGER("jobs", 0, "Jobs of the configuration."),
        INTEGER("running", 0, "Runs that go on."),
        INTEGER("waiting", 0,
                "Runs that wait for their turn or their next attempt, and jobs with a "
                "slot that is due and not yet claimed."),
        INTEGER("reloads", 0, "Reloads that took effect."),
        TIME("last_reload", "When a reload was last asked for."),
        TEXT("last_reload_error", NULLABLE, "Why it was refused."),
        { 0 },
    },
};

const struct core_schema core_schema_reloaded = {
    "Reloaded",
    "The configuration was read anew.",
    (const struct core_field[]){
        INTEGER("jobs", 0, "Jobs that it has."),
        INTEGER("reloads", 0, "How often it was read anew."),
        { 0 },
    },
};

/* ---- runs ------------------------------------------------------------------------------------ */

/* Those of a run alone and of one in detail. */
#define RUN_FIELDS                                                                                 \
    TEXT("id", 0, "Of the run."),                                                                  \
        TEXT("job", NULLABLE, "Its job; null of a run that a plugin has begun."),                  \
        TEXT("plugin", NULLABLE, "The plugin that runs."),                                         \
        TEXT("action", NULLABLE, "Its action, once that is known."),                               \
        CHOICE("trigger", 0, "Why it runs.", triggers),                                            \
        CHOICE("status", 0, "How far it is, or how it ended.", statuses),                          \
        TEXT("reason", NULLABLE, "A word for programs that says why: misfire, overlap, paused."),  \
        TEXT("message", NULLABLE, "The same for people."),                                         \
        TIME("slot", "The nominal time; null for a run by hand."),                                 \
        TIME("due", "When it was claimed."),                                                       \
        TIME("not_before", "When its next attempt is due, at the earliest."),                      \
        TIME("started", "When the latest attempt began."), TIME("finished", "When it ended."),     \
        INTEGER("attempt", 0, "The latest, from 1; 0: none."),                                     \
        INTEGER("max_attempts", 0, "The most there may be."),                                      \
        INTEGER("exit_status", NULLABLE, "Of the latest attempt."),                                \
        BOOLEAN("force", "Whether it obeyed no overlap rule."),                                    \
    {                                                                                              \
        "counters", CORE_FIELD_COUNTERS, 0, "What the plugin counts; live while it runs.", NULL,   \
            NULL                                                                                   \
    }

const struct core_schema core_schema_run = {
    "Run",
    "One slot of a schedule, or one run by hand.",
    (const struct core_field[]){ RUN_FIELDS, { 0 } },
};

static const struct core_schema attempt = {
    "Attempt",
    "One try of a run.",
    (const struct core_field[]){
        INTEGER("number", 0, "From 1."),
        CHOICE("status", 0, "How far it is, or how it ended.", statuses),
        TEXT("reason", NULLABLE, "A word for programs."),
        TEXT("message", NULLABLE, "A text for people."),
        TIME("started", "When it began."),
        TIME("finished", "When it ended."),
        INTEGER("exit_status", NULLABLE, "Of its process."),
        { 0 },
    },
};

static const struct core_schema progress = {
    "Progress",
    "How far a run is, as its plugin says.",
    (const struct core_field[]){
        INTEGER("done", 0, "What is done."),
        INTEGER("total", NULLABLE, "Of how much, if that is known."),
        TEXT("unit", NULLABLE, "Of both."),
        { 0 },
    },
};

const struct core_schema core_schema_run_detail = {
    "RunDetail",
    "A run with its attempts.",
    (const struct core_field[]){
        RUN_FIELDS,
        OBJECT("progress", NULLABLE, "While it goes on here.", progress),
        { "set", CORE_FIELD_VALUES, 0, "What it was triggered with; secret values are masked.",
          NULL, NULL },
        OBJECT("attempts", LIST, "From the first.", attempt),
        { 0 },
    },
};

const struct core_schema core_schema_runs = {
    "Runs",
    "A page of runs, newest first.",
    (const struct core_field[]){
        OBJECT("runs", LIST, "The runs.", core_schema_run),
        TEXT("next", NULLABLE, "The 'before' of the next page; null: this is the last."),
        { 0 },
    },
};

const struct core_schema core_schema_triggered = {
    "Triggered",
    "A run was started, or waits for its turn.",
    (const struct core_field[]){ TEXT("run", 0, "Its id."), { 0 } },
};

const struct core_schema core_schema_cancelled = {
    "Cancelled",
    "The run was asked to stop.",
    (const struct core_field[]){ TEXT("run", 0, "Its id."), { 0 } },
};

/* ---- jobs ------------------------------------------------------------------------------------ */

#define JOB_FIELDS                                                                                 \
    TEXT("name", 0, "Of the job."), TEXT("plugin", 0, "Whose action it runs."),                    \
        TEXT("action", NULLABLE, "The action; null: the plugin's first."),                         \
        TEXT("schedule", NULLABLE, "Its expression; null: it runs on demand only."),               \
        TEXT("time_zone", NULLABLE, "Of the schedule."), TIME("next", "When it is due next."),     \
        TIME("paused", "Since when it is paused."),                                                \
        TEXT("paused_by", NULLABLE, "Who asked for that."),                                        \
        INTEGER("running", 0, "Its runs that go on."),                                             \
        INTEGER("waiting", 0, "Its runs that wait.")

static const struct core_schema job = {
    "Job",
    "A job of the configuration.",
    (const struct core_field[]){ JOB_FIELDS, { 0 } },
};

const struct core_schema core_schema_job_detail = {
    "JobDetail",
    "A job with its rules, next slots and latest runs.",
    (const struct core_field[]){
        JOB_FIELDS,
        CHOICE("concurrency", 0, "When it is due while it runs.", concurrencies),
        CHOICE("misfire", 0, "Which missed slots are made up for.", misfires),
        INTEGER("catchup_window_ms", 0, "How far back."),
        INTEGER("timeout_ms", 0, "Of one attempt; 0: none."),
        INTEGER("kill_after_ms", 0, "Between asking it to stop and killing it."),
        INTEGER("max_attempts", 0, "Tries of one run."),
        { "slots", CORE_FIELD_TIME, LIST, "When it is due next.", NULL, NULL },
        TEXT("explanation", NULLABLE, "The schedule in words."),
        OBJECT("runs", LIST, "Its latest runs, newest first.", core_schema_run),
        { 0 },
    },
};

const struct core_schema core_schema_jobs = {
    "Jobs",
    "A page of jobs, in the order of the configuration.",
    (const struct core_field[]){
        OBJECT("jobs", LIST, "The jobs.", job),
        INTEGER("total", 0, "How many there are on all pages."),
        { 0 },
    },
};

const struct core_schema core_schema_paused = {
    "Paused",
    "A job was paused or resumed.",
    (const struct core_field[]){
        TEXT("job", 0, "Its name."),
        BOOLEAN("paused", "Whether it is paused now."),
        BOOLEAN("changed", "Whether it was not so before."),
        { 0 },
    },
};

/* ---- plugins --------------------------------------------------------------------------------- */

static const struct core_schema listed_plugin = {
    "PluginSummary",
    "A plugin within reach.",
    (const struct core_field[]){
        TEXT("name", 0, "Of the plugin."),
        TEXT("file", NULLABLE, "That a run would load."),
        TEXT("version", NULLABLE, "Of the plugin."),
        TEXT("summary", NULLABLE, "What it is for."),
        TEXT("error", NULLABLE, "Why it could not be loaded."),
        BOOLEAN("serve", "Whether the daemon serves its routes."),
        { 0 },
    },
};

const struct core_schema core_schema_plugins = {
    "Plugins",
    "The plugins within reach.",
    (const struct core_field[]){
        OBJECT("plugins", LIST, "By name.", listed_plugin),
        { 0 },
    },
};

static const struct core_schema option = {
    "Option",
    "An option of a plugin, or a parameter of an action.",
    (const struct core_field[]){
        TEXT("key", 0, "As in 'config' and --set."),
        TEXT("type", 0,
             "string, boolean, integer, number, duration, size, choice, URL, day, list, "
             "map or list of objects."),
        TEXT("default", NULLABLE, "As a user would write it."),
        BOOLEAN("required", "Whether it has to be given."),
        BOOLEAN("secret", "Whether its value is never shown."),
        TEXT("env", NULLABLE, "Environment variable that may give it."),
        TEXT("choices", NULLABLE | LIST, "The words that it may be."),
        INTEGER("min", NULLABLE, "The least, in 'unit'."),
        INTEGER("max", NULLABLE, "The most, in 'unit'."),
        TEXT("unit", NULLABLE, "Of the numbers."),
        TEXT("help", NULLABLE, "What it is."),
        { "whole", CORE_FIELD_BOOLEAN, OPTIONAL, "Whether a file with a list alone gives it.", NULL,
          NULL },
        TEXT("also", OPTIONAL, "A second name that is accepted."),
        OBJECT("items", OPTIONAL | LIST, "Of a list of objects: what each has.", option),
        { 0 },
    },
};

static const struct core_schema action = {
    "Action",
    "What a plugin can do.",
    (const struct core_field[]){
        TEXT("name", 0, "Of the action."),
        TEXT("summary", NULLABLE, "What it does."),
        OBJECT("parameters", LIST, "Beside the plugin's options.", option),
        { 0 },
    },
};

static const struct core_schema plugin_route = {
    "PluginRoute",
    "A request that the plugin answers itself.",
    (const struct core_field[]){
        TEXT("method", 0, "Of the request."),
        TEXT("path", 0, "Below the plugin's mount."),
        TEXT("summary", NULLABLE, "What it answers."),
        { 0 },
    },
};

static const struct core_schema plugin_engine = {
    "PluginEngine",
    "A kind of SQL engine, as far as the plugin makes use of what it can do.",
    (const struct core_field[]){
        TEXT("kind", 0, "duckdb, athena or trino."),
        TEXT("can", LIST, "What the plugin makes use of."),
        TEXT("cannot", LIST, "What it has to do without."),
        { 0 },
    },
};

const struct core_schema core_schema_plugin = {
    "Plugin",
    "What a plugin declares, as 'run-core describe --json' shows it.",
    (const struct core_field[]){
        TEXT("name", 0, "Of the plugin."),
        TEXT("version", 0, "Of the plugin."),
        TEXT("summary", NULLABLE, "What it is for."),
        TEXT("abi", 0, "Of run-core, as it was built."),
        OBJECT("options", LIST, "Of its configuration.", option),
        OBJECT("actions", LIST, "The first is the default.", action),
        OBJECT("engines", LIST, "That it may use; none: it uses no SQL.", plugin_engine),
        OBJECT("routes", LIST, "That it serves.", plugin_route),
        { 0 },
    },
};
