/*
 * See presto_fixture.h.
 */
#include "presto_fixture.h"

#include <os/file.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the log -------------------------------------------------------------------------------- */

static void add_hidden(struct presto_fixture *f, struct rc_buf *out, const char *text)
{
    size_t len = strlen(f->dir);

    for (const char *at = text; *at;) {
        if (strncmp(at, f->dir, len) == 0) {
            rc_buf_adds(out, "DIR");
            at += len;
        } else {
            rc_buf_addc(out, *at++);
        }
    }
}

void presto_assert_log(struct presto_fixture *f, const char *expected, const char *file, int line)
{
    if (strcmp(f->log.data, expected) != 0)
        print_error("%s:%d: logged\n%s", file, line, f->log.data);
    _assert_string_equal(f->log.data, expected, file, line);
    rc_buf_reset(&f->log);
}

void presto_assert_error(struct presto_fixture *f, enum rc_code code, const char *words,
                         const char *file, int line)
{
    RC_STR_AUTO text = rc_strf("%s: %s", f->err.context, f->err.cause);

    if (f->err.code != code || !strstr(text, words))
        print_error("%s:%d: %s: %s\n", file, line, rc_code_name(f->err.code), text);
    _assert_int_equal((uintmax_t)f->err.code, (uintmax_t)code, file, line);
    _assert_true(strstr(text, words) != NULL, words, file, line);
    f->err = (struct rc_error)RC_ERROR_INIT;
}

void presto_assert_from(struct presto_fixture *f, const char *table, const char *expected,
                        const char *file, int line)
{
    RC_BUF_AUTO(from, 1 << 20);
    RC_BUF_AUTO(hidden, 1 << 20);

    core_presto_add_table(&f->session.base, &from, table);
    add_hidden(f, &hidden, from.data);
    _assert_string_equal(hidden.data, expected, file, line);
}

/* ---- the dialect ---------------------------------------------------------------------------- */

static enum rc_code take(struct presto_fixture *f, const char *kind, const char *text,
                         struct rc_error *err)
{
    rc_buf_addf(&f->log, "%s", kind);
    add_hidden(f, &f->log, text);
    rc_buf_addc(&f->log, '\n');
    f->statements++;
    if (f->statements == f->cancel_at)
        core_cancel_request(&f->cancel, RC_CANCELLED);
    if (f->statements == f->wish_at)
        core_presto_cancel(&f->session.base);
    if (f->statements == f->expire_at && f->session.until_mono_ms)
        f->session.until_mono_ms = 1;
    if (f->statements == f->fail_at)
        return rc_fail(err, f->fail_code, "the server says no");
    return core_presto_check(&f->session, err);
}

static enum rc_code run(struct core_presto *session, enum core_presto_kind kind, const char *text,
                        int64_t *updated, struct rc_error *err)
{
    struct presto_fixture *f = (struct presto_fixture *)session;

    if (take(f, kind == CORE_PRESTO_DDL ? "ddl " : "dml ", text, err))
        return err->code;
    if (updated)
        *updated = f->updated;
    return RC_OK;
}

struct answer_rows {
    struct rc_rows base;
    const char *at;
    char *line;
    struct rc_value value;
};

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **row,
                              struct rc_error *err)
{
    struct answer_rows *rows = (struct answer_rows *)base;
    size_t len = strcspn(rows->at, "\n");
    int64_t number;

    (void)err;
    *row = NULL;
    if (!*rows->at)
        return RC_OK;
    free(rows->line);
    rows->line = rc_strndup(rows->at, len);
    rows->at += len + 1;
    rows->value =
        rc_parse_int(rows->line, &number) ? rc_value_int(number) : rc_value_text(rows->line);
    *row = &rows->value;
    return RC_OK;
}

static size_t rows_columns(const struct rc_rows *base, const char *const **names)
{
    static const char *const name[] = { "answer" };

    (void)base;
    if (names)
        *names = name;
    return 1;
}

static void rows_close(struct rc_rows *base)
{
    free(((struct answer_rows *)base)->line);
    free(base);
}

static const struct rc_rows_api rows_api = { rows_next, rows_columns, rows_close };

static enum rc_code query(struct core_presto *session, const char *text, struct rc_rows **out,
                          struct rc_error *err)
{
    struct presto_fixture *f = (struct presto_fixture *)session;
    struct answer_rows *rows;

