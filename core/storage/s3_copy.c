/*
 * Copies that the server makes: at once up to 5 GiB, above that in ranges by several requests at a
 * time, all from the one object that was looked at first. The storage class is not copied: the
 * settings of the target's store say it, or its bucket.
 */
#include <storage/s3.h>

#include <cloud/xml.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <string.h>

enum { RANGE_MIB = 128 };

static bool is_same_object(const struct core_place_in_store *a, const struct core_place_in_store *b)
{
    return !a->version && rc_str_eq(a->bucket, b->bucket) && rc_str_eq(a->key, b->key) &&
           core_s3_is_same_store(a, b);
}

/* S3 refuses a copy onto itself that changes nothing. */
static enum rc_code copy_onto_itself(const struct core_place_in_store *place,
                                     const struct core_copy_options *options,
                                     struct rc_stat *written, struct rc_error *err)
{
    struct rc_stat stat;

    if (core_s3_stat(place, &stat, NULL, err))
        return err->code;
    if (options->source_if_match && !rc_str_eq(options->source_if_match, stat.etag))
        return rc_fail(err, RC_CONFLICT, "copy '%s': its entity tag is '%s', not '%s'", place->uri,
                       stat.etag, options->source_if_match);
    if (options->if_match && !rc_str_eq(options->if_match, stat.etag))
        return rc_fail(err, RC_CONFLICT, "copy to '%s': there is one already", place->uri);
    if (written)
        *written = stat;
    return RC_OK;
}

/* ---- at once --------------------------------------------------------------------------------- */

static enum rc_code on_copied(void *context, const char *path, const char *text, size_t len,
                              struct rc_error *err)
{
    struct rc_stat *stat = context;

    (void)len;
    (void)err;
    if (rc_str_eq(path, "CopyObjectResult/ETag"))
        core_s3_set_etag(stat, text);
    else if (rc_str_eq(path, "CopyObjectResult/LastModified"))
        (void)rc_parse_time(text, &stat->modified_unix_ms);
    return RC_OK;
}

/* The MD5 of the content where the server is sure of it, else an empty text. */
static enum rc_code ask_md5(const struct core_place_in_store *place, struct rc_stat *out,
                            struct rc_error *err)
{
    CORE_OBJECT_DETAIL_AUTO(detail);

    if (core_s3_stat(place, out, &detail, err))
        return err->code;
    if (!detail.md5_hex)
        out->etag[0] = '\0';
    return RC_OK;
}

/*
 * One content has one MD5. Where tags differ both objects are asked for, as the tag of one that was
 * put in parts, or is encrypted by KMS, is no MD5. A damaged copy goes, so that a further attempt
 * does not take it for what was there before.
 */
static enum rc_code check_copied(const struct core_place_in_store *source,
                                 const struct core_place_in_store *target, const char *etag,
                                 const char *copied, struct rc_error *err)
{
    struct core_place_in_store damaged = *target;
    struct rc_error failure = RC_ERROR_INIT;
    struct rc_stat from, to;

    if (rc_str_eq(etag, copied) || strlen(etag) != strlen(copied))
        return RC_OK;
    if (ask_md5(source, &from, &failure) || !rc_str_eq(from.etag, etag))
        return RC_OK; /* nobody knows it, or not any more */
    switch (ask_md5(target, &to, &failure)) {
    case RC_OK:
        break;
    case RC_DENIED: /* it may only be written */
        return RC_OK;
    default:
        *err = failure;
        return err->code;
    }
    if (to.etag[0] == '\0' || rc_str_eq(to.etag, etag))
        return RC_OK;
    damaged.remove_if_match = to.etag;
    (void)!core_s3_remove(&damaged, 1, NULL, &failure);
    return rc_fail(err, RC_CORRUPT, "the copy of '%s' is damaged: its entity tag is '%s', not '%s'",
                   source->uri, to.etag, etag);
}

/* *too_large: the server copies it only in ranges. */
static enum rc_code copy_at_once(const struct core_place_in_store *source,
                                 const struct core_place_in_store *target,
                                 const struct core_copy_options *options, struct rc_stat *written,
                                 bool *too_large, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, target, "copy to", "PUT");
    CORE_S3_ANSWER_AUTO(answer);
    const struct core_xml_events events = { .end = on_copied, .context = written };

    *written = (struct rc_stat){ .size_bytes = options->size_bytes };
    if (core_s3_add_attributes(&request, options->attributes, err) ||
        core_s3_add_customer_key(&request, source->settings, "x-amz-copy-source-", err))
        return err->code;
    core_s3_add_source(&request, source, options->source_if_match);
    core_s3_add_header(&request, "x-amz-metadata-directive",
                       options->attributes ? "REPLACE" : "COPY");
    if (options->attributes && options->attributes->tags.len > 0)
        core_s3_add_header(&request, "x-amz-tagging-directive", "REPLACE");
    core_s3_add_condition(&request, options->if_match);
    request.answers_xml = true;
    request.root = "CopyObjectResult";
    request.idle_ms = CORE_S3_SLOW_MS;
    if (core_s3_send(&request, &answer, err)) {
        *too_large = rc_str_eq(request.refusal.code, "EntityTooLarge") ||
                     (rc_str_eq(request.refusal.code, "InvalidRequest") &&
                      strstr(request.refusal.message, "copy source is larger"));
        return rc_context(err, "from '%s'", source->uri);
    }
    if (core_xml_read(answer.body.data, answer.body.len, &events, err))
        return rc_context(err, "copy to '%s'", target->uri);
    if (!options->source_if_match || !core_s3_etag_is_md5(&answer, written->etag))
        return RC_OK;
    return check_copied(source, target, options->source_if_match, written->etag, err);
}

