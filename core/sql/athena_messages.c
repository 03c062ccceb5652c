/*
 * What Athena is sent and what it replies, and what its failures mean: whether to try again, which
 * code they are for a caller, and what the user can do. Sends nothing.
 */
#include <sql/athena.h>

#include <config/json.h>
#include <os/digest.h>

#include <run-core/str.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    CATEGORY_SYSTEM = 1,
};

/* ---- requests -------------------------------------------------------------------------------- */

static void add_key(struct rc_buf *out, const char *name)
{
    const char last = out->len > 0 ? out->data[out->len - 1] : '{';

    if (last != '{')
        rc_buf_addc(out, ',');
    rc_buf_add_json(out, name, strlen(name));
    rc_buf_addc(out, ':');
}

static void add_member(struct rc_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    add_key(out, name);
    rc_buf_add_json(out, value, strlen(value));
}

static void add_encryption(const struct core_athena_start *start, struct rc_buf *out)
{
    static const char *const names[] = {
        [CORE_RESULTS_SSE_S3] = "SSE_S3",
        [CORE_RESULTS_SSE_KMS] = "SSE_KMS",
        [CORE_RESULTS_CSE_KMS] = "CSE_KMS",
    };

    if (start->encryption == CORE_RESULTS_PLAIN)
        return;
    add_key(out, "EncryptionConfiguration");
    rc_buf_addc(out, '{');
    add_member(out, "EncryptionOption", names[start->encryption]);
    add_member(out, "KmsKey", start->kms_key);
    rc_buf_addc(out, '}');
}

void core_athena_add_start(const struct core_athena_start *start, struct rc_buf *out)
{
    rc_buf_addc(out, '{');
    add_member(out, "QueryString", start->statement);
    add_member(out, "ClientRequestToken", start->token);
    if (start->catalog || start->database) {
        add_key(out, "QueryExecutionContext");
        rc_buf_addc(out, '{');
        add_member(out, "Database", start->database);
        add_member(out, "Catalog", start->catalog);
        rc_buf_addc(out, '}');
    }
    if (start->output) {
        add_key(out, "ResultConfiguration");
        rc_buf_addc(out, '{');
        add_member(out, "OutputLocation", start->output);
        add_encryption(start, out);
        add_member(out, "ExpectedBucketOwner", start->owner);
        rc_buf_addc(out, '}');
    }
    add_member(out, "WorkGroup", start->work_group);
    rc_buf_addc(out, '}');
}

void core_athena_add_query(const char *id, struct rc_buf *out)
{
    rc_buf_addc(out, '{');
    add_member(out, "QueryExecutionId", id);
    rc_buf_addc(out, '}');
}

void core_athena_add_work_group(const char *name, struct rc_buf *out)
{
    rc_buf_addc(out, '{');
    add_member(out, "WorkGroup", name);
    rc_buf_addc(out, '}');
}

void core_athena_add_page(const char *id, const char *token, int max_rows, struct rc_buf *out)
{
    rc_buf_addc(out, '{');
    add_member(out, "QueryExecutionId", id);
    add_member(out, "NextToken", token);
    add_key(out, "MaxResults");
    rc_buf_addf(out, "%d}", max_rows);
}

/* ---- replies --------------------------------------------------------------------------------- */

static const struct core_node *member_of(const struct core_node *node, const char *name,
                                         enum core_node_kind kind)
{
    const struct core_node *found =
        node && node->kind == CORE_NODE_MAP ? core_node_get(node, name) : NULL;

    return found && found->kind == kind ? found : NULL;
}

static const char *text_of(const struct core_node *node, const char *name)
{
    const struct core_node *found = member_of(node, name, CORE_NODE_SCALAR);

    return found ? found->text : NULL;
}

static int64_t number_of(const struct core_node *node, const char *name, int64_t otherwise)
{
    const char *text = text_of(node, name);
    int64_t number;

    return text && rc_parse_int(text, &number) ? number : otherwise;
}

enum rc_code core_athena_read_id(const char *body, size_t len, char out[CORE_ATHENA_ID_TEXT],
                                 struct rc_error *err)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    const char *id = text_of(core_json_read_reply(&arena, body, len), "QueryExecutionId");
    size_t id_len = id ? strlen(id) : 0;

    if (id_len == 0 || id_len >= CORE_ATHENA_ID_TEXT)
        return rc_fail(err, RC_CORRUPT, "the reply does not say which query was started");
    memcpy(out, id, id_len + 1);
    return RC_OK;
}

