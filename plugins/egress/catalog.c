/*
 * Which tables the configuration means: names by the search path, patterns by all that there is,
 * and who of them cannot be dumped. What they consist of is read in catalog_columns.c and
 * catalog_leaves.c.
 */
#include "catalog_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SQL_LIMIT = 8192,
    NEAR_LIMIT = 128, /* bytes of names that are compared */
};

/* All that is found, and what it takes to find it. 'relations' goes along with the tables. */
struct reading {
    struct egress_database *database;
    struct egress_catalog *catalog;
    struct egress_relation *relations;
    size_t capacity;
    const struct egress_config *config;
    struct egress_names include, exclude;
    PGresult *all; /* that patterns may find; NULL: not asked yet */
};

/* The columns of every query for relations. */
enum {
    OID,
    SCHEMA,
    RELATION,
    KIND,
    PERSISTENCE,
    POPULATED,
    VISIBLE,
    MAY_USE,
    MAY_SELECT,
    POLICIES
};

static bool is_true(const PGresult *result, int row, int column)
{
    return rc_str_eq(PQgetvalue(result, row, column), "t");
}

/* ---- the list ----------------------------------------------------------------------------- */

static struct egress_table *add_table(struct reading *reading, char *name)
{
    struct egress_catalog *catalog = reading->catalog;
    size_t at = catalog->count++;

    if (at == reading->capacity) {
        reading->capacity = reading->capacity ? reading->capacity * 2 : 16;
        catalog->tables = rc_realloc(catalog->tables, reading->capacity * sizeof(*catalog->tables));
        reading->relations =
            rc_realloc(reading->relations, reading->capacity * sizeof(*reading->relations));
    }
    catalog->tables[at] = (struct egress_table){ .name = name, .rows = -1, .bytes = -1 };
    reading->relations[at] = (struct egress_relation){ .oid = 0 };
    return &catalog->tables[at];
}

struct rc_error *egress_refuse(struct egress_table *table)
{
    static _Thread_local struct rc_error further;

    if (table->failure)
        return &further;
    table->failure = rc_calloc(1, sizeof(*table->failure));
    return table->failure;
}

/* Of a table that is listed: by a pattern it is not listed again, and by its name instead. */
static struct egress_relation *find_listed(const struct reading *reading, unsigned oid)
{
    for (size_t i = 0; i < reading->catalog->count; i++)
        if (reading->relations[i].oid == oid)
            return &reading->relations[i];
    return NULL;
}

static void add_relation(struct reading *reading, const PGresult *result, int row, char *name,
                         bool is_of_pattern)
{
    struct egress_table *table = add_table(reading, name);

    table->schema = rc_strdup(PQgetvalue(result, row, SCHEMA));
    table->relation = rc_strdup(PQgetvalue(result, row, RELATION));
    reading->relations[reading->catalog->count - 1] = (struct egress_relation){
        .oid = (unsigned)strtoul(PQgetvalue(result, row, OID), NULL, 10),
        .kind = PQgetvalue(result, row, KIND)[0],
        .persistence = PQgetvalue(result, row, PERSISTENCE)[0],
        .is_populated = is_true(result, row, POPULATED),
        .may_use = is_true(result, row, MAY_USE),
        .may_select = is_true(result, row, MAY_SELECT),
        .has_policies = is_true(result, row, POLICIES),
        .is_of_pattern = is_of_pattern,
    };
}

/* ---- asking ------------------------------------------------------------------------------- */

static const char find_sql[] =
    "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relispopulated, "
    "pg_catalog.pg_table_is_visible(c.oid), "
    "COALESCE(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), true), "
    "COALESCE(pg_catalog.has_table_privilege(c.oid, 'SELECT'), true), "
    "COALESCE(pg_catalog.row_security_active(c.oid), false) "
    "FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace ";

static enum rc_code find_one(struct reading *reading, const struct egress_name *name,
                             PGresult **out, struct rc_error *err)
{
    RC_BUF_AUTO(sql, SQL_LIMIT);
    const char *const params[] = { name->table, name->schema };

    rc_buf_adds(&sql, find_sql);
    rc_buf_adds(&sql, "WHERE c.relname OPERATOR(pg_catalog.=) $1::pg_catalog.text AND ");
    rc_buf_adds(&sql, name->schema ? "n.nspname OPERATOR(pg_catalog.=) $2::pg_catalog.text"
                                   : "pg_catalog.pg_table_is_visible(c.oid)");
    return egress_database_query(reading->database, "look up a table", sql.data, params,
                                 name->schema ? 2 : 1, out, err);
}

/*
 * Tables and roots of partitioned tables, whose partitions come with them; what only shows the rows
 * of others is dumped when it is named. Once for all patterns.
 */
