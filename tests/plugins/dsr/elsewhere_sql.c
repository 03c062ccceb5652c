/*
 * A session knows the folders of its last table; all else is shared, and guarded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "elsewhere_sql.h"

#include <pthread.h>
#include <stdlib.h>

enum { ASKED_LIMIT = 1 << 20, IDS_NOTED = 8, COLUMNS = 3 };

struct elsewhere elsewhere;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

struct rc_sql {
    char **folders;
    size_t folder_count;
    int64_t ids, numbers;
};

/* What a search came to: URI, rows, rows of the users. */
struct answer {
    struct rc_rows rows;
    struct {
        char *uri;
        int64_t rows, users_rows;
    } * items;
    size_t count, at;
    struct rc_value row[COLUMNS];
};

void elsewhere_begin(struct rc_fake_host *host)
{
    rc_buf_clear(&elsewhere.asked);
    elsewhere = (struct elsewhere){
        .host = host,
        .features = RC_SQL_SEARCH | RC_SQL_IN_PLACE | RC_SQL_CATALOGUE,
    };
    rc_buf_init(&elsewhere.asked, ASKED_LIMIT);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static enum rc_code sql_open_with(struct rc_job *job, const struct rc_sql_options *options,
                                  struct rc_sql **out, struct rc_error *err)
{
    (void)job;
    (void)err;
    (void)pthread_mutex_lock(&mutex);
    elsewhere.sessions++;
    elsewhere.opened = *options;
    (void)pthread_mutex_unlock(&mutex);
    *out = rc_calloc(1, sizeof(**out));
    return RC_OK;
}

static void forget_folders(struct rc_sql *sql)
{
    for (size_t i = 0; i < sql->folder_count; i++)
        free(sql->folders[i]);
    free(sql->folders);
    sql->folders = NULL;
    sql->folder_count = 0;
}

static void sql_close(struct rc_sql *sql)
{
    forget_folders(sql);
    free(sql);
}

static uint32_t sql_features(struct rc_sql *sql)
{
    (void)sql;
    return elsewhere.features;
}

/* ---- tables --------------------------------------------------------------------------------- */

static void note_columns(const struct rc_sql_column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rc_buf_addf(&elsewhere.asked, " %s:%s", columns[i].name, columns[i].type);
}

/* The first ids are noted; of more, how many there are. */
static enum rc_code sql_load(struct rc_sql *sql, const char *table,
                             const struct rc_sql_column *columns, size_t column_count,
                             const struct rc_sql_rows *rows, struct rc_error *err)
{
    const struct rc_value *row;
    size_t count = 0;
    enum rc_code code;

    sql->ids = sql->numbers = 0;
    (void)pthread_mutex_lock(&mutex);
    rc_buf_addf(&elsewhere.asked, "load %s", table);
    note_columns(columns, column_count);
    while ((code = rows->next(rows->context, &row, err)) == RC_OK && row) {
        sql->ids++;
        sql->numbers += row[1].type == RC_VALUE_INT;
        if (count++ >= IDS_NOTED)
            continue;
        rc_buf_addf(&elsewhere.asked, " %s/", row[0].text);
        if (row[1].type == RC_VALUE_INT)
            rc_buf_addf(&elsewhere.asked, "%lld", (long long)row[1].integer);
    }
    if (count > IDS_NOTED)
        rc_buf_addf(&elsewhere.asked, " (%zu)", count);
    rc_buf_addc(&elsewhere.asked, '\n');
    (void)pthread_mutex_unlock(&mutex);
    return code;
}

static enum rc_code sql_attach(struct rc_sql *sql, const struct rc_sql_table *table,
                               struct rc_error *err)
{
    (void)err;
    forget_folders(sql);
    sql->folders = rc_calloc(table->location_count, sizeof(*sql->folders));
    (void)pthread_mutex_lock(&mutex);
    rc_buf_addf(&elsewhere.asked, "attach %s %s", table->name, table->format);
    note_columns(table->columns, table->column_count);
    rc_buf_adds(&elsewhere.asked, " by");
    note_columns(table->partitions, table->partition_count);
    for (size_t i = 0; i < table->location_count; i++) {
        rc_buf_addf(&elsewhere.asked, " %s", table->locations[i]);
        sql->folders[sql->folder_count++] = rc_strdup(table->locations[i]);
    }
    rc_buf_addc(&elsewhere.asked, '\n');
    (void)pthread_mutex_unlock(&mutex);
    return RC_OK;
}

static enum rc_code sql_drop(struct rc_sql *sql, const char *table, struct rc_error *err)
{
    (void)table;
    (void)err;
    forget_folders(sql);
    return RC_OK;
}

static void sql_add_table(struct rc_sql *sql, struct rc_buf *out, const char *table)
{
    (void)sql;
    rc_buf_add_ident(out, table);
}

static void sql_add_hex(struct rc_sql *sql, struct rc_buf *out, const char *expression)
{
    (void)sql;
    rc_buf_addf(out, "hex(%s)", expression);
}

/* ---- searching ------------------------------------------------------------------------------ */

static enum rc_code answer_next(struct rc_rows *rows, const struct rc_value **row,
                                struct rc_error *err)
{
    struct answer *self = (struct answer *)rows;

    (void)err;
    *row = NULL;
    if (self->at < self->count) {
        self->row[0] = rc_value_text(self->items[self->at].uri);
        self->row[1] = rc_value_int(self->items[self->at].rows);
        self->row[2] = rc_value_int(self->items[self->at].users_rows);
        self->at++;
        *row = self->row;
    }
    return RC_OK;
}

static size_t answer_columns(const struct rc_rows *rows, const char *const **names)
{
    (void)rows;
    (void)names;
    return COLUMNS;
}

static void answer_close(struct rc_rows *rows)
{
    struct answer *self = (struct answer *)rows;

    for (size_t i = 0; i < self->count; i++)
        free(self->items[i].uri);
    free(self->items);
    free(self);
}

static void add_answer(struct answer *answer, const char *uri, int64_t rows, int64_t users_rows)
{
    answer->items = rc_realloc(answer->items, (answer->count + 1) * sizeof(*answer->items));
    answer->items[answer->count].uri = rc_strdup(uri);
    answer->items[answer->count].rows = rows;
    answer->items[answer->count++].users_rows = users_rows;
}

static bool is_excepted(const struct rc_sql_lookup *search, const char *uri)
{
    for (size_t i = 0; i < search->except_count; i++)
        if (strcmp(search->except[i], uri) == 0)
            return true;
    return false;
}

static void look_in(const char *folder, const struct rc_sql_lookup *search, struct answer *answer)
{
    RC_STR_AUTO uris = rc_strdup(rc_fake_host_objects(elsewhere.host, folder));

    for (char *uri = uris, *end; *uri; uri = end + 1) {
        int64_t rows, users_rows;

        end = strchr(uri, '\n');
        *end = '\0';
        if (!is_excepted(search, uri) &&
            elsewhere.look(elsewhere.context, uri, &rows, &users_rows) && rows > 0)
            add_answer(answer, uri, rows, users_rows);
    }
}

/* One row of numbers. */
struct counted {
    struct rc_rows rows;
    bool is_told;
    struct rc_value row[2];
};

static enum rc_code counted_next(struct rc_rows *rows, const struct rc_value **row,
                                 struct rc_error *err)
{
    struct counted *self = (struct counted *)rows;

    (void)err;
    *row = self->is_told ? NULL : self->row;
    self->is_told = true;
    return RC_OK;
}

static size_t counted_columns(const struct rc_rows *rows, const char *const **names)
{
    (void)rows;
    (void)names;
    return 2;
}

static void counted_close(struct rc_rows *rows)
{
    free(rows);
}

static const struct rc_rows_api counted_api = {
    .next = counted_next,
    .columns = counted_columns,
    .close = counted_close,
};

/* The only one: how many of the ids, and of the numbers, have come. */
static enum rc_code sql_query(struct rc_sql *sql, const char *statement,
                              const struct rc_value *params, size_t param_count,
                              struct rc_rows **out, struct rc_error *err)
{
    struct counted *counted;

    (void)params;
    (void)err;
    assert_int_equal(param_count, 0);
    assert_string_equal(statement, "SELECT count(DISTINCT u.id), count(u.number) FROM "
                                   "\"dsr_users\" AS u");
    counted = rc_calloc(1, sizeof(*counted));
    counted->rows.api = &counted_api;
    counted->row[0] = rc_value_int(sql->ids - elsewhere.lost_ids);
    counted->row[1] = rc_value_int(sql->numbers);
    *out = &counted->rows;
    return RC_OK;
}

static enum rc_code sql_search(struct rc_sql *sql, const struct rc_sql_lookup *search,
                               struct rc_rows **out, struct rc_error *err)
{
    static const struct rc_rows_api api = { .next = answer_next,
                                            .columns = answer_columns,
                                            .close = answer_close };
    struct answer *answer = rc_calloc(1, sizeof(*answer));

    answer->rows.api = &api;
    (void)pthread_mutex_lock(&mutex);
    elsewhere.searches++;
    rc_buf_addf(&elsewhere.asked, "search %s %s", search->table, search->condition);
    for (size_t i = 0; i < search->except_count; i++)
        rc_buf_addf(&elsewhere.asked, " !%s", search->except[i]);
    rc_buf_addc(&elsewhere.asked, '\n');
    for (size_t i = 0; !elsewhere.cannot && i < sql->folder_count; i++)
        look_in(sql->folders[i], search, answer);
    if (elsewhere.later)
        add_answer(answer, elsewhere.later, 1, 1);
    (void)pthread_mutex_unlock(&mutex);
    if (elsewhere.cannot) {
        answer_close(&answer->rows);
        (void)rc_fail(err, elsewhere.cannot, "%s", elsewhere.why);
        return rc_context(err, "query 7");
    }
    *out = &answer->rows;
    return RC_OK;
}

const struct rc_sql_api *elsewhere_sql_api(void)
{
    static const struct rc_sql_api api = {
        .close = sql_close,
        .query = sql_query,
        .attach = sql_attach,
        .drop = sql_drop,
        .open_with = sql_open_with,
        .features = sql_features,
        .load = sql_load,
        .search = sql_search,
        .add_table = sql_add_table,
        .add_hex = sql_add_hex,
    };

    return &api;
}
