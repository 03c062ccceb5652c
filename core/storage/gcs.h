/*
 * Shared by the files of the Google Cloud Storage backend: gcs.c has the table and what is said of
 * objects, gcs_read.c, gcs_write.c, gcs_list.c, gcs_copy.c, gcs_remove.c and gcs_bucket.c the
 * operations, gcs_request.c the way to the server, and gcs_messages.c, which is pure, what goes
 * over it.
 *
 * An object's entity tag is its generation, as decimal text: it names one content for ever.
 */
#ifndef CORE_STORAGE_GCS_H
#define CORE_STORAGE_GCS_H

#include <cloud/google_reply.h>
#include <storage/backend.h>
#include <storage/remote.h>

enum {
    CORE_GCS_REPLY_BYTES = 16 * 1024 * 1024, /* of a page or a batch; others are far below */
    CORE_GCS_URL_BYTES = 32 * 1024,
    CORE_GCS_BATCH = 100, /* calls in one request, at most */
    CORE_GCS_FIELDS = 8,
};

/* ---- messages (pure) ------------------------------------------------------------------------- */

/* The fields that core_gcs_read_object() needs. */
#define CORE_GCS_OBJECT_FIELDS "name,size,updated,generation,storageClass,crc32c,md5Hash"

/* What a resource says of an object. The texts belong to the tree. */
struct core_gcs_object {
    const char *name;
    struct rc_stat stat;
    const char *generation, *storage_class, *crc32c, *md5; /* base64; NULL: not said */
    bool is_live;                                          /* no later version in its place */
};

/* False: the resource lacks what every object has. */
bool core_gcs_read_object(const struct core_node *resource, struct core_gcs_object *out);
/* All of the resource that storage knows of, copied to the arena of 'out', which is empty. */
void core_gcs_read_detail(const struct core_node *resource, struct core_object_detail *out);

/* Whether 'if_match' can be a generation at all; a text that cannot matches no object. */
bool core_gcs_is_generation(const char *text);

/*
 * The JSON of an object that is to be written. All may be NULL; 'others' are further members.
 * the storage class is theirs, or else 'storage_class'.
 */
void core_gcs_add_resource(struct rc_buf *out, const char *name,
                           const struct rc_attributes *attributes, const char *storage_class,
                           const char *crc32c, const struct rc_map *others);

/* crc32c as Google writes it: base64 of four bytes, the highest first. */
void core_gcs_add_crc32c(struct rc_buf *out, uint32_t crc);
/* The one that a header X-Goog-Hash names. False: it names none. */
bool core_gcs_find_crc32c(const char *hashes, uint32_t *out);

/* Of the header Range of a session that is not complete: how many bytes it has. -1: nonsense. */
int64_t core_gcs_received_bytes(const char *range);
/* Of the header Content-Range: the size of the whole. -1: it does not say. */
int64_t core_gcs_whole_bytes(const char *content_range);

/* The reply to one call of a batch. */
struct core_gcs_part {
    size_t index;    /* of the call, as its Content-ID said */
    unsigned status; /* of HTTP */
    const char *body;
    size_t body_len;
};

/*
 * The next reply of a batch from *at on, which it moves. False: there is no further one, which is
 * the true end only if *at is then 'len'. 'content_type' is the batch's own.
 */
bool core_gcs_next_part(const char *content_type, const char *body, size_t len, size_t *at,
                        struct core_gcs_part *out);

/* ---- requests -------------------------------------------------------------------------------- */

struct core_gcs_request {
    const struct core_place_in_store *place;
    char *name; /* "read 'gs://bucket/key'": for errors */
    struct rc_buf url;
    bool has_query;
    struct core_http_header headers[CORE_GCS_FIELDS];
    size_t header_count;
    char *texts[CORE_GCS_FIELDS]; /* that headers borrow */
    size_t text_count;
    struct core_google_credentials *credentials; /* NULL: none are sent */
    struct rc_buf authorization;                 /* of the last attempt */
    struct core_http_call call;                  /* whose other members the caller may set */
};

#define CORE_GCS_REQUEST_AUTO(name)                                                                \
    RC_CLEANUP(core_gcs_request_clear)                                                             \
    struct core_gcs_request name = { .url = RC_BUF_INIT(CORE_GCS_URL_BYTES),                       \
                                     .authorization = RC_BUF_INIT(CORE_GCS_URL_BYTES) }

/* Those by which a place is reached; NULL: none are sent there. */
struct core_google_credentials *core_gcs_credentials(const struct core_place_in_store *place);

void core_gcs_request_clear(struct core_gcs_request *request);

/*
 * Begins a request for a place, with credentials and with the key of the store's customer if it
 * has one; 'verb' says what is attempted. RC_INVALID: there can be no such place. RC_UNSUPPORTED:
 * no remote store is to be reached.
 */
RC_MUST_CHECK enum rc_code core_gcs_begin(struct core_gcs_request *request,
                                          const struct core_place_in_store *place, const char *verb,
                                          struct rc_error *err);

/* The same where an object is meant, whose URL it takes. */
RC_MUST_CHECK enum rc_code core_gcs_begin_object(struct core_gcs_request *request,
                                                 const struct core_place_in_store *place,
                                                 const char *verb, struct rc_error *err);

