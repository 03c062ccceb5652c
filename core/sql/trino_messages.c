/*
 * Reads the pages of a Trino server, and says what its failures mean. Members that are not known
 * here are passed over: every release adds some.
 */
#include <sql/trino_messages.h>

#include <sql/presto.h>
#include <sql/trino_headers.h>

#include <run-core/str.h>

#include <string.h>
#include <strings.h>

enum {
    SHOWN_BYTES = 500, /* what is said around it has to have room in an error, too */
    PEEK_BYTES = 100,
};

/* ---- members --------------------------------------------------------------------------------- */

/*
 * A string, or what null and any other value are: NULL. One for people has a blank for each NUL, as
 * it may quote any value; of all others a NUL is a fault.
 */
static const char *read_string(struct core_arena *arena, struct core_trino_json *json,
                               bool is_for_people)
{
    enum core_trino_kind kind = core_trino_json_kind(json);
    struct core_trino_span value;
    char *nul;

    if (!core_trino_json_value(json, &value) || kind != CORE_TRINO_STRING)
        return NULL;
    RC_BUF_AUTO(text, 3 * value.len); /* a byte that is no character becomes one of three */
    (void)core_trino_span_add(&text, value);
    while ((nul = memchr(text.data, '\0', text.len))) {
        *nul = ' ';
        json->bad = json->bad || !is_for_people;
    }
    return core_arena_strndup(arena, text.data, text.len);
}

static const char *read_text(struct core_arena *arena, struct core_trino_json *json)
{
    return read_string(arena, json, /* is_for_people = */ false);
}

static const char *read_message(struct core_arena *arena, struct core_trino_json *json)
{
    return read_string(arena, json, /* is_for_people = */ true);
}

static bool read_number_text(struct core_trino_json *json, char *out, size_t capacity)
{
    bool is_number = core_trino_json_kind(json) == CORE_TRINO_NUMBER;
    struct core_trino_span value;

    if (!core_trino_json_value(json, &value) || !is_number || value.len >= capacity)
        return false;
    memcpy(out, value.text, value.len);
    out[value.len] = '\0';
    return true;
}

static int64_t read_int(struct core_trino_json *json)
{
    char text[32];
    int64_t value;

    return read_number_text(json, text, sizeof(text)) && rc_parse_int(text, &value) ? value : -1;
}

static double read_float(struct core_trino_json *json)
{
    char text[64];
    double value;

    return read_number_text(json, text, sizeof(text)) && rc_parse_float(text, &value) ? value : -1;
}

static void skip(struct core_trino_json *json)
{
    struct core_trino_span value;

    (void)core_trino_json_value(json, &value);
}

/* Goes into a list or map; what is another kind of value, such as null, is passed over. */
static bool enter(struct core_trino_json *json, enum core_trino_kind kind)
{
    if (core_trino_json_kind(json) == kind)
        return core_trino_json_enter(json, kind);
    skip(json);
    return false;
}

/* ---- parts of a page ------------------------------------------------------------------------- */

static void read_column(struct core_arena *arena, struct core_trino_json *json,
                        struct core_trino_column *out)
{
    struct core_trino_span key;

    *out = (struct core_trino_column){ .name = NULL };
    if (!enter(json, CORE_TRINO_MAP))
        return;
    while (core_trino_json_member(json, &key)) {
        if (core_trino_span_is(key, "name"))
            out->name = read_text(arena, json);
        else if (core_trino_span_is(key, "type"))
            out->type = read_text(arena, json);
        else
            skip(json);
    }
}

/* How many items the list has that comes next; it is not read. */
static size_t count_items(const struct core_trino_json *json)
{
    struct core_trino_json ahead = *json;
    size_t count = 0;

    if (enter(&ahead, CORE_TRINO_LIST))
        for (; core_trino_json_item(&ahead); count++)
            skip(&ahead);
    return count;
}

static void read_columns(struct core_arena *arena, struct core_trino_json *json,
                         struct core_trino_page *out)
{
    size_t count = count_items(json);