static bool read_state(const char *text, enum core_athena_state *out)
{
    static const char *const states[] = {
        [CORE_ATHENA_QUEUED] = "QUEUED",       [CORE_ATHENA_RUNNING] = "RUNNING",
        [CORE_ATHENA_SUCCEEDED] = "SUCCEEDED", [CORE_ATHENA_FAILED] = "FAILED",
        [CORE_ATHENA_CANCELLED] = "CANCELLED",
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(states); i++)
        if (rc_str_eq(text, states[i])) {
            *out = (enum core_athena_state)i;
            return true;
        }
    return false;
}

static enum core_athena_type read_type(const char *text)
{
    if (rc_str_eq(text, "DML"))
        return CORE_ATHENA_DML;
    if (rc_str_eq(text, "DDL"))
        return CORE_ATHENA_DDL;
    return rc_str_eq(text, "UTILITY") ? CORE_ATHENA_UTILITY : CORE_ATHENA_UNKNOWN;
}

enum rc_code core_athena_read_execution(struct core_arena *arena, const char *body, size_t len,
                                        struct core_athena_execution *out, struct rc_error *err)
{
    const struct core_node *query =
        member_of(core_json_read_reply(arena, body, len), "QueryExecution", CORE_NODE_MAP);
    const struct core_node *status = member_of(query, "Status", CORE_NODE_MAP);
    const struct core_node *statistics = member_of(query, "Statistics", CORE_NODE_MAP);
    const struct core_node *failure = member_of(status, "AthenaError", CORE_NODE_MAP);
    const char *reason = text_of(status, "StateChangeReason");

    *out = (struct core_athena_execution){
        .type = read_type(text_of(query, "StatementType")),
        .category = (int)number_of(failure, "ErrorCategory", 0),
        .retryable = rc_str_eq(text_of(failure, "Retryable"), "true"),
        .scanned_bytes = number_of(statistics, "DataScannedInBytes", 0),
    };
    if (!reason || !*reason)
        reason = text_of(failure, "ErrorMessage");
    out->reason = reason && *reason ? reason : "no reason is given";
    if (out->scanned_bytes < 0)
        out->scanned_bytes = 0;
    if (!read_state(text_of(status, "State"), &out->state))
        return rc_fail(err, RC_CORRUPT, "the reply does not say in which state the query is");
    return RC_OK;
}

static enum rc_code read_columns(struct core_arena *arena, const struct core_node *list,
                                 struct core_athena_page *out, struct rc_error *err)
{
    size_t count = list ? list->len : 0;
    struct core_athena_column *columns = core_arena_alloc(arena, count * sizeof(*columns));

    for (size_t i = 0; i < count; i++) {
        const char *name = text_of(list->items[i], "Name");
        const char *type = text_of(list->items[i], "Type");

        if (!name || !type)
            return rc_fail(err, RC_CORRUPT, "the reply does not name column %zu and its type",
                           i + 1);
        columns[i] = (struct core_athena_column){ name, type };
    }
    out->columns = columns;
    out->column_count = count;
    return RC_OK;
}

static const struct core_node *cells_of(const struct core_node *row)
{
    return member_of(row, "Data", CORE_NODE_LIST);
}

static enum rc_code check_rows(const struct core_athena_page *page, struct rc_error *err)
{
    for (size_t i = 0; i < page->row_count; i++) {
        const struct core_node *cells = cells_of(page->rows->items[i]);

        if (!cells || cells->len > page->column_count)
            return rc_fail(err, RC_CORRUPT, "row %zu of a page has %zu cells, but %zu columns",
                           i + 1, cells ? cells->len : 0, page->column_count);
    }
    return RC_OK;
}

enum rc_code core_athena_read_page(struct core_arena *arena, const char *body, size_t len,
                                   struct core_athena_page *out, struct rc_error *err)
{
    CORE_PROBLEMS_AUTO(problems);
    const struct core_node *reply = core_json_read(arena, "reply", body, len, &problems);
    const struct core_node *result = member_of(reply, "ResultSet", CORE_NODE_MAP);
    const struct core_node *described = member_of(result, "ResultSetMetadata", CORE_NODE_MAP);
    const char *token = text_of(reply, "NextToken");

