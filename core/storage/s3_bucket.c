/*
 * S3 buckets as a whole: what is known of one, and how it is made, encrypted, and has its objects
 * removed. Servers know some of these questions and not others: one that nobody answers is a note,
 * not an error. The rules of expiry themselves are of s3_lifecycle.c.
 */
#include <storage/s3_bucket.h>

#include <cloud/xml.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define XMLNS "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

#define LOOK "look at the bucket of"
#define ENCRYPT "encrypt the bucket of"
#define EXPIRE "let objects expire in the bucket of"

enum { RULES_LIMIT = CORE_S3_REPLY_LIMIT };

/* ---- questions ------------------------------------------------------------------------------- */

/* Something of a bucket that is asked for by itself. */
struct question {
    const char *resource; /* "encryption" */
    const char *root;     /* of the answer */
    const char *none;     /* the code of a refusal that means there is none; or NULL */
};

struct asked {
    const char *verb; /* what it is asked for */
    bool is_there;    /* the answer is what was asked for, else there is none */
    struct core_s3_refusal refusal;
};

/* RC_UNSUPPORTED: the server knows no such question. */
static enum rc_code ask(const struct core_place_in_store *place, const struct question *question,
                        struct core_http_answer *answer, struct asked *out, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, out->verb, "GET");
    enum rc_code code;

    core_s3_add_query(&request.query, question->resource, NULL);
    request.of_bucket = true;
    request.answers_xml = true;
    code = core_s3_send(&request, answer, err);
    out->refusal = request.refusal;
    if (code)
        return question->none && rc_str_eq(request.refusal.code, question->none) ? RC_OK : code;
    /* Ceph answers what it does not know as if all of the bucket were to be listed. */
    out->is_there = core_s3_has_root(&answer->body, question->root);
    if (out->is_there)
        return RC_OK;
    (void)rc_fail(err, RC_UNSUPPORTED, "the server does not know '?%s' of buckets",
                  question->resource);
    return rc_context(err, "%s '%s'", out->verb, place->uri);
}

/*
 * Makes a note of a question that the server does not answer. What is returned ends the look: that
 * no server was heard, a fault that may pass, and a bucket that is gone.
 */
static enum rc_code take_note(const struct asked *asked, char note[RC_BUCKET_TEXT],
                              const struct rc_error *err)
{
    const struct core_s3_refusal *refusal = &asked->refusal;

    if (!refusal->status || rc_retryable(err->code) || err->code == RC_CORRUPT ||
        rc_str_eq(refusal->code, "NoSuchBucket"))
        return err->code;
    /* One that is a success but for what it holds says nothing by its status. */
    core_bucket_note(note, err->code,
                     refusal->code[0] || refusal->status / 100 > 2 ? refusal->status : 0,
                     refusal->code);
    return RC_OK;
}

/* ---- encryption ------------------------------------------------------------------------------ */

static const struct question encryption = {
    .resource = "encryption",
    .root = "ServerSideEncryptionConfiguration",
    .none = "ServerSideEncryptionConfigurationNotFoundError",
};

static enum rc_code on_encryption(void *context, const char *path, const char *text, size_t len,
                                  struct rc_error *err)
{
    struct rc_bucket *out = context;

    (void)err;
    if (rc_str_eq(path, "ServerSideEncryptionConfiguration/Rule/ApplyServerSideEncryptionByDefault/"
                        "SSEAlgorithm"))
        core_s3_take_text(out->encryption, sizeof(out->encryption), text, len);
    return RC_OK;
}

static enum rc_code ask_encryption(const struct core_place_in_store *place, struct asked *asked,
                                   struct rc_bucket *out, struct rc_error *err)
{
    const struct core_xml_events events = { .end = on_encryption, .context = out };
    CORE_S3_ANSWER_AUTO(answer);

    if (ask(place, &encryption, &answer, asked, err))
        return err->code;
    if (asked->is_there && core_xml_read(answer.body.data, answer.body.len, &events, err))
        return rc_context(err, "%s '%s'", asked->verb, place->uri);
    out->encrypted = out->encryption[0] ? RC_ANSWER_YES : RC_ANSWER_NO;
    return RC_OK;
}

static enum rc_code look_at_encryption(const struct core_place_in_store *place,
                                       struct rc_bucket *out, struct rc_error *err)
{
    struct asked asked = { .verb = LOOK };

