/*
 * The Google Cloud Storage backend: its table, and what is said of one object.
 *
 * There is no sweep: a session of an upload that nobody goes on with shows no object and expires by
 * itself after a week. There are no parts: one object is written as one stream, in chunks.
 */
#include <storage/gcs.h>

#include <config/json.h>

#include <run-core/str.h>

static enum rc_code read_stat(const struct core_gcs_request *request,
                              const struct core_http_answer *answer, struct rc_stat *out,
                              struct core_object_detail *detail, struct rc_error *err)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *resource =
        core_json_read_reply(&arena, answer->body.data, answer->body.len);
    struct core_gcs_object object;
    enum rc_code code = RC_OK;

    if (core_gcs_read_object(resource, &object)) {
        *out = object.stat;
        if (detail)
            core_gcs_read_detail(resource, detail);
    } else {
        code = rc_fail(err, RC_CORRUPT, "%s: the reply is not that of an object", request->name);
    }
    core_arena_clear(&arena);
    return code;
}

enum rc_code core_gcs_stat(const struct core_place_in_store *place, struct rc_stat *out,
                           struct core_object_detail *detail, struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    struct core_http_answer answer;
    enum rc_code code;

    if (core_gcs_begin_object(&request, place, "look at", err))
        return err->code;
    core_gcs_add_query(&request, "fields",
                       detail ? CORE_GCS_OBJECT_FIELDS
                           ",contentType,contentEncoding,contentDisposition,contentLanguage,"
                           "cacheControl,metadata,customTime,kmsKeyName"
                              : "size,updated,generation");
    if (core_gcs_complete(&request, err))
        return err->code;

    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = core_gcs_call(&request, 0, &answer, err);
    if (!code)
        code = read_stat(&request, &answer, out, detail, err);
    core_http_answer_clear(&answer);
    return code;
}

static bool is_same(const char *a, const char *b)
{
    return rc_str_eq(a ? a : "", b ? b : "");
}

/* One request has one set of credentials, which have to be good for both ends. */
static bool is_same_store(const struct core_place_in_store *source,
                          const struct core_place_in_store *target)
{
    static const struct core_store_settings none = { .name = NULL };
    const struct core_store_settings *a = source->settings ? source->settings : &none;
    const struct core_store_settings *b = target->settings ? target->settings : &none;
    RC_STR_AUTO from = core_gcs_endpoint(source->settings);
    RC_STR_AUTO to = core_gcs_endpoint(target->settings);

    return rc_str_eq(from, to) && a->anonymous == b->anonymous &&
           is_same(a->access_token, b->access_token) &&
           is_same(a->service_account_file, b->service_account_file) &&
           is_same(a->user_project, b->user_project);
}

static bool is_same_server(const struct core_place_in_store *source,
                           const struct core_place_in_store *target)
{
    RC_STR_AUTO from = core_gcs_endpoint(source->settings);
    RC_STR_AUTO to = core_gcs_endpoint(target->settings);

    return rc_str_eq(from, to);
}

const struct core_storage_ops core_storage_gcs = {
    .scheme = "gs",
    .capabilities =
        CORE_STORAGE_CONDITIONAL_PUT | CORE_STORAGE_ORDERED_PARTS | CORE_STORAGE_VERSIONS,
    .list = core_gcs_list,
    .stat = core_gcs_stat,
    .open = core_gcs_open,
    .create = core_gcs_create,
    .put = core_gcs_put,
    .begin_parts = core_gcs_begin_parts,
    .resume_parts = core_gcs_resume_parts,
    .give_up_parts = core_gcs_give_up_parts,
    .remove = core_gcs_remove,
    .is_same_store = is_same_store,
    .is_same_server = is_same_server,
    .copy = core_gcs_copy,
    .look_bucket = core_gcs_look_bucket,
    .create_bucket = core_gcs_create_bucket,
    .remove_bucket = core_gcs_remove_bucket,
    .encrypt_bucket = core_gcs_encrypt_bucket,
    .expire_bucket = core_gcs_expire_bucket,
};
