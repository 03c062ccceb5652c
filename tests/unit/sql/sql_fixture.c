/*
 * See sql_fixture.h.
 */
#include "sql_fixture.h"

#include <os/clock.h>
#include <os/file.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char paths[8][512];
static unsigned next_path;

RC_PRINTF(3, 0)
static const char *format_path(struct fixture *f, const char *scheme, const char *format,
                               va_list arguments)
{
    char *out = paths[next_path++ % RC_ARRAY_LEN(paths)];
    int len = snprintf(out, sizeof(paths[0]), "%s%s/", scheme, f->dir);

    vsnprintf(out + len, sizeof(paths[0]) - (size_t)len, format, arguments);
    return out;
}

const char *fixture_path(struct fixture *f, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const char *path = format_path(f, "", format, arguments);
    va_end(arguments);
    return path;
}

const char *fixture_uri(struct fixture *f, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const char *path = format_path(f, "file://", format, arguments);
    va_end(arguments);
    return path;
}

void fixture_reopen(struct fixture *f)
{
    if (f->sql)
        f->sql->ops->close(f->sql);
    f->sql = NULL;
    if (core_sql_open(&f->context, &f->sql, &f->err))
        fail_msg("open: %s: %s", f->err.context, f->err.cause);
}

int fixture_setup(void **state)
{
    struct fixture *f = rc_calloc(1, sizeof(*f));

    if (!getenv("RUN_CORE_DUCKDB"))
        fail_msg("set RUN_CORE_DUCKDB to libduckdb.so (npm: @duckdb/node-bindings-linux-x64)");
    strcpy(f->dir, "/tmp/rc-sql-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->temp, sizeof(f->temp), "%s.temp", f->dir);
    f->settings = (struct core_engine_settings){ .name = "test", .engine = "duckdb", .threads = 2 };
    f->storage = core_storage_new(NULL, 0, NULL, NULL);
    f->context = (struct core_sql_context){
        .settings = &f->settings,
        .storage = f->storage,
        .cancel = &f->cancel,
        .temp_dir = f->temp,
    };
    *state = f;
    fixture_reopen(f);
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    f->sql->ops->close(f->sql);
    core_storage_free(f->storage);
    assert_int_equal(core_tree_remove(f->dir, &f->err), RC_OK);
    /* The session leaves its temporary directory as it found it. */
    assert_int_equal(rmdir(f->temp), 0);
    free(f);
    return 0;
}

void fixture_exec(struct fixture *f, const char *format, ...)
{
    RC_BUF_AUTO(statement, (size_t)16 << 20);
    va_list arguments;

    va_start(arguments, format);
    rc_buf_addv(&statement, format, arguments);
    va_end(arguments);
    assert_false(statement.overflow);
    if (f->sql->ops->exec(f->sql, statement.data, NULL, 0, NULL, &f->err))
        fail_msg("%.200s: %s", statement.data, f->err.cause);
}

static void add_value(struct rc_buf *out, const struct rc_value *value)
{
    switch (value->type) {
    case RC_VALUE_NULL:
        rc_buf_addc(out, '-');
        break;
    case RC_VALUE_BOOL:
        rc_buf_adds(out, value->boolean ? "true" : "false");
        break;
    case RC_VALUE_INT:
        rc_buf_addf(out, "%" PRId64, value->integer);
        break;
    case RC_VALUE_FLOAT:
        rc_buf_addf(out, "%.17g", value->number);
        break;
    case RC_VALUE_TEXT:
        assert_int_equal(value->text[value->len], '\0');
        rc_buf_addf(out, "'%s'", value->text);
        break;
    case RC_VALUE_BYTES:
        rc_buf_adds(out, "x'");
        for (size_t i = 0; i < value->len; i++)
            rc_buf_addf(out, "%02x", (unsigned char)value->text[i]);
        rc_buf_addc(out, '\'');
        break;
    }
}

void fixture_assert_rows(struct fixture *f, const char *query, const char *expected,
                         const char *file, int line)
{
    RC_BUF_AUTO(found, 1 << 20);
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);
    enum rc_code code = f->sql->ops->query(f->sql, query, NULL, 0, &rows, &f->err);

    while (!code && !(code = rc_rows_next(rows, &row, &f->err)) && row) {
        for (size_t i = 0; i < rc_rows_columns(rows, NULL); i++) {
            rc_buf_adds(&found, i ? "|" : "");
            add_value(&found, &row[i]);
        }
        rc_buf_addc(&found, '\n');
    }
    rc_rows_close(&rows); /* a failed assertion leaves the function without its cleanups */
    if (code) {
        print_error("%s: %s\n", query, f->err.cause);
        _fail(file, line);
    }
    _assert_string_equal(found.data, expected, file, line);
}

void fixture_assert_fails(struct fixture *f, const char *statement, enum rc_code code,
                          const char *words, const char *file, int line)
{
    enum rc_code found = f->sql->ops->exec(f->sql, statement, NULL, 0, NULL, &f->err);

    if (found != code || !strstr(f->err.cause, words)) {
        print_error("%s: %s: %s\n", statement, rc_code_name(found), found ? f->err.cause : "");
        _fail(file, line);
    }
}

void fixture_file(struct fixture *f, const char *name, const char *text)
{
    const char *path = fixture_path(f, "%s", name);
    char *parent = rc_strndup(path, (size_t)(strrchr(path, '/') - path));

    assert_int_equal(core_dir_make(parent, 0755, &f->err), RC_OK);
    assert_int_equal(core_file_write(path, text, strlen(text), 0644, &f->err), RC_OK);
    free(parent);
}

static uint64_t hash(uint64_t seed, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i++)
        seed = (seed ^ bytes[i]) * 1099511628211u;
    return seed;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

uint64_t fixture_hash_tree(const char *path, size_t *files)
{
    char *root = rc_strdup(path);
    char *const roots[] = { root, NULL };
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    uint64_t sum = 14695981039346656037u;
    struct rc_error err = RC_ERROR_INIT;
    FTSENT *entry;

    *files = 0;
    while ((entry = fts_read(tree))) {
        RC_BUF_AUTO(content, (size_t)1 << 30);
        if (entry->fts_info != FTS_F)
            continue;
        assert_int_equal(core_file_read(entry->fts_path, &content, &err), RC_OK);
        sum = hash(sum, entry->fts_path + strlen(root), strlen(entry->fts_path + strlen(root)));
        sum = hash(sum, content.data, content.len);
        (*files)++;
    }
    fts_close(tree);
    free(root);
    return sum;
}

int64_t fixture_now_ms(void)
{
    return core_clock_mono_ms();
}