    if (ask_encryption(place, &asked, out, err))
        return take_note(&asked, out->encrypted_note, err);
    return RC_OK;
}

/* ---- expiry ---------------------------------------------------------------------------------- */

static const struct question rules = {
    .resource = "lifecycle",
    .root = "LifecycleConfiguration",
    .none = "NoSuchLifecycleConfiguration",
};

static enum rc_code ask_rules(const struct core_place_in_store *place, struct asked *asked,
                              struct core_http_answer *answer, struct core_s3_lifecycle *out,
                              struct rc_error *err)
{
    if (ask(place, &rules, answer, asked, err))
        return err->code;
    if (asked->is_there && core_s3_lifecycle_read(answer->body.data, answer->body.len, out, err))
        return rc_context(err, "%s '%s'", asked->verb, place->uri);
    return RC_OK;
}

static enum rc_code look_at_rules(const struct core_place_in_store *place, struct rc_bucket *out,
                                  struct rc_error *err)
{
    CORE_S3_LIFECYCLE_AUTO(lifecycle);
    CORE_S3_ANSWER_AUTO(answer);
    struct asked asked = { .verb = LOOK };

    if (ask_rules(place, &asked, &answer, &lifecycle, err))
        return take_note(&asked, out->expires_note, err);
    out->expires = lifecycle.expire_days > 0 ? RC_ANSWER_YES : RC_ANSWER_NO;
    out->expire_days = lifecycle.expire_days;
    return RC_OK;
}

/* ---- the public ------------------------------------------------------------------------------ */

/* What a bucket says of strangers. */
struct openness {
    bool ignores_acls, restricts_policy; /* whatever these say, nobody else comes in */
    bool has_public_policy;
    bool is_everybody, is_any_account; /* of the grant that is being read */
    char permission[32];
    struct rc_bucket *out;
};

/* Ceph writes it in capitals. */
static bool is_true(const char *text)
{
    return strcasecmp(text, "true") == 0;
}

static enum rc_code on_openness(void *context, const char *path, const char *text, size_t len,
                                struct rc_error *err)
{
    static const char grant[] = "AccessControlPolicy/AccessControlList/Grant";
    struct openness *open = context;

    (void)err;
    if (rc_str_eq(path, "PublicAccessBlockConfiguration/IgnorePublicAcls")) {
        open->ignores_acls = is_true(text);
    } else if (rc_str_eq(path, "PublicAccessBlockConfiguration/RestrictPublicBuckets")) {
        open->restricts_policy = is_true(text);
    } else if (rc_str_eq(path, "PolicyStatus/IsPublic")) {
        open->has_public_policy = is_true(text);
    } else if (rc_str_starts(path, grant)) {
        const char *name = path + strlen(grant);

        if (rc_str_eq(name, "/Grantee/URI")) {
            open->is_everybody = rc_str_ends(text, "/groups/global/AllUsers");
            open->is_any_account = rc_str_ends(text, "/groups/global/AuthenticatedUsers");
        } else if (rc_str_eq(name, "/Permission")) {
            core_s3_take_text(open->permission, sizeof(open->permission), text, len);
        } else if (*name == '\0') {
            if (open->is_everybody || open->is_any_account) {
                open->out->is_public = RC_ANSWER_YES;
                (void)snprintf(open->out->public_note, RC_BUCKET_TEXT, "its ACL gives %s to %s",
                               open->permission,
                               open->is_everybody ? "everybody" : "everybody with an account");
            }
            open->is_everybody = open->is_any_account = false;
        }
    }
    return RC_OK;
}

/* RC_OK with 'asked->is_there' false also where only a note could be made. */
static enum rc_code ask_openness(const struct core_place_in_store *place,
                                 const struct question *question, struct openness *open,
                                 char note[RC_BUCKET_TEXT], struct rc_error *err)
{
    const struct core_xml_events events = { .end = on_openness, .context = open };
    CORE_S3_ANSWER_AUTO(answer);
    struct asked asked = { .verb = LOOK };

    if (ask(place, question, &answer, &asked, err))
        return take_note(&asked, note, err);
    if (asked.is_there && core_xml_read(answer.body.data, answer.body.len, &events, err))
        return rc_context(err, "%s '%s'", asked.verb, place->uri);
    return RC_OK;
}

