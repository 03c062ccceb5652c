/*
 * A plugin's own schema: migrated when it is opened, behind walls ever after.
 */
#include <db/internal.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

/* The name becomes part of that of a file or of a schema. */
static enum rc_code check_plugin(const char *plugin, struct rc_error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = strlen(plugin);

    if (len == 0 || len > 200 || strspn(plugin, allowed) != len)
        return rc_fail(
            err, RC_INVALID,
            "'%.200s' is no name for a plugin's schema; use letters, digits, '-' and '_'", plugin);
    return RC_OK;
}

static enum rc_code open_schema(struct core_db *db, const char *plugin,
                                const struct rc_migration *migrations, size_t count,
                                const struct core_cancel *cancel, struct core_session **out,
                                struct rc_error *err)
{
    RC_STR_AUTO owner = rc_strf("the plugin '%s'", plugin);
    struct core_session *session;

    if (db->server->open_plugin(db->url, plugin, db->rehearsal, cancel, &session, err))
        return err->code;
    if (core_session_migrate(session, owner, migrations, count, err)) {
        core_session_close(session);
        return err->code;
    }
    *out = session;
    return RC_OK;
}

static struct rc_db *make(struct core_db *owner, struct core_session *session, const char *plugin,
                          const struct rc_migration *migrations, size_t count)
{
    struct rc_db *db = rc_malloc(sizeof(*db));

    *db = (struct rc_db){
        .owner = owner,
        .session = session,
        .plugin = rc_strdup(plugin),
        .migrations = rc_calloc(count + 1, sizeof(*db->migrations)),
        .count = count,
    };
    for (size_t i = 0; i < count; i++)
        db->migrations[i] =
            (struct rc_migration){ migrations[i].number, rc_strdup(migrations[i].sql) };
    return db;
}

void core_db_free_plugin(struct rc_db *db)
{
    for (size_t i = 0; i < db->count; i++)
        free((void *)db->migrations[i].sql);
    free(db->migrations);
    free(db->plugin);
    free(db);
}

enum rc_code core_db_open_plugin(struct core_db *db, const char *plugin,
                                 const struct rc_migration *migrations, size_t count,
                                 const struct core_cancel *cancel, struct rc_db **out,
                                 struct rc_error *err)
{
    struct core_session *session = NULL;

    *out = NULL;
    if (core_cancel_check(cancel, err) || check_plugin(plugin, err))
        return err->code;
    *out = core_pool_take(&db->pool, plugin, migrations, count, cancel);
    if (*out)
        return RC_OK;
    if (open_schema(db, plugin, migrations, count, cancel, &session, err))
        return err->code;
    *out = make(db, session, plugin, migrations, count);
    return RC_OK;
}

void core_db_close_plugin(struct rc_db *db)
{
    if (!db)
        return;
    db->is_doubtful |= db->owner->rehearsal || db->session->ops->in_transaction(db->session);
    core_pool_give(&db->owner->pool, db);
}

/* ---- statements --------------------------------------------------------------------------- */

/*
 * Of a conflict the session knows nothing any more. All else may have to do with what it is
 * connected to, such as a schema that somebody has dropped: its next owner shall not inherit that.
 */
static enum rc_code judge(struct rc_db *db, enum rc_code code)
{
    if (code != RC_OK && code != RC_CONFLICT)
        db->is_doubtful = true;
    return code;
}

enum rc_code core_db_exec(struct rc_db *db, const char *statement, const struct rc_value *params,
                          size_t param_count, int64_t *changed, struct rc_error *err)
{
    if (core_cancel_check(db->session->cancel, err))
        return err->code;
    return judge(db, core_session_exec(db->session, statement, params, param_count, changed, err));
}

enum rc_code core_db_query(struct rc_db *db, const char *statement, const struct rc_value *params,
                           size_t param_count, struct rc_rows **out, struct rc_error *err)
{
    *out = NULL;
    if (core_cancel_check(db->session->cancel, err))
        return err->code;
    return judge(db, core_session_query(db->session, statement, params, param_count, out, err));
}

enum rc_code core_db_is_read(struct rc_db *db, const char *statement, bool *reads,
                             struct rc_error *err)
{
    return judge(db, db->session->ops->is_read(db->session, statement, reads, err));
}

enum rc_code core_db_begin(struct rc_db *db, struct rc_error *err)
{
    if (db->session->ops->in_transaction(db->session))
        return rc_fail(err, RC_INVALID, "a transaction is open already; they do not nest");
    if (core_cancel_check(db->session->cancel, err))
        return err->code;
    return judge(db, core_session_begin(db->session, err));
}

enum rc_code core_db_commit(struct rc_db *db, struct rc_error *err)
{
    if (!db->session->ops->in_transaction(db->session))
        return rc_fail(err, RC_INVALID, "no transaction is open; an error before has ended it");
    return judge(db, core_session_commit(db->session, err));
}

void core_db_rollback(struct rc_db *db)
{
    core_session_rollback(db->session);
}
