/*
 * The rules by which a bucket removes what lies in it. The API knows only all of them at once, so
 * those of others are carried over byte by byte. Reads and writes texts; sends nothing.
 */
#include <storage/s3_bucket.h>

#include <cloud/xml.h>

#include <run-core/str.h>

#include <string.h>

#define ROOT "LifecycleConfiguration"
#define RULE ROOT "/Rule"

/* A document that is being read. */
struct reading {
    const char *xml;
    size_t begin, behind; /* of the rule that has just ended */
    struct core_s3_rule rule;
    bool has_status; /* as every rule of S3 */
    struct core_s3_lifecycle *out;
};

void core_s3_lifecycle_clear(struct core_s3_lifecycle *lifecycle)
{
    rc_buf_clear(&lifecycle->others);
}

static void on_span(void *context, const char *path, size_t begin, size_t behind)
{
    struct reading *reading = context;

    if (rc_str_eq(path, RULE)) {
        reading->begin = begin;
        reading->behind = behind;
    }
}

/* What stands for all objects: no filter, an empty one, and an empty prefix. */
static void read_filter(struct core_s3_rule *rule, const char *name, const char *text)
{
    if (rc_str_eq(name, "Filter") || rc_str_eq(name, "Filter/And"))
        return;
    if (!rc_str_eq(name, "Filter/Prefix") && !rc_str_eq(name, "Filter/And/Prefix"))
        rule->is_partial = true;
    else if (*text)
        rule->is_partial = true;
}

static void read_member(struct reading *reading, const char *name, const char *text, size_t len)
{
    struct core_s3_rule *rule = &reading->rule;
    int64_t *days =
        rc_str_eq(name, "Expiration/Days")                              ? &rule->days
        : rc_str_eq(name, "NoncurrentVersionExpiration/NoncurrentDays") ? &rule->noncurrent_days
        : rc_str_eq(name, "AbortIncompleteMultipartUpload/DaysAfterInitiation") ? &rule->abort_days
                                                                                : NULL;

    if (days) {
        if (!rc_parse_int(text, days) || *days < 0)
            *days = 0;
    } else if (rc_str_eq(name, "ID")) {
        core_s3_take_text(rule->id, sizeof(rule->id), text, len);
    } else if (rc_str_eq(name, "Status")) {
        reading->has_status = true;
        rule->is_enabled = rc_str_eq(text, "Enabled");
    } else if (rc_str_eq(name, "Prefix")) {
        rule->is_old = true;
        rule->is_partial = rule->is_partial || *text;
    } else if (rc_str_starts(name, "Filter")) {
        read_filter(rule, name, text);
    } else if (!rc_str_eq(name, "Expiration") && !rc_str_eq(name, "NoncurrentVersionExpiration") &&
               !rc_str_eq(name, "AbortIncompleteMultipartUpload")) {
        rule->has_more = true;
    }
}

static enum rc_code end_rule(struct reading *reading, struct rc_error *err)
{
    const struct core_s3_rule *rule = &reading->rule;
    struct core_s3_lifecycle *out = reading->out;

    /* Those of Google have actions and conditions, also by its interface for S3. */
    if (!reading->has_status)
        return rc_fail(err, RC_UNSUPPORTED, "the bucket's lifecycle rules are not those of S3");
    if (rule->is_enabled && !rule->is_partial && rule->days > 0 &&
        (out->expire_days == 0 || rule->days < out->expire_days))
        out->expire_days = rule->days;
    if (rc_str_eq(rule->id, CORE_S3_EXPIRE_ID)) {
        out->own = *rule;
    } else {
        const char *text = reading->xml + reading->begin;

        /* A prefix of a name space would mean nothing in what is sent back. */
        if (!rc_str_starts(text, "<Rule"))
            return rc_fail(err, RC_UNSUPPORTED,
                           "the server writes its lifecycle rules in a way that cannot be kept");
        rc_buf_add(&out->others, text, reading->behind - reading->begin);
        out->others_are_old = out->others_are_old || rule->is_old;
    }
    reading->rule = (struct core_s3_rule){ .days = 0 };
    reading->has_status = false;
    return rc_buf_check(&out->others, err);
}

static enum rc_code on_element(void *context, const char *path, const char *text, size_t len,
                               struct rc_error *err)
{
    struct reading *reading = context;

    if (rc_str_eq(path, RULE))
        return end_rule(reading, err);
    if (rc_str_starts(path, RULE "/"))
        read_member(reading, path + strlen(RULE "/"), text, len);
    return RC_OK;
}

enum rc_code core_s3_lifecycle_read(const char *xml, size_t len, struct core_s3_lifecycle *out,
                                    struct rc_error *err)
{
    struct reading reading = { .xml = xml, .out = out };
    const struct core_xml_events events = {
        .end = on_element,
        .span = on_span,
        .context = &reading,
    };

    return core_xml_read(xml, len, &events, err);
}

bool core_s3_lifecycle_has(const struct core_s3_lifecycle *lifecycle, int64_t days)
{
    const struct core_s3_rule *own = &lifecycle->own;

    return own->id[0] && own->is_enabled && !own->is_partial && !own->has_more &&
           own->days == days && own->noncurrent_days == days && own->abort_days == days;
}

void core_s3_lifecycle_write(const struct core_s3_lifecycle *lifecycle, int64_t days,
                             struct rc_buf *xml)
{
    const long long count = days;

    rc_buf_adds(xml, "<" ROOT " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    rc_buf_add(xml, lifecycle->others.data, lifecycle->others.len);
    rc_buf_adds(xml, "<Rule><ID>" CORE_S3_EXPIRE_ID "</ID>");
    /* AWS takes no document of which some rules have the one form and some the other. */
    rc_buf_adds(xml, lifecycle->others_are_old ? "<Prefix></Prefix>"
                                               : "<Filter><Prefix></Prefix></Filter>");
    rc_buf_adds(xml, "<Status>Enabled</Status>");
    rc_buf_addf(xml, "<Expiration><Days>%lld</Days></Expiration>", count);
    /* Of a bucket that keeps versions, what was replaced or removed would else stay for ever. */
    rc_buf_addf(xml,
                "<NoncurrentVersionExpiration><NoncurrentDays>%lld</NoncurrentDays>"
                "</NoncurrentVersionExpiration>",
                count);
    rc_buf_addf(xml,
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>%lld</DaysAfterInitiation>"
                "</AbortIncompleteMultipartUpload>",
                count);
    rc_buf_adds(xml, "</Rule></" ROOT ">");
}
