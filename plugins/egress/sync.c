/*
 * The action 'sync': copies what differs from one place to another, and says what it did. How
 * objects are listed, compared and copied is the host's transfer; which folders are complete is of
 * folders.c, where a killed run was of tokens.c.
 */
#include "egress.h"
#include "folders.h"
#include "names.h"
#include "sides.h"
#include "tokens.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    TOKEN_LIMIT = 1 << 20,
    WHAT_LIMIT = 1 << 20,
    SIZE_TEXT = 32,
    COUNT_TEXT = 32,
};

struct sync {
    struct rc_job *job;
    const struct egress_config *config;
    struct egress_place source, target;
    struct egress_folders *folders; /* NULL: without require_manifest */
    struct egress_tokens tokens;
    struct rc_lock *lock;
    int64_t began_mono_ms;
    bool is_resumed;   /* the present pass: a part of the tree only, of which nothing is removed */
    bool is_overtaken; /* the lock was lost: the rest is of another run */

    /* Of the present pass; by the thread that reports. */
    int64_t skipped_bytes, lost, missing;
    struct rc_error first; /* of the failures */
    char *first_name;

    /* The manifests that follow, as the list of a transfer; its present item. */
    size_t manifest_at;
    char *manifest_source, *manifest_target;

    struct rc_transferred sum; /* what all passes did, and what the last one found */
};

/* ---- words ---- */

static char *size_text(double bytes, char out[SIZE_TEXT])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    size_t power = 0;

    /* What would be shown as 1024.00 is one of the next unit. */
    while (power + 1 < RC_ARRAY_LEN(units) && bytes >= (power == 0 ? 1024 : 1023.995)) {
        bytes /= 1024;
        power++;
    }
    (void)snprintf(out, SIZE_TEXT, power == 0 ? "%.0f %s" : "%.2f %s", bytes, units[power]);
    return out;
}

