/*
 * A statement from its start to its end: started once, looked at until it has ended, stopped where
 * nobody waits for it any more, run once more where the service alone has failed; and what it has
 * scanned and costs.
 */
#include <sql/athena.h>

#include <os/backoff.h>
#include <os/clock.h>
#include <os/digest.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    RUNS = 3, /* of a statement that fails by a fault of the service */
    PAUSE_MS = 2000,
    ROOM_FACTOR = 10,
    LONGEST_ROOM_MS = 30 * 1000,
    BODY_BYTES = 2 * CORE_PRESTO_STATEMENT_LIMIT,
    SMALL_BODY_BYTES = 4096,
};

/* A statement that is under way. */
struct running {
    struct core_athena *athena;
    const struct core_athena_statement *statement;
    char token[CORE_ATHENA_TOKEN_TEXT];
    struct rc_buf start;      /* the body that starts it */
    char *id;                 /* "": not known to have been started */
    int64_t until_mono_ms;    /* 0: no limit */
    bool until_is_of_setting; /* 'query_timeout', and not the caller's */
};

/* Sleeps, unless it is cancelled, but no longer than until that time; 0: no limit. */
static enum rc_code pause(const struct running *running, int64_t ms, int64_t until_mono_ms,
                          struct rc_error *err)
{
    int64_t left_ms = until_mono_ms - core_clock_mono_ms();

    if (until_mono_ms != 0 && left_ms < ms)
        ms = left_ms > 0 ? left_ms : 0;
    return core_athena_pause(running->statement->cancel, ms, err);
}

/* ---- requests -------------------------------------------------------------------------------- */

static enum rc_code make_token(char out[CORE_ATHENA_TOKEN_TEXT], struct rc_error *err)
{
    unsigned char random[20];
    RC_BUF_AUTO(hex, CORE_ATHENA_TOKEN_TEXT);

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return rc_fail(err, RC_UNAVAILABLE, "this machine gives no random numbers");
    core_add_hex(&hex, random, sizeof(random));
    memcpy(out, hex.data, hex.len + 1);
    return RC_OK;
}

static void write_start(struct running *running)
{
    const struct core_engine_settings *settings = core_athena_context(running->athena)->settings;
    const struct core_athena_statement *statement = running->statement;

    rc_buf_reset(&running->start);
    core_athena_add_start(
        &(struct core_athena_start){
            .statement = statement->text,
            .token = running->token,
            .catalog = statement->catalog,
            .database = statement->database,
            .work_group = settings->work_group,
            .output = statement->output,
            .encryption = settings->results_encryption,
            .kms_key = settings->results_kms_key,
            .owner = settings->results_owner,
        },
        &running->start);
}

static enum rc_code send_start(struct running *running, struct core_athena_call *call,
                               struct rc_error *err)
{
    struct core_http_answer answer;
    enum rc_code code;

    call->operation = "StartQueryExecution";
    call->body = &running->start;
    core_http_answer_init(&answer, CORE_ATHENA_REPLY_BYTES);
    code = core_athena_send(running->athena, call, &answer, err);
    if (!code)
        code = core_athena_read_id(answer.body.data, answer.body.len, running->id, err);
    core_http_answer_clear(&answer);
    return code;
}

static enum rc_code look(struct running *running, struct core_arena *arena,
                         struct core_athena_execution *out, bool is_last, struct rc_error *err)
{
    RC_BUF_AUTO(body, SMALL_BODY_BYTES);
    struct core_http_answer answer;
    struct core_athena_call call = {
        .operation = "GetQueryExecution",
        .body = &body,
        .flow = is_last ? CORE_ATHENA_FREE : CORE_ATHENA_READS,
        .cancel = running->statement->cancel,
        .until_mono_ms = running->until_mono_ms,
        .is_last = is_last,
    };
    enum rc_code code;

