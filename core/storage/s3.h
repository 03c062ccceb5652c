/*
 * What the parts of the S3 backend share: where a request goes, how it is signed, sent and judged,
 * what a refusal means, and uploads in parts.
 *
 * Bodies are sent with UNSIGNED-PAYLOAD: what is in memory carries Content-MD5, which is signed, so
 * that a server stores nothing else; of a part that streams the ETag is compared before the upload
 * is completed. Either costs one pass of MD5, which servers need for the ETag anyway.
 */
#ifndef CORE_STORAGE_S3_H
#define CORE_STORAGE_S3_H

#include <storage/backend.h>
#include <storage/remote.h>

#include <os/digest.h>

enum {
    CORE_S3_PARTS = 10000, /* most of one upload */
    CORE_S3_AT_ONCE = 16,  /* requests of one operation */
    CORE_S3_PAGE = 1000,   /* most keys of one listing, and of one removal */
    CORE_S3_REPLY_LIMIT = 16 << 20,
    CORE_S3_SLOW_MS = 10 * 60 * 1000, /* silence while the server copies or puts together */
};
#define CORE_S3_MIB (INT64_C(1) << 20)
#define CORE_S3_MARK "x-amz-meta-run-core-write" /* of a conditional write; shown to nobody */
enum { CORE_S3_MARK_TEXT = 25 };
#define CORE_S3_MAX_PUT (INT64_C(5) << 30) /* in one request; also of a copy and of a part */

/* ---- addresses (s3_address.c): pure ---------------------------------------------------------- */

/* Where one request goes. */
struct core_s3_target {
    struct rc_buf url;
    struct rc_buf host; /* with the port, where it is not the scheme's own */
    struct rc_buf path; /* encoded */
};

void core_s3_target_init(struct core_s3_target *target);
void core_s3_target_clear(struct core_s3_target *target);

/* Whether it is one of AWS's own regional addresses, so that another region's may be used. */
bool core_s3_is_aws(const char *endpoint);
/* Whether it can be the name of a region of AWS. */
bool core_s3_is_region(const char *text);
/* The region in a host name such as "bucket.s3.eu-west-1.amazonaws.com"; the caller frees it. */
char *core_s3_region_of(const char *url);
/* The address of a region at AWS. */
void core_s3_aws_endpoint(struct rc_buf *out, const char *region);

/*
 * 'key' is NULL for the bucket itself, 'query' encoded or empty. RC_INVALID: the endpoint is no
 * address.
 */
RC_MUST_CHECK enum rc_code core_s3_aim(struct core_s3_target *target, const char *endpoint,
                                       int addressing, const char *bucket, const char *key,
                                       const char *query, struct rc_error *err);
/* Percent-encodes all but unreserved characters and slashes. */
void core_s3_add_path(struct rc_buf *out, const char *key);
/* Appends "&name=value", encoded; without a value "&name". */
void core_s3_add_query(struct rc_buf *out, const char *name, const char *value);

/* ---- refusals (s3_error.c): pure ------------------------------------------------------------- */

/* What a server said as it refused. Empty: not said. */
struct core_s3_refusal {
    unsigned status;
    char code[64];
    char message[384];
    char request_id[96];
    char region[48];
    char endpoint[256];
};

/* A text of a server, cut to size, without what would steer a terminal. */
void core_s3_take_text(char *out, size_t size, const char *text, size_t len);
/* Whether that is the root of an XML document, behind a declaration and blanks. */
bool core_s3_has_root(const struct rc_buf *body, const char *name);
/* Of an answer that is no success, or one of 200 that holds an error. False: it is a success. */
bool core_s3_refusal_read(struct core_s3_refusal *out, const struct core_http_answer *answer,
                          bool body_may_refuse);
/* The error for a caller. 'clock_ahead_ms' is that of the server, 0 if it is not known. */
enum rc_code core_s3_refusal_fail(const struct core_s3_refusal *refusal, bool anonymous,
                                  int64_t clock_ahead_ms, struct rc_error *err);
enum core_http_verdict core_s3_refusal_judge(const struct core_s3_refusal *refusal);

/* ---- requests (s3_request.c) ----------------------------------------------------------------- */

struct core_s3_request {
    const struct core_place_in_store *place;
    const char *verb; /* for errors: "read", "write" */
    const char *method;
    bool of_bucket;        /* the key is no part of it */
    struct rc_buf query;   /* "&name=value" and so on */
    struct rc_buf headers; /* "name\0value\0" one after the other */
    const void *body;
    size_t body_len;
    const struct core_http_content *content;
    bool answers_xml;  /* a success has a body, and it may be a refusal after all */
    bool answers_etag; /* a success has that header */
    const char *root;  /* of such a body; NULL: not known */
    bool repeats;      /* a POST that is safe to repeat */
    int64_t idle_ms;   /* 0: the client's */
    unsigned attempts;
    bool ignore_cancel; /* to clean up behind a run that was asked to stop */

