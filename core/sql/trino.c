/*
 * Trino: how its dialect runs statements, and what a session needs there. The verbs are those of
 * presto*.c, the protocol is the work of trino_client.c.
 *
 * The tables of a session lie in a schema of its own. Where the metastore lets a schema have a
 * place, that is the session's folder, and the files of a table are found below it by the table's
 * name. Other metastores keep such files where nobody else looks; there a table whose files are
 * wanted is made over its folder, which the server has to allow
 * (hive.non-managed-table-writes-enabled).
 */
#include <sql/trino_client.h>
#include <sql/trino_text.h>

#include <base/url.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 64 * 1024 };

#define CODEC "compression_codec"

struct trino {
    struct core_presto base;
    struct core_trino_client *client;
    bool has_codec; /* the catalogue has such a property */
};

/* ---- statements ------------------------------------------------------------------------------ */

static enum rc_code query(struct core_presto *session, const char *text, struct rc_rows **out,
                          struct rc_error *err)
{
    struct core_trino_statement *statement = NULL;

    if (core_trino_start(((struct trino *)session)->client, text, &statement, err))
        return err->code;
    return core_trino_rows(statement, out, err);
}

static enum rc_code run(struct core_presto *session, enum core_presto_kind kind, const char *text,
                        int64_t *updated, struct rc_error *err)
{
    struct core_trino_statement *statement = NULL;
    enum rc_code code;

    (void)kind;
    code = core_trino_start(((struct trino *)session)->client, text, &statement, err);
    while (!code && statement->next_uri)
        code = core_trino_next(statement, err);
    if (!code && updated)
        *updated = statement->page.update_count;
    core_trino_end(statement);
    return code;
}

static void set_compression(struct core_presto *session, const char *compression)
{
    const struct trino *trino = (struct trino *)session;
    RC_STR_AUTO property = rc_strf("%s." CODEC, core_trino_catalog(session->context.settings));

    if (trino->has_codec)
        core_trino_headers_set(core_trino_client_headers(trino->client), property,
                               core_trino_codec(compression));
}

/* ---- the session's schema -------------------------------------------------------------------- */

/* A metastore whose schemas cannot have a place, or one that does not get at this one. */
static bool may_do_without_place(enum rc_code code)
{
    return code != RC_CANCELLED && code != RC_TIMEOUT && code != RC_DENIED && code != RC_CONFLICT;
}

static const struct core_presto_dialect dialect_over;

static enum rc_code drop_schema(struct core_presto *session, const char *schema,
                                struct rc_error *err)
{
    RC_BUF_AUTO(text, TEXT_BYTES);

    rc_buf_adds(&text, "DROP SCHEMA IF EXISTS ");
    core_trino_add_schema(session, &text, schema);
    return core_presto_run(session, CORE_PRESTO_DDL, &text, NULL, err);
}

/*
 * Whether the schema's tables may lie at its place: a metastore in files lets it have one, in newer
 * releases, and then wants each table in its own folder.
 */
static enum rc_code try_place(struct core_presto *session, struct rc_error *err)
{
    RC_BUF_AUTO(name, TEXT_BYTES);
    RC_BUF_AUTO(text, TEXT_BYTES);

    core_trino_add_ddl_name(session, &name, session->database, "first");
    rc_buf_addf(&text, "CREATE TABLE %s (a integer)", name.data);
    if (core_presto_run(session, CORE_PRESTO_DDL, &text, NULL, err))
        return err->code;
    rc_buf_reset(&text);
    rc_buf_addf(&text, "DROP TABLE %s", name.data);
    return core_presto_run(session, CORE_PRESTO_DDL, &text, NULL, err);
}

/* A failure says why; what is there of the schema is gone then. */
static enum rc_code make_placed_schema(struct core_presto *session, struct rc_error *err)
{
    RC_BUF_AUTO(text, TEXT_BYTES);
    struct rc_error ignored = RC_ERROR_INIT;

    core_trino_add_create_schema(session, &text, session->database, session->work_there);
    if (core_presto_run(session, CORE_PRESTO_DDL, &text, NULL, err))
        return err->code;
    if (!try_place(session, err))
        return RC_OK;
    /* One that stays is in the way of the next, which says so. */
    (void)drop_schema(session, session->database, &ignored);
    return err->code;
}

static enum rc_code begin_work(struct core_presto *session, struct rc_error *err)
{
    RC_BUF_AUTO(plain, TEXT_BYTES);
    struct rc_error again = RC_ERROR_INIT;

