/*
 * Runs statements on Athena by the client of the core, without the rest of the engine: each line of
 * the input is a JSON object that says what to do, each line of the output what came of it.
 *
 *     athena_probe [NAME=VALUE]...    names as in struct core_engine_settings; attempts, ...
 *
 *     {"do": "query", "text": SQL, "rows": N}                     closes after N rows
 *     {"do": "run", "text": SQL, "ddl": true, "repeatable": true}
 *     {"do": "create", "text": LOCATION, "name": N, "value": V}   the text of a table's definition
 *     {"do": "many", "text": SQL, "threads": N, "ddl": true}      at once, each with its own client
 *
 * With "cancel_ms": N it is cancelled then, with "cancel_when": PATH as soon as that file is there;
 * with "limit_ms": N it has so much time.
 */
#include <config/json.h>
#include <config/secrets.h>
#include <os/clock.h>
#include <os/digest.h>
#include <sql/athena.h>

#include <run-core/str.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 64 << 20 };

struct probe {
    struct core_engine_settings settings;
    struct core_athena_patience patience;
    struct core_sql_context context;
    struct core_cancel cancel;
    pthread_mutex_t mutex; /* over all that follows */
    int64_t scanned_bytes, cost_micros;
    struct rc_buf said;
};

static struct probe probe = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* ---- settings -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char **at;
} texts[] = {
    { "region", &probe.settings.region },
    { "endpoint", &probe.settings.endpoint },
    { "work_group", &probe.settings.work_group },
    { "results_kms_key", &probe.settings.results_kms_key },
    { "results_owner", &probe.settings.results_owner },
    { "access_key_id", &probe.settings.access_key_id },
    { "secret_access_key", &probe.settings.secret_access_key },
    { "session_token", &probe.settings.session_token },
    { "profile", &probe.settings.profile },
    { "role_arn", &probe.settings.role_arn },
    { "results", &probe.settings.results },
    { "database", &probe.settings.database },
    { "catalog", &probe.settings.catalog },
    { "ca_file", &probe.settings.ca_file },
};

static const struct {
    const char *name;
    int64_t *at;
} numbers[] = {
    { "query_timeout_ms", &probe.settings.query_timeout_ms },
    { "ddl_at_once", &probe.settings.ddl_at_once },
    { "queries_at_once", &probe.settings.queries_at_once },
    { "backoff_ms", &probe.patience.backoff_ms },
    { "quota_ms", &probe.patience.quota_ms },
};

static bool set(char *word)
{
    char *value = strchr(word, '=');
    int64_t number;

    if (!value)
        return false;
    *value++ = '\0';
    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++)
        if (rc_str_eq(word, texts[i].name)) {
            *texts[i].at = value;
            return true;
        }
    for (size_t i = 0; i < RC_ARRAY_LEN(numbers); i++)
        if (rc_str_eq(word, numbers[i].name))
            return rc_parse_int(value, numbers[i].at);
    if (rc_str_eq(word, "starts_per_s"))
        return rc_parse_float(value, &probe.settings.starts_per_s);
    if (rc_str_eq(word, "reads_per_s"))
        return rc_parse_float(value, &probe.settings.reads_per_s);
    if (rc_str_eq(word, "price_per_tib"))
        return rc_parse_float(value, &probe.settings.price_per_tib);
    if (!rc_parse_int(value, &number))
        return false;
    if (rc_str_eq(word, "attempts"))
        probe.patience.attempts = (unsigned)number;
    else if (rc_str_eq(word, "results_encryption"))
        probe.settings.results_encryption = (int)number;
    else
        return false;
    return true;
}

/* ---- what the client tells ------------------------------------------------------------------- */

static void on_scanned(void *context, int64_t bytes, int64_t cost_micros)
{
    (void)context;
    (void)pthread_mutex_lock(&probe.mutex);
    probe.scanned_bytes += bytes;
    probe.cost_micros += cost_micros;
    (void)pthread_mutex_unlock(&probe.mutex);
}