    if (take(f, "ask ", text, err))
        return err->code;
    rows = rc_calloc(1, sizeof(*rows));
    rows->base.api = &rows_api;
    rows->at = "";
    for (size_t i = 0; i < PRESTO_ANSWERS && f->answers[i].question; i++)
        if (strstr(text, f->answers[i].question) &&
            (f->answers[i].last == 0 || f->statements <= f->answers[i].last))
            rows->at = f->answers[i].rows;
    *out = &rows->base;
    return RC_OK;
}

static void add_ddl_name(const struct core_presto *session, struct rc_buf *out,
                         const char *database, const char *table)
{
    (void)session;
    rc_buf_addf(out, "<%s.%s>", database, table);
}

static void add_create(const struct core_presto_external *table, struct rc_buf *out)
{
    static const char *const ranges[] = { [CORE_PARTITION_VALUES] = "values",
                                          [CORE_PARTITION_NUMBERS] = "numbers",
                                          [CORE_PARTITION_DAYS] = "days" };

    rc_buf_addf(out, "CREATE %s (", table->table);
    for (size_t i = 0; i < table->column_count; i++)
        rc_buf_addf(out, "%s%s %s", i ? ", " : "", table->columns[i].name, table->columns[i].type);
    rc_buf_adds(out, ")");
    for (size_t i = 0; i < table->partition_count; i++) {
        const struct core_presto_partition *key = &table->partitions[i];

        rc_buf_addf(out, " BY %s %s %s", key->name, key->type, ranges[key->range]);
        if (key->range != CORE_PARTITION_VALUES)
            rc_buf_addf(out, " %ld..%ld", (long)key->least, (long)key->greatest);
        if (key->step > 1)
            rc_buf_addf(out, " by %ld", (long)key->step);
        for (size_t v = 0; v < key->values.len; v++)
            rc_buf_addf(out, "%s%s", v ? "," : " ", key->values.items[v]);
        rc_buf_adds(out, key->grows ? " grows" : "");
    }
    rc_buf_addf(out, " OVER %s %s", table->format, table->location);
}

static void add_make(const struct core_presto_made *made, struct rc_buf *out)
{
    rc_buf_addf(out, "MAKE %s %s %s IN %s AS %s", made->table, made->format, made->compression,
                made->location, made->query);
}

static void add_find_partitions(const struct core_presto *session, const char *database,
                                const char *table, struct rc_buf *out)
{
    (void)session;
    rc_buf_addf(out, "FIND %s.%s", database, table);
}

static enum rc_code begin_work(struct core_presto *session, struct rc_error *err)
{
    return run(session, CORE_PRESTO_DDL, "BEGIN", NULL, err);
}

static enum rc_code end_work(struct core_presto *session, const char *over_session,
                             struct rc_error *err)
{
    RC_STR_AUTO text = rc_strf("END %s", over_session);

    return run(session, CORE_PRESTO_DDL, text, NULL, err);
}

static void add_place(const struct core_presto *session, struct rc_buf *out)
{
    const struct presto_fixture *f = (const struct presto_fixture *)session;

    rc_buf_adds(out, f->place ? f->place : "");
}

/* ---- the engine ----------------------------------------------------------------------------- */

static bool reaches(const struct core_engine_settings *settings, const char *uri)
{
    (void)settings;
    return rc_str_starts(uri, "file://") && !strstr(uri, "/unreachable/");
}

static const struct core_engine_ops ops = {
    .name = "fake",
    .exec = core_presto_exec,
    .query = core_presto_query,
    .is_read = core_presto_is_read,
    .attach = core_presto_attach,
    .drop = core_presto_drop,
    .cancel = core_presto_cancel,
    .make = core_presto_make,
    .load = core_presto_load,
    .refer = core_presto_refer,
    .publish = core_presto_publish,
    .add_table = core_presto_add_table,
    .reaches = reaches,
};

static bool is_over(void *context, const char *session)
{
    const struct presto_fixture *f = context;

    return !rc_str_eq(session, f->living);
}

static void say(void *context, enum rc_log_level level, const char *text)
{
    struct presto_fixture *f = context;

    rc_buf_addf(&f->said, "%d ", (int)level);
    add_hidden(f, &f->said, text);
    rc_buf_addc(&f->said, '\n');
}

