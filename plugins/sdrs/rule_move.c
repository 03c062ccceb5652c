/*
 * What a rule moves at a time: which prefixes, what of them not, and how much that is. Who moves
 * it is the movers' business.
 */
#include "run.h"

#include "storage_name.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIXES_BYTES = 16 << 20, PREFIX_BYTES = 4096 };

struct making {
    struct rc_job *job;
    const struct sdrs_config *config;
    const struct sdrs_bucket_work *bucket;
    const struct sdrs_rule *rule;
    int64_t now_unix_ms;
    struct sdrs_rule_move *kept;
};

static int64_t cut_to_hour(int64_t unix_ms)
{
    struct sdrs_hour hour = sdrs_hour_of(unix_ms);

    return sdrs_hour_unix_ms(&hour);
}

static void add_all(struct sdrs_prefixes *out, const struct sdrs_prefixes *more)
{
    for (size_t i = 0; i < more->count; i++)
        sdrs_prefixes_add(out, more->items[i]);
}

/* ---- datasets by time ----------------------------------------------------------------------- */

/* Names come in the order of their bytes, and years have four digits: the first one is the oldest.
 */
static enum rc_code first_year(const struct making *making, struct rc_listing *listing,
                               const char *literal, int *year, struct rc_error *err)
{
    const struct rc_object *object;

    for (;;) {
        if (rc_storage_list_next(making->job, listing, &object, err))
            return err->code;
        if (!object)
            return RC_OK;
        RC_STR_AUTO path = rc_strf("%s%s", literal, object->name);

        if (sdrs_template_year_of(&making->kept->template, path, year))
            return RC_OK;
    }
}

/* The year in which the dataset begins; 0: it has no path with a time. */
static enum rc_code oldest_year(const struct making *making, int *year, struct rc_error *err)
{
    const struct sdrs_template *template = &making->kept->template;
    RC_STR_AUTO literal = rc_strndup(template->text, template->begin[SDRS_YEAR]);
    RC_STR_AUTO prefix = rc_strf("%s%s%s", making->bucket->bucket, making->kept->scope, literal);
    const struct rc_list_options shallow = { .shallow = true };
    struct rc_listing *listing;
    enum rc_code code;

    *year = 0;
    if (rc_storage_list(making->job, prefix, &shallow, &listing, err))
        return rc_context(err, "look for the oldest year below '%s'", prefix);
    code = first_year(making, listing, literal, year, err);
    rc_storage_list_close(making->job, listing);
    return code ? rc_context(err, "look for the oldest year below '%s'", prefix) : RC_OK;
}

static enum rc_code include_times(const struct making *making, struct sdrs_move *move,
                                  struct rc_error *err)
{
    const struct sdrs_config *config = making->config;
    struct sdrs_rule_move *kept = making->kept;
    int64_t limit = cut_to_hour(making->now_unix_ms - sdrs_retention_ms(making->rule));
    int64_t oldest = limit - config->max_look_back_days * RC_DAY_MS;
    int year;

    if (sdrs_template_parse(config->path_template, &kept->template, err))
        return err->code;
    move->template = &kept->template;
    move->limit_unix_ms = limit;
    if (config->max_look_back_days == 0) {
        if (oldest_year(making, &year, err))
            return err->code;
        if (year == 0)
            return RC_OK;
        oldest = sdrs_hour_unix_ms(&(struct sdrs_hour){ .year = year, .month = 1, .day = 1 });
    }
    if (oldest < limit)
        sdrs_time_prefixes(&kept->template, kept->scope, limit, oldest, &kept->includes);
    return RC_OK;
}

/* ---- datasets by version -------------------------------------------------------------------- */

static enum rc_code list_directories(const struct making *making, struct rc_listing *listing,
                                     struct sdrs_prefixes *out, struct rc_error *err)
{
    const struct rc_object *object;
    RC_BUF_AUTO(total, PREFIXES_BYTES); /* bounds what is kept */