/*
 * AWS is first asked what keeps strangers out, which makes the other questions needless. Ceph has
 * the same settings, but lets strangers in all the same; what its ACL gives, it counts to the
 * policy, which therefore comes last.
 */
static enum rc_code look_at_openness(const struct core_place_in_store *place, struct rc_bucket *out,
                                     struct rc_error *err)
{
    static const struct question block = { "publicAccessBlock", "PublicAccessBlockConfiguration",
                                           "NoSuchPublicAccessBlockConfiguration" };
    static const struct question policy = { "policyStatus", "PolicyStatus", "NoSuchBucketPolicy" };
    static const struct question acl = { "acl", "AccessControlPolicy", NULL };
    struct openness open = { .out = out };
    char ignored[RC_BUCKET_TEXT], note[RC_BUCKET_TEXT] = "";
    bool is_aws;

    if (core_s3_honours(place, &is_aws, err) ||
        (is_aws && ask_openness(place, &block, &open, ignored, err)) ||
        (!open.ignores_acls && ask_openness(place, &acl, &open, note, err)))
        return err->code;
    if (out->is_public == RC_ANSWER_YES)
        return RC_OK;
    if (!open.restricts_policy && ask_openness(place, &policy, &open, note, err))
        return err->code;
    if (open.has_public_policy) {
        out->is_public = RC_ANSWER_YES;
        (void)snprintf(out->public_note, RC_BUCKET_TEXT, "its policy lets everybody in");
        return RC_OK;
    }
    out->is_public = note[0] ? RC_ANSWER_UNKNOWN : RC_ANSWER_NO;
    (void)snprintf(out->public_note, RC_BUCKET_TEXT, "%s", note);
    return RC_OK;
}

/* ---- operations ------------------------------------------------------------------------------ */

/* By a listing of one object, since it needs no more rights than HEAD and says what is wrong. */
static enum rc_code look_at_existence(const struct core_place_in_store *place,
                                      struct rc_bucket *out, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, LOOK, "GET");
    CORE_S3_ANSWER_AUTO(answer);

    core_s3_add_query(&request.query, "list-type", "2");
    core_s3_add_query(&request.query, "max-keys", "1");
    request.of_bucket = true;
    request.answers_xml = true;
    request.root = "ListBucketResult";
    if (!core_s3_send(&request, &answer, err)) {
        out->exists = RC_ANSWER_YES;
        return RC_OK;
    }
    if (rc_str_eq(request.refusal.code, "NoSuchBucket")) {
        out->exists = RC_ANSWER_NO;
        return RC_OK;
    }
    if (rc_str_eq(request.refusal.code, "AccessDenied"))
        (void)rc_fail(err, RC_DENIED,
                      "%s; the bucket is there: allow s3:ListBucket, unless it is "
                      "somebody else's",
                      err->cause);
    return rc_context(err, LOOK " '%s'", place->uri);
}

enum rc_code core_s3_look_bucket(const struct core_place_in_store *place, struct rc_bucket *out,
                                 struct rc_error *err)
{
    (void)snprintf(out->name, sizeof(out->name), "%.*s%s", (int)strlen("s3://"), place->uri,
                   place->bucket);
    if (look_at_existence(place, out, err))
        return err->code;
    if (out->exists == RC_ANSWER_NO)
        return RC_OK;
    if (look_at_encryption(place, out, err) || look_at_rules(place, out, err))
        return err->code;
    return look_at_openness(place, out, err);
}

enum rc_code core_s3_create_bucket(const struct core_place_in_store *place, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, "create the bucket of", "PUT");
    CORE_S3_ANSWER_AUTO(answer);
    RC_BUF_AUTO(xml, 1024);
    RC_STR_AUTO region = NULL;

    if (core_s3_location(place, &region, err))
        return err->code;
    if (region) {
        rc_buf_adds(&xml, "<CreateBucketConfiguration " XMLNS ">");
        core_s3_add_element(&xml, "LocationConstraint", region);
        rc_buf_adds(&xml, "</CreateBucketConfiguration>");
        core_s3_add_header(&request, "content-type", "application/xml");
        request.body = xml.data;
        request.body_len = xml.len;
    }
    request.of_bucket = true;
    if (core_s3_send(&request, &answer, err) &&
        !rc_str_eq(request.refusal.code, "BucketAlreadyOwnedByYou"))
        return err->code;
    return RC_OK;
}

