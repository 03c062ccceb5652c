/*
 * What happens when the database goes away: nothing is forked, ends of attempts wait in memory and
 * in their files, health says why, and the connection is made anew with growing pauses. Once it is
 * back, what was due meanwhile has been missed, and the misfire rule decides.
 */
#include <supervisor/internal.h>

#include <os/clock.h>

/* How often a connection that is being made is looked at. */
#define LOOK_MS INT64_C(20)

enum rc_code core_supervisor_check_database(const struct core_supervisor *supervisor,
                                            struct rc_error *err)
{
    if (!supervisor->away)
        return RC_OK;
    return rc_fail(err, RC_UNAVAILABLE, "the state database is away: %s",
                   supervisor->away_error.cause);
}

static void try_later(struct core_supervisor *supervisor)
{
    core_timer_set(supervisor->loop, &supervisor->recover_timer,
                   core_clock_mono_ms() +
                       core_backoff_ms(&core_backoff_near, ++supervisor->away_failures));
}

void core_supervisor_lost_database(struct core_supervisor *supervisor, const struct rc_error *err)
{
    char text[2 * RC_ERROR_TEXT + 4];

    supervisor->away_error = *err;
    supervisor->totals.database_failures++;
    if (!supervisor->said_away)
        core_supervisor_log(supervisor, RC_LOG_ERROR, NULL,
                            "the state database failed; nothing is started until it is back: %s",
                            core_error_text(err, text, sizeof(text)));
    supervisor->said_away = true;
    supervisor->away = true;
    core_timer_cancel(&supervisor->slot_timer);
    core_timer_cancel(&supervisor->turn_timer);
    supervisor->expected_unix_ms = 0;
    try_later(supervisor);
    core_supervisor_look_at_stop(supervisor);
}

/* Others may have taken this daemon for dead. */
static enum rc_code begin(struct core_supervisor *supervisor, struct rc_error *err)
{
    enum rc_code code = core_supervisor_renew_if_due(supervisor, err);

    if (code == RC_OK)
        code = core_ledger_begin(supervisor->ledger, err);
    if (code != RC_CONFLICT)
        return code;
    if (core_supervisor_rejoin(supervisor, err))
        return err->code;
    return core_ledger_begin(supervisor->ledger, err);
}

enum rc_code core_supervisor_begin(struct core_supervisor *supervisor, struct rc_error *err)
{
    enum rc_code code = begin(supervisor, err);

    if (code != RC_OK)
        return code;
    code = core_supervisor_hear_of_pauses(supervisor, err);
    if (code != RC_OK)
        core_ledger_rollback(supervisor->ledger);
    return code;
}

/* Everything that memory and ledger may differ in is brought together before the first turn. */
static enum rc_code catch_up(struct core_supervisor *supervisor, struct rc_error *err)
{
    enum rc_code code = core_supervisor_renew(supervisor, err);

    if (code == RC_CONFLICT)
        code = core_supervisor_rejoin(supervisor, err);
    if (code == RC_OK)
        code = core_supervisor_finish_rejoin(supervisor, err);
    if (code == RC_OK)
        code = core_supervisor_resync(supervisor, err);
    return code;
}

/*
 * A database that can be reached need not take what is written: one whose disk is full is not back
 * before the first turn has been.
 */
static void go_on(struct core_supervisor *supervisor)
{
    supervisor->away = false;
    core_supervisor_wake_up(supervisor, core_supervisor_look_at_clock(supervisor));
    core_supervisor_hold(supervisor);
    core_supervisor_turn(supervisor);
    if (supervisor->away)
        return;
    supervisor->said_away = false;
    core_supervisor_log(supervisor, RC_LOG_INFO, NULL, "the state database is back");
    core_notices_wake(supervisor->notices);
}

void core_supervisor_recover(void *context)
{
    struct core_supervisor *supervisor = context;
    struct rc_error err = RC_ERROR_INIT;
    bool ready = false;
    enum rc_code code = core_ledger_recover(supervisor->ledger, &ready, &err);

    if (code == RC_OK && !ready) {
        core_timer_set(supervisor->loop, &supervisor->recover_timer,
                       core_clock_mono_ms() + LOOK_MS);
        return;
    }
    if (code == RC_OK)
        code = catch_up(supervisor, &err);
    if (code != RC_OK) {
        supervisor->away_error = err;
        supervisor->totals.database_failures++;
        try_later(supervisor);
        return;
    }
    go_on(supervisor);
}
