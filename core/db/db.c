/*
 * The state database as a place: what its URL means, its folder, and its own schema.
 * Plugins' schemas are in plugin.c, locks in lock.c.
 */
#include <db/internal.h>

#include <os/file.h>
#include <os/path.h>
#include <run-core/str.h>
#include <run-core/uri.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    FOLDER_MODE = 0700,
    LEASE_MS = 30000,
    RENEW_MS = 10000,
    BUSY_LIMIT_MS = 5000, /* well below what a lease leaves for its renewal */
};

static const char file_name[] = "state.db";

/* Released migrations never change; a change is a further one. */
static const struct rc_migration migrations[] = {
    { 1, "CREATE TABLE locks ("
         "name TEXT PRIMARY KEY, "
         "token INTEGER NOT NULL, " /* of the latest holder; stays when the lock is free */
         "holder TEXT, "            /* NULL: free */
         "host TEXT, pid INTEGER, start_ticks INTEGER, "
         "acquired_unix_ms INTEGER, expires_unix_ms INTEGER)" },
};

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum rc_code core_db_find_file(const char *url, struct rc_buf *out, struct rc_error *err)
{
    static const char scheme[] = "sqlite://";
    const char *path = url;

    if (rc_uri_has_scheme(url)) {
        if (!rc_str_starts(url, scheme))
            return rc_fail(err, RC_UNSUPPORTED,
                           "the state cannot lie in '%.*s...'; write sqlite:///path/state.db, or a "
                           "folder",
                           (int)(strstr(url, "://") + 3 - url), url);
        path = url + strlen(scheme);
        if (path[0] != '/')
            return rc_fail(err, RC_INVALID,
                           "'%s' names no absolute path; write it with three slashes, "
                           "sqlite:///path/state.db",
                           url);
    }
    if (path[0] == '\0')
        return rc_fail(err, RC_INVALID, "the place of the state is empty");
    rc_buf_adds(out, path);
    if (path == url || rc_str_ends(path, "/") || is_directory(path))
        rc_buf_addf(out, "%s%s", rc_str_ends(path, "/") ? "" : "/", file_name);
    return rc_buf_check(out, err);
}

static void init_threads(struct core_db *db)
{
    pthread_condattr_t attributes;

    RC_ASSERT(pthread_mutex_init(&db->mutex, NULL) == 0);
    RC_ASSERT(pthread_condattr_init(&attributes) == 0);
    RC_ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    RC_ASSERT(pthread_cond_init(&db->wake, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
}

enum rc_code core_db_open(const char *url, struct core_db **out, struct rc_error *err)
{
    RC_BUF_AUTO(path, PATH_MAX);
    RC_STR_AUTO folder = NULL;
    struct core_db *db;

    *out = NULL;
    if (core_db_find_file(url, &path, err))
        return err->code;
    folder = core_path_directory(path.data);
    if (!is_directory(folder) && core_dir_make(folder, FOLDER_MODE, err))
        return rc_context(err, "make the folder for the state");

    db = rc_calloc(1, sizeof(*db));
    db->lease_ms = LEASE_MS;
    db->renew_ms = RENEW_MS;
    if (core_sqlite_open(path.data, /* durable = */ false, /* cancel = */ NULL, &db->core, err)) {
        free(db);
        return err->code;
    }
    if (core_sqlite_migrate(&db->core, "run-core", migrations, RC_ARRAY_LEN(migrations), err)) {
        core_sqlite_close(&db->core);
        free(db);
        return err->code;
    }
    db->core.busy_limit_ms = BUSY_LIMIT_MS;
    db->folder = folder;
    folder = NULL;
    core_process_self(&db->self);
    init_threads(db);
    *out = db;
    return RC_OK;
}

void core_db_close(struct core_db *db)
{
    if (!db)
        return;
    core_lease_stop(db);
    core_sqlite_close(&db->core);
    (void)pthread_cond_destroy(&db->wake);
    (void)pthread_mutex_destroy(&db->mutex);
    free(db->folder);
    free(db);
}
