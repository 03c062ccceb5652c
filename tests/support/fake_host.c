/*
 * The fake host itself: its life, the job, the log, and the faults that every service asks for
 * before it does anything. The services are in the other fake_*.c.
 */
#include "fake_internal.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const level_names[] = { "error", "warn", "info", "debug" };

void *fake_grow(void *array, size_t *count, size_t size)
{
    char *grown = rc_realloc(array, (*count + 1) * size);
    memset(grown + *count * size, 0, size);
    (*count)++;
    return grown;
}

void *fake_own(struct rc_fake_host *fake, void *memory)
{
    pthread_mutex_lock(&fake->mutex);
    fake->owned = fake_grow(fake->owned, &fake->owned_count, sizeof *fake->owned);
    fake->owned[fake->owned_count - 1] = memory;
    pthread_mutex_unlock(&fake->mutex);
    return memory;
}

void fake_opened(struct rc_fake_host *fake)
{
    pthread_mutex_lock(&fake->mutex);
    fake->open_handles++;
    pthread_mutex_unlock(&fake->mutex);
}

void fake_closed(struct rc_fake_host *fake)
{
    pthread_mutex_lock(&fake->mutex);
    fake->open_handles--;
    pthread_mutex_unlock(&fake->mutex);
}

/* ---- faults ------------------------------------------------------------------------------- */

/* The code of the rule that wants this call to fail, or RC_OK. Uses one of its times up. */
static enum rc_code match_rule(struct rc_fake_host *fake, const char *service, const char *subject)
{
    for (size_t i = 0; i < fake->rule_count; i++) {
        struct fake_rule *rule = &fake->rules[i];
        if (rule->times == 0 || (rule->service && strcmp(rule->service, service) != 0) ||
            (rule->subject && !strstr(subject, rule->subject)))
            continue;
        if (rule->times > 0)
            rule->times--;
        return rule->code;
    }
    return RC_OK;
}

enum rc_code fake_call(struct fake_job *job, const char *service, const char *subject,
                       struct rc_error *err)
{
    struct rc_fake_host *fake = job->fake;
    bool stopped = job->stop && atomic_load(job->stop);

    pthread_mutex_lock(&fake->mutex);
    int call = ++fake->calls;
    rc_fake_hook *hook = fake->is_dead ? NULL : fake->hook;
    void *hook_context = fake->hook_context;
    pthread_mutex_unlock(&fake->mutex);
    if (hook)
        hook(hook_context, fake, call, service, subject);

    pthread_mutex_lock(&fake->mutex);
    if (fake_death(job, service, call, err)) {
        pthread_mutex_unlock(&fake->mutex);
        return err->code;
    }
    bool fails_here = fake->fail_at != 0 && call == fake->fail_at;
    enum rc_code code = fails_here ? fake->fail_code : match_rule(fake, service, subject);
    if (fake->cancel_at != 0 && call >= fake->cancel_at)
        fake->cancelled = true;
    bool cancelled = fake->cancelled || stopped;
    bool late = fake->remaining_ms <= 0;
    pthread_mutex_unlock(&fake->mutex);

    if (code)
        return rc_fail(err, code, "injected fault at host call %d, %s", call, service);
    if (cancelled)
        return rc_fail(err, RC_CANCELLED, "the run was asked to stop");
    if (late)
        return rc_fail(err, RC_TIMEOUT, "the run's time is up");
    return RC_OK;
}

enum rc_code fake_rule(struct rc_fake_host *fake, const char *service, const char *subject,
                       struct rc_error *err)
{
    pthread_mutex_lock(&fake->mutex);
    enum rc_code code = match_rule(fake, service, subject);
    bool cancelled = fake->cancelled;
    pthread_mutex_unlock(&fake->mutex);

    if (code)
        return rc_fail(err, code, "injected fault in %s of '%s'", service, subject);
    return cancelled ? rc_fail(err, RC_CANCELLED, "the run was asked to stop") : RC_OK;
}

void rc_fake_host_fail_at(struct rc_fake_host *host, int n, enum rc_code code)
{
    RC_ASSERT(n == 0 || code != RC_OK);
    host->fail_at = n ? host->calls + n : 0;
    host->fail_code = code;
}

