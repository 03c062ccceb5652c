/*
 * The rules for a bucket that holds dumps: it is there, it encrypts, it forgets after some days,
 * it is not public, and nothing else lies in it. 'setup' makes the first three hold and tells of
 * all of them; 'dump' asks only. How a store is asked and told is the core's.
 */
#include "egress.h"
#include "names.h"

#include <inttypes.h>
#include <run-core/bucket.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { URI_LIMIT = 8192, TEXT_BYTES = 2048, OTHERS_NAMED = 3 };

enum rule { EXISTS, ENCRYPTED, EXPIRES, PUBLIC, SHARED, RULES };

enum state { NOT_ASKED, HOLDS, CHANGED, BROKEN, UNKNOWN };

struct finding {
    enum state state;
    char text[TEXT_BYTES];
};

struct inspection {
    char *uri; /* of the output; owned */
    struct egress_layout layout;
    struct rc_bucket bucket;
    struct finding findings[RULES];
};

static void RC_PRINTF(4, 5)
    find(struct inspection *inspection, enum rule rule, enum state state, const char *format, ...)
{
    struct finding *finding = &inspection->findings[rule];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(finding->text, sizeof(finding->text), format, arguments);
    va_end(arguments);
    finding->state = state;
}

/* ---- what the bucket says ---- */

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

static const char *or_else(const char *note)
{
    return note[0] ? note : "the store does not say";
}

static void judge_encryption(struct inspection *inspection)
{
    const struct rc_bucket *bucket = &inspection->bucket;

    if (bucket->encrypted == RC_ANSWER_YES)
        find(inspection, ENCRYPTED, HOLDS, "objects are encrypted by default%s%s",
             bucket->encryption[0] ? ": " : "", bucket->encryption);
    else if (bucket->encrypted == RC_ANSWER_NO)
        find(inspection, ENCRYPTED, BROKEN, "objects are not encrypted by default");
    else
        find(inspection, ENCRYPTED, UNKNOWN, "whether objects are encrypted: %s",
             or_else(bucket->encrypted_note));
}

static void judge_expiry(struct inspection *inspection, int64_t days)
{
    const struct rc_bucket *bucket = &inspection->bucket;

    if (bucket->expires == RC_ANSWER_UNKNOWN)
        find(inspection, EXPIRES, UNKNOWN, "whether objects are removed after some days: %s",
             or_else(bucket->expires_note));
    else if (bucket->expires == RC_ANSWER_NO)
        find(inspection, EXPIRES, BROKEN,
             "objects are never removed; they should be after %" PRId64 " day%s", days,
             plural(days));
    else if (bucket->expire_days > days)
        find(inspection, EXPIRES, BROKEN,
             "objects are removed after %" PRId64 " day%s; it should be after %" PRId64,
             bucket->expire_days, plural(bucket->expire_days), days);
    else if (bucket->expire_days < days)
        find(inspection, EXPIRES, HOLDS,
             "objects are removed after %" PRId64 " day%s, by a rule that is stricter than the "
             "%" PRId64 " days that are configured",
             bucket->expire_days, plural(bucket->expire_days), days);
    else
        find(inspection, EXPIRES, HOLDS, "objects are removed after %" PRId64 " day%s", days,
             plural(days));
}

static void judge_access(struct inspection *inspection)
{
    const struct rc_bucket *bucket = &inspection->bucket;

    if (bucket->is_public == RC_ANSWER_NO)
        find(inspection, PUBLIC, HOLDS, "it is not public");
    else if (bucket->is_public == RC_ANSWER_YES)
        find(inspection, PUBLIC, BROKEN, "it is public%s%s", bucket->public_note[0] ? ": " : "",
             bucket->public_note);
    else
        find(inspection, PUBLIC, UNKNOWN, "whether it is public: %s", or_else(bucket->public_note));
}

static enum rc_code look(struct rc_job *job, const struct egress_config *config,
                         struct inspection *inspection, struct rc_error *err)
{
    struct rc_bucket *bucket = &inspection->bucket;

