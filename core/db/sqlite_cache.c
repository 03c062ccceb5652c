/*
 * Compiled statements that wait to be used again: for the few texts that the core and plugins
 * repeat thousands of times, compiling them takes longer than running them. A table of one
 * statement for each value of a hash; whoever comes later replaces what is there.
 */
#include <db/sqlite.h>

#include <string.h>

/* Of a plugin's statement: longer ones are lists of values, as a rule. */
enum { TEXT_LIMIT = 4096 };

/*
 * What a plugin may do is decided while a statement is compiled, so what the core compiled in a
 * plugin's session is not for the plugin.
 */
static bool is_apart(const struct core_sqlite *db)
{
    return db->session.walled && db->session.own;
}

/* FNV-1a, see migrate.c. */
static size_t place_of(const char *statement)
{
    uint32_t hash = UINT32_C(0x811c9dc5);

    for (const char *at = statement; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT32_C(0x01000193);
    return (hash ^ hash >> 16) % CORE_SQLITE_CACHE;
}

sqlite3_stmt *core_sqlite_take(struct core_sqlite *db, const char *statement)
{
    sqlite3_stmt **place = &db->idle[place_of(statement)];
    sqlite3_stmt *found = *place;

    if (!found || is_apart(db) || strcmp(sqlite3_sql(found), statement) != 0)
        return NULL;
    *place = NULL;
    return found;
}

void core_sqlite_give(struct core_sqlite *db, sqlite3_stmt **stmt)
{
    sqlite3_stmt **place;

    if (!*stmt || is_apart(db) || (db->session.walled && strlen(sqlite3_sql(*stmt)) > TEXT_LIMIT)) {
        core_sqlite_finalize(stmt);
        return;
    }
    (void)sqlite3_reset(*stmt);
    (void)sqlite3_clear_bindings(*stmt);
    place = &db->idle[place_of(sqlite3_sql(*stmt))];
    core_sqlite_finalize(place);
    *place = *stmt;
    *stmt = NULL;
}

void core_sqlite_clear_idle(struct core_sqlite *db)
{
    for (size_t i = 0; i < CORE_SQLITE_CACHE; i++)
        core_sqlite_finalize(&db->idle[i]);
}
