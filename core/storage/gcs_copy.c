/*
 * Copies within Google Cloud Storage, made by the server: a rewrite, which takes as many calls as
 * the server wants for the size and the distance.
 */
#include <storage/gcs_upload.h>

#include <config/json.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY_BYTES = 64 * 1024,
    IDLE_MS = 5 * 60 * 1000, /* a call says nothing while the server copies */
};

struct copy {
    const struct core_place_in_store *source, *target;
    const struct core_copy_options *options;
    struct rc_buf resource; /* empty: the new object has what the source has */
    char *token;            /* of the next call */
    int64_t done_bytes;
    unsigned attempts; /* of the last call */
};

static void clear(struct copy *copy)
{
    rc_buf_clear(&copy->resource);
    free(copy->token);
}

/*
 * What the new object is to have beside its content. To say any of it means to say all: so to
 * change nothing but the storage class takes a look at the source.
 */
static enum rc_code write_resource(struct copy *copy, struct rc_error *err)
{
    const struct core_store_settings *settings = copy->target->settings;
    const char *storage_class = settings ? settings->storage_class : NULL;
    CORE_OBJECT_DETAIL_AUTO(detail);
    struct rc_stat stat;

    if (copy->options->attributes) {
        core_gcs_add_resource(&copy->resource, NULL, copy->options->attributes, storage_class, NULL,
                              NULL);
    } else if (storage_class) {
        if (core_gcs_stat(copy->source, &stat, &detail, err))
            return err->code;
        detail.attributes.storage_class = storage_class;
        core_gcs_add_resource(&copy->resource, NULL, &detail.attributes, NULL, NULL, NULL);
    }
    if (rc_buf_check(&copy->resource, err))
        return rc_context(err, "the attributes of '%s'", copy->target->uri);
    return RC_OK;
}

/* The customer's key of the source, beside that of the target. */
static void add_source_key(struct core_gcs_request *request, const struct core_gcs_request *source)
{
    static const char *const names[] = { "x-goog-copy-source-encryption-algorithm",
                                         "x-goog-copy-source-encryption-key",
                                         "x-goog-copy-source-encryption-key-sha256" };

    for (size_t i = 0; i < source->header_count && i < RC_ARRAY_LEN(names); i++)
        core_gcs_add_header(request, names[i], source->headers[i].value);
}

static enum rc_code add_conditions(struct core_gcs_request *request, const struct copy *copy,
                                   struct rc_error *err)
{
    const struct core_copy_options *options = copy->options;

    if (options->source_if_match && options->source_if_match[0] == '\0')
        return rc_fail(err, RC_CONFLICT, "'%s' cannot be copied only if it is absent",
                       copy->source->uri);
    if (core_gcs_add_condition(request, "ifSourceGenerationMatch", options->source_if_match, err))
        return err->code;
    return core_gcs_add_condition(request, "ifGenerationMatch", options->if_match, err);
}

static enum rc_code call(struct copy *copy, struct core_http_answer *answer, struct rc_error *err)
{
    const struct core_store_settings *settings = copy->target->settings;
    CORE_GCS_REQUEST_AUTO(source);
    CORE_GCS_REQUEST_AUTO(request);
    enum rc_code code;

    if (core_gcs_begin_object(&source, copy->source, "copy", err) ||
        core_gcs_begin_object(&request, copy->target, "copy to", err))
        return err->code;
    core_gcs_set_path(&source, "/storage/v1");
    core_gcs_add_path(&source, copy->source->key);
    rc_buf_reset(&request.url);
    rc_buf_addf(&request.url, "%s/rewriteTo/b", source.url.data);
    core_gcs_add_path(&request, copy->target->bucket);
    rc_buf_adds(&request.url, "/o");
    core_gcs_add_path(&request, copy->target->key);
    core_gcs_add_query(&request, "sourceGeneration", copy->source->version);
    core_gcs_add_query(&request, "destinationKmsKeyName", settings ? settings->sse_kms_key : NULL);
    core_gcs_add_query(&request, "rewriteToken", copy->token);
    core_gcs_add_query(&request, "fields",
                       "done,rewriteToken,totalBytesRewritten,objectSize,"
                       "resource(" CORE_GCS_OBJECT_FIELDS ")");
    add_source_key(&request, &source);
    core_gcs_add_header(&request, "Content-Type", "application/json; charset=UTF-8");
    if (add_conditions(&request, copy, err) || core_gcs_complete(&request, err))
        return err->code;