    out->has_columns = core_trino_json_kind(json) == CORE_TRINO_LIST;
    out->columns = core_arena_alloc(arena, count * sizeof(*out->columns));
    out->column_count = 0;
    if (!enter(json, CORE_TRINO_LIST))
        return;
    while (core_trino_json_item(json)) {
        struct core_trino_column column;

        read_column(arena, json, &column);
        json->bad = json->bad || !column.name || !column.type;
        if (!json->bad)
            out->columns[out->column_count++] = column;
    }
}

/* Splits are the pieces of work; there are more of them when a query is planned on. */
static double share(int64_t done, int64_t total)
{
    return done >= 0 && total > 0 && done <= total ? (double)done / (double)total : -1;
}

static void read_stats(struct core_arena *arena, struct core_trino_json *json,
                       struct core_trino_page *out)
{
    int64_t total = -1, completed = -1;
    double percentage = -1;
    struct core_trino_span key;

    if (!enter(json, CORE_TRINO_MAP))
        return;
    while (core_trino_json_member(json, &key)) {
        if (core_trino_span_is(key, "state"))
            out->state = read_text(arena, json);
        else if (core_trino_span_is(key, "totalSplits"))
            total = read_int(json);
        else if (core_trino_span_is(key, "completedSplits"))
            completed = read_int(json);
        else if (core_trino_span_is(key, "progressPercentage"))
            percentage = read_float(json);
        else if (core_trino_span_is(key, "processedBytes"))
            out->processed_bytes = read_int(json);
        else
            skip(json);
    }
    out->progress =
        percentage >= 0 && percentage <= 100 ? percentage / 100 : share(completed, total);
}

static void read_failure(struct core_arena *arena, struct core_trino_json *json,
                         struct core_trino_page *out)
{
    struct core_trino_failure *failure = &out->failure;
    struct core_trino_span key;

    if (!enter(json, CORE_TRINO_MAP))
        return;
    out->failed = true;
    while (core_trino_json_member(json, &key)) {
        if (core_trino_span_is(key, "message"))
            failure->message = read_message(arena, json);
        else if (core_trino_span_is(key, "errorName"))
            failure->name = read_text(arena, json);
        else if (core_trino_span_is(key, "errorType"))
            failure->type = read_text(arena, json);
        else
            skip(json);
    }
    if (!failure->message)
        failure->message = "no reason is given";
}

static const char *read_warning(struct core_arena *arena, struct core_trino_json *json)
{
    const char *message = NULL;
    struct core_trino_span key;

    if (!enter(json, CORE_TRINO_MAP))
        return NULL;
    while (core_trino_json_member(json, &key)) {
        if (core_trino_span_is(key, "message"))
            message = read_message(arena, json);
        else
            skip(json);
    }
    return message;
}

static void read_warnings(struct core_arena *arena, struct core_trino_json *json,
                          struct core_trino_page *out)
{
    const char **texts = core_arena_alloc(arena, count_items(json) * sizeof(*texts));

    out->warnings = texts;
    out->warning_count = 0;
    if (!enter(json, CORE_TRINO_LIST))
        return;
    while (core_trino_json_item(json)) {
        const char *text = read_warning(arena, json);

        if (text)
            texts[out->warning_count++] = text;
    }
}

/* ---- the page -------------------------------------------------------------------------------- */

static void read_member(struct core_arena *arena, struct core_trino_json *json,
                        struct core_trino_span key, struct core_trino_page *out)
{
    bool is_list;

