/*
 * What the embedded engine is told: how PostgreSQL's text of each type is read, and as which type
 * it is written. What is not exact in Parquet stays text; a value that does not fit its column's
 * type ends the statement, with the name of the column.
 */
#include "parquet.h"

#include <inttypes.h>

enum {
    NAME_LIMIT = 4096,
    MOST_DIGITS = 38, /* of the engine's decimals */
    /* PostgreSQL's own types, whose numbers never change (pg_type.dat). */
    BOOL = 16,
    BYTEA = 17,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    OID = 26,
    FLOAT4 = 700,
    FLOAT8 = 701,
    BOOL_ARRAY = 1000,
    INT2_ARRAY = 1005,
    INT4_ARRAY = 1007,
    TEXT_ARRAY = 1009,
    VARCHAR_ARRAY = 1015,
    INT8_ARRAY = 1016,
    FLOAT4_ARRAY = 1021,
    FLOAT8_ARRAY = 1022,
    DATE = 1082,
    TIME = 1083,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    NUMERIC = 1700,
    UUID = 2950,
    UUID_ARRAY = 2951,
};

/* How a column gets from PostgreSQL's text to its type. */
enum way { AS_READ, BY_TIME, BY_HEX, BY_ELEMENTS };

struct mapping {
    unsigned oid;
    enum way way;
    const char *type; /* in the engine's words; of an array, that of its elements */
};

static const struct mapping mappings[] = {
    { BOOL, AS_READ, "BOOLEAN" },
    { INT2, AS_READ, "SMALLINT" },
    { INT4, AS_READ, "INTEGER" },
    { INT8, AS_READ, "BIGINT" },
    { OID, AS_READ, "UINTEGER" },
    { FLOAT4, AS_READ, "FLOAT" },
    { FLOAT8, AS_READ, "DOUBLE" },
    { UUID, AS_READ, "UUID" },
    { TIME, AS_READ, "TIME" },
    { BYTEA, BY_HEX, "BLOB" },
    { DATE, BY_TIME, "DATE" },
    { TIMESTAMP, BY_TIME, "TIMESTAMP" },
    { TIMESTAMPTZ, BY_TIME, "TIMESTAMPTZ" },
    { BOOL_ARRAY, BY_ELEMENTS, "BOOLEAN" },
    { INT2_ARRAY, BY_ELEMENTS, "SMALLINT" },
    { INT4_ARRAY, BY_ELEMENTS, "INTEGER" },
    { INT8_ARRAY, BY_ELEMENTS, "BIGINT" },
    { FLOAT4_ARRAY, BY_ELEMENTS, "FLOAT" },
    { FLOAT8_ARRAY, BY_ELEMENTS, "DOUBLE" },
    { UUID_ARRAY, BY_ELEMENTS, "UUID" },
    { TEXT_ARRAY, BY_ELEMENTS, "VARCHAR" },
    { VARCHAR_ARRAY, BY_ELEMENTS, "VARCHAR" },
};

static const struct mapping text = { 0, AS_READ, "VARCHAR" };

static const struct mapping *find(const struct egress_column *column)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(mappings); i++)
        if (mappings[i].oid == column->oid)
            return &mappings[i];
    return &text;
}

/* numeric(precision,scale) that the engine's decimals hold; from 15 on a scale may be below 0. */
static bool is_decimal(const struct egress_column *column, int *precision, int *scale)
{
    unsigned modifier;

    if (column->oid != NUMERIC || column->modifier < 4)
        return false;
    modifier = (unsigned)column->modifier - 4;
    *precision = (int)(modifier >> 16);
    *scale = (int)((modifier & 0x7ff) ^ 0x400) - 0x400;
    return *precision <= MOST_DIGITS && *scale >= 0 && *scale <= *precision;
}

/* ---- expressions; "c7" is the text of column 7, or NULL ---- */

/* An expression that fails, and says why. */
static void add_error(const struct egress_column *column, size_t index, const char *what,
                      struct rc_buf *out)
{
    RC_BUF_AUTO(message, NAME_LIMIT);

    rc_buf_addf(&message,
                "column '%s' holds %s; dump it as text, by a query with ::text: ", column->name,
                what);
    rc_buf_adds(out, "error(");
    rc_buf_add_literal(out, message.data);
    rc_buf_addf(out, " || substr(c%zu, 1, 80))", index);
}

/* 'expression' as 'type'; where that cannot be, an error. */
static void add_cast(const struct egress_column *column, size_t index, const char *expression,
                     const char *type, struct rc_buf *out)
{
    RC_STR_AUTO what = rc_strf("a %s that Parquet cannot hold", column->type);

    rc_buf_addf(out, "CASE WHEN c%zu IS NOT NULL THEN coalesce(TRY_CAST(%s AS %s), ", index,
                expression, type);
    add_error(column, index, what, out);
    rc_buf_adds(out, ") END");
}