static void on_say(void *context, enum rc_log_level level, const char *text)
{
    (void)context;
    (void)level;
    (void)pthread_mutex_lock(&probe.mutex);
    rc_buf_adds(&probe.said, probe.said.len > 0 ? ", " : "");
    rc_buf_add_json(&probe.said, text, strlen(text));
    (void)pthread_mutex_unlock(&probe.mutex);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void add_text(struct rc_buf *out, const char *text, size_t len)
{
    rc_buf_add_json(out, text, len);
}

static void add_value(struct rc_buf *out, const struct rc_value *value)
{
    switch (value->type) {
    case RC_VALUE_NULL:
        rc_buf_adds(out, "null");
        break;
    case RC_VALUE_BOOL:
        rc_buf_adds(out, value->boolean ? "true" : "false");
        break;
    case RC_VALUE_INT:
        rc_buf_addf(out, "%lld", (long long)value->integer);
        break;
    case RC_VALUE_FLOAT:
        rc_buf_addf(out, "{\"float\": \"%.17g\"}", value->number);
        break;
    case RC_VALUE_TEXT:
        add_text(out, value->text, value->len);
        break;
    case RC_VALUE_BYTES:
        rc_buf_adds(out, "{\"hex\": \"");
        core_add_hex(out, value->text, value->len);
        rc_buf_adds(out, "\"}");
        break;
    }
}

static void add_error(struct rc_buf *out, const struct rc_error *err)
{
    RC_STR_AUTO message = rc_strf("%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);

    core_secret_mask(message);
    rc_buf_adds(out, "\"error\": ");
    add_text(out, rc_code_name(err->code), strlen(rc_code_name(err->code)));
    rc_buf_adds(out, ", \"message\": ");
    add_text(out, message, strlen(message));
    rc_buf_adds(out, ", ");
}

/* What was told meanwhile, and the line's end. */
static void print_line(struct rc_buf *line)
{
    (void)pthread_mutex_lock(&probe.mutex);
    rc_buf_addf(line, "\"scanned\": %lld, \"cost\": %lld, \"said\": [%s]}",
                (long long)probe.scanned_bytes, (long long)probe.cost_micros, probe.said.data);
    probe.scanned_bytes = probe.cost_micros = 0;
    rc_buf_reset(&probe.said);
    (void)pthread_mutex_unlock(&probe.mutex);
    puts(line->data);
    (void)fflush(stdout);
}

/* ---- doing ----------------------------------------------------------------------------------- */

struct order {
    const char *text, *name, *value, *cancel_when;
    atomic_bool is_done;
    int64_t rows, cancel_ms, limit_ms, threads;
    bool ddl, repeatable;
};

static int64_t number_of(const struct core_node *map, const char *name, int64_t otherwise)
{
    const char *text = core_node_text(map, name);
    int64_t number;

    return text && rc_parse_int(text, &number) ? number : otherwise;
}

static void *cancel_later(void *context)
{
    const struct order *order = context;

    if (order->cancel_ms >= 0)
        core_clock_sleep_ms(order->cancel_ms);
    while (order->cancel_when && access(order->cancel_when, F_OK) && !atomic_load(&order->is_done))
        core_clock_sleep_ms(5);
    core_cancel_request(&probe.cancel, RC_CANCELLED);
    return NULL;
}

static enum rc_code start(struct core_athena *athena, const struct order *order,
                          struct core_athena_done *done, struct rc_error *err)
{
    const struct core_athena_statement statement = {
        .text = order->text,
        .kind = order->ddl ? CORE_PRESTO_DDL : CORE_PRESTO_DML,
        .catalog = probe.settings.catalog,
        .database = probe.settings.database,
        .output = probe.settings.results,
        .repeatable = order->repeatable,
        .cancel = &probe.cancel,
        .until_mono_ms = order->limit_ms ? core_clock_mono_ms() + order->limit_ms : 0,
    };

    return core_athena_run(athena, &statement, done, err);
}

static enum rc_code read_rows(struct rc_rows *rows, int64_t most, struct rc_buf *line,
                              struct rc_error *err)
{
    const char *const *names = NULL;
    size_t columns = rc_rows_columns(rows, &names);
    const struct rc_value *row = NULL;
    enum rc_code code = RC_OK;

    rc_buf_adds(line, "\"columns\": [");
    for (size_t i = 0; i < columns; i++) {
        rc_buf_adds(line, i ? ", " : "");
        add_text(line, names[i], strlen(names[i]));
    }
    rc_buf_adds(line, "], \"rows\": [");
    for (int64_t count = 0; count < most && !(code = rc_rows_next(rows, &row, err)) && row;
         count++) {
        rc_buf_adds(line, count ? ", [" : "[");
        for (size_t i = 0; i < columns; i++) {
            rc_buf_adds(line, i ? ", " : "");
            add_value(line, &row[i]);
        }
        rc_buf_addc(line, ']');
    }
    rc_buf_adds(line, "], ");
    return code;
}

static void query(struct core_athena *athena, const struct order *order, struct rc_buf *line)
{
    struct core_athena_done done;
    struct rc_error err = RC_ERROR_INIT;
    RC_ROWS_AUTO(rows);

    if (start(athena, order, &done, &err) ||
        core_athena_rows_open(athena, &done, &probe.cancel, &rows, &err) ||
        read_rows(rows, order->rows, line, &err))
        add_error(line, &err);
}

static void run(struct core_athena *athena, const struct order *order, struct rc_buf *line)
{
    struct core_athena_done done;
    struct rc_error err = RC_ERROR_INIT;
    int64_t updated;

    if (start(athena, order, &done, &err) ||
        core_athena_updated(athena, &done, &probe.cancel, &updated, &err)) {
        add_error(line, &err);
        return;
    }
    rc_buf_adds(line, "\"id\": ");
    add_text(line, done.id, strlen(done.id));
    rc_buf_addf(line, ", \"updated\": %lld, ", (long long)updated);
}

/* A table whose columns and key have that name, for values of which one is given. */
static void create(const struct order *order, struct rc_buf *line)
{
    const char *values[] = { order->value, "other" };
    RC_STR_AUTO key = rc_strf("%s key", order->name);
    RC_BUF_AUTO(table, LINE_BYTES);
    RC_BUF_AUTO(text, LINE_BYTES);
    const struct rc_sql_column columns[] = { { order->name, "varchar" }, { "n", "decimal(10,2)" } };
    const struct core_presto_partition partition = {
        .name = key,
        .type = "varchar",
        .range = CORE_PARTITION_VALUES,
        .values = { .len = RC_ARRAY_LEN(values), .items = values },
    };
    struct core_presto_external external = {
        .columns = columns,
        .column_count = RC_ARRAY_LEN(columns),
        .partitions = &partition,
        .partition_count = 1,
        .location = order->text,
        .format = "parquet",
    };

    core_athena_add_name(&table, "lake");
    rc_buf_addc(&table, '.');
    core_athena_add_name(&table, order->name);
    external.table = table.data;
    core_athena_add_create(&external, &text);
    rc_buf_adds(line, "\"statement\": ");
    add_text(line, text.data, text.len);
    rc_buf_adds(line, ", ");
}

struct worker {
    pthread_t thread;
    const struct order *order;
    struct rc_error err;
};

static void *work(void *context)
{
    struct worker *worker = context;
    struct core_athena *athena = NULL;
    struct core_athena_done done;

    if (!core_athena_open(&probe.context, &probe.patience, &athena, &worker->err))
        (void)!start(athena, worker->order, &done, &worker->err);
    core_athena_close(athena);
    return NULL;
}

static void many(const struct order *order, struct rc_buf *line)
{
    size_t count = (size_t)order->threads;
    struct worker *workers = rc_calloc(count, sizeof(*workers));

    for (size_t i = 0; i < count; i++) {
        workers[i].order = order;
        RC_ASSERT(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        if (workers[i].err.code)
            add_error(line, &workers[i].err);
    }
    free(workers);
}

static void obey(struct core_athena *athena, const char *text, size_t len)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *map = core_json_read_reply(&arena, text, len);
    const char *what = core_node_text(map, "do");
    struct order order = {
        .text = core_node_text(map, "text"),
        .name = core_node_text(map, "name"),
        .value = core_node_text(map, "value"),
        .cancel_when = core_node_text(map, "cancel_when"),
        .rows = number_of(map, "rows", INT64_MAX),
        .cancel_ms = number_of(map, "cancel_ms", -1),
        .limit_ms = number_of(map, "limit_ms", 0),
        .threads = number_of(map, "threads", 1),
        .ddl = rc_str_eq(core_node_text(map, "ddl"), "true"),
        .repeatable = rc_str_eq(core_node_text(map, "repeatable"), "true"),
    };
    bool is_cancelled = order.cancel_ms >= 0 || order.cancel_when;
    RC_BUF_AUTO(line, LINE_BYTES);
    pthread_t canceller;

    RC_ASSERT(what && order.text);
    atomic_store(&probe.cancel.code, RC_OK);
    if (is_cancelled)
        RC_ASSERT(pthread_create(&canceller, NULL, cancel_later, &order) == 0);
    rc_buf_addc(&line, '{');
    if (rc_str_eq(what, "query"))
        query(athena, &order, &line);
    else if (rc_str_eq(what, "run"))
        run(athena, &order, &line);
    else if (rc_str_eq(what, "create"))
        create(&order, &line);
    else
        many(&order, &line);
    atomic_store(&order.is_done, true);
    if (is_cancelled)
        (void)pthread_join(canceller, NULL);
    print_line(&line);
}

int main(int argc, char **argv)
{
    struct core_athena *athena = NULL;
    struct rc_error err = RC_ERROR_INIT;
    char *text = NULL;
    size_t capacity = 0;
    ssize_t len;

    rc_buf_init(&probe.said, LINE_BYTES);
    for (int i = 1; i < argc; i++)
        if (!set(argv[i])) {
            fprintf(stderr, "athena_probe: what is '%s'?\n", argv[i]);
            return 2;
        }
    probe.context = (struct core_sql_context){
        .settings = &probe.settings,
        .cancel = &probe.cancel,
        .on_scanned = on_scanned,
        .say = on_say,
    };
    if (core_athena_open(&probe.context, &probe.patience, &athena, &err)) {
        RC_BUF_AUTO(line, LINE_BYTES);

        rc_buf_addc(&line, '{');
        add_error(&line, &err);
        print_line(&line);
    }
    while (athena && (len = getline(&text, &capacity, stdin)) > 0)
        obey(athena, text, (size_t)len);
    core_athena_close(athena);
    free(text);
    rc_buf_clear(&probe.said);
    return 0;
}
