/*
 * An engine that is elsewhere, asked about the lake as it lies there. It is handed the users' ids
 * as a table, in hex and as the numbers that they are, and counts their rows object by object. No
 * id is in a statement, and no value of the lake comes back.
 */
#include "digest.h"
#include "engine_internal.h"

#include <run-core/host.h>
#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CONDITION_LIMIT = 1 << 20, ID_LIMIT = 64 << 20, NUMBER_TEXT = 24 };

#define USERS_TABLE "dsr_users"
#define LAKE_TABLE "dsr_lake"

static enum rc_code prepare(struct dsr_engine *engine, int64_t memory_bytes, struct rc_error *err)
{
    (void)engine;
    (void)memory_bytes;
    (void)err;
    return RC_OK;
}

/* ---- users ---------------------------------------------------------------------------------- */

/* The ids on their way to the engine, one after the other. */
struct ids {
    const struct dsr_users *users;
    size_t at;
    int64_t numbers; /* among those that went */
    struct rc_buf hex;
    struct rc_value row[2];
};

/* Of a number beyond 64 bits there is none: no column here holds one. */
static struct rc_value number_of(struct pq_slice id)
{
    char text[NUMBER_TEXT];
    int64_t number;

    if (!dsr_engine_is_number(id) || id.len >= sizeof(text))
        return rc_value_null();
    memcpy(text, id.data, id.len);
    text[id.len] = '\0';
    return rc_parse_int(text, &number) ? rc_value_int(number) : rc_value_null();
}

static enum rc_code next_id(void *context, const struct rc_value **row, struct rc_error *err)
{
    struct ids *ids = context;
    struct pq_slice id;
    size_t len;
    char *room;

    *row = NULL;
    if (ids->at == dsr_users_count(ids->users))
        return RC_OK;
    id = dsr_users_at(ids->users, ids->at++);
    len = (size_t)id.len * 2;
    rc_buf_reset(&ids->hex);
    room = rc_buf_reserve(&ids->hex, len + 1);
    if (!room)
        return rc_buf_check(&ids->hex, err);
    dsr_hex(room, id.data, id.len);
    rc_buf_added(&ids->hex, len);
    ids->row[0] = rc_value_text(ids->hex.data);
    ids->row[1] = number_of(id);
    ids->numbers += ids->row[1].type == RC_VALUE_INT;
    *row = ids->row;
    return RC_OK;
}

/*
 * That all of them have come. Of an id that it does not know the engine would find no row, before
 * the erasure or behind it, and nobody else looks.
 */
static enum rc_code count_users(struct dsr_engine *engine, const struct ids *sent,
                                struct rc_error *err)
{
    RC_BUF_AUTO(query, CONDITION_LIMIT);
    RC_ROWS_AUTO(rows);
    const struct rc_value *row = NULL;
    int64_t count = (int64_t)dsr_users_count(sent->users), known, numbers;

