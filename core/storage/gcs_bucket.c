/*
 * Buckets of Google Cloud Storage as a whole. All of them are encrypted. Rules of expiry have no
 * names, so a label of the bucket tells which of them is ours.
 */
#include <storage/gcs.h>

#include <config/json.h>

#include <run-core/str.h>

#include <stdio.h>
#include <string.h>

#define LOOK "look at the bucket of"
#define CREATE "create the bucket of"
#define REMOVE "remove the bucket of"
#define ENCRYPT "encrypt the bucket of"
#define EXPIRE "let objects expire in the bucket of"
#define LABEL "run-core-expire" /* whose value is the days that we have set */

enum {
    ROUNDS = 4, /* of a change, while somebody else changes the bucket too */
    RESOURCE_BYTES = 1 << 20,
};

/* ---- asking ---------------------------------------------------------------------------------- */

/* What a reply says; NULL: the bucket, or what was asked for of it, is not there. */
static enum rc_code ask(const struct core_place_in_store *place, const char *verb, const char *rest,
                        const char *fields, struct core_arena *arena, const struct core_node **out,
                        unsigned *status, struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    struct core_http_answer answer;
    enum rc_code code;

    *out = NULL;
    *status = 0;
    if (core_gcs_begin(&request, place, verb, err))
        return err->code;
    core_gcs_set_bucket_path(&request, rest);
    core_gcs_add_query(&request, "fields", fields);
    if (core_gcs_complete(&request, err))
        return err->code;
    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = core_gcs_call(&request, 404, &answer, err);
    *status = answer.status;
    if (!code && answer.status != 404) {
        *out = core_json_read_reply(arena, answer.body.data, answer.body.len);
        if (!*out) {
            (void)rc_fail(err, RC_CORRUPT, "the reply is no JSON object");
            code = rc_context(err, "%s", request.name);
        }
    }
    core_http_answer_clear(&answer);
    return code;
}

static enum rc_code ask_bucket(const struct core_place_in_store *place, const char *verb,
                               struct core_arena *arena, const struct core_node **out,
                               struct rc_error *err)
{
    unsigned status;

    if (ask(place, verb, "", "name,metageneration,encryption,lifecycle,labels,iamConfiguration",
            arena, out, &status, err))
        return err->code;
    if (*out && !(core_node_text(*out, "name") && core_node_text(*out, "metageneration"))) {
        (void)rc_fail(err, RC_CORRUPT, "the reply is not that of a bucket");
        return rc_context(err, "%s '%s'", verb, place->uri);
    }
    return RC_OK;
}

static enum rc_code need_bucket(const struct core_place_in_store *place, const char *verb,
                                struct core_arena *arena, const struct core_node **out,
                                struct rc_error *err)
{
    if (ask_bucket(place, verb, arena, out, err))
        return err->code;
    if (*out)
        return RC_OK;
    (void)rc_fail(err, RC_NOT_FOUND, "there is no such bucket: create it, or correct its name");
    return rc_context(err, "%s '%s'", verb, place->uri);
}

/* ---- expiry ---------------------------------------------------------------------------------- */

/* The days of a rule that has this action for all objects that are so old; 0: it is another. */
static int64_t days_of(const struct core_node *rule, const char *action)
{
    const struct core_node *condition = core_node_get(rule, "condition");
    int64_t days;

    if (!rc_str_eq(core_node_text(core_node_get(rule, "action"), "type"), action) || !condition ||
        condition->kind != CORE_NODE_MAP || condition->len != 1 ||
        !core_google_int(condition, "age", &days) || days < 0)
        return 0;
    return days;
}

static const struct core_node *rules_of(const struct core_node *bucket)
{
    static const struct core_node none = { .kind = CORE_NODE_LIST };
    const struct core_node *rules = core_node_get(core_node_get(bucket, "lifecycle"), "rule");

    return rules && rules->kind == CORE_NODE_LIST ? rules : &none;
}

