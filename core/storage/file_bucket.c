/*
 * A folder as what buckets are elsewhere: that it is there, and who gets at it. Files are neither
 * encrypted nor removed by anything that is known here.
 */
#include <storage/file.h>

#include <os/path.h>

#include <run-core/str.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOLDER_MODE = 0700 };

/* That of a mapped bucket, else what the URI names. */
static char *folder_of(const struct core_place_in_store *place)
{
    size_t len = place->root_len ? place->root_len : strlen(place->key);

    while (len > 1 && place->key[len - 1] == '/')
        len--;
    return len > 0 ? rc_strndup(place->key, len) : rc_strdup("/");
}

/* Whether every folder on the way to 'path' can be passed by anybody. */
static bool is_reached(const char *path)
{
    RC_STR_AUTO at = rc_strdup(path);
    struct stat st;

    while (!rc_str_eq(at, "/")) {
        RC_STR_AUTO above = core_path_directory(at);

        if (stat(above, &st) != 0 || !(st.st_mode & S_IXOTH))
            return false;
        free(at);
        at = rc_strdup(above);
    }
    return true;
}

static void look_at_openness(const char *folder, const struct stat *st, struct rc_bucket *out)
{
    RC_STR_AUTO real = realpath(folder, NULL);

    if (!(st->st_mode & (S_IROTH | S_IXOTH))) {
        out->is_public = RC_ANSWER_NO;
    } else if (!real) {
        (void)snprintf(out->public_note, RC_BUCKET_TEXT, "the way to it cannot be followed");
    } else if (is_reached(real)) {
        out->is_public = RC_ANSWER_YES;
        (void)snprintf(out->public_note, RC_BUCKET_TEXT, "its mode is %04o",
                       (unsigned)(st->st_mode & 07777));
    } else {
        out->is_public = RC_ANSWER_NO;
    }
}

enum rc_code core_file_look_bucket(const struct core_place_in_store *place, struct rc_bucket *out,
                                   struct rc_error *err)
{
    RC_STR_AUTO folder = folder_of(place);
    struct stat st;

    (void)snprintf(out->name, sizeof(out->name), "%s", folder);
    if (stat(folder, &st) != 0) {
        if (!core_file_is_missing(errno))
            return rc_fail_errno(err, errno, "look at '%s'", folder);
        out->exists = RC_ANSWER_NO;
        return RC_OK;
    }
    if (!S_ISDIR(st.st_mode))
        return rc_fail(err, RC_INVALID, "look at '%s': it is not a folder", folder);
    out->exists = RC_ANSWER_YES;
    (void)snprintf(out->encrypted_note, RC_BUCKET_TEXT, "a folder is as its disk is");
    (void)snprintf(out->expires_note, RC_BUCKET_TEXT, "files stay until somebody removes them");
    look_at_openness(folder, &st, out);
    return RC_OK;
}

enum rc_code core_file_create_bucket(const struct core_place_in_store *place, struct rc_error *err)
{
    RC_STR_AUTO folder = folder_of(place);

    return core_dir_make(folder, FOLDER_MODE, err);
}

enum rc_code core_file_remove_bucket(const struct core_place_in_store *place, struct rc_error *err)
{
    RC_STR_AUTO folder = folder_of(place);
    RC_STR_AUTO above = core_path_directory(folder);

    if (rmdir(folder) == 0)
        return core_dir_sync(above, err);
    if (errno == ENOTEMPTY || errno == EEXIST)
        return rc_fail(err, RC_CONFLICT, "remove '%s': it is not empty", folder);
    return rc_fail_errno(err, errno, "remove '%s'", folder);
}
