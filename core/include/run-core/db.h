/*
 * The plugin's own tables in the state database: small facts that have to survive,
 * such as a journal or a cursor. SQLite by default, PostgreSQL when several hosts share the state;
 * write SQL that both know. Parameters are $1, $2, ...
 *
 * A handle belongs to one thread. Each plugin has a schema of its own and sees no
 * other. Under --dry-run statements that change something are logged and counted, not made.
 */
#ifndef RUN_CORE_DB_H
#define RUN_CORE_DB_H

#include <run-core/value.h>

struct rc_job;
struct rc_db;

/*
 * A step of the schema. Numbers begin with 1 and rise by 1; a step that was released never
 * changes. Each runs once, in a transaction of its own.
 */
struct rc_migration {
    int number;
    const char *sql; /* one or more statements */
};

struct rc_db_api {
    enum rc_code (*open)(struct rc_job *job, const struct rc_migration *migrations, size_t count,
                         struct rc_db **out, struct rc_error *err);
    void (*close)(struct rc_db *db);
    enum rc_code (*exec)(struct rc_db *db, const char *statement, const struct rc_value *params,
                         size_t param_count, int64_t *changed, struct rc_error *err);
    enum rc_code (*query)(struct rc_db *db, const char *statement, const struct rc_value *params,
                          size_t param_count, struct rc_rows **out, struct rc_error *err);
    enum rc_code (*begin)(struct rc_db *db, struct rc_error *err);
    enum rc_code (*commit)(struct rc_db *db, struct rc_error *err);
    void (*rollback)(struct rc_db *db);
};

#endif