    if (problems.first)
        return rc_fail(err, RC_CORRUPT, "a page of the result cannot be read: %s",
                       problems.first->message);
    if (!reply || reply->kind != CORE_NODE_MAP)
        return rc_fail(err, RC_CORRUPT, "the reply is no JSON object");
    *out = (struct core_athena_page){
        .rows = member_of(result, "Rows", CORE_NODE_LIST),
        .next_token = token && *token ? token : NULL,
        .updated = number_of(reply, "UpdateCount", -1),
    };
    out->row_count = out->rows ? out->rows->len : 0;
    if (read_columns(arena, member_of(described, "ColumnInfo", CORE_NODE_LIST), out, err))
        return err->code;
    return check_rows(out, err);
}

size_t core_athena_row_len(const struct core_athena_page *page, size_t row)
{
    return cells_of(page->rows->items[row])->len;
}

const char *core_athena_cell(const struct core_athena_page *page, size_t row, size_t column)
{
    const struct core_node *cells = cells_of(page->rows->items[row]);

    return column < cells->len ? text_of(cells->items[column], "VarCharValue") : NULL;
}

bool core_athena_has_header(const struct core_athena_page *page)
{
    if (page->row_count == 0 || core_athena_row_len(page, 0) != page->column_count)
        return false;
    for (size_t i = 0; i < page->column_count; i++)
        if (!rc_str_eq(core_athena_cell(page, 0, i), page->columns[i].name))
            return false;
    return true;
}