void rc_fake_host_fail_on(struct rc_fake_host *host, const char *service, const char *subject,
                          int times, enum rc_code code)
{
    RC_ASSERT(host->rule_count < FAKE_RULES && code != RC_OK);
    host->rules[host->rule_count++] = (struct fake_rule){
        .service = rc_strdup(service),
        .subject = rc_strdup(subject),
        .times = times,
        .code = code,
    };
}

void fake_rules_clear(struct rc_fake_host *fake)
{
    for (size_t i = 0; i < fake->rule_count; i++) {
        free(fake->rules[i].service);
        free(fake->rules[i].subject);
    }
    fake->rule_count = 0;
}

void rc_fake_host_cancel_at(struct rc_fake_host *host, int n)
{
    host->cancel_at = n ? host->calls + n : 0;
    host->cancelled = false;
}

bool fake_held_back(struct fake_job *job, const char *what, const char *subject)
{
    struct rc_fake_host *fake = job->fake;
    if (!job->job.dry_run)
        return false;
    pthread_mutex_lock(&fake->mutex);
    fake->held_back++;
    rc_buf_addf(&fake->log, "info: dry run: not made: %s '%s'\n", what, subject);
    pthread_mutex_unlock(&fake->mutex);
    return true;
}

/* ---- log ---------------------------------------------------------------------------------- */

static void log_write(struct rc_job *job, enum rc_log_level level,
                      const struct rc_log_field *fields, size_t field_count, const char *format,
                      ...) RC_PRINTF(5, 6);

static void log_write(struct rc_job *job, enum rc_log_level level,
                      const struct rc_log_field *fields, size_t field_count, const char *format,
                      ...)
{
    struct fake_job *self = fake_job_of(job);
    struct rc_fake_host *fake = self->fake;
    RC_BUF_AUTO(text, 64 << 10);
    va_list arguments;
    va_start(arguments, format);
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);

    pthread_mutex_lock(&fake->mutex);
    rc_buf_addf(&fake->log, "%s: %s", level_names[level], text.data);
    for (size_t i = 0; i < field_count; i++)
        rc_buf_addf(&fake->log, " %s=%s", fields[i].key, fields[i].value);
    rc_buf_addc(&fake->log, '\n');
    pthread_mutex_unlock(&fake->mutex);

    if (FAKE_BASE(self, log))
        self->base->host->log->write(self->base, level, fields, field_count, "%s", text.data);
}

static const struct rc_log_api log_api = { .write = log_write };

/* ---- job ---------------------------------------------------------------------------------- */

static enum rc_code job_check(struct rc_job *job, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = fake_call(self, "job.check", "", err);
    if (!code && FAKE_BASE(self, job))
        code = self->base->host->job->check(self->base, err);
    return code;
}

static int64_t job_remaining_ms(struct rc_job *job)
{
    struct rc_fake_host *fake = fake_job_of(job)->fake;
    pthread_mutex_lock(&fake->mutex);
    int64_t remaining_ms = fake->remaining_ms;
    pthread_mutex_unlock(&fake->mutex);
    return remaining_ms;
}

static void job_progress(struct rc_job *job, int64_t done, int64_t total, const char *unit)
{
    struct fake_job *self = fake_job_of(job);
    pthread_mutex_lock(&self->fake->mutex);
    self->fake->progress_done = done;
    self->fake->progress_total = total;
    pthread_mutex_unlock(&self->fake->mutex);
    if (FAKE_BASE(self, job))
        self->base->host->job->progress(self->base, done, total, unit);
}

static void job_count(struct rc_job *job, const char *name, int64_t delta)
{
    struct fake_job *self = fake_job_of(job);
    struct rc_fake_host *fake = self->fake;

    pthread_mutex_lock(&fake->mutex);
    size_t i = 0;
    while (i < fake->counter_count && strcmp(fake->counters[i].name, name) != 0)
        i++;
    if (strlen(name) >= sizeof fake->counters[0].name || i == FAKE_COUNTERS) {
        rc_buf_addf(&fake->log, "warn: ignoring counter '%s'\n", name);
    } else {
        if (i == fake->counter_count) {
            fake->counter_count++;
            memcpy(fake->counters[i].name, name, strlen(name) + 1);
        }
        fake->counters[i].sum += delta;
    }
    pthread_mutex_unlock(&fake->mutex);

    if (FAKE_BASE(self, job))
        self->base->host->job->count(self->base, name, delta);
}

