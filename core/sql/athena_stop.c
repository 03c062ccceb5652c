/*
 * Queries that a session has left running which is over: Athena goes on with what a killed run has
 * begun, and would make a table, and its files, when nobody looks after them any more.
 */
#include <sql/athena.h>

#include <config/json.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 10,  /* queries that are looked at at once: their texts come along */
    PAGES = 100, /* of a list, of up to 50 each */
    BODY_BYTES = 64 * 1024,
    LOOK_MS = 500,
    LOOKS = 60,            /* until one that was stopped has ended */
    LONGEST_S = 12 * 3600, /* that a query may last by Athena's own limits */
};

struct looking {
    struct core_athena *athena;
    const char *session;
    const struct core_cancel *cancel;
    int64_t until_mono_ms;
    bool found;  /* one that has not ended */
    bool is_old; /* those of the list were begun too long ago to be running */
};

static enum rc_code ask(const struct looking *looking, const char *operation,
                        const struct rc_buf *body, struct core_arena *arena,
                        const struct core_node **reply, struct rc_error *err)
{
    struct core_http_answer answer;
    struct core_athena_call call = {
        .operation = operation,
        .body = body,
        .flow = CORE_ATHENA_READS,
        .cancel = looking->cancel,
        .until_mono_ms = looking->until_mono_ms,
    };
    enum rc_code code;

    core_http_answer_init(&answer, CORE_ATHENA_REPLY_BYTES);
    code = core_athena_send(looking->athena, &call, &answer, err);
    if (!code) {
        *reply = core_json_read_reply(arena, answer.body.data, answer.body.len);
        if (!*reply)
            code = rc_fail(err, RC_CORRUPT, "%s: the reply is no JSON object", operation);
    }
    core_http_answer_clear(&answer);
    return code;
}

static const struct core_node *member(const struct core_node *node, const char *name,
                                      enum core_node_kind kind)
{
    const struct core_node *found =
        node && node->kind == CORE_NODE_MAP ? core_node_get(node, name) : NULL;

    return found && found->kind == kind ? found : NULL;
}

static const char *text_of(const struct core_node *node, const char *name)
{
    const struct core_node *found = member(node, name, CORE_NODE_SCALAR);

    return found && found->text ? found->text : "";
}

/* Ends it, if it is of that session and has not ended. */
static enum rc_code stop_query(struct looking *looking, const struct core_node *query,
                               struct core_arena *arena, struct rc_error *err)
{
    const struct core_node *status = member(query, "Status", CORE_NODE_MAP);
    const char *state = text_of(status, "State");
    double begun_s = strtod(text_of(status, "SubmissionDateTime"), NULL);
    const struct core_node *reply = NULL;
    RC_BUF_AUTO(body, BODY_BYTES);

    if (begun_s > 0 && begun_s * 1000 > (double)core_clock_real_unix_ms() - LONGEST_S * 1000.0)
        looking->is_old = false;
    if ((!rc_str_eq(state, "QUEUED") && !rc_str_eq(state, "RUNNING")) ||
        !strstr(text_of(query, "Query"), looking->session))
        return RC_OK;
    looking->found = true;
    core_athena_add_query(text_of(query, "QueryExecutionId"), &body);
    return ask(looking, "StopQueryExecution", &body, arena, &reply, err);
}

/* What it does not tell of may run, and what that makes would stay. */
static enum rc_code check_told(const struct core_node *reply, size_t asked, size_t told,
                               struct rc_error *err)
{
    const struct core_node *left = member(reply, "UnprocessedQueryExecutionIds", CORE_NODE_LIST);
    const struct core_node *one = left && left->len > 0 ? left->items[0] : NULL;

    if (told >= asked)
        return RC_OK;
    return rc_fail(err, RC_UNAVAILABLE, "Athena does not tell of %zu of its queries (%s: %s)",
                   asked - told, text_of(one, "ErrorCode"), text_of(one, "ErrorMessage"));
}

static enum rc_code look_at(struct looking *looking, const struct core_node *ids, size_t first,
                            struct rc_error *err)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *reply = NULL, *queries;
    size_t end = ids->len - first > BATCH ? first + BATCH : ids->len;
    RC_BUF_AUTO(body, BODY_BYTES);

    rc_buf_adds(&body, "{\"QueryExecutionIds\":[");
    for (size_t i = first; i < end; i++) {
        const char *id = ids->items[i]->text ? ids->items[i]->text : "";

        if (i > first)
            rc_buf_addc(&body, ',');
        rc_buf_add_json(&body, id, strlen(id));
    }
    rc_buf_adds(&body, "]}");
    if (ask(looking, "BatchGetQueryExecution", &body, &arena, &reply, err))
        return err->code;
    queries = member(reply, "QueryExecutions", CORE_NODE_LIST);
    for (size_t i = 0; queries && i < queries->len; i++)
        if (stop_query(looking, queries->items[i], &arena, err))
            return err->code;
    return check_told(reply, end - first, queries ? queries->len : 0, err);
}

/* One page of the work group's queries, the latest first; '*token' is NULL behind the last. */
static enum rc_code look_at_page(struct looking *looking, char **token, struct rc_error *err)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    const char *group = core_athena_context(looking->athena)->settings->work_group;
    const struct core_node *reply = NULL, *ids;
    RC_BUF_AUTO(body, BODY_BYTES);
    const char *next;

    rc_buf_addc(&body, '{');
    if (group) {
        rc_buf_adds(&body, "\"WorkGroup\":");
        rc_buf_add_json(&body, group, strlen(group));
    }
    if (*token) {
        rc_buf_adds(&body, group ? ",\"NextToken\":" : "\"NextToken\":");
        rc_buf_add_json(&body, *token, strlen(*token));
    }
    rc_buf_addc(&body, '}');
    if (ask(looking, "ListQueryExecutions", &body, &arena, &reply, err))
        return err->code;
    ids = member(reply, "QueryExecutionIds", CORE_NODE_LIST);
    for (size_t i = 0; ids && i < ids->len; i += BATCH)
        if (look_at(looking, ids, i, err))
            return err->code;
    next = text_of(reply, "NextToken");
    rc_str_free(token);
    *token = ids && ids->len > 0 && *next ? rc_strdup(next) : NULL;
    return RC_OK;
}

static enum rc_code look(struct looking *looking, struct rc_error *err)
{
    RC_STR_AUTO token = NULL;

    looking->found = false;
    for (int page = 0; page < PAGES; page++) {
        looking->is_old = true;
        if (look_at_page(looking, &token, err))
            return err->code;
        if (!token || looking->is_old)
            break;
    }
    return RC_OK;
}

enum rc_code core_athena_stop_session(struct core_athena *athena, const char *session,
                                      const struct core_cancel *cancel, int64_t until_mono_ms,
                                      struct rc_error *err)
{
    struct looking looking = {
        .athena = athena,
        .session = session,
        .cancel = cancel,
        .until_mono_ms = until_mono_ms,
    };

    for (int i = 0; i < LOOKS; i++) {
        if (look(&looking, err))
            return err->code;
        if (!looking.found)
            return RC_OK;
        if (core_athena_pause(cancel, LOOK_MS, err))
            return err->code;
    }
    return rc_fail(err, RC_UNAVAILABLE, "they do not end, though they were stopped");
}
