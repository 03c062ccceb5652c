/*
 * The state as files of SQLite: what its URL means, the core's file, one beside it for each plugin,
 * and their private copies for dry runs.
 */
#include <db/internal.h>
#include <db/sqlite.h>

#include <os/file.h>
#include <os/path.h>
#include <run-core/str.h>
#include <run-core/uri.h>

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOLDER_MODE = 0700,
    BUSY_LIMIT_MS = 5000, /* of the core's file: well below what a lease leaves for its renewal */
};

static const char file_name[] = "state.db";

/* Released migrations never change. */
static const struct rc_migration first = {
    1, "CREATE TABLE locks ("
       "name TEXT PRIMARY KEY, "
       "token INTEGER NOT NULL, " /* of the latest holder; stays when the lock is free */
       "holder TEXT, "            /* NULL: free */
       "host TEXT, pid INTEGER, start_ticks INTEGER, "
       "acquired_unix_ms INTEGER, expires_unix_ms INTEGER)"
};

static bool sqlite_knows(const char *url)
{
    return !rc_uri_has_scheme(url) || rc_str_starts(url, "sqlite://");
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Adds the path of the core's file. */
static enum rc_code find_file(const char *url, struct rc_buf *out, struct rc_error *err)
{
    const char *path = url;

    if (rc_uri_has_scheme(url)) {
        path = url + strlen("sqlite://");
        if (path[0] != '/')
            return rc_fail(err, RC_INVALID,
                           "'%s' names no absolute path; write it with three slashes, "
                           "sqlite:///path/state.db",
                           url);
    }
    if (path[0] == '\0')
        return rc_fail(err, RC_INVALID, "the place of the state is empty");
    /* Else a folder would get that name, with the password in it. */
    if (strstr(path, "dbname=") || strstr(path, "password="))
        return rc_fail(err, RC_INVALID,
                       "the place of the state is not a URL; write "
                       "postgresql://user:password@host:port/database for a server");
    rc_buf_adds(out, path);
    if (path == url || rc_str_ends(path, "/") || is_directory(path))
        rc_buf_addf(out, "%s%s", rc_str_ends(path, "/") ? "" : "/", file_name);
    return rc_buf_check(out, err);
}

enum rc_code core_db_file(const char *url, char **out, struct rc_error *err)
{
    RC_BUF_AUTO(file, PATH_MAX);

    *out = NULL;
    if (!sqlite_knows(url))
        return RC_OK;
    if (find_file(url, &file, err))
        return err->code;
    *out = rc_buf_take(&file);
    return RC_OK;
}

static enum rc_code sqlite_check(const char *url, struct rc_error *err)
{
    RC_BUF_AUTO(file, PATH_MAX);

    return find_file(url, &file, err);
}

/* The folder that the core's file is in. */
static enum rc_code find_folder(const char *url, char **out, struct rc_error *err)
{
    RC_BUF_AUTO(file, PATH_MAX);

    if (find_file(url, &file, err))
        return err->code;
    *out = core_path_directory(file.data);
    return RC_OK;
}

static enum rc_code sqlite_open(const char *url, bool durable, struct core_session **out,
                                struct rc_error *err)
{
    RC_BUF_AUTO(file, PATH_MAX);
    RC_STR_AUTO folder = NULL;
    struct core_sqlite *db;

    if (find_file(url, &file, err))
        return err->code;
    folder = core_path_directory(file.data);
    if (!is_directory(folder) && core_dir_make(folder, FOLDER_MODE, err))
        return rc_context(err, "make the folder for the state");
    if (core_sqlite_open(file.data, durable, /* cancel = */ NULL, &db, err))
        return err->code;
    db->busy_limit_ms = BUSY_LIMIT_MS;
    *out = &db->session;
    return RC_OK;
}

static enum rc_code sqlite_open_plugin(const char *url, const char *plugin, bool rehearsal,
                                       const struct core_cancel *cancel, struct core_session **out,
                                       struct rc_error *err)
{
    RC_STR_AUTO beside = NULL;
    RC_STR_AUTO folder = NULL;
    RC_STR_AUTO path = NULL;
    struct core_sqlite *db;

    (void)rehearsal; /* the file is a copy then */
    if (find_folder(url, &beside, err))
        return err->code;
    folder = rc_strf("%s/plugins", beside);
    path = rc_strf("%s/%s.db", folder, plugin);
    if (core_dir_make(folder, FOLDER_MODE, err) ||
        core_sqlite_open(path, /* durable = */ true, cancel, &db, err))
        return err->code;
    core_sqlite_wall(db);
    *out = &db->session;
    return RC_OK;
}

/* ---- copies ------------------------------------------------------------------------------- */

/* A snapshot of the committed state, taken while others may write. */
static enum rc_code copy_file(const char *from, const char *to, struct rc_error *err)
{
    RC_BUF_AUTO(statement, 64 * 1024);
    struct core_sqlite *source;
    enum rc_code code;

    rc_buf_adds(&statement, "VACUUM INTO ");
    rc_buf_add_literal(&statement, to);
    if (rc_buf_check(&statement, err) ||
        core_sqlite_open(from, /* durable = */ false, NULL, &source, err))
        return err->code;
    code = core_sqlite_run(source, statement.data, err);
    core_sqlite_release(source);
    return code;
}

static enum rc_code sqlite_copy_plugin(const char *url, const char *plugin, const char *directory,
                                       char **out, struct rc_error *err)
{
    RC_STR_AUTO beside = NULL;
    RC_STR_AUTO from = NULL;
    RC_STR_AUTO folder = rc_strf("%s/dry-run/plugins", directory);
    RC_STR_AUTO to = rc_strf("%s/%s.db", folder, plugin);

    if (find_folder(url, &beside, err) || core_dir_make(folder, FOLDER_MODE, err))
        return err->code;
    from = rc_strf("%s/plugins/%s.db", beside, plugin);
    if (access(from, F_OK) == 0 && access(to, F_OK) != 0 && copy_file(from, to, err))
        return rc_context(err, "copy '%s' for the dry run", from);
    *out = rc_strf("%s/dry-run", directory);
    return RC_OK;
}

const struct core_db_server core_db_on_sqlite = {
    .first = &first,
    .knows = sqlite_knows,
    .check = sqlite_check,
    .open = sqlite_open,
    .open_plugin = sqlite_open_plugin,
    .copy_plugin = sqlite_copy_plugin,
};
