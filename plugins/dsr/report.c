/*
 * Reports: named in the journal, written below the archive, noted as written; and the action that
 * prints what they say. What a line says is in report_lines.c.
 */
#include "report.h"
#include "report_lines.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_TEXT = 192, CHUNK_BYTES = 1 << 20, CHUNK_LIMIT = 32 << 20, NAMES_LIMIT = 16 << 20 };

#define LOCK_WAIT_MS INT64_C(600000)

/* ---- naming ---------------------------------------------------------------------------------- */

struct naming {
    const struct dsr_config *config;
    const struct dsr_places *places;
};

/* "20260131T235959250Z-RUN": sorts by time, and no two runs make the same. */
static void make_name(const struct rc_job *job, int64_t now_unix_ms, char out[NAME_TEXT])
{
    int year, month, day;
    int64_t in_day_ms = now_unix_ms % RC_DAY_MS;

    rc_day_to_date((int32_t)(now_unix_ms / RC_DAY_MS), &year, &month, &day);
    (void)snprintf(out, NAME_TEXT, "%04d%02d%02dT%02d%02d%02d%03dZ-%.150s", year, month, day,
                   (int)(in_day_ms / 3600000), (int)(in_day_ms / 60000 % 60),
                   (int)(in_day_ms / 1000 % 60), (int)(in_day_ms % 1000), job->run_id);
}