static void job_say(struct rc_job *job, const char *text)
{
    struct rc_fake_host *fake = fake_job_of(job)->fake;
    pthread_mutex_lock(&fake->mutex);
    rc_buf_addf(&fake->said, "%s\n", text);
    pthread_mutex_unlock(&fake->mutex);
}

static void add_row(struct rc_buf *out, const char *const *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rc_buf_addf(out, "%s%s", i ? "\t" : "", cells[i] ? cells[i] : "");
    rc_buf_addc(out, '\n');
}

static void job_show(struct rc_job *job, const struct rc_table *table)
{
    struct rc_fake_host *fake = fake_job_of(job)->fake;
    pthread_mutex_lock(&fake->mutex);
    rc_buf_addf(&fake->shown, "%s\n", table->title ? table->title : "");
    add_row(&fake->shown, table->columns, table->column_count);
    for (size_t row = 0; row < table->row_count; row++)
        add_row(&fake->shown, table->cells + row * table->column_count, table->column_count);
    pthread_mutex_unlock(&fake->mutex);
}

static enum rc_code job_temp_dir(struct rc_job *job, const char **path, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    struct rc_fake_host *fake = self->fake;
    enum rc_code code = fake_call(self, "job.temp_dir", "", err);
    if (code)
        return code;
    if (FAKE_BASE(self, job))
        return self->base->host->job->temp_dir(self->base, path, err);

    pthread_mutex_lock(&fake->mutex);
    if (!fake->temp_dir) {
        const char *parent = getenv("TMPDIR");
        fake->temp_dir = rc_strf("%s/rc-fake-XXXXXX", parent ? parent : "/tmp");
        if (!mkdtemp(fake->temp_dir)) {
            code = rc_fail_errno(err, errno, "cannot make the directory '%s'", fake->temp_dir);
            rc_str_free(&fake->temp_dir);
        }
    }
    *path = fake->temp_dir;
    pthread_mutex_unlock(&fake->mutex);
    return code;
}

static enum rc_code job_day_of(struct rc_job *job, int64_t unix_ms, int32_t *day,
                               struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = fake_call(self, "job.day_of", "", err);
    if (code)
        return code;
    if (FAKE_BASE(self, job))
        return self->base->host->job->day_of(self->base, unix_ms, day, err);
    int64_t local = unix_ms + INT64_C(60000) * self->fake->offset_minutes;
    int64_t number = local / RC_DAY_MS - (local % RC_DAY_MS < 0);
    *day = (int32_t)number;
    return RC_OK;
}

static enum rc_code job_day_start(struct rc_job *job, int32_t day, int64_t *unix_ms,
                                  struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = fake_call(self, "job.day_start", "", err);
    if (code)
        return code;
    if (FAKE_BASE(self, job))
        return self->base->host->job->day_start(self->base, day, unix_ms, err);
    *unix_ms = day * RC_DAY_MS - INT64_C(60000) * self->fake->offset_minutes;
    return RC_OK;
}

static const struct rc_job_api job_api = {
    .check = job_check,
    .remaining_ms = job_remaining_ms,
    .progress = job_progress,
    .count = job_count,
    .say = job_say,
    .show = job_show,
    .temp_dir = job_temp_dir,
    .day_of = job_day_of,
    .day_start = job_day_start,
    .submit = fake_submit,
};

void rc_fake_host_set_remaining_ms(struct rc_fake_host *host, int64_t remaining_ms)
{
    host->remaining_ms = remaining_ms;
}

void rc_fake_host_set_zone(struct rc_fake_host *host, const char *name, int offset_minutes)
{
    host->main.job.time_zone = fake_own(host, rc_strdup(name));
    host->offset_minutes = offset_minutes;
}

void rc_fake_host_set_threads(struct rc_fake_host *host, bool threads)
{
    host->threads = threads;
}

/* ---- life --------------------------------------------------------------------------------- */

