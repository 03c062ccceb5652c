/*
 * The option tables. Names in camel case are those of the older system's JSON file, and the
 * environment variables are its own; what is new is in snake case.
 */
#include "config.h"
#include "vocabulary.h"

static const char *const auth_names[] = { "any", "basic", "digest", NULL };
static const char *const kind_names[] = { "initial-sync", "healing", "dump", NULL };

/*
 * Of one stream: for the items of 'entries', and at the top for the only one, which the
 * environment may give. 'at' leads to the struct delta_stream in S; E() is what becomes of the name
 * of a variable.
 */
/* clang-format off */
#define STREAM_OPTIONS(S, at, E)                                                                   \
    { RC_STR("name", S, at name), .env = E("DELTA_STREAM"),                                        \
      .help = "Name of the stream: part of the paths of its endpoints and of errorCreatorUri." },  \
    { RC_STR("jobsGraph", S, at jobs_graph), .env = E("JOBS_GRAPH"), .def = DELTA_JOBS_GRAPH,      \
      .help = "Graph in which the jobs are." },                                                    \
    { RC_STR("initialPublicationGraphSyncJobOperation", S, at job_operation[DELTA_INITIAL_SYNC]),  \
      .env = E("INITIAL_PUBLICATION_GRAPH_SYNC_JOB_OPERATION"),                                    \
      .help = "IRI of the operation of initial syncs; without it there are none." },               \
    { RC_STR("healingJobOperation", S, at job_operation[DELTA_HEALING]),                           \
      .env = E("HEALING_JOB_OPERATION"),                                                           \
      .help = "IRI of the operation of healings; without it there are none." },                    \
    { RC_STR("dumpFileCreationJobOperation", S, at job_operation[DELTA_DUMP]),                     \
      .env = E("DUMP_FILE_CREATION_JOB_OPERATION"),                                                \
      .help = "IRI of the operation of dumps; without it there are none." },                       \
    { RC_STR("cronPatternHealingJob", S, at cron_healing), .env = E("CRON_PATTERN_HEALING_JOB"),   \
      .def = DELTA_CRON,                                                                           \
      .help = "When healings are due, with seconds in front; for the schedules of jobs." },        \
    { RC_STR("cronPatternDumpJob", S, at cron_dump), .env = E("CRON_PATTERN_DUMP_JOB"),            \
      .def = DELTA_CRON,                                                                           \
      .help = "When dumps are due, with seconds in front; for the schedules of jobs." },           \
    { RC_BOOL("startInitialSync", S, at start_initial_sync), .env = E("START_INITIAL_SYNC"),       \
      .def = "false", .help = "Whether an initial sync is begun at the start." },                  \
    { RC_BOOL("disableDumpFileCreation", S, at dump_disabled), .def = "false",                     \
      .help = "No dumps." },                                                                       \
    { RC_BOOL("disableHealingJobOperation", S, at healing_disabled), .def = "false",               \
      .help = "No healings." },                                                                    \
    { RC_BOOL("healShouldNotWaitForInitialSync", S, at heal_without_initial_sync),                 \
      .def = "false", .help = "Healings do not wait until an initial sync has succeeded." },       \
    { RC_STR("errorCreatorUri", S, at error_creator), .env = E("ERROR_CREATOR_URI"),               \
      .help = "Creator of the errors that are stored; by default " DELTA_CREATOR                   \
              ", with a slash and the name behind it if there is one." }
#define VARIABLE(name) name
#define NO_VARIABLE(name) NULL
/* clang-format on */

static const struct rc_option stream_options[] = {
    STREAM_OPTIONS(struct delta_stream, , NO_VARIABLE),
    { 0 },
};