/* "10,000" */
static char *count_text(int64_t count, char out[COUNT_TEXT])
{
    char digits[COUNT_TEXT];
    size_t len = (size_t)snprintf(digits, sizeof(digits), "%" PRId64, count), at = 0;

    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

static int64_t mono_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say_total(struct sync *sync)
{
    const struct rc_transferred *sum = &sync->sum;
    char total[SIZE_TEXT], moved[SIZE_TEXT], speed[SIZE_TEXT];
    char objects[COUNT_TEXT], removed[COUNT_TEXT];
    int64_t took_ms = mono_ms() - sync->began_mono_ms;
    RC_STR_AUTO line = NULL;

    (void)size_text((double)sum->found_bytes, total);
    (void)size_text((double)sum->bytes, moved);
    (void)size_text((double)sum->bytes * 1000 / (double)(took_ms > 0 ? took_ms : 1), speed);
    if (sync->job->dry_run)
        line =
            rc_strf("Total: %s, Would transfer: %s (objects: %s), Would remove objects: %s", total,
                    moved, count_text(sum->objects, objects), count_text(sum->removed, removed));
    else
        line = rc_strf("Total: %s, Transferred: %s, Speed: %s/s", total, moved, speed);
    rc_job_say(sync->job, line);
}

/* ---- filters ---- */

/* As the shell's patterns, but a '*' stands for slashes too. */
static bool fits_one(const struct rc_strs *patterns, const char *name)
{
    for (size_t i = 0; i < patterns->len; i++)
        if (fnmatch(patterns->items[i], name, 0) == 0)
            return true;
    return false;
}

static bool fits_name(const struct sync *sync, const char *name)
{
    const struct egress_config *config = sync->config;

    return !fits_one(&config->exclude, name) &&
           (config->include.len == 0 || fits_one(&config->include, name));
}

static bool fits(const struct sync *sync, const struct rc_object *object)
{
    const struct egress_config *config = sync->config;
    int64_t age_ms = sync->job->now_unix_ms - object->stat.modified_unix_ms;
    int64_t size = object->stat.size_bytes;

    return fits_name(sync, object->name) &&
           (config->newer_than_ms == 0 || age_ms <= config->newer_than_ms) &&
           (config->older_than_ms == 0 || age_ms > config->older_than_ms) &&
           size >= config->min_bytes && (config->max_bytes == 0 || size <= config->max_bytes);
}

static bool wants(void *context, const struct rc_object *object)
{
    struct sync *sync = context;
    bool is_of_source = rc_str_starts(object->uri, sync->source.uri);
    bool fitting = fits(sync, object);

    if (!is_of_source && sync->is_resumed)
        return false;
    if (!sync->folders)
        return fitting;
    if (is_of_source)
        return egress_folders_wants(sync->folders, object, fitting);
    return fitting && egress_folders_may_remove(sync->folders, object->name);
}

/* ---- what the transfer tells ---- */

static void keep_first(struct sync *sync, const char *name, const struct rc_error *err)
{
    if (sync->first_name)
        return;
    sync->first = *err;
    sync->first_name = rc_strdup(name);
}

static void note_failure(struct sync *sync, const struct rc_transfer_report *report)
{
    const char *source = report->item.source, *target = report->item.target;
    RC_STR_AUTO name = source ? egress_place_show(&sync->source, source)
                              : egress_place_show(&sync->target, target);

    if (report->act == RC_TRANSFER_REMOVE)
        rc_error(sync->job, "`%s` was not removed: %s", name, report->err->cause);
    else
        rc_error(sync->job, "`%s` was not copied: %s", name, report->err->cause);
    keep_first(sync, name, report->err);
}

static void note_missing(void *context, const char *name)
{
    struct sync *sync = context;
    RC_STR_AUTO shown = rc_strf("%s%s", sync->source.shown, name);
    struct rc_error err = RC_ERROR_INIT;

    if (!fits_name(sync, name))
        return;
    (void)rc_fail(&err, RC_NOT_FOUND,
                  "it is not there, though the manifest of its folder lists it");
    rc_error(sync->job, "`%s` was not copied: %s", shown, err.cause);
    keep_first(sync, shown, &err);
    sync->missing++;
}

static void say_copied(struct sync *sync, const struct rc_transfer_item *item)
{
    RC_STR_AUTO source = egress_place_show(&sync->source, item->source);
    RC_STR_AUTO target = egress_place_show(&sync->target, item->target);
    RC_STR_AUTO line = rc_strf("`%s` -> `%s`", source, target);

    rc_job_say(sync->job, line);
}

static void say_removed(struct sync *sync, const struct rc_transfer_item *item)
{
    RC_STR_AUTO target = egress_place_show(&sync->target, item->target);
    RC_STR_AUTO line = rc_strf("Removed `%s`.", target);

    rc_job_say(sync->job, line);
}

static void told(void *context, const struct rc_transfer_report *report)
{
    struct sync *sync = context;

    if (report->err) {
        note_failure(sync, report);
        return;
    }
    sync->lost += report->lost != NULL;
    if (sync->folders && report->item.source)
        egress_folders_arrived(sync->folders, report->item.source + strlen(sync->source.uri));
    if (report->act == RC_TRANSFER_SKIP)
        sync->skipped_bytes += report->item.size_bytes > 0 ? report->item.size_bytes : 0;
    else if (sync->job->dry_run)
        return; /* the host says what would be done */
    else if (report->act == RC_TRANSFER_COPY)
        say_copied(sync, &report->item);
    else
        say_removed(sync, &report->item);
}

static void progressed(void *context, const struct rc_transferred *so_far)
{
    struct sync *sync = context;

    rc_job_progress(sync->job, so_far->bytes + sync->skipped_bytes, so_far->found_bytes, "bytes");
}

static enum rc_code check_lock(struct sync *sync, struct rc_error *err)
{
    if (sync->job->dry_run)
        return RC_OK;
    sync->is_overtaken = rc_lock_check(sync->job, sync->lock, err) != RC_OK;
    return sync->is_overtaken ? rc_context(err, "make sure that no other run has taken over")
                              : RC_OK;
}

static enum rc_code keep_token(void *context, const char *token, struct rc_error *err)
{
    struct sync *sync = context;

    if (check_lock(sync, err))
        return err->code;
    return egress_tokens_save(&sync->tokens, token, err);
}

/* ---- passes ---- */

/* Whether the run is to end, whatever else there may be to do. */
static bool ends(const struct sync *sync, enum rc_code code)
{
    return code == RC_CANCELLED || code == RC_TIMEOUT || sync->is_overtaken;
}

static void add_up(struct rc_transferred *sum, const struct rc_transferred *done)
{
    sum->objects += done->objects;
    sum->bytes += done->bytes;
    sum->removed += done->removed;
    sum->skipped += done->skipped;
    sum->failed += done->failed;
    sum->found += done->found;
    sum->found_bytes += done->found_bytes;
}

static enum rc_code run_pass(struct sync *sync, struct rc_transfer *transfer, struct rc_error *err)
{
    const struct egress_config *config = sync->config;
    struct rc_transferred done = { .objects = 0 };
    enum rc_code code;

    transfer->struct_bytes = sizeof(*transfer);
    transfer->flags |= RC_TRANSFER_KEEP_GOING;
    transfer->width = (unsigned)config->width;
    transfer->bytes_per_s = config->bytes_per_s;
    transfer->max_failures = config->max_failures;
    transfer->report = told;
    transfer->context = sync;
    code = rc_transfer_run(sync->job, transfer, &done, err);
    add_up(&sync->sum, &done);
    return code;
}

static enum rc_code run_tree(struct sync *sync, const char *resume, struct rc_error *err)
{
    const struct egress_config *config = sync->config;
    struct rc_transfer transfer = {
        .source = sync->source.uri,
        .target = sync->target.uri,
        .when = RC_TRANSFER_IF_DIFFERENT,
        .compare = config->compare,
        .wants = wants,
        .resume = resume,
        .progress = progressed,
        .checkpoint = sync->job->dry_run ? NULL : keep_token,
    };

    if (config->remove_extra) {
        transfer.flags = RC_TRANSFER_REMOVE_EXTRA | RC_TRANSFER_NOT_FROM_EMPTY;
        transfer.max_removed = config->max_delete;
    }
    return run_pass(sync, &transfer, err);
}

/* What was found and what failed counts again in the next pass. */
static void look_again(struct sync *sync)
{
    sync->sum.found = sync->sum.found_bytes = sync->sum.skipped = sync->sum.failed = 0;
    sync->skipped_bytes = 0;
    rc_str_free(&sync->first_name);
    sync->first_name = NULL;
    if (sync->folders)
        egress_folders_reset(sync->folders);
}

/*
 * Goes on where an earlier run was stopped, if one was, with the parts of large objects that it had
 * put. What lies before that may have changed since, so that all of it is compared afterwards.
 */
static enum rc_code resume(struct sync *sync, struct rc_error *err)
{
    RC_BUF_AUTO(token, TOKEN_LIMIT);
    enum rc_code code;

    if (sync->job->dry_run)
        return RC_OK;
    if (egress_tokens_load(&sync->tokens, &token, err))
        return err->code;
    if (token.len == 0)
        return RC_OK;
    rc_info(sync->job, "going on where an earlier run was stopped");
    sync->is_resumed = true;
    code = run_tree(sync, token.data, err);
    sync->is_resumed = false;
    if (ends(sync, code))
        return code;
    /* A token of another version, or what is to be removed: the pass over all settles it. */
    if (code == RC_INVALID || code == RC_CONFLICT)
        rc_info(sync->job, "comparing all anew: %s", err->cause);
    else if (code && sync->sum.failed == 0)
        return code;
    look_again(sync);
    return RC_OK;
}

static enum rc_code copy_tree(struct sync *sync, struct rc_error *err)
{
    enum rc_code code = resume(sync, err);

    return code ? code : run_tree(sync, /* resume = */ NULL, err);
}

/* ---- manifests ---- */

static enum rc_code next_manifest(void *context, struct rc_transfer_item *item, bool *more,
                                  struct rc_error *err)
{
    struct sync *sync = context;
    struct egress_following next;

    (void)err;
    *more = egress_folders_next(sync->folders, &sync->manifest_at, &next);
    if (!*more)
        return RC_OK;
    rc_str_free(&sync->manifest_source);
    rc_str_free(&sync->manifest_target);
    sync->manifest_source = rc_strf("%s%s" EGRESS_MANIFEST, sync->source.uri, next.name);
    sync->manifest_target = rc_strf("%s%s" EGRESS_MANIFEST, sync->target.uri, next.name);
    *item = (struct rc_transfer_item){
        .source = sync->manifest_source,
        .target = sync->manifest_target,
        .size_bytes = next.size_bytes,
        .etag = next.etag,
    };
    return RC_OK;
}

/* Each only as it was read: one that was replaced since belongs to other objects. */
static enum rc_code copy_manifests(struct sync *sync, bool is_listed, struct rc_error *err)
{
    struct rc_transfer transfer = { .next = next_manifest };

    if (check_lock(sync, err))
        return err->code;
    /* What was not come to is not missing: another run will tell. */
    if (is_listed && egress_folders_missing(sync->folders, note_missing, sync, err))
        return err->code;
    return run_pass(sync, &transfer, err);
}

/* ---- the run ---- */

static enum rc_code take_lock(struct sync *sync, struct rc_error *err)
{
    char digest[EGRESS_TOKEN_KEY];

    if (sync->job->dry_run)
        return RC_OK;
    egress_digest_text(sync->target.identity, digest);
    RC_STR_AUTO name = rc_strf("egress:sync:%s", digest);
    enum rc_code code = rc_lock_acquire(sync->job, name, /* wait_ms = */ 0, &sync->lock, err);
    if (code == RC_CONFLICT)
        return rc_fail(err, RC_SKIPPED, "another run copies to '%s': %s", sync->target.shown,
                       err->cause);
    return code ? rc_context(err, "take the lock of '%s'", sync->target.shown) : RC_OK;
}

/* Which transfer a token is of: all that decides what is copied. */
static void describe(const struct sync *sync, struct rc_buf *out)
{
    const struct egress_config *config = sync->config;

    rc_buf_addf(out, "%s\n%s\n%d %d %" PRId64 " %d\n", sync->source.identity, sync->target.identity,
                config->compare, config->remove_extra, config->max_delete,
                config->require_manifest);
    rc_buf_addf(out, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", config->newer_than_ms,
                config->older_than_ms, config->min_bytes, config->max_bytes);
    for (size_t i = 0; i < config->include.len; i++)
        rc_buf_addf(out, "+%s\n", config->include.items[i]);
    for (size_t i = 0; i < config->exclude.len; i++)
        rc_buf_addf(out, "-%s\n", config->exclude.items[i]);
}

static enum rc_code open_tokens(struct sync *sync, struct rc_error *err)
{
    RC_BUF_AUTO(what, WHAT_LIMIT);

    if (sync->job->dry_run)
        return RC_OK;
    describe(sync, &what);
    if (rc_buf_check(&what, err))
        return rc_context(err, "the options 'include' and 'exclude'");
    return egress_tokens_open(sync->job, what.data, &sync->tokens, err);
}

/* That a side is there, and its keys are right, is known before anything is done. */
static enum rc_code reach(struct sync *sync, struct egress_place *place, struct rc_error *err)
{
    const char *side = place->which == EGRESS_SOURCE ? "source" : "target";
    const struct rc_list_options shallow = { .shallow = true };
    const struct rc_object *object;
    struct rc_listing *listing;
    bool is_empty = false;
    enum rc_code code = egress_place_open(sync->job, sync->config, place->which, place, err);

    if (code)
        return code;
    code = rc_storage_list(sync->job, place->uri, &shallow, &listing, err);
    if (!code) {
        code = rc_storage_list_next(sync->job, listing, &object, err);
        is_empty = !code && !object;
        rc_storage_list_close(sync->job, listing);
    }
    if (code)
        return rc_context(err, "list the %s '%s'", side, place->shown);
    if (is_empty && place->which == EGRESS_SOURCE)
        rc_warn(sync->job, "there is nothing in the source '%s'; is that its name?", place->shown);
    if (place->is_defined) {
        RC_STR_AUTO line =
            rc_strf("Added `%s` successfully.", place->which == EGRESS_SOURCE ? "input" : "output");
        rc_job_say(sync->job, line);
    }
    return RC_OK;
}

static enum rc_code prepare(struct sync *sync, struct rc_error *err)
{
    sync->source.which = EGRESS_SOURCE;
    sync->target.which = EGRESS_TARGET;
    if (reach(sync, &sync->source, err) || reach(sync, &sync->target, err) ||
        take_lock(sync, err) || open_tokens(sync, err))
        return err->code;
    if (!sync->config->require_manifest)
        return RC_OK;
    if (egress_folders_wait(sync->job, sync->config, &sync->source, err) ||
        egress_folders_find(sync->job, sync->config, &sync->source, &sync->target, &sync->folders,
                            err))
        return err->code;
    return egress_folders_begin(sync->folders, err);
}

/* The numbers, and what came of the objects that failed. */
static enum rc_code conclude(struct sync *sync, enum rc_code code, struct rc_error *err)
{
    static const char *const names[] = { "objects", "bytes", "skipped", "removed", "failed" };
    const struct rc_transferred *sum = &sync->sum;
    const int64_t failures = sum->failed + sync->missing;
    const int64_t counts[] = { sum->objects, sum->bytes, sum->skipped, sum->removed, failures };
    const int64_t handled = sum->objects + sum->skipped + sum->removed + failures;
    char failed[COUNT_TEXT], all[COUNT_TEXT];

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        RC_STR_AUTO name = rc_strf("%s%s", sync->job->dry_run ? "dry_run_" : "", names[i]);

        rc_job_count(sync->job, name, counts[i]);
    }
    if (sync->lost > 0)
        rc_warn(sync->job, "%" PRId64 " object%s lost %s tags: the target has no such thing",
                sync->lost, sync->lost == 1 ? "" : "s", sync->lost == 1 ? "its" : "their");
    if (!code || handled > 0)
        say_total(sync);
    if (failures == 0 || ends(sync, code) || (code && sum->failed == 0))
        return code;
    return rc_fail(err, RC_FAILED, "%s of %s objects failed%s; first: `%s`: %s",
                   count_text(failures, failed), count_text(handled, all),
                   sum->failed >= sync->config->max_failures ? ", which ended it ('max_failures')"
                                                             : "",
                   sync->first_name, sync->first.cause);
}