    RC_STR_AUTO name = rc_strf("copy '%s' to '%s'", copy->source->uri, copy->target->uri);
    free(request.name);
    request.call.name = request.name = rc_strdup(name);
    request.call.method = "POST";
    request.call.body = copy->resource.len > 0 ? copy->resource.data : "{}";
    request.call.body_len = copy->resource.len > 0 ? copy->resource.len : 2;
    request.call.repeat = CORE_HTTP_REPEAT_SAFE; /* the same copy again */
    request.call.idle_ms = IDLE_MS;
    code = core_gcs_call(&request, 0, answer, err);
    copy->attempts = answer->attempts;
    return code;
}

/* Keeps the token of the next call, or what was written; *done tells which. */
static enum rc_code read_reply(struct copy *copy, const struct core_http_answer *answer, bool *done,
                               struct rc_stat *written, struct rc_error *err)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *reply =
        core_json_read_reply(&arena, answer->body.data, answer->body.len);
    const char *token = core_node_text(reply, "rewriteToken");
    struct core_gcs_object object;
    int64_t size = -1, so_far;
    enum rc_code code = RC_OK;

    *done = rc_str_eq(core_node_text(reply, "done"), "true");
    if (!core_google_int(reply, "totalBytesRewritten", &so_far))
        so_far = copy->done_bytes;
    if (*done && core_gcs_read_object(core_node_get(reply, "resource"), &object) &&
        core_google_int(reply, "objectSize", &size) && size == object.stat.size_bytes) {
        *written = object.stat;
    } else if (!*done && token && so_far >= copy->done_bytes) {
        copy->done_bytes = so_far;
        free(copy->token);
        copy->token = rc_strdup(token);
    } else {
        code = rc_fail(err, RC_CORRUPT, "copy '%s' to '%s': the reply is not that of a rewrite",
                       copy->source->uri, copy->target->uri);
    }
    core_arena_clear(&arena);
    return code;
}

/*
 * A condition that fails at a call that was made again may fail because of its own first attempt,
 * whose answer was lost. It was that if the target has the source's content.
 */
static bool has_happened(const struct copy *copy, struct rc_stat *written)
{
    CORE_OBJECT_DETAIL_AUTO(from);
    CORE_OBJECT_DETAIL_AUTO(to);
    struct rc_error ignored = RC_ERROR_INIT;
    struct rc_stat source;

    if (copy->attempts < 2 || !copy->options->if_match)
        return false;
    if (core_gcs_stat(copy->source, &source, &from, &ignored) ||
        core_gcs_stat(copy->target, written, &to, &ignored))
        return false;
    return !rc_str_eq(written->etag, copy->options->if_match) &&
           source.size_bytes == written->size_bytes && from.crc32c &&
           rc_str_eq(from.crc32c, to.crc32c);
}

static enum rc_code rewrite(struct copy *copy, struct rc_stat *written, struct rc_error *err)
{
    for (bool done = false; !done;) {
        struct core_http_answer answer;
        enum rc_code code;

        if (core_cancel_check(copy->target->cancel, err))
            return err->code;
        core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
        code = call(copy, &answer, err);
        if (!code)
            code = read_reply(copy, &answer, &done, written, err);
        core_http_answer_clear(&answer);
        if (code == RC_CONFLICT && has_happened(copy, written))
            return RC_OK;
        if (code)
            return code;
    }
    return RC_OK;
}

enum rc_code core_gcs_copy(const struct core_place_in_store *source,
                           const struct core_place_in_store *target,
                           const struct core_copy_options *options, struct rc_stat *written,
                           struct rc_error *err)
{
    const struct core_gcs_upload upload = {
        .place = target,
        .attributes = options->attributes,
    };
    struct copy copy = {
        .source = source,
        .target = target,
        .options = options,
        .resource = RC_BUF_INIT(BODY_BYTES),
    };
    struct rc_stat stat;
    enum rc_code code;

    if (core_gcs_check_upload(&upload, err))
        return err->code;
    code = write_resource(&copy, err);
    if (!code)
        code = rewrite(&copy, written ? written : &stat, err);
    clear(&copy);
    return code;
}
