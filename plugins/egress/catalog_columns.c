/*
 * The columns of tables and queries, with their types, and whether they may be read.
 */
#include "catalog_look.h"

#include <stdlib.h>
#include <string.h>

enum { OIDS_LIMIT = 64 << 20, SQL_LIMIT = 8192, QUERY_LIMIT = 16 << 20, SHOWN_COLUMNS = 5 };

/*
 * The type below a domain, of which there may be several on top of one another; its modifier. Most
 * columns are of no domain, and for them the search would take longer than all else.
 */
#define BASE(what, own, type, modifier)                                                            \
    "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_type AS y WHERE y.oid = " type                    \
    " AND y.typtype = 'd') THEN "                                                                  \
    "(WITH RECURSIVE base(t, m) AS (SELECT " type "::pg_catalog.oid, " modifier                    \
    "::pg_catalog.int4 UNION ALL SELECT y.typbasetype, y.typtypmod FROM base JOIN "                \
    "pg_catalog.pg_type AS y ON y.oid = base.t WHERE y.typtype = 'd') SELECT base." what           \
    " FROM base JOIN pg_catalog.pg_type AS y ON y.oid = base.t WHERE y.typtype <> 'd') "           \
    "ELSE " own " END"
#define BASE_TYPE(type, modifier) BASE("t", type, type, modifier)
#define BASE_MODIFIER(type, modifier) BASE("m", modifier, type, modifier)