    if (!make_placed_schema(session, err))
        return RC_OK;
    core_trino_add_create_schema(session, &plain, session->database, NULL);
    if (!may_do_without_place(err->code) ||
        core_presto_run(session, CORE_PRESTO_DDL, &plain, NULL, &again))
        return err->code;
    core_presto_say(session, RC_LOG_DEBUG,
                    "the schema '%s' has no place of its own, as that was refused: %s",
                    session->database, err->cause);
    session->dialect = &dialect_over;
    return RC_OK;
}

/* The next name of a listing; NULL behind the last. */
static enum rc_code next_name(struct rc_rows *rows, const char **name, struct rc_error *err)
{
    const struct rc_value *row = NULL;

    *name = NULL;
    if (rc_rows_next(rows, &row, err))
        return err->code;
    *name = row && row[0].type == RC_VALUE_TEXT ? row[0].text : NULL;
    return RC_OK;
}

/* Adds a statement for each table there is: "DROP ...\0DROP ...\0". */
static enum rc_code add_drops(struct core_presto *session, const char *schema, struct rc_buf *out,
                              struct rc_error *err)
{
    RC_BUF_AUTO(text, TEXT_BYTES);
    RC_ROWS_AUTO(rows);
    const char *name = NULL;
    enum rc_code code;

    rc_buf_adds(&text, "SHOW TABLES FROM ");
    core_trino_add_schema(session, &text, schema);
    if (core_presto_ask(session, &text, &rows, err))
        return err->code;
    while (!(code = next_name(rows, &name, err)) && name) {
        rc_buf_adds(out, "DROP TABLE IF EXISTS ");
        core_trino_add_ddl_name(session, out, schema, name);
        rc_buf_addc(out, '\0');
    }
    return code ? code : rc_buf_check(out, err);
}

static enum rc_code drop_tables(struct core_presto *session, const char *schema,
                                struct rc_error *err)
{
    RC_BUF_AUTO(drops, CORE_PRESTO_STATEMENT_LIMIT);
    RC_BUF_AUTO(text, TEXT_BYTES);

    if (add_drops(session, schema, &drops, err))
        return err->code;
    for (const char *at = drops.data; at < drops.data + drops.len; at += strlen(at) + 1) {
        rc_buf_reset(&text);
        rc_buf_adds(&text, at);
        if (core_presto_run(session, CORE_PRESTO_DDL, &text, NULL, err))
            return err->code;
    }
    return RC_OK;
}

static enum rc_code end_work(struct core_presto *session, const char *over_session,
                             struct rc_error *err)
{
    if (drop_tables(session, over_session, err))
        return err->code == RC_NOT_FOUND ? RC_OK : err->code;
    return drop_schema(session, over_session, err);
}

/* As the settings name it: the same server by another name counts as another. */
static void add_place(const struct core_presto *session, struct rc_buf *out)
{
    const struct core_engine_settings *settings = session->context.settings;
    RC_STR_AUTO url = core_url_public(settings->url);
    size_t len = strlen(url);

    while (len > 0 && url[len - 1] == '/')
        len--;
    rc_buf_addf(out, "server: %.*s\ncatalog: %s\n", (int)len, url, core_trino_catalog(settings));
}

/* ---- opening and closing --------------------------------------------------------------------- */

static bool is_set(const struct core_engine_settings *settings, const char *property)
{
    for (size_t i = 0; i < settings->session.len; i++)
        if (strcmp(settings->session.items[i].key, property) == 0)
            return true;
    return false;
}

/*
 * Properties of the catalogue that make results what they are on other engines. What a user has set
 * stays.
 */
static const char *const wanted[][2] = {
    { "timestamp_precision", "MICROSECONDS" },
    { "parquet_use_column_names", "true" },
    { CODEC, "ZSTD" },
};

/* The whole name of a property; NULL: a user has set it. */
static char *free_property(const struct trino *trino, size_t which)
{
    const struct core_engine_settings *settings = trino->base.context.settings;
    char *property = rc_strf("%s.%s", core_trino_catalog(settings), wanted[which][0]);

    if (is_set(settings, property))
        rc_str_free(&property);
    return property;
}

static void want_all(struct trino *trino, bool wants)
{
    struct core_trino_headers *headers = core_trino_client_headers(trino->client);

    for (size_t i = 0; i < RC_ARRAY_LEN(wanted); i++) {
        RC_STR_AUTO property = free_property(trino, i);

        if (property && wants)
            core_trino_headers_set(headers, property, wanted[i][1]);
        else if (property)
            core_trino_headers_unset(headers, property);
    }
    trino->has_codec = wants;
}

/* Of those that there are, one is wanted. */
static void adopt_property(struct trino *trino, const char *name)
{
    RC_STR_AUTO codec = rc_strf("%s." CODEC, core_trino_catalog(trino->base.context.settings));

    trino->has_codec |= strcmp(name, codec) == 0;
    for (size_t i = 0; i < RC_ARRAY_LEN(wanted); i++) {
        RC_STR_AUTO property = free_property(trino, i);

        if (property && strcmp(name, property) == 0)
            core_trino_headers_set(core_trino_client_headers(trino->client), property,
                                   wanted[i][1]);
    }
}

