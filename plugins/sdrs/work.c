/*
 * Chooses the rules that an execution is of, and sorts them by the buckets that they are for.
 */
#include "run.h"

#include "storage_name.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char storage_field[] = "dataStorageName";
/* Here the host keeps what is its own, in any bucket. */
static const char host_folder[] = ".run-core/";

/* A rule beside what its name says. */
struct entry {
    const struct sdrs_rule *rule; /* not GLOBAL */
    char *bucket, *shadow, *prefix;
    char *mistake;
};

/* What is chosen from. */
struct choice {
    const struct sdrs_config *config;
    const struct sdrs_scope_params *scope;
    char *storage; /* of the scope, as rules have it; or NULL */
    struct sdrs_rules rules;
    const struct sdrs_rule *global; /* or NULL */
    struct entry *entries;
    size_t count;
};

static void copy_rule(struct sdrs_rule *out, const struct sdrs_rule *rule)
{
    *out = *rule;
    out->project = rc_strdup(rule->project);
    out->storage = rc_strdup(rule->storage);
    out->dataset = rc_strdup(rule->dataset);
    out->user = rc_strdup(rule->user);
}

static void add_rule(struct sdrs_rules *rules, const struct sdrs_rule *rule)
{
    rules->items = rc_realloc(rules->items, (rules->count + 1) * sizeof(*rules->items));
    copy_rule(&rules->items[rules->count++], rule);
}

/* ---- the scope ------------------------------------------------------------------------------ */

static enum rc_code read_scope(struct choice *choice, struct rc_error *err)
{
    struct sdrs_place place = { 0 };

    if (!choice->scope->storage)
        return RC_OK;
    if (sdrs_place_parse("storage", choice->scope->storage, &choice->config->file_roots, &place,
                         err))
        return err->code;
    choice->storage = sdrs_place_name(&place);
    sdrs_place_clear(&place);
    return RC_OK;
}

static bool is_narrowed(const struct choice *choice)
{
    return choice->scope->rule > 0 || choice->scope->project || choice->storage;
}

static bool in_project(const struct choice *choice, const struct sdrs_rule *rule)
{
    return !choice->scope->project || rc_str_eq(choice->scope->project, rule->project);
}

/* Whether the scope names the rule, whatever project it is of. */
static bool is_named(const struct choice *choice, const struct sdrs_rule *rule)
{
    return (choice->scope->rule == 0 || choice->scope->rule == rule->id) &&
           (!choice->storage || rc_str_eq(choice->storage, rule->storage));
}

static bool is_chosen(const struct choice *choice, const struct sdrs_rule *rule)
{
    return is_named(choice, rule) && in_project(choice, rule);
}

static enum rc_code check_scope(const struct choice *choice, struct rc_error *err)
{
    const struct sdrs_scope_params *scope = choice->scope;
    RC_BUF_AUTO(asked, 4096);

    if (!is_narrowed(choice))
        return RC_OK;
    for (size_t i = 0; i < choice->rules.count; i++)
        if (is_chosen(choice, &choice->rules.items[i]))
            return RC_OK;
    if (scope->rule > 0)
        rc_buf_addf(&asked, " with id %" PRId64, scope->rule);
    if (scope->project)
        rc_buf_addf(&asked, " of projectId '%s'", scope->project);
    if (choice->storage)
        rc_buf_addf(&asked, " of dataStorageName '%s'", choice->storage);
    return rc_fail(err, RC_NOT_FOUND, "there is no active rule%s", asked.data);
}

/* ---- by bucket ------------------------------------------------------------------------------ */

/* A rule whose name is none any more stands in a bucket of its own. */
static void read_name(const struct sdrs_config *config, const struct sdrs_rule *rule,
                      struct entry *out)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_place place = { 0 };

    *out = (struct entry){ .rule = rule };
    if (sdrs_place_parse(storage_field, rule->storage, &config->file_roots, &place, &err)) {
        out->bucket = rc_strdup(rule->storage);
        out->shadow = rc_strdup("");
        out->prefix = rc_strdup("");
        out->mistake =
            rc_strf("the rule's name '%s' cannot be one any more: %s", rule->storage, err.cause);
        return;
    }
    out->bucket = sdrs_bucket_uri(&place);
    out->shadow = sdrs_shadow_uri(&place, config->shadow_extension, config->shadow_prefix);
    out->prefix = sdrs_dataset_prefix(&place);
    sdrs_place_clear(&place);
}

static void free_entry(struct entry *entry)
{
    free(entry->bucket);
    free(entry->shadow);
    free(entry->prefix);
    free(entry->mistake);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *one = a, *other = b;
    int order = strcmp(one->bucket, other->bucket);

    if (order)
        return order;
    if (one->rule->type != other->rule->type)
        return one->rule->type < other->rule->type ? -1 : 1;
    return (one->rule->id > other->rule->id) - (one->rule->id < other->rule->id);
}

static void sort_entries(struct choice *choice)
{
    choice->entries = rc_calloc(choice->rules.count + 1, sizeof(*choice->entries));
    for (size_t i = 0; i < choice->rules.count; i++) {
        const struct sdrs_rule *rule = &choice->rules.items[i];

        if (rule->type == SDRS_GLOBAL)
            choice->global = rule;
        else
            read_name(choice->config, rule, &choice->entries[choice->count++]);
    }
    qsort(choice->entries, choice->count, sizeof(*choice->entries), compare_entries);
}

/* Whether other rules move into the bucket what is to be brought back or purged from there. */
static bool is_shadow(const struct choice *choice, const char *bucket)
{
    for (size_t i = 0; i < choice->count; i++)
        if (rc_str_eq(choice->entries[i].shadow, bucket))
            return true;
    return false;
}