void presto_open(struct presto_fixture *f)
{
    if (core_presto_init(&f->session, &f->context, &f->dialect, NULL, &f->err))
        fail_msg("open: %s: %s", f->err.context, f->err.cause);
    f->is_open = true;
}

void presto_close(struct presto_fixture *f)
{
    if (f->is_open)
        core_presto_end(&f->session);
    f->is_open = false;
    memset(&f->session, 0, sizeof(f->session));
}

int presto_setup(void **state)
{
    struct presto_fixture *f = rc_calloc(1, sizeof(*f));

    memcpy(f->dir, "/tmp/rc-presto-XXXXXX", sizeof("/tmp/rc-presto-XXXXXX"));
    assert_non_null(mkdtemp(f->dir));
    rc_buf_init(&f->log, 1 << 24);
    rc_buf_init(&f->said, 1 << 20);
    f->settings = (struct core_engine_settings){
        .name = "lake",
        .engine = "fake",
        .catalog = "cat",
        .work = rc_strf("file://%s/work", f->dir),
    };
    f->store = core_storage_new(NULL, 0, NULL, &f->cancel);
    f->context = (struct core_sql_context){
        .settings = &f->settings,
        .storage = f->store,
        .cancel = &f->cancel,
        .temp_dir = f->dir,
        .session = "rc_me_1",
        .is_over = is_over,
        .is_over_context = f,
        .say = say,
        .say_context = f,
    };
    f->dialect = (struct core_presto_dialect){
        .ops = &ops,
        .statement_limit_bytes = 1 << 20,
        .partitions_at_once = 100,
        .timestamp = "timestamp(3)",
        .makes_schema = true,
        .run = run,
        .query = query,
        .add_ddl_name = add_ddl_name,
        .add_create = add_create,
        .add_make = add_make,
        .add_find_partitions = add_find_partitions,
        .begin_work = begin_work,
        .end_work = end_work,
        .add_place = add_place,
    };
    f->fail_code = RC_FAILED;
    *state = f;
    presto_open(f);
    return 0;
}

int presto_teardown(void **state)
{
    struct presto_fixture *f = *state;
    RC_BUF_AUTO(left, 1 << 20);

    presto_close(f);
    atomic_store(&f->cancel.code, RC_OK);
    presto_list(f, "work/", &left);
    assert_string_equal(left.data, "");
    assert_int_equal(core_tree_remove(f->dir, &f->err), RC_OK);
    core_storage_free(f->store);
    rc_buf_clear(&f->log);
    rc_buf_clear(&f->said);
    free((char *)(uintptr_t)f->settings.work);
    free(f);
    return 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

const char *presto_uri(struct presto_fixture *f, const char *name)
{
    static char uris[8][512];
    static unsigned next;
    char *out = uris[next++ % RC_ARRAY_LEN(uris)];

    (void)snprintf(out, sizeof(uris[0]), "file://%s/%s", f->dir, name);
    return out;
}

void presto_file(struct presto_fixture *f, const char *name, const char *content)
{
    if (core_storage_put(f->store, presto_uri(f, name), content, strlen(content), NULL, &f->err))
        fail_msg("%s: %s", name, f->err.cause);
}

bool presto_has_file(struct presto_fixture *f, const char *name)
{
    RC_STR_AUTO path = rc_strf("%s/%s", f->dir, name);
    struct stat st;

    return stat(path, &st) == 0;
}

void presto_list(struct presto_fixture *f, const char *folder, struct rc_buf *out)
{
    struct rc_listing *listing = NULL;
    const struct rc_object *object = NULL;

    if (core_storage_list(f->store, presto_uri(f, folder), NULL, &listing, &f->err))
        fail_msg("%s: %s", folder, f->err.cause);
    while (!core_listing_next(listing, &object, &f->err) && object)
        rc_buf_addf(out, "%s%s\n", folder, object->name);
    core_listing_close(listing);
}

void presto_answer_until(struct presto_fixture *f, int last, const char *question, const char *rows)
{
    size_t i = 0;

    while (f->answers[i].question && strcmp(f->answers[i].question, question) != 0)
        i++;
    assert_true(i < PRESTO_ANSWERS);
    f->answers[i].question = question;
    f->answers[i].rows = rows;
    f->answers[i].last = last;
}

void presto_answer(struct presto_fixture *f, const char *question, const char *rows)
{
    presto_answer_until(f, 0, question, rows);
}
