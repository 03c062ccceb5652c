/*
 * The engine "athena": what its settings have to say, how a session begins and ends, and the
 * dialect by which the verbs of presto.h reach it. The API is behind athena.h.
 */
#include <sql/athena.h>

#include <storage/s3.h>

#include <run-core/str.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LOCATION_BYTES = 16 * 1024, NAME_BYTES = 255, ACCOUNT_DIGITS = 12 };

#define CATALOG "AwsDataCatalog"
#define WORK_GROUP "primary"

struct session {
    struct core_presto presto; /* first */
    struct core_athena *athena;
    char *output;           /* where results go; NULL: where the work group says */
    bool output_is_in_work; /* so that they go with the session */
};

/* ---- statements ------------------------------------------------------------------------------ */

static const char *catalog_of(const struct core_presto *presto)
{
    const char *catalog = presto->context.settings->catalog;

    return catalog ? catalog : CATALOG;
}

static struct core_athena_statement statement_of(struct core_presto *presto,
                                                 enum core_presto_kind kind, const char *text)
{
    const struct session *session = (const struct session *)presto;

    if (session->output_is_in_work)
        presto->has_work = true;
    return (struct core_athena_statement){
        .text = text,
        .kind = kind,
        .catalog = catalog_of(presto),
        .database = presto->database,
        .output = session->output,
        .cancel = &presto->stop,
        .until_mono_ms = presto->until_mono_ms,
    };
}

static enum rc_code run(struct core_presto *presto, enum core_presto_kind kind, const char *text,
                        int64_t *updated, struct rc_error *err)
{
    struct session *session = (struct session *)presto;
    struct core_athena_statement statement = statement_of(presto, kind, text);
    struct core_athena_done done;

    /* Of one that writes rows, what a failed run has left would stay beside those of the next. */
    statement.repeatable = kind == CORE_PRESTO_DDL;
    if (core_athena_run(session->athena, &statement, &done, err))
        return err->code;
    if (!updated)
        return RC_OK;
    return core_athena_updated(session->athena, &done, &presto->stop, updated, err);
}

