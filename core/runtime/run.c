/*
 * What a run shares among its services: its id, its state database, its place for state.
 */
#include <runtime/run.h>

#include <config/secrets.h>
#include <os/clock.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define SYSTEM_STATE "/var/lib/run-core"

void core_run_make_id(char id[CORE_RUN_ID_TEXT], int64_t unix_ms)
{
    int32_t day = (int32_t)(unix_ms / RC_DAY_MS - (unix_ms % RC_DAY_MS < 0));
    int64_t second = (unix_ms - day * RC_DAY_MS) / 1000;
    int year, month, date;
    uint32_t random = 0;

    rc_day_to_date(day, &year, &month, &date);
    /* A short read is impossible up to 256 bytes, see getrandom(2); the clock is a fallback for
     * kernels that have no entropy yet. */
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = (uint32_t)core_clock_mono_ms() ^ ((uint32_t)getpid() << 16);
    snprintf(id, CORE_RUN_ID_TEXT, "%04u%02u%02dt%02d%02d%02d-%08x", (unsigned)year % 10000u,
             (unsigned)month % 100u, date, (int)(second / 3600), (int)(second / 60 % 60),
             (int)(second % 60), random);
}

/* A folder that can be written, or made. */
static bool usable(const char *folder)
{
    RC_STR_AUTO parent = rc_strdup(folder);
    char *slash = strrchr(parent, '/');

    if (access(folder, W_OK | X_OK) == 0)
        return true;
    if (errno != ENOENT || !slash || slash == parent)
        return false;
    *slash = '\0';
    return access(parent, W_OK | X_OK) == 0;
}

enum rc_code core_state_folder(char **out, struct rc_error *err)
{
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (usable(SYSTEM_STATE))
        *out = rc_strdup(SYSTEM_STATE);
    else if (xdg && xdg[0] == '/')
        *out = rc_strf("%s/run-core", xdg);
    else if (home && home[0] == '/')
        *out = rc_strf("%s/.local/state/run-core", home);
    else
        return rc_fail(err, RC_INVALID,
                       "there is no place for the state: '" SYSTEM_STATE "' cannot be written and "
                       "neither XDG_STATE_HOME nor HOME is set; set RUN_CORE_STATE to a folder");
    return RC_OK;
}

enum rc_code core_state_url(const struct core_config *config, char **out, struct rc_error *err)
{
    const char *environment = getenv("RUN_CORE_STATE");

    if (config && config->settings.state)
        *out = rc_strdup(config->settings.state);
    else if (environment && environment[0])
        *out = rc_strdup(environment);
    else if (core_state_folder(out, err))
        return err->code;
    core_secret_add_url(*out);
    return RC_OK;
}

struct core_storage *core_run_storage(struct core_run *run, const struct core_cancel *cancel)
{
    const struct core_config *config = run->request->config;

    return core_storage_new(config ? config->stores : NULL, config ? config->store_count : 0,
                            run->remote, cancel);
}

enum rc_code core_run_db(struct core_run *run, struct core_db **out, struct rc_error *err)
{
    RC_STR_AUTO url = NULL;
    enum rc_code code = RC_OK;

    pthread_mutex_lock(&run->opening);
    if (!run->db) {
        code = core_state_url(run->request->config, &url, err);
        if (code == RC_OK && core_db_open(url, &run->db, err))
            code = rc_context(err, "open the state database at '%s'", url);
    }
    *out = run->db;
    pthread_mutex_unlock(&run->opening);
    return code;
}
