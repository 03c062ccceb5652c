/*
 * The file backend's parts: an object is a regular file, its key an absolute path.
 *
 * Directories are made as needed and never listed for themselves, so a listing is that of an
 * object store. Inside a mapped bucket they belong to the store: empty ones are removed with
 * their last object. Outside they may be a person's, and stay.
 *
 * Links: a link to a file is read and listed as that file, and replaced or removed as a link. A
 * link to a directory is followed where a key names it, but a listing does not enter it, so it
 * never goes round in circles.
 *
 * Who replaces or removes an object holds a flock on the file that is there. Therefore nothing
 * can come between the look at an entity tag and the write that depends on it.
 */
#ifndef CORE_STORAGE_FILE_H
#define CORE_STORAGE_FILE_H

#include <os/file.h>
#include <storage/backend.h>

enum core_file_kind { CORE_FILE_ABSENT, CORE_FILE_OBJECT, CORE_FILE_DIRECTORY, CORE_FILE_OTHER };

/* What stands at a path, held against every other writer of this kind. */
struct core_file_held {
    enum core_file_kind kind;
    struct stat st; /* of an object */
    int fd;         /* has the lock; -1: nothing to lock, or a file system without locks */
};

#define CORE_FILE_HELD_INIT                                                                        \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* Waits, cancellable, while another holds it. A path that cannot exist is absent. */
RC_MUST_CHECK enum rc_code core_file_hold(const char *path, const struct core_cancel *cancel,
                                          struct core_file_held *out, struct rc_error *err);
/* For RC_CLEANUP; may be called again. */
void core_file_release(struct core_file_held *held);

void core_file_describe(const struct stat *st, struct rc_stat *out);
/* RC_CONFLICT: the object at 'path' was replaced. 'if_match' may be NULL. */
RC_MUST_CHECK enum rc_code core_file_check_match(const char *path, const struct stat *st,
                                                 const char *if_match, struct rc_error *err);

/* Whether the system call failed because nothing is, or can be, at the path. */
bool core_file_is_missing(int error_number);

/* Sleeps a little longer at each attempt. */
void core_file_back_off(int attempt);

/*
 * RC_INVALID: no object can have this key, because it ends with a slash, or has a name that is
 * too long or ours.
 */
RC_MUST_CHECK enum rc_code core_file_check_key(const char *key, struct rc_error *err);

/* A temporary for the object at 'place', in directories that are made if they are missing. */
RC_MUST_CHECK enum rc_code core_file_open_temp(const struct core_place_in_store *place,
                                               struct core_temp_file *out, struct rc_error *err);
/*
 * Publishes it under the condition 'if_match', as rc_storage_put(); with 'keep_attributes' it takes
 * over those of the file that has that tag. 'written' may be NULL.
 */
RC_MUST_CHECK enum rc_code core_file_publish(const struct core_place_in_store *place,
                                             struct core_temp_file *temp, const char *if_match,
                                             bool keep_attributes, struct rc_stat *written,
                                             struct rc_error *err);
/* Until it is known who may read the new content nobody else does. */
RC_MUST_CHECK enum rc_code core_file_hide(const struct core_temp_file *temp, struct rc_error *err);
/* Gives the temporary the attributes of the file that is held, whose descriptor is open. */
RC_MUST_CHECK enum rc_code core_file_take_over(const struct core_file_held *held,
                                               const struct core_temp_file *temp,
                                               struct rc_error *err);
/*
 * Makes way for an object where, inside a mapped bucket, only empty directories are; else
 * RC_INVALID.
 */
RC_MUST_CHECK enum rc_code core_file_clear_directory(const struct core_place_in_store *place,
                                                     struct rc_error *err);
/* After an object is gone: removes directories that became empty, and makes it durable. */
RC_MUST_CHECK enum rc_code core_file_settle(const struct core_place_in_store *place,
                                            struct rc_error *err);
/*
 * Makes the directories above 'path' that are missing. RC_NOT_FOUND: a remover undid it; try
 * again.
 */
RC_MUST_CHECK enum rc_code core_file_make_parent(const char *path, struct rc_error *err);

RC_MUST_CHECK enum rc_code core_file_list(const struct core_place_in_store *prefix,
                                          const struct core_list_options *options,
                                          struct rc_listing **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_file_begin_parts(const struct core_place_in_store *place,
                                                 const struct rc_put_options *options,
                                                 struct core_parts **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_file_remove(const struct core_place_in_store *places, size_t count,
                                            const struct core_remove_report *report,
                                            struct rc_error *err);
RC_MUST_CHECK enum rc_code core_file_copy(const struct core_place_in_store *source,
                                          const struct core_place_in_store *target,
                                          const struct core_copy_options *options,
                                          struct rc_stat *written, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_file_move(const struct core_place_in_store *source,
                                          const struct core_place_in_store *target,
                                          const struct core_copy_options *options,
                                          struct rc_error *err);
RC_MUST_CHECK enum rc_code core_file_look_bucket(const struct core_place_in_store *place,
                                                 struct rc_bucket *out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_file_create_bucket(const struct core_place_in_store *place,
                                                   struct rc_error *err);
RC_MUST_CHECK enum rc_code core_file_remove_bucket(const struct core_place_in_store *place,
                                                   struct rc_error *err);

#endif