    if (core_trino_span_is(key, "id")) {
        out->id = read_text(arena, json);
    } else if (core_trino_span_is(key, "infoUri")) {
        out->info_uri = read_text(arena, json);
    } else if (core_trino_span_is(key, "nextUri")) {
        out->next_uri = read_text(arena, json);
    } else if (core_trino_span_is(key, "columns")) {
        read_columns(arena, json, out);
    } else if (core_trino_span_is(key, "data")) {
        is_list = core_trino_json_kind(json) == CORE_TRINO_LIST;
        json->bad = json->bad || (!is_list && core_trino_json_kind(json) != CORE_TRINO_NULL);
        if (!core_trino_json_value(json, &out->data) || !is_list)
            out->data.len = 0;
    } else if (core_trino_span_is(key, "stats")) {
        read_stats(arena, json, out);
    } else if (core_trino_span_is(key, "error")) {
        read_failure(arena, json, out);
    } else if (core_trino_span_is(key, "updateType")) {
        out->update_type = read_text(arena, json);
    } else if (core_trino_span_is(key, "updateCount")) {
        out->update_count = read_int(json);
    } else if (core_trino_span_is(key, "warnings")) {
        read_warnings(arena, json, out);
    } else {
        skip(json);
    }
}

enum rc_code core_trino_page_read(struct core_arena *arena, const char *text, size_t len,
                                  struct core_trino_page *out, struct rc_error *err)
{
    RC_BUF_AUTO(shown, 1024);
    struct core_trino_json json;
    struct core_trino_span key;

    *out = (struct core_trino_page){ .update_count = -1, .progress = -1, .processed_bytes = -1 };
    core_trino_json_init(&json, text, len);
    if (enter(&json, CORE_TRINO_MAP))
        while (core_trino_json_member(&json, &key))
            read_member(arena, &json, key, out);
    if (core_trino_json_is_over(&json) && out->id)
        return RC_OK;
    core_trino_add_shown(&shown, text, len < PEEK_BYTES ? len : PEEK_BYTES);
    return rc_fail(err, RC_CORRUPT,
                   "the answer is no page of a result as Trino sends them; it begins with '%s'",
                   shown.data);
}

void core_trino_add_shown(struct rc_buf *out, const char *text, size_t len)
{
    core_presto_add_line(out, text, len, SHOWN_BYTES);
}

/* ---- failures -------------------------------------------------------------------------------- */

static const char no_hive[] =
    "name one of the Hive connector as 'catalog' of the engine, or as its 'work_catalog': others "
    "have no tables over files";