static enum rc_code ask_which(struct trino *trino, struct rc_error *err)
{
    RC_BUF_AUTO(text, TEXT_BYTES);
    RC_BUF_AUTO(names, 1 << 20);
    RC_ROWS_AUTO(rows);
    const char *name = NULL;
    enum rc_code code;

    RC_STR_AUTO pattern = rc_strf("%s.%%", core_trino_catalog(trino->base.context.settings));
    rc_buf_adds(&text, "SHOW SESSION LIKE ");
    rc_buf_add_literal(&text, pattern);
    if (core_presto_ask(&trino->base, &text, &rows, err))
        return err->code;
    while (!(code = next_name(rows, &name, err)) && name)
        rc_buf_add(&names, name, strlen(name) + 1);
    if (code || rc_buf_check(&names, err))
        return err->code;
    for (const char *at = names.data; at < names.data + names.len; at += strlen(at) + 1)
        adopt_property(trino, at);
    return RC_OK;
}

/*
 * Which properties a catalogue has depends on its connector and on the server's release. Mostly it
 * has all of them: to try that takes a tenth of the time that a server needs to list them.
 */
static enum rc_code learn(struct trino *trino, struct rc_error *err)
{
    RC_BUF_AUTO(text, TEXT_BYTES);
    struct rc_error refused = RC_ERROR_INIT;

    want_all(trino, true);
    rc_buf_adds(&text, "SELECT 1");
    if (!core_presto_run(&trino->base, CORE_PRESTO_DML, &text, NULL, &refused))
        return RC_OK;
    if (!strstr(refused.cause, "INVALID_SESSION_PROPERTY")) {
        *err = refused;
        /* No table was named yet: what is not there is of the settings. */
        if (err->code == RC_NOT_FOUND)
            err->code = RC_INVALID;
        return err->code;
    }
    want_all(trino, false);
    return ask_which(trino, err);
}

static void close_session(struct rc_sql *sql)
{
    struct trino *trino = (struct trino *)sql;

    core_presto_end(&trino->base);
    core_trino_client_free(trino->client);
    free(trino);
}

static enum rc_code open_session(const struct core_sql_context *context, struct rc_sql **out,
                                 struct rc_error *err)
{
    struct trino *trino = rc_calloc(1, sizeof(*trino));

    *out = NULL;
    if (core_presto_init(&trino->base, context, &core_trino_dialect, context->settings->results,
                         err)) {
        free(trino);
        return err->code;
    }
    if (core_trino_client_new(&trino->base, /* limits = */ NULL, &trino->client, err) ||
        learn(trino, err)) {
        close_session(&trino->base.base);
        return rc_context(err, "open a session on Trino");
    }
    *out = &trino->base.base;
    return RC_OK;
}

/* ---- the engine ------------------------------------------------------------------------------ */

static bool reaches(const struct core_engine_settings *settings, const char *uri)
{
    return rc_str_starts(uri, "s3://") || rc_str_starts(uri, "gs://") ||
           (settings->shares_files && rc_str_starts(uri, "file://"));
}

static enum rc_code check(const struct core_engine_settings *settings, struct rc_error *err)
{
    const char *fault = core_trino_settings_fault(settings);

    return fault ? rc_fail(err, RC_INVALID, "%s", fault) : RC_OK;
}

/* What a statement may have: query.max-length and hive.max-partitions-per-writers of a server that
 * was told nothing. */
#define TRINO_DIALECT                                                                              \
    .ops = &core_engine_trino, .statement_limit_bytes = 1000 * 1000, .partitions_at_once = 100,    \
    .timestamp = "timestamp(6)", .makes_schema = true, .run = run, .query = query,                 \
    .add_ddl_name = core_trino_add_ddl_name, .add_create = core_trino_add_create,                  \
    .set_compression = set_compression, .add_find_partitions = core_trino_add_find_partitions,     \
    .begin_work = begin_work, .end_work = end_work, .stop_work = core_trino_stop_session,          \
    .add_place = add_place

const struct core_presto_dialect core_trino_dialect = { TRINO_DIALECT,
                                                        .add_make = core_trino_add_make };
static const struct core_presto_dialect dialect_over = { TRINO_DIALECT,
                                                         .add_make = core_trino_add_make_over };

const struct core_engine_ops core_engine_trino = {
    .name = "trino",
    .open = open_session,
    .close = close_session,
    CORE_PRESTO_VERBS,
    .reaches = reaches,
    .check = check,
};