/* ---- in ranges ------------------------------------------------------------------------------- */

struct ranges {
    struct core_s3_upload *upload;
    const struct core_place_in_store *source;
    const char *etag;
    int64_t size_bytes, range_bytes;
};

static enum rc_code copy_range(void *context, size_t index, struct rc_error *err)
{
    const struct ranges *ranges = context;
    int64_t offset = (int64_t)index * ranges->range_bytes;
    int64_t left = ranges->size_bytes - offset;

    return core_s3_upload_copy(ranges->upload, (int)index + 1, ranges->source, ranges->etag, offset,
                               left < ranges->range_bytes ? left : ranges->range_bytes, err);
}

static enum rc_code copy_ranges(const struct core_place_in_store *source,
                                const struct core_place_in_store *target,
                                const struct rc_put_options *options, const char *etag,
                                struct rc_stat *written, struct rc_error *err)
{
    struct ranges ranges = {
        .source = source,
        .etag = etag,
        .size_bytes = options->size_bytes,
        .range_bytes = core_s3_part_bytes(RANGE_MIB * CORE_S3_MIB, options->size_bytes, 0),
    };
    size_t count = (size_t)((ranges.size_bytes + ranges.range_bytes - 1) / ranges.range_bytes);
    enum rc_code code;

    if (core_s3_upload_begin(target, options, &ranges.upload, err))
        return err->code;
    code = core_s3_each(count, CORE_S3_AT_ONCE, copy_range, &ranges, err);
    if (!code)
        code = core_s3_upload_complete(ranges.upload, written, err);
    core_s3_upload_free(ranges.upload);
    return code;
}

/* An upload begins without anything of the source, so its attributes are said again. */
static enum rc_code copy_in_ranges(const struct core_place_in_store *source,
                                   const struct core_place_in_store *target,
                                   const struct core_copy_options *options, struct rc_stat *written,
                                   struct rc_error *err)
{
    CORE_OBJECT_DETAIL_AUTO(detail);
    struct rc_put_options put = { .struct_bytes = sizeof(put), .if_match = options->if_match };
    struct rc_attributes attributes;
    struct rc_stat stat;

    if (core_s3_stat(source, &stat, &detail, err) ||
        (detail.has_tags && core_s3_tags(source, &detail, err)))
        return err->code;
    if (options->source_if_match && !rc_str_eq(options->source_if_match, stat.etag))
        return rc_fail(err, RC_CONFLICT, "copy '%s': its entity tag is '%s', not '%s'", source->uri,
                       stat.etag, options->source_if_match);
    attributes = options->attributes ? *options->attributes : detail.attributes;
    if (!options->attributes)
        attributes.storage_class = NULL;
    else if (attributes.tags.len == 0)
        attributes.tags = detail.attributes.tags;
    put.attributes = &attributes;
    put.size_bytes = stat.size_bytes;
    return copy_ranges(source, target, &put, stat.etag, written, err);
}

enum rc_code core_s3_copy(const struct core_place_in_store *source,
                          const struct core_place_in_store *target,
                          const struct core_copy_options *options, struct rc_stat *written,
                          struct rc_error *err)
{
    struct rc_stat stat;
    bool too_large = options->size_bytes > CORE_S3_MAX_PUT;
    enum rc_code code;

    if (source->key[0] == '\0')
        return rc_fail(err, RC_INVALID, "copy '%s': the URI names a bucket, not an object in it",
                       source->uri);
    if (!options->attributes && is_same_object(source, target))
        return copy_onto_itself(source, options, written, err);
    if (core_s3_check_condition(target, options->if_match, err))
        return err->code;
    if (too_large)
        return copy_in_ranges(source, target, options, written ? written : &stat, err);
    code = copy_at_once(source, target, options, &stat, &too_large, err);
    if (code && too_large)
        return copy_in_ranges(source, target, options, written ? written : &stat, err);
    if (!code && written && (stat.size_bytes < 0 || stat.etag[0] == '\0'))
        code = core_s3_stat(target, &stat, NULL, err);
    if (!code && written)
        *written = stat;
    return code;
}