/* RC_INVALID: the place names no object that could be. */
RC_MUST_CHECK enum rc_code core_gcs_check_object(const struct core_place_in_store *place,
                                                 struct rc_error *err);

/* Sets the URL to 'path' of the endpoint; then adds "/b/BUCKET/o". */
void core_gcs_set_path(struct core_gcs_request *request, const char *path);
/* The same to what is known of the bucket itself, with 'rest' ("", "/iam") behind its name. */
void core_gcs_set_bucket_path(struct core_gcs_request *request, const char *rest);
/* The same to all buckets. */
void core_gcs_set_buckets_path(struct core_gcs_request *request);
/* Adds a part of a path, escaped, with a slash in front. */
void core_gcs_add_path(struct core_gcs_request *request, const char *part);
/* Adds "name=value" to the query. NULL adds nothing. */
void core_gcs_add_query(struct core_gcs_request *request, const char *name, const char *value);
/* Adds the condition that 'if_match' means, as rc_storage_put() has it, under that name. */
RC_MUST_CHECK enum rc_code core_gcs_add_condition(struct core_gcs_request *request,
                                                  const char *name, const char *if_match,
                                                  struct rc_error *err);
/* 'value' is borrowed. */
void core_gcs_add_header(struct core_gcs_request *request, const char *name, const char *value);
/* The same, but it is kept with the request; freed by it. */
void core_gcs_take_header(struct core_gcs_request *request, const char *name, char *value);

/* Makes the request ready for its call; nothing is added to it afterwards. */
RC_MUST_CHECK enum rc_code core_gcs_seal(struct core_gcs_request *request, struct rc_error *err);
/* The same, with what the store's settings ask of each request: userProject. */
RC_MUST_CHECK enum rc_code core_gcs_complete(struct core_gcs_request *request,
                                             struct rc_error *err);

/*
 * Makes the request; a status that is neither 2xx nor 'also' is an error, with words on what to do.
 * The answer is to be cleared in any case.
 */
RC_MUST_CHECK enum rc_code core_gcs_call(struct core_gcs_request *request, unsigned also,
                                         struct core_http_answer *answer, struct rc_error *err);
/* The error of an answer that core_gcs_call() has not judged. */
enum rc_code core_gcs_fail(const struct core_gcs_request *request,
                           const struct core_http_answer *answer, struct rc_error *err);

/* Without a slash at its end. Freed by the caller. */
char *core_gcs_endpoint(const struct core_store_settings *settings);

/* core_http_back_off() as the settings of the place's store say. */
RC_MUST_CHECK enum rc_code core_gcs_pause(const struct core_place_in_store *place, int64_t failures,
                                          int64_t at_least_ms, struct rc_error *err);

/* ---- operations ------------------------------------------------------------------------------ */

/* As those of backend.h. */
enum rc_code core_gcs_stat(const struct core_place_in_store *place, struct rc_stat *out,
                           struct core_object_detail *detail, struct rc_error *err);
enum rc_code core_gcs_list(const struct core_place_in_store *prefix,
                           const struct core_list_options *options, struct rc_listing **out,
                           struct rc_error *err);
enum rc_code core_gcs_open(const struct core_place_in_store *place, const struct core_range *range,
                           struct rc_reader **out, struct rc_error *err);
enum rc_code core_gcs_create(const struct core_place_in_store *place,
                             const struct rc_put_options *options, struct rc_writer **out,
                             struct rc_error *err);
enum rc_code core_gcs_put(const struct core_place_in_store *place, const void *data, size_t len,
                          const struct rc_put_options *options, struct rc_stat *written,
                          struct rc_error *err);
enum rc_code core_gcs_begin_parts(const struct core_place_in_store *place,
                                  const struct rc_put_options *options, struct core_parts **out,
                                  struct rc_error *err);
enum rc_code core_gcs_resume_parts(const struct core_place_in_store *place,
                                   const struct rc_put_options *options,
                                   const struct core_left_parts *left, struct core_parts **out,
                                   struct rc_error *err);
enum rc_code core_gcs_give_up_parts(const struct core_place_in_store *place,
                                    const struct core_left_parts *left, struct rc_error *err);
enum rc_code core_gcs_copy(const struct core_place_in_store *source,
                           const struct core_place_in_store *target,
                           const struct core_copy_options *options, struct rc_stat *written,
                           struct rc_error *err);
enum rc_code core_gcs_remove(const struct core_place_in_store *places, size_t count,
                             const struct core_remove_report *report, struct rc_error *err);
enum rc_code core_gcs_look_bucket(const struct core_place_in_store *place, struct rc_bucket *out,
                                  struct rc_error *err);
enum rc_code core_gcs_create_bucket(const struct core_place_in_store *place, struct rc_error *err);
enum rc_code core_gcs_remove_bucket(const struct core_place_in_store *place, struct rc_error *err);
enum rc_code core_gcs_encrypt_bucket(const struct core_place_in_store *place, struct rc_error *err);
enum rc_code core_gcs_expire_bucket(const struct core_place_in_store *place, int64_t days,
                                    struct rc_error *err);

#endif