static void look_at_rules(const struct core_node *bucket, struct rc_bucket *out)
{
    const struct core_node *rules = rules_of(bucket);

    out->expires = RC_ANSWER_NO;
    for (size_t i = 0; i < rules->len; i++) {
        int64_t days = days_of(rules->items[i], "Delete");

        if (days > 0 && (out->expire_days == 0 || days < out->expire_days)) {
            out->expires = RC_ANSWER_YES;
            out->expire_days = days;
        }
    }
}

static void add_rule(struct rc_buf *out, const char *action, int64_t days)
{
    if (out->data[out->len - 1] != '[')
        rc_buf_addc(out, ',');
    rc_buf_addf(out, "{\"action\":{\"type\":\"%s\"},\"condition\":{\"age\":%lld}}", action,
                (long long)days);
}

/* Whether a rule is the one that we have set; the next that is like it is somebody else's. */
static bool is_ours(int64_t days, int64_t before, bool *is_found)
{
    if (*is_found || before <= 0 || days != before)
        return false;
    *is_found = true;
    return true;
}

/* What the bucket is to become. False: it is that already. */
static bool write_change(const struct core_node *bucket, int64_t days, struct rc_buf *out)
{
    static const char gives_up[] = "AbortIncompleteMultipartUpload";
    const struct core_node *rules = rules_of(bucket);
    bool had_removes = false, had_aborts = false;
    int64_t before = 0;

    if (!core_google_int(core_node_get(bucket, "labels"), LABEL, &before))
        before = 0;
    rc_buf_addf(out, "{\"labels\":{\"" LABEL "\":\"%lld\"},\"lifecycle\":{\"rule\":[",
                (long long)days);
    for (size_t i = 0; i < rules->len; i++) {
        if (is_ours(days_of(rules->items[i], "Delete"), before, &had_removes) ||
            is_ours(days_of(rules->items[i], gives_up), before, &had_aborts))
            continue;
        if (out->data[out->len - 1] != '[')
            rc_buf_addc(out, ',');
        core_json_add(out, rules->items[i]);
    }
    add_rule(out, "Delete", days);
    add_rule(out, gives_up, days);
    rc_buf_adds(out, "]}}");
    return before != days || !had_removes || !had_aborts;
}

/* RC_CONFLICT: the bucket is not as it was looked at any more. */
static enum rc_code change(const struct core_place_in_store *place, const struct core_node *bucket,
                           const struct rc_buf *resource, struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    struct core_http_answer answer;
    enum rc_code code;

    if (rc_buf_check(resource, err) || core_gcs_begin(&request, place, EXPIRE, err))
        return err->code;
    core_gcs_set_bucket_path(&request, "");
    core_gcs_add_query(&request, "ifMetagenerationMatch", core_node_text(bucket, "metageneration"));
    core_gcs_add_query(&request, "fields", "name");
    core_gcs_add_header(&request, "Content-Type", "application/json");
    if (core_gcs_complete(&request, err))
        return err->code;
    request.call.method = "PATCH";
    request.call.body = resource->data;
    request.call.body_len = resource->len;
    request.call.repeat = CORE_HTTP_REPEAT_SAFE; /* the second finds another metageneration */
    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = core_gcs_call(&request, 0, &answer, err);
    core_http_answer_clear(&answer);
    return code;
}

enum rc_code core_gcs_expire_bucket(const struct core_place_in_store *place, int64_t days,
                                    struct rc_error *err)
{
    enum rc_code code = RC_CONFLICT;

    for (int round = 0; round < ROUNDS && code == RC_CONFLICT; round++) {
        struct core_arena arena = CORE_ARENA_INIT;
        const struct core_node *bucket;
        RC_BUF_AUTO(resource, RESOURCE_BYTES);

        code = need_bucket(place, EXPIRE, &arena, &bucket, err);
        if (!code && write_change(bucket, days, &resource))
            code = change(place, bucket, &resource, err);
        core_arena_clear(&arena);
    }
    return code;
}

/* ---- the public ------------------------------------------------------------------------------ */

