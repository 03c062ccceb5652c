/*
 * The walls around a plugin's schema: what its statements may not do, asked by SQLite while it
 * compiles them. What both SQLite and PostgreSQL know passes.
 */
#include <db/sqlite.h>

#include <run-core/str.h>

/* Our own book-keeping in the plugin's file. */
static bool is_ours(const char *table)
{
    return table && rc_str_starts(table, "run_core_");
}

static int authorize(void *context, int action, const char *first, const char *second,
                     const char *schema, const char *trigger)
{
    struct core_sqlite *db = context;

    (void)schema;
    (void)trigger;
    if (db->session.own)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
    case SQLITE_PRAGMA:
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
    case SQLITE_CREATE_VTABLE:
    case SQLITE_DROP_VTABLE:
        return SQLITE_DENY;
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_VIEW:
        db->has_temporary = true;
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return rc_str_eq(second, "load_extension") ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_READ:
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
    case SQLITE_CREATE_TABLE:
    case SQLITE_DROP_TABLE:
        return is_ours(first) ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_ALTER_TABLE:
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TRIGGER:
        return is_ours(second) ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_OK;
    }
}

void core_sqlite_wall(struct core_sqlite *db)
{
    (void)sqlite3_set_authorizer(db->handle, authorize, db);
    (void)sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
    db->session.walled = true;
    db->session.own = false;
}