static enum rc_code insert_report(struct dsr_journal *journal, const struct naming *naming,
                                  const char *name, int64_t now_unix_ms, struct rc_error *err)
{
    RC_STR_AUTO file = rc_strf("%s.jsonl", name);
    RC_STR_AUTO uri = dsr_place_report(naming->places, file);
    const struct rc_value values[] = {
        rc_value_text(name),
        rc_value_text(journal->scope),
        rc_value_bytes(uri, strlen(uri)),
        rc_value_text(naming->config->environment),
        rc_value_text(naming->config->product),
        rc_value_text(naming->config->deployment),
        rc_value_text(journal->job->run_id),
        rc_value_int(now_unix_ms),
    };

    return rc_db_exec(journal->job, journal->db,
                      "INSERT INTO reports (name, scope, uri, environment, product, deployment,"
                      " run, named_unix_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                      values, RC_ARRAY_LEN(values), NULL, err);
}

/* Gives the report all that none has. Nothing at all: there is no report. */
static enum rc_code name_report(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    const struct naming *naming = context;
    int64_t now_unix_ms = dsr_journal_now_unix_ms(), erasures, requests;
    char name[NAME_TEXT];
    struct rc_value values[] = { rc_value_text(journal->scope), rc_value_null() };

    make_name(journal->job, now_unix_ms, name);
    values[1] = rc_value_text(name);
    if (rc_db_exec(journal->job, journal->db,
                   "UPDATE erasures SET report = $2 WHERE scope = $1 AND report IS NULL"
                   " AND closed_unix_ms IS NOT NULL AND state >= 2",
                   values, RC_ARRAY_LEN(values), &erasures, err) ||
        rc_db_exec(journal->job, journal->db,
                   "UPDATE requests SET report = $2 WHERE scope = $1 AND report IS NULL", values,
                   RC_ARRAY_LEN(values), &requests, err))
        return err->code;
    if (erasures + requests == 0)
        return RC_OK;
    return insert_report(journal, naming, name, now_unix_ms, err);
}

/* ---- writing --------------------------------------------------------------------------------- */

struct writing {
    struct rc_job *job;
    struct rc_writer *writer;
    struct rc_buf chunk;
    int64_t lines;
};

static enum rc_code flush(struct writing *writing, struct rc_error *err)
{
    if (rc_buf_check(&writing->chunk, err) ||
        rc_storage_write(writing->job, writing->writer, writing->chunk.data, writing->chunk.len,
                         err))
        return err->code;
    rc_buf_reset(&writing->chunk);
    return RC_OK;
}

static enum rc_code write_line(void *context, const struct rc_buf *line, struct rc_error *err)
{
    struct writing *writing = context;

    rc_buf_add(&writing->chunk, line->data, line->len);
    rc_buf_addc(&writing->chunk, '\n');
    writing->lines++;
    return writing->chunk.len < CHUNK_BYTES ? RC_OK : flush(writing, err);
}

static enum rc_code write_lines(struct writing *writing, struct dsr_journal *journal,
                                const struct dsr_config *config, const char *name, const char *uri,
                                struct rc_error *err)
{
    const struct dsr_report_choice choice = { .report = name, .since_unix_ms = INT64_MIN };

    if (rc_storage_create(writing->job, uri, NULL, &writing->writer, err))
        return err->code;
    if (dsr_report_lines(journal, &choice, config, write_line, writing, err) || flush(writing, err))
        return err->code;
    return rc_storage_commit(writing->job, writing->writer, err);
}

static enum rc_code note_written(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    const struct rc_value values[] = {
        rc_value_text(context),
        rc_value_int(dsr_journal_now_unix_ms()),
    };

    return rc_db_exec(journal->job, journal->db,
                      "UPDATE reports SET written_unix_ms = $2 WHERE name = $1", values,
                      RC_ARRAY_LEN(values), NULL, err);
}

/* What a run that died has begun to upload; the name is this report's alone. */
static enum rc_code give_up_upload(struct rc_job *job, const char *uri, struct rc_error *err)
{
    enum rc_code code = rc_storage_sweep_object(job, uri, 0, INT64_MAX, NULL, err);

    return code == RC_DENIED || code == RC_UNSUPPORTED ? RC_OK : code;
}

static enum rc_code write_report(struct rc_job *job, struct dsr_journal *journal,
                                 const struct dsr_config *config, const char *name, const char *uri,
                                 struct rc_error *err)
{
    struct writing writing = { .job = job, .chunk = RC_BUF_INIT(CHUNK_LIMIT) };
    enum rc_code code = give_up_upload(job, uri, err);

    if (!code)
        code = write_lines(&writing, journal, config, name, uri, err);
    rc_storage_write_close(job, writing.writer);
    rc_buf_clear(&writing.chunk);
    if (code)
        return rc_context(err, "write the record '%s'", uri);
    if (dsr_journal_transact(journal, note_written, (void *)name, err))
        return rc_context(err, "note in the journal that '%s' is written", uri);
    rc_info(job, "wrote the record '%s', lines: %lld", uri, (long long)writing.lines);
    return RC_OK;
}

/* Texts in pairs, a report's name and its place; each ends with a NUL. */
static enum rc_code load_unwritten(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    struct rc_buf *texts = context;
    const struct rc_value scope = rc_value_text(journal->scope);
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    if (rc_db_query(journal->job, journal->db,
                    "SELECT name, uri FROM reports WHERE scope = $1 AND written_unix_ms IS NULL"
                    " ORDER BY name",
                    &scope, 1, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return rc_buf_check(texts, err);
        for (size_t i = 0; i < 2; i++) {
            rc_buf_add(texts, row[i].text, row[i].len);
            rc_buf_addc(texts, '\0');
        }
    }
}

static enum rc_code write_unwritten(struct rc_job *job, struct dsr_journal *journal,
                                    const struct dsr_config *config, struct rc_error *err)
{
    RC_BUF_AUTO(texts, NAMES_LIMIT);

    if (dsr_journal_read(journal, load_unwritten, &texts, err))
        return rc_context(err, "read in the journal which record is not written");
    for (size_t at = 0; at < texts.len;) {
        const char *name = texts.data + at, *uri = name + strlen(name) + 1;

        at += strlen(name) + strlen(uri) + 2;
        if (write_report(job, journal, config, name, uri, err))
            return err->code;
    }
    return RC_OK;
}

/*
 * One run at a time writes: who finishes another one's report gives up the upload that was begun of
 * it, and that run may be alive.
 */
enum rc_code dsr_report_write(struct rc_job *job, struct dsr_journal *journal,
                              const struct dsr_config *config, const struct dsr_places *places,
                              struct rc_error *err)
{
    RC_STR_AUTO name = rc_strf("dsr %s report", places->scope);
    struct naming naming = { config, places };
    struct rc_lock *lock;
    enum rc_code code;

    if (dsr_journal_transact(journal, name_report, &naming, err))
        return rc_context(err, "name the record in the journal");
    if (rc_lock_acquire(job, name, LOCK_WAIT_MS, &lock, err))
        return rc_context(err, "wait for another run that writes the record");
    code = write_unwritten(job, journal, config, err);
    rc_lock_release(job, lock);
    return code;
}

/* ---- the action ------------------------------------------------------------------------------ */

struct printing {
    struct rc_job *job;
    int64_t lines;
};

static enum rc_code print_line(void *context, const struct rc_buf *line, struct rc_error *err)
{
    struct printing *printing = context;

    rc_job_say(printing->job, line->data);
    printing->lines++;
    return rc_job_check(printing->job, err);
}

static void say_nothing(struct rc_job *job, const struct dsr_report_params *params)
{
    char day[RC_DAY_TEXT];

    if (params->since == RC_DAY_NONE)
        rc_job_say(job,
                   params->user ? "nothing was erased of this user" : "nothing was erased yet");
    else {
        RC_STR_AUTO text =
            rc_strf("nothing was erased%s since %s", params->user ? " of this user" : "",
                    rc_format_day(params->since, day));
        rc_job_say(job, text);
    }
}

static enum rc_code print_lines(struct rc_job *job, struct dsr_journal *journal,
                                const struct dsr_config *config, struct rc_error *err)
{
    const struct dsr_report_params *params = job->params;
    struct dsr_report_choice choice = { .since_unix_ms = INT64_MIN };
    struct printing printing = { .job = job };
    char user[DSR_HASH_TEXT];

    if (params->user) {
        dsr_journal_hash_bytes(journal, params->user, strlen(params->user), user);
        choice.user_hash = user;
    }
    if (params->since != RC_DAY_NONE &&
        rc_job_day_start(job, params->since, &choice.since_unix_ms, err))
        return err->code;
    if (dsr_report_lines(journal, &choice, config, print_line, &printing, err))
        return rc_context(err, "read the record");
    if (printing.lines == 0)
        say_nothing(job, params);
    return RC_OK;
}

enum rc_code dsr_report_run(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct dsr_places places;
    struct dsr_journal *journal;
    enum rc_code code;

    if (dsr_places_make(config, job->working_dir, &places, err))
        return err->code;
    code = dsr_journal_open(job, config, &places, &journal, err);
    if (!code) {
        code = print_lines(job, journal, config, err);
        dsr_journal_close(journal);
    }
    dsr_places_clear(&places);
    return code;
}