    core_athena_add_query(running->id, &body);
    core_http_answer_init(&answer, CORE_ATHENA_REPLY_BYTES);
    code = core_athena_send(running->athena, &call, &answer, err);
    if (!code)
        code = core_athena_read_execution(arena, answer.body.data, answer.body.len, out, err);
    core_http_answer_clear(&answer);
    return code;
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void say(const struct running *running, enum rc_log_level level, const char *text)
{
    const struct core_sql_context *context = core_athena_context(running->athena);

    if (context->say)
        context->say(context->say_context, level, text);
}

static void tell_cost(const struct running *running, const struct core_athena_execution *execution)
{
    const struct core_sql_context *context = core_athena_context(running->athena);
    int64_t charged = core_athena_charged_bytes(execution);

    if (context->on_scanned)
        context->on_scanned(context->scanned_context, execution->scanned_bytes,
                            core_athena_cost_micros(charged, context->settings->price_per_tib));
}

/* ---- stopping -------------------------------------------------------------------------------- */

/*
 * Ends the query, for which nobody waits any more, as well as that can be done at once. Where its
 * start was sent and no reply has come, the same start says which query it is.
 */
static void stop(struct running *running)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    struct core_athena_execution execution;
    struct rc_error ignored = RC_ERROR_INIT;
    RC_BUF_AUTO(body, SMALL_BODY_BYTES);
    struct core_athena_call call = {
        .operation = "StopQueryExecution",
        .body = &body,
        .flow = CORE_ATHENA_FREE,
        .is_last = true,
    };
    struct core_athena_call start = { .flow = CORE_ATHENA_FREE, .is_last = true };
    struct core_http_answer answer;

    if (!running->id[0] && send_start(running, &start, &ignored)) {
        RC_STR_AUTO text = rc_strf("Athena may run a statement whose start it has not answered, "
                                   "and which could not be stopped: %s",
                                   ignored.cause);
        if (start.is_doubtful)
            say(running, RC_LOG_WARN, text);
        return;
    }
    core_athena_add_query(running->id, &body);
    core_http_answer_init(&answer, CORE_ATHENA_REPLY_BYTES);
    if (core_athena_send(running->athena, &call, &answer, &ignored)) {
        RC_STR_AUTO text = rc_strf("Athena may still run the query %s, which could not be "
                                   "stopped: %s",
                                   running->id, ignored.cause);
        say(running, RC_LOG_WARN, text);
    } else if (look(running, &arena, &execution, /* is_last = */ true, &ignored) == RC_OK) {
        /* It is charged for what it has scanned until now. */
        if (execution.state < CORE_ATHENA_SUCCEEDED)
            execution.state = CORE_ATHENA_CANCELLED;
        tell_cost(running, &execution);
    }
    core_http_answer_clear(&answer);
}

/* ---- a run ----------------------------------------------------------------------------------- */

/* Waits for room in the account, which others may have taken, for the so manieth time. */
static enum rc_code await_room(struct running *running, int64_t times, struct rc_error *err)
{
    const struct core_backoff backoff = {
        .first_ms = ROOM_FACTOR * core_athena_patience_of(running->athena)->backoff_ms,
        .longest_ms = LONGEST_ROOM_MS,
    };
    int64_t until_mono_ms = running->statement->until_mono_ms;

    if (times == 1)
        say(running, RC_LOG_INFO,
            "Athena runs as many queries as the account may have at once: waiting for one to end");
    if (pause(running, core_backoff_ms(&backoff, times), until_mono_ms, err))
        return err->code;
    if (until_mono_ms != 0 && core_clock_mono_ms() >= until_mono_ms)
        return rc_fail(err, RC_TIMEOUT,
                       "there is no time left for it, and Athena still runs as many queries as the "
                       "account may have at once");
    return RC_OK;
}

/*
 * The same start goes out until it is taken, or refused for good. '*is_doubtful': it may have been
 * taken before that was said.
 */
static enum rc_code find_room(struct running *running, bool *is_doubtful, struct rc_error *err)
{
    int64_t until_mono_ms =
        core_clock_mono_ms() + core_athena_patience_of(running->athena)->quota_ms;

    for (int64_t times = 1;; times++) {
        struct core_athena_call call = { .flow = CORE_ATHENA_STARTS,
                                         .cancel = running->statement->cancel,
                                         .until_mono_ms = running->statement->until_mono_ms };
        enum rc_code code = send_start(running, &call, err);

        *is_doubtful |= call.is_doubtful;
        if (!code || !call.is_full || core_clock_mono_ms() >= until_mono_ms)
            return code;
        if (await_room(running, times, err))
            return err->code;
    }
}

static enum rc_code start(struct running *running, struct rc_error *err)
{
    const struct core_engine_settings *settings = core_athena_context(running->athena)->settings;
    int64_t limit_ms = settings->query_timeout_ms;
    bool is_doubtful = false;

