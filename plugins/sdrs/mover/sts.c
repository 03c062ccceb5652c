/*
 * The mover 'sts': sees to it that transfer jobs of Google's have all prefixes of a record. Those
 * of the pool are sts_pool.c's; what became of them is sts_validate.c's to find out.
 */
#include "sts.h"

#include <openssl/evp.h>
#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_BYTES = 4 << 20,
    HASH_BYTES = 16, /* of SHA-256, in a name */
};

/* ---- what is checked beforehand -------------------------------------------------------------- */

/* The service takes a job as a whole or not at all: better to say which prefix it would not. */
static enum rc_code check_prefixes(const struct sdrs_prefixes *prefixes, struct rc_error *err)
{
    for (size_t i = 0; i < prefixes->count; i++) {
        const char *text = prefixes->items[i];
        SDRS_JSON_AUTO json = json_string(text);

        if (strlen(text) > SDRS_PREFIX_BYTES)
            return rc_fail(err, RC_INVALID,
                           "the prefix '%.80s...' has more than the %d bytes that Storage Transfer "
                           "Service takes; use 'mover: direct'",
                           text, SDRS_PREFIX_BYTES);
        if (!*text || *text == '/' || strpbrk(text, "\r\n") || !json)
            return rc_fail(err, RC_INVALID,
                           "the prefix '%.80s' is none for Storage Transfer Service: it is empty, "
                           "begins with a slash, has a line's end or is not UTF-8; use 'mover: "
                           "direct'",
                           text);
    }
    return RC_OK;
}

/* The name in "gs://name/"; NULL: that is none. The caller frees it. */
static char *bucket_name(const char *uri)
{
    static const char scheme[] = "gs://";

    if (!rc_str_starts(uri, scheme))
        return NULL;
    uri += strlen(scheme);
    return rc_strndup(uri, strcspn(uri, "/"));
}

static enum rc_code work_init(struct sts_work *work, struct rc_job *job,
                              const struct sdrs_move *move, struct rc_error *err)
{
    const struct sdrs_record *record = move->record;

    *work = (struct sts_work){
        .job = job,
        .move = move,
        .google = sdrs_transfer_service(job, move->config),
        .source = bucket_name(record->bucket),
        .sink = bucket_name(record->shadow),
        .is_whole = move->includes->count == 1 && !*move->includes->items[0],
    };
    if (!work->source || !work->sink)
        return rc_fail(err, RC_INVALID,
                       "Storage Transfer Service moves between gs:// buckets alone, not from '%s' "
                       "to '%s'; use 'mover: auto'",
                       record->bucket, record->shadow);
    if (!record->project || !*record->project)
        return rc_fail(err, RC_INVALID, "Storage Transfer Service needs a project for '%s'",
                       record->bucket);
    if ((!work->is_whole && check_prefixes(move->includes, err)) ||
        check_prefixes(move->excludes, err))
        return err->code;
    return RC_OK;
}

static void work_clear(struct sts_work *work)
{
    free(work->source);
    free(work->sink);
    sts_parts_clear(&work->parts);
}

/* ---- the record ------------------------------------------------------------------------------ */

static void put_parts(struct sts_work *work)
{
    RC_BUF_AUTO(text, TEXT_BYTES);

    sts_parts_write(&work->parts, &text);
    free(work->move->record->transfers);
    work->move->record->transfers = rc_buf_take(&text);
}

enum rc_code sts_keep(struct sts_work *work, struct rc_error *err)
{
    put_parts(work);
    if (!sdrs_jobs_keep(work->move->state, work->move->record, err))
        return RC_OK;
    work->state_failed = true;
    return rc_context(err, "keep which transfer jobs are asked for");
}

static void put_message(struct sdrs_record *record, char *message)
{
    free(record->message);
    record->message = message;
}

/* What is the service's fault is the record's; what else went wrong is the run's. */
static enum rc_code conclude(struct sts_work *work, enum rc_code code, struct rc_error *err)
{
    struct sdrs_record *record = work->move->record;

    if (work->state_failed || code == RC_CANCELLED ||
        (code == RC_TIMEOUT && rc_job_remaining_ms(work->job) == 0))
        return code;
    put_parts(work);
    if (code) {
        record->status = SDRS_JOB_ERROR;
        put_message(record, rc_strf("%s%s%s", err->context, *err->context ? ": " : "", err->cause));
        return RC_OK;
    }
    record->status = work->parts.count > 0 ? SDRS_JOB_PENDING : SDRS_JOB_SUCCESS;
    return RC_OK;
}

/* ---- jobs of its own ------------------------------------------------------------------------- */

void sts_excludes_within(const struct sts_work *work, const struct sdrs_prefixes *includes,
                         struct sdrs_prefixes *out)
{
    const struct sdrs_prefixes *excludes = work->move->excludes;

    for (size_t i = 0; i < excludes->count; i++)
        if (work->is_whole || sdrs_prefixes_cover(includes, excludes->items[i]))
            sdrs_prefixes_add(out, excludes->items[i]);
}

char *sts_description(const struct sdrs_record *record)
{
    if (record->rule == 0)
        return rc_strf("run-core sdrs: delete markers, job %" PRId64 ", batch %.128s", record->id,
                       record->batch);
    return rc_strf("run-core sdrs: %s rule %" PRId64 " version %" PRId64 ", job %" PRId64
                   ", batch %.128s",
                   record->type, record->rule, record->rule_version, record->id, record->batch);
}