/* Those that Athena counts with statements that change the catalogue. */
static bool asks_catalogue(const char *text)
{
    static const char *const words[] = { "show", "describe" };

    while (isspace((unsigned char)*text))
        text++;
    for (size_t i = 0; i < RC_ARRAY_LEN(words); i++)
        if (strncasecmp(text, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

static enum rc_code query(struct core_presto *presto, const char *text, struct rc_rows **out,
                          struct rc_error *err)
{
    struct session *session = (struct session *)presto;
    struct core_athena_statement statement =
        statement_of(presto, asks_catalogue(text) ? CORE_PRESTO_DDL : CORE_PRESTO_DML, text);
    struct core_athena_done done;

    *out = NULL;
    if (core_presto_reads(text, &statement.repeatable, err) ||
        core_athena_run(session->athena, &statement, &done, err))
        return err->code;
    return core_athena_rows_open(session->athena, &done, &presto->stop, out, err);
}

/* ---- what a session leaves ------------------------------------------------------------------- */

static void add_ddl_name(const struct core_presto *presto, struct rc_buf *out, const char *database,
                         const char *table)
{
    (void)presto;
    core_athena_add_name(out, database);
    rc_buf_addc(out, '.');
    core_athena_add_name(out, table);
}

static enum rc_code drop(struct core_presto *presto, const char *table, struct rc_error *err)
{
    RC_BUF_AUTO(text, LOCATION_BYTES);

    rc_buf_adds(&text, "DROP TABLE IF EXISTS ");
    add_ddl_name(presto, &text, presto->database, table);
    return core_presto_run(presto, CORE_PRESTO_DDL, &text, NULL, err);
}

/* Reads all names before the first is dropped: a session has one statement at a time. */
static enum rc_code find_tables(struct core_presto *presto, const char *prefix,
                                struct core_arena *arena, char ***names, size_t *count,
                                struct rc_error *err)
{
    RC_BUF_AUTO(text, LOCATION_BYTES);
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);
    enum rc_code code;

    core_athena_add_show_tables(&text, presto->database, prefix);
    code = core_presto_ask(presto, &text, &rows, err);
    while (!code && !(code = rc_rows_next(rows, &row, err)) && row) {
        if (row[0].type != RC_VALUE_TEXT || !rc_str_starts(row[0].text, prefix))
            continue;
        if ((*count & (*count - 1)) == 0)
            *names = rc_realloc(*names, (*count ? *count * 2 : 1) * sizeof(**names));
        (*names)[(*count)++] = core_arena_strdup(arena, row[0].text);
    }
    return code;
}

static enum rc_code end_work(struct core_presto *presto, const char *over_session,
                             struct rc_error *err)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    RC_STR_AUTO prefix = rc_strf("%s_", over_session);
    char **names = NULL;
    size_t count = 0;
    enum rc_code code;

    /* No table was ever made, but there are results of queries to remove. */
    if (rc_str_eq(over_session, presto->context.session) && !presto->is_ready)
        return RC_OK;
    code = find_tables(presto, prefix, &arena, &names, &count, err);
    for (size_t i = 0; !code && i < count; i++)
        code = drop(presto, names[i], err);
    free(names);
    return code ? rc_context(err, "drop the tables of the session '%s'", over_session) : RC_OK;
}

static enum rc_code stop_work(struct core_presto *presto, const char *over_session,
                              struct rc_error *err)
{
    return core_athena_stop_session(((struct session *)presto)->athena, over_session, &presto->stop,
                                    presto->until_mono_ms, err);
}

/* With the work group, as what still runs is looked for in that alone. */
static void add_place(const struct core_presto *presto, struct rc_buf *out)
{
    const char *group = presto->context.settings->work_group;

    core_athena_add_place(((const struct session *)presto)->athena, out);
    rc_buf_addf(out, "catalog: %s\ndatabase: %s\nwork_group: %s\n", catalog_of(presto),
                presto->database, group ? group : WORK_GROUP);
}

/* ---- the dialect ----------------------------------------------------------------------------- */

static const struct core_presto_dialect dialect = {
    .ops = &core_engine_athena,
    .statement_limit_bytes = CORE_ATHENA_STATEMENT_BYTES,
    .partitions_at_once = CORE_ATHENA_PARTITIONS,
    .timestamp = "timestamp(3)",
    .reads_nested = true,
    .run = run,
    .query = query,
    .add_ddl_name = add_ddl_name,
    .add_create = core_athena_add_create,
    .add_make = core_athena_add_make,
    .end_work = end_work,
    .stop_work = stop_work,
    .add_place = add_place,
};

/* ---- opening and closing --------------------------------------------------------------------- */

/* Where the work group puts results, for settings that name no place. */
static enum rc_code ask_work_group(struct session *session, const struct core_sql_context *context,
                                   char **location, struct rc_error *err)
{
    const char *group = context->settings->work_group ? context->settings->work_group : WORK_GROUP;
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    RC_BUF_AUTO(body, LOCATION_BYTES);
    struct core_athena_call call = {
        .operation = "GetWorkGroup",
        .body = &body,
        .flow = CORE_ATHENA_READS,
        .cancel = context->cancel,
    };
    struct core_http_answer answer;
    const char *output = NULL;
    enum rc_code code;

    core_athena_add_work_group(group, &body);
    core_http_answer_init(&answer, CORE_ATHENA_REPLY_BYTES);
    code = core_athena_send(session->athena, &call, &answer, err);
    if (!code)
        code = core_athena_read_work_group(&arena, answer.body.data, answer.body.len, &output, err);
    if (!code && !output)
        code = rc_fail(err, RC_INVALID,
                       "the work group '%s' of Athena names no place for results: set 'results' or "
                       "'work' of the engine",
                       group);
    core_http_answer_clear(&answer);
    *location = rc_strdup(output);
    return code;
}

/*
 * Where queries are told to leave their results, which hold what a lake has of its users: with the
 * session's work, unless both places are said.
 */
static enum rc_code find_output(struct session *session, struct rc_error *err)
{
    const struct core_engine_settings *settings = session->presto.context.settings;
    RC_STR_AUTO of_bucket = NULL;
    RC_BUF_AUTO(there, LOCATION_BYTES);

    if (!settings->results && !settings->work)
        return RC_OK;
    if (!settings->results || !settings->work) {
        session->output = rc_strf("%sresults/", session->presto.work_there);
        session->output_is_in_work = true;
        return RC_OK;
    }
    if (!rc_uri_has_scheme(settings->results))
        of_bucket = rc_strf("s3://%s/", settings->results);
    if (core_presto_there(&session->presto, of_bucket ? of_bucket : settings->results, &there, err))
        return rc_context(err, "'results' of the SQL engine");
    if (!rc_str_ends(there.data, "/"))
        rc_buf_addc(&there, '/');
    session->output = rc_buf_take(&there);
    return RC_OK;
}

static enum rc_code begin(struct session *session, const struct core_sql_context *context,
                          struct rc_error *err)
{
    const struct core_engine_settings *settings = context->settings;
    RC_STR_AUTO of_group = NULL;

    /* The session keeps a copy of the context at one place from here on, which the client takes. */
    session->presto.context = *context;
    if (core_athena_open(&session->presto.context, /* patience = */ NULL, &session->athena, err))
        return err->code;
    if (!settings->results && !settings->work && ask_work_group(session, context, &of_group, err))
        return err->code;
    if (core_presto_init(&session->presto, context, &dialect,
                         settings->results ? settings->results : of_group, err))
        return err->code;
    if (find_output(session, err)) {
        core_presto_end(&session->presto);
        return err->code;
    }
    return RC_OK;
}

static enum rc_code athena_open(const struct core_sql_context *context, struct rc_sql **out,
                                struct rc_error *err)
{
    struct session *session = rc_calloc(1, sizeof(*session));

    *out = NULL;
    if (begin(session, context, err)) {
        core_athena_close(session->athena);
        free(session);
        return err->code;
    }
    *out = &session->presto.base;
    return RC_OK;
}

static void athena_close(struct rc_sql *sql)
{
    struct session *session = (struct session *)sql;

    core_presto_end(&session->presto);
    core_athena_close(session->athena);
    free(session->output);
    free(session);
}

/* ---- the settings ---------------------------------------------------------------------------- */

static bool athena_reaches(const struct core_engine_settings *settings, const char *uri)
{
    (void)settings;
    return rc_str_starts(uri, "s3://");
}

static bool consists_of(const char *text, const char *marks, size_t most)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr(marks, text[i]))
            return false;
    return len > 0 && len <= most;
}