static enum rc_code explain(struct sync *sync, enum rc_code code, struct rc_error *err)
{
    if (code == RC_CONFLICT && sync->config->remove_extra && !sync->is_overtaken)
        return rc_context(err, "remove what the source does not have ('delete', 'max_delete')");
    return code ? rc_context(err, "copy '%s' to '%s'", sync->source.shown, sync->target.shown)
                : RC_OK;
}

static enum rc_code work(struct sync *sync, struct rc_error *err)
{
    struct rc_error later = RC_ERROR_INIT;
    enum rc_code code = copy_tree(sync, err);

    bool is_listed = (!code || code == RC_CONFLICT) && sync->sum.failed == 0;

    if (sync->folders && !ends(sync, code) && copy_manifests(sync, is_listed, &later) && !code) {
        *err = later;
        code = later.code;
    }
    /*
     * Where it did not come to the end of the tree, the next run goes on; and where an object
     * failed it knows which uploads were left, to go on with them or to give them up.
     */
    if (sync->job->dry_run || (code && code != RC_CONFLICT) || sync->sum.failed > 0)
        return code;
    if (egress_tokens_drop(&sync->tokens, &later) && !code) {
        *err = later;
        code = later.code;
    }
    return code;
}

static void clear(struct sync *sync)
{
    egress_tokens_close(&sync->tokens);
    rc_lock_release(sync->job, sync->lock);
    egress_folders_free(sync->folders);
    egress_place_clear(&sync->source);
    egress_place_clear(&sync->target);
    rc_str_free(&sync->first_name);
    rc_str_free(&sync->manifest_source);
    rc_str_free(&sync->manifest_target);
}

enum rc_code egress_sync(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct sync sync = { .job = job, .config = config, .tokens.job = job };
    enum rc_code code = prepare(&sync, err);

    if (!code) {
        sync.began_mono_ms = mono_ms(); /* what was waited for is no part of the speed */
        code = work(&sync, err);
        if (code && sync.sum.failed == 0)
            code = explain(&sync, code, err);
        code = conclude(&sync, code, err);
    }
    clear(&sync);
    return code;
}
