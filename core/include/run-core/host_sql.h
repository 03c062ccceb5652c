/*
 * The part of the host that plugins reach SQL engines by; see host.h.
 */
#ifndef RUN_CORE_HOST_SQL_H
#define RUN_CORE_HOST_SQL_H

#include <run-core/host.h>

/* Opens a session on an engine named in the configuration; NULL takes the only or embedded one. */
static inline RC_MUST_CHECK enum rc_code rc_sql_open(struct rc_job *job, const char *engine,
                                                     struct rc_sql **out, struct rc_error *err)
{
    return job->host->sql->open(job, engine, out, err);
}

static inline void rc_sql_close(struct rc_job *job, struct rc_sql *sql)
{
    if (sql)
        job->host->sql->close(sql);
}

/*
 * Runs one statement without a result. 'changed' may be NULL; it gets the number of rows that were
 * changed, or -1 where the engine does not say: engines elsewhere often do not. 0 means none. Who
 * has to know asks with a query.
 */
static inline RC_MUST_CHECK enum rc_code rc_sql_exec(struct rc_job *job, struct rc_sql *sql,
                                                     const char *statement,
                                                     const struct rc_value *params,
                                                     size_t param_count, int64_t *changed,
                                                     struct rc_error *err)
{
    return job->host->sql->exec(sql, statement, params, param_count, changed, err);
}

/* Runs one statement with a result, which is streamed. Close the rows before the session. */
static inline RC_MUST_CHECK enum rc_code rc_sql_query(struct rc_job *job, struct rc_sql *sql,
                                                      const char *statement,
                                                      const struct rc_value *params,
                                                      size_t param_count, struct rc_rows **out,
                                                      struct rc_error *err)
{
    return job->host->sql->query(sql, statement, params, param_count, out, err);
}

/*
 * Makes a table of the files below some locations. The embedded engine fetches what lies in an
 * object store, within the budget that its settings give to such copies (RC_TOO_LARGE: it takes
 * more), and keeps a copy until no table of the session needs it; the table stays what it was when
 * it was attached.
 */
static inline RC_MUST_CHECK enum rc_code rc_sql_attach(struct rc_job *job, struct rc_sql *sql,
                                                       const struct rc_sql_table *table,
                                                       struct rc_error *err)
{
    return job->host->sql->attach(sql, table, err);
}

/*
 * Writes the result of a query to a location and replaces all that was there. The files are
 * written apart, checked and then published: who opens the location afterwards finds the new set,
 * who opened it before the old one, and a reader that opens file by file meanwhile may miss some.
 * What a run that was killed left behind is removed by the next write to the same location. A
 * query without rows leaves an empty location (a folder), or a file with no rows (a single
 * object).
 *
 * In an object store a folder cannot be replaced in one step. The new objects are put there first,
 * under names that no earlier write has used, then the old ones are removed. Who lists the location
 * meanwhile may find the old set, both, or of both a part: so a marker, written once this has
 * returned, should tell readers that it is whole. When this fails, the old set is there unharmed,
 * possibly with objects of the new one beside it, which the next write removes. A single object is
 * replaced in one step everywhere.
 */
static inline RC_MUST_CHECK enum rc_code rc_sql_write(struct rc_job *job, struct rc_sql *sql,
                                                      const struct rc_sql_output *output,
                                                      struct rc_sql_written *written,
                                                      struct rc_error *err)
{
    return job->host->sql->write(sql, output, written, err);
}

/* Removes a table from the catalogue; its files stay. One that is not there counts as removed. */
static inline RC_MUST_CHECK enum rc_code rc_sql_drop(struct rc_job *job, struct rc_sql *sql,
                                                     const char *table, struct rc_error *err)
{
    return job->host->sql->drop(sql, table, err);
}

/* Ends the running statement with RC_CANCELLED. From any thread; the session stays usable. */
static inline void rc_sql_cancel(struct rc_job *job, struct rc_sql *sql)
{
    job->host->sql->cancel(sql);
}

/*
 * Adds an expression: the text of the scalar at 'path' ("$.a.b", "$.a[0]") in the JSON text that
 * the expression 'json' gives. NULL where it is missing or null, and where the JSON is broken; an
 * object or an array gives its JSON text.
 */
static inline void rc_sql_add_json_text(struct rc_job *job, struct rc_sql *sql, struct rc_buf *out,
                                        const char *json, const char *path)
{
    job->host->sql->add_json_text(sql, out, json, path);
}

/* Adds an expression: whether the text is well-formed JSON. NULL for NULL. */
static inline void rc_sql_add_json_valid(struct rc_job *job, struct rc_sql *sql, struct rc_buf *out,
                                         const char *json)
{
    job->host->sql->add_json_valid(sql, out, json);
}

/* Adds an expression: 'expression' as 'type' (of rc_sql_column), NULL where that cannot be. */
static inline void rc_sql_add_try_cast(struct rc_job *job, struct rc_sql *sql, struct rc_buf *out,
                                       const char *expression, const char *type)
{
    job->host->sql->add_try_cast(sql, out, expression, type);
}