    for (;;) {
        if (rc_storage_list_next(making->job, listing, &object, err))
            return err->code;
        if (!object)
            return RC_OK;
        if (!object->is_prefix ||
            (making->kept->scope[0] == '\0' && rc_str_starts(object->name, ".run-core/")))
            continue;
        sdrs_prefixes_add(out, object->name);
        rc_buf_adds(&total, object->name);
        if (rc_buf_check(&total, err))
            return err->code;
    }
}

static enum rc_code include_versions(const struct making *making, struct rc_error *err)
{
    RC_STR_AUTO prefix = rc_strf("%s%s", making->bucket->bucket, making->kept->scope);
    const struct rc_list_options shallow = { .shallow = true };
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes directories = { 0 };
    struct rc_listing *listing;
    enum rc_code code;

    if (rc_storage_list(making->job, prefix, &shallow, &listing, err))
        return rc_context(err, "list the versions below '%s'", prefix);
    code = list_directories(making, listing, &directories, err);
    rc_storage_list_close(making->job, listing);
    if (code)
        return rc_context(err, "list the versions below '%s'", prefix);
    sdrs_version_prefixes(making->kept->scope, &directories, making->rule->period,
                          &making->kept->includes);
    return RC_OK;
}

/* ---- the rest of a bucket ------------------------------------------------------------------- */

/* "logs/; tmp/": empty ones count for nothing. */
static void add_listed(const char *list, struct sdrs_prefixes *out)
{
    while (list && *list) {
        size_t len = strcspn(list, ";"), begin = strspn(list, " \t"), end = len;

        while (end > begin && strchr(" \t", list[end - 1]))
            end--;
        if (end > begin) {
            RC_STR_AUTO prefix = rc_strndup(list + begin, end - begin);

            sdrs_prefixes_add(out, prefix);
        }
        list += len + (list[len] == ';');
    }
}

static enum rc_code include_rest(const struct making *making, struct sdrs_prefixes *held,
                                 struct rc_error *err)
{
    if (making->rule->unit == SDRS_VERSION)
        return rc_fail(err, RC_INVALID,
                       "a %s rule goes by the age of objects and cannot keep versions: change it "
                       "to a number of days or months",
                       sdrs_rule_type_name(making->rule->type));
    making->kept->record.modified_before_unix_ms =
        making->now_unix_ms - sdrs_retention_ms(making->rule);
    sdrs_prefixes_add(&making->kept->includes, "");
    add_all(held, &making->bucket->all_datasets);
    add_listed(making->config->default_excludes, held);
    return RC_OK;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static enum rc_code read_scope(const struct making *making, struct rc_error *err)
{
    struct sdrs_place place = { 0 };

    if (making->rule->type != SDRS_DATASET) {
        making->kept->scope = rc_strdup("");
        return RC_OK;
    }
    if (sdrs_place_parse("dataStorageName", making->rule->storage, &making->config->file_roots,
                         &place, err))
        return err->code;
    making->kept->scope = sdrs_dataset_prefix(&place);
    sdrs_place_clear(&place);
    return RC_OK;
}

static enum rc_code write_prefixes(const struct sdrs_prefixes *prefixes, char **out,
                                   struct rc_error *err)
{
    RC_BUF_AUTO(text, PREFIXES_BYTES);

    sdrs_prefixes_write(prefixes, &text);
    if (rc_buf_check(&text, err))
        return rc_context(err, "keep %zu prefixes", prefixes->count);
    *out = rc_buf_take(&text);
    return RC_OK;
}

/* GLOBAL is recorded under the project that the bucket is in. */
static void begin_record(const struct making *making)
{
    const struct sdrs_bucket_work *bucket = making->bucket;
    const struct sdrs_rule *rule = making->rule;

    making->kept->record = (struct sdrs_record){
        .type = rc_strdup(sdrs_rule_type_name(rule->type)),
        .rule = rule->id,
        .rule_version = rule->version,
        .project = rc_strdup(rule->type == SDRS_GLOBAL ? bucket->project : rule->project),
        .bucket = rc_strdup(bucket->bucket),
        .shadow = rc_strdup(bucket->shadow),
        .mover = sdrs_mover_of(making->config, bucket->bucket),
        .status = SDRS_JOB_RUNNING,
    };
}

static enum rc_code make(const struct making *making, struct sdrs_move *move,
                         struct sdrs_prefixes *held, struct rc_error *err)
{
    struct sdrs_rule_move *kept = making->kept;
    enum rc_code code;

