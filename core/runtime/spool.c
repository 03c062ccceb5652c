/*
 * The daemon's folder, by the same rule for whoever asks. It is not made here.
 */
#include <runtime/spool.h>

#include <os/path.h>
#include <runtime/run.h>

#include <run-core/str.h>
#include <run-core/uri.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The folder of "sqlite:///path/state.db" or of a folder; NULL: the state is on a server. */
static char *folder_of(const char *url)
{
    static const char scheme[] = "sqlite://";
    const char *path = url;

    if (rc_uri_has_scheme(url)) {
        if (!rc_str_starts(url, scheme))
            return NULL;
        path = url + strlen(scheme);
        if (!rc_str_ends(path, "/") && !is_directory(path))
            return core_path_directory(path);
    }
    return rc_strdup(path);
}

enum rc_code core_spool_folder(const struct core_config *config, char **out, struct rc_error *err)
{
    RC_STR_AUTO url = NULL;

    if (config && config->settings.spool) {
        *out = rc_strdup(config->settings.spool);
        return RC_OK;
    }
    if (core_state_url(config, &url, err))
        return err->code;
    *out = folder_of(url);
    if (*out)
        return RC_OK;
    return core_state_folder(out, err);
}

enum rc_code core_spool_socket(const struct core_config *config, char **out, struct rc_error *err)
{
    RC_STR_AUTO folder = NULL;

    if (config && config->settings.socket) {
        *out = rc_strdup(config->settings.socket);
        return RC_OK;
    }
    if (core_spool_folder(config, &folder, err))
        return err->code;
    *out = rc_strf("%s%srun-core.sock", folder, rc_str_ends(folder, "/") ? "" : "/");
    return RC_OK;
}