static bool is_everybody(const char *who)
{
    return rc_str_eq(who, "allUsers") || rc_str_eq(who, "allAuthenticatedUsers");
}

static void note_public(struct rc_bucket *out, const char *who, const char *what)
{
    out->is_public = RC_ANSWER_YES;
    (void)snprintf(out->public_note, RC_BUCKET_TEXT, "%.100s to everybody%s", what,
                   rc_str_eq(who, "allUsers") ? "" : " with an account");
}

/* The service shows ACLs of the bucket as roles, too. */
static void read_policy(const struct core_node *policy, struct rc_bucket *out)
{
    const struct core_node *bindings = core_node_get(policy, "bindings");

    for (size_t i = 0; bindings && bindings->kind == CORE_NODE_LIST && i < bindings->len; i++) {
        const struct core_node *members = core_node_get(bindings->items[i], "members");
        const char *role = core_node_text(bindings->items[i], "role");
        char what[RC_BUCKET_TEXT];

        (void)snprintf(what, sizeof(what), "it gives %.80s", role ? role : "a role");
        for (size_t j = 0; members && members->kind == CORE_NODE_LIST && j < members->len; j++)
            if (members->items[j]->kind == CORE_NODE_SCALAR &&
                is_everybody(members->items[j]->text))
                note_public(out, members->items[j]->text, what);
    }
}

/* What new objects are given. */
static void read_acl(const struct core_node *acl, struct rc_bucket *out)
{
    const struct core_node *items = core_node_get(acl, "items");

    for (size_t i = 0; items && items->kind == CORE_NODE_LIST && i < items->len; i++) {
        const char *who = core_node_text(items->items[i], "entity");

        if (is_everybody(who))
            note_public(out, who, "its default object ACL opens new objects");
    }
}

static enum rc_code look_at_part(const struct core_place_in_store *place, const char *rest,
                                 const char *fields,
                                 void (*read)(const struct core_node *, struct rc_bucket *),
                                 char note[RC_BUCKET_TEXT], struct rc_bucket *out,
                                 struct rc_error *err)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *reply;
    unsigned status;
    enum rc_code code = ask(place, LOOK, rest, fields, &arena, &reply, &status, err);

    if (!code && reply)
        read(reply, out);
    else if (!code)
        core_bucket_note(note, RC_UNSUPPORTED, status, "");
    else if (status / 100 == 4 && !rc_retryable(code))
        core_bucket_note(note, code, status, "");
    core_arena_clear(&arena);
    return code && !note[0] ? code : RC_OK;
}

static enum rc_code look_at_openness(const struct core_place_in_store *place,
                                     const struct core_node *bucket, struct rc_bucket *out,
                                     struct rc_error *err)
{
    const struct core_node *access = core_node_get(bucket, "iamConfiguration");
    const struct core_node *uniform = core_node_get(access, "uniformBucketLevelAccess");
    char note[RC_BUCKET_TEXT] = "", acl_note[RC_BUCKET_TEXT] = "";

    if (rc_str_eq(core_node_text(access, "publicAccessPrevention"), "enforced")) {
        out->is_public = RC_ANSWER_NO;
        return RC_OK;
    }
    if (look_at_part(place, "/iam", "bindings(role,members)", read_policy, note, out, err))
        return err->code;
    if (out->is_public != RC_ANSWER_YES && !rc_str_eq(core_node_text(uniform, "enabled"), "true") &&
        look_at_part(place, "/defaultObjectAcl", "items(entity)", read_acl, acl_note, out, err))
        return err->code;
    if (out->is_public == RC_ANSWER_YES)
        return RC_OK;
    if (!note[0])
        memcpy(note, acl_note, sizeof(note));
    out->is_public = note[0] ? RC_ANSWER_UNKNOWN : RC_ANSWER_NO;
    memcpy(out->public_note, note, sizeof(note));
    return RC_OK;
}

/* ---- operations ------------------------------------------------------------------------------ */

