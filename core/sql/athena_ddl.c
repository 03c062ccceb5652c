/*
 * Statements that make tables, as Athena wants them: tables over files in Hive's words, in which
 * partitions are projected rather than kept in the catalogue; those of queries in Trino's.
 */
#include <sql/athena.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <string.h>
#include <strings.h>

/* ---- words ----------------------------------------------------------------------------------- */

void core_athena_add_name(struct rc_buf *out, const char *name)
{
    rc_buf_addc(out, '`');
    for (; *name; name++) {
        if (*name == '`')
            rc_buf_addc(out, '`');
        rc_buf_addc(out, *name);
    }
    rc_buf_addc(out, '`');
}

void core_athena_add_text(struct rc_buf *out, const char *text)
{
    rc_buf_addc(out, '\'');
    for (; *text; text++)
        if (*text == '\'' || *text == '\\')
            rc_buf_addf(out, "\\%c", *text);
        else if ((unsigned char)*text < ' ' || *text == ';' || *text == 0x7f)
            rc_buf_addf(out, "\\u%04x", (unsigned)*text);
        else
            rc_buf_addc(out, *text);
    rc_buf_addc(out, '\'');
}

/* Hive's name of a type of struct rc_sql_column. */
static const char *hive_type(const char *type)
{
    static const char *const names[][2] = {
        { "varchar", "string" },
        { "integer", "int" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
        if (strcasecmp(type, names[i][0]) == 0)
            return names[i][1];
    return type;
}

/* ---- tables over files ----------------------------------------------------------------------- */

static void add_column(struct rc_buf *out, size_t index, const char *name, const char *type)
{
    rc_buf_adds(out, index > 0 ? ", " : "");
    core_athena_add_name(out, name);
    rc_buf_addf(out, " %s", hive_type(type));
}

static void add_format(struct rc_buf *out, const char *format)
{
    if (rc_str_eq(format, "json"))
        /* One that takes a line which is no JSON for a mistake, not for a row of NULLs. */
        rc_buf_adds(out, " ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'");
    else if (rc_str_eq(format, "lines"))
        rc_buf_adds(out, " STORED AS TEXTFILE");
    else if (rc_str_eq(format, "csv"))
        rc_buf_adds(out, " ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'");
    else
        rc_buf_adds(out, " STORED AS PARQUET");
}

static void add_property(struct rc_buf *out, const char *key, const char *name, const char *value)
{
    RC_STR_AUTO full = name ? rc_strf("projection.%s.%s", name, key) : rc_strdup(key);

    rc_buf_adds(out, rc_str_ends(out->data, "(") ? "" : ", ");
    core_athena_add_text(out, full);
    rc_buf_addc(out, '=');
    core_athena_add_text(out, value);
}

static void add_days(struct rc_buf *out, const struct core_presto_partition *partition)
{
    char least[RC_DAY_TEXT], greatest[RC_DAY_TEXT];
    RC_STR_AUTO range =
        rc_strf("%s,%s", rc_format_day((int32_t)partition->least, least),
                partition->grows ? "NOW" : rc_format_day((int32_t)partition->greatest, greatest));

    add_property(out, "type", partition->name, "date");
    add_property(out, "format", partition->name, "yyyy-MM-dd");
    add_property(out, "range", partition->name, range);
    add_property(out, "interval", partition->name, "1");
    add_property(out, "interval.unit", partition->name, "DAYS");
}

static void add_numbers(struct rc_buf *out, const struct core_presto_partition *partition)
{
    RC_STR_AUTO range =
        rc_strf("%lld,%lld", (long long)partition->least, (long long)partition->greatest);

    add_property(out, "type", partition->name, "integer");
    add_property(out, "range", partition->name, range);
    if (partition->step > 1) {
        RC_STR_AUTO step = rc_strf("%lld", (long long)partition->step);

        add_property(out, "interval", partition->name, step);
    }
}

static void add_values(struct rc_buf *out, const struct core_presto_partition *partition)
{
    RC_BUF_AUTO(values, CORE_PRESTO_STATEMENT_LIMIT);
    bool is_list = partition->values.len > 0;

    for (size_t i = 0; i < partition->values.len; i++) {
        const char *value = partition->values.items[i];

        /* A list can neither hold these nor end with a blank. */
        if (*value == '\0' || strchr(value, ',') || *value == ' ' || rc_str_ends(value, " "))
            is_list = false;
        rc_buf_addf(&values, "%s%s", i > 0 ? "," : "", value);
    }
    if (is_list) {
        add_property(out, "type", partition->name, "enum");
        add_property(out, "values", partition->name, values.data);
    } else {
        /* The query says them. */
        add_property(out, "type", partition->name, "injected");
    }
}

static void add_projection(struct rc_buf *out, const struct core_presto_external *table)
{
    RC_BUF_AUTO(folder, CORE_PRESTO_STATEMENT_LIMIT);

    rc_buf_adds(&folder, table->location);
    rc_buf_adds(out, " TBLPROPERTIES (");
    add_property(out, "projection.enabled", NULL, "true");
    for (size_t i = 0; i < table->partition_count; i++) {
        const struct core_presto_partition *partition = &table->partitions[i];

        rc_buf_addf(&folder, "%s=${%s}/", partition->name, partition->name);
        if (partition->range == CORE_PARTITION_DAYS)
            add_days(out, partition);
        else if (partition->range == CORE_PARTITION_NUMBERS)
            add_numbers(out, partition);
        else
            add_values(out, partition);
    }
    add_property(out, "storage.location.template", NULL, folder.data);
    rc_buf_addc(out, ')');
}

void core_athena_add_create(const struct core_presto_external *table, struct rc_buf *out)
{
    rc_buf_addf(out, "CREATE EXTERNAL TABLE %s (", table->table);
    for (size_t i = 0; i < table->column_count; i++)
        add_column(out, i, table->columns[i].name, table->columns[i].type);
    rc_buf_addc(out, ')');
    if (table->partition_count > 0) {
        rc_buf_adds(out, " PARTITIONED BY (");
        for (size_t i = 0; i < table->partition_count; i++)
            add_column(out, i, table->partitions[i].name, table->partitions[i].type);
        rc_buf_addc(out, ')');
    }
    add_format(out, table->format);
    rc_buf_adds(out, " LOCATION ");
    core_athena_add_text(out, table->location);
    if (table->partition_count > 0)
        add_projection(out, table);
}

/* ---- tables of queries ----------------------------------------------------------------------- */

/* A name in Hive's backticks as a query has it. */
static void add_query_name(struct rc_buf *out, const char *name)
{
    for (; *name; name++)
        if (*name == '`')
            rc_buf_addc(out, '"');
        else
            rc_buf_addc(out, *name);
}

static const char *compression_of(const struct core_presto_made *made)
{
    static const char *const names[][2] = {
        { "zstd", "ZSTD" }, { "snappy", "SNAPPY" }, { "gzip", "GZIP" }, { "none", "NONE" }
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
        if (rc_str_eq(made->compression, names[i][0]))
            return names[i][1];
    return NULL;
}

void core_athena_add_make(const struct core_presto_made *made, struct rc_buf *out)
{
    const char *compression = compression_of(made);
    bool is_csv = rc_str_eq(made->format, "csv");

    rc_buf_adds(out, "CREATE TABLE ");
    add_query_name(out, made->table);
    rc_buf_addf(out, " WITH (format = '%s'", is_csv ? "TEXTFILE" : "PARQUET");
    if (is_csv)
        rc_buf_adds(out, ", field_delimiter = ','");
    if (compression)
        rc_buf_addf(out, ", write_compression = '%s'", compression);
    rc_buf_adds(out, ", external_location = ");
    rc_buf_add_literal(out, made->location);
    if (made->partition_count > 0) {
        rc_buf_adds(out, ", partitioned_by = ARRAY[");
        for (size_t i = 0; i < made->partition_count; i++) {
            rc_buf_adds(out, i > 0 ? ", " : "");
            rc_buf_add_literal(out, made->partition_by[i]);
        }
        rc_buf_addc(out, ']');
    }
    rc_buf_addf(out, ") AS %s", made->query);
}

/* ---- what there is --------------------------------------------------------------------------- */

void core_athena_add_show_tables(struct rc_buf *out, const char *database, const char *prefix)
{
    RC_STR_AUTO pattern = rc_strf("%s*", prefix);

    rc_buf_adds(out, "SHOW TABLES IN ");
    core_athena_add_name(out, database);
    rc_buf_addc(out, ' ');
    core_athena_add_text(out, pattern);
}