/* GLOBAL is of every project that names the bucket. */
static bool takes_global(const struct choice *choice, const struct entry *entries, size_t count)
{
    bool of_project = choice->global && in_project(choice, choice->global);

    if (!choice->global || entries[0].mistake || !is_named(choice, choice->global) ||
        is_shadow(choice, entries[0].bucket))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].rule->type == SDRS_DEFAULT)
            return false;
        of_project = of_project || in_project(choice, entries[i].rule);
    }
    return of_project;
}

/* The first that the scope's project has, else the first that was made. */
static const char *project_of(const struct choice *choice, const struct entry *entries,
                              size_t count)
{
    const struct sdrs_rule *first = entries[0].rule;

    for (size_t i = 0; i < count; i++) {
        if (choice->scope->project && in_project(choice, entries[i].rule))
            return entries[i].rule->project;
        if (entries[i].rule->id < first->id)
            first = entries[i].rule;
    }
    return first->project;
}

static void clear_bucket(struct sdrs_bucket_work *bucket)
{
    free(bucket->bucket);
    free(bucket->shadow);
    free(bucket->project);
    free(bucket->mistake);
    sdrs_rules_clear(&bucket->rules);
    sdrs_prefixes_clear(&bucket->all_datasets);
    sdrs_prefixes_clear(&bucket->holds);
}

/* Of the entries of one bucket what is chosen; none: nothing is added. */
static enum rc_code add_bucket(const struct choice *choice, const struct entry *entries,
                               size_t count, struct sdrs_work *out, struct rc_error *err)
{
    struct sdrs_bucket_work bucket = { 0 };

    for (size_t i = 0; i < count; i++) {
        if (entries[i].rule->type == SDRS_DATASET)
            sdrs_prefixes_add(&bucket.all_datasets, entries[i].prefix);
        if (is_chosen(choice, entries[i].rule))
            add_rule(&bucket.rules, entries[i].rule);
    }
    if (takes_global(choice, entries, count))
        add_rule(&bucket.rules, choice->global);
    if (bucket.rules.count == 0) {
        clear_bucket(&bucket);
        return RC_OK;
    }
    sdrs_prefixes_merge(&bucket.all_datasets);
    bucket.bucket = rc_strdup(entries[0].bucket);
    bucket.shadow = rc_strdup(entries[0].shadow);
    bucket.mistake = rc_strdup(entries[0].mistake);
    bucket.project = rc_strdup(project_of(choice, entries, count));
    out->buckets[out->count++] = bucket;
    return sdrs_holds_of(choice->config, bucket.bucket, &out->buckets[out->count - 1].holds, err);
}

static enum rc_code add_buckets(const struct choice *choice, struct sdrs_work *out,
                                struct rc_error *err)
{
    size_t end;

    out->buckets = rc_calloc(choice->count + 1, sizeof(*out->buckets));
    for (size_t begin = 0; begin < choice->count; begin = end) {
        const struct entry *entries = choice->entries + begin;

        for (end = begin + 1; end < choice->count; end++)
            if (strcmp(choice->entries[end].bucket, entries[0].bucket) != 0)
                break;
        if (add_bucket(choice, entries, end - begin, out, err))
            return err->code;
    }
    return RC_OK;
}

/* A hold is the text that keys begin with: what is not said to end at a slash does not. */
enum rc_code sdrs_holds_of(const struct sdrs_config *config, const char *bucket,
                           struct sdrs_prefixes *out, struct rc_error *err)
{
    sdrs_prefixes_add(out, host_folder);
    for (size_t i = 0; i < config->legal_holds.len; i++) {
        const char *text = config->legal_holds.items[i];
        struct sdrs_place place = { 0 };

        if (sdrs_place_parse("legal_holds", text, &config->file_roots, &place, err))
            return rc_context(err, "'legal_holds' has '%s'", text);
        RC_STR_AUTO uri = sdrs_bucket_uri(&place);
        RC_STR_AUTO prefix =
            rc_strf("%s%s", place.dataset, place.dataset[0] && rc_str_ends(text, "/") ? "/" : "");

        if (strcmp(uri, bucket) == 0)
            sdrs_prefixes_add(out, prefix);
        sdrs_place_clear(&place);
    }
    sdrs_prefixes_merge(out);
    return RC_OK;
}

static enum rc_code choose(struct choice *choice, struct sdrs_state *state, struct sdrs_work *out,
                           struct rc_error *err)
{
    if (read_scope(choice, err) ||
        sdrs_rules_list(state, /* after = */ 0, /* limit = */ 0, &choice->rules, err))
        return err->code;
    if (check_scope(choice, err))
        return err->code;
    sort_entries(choice);
    return add_buckets(choice, out, err);
}

enum rc_code sdrs_work_choose(struct sdrs_state *state, const struct sdrs_config *config,
                              const struct sdrs_scope_params *scope, struct sdrs_work *out,
                              struct rc_error *err)
{
    struct choice choice = { .config = config, .scope = scope };
    enum rc_code code;

    *out = (struct sdrs_work){ 0 };
    code = choose(&choice, state, out, err);
    for (size_t i = 0; i < choice.count; i++)
        free_entry(&choice.entries[i]);
    free(choice.entries);
    free(choice.storage);
    sdrs_rules_clear(&choice.rules);
    if (code)
        sdrs_work_clear(out);
    return code;
}

void sdrs_work_clear(struct sdrs_work *work)
{
    for (size_t i = 0; i < work->count; i++)
        clear_bucket(&work->buckets[i]);
    free(work->buckets);
    *work = (struct sdrs_work){ 0 };
}
