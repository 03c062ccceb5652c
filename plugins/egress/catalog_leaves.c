/*
 * The physical parts of tables, their sizes, and how many rows are to be expected.
 */
#include "bounds.h"
#include "catalog_look.h"

#include <run-core/log.h>

#include <stdlib.h>
#include <string.h>

enum { OIDS_LIMIT = 64 << 20, SQL_LIMIT = 8192 };

static unsigned to_oid(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

static bool is_true(const PGresult *result, int row, int column)
{
    return rc_str_eq(PQgetvalue(result, row, column), "t");
}

static bool is_root(const struct egress_relation *relation)
{
    return relation->kind == 'p';
}

/* ---- which there are ---------------------------------------------------------------------- */

/* The columns of the query for partitions. */
enum { PART, PARENT, SCHEMA, RELATION, KIND, PERSISTENCE, MAY_READ, POLICIES, BOUND };

static enum rc_code ask_tree(struct egress_database *database, const char *oids, PGresult **out,
                             struct rc_error *err)
{
    /* An expression may have to wait for a lock on the partition; without it the names decide. */
    static const char *const bounds[] = { "pg_catalog.pg_get_expr(c.relpartbound, c.oid)", "NULL" };
    const char *pending = database->version >= 140000 ? " AND NOT i.inhdetachpending" : "";

    for (size_t i = 0;; i++) {
        RC_BUF_AUTO(sql, SQL_LIMIT);
        struct rc_error tried;

        RC_ASSERT(i < RC_ARRAY_LEN(bounds));
        rc_buf_addf(
            &sql,
            "WITH RECURSIVE tree(part, parent) AS (SELECT i.inhrelid, i.inhparent "
            "FROM pg_catalog.pg_inherits AS i "
            "WHERE i.inhparent = ANY ($1::pg_catalog.oid[])%s "
            "UNION SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits AS i "
            "JOIN tree ON tree.part = i.inhparent%s) "
            "SELECT tree.part, tree.parent, n.nspname, c.relname, c.relkind, "
            "c.relpersistence, COALESCE(pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND "
            "pg_catalog.has_table_privilege(c.oid, 'SELECT'), true), "
            "COALESCE(pg_catalog.row_security_active(c.oid), false), %s "
            "FROM tree JOIN pg_catalog.pg_class AS c ON c.oid = tree.part "
            "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
            "ORDER BY n.nspname, c.relname",
            pending, pending, bounds[i]);
        if (i + 1 == RC_ARRAY_LEN(bounds))
            return egress_database_query(database, "read the partitions", sql.data, &oids, 1, out,
                                         err);
        if (egress_try(database, EGRESS_SHORT_MS, "read the partitions", sql.data, &oids, 1, out,
                       &tried, err))
            return err->code;
        if (tried.code == RC_OK)
            return RC_OK;
        rc_debug(database->job, "%s; going on by the names of the partitions", tried.cause);
    }
}

struct child {
    const PGresult *tree;
    int row;
};

static int compare_children(const void *a, const void *b)
{
    const struct child *first = a, *second = b;
    int order = egress_bounds_compare(PQgetvalue(first->tree, first->row, BOUND),
                                      PQgetvalue(second->tree, second->row, BOUND));

    return order ? order : first->row - second->row; /* they come by their names */
}

static void add_leaf(struct egress_table *table, unsigned oid, const char *schema,
                     const char *relation, char kind)
{
    table->leaves = rc_realloc(table->leaves, (table->leaf_count + 1) * sizeof(*table->leaves));
    table->leaves[table->leaf_count++] = (struct egress_leaf){
        .oid = oid,
        .schema = rc_strdup(schema),
        .relation = rc_strdup(relation),
        .rows = -1,
        .needs_select = kind != 'r',
    };
}

/* Why the partitions of a table are not read one by one, each by its own name. */
struct obstacles {
    bool is_forbidden; /* the role may not, or not all of it: but through the root it may */
    bool is_unlogged;
};

/* Below 'parent', in the order of the bounds. */
static void add_leaves(struct egress_table *table, const PGresult *tree, unsigned parent,
                       struct obstacles *obstacles)
{
    struct child *children = rc_calloc((size_t)PQntuples(tree) + 1, sizeof(*children));
    size_t count = 0;

    for (int i = 0; i < PQntuples(tree); i++)
        if (to_oid(PQgetvalue(tree, i, PARENT)) == parent)
            children[count++] = (struct child){ tree, i };
    qsort(children, count, sizeof(*children), compare_children);
    for (size_t i = 0; i < count; i++) {
        int row = children[i].row;
        unsigned oid = to_oid(PQgetvalue(tree, row, PART));

        if (PQgetvalue(tree, row, KIND)[0] == 'p') {
            add_leaves(table, tree, oid, obstacles);
            continue;
        }
        add_leaf(table, oid, PQgetvalue(tree, row, SCHEMA), PQgetvalue(tree, row, RELATION),
                 PQgetvalue(tree, row, KIND)[0]);
        if (!is_true(tree, row, MAY_READ) || is_true(tree, row, POLICIES))
            obstacles->is_forbidden = true;
        if (PQgetvalue(tree, row, PERSISTENCE)[0] == 'u')
            obstacles->is_unlogged = true;
    }
    free(children);
}

static void drop_leaves(struct egress_table *table)
{
    for (size_t i = 0; i < table->leaf_count; i++) {
        free(table->leaves[i].schema);
        free(table->leaves[i].relation);
    }
    free(table->leaves);
    table->leaves = NULL;
    table->leaf_count = 0;
}

/*
 * Privileges and row-level security of the root hold for what is read through it, those of a
 * partition for what is read of it by name: where these are in the way, or those may not be passed
 * by, the table is read through its root.
 */
static void add_partitions(const struct egress_database *database, struct egress_table *table,
                           const struct egress_relation *relation, const PGresult *tree)
{
    struct obstacles obstacles = { .is_forbidden = relation->has_policies };

    add_leaves(table, tree, relation->oid, &obstacles);
    if (obstacles.is_unlogged && database->in_recovery)
        (void)rc_fail(egress_refuse(table), RC_UNSUPPORTED,
                      "partitions of it are unlogged, so that a standby does not have their rows; "
                      "dump it from the primary server");
    if (obstacles.is_forbidden)
        drop_leaves(table);
}

static enum rc_code find_leaves(struct egress_database *database, struct egress_catalog *catalog,
                                const struct egress_relation *relations, struct rc_error *err)
{
    RC_BUF_AUTO(roots, OIDS_LIMIT);
    PGresult *tree = NULL;
    bool has_roots = egress_add_oids(&roots, catalog, relations, is_root);

    if (rc_buf_check(&roots, err) || (has_roots && ask_tree(database, roots.data, &tree, err)))
        return err->code;
    for (size_t i = 0; i < catalog->count; i++) {
        struct egress_table *table = &catalog->tables[i];

        if (table->failure || relations[i].oid == 0 || relations[i].kind == 'v')
            continue;
        if (is_root(&relations[i]))
            add_partitions(database, table, &relations[i], tree);
        else
            add_leaf(table, relations[i].oid, table->schema, table->relation, relations[i].kind);
    }
    PQclear(tree);
    return RC_OK;
}

/* ---- how large they are ------------------------------------------------------------------- */

/* The columns of the query for sizes. */
enum { SIZED, KIND_OF_SIZED, ROWS, PAGES, MAY_SELECT, IS_HEAP, BYTES, ALL_BYTES, PAGE_BYTES };

/*
 * The size of a file is told only with a lock on its table. What is locked already is left out, and
 * if that was not enough, all of them, where the catalogue's own figures have to do.
 */
static enum rc_code ask_sizes(struct egress_database *database, const char *oids, PGresult **out,
                              struct rc_error *err)
{
    static const char *const sizes[] = {
        "CASE WHEN c.oid <> ALL (l.locked) THEN pg_catalog.pg_relation_size(c.oid) END, "
        "CASE WHEN c.oid <> ALL (l.locked) THEN pg_catalog.pg_relation_size(c.oid) + "
        "CASE WHEN c.reltoastrelid = 0 THEN 0 "
        "ELSE pg_catalog.pg_relation_size(c.reltoastrelid) END END",
        "NULL, NULL",
    };
    const char *heap = database->version >= 120000
                           ? "c.relam = (SELECT a.oid FROM pg_catalog.pg_am AS a "
                             "WHERE a.amname = 'heap')"
                           : "true";

    for (size_t i = 0;; i++) {
        RC_BUF_AUTO(sql, SQL_LIMIT);
        struct rc_error tried;

        RC_ASSERT(i < RC_ARRAY_LEN(sizes));
        rc_buf_addf(&sql,
                    "SELECT c.oid, c.relkind, c.reltuples, c.relpages, "
                    "COALESCE(pg_catalog.has_table_privilege(c.oid, 'SELECT'), true), "
                    "COALESCE(%s, false), %s, pg_catalog.current_setting('block_size') "
                    "FROM pg_catalog.pg_class AS c, (SELECT ARRAY(SELECT l.relation "
                    "FROM pg_catalog.pg_locks AS l WHERE l.locktype = 'relation' "
                    "AND l.mode = 'AccessExclusiveLock') AS locked) AS l "
                    "WHERE c.oid = ANY ($1::pg_catalog.oid[]) ORDER BY c.oid",
                    heap, sizes[i]);
        if (i + 1 == RC_ARRAY_LEN(sizes))
            return egress_database_query(database, "read the sizes", sql.data, &oids, 1, out, err);
        if (egress_try(database, EGRESS_SHORT_MS, "read the sizes", sql.data, &oids, 1, out, &tried,
                       err))
            return err->code;
        if (tried.code == RC_OK)
            return RC_OK;
        rc_debug(database->job, "%s; going on without the sizes of files", tried.cause);
    }
}

static double number(const PGresult *result, int row, int column)
{
    return strtod(PQgetvalue(result, row, column), NULL);
}

static int find_row(const PGresult *result, unsigned oid)
{
    int low = 0, high = PQntuples(result);

    while (low < high) {
        int middle = low + (high - low) / 2;

        if (to_oid(PQgetvalue(result, middle, SIZED)) < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < PQntuples(result) && to_oid(PQgetvalue(result, low, SIZED)) == oid ? low : -1;
}

/*
 * As many rows a page as there were at the last VACUUM or ANALYZE; before the first one, nothing is
 * known (-1, or 0 with no page before version 14). Returns the bytes of the leaf; -1: not known.
 */
static int64_t size_leaf(const struct egress_database *database, struct egress_leaf *leaf,
                         const PGresult *sizes)
{
    int row = find_row(sizes, leaf->oid);

    if (row < 0)
        return -1;
    double rows = number(sizes, row, ROWS), pages = number(sizes, row, PAGES);
    char kind = PQgetvalue(sizes, row, KIND_OF_SIZED)[0];

    if (kind == 'f') { /* of another server: only its ANALYZE has figures */
        leaf->rows = rows > 0 ? rows : -1;
        return -1;
    }
    leaf->pages = (int64_t)pages;
    if (!PQgetisnull(sizes, row, BYTES))
        leaf->pages = (int64_t)(number(sizes, row, BYTES) / number(sizes, row, PAGE_BYTES));
    if (leaf->pages == 0)
        leaf->rows = PQgetisnull(sizes, row, BYTES) ? -1 : 0;
    else if (rows >= 0 && pages > 0)
        leaf->rows = rows / pages * (double)leaf->pages;
    leaf->has_ctids = database->version >= 140000 && is_true(sizes, row, IS_HEAP) &&
                      is_true(sizes, row, MAY_SELECT);
    return PQgetisnull(sizes, row, ALL_BYTES) ? -1 : (int64_t)number(sizes, row, ALL_BYTES);
}

static void size_table(const struct egress_database *database, struct egress_table *table,
                       const PGresult *sizes)
{
    bool has_rows = true, has_bytes = true;
    int64_t bytes = 0;
    double rows = 0;

    for (size_t i = 0; i < table->leaf_count; i++) {
        int64_t leaf_bytes = size_leaf(database, &table->leaves[i], sizes);

        has_bytes = has_bytes && leaf_bytes >= 0;
        has_rows = has_rows && table->leaves[i].rows >= 0;
        bytes += leaf_bytes;
        rows += table->leaves[i].rows;
    }
    if (table->leaf_count && has_bytes)
        table->bytes = bytes;
    if (table->leaf_count && has_rows)
        table->rows = rows;
}

enum rc_code egress_read_leaves(struct egress_database *database, struct egress_catalog *catalog,
                                const struct egress_relation *relations, struct rc_error *err)
{
    RC_BUF_AUTO(oids, OIDS_LIMIT);
    PGresult *sizes;
    bool any = false;

    if (find_leaves(database, catalog, relations, err))
        return err->code;
    for (size_t i = 0; i < catalog->count; i++)
        for (size_t j = 0; j < catalog->tables[i].leaf_count; j++, any = true)
            rc_buf_addf(&oids, "%c%u", any ? ',' : '{', catalog->tables[i].leaves[j].oid);
    if (!any)
        return RC_OK;
    rc_buf_addc(&oids, '}');
    if (rc_buf_check(&oids, err) || ask_sizes(database, oids.data, &sizes, err))
        return err->code;
    for (size_t i = 0; i < catalog->count; i++)
        size_table(database, &catalog->tables[i], sizes);
    PQclear(sizes);
    return RC_OK;
}