enum rc_code core_athena_read_work_group(struct core_arena *arena, const char *body, size_t len,
                                         const char **output, struct rc_error *err)
{
    const struct core_node *group =
        member_of(core_json_read_reply(arena, body, len), "WorkGroup", CORE_NODE_MAP);
    const struct core_node *settings = member_of(group, "Configuration", CORE_NODE_MAP);
    const struct core_node *results = member_of(settings, "ResultConfiguration", CORE_NODE_MAP);
    const char *location = text_of(results, "OutputLocation");

    if (!group)
        return rc_fail(err, RC_CORRUPT, "the reply does not describe a work group");
    *output = location && *location ? location : NULL;
    return RC_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* "68 65 6c", with wider gaps between groups and lines of them, or without any. */
static bool read_bytes(const char *text, struct rc_buf *bytes)
{
    while (*text) {
        int high = core_hex_value(text[0]);
        int low = high < 0 ? -1 : core_hex_value(text[1]);
        size_t gap;

        if (low < 0)
            return false;
        rc_buf_addc(bytes, (char)(high * 16 + low));
        text += 2;
        gap = strspn(text, " \n");
        if (text[gap])
            text += gap;
    }
    return true;
}

/* A number of 32 bits, whose shortest text stands for that, not for one of 64 beside it. */
static bool is_single(const char *type)
{
    return strcasecmp(type, "float") == 0 || strcasecmp(type, "real") == 0;
}

static bool read_double(const char *text, double *out)
{
    bool is_negative = text[0] == '-';

    if (rc_str_eq(text, "NaN"))
        *out = (double)NAN;
    else if (rc_str_eq(text + is_negative, "Infinity"))
        *out = is_negative ? -HUGE_VAL : HUGE_VAL;
    else
        return rc_parse_float(text, out);
    return true;
}

enum rc_code core_athena_read_value(const char *type, const char *text, struct rc_buf *bytes,
                                    struct rc_value *out, struct rc_error *err)
{
    int64_t integer = 0;
    double number = 0;
    bool fits = true;

    *out = rc_value_text(text);
    if (!text)
        return RC_OK;
    switch (core_presto_value_type(type)) {
    case RC_VALUE_BOOL:
        fits = rc_str_eq(text, "true") || rc_str_eq(text, "false");
        *out = rc_value_bool(text[0] == 't');
        break;
    case RC_VALUE_INT:
        fits = rc_parse_int(text, &integer);
        *out = rc_value_int(integer);
        break;
    case RC_VALUE_FLOAT:
        fits = read_double(text, &number);
        *out = rc_value_float(is_single(type) ? (double)(float)number : number);
        break;
    case RC_VALUE_BYTES:
        rc_buf_reset(bytes);
        fits = read_bytes(text, bytes);
        *out = rc_value_bytes(bytes->data, bytes->len);
        break;
    case RC_VALUE_NULL:
    case RC_VALUE_TEXT:
        if (!core_presto_is_timestamp(type))
            break;
        rc_buf_reset(bytes);
        rc_buf_add(bytes, text, core_presto_timestamp_len(text, strlen(text)));
        *out = rc_value_text(bytes->data);
        break;
    }
    if (!fits)
        return rc_fail(err, RC_CORRUPT, "'%s' is no value of the type %s", text, type);
    return RC_OK;
}

/* ---- refused requests ------------------------------------------------------------------------ */

#define CHECK_KEYS                                                                                 \
    "check 'access_key_id' and 'secret_access_key' of the engine or where else the credentials "   \
    "come from"

/* What the service calls its failures. Where a name is not here, the status tells. */
static const struct meaning {
    const char *name;
    enum core_http_verdict verdict;
    enum rc_code code;
    const char *advice;
} meanings[] = {
    { "AccessDenied", CORE_HTTP_ACCEPT, RC_DENIED, "a policy has to allow it" },
    { "AccessDeniedException", CORE_HTTP_ACCEPT, RC_DENIED, "a policy has to allow it" },
    { "BandwidthLimitExceeded", CORE_HTTP_SLOWER, RC_UNAVAILABLE, NULL },
    { "ExpiredToken", CORE_HTTP_ACCEPT, RC_DENIED, "renew the credentials" },
    { "ExpiredTokenException", CORE_HTTP_ACCEPT, RC_DENIED, "renew the credentials" },
    { "IncompleteSignature", CORE_HTTP_ACCEPT, RC_DENIED, CHECK_KEYS },
    { "InternalServerException", CORE_HTTP_AGAIN, RC_UNAVAILABLE, NULL },
    { "InvalidClientTokenId", CORE_HTTP_ACCEPT, RC_DENIED, CHECK_KEYS },
    { "InvalidRequestException", CORE_HTTP_ACCEPT, RC_INVALID, NULL },
    { "InvalidSignatureException", CORE_HTTP_ACCEPT, RC_DENIED, CHECK_KEYS },
    { "LimitExceededException", CORE_HTTP_SLOWER, RC_UNAVAILABLE, NULL },
    { "MetadataException", CORE_HTTP_ACCEPT, RC_FAILED, NULL },
    { "MissingAuthenticationToken", CORE_HTTP_ACCEPT, RC_DENIED, CHECK_KEYS },
    { "OptInRequired", CORE_HTTP_ACCEPT, RC_DENIED, "the account has not enabled the region" },
    { "PriorRequestNotComplete", CORE_HTTP_AGAIN, RC_UNAVAILABLE, NULL },
    { "ProvisionedThroughputExceededException", CORE_HTTP_SLOWER, RC_UNAVAILABLE, NULL },
    { "RequestExpired", CORE_HTTP_ACCEPT, RC_DENIED, "set the clock of this machine" },
    { "RequestLimitExceeded", CORE_HTTP_SLOWER, RC_UNAVAILABLE, NULL },
    { "RequestThrottled", CORE_HTTP_SLOWER, RC_UNAVAILABLE, NULL },
    { "RequestThrottledException", CORE_HTTP_SLOWER, RC_UNAVAILABLE, NULL },
    { "RequestTimeout", CORE_HTTP_AGAIN, RC_UNAVAILABLE, NULL },
    { "RequestTimeoutException", CORE_HTTP_AGAIN, RC_UNAVAILABLE, NULL },
    { "ResourceNotFoundException", CORE_HTTP_ACCEPT, RC_NOT_FOUND, NULL },
    { "ServiceUnavailable", CORE_HTTP_AGAIN, RC_UNAVAILABLE, NULL },
    { "SignatureDoesNotMatch", CORE_HTTP_ACCEPT, RC_DENIED, CHECK_KEYS },
    { "SlowDown", CORE_HTTP_SLOWER, RC_UNAVAILABLE, NULL },
    { "Throttling", CORE_HTTP_SLOWER, RC_UNAVAILABLE,
      "lower 'starts_per_second' or "
      "'reads_per_second' of the engine" },
    { "ThrottledException", CORE_HTTP_SLOWER, RC_UNAVAILABLE, NULL },
    { "ThrottlingException", CORE_HTTP_SLOWER, RC_UNAVAILABLE,
      "lower 'starts_per_second' or 'reads_per_second' of the engine" },
    /* Of a start that takes longer to pass than a request may take. */
    { "TooManyRequestsException", CORE_HTTP_ACCEPT, RC_UNAVAILABLE,
      "lower 'queries_at_once', 'ddl_at_once' or 'reads_per_second' of the engine, or have the "
      "quota raised" },
    { "TransactionInProgressException", CORE_HTTP_SLOWER, RC_UNAVAILABLE, NULL },
    { "UnrecognizedClientException", CORE_HTTP_ACCEPT, RC_DENIED, CHECK_KEYS },
};

static const struct meaning *find_meaning(const char *name)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(meanings); i++)
        if (strcmp(meanings[i].name, name) == 0)
            return &meanings[i];
    return NULL;
}

