/*
 * Writes notices, and sends those of the outbox: at most a few at a time, each by a process of its
 * own, so that neither a slow receiver nor a fault in a TLS library is the daemon's.
 */
#include <supervisor/notices.h>

#include <http/client.h>
#include <os/backoff.h>
#include <os/clock.h>
#include <runtime/output.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
    BODY_BYTES = 64 * 1024,
    AT_A_TIME = 4,
    CALL_MS = 30000,
    ATTEMPTS = 14,
};

/* With the longest pause, the last attempt is made after about 14 hours. */
static const struct core_backoff backoff = { .first_ms = 10 * 1000, .longest_ms = 4 * 3600 * 1000 };

/* How a sender ends. */
enum { SENT = 0, TRY_AGAIN = 1, GIVE_UP = 2 };

/* ---- writing --------------------------------------------------------------------------------- */

static bool is_missed(const struct core_ended_run *ended)
{
    static const char *const reasons[] = { "misfire", "overlap", "locked", "removed" };

    if (ended->gave_up)
        return true;
    for (size_t i = 0; ended->status == CORE_RUN_SKIPPED && i < RC_ARRAY_LEN(reasons); i++)
        if (rc_str_eq(ended->reason, reasons[i]))
            return true;
    return false;
}

/* What no user asked for; nor that the daemon was stopped. */
static bool is_failure(const struct core_ended_run *ended)
{
    switch (ended->status) {
    case CORE_RUN_FAILED:
    case CORE_RUN_TIMED_OUT:
    case CORE_RUN_LOST:
        return true;
    case CORE_RUN_CANCELLED:
        return rc_str_eq(ended->reason, "shutdown");
    default:
        return false;
    }
}

static bool wants(const struct core_notify_settings *item, const char *event)
{
    for (size_t i = 0; i < item->on.len; i++)
        if (strcmp(item->on.items[i], event) == 0)
            return true;
    return false;
}

static bool anybody_wants(const struct core_job_settings *job, const char *event)
{
    for (size_t i = 0; i < job->notify.len; i++)
        if (wants(RC_OBJECT_AT(struct core_notify_settings, job->notify, i), event))
            return true;
    return false;
}

static void add_text(struct rc_buf *out, const char *key, const char *text)
{
    rc_buf_addf(out, ",\"%s\":", key);
    if (text && text[0])
        rc_buf_add_json(out, text, strlen(text));
    else
        rc_buf_adds(out, "null");
}

static void add_time(struct rc_buf *out, const char *key, int64_t unix_ms)
{
    char text[RC_TIME_TEXT];

    add_text(out, key, unix_ms ? rc_format_time(unix_ms, text) : NULL);
}

/* The sentence that a chat shows. */
static void add_sentence(struct rc_buf *out, const struct core_ended_run *ended, const char *event)
{
    RC_BUF_AUTO(text, BODY_BYTES / 4);

    if (strcmp(event, "missed") == 0)
        rc_buf_addf(&text, "%s: missed", ended->job->name);
    else if (strcmp(event, "recovery") == 0)
        rc_buf_addf(&text, "%s: succeeded again", ended->job->name);
    else
        rc_buf_addf(&text, "%s: %s", ended->job->name, core_run_status_name(ended->status));
    if (ended->slots > 1)
        rc_buf_addf(&text, " %lld slots", (long long)ended->slots);
    if (ended->reason && ended->reason[0])
        rc_buf_addf(&text, " (%s)", ended->reason);
    if (ended->message && ended->message[0])
        rc_buf_addf(&text, ": %s", ended->message);
    add_text(out, "text", text.data);
}

static void add_body(struct rc_buf *out, const struct core_ended_run *ended, const char *event)
{
    rc_buf_addf(out, "{\"event\":\"%s\"", event);
    add_sentence(out, ended, event);
    add_text(out, "job", ended->job->name);
    add_text(out, "run", ended->run);
    add_text(out, "plugin", ended->job->plugin);
    add_text(out, "action", ended->action ? ended->action : ended->job->action);
    add_text(out, "trigger", ended->trigger);
    add_text(out, "status", core_run_status_name(ended->status));
    add_text(out, "reason", ended->reason);
    add_text(out, "message", ended->message);
    rc_buf_addf(out, ",\"attempt\":%lld,\"slots\":%lld", (long long)ended->attempt,
                (long long)(ended->slots > 1 ? ended->slots : 1));
    add_time(out, "slot", ended->has_slot ? ended->slot_unix_ms : 0);
    add_time(out, "started", ended->started_unix_ms);
    add_time(out, "finished", ended->finished_unix_ms);
    rc_buf_adds(out, "}");
}