static enum rc_code find_all(struct reading *reading, struct rc_error *err)
{
    RC_BUF_AUTO(sql, SQL_LIMIT);

    if (reading->all)
        return RC_OK;
    rc_buf_adds(&sql, find_sql);
    rc_buf_addf(&sql,
                "WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND %s "
                "AND n.nspname !~ '^pg_(toast|temp)' "
                "ORDER BY n.nspname::pg_catalog.text COLLATE pg_catalog.\"C\", "
                "c.relname::pg_catalog.text COLLATE pg_catalog.\"C\"",
                reading->database->version >= 100000 ? "NOT c.relispartition" : "true");
    return egress_database_query(reading->database, "list the tables", sql.data, NULL, 0,
                                 &reading->all, err);
}

/* ---- names that are not there ------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Letters that have to be changed, added or left out; upper case is no difference. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NEAR_LIMIT + 1], len = strlen(b);

    if (strlen(a) > NEAR_LIMIT || len > NEAR_LIMIT)
        return NEAR_LIMIT;
    for (size_t i = 0; i <= len; i++)
        row[i] = i;
    for (; *a; a++) {
        size_t diagonal = row[0]++;

        for (size_t i = 1; i <= len; i++) {
            size_t best = diagonal + (lower(*a) != lower(b[i - 1]));

            diagonal = row[i];
            if (row[i] + 1 < best)
                best = row[i] + 1;
            if (row[i - 1] + 1 < best)
                best = row[i - 1] + 1;
            row[i] = best;
        }
    }
    return row[len];
}

/* As it would have to be written in the configuration. */
static void add_word(struct rc_buf *out, const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

    if (strspn(name, plain) == strlen(name) && *name && (*name < '0' || *name > '9'))
        rc_buf_adds(out, name);
    else
        rc_buf_add_ident(out, name);
}

/* "; did you mean 'x'?", if there is anything like it. */
static void add_nearest(const struct reading *reading, const char *name, struct rc_buf *out)
{
    size_t best = (strlen(name) + 1) / 3 + 1; /* of five letters, two may differ */
    int found = -1;

    for (int i = 0; i < PQntuples(reading->all); i++) {
        size_t far = distance(name, PQgetvalue(reading->all, i, RELATION));

        if (far < best && !rc_str_starts(PQgetvalue(reading->all, i, SCHEMA), "pg_")) {
            best = far;
            found = i;
        }
    }
    if (found < 0)
        return;
    rc_buf_adds(out, "; did you mean '");
    if (!is_true(reading->all, found, VISIBLE)) {
        add_word(out, PQgetvalue(reading->all, found, SCHEMA));
        rc_buf_addc(out, '.');
    }
    add_word(out, PQgetvalue(reading->all, found, RELATION));
    rc_buf_adds(out, "'?");
}

static enum rc_code add_missing(struct reading *reading, const struct egress_name *name, char *text,
                                struct rc_error *err)
{
    RC_BUF_AUTO(near, SQL_LIMIT);
    struct egress_table *table = add_table(reading, text);

    table->schema = rc_strdup(name->schema);
    table->relation = rc_strdup(name->table);
    if (find_all(reading, err))
        return err->code;
    add_nearest(reading, name->table, &near);
    (void)rc_fail(egress_refuse(table), RC_NOT_FOUND, "%s has no table '%s'%s%s",
                  reading->database->place, text, name->schema ? "" : " on its search path",
                  near.data);
    return RC_OK;
}

/* ---- what the configuration names --------------------------------------------------------- */

/* As it was written, but for the quotes. */
static char *name_of(const struct egress_name *name)
{
    if (!strchr(name->text, '"'))
        return rc_strdup(name->text);
    return name->schema ? rc_strf("%s.%s", name->schema, name->table) : rc_strdup(name->table);
}

static enum rc_code add_named(struct reading *reading, const struct egress_name *name,
                              struct rc_error *err)
{
    struct egress_relation *listed;
    PGresult *result;
    enum rc_code code = RC_OK;

    if (find_one(reading, name, &result, err))
        return err->code;
    if (PQntuples(result) == 0) {
        code = add_missing(reading, name, name_of(name), err);
    } else {
        listed = find_listed(reading, (unsigned)strtoul(PQgetvalue(result, 0, OID), NULL, 10));
        if (!listed || !listed->is_of_pattern)
            add_relation(reading, result, 0, name_of(name), /* is_of_pattern = */ false);
    }
    PQclear(result);
    return code;
}

static bool fits_one(const struct egress_names *names, const char *schema, const char *relation)
{
    for (size_t i = 0; i < names->count; i++)
        if (egress_name_fits(&names->items[i], schema, relation))
            return true;
    return false;
}