static const struct meaning {
    const char *name;
    enum rc_code code;
    const char *advice;
} failures[] = {
    { "PERMISSION_DENIED", RC_DENIED, "grant it to the user there, or use another 'user'" },
    { "NOT_SUPPORTED", RC_UNSUPPORTED, NULL },
    { "HIVE_TOO_MANY_OPEN_PARTITIONS", RC_TOO_LARGE, NULL },
    { "ICEBERG_TOO_MANY_OPEN_PARTITIONS", RC_TOO_LARGE, NULL },
    { "QUERY_TEXT_TOO_LARGE", RC_INVALID, NULL },
    { "INVALID_TABLE_PROPERTY", RC_INVALID, no_hive },
    { "INVALID_SCHEMA_PROPERTY", RC_INVALID, no_hive },
    { "INVALID_SESSION_PROPERTY", RC_INVALID, "look at 'session' of the engine" },

    { "CATALOG_NOT_FOUND", RC_NOT_FOUND, NULL },
    { "SCHEMA_NOT_FOUND", RC_NOT_FOUND, NULL },
    { "TABLE_NOT_FOUND", RC_NOT_FOUND, NULL },
    { "NOT_FOUND", RC_NOT_FOUND, NULL },
    { "ALREADY_EXISTS", RC_CONFLICT, NULL },
    { "SCHEMA_ALREADY_EXISTS", RC_CONFLICT, NULL },
    { "TABLE_ALREADY_EXISTS", RC_CONFLICT, NULL },
    { "SCHEMA_NOT_EMPTY", RC_CONFLICT, NULL },
    { "TRANSACTION_CONFLICT", RC_CONFLICT, NULL },

    /* Of the data, not of the statement. */
    { "DIVISION_BY_ZERO", RC_FAILED, NULL },
    { "INVALID_CAST_ARGUMENT", RC_FAILED, NULL },
    { "INVALID_FUNCTION_ARGUMENT", RC_FAILED, NULL },
    { "NUMERIC_VALUE_OUT_OF_RANGE", RC_FAILED, NULL },
    { "SUBQUERY_MULTIPLE_ROWS", RC_FAILED, NULL },
    { "GENERIC_USER_ERROR", RC_FAILED, NULL },

    /* Of files and folders that the server cannot read. */
    { "HIVE_BAD_DATA", RC_UNSUPPORTED, NULL },
    { "HIVE_CANNOT_OPEN_SPLIT", RC_UNSUPPORTED, NULL },
    { "HIVE_CURSOR_ERROR", RC_UNSUPPORTED, NULL },
    { "HIVE_UNSUPPORTED_FORMAT", RC_UNSUPPORTED, NULL },
    { "HIVE_INVALID_METADATA", RC_UNSUPPORTED, NULL },
    { "HIVE_INVALID_PARTITION_VALUE", RC_UNSUPPORTED, NULL },
    { "HIVE_PARTITION_SCHEMA_MISMATCH", RC_UNSUPPORTED, NULL },
    { "HIVE_SERDE_NOT_FOUND", RC_UNSUPPORTED, NULL },
    /* What the server's own code fell over: a file of a kind that it does not know, mostly. */
    { "GENERIC_INTERNAL_ERROR", RC_UNSUPPORTED, NULL },
    { "COMPILER_ERROR", RC_UNSUPPORTED, NULL },
    { "HIVE_UNKNOWN_ERROR", RC_FAILED, NULL },
    { "HIVE_PATH_ALREADY_EXISTS", RC_CONFLICT, NULL },

    { "USER_CANCELED", RC_FAILED, "somebody ended it on the server" },
    { "ADMINISTRATIVELY_KILLED", RC_FAILED, "somebody ended it on the server" },
    { "ADMINISTRATIVELY_PREEMPTED", RC_UNAVAILABLE, NULL },

    { "EXCEEDED_TIME_LIMIT", RC_TIMEOUT, "raise query_max_run_time there" },
    { "EXCEEDED_CPU_LIMIT", RC_FAILED, "raise the limit there" },
    { "EXCEEDED_SCAN_LIMIT", RC_FAILED, "raise the limit there" },
    { "EXCEEDED_SPILL_LIMIT", RC_FAILED, "raise the limit there" },
    { "EXCEEDED_WRITE_LIMIT", RC_FAILED, "raise the limit there" },
    { "EXCEEDED_TASK_DESCRIPTOR_STORAGE_CAPACITY", RC_FAILED, NULL },
    { "EXCEEDED_LOCAL_MEMORY_LIMIT", RC_FAILED, "raise query.max-memory-per-node there" },
    { "EXCEEDED_GLOBAL_MEMORY_LIMIT", RC_FAILED, "raise query.max-memory there" },
    { "EXCEEDED_DISTRIBUTED_MEMORY_LIMIT", RC_FAILED, "raise query.max-memory there" },

    /* What goes wrong within a cluster and may go well the next time. */
    { "REMOTE_TASK_ERROR", RC_UNAVAILABLE, NULL },
    { "REMOTE_TASK_MISMATCH", RC_UNAVAILABLE, NULL },
    { "REMOTE_TASK_FAILED", RC_UNAVAILABLE, NULL },
    { "REMOTE_HOST_GONE", RC_UNAVAILABLE, NULL },
    { "NO_NODES_AVAILABLE", RC_UNAVAILABLE, NULL },
    { "PAGE_TRANSPORT_ERROR", RC_UNAVAILABLE, NULL },
    { "PAGE_TRANSPORT_TIMEOUT", RC_UNAVAILABLE, NULL },
    { "PAGE_TOO_LARGE", RC_FAILED, NULL },
    { "TOO_MANY_REQUESTS_FAILED", RC_UNAVAILABLE, NULL },
    { "SERVER_SHUTTING_DOWN", RC_UNAVAILABLE, NULL },
    { "SERVER_STARTING_UP", RC_UNAVAILABLE, NULL },
    { "ABANDONED_QUERY", RC_UNAVAILABLE, NULL },
    { "ABANDONED_TASK", RC_UNAVAILABLE, NULL },
    { "TRANSACTION_ALREADY_ABORTED", RC_UNAVAILABLE, NULL },
};