static enum rc_code add_event(struct core_ledger *ledger, const struct core_ended_run *ended,
                              const char *event, struct rc_error *err)
{
    RC_BUF_AUTO(body, BODY_BYTES);
    const struct rc_objects *items = &ended->job->notify;

    add_body(&body, ended, event);
    if (rc_buf_check(&body, err))
        return rc_context(err, "tell of the run '%s'", ended->run);
    for (size_t i = 0; i < items->len; i++) {
        const struct core_notice notice = {
            .job = ended->job->name,
            .run = ended->run,
            .event = event,
            .item = (int64_t)i,
            .body = body.data,
        };

        if (wants(RC_OBJECT_AT(struct core_notify_settings, *items, i), event) &&
            core_ledger_add_notice(ledger, &notice, err))
            return rc_context(err, "tell of the run '%s'", ended->run);
    }
    return RC_OK;
}

enum rc_code core_notices_add(struct core_ledger *ledger, const struct core_ended_run *ended,
                              struct rc_error *err)
{
    bool failing = false;

    if (is_failure(ended))
        return add_event(ledger, ended, "failure", err);
    if (is_missed(ended))
        return add_event(ledger, ended, "missed", err);
    if (ended->status != CORE_RUN_SUCCEEDED)
        return RC_OK;
    if (anybody_wants(ended->job, "recovery") &&
        core_ledger_was_failing(ledger, ended->job->name, ended->run, &failing, err))
        return err->code;
    if (failing && add_event(ledger, ended, "recovery", err))
        return err->code;
    return add_event(ledger, ended, "success", err);
}

/* ---- sending --------------------------------------------------------------------------------- */

struct sender {
    struct core_notices *notices;
    struct core_child child;
    int64_t id, attempts;
    char *job, *event, *body;
    const char *url; /* of the configuration; used in the child only */
    struct sender *next;
};

struct core_notices {
    struct core_notices_options options;
    struct core_timer timer;
    bool failed;            /* the ledger did, and nobody has called since then */
    struct sender *senders; /* whose processes live */
    size_t count;
    struct sender *found; /* while the outbox is read */
    int64_t read_unix_ms; /* when that began */
};

static void free_sender(struct sender *sender)
{
    free(sender->job);
    free(sender->event);
    free(sender->body);
    free(sender);
}

static enum rc_code ignore(void *context, const char *data, size_t len, struct rc_error *err)
{
    (void)context;
    (void)data;
    (void)len;
    (void)err;
    return RC_OK;
}

