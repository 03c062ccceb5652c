/*
 * Loading shared libraries on first use.
 */
#include <os/library.h>

#include <run-core/str.h>

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* dlerror() is per thread, and says NULL only where nothing failed. */
static const char *loader_message(void)
{
    const char *message = dlerror();

    return message ? message : "the loader gives no reason";
}

/*
 * Whether it is the library itself that is missing, and not one that it needs. For a bare
 * name only the loader's message tells: it begins with the name where nothing was found,
 * and with a full path where a file was found but could not be loaded.
 */
static bool is_missing(const char *path, const char *message)
{
    size_t len = strlen(path);

    if (strchr(path, '/'))
        return access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR);
    return rc_str_starts(message, path) && message[len] == ':';
}

static enum rc_code fill(void *library, const char *path, const struct core_library_symbol *symbols,
                         size_t count, void *table, struct rc_error *err)
{
    for (size_t i = 0; i < count; i++) {
        void *address = dlsym(library, symbols[i].name);

        if (!address)
            return rc_fail(err, RC_UNSUPPORTED,
                           "'%s' has no function '%s'; it is too old, too new, or another library",
                           path, symbols[i].name);
        /* POSIX gives data and function pointers one size; ISO C has no cast between them. */
        memcpy((char *)table + symbols[i].offset, &address, sizeof(address));
    }
    return RC_OK;
}

enum rc_code core_library_load(const char *path, const struct core_library_symbol *symbols,
                               size_t count, void *table, struct rc_error *err)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        const char *message = loader_message();
        enum rc_code code = is_missing(path, message) ? RC_NOT_FOUND : RC_INVALID;

        return rc_fail(err, code, "load library '%s': %s", path, message);
    }

    enum rc_code code = fill(library, path, symbols, count, table, err);
    if (code)
        dlclose(library);
    return code;
}