static unsigned to_oid(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

static bool has_columns(const struct egress_relation *relation)
{
    (void)relation;
    return true;
}

/* ---- of tables ---------------------------------------------------------------------------- */

enum { OWNER, NAME, TYPE, TYPE_OID, MODIFIER, MAY_READ };

static enum rc_code ask(struct egress_database *database, const char *oids, PGresult **out,
                        struct rc_error *err)
{
    RC_BUF_AUTO(sql, SQL_LIMIT);

    rc_buf_addf(&sql,
                "SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), "
                "%s, %s, COALESCE(pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'), "
                "true) FROM pg_catalog.pg_attribute AS a "
                "WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 "
                "AND NOT a.attisdropped%s ORDER BY a.attrelid, a.attnum",
                BASE_TYPE("a.atttypid", "a.atttypmod"), BASE_MODIFIER("a.atttypid", "a.atttypmod"),
                database->version >= 120000 ? " AND a.attgenerated = ''" : "");
    return egress_database_query(database, "read the columns", sql.data, &oids, 1, out, err);
}

/* The first row of an owner, the rows being in the order of owners. */
static int find_first(const PGresult *result, unsigned oid)
{
    int low = 0, high = PQntuples(result);

    while (low < high) {
        int middle = low + (high - low) / 2;

        if (to_oid(PQgetvalue(result, middle, OWNER)) < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* GRANT as the one who may do it would write it. */
static void refuse(const struct egress_database *database, struct egress_table *table,
                   const char *columns)
{
    RC_BUF_AUTO(grant, SQL_LIMIT);

    rc_buf_adds(&grant, "GRANT SELECT ON ");
    rc_buf_add_ident(&grant, table->schema);
    rc_buf_addc(&grant, '.');
    rc_buf_add_ident(&grant, table->relation);
    rc_buf_adds(&grant, " TO ");
    rc_buf_add_ident(&grant, PQuser(database->connection));
    (void)rc_fail(egress_refuse(table), RC_DENIED, "permission denied for %stable '%s.%s'; %s",
                  columns, table->schema, table->relation, grant.data);
}

static void take(const struct egress_database *database, const PGresult *result,
                 struct egress_table *table, const struct egress_relation *relation)
{
    RC_BUF_AUTO(forbidden, SQL_LIMIT);
    int first = find_first(result, relation->oid), row = first;
    size_t refused = 0;

    while (row < PQntuples(result) && to_oid(PQgetvalue(result, row, OWNER)) == relation->oid)
        row++;
    table->column_count = (size_t)(row - first);
    table->columns = rc_calloc(table->column_count + 1, sizeof(*table->columns));
    for (size_t i = 0; i < table->column_count; i++) {
        row = first + (int)i;
        table->columns[i] = (struct egress_column){
            .name = rc_strdup(PQgetvalue(result, row, NAME)),
            .type = rc_strdup(PQgetvalue(result, row, TYPE)),
            .oid = to_oid(PQgetvalue(result, row, TYPE_OID)),
            .modifier = (int)strtol(PQgetvalue(result, row, MODIFIER), NULL, 10),
        };
        if (rc_str_eq(PQgetvalue(result, row, MAY_READ), "t"))
            continue;
        if (++refused <= SHOWN_COLUMNS)
            rc_buf_addf(&forbidden, "%s'%s'", refused > 1 ? ", " : "column ",
                        table->columns[i].name);
    }
    rc_buf_adds(&forbidden, refused > SHOWN_COLUMNS ? " and others of " : " of ");
    if (refused == table->column_count && !relation->may_select)
        refuse(database, table, "");
    else if (refused)
        refuse(database, table, forbidden.data);
}

enum rc_code egress_read_columns(struct egress_database *database, struct egress_catalog *catalog,
                                 const struct egress_relation *relations, struct rc_error *err)
{
    RC_BUF_AUTO(oids, OIDS_LIMIT);
    PGresult *result;

    if (!egress_add_oids(&oids, catalog, relations, has_columns))
        return RC_OK;
    if (rc_buf_check(&oids, err) || ask(database, oids.data, &result, err))
        return err->code;
    for (size_t i = 0; i < catalog->count; i++)
        if (relations[i].oid && !catalog->tables[i].failure)
            take(database, result, &catalog->tables[i], &relations[i]);
    PQclear(result);
    return RC_OK;
}

/* ---- of queries --------------------------------------------------------------------------- */

/* The names of the types of a result's columns, and what they are below domains. */
static enum rc_code ask_types(struct egress_database *database, const PGresult *described,
                              PGresult **out, struct rc_error *err)
{
    RC_BUF_AUTO(oids, QUERY_LIMIT);
    RC_BUF_AUTO(modifiers, QUERY_LIMIT);
    const char *values[2];

    for (int i = 0; i < PQnfields(described); i++) {
        rc_buf_addf(&oids, "%c%u", i ? ',' : '{', PQftype(described, i));
        rc_buf_addf(&modifiers, "%c%d", i ? ',' : '{', PQfmod(described, i));
    }
    rc_buf_adds(&oids, oids.len ? "}" : "{}");
    rc_buf_adds(&modifiers, modifiers.len ? "}" : "{}");
    values[0] = oids.data;
    values[1] = modifiers.data;
    return egress_database_query(
        database, "read the types",
        "SELECT pg_catalog.format_type(c.t, c.m), " BASE_TYPE("c.t", "c.m") ", " BASE_MODIFIER(
            "c.t", "c.m") " FROM (SELECT i, ($1::pg_catalog.oid[])[i] AS t, "
                          "($2::pg_catalog.int4[])[i] AS m FROM pg_catalog.generate_subscripts("
                          "$1::pg_catalog.oid[], 1) AS i) AS c ORDER BY c.i",
        values, RC_ARRAY_LEN(values), out, err);
}

static enum rc_code take_query(struct egress_database *database, struct egress_table *table,
                               const PGresult *described, struct rc_error *err)
{
    PGresult *types;

    if (ask_types(database, described, &types, err))
        return err->code;
    table->column_count = (size_t)PQntuples(types);
    table->columns = rc_calloc(table->column_count + 1, sizeof(*table->columns));
    for (size_t i = 0; i < table->column_count; i++)
        table->columns[i] = (struct egress_column){
            .name = rc_strdup(PQfname(described, (int)i)),
            .type = rc_strdup(PQgetvalue(types, (int)i, 0)),
            .oid = to_oid(PQgetvalue(types, (int)i, 1)),
            .modifier = (int)strtol(PQgetvalue(types, (int)i, 2), NULL, 10),
        };
    PQclear(types);
    return RC_OK;
}

/* "Limit  (cost=0.00..0.01 rows=1 width=4)" */
static double read_estimate(const PGresult *plan)
{
    const char *at = PQntuples(plan) > 0 ? strstr(PQgetvalue(plan, 0, 0), " rows=") : NULL;

    return at ? strtod(at + strlen(" rows="), NULL) : -1;
}

static const char *const no_params[] = { NULL };

/* By the planner, which may have to wait for locks: it is only good to know. */
static enum rc_code estimate(struct egress_database *database, struct egress_table *table,
                             const char *source, struct rc_error *err)
{
    RC_BUF_AUTO(sql, QUERY_LIMIT);
    struct rc_error tried;
    PGresult *plan;

    rc_buf_addf(&sql, "EXPLAIN SELECT * FROM %s", source);
    if (rc_buf_check(&sql, err) || egress_try(database, EGRESS_SHORT_MS, "estimate the rows",
                                              sql.data, no_params, 0, &plan, &tried, err))
        return err->code;
    if (tried.code == RC_OK)
        table->rows = read_estimate(plan);
    PQclear(plan);
    return RC_OK;
}

/*
 * As a subquery it can only be one statement that reads, and the server says what it gives without
 * running it.
 */
static enum rc_code read_query(struct egress_database *database, struct egress_table *table,
                               struct rc_error *err)
{
    RC_BUF_AUTO(source, QUERY_LIMIT);
    RC_BUF_AUTO(sql, QUERY_LIMIT);
    struct rc_error tried;
    PGresult *described;
    enum rc_code code;

    rc_buf_addf(&source, "(%s\n) AS q", table->query);
    rc_buf_addf(&sql, "SELECT * FROM %s LIMIT 0", source.data);
    if (rc_buf_check(&source, err) || rc_buf_check(&sql, err) ||
        egress_try(database, database->config->lock_timeout_ms, "look at the query", sql.data,
                   no_params, 0, &described, &tried, err))
        return err->code;
    if (tried.code) {
        *egress_refuse(table) = tried;
        return RC_OK;
    }
    code = take_query(database, table, described, err);
    PQclear(described);
    return code ? code : estimate(database, table, source.data, err);
}

/* Of views and the like the rows are estimated as those of a query. */
static enum rc_code estimate_view(struct egress_database *database, struct egress_table *table,
                                  struct rc_error *err)
{
    RC_BUF_AUTO(source, SQL_LIMIT);

    rc_buf_add_ident(&source, table->schema);
    rc_buf_addc(&source, '.');
    rc_buf_add_ident(&source, table->relation);
    return estimate(database, table, source.data, err);
}

enum rc_code egress_read_queries(struct egress_database *database, struct egress_catalog *catalog,
                                 struct rc_error *err)
{
    for (size_t i = 0; i < catalog->count; i++) {
        struct egress_table *table = &catalog->tables[i];

        if (table->query
                ? read_query(database, table, err)
                : !table->failure && table->leaf_count == 0 && estimate_view(database, table, err))
            return rc_context(err, "'%s'", table->name);
    }
    return RC_OK;
}
