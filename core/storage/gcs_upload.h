/*
 * Uploads to Google Cloud Storage: in one request, or in a session that takes chunks and survives
 * what happens to them.
 */
#ifndef CORE_STORAGE_GCS_UPLOAD_H
#define CORE_STORAGE_GCS_UPLOAD_H

#include <storage/gcs.h>

enum { CORE_GCS_QUANTUM = 256 * 1024 }; /* what each chunk but the last is a multiple of */

/* What is to be written, and how. Borrowed. */
struct core_gcs_upload {
    const struct core_place_in_store *place;
    const char *if_match; /* as rc_storage_put() */
    const struct rc_attributes *attributes;
    const struct core_object_detail *kept; /* of the object that is replaced; or NULL */
};

/*
 * Looks at the object that is replaced, whose attributes the upload then has. RC_CONFLICT: it was
 * replaced already.
 */
RC_MUST_CHECK enum rc_code core_gcs_keep(struct core_gcs_upload *upload,
                                         struct core_object_detail *kept, struct rc_error *err);

/* RC_INVALID, RC_UNSUPPORTED: it cannot be, whatever the content. */
RC_MUST_CHECK enum rc_code core_gcs_check_upload(const struct core_gcs_upload *upload,
                                                 struct rc_error *err);

/*
 * All of an object at once. Without a condition it is one request, which may be repeated: the same
 * content again harms nobody. With one it is a session, so that an answer that is lost can be asked
 * for again, and who was first is never in doubt.
 */
RC_MUST_CHECK enum rc_code core_gcs_upload_whole(const struct core_gcs_upload *upload,
                                                 const void *data, size_t len,
                                                 struct rc_stat *written, struct rc_error *err);

/* One upload that goes on over many calls; for one thread. */
struct core_gcs_session;

RC_MUST_CHECK enum rc_code core_gcs_session_begin(const struct core_gcs_upload *upload,
                                                  struct core_gcs_session **out,
                                                  struct rc_error *err);
/* The next bytes, whole quanta of them. */
RC_MUST_CHECK enum rc_code core_gcs_session_add(struct core_gcs_session *session, const void *data,
                                                size_t len, struct rc_error *err);
/*
 * The last bytes, any number. The object is there then, and what it holds is what was given: where
 * the server has something else, that is removed and the error RC_CORRUPT.
 */
RC_MUST_CHECK enum rc_code core_gcs_session_end(struct core_gcs_session *session, const void *data,
                                                size_t len, struct rc_stat *written,
                                                struct rc_error *err);
/*
 * By this name a later process goes on with the session; who knows it may write the object. Until
 * the first byte is sent the session may get another one, unless it was asked for.
 */
const char *core_gcs_session_name(struct core_gcs_session *session);
/*
 * Goes on with one that was left: is given all bytes again, from the first on, of which the server
 * gets those that it does not have. RC_NOT_FOUND: it is gone, or of another bucket.
 */
RC_MUST_CHECK enum rc_code core_gcs_session_resume(const struct core_gcs_upload *upload,
                                                   const char *name, struct core_gcs_session **out,
                                                   struct rc_error *err);
/* Frees it; the server keeps what it has. */
void core_gcs_session_leave(struct core_gcs_session *session);
/* Makes the server forget one that was left, if it hears of it. */
void core_gcs_session_give_up(const struct core_place_in_store *place, const char *name);
/* May be NULL. Without an end the server forgets what it has. */
void core_gcs_session_free(struct core_gcs_session *session);

#endif