enum rc_code core_s3_remove_bucket(const struct core_place_in_store *place, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, "remove the bucket of", "DELETE");
    CORE_S3_ANSWER_AUTO(answer);

    request.of_bucket = true;
    /* Sent again after a lost answer it may be gone by itself. */
    if (core_s3_send(&request, &answer, err) &&
        !(request.sends > 1 && rc_str_eq(request.refusal.code, "NoSuchBucket")))
        return err->code;
    return RC_OK;
}

/* Sets what is asked for by 'question'. */
static enum rc_code set(const struct core_place_in_store *place, const struct question *question,
                        const char *verb, const struct core_http_answer *before,
                        const struct rc_buf *xml, struct rc_error *err)
{
    static const char least[] = "x-amz-transition-default-minimum-object-size";
    CORE_S3_REQUEST_AUTO(request, place, verb, "PUT");
    CORE_S3_ANSWER_AUTO(answer);
    const char *kept = before ? core_http_answer_header(before, least) : NULL;

    core_s3_add_query(&request.query, question->resource, NULL);
    core_s3_add_header(&request, "content-type", "application/xml");
    /* Belongs to the rules, and would else be reset with them. */
    if (kept)
        core_s3_add_header(&request, least, kept);
    request.of_bucket = true;
    request.body = xml->data;
    request.body_len = xml->len;
    return core_s3_send(&request, &answer, err);
}

/*
 * What is encrypted already, in whatever way, stays so. Nothing is sent to a server that would take
 * it for something else: an old Ceph takes it for the making of a bucket.
 */
enum rc_code core_s3_encrypt_bucket(const struct core_place_in_store *place, struct rc_error *err)
{
    struct rc_bucket now = { .exists = RC_ANSWER_YES };
    struct asked asked = { .verb = ENCRYPT };
    RC_BUF_AUTO(xml, 1024);

    if (ask_encryption(place, &asked, &now, err))
        return err->code;
    if (now.encrypted == RC_ANSWER_YES)
        return RC_OK;
    rc_buf_adds(&xml, "<ServerSideEncryptionConfiguration " XMLNS "><Rule>"
                      "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>"
                      "</ApplyServerSideEncryptionByDefault></Rule>"
                      "</ServerSideEncryptionConfiguration>");
    return set(place, &encryption, ENCRYPT, NULL, &xml, err);
}

/*
 * The API has no condition for rules, so what came between is only seen afterwards. A server may
 * show the old ones for a while.
 */
static enum rc_code check_others(const struct core_place_in_store *place,
                                 const struct core_s3_lifecycle *before, int64_t days,
                                 struct rc_error *err)
{
    CORE_S3_LIFECYCLE_AUTO(after);
    CORE_S3_ANSWER_AUTO(answer);
    struct asked asked = { .verb = EXPIRE };

    if (ask_rules(place, &asked, &answer, &after, err))
        return err->code;
    if (rc_str_eq(after.others.data, before->others.data) &&
        (core_s3_lifecycle_has(&after, days) ||
         (rc_str_eq(after.own.id, before->own.id) && after.own.days == before->own.days)))
        return RC_OK;
    (void)rc_fail(err, RC_CONFLICT,
                  "somebody else has changed the lifecycle rules at the same time: look at them");
    return rc_context(err, EXPIRE " '%s'", place->uri);
}

enum rc_code core_s3_expire_bucket(const struct core_place_in_store *place, int64_t days,
                                   struct rc_error *err)
{
    CORE_S3_LIFECYCLE_AUTO(lifecycle);
    CORE_S3_ANSWER_AUTO(answer);
    RC_BUF_AUTO(xml, RULES_LIMIT);
    struct asked asked = { .verb = EXPIRE };

    if (ask_rules(place, &asked, &answer, &lifecycle, err))
        return err->code;
    if (core_s3_lifecycle_has(&lifecycle, days))
        return RC_OK;
    core_s3_lifecycle_write(&lifecycle, days, &xml);
    if (rc_buf_check(&xml, err) || set(place, &rules, EXPIRE, &answer, &xml, err))
        return err->code;
    return check_others(place, &lifecycle, days, err);
}