enum core_http_verdict core_athena_judge(unsigned status, const struct core_aws_failure *failure)
{
    const struct meaning *meaning = find_meaning(failure->code);

    if (meaning && (meaning->verdict != CORE_HTTP_ACCEPT || status < 500))
        return meaning->verdict;
    if (status == 429 || status == 503)
        return CORE_HTTP_SLOWER;
    return status >= 500 || status == 408 ? CORE_HTTP_AGAIN : CORE_HTTP_ACCEPT;
}

static enum rc_code code_of_status(unsigned status)
{
    if (status == 401 || status == 403)
        return RC_DENIED;
    if (status == 404)
        return RC_NOT_FOUND;
    if (status >= 500 || status == 429 || status == 408)
        return RC_UNAVAILABLE;
    return status == 400 ? RC_INVALID : RC_FAILED;
}

/* A location that a work group sets for all leaves no place for the tables of a session. */
static bool is_enforced(const char *reason)
{
    return strcasestr(reason, "external_location") && strcasestr(reason, "workgroup");
}

#define OTHER_GROUP                                                                                \
    "set 'work_group' of the engine to one that does not override where a query's files go"

enum rc_code core_athena_fail_refused(unsigned status, const struct core_aws_failure *failure,
                                      const struct rc_buf *reply, struct rc_error *err)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *map = core_json_read_reply(&arena, reply->data, reply->len);
    const char *reason = text_of(map, "Reason");
    const struct meaning *meaning = find_meaning(failure->code);
    RC_BUF_AUTO(before, RC_ERROR_TEXT);
    RC_BUF_AUTO(behind, RC_ERROR_TEXT);

    rc_buf_addf(&before, "HTTP %u", status);
    if (failure->code[0])
        rc_buf_addf(&before, " %s", failure->code);
    if (reason && *reason)
        rc_buf_addf(&before, " (%.100s)", reason);
    if (failure->message[0])
        rc_buf_adds(&before, ": ");
    if (failure->request_id[0])
        rc_buf_addf(&behind, " (request %s)", failure->request_id);
    if (is_enforced(failure->message))
        rc_buf_adds(&behind, "; " OTHER_GROUP);
    else if (meaning && meaning->advice)
        rc_buf_addf(&behind, "; %s", meaning->advice);
    return core_presto_fail(err, meaning ? meaning->code : code_of_status(status), before.data,
                            failure->message, behind.data);
}

/* ---- failed queries -------------------------------------------------------------------------- */

#define FILES_TOO "the credentials need access to the files, too"
#define NO_DATABASE "make the database"
#define OTHER_DATABASE ", or set 'database' of the engine to one that there is"

/*
 * What the reason of a failure begins with, or words that stand anywhere in it; the more telling
 * ones first: a file that S3 does not give is told by the same name as one that is damaged.
 */