/*
 * "0044-03-15 12:00:00 BC" is "0044-03-15 (BC) 12:00:00" to the engine. Parquet has no infinity,
 * for which the engine would write the last day that it knows.
 */
static void add_time(const struct egress_column *column, size_t index, const char *type,
                     struct rc_buf *out)
{
    RC_STR_AUTO expression = rc_strf("CASE WHEN ends_with(c%zu, ' BC') "
                                     "THEN regexp_replace(c%zu, '^([^ ]+)(.*) BC$', '\\1 (BC)\\2') "
                                     "WHEN ends_with(c%zu, 'infinity') THEN NULL ELSE c%zu END",
                                     index, index, index, index);

    add_cast(column, index, expression, type, out);
}

/*
 * "{1,NULL,"a \"b\"","NULL"}": what is in quotes is a value whatever it is, with backslashes before
 * what they stand for; what is not has none of the characters that matter. Arrays of more
 * dimensions, or whose elements are not counted from 1, are no lists.
 */
static void add_elements(const struct egress_column *column, size_t index, const char *type,
                         struct rc_buf *out)
{
    rc_buf_addf(out, "CASE WHEN c%zu[1] = '[' OR c%zu[2] = '{' THEN ", index, index);
    add_error(column, index, "an array that is not a plain list", out);
    rc_buf_addf(out,
                " ELSE CAST(list_transform("
                "regexp_extract_all(substr(c%zu, 2, length(c%zu) - 2), "
                "'(?s)\"(?:[^\"\\\\]|\\\\.)*\"|[^,\"]+'), "
                "lambda x: CASE WHEN x = 'NULL' THEN NULL WHEN x[1] = '\"' "
                "THEN regexp_replace(substr(x, 2, length(x) - 2), '(?s)\\\\(.)', '\\1', 'g') "
                "ELSE x END) AS %s[]) END",
                index, index, type);
}

static void add_expression(const struct egress_column *column, size_t index, struct rc_buf *out)
{
    const struct mapping *mapping = find(column);
    RC_STR_AUTO name = rc_strf("c%zu", index);
    int precision, scale;

    if (is_decimal(column, &precision, &scale)) {
        RC_STR_AUTO decimal = rc_strf("DECIMAL(%d,%d)", precision, scale);

        add_cast(column, index, name, decimal, out);
        return;
    }
    switch (mapping->way) {
    case AS_READ:
        rc_buf_adds(out, name);
        break;
    case BY_TIME:
        add_time(column, index, mapping->type, out);
        break;
    case BY_HEX:
        rc_buf_addf(out, "unhex(substr(c%zu, 3))", index);
        break;
    case BY_ELEMENTS:
        add_elements(column, index, mapping->type, out);
        break;
    }
}

/* ---- the statement ---- */

static void add_reading(const struct egress_parquet_copy *copy, struct rc_buf *out)
{
    const struct egress_table *table = copy->table;

    rc_buf_addf(out, "read_csv('/proc/self/fd/%d', columns = {", copy->input);
    for (size_t i = 0; i < table->column_count; i++) {
        const struct mapping *mapping = find(&table->columns[i]);

        rc_buf_addf(out, "%s'c%zu': '%s'", i > 0 ? ", " : "", i,
                    mapping->way == AS_READ ? mapping->type : "VARCHAR");
    }
    rc_buf_addf(out,
                "}, auto_detect = false, header = false, delim = ',', quote = '%c', escape = '%c', "
                "new_line = '\\n', nullstr = '\\N', allow_quoted_nulls = false, "
                "compression = 'none', strict_mode = true, parallel = false, "
                "max_line_size = %" PRId64 ", buffer_size = %" PRId64 ")",
                EGRESS_PARQUET_QUOTE, EGRESS_PARQUET_QUOTE, copy->row_bytes, copy->row_bytes);
}

enum rc_code egress_parquet_sql(const struct egress_parquet_copy *copy, struct rc_buf *out,
                                struct rc_error *err)
{
    const struct egress_table *table = copy->table;

    if (table->column_count == 0)
        return rc_fail(err, RC_UNSUPPORTED,
                       "it has no columns, which Parquet does not know: dump it as csv");
    rc_buf_adds(out, "COPY (SELECT ");
    for (size_t i = 0; i < table->column_count; i++) {
        rc_buf_adds(out, i > 0 ? ", " : "");
        add_expression(&table->columns[i], i, out);
        rc_buf_adds(out, " AS ");
        rc_buf_add_ident(out, table->columns[i].name);
    }
    rc_buf_adds(out, " FROM ");
    add_reading(copy, out);
    /* Bloom filters would be gathered in memory until the end. */
    rc_buf_addf(out,
                ") TO '/proc/self/fd/%d' (FORMAT parquet, "
                "COMPRESSION " EGRESS_PARQUET_COMPRESSION ", "
                "ROW_GROUP_SIZE_BYTES '16MiB', WRITE_BLOOM_FILTER false, USE_TMP_FILE false)",
                copy->output);
    return rc_buf_check(out, err);
}