enum rc_code core_gcs_look_bucket(const struct core_place_in_store *place, struct rc_bucket *out,
                                  struct rc_error *err)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *bucket;
    enum rc_code code = ask_bucket(place, LOOK, &arena, &bucket, err);

    (void)snprintf(out->name, sizeof(out->name), "gs://%s", place->bucket);
    if (!code)
        out->exists = bucket ? RC_ANSWER_YES : RC_ANSWER_NO;
    if (!code && bucket) {
        out->encrypted = RC_ANSWER_YES;
        (void)snprintf(out->encryption, sizeof(out->encryption), "%s",
                       core_node_text(core_node_get(bucket, "encryption"), "defaultKmsKeyName")
                           ? "KMS"
                           : "AES256");
        look_at_rules(bucket, out);
        code = look_at_openness(place, bucket, out, err);
    }
    core_arena_clear(&arena);
    return code;
}

static enum rc_code find_project(const struct core_gcs_request *request, char **out,
                                 struct rc_error *err)
{
    *out = NULL;
    if (core_google_credentials_project(
            core_remote_google(request->place->remote, request->place->settings), out, err))
        return rc_context(err, "%s", request->name);
    if (*out)
        return RC_OK;
    (void)rc_fail(err, RC_INVALID,
                  "a bucket is made in a project, and neither GOOGLE_CLOUD_PROJECT nor the file of "
                  "the credentials names one: set it");
    return rc_context(err, "%s", request->name);
}

enum rc_code core_gcs_create_bucket(const struct core_place_in_store *place, struct rc_error *err)
{
    const char *region = place->settings ? place->settings->region : NULL;
    CORE_GCS_REQUEST_AUTO(request);
    RC_BUF_AUTO(resource, RESOURCE_BYTES);
    RC_STR_AUTO project = NULL;
    struct core_http_answer answer;
    enum rc_code code;

    if (core_gcs_begin(&request, place, CREATE, err) || find_project(&request, &project, err))
        return err->code;
    rc_buf_adds(&resource, "{\"name\":");
    rc_buf_add_json(&resource, place->bucket, strlen(place->bucket));
    if (region) {
        rc_buf_adds(&resource, ",\"location\":");
        rc_buf_add_json(&resource, region, strlen(region));
    }
    rc_buf_addc(&resource, '}');
    core_gcs_set_buckets_path(&request);
    core_gcs_add_query(&request, "project", project);
    core_gcs_add_query(&request, "fields", "name");
    core_gcs_add_header(&request, "Content-Type", "application/json");
    if (rc_buf_check(&resource, err) || core_gcs_complete(&request, err))
        return err->code;
    request.call.method = "POST";
    request.call.body = resource.data;
    request.call.body_len = resource.len;
    request.call.repeat = CORE_HTTP_REPEAT_SAFE; /* the second finds it made */
    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = core_gcs_call(&request, 0, &answer, err);
    if (code == RC_CONFLICT && strstr(answer.body.data, "you already own it"))
        code = RC_OK;
    core_http_answer_clear(&answer);
    return code;
}

/* Sent again after a lost answer it may be gone by itself, so it is looked at first. */
enum rc_code core_gcs_remove_bucket(const struct core_place_in_store *place, struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *bucket;
    struct core_http_answer answer;
    enum rc_code code = need_bucket(place, REMOVE, &arena, &bucket, err);

    core_arena_clear(&arena);
    if (code || core_gcs_begin(&request, place, REMOVE, err))
        return err->code;
    core_gcs_set_bucket_path(&request, "");
    if (core_gcs_complete(&request, err))
        return err->code;
    request.call.method = "DELETE";
    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = core_gcs_call(&request, 404, &answer, err);
    core_http_answer_clear(&answer);
    return code;
}

enum rc_code core_gcs_encrypt_bucket(const struct core_place_in_store *place, struct rc_error *err)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *bucket;
    enum rc_code code = need_bucket(place, ENCRYPT, &arena, &bucket, err);

    core_arena_clear(&arena);
    return code;
}