    if (rc_bucket_look(job, inspection->uri, bucket, err))
        return rc_context(err, "look at the bucket of '%s'", inspection->uri);
    if (bucket->exists == RC_ANSWER_NO) {
        find(inspection, EXISTS, BROKEN, "'%s' does not exist", bucket->name);
        return RC_OK;
    }
    if (bucket->exists == RC_ANSWER_YES)
        find(inspection, EXISTS, HOLDS, "'%s' exists", bucket->name);
    else
        find(inspection, EXISTS, UNKNOWN, "whether '%s' exists: the store does not say",
             bucket->name);
    judge_encryption(inspection);
    judge_expiry(inspection, config->expire_days);
    judge_access(inspection);
    return RC_OK;
}

/* ---- what else lies in it ---- */

/* What may lie at a level: the one folder that leads to the output, or what the layout makes. */
struct own {
    const char *folder; /* NULL: the layout counts */
    size_t folder_len;
    const struct egress_layout *layout;
};

static bool is_own(const struct own *own, const struct rc_object *object)
{
    if (!own->folder)
        return egress_layout_fits(own->layout, object->name);
    return object->is_prefix && strlen(object->name) == own->folder_len + 1 &&
           strncmp(object->name, own->folder, own->folder_len) == 0;
}

/* Adds the names of what else lies directly below 'level', a URI that ends with a slash. */
static enum rc_code find_others(struct rc_job *job, const char *level, const struct own *own,
                                struct rc_buf *others, struct rc_error *err)
{
    const struct rc_list_options shallow = { .shallow = true };
    struct rc_listing *listing;
    const struct rc_object *object = NULL;
    int named = 0;
    enum rc_code code = rc_storage_list(job, level, &shallow, &listing, err);

    if (code)
        return code;
    while ((code = rc_storage_list_next(job, listing, &object, err)) == RC_OK && object) {
        /* An object with the name of the folder itself is a mark that some tools make. */
        if (object->name[0] == '\0' || is_own(own, object))
            continue;
        if (named++ == OTHERS_NAMED) {
            rc_buf_adds(others, ", ...");
            break;
        }
        rc_buf_addf(others, "%s'%s'", others->len ? ", " : "", object->uri);
    }
    rc_storage_list_close(job, listing);
    return code;
}

/* Looks at each level on the way to the output, and at the output itself. */
static enum rc_code find_all_others(struct rc_job *job, const struct inspection *inspection,
                                    const char *key, struct rc_buf *others, struct rc_error *err)
{
    const char *uri = inspection->uri, *at = key + strspn(key, "/");
    struct own own = { .layout = &inspection->layout };

    for (; *at; at += own.folder_len + strspn(at + own.folder_len, "/")) {
        RC_STR_AUTO level = rc_strndup(uri, (size_t)(at - uri));

        own.folder = at;
        own.folder_len = strcspn(at, "/");
        if (find_others(job, level, &own, others, err))
            return err->code;
    }
    own.folder = NULL;
    return find_others(job, uri, &own, others, err);
}

static enum rc_code look_around(struct rc_job *job, struct inspection *inspection,
                                struct rc_error *err)
{
    struct rc_uri parts;
    RC_BUF_AUTO(others, URI_LIMIT);
    enum rc_code code;

    if (rc_uri_split(inspection->uri, &parts, err))
        return err->code;
    /* A folder of files stands for itself: what lies beside it is none of its bucket. */
    if (parts.scheme_len == strlen("file") && strncmp(parts.scheme, "file", 4) == 0)
        return RC_OK;
    code = find_all_others(job, inspection, parts.key, &others, err);
    if (code == RC_DENIED)
        find(inspection, SHARED, UNKNOWN, "whether something else lies in it: %s", err->cause);
    else if (code)
        return rc_context(err, "look what lies beside '%s'", inspection->uri);
    else if (others.len > 0 || others.overflow)
        find(inspection, SHARED, BROKEN, "something else lies in it: %s", others.data);
    else
        find(inspection, SHARED, HOLDS, "nothing else lies in it");
    return RC_OK;
}

