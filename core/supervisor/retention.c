/*
 * Retention: ended runs beyond their age or number go, with their folders; and folders of runs that
 * the ledger does not know. In small bites, so that the loop is never held for long.
 */
#include <supervisor/internal.h>

#include <os/clock.h>
#include <os/file.h>

#include <run-core/str.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_MS INT64_C(5000)
#define EVERY_MS INT64_C(3600000)
#define BITE_PAUSE_MS INT64_C(50)
/* A folder without a row may be of a run that is only about to be recorded. */
#define ORPHAN_AGE_S INT64_C(3600)
enum { BITE_ROWS = 200, BITE_FOLDERS = 200 };

static void remove_folder(struct core_supervisor *supervisor, const char *id)
{
    RC_STR_AUTO folder = rc_strf("%s/%s", supervisor->runs_folder, id);
    struct rc_error err = RC_ERROR_INIT;
    char text[2 * RC_ERROR_TEXT + 4];

    if (core_tree_remove(folder, &err))
        core_supervisor_log(supervisor, RC_LOG_WARN, NULL, "cannot remove '%s': %s", folder,
                            core_error_text(&err, text, sizeof(text)));
}

static void remove_run(void *context, const struct core_run_record *record)
{
    struct core_supervisor *supervisor = context;

    if (rc_str_eq(record->spool, supervisor->spool))
        remove_folder(supervisor, record->id);
}

static void ignore_run(void *context, const struct core_run_record *record)
{
    (void)context;
    (void)record;
}

/* ---- folders without a row ---------------------------------------------------------------- */

static bool is_old(const struct core_supervisor *supervisor, const char *name)
{
    struct stat info;

    return fstatat(dirfd(supervisor->orphans), name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(info.st_mode) &&
           core_clock_real_unix_ms() / 1000 - (int64_t)info.st_mtime > ORPHAN_AGE_S;
}

/* *more: the folder has not been gone through yet. */
static enum rc_code remove_orphans(struct core_supervisor *supervisor, bool *more,
                                   struct rc_error *err)
{
    if (!supervisor->orphans)
        supervisor->orphans = opendir(supervisor->runs_folder);
    *more = supervisor->orphans != NULL;
    for (int i = 0; *more && i < BITE_FOLDERS; i++) {
        const struct dirent *entry = readdir(supervisor->orphans);
        enum rc_code code;

        if (!entry) {
            closedir(supervisor->orphans);
            supervisor->orphans = NULL;
            *more = false;
        } else if (entry->d_name[0] != '.' && is_old(supervisor, entry->d_name)) {
            code = core_ledger_run(supervisor->ledger, entry->d_name, ignore_run, NULL, err);
            if (code == RC_NOT_FOUND)
                remove_folder(supervisor, entry->d_name);
            else if (code != RC_OK)
                return code;
        }
    }
    return RC_OK;
}

/* ---- the timer ---------------------------------------------------------------------------- */

/*
 * What ended before that goes. While the clock may be wrong, as it went far ahead at once, age is
 * no reason: all that was there then stays for as long as if it had ended then.
 */
static int64_t oldest_kept_unix_ms(struct core_supervisor *supervisor)
{
    int64_t oldest_unix_ms =
        core_supervisor_look_at_clock(supervisor) - supervisor->config->settings.history.keep_ms;

    core_supervisor_arm(supervisor); /* for what else follows from the look */
    return oldest_unix_ms < supervisor->leap.to_unix_ms ? 0 : oldest_unix_ms;
}

static enum rc_code bite(struct core_supervisor *supervisor, bool *more, struct rc_error *err)
{
    const struct core_settings *settings = &supervisor->config->settings;

    if (core_ledger_prune(supervisor->ledger, oldest_kept_unix_ms(supervisor),
                          settings->history.runs, BITE_ROWS, remove_run, supervisor, more, err))
        return rc_context(err, "remove old runs");
    if (*more)
        return RC_OK;
    return remove_orphans(supervisor, more, err);
}

void core_supervisor_retain(void *context)
{
    struct core_supervisor *supervisor = context;
    struct rc_error err = RC_ERROR_INIT;
    bool more = false;

    if (!supervisor->away && bite(supervisor, &more, &err)) {
        core_supervisor_lost_database(supervisor, &err);
        more = false;
    }
    core_timer_set(supervisor->loop, &supervisor->retention_timer,
                   core_clock_mono_ms() + (more ? BITE_PAUSE_MS : EVERY_MS));
}

void core_supervisor_start_retention(struct core_supervisor *supervisor)
{
    core_timer_set(supervisor->loop, &supervisor->retention_timer, core_clock_mono_ms() + FIRST_MS);
}