/*
 * As rc_sql_open(), with what the engine's settings leave out. A kind in place of a name is an
 * engine of that kind with the settings' defaults, unless one is configured under that name.
 * RC_INVALID: what the engine has to know is said nowhere. Since 1.7.
 */
static inline RC_MUST_CHECK enum rc_code rc_sql_open_with(struct rc_job *job,
                                                          const struct rc_sql_options *options,
                                                          struct rc_sql **out, struct rc_error *err)
{
    return job->host->sql->open_with(job, options, out, err);
}

/* What the session's engine can do: bits of enum rc_sql_feature. Since 1.7. */
static inline uint32_t rc_sql_features(struct rc_job *job, struct rc_sql *sql)
{
    return job->host->sql->features(sql);
}

/*
 * Makes a table of the session from a query; an older one of that name is replaced. It ends with
 * the session. 'rows' may be NULL. Since 1.7.
 */
static inline RC_MUST_CHECK enum rc_code
rc_sql_make(struct rc_job *job, struct rc_sql *sql, const char *table, const char *query,
            const struct rc_value *params, size_t param_count, int64_t *rows, struct rc_error *err)
{
    return job->host->sql->make(sql, table, query, params, param_count, rows, err);
}

/*
 * The same from rows of the caller's, any number of them; the types of 'columns' are varchar,
 * bigint, double or boolean, and a text is UTF-8. Since 1.7.
 */
static inline RC_MUST_CHECK enum rc_code
rc_sql_load(struct rc_job *job, struct rc_sql *sql, const char *table,
            const struct rc_sql_column *columns, size_t column_count,
            const struct rc_sql_rows *rows, struct rc_error *err)
{
    return job->host->sql->load(sql, table, columns, column_count, rows, err);
}

/*
 * Gives a table that the engine's catalogue has a name in the session; 'database' NULL is the
 * engine's own. RC_NOT_FOUND: there is none. RC_UNSUPPORTED: the engine has no catalogue. Since
 * 1.7.
 */
static inline RC_MUST_CHECK enum rc_code rc_sql_refer(struct rc_job *job, struct rc_sql *sql,
                                                      const char *table, const char *database,
                                                      const char *name, struct rc_error *err)
{
    return job->host->sql->refer(sql, table, database, name, err);
}

/*
 * Leaves a table over files in the engine's catalogue, for others to read: as rc_sql_attach(), but
 * of one location, it stays, and sees what is added below that later: new values of its keys at
 * once where the catalogue makes them up (days on Athena), else when it is published again. One of
 * that name that is over files, too, is replaced, and put back if that fails; RC_CONFLICT: it is
 * one of another kind. An engine without a catalogue checks the files, and leaves nothing. Since
 * 1.7.
 */
static inline RC_MUST_CHECK enum rc_code rc_sql_publish(struct rc_job *job, struct rc_sql *sql,
                                                        const char *database,
                                                        const struct rc_sql_table *table,
                                                        struct rc_error *err)
{
    return job->host->sql->publish(sql, database, table, err);
}

/*
 * For each file of an attached table that has rows: its URI, as its location was given, the number
 * of its rows, and of those for which the condition is true. A file that the engine passes over,
 * such as one whose name begins with '_', is not among them: who has to be sure compares with a
 * listing. RC_UNSUPPORTED: the engine cannot tell files apart, or read some of them. Since 1.7.
 */
static inline RC_MUST_CHECK enum rc_code rc_sql_search(struct rc_job *job, struct rc_sql *sql,
                                                       const struct rc_sql_lookup *search,
                                                       struct rc_rows **out, struct rc_error *err)
{
    return job->host->sql->search(sql, search, out, err);
}

/*
 * Adds a table of the session as FROM and JOIN take it. Where it is asked for more than once in a
 * statement, each needs a name of its own ("... AS a"). Since 1.7.
 */
static inline void rc_sql_add_table(struct rc_job *job, struct rc_sql *sql, struct rc_buf *out,
                                    const char *table)
{
    job->host->sql->add_table(sql, out, table);
}

/* Adds an expression: the bytes of a varchar in lower-case hex. Since 1.7. */
static inline void rc_sql_add_hex(struct rc_job *job, struct rc_sql *sql, struct rc_buf *out,
                                  const char *expression)
{
    job->host->sql->add_hex(sql, out, expression);
}

/*
 * Adds an aggregate: the sum of the doubles of 'expression', added up in the order of the values of
 * 'order', so that the same rows give the same sum, to the last bit and on every engine. NULL if
 * none is left but NULLs. Sums of whole numbers and decimals need no such care. Since 1.7.
 */
static inline void rc_sql_add_sum(struct rc_job *job, struct rc_sql *sql, struct rc_buf *out,
                                  const char *expression, const char *order)
{
    job->host->sql->add_sum(sql, out, expression, order);
}

#endif