    if (read_scope(making, err))
        return err->code;
    add_all(held, &making->bucket->holds);
    if (making->rule->type != SDRS_DATASET)
        code = include_rest(making, held, err);
    else if (making->rule->unit == SDRS_VERSION)
        code = include_versions(making, err);
    else
        code = include_times(making, move, err);
    if (code)
        return code;
    sdrs_prefixes_merge(&kept->includes);
    sdrs_prefixes_merge(held);
    kept->is_held = kept->includes.count > 0;
    sdrs_prefixes_hold(&kept->includes, held, &kept->excludes);
    kept->is_held = kept->is_held && kept->includes.count == 0;
    sdrs_prefixes_add(&kept->datasets, kept->scope);
    if (write_prefixes(&kept->includes, &kept->record.prefixes, err) ||
        write_prefixes(&kept->excludes, &kept->record.excludes, err))
        return err->code;
    return RC_OK;
}

enum rc_code sdrs_rule_move_make(struct rc_job *job, const struct sdrs_config *config,
                                 const struct sdrs_bucket_work *bucket,
                                 const struct sdrs_rule *rule, int64_t now_unix_ms,
                                 struct sdrs_rule_move *kept, struct sdrs_move *move,
                                 struct rc_error *err)
{
    const struct making making = { .job = job,
                                   .config = config,
                                   .bucket = bucket,
                                   .rule = rule,
                                   .now_unix_ms = now_unix_ms,
                                   .kept = kept };
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes held = { 0 };

    *kept = (struct sdrs_rule_move){ 0 };
    *move = (struct sdrs_move){ .config = config,
                                .includes = &kept->includes,
                                .excludes = &kept->excludes,
                                .datasets = &kept->datasets,
                                .record = &kept->record };
    begin_record(&making);
    return make(&making, move, &held, err);
}

/* The rest of a bucket may have something under way all the time, and so waits for none of it. */
static enum rc_code leave_in_rest(struct sdrs_rule_move *kept,
                                  const struct sdrs_prefixes *under_way, struct rc_error *err)
{
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes within = { 0 };

    sdrs_prefixes_hold(&kept->includes, under_way, &within);
    (void)sdrs_prefixes_leave(&within, &kept->excludes);
    if (within.count == 0)
        return RC_OK;
    kept->record.message = rc_strf("what is below %zu prefix%s is left out: the transfer service "
                                   "has it already, and 'validate' has not found it done",
                                   within.count, within.count == 1 ? "" : "es");
    add_all(&kept->excludes, &within);
    sdrs_prefixes_merge(&kept->excludes);
    rc_str_free(&kept->record.excludes);
    return write_prefixes(&kept->excludes, &kept->record.excludes, err);
}

/*
 * A prefix of which the service has a part waits as a whole: the rest of it could come to the same
 * job of the pool, which would then leave out both.
 */
static enum rc_code leave_prefixes(struct sdrs_rule_move *kept,
                                   const struct sdrs_prefixes *under_way, struct rc_error *err)
{
    size_t all = kept->includes.count, left = sdrs_prefixes_leave_met(&kept->includes, under_way);

    if (left == 0)
        return RC_OK;
    kept->record.message = rc_strf("%zu of %zu prefixes are left out: the transfer service has "
                                   "them already, or a part, and 'validate' has not found it done",
                                   left, all);
    rc_str_free(&kept->record.prefixes);
    return write_prefixes(&kept->includes, &kept->record.prefixes, err);
}

enum rc_code sdrs_rule_move_leave(struct sdrs_rule_move *kept,
                                  const struct sdrs_prefixes *under_way, struct rc_error *err)
{
    bool is_rest = kept->record.modified_before_unix_ms > 0;

    if (is_rest && !sdrs_prefixes_cover(under_way, ""))
        return leave_in_rest(kept, under_way, err);
    return leave_prefixes(kept, under_way, err);
}

void sdrs_rule_move_clear(struct sdrs_rule_move *kept)
{
    sdrs_prefixes_clear(&kept->includes);
    sdrs_prefixes_clear(&kept->excludes);
    sdrs_prefixes_clear(&kept->datasets);
    sdrs_record_clear(&kept->record);
    free(kept->scope);
    *kept = (struct sdrs_rule_move){ 0 };
}

/* ---- how much it is ------------------------------------------------------------------------- */

/* When what its path says is over, or when it was changed. */
static int64_t time_of(const struct sdrs_move *move, const struct rc_object *object)
{
    int64_t end_unix_ms;

    if (move->template && sdrs_template_end_of(move->template, object->name, &end_unix_ms))
        return end_unix_ms;
    return object->stat.modified_unix_ms;
}

static void weigh_object(const struct sdrs_move *move, size_t bucket_len,
                         const struct rc_object *object, struct sdrs_weight *out)
{
    int64_t time_unix_ms;

    out->all_objects++;
    if (!sdrs_move_wants(move, object->uri + bucket_len, object->stat.modified_unix_ms))
        return;
    time_unix_ms = time_of(move, object);
    if (out->objects == 0 || time_unix_ms < out->oldest_unix_ms)
        out->oldest_unix_ms = time_unix_ms;
    if (out->objects == 0 || time_unix_ms > out->newest_unix_ms)
        out->newest_unix_ms = time_unix_ms;
    out->objects++;
    out->bytes += object->stat.size_bytes;
}

static enum rc_code weigh_listing(struct rc_job *job, const struct sdrs_move *move,
                                  struct rc_listing *listing, struct sdrs_weight *out,
                                  struct rc_error *err)
{
    const size_t bucket_len = strlen(move->record->bucket);
    const struct rc_object *object;