/* The server's own tables only where the pattern names their schema. */
static bool is_system(const struct egress_name *name, const char *schema)
{
    return (rc_str_starts(schema, "pg_") || strcmp(schema, "information_schema") == 0) &&
           !rc_str_eq(name->schema, schema);
}

static enum rc_code add_pattern(struct reading *reading, const struct egress_name *name,
                                struct rc_error *err)
{
    size_t found = 0, taken = 0;

    if (find_all(reading, err))
        return err->code;
    for (int i = 0; i < PQntuples(reading->all); i++) {
        const char *schema = PQgetvalue(reading->all, i, SCHEMA);
        const char *relation = PQgetvalue(reading->all, i, RELATION);

        if (!egress_name_fits(name, schema, relation) || is_system(name, schema))
            continue;
        found++;
        if (fits_one(&reading->exclude, schema, relation) ||
            (reading->include.count && !fits_one(&reading->include, schema, relation)))
            continue;
        taken++;
        if (find_listed(reading, (unsigned)strtoul(PQgetvalue(reading->all, i, OID), NULL, 10)))
            continue;
        char *text = is_true(reading->all, i, VISIBLE) ? rc_strdup(relation)
                                                       : rc_strf("%s.%s", schema, relation);
        add_relation(reading, reading->all, i, text, /* is_of_pattern = */ true);
    }
    if (taken == 0) {
        struct egress_table *table = add_table(reading, rc_strdup(name->text));

        if (found)
            (void)rc_fail(egress_refuse(table), RC_NOT_FOUND,
                          "'include' and 'exclude' leave none of the %zu tables that fit it",
                          found);
        else
            (void)rc_fail(egress_refuse(table), RC_NOT_FOUND,
                          "no table of %s fits it; partitions come with their root, and views only "
                          "by their names",
                          reading->database->place);
    }
    return RC_OK;
}

/* COPY takes it in parentheses, where a semicolon is an error. */
static char *bare_query(const char *text)
{
    static const char ends[] = " \t\r\n;";
    size_t len = strlen(text);

    while (len > 0 && strchr(ends, text[len - 1]))
        len--;
    return rc_strndup(text, len);
}

static enum rc_code add_all(struct reading *reading, struct rc_error *err)
{
    const struct egress_config *config = reading->config;
    struct egress_names names = { .count = 0 };
    enum rc_code code = egress_names_read(&config->tables, &names, err);

    for (size_t i = 0; i < names.count && code == RC_OK; i++)
        code = names.items[i].is_pattern ? add_pattern(reading, &names.items[i], err)
                                         : add_named(reading, &names.items[i], err);
    egress_names_clear(&names);
    for (size_t i = 0; i < config->queries.len && code == RC_OK; i++)
        add_table(reading, rc_strdup(config->queries.items[i].key))->query =
            bare_query(config->queries.items[i].value);
    return code;
}

