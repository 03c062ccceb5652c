/*
 * A private copy of a plugin's schema, for a dry run to read and migrate.
 */
#include <db/internal.h>

#include <os/file.h>
#include <os/path.h>
#include <run-core/str.h>

#include <limits.h>
#include <unistd.h>

enum { FOLDER_MODE = 0700 };

/* A snapshot of the committed state, taken while others may write. */
static enum rc_code copy_file(const char *from, const char *to, struct rc_error *err)
{
    RC_BUF_AUTO(statement, 64 * 1024);
    struct core_sqlite source;
    enum rc_code code;

    rc_buf_adds(&statement, "VACUUM INTO ");
    rc_buf_add_literal(&statement, to);
    if (rc_buf_check(&statement, err) ||
        core_sqlite_open(from, /* durable = */ false, NULL, &source, err))
        return err->code;
    code = core_sqlite_run(&source, statement.data, err);
    core_sqlite_close(&source);
    return code;
}

enum rc_code core_db_copy_plugin(const char *url, const char *plugin, const char *directory,
                                 struct core_db **out, struct rc_error *err)
{
    RC_BUF_AUTO(file, PATH_MAX);
    RC_STR_AUTO original = NULL;
    RC_STR_AUTO from = NULL;
    RC_STR_AUTO folder = rc_strf("%s/dry-run/plugins", directory);
    RC_STR_AUTO to = rc_strf("%s/%s.db", folder, plugin);
    RC_STR_AUTO state = rc_strf("%s/dry-run", directory);

    if (core_db_find_file(url, &file, err) || core_dir_make(folder, FOLDER_MODE, err))
        return err->code;
    original = core_path_directory(file.data);
    from = rc_strf("%s/plugins/%s.db", original, plugin);
    if (access(from, F_OK) == 0 && access(to, F_OK) != 0 && copy_file(from, to, err))
        return rc_context(err, "copy '%s' for the dry run", from);
    return core_db_open(state, out, err);
}