    running->id[0] = '\0';
    if (make_token(running->token, err))
        return err->code;
    write_start(running);
    if (find_room(running, &is_doubtful, err)) {
        if (is_doubtful)
            stop(running);
        return err->code;
    }
    running->until_mono_ms = running->statement->until_mono_ms;
    running->until_is_of_setting = false;
    if (limit_ms > 0 &&
        (running->until_mono_ms == 0 || core_clock_mono_ms() + limit_ms < running->until_mono_ms)) {
        running->until_mono_ms = core_clock_mono_ms() + limit_ms;
        running->until_is_of_setting = true;
    }
    return RC_OK;
}

static enum rc_code check_time(const struct running *running, struct rc_error *err)
{
    char limit[RC_AMOUNT_TEXT];

    if (running->until_mono_ms == 0 || core_clock_mono_ms() < running->until_mono_ms)
        return RC_OK;
    if (!running->until_is_of_setting)
        return rc_fail(err, RC_TIMEOUT, "the query %s has not ended in time", running->id);
    (void)rc_format_duration(core_athena_context(running->athena)->settings->query_timeout_ms,
                             limit);
    return rc_fail(err, RC_TIMEOUT,
                   "the query %s has not ended after %s, which is 'query_timeout' of the engine",
                   running->id, limit);
}

/* A look that failed as there was no more time for it: the limit is told as well as the fault. */
static enum rc_code look_failed(const struct running *running, struct rc_error *err)
{
    struct rc_error over = RC_ERROR_INIT;

    if (err->code == RC_TIMEOUT && check_time(running, &over))
        return rc_context(err, "%s", over.cause);
    return err->code;
}

/* Looks at the query until it has ended. */
static enum rc_code await(struct running *running, struct core_arena *arena,
                          struct core_athena_execution *out, struct rc_error *err)
{
    static const struct core_backoff backoff = { .first_ms = 100, .longest_ms = 2000 };

    for (int64_t looks = 1;; looks++) {
        int64_t pause_ms = core_backoff_whole_ms(&backoff, looks);

        core_arena_clear(arena);
        if (check_time(running, err) || pause(running, pause_ms, running->until_mono_ms, err))
            return err->code;
        if (look(running, arena, out, /* is_last = */ false, err))
            return look_failed(running, err);
        if (out->state >= CORE_ATHENA_SUCCEEDED)
            return RC_OK;
    }
}

/* Runs it once. '*again': the service alone has failed. */
static enum rc_code run_once(struct running *running, struct core_athena_done *out, bool *again,
                             struct rc_error *err)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    struct core_athena_execution execution;

    *again = false;
    if (start(running, err))
        return err->code;
    if (await(running, &arena, &execution, err)) {
        stop(running);
        return err->code;
    }
    tell_cost(running, &execution);
    out->type = execution.type;
    if (execution.state == CORE_ATHENA_SUCCEEDED)
        return RC_OK;
    *again = execution.state == CORE_ATHENA_FAILED && execution.retryable;
    return core_athena_fail_query(&execution, running->id, running->statement->database, err);
}

static enum rc_code run(struct running *running, struct core_athena_done *out, struct rc_error *err)
{
    for (int64_t runs = 1;; runs++) {
        enum rc_code code;
        bool again;

        code = run_once(running, out, &again, err);
        if (!again || !running->statement->repeatable || runs == RUNS)
            return code;
        RC_STR_AUTO text = rc_strf("running a statement of Athena once more: %s", err->cause);
        say(running, RC_LOG_WARN, text);
        if (pause(running, runs * PAUSE_MS, running->statement->until_mono_ms, err))
            return err->code;
    }
}

enum rc_code core_athena_run(struct core_athena *athena,
                             const struct core_athena_statement *statement,
                             struct core_athena_done *out, struct rc_error *err)
{
    struct core_athena_limits *limits = core_athena_limits_of(athena);
    struct running running = {
        .athena = athena,
        .statement = statement,
        .start = RC_BUF_INIT(BODY_BYTES),
        .id = out->id,
    };
    enum rc_code code;

    out->id[0] = '\0';
    if (core_athena_limits_enter(limits, statement->kind, statement->cancel,
                                 statement->until_mono_ms, err))
        return err->code;
    code = run(&running, out, err);
    core_athena_limits_leave(limits, statement->kind);
    rc_buf_clear(&running.start);
    return code;
}