/* Where the name says nothing. */
static const struct {
    const char *type;
    enum rc_code code;
} types[] = {
    { "USER_ERROR", RC_INVALID },
    { "INTERNAL_ERROR", RC_FAILED },
    { "INSUFFICIENT_RESOURCES", RC_UNAVAILABLE },
    { "EXTERNAL", RC_UNAVAILABLE },
};

/* Settings that a server looks at with the first statement, and calls not found. */
static const struct {
    const char *words;
    struct meaning meaning;
} wrong_settings[] = {
    { "Session property catalog does not exist: ",
      { .code = RC_INVALID, .advice = "look at 'session' of the engine" } },
    { "Catalog for role does not exist: ",
      { .code = RC_INVALID, .advice = "look at 'roles' of the engine" } },
};

/* "Catalog 'x' does not exist", "... catalog does not exist: x": whether that is the one. */
static bool lacks_catalog(const struct core_trino_failure *failure, const char *catalog)
{
    static const char words[] = "catalog does not exist: ";
    RC_STR_AUTO quoted = rc_strf("catalog '%s'", catalog);
    const char *named = strcasestr(failure->message, words);

    if (rc_str_eq(failure->name, "CATALOG_NOT_FOUND"))
        return strcasestr(failure->message, quoted) != NULL;
    return rc_str_eq(failure->name, "NOT_FOUND") && named &&
           strcasecmp(named + sizeof(words) - 1, catalog) == 0;
}

static struct meaning meaning_of_type(const char *type)
{
    struct meaning meaning = { .code = RC_FAILED };

    for (size_t i = 0; i < RC_ARRAY_LEN(types); i++)
        if (rc_str_eq(types[i].type, type))
            meaning.code = types[i].code;
    return meaning;
}

static struct meaning find_meaning(const struct core_trino_failure *failure,
                                   const struct core_engine_settings *settings)
{
    const char *catalog = settings->catalog ? settings->catalog : CORE_TRINO_CATALOG;
    const char *message = failure->message;

    if (lacks_catalog(failure, catalog))
        return (struct meaning){ .code = RC_INVALID, .advice = "correct 'catalog' of the engine" };
    if (settings->work_catalog && lacks_catalog(failure, settings->work_catalog))
        return (struct meaning){ .code = RC_INVALID,
                                 .advice = "correct 'work_catalog' of the engine" };
    for (size_t i = 0; i < RC_ARRAY_LEN(wrong_settings); i++)
        if (rc_str_starts(message, wrong_settings[i].words))
            return wrong_settings[i].meaning;
    if (rc_str_starts(message, "Cannot convert value to JSON"))
        return (struct meaning){ .code = RC_CORRUPT };
    for (size_t i = 0; i < RC_ARRAY_LEN(failures); i++)
        if (rc_str_eq(failures[i].name, failure->name))
            return failures[i];
    return meaning_of_type(failure->type);
}

enum rc_code core_trino_fail(const struct core_trino_failure *failure,
                             const struct core_engine_settings *settings, struct rc_error *err)
{
    struct meaning meaning = find_meaning(failure, settings);
    RC_STR_AUTO said =
        rc_strf("%s: %s", failure->name ? failure->name : "no name", failure->message);
    RC_STR_AUTO behind =
        rc_strf("%s%s", meaning.advice ? "; " : "", meaning.advice ? meaning.advice : "");
    RC_BUF_AUTO(reason, 4 * strlen(said) + RC_ERROR_TEXT);

    core_presto_hide_values(&reason, said);
    return core_presto_fail(err, meaning.code, "Trino: ", reason.data, behind);
}