struct rc_fake_host *rc_fake_host_new(struct rc_job *base)
{
    struct rc_fake_host *fake = rc_calloc(1, sizeof *fake);
    fake->host = (struct rc_host){
        .abi_major = RC_ABI_MAJOR,
        .abi_minor = RC_ABI_MINOR,
        .log = &log_api,
        .job = &job_api,
        .storage = &fake_storage_api,
        .sql = &fake_sql_api,
        .db = &fake_db_api,
        .lock = &fake_lock_api,
        .parallel = &fake_parallel_api,
        .exchange = &fake_exchange_api,
        .http = &fake_http_api,
        .transfer = &fake_transfer_api,
        .bucket = &fake_bucket_api,
    };
    fake->engine_features = RC_SQL_FILES | RC_SQL_ORDERED | RC_SQL_CSV;
    fake->main.fake = fake;
    fake->main.base = base;
    if (base)
        fake->main.job = *base;
    else
        fake->main.job = (struct rc_job){
            .log_level = RC_LOG_DEBUG,
            .attempt = 1,
            .run_id = "fake-1",
            .plugin = "fake",
            .action = "fake",
            .now_unix_ms = INT64_C(1768478400000),
            .slot_unix_ms = INT64_C(1768478400000),
            .time_zone = "UTC",
            .working_dir = "/fake",
        };
    fake->main.job.host = &fake->host;
    pthread_mutex_init(&fake->mutex, NULL);
    fake->remaining_ms = INT64_MAX;
    rc_buf_init(&fake->log, FAKE_TEXT_LIMIT);
    rc_buf_init(&fake->said, FAKE_TEXT_LIMIT);
    rc_buf_init(&fake->shown, FAKE_TEXT_LIMIT);
    rc_buf_init(&fake->listed, FAKE_TEXT_LIMIT);
    rc_buf_init(&fake->reply_body, FAKE_TEXT_LIMIT);
    rc_buf_init(&fake->reply_headers, FAKE_TEXT_LIMIT);
    return fake;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void fake_temp_dir_clear(struct rc_fake_host *fake)
{
    if (fake->temp_dir)
        nftw(fake->temp_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    rc_str_free(&fake->temp_dir);
}

const char *rc_fake_host_temp_dir(const struct rc_fake_host *host)
{
    return host->temp_dir;
}

void rc_fake_host_free(struct rc_fake_host *host)
{
    if (!host)
        return;
    fake_storage_clear(host);
    fake_store_clear(host);
    fake_bucket_clear(host);
    fake_sql_clear(host);
    fake_http_clear(host);
    fake_submit_clear(host);
    fake_db_clear(host);
    fake_lock_clear(host);
    fake_versions_clear(host);
    fake_temp_dir_clear(host);
    fake_rules_clear(host);
    for (size_t i = 0; i < host->owned_count; i++)
        free(host->owned[i]);
    free(host->owned);
    rc_buf_clear(&host->log);
    rc_buf_clear(&host->said);
    rc_buf_clear(&host->shown);
    rc_buf_clear(&host->listed);
    rc_buf_clear(&host->reply_body);
    rc_buf_clear(&host->reply_headers);
    pthread_mutex_destroy(&host->mutex);
    free(host);
}

void rc_fake_host_clear(struct rc_fake_host **host)
{
    rc_fake_host_free(*host);
    *host = NULL;
}

struct rc_job *rc_fake_host_job(struct rc_fake_host *host)
{
    return &host->main.job;
}

/* ---- what the run did --------------------------------------------------------------------- */

int rc_fake_host_calls(const struct rc_fake_host *host)
{
    return host->calls;
}

int rc_fake_host_held_back(const struct rc_fake_host *host)
{
    return host->held_back;
}

int rc_fake_host_open_handles(const struct rc_fake_host *host)
{
    return host->open_handles;
}

const char *rc_fake_host_log(const struct rc_fake_host *host)
{
    return host->log.data;
}

const char *rc_fake_host_said(const struct rc_fake_host *host)
{
    return host->said.data;
}

const char *rc_fake_host_shown(const struct rc_fake_host *host)
{
    return host->shown.data;
}

int64_t rc_fake_host_counter(const struct rc_fake_host *host, const char *name)
{
    for (size_t i = 0; i < host->counter_count; i++)
        if (strcmp(host->counters[i].name, name) == 0)
            return host->counters[i].sum;
    return 0;
}

void rc_fake_host_progress(const struct rc_fake_host *host, int64_t *done, int64_t *total)
{
    *done = host->progress_done;
    *total = host->progress_total;
}
