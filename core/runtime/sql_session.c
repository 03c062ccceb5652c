/*
 * Sessions on SQL engines elsewhere: names, locks, and what they cost.
 *
 * A session is named after its run, "rc_20240229t103000_0123abcd_4567cdef", and holds the lock
 * "sql:NAME" for as long as it lives. Who comes upon things of another session looks at that lock:
 * if it was ever taken in this state, it says whether the session is over. A session that the state
 * does not know is of another state, whose locks cannot be seen: it is over when it is old.
 */
#include <runtime/sql_session.h>

#include <os/clock.h>
#include <runtime/output.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define LOCK_PREFIX "sql:"
#define NAME_PREFIX "rc_"

enum { OLD_DAYS = 7, FORGOTTEN_DAYS = 30 };

/* ---- names ---------------------------------------------------------------------------------- */

static void make_name(struct core_sql_session *session)
{
    uint32_t random = 0;
    char run[CORE_RUN_ID_TEXT];

    (void)snprintf(run, sizeof(run), "%s", session->job->run->id);
    for (char *c = run; *c; c++)
        *c = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '_';
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = (uint32_t)core_clock_mono_ms() ^ ((uint32_t)getpid() << 16);
    /* A run's id is as long as core_run_make_id() makes it, or was given by hand, and is cut. */
    (void)snprintf(session->name, sizeof(session->name), NAME_PREFIX "%.32s_%08" PRIx32, run,
                   random);
}

bool core_sql_session_is_old(const char *name, int64_t now_unix_ms)
{
    char text[RC_DAY_TEXT];
    const char *day = name + strlen(NAME_PREFIX);
    int64_t today = now_unix_ms / RC_DAY_MS;
    int32_t begun;

    if (!rc_str_starts(name, NAME_PREFIX) || strspn(day, "0123456789") != 8 || day[8] != 't')
        return false;
    (void)snprintf(text, sizeof(text), "%.4s-%.2s-%.2s", day, day + 4, day + 6);
    return rc_parse_day(text, &begun) && today - begun > OLD_DAYS;
}

/* Asked by a sweep, which leaves what is not over; what cannot be told is not. */
static bool is_over(void *context, const char *name)
{
    struct core_sql_session *session = context;
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO lock = rc_strf(LOCK_PREFIX "%s", name);
    bool known = false, held = false;
    struct core_db *db;

    if (strcmp(name, session->name) == 0)
        return false;
    if (core_run_db(session->job->run, &db, &err) ||
        core_lock_look(db, lock, &known, &held, &err)) {
        core_output_log(RC_LOG_WARN, NULL, 0,
                        "whether the SQL session '%s' is over cannot be told: %s", name, err.cause);
        return false;
    }
    return known ? !held : core_sql_session_is_old(name, core_clock_now_unix_ms());
}

/* ---- what is told --------------------------------------------------------------------------- */

static void count_scanned(void *context, int64_t bytes, int64_t cost_micros)
{
    struct core_sql_session *session = context;

    atomic_fetch_add(&session->statements, 1);
    atomic_fetch_add(&session->scanned_bytes, bytes);
    atomic_fetch_add(&session->cost_micros, cost_micros);
    core_status_count(session->job->run->status, "bytes_scanned", bytes);
    if (cost_micros > 0)
        core_status_count(session->job->run->status, "cost_micros", cost_micros);
}

static void say(void *context, enum rc_log_level level, const char *text)
{
    const struct core_sql_session *session = context;

    if (level <= (enum rc_log_level)session->job->run->request->log_level)
        core_output_log(level, NULL, 0, "%s", text);
}

static void tell_sum(struct core_sql_session *session)
{
    int64_t statements = atomic_load(&session->statements);
    int64_t cost_micros = atomic_load(&session->cost_micros);
    char scanned[RC_AMOUNT_TEXT];

    if (statements == 0)
        return;
    rc_format_size(atomic_load(&session->scanned_bytes), scanned);
    if (cost_micros > 0)
        rc_info(&session->job->job, "SQL: %" PRId64 " statements scanned %s, for about $%.4f",
                statements, scanned, (double)cost_micros / 1e6);
    else
        rc_info(&session->job->job, "SQL: %" PRId64 " statements scanned %s", statements, scanned);
}

/* ---- begin and end -------------------------------------------------------------------------- */

static enum rc_code take_lock(struct core_sql_session *session, struct rc_error *err)
{
    struct core_job *job = session->job;
    RC_STR_AUTO lock = rc_strf(LOCK_PREFIX "%s", session->name);
    struct core_db *db;

    if (core_run_db(job->run, &db, err) ||
        core_lock_forget(db, LOCK_PREFIX, FORGOTTEN_DAYS * RC_DAY_MS, err))
        return err->code;
    return core_lock_acquire(db, lock, job->job.run_id, 0, job->cancel, &job->run->status->cancel,
                             &session->lock, err);
}

enum rc_code core_sql_session_begin(struct core_sql_session *session, struct core_job *job,
                                    struct core_sql_context *context, struct rc_error *err)
{
    *session = (struct core_sql_session){ .job = job };
    make_name(session);
    if (!job->job.dry_run && take_lock(session, err))
        return rc_context(err, "name the SQL session '%s'", session->name);
    context->session = session->name;
    context->is_over = job->job.dry_run ? NULL : is_over;
    context->is_over_context = session;
    context->on_scanned = count_scanned;
    context->scanned_context = session;
    context->record = core_host_record;
    context->record_context = job->run;
    context->say = say;
    context->say_context = session;
    return RC_OK;
}

void core_sql_session_end(struct core_sql_session *session)
{
    if (!session->job)
        return;
    tell_sum(session);
    core_lock_release(session->lock);
    *session = (struct core_sql_session){ 0 };
}