/* ---- rules -------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum rc_code check_unique(const struct egress_catalog *catalog, struct rc_error *err)
{
    const char **names = rc_calloc(catalog->count + 1, sizeof(*names));
    enum rc_code code = RC_OK;

    for (size_t i = 0; i < catalog->count; i++)
        names[i] = catalog->tables[i].name;
    qsort(names, catalog->count, sizeof(*names), compare_names);
    for (size_t i = 1; i < catalog->count && code == RC_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            code =
                rc_fail(err, RC_INVALID,
                        "'%s' is named twice; of two tables of one name write the schema of one, "
                        "and give a query a name of its own",
                        names[i]);
    free(names);
    return code;
}

/* What kinds of relations have no rows, or none that could be read. */
static void judge_kind(const struct egress_database *database, struct egress_table *table,
                       const struct egress_relation *relation)
{
    static const struct {
        char kind;
        const char *text;
    } others[] = {
        { 'S', "a sequence" },       { 'i', "an index" },      { 'I', "an index" },
        { 'c', "a composite type" }, { 't', "a TOAST table" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(others); i++)
        if (relation->kind == others[i].kind) {
            (void)rc_fail(egress_refuse(table), RC_INVALID, "it is %s, which has no rows to dump",
                          others[i].text);
            return;
        }
    if (relation->persistence == 't')
        (void)rc_fail(egress_refuse(table), RC_INVALID,
                      "it is a temporary table, which only its own session sees");
    else if (relation->persistence == 'u' && database->in_recovery)
        (void)rc_fail(egress_refuse(table), RC_UNSUPPORTED,
                      "it is unlogged, so that a standby does not have its rows; dump it from the "
                      "primary server");
    else if (!relation->is_populated)
        (void)rc_fail(egress_refuse(table), RC_INVALID,
                      "it is a materialized view that was never filled; run REFRESH MATERIALIZED "
                      "VIEW first");
}

static void judge(const struct egress_database *database, struct egress_table *table,
                  const struct egress_relation *relation)
{
    RC_BUF_AUTO(ident, SQL_LIMIT);
    const char *user = PQuser(database->connection);

    judge_kind(database, table, relation);
    if (!relation->may_use) {
        rc_buf_add_ident(&ident, table->schema);
        (void)rc_fail(egress_refuse(table), RC_DENIED,
                      "permission denied for schema '%s'; GRANT USAGE ON SCHEMA %s TO \"%s\"",
                      table->schema, ident.data, user);
    }
    if (relation->has_policies && !database->config->row_security)
        (void)rc_fail(egress_refuse(table), RC_DENIED,
                      "row-level security hides rows of it from role '%s'; 'row_security: true' "
                      "dumps what that role sees, ALTER ROLE \"%s\" BYPASSRLS lets it see all",
                      user, user);
}

/* ---- the whole ---------------------------------------------------------------------------- */

enum rc_code egress_try(struct egress_database *database, int64_t lock_ms, const char *what,
                        const char *sql, const char *const *params, size_t param_count,
                        PGresult **out, struct rc_error *tried, struct rc_error *err)
{
    char begin[128];

    *out = NULL;
    *tried = (struct rc_error)RC_ERROR_INIT;
    (void)snprintf(begin, sizeof(begin), "SAVEPOINT tried; SET LOCAL lock_timeout = %lld",
                   (long long)lock_ms);
    if (egress_database_exec(database, what, begin, err))
        return err->code;
    if (egress_database_query(database, what, sql, params, param_count, out, tried) &&
        (tried->code == RC_CANCELLED || !egress_database_alive(database))) {
        *err = *tried;
        return err->code;
    }
    if (egress_database_exec(database, what, "ROLLBACK TO SAVEPOINT tried; RELEASE tried", err)) {
        PQclear(*out);
        *out = NULL;
        return err->code;
    }
    return RC_OK;
}

bool egress_add_oids(struct rc_buf *out, const struct egress_catalog *catalog,
                     const struct egress_relation *relations,
                     bool (*wants)(const struct egress_relation *relation))
{
    bool any = false;

    rc_buf_addc(out, '{');
    for (size_t i = 0; i < catalog->count; i++) {
        if (catalog->tables[i].failure || relations[i].oid == 0 || !wants(&relations[i]))
            continue;
        rc_buf_addf(out, "%s%u", any ? "," : "", relations[i].oid);
        any = true;
    }
    rc_buf_addc(out, '}');
    return any;
}

static enum rc_code read_all(struct reading *reading, struct rc_error *err)
{
    struct egress_database *database = reading->database;
    struct egress_catalog *catalog = reading->catalog;

    if (egress_names_read(&reading->config->include, &reading->include, err) ||
        egress_names_read(&reading->config->exclude, &reading->exclude, err) ||
        add_all(reading, err) || check_unique(catalog, err))
        return err->code;
    for (size_t i = 0; i < catalog->count; i++)
        if (reading->relations[i].oid != 0)
            judge(database, &catalog->tables[i], &reading->relations[i]);
    if (egress_read_columns(database, catalog, reading->relations, err) ||
        egress_read_leaves(database, catalog, reading->relations, err) ||
        egress_read_queries(database, catalog, err))
        return err->code;
    return RC_OK;
}

enum rc_code egress_catalog_read(struct egress_database *database,
                                 const struct egress_config *config, struct egress_catalog *out,
                                 struct rc_error *err)
{
    struct reading reading = { .database = database, .catalog = out, .config = config };
    enum rc_code code;

    *out = (struct egress_catalog){ .count = 0 };
    code = read_all(&reading, err);
    PQclear(reading.all);
    egress_names_clear(&reading.include);
    egress_names_clear(&reading.exclude);
    free(reading.relations);
    if (code)
        egress_catalog_clear(out);
    return code;
}

static void table_clear(struct egress_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        free(table->columns[i].name);
        free(table->columns[i].type);
    }
    for (size_t i = 0; i < table->leaf_count; i++) {
        free(table->leaves[i].schema);
        free(table->leaves[i].relation);
    }
    free(table->columns);
    free(table->leaves);
    free(table->name);
    free(table->schema);
    free(table->relation);
    free(table->query);
    free(table->failure);
}

void egress_catalog_clear(struct egress_catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++)
        table_clear(&catalog->tables[i]);
    free(catalog->tables);
    *catalog = (struct egress_catalog){ .count = 0 };
}
