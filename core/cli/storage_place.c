/*
 * Places on the command line of 'run-core storage': from words to URIs, and what is a folder.
 */
#include <cli/storage.h>

#include <run-core/str.h>
#include <run-core/uri.h>

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { URI_LIMIT = 64 * 1024 };

/* "s3:bucket" is a file name, but nobody means one. */
static enum rc_code check_slip(const char *word, struct rc_error *err)
{
    static const char *const schemes[] = { "s3", "gs", "file", "store" };

    for (size_t i = 0; i < RC_ARRAY_LEN(schemes); i++) {
        size_t len = strlen(schemes[i]);

        if (strncmp(word, schemes[i], len) == 0 && word[len] == ':')
            return rc_fail(err, RC_INVALID,
                           "'%s': a place in a store is written as %s://...; a local file of that "
                           "name as ./%s",
                           word, schemes[i], word);
    }
    return RC_OK;
}

/* "dir/." is what lies in it, as for cp. */
static bool ends_with_dots(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;

    return strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
}

enum rc_code core_storage_word_to_uri(struct core_arena *arena, const char *word, const char **uri,
                                      struct rc_error *err)
{
    RC_BUF_AUTO(text, URI_LIMIT);
    char directory[PATH_MAX];
    struct rc_uri parts;

    *uri = word;
    if (strcmp(word, "-") == 0)
        return RC_OK;
    if (!*word)
        return rc_fail(err, RC_INVALID, "an empty word names no place");
    if (rc_uri_has_scheme(word))
        return rc_uri_split(word, &parts, err);
    if (check_slip(word, err))
        return err->code;
    if (!getcwd(directory, sizeof(directory)))
        return rc_fail_errno(err, errno, "find the folder in which '%s' lies", word);
    rc_uri_place(&text, NULL, word, directory);
    if (ends_with_dots(word) && !rc_str_ends(text.data, "/"))
        rc_buf_addc(&text, '/');
    if (rc_buf_check(&text, err))
        return rc_context(err, "the path '%.80s...'", word);
    *uri = core_arena_strdup(arena, text.data);
    return rc_uri_split(*uri, &parts, err);
}

/* ---- folders --------------------------------------------------------------------------------- */

bool core_storage_is_folder_by_name(const char *uri)
{
    struct rc_error ignored = RC_ERROR_INIT;
    struct rc_uri parts;

    return rc_str_ends(uri, "/") ||
           (rc_uri_split(uri, &parts, &ignored) == RC_OK && parts.key[0] == '\0');
}

bool core_storage_is_root(const char *uri)
{
    struct rc_error ignored = RC_ERROR_INIT;
    struct rc_uri parts;

    return rc_uri_split(uri, &parts, &ignored) == RC_OK &&
           parts.key[strspn(parts.key, "/")] == '\0';
}

const char *core_storage_as_folder(struct core_arena *arena, const char *uri)
{
    return rc_str_ends(uri, "/") ? uri : core_arena_strf(arena, "%s/", uri);
}

/* *known: it lies on this machine, so that a look at the directory tells. */
static enum rc_code look_locally(struct core_storage_command *command, const char *uri, bool *known,
                                 bool *is_folder, struct rc_error *err)
{
    RC_BUF_AUTO(path, URI_LIMIT);
    enum rc_code code = core_storage_local_path(command->storage, uri, &path, err);
    struct stat st;

    *known = code != RC_UNSUPPORTED;
    *is_folder = code == RC_OK && stat(path.data, &st) == 0 && S_ISDIR(st.st_mode);
    return code == RC_UNSUPPORTED ? RC_OK : code;
}

static void close_listing(struct rc_listing **listing)
{
    core_listing_close(*listing);
}

enum rc_code core_storage_is_folder(struct core_storage_command *command, const char *uri,
                                    bool *is_folder, struct rc_error *err)
{
    RC_CLEANUP(close_listing) struct rc_listing *listing = NULL;
    const struct rc_object *object;
    enum rc_code code;
    bool known;

    code = look_locally(command, uri, &known, is_folder, err);
    if (code || known)
        return code;
    if (core_storage_is_root(uri)) {
        *is_folder = true;
        return RC_OK;
    }
    if (core_storage_list(command->storage, core_storage_as_folder(&command->arena, uri), NULL,
                          &listing, err) ||
        core_listing_next(listing, &object, err))
        return err->code;
    *is_folder = object != NULL;
    return RC_OK;
}

enum rc_code core_storage_is_object(struct core_storage_command *command, const char *uri,
                                    bool *is_object, struct rc_error *err)
{
    struct rc_stat stat;
    enum rc_code code = core_storage_stat(command->storage, uri, &stat, err);

    *is_object = code == RC_OK;
    return code == RC_NOT_FOUND ? RC_OK : code;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool matches(const struct rc_strs *patterns, const char *name)
{
    for (size_t i = 0; i < patterns->len; i++)
        if (fnmatch(patterns->items[i], name, 0) == 0)
            return true;
    return false;
}

bool core_storage_is_wanted(const struct core_arguments *arguments, const char *name)
{
    return (arguments->include.len == 0 || matches(&arguments->include, name)) &&
           !matches(&arguments->exclude, name);
}
