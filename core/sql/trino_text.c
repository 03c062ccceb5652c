/*
 * Writes the statements that make schemas and tables. What types and queries look like is the work
 * of presto_text.c.
 */
#include <sql/trino_text.h>

#include <sql/trino_headers.h>

#include <run-core/str.h>

#include <ctype.h>
#include <string.h>

const char *core_trino_catalog(const struct core_engine_settings *settings)
{
    return settings->work_catalog ? settings->work_catalog
           : settings->catalog    ? settings->catalog
                                  : CORE_TRINO_CATALOG;
}

const char *core_trino_codec(const char *compression)
{
    static const char *const names[][2] = {
        { "zstd", "ZSTD" }, { "snappy", "SNAPPY" }, { "gzip", "GZIP" }, { "none", "NONE" }
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
        if (rc_str_eq(names[i][0], compression))
            return names[i][1];
    return "ZSTD";
}

/* ---- names ----------------------------------------------------------------------------------- */

void core_trino_add_schema(const struct core_presto *session, struct rc_buf *out,
                           const char *schema)
{
    rc_buf_add_ident(out, core_trino_catalog(session->context.settings));
    rc_buf_addc(out, '.');
    rc_buf_add_ident(out, schema);
}

void core_trino_add_ddl_name(const struct core_presto *session, struct rc_buf *out,
                             const char *database, const char *table)
{
    core_trino_add_schema(session, out, database);
    rc_buf_addc(out, '.');
    rc_buf_add_ident(out, table);
}

/* ---- schemas --------------------------------------------------------------------------------- */

void core_trino_add_create_schema(const struct core_presto *session, struct rc_buf *out,
                                  const char *schema, const char *location)
{
    rc_buf_adds(out, "CREATE SCHEMA ");
    core_trino_add_schema(session, out, schema);
    if (!location)
        return;
    rc_buf_adds(out, " WITH (location = ");
    rc_buf_add_literal(out, location);
    rc_buf_addc(out, ')');
}

/* ---- tables ---------------------------------------------------------------------------------- */

static const char *format_of(const char *format)
{
    static const char *const names[][2] = {
        { "parquet", "PARQUET" }, { "json", "JSON" }, { "csv", "CSV" }, { "lines", "TEXTFILE" }
    };

    size_t i = 0;

    while (i < RC_ARRAY_LEN(names) && strcmp(names[i][0], format) != 0)
        i++;
    RC_ASSERT(i < RC_ARRAY_LEN(names));
    return names[i][1];
}

/* The catalogue folds names to lower case, but compares those in properties as they are written. */
static void add_folded_literal(struct rc_buf *out, const char *name)
{
    RC_STR_AUTO folded = rc_strdup(name);

    for (char *at = folded; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    rc_buf_add_literal(out, folded);
}

static void add_column(struct rc_buf *out, const char *name, const char *type)
{
    bool is_known;

    rc_buf_add_ident(out, name);
    rc_buf_addc(out, ' ');
    is_known = core_presto_add_type(&core_trino_dialect, out, type);
    RC_ASSERT(is_known);
}

static void add_columns(struct rc_buf *out, const struct core_presto_external *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        rc_buf_adds(out, i ? ", " : "");
        add_column(out, table->columns[i].name, table->columns[i].type);
    }
    for (size_t i = 0; i < table->partition_count; i++) {
        rc_buf_adds(out, i + table->column_count ? ", " : "");
        add_column(out, table->partitions[i].name, table->partitions[i].type);
    }
}

void core_trino_add_create(const struct core_presto_external *table, struct rc_buf *out)
{
    rc_buf_addf(out, "CREATE TABLE %s (", table->table);
    add_columns(out, table);
    /* The properties in the order in which the server shows them. */
    rc_buf_adds(out, ") WITH (external_location = ");
    rc_buf_add_literal(out, table->location);
    rc_buf_addf(out, ", format = '%s'", format_of(table->format));
    for (size_t i = 0; i < table->partition_count; i++) {
        rc_buf_adds(out, i ? ", " : ", partitioned_by = ARRAY[");
        add_folded_literal(out, table->partitions[i].name);
    }
    rc_buf_adds(out, table->partition_count > 0 ? "])" : ")");
}

static void add_make(const struct core_presto_made *made, bool is_over, struct rc_buf *out)
{
    rc_buf_addf(out, "CREATE TABLE %s WITH (format = '%s'", made->table, format_of(made->format));
    if (is_over) {
        rc_buf_adds(out, ", external_location = ");
        rc_buf_add_literal(out, made->location);
    }
    for (size_t i = 0; i < made->partition_count; i++) {
        rc_buf_adds(out, i ? ", " : ", partitioned_by = ARRAY[");
        add_folded_literal(out, made->partition_by[i]);
    }
    rc_buf_addf(out, "%s) AS %s", made->partition_count > 0 ? "]" : "", made->query);
}

void core_trino_add_make(const struct core_presto_made *made, struct rc_buf *out)
{
    add_make(made, false, out);
}

void core_trino_add_make_over(const struct core_presto_made *made, struct rc_buf *out)
{
    add_make(made, made->in_place, out);
}

void core_trino_add_find_partitions(const struct core_presto *session, const char *database,
                                    const char *table, struct rc_buf *out)
{
    rc_buf_adds(out, "CALL ");
    rc_buf_add_ident(out, core_trino_catalog(session->context.settings));
    rc_buf_adds(out, ".system.sync_partition_metadata(");
    add_folded_literal(out, database);
    rc_buf_adds(out, ", ");
    add_folded_literal(out, table);
    rc_buf_adds(out, ", 'FULL')");
}