    for (;;) {
        if (rc_storage_list_next(job, listing, &object, err))
            return err->code;
        if (!object)
            return RC_OK;
        weigh_object(move, bucket_len, object, out);
    }
}

enum rc_code sdrs_weigh(struct rc_job *job, const struct sdrs_move *move, const char *scope,
                        struct sdrs_weight *out, struct rc_error *err)
{
    RC_STR_AUTO prefix = rc_strf("%s%s", move->record->bucket, scope);
    struct rc_listing *listing;
    enum rc_code code;

    *out = (struct sdrs_weight){ 0 };
    if (rc_storage_list(job, prefix, /* options = */ NULL, &listing, err))
        return rc_context(err, "list '%s'", prefix);
    code = weigh_listing(job, move, listing, out, err);
    rc_storage_list_close(job, listing);
    return code ? rc_context(err, "list '%s'", prefix) : RC_OK;
}

enum rc_code sdrs_weight_check(const struct sdrs_config *config, const struct sdrs_weight *weight,
                               struct rc_error *err)
{
    double share =
        weight->all_objects > 0 ? (double)weight->objects / (double)weight->all_objects : 0;

    if (config->max_delete_objects > 0 && weight->objects > config->max_delete_objects)
        return rc_fail(err, RC_FAILED,
                       "refused: it would move %" PRId64 " objects, and 'max_delete_objects' is "
                       "%" PRId64 "; look at the plan, and execute with --set confirm=true",
                       weight->objects, config->max_delete_objects);
    if (config->max_delete_share > 0 && share > config->max_delete_share)
        return rc_fail(err, RC_FAILED,
                       "refused: it would move %" PRId64 " of %" PRId64
                       " objects, a share of %.3g, "
                       "and 'max_delete_share' is %.3g; look at the plan, and execute with --set "
                       "confirm=true",
                       weight->objects, weight->all_objects, share, config->max_delete_share);
    return RC_OK;
}