/* ---- inspecting ---- */

static void inspection_clear(struct inspection *inspection)
{
    rc_str_free(&inspection->uri);
}

static enum rc_code inspection_begin(struct rc_job *job, const struct egress_config *config,
                                     struct inspection *out, struct rc_error *err)
{
    RC_BUF_AUTO(place, URI_LIMIT);
    RC_BUF_AUTO(uri, URI_LIMIT);

    *out = (struct inspection){ .uri = NULL };
    if (!config->output || !config->output[0])
        return rc_fail(err, RC_INVALID, "there is no place for dumps; set 'output' or S3_OUTPUT");
    if (egress_layout_read(config->path, &out->layout, err))
        return rc_context(err, "option 'path'");
    rc_uri_place(&place, NULL, config->output, job->working_dir);
    rc_uri_join(&uri, place.data, "");
    if (rc_buf_check(&place, err) || rc_buf_check(&uri, err))
        return rc_context(err, "option 'output'");
    out->uri = rc_buf_take(&uri);
    return RC_OK;
}

enum rc_code egress_inspect_bucket(struct rc_job *job, const struct egress_config *config,
                                   void (*tell)(void *context, bool is_broken, const char *line),
                                   void *context, struct egress_findings *out, struct rc_error *err)
{
    RC_CLEANUP(inspection_clear) struct inspection inspection;
    enum rc_code code;

    *out = (struct egress_findings){ .broken = 0 };
    if (inspection_begin(job, config, &inspection, err))
        return err->code;
    code = look(job, config, &inspection, err);
    if (code == RC_DENIED || code == RC_UNSUPPORTED)
        find(&inspection, EXISTS, UNKNOWN, "what the bucket of '%s' is like: %s", inspection.uri,
             err->cause);
    else if (code)
        return code;
    else if (inspection.bucket.exists != RC_ANSWER_NO && look_around(job, &inspection, err))
        return err->code;
    for (size_t i = 0; i < RULES; i++) {
        const struct finding *finding = &inspection.findings[i];

        out->broken += finding->state == BROKEN;
        out->unknown += finding->state == UNKNOWN;
        if (finding->state == BROKEN || finding->state == UNKNOWN)
            tell(context, finding->state == BROKEN, finding->text);
    }
    return RC_OK;
}

/* ---- setting up ---- */

/* What has become of the wish to have a rule hold. */
struct attempt {
    bool is_made;
    char refusal[RC_ERROR_TEXT]; /* why nobody may, or can */
    struct finding before;
};

static enum rc_code change(struct rc_job *job, const struct egress_config *config,
                           const struct inspection *inspection, enum rule rule, struct attempt *out,
                           struct rc_error *err)
{
    enum rc_code code = RC_OK;

    out->before = inspection->findings[rule];
    if (rule == EXISTS)
        code = rc_bucket_create(job, inspection->uri, err);
    else if (rule == ENCRYPTED)
        code = rc_bucket_encrypt(job, inspection->uri, err);
    else if (rule == EXPIRES)
        code = rc_bucket_expire(job, inspection->uri, config->expire_days, err);
    if (code == RC_DENIED || code == RC_UNSUPPORTED || code == RC_INVALID)
        (void)snprintf(out->refusal, sizeof(out->refusal), "%s", err->cause);
    else if (code)
        return rc_context(err, "set up '%s'", inspection->bucket.name);
    out->is_made = !code && !job->dry_run;
    return RC_OK;
}

/* A shorter time may stem from an older configuration, in which case it becomes longer. */
static bool is_due(const struct inspection *inspection, const struct egress_config *config,
                   enum rule rule)
{
    if (rule == EXPIRES && inspection->bucket.expires == RC_ANSWER_YES)
        return inspection->bucket.expire_days != config->expire_days;
    return inspection->findings[rule].state == BROKEN;
}