    struct core_s3_refusal refusal; /* out: of a request that failed by its answer; status 0: by
                                       something else */
    unsigned sends;                 /* out: how often it was sent */
    int64_t sent_unix_ms;           /* out: by the server's clock, of the last attempt */
    int64_t clock_ahead_ms;         /* out: of that clock, as far as known */
};

#define CORE_S3_REQUEST_AUTO(name, at, what, how)                                                  \
    RC_CLEANUP(core_s3_request_clear)                                                              \
    struct core_s3_request name = { .place = (at),                                                 \
                                    .verb = (what),                                                \
                                    .method = (how),                                               \
                                    .query = RC_BUF_INIT(1 << 16),                                 \
                                    .headers = RC_BUF_INIT(1 << 16) }
void core_s3_request_clear(struct core_s3_request *request);

void core_s3_add_header(struct core_s3_request *request, const char *name, const char *value);
/* An entity tag as stat gives it, in quotes. NULL adds nothing. */
void core_s3_add_etag(struct core_s3_request *request, const char *name, const char *etag);
/* If-Match, If-None-Match of a write: 'if_match' as rc_storage_put() takes it. */
void core_s3_add_condition(struct core_s3_request *request, const char *if_match);

/* RC_OK is a success. 'answer' is initialised by the caller. */
RC_MUST_CHECK enum rc_code core_s3_send(struct core_s3_request *request,
                                        struct core_http_answer *answer, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_open(struct core_s3_request *request,
                                        struct core_http_answer *answer,
                                        struct core_http_stream **stream, struct rc_error *err);
#define CORE_S3_ANSWER_AUTO(name)                                                                  \
    RC_CLEANUP(core_http_answer_clear) struct core_http_answer name;                               \
    core_http_answer_init(&name, CORE_S3_REPLY_LIMIT)

/* That of a copy: "/bucket/key?versionId=...", with a condition that may be NULL. */
void core_s3_add_source(struct core_s3_request *request, const struct core_place_in_store *source,
                        const char *if_match);

/* Whether both are reached by one endpoint with the same credentials. */
bool core_s3_is_same_store(const struct core_place_in_store *a,
                           const struct core_place_in_store *b);
/* The same with whatever credentials; all of AWS is one server. */
bool core_s3_is_same_server(const struct core_place_in_store *a,
                            const struct core_place_in_store *b);
/* Whether this is a server that surely honours conditions of every kind of write. */
RC_MUST_CHECK enum rc_code core_s3_honours(const struct core_place_in_store *place, bool *out,
                                           struct rc_error *err);

/* A place that owns its texts, for what lives on after the call. */
struct core_s3_place {
    struct core_place_in_store at;
    char *uri, *bucket, *key, *version;
};
void core_s3_place_copy(struct core_s3_place *out, const struct core_place_in_store *place);
void core_s3_place_clear(struct core_s3_place *place);

/* ---- headers (s3_headers.c) ------------------------------------------------------------------ */

/* Of an object to be made; 'attributes' may be NULL. RC_INVALID: a text that no header can have. */
RC_MUST_CHECK enum rc_code core_s3_add_attributes(struct core_s3_request *request,
                                                  const struct rc_attributes *attributes,
                                                  struct rc_error *err);
/* The same of what 'kept', which is empty or of the object that is replaced, has beside them. */
void core_s3_add_kept(struct core_s3_request *request, const struct core_object_detail *kept);
/* An element of XML, escaped. NULL adds nothing. */
void core_s3_add_element(struct rc_buf *xml, const char *name, const char *text);
/* The customer's key, where the settings have one; 'prefix' is "x-amz-" or that of a source. */
RC_MUST_CHECK enum rc_code core_s3_add_customer_key(struct core_s3_request *request,
                                                    const struct core_store_settings *settings,
                                                    const char *prefix, struct rc_error *err);

void core_s3_set_etag(struct rc_stat *stat, const char *etag);
/* Of an answer to HEAD or GET. False: it does not tell the size. */
bool core_s3_read_stat(const struct core_http_answer *answer, struct rc_stat *out);
void core_s3_read_detail(const struct core_http_answer *answer, struct core_object_detail *out);
/* Whether the ETag of an answer is the MD5 of what it speaks of. */
bool core_s3_etag_is_md5(const struct core_http_answer *answer, const char *etag);

/* ---- options (s3_write.c) -------------------------------------------------------------------- */

/*
 * The options of a write as they are sent: where those of the object that is replaced are kept they
 * are looked up, into 'kept', to which 'out' refers. RC_CONFLICT: it was replaced already.
 */
RC_MUST_CHECK enum rc_code core_s3_settle_options(const struct core_place_in_store *place,
                                                  const struct rc_put_options *given,
                                                  struct rc_put_options *out,
                                                  struct core_object_detail *kept,
                                                  struct rc_error *err);

/* ---- conditions (s3_condition.c) ------------------------------------------------------------- */

/*
 * A conditional write whose answer is lost on the way is sent again, and then refused because of
 * itself. A mark in the metadata tells that apart from somebody else's write. An empty one is made
 * first; it stays empty where it cannot be.
 */
void core_s3_add_mark(struct core_s3_request *request, char mark[CORE_S3_MARK_TEXT]);
/*
 * Whether the object there has it; then 'stat' and 'version' are that of the object. The latter is
 * for the caller to free; NULL: none is named.
 */
bool core_s3_has_mark(const struct core_place_in_store *place, const char *mark,
                      struct rc_stat *stat, char **version);

/*
 * RC_CONFLICT unless the object there is as the condition of a write wants it, as far as one look
 * can tell. For servers that do not look themselves; of those that do, nothing is asked.
 */
RC_MUST_CHECK enum rc_code core_s3_check_condition(const struct core_place_in_store *place,
                                                   const char *if_match, struct rc_error *err);

/* How the condition of one write or removal is kept. */
struct core_s3_condition {
    const struct core_place_in_store *place;
    const char *if_match; /* as rc_storage_put() takes it; NULL: none */
    bool is_trusted;      /* the server is surely right about it */
    bool is_sent;         /* with the request; else only looks before and behind it keep it */
};
/* Before it: checks it as core_s3_check_condition(), and finds out whether to send it. */
RC_MUST_CHECK enum rc_code core_s3_condition_begin(struct core_s3_condition *condition,
                                                   const struct core_place_in_store *place,
                                                   const char *if_match, struct rc_error *err);
/*
 * After the server has refused it, with 'err': RC_OK if it holds nevertheless, and the request is
 * to be made again without it; else the error.
 */
RC_MUST_CHECK enum rc_code core_s3_condition_refused(struct core_s3_condition *condition,
                                                     const struct core_s3_request *request,
                                                     struct rc_error *err);

/* What a request has made in a bucket with versions. */
struct core_s3_made {
    const char *version; /* as its answer says; NULL: not said */
    const char *mark;    /* or NULL */
    int64_t size_bytes;
    unsigned sends;  /* of the request, which may have made as many */
    bool is_removal; /* a version that marks one */
};
/*
 * Behind it. RC_CONFLICT: it was not made over what the condition wants, and is taken back.
 * RC_NOT_FOUND: without a version's name, and none is ours. 'stat' (may be NULL) is set to that of
 * the version that stays, if there was a look.
 */
RC_MUST_CHECK enum rc_code core_s3_condition_settle(const struct core_s3_condition *condition,
                                                    const struct core_s3_made *made,
                                                    struct rc_stat *stat, struct rc_error *err);

/* ---- uploads in parts (s3_upload.c) ---------------------------------------------------------- */

/*
 * The size of the part that begins at 'offset_bytes', for a whole of 'size_bytes' (-1: unknown, the
 * parts then grow), so that 10,000 are enough. 'least_bytes' is that of the settings or 0. In
 * s3_write.c.
 */
int64_t core_s3_part_bytes(int64_t least_bytes, int64_t size_bytes, int64_t offset_bytes);

struct core_s3_upload;

/* The place is copied; attributes and condition are used now and at the end. */
RC_MUST_CHECK enum rc_code core_s3_upload_begin(const struct core_place_in_store *place,
                                                const struct rc_put_options *options,
                                                struct core_s3_upload **out, struct rc_error *err);
/* Goes on with one that was left. RC_NOT_FOUND: the server knows it no more. */
RC_MUST_CHECK enum rc_code core_s3_upload_resume(const struct core_place_in_store *place,
                                                 const struct rc_put_options *options,
                                                 const struct core_left_parts *left,
                                                 struct core_s3_upload **out, struct rc_error *err);
const char *core_s3_upload_id(const struct core_s3_upload *upload);
/* Whether there is a part of that number and size, and its MD5 is known. */
bool core_s3_upload_has(struct core_s3_upload *upload, int number, int64_t len_bytes,
                        unsigned char md5[16]);
/* From many threads at once. 'number' is 1 to 10,000; again replaces it. */
RC_MUST_CHECK enum rc_code core_s3_upload_put(struct core_s3_upload *upload, int number,
                                              const struct core_http_content *content,
                                              struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_upload_put_data(struct core_s3_upload *upload, int number,
                                                   const void *data, size_t len,
                                                   struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_upload_copy(struct core_s3_upload *upload, int number,
                                               const struct core_place_in_store *source,
                                               const char *source_if_match, int64_t offset_bytes,
                                               int64_t len_bytes, struct rc_error *err);
/* Puts the parts together. 'out' may be NULL. Once. */
RC_MUST_CHECK enum rc_code core_s3_upload_complete(struct core_s3_upload *upload,
                                                   struct rc_stat *out, struct rc_error *err);
/* Gives up what was not completed. No part is on its way any more. */
void core_s3_upload_free(struct core_s3_upload *upload);
/* Frees it, but leaves to the server what it has. */
void core_s3_upload_leave(struct core_s3_upload *upload);

/* Aborts one upload until the server knows nothing of it. */
RC_MUST_CHECK enum rc_code core_s3_abort(const struct core_place_in_store *place,
                                         const char *upload_id, bool ignore_cancel,
                                         struct rc_error *err);

/* An upload that was begun and neither completed nor aborted. */
struct core_s3_pending {
    const char *key, *upload_id;
    int64_t begun_unix_ms;  /* by the server's clock */
    int64_t clock_ahead_ms; /* of that clock, as far as known */
};
/* Tells each below the key of 'prefix'; at a code other than RC_OK it ends with that. */
RC_MUST_CHECK enum rc_code
core_s3_each_pending(const struct core_place_in_store *prefix, bool ignore_cancel,
                     enum rc_code (*tell)(void *context, const struct core_s3_pending *pending,
                                          struct rc_error *err),
                     void *context, struct rc_error *err);

/* A part that an upload has. */
struct core_s3_part {
    int number;
    int64_t size_bytes;
    char etag[RC_ETAG_TEXT];
};
/* Tells each part of the upload. RC_NOT_FOUND: there is no such upload. */
RC_MUST_CHECK enum rc_code core_s3_each_part(
    const struct core_place_in_store *place, const char *upload_id,
    enum rc_code (*tell)(void *context, const struct core_s3_part *part, struct rc_error *err),
    void *context, struct rc_error *err);

/* ---- operations ------------------------------------------------------------------------------ */

RC_MUST_CHECK enum rc_code core_s3_list(const struct core_place_in_store *prefix,
                                        const struct core_list_options *options,
                                        struct rc_listing **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_stat(const struct core_place_in_store *place,
                                        struct rc_stat *out, struct core_object_detail *detail,
                                        struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_tags(const struct core_place_in_store *place,
                                        struct core_object_detail *detail, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_read(const struct core_place_in_store *place,
                                        const struct core_range *range, struct rc_reader **out,
                                        struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_put(const struct core_place_in_store *place, const void *data,
                                       size_t len, const struct rc_put_options *options,
                                       struct rc_stat *written, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_create(const struct core_place_in_store *place,
                                          const struct rc_put_options *options,
                                          struct rc_writer **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_begin_parts(const struct core_place_in_store *place,
                                               const struct rc_put_options *options,
                                               struct core_parts **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_resume_parts(const struct core_place_in_store *place,
                                                const struct rc_put_options *options,
                                                const struct core_left_parts *left,
                                                struct core_parts **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_give_up_parts(const struct core_place_in_store *place,
                                                 const struct core_left_parts *left,
                                                 struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_copy(const struct core_place_in_store *source,
                                        const struct core_place_in_store *target,
                                        const struct core_copy_options *options,
                                        struct rc_stat *written, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_remove(const struct core_place_in_store *places, size_t count,
                                          const struct core_remove_report *report,
                                          struct rc_error *err);
/*
 * Of removals from one bucket, whose indexes into 'places' are given and rise: takes out those
 * whose object is not what remove_if_match says. One that was replaced is told, one that is gone is
 * not. Of a server that compares by itself nothing is asked.
 */
RC_MUST_CHECK enum rc_code core_s3_leave_replaced(const struct core_place_in_store *places,
                                                  size_t *indexes, size_t *count,
                                                  const struct core_remove_report *report,
                                                  struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_sweep(const struct core_place_in_store *prefix,
                                         const struct core_sweep *sweep, int64_t *swept,
                                         struct rc_error *err);

/*
 * Calls 'work' with each number below 'count', in at most 'width' threads and CORE_S3_AT_ONCE.
 * After a failure no more are begun; the first is the error.
 */
RC_MUST_CHECK enum rc_code core_s3_each(size_t count, size_t width,
                                        enum rc_code (*work)(void *context, size_t index,
                                                             struct rc_error *err),
                                        void *context, struct rc_error *err);

#endif