const struct rc_option delta_options[] = {
    { RC_URL("sparql_endpoint", struct delta_config, sparql_endpoint), .env = "MU_SPARQL_ENDPOINT",
      .def = "http://database:8890/sparql", .help = "The store, for queries." },
    { RC_URL("update_endpoint", struct delta_config, update_endpoint),
      .help = "The store, for updates; by default the same." },
    { RC_STR("username", struct delta_config, username), .env = "SPARQL_USERNAME",
      .help = "User of the store; without one nobody logs in." },
    { RC_STR("password", struct delta_config, password), .env = "SPARQL_PASSWORD",
      .flags = RC_OPT_SECRET, .help = "His password." },
    { RC_ENUM("authentication", struct delta_config, authentication, auth_names), .def = "any",
      .help =
          "How he proves who he is: as the store asks for, in the clear with the first request, "
          "or by digest alone." },
    { RC_MAP("headers", struct delta_config, headers),
      .help = "Further headers of every request to the store; mu-auth-sudo: true is always sent." },
    { RC_MS("request_timeout", struct delta_config, request_timeout_ms), .def = "1m", .min = 100,
      .max = 3600000, .help = "The longest that one request may take." },
    { RC_INT("attempts", struct delta_config, attempts), .def = "5", .min = 1, .max = 100,
      .help = "Attempts of one request, with growing pauses, where a fault may pass." },
    { RC_MS("store_timeout", struct delta_config, store_timeout_ms), .def = "30s", .min = 0,
      .max = 86400000,
      .help =
          "How long a run that was started by hand waits for a store that does not answer. Runs "
          "of the daemon wait as long as their timeout lets them." },
    { RC_INT("ping_interval", struct delta_config, ping_interval_s), .env = "PING_DB_INTERVAL",
      .def = "2", .min = 1, .max = 3600, .unit = "seconds",
      .help = "Pause between two questions to a store that does not answer." },

    { RC_STR("initial_sync_task_operation", struct delta_config,
             task_operation[DELTA_INITIAL_SYNC]),
      .env = "INITIAL_PUBLICATION_GRAPH_SYNC_TASK_OPERATION", .def = DELTA_INITIAL_SYNC_TASK,
      .help = "IRI of the operation of an initial sync's task." },
    { RC_STR("healing_task_operation", struct delta_config, task_operation[DELTA_HEALING]),
      .env = "HEALING_TASK_OPERATION", .def = DELTA_HEALING_TASK,
      .help = "IRI of the operation of a healing's task." },
    { RC_STR("dump_task_operation", struct delta_config, task_operation[DELTA_DUMP]),
      .env = "DUMP_FILE_CREATION_TASK_OPERATION", .def = DELTA_DUMP_TASK,
      .help = "IRI of the operation of a dump's task." },
    { RC_INT("job_timeout_minutes", struct delta_config, job_timeout_min),
      .env = "JOB_TIMEOUT_MINUTES", .def = "0", .min = 0, .max = 5256000, .unit = "minutes",
      .help = "An active job that was not modified for so long counts as failed, and is marked so "
              "with its tasks; 0: never." },
    { RC_BOOL("retry_failed_initial_sync", struct delta_config, retry_failed_initial_sync),
      .def = "true",
      .help = "Whether an initial sync is begun again after all that there are have failed." },
    { RC_MS("initial_sync_retry_after", struct delta_config, initial_sync_retry_after_ms),
      .def = "1h", .min = 0, .max = INT64_C(365) * 86400000,
      .help = "How long after the last of them failed." },

    STREAM_OPTIONS(struct delta_config, stream., VARIABLE),
    { RC_BOOL("enableDumpFileCreation", struct delta_config, dump_enabled),
      .env = "ENABLE_DUMP_FILE_CREATION", .def = "true",
      .help = "Whether there are dumps; the older word for disableDumpFileCreation." },
    { RC_BOOL("enableHealingJobOperation", struct delta_config, healing_enabled),
      .env = "ENABLE_HEALING_JOB_OPERATION", .def = "true",
      .help = "Whether there are healings; the older word for disableHealingJobOperation." },
    { RC_BOOL("healMustWaitForInitialSync", struct delta_config, heal_must_wait),
      .env = "HEAL_MUST_WAIT_FOR_INITIAL_SYNC", .def = "true",
      .help = "Whether healings wait until an initial sync has succeeded; the older word for "
              "healShouldNotWaitForInitialSync." },
    { RC_OBJECTS("entries", struct delta_config, entries, struct delta_stream, stream_options),
      .flags = RC_OPT_WHOLE,
      .help = "Several streams, each with the options of one: the list that is the older system's "
              "JSON file." },
    { 0 },
};

/* clang-format off */
#define ENTRY_PARAM(S)                                                                             \
    { RC_STR("entry", S, entry),                                                                   \
      .help = "Name of the stream; all of them when absent." }
#define FORCE_PARAM(S, what)                                                                       \
    { RC_BOOL("force", S, force), .def = "false", .help = what }
/* clang-format on */

static const char force_create[] =
    "Creates the job whatever is active, and whether or not an initial sync has succeeded.";
static const char force_initial_sync[] =
    "Creates the job whatever else is active, and however short ago the last one failed. A second "
    "one is not made even so, unless the first has failed.";

const struct rc_option delta_create_options[] = {
    ENTRY_PARAM(struct delta_create_params),
    FORCE_PARAM(struct delta_create_params, force_create),
    { 0 },
};

const struct rc_option delta_initial_sync_options[] = {
    ENTRY_PARAM(struct delta_create_params),
    FORCE_PARAM(struct delta_create_params, force_initial_sync),
    { RC_BOOL("at_start", struct delta_create_params, at_start), .def = "false",
      .help = "The run is that of a start: nothing is done for streams without startInitialSync." },
    { 0 },
};

const struct rc_option delta_clean_options[] = {
    ENTRY_PARAM(struct delta_clean_params),
    { RC_ENUM("kind", struct delta_clean_params, kind, kind_names), .flags = RC_OPT_REQUIRED,
      .help = "Which jobs are removed." },
    FORCE_PARAM(struct delta_clean_params, "Removes jobs that are scheduled or busy, too."),
    { 0 },
};

const struct rc_option delta_status_options[] = {
    ENTRY_PARAM(struct delta_status_params),
    { 0 },
};
