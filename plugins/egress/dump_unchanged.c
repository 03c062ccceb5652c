/*
 * Whether what a piece has read is still what the snapshot saw. TRUNCATE, a rewriting ALTER TABLE,
 * a table put in another's place and a partition taken away do not keep what older snapshots saw,
 * and names are always looked up as they are now: rows would be missing, or stand in columns that
 * are others by now. What a snapshot reads of the catalogue is of its time, what the server's
 * functions tell is of now, and the locks of the piece keep that as it is: the two are compared.
 */
#include "dump.h"

#include <string.h>

enum { SQL_LIMIT = 64 << 10, PARTITION_FUNCTIONS = 120000, DETACHES_IN_STEPS = 140000 };

/* Of a table by its name, or a partition: its file, which not all have, and its columns. */
static const char named_sql[] =
    "SELECT (c.relkind NOT IN ('r', 'm') OR c.relfilenode IN ('0', "
    "pg_catalog.pg_relation_filenode(pg_catalog.to_regclass($3)))) "
    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid "
    "AND a.attnum > 0 AND NOT a.attisdropped "
    "AND (pg_catalog.pg_identify_object(1259, c.oid, a.attnum)).identity IS DISTINCT FROM "
    "(pg_catalog.pg_identify_object(1259, c.oid, 0)).identity || '.' || "
    "pg_catalog.quote_ident(a.attname)) "
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $1 AND c.relname = $2";

/*
 * Of whatever a view, a query or the root of partitions has read: that is what it has locked. What
 * is new is of no account if it is an index or a partition, in which nothing can be seen yet. The
 * casts are there so that only the system's own operators fit.
 */
static const char locked_sql[] =
    "FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation "
    "WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' "
    "AND l.database <> '0' AND l.relation >= '16384' AND ("
    "(c.relkind IN ('r', 'm') AND "
    "c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid)) OR "
    "(c.oid IS NULL AND (pg_catalog.pg_identify_object(1259, l.relation, 0)).type "
    "IN ('table', 'materialized view')";
static const char new_sql[] =
    " AND NULLIF(pg_catalog.pg_partition_root(l.relation)::pg_catalog.oid, l.relation) IS NULL";
static const char partitions_sql[] =
    " OR (c.relkind = 'r' AND NOT c.relispartition AND "
    "pg_catalog.pg_partition_root(c.oid) IS NOT NULL) OR "
    "(c.relkind = 'p' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i "
    "WHERE i.inhparent = c.oid AND pg_catalog.pg_partition_root(i.inhrelid)::pg_catalog.oid "
    "IS DISTINCT FROM pg_catalog.pg_partition_root(i.inhparent)::pg_catalog.oid";

static void add_locked_sql(const struct egress_database *database, struct rc_buf *out)
{
    bool has_functions = database->version >= PARTITION_FUNCTIONS;

    rc_buf_addf(out, "SELECT NOT EXISTS (SELECT %s%s)", locked_sql, has_functions ? new_sql : "");
    if (has_functions)
        rc_buf_addf(out, "%s%s))", partitions_sql,
                    database->version >= DETACHES_IN_STEPS ? " AND NOT i.inhdetachpending" : "");
    rc_buf_adds(out, "))");
}

/* 'out' stays as it is where something has changed already. */
static enum rc_code ask(struct egress_database *database, const char *sql,
                        const char *const *params, size_t param_count, bool *out,
                        struct rc_error *err)
{
    PGresult *result = NULL;

    if (!*out)
        return RC_OK;
    if (egress_database_query(database, "see whether what was read is still the same", sql, params,
                              param_count, &result, err))
        return err->code;
    *out = PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    PQclear(result);
    return RC_OK;
}

enum rc_code egress_dump_check_unchanged(struct egress_reader *reader, struct rc_error *err)
{
    const struct egress_table *table = reader->piece->table;
    const struct egress_leaf *leaf = reader->piece->leaf;
    const char *schema = leaf ? leaf->schema : table->schema;
    const char *relation = leaf ? leaf->relation : table->relation;
    RC_BUF_AUTO(name, SQL_LIMIT);
    RC_BUF_AUTO(sql, SQL_LIMIT);
    const char *params[3] = { schema, relation, NULL };
    bool is_unchanged = true;

    if (table->query) {
        rc_buf_adds(&name, "a table that it reads");
    } else {
        rc_buf_add_ident(&name, schema);
        rc_buf_addc(&name, '.');
        rc_buf_add_ident(&name, relation);
        params[2] = name.data;
        if (ask(reader->database, named_sql, params, RC_ARRAY_LEN(params), &is_unchanged, err))
            return err->code;
    }
    if (!leaf) {
        add_locked_sql(reader->database, &sql);
        if (ask(reader->database, sql.data, NULL, 0, &is_unchanged, err))
            return err->code;
    }
    if (!is_unchanged)
        return rc_fail(err, RC_CONFLICT,
                       "%s was truncated, altered or replaced while it was dumped, so its rows "
                       "cannot be seen as they were when the dump began",
                       name.data);
    return RC_OK;
}