static bool passes(unsigned status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

/*
 * The child: posts the body. What the receiver says matters only by its status. Where there is
 * none, whatever stands in the way may pass, an expired certificate too.
 */
static int post(void *context)
{
    static const struct core_http_header headers[] = {
        { "Content-Type", "application/json" },
        { "User-Agent", "run-core" },
    };
    const struct sender *sender = context;
    RC_STR_AUTO name = rc_strf("the notification '%s' of the job '%s'", sender->event, sender->job);
    const struct core_http_call call = {
        .name = name,
        .url = sender->url,
        .headers = headers,
        .header_count = RC_ARRAY_LEN(headers),
        .body = sender->body,
        .body_len = strlen(sender->body),
        .total_ms = CALL_MS,
        .on_body = ignore,
    };
    struct core_http_answer answer;
    struct rc_error err = RC_ERROR_INIT;
    unsigned status;
    bool answered;

    core_http_answer_init(&answer, 1);
    answered = core_http_call(&call, &answer, &err) == RC_OK || answer.status != 0;
    status = answer.status;
    core_http_answer_clear(&answer);
    if (!answered) {
        core_output_log(RC_LOG_WARN, NULL, 0, "%s was not delivered: %s%s%s", name, err.context,
                        err.context[0] ? ": " : "", err.cause);
        return TRY_AGAIN;
    }
    if (status >= 200 && status < 300)
        return SENT;
    core_output_log(RC_LOG_WARN, NULL, 0, "%s was not delivered: the receiver answered %u", name,
                    status);
    return passes(status) ? TRY_AGAIN : GIVE_UP;
}

/*
 * The timer fires at the earlier of what it was set for and this. Each look at the outbox sets it
 * for the first of those that wait.
 */
static void look_at(struct core_notices *notices, int64_t at_unix_ms)
{
    if (!notices->timer.loop || notices->timer.at_ms > at_unix_ms)
        core_timer_set(notices->options.nursery.loop, &notices->timer, at_unix_ms);
}

static void look_now(struct core_notices *notices)
{
    look_at(notices, core_clock_now_unix_ms());
}

/* Pauses are real ones, however fast the wall clock goes. */
static int64_t unix_ms_after(int64_t ms)
{
    return core_clock_now_unix_ms() + ms * core_clock_speed();
}

/* Until the next call of core_notices_wake(): what cannot be noted is not done again and again. */
static void lose_ledger(struct core_notices *notices, const struct rc_error *err)
{
    notices->failed = true;
    core_timer_cancel(&notices->timer);
    notices->options.lost_database(notices->options.context, err);
}

/* Notes in the outbox what became of it: 0, or when it is to be tried again. */
static void put_off(struct core_notices *notices, int64_t id, int64_t after_ms)
{
    int64_t at_unix_ms = after_ms ? unix_ms_after(after_ms) : 0;
    struct rc_error err = RC_ERROR_INIT;

    /* If that fails it is sent once more than needed, when the ledger is back. */
    if (core_ledger_put_off_notice(notices->options.ledger, id, at_unix_ms, &err))
        lose_ledger(notices, &err);
}

static void settle(struct core_notices *notices, const struct sender *sender, int how)
{
    if (how == TRY_AGAIN && sender->attempts + 1 < ATTEMPTS) {
        put_off(notices, sender->id, core_backoff_whole_ms(&backoff, sender->attempts + 1));
        return;
    }
    if (how == SENT) {
        (*notices->options.sent)++;
    } else {
        (*notices->options.failed)++;
        core_output_log(RC_LOG_ERROR, NULL, 0,
                        "the notification '%s' of the job '%s' was given up after %lld attempt%s",
                        sender->event, sender->job, (long long)sender->attempts + 1,
                        sender->attempts ? "s" : "");
    }
    put_off(notices, sender->id, 0);
}

static void unlink_sender(struct core_notices *notices, struct sender *sender)
{
    struct sender **at = &notices->senders;

    while (*at != sender)
        at = &(*at)->next;
    *at = sender->next;
    notices->count--;
}

static void on_end(void *context)
{
    struct sender *sender = context;
    struct core_notices *notices = sender->notices;
    int status = core_child_end(&sender->child, /* kill = */ false);

    unlink_sender(notices, sender);
    settle(notices, sender, WIFEXITED(status) ? WEXITSTATUS(status) : TRY_AGAIN);
    free_sender(sender);
    look_now(notices); /* there may be more than were taken up */
}

static bool is_being_sent(const struct core_notices *notices, int64_t id)
{
    for (const struct sender *sender = notices->senders; sender; sender = sender->next)
        if (sender->id == id)
            return true;
    return false;
}

/* Copies a row that is due: nothing is forked while the ledger is being read. */
static void keep(void *context, const struct core_notice *notice)
{
    struct core_notices *notices = context;
    const struct core_job_settings *job;
    struct sender *sender;

    if (is_being_sent(notices, notice->id))
        return;
    if (notice->not_before_unix_ms > notices->read_unix_ms) {
        look_at(notices, notice->not_before_unix_ms);
        return;
    }
    job = notices->options.find_job(notices->options.context, notice->job);
    sender = rc_calloc(1, sizeof(*sender));
    *sender = (struct sender){
        .notices = notices,
        .child = { .pidfd = -1 },
        .id = notice->id,
        .attempts = notice->attempts,
        .job = rc_strdup(notice->job),
        .event = rc_strdup(notice->event),
        .body = rc_strdup(notice->body),
        .next = notices->found,
    };
    if (job && (size_t)notice->item < job->notify.len)
        sender->url =
            RC_OBJECT_AT(struct core_notify_settings, job->notify, (size_t)notice->item)->url;
    notices->found = sender;
}

static void start(struct core_notices *notices, struct sender *sender)
{
    struct rc_error err = RC_ERROR_INIT;

    if (!sender->url) { /* nobody is named any more */
        put_off(notices, sender->id, 0);
        free_sender(sender);
        look_now(notices);
        return;
    }
    if (core_child_start(&notices->options.nursery, post, sender, -1, on_end, sender,
                         &sender->child, &err)) {
        look_at(notices, unix_ms_after(backoff.first_ms));
        free_sender(sender);
        return;
    }
    sender->next = notices->senders;
    notices->senders = sender;
    notices->count++;
}

static void send_some(void *context)
{
    struct core_notices *notices = context;
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;
    struct sender *next;

    if (notices->count >= AT_A_TIME || notices->failed)
        return;
    /* Those that are being sent are still in the outbox. */
    notices->read_unix_ms = core_clock_now_unix_ms();
    code =
        core_ledger_notices(notices->options.ledger, INT64_MAX, 2 * AT_A_TIME, keep, notices, &err);
    for (struct sender *sender = notices->found; sender; sender = next) {
        next = sender->next;
        if (code == RC_OK && notices->count < AT_A_TIME && !notices->failed)
            start(notices, sender);
        else
            free_sender(sender);
    }
    notices->found = NULL;
    if (code != RC_OK)
        lose_ledger(notices, &err);
}

struct core_notices *core_notices_new(const struct core_notices_options *options)
{
    struct core_notices *notices = rc_calloc(1, sizeof(*notices));

    notices->options = *options;
    notices->timer = (struct core_timer){
        .clock = CORE_TIMER_WALL,
        .fn = send_some,
        .context = notices,
    };
    return notices;
}

void core_notices_wake(struct core_notices *notices)
{
    notices->failed = false;
    look_now(notices);
}

void core_notices_close(struct core_notices *notices)
{
    if (!notices)
        return;
    core_timer_cancel(&notices->timer);
    while (notices->senders) {
        struct sender *sender = notices->senders;

        (void)core_child_end(&sender->child, /* kill = */ true);
        unlink_sender(notices, sender);
        free_sender(sender);
    }
    free(notices);
}