static const struct sign {
    const char *name, *words; /* one of them */
    enum rc_code code;
    const char *advice;
} signs[] = {
    /* Of the data, not of the statement; its texts say what they like. */
    { .words = "Cannot convert value to JSON", .code = RC_CORRUPT },
    { .name = "INVALID_CAST_ARGUMENT", .code = RC_FAILED },
    { .name = "INVALID_FUNCTION_ARGUMENT", .code = RC_FAILED },

    { .name = "HIVE_TOO_MANY_OPEN_PARTITIONS", .code = RC_TOO_LARGE },
    { .words = "open writers for partitions", .code = RC_TOO_LARGE },
    { .words = "Please reduce your request rate", .code = RC_UNAVAILABLE },
    { .words = "Slow Down", .code = RC_UNAVAILABLE },
    { .words = "Rate exceeded", .code = RC_UNAVAILABLE },
    { .words = "Access Denied", .code = RC_DENIED, .advice = FILES_TOO },
    { .words = "AccessDenied", .code = RC_DENIED, .advice = FILES_TOO },
    { .words = "Insufficient permissions", .code = RC_DENIED },
    { .words = "Insufficient Lake Formation permission", .code = RC_DENIED },
    { .name = "PERMISSION_DENIED", .code = RC_DENIED },
    { .words = "not authorized to perform", .code = RC_DENIED },
    { .name = "HIVE_PATH_ALREADY_EXISTS", .code = RC_CONFLICT },
    { .words = "AlreadyExistsException", .code = RC_CONFLICT },
    { .name = "TABLE_ALREADY_EXISTS", .code = RC_CONFLICT },
    { .name = "HIVE_BAD_DATA", .code = RC_UNSUPPORTED },
    { .name = "ICEBERG_BAD_DATA", .code = RC_UNSUPPORTED },
    { .name = "HIVE_CANNOT_OPEN_SPLIT", .code = RC_UNSUPPORTED },
    { .name = "HIVE_CURSOR_ERROR", .code = RC_UNSUPPORTED },
    { .name = "HIVE_UNSUPPORTED_FORMAT", .code = RC_UNSUPPORTED },
    { .name = "HIVE_INVALID_METADATA", .code = RC_UNSUPPORTED },
    { .name = "HIVE_PARTITION_SCHEMA_MISMATCH", .code = RC_UNSUPPORTED },
    { .name = "TABLE_NOT_FOUND", .code = RC_NOT_FOUND },
    { .name = "SCHEMA_NOT_FOUND", .code = RC_NOT_FOUND, .advice = NO_DATABASE },
    { .words = "Database does not exist", .code = RC_NOT_FOUND, .advice = NO_DATABASE },
    { .name = "CATALOG_NOT_FOUND", .code = RC_NOT_FOUND },
    { .words = "EntityNotFoundException", .code = RC_NOT_FOUND },
    { .words = "NoSuchObjectException", .code = RC_NOT_FOUND },
    { .words = "Table not found", .code = RC_NOT_FOUND },
    { .name = "SYNTAX_ERROR", .code = RC_INVALID },
    { .name = "TYPE_MISMATCH", .code = RC_INVALID },
    { .name = "COLUMN_NOT_FOUND", .code = RC_INVALID },
    { .name = "FUNCTION_NOT_FOUND", .code = RC_INVALID },
    { .words = "ParseException", .code = RC_INVALID },
    { .words = "SemanticException", .code = RC_INVALID },
    { .name = "QUERY_TIMEOUT", .code = RC_TIMEOUT },
    { .words = "Query timeout", .code = RC_TIMEOUT },
};

/* What else is wrong with a statement. */
static const char *const invalid_names[] = {
    "INVALID_ANALYZE_PROPERTY",
    "INVALID_ARGUMENTS",
    "INVALID_COLUMN_MASK",
    "INVALID_COLUMN_PROPERTY",
    "INVALID_COLUMN_REFERENCE",
    "INVALID_LABEL",
    "INVALID_LIMIT_CLAUSE",
    "INVALID_LITERAL",
    "INVALID_NAVIGATION_NESTING",
    "INVALID_ORDER_BY",
    "INVALID_PARAMETER_USAGE",
    "INVALID_PARTITION_BY",
    "INVALID_PATTERN_RECOGNITION_FUNCTION",
    "INVALID_PRIVILEGE",
    "INVALID_PROCEDURE_ARGUMENT",
    "INVALID_PROCESSING_MODE",
    "INVALID_RANGE",
    "INVALID_RECURSIVE_REFERENCE",
    "INVALID_ROW_FILTER",
    "INVALID_ROW_PATTERN",
    "INVALID_SCHEMA_PROPERTY",
    "INVALID_SESSION_PROPERTY",
    "INVALID_TABLE_PROPERTY",
    "INVALID_VIEW",
    "INVALID_WINDOW_FRAME",
    "INVALID_WINDOW_MEASURE",
    "INVALID_WINDOW_REFERENCE",
};