    rc_buf_adds(&query, "SELECT count(DISTINCT u.id), count(u.number) FROM ");
    rc_sql_add_table(engine->job, engine->sql, &query, USERS_TABLE);
    rc_buf_adds(&query, " AS u");
    if (rc_buf_check(&query, err) ||
        rc_sql_query(engine->job, engine->sql, query.data, NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    if (!row || row[0].type != RC_VALUE_INT || row[1].type != RC_VALUE_INT)
        return rc_fail(err, RC_FAILED, "the SQL engine did not count the ids");
    known = row[0].integer;
    numbers = row[1].integer;
    if (known != count || numbers != sent->numbers)
        return rc_fail(err, RC_FAILED,
                       "of %" PRId64 " ids, %" PRId64 " of them numbers, the SQL engine knows "
                       "%" PRId64 " and %" PRId64 "; is the folder 'work' of its settings one "
                       "that it reads, and that nobody clears?",
                       count, sent->numbers, known, numbers);
    /* To its end: what is left before is a statement given up, to a server. */
    return rc_rows_next(rows, &row, err);
}

static enum rc_code load_users(struct dsr_engine *engine, const struct dsr_users *users,
                               struct rc_error *err)
{
    static const struct rc_sql_column columns[] = { { "id", "varchar" }, { "number", "bigint" } };
    struct ids ids = { .users = users };
    const struct rc_sql_rows rows = { .next = next_id, .context = &ids };
    enum rc_code code;

    rc_buf_init(&ids.hex, ID_LIMIT);
    code = rc_sql_load(engine->job, engine->sql, USERS_TABLE, columns, RC_ARRAY_LEN(columns), &rows,
                       err);
    rc_buf_clear(&ids.hex);
    return code ? code : count_users(engine, &ids, err);
}

/* ---- what is asked -------------------------------------------------------------------------- */

static bool is_text(const struct rc_sql_column *column)
{
    return strcmp(column->type, "varchar") == 0;
}

/* The users' column of that name, of those that have one; 'which' keeps the tables' names apart. */
static void add_users(struct dsr_engine *engine, struct rc_buf *out, const char *column,
                      size_t which)
{
    rc_buf_addf(out, " IN (SELECT u%zu.%s FROM ", which, column);
    rc_sql_add_table(engine->job, engine->sql, out, USERS_TABLE);
    rc_buf_addf(out, " AS u%zu WHERE u%zu.%s IS NOT NULL)", which, which, column);
}

/* The bytes of a column's text, in hex; of a number, of its decimal digits. */
static void add_hex(struct dsr_engine *engine, struct rc_buf *out,
                    const struct rc_sql_column *column)
{
    RC_BUF_AUTO(text, CONDITION_LIMIT);

    if (!is_text(column))
        rc_buf_adds(&text, "CAST(");
    rc_buf_add_ident(&text, column->name);
    if (!is_text(column))
        rc_buf_adds(&text, " AS varchar)");
    rc_sql_add_hex(engine->job, engine->sql, out, text.data);
}

/* Whether one column alone holds an id. */
static void add_is_user(struct dsr_engine *engine, struct rc_buf *out,
                        const struct rc_sql_column *column, size_t which)
{
    if (is_text(column)) {
        add_hex(engine, out, column);
        add_users(engine, out, "id", which);
        return;
    }
    rc_buf_adds(out, "CAST(");
    rc_buf_add_ident(out, column->name);
    rc_buf_adds(out, " AS bigint)");
    add_users(engine, out, "number", which);
}

/* Hex of texts that follow one another is their hex, one behind the other. */
static void add_condition(struct dsr_engine *engine, struct rc_buf *out,
                          const struct dsr_engine_lake *lake)
{
    if (!lake->separator || lake->id_count == 1) {
        for (size_t i = 0; i < lake->id_count; i++) {
            rc_buf_adds(out, i ? " OR " : "");
            add_is_user(engine, out, &lake->ids[i], i);
        }
        return;
    }
    rc_buf_addc(out, '(');
    for (size_t i = 0; i < lake->id_count; i++) {
        if (i > 0) {
            rc_buf_adds(out, " || '");
            for (const char *at = lake->separator; *at; at++)
                rc_buf_addf(out, "%02x", (unsigned)(unsigned char)*at);
            rc_buf_adds(out, "' || ");
        }
        add_hex(engine, out, &lake->ids[i]);
    }
    rc_buf_addc(out, ')');
    add_users(engine, out, "id", 0);
}

/* ---- asking --------------------------------------------------------------------------------- */

/* The columns of the ids, each once, as they may stand twice in userIdColumn. */
static enum rc_code attach(struct dsr_engine *engine, const struct dsr_engine_lake *lake,
                           struct rc_error *err)
{
    static const struct rc_sql_column day = { "day", "date" };
    struct rc_sql_column *columns = rc_calloc(lake->id_count, sizeof(*columns));
    struct rc_sql_table table = {
        .name = LAKE_TABLE,
        .locations = lake->folders,
        .location_count = lake->folder_count,
        .format = "parquet",
        .columns = columns,
        .partitions = &day,
        .partition_count = 1,
    };
    enum rc_code code;

    for (size_t i = 0; i < lake->id_count; i++) {
        size_t k = 0;

        while (k < table.column_count && strcmp(columns[k].name, lake->ids[i].name) != 0)
            k++;
        columns[k] = lake->ids[i];
        table.column_count += k == table.column_count;
    }
    code = rc_sql_attach(engine->job, engine->sql, &table, err);
    free(columns);
    return code;
}

static enum rc_code read_answer(struct rc_rows *rows, dsr_engine_tell *tell, void *context,
                                struct rc_error *err)
{
    const struct rc_value *row;

    while (!rc_rows_next(rows, &row, err)) {
        if (!row)
            return RC_OK;
        if (row[0].type != RC_VALUE_TEXT || row[1].type != RC_VALUE_INT ||
            row[2].type != RC_VALUE_INT)
            return rc_fail(err, RC_FAILED, "the SQL engine gave no object with numbers of rows");
        tell(context, row[0].text, row[1].integer, row[2].integer);
    }
    return err->code;
}

static enum rc_code search(struct dsr_engine *engine, const struct dsr_engine_lake *lake,
                           dsr_engine_tell *tell, void *context, struct rc_error *err)
{
    RC_BUF_AUTO(condition, CONDITION_LIMIT);
    struct rc_sql_lookup search = {
        .size = sizeof(search),
        .table = LAKE_TABLE,
        .except = lake->except,
        .except_count = lake->except_count,
    };
    RC_ROWS_AUTO(rows);

    add_condition(engine, &condition, lake);
    search.condition = condition.data;
    if (rc_buf_check(&condition, err) || attach(engine, lake, err) ||
        rc_sql_search(engine->job, engine->sql, &search, &rows, err))
        return err->code;
    return read_answer(rows, tell, context, err);
}

const struct dsr_engine_ops dsr_engine_elsewhere = {
    .prepare = prepare,
    .users = load_users,
    .search = search,
};