/* A bucket that was told may say otherwise all the same: what it says afterwards is what counts. */
static void tell_attempt(struct finding *finding, const struct attempt *attempt)
{
    size_t len = strlen(finding->text);

    if (finding->state == HOLDS && attempt->is_made &&
        strcmp(finding->text, attempt->before.text) != 0)
        finding->state = CHANGED;
    if (finding->state != BROKEN)
        return;
    if (attempt->is_made)
        (void)snprintf(finding->text + len, sizeof(finding->text) - len,
                       "; that was changed, but the store has not kept it");
    else if (attempt->refusal[0])
        (void)snprintf(finding->text + len, sizeof(finding->text) - len,
                       "; it cannot be changed: %s", attempt->refusal);
}

/* The rule would hold for the whole bucket: what others keep in it must not fall under it. */
static bool may_expire(const struct inspection *inspection, struct attempt *attempt)
{
    enum state shared = inspection->findings[SHARED].state;

    if (shared == BROKEN)
        (void)snprintf(attempt->refusal, sizeof(attempt->refusal),
                       "what else lies in it would be removed, too");
    if (shared == UNKNOWN)
        (void)snprintf(attempt->refusal, sizeof(attempt->refusal),
                       "what else may lie in it would be removed, too");
    return shared != BROKEN && shared != UNKNOWN;
}

static enum rc_code set_up(struct rc_job *job, const struct egress_config *config,
                           struct inspection *inspection, struct rc_error *err)
{
    struct attempt attempts[RULES] = { [EXISTS] = { .is_made = false } };

    if (look(job, config, inspection, err))
        return err->code;
    if (is_due(inspection, config, EXISTS) &&
        change(job, config, inspection, EXISTS, &attempts[EXISTS], err))
        return err->code;
    if (attempts[EXISTS].is_made && look(job, config, inspection, err))
        return err->code;
    if (inspection->bucket.exists != RC_ANSWER_NO && look_around(job, inspection, err))
        return err->code;
    if (is_due(inspection, config, ENCRYPTED) &&
        change(job, config, inspection, ENCRYPTED, &attempts[ENCRYPTED], err))
        return err->code;
    if (is_due(inspection, config, EXPIRES) && may_expire(inspection, &attempts[EXPIRES]) &&
        change(job, config, inspection, EXPIRES, &attempts[EXPIRES], err))
        return err->code;
    if ((attempts[ENCRYPTED].is_made || attempts[EXPIRES].is_made) &&
        look(job, config, inspection, err))
        return err->code;
    for (enum rule rule = EXISTS; rule <= EXPIRES; rule++)
        tell_attempt(&inspection->findings[rule], &attempts[rule]);
    return RC_OK;
}

static enum rc_code report(struct rc_job *job, const struct inspection *inspection,
                           struct rc_error *err)
{
    static const char *const words[] = {
        [HOLDS] = "ok", [CHANGED] = "changed", [BROKEN] = "problem", [UNKNOWN] = "unknown"
    };
    int64_t counts[RC_ARRAY_LEN(words)] = { 0 };

    for (size_t i = 0; i < RULES; i++) {
        const struct finding *finding = &inspection->findings[i];

        if (finding->state != NOT_ASKED) {
            RC_STR_AUTO line = rc_strf("%s: %s", words[finding->state], finding->text);

            rc_job_say(job, line);
            counts[finding->state]++;
        }
    }
    rc_job_count(job, "changed", counts[CHANGED]);
    rc_job_count(job, "problems", counts[BROKEN]);
    rc_job_count(job, "unknown", counts[UNKNOWN]);
    if (counts[BROKEN] == 0)
        return RC_OK;
    return rc_fail(err, RC_FAILED, "'%s' breaks %" PRId64 " of the rules for a bucket with dumps%s",
                   inspection->bucket.name, counts[BROKEN],
                   job->dry_run ? "; without --dry-run, setup changes what it can" : "");
}

enum rc_code egress_setup(struct rc_job *job, const void *config, struct rc_error *err)
{
    RC_CLEANUP(inspection_clear) struct inspection inspection;

    if (inspection_begin(job, config, &inspection, err) || set_up(job, config, &inspection, err))
        return err->code;
    return report(job, &inspection, err);
}