static const struct sign *find_sign(const char *reason)
{
    static const struct sign invalid = { .code = RC_INVALID };

    for (size_t i = 0; i < RC_ARRAY_LEN(signs); i++)
        if (signs[i].name ? core_presto_has_name(reason, signs[i].name)
                          : strcasestr(reason, signs[i].words) != NULL)
            return &signs[i];
    for (size_t i = 0; i < RC_ARRAY_LEN(invalid_names); i++)
        if (core_presto_has_name(reason, invalid_names[i]))
            return &invalid;
    return NULL;
}

static bool is_of_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* Whether the text has that name: not as a part of another. */
static bool says_name(const char *text, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = text; (at = strcasestr(at, name)) != NULL; at++)
        if ((at == text || !is_of_name(at[-1])) && !is_of_name(at[len]))
            return true;
    return false;
}

static enum rc_code code_of_failure(const struct core_athena_execution *execution,
                                    const struct sign *sign)
{
    if (sign)
        return sign->code;
    if (execution->retryable || execution->category == CATEGORY_SYSTEM)
        return RC_UNAVAILABLE;
    return RC_FAILED;
}

/* Adds what the user can do. RC_INVALID: correct the settings, which name no database there is. */
static enum rc_code add_advice(const struct sign *sign, enum rc_code code, const char *reason,
                               const char *database, struct rc_buf *out)
{
    if (is_enforced(reason)) {
        rc_buf_adds(out, "; " OTHER_GROUP);
        return RC_INVALID;
    }
    if (!sign || !sign->advice)
        return code;
    rc_buf_addf(out, "; %s", sign->advice);
    if (!rc_str_eq(sign->advice, NO_DATABASE) || !database || !says_name(reason, database))
        return code;
    rc_buf_adds(out, OTHER_DATABASE);
    return RC_INVALID;
}

enum rc_code core_athena_fail_query(const struct core_athena_execution *execution, const char *id,
                                    const char *database, struct rc_error *err)
{
    RC_BUF_AUTO(reason, 4 * strlen(execution->reason) + RC_ERROR_TEXT);
    RC_BUF_AUTO(before, RC_ERROR_TEXT);
    RC_BUF_AUTO(behind, RC_ERROR_TEXT);
    const struct sign *sign;
    enum rc_code code;

    core_presto_hide_values(&reason, execution->reason);
    sign = find_sign(reason.data);
    code = code_of_failure(execution, sign);
    if (execution->state == CORE_ATHENA_CANCELLED) {
        rc_buf_addf(&before, "Athena or somebody else has cancelled the query %s: ", id);
        code = code == RC_TIMEOUT ? RC_TIMEOUT : RC_FAILED;
    } else {
        rc_buf_addf(&before, "the query %s has failed: ", id);
        code = add_advice(sign, code, reason.data, database, &behind);
    }
    return core_presto_fail(err, code, before.data, reason.data, behind.data);
}

/* ---- what it costs --------------------------------------------------------------------------- */

#define MIB ((int64_t)1 << 20)

int64_t core_athena_charged_bytes(const struct core_athena_execution *execution)
{
    bool is_query = execution->type == CORE_ATHENA_DML || execution->type == CORE_ATHENA_UNKNOWN;
    int64_t bytes = execution->scanned_bytes;

    /* The service calls a CREATE TABLE AS one of DDL, which otherwise scans nothing. */
    if (execution->state == CORE_ATHENA_FAILED || (!is_query && bytes == 0))
        return 0;
    if (execution->state == CORE_ATHENA_CANCELLED || bytes > INT64_MAX - MIB)
        return bytes;
    bytes = bytes / MIB * MIB + (bytes % MIB ? MIB : 0);
    return bytes > 10 * MIB ? bytes : 10 * MIB;
}

int64_t core_athena_cost_micros(int64_t charged_bytes, double price_per_tib)
{
    return (int64_t)((double)charged_bytes / (double)((int64_t)1 << 40) * price_per_tib * 1e6 +
                     0.5);
}