/*
 * The same for the same record, so that a repetition makes no second job; another one for that
 * record's number in another state database.
 */
static char *name_of(const struct sts_work *work, size_t part)
{
    const struct sdrs_record *record = work->move->record;
    RC_STR_AUTO text =
        rc_strf("%s\n%s\n%" PRId64 "\n%s\n%s\n%s", record->batch,
                record->execution ? record->execution : "", record->created_unix_ms,
                record->project, record->bucket, record->prefixes ? record->prefixes : "");
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hash[2 * HASH_BYTES + 1];

    RC_ASSERT(EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < HASH_BYTES; i++)
        (void)snprintf(hash + 2 * i, 3, "%02x", digest[i]);
    return rc_strf("transferJobs/sdrs-%" PRId64 "-%zu-%s", record->id, part, hash);
}

/* As many includes from 'first' on as one job takes, and the excludes within them. */
static enum rc_code choose_part(const struct sts_work *work, size_t first, size_t *count,
                                struct sdrs_prefixes *excludes, struct rc_error *err)
{
    const struct sdrs_prefixes *all = work->move->includes;
    size_t most = (size_t)work->move->config->max_prefixes;

    for (*count = all->count - first < most ? all->count - first : most; *count > 0; *count /= 2) {
        struct sdrs_prefixes includes = { .items = all->items + first, .count = *count };

        sts_excludes_within(work, &includes, excludes);
        if (excludes->count <= SDRS_TRANSFER_PREFIXES)
            return RC_OK;
        sdrs_prefixes_clear(excludes);
    }
    return rc_fail(err, RC_UNSUPPORTED,
                   "'%s' has more than %d prefixes that are to be left alone below '%s', more than "
                   "a transfer job takes; use 'mover: direct'",
                   work->move->record->bucket, SDRS_TRANSFER_PREFIXES, all->items[first]);
}

/* Decides on them all before the first is made. */
static enum rc_code plan_parts(struct sts_work *work, struct rc_error *err)
{
    while (work->placed < work->move->includes->count) {
        struct sdrs_prefixes excludes = { .items = NULL };
        struct sts_part *part;
        size_t count;

        if (choose_part(work, work->placed, &count, &excludes, err))
            return err->code;
        sdrs_prefixes_clear(&excludes);
        part = sts_parts_add(&work->parts);
        part->name = name_of(work, work->parts.count);
        part->project = rc_strdup(work->move->record->project);
        part->first = work->placed;
        part->count = count;
        work->placed += count;
    }
    return RC_OK;
}

static enum rc_code make_part(struct sts_work *work, const struct sts_part *part,
                              struct rc_error *err)
{
    const struct sdrs_move *move = work->move;
    struct sdrs_prefixes includes = { .items = move->includes->items + part->first,
                                      .count = work->is_whole ? 0 : part->count };
    struct sdrs_prefixes excludes = { .items = NULL };
    const struct sdrs_transfer_spec spec = {
        .source = work->source,
        .sink = work->sink,
        .includes = &includes,
        .excludes = &excludes,
        .modified_before_unix_ms = move->record->modified_before_unix_ms,
        .keep_existing = move->config->collision == SDRS_COLLISION_KEEP,
    };
    RC_STR_AUTO description = sts_description(move->record);
    enum rc_code code;

    sts_excludes_within(work, &includes, &excludes);
    code = sdrs_transfer_create(&work->google, part->project, part->name, description, &spec,
                                work->job->now_unix_ms, err);
    sdrs_prefixes_clear(&excludes);
    return code == RC_CONFLICT ? RC_OK : code; /* it is there: asked for before */
}

static enum rc_code make_parts(struct sts_work *work, struct rc_error *err)
{
    size_t first = work->parts.count;

    if (plan_parts(work, err) || sts_keep(work, err))
        return err->code;
    for (size_t i = first; i < work->parts.count; i++)
        if (make_part(work, &work->parts.items[i], err))
            return err->code;
    return RC_OK;
}

/* ---- a record -------------------------------------------------------------------------------- */

static enum rc_code fail_without_pool(const struct sts_work *work, struct rc_error *err)
{
    const struct sdrs_record *record = work->move->record;
    size_t count = work->move->includes->count;

    if (work->parts.count == 0)
        return rc_fail(err, RC_FAILED,
                       "no job of the pool has room for '%s' in the project '%s', and "
                       "'sts.jobPoolOnly' allows no others; make a pool for its type by POST "
                       "/stsjobpool",
                       record->bucket, record->project);
    return rc_fail(err, RC_FAILED,
                   "all jobs of the pool of '%s' are full until they have run: %zu of %zu prefixes "
                   "wait for the next execution; add jobs to the pool, or allow others by "
                   "'sts.jobPoolOnly: false'",
                   record->bucket, count - work->placed, count);
}

static enum rc_code place(struct sts_work *work, struct rc_error *err)
{
    if (sts_use_pool(work, err))
        return err->code;
    if (work->placed == work->move->includes->count)
        return RC_OK;
    if (work->move->config->pool_only)
        return fail_without_pool(work, err);
    return make_parts(work, err);
}

enum rc_code sdrs_move_sts(struct rc_job *job, const struct sdrs_move *move, struct rc_error *err)
{
    RC_CLEANUP(work_clear) struct sts_work work;
    enum rc_code code = work_init(&work, job, move, err);

    if (!code)
        code = place(&work, err);
    return conclude(&work, code, err);
}