static enum rc_code check_results(const struct core_engine_settings *settings, struct rc_error *err)
{
    bool has_key = settings->results_kms_key != NULL;
    bool wants_key = settings->results_encryption == CORE_RESULTS_SSE_KMS ||
                     settings->results_encryption == CORE_RESULTS_CSE_KMS;
    const char *owner = settings->results_owner;

    if (wants_key != has_key)
        return rc_fail(err, RC_INVALID,
                       wants_key ? "'results_encryption' by KMS wants 'results_kms_key'"
                                 : "'results_kms_key' is for 'results_encryption' SSE_KMS and "
                                   "CSE_KMS");
    if (owner && (strlen(owner) != ACCOUNT_DIGITS || strspn(owner, "0123456789") != ACCOUNT_DIGITS))
        return rc_fail(err, RC_INVALID,
                       "'results_owner' is the number of an AWS account, 12 digits");
    if (!settings->results && (has_key || owner || settings->results_encryption) && !settings->work)
        return rc_fail(err, RC_INVALID,
                       "'results_encryption', 'results_kms_key' and 'results_owner' are those of a "
                       "place that is said: set 'results', or leave them to the work group");
    return RC_OK;
}

static enum rc_code athena_check(const struct core_engine_settings *settings, struct rc_error *err)
{
    if (settings->region && !core_s3_is_region(settings->region))
        return rc_fail(err, RC_INVALID, "'region' is one of AWS, such as eu-west-1");
    if (settings->endpoint && !rc_str_starts(settings->endpoint, "https://") &&
        !rc_str_starts(settings->endpoint, "http://"))
        return rc_fail(err, RC_INVALID,
                       "'endpoint' is no URL that begins with https:// or http://");
    if (settings->work_group && !consists_of(settings->work_group, "._-", 128))
        return rc_fail(err, RC_INVALID,
                       "'work_group' has up to 128 letters, digits, dots, '_' and '-'");
    if (settings->database && !consists_of(settings->database, "_-", NAME_BYTES))
        return rc_fail(err, RC_INVALID,
                       "'database' is a name of the catalogue: letters, digits and '_'");
    if (!settings->access_key_id != !settings->secret_access_key)
        return rc_fail(err, RC_INVALID,
                       "'access_key_id' and 'secret_access_key' are given together or not at all");
    if (settings->session_token && !settings->access_key_id)
        return rc_fail(err, RC_INVALID, "'session_token' belongs to an 'access_key_id'");
    return check_results(settings, err);
}

const struct core_engine_ops core_engine_athena = {
    .name = "athena",
    .open = athena_open,
    .close = athena_close,
    CORE_PRESTO_VERBS,
    .reaches = athena_reaches,
    .check = athena_check,
};
